//! Randomness as a tree of named streams under a run's seed.
//!
//! No generator is stored, cloned or passed on: whoever needs random numbers derives a seed by name and index, and
//! takes a fresh generator from it. So `ask` can be repeated, a snapshot holds no generator, and every draw is a
//! function of the run's seed alone.

mod normal;

pub use normal::{fill_normal, normal_pair};
use rand::{Rng as _, SeedableRng as _};
pub use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a stream of random numbers is for. The numbers are part of every result and never change or get reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u64)]
pub enum Purpose {
    /// A generation of the search; the index is the generation.
    Generation = 1,
    /// A block of tasks within a generation that the search is told of.
    SearchBlock = 2,
    /// A block that measures candidates again.
    RemeasureBlock = 3,
    /// A block that validates and never influences the search.
    ValidationBlock = 4,
    /// One task of a block: its function or its augmentation.
    Task = 5,
    /// The initial synapses of one task's network.
    Synapses = 6,
    /// The support batch of one update; the index is the update.
    Support = 7,
    /// The query batch.
    Query = 8,
    /// The samples that a strategy draws in a generation.
    Sampling = 9,
    /// Which examples of a finite data set may serve as support and which as query.
    Split = 10,
    /// The tuning of baselines.
    Tuning = 11,
    /// The comparison of a rule with baselines; the index is the task family's number.
    Comparison = 12,
    /// The canonical episodes of the numerics fingerprint.
    Fingerprint = 13,
    /// Which of a run's network shapes a task has.
    Shape = 14,
    /// One search after another of a restarted strategy; the index is the search.
    Restart = 15,
    /// As [`Purpose::Comparison`], while rules are being made: on what their specs hold back.
    HeldBack = 16,
    /// The noise of the genome that a search starts from.
    Start = 17,
    /// Which training labels of a task are wrong; the index is the sample.
    LabelNoise = 18,
    /// The order in which an ablation gives out what examples count for; the index is the update.
    Shuffle = 19,
    /// Where copies of a network are moved to; the index is the update, and below that the copy.
    Perturbation = 20,
    /// The key of a task: what changes the targets of its support and query alike.
    TaskKey = 21,
    /// Functions that are drawn once and are the same in all runs.
    FixedFunctions = 22,
    /// Which classes of a task are rare, and how rare.
    LongTail = 23,
    /// The numbers with which a weight function begins that learns within a task.
    WeightFunction = 24,
    /// Which layers a meta step looks at; the index is the update.
    Gate = 25,
}

/// A node of the seed tree, below 2^63 so that it fits wherever an `i64` does (TOML, SQLite, JSON readers).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
#[schemars(extend("maximum" = Self::LIMIT - 1))]
pub struct Seed(u64);

/// A number that cannot be a seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a seed must be below 2^63, not {0}")]
pub struct SeedRangeError(u64);

impl Seed {
    /// One more than the largest seed.
    pub const LIMIT: u64 = 1 << 63;

    /// Takes a number below 2^63.
    pub fn new(value: u64) -> Result<Self, SeedRangeError> {
        if value < Self::LIMIT { Ok(Self(value)) } else { Err(SeedRangeError(value)) }
    }

    /// Takes a number that is always below the limit.
    pub const fn from_small(value: u32) -> Self {
        Self(value as u64)
    }

    /// The number.
    pub fn get(self) -> u64 {
        self.0
    }

    /// The seed below this one for a purpose and an index.
    #[must_use]
    pub fn derive(self, purpose: Purpose, index: u64) -> Self {
        let mut state = mix(self.0.wrapping_add(GOLDEN_GAMMA));
        state = mix(state ^ (purpose as u64).wrapping_mul(GOLDEN_GAMMA));
        state = mix(state ^ index.wrapping_add(GOLDEN_GAMMA));
        Self(state >> 1)
    }

    /// Word number `index` of the stream of plain words below this seed: `SplitMix64`, which costs next to nothing, for
    /// the many numbers that only have to look random, such as initial synapses.
    #[inline]
    pub fn word(self, index: u64) -> u64 {
        mix(self.0.wrapping_add(index.wrapping_add(1).wrapping_mul(GOLDEN_GAMMA)))
    }

    /// A fresh generator; the same one every time.
    pub fn rng(self) -> ChaCha8Rng {
        let mut key = [0; 32];
        let mut state = self.0;
        for chunk in key.chunks_exact_mut(8) {
            state = state.wrapping_add(GOLDEN_GAMMA);
            chunk.copy_from_slice(&mix(state).to_le_bytes());
        }
        ChaCha8Rng::from_seed(key)
    }
}

impl TryFrom<u64> for Seed {
    type Error = SeedRangeError;

    fn try_from(value: u64) -> Result<Self, Self::Error> {
        Self::new(value)
    }
}

impl From<Seed> for u64 {
    fn from(seed: Seed) -> Self {
        seed.0
    }
}

impl std::fmt::Display for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// 2^64 / golden ratio: the increment of `SplitMix64`.
const GOLDEN_GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// The finaliser of `SplitMix64` (Steele, Lea and Flood 2014), a bijection that changes half the bits for each bit changed.
#[inline]
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A uniform variate in [0, 1) with 53 bits.
pub fn uniform(rng: &mut ChaCha8Rng) -> f64 {
    uniform_of(rng.next_u64())
}

/// The number in [0, 1) that a random word gives: its upper 53 bits.
#[inline]
fn uniform_of(word: u64) -> f64 {
    (word >> 11) as f64 * (1.0 / 9_007_199_254_740_992.0)
}

/// A uniform variate in [low, high).
pub fn uniform_between(rng: &mut ChaCha8Rng, low: f64, high: f64) -> f64 {
    low + (high - low) * uniform(rng)
}

/// A uniform index below `bound`, without bias (Lemire 2019).
///
/// # Panics
/// If `bound` is zero.
pub fn index_below(rng: &mut ChaCha8Rng, bound: u32) -> u32 {
    assert!(bound > 0, "no index is below zero");
    let threshold = bound.wrapping_neg() % bound;
    loop {
        let product = u64::from(rng.next_u32()) * u64::from(bound);
        if product as u32 >= threshold {
            return (product >> 32) as u32;
        }
    }
}

/// A uniformly random permutation of 0 .. `length` (Fisher and Yates).
pub fn permutation(rng: &mut ChaCha8Rng, length: u32) -> Vec<u32> {
    let mut order: Vec<u32> = (0..length).collect();
    for last in (1..length).rev() {
        order.swap(last as usize, index_below(rng, last + 1) as usize);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first draws are part of every result: if this test fails, all journalled runs have changed.
    #[test]
    fn first_draws_are_pinned() {
        let seed = Seed::new(1).unwrap();
        let mut rng = seed.rng();
        let words = [rng.next_u64(), rng.next_u64()];
        let plain = [seed.word(0), seed.word(1)];
        let child = seed.derive(Purpose::Task, 7);
        let mut rng = child.rng();
        let uniform = uniform(&mut rng);
        let mut normal = [0.0; 3];
        fill_normal(&mut rng, &mut normal);
        let permutation = permutation(&mut rng, 8);
        assert_eq!(words, PINNED_WORDS);
        assert_eq!(plain, PINNED_PLAIN_WORDS);
        assert_eq!(child.get(), PINNED_CHILD);
        assert_eq!(uniform.to_bits(), PINNED_UNIFORM);
        assert_eq!(normal.map(f64::to_bits), PINNED_NORMAL);
        assert_eq!(permutation, PINNED_PERMUTATION);
    }

    const PINNED_WORDS: [u64; 2] = [17_254_111_457_321_727_320, 9_958_508_360_252_413_363];
    /// As Vigna's `splitmix64.c` gives them for the state 1.
    const PINNED_PLAIN_WORDS: [u64; 2] = [10_451_216_379_200_822_465, 13_757_245_211_066_428_519];
    const PINNED_CHILD: u64 = 103_628_465_701_021_895;
    const PINNED_UNIFORM: u64 = 4_601_481_252_893_566_752;
    const PINNED_NORMAL: [u64; 3] =
        [13_830_652_169_122_210_868, 13_831_650_326_735_115_765, 4_606_238_925_024_356_982];
    const PINNED_PERMUTATION: [u32; 8] = [6, 0, 3, 4, 7, 5, 1, 2];

    #[test]
    fn children_differ_by_parent_purpose_and_index() {
        let mut seen = std::collections::BTreeSet::new();
        for parent in 0..10 {
            for purpose in [Purpose::Generation, Purpose::SearchBlock, Purpose::Task, Purpose::Fingerprint] {
                for index in 0..100 {
                    assert!(seen.insert(Seed::new(parent).unwrap().derive(purpose, index)));
                }
            }
        }
    }

    #[test]
    fn normal_variates_have_the_moments_of_the_normal_distribution() {
        let mut draws = vec![0.0; 100_000];
        fill_normal(&mut Seed::new(3).unwrap().rng(), &mut draws);
        let count = draws.len() as f64;
        let moment = |power: i32| draws.iter().map(|x| x.powi(power)).sum::<f64>() / count;
        // Five standard errors of each moment.
        assert!(moment(1).abs() < 5.0 / count.sqrt());
        assert!((moment(2) - 1.0).abs() < 5.0 * (2.0 / count).sqrt());
        assert!(moment(3).abs() < 5.0 * (15.0 / count).sqrt());
        assert!((moment(4) - 3.0).abs() < 5.0 * (96.0 / count).sqrt());
    }

    #[test]
    fn indices_are_uniform() {
        let mut rng = Seed::new(5).unwrap().rng();
        let mut counts = [0u32; 7];
        for _ in 0..70_000 {
            counts[index_below(&mut rng, 7) as usize] += 1;
        }
        let chi2: f64 = counts.iter().map(|&c| (f64::from(c) - 10_000.0).powi(2) / 10_000.0).sum();
        assert!(chi2 < 30.0, "{chi2}: above the 1 - 4e-5 quantile of chi-squared with 6 degrees");
    }

    #[test]
    fn seeds_from_two_to_the_63_on_are_refused() {
        assert!(Seed::new(Seed::LIMIT).is_err());
        assert!(Seed::new(Seed::LIMIT - 1).is_ok());
    }
}

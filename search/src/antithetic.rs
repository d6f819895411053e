//! Candidates in pairs that mirror each other at the mean, and what their ranks say: shared by PGPE and OpenAI-ES.

use hebbian_shared::fitness::Verdict;
use hebbian_shared::genome::Genome;
use hebbian_shared::id::BlockIndex;
use hebbian_shared::seed::{Purpose, Seed, fill_normal};

use super::Candidate;

/// The standard normal steps of one generation, one per pair: a function of seed and generation.
#[derive(Clone, Debug)]
pub(super) struct Pairs {
    dimension: usize,
    steps: Vec<f64>,
}

/// A pair without a diverged half, and how fit its halves are among all such pairs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct RankedPair {
    /// Which pair.
    pub(super) pair: usize,
    /// Centred rank of the half at m + s z: -0.5 of the worst candidate, 0.5 of the best.
    pub(super) plus: f64,
    /// Centred rank of the half at m - s z.
    pub(super) minus: f64,
}

impl Pairs {
    /// Draws the `population_size / 2` pairs of a generation.
    pub(super) fn draw(dimension: usize, population_size: usize, seed: Seed, generation: u32) -> Self {
        let mut rng = seed.derive(Purpose::Sampling, u64::from(generation)).rng();
        let mut steps = vec![0.0; dimension * (population_size / 2)];
        steps.chunks_exact_mut(dimension).for_each(|step| fill_normal(&mut rng, step));
        Self { dimension, steps }
    }

    /// The standard normal step z of a pair.
    pub(super) fn step(&self, pair: usize) -> &[f64] {
        &self.steps[pair * self.dimension..(pair + 1) * self.dimension]
    }

    /// Candidates 2 i and 2 i + 1 are m + s z and m - s z, with the i-th step z; `deviations` are s per coordinate.
    pub(super) fn candidates(&self, mean: &[f64], deviations: &[f64]) -> Vec<Candidate> {
        let candidate = |step: &[f64], sign: f64| {
            let coordinates = mean.iter().zip(deviations).zip(step);
            let genome = Genome(coordinates.map(|((m, s), z)| m + sign * s * z).collect());
            Candidate { genome, block: BlockIndex(0) }
        };
        let pair = |step| [candidate(step, 1.0), candidate(step, -1.0)];
        self.steps.chunks_exact(self.dimension).flat_map(pair).collect()
    }
}

/// Rank shaping (Wierstra et al. 2014, as Salimans et al. 2017 use it): the candidates of all pairs without a diverged
/// half get centred ranks, from -0.5 of the worst to 0.5 of the best. Equal ones share the average of their ranks.
///
/// A pair with a diverged half is dropped: what is left of it has no direction.
pub(super) fn rank(verdicts: &[Verdict]) -> Vec<RankedPair> {
    let complete = |pair: &usize| verdicts[2 * pair..2 * pair + 2].iter().all(|v| v.is_ranked());
    let pairs: Vec<usize> = (0..verdicts.len() / 2).filter(complete).collect();
    let mut order: Vec<usize> = pairs.iter().flat_map(|pair| [2 * pair, 2 * pair + 1]).collect();
    order.sort_by_key(|&candidate| verdicts[candidate]);
    let last = order.len().saturating_sub(1).max(1) as f64;
    let mut ranks = vec![0.0; verdicts.len()];
    let mut below = 0;
    for equals in order.chunk_by(|&a, &b| verdicts[a] == verdicts[b]) {
        let average = below as f64 + (equals.len() - 1) as f64 / 2.0;
        for &candidate in equals {
            ranks[candidate] = average / last - 0.5;
        }
        below += equals.len();
    }
    pairs
        .into_iter()
        .map(|pair| RankedPair { pair, plus: ranks[2 * pair], minus: ranks[2 * pair + 1] })
        .collect()
}

/// The gradient of the fitness's rank with respect to the mean, in units of the deviations: the average over pairs of
/// `(plus - minus) / 2 z`. `None` without any pair.
pub(super) fn mean_gradient(pairs: &Pairs, ranked: &[RankedPair]) -> Option<Vec<f64>> {
    if ranked.is_empty() {
        return None;
    }
    let mut gradient = vec![0.0; pairs.dimension];
    for ranked_pair in ranked {
        let weight = (ranked_pair.plus - ranked_pair.minus) / 2.0 / ranked.len() as f64;
        gradient.iter_mut().zip(pairs.step(ranked_pair.pair)).for_each(|(g, z)| *g += weight * z);
    }
    Some(gradient)
}

#[cfg(test)]
mod tests {
    use hebbian_shared::fitness::Fitness;

    use super::*;

    /// `None` is a diverged half; expected are (pair, plus, minus).
    fn check(fitnesses: &[Option<f64>], expected: &[(usize, f64, f64)]) {
        let verdict = |fitness: &Option<f64>| match fitness {
            Some(value) => Verdict::Fit(Fitness::new(*value).unwrap()),
            None => Verdict::Diverged { episodes: 1 },
        };
        let verdicts: Vec<Verdict> = fitnesses.iter().map(verdict).collect();
        let ranked = rank(&verdicts);
        let near = |r: &RankedPair, e: &(usize, f64, f64)| {
            r.pair == e.0 && (r.plus - e.1).abs() < 1e-12 && (r.minus - e.2).abs() < 1e-12
        };
        let agree = ranked.len() == expected.len() && ranked.iter().zip(expected).all(|(r, e)| near(r, e));
        assert!(agree, "{ranked:?} instead of {expected:?}");
    }

    #[test]
    fn ranks_are_centred_and_equals_share_theirs() {
        check(&[Some(1.0), Some(9.0)], &[(0, -0.5, 0.5)]);
        check(&[Some(5.0), Some(7.0), Some(6.0), Some(-1e9)], &[(0, -1.0 / 6.0, 0.5), (1, 1.0 / 6.0, -0.5)]);
        check(
            &[Some(3.0), Some(3.0), Some(3.0), Some(9.0)],
            &[(0, -1.0 / 6.0, -1.0 / 6.0), (1, -1.0 / 6.0, 0.5)],
        );
        check(&[Some(3.0); 4], &[(0, 0.0, 0.0), (1, 0.0, 0.0)]);
    }

    #[test]
    fn a_pair_with_a_diverged_half_is_dropped() {
        check(
            &[Some(1.0), None, Some(2.0), Some(3.0), None, Some(4.0), Some(0.0), Some(9.0)],
            &[(1, 1.0 / 3.0 - 0.5, 2.0 / 3.0 - 0.5), (3, -0.5, 0.5)],
        );
        check(&[None, None, Some(1.0), None], &[]);
    }

    #[test]
    fn halves_mirror_each_other_at_the_mean() {
        let pairs = Pairs::draw(3, 6, Seed::new(1).unwrap(), 4);
        let (mean, deviations) = ([1.0, -2.0, 3.0], [0.5, 1.0, 2.0]);
        let candidates = pairs.candidates(&mean, &deviations);
        assert_eq!(candidates.len(), 6);
        for (pair, halves) in candidates.chunks(2).enumerate() {
            for i in 0..3 {
                let (plus, minus) = (halves[0].genome.0[i], halves[1].genome.0[i]);
                assert!((f64::midpoint(plus, minus) - mean[i]).abs() < 1e-12);
                assert!((plus - mean[i] - deviations[i] * pairs.step(pair)[i]).abs() < 1e-12);
            }
        }
        assert_ne!(candidates[0], candidates[2]);
    }

    #[test]
    fn the_gradient_points_from_the_worse_half_to_the_better() {
        let pairs = Pairs { dimension: 2, steps: vec![1.0, 0.0, 0.0, 2.0] };
        let ranked = |pair, plus, minus| RankedPair { pair, plus, minus };
        let gradient = mean_gradient(&pairs, &[ranked(0, 0.5, -0.5), ranked(1, -0.25, 0.25)]);
        assert_eq!(gradient, Some(vec![0.25, -0.25]));
        assert_eq!(mean_gradient(&pairs, &[]), None);
    }
}

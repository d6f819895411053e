use hebbian_shared::seed::{Purpose, Seed, uniform};
use hebbian_shared::spec::strategy::{CmaEsSpec, NoiseHandling};

use super::super::CmaEs;
use super::*;
use crate::{Envelope, Frame, Measured, Strategy as _};

fn seed(number: u64) -> Seed {
    Seed::new(number).unwrap()
}

/// Low, high and mean of an integer, good samples and where they are centred to: `IntegerCentering` of pycma 4.5.0.
const OF_PYCMA: [([f64; 3], [f64; 4], [f64; 4]); 7] = [
    // What one is moved up, two others have room to take back by half; the one beyond the range is at its end.
    ([0.0, 1.0, 0.3], [0.2, 0.7, 0.4, -0.3], [0.1, 1.0, 0.2, 0.0]),
    ([0.0, 1.0, 0.9], [1.2, 0.8, 0.6, 0.3], [1.0, 0.9, 0.8, 0.0]),
    ([0.0, 15.0, 3.4], [3.2, 3.9, 2.2, 4.7], [3.0, 4.0, 2.0, 5.0]),
    // All have the mean's whole number.
    ([-5.0, 5.0, 0.1], [0.1, -0.2, 0.3, 0.45], [0.1, -0.2, 0.3, 0.45]),
    ([-5.0, 5.0, -2.6], [-2.7, -2.9, -3.2, -2.6], [-2.7, -2.9, -3.2, -2.6]),
    ([-5.0, 5.0, 4.8], [5.9, 4.6, 4.4, 5.2], [5.0, 5.0, 4.0, 5.0]),
    // Those with the mean's whole number lie above it: nobody has room to take back a shift down.
    ([-5.0, 5.0, 1.3], [1.1, 1.45, 1.8, 2.4], [1.1, 1.45, 2.0, 2.0]),
];

#[test]
fn centred_samples_are_pycmas() {
    for ([low, high, mean], samples, expected) in OF_PYCMA {
        let integer = Integer { coordinate: 0, offset: 0.0, slope: 1.0, low, high };
        let found = centred(&integer, mean, &samples);
        let close = found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-12);
        assert!(close, "{samples:?}: {found:?}, not {expected:?}");
    }
}

#[test]
fn the_least_deviation_is_pycmas() {
    for (n, integers, mu_eff, expected) in
        [(5, 4, 4.5, 0.2), (2, 1, 2.9, 0.2), (40, 40, 7.6, 0.19), (300, 300, 50.0, 50.0 / 300.0)]
    {
        let found = least_deviation(n, integers, mu_eff);
        assert!((found - expected).abs() < 1e-14, "{n}, {integers}: {found}, not {expected}");
    }
    // By the normal quantile, of which pycma has an approximation.
    let found = least_deviation(400, 400, 100.0);
    assert!((found / 0.164_443_392_556_984 - 1.0).abs() < 0.01, "{found}");
    // Beyond it an integer in 401 samples.
    assert!((with_above(1.0 / 802.0) * found - 0.5).abs() < 1e-12);
}

/// Whatever sigma and C have become, deviations are within their limits, among whole numbers; and nothing else changes.
#[test]
fn factors_keep_deviations_within_their_limits() {
    let integer = |coordinate, low, high| Integer { coordinate, offset: 2.5, slope: 0.25, low, high };
    let infinite = f64::INFINITY;
    let integers = vec![
        integer(0, 0.0, 1.0),
        integer(1, 0.0, 1.0),
        integer(3, -infinite, infinite),
        integer(4, 0.0, 30.0),
    ];
    // A real is never widened.
    let interval = |coordinate, length| Interval { coordinate, length };
    let intervals = vec![interval(2, 3.0), interval(5, 6.0), interval(6, f64::MAX)];
    let limits = Integers { least: 0.2, all: integers, intervals };
    let mut before = State::new(vec![0.25; 7], 0.5);
    // Deviations as they would be evaluated, with the factors of before.
    let deviations = [1e-9, 4.0, 1e-20, 1e5, 7.0, 30.0, 1e9];
    before.factors = vec![1.0, 2.0, 1.0, 1.0, 1.0, 0.5, 1.0];
    for (place, deviation) in deviations.into_iter().enumerate() {
        before.covariance[(place, place)] = (deviation / before.factors[place] / 0.5 / 0.25f64).powi(2);
    }
    let mut after = before.clone();
    limits.limit(&mut after);
    let found: Vec<f64> = after.sampled_deviations().map(|deviation| 0.25 * deviation).collect();
    for (found, expected) in found.iter().zip([0.2, 1.0 / 3.0, 1e-20, 1e5, 7.0, 0.25 * 2.0, 1e9]) {
        assert!((found / expected - 1.0).abs() < 1e-12, "{found}, not {expected}");
    }
    // What is within its limits keeps its factor to the bit.
    assert_eq!([2, 3, 4, 6].map(|place: usize| after.factors[place].to_bits()), [1f64.to_bits(); 4]);
    let factors = before.factors.clone();
    assert_eq!(State { factors, ..after }, before);
}

/// Good candidates alone are centred, in their integers alone; how long their steps are follows.
#[test]
fn good_candidates_are_centred_and_nothing_else_moves() {
    let (offset, slope) = (2.5, 0.25);
    let integer = Integer { coordinate: 1, offset, slope, low: -9.0, high: 9.0 };
    let limits = Integers { least: 0.2, all: vec![integer], intervals: vec![] };
    let mut state = State::new(vec![0.0, 2.0, 0.0], 0.5);
    state.factors = vec![1.0, 4.0, 1.0];
    let mut population = Population::new(3, 6);
    population.draw(&state, seed(1), false);
    let before = population.clone();
    let selected =
        |candidate, weight: f64| Selected { candidate, recombination: weight.max(0.0), covariance: weight };
    limits.centre(&state, &mut population, &[selected(0, 0.6), selected(3, 0.4), selected(5, -0.3)]);
    let value = |population: &Population, candidate| offset + slope * population.point(&state, candidate)[1];
    let mut moved = 0;
    for candidate in 0..6 {
        let (old, new) = (before.steps.column(candidate), population.steps.column(candidate));
        assert_eq!((old[0], old[2]), (new[0], new[2]));
        let (was, is) = (value(&before, candidate), value(&population, candidate));
        assert_eq!(libm::floor(was + 0.5), libm::floor(is + 0.5), "the same whole number");
        if [0, 3].contains(&candidate) {
            // The mean's whole number is 3.
            moved += usize::from(old[1] != new[1]);
            assert!(
                libm::floor(was + 0.5) == 3.0 || (is - libm::floor(was + 0.5)).abs() < 1e-12,
                "{was}: {is}"
            );
        } else {
            assert_eq!(old[1].to_bits(), new[1].to_bits());
        }
        let length: f64 = new.iter().map(|y| y * y).sum();
        assert!((length - population.squared_norms[candidate]).abs() < 1e-12 * length);
    }
    assert!(moved > 0);
}

/// Functions of 20 numbers on which integers that are only rounded get stuck.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Function {
    /// The sphere of ten reals, and ten bits that count up to the first 0: the paper's.
    SphereLeadingOnes,
    /// Twenty such bits.
    LeadingOnes,
    /// The sphere of integers from -10 to 10, of which the first samples see one value alone.
    NarrowSphere,
}

const N: usize = 20;

impl Function {
    fn bits(self) -> std::ops::Range<usize> {
        match self {
            Self::SphereLeadingOnes => N / 2..N,
            Self::LeadingOnes => 0..N,
            Self::NarrowSphere => N..N,
        }
    }

    /// To be minimised to 0.
    fn value(self, x: &[f64]) -> f64 {
        let (rest, bits) = x.split_at(self.bits().start);
        let leading = bits.iter().take_while(|&&bit| bit == 1.0).count();
        rest.iter().map(|x| x * x).sum::<f64>() + (bits.len() - leading) as f64
    }

    /// A search that rounds by itself, or, where the samples are narrow, has its points rounded by others.
    fn search(self, number: u64) -> CmaEs {
        let mut rng = seed(number).derive(Purpose::Task, 0).rng();
        let mut mean: Vec<f64> = (0..N).map(|_| 1.0 + 2.0 * uniform(&mut rng)).collect();
        self.bits().for_each(|bit| mean[bit] = (mean[bit] - 1.0) / 2.0);
        let plain = CmaEsSpec { step_size: 1.0, noise: NoiseHandling::None, ..CmaEsSpec::of(12) };
        if self == Self::NarrowSphere {
            let integers = (0..N)
                .map(|coordinate| Integer { coordinate, offset: 3.0, slope: 0.02, low: -10.0, high: 10.0 })
                .collect();
            return CmaEs::begin(vec![0.0; N], &plain, seed(number), &Frame { integers, ..Frame::default() });
        }
        let bounds = |bound: f64, other: f64| {
            (0..N).map(|i| if self.bits().contains(&i) { bound } else { other }).collect()
        };
        let settings = CmaEsSpec {
            integers: self.bits().map(|bit| bit as u32).collect(),
            lower_bounds: bounds(0.0, f64::NEG_INFINITY),
            upper_bounds: bounds(1.0, f64::INFINITY),
            ..plain
        };
        CmaEs::new(mean, &settings, seed(number))
    }

    /// Whether a candidate is best within 20,000 evaluations.
    fn is_solved(self, mut search: CmaEs) -> bool {
        for _ in 0..20_000 / 12 {
            let value = |candidate: &crate::Candidate| {
                let x = &candidate.genome.0;
                if self != Self::NarrowSphere {
                    return self.value(x);
                }
                let rounded = |x: &f64| libm::floor(3.0 + 0.02 * x + 0.5).clamp(-10.0, 10.0);
                self.value(&x.iter().map(rounded).collect::<Vec<_>>())
            };
            let values: Vec<f64> = search.ask().iter().map(value).collect();
            if values.iter().any(|value| *value < 1e-10) {
                return true;
            }
            search.tell(&values.iter().map(|value| Measured::of(-value)).collect::<Vec<_>>()).unwrap();
        }
        false
    }
}

#[test]
fn what_rounding_alone_leaves_stuck_gets_going() {
    const SEEDS: u64 = 16;
    for (function, solved_without) in
        [(Function::SphereLeadingOnes, 8), (Function::LeadingOnes, 10), (Function::NarrowSphere, 10)]
    {
        let solved = (1..=SEEDS).filter(|&number| function.is_solved(function.search(number)));
        assert_eq!(solved.count(), SEEDS as usize, "{function:?}");
        let rounded = |number| {
            let mut search = function.search(number);
            (search.integers, search.state.factors) = (None, Vec::new());
            search
        };
        let solved = (1..=SEEDS).filter(|&number| function.is_solved(rounded(number))).count();
        assert!(solved <= solved_without, "{function:?}: {solved} of {SEEDS} by rounding alone");
    }
}

#[test]
fn candidates_and_the_mean_have_whole_numbers_within_their_bounds() {
    let mut search = Function::SphereLeadingOnes.search(1);
    for _ in 0..50 {
        let candidates = search.ask();
        for genome in candidates.iter().map(|candidate| &candidate.genome).chain([&search.mean()]) {
            assert!(genome.0[N / 2..].iter().all(|bit| [0.0, 1.0].contains(bit)), "{genome:?}");
            assert!(genome.0[..N / 2].iter().any(|real| real.fract() != 0.0));
        }
        search.tell(&candidates.iter().map(|c| Measured::of(-c.genome.0[0])).collect::<Vec<_>>()).unwrap();
    }
    // What is put in is a sample of the wide distribution.
    let point = search.ask().swap_remove(2).genome;
    search.inject(std::slice::from_ref(&point)).unwrap();
    assert_eq!(search.ask()[11].genome.0[N / 2..], point.0[N / 2..]);
}

#[test]
fn only_a_search_with_integers_stores_factors() {
    let with = Function::LeadingOnes.search(1);
    let settings = CmaEsSpec { integers: vec![], ..with.settings.clone() };
    let without = CmaEs::new(vec![0.5; N], &settings, seed(1));
    let refused = |settings: &CmaEsSpec, state: &Envelope, expected: &str| {
        let found = CmaEs::restore(vec![0.5; N], settings, seed(1), state).map(|_| ());
        let message = found.expect_err(expected).to_string();
        assert!(message.contains(expected), "{message}");
    };
    refused(&with.settings, &without.state(), "reads version 2 of the state of cma-es, not 1");
    refused(&settings, &with.state(), "reads version 1 of the state of cma-es, not 2");
    // A factor of a real is 1, or between bounds below; that of an integer a number that can be computed with.
    let upper_bounds = (0..N).map(|i| if i == 2 { f64::INFINITY } else { 1.0 }).collect();
    let some = CmaEsSpec { integers: vec![0], lower_bounds: vec![0.0; N], upper_bounds, ..settings };
    let mut search = CmaEs::new(vec![0.5; N], &some, seed(1));
    for (place, factor) in [(0, f64::NAN), (0, 0.0), (1, 1.5), (1, 0.0), (2, 0.5)] {
        let before = std::mem::replace(&mut search.state.factors[place], factor);
        refused(&some, &search.state(), "no search can reach");
        search.state.factors[place] = before;
    }
    (search.state.factors[0], search.state.factors[1]) = (1.5, 0.5);
    assert!(CmaEs::restore(vec![0.5; N], &some, seed(1), &search.state()).is_ok());
}

/// On the plateau of a stuck bit no criterion ends the search before each bit had its chance.
#[test]
fn a_plateau_does_not_end_the_search_at_once() {
    let mut search = Function::LeadingOnes.search(2);
    let mut generations = 0;
    while search.stop_reason().is_none() {
        let told = vec![Measured::of(1.0); search.ask().len()];
        search.tell(&told).unwrap();
        generations += 1;
    }
    // `flat` takes 10 generations of reals, 33 of integers.
    assert_eq!((generations, search.stop_reason().unwrap().criterion.as_str()), (34, "flat"));
}

use hebbian_shared::seed::{Purpose, Seed, uniform};
use hebbian_shared::spec::strategy::{CmaEsSpec, NoiseHandling};

use super::super::CmaEs;
use super::*;
use crate::{Envelope, Frame, Measured, Strategy as _};

fn seed(number: u64) -> Seed {
    Seed::new(number).unwrap()
}

/// Low, high, mean, sigma sqrt(C) and factor before, mean and factor after: `CMAwM` of the Python package cmaes 0.13.1 with
/// 12 dimensions and 8 candidates.
const OF_CMAES: [(f64, f64, [f64; 3], [f64; 2]); 12] = [
    (0.0, 1.0, [0.3, 0.2, 1.0], [0.3, 1.0]),
    (0.0, 1.0, [0.3, 0.001, 1.0], [0.497_689_008_661_742_6, 1.0]),
    (0.0, 1.0, [0.9, 0.002, 5.0], [0.523_109_913_382_574_2, 5.0]),
    (0.0, 1.0, [-3.0, 0.5, 1.0], [-0.655_495_669_128_709, 1.0]),
    (-5.0, 5.0, [0.2, 0.01, 1.0], [0.0, 19.518_426_280_071_235]),
    (-5.0, 5.0, [0.49, 0.3, 1.0], [0.484_965_071_144_286_7, 1.281_664_541_971_658_8]),
    (-5.0, 5.0, [-4.3, 5e-5, 100.0], [-4.0, 3_903.685_256_014_247]),
    (-5.0, 5.0, [5.4, 0.05, 1.0], [4.615_549_566_912_871, 1.0]),
    (-5.0, 5.0, [9.0, 0.05, 1.0], [4.615_549_566_912_871, 1.0]),
    (-5.0, 5.0, [-2.0, 3.0, 1.0], [-2.0, 1.0]),
    (-5.0, 5.0, [2.3, 0.08, 2.0], [2.171_549_961_112_436, 3.276_899_602_339_448]),
    (0.0, 1000.0, [499.9, 1e-9, 1.0], [500.0, 195_184_262.800_712_35]),
];

/// The margin of these cases in genomes whose numbers stand for `offset + slope x`, and the state before and after.
fn corrected(offset: f64, slope: f64) -> (State, State) {
    let integers: Vec<Integer> = OF_CMAES
        .iter()
        .enumerate()
        .map(|(coordinate, &(low, high, ..))| Integer { coordinate, offset, slope, low, high })
        .collect();
    let margin = Margin { alpha: 1.0 / (12.0 * 8.0), integers };
    let mean = OF_CMAES.iter().map(|case| (case.2[0] - offset) / slope).collect();
    let mut state = State::new(mean, 0.5);
    for (place, case) in OF_CMAES.iter().enumerate() {
        state.covariance[(place, place)] = (case.2[1] / 0.5 / slope).powi(2);
    }
    state.factors = OF_CMAES.iter().map(|case| case.2[2]).collect();
    let before = state.clone();
    margin.correct(&mut state);
    (before, state)
}

#[test]
fn mean_and_factor_are_those_of_cmaes() {
    for (offset, slope) in [(0.0, 1.0), (2.5, 0.25)] {
        let (_, state) = corrected(offset, slope);
        for (place, (low, high, _, [mean, factor])) in OF_CMAES.iter().enumerate() {
            let found = offset + slope * state.mean[place];
            assert!(
                (found - mean).abs() < 1e-12 * mean.abs().max(1.0),
                "{low} to {high}: {found}, not {mean}"
            );
            let found = state.factors[place];
            assert!((found / factor - 1.0).abs() < 1e-12, "{low} to {high}: {found}, not {factor}");
        }
    }
}

#[test]
fn what_keeps_its_neighbours_stays_to_the_bit_and_nothing_else_of_the_state_changes() {
    let (before, after) = corrected(0.0, 1.0);
    for place in [0, 9] {
        assert_eq!(after.mean[place].to_bits(), before.mean[place].to_bits());
        assert_eq!(after.factors[place].to_bits(), 1f64.to_bits());
    }
    let State { mean, factors, .. } = before.clone();
    assert_eq!(State { mean, factors, ..after }, before);
}

/// Whatever the distribution has become, each neighbour keeps a probability of about half of alpha, at an end all of it.
#[test]
fn every_neighbour_keeps_its_probability() {
    let mut rng = seed(5).rng();
    let alpha = 1.0 / 96.0;
    for case in 0..20_000 {
        let low = libm::floor(-4.0 * uniform(&mut rng));
        let high = low + 1.0 + libm::floor(6.0 * uniform(&mut rng));
        let mean = low - 2.0 + (high - low + 4.0) * uniform(&mut rng);
        let (learnt, factor) = (libm::exp10(1.0 - 9.0 * uniform(&mut rng)), libm::exp10(uniform(&mut rng)));
        let margin = Margin { alpha, integers: vec![] };
        let integer = Integer { coordinate: 0, offset: 0.0, slope: 1.0, low, high };
        let (mean, factor) = match margin.corrected(&integer, mean, learnt, learnt * factor) {
            Some((mean, moved)) => (mean, moved.unwrap_or(factor)),
            None => (mean, factor),
        };
        let nearest = libm::floor(mean + 0.5).clamp(low, high);
        let probability = |from: f64, to: f64| {
            below((to - mean) / (learnt * factor)) - below((from - mean) / (learnt * factor))
        };
        let at_end = nearest == low || nearest == high;
        // Of the middle only that it is there: a wide distribution has all else beside it.
        let least = if at_end { 0.9 * alpha } else { 0.45 * alpha };
        if nearest > low {
            assert!(probability(f64::NEG_INFINITY, nearest - 0.5) > least, "{case}: {low} {high} {mean}");
        }
        if nearest < high {
            assert!(probability(nearest + 0.5, f64::INFINITY) > least, "{case}: {low} {high} {mean}");
        }
    }
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
fn what_rounding_alone_leaves_stuck_the_margin_gets_going() {
    const SEEDS: u64 = 16;
    for (function, solved_without) in
        [(Function::SphereLeadingOnes, 8), (Function::LeadingOnes, 10), (Function::NarrowSphere, 10)]
    {
        let solved = (1..=SEEDS).filter(|&number| function.is_solved(function.search(number)));
        assert_eq!(solved.count(), SEEDS as usize, "{function:?}");
        let rounded = |number| {
            let mut search = function.search(number);
            (search.margin, search.state.factors) = (None, Vec::new());
            search
        };
        let solved = (1..=SEEDS).filter(|&number| function.is_solved(rounded(number))).count();
        assert!(solved <= solved_without, "{function:?}: {solved} of {SEEDS} without the margin");
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
    // A factor of a real is 1, that of an integer a number that can be computed with.
    let some = CmaEsSpec { integers: vec![0], ..settings };
    let mut search = CmaEs::new(vec![0.5; N], &some, seed(1));
    for (place, factor) in [(0, f64::NAN), (0, 0.0), (1, 1.5)] {
        let before = std::mem::replace(&mut search.state.factors[place], factor);
        refused(&some, &search.state(), "no search can reach");
        search.state.factors[place] = before;
    }
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
    // `flat`, which takes 10 generations of reals, 10 n more of integers.
    assert_eq!((generations, search.stop_reason().unwrap().criterion.as_str()), (11 + 10 * N, "flat"));
}

//! LB+IC-CMA-ES: integers that keep moving.
//!
//! T. Marty, N. Hansen, A. Auger, Y. Semet, S. Héron, *LB+IC-CMA-ES: Two Simple Modifications of CMA-ES to Handle Mixed-Integer
//! Problems*, PPSN 2024, with the limits that pycma 4.5 has.
//!
//! An integer is a real that whoever evaluates it rounds. When its deviation is far below 1, all samples are rounded alike,
//! selection says nothing about it any more, and plain CMA-ES is stuck there. So its samples keep a *least deviation*: a factor of
//! its own, the diagonal of A beside C, widens them where sigma and C have become too narrow. What is learnt is learnt of steps
//! before they are widened.
//!
//! A mean that moves by good samples alone reaches another whole number only slowly, the narrower the samples the slower. So good
//! candidates whose whole number is not the mean's are *centred* on theirs: the evaluation was that of the whole number anyway. It
//! takes the mean away from where selection had it; the good candidates that round as the mean does make up for that, as far as
//! they can: they move towards their whole number.

use super::super::ranking::Selected;
use super::sampling::Population;
use super::space::Space;
use super::state::{State, is_workable};
use crate::normal::with_above;
use crate::{Frame, Integer, Interval};

/// No least deviation is larger: a mean on its whole number leaves it once in 80 samples.
const LEAST_MAX: f64 = 0.2;
/// The largest deviation as a share of a number's range: beyond it samples are clipped alike, or folded back to anywhere.
const SHARE_MAX: f64 = 1.0 / 3.0;

/// The integers of a search, and how they are kept moving.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Integers {
    /// The least deviation among whole numbers.
    least: f64,
    /// In the search's coordinates.
    all: Vec<Integer>,
    /// The reals between two bounds, in the search's coordinates.
    intervals: Vec<Interval>,
}

impl Integers {
    /// `None` of a search without integers.
    pub(super) fn new(space: &Space, frame: &Frame, mu_eff: f64) -> Option<Self> {
        let integers = space.integers(&frame.integers);
        let mut intervals = space.intervals(&frame.intervals);
        intervals.retain(|interval| integers.iter().all(|integer| integer.coordinate != interval.coordinate));
        let least = least_deviation(space.dimension(), integers.len(), mu_eff);
        // A search whose integers are all fixed has nothing to do here: the form of its state depends on the settings alone.
        let has_any = !integers.is_empty() || !frame.integers.is_empty();
        has_any.then_some(Self { least, all: integers, intervals })
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.all.len()
    }

    /// The diagonal of A at the beginning, in n dimensions.
    pub(super) fn factors(n: usize) -> Vec<f64> {
        vec![1.0; n]
    }

    /// Whether these can be its factors.
    pub(super) fn has(&self, factors: &[f64], n: usize) -> bool {
        let is_integer = |coordinate| self.all.iter().any(|integer| integer.coordinate == coordinate);
        let is_bounded = |coordinate| self.intervals.iter().any(|interval| interval.coordinate == coordinate);
        // Nothing widens a real.
        let fits = |(coordinate, &factor): (usize, &f64)| {
            factor == 1.0
                || is_workable(factor) && (is_integer(coordinate) || is_bounded(coordinate) && factor < 1.0)
        };
        factors.len() == n && factors.iter().enumerate().all(fits)
    }

    /// Makes the factors such that no integer's deviation is below the least, and no deviation beyond what its range has room for.
    pub(super) fn limit(&self, state: &mut State) {
        for integer in &self.all {
            let most = (SHARE_MAX * (integer.high - integer.low)).max(self.least);
            limit(state, integer.coordinate, integer.slope, self.least, most);
        }
        for &Interval { coordinate, length } in &self.intervals {
            limit(state, coordinate, 1.0, 0.0, SHARE_MAX * length);
        }
    }

    /// Centres the candidates that the mean moves by.
    pub(super) fn centre(&self, state: &State, population: &mut Population, selected: &[Selected]) {
        let good: Vec<usize> =
            selected.iter().filter(|s| s.recombination > 0.0).map(|s| s.candidate).collect();
        let mut steps = population.steps.clone();
        for integer in &self.all {
            let Integer { coordinate, offset, slope, .. } = *integer;
            let unit = slope * state.step_size * state.factor(coordinate);
            let mean = offset + slope * state.mean[coordinate];
            let samples: Vec<f64> =
                good.iter().map(|&candidate| mean + unit * steps[(coordinate, candidate)]).collect();
            for (&candidate, sample) in good.iter().zip(centred(integer, mean, &samples)) {
                steps[(coordinate, candidate)] = (sample - mean) / unit;
            }
        }
        *population = Population::of_steps(state, steps);
    }
}

/// Makes a coordinate's factor such that its deviation, in units of which it has `slope`, is neither below the least nor above the most.
fn limit(state: &mut State, place: usize, slope: f64, least: f64, most: f64) {
    let learnt = slope * state.step_size * state.covariance[(place, place)].sqrt();
    let sampled = learnt * state.factors[place];
    if sampled < least || sampled > most {
        let factor = sampled.clamp(least, most) / learnt;
        if is_workable(factor) {
            state.factors[place] = factor;
        }
    }
}

/// Where samples among whole numbers are centred to.
fn centred(integer: &Integer, mean: f64, samples: &[f64]) -> Vec<f64> {
    let round = |x: f64| libm::floor(x + 0.5);
    let own = round(mean);
    // Beyond its range all is the range's end.
    let mut samples: Vec<f64> = samples.iter().map(|x| x.clamp(integer.low, integer.high)).collect();
    let (mut shift, mut up, mut down) = (0.0, 0.0, 0.0);
    for sample in &mut samples {
        let way = round(*sample) - *sample;
        if round(*sample) != own {
            shift += way;
            *sample += way;
        } else if way > 0.0 {
            up += way;
        } else {
            down -= way;
        }
    }
    // Those with the mean's whole number take back as much of the shift as they have room for.
    let room = if shift < 0.0 { up } else { down };
    if shift == 0.0 || room == 0.0 {
        return samples;
    }
    let share = (shift.abs() / room).min(1.0);
    for sample in &mut samples {
        let way = round(*sample) - *sample;
        if round(*sample) == own && way * shift < 0.0 {
            *sample += share * way;
        }
    }
    samples
}

/// The least deviation of integers in n dimensions.
fn least_deviation(n: usize, integers: usize, mu_eff: f64) -> f64 {
    // The probability that an integer whose mean is on a whole number has another one in a sample.
    let leaves = 2.0 / (2 + n + integers) as f64;
    LEAST_MAX.min(mu_eff / n as f64).min(0.5 / with_above(leaves / 2.0))
}

#[cfg(test)]
mod tests;

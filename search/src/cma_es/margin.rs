//! CMA-ES with margin: integers that keep moving.
//!
//! R. Hamano, S. Saito, M. Nomura, S. Shirakawa, *CMA-ES with Margin: Lower-Bounding Marginal Probability for Mixed-Integer
//! Black-Box Optimization*, GECCO 2022, arXiv 2205.13482. Equation numbers are the paper's.
//!
//! An integer is a real that whoever evaluates it rounds. When its deviation is far below 1, all samples are rounded alike,
//! selection says nothing about it any more, and plain CMA-ES is stuck there. So a diagonal matrix A beside C widens the samples:
//! after each update mean and A are moved such that the integers on either side of the mean's keep a probability of about
//! `alpha`. What is learnt (C, sigma, both paths) never sees A.

use super::space::Space;
use super::state::{State, is_workable};
use crate::Integer;
use crate::normal::{below, with_above};

/// Probabilities are kept so far from 0 and from one half that distances are finite and not zero.
const PROBABILITY_MIN: f64 = 1e-10;

/// The integers of a search, and how much their neighbours are kept probable.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Margin {
    /// The margin: 1 / (n lambda).
    alpha: f64,
    /// In the search's coordinates.
    integers: Vec<Integer>,
}

impl Margin {
    /// `None` of a search without integers.
    pub(super) fn new(space: &Space, rounded_by_others: &[Integer], population_size: usize) -> Option<Self> {
        let integers = space.integers(rounded_by_others);
        let alpha = 1.0 / (space.dimension() as f64 * population_size as f64);
        // A search whose integers are all fixed has a margin with nothing to do: the form of its state depends on the settings alone.
        let has_any = !integers.is_empty() || !rounded_by_others.is_empty();
        has_any.then_some(Self { alpha, integers })
    }

    /// The diagonal of A at the beginning, in n dimensions.
    pub(super) fn factors(n: usize) -> Vec<f64> {
        vec![1.0; n]
    }

    /// Whether these can be its factors.
    pub(super) fn has(&self, factors: &[f64], n: usize) -> bool {
        let is_integer = |coordinate| self.integers.iter().any(|integer| integer.coordinate == coordinate);
        let fits = |(coordinate, factor): (usize, &f64)| {
            if is_integer(coordinate) { is_workable(*factor) } else { *factor == 1.0 }
        };
        factors.len() == n && factors.iter().enumerate().all(fits)
    }

    /// Moves mean and A after an update, with sigma and C as they are.
    pub(super) fn correct(&self, state: &mut State) {
        for integer in &self.integers {
            let place = integer.coordinate;
            let learnt = integer.slope * state.step_size * state.covariance[(place, place)].sqrt();
            let sampled = learnt * state.factors[place];
            let mean = integer.offset + integer.slope * state.mean[place];
            let Some((moved, factor)) = self.corrected(integer, mean, learnt, sampled) else { continue };
            state.mean[place] = (moved - integer.offset) / integer.slope;
            if let Some(factor) = factor.filter(|factor| is_workable(*factor)) {
                state.factors[place] = factor;
            }
        }
    }

    /// The mean among whole numbers, and the factor unless it stays, of an integer whose neighbours are too improbable; `None` if they
    /// are not.
    fn corrected(
        &self,
        integer: &Integer,
        mean: f64,
        learnt: f64,
        sampled: f64,
    ) -> Option<(f64, Option<f64>)> {
        let Integer { low, high, .. } = *integer;
        let nearest = libm::floor(mean + 0.5).clamp(low, high);
        // Where rounding changes on either side of the mean; at an end of the range both are the same.
        let lower = (nearest - 0.5).max(low + 0.5);
        let upper = (nearest + 0.5).min(high - 0.5);
        let (p_low, p_up) = (below((lower - mean) / sampled), below((mean - upper) / sampled));
        if p_low.max(p_up) > 0.5 {
            // (13): at an end the one neighbour is kept probable by the mean alone.
            let far = upper + sampled * with_above(self.alpha).copysign(mean - upper);
            return (p_low.min(p_up) < self.alpha).then_some((far, None));
        }
        let least = self.alpha / 2.0;
        if p_low >= least && p_up >= least {
            return None;
        }
        // (14) to (18): what one neighbour gains is taken from the others in proportion to what they can spare.
        let p_middle = 1.0 - (p_low + p_up);
        let (p_low, p_up) = (p_low.max(least), p_up.max(least));
        let sum = p_low + p_middle + p_up;
        let share = |p: f64| {
            let p = p + (1.0 - sum) * (p - least) / (sum - 3.0 * least);
            p.clamp(PROBABILITY_MIN, 0.5 - PROBABILITY_MIN)
        };
        // (19), (20): the one mean and deviation with these probabilities.
        let (to_lower, to_upper) = (with_above(share(p_low)), with_above(share(p_up)));
        let factor = (upper - lower) / ((to_lower + to_upper) * learnt);
        let moved = (lower * to_upper + upper * to_lower) / (to_lower + to_upper);
        Some((moved, Some(factor)))
    }
}

#[cfg(test)]
mod tests;

//! When CMA-ES itself ends: what it remembers for its criteria, and the criteria.
//!
//! Names and limits are pycma's. Each criterion tells the figure that met it. Those that compare fitnesses are for exact
//! fitness only: in noise, or where every generation meets other tasks, equal and stagnating values prove nothing.

use hebbian_shared::fitness::Verdict;
use serde::{Deserialize, Serialize};

use super::super::stop::{deviations_grew, deviations_vanished, numbers_ended, reason, without_effect};
use super::state::State;
use crate::StopReason;

/// The largest condition number that double precision carries (`condition`).
const CONDITION_MAX: f64 = 1e14;
/// How much faster than the longest axis the step size may have grown (`tolupsigma`).
const STEP_SIZE_GAIN_MAX: f64 = 1e20;
/// Below this range of fitnesses, in one generation and in the history of the best, nothing is left to gain (`tolfun`).
const FITNESS_RANGE_MIN: f64 = 1e-11;
/// The same of the history alone (`tolfunhist`).
const HISTORY_RANGE_MIN: f64 = 1e-12;
/// Generations in a row of which the best three quarters may be equal (`flat`).
const FLAT_GENERATIONS_MAX: u32 = 10;
/// Moves of the mean below this many initial step sizes are none (`tolxstagnation`).
const MOVE_MIN: f64 = 1e-9;
/// The longest history that is kept for `stagnation`.
const HISTORY_MAX: usize = 20_000;
/// The shortest look back of `stagnation` with integers, in which a good step is rare: pycma's of all searches.
const STAGNATION_OF_INTEGERS: usize = 500;
/// Every so many updates the two ends of the history are compared.
const STAGNATION_INTERVAL: u32 = 10;

/// What the criteria look at beyond the state of the search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct History {
    /// Best fitness of recent generations, the last one last.
    best: Vec<f64>,
    /// Median fitness of recent generations.
    median: Vec<f64>,
    /// Range of the last generation's fitnesses.
    range: f64,
    /// Generations in a row with equal fitnesses.
    flat: u32,
    /// The mean when it last moved.
    anchor: Vec<f64>,
    /// Generations since.
    still: u32,
}

impl History {
    /// Nothing has been seen.
    pub(super) fn new(mean: &[f64]) -> Self {
        Self { best: vec![], median: vec![], range: 0.0, flat: 0, anchor: mean.to_vec(), still: 0 }
    }

    /// Takes note of a told generation. Without `compares_fitness` fitnesses are forgotten.
    pub(super) fn note(
        &mut self,
        verdicts: &[Verdict],
        state: &State,
        initial_step_size: f64,
        compares_fitness: bool,
    ) {
        if verdicts.iter().all(|verdict| !verdict.is_ranked()) {
            return;
        }
        let limit = MOVE_MIN * initial_step_size;
        if state.mean.iter().zip(&self.anchor).any(|(m, a)| (m - a).abs() > limit) {
            self.anchor.copy_from_slice(&state.mean);
            self.still = 0;
        } else {
            self.still = self.still.saturating_add(1);
        }
        if !compares_fitness {
            (self.range, self.flat) = (0.0, 0);
            self.best.clear();
            self.median.clear();
            return;
        }
        let mut fits: Vec<f64> = verdicts.iter().filter_map(|v| Some(v.fitness()?.get())).collect();
        if fits.is_empty() {
            // Violations alone are no fitness to compare.
            (self.range, self.flat) = (0.0, 0);
            return;
        }
        fits.sort_unstable_by(|a, b| b.total_cmp(a));
        let (best, worst) = (fits[0], fits[fits.len() - 1]);
        self.range = best - worst;
        let is_flat = verdicts.len() > 1 && fits.get(3 * verdicts.len() / 4).is_some_and(|&fit| fit == best);
        self.flat = if is_flat { self.flat.saturating_add(1) } else { 0 };
        self.best.push(best);
        self.median.push(fits[fits.len() / 2]);
        let kept = (state.updates as usize / 5).clamp(stagnation_span(state, verdicts.len()), HISTORY_MAX);
        // Only now and then: removing from the front moves all.
        if self.best.len() >= kept + kept / 4 + 16 {
            let excess = self.best.len() - kept;
            self.best.drain(..excess);
            self.median.drain(..excess);
        }
    }

    /// Whether a search of n dimensions can reach it.
    pub(super) fn is_sound(&self, n: usize) -> bool {
        let finite = |values: &[f64]| values.iter().all(|value| value.is_finite());
        self.anchor.len() == n
            && self.best.len() == self.median.len()
            && finite(&self.best)
            && finite(&self.median)
            && finite(&self.anchor)
    }
}

/// Generations in a row of which the best three quarters may be equal, with integers among the coordinates pycma's.
fn flat_generations_max(n: usize, integers: usize) -> u32 {
    if integers == 0 { FLAT_GENERATIONS_MAX } else { 3 + (30 * integers / n) as u32 }
}

/// Generations that `tolfun` and `tolfunhist` look back.
fn short_span(n: usize, population_size: usize) -> usize {
    10 + (30.0 * n as f64 / population_size as f64).ceil() as usize
}

/// Generations that `stagnation` looks back at least: the tutorial's (B.3), or pycma's where that is more. With many
/// dimensions and a bad condition the first progress takes so long that the tutorial's would end good searches.
fn stagnation_span(state: &State, population_size: usize) -> usize {
    let n = state.mean.len();
    let of_pycma = 20.0 + 20.0 * (n as f64).powi(3).sqrt() / population_size as f64;
    let least = if state.factors.is_empty() { 0 } else { STAGNATION_OF_INTEGERS };
    (120 + 30 * n / population_size).max(of_pycma as usize).max(least).min(HISTORY_MAX)
}

/// What the criteria are applied to.
pub(super) struct Search<'a> {
    pub(super) state: &'a State,
    pub(super) history: &'a History,
    pub(super) initial_step_size: f64,
    pub(super) population_size: usize,
    /// Learning rate of the mean: in noise the step size is larger by its inverse.
    pub(super) mean_rate: f64,
    /// Whether no noise is known of.
    pub(super) is_exact: bool,
    /// Whether fitnesses of different generations can be compared.
    pub(super) compares_fitness: bool,
    /// How many of the coordinates are integers: plateaus are natural to them.
    pub(super) integers: usize,
}

impl Search<'_> {
    /// The first criterion that is met.
    pub(super) fn stop_reason(&self) -> Option<StopReason> {
        self.of_distribution()
            .or_else(|| self.of_precision())
            .or_else(|| if self.compares_fitness { self.of_fitness() } else { None })
    }

    fn of_distribution(&self) -> Option<StopReason> {
        let Self { state, initial_step_size, .. } = *self;
        let step_size = state.step_size;
        if state.stuck {
            return Some(numbers_ended(step_size));
        }
        let longest_path = state.covariance_path.iter().fold(0.0f64, |longest, p| longest.max(p.abs()));
        let reach = state.deviations().fold(step_size * longest_path, f64::max);
        if let Some(vanished) = deviations_vanished(reach, initial_step_size) {
            return Some(vanished);
        }
        let (shortest, longest) = state.axis_range();
        let condition = (longest / shortest).powi(2);
        if condition > CONDITION_MAX {
            return Some(reason("condition", format!("condition {condition:e} (limit {CONDITION_MAX:e})")));
        }
        let gain = step_size / initial_step_size / longest;
        if gain > STEP_SIZE_GAIN_MAX {
            let detail =
                format!("step size over longest axis grew {gain:e} times (limit {STEP_SIZE_GAIN_MAX:e})");
            return Some(reason("tolupsigma", detail));
        }
        None
    }

    fn of_precision(&self) -> Option<StopReason> {
        let Self { state, initial_step_size, .. } = *self;
        let n = state.mean.len();
        // An integer that was widened has not grown, nor one that is kept within its range.
        let grown = state.deviations().enumerate().map(|(i, deviation)| deviation * state.factor(i).min(1.0));
        let gain = grown.fold(0.0, f64::max) * self.mean_rate / initial_step_size;
        if let Some(grown) = deviations_grew(gain) {
            return Some(grown);
        }
        let axis = state.generation as usize % n;
        let length = 0.1 * state.step_size * state.axis_lengths[axis];
        let direction = state.eigenbasis.column(axis);
        let is_lost = |(i, (&m, b)): (usize, (&f64, &f64))| m + length * b * state.factor(i) == m;
        if state.mean.iter().zip(direction).enumerate().all(is_lost) {
            let detail = format!("a tenth of axis {axis}'s deviation, {length:e}, does not change the mean");
            return Some(reason("noeffectaxis", detail));
        }
        if let Some(lost) = without_effect(&state.mean, state.sampled_deviations()) {
            return Some(lost);
        }
        let limit = 20 + state.generation / 10;
        if self.is_exact && self.history.still > limit {
            let detail =
                format!("the mean has not moved for {} generations (limit {limit})", self.history.still);
            return Some(reason("tolxstagnation", detail));
        }
        None
    }

    fn of_fitness(&self) -> Option<StopReason> {
        let Self { state, history, population_size, .. } = *self;
        let n = state.mean.len();
        let limit = flat_generations_max(n, self.integers);
        if history.flat > limit {
            let detail = format!(
                "three quarters of the fitnesses are equal for {} generations (limit {limit})",
                history.flat
            );
            return Some(reason("flat", detail));
        }
        let span = short_span(n, population_size);
        // Fitness of integers alone has no digits that could be exhausted.
        if self.integers < n && history.best.len() >= span {
            let recent = &history.best[history.best.len() - span..];
            let ends = recent
                .iter()
                .fold((f64::INFINITY, f64::NEG_INFINITY), |ends, &b| (ends.0.min(b), ends.1.max(b)));
            let range = ends.1 - ends.0;
            if range.max(history.range) < FITNESS_RANGE_MIN {
                let range = range.max(history.range);
                let detail = format!(
                    "fitnesses differ by {range:e} over {span} generations (limit {FITNESS_RANGE_MIN:e})"
                );
                return Some(reason("tolfun", detail));
            }
            if range < HISTORY_RANGE_MIN {
                let detail = format!(
                    "the best differ by {range:e} over {span} generations (limit {HISTORY_RANGE_MIN:e})"
                );
                return Some(reason("tolfunhist", detail));
            }
        }
        let span = (state.updates as usize / 5).clamp(stagnation_span(state, population_size), HISTORY_MAX);
        if state.updates.is_multiple_of(STAGNATION_INTERVAL) && history.best.len() >= span {
            let gain = |values: &[f64]| {
                let recent = &values[values.len() - span..];
                let share = 3 * span / 10;
                median(&recent[span - share..]) - median(&recent[..share])
            };
            let (best, middle) = (gain(&history.best), gain(&history.median));
            if best <= 0.0 && middle <= 0.0 {
                let detail =
                    format!("best and median fitness gained {best:e} and {middle:e} in {span} generations");
                return Some(reason("stagnation", detail));
            }
        }
        None
    }
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    let middle = values.len() / 2;
    *values.select_nth_unstable_by(middle, f64::total_cmp).1
}

#[cfg(test)]
mod tests;

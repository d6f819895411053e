//! Asynchronous search: candidates that enter a later generation than the one that they were drawn in.
//!
//! A generation closes as soon as lambda candidates have arrived, whichever they are. The others stay open and enter when they come:
//! they are *late*, and their *age* is the generations between. By then the distribution has moved on, and a late candidate says
//! less of it. Its step is taken from half way between the mean at its birth and the present one: from the present mean, the way
//! that the search has gone since would count as its own; from the birth's, a step that the search has made since would be made
//! again. It is shortened to a length that the distribution might have drawn, and weighs the less, the older it is. Where late
//! candidates entered as if they were new, a search with many of them would diverge.

use serde::{Deserialize, Serialize};

use super::super::ranking::Selected;
use super::super::{Birth, StrategyError};
use super::sampling::Population;
use super::state::State;
use crate::linear_algebra::matrix::Matrix;

/// The share of a candidate's weight that a generation of age takes, of what is left: 1 / (1 + `DECAY` age).
const DECAY: f64 = 0.05;
/// From this age on a bad candidate shrinks nothing: where it is bad is no longer where samples are drawn.
const AGE_WITHOUT_SHRINKING: u32 = 4;

/// The open generation of an asynchronous search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Open {
    /// Candidates of earlier generations.
    pub(super) late: Vec<Late>,
    /// Candidates drawn in this one.
    pub(super) fresh: u32,
}

/// A candidate of an earlier generation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Late {
    birth: Birth,
    /// The mean at its birth.
    mean: Vec<f64>,
    /// From there to the sample.
    step: Vec<f64>,
    /// Where it is measured.
    pub(super) point: Vec<f64>,
}

impl Open {
    /// A generation of which nothing is late.
    pub(super) fn of(fresh: u32) -> Self {
        Self { late: Vec::new(), fresh }
    }

    /// Candidates.
    pub(super) fn candidates(&self) -> usize {
        self.late.len() + self.fresh as usize
    }

    /// When and as which candidate each of them was drawn.
    pub(super) fn births(&self, generation: u32) -> Vec<Birth> {
        let late = self.late.iter().map(|late| late.birth);
        let fresh = (self.late.len() as u32..self.candidates() as u32)
            .map(|candidate| Birth { generation, candidate });
        late.chain(fresh).collect()
    }

    /// The generation after it, in which `kept` are late; the population is that of the fresh ones.
    pub(super) fn next(&self, state: &State, population: &Population, kept: &[u32], fresh: u32) -> Self {
        let late = |&candidate: &u32| {
            let Some(place) = (candidate as usize).checked_sub(self.late.len()) else {
                return self.late[candidate as usize].clone();
            };
            let steps = population.steps.column(place).iter().enumerate();
            Late {
                birth: Birth { generation: state.generation, candidate },
                mean: state.mean.clone(),
                step: steps.map(|(i, y)| state.step_size * (state.factor(i) * y)).collect(),
                point: population.point(state, place),
            }
        };
        Self { late: kept.iter().map(late).collect(), fresh }
    }

    /// The population of those that have arrived, and their ages.
    pub(super) fn arrived(
        &self,
        state: &State,
        population: &Population,
        arrived: impl Iterator<Item = u32> + Clone,
    ) -> (Population, Vec<u32>) {
        let n = state.mean.len();
        let from_half_way = |late: &Late| -> Vec<f64> {
            let way = late.mean.iter().zip(&state.mean).map(|(then, now)| (then - now) / 2.0);
            let steps = late.step.iter().zip(way).enumerate();
            steps.map(|(i, (step, way))| (step + way) / state.step_size / state.factor(i)).collect()
        };
        let steps = arrived.clone().map(|candidate| match self.late.get(candidate as usize) {
            Some(late) => from_half_way(late),
            None => population.steps.column(candidate as usize - self.late.len()).to_vec(),
        });
        let steps: Vec<Vec<f64>> = steps.collect();
        let mut of = Population::of_steps(state, Matrix::from_fn(n, steps.len(), |i, k| steps[k][i]));
        let mut ages = Vec::with_capacity(steps.len());
        for (place, candidate) in arrived.enumerate() {
            let late = self.late.get(candidate as usize);
            ages.push(late.map_or(0, |late| state.generation - late.birth.generation));
            match late {
                Some(_) => of.shorten(place),
                // As it was drawn, to the bit.
                None => {
                    of.squared_norms[place] = population.squared_norms[candidate as usize - self.late.len()];
                }
            }
        }
        (of, ages)
    }

    /// Whether a search of `n` dimensions can have it open.
    pub(super) fn is_sound(&self, n: usize, generation: u32, population_size: usize) -> bool {
        let finite = |values: &[f64]| values.len() == n && values.iter().all(|value| value.is_finite());
        let sound = |late: &Late| {
            late.birth.generation < generation
                && finite(&late.mean)
                && finite(&late.step)
                && finite(&late.point)
        };
        let fits = self.candidates() >= population_size && self.candidates() <= CANDIDATES_MAX;
        let mut births: Vec<Birth> = self.late.iter().map(|late| late.birth).collect();
        births.sort_unstable();
        fits && self.late.iter().all(sound) && births.windows(2).all(|pair| pair[0] != pair[1])
    }

    /// Refuses a turn to the next generation that cannot be: what has arrived and what is kept are different candidates of this
    /// one, and enough are open afterwards.
    pub(super) fn check(
        &self,
        arrived: impl Iterator<Item = u32>,
        kept: &[u32],
        fresh: u32,
        population_size: usize,
    ) -> Result<(), StrategyError> {
        let mut is_named = vec![false; self.candidates()];
        let mut count = 0;
        for candidate in arrived.inspect(|_| count += 1).chain(kept.iter().copied()) {
            let named = is_named.get_mut(candidate as usize).map(|named| std::mem::replace(named, true));
            let problem = match named {
                None => format!("there are {} candidates, counted from 0", self.candidates()),
                Some(true) => "it is named twice".to_owned(),
                Some(false) => continue,
            };
            return Err(StrategyError::Sample { candidate: candidate as usize, problem });
        }
        if count != population_size {
            return Err(StrategyError::VerdictCount { expected: population_size, found: count });
        }
        let open = kept.len() + fresh as usize;
        if (population_size..=CANDIDATES_MAX).contains(&open) {
            return Ok(());
        }
        let problem =
            format!("{open} candidates would be open, and a generation closes with {population_size}");
        Err(StrategyError::Sample { candidate: open, problem })
    }
}

/// More candidates than a generation of a run can have.
const CANDIDATES_MAX: usize = 1 << 24;

/// Takes its age from the weight of each selected candidate. Together they move the mean as far as before.
pub(super) fn weigh_by_age(selected: &mut [Selected], ages: &[u32]) {
    let total = |selected: &[Selected]| selected.iter().map(|s| s.recombination).sum::<f64>();
    let before = total(selected);
    for s in selected.iter_mut() {
        let age = ages[s.candidate];
        let share = 1.0 / (1.0 + DECAY * f64::from(age));
        s.recombination *= share;
        s.covariance *= share;
        if age >= AGE_WITHOUT_SHRINKING {
            s.covariance = s.covariance.max(0.0);
        }
    }
    let after = total(selected);
    if after > 0.0 && after < before {
        for s in selected.iter_mut() {
            s.recombination *= before / after;
            if s.covariance > 0.0 {
                s.covariance *= before / after;
            }
        }
    }
}

#[cfg(test)]
mod tests;

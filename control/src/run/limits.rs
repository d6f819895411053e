//! The limits of a run: when they end its search, and what it means to raise them.
//!
//! Limits belong to the run, and its search knows nothing of them. So with raised limits the run is the one that had them from its
//! start; what came of the old end (the measurement of the result) is set aside.

use std::sync::Arc;
use std::time::Duration;

use hebbian_proto::figures::RunState;
use hebbian_proto::v1::StopReason;
use hebbian_search::stop;
use hebbian_shared::id::GenerationIndex;
use hebbian_shared::spec::stop::StopSpec;
use hebbian_shared::spec::{RunSpec, SpecError};
use hebbian_shared::time::Timestamp;

use super::Run;
use super::record::{Record, Write};
use super::search::stop_reason;

/// Why a run's limits cannot be raised.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExtendError {
    /// The limits are no limits, or not above the present ones.
    #[error(transparent)]
    Limits(#[from] SpecError),
    /// The search would end at once.
    #[error("would end again at once by {} ({})", .0.criterion, .0.detail)]
    Ended(StopReason),
}

impl Run {
    /// Raises limits. A run whose search had ended goes on: it has to be opened again. An error says why that would change
    /// nothing.
    pub fn extend(&mut self, now: Timestamp, by: &StopSpec, out: &mut Vec<Write>) -> Result<(), ExtendError> {
        let spec = RunSpec {
            stop: self.spec.stop.extended(by, |target| self.spec.orient_target(target))?,
            ..RunSpec::clone(&self.spec)
        };
        spec.validate()?;
        if self.search_ended.is_some()
            && let Some(met) = self.would_end(now, &spec.stop)
        {
            return Err(ExtendError::Ended(met));
        }
        self.commit(now, Record::Extended { stop: spec.stop }, out);
        if self.state.is_final() {
            self.change_state(now, RunState::RUNNING, out);
        }
        Ok(())
    }

    /// Takes raised limits, and goes back from the measurement of the result to the search.
    pub(super) fn extended(&mut self, stop: &StopSpec) {
        let spec = RunSpec { stop: stop.clone(), ..RunSpec::clone(&self.spec) };
        self.spec = Arc::new(spec.into());
        self.time_limit = None;
        self.remeasurement = None;
        self.selected = None;
        if self.search_ended.take().is_some() {
            self.reopen();
        }
    }

    /// Why the search ended, once it has.
    pub fn search_ended(&self) -> Option<&StopReason> {
        self.search_ended.as_ref()
    }

    /// Why the search should end before the open generation. Reaching the time limit is a record of its own.
    pub fn stop_reason(&mut self, now: Timestamp, out: &mut Vec<Write>) -> Option<StopReason> {
        if let Some(reason) = self.criterion() {
            return Some(reason);
        }
        let spec = Arc::clone(&self.spec);
        let limit = spec.stop.time_limit_s?;
        let last = GenerationIndex(self.generation.0.checked_sub(1)?);
        if self.time_limit.is_none() && self.elapsed_at(now) >= Duration::from_secs(limit) {
            self.commit(now, Record::TimeLimit { generation: last }, out);
        }
        self.time_limit.filter(|generation| *generation <= last).map(|_| self.time_is_up(now, limit))
    }

    /// The criterion that ends the search before the open generation, the time limit apart.
    pub fn criterion(&self) -> Option<StopReason> {
        self.criterion_met(&self.spec.stop)
    }

    /// What would end the search at once, the time limit included.
    pub fn ends_at_once(&self, now: Timestamp) -> Option<StopReason> {
        self.would_end(now, &self.spec.stop)
    }

    /// The same with other limits.
    fn would_end(&self, now: Timestamp, limits: &StopSpec) -> Option<StopReason> {
        self.criterion_met(limits).or_else(|| {
            let limit = limits.time_limit_s?;
            (self.elapsed_at(now) >= Duration::from_secs(limit)).then(|| self.time_is_up(now, limit))
        })
    }

    fn time_is_up(&self, now: Timestamp, limit: u64) -> StopReason {
        let detail = format!("{:.0} s (limit {limit} s)", self.elapsed_at(now).as_secs_f64());
        StopReason { criterion: "time_limit".into(), detail }
    }

    /// The criterion that the search meets where it has come to, the time limit apart.
    fn criterion_met(&self, limits: &StopSpec) -> Option<StopReason> {
        let best = self.reached.best.as_ref().map(|(_, fitness)| *fitness);
        let own = self.reached.stop.clone().filter(|_| self.generation.0 > 0);
        let target_fitness = limits.target_fitness.map(|target| self.spec.orient_target(target));
        let limits = &StopSpec { target_fitness, ..limits.clone() };
        let limit = stop::limit_reached(limits, self.generation.0, self.evaluations, best);
        let failed = self.last.as_ref().and_then(|last| stop::all_fail(last.failed_generations?));
        limit.map(stop_reason).or(own).or_else(|| failed.map(stop_reason))
    }

    /// Time for which the run has been running.
    pub(super) fn elapsed_at(&self, now: Timestamp) -> Duration {
        self.elapsed + self.running_since.map_or(Duration::ZERO, |since| now.since(since))
    }
}

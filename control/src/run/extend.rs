//! A run whose limits are raised: what that means to one that goes on, and to one whose search had ended.
//!
//! With the new limits the run is the one that had them from its start. What came of the old end (the measurement of the
//! result) is set aside; the strategy is told nothing of it.

use std::sync::Arc;

use hebbian_shared::progress::{RunState, StopReason};
use hebbian_shared::spec::stop::StopSpec;
use hebbian_shared::spec::{RunSpec, SpecError};
use hebbian_shared::time::Timestamp;

use super::record::{Record, Write};
use super::{Run, strategy};
use hebbian_search::StrategyError;

/// Why a run's limits cannot be raised.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExtendError {
    /// The limits are no limits, or not above the present ones.
    #[error(transparent)]
    Limits(#[from] SpecError),
    /// The search would end at once.
    #[error("would end again at once by {} ({})", .0.criterion, .0.detail)]
    Ended(StopReason),
    /// The strategy refused.
    #[error("cannot go on: {0}")]
    Strategy(#[from] StrategyError),
}

impl Run {
    /// Raises limits. A run whose search had ended goes on: it has to be opened again. An error says why that would change
    /// nothing.
    pub fn extend(&mut self, now: Timestamp, by: &StopSpec, out: &mut Vec<Write>) -> Result<(), ExtendError> {
        let spec = RunSpec { stop: self.spec.stop.extended(by)?, ..RunSpec::clone(&self.spec) };
        spec.validate()?;
        if self.search_ended.is_some() {
            let strategy = strategy::restore(&spec, &self.strategy.state())?;
            if let Some(met) = self.would_end(now, &spec.stop, strategy.as_ref()) {
                return Err(ExtendError::Ended(met));
            }
        }
        self.commit(now, Record::Extended { stop: spec.stop }, out);
        if self.state.is_final() {
            self.change_state(now, RunState::Running, out);
        }
        Ok(())
    }

    /// Takes raised limits, and goes back from the measurement of the result to the search.
    pub(super) fn extended(&mut self, stop: &StopSpec) {
        let spec = RunSpec { stop: stop.clone(), ..RunSpec::clone(&self.spec) };
        self.spec = Arc::new(spec.into());
        // Restarts come under the run's limits. That it can be restored was tried before the record was written.
        if let Ok(strategy) = strategy::restore(&self.spec, &self.strategy.state()) {
            self.strategy = strategy;
        }
        self.time_limit = None;
        self.remeasurement = None;
        self.selected = None;
        if self.search_ended.take().is_some() {
            self.open_generation();
        }
    }
}

//! When a search ends, beside the strategy's own criteria.

use serde::{Deserialize, Serialize};

use super::{SpecError, check_range};

/// Limits; the first that is met ends the run. At least one of `generations`, `evaluations` and `time_limit_s` is needed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StopSpec {
    /// Generations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generations: Option<u32>,
    /// Candidate evaluations; the generation that reaches it is finished.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evaluations: Option<u64>,
    /// A best fitness that is good enough.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_fitness: Option<f64>,
    /// Seconds of running, pauses excluded. The generation at which it is reached is journalled, and replay obeys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_limit_s: Option<u64>,
}

impl StopSpec {
    /// Refuses endless runs and what is out of range, naming the field.
    pub fn validate(&self) -> Result<(), SpecError> {
        if self.generations.is_none() && self.evaluations.is_none() && self.time_limit_s.is_none() {
            return Err(SpecError::field(
                "stop",
                "must set at least one of generations, evaluations, time_limit_s",
            ));
        }
        if let Some(generations) = self.generations {
            check_range("stop.generations", generations, 1, 100_000_000)?;
        }
        if let Some(evaluations) = self.evaluations {
            check_range("stop.evaluations", evaluations, 1, 1 << 53)?;
        }
        if let Some(seconds) = self.time_limit_s {
            check_range("stop.time_limit_s", seconds, 1, 10 * 365 * 86_400)?;
        }
        match self.target_fitness {
            Some(target) if !target.is_finite() => {
                Err(SpecError::field("stop.target_fitness", "must be a finite number"))
            }
            _ => Ok(()),
        }
    }
}

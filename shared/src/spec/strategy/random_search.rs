//! Random search.

use serde::{Deserialize, Serialize};

use super::{DEFAULT_STEP_SIZE, Settings, check_sizes, default_step_size};
use crate::spec::SpecError;

/// Settings of random search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RandomSearchSpec {
    /// Candidates per generation.
    pub population_size: u32,
    /// Standard deviation of the samples, from 1e-100 to 1e6.
    #[serde(default = "default_step_size")]
    pub step_size: f64,
}

impl RandomSearchSpec {
    /// Default settings for a population size.
    pub fn of(population_size: u32) -> Self {
        Self { population_size, step_size: DEFAULT_STEP_SIZE }
    }
}

impl Settings for RandomSearchSpec {
    fn population_size(&self) -> u32 {
        self.population_size
    }

    fn validate(&self, _: usize) -> Result<(), SpecError> {
        check_sizes(1, self.population_size, self.step_size)
    }
}

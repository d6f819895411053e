//! The (1 + lambda)-ES.

use serde::{Deserialize, Serialize};

use super::{DEFAULT_STEP_SIZE, Settings, check_sizes, default_step_size};
use crate::spec::SpecError;

/// Settings of the (1 + lambda)-ES.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OnePlusLambdaSpec {
    /// Candidates per generation, at least 2: the parent and lambda children.
    pub population_size: u32,
    /// Initial step size (sigma), from 1e-100 to 1e6.
    #[serde(default = "default_step_size")]
    pub step_size: f64,
}

impl OnePlusLambdaSpec {
    /// Default settings for a population size.
    pub fn of(population_size: u32) -> Self {
        Self { population_size, step_size: DEFAULT_STEP_SIZE }
    }
}

impl Settings for OnePlusLambdaSpec {
    fn population_size(&self) -> u32 {
        self.population_size
    }

    fn validate(&self, _: usize) -> Result<(), SpecError> {
        check_sizes(2, self.population_size, self.step_size)
    }
}

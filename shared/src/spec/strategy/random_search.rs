//! Random search.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DEFAULT_STEP_SIZE, STEP_SIZE, Settings, default_step_size, population_size_from};
use crate::spec::SpecError;
use crate::spec::range::Range;

/// Settings of random search.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RandomSearchSpec {
    /// Candidates per generation.
    #[schemars(transform = POPULATION_SIZE.schema())]
    pub population_size: u32,
    /// Standard deviation of the samples.
    #[serde(default = "default_step_size")]
    #[schemars(transform = STEP_SIZE.schema())]
    pub step_size: f64,
}

const POPULATION_SIZE: Range<u32> = population_size_from(1);

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

    fn validate(&self, _: &[f64]) -> Result<(), SpecError> {
        POPULATION_SIZE.check("strategy.population_size", self.population_size)?;
        STEP_SIZE.check("strategy.step_size", self.step_size)
    }
}

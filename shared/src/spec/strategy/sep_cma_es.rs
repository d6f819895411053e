//! Sep-CMA-ES.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DEFAULT_STEP_SIZE, START_NUMBER, STEP_SIZE, Settings, default_step_size, population_size_from};
use crate::spec::SpecError;
use crate::spec::range::Range;

/// Settings of sep-CMA-ES.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SepCmaEsSpec {
    /// Candidates per generation (lambda), at least 4.
    #[schemars(transform = POPULATION_SIZE.schema())]
    pub population_size: u32,
    /// Initial step size (sigma).
    #[serde(default = "default_step_size")]
    #[schemars(transform = STEP_SIZE.schema())]
    pub step_size: f64,
    /// The initial mean, n numbers, for example the genome of another run. Empty: zeros.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = START_NUMBER.of_items())]
    pub initial_mean: Vec<f64>,
}

const POPULATION_SIZE: Range<u32> = population_size_from(4);

impl SepCmaEsSpec {
    /// Default settings for a population size.
    pub fn of(population_size: u32) -> Self {
        Self { population_size, step_size: DEFAULT_STEP_SIZE, initial_mean: Vec::new() }
    }
}

impl Settings for SepCmaEsSpec {
    fn population_size(&self) -> u32 {
        self.population_size
    }

    fn validate(&self, dimension: usize) -> Result<(), SpecError> {
        if !self.initial_mean.is_empty() && self.initial_mean.len() != dimension {
            let problem = format!("must hold {dimension} numbers, not {}", self.initial_mean.len());
            return Err(SpecError::field("strategy.initial_mean", problem));
        }
        for (place, &value) in self.initial_mean.iter().enumerate() {
            START_NUMBER.check(&format!("strategy.initial_mean[{place}]"), value)?;
        }
        POPULATION_SIZE.check("strategy.population_size", self.population_size)?;
        STEP_SIZE.check("strategy.step_size", self.step_size)
    }
}

//! Antithetic evolution strategies with Adam.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{PAIR, STEP_SIZE, Settings, WrittenPairs, population_size_from};
use crate::limits::STEP_SIZE_MIN;
use crate::spec::SpecError;
use crate::spec::range::Range;

/// Settings of antithetic evolution strategies with Adam.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(from = "WrittenPairs")]
#[schemars(!from, deny_unknown_fields)]
pub struct OpenAiEsSpec {
    /// Candidates per generation, an even number of at least 4: they come in pairs.
    #[schemars(transform = POPULATION_SIZE.schema(), extend("multipleOf" = PAIR))]
    pub population_size: u32,
    /// Standard deviation of the samples.
    #[schemars(default = "default_step_size", transform = STEP_SIZE.schema())]
    pub step_size: f64,
    /// Adam's learning rate: about how far the mean moves in a generation, in each coordinate. Default: half of
    /// the step size.
    #[schemars(with = "Option<f64>", transform = STEP_SIZE.schema())]
    pub learning_rate: f64,
}

fn default_step_size() -> f64 {
    0.2
}

const POPULATION_SIZE: Range<u32> = population_size_from(4);

impl OpenAiEsSpec {
    /// Settings with their defaults, the best of those tried on rules: step size 0.2, learning rate half of it.
    pub fn of(population_size: u32, step_size: Option<f64>, learning_rate: Option<f64>) -> Self {
        let step_size = step_size.unwrap_or_else(default_step_size);
        let learning_rate = learning_rate.unwrap_or((step_size / 2.0).max(STEP_SIZE_MIN));
        Self { population_size, step_size, learning_rate }
    }
}

impl From<WrittenPairs> for OpenAiEsSpec {
    fn from(written: WrittenPairs) -> Self {
        Self::of(written.population_size, written.step_size, written.learning_rate)
    }
}

impl Settings for OpenAiEsSpec {
    fn population_size(&self) -> u32 {
        self.population_size
    }

    fn comes_in_pairs(&self) -> bool {
        true
    }

    fn validate(&self, _: &[f64]) -> Result<(), SpecError> {
        POPULATION_SIZE.check("strategy.population_size", self.population_size)?;
        STEP_SIZE.check("strategy.step_size", self.step_size)?;
        STEP_SIZE.check("strategy.learning_rate", self.learning_rate)
    }
}

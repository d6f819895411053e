//! Antithetic evolution strategies with Adam.

use serde::{Deserialize, Serialize};

use super::{Settings, WrittenPairs, check_size, check_sizes};
use crate::limits::STEP_SIZE_MIN;
use crate::spec::SpecError;

/// Settings of antithetic evolution strategies with Adam.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "WrittenPairs")]
pub struct OpenAiEsSpec {
    /// Candidates per generation, an even number of at least 4: they come in pairs.
    pub population_size: u32,
    /// Standard deviation of the samples, from 1e-100 to 1e6.
    pub step_size: f64,
    /// Adam's learning rate: about how far the mean moves in a generation, in each coordinate. From 1e-100 to 1e6.
    pub learning_rate: f64,
}

impl OpenAiEsSpec {
    /// Settings with their defaults, the best of those tried on rules: step size 0.2, learning rate half of it.
    pub fn of(population_size: u32, step_size: Option<f64>, learning_rate: Option<f64>) -> Self {
        let step_size = step_size.unwrap_or(0.2);
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

    fn validate(&self, _: usize) -> Result<(), SpecError> {
        check_sizes(4, self.population_size, self.step_size)?;
        check_size("strategy.learning_rate", self.learning_rate)
    }
}

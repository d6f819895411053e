//! Adam along the gradient.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{STEP_SIZE, Settings};
use crate::spec::SpecError;
use crate::spec::range::Range;

/// Settings of Adam along the gradient. A generation has one candidate, the mean, on `tasks.per_generation` tasks: the batch.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GradientSpec {
    /// Adam's learning rate: about how far the mean moves in a generation, in each coordinate.
    #[schemars(transform = STEP_SIZE.schema())]
    pub learning_rate: f64,
    /// Generations in which the learning rate rises in a straight line from 0.
    #[schemars(transform = WARM_UP.schema())]
    pub warm_up: u32,
    /// Generations after which the learning rate has fallen to 0, along half a cosine from the end of the warm-up on; there the
    /// search ends. Default: it does not fall.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = COSINE.schema())]
    pub cosine: Option<u32>,
    /// Decay of Adam's mean of gradients.
    #[schemars(transform = BETA.schema())]
    pub beta_1: f64,
    /// Decay of Adam's mean of their squares.
    #[schemars(transform = BETA.schema())]
    pub beta_2: f64,
    /// The largest norm of the gradient of one task; a longer one is shortened to it.
    #[schemars(transform = NORM.schema())]
    pub task_gradient_max: f64,
    /// The largest norm of the mean of the tasks' gradients; a longer one is shortened to it.
    #[schemars(transform = NORM.schema())]
    pub gradient_max: f64,
    /// The share of the mean, times the learning rate, that every generation takes away.
    #[schemars(transform = DECAY.schema())]
    pub weight_decay: f64,
}

impl Default for GradientSpec {
    fn default() -> Self {
        Self {
            learning_rate: 0.005,
            warm_up: 0,
            cosine: None,
            beta_1: 0.9,
            beta_2: 0.99,
            task_gradient_max: 1.0,
            gradient_max: 0.5,
            weight_decay: 0.0,
        }
    }
}

const WARM_UP: Range<u32> = Range::new(0, 100_000_000);
const COSINE: Range<u32> = Range::new(1, 100_000_000);
const BETA: Range<f64> = Range::new(0.0, 0.999_999);
const NORM: Range<f64> = Range::above(0.0, 1e100);
const DECAY: Range<f64> = Range::new(0.0, 1e3);

impl Settings for GradientSpec {
    fn population_size(&self) -> u32 {
        1
    }

    fn wants_gradient(&self) -> bool {
        true
    }

    fn validate(&self, _: &[f64]) -> Result<(), SpecError> {
        STEP_SIZE.check("strategy.learning_rate", self.learning_rate)?;
        WARM_UP.check("strategy.warm_up", self.warm_up)?;
        if let Some(cosine) = self.cosine {
            COSINE.check("strategy.cosine", cosine)?;
            if self.warm_up >= cosine {
                let problem =
                    format!("must be below strategy.cosine, which is {cosine}, not {}", self.warm_up);
                return Err(SpecError::field("strategy.warm_up", problem));
            }
        }
        BETA.check("strategy.beta_1", self.beta_1)?;
        BETA.check("strategy.beta_2", self.beta_2)?;
        NORM.check("strategy.task_gradient_max", self.task_gradient_max)?;
        NORM.check("strategy.gradient_max", self.gradient_max)?;
        DECAY.check("strategy.weight_decay", self.weight_decay)
    }
}

#[cfg(test)]
mod tests {
    use crate::spec::RunSpec;

    #[test]
    fn gradients_are_searched_along_only_where_there_are_some() {
        const QUICKSTART: &str = include_str!("../../../../examples/quickstart.toml");
        const EXAMPLE: &str = include_str!("../../../../examples/differentiable.toml");
        let (before, rest) = EXAMPLE.split_once("kind = ").unwrap();
        let (_, after) = rest.split_once("\n\n").unwrap();
        let read = |strategy: &str, from: &str, to: &str| {
            let text = format!("{before}kind = \"gradient\"\n{strategy}\n\n{after}");
            RunSpec::read(&text.replacen(from, to, 1)).map_err(|error| error.to_string())
        };
        let spec = read("", "", "").unwrap();
        assert_eq!(RunSpec::read(&spec.to_toml()), Ok(spec.clone()));
        assert_eq!((spec.strategy.population_size(), spec.strategy.wants_gradient()), (1, true));
        for (strategy, from, to, expected) in [
            ("", "\"logistic\"", "\"accuracy\"", "evaluation.objective: accuracy has no gradient"),
            ("learning_rate = 0.0", "", "", "strategy.learning_rate: must be from"),
            (
                "warm_up = 9\ncosine = 9",
                "",
                "",
                "strategy.warm_up: must be below strategy.cosine, which is 9, not 9",
            ),
            ("beta_2 = 1.0", "", "", "strategy.beta_2: must be from 0 to 0.999999, not 1"),
            ("population_size = 8", "", "", "strategy.population_size: is no setting of gradient"),
        ] {
            let error = read(strategy, from, to).expect_err(expected);
            assert!(error.contains(expected), "{error}");
        }
        let quickstart = QUICKSTART.replacen("\"accuracy\"", "\"logistic\"", 1);
        let (before, rest) = quickstart.split_once("[strategy]").unwrap();
        let (_, after) = rest.split_once("\n[start]").unwrap();
        let error = RunSpec::read(&format!("{before}strategy = {{ kind = \"gradient\" }}\n[start]{after}"))
            .unwrap_err();
        assert_eq!(error.to_string(), "rule.symmetric_synapses: must be true together with a gradient");
    }
}

//! Adam along the gradient.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{STEP_SIZE, Settings};
use crate::spec::range::Range;
use crate::spec::{SpecError, is_default};

/// Settings of Adam along the gradient. A generation has one candidate, the mean, on `tasks.per_generation` tasks: the batch.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GradientSpec {
    /// Which gradient is followed.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(!skip_serializing_if)]
    pub estimator: Estimator,
    /// Settings of the estimator `evograd`.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(!skip_serializing_if)]
    pub evograd: EvogradSpec,
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
            estimator: Estimator::default(),
            evograd: EvogradSpec::default(),
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

/// Which gradient of an episode's fitness is followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Estimator {
    /// The exact one, through all updates.
    #[default]
    Unrolled,
    /// Of the mean, over all updates, of the query's loss after the update; the weights before it are constants
    /// (Flennerhag et al. 2020, eq. 11).
    Trajectory,
    /// The same with the weights after the update as constants, too (eq. 12).
    TrajectoryFirstOrder,
    /// The mean over all updates of the query's gradient through one update (Shu et al. 2019). What an example's loss says of its
    /// weight is a constant.
    OneStep,
    /// An estimate of [`Estimator::OneStep`] from moved copies of the network (Bohdal et al. 2021), scaled to its length.
    Evograd,
}

impl Estimator {
    /// The name as it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unrolled => "unrolled",
            Self::Trajectory => "trajectory",
            Self::TrajectoryFirstOrder => "trajectory-first-order",
            Self::OneStep => "one-step",
            Self::Evograd => "evograd",
        }
    }

    /// The exact gradient that it stands for; `None` if it is itself that of the fitness.
    pub fn stands_for(self) -> Option<Self> {
        match self {
            Self::Unrolled => None,
            Self::Trajectory | Self::TrajectoryFirstOrder | Self::OneStep => Some(Self::Unrolled),
            Self::Evograd => Some(Self::OneStep),
        }
    }
}

/// An estimator with its settings.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Estimation {
    /// Which one.
    pub estimator: Estimator,
    /// Settings of `evograd`.
    pub evograd: EvogradSpec,
}

impl Estimation {
    /// Its cost for each update in forward passes of a batch, roughly: a way back is two of them, and numbers with slopes are two
    /// numbers. `query` is the query's size over the batch's.
    pub fn forward_passes(&self, query: f64) -> f64 {
        let (training, measuring, undoing) = (3.0, 3.0 * query, 6.0);
        match self.estimator {
            Estimator::Unrolled => training + undoing,
            Estimator::TrajectoryFirstOrder => training + measuring,
            Estimator::Trajectory | Estimator::OneStep => training + measuring + undoing,
            Estimator::Evograd => {
                let EvogradSpec { directions, weights_from, .. } = self.evograd;
                let copied = if weights_from == WeightsFrom::Base { 1.0 } else { 0.0 };
                let directed = if directions == Directions::Gradient { measuring } else { 0.0 };
                training + copied + f64::from(self.evograd.copies()) + directed + measuring
            }
        }
    }
}

/// Settings of `evograd`.
#[derive(Clone, Copy, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EvogradSpec {
    /// Copies of the network in each update; `gradient` as directions always has two.
    #[schemars(transform = COPIES.schema())]
    pub copies: u32,
    /// How far copies are moved.
    #[schemars(transform = SIGMA.schema())]
    pub sigma: f64,
    /// Of the softmax by which copies count.
    #[schemars(transform = TEMPERATURE.schema())]
    pub temperature: f64,
    /// Where copies are moved to.
    pub directions: Directions,
    /// Whose losses say what examples count.
    pub weights_from: WeightsFrom,
}

impl Default for EvogradSpec {
    fn default() -> Self {
        Self {
            copies: 16,
            sigma: 0.001,
            temperature: 0.05,
            directions: Directions::Signs,
            weights_from: WeightsFrom::Base,
        }
    }
}

/// Where copies of the network are moved to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Directions {
    /// Up or down in every weight, at random (as published).
    Signs,
    /// The same in pairs, the second of each the other way.
    Antithetic,
    /// Up and down the query's gradient: exact up to the square of sigma.
    Gradient,
}

/// Whose losses say what examples count in the training loss of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WeightsFrom {
    /// The network's that is copied.
    Base,
    /// The copy's (as published).
    Copy,
}

const COPIES: Range<u32> = Range::new(2, 1024);
const SIGMA: Range<f64> = Range::above(0.0, 1.0);
const TEMPERATURE: Range<f64> = Range::above(0.0, 1e6);

impl EvogradSpec {
    fn validate(&self) -> Result<(), SpecError> {
        COPIES.check("strategy.evograd.copies", self.copies)?;
        SIGMA.check("strategy.evograd.sigma", self.sigma)?;
        TEMPERATURE.check("strategy.evograd.temperature", self.temperature)?;
        if self.directions == Directions::Antithetic && !self.copies.is_multiple_of(2) {
            let problem = format!("must be even, not {}: antithetic copies come in pairs", self.copies);
            return Err(SpecError::field("strategy.evograd.copies", problem));
        }
        Ok(())
    }

    /// Copies in each update.
    pub fn copies(&self) -> u32 {
        if self.directions == Directions::Gradient { 2 } else { self.copies }
    }
}

impl GradientSpec {
    /// The estimator with its settings.
    pub fn estimation(&self) -> Estimation {
        Estimation { estimator: self.estimator, evograd: self.evograd }
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
        self.evograd.validate()?;
        if self.estimator != Estimator::Evograd && !is_default(&self.evograd) {
            let problem = format!(
                "belongs to strategy.estimator = \"evograd\", not \"{}\"; leave it out",
                self.estimator.name()
            );
            return Err(SpecError::field("strategy.evograd", problem));
        }
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
        assert_eq!(
            (error.field.as_str(), error.problem.as_str()),
            ("rule.symmetric_synapses", "must be true together with a gradient")
        );
    }
}

//! Gradient descent on an ordinary multilayer perceptron. Its genome is its hyperparameters.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::RuleOptions;
use crate::genome::{GenomeLayout, Transform};
use crate::spec::network::{InitialSynapses, NetworkSpec};
use crate::spec::task::TaskSpec;
use crate::spec::{SpecError, is_default};

/// Options of gradient descent. The last layer is linear.
#[derive(Clone, Copy, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GradientDescentSpec {
    /// How a gradient becomes a step.
    pub optimizer: Optimizer,
    /// Activation of the hidden layers.
    pub hidden_activation: HiddenActivation,
    /// Distribution of weights and biases before the first update.
    pub initial_weights: InitialWeights,
    /// What is descended.
    pub loss: Loss,
    /// Whether the learning rate depends on the number t of updates before: times `(1 + t)^schedule_power`, which is evolved.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(!skip_serializing_if)]
    pub update_schedule: bool,
}

impl Default for GradientDescentSpec {
    fn default() -> Self {
        Self {
            optimizer: Optimizer::Adam,
            hidden_activation: HiddenActivation::Tanh,
            initial_weights: InitialWeights::Xavier,
            loss: Loss::Squared,
            update_schedule: false,
        }
    }
}

/// An optimiser.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Optimizer {
    /// Stochastic gradient descent. Evolves `learning_rate`.
    Sgd,
    /// Gradient descent with heavy-ball momentum. Evolves `learning_rate` and `momentum`.
    Momentum,
    /// Nesterov's momentum (Sutskever et al. 2013, in the form that all frameworks have): the step is along the gradient plus
    /// `momentum` times the new velocity. Evolves `learning_rate` and `momentum`.
    Nesterov,
    /// Adam (Kingma and Ba 2015) with epsilon 1e-8. Evolves `learning_rate`, `beta_1` and `beta_2`.
    Adam,
}

impl Optimizer {
    /// All of them.
    pub const ALL: &[Self] = &[Self::Sgd, Self::Momentum, Self::Nesterov, Self::Adam];

    /// Those that comparisons tune where nobody asks for more.
    pub const CUSTOMARY: &[Self] = &[Self::Sgd, Self::Momentum, Self::Adam];

    /// The name as it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sgd => "sgd",
            Self::Momentum => "momentum",
            Self::Nesterov => "nesterov",
            Self::Adam => "adam",
        }
    }
}

impl std::fmt::Display for Optimizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// A text that names no optimiser.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is not a baseline; there are sgd, momentum, nesterov, adam")]
pub struct UnknownOptimizerError {
    name: String,
}

impl std::str::FromStr for Optimizer {
    type Err = UnknownOptimizerError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.iter().copied().find(|optimizer| optimizer.name() == text);
        found.ok_or_else(|| UnknownOptimizerError { name: text.chars().take(64).collect() })
    }
}

/// Distribution of a perceptron's weights before the first update.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InitialWeights {
    /// Weights and biases uniform in +-0.5, as the default synapses of multi-state networks.
    UniformHalf,
    /// Weights and biases uniform in +-1.
    UniformOne,
    /// Weights uniform in +-sqrt(6 / (inputs + outputs)), biases 0 (Glorot and Bengio 2010).
    Xavier,
    /// Half of Xavier's: weights uniform in +-sqrt(6 / (inputs + outputs)) / 2, biases 0.
    HalfXavier,
    /// Weights normal with variance 2 / inputs, biases 0 (He et al. 2015).
    He,
}

impl InitialWeights {
    /// All distributions.
    pub const ALL: &[Self] = &[Self::UniformHalf, Self::UniformOne, Self::Xavier, Self::HalfXavier, Self::He];
}

/// Activation of a perceptron's hidden layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HiddenActivation {
    /// tanh x
    Tanh,
    /// max(0, x)
    Relu,
}

impl HiddenActivation {
    /// All activations.
    pub const ALL: &[Self] = &[Self::Tanh, Self::Relu];
}

/// What a perceptron descends; a mean over the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// Half of the squared differences from the targets, summed over the outputs.
    Squared,
    /// log(1 + exp(-t y)) for one output, the cross-entropy of the softmax for several.
    Logistic,
}

impl Loss {
    /// All losses.
    pub const ALL: &[Self] = &[Self::Squared, Self::Logistic];
}

/// The learning rate's logarithm to the base 10 is what is evolved.
const LEARNING_RATE: Transform = Transform::Exp { factor: 1.0, scale: std::f64::consts::LN_10 };
/// A share between none and all; more than half at positive values.
const SHARE: Transform = Transform::Bounded { low: 0.0, high: 1.0 };

impl GradientDescentSpec {
    /// The name of the family.
    pub const FAMILY: &str = "gradient-descent";

    /// The segments of the genome: name, transform, and the parameter where a search starts. That of a rate is half way through
    /// what is worth trying, the others are the customary constants.
    fn segments(self) -> &'static [(&'static str, Transform, f64)] {
        match self.optimizer {
            Optimizer::Sgd => &[("learning_rate", LEARNING_RATE, 0.3)],
            Optimizer::Momentum | Optimizer::Nesterov => {
                &[("learning_rate", LEARNING_RATE, 0.1), ("momentum", SHARE, 0.9)]
            }
            Optimizer::Adam => {
                &[("learning_rate", LEARNING_RATE, 0.03), ("beta_1", SHARE, 0.9), ("beta_2", SHARE, 0.999)]
            }
        }
    }
}

impl RuleOptions for GradientDescentSpec {
    fn family(&self) -> &'static str {
        Self::FAMILY
    }

    fn validate(&self) -> Result<(), SpecError> {
        Ok(())
    }

    fn validate_for(&self, network: &NetworkSpec, tasks: &TaskSpec) -> Result<(), SpecError> {
        if network.initial_synapses != InitialSynapses::default() {
            return Err(SpecError::field(
                "network.initial_synapses",
                "belongs to multi-state rules; leave it out, and set rule.initial_weights",
            ));
        }
        match tasks.families.iter().find(|family| !family.has_classes()) {
            Some(family) if self.loss == Loss::Logistic => Err(SpecError::field(
                "rule.loss",
                format!("must be squared, not logistic: `{family}` has {} and no classes", family.targets()),
            )),
            _ => Ok(()),
        }
    }

    fn layout(&self, _: &NetworkSpec) -> GenomeLayout {
        let mut layout = GenomeLayout::default();
        for &(name, transform, start) in self.segments() {
            layout.push(name, &[], transform);
            layout.start_at(transform.invert(start));
        }
        if self.update_schedule {
            layout.push("schedule_power", &[], Transform::IDENTITY);
            layout.start_at(-0.5);
        }
        layout
    }

    fn network_numbers(&self, sizes: &[usize], batch: f64) -> f64 {
        let neurons: f64 = sizes.iter().map(|&neurons| neurons as f64).sum();
        // Weights, their gradient and two means; values, slopes and a transposed batch.
        4.0 * NetworkSpec::synapses_of(sizes) + 3.0 * batch * neurons
    }

    fn multiplications(&self, sizes: &[usize]) -> f64 {
        3.0 * NetworkSpec::synapses_of(sizes)
    }

    fn summary(&self) -> String {
        format!("gradient descent by {}", self.optimizer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::network::SynapseDistribution;
    use crate::spec::task::TaskFamily;

    #[test]
    fn a_search_starts_at_the_customary_hyperparameters() {
        let check = |optimizer, expected: &[(&str, f32)]| {
            let options = GradientDescentSpec { optimizer, ..GradientDescentSpec::default() };
            let layout = options.layout(&NetworkSpec::default());
            assert_eq!(layout.dimension(), expected.len());
            for (name, value) in expected {
                let found = layout.parameters(name, &layout.initial_mean()).unwrap()[0] as f32;
                assert_eq!(found, *value, "{optimizer}: {name}");
            }
        };
        check(Optimizer::Sgd, &[("learning_rate", 0.3)]);
        check(Optimizer::Momentum, &[("learning_rate", 0.1), ("momentum", 0.9)]);
        check(Optimizer::Nesterov, &[("learning_rate", 0.1), ("momentum", 0.9)]);
        check(Optimizer::Adam, &[("learning_rate", 0.03), ("beta_1", 0.9), ("beta_2", 0.999)]);
        let scheduled = GradientDescentSpec { update_schedule: true, ..GradientDescentSpec::default() };
        let layout = scheduled.layout(&NetworkSpec::default());
        assert_eq!(layout.parameter("schedule_power", &layout.initial_mean()), Some(-0.5));
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        for &optimizer in Optimizer::ALL {
            assert_eq!(optimizer.name().parse(), Ok(optimizer));
        }
        let error = "adamw".parse::<Optimizer>().unwrap_err().to_string();
        assert_eq!(error, "`adamw` is not a baseline; there are sgd, momentum, nesterov, adam");
    }

    #[test]
    fn what_does_not_suit_is_refused() {
        let logistic = GradientDescentSpec { loss: Loss::Logistic, ..GradientDescentSpec::default() };
        let check = |network: &NetworkSpec, family: TaskFamily, expected: Option<&str>| {
            let refused = logistic.validate_for(network, &TaskSpec::of(vec![family])).err();
            let refused = refused.map(|error| error.to_string());
            assert_eq!(refused.as_deref().map(|error| error.split(": ").next().unwrap()), expected);
        };
        let mut network = NetworkSpec::default();
        check(&network, TaskFamily::Xor, None);
        check(&network, TaskFamily::RegressWave, Some("rule.loss"));
        network.initial_synapses.distribution = SynapseDistribution::Xavier;
        check(&network, TaskFamily::Xor, Some("network.initial_synapses"));
    }
}

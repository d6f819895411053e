//! Gradient descent on an ordinary multilayer perceptron: what every claim about a rule is measured against.
//!
//! A [`Learner`] has the layer sizes of the rule's network and sees the same batches. It is not part of an episode, so
//! its bits may differ between kinds of CPU; on one machine they do not.

use hebbian_shared::seed::Seed;
use serde::{Deserialize, Serialize};

mod batch;
mod optimizer;
mod perceptron;

pub use batch::Batch;
use optimizer::Optimizer;
use perceptron::Perceptron;

/// An optimiser with the constants that are customary for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BaselineKind {
    /// Stochastic gradient descent.
    Sgd,
    /// Gradient descent with heavy-ball momentum 0.9.
    Momentum,
    /// Adam (Kingma and Ba 2015) with beta 0.9 and 0.999 and epsilon 1e-8.
    Adam,
}

impl BaselineKind {
    /// All kinds.
    pub const ALL: &[Self] = &[Self::Sgd, Self::Momentum, Self::Adam];

    /// The name as it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sgd => "sgd",
            Self::Momentum => "momentum",
            Self::Adam => "adam",
        }
    }
}

impl std::fmt::Display for BaselineKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// A text that names no baseline.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is not a baseline; there are sgd, momentum, adam")]
pub struct UnknownBaselineError {
    name: String,
}

impl std::str::FromStr for BaselineKind {
    type Err = UnknownBaselineError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.iter().copied().find(|kind| kind.name() == text);
        found.ok_or_else(|| UnknownBaselineError { name: text.chars().take(64).collect() })
    }
}

/// Distribution of a perceptron's weights before the first update.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InitialWeights {
    /// Weights and biases uniform in +-0.5, as the rule's default synapses.
    UniformHalf,
    /// Weights and biases uniform in +-1.
    UniformOne,
    /// Weights uniform in +-sqrt(6 / (inputs + outputs)), biases 0 (Glorot and Bengio 2010).
    Xavier,
    /// Weights normal with variance 2 / inputs, biases 0 (He et al. 2015).
    He,
}

impl InitialWeights {
    /// All distributions.
    pub const ALL: &[Self] = &[Self::UniformHalf, Self::UniformOne, Self::Xavier, Self::He];
}

/// Activation of a perceptron's hidden layers; the last layer is linear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// Half of the squared differences from targets +-1, summed over the outputs.
    Squared,
    /// log(1 + exp(-t y)) for one output, the cross-entropy of the softmax for several.
    Logistic,
}

impl Loss {
    /// All losses.
    pub const ALL: &[Self] = &[Self::Squared, Self::Logistic];
}

/// Everything about a baseline that is tuned.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Configuration {
    /// The optimiser.
    pub kind: BaselineKind,
    /// Its step length, above 0.
    pub learning_rate: f32,
    /// Where the weights start.
    pub initial_weights: InitialWeights,
    /// Of the hidden layers.
    pub activation: HiddenActivation,
    /// What is descended.
    pub loss: Loss,
}

/// A perceptron that learns by one configuration.
pub struct Learner {
    perceptron: Perceptron,
    optimizer: Optimizer,
    configuration: Configuration,
}

impl Learner {
    /// For perceptrons of these layer sizes (inputs, hidden layers, outputs; at least two) and batches of at most
    /// `batch_max` examples.
    pub fn new(configuration: Configuration, layer_sizes: &[usize], batch_max: usize) -> Self {
        let perceptron =
            Perceptron::new(layer_sizes, batch_max, configuration.activation, configuration.loss);
        let optimizer = Optimizer::new(configuration, perceptron.parameters().len());
        Self { perceptron, optimizer, configuration }
    }

    /// Starts again from the weights of a seed.
    pub fn reset(&mut self, seed: Seed) {
        self.perceptron.initialise(self.configuration.initial_weights, seed);
        self.optimizer.reset();
    }

    /// One update on a batch.
    pub fn update(&mut self, batch: &Batch) {
        pulp::Arch::new().dispatch(
            #[inline(always)]
            || {
                self.perceptron.forward(batch);
                self.perceptron.backward(batch);
                let (parameters, gradient) = self.perceptron.parameters_and_gradient();
                self.optimizer.step(parameters, gradient);
            },
        );
    }

    /// Share of a batch's examples whose class is predicted.
    pub fn accuracy(&mut self, batch: &Batch) -> f64 {
        self.forward(batch);
        batch.accuracy(self.perceptron.outputs())
    }

    /// Share of the variance of a batch's targets that is predicted, at least 0.
    pub fn explained_variance(&mut self, batch: &Batch) -> f64 {
        self.forward(batch);
        batch.explained_variance(self.perceptron.outputs())
    }

    fn forward(&mut self, batch: &Batch) {
        pulp::Arch::new().dispatch(
            #[inline(always)]
            || self.perceptron.forward(batch),
        );
    }
}

#[cfg(test)]
mod tests;

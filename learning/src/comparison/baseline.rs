//! Baselines: gradient descent with hyperparameters that are tuned.

use hebbian_shared::genome::Genome;
use hebbian_shared::spec::RuleLearning;
use hebbian_shared::spec::network::{InitialSynapses, NetworkSpec};
use hebbian_shared::spec::rule::gradient_descent::{
    GradientDescentSpec, HiddenActivation, InitialWeights, Loss, Optimizer,
};
use serde::{Deserialize, Serialize};

/// Everything about a baseline that is tuned. What else an optimiser has is as it customarily is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Configuration {
    /// The optimiser.
    pub kind: Optimizer,
    /// Its step length, above 0.
    pub learning_rate: f32,
    /// Where the weights start.
    pub initial_weights: InitialWeights,
    /// Of the hidden layers.
    pub activation: HiddenActivation,
    /// What is descended.
    pub loss: Loss,
}

impl Configuration {
    /// The rule's options.
    pub(super) fn options(self) -> GradientDescentSpec {
        let Self { kind, initial_weights, activation, loss, .. } = self;
        GradientDescentSpec { optimizer: kind, hidden_activation: activation, initial_weights, loss }
    }

    /// The rule's genome in networks of a problem of these options.
    pub(super) fn genome(self, problem: &RuleLearning) -> Genome {
        let layout = problem.layout();
        let rate = layout.segment("learning_rate").expect("every optimiser has a learning rate");
        let mut genome = layout.initial_mean();
        genome.0[rate.start as usize] = rate.transform.invert(f64::from(self.learning_rate));
        genome
    }
}

/// The problem of learning a rule's tasks in its networks by gradient descent.
pub(super) fn problem(of: &RuleLearning, options: GradientDescentSpec) -> RuleLearning {
    let initial_synapses = InitialSynapses::default();
    let network = NetworkSpec { initial_synapses, ..of.network.clone() };
    RuleLearning { rule: options.into(), network, tasks: of.tasks.clone() }
}

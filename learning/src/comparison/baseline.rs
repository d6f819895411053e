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
#[serde(deny_unknown_fields)]
pub struct BaselineSettings {
    /// The optimiser.
    pub kind: Optimizer,
    /// Its step length, above 0.
    pub learning_rate: f32,
    /// The momentum, or Adam's beta 1; the customary one if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub momentum: Option<f32>,
    /// The step length of update t, from 0 on, is `learning_rate (1 + t)^schedule_power`: a constant if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule_power: Option<f32>,
    /// Where the weights start.
    pub initial_weights: InitialWeights,
    /// Of the hidden layers.
    pub activation: HiddenActivation,
    /// What is descended.
    pub loss: Loss,
}

impl BaselineSettings {
    /// The rule's options.
    pub(super) fn options(self) -> GradientDescentSpec {
        let Self { kind, initial_weights, activation, loss, schedule_power, .. } = self;
        GradientDescentSpec {
            optimizer: kind,
            hidden_activation: activation,
            initial_weights,
            loss,
            update_schedule: schedule_power.is_some(),
        }
    }

    /// The rule's genome in networks of a problem of these options.
    pub(super) fn genome(self, problem: &RuleLearning) -> Genome {
        let layout = problem.layout();
        let mut genome = layout.initial_mean();
        let mut set = |name: &str, parameter: f32| {
            let segment = layout.segment(name).expect("the options of a configuration have its parameters");
            genome.0[segment.start as usize] = segment.transform.invert(f64::from(parameter));
        };
        set("learning_rate", self.learning_rate);
        if let Some(momentum) = self.momentum {
            set(if self.kind == Optimizer::Adam { "beta_1" } else { "momentum" }, momentum);
        }
        if let Some(power) = self.schedule_power {
            set("schedule_power", power);
        }
        genome
    }
}

/// The problem of learning a rule's tasks in its networks by gradient descent.
pub(super) fn problem(of: &RuleLearning, options: GradientDescentSpec) -> RuleLearning {
    let initial_synapses = InitialSynapses::default();
    let network = NetworkSpec { initial_synapses, ..of.network.clone() };
    RuleLearning { rule: options.into(), network, tasks: of.tasks.clone() }
}

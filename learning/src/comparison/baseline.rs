//! Baselines: gradient descent with hyperparameters that are tuned.

use hebbian_shared::genome::Genome;
use hebbian_shared::spec::RuleLearning;
use hebbian_shared::spec::network::{InitialSynapses, NetworkSpec};
use hebbian_shared::spec::rule::gradient_descent::{
    GradientDescentSpec, HiddenActivation, InitialWeights, Loss, Optimizer,
};
use serde::{Deserialize, Serialize};

use super::{TunedBaseline, contenders, table};

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

/// Adam among tuned baselines, to be shown beside a rule: of several the one that was tuned for about as many updates as are shown.
pub fn shown_adam(baselines: &[TunedBaseline]) -> Option<&TunedBaseline> {
    let adams = baselines.iter().filter(|of| of.configuration.kind == Optimizer::Adam);
    adams.max_by_key(|of| (of.tuned_for.contains(&10), of.tuned_for.len()))
}

/// Adam for a rule's tasks without tuning it: as the program has it for them, else with the learning rate that suits small networks.
/// With its name.
pub fn known_adam(rule: &RuleLearning) -> (String, BaselineSettings) {
    let entry = table::find(rule, &contenders::tuned_on(rule));
    if let Some(of) = entry.and_then(|entry| shown_adam(&entry.baselines)) {
        return (of.name.clone(), of.configuration);
    }
    let has_classes = rule.tasks.families.iter().all(|family| family.has_classes());
    let settings = BaselineSettings {
        kind: Optimizer::Adam,
        learning_rate: 0.03,
        momentum: None,
        schedule_power: None,
        initial_weights: InitialWeights::Xavier,
        activation: HiddenActivation::Tanh,
        loss: if has_classes { Loss::Logistic } else { Loss::Squared },
    };
    ("Adam, rate 0.03, not tuned".to_owned(), settings)
}

/// The problem of learning a rule's tasks in its networks by gradient descent.
pub(super) fn problem(of: &RuleLearning, options: GradientDescentSpec) -> RuleLearning {
    let initial_synapses = InitialSynapses::default();
    let network = NetworkSpec { initial_synapses, ..of.network.clone() };
    RuleLearning { rule: options.into(), network, tasks: of.tasks.clone() }
}

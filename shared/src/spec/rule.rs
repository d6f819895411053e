//! The family of update rules: the options of the multi-state network that its genome's numbers do not hold.

use serde::{Deserialize, Serialize};

use super::{SpecError, check_range};

/// The most states of a neuron.
pub const STATES_MAX: u8 = 16;

/// Options of the update rule, in the paper's terms.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RuleSpec {
    /// States of each neuron and synapse (k), 1 to 16.
    pub states: u8,
    /// Whether the four gates are one number each or one per state.
    pub gates: Gates,
    /// Whether the synapse update sums over the batch (the paper) or divides by its size.
    pub hebbian: Hebbian,
    /// Activation of hidden layers in the forward pass.
    pub forward_activation: StateActivations,
    /// Activation of every layer that the backward pass updates.
    pub backward_activation: StateActivations,
    /// Activation of the last layer in the forward pass.
    pub last_layer_activation: StateActivations,
    /// Activation of synapses after their update.
    pub synapse_activation: StateActivations,
    /// How the backward pass changes neurons.
    pub backward_update: BackwardUpdate,
    /// What the backward pass starts from.
    pub feedback: Feedback,
    /// The backward synapses' update is the transpose of the forward synapses'.
    pub symmetric_synapses: bool,
    /// All states of a synapse receive the update of state 0.
    pub symmetric_states: bool,
    /// Neurons are reset to 0 at the start of every update; otherwise they keep their states.
    pub zero_out_neurons: bool,
}

impl Default for RuleSpec {
    fn default() -> Self {
        Self {
            states: 4,
            gates: Gates::Scalar,
            hebbian: Hebbian::Mean,
            forward_activation: Activation::ReluTanh.into(),
            backward_activation: Activation::ReluTanh.into(),
            last_layer_activation: Activation::Tanh.into(),
            synapse_activation: Activation::Identity.into(),
            backward_update: BackwardUpdate::Additive,
            feedback: Feedback::ConcatGroundTruth,
            symmetric_synapses: false,
            symmetric_states: false,
            zero_out_neurons: true,
        }
    }
}

impl RuleSpec {
    /// Refuses impossible combinations, naming the field.
    pub fn validate(&self) -> Result<(), SpecError> {
        check_range("rule.states", self.states, 1, STATES_MAX)?;
        if self.states == 1 && self.feedback != Feedback::ReplaceState0 {
            return Err(SpecError::field(
                "rule.feedback",
                "writes into state 1, which one state does not have; use `replace-state0` or rule.states >= 2",
            ));
        }
        for (field, activations) in [
            ("rule.forward_activation", &self.forward_activation),
            ("rule.backward_activation", &self.backward_activation),
            ("rule.last_layer_activation", &self.last_layer_activation),
            ("rule.synapse_activation", &self.synapse_activation),
        ] {
            if let StateActivations::PerState(words) = activations
                && words.len() != usize::from(self.states)
            {
                return Err(SpecError::field(
                    field,
                    format!(
                        "must be one activation or a list of {} (rule.states), not of {}",
                        self.states,
                        words.len()
                    ),
                ));
            }
        }
        Ok(())
    }
}

/// Shape of a gate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gates {
    /// One number for all states.
    #[default]
    Scalar,
    /// One number per state.
    PerState,
}

/// How the synapse update gathers the batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hebbian {
    /// Divided by the batch size: a rule transfers between batch sizes.
    #[default]
    Mean,
    /// Summed, as in the paper.
    Sum,
}

/// How the backward pass combines a neuron's state with what arrives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BackwardUpdate {
    /// `keep * x + update * u`
    #[default]
    Additive,
    /// State 0 is kept (`keep * x`), the others become `keep * x * u`.
    MultiplicativeSecondState,
}

/// What is written into the last layer before the backward pass; y is its state 0, t the target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Feedback {
    /// State 1 becomes t, the later ones 0.
    #[default]
    ConcatGroundTruth,
    /// State 0 becomes t.
    ReplaceState0,
    /// State 1 becomes y - t, the later ones 0.
    Difference,
    /// State 1 is multiplied by y - t, the later ones become 0.
    DifferenceTimesSecondState,
    /// State 1 becomes softmax(y) - t, the later ones 0.
    SoftmaxDifference,
}

/// An elementwise function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// x
    #[default]
    Identity,
    /// tanh x
    Tanh,
    /// max(0, x)
    Relu,
    /// max(0, tanh x)
    ReluTanh,
    /// 1 / (1 + exp(-x))
    Sigmoid,
    /// 1
    DIdentity,
    /// 1 - tanh^2 x
    DTanh,
    /// 1 if x > 0, else 0
    DRelu,
    /// s (1 - s) with s = sigmoid x
    DSigmoid,
}

/// One activation for all states, or one for each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "expected the name of an activation (identity, tanh, relu, relu_tanh, sigmoid, d_identity, d_tanh, d_relu, d_sigmoid) or a list of them, one per state"
)]
pub enum StateActivations {
    /// The same for all states.
    All(Activation),
    /// State o has the o-th.
    PerState(Vec<Activation>),
}

impl From<Activation> for StateActivations {
    fn from(activation: Activation) -> Self {
        Self::All(activation)
    }
}

impl StateActivations {
    /// The activation of a state, counted from 0.
    pub fn of_state(&self, state: usize) -> Activation {
        match self {
            Self::All(activation) => *activation,
            Self::PerState(activations) => activations[state],
        }
    }
}

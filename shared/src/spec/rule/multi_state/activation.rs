//! Elementwise functions of neurons and synapses, as they are written.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::limits::STATES_MAX;

/// An elementwise function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "expected the name of an activation (identity, tanh, relu, relu_tanh, sigmoid, d_identity, d_tanh, d_relu, d_sigmoid) or a list of them, one per state"
)]
pub enum StateActivations {
    /// The same for all states.
    All(Activation),
    /// State o has the o-th.
    PerState(#[schemars(length(min = 1, max = STATES_MAX))] Vec<Activation>),
}

impl Activation {
    /// The activation that is the derivative of this one, of those that have one here.
    pub fn derivative(self) -> Option<Self> {
        match self {
            Self::Identity => Some(Self::DIdentity),
            Self::Tanh => Some(Self::DTanh),
            Self::Relu => Some(Self::DRelu),
            Self::Sigmoid => Some(Self::DSigmoid),
            _ => None,
        }
    }
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

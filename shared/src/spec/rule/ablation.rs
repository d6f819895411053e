//! What a rule must do without: whether it learns more than a readout of random neurons.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is taken from a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ablation {
    /// The backward transform (mu) is zero: nothing runs back from the last layer to the hidden ones.
    NoBackwardTransform,
    /// The synapses below the last layer, of both directions, stay as they were initialised.
    HiddenSynapsesFrozen,
    /// Both: only the synapses of the last layer learn, from random neurons and their own feedback.
    ReadoutOnly,
}

impl Ablation {
    /// All of them.
    pub const ALL: &[Self] = &[Self::NoBackwardTransform, Self::HiddenSynapsesFrozen, Self::ReadoutOnly];

    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoBackwardTransform => "no backward",
            Self::HiddenSynapsesFrozen => "hidden frozen",
            Self::ReadoutOnly => "readout only",
        }
    }

    /// What is taken by both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        if self == other { self } else { Self::ReadoutOnly }
    }

    /// Whether the backward transform is zero.
    pub fn takes_backward_transform(self) -> bool {
        matches!(self, Self::NoBackwardTransform | Self::ReadoutOnly)
    }

    /// Whether synapses below the last layer must not learn.
    pub fn freezes(self) -> bool {
        matches!(self, Self::HiddenSynapsesFrozen | Self::ReadoutOnly)
    }
}

impl std::fmt::Display for Ablation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

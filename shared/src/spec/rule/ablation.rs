//! What a rule must do without: whether it learns more than a readout of random neurons.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is taken from a rule. Which of them a rule has, its family says, by the rule's options and networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ablation {
    /// The backward transform (mu) is zero: nothing runs back from the last layer to the hidden ones.
    NoBackwardTransform,
    /// The synapses below the last layer, of both directions, stay as they were initialised.
    HiddenSynapsesFrozen,
    /// Both: only the synapses of the last layer learn, from random neurons and their own feedback.
    ReadoutOnly,
    /// All neurons are of the mean type.
    NoEmbedding,
    /// Bodies have nothing but their first state.
    OneBodyState,
    /// Synapses have nothing but their first state.
    OneSynapseState,
    /// Nothing comes from the layer above.
    NoFeedback,
    /// Warps are the identity.
    IdentityWarp,
    /// All warps but the first are the identity.
    FirstWarpAlone,
    /// All warps but the last are the identity.
    LastWarpAlone,
    /// What goes into residual warps is as it started.
    UnlearnedWarpInputs,
    /// Weights start where nothing was learned.
    UnlearnedStart,
    /// All examples count alike.
    ConstantWeights,
    /// What examples count for is given out among those of a batch at random.
    ShuffledWeights,
    /// Training is always half way.
    NoProgress,
    /// All examples of a batch have its mean loss.
    NoLoss,
}

impl Ablation {
    /// What can be taken from a multi-state rule.
    pub const OF_MULTI_STATE: &[Self] =
        &[Self::NoBackwardTransform, Self::HiddenSynapsesFrozen, Self::ReadoutOnly];

    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoBackwardTransform => "no backward",
            Self::HiddenSynapsesFrozen => "hidden frozen",
            Self::ReadoutOnly => "readout only",
            Self::NoEmbedding => "no embedding",
            Self::OneBodyState => "one body state",
            Self::OneSynapseState => "one synapse state",
            Self::NoFeedback => "no feedback",
            Self::IdentityWarp => "identity warp",
            Self::FirstWarpAlone => "first warp alone",
            Self::LastWarpAlone => "last warp alone",
            Self::UnlearnedWarpInputs => "first inputs",
            Self::UnlearnedStart => "first start",
            Self::ConstantWeights => "constant weights",
            Self::ShuffledWeights => "shuffled weights",
            Self::NoProgress => "no progress",
            Self::NoLoss => "no loss",
        }
    }

    /// What it leaves, in words.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::NoBackwardTransform => "the rule with its backward transform zero",
            Self::HiddenSynapsesFrozen => "synapses below the last layer do not learn",
            Self::ReadoutOnly => "both",
            Self::NoEmbedding => "all neurons are of the mean type",
            Self::OneBodyState => "bodies have nothing but their first state",
            Self::OneSynapseState => "synapses have nothing but their first state",
            Self::NoFeedback => "nothing comes from the layer above",
            Self::IdentityWarp => "plain descent at the rule's rate",
            Self::FirstWarpAlone => "all warps but the first are the identity",
            Self::LastWarpAlone => "all warps but the last are the identity",
            Self::UnlearnedWarpInputs => "what goes into residual warps is as it started",
            Self::UnlearnedStart => "weights start where nothing was learned",
            Self::ConstantWeights => "all examples count alike",
            Self::ShuffledWeights => "what examples count for is given out at random",
            Self::NoProgress => "training is always half way",
            Self::NoLoss => "all examples of a batch have its mean loss",
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

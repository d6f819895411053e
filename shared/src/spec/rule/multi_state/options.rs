//! What the options of an update rule may be.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::spec::SpecError;
use crate::spec::range::Range;

/// Which layers a genome's parameters are for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GenomeScope {
    /// All layers share one set of parameters.
    #[default]
    Shared,
    /// Each layer of synapses, with the neurons on both of its sides, has its own.
    PerLayer,
}

/// Normalisation of synapses: each neuron's arriving synapses, bias included, get the Euclidean norm 1, state by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Normalisation {
    /// The synapses themselves are normalised, at the start of every update.
    pub stored: bool,
    /// Both passes use normalised synapses; what is stored stays as it is.
    pub in_activations: bool,
    /// The norm is evolved (the segment `rescale_to`) instead of 1.
    pub rescale: bool,
}

/// Oja's term: a decay of synapses by what their destination does, `d -= m W c`, where c is the square of the
/// destination's transformed state summed as the Hebbian sum is, or of its arriving synapses, and
/// `m = scale sign(synapse update) |evolved multiplier|`.
#[derive(Clone, Copy, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Oja {
    /// A factor of the term.
    #[schemars(transform = OJA_SCALE.schema())]
    pub scale: f64,
    /// The multiplier is evolved (the segment `oja_multiplier`) instead of 1.
    pub multiplier: bool,
    /// The squares are those of the arriving synapses. Then the synapses within a layer, which nothing else reads, are
    /// computed as well.
    pub synapse_weights: bool,
}

const OJA_SCALE: Range<f64> = Range::new(-1e6, 1e6);

impl Oja {
    pub(super) fn validate(self) -> Result<(), SpecError> {
        OJA_SCALE.check("rule.oja.scale", self.scale)
    }
}

impl Default for Oja {
    fn default() -> Self {
        Self { scale: 1.0, multiplier: false, synapse_weights: false }
    }
}

/// Saturation: a synapse W changes by its usual change times `exp(-|W| (epsilon + |saturation|))`, the latter evolved
/// (the segment `saturation`).
#[derive(Clone, Copy, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Saturation {
    /// The least rate.
    #[schemars(transform = EPSILON.schema())]
    pub epsilon: f64,
}

const EPSILON: Range<f64> = Range::new(0.0, 1e6);

impl Saturation {
    pub(super) fn validate(self) -> Result<(), SpecError> {
        EPSILON.check("rule.saturation.epsilon", self.epsilon)
    }
}

impl Default for Saturation {
    fn default() -> Self {
        Self { epsilon: 1e-3 }
    }
}

/// Whether synapses also learn from the forward pass alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardSynapseUpdate {
    /// They do not.
    #[default]
    Off,
    /// By the parameters of the synapse update.
    SharedGenome,
    /// By parameters of its own (the segments `forward_synapse_...`).
    OwnGenome,
}

/// Shape of a gate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gates {
    /// One number for all states.
    #[default]
    Scalar,
    /// One number per state.
    PerState,
}

/// How the synapse update gathers the batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hebbian {
    /// Divided by the batch size: a rule transfers between batch sizes.
    #[default]
    Mean,
    /// Summed, as in the paper.
    Sum,
}

/// How the backward pass combines a neuron's state with what arrives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BackwardUpdate {
    /// `keep * x + update * u`
    #[default]
    Additive,
    /// State 0 is kept (`keep * x`), the others become `keep * x * u`.
    MultiplicativeSecondState,
    /// `keep * x * u` in every state
    Multiplicative,
    /// `u`: what arrives replaces the state, without gates.
    None,
    /// `keep * x + gate * x * u + input * u`, with gates of its own (the segments `backward_gate` and `backward_input`).
    Gated,
}

/// What is written into the last layer before the backward pass; y is its state 0, t the target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
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

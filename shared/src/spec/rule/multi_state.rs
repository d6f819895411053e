//! Update rules of multi-state networks.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::RuleOptions;
use super::ablation::Ablation;
use crate::genome::{Genome, GenomeLayout, Transform};
use crate::limits::{STATES_MAX, SUPERVISED_EVERY_MAX};
use crate::spec::network::NetworkSpec;
use crate::spec::range::Range;
use crate::spec::start::StartSpec;
use crate::spec::task::TaskSpec;
use crate::spec::{SpecError, is_default};

mod activation;
mod backpropagation;
mod differentiable;
mod options;

pub use activation::{Activation, StateActivations};
pub use differentiable::{FanIn, InitialScale};
pub use options::*;

/// Options of the update rule, in the paper's terms.
///
/// What came after the first version is written only where it differs from its default, which is what rules did before:
/// so the digest of an older spec is the same for every version of the program.
#[expect(clippy::struct_excessive_bools, reason = "the options are independent of each other")]
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MultiStateSpec {
    /// States of each neuron and synapse (k).
    #[schemars(transform = STATES.schema())]
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
    /// Whether all layers share one genome or each layer of synapses has its own.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(!skip_serializing_if)]
    pub genome: GenomeScope,
    /// Whether and where synapses are normalised. Default: nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub normalisation: Option<Normalisation>,
    /// Oja's term in the synapse update. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oja: Option<Oja>,
    /// Saturation of synapses: large ones change less. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub saturation: Option<Saturation>,
    /// A synapse update after each forward pass, before any feedback.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(!skip_serializing_if)]
    pub forward_synapse_update: ForwardSynapseUpdate,
    /// The lower neuron of a synapse enters the synapse update as the forward pass left it, not the backward pass.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(!skip_serializing_if)]
    pub forward_activations_in_synapse_update: bool,
    /// Every how many updates there is a backward pass, the first one included.
    #[serde(skip_serializing_if = "is_one")]
    #[schemars(!skip_serializing_if, transform = SUPERVISED_EVERY.schema())]
    pub supervised_every: u32,
    /// Per layer of neurons, input and output included, whether the passes change its states. Default: all but the
    /// input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updatable: Option<Vec<bool>>,
    /// Whether the genome scales the initial synapses.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(!skip_serializing_if)]
    pub evolve_initial_scale: bool,
    /// Synapses keep a mixture of their states (the segment `synapse_mixing`, k x k) instead of a share of each.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(!skip_serializing_if)]
    pub synapse_mixing: bool,
    /// The Hebbian sums of a layer and state are divided by a power of their root mean square; the exponent is evolved (the
    /// segment `normalisation_exponent`; 1 makes steps that do not depend on the size of the sums).
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(!skip_serializing_if)]
    pub update_normalisation: bool,
    /// The weight of the Hebbian sums depends on the number t of updates before: times
    /// `exp(schedule_early / (1 + t)) (1 + t)^schedule_power`, both evolved.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(!skip_serializing_if)]
    pub update_schedule: bool,
    /// The genome scales normal draws of the initial synapses for each layer and state. Default: they are drawn as
    /// `network.initial_synapses` says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initial_scale: Option<InitialScale>,
    /// The prediction is a weighted sum over the states of the last layer (the segment `readout`, k numbers) instead of its
    /// state 0.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(!skip_serializing_if)]
    pub readout: bool,
    /// Predictions are multiplied by an evolved number where they are measured, and only there.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(!skip_serializing_if)]
    pub loss_temperature: bool,
    /// Steps are scaled by the number of neurons that a layer of synapses comes from. Default: they are not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fan_in: Option<FanIn>,
    /// What the rule must do without, also while it is searched for: so it shows what can be learned without it. Default: nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ablation: Option<Ablation>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_one(value: &u32) -> bool {
    *value == 1
}

impl Default for MultiStateSpec {
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
            genome: GenomeScope::Shared,
            normalisation: None,
            oja: None,
            saturation: None,
            forward_synapse_update: ForwardSynapseUpdate::Off,
            forward_activations_in_synapse_update: false,
            supervised_every: 1,
            updatable: None,
            evolve_initial_scale: false,
            synapse_mixing: false,
            update_normalisation: false,
            update_schedule: false,
            initial_scale: None,
            readout: false,
            loss_temperature: false,
            fan_in: None,
            ablation: None,
        }
    }
}

const STATES: Range<u8> = Range::new(1, STATES_MAX);
const SUPERVISED_EVERY: Range<u32> = Range::new(1, SUPERVISED_EVERY_MAX);

/// What a synapse keeps: nearly all at 0.
const SYNAPSE_KEEP: Transform = Transform::Decay { rate: 0.05, shift: 1.0 };
/// The weight of the Hebbian sum: a tenth at 0.
const SYNAPSE_UPDATE: Transform = Transform::Exp { factor: 0.1, scale: 1.0 };
/// Oja's own rule at 0. Its sign would not matter.
const OJA_MULTIPLIER: Transform = Transform::Exp { factor: 1.0, scale: 1.0 };
/// Changes fall to 1/e at a synapse of 1 for x = 0. Its sign would not matter.
const SATURATION: Transform = Transform::Exp { factor: 1.0, scale: 1.0 };

impl RuleOptions for MultiStateSpec {
    fn family(&self) -> &'static str {
        Self::FAMILY
    }

    fn validate(&self) -> Result<(), SpecError> {
        STATES.check("rule.states", self.states)?;
        if let Some(ablation) = self.ablation.filter(|ablation| !Ablation::OF_MULTI_STATE.contains(ablation))
        {
            let problem = format!("`{ablation}` cannot be taken from a multi-state rule");
            return Err(SpecError::field("rule.ablation", problem));
        }
        if self.states == 1 && self.feedback != Feedback::ReplaceState0 {
            return Err(SpecError::field(
                "rule.feedback",
                "writes into state 1, but rule.states is 1; use `replace-state0` or rule.states >= 2",
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
        if self.forward_activations_in_synapse_update
            && self.forward_synapse_update != ForwardSynapseUpdate::Off
        {
            return Err(SpecError::field(
                "rule.forward_activations_in_synapse_update",
                "cannot be combined with rule.forward_synapse_update, which has used the forward activations already; \
                 set one of them",
            ));
        }
        SUPERVISED_EVERY.check("rule.supervised_every", self.supervised_every)?;
        if let Some(Normalisation { stored: false, in_activations: false, .. }) = self.normalisation {
            return Err(SpecError::field(
                "rule.normalisation",
                "normalises nothing; set `stored`, `in_activations` or both, or leave it out",
            ));
        }
        if let Some(oja) = self.oja {
            oja.validate()?;
        }
        if let Some(saturation) = self.saturation {
            saturation.validate()?;
        }
        self.validate_extension()
    }

    fn validate_for(&self, network: &NetworkSpec, tasks: &TaskSpec) -> Result<(), SpecError> {
        let depth = network.synapse_layers();
        if self.genome == GenomeScope::PerLayer && depth.is_none() {
            return Err(SpecError::field(
                "rule.genome",
                "`per-layer` needs networks of one depth, but network.shapes mixes several; use `shared`",
            ));
        }
        if let Some(flags) = &self.updatable {
            let refuse = |problem| Err(SpecError::field("rule.updatable", problem));
            match depth {
                None => {
                    return refuse(
                        "needs networks of one depth, but network.shapes mixes several".to_owned(),
                    );
                }
                Some(layers) if flags.len() != layers + 1 => {
                    return refuse(format!(
                        "must have {} flags, one per layer of neurons from the input to the output, not {}",
                        layers + 1,
                        flags.len()
                    ));
                }
                Some(_) => {}
            }
        }
        self.validate_extension_for(network, tasks)
    }

    /// Always there are four k x k matrices and four gates (one number, or one per state): 4 k^2 + 4 numbers at least.
    /// Options append segments. A genome per layer puts an axis of the synapse layers before all of these shapes; only
    /// `rescale_to` and `initial_synapse_scale` are the network's.
    fn layout(&self, network: &NetworkSpec) -> GenomeLayout {
        let k = u32::from(self.states);
        let layers = match self.genome {
            GenomeScope::Shared => None,
            GenomeScope::PerLayer => {
                Some(network.synapse_layers().expect("a genome per layer is for one depth") as u32)
            }
        };
        let state_shape = match self.gates {
            Gates::Scalar => vec![],
            Gates::PerState => vec![k],
        };
        let per_layer = |shape: &[u32]| layers.into_iter().chain(shape.iter().copied()).collect::<Vec<_>>();
        let (matrix, gate) = (per_layer(&[k, k]), per_layer(&state_shape));
        let mut layout = GenomeLayout::default();
        for name in ["forward_transform", "backward_transform", "hebbian_pre", "hebbian_post"] {
            layout.push(name, &matrix, Transform::IDENTITY);
        }
        layout.push("neuron_keep", &gate, Transform::Affine { offset: 1.0, scale: 1.0 });
        layout.push("neuron_update", &gate, Transform::Exp { factor: 1.0, scale: 0.5 });
        if self.synapse_mixing {
            layout.push("synapse_mixing", &matrix, Transform::IDENTITY);
        } else {
            layout.push("synapse_keep", &gate, SYNAPSE_KEEP);
        }
        layout.push("synapse_update", &gate, SYNAPSE_UPDATE);
        let multiplier = self.oja.is_some_and(|oja| oja.multiplier);
        if multiplier {
            layout.push("oja_multiplier", &gate, OJA_MULTIPLIER);
        }
        if self.saturation.is_some() {
            layout.push("saturation", &gate, SATURATION);
        }
        if self.normalisation.is_some_and(|normalisation| normalisation.rescale) {
            layout.push("rescale_to", &state_shape, Transform::Exp { factor: 1.0, scale: 0.5 });
        }
        if self.evolve_initial_scale {
            layout.push("initial_synapse_scale", &[], Transform::Bounded { low: 0.0, high: 2.0 });
        }
        if self.forward_synapse_update == ForwardSynapseUpdate::OwnGenome {
            layout.push("forward_synapse_hebbian_pre", &matrix, Transform::IDENTITY);
            layout.push("forward_synapse_hebbian_post", &matrix, Transform::IDENTITY);
            layout.push("forward_synapse_keep", &gate, SYNAPSE_KEEP);
            layout.push("forward_synapse_update", &gate, SYNAPSE_UPDATE);
            if multiplier {
                layout.push("forward_synapse_oja_multiplier", &gate, OJA_MULTIPLIER);
            }
            if self.saturation.is_some() {
                layout.push("forward_synapse_saturation", &gate, SATURATION);
            }
        }
        self.push_extension(&mut layout, &gate, network);
        layout
    }

    fn network_numbers(&self, sizes: &[usize], batch: f64) -> f64 {
        if self.is_extended() {
            return self.differentiable_network_numbers(sizes, batch);
        }
        let k = f64::from(self.states);
        let neurons: f64 = sizes.iter().map(|&neurons| neurons as f64).sum();
        let widest = sizes.iter().max().map_or(0.0, |&neurons| neurons as f64);
        let synapses = 2.0 * NetworkSpec::synapses_of(sizes);
        let copies = if self.normalisation.is_some() { 2.0 } else { 1.0 };
        let within = if self.needs_synapses_within_layers() { within(sizes) } else { 0.0 };
        // One state's sums are scratch, those of a deep product too, and a layer's states under five transforms.
        let of_synapses = (k * copies + 2.0) * synapses + (k + 1.0) * within;
        let layers = if self.forward_activations_in_synapse_update { 2.0 } else { 1.0 };
        of_synapses + k * batch * ((layers + 1.0) * neurons + 7.0 * widest)
    }

    fn multiplications(&self, sizes: &[usize]) -> f64 {
        // Of four products over the batch, those within layers take two.
        let within = if self.needs_synapses_within_layers() { within(sizes) / 2.0 } else { 0.0 };
        4.0 * (NetworkSpec::synapses_of(sizes) + within) * f64::from(self.states)
    }

    fn check_gradient(&self, tasks: &TaskSpec) -> Result<(), SpecError> {
        self.check_differentiable("a gradient")?;
        self.check_classes("a gradient", tasks)
    }

    fn gradient_numbers(&self, sizes: &[usize], batch: usize, updates: u32) -> [f64; 2] {
        self.differentiable_gradient_numbers(sizes, batch, updates)
    }

    fn backpropagation(&self, network: &NetworkSpec, start: &StartSpec) -> Result<Genome, SpecError> {
        self.backpropagation_genome(network, start)
    }

    fn summary(&self) -> String {
        let s = if self.states == 1 { "" } else { "s" };
        format!("{} state{s} per neuron and synapse", self.states)
    }
}

/// Synapses of one state within the two neuron layers of each synapse layer, the bias included.
fn within(sizes: &[usize]) -> f64 {
    sizes.windows(2).map(|pair| (pair[0] as f64 + 1.0).powi(2) + (pair[1] as f64).powi(2)).sum()
}

impl MultiStateSpec {
    /// The name of the family.
    pub const FAMILY: &str = "multi-state";

    /// Whether the synapse update reads synapses from a layer of neurons to itself.
    pub fn needs_synapses_within_layers(&self) -> bool {
        self.oja.is_some_and(|oja| oja.synapse_weights)
    }

    /// Whether the passes change a layer's neurons, for each of `layers` layers from the input to the output.
    pub fn updatable(&self, layers: usize) -> Vec<bool> {
        match &self.updatable {
            Some(flags) => flags.clone(),
            None => (0..layers).map(|layer| layer > 0).collect(),
        }
    }
}

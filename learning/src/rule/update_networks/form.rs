//! The form of an update network: its sizes and options.

use hebbian_shared::spec::rule::update_networks::UpdateNetworksSpec;

/// Sizes and options of a network, and the type of each of its layers.
#[derive(Clone, Debug, PartialEq)]
pub struct Form {
    /// Options of the family.
    pub options: UpdateNetworksSpec,
    /// Neurons of each layer, inputs first; at least two layers.
    pub layers: Vec<usize>,
    /// Type of each layer.
    pub types: Vec<usize>,
}

impl Form {
    /// With the types that the options say.
    pub fn new(options: UpdateNetworksSpec, layers: &[usize]) -> Self {
        let types = (0..layers.len()).map(|layer| options.layer_type(layer, layers.len())).collect();
        Self { options, layers: layers.to_vec(), types }
    }

    /// Layers of forward synapses.
    pub(super) fn depth(&self) -> usize {
        self.layers.len() - 1
    }

    /// B, S, E, W, V and F of the family's documents.
    pub(super) fn sizes(&self) -> Sizes {
        Sizes::of(&self.options)
    }

    /// Source and destination layer of a layer of synapses: forward ones from the inputs on, then those of feedback.
    pub(super) fn ends(&self, place: usize) -> (usize, usize) {
        let depth = self.depth();
        if place < depth { (place, place + 1) } else { (place - depth + 2, place - depth + 1) }
    }

    /// Layers of synapses of both directions.
    pub(super) fn synapse_layers(&self) -> usize {
        self.depth() + if self.options.feedback { self.depth() - 1 } else { 0 }
    }
}

/// Numbers of states and features.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    /// B: states of a body.
    pub(super) body: usize,
    /// S: states of a synapse.
    pub(super) synapse: usize,
    /// E: numbers of an embedding.
    pub(super) embedding: usize,
    /// W: features of the synapse function.
    pub(super) features: usize,
    /// V: features of the body function.
    pub(super) body_features: usize,
    /// F: what the body function is given.
    pub(super) body_inputs: usize,
}

impl Sizes {
    pub(super) fn of(options: &UpdateNetworksSpec) -> Self {
        Self {
            body: options.body_states as usize,
            synapse: options.synapse_states as usize,
            embedding: options.embedding as usize,
            features: options.features as usize,
            body_features: options.body_features as usize,
            body_inputs: options.body_inputs() as usize,
        }
    }
}

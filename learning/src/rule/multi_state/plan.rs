//! Which parts of a network are computed: all of them, or only those that anything reads.

use hebbian_shared::spec::rule::multi_state::{ForwardSynapseUpdate, MultiStateSpec};

/// What a network computes and stores.
///
/// A lean plan leaves out what no neuron update ever reads: the backward synapses into a layer whose neurons are not
/// updated (the input layer's block is the largest of all), the bias column of every backward block, and the synapses
/// within a layer, which only Oja's term over synapse weights reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Per layer, whether its neurons are updated.
    updatable: Vec<bool>,
    /// Per synapse layer, what is kept of the backward block.
    backward: Vec<BackwardBlock>,
    /// Per synapse layer, which synapses within its two layers of neurons are kept.
    within: Vec<WithinBlocks>,
}

/// What is kept of a backward block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackwardBlock {
    /// Nothing: no memory, no update.
    Absent,
    /// All but the bias column, whose values are never read and mean nothing.
    WithoutBias,
    /// Everything.
    Whole,
}

/// Which of the two diagonal blocks of a layer's full synapse matrix are kept: synapses from a layer of neurons to
/// itself. No neuron reads them; Oja's term over synapse weights counts them among the arriving synapses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WithinBlocks {
    /// Those among the inputs and their bias; read by the backward synapses' update.
    pub inputs: bool,
    /// Those among the outputs; read by the forward synapses' update.
    pub outputs: bool,
}

impl Plan {
    /// Everything, as the definition has it, for a network of `layers` layers of neurons.
    pub fn full(options: &MultiStateSpec, layers: usize) -> Self {
        let synapse_layers = layers.saturating_sub(1);
        let within = options.needs_synapses_within_layers();
        Self {
            updatable: options.updatable(layers),
            backward: vec![BackwardBlock::Whole; synapse_layers],
            within: vec![WithinBlocks { inputs: within, outputs: within }; synapse_layers],
        }
    }

    /// What is read, and no more, for a network of `layers` layers of neurons.
    pub fn lean(options: &MultiStateSpec, layers: usize) -> Self {
        let updatable = options.updatable(layers);
        // Normalisation clears the synapses within a layer before anything but a forward update can fill them.
        let cleared = options.normalisation.is_some_and(|normalisation| normalisation.stored)
            && options.forward_synapse_update == ForwardSynapseUpdate::Off;
        let within = options.needs_synapses_within_layers() && !cleared;
        let lower = &updatable[..layers.saturating_sub(1)];
        let block =
            |&updated: &bool| if updated { BackwardBlock::WithoutBias } else { BackwardBlock::Absent };
        let blocks = |&updated: &bool| WithinBlocks { inputs: within && updated, outputs: within };
        Self {
            backward: lower.iter().map(block).collect(),
            within: lower.iter().map(blocks).collect(),
            updatable,
        }
    }

    /// Layers of neurons, input included.
    pub fn layers(&self) -> usize {
        self.updatable.len()
    }

    /// Whether the neurons of a layer are updated.
    pub fn is_updatable(&self, layer: usize) -> bool {
        self.updatable[layer]
    }

    /// What is kept of the backward block between layers `synapse_layer` and `synapse_layer + 1`.
    pub fn backward_block(&self, synapse_layer: usize) -> BackwardBlock {
        self.backward[synapse_layer]
    }

    /// Which synapses within the layers `synapse_layer` and `synapse_layer + 1` are kept.
    pub fn within_blocks(&self, synapse_layer: usize) -> WithinBlocks {
        self.within[synapse_layer]
    }
}

#[cfg(test)]
mod tests {
    use hebbian_shared::spec::rule::multi_state::{Normalisation, Oja};

    use super::*;

    #[test]
    fn a_lean_plan_leaves_out_the_input_layers_backward_block() {
        let plan = Plan::lean(&MultiStateSpec::default(), 3);
        assert_eq!(plan.backward_block(0), BackwardBlock::Absent);
        assert_eq!(plan.backward_block(1), BackwardBlock::WithoutBias);
        assert_eq!(Plan::full(&MultiStateSpec::default(), 2).backward_block(0), BackwardBlock::Whole);
    }

    #[test]
    fn a_lean_plan_keeps_the_block_of_an_updatable_input_layer() {
        let options =
            MultiStateSpec { updatable: Some(vec![true, false, true]), ..MultiStateSpec::default() };
        let plan = Plan::lean(&options, 3);
        assert_eq!(plan.backward_block(0), BackwardBlock::WithoutBias);
        assert_eq!(plan.backward_block(1), BackwardBlock::Absent);
    }

    #[test]
    fn only_ojas_term_over_synapse_weights_needs_the_diagonal_blocks() {
        let none = WithinBlocks::default();
        let with = |oja, normalisation| MultiStateSpec { oja, normalisation, ..MultiStateSpec::default() };
        let weights = Some(Oja { synapse_weights: true, ..Oja::default() });
        let stored = Some(Normalisation { stored: true, ..Normalisation::default() });
        assert_eq!(Plan::full(&with(Some(Oja::default()), None), 3).within_blocks(0), none);
        assert_eq!(Plan::lean(&with(Some(Oja::default()), None), 3).within_blocks(1), none);
        let plan = Plan::lean(&with(weights, None), 3);
        assert_eq!(plan.within_blocks(0), WithinBlocks { inputs: false, outputs: true });
        assert_eq!(plan.within_blocks(1), WithinBlocks { inputs: true, outputs: true });
        assert_eq!(
            Plan::full(&with(weights, None), 3).within_blocks(0),
            WithinBlocks { inputs: true, outputs: true }
        );
        assert_eq!(Plan::lean(&with(weights, stored), 3).within_blocks(1), none);
        let forward = MultiStateSpec {
            forward_synapse_update: ForwardSynapseUpdate::SharedGenome,
            ..with(weights, stored)
        };
        assert!(Plan::lean(&forward, 3).within_blocks(1).outputs);
    }
}

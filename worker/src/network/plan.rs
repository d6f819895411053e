//! Which parts of a network are computed: all of them, or only those that anything reads.

/// What a network computes and stores.
///
/// A lean plan leaves out what no neuron update ever reads: the backward synapses into a layer whose neurons are not
/// updated (the input layer's block is the largest of all), and the bias column of every backward block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Per layer, whether its neurons are updated.
    updatable: Vec<bool>,
    /// Per synapse layer, what is kept of the backward block.
    backward: Vec<BackwardBlock>,
}

/// What is kept of a backward block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackwardBlock {
    /// Nothing: no memory, no update.
    Absent,
    /// All but the bias column, whose values are never read and stay as initialised.
    WithoutBias,
    /// Everything.
    Whole,
}

impl Plan {
    /// Everything, as the definition has it. `updatable` has one flag per layer of neurons.
    pub fn full(updatable: &[bool]) -> Self {
        let backward = vec![BackwardBlock::Whole; updatable.len().saturating_sub(1)];
        Self { updatable: updatable.to_vec(), backward }
    }

    /// What is read, and no more. `updatable` has one flag per layer of neurons.
    pub fn lean(updatable: &[bool]) -> Self {
        let block =
            |&updated: &bool| if updated { BackwardBlock::WithoutBias } else { BackwardBlock::Absent };
        let backward = updatable[..updatable.len().saturating_sub(1)].iter().map(block).collect();
        Self { updatable: updatable.to_vec(), backward }
    }

    /// The flags of a usual network of `layers` layers: all neurons are updated but the input's.
    pub fn usually_updatable(layers: usize) -> Vec<bool> {
        (0..layers).map(|layer| layer > 0).collect()
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lean_plan_leaves_out_the_input_layers_backward_block() {
        let plan = Plan::lean(&Plan::usually_updatable(3));
        assert_eq!(plan.backward_block(0), BackwardBlock::Absent);
        assert_eq!(plan.backward_block(1), BackwardBlock::WithoutBias);
        assert_eq!(Plan::full(&[false, true]).backward_block(0), BackwardBlock::Whole);
    }

    #[test]
    fn a_lean_plan_keeps_the_block_of_an_updatable_input_layer() {
        assert_eq!(Plan::lean(&[true, false, true]).backward_block(0), BackwardBlock::WithoutBias);
        assert_eq!(Plan::lean(&[true, false, true]).backward_block(1), BackwardBlock::Absent);
    }
}

//! The synapses between two layers.

use pulp::Arch;

use super::buffer::Buffer;
use super::contraction::Weights;
use super::magnitude::largest;
use super::plan::{BackwardBlock, WithinBlocks};
use super::real::Real;

/// The synapses between layer i (n inputs) and layer i + 1 (m outputs), both directions, all states.
#[derive(Clone, Debug)]
pub(super) struct Synapses<T> {
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    /// `[state, n + 1, m]`, the bias row last.
    pub(super) forward: Buffer<T>,
    /// `[state, m, n + 1]`, the bias column last; empty if absent.
    pub(super) backward: Buffer<T>,
    pub(super) backward_block: BackwardBlock,
    /// Among the inputs and their bias: `[state, n + 1, n + 1]`, the bias last; empty if absent.
    pub(super) within_inputs: Buffer<T>,
    /// Among the outputs: `[state, m, m]`; empty if absent.
    pub(super) within_outputs: Buffer<T>,
    /// No synapse's magnitude exceeds it, where it is known; all are finite then.
    pub(super) bound: Option<f64>,
}

impl<T: Real> Synapses<T> {
    /// Synapses that are all zero.
    pub(super) fn new(
        inputs: usize,
        outputs: usize,
        states: usize,
        backward_block: BackwardBlock,
        within: WithinBlocks,
    ) -> Self {
        let block = |is_kept: bool, rows: usize, columns: usize| {
            Buffer::zeros(if is_kept { rows * columns * states } else { 0 })
        };
        Self {
            inputs,
            outputs,
            forward: block(true, inputs + 1, outputs),
            backward: block(backward_block != BackwardBlock::Absent, outputs, inputs + 1),
            backward_block,
            within_inputs: block(within.inputs, inputs + 1, inputs + 1),
            within_outputs: block(within.outputs, outputs, outputs),
            bound: Some(0.0),
        }
    }

    /// Whether all synapses are finite.
    pub(super) fn is_finite(&self, arch: Arch) -> bool {
        self.bound.is_some() || self.measure(arch).is_some()
    }

    /// The largest magnitude; none if one is not finite.
    pub(super) fn measure(&self, arch: Arch) -> Option<f64> {
        let blocks = [&self.forward, &self.backward, &self.within_inputs, &self.within_outputs];
        blocks.into_iter().try_fold(0.0_f64, |before, block| Some(before.max(largest(arch, block)?)))
    }

    /// Synapses of one state and one direction, bias included.
    pub(super) fn stride(&self) -> usize {
        (self.inputs + 1) * self.outputs
    }

    /// A state's forward synapses without the bias row, and the bias row.
    pub(super) fn forward_weights(&self, state: usize) -> (Weights<'_, T>, &[T]) {
        let block = &self.forward[state * self.stride()..(state + 1) * self.stride()];
        let (values, bias) = block.split_at(self.inputs * self.outputs);
        let weights =
            Weights { values, stride: self.outputs, sources: self.inputs, destinations: self.outputs };
        (weights, bias)
    }

    /// A state's backward synapses; the bias column lies between the rows.
    pub(super) fn backward_weights(&self, state: usize) -> Weights<'_, T> {
        let values = &self.backward[state * self.stride()..(state + 1) * self.stride()];
        Weights { values, stride: self.inputs + 1, sources: self.outputs, destinations: self.inputs }
    }
}

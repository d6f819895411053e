//! A network's numbers, to be looked at and set.

use super::Network;
use super::real::Real;

impl<T: Real> Network<T> {
    /// One state of a layer after the last pass: `[neuron, example]`.
    pub fn neurons(&self, layer: usize, state: usize) -> &[T] {
        self.layers[layer].state(state)
    }

    /// Forward synapses from layer `layer` to the next in one state: `[n + 1, m]`, the bias row last.
    pub fn forward_synapses(&self, layer: usize, state: usize) -> &[T] {
        let stride = self.synapses[layer].stride();
        &self.synapses[layer].forward[state * stride..(state + 1) * stride]
    }

    /// As [`Network::forward_synapses`], to be set.
    pub fn forward_synapses_mut(&mut self, layer: usize, state: usize) -> &mut [T] {
        let stride = self.synapses[layer].stride();
        self.synapses[layer].bound = None;
        &mut self.synapses[layer].forward[state * stride..(state + 1) * stride]
    }

    /// Backward synapses from layer `layer + 1` to `layer` in one state: `[m, n + 1]`, the bias column (never read)
    /// last; none if the plan leaves the block out.
    pub fn backward_synapses(&self, layer: usize, state: usize) -> Option<&[T]> {
        let stride = self.synapses[layer].stride();
        self.synapses[layer].backward.get(state * stride..(state + 1) * stride)
    }

    /// As [`Network::backward_synapses`], to be set.
    pub fn backward_synapses_mut(&mut self, layer: usize, state: usize) -> Option<&mut [T]> {
        let stride = self.synapses[layer].stride();
        self.synapses[layer].bound = None;
        self.synapses[layer].backward.get_mut(state * stride..(state + 1) * stride)
    }

    /// Synapses among the inputs of synapse layer `layer` and their bias in one state: `[n + 1, n + 1]`, the bias last;
    /// none if the plan leaves the block out.
    pub fn synapses_within_inputs(&self, layer: usize, state: usize) -> Option<&[T]> {
        let stride = (self.synapses[layer].inputs + 1).pow(2);
        self.synapses[layer].within_inputs.get(state * stride..(state + 1) * stride)
    }

    /// As [`Network::synapses_within_inputs`], to be set.
    pub fn synapses_within_inputs_mut(&mut self, layer: usize, state: usize) -> Option<&mut [T]> {
        let stride = (self.synapses[layer].inputs + 1).pow(2);
        self.synapses[layer].bound = None;
        self.synapses[layer].within_inputs.get_mut(state * stride..(state + 1) * stride)
    }

    /// Synapses among the outputs of synapse layer `layer` in one state: `[m, m]`; none if the plan leaves the block
    /// out.
    pub fn synapses_within_outputs(&self, layer: usize, state: usize) -> Option<&[T]> {
        let stride = self.synapses[layer].outputs.pow(2);
        self.synapses[layer].within_outputs.get(state * stride..(state + 1) * stride)
    }

    /// As [`Network::synapses_within_outputs`], to be set.
    pub fn synapses_within_outputs_mut(&mut self, layer: usize, state: usize) -> Option<&mut [T]> {
        let stride = self.synapses[layer].outputs.pow(2);
        self.synapses[layer].bound = None;
        self.synapses[layer].within_outputs.get_mut(state * stride..(state + 1) * stride)
    }
}

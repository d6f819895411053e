//! The states of a layer's neurons.

use super::real::Real;

/// One layer of neurons: a `[neuron, example]` matrix per state, contiguous.
#[derive(Clone, Debug)]
pub(super) struct Layer<T> {
    neurons: usize,
    states: usize,
    batch: usize,
    values: Vec<T>,
}

impl<T: Real> Layer<T> {
    /// A layer with room for `batch_max` examples, holding none.
    pub(super) fn new(neurons: usize, states: usize, batch_max: usize) -> Self {
        Self { neurons, states, batch: 0, values: Vec::with_capacity(neurons * states * batch_max) }
    }

    /// Gives the layer `batch` examples. States are zero afterwards if that is a change.
    pub(super) fn resize(&mut self, batch: usize) {
        if self.batch != batch {
            self.batch = batch;
            self.values.clear();
            self.values.resize(self.neurons * self.states * batch, T::ZERO);
        }
    }

    /// Makes the layer what another one of the same shape is.
    pub(super) fn copy_from(&mut self, other: &Self) {
        self.batch = other.batch;
        self.values.clear();
        self.values.extend_from_slice(&other.values);
    }

    /// Sets all states to zero.
    pub(super) fn clear(&mut self) {
        self.values.fill(T::ZERO);
    }

    /// Neurons of the layer.
    pub(super) fn neurons(&self) -> usize {
        self.neurons
    }

    /// Numbers of one state: neurons x examples.
    pub(super) fn stride(&self) -> usize {
        self.neurons * self.batch
    }

    /// All states, `[state, neuron, example]`.
    pub(super) fn values(&self) -> &[T] {
        &self.values
    }

    /// One state, `[neuron, example]`.
    pub(super) fn state(&self, state: usize) -> &[T] {
        &self.values[state * self.stride()..(state + 1) * self.stride()]
    }

    /// One state, `[neuron, example]`.
    pub(super) fn state_mut(&mut self, state: usize) -> &mut [T] {
        let stride = self.stride();
        &mut self.values[state * stride..(state + 1) * stride]
    }

    /// States 0 and 1.
    pub(super) fn first_two_states_mut(&mut self) -> (&mut [T], &mut [T]) {
        let stride = self.stride();
        let (first, rest) = self.values.split_at_mut(stride);
        (first, &mut rest[..stride])
    }

    /// Sets the states from `first` on to zero.
    pub(super) fn clear_states_from(&mut self, first: usize) {
        let start = (first * self.stride()).min(self.values.len());
        self.values[start..].fill(T::ZERO);
    }

    /// Makes the layer an input layer of these examples, `[example, neuron]`: state 0 holds them, the others are zero.
    pub(super) fn load(&mut self, examples: &[T], batch: usize) {
        self.resize(batch);
        self.clear_states_from(1);
        let neurons = self.neurons;
        transpose(examples, neurons, self.state_mut(0), batch);
    }
}

/// `to[column, row] = from[row, column]`, where `to` has rows of `rows` numbers and `from` of `columns`.
pub(super) fn transpose<T: Copy>(from: &[T], columns: usize, to: &mut [T], rows: usize) {
    for (row, values) in from.chunks_exact(columns).enumerate() {
        for (column, &value) in values.iter().enumerate() {
            to[column * rows + row] = value;
        }
    }
}

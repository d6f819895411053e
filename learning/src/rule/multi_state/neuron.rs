//! The states of a layer's neurons.

use pulp::Arch;

use super::buffer::Buffer;
use super::magnitude::largest;
use super::real::Real;
use super::transpose::transpose;

/// One layer of neurons: a `[neuron, example]` matrix per state, contiguous.
#[derive(Clone, Debug)]
pub(super) struct Layer<T> {
    neurons: usize,
    states: usize,
    batch: usize,
    values: Buffer<T>,
    /// The states above 0 are known to be zero.
    upper_zero: bool,
    /// The largest magnitude of the values where it is known; they are finite then.
    largest: Option<f64>,
}

impl<T: Real> Layer<T> {
    /// A layer with room for `batch_max` examples, holding none.
    pub(super) fn new(neurons: usize, states: usize, batch_max: usize) -> Self {
        let mut values = Buffer::zeros(neurons * states * batch_max);
        values.take(0);
        Self { neurons, states, batch: 0, values, upper_zero: true, largest: None }
    }

    /// Gives the layer `batch` examples. States are zero afterwards if that is a change.
    pub(super) fn resize(&mut self, batch: usize) {
        if self.batch != batch {
            self.batch = batch;
            self.values.take(self.neurons * self.states * batch).fill(T::ZERO);
            (self.upper_zero, self.largest) = (true, None);
        }
    }

    /// Makes the layer what another one of the same shape is.
    pub(super) fn copy_from(&mut self, other: &Self) {
        self.batch = other.batch;
        self.values.take(other.values.len()).copy_from_slice(&other.values);
        (self.upper_zero, self.largest) = (other.upper_zero, other.largest);
    }

    /// Sets all states to zero.
    pub(super) fn clear(&mut self) {
        self.values.fill(T::ZERO);
        (self.upper_zero, self.largest) = (true, None);
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
        (self.upper_zero, self.largest) = (self.upper_zero && state == 0, None);
        &mut self.values[state * stride..(state + 1) * stride]
    }

    /// States 0 and 1.
    pub(super) fn first_two_states_mut(&mut self) -> (&mut [T], &mut [T]) {
        let stride = self.stride();
        (self.upper_zero, self.largest) = (false, None);
        let (first, rest) = self.values.split_at_mut(stride);
        (first, &mut rest[..stride])
    }

    /// Sets the states from `first` on to zero.
    pub(super) fn clear_states_from(&mut self, first: usize) {
        if self.upper_zero && first > 0 {
            return;
        }
        let start = (first * self.stride()).min(self.values.len());
        self.values[start..].fill(T::ZERO);
        (self.upper_zero, self.largest) = (first <= 1, None);
    }

    /// The values that are not known to be zero.
    fn live(&self) -> &[T] {
        if self.upper_zero { self.state(0) } else { &self.values }
    }

    /// Finds the largest magnitude of the values, to be known until they change.
    pub(super) fn measure(&mut self, arch: Arch) {
        self.largest = largest(arch, self.live());
    }

    /// The largest magnitude of the values where it is known; none if one is not finite.
    pub(super) fn largest(&self) -> Option<f64> {
        self.largest
    }

    /// Whether all values are finite.
    pub(super) fn is_finite(&self, arch: Arch) -> bool {
        self.largest.is_some() || largest(arch, self.live()).is_some()
    }

    /// Makes the layer an input layer of these examples, `[example, neuron]`: state 0 holds them, the others are zero.
    pub(super) fn load(&mut self, arch: Arch, examples: &[T], batch: usize) {
        self.resize(batch);
        self.clear_states_from(1);
        let neurons = self.neurons;
        transpose(arch, examples, neurons, self.state_mut(0), batch);
    }
}

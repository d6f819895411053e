//! The states of a layer's neurons.

use pulp::Arch;

use super::magnitude::largest;
use super::real::Real;

/// One layer of neurons: a `[neuron, example]` matrix per state, contiguous.
#[derive(Clone, Debug)]
pub(super) struct Layer<T> {
    neurons: usize,
    states: usize,
    batch: usize,
    values: Vec<T>,
    /// The states above 0 are known to be zero.
    upper_zero: bool,
    /// The largest magnitude of the values where it is known; they are finite then.
    largest: Option<f64>,
}

impl<T: Real> Layer<T> {
    /// A layer with room for `batch_max` examples, holding none.
    pub(super) fn new(neurons: usize, states: usize, batch_max: usize) -> Self {
        let values = Vec::with_capacity(neurons * states * batch_max);
        Self { neurons, states, batch: 0, values, upper_zero: true, largest: None }
    }

    /// Gives the layer `batch` examples. States are zero afterwards if that is a change.
    pub(super) fn resize(&mut self, batch: usize) {
        if self.batch != batch {
            self.batch = batch;
            self.values.clear();
            self.values.resize(self.neurons * self.states * batch, T::ZERO);
            (self.upper_zero, self.largest) = (true, None);
        }
    }

    /// Makes the layer what another one of the same shape is.
    pub(super) fn copy_from(&mut self, other: &Self) {
        self.batch = other.batch;
        self.values.clear();
        self.values.extend_from_slice(&other.values);
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
    pub(super) fn load(&mut self, examples: &[T], batch: usize) {
        self.resize(batch);
        self.clear_states_from(1);
        let neurons = self.neurons;
        transpose(examples, neurons, self.state_mut(0), batch);
    }
}

/// Rows and columns that are transposed at a time.
const TRANSPOSE_SIDE: usize = 16;

/// `to[column, row] = from[row, column]`, where `to` has rows of `rows` numbers and `from` of `columns`.
pub(super) fn transpose<T: Real>(from: &[T], columns: usize, to: &mut [T], rows: usize) {
    const SIDE: usize = TRANSPOSE_SIDE;
    let count = from.len() / columns;
    let (whole_rows, whole_columns) = (count / SIDE * SIDE, columns / SIDE * SIDE);
    for row in (0..whole_rows).step_by(SIDE) {
        for column in (0..whole_columns).step_by(SIDE) {
            let mut block = [[T::ZERO; SIDE]; SIDE];
            for r in 0..SIDE {
                let values = &from[(row + r) * columns + column..][..SIDE];
                for c in 0..SIDE {
                    block[c][r] = values[c];
                }
            }
            for c in 0..SIDE {
                to[(column + c) * rows + row..][..SIDE].copy_from_slice(&block[c]);
            }
        }
    }
    // What does not fill a block.
    for row in 0..count {
        let first = if row < whole_rows { whole_columns } else { 0 };
        for column in first..columns {
            to[column * rows + row] = from[row * columns + column];
        }
    }
}

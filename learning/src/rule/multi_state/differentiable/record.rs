//! What is kept of updates.

use super::form::Form;
use crate::rule::multi_state::Real;
use crate::rule::multi_state::buffer::Buffer;

/// One layer of neurons in all forms that it has in an update: `[state, neuron, example]` each.
#[derive(Clone, Debug, Default)]
pub(super) struct Neurons<T> {
    /// After the forward pass. The input has state 0 alone, the last layer those that are read.
    pub(super) forward: Buffer<T>,
    /// What the activations of the forward pass were applied to, in the states whose slope needs it.
    pub(super) argument: Buffer<T>,
    /// What arrives on the way back.
    pub(super) arriving: Buffer<T>,
    /// After the backward pass, or the feedback. An input that is not updated has none.
    pub(super) backward: Buffer<T>,
}

/// One update.
#[derive(Clone, Debug, Default)]
pub(super) struct UpdateRecord<T> {
    /// Per layer of synapses `[synapses or Hebbian sums, state, n + 1, m]`, the bias row last.
    pub(super) blocks: Vec<Buffer<T>>,
    /// Per layer of neurons.
    pub(super) layers: Vec<Neurons<T>>,
    /// The prediction, `[neuron, example]`.
    pub(super) output: Buffer<T>,
    /// `[layer of synapses, state]`; means nothing without normalisation.
    pub(super) mean_squares: Vec<f64>,
}

impl<T: Real> UpdateRecord<T> {
    /// With zeros in all blocks.
    pub(super) fn new(form: &Form) -> Self {
        let block = |layer| Buffer::zeros(2 * form.states * form.stride(layer));
        Self {
            blocks: (0..form.layers()).map(block).collect(),
            layers: form.sizes.iter().map(|_| Neurons::default()).collect(),
            output: Buffer::default(),
            mean_squares: vec![0.0; form.layers() * form.states],
        }
    }

    /// Keeps the synapses from before the update as checkpoint `part`.
    pub(super) fn save(&self, form: &Form, checkpoints: &mut Vec<Vec<Buffer<T>>>, part: usize) {
        checkpoints.resize_with(checkpoints.len().max(part + 1), Vec::new);
        checkpoints[part].resize_with(form.layers(), Buffer::default);
        for (layer, (kept, block)) in checkpoints[part].iter_mut().zip(&self.blocks).enumerate() {
            let length = form.states * form.stride(layer);
            kept.take(length).copy_from_slice(&block[..length]);
        }
    }
}

/// Records of consecutive updates, the last of which holds nothing but the synapses that the one before has left.
#[derive(Clone, Debug)]
pub(super) struct Records<T> {
    all: Vec<UpdateRecord<T>>,
    /// Place of the record of the next update.
    place: usize,
    /// Updates that are recorded before the first record is used again.
    length: usize,
}

impl<T: Real> Records<T> {
    /// Of one update at a time.
    pub(super) fn new(form: &Form) -> Self {
        Self { all: vec![UpdateRecord::new(form), UpdateRecord::new(form)], place: 0, length: 1 }
    }

    /// Begins anew, with room for `length` updates; the synapses are those of the next update.
    pub(super) fn start(&mut self, form: &Form, length: usize) {
        while self.all.len() <= length {
            self.all.push(UpdateRecord::new(form));
        }
        (self.place, self.length) = (0, length);
    }

    /// The record of the next update, and that behind it.
    pub(super) fn next(&mut self) -> (&mut UpdateRecord<T>, &mut UpdateRecord<T>) {
        if self.place == self.length {
            let (first, last) = self.all.split_at_mut(self.place);
            std::mem::swap(&mut first[0].blocks, &mut last[0].blocks);
            self.place = 0;
        }
        let (before, after) = self.all.split_at_mut(self.place + 1);
        (&mut before[self.place], &mut after[0])
    }

    /// The update of [`Records::next`] has taken place.
    pub(super) fn advance(&mut self) {
        self.place += 1;
    }

    /// The synapses as they are.
    pub(super) fn synapses(&self) -> &[Buffer<T>] {
        &self.all[self.place].blocks
    }

    /// As [`Records::synapses`], to be set.
    pub(super) fn synapses_mut(&mut self) -> &mut [Buffer<T>] {
        &mut self.all[self.place].blocks
    }

    /// The record of the last update.
    pub(super) fn last(&self) -> Option<&UpdateRecord<T>> {
        self.all.get(self.place.checked_sub(1)?)
    }

    /// Begins anew at a checkpoint.
    pub(super) fn restore(&mut self, form: &Form, checkpoint: &[Buffer<T>]) {
        self.place = 0;
        for (layer, (kept, block)) in checkpoint.iter().zip(self.synapses_mut()).enumerate() {
            block[..form.states * form.stride(layer)].copy_from_slice(kept);
        }
    }

    /// The record at the place.
    pub(super) fn current(&self) -> &UpdateRecord<T> {
        &self.all[self.place]
    }

    /// Recorded updates that lie before.
    pub(super) fn count(&self) -> usize {
        self.place
    }

    /// Goes back to before the last update.
    pub(super) fn go_back(&mut self) {
        self.place -= 1;
    }
}

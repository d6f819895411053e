//! The forward pass of an update, and prediction.

use hebbian_shared::spec::rule::multi_state::{Activation, ForwardSynapseUpdate, Normalisation};
use pulp::Arch;

use super::activation::activate;
use super::buffer::Buffer;
use super::contraction::{Operand, Orientation, ProductScratch, mix, propagate};
use super::neuron::Layer;
use super::real::Real;
use super::synapses::Synapses;
use super::transpose::transpose;
use super::update_rule::UpdateRule;
use super::{Network, fold_gate, normalisation};

/// Examples that a prediction takes through the network at a time, so that they stay in the cache.
pub(super) const PREDICTION_TILE: usize = 128;

impl<T: Real> Network<T> {
    /// The forward pass of an update, with the synapse update that belongs to it if there is one. Neurons start from zero, or from where they are if the options say so and the
    /// batch has the size of the last one.
    ///
    /// # Panics
    /// As [`Network::update`].
    pub fn forward(&mut self, rule: &UpdateRule<T>, input: &[T], batch: usize) {
        self.forward_pass(rule, input, batch, self.states());
    }

    /// [`Network::forward`] that leaves out the last layer's states from `last_states` on.
    pub(super) fn forward_pass(
        &mut self,
        rule: &UpdateRule<T>,
        input: &[T],
        batch: usize,
        last_states: usize,
    ) {
        self.check(rule);
        assert!(batch > 0 && input.len() == batch * self.layers[0].neurons(), "input of another shape");
        let zeroed = self.options.zero_out_neurons;
        for layer in &mut self.layers {
            layer.resize(batch);
        }
        self.layers[0].load(self.arch, input, batch);
        self.normalise_for_forward_pass(rule);
        let in_activations = self.normalises_in_activations();
        for layer in 0..self.synapses.len() {
            let parameters = rule.neurons(layer);
            let Self { scratch, .. } = self;
            if layer == 0 || rule.layers > 1 {
                fold_gate(parameters.forward_transform, parameters.neuron_update, &mut scratch.transform);
                sum_columns(&scratch.transform, rule.states, &mut scratch.bias);
            }
            if !self.plan.is_updatable(layer + 1) {
                if zeroed {
                    self.layers[layer + 1].clear();
                }
                continue;
            }
            let keep = (!zeroed).then_some(parameters.neuron_keep);
            let synapses = if in_activations { &self.normalised[layer] } else { &self.synapses[layer] };
            let (below, above) = self.layers.split_at_mut(layer + 1);
            let last = layer + 1 == self.synapses.len();
            forward_layer(
                self.arch,
                synapses,
                &below[layer],
                layer == 0,
                &mut above[0],
                keep,
                if last { &self.activations.last[..last_states] } else { &self.activations.forward },
                (&self.scratch.transform, &self.scratch.bias),
                (&mut self.scratch.mixed, &mut self.scratch.product),
                batch,
            );
        }
        for (copy, layer) in self.forward_layers.iter_mut().zip(&self.layers) {
            copy.copy_from(layer);
        }
        match self.options.forward_synapse_update {
            ForwardSynapseUpdate::Off => {}
            ForwardSynapseUpdate::SharedGenome => self.update_synapses(rule, &rule.synapse, batch, true),
            ForwardSynapseUpdate::OwnGenome => {
                let own = rule.forward_synapse.as_ref().expect("`check` has asked for it");
                self.update_synapses(rule, own, batch, true);
            }
        }
    }

    /// Normalises the synapses, or copies of them, that a forward pass is about to use.
    fn normalise_for_forward_pass(&mut self, rule: &UpdateRule<T>) {
        let Some(Normalisation { stored, in_activations, .. }) = self.options.normalisation else { return };
        let Self { arch, synapses, normalised, scratch, .. } = self;
        for (synapses, copy) in synapses.iter_mut().zip(normalised) {
            if stored {
                synapses.bound = None;
                normalisation::normalise(*arch, synapses, &rule.rescale_to, &mut scratch.norms);
            }
            if in_activations {
                copy.forward.copy_from_slice(&synapses.forward);
                normalisation::normalise_forward(*arch, copy, &rule.rescale_to, &mut scratch.norms);
            }
        }
    }

    /// What the network answers: state 0 of the last layer, `[batch, neurons of the last layer]`, for `input`
    /// `[batch, neurons of the first layer]`. Neurons start from zero whatever the options, and those of the next
    /// update are not touched. An example's answer does not depend on its batch-mates.
    ///
    /// # Panics
    /// As [`Network::update`].
    pub fn predict(&mut self, rule: &UpdateRule<T>, input: &[T], batch: usize, prediction: &mut [T]) {
        self.check(rule);
        let sizes = (self.layers[0].neurons(), self.layers[self.layers.len() - 1].neurons());
        assert!(input.len() == batch * sizes.0 && prediction.len() == batch * sizes.1, "another shape");
        self.normalise_for_prediction(rule);
        let Self { scratch, .. } = self;
        let tiles =
            input.chunks(PREDICTION_TILE * sizes.0).zip(prediction.chunks_mut(PREDICTION_TILE * sizes.1));
        for (input, prediction) in tiles {
            let batch = input.len() / sizes.0;
            let layers = &mut scratch.prediction;
            layers[0].load(self.arch, input, batch);
            for layer in 0..self.synapses.len() {
                let (below, above) = layers.split_at_mut(layer + 1);
                above[0].resize(batch);
                if layer == 0 || rule.layers > 1 {
                    let parameters = rule.neurons(layer);
                    fold_gate(parameters.forward_transform, parameters.neuron_update, &mut scratch.transform);
                    sum_columns(&scratch.transform, rule.states, &mut scratch.bias);
                }
                if !self.plan.is_updatable(layer + 1) {
                    above[0].clear();
                    continue;
                }
                let last = layer + 1 == self.synapses.len();
                forward_layer(
                    self.arch,
                    self.normalised.get(layer).unwrap_or(&self.synapses[layer]),
                    &below[layer],
                    layer == 0,
                    &mut above[0],
                    None,
                    // The answer is state 0.
                    if last { &self.activations.last[..1] } else { &self.activations.forward },
                    (&scratch.transform, &scratch.bias),
                    (&mut scratch.mixed, &mut scratch.product),
                    batch,
                );
            }
            transpose(self.arch, layers[layers.len() - 1].state(0), batch, prediction, sizes.1);
        }
    }

    /// Normalises copies of the synapses as the forward pass of an update would; those of the next update stay.
    fn normalise_for_prediction(&mut self, rule: &UpdateRule<T>) {
        let Some(Normalisation { stored, in_activations, .. }) = self.options.normalisation else { return };
        let Self { arch, synapses, normalised, scratch, .. } = self;
        for (synapses, copy) in synapses.iter().zip(normalised) {
            copy.forward.copy_from_slice(&synapses.forward);
            for _ in 0..u8::from(stored) + u8::from(in_activations) {
                normalisation::normalise_forward(*arch, copy, &rule.rescale_to, &mut scratch.norms);
            }
        }
    }
}

/// `above <- activation(keep above + sum over below and its bias neuron of the transformed states times synapses)`, the
/// update gate being part of the transform; `keep` none starts from zero. States beyond `activations` are left alone.
#[allow(clippy::too_many_arguments)]
fn forward_layer<T: Real>(
    arch: Arch,
    synapses: &Synapses<T>,
    below: &Layer<T>,
    is_input: bool,
    above: &mut Layer<T>,
    keep: Option<&[T]>,
    activations: &[Activation],
    (transform, bias): (&[T], &[T]),
    (mixed, product): (&mut Buffer<T>, &mut ProductScratch<T>),
    batch: usize,
) {
    let k = bias.len();
    // The input has nothing but state 0, so its transform is one factor per state.
    let source = if is_input {
        Operand::Scaled { values: below.state(0), factors: &transform[..k] }
    } else {
        let mixed = mixed.take(below.stride() * activations.len());
        mix(arch, transform, Orientation::RowsEnter, k, below.values(), mixed, below.stride());
        Operand::PerState { values: mixed, stride: below.stride() }
    };
    // The last state first: the update before has left its synapses in the cache.
    for (state, &activation) in activations.iter().enumerate().rev() {
        let (weights, bias_row) = synapses.forward_weights(state);
        let neurons = above.state_mut(state);
        let keep = keep.map(|keep| keep[state]);
        propagate(
            arch,
            weights,
            source.of_state(state),
            Some((bias_row, bias[state])),
            keep,
            neurons,
            batch,
            product,
        );
        activate(arch, activation, neurons);
    }
}

/// The sum of each column of a k x k transform: what it makes of a neuron that is 1 in every state.
fn sum_columns<T: Real>(transform: &[T], k: usize, out: &mut Vec<T>) {
    out.clear();
    out.extend((0..k).map(|l| {
        let column = transform.iter().skip(l).step_by(k);
        column.fold(T::ZERO, |sum, &factor| sum + factor)
    }));
}

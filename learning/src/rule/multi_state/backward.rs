//! The backward pass of an update: feedback, neurons from the last layer to the first, synapses.

use hebbian_shared::spec::rule::multi_state::{BackwardUpdate, Hebbian};

use super::activation::activate;
use super::buffer::Buffer;
use super::contraction::{Operand, Orientation, mix, propagate};
use super::neuron::Layer;
use super::real::Real;
use super::synapse::{HebbianOperands, SynapseUpdate};
use super::transpose::transpose;
use super::update_rule::{SynapseParameters, SynapseRule, UpdateRule};
use super::{BackwardPass, Network, feedback, fold_gate, normalisation};

impl<T: Real> Network<T> {
    /// The backward pass of an update, on the batch of the last forward pass.
    ///
    /// # Panics
    /// As [`Network::update`].
    pub fn backward(&mut self, rule: &UpdateRule<T>, target: &[T], pass: BackwardPass) {
        self.check(rule);
        let last = self.layers.len() - 1;
        assert_eq!(target.len(), self.layers[last].stride(), "target of another shape");
        let batch = target.len() / self.layers[last].neurons();
        if batch == 0 {
            return;
        }
        if pass.neurons {
            let neurons = self.layers[last].neurons();
            let transposed = self.scratch.target.take(target.len());
            transpose(self.arch, target, neurons, transposed, batch);
            feedback::apply(self.options.feedback, &mut self.layers[last], transposed);
            self.backward_neurons(rule, batch);
        }
        if pass.synapses {
            self.update_synapses(rule, &rule.synapse, batch, false);
        }
    }

    /// Layers from the last but one to the first, each from the already updated next one.
    fn backward_neurons(&mut self, rule: &UpdateRule<T>, batch: usize) {
        let in_activations = self.normalises_in_activations();
        let kind = self.options.backward_update;
        let Self { arch, layers, scratch, .. } = self;
        let arch = *arch;
        for layer in (0..self.synapses.len()).rev() {
            let parameters = rule.neurons(layer);
            let keep = parameters.neuron_keep;
            if layer + 1 == self.synapses.len() || rule.layers > 1 {
                match kind {
                    BackwardUpdate::Additive => fold_gate(
                        parameters.backward_transform,
                        parameters.neuron_update,
                        &mut scratch.transform,
                    ),
                    BackwardUpdate::Multiplicative | BackwardUpdate::MultiplicativeSecondState => {
                        fold_gate(parameters.backward_transform, keep, &mut scratch.transform);
                    }
                    BackwardUpdate::None | BackwardUpdate::Gated => {
                        scratch.transform.clear();
                        scratch.transform.extend_from_slice(parameters.backward_transform);
                    }
                }
            }
            if !self.plan.is_updatable(layer) {
                continue;
            }
            if in_activations {
                let copy = &mut self.normalised[layer];
                copy.backward.copy_from_slice(&self.synapses[layer].backward);
                normalisation::normalise_backward(arch, copy, &rule.rescale_to, &mut scratch.norms);
            }
            let synapses = if in_activations { &self.normalised[layer] } else { &self.synapses[layer] };
            let (below, above) = layers.split_at_mut(layer + 1);
            let (here, next) = (&mut below[layer], &above[0]);
            let mixed = scratch.mixed.take(next.values().len());
            mix(
                arch,
                &scratch.transform,
                Orientation::RowsEnter,
                rule.states,
                next.values(),
                mixed,
                next.stride(),
            );
            for (state, source) in mixed.chunks_exact(next.stride()).enumerate() {
                let neurons = here.state_mut(state);
                let weights = synapses.backward_weights(state);
                let (source, product) = ((source, T::ONE), &mut scratch.product);
                match kind {
                    BackwardUpdate::Additive => {
                        propagate(arch, weights, source, None, Some(keep[state]), neurons, batch, product);
                    }
                    BackwardUpdate::None => {
                        propagate(arch, weights, source, None, None, neurons, batch, product);
                    }
                    BackwardUpdate::Gated => unreachable!("a network of an extended rule is another one"),
                    BackwardUpdate::MultiplicativeSecondState if state == 0 => {
                        for x in neurons.iter_mut() {
                            *x = *x * keep[0];
                        }
                    }
                    BackwardUpdate::Multiplicative | BackwardUpdate::MultiplicativeSecondState => {
                        let arriving = scratch.arriving.take(neurons.len());
                        propagate(arch, weights, source, None, None, arriving, batch, product);
                        neurons.iter_mut().zip(&*arriving).for_each(|(x, &u)| *x = *x * u);
                    }
                }
                activate(arch, self.activations.backward[state], neurons);
            }
        }
    }

    /// Every synapse learns from its two neurons, by the parameters `of_synapses`. Nothing else changes, so the order of
    /// layers does not matter. `after_forward` says that there has been no backward pass yet.
    pub(super) fn update_synapses(
        &mut self,
        rule: &UpdateRule<T>,
        of_synapses: &SynapseRule<T>,
        batch: usize,
        after_forward: bool,
    ) {
        let update = SynapseUpdate {
            arch: self.arch,
            symmetric_synapses: self.options.symmetric_synapses,
            symmetric_states: self.options.symmetric_states,
            batch_weight: match self.options.hebbian {
                Hebbian::Sum => 1.0,
                Hebbian::Mean => 1.0 / batch as f64,
            },
            oja: self.options.oja,
            saturation: self.options.saturation,
            activations: &self.activations.synapse,
        };
        let Self { arch, layers, forward_layers, synapses, scratch, plan, .. } = self;
        let (arch, k) = (*arch, rule.states);
        let mixed_states = if update.reads_all_states() { k } else { 1 };
        let transform = |rule: SynapseParameters<'_, T>,
                         layer: &Layer<T>,
                         [pre, post]: &mut [Buffer<T>; 2],
                         wanted: (bool, bool)| {
            let length = layer.stride() * mixed_states;
            let mix = |transform: &[T], orientation, out: &mut Buffer<T>| {
                mix(arch, transform, orientation, k, layer.values(), out.take(length), layer.stride());
            };
            if wanted.0 {
                mix(rule.hebbian_pre, Orientation::RowsEnter, pre);
            }
            if wanted.1 {
                mix(rule.hebbian_post, Orientation::ColumnsEnter, post);
            }
        };
        // The states above 0 of an input layer that is not updated are zero: its transforms are factors of state 0.
        let plain_input = after_forward || !forward_layers.is_empty() || !plan.is_updatable(0);
        // What layer i is transformed to serves synapse layer i and the one before, unless it is another transform or
        // another state of the layer.
        let is_shared = rule.layers == 1 && forward_layers.is_empty();
        for layer in layers.iter_mut().chain(forward_layers.iter_mut()) {
            layer.measure(arch);
        }
        // The first layer last: its synapses are the most, and the next forward pass begins with them.
        for layer in (0..synapses.len()).rev() {
            let parameters = of_synapses.of_layer(k, rule.layers, layer);
            let preceding = layer.checked_sub(1).filter(|_| is_shared).map(|layer| &synapses[layer]);
            let here = forward_layers.get(layer).unwrap_or(&layers[layer]);
            let next = &layers[layer + 1];
            let is_plain = layer == 0 && plain_input;
            let wants_source = update.wants_exchanged_source(&synapses[layer]);
            let wants_destination = update.wants_exchanged_destination(&synapses[layer]);
            if layer + 1 == synapses.len() || !is_shared {
                transform(parameters, next, &mut scratch.above, (wants_source, true));
            }
            let wanted = (!is_plain, wants_destination || preceding.is_some());
            transform(parameters, here, &mut scratch.below, wanted);
            let [below, above] = [&scratch.below, &scratch.above];
            let operands = HebbianOperands {
                source: if is_plain {
                    Operand::Scaled { values: here.state(0), factors: &parameters.hebbian_pre[..k] }
                } else {
                    mixed(&below[0], here, mixed_states)
                },
                destination: mixed(&above[1], next, mixed_states),
                exchanged_source: wants_source.then(|| mixed(&above[0], next, mixed_states)),
                exchanged_destination: wants_destination.then(|| mixed(&below[1], here, mixed_states)),
                largest: here.largest().zip(next.largest()).map(<[f64; 2]>::from),
                batch,
            };
            update.apply(parameters, &operands, &mut synapses[layer], &mut scratch.synapse);
            std::mem::swap(&mut scratch.below, &mut scratch.above);
        }
    }
}

/// The first `states` states of a layer after a transform that `buffer` begins with.
fn mixed<'a, T: Real>(buffer: &'a [T], layer: &Layer<T>, states: usize) -> Operand<'a, T> {
    Operand::PerState { values: &buffer[..layer.stride() * states], stride: layer.stride() }
}

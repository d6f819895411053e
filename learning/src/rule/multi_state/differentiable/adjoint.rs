//! The way back: the derivative of the losses by everything that an unroll was made of.
//!
//! A derivative has the name of what it is the derivative by. Updates are walked from the last to the first; each takes the
//! derivative by the synapses after it to that by those before, and adds to the gradient of the parameters.

use super::elementwise::{
    add_scaled, gate, multiply_by_slope, multiply_each, needs_argument, scale, scale_rows, softmax,
};
use super::form::{Form, Scratch, split};
use super::loss::LossScratch;
use super::parameters::{DifferentiableRule, Parameters};
use super::record::{Neurons, UpdateRecord};
use crate::rule::multi_state::Real;
use crate::rule::multi_state::buffer::Buffer;
use crate::rule::multi_state::contraction::{
    Orientation, add_inner_products, blend, correlate, inner_product, mix, mix_into, propagate,
    propagate_back, sum_over_batch,
};

/// Derivatives on their way, and the gradient that they add up to.
#[derive(Clone, Debug)]
pub(super) struct Adjoint<T> {
    /// By the synapses after the update, `[state, n + 1, m]` per layer, and by those before.
    pub(super) synapses: [Vec<Buffer<T>>; 2],
    /// By the neurons after the forward pass, `[state, neuron, example]` per layer.
    forward: Vec<Buffer<T>>,
    /// By the neurons after the backward pass.
    backward: Vec<Buffer<T>>,
    /// By the prediction.
    pub(super) output: Buffer<T>,
    /// By a layer's Hebbian sums.
    sums: Buffer<T>,
    /// By something at the lower and at the upper side of a layer of synapses, `[state, neuron, example]`.
    lower: Buffer<T>,
    upper: Buffer<T>,
    /// A block of one state.
    block: Buffer<T>,
    /// One state of a layer.
    state: Buffer<T>,
    /// One number for each neuron.
    totals: Vec<T>,
    /// k x k inner products.
    pub(super) matrix: Vec<f64>,
    pub(super) gradient: Parameters,
    pub(super) loss: LossScratch<T>,
}

impl<T: Real> Adjoint<T> {
    pub(super) fn new(form: &Form) -> Self {
        let synapses = || vec![Buffer::default(); form.layers()];
        let neurons = || vec![Buffer::default(); form.sizes.len()];
        Self {
            synapses: [synapses(), synapses()],
            forward: neurons(),
            backward: neurons(),
            output: Buffer::default(),
            sums: Buffer::default(),
            lower: Buffer::default(),
            upper: Buffer::default(),
            block: Buffer::default(),
            state: Buffer::default(),
            totals: Vec::new(),
            matrix: Vec::new(),
            gradient: Parameters::default(),
            loss: LossScratch::default(),
        }
    }
}

impl Form {
    /// From the synapses after an update to those before and to the Hebbian sums.
    pub(super) fn synapse_adjoint<T: Real>(
        &self,
        rule: &DifferentiableRule<T>,
        record: &UpdateRecord<T>,
        layer: usize,
        t: u64,
        batch: usize,
        adjoint: &mut Adjoint<T>,
    ) {
        let (k, arch, stride) = (self.states, self.arch, self.stride(layer));
        let parameters = &rule.parameters;
        let set = parameters.set(layer);
        let Adjoint { synapses: [after, before], sums: by_sums, gradient, .. } = adjoint;
        let (after, before) = (&after[layer][..], &mut before[layer][..]);
        if self.freezes_hidden && layer + 1 < self.layers() {
            before[..k * stride].copy_from_slice(&after[..k * stride]);
            by_sums.take(k * stride).fill(T::ZERO);
            return;
        }
        let (synapses, sums) = record.blocks[layer].split_at(k * stride);
        if self.mixes {
            let mixing = &rule.of_layer(layer).mixing;
            mix(arch, mixing, Orientation::RowsEnter, k, after, before, stride);
            let place = &mut gradient.synapse_mixing[set * k * k..(set + 1) * k * k];
            add_inner_products(arch, after, synapses, stride, place);
        }
        let by_sums = by_sums.take(k * stride);
        for state in 0..k {
            let (here, gate) = (state * stride..(state + 1) * stride, set * k + state);
            let (after, sums) = (&after[here.clone()], &sums[here.clone()]);
            if !self.mixes {
                scale(arch, after, rule.of_layer(layer).keep[state], &mut before[here.clone()]);
                gradient.synapse_keep[gate] += inner_product(arch, after, &synapses[here.clone()]);
            }
            let along = inner_product(arch, after, sums);
            let mean_square = record.mean_squares[layer * k + state];
            let unit = self.unit_rate(parameters, layer, state, t)
                * self.shrinkage(parameters, layer, state, mean_square);
            gradient.synapse_update[gate] += unit * along;
            let step = parameters.synapse_update[gate] * unit;
            let since = 1.0 + t as f64;
            gradient.schedule_early[gate] += step * along / since;
            gradient.schedule_power[gate] += step * along * libm::log(since);
            let mut along_sums = 0.0;
            if self.normalises {
                gradient.normalisation_exponent[gate] -= 0.5 * libm::log(mean_square) * step * along;
                let exponent = parameters.normalisation_exponent[gate];
                along_sums = -exponent * along / (stride as f64 * mean_square);
            }
            let weight = step * self.batch_weight(batch);
            let of_sums = (sums, T::from_f64(weight * along_sums));
            add_scaled(arch, (after, T::from_f64(weight)), of_sums, &mut by_sums[here]);
        }
    }

    /// From the Hebbian sums to the neurons on both sides.
    pub(super) fn hebbian_adjoint<T: Real>(
        &self,
        rule: &DifferentiableRule<T>,
        record: &UpdateRecord<T>,
        layer: usize,
        batch: usize,
        adjoint: &mut Adjoint<T>,
        scratch: &mut Scratch<T>,
    ) {
        let (k, arch, (n, m)) = (self.states, self.arch, self.shape(layer));
        let (set, stride) = (rule.parameters.set(layer), self.stride(layer));
        let (of_set, rule) = (set * k * k..(set + 1) * k * k, rule.of_layer(layer));
        let (here, next) = (&record.layers[layer], &record.layers[layer + 1].backward);
        let Adjoint { backward, sums, lower, upper, totals, matrix, gradient, .. } = adjoint;
        let is_plain = layer == 0 && !self.updates_input;
        let destination = scratch.above.take(k * m * batch);
        mix(arch, &rule.post, Orientation::ColumnsEnter, k, next, destination, m * batch);
        if !is_plain {
            let source = scratch.below.take(k * n * batch);
            mix(arch, &rule.pre, Orientation::RowsEnter, k, &here.backward, source, n * batch);
        }
        let upper = upper.take(k * m * batch);
        let lower = lower.take(if is_plain { 0 } else { k * n * batch });
        totals.resize(m, T::ZERO);
        matrix.fill(0.0);
        for state in 0..k {
            let (weights, bias) = split(&sums[state * stride..][..stride], n, m);
            let destination = &destination[state * m * batch..][..m * batch];
            let by_destination = &mut upper[state * m * batch..][..m * batch];
            sum_over_batch(arch, destination, T::ONE, totals, 1, batch);
            let along_bias = inner_product(arch, bias, totals);
            (0..k).for_each(|from| matrix[from * k + state] += along_bias);
            let product = &mut scratch.product;
            if is_plain {
                let source = (&here.forward[..], T::ONE);
                propagate(arch, weights, source, None, None, by_destination, batch, product);
                matrix[state] += inner_product(arch, by_destination, destination);
                scale_rows(arch, by_destination, rule.pre[state], (bias, rule.pre_bias[state]), batch);
            } else {
                let source = (&scratch.below[state * n * batch..][..n * batch], T::ONE);
                let bias = Some((bias, rule.pre_bias[state]));
                propagate(arch, weights, source, bias, None, by_destination, batch, product);
                let by_source = &mut lower[state * n * batch..][..n * batch];
                propagate_back(arch, weights, (destination, T::ONE), by_source, batch, product);
            }
        }
        let by_post = &mut gradient.hebbian_post[of_set.clone()];
        add_inner_products(arch, upper, next, m * batch, by_post);
        let by_next = backward[layer + 1].take(k * m * batch);
        mix(arch, &rule.post, Orientation::RowsEnter, k, upper, by_next, m * batch);
        if !is_plain {
            add_inner_products(arch, &here.backward, lower, n * batch, matrix);
            // The layer below has been here before and has written.
            let keep = (layer > 0).then_some(T::ONE);
            let by_here = if layer > 0 { &mut *backward[layer] } else { backward[layer].take(k * n * batch) };
            mix_into(arch, &rule.pre, Orientation::ColumnsEnter, k, lower, keep, by_here, n * batch);
        }
        add(&mut gradient.hebbian_pre[of_set], matrix);
    }

    /// From a layer of neurons after the backward pass to the layer above, to its own forward pass and to the synapses between.
    pub(super) fn backward_adjoint<T: Real>(
        &self,
        rule: &DifferentiableRule<T>,
        record: &UpdateRecord<T>,
        layer: usize,
        batch: usize,
        adjoint: &mut Adjoint<T>,
        scratch: &mut Scratch<T>,
    ) {
        let (k, arch, (n, m)) = (self.states, self.arch, self.shape(layer));
        let (set, stride) = (rule.parameters.set(layer), self.stride(layer));
        let rule = rule.of_layer(layer);
        let (here, next) = (&record.layers[layer], &record.layers[layer + 1].backward);
        let Adjoint { synapses, forward, backward, lower, upper, state: product, gradient, .. } = adjoint;
        let (by_here, by_next) = backward.split_at_mut(layer + 1);
        let (by_here, by_next) = (&mut by_here[layer], &mut by_next[0]);
        let mixed = scratch.above.take(k * m * batch);
        mix(arch, &rule.backward, Orientation::RowsEnter, k, next, mixed, m * batch);
        let (upper, lower) = (upper.take(k * m * batch), lower.take(n * batch));
        let (by_forward, product) = (forward[layer].take(k * n * batch), product.take(n * batch));
        for state in 0..k {
            let of_state = state * n * batch..(state + 1) * n * batch;
            let arriving = &here.arriving[of_state.clone()];
            let (neurons, gates) = self.gated(&here.forward, layer, state, rule.gates[state], batch);
            let by_value = &mut by_here[of_state.clone()];
            let activation = self.backward[state];
            if needs_argument(activation) {
                gate(arch, neurons, arriving, gates, product);
            }
            multiply_by_slope(arch, activation, product, &here.backward[of_state.clone()], by_value);
            let (place, [keep, by_gate, input]) = (set * k + state, gates);
            gradient.backward_input[place] += inner_product(arch, by_value, arriving);
            multiply_each(arch, by_value, arriving, product);
            if layer > 0 || state == 0 {
                gradient.backward_keep[place] += inner_product(arch, by_value, neurons);
                gradient.backward_gate[place] += inner_product(arch, product, neurons);
            }
            add_scaled(arch, (by_value, keep), (product, by_gate), &mut by_forward[of_state]);
            // By what arrives.
            multiply_each(arch, by_value, neurons, product);
            add_scaled(arch, (product, by_gate), (by_value, input), lower);
            let (weights, _) = split(&record.blocks[layer][state * stride..][..stride], n, m);
            let by_mixed = &mut upper[state * m * batch..][..m * batch];
            propagate(arch, weights, (lower, T::ONE), None, None, by_mixed, batch, &mut scratch.product);
            let by_synapses = &mut synapses[1][layer][state * stride..][..n * m];
            let mixed = &mixed[state * m * batch..][..m * batch];
            let keep = Some(T::ONE);
            correlate(arch, (lower, T::ONE), mixed, keep, by_synapses, m, batch, &mut scratch.correlation);
        }
        let by_transform = &mut gradient.backward_transform[set * k * k..(set + 1) * k * k];
        add_inner_products(arch, next, upper, m * batch, by_transform);
        let keep = Some(T::ONE);
        mix_into(arch, &rule.backward, Orientation::ColumnsEnter, k, upper, keep, by_next, m * batch);
    }

    /// From the last layer after the feedback to the prediction.
    pub(super) fn feedback_adjoint<T: Real>(
        &self,
        record: &UpdateRecord<T>,
        batch: usize,
        adjoint: &mut Adjoint<T>,
        scratch: &mut Scratch<T>,
    ) {
        let (last, length) = (self.layers(), record.output.len());
        let Adjoint { backward, output, state, .. } = adjoint;
        let (by_prediction, by_difference) = backward[last].split_at(length);
        let by_difference = &by_difference[..length];
        let [largest, sums] = &mut scratch.examples;
        let (share, along) = (state.take(length), largest.take(batch));
        softmax(self.arch, &record.output, T::ONE, share, (along, sums.take(batch)));
        along.fill(T::ZERO);
        for (share, by) in share.chunks_exact(batch).zip(by_difference.chunks_exact(batch)) {
            for b in 0..batch {
                along[b] += share[b] * by[b];
            }
        }
        let output = output.take(length);
        for place in 0..length {
            let by_softmax = share[place] * (by_difference[place] - along[place % batch]);
            output[place] = by_prediction[place] + by_softmax;
        }
    }

    /// From the prediction through the forward pass to the synapses, which are added to those of the adjoint's `of_synapses`.
    /// Layers of neurons from `first` on have a derivative already.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn forward_adjoint<T: Real>(
        &self,
        rule: &DifferentiableRule<T>,
        blocks: &[Buffer<T>],
        layers: &[Neurons<T>],
        (adjoint, of_synapses): (&mut Adjoint<T>, usize),
        first: Option<usize>,
        batch: usize,
        scratch: &mut Scratch<T>,
    ) {
        let (k, arch, last) = (self.states, self.arch, self.layers());
        let outputs = adjoint.output.len();
        let by_last = adjoint.forward[last].take(self.read * outputs);
        if self.has_readout {
            for (state, by_state) in by_last.chunks_exact_mut(outputs).enumerate() {
                scale(arch, &adjoint.output, rule.readout[state], by_state);
            }
            let by_readout = &mut adjoint.gradient.readout;
            add_inner_products(arch, &adjoint.output, &layers[last].forward, outputs, by_readout);
        } else {
            by_last.copy_from_slice(&adjoint.output);
        }
        for layer in (0..last).rev() {
            let (n, m) = self.shape(layer);
            if layer + 1 < last {
                for state in 0..k {
                    let of_state = state * m * batch..(state + 1) * m * batch;
                    let Neurons { forward, argument, .. } = &layers[layer + 1];
                    let argument = argument.get(of_state.clone()).unwrap_or_default();
                    let by_state = &mut adjoint.forward[layer + 1][of_state.clone()];
                    multiply_by_slope(arch, self.forward[state], argument, &forward[of_state], by_state);
                }
            }
            if layer == 0 {
                self.input_adjoint(rule, blocks, layers, (adjoint, of_synapses), batch, scratch);
                continue;
            }
            let (states, stride) = (self.arriving_states(layer), self.stride(layer));
            let (set, rule) = (rule.parameters.set(layer), rule.of_layer(layer));
            let mixed = scratch.below.take(states * n * batch);
            mix(arch, &rule.forward, Orientation::RowsEnter, k, &layers[layer].forward, mixed, n * batch);
            let Adjoint { synapses, forward, lower, totals, matrix, gradient, .. } = &mut *adjoint;
            let lower = lower.take(states * n * batch);
            totals.resize(m, T::ZERO);
            let by_transform = &mut gradient.forward_transform[set * k * k..(set + 1) * k * k];
            for state in 0..states {
                let by_arriving = &forward[layer + 1][state * m * batch..][..m * batch];
                let (weights, bias) = split(&blocks[layer][state * stride..][..stride], n, m);
                let by_block = &mut synapses[of_synapses][layer][state * stride..][..stride];
                let (by_weights, by_bias) = by_block.split_at_mut(n * m);
                sum_over_batch(arch, by_arriving, T::ONE, totals, 1, batch);
                blend(arch, by_bias, T::ONE, rule.forward_bias[state], totals);
                let along_bias = inner_product(arch, bias, totals);
                (0..k).for_each(|from| by_transform[from * k + state] += along_bias);
                let of_state = state * n * batch..(state + 1) * n * batch;
                let (by_mixed, product) = (&mut lower[of_state.clone()], &mut scratch.product);
                propagate_back(arch, weights, (by_arriving, T::ONE), by_mixed, batch, product);
                let (mixed, keep) = ((&mixed[of_state], T::ONE), Some(T::ONE));
                correlate(arch, mixed, by_arriving, keep, by_weights, m, batch, &mut scratch.correlation);
            }
            let products = &mut matrix[..k * states];
            products.fill(0.0);
            add_inner_products(arch, &layers[layer].forward, lower, n * batch, products);
            for (by_row, products) in by_transform.chunks_exact_mut(k).zip(products.chunks_exact(states)) {
                add(&mut by_row[..states], products);
            }
            let keep = first.is_some_and(|first| layer >= first).then_some(T::ONE);
            let by_here = forward[layer].take(k * n * batch);
            mix_into(arch, &rule.forward, Orientation::ColumnsEnter, k, lower, keep, by_here, n * batch);
        }
    }

    /// The first layer of synapses in [`Form::forward_adjoint`]: its input has one state and is nobody's parameter.
    fn input_adjoint<T: Real>(
        &self,
        rule: &DifferentiableRule<T>,
        blocks: &[Buffer<T>],
        layers: &[Neurons<T>],
        (adjoint, of_synapses): (&mut Adjoint<T>, usize),
        batch: usize,
        scratch: &mut Scratch<T>,
    ) {
        let (k, arch, (n, m), stride) = (self.states, self.arch, self.shape(0), self.stride(0));
        let rule = rule.of_layer(0);
        let Adjoint { synapses, forward, block, totals, gradient, .. } = adjoint;
        let (block, input) = (block.take(n * m), &layers[0].forward);
        totals.resize(m, T::ZERO);
        let by_transform = &mut gradient.forward_transform[..k * k];
        for state in 0..self.arriving_states(0) {
            let by_arriving = &forward[1][state * m * batch..][..m * batch];
            let (weights, bias) = blocks[0][state * stride..][..stride].split_at(n * m);
            let by_block = &mut synapses[of_synapses][0][state * stride..][..stride];
            let (by_weights, by_bias) = by_block.split_at_mut(n * m);
            sum_over_batch(arch, by_arriving, T::ONE, totals, 1, batch);
            blend(arch, by_bias, T::ONE, rule.forward_bias[state], totals);
            let along_bias = inner_product(arch, bias, totals);
            (0..k).for_each(|from| by_transform[from * k + state] += along_bias);
            correlate(arch, (input, T::ONE), by_arriving, None, block, m, batch, &mut scratch.correlation);
            by_transform[state] += inner_product(arch, weights, block);
            blend(arch, by_weights, T::ONE, rule.forward[state], block);
        }
    }
}

fn add(to: &mut [f64], values: &[f64]) {
    to.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
}

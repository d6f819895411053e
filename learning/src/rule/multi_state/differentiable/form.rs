//! The passes of one update: forward, back, Hebbian sums, synapses. Their adjoint is in `adjoint`, in the same order of names.

use hebbian_shared::spec::rule::multi_state::{Activation, FanIn, Hebbian, MultiStateSpec, StateActivations};
use pulp::Arch;

use super::elementwise::{add_scaled, gate, needs_argument, softmax};
use super::parameters::{DifferentiableRule, Parameters};
use super::record::{Neurons, UpdateRecord};
use crate::rule::multi_state::Real;
use crate::rule::multi_state::activation::activate;
use crate::rule::multi_state::buffer::Buffer;
use crate::rule::multi_state::contraction::{
    CorrelationScratch, Operand, Orientation, ProductScratch, Weights, combine_rows, correlate,
    inner_product, mix, propagate, propagate_back, sum_over_batch,
};

/// Below the root of a mean square: a block of zeros has a step of zero.
const EPSILON: f64 = 1e-10;

/// So far below the largest `f32` that no rounding matters.
const SAFE: f64 = 1e30;

/// What a rule's options and a network's shape fix.
#[expect(clippy::struct_excessive_bools, reason = "the options are independent of each other")]
#[derive(Clone, Debug)]
pub(super) struct Form {
    pub(super) arch: Arch,
    /// Neurons of each layer.
    pub(super) sizes: Vec<usize>,
    /// States (k).
    pub(super) states: usize,
    pub(super) forward: Vec<Activation>,
    pub(super) backward: Vec<Activation>,
    pub(super) updates_input: bool,
    /// States of the last layer that the prediction reads.
    pub(super) read: usize,
    pub(super) has_readout: bool,
    is_mean: bool,
    pub(super) normalises: bool,
    pub(super) mixes: bool,
    /// The factor of the rate of each layer of synapses.
    fan_in: Vec<f64>,
    /// Only the last layer's synapses learn.
    pub(super) freezes_hidden: bool,
}

/// Memory of the passes that holds nothing between calls.
#[derive(Clone, Debug, Default)]
pub(super) struct Scratch<T> {
    pub(super) product: ProductScratch<T>,
    pub(super) correlation: CorrelationScratch<T>,
    /// A layer's states, mixed.
    pub(super) below: Buffer<T>,
    pub(super) above: Buffer<T>,
    /// One number for each example, twice.
    pub(super) examples: [Buffer<T>; 2],
    /// What synapses become: factors of what they are and of their sums.
    factors: Vec<T>,
}

/// One state's synapses of a block, `[n + 1, m]`, without and with its bias row.
pub(super) fn split<T>(block: &[T], inputs: usize, outputs: usize) -> (Weights<'_, T>, &[T]) {
    let (values, bias) = block.split_at(inputs * outputs);
    (Weights { values, stride: outputs, sources: inputs, destinations: outputs }, bias)
}

impl Form {
    /// Of these options and layers.
    pub(super) fn new(options: &MultiStateSpec, sizes: &[usize]) -> Self {
        let states = usize::from(options.states);
        let of = |activations: &StateActivations| -> Vec<Activation> {
            (0..states).map(|state| activations.of_state(state)).collect()
        };
        let layers = sizes.len() - 1;
        let fan_in = match &options.fan_in {
            None => vec![1.0; layers],
            Some(FanIn { reference, exponent }) => {
                let of_layer = |(&reference, &inputs): (&u32, &usize)| {
                    libm::pow(f64::from(reference) / inputs as f64, *exponent)
                };
                reference.iter().zip(sizes).map(of_layer).collect()
            }
        };
        assert_eq!(fan_in.len(), layers, "a reference for each layer of synapses");
        Self {
            arch: hebbian_shared::vectors::arch(),
            sizes: sizes.to_vec(),
            states,
            forward: of(&options.forward_activation),
            backward: of(&options.backward_activation),
            updates_input: options.updatable(sizes.len())[0],
            read: if options.readout { states } else { 1 },
            has_readout: options.readout,
            is_mean: options.hebbian == Hebbian::Mean,
            normalises: options.update_normalisation,
            mixes: options.synapse_mixing,
            fan_in,
            freezes_hidden: false,
        }
    }

    /// Layers of synapses.
    pub(super) fn layers(&self) -> usize {
        self.sizes.len() - 1
    }

    /// Inputs and outputs of a layer of synapses.
    pub(super) fn shape(&self, layer: usize) -> (usize, usize) {
        (self.sizes[layer], self.sizes[layer + 1])
    }

    /// Synapses of one state of a layer, bias included.
    pub(super) fn stride(&self, layer: usize) -> usize {
        (self.sizes[layer] + 1) * self.sizes[layer + 1]
    }

    /// Numbers of the record of an update with a batch of `batch`.
    pub(super) fn record_numbers(&self, batch: usize) -> usize {
        let k = self.states;
        let blocks: usize = (0..self.layers()).map(|layer| 2 * k * self.stride(layer)).sum();
        let hidden: usize = self.sizes[1..self.layers()].iter().map(|neurons| 4 * k * neurons).sum();
        let input = self.sizes[0] * if self.updates_input { 1 + 2 * k } else { 1 };
        let last = self.sizes[self.layers()] * (1 + self.read + k);
        blocks + batch * (input + hidden + last)
    }

    /// The first layer of neurons that the backward pass changes.
    pub(super) fn first_updated(&self) -> usize {
        usize::from(!self.updates_input)
    }

    /// States that arrive at the upper side of a layer of synapses and are read.
    pub(super) fn arriving_states(&self, layer: usize) -> usize {
        if layer + 1 == self.layers() { self.read } else { self.states }
    }

    /// The rate of a layer and state at update t, without the weight of the Hebbian sum.
    pub(super) fn unit_rate(&self, parameters: &Parameters, layer: usize, state: usize, t: u64) -> f64 {
        let gate = parameters.set(layer) * self.states + state;
        let (early, power) = (parameters.schedule_early[gate], parameters.schedule_power[gate]);
        let since = 1.0 + t as f64;
        self.fan_in[layer] * libm::exp(early / since + power * libm::log(since))
    }

    /// `1 / N` of the Hebbian sum.
    pub(super) fn batch_weight(&self, batch: usize) -> f64 {
        if self.is_mean { 1.0 / batch as f64 } else { 1.0 }
    }

    /// What a mean square makes of the rate.
    pub(super) fn shrinkage(
        &self,
        parameters: &Parameters,
        layer: usize,
        state: usize,
        mean_square: f64,
    ) -> f64 {
        if !self.normalises {
            return 1.0;
        }
        let exponent = parameters.normalisation_exponent[parameters.set(layer) * self.states + state];
        libm::exp(-0.5 * exponent * libm::log(mean_square))
    }

    /// The forward pass: from the input in `layers[0].forward` to the prediction. `records` keeps what the adjoint needs.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn forward_pass<T: Real>(
        &self,
        rules: &DifferentiableRule<T>,
        blocks: &[Buffer<T>],
        layers: &mut [Neurons<T>],
        output: &mut Buffer<T>,
        batch: usize,
        records: bool,
        scratch: &mut Scratch<T>,
    ) {
        let (k, arch, last) = (self.states, self.arch, self.layers());
        for layer in 0..last {
            let ((n, m), rule) = (self.shape(layer), rules.of_layer(layer));
            let states = self.arriving_states(layer);
            let (below, above) = layers.split_at_mut(layer + 1);
            let (below, above) = (&below[layer].forward, &mut above[0]);
            let source = if layer == 0 {
                Operand::Scaled { values: below, factors: &rule.forward[..k] }
            } else {
                let mixed = scratch.below.take(states * n * batch);
                mix(arch, &rule.forward, Orientation::RowsEnter, k, below, mixed, n * batch);
                Operand::PerState { values: mixed, stride: n * batch }
            };
            let arriving = above.forward.take(states * m * batch);
            for (state, neurons) in arriving.chunks_exact_mut(m * batch).enumerate() {
                let block = &blocks[layer][state * self.stride(layer)..][..self.stride(layer)];
                let (weights, bias) = split(block, n, m);
                let bias = Some((bias, rule.forward_bias[state]));
                let source = source.of_state(state);
                propagate(arch, weights, source, bias, None, neurons, batch, &mut scratch.product);
                if layer + 1 == last {
                    continue;
                }
                let activation = self.forward[state];
                if records && needs_argument(activation) {
                    let argument = above.argument.take(k * m * batch);
                    argument[state * m * batch..][..m * batch].copy_from_slice(neurons);
                }
                activate(arch, activation, neurons);
            }
        }
        let outputs = self.sizes[last] * batch;
        let states = &layers[last].forward;
        if self.has_readout {
            combine_rows(arch, &rules.readout, states, output.take(outputs), outputs);
        } else {
            output.take(outputs).copy_from_slice(states);
        }
    }

    /// Feedback, then the neurons from the last layer but one to the first that is updated. `target` is `[neuron, example]`.
    pub(super) fn backward_pass<T: Real>(
        &self,
        rules: &DifferentiableRule<T>,
        record: &mut UpdateRecord<T>,
        target: &[T],
        batch: usize,
        scratch: &mut Scratch<T>,
    ) {
        let (k, arch, last) = (self.states, self.arch, self.layers());
        let UpdateRecord { blocks, layers, output, .. } = record;
        let feedback = layers[last].backward.take(k * output.len());
        feedback.fill(T::ZERO);
        let (prediction, rest) = feedback.split_at_mut(output.len());
        prediction.copy_from_slice(output);
        let difference = &mut rest[..output.len()];
        let [largest, sums] = &mut scratch.examples;
        softmax(arch, output, T::ONE, difference, (largest.take(batch), sums.take(batch)));
        difference.iter_mut().zip(target).for_each(|(share, &target)| *share = *share - target);
        for layer in (self.first_updated()..last).rev() {
            let ((n, m), rule) = (self.shape(layer), rules.of_layer(layer));
            let (here, next) = layers.split_at_mut(layer + 1);
            let (here, next) = (&mut here[layer], &next[0].backward);
            let mixed = scratch.above.take(k * m * batch);
            mix(arch, &rule.backward, Orientation::RowsEnter, k, next, mixed, m * batch);
            let Neurons { forward, arriving, backward, .. } = here;
            let (arriving, backward) = (arriving.take(k * n * batch), backward.take(k * n * batch));
            for state in 0..k {
                let of_state = state * n * batch..(state + 1) * n * batch;
                let block = &blocks[layer][state * self.stride(layer)..][..self.stride(layer)];
                let source = (&mixed[state * m * batch..][..m * batch], T::ONE);
                let arriving = &mut arriving[of_state.clone()];
                propagate_back(arch, split(block, n, m).0, source, arriving, batch, &mut scratch.product);
                let (forward, gates) = self.gated(forward, layer, state, rule.gates[state], batch);
                let backward = &mut backward[of_state];
                gate(arch, forward, arriving, gates, backward);
                activate(arch, self.backward[state], backward);
            }
        }
    }

    /// A state of a layer after the forward pass, with its gates. Of the input only state 0 is not zero: the gates of others
    /// are zero in its place.
    pub(super) fn gated<'a, T: Real>(
        &self,
        forward: &'a [T],
        layer: usize,
        state: usize,
        [keep, gate, input]: [T; 3],
        batch: usize,
    ) -> (&'a [T], [T; 3]) {
        let length = self.sizes[layer] * batch;
        if layer == 0 && state > 0 {
            return (&forward[..length], [T::ZERO, T::ZERO, input]);
        }
        (&forward[state * length..][..length], [keep, gate, input])
    }

    /// The Hebbian sums of all layers with their mean squares.
    pub(super) fn hebbian_sums<T: Real>(
        &self,
        rules: &DifferentiableRule<T>,
        record: &mut UpdateRecord<T>,
        batch: usize,
        scratch: &mut Scratch<T>,
    ) {
        let (k, arch) = (self.states, self.arch);
        let weight = T::from_f64(self.batch_weight(batch));
        let UpdateRecord { blocks, layers, mean_squares, .. } = record;
        for layer in 0..self.layers() {
            let ((n, m), rule) = (self.shape(layer), rules.of_layer(layer));
            let (here, next) = (&layers[layer], &layers[layer + 1].backward);
            let is_plain = layer == 0 && !self.updates_input;
            let destination = scratch.above.take(k * m * batch);
            mix(arch, &rule.post, Orientation::ColumnsEnter, k, next, destination, m * batch);
            let source = if is_plain {
                Operand::Scaled { values: &here.forward, factors: &rule.pre[..k] }
            } else {
                let mixed = scratch.below.take(k * n * batch);
                mix(arch, &rule.pre, Orientation::RowsEnter, k, &here.backward, mixed, n * batch);
                Operand::PerState { values: mixed, stride: n * batch }
            };
            let stride = self.stride(layer);
            let sums = &mut blocks[layer][k * stride..];
            for state in 0..k {
                let sums = &mut sums[state * stride..][..stride];
                let destination = &destination[state * m * batch..][..m * batch];
                let (source, factor) = source.of_state(state);
                let source = (source, factor * weight);
                correlate(arch, source, destination, None, sums, m, batch, &mut scratch.correlation);
                let bias = rule.pre_bias[state] * weight;
                sum_over_batch(arch, destination, bias, &mut sums[n * m..], 1, batch);
                if self.normalises {
                    mean_squares[layer * k + state] =
                        inner_product(arch, sums, sums) / stride as f64 + EPSILON;
                }
            }
        }
    }

    /// The synapses after update t, into the blocks of `after`. `bounds` are the largest magnitudes of each layer, where they
    /// are known to be finite.
    pub(super) fn learn<T: Real>(
        &self,
        rules: &DifferentiableRule<T>,
        record: &UpdateRecord<T>,
        t: u64,
        after: &mut [Buffer<T>],
        bounds: &mut [Option<f64>],
        scratch: &mut Scratch<T>,
    ) {
        let (k, parameters) = (self.states, &rules.parameters);
        for layer in 0..self.layers() {
            let (stride, rule) = (self.stride(layer), rules.of_layer(layer));
            let (block, after) = (&record.blocks[layer], &mut after[layer][..k * stride]);
            if self.freezes_hidden && layer + 1 < self.layers() {
                after.copy_from_slice(&block[..k * stride]);
                continue;
            }
            let mut bound = Some(0.0_f64);
            scratch.factors.clear();
            for state in 0..k {
                let mean_square = record.mean_squares[layer * k + state];
                let gate = parameters.set(layer) * k + state;
                let step = parameters.synapse_update[gate]
                    * self.unit_rate(parameters, layer, state, t)
                    * self.shrinkage(parameters, layer, state, mean_square);
                let kept = if self.mixes {
                    let row = &rule.mixing[state * k..(state + 1) * k];
                    scratch.factors.extend_from_slice(row);
                    scratch
                        .factors
                        .extend((0..k).map(|other| if other == state { T::from_f64(step) } else { T::ZERO }));
                    row.iter().map(|x| x.to_f64().abs()).sum()
                } else {
                    scratch.factors.extend([rule.keep[state], T::from_f64(step)]);
                    rule.keep[state].to_f64().abs()
                };
                // No sum is larger than the root of all squares together.
                let change = libm::fabs(step) * libm::sqrt(stride as f64 * mean_square);
                let largest = bounds[layer].map(|before| kept * before + change);
                // No comparison holds for what is not a number, and `max` would forget it.
                bound = bound.zip(largest.filter(|&largest| largest < SAFE)).map(|(x, y)| x.max(y));
            }
            if self.mixes {
                combine_rows(self.arch, &scratch.factors, block, after, stride);
            } else {
                let (synapses, sums) = block.split_at(k * stride);
                for (state, after) in after.chunks_exact_mut(stride).enumerate() {
                    let here = state * stride..(state + 1) * stride;
                    let (keep, step) = (scratch.factors[2 * state], scratch.factors[2 * state + 1]);
                    add_scaled(self.arch, (&synapses[here.clone()], keep), (&sums[here], step), after);
                }
            }
            bounds[layer] = self.bound(bound, after);
        }
    }

    /// The largest magnitude of synapses, or a bound of it that is far below the largest number; none if they are not finite.
    fn bound<T: Real>(&self, estimate: Option<f64>, synapses: &[T]) -> Option<f64> {
        match estimate {
            Some(bound) if self.normalises => Some(1.01 * bound),
            _ => crate::rule::multi_state::magnitude::largest(self.arch, synapses),
        }
    }
}

//! The multi-state network: neurons and synapses with k states each, trained by an update rule instead of gradients.
//!
//! After Sandler et al., "Meta-Learning Bidirectional Update Rules" (ICML 2021). One update is a forward pass
//! ([`Network::forward`]) and a backward pass ([`Network::backward`]): feedback enters the last layer, runs back through
//! backward synapses of their own, and then every synapse learns from its two neurons alone. Gradient descent by
//! backpropagation is one rule of this family.
//!
//! Where to find what: `update_rule` the evolved numbers; `contraction` the products and their kernels; `neuron` and
//! `synapse` the states; `activation`, `feedback`, `initialise` one option each; `plan` what need not be computed.

#![allow(
    clippy::inline_always,
    reason = "a kernel is compiled for the caller's CPU only where it is inlined into it"
)]
#![allow(clippy::needless_range_loop, reason = "iterators are not always inlined into a kernel, ranges are")]

mod activation;
mod contraction;
mod dispatch;
mod feedback;
mod initialise;
mod neuron;
mod plan;
mod real;
mod synapse;
mod update_rule;

use hebbian_shared::seed::Seed;
use hebbian_shared::spec::network::InitialSynapses;
use hebbian_shared::spec::rule::{Activation, BackwardUpdate, Hebbian, RuleSpec, StateActivations};
use pulp::{Arch, Simd};

use activation::activate;
use contraction::{Operand, Orientation, mix, propagate};
use dispatch::dispatch;
use neuron::{Layer, transpose};
use synapse::{HebbianOperands, SynapseUpdate, Synapses};

pub use plan::{BackwardBlock, Plan};
pub use real::Real;
pub use update_rule::UpdateRule;

/// Examples that a prediction takes through the network at a time, so that they stay in the cache.
const PREDICTION_TILE: usize = 128;

/// Which halves of a backward pass take place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackwardPass {
    /// Feedback and the backward update of neurons.
    pub neurons: bool,
    /// The update of synapses.
    pub synapses: bool,
}

impl BackwardPass {
    /// Both.
    pub const BOTH: Self = Self { neurons: true, synapses: true };
}

/// A multi-state network with its synapses, its neurons' states and all scratch memory: once it has seen its largest
/// batch, nothing is allocated any more, however many episodes it serves.
#[derive(Clone, Debug)]
pub struct Network<T> {
    arch: Arch,
    options: RuleSpec,
    plan: Plan,
    activations: Activations,
    layers: Vec<Layer<T>>,
    synapses: Vec<Synapses<T>>,
    scratch: Scratch<T>,
}

/// The activation of each state, per place of use.
#[derive(Clone, Debug)]
struct Activations {
    forward: Vec<Activation>,
    last: Vec<Activation>,
    backward: Vec<Activation>,
    synapse: Vec<Activation>,
}

/// Memory that holds nothing between calls.
#[derive(Clone, Debug, Default)]
struct Scratch<T> {
    /// A k x k transform with a gate folded in.
    transform: Vec<T>,
    /// Factors of the bias neuron, one per state.
    bias: Vec<T>,
    /// A layer's states, mixed for a propagation.
    mixed: Vec<T>,
    /// What arrives at a layer, where it cannot be added in place.
    arriving: Vec<T>,
    /// Layer i under the pre and the post transform.
    below: [Vec<T>; 2],
    /// Layer i + 1 under the pre and the post transform.
    above: [Vec<T>; 2],
    /// Targets, `[neuron, example]`.
    target: Vec<T>,
    /// One state's sums of a synapse layer, and those of its backward block.
    sums: [Vec<T>; 2],
    /// Layers of a prediction.
    prediction: Vec<Layer<T>>,
}

/// The first `length` numbers of a buffer that grows as needed; their values are arbitrary.
fn take<T: Real>(buffer: &mut Vec<T>, length: usize) -> &mut [T] {
    if buffer.len() < length {
        buffer.resize(length, T::ZERO);
    }
    &mut buffer[..length]
}

impl<T: Real> Network<T> {
    /// A network of the usual kind that computes only what is read: neurons of all layers but the input are updated.
    /// Synapses are zero; [`Network::initialise_synapses`] comes next.
    ///
    /// `layer_sizes` are the neurons of each layer from input to output (at least two layers, none empty);
    /// `batch_max` is the largest batch that memory is reserved for, larger ones allocate.
    ///
    /// # Panics
    /// See [`Network::with_plan`].
    pub fn new(options: &RuleSpec, layer_sizes: &[usize], batch_max: usize) -> Self {
        let plan = Plan::lean(&Plan::usually_updatable(layer_sizes.len()));
        Self::with_plan(options, layer_sizes, batch_max, plan)
    }

    /// A network that computes what `plan` says.
    ///
    /// # Panics
    /// If `options` do not pass [`RuleSpec::validate`], there are fewer than two layers, one is empty, or the plan is
    /// of another number of layers.
    pub fn with_plan(options: &RuleSpec, layer_sizes: &[usize], batch_max: usize, plan: Plan) -> Self {
        assert!(options.validate().is_ok(), "the options are validated where they enter");
        assert!(layer_sizes.len() >= 2 && layer_sizes.iter().all(|&neurons| neurons > 0), "{layer_sizes:?}");
        assert_eq!(plan.layers(), layer_sizes.len(), "a plan of another network");
        let states = usize::from(options.states);
        let of = |activations: &StateActivations| -> Vec<Activation> {
            (0..states).map(|state| activations.of_state(state)).collect()
        };
        let layers = |batch: usize| -> Vec<Layer<T>> {
            layer_sizes.iter().map(|&neurons| Layer::new(neurons, states, batch)).collect()
        };
        let synapses = layer_sizes
            .windows(2)
            .enumerate()
            .map(|(layer, pair)| Synapses::new(pair[0], pair[1], states, plan.backward_block(layer)))
            .collect();
        Self {
            arch: Arch::new(),
            activations: Activations {
                forward: of(&options.forward_activation),
                last: of(&options.last_layer_activation),
                backward: of(&options.backward_activation),
                synapse: of(&options.synapse_activation),
            },
            options: options.clone(),
            plan,
            layers: layers(batch_max),
            synapses,
            scratch: Scratch { prediction: layers(batch_max.min(PREDICTION_TILE)), ..Scratch::default() },
        }
    }

    /// States per neuron and synapse (k).
    pub fn states(&self) -> usize {
        usize::from(self.options.states)
    }

    /// Neurons of each layer, from input to output.
    pub fn layer_sizes(&self) -> Vec<usize> {
        self.layers.iter().map(Layer::neurons).collect()
    }

    /// What the network computes.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Makes the network as new, but for its synapses: neuron states become zero.
    pub fn reset(&mut self) {
        self.layers.iter_mut().for_each(Layer::clear);
    }

    /// Draws all synapses from streams below `seed`: forward and backward, all states and the bias row independently,
    /// tied where the options say that updates are (backward = transpose of forward; all states equal).
    pub fn initialise_synapses(&mut self, spec: &InitialSynapses, seed: Seed) {
        let RuleSpec { symmetric_synapses, symmetric_states, .. } = self.options;
        for (layer, synapses) in self.synapses.iter_mut().enumerate() {
            initialise::initialise(synapses, spec, seed, layer, symmetric_synapses, symmetric_states);
        }
    }

    /// One update: forward pass, feedback, backward pass of neurons, update of synapses.
    ///
    /// `input` is `[batch, neurons of the first layer]`, `target` `[batch, neurons of the last layer]`, row-major.
    /// Values may be anything; what leaves the finite numbers shows in [`Network::is_finite`].
    ///
    /// # Panics
    /// If a length does not match, `batch` is 0, or the rule has another number of states.
    pub fn update(&mut self, rule: &UpdateRule<T>, input: &[T], target: &[T], batch: usize) {
        let states = feedback::states_kept(self.options.feedback, self.states());
        self.forward_pass(rule, input, batch, states);
        self.backward(rule, target, BackwardPass::BOTH);
    }

    /// The forward pass of an update. Neurons start from zero, or from where they are if the options say so and the
    /// batch has the size of the last one.
    ///
    /// # Panics
    /// As [`Network::update`].
    pub fn forward(&mut self, rule: &UpdateRule<T>, input: &[T], batch: usize) {
        self.forward_pass(rule, input, batch, self.states());
    }

    /// [`Network::forward`] that leaves out the last layer's states from `last_states` on.
    fn forward_pass(&mut self, rule: &UpdateRule<T>, input: &[T], batch: usize, last_states: usize) {
        self.check(rule);
        assert!(batch > 0 && input.len() == batch * self.layers[0].neurons(), "input of another shape");
        let zeroed = self.options.zero_out_neurons;
        let Self { layers, scratch, .. } = self;
        for layer in layers.iter_mut() {
            layer.resize(batch);
        }
        layers[0].load(input, batch);
        fold_gate(rule, &rule.forward_transform, &rule.neuron_update, &mut scratch.transform);
        sum_columns(&scratch.transform, rule.states, &mut scratch.bias);
        for layer in 0..self.synapses.len() {
            if !self.plan.is_updatable(layer + 1) {
                if zeroed {
                    self.layers[layer + 1].clear();
                }
                continue;
            }
            let keep = (!zeroed).then_some(&rule.neuron_keep[..]);
            let (below, above) = self.layers.split_at_mut(layer + 1);
            let last = layer + 1 == self.synapses.len();
            forward_layer(
                self.arch,
                &self.synapses[layer],
                &below[layer],
                layer == 0,
                &mut above[0],
                keep,
                if last { &self.activations.last[..last_states] } else { &self.activations.forward },
                (&self.scratch.transform, &self.scratch.bias, &mut self.scratch.mixed),
                batch,
            );
        }
    }

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
            let transposed = take(&mut self.scratch.target, target.len());
            transpose(target, neurons, transposed, batch);
            feedback::apply(self.options.feedback, &mut self.layers[last], transposed);
            self.backward_neurons(rule, batch);
        }
        if pass.synapses {
            self.update_synapses(rule, batch);
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
        let Self { scratch, .. } = self;
        fold_gate(rule, &rule.forward_transform, &rule.neuron_update, &mut scratch.transform);
        sum_columns(&scratch.transform, rule.states, &mut scratch.bias);
        let tiles =
            input.chunks(PREDICTION_TILE * sizes.0).zip(prediction.chunks_mut(PREDICTION_TILE * sizes.1));
        for (input, prediction) in tiles {
            let batch = input.len() / sizes.0;
            let layers = &mut scratch.prediction;
            layers[0].load(input, batch);
            for layer in 0..self.synapses.len() {
                let (below, above) = layers.split_at_mut(layer + 1);
                above[0].resize(batch);
                if !self.plan.is_updatable(layer + 1) {
                    above[0].clear();
                    continue;
                }
                let last = layer + 1 == self.synapses.len();
                forward_layer(
                    self.arch,
                    &self.synapses[layer],
                    &below[layer],
                    layer == 0,
                    &mut above[0],
                    None,
                    // The answer is state 0.
                    if last { &self.activations.last[..1] } else { &self.activations.forward },
                    (&scratch.transform, &scratch.bias, &mut scratch.mixed),
                    batch,
                );
            }
            transpose(layers[layers.len() - 1].state(0), batch, prediction, sizes.1);
        }
    }

    /// Whether all synapses and all neuron states are finite numbers.
    pub fn is_finite(&self) -> bool {
        let arch = self.arch;
        let finite = |values: &[T]| dispatch!(arch, 'a, all_finite => (values: &'a [T]) -> bool);
        self.synapses.iter().all(|synapses| finite(&synapses.forward) && finite(&synapses.backward))
            && self.layers.iter().all(|layer| finite(layer.values()))
    }

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
        self.synapses[layer].backward.get_mut(state * stride..(state + 1) * stride)
    }

    fn check(&self, rule: &UpdateRule<T>) {
        assert!(rule.is_well_formed() && rule.states == self.states(), "a rule of another number of states");
    }

    /// Layers from the last but one to the first, each from the already updated next one.
    fn backward_neurons(&mut self, rule: &UpdateRule<T>, batch: usize) {
        let multiplicative = self.options.backward_update == BackwardUpdate::MultiplicativeSecondState;
        let gate = if multiplicative { &rule.neuron_keep } else { &rule.neuron_update };
        let Self { arch, layers, scratch, .. } = self;
        let arch = *arch;
        fold_gate(rule, &rule.backward_transform, gate, &mut scratch.transform);
        for layer in (0..self.synapses.len()).rev() {
            if !self.plan.is_updatable(layer) {
                continue;
            }
            let synapses = &self.synapses[layer];
            let (below, above) = layers.split_at_mut(layer + 1);
            let (here, next) = (&mut below[layer], &above[0]);
            let mixed = take(&mut scratch.mixed, next.values().len());
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
                let source = (source, T::ONE);
                if !multiplicative {
                    let keep = Some(rule.neuron_keep[state]);
                    propagate(arch, weights, source, None, keep, neurons, batch);
                } else if state == 0 {
                    let keep = rule.neuron_keep[0];
                    for x in neurons.iter_mut() {
                        *x = *x * keep;
                    }
                } else {
                    let arriving = take(&mut scratch.arriving, neurons.len());
                    propagate(arch, weights, source, None, None, arriving, batch);
                    neurons.iter_mut().zip(&*arriving).for_each(|(x, &u)| *x = *x * u);
                }
                activate(arch, self.activations.backward[state], neurons);
            }
        }
    }

    /// Every synapse learns from its two neurons. Nothing else changes, so the order of layers does not matter.
    fn update_synapses(&mut self, rule: &UpdateRule<T>, batch: usize) {
        let update = SynapseUpdate {
            arch: self.arch,
            symmetric_synapses: self.options.symmetric_synapses,
            symmetric_states: self.options.symmetric_states,
            batch_weight: match self.options.hebbian {
                Hebbian::Sum => 1.0,
                Hebbian::Mean => 1.0 / batch as f64,
            },
            activations: &self.activations.synapse,
        };
        let Self { arch, layers, synapses, scratch, plan, .. } = self;
        let (arch, k) = (*arch, rule.states);
        // With tied states only the sums of state 0 are used.
        let mixed_states = if update.symmetric_states { 1 } else { k };
        let transform = |layer: &Layer<T>, [pre, post]: &mut [Vec<T>; 2], wanted: (bool, bool)| {
            let length = layer.stride() * mixed_states;
            let mix = |transform: &[T], orientation, out: &mut Vec<T>| {
                mix(arch, transform, orientation, k, layer.values(), take(out, length), layer.stride());
            };
            if wanted.0 {
                mix(&rule.hebbian_pre, Orientation::RowsEnter, pre);
            }
            if wanted.1 {
                mix(&rule.hebbian_post, Orientation::ColumnsEnter, post);
            }
        };
        let exchanges =
            |layer: usize| !update.symmetric_synapses && plan.backward_block(layer) != BackwardBlock::Absent;
        // The states above 0 of an input layer that is not updated are zero: its transforms are factors of state 0.
        let plain_input = !plan.is_updatable(0);
        transform(&layers[0], &mut scratch.below, (!plain_input, exchanges(0)));
        for (layer, synapses) in synapses.iter_mut().enumerate() {
            let (here, next) = (&layers[layer], &layers[layer + 1]);
            let exchanged = exchanges(layer);
            let more = layer + 2 < layers.len();
            transform(next, &mut scratch.above, (exchanged || more, true));
            let [below, above] = [&scratch.below, &scratch.above];
            let operands = HebbianOperands {
                source: if layer == 0 && plain_input {
                    Operand::Scaled { values: here.state(0), factors: &rule.hebbian_pre[..k] }
                } else {
                    Operand::PerState {
                        values: &below[0][..here.stride() * mixed_states],
                        stride: here.stride(),
                    }
                },
                destination: Operand::PerState {
                    values: &above[1][..next.stride() * mixed_states],
                    stride: next.stride(),
                },
                exchanged: exchanged.then(|| {
                    (
                        Operand::PerState {
                            values: &above[0][..next.stride() * mixed_states],
                            stride: next.stride(),
                        },
                        Operand::PerState {
                            values: &below[1][..here.stride() * mixed_states],
                            stride: here.stride(),
                        },
                    )
                }),
                batch,
            };
            let [sums, transposed] = &mut scratch.sums;
            let length = synapses.stride();
            update.apply(rule, &operands, synapses, take(sums, length), take(transposed, length));
            std::mem::swap(&mut scratch.below, &mut scratch.above);
        }
    }
}

#[inline(always)]
fn all_finite<T: Real, S: Simd>(simd: S, values: &[T]) -> bool {
    // 0 x is 0, or NaN for what is not finite.
    let (vectors, rest) = T::as_vectors::<S>(values);
    let zero = T::splat(simd, T::ZERO);
    // Four sums, none of which waits for another.
    let mut totals = [zero; 4];
    let mut e = 0;
    while e + 4 <= vectors.len() {
        for n in 0..4 {
            totals[n] = T::add_vectors(simd, totals[n], T::multiply_vectors(simd, zero, vectors[e + n]));
        }
        e += 4;
    }
    while e < vectors.len() {
        totals[0] = T::add_vectors(simd, totals[0], T::multiply_vectors(simd, zero, vectors[e]));
        e += 1;
    }
    let mut lanes = [T::ZERO; 16];
    for total in totals {
        let sum = &mut T::as_vectors_mut::<S>(&mut lanes).0[0];
        *sum = T::add_vectors(simd, *sum, total);
    }
    lanes.iter().chain(rest).all(|&x| T::ZERO * x == T::ZERO)
}

/// `out[k, l] = transform[k, l] gate[l]`: what arrives is then already gated.
fn fold_gate<T: Real>(rule: &UpdateRule<T>, transform: &[T], gate: &[T], out: &mut Vec<T>) {
    out.clear();
    out.extend(transform.iter().zip(gate.iter().cycle()).map(|(&factor, &gate)| factor * gate));
    debug_assert_eq!(out.len(), rule.states * rule.states);
}

/// The sum of each column of a k x k transform: what it makes of a neuron that is 1 in every state.
fn sum_columns<T: Real>(transform: &[T], k: usize, out: &mut Vec<T>) {
    out.clear();
    out.extend((0..k).map(|l| {
        let column = transform.iter().skip(l).step_by(k);
        column.fold(T::ZERO, |sum, &factor| sum + factor)
    }));
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
    (transform, bias, mixed): (&[T], &[T], &mut Vec<T>),
    batch: usize,
) {
    let k = bias.len();
    // The input has nothing but state 0, so its transform is one factor per state.
    let source = if is_input {
        Operand::Scaled { values: below.state(0), factors: &transform[..k] }
    } else {
        let mixed = take(mixed, below.stride() * activations.len());
        mix(arch, transform, Orientation::RowsEnter, k, below.values(), mixed, below.stride());
        Operand::PerState { values: mixed, stride: below.stride() }
    };
    for (state, &activation) in activations.iter().enumerate() {
        let (weights, bias_row) = synapses.forward_weights(state);
        let neurons = above.state_mut(state);
        let keep = keep.map(|keep| keep[state]);
        propagate(arch, weights, source.of_state(state), Some((bias_row, bias[state])), keep, neurons, batch);
        activate(arch, activation, neurons);
    }
}

#[cfg(test)]
mod tests;

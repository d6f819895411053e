//! The multi-state network: neurons and synapses with k states each, trained by an update rule instead of gradients.
//!
//! After Sandler et al., "Meta-Learning Bidirectional Update Rules" (ICML 2021). One update is a forward pass
//! ([`Network::forward`]) and a backward pass ([`Network::backward`]): feedback enters the last layer, runs back through
//! backward synapses of their own, and then every synapse learns from its two neurons alone. Gradient descent by
//! backpropagation is one rule of this family.
//!
//! Where to find what: `update_rule` the evolved numbers; `contraction` the products and their kernels; `neuron` and
//! `synapse` the states; `activation`, `feedback`, `initialise`, `normalisation`, `oja`, `saturation` one option each;
//! `plan` what need not be computed; `buffer`, `prefetch` and `transpose` where numbers lie and how they get there.

#![allow(
    clippy::inline_always,
    reason = "a kernel is compiled for the caller's CPU only where it is inlined into it"
)]
#![allow(clippy::needless_range_loop, reason = "iterators are not always inlined into a kernel, ranges are")]

mod ablation;
mod activation;
pub mod backpropagation;
mod buffer;
mod contraction;
mod dispatch;
mod feedback;
mod initialise;
mod learner;
mod magnitude;
mod neuron;
mod normalisation;
mod oja;
mod plan;
mod prefetch;
mod real;
mod saturation;
mod synapse;
mod transpose;
mod update_rule;

use hebbian_shared::seed::Seed;
use hebbian_shared::spec::network::InitialSynapses;
use hebbian_shared::spec::rule::{
    Activation, BackwardUpdate, ForwardSynapseUpdate, Hebbian, Normalisation, RuleSpec, StateActivations,
};
use pulp::Arch;

use activation::activate;
use buffer::Buffer;
use contraction::{Operand, Orientation, ProductScratch, mix, propagate};
use neuron::Layer;
use synapse::{HebbianOperands, SynapseScratch, SynapseUpdate, Synapses};
use transpose::transpose;
use update_rule::SynapseParameters;

pub use ablation::Ablation;
pub use plan::{BackwardBlock, Plan, WithinBlocks};
pub use real::Real;
pub use update_rule::{SynapseRule, UpdateRule};

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
    /// Normalised copies of the synapses, as passes use them; none without normalisation.
    normalised: Vec<Synapses<T>>,
    /// Layers as the forward pass left them; none unless the synapse update reads them.
    forward_layers: Vec<Layer<T>>,
    /// Updates since the network was new.
    updates: u64,
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
    mixed: Buffer<T>,
    /// What arrives at a layer, where it cannot be added in place.
    arriving: Buffer<T>,
    /// Layer i under the pre and the post transform.
    below: [Buffer<T>; 2],
    /// Layer i + 1 under the pre and the post transform.
    above: [Buffer<T>; 2],
    /// Of the products of propagations.
    product: ProductScratch<T>,
    /// Targets, `[neuron, example]`.
    target: Buffer<T>,
    /// Of a synapse update.
    synapse: SynapseScratch<T>,
    /// One state's norms.
    norms: Vec<T>,
    /// Layers of a prediction.
    prediction: Vec<Layer<T>>,
}

impl<T: Real> Network<T> {
    /// A network that computes only what is read. Synapses are zero; [`Network::initialise_synapses`] comes next.
    ///
    /// `layer_sizes` are the neurons of each layer from input to output (at least two layers, none empty);
    /// `batch_max` is the largest batch that memory is reserved for, larger ones allocate.
    ///
    /// # Panics
    /// See [`Network::with_plan`].
    pub fn new(options: &RuleSpec, layer_sizes: &[usize], batch_max: usize) -> Self {
        let plan = Plan::lean(options, layer_sizes.len());
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
            .map(|(layer, pair)| {
                let (backward, within) = (plan.backward_block(layer), plan.within_blocks(layer));
                Synapses::new(pair[0], pair[1], states, backward, within)
            })
            .collect();
        let normalised = |Normalisation { in_activations, .. }| {
            let copy = |(layer, pair): (usize, &[usize])| {
                let backward =
                    if in_activations { plan.backward_block(layer) } else { BackwardBlock::Absent };
                Synapses::new(pair[0], pair[1], states, backward, WithinBlocks::default())
            };
            layer_sizes.windows(2).enumerate().map(copy).collect()
        };
        let forward_layers =
            if options.forward_activations_in_synapse_update { layers(batch_max) } else { Vec::new() };
        Self {
            arch: Arch::new(),
            activations: Activations {
                forward: of(&options.forward_activation),
                last: of(&options.last_layer_activation),
                backward: of(&options.backward_activation),
                synapse: of(&options.synapse_activation),
            },
            options: options.clone(),
            layers: layers(batch_max),
            synapses,
            normalised: options.normalisation.map(normalised).unwrap_or_default(),
            plan,
            forward_layers,
            updates: 0,
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

    /// Makes the network as new, but for its synapses: neuron states become zero, and the next update is the first.
    pub fn reset(&mut self) {
        self.layers.iter_mut().for_each(Layer::clear);
        self.updates = 0;
    }

    /// Whether update `index`, from 0, has a backward pass.
    pub fn is_supervised(&self, index: u64) -> bool {
        index.is_multiple_of(u64::from(self.options.supervised_every))
    }

    /// Draws all synapses from streams below `seed`: forward and backward, all states and the bias row independently,
    /// tied where the options say that updates are (backward = transpose of forward; all states equal).
    pub fn initialise_synapses(&mut self, spec: &InitialSynapses, seed: Seed) {
        let RuleSpec { symmetric_synapses, symmetric_states, .. } = self.options;
        for (layer, synapses) in self.synapses.iter_mut().enumerate() {
            initialise::initialise(
                self.arch,
                synapses,
                spec,
                seed,
                layer,
                symmetric_synapses,
                symmetric_states,
            );
            synapses.bound = synapses.measure(self.arch);
        }
    }

    /// One update: forward pass, feedback, backward pass of neurons, update of synapses. In an update that is not
    /// supervised, counted from [`Network::reset`] on, the forward pass is all.
    ///
    /// `input` is `[batch, neurons of the first layer]`, `target` `[batch, neurons of the last layer]`, row-major.
    /// Values may be anything; what leaves the finite numbers shows in [`Network::is_finite`].
    ///
    /// # Panics
    /// If a length does not match, `batch` is 0, or the rule has another number of states.
    pub fn update(&mut self, rule: &UpdateRule<T>, input: &[T], target: &[T], batch: usize) {
        let is_supervised = self.is_supervised(self.updates);
        self.updates += 1;
        let states = if is_supervised && self.options.forward_synapse_update == ForwardSynapseUpdate::Off {
            feedback::states_kept(self.options.feedback, self.states())
        } else {
            self.states()
        };
        self.forward_pass(rule, input, batch, states);
        if is_supervised {
            self.backward(rule, target, BackwardPass::BOTH);
        }
    }

    /// The forward pass of an update, with the synapse update that belongs to it if there is one. Neurons start from zero, or from where they are if the options say so and the
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

    /// Whether passes use normalised copies of the synapses.
    fn normalises_in_activations(&self) -> bool {
        self.options.normalisation.is_some_and(|normalisation| normalisation.in_activations)
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
            let transposed = self.scratch.target.take(target.len());
            transpose(self.arch, target, neurons, transposed, batch);
            feedback::apply(self.options.feedback, &mut self.layers[last], transposed);
            self.backward_neurons(rule, batch);
        }
        if pass.synapses {
            self.update_synapses(rule, &rule.synapse, batch, false);
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

    /// Whether all synapses and all neuron states are finite numbers.
    pub fn is_finite(&self) -> bool {
        self.synapses.iter().all(|synapses| synapses.is_finite(self.arch))
            && self.layers.iter().all(|layer| layer.is_finite(self.arch))
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

    fn check(&self, rule: &UpdateRule<T>) {
        assert!(rule.is_well_formed() && rule.states == self.states(), "a rule of another number of states");
        assert!(rule.layers == 1 || rule.layers == self.synapses.len(), "a rule of another number of layers");
        assert!(
            self.options.forward_synapse_update != ForwardSynapseUpdate::OwnGenome
                || rule.forward_synapse.is_some(),
            "a rule without the forward synapse update's parameters"
        );
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
                    BackwardUpdate::None => {
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
    fn update_synapses(
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

/// `out[k, l] = transform[k, l] gate[l]`: what arrives is then already gated.
fn fold_gate<T: Real>(transform: &[T], gate: &[T], out: &mut Vec<T>) {
    out.clear();
    out.extend(transform.iter().zip(gate.iter().cycle()).map(|(&factor, &gate)| factor * gate));
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

#[cfg(test)]
mod tests;

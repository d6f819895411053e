//! The multi-state network: neurons and synapses with k states each, trained by an update rule instead of gradients.
//!
//! After Sandler et al., "Meta-Learning Bidirectional Update Rules" (ICML 2021). One update is a forward pass
//! ([`Network::forward`]) and a backward pass ([`Network::backward`]): feedback enters the last layer, runs back through
//! backward synapses of their own, and then every synapse learns from its two neurons alone. Gradient descent by
//! backpropagation is one rule of this family.
//!
//! Where to find what: `learner` the family of rules; `update_rule` the evolved numbers; `forward` and `backward` the passes;
//! `contraction` the products and their kernels; `neuron` and `synapses` the states, `synapse` how they learn;
//! `differentiable` the networks whose rules know their gradient; `activation`, `feedback`, `initialise`, `normalisation`, `oja`, `saturation` one option each, `ablation` what can be
//! taken away; `plan` what need not be computed; `buffer`, `prefetch` and `transpose` where numbers lie and how they get
//! there.

#![allow(
    clippy::inline_always,
    reason = "a kernel is compiled for the caller's CPU only where it is inlined into it"
)]
#![allow(clippy::needless_range_loop, reason = "iterators are not always inlined into a kernel, ranges are")]

mod ablation;
mod activation;
mod backward;
mod buffer;
mod contraction;
pub mod differentiable;
mod dispatch;
mod feedback;
mod forward;
mod initialise;
mod inspection;
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
mod synapses;
mod transpose;
mod update_rule;

use hebbian_shared::seed::Seed;
use hebbian_shared::spec::network::InitialSynapses;
use hebbian_shared::spec::rule::RuleOptions;
use hebbian_shared::spec::rule::multi_state::{
    Activation, ForwardSynapseUpdate, MultiStateSpec, Normalisation, StateActivations,
};
use pulp::Arch;

use buffer::Buffer;
use contraction::ProductScratch;
use forward::PREDICTION_TILE;
use neuron::Layer;
use synapse::SynapseScratch;
use synapses::Synapses;

pub use plan::{BackwardBlock, Plan, WithinBlocks};
pub use real::Real;
pub use update_rule::{SynapseRule, UpdateRule};

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
    options: MultiStateSpec,
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
    pub fn new(options: &MultiStateSpec, layer_sizes: &[usize], batch_max: usize) -> Self {
        let plan = Plan::lean(options, layer_sizes.len());
        Self::with_plan(options, layer_sizes, batch_max, plan)
    }

    /// A network that computes what `plan` says.
    ///
    /// # Panics
    /// If `options` do not pass [`MultiStateSpec::validate`] or are extended, there are fewer than two layers, one is empty, or the plan is
    /// of another number of layers.
    pub fn with_plan(options: &MultiStateSpec, layer_sizes: &[usize], batch_max: usize, plan: Plan) -> Self {
        assert!(options.validate().is_ok(), "the options are validated where they enter");
        assert!(!options.is_extended(), "the network of an extended rule is a `DifferentiableNetwork`");
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
            arch: hebbian_shared::vectors::arch(),
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
        let MultiStateSpec { symmetric_synapses, symmetric_states, .. } = self.options;
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

    /// Whether passes use normalised copies of the synapses.
    fn normalises_in_activations(&self) -> bool {
        self.options.normalisation.is_some_and(|normalisation| normalisation.in_activations)
    }

    /// Whether all synapses and all neuron states are finite numbers.
    pub fn is_finite(&self) -> bool {
        self.synapses.iter().all(|synapses| synapses.is_finite(self.arch))
            && self.layers.iter().all(|layer| layer.is_finite(self.arch))
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
}

/// `out[k, l] = transform[k, l] gate[l]`: what arrives is then already gated.
fn fold_gate<T: Real>(transform: &[T], gate: &[T], out: &mut Vec<T>) {
    out.clear();
    out.extend(transform.iter().zip(gate.iter().cycle()).map(|(&factor, &gate)| factor * gate));
}

#[cfg(test)]
mod tests;

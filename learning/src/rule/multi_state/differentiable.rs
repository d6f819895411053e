//! Networks of differentiable rules: the same synapses in both directions, neurons that start every pass from empty, and a
//! genome whose gradient through the whole training is known.
//!
//! An update is a forward pass, feedback (softmax minus target), a backward pass, and a synapse update, as in
//! [`Network`](super::Network); `tests/fixtures/golden-gradients` has the arithmetic in numbers. Here to find: `parameters` what a
//! genome stands for; `form` the passes; `record` what is kept of them; `adjoint` the way back through them and `walk` that through
//! an unroll; `loss` what is measured; `elementwise` kernels; `learner` the rule of the family.

mod adjoint;
mod elementwise;
mod form;
mod learner;
mod loss;
mod parameters;
mod record;
mod walk;

use hebbian_shared::seed::Seed;
use hebbian_shared::spec::network::InitialSynapses;
use hebbian_shared::spec::rule::RuleOptions;
use hebbian_shared::spec::rule::multi_state::MultiStateSpec;

use super::Real;
use super::buffer::Buffer;
use super::forward::PREDICTION_TILE;
use super::initialise::{draw_forward, draw_normal};
use super::magnitude::largest;
use super::transpose::transpose;
use adjoint::Adjoint;
use elementwise::{add_scaled, scale};
use form::{Form, Scratch};
use record::{Neurons, Records, UpdateRecord};

pub(super) use learner::DifferentiableLearner;
pub use loss::AnswerLoss;
pub use parameters::{DifferentiableRule, Parameters};

/// A network with its synapses and all memory: once it has seen its largest batch, nothing is allocated any more.
#[derive(Clone, Debug)]
pub struct DifferentiableNetwork<T> {
    form: Form,
    tied_draws: Vec<u8>,
    records: Records<T>,
    /// Synapses at the start of those parts of an unroll that are not in the records.
    checkpoints: Vec<Vec<Buffer<T>>>,
    /// Updates that are recorded at a time; 0 if none are.
    recorded: u64,
    /// Updates that an unroll will have that is recorded.
    planned: u64,
    /// Examples of the largest batch.
    batch_max: usize,
    /// Updates since the start.
    updates: u64,
    /// Per layer the largest magnitude of its synapses, or a bound of it; none if they are not finite.
    bounds: Vec<Option<f64>>,
    draws: Vec<Draws<T>>,
    answer: Answer<T>,
    /// Targets, `[neuron, example]`.
    target: Buffer<T>,
    adjoint: Adjoint<T>,
    scratch: Scratch<T>,
}

/// What the initial synapses of a layer were made of; empty where they are given.
#[derive(Clone, Debug, Default)]
struct Draws<T> {
    /// `[group, n, m]`
    shared: Buffer<T>,
    /// `[state, n, m]`; empty where no state's scale is more than 0 and no gradient is wanted.
    own: Buffer<T>,
}

/// The forward pass of a prediction.
#[derive(Clone, Debug, Default)]
struct Answer<T> {
    layers: Vec<Neurons<T>>,
    output: Buffer<T>,
}

impl<T: Real> DifferentiableNetwork<T> {
    /// A network with these layers of neurons, from input to output. Synapses are zero; [`DifferentiableNetwork::start`] comes
    /// next.
    ///
    /// # Panics
    /// If the options are not valid or not differentiable, there are fewer than two layers, or one is empty.
    pub fn new(options: &MultiStateSpec, layer_sizes: &[usize], batch_max: usize) -> Self {
        assert!(options.validate().is_ok(), "the options are validated where they enter");
        assert!(
            options.check_differentiable("a gradient").is_ok(),
            "the options are checked where they enter"
        );
        assert!(layer_sizes.len() >= 2 && layer_sizes.iter().all(|&neurons| neurons > 0), "{layer_sizes:?}");
        let form = Form::new(options, layer_sizes);
        let layers = vec![Neurons::default(); layer_sizes.len()];
        Self {
            tied_draws: options.initial_scale.as_ref().map_or(Vec::new(), |scale| scale.tied_draws.clone()),
            records: Records::new(&form),
            checkpoints: Vec::new(),
            recorded: 0,
            planned: 0,
            batch_max,
            updates: 0,
            bounds: vec![Some(0.0); form.layers()],
            draws: vec![Draws::default(); form.layers()],
            answer: Answer { layers, output: Buffer::default() },
            target: Buffer::default(),
            adjoint: Adjoint::new(&form),
            scratch: Scratch::default(),
            form,
        }
    }

    /// Lets only the synapses of the last layer learn from now on, or all of them.
    pub fn freeze_hidden(&mut self, is_frozen: bool) {
        self.form.freezes_hidden = is_frozen;
    }

    /// Starts with fresh synapses from streams below `seed`, and records `updates` updates for their way back if that is not
    /// 0. At most `numbers_max` numbers are kept of them, as long as two updates fit: of longer unrolls synapses are kept from time
    /// to time, and what lies between is computed again.
    pub fn start(
        &mut self,
        rule: &DifferentiableRule<T>,
        initial: &InitialSynapses,
        seed: Seed,
        (updates, numbers_max): (u64, usize),
    ) {
        self.begin(updates, numbers_max);
        let Self { form, records, draws, tied_draws, .. } = self;
        if tied_draws.is_empty() {
            for (layer, block) in records.synapses_mut().iter_mut().enumerate() {
                let synapses = &mut block[..form.states * form.stride(layer)];
                draw_forward(form.arch, synapses, initial, seed, layer, form.shape(layer));
            }
            self.measure_synapses();
            return;
        }
        let groups = tied_draws.iter().max().map_or(0, |&last| usize::from(last) + 1);
        let wants_own = updates > 0 || rule.parameters.initial_own_scale.iter().any(|&scale| scale != 0.0);
        for (layer, draws) in draws.iter_mut().enumerate() {
            let (inputs, outputs) = form.shape(layer);
            draw_normal(draws.shared.take(groups * inputs * outputs), seed, layer, true);
            let own = if wants_own { form.states * inputs * outputs } else { 0 };
            draw_normal(draws.own.take(own), seed, layer, false);
        }
        self.scale_draws(rule);
    }

    /// As [`DifferentiableNetwork::start`], with draws that are given for each layer: `[group, n, m]` and `[state, n, m]`.
    ///
    /// # Panics
    /// If the rule has no initial scales, or a length does not match.
    pub fn start_from_draws(&mut self, rule: &DifferentiableRule<T>, draws: &[[&[T]; 2]], updates: u64) {
        assert!(!self.tied_draws.is_empty() && draws.len() == self.draws.len(), "draws of another network");
        self.begin(updates, usize::MAX);
        for (own, [shared, of_states]) in self.draws.iter_mut().zip(draws) {
            own.shared.take(shared.len()).copy_from_slice(shared);
            own.own.take(of_states.len()).copy_from_slice(of_states);
        }
        self.scale_draws(rule);
    }

    /// As [`DifferentiableNetwork::start`], with the forward synapses of each layer and state, `[n + 1, m]`.
    ///
    /// # Panics
    /// If a length does not match.
    pub fn start_from_synapses(
        &mut self,
        synapses: impl Fn(usize, usize) -> Vec<T>,
        (updates, numbers_max): (u64, usize),
    ) {
        self.begin(updates, numbers_max);
        for layer in 0..self.form.layers() {
            let stride = self.form.stride(layer);
            for state in 0..self.form.states {
                let place = &mut self.records.synapses_mut()[layer][state * stride..(state + 1) * stride];
                place.copy_from_slice(&synapses(layer, state));
            }
        }
        self.measure_synapses();
    }

    fn begin(&mut self, updates: u64, numbers_max: usize) {
        self.updates = 0;
        let room = (numbers_max / self.form.record_numbers(self.batch_max)).max(2) as u64;
        (self.planned, self.recorded) = (updates, updates.min(room));
        self.records.start(&self.form, self.recorded.max(1) as usize);
    }

    /// Makes the synapses from draws.
    fn scale_draws(&mut self, rule: &DifferentiableRule<T>) {
        let Self { form, records, draws, tied_draws, .. } = self;
        let Parameters { initial_scale, initial_own_scale, .. } = &rule.parameters;
        for (layer, (block, draws)) in records.synapses_mut().iter_mut().zip(draws).enumerate() {
            let (inputs, outputs) = form.shape(layer);
            let (length, stride) = (inputs * outputs, form.stride(layer));
            for (state, &group) in tied_draws.iter().enumerate() {
                let place = layer * form.states + state;
                let [shared, own] = [initial_scale[place], initial_own_scale[place]]
                    .map(|scale| T::from_f64(scale / libm::sqrt(inputs as f64)));
                let (rows, bias) = block[state * stride..(state + 1) * stride].split_at_mut(length);
                let of_group = &draws.shared[usize::from(group) * length..][..length];
                match draws.own.get(state * length..(state + 1) * length) {
                    Some(of_state) => add_scaled(form.arch, (of_group, shared), (of_state, own), rows),
                    None => scale(form.arch, of_group, shared, rows),
                }
                bias.fill(T::ZERO);
            }
        }
        self.measure_synapses();
    }

    fn measure_synapses(&mut self) {
        for (layer, bound) in self.bounds.iter_mut().enumerate() {
            let synapses = self.form.states * self.form.stride(layer);
            *bound = largest(self.form.arch, &self.records.synapses()[layer][..synapses]);
        }
    }

    /// One update. `input` is `[batch, neurons of the first layer]`, `target` `[batch, neurons of the last layer]`, row-major: the
    /// share of each class, usually 0 or 1.
    ///
    /// # Panics
    /// If a length does not match or `batch` is 0.
    pub fn update(&mut self, rule: &DifferentiableRule<T>, input: &[T], target: &[T], batch: usize) {
        let Self { form, records, scratch, bounds, .. } = self;
        let (inputs, outputs) = (form.sizes[0], form.sizes[form.layers()]);
        assert!(
            batch > 0 && input.len() == batch * inputs && target.len() == batch * outputs,
            "another shape"
        );
        let (record, after) = records.next();
        // The last part stays in the records.
        if self.recorded > 0
            && self.updates.is_multiple_of(self.recorded)
            && self.updates + self.recorded < self.planned
        {
            record.save(form, &mut self.checkpoints, (self.updates / self.recorded) as usize);
        }
        let UpdateRecord { blocks, layers, output, .. } = record;
        transpose(form.arch, input, inputs, layers[0].forward.take(inputs * batch), batch);
        let transposed = self.target.take(target.len());
        transpose(form.arch, target, outputs, transposed, batch);
        form.forward_pass(rule, blocks, layers, output, batch, self.recorded > 0, scratch);
        form.backward_pass(rule, record, transposed, batch, scratch);
        form.hebbian_sums(rule, record, batch, scratch);
        form.learn(rule, record, self.updates, &mut after.blocks, bounds, scratch);
        records.advance();
        self.updates += 1;
    }

    /// What the network answers to `input`, `[batch, neurons of the first layer]`: `[batch, neurons of the last layer]`, without
    /// the temperature of the loss.
    ///
    /// # Panics
    /// If a length does not match.
    pub fn predict(&mut self, rule: &DifferentiableRule<T>, input: &[T], batch: usize, prediction: &mut [T]) {
        let Self { form, records, answer: Answer { layers, output }, scratch, .. } = self;
        let (inputs, outputs) = (form.sizes[0], form.sizes[form.layers()]);
        assert!(input.len() == batch * inputs && prediction.len() == batch * outputs, "another shape");
        let tiles =
            input.chunks(PREDICTION_TILE * inputs).zip(prediction.chunks_mut(PREDICTION_TILE * outputs));
        for (input, prediction) in tiles {
            let batch = input.len() / inputs;
            transpose(form.arch, input, inputs, layers[0].forward.take(inputs * batch), batch);
            form.forward_pass(rule, records.synapses(), layers, output, batch, false, scratch);
            transpose(form.arch, output, batch, prediction, outputs);
        }
    }

    /// Whether all synapses are finite: whatever else is not makes synapses so.
    pub fn is_finite(&self) -> bool {
        self.bounds.iter().all(Option::is_some)
    }

    /// The synapses from a layer to the next in one state: `[n + 1, m]`, the bias row last.
    pub fn synapses(&self, layer: usize, state: usize) -> &[T] {
        let stride = self.form.stride(layer);
        &self.records.synapses()[layer][state * stride..(state + 1) * stride]
    }

    /// The Hebbian sums of the last update in one state, as [`DifferentiableNetwork::synapses`]; `None` before the first.
    pub fn hebbian_sums(&self, layer: usize, state: usize) -> Option<&[T]> {
        let stride = self.form.stride(layer);
        self.records.last()?.blocks[layer].get((self.form.states + state) * stride..)?.get(..stride)
    }

    /// The rate of a layer and state in the last update.
    pub fn rate(&self, rule: &DifferentiableRule<T>, layer: usize, state: usize) -> f64 {
        let parameters = &rule.parameters;
        let gate = parameters.set(layer) * self.form.states + state;
        let t = self.updates.saturating_sub(1);
        parameters.synapse_update[gate] * self.form.unit_rate(parameters, layer, state, t)
    }

    /// A state of a layer of neurons after the forward pass of the last update, `[neuron, example]`; `None` where it is not
    /// computed.
    pub fn neurons_after_forward(&self, layer: usize, state: usize) -> Option<&[T]> {
        let record = self.records.last()?;
        of_state(&record.layers[layer].forward, self.layer_numbers(record, layer), state)
    }

    /// As [`DifferentiableNetwork::neurons_after_forward`], after the backward pass.
    pub fn neurons(&self, layer: usize, state: usize) -> Option<&[T]> {
        let record = self.records.last()?;
        of_state(&record.layers[layer].backward, self.layer_numbers(record, layer), state)
    }

    /// Numbers of one state of a layer of neurons in an update.
    fn layer_numbers(&self, record: &UpdateRecord<T>, layer: usize) -> usize {
        record.output.len() / self.form.sizes[self.form.layers()] * self.form.sizes[layer]
    }

    /// What the last update's forward pass answered, `[neuron, example]`.
    pub fn logits(&self) -> Option<&[T]> {
        self.records.last().map(|record| &*record.output)
    }
}

fn of_state<T>(values: &[T], stride: usize, state: usize) -> Option<&[T]> {
    values.get(state * stride..(state + 1) * stride)
}

#[cfg(test)]
mod tests;

//! Bodies and synapses, and what a tick does to them.
//!
//! Everything is held state by state, so that loops run over neurons: bodies are `[state, neuron]`, synapses
//! `[state, source, destination]`.

use std::ops::Range;

use hebbian_shared::spec::rule::update_networks::{
    Interaction, Recall, UpdateActivation, UpdateNetworksSpec,
};

use super::form::{Form, Sizes};
use super::parameters::Parameters;
use crate::rule::Ablation;
use crate::rule::multi_state::Real;
use crate::rule::number::all_finite;

/// Neurons that a vector holds, at most.
const LANES: usize = 16;
/// Synapses whose features are found at once: they stay in the innermost cache.
const TOGETHER: usize = 256;

/// A network with room for what a tick computes.
#[derive(Debug)]
pub struct Network<T> {
    pub(super) form: Form,
    /// Of each layer, `[B, neurons]`; while several examples are asked for, `[B, example, neurons]`.
    pub(super) bodies: Vec<Vec<T>>,
    /// Of each layer of synapses, see [`Form::ends`]: `[S, source, destination]`.
    pub(super) synapses: Vec<Vec<T>>,
    /// Whether a layer of synapses changes.
    pub(super) learns: Vec<bool>,
    pub(super) room: Room<T>,
}

/// Memory of a tick.
#[derive(Debug, Default)]
pub(super) struct Room<T> {
    /// What the body function is given, `[F + V, neurons]`.
    pub(super) seen: Vec<T>,
    candidate: Vec<T>,
    gate: Vec<T>,
    /// What the neurons of a layer send, `[S, neurons]`; or what synapses see of their sources, `[W, neurons]`.
    sent: Vec<T>,
    /// What synapses see of their destinations, `[W, neurons]`.
    received: Vec<T>,
    /// Features of the synapses of some sources, `[W, source, destination]`.
    features: Vec<T>,
    change: Vec<T>,
}

/// What the world says of a layer: values, and whether there are any.
#[derive(Clone, Copy)]
pub(super) struct Clamped<'a, T> {
    pub(super) cue: &'a [T],
    /// `None` where the outputs are asked for.
    pub(super) target: Option<&'a [T]>,
}

impl<T: Real> Network<T> {
    /// A network of a form, all zeros.
    pub fn new(form: Form) -> Self {
        let Sizes { body, synapse, .. } = form.sizes();
        let bodies = form.layers.iter().map(|neurons| vec![T::ZERO; body * neurons]).collect();
        let synapses: Vec<Vec<T>> = (0..form.synapse_layers())
            .map(|place| {
                let (source, destination) = form.ends(place);
                vec![T::ZERO; synapse * form.layers[source] * form.layers[destination]]
            })
            .collect();
        let learns = vec![true; synapses.len()];
        Self { form, bodies, synapses, learns, room: Room::default() }
    }

    /// Its form.
    pub fn form(&self) -> &Form {
        &self.form
    }

    /// All zeros again.
    pub fn reset(&mut self) {
        self.bodies.iter_mut().chain(&mut self.synapses).for_each(|values| values.fill(T::ZERO));
        self.learns.fill(true);
    }

    /// Takes from the initial synapses what an ablation says; [`Parameters::read`] does the rest.
    pub fn ablate(&mut self, ablation: Option<Ablation>) {
        match ablation {
            Some(Ablation::OneSynapseState) => {
                let states = self.form.sizes().synapse;
                for synapses in &mut self.synapses {
                    let first = synapses.len() / states;
                    synapses[first..].fill(T::ZERO);
                }
            }
            Some(Ablation::HiddenSynapsesFrozen) => {
                self.learns.fill(false);
                self.learns[self.form.depth() - 1] = true;
            }
            _ => {}
        }
    }

    /// Layers of synapses: those from each layer to the next, then those of feedback, from the layer above the first hidden one on.
    pub fn synapse_layers(&self) -> usize {
        self.synapses.len()
    }

    /// A layer of synapses, `[S, source, destination]`.
    pub fn synapses(&self, place: usize) -> &[T] {
        &self.synapses[place]
    }

    /// A layer of synapses, `[S, source, destination]`, to be set.
    pub fn synapses_mut(&mut self, place: usize) -> &mut [T] {
        &mut self.synapses[place]
    }

    /// The bodies of a layer, `[B, neurons]`.
    pub fn bodies(&self, layer: usize) -> &[T] {
        &self.bodies[layer]
    }

    /// Whether all numbers are finite.
    pub fn is_finite(&self) -> bool {
        self.bodies.iter().chain(&self.synapses).all(|values| all_finite(values))
    }

    /// Writes the whole state into `into`.
    pub fn save(&self, into: &mut Vec<T>) {
        into.clear();
        self.save_after(into);
    }

    /// As [`Network::save`], after what `into` holds already.
    pub(super) fn save_after(&self, into: &mut Vec<T>) {
        self.bodies.iter().chain(&self.synapses).for_each(|values| into.extend_from_slice(values));
    }

    /// Takes back a state that [`Network::save`] wrote.
    pub fn restore(&mut self, from: &[T]) {
        let mut rest = from;
        for values in self.bodies.iter_mut().chain(&mut self.synapses) {
            let (own, others) = rest.split_at(values.len());
            values.copy_from_slice(own);
            rest = others;
        }
    }

    /// Shows an example: plastic ticks with inputs and target.
    #[inline(always)]
    pub fn present(&mut self, parameters: &Parameters<T>, cue: &[T], target: &[T]) {
        for _ in 0..self.form.options.present_ticks {
            self.tick(parameters, Clamped { cue, target: Some(target) }, true);
        }
    }

    /// Asks with the inputs of some examples alone: `[example, input]`, and `[example, output]` for the answers. A frozen recall leaves bodies
    /// behind that only [`Network::restore`] takes away.
    #[inline(always)]
    pub fn recall(&mut self, parameters: &Parameters<T>, cues: &[T], predictions: &mut [T]) {
        let (depth, options) = (self.form.depth(), self.form.options);
        let (inputs, outputs) = (self.form.layers[0], self.form.layers[depth]);
        let plastic = options.recall == Recall::Plastic;
        // Frozen questions do not know of each other: several at once make long loops of short layers.
        let widest = self.form.layers.iter().max().copied().unwrap_or(1);
        let together = if plastic { 1 } else { (TOGETHER / widest).max(1) };
        let blocks = cues.chunks(together * inputs).zip(predictions.chunks_mut(together * outputs));
        for (cue, predictions) in blocks {
            if !plastic {
                self.empty_bodies(cue.len() / inputs);
            }
            for _ in 0..options.recall_ticks {
                self.tick(parameters, Clamped { cue, target: None }, plastic);
            }
            predictions.copy_from_slice(&self.bodies[depth][..predictions.len()]);
        }
        if !plastic {
            self.fit_bodies(1);
        }
    }

    /// Bodies of zero for some examples, as every frozen recall starts with.
    pub(super) fn empty_bodies(&mut self, examples: usize) {
        self.fit_bodies(examples);
        self.bodies.iter_mut().for_each(|bodies| bodies.fill(T::ZERO));
    }

    /// Room for the bodies of some examples.
    fn fit_bodies(&mut self, examples: usize) {
        let states = self.form.sizes().body;
        for (bodies, neurons) in self.bodies.iter_mut().zip(&self.form.layers) {
            bodies.resize(states * examples * neurons, T::ZERO);
        }
    }

    /// Bodies from the inputs to the outputs, then all synapses from the new bodies.
    #[inline(always)]
    pub(super) fn tick(&mut self, of: &Parameters<T>, clamped: Clamped<'_, T>, plastic: bool) {
        for layer in 0..self.form.layers.len() {
            self.update_bodies(of, layer, clamped);
        }
        for place in 0..self.synapses.len() {
            if plastic && self.learns[place] {
                self.update_synapses(of, place);
            }
        }
    }

    /// `b' = keep b + sigma(gate v) act(candidate v)`
    #[inline(always)]
    pub(super) fn update_bodies(&mut self, of: &Parameters<T>, layer: usize, clamped: Clamped<'_, T>) {
        let Self { form, bodies, synapses, room, .. } = self;
        let (sizes, depth) = (form.sizes(), form.depth());
        let columns = |layer: usize| bodies[layer].len() / sizes.body;
        // Neurons of all examples.
        let neurons = columns(layer);
        let width = sizes.body_inputs + sizes.body_features;
        room.seen.clear();
        room.seen.extend_from_slice(&bodies[layer]);
        room.seen.resize(width * neurons, T::ZERO);
        let mut row = sizes.body;
        let from_below = (layer > 0).then(|| (row, layer - 1, layer - 1));
        row += sizes.synapse;
        let has_above = form.options.feedback && layer > 0 && layer < depth;
        let from_above = has_above.then(|| (row, layer + 1, depth + layer - 1));
        if form.options.feedback {
            row += sizes.synapse;
        }
        for (row, source, place) in from_below.into_iter().chain(from_above) {
            let embedding = of.embedding_of(form.types[source], sizes.embedding);
            see(&mut room.sent, &of.axon, &bodies[source], embedding, columns(source));
            let into = &mut room.seen[row * neurons..][..sizes.synapse * neurons];
            receive(into, &room.sent, &synapses[place], form.layers[source], form.layers[layer]);
        }
        let value = match (layer, clamped.target) {
            (0, _) => Some(clamped.cue),
            (_, Some(target)) if layer == depth => Some(target),
            _ => None,
        };
        if let Some(value) = value {
            room.seen[row * neurons..][..neurons].copy_from_slice(value);
            room.seen[(row + 1) * neurons..][..neurons].fill(T::ONE);
        }
        row += 2;
        let embedding = of.embedding_of(form.types[layer], sizes.embedding);
        for number in embedding.iter().copied().chain([T::ONE]) {
            room.seen[row * neurons..][..neurons].fill(number);
            row += 1;
        }
        let (given, features) = room.seen.split_at_mut(sizes.body_inputs * neurons);
        product(features, (&of.body_features, sizes.body_inputs), given, neurons);
        activate(features, UpdateActivation::Tanh);
        for (into, matrix) in [(&mut room.candidate, &of.body_candidate), (&mut room.gate, &of.body_gate)] {
            into.resize(sizes.body * neurons, T::ZERO);
            product(into, (matrix, width), &room.seen, neurons);
        }
        activate(&mut room.candidate, form.options.body_activation);
        let changes = room.gate.chunks_exact(neurons).zip(room.candidate.chunks_exact(neurons));
        let states = bodies[layer].chunks_exact_mut(neurons).zip(&of.body_keep);
        for ((body, &keep), (gate, candidate)) in states.zip(changes) {
            for ((body, gate), candidate) in body.iter_mut().zip(gate).zip(candidate) {
                *body = keep * *body + gate.sigmoid() * *candidate;
            }
        }
    }

    /// `s' = keep s + update (out act(pre r_pre * post r_post + self s))`
    #[inline(always)]
    fn update_synapses(&mut self, of: &Parameters<T>, place: usize) {
        let Self { form, bodies, synapses, room, .. } = self;
        let (sizes, options) = (form.sizes(), &form.options);
        let (source, destination) = form.ends(place);
        let (sources, neurons) = (form.layers[source], form.layers[destination]);
        let embedding = |layer: usize| of.embedding_of(form.types[layer], sizes.embedding);
        see(&mut room.sent, &of.synapse_pre, &bodies[source], embedding(source), sources);
        see(&mut room.received, &of.synapse_post, &bodies[destination], embedding(destination), neurons);
        // Rows of few destinations are short loops: several sources at once make long ones.
        let together = (TOGETHER / neurons).clamp(1, sources);
        room.features.resize(sizes.features * together * neurons, T::ZERO);
        room.change.resize(sizes.synapse * together * neurons, T::ZERO);
        let synapses = &mut synapses[place];
        for from in (0..sources).step_by(together) {
            let from = from..(from + together).min(sources);
            let length = from.len() * neurons;
            let features = &mut room.features[..sizes.features * length];
            let ends = (&room.sent[..], &room.received[..]);
            find_features(features, of, options, ends, synapses, (from.clone(), sources, neurons));
            let change = &mut room.change[..sizes.synapse * length];
            product(change, (&of.synapse_out, sizes.features), features, length);
            for (state, change) in change.chunks_exact(length).enumerate() {
                let (keep, update) = (of.synapse_keep[state], of.synapse_update[state]);
                let row = &mut synapses[(state * sources + from.start) * neurons..][..length];
                for (synapse, change) in row.iter_mut().zip(change) {
                    *synapse = keep * *synapse + update * *change;
                }
            }
        }
    }
}

/// The features `[W, source, destination]` of the synapses of some sources, of what they see of both ends.
#[inline(always)]
pub(super) fn find_features<T: Real>(
    into: &mut [T],
    of: &Parameters<T>,
    options: &UpdateNetworksSpec,
    (sent, received): (&[T], &[T]),
    synapses: &[T],
    (from, sources, neurons): (Range<usize>, usize, usize),
) {
    let (states, length) = (options.synapse_states as usize, from.len() * neurons);
    for (feature, features) in into.chunks_exact_mut(length).enumerate() {
        let sent = &sent[feature * sources..][from.clone()];
        let received = &received[feature * neurons..][..neurons];
        let (chunks, rest) = received.as_chunks::<LANES>();
        for (place, received) in chunks.iter().enumerate() {
            for (row, &pre) in features.chunks_exact_mut(neurons).zip(sent) {
                interact(options.interaction, pre, received, &mut row[place * LANES..][..LANES]);
            }
        }
        if !rest.is_empty() {
            for (row, &pre) in features.chunks_exact_mut(neurons).zip(sent) {
                interact(options.interaction, pre, rest, &mut row[neurons - rest.len()..]);
            }
        }
        for state in 0..states {
            let own = of.synapse_self[feature * states + state];
            add(features, own, &synapses[(state * sources + from.start) * neurons..][..length]);
        }
    }
    activate(into, options.synapse_activation);
}

/// What synapses of one source see of both ends.
#[inline(always)]
fn interact<T: Real>(interaction: Interaction, pre: T, received: &[T], into: &mut [T]) {
    for (value, &post) in into.iter_mut().zip(received) {
        *value = match interaction {
            Interaction::Product => pre * post,
            Interaction::Sum => pre + post,
        };
    }
}

/// What a matrix `[rows, R]` sees of the neurons of a layer, r = [b; e; 1]: `[rows, neurons]`.
#[inline(always)]
pub(super) fn see<T: Real>(into: &mut Vec<T>, matrix: &[T], bodies: &[T], embedding: &[T], neurons: usize) {
    let states = bodies.len() / neurons;
    let width = states + embedding.len() + 1;
    into.resize(matrix.len() / width * neurons, T::ZERO);
    product(into, (matrix, width), bodies, neurons);
    for (row, weights) in into.chunks_exact_mut(neurons).zip(matrix.chunks_exact(width)) {
        let (of_type, last) = (&weights[states..width - 1], weights[width - 1]);
        let mut constant = T::ZERO;
        for (&weight, &number) in of_type.iter().zip(embedding) {
            constant += weight * number;
        }
        constant += last;
        for value in row {
            *value += constant;
        }
    }
}

/// The mean over the sources of what they send through the synapses, `[S, example, destination]`.
#[inline(always)]
fn receive<T: Real>(into: &mut [T], sent: &[T], synapses: &[T], sources: usize, neurons: usize) {
    let share = T::ONE / T::from_f64(sources as f64);
    let states = synapses.len() / (sources * neurons);
    let ends = into.chunks_exact_mut(into.len() / states).zip(sent.chunks_exact(sent.len() / states));
    for ((into, sent), synapses) in ends.zip(synapses.chunks_exact(sources * neurons)) {
        product(into, (sent, sources), synapses, neurons);
        for value in into {
            *value = *value * share;
        }
    }
}

/// The sum of rows `[weights, row]`, each times its weight.
#[inline(always)]
pub(super) fn mix<T: Real>(into: &mut [T], weights: &[T], rows: &[T]) {
    let columns = into.len();
    product(into, (weights, weights.len()), rows, columns);
}

/// `into[row, column] = the sum over terms of left[row, term] right[term, column]`, where the rows of the left side have so many numbers, of
/// which the first are used. A sum stays in a register until it is whole. Rows and columns in larger blocks would gain little, and are much to
/// compile at each place that this is inlined to.
#[inline(always)]
fn product<T: Real>(into: &mut [T], (left, width): (&[T], usize), right: &[T], columns: usize) {
    for (into, weights) in into.chunks_exact_mut(columns).zip(left.chunks_exact(width)) {
        let (chunks, rest) = into.as_chunks_mut::<LANES>();
        let done = chunks.len() * LANES;
        for (place, into) in chunks.iter_mut().enumerate() {
            let mut sum = [T::ZERO; LANES];
            for (&weight, row) in weights.iter().zip(right.chunks_exact(columns)) {
                let row = &row[place * LANES..][..LANES];
                for lane in 0..LANES {
                    sum[lane] += weight * row[lane];
                }
            }
            *into = sum;
        }
        if !rest.is_empty() {
            rest.fill(T::ZERO);
            for (&weight, row) in weights.iter().zip(right.chunks_exact(columns)) {
                add(rest, weight, &row[done..]);
            }
        }
    }
}

/// `sum += factor * values`
#[inline(always)]
pub(super) fn add<T: Real>(sum: &mut [T], factor: T, values: &[T]) {
    for (sum, &value) in sum.iter_mut().zip(values) {
        *sum += factor * value;
    }
}

#[inline(always)]
pub(super) fn activate<T: Real>(values: &mut [T], activation: UpdateActivation) {
    if activation == UpdateActivation::Tanh {
        for value in values {
            *value = value.tanh();
        }
    }
}

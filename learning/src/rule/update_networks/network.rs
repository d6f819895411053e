//! Bodies and synapses, and what a tick does to them.
//!
//! Everything is held state by state, so that loops run over neurons: bodies are `[state, neuron]`, synapses
//! `[state, source, destination]`.

use hebbian_shared::spec::rule::update_networks::{
    Interaction, Recall, UpdateActivation, UpdateNetworksSpec,
};

use super::form::{Form, Sizes};
use super::parameters::Parameters;
use crate::rule::Ablation;
use crate::rule::multi_state::Real;

/// A network with room for what a tick computes.
#[derive(Debug)]
pub struct Network<T> {
    pub(super) form: Form,
    /// Of each layer, `[B, neurons]`.
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
    /// Features of the synapses of one source, `[W, destination]`.
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
        let mut all = self.bodies.iter().chain(&self.synapses).flatten();
        all.all(|value| value.to_f64().is_finite())
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

    /// Asks with the inputs alone. A frozen recall leaves bodies behind that only [`Network::restore`] takes away.
    #[inline(always)]
    pub fn recall(&mut self, parameters: &Parameters<T>, cue: &[T], prediction: &mut [T]) {
        let plastic = self.form.options.recall == Recall::Plastic;
        if !plastic {
            self.empty_bodies();
        }
        for _ in 0..self.form.options.recall_ticks {
            self.tick(parameters, Clamped { cue, target: None }, plastic);
        }
        let outputs = &self.bodies[self.form.depth()];
        prediction.copy_from_slice(&outputs[..prediction.len()]);
    }

    /// Bodies of zero, as every frozen recall starts with.
    pub(super) fn empty_bodies(&mut self) {
        self.bodies.iter_mut().for_each(|bodies| bodies.fill(T::ZERO));
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
        let (sizes, depth, neurons) = (form.sizes(), form.depth(), form.layers[layer]);
        let width = sizes.body_inputs + sizes.body_features;
        room.seen.clear();
        room.seen.extend_from_slice(&bodies[layer]);
        room.seen.resize(width * neurons, T::ZERO);
        let mut row = sizes.body;
        let message = |row: usize, room: &mut Room<T>, source: usize, synapses: &[T]| {
            let embedding = of.embedding_of(form.types[source], sizes.embedding);
            see(&mut room.sent, &of.axon, &bodies[source], embedding, form.layers[source]);
            let into = &mut room.seen[row * neurons..][..sizes.synapse * neurons];
            receive(into, &room.sent, synapses, form.layers[source], neurons);
        };
        if layer > 0 {
            message(row, room, layer - 1, &synapses[layer - 1]);
        }
        row += sizes.synapse;
        if form.options.feedback {
            if layer > 0 && layer < depth {
                message(row, room, layer + 1, &synapses[depth + layer - 1]);
            }
            row += sizes.synapse;
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
        let rows = of.body_features.chunks_exact(sizes.body_inputs);
        for (feature, weights) in features.chunks_exact_mut(neurons).zip(rows) {
            mix(feature, weights, given);
            for value in feature {
                *value = value.tanh();
            }
        }
        room.candidate.resize(neurons, T::ZERO);
        room.gate.resize(neurons, T::ZERO);
        for (state, body) in bodies[layer].chunks_exact_mut(neurons).enumerate() {
            mix(&mut room.candidate, &of.body_candidate[state * width..][..width], &room.seen);
            activate(&mut room.candidate, form.options.body_activation);
            mix(&mut room.gate, &of.body_gate[state * width..][..width], &room.seen);
            let keep = of.body_keep[state];
            for ((body, gate), candidate) in body.iter_mut().zip(&room.gate).zip(&room.candidate) {
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
        room.features.resize(sizes.features * neurons, T::ZERO);
        room.change.resize(neurons, T::ZERO);
        let synapses = &mut synapses[place];
        let at = |state: usize, from: usize| (state * sources + from) * neurons;
        for from in 0..sources {
            let ends = (&room.sent[..], &room.received[..]);
            find_features(&mut room.features, of, options, ends, synapses, (from, sources, neurons));
            for state in 0..sizes.synapse {
                mix(
                    &mut room.change,
                    &of.synapse_out[state * sizes.features..][..sizes.features],
                    &room.features,
                );
                let (keep, update) = (of.synapse_keep[state], of.synapse_update[state]);
                for (synapse, change) in synapses[at(state, from)..][..neurons].iter_mut().zip(&room.change) {
                    *synapse = keep * *synapse + update * *change;
                }
            }
        }
    }
}

/// The features `[W, destination]` of the synapses of one source, of what they see of both ends.
#[inline(always)]
pub(super) fn find_features<T: Real>(
    into: &mut [T],
    of: &Parameters<T>,
    options: &UpdateNetworksSpec,
    (sent, received): (&[T], &[T]),
    synapses: &[T],
    (from, sources, neurons): (usize, usize, usize),
) {
    let states = options.synapse_states as usize;
    for (feature, features) in into.chunks_exact_mut(neurons).enumerate() {
        let (pre, post) = (sent[feature * sources + from], &received[feature * neurons..][..neurons]);
        for (value, &post) in features.iter_mut().zip(post) {
            *value = match options.interaction {
                Interaction::Product => pre * post,
                Interaction::Sum => pre + post,
            };
        }
        for state in 0..states {
            let own = of.synapse_self[feature * states + state];
            add(features, own, &synapses[(state * sources + from) * neurons..][..neurons]);
        }
    }
    activate(into, options.synapse_activation);
}

/// What a matrix `[rows, R]` sees of the neurons of a layer, r = [b; e; 1]: `[rows, neurons]`.
#[inline(always)]
pub(super) fn see<T: Real>(into: &mut Vec<T>, matrix: &[T], bodies: &[T], embedding: &[T], neurons: usize) {
    let states = bodies.len() / neurons;
    let width = states + embedding.len() + 1;
    into.resize(matrix.len() / width * neurons, T::ZERO);
    for (row, weights) in into.chunks_exact_mut(neurons).zip(matrix.chunks_exact(width)) {
        let (of_bodies, of_rest) = weights.split_at(states);
        mix(row, of_bodies, bodies);
        let of_type = of_rest.iter().zip(embedding.iter().copied().chain([T::ONE]));
        let constant = of_type.fold(T::ZERO, |sum, (&weight, number)| sum + weight * number);
        for value in row {
            *value += constant;
        }
    }
}

/// The mean over the sources of what they send through the synapses, `[S, destination]`.
#[inline(always)]
fn receive<T: Real>(into: &mut [T], sent: &[T], synapses: &[T], sources: usize, neurons: usize) {
    let share = T::ONE / T::from_f64(sources as f64);
    let states = into.chunks_exact_mut(neurons).zip(sent.chunks_exact(sources));
    for ((received, sent), synapses) in states.zip(synapses.chunks_exact(sources * neurons)) {
        received.fill(T::ZERO);
        for (&sent, synapses) in sent.iter().zip(synapses.chunks_exact(neurons)) {
            add(received, sent, synapses);
        }
        for value in received {
            *value = *value * share;
        }
    }
}

/// The sum of rows `[weights, row]`, each times its weight.
#[inline(always)]
pub(super) fn mix<T: Real>(into: &mut [T], weights: &[T], rows: &[T]) {
    into.fill(T::ZERO);
    for (&weight, row) in weights.iter().zip(rows.chunks_exact(into.len())) {
        add(into, weight, row);
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

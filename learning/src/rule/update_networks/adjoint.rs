//! The way back through a tick, by hand.
//!
//! An adjoint is the gradient of a loss by the state after a tick; [`Adjoint::undo`] makes of it that by the state before, and adds the part
//! of the parameters. What a tick computes on its way is computed once more from the state before.

use hebbian_shared::spec::rule::update_networks::{Interaction, UpdateActivation, UpdateNetworksSpec};

use super::form::{Form, Sizes};
use super::network::{Clamped, Network, activate, add, find_features, mix, see};
use super::parameters::Parameters;
use crate::rule::multi_state::Real;

/// The gradient by a state and by the parameters, with room for what a tick back computes.
#[derive(Debug)]
pub(super) struct Adjoint<T> {
    /// By the bodies of each layer, `[B, neurons]`.
    pub(super) bodies: Vec<Vec<T>>,
    /// By the synapses of each of their layers, `[S, source, destination]`.
    pub(super) synapses: Vec<Vec<T>>,
    /// By the parameters, after their transforms.
    pub(super) parameters: Parameters<T>,
    /// By the bodies before the tick that is walked back.
    earlier: Vec<Vec<T>>,
    /// What the body function was given in each layer, `[F + V, neurons]`.
    seen: Vec<Vec<T>>,
    room: Room<T>,
}

/// Memory of a tick back.
#[derive(Debug, Default)]
struct Room<T> {
    /// By what the body function was given, `[F + V, neurons]`.
    by_seen: Vec<T>,
    candidate: Vec<T>,
    gate: Vec<T>,
    /// What synapses see of their sources, `[W, sources]`, or what these send, `[S, sources]`.
    sent: Vec<T>,
    by_sent: Vec<T>,
    /// What synapses see of their destinations, `[W, neurons]`.
    received: Vec<T>,
    by_received: Vec<T>,
    /// Of the synapses of one source, `[W, neurons]`.
    features: Vec<T>,
    by_features: Vec<T>,
    /// For each destination the sums over the sources: for `synapse_keep` `[S, neurons]`,
    kept: Vec<T>,
    /// for `synapse_out` and `synapse_update` `[S, W, neurons]`,
    changed: Vec<T>,
    /// for `synapse_self` `[W, S, neurons]`.
    own: Vec<T>,
}

impl<T: Real> Adjoint<T> {
    /// For networks of a form.
    pub(super) fn new(of: &Network<T>) -> Self {
        let zeros = |values: &Vec<T>| vec![T::ZERO; values.len()];
        Self {
            bodies: of.bodies.iter().map(zeros).collect(),
            synapses: of.synapses.iter().map(zeros).collect(),
            parameters: Parameters::default(),
            earlier: of.bodies.iter().map(zeros).collect(),
            seen: vec![Vec::new(); of.bodies.len()],
            room: Room::default(),
        }
    }

    /// No loss depends on the state any more.
    pub(super) fn clear(&mut self) {
        self.bodies.iter_mut().chain(&mut self.synapses).for_each(|values| values.fill(T::ZERO));
    }

    /// Walks a tick back. The network is in the state before; its bodies are those after the tick then.
    #[inline(always)]
    pub(super) fn undo(
        &mut self,
        network: &mut Network<T>,
        of: &Parameters<T>,
        clamped: Clamped<'_, T>,
        plastic: bool,
    ) {
        for layer in 0..network.form.layers.len() {
            network.update_bodies(of, layer, clamped);
            self.seen[layer].clear();
            self.seen[layer].extend_from_slice(&network.room.seen);
        }
        for place in 0..network.synapses.len() {
            if plastic && network.learns[place] {
                self.undo_synapses(network, of, place);
            }
        }
        self.earlier.iter_mut().for_each(|bodies| bodies.fill(T::ZERO));
        // A layer below sends its new bodies, one above those of the tick before.
        for layer in (0..network.form.layers.len()).rev() {
            self.undo_bodies(network, of, layer);
        }
        std::mem::swap(&mut self.bodies, &mut self.earlier);
    }

    /// Back through `b' = keep b + sigma(gate v) act(candidate v)`.
    #[inline(always)]
    fn undo_bodies(&mut self, network: &Network<T>, of: &Parameters<T>, layer: usize) {
        let form = &network.form;
        let (sizes, neurons) = (form.sizes(), form.layers[layer]);
        let width = sizes.body_inputs + sizes.body_features;
        let Self { bodies, earlier, parameters: sums, seen, room, .. } = self;
        let seen = &seen[layer];
        let Room { by_seen, candidate, gate, .. } = room;
        for (values, length) in
            [(&mut *by_seen, width * neurons), (&mut *candidate, neurons), (&mut *gate, neurons)]
        {
            values.clear();
            values.resize(length, T::ZERO);
        }
        for state in 0..sizes.body {
            let row = state * neurons..(state + 1) * neurons;
            let weights = state * width..(state + 1) * width;
            mix(candidate, &of.body_candidate[weights.clone()], seen);
            activate(candidate, form.options.body_activation);
            mix(gate, &of.body_gate[weights.clone()], seen);
            let (by_body, keep) = (&bodies[layer][row.clone()], of.body_keep[state]);
            sums.body_keep[state] += dot(by_body, &seen[row.clone()]);
            add(&mut earlier[layer][row], keep, by_body);
            for ((candidate, gate), &by) in candidate.iter_mut().zip(&mut *gate).zip(by_body) {
                let (share, content) = (gate.sigmoid(), *candidate);
                *candidate = by * share * slope(content, form.options.body_activation);
                *gate = by * content * share * (T::ONE - share);
            }
            for (by, matrix, by_matrix) in [
                (&*candidate, &of.body_candidate, &mut sums.body_candidate),
                (&*gate, &of.body_gate, &mut sums.body_gate),
            ] {
                unmix(by, &matrix[weights.clone()], &mut by_matrix[weights.clone()], seen, by_seen);
            }
        }
        let (given, features) = seen.split_at(sizes.body_inputs * neurons);
        let (by_given, by_features) = by_seen.split_at_mut(sizes.body_inputs * neurons);
        let matrices = of.body_features.chunks_exact(sizes.body_inputs);
        let matrices = matrices.zip(sums.body_features.chunks_exact_mut(sizes.body_inputs));
        let features = features.chunks_exact(neurons).zip(by_features.chunks_exact_mut(neurons));
        for ((weights, by_weights), (feature, by)) in matrices.zip(features) {
            for (by, &feature) in by.iter_mut().zip(feature) {
                *by = *by * slope(feature, UpdateActivation::Tanh);
            }
            unmix(by, weights, by_weights, given, by_given);
        }
        add(&mut earlier[layer], T::ONE, &by_given[..sizes.body * neurons]);
        self.undo_messages(network, of, layer);
        let of_type = &self.room.by_seen[(sizes.body_inputs - sizes.embedding - 1) * neurons..];
        let by_embedding = self.parameters.embedding_of_mut(form.types[layer], sizes.embedding);
        for (by_number, by) in by_embedding.iter_mut().zip(of_type.chunks_exact(neurons)) {
            *by_number += total(by);
        }
    }

    /// Back through the messages that a layer received.
    #[inline(always)]
    fn undo_messages(&mut self, network: &Network<T>, of: &Parameters<T>, layer: usize) {
        let form = &network.form;
        let (sizes, depth, neurons) = (form.sizes(), form.depth(), form.layers[layer]);
        let from_below = (layer > 0).then(|| (sizes.body, layer - 1, layer - 1));
        let has_above = form.options.feedback && layer > 0 && layer < depth;
        let from_above = has_above.then(|| (sizes.body + sizes.synapse, layer + 1, depth + layer - 1));
        for (row, source, place) in from_below.into_iter().chain(from_above) {
            let sources = form.layers[source];
            let is_below = source < layer;
            let Self { bodies, earlier, synapses, parameters: sums, seen, room } = self;
            let Room { by_seen, sent, by_sent, .. } = room;
            let (sent_bodies, by_bodies) = if is_below {
                (&network.bodies[source][..], &mut bodies[source])
            } else {
                (&seen[source][..sizes.body * sources], &mut earlier[source])
            };
            let embedding = of.embedding_of(form.types[source], sizes.embedding);
            see(sent, &of.axon, sent_bodies, embedding, sources);
            by_sent.clear();
            by_sent.resize(sent.len(), T::ZERO);
            let by_message = &by_seen[row * neurons..][..sizes.synapse * neurons];
            let share = T::ONE / T::from_f64(sources as f64);
            let ends = sent.iter().zip(by_sent.iter_mut()).enumerate();
            let through = network.synapses[place].chunks_exact(neurons);
            let through = through.zip(synapses[place].chunks_exact_mut(neurons));
            for ((end, (&sent, by_sent)), (synapses, by_synapses)) in ends.zip(through) {
                let by = &by_message[end / sources * neurons..][..neurons];
                *by_sent = share * dot(by, synapses);
                add(by_synapses, share * sent, by);
            }
            let seen_of = Seen { form, sizes, layer: source, bodies: sent_bodies, matrix: &of.axon };
            let Parameters { axon, embedding: by_embedding, .. } = sums;
            seen_of.unsee(of, by_sent, (axon, by_embedding, by_bodies));
        }
    }

    /// Back through `s' = keep s + update (out act(pre r_pre * post r_post + self s))`.
    #[inline(always)]
    fn undo_synapses(&mut self, network: &Network<T>, of: &Parameters<T>, place: usize) {
        let form = &network.form;
        let (sizes, options) = (form.sizes(), &form.options);
        let (source, destination) = form.ends(place);
        let (sources, neurons) = (form.layers[source], form.layers[destination]);
        let embedding = |layer: usize| of.embedding_of(form.types[layer], sizes.embedding);
        let Self { bodies, synapses: by_synapses, parameters: sums, room, .. } = self;
        see(&mut room.sent, &of.synapse_pre, &network.bodies[source], embedding(source), sources);
        let at_destination = &network.bodies[destination];
        see(&mut room.received, &of.synapse_post, at_destination, embedding(destination), neurons);
        room.start_synapses(sizes, sources, neurons);
        let synapses = &network.synapses[place];
        for from in 0..sources {
            room.undo_source(of, options, (synapses, &mut by_synapses[place]), (from, sources, neurons));
        }
        for (state, kept) in room.kept.chunks_exact(neurons).enumerate() {
            sums.synapse_keep[state] += total(kept);
        }
        for (weight, changed) in room.changed.chunks_exact(neurons).enumerate() {
            let (state, changed) = (weight / sizes.features, total(changed));
            sums.synapse_out[weight] += of.synapse_update[state] * changed;
            sums.synapse_update[state] += of.synapse_out[weight] * changed;
        }
        for (sum, own) in sums.synapse_self.iter_mut().zip(room.own.chunks_exact(neurons)) {
            *sum += total(own);
        }
        let Parameters { synapse_pre, synapse_post, embedding: by_embedding, .. } = sums;
        for (layer, matrix, by_matrix, by) in [
            (source, &of.synapse_pre, synapse_pre, &room.by_sent),
            (destination, &of.synapse_post, synapse_post, &room.by_received),
        ] {
            let seen_of = Seen { form, sizes, layer, bodies: &network.bodies[layer], matrix };
            seen_of.unsee(of, by, (by_matrix, by_embedding, &mut bodies[layer]));
        }
    }
}

impl<T: Real> Room<T> {
    /// Zeros for a layer of synapses.
    #[inline(always)]
    fn start_synapses(&mut self, sizes: Sizes, sources: usize, neurons: usize) {
        let Sizes { synapse, features, .. } = sizes;
        for (values, rows) in [
            (&mut self.features, features),
            (&mut self.by_features, features),
            (&mut self.by_received, features),
            (&mut self.kept, synapse),
            (&mut self.changed, synapse * features),
            (&mut self.own, features * synapse),
        ] {
            values.clear();
            values.resize(rows * neurons, T::ZERO);
        }
        self.by_sent.clear();
        self.by_sent.resize(features * sources, T::ZERO);
    }

    /// Back through the synapses of one source; their adjoint becomes that before the tick.
    #[inline(always)]
    fn undo_source(
        &mut self,
        of: &Parameters<T>,
        options: &UpdateNetworksSpec,
        (synapses, by_synapses): (&[T], &mut [T]),
        (from, sources, neurons): (usize, usize, usize),
    ) {
        let (states, width) = (options.synapse_states as usize, options.features as usize);
        let row = |state: usize| (state * sources + from) * neurons..(state * sources + from + 1) * neurons;
        let ends = (&self.sent[..], &self.received[..]);
        find_features(&mut self.features, of, options, ends, synapses, (from..from + 1, sources, neurons));
        self.by_features.fill(T::ZERO);
        for state in 0..states {
            let by = &mut by_synapses[row(state)];
            add_products(&mut self.kept[state * neurons..][..neurons], by, &synapses[row(state)]);
            let (keep, update) = (of.synapse_keep[state], of.synapse_update[state]);
            let features =
                self.features.chunks_exact(neurons).zip(self.by_features.chunks_exact_mut(neurons));
            for (feature, (values, by_values)) in features.enumerate() {
                let weight = state * width + feature;
                add_products(&mut self.changed[weight * neurons..][..neurons], by, values);
                add(by_values, update * of.synapse_out[weight], by);
            }
            for by in by {
                *by = keep * *by;
            }
        }
        let features = self.features.chunks_exact(neurons).zip(self.by_features.chunks_exact_mut(neurons));
        for (feature, (values, by_values)) in features.enumerate() {
            for (by, &value) in by_values.iter_mut().zip(values) {
                *by = *by * slope(value, options.synapse_activation);
            }
            for state in 0..states {
                let weight = feature * states + state;
                add_products(&mut self.own[weight * neurons..][..neurons], by_values, &synapses[row(state)]);
                add(&mut by_synapses[row(state)], of.synapse_self[weight], by_values);
            }
            let (pre, post) =
                (self.sent[feature * sources + from], &self.received[feature * neurons..][..neurons]);
            let by_post = &mut self.by_received[feature * neurons..][..neurons];
            let (by_pre, factor) = match options.interaction {
                Interaction::Product => (dot(by_values, post), pre),
                Interaction::Sum => (total(by_values), T::ONE),
            };
            self.by_sent[feature * sources + from] = by_pre;
            add(by_post, factor, by_values);
        }
    }
}

/// What a matrix `[rows, R]` saw of the neurons of a layer.
struct Seen<'a, T> {
    form: &'a Form,
    sizes: Sizes,
    layer: usize,
    bodies: &'a [T],
    matrix: &'a [T],
}

impl<T: Real> Seen<'_, T> {
    /// Back through [`see`]: adds what is due to the matrix, the embeddings and the bodies.
    #[inline(always)]
    fn unsee(
        &self,
        of: &Parameters<T>,
        by: &[T],
        (by_matrix, by_embedding, by_bodies): (&mut [T], &mut [T], &mut [T]),
    ) {
        let (neurons, neuron_type) = (self.form.layers[self.layer], self.form.types[self.layer]);
        let Sizes { body: states, embedding: numbers, .. } = self.sizes;
        let width = states + numbers + 1;
        let embedding = of.embedding_of(neuron_type, numbers);
        let by_embedding = &mut by_embedding[neuron_type * numbers..][..numbers];
        let rows = self.matrix.chunks_exact(width).zip(by_matrix.chunks_exact_mut(width));
        for ((weights, by_weights), by) in rows.zip(by.chunks_exact(neurons)) {
            unmix(by, &weights[..states], &mut by_weights[..states], self.bodies, by_bodies);
            let all = total(by);
            let of_type = weights[states..].iter().zip(&mut by_weights[states..]);
            let numbers = embedding.iter().zip(by_embedding.iter_mut());
            for ((&weight, by_weight), (&number, by_number)) in of_type.zip(numbers) {
                *by_weight += all * number;
                *by_number += all * weight;
            }
            by_weights[width - 1] += all;
        }
    }
}

/// Back through [`mix`]: adds what is due to the weights and the rows.
#[inline(always)]
fn unmix<T: Real>(by: &[T], weights: &[T], by_weights: &mut [T], rows: &[T], by_rows: &mut [T]) {
    let rows = rows.chunks_exact(by.len()).zip(by_rows.chunks_exact_mut(by.len()));
    for ((&weight, by_weight), (row, by_row)) in weights.iter().zip(by_weights).zip(rows) {
        *by_weight += dot(by, row);
        add(by_row, weight, by);
    }
}

/// The slope of an activation where it is `value`.
#[inline(always)]
fn slope<T: Real>(value: T, activation: UpdateActivation) -> T {
    match activation {
        UpdateActivation::Tanh => T::ONE - value * value,
        UpdateActivation::Identity => T::ONE,
    }
}

/// `sum += x * y`
#[inline(always)]
fn add_products<T: Real>(sum: &mut [T], x: &[T], y: &[T]) {
    for ((sum, &x), &y) in sum.iter_mut().zip(x).zip(y) {
        *sum += x * y;
    }
}

/// Sums that are formed side by side; their order is the same on every CPU.
const LANES: usize = 8;

/// The sum of products.
#[inline(always)]
fn dot<T: Real>(x: &[T], y: &[T]) -> T {
    let ((x, x_rest), (y, y_rest)) = (x.as_chunks::<LANES>(), y.as_chunks::<LANES>());
    let mut lanes = [T::ZERO; LANES];
    for (x, y) in x.iter().zip(y) {
        for lane in 0..LANES {
            lanes[lane] += x[lane] * y[lane];
        }
    }
    let rest = x_rest.iter().zip(y_rest).fold(T::ZERO, |sum, (&x, &y)| sum + x * y);
    sum_of(&lanes) + rest
}

/// The sum.
#[inline(always)]
fn total<T: Real>(x: &[T]) -> T {
    let (x, rest) = x.as_chunks::<LANES>();
    let mut lanes = [T::ZERO; LANES];
    for x in x {
        for lane in 0..LANES {
            lanes[lane] += x[lane];
        }
    }
    sum_of(&lanes) + rest.iter().fold(T::ZERO, |sum, &x| sum + x)
}

#[inline(always)]
fn sum_of<T: Real>(lanes: &[T; LANES]) -> T {
    lanes.iter().fold(T::ZERO, |sum, &lane| sum + lane)
}

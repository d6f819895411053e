//! What a genome stands for in a differentiable rule, and the way back: from the gradient of the parameters to that of the
//! genome.

use hebbian_shared::genome::{Genome, GenomeLayout};
use hebbian_shared::spec::rule::multi_state::BackwardUpdate;

use crate::rule::multi_state::Real;
use crate::rule::multi_state::update_rule::Reader;

/// The parameters of a differentiable rule, or their gradient. Matrices are `[sets, k, k]`, gates `[sets, k]`; a set is for
/// all layers of synapses or for one of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parameters {
    /// States of neurons and synapses (k).
    pub states: usize,
    /// Sets: 1, or one for each layer of synapses.
    pub sets: usize,
    /// `[state of the layer below, state that arrives]`
    pub forward_transform: Vec<f64>,
    /// `[state of the layer above, state that arrives]`
    pub backward_transform: Vec<f64>,
    /// `[state of the layer below, synapse state]`
    pub hebbian_pre: Vec<f64>,
    /// `[synapse state, state of the layer above]`
    pub hebbian_post: Vec<f64>,
    /// What the backward pass keeps of a neuron (golden: ka).
    pub backward_keep: Vec<f64>,
    /// How a neuron gates what arrives on the way back (golden: kb).
    pub backward_gate: Vec<f64>,
    /// What is added of what arrives on the way back (golden: kc).
    pub backward_input: Vec<f64>,
    /// The weight of what arrives on the way forward.
    pub neuron_update: Vec<f64>,
    /// `[new synapse state, old synapse state]`; empty without mixing.
    pub synapse_mixing: Vec<f64>,
    /// What synapses keep; empty with mixing.
    pub synapse_keep: Vec<f64>,
    /// The weight of the Hebbian sum.
    pub synapse_update: Vec<f64>,
    /// The power of the root mean square that Hebbian sums are divided by.
    pub normalisation_exponent: Vec<f64>,
    /// Logarithm of the rate, falling as 1 / (1 + t).
    pub schedule_early: Vec<f64>,
    /// Logarithm of the rate by ln(1 + t).
    pub schedule_power: Vec<f64>,
    /// Of shared draws, `[layers, k]`; empty where initial synapses are given.
    pub initial_scale: Vec<f64>,
    /// Of each state's own draws, `[layers, k]`; empty where initial synapses are given.
    pub initial_own_scale: Vec<f64>,
    /// Weights of the last layer's states in the prediction, `[k]`.
    pub readout: Vec<f64>,
    /// The factor of predictions in the loss.
    pub loss_temperature: f64,
}

impl Parameters {
    /// Becomes what `genome` stands for; parameters without a segment are such that they change nothing. Allocates nothing
    /// the second time. `None` if the genome is not of the layout.
    #[must_use]
    pub fn read(&mut self, form: BackwardUpdate, layout: &GenomeLayout, genome: &Genome) -> Option<()> {
        let reader = Reader::new(layout, genome)?;
        (self.states, self.sets) = (reader.states, reader.layers.unwrap_or(1));
        let gate = self.sets * self.states;
        reader.matrix("forward_transform", &mut self.forward_transform)?;
        reader.matrix("backward_transform", &mut self.backward_transform)?;
        reader.matrix("hebbian_pre", &mut self.hebbian_pre)?;
        reader.matrix("hebbian_post", &mut self.hebbian_post)?;
        reader.gate("neuron_update", &mut self.neuron_update)?;
        reader.gate("synapse_update", &mut self.synapse_update)?;
        if layout.segment("synapse_mixing").is_some() {
            reader.matrix("synapse_mixing", &mut self.synapse_mixing)?;
        } else {
            reader.gate("synapse_keep", &mut self.synapse_keep)?;
        }
        for (name, into) in [
            ("backward_gate", &mut self.backward_gate),
            ("backward_input", &mut self.backward_input),
            ("normalisation_exponent", &mut self.normalisation_exponent),
            ("schedule_early", &mut self.schedule_early),
            ("schedule_power", &mut self.schedule_power),
        ] {
            if layout.segment(name).is_some() {
                reader.gate(name, into)?;
            } else {
                into.clear();
                into.resize(gate, 0.0);
            }
        }
        reader.gate("neuron_keep", &mut self.backward_keep)?;
        self.set_backward_form(form);
        for (name, into) in
            [("initial_scale", &mut self.initial_scale), ("initial_own_scale", &mut self.initial_own_scale)]
        {
            into.clear();
            into.extend(layout.segment(name).into_iter().flat_map(|segment| reader.values(segment)));
        }
        self.readout.clear();
        match layout.segment("readout") {
            Some(segment) => self.readout.extend(reader.values(segment)),
            None => self.readout.extend((0..self.states).map(|state| f64::from(u8::from(state == 0)))),
        }
        self.loss_temperature = match layout.segment("loss_temperature") {
            Some(segment) => reader.values(segment).next()?,
            None => 1.0,
        };
        Some(())
    }

    /// The three numbers of the backward pass from those that a form has: `backward_keep` is what neurons keep.
    fn set_backward_form(&mut self, form: BackwardUpdate) {
        let k = self.states;
        for place in 0..self.backward_keep.len() {
            let (keep, update) = (self.backward_keep[place], self.neuron_update[place]);
            let (kept, gate, input) = match form {
                BackwardUpdate::Gated => continue,
                BackwardUpdate::Additive => (keep, 0.0, update),
                BackwardUpdate::MultiplicativeSecondState if place % k == 0 => (keep, 0.0, 0.0),
                BackwardUpdate::Multiplicative | BackwardUpdate::MultiplicativeSecondState => {
                    (0.0, keep, 0.0)
                }
                BackwardUpdate::None => (0.0, 0.0, 1.0),
            };
            self.backward_keep[place] = kept;
            self.backward_gate[place] = gate;
            self.backward_input[place] = input;
        }
    }

    /// The set of a layer of synapses.
    pub(super) fn set(&self, layer: usize) -> usize {
        if self.sets == 1 { 0 } else { layer }
    }

    /// Becomes a gradient of `like`: zeros of the same shapes.
    pub(super) fn clear_like(&mut self, like: &Self) {
        (self.states, self.sets, self.loss_temperature) = (like.states, like.sets, 0.0);
        for (vector, like) in self.vectors_mut().into_iter().zip(like.vectors()) {
            vector.clear();
            vector.resize(like.len(), 0.0);
        }
    }

    /// The gradient of the genome from this gradient of `parameters`, in which `forward_transform` is that of the transform
    /// times `neuron_update` (and the latter's is therefore still missing). Added to `out`.
    pub(super) fn pull_back(
        &mut self,
        form: BackwardUpdate,
        parameters: &Self,
        (layout, genome): (&GenomeLayout, &Genome),
        out: &mut [f64],
    ) {
        let k = self.states;
        for place in 0..self.forward_transform.len() {
            let (set, column) = (place / (k * k), place % k);
            let gate = set * k + column;
            let folded = self.forward_transform[place];
            self.neuron_update[gate] += parameters.forward_transform[place] * folded;
            self.forward_transform[place] = parameters.neuron_update[gate] * folded;
        }
        for place in 0..self.backward_keep.len() {
            match form {
                BackwardUpdate::Gated => {}
                BackwardUpdate::Additive => self.neuron_update[place] += self.backward_input[place],
                BackwardUpdate::MultiplicativeSecondState if place % k == 0 => {}
                BackwardUpdate::Multiplicative | BackwardUpdate::MultiplicativeSecondState => {
                    self.backward_keep[place] = self.backward_gate[place];
                }
                BackwardUpdate::None => self.backward_keep[place] = 0.0,
            }
        }
        for segment in layout.segments() {
            let temperature = [self.loss_temperature];
            let Some(values) = self.of_segment(&segment.name, &temperature) else { continue };
            // A number that serves several states has the sum of their gradients.
            let repeat = values.len() / segment.len();
            let places = segment.range();
            for ((out, &x), values) in
                out[places.clone()].iter_mut().zip(&genome.0[places]).zip(values.chunks_exact(repeat))
            {
                *out += segment.transform.slope(x) * values.iter().sum::<f64>();
            }
        }
    }

    /// The parameters of a segment.
    fn of_segment<'a>(&'a self, name: &str, temperature: &'a [f64]) -> Option<&'a [f64]> {
        Some(match name {
            "forward_transform" => &self.forward_transform,
            "backward_transform" => &self.backward_transform,
            "hebbian_pre" => &self.hebbian_pre,
            "hebbian_post" => &self.hebbian_post,
            "neuron_keep" => &self.backward_keep,
            "neuron_update" => &self.neuron_update,
            "synapse_keep" => &self.synapse_keep,
            "synapse_mixing" => &self.synapse_mixing,
            "synapse_update" => &self.synapse_update,
            "backward_gate" => &self.backward_gate,
            "backward_input" => &self.backward_input,
            "normalisation_exponent" => &self.normalisation_exponent,
            "schedule_early" => &self.schedule_early,
            "schedule_power" => &self.schedule_power,
            "initial_scale" => &self.initial_scale,
            "initial_own_scale" => &self.initial_own_scale,
            "readout" => &self.readout,
            "loss_temperature" => temperature,
            _ => return None,
        })
    }

    fn vectors(&self) -> [&Vec<f64>; 17] {
        [
            &self.forward_transform,
            &self.backward_transform,
            &self.hebbian_pre,
            &self.hebbian_post,
            &self.backward_keep,
            &self.backward_gate,
            &self.backward_input,
            &self.neuron_update,
            &self.synapse_mixing,
            &self.synapse_keep,
            &self.synapse_update,
            &self.normalisation_exponent,
            &self.schedule_early,
            &self.schedule_power,
            &self.initial_scale,
            &self.initial_own_scale,
            &self.readout,
        ]
    }

    fn vectors_mut(&mut self) -> [&mut Vec<f64>; 17] {
        [
            &mut self.forward_transform,
            &mut self.backward_transform,
            &mut self.hebbian_pre,
            &mut self.hebbian_post,
            &mut self.backward_keep,
            &mut self.backward_gate,
            &mut self.backward_input,
            &mut self.neuron_update,
            &mut self.synapse_mixing,
            &mut self.synapse_keep,
            &mut self.synapse_update,
            &mut self.normalisation_exponent,
            &mut self.schedule_early,
            &mut self.schedule_power,
            &mut self.initial_scale,
            &mut self.initial_own_scale,
            &mut self.readout,
        ]
    }
}

/// The parameters of one set, in the type that networks compute with.
#[derive(Clone, Debug, Default)]
pub(super) struct SetParameters<T> {
    /// The forward transform with the weight of what arrives folded in.
    pub(super) forward: Vec<T>,
    /// What it makes of a bias neuron.
    pub(super) forward_bias: Vec<T>,
    pub(super) backward: Vec<T>,
    pub(super) pre: Vec<T>,
    /// What the pre transform makes of a bias neuron.
    pub(super) pre_bias: Vec<T>,
    pub(super) post: Vec<T>,
    /// `[state, (keep, gate, input)]`
    pub(super) gates: Vec<[T; 3]>,
    /// As in [`Parameters`].
    pub(super) mixing: Vec<T>,
    pub(super) keep: Vec<T>,
}

impl<T: Real> SetParameters<T> {
    /// Becomes set `set` of the parameters.
    pub(super) fn take(&mut self, parameters: &Parameters, set: usize) {
        let k = parameters.states;
        let matrix = |values: &[f64], into: &mut Vec<T>| {
            into.clear();
            let of_set = values.iter().skip(set * k * k).take(k * k);
            into.extend(of_set.map(|&value| T::from_f64(value)));
        };
        matrix(&parameters.backward_transform, &mut self.backward);
        matrix(&parameters.hebbian_pre, &mut self.pre);
        matrix(&parameters.hebbian_post, &mut self.post);
        matrix(&parameters.synapse_mixing, &mut self.mixing);
        let gate = |values: &[f64], state: usize| values[set * k + state];
        let column = |values: &[f64], state: usize, factor: f64| {
            let of_set = values[set * k * k..(set + 1) * k * k].iter().skip(state).step_by(k);
            T::from_f64(factor * of_set.sum::<f64>())
        };
        self.forward.clear();
        self.forward.extend((0..k * k).map(|place| {
            let value = parameters.forward_transform[set * k * k + place];
            T::from_f64(value * gate(&parameters.neuron_update, place % k))
        }));
        self.forward_bias.clear();
        self.forward_bias.extend((0..k).map(|state| {
            column(&parameters.forward_transform, state, gate(&parameters.neuron_update, state))
        }));
        self.pre_bias.clear();
        self.pre_bias.extend((0..k).map(|state| column(&parameters.hebbian_pre, state, 1.0)));
        self.gates.clear();
        self.gates.extend((0..k).map(|state| {
            let Parameters { backward_keep, backward_gate, backward_input, .. } = parameters;
            [backward_keep, backward_gate, backward_input].map(|values| T::from_f64(gate(values, state)))
        }));
        self.keep.clear();
        let keep = parameters.synapse_keep.iter().skip(set * k).take(k);
        self.keep.extend(keep.map(|&value| T::from_f64(value)));
    }
}

/// The rule that a genome stands for.
#[derive(Clone, Debug, Default)]
pub struct DifferentiableRule<T> {
    pub(super) parameters: Parameters,
    sets: Vec<SetParameters<T>>,
    pub(super) readout: Vec<T>,
    /// Whether the backward transform is zero whatever the genome says, so that its numbers have no part in anything.
    pub(super) lacks_backward_transform: bool,
}

impl<T: Real> DifferentiableRule<T> {
    /// Becomes the rule that `genome` stands for. Allocates nothing the second time. `None`, and no rule, if the genome is
    /// not of the layout.
    #[must_use]
    pub fn read(&mut self, form: BackwardUpdate, layout: &GenomeLayout, genome: &Genome) -> Option<()> {
        self.parameters.read(form, layout, genome)?;
        self.lacks_backward_transform = false;
        self.fold();
        Some(())
    }

    /// Takes the backward transform away: nothing arrives at a neuron on the way back.
    pub fn without_backward_transform(&mut self) {
        self.parameters.backward_transform.fill(0.0);
        self.lacks_backward_transform = true;
        self.fold();
    }

    fn fold(&mut self) {
        self.sets.resize_with(self.parameters.sets, SetParameters::default);
        for (set, rule) in self.sets.iter_mut().enumerate() {
            rule.take(&self.parameters, set);
        }
        self.readout.clear();
        self.readout.extend(self.parameters.readout.iter().map(|&x| T::from_f64(x)));
    }

    /// The parameters.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    pub(super) fn of_layer(&self, layer: usize) -> &SetParameters<T> {
        &self.sets[self.parameters.set(layer)]
    }
}

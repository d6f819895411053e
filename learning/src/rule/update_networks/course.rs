//! The gradient of a genome through what a network was shown and asked: short-term backpropagation.
//!
//! The state before each update is kept. On the way back its ticks are made once more, which gives the state before each tick, and
//! [`Adjoint`] walks them back. Questions branch off: what a network learns while it is asked is forgotten, so the gradient by the state before
//! them is added to that of the updates which come after.

use hebbian_shared::genome::{Genome, GenomeLayout};
use hebbian_shared::seed::Seed;
use hebbian_shared::spec::evaluation::Objective;
use hebbian_shared::spec::rule::update_networks::{Recall, UpdateNetworksSpec};

use super::adjoint::Adjoint;
use super::network::Clamped;
use super::{Form, Network, Parameters, initialise};
use crate::rule::loss::Descended;
use crate::rule::multi_state::Real;
use crate::rule::{Differentiable, ExampleBatch, Lesson, Networks, Rule, Shape};
use crate::training::objective;

/// A rule that keeps the states of its networks.
pub(super) struct Course<T> {
    options: UpdateNetworksSpec,
    layout: GenomeLayout,
    /// Slope of each parameter by its search value.
    slopes: Vec<f64>,
    parameters: Parameters<T>,
    networks: Networks<Travelled<T>>,
    is_recorded: bool,
}

/// A network with what is needed to walk back.
struct Travelled<T> {
    network: Network<T>,
    adjoint: Adjoint<T>,
    /// The adjoint of the updates, while questions are walked back.
    aside: Vec<Vec<T>>,
    /// The state before each update, and after the last.
    states: Vec<T>,
    /// The state before each tick of an update or of questions.
    ticks: Vec<T>,
    /// The state before questions.
    before: Vec<T>,
    examples: Examples<T>,
    /// What is answered, and its errors.
    answers: Vec<T>,
    errors: Vec<f64>,
}

/// A batch in the network's numbers.
#[derive(Debug, Default)]
struct Examples<T> {
    inputs: Vec<T>,
    targets: Vec<T>,
    count: usize,
}

impl<T: Real> Examples<T> {
    fn take(&mut self, batch: &ExampleBatch<'_>) {
        for (own, values) in [(&mut self.inputs, batch.inputs), (&mut self.targets, batch.targets)] {
            own.clear();
            own.extend(values.iter().map(|&value| T::from_f64(f64::from(value))));
        }
        self.count = batch.examples;
    }

    /// What an example says of the inputs.
    fn cue(&self, example: usize) -> &[T] {
        let width = self.inputs.len() / self.count;
        &self.inputs[example * width..][..width]
    }

    fn target(&self, example: usize) -> &[T] {
        let width = self.targets.len() / self.count;
        &self.targets[example * width..][..width]
    }

    /// The example while it is shown with its target, or while it is asked for.
    fn clamped(&self, example: usize, is_shown: bool) -> Clamped<'_, T> {
        Clamped { cue: self.cue(example), target: is_shown.then(|| self.target(example)) }
    }
}

impl<T: Real> Course<T> {
    pub(super) fn new(options: UpdateNetworksSpec, layout: GenomeLayout) -> Self {
        Self {
            options,
            layout,
            slopes: Vec::new(),
            parameters: Parameters::default(),
            networks: Networks::new(),
            is_recorded: false,
        }
    }
}

impl<T: Real> Travelled<T> {
    fn new(form: Form) -> Self {
        let network = Network::new(form);
        Self {
            adjoint: Adjoint::new(&network),
            network,
            aside: Vec::new(),
            states: Vec::new(),
            ticks: Vec::new(),
            before: Vec::new(),
            examples: Examples::default(),
            answers: Vec::new(),
            errors: Vec::new(),
        }
    }

    /// Numbers of a state.
    fn numbers(&self) -> usize {
        self.network.bodies.iter().chain(&self.network.synapses).map(Vec::len).sum()
    }

    /// Makes ticks with some examples, one after the other, and keeps the state before each. The bodies are emptied before an example that is
    /// asked for if the recall is frozen. Of what is shown the last tick is not made: nothing wants the state after it.
    #[inline(always)]
    fn go(&mut self, of: &Parameters<T>, examples: std::ops::Range<usize>, is_shown: bool) {
        let Self { network, ticks, examples: batch, answers, .. } = self;
        let (count, is_plastic) = ticks_of(network, is_shown);
        let last = examples.end - 1;
        ticks.clear();
        for example in examples {
            if !is_plastic {
                network.empty_bodies(1);
            }
            for tick in 1..=count {
                network.save_after(ticks);
                if !is_shown || example < last || tick < count {
                    network.tick(of, batch.clamped(example, is_shown), is_plastic);
                }
            }
            if !is_shown {
                let outputs = &network.bodies[network.form.depth()];
                answers.extend_from_slice(&outputs[..batch.targets.len() / batch.count]);
            }
        }
    }

    /// Walks back what [`Travelled::go`] did; the last examples first. Of examples that are asked for their errors are added.
    #[inline(always)]
    fn undo(&mut self, of: &Parameters<T>, examples: std::ops::Range<usize>, is_shown: bool, weight: f64) {
        let numbers = self.numbers();
        let Self { network, adjoint, ticks, examples: batch, errors, .. } = self;
        let (count, is_plastic) = ticks_of(network, is_shown);
        let outputs = network.form.depth();
        let width = batch.targets.len() / batch.count;
        let mut place = ticks.len();
        for example in examples.rev() {
            if !is_shown {
                let by_outputs = adjoint.bodies[outputs].iter_mut();
                for (by, error) in by_outputs.zip(&errors[example * width..][..width]) {
                    *by += T::from_f64(weight * error);
                }
            }
            for _ in 0..count {
                place -= numbers;
                network.restore(&ticks[place..place + numbers]);
                adjoint.undo(network, of, batch.clamped(example, is_shown), is_plastic);
            }
            if !is_plastic {
                // The bodies were empty, whatever they had been.
                adjoint.bodies.iter_mut().for_each(|bodies| bodies.fill(T::ZERO));
            }
        }
    }

    /// The loss of a batch that a network in its state is asked for; `weight` times its gradient is added to the adjoint.
    fn ask(&mut self, of: &Parameters<T>, (objective, weight): (Objective, f64)) -> f64 {
        self.aside.clear();
        let Adjoint { bodies, synapses, .. } = &mut self.adjoint;
        self.aside.extend(bodies.iter().chain(&*synapses).cloned());
        self.adjoint.clear();
        self.answers.clear();
        let count = self.examples.count;
        // Frozen questions do not know of each other.
        let together = if self.network.form.options.recall == Recall::Plastic { count } else { 1 };
        crate::vectors::with_vectors(
            #[inline(always)]
            || {
                for first in (0..count).step_by(together) {
                    let asked = first..(first + together).min(count);
                    self.go(of, asked.clone(), false);
                    self.measure(objective, asked.clone());
                    self.undo(of, asked, false, weight);
                }
            },
        );
        let Adjoint { bodies, synapses, .. } = &mut self.adjoint;
        for (own, aside) in bodies.iter_mut().chain(synapses).zip(&self.aside) {
            own.iter_mut().zip(aside).for_each(|(own, &aside)| *own += aside);
        }
        let [answers, targets] = [&self.answers, &self.examples.targets]
            .map(|values| values.iter().map(|value| value.to_f64() as f32).collect::<Vec<_>>());
        -objective::value(objective, &answers, &targets, targets.len() / count)
    }

    /// What the loss's gradient is by the answers to some examples; by them alone.
    fn measure(&mut self, objective: Objective, asked: std::ops::Range<usize>) {
        let Self { examples, answers, errors, .. } = self;
        let width = examples.targets.len() / examples.count;
        errors.resize(examples.targets.len(), 0.0);
        let share = 1.0 / examples.count as f64;
        for example in asked {
            let of = |values: &[T]| -> Vec<f64> { values.iter().map(|value| value.to_f64()).collect() };
            let (outputs, targets) = (of(&answers[example * width..][..width]), of(examples.target(example)));
            let errors = &mut errors[example * width..][..width];
            let _: f64 = Descended::from(objective).of_example(&outputs, &targets, errors);
            for error in errors {
                *error *= share;
            }
        }
    }
}

/// Ticks of an example, and whether synapses change in them.
fn ticks_of<T>(network: &Network<T>, is_shown: bool) -> (u32, bool) {
    let options = &network.form.options;
    if is_shown {
        (options.present_ticks, true)
    } else {
        (options.recall_ticks, options.recall == Recall::Plastic)
    }
}

impl<T: Real> Rule for Course<T> {
    fn load(&mut self, genome: &Genome) -> bool {
        if !self.parameters.read(&self.options, &self.layout, genome, None) {
            return false;
        }
        self.slopes = self.layout.slopes(genome);
        true
    }

    fn start(&mut self, shape: &Shape, seed: Seed) {
        let options = self.options;
        let at = self.networks.select(shape, || Travelled::new(Form::new(options, &shape.layers)));
        at.network.reset();
        initialise(&mut at.network, options.initial_scale, seed);
        at.states.clear();
    }

    fn update(&mut self, batch: &ExampleBatch<'_>) {
        let (at, of) = (self.networks.current_mut(), &self.parameters);
        if self.is_recorded {
            at.network.save_after(&mut at.states);
        }
        at.examples.take(batch);
        crate::vectors::with_vectors(
            #[inline(always)]
            || {
                for example in 0..at.examples.count {
                    at.network.present(of, at.examples.cue(example), at.examples.target(example));
                }
            },
        );
    }

    fn predict(&mut self, inputs: &[f32], examples: usize, predictions: &mut [f32]) {
        let (at, of) = (self.networks.current_mut(), &self.parameters);
        at.network.save(&mut at.before);
        at.examples.take(&ExampleBatch { inputs, targets: predictions, examples });
        at.answers.resize(predictions.len(), T::ZERO);
        crate::vectors::with_vectors(
            #[inline(always)]
            || at.network.recall(of, &at.examples.inputs, &mut at.answers),
        );
        for (prediction, answer) in predictions.iter_mut().zip(&at.answers) {
            *prediction = answer.to_f64() as f32;
        }
        at.network.restore(&at.before);
    }

    fn is_finite(&self) -> bool {
        self.networks.current().network.is_finite()
    }
}

impl<T: Real> Differentiable for Course<T> {
    fn record(&mut self, updates: u32) {
        self.is_recorded = updates > 0;
    }

    fn walk_back(&mut self, lesson: &mut dyn Lesson, gradient: &mut [f64]) -> Option<f64> {
        let (at, of) = (self.networks.current_mut(), &self.parameters);
        let (numbers, objective) = (at.numbers(), lesson.objective());
        at.network.save_after(&mut at.states);
        let updates = at.states.len() / numbers - 1;
        let states = std::mem::take(&mut at.states);
        let state = |done: usize| &states[done * numbers..(done + 1) * numbers];
        at.adjoint.clear();
        for segment in self.layout.segments() {
            let sums = at.adjoint.parameters.part(&segment.name);
            sums.clear();
            sums.resize(segment.len(), T::ZERO);
        }
        let mut total = 0.0;
        for done in (0..=updates).rev() {
            if lesson.is_interrupted() {
                return None;
            }
            let weight = lesson.query_weight(done as u32);
            if weight > 0.0 {
                at.examples.take(&lesson.query(done as u32));
                at.network.restore(state(done));
                total += weight * at.ask(of, (objective, weight));
            }
            let Some(update) = done.checked_sub(1) else { break };
            let weight = lesson.support_weight(update as u32);
            at.examples.take(&lesson.support(update as u32));
            at.network.restore(state(update));
            crate::vectors::with_vectors(
                #[inline(always)]
                || {
                    let shown = 0..at.examples.count;
                    at.go(of, shown.clone(), true);
                    at.undo(of, shown, true, 0.0);
                },
            );
            if weight > 0.0 {
                at.network.restore(state(update));
                total += weight * at.ask(of, (objective, weight));
            }
        }
        at.states = states;
        at.states.truncate(updates * numbers);
        let mut slopes = gradient.iter_mut().zip(&self.slopes);
        for segment in self.layout.segments() {
            for sum in at.adjoint.parameters.part(&segment.name) {
                let (gradient, slope) = slopes.next()?;
                *gradient += slope * sum.to_f64();
            }
        }
        Some(total)
    }
}

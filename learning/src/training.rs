//! Training: the one loop in which any rule learns any task, for whatever purpose.
//!
//! Episodes of searches, validations, remeasurements and evaluations run through `train`; they differ in the course that
//! they give it and in what they make of the curve.

use hebbian_shared::genome::Genome;
use hebbian_shared::seed::Seed;
use hebbian_shared::spec::RuleLearning;
use hebbian_shared::spec::evaluation::Objective;
use hebbian_shared::spec::strategy::Estimation;
use hebbian_shared::spec::task::TaskFamily;

use crate::evaluation::Part;
use crate::interrupt::Interrupt;
use crate::rule::{self, Ablation, ExampleBatch, Lesson, Rule, Shape};
use crate::task::{Distributions, TaskError};
use objective::Quantity;
use prepared_task::PreparedTask;
use workspace::Bench;

pub(crate) mod objective;
mod prepared_task;
mod workspace;

pub use workspace::Workspace;
pub(crate) use workspace::{KeptTasks, SameTasks};

/// How long a network is trained, and when what is measured on the task's query.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Course<'a> {
    /// Updates of the network.
    pub(crate) updates: u32,
    /// Numbers of updates after which the quantity is measured: increasing, from 0 to `updates`.
    pub(crate) points: &'a [u32],
    /// Whether the quantity is also measured of each batch but the first, before the network learns from it.
    pub(crate) is_prequential: bool,
    /// What is measured.
    pub(crate) quantity: Quantity,
    /// Of which part of the query; of all if there is none.
    pub(crate) part: Option<Part>,
}

impl Course<'_> {
    /// What of a query is measured.
    fn asked<'a>(&self, query: ExampleBatch<'a>) -> ExampleBatch<'a> {
        let Some(part) = self.part else { return query };
        let range = part.range(query.examples);
        let of = |values: &'a [f32]| {
            let width = values.len() / query.examples;
            &values[range.start * width..range.end * width]
        };
        ExampleBatch { inputs: of(query.inputs), targets: of(query.targets), examples: range.len() }
    }
}

/// What was measured in a course, in order, as far as training came.
#[derive(Debug, Default)]
pub(crate) struct Curve {
    pub(crate) values: Vec<f64>,
    prediction: Vec<f32>,
    batch_prediction: Vec<f32>,
}

/// Why training ended before its last update.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfinished {
    /// The network or what it predicts left the finite numbers.
    #[error("the network left the finite numbers")]
    Diverged,
    /// Somebody asked to stop.
    #[error("the training was interrupted")]
    Interrupted,
    /// The rule has no gradient.
    #[error("the rule has no gradient")]
    NoGradient,
    /// The genome does not belong to the rule.
    #[error("the genome has {found} values; a rule of this run has {expected}")]
    Genome {
        /// Values of the genome.
        found: usize,
        /// Values of the layout.
        expected: usize,
    },
    /// The task cannot be drawn.
    #[error(transparent)]
    Task(#[from] TaskError),
}

/// Trains a fresh network on a task. The curve holds what was measured, also where training did not come to its end: what
/// a network was worth before it diverged stays true. A measurement counts if the network was finite after its update.
fn train(
    rule: &mut dyn Rule,
    task: &mut PreparedTask,
    course: Course<'_>,
    curve: &mut Curve,
    interrupt: &Interrupt,
) -> Result<(), Unfinished> {
    curve.values.clear();
    rule.start(task.shape(), task.seed());
    if let Some(clean) = task.clean_set() {
        rule.show_clean_set(&clean);
    }
    let sizes = task.sizes();
    let Curve { values, prediction, batch_prediction } = curve;
    prediction.resize(sizes.query * sizes.outputs, 0.0);
    batch_prediction.resize(sizes.support * sizes.outputs, 0.0);
    let mut points = course.points.iter().copied().peekable();
    if points.next_if_eq(&0).is_some() {
        values.push(measure(rule, &course.asked(task.query(0)), course.quantity, prediction)?);
    }
    for done in 1..=course.updates {
        if interrupt.is_raised() {
            return Err(Unfinished::Interrupted);
        }
        let batch = task.support(done - 1);
        if course.is_prequential && done > 1 {
            values.push(measure(rule, &batch, course.quantity, batch_prediction)?);
        }
        rule.update(&batch);
        let mut value = None;
        if points.next_if_eq(&done).is_some() {
            value = Some(measure(rule, &course.asked(task.query(done)), course.quantity, prediction)?);
        }
        if !rule.is_finite() {
            return Err(Unfinished::Diverged);
        }
        values.extend(value);
    }
    Ok(())
}

/// What a network's answers to a batch are worth.
fn measure(
    rule: &mut dyn Rule,
    batch: &ExampleBatch<'_>,
    quantity: Quantity,
    prediction: &mut [f32],
) -> Result<f64, Unfinished> {
    let prediction = &mut prediction[..batch.targets.len()];
    rule.predict(batch.inputs, batch.examples, prediction);
    if !prediction.iter().all(|value| value.is_finite()) {
        return Err(Unfinished::Diverged);
    }
    Ok(quantity.of(prediction, batch.targets, prediction.len() / batch.examples))
}

/// What all threads share that train the networks of one problem.
pub(crate) struct Trainer {
    problem: RuleLearning,
    ablation: Option<Ablation>,
    dimension: usize,
    distributions: Distributions,
    /// Tasks that a thread keeps, at most.
    tasks_max: usize,
}

impl Trainer {
    /// For tasks of these distributions, of which `tasks` are met again and again.
    pub(crate) fn new(
        problem: RuleLearning,
        ablation: Option<Ablation>,
        distributions: Distributions,
        tasks: u32,
    ) -> Self {
        let tasks_max = workspace::tasks_max(&problem.tasks, distributions.families(), tasks);
        Self { dimension: problem.layout().dimension(), problem, ablation, distributions, tasks_max }
    }

    /// A thread's buffers.
    fn bench(&self) -> Bench {
        Bench::new(rule::family(&self.problem.rule).compile(&self.problem, self.ablation), self.tasks_max)
    }

    /// The problem.
    pub(crate) fn problem(&self) -> &RuleLearning {
        &self.problem
    }

    /// Trains a network by the rule of a genome on the task of a seed, which is among those that problems share, if there are such.
    pub(crate) fn train(
        &self,
        (bench, shared): (&mut Bench, Option<&mut KeptTasks>),
        genome: &Genome,
        (family, seed): (TaskFamily, Seed),
        course: Course<'_>,
        interrupt: &Interrupt,
    ) -> Result<(), Unfinished> {
        let Bench { rule, curve, tasks, .. } = bench;
        curve.values.clear();
        if !rule.load(genome) {
            return Err(Unfinished::Genome { found: genome.0.len(), expected: self.dimension });
        }
        train(&mut **rule, self.task(shared.unwrap_or(tasks), family, seed)?, course, curve, interrupt)
    }

    /// Trains a network as [`Trainer::train`] does, and walks back: adds the gradient of the lesson's loss with respect to the
    /// genome to `gradient`, and returns the loss.
    pub(crate) fn differentiate(
        &self,
        bench: &mut Bench,
        genome: &Genome,
        (family, seed): (TaskFamily, Seed),
        losses: Losses<'_>,
        interrupt: &Interrupt,
        gradient: &mut [f64],
    ) -> Result<f64, Unfinished> {
        let Bench { differentiable, curve, tasks, .. } = bench;
        let known = differentiable.iter().position(|(known, _)| *known == losses.estimation);
        let place = if let Some(place) = known {
            place
        } else {
            let family = rule::family(&self.problem.rule);
            let rule =
                family.differentiable(&self.problem, losses.estimation).ok_or(Unfinished::NoGradient)?;
            differentiable.push((losses.estimation, rule));
            differentiable.len() - 1
        };
        let rule = &mut *differentiable[place].1;
        curve.values.clear();
        if !rule.load(genome) || gradient.len() != self.dimension {
            return Err(Unfinished::Genome { found: genome.0.len(), expected: self.dimension });
        }
        let task = self.task(tasks, family, seed)?;
        rule.record(losses.updates);
        let quantity = Quantity::Objective(losses.objective);
        let course =
            Course { updates: losses.updates, points: &[], is_prequential: false, quantity, part: None };
        train(rule, task, course, curve, interrupt)?;
        let mut lesson = OfTask { task, losses, interrupt };
        let loss = rule.walk_back(&mut lesson, gradient).ok_or(Unfinished::Interrupted)?;
        if loss.is_finite() && gradient.iter().all(|value| value.is_finite()) {
            Ok(loss)
        } else {
            Err(Unfinished::Diverged)
        }
    }

    /// The task of a seed, with the shape of its network.
    fn task<'a>(
        &self,
        tasks: &'a mut KeptTasks,
        family: TaskFamily,
        seed: Seed,
    ) -> Result<&'a mut PreparedTask, TaskError> {
        tasks.get(family, seed, || {
            let task = self.distributions.of(family).sample(seed)?;
            let (sizes, network) = (task.sizes(), &self.problem.network);
            let layers = network.layer_sizes(network.shape(seed), sizes.inputs as u32, sizes.outputs as u32);
            Ok((task, Shape { layers, batch_max: sizes.support.max(sizes.query) }))
        })
    }
}

/// What counts of a training whose gradient is wanted.
#[derive(Clone, Copy)]
pub(crate) struct Losses<'a> {
    /// Updates of the network.
    pub(crate) updates: u32,
    /// The objective, of which the loss is the negative.
    pub(crate) objective: Objective,
    /// How the gradient is had.
    pub(crate) estimation: Estimation,
    /// The weight of an update's batch before the network learns from it.
    pub(crate) of_support: &'a dyn Fn(u32) -> f64,
    /// The weight of the query after so many updates.
    pub(crate) of_query: &'a dyn Fn(u32) -> f64,
}

/// The lesson of a task.
struct OfTask<'a> {
    task: &'a mut PreparedTask,
    losses: Losses<'a>,
    interrupt: &'a Interrupt,
}

impl Lesson for OfTask<'_> {
    fn support(&mut self, update: u32) -> ExampleBatch<'_> {
        self.task.support(update)
    }

    fn query(&mut self, updates: u32) -> ExampleBatch<'_> {
        self.task.query(updates)
    }

    fn support_weight(&self, update: u32) -> f64 {
        (self.losses.of_support)(update)
    }

    fn query_weight(&self, updates: u32) -> f64 {
        (self.losses.of_query)(updates)
    }

    fn objective(&self) -> Objective {
        self.losses.objective
    }

    fn is_interrupted(&self) -> bool {
        self.interrupt.is_raised()
    }
}

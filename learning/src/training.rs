//! Training: the one loop in which any rule learns any task, for whatever purpose.
//!
//! Episodes of searches, validations, remeasurements and evaluations run through `train`; they differ in the course that
//! they give it and in what they make of the curve.

use hebbian_shared::genome::Genome;
use hebbian_shared::seed::Seed;
use hebbian_shared::spec::RuleLearning;
use hebbian_shared::spec::task::TaskFamily;

use crate::interrupt::Interrupt;
use crate::rule::{self, Ablation, Rule, Shape};
use crate::task::{Distributions, TaskError};
use objective::Quantity;
use prepared_task::PreparedTask;
use workspace::Bench;

pub(crate) mod objective;
mod prepared_task;
mod workspace;

pub use workspace::Workspace;

/// How long a network is trained, and when what is measured on the task's query.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Course<'a> {
    /// Updates of the network.
    pub(crate) updates: u32,
    /// Numbers of updates after which the quantity is measured: increasing, from 1 to `updates`.
    pub(crate) points: &'a [u32],
    /// What is measured.
    pub(crate) quantity: Quantity,
}

/// What was measured at the points of a course, as far as training came.
#[derive(Debug, Default)]
pub(crate) struct Curve {
    pub(crate) values: Vec<f64>,
    prediction: Vec<f32>,
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
    let sizes = task.sizes();
    curve.prediction.resize(sizes.query * sizes.outputs, 0.0);
    let mut points = course.points.iter().copied().peekable();
    for done in 1..=course.updates {
        if interrupt.is_raised() {
            return Err(Unfinished::Interrupted);
        }
        rule.update(&task.support(done - 1));
        let mut value = None;
        if points.next_if_eq(&done).is_some() {
            let query = task.query();
            rule.predict(query.inputs, query.examples, &mut curve.prediction);
            if !curve.prediction.iter().all(|value| value.is_finite()) {
                return Err(Unfinished::Diverged);
            }
            value = Some(course.quantity.of(&curve.prediction, query.targets, sizes.outputs));
        }
        if !rule.is_finite() {
            return Err(Unfinished::Diverged);
        }
        curve.values.extend(value);
    }
    Ok(())
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

    /// Trains a network by the rule of a genome on the task of a seed.
    pub(crate) fn train(
        &self,
        bench: &mut Bench,
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
        let task = tasks.get(family, seed, || {
            let task = self.distributions.of(family).sample(seed)?;
            let (sizes, network) = (task.sizes(), &self.problem.network);
            let layers = network.layer_sizes(network.shape(seed), sizes.inputs as u32, sizes.outputs as u32);
            Ok((task, Shape { layers, batch_max: sizes.support.max(sizes.query) }))
        })?;
        train(&mut **rule, task, course, curve, interrupt)
    }
}

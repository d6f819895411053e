//! What a thread keeps from episode to episode, only to save time.

use std::sync::{Arc, Weak};

use hebbian_shared::seed::Seed;
use hebbian_shared::spec::strategy::Estimation;
use hebbian_shared::spec::task::{TaskFamily, TaskSpec};

use super::prepared_task::PreparedTask;
use super::{Curve, Trainer};
use crate::rule::{Differentiable, Rule, Shape};
use crate::task::{Task, TaskError};

/// Problems whose buffers a thread keeps.
const PROBLEMS_MAX: usize = 4;
/// Tasks that are kept of a problem, at most.
const TASKS_MAX: usize = 256;
/// Numbers that all kept support batches of a problem hold together, at most: 64 MiB.
const SUPPORT_NUMBERS_MAX: usize = 16 << 20;
/// Numbers that all kept tasks of a problem hold together besides, at most (or one task): 128 MiB.
const TASK_NUMBERS_MAX: usize = 32 << 20;

/// Buffers of one thread: networks and the tasks that it met last, since all candidates of a block meet the same.
#[derive(Default)]
pub struct Workspace {
    /// The problem that was used last comes first.
    benches: Vec<(Weak<Trainer>, Bench)>,
}

impl Workspace {
    /// An empty workspace; it fills as it is used.
    pub fn new() -> Self {
        Self::default()
    }

    /// The buffers of a problem.
    pub(crate) fn of(&mut self, trainer: &Arc<Trainer>) -> &mut Bench {
        // A weak reference keeps the address from being used again.
        let found =
            self.benches.iter().position(|(known, _)| std::ptr::eq(known.as_ptr(), Arc::as_ptr(trainer)));
        let place = found.unwrap_or_else(|| {
            self.benches.truncate(PROBLEMS_MAX - 1);
            self.benches.push((Arc::downgrade(trainer), trainer.bench()));
            self.benches.len() - 1
        });
        self.benches[..=place].rotate_right(1);
        &mut self.benches[0].1
    }
}

/// Buffers of one problem.
pub(crate) struct Bench {
    pub(super) rule: Box<dyn Rule>,
    /// The same rule with its gradient, by each estimation that was asked for.
    pub(super) differentiable: Vec<(Estimation, Box<dyn Differentiable>)>,
    pub(super) tasks: KeptTasks,
    /// Of the last training.
    pub(crate) curve: Curve,
    /// Room for the points of a course.
    pub(crate) points: Vec<u32>,
}

impl Bench {
    pub(super) fn new(rule: Box<dyn Rule>, tasks_max: usize) -> Self {
        let tasks = KeptTasks { tasks: Vec::new(), tasks_max, clock: 0 };
        Self { rule, differentiable: Vec::new(), tasks, curve: Curve::default(), points: Vec::new() }
    }
}

/// The tasks that a thread met last.
pub(super) struct KeptTasks {
    tasks: Vec<PreparedTask>,
    tasks_max: usize,
    /// Counts trainings, to find the task that was not used for longest.
    clock: u64,
}

impl KeptTasks {
    /// The task of a seed, which is drawn if it is not here.
    pub(super) fn get(
        &mut self,
        family: TaskFamily,
        seed: Seed,
        draw: impl FnOnce() -> Result<(Box<dyn Task>, Shape), TaskError>,
    ) -> Result<&mut PreparedTask, TaskError> {
        self.clock += 1;
        let known = self.tasks.iter().position(|task| task.is(family, seed));
        let place = if let Some(place) = known {
            place
        } else {
            let (task, shape) = draw()?;
            self.keep(family, seed, task, shape)
        };
        self.tasks[place].last_used = self.clock;
        Ok(&mut self.tasks[place])
    }

    fn keep(&mut self, family: TaskFamily, seed: Seed, task: Box<dyn Task>, shape: Shape) -> usize {
        if self.tasks.len() < self.tasks_max {
            let limit = SUPPORT_NUMBERS_MAX / self.tasks_max;
            self.tasks.push(PreparedTask::new(family, seed, task, shape, limit));
            return self.tasks.len() - 1;
        }
        let oldest = (0..self.tasks.len()).min_by_key(|&place| self.tasks[place].last_used).unwrap_or(0);
        self.tasks[oldest].replace(family, seed, task, shape);
        oldest
    }
}

/// How many of `tasks` tasks a thread keeps. A task holds, besides its support batches, its query and the matrix that projects its
/// images.
pub(super) fn tasks_max(spec: &TaskSpec, families: impl Iterator<Item = TaskFamily>, tasks: u32) -> usize {
    let of_family = |family: TaskFamily| {
        let [inputs, outputs, query] =
            [spec.inputs(family), spec.outputs(family), spec.query_size].map(|number| number as usize);
        let samples = spec.label_noise.as_ref().map_or(0, |noise| noise.samples as usize);
        (query + samples) * (inputs + outputs) + if family.is_images() { inputs * inputs } else { 0 }
    };
    let numbers = families.map(of_family).max().unwrap_or(1);
    (tasks as usize).min(TASK_NUMBERS_MAX / numbers).clamp(1, TASKS_MAX)
}

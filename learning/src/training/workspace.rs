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
    /// The task that was met last of those that several problems share.
    shared: Option<(Weak<SameTasks>, KeptTasks)>,
}

/// What problems have in common whose tasks are the same, down to the shapes of networks: only its address counts.
#[derive(Debug)]
pub(crate) struct SameTasks;

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

impl Workspace {
    /// The buffers of a problem; and what is kept for all problems that meet the same tasks one after the other, if it is one of those.
    pub(crate) fn sharing(
        &mut self,
        trainer: &Arc<Trainer>,
        same: Option<&Arc<SameTasks>>,
    ) -> (&mut Bench, Option<&mut KeptTasks>) {
        self.of(trainer);
        let bench = &mut self.benches[0].1;
        let Some(same) = same else { return (bench, None) };
        let is_same =
            |(known, _): &(Weak<SameTasks>, KeptTasks)| std::ptr::eq(known.as_ptr(), Arc::as_ptr(same));
        if !self.shared.as_ref().is_some_and(is_same) {
            self.shared = None;
        }
        let shared = self.shared.get_or_insert_with(|| (Arc::downgrade(same), KeptTasks::new(1)));
        (bench, Some(&mut shared.1))
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
        let tasks = KeptTasks::new(tasks_max);
        Self { rule, differentiable: Vec::new(), tasks, curve: Curve::default(), points: Vec::new() }
    }
}

/// The tasks that a thread met last.
pub(crate) struct KeptTasks {
    tasks: Vec<PreparedTask>,
    tasks_max: usize,
    /// Counts trainings, to find the task that was not used for longest.
    clock: u64,
}

impl KeptTasks {
    fn new(tasks_max: usize) -> Self {
        Self { tasks: Vec::new(), tasks_max, clock: 0 }
    }

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
        let samples = spec.label_noise.as_ref().map_or(0, |noise| noise.examples() as usize);
        (query + samples) * (inputs + outputs) + if family.is_images() { inputs * inputs } else { 0 }
    };
    let numbers = families.map(of_family).max().unwrap_or(1);
    (tasks as usize).min(TASK_NUMBERS_MAX / numbers).clamp(1, TASKS_MAX)
}

#[cfg(test)]
mod tests {
    use hebbian_shared::spec::RunSpec;

    use super::*;
    use crate::task::Distributions;
    use crate::task::TaskSet;
    use crate::task::data_set::NoDataSets;

    #[test]
    fn a_task_that_problems_share_is_drawn_once() {
        let spec = RunSpec::read(include_str!("../../../examples/digits.toml")).unwrap();
        let problem = spec.problem.rule_learning().unwrap();
        let family = TaskFamily::Digits;
        let distributions =
            Distributions::new(std::iter::once(family), &problem.tasks, TaskSet::Evaluation, &NoDataSets)
                .unwrap();
        let trainer = || Arc::new(Trainer::new(problem.clone(), None, distributions.clone(), 1));
        let trainers = [(); 2 * PROBLEMS_MAX].map(|()| trainer());
        let mut workspace = Workspace::new();
        let mut drawn = 0;
        let mut meet = |trainer: &Arc<Trainer>, same: Option<&Arc<SameTasks>>, seed: u64| {
            let seed = Seed::new(seed).unwrap();
            let (bench, shared) = workspace.sharing(trainer, same);
            let draw = || {
                drawn += 1;
                let task = distributions.of(family).sample(seed)?;
                let sizes = task.sizes();
                let layers = problem.network.layer_sizes(0, sizes.inputs as u32, sizes.outputs as u32);
                Ok((task, Shape { layers, batch_max: sizes.support.max(sizes.query) }))
            };
            let task = shared.unwrap_or(&mut bench.tasks).get(family, seed, draw).unwrap();
            assert_eq!(task.seed(), seed);
            drawn
        };
        let [same, other] = [(); 2].map(|()| Arc::new(SameTasks));
        // More problems than a thread keeps buffers of.
        let of_all = trainers.iter().map(|trainer| meet(trainer, Some(&same), 1)).last();
        assert_eq!(of_all, Some(1), "all of them share the task");
        assert_eq!(meet(&trainers[0], Some(&same), 2), 2);
        assert_eq!(meet(&trainers[1], Some(&other), 2), 3, "these do not have the tasks of those");
        assert_eq!(meet(&trainers[2], None, 2), 4, "nor has a problem that shares none");
        assert_eq!(meet(&trainers[3], Some(&same), 2), 5);
    }
}

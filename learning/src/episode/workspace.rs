//! What a thread keeps from episode to episode, only to save time.

use std::collections::BTreeMap;
use std::sync::Arc;

use hebbian_shared::seed::Seed;
use hebbian_shared::spec::task::TaskFamily;
use hebbian_shared::spec::{Problem, RuleLearning, RunSpec};

use super::prepared_task::PreparedTask;
use crate::rule::multi_state::Network;
use crate::task::{TaskDistribution, TaskError};

/// Runs whose buffers a thread keeps.
const RUNS_MAX: usize = 4;
/// Tasks that are kept of a run, at most.
const TASKS_MAX: usize = 256;
/// Numbers that all kept support batches of a run hold together, at most: 64 MiB.
const SUPPORT_NUMBERS_MAX: usize = 16 << 20;
/// Numbers that all kept tasks of a run hold together besides, at most (or one task): 128 MiB.
const TASK_NUMBERS_MAX: usize = 32 << 20;

/// Buffers of one thread: networks and the tasks that it met last, since all candidates of a block meet the same.
#[derive(Default)]
pub struct Workspace {
    /// The run that was used last comes first.
    runs: Vec<RunSpace>,
}

impl Workspace {
    /// An empty workspace; it fills as it is used.
    pub fn new() -> Self {
        Self::default()
    }

    /// The buffers of a run.
    pub(super) fn of_run(&mut self, spec: &Arc<RunSpec>) -> &mut RunSpace {
        let found = self.runs.iter().position(|space| Arc::ptr_eq(&space.spec, spec));
        let place = found.unwrap_or_else(|| {
            self.runs.truncate(RUNS_MAX - 1);
            self.runs.push(RunSpace::new(Arc::clone(spec)));
            self.runs.len() - 1
        });
        self.runs[..=place].rotate_right(1);
        &mut self.runs[0]
    }
}

/// Buffers of one run.
pub(super) struct RunSpace {
    spec: Arc<RunSpec>,
    /// By shape among the run's, number of inputs, outputs and examples.
    networks: BTreeMap<(usize, usize, usize, usize), Network<f32>>,
    tasks: Vec<PreparedTask>,
    tasks_max: usize,
    prediction: Vec<f32>,
    /// Counts episodes, to find the task that was not used for longest.
    clock: u64,
}

impl RunSpace {
    fn new(spec: Arc<RunSpec>) -> Self {
        let numbers = numbers_per_task(&spec);
        let tasks_max =
            (spec.tasks_per_generation() as usize).min(TASK_NUMBERS_MAX / numbers).clamp(1, TASKS_MAX);
        Self {
            spec,
            networks: BTreeMap::new(),
            tasks: Vec::new(),
            tasks_max,
            prediction: Vec::new(),
            clock: 0,
        }
    }

    /// The task of a seed, a network that fits it, in any state, and room for the predictions of its query.
    pub(super) fn prepare(
        &mut self,
        problem: &RuleLearning,
        family: TaskFamily,
        distribution: &dyn TaskDistribution,
        seed: Seed,
    ) -> Result<(&mut PreparedTask, &mut Network<f32>, &mut [f32]), TaskError> {
        self.clock += 1;
        let place = match self.tasks.iter().position(|task| task.seed == seed && task.family == family) {
            Some(place) => place,
            None => self.draw(family, distribution, seed)?,
        };
        let task = &mut self.tasks[place];
        task.last_used = self.clock;
        let sizes = task.sizes();
        let batch_max = sizes.support.max(sizes.query);
        let shape = problem.network.shape(seed);
        let network =
            self.networks.entry((shape, sizes.inputs, sizes.outputs, batch_max)).or_insert_with(|| {
                let layer_sizes =
                    problem.network.layer_sizes(shape, sizes.inputs as u32, sizes.outputs as u32);
                Network::new(&problem.rule, &layer_sizes, batch_max)
            });
        self.prediction.resize(sizes.query * sizes.outputs, 0.0);
        Ok((task, network, &mut self.prediction))
    }

    fn draw(
        &mut self,
        family: TaskFamily,
        distribution: &dyn TaskDistribution,
        seed: Seed,
    ) -> Result<usize, TaskError> {
        let drawn = distribution.sample(seed)?;
        if self.tasks.len() < self.tasks_max {
            let limit = SUPPORT_NUMBERS_MAX / self.tasks_max;
            self.tasks.push(PreparedTask::new(family, seed, drawn, limit));
            return Ok(self.tasks.len() - 1);
        }
        let oldest = (0..self.tasks.len()).min_by_key(|&place| self.tasks[place].last_used).unwrap_or(0);
        self.tasks[oldest].replace(family, seed, drawn);
        Ok(oldest)
    }
}

/// Numbers that a kept task of a run holds besides its support batches, at most: its query, and the matrix that
/// projects its images.
fn numbers_per_task(spec: &RunSpec) -> usize {
    let Problem::RuleLearning(problem) = &spec.problem;
    let tasks = &problem.tasks;
    let of_family = |&family: &TaskFamily| {
        let [inputs, outputs, query] =
            [tasks.inputs(family), tasks.outputs(family), tasks.query_size].map(|number| number as usize);
        query * (inputs + outputs) + if family.is_images() { inputs * inputs } else { 0 }
    };
    tasks.families.iter().map(of_family).max().unwrap_or(1)
}

//! A task with the batches that were drawn from it, for the next candidates that meet it.

use hebbian_shared::seed::Seed;
use hebbian_shared::spec::task::TaskFamily;

use crate::rule::{ExampleBatch, Shape};
use crate::task::{Task, TaskSizes};

/// A task, its query and as many of its first support batches as fit.
pub(super) struct PreparedTask {
    family: TaskFamily,
    seed: Seed,
    shape: Shape,
    /// The workspace's clock.
    pub(super) last_used: u64,
    task: Box<dyn Task>,
    query_inputs: Vec<f32>,
    query_targets: Vec<f32>,
    /// Batches of the first updates, one after the other.
    kept_inputs: Vec<f32>,
    kept_targets: Vec<f32>,
    kept: u32,
    kept_max: u32,
    /// The batch of an update that is not kept.
    other_inputs: Vec<f32>,
    other_targets: Vec<f32>,
    numbers_max: usize,
}

impl PreparedTask {
    /// Keeps at most `numbers_max` numbers of support batches.
    pub(super) fn new(
        family: TaskFamily,
        seed: Seed,
        task: Box<dyn Task>,
        shape: Shape,
        numbers_max: usize,
    ) -> Self {
        let mut prepared = Self {
            family,
            seed,
            shape,
            last_used: 0,
            task,
            query_inputs: Vec::new(),
            query_targets: Vec::new(),
            kept_inputs: Vec::new(),
            kept_targets: Vec::new(),
            kept: 0,
            kept_max: 0,
            other_inputs: Vec::new(),
            other_targets: Vec::new(),
            numbers_max,
        };
        prepared.start();
        prepared
    }

    /// Takes another task into the same memory.
    pub(super) fn replace(&mut self, family: TaskFamily, seed: Seed, task: Box<dyn Task>, shape: Shape) {
        self.family = family;
        self.seed = seed;
        self.shape = shape;
        self.task = task;
        self.start();
    }

    fn start(&mut self) {
        let TaskSizes { inputs, outputs, support, query } = self.task.sizes();
        self.query_inputs.resize(query * inputs, 0.0);
        self.query_targets.resize(query * outputs, 0.0);
        self.task.query(&mut self.query_inputs, &mut self.query_targets);
        self.kept_inputs.clear();
        self.kept_targets.clear();
        self.kept = 0;
        self.kept_max = (self.numbers_max / (support * (inputs + outputs))) as u32;
    }

    /// Whether it is the task of a family and a seed.
    pub(super) fn is(&self, family: TaskFamily, seed: Seed) -> bool {
        self.seed == seed && self.family == family
    }

    pub(super) fn seed(&self) -> Seed {
        self.seed
    }

    pub(super) fn sizes(&self) -> TaskSizes {
        self.task.sizes()
    }

    /// The shape of the networks that learn it.
    pub(super) fn shape(&self) -> &Shape {
        &self.shape
    }

    /// What is asked of the query after so many updates.
    pub(super) fn query(&self, updates: u32) -> ExampleBatch<'_> {
        let TaskSizes { inputs, outputs, .. } = self.task.sizes();
        let examples = self.task.asked_after(updates);
        let (inputs, targets) =
            (&self.query_inputs[..examples * inputs], &self.query_targets[..examples * outputs]);
        ExampleBatch { inputs, targets, examples }
    }

    /// Examples whose labels are known to be right.
    pub(super) fn clean_set(&self) -> Option<ExampleBatch<'_>> {
        let (inputs, targets) = self.task.clean_set()?;
        Some(ExampleBatch { inputs, targets, examples: inputs.len() / self.task.sizes().inputs })
    }

    /// The support batch of an update.
    pub(super) fn support(&mut self, update: u32) -> ExampleBatch<'_> {
        let TaskSizes { inputs, outputs, support: examples, .. } = self.task.sizes();
        let (inputs, targets) = (examples * inputs, examples * outputs);
        let range = |length: usize| update as usize * length..(update as usize + 1) * length;
        if update == self.kept && update < self.kept_max {
            self.kept_inputs.resize(range(inputs).end, 0.0);
            self.kept_targets.resize(range(targets).end, 0.0);
            self.task.support(
                update,
                &mut self.kept_inputs[range(inputs)],
                &mut self.kept_targets[range(targets)],
            );
            self.kept += 1;
        }
        if update < self.kept {
            let (inputs, targets) = (&self.kept_inputs[range(inputs)], &self.kept_targets[range(targets)]);
            return ExampleBatch { inputs, targets, examples };
        }
        self.other_inputs.resize(inputs, 0.0);
        self.other_targets.resize(targets, 0.0);
        self.task.support(update, &mut self.other_inputs, &mut self.other_targets);
        ExampleBatch { inputs: &self.other_inputs, targets: &self.other_targets, examples }
    }
}

#[cfg(test)]
mod tests {
    use hebbian_shared::spec::task::TaskSpec;

    use super::*;
    use crate::task::data_set::NoDataSets;
    use crate::task::{TaskSet, distribution};

    #[test]
    fn batches_are_the_tasks_whether_they_are_kept_or_not() {
        let spec = TaskSpec { batch_size: 4, query_size: 8, ..TaskSpec::of(vec![TaskFamily::Circle]) };
        let seed = |number| Seed::new(number).unwrap();
        let sample = |number| {
            let family = distribution(TaskFamily::Circle, &spec, TaskSet::Training, &NoDataSets).unwrap();
            family.sample(seed(number)).unwrap()
        };
        let shape = |neurons| Shape { layers: vec![2, neurons, 1], batch_max: 8 };
        // Room for three batches of four examples with two inputs and one target.
        let mut prepared = PreparedTask::new(TaskFamily::Circle, seed(1), sample(1), shape(1), 3 * 4 * 3);
        for number in [1, 2] {
            if number == 2 {
                prepared.replace(TaskFamily::Circle, seed(2), sample(2), shape(2));
            }
            assert!(prepared.is(TaskFamily::Circle, seed(number)));
            assert_eq!(prepared.shape(), &shape(number as usize));
            let task = sample(number);
            for update in [0, 1, 0, 3, 2, 3, 4, 2, 0] {
                let (mut inputs, mut targets) = ([0.0; 8], [0.0; 4]);
                task.support(update, &mut inputs, &mut targets);
                let batch = prepared.support(update);
                assert_eq!(
                    (batch.inputs, batch.targets, batch.examples),
                    (&inputs[..], &targets[..], 4),
                    "{update}"
                );
            }
            let (mut inputs, mut targets) = ([0.0; 16], [0.0; 8]);
            task.query(&mut inputs, &mut targets);
            let batch = prepared.query(1);
            assert_eq!((batch.inputs, batch.targets, batch.examples), (&inputs[..], &targets[..], 8));
            assert_eq!(prepared.kept, 3);
        }
    }
}

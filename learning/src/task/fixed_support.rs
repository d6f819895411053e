//! Tasks whose updates all learn from the same few examples.

use hebbian_shared::seed::Seed;

use super::{Task, TaskDistribution, TaskError, TaskSizes};

/// The tasks of another distribution, each with the batch of its first update in all updates.
pub(super) struct FixedSupport(pub(super) Box<dyn TaskDistribution>);

impl TaskDistribution for FixedSupport {
    fn sample(&self, seed: Seed) -> Result<Box<dyn Task>, TaskError> {
        Ok(Box::new(FixedTask(self.0.sample(seed)?)))
    }
}

struct FixedTask(Box<dyn Task>);

impl Task for FixedTask {
    fn sizes(&self) -> TaskSizes {
        self.0.sizes()
    }

    fn support(&self, _: u32, inputs: &mut [f32], targets: &mut [f32]) {
        self.0.support(0, inputs, targets);
    }

    fn query(&self, inputs: &mut [f32], targets: &mut [f32]) {
        self.0.query(inputs, targets);
    }

    fn clean_set(&self) -> Option<(&[f32], &[f32])> {
        self.0.clean_set()
    }
}

#[cfg(test)]
mod tests {
    use hebbian_shared::spec::task::{SupportDraw, TaskFamily, TaskSpec};

    use crate::task::data_set::NoDataSets;
    use crate::task::{TaskSet, distribution};

    use super::*;

    #[test]
    fn every_update_has_the_first_batch() {
        let family = TaskFamily::Circle;
        let spec = |support| TaskSpec { batch_size: 3, query_size: 4, support, ..TaskSpec::of(vec![family]) };
        let written = |support, update| {
            let tasks = distribution(family, &spec(support), TaskSet::Training, &NoDataSets).unwrap();
            let task = tasks.sample(Seed::new(1).unwrap()).unwrap();
            let (mut inputs, mut targets) = ([0.0; 6], [0.0; 3]);
            task.support(update, &mut inputs, &mut targets);
            let (mut asked, mut answers) = ([0.0; 8], [0.0; 4]);
            task.query(&mut asked, &mut answers);
            ((inputs, targets), (asked, answers))
        };
        let (fresh, fixed) = (SupportDraw::Fresh, SupportDraw::Fixed);
        assert_eq!(written(fixed, 7), written(fresh, 0));
        assert_ne!(written(fresh, 7).0, written(fresh, 0).0);
    }
}

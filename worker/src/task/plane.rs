//! Tasks in the plane: two inputs, one label of +-1.

use hebbian_shared::seed::{ChaCha8Rng, Purpose, Seed};
use hebbian_shared::spec::task::{TaskFamily, TaskSpec};

use super::{Task, TaskDistribution, TaskError, TaskSizes};
use function::Function;

mod function;

/// One of the families in the plane.
pub(super) struct PlaneDistribution {
    family: TaskFamily,
    sizes: TaskSizes,
}

impl PlaneDistribution {
    pub(super) fn new(family: TaskFamily, spec: &TaskSpec) -> Self {
        let sizes = TaskSizes {
            inputs: 2,
            outputs: 1,
            support: spec.batch_size as usize,
            query: spec.query_size as usize,
        };
        Self { family, sizes }
    }
}

impl TaskDistribution for PlaneDistribution {
    fn sample(&self, seed: Seed) -> Result<Box<dyn Task>, TaskError> {
        let function = Function::draw(self.family, &mut seed.derive(Purpose::Task, 0).rng())?;
        Ok(Box::new(PlaneTask { function, sizes: self.sizes, seed }))
    }
}

struct PlaneTask {
    function: Function,
    sizes: TaskSizes,
    seed: Seed,
}

impl Task for PlaneTask {
    fn sizes(&self) -> TaskSizes {
        self.sizes
    }

    fn support(&self, update: u32, inputs: &mut [f32], targets: &mut [f32]) {
        assert_eq!((inputs.len(), targets.len()), (2 * self.sizes.support, self.sizes.support));
        let seed = self.seed.derive(Purpose::Support, u64::from(update));
        fill(&self.function, &mut seed.rng(), inputs, targets);
    }

    fn query(&self, inputs: &mut [f32], targets: &mut [f32]) {
        assert_eq!((inputs.len(), targets.len()), (2 * self.sizes.query, self.sizes.query));
        fill(&self.function, &mut self.seed.derive(Purpose::Query, 0).rng(), inputs, targets);
    }
}

fn fill(function: &Function, rng: &mut ChaCha8Rng, inputs: &mut [f32], targets: &mut [f32]) {
    let (points, _) = inputs.as_chunks_mut::<2>();
    for (point, target) in points.iter_mut().zip(targets) {
        let (drawn, positive) = function.example(rng);
        *point = drawn;
        *target = if positive { 1.0 } else { -1.0 };
    }
}

//! Tasks in the plane: two inputs and one output, a label of +-1 or, in regression, a value.

use std::f64::consts::TAU;

use hebbian_shared::seed::{ChaCha8Rng, Purpose, Seed, uniform, uniform_between};
use hebbian_shared::spec::task::{TaskFamily, TaskSpec};

use super::{Task, TaskDistribution, TaskError, TaskSizes};
use function::Function;
use surface::Surface;

mod function;
mod surface;

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
        let mut rng = seed.derive(Purpose::Task, 0).rng();
        let goal = if self.family.is_regression() {
            Goal::Values(Surface::draw(self.family, &mut rng))
        } else {
            Goal::Labels(Function::draw(self.family, &mut rng)?)
        };
        Ok(Box::new(PlaneTask { goal, sizes: self.sizes, seed }))
    }
}

/// What is to be learned.
enum Goal {
    Labels(Function),
    Values(Surface),
}

struct PlaneTask {
    goal: Goal,
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
        fill(&self.goal, &mut seed.rng(), inputs, targets);
    }

    fn query(&self, inputs: &mut [f32], targets: &mut [f32]) {
        assert_eq!((inputs.len(), targets.len()), (2 * self.sizes.query, self.sizes.query));
        fill(&self.goal, &mut self.seed.derive(Purpose::Query, 0).rng(), inputs, targets);
    }
}

/// The labels on the grid of the function of a seed; `None` if none can be drawn.
pub(super) fn labels(family: TaskFamily, seed: Seed) -> Option<Vec<bool>> {
    let function = Function::draw(family, &mut seed.derive(Purpose::Task, 0).rng()).ok()?;
    Some(grid().map(|point| function.label(point)).collect())
}

fn fill(goal: &Goal, rng: &mut ChaCha8Rng, inputs: &mut [f32], targets: &mut [f32]) {
    let (points, _) = inputs.as_chunks_mut::<2>();
    for (point, target) in points.iter_mut().zip(targets) {
        (*point, *target) = match goal {
            Goal::Labels(function) => {
                let (point, positive) = function.example(rng);
                (point, if positive { 1.0 } else { -1.0 })
            }
            Goal::Values(surface) => surface.example(rng),
        };
    }
}

/// A point that is uniform in [-1, 1)^2, rounded as the network sees it.
fn uniform_point(rng: &mut ChaCha8Rng) -> [f32; 2] {
    [uniform_between(rng, -1.0, 1.0) as f32, uniform_between(rng, -1.0, 1.0) as f32]
}

fn symmetric_pair(rng: &mut ChaCha8Rng, limit: f64) -> [f64; 2] {
    [uniform_between(rng, -limit, limit), uniform_between(rng, -limit, limit)]
}

/// A unit vector of uniform direction.
fn direction(rng: &mut ChaCha8Rng) -> [f64; 2] {
    let (sine, cosine) = libm::sincos(TAU * uniform(rng));
    [cosine, sine]
}

fn dot(a: [f64; 2], b: [f64; 2]) -> f64 {
    a[0] * b[0] + a[1] * b[1]
}

fn difference(a: [f64; 2], b: [f64; 2]) -> [f64; 2] {
    [a[0] - b[0], a[1] - b[1]]
}

/// Points per side of the grid over [-1, 1]^2 on which functions are judged.
const GRID_SIDE: u32 = 16;

/// The centres of the grid's cells.
fn grid() -> impl ExactSizeIterator<Item = [f64; 2]> {
    let at = |place: u32| (f64::from(2 * place + 1)) / f64::from(GRID_SIDE) - 1.0;
    (0..GRID_SIDE * GRID_SIDE).map(move |cell| [at(cell % GRID_SIDE), at(cell / GRID_SIDE)])
}

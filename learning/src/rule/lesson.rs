//! A lesson for tests of gradients.

use hebbian_shared::seed::{Seed, fill_normal, uniform};
use hebbian_shared::spec::evaluation::Objective;

use super::{ExampleBatch, Lesson};

fn seed(number: u64) -> Seed {
    Seed::new(number).unwrap()
}

fn normal(count: usize, number: u64) -> Vec<f64> {
    let mut values = vec![0.0; count];
    fill_normal(&mut seed(number).rng(), &mut values);
    values
}

/// The slope at 0 of a function by a central difference, and by how much it may be wrong: by what the differences on both sides disagree,
/// at a kink or where the function bends much, and by what that over a longer way disagrees, where it has ripples.
pub(super) fn slope(mut at: impl FnMut(f64) -> f64) -> (f64, f64) {
    const STEP: f64 = 1e-6;
    let here = at(0.0);
    let mut around = |step: f64| {
        let (below, above) = (at(-step), at(step));
        ((above - below) / (2.0 * step), (above - 2.0 * here + below).abs() / step)
    };
    let ((slope, doubt), (longer, longer_doubt)) = (around(STEP), around(10.0 * STEP));
    (slope, doubt.max(longer_doubt) + (longer - slope).abs())
}

/// Updates of five examples each, and a query, for networks of some inputs and outputs.
pub(super) struct Examples {
    pub(super) batches: Vec<(Vec<f32>, Vec<f32>)>,
    objective: Objective,
    prequential: bool,
}

impl Examples {
    pub(super) fn new((inputs, outputs): (usize, usize), objective: Objective, prequential: bool) -> Self {
        let mut rng = seed(9).rng();
        let batches = (0..4).map(|update| {
            let inputs = normal(5 * inputs, update).iter().map(|&x| x as f32).collect();
            let classes = outputs.max(2);
            let targets = (0..5).flat_map(|_| {
                // One output is the second of two classes.
                let class = (uniform(&mut rng) * classes as f64) as usize;
                (classes - outputs..classes).map(move |output| if output == class { 1.0 } else { -1.0 })
            });
            let targets = targets.collect();
            (inputs, targets)
        });
        Self { batches: batches.collect(), objective, prequential }
    }

    pub(super) fn batch(&self, place: usize) -> ExampleBatch<'_> {
        let (inputs, targets) = &self.batches[place];
        ExampleBatch { inputs, targets, examples: 5 }
    }
}

impl Lesson for Examples {
    fn support(&mut self, update: u32) -> ExampleBatch<'_> {
        self.batch(update as usize)
    }

    fn query(&mut self, _: u32) -> ExampleBatch<'_> {
        self.batch(3)
    }

    fn support_weight(&self, update: u32) -> f64 {
        if self.prequential && update > 0 { 0.25 } else { 0.0 }
    }

    fn query_weight(&self, updates: u32) -> f64 {
        [0.0, 0.5, 0.0, 0.25][updates as usize]
    }

    fn objective(&self) -> Objective {
        self.objective
    }

    fn is_interrupted(&self) -> bool {
        false
    }
}

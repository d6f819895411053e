//! A population: steps drawn from the search distribution, or given from elsewhere.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, Par};
use hebbian_shared::genome::Genome;
use hebbian_shared::seed::{Purpose, Seed, fill_normal};

use super::linear_algebra::dot;
use super::state::State;

/// The candidates of one generation, as steps from the mean in units of the step size.
#[derive(Clone, Debug)]
pub(super) struct Population {
    /// `y_i = (x_i - m) / sigma`, one column per candidate: n x lambda.
    pub(super) steps: Mat<f64>,
    /// `||C^(-1/2) y_i||^2`, the squared lengths of the steps where the distribution is isotropic.
    pub(super) squared_norms: Vec<f64>,
}

impl Population {
    /// Draws the population of the state's open generation: a function of seed and state.
    pub(super) fn draw(state: &State, population_size: usize, seed: Seed) -> Self {
        let n = state.mean.len();
        let mut rng = seed.derive(Purpose::Sampling, u64::from(state.generation)).rng();
        let mut squared_norms = Vec::with_capacity(population_size);
        let mut scaled = Mat::zeros(n, population_size);
        for candidate in 0..population_size {
            let column = scaled.col_as_slice_mut(candidate);
            fill_normal(&mut rng, column); // (38)
            squared_norms.push(dot(column, column));
            column.iter_mut().zip(&state.axis_lengths).for_each(|(z, d)| *z *= d);
        }
        let mut steps = Mat::zeros(n, population_size);
        matmul(&mut steps, Accum::Replace, &state.eigenbasis, &scaled, 1.0, Par::Seq); // (39)
        Self { steps, squared_norms }
    }

    /// The population of samples that were drawn elsewhere, each of the state's dimension.
    pub(super) fn of_samples(state: &State, samples: &[Genome]) -> Self {
        let n = state.mean.len();
        let mut steps = Mat::zeros(n, samples.len());
        for (candidate, sample) in samples.iter().enumerate() {
            let column = steps.col_as_slice_mut(candidate);
            for (step, (x, m)) in column.iter_mut().zip(sample.0.iter().zip(&state.mean)) {
                *step = (x - m) / state.step_size;
            }
        }
        let mut rotated = Mat::zeros(n, samples.len());
        matmul(&mut rotated, Accum::Replace, state.eigenbasis.transpose(), &steps, 1.0, Par::Seq);
        let squared_norm = |candidate| {
            let column: &mut [f64] = rotated.col_as_slice_mut(candidate);
            column.iter_mut().zip(&state.axis_lengths).for_each(|(z, d)| *z /= d);
            dot(column, column)
        };
        let squared_norms = (0..samples.len()).map(squared_norm).collect();
        Self { steps, squared_norms }
    }

    /// (40): where candidate `candidate` is in the search space.
    pub(super) fn genome(&self, state: &State, candidate: usize) -> Genome {
        let step = self.steps.col_as_slice(candidate);
        Genome(state.mean.iter().zip(step).map(|(m, y)| m + state.step_size * y).collect())
    }
}

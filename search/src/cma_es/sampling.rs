//! A population: steps drawn from the search distribution, or given from elsewhere.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, Par};
use hebbian_shared::seed::{Purpose, Seed, fill_normal};
use serde::{Deserialize, Serialize};

use super::linear_algebra::dot;
use super::normal;
use super::state::State;

/// How standard normal variates are drawn, and how often the distribution that they are drawn from is decomposed. A search
/// keeps to one, since its candidates are a function of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sampler {
    /// One pair after the other, as runs of version 1.
    Pairs,
    /// Many at a time.
    #[default]
    Batches,
}

/// The candidates of one generation, as steps from the mean in units of the step size.
#[derive(Clone, Debug)]
pub(super) struct Population {
    /// `y_i = (x_i - m) / sigma`, one column per candidate: n x lambda.
    pub(super) steps: Mat<f64>,
    /// `||C^(-1/2) y_i||^2`, the squared lengths of the steps where the distribution is isotropic.
    pub(super) squared_norms: Vec<f64>,
    /// `D z_i`, one column per candidate: n x lambda; kept for its memory.
    scaled: Mat<f64>,
}

impl Population {
    /// Room for a population.
    pub(super) fn new(n: usize, population_size: usize) -> Self {
        Self {
            steps: Mat::zeros(n, population_size),
            squared_norms: vec![0.0; population_size],
            scaled: Mat::zeros(n, population_size),
        }
    }

    /// Draws the population of the state's open generation: a function of seed and state.
    ///
    /// `mirrored` makes every second candidate the mirror image of the one before. Points that were injected take the
    /// place of the last candidates, their steps shortened to a length that the distribution might have drawn.
    pub(super) fn draw(&mut self, state: &State, seed: Seed, mirrored: bool) {
        let n = state.mean.len();
        let mut rng = seed.derive(Purpose::Sampling, u64::from(state.generation)).rng();
        for candidate in 0..self.squared_norms.len() {
            if mirrored && candidate % 2 == 1 {
                self.squared_norms[candidate] = self.squared_norms[candidate - 1];
                for i in 0..n {
                    self.scaled[(i, candidate)] = -self.scaled[(i, candidate - 1)];
                }
                continue;
            }
            let column = self.scaled.col_as_slice_mut(candidate);
            match state.sampler {
                Sampler::Pairs => fill_normal(&mut rng, column), // (38)
                Sampler::Batches => normal::fill(&mut rng, column),
            }
            self.squared_norms[candidate] = dot(column, column);
            column.iter_mut().zip(&state.axis_lengths).for_each(|(z, d)| *z *= d);
        }
        matmul(&mut self.steps, Accum::Replace, &state.eigenbasis, &self.scaled, 1.0, Par::Seq); // (39)
        if !state.injected.is_empty() {
            self.inject(state);
        }
    }

    /// N. Hansen, *Injecting External Solutions Into CMA-ES*, arXiv 1110.4181.
    fn inject(&mut self, state: &State) {
        let n = state.mean.len() as f64;
        let longest = n.sqrt() + 2.0 * n / (n + 2.0);
        let first = self.squared_norms.len() - state.injected.len();
        let injected = Self::of_points(state, &state.injected);
        for (place, squared_norm) in injected.squared_norms.iter().enumerate() {
            let shrink = (longest / squared_norm.sqrt()).min(1.0);
            self.squared_norms[first + place] = squared_norm * shrink * shrink;
            let from = injected.steps.col_as_slice(place);
            let to = self.steps.col_as_slice_mut(first + place);
            to.iter_mut().zip(from).for_each(|(to, from)| *to = shrink * from);
        }
    }

    /// The population of points that were drawn elsewhere, each of the state's dimension.
    pub(super) fn of_points(state: &State, points: &[Vec<f64>]) -> Self {
        let n = state.mean.len();
        let mut population = Self::new(n, points.len());
        let Self { steps, squared_norms, scaled } = &mut population;
        for (candidate, point) in points.iter().enumerate() {
            let column = steps.col_as_slice_mut(candidate);
            for (step, (x, m)) in column.iter_mut().zip(point.iter().zip(&state.mean)) {
                *step = (x - m) / state.step_size;
            }
        }
        matmul(&mut *scaled, Accum::Replace, state.eigenbasis.transpose(), &*steps, 1.0, Par::Seq);
        for (candidate, squared_norm) in squared_norms.iter_mut().enumerate() {
            let column: &mut [f64] = scaled.col_as_slice_mut(candidate);
            column.iter_mut().zip(&state.axis_lengths).for_each(|(z, d)| *z /= d);
            *squared_norm = dot(column, column);
        }
        population
    }

    /// (40): where candidate `candidate` is in the search's coordinates.
    pub(super) fn point(&self, state: &State, candidate: usize) -> Vec<f64> {
        let step = self.steps.col_as_slice(candidate);
        state.mean.iter().zip(step).map(|(m, y)| m + state.step_size * y).collect()
    }
}

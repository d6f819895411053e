//! A population: steps drawn from the search distribution, or given from elsewhere.

use hebbian_shared::seed::{Purpose, Seed, fill_normal};

use super::state::State;
use crate::linear_algebra::dot;
use crate::linear_algebra::matrix::Matrix;
use crate::linear_algebra::product::{View, product, set_product};

/// The candidates of one generation, as steps from the mean in units of the step size.
#[derive(Clone, Debug)]
pub(super) struct Population {
    /// `y_i = (x_i - m) / sigma`, one column per candidate: n x lambda.
    pub(super) steps: Matrix,
    /// `||C^(-1/2) y_i||^2`, the squared lengths of the steps where the distribution is isotropic.
    pub(super) squared_norms: Vec<f64>,
    /// `D z_i`, one column per candidate: n x lambda; kept for its memory.
    scaled: Matrix,
}

impl Population {
    /// Room for a population.
    pub(super) fn new(n: usize, population_size: usize) -> Self {
        Self {
            steps: Matrix::zeros(n, population_size),
            squared_norms: vec![0.0; population_size],
            scaled: Matrix::zeros(n, population_size),
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
            let column = self.scaled.column_mut(candidate);
            fill_normal(&mut rng, column); // (38)
            self.squared_norms[candidate] = dot(column, column);
            column.iter_mut().zip(&state.axis_lengths).for_each(|(z, d)| *z *= d);
        }
        set_product(View::from(&state.eigenbasis), View::from(&self.scaled), &mut self.steps); // (39)
        if !state.injected.is_empty() {
            self.inject(state);
        }
    }

    /// N. Hansen, *Injecting External Solutions Into CMA-ES*, arXiv 1110.4181.
    fn inject(&mut self, state: &State) {
        let longest = longest(state.mean.len());
        let first = self.squared_norms.len() - state.injected.len();
        let injected = Self::of_points(state, &state.injected);
        for (place, squared_norm) in injected.squared_norms.iter().enumerate() {
            let shrink = (longest / squared_norm.sqrt()).min(1.0);
            self.squared_norms[first + place] = squared_norm * shrink * shrink;
            let from = injected.steps.column(place);
            let to = self.steps.column_mut(first + place);
            to.iter_mut().zip(from).for_each(|(to, from)| *to = shrink * from);
        }
    }

    /// The population of points that were drawn elsewhere, each of the state's dimension.
    pub(super) fn of_points(state: &State, points: &[Vec<f64>]) -> Self {
        let step = |i: usize, candidate: usize| {
            (points[candidate][i] - state.mean[i]) / state.step_size / state.factor(i)
        };
        Self::of_steps(state, Matrix::from_fn(state.mean.len(), points.len(), step))
    }

    /// The population of steps from the state's mean in units of its step size, one column each.
    pub(super) fn of_steps(state: &State, steps: Matrix) -> Self {
        let mut scaled = product(View::from(&state.eigenbasis).transposed(), View::from(&steps));
        let squared_norm = |candidate| {
            let column = scaled.column_mut(candidate);
            column.iter_mut().zip(&state.axis_lengths).for_each(|(z, d)| *z /= d);
            dot(column, column)
        };
        let squared_norms = (0..steps.columns()).map(squared_norm).collect();
        Self { steps, squared_norms, scaled }
    }

    /// Shortens a step to a length that the distribution might have drawn.
    pub(super) fn shorten(&mut self, candidate: usize) {
        let squared_norm = self.squared_norms[candidate];
        let shrink = longest(self.steps.rows()) / squared_norm.sqrt();
        if shrink < 1.0 {
            self.squared_norms[candidate] = squared_norm * shrink * shrink;
            self.steps.column_mut(candidate).iter_mut().for_each(|y| *y *= shrink);
        }
    }

    /// (40): where candidate `candidate` is in the search's coordinates.
    pub(super) fn point(&self, state: &State, candidate: usize) -> Vec<f64> {
        let step = self.steps.column(candidate);
        if state.factors.is_empty() {
            return state.mean.iter().zip(step).map(|(m, y)| m + state.step_size * y).collect();
        }
        let wide = step.iter().zip(&state.factors).map(|(y, factor)| factor * y);
        state.mean.iter().zip(wide).map(|(m, y)| m + state.step_size * y).collect()
    }
}

/// The longest step of a foreign point in n dimensions.
fn longest(n: usize) -> f64 {
    let n = n as f64;
    n.sqrt() + 2.0 * n / (n + 2.0)
}

//! One generation of CMA-ES: the tutorial's page, one function per group of equations.

use super::super::ranking::Selected;
use super::learning_rate::{Before, LearningRates, normalise};
use super::parameters::Parameters;
use super::sampling::Population;
use super::state::{State, is_workable};
use crate::linear_algebra::matrix::Matrix;
use crate::linear_algebra::product::{Part, View, add_product};
use crate::linear_algebra::{add_scaled, eigen, norm, whiten};

/// The most that the logarithm of the step size changes in one generation.
const STEP_SIZE_CHANGE_MAX: f64 = 1.0;
/// The largest condition number of the distribution that is sampled from.
const CONDITION_LIMIT: f64 = 1e15;

/// An update that would leave the finite numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stuck;

/// Updates the state by the selected candidates. One that would leave the finite numbers is refused, and the distribution
/// stays as it was.
///
/// Without any candidate selected (all diverged), nothing is known: nothing moves and nothing widens.
pub(super) fn update(
    state: &mut State,
    parameters: &Parameters,
    population: &Population,
    selected: &[Selected],
) -> Result<(), Stuck> {
    if selected.is_empty() {
        return Ok(());
    }
    let vectors = Vectors::of(state);
    let covariance = state.learning_rates.is_some().then(|| state.covariance.clone());
    state.updates += 1;
    let step = recombine(population, selected);
    move_mean(state, &step);
    let deviation = selection_deviation(selected);
    let path_step: Vec<f64> = step.iter().map(|y| y / deviation).collect();
    cumulate_step_size_path(state, parameters, &path_step);
    let progress_is_normal = progress_is_normal(state, parameters);
    cumulate_covariance_path(state, parameters, &path_step, progress_is_normal);
    adapt_step_size(state, parameters);
    let adapted = state.vectors_are_sound()
        && adapt_covariance(state, parameters, population, selected, progress_is_normal);
    if !adapted {
        vectors.restore(state);
        return Err(Stuck);
    }
    state.lag += 1;
    let Some(covariance) = covariance else {
        return if state.lag >= parameters.eigen_interval { decompose(state) } else { Ok(()) };
    };
    // The learning rates adapt: the update was a proposal.
    let rates = state.learning_rates.take();
    let moderated = rates.map(|mut rates| {
        let (mean_rate, _) = rates.rates();
        let before = Before { mean: vectors.mean.clone(), step_size: vectors.step_size, covariance };
        rates.moderate(&before, state);
        let decomposed = decompose(state).map(|()| {
            normalise(state);
            // The step size that is best for the mean's rate is the larger, the smaller the rate.
            state.step_size *= mean_rate / rates.rates().0;
        });
        state.learning_rates = Some(rates);
        (decomposed, before.covariance)
    });
    match moderated {
        Some((Ok(()), _))
            if state.vectors_are_sound() && state.axis_lengths.iter().all(|&d| is_workable(d)) =>
        {
            Ok(())
        }
        Some((_, covariance)) => {
            vectors.restore(state);
            state.covariance = covariance;
            // While learning rates adapt, every generation is decomposed: this gives back what was there before.
            decompose(state)?;
            Err(Stuck)
        }
        None => Ok(()),
    }
}

/// Begins the adaptation of learning rates: from here on C has determinant 1.
pub(super) fn begin_adaptation(state: &mut State) -> Result<(), Stuck> {
    decompose(state)?;
    let factor = normalise(state);
    state.covariance_path.iter_mut().for_each(|p| *p /= factor);
    state.learning_rates = Some(LearningRates::new(state.mean.len()));
    Ok(())
}

/// Ends it: the mean takes whole steps again, so the step size is what it would have been with them.
pub(super) fn end_adaptation(state: &mut State) {
    if let Some(rates) = state.learning_rates.take() {
        state.step_size *= rates.rates().0;
    }
}

/// What an update changes first.
struct Vectors {
    mean: Vec<f64>,
    step_size: f64,
    step_size_path: Vec<f64>,
    covariance_path: Vec<f64>,
    updates: u32,
    lag: u32,
}

impl Vectors {
    fn of(state: &State) -> Self {
        Self {
            mean: state.mean.clone(),
            step_size: state.step_size,
            step_size_path: state.step_size_path.clone(),
            covariance_path: state.covariance_path.clone(),
            updates: state.updates,
            lag: state.lag,
        }
    }

    fn restore(self, state: &mut State) {
        state.mean = self.mean;
        state.step_size = self.step_size;
        state.step_size_path = self.step_size_path;
        state.covariance_path = self.covariance_path;
        state.updates = self.updates;
        state.lag = self.lag;
    }
}

/// (41): `<y>_w`, the weighted step of the better candidates.
fn recombine(population: &Population, selected: &[Selected]) -> Vec<f64> {
    let mut step = vec![0.0; population.steps.rows()];
    for s in selected.iter().filter(|s| s.recombination > 0.0) {
        add_scaled(&mut step, s.recombination, population.steps.column(s.candidate));
    }
    step
}

/// The standard deviation of `<y>_w` under random selection, relative to that of one step: `1 / sqrt(mu_eff)` of the
/// weights in use, which differ from the parameters' where fitnesses are equal or candidates diverged.
fn selection_deviation(selected: &[Selected]) -> f64 {
    selected.iter().map(|s| s.recombination * s.recombination).sum::<f64>().sqrt()
}

/// (42) with `c_m = 1`; integers may have wider steps.
fn move_mean(state: &mut State, step: &[f64]) {
    let wide: Vec<f64> = step.iter().enumerate().map(|(i, y)| state.factor(i) * y).collect();
    add_scaled(&mut state.mean, state.step_size, &wide);
}

/// (43); `path_step` is `sqrt(mu_eff) <y>_w`.
fn cumulate_step_size_path(state: &mut State, parameters: &Parameters, path_step: &[f64]) {
    let c = parameters.c_sigma;
    let whitened = whiten(&state.eigenbasis, &state.axis_lengths, path_step);
    state.step_size_path.iter_mut().for_each(|p| *p *= 1.0 - c);
    add_scaled(&mut state.step_size_path, (c * (2.0 - c)).sqrt(), &whitened);
}

/// (44), its exponent clipped: with large populations one generation's path can be far longer than expected.
fn adapt_step_size(state: &mut State, parameters: &Parameters) {
    let excess = norm(&state.step_size_path) / parameters.expected_norm - 1.0;
    let change = parameters.c_sigma / parameters.d_sigma * excess;
    state.step_size *= libm::exp(change.clamp(-STEP_SIZE_CHANGE_MAX, STEP_SIZE_CHANGE_MAX));
}

/// `h_sigma` of (45): false while the step size path is so long that the covariance path must wait. The exponent is
/// 2 (g + 1) with g counted from 0: `updates` counts the present one already.
fn progress_is_normal(state: &State, parameters: &Parameters) -> bool {
    let exponent = 2.0 * f64::from(state.updates);
    let share_cumulated = 1.0 - libm::pow(1.0 - parameters.c_sigma, exponent);
    let limit = 1.4 + 2.0 / (parameters.dimension as f64 + 1.0);
    norm(&state.step_size_path) / share_cumulated.sqrt() < limit * parameters.expected_norm
}

/// (45).
fn cumulate_covariance_path(
    state: &mut State,
    parameters: &Parameters,
    path_step: &[f64],
    progress_is_normal: bool,
) {
    let c = parameters.c_c;
    state.covariance_path.iter_mut().for_each(|p| *p *= 1.0 - c);
    if progress_is_normal {
        add_scaled(&mut state.covariance_path, (c * (2.0 - c)).sqrt(), path_step);
    }
}

/// (46) and (47) as one product `Y diag(w) Y'`, of which the lower triangle is computed. False, and nothing is changed, if
/// C would leave the finite numbers.
fn adapt_covariance(
    state: &mut State,
    parameters: &Parameters,
    population: &Population,
    selected: &[Selected],
    progress_is_normal: bool,
) -> bool {
    let n = parameters.dimension;
    let Parameters { c_1, c_mu, c_c, .. } = *parameters;
    let members: Vec<&Selected> = selected.iter().filter(|s| s.covariance != 0.0).collect();

    // (47); a stalled path (h_sigma = 0) contributes less variance than it forgets, which delta makes up for.
    let delta = if progress_is_normal { 0.0 } else { c_c * (2.0 - c_c) };
    let weight_sum: f64 = members.iter().map(|s| s.covariance).sum();
    let kept = 1.0 + c_1 * delta - c_1 - c_mu * weight_sum;

    // The variances as they will be, and what they could be at most; no covariance is larger in size.
    let mut variances: Vec<f64> = (0..n).map(|i| kept * state.covariance[(i, i)]).collect();
    let mut most = variances.clone();
    // The steps that enter the covariance, and the same weighted.
    let mut columns = Matrix::zeros(n, members.len() + 1);
    let mut weighted = columns.clone();
    let mut place = |column: usize, weight: f64, vector: &[f64]| {
        columns.column_mut(column).copy_from_slice(vector);
        for (i, (w, v)) in weighted.column_mut(column).iter_mut().zip(vector).enumerate() {
            *w = weight * v;
            variances[i] += *w * v;
            most[i] += (*w * v).abs();
        }
    };
    for (column, s) in members.iter().enumerate() {
        let weight = if s.covariance > 0.0 {
            s.covariance
        } else {
            // (46): a long bad step must not shrink more than a short one. A step of length zero says nothing.
            let squared_norm = population.squared_norms[s.candidate];
            if squared_norm > 0.0 { s.covariance * n as f64 / squared_norm } else { 0.0 }
        };
        place(column, c_mu * weight, population.steps.column(s.candidate));
    }
    place(members.len(), c_1, &state.covariance_path);
    if !(variances.iter().all(|&v| is_workable(v)) && most.iter().all(|&v| is_workable(v))) {
        return false;
    }

    for column in 0..n {
        state.covariance.column_mut(column)[column..].iter_mut().for_each(|c| *c *= kept);
    }
    let (columns, weighted) = (View::from(&columns), View::from(&weighted).transposed());
    add_product(columns, weighted, Part::Lower, state.covariance.values_mut(), n);
    true
}

/// `C = B D^2 B'`; widens C by a multiple of the identity where its condition is beyond the limit. Without a decomposition
/// the last one stays.
pub(super) fn decompose(state: &mut State) -> Result<(), Stuck> {
    let (eigenvalues, eigenbasis) =
        eigen::decompose(&state.covariance).map_err(|eigen::NoDecomposition| Stuck)?;
    let (smallest, largest) = (eigenvalues[0], eigenvalues[eigenvalues.len() - 1]);
    // Rounding apart, no direction has a variance.
    if largest <= state.mean.len() as f64 * f64::EPSILON * smallest.abs() {
        return Err(Stuck);
    }
    let lift = ((largest - CONDITION_LIMIT * smallest) / (CONDITION_LIMIT - 1.0)).max(0.0);
    for (i, (length, eigenvalue)) in state.axis_lengths.iter_mut().zip(eigenvalues).enumerate() {
        *length = (eigenvalue + lift).sqrt();
        state.covariance[(i, i)] += lift;
    }
    state.eigenbasis = eigenbasis;
    state.lag = 0;
    Ok(())
}

#[cfg(test)]
mod tests;

//! One generation of CMA-ES: the tutorial's page, one function per group of equations.

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::evd::{ComputeEigenvectors, self_adjoint_evd, self_adjoint_evd_scratch};
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::{Accum, Mat, Par, Spec};

use super::super::ranking::Selected;
use super::linear_algebra::{add_scaled, norm, whiten};
use super::parameters::Parameters;
use super::sampling::Population;
use super::state::State;

/// The most that the logarithm of the step size changes in one generation.
const STEP_SIZE_CHANGE_MAX: f64 = 1.0;
/// The largest condition number of the distribution that is sampled from.
const CONDITION_LIMIT: f64 = 1e15;

/// The state after an update by the selected candidates; `None` if it would leave the finite numbers.
///
/// Without any candidate selected (all diverged), nothing is known: nothing moves and nothing widens.
pub(super) fn update(
    state: &State,
    parameters: &Parameters,
    population: &Population,
    selected: &[Selected],
) -> Option<State> {
    let mut next = state.clone();
    if selected.is_empty() {
        return Some(next);
    }
    next.updates += 1;
    let step = recombine(population, selected);
    move_mean(&mut next, &step);
    let deviation = selection_deviation(selected);
    let path_step: Vec<f64> = step.iter().map(|y| y / deviation).collect();
    cumulate_step_size_path(&mut next, parameters, &path_step);
    let progress_is_normal = progress_is_normal(&next, parameters);
    cumulate_covariance_path(&mut next, parameters, &path_step, progress_is_normal);
    adapt_covariance(&mut next, parameters, population, selected, progress_is_normal);
    adapt_step_size(&mut next, parameters);
    next.lag += 1;
    if !next.is_sound() {
        return None;
    }
    if next.lag >= parameters.eigen_interval {
        decompose(&mut next)?;
    }
    Some(next)
}

/// (41): `<y>_w`, the weighted step of the better candidates.
fn recombine(population: &Population, selected: &[Selected]) -> Vec<f64> {
    let mut step = vec![0.0; population.steps.nrows()];
    for s in selected.iter().filter(|s| s.recombination > 0.0) {
        add_scaled(&mut step, s.recombination, population.steps.col_as_slice(s.candidate));
    }
    step
}

/// The standard deviation of `<y>_w` under random selection, relative to that of one step: `1 / sqrt(mu_eff)` of the
/// weights in use, which differ from the parameters' where fitnesses are equal or candidates diverged.
fn selection_deviation(selected: &[Selected]) -> f64 {
    selected.iter().map(|s| s.recombination * s.recombination).sum::<f64>().sqrt()
}

/// (42) with `c_m = 1`.
fn move_mean(state: &mut State, step: &[f64]) {
    add_scaled(&mut state.mean, state.step_size, step);
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

/// (46) and (47) as one product `Y diag(w) Y'`, of which the lower triangle is computed.
fn adapt_covariance(
    state: &mut State,
    parameters: &Parameters,
    population: &Population,
    selected: &[Selected],
    progress_is_normal: bool,
) {
    let n = parameters.dimension;
    let Parameters { c_1, c_mu, c_c, .. } = *parameters;
    let members: Vec<&Selected> = selected.iter().filter(|s| s.covariance != 0.0).collect();
    let mut columns = Mat::zeros(n, members.len() + 1);
    let mut weighted = Mat::zeros(n, members.len() + 1);
    let mut place = |column: usize, weight: f64, vector: &[f64]| {
        columns.col_as_slice_mut(column).copy_from_slice(vector);
        add_scaled(weighted.col_as_slice_mut(column), weight, vector);
    };
    for (column, s) in members.iter().enumerate() {
        let weight = if s.covariance > 0.0 {
            s.covariance
        } else {
            // (46): a long bad step must not shrink more than a short one. A step of length zero says nothing.
            let squared_norm = population.squared_norms[s.candidate];
            if squared_norm > 0.0 { s.covariance * n as f64 / squared_norm } else { 0.0 }
        };
        place(column, c_mu * weight, population.steps.col_as_slice(s.candidate));
    }
    place(members.len(), c_1, &state.covariance_path);

    // (47); a stalled path (h_sigma = 0) contributes less variance than it forgets, which delta makes up for.
    let delta = if progress_is_normal { 0.0 } else { c_c * (2.0 - c_c) };
    let weight_sum: f64 = members.iter().map(|s| s.covariance).sum();
    let kept = 1.0 + c_1 * delta - c_1 - c_mu * weight_sum;
    for column in 0..n {
        state.covariance.col_as_slice_mut(column)[column..].iter_mut().for_each(|c| *c *= kept);
    }
    triangular::matmul(
        &mut state.covariance,
        BlockStructure::TriangularLower,
        Accum::Add,
        &columns,
        BlockStructure::Rectangular,
        weighted.transpose(),
        BlockStructure::Rectangular,
        1.0,
        Par::Seq,
    );
}

/// `C = B D^2 B'`; widens C by a multiple of the identity where its condition is beyond the limit. `None` if there is no
/// decomposition.
fn decompose(state: &mut State) -> Option<()> {
    let n = state.mean.len();
    let scratch = self_adjoint_evd_scratch::<f64>(n, ComputeEigenvectors::Yes, Par::Seq, Spec::default());
    let mut memory = MemBuffer::new(scratch);
    let mut eigenvalues = faer::Col::zeros(n);
    self_adjoint_evd(
        state.covariance.as_ref(),
        eigenvalues.as_diagonal_mut(),
        Some(state.eigenbasis.as_mut()),
        Par::Seq,
        MemStack::new(&mut memory),
        Spec::default(),
    )
    .ok()?;
    let (smallest, largest) = eigenvalues
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |ends, &e| (ends.0.min(e), ends.1.max(e)));
    if largest <= 0.0 || !eigenvalues.iter().all(|e| e.is_finite()) {
        return None;
    }
    let lift = ((largest - CONDITION_LIMIT * smallest) / (CONDITION_LIMIT - 1.0)).max(0.0);
    for (i, (length, eigenvalue)) in state.axis_lengths.iter_mut().zip(eigenvalues.iter()).enumerate() {
        *length = (eigenvalue + lift).sqrt();
        state.covariance[(i, i)] += lift;
    }
    state.lag = 0;
    Some(())
}

/// The length of the longest coordinate of `sigma p_c`, which `tolx` looks at.
pub(super) fn path_reach(state: &State) -> f64 {
    let longest = state.covariance_path.iter().fold(0.0f64, |longest, p| longest.max(p.abs()));
    state.step_size * longest
}

#[cfg(test)]
mod tests;

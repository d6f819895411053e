//! LRA-CMA-ES: learning rates that keep the signal-to-noise ratio of the updates constant.
//!
//! M. Nomura, Y. Akimoto, I. Ono, *CMA-ES with Learning Rate Adaptation: Can CMA-ES with Default Population Size Solve
//! Multimodal and Noisy Problems?*, GECCO 2023, arXiv 2304.03473. Equation numbers are the paper's.
//!
//! An update as plain CMA-ES would make it is taken as a proposal, of which the distribution takes a share: `eta_m` of
//! the mean's way and `eta_Sigma` of the change of `Sigma = sigma^2 C`. The shares adapt such that the estimated
//! signal-to-noise ratio of the proposals stays `alpha` times the share.

use serde::{Deserialize, Serialize};

use super::state::State;
use crate::linear_algebra::matrix::Matrix;
use crate::linear_algebra::product::{Part, View, add_product, product};
use crate::linear_algebra::{add_scaled, dot};

/// The signal-to-noise ratio aimed at, over the learning rate (`alpha`).
const ALPHA: f64 = 1.4;
/// Decay of the mean's accumulated updates (`beta_m`).
const BETA_MEAN: f64 = 0.1;
/// Decay of the covariance's accumulated updates (`beta_Sigma`).
const BETA_COVARIANCE: f64 = 0.03;
/// Damping of the learning rates (`gamma`).
const GAMMA: f64 = 0.1;
/// No learning rate falls below this.
const RATE_MIN: f64 = 1e-6;

/// A learning rate and the accumulated updates that it adapts by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Rate {
    /// In (0, 1].
    eta: f64,
    /// E: the average of recent updates, in coordinates in which the distribution was the standard normal one.
    average: Vec<f64>,
    /// V: the average of their squared lengths.
    power: f64,
}

impl Rate {
    fn new(length: usize) -> Self {
        Self { eta: 1.0, average: vec![0.0; length], power: 0.0 }
    }

    /// (8) to (14): takes note of an update and adapts.
    fn adapt(&mut self, update: &[f64], beta: f64) {
        self.average.iter_mut().for_each(|e| *e *= 1.0 - beta);
        add_scaled(&mut self.average, beta, update);
        self.power = (1.0 - beta) * self.power + beta * dot(update, update);
        let signal = dot(&self.average, &self.average);
        let noise = self.power - signal;
        if noise <= 0.0 {
            // All updates so far were the same one.
            return;
        }
        let ratio = (signal - beta / (2.0 - beta) * self.power) / noise;
        let excess = (ratio / ALPHA / self.eta - 1.0).clamp(-1.0, 1.0);
        self.eta *= libm::exp((GAMMA * self.eta).min(beta) * excess);
        self.eta = self.eta.clamp(RATE_MIN, 1.0);
    }

    fn is_sound(&self, length: usize) -> bool {
        self.average.len() == length
            && (RATE_MIN..=1.0).contains(&self.eta)
            && self.average.iter().all(|e| e.is_finite())
            && self.power >= 0.0
            && self.power.is_finite()
    }
}

/// The learning rates of mean and covariance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct LearningRates {
    mean: Rate,
    covariance: Rate,
}

/// The distribution before an update.
pub(super) struct Before {
    pub(super) mean: Vec<f64>,
    pub(super) step_size: f64,
    pub(super) covariance: Matrix,
}

impl LearningRates {
    /// Both 1, in n dimensions.
    pub(super) fn new(n: usize) -> Self {
        Self { mean: Rate::new(n), covariance: Rate::new(n * (n + 1) / 2) }
    }

    /// The mean's (`eta_m`) and the covariance's (`eta_Sigma`).
    pub(super) fn rates(&self) -> (f64, f64) {
        (self.mean.eta, self.covariance.eta)
    }

    /// Adapts the rates by the update from `before` to `state`, whose decomposition is that of `before`, and takes back
    /// all of the update but their shares. The covariance's lower triangle then holds `Sigma / before.step_size^2`:
    /// [`normalise`] must follow its decomposition.
    pub(super) fn moderate(&mut self, before: &Before, state: &mut State) {
        let n = state.mean.len();
        let Self { mean, covariance } = self;
        let growth = (state.step_size / before.step_size).powi(2);

        // (6): the updates where the distribution is the standard normal one, C^(-1/2) = B D^-1 B' on either side.
        let mut scaled = state.eigenbasis.clone();
        for (axis, length) in state.axis_lengths.iter().enumerate() {
            scaled.column_mut(axis).iter_mut().for_each(|b| *b /= length);
        }
        let root = product(View::from(&scaled), View::from(&state.eigenbasis).transposed());
        let factors: Vec<f64> = (0..n).map(|i| state.factor(i)).collect();
        let moved = state.mean.iter().zip(&before.mean).zip(&factors);
        let way: Vec<f64> = moved.map(|((m, b), factor)| (m - b) / before.step_size / factor).collect();
        let local: Vec<f64> = (0..n).map(|i| dot(root.column(i), &way)).collect();
        let change = Matrix::from_fn(n, n, |row, column| {
            let place = if row >= column { (row, column) } else { (column, row) };
            growth * state.covariance[place] - before.covariance[place]
        });
        let half = product(View::from(&root), View::from(&change));
        let mut whole = Matrix::zeros(n, n);
        add_product(View::from(&half), View::from(&root), Part::Lower, whole.values_mut(), n);
        // The matrix is symmetric: half of it has the same inner products if its diagonal weighs half.
        let mut local_change = Vec::with_capacity(n * (n + 1) / 2);
        for column in 0..n {
            local_change.push(whole[(column, column)] * std::f64::consts::FRAC_1_SQRT_2);
            local_change.extend(&whole.column(column)[column + 1..]);
        }

        mean.adapt(&local, BETA_MEAN);
        covariance.adapt(&local_change, BETA_COVARIANCE);

        // (15): the shares.
        let moved = before.mean.iter().zip(way.iter().zip(&factors));
        for (m, (old, (way, factor))) in state.mean.iter_mut().zip(moved) {
            *m = old + mean.eta * before.step_size * way * factor;
        }
        for column in 0..n {
            let old = &before.covariance.column(column)[column..];
            let new = &change.column(column)[column..];
            let place = &mut state.covariance.column_mut(column)[column..];
            for (c, (old, new)) in place.iter_mut().zip(old.iter().zip(new)) {
                *c = old + covariance.eta * new;
            }
        }
        state.step_size = before.step_size;
    }

    /// Whether a search of n dimensions can reach them.
    pub(super) fn is_sound(&self, n: usize) -> bool {
        self.mean.is_sound(n) && self.covariance.is_sound(n * (n + 1) / 2)
    }
}

/// Splits `Sigma = sigma^2 C`, just decomposed, such that C has determinant 1. Returns the factor by which sigma grew.
pub(super) fn normalise(state: &mut State) -> f64 {
    let n = state.mean.len();
    let logarithms: f64 = state.axis_lengths.iter().map(|&length| libm::log(length)).sum();
    let factor = libm::exp(logarithms / n as f64);
    state.step_size *= factor;
    state.axis_lengths.iter_mut().for_each(|length| *length /= factor);
    for column in 0..n {
        state.covariance.column_mut(column)[column..].iter_mut().for_each(|c| *c /= factor * factor);
    }
    factor
}

#[cfg(test)]
mod tests;

//! What CMA-ES derives from the dimension and the population size before it starts. Equation numbers are those of
//! N. Hansen, *The CMA Evolution Strategy: A Tutorial*, arXiv 1604.00772.

/// Strategy parameters by the tutorial's Table 1, fixed for a whole search.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameters {
    /// Dimension of the search space (n).
    pub dimension: usize,
    /// Weights of the ranks, best first (w): the positive ones sum to 1, the negative ones shrink the covariance.
    pub weights: Vec<f64>,
    /// Variance effective selection mass of the positive weights (`mu_eff`).
    pub mu_eff: f64,
    /// Decay of the step size path (`c_sigma`).
    pub c_sigma: f64,
    /// Damping of the step size (`d_sigma`).
    pub d_sigma: f64,
    /// Decay of the covariance path (`c_c`).
    pub c_c: f64,
    /// Learning rate of the rank-one update (`c_1`).
    pub c_1: f64,
    /// Learning rate of the rank-mu update (`c_mu`).
    pub c_mu: f64,
    /// Updates of the covariance matrix from one eigendecomposition to the next, at least 1: how long the sampling
    /// distribution may lag behind the covariance matrix, so that decomposing (of the order n^3) costs little beside updating
    /// (of the order lambda n^2). Tutorial B.2 proposes `1 / (10 n (c_1 + c_mu))`, Hansen's purecma
    /// takes five times that. Ten times that costs no evaluations, as long as (52) takes nothing from the negative weights.
    pub eigen_interval: u32,
    /// Expected length of a standard normal vector, `E||N(0, I)||`.
    pub expected_norm: f64,
}

impl Parameters {
    /// The parameters for a dimension of at least 1 and a population of at least 2; `active` keeps negative weights.
    pub fn new(dimension: usize, population_size: usize, active: bool) -> Self {
        let n = dimension as f64;
        let raw = raw_weights(population_size);
        let (positive, rest) = raw.split_at(population_size / 2);
        let mu_eff = effective_mass(positive);
        let mu_eff_minus = effective_mass(rest);

        let c_sigma = (mu_eff + 2.0) / (n + mu_eff + 5.0); // (55)
        let d_sigma = 1.0 + 2.0 * (((mu_eff - 1.0) / (n + 1.0)).sqrt() - 1.0).max(0.0) + c_sigma; // (55)
        let c_c = (4.0 + mu_eff / n) / (n + 4.0 + 2.0 * mu_eff / n); // (56)
        let c_1 = ALPHA_COV / ((n + 1.3).powi(2) + mu_eff); // (57)
        let c_mu = (ALPHA_COV * (0.25 + mu_eff + 1.0 / mu_eff - 2.0)
            / ((n + 2.0).powi(2) + ALPHA_COV * mu_eff / 2.0))
            .min(1.0 - c_1); // (58)

        let alpha_mu = 1.0 + c_1 / c_mu; // (50)
        let alpha_mu_eff = 1.0 + 2.0 * mu_eff_minus / (mu_eff + 2.0); // (51)
        let alpha_pos_def = |interval| positive_definite_mass(n, c_1, c_mu, interval); // (52)
        let alpha = alpha_mu.min(alpha_mu_eff);
        let longest = (1.0 / (n * (c_1 + c_mu))).max(1.0) as u32;
        let eigen_interval =
            (1..=longest).rev().find(|&interval| alpha_pos_def(interval) >= alpha).unwrap_or(1);
        let negative_mass = if active { alpha.min(alpha_pos_def(eigen_interval)) } else { 0.0 };
        let weights = scale_weights(&raw, negative_mass);

        Self {
            dimension,
            weights,
            mu_eff,
            c_sigma,
            d_sigma,
            c_c,
            c_1,
            c_mu,
            eigen_interval,
            expected_norm: expected_norm(dimension),
        }
    }

    /// The population size (lambda).
    pub fn population_size(&self) -> usize {
        self.weights.len()
    }
}

/// The tutorial's `alpha_cov`.
const ALPHA_COV: f64 = 2.0;

/// (49): logarithmic in the rank, positive for the better half.
fn raw_weights(population_size: usize) -> Vec<f64> {
    let middle = libm::log(f64::midpoint(population_size as f64, 1.0));
    (1..=population_size).map(|rank| middle - libm::log(rank as f64)).collect()
}

/// `(sum w)^2 / sum w^2`, the number of equally weighted samples with the same variance; Table 1, `mu_eff`, `mu_eff^-`.
fn effective_mass(weights: &[f64]) -> f64 {
    let sum: f64 = weights.iter().sum();
    sum * sum / weights.iter().map(|w| w * w).sum::<f64>()
}

/// (52) for a lagging decomposition: the negative mass S that keeps C positive definite.
///
/// An update takes at most `c_mu n S` times the *decomposed* matrix `C_0` from C, since (46) measures the length of a
/// step in `C_0`, and scales C by at least `1 - c_1 - c_mu` and at most 1. After k updates in the worst case,
/// `C >= ((1 - c_1 - c_mu)^k - k c_mu n S) C_0`; for k = 1 the limit is (52).
fn positive_definite_mass(n: f64, c_1: f64, c_mu: f64, eigen_interval: u32) -> f64 {
    libm::pow(1.0 - c_1 - c_mu, f64::from(eigen_interval)) / (n * c_mu * f64::from(eigen_interval))
}

/// (53): positive weights sum to 1, negative ones to `-negative_mass`.
fn scale_weights(raw: &[f64], negative_mass: f64) -> Vec<f64> {
    let positive: f64 = raw.iter().filter(|&&w| w > 0.0).sum();
    let negative: f64 = -raw.iter().filter(|&&w| w < 0.0).sum::<f64>();
    raw.iter().map(|&w| if w >= 0.0 { w / positive } else { w * negative_mass / negative }).collect()
}

/// `sqrt(2) gamma((n + 1) / 2) / gamma(n / 2)` by the recurrence `E_(n+1) = n / E_n`.
fn expected_norm(dimension: usize) -> f64 {
    let first = (2.0 / std::f64::consts::PI).sqrt();
    (1..dimension).fold(first, |expected, n| n as f64 / expected)
}

#[cfg(test)]
mod tests;

use super::*;

/// Written by `tests/fixtures/pycma/parameters.py` from the tutorial's formulas.
const GOLDEN: &str = include_str!("../../../../tests/fixtures/pycma/parameters.json");

#[derive(serde::Deserialize)]
struct Golden {
    dimension: usize,
    population_size: usize,
    weights: Vec<f64>,
    mu_eff: f64,
    c_sigma: f64,
    d_sigma: f64,
    c_c: f64,
    c_1: f64,
    c_mu: f64,
    expected_norm: f64,
}

fn check(found: f64, expected: f64, what: &str) {
    assert!((found - expected).abs() <= 1e-12 * expected.abs(), "{what}: {found}, not {expected}");
}

#[test]
fn parameters_are_those_of_the_tutorials_table() {
    let golden: Vec<Golden> = serde_json::from_str(GOLDEN).unwrap();
    assert!(golden.len() >= 10);
    for golden in golden {
        let (n, lambda) = (golden.dimension, golden.population_size);
        let found = Parameters::new(n, lambda, true);
        let name = |parameter| format!("{parameter} for n = {n}, lambda = {lambda}");
        assert_eq!(found.population_size(), lambda);
        for (found, expected) in found.weights.iter().zip(&golden.weights) {
            check(*found, *expected, &name("a weight"));
        }
        check(found.mu_eff, golden.mu_eff, &name("mu_eff"));
        check(found.c_sigma, golden.c_sigma, &name("c_sigma"));
        check(found.d_sigma, golden.d_sigma, &name("d_sigma"));
        check(found.c_c, golden.c_c, &name("c_c"));
        check(found.c_1, golden.c_1, &name("c_1"));
        check(found.c_mu, golden.c_mu, &name("c_mu"));
        check(found.expected_norm, golden.expected_norm, &name("expected norm"));
    }
}

#[test]
fn without_the_active_update_no_weight_is_negative() {
    let (active, positive) = (Parameters::new(10, 10, true), Parameters::new(10, 10, false));
    assert_eq!(active.weights[..5], positive.weights[..5]);
    assert!(active.weights[5..].iter().all(|&w| w < 0.0));
    assert!(positive.weights[5..].iter().all(|&w| w == 0.0));
}

/// The bound that the documentation of `positive_definite_mass` derives, for default and for large populations.
#[test]
fn negative_weights_respect_the_lag_of_the_decomposition() {
    for n in [1usize, 2, 5, 10, 30, 87, 100, 264, 1000, 3000] {
        let default = 4 + (3.0 * libm::log(n as f64)) as usize;
        for lambda in [default, 2 * default, 10 * default, 1000] {
            let p = Parameters::new(n, lambda, true);
            let negative: f64 = -p.weights.iter().filter(|&&w| w < 0.0).sum::<f64>();
            let kept = 1.0 - p.c_1 - p.c_mu * p.weights.iter().sum::<f64>();
            assert!(kept <= 1.0 + 1e-12, "n = {n}, lambda = {lambda}: {kept}");
            let taken = p.c_mu * n as f64 * negative;
            let worst = (0..p.eigen_interval).fold(1.0, |least, _| kept * least - taken);
            assert!(worst >= -1e-12, "n = {n}, lambda = {lambda}: {worst}");
        }
    }
    assert!(Parameters::new(264, 20, true).eigen_interval > 1);
}

/// Longer intervals than the tutorial's leave every weight as the tutorial has it.
#[test]
fn a_lazier_decomposition_takes_nothing_from_the_weights() {
    for (n, lambda, interval) in [(2, 6, 1), (10, 10, 2), (24, 13, 3), (72, 16, 8)] {
        let lazy = Parameters::new(n, lambda, true);
        assert_eq!(lazy.eigen_interval, interval, "{n}");
        let negative: f64 = -lazy.weights.iter().filter(|&&w| w < 0.0).sum::<f64>();
        // (50) and (51): what (52) would leave of the negative weights is no less.
        let raw: Vec<f64> = raw_weights(lambda);
        let alpha_mu_eff = 1.0 + 2.0 * effective_mass(&raw[lambda / 2..]) / (lazy.mu_eff + 2.0);
        let expected = (1.0 + lazy.c_1 / lazy.c_mu).min(alpha_mu_eff);
        check(negative, expected, &format!("the negative weights for n = {n}"));
    }
}

use hebbian_shared::fitness::{Fitness, Verdict};
use hebbian_shared::seed::Seed;

use super::super::super::ranking;
use super::*;

const SEED: u64 = 11;

fn population(state: &State, parameters: &Parameters) -> Population {
    let mut population = Population::new(state.mean.len(), parameters.population_size());
    population.draw(state, Seed::new(SEED).unwrap(), false);
    population
}

fn generation(
    state: &mut State,
    parameters: &Parameters,
    fitness: impl Fn(&[f64]) -> f64,
) -> Result<(), Stuck> {
    let population = population(state, parameters);
    let verdict = |i| Verdict::Fit(Fitness::new(fitness(&population.point(state, i))).unwrap());
    let verdicts: Vec<Verdict> = (0..parameters.population_size()).map(verdict).collect();
    let selected = ranking::select(&verdicts, &parameters.weights);
    update(state, parameters, &population, &selected)?;
    state.generation += 1;
    Ok(())
}

fn sphere(x: &[f64]) -> f64 {
    -x.iter().map(|x| x * x).sum::<f64>()
}

/// `C = B D^2 B'` up to rounding, wherever C has just been decomposed.
fn check_decomposition(state: &State) {
    let n = state.mean.len();
    for row in 0..n {
        for column in 0..=row {
            let product: f64 = (0..n)
                .map(|k| {
                    state.eigenbasis[(row, k)] * state.axis_lengths[k].powi(2) * state.eigenbasis[(column, k)]
                })
                .sum();
            let scale = state.axis_range().1.powi(2);
            assert!((product - state.covariance[(row, column)]).abs() < 1e-13 * n as f64 * scale);
        }
    }
}

#[test]
fn the_decomposition_is_that_of_the_covariance_matrix_and_lags_by_the_interval() {
    for (n, lambda) in [(1, 4), (2, 6), (24, 13), (130, 20)] {
        let parameters = Parameters::new(n, lambda, true);
        let mut state = State::new(vec![1.0; n], 0.5);
        for generations in 1..=2 * parameters.eigen_interval {
            generation(&mut state, &parameters, sphere).unwrap();
            assert_eq!(state.lag, generations % parameters.eigen_interval);
            if state.lag == 0 {
                check_decomposition(&state);
            }
        }
    }
    assert!(Parameters::new(130, 20, true).eigen_interval > 1);
}

/// In one dimension all bad steps point the same way, and with a large population most of the variance is at stake.
#[test]
fn the_covariance_matrix_stays_positive_definite_whatever_is_selected() {
    for (n, lambda) in [(1, 4), (1, 1000), (3, 200), (10, 500), (100, 17)] {
        let parameters = Parameters::new(n, lambda, true);
        let mut state = State::new(vec![0.0; n], 1.0);
        // The longest steps along the first axis are the worst: negative weights all shrink that axis.
        for _ in 0..30 {
            generation(&mut state, &parameters, |x| -x[0].abs()).unwrap();
            let mut decomposed = state.clone();
            decompose(&mut decomposed).unwrap();
            assert!(decomposed.axis_range().0 > 0.0);
        }
    }
}

#[test]
fn an_ill_conditioned_matrix_is_widened_to_the_limit() {
    let mut state = State::new(vec![0.0; 3], 1.0);
    state.covariance[(0, 0)] = 1e-20;
    state.covariance[(2, 2)] = -1e-6;
    decompose(&mut state).unwrap();
    let (shortest, longest) = state.axis_range();
    assert!(((longest / shortest).powi(2) / CONDITION_LIMIT - 1.0).abs() < 0.1, "{shortest} {longest}");
    check_decomposition(&state);
    state.covariance[(0, 0)] = f64::NAN;
    assert_eq!(decompose(&mut state), Err(Stuck));
}

#[test]
fn the_step_size_change_is_clipped() {
    let parameters = Parameters::new(2, 10_000, true);
    let check = |component: f64, expected: f64| {
        let mut state = State::new(vec![0.0; 2], 1.0);
        state.step_size_path = vec![component; 2];
        adapt_step_size(&mut state, &parameters);
        assert!((state.step_size / expected - 1.0).abs() < 1e-12, "{}, not {expected}", state.step_size);
    };
    check(1e3, std::f64::consts::E);
    check(0.0, libm::exp(-parameters.c_sigma / parameters.d_sigma));
}

/// With `c_sigma` the first path is `sqrt(c (2 - c)) z`, and `1 - (1 - c)^2 = c (2 - c)` makes its length that of z.
#[test]
fn the_first_update_corrects_the_path_by_the_second_power() {
    let parameters = Parameters::new(10, 10, true);
    let c = parameters.c_sigma;
    let limit = (1.4 + 2.0 / 11.0) * parameters.expected_norm;
    for (length, normal) in [(0.999 * limit, true), (1.001 * limit, false)] {
        let mut state = State::new(vec![0.0; 10], 1.0);
        state.updates = 1;
        let mut step = vec![0.0; 10];
        step[3] = length;
        cumulate_step_size_path(&mut state, &parameters, &step);
        assert!((norm(&state.step_size_path) - (c * (2.0 - c)).sqrt() * length).abs() < 1e-12);
        assert_eq!(progress_is_normal(&state, &parameters), normal, "{length}");
    }
}

#[test]
fn an_update_that_leaves_the_finite_numbers_is_refused() {
    let parameters = Parameters::new(4, 8, true);
    let far = State::new(vec![0.99e140; 4], 1e140);
    let mut after = far.clone();
    assert_eq!(generation(&mut after, &parameters, |x| x[0]), Err(Stuck));
    assert_eq!(after, far);
    // The step size fits, the covariance does not.
    let mut wide = State::new(vec![0.0; 4], 1e-100);
    wide.covariance = Matrix::from_fn(4, 4, |i, j| if i == j { 1e140 } else { 0.0 });
    wide.axis_lengths = vec![1e100; 4];
    let mut after = wide.clone();
    assert_eq!(generation(&mut after, &parameters, |x| x[0]), Err(Stuck));
    assert_eq!(after, wide);
}

/// On a plateau all weights are shared: there is no selection, so the distribution keeps its size on average.
#[test]
fn a_flat_fitness_does_not_change_the_step_size_on_average() {
    let parameters = Parameters::new(20, 12, true);
    let mut state = State::new(vec![0.0; 20], 1.0);
    for _ in 0..400 {
        generation(&mut state, &parameters, |_| 1.0).unwrap();
    }
    let drift = libm::log(state.step_size).abs();
    assert!(drift < 2.0, "log sigma drifted by {drift} in 400 generations");
}

//! Golden vectors of `EvoGrad`: `evograd-*.json`, all in f64. They are told by what is given.

use hebbian_learning::rule::evograd::{self, GradientEstimate, Response};
use hebbian_learning::rule::loss::Descended;
use hebbian_learning::rule::sample_weights::meta::step;
use hebbian_learning::rule::sample_weights::response::{Trained, Training};
use hebbian_learning::rule::warped_descent::Network;
use hebbian_shared::spec::rule::sample_weights::Normalise;
use hebbian_shared::spec::strategy::WeightsFrom;
use serde_json::Value;

use super::sample_weights::{cast, flat, function, read_form, targets};
use super::{compare_shares, field, list, number, numbers};

const BOUND: f64 = 1e-9;

/// Whether a vector is one of these.
pub(super) fn is_one(vector: &Value) -> bool {
    let given = &vector["given"];
    let of_copies = |case: &Value| case.get("temperature").is_some() && case.get("samplers").is_none();
    of_copies(given) || of_copies(&given[0]) || of_copies(&given["cases"][0])
}

/// Runs a vector.
pub(super) fn run(vector: &Value) -> Result<(), String> {
    let (given, expected) = (field(vector, "given")?, field(vector, "expected")?);
    if given.get("A").is_some() {
        return ridge(given, expected);
    }
    if given.get("W").is_some() {
        return weight_net(given, expected);
    }
    if given.get("adam").is_some() {
        return trace(given, expected);
    }
    let cases = given.as_array().ok_or("given: must be a list")?;
    let expected = expected.as_array().ok_or("expected: must be a list")?;
    if cases.len() != expected.len() {
        return Err(format!("expected: {} cases, not {}", expected.len(), cases.len()));
    }
    for (place, (given, expected)) in cases.iter().zip(expected).enumerate() {
        let found = if given.get("lam").is_some() {
            one_dimension(given, expected)
        } else {
            softmax(given, expected)
        };
        found.map_err(|problem| format!("[{place}]: {problem}"))?;
    }
    Ok(())
}

fn softmax(given: &Value, expected: &Value) -> Result<(), String> {
    let found = evograd::weights(&numbers(field(given, "losses")?), number(given, "temperature")?);
    compare_shares("weights", &found, field(expected, "weights")?, BOUND)
}

/// Sigma and temperature.
fn scale(given: &Value) -> Result<(f64, f64), String> {
    Ok((number(given, "sigma")?, number(given, "temperature")?))
}

fn perturbations(given: &Value) -> Result<Vec<Vec<f64>>, String> {
    Ok(list(given, "eps")?.iter().map(numbers).collect())
}

/// All that a vector has of an estimate.
fn check(found: &GradientEstimate, expected: &Value) -> Result<(), String> {
    for (name, values) in [
        ("losses", &found.losses),
        ("weights", &found.weights),
        ("merged", &found.merged),
        ("coefficients", &found.coefficients),
        ("loss_by_lambda", &found.by_lambda.concat()),
        ("hypergradient", &found.gradient),
    ] {
        if let Some(expected) = expected.get(name) {
            compare_shares(name, values, expected, BOUND)?;
        }
    }
    Ok(())
}

/// `l_T = (x - 1)^2 + lam x^2`, `l_V = (x - 1/2)^2`
struct Parabola(f64);

impl Response for Parabola {
    fn training_loss(&mut self, weights: &[f64], by_lambda: &mut [f64]) -> f64 {
        let x = weights[0];
        by_lambda[0] = x * x;
        (x - 1.0) * (x - 1.0) + self.0 * x * x
    }

    fn clean_gradient(&mut self, weights: &[f64], gradient: &mut [f64]) {
        gradient[0] = 2.0 * (weights[0] - 0.5);
    }

    fn dimension(&self) -> usize {
        1
    }
}

fn one_dimension(given: &Value, expected: &Value) -> Result<(), String> {
    let (lam, x) = (number(given, "lam")?, number(given, "x")?);
    let found = evograd::estimate(&mut Parabola(lam), &[x], &perturbations(given)?, scale(given)?);
    check(&found, expected)?;
    let exact = (lam - 1.0) / (lam + 1.0).powi(3);
    compare_shares("exact", &[exact], field(expected, "exact")?, BOUND)
}

/// Alternations: x descends its loss, then lambda by Adam along the estimate.
fn trace(given: &Value, expected: &Value) -> Result<(), String> {
    let (mut lam, mut x) = (number(given, "lam")?, number(given, "x")?);
    let (rate, adam) = (number(given, "learning_rate")?, field(given, "adam")?);
    let [step, beta_1, beta_2, epsilon] =
        [number(adam, "rate")?, number(adam, "beta1")?, number(adam, "beta2")?, number(adam, "epsilon")?];
    let (mut mean, mut square) = (0.0, 0.0);
    let steps = expected.as_array().ok_or("expected: must be a list")?;
    for (time, (eps, expected)) in list(given, "eps")?.iter().zip(steps).enumerate() {
        x -= rate * (2.0 * (x - 1.0) + 2.0 * lam * x);
        let copies: Vec<Vec<f64>> = numbers(eps).into_iter().map(|by| vec![by]).collect();
        let found = evograd::estimate(&mut Parabola(lam), &[x], &copies, scale(given)?).gradient[0];
        mean = beta_1 * mean + (1.0 - beta_1) * found;
        square = beta_2 * square + (1.0 - beta_2) * found * found;
        let time = time as i32 + 1;
        let unbiased = (square / (1.0 - beta_2.powi(time))).sqrt() + epsilon;
        lam -= step * mean / (1.0 - beta_1.powi(time)) / unbiased;
        for (name, found) in [("x", x), ("hypergradient", found), ("lam", lam)] {
            compare_shares(name, &[found], field(expected, name)?, BOUND)?;
        }
    }
    Ok(())
}

/// Ridge regression with the logarithm of each feature's penalty as lambda.
#[derive(Debug)]
pub struct Ridge {
    /// Rows, and the value of each.
    pub training: (Vec<Vec<f64>>, Vec<f64>),
    /// The same of those that no step of the weights sees.
    pub clean: (Vec<Vec<f64>>, Vec<f64>),
    /// Of each feature.
    pub penalties: Vec<f64>,
}

fn product(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

/// Half the mean square of `A t - y`, and its gradient.
fn least_squares((rows, values): &(Vec<Vec<f64>>, Vec<f64>), t: &[f64]) -> (f64, Vec<f64>) {
    let count = values.len() as f64;
    let (mut loss, mut gradient) = (0.0, vec![0.0; t.len()]);
    for (row, value) in rows.iter().zip(values) {
        let error = product(row, t) - value;
        loss += error * error / (2.0 * count);
        gradient.iter_mut().zip(row).for_each(|(sum, x)| *sum += error * x / count);
    }
    (loss, gradient)
}

impl Ridge {
    /// The gradient of the training loss.
    pub fn by_weights(&self, t: &[f64]) -> Vec<f64> {
        let mut gradient = least_squares(&self.training, t).1;
        gradient.iter_mut().zip(&self.penalties).zip(t).for_each(|((sum, p), t)| *sum += p * t);
        gradient
    }

    /// Solves with the matrix of second derivatives.
    fn solve(&self, right: &[f64]) -> Vec<f64> {
        let n = right.len();
        let column = |place: usize| -> Vec<f64> {
            let mut unit = vec![0.0; n];
            unit[place] = 1.0;
            let at_zero = self.by_weights(&vec![0.0; n]);
            self.by_weights(&unit).iter().zip(&at_zero).map(|(x, y)| x - y).collect()
        };
        let mut rows: Vec<Vec<f64>> = (0..n).map(column).collect();
        let mut right = right.to_vec();
        for pivot in 0..n {
            for row in 0..n {
                if row == pivot {
                    continue;
                }
                let factor = rows[row][pivot] / rows[pivot][pivot];
                let above = rows[pivot].clone();
                rows[row].iter_mut().zip(&above).for_each(|(x, y)| *x -= factor * y);
                right[row] -= factor * right[pivot];
            }
        }
        (0..n).map(|place| right[place] / rows[place][place]).collect()
    }
}

impl Response for Ridge {
    fn training_loss(&mut self, weights: &[f64], by_lambda: &mut [f64]) -> f64 {
        for ((slope, penalty), t) in by_lambda.iter_mut().zip(&self.penalties).zip(weights) {
            *slope = penalty * t * t / 2.0;
        }
        least_squares(&self.training, weights).0 + by_lambda.iter().sum::<f64>()
    }

    fn clean_gradient(&mut self, weights: &[f64], gradient: &mut [f64]) {
        gradient.copy_from_slice(&least_squares(&self.clean, weights).1);
    }

    fn dimension(&self) -> usize {
        self.penalties.len()
    }
}

fn ridge(given: &Value, expected: &Value) -> Result<(), String> {
    let rows = |name: &str| Ok::<_, String>(list(given, name)?.iter().map(numbers).collect::<Vec<_>>());
    let penalties: Vec<f64> = numbers(field(given, "log_penalty")?).into_iter().map(f64::exp).collect();
    let mut ridge = Ridge {
        training: (rows("A")?, numbers(field(given, "y")?)),
        clean: (rows("clean_A")?, numbers(field(given, "clean_y")?)),
        penalties,
    };
    let theta = numbers(field(given, "theta")?);
    let rate = number(given, "learning_rate")?;
    let mut by_lambda = vec![0.0; theta.len()];
    let loss = ridge.training_loss(&theta, &mut by_lambda);
    let clean = |ridge: &Ridge, t: &[f64]| least_squares(&ridge.clean, t).1;
    let along = |by: &[f64], factor: f64, t: &[f64]| -> Vec<f64> {
        let terms = ridge.penalties.iter().zip(t).zip(by);
        terms.map(|((penalty, t), by)| factor * penalty * t * by).collect()
    };
    let moved: Vec<f64> = theta.iter().zip(ridge.by_weights(&theta)).map(|(t, g)| t - rate * g).collect();
    let negative: Vec<f64> = ridge.by_weights(&vec![0.0; theta.len()]).iter().map(|x| -x).collect();
    let best = ridge.solve(&negative);
    let first_order = along(&clean(&ridge, &theta), -1.0, &theta);
    for (name, found) in [
        ("loss", vec![loss]),
        ("loss_by_lambda", by_lambda),
        ("clean_gradient", clean(&ridge, &theta)),
        ("one_step", along(&clean(&ridge, &moved), -rate, &theta)),
        ("first_order", first_order.clone()),
        ("implicit", along(&ridge.solve(&clean(&ridge, &best)), -1.0, &best)),
        ("best", best),
    ] {
        compare_shares(name, &found, field(expected, name)?, BOUND)?;
    }
    for (place, (case, expected)) in list(given, "cases")?.iter().zip(list(expected, "cases")?).enumerate() {
        let copies = perturbations(case)?;
        let found = evograd::estimate(&mut ridge, &theta, &copies, scale(case)?);
        check(&found, expected).map_err(|problem| format!("cases[{place}].{problem}"))?;
        let is_antithetic = case["kind"] == "antithetic";
        let length = evograd::effective_rate(scale(case)?, copies.len(), is_antithetic);
        compare_shares("effective_rate", &[length], field(expected, "effective_rate")?, BOUND)?;
    }
    let directed = field(expected, "directed")?;
    let found = evograd::directed(&mut ridge, &theta, scale(directed)?);
    check(&found, directed)?;
    let rescaled = rescaled(&found, scale(directed)?);
    compare_shares("directed.rescaled", &rescaled, field(directed, "rescaled")?, BOUND)?;
    let cosine = cosine(&rescaled, &first_order);
    compare_shares("directed.cosine_to_first_order", &[cosine], &directed["cosine_to_first_order"], BOUND)
}

fn rescaled(found: &GradientEstimate, scale: (f64, f64)) -> Vec<f64> {
    let length = evograd::effective_rate(scale, 2, true);
    found.gradient.iter().map(|slope| slope / length).collect()
}

fn cosine(x: &[f64], y: &[f64]) -> f64 {
    product(x, y) / (product(x, x) * product(y, y)).sqrt()
}

/// Perturbations whose flat order is all matrices and then all biases, as a network holds its weights.
fn as_network(given: &Value, flat_order: &[f64]) -> Vec<f64> {
    let none = Vec::new();
    let matrices = given["W"].as_array().unwrap_or(&none);
    let total: usize = matrices.iter().map(|matrix| numbers(matrix).len()).sum();
    let (mut weights, mut biases) = flat_order.split_at(total.min(flat_order.len()));
    let mut all = Vec::new();
    for matrix in matrices {
        let outputs = matrix.as_array().map_or(0, Vec::len);
        let (of_matrix, rest) = weights.split_at(numbers(matrix).len());
        let (of_biases, others) = biases.split_at(outputs);
        all.extend(super::columns(of_matrix, of_matrix.len() / outputs));
        all.extend(of_biases);
        (weights, biases) = (rest, others);
    }
    all
}

/// A weight net, by the losses of each copy and by those of the network.
fn weight_net(given: &Value, expected: &Value) -> Result<(), String> {
    let form = read_form(given)?;
    let outputs = *form.layers.last().ok_or("W: is empty")?;
    let normalise = if given["normalise"] == "mean" { Normalise::Mean } else { Normalise::Sum };
    let theta = flat(&given["W"], &given["b"]);
    let function = function::<f64>(&given["theta"]);
    let (x, y) = (cast::<f64>(&given["x"]), targets::<f64>(&given["y"], outputs));
    let (clean_x, clean_y) = (cast::<f64>(&given["clean_x"]), targets::<f64>(&given["clean_y"], outputs));
    let scale = scale(given)?;
    let copies: Vec<Vec<f64>> = perturbations(given)?.iter().map(|copy| as_network(given, copy)).collect();
    let mut network = Network::<f64>::new(form);
    let examples = ((&x[..], &y[..]), (&clean_x[..], &clean_y[..]));
    // The README: the exact gradient for this rate, divided by it.
    let rate = 1e-7;
    let exact = step(&mut network, &theta, &function, examples, (rate, normalise));
    let gates = vec![true; exact.layer_gradients.len()];
    let first_order: Vec<f64> = exact.gated(&gates).iter().map(|slope| slope / rate).collect();
    compare_shares("first_order", &first_order, field(expected, "first_order")?, BOUND)?;
    for (name, from) in [("copy", WeightsFrom::Copy), ("base", WeightsFrom::Base)] {
        let expected = field(expected, name)?;
        let training = Training { function: &function, normalise, progress: None, examples: examples.0 };
        let clean = (examples.1, Descended::Logistic);
        let mut trained = Trained::new(&mut network, training, clean, (from, &theta));
        let found = evograd::estimate(&mut trained, &theta, &copies, scale);
        check(&found, expected).map_err(|problem| format!("{name}.{problem}"))?;
        let directed = evograd::directed(&mut trained, &theta, scale);
        let long = rescaled(&directed, scale);
        for (field_name, found) in [
            ("cosine", vec![cosine(&found.gradient, &first_order)]),
            ("directed", directed.gradient.clone()),
            ("directed_rescaled", long.clone()),
            ("directed_cosine", vec![cosine(&long, &first_order)]),
        ] {
            let expected = field(expected, field_name)?;
            // Differences of nearly equal copies: the README's checks agree to 5e-11 of numbers a thousand times larger.
            compare_shares(&format!("{name}.{field_name}"), &found, expected, 1e-7)?;
        }
    }
    let length = evograd::effective_rate(scale, copies.len(), false);
    compare_shares("effective_rate", &[length], field(expected, "effective_rate")?, BOUND)
}

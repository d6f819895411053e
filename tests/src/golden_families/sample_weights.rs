//! Golden vectors of sample weights: `famus-*.json`.

use hebbian_learning::rule::number::Number;
use hebbian_learning::rule::sample_weights::meta::{MetaStep, step};
use hebbian_learning::rule::sample_weights::{WeightFunction, form, normalise, normalised_slopes};
use hebbian_learning::rule::warped_descent::{Form, Network};
use hebbian_learning::task::label_noise::{observed, transition};
use hebbian_shared::spec::rule::sample_weights::{Normalise, SampleWeightsSpec};
use hebbian_shared::spec::task::NoiseKind;
use serde_json::Value;

use super::numbers;

/// Whether a vector is one of these, by its name.
pub(super) fn is_one(vector: &Value) -> bool {
    vector["name"].as_str().is_some_and(|name| name.starts_with("famus-"))
}

/// Runs a vector.
pub(super) fn run<T: Number>(vector: &Value) -> Result<(), String> {
    let (given, expected) = (&vector["given"], &vector["expected"]);
    if given.get("uniforms").is_some() {
        return noise(given, expected);
    }
    if given.get("loss").is_some() {
        return weight_net::<T>(given, expected);
    }
    if given.get("iterations").is_some() || given.get("samplers").is_some() {
        return Err("gradient samplers and iterations are not known".to_owned());
    }
    meta_step::<T>(given, expected)
}

/// Within a share of the largest number expected, as the README says.
fn compare<T: Number>(what: &str, found: &[T], expected: &Value) -> Result<(), String> {
    let expected = numbers(expected);
    let bound = if size_of::<T>() == 8 { 1e-9 } else { 1e-4 };
    if found.len() != expected.len() {
        return Err(format!("{what}: {} numbers, not {}", found.len(), expected.len()));
    }
    let largest = expected.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
    for (place, (found, expected)) in found.iter().zip(&expected).enumerate() {
        let difference = (found.value() - expected).abs();
        // Not a number is beyond every bound.
        if difference.is_nan() || difference > bound * largest {
            return Err(format!("{what}[{place}]: {found:?}, not {expected}"));
        }
    }
    Ok(())
}

fn cast<T: Number>(value: &Value) -> Vec<T> {
    numbers(value).into_iter().map(T::of).collect()
}

fn function<T: Number>(theta: &Value) -> WeightFunction<T> {
    let offset = T::of(theta["c"].as_f64().unwrap_or(f64::NAN));
    WeightFunction { input: cast(&theta["p"]), bias: cast(&theta["a"]), output: cast(&theta["q"]), offset }
}

/// Weights, both normalisations and their slopes.
fn weight_net<T: Number>(given: &Value, expected: &Value) -> Result<(), String> {
    let function = function::<T>(&given["theta"]);
    let losses: Vec<T> = cast(&given["loss"]);
    let weights: Vec<T> = losses.iter().map(|&loss| function.weight(loss, None)).collect();
    let slopes: Vec<T> = losses.iter().flat_map(|&loss| function.slopes(loss)).collect();
    compare("V", &weights, &expected["V"])?;
    compare("jacobian", &slopes, &expected["jacobian"])?;
    for (name, how) in [("sum", Normalise::Sum), ("mean", Normalise::Mean)] {
        let mut normalised = weights.clone();
        normalise(how, &mut normalised);
        compare(name, &normalised, &expected[name])?;
        let name = format!("{name}_jacobian");
        compare(&name, &normalised_slopes(how, &weights, &slopes), &expected[&name])?;
    }
    Ok(())
}

/// Layers of `W`, `[out, in]`, and `b` as a network holds them.
fn flat(w: &Value, b: &Value) -> Vec<f64> {
    let (none, mut all) = (Vec::new(), Vec::new());
    let rows = |value: &Value| value.as_array().unwrap_or(&none).clone();
    for (matrix, biases) in rows(w).iter().zip(&rows(b)) {
        let width = numbers(&matrix[0]).len();
        all.extend(super::columns(&numbers(matrix), width));
        all.extend(numbers(biases));
    }
    all
}

/// The form of a vector's network.
fn read_form(given: &Value) -> Result<Form, String> {
    let matrices = given["W"].as_array().ok_or("given.W is missing")?;
    let inputs = numbers(&matrices[0][0]).len();
    let layers: Vec<usize> = std::iter::once(inputs)
        .chain(matrices.iter().map(|matrix| matrix.as_array().map_or(0, Vec::len)))
        .collect();
    let activation =
        serde_json::from_value(given["activation"].clone()).map_err(|error| error.to_string())?;
    Ok(form(&SampleWeightsSpec { hidden_activation: activation, ..SampleWeightsSpec::default() }, &layers))
}

/// Classes as targets of +-1.
fn targets<T: Number>(classes: &Value, outputs: usize) -> Vec<T> {
    let row =
        |class: f64| (0..outputs).map(move |output| T::of(if output == class as usize { 1.0 } else { -1.0 }));
    numbers(classes).into_iter().flat_map(row).collect()
}

fn meta_step<T: Number>(given: &Value, expected: &Value) -> Result<(), String> {
    let form = read_form(given)?;
    let outputs = *form.layers.last().expect("there are layers");
    let how = if given["normalise"] == "mean" { Normalise::Mean } else { Normalise::Sum };
    let weights: Vec<T> = flat(&given["W"], &given["b"]).into_iter().map(T::of).collect();
    let (x, y) = (cast::<T>(&given["x"]), targets::<T>(&given["y"], outputs));
    let (clean_x, clean_y) = (cast::<T>(&given["clean_x"]), targets::<T>(&given["clean_y"], outputs));
    let rate = T::of(given["learning_rate"].as_f64().ok_or("given.learning_rate is missing")?);
    let mut network = Network::<T>::new(form);
    let function = function::<T>(&given["theta"]);
    let found = step(&mut network, &weights, &function, ((&x, &y), (&clean_x, &clean_y)), (rate, how));
    check_step(&found, expected)?;
    for (place, case) in expected["cases"].as_array().into_iter().flatten().enumerate() {
        let gates: Vec<bool> = numbers(&case["gates"]).into_iter().map(|gate| gate > 0.0).collect();
        let gated = found.gated(&gates);
        compare(&format!("cases[{place}].meta_gradient"), &gated, &case["meta_gradient"])?;
        let all = found.gated(&vec![true; gates.len()]);
        let dot = |x: &[T], y: &[T]| x.iter().zip(y).map(|(x, y)| x.value() * y.value()).sum::<f64>();
        let lengths = dot(&gated, &gated).sqrt() * dot(&all, &all).sqrt();
        let cosine = dot(&gated, &all) / lengths;
        compare(&format!("cases[{place}].cosine"), &[T::of(cosine)], &case["cosine"])?;
    }
    Ok(())
}

/// All that a vector has of a step.
fn check_step<T: Number>(found: &MetaStep<T>, expected: &Value) -> Result<(), String> {
    let exact = found.gated(&vec![true; found.layer_gradients.len()]);
    for (name, values) in [
        ("loss", &found.losses),
        ("V", &found.weights),
        ("v", &found.shares),
        ("clean_loss", &vec![found.clean_loss]),
        ("alignment", &found.alignment.concat()),
        ("layer_gradients", &found.layer_gradients.concat()),
        ("meta_gradient", &exact),
    ] {
        if let Some(expected) = expected.get(name) {
            compare(name, values, expected)?;
        }
    }
    for (name, values) in [
        ("train_gradient", &found.gradient),
        ("virtual", &found.virtual_weights),
        ("clean_gradient", &found.clean_gradient),
    ] {
        let (w, b) = (&expected[format!("{name}_W")], &expected[format!("{name}_b")]);
        if !w.is_null() {
            compare(name, values, &flat(w, b).into())?;
        }
    }
    Ok(())
}

/// Transitions and the labels that they give. No task has long tails, which the vector has besides.
fn noise(given: &Value, expected: &Value) -> Result<(), String> {
    let (classes, labels, uniforms) =
        (numbers(&given["classes"])[0] as usize, numbers(&given["labels"]), numbers(&given["uniforms"]));
    for (name, kind) in [
        ("symmetric", NoiseKind::Symmetric),
        ("symmetric-other", NoiseKind::SymmetricOther),
        ("pair", NoiseKind::Pair),
    ] {
        for case in expected[name].as_array().ok_or(format!("expected.{name} is missing"))? {
            let matrix = transition(kind, numbers(&case["rate"])[0], classes);
            compare(&format!("{name}.matrix"), &matrix, &case["matrix"])?;
            let row = |label: &f64| &matrix[*label as usize * classes..][..classes];
            let noisy: Vec<f64> =
                labels.iter().zip(&uniforms).map(|(label, &u)| observed(row(label), u) as f64).collect();
            compare(&format!("{name}.noisy"), &noisy, &case["noisy"])?;
        }
    }
    Ok(())
}

//! Golden vectors of sample weights: `famus-*.json`.

use hebbian_learning::rule::loss::Descended;
use hebbian_learning::rule::number::Number;
use hebbian_learning::rule::sample_weights::gates::{
    Expected, Gate, Sampler, agreement, gate_gradients, pooled,
};
use hebbian_learning::rule::sample_weights::meta::{MetaStep, step};
use hebbian_learning::rule::sample_weights::{WeightFunction, form, normalise, normalised_slopes};
use hebbian_learning::rule::warped_descent::{Form, Network};
use hebbian_learning::task::label_noise::{observed, transition};
use hebbian_shared::spec::rule::sample_weights::{Normalise, SampleWeightsSpec};
use hebbian_shared::spec::task::NoiseKind;
use serde_json::Value;

use super::{compare_shares, field, list, numbers};

/// Runs a vector.
pub(super) fn run<T: Number>(vector: &Value) -> Result<(), String> {
    let (given, expected) = (&vector["given"], &vector["expected"]);
    if given.get("uniforms").is_some() {
        return noise(given, expected);
    }
    if given.get("loss").is_some() {
        return weight_net::<T>(given, expected);
    }
    if given.get("samplers").is_some() {
        return samplers::<T>(given, expected);
    }
    if given.get("meta_learning_rate").is_some() {
        return iterations::<T>(given, expected);
    }
    if given.get("W").is_none() {
        return Err("given: is of no known format".to_owned());
    }
    meta_step::<T>(given, expected)
}

/// Within a share of the largest number expected, as the README says.
fn compare<T: Number>(what: &str, found: &[T], expected: &Value) -> Result<(), String> {
    let found: Vec<f64> = found.iter().map(|value| value.value()).collect();
    compare_shares(what, &found, expected, if size_of::<T>() == 8 { 1e-9 } else { 1e-4 })
}

pub(super) fn cast<T: Number>(value: &Value) -> Vec<T> {
    numbers(value).into_iter().map(T::of).collect()
}

pub(super) fn function<T: Number>(theta: &Value) -> WeightFunction<T> {
    let offset = T::of(theta["c"].as_f64().unwrap_or(f64::NAN));
    WeightFunction { input: cast(&theta["p"]), bias: cast(&theta["a"]), output: cast(&theta["q"]), offset }
}

/// Weights, both normalisations and their slopes.
fn weight_net<T: Number>(given: &Value, expected: &Value) -> Result<(), String> {
    let function = function::<T>(&given["theta"]);
    let losses: Vec<T> = cast(&given["loss"]);
    let weights: Vec<T> = losses.iter().map(|&loss| function.weight(loss, None)).collect();
    let slopes: Vec<T> = losses.iter().flat_map(|&loss| function.slopes(loss, None)).collect();
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
pub(super) fn flat(w: &Value, b: &Value) -> Vec<f64> {
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
pub(super) fn read_form(given: &Value) -> Result<Form, String> {
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
pub(super) fn targets<T: Number>(classes: &Value, outputs: usize) -> Vec<T> {
    let row =
        |class: f64| (0..outputs).map(move |output| T::of(if output == class as usize { 1.0 } else { -1.0 }));
    numbers(classes).into_iter().flat_map(row).collect()
}

/// What a meta step begins with.
struct Given<T> {
    network: Network<T>,
    weights: Vec<T>,
    function: WeightFunction<T>,
    rate: T,
    how: Normalise,
    outputs: usize,
}

impl<T: Number> Given<T> {
    fn read(given: &Value) -> Result<Self, String> {
        let form = read_form(given)?;
        let outputs = *form.layers.last().ok_or("given.W: is empty")?;
        Ok(Self {
            network: Network::new(form),
            weights: flat(&given["W"], &given["b"]).into_iter().map(T::of).collect(),
            function: function::<T>(&given["theta"]),
            rate: T::of(super::number(given, "learning_rate")?),
            how: if given["normalise"] == "mean" { Normalise::Mean } else { Normalise::Sum },
            outputs,
        })
    }

    /// A step on the examples of `from`.
    fn step(&mut self, from: &Value) -> MetaStep<T> {
        let (x, y) = (cast::<T>(&from["x"]), targets::<T>(&from["y"], self.outputs));
        let (clean_x, clean_y) = (cast::<T>(&from["clean_x"]), targets::<T>(&from["clean_y"], self.outputs));
        let examples = ((&x[..], &y[..]), (&clean_x[..], &clean_y[..]));
        step(&mut self.network, &self.weights, &self.function, examples, (self.rate, self.how))
    }
}

fn meta_step<T: Number>(given: &Value, expected: &Value) -> Result<(), String> {
    let found = Given::<T>::read(given)?.step(given);
    check_step(&found, expected)?;
    for (place, case) in expected["cases"].as_array().into_iter().flatten().enumerate() {
        let gates: Vec<bool> = numbers(&case["gates"]).into_iter().map(|gate| gate > 0.0).collect();
        let gated = found.gated(&gates);
        compare(&format!("cases[{place}].meta_gradient"), &gated, &case["meta_gradient"])?;
        let all = found.gated(&vec![true; gates.len()]);
        let dot = |x: &[T], y: &[T]| x.iter().zip(y).map(|(x, y)| x.value() * y.value()).sum::<f64>();
        let cosine = dot(&gated, &all) / (dot(&gated, &gated).sqrt() * dot(&all, &all).sqrt());
        compare(&format!("cases[{place}].cosine"), &[T::of(cosine)], &case["cosine"])?;
        if let Some(expected) = case["relative_error"].as_f64() {
            let wrong: Vec<T> = gated.iter().zip(&all).map(|(&x, &y)| x - y).collect();
            let error = (dot(&wrong, &wrong) / dot(&all, &all)).sqrt();
            let bound = if size_of::<T>() == 8 { 1e-9 } else { 1e-3 };
            if (error - expected).abs() > bound {
                return Err(format!("cases[{place}].relative_error: {error}, not {expected}"));
            }
        }
    }
    Ok(())
}

/// Gradient samplers: their gates, what moves these, and how the gradients of the last layer agree.
fn samplers<T: Number>(given: &Value, expected: &Value) -> Result<(), String> {
    let mut at = Given::<T>::read(given)?;
    let found = at.step(given);
    check_step(&found, expected)?;
    let form = at.network.form();
    let temperature = T::of(super::number(given, "temperature")?);
    let wanted = Expected {
        gates: T::of(super::number(given, "expected")?),
        penalty: T::of(super::number(given, "penalty")?),
        temperature,
    };
    let (mut all_pooled, mut gates) = (Vec::new(), Vec::new());
    for (layer, (sampler, gumbel)) in list(given, "samplers")?.iter().zip(list(given, "gumbel")?).enumerate()
    {
        let pair = |value: &Value| -> Result<[T; 2], String> {
            cast::<T>(value).try_into().map_err(|_| "gumbel and f: must be off and on".to_owned())
        };
        let sampler = Sampler {
            input: cast(field(sampler, "A")?),
            bias: cast(field(sampler, "e")?),
            slope: T::of(super::number(sampler, "slope")?),
            output: cast(field(sampler, "B")?),
            offset: pair(field(sampler, "f")?)?,
        };
        let pooled = pooled(form, &found.gradient, layer);
        gates.push(sampler.gate(&pooled, pair(gumbel)?, temperature));
        all_pooled.extend(pooled);
    }
    compare("pooled", &all_pooled, field(expected, "pooled")?)?;
    compare("soft", &gates.iter().map(|gate| gate.soft).collect::<Vec<T>>(), field(expected, "soft")?)?;
    let opened: Vec<T> = gates.iter().map(|gate| T::of(f64::from(u8::from(gate.is_open)))).collect();
    compare("gates", &opened, field(expected, "gates")?)?;
    let slopes = |gates: &[Gate<T>]| gate_gradients(form, &found, gates, at.rate, wanted);
    compare("gate_gradients", &slopes(&gates), field(expected, "gate_gradients")?)?;
    for (place, case) in expected["forced"].as_array().into_iter().flatten().enumerate() {
        let forced = gates.iter().zip(numbers(field(case, "gates")?));
        let forced: Vec<Gate<T>> = forced.map(|(gate, open)| Gate { is_open: open > 0.0, ..*gate }).collect();
        compare(&format!("forced[{place}]"), &slopes(&forced), field(case, "gradient")?)?;
    }
    let (apart, by_function) = agreement(form, &found);
    compare("agreement", &[apart], field(expected, "agreement")?)?;
    compare("agreement_gradient", &by_function, field(expected, "agreement_gradient")?)?;
    let open: Vec<bool> = gates.iter().map(|gate| gate.is_open).chain([true]).collect();
    compare("gated_meta_gradient", &found.gated(&open), field(expected, "gated_meta_gradient")?)
}

/// Whole iterations: the meta step at the old function, the function's step, and the network's by the new function on the same losses.
fn iterations<T: Number>(given: &Value, expected: &Value) -> Result<(), String> {
    let mut at = Given::<T>::read(given)?;
    let meta_rate = T::of(super::number(given, "meta_learning_rate")?);
    let per_iteration =
        ["batches", "iterations", "steps"].iter().find_map(|name| given.get(name)?.as_array());
    let steps = ["iterations", "steps", "trace"].iter().find_map(|name| expected.get(name)?.as_array());
    let steps = steps.or(expected.as_array()).ok_or("expected: must be a list of iterations")?;
    for (place, expected) in steps.iter().enumerate() {
        let from = per_iteration.map_or(Some(given), |batches| batches.get(place));
        let found = at.step(from.ok_or("given: has fewer batches than iterations are expected")?);
        let gradient = found.gated(&vec![true; found.layer_gradients.len()]);
        let units = at.function.output.len();
        let step = |values: &mut [T], from: usize| {
            values.iter_mut().zip(&gradient[from..]).for_each(|(x, &slope)| *x = *x - meta_rate * slope);
        };
        step(&mut at.function.input, 0);
        step(&mut at.function.bias, units);
        step(&mut at.function.output, 2 * units);
        at.function.offset = at.function.offset - meta_rate * gradient[3 * units];
        let mut shares: Vec<T> = found.losses.iter().map(|&loss| at.function.weight(loss, None)).collect();
        normalise(at.how, &mut shares);
        let from = from.unwrap_or(given);
        let mut actual = vec![T::of(0.0); at.weights.len()];
        let mut losses = Vec::new();
        at.network.forward(&at.weights, &[], &cast::<T>(&from["x"]));
        at.network.measure_each(Descended::Logistic, &targets::<T>(&from["y"], at.outputs), &mut losses);
        at.network.weigh(&shares);
        at.network.backward(&at.weights, &[], &mut actual, None);
        let rate = at.rate;
        at.weights.iter_mut().zip(&actual).for_each(|(x, &slope)| *x = *x - rate * slope);
        check_iteration(&at, &found, &shares, expected).map_err(|problem| format!("[{place}]: {problem}"))?;
    }
    Ok(())
}

/// All that a vector has of an iteration, which must be something of its end.
fn check_iteration<T: Number>(
    at: &Given<T>,
    found: &MetaStep<T>,
    shares: &[T],
    expected: &Value,
) -> Result<(), String> {
    let WeightFunction { input, bias, output, offset } = &at.function;
    let theta = [&input[..], bias, output, &[*offset]].concat();
    let mut checked = 0;
    let mut check = |name: &str, values: &[T], expected: &Value| {
        checked += 1;
        compare(name, values, expected)
    };
    let Value::Object(fields) = expected else { return Err("must be a table".to_owned()) };
    for (name, expected) in fields {
        match name.as_str() {
            "theta" if expected.is_object() => {
                check("theta.p", input, &expected["p"])?;
                check("theta.a", bias, &expected["a"])?;
                check("theta.q", output, &expected["q"])?;
                check("theta.c", &[*offset], &expected["c"])?;
            }
            "theta" => check("theta", &theta, expected)?,
            "W" => check("W and b", &at.weights, &flat(expected, &fields["b"]).into())?,
            "b" => {}
            "v" | "v_new" | "weights" => check(name, shares, expected)?,
            _ => {
                let known = check_step(found, &serde_json::json!({ name: expected }));
                known.map_err(|problem| format!("{name}: {problem}"))?;
            }
        }
    }
    if checked == 0 { Err("has neither theta nor W".to_owned()) } else { Ok(()) }
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

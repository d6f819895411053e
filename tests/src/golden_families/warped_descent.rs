//! Golden vectors of warped descent: `warpgrad-*.json`.

use std::collections::BTreeMap;

use hebbian_learning::rule::Rule as _;
use hebbian_learning::rule::loss::Descended;
use hebbian_learning::rule::number::Number;
use hebbian_learning::rule::warped_descent::{
    Course, Form, Network, Parameters, TrajectoryPoint, descend, leap,
};
use hebbian_shared::genome::Genome;
use hebbian_shared::spec::rule::warped_descent::WarpedDescentSpec;
use hebbian_shared::spec::strategy::Estimator;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{WrittenSegment, check_layout, compare_numbers, numbers};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    #[serde(rename = "about")]
    _about: String,
    config: Map<String, Value>,
    segments: Vec<WrittenSegment>,
    genome: Vec<f64>,
    parameters: BTreeMap<String, Value>,
    start: Vec<Weights>,
    batches: Vec<Examples>,
    query: Examples,
    updates: Vec<Update>,
    fitness: Fitness,
    native_weights: Option<Value>,
    native_gradient: Option<Value>,
    preconditioner: Option<Value>,
    native_step: Option<Value>,
    other_course: Option<Vec<Vec<Weights>>>,
    leap_direction: Option<Vec<Weights>>,
    meta_batches: Option<Vec<Examples>>,
    meta_loss: Option<f64>,
    meta_gradient: Option<Vec<f64>>,
    meta_gradient_first_order: Option<Vec<f64>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Weights {
    weights: Value,
    biases: Value,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Examples {
    inputs: Value,
    targets: Value,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Update {
    loss_before: f64,
    gradient: Vec<Weights>,
    after: Vec<Weights>,
    query_outputs: Value,
    query_loss: f64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fitness {
    points: Vec<usize>,
    value: f64,
}

/// All weights and biases in the order of a network.
fn flat(layers: &[Weights]) -> Vec<f64> {
    layers.iter().flat_map(|layer| [numbers(&layer.weights), numbers(&layer.biases)].concat()).collect()
}

fn cast<T: Number>(values: &[f64]) -> Vec<T> {
    values.iter().map(|&value| T::of(value)).collect()
}

fn read_form(mut config: Map<String, Value>) -> Result<Form, String> {
    let layers = config.remove("layers").ok_or("config.layers is missing")?;
    let layers = numbers(&layers).into_iter().map(|neurons| neurons as usize).collect();
    let activation = config.remove("activation").ok_or("config.activation is missing")?;
    config.insert("hidden_activation".to_owned(), activation);
    let options: WarpedDescentSpec =
        serde_json::from_value(Value::Object(config)).map_err(|error| format!("config: {error}"))?;
    Ok(Form { options, layers })
}

/// Runs a vector.
pub(super) fn run<T: Number>(text: &str) -> Result<(), String> {
    let vector: Vector = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let form = read_form(vector.config.clone())?;
    let layers: Vec<u32> = form.layers.iter().map(|&neurons| neurons as u32).collect();
    let layout = form.options.layout_of(&layers);
    check_layout(&layout, &vector.segments, &[("identity", "cosine-plus"), ("exp", "rate")])?;
    let genome = Genome(vector.genome.clone());
    let mut parameters = Parameters::<T>::default();
    if !parameters.read(&layout, &genome, None) {
        return Err("genome: another length".to_owned());
    }
    for segment in layout.segments() {
        let what = format!("parameters.{}", segment.name);
        let expected = vector.parameters.get(&segment.name).ok_or(format!("{what} is missing"))?;
        compare_numbers(&what, &parameters.values()[segment.range()], &numbers(expected))?;
    }
    let course = follow::<T>(&vector, &form, parameters.values())?;
    check_native(&vector, &form, parameters.values())?;
    check_leap(&vector, &course)?;
    // Meta-gradients are f64's.
    if size_of::<T>() == 8 { check_trajectory(&vector, &form, &genome, &course) } else { Ok(()) }
}

/// Runs all updates; the weights before each of them and after the last.
fn follow<T: Number>(vector: &Vector, form: &Form, parameters: &[T]) -> Result<Vec<Vec<f64>>, String> {
    let descended: Descended = form.options.loss.into();
    let mut network = Network::<T>::new(form.clone());
    let mut weights = cast::<T>(&flat(&vector.start));
    let mut gradient = vec![T::of(0.0); weights.len()];
    let mut course = vec![flat(&vector.start)];
    let mut losses = Vec::new();
    for (place, (batch, update)) in vector.batches.iter().zip(&vector.updates).enumerate() {
        let what = |name: &str| format!("updates[{place}].{name}");
        network.forward(&weights, parameters, &cast::<T>(&numbers(&batch.inputs)));
        let loss = network.measure(descended, &cast::<T>(&numbers(&batch.targets)));
        compare_numbers(&what("loss_before"), &[loss], &[update.loss_before])?;
        network.backward(&weights, parameters, &mut gradient, None);
        compare_numbers(&what("gradient"), &gradient, &flat(&update.gradient))?;
        descend(form, parameters, &gradient, &mut weights);
        compare_numbers(&what("after"), &weights, &flat(&update.after))?;
        network.forward(&weights, parameters, &cast::<T>(&numbers(&vector.query.inputs)));
        let loss = network.measure(descended, &cast::<T>(&numbers(&vector.query.targets)));
        compare_numbers(&what("query_outputs"), network.outputs(), &numbers(&update.query_outputs))?;
        compare_numbers(&what("query_loss"), &[loss], &[update.query_loss])?;
        losses.push(loss.value());
        course.push(flat(&update.after));
    }
    let points = &vector.fitness.points;
    let fitness = -points.iter().map(|&done| losses[done - 1]).sum::<f64>() / points.len() as f64;
    compare_numbers("fitness.value", &[T::of(fitness)], &[vector.fitness.value])?;
    Ok(course)
}

/// A linear warp is a preconditioner: with A = [[I + M, 0], [shift, 1]] the next layer's native weights A [W; b] move by
/// -rate A A^T times their gradient.
fn check_native<T: Number>(vector: &Vector, form: &Form, parameters: &[T]) -> Result<(), String> {
    let (Some(native), Some(gradient), Some(conditioner), Some(step)) =
        (&vector.native_weights, &vector.native_gradient, &vector.preconditioner, &vector.native_step)
    else {
        return Ok(());
    };
    let (d, outputs) = (form.layers[1], form.layers[2]);
    let a = |row: usize, column: usize| match (row == d, column == d) {
        (true, true) => 1.0,
        (false, true) => 0.0,
        (true, false) => parameters[d * d + column].value(),
        (false, false) => parameters[row * d + column].value() + f64::from(u8::from(row == column)),
    };
    // Inputs are rows here, so the warped input [h, 1] A meets [W; b].
    let next = (form.layers[0] + 1) * d..;
    let product = |weights: &[f64]| -> Vec<T> {
        let of = |place: usize| {
            let terms = (0..=d).map(|k| a(place / outputs, k) * weights[k * outputs + place % outputs]);
            T::of(terms.sum::<f64>())
        };
        (0..(d + 1) * outputs).map(of).collect()
    };
    let before = flat(&vector.start);
    let after = flat(&vector.updates[0].after);
    compare_numbers("native_weights", &product(&before[next.clone()]), &numbers(native))?;
    let moved: Vec<f64> = after[next.clone()].iter().zip(&before[next]).map(|(x, y)| x - y).collect();
    compare_numbers("native_step", &product(&moved), &numbers(step))?;
    let square = |place: usize| (0..=d).map(|k| a(place / (d + 1), k) * a(place % (d + 1), k)).sum::<f64>();
    let squares: Vec<f64> = (0..(d + 1) * (d + 1)).map(square).collect();
    compare_numbers("preconditioner", &cast::<T>(&squares), &numbers(conditioner))?;
    let (rate, gradient) = (parameters[form.rate(1)].value(), numbers(gradient));
    let predicted = |place: usize| {
        let terms =
            (0..=d).map(|k| squares[place / outputs * (d + 1) + k] * gradient[k * outputs + place % outputs]);
        T::of(-rate * terms.sum::<f64>())
    };
    let predicted: Vec<T> = (0..(d + 1) * outputs).map(predicted).collect();
    compare_numbers("native_step by the preconditioner", &predicted, &numbers(step))
}

/// The direction of the simplified Leap, from the courses that the vector has.
fn check_leap(vector: &Vector, course: &[Vec<f64>]) -> Result<(), String> {
    let (Some(other), Some(expected)) = (&vector.other_course, &vector.leap_direction) else { return Ok(()) };
    let other: Vec<Vec<f64>> = other.iter().map(|weights| flat(weights)).collect();
    let mut direction = vec![0.0; course[0].len()];
    for course in [course, &other] {
        let of_course = leap(course.iter().map(Vec::as_slice));
        direction.iter_mut().zip(&of_course).for_each(|(sum, x)| *sum += 0.5 * x);
    }
    compare_numbers("leap_direction", &direction, &flat(expected))
}

/// The trajectory objective with its gradients.
fn check_trajectory(
    vector: &Vector,
    form: &Form,
    genome: &Genome,
    course: &[Vec<f64>],
) -> Result<(), String> {
    let (Some(batches), Some(loss)) = (&vector.meta_batches, vector.meta_loss) else { return Ok(()) };
    let read = |batch: &Examples| (numbers(&batch.inputs), numbers(&batch.targets));
    let [supports, queries] =
        [&vector.batches, batches].map(|batches| batches.iter().map(read).collect::<Vec<_>>());
    let points: Vec<TrajectoryPoint<'_, f64>> = course
        .iter()
        .zip(supports.iter().zip(&queries))
        .map(|(weights, (support, query))| TrajectoryPoint {
            weights,
            support: (&support.0, &support.1),
            query: (&query.0, &query.1),
        })
        .collect();
    let layers: Vec<u32> = form.layers.iter().map(|&neurons| neurons as u32).collect();
    let mut rule = Course::new(form.options, Estimator::Trajectory, form.options.layout_of(&layers));
    if !rule.load(genome) {
        return Err("genome: another length".to_owned());
    }
    for (what, first_order, expected) in [
        ("meta_gradient", false, &vector.meta_gradient),
        ("meta_gradient_first_order", true, &vector.meta_gradient_first_order),
    ] {
        let mut gradient = vec![0.0; genome.0.len()];
        let found = rule.trajectory(&form.layers, &points, first_order, &mut gradient);
        compare_numbers("meta_loss", &[found], &[loss])?;
        if let Some(expected) = expected {
            compare_numbers(what, &gradient, expected)?;
        }
    }
    Ok(())
}

//! Golden vectors of the rule families of the literature: which file is of which family, and what their formats share.

pub mod evograd;
mod keys;
mod sample_weights;
mod update_networks;
mod warped_descent;

use hebbian_learning::rule::multi_state::Real;
use hebbian_learning::rule::number::Number;
use hebbian_shared::genome::{GenomeLayout, Transform};
use serde::Deserialize;
use serde_json::Value;

/// Runs a vector of one of the families; `None` if the text is of another format.
pub fn run<T: Real + Number>(text: &str) -> Option<Result<(), String>> {
    let vector: Value = serde_json::from_str(text).ok()?;
    let has = |key: &str| vector.get(key).is_some();
    if has("snippets_cue") {
        return Some(update_networks::run::<T>(text));
    }
    if has("given") && has("expected") {
        return Some(if evograd::is_one(&vector) {
            evograd::run(&vector)
        } else if keys::is_one(&vector) {
            keys::run(&vector)
        } else {
            sample_weights::run::<T>(&vector)
        });
    }
    if has("query") && has("updates") && has("segments") && has("batches") {
        return Some(warped_descent::run::<T>(text));
    }
    None
}

/// A segment as the vectors have it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenSegment {
    name: String,
    start: u32,
    shape: Vec<u32>,
    transform: String,
}

/// The vectors' word for a transform.
fn transform_name(transform: Transform) -> &'static str {
    match transform {
        Transform::IDENTITY => "identity",
        Transform::Affine { offset: 1.0, scale: 1.0 } => "one-plus",
        Transform::Bounded { low: 0.0, high: 1.0 } => "share",
        Transform::Decay { rate: 0.05, shift: 1.0 } => "decay",
        Transform::Exp { factor: 0.1, scale: 1.0 } => "exp",
        Transform::Exp { scale: 1.0, .. } => "rate",
        _ => "another",
    }
}

/// Whether a layout is that of a vector. A transform may have another name among `also`.
fn check_layout(
    layout: &GenomeLayout,
    written: &[WrittenSegment],
    also: &[(&str, &str)],
) -> Result<(), String> {
    let found: Vec<_> = layout.segments().iter().map(|s| (s.name.as_str(), s.start, &s.shape[..])).collect();
    let expected: Vec<_> = written.iter().map(|s| (s.name.as_str(), s.start, &s.shape[..])).collect();
    if found != expected {
        return Err(format!("segments: {found:?}, not {expected:?}"));
    }
    for (segment, written) in layout.segments().iter().zip(written) {
        let name = transform_name(segment.transform);
        if name != written.transform && !also.contains(&(name, written.transform.as_str())) {
            return Err(format!("segments.{}: {name}, not {}", segment.name, written.transform));
        }
    }
    Ok(())
}

/// The numbers of nested lists, in their order. `null` has none.
fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(values) => values.iter().flat_map(numbers).collect(),
        value => value.as_f64().into_iter().collect(),
    }
}

/// Rows of `width` numbers as columns.
fn columns(values: &[f64], width: usize) -> Vec<f64> {
    (0..width).flat_map(|column| values.iter().skip(column).step_by(width).copied()).collect()
}

/// A field of a vector.
fn field<'a>(value: &'a Value, name: &str) -> Result<&'a Value, String> {
    value.get(name).ok_or_else(|| format!("{name}: is missing"))
}

/// A number of a vector.
fn number(value: &Value, name: &str) -> Result<f64, String> {
    field(value, name)?.as_f64().ok_or_else(|| format!("{name}: must be a number"))
}

/// A list of a vector.
fn list<'a>(value: &'a Value, name: &str) -> Result<&'a [Value], String> {
    field(value, name)?.as_array().map(Vec::as_slice).ok_or_else(|| format!("{name}: must be a list"))
}

/// Compares within a share of the largest number expected, as the README of these files says.
fn compare_shares(what: &str, found: &[f64], expected: &Value, bound: f64) -> Result<(), String> {
    let expected = numbers(expected);
    if found.len() != expected.len() {
        return Err(format!("{what}: {} numbers, not {}", found.len(), expected.len()));
    }
    let largest = expected.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
    for (place, (found, expected)) in found.iter().zip(&expected).enumerate() {
        let difference = (found - expected).abs();
        // Not a number is beyond every bound.
        if difference.is_nan() || difference > bound * largest + 1e-15 {
            return Err(format!("{what}[{place}]: {found}, not {expected}"));
        }
    }
    Ok(())
}

fn reals<T: Real>(values: &[f64]) -> Vec<T> {
    values.iter().map(|&value| T::from_f64(value)).collect()
}

fn compare<T: Real>(what: &str, found: &[T], expected: &[f64]) -> Result<(), String> {
    let found: Vec<f64> = found.iter().map(|value| value.to_f64()).collect();
    compare_values(what, &found, expected, size_of::<T>() == 8)
}

fn compare_numbers<T: Number>(what: &str, found: &[T], expected: &[f64]) -> Result<(), String> {
    let found: Vec<f64> = found.iter().map(|value| value.value()).collect();
    compare_values(what, &found, expected, size_of::<T>() == 8)
}

/// Compares with what a vector expects: the bounds are those of its README.
fn compare_values(what: &str, found: &[f64], expected: &[f64], is_f64: bool) -> Result<(), String> {
    let (absolute, relative) = if is_f64 { (1e-12, 1e-11) } else { (2e-5, 2e-4) };
    if found.len() != expected.len() {
        return Err(format!("{what}: {} numbers, not {}", found.len(), expected.len()));
    }
    for (place, (found, expected)) in found.iter().zip(expected).enumerate() {
        let difference = (found - expected).abs();
        // Not a number is beyond every bound.
        if difference.is_nan() || difference > absolute + relative * expected.abs() {
            return Err(format!("{what}[{place}]: {found}, not {expected}"));
        }
    }
    Ok(())
}

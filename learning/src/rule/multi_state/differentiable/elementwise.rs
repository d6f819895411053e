//! What happens to every number of a layer by itself, and over the neurons of an output.

use hebbian_shared::spec::rule::multi_state::Activation;
use pulp::{Arch, Simd};

use crate::rule::multi_state::Real;
use crate::rule::multi_state::dispatch::dispatch;

/// Whether an activation's slope is not a function of its value.
pub(super) fn needs_argument(activation: Activation) -> bool {
    matches!(activation, Activation::DTanh | Activation::DSigmoid)
}

/// `target <- target times the slope of an activation` with these values. `argument` is read where [`needs_argument`] says so.
pub(super) fn multiply_by_slope<T: Real>(
    arch: Arch,
    activation: Activation,
    argument: &[T],
    value: &[T],
    target: &mut [T],
) {
    assert!(value.len() == target.len() && (!needs_argument(activation) || argument.len() == value.len()));
    dispatch!(arch, 'a, slopes => (
        activation: Activation,
        argument: &'a [T],
        value: &'a [T],
        target: &'a mut [T],
    ) -> ());
}

#[inline(always)]
fn slopes<T: Real, S: Simd>(simd: S, activation: Activation, argument: &[T], value: &[T], target: &mut [T]) {
    let length = target.len();
    let value = &value[..length];
    match activation {
        Activation::Identity => {}
        Activation::DIdentity | Activation::DRelu => target.fill(T::ZERO),
        Activation::Tanh => {
            for e in 0..length {
                target[e] = target[e] * (T::ONE - value[e] * value[e]);
            }
        }
        Activation::Relu => {
            for e in 0..length {
                target[e] = if value[e] > T::ZERO { target[e] } else { T::ZERO };
            }
        }
        Activation::ReluTanh => {
            for e in 0..length {
                let slope = if value[e] > T::ZERO { T::ONE - value[e] * value[e] } else { T::ZERO };
                target[e] = target[e] * slope;
            }
        }
        Activation::Sigmoid => {
            for e in 0..length {
                target[e] = target[e] * (value[e] * (T::ONE - value[e]));
            }
        }
        Activation::DTanh => d_tanh_slopes::<T, S>(simd, argument, value, target),
        Activation::DSigmoid => {
            let two = T::ONE + T::ONE;
            let argument = &argument[..length];
            for e in 0..length {
                target[e] = target[e] * (value[e] * (T::ONE - two * argument[e].sigmoid()));
            }
        }
    }
}

/// `-2 tanh x (1 - tanh^2 x)`, of which the value is the latter factor.
#[inline(always)]
fn d_tanh_slopes<T: Real, S: Simd>(simd: S, argument: &[T], value: &[T], target: &mut [T]) {
    let minus_two = T::splat(simd, -(T::ONE + T::ONE));
    let length = target.len();
    let (arguments, values) = (T::as_vectors::<S>(argument).0, T::as_vectors::<S>(&value[..length]).0);
    let (targets, rest) = T::as_vectors_mut::<S>(target);
    for e in 0..targets.len() {
        let slope = T::multiply_vectors(simd, T::tanh_vector(simd, arguments[e]), values[e]);
        let slope = T::multiply_vectors(simd, slope, minus_two);
        targets[e] = T::multiply_vectors(simd, targets[e], slope);
    }
    let done = length - rest.len();
    for e in 0..rest.len() {
        let slope = argument[done + e].tanh() * value[done + e] * -(T::ONE + T::ONE);
        rest[e] = rest[e] * slope;
    }
}

/// `out = here (keep + gate arriving) + input arriving`.
pub(super) fn gate<T: Real>(arch: Arch, here: &[T], arriving: &[T], gates: [T; 3], out: &mut [T]) {
    assert!(here.len() == out.len() && arriving.len() == out.len());
    dispatch!(arch, 'a, gate_all => (
        here: &'a [T],
        arriving: &'a [T],
        gates: [T; 3],
        out: &'a mut [T],
    ) -> ());
}

#[inline(always)]
fn gate_all<T: Real, S: Simd>(_: S, here: &[T], arriving: &[T], [keep, gate, input]: [T; 3], out: &mut [T]) {
    let length = out.len();
    let (here, arriving) = (&here[..length], &arriving[..length]);
    for e in 0..length {
        out[e] = here[e] * (keep + gate * arriving[e]) + input * arriving[e];
    }
}

/// `out = x factor + y other`.
pub(super) fn add_scaled<T: Real>(arch: Arch, (x, factor): (&[T], T), (y, other): (&[T], T), out: &mut [T]) {
    assert!(x.len() == out.len() && y.len() == out.len());
    dispatch!(arch, 'a, add_all => (x: &'a [T], factor: T, y: &'a [T], other: T, out: &'a mut [T]) -> ());
}

#[inline(always)]
fn add_all<T: Real, S: Simd>(_: S, x: &[T], factor: T, y: &[T], other: T, out: &mut [T]) {
    let length = out.len();
    let (x, y) = (&x[..length], &y[..length]);
    for e in 0..length {
        out[e] = x[e] * factor + y[e] * other;
    }
}

/// `out = x factor`.
pub(super) fn scale<T: Real>(arch: Arch, x: &[T], factor: T, out: &mut [T]) {
    assert!(x.len() == out.len());
    dispatch!(arch, 'a, scale_all => (x: &'a [T], factor: T, out: &'a mut [T]) -> ());
}

#[inline(always)]
fn scale_all<T: Real, S: Simd>(_: S, x: &[T], factor: T, out: &mut [T]) {
    let x = &x[..out.len()];
    for e in 0..out.len() {
        out[e] = x[e] * factor;
    }
}

/// `out = x y`.
pub(super) fn multiply_each<T: Real>(arch: Arch, x: &[T], y: &[T], out: &mut [T]) {
    assert!(x.len() == out.len() && y.len() == out.len());
    dispatch!(arch, 'a, multiply_all => (x: &'a [T], y: &'a [T], out: &'a mut [T]) -> ());
}

#[inline(always)]
fn multiply_all<T: Real, S: Simd>(_: S, x: &[T], y: &[T], out: &mut [T]) {
    let length = out.len();
    let (x, y) = (&x[..length], &y[..length]);
    for e in 0..length {
        out[e] = x[e] * y[e];
    }
}

/// `rows[j, b] = factor rows[j, b] + bias_factor bias[j]`.
pub(super) fn scale_rows<T: Real>(
    arch: Arch,
    rows: &mut [T],
    factor: T,
    (bias, bias_factor): (&[T], T),
    batch: usize,
) {
    assert!(rows.len() == bias.len() * batch);
    dispatch!(arch, 'a, scale_all_rows => (
        rows: &'a mut [T],
        factor: T,
        bias: &'a [T],
        bias_factor: T,
        batch: usize,
    ) -> ());
}

#[inline(always)]
fn scale_all_rows<T: Real, S: Simd>(
    _: S,
    rows: &mut [T],
    factor: T,
    bias: &[T],
    bias_factor: T,
    batch: usize,
) {
    for j in 0..bias.len() {
        let added = bias[j] * bias_factor;
        let row = &mut rows[j * batch..][..batch];
        for b in 0..batch {
            row[b] = row[b] * factor + added;
        }
    }
}

/// The softmax over the neurons of `logits times temperature`, both `[neuron, example]`. `log_sums` receives for each example
/// the largest number, then what is left of the logarithm's argument: the logarithm of the sum of exponentials is
/// `largest + ln sum`.
pub(super) fn softmax<T: Real>(
    arch: Arch,
    logits: &[T],
    temperature: T,
    out: &mut [T],
    (largest, sums): (&mut [T], &mut [T]),
) {
    assert!(out.len() == logits.len() && largest.len() == sums.len());
    dispatch!(arch, 'a, softmax_all => (
        logits: &'a [T],
        temperature: T,
        out: &'a mut [T],
        largest: &'a mut [T],
        sums: &'a mut [T],
    ) -> ());
}

#[inline(always)]
fn softmax_all<T: Real, S: Simd>(
    _: S,
    logits: &[T],
    temperature: T,
    out: &mut [T],
    largest: &mut [T],
    sums: &mut [T],
) {
    let batch = largest.len();
    let neurons = logits.len() / batch;
    let sums = &mut sums[..batch];
    for b in 0..batch {
        largest[b] = logits[b] * temperature;
        sums[b] = T::ZERO;
    }
    for j in 1..neurons {
        let row = &logits[j * batch..][..batch];
        for b in 0..batch {
            let x = row[b] * temperature;
            largest[b] = if x > largest[b] { x } else { largest[b] };
        }
    }
    for j in 0..neurons {
        let row = &logits[j * batch..][..batch];
        let out = &mut out[j * batch..][..batch];
        for b in 0..batch {
            out[b] = (row[b] * temperature - largest[b]).exp();
            sums[b] += out[b];
        }
    }
    for j in 0..neurons {
        let out = &mut out[j * batch..][..batch];
        for b in 0..batch {
            out[b] = out[b] / sums[b];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::multi_state::activation::activate;

    #[test]
    fn slopes_are_those_of_the_activations() {
        use Activation::{DIdentity, DRelu, DSigmoid, DTanh, Identity, Relu, ReluTanh, Sigmoid, Tanh};
        let points: Vec<f64> = (-40..=40).map(|step| (f64::from(step) + 0.25) / 8.0).collect();
        for activation in [Identity, Tanh, Relu, ReluTanh, Sigmoid, DIdentity, DTanh, DRelu, DSigmoid] {
            let at = |shift: f64| {
                let mut values: Vec<f64> = points.iter().map(|x| x + shift).collect();
                activate(Arch::new(), activation, &mut values);
                values
            };
            let (value, above, below) = (at(0.0), at(1e-5), at(-1e-5));
            let mut slopes = vec![1.0; points.len()];
            multiply_by_slope(Arch::new(), activation, &points, &value, &mut slopes);
            let single = |values: &[f64]| values.iter().map(|&x| x as f32).collect::<Vec<f32>>();
            let mut slopes_f32 = vec![1.0_f32; points.len()];
            multiply_by_slope(Arch::new(), activation, &single(&points), &single(&value), &mut slopes_f32);
            for place in 0..points.len() {
                let difference = (above[place] - below[place]) / 2e-5;
                assert!((slopes[place] - difference).abs() < 1e-8, "{activation:?} at {}", points[place]);
                assert!((f64::from(slopes_f32[place]) - slopes[place]).abs() < 2e-6, "{activation:?}");
            }
        }
    }

    #[test]
    fn a_softmax_adds_up_to_one_and_does_not_overflow() {
        let logits = [1e30_f64, 0.0, 0.5, 0.0, 1.0, -0.5];
        let (mut out, mut largest, mut sums) = ([0.0; 6], [0.0; 2], [0.0; 2]);
        softmax(Arch::new(), &logits, 2.0, &mut out, (&mut largest, &mut sums));
        assert!(out[0] == 1.0 && out[2] < 1e-30 && out[4] < 1e-30);
        let weights = [0.0_f64, 0.0, -1.0].map(libm::exp);
        let sum: f64 = weights.iter().sum();
        for (j, weight) in weights.iter().enumerate() {
            assert!((out[2 * j + 1] - weight / sum).abs() < 1e-15);
        }
    }
}

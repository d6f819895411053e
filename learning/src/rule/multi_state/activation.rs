//! Elementwise functions of neurons and synapses.

use hebbian_shared::spec::rule::multi_state::Activation;
use pulp::{Arch, Scalar, Simd};

use super::dispatch::dispatch;
use super::real::Real;

/// Replaces every value by its activation. NaN stays NaN.
pub(super) fn activate<T: Real>(arch: Arch, activation: Activation, values: &mut [T]) {
    dispatch!(arch, 'a, activate_all => (activation: Activation, values: &'a mut [T]) -> ());
}

#[inline(always)]
fn activate_all<T: Real, S: Simd>(simd: S, activation: Activation, values: &mut [T]) {
    match activation {
        Activation::Identity => {}
        Activation::Tanh | Activation::Relu | Activation::ReluTanh => {
            let (whole, rest) = T::as_vectors_mut::<S>(values);
            activate_vectors::<T, S>(simd, activation, whole);
            activate_vectors::<T, Scalar>(Scalar::new(), activation, T::as_vectors_mut::<Scalar>(rest).0);
        }
        Activation::Sigmoid => map(values, T::sigmoid),
        // 1 + 0 x rather than 1, so that what has left the finite numbers stays visible.
        Activation::DIdentity => map(
            values,
            #[inline(always)]
            |x| T::ONE + T::ZERO * x,
        ),
        Activation::DTanh => map(
            values,
            #[inline(always)]
            |x| {
                let t = x.tanh();
                T::ONE - t * t
            },
        ),
        Activation::DRelu => map(
            values,
            #[inline(always)]
            |x| if x > T::ZERO { T::ONE } else { rectify(T::ZERO * x) },
        ),
        Activation::DSigmoid => map(
            values,
            #[inline(always)]
            |x| {
                let s = x.sigmoid();
                s * (T::ONE - s)
            },
        ),
    }
}

/// The activations of a search's usual specs, in explicit vectors.
#[inline(always)]
fn activate_vectors<T: Real, S: Simd>(simd: S, activation: Activation, values: &mut [T::Vector<S>]) {
    match activation {
        Activation::Tanh => {
            for e in 0..values.len() {
                values[e] = T::tanh_vector(simd, values[e]);
            }
        }
        Activation::ReluTanh => {
            for e in 0..values.len() {
                values[e] = T::rectified_tanh_vector(simd, values[e]);
            }
        }
        _ => {
            for e in 0..values.len() {
                values[e] = T::rectify_vector(simd, values[e]);
            }
        }
    }
}

#[inline(always)]
fn map<T: Real>(values: &mut [T], f: impl Fn(T) -> T) {
    for value in values {
        *value = f(*value);
    }
}

/// max(0, x), but NaN stays.
#[inline(always)]
fn rectify<T: Real>(x: T) -> T {
    if x <= T::ZERO { T::ZERO } else { x }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Activation; 9] = [
        Activation::Identity,
        Activation::Tanh,
        Activation::Relu,
        Activation::ReluTanh,
        Activation::Sigmoid,
        Activation::DIdentity,
        Activation::DTanh,
        Activation::DRelu,
        Activation::DSigmoid,
    ];

    fn exact(activation: Activation, x: f64) -> f64 {
        let sigmoid = 1.0 / (1.0 + libm::exp(-x));
        match activation {
            Activation::Identity => x,
            Activation::Tanh => libm::tanh(x),
            Activation::Relu => x.max(0.0),
            Activation::ReluTanh => libm::tanh(x).max(0.0),
            Activation::Sigmoid => sigmoid,
            Activation::DIdentity => 1.0,
            Activation::DTanh => 1.0 - libm::tanh(x) * libm::tanh(x),
            Activation::DRelu => f64::from(u8::from(x > 0.0)),
            Activation::DSigmoid => sigmoid * (1.0 - sigmoid),
        }
    }

    fn check<T: Real>(tolerance: f64) {
        let points: Vec<f64> = (-400_i32..=400).map(|step| f64::from(step) / 16.0).collect();
        for activation in ALL {
            let mut values: Vec<T> = points.iter().map(|&x| T::from_f64(x)).collect();
            activate(Arch::new(), activation, &mut values);
            for (&x, value) in points.iter().zip(&values) {
                let error = (value.to_f64() - exact(activation, x)).abs();
                assert!(error <= tolerance, "{activation:?} of {x} is {value:?}");
            }
            let mut scalar: Vec<T> = points.iter().map(|&x| T::from_f64(x)).collect();
            activate(Arch::Scalar, activation, &mut scalar);
            assert_eq!(values, scalar, "{activation:?} depends on the width of vectors");
        }
    }

    #[test]
    fn activations_are_those_of_the_definition() {
        check::<f64>(1e-15);
        check::<f32>(6e-7);
    }

    #[test]
    fn relu_has_derivative_zero_at_zero() {
        let mut values = [0.0_f32, -0.0, f32::MIN_POSITIVE];
        activate(Arch::new(), Activation::DRelu, &mut values);
        assert_eq!(values, [0.0, 0.0, 1.0]);
    }

    #[test]
    fn nan_is_never_hidden() {
        for activation in ALL {
            let mut values = [f32::NAN; 37];
            activate(Arch::new(), activation, &mut values);
            assert!(values.iter().all(|value| value.is_nan()), "{activation:?} hides NaN");
        }
    }
}

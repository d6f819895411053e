//! The number types that networks compute with.

use pulp::{Scalar, Simd};
use std::fmt::Debug;
use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub};

use super::transpose::{Block, transposed, transposed_f32};

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

/// A real number type of a network: `f32`, in which episodes run, or `f64`, against which `f32` is checked.
///
/// The elementary functions are this crate's (`f32`: branch-free, for loops that the compiler vectorises) or `libm`'s
/// (`f64`), never the host's, so that every machine computes the same bits. All of them propagate NaN.
pub trait Real:
    sealed::Sealed
    + Copy
    + Debug
    + Default
    + PartialOrd
    + Add<Output = Self>
    + AddAssign
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + Send
    + Sync
    + 'static
{
    /// 0
    const ZERO: Self;
    /// 1
    const ONE: Self;

    /// The nearest value of this type.
    fn from_f64(value: f64) -> Self;
    /// The value, exactly.
    fn to_f64(self) -> f64;
    /// tanh x. `f32`: within 7 ulp everywhere, exactly odd, and 1 - 6e-8 or 1 from 8.5 on.
    #[must_use]
    fn tanh(self) -> Self;
    /// The square root, correctly rounded.
    #[must_use]
    fn sqrt(self) -> Self;
    /// exp x for x in -87 to 88, clamped to that range. `f32`: within 2 ulp.
    #[must_use]
    fn exp(self) -> Self;

    /// What a kernel computes side by side: `f32` fills the vectors of the instruction set, `f64` goes one by one.
    type Vector<S: Simd>: Copy;

    /// Numbers in a vector.
    fn lanes<S: Simd>() -> usize;
    /// The vectors of a slice, and what is left.
    fn as_vectors<S: Simd>(values: &[Self]) -> (&[Self::Vector<S>], &[Self]);
    /// As [`Real::as_vectors`], to be set.
    fn as_vectors_mut<S: Simd>(values: &mut [Self]) -> (&mut [Self::Vector<S>], &mut [Self]);
    /// A vector of equal numbers.
    fn splat<S: Simd>(simd: S, value: Self) -> Self::Vector<S>;
    /// The numbers of a slice shorter than a vector, zeros after them.
    fn load_part<S: Simd>(simd: S, values: &[Self]) -> Self::Vector<S>;
    /// The first numbers of a vector into a slice shorter than it.
    fn store_part<S: Simd>(simd: S, values: &mut [Self], vector: Self::Vector<S>);
    /// x + y in every lane.
    fn add_vectors<S: Simd>(simd: S, x: Self::Vector<S>, y: Self::Vector<S>) -> Self::Vector<S>;
    /// x y in every lane, rounded before anything is added to it.
    fn multiply_vectors<S: Simd>(simd: S, x: Self::Vector<S>, y: Self::Vector<S>) -> Self::Vector<S>;
    /// x y + z in every lane, rounded once.
    fn multiply_add_vectors<S: Simd>(
        simd: S,
        x: Self::Vector<S>,
        y: Self::Vector<S>,
        z: Self::Vector<S>,
    ) -> Self::Vector<S>;
    /// x y + z, rounded once: a slow call where the CPU lacks the instruction.
    #[must_use]
    fn multiply_add(x: Self, y: Self, z: Self) -> Self;
    /// The larger of x and |y| in every lane; anything where y is NaN.
    fn larger_magnitude<S: Simd>(simd: S, x: Self::Vector<S>, y: Self::Vector<S>) -> Self::Vector<S>;
    /// [`Real::tanh`] in every lane.
    fn tanh_vector<S: Simd>(simd: S, x: Self::Vector<S>) -> Self::Vector<S>;
    /// max(0, tanh x) in every lane, but NaN stays.
    fn rectified_tanh_vector<S: Simd>(simd: S, x: Self::Vector<S>) -> Self::Vector<S>;
    /// max(0, x) in every lane, but NaN stays.
    fn rectify_vector<S: Simd>(simd: S, x: Self::Vector<S>) -> Self::Vector<S>;

    /// A block on its side.
    #[must_use]
    fn transposed<S: Simd>(simd: S, block: Block<Self>) -> Block<Self>;

    /// 1 / (1 + exp(-x)). `f32`: within 4 ulp for x >= -87, constant below.
    #[must_use]
    #[inline(always)]
    fn sigmoid(self) -> Self {
        Self::ONE / (Self::ONE + (-self).exp())
    }
}

impl Real for f32 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;

    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        value as Self
    }

    #[inline(always)]
    fn to_f64(self) -> f64 {
        f64::from(self)
    }

    type Vector<S: Simd> = S::f32s;

    #[inline(always)]
    fn lanes<S: Simd>() -> usize {
        S::F32_LANES
    }

    #[inline(always)]
    fn as_vectors<S: Simd>(values: &[Self]) -> (&[S::f32s], &[Self]) {
        S::as_simd_f32s(values)
    }

    #[inline(always)]
    fn as_vectors_mut<S: Simd>(values: &mut [Self]) -> (&mut [S::f32s], &mut [Self]) {
        S::as_mut_simd_f32s(values)
    }

    #[inline(always)]
    fn splat<S: Simd>(simd: S, value: Self) -> S::f32s {
        simd.splat_f32s(value)
    }

    #[inline(always)]
    fn load_part<S: Simd>(simd: S, values: &[Self]) -> S::f32s {
        simd.partial_load_f32s(values)
    }

    #[inline(always)]
    fn store_part<S: Simd>(simd: S, values: &mut [Self], vector: S::f32s) {
        simd.partial_store_f32s(values, vector);
    }

    #[inline(always)]
    fn multiply_add_vectors<S: Simd>(simd: S, x: S::f32s, y: S::f32s, z: S::f32s) -> S::f32s {
        simd.mul_add_f32s(x, y, z)
    }

    #[inline(always)]
    fn multiply_add(x: Self, y: Self, z: Self) -> Self {
        Scalar::new().mul_add_f32s(x, y, z)
    }

    #[inline(always)]
    fn larger_magnitude<S: Simd>(simd: S, x: S::f32s, y: S::f32s) -> S::f32s {
        simd.max_f32s(x, simd.abs_f32s(y))
    }

    #[inline(always)]
    fn add_vectors<S: Simd>(simd: S, x: S::f32s, y: S::f32s) -> S::f32s {
        simd.add_f32s(x, y)
    }

    #[inline(always)]
    fn multiply_vectors<S: Simd>(simd: S, x: S::f32s, y: S::f32s) -> S::f32s {
        simd.mul_f32s(x, y)
    }

    /// x P(x^2) / Q(x^2), fitted to the least largest relative error (1.2e-8) on 0 to 8.5 by Lawson's iteration. All
    /// coefficients are positive, so that nothing cancels.
    #[inline(always)]
    fn tanh_vector<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
        let x = clamp_vector(simd, x, -8.5, 8.5);
        clamp_vector(simd, tanh_ratio(simd, x), -1.0, 1.0)
    }

    /// The ratio that tanh is, for positive x alone.
    #[inline(always)]
    fn rectified_tanh_vector<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
        at_most(simd, tanh_ratio(simd, clamp_vector(simd, x, 0.0, 8.5)), 1.0)
    }

    #[inline(always)]
    fn rectify_vector<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
        let zero = simd.splat_f32s(0.0);
        simd.select_f32s(simd.less_than_or_equal_f32s(x, zero), zero, x)
    }

    #[inline(always)]
    fn transposed<S: Simd>(simd: S, block: Block<Self>) -> Block<Self> {
        transposed_f32(simd, block)
    }

    #[inline(always)]
    fn tanh(self) -> Self {
        Self::tanh_vector(Scalar::new(), self)
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        self.sqrt()
    }

    /// Cephes' `expf`: 2^n times a polynomial of what is left, at most ln 2 / 2.
    #[inline(always)]
    fn exp(self) -> Self {
        // Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits of the sum.
        const ROUND: f32 = 12_582_912.0;
        let x = clamp(self, -87.0, 88.0);
        let shifted = x * std::f32::consts::LOG2_E + ROUND;
        let n = shifted - ROUND;
        let r = x - n * 0.693_359_4 + n * 2.121_944_4e-4;
        let p = 1.987_569_2e-4;
        let p = p * r + 1.398_199_9e-3;
        let p = p * r + 8.333_452e-3;
        let p = p * r + 4.166_579_6e-2;
        let p = p * r + 0.166_666_65;
        let p = p * r + 0.5;
        let p = p * (r * r) + r + 1.0;
        let exponent = shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127);
        p * f32::from_bits(exponent << 23)
    }
}

impl Real for f64 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;

    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        value
    }

    #[inline(always)]
    fn to_f64(self) -> f64 {
        self
    }

    type Vector<S: Simd> = Self;

    #[inline(always)]
    fn lanes<S: Simd>() -> usize {
        1
    }

    #[inline(always)]
    fn as_vectors<S: Simd>(values: &[Self]) -> (&[Self], &[Self]) {
        (values, &[])
    }

    #[inline(always)]
    fn as_vectors_mut<S: Simd>(values: &mut [Self]) -> (&mut [Self], &mut [Self]) {
        (values, &mut [])
    }

    #[inline(always)]
    fn splat<S: Simd>(_: S, value: Self) -> Self {
        value
    }

    #[inline(always)]
    fn load_part<S: Simd>(_: S, values: &[Self]) -> Self {
        values[0]
    }

    #[inline(always)]
    fn store_part<S: Simd>(_: S, values: &mut [Self], vector: Self) {
        values[0] = vector;
    }

    #[inline(always)]
    fn multiply_add_vectors<S: Simd>(_: S, x: Self, y: Self, z: Self) -> Self {
        Scalar::new().mul_add_f64s(x, y, z)
    }

    #[inline(always)]
    fn multiply_add(x: Self, y: Self, z: Self) -> Self {
        Scalar::new().mul_add_f64s(x, y, z)
    }

    #[inline(always)]
    fn larger_magnitude<S: Simd>(_: S, x: Self, y: Self) -> Self {
        if y.abs() > x { y.abs() } else { x }
    }

    #[inline(always)]
    fn add_vectors<S: Simd>(_: S, x: Self, y: Self) -> Self {
        x + y
    }

    #[inline(always)]
    fn multiply_vectors<S: Simd>(_: S, x: Self, y: Self) -> Self {
        x * y
    }

    #[inline(always)]
    fn tanh_vector<S: Simd>(_: S, x: Self) -> Self {
        Real::tanh(x)
    }

    #[inline(always)]
    fn rectified_tanh_vector<S: Simd>(simd: S, x: Self) -> Self {
        Self::rectify_vector(simd, Real::tanh(x))
    }

    #[inline(always)]
    fn rectify_vector<S: Simd>(_: S, x: Self) -> Self {
        if x <= 0.0 { 0.0 } else { x }
    }

    #[inline(always)]
    fn transposed<S: Simd>(_: S, block: Block<Self>) -> Block<Self> {
        transposed(block)
    }

    fn tanh(self) -> Self {
        libm::tanh(self)
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        self.sqrt()
    }

    fn exp(self) -> Self {
        libm::exp(clamp(self, -87.0, 88.0))
    }
}

/// `x` within `low` to `high`; unlike `max` and `min`, it keeps NaN.
#[inline(always)]
fn clamp<T: Real>(x: T, low: T, high: T) -> T {
    let x = if x < low { low } else { x };
    if x > high { high } else { x }
}

/// `x` within `low` to `high`; NaN stays.
#[inline(always)]
fn clamp_vector<S: Simd>(simd: S, x: S::f32s, low: f32, high: f32) -> S::f32s {
    at_most(simd, at_least(simd, x, low), high)
}

/// Whether `min` and `max` of vectors give their second argument where one is not a number, or where both are zero.
const fn keeps_second<S: Simd>() -> bool {
    cfg!(any(target_arch = "x86", target_arch = "x86_64")) && !S::IS_SCALAR
}

/// The larger of `x` and `low`; NaN stays, and so does a zero's sign.
#[inline(always)]
fn at_least<S: Simd>(simd: S, x: S::f32s, low: f32) -> S::f32s {
    let low = simd.splat_f32s(low);
    if keeps_second::<S>() {
        return simd.max_f32s(low, x);
    }
    simd.select_f32s(simd.less_than_f32s(x, low), low, x)
}

/// The smaller of `x` and `high`; NaN stays.
#[inline(always)]
fn at_most<S: Simd>(simd: S, x: S::f32s, high: f32) -> S::f32s {
    let high = simd.splat_f32s(high);
    if keeps_second::<S>() {
        return simd.min_f32s(high, x);
    }
    simd.select_f32s(simd.greater_than_f32s(x, high), high, x)
}

/// tanh x for x within +-8.5, up to 1 + 4e-7: x P(x^2) / Q(x^2).
#[inline(always)]
fn tanh_ratio<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let z = simd.mul_f32s(x, x);
    let p = horner(simd, z, [1.426_959e-8, 2.125_133_1e-5, 3.534_045_4e-3, 0.134_132_63, 1.0]);
    let q = horner(simd, z, [8.145_279e-7, 3.348_894_4e-4, 2.602_282_3e-2, 0.467_465_86, 1.0]);
    simd.div_f32s(simd.mul_f32s(x, p), q)
}

/// The polynomial with these coefficients, that of the highest power first.
#[inline(always)]
fn horner<S: Simd>(simd: S, z: S::f32s, coefficients: [f32; 5]) -> S::f32s {
    let mut sum = simd.splat_f32s(coefficients[0]);
    for n in 1..coefficients.len() {
        sum = simd.mul_add_f32s(sum, z, simd.splat_f32s(coefficients[n]));
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The largest error of `f` against `reference` over a dense grid of `low` to `high`, in units in the last place
    /// of the reference rounded to f32.
    fn check(low: f32, high: f32, f: fn(f32) -> f32, reference: fn(f64) -> f64, ulp_max: f64) {
        let steps = 2_000_000_u32;
        for step in 0..=steps {
            let x = (f64::from(low) + f64::from(high - low) * f64::from(step) / f64::from(steps)) as f32;
            let exact = reference(f64::from(x));
            let ulp = f64::from(f32::from_bits((exact as f32).to_bits() + 1)) - f64::from(exact as f32);
            let error = ((f64::from(f(x)) - exact) / ulp).abs();
            assert!(error <= ulp_max, "f({x}) = {}, exactly {exact}: {error} ulp", f(x));
        }
    }

    #[test]
    fn functions_of_f32_are_accurate_to_a_few_ulp() {
        check(-20.0, 20.0, Real::tanh, libm::tanh, 7.0);
        check(-1e-3, 1e-3, Real::tanh, libm::tanh, 2.0);
        check(-1e-30, 1e-30, Real::tanh, libm::tanh, 2.0);
        check(-87.0, 88.0, Real::exp, libm::exp, 2.0);
        check(-1.0, 1.0, Real::exp, libm::exp, 2.0);
        check(-80.0, 100.0, Real::sigmoid, |x| 1.0 / (1.0 + libm::exp(-x)), 4.0);
        check(-1.0, 1.0, Real::sigmoid, |x| 1.0 / (1.0 + libm::exp(-x)), 4.0);
    }

    #[test]
    fn functions_of_f32_have_their_limits() {
        let infinity = f32::INFINITY;
        assert!((1.0 - Real::tanh(infinity)).abs() < 3e-7);
        assert_eq!(Real::tanh(-infinity), -Real::tanh(infinity));
        assert_eq!(Real::tanh(0.0_f32).to_bits(), 0);
        assert_eq!(Real::tanh(-0.0_f32).to_bits(), (-0.0_f32).to_bits());
        assert_eq!(Real::tanh(f32::MIN_POSITIVE / 4.0), f32::MIN_POSITIVE / 4.0);
        assert_eq!(Real::sigmoid(infinity), 1.0);
        assert!(Real::sigmoid(-infinity) < 1e-37);
        assert_eq!(Real::sigmoid(0.0_f32), 0.5);
        for f in [Real::tanh as fn(f32) -> f32, Real::sigmoid, Real::exp] {
            assert!(f(f32::NAN).is_nan());
        }
        for f in [Real::tanh as fn(f64) -> f64, Real::sigmoid, Real::exp] {
            assert!(f(f64::NAN).is_nan());
        }
    }
}

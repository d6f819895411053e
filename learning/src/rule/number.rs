//! Numbers that know their derivative along one direction, so that a gradient that is written once can be differentiated once more.
#![expect(clippy::inline_always, reason = "kernels must be inlined into the function that enables AVX")]

use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub};

use super::multi_state::Real;

/// What a network can be computed in: real numbers, or [`Dual`] ones.
pub trait Number:
    Copy
    + Default
    + std::fmt::Debug
    + Add<Output = Self>
    + AddAssign
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + Send
    + 'static
{
    /// A constant.
    fn of(value: f64) -> Self;
    /// The value, without a derivative.
    fn value(self) -> f64;
    /// tanh x
    #[must_use]
    fn tanh(self) -> Self;
    /// exp x, for x up to 88.
    #[must_use]
    fn exp(self) -> Self;
    /// The natural logarithm.
    #[must_use]
    fn ln(self) -> Self;

    /// 1 / (1 + exp(-x))
    #[must_use]
    #[inline(always)]
    fn sigmoid(self) -> Self {
        let one = Self::of(1.0);
        one / (one + (-self).exp())
    }

    /// log(1 + exp(x)) without overflow.
    #[must_use]
    #[inline(always)]
    fn softplus(self) -> Self {
        let one = Self::of(1.0);
        if self.value() > 0.0 { self + (one + (-self).exp()).ln() } else { (one + self.exp()).ln() }
    }
}

/// Whether all numbers are finite; without a branch for each of them, so that they are tried side by side.
pub(super) fn all_finite<T: Copy + Default + PartialEq + Mul<Output = T>>(values: &[T]) -> bool {
    // Zero times what is infinite or no number is none either.
    values
        .chunks(64)
        .all(|values| values.iter().fold(true, |all, &value| all & (value * T::default() == T::default())))
}

impl Number for f32 {
    #[inline(always)]
    fn of(value: f64) -> Self {
        value as Self
    }

    #[inline(always)]
    fn value(self) -> f64 {
        f64::from(self)
    }

    #[inline(always)]
    fn tanh(self) -> Self {
        Real::tanh(self)
    }

    #[inline(always)]
    fn exp(self) -> Self {
        Real::exp(self)
    }

    #[inline(always)]
    fn ln(self) -> Self {
        libm::logf(self)
    }
}

impl Number for f64 {
    #[inline(always)]
    fn of(value: f64) -> Self {
        value
    }

    #[inline(always)]
    fn value(self) -> f64 {
        self
    }

    #[inline(always)]
    fn tanh(self) -> Self {
        libm::tanh(self)
    }

    #[inline(always)]
    fn exp(self) -> Self {
        libm::exp(self)
    }

    #[inline(always)]
    fn ln(self) -> Self {
        libm::log(self)
    }
}

/// A number with its derivative along a direction.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Dual<T> {
    /// The number.
    pub number: T,
    /// Its derivative.
    pub slope: T,
}

impl<T: Number> Dual<T> {
    /// A number with a derivative.
    #[inline(always)]
    pub fn new(number: T, slope: T) -> Self {
        Self { number, slope }
    }
}

impl<T: Number> Add for Dual<T> {
    type Output = Self;

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self::new(self.number + other.number, self.slope + other.slope)
    }
}

impl<T: Number> AddAssign for Dual<T> {
    #[inline(always)]
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl<T: Number> Sub for Dual<T> {
    type Output = Self;

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        Self::new(self.number - other.number, self.slope - other.slope)
    }
}

impl<T: Number> Mul for Dual<T> {
    type Output = Self;

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        Self::new(self.number * other.number, self.slope * other.number + self.number * other.slope)
    }
}

impl<T: Number> Div for Dual<T> {
    type Output = Self;

    #[inline(always)]
    fn div(self, other: Self) -> Self {
        let quotient = self.number / other.number;
        Self::new(quotient, (self.slope - quotient * other.slope) / other.number)
    }
}

impl<T: Number> Neg for Dual<T> {
    type Output = Self;

    #[inline(always)]
    fn neg(self) -> Self {
        Self::new(-self.number, -self.slope)
    }
}

impl<T: Number> Number for Dual<T> {
    #[inline(always)]
    fn of(value: f64) -> Self {
        Self::new(T::of(value), T::of(0.0))
    }

    #[inline(always)]
    fn value(self) -> f64 {
        self.number.value()
    }

    #[inline(always)]
    fn tanh(self) -> Self {
        let y = self.number.tanh();
        Self::new(y, self.slope * (T::of(1.0) - y * y))
    }

    #[inline(always)]
    fn exp(self) -> Self {
        let y = self.number.exp();
        Self::new(y, self.slope * y)
    }

    #[inline(always)]
    fn ln(self) -> Self {
        Self::new(self.number.ln(), self.slope / self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slopes_are_those_of_central_differences() {
        type Function<T> = fn(T) -> T;
        fn check(name: &str, dual: Function<Dual<f64>>, plain: Function<f64>) {
            for x in [-1.5, -0.2, 0.7, 3.0] {
                let found = dual(Dual::new(x, 2.0));
                let difference = (plain(x + 1e-6) - plain(x - 1e-6)) / 1e-6;
                assert_eq!(found.number, plain(x), "{name}");
                assert!(
                    (found.slope - difference).abs() < 1e-7 * (1.0 + difference.abs()),
                    "{name} at {x}: {found:?}"
                );
            }
        }
        fn mixed<T: Number>(x: T) -> T {
            (x * x - T::of(0.5)) / (x + T::of(5.0)) + -x
        }
        check("tanh", Number::tanh, Number::tanh);
        check("exp", Number::exp, Number::exp);
        check("sigmoid", Number::sigmoid, Number::sigmoid);
        check("softplus", Number::softplus, Number::softplus);
        check("quotient", mixed, mixed);
        check("logarithm", |x| Number::ln(x * x), |x| Number::ln(x * x));
    }

    #[test]
    fn one_number_that_is_not_finite_is_found_wherever_it_is() {
        assert!(all_finite::<f32>(&[]) && all_finite(&[f32::MAX, f32::MIN, -0.0, 1e-45]));
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for place in [0, 63, 64, 129] {
                let mut values = [1.0; 130];
                values[place] = value;
                assert!(!all_finite(&values) && !all_finite(&values.map(f64::from)), "{value} at {place}");
            }
        }
    }
}

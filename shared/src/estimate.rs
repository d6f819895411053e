//! Means over tasks with their errors.
//!
//! Of finite numbers they are finite. Sums are taken in the order of the numbers; where one leaves what can be written, it is taken again of
//! smaller numbers. So every other mean has the bits of the plain sum.

use serde::{Deserialize, Serialize};

/// What makes numbers so small that their sum is finite: a power of two, which costs no digits.
const OF_A_SUM: f64 = f64::from_bits((1023 - 64) << 52);
/// The same of a sum of squares.
const OF_SQUARES: f64 = f64::from_bits((1023 - 576) << 52);

/// The mean of numbers; 0 where there are none.
pub fn mean(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let count = values.clone().count() as f64;
    if count == 0.0 {
        return 0.0;
    }
    let sum = values.clone().sum::<f64>();
    if sum.is_finite() {
        return sum / count;
    }
    let smaller = values.map(|value| value * OF_A_SUM).sum::<f64>();
    // What is not finite itself has no finite mean.
    if smaller.is_finite() { (smaller / count / OF_A_SUM).clamp(f64::MIN, f64::MAX) } else { sum }
}

/// The Euclidean length.
pub fn length(values: impl Iterator<Item = f64> + Clone) -> f64 {
    root_of_squares(values, 0.0, |squares| squares)
}

/// The root of what becomes of the sum of squared distances from a place; `share` is a factor.
fn root_of_squares(values: impl Iterator<Item = f64> + Clone, place: f64, share: impl Fn(f64) -> f64) -> f64 {
    let root = share(squares(values.clone(), place, 1.0)).sqrt();
    if root.is_finite() {
        return root;
    }
    (share(squares(values, place, OF_SQUARES)).sqrt() / OF_SQUARES).clamp(0.0, f64::MAX)
}

/// The sum of squared distances from a place, all of them multiplied by a factor first.
fn squares(values: impl Iterator<Item = f64>, place: f64, factor: f64) -> f64 {
    let distances = values.map(|value| value * factor - place * factor);
    distances.map(|distance| distance * distance).sum()
}

/// A mean over tasks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The mean.
    pub mean: f64,
    /// The standard deviation of the tasks over the square root of their number; 0 for a single task.
    pub standard_error: f64,
}

impl Estimate {
    /// Of values in task order; all zero where there are none.
    pub fn of(values: impl Iterator<Item = f64> + Clone) -> Self {
        let count = values.clone().count() as f64;
        if count == 0.0 {
            return Self::default();
        }
        let mean = mean(values.clone());
        let share = |squares: f64| squares / (count - 1.0).max(1.0) / count;
        Self { mean, standard_error: root_of_squares(values, mean, share) }
    }

    /// The standard deviation of the values, of which there were so many.
    pub fn deviation(&self, values: usize) -> f64 {
        (self.standard_error * (values as f64).sqrt()).min(f64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimates_are_mean_and_standard_error() {
        let of = |values: &[f64]| Estimate::of(values.iter().copied());
        assert_eq!(of(&[]), Estimate::default());
        assert_eq!(of(&[0.5]), Estimate { mean: 0.5, standard_error: 0.0 });
        // Variance 4/3 of four values.
        let estimate = of(&[1.0, 3.0, 1.0, 3.0]);
        assert_eq!(estimate.mean, 2.0);
        assert!((estimate.standard_error - (4.0_f64 / 3.0 / 4.0).sqrt()).abs() < 1e-15);
    }

    #[test]
    fn what_is_finite_has_a_finite_mean_and_error() {
        let near = |found: f64, expected: f64| (found / expected - 1.0).abs() < 1e-15;
        let of = |values: &[f64]| Estimate::of(values.iter().copied());
        for count in [1, 2, 3, 7, 4096] {
            let (most, least) = (vec![f64::MAX; count], vec![f64::MIN; count]);
            assert_eq!(of(&most), Estimate { mean: f64::MAX, standard_error: 0.0 }, "{count}");
            assert_eq!(of(&least), Estimate { mean: f64::MIN, standard_error: 0.0 }, "{count}");
        }
        // The sum leaves the numbers on its way, and would have come back.
        let found = of(&[1e308, 1e308, -1e308, -0.5e308]);
        assert!(near(found.mean, 1.25e307), "{found:?}");
        let ends = of(&[f64::MAX, f64::MIN]);
        assert_eq!(ends, Estimate { mean: 0.0, standard_error: f64::MAX });
        assert_eq!(ends.deviation(2), f64::MAX, "the nearest number");
        let apart = of(&[-1e300, 1e300]);
        assert!(apart.mean == 0.0 && near(apart.standard_error, 1e300), "{apart:?}");
        assert!(near(apart.deviation(2), 2.0_f64.sqrt() * 1e300), "{apart:?}");
        assert!(near(length([3e300, 4e300].into_iter()), 5e300));
        assert_eq!(mean([f64::INFINITY, 1.0].into_iter()), f64::INFINITY, "what is lost stays lost");
        assert!(mean([f64::INFINITY, f64::NEG_INFINITY].into_iter()).is_nan());
    }

    #[test]
    fn what_does_not_overflow_has_the_bits_of_plain_sums() {
        let mut bits = 1_u64;
        for count in 1..200_usize {
            let values: Vec<f64> = (0..count)
                .map(|_| {
                    bits =
                        bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    // Of all sizes that squares can be taken of.
                    let exponent = 1023 - 400 + (bits >> 33) % 800;
                    f64::from_bits((bits & (1 << 63)) | (exponent << 52) | (bits >> 12))
                })
                .collect();
            let n = count as f64;
            let mean = values.iter().sum::<f64>() / n;
            let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
            let standard_error = (squares / (n - 1.0).max(1.0) / n).sqrt();
            assert_eq!(Estimate::of(values.iter().copied()), Estimate { mean, standard_error }, "{values:?}");
        }
    }
}

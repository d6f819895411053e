//! Means over tasks with their errors.

use serde::{Deserialize, Serialize};

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
        let tasks = values.clone().count();
        if tasks == 0 {
            return Self::default();
        }
        let count = tasks as f64;
        let mean = values.clone().sum::<f64>() / count;
        let squares: f64 = values.map(|value| (value - mean) * (value - mean)).sum();
        Self { mean, standard_error: (squares / (count - 1.0).max(1.0) / count).sqrt() }
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
}

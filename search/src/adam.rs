//! Adam (Kingma and Ba 2015), upwards: a gradient becomes a step of about the learning rate in every coordinate.

use serde::{Deserialize, Serialize};

use super::StrategyError;
use super::envelope::check_numbers;

/// The customary decays of the first and the second moment.
pub(super) const BETAS: [f64; 2] = [0.9, 0.999];
/// Keeps a step finite where no gradient has been seen.
const EPSILON: f64 = 1e-8;

/// What Adam remembers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Adam {
    /// Steps taken.
    steps: u32,
    /// Decaying mean of the gradients, n numbers.
    first_moment: Vec<f64>,
    /// Decaying mean of their squares, n numbers, not negative.
    second_moment: Vec<f64>,
}

impl Adam {
    /// Before the first step in `dimension` dimensions.
    pub(super) fn new(dimension: usize) -> Self {
        Self { steps: 0, first_moment: vec![0.0; dimension], second_moment: vec![0.0; dimension] }
    }

    /// Refuses what does not fit `dimension` dimensions or cannot be remembered.
    pub(super) fn check(&self, dimension: usize) -> Result<(), StrategyError> {
        check_numbers("first_moment", dimension, &self.first_moment)?;
        check_numbers("second_moment", dimension, &self.second_moment)?;
        if self.second_moment.iter().any(|&v| v < 0.0) {
            return Err(StrategyError::State("second_moment must not be negative".to_owned()));
        }
        Ok(())
    }

    /// Moves `point` along the gradient of what is maximised; `betas` are the decays of the moments, below 1.
    pub(super) fn ascend(
        &mut self,
        point: &mut [f64],
        gradient: &[f64],
        learning_rate: f64,
        [beta_1, beta_2]: [f64; 2],
    ) {
        self.steps = self.steps.saturating_add(1);
        let seen = |beta: f64| 1.0 - libm::pow(beta, f64::from(self.steps));
        let (first_seen, second_seen) = (seen(beta_1), seen(beta_2));
        let moments = self.first_moment.iter_mut().zip(&mut self.second_moment);
        for ((x, g), (m, v)) in point.iter_mut().zip(gradient).zip(moments) {
            *m = beta_1 * *m + (1.0 - beta_1) * g;
            *v = beta_2 * *v + (1.0 - beta_2) * g * g;
            *x += learning_rate * (*m / first_seen) / ((*v / second_seen).sqrt() + EPSILON);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_those_of_the_paper() {
        let mut adam = Adam::new(3);
        let mut point = [1.0, 1.0, 1.0];
        adam.ascend(&mut point, &[4.0, -1e-3, 0.0], 0.1, BETAS);
        // The first step is the learning rate in the gradient's direction, however long the gradient.
        for (x, expected) in point.iter().zip([1.1, 0.9, 1.0]) {
            assert!((x - expected).abs() < 2e-6, "{point:?}");
        }
        adam.ascend(&mut point, &[-2.0, -1e-3, 0.0], 0.1, BETAS);
        // m = .9 * .4 - .2 = .16, over 1 - .81; v = .999 * .016 + .004 = .019984, over 1 - .998001.
        let expected = 1.1 + 0.1 * (0.16 / 0.19) / (0.019_984f64 / 0.001_999).sqrt();
        assert!((point[0] - expected).abs() < 1e-6, "{} instead of {expected}", point[0]);
        assert_eq!(point[2], 1.0);
        assert_eq!(adam.steps, 2);
    }
}

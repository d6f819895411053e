//! What predictions are worth. Higher is better.

use hebbian_shared::spec::evaluation::Objective;

/// What is measured of predictions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quantity {
    /// What a search asks for.
    Objective(Objective),
    /// Of bits, from 0 to 1.
    Recall,
    /// Of values, from 0 to 1.
    ExplainedVariance,
    /// Of values, from 0 to 1.
    OneMinusError,
}

impl Quantity {
    /// Of finite predictions, `[examples, outputs]`, and their targets.
    pub(super) fn of(self, prediction: &[f32], target: &[f32], outputs: usize) -> f64 {
        match self {
            Self::Objective(objective) => value(objective, prediction, target, outputs),
            Self::Recall => recall(prediction, target),
            Self::ExplainedVariance => explained_variance(prediction, target),
            // Not a number where anything is not, which `max` turns into 0.
            Self::OneMinusError => {
                (1.0 + value(Objective::SquaredError, prediction, target, outputs)).max(0.0)
            }
        }
    }
}

/// The objective of finite predictions, `[examples, outputs]` as the targets of +-1; `NaN` where it overflows.
pub(crate) fn value(objective: Objective, prediction: &[f32], target: &[f32], outputs: usize) -> f64 {
    match objective {
        Objective::Accuracy => accuracy(prediction, target, outputs),
        Objective::SquaredError => {
            let squares = prediction.iter().zip(target).map(|(&y, &t)| {
                let difference = f64::from(y) - f64::from(t);
                difference * difference
            });
            -squares.sum::<f64>() / target.len() as f64
        }
        Objective::Logistic => {
            let examples = prediction.chunks_exact(outputs).zip(target.chunks_exact(outputs));
            let losses = examples.map(|(prediction, target)| {
                if outputs == 1 {
                    logistic(prediction[0], target[0])
                } else {
                    cross_entropy(prediction, target)
                }
            });
            -losses.sum::<f64>() * outputs as f64 / target.len() as f64
        }
    }
}

/// Share of the examples whose class is predicted: the sign of the only output (0 counts as negative) or the first
/// largest of several.
pub(crate) fn accuracy(prediction: &[f32], target: &[f32], outputs: usize) -> f64 {
    let correct = if outputs == 1 {
        prediction.iter().zip(target).filter(|(y, t)| (**y > 0.0) == (**t > 0.0)).count()
    } else {
        let examples = prediction.chunks_exact(outputs).zip(target.chunks_exact(outputs));
        examples.filter(|(prediction, target)| class(prediction) == class(target)).count()
    };
    correct as f64 * outputs as f64 / target.len() as f64
}

/// The share of bits +-1 whose sign is predicted; a prediction of 0 counts half.
pub(crate) fn recall(prediction: &[f32], target: &[f32]) -> f64 {
    let right = prediction.iter().zip(target).map(|(y, t)| match y * t {
        0.0 => 0.5,
        product if product > 0.0 => 1.0,
        _ => 0.0,
    });
    right.sum::<f64>() / target.len() as f64
}

/// The share of the targets' variance that predictions explain: 1 minus their mean squared error over the variance of
/// the targets. Predictions that are worse than the targets' mean count 0, as those of a network that diverged.
pub(crate) fn explained_variance(prediction: &[f32], target: &[f32]) -> f64 {
    let count = target.len() as f64;
    let mean = target.iter().map(|&t| f64::from(t)).sum::<f64>() / count;
    let squares = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>();
    let errors = squares(&mut prediction.iter().zip(target).map(|(&y, &t)| f64::from(y) - f64::from(t)));
    let variance = squares(&mut target.iter().map(|&t| f64::from(t) - mean));
    // Not a number where anything is not, which `max` turns into 0.
    (1.0 - errors / variance).max(0.0)
}

/// The first largest output.
fn class(outputs: &[f32]) -> usize {
    let mut best = 0;
    for (place, &output) in outputs.iter().enumerate() {
        if output > outputs[best] {
            best = place;
        }
    }
    best
}

/// log(1 + exp(x)) without overflow.
fn softplus(x: f64) -> f64 {
    x.max(0.0) + libm::log1p(libm::exp(-x.abs()))
}

/// The share of a class that a soft target stands for.
fn share(target: f32) -> f64 {
    0.5 * (f64::from(target) + 1.0)
}

/// Minus the logarithm of the logistic function at the class that a target of +-1 names; of a soft one the mean by its shares.
fn logistic(prediction: f32, target: f32) -> f64 {
    let (y, t) = (f64::from(prediction), f64::from(target));
    if t.abs() == 1.0 {
        return softplus(-t * y);
    }
    share(target) * softplus(-y) + share(-target) * softplus(y)
}

/// Minus the logarithm of the softmax of `prediction` at the class whose target is 1; of soft targets the mean by their shares.
fn cross_entropy(prediction: &[f32], target: &[f32]) -> f64 {
    let highest = prediction.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weights = prediction.iter().map(|&y| libm::exp(f64::from(y) - f64::from(highest)));
    let logarithm = libm::log(weights.sum::<f64>()) + f64::from(highest);
    let class = class(target);
    if target[class] == 1.0 {
        return logarithm - f64::from(prediction[class]);
    }
    prediction.iter().zip(target).map(|(&y, &t)| share(t) * (logarithm - f64::from(y))).sum()
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test's own arithmetic")]
mod tests {
    use super::*;

    fn check(objective: Objective, prediction: &[f32], target: &[f32], outputs: usize, expected: f64) {
        let found = value(objective, prediction, target, outputs);
        assert!((found - expected).abs() < 1e-12, "{objective:?} of {prediction:?}: {found}, not {expected}");
    }

    #[test]
    fn objectives_are_their_formulas() {
        let target = [1.0, -1.0, 1.0, -1.0];
        let prediction = [0.5, -0.5, -0.5, 0.0];
        check(Objective::Accuracy, &prediction, &target, 1, 0.75);
        check(Objective::SquaredError, &prediction, &target, 1, -(0.25 + 0.25 + 2.25 + 1.0) / 4.0);
        let logistic = |margin: f64| (1.0 + (-margin).exp()).ln();
        let expected = -(2.0 * logistic(0.5) + logistic(-0.5) + logistic(0.0)) / 4.0;
        check(Objective::Logistic, &prediction, &target, 1, expected);
    }

    #[test]
    fn recall_counts_signs() {
        assert_eq!(recall(&[0.5, -2.0, 0.1, 0.0], &[1.0, -1.0, -1.0, 1.0]), 0.625);
    }

    #[test]
    fn explained_variance_is_1_for_the_targets_and_0_for_their_mean() {
        let target = [0.5, -0.5, 0.25, -0.25];
        assert_eq!(explained_variance(&target, &target), 1.0);
        assert_eq!(explained_variance(&[0.0; 4], &target), 0.0);
        assert_eq!(explained_variance(&[0.5, -0.5, 0.0, 0.0], &target), 1.0 - 0.125 / 0.625);
        assert_eq!(explained_variance(&[9.0; 4], &target), 0.0);
        assert_eq!(explained_variance(&[f32::NAN; 4], &target), 0.0);
    }

    #[test]
    fn one_minus_the_error_is_never_below_0() {
        let of = |prediction: &[f32]| Quantity::OneMinusError.of(prediction, &[0.5, -0.5], 1);
        assert_eq!(
            [of(&[0.5, -0.5]), of(&[0.0, 0.0]), of(&[9.0, 0.0]), of(&[f32::NAN, 0.0])],
            [1.0, 0.75, 0.0, 0.0]
        );
    }

    #[test]
    fn several_outputs_are_classes() {
        let target = [-1.0, 1.0, -1.0, 1.0, -1.0, -1.0];
        let prediction = [0.0, 2.0, 1.0, 0.5, 0.25, 0.5];
        check(Objective::Accuracy, &prediction, &target, 3, 1.0);
        check(Objective::Accuracy, &[0.5; 6], &target, 3, 0.5);
        let first = (1.0 + 2.0_f64.exp() + 1.0_f64.exp()).ln() - 2.0;
        let second = (2.0 * 0.5_f64.exp() + 0.25_f64.exp()).ln() - 0.5;
        check(Objective::Logistic, &prediction, &target, 3, -(first + second) / 2.0);
    }

    #[test]
    fn soft_targets_are_means_by_their_shares() {
        let logistic = |margin: f64| (1.0 + (-margin).exp()).ln();
        let expected =
            -(0.625 * logistic(0.5) + 0.375 * logistic(-0.5) + 0.25 * logistic(-3.0) + 0.75 * logistic(3.0))
                / 2.0;
        check(Objective::Logistic, &[0.5, -3.0], &[0.25, -0.5], 1, expected);
        // The true class has the largest target, though it is negative.
        let (prediction, target) = ([0.0, 2.0, 1.0, 0.5], [-0.625, -0.125, -0.625, -0.625]);
        check(Objective::Accuracy, &prediction, &target, 4, 1.0);
        let whole = (1.0 + 2.0_f64.exp() + 1.0_f64.exp() + 0.5_f64.exp()).ln();
        let expected = -(whole - 0.4375 * 2.0 - 0.1875 * 1.5);
        check(Objective::Logistic, &prediction, &target, 4, expected);
        check(Objective::Accuracy, &[0.1, -0.1], &[0.1, 0.1], 1, 0.5);
    }

    #[test]
    fn large_predictions_do_not_overflow() {
        check(Objective::Logistic, &[1e30], &[-1.0], 1, -f64::from(1e30_f32));
        check(Objective::Logistic, &[1e30], &[1.0], 1, 0.0);
        check(Objective::Logistic, &[1e30, 0.0], &[1.0, -1.0], 2, 0.0);
    }
}

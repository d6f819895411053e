//! Losses of predictions with their gradients, in any kind of number.
#![expect(clippy::inline_always, reason = "kernels must be inlined into the function that enables AVX")]

use hebbian_shared::spec::evaluation::Objective;
use hebbian_shared::spec::rule::gradient_descent::Loss;

use super::number::Number;

/// What is descended; a mean over the examples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Descended {
    /// Half of the squared differences, summed over the outputs.
    HalfSquares,
    /// The squared differences, averaged over the outputs: the objective's.
    MeanSquares,
    /// log(1 + exp(-t y)) for one output, the cross-entropy of the softmax for several; of soft targets t, which stand for shares
    /// p = (t + 1) / 2, its mean by them.
    Logistic,
}

impl From<Loss> for Descended {
    fn from(loss: Loss) -> Self {
        match loss {
            Loss::Squared => Self::HalfSquares,
            Loss::Logistic => Self::Logistic,
        }
    }
}

impl From<Objective> for Descended {
    /// The loss of an objective; for accuracy, which has no gradient, the logistic one.
    fn from(objective: Objective) -> Self {
        match objective {
            Objective::SquaredError => Self::MeanSquares,
            Objective::Logistic | Objective::Accuracy => Self::Logistic,
        }
    }
}

impl Descended {
    /// The loss of one example, as it counts by itself, and its gradient by the outputs.
    #[inline(always)]
    pub(super) fn of_example<T: Number>(self, outputs: &[T], targets: &[T], errors: &mut [T]) -> T {
        match self {
            Self::HalfSquares => squares(outputs, targets, errors, 0.5),
            Self::MeanSquares => squares(outputs, targets, errors, 1.0 / outputs.len() as f64),
            Self::Logistic if outputs.len() == 1 && is_whole(targets[0]) => {
                let margin = -targets[0] * outputs[0];
                errors[0] = -targets[0] * margin.sigmoid();
                margin.softplus()
            }
            Self::Logistic if outputs.len() == 1 => {
                let (output, share) = (outputs[0], share(targets[0]));
                errors[0] = output.sigmoid() - share;
                share * (-output).softplus() + (T::of(1.0) - share) * output.softplus()
            }
            Self::Logistic => cross_entropy(outputs, targets, errors),
        }
    }

    /// The mean loss of examples, `[examples, outputs]`, and its gradient by the outputs.
    #[inline(always)]
    pub(super) fn of<T: Number>(self, outputs: &[T], targets: &[T], errors: &mut [T], width: usize) -> T {
        let examples = outputs.chunks_exact(width).zip(targets.chunks_exact(width));
        let share = T::of(width as f64 / outputs.len() as f64);
        let mut total = T::of(0.0);
        for ((outputs, targets), errors) in examples.zip(errors.chunks_exact_mut(width)) {
            total += self.of_example(outputs, targets, errors);
            for error in errors {
                *error = *error * share;
            }
        }
        total * share
    }
}

/// `factor` times the sum of the squared differences.
#[inline(always)]
fn squares<T: Number>(outputs: &[T], targets: &[T], errors: &mut [T], factor: f64) -> T {
    let mut total = T::of(0.0);
    for ((error, &output), &target) in errors.iter_mut().zip(outputs).zip(targets) {
        let difference = output - target;
        total += difference * difference;
        *error = difference * T::of(2.0 * factor);
    }
    total * T::of(factor)
}

/// Whether a target names a class; otherwise it stands for a share.
#[inline(always)]
fn is_whole<T: Number>(target: T) -> bool {
    target.value().abs() == 1.0
}

/// The share of a class that a target stands for.
#[inline(always)]
fn share<T: Number>(target: T) -> T {
    (target + T::of(1.0)) * T::of(0.5)
}

/// Minus the logarithm of the softmax at the outputs whose target is 1; of soft targets the mean by their shares.
#[inline(always)]
fn cross_entropy<T: Number>(outputs: &[T], targets: &[T], errors: &mut [T]) -> T {
    let highest = outputs.iter().map(|output| output.value()).fold(f64::NEG_INFINITY, f64::max);
    let mut total = T::of(0.0);
    for (error, &output) in errors.iter_mut().zip(outputs) {
        *error = (output - T::of(highest)).exp();
        total += *error;
    }
    let logarithm = total.ln() + T::of(highest);
    let mut loss = T::of(0.0);
    for ((error, &output), &target) in errors.iter_mut().zip(outputs).zip(targets) {
        *error = *error / total;
        if target.value() == 1.0 {
            loss += logarithm - output;
            *error = *error - T::of(1.0);
        } else if !is_whole(target) {
            let share = share(target);
            loss += share * (logarithm - output);
            *error = *error - share;
        }
    }
    loss
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradients_are_those_of_central_differences() {
        let outputs = [0.3, -1.0, 2.0, 0.1];
        let whole = [1.0, -1.0, -1.0, 1.0];
        // Shares of an example add up to 1.
        for (descended, targets, widths) in [
            (Descended::HalfSquares, whole, [1, 2]),
            (Descended::MeanSquares, whole, [1, 2]),
            (Descended::Logistic, whole, [1, 2]),
            (Descended::Logistic, [0.4, -0.4, -0.7, 0.7], [1, 2]),
            // The true one of many classes may have less than half.
            (Descended::Logistic, [-0.2, -0.5, -0.6, -0.7], [1, 4]),
        ] {
            for width in widths {
                let mut errors = [0.0; 4];
                descended.of(&outputs, &targets, &mut errors, width);
                for (place, error) in errors.iter().enumerate() {
                    let moved = |by: f64| {
                        let mut outputs = outputs;
                        outputs[place] += by;
                        descended.of(&outputs, &targets, &mut [0.0; 4], width)
                    };
                    let difference = (moved(1e-6) - moved(-1e-6)) / 2e-6;
                    assert!((error - difference).abs() < 1e-8, "{descended:?} {width} {place}");
                }
            }
        }
    }

    /// The loss by its definition: the mean of the losses of whole targets, by the shares of their classes.
    #[test]
    fn soft_targets_are_means_of_whole_ones() {
        let of = |outputs: &[f64], targets: &[f64]| {
            Descended::Logistic.of_example(outputs, targets, &mut vec![0.0; outputs.len()])
        };
        for (output, target) in [(0.7, 0.1), (-2.0, 0.55), (30.0, -0.9), (-700.0, 0.25)] {
            let share = 0.5 * (target + 1.0);
            let expected = share * of(&[output], &[1.0]) + (1.0 - share) * of(&[output], &[-1.0]);
            assert!((of(&[output], &[target]) - expected).abs() < 1e-12, "{output} {target}");
        }
        let outputs = [0.3, -1.0, 2.0];
        for shares in [[0.4, 0.3, 0.3], [0.2, 0.2, 0.6]] {
            let whole = |class: usize| of(&outputs, &[0, 1, 2].map(|c| if c == class { 1.0 } else { -1.0 }));
            let expected: f64 = (0..3).map(|class| shares[class] * whole(class)).sum();
            let found = of(&outputs, &shares.map(|share| 2.0 * share - 1.0));
            assert!((found - expected).abs() < 1e-12, "{shares:?}: {found}, not {expected}");
        }
    }
}

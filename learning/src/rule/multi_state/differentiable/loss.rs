//! What an answer is worth, and its adjoint.

use pulp::Arch;

use super::elementwise::softmax;
use crate::rule::multi_state::Real;
use crate::rule::multi_state::buffer::Buffer;

/// What is measured of answers to examples of classes; a mean over the examples. Answers are multiplied by the loss's temperature
/// first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerLoss {
    /// The cross-entropy of their softmax.
    CrossEntropy,
    /// The squared differences from 1 at the class and -1 elsewhere, averaged over the outputs. An answer of two neurons for
    /// one output is their difference.
    Squared {
        /// Outputs of the task.
        outputs: usize,
    },
}

/// Memory of a measurement that holds nothing between calls.
#[derive(Clone, Debug, Default)]
pub(super) struct LossScratch<T> {
    share: Buffer<T>,
    largest: Buffer<T>,
    sums: Buffer<T>,
}

impl AnswerLoss {
    /// The loss of `logits`, and the derivative of `weight` times it by them, which is added to `adjoint`, and by the
    /// temperature. All matrices are `[neuron, example]`.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn measure<T: Real>(
        self,
        arch: Arch,
        logits: &[T],
        target: &[T],
        temperature: f64,
        weight: f64,
        adjoint: &mut [T],
        batch: usize,
        scratch: &mut LossScratch<T>,
    ) -> (f64, f64) {
        match self {
            Self::CrossEntropy => {
                cross_entropy(arch, logits, target, temperature, weight, adjoint, batch, scratch)
            }
            Self::Squared { outputs } => {
                squared(logits, target, temperature, weight, adjoint, (outputs, batch))
            }
        }
    }
}

#[allow(clippy::too_many_arguments)]
fn cross_entropy<T: Real>(
    arch: Arch,
    logits: &[T],
    target: &[T],
    temperature: f64,
    weight: f64,
    adjoint: &mut [T],
    batch: usize,
    scratch: &mut LossScratch<T>,
) -> (f64, f64) {
    let LossScratch { share, largest, sums } = scratch;
    let (share, largest, sums) = (share.take(logits.len()), largest.take(batch), sums.take(batch));
    softmax(arch, logits, T::from_f64(temperature), share, (largest, sums));
    let mut loss = 0.0;
    for (largest, sum) in largest.iter().zip(&*sums) {
        loss += largest.to_f64() + libm::log(sum.to_f64());
    }
    let factor = T::from_f64(weight * temperature / batch as f64);
    let mut by_temperature = 0.0;
    for (place, (&logit, &target)) in logits.iter().zip(target).enumerate() {
        let difference = share[place] - target;
        loss -= target.to_f64() * temperature * logit.to_f64();
        by_temperature += difference.to_f64() * logit.to_f64();
        adjoint[place] += factor * difference;
    }
    (loss / batch as f64, weight * by_temperature / batch as f64)
}

fn squared<T: Real>(
    logits: &[T],
    target: &[T],
    temperature: f64,
    weight: f64,
    adjoint: &mut [T],
    (outputs, batch): (usize, usize),
) -> (f64, f64) {
    let count = (outputs * batch) as f64;
    let (mut loss, mut by_temperature) = (0.0, 0.0);
    let is_pair = outputs * batch < logits.len();
    for place in 0..outputs * batch {
        let answer = if is_pair {
            logits[place].to_f64() - logits[place + batch].to_f64()
        } else {
            logits[place].to_f64()
        };
        let difference = temperature * answer - (2.0 * target[place].to_f64() - 1.0);
        loss += difference * difference;
        by_temperature += 2.0 * difference * answer;
        let slope = T::from_f64(2.0 * weight * temperature * difference / count);
        adjoint[place] += slope;
        if is_pair {
            adjoint[place + batch] += -slope;
        }
    }
    (loss / count, weight * by_temperature / count)
}

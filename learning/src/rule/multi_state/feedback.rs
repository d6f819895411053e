//! What the backward pass starts from: the target's way into the last layer.

use hebbian_shared::spec::rule::multi_state::Feedback;

use super::neuron::Layer;
use super::real::Real;

/// How many of the last layer's first states outlive the feedback or enter it; the others are overwritten unread.
pub(super) fn states_kept(feedback: Feedback, states: usize) -> usize {
    match feedback {
        Feedback::ReplaceState0 => states,
        Feedback::DifferenceTimesSecondState => 2,
        Feedback::ConcatGroundTruth | Feedback::Difference | Feedback::SoftmaxDifference => 1,
    }
}

/// Writes feedback into the last layer: no gate, no activation. `target` is `[neuron, example]`, y is state 0.
pub(super) fn apply<T: Real>(feedback: Feedback, last: &mut Layer<T>, target: &[T]) {
    if feedback == Feedback::ReplaceState0 {
        last.state_mut(0).copy_from_slice(target);
        return;
    }
    let batch = last.stride() / last.neurons();
    let (prediction, second) = last.first_two_states_mut();
    match feedback {
        Feedback::ConcatGroundTruth | Feedback::ReplaceState0 => second.copy_from_slice(target),
        Feedback::Difference => {
            for ((second, &y), &t) in second.iter_mut().zip(&*prediction).zip(target) {
                *second = y - t;
            }
        }
        Feedback::DifferenceTimesSecondState => {
            for ((second, &y), &t) in second.iter_mut().zip(&*prediction).zip(target) {
                *second = (y - t) * *second;
            }
        }
        Feedback::SoftmaxDifference => softmax_difference(prediction, target, second, batch),
    }
    last.clear_states_from(2);
}

/// `out = softmax over the neurons of y, minus t`, example by example.
fn softmax_difference<T: Real>(logits: &[T], target: &[T], out: &mut [T], batch: usize) {
    for b in 0..batch {
        let at = || (b..logits.len()).step_by(batch);
        let mut largest = logits[b];
        for index in at() {
            if logits[index] > largest {
                largest = logits[index];
            }
        }
        let mut sum = T::ZERO;
        for index in at() {
            out[index] = (logits[index] - largest).exp();
            sum += out[index];
        }
        for index in at() {
            out[index] = out[index] / sum - target[index];
        }
    }
}

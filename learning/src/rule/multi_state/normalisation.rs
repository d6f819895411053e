//! Normalisation of synapses: what arrives at a neuron has the Euclidean norm 1, or one that is evolved.

use pulp::{Arch, Simd};

use super::dispatch::dispatch;
use super::plan::BackwardBlock;
use super::real::Real;
use super::synapses::Synapses;

/// Added to every sum of squares, so that synapses that are all zero stay so.
const EPSILON: f64 = 1e-9;

/// Normalises a layer's synapses in both directions, state by state; those within a layer become zero. `rescale_to` has
/// a norm for each state, `norms` is scratch.
pub(super) fn normalise<T: Real>(
    arch: Arch,
    synapses: &mut Synapses<T>,
    rescale_to: &[T],
    norms: &mut Vec<T>,
) {
    normalise_forward(arch, synapses, rescale_to, norms);
    normalise_backward(arch, synapses, rescale_to, norms);
    synapses.within_inputs.fill(T::ZERO);
    synapses.within_outputs.fill(T::ZERO);
}

/// As [`normalise`], for the forward synapses alone: each output's synapses from all inputs and the bias.
pub(super) fn normalise_forward<T: Real>(
    arch: Arch,
    synapses: &mut Synapses<T>,
    rescale_to: &[T],
    norms: &mut Vec<T>,
) {
    let (stride, outputs) = (synapses.stride(), synapses.outputs);
    for (block, &norm) in synapses.forward.chunks_exact_mut(stride).zip(rescale_to) {
        normalise_columns(arch, block, outputs, outputs, norm, norms);
    }
}

/// As [`normalise`], for the backward synapses alone: each input's synapses from all outputs.
pub(super) fn normalise_backward<T: Real>(
    arch: Arch,
    synapses: &mut Synapses<T>,
    rescale_to: &[T],
    norms: &mut Vec<T>,
) {
    let (stride, columns) = (synapses.stride(), synapses.inputs + 1);
    let used = if synapses.backward_block == BackwardBlock::Whole { columns } else { synapses.inputs };
    for (block, &norm) in synapses.backward.chunks_exact_mut(stride).zip(rescale_to) {
        normalise_columns(arch, block, columns, used, norm, norms);
    }
}

/// Gives the first `used` of a row-major matrix' columns the norm `norm`.
fn normalise_columns<T: Real>(
    arch: Arch,
    values: &mut [T],
    columns: usize,
    used: usize,
    norm: T,
    norms: &mut Vec<T>,
) {
    norms.clear();
    norms.resize(used, T::ZERO);
    let norms = &mut norms[..];
    dispatch!(arch, 'a, divide_by_norms => (
        values: &'a mut [T],
        columns: usize,
        norm: T,
        norms: &'a mut [T],
    ) -> ());
}

#[inline(always)]
fn divide_by_norms<T: Real, S: Simd>(_: S, values: &mut [T], columns: usize, norm: T, norms: &mut [T]) {
    let rows = values.len() / columns;
    norms.fill(T::from_f64(EPSILON));
    for i in 0..rows {
        let row = &values[i * columns..][..norms.len()];
        for j in 0..row.len() {
            norms[j] += row[j] * row[j];
        }
    }
    for j in 0..norms.len() {
        norms[j] = norm / norms[j].sqrt();
    }
    for i in 0..rows {
        let row = &mut values[i * columns..][..norms.len()];
        for j in 0..row.len() {
            row[j] = row[j] * norms[j];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::multi_state::WithinBlocks;

    #[test]
    fn every_neuron_that_receives_gets_the_norm_and_nothing_else_changes() {
        // Two inputs, three outputs, two states.
        let mut synapses = Synapses::<f64>::new(2, 3, 2, BackwardBlock::WithoutBias, WithinBlocks::default());
        let fill = |values: &mut [f64]| {
            let values = values.iter_mut().enumerate();
            values.for_each(|(place, value)| *value = place as f64 - 7.25);
        };
        fill(&mut synapses.forward);
        fill(&mut synapses.backward);
        let before = synapses.backward.clone();
        normalise(Arch::new(), &mut synapses, &[1.0, 2.5], &mut Vec::new());
        let check = |values: &[f64], columns: usize, used: usize| {
            for (state, block) in values.chunks_exact(9).enumerate() {
                for column in 0..used {
                    let squares: f64 = block.iter().skip(column).step_by(columns).map(|x| x * x).sum();
                    assert!((squares.sqrt() - [1.0, 2.5][state]).abs() < 1e-9, "{squares}");
                }
            }
        };
        check(&synapses.forward, 3, 3);
        check(&synapses.backward, 3, 2);
        assert_eq!(synapses.backward[2], before[2], "the bias column is never read");
        assert_eq!(synapses.forward[0] / synapses.forward[3], 7.25 / 4.25, "proportions stay");
    }

    #[test]
    fn synapses_of_zero_stay_zero_and_nan_stays_visible() {
        let mut synapses = Synapses::<f32>::new(2, 1, 1, BackwardBlock::Whole, WithinBlocks::default());
        normalise(Arch::new(), &mut synapses, &[1.0], &mut Vec::new());
        assert_eq!((&synapses.forward[..], &synapses.backward[..]), (&[0.0; 3][..], &[0.0; 3][..]));
        synapses.forward[1] = f32::NAN;
        normalise(Arch::new(), &mut synapses, &[1.0], &mut Vec::new());
        assert!(synapses.forward.iter().all(|x| x.is_nan()));
    }
}

//! Oja's term: synapses decay the more, the stronger their destination is.
//!
//! The term `d -= m W c` of column j has the same factor `m c_j` for all of the column's synapses, so it is what they
//! keep that changes: `keep W + update (d - m W c_j) = (keep - update m c_j) W + update d`. With m's sign that of the
//! update gate, `update m` is never negative.

use hebbian_shared::spec::rule::multi_state::Oja;
use pulp::{Arch, Simd};

use super::dispatch::dispatch;
use super::real::Real;

/// Partial sums of each sum over the batch, on every CPU.
const LANES: usize = 16;

/// `|update| |multiplier| scale`: how much a sum of squares takes from what a synapse keeps.
pub(super) fn strength<T: Real>(oja: Oja, update: T, multiplier: T) -> T {
    let strength = absolute(update) * absolute(multiplier);
    // The sign of a zero gate is zero, so that even an infinite multiplier is without effect.
    if update == T::ZERO { T::ZERO } else { T::from_f64(oja.scale) * strength }
}

/// `keeps[j] -= strength sum_b neurons[j, b]^2` for `[neuron, example]` states.
pub(super) fn subtract_activations<T: Real>(
    arch: Arch,
    keeps: &mut [T],
    strength: T,
    neurons: &[T],
    batch: usize,
) {
    assert!(neurons.len() >= keeps.len() * batch);
    dispatch!(arch, 'a, activations => (
        keeps: &'a mut [T],
        strength: T,
        neurons: &'a [T],
        batch: usize,
    ) -> ());
}

/// `keeps[j] -= strength sum_i synapses[i, j]^2` for row-major synapses of `columns` columns, at least as many as
/// `keeps` has.
pub(super) fn subtract_synapses<T: Real>(
    arch: Arch,
    keeps: &mut [T],
    strength: T,
    synapses: &[T],
    columns: usize,
) {
    assert!(columns >= keeps.len());
    dispatch!(arch, 'a, weights => (
        keeps: &'a mut [T],
        strength: T,
        synapses: &'a [T],
        columns: usize,
    ) -> ());
}

/// `values[i, j] <- keeps[j] values[i, j] + update sums[i, j]`; columns beyond `keeps` are left alone.
pub(super) fn blend_columns<T: Real>(
    arch: Arch,
    values: &mut [T],
    keeps: &[T],
    update: T,
    sums: &[T],
    columns: usize,
) {
    assert!(values.len() == sums.len() && columns >= keeps.len());
    dispatch!(arch, 'a, blend => (
        values: &'a mut [T],
        keeps: &'a [T],
        update: T,
        sums: &'a [T],
        columns: usize,
    ) -> ());
}

/// |x|; NaN stays.
#[inline(always)]
pub(super) fn absolute<T: Real>(x: T) -> T {
    if x < T::ZERO { -x } else { x }
}

#[inline(always)]
fn activations<T: Real, S: Simd>(_: S, keeps: &mut [T], strength: T, neurons: &[T], batch: usize) {
    let whole = batch / LANES * LANES;
    for j in 0..keeps.len() {
        let row = &neurons[j * batch..][..batch];
        let mut lanes = [T::ZERO; LANES];
        let mut e = 0;
        while e < whole {
            let part = &row[e..][..LANES];
            for lane in 0..LANES {
                lanes[lane] += part[lane] * part[lane];
            }
            e += LANES;
        }
        while e < batch {
            lanes[e - whole] += row[e] * row[e];
            e += 1;
        }
        let mut sum = T::ZERO;
        for lane in 0..LANES {
            sum += lanes[lane];
        }
        keeps[j] = keeps[j] - strength * sum;
    }
}

#[inline(always)]
fn weights<T: Real, S: Simd>(_: S, keeps: &mut [T], strength: T, synapses: &[T], columns: usize) {
    for i in 0..synapses.len() / columns {
        let row = &synapses[i * columns..][..keeps.len()];
        for j in 0..row.len() {
            keeps[j] = keeps[j] - strength * row[j] * row[j];
        }
    }
}

#[inline(always)]
fn blend<T: Real, S: Simd>(_: S, values: &mut [T], keeps: &[T], update: T, sums: &[T], columns: usize) {
    for i in 0..values.len() / columns {
        let row = &mut values[i * columns..][..keeps.len()];
        let sums = &sums[i * columns..][..keeps.len()];
        for j in 0..row.len() {
            row[j] = row[j] * keeps[j] + update * sums[j];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squares_of_activations_and_of_synapses_are_subtracted() {
        let arch = Arch::new();
        let neurons: Vec<f64> = (0..2 * 37).map(|e| f64::from(e) / 8.0 - 3.0).collect();
        let mut keeps = [1.0, 2.0];
        subtract_activations(arch, &mut keeps, 0.5, &neurons, 37);
        for (j, keep) in keeps.iter().enumerate() {
            let squares: f64 = neurons[j * 37..][..37].iter().map(|x| x * x).sum();
            assert!((keep - (1.0 + j as f64 - 0.5 * squares)).abs() < 1e-12);
        }
        let mut keeps = [1.0_f32; 2];
        subtract_synapses(arch, &mut keeps, 0.5, &[1.0, 2.0, 9.0, 3.0, 4.0, 9.0], 3);
        assert_eq!(keeps, [1.0 - 5.0, 1.0 - 10.0]);
        let mut values = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        blend_columns(arch, &mut values, &[0.5, 2.0], -1.0, &[1.0, 1.0, 1.0, 2.0, 2.0, 2.0], 3);
        assert_eq!(values, [-0.5, 3.0, 3.0, 0.0, 8.0, 6.0]);
    }

    #[test]
    fn the_term_is_a_decay_whatever_the_signs() {
        let oja = Oja { scale: 0.5, ..Oja::default() };
        for (update, multiplier) in [(2.0, 3.0), (-2.0, 3.0), (2.0, -3.0), (-2.0, -3.0)] {
            assert_eq!(strength(oja, update, multiplier), 3.0);
        }
        assert_eq!(strength(oja, 0.0, f64::INFINITY), 0.0);
        assert!(strength(oja, f32::NAN, 1.0).is_nan());
    }
}

//! Saturation: large synapses change less.

use pulp::{Arch, Simd};

use super::dispatch::dispatch;
use super::oja::absolute;
use super::real::Real;

/// `W <- W + ((keeps[j] - 1) W + update sums) exp(-|W| rate)` for row-major synapses W of `columns` columns; columns
/// beyond `keeps` are left alone.
pub(super) fn saturating_blend<T: Real>(
    arch: Arch,
    values: &mut [T],
    keeps: &[T],
    update: T,
    sums: &[T],
    rate: T,
    columns: usize,
) {
    assert!(values.len() == sums.len() && columns >= keeps.len());
    dispatch!(arch, 'a, blend => (
        values: &'a mut [T],
        keeps: &'a [T],
        update: T,
        sums: &'a [T],
        rate: T,
        columns: usize,
    ) -> ());
}

#[allow(clippy::too_many_arguments)]
#[inline(always)]
fn blend<T: Real, S: Simd>(
    _: S,
    values: &mut [T],
    keeps: &[T],
    update: T,
    sums: &[T],
    rate: T,
    columns: usize,
) {
    for i in 0..values.len() / columns {
        let row = &mut values[i * columns..][..keeps.len()];
        let sums = &sums[i * columns..][..keeps.len()];
        for j in 0..row.len() {
            let w = row[j];
            let change = (keeps[j] - T::ONE) * w + update * sums[j];
            row[j] = w + change * (-absolute(w) * rate).exp();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_shrink_with_the_synapse_on_both_sides_of_zero() {
        let mut values = [0.0, 2.0, -2.0, 5.0];
        saturating_blend(Arch::new(), &mut values, &[0.5], 1.0, &[1.0, 2.0, 0.0, 9.0], 0.25, 4);
        let mut values = [values[0], 2.0, -2.0];
        assert_eq!(values[0], 1.0);
        saturating_blend(Arch::new(), &mut values[1..], &[0.5], 1.0, &[2.0, 0.0], 0.25, 1);
        let damped = libm::exp(-0.5);
        assert!((values[1] - (2.0 + (-1.0 + 2.0) * damped)).abs() < 1e-15);
        assert!((values[2] - (-2.0 + 1.0 * damped)).abs() < 1e-15);
    }

    #[test]
    fn what_is_not_finite_stays_visible() {
        for bad in [f32::NAN, f32::INFINITY] {
            let mut values = [bad, 1.0];
            saturating_blend(Arch::new(), &mut values, &[0.5], 1.0, &[1.0, bad], 1.0, 1);
            assert!(values.iter().all(|x| !x.is_finite()), "{values:?}");
        }
    }
}

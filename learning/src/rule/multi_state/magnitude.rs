//! How large numbers are, and whether they are numbers at all.

use pulp::{Arch, Simd};

use super::dispatch::dispatch;
use super::real::Real;

/// The largest magnitude of `values`; none if one of them is not a finite number.
pub(super) fn largest<T: Real>(arch: Arch, values: &[T]) -> Option<f64> {
    let (largest, residue) = dispatch!(arch, 'a, scan => (values: &'a [T]) -> (T, T));
    (residue == T::ZERO).then(|| largest.to_f64())
}

/// The largest magnitude, and a sum of 0 x: zero, or NaN if an x is not finite.
#[inline(always)]
fn scan<T: Real, S: Simd>(simd: S, values: &[T]) -> (T, T) {
    /// Accumulators that do not wait for each other.
    const CHAINS: usize = 4;
    let (vectors, rest) = T::as_vectors::<S>(values);
    let zero = T::splat(simd, T::ZERO);
    let (mut largest, mut residue) = ([zero; CHAINS], [zero; CHAINS]);
    let mut e = 0;
    while e + CHAINS <= vectors.len() {
        for n in 0..CHAINS {
            largest[n] = T::larger_magnitude(simd, largest[n], vectors[e + n]);
            residue[n] = T::multiply_add_vectors(simd, zero, vectors[e + n], residue[n]);
        }
        e += CHAINS;
    }
    while e < vectors.len() {
        largest[0] = T::larger_magnitude(simd, largest[0], vectors[e]);
        residue[0] = T::multiply_add_vectors(simd, zero, vectors[e], residue[0]);
        e += 1;
    }
    // One vector of the widest instruction set each.
    let mut lanes = [[T::ZERO; 16]; 2];
    for n in 0..CHAINS {
        let place = &mut T::as_vectors_mut::<S>(&mut lanes[0]).0[0];
        *place = T::larger_magnitude(simd, *place, largest[n]);
        let place = &mut T::as_vectors_mut::<S>(&mut lanes[1]).0[0];
        *place = T::add_vectors(simd, *place, residue[n]);
    }
    let (mut greatest, mut total) = (T::ZERO, T::ZERO);
    for lane in 0..16 {
        greatest = if lanes[0][lane] > greatest { lanes[0][lane] } else { greatest };
        total += lanes[1][lane];
    }
    for e in 0..rest.len() {
        let magnitude = if rest[e] < T::ZERO { -rest[e] } else { rest[e] };
        greatest = if magnitude > greatest { magnitude } else { greatest };
        total += T::ZERO * rest[e];
    }
    (greatest, total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_magnitude_is_found_wherever_it_stands() {
        for arch in [Arch::new(), Arch::Scalar] {
            for length in [1, 7, 16, 63, 64, 65, 200] {
                for place in 0..length {
                    let mut values = vec![0.5_f32; length];
                    values[place] = -2.0;
                    assert_eq!(largest(arch, &values), Some(2.0));
                    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                        values[place] = bad;
                        assert_eq!(largest(arch, &values), None, "{bad} at {place} of {length}");
                    }
                }
            }
            assert_eq!(largest::<f32>(arch, &[]), Some(0.0));
            assert_eq!(largest(arch, &[1.0_f64, -3.0, f64::MAX]), Some(f64::MAX));
        }
    }
}

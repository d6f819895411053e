//! Sums over the batch, for layers too thin to fill the blocks of [`super::tile`]: along the examples, in partial sums.
//!
//! Every sum has [`LANES`] partial sums on every CPU, each a chain of fused multiply-adds, and they are always added by
//! the same tree: the bits do not depend on the vectors' width.

use pulp::Simd;

use crate::rule::multi_state::real::Real;

/// Partial sums of each sum over the batch: the numbers of the widest vector.
pub(super) const LANES: usize = 16;

/// `out[i, j] = keep out[i, j] + factor sum_b source[i, b] destination[j, b]`, rows of `out` being `stride` apart;
/// `keep` none starts from zero.
#[allow(clippy::too_many_arguments)]
#[inline(always)]
pub(super) fn correlate<T: Real, S: Simd>(
    simd: S,
    source: &[T],
    destination: &[T],
    factor: T,
    keep: Option<T>,
    out: &mut [T],
    stride: usize,
    batch: usize,
) {
    let (sources, destinations) = (source.len() / batch, destination.len() / batch);
    let mut i = 0;
    while i + 4 <= sources {
        rows::<T, S, 4>(
            simd,
            &source[i * batch..],
            destination,
            (factor, keep),
            &mut out[i * stride..],
            stride,
            batch,
        );
        i += 4;
    }
    while i < sources {
        rows::<T, S, 1>(
            simd,
            &source[i * batch..],
            destination,
            (factor, keep),
            &mut out[i * stride..],
            stride,
            batch,
        );
        i += 1;
    }
    debug_assert!(destinations <= stride);
}

/// `ROWS` sources with all destinations.
#[inline(always)]
fn rows<T: Real, S: Simd, const ROWS: usize>(
    simd: S,
    source: &[T],
    destination: &[T],
    (factor, keep): (T, Option<T>),
    out: &mut [T],
    stride: usize,
    batch: usize,
) {
    let destinations = destination.len() / batch;
    let mut j = 0;
    while j + 4 <= destinations {
        let sums = dots::<T, S, ROWS, 4>(simd, source, &destination[j * batch..], batch, batch);
        for r in 0..ROWS {
            for n in 0..4 {
                write(&mut out[r * stride + j + n], factor, keep, sums[r][n]);
            }
        }
        j += 4;
    }
    while j < destinations {
        let sums = dots::<T, S, ROWS, 1>(simd, source, &destination[j * batch..], batch, batch);
        for r in 0..ROWS {
            write(&mut out[r * stride + j], factor, keep, sums[r][0]);
        }
        j += 1;
    }
}

#[inline(always)]
fn write<T: Real>(place: &mut T, factor: T, keep: Option<T>, sum: T) {
    let kept = match keep {
        Some(keep) => *place * keep,
        None => T::ZERO,
    };
    *place = kept + factor * sum;
}

/// Adds the inner products of all rows of two matrices to `out`; see [`super::add_inner_products`].
#[inline(always)]
pub(super) fn add_inner_products<T: Real, S: Simd>(
    simd: S,
    left: &[T],
    right: &[T],
    length: usize,
    out: &mut [f64],
) {
    /// Numbers of a row whose products are summed in `T`.
    const PART: usize = 1024;
    let (rows, columns) = (left.len() / length, right.len() / length);
    let mut start = 0;
    while start < length {
        let part = PART.min(length - start);
        let mut r = 0;
        while r < rows {
            let place = &mut out[r * columns..];
            if r + 4 <= rows {
                let left = &left[r * length + start..];
                inner_rows::<T, S, 4>(simd, left, &right[start..], (length, part), columns, place);
                r += 4;
            } else {
                let left = &left[r * length + start..];
                inner_rows::<T, S, 1>(simd, left, &right[start..], (length, part), columns, place);
                r += 1;
            }
        }
        start += part;
    }
}

/// `ROWS` rows with all `columns` rows of the right side.
#[inline(always)]
fn inner_rows<T: Real, S: Simd, const ROWS: usize>(
    simd: S,
    left: &[T],
    right: &[T],
    (stride, length): (usize, usize),
    columns: usize,
    out: &mut [f64],
) {
    let mut c = 0;
    while c + 4 <= columns {
        let sums = dots::<T, S, ROWS, 4>(simd, left, &right[c * stride..], stride, length);
        for r in 0..ROWS {
            for n in 0..4 {
                out[r * columns + c + n] += sums[r][n].to_f64();
            }
        }
        c += 4;
    }
    while c < columns {
        let sums = dots::<T, S, ROWS, 1>(simd, left, &right[c * stride..], stride, length);
        for r in 0..ROWS {
            out[r * columns + c] += sums[r][0].to_f64();
        }
        c += 1;
    }
}

/// The products of the first `ROWS` rows of `left` with the first `COLUMNS` rows of `right`, rows being `stride` apart, each
/// summed over `batch` numbers: partial sum l takes the numbers l, l + [`LANES`], ... in order.
#[inline(always)]
fn dots<T: Real, S: Simd, const ROWS: usize, const COLUMNS: usize>(
    simd: S,
    left: &[T],
    right: &[T],
    stride: usize,
    batch: usize,
) -> [[T; COLUMNS]; ROWS] {
    let lanes = T::lanes::<S>();
    let whole = batch / LANES * LANES;
    let mut partial = [[[T::ZERO; LANES]; COLUMNS]; ROWS];
    // The partial sums fill this many vectors.
    for part in 0..LANES / lanes {
        let mut totals = [[T::splat(simd, T::ZERO); COLUMNS]; ROWS];
        let mut place = part * lanes;
        while place < whole {
            let mut others = [T::splat(simd, T::ZERO); COLUMNS];
            for c in 0..COLUMNS {
                others[c] = T::as_vectors::<S>(&right[c * stride + place..][..lanes]).0[0];
            }
            for r in 0..ROWS {
                let row = T::as_vectors::<S>(&left[r * stride + place..][..lanes]).0[0];
                for c in 0..COLUMNS {
                    totals[r][c] = T::multiply_add_vectors(simd, row, others[c], totals[r][c]);
                }
            }
            place += LANES;
        }
        for r in 0..ROWS {
            for c in 0..COLUMNS {
                T::as_vectors_mut::<S>(&mut partial[r][c]).0[part] = totals[r][c];
            }
        }
    }
    let mut sums = [[T::ZERO; COLUMNS]; ROWS];
    for r in 0..ROWS {
        for c in 0..COLUMNS {
            for e in whole..batch {
                let lane = &mut partial[r][c][e - whole];
                *lane = T::multiply_add(left[r * stride + e], right[c * stride + e], *lane);
            }
            sums[r][c] = sum_of_lanes(&partial[r][c]);
        }
    }
    sums
}

/// The sum of partial sums, always by the same tree.
#[inline(always)]
fn sum_of_lanes<T: Real>(lanes: &[T; LANES]) -> T {
    let mut eight = [T::ZERO; 8];
    for lane in 0..8 {
        eight[lane] = lanes[lane] + lanes[lane + 8];
    }
    let mut four = [T::ZERO; 4];
    for lane in 0..4 {
        four[lane] = eight[lane] + eight[lane + 4];
    }
    (four[0] + four[2]) + (four[1] + four[3])
}

/// See [`super::sum_over_batch`].
#[inline(always)]
pub(super) fn sum_over_batch<T: Real, S: Simd>(
    simd: S,
    layer: &[T],
    factor: T,
    out: &mut [T],
    stride: usize,
    batch: usize,
) {
    for j in 0..layer.len() / batch {
        out[j * stride] = factor * sum(simd, &layer[j * batch..][..batch]);
    }
}

/// The sum of a row, with partial sums as in [`dots`].
#[inline(always)]
fn sum<T: Real, S: Simd>(simd: S, row: &[T]) -> T {
    let lanes = T::lanes::<S>();
    let mut partial = [T::ZERO; LANES];
    let whole = row.len() / LANES * LANES;
    let vectors = T::as_vectors::<S>(&row[..whole]).0;
    let width = LANES / lanes;
    for part in 0..width {
        let mut total = T::splat(simd, T::ZERO);
        let mut place = part;
        while place < vectors.len() {
            total = T::add_vectors(simd, total, vectors[place]);
            place += width;
        }
        T::as_vectors_mut::<S>(&mut partial).0[part] = total;
    }
    for e in whole..row.len() {
        partial[e - whole] += row[e];
    }
    sum_of_lanes(&partial)
}

//! Own loops for small products, in explicit vectors: the compiler neither inlines iterators into code for a CPU with
//! more features than the build's nor vectorises every loop.

use pulp::{Scalar, Simd};

use super::Weights;
use crate::network::real::Real;

/// Partial sums of each sum over the batch, on every CPU.
pub(super) const LANES: usize = 16;

/// What a linear combination is added to.
#[derive(Clone, Copy)]
pub(super) enum Start<T> {
    /// One number everywhere.
    At(T),
    /// What stands there, scaled by the first and moved by the second number.
    Keep(T, T),
    /// What stands there.
    Continue,
}

/// `out[e] = start[e] + sum_n factors[n] rows[n][e]`, added in this order. All rows are as long as `out`.
#[inline(always)]
pub(super) fn combine<T: Real, S: Simd, const N: usize>(
    simd: S,
    start: Start<T>,
    factors: [T; N],
    mut rows: [&[T]; N],
    out: &mut [T],
) {
    let (whole, rest) = T::as_vectors_mut::<S>(out);
    combine_vectors::<T, S, N>(simd, start, factors, rows, whole);
    if !rest.is_empty() {
        for n in 0..N {
            rows[n] = &rows[n][rows[n].len() - rest.len()..];
        }
        combine_vectors::<T, Scalar, N>(
            Scalar::new(),
            start,
            factors,
            rows,
            T::as_vectors_mut::<Scalar>(rest).0,
        );
    }
}

#[inline(always)]
fn combine_vectors<T: Real, S: Simd, const N: usize>(
    simd: S,
    start: Start<T>,
    factors: [T; N],
    rows: [&[T]; N],
    out: &mut [T::Vector<S>],
) {
    let mut splats = [T::splat(simd, T::ZERO); N];
    let mut vectors: [&[T::Vector<S>]; N] = [&[]; N];
    for n in 0..N {
        splats[n] = T::splat(simd, factors[n]);
        vectors[n] = &T::as_vectors::<S>(rows[n]).0[..out.len()];
    }
    // One loop for each start, rather than a decision in the loop.
    match start {
        Start::At(shift) => {
            let shift = T::splat(simd, shift);
            add_products::<T, S, N>(
                simd,
                #[inline(always)]
                |_| shift,
                splats,
                vectors,
                out,
            );
        }
        Start::Keep(keep, shift) => {
            let (keep, shift) = (T::splat(simd, keep), T::splat(simd, shift));
            add_products::<T, S, N>(
                simd,
                #[inline(always)]
                |x| T::add_vectors(simd, T::multiply_vectors(simd, x, keep), shift),
                splats,
                vectors,
                out,
            );
        }
        Start::Continue => add_products::<T, S, N>(
            simd,
            #[inline(always)]
            |x| x,
            splats,
            vectors,
            out,
        ),
    }
}

#[inline(always)]
fn add_products<T: Real, S: Simd, const N: usize>(
    simd: S,
    start: impl Fn(T::Vector<S>) -> T::Vector<S>,
    factors: [T::Vector<S>; N],
    rows: [&[T::Vector<S>]; N],
    out: &mut [T::Vector<S>],
) {
    for e in 0..out.len() {
        let mut sum = start(out[e]);
        for n in 0..N {
            sum = T::add_vectors(simd, sum, T::multiply_vectors(simd, factors[n], rows[n][e]));
        }
        out[e] = sum;
    }
}

/// `out = start + sum_i factor(i) row i` over the `count` rows of `matrix`, four in one pass.
#[inline(always)]
fn combine_all<T: Real, S: Simd>(
    simd: S,
    mut start: Start<T>,
    factor: impl Fn(usize) -> T,
    matrix: &[T],
    count: usize,
    out: &mut [T],
) {
    let length = out.len();
    let mut i = 0;
    while i + 4 <= count {
        let factors = [factor(i), factor(i + 1), factor(i + 2), factor(i + 3)];
        combine(simd, start, factors, rows(matrix, i, length), out);
        start = Start::Continue;
        i += 4;
    }
    match count - i {
        3 => {
            let factors = [factor(i), factor(i + 1), factor(i + 2)];
            combine(simd, start, factors, rows(matrix, i, length), out);
        }
        2 => combine(simd, start, [factor(i), factor(i + 1)], rows(matrix, i, length), out),
        1 => combine(simd, start, [factor(i)], rows(matrix, i, length), out),
        _ => {}
    }
}

/// See [`super::mix`]; `transform` is indexed `enter * strides.0 + leave * strides.1`.
#[inline(always)]
pub(super) fn mix<T: Real, S: Simd>(
    simd: S,
    transform: &[T],
    strides: (usize, usize),
    k: usize,
    states: &[T],
    out: &mut [T],
    length: usize,
) {
    for leave in 0..out.len() / length {
        combine_all(
            simd,
            Start::At(T::ZERO),
            #[inline(always)]
            |enter| transform[enter * strides.0 + leave * strides.1],
            states,
            k,
            &mut out[leave * length..][..length],
        );
    }
}

/// See [`super::propagate`].
#[allow(clippy::too_many_arguments)]
#[inline(always)]
pub(super) fn propagate<T: Real, S: Simd>(
    simd: S,
    weights: Weights<'_, T>,
    source: &[T],
    factor: T,
    bias: Option<(&[T], T)>,
    keep: Option<T>,
    out: &mut [T],
    batch: usize,
) {
    for j in 0..weights.destinations {
        let bias = match bias {
            Some((synapses, factor)) => synapses[j] * factor,
            None => T::ZERO,
        };
        let start = match keep {
            Some(keep) => Start::Keep(keep, bias),
            None => Start::At(bias),
        };
        combine_all(
            simd,
            start,
            #[inline(always)]
            |i| factor * weights.values[i * weights.stride + j],
            source,
            weights.sources,
            &mut out[j * batch..][..batch],
        );
    }
}

/// See [`super::correlate`].
#[inline(always)]
pub(super) fn correlate<T: Real, S: Simd>(
    simd: S,
    source: &[T],
    factor: T,
    destination: &[T],
    out: &mut [T],
    stride: usize,
    batch: usize,
) {
    let (sources, destinations) = (source.len() / batch, destination.len() / batch);
    // Rows of the longer side are taken by fours, so that few are left over.
    if destinations >= 4 {
        for i in 0..sources {
            let out = &mut out[i * stride..][..destinations];
            let mut j = 0;
            while j + 4 <= destinations {
                let sums = dots::<_, _, 4>(simd, row(source, i, batch), rows(destination, j, batch));
                for n in 0..4 {
                    out[j + n] = factor * sums[n];
                }
                j += 4;
            }
            while j < destinations {
                out[j] =
                    factor * dots::<_, _, 1>(simd, row(source, i, batch), rows(destination, j, batch))[0];
                j += 1;
            }
        }
        return;
    }
    for j in 0..destinations {
        let mut i = 0;
        while i + 4 <= sources {
            let sums = dots::<_, _, 4>(simd, row(destination, j, batch), rows(source, i, batch));
            for n in 0..4 {
                out[(i + n) * stride + j] = factor * sums[n];
            }
            i += 4;
        }
        while i < sources {
            out[i * stride + j] =
                factor * dots::<_, _, 1>(simd, row(destination, j, batch), rows(source, i, batch))[0];
            i += 1;
        }
    }
}

#[inline(always)]
fn row<T>(matrix: &[T], index: usize, length: usize) -> &[T] {
    &matrix[index * length..][..length]
}

/// `N` rows from `first` on of a matrix with rows of `length`.
#[inline(always)]
fn rows<T, const N: usize>(matrix: &[T], first: usize, length: usize) -> [&[T]; N] {
    let mut rows: [&[T]; N] = [&[]; N];
    for n in 0..N {
        rows[n] = row(matrix, first + n, length);
    }
    rows
}

/// The products of a row with others, each summed over the batch: partial sum l takes the examples l, l + [`LANES`],
/// ... in order.
#[inline(always)]
fn dots<T: Real, S: Simd, const N: usize>(simd: S, row: &[T], others: [&[T]; N]) -> [T; N] {
    let mut sums = [[T::ZERO; LANES]; N];
    let whole = row.len() / LANES * LANES;
    let vectors = T::as_vectors::<S>(&row[..whole]).0;
    let mut other_vectors = [vectors; N];
    for n in 0..N {
        other_vectors[n] = &T::as_vectors::<S>(&others[n][..whole]).0[..vectors.len()];
    }
    // The partial sums fill this many vectors.
    let width = LANES / T::lanes::<S>();
    for first in 0..width {
        let mut totals = [T::splat(simd, T::ZERO); N];
        let mut place = first;
        while place < vectors.len() {
            for n in 0..N {
                let product = T::multiply_vectors(simd, vectors[place], other_vectors[n][place]);
                totals[n] = T::add_vectors(simd, totals[n], product);
            }
            place += width;
        }
        for n in 0..N {
            T::as_vectors_mut::<S>(&mut sums[n]).0[first] = totals[n];
        }
    }
    let mut results = [T::ZERO; N];
    for n in 0..N {
        for e in whole..row.len() {
            sums[n][e - whole] += row[e] * others[n][e];
        }
        results[n] = sum_of_lanes(&sums[n]);
    }
    results
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
        out[j * stride] = factor * sum(simd, row(layer, j, batch));
    }
}

/// The sum of a row, with partial sums as in [`dots`].
#[inline(always)]
fn sum<T: Real, S: Simd>(simd: S, row: &[T]) -> T {
    let mut sums = [T::ZERO; LANES];
    let whole = row.len() / LANES * LANES;
    let vectors = T::as_vectors::<S>(&row[..whole]).0;
    let width = LANES / T::lanes::<S>();
    for first in 0..width {
        let mut total = T::splat(simd, T::ZERO);
        let mut place = first;
        while place < vectors.len() {
            total = T::add_vectors(simd, total, vectors[place]);
            place += width;
        }
        T::as_vectors_mut::<S>(&mut sums).0[first] = total;
    }
    for e in whole..row.len() {
        sums[e - whole] += row[e];
    }
    sum_of_lanes(&sums)
}

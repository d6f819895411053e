//! The matrix product: blocks of sums that stay in the CPU's registers while the depth passes.
//!
//! Each element of the result is one chain of fused multiply-adds in ascending depth, whatever the vectors' width, the
//! block or the element's place. So the bits are the same on every CPU and for every division of the work.

use pulp::Simd;

use crate::network::real::Real;

/// Rows of the largest block. With it and [`block_width`], a block's sums, a row of the right side and a factor fit
/// into the registers.
const BLOCK_ROWS: usize = 6;

/// Vectors in a row of the largest block.
const fn block_width<S: Simd>() -> usize {
    if S::REGISTER_COUNT >= 32 { 4 } else { 2 }
}

/// `out[r, c] = start + factor sum_d left[r, d] right[d, c]`.
#[derive(Clone, Copy)]
pub(super) struct Product<'a, T> {
    /// Element (r, d) stands at `r * left_strides.0 + d * left_strides.1`.
    pub(super) left: &'a [T],
    pub(super) left_strides: (usize, usize),
    /// Element (d, c) stands at `d * right_stride + c`.
    pub(super) right: &'a [T],
    pub(super) right_stride: usize,
    pub(super) rows: usize,
    pub(super) depth: usize,
    pub(super) columns: usize,
    pub(super) factor: T,
    pub(super) start: Start<'a, T>,
    /// Element (r, c) of the result stands at `r * out_stride + c`.
    pub(super) out_stride: usize,
}

/// What a product is added to.
#[derive(Clone, Copy)]
pub(super) struct Start<'a, T> {
    /// What stands there, scaled; none starts from zero.
    pub(super) keep: Option<T>,
    /// A number for each row, and their factor.
    pub(super) bias: Option<(&'a [T], T)>,
}

/// Computes a product.
///
/// # Panics
/// If a slice is too short.
#[inline(always)]
pub(super) fn multiply<T: Real, S: Simd>(simd: S, product: Product<'_, T>, out: &mut [T]) {
    let lanes = T::lanes::<S>();
    let mut column = 0;
    if block_width::<S>() == 4 {
        while column + 4 * lanes <= product.columns {
            all_rows::<T, S, 4>(simd, &product, column, lanes, out);
            column += 4 * lanes;
        }
    }
    while column + 2 * lanes <= product.columns {
        all_rows::<T, S, 2>(simd, &product, column, lanes, out);
        column += 2 * lanes;
    }
    while column < product.columns {
        all_rows::<T, S, 1>(simd, &product, column, lanes.min(product.columns - column), out);
        column += lanes;
    }
}

/// `WIDTH` vectors of columns, of which the last has `last` numbers.
#[inline(always)]
fn all_rows<T: Real, S: Simd, const WIDTH: usize>(
    simd: S,
    product: &Product<'_, T>,
    column: usize,
    last: usize,
    out: &mut [T],
) {
    let mut row = 0;
    while row + BLOCK_ROWS <= product.rows {
        block::<T, S, BLOCK_ROWS, WIDTH>(simd, product, row, column, last, out);
        row += BLOCK_ROWS;
    }
    if row + 4 <= product.rows {
        block::<T, S, 4, WIDTH>(simd, product, row, column, last, out);
        row += 4;
    }
    if row + 2 <= product.rows {
        block::<T, S, 2, WIDTH>(simd, product, row, column, last, out);
        row += 2;
    }
    if row < product.rows {
        block::<T, S, 1, WIDTH>(simd, product, row, column, last, out);
    }
}

#[inline(always)]
fn block<T: Real, S: Simd, const ROWS: usize, const WIDTH: usize>(
    simd: S,
    product: &Product<'_, T>,
    row: usize,
    column: usize,
    last: usize,
    out: &mut [T],
) {
    let lanes = T::lanes::<S>();
    let partial = last < lanes;
    let length = (WIDTH - 1) * lanes + last;
    let (row_stride, depth_stride) = product.left_strides;
    let left = &product.left[row * row_stride..];
    let right = &product.right[column..];
    let mut sums = [[T::splat(simd, T::ZERO); WIDTH]; ROWS];
    for d in 0..product.depth {
        let numbers = &right[d * product.right_stride..][..length];
        let mut vectors = [T::splat(simd, T::ZERO); WIDTH];
        if partial {
            vectors[0] = T::load_part::<S>(simd, numbers);
        } else {
            let whole = T::as_vectors::<S>(numbers).0;
            vectors.copy_from_slice(&whole[..WIDTH]);
        }
        let factors = &left[d * depth_stride..][..=(ROWS - 1) * row_stride];
        for r in 0..ROWS {
            let factor = T::splat(simd, factors[r * row_stride]);
            for v in 0..WIDTH {
                sums[r][v] = T::multiply_add_vectors(simd, factor, vectors[v], sums[r][v]);
            }
        }
    }
    let factor = T::splat(simd, product.factor);
    for r in 0..ROWS {
        let bias = match product.start.bias {
            Some((numbers, factor)) => numbers[row + r] * factor,
            None => T::ZERO,
        };
        let bias = T::splat(simd, bias);
        let place = &mut out[(row + r) * product.out_stride + column..][..length];
        let keep = product.start.keep;
        if partial {
            let start = start::<T, S>(simd, keep, T::load_part::<S>(simd, place), bias);
            T::store_part::<S>(simd, place, T::multiply_add_vectors(simd, factor, sums[r][0], start));
        } else {
            let place = T::as_vectors_mut::<S>(place).0;
            for v in 0..WIDTH {
                let start = start::<T, S>(simd, keep, place[v], bias);
                place[v] = T::multiply_add_vectors(simd, factor, sums[r][v], start);
            }
        }
    }
}

/// `keep old + bias`, or the bias alone.
#[inline(always)]
fn start<T: Real, S: Simd>(simd: S, keep: Option<T>, old: T::Vector<S>, bias: T::Vector<S>) -> T::Vector<S> {
    match keep {
        Some(keep) => T::multiply_add_vectors(simd, T::splat(simd, keep), old, bias),
        None => bias,
    }
}

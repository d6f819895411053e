//! The matrix product: blocks of sums that stay in the CPU's registers while the depth passes.
//!
//! Each element of the result is one chain of fused multiply-adds in ascending depth, whatever the vectors' width, the
//! block or the element's place. So the bits are the same on every CPU and for every division of the work.

use pulp::Simd;

use crate::rule::multi_state::buffer::LINE;
use crate::rule::multi_state::prefetch::{Level, prefetch};
use crate::rule::multi_state::real::Real;

/// Rows of the widest block. With it and [`block_width`], a block's sums, a row of the right side and a factor fit into
/// the registers.
const WIDE_ROWS: usize = 6;

/// Rows of narrower blocks: enough sums that none waits for the one before.
const NARROW_ROWS: usize = 8;

/// Depth of a panel.
pub(super) const PANEL_DEPTH: usize = 128;

/// Columns of a panel in the widest vectors.
const PANEL_COLUMNS: usize = 64;

/// Numbers of the largest panel: two thirds of a first-level cache of 48 kB, all of one of 32 kB.
pub(super) const PANEL: usize = PANEL_DEPTH * PANEL_COLUMNS;

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
    all_columns::<T, S>(simd, &product, 0, out);
}

/// Computes a product whose right side is large, by copies of parts of it: a panel as wide as a block stays in the
/// first-level cache while all rows pass, and its vectors lie at the start of lines. Sums whose depth is more than a
/// panel's wait in `sums`, which has room for all of them then, while `panel` is filled with the next part.
///
/// # Panics
/// If a slice is too short.
#[inline(always)]
pub(super) fn multiply_by_panels<T: Real, S: Simd>(
    simd: S,
    product: Product<'_, T>,
    out: &mut [T],
    panel: &mut [T],
    sums: &mut [T],
) {
    let done = if block_width::<S>() == 4 {
        panels::<T, S, 4>(simd, &product, out, panel, sums)
    } else {
        panels::<T, S, 2>(simd, &product, out, panel, sums)
    };
    all_columns::<T, S>(simd, &product, done, out);
}

/// The columns that fill panels of `WIDTH` vectors; returns their number.
#[inline(always)]
fn panels<T: Real, S: Simd, const WIDTH: usize>(
    simd: S,
    product: &Product<'_, T>,
    out: &mut [T],
    panel: &mut [T],
    sums: &mut [T],
) -> usize {
    let width = WIDTH * T::lanes::<S>();
    let columns = product.columns / width * width;
    let mut done = 0;
    while done < product.depth {
        let depth = PANEL_DEPTH.min(product.depth - done);
        let panel = &mut panel[..depth * width];
        let mut column = 0;
        while column < columns {
            for d in 0..depth {
                let from = &product.right[(done + d) * product.right_stride + column..][..width];
                let to = T::as_vectors_mut::<S>(&mut panel[d * width..][..width]).0;
                // A copy of a length that is known to the compiler.
                to[..WIDTH].copy_from_slice(&T::as_vectors::<S>(from).0[..WIDTH]);
            }
            let part = Part {
                left: &product.left[done * product.left_strides.1..],
                right: panel,
                right_stride: width,
                depth,
                is_first: done == 0,
                is_last: done + depth == product.depth,
                is_panel: true,
            };
            let sums = sums.get_mut(column * product.rows..).unwrap_or_default();
            all_rows::<T, S, WIDTH, WIDE_ROWS>(simd, product, &part, column, T::lanes::<S>(), sums, out);
            column += width;
        }
        done += depth;
    }
    columns
}

/// The columns from `column` on, straight from the right side.
#[inline(always)]
fn all_columns<T: Real, S: Simd>(simd: S, product: &Product<'_, T>, mut column: usize, out: &mut [T]) {
    let lanes = T::lanes::<S>();
    let part = |column: usize| Part {
        left: product.left,
        right: product.right.get(column..).unwrap_or_default(),
        right_stride: product.right_stride,
        depth: product.depth,
        is_first: true,
        is_last: true,
        is_panel: false,
    };
    if block_width::<S>() == 4 {
        while column + 4 * lanes <= product.columns {
            all_rows::<T, S, 4, WIDE_ROWS>(simd, product, &part(column), column, lanes, &mut [], out);
            column += 4 * lanes;
        }
        while column + 2 * lanes <= product.columns {
            all_rows::<T, S, 2, NARROW_ROWS>(simd, product, &part(column), column, lanes, &mut [], out);
            column += 2 * lanes;
        }
    } else {
        while column + 2 * lanes <= product.columns {
            all_rows::<T, S, 2, WIDE_ROWS>(simd, product, &part(column), column, lanes, &mut [], out);
            column += 2 * lanes;
        }
    }
    while column < product.columns {
        let last = lanes.min(product.columns - column);
        all_rows::<T, S, 1, NARROW_ROWS>(simd, product, &part(column), column, last, &mut [], out);
        column += lanes;
    }
}

/// A part of a product's depth, for some of its columns.
#[derive(Clone, Copy)]
struct Part<'a, T> {
    /// The left side from the part's depth on, in the product's strides.
    left: &'a [T],
    /// The right side's rows, from the first of the columns on.
    right: &'a [T],
    right_stride: usize,
    depth: usize,
    /// Sums start from zero, rather than from what the part before has left.
    is_first: bool,
    /// Sums are complete, rather than left for the next part.
    is_last: bool,
    /// The right side is a panel, so the others are large: their next lines are asked for.
    is_panel: bool,
}

/// `WIDTH` vectors of columns, of which the last has `last` numbers, in blocks of at most `ROWS` rows.
#[inline(always)]
fn all_rows<T: Real, S: Simd, const WIDTH: usize, const ROWS: usize>(
    simd: S,
    product: &Product<'_, T>,
    part: &Part<'_, T>,
    column: usize,
    last: usize,
    sums: &mut [T],
    out: &mut [T],
) {
    if product.left_strides.0 == 1 {
        all_blocks::<T, S, WIDTH, ROWS, true>(simd, product, part, column, last, sums, out);
    } else {
        all_blocks::<T, S, WIDTH, ROWS, false>(simd, product, part, column, last, sums, out);
    }
}

/// As [`all_rows`]. `ADJACENT` says that the left side's rows are one number apart.
#[inline(always)]
fn all_blocks<T: Real, S: Simd, const WIDTH: usize, const ROWS: usize, const ADJACENT: bool>(
    simd: S,
    product: &Product<'_, T>,
    part: &Part<'_, T>,
    column: usize,
    last: usize,
    sums: &mut [T],
    out: &mut [T],
) {
    let mut row = 0;
    while row + ROWS <= product.rows {
        block::<T, S, ROWS, WIDTH, ADJACENT>(simd, product, part, row, column, last, sums, out);
        row += ROWS;
    }
    if row + 4 <= product.rows {
        block::<T, S, 4, WIDTH, ADJACENT>(simd, product, part, row, column, last, sums, out);
        row += 4;
    }
    if row + 2 <= product.rows {
        block::<T, S, 2, WIDTH, ADJACENT>(simd, product, part, row, column, last, sums, out);
        row += 2;
    }
    if row < product.rows {
        block::<T, S, 1, WIDTH, ADJACENT>(simd, product, part, row, column, last, sums, out);
    }
}

/// The sums of one block: `WIDTH` vectors of columns for each of `ROWS` rows.
type Sums<T, S, const WIDTH: usize, const ROWS: usize> = [[<T as Real>::Vector<S>; WIDTH]; ROWS];

#[allow(clippy::too_many_arguments)]
#[inline(always)]
fn block<T: Real, S: Simd, const ROWS: usize, const WIDTH: usize, const ADJACENT: bool>(
    simd: S,
    product: &Product<'_, T>,
    part: &Part<'_, T>,
    row: usize,
    column: usize,
    last: usize,
    waiting: &mut [T],
    out: &mut [T],
) {
    let lanes = T::lanes::<S>();
    let length = (WIDTH - 1) * lanes + last;
    let width = WIDTH * lanes;
    let mut sums = [[T::splat(simd, T::ZERO); WIDTH]; ROWS];
    if !part.is_first {
        let waiting = T::as_vectors::<S>(&waiting[row * width..][..ROWS * width]).0;
        for r in 0..ROWS {
            for v in 0..WIDTH {
                sums[r][v] = waiting[r * WIDTH + v];
            }
        }
    }
    // The next block's place in the result.
    if part.is_panel && part.is_last {
        for r in ROWS..2 * ROWS {
            for v in 0..WIDTH {
                let place = (row + r) * product.out_stride + column + v * lanes;
                prefetch(simd, out, place, Level::First);
            }
        }
    }
    let sums = accumulate::<T, S, ROWS, WIDTH, ADJACENT>(simd, product, part, (row, column), last, sums);
    if !part.is_last {
        let waiting = T::as_vectors_mut::<S>(&mut waiting[row * width..][..ROWS * width]).0;
        for r in 0..ROWS {
            for v in 0..WIDTH {
                waiting[r * WIDTH + v] = sums[r][v];
            }
        }
        return;
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
        if WIDTH == 1 && last < lanes {
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

/// Adds a part's products to the sums of a block. A function of its own, whose loops have nothing in them but the
/// products: otherwise the compiler keeps sums in memory.
#[inline(always)]
fn accumulate<T: Real, S: Simd, const ROWS: usize, const WIDTH: usize, const ADJACENT: bool>(
    simd: S,
    product: &Product<'_, T>,
    part: &Part<'_, T>,
    (row, column): (usize, usize),
    last: usize,
    mut sums: Sums<T, S, WIDTH, ROWS>,
) -> Sums<T, S, WIDTH, ROWS> {
    let lanes = T::lanes::<S>();
    let (row_stride, depth_stride) = product.left_strides;
    let left = &part.left[row * row_stride..];
    // Whole vectors wherever the rows have room for them.
    let is_partial = WIDTH == 1 && last < lanes && part.right_stride < column + lanes;
    let length = if is_partial { last } else { WIDTH * lanes };
    // The next line of each of the left side's rows of adjacent numbers or, behind the last, the first of the next part:
    // far apart, so that no hardware foresees them. The second panel finds in the cache what the first one has fetched.
    let line = LINE / size_of::<T>();
    let next = if row + line < product.rows {
        line
    } else {
        (PANEL_DEPTH * depth_stride + line).saturating_sub(product.rows)
    };
    for d in 0..part.depth {
        if ADJACENT && part.is_panel && column == 0 {
            prefetch(simd, left, d * depth_stride + next, Level::Second);
        }
        let numbers = &part.right[d * part.right_stride..][..length];
        let mut vectors = [T::splat(simd, T::ZERO); WIDTH];
        if is_partial {
            vectors[0] = T::load_part::<S>(simd, numbers);
        } else {
            let whole = T::as_vectors::<S>(numbers).0;
            vectors.copy_from_slice(&whole[..WIDTH]);
        }
        let reach = if ADJACENT { ROWS } else { (ROWS - 1) * row_stride + 1 };
        let factors = &left[d * depth_stride..][..reach];
        for r in 0..ROWS {
            let factor = T::splat(simd, factors[if ADJACENT { r } else { r * row_stride }]);
            for v in 0..WIDTH {
                sums[r][v] = T::multiply_add_vectors(simd, factor, vectors[v], sums[r][v]);
            }
        }
    }
    sums
}

/// `keep old + bias`, or the bias alone.
#[inline(always)]
fn start<T: Real, S: Simd>(simd: S, keep: Option<T>, old: T::Vector<S>, bias: T::Vector<S>) -> T::Vector<S> {
    match keep {
        Some(keep) => T::multiply_add_vectors(simd, T::splat(simd, keep), old, bias),
        None => bias,
    }
}

//! Matrix products. Each number of a product is a sum over the depth from the first term to the last, one fused
//! multiply-add per term, so its bits depend neither on the CPU's vectors nor on how the work is divided.

use super::kernel::dispatch;
use super::matrix::Matrix;

/// Rows and columns of the part of a product that is held in registers.
const ROWS: usize = 8;
const COLUMNS: usize = 4;
/// Rows and depth of the part of the left side that is held in the cache.
const BLOCK: usize = 64;
const DEPTH: usize = 256;

/// A matrix as it lies in memory: number (i, j) is at `i * strides.0 + j * strides.1`.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    values: &'a [f64],
    rows: usize,
    columns: usize,
    strides: (usize, usize),
}

impl<'a> View<'a> {
    /// Columns that lie one after the other, `stride` apart.
    pub(crate) fn of_columns(values: &'a [f64], rows: usize, columns: usize, stride: usize) -> Self {
        Self { values, rows, columns, strides: (1, stride) }
    }

    /// The same on its side.
    pub(crate) fn transposed(self) -> Self {
        Self { rows: self.columns, columns: self.rows, strides: (self.strides.1, self.strides.0), ..self }
    }

    #[inline(always)]
    pub(super) fn at(&self, row: usize, column: usize) -> f64 {
        self.values[row * self.strides.0 + column * self.strides.1]
    }
}

impl<'a> From<&'a Matrix> for View<'a> {
    fn from(matrix: &'a Matrix) -> Self {
        Self::of_columns(matrix.values(), matrix.rows(), matrix.columns(), matrix.rows())
    }
}

/// Which part of a product is computed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// All of it.
    Whole,
    /// The diagonal and what is below.
    Lower,
}

/// The product of `left` and `right`.
pub(crate) fn product(left: View<'_>, right: View<'_>) -> Matrix {
    let mut out = Matrix::zeros(left.rows, right.columns);
    add_product(left, right, Part::Whole, out.values_mut(), left.rows);
    out
}

/// Puts the product of `left` and `right` into `out`, a matrix of its size.
pub(crate) fn set_product(left: View<'_>, right: View<'_>, out: &mut Matrix) {
    assert!((out.rows(), out.columns()) == (left.rows, right.columns), "a product has the size of its sides");
    out.values_mut().fill(0.0);
    add_product(left, right, Part::Whole, out.values_mut(), left.rows);
}

/// Adds the product of `left` and `right` to `out`, whose columns are `stride` apart.
pub(crate) fn add_product(left: View<'_>, right: View<'_>, part: Part, out: &mut [f64], stride: usize) {
    assert!(left.columns == right.rows, "the sides of a product fit each other");
    dispatch!('a, add_product_in_vectors => (
        left: View<'a>, right: View<'a>, part: Part, out: &'a mut [f64], stride: usize,
    ) -> ());
}

#[inline(always)]
fn add_product_in_vectors(left: View<'_>, right: View<'_>, part: Part, out: &mut [f64], stride: usize) {
    let (rows, depth, columns) = (left.rows, left.columns, right.columns);
    let mut left_block = vec![[0.0; ROWS]; DEPTH.min(depth) * BLOCK.min(rows).div_ceil(ROWS)];
    let mut right_block = vec![[0.0; COLUMNS]; DEPTH.min(depth)];
    for start in (0..depth).step_by(DEPTH) {
        let depth = DEPTH.min(depth - start);
        let right_block = &mut right_block[..depth];
        for top in (0..rows).step_by(BLOCK) {
            let height = BLOCK.min(rows - top);
            let panels = height.div_ceil(ROWS);
            for panel in 0..panels {
                pack_left(
                    left,
                    top + panel * ROWS,
                    start,
                    &mut left_block[panel * depth..(panel + 1) * depth],
                );
            }
            for column in (0..columns).step_by(COLUMNS) {
                if part == Part::Lower && top + height <= column {
                    break;
                }
                pack_right(right, start, column, right_block);
                for panel in 0..panels {
                    let row = top + panel * ROWS;
                    let within = Tile {
                        rows: ROWS.min(rows - row),
                        columns: COLUMNS.min(columns - column),
                        // How far the tile's first row is below the diagonal of its first column.
                        below: if part == Part::Lower {
                            row as isize - column as isize
                        } else {
                            isize::MAX / 2
                        },
                    };
                    if within.below > -(ROWS as isize) {
                        let place = &mut out[row + column * stride..];
                        within.add(
                            &left_block[panel * depth..(panel + 1) * depth],
                            right_block,
                            place,
                            stride,
                        );
                    }
                }
            }
        }
    }
}

/// Copies rows from `row` on, zeros beyond the last.
#[inline(always)]
fn pack_left(left: View<'_>, row: usize, start: usize, block: &mut [[f64; ROWS]]) {
    let rows = ROWS.min(left.rows - row);
    for k in 0..block.len() {
        if rows == ROWS && left.strides.0 == 1 {
            let first = row + (start + k) * left.strides.1;
            block[k].copy_from_slice(&left.values[first..first + ROWS]);
        } else {
            for r in 0..ROWS {
                block[k][r] = if r < rows { left.at(row + r, start + k) } else { 0.0 };
            }
        }
    }
}

/// Copies columns from `column` on, zeros beyond the last.
#[inline(always)]
fn pack_right(right: View<'_>, start: usize, column: usize, block: &mut [[f64; COLUMNS]]) {
    let columns = COLUMNS.min(right.columns - column);
    for c in 0..COLUMNS {
        for k in 0..block.len() {
            block[k][c] = if c < columns { right.at(start + k, column + c) } else { 0.0 };
        }
    }
}

/// The part of a tile that is within the product.
struct Tile {
    rows: usize,
    columns: usize,
    below: isize,
}

impl Tile {
    #[inline(always)]
    fn add(&self, left: &[[f64; ROWS]], right: &[[f64; COLUMNS]], out: &mut [f64], stride: usize) {
        let mut sums = [[0.0; ROWS]; COLUMNS];
        let is_whole = self.rows == ROWS && self.columns == COLUMNS && self.below >= COLUMNS as isize - 1;
        if is_whole {
            for c in 0..COLUMNS {
                sums[c].copy_from_slice(&out[c * stride..c * stride + ROWS]);
            }
        } else {
            for c in 0..self.columns {
                for r in 0..self.rows {
                    sums[c][r] = out[c * stride + r];
                }
            }
        }
        for k in 0..left.len() {
            let (a, b) = (&left[k], &right[k]);
            for c in 0..COLUMNS {
                for r in 0..ROWS {
                    sums[c][r] = a[r].mul_add(b[c], sums[c][r]);
                }
            }
        }
        if is_whole {
            for c in 0..COLUMNS {
                out[c * stride..c * stride + ROWS].copy_from_slice(&sums[c]);
            }
        } else {
            for c in 0..self.columns {
                for r in 0..self.rows {
                    if self.below + r as isize >= c as isize {
                        out[c * stride + r] = sums[c][r];
                    }
                }
            }
        }
    }
}

//! Products by the `gemm` crate, on one thread.

use super::Weights;
use crate::network::real::Real;

/// `out[j, b] += factor sum_i weights[i, j] source[i, b]`.
pub(super) fn propagate<T: Real>(
    weights: Weights<'_, T>,
    source: &[T],
    factor: T,
    out: &mut [T],
    batch: usize,
) {
    let Weights { values, stride, sources, destinations } = weights;
    multiply(
        (destinations, sources, batch),
        Matrix { values, strides: (1, stride) },
        Matrix { values: source, strides: (batch, 1) },
        factor,
        out,
        batch,
        true,
    );
}

/// `out[i, j] = factor sum_b source[i, b] destination[j, b]`.
pub(super) fn correlate<T: Real>(
    source: &[T],
    factor: T,
    destination: &[T],
    out: &mut [T],
    stride: usize,
    batch: usize,
) {
    multiply(
        (source.len() / batch, batch, destination.len() / batch),
        Matrix { values: source, strides: (batch, 1) },
        Matrix { values: destination, strides: (1, batch) },
        factor,
        out,
        stride,
        false,
    );
}

/// A matrix whose element (row, column) stands at `row * strides.0 + column * strides.1`.
#[derive(Clone, Copy)]
struct Matrix<'a, T> {
    values: &'a [T],
    strides: (usize, usize),
}

impl<T> Matrix<'_, T> {
    /// Whether all elements of a matrix of that shape lie within the slice.
    fn holds(&self, rows: usize, columns: usize) -> bool {
        rows == 0
            || columns == 0
            || (rows - 1) * self.strides.0 + (columns - 1) * self.strides.1 < self.values.len()
    }
}

/// `out = factor left right`, added to what `out` holds if `accumulate`. Shapes: `left` rows x depth, `right` depth x
/// columns, `out` rows x columns, row-major with rows `out_stride` apart.
///
/// # Panics
/// If a slice is too short for its shape.
#[allow(unsafe_code)]
fn multiply<T: Real>(
    (rows, depth, columns): (usize, usize, usize),
    left: Matrix<'_, T>,
    right: Matrix<'_, T>,
    factor: T,
    out: &mut [T],
    out_stride: usize,
    accumulate: bool,
) {
    assert!(left.holds(rows, depth) && right.holds(depth, columns) && out_stride >= columns);
    assert!(Matrix { values: out, strides: (out_stride, 1) }.holds(rows, columns));
    // SAFETY: every element that `gemm` reads or writes lies within its slice, as just asserted; `out` is borrowed
    // exclusively, so it overlaps neither side; `T` is f32 or f64 (sealed), for which `gemm` has kernels.
    unsafe {
        gemm::gemm(
            rows,
            columns,
            depth,
            out.as_mut_ptr(),
            1,
            out_stride as isize,
            accumulate,
            left.values.as_ptr(),
            left.strides.1 as isize,
            left.strides.0 as isize,
            right.values.as_ptr(),
            right.strides.1 as isize,
            right.strides.0 as isize,
            T::ONE,
            factor,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

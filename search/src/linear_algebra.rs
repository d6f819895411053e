//! Vectors, matrices, their products and eigendecompositions: the same bits on every CPU.
//!
//! A sum has a fixed order, and a fused multiply-add is written where one is meant (a CPU without such an instruction takes
//! a slow call). The compiler changes neither, so kernels are compiled for the CPU's widest vectors and keep their bits.

#![expect(clippy::inline_always, reason = "kernels must be inlined into the function that enables AVX")]
#![expect(clippy::needless_range_loop, reason = "kernels are loops over ranges, which inline and vectorise")]

pub(crate) mod eigen;
pub(crate) mod kernel;
pub(crate) mod matrix;
pub(crate) mod product;

use kernel::dispatch;
use matrix::Matrix;

/// Numbers that are added up side by side: as wide as the widest vectors.
const LANES: usize = 8;

/// The sum of all lanes.
#[inline(always)]
fn sum_lanes(lanes: [f64; LANES]) -> f64 {
    ((lanes[0] + lanes[4]) + (lanes[1] + lanes[5])) + ((lanes[2] + lanes[6]) + (lanes[3] + lanes[7]))
}

/// [`dot`] within a kernel.
#[inline(always)]
fn dot_in_vectors(a: &[f64], b: &[f64]) -> f64 {
    let (chunks_a, rest_a) = a.as_chunks::<LANES>();
    let (chunks_b, rest_b) = b.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for i in 0..chunks_a.len().min(chunks_b.len()) {
        for lane in 0..LANES {
            sums[lane] = chunks_a[i][lane].mul_add(chunks_b[i][lane], sums[lane]);
        }
    }
    for lane in 0..rest_a.len().min(rest_b.len()) {
        sums[lane] = rest_a[lane].mul_add(rest_b[lane], sums[lane]);
    }
    sum_lanes(sums)
}

/// [`add_scaled`] within a kernel.
#[inline(always)]
fn add_scaled_in_vectors(target: &mut [f64], factor: f64, source: &[f64]) {
    let length = target.len().min(source.len());
    let (target, source) = (&mut target[..length], &source[..length]);
    for i in 0..length {
        target[i] = factor.mul_add(source[i], target[i]);
    }
}

/// The inner product.
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    dispatch!('a, dot_in_vectors => (a: &'a [f64], b: &'a [f64]) -> f64)
}

/// `target += factor * source`.
pub(crate) fn add_scaled(target: &mut [f64], factor: f64, source: &[f64]) {
    dispatch!('a, add_scaled_in_vectors => (target: &'a mut [f64], factor: f64, source: &'a [f64]) -> ());
}

/// `C^(-1/2) v = B D^-1 B' v`.
pub(crate) fn whiten(eigenbasis: &Matrix, axis_lengths: &[f64], v: &[f64]) -> Vec<f64> {
    let mut whitened = vec![0.0; v.len()];
    for (axis, length) in axis_lengths.iter().enumerate() {
        let direction = eigenbasis.column(axis);
        add_scaled(&mut whitened, dot(direction, v) / length, direction);
    }
    whitened
}

/// The Euclidean norm.
pub(crate) fn norm(v: &[f64]) -> f64 {
    dot(v, v).sqrt()
}

#[cfg(test)]
mod tests;

//! The eigendecomposition of a symmetric matrix, in a fixed order of operations.
//!
//! Householder's reduction gives a tridiagonal matrix, which J. Cuppen's divide and conquer (1981) decomposes: it is torn
//! into two halves, which are decomposed, and put together by a correction of rank one. Small ones are decomposed by
//! implicit QL.

mod secular;
mod tridiagonal;

use super::kernel::dispatch;
use super::matrix::Matrix;
use super::product::{Part, View, add_product};
use tridiagonal::Reduction;

/// Tridiagonal matrices up to this size are not torn.
const WHOLE_MAX: usize = 24;
/// Iterations for one eigenvalue of a small matrix: two are usual.
const ITERATIONS_MAX: usize = 80;
/// Beside eigenvalues near 1 a number below this is zero.
const SMALL: f64 = 1e-100;

/// A matrix that has no eigendecomposition among the finite numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoDecomposition;

/// Eigenvalues, ascending, and eigenvectors, one per column, of a symmetric matrix of which the lower triangle is read.
pub(crate) fn decompose(matrix: &Matrix) -> Result<(Vec<f64>, Matrix), NoDecomposition> {
    let n = matrix.rows();
    let mut largest = 0.0_f64;
    for column in 0..n {
        for &number in &matrix.column(column)[column..] {
            if !number.is_finite() {
                return Err(NoDecomposition);
            }
            largest = largest.max(number.abs());
        }
    }
    // A power of two, so that no digit is lost.
    let scale = f64::from_bits((2046 - (largest.to_bits() >> 52).min(2045)) << 52);
    let reduction = Reduction::of(matrix.values().iter().map(|x| x * scale).collect(), n);
    let mut eigenvalues = reduction.diagonal.clone();
    let mut vectors = Matrix::zeros(n, n);
    solve(&mut eigenvalues, &mut reduction.beside.clone(), vectors.values_mut(), n)?;
    reduction.apply(vectors.values_mut());
    for eigenvalue in &mut eigenvalues {
        *eigenvalue /= scale;
    }
    if eigenvalues.iter().all(|e| e.is_finite()) { Ok((eigenvalues, vectors)) } else { Err(NoDecomposition) }
}

/// Decomposes a tridiagonal matrix: puts the eigenvalues, ascending, in the place of the diagonal, and the eigenvectors into
/// a block of zeros whose columns are `stride` apart.
fn solve(
    diagonal: &mut [f64],
    beside: &mut [f64],
    vectors: &mut [f64],
    stride: usize,
) -> Result<(), NoDecomposition> {
    let n = diagonal.len();
    if n <= WHOLE_MAX {
        return solve_whole(diagonal, beside, vectors, stride);
    }
    let half = n / 2;
    let coupling = beside[half - 1];
    diagonal[half - 1] -= coupling.abs();
    diagonal[half] -= coupling.abs();
    let (top, bottom) = diagonal.split_at_mut(half);
    solve(top, &mut beside[..half - 1], vectors, stride)?;
    solve(bottom, &mut beside[half..], &mut vectors[half * stride + half..], stride)?;
    Halves { n, half, stride, values: diagonal, vectors }.merge(coupling);
    Ok(())
}

fn solve_whole(
    diagonal: &mut [f64],
    beside: &[f64],
    vectors: &mut [f64],
    stride: usize,
) -> Result<(), NoDecomposition> {
    let n = diagonal.len();
    let mut beside = [beside, &[0.0]].concat();
    let beside = &mut beside[..];
    // Eigenvectors are kept side by side meanwhile.
    let mut square = vec![0.0; n * n];
    for i in 0..n {
        square[i * n + i] = 1.0;
    }
    let basis = &mut square[..];
    let converged = {
        let diagonal = &mut *diagonal;
        dispatch!('a, iterate => (diagonal: &'a mut [f64], beside: &'a mut [f64], basis: &'a mut [f64]) -> bool)
    };
    if !converged {
        return Err(NoDecomposition);
    }
    let values = diagonal.to_vec();
    for (place, &from) in ascending(&values).iter().enumerate() {
        diagonal[place] = values[from];
        vectors[place * stride..place * stride + n].copy_from_slice(&square[from * n..(from + 1) * n]);
    }
    Ok(())
}

/// The order in which numbers ascend; equal ones as they come.
fn ascending(values: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    order
}

/// Implicit QL (EISPACK's `tql2`): makes a tridiagonal matrix diagonal by rotations, which are applied to the columns of
/// `basis`. False where it does not end.
#[inline(always)]
fn iterate(diagonal: &mut [f64], beside: &mut [f64], basis: &mut [f64]) -> bool {
    let n = diagonal.len();
    for first in 0..n {
        let mut iterations = 0;
        loop {
            let mut last = first;
            while last + 1 < n {
                let size = diagonal[last].abs() + diagonal[last + 1].abs();
                if beside[last].abs() <= f64::EPSILON * size + SMALL {
                    break;
                }
                last += 1;
            }
            if last == first {
                break;
            }
            iterations += 1;
            if iterations > ITERATIONS_MAX {
                return false;
            }
            sweep(diagonal, beside, basis, first, last);
        }
    }
    true
}

/// One iteration on rows `first ..= last`, which hang together.
#[inline(always)]
fn sweep(diagonal: &mut [f64], beside: &mut [f64], basis: &mut [f64], first: usize, last: usize) {
    let n = diagonal.len();
    // Wilkinson's shift.
    let half = (diagonal[first + 1] - diagonal[first]) / (2.0 * beside[first]);
    let reach = (half * half + 1.0).sqrt().copysign(half);
    let mut g = diagonal[last] - diagonal[first] + beside[first] / (half + reach);
    let (mut sine, mut cosine, mut change) = (1.0, 1.0, 0.0);
    for i in (first..last).rev() {
        let f = sine * beside[i];
        let b = cosine * beside[i];
        let squares = f * f + g * g;
        let r = if squares < 1e-200 { libm::hypot(f, g) } else { squares.sqrt() };
        beside[i + 1] = r;
        if r == 0.0 {
            // The matrix has come apart.
            diagonal[i + 1] -= change;
            beside[last] = 0.0;
            return;
        }
        sine = f / r;
        cosine = g / r;
        g = diagonal[i + 1] - change;
        let t = (diagonal[i] - g) * sine + 2.0 * cosine * b;
        change = sine * t;
        diagonal[i + 1] = g + change;
        g = cosine * t - b;
        let (left, right) = basis[i * n..(i + 2) * n].split_at_mut(n);
        rotate(right, left, cosine, sine);
    }
    diagonal[first] -= change;
    beside[first] = g;
    beside[last] = 0.0;
}

/// `x, y = c x + s y, c y - s x`.
#[inline(always)]
fn rotate(x: &mut [f64], y: &mut [f64], cosine: f64, sine: f64) {
    let length = x.len().min(y.len());
    let (x, y) = (&mut x[..length], &mut y[..length]);
    for i in 0..length {
        let (a, b) = (x[i], y[i]);
        x[i] = cosine * a + sine * b;
        y[i] = cosine * b - sine * a;
    }
}

/// Two decomposed halves of a torn matrix.
struct Halves<'a> {
    n: usize,
    half: usize,
    stride: usize,
    values: &'a mut [f64],
    vectors: &'a mut [f64],
}

impl Halves<'_> {
    fn column(&self, column: usize) -> &[f64] {
        &self.vectors[column * self.stride..column * self.stride + self.n]
    }

    /// Puts the halves together: `D + rho z z'` in the basis of their eigenvectors.
    fn merge(mut self, coupling: f64) {
        let Self { n, half, .. } = self;
        let rho = coupling.abs();
        let (above, below) = (rho.sqrt(), rho.sqrt().copysign(coupling));
        let number = |j: usize| {
            let column = self.column(j);
            if j < half { above * column[half - 1] } else { below * column[half] }
        };
        let mut w: Vec<f64> = (0..n).map(number).collect();
        let kept = self.deflate(&mut w);
        let poles: Vec<f64> = kept.iter().map(|&j| self.values[j]).collect();
        let weights: Vec<f64> = kept.iter().map(|&j| w[j]).collect();
        let k = kept.len();
        let mut inner = vec![0.0; k * k];
        let eigenvalues = secular::solve(&poles, &weights, &mut inner);
        let mut merged = vec![0.0; n * k];
        // A column of one half is zero in the other's rows.
        for rows in [0..half, half..n] {
            let within: Vec<usize> =
                (0..k).filter(|&i| self.column(kept[i])[rows.clone()].iter().any(|&x| x != 0.0)).collect();
            let left: Vec<f64> =
                within.iter().flat_map(|&i| &self.column(kept[i])[rows.clone()]).copied().collect();
            let right: Vec<f64> =
                inner.chunks_exact(k.max(1)).flat_map(|column| within.iter().map(|&i| column[i])).collect();
            let (height, depth) = (rows.len(), within.len());
            add_product(
                View::of_columns(&left, height, depth, height),
                View::of_columns(&right, depth, k, depth),
                Part::Whole,
                &mut merged[rows.start.min(n * k)..],
                n,
            );
        }
        // All in ascending order.
        let mut is_kept = vec![false; n];
        for &j in &kept {
            is_kept[j] = true;
        }
        let deflated: Vec<usize> = (0..n).filter(|&j| !is_kept[j]).collect();
        let values: Vec<f64> =
            eigenvalues.into_iter().chain(deflated.iter().map(|&j| self.values[j])).collect();
        for &j in &deflated {
            merged.extend_from_slice(self.column(j));
        }
        for (place, &from) in ascending(&values).iter().enumerate() {
            self.values[place] = values[from];
            self.vectors[place * self.stride..][..n].copy_from_slice(&merged[from * n..(from + 1) * n]);
        }
    }

    /// Finds eigenvectors that the correction does not change: those without a part in w, and, after a rotation, one of two
    /// whose eigenvalues are as good as equal. Returns the others by ascending eigenvalue.
    fn deflate(&mut self, w: &mut [f64]) -> Vec<usize> {
        let largest = |numbers: &[f64]| numbers.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
        let norm_squared: f64 = w.iter().map(|w| w * w).sum();
        let tolerance = 8.0 * f64::EPSILON * largest(self.values).max(norm_squared);
        let mut kept: Vec<usize> = Vec::with_capacity(self.n);
        for j in ascending(self.values) {
            if w[j].abs() * norm_squared.sqrt() <= tolerance {
                continue;
            }
            if let Some(&previous) = kept.last() {
                let length = libm::hypot(w[previous], w[j]);
                let (cosine, sine) = (w[j] / length, -w[previous] / length);
                let gap = self.values[j] - self.values[previous];
                if (gap * cosine * sine).abs() <= tolerance {
                    (w[previous], w[j]) = (0.0, length);
                    let (low, high) = (previous.min(j), previous.max(j));
                    let (before, after) = self.vectors.split_at_mut(high * self.stride);
                    let (x, y) = (&mut before[low * self.stride..][..self.n], &mut after[..self.n]);
                    let (x, y) = if previous < j { (x, y) } else { (y, x) };
                    rotate(x, y, cosine, sine);
                    let (c, s) = (cosine * cosine, sine * sine);
                    (self.values[previous], self.values[j]) = (
                        self.values[previous] * c + self.values[j] * s,
                        self.values[previous] * s + self.values[j] * c,
                    );
                    kept.pop();
                }
            }
            kept.push(j);
        }
        kept
    }
}

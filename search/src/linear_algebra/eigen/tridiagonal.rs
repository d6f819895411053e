//! Householder's reduction of a symmetric matrix to a tridiagonal one.
//!
//! `A = Q T Q'` with `Q = H_0 H_1 ..`, each reflector being `H = I - tau v v'`. Reflectors come in blocks, so half of the
//! work is products of matrices (J. Dongarra, D. Sorensen, S. Hammarling, *Block reduction of matrices to condensed forms
//! for eigenvalue computations*, 1989).

use super::super::kernel::dispatch;
use super::super::product::{Part, View, add_product};
use super::super::{LANES, add_scaled_in_vectors, dot, dot_in_vectors, sum_lanes};

/// Reflectors of a block.
const BLOCK: usize = 16;
/// Columns of the matrix that are multiplied by a vector at the same time.
const COLUMNS: usize = 4;
/// Beside numbers near 1 a sum of squares below this is none, and squares of what is left have all their digits.
const SQUARES_MIN: f64 = 1e-200;

/// `Q T Q'`.
pub(super) struct Reduction {
    n: usize,
    /// Column j holds the vector of reflector j below the diagonal, its first number 1.
    reflectors: Vec<f64>,
    /// tau of each reflector.
    factors: Vec<f64>,
    /// The diagonal of T.
    pub(super) diagonal: Vec<f64>,
    /// What is beside it.
    pub(super) beside: Vec<f64>,
}

impl Reduction {
    /// Reduces an n x n matrix, of which the lower triangle is read, of numbers up to about 1.
    pub(super) fn of(matrix: Vec<f64>, n: usize) -> Self {
        let mut reduction = Self {
            n,
            reflectors: matrix,
            factors: vec![0.0; n - 1],
            diagonal: vec![0.0; n],
            beside: vec![0.0; n - 1],
        };
        let mut images = vec![0.0; n * BLOCK];
        for first in (0..n).step_by(BLOCK) {
            let end = n.min(first + BLOCK);
            for column in first..end {
                let (this, images) = (&mut reduction, &mut images[..]);
                dispatch!('a, reduce_column => (
                    this: &'a mut Reduction, first: usize, column: usize, images: &'a mut [f64],
                ) -> ());
            }
            if end < n {
                reduction.update_rest(first, end, &images);
            }
        }
        reduction
    }

    /// `A - V W' - W V'` right of a block.
    fn update_rest(&mut self, first: usize, end: usize, images: &[f64]) {
        let (n, rest) = (self.n, self.n - end);
        let mut left = Vec::with_capacity(2 * BLOCK * rest);
        let mut right = Vec::with_capacity(2 * BLOCK * rest);
        for i in 0..end - first {
            left.extend_from_slice(&self.reflectors[(first + i) * n + end..(first + i + 1) * n]);
            right.extend(images[i * n + end..(i + 1) * n].iter().map(|w| -w));
        }
        for i in 0..end - first {
            left.extend_from_slice(&images[i * n + end..(i + 1) * n]);
            right.extend(self.reflectors[(first + i) * n + end..(first + i + 1) * n].iter().map(|v| -v));
        }
        let view = |values| View::of_columns(values, rest, 2 * (end - first), rest);
        let place = &mut self.reflectors[end * n + end..];
        add_product(view(&left), view(&right).transposed(), Part::Lower, place, n);
    }

    /// `Q Z` in place of Z.
    pub(super) fn apply(&self, vectors: &mut [f64]) {
        let n = self.n;
        for first in (0..n - 1).step_by(BLOCK).rev() {
            let count = BLOCK.min(n - 1 - first);
            let rows = n - 1 - first;
            // V, with zeros above each vector.
            let mut block = vec![0.0; rows * count];
            for i in 0..count {
                block[i * rows + i..(i + 1) * rows]
                    .copy_from_slice(&self.reflectors[(first + i) * n + first + 1 + i..(first + i + 1) * n]);
            }
            // H_0 H_1 .. = I - V F V' (R. Schreiber, C. Van Loan, 1989).
            let mut factor = vec![0.0; count * count];
            for i in 0..count {
                let tau = self.factors[first + i];
                let v = &block[i * rows..(i + 1) * rows];
                let inner: Vec<f64> = (0..i).map(|j| dot(&block[j * rows..(j + 1) * rows], v)).collect();
                for row in 0..i {
                    let sum: f64 = (row..i).map(|j| factor[j * count + row] * inner[j]).sum();
                    factor[i * count + row] = -tau * sum;
                }
                factor[i * count + i] = tau;
            }
            let v = View::of_columns(&block, rows, count, rows);
            let mut inner = vec![0.0; count * n];
            let below = View::of_columns(&vectors[first + 1..], rows, n, n);
            add_product(v.transposed(), below, Part::Whole, &mut inner, count);
            let mut change = vec![0.0; count * n];
            for f in &mut factor {
                *f = -*f;
            }
            let (factor, inner) =
                (View::of_columns(&factor, count, count, count), View::of_columns(&inner, count, n, count));
            add_product(factor, inner, Part::Whole, &mut change, count);
            let change = View::of_columns(&change, count, n, count);
            add_product(v, change, Part::Whole, &mut vectors[first + 1..], n);
        }
    }
}

/// Computes column `column` of T, of a block that began with column `first`: brings the column up to date, makes its
/// reflector and, in `images`, the w that will bring the columns to the right up to date.
#[inline(always)]
fn reduce_column(this: &mut Reduction, first: usize, column: usize, images: &mut [f64]) {
    let n = this.n;
    let (done, rest) = this.reflectors.split_at_mut(column * n);
    let (current, rest) = rest.split_at_mut(n);
    let earlier = column - first;
    for i in 0..earlier {
        let v = &done[(first + i) * n..(first + i + 1) * n];
        let w = &images[i * n..(i + 1) * n];
        add_scaled_in_vectors(&mut current[column..], -w[column], &v[column..]);
        add_scaled_in_vectors(&mut current[column..], -v[column], &w[column..]);
    }
    this.diagonal[column] = current[column];
    let start = column + 1;
    if start == n {
        return;
    }
    let (beside, factor) = reflect(&mut current[start..]);
    (this.beside[column], this.factors[column]) = (beside, factor);
    let v = &current[start..];
    let (previous, image) = images.split_at_mut(earlier * n);
    let w = &mut image[start..n];
    w.fill(0.0);
    if factor == 0.0 {
        return;
    }
    multiply_symmetric(rest, n, start, v, w);
    for i in 0..earlier {
        let (earlier_v, earlier_w) =
            (&done[(first + i) * n + start..(first + i + 1) * n], &previous[i * n + start..(i + 1) * n]);
        let (along_v, along_w) = (dot_in_vectors(earlier_v, v), dot_in_vectors(earlier_w, v));
        add_scaled_in_vectors(w, -along_w, earlier_v);
        add_scaled_in_vectors(w, -along_v, earlier_w);
    }
    for x in w.iter_mut() {
        *x *= factor;
    }
    let half = -0.5 * factor * dot_in_vectors(w, v);
    add_scaled_in_vectors(w, half, v);
}

/// Finds the reflector that turns x onto the first axis and puts its vector in the place of x. Returns the number that x
/// becomes there, and tau.
#[inline(always)]
fn reflect(x: &mut [f64]) -> (f64, f64) {
    let alpha = x[0];
    let squares = dot_in_vectors(&x[1..], &x[1..]);
    x[0] = 1.0;
    if squares < SQUARES_MIN {
        return (alpha, 0.0);
    }
    let beta = -(alpha * alpha + squares).sqrt().copysign(alpha);
    let scale = 1.0 / (alpha - beta);
    for value in &mut x[1..] {
        *value *= scale;
    }
    (beta, (beta - alpha) / beta)
}

/// `out += A v` for a symmetric A whose lower triangle is in `columns`: full columns, of which A's numbers begin at row
/// `start`.
#[inline(always)]
fn multiply_symmetric(columns: &[f64], n: usize, start: usize, v: &[f64], out: &mut [f64]) {
    let size = v.len();
    let column = |j: usize| &columns[j * n + start..(j + 1) * n];
    let blocks = size / COLUMNS;
    for block in 0..blocks {
        let first = block * COLUMNS;
        let end = first + COLUMNS;
        let below = [column(first), column(first + 1), column(first + 2), column(first + 3)];
        // The triangle on the diagonal.
        for j in 0..COLUMNS {
            let mut sum = out[first + j];
            for i in 0..COLUMNS {
                let number = if i >= j { below[j][first + i] } else { below[i][first + j] };
                sum = number.mul_add(v[first + i], sum);
            }
            out[first + j] = sum;
        }
        let factors = [v[first], v[first + 1], v[first + 2], v[first + 3]];
        let mut sums = [[0.0; LANES]; COLUMNS];
        let (v_chunks, v_rest) = v[end..].as_chunks::<LANES>();
        let (head, tail) = out.split_at_mut(end);
        let (out_chunks, out_rest) = tail.as_chunks_mut::<LANES>();
        let chunks = below.map(|column| column[end..].as_chunks::<LANES>());
        for i in 0..v_chunks.len().min(out_chunks.len()) {
            let v = &v_chunks[i];
            let mut total = out_chunks[i];
            for j in 0..COLUMNS {
                let a = &chunks[j].0[i];
                for lane in 0..LANES {
                    total[lane] = factors[j].mul_add(a[lane], total[lane]);
                    sums[j][lane] = a[lane].mul_add(v[lane], sums[j][lane]);
                }
            }
            out_chunks[i] = total;
        }
        for j in 0..COLUMNS {
            let a = chunks[j].1;
            for lane in 0..v_rest.len() {
                out_rest[lane] = factors[j].mul_add(a[lane], out_rest[lane]);
                sums[j][lane] = a[lane].mul_add(v_rest[lane], sums[j][lane]);
            }
            head[first + j] += sum_lanes(sums[j]);
        }
    }
    for j in blocks * COLUMNS..size {
        let a = column(j);
        let mut sum = a[j].mul_add(v[j], out[j]);
        for i in j + 1..size {
            out[i] = a[i].mul_add(v[j], out[i]);
            sum = a[i].mul_add(v[i], sum);
        }
        out[j] = sum;
    }
}

//! The eigenvalues and eigenvectors of a diagonal matrix plus one of rank one.
//!
//! `D + w w'` with ascending poles `d_0 < d_1 < ..` has one eigenvalue right of each pole, a zero of the secular function
//! `f(x) = 1 + sum w_j^2 / (d_j - x)`. R.-C. Li's middle way finds it (*Solving secular equations stably and efficiently*,
//! LAPACK working note 89, 1993) as a distance from the nearest pole. The eigenvectors are M. Gu's and S. Eisenstat's
//! (1994): those of the w to which these eigenvalues belong exactly, so they are orthogonal.

use super::super::kernel::dispatch;
use super::super::{LANES, dot_in_vectors, sum_lanes};

/// Steps after which an interval is halved instead; three or four are enough nearly always.
const STEPS_MAX: usize = 12;
/// Steps after which a zero is taken as it is: halving ends long before.
const HALVINGS_MAX: usize = 300;

/// Returns the eigenvalues, ascending, for distinct poles and a w without zeros; puts the eigenvectors into the columns of
/// `vectors` (k x k).
pub(super) fn solve(poles: &[f64], w: &[f64], vectors: &mut [f64]) -> Vec<f64> {
    dispatch!('a, solve_in_vectors => (poles: &'a [f64], w: &'a [f64], vectors: &'a mut [f64]) -> Vec<f64>)
}

#[inline(always)]
fn solve_in_vectors(poles: &[f64], w: &[f64], vectors: &mut [f64]) -> Vec<f64> {
    let k = poles.len();
    let mut squares = vec![0.0; k];
    for j in 0..k {
        squares[j] = w[j] * w[j];
    }
    let mut eigenvalues = vec![0.0; k];
    for i in 0..k {
        eigenvalues[i] = find_zero(poles, &squares, i, &mut vectors[i * k..(i + 1) * k]);
    }
    // The squares of the w of which these are the eigenvalues.
    for j in 0..k {
        squares[j] = -vectors[j * k + j];
    }
    for i in 0..k {
        let distances = &vectors[i * k..(i + 1) * k];
        for j in 0..i {
            squares[j] *= distances[j] / (poles[j] - poles[i]);
        }
        for j in i + 1..k {
            squares[j] *= distances[j] / (poles[j] - poles[i]);
        }
    }
    for j in 0..k {
        squares[j] = squares[j].sqrt().copysign(w[j]);
    }
    for i in 0..k {
        let vector = &mut vectors[i * k..(i + 1) * k];
        for j in 0..k {
            vector[j] = squares[j] / vector[j];
        }
        let norm = dot_in_vectors(vector, vector).sqrt();
        for j in 0..k {
            vector[j] /= norm;
        }
    }
    eigenvalues
}

/// Sums of `w_j^2 / (d_j - x)` and its derivative.
#[inline(always)]
fn sums(squares: &[f64], distances: &[f64], x: f64) -> (f64, f64) {
    let (mut values, mut slopes) = ([0.0; LANES], [0.0; LANES]);
    let (chunks, rest) = squares.as_chunks::<LANES>();
    let (distance_chunks, distance_rest) = distances.as_chunks::<LANES>();
    for i in 0..chunks.len().min(distance_chunks.len()) {
        for lane in 0..LANES {
            let inverse = 1.0 / (distance_chunks[i][lane] - x);
            let term = chunks[i][lane] * inverse;
            values[lane] += term;
            slopes[lane] = term.mul_add(inverse, slopes[lane]);
        }
    }
    for lane in 0..rest.len().min(distance_rest.len()) {
        let inverse = 1.0 / (distance_rest[lane] - x);
        let term = rest[lane] * inverse;
        values[lane] += term;
        slopes[lane] = term.mul_add(inverse, slopes[lane]);
    }
    (sum_lanes(values), sum_lanes(slopes))
}

/// The zero right of pole i, and its distances from all poles, `d_j - x`.
#[inline(always)]
fn find_zero(poles: &[f64], squares: &[f64], i: usize, distances: &mut [f64]) -> f64 {
    let k = poles.len();
    let is_last = i + 1 == k;
    let precision = f64::EPSILON * (8.0 + k as f64 / 8.0);
    // The interval's width. Beyond the last pole f has become positive where all of w^2 is.
    let mut width = 0.0;
    if is_last {
        for j in 0..k {
            width += squares[j];
        }
    } else {
        width = poles[i + 1] - poles[i];
    }
    for j in 0..k {
        distances[j] = poles[j] - poles[i];
    }
    // The zero is nearer to the pole on whose side f has it at the middle.
    let (left, left_slope) = sums(&squares[..=i], &distances[..=i], 0.5 * width);
    let (right, right_slope) = sums(&squares[i + 1..], &distances[i + 1..], 0.5 * width);
    let middle = 1.0 + left + right;
    let from_left = is_last || middle >= 0.0;
    let origin = if from_left { i } else { i + 1 };
    if !from_left {
        for j in 0..k {
            distances[j] = poles[j] - poles[origin];
        }
    }
    // The zero is in (low, high), relative to the origin, and x is the best guess.
    let (mut low, mut high, mut x) = match (from_left, middle >= 0.0) {
        (true, true) => (0.0, 0.5 * width, 0.5 * width),
        (true, false) => (0.5 * width, width, 0.5 * width),
        (false, _) => (-0.5 * width, 0.0, -0.5 * width),
    };
    let (mut left, mut left_slope, mut right, mut right_slope) = (left, left_slope, right, right_slope);
    for step in 0..HALVINGS_MAX {
        let value = 1.0 + left + right;
        if value.abs() <= precision * (1.0 + left.abs() + right.abs()) {
            break;
        }
        if value < 0.0 {
            low = x;
        } else {
            high = x;
        }
        let near = distances[i] - x;
        let change = if is_last {
            // c + s / (d_i - x) with the value and the slope of f.
            near * value / (value - near * left_slope)
        } else {
            // c + s / (d_i - x) + t / (d_(i + 1) - x) with the values and the slopes of both sums.
            let far = distances[i + 1] - x;
            let c = value - near * left_slope - far * right_slope;
            let a = (near + far) * value - near * far * (left_slope + right_slope);
            let b = near * far * value;
            let root = (a * a - 4.0 * b * c).max(0.0).sqrt();
            if a <= 0.0 { (a - root) / (2.0 * c) } else { 2.0 * b / (a + root) }
        };
        let mut next = x + change;
        if !(low < next && next < high) || step >= STEPS_MAX {
            next = 0.5 * (low + high);
        }
        if next == x || next <= low || next >= high {
            break;
        }
        x = next;
        (left, left_slope) = sums(&squares[..=i], &distances[..=i], x);
        (right, right_slope) = sums(&squares[i + 1..], &distances[i + 1..], x);
    }
    for j in 0..k {
        distances[j] -= x;
    }
    poles[origin] + x
}

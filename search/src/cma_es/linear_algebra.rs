//! The few vector operations that faer's matrices do not bring, with a fixed order of additions.

use faer::Mat;

/// The inner product, summed in eight interleaved parts so that the compiler can vectorise it without changing a bit.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let (chunks_a, rest_a) = a.as_chunks::<8>();
    let (chunks_b, rest_b) = b.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for (x, y) in chunks_a.iter().zip(chunks_b) {
        for lane in 0..8 {
            sums[lane] += x[lane] * y[lane];
        }
    }
    let rest: f64 = rest_a.iter().zip(rest_b).map(|(x, y)| x * y).sum();
    ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7])) + rest
}

/// `target += factor * source`.
pub(super) fn add_scaled(target: &mut [f64], factor: f64, source: &[f64]) {
    target.iter_mut().zip(source).for_each(|(t, s)| *t += factor * s);
}

/// `C^(-1/2) v = B D^-1 B' v`.
pub(super) fn whiten(eigenbasis: &Mat<f64>, axis_lengths: &[f64], v: &[f64]) -> Vec<f64> {
    let mut whitened = vec![0.0; v.len()];
    for (axis, length) in axis_lengths.iter().enumerate() {
        let direction = eigenbasis.col_as_slice(axis);
        add_scaled(&mut whitened, dot(direction, v) / length, direction);
    }
    whitened
}

/// The Euclidean norm.
pub(super) fn norm(v: &[f64]) -> f64 {
    dot(v, v).sqrt()
}

//! The linear algebra of tasks: rotations, principal components, products.

use hebbian_shared::seed::{ChaCha8Rng, Seed, fill_normal};

/// Adds into how many partial sums, so that sums can be computed in vectors; their order is part of every result.
const LANES: usize = 8;

/// `out = row times matrix`, the matrix `[row, out]`.
pub(super) fn times(row: &[f32], matrix: &[f32], out: &mut [f32]) {
    crate::vectors::with_vectors(
        #[inline(always)]
        || {
            out.fill(0.0);
            for (&x, weights) in row.iter().zip(matrix.chunks_exact(out.len())) {
                for (sum, &weight) in out.iter_mut().zip(weights) {
                    *sum += x * weight;
                }
            }
        },
    );
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut lanes = [0.0; LANES];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        for (lane, (a, b)) in lanes.iter_mut().zip(a.iter().zip(b)) {
            *lane += a * b;
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    lanes.iter().sum::<f64>() + rest
}

/// The sum of squares.
pub(super) fn squares(values: &[f64]) -> f64 {
    dot(values, values)
}

/// A uniformly random orthogonal matrix, `[row, column]`, with `size` of both.
pub(super) fn rotation(rng: &mut ChaCha8Rng, size: usize) -> Vec<f64> {
    let mut rows = vec![0.0; size * size];
    fill_normal(rng, &mut rows);
    orthonormalise(&mut rows, size);
    rows
}

/// Makes rows orthogonal to those before them and gives them the length 1 (modified Gram-Schmidt). A row that has nothing left
/// stays nearly zero.
fn orthonormalise(rows: &mut [f64], length: usize) {
    let count = rows.len() / length;
    for place in 0..count {
        let (row, after) = rows[place * length..].split_at_mut(length);
        let size = squares(row).sqrt();
        if size > 0.0 {
            for x in row.iter_mut() {
                *x /= size;
            }
        }
        for other in after.chunks_exact_mut(length) {
            let share = dot(row, other);
            for (other, x) in other.iter_mut().zip(&*row) {
                *other -= share * x;
            }
        }
    }
}

/// The first `count` principal components of rows that have mean zero, the strongest first: unit vectors, `[component, column]`,
/// by orthogonal iteration.
pub(super) fn principal_components(rows: &[&[f32]], count: usize) -> Vec<f32> {
    /// Components that are iterated besides, so that the wanted ones separate sooner.
    const MORE: usize = 4;
    const ITERATIONS: usize = 60;
    let length = rows[0].len();
    let vectors = (count + MORE).min(length);
    let mut basis = vec![0.0; vectors * length];
    fill_normal(&mut Seed::new(0).expect("a seed").rng(), &mut basis);
    orthonormalise(&mut basis, length);
    let mut next = vec![0.0; basis.len()];
    let mut wide = vec![0.0; length];
    for _ in 0..ITERATIONS {
        next.fill(0.0);
        for row in rows {
            for (wide, &x) in wide.iter_mut().zip(*row) {
                *wide = f64::from(x);
            }
            for (vector, next) in basis.chunks_exact(length).zip(next.chunks_exact_mut(length)) {
                let share = dot(vector, &wide);
                for (next, x) in next.iter_mut().zip(&wide) {
                    *next += share * x;
                }
            }
        }
        orthonormalise(&mut next, length);
        std::mem::swap(&mut basis, &mut next);
    }
    basis[..count * length].iter().map(|&x| x as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotations_are_orthogonal_and_point_everywhere() {
        let mut rng = Seed::new(1).unwrap().rng();
        for size in [1, 2, 17, 64] {
            let rows = rotation(&mut rng, size);
            for (a, b) in (0..size).flat_map(|a| (0..size).map(move |b| (a, b))) {
                let product = dot(&rows[a * size..][..size], &rows[b * size..][..size]);
                assert!((product - f64::from(u8::from(a == b))).abs() < 1e-12, "{size}: {a} {b} {product}");
            }
        }
        let mut mean = 0.0;
        for _ in 0..2000 {
            mean += rotation(&mut rng, 3)[8] / 2000.0;
        }
        // Uniform in -1 .. 1: four standard errors of the mean.
        assert!(mean.abs() < 4.0 / (3.0_f64 * 2000.0).sqrt(), "{mean}");
    }

    #[test]
    fn principal_components_are_the_directions_of_largest_variance() {
        let mut rng = Seed::new(2).unwrap().rng();
        let axes = rotation(&mut rng, 6);
        let deviations = [5.0, 3.0, 2.0, 1.0, 0.5, 0.1];
        let mut draws = vec![0.0; 6 * 3000];
        fill_normal(&mut rng, &mut draws);
        let points: Vec<Vec<f32>> = draws
            .chunks_exact(6)
            .map(|draw| {
                let at = |column: usize| -> f64 {
                    (0..6).map(|axis| draw[axis] * deviations[axis] * axes[axis * 6 + column]).sum()
                };
                (0..6).map(|column| at(column) as f32).collect()
            })
            .collect();
        let rows: Vec<&[f32]> = points.iter().map(Vec::as_slice).collect();
        let components = principal_components(&rows, 3);
        for (component, axis) in components.chunks_exact(6).zip(axes.chunks_exact(6)) {
            let cosine: f64 = component.iter().zip(axis).map(|(a, b)| f64::from(*a) * b).sum();
            assert!(cosine.abs() > 0.99, "{cosine}");
        }
    }
}

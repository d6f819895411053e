#![expect(clippy::disallowed_methods, reason = "a test's own arithmetic")]

use hebbian_shared::seed::{Seed, fill_normal};

use super::eigen::{NoDecomposition, decompose};
use super::matrix::Matrix;
use super::product::{Part, View, add_product, product};
use super::*;
use hebbian_shared::vectors::narrow;

fn random(rows: usize, columns: usize, seed: u64) -> Matrix {
    let mut matrix = Matrix::zeros(rows, columns);
    fill_normal(&mut Seed::new(seed).unwrap().rng(), matrix.values_mut());
    matrix
}

/// A covariance matrix of as many random steps as dimensions.
fn covariance(n: usize) -> Matrix {
    let steps = random(n, n, n as u64);
    product(View::from(&steps), View::from(&steps).transposed())
}

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|x| x.to_bits()).collect()
}

/// Products of all shapes around the sizes of registers and blocks.
#[test]
fn products_are_sums_from_the_first_term_to_the_last_in_any_vectors() {
    for rows in [1, 7, 8, 9, 65] {
        for columns in [1, 3, 4, 13] {
            for depth in [1, 5, 256, 300] {
                let (left, right) = (random(rows, depth, 1), random(columns, depth, 2));
                let (left, right) = (View::from(&left), View::from(&right).transposed());
                let found = product(left, right);
                let term = |i, j, k, sum: f64| left.at(i, k).mul_add(right.at(k, j), sum);
                let expected = |i, j| (0..depth).fold(0.0, |sum, k| term(i, j, k, sum));
                assert_eq!(found, Matrix::from_fn(rows, columns, expected), "{rows} {columns} {depth}");
                assert_eq!(narrow(|| product(left, right)), found);
                let turned = product(right.transposed(), left.transposed());
                assert_eq!(turned, Matrix::from_fn(columns, rows, |i, j| found[(j, i)]));
                let mut lower = Matrix::from_fn(rows, columns, |_, _| 0.0);
                add_product(left, right, Part::Lower, lower.values_mut(), rows);
                let below = |i, j| if i >= j { found[(i, j)] } else { 0.0 };
                assert_eq!(lower, Matrix::from_fn(rows, columns, below));
            }
        }
    }
}

#[test]
fn vectors_are_added_up_in_any_vectors() {
    for length in 0..40 {
        let (a, b) = (random(length.max(1), 1, 3), random(length.max(1), 1, 4));
        let (a, b) = (&a.values()[..length], &b.values()[..length]);
        let exact: f64 = a.iter().zip(b).map(|(a, b)| a * b).sum();
        assert!((dot(a, b) - exact).abs() < 1e-14 * length as f64 + f64::MIN_POSITIVE);
        assert_eq!(narrow(|| dot(a, b)).to_bits(), dot(a, b).to_bits());
        let add = || {
            let mut target = a.to_vec();
            add_scaled(&mut target, 0.3, b);
            target
        };
        assert_eq!(bits(&narrow(add)), bits(&add()));
        assert!((0..length).all(|i| add()[i] == 0.3f64.mul_add(b[i], a[i])));
    }
}

/// Checks that `A B = B diag(e)` and `B' B = 1` up to rounding, and the bits in any vectors. Returns the eigenvalues.
fn check(name: &str, matrix: &Matrix) -> Vec<f64> {
    let n = matrix.rows();
    let (values, vectors) = decompose(matrix).unwrap();
    let (narrow_values, narrow_vectors) = narrow(|| decompose(matrix)).unwrap();
    assert_eq!(bits(&values), bits(&narrow_values), "{name}, n = {n}");
    assert_eq!(bits(vectors.values()), bits(narrow_vectors.values()), "{name}, n = {n}");
    assert!(values.is_sorted(), "{name}, n = {n}: {values:?}");
    // Of the order of 1, so that the product stays among the numbers.
    let largest = values[0].abs().max(values[n - 1].abs()).max(f64::MIN_POSITIVE);
    let full = Matrix::from_fn(n, n, |i, j| matrix[(i.max(j), i.min(j))] / largest);
    let image = product(View::from(&full), View::from(&vectors));
    let inner = product(View::from(&vectors).transposed(), View::from(&vectors));
    for i in 0..n {
        for j in 0..n {
            let residual = image[(i, j)] - vectors[(i, j)] * (values[j] / largest);
            assert!(residual.abs() < 1e-13, "{name}, n = {n}: residual {residual:e}");
            let excess = inner[(i, j)] - delta(i, j);
            assert!(excess.abs() < 1e-13, "{name}, n = {n}: not orthogonal by {excess:e}");
        }
    }
    values
}

fn delta(i: usize, j: usize) -> f64 {
    f64::from(u8::from(i == j))
}

/// Of 12 orders of magnitude.
fn badly_scaled(n: usize) -> Matrix {
    let scale = |i: usize| 10f64.powf(6.0 - 12.0 * i as f64 / n as f64);
    let covariance = covariance(n);
    Matrix::from_fn(n, n, |i, j| scale(i) * covariance[(i, j)] * scale(j))
}

/// Eigenvalues in fives, as good as equal.
fn clustered(n: usize, spread: f64) -> Matrix {
    let covariance = covariance(n);
    Matrix::from_fn(n, n, |i, j| (i / 5) as f64 * delta(i, j) + spread * covariance[(i, j)])
}

#[test]
fn decompositions_are_exact_and_have_the_same_bits_in_any_vectors() {
    for n in [1, 2, 3, 8, 17, 24, 25, 31, 49, 72, 130] {
        let random = covariance(n);
        let beside = |i: usize, j: usize| f64::from(u8::from(i.abs_diff(j) == 1));
        check("random", &random);
        check("huge", &Matrix::from_fn(n, n, |i, j| 1e300 * random[(i, j)]));
        check("tiny", &Matrix::from_fn(n, n, |i, j| 1e-300 * random[(i, j)]));
        let scaled = badly_scaled(n);
        check("badly scaled", &scaled);
        check("badly scaled the other way", &Matrix::from_fn(n, n, |i, j| scaled[(n - 1 - i, n - 1 - j)]));
        for spread in [1e-6, 1e-12, 1e-15, 1e-160] {
            let close = Matrix::from_fn(n, n, |i, j| delta(i, j) + spread * random[(i, j)]);
            check("nearly the identity", &close);
            check("clusters", &clustered(n, spread));
        }
        let beside_one = |i, j| if i + j == 0 { 1.0 } else { 1e-155 * random[(i, j)] };
        check("tiny beside one", &Matrix::from_fn(n, n, beside_one));
        check("of rank one", &Matrix::from_fn(n, n, |_, _| 1.0));
        let wilkinson = |i: usize, j: usize| (i as f64 - (n / 2) as f64).abs() * delta(i, j) + beside(i, j);
        check("Wilkinson's, nearly equal eigenvalues", &Matrix::from_fn(n, n, wilkinson));
        assert_eq!(check("zero", &Matrix::zeros(n, n)), vec![0.0; n]);
        let steps = check("of a chain", &Matrix::from_fn(n, n, |i, j| 2.0 * delta(i, j) - beside(i, j)));
        for (k, value) in steps.iter().enumerate() {
            let angle = std::f64::consts::PI * (k + 1) as f64 / (2.0 * (n + 1) as f64);
            assert!((value - 4.0 * angle.sin().powi(2)).abs() < 1e-14, "n = {n}: {value}");
        }
    }
}

/// Beyond the sizes of all blocks.
#[test]
fn so_have_those_of_large_matrices() {
    check("random", &covariance(300));
    check("badly scaled", &badly_scaled(300));
    check("clusters", &clustered(300, 1e-12));
}

#[test]
fn what_is_no_number_is_refused_wherever_it_stands() {
    for n in [1, 2, 30] {
        for place in [(0, 0), (n - 1, 0), (n - 1, n - 1)] {
            for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
                let mut matrix = Matrix::identity(n);
                matrix[place] = number;
                assert_eq!(decompose(&matrix), Err(NoDecomposition));
            }
        }
    }
    // Its eigenvalue is no number, though the matrix is.
    assert_eq!(decompose(&Matrix::from_fn(9, 9, |_, _| f64::MAX)), Err(NoDecomposition));
}

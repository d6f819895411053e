//! Warps, and their way back.

use hebbian_shared::spec::rule::warped_descent::Warp;

use super::form::Place;
use super::product::{Left, add_product, transpose};
use crate::rule::number::Number;

/// `omega(h)` of groups of neurons, one after the other in `h`. Residual warps keep `tanh(h V^T + v)` of each.
#[inline(always)]
pub(super) fn forward<T: Number>(
    (form, place, parameters): (Warp, Place, &[T]),
    h: &[T],
    warped: &mut [T],
    kept: &mut [T],
    transposed: &mut Vec<T>,
) {
    let d = place.width;
    let parameters = &parameters[place.at..];
    match form {
        Warp::None => warped.copy_from_slice(h),
        Warp::Diagonal => {
            let (scale, shift) = parameters.split_at(d);
            for (h, warped) in h.chunks_exact(d).zip(warped.chunks_exact_mut(d)) {
                for (((x, &h), &scale), &shift) in warped.iter_mut().zip(h).zip(scale).zip(shift) {
                    *x = h * scale + shift;
                }
            }
        }
        Warp::Linear => {
            let (matrix, shift) = parameters.split_at(d * d);
            add_each(h, &shift[..d], warped);
            add_product(warped, Left { values: h, row: d, term: 1 }, matrix, d);
        }
        Warp::Residual => {
            let rank = kept.len() / (h.len() / d);
            let Residual { inputs, bias, outputs, shift } = Residual::of(parameters, rank, d);
            add_each(h, shift, warped);
            transpose(inputs, d, transposed);
            kept.fill(T::of(0.0));
            add_product(kept, Left { values: h, row: d, term: 1 }, transposed, rank);
            for kept in kept.chunks_exact_mut(rank) {
                for (kept, &bias) in kept.iter_mut().zip(bias) {
                    *kept = (*kept + bias).tanh();
                }
            }
            add_product(warped, Left { values: kept, row: rank, term: 1 }, outputs, d);
        }
    }
}

/// Memory of [`backward`] that holds nothing between calls.
#[derive(Debug, Default)]
pub(super) struct Room<T> {
    products: Vec<T>,
    transposed: Vec<T>,
}

/// From the gradients by `omega(h)` of groups, in `errors`, to those by h. Adds the gradient by the warp's parameters to `gradient`, if
/// it is wanted.
#[inline(always)]
pub(super) fn backward<T: Number>(
    (form, place, parameters): (Warp, Place, &[T]),
    (h, kept): (&[T], &[T]),
    errors: &mut [T],
    Room { products, transposed }: &mut Room<T>,
    gradient: Option<&mut [T]>,
) {
    let d = place.width;
    let parameters = &parameters[place.at..];
    let gradient = gradient.map(|gradient| &mut gradient[place.at..]);
    match form {
        Warp::None => {}
        Warp::Diagonal => {
            if let Some(gradient) = gradient {
                let (scale, shift) = gradient.split_at_mut(d);
                for (errors, h) in errors.chunks_exact(d).zip(h.chunks_exact(d)) {
                    for (sum, (&error, &h)) in scale.iter_mut().zip(errors.iter().zip(h)) {
                        *sum += error * h;
                    }
                }
                add_rows(&mut shift[..d], errors);
            }
            for errors in errors.chunks_exact_mut(d) {
                for (error, &scale) in errors.iter_mut().zip(parameters) {
                    *error = *error * scale;
                }
            }
        }
        Warp::Linear => {
            let matrix = &parameters[..d * d];
            if let Some(gradient) = gradient {
                let (matrix, shift) = gradient.split_at_mut(d * d);
                add_product(matrix, Left { values: h, row: 1, term: d }, errors, d);
                add_rows(&mut shift[..d], errors);
            }
            transpose(matrix, d, transposed);
            zeros(products, errors.len());
            add_product(products, Left { values: errors, row: d, term: 1 }, transposed, d);
            for (error, &product) in errors.iter_mut().zip(&*products) {
                *error += product;
            }
        }
        Warp::Residual => {
            let rank = kept.len() / (h.len() / d);
            let Residual { inputs, outputs, .. } = Residual::of(parameters, rank, d);
            transpose(outputs, d, transposed);
            zeros(products, kept.len());
            add_product(products, Left { values: errors, row: d, term: 1 }, transposed, rank);
            for (error, &kept) in products.iter_mut().zip(kept) {
                *error = *error * (T::of(1.0) - kept * kept);
            }
            if let Some(gradient) = gradient {
                let (of_inputs, rest) = gradient.split_at_mut(rank * d);
                let (of_bias, rest) = rest.split_at_mut(rank);
                let (of_outputs, of_shift) = rest.split_at_mut(rank * d);
                add_product(of_inputs, Left { values: products, row: 1, term: rank }, h, d);
                add_rows(of_bias, products);
                add_product(of_outputs, Left { values: kept, row: 1, term: rank }, errors, d);
                add_rows(&mut of_shift[..d], errors);
            }
            add_product(errors, Left { values: products, row: rank, term: 1 }, inputs, d);
        }
    }
}

/// Parameters of a residual warp.
struct Residual<'a, T> {
    /// V, `[rank, d]`.
    inputs: &'a [T],
    /// v, `[rank]`.
    bias: &'a [T],
    /// U, `[rank, d]`.
    outputs: &'a [T],
    /// `[d]`
    shift: &'a [T],
}

impl<'a, T> Residual<'a, T> {
    #[inline(always)]
    fn of(parameters: &'a [T], rank: usize, d: usize) -> Self {
        let (inputs, rest) = parameters.split_at(rank * d);
        let (bias, rest) = rest.split_at(rank);
        let (outputs, rest) = rest.split_at(rank * d);
        Self { inputs, bias, outputs, shift: &rest[..d] }
    }
}

/// Adds each row to `sum`.
#[inline(always)]
pub(super) fn add_rows<T: Number>(sum: &mut [T], rows: &[T]) {
    for row in rows.chunks_exact(sum.len()) {
        for (sum, &value) in sum.iter_mut().zip(row) {
            *sum += value;
        }
    }
}

/// `sums[row] = rows[row] + added`
#[inline(always)]
fn add_each<T: Number>(rows: &[T], added: &[T], sums: &mut [T]) {
    for (row, sums) in rows.chunks_exact(added.len()).zip(sums.chunks_exact_mut(added.len())) {
        for ((sum, &x), &y) in sums.iter_mut().zip(row).zip(added) {
            *sum = x + y;
        }
    }
}

/// So many zeros.
#[inline(always)]
fn zeros<T: Number>(numbers: &mut Vec<T>, count: usize) {
    numbers.clear();
    numbers.resize(count, T::of(0.0));
}

//! Warps, and their way back.

use hebbian_shared::spec::rule::warped_descent::Warp;

use super::form::Place;
use crate::rule::number::Number;

/// `omega(h)` of a group of neurons. Residual warps keep `tanh(h V^T + v)`.
#[inline(always)]
pub(super) fn forward<T: Number>(
    (form, place, parameters): (Warp, Place, &[T]),
    h: &[T],
    warped: &mut [T],
    kept: &mut [T],
) {
    let d = place.width;
    let parameters = &parameters[place.at..];
    match form {
        Warp::None => warped.copy_from_slice(h),
        Warp::Diagonal => {
            let (scale, shift) = parameters.split_at(d);
            for (((x, &h), &scale), &shift) in warped.iter_mut().zip(h).zip(scale).zip(shift) {
                *x = h * scale + shift;
            }
        }
        Warp::Linear => {
            let (matrix, shift) = parameters.split_at(d * d);
            add_each(h, &shift[..d], warped);
            for (&h, row) in h.iter().zip(matrix.chunks_exact(d)) {
                add(warped, h, row);
            }
        }
        Warp::Residual => {
            let rank = kept.len();
            let Residual { inputs, bias, outputs, shift } = Residual::of(parameters, rank, d);
            add_each(h, shift, warped);
            dots(inputs, h, kept);
            for (kept, &bias) in kept.iter_mut().zip(bias) {
                *kept = (*kept + bias).tanh();
            }
            for (&kept, row) in kept.iter().zip(outputs.chunks_exact(d)) {
                add(warped, kept, row);
            }
        }
    }
}

/// From the gradient by `omega(h)`, in `d`, to that by h. Adds the gradient by the warp's parameters to `gradient`, if it is
/// wanted.
#[inline(always)]
pub(super) fn backward<T: Number>(
    (form, place, parameters): (Warp, Place, &[T]),
    (h, kept): (&[T], &[T]),
    errors: &mut [T],
    room: &mut Vec<T>,
    gradient: Option<&mut [T]>,
) {
    let d = place.width;
    let parameters = &parameters[place.at..];
    let mut gradient = gradient.map(|gradient| &mut gradient[place.at..]);
    match form {
        Warp::None => {}
        Warp::Diagonal => {
            if let Some(gradient) = &mut gradient {
                let (scale, shift) = gradient.split_at_mut(d);
                for (sum, (&error, &h)) in scale.iter_mut().zip(errors.iter().zip(h)) {
                    *sum += error * h;
                }
                add(&mut shift[..d], T::of(1.0), errors);
            }
            for (error, &scale) in errors.iter_mut().zip(parameters) {
                *error = *error * scale;
            }
        }
        Warp::Linear => {
            let matrix = &parameters[..d * d];
            if let Some(gradient) = &mut gradient {
                let (matrix, shift) = gradient.split_at_mut(d * d);
                for (&h, row) in h.iter().zip(matrix.chunks_exact_mut(d)) {
                    add(row, h, errors);
                }
                add(&mut shift[..d], T::of(1.0), errors);
            }
            room.resize(d, T::of(0.0));
            dots(matrix, errors, room);
            add(errors, T::of(1.0), room);
        }
        Warp::Residual => {
            let rank = kept.len();
            let Residual { inputs, outputs, .. } = Residual::of(parameters, rank, d);
            room.resize(rank, T::of(0.0));
            dots(outputs, errors, room);
            for (error, &kept) in room.iter_mut().zip(kept) {
                *error = *error * (T::of(1.0) - kept * kept);
            }
            if let Some(gradient) = &mut gradient {
                let (of_inputs, rest) = gradient.split_at_mut(rank * d);
                let (of_bias, rest) = rest.split_at_mut(rank);
                let (of_outputs, of_shift) = rest.split_at_mut(rank * d);
                for (row, (of_bias, (&error, &kept))) in
                    of_bias.iter_mut().zip(room.iter().zip(kept)).enumerate()
                {
                    add(&mut of_inputs[row * d..][..d], error, h);
                    *of_bias += error;
                    add(&mut of_outputs[row * d..][..d], kept, errors);
                }
                add(&mut of_shift[..d], T::of(1.0), errors);
            }
            for (&error, row) in room.iter().zip(inputs.chunks_exact(d)) {
                add(errors, error, row);
            }
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

/// `sum += factor * values`
#[inline(always)]
pub(super) fn add<T: Number>(sum: &mut [T], factor: T, values: &[T]) {
    for (sum, &value) in sum.iter_mut().zip(values) {
        *sum += factor * value;
    }
}

#[inline(always)]
fn add_each<T: Number>(x: &[T], y: &[T], sum: &mut [T]) {
    for ((sum, &x), &y) in sum.iter_mut().zip(x).zip(y) {
        *sum = x + y;
    }
}

/// The products of a matrix's rows with `x`: of some rows at a time, because each sum waits for the term before.
#[inline(always)]
fn dots<T: Number>(matrix: &[T], x: &[T], products: &mut [T]) {
    const ROWS: usize = 4;
    let d = x.len();
    for (rows, products) in matrix.chunks(ROWS * d).zip(products.chunks_mut(ROWS)) {
        if let Ok(products) = <&mut [T; ROWS]>::try_from(&mut *products) {
            *products = [T::of(0.0); ROWS];
            for (place, &x) in x.iter().enumerate() {
                for (row, sum) in products.iter_mut().enumerate() {
                    *sum += rows[row * d + place] * x;
                }
            }
        } else {
            for (row, product) in rows.chunks_exact(d).zip(products) {
                *product = dot(row, x);
            }
        }
    }
}

#[inline(always)]
pub(super) fn dot<T: Number>(x: &[T], y: &[T]) -> T {
    x.iter().zip(y).fold(T::of(0.0), |sum, (&x, &y)| sum + x * y)
}

//! The products of the network: mixing states, propagating them through synapses, and correlating layers.
//!
//! All matrices are neuron-major, `[neuron, example]` with the examples contiguous, one per state: so loops over the
//! batch vectorise even where layers have two neurons. One kernel computes nearly everything, [`tile`]; correlations of
//! thin layers are sums along the examples, [`lanes`]. Which of the two is a function of the shape alone
//! ([`Kernel::of_shape`]): nothing is timed at run time.
//!
//! Both consist of fused multiply-adds in an order that depends neither on the width of the CPU's vectors nor on how the
//! work is divided: all CPUs compute the same bits (those without such an instruction slowly), and what is computed of an
//! example does not depend on its place in the batch.

mod lanes;
mod tile;

use pulp::Arch;

use super::buffer::Buffer;
use super::dispatch::dispatch;
use super::real::Real;
use super::transpose::{SIDE, transpose};
use tile::{Product, Start};

/// How two layers are correlated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kernel {
    /// As a matrix product, after one side was transposed.
    Tile,
    /// As sums along the examples.
    Lanes,
}

impl Kernel {
    /// The kernel for layers of `sources` and `destinations` neurons: tiles unless a side is too thin.
    fn of_shape(sources: usize, destinations: usize) -> Self {
        if sources >= TILE_SOURCES_MIN && destinations >= TILE_DESTINATIONS_MIN {
            Self::Tile
        } else {
            Self::Lanes
        }
    }
}

/// With fewer sources the destinations' transposition costs more than it saves.
const TILE_SOURCES_MIN: usize = 6;

/// With fewer destinations most of a vector of them would be empty.
const TILE_DESTINATIONS_MIN: usize = 8;

/// With fewer rows a copy of the right side costs more than it saves.
const PANEL_ROWS_MIN: usize = 48;

/// One side of a product: a `[neuron, example]` matrix per state, each with a factor.
#[derive(Clone, Copy)]
pub(super) enum Operand<'a, T> {
    /// One matrix for each state.
    PerState {
        /// `[state, neuron, example]`.
        values: &'a [T],
        /// Numbers of one state's matrix.
        stride: usize,
    },
    /// State o is `factors[o]` times the one matrix: a layer whose states above 0 are zero, transformed.
    Scaled {
        /// `[neuron, example]`.
        values: &'a [T],
        /// One factor per state.
        factors: &'a [T],
    },
}

impl<'a, T: Real> Operand<'a, T> {
    /// The matrix and the factor of a state.
    pub(super) fn of_state(&self, state: usize) -> (&'a [T], T) {
        match *self {
            Self::PerState { values, stride } => (&values[state * stride..(state + 1) * stride], T::ONE),
            Self::Scaled { values, factors } => (values, factors[state]),
        }
    }
}

/// How a k x k transform is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Orientation {
    /// Rows are the states that enter, columns those that leave.
    RowsEnter,
    /// Columns are the states that enter, rows those that leave (the Hebbian post transform).
    ColumnsEnter,
}

/// Mixes states: `out[o, e] = sum_k transform[k, o] states[k, e]` for the first `out.len() / length` states o, where e
/// runs over the `length` numbers of a state's matrix. `transform` is k x k, read in its `orientation`.
pub(super) fn mix<T: Real>(
    arch: Arch,
    transform: &[T],
    orientation: Orientation,
    k: usize,
    states: &[T],
    out: &mut [T],
    length: usize,
) {
    assert!(states.len() == k * length);
    mix_into(arch, transform, orientation, k, states, None, out, length);
}

/// As [`mix`], from as many first states as there are in `states`, and added to `keep` times what stands in `out`.
#[allow(clippy::too_many_arguments)]
pub(super) fn mix_into<T: Real>(
    arch: Arch,
    transform: &[T],
    orientation: Orientation,
    k: usize,
    states: &[T],
    keep: Option<T>,
    out: &mut [T],
    length: usize,
) {
    assert!(transform.len() == k * k && states.len() <= k * length && out.len() <= k * length);
    // The left side's rows are the states that leave, its columns those that enter.
    let left_strides = match orientation {
        Orientation::RowsEnter => (1, k),
        Orientation::ColumnsEnter => (k, 1),
    };
    let product = Product {
        left: transform,
        left_strides,
        right: states,
        right_stride: length,
        rows: out.len() / length,
        depth: states.len() / length,
        columns: length,
        factor: T::ONE,
        start: Start { keep, bias: None },
        out_stride: length,
    };
    multiply(arch, product, out);
}

/// Combines rows: `out[r, e] = sum_d factors[r, d] rows[d, e]` where e runs over `length` numbers. `factors` is row-major.
pub(super) fn combine_rows<T: Real>(arch: Arch, factors: &[T], rows: &[T], out: &mut [T], length: usize) {
    let (count, depth) = (out.len() / length, rows.len() / length);
    assert!(factors.len() == count * depth);
    let product = Product {
        left: factors,
        left_strides: (depth, 1),
        right: rows,
        right_stride: length,
        rows: count,
        depth,
        columns: length,
        factor: T::ONE,
        start: Start { keep: None, bias: None },
        out_stride: length,
    };
    multiply(arch, product, out);
}

/// Memory of a product that holds nothing between calls.
#[derive(Clone, Debug, Default)]
pub(super) struct ProductScratch<T> {
    /// A copy of a part of the right side.
    panel: Buffer<T>,
    /// Sums of which a part of the depth is still missing.
    sums: Buffer<T>,
}

/// Memory of a correlation that holds nothing between calls.
#[derive(Clone, Debug, Default)]
pub(super) struct CorrelationScratch<T> {
    /// The destinations, transposed.
    transposed: Buffer<T>,
    product: ProductScratch<T>,
}

/// Computes a product in the CPU's vectors.
fn multiply<T: Real>(arch: Arch, product: Product<'_, T>, out: &mut [T]) {
    dispatch!(arch, 'a, tile::multiply => (product: Product<'a, T>, out: &'a mut [T]) -> ());
}

/// As [`multiply`], by copies of a part of the right side if that is large. The bits are the same.
fn multiply_large<T: Real>(
    arch: Arch,
    product: Product<'_, T>,
    out: &mut [T],
    scratch: &mut ProductScratch<T>,
) {
    if product.rows < PANEL_ROWS_MIN || product.depth * product.columns <= tile::PANEL {
        multiply(arch, product, out);
        return;
    }
    let waiting = if product.depth > tile::PANEL_DEPTH { product.rows * product.columns } else { 0 };
    let (panel, sums) = (scratch.panel.take(tile::PANEL), scratch.sums.take(waiting));
    dispatch!(arch, 'a, tile::multiply_by_panels => (
        product: Product<'a, T>,
        out: &'a mut [T],
        panel: &'a mut [T],
        sums: &'a mut [T],
    ) -> ());
}

/// One state's synapses as they are used in a propagation.
#[derive(Clone, Copy)]
pub(super) struct Weights<'a, T> {
    /// `[source, destination]`, rows `stride` apart.
    pub(super) values: &'a [T],
    /// Distance of rows, at least `destinations`.
    pub(super) stride: usize,
    /// Neurons that send.
    pub(super) sources: usize,
    /// Neurons that receive.
    pub(super) destinations: usize,
}

/// Propagates one state: `out[j, b] = keep out[j, b] + bias[j] + factor sum_i weights[i, j] source[i, b]`, where `keep`
/// none overwrites `out` and `bias` is a factor and one synapse per destination.
#[allow(clippy::too_many_arguments)]
pub(super) fn propagate<T: Real>(
    arch: Arch,
    weights: Weights<'_, T>,
    (source, factor): (&[T], T),
    bias: Option<(&[T], T)>,
    keep: Option<T>,
    out: &mut [T],
    batch: usize,
    scratch: &mut ProductScratch<T>,
) {
    let Weights { sources, destinations, .. } = weights;
    assert!(source.len() == sources * batch && out.len() == destinations * batch);
    let product = Product {
        left: weights.values,
        left_strides: (1, weights.stride),
        right: source,
        right_stride: batch,
        rows: destinations,
        depth: sources,
        columns: batch,
        factor,
        start: Start { keep, bias },
        out_stride: batch,
    };
    multiply_large(arch, product, out, scratch);
}

/// Propagates one state against the direction of its synapses: `out[i, b] = factor sum_j weights[i, j] source[j, b]`.
#[allow(clippy::too_many_arguments)]
pub(super) fn propagate_back<T: Real>(
    arch: Arch,
    weights: Weights<'_, T>,
    (source, factor): (&[T], T),
    out: &mut [T],
    batch: usize,
    scratch: &mut ProductScratch<T>,
) {
    let Weights { values, stride, sources, destinations } = weights;
    assert!(source.len() == destinations * batch && out.len() == sources * batch);
    let product = Product {
        left: values,
        left_strides: (stride, 1),
        right: source,
        right_stride: batch,
        rows: sources,
        depth: destinations,
        columns: batch,
        factor,
        start: Start { keep: None, bias: None },
        out_stride: batch,
    };
    multiply_large(arch, product, out, scratch);
}

/// Correlates two layers in one state: `out[i, j] = keep out[i, j] + factor sum_b source[i, b] destination[j, b]`, rows
/// of `out` being `stride` apart; `keep` none overwrites `out`.
#[allow(clippy::too_many_arguments)]
pub(super) fn correlate<T: Real>(
    arch: Arch,
    (source, factor): (&[T], T),
    destination: &[T],
    keep: Option<T>,
    out: &mut [T],
    stride: usize,
    batch: usize,
    scratch: &mut CorrelationScratch<T>,
) {
    let (sources, destinations) = (source.len() / batch, destination.len() / batch);
    match Kernel::of_shape(sources, destinations) {
        Kernel::Lanes => dispatch!(arch, 'a, lanes::correlate => (
            source: &'a [T],
            destination: &'a [T],
            factor: T,
            keep: Option<T>,
            out: &'a mut [T],
            stride: usize,
            batch: usize,
        ) -> ()),
        Kernel::Tile => {
            // Rows of whole vectors.
            let columns = destinations.next_multiple_of(SIDE);
            let transposed = scratch.transposed.take(batch * columns);
            transpose(arch, destination, batch, transposed, columns);
            let product = Product {
                left: source,
                left_strides: (batch, 1),
                right: transposed,
                right_stride: columns,
                rows: sources,
                depth: batch,
                columns: destinations,
                factor,
                start: Start { keep, bias: None },
                out_stride: stride,
            };
            multiply_large(arch, product, out, &mut scratch.product);
        }
    }
}

/// `values <- keep values + update sums`.
pub(super) fn blend<T: Real>(arch: Arch, values: &mut [T], keep: T, update: T, sums: &[T]) {
    let product = Product {
        left: &[T::ONE],
        left_strides: (0, 0),
        right: sums,
        right_stride: 0,
        rows: 1,
        depth: 1,
        columns: values.len(),
        factor: update,
        start: Start { keep: Some(keep), bias: None },
        out_stride: 0,
    };
    multiply(arch, product, values);
}

/// Sums over the batch: `out[j * stride] = factor sum_b layer[j, b]`: the correlation with a neuron that is constantly
/// `factor`.
pub(super) fn sum_over_batch<T: Real>(
    arch: Arch,
    layer: &[T],
    factor: T,
    out: &mut [T],
    stride: usize,
    batch: usize,
) {
    dispatch!(arch, 'a, lanes::sum_over_batch => (
        layer: &'a [T],
        factor: T,
        out: &'a mut [T],
        stride: usize,
        batch: usize,
    ) -> ());
}

/// Adds the inner products of the rows of two matrices, all rows being of `length` numbers, to `out`, `[rows of left, rows of
/// right]`: parts of them in `T`, their sums in f64.
pub(super) fn add_inner_products<T: Real>(
    arch: Arch,
    left: &[T],
    right: &[T],
    length: usize,
    out: &mut [f64],
) {
    assert!(length > 0 && out.len() == (left.len() / length) * (right.len() / length));
    dispatch!(arch, 'a, lanes::add_inner_products => (
        left: &'a [T],
        right: &'a [T],
        length: usize,
        out: &'a mut [f64],
    ) -> ());
}

/// The inner product of two rows; see [`add_inner_products`].
pub(super) fn inner_product<T: Real>(arch: Arch, left: &[T], right: &[T]) -> f64 {
    let mut sum = [0.0];
    add_inner_products(arch, left, right, left.len(), &mut sum);
    sum[0]
}

#[cfg(test)]
mod tests;

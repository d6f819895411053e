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
mod tests {
    use hebbian_shared::seed::{Seed, uniform_between};
    use proptest::prelude::*;

    use super::*;

    fn matrix<T: Real>(seed: u64, length: usize) -> Vec<T> {
        let mut rng = Seed::new(seed).unwrap().rng();
        (0..length).map(|_| T::from_f64(f64::from(uniform_between(&mut rng, -1.0, 1.0) as f32))).collect()
    }

    /// Both products of one shape against plain sums in f64.
    fn check<T: Real>(sources: usize, destinations: usize, batch: usize, keep: Option<f64>, tolerance: f64) {
        let arch = Arch::new();
        let stride = destinations + 1;
        let weights = matrix::<T>(1, sources * stride);
        let (source, before) = (matrix::<T>(2, sources * batch), matrix::<T>(3, destinations * batch));
        let bias = matrix::<T>(4, destinations);
        let mut out = before.clone();
        let view = Weights { values: &weights, stride, sources, destinations };
        let (half, quarter) = (T::from_f64(0.5), T::from_f64(0.25));
        propagate(
            arch,
            view,
            (&source, half),
            Some((&bias, quarter)),
            keep.map(T::from_f64),
            &mut out,
            batch,
            &mut ProductScratch::default(),
        );
        for j in 0..destinations {
            for b in 0..batch {
                let at = |values: &[T], index: usize| values[index].to_f64();
                let sum: f64 =
                    (0..sources).map(|i| at(&weights, i * stride + j) * at(&source, i * batch + b)).sum();
                let kept = keep.map_or(0.0, |keep| keep * at(&before, j * batch + b));
                let expected = kept + 0.25 * at(&bias, j) + 0.5 * sum;
                let found = at(&out, j * batch + b);
                assert!((found - expected).abs() <= tolerance * (1.0 + sources as f64), "{found} {expected}");
            }
        }
        let mut back = vec![T::ZERO; sources * batch];
        let upper = &before[..destinations * batch];
        propagate_back(arch, view, (upper, half), &mut back, batch, &mut ProductScratch::default());
        for i in 0..sources {
            for b in 0..batch {
                let sum: f64 = (0..destinations)
                    .map(|j| 0.5 * weights[i * stride + j].to_f64() * upper[j * batch + b].to_f64())
                    .sum();
                let found = back[i * batch + b].to_f64();
                assert!((found - sum).abs() <= tolerance * (1.0 + destinations as f64), "{found} {sum}");
            }
        }
        let old = matrix::<T>(5, sources * stride);
        let mut synapses = old.clone();
        let keep_synapses = keep.map(T::from_f64);
        let mut scratch = CorrelationScratch::default();
        correlate(arch, (&source, half), &before, keep_synapses, &mut synapses, stride, batch, &mut scratch);
        for i in 0..sources {
            for j in 0..destinations {
                let sum: f64 = (0..batch)
                    .map(|b| 0.5 * source[i * batch + b].to_f64() * before[j * batch + b].to_f64())
                    .sum();
                let expected = sum + keep.map_or(0.0, |keep| keep * old[i * stride + j].to_f64());
                let found = synapses[i * stride + j].to_f64();
                assert!((found - expected).abs() <= tolerance * (1.0 + batch as f64), "{found} {expected}");
            }
            let gap = i * stride + destinations;
            assert_eq!(synapses[gap], old[gap], "the gap between rows was written");
        }
    }

    #[test]
    fn inner_products_are_added_and_have_the_same_bits_in_every_vector() {
        for (rows, columns, length) in [(1, 1, 5), (4, 4, 64), (3, 9, 1030), (6, 5, 4099)] {
            let (left, right) = (matrix::<f32>(1, rows * length), matrix::<f32>(2, columns * length));
            let sums = |arch| {
                let mut out = vec![0.25; rows * columns];
                add_inner_products(arch, &left, &right, length, &mut out);
                out
            };
            let found = sums(Arch::new());
            assert_eq!(found, sums(Arch::Scalar));
            for r in 0..rows {
                for c in 0..columns {
                    let exact: f64 = (0..length)
                        .map(|e| f64::from(left[r * length + e]) * f64::from(right[c * length + e]))
                        .sum();
                    let found = found[r * columns + c] - 0.25;
                    assert!((found - exact).abs() < 1e-7 * length as f64, "{found} {exact}");
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn products_equal_plain_sums(
            sources in 1_usize..40,
            destinations in 1_usize..40,
            batch in 1_usize..150,
            keep in proptest::option::of(-1.0_f64..1.0),
        ) {
            check::<f64>(sources, destinations, batch, keep, 1e-14);
            check::<f32>(sources, destinations, batch, keep, 1e-6);
        }

        #[test]
        fn an_example_has_the_same_bits_at_every_place_and_in_every_vector(
            sources in 1_usize..20,
            destinations in 1_usize..20,
            batch in 1_usize..90,
            place in 0_usize..90,
        ) {
            let place = place % batch;
            let weights = matrix::<f32>(1, sources * destinations);
            let view = Weights { values: &weights, stride: destinations, sources, destinations };
            let source = matrix::<f32>(2, sources * batch);
            let alone: Vec<f32> = (0..sources).map(|i| source[i * batch + place]).collect();
            let mut together = vec![0.0; destinations * batch];
            let mut single = vec![0.0; destinations];
            let arch = Arch::new();
            propagate(arch, view, (&source, 0.3), None, None, &mut together, batch, &mut ProductScratch::default());
            propagate(Arch::Scalar, view, (&alone, 0.3), None, None, &mut single, 1, &mut ProductScratch::default());
            for j in 0..destinations {
                prop_assert_eq!(together[j * batch + place].to_bits(), single[j].to_bits());
            }
        }

        #[test]
        fn large_products_have_the_bits_of_small_ones(
            rows in PANEL_ROWS_MIN..70,
            depth in 60_usize..300,
            columns in 140_usize..200,
            keep in proptest::option::of(-1.0_f32..1.0),
            adjacent in any::<bool>(),
        ) {
            let (left, right) = (matrix::<f32>(1, rows * depth), matrix::<f32>(2, depth * columns));
            let bias = matrix::<f32>(3, rows);
            let product = Product {
                left: &left,
                left_strides: if adjacent { (1, rows) } else { (depth, 1) },
                right: &right,
                right_stride: columns,
                rows,
                depth,
                columns,
                factor: 0.3,
                start: Start { keep, bias: Some((&bias, 0.7)) },
                out_stride: columns,
            };
            let mut whole = matrix::<f32>(4, rows * columns);
            let mut parts = whole.clone();
            multiply(Arch::Scalar, product, &mut whole);
            multiply_large(Arch::new(), product, &mut parts, &mut ProductScratch::default());
            prop_assert_eq!(whole, parts);
        }

        #[test]
        fn correlations_do_not_depend_on_the_width_of_vectors(
            sources in 1_usize..20,
            destinations in 1_usize..40,
            batch in 1_usize..150,
            keep in proptest::option::of(-1.0_f32..1.0),
        ) {
            let (source, destination) = (matrix::<f32>(1, sources * batch), matrix::<f32>(2, destinations * batch));
            let mut wide = matrix::<f32>(3, sources * destinations);
            let mut narrow = wide.clone();
            let mut scratch = CorrelationScratch::default();
            let pair = [(Arch::new(), &mut wide), (Arch::Scalar, &mut narrow)];
            for (arch, out) in pair {
                correlate(arch, (&source, 0.5), &destination, keep, out, destinations, batch, &mut scratch);
                sum_over_batch(arch, &destination, 0.5, &mut out[..destinations], 1, batch);
            }
            prop_assert_eq!(wide, narrow);
        }
    }
}

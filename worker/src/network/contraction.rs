//! The products of the network: mixing states, propagating them through synapses, and correlating layers.
//!
//! All matrices are neuron-major, `[neuron, example]` with the examples contiguous, one per state: so loops over the
//! batch vectorise even where layers have two neurons. Two kernels compute a product. Which one is a function of its
//! shape alone ([`Kernel::of_shape`]): nothing is timed at run time.
//!
//! - [`fused`]: own loops of multiplications and additions in a fixed order. Their bits do not depend on the width of
//!   the CPU's vectors (nothing is fused into multiply-adds, and sums over the batch always have [`fused::LANES`]
//!   partial sums), nor, in a propagation, on the place of an example in its batch.
//! - [`blocked`]: the `gemm` crate, sequential. Its bits depend on the shape and on the CPU's features.

mod blocked;
mod fused;

use pulp::Arch;

use super::dispatch::dispatch;
use super::real::Real;
use fused::Start;

/// How a product is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kernel {
    /// Own loops without packing.
    Fused,
    /// The `gemm` crate, which packs blocks of both sides.
    Blocked,
}

impl Kernel {
    /// The kernel of a product of `sources` x `destinations` synapses over `batch` examples: blocked from
    /// [`BLOCKED_MULTIPLICATIONS_MIN`] on, unless a side is too thin to fill a block.
    pub(super) fn of_shape(sources: usize, destinations: usize, batch: usize) -> Self {
        let thinnest = sources.min(destinations).min(batch);
        if thinnest >= BLOCKED_SIDE_MIN
            && sources.saturating_mul(destinations).saturating_mul(batch) >= BLOCKED_MULTIPLICATIONS_MIN
        {
            Self::Blocked
        } else {
            Self::Fused
        }
    }
}

/// From this many multiplications on packing saves more than it costs. Measured on a busy Xeon with AVX-512, five runs
/// (the last: two): an update of 64-32-10 with k = 4 and batch 64 took 33 to 56 us with this limit, 55 to 85 with 64 Ki
/// and 145 to 163 with 512 Ki.
const BLOCKED_MULTIPLICATIONS_MIN: usize = 16 * 1024;

/// Below this many neurons or examples most of a block would be padding.
const BLOCKED_SIDE_MIN: usize = 8;

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
    assert!(transform.len() == k * k && states.len() == k * length && out.len() <= states.len());
    let strides = match orientation {
        Orientation::RowsEnter => (k, 1),
        Orientation::ColumnsEnter => (1, k),
    };
    dispatch!(arch, 'a, fused::mix => (
        transform: &'a [T],
        strides: (usize, usize),
        k: usize,
        states: &'a [T],
        out: &'a mut [T],
        length: usize,
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
pub(super) fn propagate<T: Real>(
    arch: Arch,
    weights: Weights<'_, T>,
    (source, factor): (&[T], T),
    bias: Option<(&[T], T)>,
    keep: Option<T>,
    out: &mut [T],
    batch: usize,
) {
    let Weights { sources, destinations, .. } = weights;
    assert!(source.len() == sources * batch && out.len() == destinations * batch);
    match Kernel::of_shape(sources, destinations, batch) {
        Kernel::Fused => dispatch!(arch, 'a, fused::propagate => (
            weights: Weights<'a, T>,
            source: &'a [T],
            factor: T,
            bias: Option<(&'a [T], T)>,
            keep: Option<T>,
            out: &'a mut [T],
            batch: usize,
        ) -> ()),
        Kernel::Blocked => {
            for (j, row) in out.chunks_exact_mut(batch).enumerate() {
                let bias = bias.map_or(T::ZERO, |(synapses, factor)| synapses[j] * factor);
                match keep {
                    Some(keep) => row.iter_mut().for_each(|value| *value = *value * keep + bias),
                    None => row.fill(bias),
                }
            }
            blocked::propagate(weights, source, factor, out, batch);
        }
    }
}

/// Correlates two layers in one state: `out[i, j] = factor sum_b source[i, b] destination[j, b]`, rows of `out` being
/// `stride` apart.
pub(super) fn correlate<T: Real>(
    arch: Arch,
    (source, factor): (&[T], T),
    destination: &[T],
    out: &mut [T],
    stride: usize,
    batch: usize,
) {
    let (sources, destinations) = (source.len() / batch, destination.len() / batch);
    match Kernel::of_shape(sources, destinations, batch) {
        Kernel::Fused => dispatch!(arch, 'a, fused::correlate => (
            source: &'a [T],
            factor: T,
            destination: &'a [T],
            out: &'a mut [T],
            stride: usize,
            batch: usize,
        ) -> ()),
        Kernel::Blocked => blocked::correlate(source, factor, destination, out, stride, batch),
    }
}

/// `values <- keep values + update sums`.
pub(super) fn blend<T: Real>(arch: Arch, values: &mut [T], keep: T, update: T, sums: &[T]) {
    let (start, factors, rows) = (Start::Keep(keep, T::ZERO), [update], [sums]);
    dispatch!(arch, 'a, fused::combine => (
        start: Start<T>,
        factors: [T; 1],
        rows: [&'a [T]; 1],
        values: &'a mut [T],
    ) -> ());
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
    dispatch!(arch, 'a, fused::sum_over_batch => (
        layer: &'a [T],
        factor: T,
        out: &'a mut [T],
        stride: usize,
        batch: usize,
    ) -> ());
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
        let mut synapses = vec![T::ZERO; sources * stride];
        correlate(arch, (&source, half), &before, &mut synapses, stride, batch);
        for i in 0..sources {
            for j in 0..destinations {
                let expected: f64 = (0..batch)
                    .map(|b| 0.5 * source[i * batch + b].to_f64() * before[j * batch + b].to_f64())
                    .sum();
                let found = synapses[i * stride + j].to_f64();
                assert!((found - expected).abs() <= tolerance * (1.0 + batch as f64), "{found} {expected}");
            }
            assert_eq!(synapses[i * stride + destinations], T::ZERO, "the gap between rows was written");
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
        fn an_example_has_the_same_bits_at_every_place_of_a_fused_propagation(
            sources in 1_usize..20,
            destinations in 1_usize..8,
            batch in 1_usize..90,
            place in 0_usize..90,
        ) {
            prop_assume!(Kernel::of_shape(sources, destinations, batch) == Kernel::Fused);
            let place = place % batch;
            let weights = matrix::<f32>(1, sources * destinations);
            let view = Weights { values: &weights, stride: destinations, sources, destinations };
            let source = matrix::<f32>(2, sources * batch);
            let alone: Vec<f32> = (0..sources).map(|i| source[i * batch + place]).collect();
            let mut together = vec![0.0; destinations * batch];
            let mut single = vec![0.0; destinations];
            let arch = Arch::new();
            propagate(arch, view, (&source, 1.0), None, None, &mut together, batch);
            propagate(Arch::Scalar, view, (&alone, 1.0), None, None, &mut single, 1);
            for j in 0..destinations {
                prop_assert_eq!(together[j * batch + place].to_bits(), single[j].to_bits());
            }
        }

        #[test]
        fn fused_correlations_do_not_depend_on_the_width_of_vectors(
            sources in 1_usize..10,
            destinations in 1_usize..10,
            batch in 1_usize..150,
        ) {
            prop_assume!(Kernel::of_shape(sources, destinations, batch) == Kernel::Fused);
            let (source, destination) = (matrix::<f32>(1, sources * batch), matrix::<f32>(2, destinations * batch));
            let mut wide = vec![0.0; sources * destinations];
            let mut narrow = wide.clone();
            let arch = Arch::new();
            correlate(arch, (&source, 0.5), &destination, &mut wide, destinations, batch);
            correlate(Arch::Scalar, (&source, 0.5), &destination, &mut narrow, destinations, batch);
            prop_assert_eq!(wide, narrow);
        }
    }
}

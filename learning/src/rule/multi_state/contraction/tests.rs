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

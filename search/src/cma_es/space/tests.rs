use super::*;

fn start(lower: &[f64], upper: &[f64]) -> CmaEsSpec {
    CmaEsSpec { lower_bounds: lower.to_vec(), upper_bounds: upper.to_vec(), ..CmaEsSpec::of(4) }
}

#[test]
fn without_settings_both_sides_are_the_same() {
    let space = Space::new(vec![1.0, 2.0], &CmaEsSpec::of(4));
    assert_eq!(space.to_genome(vec![3.0, -4.0]), [3.0, -4.0]);
    assert_eq!(space.to_point(&[3.0, -4.0]), [3.0, -4.0]);
    assert_eq!(space.start(), [1.0, 2.0]);
}

/// Within, onto, and back; the map is continuous and moves no faster than its argument.
#[test]
fn bounds_are_never_left_and_the_way_back_is_found() {
    for (lower, upper) in
        [(vec![-1.0], vec![2.0]), (vec![0.5], vec![]), (vec![], vec![-3.0]), (vec![1e3], vec![1e3 + 1.0])]
    {
        let low = lower.first().copied().unwrap_or(f64::NEG_INFINITY);
        let high = upper.first().copied().unwrap_or(f64::INFINITY);
        let space = Space::new(vec![low.max(high.min(0.0))], &start(&lower, &upper));
        let mut before: Option<f64> = None;
        for step in -4000..4000 {
            let x = f64::from(step) * 0.01 + if low > 100.0 { low } else { 0.0 };
            let y = space.to_genome(vec![x])[0];
            assert!(y >= low && y <= high, "{x} became {y}");
            if let Some(before) = before {
                assert!((y - before).abs() <= 0.01 * (1.0 + 1e-9), "at {x}");
            }
            before = Some(y);
            let back = space.to_genome(space.to_point(&[y]))[0];
            assert!((back - y).abs() < 1e-9 * (1.0 + y.abs()), "{y} came back as {back}");
        }
    }
}

#[test]
fn the_middle_is_not_moved() {
    let space = Space::new(vec![0.0], &start(&[-1.0], &[1.0]));
    assert_eq!(space.to_genome(vec![0.5])[0], 0.5);
    assert_eq!(space.to_genome(vec![-1.1])[0], -1.0);
}

#[test]
fn fixed_coordinates_stay_and_scales_stretch() {
    let settings = CmaEsSpec { scales: vec![1.0, 9.0, 0.5], fixed: vec![1], ..CmaEsSpec::of(4) };
    let space = Space::new(vec![1.0, 2.0, 3.0], &settings);
    assert_eq!(space.dimension(), 2);
    assert_eq!(space.start(), [1.0, 6.0]);
    assert_eq!(space.to_genome(vec![5.0, 8.0]), [5.0, 2.0, 4.0]);
    assert_eq!(space.to_point(&[5.0, 7.0, 4.0]), [5.0, 8.0]);
}

#[test]
fn a_covariance_is_that_of_the_free_coordinates_in_their_scales() {
    let settings = CmaEsSpec { scales: vec![1.0, 1.0, 0.5], fixed: vec![1], ..CmaEsSpec::of(4) };
    let space = Space::new(vec![0.0; 3], &settings);
    // Columns (0,0) (1,0) (2,0), (1,1) (2,1), (2,2).
    let covariance = space.covariance(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    assert_eq!(
        [covariance[(0, 0)], covariance[(1, 0)], covariance[(0, 1)], covariance[(1, 1)]],
        [1.0, 6.0, 6.0, 24.0]
    );
}

#[test]
fn inside_the_box_bounds_change_no_bit() {
    let far = 1e15;
    for (lower, upper) in [
        (Some(-far), Some(far)),
        (Some(-far), None),
        (None, Some(far)),
        (Some(-1e100), Some(1e100)),
        (Some(-3.0), Some(1e17)),
        (Some(-2.0), Some(2.0)),
    ] {
        let bounds = Bounds { lower, upper };
        for x in [0.1 + 0.2, -1.0 / 3.0, 1e-300, -0.0, 1.7] {
            assert_eq!(bounds.apply(x).to_bits(), x.to_bits(), "{x} in {bounds:?}");
        }
    }
}

/// What another search begins from is in the genome's units, whatever this one's settings were.
#[test]
fn a_covariance_goes_out_as_it_comes_in() {
    let triangle = [4.0, 2.0, 0.5, 3.0, 0.25, 1.0];
    let whole = Space::new(vec![0.0; 3], &CmaEsSpec::of(4));
    assert_eq!(whole.triangle(&whole.covariance(&triangle)), triangle);
    let settings = CmaEsSpec { fixed: vec![1], scales: vec![2.0, 1.0, 4.0], ..CmaEsSpec::of(4) };
    let space = Space::new(vec![0.0; 3], &settings);
    assert_eq!(
        space.covariance(&triangle),
        Matrix::from_fn(2, 2, |r, c| [[1.0, 0.0625], [0.0625, 0.0625]][r][c])
    );
    // The fixed one varies with no other.
    assert_eq!(space.triangle(&space.covariance(&triangle)), [4.0, 0.0, 0.5, 1.0, 0.0, 1.0]);
}

#[test]
fn an_infinite_bound_is_none() {
    let bounded = Space::new(vec![1.0; 2], &start(&[f64::NEG_INFINITY, 0.0], &[f64::INFINITY; 2]));
    let one_sided = Space::new(vec![1.0; 2], &start(&[-1e300, 0.0], &[]));
    for x in [-1e9, -0.01, 0.03, 5.0] {
        assert_eq!(bounded.to_genome(vec![x, x]), one_sided.to_genome(vec![x, x]), "{x}");
        assert_eq!(bounded.to_genome(vec![x, x])[0].to_bits(), x.to_bits());
    }
}

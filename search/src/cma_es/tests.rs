use hebbian_shared::fitness::Fitness;
use hebbian_shared::seed::normal_pair;

use super::*;

fn seed() -> Seed {
    Seed::new(7).unwrap()
}

fn settings(population_size: u32, noise: NoiseHandling) -> CmaEsSpec {
    CmaEsSpec { noise, ..CmaEsSpec::of(population_size) }
}

fn fit(value: f64) -> Verdict {
    Verdict::Fit(Fitness::new(value).unwrap())
}

fn sphere(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum()
}

fn tell(search: &mut CmaEs, fitness: impl Fn(&[f64]) -> f64) {
    let verdicts: Vec<Verdict> = search.ask().iter().map(|c| fit(fitness(&c.genome.0))).collect();
    search.tell(&Measured::without_gradients(&verdicts)).unwrap();
}

#[test]
fn candidates_are_asked_again_in_another_block_and_every_tenth_generation_without_noise() {
    let mut search = CmaEs::new(vec![1.0; 5], &settings(40, NoiseHandling::Auto), seed());
    for generation in 0..31 {
        let candidates = search.ask();
        let again = if generation % 10 == 0 { 4 } else { 0 };
        assert_eq!(candidates.len(), 40 + again, "generation {generation}");
        for i in 0..again {
            assert_eq!(
                candidates[40 + i],
                Candidate { block: BlockIndex(1), genome: candidates[i].genome.clone() }
            );
        }
        assert!(candidates[..40].iter().all(|c| c.block == BlockIndex(0)));
        tell(&mut search, |x| -sphere(x));
        assert_eq!(search.summary().noise.unwrap().mean_rate, 1.0);
    }
}

/// The path of a search in which noise is found to be absent is that of one that never looked for it.
#[test]
fn without_noise_the_distribution_is_that_of_plain_cma_es() {
    let mut auto = CmaEs::new(vec![1.0; 5], &settings(10, NoiseHandling::Auto), seed());
    let mut none = CmaEs::new(vec![1.0; 5], &settings(10, NoiseHandling::None), seed());
    for _ in 0..50 {
        tell(&mut auto, |x| -sphere(x));
        tell(&mut none, |x| -sphere(x));
    }
    assert_eq!(auto.mean(), none.mean());
    assert!(auto.compares_fitness());
}

#[test]
fn learning_rates_adapt_while_there_is_noise_and_no_longer() {
    let mut search = CmaEs::new(vec![1.0; 10], &settings(20, NoiseHandling::Auto), seed());
    let mut rng = seed().rng();
    for generation in 0..400 {
        let noisy = (50..200).contains(&generation);
        let deviation = if noisy { 1000.0 } else { 0.0 };
        let verdicts: Vec<Verdict> = search
            .ask()
            .iter()
            .map(|c| fit(deviation * normal_pair(&mut rng).0 - sphere(&c.genome.0)))
            .collect();
        search.tell(&Measured::without_gradients(&verdicts)).unwrap();
        let noise = search.summary().noise.unwrap();
        match generation {
            49 => assert_eq!((noise.agreement, noise.mean_rate), (Some(1.0), 1.0)),
            199 => {
                assert!(noise.agreement.unwrap() < 0.2 && noise.mean_rate < 0.3, "{noise:?}");
                assert!(!search.compares_fitness() && search.stop_reason().is_none());
            }
            399 => {
                assert_eq!((noise.agreement, noise.mean_rate), (Some(1.0), 1.0));
                assert!(search.compares_fitness());
            }
            _ => {}
        }
    }
    assert!(sphere(&search.mean().0) < 1e-6, "{}", sphere(&search.mean().0));
}

/// Two measurements that agree on three pairs of four: the population itself averages that away.
#[test]
fn weak_noise_is_measured_but_does_not_slow_the_search_down() {
    let mut search = CmaEs::new(vec![10.0; 20], &settings(60, NoiseHandling::Auto), seed());
    let mut rng = seed().rng();
    for _ in 0..40 {
        let candidates = search.ask();
        assert_eq!(candidates.len(), 65);
        let values: Vec<f64> = candidates.iter().map(|c| c.genome.0[0]).collect();
        let mean = values.iter().sum::<f64>() / 65.0;
        let spread = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 65.0).sqrt();
        let verdicts: Vec<Verdict> =
            values.iter().map(|v| fit(v + 0.6 * spread * normal_pair(&mut rng).0)).collect();
        search.tell(&Measured::without_gradients(&verdicts)).unwrap();
        assert_eq!(search.rates(), (1.0, 1.0));
    }
    let agreement = search.summary().noise.unwrap().agreement.unwrap();
    assert!((0.3..0.9).contains(&agreement), "{agreement}");
}

#[test]
#[expect(clippy::disallowed_macros, reason = "what was measured is shown to whoever wants to see it")]
fn mirrored_candidates_come_in_pairs_and_converge_as_fast() {
    let evaluations = |mirrored| {
        let settings = CmaEsSpec { mirrored, ..settings(10, NoiseHandling::None) };
        let mut counts: Vec<u32> = (1..=21)
            .map(|seed| {
                let mut search = CmaEs::new(vec![1.0; 10], &settings, Seed::new(seed).unwrap());
                let mut generations = 0;
                while sphere(&search.mean().0) > 1e-9 {
                    tell(&mut search, |x| -sphere(x));
                    generations += 1;
                    assert!(generations < 1000);
                }
                generations
            })
            .collect();
        counts.sort_unstable();
        counts[10]
    };
    let (mirrored, plain) = (evaluations(true), evaluations(false));
    println!("{mirrored} generations mirrored, {plain} plain");
    assert!(f64::from(mirrored) < 1.1 * f64::from(plain), "{mirrored} generations, {plain} without mirrors");
    let search =
        CmaEs::new(vec![1.0; 10], &CmaEsSpec { mirrored: true, ..settings(9, NoiseHandling::None) }, seed());
    let candidates = search.ask();
    for pair in candidates.chunks_exact(2) {
        for (a, b) in pair[0].genome.0.iter().zip(&pair[1].genome.0) {
            assert!((a + b - 2.0).abs() < 1e-12);
        }
    }
}

#[test]
fn a_bounded_scaled_and_partly_fixed_search_finds_the_best_point_within() {
    let settings = CmaEsSpec {
        scales: vec![1.0, 1.0, 10.0, 0.1],
        fixed: vec![1],
        lower_bounds: vec![1.0, 0.0, -100.0, 0.25],
        upper_bounds: vec![5.0, 9.0, 100.0, 1.0],
        ..settings(10, NoiseHandling::None)
    };
    let mut search = CmaEs::new(vec![2.0, 3.0, 20.0, 0.5], &settings, seed());
    for _ in 0..200 {
        for candidate in search.ask() {
            let x = candidate.genome.0;
            assert!((1.0..=5.0).contains(&x[0]) && x[1] == 3.0 && x[3] >= 0.25, "{x:?}");
        }
        tell(&mut search, |x| -sphere(x));
    }
    let mean = search.mean().0;
    assert!(
        (mean[0] - 1.0).abs() < 1e-6 && mean[2].abs() < 1e-3 && (mean[3] - 0.25).abs() < 1e-6,
        "{mean:?}"
    );
}

/// The distribution of one search continues in another one of other settings.
#[test]
fn a_search_starts_warm_from_the_distribution_of_another() {
    let ellipsoid = |x: &[f64]| -x.iter().enumerate().map(|(i, x)| 10f64.powi(i as i32) * x * x).sum::<f64>();
    let mut first = CmaEs::new(vec![1.0; 5], &settings(10, NoiseHandling::None), seed());
    for _ in 0..60 {
        tell(&mut first, ellipsoid);
    }
    let distribution = first.distribution();
    let settings = CmaEsSpec {
        step_size: distribution.step_size,
        initial_covariance: distribution.covariance,
        ..settings(20, NoiseHandling::None)
    };
    let second = CmaEs::new(first.mean().0, &settings, seed());
    assert_eq!(second.mean(), first.mean());
    let (one, other) = (first.summary(), second.summary());
    assert_eq!(one.deviation_range, other.deviation_range);
    assert!(other.axis_ratio > 10.0);
    // What is no covariance matrix ends the search at once, with its reason.
    let broken = vec![-1.0; 15];
    let settings = CmaEsSpec { initial_covariance: broken, noise: NoiseHandling::Auto, ..settings };
    let mut broken = CmaEs::new(vec![0.0; 5], &settings, seed());
    assert_eq!(broken.stop_reason().unwrap().criterion, "numerics");
    // Also where it is asked only after a generation, and after a restart.
    let verdicts: Vec<Verdict> = broken.ask().iter().zip(0..).map(|(_, i)| fit(f64::from(i))).collect();
    broken.tell(&Measured::without_gradients(&verdicts)).unwrap();
    assert_eq!(broken.stop_reason().unwrap().criterion, "numerics");
    let restored = CmaEs::restore(vec![0.0; 5], &settings, seed(), &broken.state()).unwrap();
    assert_eq!(restored.stop_reason().unwrap().criterion, "numerics");
}

/// On a slope the step size grows without end.
#[test]
fn no_axis_grows_beyond_the_largest_step_size() {
    for noise in [NoiseHandling::None, NoiseHandling::Lra] {
        let longest = |step_size_max: f64| {
            let settings = CmaEsSpec { step_size_max, ..settings(10, noise) };
            let mut search = CmaEs::new(vec![0.0; 4], &settings, seed());
            for _ in 0..60 {
                tell(&mut search, |x| x[0]);
            }
            search.state.step_size * search.state.axis_range().1
        };
        let most = longest(0.75);
        assert!((0.5..=0.75 * (1.0 + 1e-12)).contains(&most), "{most}");
        assert!(longest(f64::INFINITY) > 10.0);
    }
}

#[test]
fn injected_points_are_candidates_and_a_far_one_is_moved_closer() {
    let mut search = CmaEs::new(vec![0.0; 3], &settings(8, NoiseHandling::None), seed());
    let (near, far) = (Genome(vec![0.25, 0.0, 0.5]), Genome(vec![100.0, 0.0, 0.0]));
    search.inject(&[near.clone(), far]).unwrap();
    let candidates = search.ask();
    assert_eq!(candidates.len(), 8);
    assert_eq!(candidates[6].genome, near);
    // sqrt 3 + 2 * 3 / 5 step sizes of 0.5.
    let expected = 0.5 * (3f64.sqrt() + 1.2);
    assert!((candidates[7].genome.0[0] - expected).abs() < 1e-12, "{:?}", candidates[7]);
    let restored = CmaEs::restore(vec![0.0; 3], &search.settings, seed(), &search.state()).unwrap();
    assert_eq!(restored.ask(), candidates);
    // As the worst they shrink nothing: all weights of their directions are zero.
    search.tell(&Measured::without_gradients(&[5.0, 4.0, 3.0, 2.0, 1.0, 0.0, -1.0, -2.0].map(fit))).unwrap();
    assert!(search.state.injected.is_empty());
    let error = search.inject(&[Genome(vec![1.0])]).unwrap_err().to_string();
    assert!(error.contains("must hold 3 numbers, not 1"), "{error}");
    // What no search can reach would make a state that cannot be read again; a scale may make it of what is small.
    for (scales, far) in [(Vec::new(), 1e308), (vec![1.0, 1e-100, 1.0], 1e50)] {
        let settings = CmaEsSpec { scales, ..settings(8, NoiseHandling::None) };
        let mut search = CmaEs::new(vec![0.0; 3], &settings, seed());
        let before = search.state();
        let error = search.inject(&[Genome(vec![0.0, far, 0.0])]).unwrap_err().to_string();
        assert!(error.contains("must be within +-1e140"), "{error}");
        assert_eq!(search.state(), before);
    }
}

/// Both covariance updates, and the decompositions of matrices that are torn and of those that are not.
#[test]
fn a_search_has_the_same_bits_in_any_vectors() {
    for (dimension, population_size) in [(3, 6), (30, 200), (72, 16)] {
        for noise in [NoiseHandling::None, NoiseHandling::Lra] {
            let run = || {
                let settings = settings(population_size, noise);
                let mut search = CmaEs::new(vec![1.0; dimension], &settings, seed());
                for _ in 0..5 {
                    tell(&mut search, |x| -sphere(x));
                    update::decompose(&mut search.state).unwrap();
                }
                search
            };
            let (wide, narrow) = (run(), hebbian_shared::vectors::narrow(run));
            assert_eq!(wide.state().digest(), narrow.state().digest(), "n = {dimension}, {noise:?}");
            assert_eq!(wide.ask(), narrow.ask());
            assert_ne!(wide.mean().0, vec![1.0; dimension]);
        }
    }
}

/// Another search begins with the distribution that this one has come to.
#[test]
fn a_warm_start_is_the_distribution_as_it_is() {
    let settings =
        CmaEsSpec { noise: NoiseHandling::None, scales: vec![1.0, 2.0, 0.5, 1.0], ..CmaEsSpec::of(8) };
    let mut search = CmaEs::new(vec![0.5, -1.0, 2.0, 0.0], &settings, Seed::new(3).unwrap());
    for _ in 0..30 {
        let value =
            |c: &Candidate| -c.genome.0.iter().zip(1..).map(|(x, i)| f64::from(i) * x * x).sum::<f64>();
        let verdicts: Vec<Verdict> =
            search.ask().iter().map(|c| Verdict::Fit(Fitness::new(value(c)).unwrap())).collect();
        search.tell(&Measured::without_gradients(&verdicts)).unwrap();
    }
    let WarmStart { mean, step_size, covariance } = search.warm_start().unwrap();
    assert_eq!((mean.clone(), step_size), (search.mean(), search.distribution().step_size));
    let settings =
        CmaEsSpec { step_size, initial_covariance: covariance.clone(), scales: Vec::new(), ..settings };
    let warm = CmaEs::new(mean.0.clone(), &settings, Seed::new(4).unwrap());
    assert_eq!(warm.warm_start(), Some(WarmStart { mean, step_size, covariance: covariance.clone() }));
    // In the units of genomes: the variances are those of its candidates.
    let deviations = search.distribution().covariance[0].sqrt() * step_size;
    assert!((covariance[0].sqrt() * step_size - deviations).abs() < 1e-12);
    let second = search.distribution().covariance[4];
    assert!((covariance[4] - 4.0 * second).abs() <= 1e-12 * covariance[4]);
}

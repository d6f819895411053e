//! `EvoGrad`'s estimate is as good as the exact gradient where it steers a whole training: the penalties of a ridge regression.

use hebbian_learning::rule::evograd::{self, Response as _};
use hebbian_shared::estimate::Estimate;
use hebbian_shared::seed::{ChaCha8Rng, Seed, fill_normal, index_below};
use hebbian_tests::golden_families::evograd::Ridge;

const FEATURES: usize = 20;
/// Features that matter; the others are noise to a regression that does not penalise them.
const RELEVANT: usize = 10;
const EXAMPLES: usize = 30;
/// Data sets, each below the seed of its number from 1.
const SETS: u64 = 10;
const ALTERNATIONS: i32 = 2000;
const RATE: f64 = 0.1;
/// Of Adam on the logarithms of the penalties, which stay between the bounds.
const META_RATE: f64 = 0.02;
const BOUNDS: [f64; 2] = [-6.0, 1.5];
/// Sigma and the temperature, as published.
const SCALE: (f64, f64) = (0.001, 0.05);

/// What steers the penalties.
#[derive(Clone, Copy, Debug)]
enum Steering {
    /// Nothing: they stay 1.
    None,
    /// The exact gradient through one step.
    OneStep,
    /// `EvoGrad` with so many copies.
    Copies(usize),
    /// `EvoGrad` with two copies along the clean gradient.
    Directed,
}

pub(crate) fn normal(rng: &mut ChaCha8Rng, count: usize) -> Vec<f64> {
    let mut values = vec![0.0; count];
    fill_normal(rng, &mut values);
    values
}

pub(crate) fn product(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

/// A data set with its truth.
fn drawn(rng: &mut ChaCha8Rng) -> (Ridge, Vec<f64>) {
    let mut truth = normal(rng, FEATURES);
    truth[RELEVANT..].fill(0.0);
    let mut examples = || {
        let rows: Vec<Vec<f64>> = (0..EXAMPLES).map(|_| normal(rng, FEATURES)).collect();
        let noise = normal(rng, EXAMPLES);
        let values = rows.iter().zip(noise).map(|(row, noise)| product(row, &truth) + noise).collect();
        (rows, values)
    };
    let ridge = Ridge { training: examples(), clean: examples(), penalties: vec![1.0; FEATURES] };
    (ridge, truth)
}

/// The excess of the test error after alternate steps of the weights and of the penalties.
fn excess(number: u64, steering: Steering) -> f64 {
    const BETAS: [f64; 2] = [0.9, 0.999];
    let mut rng = Seed::new(number).expect("it is a seed").rng();
    let (mut ridge, truth) = drawn(&mut rng);
    let mut theta = vec![0.0; FEATURES];
    let mut logarithms = [0.0; FEATURES];
    let (mut first, mut second) = ([0.0; FEATURES], [0.0; FEATURES]);
    for step in 1..=ALTERNATIONS {
        let moved: Vec<f64> = theta.iter().zip(ridge.by_weights(&theta)).map(|(t, g)| t - RATE * g).collect();
        let gradient = match steering {
            Steering::None => vec![0.0; FEATURES],
            Steering::OneStep => {
                let mut clean = vec![0.0; FEATURES];
                ridge.clean_gradient(&moved, &mut clean);
                let terms = ridge.penalties.iter().zip(&theta).zip(clean);
                terms.map(|((penalty, t), clean)| -RATE * penalty * t * clean).collect()
            }
            Steering::Copies(copies) => {
                let mut sign = || if index_below(&mut rng, 2) == 0 { 1.0 } else { -1.0 };
                let copies: Vec<Vec<f64>> =
                    (0..copies).map(|_| (0..FEATURES).map(|_| sign()).collect()).collect();
                evograd::estimate(&mut ridge, &theta, &copies, SCALE).gradient
            }
            Steering::Directed => evograd::directed(&mut ridge, &theta, SCALE).gradient,
        };
        theta = moved;
        let corrections = BETAS.map(|beta| 1.0 - beta.powi(step));
        for place in 0..FEATURES {
            first[place] = BETAS[0] * first[place] + (1.0 - BETAS[0]) * gradient[place];
            second[place] = BETAS[1] * second[place] + (1.0 - BETAS[1]) * gradient[place].powi(2);
            let length = (second[place] / corrections[1]).sqrt() + 1e-12;
            let moved = logarithms[place] - META_RATE * (first[place] / corrections[0]) / length;
            logarithms[place] = moved.clamp(BOUNDS[0], BOUNDS[1]);
            ridge.penalties[place] = logarithms[place].exp();
        }
    }
    theta.iter().zip(&truth).map(|(t, truth)| (t - truth).powi(2)).sum()
}

#[test]
fn copies_steer_penalties_as_the_exact_gradient_does() {
    let of = |steering| {
        let found: Vec<f64> = (1..=SETS).map(|number| excess(number, steering)).collect();
        let estimate = Estimate::of(found.iter().copied());
        println!("{steering:?}: {:.3} +- {:.3}", estimate.mean, estimate.standard_error);
        found
    };
    let (fixed, exact) = (of(Steering::None), of(Steering::OneStep));
    let beside = |found: &[f64]| Estimate::of(found.iter().zip(&exact).map(|(x, y)| x - y));
    let gain = beside(&fixed);
    assert!(gain.mean > 3.0 * gain.standard_error, "the exact gradient leads by {gain:?}");
    for steering in [Steering::Copies(2), Steering::Copies(8), Steering::Directed] {
        let behind = beside(&of(steering));
        assert!(behind.mean.abs() < 0.1, "{steering:?} is behind by {behind:?}");
    }
}

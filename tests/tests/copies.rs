//! What estimates by random copies (`EvoGrad`) come to on average: the gradient through one step as long as their effective rate.

use hebbian_learning::rule::evograd::{effective_rate, estimate};
use hebbian_learning::rule::loss::Descended;
use hebbian_learning::rule::sample_weights::response::{Trained, Training};
use hebbian_learning::rule::sample_weights::{WeightFunction, form, meta};
use hebbian_learning::rule::warped_descent::Network;
use hebbian_shared::estimate::Estimate;
use hebbian_shared::seed::{ChaCha8Rng, Seed, index_below};
use hebbian_shared::spec::rule::sample_weights::{Normalise, SampleWeightsSpec};
use hebbian_shared::spec::strategy::WeightsFrom;

use crate::ridge::{normal, product};

/// Sigma and the temperature, as published.
const SCALE: (f64, f64) = (0.001, 0.05);
/// Of the one step: so short that it is no matter how the loss curves.
const RATE: f64 = 1e-6;
/// Updates and their rate after which a network is asked.
const UPDATES: u32 = 60;
const LEARNING_RATE: f64 = 0.2;
/// Of the training labels, that are drawn anew.
const NOISE: f64 = 0.4;
/// How far examples are from the middle of their class.
const SPREAD: f64 = 0.7;

/// Classes, each a point with examples around it.
struct Classes(Vec<Vec<f64>>);

impl Classes {
    /// Inputs and targets of so many examples. A share of the labels is drawn anew.
    fn examples(&self, rng: &mut ChaCha8Rng, count: usize, noise: f64) -> (Vec<f64>, Vec<f64>) {
        let (mut inputs, mut targets) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let class = index_below(rng, self.0.len() as u32) as usize;
            let is_wrong = f64::from(index_below(rng, 1000)) < 1000.0 * noise;
            let label = if is_wrong { index_below(rng, self.0.len() as u32) as usize } else { class };
            let around = normal(rng, self.0[class].len());
            inputs.extend(self.0[class].iter().zip(around).map(|(middle, by)| middle + SPREAD * by));
            targets.extend((0..self.0.len()).map(|output| if output == label { 1.0 } else { -1.0 }));
        }
        (inputs, targets)
    }
}

/// How many copies there are, and whether they come in pairs of opposite ones.
#[derive(Clone, Copy, Debug)]
struct Copies(usize, bool);

impl Copies {
    fn draw(self, rng: &mut ChaCha8Rng, weights: usize) -> Vec<Vec<f64>> {
        let mut one = || (0..weights).map(|_| if index_below(rng, 2) == 0 { 1.0 } else { -1.0 }).collect();
        let Self(count, is_antithetic) = self;
        let drawn: Vec<Vec<f64>> =
            (0..if is_antithetic { count / 2 } else { count }).map(|_| one()).collect();
        let opposite = drawn.iter().map(|copy| copy.iter().map(|x| -x).collect());
        let opposite: Vec<Vec<f64>> = if is_antithetic { opposite.collect() } else { Vec::new() };
        drawn.into_iter().chain(opposite).collect()
    }
}

/// The mean of so many estimates beside the exact gradient: the cosine between them, and how long the estimates are along the exact one.
fn beside_exact(
    layers: &[usize],
    examples: usize,
    copies: Copies,
    estimates: u32,
    seed: u64,
) -> (f64, Estimate) {
    let mut rng = Seed::new(seed).expect("in range").rng();
    let form = form(&SampleWeightsSpec::default(), layers);
    let classes = Classes((0..layers[layers.len() - 1]).map(|_| normal(&mut rng, layers[0])).collect());
    let mut weights = normal(&mut rng, form.weight_count());
    for (layer, sides) in layers.windows(2).enumerate() {
        let scale = (2.0 / (sides[0] + sides[1]) as f64).sqrt();
        weights[form.weights(layer)].iter_mut().for_each(|weight| *weight *= scale);
    }
    let mut network = Network::<f64>::new(form);
    let mut gradient = vec![0.0; weights.len()];
    for _ in 0..UPDATES {
        let (inputs, targets) = classes.examples(&mut rng, examples, NOISE);
        network.forward(&weights, &[], &inputs);
        network.measure(Descended::Logistic, &targets);
        network.backward(&weights, &[], &mut gradient, None);
        weights.iter_mut().zip(&gradient).for_each(|(weight, slope)| *weight -= LEARNING_RATE * slope);
    }
    let training = classes.examples(&mut rng, examples, NOISE);
    let clean = classes.examples(&mut rng, examples, 0.0);
    let (training, clean) = ((&training.0[..], &training.1[..]), (&clean.0[..], &clean.1[..]));
    let theta = normal(&mut rng, 25);
    let function = WeightFunction {
        input: theta[..8].to_vec(),
        bias: theta[8..16].to_vec(),
        output: theta[16..24].to_vec(),
        offset: theta[24],
    };
    let step = meta::step(&mut network, &weights, &function, (training, clean), (RATE, Normalise::Sum));
    let exact: Vec<f64> =
        step.gated(&vec![true; layers.len() - 1]).iter().map(|slope| slope / RATE).collect();
    let asked =
        Training { function: &function, normalise: Normalise::Sum, progress: None, examples: training };
    let mut trained =
        Trained::new(&mut network, asked, (clean, Descended::Logistic), (WeightsFrom::Base, &weights));
    let per_step = 1.0 / effective_rate(SCALE, copies.0, copies.1);
    let (mut sum, mut lengths) = (vec![0.0; exact.len()], Vec::new());
    for _ in 0..estimates {
        let found = estimate(&mut trained, &weights, &copies.draw(&mut rng, weights.len()), SCALE).gradient;
        sum.iter_mut().zip(&found).for_each(|(sum, slope)| *sum += per_step * slope);
        lengths.push(per_step * product(&found, &exact) / product(&exact, &exact));
    }
    let cosine = product(&sum, &exact) / (product(&sum, &sum) * product(&exact, &exact)).sqrt();
    (cosine, Estimate::of(lengths.iter().copied()))
}

/// A single estimate is many times as long as what it estimates, so this takes very many of them, of a small network.
#[test]
fn the_mean_of_estimates_is_as_long_as_the_effective_rate_says() {
    for copies in [Copies(2, false), Copies(5, false), Copies(2, true)] {
        let (cosine, length) = beside_exact(&[3, 4, 3], 6, copies, 100_000, 1);
        println!("{copies:?}: cosine {cosine:.5}, length {:.4} +- {:.4}", length.mean, length.standard_error);
        assert!(cosine > 0.99 && (length.mean - 1.0).abs() < 0.05);
    }
}

/// The direction is found much sooner, in most networks: the examples' gradients are alike, so chance errs in the length of the slope more
/// than in its direction. The networks are those of the experiments, with 6,570 weights.
#[test]
fn a_hundred_estimates_by_two_copies_have_the_direction_in_most_networks() {
    let found = (1..=10).map(|network| {
        let (cosine, length) = beside_exact(&[64, 64, 32, 10], 25, Copies(2, false), 100, network);
        println!(
            "network {network}: cosine {cosine:.4}, length {:.2} +- {:.2}",
            length.mean, length.standard_error
        );
        cosine
    });
    let close = found.filter(|&cosine| cosine > 0.99).count();
    assert!(close >= 8, "{close} of 10");
}

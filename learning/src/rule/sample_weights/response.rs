//! What `EvoGrad` asks of sample weights: the weighted loss of a batch, how it depends on the weight function, and a clean loss.

use hebbian_shared::seed::{ChaCha8Rng, Purpose, Seed, index_below};
use hebbian_shared::spec::rule::sample_weights::Normalise;
use hebbian_shared::spec::strategy::{Directions, EvogradSpec, WeightsFrom};

use super::weight::{WeightFunction, normalise, normalised_slopes};
use crate::rule::evograd::{self, Response};
use crate::rule::loss::Descended;
use crate::rule::number::Number;
use crate::rule::warped_descent::Network;

/// Inputs and targets.
type Examples<'a, I> = (&'a [I], &'a [I]);

/// A batch, and what says how much its examples count.
#[derive(Clone, Copy, Debug)]
pub struct Training<'a, I> {
    /// The weight function.
    pub function: &'a WeightFunction<f64>,
    /// What weights are divided by.
    pub normalise: Normalise,
    /// The progress, if the function is given it.
    pub progress: Option<f64>,
    /// The batch.
    pub examples: Examples<'a, I>,
}

/// The losses of a network that trains on a batch.
pub struct Trained<'a, I> {
    network: &'a mut Network<f64>,
    training: Training<'a, I>,
    clean: (Examples<'a, I>, Descended),
    /// What examples count for all copies, with its slopes.
    held: Option<(Vec<f64>, Vec<f64>)>,
    losses: Vec<f64>,
    unused: Vec<f64>,
}

impl<'a, I: Number> Trained<'a, I> {
    /// What examples count comes from the losses of the copies or of the network that is copied, whose weights are `base`.
    pub fn new(
        network: &'a mut Network<f64>,
        training: Training<'a, I>,
        clean: (Examples<'a, I>, Descended),
        (from, base): (WeightsFrom, &[f64]),
    ) -> Self {
        let unused = vec![0.0; base.len()];
        let mut trained = Self { network, training, clean, held: None, losses: Vec::new(), unused };
        if from == WeightsFrom::Base {
            trained.measure(base);
            trained.held = Some(trained.counted());
        }
        trained
    }

    fn measure(&mut self, weights: &[f64]) {
        let (inputs, targets) = self.training.examples;
        self.network.forward(weights, &[], inputs);
        self.network.measure_each(Descended::Logistic, targets, &mut self.losses);
    }

    /// What the examples of the last losses count, and the slopes of that by the function.
    fn counted(&self) -> (Vec<f64>, Vec<f64>) {
        let Training { function, normalise: how, progress, .. } = self.training;
        let weights: Vec<f64> = self.losses.iter().map(|&loss| function.weight(loss, progress)).collect();
        let slopes: Vec<f64> = self.losses.iter().flat_map(|&loss| function.slopes(loss, progress)).collect();
        let slopes = normalised_slopes(how, &weights, &slopes);
        let mut shares = weights;
        normalise(how, &mut shares);
        (shares, slopes)
    }
}

impl<I: Number> Response for Trained<'_, I> {
    fn training_loss(&mut self, weights: &[f64], by_lambda: &mut [f64]) -> f64 {
        self.measure(weights);
        let own = if self.held.is_none() { Some(self.counted()) } else { None };
        let Some((shares, slopes)) = self.held.as_ref().or(own.as_ref()) else { return f64::NAN };
        by_lambda.fill(0.0);
        for (loss, slopes) in self.losses.iter().zip(slopes.chunks_exact(by_lambda.len())) {
            by_lambda.iter_mut().zip(slopes).for_each(|(sum, slope)| *sum += loss * slope);
        }
        self.losses.iter().zip(shares).map(|(loss, share)| loss * share).sum()
    }

    fn clean_gradient(&mut self, weights: &[f64], gradient: &mut [f64]) {
        let ((inputs, targets), measured) = self.clean;
        self.network.forward(weights, &[], inputs);
        self.network.measure(measured, targets);
        self.network.backward(weights, &[], &mut self.unused, None);
        gradient.copy_from_slice(&self.unused);
    }

    fn dimension(&self) -> usize {
        self.training.function.parameters()
    }
}

/// The slope of the clean loss by the function, as these settings estimate it, at a network's weights. Copies are drawn below the seed.
pub(super) fn estimate<I: Number>(
    network: &mut Network<f64>,
    weights: &[f64],
    training: Training<'_, I>,
    clean: (Examples<'_, I>, Descended),
    (settings, seed): (&EvogradSpec, Seed),
) -> Vec<f64> {
    let EvogradSpec { sigma, temperature, directions, weights_from, .. } = *settings;
    let mut response = Trained::new(network, training, clean, (weights_from, weights));
    let drawn =
        |copy: u32| signs(&mut seed.derive(Purpose::Perturbation, u64::from(copy)).rng(), weights.len());
    let copies: Vec<Vec<f64>> = match directions {
        Directions::Gradient => {
            return evograd::directed(&mut response, weights, (sigma, temperature)).gradient;
        }
        Directions::Signs => (0..settings.copies).map(drawn).collect(),
        Directions::Antithetic => {
            let pair = |pair| {
                let up = drawn(pair);
                let down = up.iter().map(|x| -x).collect();
                [up, down]
            };
            (0..settings.copies / 2).flat_map(pair).collect()
        }
    };
    evograd::estimate(&mut response, weights, &copies, (sigma, temperature)).gradient
}

/// The length of the one step whose slope they estimate.
pub(super) fn effective_rate(settings: &EvogradSpec) -> f64 {
    let scale = (settings.sigma, settings.temperature);
    let is_antithetic = settings.directions != Directions::Signs;
    evograd::effective_rate(scale, settings.copies() as usize, is_antithetic)
}

/// Up or down in each of so many weights.
fn signs(rng: &mut ChaCha8Rng, count: usize) -> Vec<f64> {
    (0..count).map(|_| if index_below(rng, 2) == 0 { 1.0 } else { -1.0 }).collect()
}

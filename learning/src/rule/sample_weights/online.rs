//! A weight function that learns within a task, from the task's clean set (Shu et al. 2019; by a part of the layers: Xu et al. 2021; by
//! copies: Bohdal et al. 2021).
//!
//! An update is a virtual one by the function as it is, a step of the function (Adam) along the gradient of the clean loss after it, and
//! the update itself by the function as it is then, on the same batch. A function whose numbers are zeros has no gradient, so what the
//! genome says is added to a start that every task draws. These rules are baselines: their steps allocate.

use hebbian_shared::genome::{Genome, GenomeLayout};
use hebbian_shared::seed::{ChaCha8Rng, Purpose, Seed, index_below, uniform};
use hebbian_shared::spec::rule::sample_weights::{MetaGradient, Normalise, SampleWeightsSpec};
use hebbian_shared::spec::strategy::EvogradSpec;

use super::gates::{self, Expected, Gate, Sampler};
use super::meta::{self, MetaStep};
use super::response::{self, Training};
use super::weight::{WeightFunction, normalise};
use super::{Network, form, start};
use crate::rule::loss::Descended;
use crate::rule::number::all_finite;
use crate::rule::{ExampleBatch, Networks, Rule, Shape};

/// Of Adam, as is customary.
const BETAS: [f32; 2] = [0.9, 0.999];
const EPSILON: f32 = 1e-8;
/// `FaMUS` as published: what the number of open gates and the agreement of gradients weigh, the softmax's temperature, the samplers'
/// units, and their descent.
const PENALTY: f32 = 0.1;
const TEMPERATURE: f32 = 5.0;
const UNITS: usize = 128;
const SAMPLER_RATE: f32 = 0.1;
const SAMPLER_MOMENTUM: f32 = 0.9;
/// Gates below the last layer that should be open.
const EXPECTED: f32 = 1.0;

/// Inputs and targets.
type Examples<'a> = (&'a [f32], &'a [f32]);

/// A rule whose weight function learns.
pub(super) struct OnlineLearner {
    options: SampleWeightsSpec,
    follows: MetaGradient,
    layout: GenomeLayout,
    /// What the genome adds to the start.
    from: WeightFunction<f32>,
    learning_rate: f32,
    meta_rate: f32,
    networks: Networks<Learned>,
}

/// A network with its weights, and a weight function with what Adam knows of it.
struct Learned {
    network: Network<f32>,
    /// The network that copies of `EvoGrad` are tried in.
    copied: Option<Network<f64>>,
    weights: Vec<f32>,
    gradient: Vec<f32>,
    losses: Vec<f32>,
    shares: Vec<f32>,
    function: WeightFunction<f32>,
    moments: [Vec<f32>; 2],
    /// Of each layer but the last, with their velocities.
    samplers: Vec<[Sampler<f32>; 2]>,
    clean: (Vec<f32>, Vec<f32>),
    updates: u32,
    seed: Seed,
}

impl OnlineLearner {
    pub(super) fn new(options: SampleWeightsSpec, follows: MetaGradient, layout: GenomeLayout) -> Self {
        Self {
            options,
            follows,
            layout,
            from: WeightFunction::default(),
            learning_rate: 0.0,
            meta_rate: 0.0,
            networks: Networks::new(),
        }
    }
}

/// Uniform in plus or minus a bound.
fn between(rng: &mut ChaCha8Rng, bound: f64) -> f32 {
    (bound * (2.0 * uniform(rng) - 1.0)) as f32
}

/// A sampler of a layer with so many outputs, drawn as is customary for layers, and the velocity 0.
fn sampler(rng: &mut ChaCha8Rng, outputs: usize) -> [Sampler<f32>; 2] {
    let [first, second] = [outputs, UNITS].map(|inputs| (inputs as f64).sqrt().recip());
    let mut draw = |count: usize, bound: f64| (0..count).map(|_| between(rng, bound)).collect::<Vec<f32>>();
    let drawn = Sampler {
        input: draw(UNITS * outputs, first),
        bias: draw(UNITS, first),
        slope: 0.25,
        output: draw(2 * UNITS, second),
        offset: [draw(1, second)[0], draw(1, second)[0]],
    };
    let mut velocity = drawn.clone();
    velocity.numbers_mut().for_each(|number| *number = 0.0);
    [drawn, velocity]
}

/// A Gumbel variate.
fn gumbel(rng: &mut ChaCha8Rng) -> f32 {
    let u = uniform(rng).max(f64::MIN_POSITIVE);
    -libm::log(-libm::log(u).min(-f64::MIN_POSITIVE)) as f32
}

impl Learned {
    /// The gradient of the clean loss by the weight function, as the gates have it, and with `FaMUS`'s agreement.
    fn gated(&mut self, follows: MetaGradient, found: &MetaStep<f32>, rate: f32) -> Vec<f32> {
        let form = self.network.form();
        let depth = form.layers.len() - 1;
        let only = |open: usize| found.gated(&(0..depth).map(|layer| layer == open).collect::<Vec<_>>());
        let mut rng = self.seed.derive(Purpose::Gate, u64::from(self.updates)).rng();
        match follows {
            // Copies estimate the exact one.
            MetaGradient::All
            | MetaGradient::Evograd2
            | MetaGradient::Evograd16
            | MetaGradient::EvogradDirected => found.gated(&vec![true; depth]),
            MetaGradient::Last => only(depth - 1),
            MetaGradient::Random => only(index_below(&mut rng, depth as u32) as usize),
            MetaGradient::Learned => {
                let pooled: Vec<Vec<f32>> =
                    (0..depth - 1).map(|layer| gates::pooled(form, &found.gradient, layer)).collect();
                let gate = |([sampler, _], pooled): (&[Sampler<f32>; 2], &Vec<f32>)| {
                    let gumbel = [gumbel(&mut rng), gumbel(&mut rng)];
                    sampler.gate(pooled, gumbel, TEMPERATURE)
                };
                let said: Vec<Gate<f32>> = self.samplers.iter().zip(&pooled).map(gate).collect();
                let open: Vec<bool> = said.iter().map(|gate| gate.is_open).chain([true]).collect();
                let mut gradient = found.gated(&open);
                let (_, agreement) = gates::agreement(form, found);
                gradient.iter_mut().zip(agreement).for_each(|(sum, slope)| *sum += PENALTY * slope);
                let expected = Expected { gates: EXPECTED, penalty: PENALTY, temperature: TEMPERATURE };
                let by_on = gates::gate_gradients(form, found, &said, rate, expected);
                for (([sampler, velocity], pooled), by_on) in self.samplers.iter_mut().zip(&pooled).zip(by_on)
                {
                    let mut slopes = sampler.slopes(pooled, by_on);
                    let moved = sampler.numbers_mut().zip(velocity.numbers_mut()).zip(slopes.numbers_mut());
                    for ((number, velocity), slope) in moved {
                        *velocity = SAMPLER_MOMENTUM * *velocity + *slope;
                        *number -= SAMPLER_RATE * *velocity;
                    }
                }
                gradient
            }
        }
    }

    /// The same as `EvoGrad` estimates it: in f64, as copies differ by little.
    fn estimated(
        &mut self,
        settings: &EvogradSpec,
        (batch, clean): (Examples<'_>, Examples<'_>),
        (rate, normalise): (f32, Normalise),
    ) -> Vec<f32> {
        let weights: Vec<f64> = self.weights.iter().copied().map(f64::from).collect();
        let function = self.function.widened();
        let form = self.network.form();
        let network = self.copied.get_or_insert_with(|| Network::new(form.clone()));
        let training = Training { function: &function, normalise, progress: None, examples: batch };
        let clean = (clean, Descended::Logistic);
        let seed = self.seed.derive(Purpose::Perturbation, u64::from(self.updates));
        let scale = f64::from(rate) / response::effective_rate(settings);
        let found = response::estimate(network, &weights, training, clean, (settings, seed));
        found.into_iter().map(|slope| (scale * slope) as f32).collect()
    }

    /// A step of the weight function.
    fn learn(&mut self, gradient: &[f32], rate: f32) {
        let Self { function, moments: [first, second], updates, .. } = self;
        let corrections = BETAS.map(|beta| 1.0 - libm::powf(beta, (*updates + 1) as f32));
        let numbers = function.numbers_mut().zip(gradient).zip(first.iter_mut().zip(second));
        for ((number, &slope), (first, second)) in numbers {
            *first = BETAS[0] * *first + (1.0 - BETAS[0]) * slope;
            *second = BETAS[1] * *second + (1.0 - BETAS[1]) * slope * slope;
            let length = (*second / corrections[1]).sqrt() + EPSILON;
            *number -= rate * (*first / corrections[0]) / length;
        }
    }
}

impl Rule for OnlineLearner {
    fn load(&mut self, genome: &Genome) -> bool {
        let rate = self.layout.parameter("learning_rate", genome);
        self.learning_rate = rate.unwrap_or(self.options.learning_rate) as f32;
        let Some(meta_rate) = self.layout.parameter("meta_learning_rate", genome) else { return false };
        self.meta_rate = meta_rate as f32;
        self.from.read(&self.layout, genome)
    }

    fn start(&mut self, shape: &Shape, seed: Seed) {
        let options = self.options;
        let at = self.networks.select(shape, || {
            let form = form(&options, &shape.layers);
            Learned {
                gradient: vec![0.0; form.weight_count()],
                network: Network::new(form),
                copied: None,
                weights: Vec::new(),
                losses: Vec::new(),
                shares: Vec::new(),
                function: WeightFunction::default(),
                moments: [Vec::new(), Vec::new()],
                samplers: Vec::new(),
                clean: (Vec::new(), Vec::new()),
                updates: 0,
                seed,
            }
        });
        start(at.network.form(), &[], seed, &mut at.weights);
        at.function.clone_from(&self.from);
        let (units, numbers) = (self.from.output.len(), self.from.parameters());
        let mut rng = seed.derive(Purpose::WeightFunction, 0).rng();
        for (place, number) in at.function.numbers_mut().enumerate() {
            // As layers with one input and with as many as there are units are drawn customarily.
            let inputs = if place < 2 * units { 1.0 } else { units as f64 };
            *number += between(&mut rng, inputs.sqrt().recip());
        }
        for moments in &mut at.moments {
            moments.clear();
            moments.resize(numbers, 0.0);
        }
        at.samplers.clear();
        if self.follows == MetaGradient::Learned {
            let below = &shape.layers[1..shape.layers.len() - 1];
            at.samplers.extend(below.iter().map(|&outputs| sampler(&mut rng, outputs)));
        }
        at.clean.0.clear();
        at.clean.1.clear();
        (at.updates, at.seed) = (0, seed);
    }

    fn show_clean_set(&mut self, clean: &ExampleBatch<'_>) {
        let (inputs, targets) = &mut self.networks.current_mut().clean;
        inputs.extend_from_slice(clean.inputs);
        targets.extend_from_slice(clean.targets);
    }

    fn update(&mut self, batch: &ExampleBatch<'_>) {
        let (options, follows, rate, meta_rate) =
            (self.options, self.follows, self.learning_rate, self.meta_rate);
        let at = self.networks.current_mut();
        if !at.clean.0.is_empty() {
            let clean = std::mem::take(&mut at.clean);
            let examples = ((batch.inputs, batch.targets), (&clean.0[..], &clean.1[..]));
            let gradient = if let Some(settings) = follows.evograd() {
                at.estimated(&settings, examples, (rate, options.normalise))
            } else {
                let Learned { network, weights, function, .. } = at;
                let found = hebbian_shared::vectors::arch().dispatch(
                    #[inline(always)]
                    || meta::step(network, weights, function, examples, (rate, options.normalise)),
                );
                at.gated(follows, &found, rate)
            };
            at.clean = clean;
            at.learn(&gradient, meta_rate);
        }
        at.updates += 1;
        let Learned { network, weights, gradient, losses, shares, function, .. } = at;
        hebbian_shared::vectors::arch().dispatch(
            #[inline(always)]
            || {
                network.forward(weights, &[], batch.inputs);
                network.measure_each(Descended::Logistic, batch.targets, losses);
                shares.clear();
                shares.extend(losses.iter().map(|&loss| function.weight(loss, None)));
                normalise(options.normalise, shares);
                network.weigh(shares);
                network.backward(weights, &[], gradient, None);
                for (weight, slope) in weights.iter_mut().zip(gradient.iter()) {
                    *weight -= rate * slope;
                }
            },
        );
    }

    fn predict(&mut self, inputs: &[f32], _: usize, predictions: &mut [f32]) {
        let Learned { network, weights, .. } = self.networks.current_mut();
        hebbian_shared::vectors::arch().dispatch(
            #[inline(always)]
            || network.forward(weights, &[], inputs),
        );
        predictions.copy_from_slice(network.outputs());
    }

    fn is_finite(&self) -> bool {
        all_finite(&self.networks.current().weights)
    }
}

#[cfg(test)]
mod tests;

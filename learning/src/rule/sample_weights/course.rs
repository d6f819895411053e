//! The gradient of a weight function through trainings, exact or by an estimate.
//!
//! An update is `theta' = theta - rate sum_i v_i(loss_i, phi) g_i(theta)`, with `g_i` the gradient of example i's loss. Let `lambda` be the
//! gradient by theta' and `a_i = lambda . g_i`, the slope of loss i along lambda. The part of phi is `-rate sum_i a_i d v_i / d phi`. The
//! gradient by theta is lambda minus rate times the slope of the update's gradient along lambda, with each `v_j` moving by
//! `sum_i a_i d v_i / d loss_j`. One pass with [`Dual`] numbers gives all three.

use hebbian_shared::genome::{Genome, GenomeLayout};
use hebbian_shared::seed::{Purpose, Seed};
use hebbian_shared::spec::rule::sample_weights::{Normalise, SampleWeightsSpec, WeightInputs};
use hebbian_shared::spec::strategy::{Estimation, Estimator};

use super::response::{self, Training};
use super::weight::{WeightFunction, normalise, normalised_slopes};
use super::{Network, form, start};
use crate::rule::loss::Descended;
use crate::rule::number::{Dual, Number, all_finite};
use crate::rule::{Differentiable, ExampleBatch, Lesson, Networks, Rule, Shape};

/// A rule in f64 that keeps the course of its weights.
pub(super) struct Course {
    options: SampleWeightsSpec,
    estimation: Estimation,
    layout: GenomeLayout,
    function: WeightFunction<f64>,
    learning_rate: f64,
    networks: Networks<Travelled>,
    is_recorded: bool,
}

/// A network with its weights and what is needed to walk back.
struct Travelled {
    network: Network<f64>,
    duals: Network<Dual<f64>>,
    weights: Vec<f64>,
    gradient: Vec<f64>,
    losses: Vec<f64>,
    updates: u32,
    seed: Seed,
    /// Weights before each update.
    course: Vec<f64>,
}

/// What an update was: its weights before, the progress, and what counted how much.
struct Update<'a> {
    weights: &'a [f64],
    progress: Option<f64>,
    batch: ExampleBatch<'a>,
}

impl Course {
    pub(super) fn new(options: SampleWeightsSpec, estimation: Estimation, layout: GenomeLayout) -> Self {
        Self {
            options,
            estimation,
            layout,
            function: WeightFunction::default(),
            learning_rate: 0.0,
            networks: Networks::new(),
            is_recorded: false,
        }
    }
}

impl Rule for Course {
    fn load(&mut self, genome: &Genome) -> bool {
        let rate = self.layout.each_parameter("learning_rate", genome).and_then(|mut rate| rate.next());
        self.learning_rate = rate.unwrap_or(self.options.learning_rate);
        self.function.read(&self.layout, genome)
    }

    fn start(&mut self, shape: &Shape, seed: Seed) {
        let options = self.options;
        let at = self.networks.select(shape, || {
            let form = form(&options, &shape.layers);
            Travelled {
                gradient: vec![0.0; form.weight_count()],
                network: Network::new(form.clone()),
                duals: Network::new(form),
                weights: Vec::new(),
                losses: Vec::new(),
                updates: 0,
                seed,
                course: Vec::new(),
            }
        });
        start(at.network.form(), &[], seed, &mut at.weights);
        at.course.clear();
        (at.updates, at.seed) = (0, seed);
    }

    fn update(&mut self, batch: &ExampleBatch<'_>) {
        let at = self.networks.current_mut();
        if self.is_recorded {
            at.course.extend_from_slice(&at.weights);
        }
        let progress = progress(&self.options, at.updates);
        at.network.forward(&at.weights, &[], batch.inputs);
        at.network.measure_each(Descended::Logistic, batch.targets, &mut at.losses);
        let mut shares: Vec<f64> =
            at.losses.iter().map(|&loss| self.function.weight(loss, progress)).collect();
        normalise(self.options.normalise, &mut shares);
        at.network.weigh(&shares);
        at.network.backward(&at.weights, &[], &mut at.gradient, None);
        add(&mut at.weights, -self.learning_rate, &at.gradient);
        at.updates += 1;
    }

    fn predict(&mut self, inputs: &[f32], _: usize, predictions: &mut [f32]) {
        let at = self.networks.current_mut();
        at.network.forward(&at.weights, &[], inputs);
        for (prediction, output) in predictions.iter_mut().zip(at.network.outputs()) {
            *prediction = *output as f32;
        }
    }

    fn is_finite(&self) -> bool {
        all_finite(&self.networks.current().weights)
    }
}

impl Travelled {
    /// The loss of a batch at some weights, with its gradient.
    fn measure(&mut self, weights: &[f64], batch: &ExampleBatch<'_>, descended: Descended) -> f64 {
        self.network.forward(weights, &[], batch.inputs);
        let loss = self.network.measure(descended, batch.targets);
        self.network.backward(weights, &[], &mut self.gradient, None);
        loss
    }

    /// Takes an update back: `lambda` becomes the gradient by the weights before it. Adds the part of the function, and then that of
    /// the logarithm of the rate, to `sum`.
    fn undo(
        &mut self,
        (function, how, rate): (&WeightFunction<f64>, Normalise, f64),
        update: &Update<'_>,
        lambda: &mut [f64],
        sum: &mut [f64],
    ) {
        let progress = update.progress;
        let along: Vec<Dual<f64>> =
            update.weights.iter().zip(&*lambda).map(|(&x, &by)| Dual::new(x, by)).collect();
        let mut losses = Vec::new();
        self.duals.forward(&along, &[], update.batch.inputs);
        self.duals.measure_each(Descended::Logistic, update.batch.targets, &mut losses);
        let weights: Vec<f64> = losses.iter().map(|loss| function.weight(loss.number, progress)).collect();
        let mut shares = weights.clone();
        normalise(how, &mut shares);
        let slopes: Vec<f64> =
            losses.iter().flat_map(|loss| function.slopes(loss.number, progress)).collect();
        let slopes = normalised_slopes(how, &weights, &slopes);
        for (loss, slopes) in losses.iter().zip(slopes.chunks_exact(function.parameters())) {
            add(sum, -rate * loss.slope, slopes);
        }
        // What the network's weights change of the shares, by way of the losses.
        let total: f64 = weights.iter().sum();
        let mean: f64 = losses.iter().zip(&shares).map(|(loss, share)| loss.slope * share).sum();
        let of_share = |(loss, &share): (&Dual<f64>, &f64)| {
            let by_loss = function.slope_by_loss(loss.number, progress);
            let slope = match how {
                Normalise::Mean => by_loss * loss.slope / losses.len() as f64,
                Normalise::Sum if total == 0.0 => by_loss * loss.slope,
                Normalise::Sum => by_loss * (loss.slope - mean) / total,
            };
            Dual::new(share, slope)
        };
        let moving: Vec<Dual<f64>> = losses.iter().zip(&shares).map(of_share).collect();
        let mut gradient = vec![Dual::of(0.0); update.weights.len()];
        self.duals.weigh(&moving);
        self.duals.backward(&along, &[], &mut gradient, None);
        if let Some(of_rate) = sum.get_mut(function.parameters()) {
            *of_rate -= rate * lambda.iter().zip(&gradient).map(|(by, at)| by * at.number).sum::<f64>();
        }
        for (lambda, gradient) in lambda.iter_mut().zip(&gradient) {
            *lambda -= rate * gradient.slope;
        }
    }
}

/// `sum += factor * values`, as far as both go.
fn add(sum: &mut [f64], factor: f64, values: &[f64]) {
    for (sum, value) in sum.iter_mut().zip(values) {
        *sum += factor * value;
    }
}

impl Differentiable for Course {
    fn record(&mut self, updates: u32) {
        self.is_recorded = updates > 0;
    }

    fn walk_back(&mut self, lesson: &mut dyn Lesson, gradient: &mut [f64]) -> Option<f64> {
        let at = self.networks.current_mut();
        let (course, last) = (std::mem::take(&mut at.course), std::mem::take(&mut at.weights));
        let total = self.walk(&course, &last, lesson, gradient);
        let at = self.networks.current_mut();
        (at.course, at.weights) = (course, last);
        total
    }
}

impl Course {
    /// Walks back along weights before each update and the last ones.
    fn walk(
        &mut self,
        course: &[f64],
        last: &[f64],
        lesson: &mut dyn Lesson,
        gradient: &mut [f64],
    ) -> Option<f64> {
        let (options, rate, settings) = (self.options, self.learning_rate, self.estimation.evograd);
        let function = &self.function;
        let measured: Descended = lesson.objective().into();
        let at = self.networks.current_mut();
        let updates = course.len() / last.len();
        let share = 1.0 / updates.max(1) as f64;
        let estimator = self.estimation.estimator;
        let (mut lambda, mut total) = (vec![0.0; last.len()], 0.0);
        for done in (0..=updates).rev() {
            if lesson.is_interrupted() {
                return None;
            }
            let weight = lesson.query_weight(done as u32);
            let is_one_step = estimator == Estimator::OneStep && done > 0;
            if weight > 0.0 || is_one_step {
                let weights = course.chunks_exact(last.len()).nth(done).unwrap_or(last);
                let loss = at.measure(weights, &lesson.query(done as u32), measured);
                total += if weight > 0.0 { weight * loss } else { 0.0 };
                if is_one_step {
                    // The weights before the last update are constants.
                    lambda.fill(0.0);
                }
                add(&mut lambda, if is_one_step { share } else { weight }, &at.gradient);
            }
            let Some(before) = done.checked_sub(1) else { break };
            // A lesson lends them only until it is asked for others.
            let query = lesson.query(done as u32);
            let clean = (query.inputs.to_vec(), query.targets.to_vec());
            let support_weight = lesson.support_weight(before as u32);
            let batch = lesson.support(before as u32);
            let weights = &course[before * last.len()..done * last.len()];
            let update = Update { weights, progress: progress(&options, before as u32), batch };
            if estimator == Estimator::Evograd {
                let seed = at.seed.derive(Purpose::Perturbation, before as u64);
                let training = Training {
                    function,
                    normalise: options.normalise,
                    progress: update.progress,
                    examples: (update.batch.inputs, update.batch.targets),
                };
                let clean = ((&clean.0[..], &clean.1[..]), measured);
                let found = response::estimate(&mut at.network, weights, training, clean, (&settings, seed));
                add(gradient, share * rate / response::effective_rate(&settings), &found);
            } else {
                at.undo((function, options.normalise, rate), &update, &mut lambda, gradient);
            }
            if support_weight > 0.0 {
                total += support_weight * at.measure(weights, &update.batch, measured);
                add(&mut lambda, support_weight, &at.gradient);
            }
        }
        Some(total)
    }
}

/// The share of the horizon's updates that have been made, if the function is given it.
fn progress(options: &SampleWeightsSpec, updates: u32) -> Option<f64> {
    match options.inputs {
        WeightInputs::Loss => None,
        WeightInputs::LossAndProgress => Some((f64::from(updates) / f64::from(options.horizon)).min(1.0)),
    }
}

//! Sample weights (Shu et al. 2019, Xu et al. 2021): a perceptron descends the logistic loss, and a small
//! function says of each example, by its loss and how far training is, how much it counts. The bits do not depend on the kind of CPU.
#![expect(clippy::inline_always, reason = "kernels must be inlined into the function that enables AVX")]

use hebbian_shared::genome::{Genome, GenomeLayout};
use hebbian_shared::seed::{Purpose, Seed, permutation};
use hebbian_shared::spec::RuleLearning;
use hebbian_shared::spec::rule::gradient_descent::Loss;
use hebbian_shared::spec::rule::sample_weights::{Normalise, SampleWeightsSpec, WeightForm, WeightInputs};
use hebbian_shared::spec::rule::warped_descent::{Warp, WarpedDescentSpec, WeightStart};
use hebbian_shared::spec::strategy::Estimation;

use super::loss::Descended;
use super::number::all_finite;
use super::warped_descent::{Form, Network, start};
use super::{Ablation, Companion, Differentiable, ExampleBatch, Meaning, Networks, Rule, RuleFamily, Shape};
use weighing::Weighing;
pub use weight::{WeightFunction, normalise, normalised_slopes};

mod companions;
mod course;
pub mod gates;
pub mod meta;
mod online;
pub mod response;
mod weighing;
mod weight;

impl RuleFamily for SampleWeightsSpec {
    fn ablations(&self, problem: &RuleLearning) -> Vec<Ablation> {
        // An example that is alone counts 1 of 1, whatever its weight.
        let is_alone = problem.tasks.batch_size == 1;
        if self.online.is_some() || is_alone && self.normalise == Normalise::Sum {
            return Vec::new();
        }
        let is_told = self.inputs == WeightInputs::LossAndProgress && self.form != WeightForm::SmallLoss;
        let all = [
            (Ablation::ConstantWeights, true),
            (Ablation::ShuffledWeights, !is_alone),
            (Ablation::NoProgress, is_told),
            (Ablation::NoLoss, !is_alone),
        ];
        all.into_iter().filter(|&(_, can)| can).map(|(ablation, _)| ablation).collect()
    }

    fn canonical(&self) -> &'static [&'static str] {
        &[
            include_str!("sample_weights/canonical/noise.toml"),
            include_str!("sample_weights/canonical/mean.toml"),
            include_str!("sample_weights/canonical/exponential.toml"),
            include_str!("sample_weights/canonical/small-loss.toml"),
            include_str!("sample_weights/canonical/online.toml"),
            include_str!("sample_weights/canonical/copies.toml"),
        ]
    }

    fn meaning(&self, problem: &RuleLearning, genome: &Genome) -> Vec<Meaning> {
        const LOSSES: [f64; 8] = [0.0, 0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0];
        if self.form != WeightForm::Network || self.online.is_some() {
            // Its numbers say it themselves, or are no more than where it starts.
            return Vec::new();
        }
        let mut function = WeightFunction::<f64>::default();
        if !function.read(&problem.layout(), genome) {
            return Vec::new();
        }
        let progresses: &[f64] = match self.inputs {
            WeightInputs::Loss => &[0.0],
            WeightInputs::LossAndProgress => &[0.0, 0.1, 0.25, 0.5, 1.0],
        };
        let row = |&progress: &f64| {
            let progress_given = (self.inputs == WeightInputs::LossAndProgress).then_some(progress);
            let weights = LOSSES.iter().map(|&loss| function.weight(loss, progress_given)).collect();
            (progress.to_string(), weights)
        };
        vec![Meaning {
            title: "what an example counts, by its loss",
            corner: "progress, by loss",
            columns: LOSSES.iter().map(f64::to_string).collect(),
            rows: progresses.iter().map(row).collect(),
        }]
    }

    fn companions(&self, problem: &RuleLearning) -> Vec<Companion> {
        companions::of(self, problem)
    }

    fn compile(&self, problem: &RuleLearning, ablation: Option<Ablation>) -> Box<dyn Rule> {
        if let Some(follows) = self.online {
            return Box::new(online::OnlineLearner::new(*self, follows, problem.layout()));
        }
        Box::new(Learner {
            options: *self,
            ablation,
            layout: problem.layout(),
            weighing: Weighing::new(self.form),
            learning_rate: 0.0,
            networks: Networks::new(),
        })
    }

    fn differentiable(
        &self,
        problem: &RuleLearning,
        estimation: Estimation,
    ) -> Option<Box<dyn Differentiable>> {
        if self.form != WeightForm::Network || self.online.is_some() {
            return None;
        }
        Some(Box::new(course::Course::new(*self, estimation, problem.layout())))
    }
}

/// The form of the perceptron: that of warped descent without warps.
pub fn form(options: &SampleWeightsSpec, layers: &[usize]) -> Form {
    let options = WarpedDescentSpec {
        hidden_activation: options.hidden_activation,
        loss: Loss::Logistic,
        warp: Warp::None,
        start: WeightStart::Drawn,
        ..WarpedDescentSpec::default()
    };
    Form { options, layers: layers.to_vec() }
}

/// What weighs examples, with the networks that learn by it.
struct Learner {
    options: SampleWeightsSpec,
    ablation: Option<Ablation>,
    layout: GenomeLayout,
    weighing: Weighing,
    learning_rate: f32,
    networks: Networks<Learned>,
}

/// A network with its weights, and how many updates it has made.
struct Learned {
    network: Network<f32>,
    weights: Vec<f32>,
    gradient: Vec<f32>,
    losses: Vec<f32>,
    /// How much each example counts.
    shares: Vec<f32>,
    updates: u32,
    seed: Seed,
}

impl Rule for Learner {
    fn load(&mut self, genome: &Genome) -> bool {
        let rate = self.layout.each_parameter("learning_rate", genome).and_then(|mut rate| rate.next());
        self.learning_rate = rate.unwrap_or(self.options.learning_rate) as f32;
        self.weighing.read(&self.layout, genome)
    }

    fn start(&mut self, shape: &Shape, seed: Seed) {
        let options = self.options;
        let learned = self.networks.select(shape, || {
            let form = form(&options, &shape.layers);
            Learned {
                gradient: vec![0.0; form.weight_count()],
                network: Network::new(form),
                weights: Vec::new(),
                losses: Vec::new(),
                shares: Vec::new(),
                updates: 0,
                seed,
            }
        });
        start(learned.network.form(), &[], seed, &mut learned.weights);
        (learned.updates, learned.seed) = (0, seed);
    }

    fn update(&mut self, batch: &ExampleBatch<'_>) {
        let (weighing, options, ablation) = (&mut self.weighing, &self.options, self.ablation);
        let Learned { network, weights, gradient, losses, shares, updates, seed } =
            self.networks.current_mut();
        let progress = match options.inputs {
            WeightInputs::Loss => None,
            WeightInputs::LossAndProgress if ablation == Some(Ablation::NoProgress) => Some(0.5),
            WeightInputs::LossAndProgress => Some((*updates as f32 / options.horizon as f32).min(1.0)),
        };
        crate::vectors::with_vectors(
            #[inline(always)]
            || {
                network.forward(weights, &[], batch.inputs);
                network.measure_each(Descended::Logistic, batch.targets, losses);
                if ablation == Some(Ablation::NoLoss) {
                    let mean = losses.iter().sum::<f32>() / losses.len() as f32;
                    losses.fill(mean);
                }
                weighing.weigh(losses, progress, shares);
                if ablation == Some(Ablation::ConstantWeights) {
                    shares.fill(1.0);
                }
                normalise(options.normalise, shares);
            },
        );
        if ablation == Some(Ablation::ShuffledWeights) {
            let mut rng = seed.derive(Purpose::Shuffle, u64::from(*updates)).rng();
            let order = permutation(&mut rng, shares.len() as u32);
            let shuffled: Vec<f32> = order.iter().map(|&place| shares[place as usize]).collect();
            shares.copy_from_slice(&shuffled);
        }
        *updates += 1;
        let rate = self.learning_rate;
        crate::vectors::with_vectors(
            #[inline(always)]
            || {
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
        crate::vectors::with_vectors(
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

//! Warped gradient descent (Flennerhag et al. 2020): a perceptron learns by plain descent, through layers that its genome holds and
//! that stay as they are. Their Jacobians precondition the gradient. The bits do not depend on the kind of CPU.
#![expect(clippy::inline_always, reason = "kernels must be inlined into the function that enables AVX")]

use hebbian_shared::genome::{Genome, GenomeLayout, Segment};
use hebbian_shared::seed::{Purpose, Seed, uniform_between};
use hebbian_shared::spec::RuleLearning;
use hebbian_shared::spec::rule::warped_descent::{Warp, WarpedDescentSpec, WeightStart};
use hebbian_shared::spec::strategy::Estimation;

use super::number::{Number, all_finite};
use super::{Ablation, Differentiable, ExampleBatch, Meaning, Networks, Rule, RuleFamily, Shape};
pub use course::{Course, TrajectoryPoint, leap};
pub use form::Form;
pub use network::Network;
pub use parameters::Parameters;

mod course;
mod form;
mod network;
mod parameters;
mod product;
mod warp;

impl RuleFamily for WarpedDescentSpec {
    fn ablations(&self, problem: &RuleLearning) -> Vec<Ablation> {
        let warps = self.warps(&problem.network.all_shapes()[0]).len();
        let all = [
            (Ablation::IdentityWarp, warps > 0),
            (Ablation::FirstWarpAlone, warps > 1),
            (Ablation::LastWarpAlone, warps > 1),
            (Ablation::UnlearnedWarpInputs, warps > 0 && self.warp == Warp::Residual),
            (Ablation::UnlearnedStart, self.start == WeightStart::Learned),
        ];
        all.into_iter().filter(|&(_, can)| can).map(|(ablation, _)| ablation).collect()
    }

    fn canonical(&self) -> &'static [&'static str] {
        &[
            include_str!("warped_descent/canonical/residual.toml"),
            include_str!("warped_descent/canonical/linear.toml"),
            include_str!("warped_descent/canonical/diagonal.toml"),
        ]
    }

    fn meaning(&self, problem: &RuleLearning, genome: &Genome) -> Vec<Meaning> {
        let layout = problem.layout();
        let mut tables = Vec::new();
        let length = |values: &[f64]| values.iter().map(|x| x * x).sum::<f64>().sqrt();
        let of_segments = |prefix: &str, from_start: bool| -> Vec<(String, Vec<f64>)> {
            let start = layout.initial_mean();
            let segments = layout.segments().iter().filter(|segment| segment.name.starts_with(prefix));
            let row = |segment: &Segment| {
                let of = |genome: &Genome| -> Vec<f64> {
                    genome.0[segment.range()].iter().map(|&value| segment.transform.apply(value)).collect()
                };
                let (now, first) = (of(genome), of(&start));
                let moved: Vec<f64> = now.iter().zip(&first).map(|(x, y)| x - y).collect();
                (segment.name.clone(), if from_start { vec![length(&moved), now.len() as f64] } else { now })
            };
            segments.map(row).collect()
        };
        let columns = ["distance", "numbers"].map(str::to_owned);
        for (title, prefix) in [
            ("warps: how far from where they began", "warp_"),
            ("the start: how far from the fixed one", "start_"),
        ] {
            let rows = of_segments(prefix, true);
            if !rows.is_empty() {
                tables.push(Meaning { title, corner: "part", columns: columns.to_vec(), rows });
            }
        }
        let rates = of_segments("learning_rate", false);
        let count = rates.first().map_or(0, |(_, values)| values.len());
        let columns = if count == 1 {
            vec!["all layers".to_owned()]
        } else {
            (0..count).map(|layer| format!("layer {layer}")).collect()
        };
        tables.push(Meaning { title: "learning rates", corner: "", columns, rows: rates });
        tables
    }

    fn compile(&self, problem: &RuleLearning, ablation: Option<Ablation>) -> Box<dyn Rule> {
        Box::new(Learner {
            options: *self,
            ablation,
            layout: problem.layout(),
            parameters: Parameters::default(),
            networks: Networks::new(),
        })
    }

    fn differentiable(
        &self,
        problem: &RuleLearning,
        estimation: Estimation,
    ) -> Option<Box<dyn Differentiable>> {
        Some(Box::new(Course::new(*self, estimation.estimator, problem.layout())))
    }
}

/// A genome's parameters with the networks that learn by them.
struct Learner {
    options: WarpedDescentSpec,
    ablation: Option<Ablation>,
    layout: GenomeLayout,
    parameters: Parameters<f32>,
    networks: Networks<Learned>,
}

/// A network with its weights.
struct Learned {
    network: Network<f32>,
    weights: Vec<f32>,
    gradient: Vec<f32>,
}

/// Draws where the weights of a task start: from the task's seed or from the options', and with what the genome adds.
pub(super) fn start<T: Number>(form: &Form, parameters: &[T], task: Seed, weights: &mut Vec<T>) {
    let options = &form.options;
    let seed = match options.start {
        WeightStart::Drawn => task,
        WeightStart::Fixed | WeightStart::Learned => Seed::from_small(options.start_seed),
    };
    let mut rng = seed.derive(Purpose::Synapses, 0).rng();
    weights.clear();
    weights.resize(form.weight_count(), T::of(0.0));
    for layer in 0..form.depth() {
        let (inputs, outputs) = (form.layers[layer], form.layers[layer + 1]);
        let limit = (6.0 / (inputs + outputs) as f64).sqrt();
        let weights = &mut weights[form.weights(layer)];
        // Neuron by neuron, as the perceptrons of baselines draw theirs.
        for (output, input) in (0..outputs).flat_map(|output| (0..inputs).map(move |input| (output, input))) {
            weights[input * outputs + output] = T::of(uniform_between(&mut rng, -limit, limit));
        }
    }
    if options.start == WeightStart::Learned {
        for (weight, &learned) in weights.iter_mut().zip(&parameters[form.start()..]) {
            *weight += learned;
        }
    }
}

/// `weights -= rate * gradient`, layer by layer.
#[inline(always)]
pub fn descend<T: Number>(form: &Form, parameters: &[T], gradient: &[T], weights: &mut [T]) {
    for layer in 0..form.depth() {
        let rate = parameters[form.rate(layer)];
        let range = form.weights(layer);
        for (weight, &slope) in weights[range.clone()].iter_mut().zip(&gradient[range]) {
            *weight = *weight - rate * slope;
        }
    }
}

impl Rule for Learner {
    fn load(&mut self, genome: &Genome) -> bool {
        self.parameters.read(&self.layout, genome, self.ablation)
    }

    fn start(&mut self, shape: &Shape, seed: Seed) {
        let options = self.options;
        let learned = self.networks.select(shape, || {
            let form = Form { options, layers: shape.layers.clone() };
            let gradient = vec![0.0; form.weight_count()];
            Learned { network: Network::new(form), weights: Vec::new(), gradient }
        });
        start(learned.network.form(), &self.parameters.0, seed, &mut learned.weights);
    }

    fn update(&mut self, batch: &ExampleBatch<'_>) {
        let (parameters, descended) = (&self.parameters.0, self.options.loss.into());
        let Learned { network, weights, gradient } = self.networks.current_mut();
        crate::vectors::with_vectors(
            #[inline(always)]
            || {
                network.forward(weights, parameters, batch.inputs);
                network.measure(descended, batch.targets);
                network.backward(weights, parameters, gradient, None);
                descend(network.form(), parameters, gradient, weights);
            },
        );
    }

    fn predict(&mut self, inputs: &[f32], _: usize, predictions: &mut [f32]) {
        let Learned { network, weights, .. } = self.networks.current_mut();
        let parameters = &self.parameters.0;
        crate::vectors::with_vectors(
            #[inline(always)]
            || network.forward(weights, parameters, inputs),
        );
        predictions.copy_from_slice(network.outputs());
    }

    fn is_finite(&self) -> bool {
        all_finite(&self.networks.current().weights)
    }
}

#[cfg(test)]
mod tests;

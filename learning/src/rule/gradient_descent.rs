//! Gradient descent on an ordinary multilayer perceptron: what every claim about a rule is measured against.
//!
//! It learns as any other rule does: in networks of the same layer sizes, from the same batches. The bits do not depend on the kind of CPU.

use hebbian_shared::genome::{Genome, GenomeLayout};
use hebbian_shared::seed::Seed;
use hebbian_shared::spec::RuleLearning;
use hebbian_shared::spec::rule::gradient_descent::{
    GradientDescentSpec, HiddenActivation, InitialWeights, Loss,
};

use super::number::all_finite;
use super::{Ablation, ExampleBatch, Networks, Rule, RuleFamily, Shape};
use columns::Columns;
use optimizer::{Descent, Hyperparameters};
use perceptron::Perceptron;

mod columns;
mod optimizer;
mod perceptron;

impl RuleFamily for GradientDescentSpec {
    fn ablations(&self, _: &RuleLearning) -> Vec<Ablation> {
        Vec::new()
    }

    fn canonical(&self) -> &'static [&'static str] {
        &[
            include_str!("gradient_descent/canonical/descent.toml"),
            include_str!("gradient_descent/canonical/classes.toml"),
            include_str!("gradient_descent/canonical/schedule.toml"),
        ]
    }

    fn compile(&self, problem: &RuleLearning, _: Option<Ablation>) -> Box<dyn Rule> {
        Box::new(Learner {
            options: *self,
            layout: problem.layout(),
            hyperparameters: Hyperparameters::default(),
            networks: Networks::new(),
        })
    }
}

/// Hyperparameters with the perceptrons that learn by them.
struct Learner {
    options: GradientDescentSpec,
    layout: GenomeLayout,
    hyperparameters: Hyperparameters,
    networks: Networks<Network>,
}

/// A perceptron, its optimiser, and room for what it is shown.
struct Network {
    perceptron: Perceptron,
    descent: Descent,
    batch: Columns,
}

impl Network {
    fn new(options: GradientDescentSpec, shape: &Shape) -> Self {
        let perceptron =
            Perceptron::new(&shape.layers, shape.batch_max, options.hidden_activation, options.loss);
        let descent = Descent::new(options.optimizer, perceptron.parameters().len());
        Self { perceptron, descent, batch: Columns::default() }
    }
}

impl Rule for Learner {
    fn load(&mut self, genome: &Genome) -> bool {
        let read = Hyperparameters::read(self.options.optimizer, &self.layout, genome);
        read.map(|hyperparameters| self.hyperparameters = hyperparameters).is_some()
    }

    fn start(&mut self, shape: &Shape, seed: Seed) {
        let network = self.networks.select(shape, || Network::new(self.options, shape));
        network.perceptron.initialise(self.options.initial_weights, seed);
        network.descent.reset();
    }

    fn update(&mut self, batch: &ExampleBatch<'_>) {
        let Network { perceptron, descent, batch: columns } = self.networks.current_mut();
        columns.load(batch.examples, batch.inputs, batch.targets);
        crate::vectors::with_vectors(
            #[inline(always)]
            || {
                perceptron.forward(columns);
                perceptron.backward(columns);
                let (parameters, gradient) = perceptron.parameters_and_gradient();
                descent.step(&self.hyperparameters, parameters, gradient);
            },
        );
    }

    fn predict(&mut self, inputs: &[f32], examples: usize, predictions: &mut [f32]) {
        let Network { perceptron, batch, .. } = self.networks.current_mut();
        batch.load(examples, inputs, &[]);
        crate::vectors::with_vectors(
            #[inline(always)]
            || perceptron.forward(batch),
        );
        let width = predictions.len() / examples;
        for (output, row) in perceptron.outputs().chunks_exact(batch.stride).enumerate() {
            for (prediction, value) in predictions.iter_mut().skip(output).step_by(width).zip(row) {
                *prediction = *value;
            }
        }
    }

    fn is_finite(&self) -> bool {
        all_finite(self.networks.current().perceptron.parameters())
    }
}

#[cfg(test)]
mod tests;

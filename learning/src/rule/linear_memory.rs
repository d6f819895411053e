//! Linear memories of pairs: the outer product, the delta rule and least squares. The bits do not depend on the kind of CPU.
//!
//! The matrix is formed when something is asked for, from all examples that were seen by then. That is what an update after the other
//! gives, too, if all are gone through once.

use hebbian_shared::genome::{Genome, GenomeLayout};
use hebbian_shared::limits::KERNEL_EXAMPLES_MAX;
use hebbian_shared::seed::Seed;
use hebbian_shared::spec::RuleLearning;
use hebbian_shared::spec::rule::linear_memory::{LinearMemorySpec, MemoryMethod};

use super::{Ablation, ExampleBatch, Rule, RuleFamily, Shape};

impl RuleFamily for LinearMemorySpec {
    fn ablations(&self, _: &RuleLearning) -> Vec<Ablation> {
        Vec::new()
    }

    fn canonical(&self) -> &'static [&'static str] {
        &[
            include_str!("linear_memory/canonical/delta.toml"),
            include_str!("linear_memory/canonical/least.toml"),
        ]
    }

    fn compile(&self, problem: &RuleLearning, _: Option<Ablation>) -> Box<dyn Rule> {
        Box::new(Memory {
            options: *self,
            layout: problem.layout(),
            parameter: 0.0,
            inputs: 0,
            outputs: 0,
            seen: Vec::new(),
            targets: Vec::new(),
            weights: Vec::new(),
            answered: Vec::new(),
            products: Vec::new(),
            solved: Vec::new(),
            is_formed: false,
            is_finite: true,
        })
    }
}

/// What was seen, and what it comes to.
struct Memory {
    options: LinearMemorySpec,
    layout: GenomeLayout,
    /// The learning rate or the ridge.
    parameter: f64,
    inputs: usize,
    outputs: usize,
    /// `[example, inputs]`; what comes after `KERNEL_EXAMPLES_MAX` is not learned.
    seen: Vec<f32>,
    /// `[example, outputs]`
    targets: Vec<f32>,
    /// `[inputs, outputs]`, of all examples if `is_formed`.
    weights: Vec<f64>,
    /// Scratch: an answer, the products of examples or inputs, what they are solved for. Kept, so that episodes allocate nothing.
    answered: Vec<f64>,
    products: Vec<f64>,
    solved: Vec<f64>,
    is_formed: bool,
    is_finite: bool,
}

impl Memory {
    fn form(&mut self) {
        self.weights.clear();
        self.weights.resize(self.inputs * self.outputs, 0.0);
        match self.options.method {
            MemoryMethod::OuterProduct => self.go_through(0.0),
            MemoryMethod::DeltaRule => self.go_through(1.0),
            MemoryMethod::LeastSquares => self.solve(),
        }
        self.is_finite = self.weights.iter().all(|weight| weight.is_finite());
        self.is_formed = true;
    }

    /// `w += rate (y - share w x / n) x`
    fn go_through(&mut self, share: f64) {
        let (rate, outputs) = (self.parameter, self.outputs);
        let mut errors = std::mem::take(&mut self.answered);
        errors.clear();
        errors.resize(outputs, 0.0);
        for _ in 0..self.options.passes {
            let examples = self.seen.chunks_exact(self.inputs).zip(self.targets.chunks_exact(outputs));
            for (input, target) in examples {
                answer(&self.weights, input, &mut errors);
                for (error, &y) in errors.iter_mut().zip(target) {
                    *error = rate * (f64::from(y) - share * *error);
                }
                for (&x, row) in input.iter().zip(self.weights.chunks_exact_mut(outputs)) {
                    row.iter_mut().zip(&errors).for_each(|(weight, error)| *weight += error * f64::from(x));
                }
            }
        }
        self.answered = errors;
    }

    /// The least squares with a ridge: by the products of examples or of inputs, whichever are fewer.
    fn solve(&mut self) {
        let (inputs, outputs) = (self.inputs, self.outputs);
        let examples = self.seen.len() / inputs;
        let scale = inputs as f64;
        let (x, y) = (&self.seen, &self.targets);
        let at = |example: usize, input: usize| f64::from(x[example * inputs + input]) / scale;
        let of = |example: usize, output: usize| f64::from(y[example * outputs + output]);
        if examples <= inputs {
            let product = |a: usize, b: usize| (0..inputs).map(|input| at(a, input) * at(b, input)).sum();
            let solved = &mut self.solved;
            solved.clear();
            solved.extend(y.iter().map(|&y| f64::from(y)));
            square(examples, self.parameter, product, &mut self.products);
            solve(&mut self.products, examples, solved, outputs);
            for (place, weight) in self.weights.iter_mut().enumerate() {
                let (input, output) = (place / outputs, place % outputs);
                *weight = (0..examples).map(|row| at(row, input) * solved[row * outputs + output]).sum();
            }
        } else {
            let product = |a: usize, b: usize| (0..examples).map(|row| at(row, a) * at(row, b)).sum();
            for (place, weight) in self.weights.iter_mut().enumerate() {
                let (input, output) = (place / outputs, place % outputs);
                *weight = (0..examples).map(|row| at(row, input) * of(row, output)).sum();
            }
            square(inputs, self.parameter, product, &mut self.products);
            solve(&mut self.products, inputs, &mut self.weights, outputs);
        }
    }
}

/// What a matrix answers to an input of n numbers: `w x / n`.
fn answer(weights: &[f64], input: &[f32], answer: &mut [f64]) {
    answer.fill(0.0);
    for (&x, row) in input.iter().zip(weights.chunks_exact(answer.len())) {
        answer.iter_mut().zip(row).for_each(|(sum, weight)| *sum += weight * f64::from(x));
    }
    for sum in answer {
        *sum /= input.len() as f64;
    }
}

/// Makes a symmetric matrix of products with a ridge on its diagonal.
fn square(size: usize, ridge: f64, product: impl Fn(usize, usize) -> f64, matrix: &mut Vec<f64>) {
    matrix.clear();
    matrix.resize(size * size, 0.0);
    for row in 0..size {
        for column in 0..=row {
            let value = product(row, column) + if row == column { ridge } else { 0.0 };
            (matrix[row * size + column], matrix[column * size + row]) = (value, value);
        }
    }
}

/// Replaces the columns of `sides`, `[row, column]`, by the solutions of a symmetric positive definite system (Cholesky).
fn solve(matrix: &mut [f64], size: usize, sides: &mut [f64], columns: usize) {
    for column in 0..size {
        for row in column..size {
            let sum: f64 =
                (0..column).map(|place| matrix[row * size + place] * matrix[column * size + place]).sum();
            let value = matrix[row * size + column] - sum;
            matrix[row * size + column] =
                if row == column { value.sqrt() } else { value / matrix[column * size + column] };
        }
    }
    for column in 0..columns {
        for row in 0..size {
            let known: f64 =
                (0..row).map(|place| matrix[row * size + place] * sides[place * columns + column]).sum();
            let value = (sides[row * columns + column] - known) / matrix[row * size + row];
            sides[row * columns + column] = value;
        }
        for row in (0..size).rev() {
            let known: f64 = (row + 1..size)
                .map(|place| matrix[place * size + row] * sides[place * columns + column])
                .sum();
            let value = (sides[row * columns + column] - known) / matrix[row * size + row];
            sides[row * columns + column] = value;
        }
    }
}

impl Rule for Memory {
    fn load(&mut self, genome: &Genome) -> bool {
        let name = if self.options.method == MemoryMethod::LeastSquares { "ridge" } else { "learning_rate" };
        let parameter = self.layout.parameter(name, genome);
        self.parameter = parameter.unwrap_or_default();
        parameter.is_some()
    }

    fn start(&mut self, shape: &Shape, _: Seed) {
        (self.inputs, self.outputs) = (shape.layers[0], shape.layers[shape.layers.len() - 1]);
        self.seen.clear();
        self.targets.clear();
        (self.is_formed, self.is_finite) = (false, true);
    }

    fn update(&mut self, batch: &ExampleBatch<'_>) {
        let room = KERNEL_EXAMPLES_MAX - self.seen.len() / self.inputs;
        let taken = batch.examples.min(room);
        self.seen.extend_from_slice(&batch.inputs[..taken * self.inputs]);
        self.targets.extend_from_slice(&batch.targets[..taken * self.outputs]);
        self.is_formed &= taken == 0;
    }

    fn predict(&mut self, inputs: &[f32], _: usize, predictions: &mut [f32]) {
        if !self.is_formed {
            self.form();
        }
        let mut found = std::mem::take(&mut self.answered);
        found.clear();
        found.resize(self.outputs, 0.0);
        let questions = inputs.chunks_exact(self.inputs).zip(predictions.chunks_exact_mut(self.outputs));
        for (input, prediction) in questions {
            answer(&self.weights, input, &mut found);
            prediction.iter_mut().zip(&found).for_each(|(prediction, &found)| *prediction = found as f32);
        }
        self.answered = found;
    }

    fn is_finite(&self) -> bool {
        self.is_finite
    }
}

#[cfg(test)]
mod tests {
    use hebbian_shared::seed::uniform;
    use hebbian_shared::spec::network::NetworkSpec;
    use hebbian_shared::spec::rule::update_networks::{Associator, UpdateNetworksSpec, associator};
    use hebbian_shared::spec::task::{TaskFamily, TaskSpec};

    use super::*;
    use crate::rule::family;

    fn problem(method: MemoryMethod, passes: u32) -> RuleLearning {
        RuleLearning {
            rule: hebbian_shared::spec::rule::RuleSpec::LinearMemory(LinearMemorySpec { method, passes }),
            network: NetworkSpec { hidden: Vec::new(), ..NetworkSpec::default() },
            tasks: TaskSpec::of(vec![TaskFamily::RememberBits]),
        }
    }

    /// So many pairs, one update each, and what is answered to their cues.
    fn recalled(problem: &RuleLearning, genome: &Genome, pairs: usize) -> (Vec<f32>, Vec<f32>) {
        let mut rng = Seed::new(5).unwrap().rng();
        let mut bits = |count: usize| -> Vec<f32> {
            (0..count).map(|_| if uniform(&mut rng) < 0.5 { 1.0 } else { -1.0 }).collect()
        };
        let targets = bits(pairs * 4);
        // Numbers, so that no cue is a sum of others.
        let inputs: Vec<f32> = (0..pairs * 6).map(|_| 2.0 * uniform(&mut rng) as f32 - 1.0).collect();
        let mut rule = family(&problem.rule).compile(problem, None);
        assert!(rule.load(genome));
        rule.start(&Shape { layers: vec![6, 4], batch_max: pairs }, Seed::new(1).unwrap());
        for (inputs, targets) in inputs.chunks_exact(6).zip(targets.chunks_exact(4)) {
            rule.update(&ExampleBatch { inputs, targets, examples: 1 });
        }
        let mut predictions = vec![0.0; targets.len()];
        rule.predict(&inputs, pairs, &mut predictions);
        assert!(rule.is_finite());
        (predictions, targets)
    }

    fn at(problem: &RuleLearning, parameter: f64) -> Genome {
        Genome(vec![problem.layout().segments()[0].transform.invert(parameter)])
    }

    fn distance(a: &[f32], b: &[f32]) -> f32 {
        a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    }

    #[test]
    fn one_pass_is_what_the_genomes_of_update_networks_do() {
        for (method, kind) in [
            (MemoryMethod::OuterProduct, Associator::OuterProduct),
            (MemoryMethod::DeltaRule, Associator::DeltaRule),
        ] {
            let memory = problem(method, 1);
            let of_networks = RuleLearning {
                rule: hebbian_shared::spec::rule::RuleSpec::UpdateNetworks(
                    UpdateNetworksSpec::of_associator(),
                ),
                ..memory.clone()
            };
            let genome = associator(kind, 0.4);
            let (expected, _) = recalled(&of_networks, &genome, 5);
            let (found, _) = recalled(&memory, &at(&memory, 0.4), 5);
            assert!(distance(&found, &expected) < 1e-5, "{method:?}");
        }
    }

    #[test]
    fn least_squares_recalls_as_many_pairs_as_there_are_inputs_and_many_passes_approach_it() {
        let least = problem(MemoryMethod::LeastSquares, 1);
        let (found, targets) = recalled(&least, &at(&least, 1e-9), 4);
        assert!(distance(&found, &targets) < 1e-3, "{found:?}");
        for pairs in [4, 9] {
            let (least, _) = recalled(&least, &at(&least, 1e-9), pairs);
            let apart = |passes| {
                let delta = problem(MemoryMethod::DeltaRule, passes);
                distance(&recalled(&delta, &at(&delta, 0.2), pairs).0, &least)
            };
            assert!(apart(1000) < 0.25 && apart(1) > 0.5, "{pairs}: {} {}", apart(1000), apart(1));
        }
    }
}

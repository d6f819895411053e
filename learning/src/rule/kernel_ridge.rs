//! Kernel ridge regression on all examples that were seen.
//!
//! ```text
//! k(x, z) = exp(-|x - z|^2 / (width^2 n))                              n inputs
//! (K + ridge I) a = Y,   prediction(x) = sum_i k(x, x_i) a_i            over the examples x_i, targets Y
//! ```
//! The matrix is factored row by row (Cholesky), so that more examples only add rows. The bits do not depend on the kind of
//! CPU.
#![expect(clippy::inline_always, reason = "kernels must be inlined into the function that enables AVX")]

use hebbian_shared::genome::{Genome, GenomeLayout};
use hebbian_shared::limits::KERNEL_EXAMPLES_MAX;
use hebbian_shared::seed::Seed;
use hebbian_shared::spec::RuleLearning;
use hebbian_shared::spec::rule::kernel_ridge::KernelRidgeSpec;

use super::{Ablation, ExampleBatch, Rule, RuleFamily, Shape};

/// Products that are summed side by side.
const LANES: usize = 8;
/// Rows that are solved together: each reads an earlier row once.
const ROWS: usize = 4;

impl RuleFamily for KernelRidgeSpec {
    fn ablations(&self, _: &RuleLearning) -> Vec<Ablation> {
        Vec::new()
    }

    fn canonical(&self) -> &'static [&'static str] {
        &[include_str!("kernel_ridge/canonical/digits.toml")]
    }

    fn compile(&self, problem: &RuleLearning, _: Option<Ablation>) -> Box<dyn Rule> {
        Box::new(Regression { layout: problem.layout(), ..Regression::default() })
    }
}

/// What was seen of a task, and how far it is solved.
#[derive(Default)]
struct Regression {
    layout: GenomeLayout,
    width: f64,
    ridge: f64,
    inputs: usize,
    outputs: usize,
    /// `[example, inputs]`; what comes after `KERNEL_EXAMPLES_MAX` is not learned.
    seen: Vec<f32>,
    /// `[example, outputs]`
    targets: Vec<f32>,
    /// The lower triangle of the factor, row after row: row i has i + 1 numbers.
    factor: Vec<f64>,
    /// The targets divided by the factor, `[example, outputs]`.
    divided: Vec<f64>,
    /// `[example, outputs]`, of all examples if `is_solved`.
    weights: Vec<f64>,
    is_solved: bool,
    is_finite: bool,
    /// A prediction.
    sums: Vec<f64>,
}

/// Where a row of the triangle begins.
fn start(row: usize) -> usize {
    row * (row + 1) / 2
}

impl Regression {
    fn examples(&self) -> usize {
        self.seen.len() / self.inputs.max(1)
    }

    fn kernel(&self, a: &[f32], b: &[f32]) -> f64 {
        let distance = squared_distance(a, b);
        libm::exp(-distance / (self.width * self.width * self.inputs as f64))
    }

    /// Solves for all examples that have been seen.
    fn solve(&mut self) {
        let (known, all, outputs) = (self.divided.len() / self.outputs, self.examples(), self.outputs);
        for row in known..all {
            let here = &self.seen[row * self.inputs..][..self.inputs];
            let mut factor = std::mem::take(&mut self.factor);
            factor
                .extend(self.seen.chunks_exact(self.inputs).take(row).map(|other| self.kernel(here, other)));
            factor.push(1.0 + self.ridge);
            self.factor = factor;
        }
        let factor = &mut self.factor;
        crate::vectors::with_vectors(
            #[inline(always)]
            || factorise(factor, known, all),
        );
        for row in known..all {
            let factors = &self.factor[start(row)..][..=row];
            for output in 0..outputs {
                let mut sum = f64::from(self.targets[row * outputs + output]);
                for (factor, divided) in factors.iter().zip(self.divided.iter().skip(output).step_by(outputs))
                {
                    sum -= factor * divided;
                }
                self.divided.push(sum / factors[row]);
            }
        }
        // Back through the transpose, from the last example on.
        self.weights.clear();
        self.weights.extend_from_slice(&self.divided);
        for row in (0..all).rev() {
            let factors = &self.factor[start(row)..][..=row];
            let (before, here) = self.weights.split_at_mut(row * outputs);
            let here = &mut here[..outputs];
            for weight in here.iter_mut() {
                *weight /= factors[row];
            }
            for (weights, factor) in before.chunks_exact_mut(outputs).zip(factors) {
                weights.iter_mut().zip(&*here).for_each(|(weight, here)| *weight -= factor * here);
            }
        }
        self.is_finite = self.weights.iter().all(|weight| weight.is_finite());
        self.is_solved = true;
    }
}

impl Rule for Regression {
    fn load(&mut self, genome: &Genome) -> bool {
        let parameter = |name| self.layout.parameter(name, genome);
        let Some((width, ridge)) = parameter("width").zip(parameter("ridge")) else { return false };
        (self.width, self.ridge) = (width, ridge);
        true
    }

    fn start(&mut self, shape: &Shape, _: Seed) {
        (self.inputs, self.outputs) = (shape.layers[0], shape.layers[shape.layers.len() - 1]);
        self.seen.clear();
        self.targets.clear();
        self.factor.clear();
        self.divided.clear();
        self.weights.clear();
        (self.is_solved, self.is_finite) = (false, true);
    }

    fn update(&mut self, batch: &ExampleBatch<'_>) {
        let room = KERNEL_EXAMPLES_MAX - self.examples();
        let taken = batch.examples.min(room);
        self.seen.extend_from_slice(&batch.inputs[..taken * self.inputs]);
        self.targets.extend_from_slice(&batch.targets[..taken * self.outputs]);
        self.is_solved &= taken == 0;
    }

    fn predict(&mut self, inputs: &[f32], _: usize, predictions: &mut [f32]) {
        if !self.is_solved {
            self.solve();
        }
        let answers = predictions.chunks_exact_mut(self.outputs);
        let mut sums = std::mem::take(&mut self.sums);
        sums.resize(self.outputs, 0.0);
        for (input, answer) in inputs.chunks_exact(self.inputs).zip(answers) {
            sums.fill(0.0);
            let seen = self.seen.chunks_exact(self.inputs).zip(self.weights.chunks_exact(self.outputs));
            for (example, weights) in seen {
                let kernel = self.kernel(input, example);
                sums.iter_mut().zip(weights).for_each(|(sum, weight)| *sum += kernel * weight);
            }
            answer.iter_mut().zip(&sums).for_each(|(answer, &sum)| *answer = sum as f32);
        }
        self.sums = sums;
    }

    fn is_finite(&self) -> bool {
        self.is_finite
    }
}

/// Factors rows `known..all` of a symmetric positive definite matrix whose earlier rows are factored:
///
/// ```text
/// l_ij = (a_ij - sum_{k < j} l_ik l_jk) / l_jj,   l_jj = sqrt(a_jj - sum_{k < j} l_jk^2)
/// ```
#[inline(always)]
fn factorise(triangle: &mut [f64], known: usize, all: usize) {
    for column in 0..all {
        let (above, below) = triangle.split_at_mut(start(column + 1));
        let pivots = &mut above[start(column)..];
        if column >= known {
            let sum = dot(&pivots[..column], &pivots[..column]);
            pivots[column] = (pivots[column] - sum).sqrt();
        }
        let (pivots, pivot) = (&pivots[..column], pivots[column]);
        let first = known.max(column + 1);
        let offset = |row: usize| start(row) - start(column + 1);
        let mut row = first;
        while row + ROWS <= all {
            let sums = dots(pivots, [0, 1, 2, 3].map(|next| &below[offset(row + next)..][..column]));
            for (next, sum) in sums.into_iter().enumerate() {
                let value = &mut below[offset(row + next) + column];
                *value = (*value - sum) / pivot;
            }
            row += ROWS;
        }
        for row in row..all {
            let sum = dot(pivots, &below[offset(row)..][..column]);
            let value = &mut below[offset(row) + column];
            *value = (*value - sum) / pivot;
        }
    }
}

#[inline(always)]
fn dot(a: &[f64], b: &[f64]) -> f64 {
    dots(a, [b])[0]
}

/// The products of a row with others, each summed in the same order.
#[inline(always)]
fn dots<const N: usize>(a: &[f64], others: [&[f64]; N]) -> [f64; N] {
    let mut lanes = [[0.0; LANES]; N];
    let (chunks, rest) = a.as_chunks::<LANES>();
    for (place, chunk) in chunks.iter().enumerate() {
        for (lanes, other) in lanes.iter_mut().zip(&others) {
            let other = other[place * LANES..].first_chunk::<LANES>().expect("rows are equally long");
            for lane in 0..LANES {
                lanes[lane] += chunk[lane] * other[lane];
            }
        }
    }
    let begun = chunks.len() * LANES;
    let mut sums = [0.0; N];
    for ((sum, lanes), other) in sums.iter_mut().zip(&lanes).zip(&others) {
        *sum = lanes.iter().sum();
        for (a, b) in rest.iter().zip(&other[begun..]) {
            *sum += a * b;
        }
    }
    sums
}

/// In f64, with one partial sum per lane.
fn squared_distance(a: &[f32], b: &[f32]) -> f64 {
    let mut lanes = [0.0_f32; 2 * LANES];
    let (whole_a, rest_a) = a.as_chunks::<{ 2 * LANES }>();
    let (whole_b, rest_b) = b.as_chunks::<{ 2 * LANES }>();
    for (a, b) in whole_a.iter().zip(whole_b) {
        for lane in 0..2 * LANES {
            let difference = a[lane] - b[lane];
            lanes[lane] += difference * difference;
        }
    }
    let whole: f64 = lanes.iter().map(|&sum| f64::from(sum)).sum();
    let of_pair = |(a, b): (&f32, &f32)| f64::from(a - b) * f64::from(a - b);
    whole + rest_a.iter().zip(rest_b).map(of_pair).sum::<f64>()
}

#[cfg(test)]
mod tests;

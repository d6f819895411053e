//! Batches as the perceptron wants them: one row per neuron, padded to whole vectors.

use crate::training::objective;

/// Examples that are computed together; rows are padded with zeros to a multiple of it.
pub(super) const LANES: usize = 16;

/// A batch of examples, converted once for all the learners that meet it.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    pub(super) examples: usize,
    /// Examples rounded up to whole vectors: the length of a row.
    pub(super) stride: usize,
    /// `[input, stride]`
    pub(super) inputs: Vec<f32>,
    /// `[output, stride]`
    pub(super) targets: Vec<f32>,
}

impl Batch {
    /// Converts row-major `inputs` `[examples, inputs]` and `targets` `[examples, outputs]`.
    pub fn new(examples: usize, inputs: &[f32], targets: &[f32]) -> Self {
        let stride = examples.next_multiple_of(LANES);
        Self {
            examples,
            stride,
            inputs: transpose(inputs, examples, stride),
            targets: transpose(targets, examples, stride),
        }
    }

    /// Share of examples whose class `outputs`, `[output, stride]`, predict. The class is the sign of the only output
    /// (0 counts as negative) or the first largest of several; an output that is not a number predicts nothing.
    pub(super) fn accuracy(&self, outputs: &[f32]) -> f64 {
        let correct = if self.targets.len() == self.stride {
            let pairs = outputs.iter().zip(&self.targets).take(self.examples);
            pairs.filter(|(output, target)| !output.is_nan() && (**output > 0.0) == (**target > 0.0)).count()
        } else {
            let class = |rows: &[f32], example: usize| {
                let mut best = (0, f32::NEG_INFINITY);
                for (neuron, row) in rows.chunks_exact(self.stride).enumerate() {
                    if row[example].is_nan() {
                        return None;
                    }
                    if row[example] > best.1 {
                        best = (neuron, row[example]);
                    }
                }
                Some(best.0)
            };
            (0..self.examples)
                .filter(|&example| class(outputs, example) == class(&self.targets, example))
                .count()
        };
        correct as f64 / self.examples as f64
    }
}

impl Batch {
    /// Share of the targets' variance that the only output, `[1, stride]`, predicts.
    pub(super) fn explained_variance(&self, outputs: &[f32]) -> f64 {
        objective::explained_variance(&outputs[..self.examples], &self.targets[..self.examples])
    }
}

fn transpose(rows: &[f32], examples: usize, stride: usize) -> Vec<f32> {
    let width = rows.len() / examples;
    let mut columns = vec![0.0; width * stride];
    for (example, row) in rows.chunks_exact(width).enumerate() {
        for (neuron, &value) in row.iter().enumerate() {
            columns[neuron * stride + example] = value;
        }
    }
    columns
}

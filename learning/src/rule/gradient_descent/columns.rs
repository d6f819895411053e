//! Batches as the perceptron wants them: one row per neuron, padded to whole vectors.

/// Examples that are computed together; rows are padded with zeros to a multiple of it.
pub(super) const LANES: usize = 16;

/// A batch of examples.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Columns {
    pub(super) examples: usize,
    /// Examples rounded up to whole vectors: the length of a row.
    pub(super) stride: usize,
    /// `[input, stride]`
    pub(super) inputs: Vec<f32>,
    /// `[output, stride]`
    pub(super) targets: Vec<f32>,
}

impl Columns {
    /// Takes row-major `inputs` `[examples, inputs]` and `targets` `[examples, outputs]`, of which there may be none.
    pub(super) fn load(&mut self, examples: usize, inputs: &[f32], targets: &[f32]) {
        self.examples = examples;
        self.stride = examples.next_multiple_of(LANES);
        transpose(inputs, examples, self.stride, &mut self.inputs);
        transpose(targets, examples, self.stride, &mut self.targets);
    }
}

fn transpose(rows: &[f32], examples: usize, stride: usize, columns: &mut Vec<f32>) {
    let width = rows.len() / examples;
    columns.clear();
    columns.resize(width * stride, 0.0);
    for (neuron, column) in columns.chunks_exact_mut(stride).enumerate() {
        for (value, row) in column.iter_mut().zip(rows.chunks_exact(width)) {
            *value = row[neuron];
        }
    }
}

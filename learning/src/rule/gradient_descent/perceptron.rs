//! A multilayer perceptron and its gradient by backpropagation, with one row of examples per neuron.
//!
//! Every function that computes is `inline(always)`, because the caller compiles the whole update once for each
//! instruction set.
#![expect(clippy::inline_always, reason = "kernels must be inlined into the function that enables AVX")]

use hebbian_shared::seed::{Purpose, Seed, normal_pair, uniform_between};

use super::columns::{Columns, LANES};
use super::{HiddenActivation, InitialWeights, Loss};

/// A perceptron with room for its activations and gradient.
pub(super) struct Perceptron {
    layers: Vec<Layer>,
    activation: HiddenActivation,
    loss: Loss,
    /// Layer by layer, of each output neuron its weights and then its bias.
    parameters: Vec<f32>,
    gradient: Vec<f32>,
    /// `[output, stride]` of the last batch.
    outputs_length: usize,
}

/// One layer of weights and the neurons behind it.
struct Layer {
    inputs: usize,
    outputs: usize,
    /// Where its weights begin among the parameters.
    start: usize,
    /// `[output, stride]`: values of the neurons after their activation.
    values: Vec<f32>,
    /// `[output, stride]`: derivatives of the loss by the neurons before their activation.
    deltas: Vec<f32>,
}

impl Layer {
    fn parameters(&self) -> std::ops::Range<usize> {
        self.start..self.start + (self.inputs + 1) * self.outputs
    }
}

impl Perceptron {
    pub(super) fn new(
        layer_sizes: &[usize],
        batch_max: usize,
        activation: HiddenActivation,
        loss: Loss,
    ) -> Self {
        let stride = batch_max.next_multiple_of(LANES);
        let mut start = 0;
        let mut layers = Vec::with_capacity(layer_sizes.len());
        for pair in layer_sizes.windows(2) {
            let (inputs, outputs) = (pair[0], pair[1]);
            let neurons = || vec![0.0; outputs * stride];
            layers.push(Layer { inputs, outputs, start, values: neurons(), deltas: neurons() });
            start += (inputs + 1) * outputs;
        }
        let parameters = vec![0.0; start];
        Self { layers, activation, loss, gradient: parameters.clone(), parameters, outputs_length: 0 }
    }

    pub(super) fn parameters(&self) -> &[f32] {
        &self.parameters
    }

    pub(super) fn parameters_and_gradient(&mut self) -> (&mut [f32], &[f32]) {
        (&mut self.parameters, &self.gradient)
    }

    /// The linear outputs of the last `forward`, `[output, stride]`.
    pub(super) fn outputs(&self) -> &[f32] {
        &self.layers[self.layers.len() - 1].values[..self.outputs_length]
    }

    /// Takes other outputs for those of the last `forward`.
    #[cfg(test)]
    pub(super) fn set_outputs(&mut self, outputs: &[f32]) {
        let last = self.layers.len() - 1;
        self.layers[last].values[..self.outputs_length].copy_from_slice(outputs);
    }

    /// Derivatives of the loss by the linear outputs at the last `backward`, `[output, stride]`.
    #[cfg(test)]
    pub(super) fn deltas(&self) -> &[f32] {
        &self.layers[self.layers.len() - 1].deltas[..self.outputs_length]
    }

    /// Draws all weights and biases.
    pub(super) fn initialise(&mut self, distribution: InitialWeights, seed: Seed) {
        let mut rng = seed.derive(Purpose::Synapses, 0).rng();
        for layer in &self.layers {
            let (fan_in, fan_out) = (layer.inputs as f64, layer.outputs as f64);
            let xavier = (6.0 / (fan_in + fan_out)).sqrt();
            let parameters = &mut self.parameters[layer.parameters()];
            for neuron in parameters.chunks_exact_mut(layer.inputs + 1) {
                for (input, parameter) in neuron.iter_mut().enumerate() {
                    let is_bias = input == layer.inputs;
                    let drawn = match distribution {
                        InitialWeights::UniformHalf => uniform_between(&mut rng, -0.5, 0.5),
                        InitialWeights::UniformOne => uniform_between(&mut rng, -1.0, 1.0),
                        _ if is_bias => 0.0,
                        InitialWeights::Xavier => uniform_between(&mut rng, -xavier, xavier),
                        InitialWeights::HalfXavier => uniform_between(&mut rng, -0.5 * xavier, 0.5 * xavier),
                        InitialWeights::He => (2.0 / fan_in).sqrt() * normal_pair(&mut rng).0,
                    };
                    *parameter = drawn as f32;
                }
            }
        }
    }

    /// Computes the values of all neurons.
    #[inline(always)]
    pub(super) fn forward(&mut self, batch: &Columns) {
        let stride = batch.stride;
        let last = self.layers.len() - 1;
        for place in 0..=last {
            let (before, rest) = self.layers.split_at_mut(place);
            let layer = &mut rest[0];
            let inputs = before.last().map_or(&batch.inputs[..], |previous| &previous.values[..]);
            let inputs = &inputs[..layer.inputs * stride];
            let weights = &self.parameters[layer.parameters()];
            let values = &mut layer.values[..layer.outputs * stride];
            for (value, weights) in
                values.chunks_exact_mut(stride).zip(weights.chunks_exact(layer.inputs + 1))
            {
                weighted_sum(value, inputs, weights);
            }
            if place < last {
                match self.activation {
                    // Loops, not closures: a closure that is not inlined is compiled without the instructions of this CPU.
                    HiddenActivation::Tanh => {
                        for value in values {
                            *value = tanh(*value);
                        }
                    }
                    // Not `max`, which may take either sign of zero.
                    HiddenActivation::Relu => {
                        for value in values {
                            *value = if *value > 0.0 { *value } else { 0.0 };
                        }
                    }
                }
            }
        }
        self.outputs_length = self.layers[last].outputs * stride;
    }

    /// Computes the gradient of the loss at the values of the last `forward` of the same batch.
    #[inline(always)]
    pub(super) fn backward(&mut self, batch: &Columns) {
        let stride = batch.stride;
        let last = self.layers.len() - 1;
        let Layer { values, deltas, outputs, .. } = &mut self.layers[last];
        let length = *outputs * stride;
        loss_slope(self.loss, batch, &values[..length], &mut deltas[..length]);
        for place in (0..=last).rev() {
            let (before, rest) = self.layers.split_at_mut(place);
            let layer = &rest[0];
            let deltas = &layer.deltas[..layer.outputs * stride];
            let gradient = &mut self.gradient[layer.parameters()];
            let inputs = before.last().map_or(&batch.inputs[..], |previous| &previous.values[..]);
            for (slopes, delta) in
                gradient.chunks_exact_mut(layer.inputs + 1).zip(deltas.chunks_exact(stride))
            {
                for (slope, input) in slopes.iter_mut().zip(inputs.chunks_exact(stride)) {
                    *slope = dot(delta, input);
                }
                slopes[layer.inputs] = sum(delta);
            }
            let Some(previous) = before.last_mut() else { return };
            let length = previous.outputs * stride;
            let (values, slopes) = (&previous.values[..length], &mut previous.deltas[..length]);
            slopes.fill(0.0);
            let weights = &self.parameters[layer.parameters()];
            for (delta, weights) in deltas.chunks_exact(stride).zip(weights.chunks_exact(layer.inputs + 1)) {
                for (slope, &weight) in slopes.chunks_exact_mut(stride).zip(weights) {
                    for (slope, delta) in slope.iter_mut().zip(delta) {
                        *slope += weight * delta;
                    }
                }
            }
            for (slope, &value) in slopes.iter_mut().zip(values) {
                *slope *= match self.activation {
                    HiddenActivation::Tanh => 1.0 - value * value,
                    HiddenActivation::Relu => f32::from(u8::from(value > 0.0)),
                };
            }
        }
    }
}

/// `sum = bias + weights . inputs` for every example; the bias is the last of the weights.
#[inline(always)]
fn weighted_sum(sum: &mut [f32], inputs: &[f32], weights: &[f32]) {
    const TILE: usize = 2 * LANES;
    let stride = sum.len();
    let (bias, weights) = weights.split_last().expect("a neuron has a bias");
    let tiles = stride / TILE * TILE;
    for tile in (0..tiles).step_by(TILE) {
        let mut part = [*bias; TILE];
        for (&weight, input) in weights.iter().zip(inputs.chunks_exact(stride)) {
            let input: &[f32; TILE] = input[tile..].first_chunk().expect("tiles fit into rows");
            for (part, input) in part.iter_mut().zip(input) {
                *part += weight * input;
            }
        }
        sum[tile..tile + TILE].copy_from_slice(&part);
    }
    let rest = &mut sum[tiles..];
    rest.fill(*bias);
    for (&weight, input) in weights.iter().zip(inputs.chunks_exact(stride)) {
        for (sum, input) in rest.iter_mut().zip(&input[tiles..]) {
            *sum += weight * input;
        }
    }
}

/// Derivatives of the loss by the linear outputs; zero in the padding.
#[inline(always)]
fn loss_slope(loss: Loss, batch: &Columns, outputs: &[f32], slopes: &mut [f32]) {
    let share = 1.0 / batch.examples as f32;
    let several = batch.targets.len() > batch.stride;
    match loss {
        Loss::Squared => {
            for ((slope, output), target) in slopes.iter_mut().zip(outputs).zip(&batch.targets) {
                *slope = share * (output - target);
            }
        }
        Loss::Logistic if several => softmax_slope(batch, outputs, slopes),
        Loss::Logistic => {
            // 1 / (1 + exp(-y)) - (t + 1) / 2, by way of the tanh that is at hand. Its tanh is odd to the last bit, so for t = +-1
            // this is -t / (1 + exp(t y)).
            for ((slope, output), target) in slopes.iter_mut().zip(outputs).zip(&batch.targets) {
                *slope = share * 0.5 * (tanh(0.5 * output) - target);
            }
        }
    }
    for row in slopes.chunks_exact_mut(batch.stride) {
        row[batch.examples..].fill(0.0);
    }
}

fn softmax_slope(batch: &Columns, outputs: &[f32], slopes: &mut [f32]) {
    let stride = batch.stride;
    for example in 0..batch.examples {
        let of_class = |rows: &[f32], class: usize| rows[class * stride + example];
        let classes = outputs.len() / stride;
        let highest = (0..classes).map(|class| of_class(outputs, class)).fold(f32::NEG_INFINITY, f32::max);
        let mut total = 0.0;
        for class in 0..classes {
            let weight = libm::expf(of_class(outputs, class) - highest);
            slopes[class * stride + example] = weight;
            total += weight;
        }
        for class in 0..classes {
            // The share of the class: 1 or 0, but for soft targets.
            let truth = 0.5 * (of_class(&batch.targets, class) + 1.0);
            let slope = &mut slopes[class * stride + example];
            *slope = (*slope / total - truth) / batch.examples as f32;
        }
    }
}

/// Sum of products with one partial sum per lane, so that it can be computed in vectors.
#[inline(always)]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0; LANES];
    let (a, b) = (a.as_chunks::<LANES>().0, b.as_chunks::<LANES>().0);
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            lanes[lane] += a[lane] * b[lane];
        }
    }
    lane_sum(lanes)
}

#[inline(always)]
fn sum(values: &[f32]) -> f32 {
    let mut lanes = [0.0; LANES];
    for chunk in values.as_chunks::<LANES>().0 {
        for lane in 0..LANES {
            lanes[lane] += chunk[lane];
        }
    }
    lane_sum(lanes)
}

#[inline(always)]
fn lane_sum(mut lanes: [f32; LANES]) -> f32 {
    for half in [8, 4, 2, 1] {
        for lane in 0..half {
            lanes[lane] += lanes[lane + half];
        }
    }
    lanes[0]
}

/// tanh x to 4e-7, as a ratio of polynomials (the coefficients of Eigen's `ptanh_float`); not a number stays so.
#[inline(always)]
pub(super) fn tanh(x: f32) -> f32 {
    // Beyond it, the nearest f32 to tanh x is 1 within two units in the last place.
    const LIMIT: f32 = 7.905_311;
    let x = x.clamp(-LIMIT, LIMIT);
    let square = x * x;
    let mut numerator = -2.760_768_5e-16;
    for coefficient in
        [2.000_188e-13, -8.604_672e-11, 5.122_297e-8, 1.485_722_4e-5, 6.372_619_3e-4, 4.893_524_6e-3]
    {
        numerator = numerator * square + coefficient;
    }
    let mut denominator = 1.198_258_4e-6;
    for coefficient in [1.185_347_1e-4, 2.268_434_6e-3, 4.893_525e-3] {
        denominator = denominator * square + coefficient;
    }
    x * numerator / denominator
}

//! Which layers a meta step looks at (`FaMUS`, Xu et al. 2021): gradient samplers that learn to open a few gates.

use super::meta::MetaStep;
use crate::rule::number::Number;
use crate::rule::warped_descent::Form;

/// The sampler of a layer: from the pooled gradient of the layer's weights to whether its gate is open.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampler<T> {
    /// `[units, outputs of the layer]`
    pub input: Vec<T>,
    /// `[units]`
    pub bias: Vec<T>,
    /// The slope of the units below 0.
    pub slope: T,
    /// `[off and on, units]`
    pub output: Vec<T>,
    /// Off and on.
    pub offset: [T; 2],
}

/// What a sampler says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gate<T> {
    /// The soft probability that the gate is open.
    pub soft: T,
    /// Whether it is.
    pub is_open: bool,
}

impl<T: Number> Sampler<T> {
    /// The gate of a pooled gradient, with Gumbel variates for off and on.
    pub fn gate(&self, pooled: &[T], gumbel: [T; 2], temperature: T) -> Gate<T> {
        let sums = self.sums(&standard(pooled));
        let units: Vec<T> =
            sums.into_iter().map(|x| if x.value() > 0.0 { x } else { self.slope * x }).collect();
        let (off, on) = self.output.split_at(units.len());
        let logit = |row: &[T], place: usize| product(row, &units) + self.offset[place] + gumbel[place];
        let soft = ((logit(on, 1) - logit(off, 0)) / temperature).sigmoid();
        Gate { soft, is_open: soft.value() > 0.5 }
    }

    /// What its units are given.
    fn sums(&self, standard: &[T]) -> Vec<T> {
        let rows = self.input.chunks_exact(standard.len()).zip(&self.bias);
        rows.map(|(row, &bias)| product(row, standard) + bias).collect()
    }

    /// The slopes of something by its numbers, from that by the logit of "on", of which that by "off" is the negative.
    #[must_use]
    pub fn slopes(&self, pooled: &[T], by_on: T) -> Self {
        let standard = standard(pooled);
        let sums = self.sums(&standard);
        let (off, on) = self.output.split_at(sums.len());
        let (mut input, mut bias, mut slope) = (Vec::new(), Vec::new(), T::of(0.0));
        let mut output = vec![T::of(0.0); self.output.len()];
        for (unit, &sum) in sums.iter().enumerate() {
            let is_above = sum.value() > 0.0;
            let value = by_on * if is_above { sum } else { self.slope * sum };
            (output[unit], output[sums.len() + unit]) = (-value, value);
            let by_unit = by_on * (on[unit] - off[unit]);
            if !is_above {
                slope += by_unit * sum;
            }
            let by_sum = if is_above { by_unit } else { by_unit * self.slope };
            bias.push(by_sum);
            input.extend(standard.iter().map(|&x| by_sum * x));
        }
        Self { input, bias, slope, output, offset: [-by_on, by_on] }
    }

    /// All numbers.
    pub fn numbers_mut(&mut self) -> impl Iterator<Item = &mut T> {
        let Self { input, bias, slope, output, offset } = self;
        input.iter_mut().chain(bias).chain([slope]).chain(output).chain(offset)
    }
}

/// Numbers with mean 0 and deviation 1.
fn standard<T: Number>(pooled: &[T]) -> Vec<T> {
    let count = pooled.len() as f64;
    let mean = sum(pooled.iter().copied()) / T::of(count);
    let squares = sum(pooled.iter().map(|&x| (x - mean) * (x - mean)));
    // Of a single number there is none.
    let deviation = T::of((squares.value() / (count - 1.0).max(1.0)).sqrt() + 1e-9);
    pooled.iter().map(|&x| (x - mean) / deviation).collect()
}

/// What the number of open gates should be, and what it costs if it is another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Expected<T> {
    /// Open gates, without the last layer's, which is always open.
    pub gates: T,
    /// The weight of the squared difference.
    pub penalty: T,
    /// Of the samplers' softmax.
    pub temperature: T,
}

/// The mean of a layer's gradient over its inputs, one number for each output.
pub fn pooled<T: Number>(form: &Form, gradient: &[T], layer: usize) -> Vec<T> {
    let (inputs, outputs) = (form.layers[layer], form.layers[layer + 1]);
    let matrix = &gradient[form.weights(layer)][..inputs * outputs];
    let of_output =
        |output: usize| sum(matrix.iter().skip(output).step_by(outputs).copied()) / T::of(inputs as f64);
    (0..outputs).map(of_output).collect()
}

/// The slope of the clean loss and the penalty by each sampler's logit of "on"; by "off" it is the negative. An open gate scales its
/// layer's part of the virtual update, a closed one scales it by 1 minus itself: that gives both a slope.
pub fn gate_gradients<T: Number>(
    form: &Form,
    step: &MetaStep<T>,
    gates: &[Gate<T>],
    rate: T,
    expected: Expected<T>,
) -> Vec<T> {
    let open = T::of(gates.iter().filter(|gate| gate.is_open).count() as f64);
    let of_penalty = T::of(2.0) * expected.penalty * (open - expected.gates);
    let of_layer = |(layer, gate): (usize, &Gate<T>)| {
        let range = form.weights(layer);
        let along = rate * product(&step.gradient[range.clone()], &step.clean_gradient[range]);
        let of_gate = if gate.is_open { of_penalty - along } else { of_penalty + along };
        of_gate * gate.soft * (T::of(1.0) - gate.soft) / expected.temperature
    };
    gates.iter().enumerate().map(of_layer).collect()
}

/// By how much the pooled gradients of the last layer differ, training from clean, and the slope of that by the weight function; the
/// clean one is held.
pub fn agreement<T: Number>(form: &Form, step: &MetaStep<T>) -> (T, Vec<T>) {
    let last = form.layers.len() - 2;
    let (inputs, outputs) = (form.layers[last], form.layers[last + 1]);
    let [training, clean] =
        [&step.gradient, &step.clean_gradient].map(|gradient| pooled(form, gradient, last));
    let difference: Vec<T> = training.iter().zip(&clean).map(|(&x, &y)| x - y).collect();
    let width = step.share_slopes.len() / step.losses.len();
    let mut slopes = vec![T::of(0.0); width];
    let examples = step.last.0.chunks_exact(inputs).zip(step.last.1.chunks_exact(outputs));
    for ((given, errors), of_share) in examples.zip(step.share_slopes.chunks_exact(width)) {
        let mean = sum(given.iter().copied()) / T::of(inputs as f64);
        let by_share = T::of(2.0) * mean * product(errors, &difference);
        slopes.iter_mut().zip(of_share).for_each(|(sum, &slope)| *sum += by_share * slope);
    }
    (product(&difference, &difference), slopes)
}

fn sum<T: Number>(values: impl Iterator<Item = T>) -> T {
    values.fold(T::of(0.0), |sum, x| sum + x)
}

fn product<T: Number>(x: &[T], y: &[T]) -> T {
    sum(x.iter().zip(y).map(|(&x, &y)| x * y))
}

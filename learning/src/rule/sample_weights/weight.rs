//! The weight function, and what it is worth by its parameters.

use hebbian_shared::genome::{Genome, GenomeLayout};
use hebbian_shared::spec::rule::sample_weights::Normalise;

use crate::rule::number::Number;

/// `V = sigmoid(offset + sum_h output_h relu(input_h . phi + bias_h))`, where phi is the loss and, maybe, the progress.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WeightFunction<T> {
    /// `[H, F]`
    pub input: Vec<T>,
    /// `[H]`
    pub bias: Vec<T>,
    /// `[H]`
    pub output: Vec<T>,
    /// One number.
    pub offset: T,
}

impl WeightFunction<f32> {
    /// The same numbers in f64.
    pub(super) fn widened(&self) -> WeightFunction<f64> {
        let of = |numbers: &[f32]| numbers.iter().copied().map(f64::from).collect();
        let (input, bias, output) = (of(&self.input), of(&self.bias), of(&self.output));
        WeightFunction { input, bias, output, offset: f64::from(self.offset) }
    }
}

impl<T: Number> WeightFunction<T> {
    /// Reads a genome. Whether it has the layout's dimension.
    #[must_use]
    pub fn read(&mut self, layout: &GenomeLayout, genome: &Genome) -> bool {
        for (name, into) in
            [("input", &mut self.input), ("bias", &mut self.bias), ("output", &mut self.output)]
        {
            let Some(values) = layout.each_parameter(name, genome) else { return false };
            into.clear();
            into.extend(values.map(T::of));
        }
        let offset = layout.each_parameter("offset", genome).and_then(|mut values| values.next());
        self.offset = T::of(offset.unwrap_or_default());
        offset.is_some()
    }

    /// All numbers, in the order of [`WeightFunction::slopes`].
    pub fn numbers_mut(&mut self) -> impl Iterator<Item = &mut T> {
        let Self { input, bias, output, offset } = self;
        input.iter_mut().chain(bias).chain(output).chain([offset])
    }

    /// What a hidden unit is given.
    #[inline(always)]
    fn sum(&self, unit: usize, loss: T, progress: Option<T>) -> T {
        match progress {
            None => self.input[unit] * loss + self.bias[unit],
            Some(progress) => {
                self.input[2 * unit] * loss + self.input[2 * unit + 1] * progress + self.bias[unit]
            }
        }
    }

    /// How much an example of this loss counts, from 0 to 1.
    #[inline(always)]
    pub fn weight(&self, loss: T, progress: Option<T>) -> T {
        let mut total = self.offset;
        for (unit, &output) in self.output.iter().enumerate() {
            let sum = self.sum(unit, loss, progress);
            if sum.value() > 0.0 {
                total += output * sum;
            }
        }
        total.sigmoid()
    }

    /// Numbers of the function.
    pub fn parameters(&self) -> usize {
        self.input.len() + 2 * self.output.len() + 1
    }

    /// The slopes of the weight by input, bias, output and offset. The loss is a constant.
    pub fn slopes(&self, loss: T, progress: Option<T>) -> Vec<T> {
        let weight = self.weight(loss, progress);
        let slope = weight * (T::of(1.0) - weight);
        let (units, features) = (self.output.len(), 1 + usize::from(progress.is_some()));
        let mut slopes = vec![T::of(0.0); self.parameters()];
        let (by_input, rest) = slopes.split_at_mut(units * features);
        for (unit, &output) in self.output.iter().enumerate() {
            let sum = self.sum(unit, loss, progress);
            if sum.value() > 0.0 {
                by_input[unit * features] = slope * output * loss;
                if let Some(progress) = progress {
                    by_input[unit * features + 1] = slope * output * progress;
                }
                rest[unit] = slope * output;
                rest[units + unit] = slope * sum;
            }
        }
        rest[2 * units] = slope;
        slopes
    }

    /// The slope of the weight by the loss.
    pub fn slope_by_loss(&self, loss: T, progress: Option<T>) -> T {
        let weight = self.weight(loss, progress);
        let features = 1 + usize::from(progress.is_some());
        let mut sum = T::of(0.0);
        for (unit, &output) in self.output.iter().enumerate() {
            if self.sum(unit, loss, progress).value() > 0.0 {
                sum += output * self.input[unit * features];
            }
        }
        weight * (T::of(1.0) - weight) * sum
    }
}

/// Divides weights by their sum, unless it is 0, or by their number.
#[inline(always)]
pub fn normalise<T: Number>(how: Normalise, weights: &mut [T]) {
    let divisor = match how {
        Normalise::Sum => weights.iter().fold(T::of(0.0), |sum, &weight| sum + weight),
        Normalise::Mean => T::of(weights.len() as f64),
    };
    if divisor.value() != 0.0 {
        for weight in weights {
            *weight = *weight / divisor;
        }
    }
}

/// From the slopes of weights, `[example, parameter]`, to those of the normalised weights.
pub fn normalised_slopes<T: Number>(how: Normalise, weights: &[T], slopes: &[T]) -> Vec<T> {
    let width = slopes.len() / weights.len();
    let sum = weights.iter().fold(T::of(0.0), |sum, &weight| sum + weight);
    let count = T::of(weights.len() as f64);
    let column = |place: usize| slopes.iter().skip(place).step_by(width).fold(T::of(0.0), |sum, &x| sum + x);
    let totals: Vec<T> = (0..width).map(column).collect();
    let of_example = |(&weight, row): (&T, &[T])| -> Vec<T> {
        let of_parameter = |(&slope, &total): (&T, &T)| match how {
            Normalise::Mean => slope / count,
            Normalise::Sum if sum.value() == 0.0 => slope,
            Normalise::Sum => slope / sum - weight * total / (sum * sum),
        };
        row.iter().zip(&totals).map(of_parameter).collect()
    };
    weights.iter().zip(slopes.chunks_exact(width)).flat_map(of_example).collect()
}

//! A perceptron with a warp after each hidden layer: forward, and back to its weights and to the warps.

use hebbian_shared::spec::rule::gradient_descent::HiddenActivation;
use hebbian_shared::spec::rule::warped_descent::Warp;

use super::form::Form;
use super::product::{Left, add_product, transpose};
use super::warp::{self, add_rows};
use crate::rule::loss::Descended;
use crate::rule::number::Number;

/// Memory of a pass over a batch; weights and parameters are the caller's.
#[derive(Debug)]
pub struct Network<T> {
    form: Form,
    layers: Vec<Layer<T>>,
    targets: Vec<T>,
    room: warp::Room<T>,
    /// A matrix on its side.
    transposed: Vec<T>,
}

/// What a layer of weights and the warp before it make of a batch.
#[derive(Debug, Default)]
struct Layer<T> {
    /// What the weights are given, `[examples, inputs]`.
    given: Vec<T>,
    /// What they give, `[examples, outputs]`; in hidden layers after the activation.
    values: Vec<T>,
    /// What a residual warp behind it keeps, `[examples, groups, rank]`.
    kept: Vec<T>,
    /// The gradient by what they give, `[examples, outputs]`.
    errors: Vec<T>,
}

impl<T: Number> Network<T> {
    /// A network of a form.
    pub fn new(form: Form) -> Self {
        let layers = (0..form.depth()).map(|_| Layer::default()).collect();
        Self { form, layers, targets: Vec::new(), room: warp::Room::default(), transposed: Vec::new() }
    }

    /// Its form.
    pub fn form(&self) -> &Form {
        &self.form
    }

    /// The outputs of the last pass, `[examples, outputs]`.
    pub fn outputs(&self) -> &[T] {
        &self.layers[self.layers.len() - 1].values
    }

    /// Computes the outputs of a batch.
    #[inline(always)]
    pub fn forward<I: Number>(&mut self, weights: &[T], parameters: &[T], inputs: &[I]) {
        let Self { form, layers, transposed, .. } = self;
        let depth = form.depth();
        let examples = inputs.len() / form.layers[0];
        layers[0].given.clear();
        layers[0].given.extend(inputs.iter().map(|input| T::of(input.value())));
        for place in 0..depth {
            let (width, outputs) = (form.layers[place], form.layers[place + 1]);
            let (before, rest) = layers.split_at_mut(place + 1);
            let layer = &mut before[place];
            let (matrix, biases) = weights[form.weights(place)].split_at(width * outputs);
            layer.values.resize(examples * outputs, T::of(0.0));
            for value in layer.values.chunks_exact_mut(outputs) {
                value.copy_from_slice(biases);
            }
            let given = Left { values: &layer.given, row: width, term: 1 };
            add_product(&mut layer.values, given, matrix, outputs);
            let Some(next) = rest.first_mut() else { break };
            match form.options.hidden_activation {
                // Loops, not closures: a closure that is not inlined is compiled without the instructions of this CPU.
                HiddenActivation::Tanh => {
                    for value in &mut layer.values {
                        *value = value.tanh();
                    }
                }
                HiddenActivation::Relu => {
                    for value in &mut layer.values {
                        // Not a number stays what it is.
                        if value.value() <= 0.0 {
                            *value = T::of(0.0);
                        }
                    }
                }
            }
            let (at, rank) = (form.warp(place), rank(form));
            next.given.resize(examples * outputs, T::of(0.0));
            layer.kept.resize(examples * outputs / at.width * rank, T::of(0.0));
            let warp = (form.options.warp, at, parameters);
            warp::forward(warp, &layer.values, &mut next.given, &mut layer.kept, transposed);
        }
    }

    /// The loss of the last pass, whose gradient is kept for [`Network::backward`].
    #[inline(always)]
    pub fn measure<I: Number>(&mut self, descended: Descended, targets: &[I]) -> T {
        self.targets.clear();
        self.targets.extend(targets.iter().map(|target| T::of(target.value())));
        let width = self.form.layers[self.form.depth()];
        let last = self.layers.last_mut().expect("there is a layer of weights");
        last.errors.resize(last.values.len(), T::of(0.0));
        descended.of(&last.values, &self.targets, &mut last.errors, width)
    }

    /// The loss of each example of the last pass, whose gradients are kept for [`Network::backward`] as if the loss were their sum.
    #[inline(always)]
    pub fn measure_each<I: Number>(&mut self, descended: Descended, targets: &[I], losses: &mut Vec<T>) {
        self.targets.clear();
        self.targets.extend(targets.iter().map(|target| T::of(target.value())));
        let width = self.form.layers[self.form.depth()];
        let Self { layers, targets, .. } = self;
        let last = layers.last_mut().expect("there is a layer of weights");
        last.errors.resize(last.values.len(), T::of(0.0));
        losses.clear();
        let examples = last.values.chunks_exact(width).zip(targets.chunks_exact(width));
        for ((outputs, targets), errors) in examples.zip(last.errors.chunks_exact_mut(width)) {
            losses.push(descended.of_example(outputs, targets, errors));
        }
    }

    /// Lets each example count by its share in what [`Network::measure_each`] kept.
    #[inline(always)]
    pub fn weigh(&mut self, shares: &[T]) {
        let width = self.form.layers[self.form.depth()];
        let last = self.layers.last_mut().expect("there is a layer of weights");
        for (errors, &share) in last.errors.chunks_exact_mut(width).zip(shares) {
            for error in errors {
                *error = *error * share;
            }
        }
    }

    /// What a layer of weights was given, `[examples, inputs]`.
    pub fn given(&self, layer: usize) -> &[T] {
        &self.layers[layer].given
    }

    /// The gradient by what a layer of weights gives before its activation, after [`Network::backward`], `[examples, outputs]`.
    pub fn errors(&self, layer: usize) -> &[T] {
        &self.layers[layer].errors
    }

    /// Writes the gradient by the weights of the loss that was measured last into `gradient`. Adds that by the warps to
    /// `of_parameters`, if it is wanted.
    #[inline(always)]
    pub fn backward(
        &mut self,
        weights: &[T],
        parameters: &[T],
        gradient: &mut [T],
        mut of_parameters: Option<&mut [T]>,
    ) {
        let Self { form, layers, room, transposed, .. } = self;
        gradient.fill(T::of(0.0));
        for place in (0..form.depth()).rev() {
            let (width, outputs) = (form.layers[place], form.layers[place + 1]);
            let (before, rest) = layers.split_at_mut(place);
            let layer = &rest[0];
            let (of_matrix, of_biases) = gradient[form.weights(place)].split_at_mut(width * outputs);
            let given = Left { values: &layer.given, row: 1, term: width };
            add_product(of_matrix, given, &layer.errors, outputs);
            add_rows(of_biases, &layer.errors);
            let Some(below) = before.last_mut() else { break };
            let matrix = &weights[form.weights(place)][..width * outputs];
            transpose(matrix, outputs, transposed);
            below.errors.clear();
            below.errors.resize(below.values.len(), T::of(0.0));
            let errors = Left { values: &layer.errors, row: outputs, term: 1 };
            add_product(&mut below.errors, errors, transposed, width);
            let warp = (form.options.warp, form.warp(place - 1), parameters);
            let seen = (&below.values[..], &below.kept[..]);
            warp::backward(warp, seen, &mut below.errors, room, of_parameters.as_deref_mut());
            for (error, &h) in below.errors.iter_mut().zip(&below.values) {
                match form.options.hidden_activation {
                    HiddenActivation::Tanh => *error = *error * (T::of(1.0) - h * h),
                    HiddenActivation::Relu if h.value() > 0.0 => {}
                    HiddenActivation::Relu => *error = T::of(0.0),
                }
            }
        }
    }
}

/// Numbers that a group's warp keeps.
fn rank(form: &Form) -> usize {
    if form.options.warp == Warp::Residual { form.options.rank as usize } else { 0 }
}

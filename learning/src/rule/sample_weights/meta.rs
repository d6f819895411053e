//! The gradient of a clean loss by the weight function through one update, layer by layer, without second derivatives
//! (Xu et al. 2021, eq. 7).
#![expect(clippy::inline_always, reason = "kernels must be inlined into the function that enables AVX")]

use hebbian_shared::spec::rule::sample_weights::Normalise;

use super::weight::{WeightFunction, normalise, normalised_slopes};
use crate::rule::loss::Descended;
use crate::rule::number::Number;
use crate::rule::warped_descent::Network;

/// What a meta step found.
#[derive(Clone, Debug, PartialEq)]
pub struct MetaStep<T> {
    /// Loss of each example.
    pub losses: Vec<T>,
    /// Weight of each example before and after normalisation.
    pub weights: Vec<T>,
    /// After it.
    pub shares: Vec<T>,
    /// Gradient of the weighted loss by the network's weights.
    pub gradient: Vec<T>,
    /// Weights after the virtual update.
    pub virtual_weights: Vec<T>,
    /// Mean loss of the clean examples at the virtual weights.
    pub clean_loss: T,
    /// Its gradient.
    pub clean_gradient: Vec<T>,
    /// `[layer][example]`: product of the gradient of the example's own loss with the clean gradient.
    pub alignment: Vec<Vec<T>>,
    /// `[example, parameter]`: slopes of the shares by the weight function.
    pub share_slopes: Vec<T>,
    /// What the last layer of weights was given, and the gradient of each example's own loss by what it gives.
    pub last: (Vec<T>, Vec<T>),
    /// `[layer][parameter]`: what the layer adds to the gradient by the weight function.
    pub layer_gradients: Vec<Vec<T>>,
}

impl<T: Number> MetaStep<T> {
    /// The sum over the layers whose gate is open.
    pub fn gated(&self, gates: &[bool]) -> Vec<T> {
        let mut sum = vec![T::of(0.0); self.layer_gradients[0].len()];
        let open = self.layer_gradients.iter().zip(gates).filter(|(_, gate)| **gate);
        for (gradient, _) in open {
            sum.iter_mut().zip(gradient).for_each(|(sum, &value)| *sum += value);
        }
        sum
    }
}

/// Inputs and targets.
type Examples<'a, T> = (&'a [T], &'a [T]);

/// One step from weights: training examples, clean examples, each inputs and targets; the learning rate and how weights are
/// normalised. The weight function is given the loss alone.
#[inline(always)]
pub fn step<T: Number>(
    network: &mut Network<T>,
    weights: &[T],
    function: &WeightFunction<T>,
    (training, clean): (Examples<'_, T>, Examples<'_, T>),
    (rate, how): (T, Normalise),
) -> MetaStep<T> {
    let layers = network.form().layers.clone();
    let depth = layers.len() - 1;
    let mut losses = Vec::new();
    network.forward(weights, &[], training.0);
    network.measure_each(Descended::Logistic, training.1, &mut losses);
    let of_weights: Vec<T> = losses.iter().map(|&loss| function.weight(loss, None)).collect();
    let mut shares = of_weights.clone();
    normalise(how, &mut shares);
    // The errors of each example's own loss, layer by layer.
    let mut gradient = vec![T::of(0.0); weights.len()];
    network.backward(weights, &[], &mut gradient, None);
    let given: Vec<Vec<T>> = (0..depth).map(|layer| network.given(layer).to_vec()).collect();
    let errors: Vec<Vec<T>> = (0..depth).map(|layer| network.errors(layer).to_vec()).collect();
    network.weigh(&shares);
    network.backward(weights, &[], &mut gradient, None);
    let virtual_weights: Vec<T> = weights.iter().zip(&gradient).map(|(&w, &g)| w - rate * g).collect();
    let mut clean_gradient = vec![T::of(0.0); weights.len()];
    network.forward(&virtual_weights, &[], clean.0);
    let clean_loss = network.measure(Descended::Logistic, clean.1);
    network.backward(&virtual_weights, &[], &mut clean_gradient, None);
    // d . (C a + c) of each example: as much work as a forward pass.
    let aligned = |layer: usize| -> Vec<T> {
        let (inputs, outputs) = (layers[layer], layers[layer + 1]);
        let (matrix, biases) = clean_gradient[network.form().weights(layer)].split_at(inputs * outputs);
        let along =
            |d: &[T], row: &[T]| d.iter().zip(row).fold(T::of(0.0), |sum, (&d, &slope)| sum + d * slope);
        let of_example = |(a, d): (&[T], &[T])| {
            let rows = a.iter().zip(matrix.chunks_exact(outputs));
            rows.fold(along(d, biases), |sum, (&a, row)| sum + a * along(d, row))
        };
        given[layer].chunks_exact(inputs).zip(errors[layer].chunks_exact(outputs)).map(of_example).collect()
    };
    let alignment: Vec<Vec<T>> = (0..depth).map(aligned).collect();
    let slopes: Vec<T> = losses.iter().flat_map(|&loss| function.slopes(loss, None)).collect();
    let slopes = normalised_slopes(how, &of_weights, &slopes);
    let width = function.parameters();
    let of_layer = |alignment: &Vec<T>| -> Vec<T> {
        let mut sum = vec![T::of(0.0); width];
        for (&alignment, slopes) in alignment.iter().zip(slopes.chunks_exact(width)) {
            sum.iter_mut().zip(slopes).for_each(|(sum, &slope)| *sum += -rate * alignment * slope);
        }
        sum
    };
    let layer_gradients = alignment.iter().map(of_layer).collect();
    MetaStep {
        losses,
        weights: of_weights,
        shares,
        gradient,
        virtual_weights,
        clean_loss,
        clean_gradient,
        alignment,
        share_slopes: slopes,
        last: (given[depth - 1].clone(), errors[depth - 1].clone()),
        layer_gradients,
    }
}

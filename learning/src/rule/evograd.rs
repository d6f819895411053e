//! The gradient of a clean loss by what a training loss depends on, without differentiating through an update (`EvoGrad`, Bohdal et al.
//! 2021): copies of the network are moved at random, weighed by how well each does in training, and the clean loss is asked how it
//! depends on these weights.

/// A training loss that depends on a network's weights and on lambda, and a clean loss of the weights alone.
pub trait Response {
    /// The training loss at some weights. Writes its slope by lambda, the weights being held, to `by_lambda`.
    fn training_loss(&mut self, weights: &[f64], by_lambda: &mut [f64]) -> f64;

    /// Writes the gradient of the clean loss at some weights.
    fn clean_gradient(&mut self, weights: &[f64], gradient: &mut [f64]);

    /// Numbers of lambda.
    fn dimension(&self) -> usize;
}

/// An estimate with the steps that lead to it.
#[derive(Clone, Debug, PartialEq)]
pub struct GradientEstimate {
    /// Training loss of each copy.
    pub losses: Vec<f64>,
    /// Its softmax at minus the temperature: what each copy counts.
    pub weights: Vec<f64>,
    /// The mean network.
    pub merged: Vec<f64>,
    /// The slope of the clean loss by each copy's training loss.
    pub coefficients: Vec<f64>,
    /// `[copy][number of lambda]`
    pub by_lambda: Vec<Vec<f64>>,
    /// The slope of the clean loss by lambda through the weights of the copies.
    pub gradient: Vec<f64>,
}

/// What copies count: the softmax of their losses over minus the temperature.
pub fn weights(losses: &[f64], temperature: f64) -> Vec<f64> {
    let least = losses.iter().copied().fold(f64::INFINITY, f64::min);
    let weights: Vec<f64> = losses.iter().map(|loss| libm::exp((least - loss) / temperature)).collect();
    let sum: f64 = weights.iter().sum();
    weights.into_iter().map(|weight| weight / sum).collect()
}

/// The estimate of copies `theta + sigma * perturbation`.
pub fn estimate(
    response: &mut dyn Response,
    theta: &[f64],
    perturbations: &[Vec<f64>],
    (sigma, temperature): (f64, f64),
) -> GradientEstimate {
    let dimension = response.dimension();
    let (mut losses, mut by_lambda) = (Vec::new(), Vec::new());
    for perturbation in perturbations {
        let copy: Vec<f64> = theta.iter().zip(perturbation).map(|(x, by)| x + sigma * by).collect();
        let mut slopes = vec![0.0; dimension];
        losses.push(response.training_loss(&copy, &mut slopes));
        by_lambda.push(slopes);
    }
    let weights = weights(&losses, temperature);
    let mut merged = theta.to_vec();
    for (weight, perturbation) in weights.iter().zip(perturbations) {
        merged.iter_mut().zip(perturbation).for_each(|(x, by)| *x += sigma * weight * by);
    }
    let mut clean = vec![0.0; theta.len()];
    response.clean_gradient(&merged, &mut clean);
    let slopes: Vec<f64> =
        perturbations.iter().map(|perturbation| sigma * product(&clean, perturbation)).collect();
    let mean = product(&weights, &slopes);
    let coefficients: Vec<f64> =
        weights.iter().zip(&slopes).map(|(weight, slope)| -(weight / temperature) * (slope - mean)).collect();
    let mut gradient = vec![0.0; dimension];
    for (coefficient, slopes) in coefficients.iter().zip(&by_lambda) {
        gradient.iter_mut().zip(slopes).for_each(|(sum, slope)| *sum += coefficient * slope);
    }
    GradientEstimate { losses, weights, merged, coefficients, by_lambda, gradient }
}

/// The directed variant (ours): two copies, up and down the gradient of the clean loss. Over [`effective_rate`] it is the gradient
/// through one small step, by central differences.
pub fn directed(
    response: &mut dyn Response,
    theta: &[f64],
    (sigma, temperature): (f64, f64),
) -> GradientEstimate {
    let mut up = vec![0.0; theta.len()];
    response.clean_gradient(theta, &mut up);
    let length = product(&up, &up).sqrt();
    if length > 0.0 {
        for x in &mut up {
            *x /= length;
        }
    }
    let down = up.iter().map(|x| -x).collect();
    estimate(response, theta, &[up, down], (sigma, temperature))
}

/// The length of the one gradient step whose slope by lambda an estimate of so many copies has on average, for small sigma.
pub fn effective_rate((sigma, temperature): (f64, f64), copies: usize, is_antithetic: bool) -> f64 {
    let seen = if is_antithetic { 1.0 } else { 1.0 - 1.0 / copies as f64 };
    sigma * sigma / temperature * seen
}

fn product(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

//! What a task does to the pixels of an image set.

use hebbian_shared::seed::{ChaCha8Rng, fill_normal, index_below, permutation, uniform_between};
use hebbian_shared::spec::task::InputAugmentation;

use super::ImageSet;
use crate::task::linear::{self, squares};

/// The most principal components that [`InputAugmentation::Principal`] strengthens.
pub(super) const COMPONENTS_MAX: usize = 5;
/// The logarithm of the largest factor of a principal component.
const COMPONENT_LOG_MAX: f64 = 1.2;
/// Standard deviation of the logarithm of the scale that all inputs of [`InputAugmentation::Spectrum`] share.
const SCALE_DEVIATION: f64 = 0.25;

/// How inputs come from pixels.
#[derive(Debug)]
pub(super) enum Inputs {
    Original,
    /// Input i is pixel `[i]`.
    Permuted(Vec<u32>),
    /// Inputs are pixels times this matrix, `[pixel, input]`.
    Projected(Vec<f32>),
}

impl Inputs {
    /// Draws what a task does to the images of a set.
    pub(super) fn draw(augmentation: InputAugmentation, images: &ImageSet, rng: &mut ChaCha8Rng) -> Self {
        let pixels = images.pixels();
        match augmentation {
            InputAugmentation::Original => Self::Original,
            InputAugmentation::Permuted => Self::Permuted(permutation(rng, pixels as u32)),
            InputAugmentation::Projected => Self::Projected(narrow(&projection(rng, pixels))),
            InputAugmentation::Spectrum => Self::Projected(narrow(&spectrum(rng, pixels))),
            InputAugmentation::Principal => {
                Self::Projected(narrow(&principal(rng, images.components(), pixels)))
            }
        }
    }

    /// Writes the inputs of an image.
    pub(super) fn write(&self, pixels: &[f32], inputs: &mut [f32]) {
        match self {
            Self::Original => inputs.copy_from_slice(pixels),
            Self::Permuted(order) => {
                for (input, &pixel) in inputs.iter_mut().zip(order) {
                    *input = pixels[pixel as usize];
                }
            }
            Self::Projected(matrix) => linear::times(pixels, matrix, inputs),
        }
    }
}

fn narrow(matrix: &[f64]) -> Vec<f32> {
    matrix.iter().map(|&x| x as f32).collect()
}

/// A normal matrix that keeps the variance on average.
fn projection(rng: &mut ChaCha8Rng, pixels: usize) -> Vec<f64> {
    let mut matrix = vec![0.0; pixels * pixels];
    fill_normal(rng, &mut matrix);
    let scale = 1.0 / (pixels as f64).sqrt();
    for x in &mut matrix {
        *x *= scale;
    }
    matrix
}

/// A rotation whose inputs have log-normal factors of mean square 1, and a scale.
fn spectrum(rng: &mut ChaCha8Rng, pixels: usize) -> Vec<f64> {
    let directions = linear::rotation(rng, pixels);
    let mut logarithms = vec![0.0; pixels + 1];
    fill_normal(rng, &mut logarithms);
    let scale = libm::exp(SCALE_DEVIATION * logarithms[pixels]);
    let factors: Vec<f64> = logarithms[..pixels].iter().map(|&logarithm| libm::exp(logarithm)).collect();
    let scale = scale / (squares(&factors) / pixels as f64).sqrt();
    let mut matrix = vec![0.0; pixels * pixels];
    for (input, (direction, factor)) in directions.chunks_exact(pixels).zip(&factors).enumerate() {
        for (pixel, x) in direction.iter().enumerate() {
            matrix[pixel * pixels + input] = scale * factor * x;
        }
    }
    matrix
}

/// The first one to five of the principal `components`, each times its factor, and then a projection.
fn principal(rng: &mut ChaCha8Rng, components: &[f32], pixels: usize) -> Vec<f64> {
    let count = 1 + index_below(rng, (components.len() / pixels) as u32) as usize;
    let factors: Vec<f64> =
        (0..count).map(|_| libm::exp(uniform_between(rng, 0.0, COMPONENT_LOG_MAX))).collect();
    let mut matrix = projection(rng, pixels);
    let mut strengthened = vec![0.0; pixels];
    for (component, factor) in components.chunks_exact(pixels).zip(&factors) {
        // Components are orthogonal, so none changes what another one finds.
        strengthened.fill(0.0);
        for (&weight, row) in component.iter().zip(matrix.chunks_exact(pixels)) {
            for (sum, x) in strengthened.iter_mut().zip(row) {
                *sum += f64::from(weight) * x;
            }
        }
        for (&weight, row) in component.iter().zip(matrix.chunks_exact_mut(pixels)) {
            for (x, sum) in row.iter_mut().zip(&strengthened) {
                *x += (factor - 1.0) * f64::from(weight) * sum;
            }
        }
    }
    matrix
}

#[cfg(test)]
mod tests {
    use hebbian_shared::seed::Seed;

    use super::*;
    use crate::task::embedded;

    fn drawn(augmentation: InputAugmentation, seed: u64) -> Vec<f32> {
        let images = embedded::DIGITS.images().unwrap();
        match Inputs::draw(augmentation, &images, &mut Seed::new(seed).unwrap().rng()) {
            Inputs::Projected(matrix) => matrix,
            other => panic!("{other:?}"),
        }
    }

    /// Of each input, the sum of squares of its column.
    fn powers(matrix: &[f32]) -> Vec<f64> {
        let square = |row: usize, input: usize| f64::from(matrix[row * 64 + input]).powi(2);
        (0..64).map(|input| (0..64).map(|row| square(row, input)).sum()).collect()
    }

    #[test]
    fn a_spectrum_is_a_rotation_with_log_normal_factors_and_a_scale() {
        let (mut scales, mut logarithms) = (Vec::new(), Vec::new());
        for seed in 0..200 {
            let matrix = drawn(InputAugmentation::Spectrum, seed);
            let powers = powers(&matrix);
            let column = |input: usize| (0..64).map(move |row| row * 64 + input);
            let product: f64 =
                column(3).zip(column(40)).map(|(a, b)| f64::from(matrix[a]) * f64::from(matrix[b])).sum();
            assert!(
                product.abs() < 1e-5 * (powers[3] * powers[40]).sqrt(),
                "inputs are orthogonal: {product}"
            );
            // The mean square of the factors is 1, so this is the scale.
            scales.push(0.5 * libm::log(powers.iter().sum::<f64>() / 64.0));
            logarithms.extend(powers.iter().map(|&power| 0.5 * libm::log(power)));
        }
        let deviation = |values: &[f64]| {
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let variance = values.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / values.len() as f64;
            (mean, variance.sqrt())
        };
        let (mean, scale) = deviation(&scales);
        // Four standard errors: .25 / sqrt(200) of the mean, .25 / sqrt(400) of the deviation.
        assert!(mean.abs() < 0.071 && (scale - 0.25).abs() < 0.05, "{mean} {scale}");
        let within: Vec<f64> = logarithms.chunks_exact(64).map(|of_task| deviation(of_task).1).collect();
        let (within, _) = deviation(&within);
        assert!((within - 1.0).abs() < 0.03, "{within}");
    }

    #[test]
    fn principal_strengthens_leading_components_only() {
        let images = embedded::DIGITS.images().unwrap();
        let components = images.components();
        // Before the projection: what strengthening does to a direction shows in the mean of its squared image.
        let length = |matrix: &[f32], direction: &[f32]| {
            let mut image = vec![0.0; 64];
            linear::times(direction, matrix, &mut image);
            image.iter().map(|&x| f64::from(x * x)).sum::<f64>()
        };
        let mut means = [0.0; 6];
        let mut last = vec![0.0; 64];
        last[0] = 1.0; // The first pixel of a digit is never set: far from every leading component.
        for seed in 0..400 {
            let matrix = drawn(InputAugmentation::Principal, seed);
            for (mean, direction) in means.iter_mut().zip(components.chunks_exact(64).chain([&last[..]])) {
                *mean += length(&matrix, direction) / 400.0;
            }
        }
        // The mean of e^(2 U(0, 1.2)) is 4.18; component c is strengthened in (5 - c) of 5 tasks.
        for (component, mean) in means[..5].iter().enumerate() {
            let expected = 1.0 + (4.18 - 1.0) * (5 - component) as f64 / 5.0;
            assert!((mean - expected).abs() < 0.15 * expected, "{component}: {mean}, not {expected}");
        }
        assert!((means[5] - 1.0).abs() < 0.1, "{}", means[5]);
    }
}

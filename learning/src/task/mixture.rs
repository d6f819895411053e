//! Tasks that stand in for images: classes that are mixtures of Gaussian clusters, half of the tasks clipped like pixels.

use hebbian_shared::seed::{ChaCha8Rng, Purpose, Seed, fill_normal, index_below, uniform_between};
use hebbian_shared::spec::task::{TaskFamily, TaskSpec};

use super::linear::{rotation, times};
use super::{Task, TaskDistribution, TaskError, TaskSizes};

/// Inputs of every task, as many as an 8x8 image has.
const INPUTS: usize = 64;
/// Clusters of a class, at most.
const CLUSTERS_MAX: u32 = 3;
/// The variance along axis i falls as i to minus this power.
const SPECTRUM_POWER: [f64; 2] = [0.5, 1.5];
/// Deviation of points from their cluster's centre, where centres have the deviation 1.
const SPREAD: [f64; 2] = [0.5, 1.0];
/// What is added before a value is clipped to 0 .. 1, and what it is multiplied by before.
const CLIP_LEVEL: [f64; 2] = [0.0, 0.5];
const CLIP_GAIN: [f64; 2] = [0.25, 0.6];
/// Examples that tell a task's means and its standard deviation.
const STANDARD_EXAMPLES: usize = 256;

pub(super) struct MixtureDistribution {
    sizes: TaskSizes,
}

impl MixtureDistribution {
    pub(super) fn new(spec: &TaskSpec) -> Self {
        let sizes = TaskSizes {
            inputs: INPUTS,
            outputs: spec.outputs(TaskFamily::SyntheticMixture) as usize,
            support: spec.batch_size as usize,
            query: spec.query_size as usize,
        };
        Self { sizes }
    }
}

impl TaskDistribution for MixtureDistribution {
    fn sample(&self, seed: Seed) -> Result<Box<dyn Task>, TaskError> {
        let mixture = Mixture::draw(&mut seed.derive(Purpose::Task, 0).rng(), self.sizes.outputs);
        Ok(Box::new(MixtureTask { mixture, sizes: self.sizes, seed }))
    }
}

/// Clusters, and how their points become inputs: `(clip(centre + spread z axes) - mean) / deviation` with normal z.
struct Mixture {
    /// `[axis, input]`: directions as long as the points' deviation along them.
    axes: Vec<f32>,
    /// Of each class, the centres of its clusters.
    classes: Vec<Vec<Vec<f32>>>,
    clip: Option<Clip>,
    means: [f32; INPUTS],
    deviation: f32,
}

#[derive(Clone, Copy)]
struct Clip {
    level: f32,
    gain: f32,
}

impl Mixture {
    fn draw(rng: &mut ChaCha8Rng, classes: usize) -> Self {
        let between = |rng: &mut ChaCha8Rng, [low, high]: [f64; 2]| uniform_between(rng, low, high);
        let power = between(rng, SPECTRUM_POWER);
        let spread = between(rng, SPREAD);
        let is_clipped = index_below(rng, 2) == 1;
        let (level, gain) = (between(rng, CLIP_LEVEL) as f32, between(rng, CLIP_GAIN) as f32);
        let clip = is_clipped.then_some(Clip { level, gain });
        let mut deviations: Vec<f64> =
            (1..=INPUTS).map(|axis| libm::pow(axis as f64, -0.5 * power)).collect();
        let mean_square = deviations.iter().map(|x| x * x).sum::<f64>() / INPUTS as f64;
        for x in &mut deviations {
            *x /= mean_square.sqrt();
        }
        let rotation = rotation(rng, INPUTS);
        let scaled = |factor: f64| -> Vec<f32> {
            let axes = rotation.chunks_exact(INPUTS).zip(&deviations);
            axes.flat_map(|(axis, length)| axis.iter().map(move |x| (factor * length * x) as f32)).collect()
        };
        let (of_centres, axes) = (scaled(1.0), scaled(spread));
        let centre = |rng: &mut ChaCha8Rng| {
            let mut centre = vec![0.0; INPUTS];
            times(&normal(rng), &of_centres, &mut centre);
            centre
        };
        let classes = (0..classes)
            .map(|_| (0..=index_below(rng, CLUSTERS_MAX)).map(|_| centre(rng)).collect())
            .collect();
        let mut mixture = Self { axes, classes, clip, means: [0.0; INPUTS], deviation: 1.0 };
        mixture.standardise(rng);
        mixture
    }

    /// Finds means and deviation, as an image set's are found in its training part.
    fn standardise(&mut self, rng: &mut ChaCha8Rng) {
        let mut examples = vec![0.0; STANDARD_EXAMPLES * INPUTS];
        for example in examples.chunks_exact_mut(INPUTS) {
            self.write(rng, example);
        }
        let count = STANDARD_EXAMPLES as f32;
        for example in examples.chunks_exact(INPUTS) {
            for (mean, x) in self.means.iter_mut().zip(example) {
                *mean += x / count;
            }
        }
        let squares = examples
            .chunks_exact(INPUTS)
            .flat_map(|example| example.iter().zip(&self.means).map(|(x, mean)| f64::from(x - mean).powi(2)));
        let variance = squares.sum::<f64>() / examples.len() as f64;
        // Whatever is drawn, not all of so many points are clipped to the same.
        self.deviation = variance.sqrt().max(1e-6) as f32;
    }

    /// Writes the inputs of a random point and returns its class.
    fn write(&self, rng: &mut ChaCha8Rng, inputs: &mut [f32]) -> usize {
        let class = index_below(rng, self.classes.len() as u32) as usize;
        let clusters = &self.classes[class];
        let centre = &clusters[index_below(rng, clusters.len() as u32) as usize];
        times(&normal(rng), &self.axes, inputs);
        for ((input, centre), mean) in inputs.iter_mut().zip(centre).zip(&self.means) {
            let value = *input + centre;
            let value = match self.clip {
                None => value,
                Some(Clip { level, gain }) => (level + gain * value).clamp(0.0, 1.0),
            };
            *input = (value - mean) / self.deviation;
        }
        class
    }
}

/// A point's coordinates along the axes.
fn normal(rng: &mut ChaCha8Rng) -> [f32; INPUTS] {
    let mut wide = [0.0; INPUTS];
    fill_normal(rng, &mut wide);
    wide.map(|x| x as f32)
}

struct MixtureTask {
    mixture: Mixture,
    sizes: TaskSizes,
    seed: Seed,
}

impl MixtureTask {
    fn fill(&self, seed: Seed, inputs: &mut [f32], targets: &mut [f32]) {
        let TaskSizes { inputs: width, outputs, .. } = self.sizes;
        let mut rng = seed.rng();
        targets.fill(-1.0);
        for (input, target) in inputs.chunks_exact_mut(width).zip(targets.chunks_exact_mut(outputs)) {
            target[self.mixture.write(&mut rng, input)] = 1.0;
        }
    }
}

impl Task for MixtureTask {
    fn sizes(&self) -> TaskSizes {
        self.sizes
    }

    fn support(&self, update: u32, inputs: &mut [f32], targets: &mut [f32]) {
        let TaskSizes { inputs: width, outputs, support, .. } = self.sizes;
        assert_eq!((inputs.len(), targets.len()), (width * support, outputs * support));
        self.fill(self.seed.derive(Purpose::Support, u64::from(update)), inputs, targets);
    }

    fn query(&self, inputs: &mut [f32], targets: &mut [f32]) {
        let TaskSizes { inputs: width, outputs, query, .. } = self.sizes;
        assert_eq!((inputs.len(), targets.len()), (width * query, outputs * query));
        self.fill(self.seed.derive(Purpose::Query, 0), inputs, targets);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mixture(seed: u64) -> Mixture {
        Mixture::draw(&mut Seed::new(seed).unwrap().rng(), 10)
    }

    #[test]
    fn classes_have_one_to_three_clusters_and_half_of_the_tasks_are_clipped() {
        let mut counts = [0; 4];
        let mut clipped = 0;
        for seed in 0..300 {
            let mixture = mixture(seed);
            assert_eq!(mixture.classes.len(), 10);
            for clusters in &mixture.classes {
                counts[clusters.len()] += 1;
            }
            clipped += u32::from(mixture.clip.is_some());
        }
        // Four standard errors of 1000 among 3000, and of 150 among 300.
        assert_eq!(counts[0], 0);
        assert!(counts[1..].iter().all(|&count| (896..1104).contains(&count)), "{counts:?}");
        assert!((115..=185).contains(&clipped), "{clipped}");
    }

    #[test]
    fn inputs_have_mean_zero_and_variance_one_and_clipped_ones_pile_up_at_an_end() {
        for seed in 0..40 {
            let mixture = mixture(seed);
            let mut rng = Seed::new(1000 + seed).unwrap().rng();
            let mut examples = vec![0.0; 64 * 2000];
            for example in examples.chunks_exact_mut(64) {
                mixture.write(&mut rng, example);
            }
            let count = examples.len() as f64;
            let mean = examples.iter().map(|&x| f64::from(x)).sum::<f64>() / count;
            let square = examples.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / count;
            assert!(mean.abs() < 0.1 && (square - 1.0).abs() < 0.15, "{seed}: {mean} {square}");
            let first: Vec<u32> = examples.iter().step_by(64).map(|x| x.to_bits()).collect();
            let distinct = first.iter().collect::<std::collections::BTreeSet<_>>().len();
            if mixture.clip.is_some() {
                assert!(distinct < 1990, "{seed}: {distinct}");
            } else {
                assert!(distinct > 1990, "{seed}: {distinct}");
            }
        }
    }

    #[test]
    fn the_spectrum_falls_as_a_power() {
        for seed in 0..20 {
            let mixture = mixture(seed);
            let power: Vec<f64> = mixture
                .axes
                .chunks_exact(64)
                .map(|axis| axis.iter().map(|&x| f64::from(x).powi(2)).sum())
                .collect();
            let slope = libm::log(power[0] / power[63]) / libm::log(64.0);
            assert!((0.5..=1.5).contains(&slope), "{seed}: {slope}");
            let middle = libm::log(power[0] / power[7]) / libm::log(8.0);
            assert!((middle - slope).abs() < 1e-4, "{seed}: {middle} {slope}");
        }
    }
}

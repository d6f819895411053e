//! Tasks of remembering: snippets, each a cue and a target of bits +-1, are seen once in a stream, and asked for by their cues.
//!
//! The query holds the first snippets of the stream in its order, so whoever measures after fewer updates asks for those alone
//! that were shown.

use std::sync::Arc;

use hebbian_shared::seed::{ChaCha8Rng, Purpose, Seed, permutation, uniform};
use hebbian_shared::spec::task::{TaskFamily, TaskSpec};

use super::images::{ImageSet, LabelledImages};
use super::{Task, TaskDistribution, TaskError, TaskSet, TaskSizes};

/// What snippets are made of.
#[derive(Clone)]
pub(super) enum Source {
    /// Uniform random bits.
    Bits,
    /// The upper half of an image, whose lower half is the target. A bit says whether a pixel is above its training mean.
    Halves(Arc<ImageSet>),
    /// An image, whose class is the target: +1 for the true one.
    Classes(Arc<ImageSet>),
}

impl Source {
    /// Of a family, with the image set of those that have one.
    pub(super) fn of(family: TaskFamily, images: Arc<ImageSet>) -> Self {
        if family == TaskFamily::RememberLabels { Self::Classes(images) } else { Self::Halves(images) }
    }

    fn images(&self) -> Option<&Arc<ImageSet>> {
        match self {
            Self::Bits => None,
            Self::Halves(images) | Self::Classes(images) => Some(images),
        }
    }
}

/// One of the families of remembering.
pub(super) struct RememberDistribution {
    source: Source,
    /// Whether images are of the test part.
    is_tested: bool,
    noise: f64,
    sizes: TaskSizes,
}

impl RememberDistribution {
    pub(super) fn new(family: TaskFamily, source: Source, spec: &TaskSpec, set: TaskSet) -> Self {
        let sizes = TaskSizes {
            inputs: spec.inputs(family) as usize,
            outputs: spec.outputs(family) as usize,
            support: spec.batch_size as usize,
            query: spec.query_size as usize,
        };
        Self { source, is_tested: set == TaskSet::Evaluation, noise: spec.remember.noise, sizes }
    }
}

impl TaskDistribution for RememberDistribution {
    fn sample(&self, seed: Seed) -> Result<Box<dyn Task>, TaskError> {
        let count = self.source.images().map_or(0, |images| part(images, self.is_tested).len() as u32);
        let order = permutation(&mut seed.derive(Purpose::Split, 0).rng(), count);
        let Self { source, is_tested, noise, sizes } = self;
        let (source, is_tested, noise, sizes) = (source.clone(), *is_tested, *noise, *sizes);
        Ok(Box::new(RememberTask { source, is_tested, noise, sizes, order, seed }))
    }
}

fn part(images: &ImageSet, is_tested: bool) -> &LabelledImages {
    if is_tested { &images.test } else { &images.train }
}

struct RememberTask {
    source: Source,
    is_tested: bool,
    noise: f64,
    sizes: TaskSizes,
    /// Images in the order of the stream; when all have been shown it begins again.
    order: Vec<u32>,
    seed: Seed,
}

impl RememberTask {
    /// Writes the snippet at a place of the stream. Bits are drawn from `rng`, the stream of its update.
    fn write(&self, place: usize, rng: &mut ChaCha8Rng, cue: &mut [f32], target: &mut [f32]) {
        let Some(images) = self.source.images() else {
            for bit in cue.iter_mut().chain(target) {
                *bit = sign(uniform(rng) < 0.5);
            }
            return;
        };
        let (image, images) = (self.order[place % self.order.len()] as usize, part(images, self.is_tested));
        let mut pixels = images.image(image).iter().map(|&pixel| sign(pixel > 0.0));
        for (bit, pixel) in cue.iter_mut().zip(pixels.by_ref()) {
            *bit = pixel;
        }
        if let Source::Classes(_) = self.source {
            target.fill(-1.0);
            target[usize::from(images.label(image))] = 1.0;
        } else {
            for (bit, pixel) in target.iter_mut().zip(pixels) {
                *bit = pixel;
            }
        }
    }

    /// Writes the snippets of an update, as many as there is room for.
    fn write_update(&self, update: usize, inputs: &mut [f32], targets: &mut [f32]) {
        let TaskSizes { inputs: width, outputs, support, .. } = self.sizes;
        let mut rng = self.seed.derive(Purpose::Support, update as u64).rng();
        let rows = inputs.chunks_exact_mut(width).zip(targets.chunks_exact_mut(outputs));
        for (place, (cue, target)) in rows.enumerate() {
            self.write(update * support + place, &mut rng, cue, target);
        }
    }
}

fn sign(positive: bool) -> f32 {
    if positive { 1.0 } else { -1.0 }
}

impl Task for RememberTask {
    fn sizes(&self) -> TaskSizes {
        self.sizes
    }

    fn support(&self, update: u32, inputs: &mut [f32], targets: &mut [f32]) {
        let TaskSizes { inputs: width, outputs, support, .. } = self.sizes;
        assert_eq!((inputs.len(), targets.len()), (width * support, outputs * support));
        self.write_update(update as usize, inputs, targets);
    }

    fn query(&self, inputs: &mut [f32], targets: &mut [f32]) {
        let TaskSizes { inputs: width, outputs, support, query } = self.sizes;
        assert_eq!((inputs.len(), targets.len()), (width * query, outputs * query));
        let updates = inputs.chunks_mut(width * support).zip(targets.chunks_mut(outputs * support));
        for (update, (inputs, targets)) in updates.enumerate() {
            self.write_update(update, inputs, targets);
        }
        if self.noise > 0.0 {
            let mut rng = self.seed.derive(Purpose::Query, 0).rng();
            for bit in inputs {
                if uniform(&mut rng) < self.noise {
                    *bit = -*bit;
                }
            }
        }
    }

    fn asked_after(&self, updates: u32) -> usize {
        self.sizes.query.min(self.sizes.support.saturating_mul(updates.max(1) as usize))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::data_set::NoDataSets;
    use crate::task::distribution;

    fn task(family: TaskFamily, set: TaskSet, spec: &TaskSpec) -> Box<dyn Task> {
        distribution(family, spec, set, &NoDataSets).unwrap().sample(Seed::new(3).unwrap()).unwrap()
    }

    fn spec(noise: f64) -> TaskSpec {
        let mut spec = TaskSpec::of(vec![TaskFamily::RememberBits]);
        (spec.batch_size, spec.query_size) = (3, 8);
        spec.remember.noise = noise;
        spec
    }

    /// The first three updates, and the query.
    fn written(task: &dyn Task) -> [(Vec<f32>, Vec<f32>); 2] {
        let TaskSizes { inputs, outputs, support, query } = task.sizes();
        let mut stream = (Vec::new(), Vec::new());
        for update in 0..3 {
            let mut batch = (vec![0.0; inputs * support], vec![0.0; outputs * support]);
            task.support(update, &mut batch.0, &mut batch.1);
            stream.0.extend(batch.0);
            stream.1.extend(batch.1);
        }
        let mut asked = (vec![0.0; inputs * query], vec![0.0; outputs * query]);
        task.query(&mut asked.0, &mut asked.1);
        [stream, asked]
    }

    #[test]
    fn the_query_is_the_beginning_of_the_stream() {
        for family in [TaskFamily::RememberBits, TaskFamily::RememberImages, TaskFamily::RememberLabels] {
            for set in [TaskSet::Training, TaskSet::Evaluation] {
                let task = task(family, set, &spec(0.0));
                let [stream, asked] = written(&*task);
                assert_eq!(asked.0[..], stream.0[..asked.0.len()], "{family}");
                assert_eq!(asked.1[..], stream.1[..asked.1.len()], "{family}");
                assert!(asked.0.iter().chain(&asked.1).all(|bit| bit.abs() == 1.0));
                assert_eq!([0, 1, 2, 3, 9].map(|updates| task.asked_after(updates)), [3, 3, 6, 8, 8]);
            }
        }
    }

    #[test]
    fn noise_flips_its_share_of_the_cues_and_no_target() {
        let task =
            task(TaskFamily::RememberBits, TaskSet::Training, &TaskSpec { query_size: 999, ..spec(0.2) });
        let [stream, _] = written(&*task);
        let mut asked = (vec![0.0; 16 * 999], vec![0.0; 16 * 999]);
        task.query(&mut asked.0, &mut asked.1);
        assert_eq!(asked.1[..stream.1.len()], stream.1);
        let clean = self::task(
            TaskFamily::RememberBits,
            TaskSet::Training,
            &TaskSpec { query_size: 999, ..spec(0.0) },
        );
        let mut cues = vec![0.0; 16 * 999];
        clean.query(&mut cues, &mut asked.1);
        let flipped = cues.iter().zip(&asked.0).filter(|(clean, noisy)| clean != noisy).count();
        assert!((0.18..0.22).contains(&(flipped as f64 / cues.len() as f64)), "{flipped}");
    }

    #[test]
    fn halves_are_of_one_image_and_classes_are_the_label() {
        let halves = written(&*task(TaskFamily::RememberImages, TaskSet::Training, &spec(0.0)));
        let classes = written(&*task(TaskFamily::RememberLabels, TaskSet::Training, &spec(0.0)));
        // The same images in the same order.
        for (place, image) in classes[0].0.chunks_exact(64).enumerate() {
            assert_eq!(image[..32], halves[0].0[place * 32..][..32]);
            assert_eq!(image[32..], halves[0].1[place * 32..][..32]);
        }
        assert!(classes[0].1.chunks_exact(10).all(|target| target.iter().sum::<f32>() == -8.0));
    }
}

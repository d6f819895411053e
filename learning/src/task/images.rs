//! Tasks over a labelled image set: permuted classes, permuted or projected pixels.

use std::sync::Arc;

use hebbian_shared::limits::DATA_SET_INPUTS_MAX;
use hebbian_shared::seed::{ChaCha8Rng, Purpose, Seed, fill_normal, index_below, permutation};
use hebbian_shared::spec::task::{ImageAugmentation, InputAugmentation, TaskFamily, TaskSpec};

use super::data_set::{DataSet, Part};
use super::scale::Scale;
use super::{Task, TaskDistribution, TaskError, TaskSet, TaskSizes};

/// A labelled image set in two parts, as networks see it.
#[derive(Debug)]
pub(super) struct ImageSet {
    /// What networks are trained on.
    pub(super) train: LabelledImages,
    /// What trained networks are tested on.
    pub(super) test: LabelledImages,
    classes: usize,
    /// Kept, so that another run finds it and shares this set.
    _source: Arc<DataSet>,
}

/// Images of equal size with their classes.
#[derive(Debug)]
pub(super) struct LabelledImages {
    /// `[image, pixel]`, standardised.
    pixels: Vec<f32>,
    /// Place of each image's label among the classes.
    labels: Vec<u8>,
    pixels_per_image: usize,
}

impl LabelledImages {
    /// The images of some labels, scaled, not yet standardised.
    fn new(part: &Part, side: usize, classes: &[u8]) -> Self {
        let class = |label: u8| classes.iter().position(|&class| class == label);
        let chosen =
            || part.labels.iter().enumerate().filter_map(|(image, &label)| Some((image, class(label)?)));
        let labels: Vec<u8> = chosen().map(|(_, class)| class as u8).collect();
        let mut pixels = Vec::with_capacity(labels.len() * side * side);
        let scale = Scale::new((part.rows, part.columns), side);
        let area = part.rows * part.columns;
        for (image, _) in chosen() {
            scale.apply(&part.images[image * area..][..area], &mut pixels);
        }
        Self { pixels, labels, pixels_per_image: side * side }
    }

    pub(super) fn len(&self) -> usize {
        self.labels.len()
    }

    pub(super) fn image(&self, image: usize) -> &[f32] {
        &self.pixels[image * self.pixels_per_image..][..self.pixels_per_image]
    }

    pub(super) fn label(&self, image: usize) -> u8 {
        self.labels[image]
    }
}

impl ImageSet {
    /// The images of `classes`, of which there are two or more, scaled to `side` x `side`. Every pixel's training mean
    /// is subtracted, and all are divided by one standard deviation, so that the pixels together have variance 1 and
    /// those that are almost never set stay small. Or what is wrong.
    pub(super) fn new(
        source: Arc<DataSet>,
        (train, test): (&Part, &Part),
        side: usize,
        classes: &[u8],
    ) -> Result<Self, String> {
        if classes.len() < 2 {
            return Err("has fewer than two classes".to_owned());
        }
        let images = train.labels.len() + test.labels.len();
        if images.saturating_mul(side * side) > DATA_SET_INPUTS_MAX {
            return Err(format!(
                "its {images} images take more than 512 MiB at side {side}; take a smaller side"
            ));
        }
        for class in classes {
            for (part, what) in [(train, "training"), (test, "test")] {
                if !part.labels.contains(class) {
                    return Err(format!("has no {what} images of class {class}"));
                }
            }
        }
        let [mut train, mut test] = [train, test].map(|part| LabelledImages::new(part, side, classes));
        standardise(&mut train.pixels, &mut test.pixels, side * side)?;
        Ok(Self { train, test, classes: classes.len(), _source: source })
    }

    pub(super) fn pixels(&self) -> usize {
        self.train.pixels_per_image
    }
}

/// Subtracts the training mean of every pixel and divides by the standard deviation of all training pixels.
fn standardise(train: &mut [f32], test: &mut [f32], pixels: usize) -> Result<(), String> {
    let count = (train.len() / pixels) as f64;
    let mut means = vec![0.0; pixels];
    for image in train.chunks_exact(pixels) {
        for (mean, &value) in means.iter_mut().zip(image) {
            *mean += f64::from(value) / count;
        }
    }
    let mut variance = 0.0;
    for image in train.chunks_exact(pixels) {
        for (mean, &value) in means.iter().zip(image) {
            variance += (f64::from(value) - mean) * (f64::from(value) - mean);
        }
    }
    variance /= count * pixels as f64;
    if variance == 0.0 {
        return Err("has training images that are all the same".to_owned());
    }
    let deviation = variance.sqrt();
    for (value, mean) in train.iter_mut().chain(test).zip(means.iter().cycle()) {
        *value = ((f64::from(*value) - mean) / deviation) as f32;
    }
    Ok(())
}

/// Tasks over one image set.
pub(super) struct ImageDistribution {
    data: Arc<ImageSet>,
    augmentation: ImageAugmentation,
    set: TaskSet,
    sizes: TaskSizes,
}

impl ImageDistribution {
    /// With [`TaskSet::Evaluation`] the query has as many examples as the test part if that has fewer than asked for.
    pub(super) fn new(
        family: TaskFamily,
        data: Arc<ImageSet>,
        spec: &TaskSpec,
        set: TaskSet,
    ) -> Result<Self, TaskError> {
        let query_size = spec.query_size as usize;
        let query = match set {
            TaskSet::Training if query_size >= data.train.len() => {
                return Err(TaskError::TooFewExamples {
                    family,
                    examples: data.train.len(),
                    query_size: spec.query_size,
                });
            }
            TaskSet::Training => query_size,
            TaskSet::Evaluation => query_size.min(data.test.len()),
        };
        let sizes = TaskSizes {
            inputs: data.pixels(),
            outputs: data.classes,
            support: spec.batch_size as usize,
            query,
        };
        Ok(Self { data, augmentation: spec.images.clone(), set, sizes })
    }
}

impl TaskDistribution for ImageDistribution {
    fn sample(&self, seed: Seed) -> Result<Box<dyn Task>, TaskError> {
        let mut rng = seed.derive(Purpose::Task, 0).rng();
        let classes = self.data.classes as u32;
        let class_of_label = if self.augmentation.permute_labels {
            permutation(&mut rng, classes)
        } else {
            (0..classes).collect()
        };
        let choice = index_below(&mut rng, self.augmentation.inputs.len() as u32);
        let pixels = self.data.pixels();
        let inputs = match self.augmentation.inputs[choice as usize] {
            InputAugmentation::Original => Inputs::Original,
            InputAugmentation::Permuted => Inputs::Permuted(permutation(&mut rng, pixels as u32)),
            InputAugmentation::Projected => {
                let mut matrix = vec![0.0; pixels * pixels];
                fill_normal(&mut rng, &mut matrix);
                let scale = 1.0 / (pixels as f64).sqrt();
                Inputs::Projected(matrix.iter().map(|&x| (scale * x) as f32).collect())
            }
        };
        let mut split = seed.derive(Purpose::Split, 0).rng();
        let mut support = permutation(&mut split, self.data.train.len() as u32);
        let query = match self.set {
            TaskSet::Training => support.split_off(support.len() - self.sizes.query),
            TaskSet::Evaluation => {
                let mut order = permutation(&mut split, self.data.test.len() as u32);
                order.truncate(self.sizes.query);
                order
            }
        };
        let data = Arc::clone(&self.data);
        Ok(Box::new(ImageTask {
            data,
            set: self.set,
            sizes: self.sizes,
            seed,
            class_of_label,
            inputs,
            support,
            query,
        }))
    }
}

/// What a task does to the pixels.
enum Inputs {
    Original,
    /// Input i is pixel `[i]`.
    Permuted(Vec<u32>),
    /// Inputs are pixels times this matrix, `[pixel, input]`.
    Projected(Vec<f32>),
}

struct ImageTask {
    data: Arc<ImageSet>,
    set: TaskSet,
    sizes: TaskSizes,
    seed: Seed,
    class_of_label: Vec<u32>,
    inputs: Inputs,
    /// Images of the training part that support batches draw from.
    support: Vec<u32>,
    /// Images of the query: of the training part or of the test part.
    query: Vec<u32>,
}

impl ImageTask {
    fn write(&self, part: &LabelledImages, image: u32, inputs: &mut [f32], targets: &mut [f32]) {
        let image = image as usize;
        let pixels = part.image(image);
        match &self.inputs {
            Inputs::Original => inputs.copy_from_slice(pixels),
            Inputs::Permuted(order) => {
                for (input, &pixel) in inputs.iter_mut().zip(order) {
                    *input = pixels[pixel as usize];
                }
            }
            Inputs::Projected(matrix) => {
                inputs.fill(0.0);
                for (&pixel, row) in pixels.iter().zip(matrix.chunks_exact(inputs.len())) {
                    for (input, &weight) in inputs.iter_mut().zip(row) {
                        *input += pixel * weight;
                    }
                }
            }
        }
        targets.fill(-1.0);
        targets[self.class_of_label[usize::from(part.label(image))] as usize] = 1.0;
    }

    fn draw_support(&self, rng: &mut ChaCha8Rng) -> u32 {
        self.support[index_below(rng, self.support.len() as u32) as usize]
    }
}

impl Task for ImageTask {
    fn sizes(&self) -> TaskSizes {
        self.sizes
    }

    fn support(&self, update: u32, inputs: &mut [f32], targets: &mut [f32]) {
        let TaskSizes { inputs: width, outputs, support, .. } = self.sizes;
        assert_eq!((inputs.len(), targets.len()), (width * support, outputs * support));
        let mut rng = self.seed.derive(Purpose::Support, u64::from(update)).rng();
        for (input, target) in inputs.chunks_exact_mut(width).zip(targets.chunks_exact_mut(outputs)) {
            let image = self.draw_support(&mut rng);
            self.write(&self.data.train, image, input, target);
        }
    }

    fn query(&self, inputs: &mut [f32], targets: &mut [f32]) {
        let TaskSizes { inputs: width, outputs, query, .. } = self.sizes;
        assert_eq!((inputs.len(), targets.len()), (width * query, outputs * query));
        let part = match self.set {
            TaskSet::Training => &self.data.train,
            TaskSet::Evaluation => &self.data.test,
        };
        let rows = inputs.chunks_exact_mut(width).zip(targets.chunks_exact_mut(outputs));
        for ((input, target), &image) in rows.zip(&self.query) {
            self.write(part, image, input, target);
        }
    }
}

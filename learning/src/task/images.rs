//! Tasks over a labelled image set or a table: permuted classes, permuted or projected pixels. A table's features are what pixels
//! are.

use std::sync::{Arc, OnceLock};

use hebbian_shared::limits::{DATA_SET_INPUTS_MAX, STANDARDISED_MAX};
use hebbian_shared::seed::{ChaCha8Rng, Purpose, Seed, index_below, permutation};
use hebbian_shared::spec::task::{ClassKind, ClassesSpec, InputAugmentation, TaskFamily, TaskSpec};

use inputs::Inputs;

use super::data_set::{DataSet, Form, Part};
use super::linear;
use super::scale::Scale;
use super::{Task, TaskDistribution, TaskError, TaskSet, TaskSizes};

mod inputs;
mod table;

/// A labelled image set or table in two parts, as networks see it.
#[derive(Debug)]
pub(super) struct ImageSet {
    /// What networks are trained on.
    pub(super) train: LabelledImages,
    /// What trained networks are tested on.
    pub(super) test: LabelledImages,
    classes: usize,
    /// The leading principal components of the training images, `[component, pixel]`, once somebody asks for them.
    components: OnceLock<Vec<f32>>,
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
    fn new(pixels: Vec<f32>, pixels_per_image: usize, part: &Part, classes: &[u8]) -> Self {
        let labels = part.of_classes(classes).map(|(_, class)| class).collect();
        Self { pixels, labels, pixels_per_image }
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
    /// those that are almost never set stay small. A table's features are standardised each by itself. Or what is wrong.
    pub(super) fn new(
        source: Arc<DataSet>,
        parts: [&Part; 2],
        side: usize,
        classes: &[u8],
    ) -> Result<Self, String> {
        if classes.len() < 2 {
            return Err("has fewer than two classes".to_owned());
        }
        let [train, test] = parts;
        let (inputs, remedy) = match train.form {
            Form::Image { .. } => (side * side, format!("at side {side}; take a smaller side")),
            Form::Line { features } => (features, format!("with {features} features; take fewer")),
        };
        let (images, noun) = (train.labels.len() + test.labels.len(), train.form.noun());
        if images.saturating_mul(inputs) > DATA_SET_INPUTS_MAX {
            return Err(format!("its {images} {noun} take more than 512 MiB {remedy}"));
        }
        for class in classes {
            for (part, what) in [(train, "training"), (test, "test")] {
                if !part.labels.contains(class) {
                    return Err(format!("has no {what} {noun} of class {class}"));
                }
            }
        }
        let (of_train, of_test) = match train.form {
            Form::Line { .. } => table::standardised(train, test, classes)?,
            Form::Image { rows, columns } => {
                let scale = Scale::new((rows, columns), side);
                let [mut of_train, mut of_test] = parts.map(|part| scaled(&scale, inputs, part, classes));
                standardise(&mut of_train, &mut of_test, inputs)?;
                if !parts.iter().all(|part| part.has_bytes()) {
                    let limit = |x: &mut f32| *x = x.clamp(-STANDARDISED_MAX as f32, STANDARDISED_MAX as f32);
                    of_train.iter_mut().chain(&mut of_test).for_each(limit);
                }
                (of_train, of_test)
            }
        };
        let train = LabelledImages::new(of_train, inputs, train, classes);
        let test = LabelledImages::new(of_test, inputs, test, classes);
        Ok(Self { train, test, classes: classes.len(), components: OnceLock::new(), _source: source })
    }

    pub(super) fn pixels(&self) -> usize {
        self.train.pixels_per_image
    }

    /// The leading principal components of the training images, the strongest first, `[component, pixel]`.
    fn components(&self) -> &[f32] {
        self.components.get_or_init(|| {
            // So many images tell the leading components of any set well enough.
            const IMAGES: usize = 2048;
            let count = self.train.len().min(IMAGES);
            let images: Vec<&[f32]> =
                (0..count).map(|image| self.train.image(image * self.train.len() / count)).collect();
            linear::principal_components(&images, inputs::COMPONENTS_MAX.min(self.pixels()))
        })
    }

    /// The training images that may be trained on, and those that are held back: of each class its share, the last ones. Both in
    /// the order of the images.
    fn hold_back(&self, share: f64) -> (Vec<u32>, Vec<u32>) {
        let mut of_class = vec![0_u32; self.classes];
        for &label in &self.train.labels {
            of_class[usize::from(label)] += 1;
        }
        let kept_of = |&count: &u32| count - (share * f64::from(count)) as u32;
        let mut left: Vec<u32> = of_class.iter().map(kept_of).collect();
        (0..self.train.len() as u32).partition(|&image| {
            let left = &mut left[usize::from(self.train.label(image as usize))];
            let is_kept = *left > 0;
            *left = left.saturating_sub(1);
            is_kept
        })
    }
}

/// The images of some labels, scaled, not yet standardised, `[image, pixel]`.
fn scaled(scale: &Scale, inputs: usize, part: &Part, classes: &[u8]) -> Vec<f32> {
    let mut pixels = Vec::with_capacity(part.of_classes(classes).count() * inputs);
    let mut image = Vec::with_capacity(part.form.numbers());
    for (place, _) in part.of_classes(classes) {
        image.clear();
        image.extend(part.example(place));
        scale.apply(&image, &mut pixels);
    }
    pixels
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
    family: TaskFamily,
    permute_labels: bool,
    /// Which classes make a task; all of them if there is nothing here.
    classes: Option<ClassesSpec>,
    inputs: Vec<InputAugmentation>,
    /// Images of the training part that support comes from, and queries where `asked` is empty.
    trained_on: Vec<u32>,
    /// Images that queries come from.
    asked: Vec<u32>,
    asks_test_part: bool,
    sizes: TaskSizes,
}

impl ImageDistribution {
    /// Where queries come from other images than support, they have as many examples as there are if those are fewer than asked
    /// for.
    pub(super) fn new(
        family: TaskFamily,
        data: Arc<ImageSet>,
        spec: &TaskSpec,
        set: TaskSet,
    ) -> Result<Self, TaskError> {
        let (trained_on, asked) = match set {
            TaskSet::Evaluation => {
                ((0..data.train.len() as u32).collect(), (0..data.test.len() as u32).collect())
            }
            TaskSet::HeldBack => data.hold_back(spec.images.held_back),
            TaskSet::Training | TaskSet::Tuning => (data.hold_back(spec.images.held_back).0, Vec::new()),
        };
        let query_size = spec.query_size as usize;
        let query = if asked.is_empty() { query_size } else { query_size.min(asked.len()) };
        if asked.is_empty() && query_size >= trained_on.len() {
            let (examples, query_size) = (trained_on.len(), spec.query_size);
            return Err(TaskError::TooFewExamples { family, examples, query_size });
        }
        let classes = spec.classes.clone();
        let sizes = TaskSizes {
            inputs: data.pixels(),
            outputs: classes.as_ref().map_or(data.classes, |classes| classes.way as usize),
            support: spec.batch_size as usize,
            query,
        };
        let inputs = match set {
            TaskSet::Training => spec.images.inputs.clone(),
            TaskSet::Tuning | TaskSet::HeldBack | TaskSet::Evaluation => spec.images.judged_inputs(),
        };
        let permute_labels = spec.images.permute_labels;
        let asks_test_part = set == TaskSet::Evaluation;
        Ok(Self { data, family, permute_labels, classes, inputs, trained_on, asked, asks_test_part, sizes })
    }
}

impl ImageDistribution {
    /// The classes of a task in the order of its outputs, where a task has not all of them.
    fn draw_classes(&self, rng: &mut ChaCha8Rng) -> Option<Vec<u32>> {
        let classes = self.classes.as_ref()?;
        let (way, listed) = (classes.way, classes.train.len() as u32);
        if classes.kind == ClassKind::Intershuffle {
            return Some(classes.of_task(0, &permutation(rng, listed)[..way as usize]));
        }
        let block = index_below(rng, listed / way);
        Some(classes.of_task(block as usize, &permutation(rng, way)))
    }
}

impl TaskDistribution for ImageDistribution {
    fn sample(&self, seed: Seed) -> Result<Box<dyn Task>, TaskError> {
        let mut rng = seed.derive(Purpose::Task, 0).rng();
        let classes = self.data.classes as u32;
        let chosen = self.draw_classes(&mut rng);
        let class_of_label = match &chosen {
            Some(chosen) => (0..classes)
                .map(|label| chosen.iter().position(|&of| of == label).map_or(u32::MAX, |place| place as u32))
                .collect(),
            None if self.permute_labels => permutation(&mut rng, classes),
            None => (0..classes).collect(),
        };
        let choice = index_below(&mut rng, self.inputs.len() as u32);
        let inputs = Inputs::draw(self.inputs[choice as usize], &self.data, &mut rng);
        let mut split = seed.derive(Purpose::Split, 0).rng();
        let mut shuffled = |part: &LabelledImages, images: &[u32]| -> Vec<u32> {
            let order = permutation(&mut split, images.len() as u32);
            let images = order.into_iter().map(|place| images[place as usize]);
            images
                .filter(|&image| class_of_label[usize::from(part.label(image as usize))] != u32::MAX)
                .collect()
        };
        let mut support = shuffled(&self.data.train, &self.trained_on);
        let query = if self.asked.is_empty() {
            if support.len() <= self.sizes.query {
                let (examples, query_size) = (support.len(), self.sizes.query as u32);
                return Err(TaskError::TooFewExamples { family: self.family, examples, query_size });
            }
            support.split_off(support.len() - self.sizes.query)
        } else {
            let part = if self.asks_test_part { &self.data.test } else { &self.data.train };
            let mut order = shuffled(part, &self.asked);
            order.truncate(self.sizes.query);
            order
        };
        let sizes = TaskSizes { query: query.len(), ..self.sizes };
        // Of a few classes every batch has the same number of each, as far as that goes.
        let mut by_class = vec![Vec::new(); if chosen.is_some() { self.sizes.outputs } else { 0 }];
        for &image in support.iter().filter(|_| chosen.is_some()) {
            let label = self.data.train.label(image as usize);
            by_class[class_of_label[usize::from(label)] as usize].push(image);
        }
        if by_class.iter().any(Vec::is_empty) {
            let (examples, query_size) = (support.len() + query.len(), self.sizes.query as u32);
            return Err(TaskError::TooFewExamples { family: self.family, examples, query_size });
        }
        Ok(Box::new(ImageTask {
            data: Arc::clone(&self.data),
            asks_test_part: self.asks_test_part,
            sizes,
            seed,
            class_of_label,
            inputs,
            support,
            by_class,
            query,
        }))
    }
}

struct ImageTask {
    data: Arc<ImageSet>,
    asks_test_part: bool,
    sizes: TaskSizes,
    seed: Seed,
    class_of_label: Vec<u32>,
    inputs: Inputs,
    /// Images of the training part that support batches draw from.
    support: Vec<u32>,
    /// The same by class, where a task has a few of them.
    by_class: Vec<Vec<u32>>,
    /// Images of the query: of the training part or of the test part.
    query: Vec<u32>,
}

impl ImageTask {
    fn write(&self, part: &LabelledImages, image: u32, inputs: &mut [f32], targets: &mut [f32]) {
        let image = image as usize;
        self.inputs.write(part.image(image), inputs);
        targets.fill(-1.0);
        targets[self.class_of_label[usize::from(part.label(image))] as usize] = 1.0;
    }

    fn draw_support(&self, place: usize, rng: &mut ChaCha8Rng) -> u32 {
        let images = self.by_class.get(place % self.by_class.len().max(1)).unwrap_or(&self.support);
        images[index_below(rng, images.len() as u32) as usize]
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
        let rows = inputs.chunks_exact_mut(width).zip(targets.chunks_exact_mut(outputs));
        for (place, (input, target)) in rows.enumerate() {
            let image = self.draw_support(place, &mut rng);
            self.write(&self.data.train, image, input, target);
        }
    }

    fn query(&self, inputs: &mut [f32], targets: &mut [f32]) {
        let TaskSizes { inputs: width, outputs, query, .. } = self.sizes;
        assert_eq!((inputs.len(), targets.len()), (width * query, outputs * query));
        let part = if self.asks_test_part { &self.data.test } else { &self.data.train };
        let rows = inputs.chunks_exact_mut(width).zip(targets.chunks_exact_mut(outputs));
        for ((input, target), &image) in rows.zip(&self.query) {
            self.write(part, image, input, target);
        }
    }
}

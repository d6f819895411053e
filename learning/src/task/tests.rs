use std::collections::BTreeSet;
use std::sync::Arc;

use hebbian_shared::digest::Digest;
use hebbian_shared::spec::data_set::DataSetName;
use hebbian_shared::spec::task::{ImageAugmentation, InputAugmentation};

use super::data_set::{DataSet, NoDataSets};
use super::*;

type ExampleBatch = (Vec<f32>, Vec<f32>);

fn sample(spec: &TaskSpec, set: TaskSet, family: TaskFamily, seed: u64) -> Box<dyn Task> {
    distribution(family, spec, set, &NoDataSets).unwrap().sample(Seed::new(seed).unwrap()).unwrap()
}

fn support(task: &dyn Task, update: u32) -> ExampleBatch {
    let TaskSizes { inputs, outputs, support, .. } = task.sizes();
    let mut batch = (vec![f32::NAN; inputs * support], vec![f32::NAN; outputs * support]);
    task.support(update, &mut batch.0, &mut batch.1);
    batch
}

fn query(task: &dyn Task) -> ExampleBatch {
    let TaskSizes { inputs, outputs, query, .. } = task.sizes();
    let mut batch = (vec![f32::NAN; inputs * query], vec![f32::NAN; outputs * query]);
    task.query(&mut batch.0, &mut batch.1);
    batch
}

fn bits(batch: &ExampleBatch) -> (Vec<u32>, Vec<u32>) {
    let of = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect();
    (of(&batch.0), of(&batch.1))
}

#[test]
fn tasks_are_functions_of_the_seed_in_any_order_of_calls() {
    let spec = TaskSpec { batch_size: 7, query_size: 9, ..TaskSpec::of(vec![TaskFamily::Xor]) };
    for &family in TaskFamily::ALL {
        let once = sample(&spec, TaskSet::Training, family, 5);
        let again = sample(&spec, TaskSet::Training, family, 5);
        let (first, third) = (support(&*once, 0), support(&*once, 2));
        let asked = query(&*once);
        assert_eq!(bits(&query(&*again)), bits(&asked), "{family}");
        assert_eq!(bits(&support(&*again, 2)), bits(&third), "{family}");
        assert_eq!(bits(&support(&*again, 0)), bits(&first), "{family}");
        assert_ne!(bits(&first), bits(&third), "{family}: every update has fresh examples");
        let other = sample(&spec, TaskSet::Training, family, 6);
        assert_ne!(bits(&support(&*other, 0)), bits(&first), "{family}: another seed, another task");
    }
}

#[test]
fn targets_are_plus_and_minus_one_with_one_true_class_or_values() {
    let spec = TaskSpec::of(vec![TaskFamily::Xor]);
    for &family in TaskFamily::ALL {
        let task = sample(&spec, TaskSet::Training, family, 1);
        let sizes = task.sizes();
        let expected = (spec.inputs(family) as usize, spec.outputs(family) as usize, 64, 256);
        assert_eq!((sizes.inputs, sizes.outputs, sizes.support, sizes.query), expected);
        for (inputs, targets) in [support(&*task, 0), query(&*task)] {
            assert!(inputs.iter().all(|input| input.is_finite()));
            if family.is_regression() {
                assert!(targets.iter().all(|target| target.abs() < 1.0));
                continue;
            }
            assert!(targets.iter().all(|target| target.abs() == 1.0));
            if sizes.outputs > 1 && family.has_classes() {
                let mut examples = targets.chunks_exact(sizes.outputs);
                assert!(examples.all(|target| target.iter().sum::<f32>() == 2.0 - sizes.outputs as f32));
            }
        }
    }
}

/// Digests of the first examples of every family: if this fails, every journalled run has changed.
#[test]
fn first_examples_are_pinned() {
    let spec = TaskSpec { batch_size: 5, query_size: 5, ..TaskSpec::of(vec![TaskFamily::Xor]) };
    let found: Vec<(TaskFamily, String)> = TaskFamily::ALL
        .iter()
        .map(|&family| {
            let task = sample(&spec, TaskSet::Training, family, 1);
            let (mut inputs, mut targets) = support(&*task, 3);
            let asked = query(&*task);
            inputs.extend(asked.0);
            targets.extend(asked.1);
            let bytes: Vec<u8> =
                inputs.iter().chain(&targets).flat_map(|value| value.to_le_bytes()).collect();
            (family, hebbian_shared::digest::Digest::of(&bytes).short())
        })
        .collect();
    let found: Vec<_> = found.iter().map(|(family, digest)| (*family, digest.as_str())).collect();
    assert_eq!(found, PINNED);
}

const PINNED: &[(TaskFamily, &str)] = &[
    (TaskFamily::And, "073d62bf3e4c"),
    (TaskFamily::Or, "73a0afba8dbb"),
    (TaskFamily::Xor, "235f4f6a4efe"),
    (TaskFamily::Qand, "812e2a133964"),
    (TaskFamily::Nxor, "f930d600e77b"),
    (TaskFamily::HalfPlane, "c53d0635d665"),
    (TaskFamily::ProjectedXor, "0e8ec6c82ad6"),
    (TaskFamily::OrientedOr, "3f4a3ad2e8ab"),
    (TaskFamily::Circle, "f6bd3f5eb871"),
    (TaskFamily::AngularSlice, "8e4ca8764509"),
    (TaskFamily::TwoMoons, "2552df270003"),
    (TaskFamily::Sine, "c2e725d5049d"),
    (TaskFamily::Square, "959154de3259"),
    (TaskFamily::Quadric, "f185442b606a"),
    (TaskFamily::Stripes, "0209a9bc70ab"),
    (TaskFamily::Checkerboard, "1a46957daa3c"),
    (TaskFamily::RegressLinear, "a60f4794d0e6"),
    (TaskFamily::RegressWave, "160f4bdacc1b"),
    (TaskFamily::RegressBumps, "ae1370a2c46f"),
    (TaskFamily::RegressQuadric, "d033558db956"),
    (TaskFamily::Sinusoid, "6102a03a83c8"),
    (TaskFamily::Digits, "9f024c238beb"),
    (TaskFamily::Fashion, "1ddd8662cea3"),
    (TaskFamily::SyntheticMixture, "e0a4219cac21"),
    (TaskFamily::RememberBits, "c513d02beff7"),
    (TaskFamily::RememberImages, "be87951f6493"),
    (TaskFamily::RememberLabels, "901250d0bf53"),
];

fn plain_digits(query_size: u32) -> TaskSpec {
    let images = ImageAugmentation {
        permute_labels: false,
        inputs: vec![InputAugmentation::Original],
        held_back: 0.0,
    };
    TaskSpec { batch_size: 500, query_size, images, ..TaskSpec::of(vec![TaskFamily::Digits]) }
}

fn images(batch: &ExampleBatch) -> BTreeSet<Vec<u32>> {
    batch.0.chunks_exact(64).map(|image| image.iter().map(|pixel| pixel.to_bits()).collect()).collect()
}

#[test]
fn no_image_is_in_support_and_query_of_one_task() {
    for set in [TaskSet::Training, TaskSet::Evaluation] {
        let task = sample(&plain_digits(300), set, TaskFamily::Digits, 2);
        let asked = images(&query(&*task));
        assert_eq!(asked.len(), 300, "the query has no image twice");
        let supported: BTreeSet<_> = (0..20).flat_map(|update| images(&support(&*task, update))).collect();
        let available = if set == TaskSet::Training { 1137 } else { 1437 };
        assert!(supported.len() > available - 20 && supported.len() <= available, "{}", supported.len());
        assert!(asked.is_disjoint(&supported), "{set:?}");
    }
}

#[test]
fn evaluation_asks_for_the_test_part_and_training_never_does() {
    let digits = embedded::DIGITS.images().unwrap();
    let test: BTreeSet<Vec<u32>> = (0..digits.test.len())
        .map(|image| digits.test.image(image).iter().map(|pixel| pixel.to_bits()).collect())
        .collect();
    let training = sample(&plain_digits(1024), TaskSet::Training, TaskFamily::Digits, 3);
    assert!(images(&query(&*training)).is_disjoint(&test));
    let evaluation = sample(&plain_digits(1024), TaskSet::Evaluation, TaskFamily::Digits, 3);
    assert_eq!(evaluation.sizes().query, 360, "the whole test part");
    assert_eq!(images(&query(&*evaluation)), test);
}

#[test]
fn what_is_held_back_is_the_end_of_each_class_and_never_trained_on() {
    let spec = |set, held_back| {
        let mut spec = plain_digits(200);
        spec.images.held_back = held_back;
        let task = sample(&spec, set, TaskFamily::Digits, 2);
        let supported: BTreeSet<_> = (0..20).flat_map(|update| images(&support(&*task, update))).collect();
        (images(&query(&*task)), supported)
    };
    let digits = embedded::DIGITS.images().unwrap();
    let mut seen = [0; 10];
    let counts: Vec<usize> =
        (0..10).map(|class| (0..1437).filter(|&image| digits.train.label(image) == class).count()).collect();
    let mut held_back = BTreeSet::new();
    for image in 0..1437 {
        let class = usize::from(digits.train.label(image));
        seen[class] += 1;
        if seen[class] > counts[class] - counts[class] / 4 {
            held_back
                .insert(digits.train.image(image).iter().map(|pixel| pixel.to_bits()).collect::<Vec<_>>());
        }
    }
    let (asked, supported) = spec(TaskSet::HeldBack, 0.25);
    assert!(asked.len() == 200 && asked.is_subset(&held_back) && supported.is_disjoint(&held_back));
    for set in [TaskSet::Training, TaskSet::Tuning] {
        let (asked, supported) = spec(set, 0.25);
        assert!(asked.is_disjoint(&held_back) && supported.is_disjoint(&held_back), "{set:?}");
    }
    assert_eq!(spec(TaskSet::HeldBack, 0.0), spec(TaskSet::Training, 0.0), "nothing is held back");
    assert_eq!(spec(TaskSet::Evaluation, 0.25), spec(TaskSet::Evaluation, 0.0), "the test is the same test");
    let mut small = plain_digits(1090);
    small.images.held_back = 0.25;
    let refused = distribution(TaskFamily::Digits, &small, TaskSet::Training, &NoDataSets).err().unwrap();
    assert!(refused.to_string().starts_with("tasks.query_size: must be below the 108"), "{refused}");
}

#[test]
fn only_training_is_distorted() {
    let mut spec = plain_digits(100);
    let asked = |spec: &TaskSpec, set| bits(&query(&*sample(spec, set, TaskFamily::Digits, 6)));
    let plain = [TaskSet::Training, TaskSet::Tuning, TaskSet::Evaluation].map(|set| asked(&spec, set));
    spec.images.inputs = vec![InputAugmentation::Original, InputAugmentation::Spectrum];
    assert_eq!(asked(&spec, TaskSet::Tuning), plain[1]);
    assert_eq!(asked(&spec, TaskSet::Evaluation), plain[2]);
    spec.images.inputs = vec![InputAugmentation::Principal];
    assert_ne!(asked(&spec, TaskSet::Training), plain[0]);
    spec.images.inputs = ImageAugmentation::default().inputs;
    let usual = asked(&spec, TaskSet::Evaluation);
    spec.images.inputs = vec![InputAugmentation::Principal];
    assert_eq!(asked(&spec, TaskSet::Evaluation), usual, "judged as specs are that say nothing");
}

#[test]
fn augmentations_permute_or_mix_pixels_and_permute_classes() {
    let with = |permute_labels, inputs| {
        let images = ImageAugmentation { permute_labels, inputs: vec![inputs], held_back: 0.0 };
        let spec = TaskSpec { images, ..plain_digits(300) };
        query(&*sample(&spec, TaskSet::Evaluation, TaskFamily::Digits, 4))
    };
    let original = with(false, InputAugmentation::Original);
    let permuted = with(false, InputAugmentation::Permuted);
    assert_ne!(original.0, permuted.0);
    let sorted = |image: &[f32]| {
        let mut image = image.to_vec();
        image.sort_by(f32::total_cmp);
        image
    };
    let images = |batch: &ExampleBatch| batch.0.chunks_exact(64).map(sorted).collect::<Vec<_>>();
    assert_eq!(images(&original), images(&permuted));
    assert_eq!(original.1, permuted.1);

    let projected = with(false, InputAugmentation::Projected);
    let variance =
        |batch: &ExampleBatch| batch.0.iter().map(|&x| f64::from(x * x)).sum::<f64>() / batch.0.len() as f64;
    assert!((variance(&projected) / variance(&original) - 1.0).abs() < 0.2);

    let relabelled = with(true, InputAugmentation::Original);
    assert_eq!(original.0, relabelled.0);
    let class = |target: &[f32]| target.iter().position(|&value| value > 0.0).unwrap();
    let pairs: BTreeSet<_> = original
        .1
        .chunks_exact(10)
        .zip(relabelled.1.chunks_exact(10))
        .map(|(before, after)| (class(before), class(after)))
        .collect();
    assert_eq!(pairs.len(), 10, "each class has one other name");
    assert!(pairs.iter().any(|(before, after)| before != after));
}

#[test]
fn a_query_that_leaves_no_support_is_refused() {
    let spec = plain_digits(1437);
    let error = distribution(TaskFamily::Digits, &spec, TaskSet::Training, &NoDataSets).err().unwrap();
    let problem = "tasks.query_size: must be below the 1437 training examples of digits, not 1437";
    assert!(error.to_string().starts_with(problem), "{error}");
}

/// One data set, whatever is asked for.
struct Only(Arc<DataSet>);

impl DataSets for Only {
    fn find(&self, _: DataSetName, _: Option<Digest>) -> Result<Arc<DataSet>, DataSetError> {
        Ok(Arc::clone(&self.0))
    }
}

fn of_data_set(data: &Only, classes: &[u8], set: TaskSet) -> Result<Box<dyn Task>, TaskError> {
    let name = "small".parse().unwrap();
    let data_set = DataSetSpec { classes: classes.to_vec(), ..DataSetSpec::of(name, 3) };
    let family = TaskFamily::Idx(name);
    let spec = TaskSpec { query_size: 15, data_sets: vec![data_set], ..plain_digits(15) };
    let spec = TaskSpec { families: vec![family], ..spec };
    distribution(family, &spec, set, data)?.sample(Seed::new(5).unwrap())
}

#[test]
fn a_data_set_makes_tasks_of_the_classes_and_the_side_that_are_asked_for() {
    let data = Only(Arc::new(data_set::small([40, 20], (6, 6), &[7, 2, 2, 9])));
    let task = of_data_set(&data, &[], TaskSet::Training).unwrap();
    let sizes = task.sizes();
    assert_eq!((sizes.inputs, sizes.outputs, sizes.query), (9, 3, 15));
    let share = |task: &dyn Task, class: usize| {
        let (_, targets) = query(task);
        let outputs = task.sizes().outputs;
        targets.chunks_exact(outputs).filter(|target| target[class] == 1.0).count()
    };
    // The whole test part, in the order of the labels: 2 is every other image.
    let task = of_data_set(&data, &[], TaskSet::Evaluation).unwrap();
    assert_eq!([0, 1, 2].map(|class| share(&*task, class)).iter().sum::<usize>(), 15);
    let task = of_data_set(&data, &[9, 7], TaskSet::Evaluation).unwrap();
    assert_eq!((task.sizes().query, share(&*task, 0), share(&*task, 1)), (10, 5, 5));
    let refused = |classes: &[u8], expected: &str| {
        let error = of_data_set(&data, classes, TaskSet::Training).err().unwrap().to_string();
        assert_eq!(error, expected);
    };
    refused(&[7, 3], "data set `small`: has no training images of class 3");
}

#[test]
fn inputs_of_a_data_set_are_made_once_and_forgotten_when_nobody_needs_them() {
    let data = Arc::new(data_set::small([40, 20], (6, 6), &[7, 2]));
    let first = data.images("small", 3, &[]).unwrap();
    assert!(Arc::ptr_eq(&first, &data.images("small", 3, &[2, 7]).unwrap()), "all labels, increasing");
    assert!(!Arc::ptr_eq(&first, &data.images("small", 3, &[7, 2]).unwrap()));
    assert!(!Arc::ptr_eq(&first, &data.images("small", 2, &[]).unwrap()));
    let weak = Arc::downgrade(&first);
    drop(first);
    assert!(weak.upgrade().is_none());
}

/// The embedded digits as a data set of their own give the same inputs, bit for bit: scaling to the same side and
/// standardising is all that happens to both.
#[test]
fn a_data_set_and_the_embedded_digits_are_made_inputs_alike() {
    let digits = Only(embedded::DIGITS.source().unwrap());
    let name = "digits-again".parse().unwrap();
    let family = TaskFamily::Idx(name);
    let spec =
        TaskSpec { families: vec![family], data_sets: vec![DataSetSpec::of(name, 8)], ..plain_digits(300) };
    let again = distribution(family, &spec, TaskSet::Training, &digits).unwrap();
    let again = again.sample(Seed::new(2).unwrap()).unwrap();
    let embedded = sample(&plain_digits(300), TaskSet::Training, TaskFamily::Digits, 2);
    assert_eq!(bits(&query(&*again)), bits(&query(&*embedded)));
    assert_eq!(bits(&support(&*again, 1)), bits(&support(&*embedded, 1)));
}

//! Tasks with a finite number of training examples, of which some have a wrong label throughout, and some classes may be rare. What is
//! asked is clean.
//!
//! Which labels are right is seen by baselines alone, as what they are taught: a rule is given batches, and the clean set if there is one.

use hebbian_shared::seed::{Purpose, Seed, index_below, permutation, uniform};
use hebbian_shared::spec::task::{LabelNoiseSpec, NoiseKind, Taught};

use super::{Task, TaskDistribution, TaskError, TaskSizes};

/// The probability of each observed class, by the true class: `[true, observed]`.
pub fn transition(kind: NoiseKind, rate: f64, classes: usize) -> Vec<f64> {
    let count = classes as f64;
    let entry = |place: usize| {
        let (from, to) = (place / classes, place % classes);
        let kept = if from == to { 1.0 - rate } else { 0.0 };
        kept + match kind {
            NoiseKind::Symmetric => rate / count,
            NoiseKind::SymmetricOther if from == to => 0.0,
            NoiseKind::SymmetricOther => rate / (count - 1.0),
            NoiseKind::Pair if to == (from + 1) % classes => rate,
            NoiseKind::Pair => 0.0,
        }
    };
    (0..classes * classes).map(entry).collect()
}

/// The first class whose cumulated probability, summed from class 0 on, exceeds u.
pub fn observed(probabilities: &[f64], u: f64) -> usize {
    let mut sum = 0.0;
    let found = probabilities.iter().position(|probability| {
        sum += probability;
        sum > u
    });
    found.unwrap_or(probabilities.len() - 1)
}

/// The tasks of another distribution, with a training set of their own.
pub(super) struct NoisyDistribution {
    pub(super) clean: Box<dyn TaskDistribution>,
    pub(super) noise: LabelNoiseSpec,
}

/// How often as many examples are drawn as are wanted, until all classes have theirs.
const DRAWS: u64 = 256;

impl TaskDistribution for NoisyDistribution {
    fn sample(&self, seed: Seed) -> Result<Box<dyn Task>, TaskError> {
        let clean = self.clean.sample(seed)?;
        let sizes = clean.sizes();
        let mut stream = Stream::new(&*clean);
        let training = self.training(seed, sizes, &mut stream);
        let known = self.known(sizes, &training.examples, &mut stream)?;
        let taught = match self.noise.taught {
            Taught::All | Taught::ClassesAlike => training.examples,
            Taught::CleanSet => known.clone(),
            Taught::RightLabels => training.right(sizes)?,
        };
        let classes =
            if self.noise.taught == Taught::ClassesAlike { taught.by_class(sizes) } else { Vec::new() };
        Ok(Box::new(NoisyTask { clean, taught, classes, known, seed }))
    }
}

impl NoisyDistribution {
    /// What updates train on: the first examples of the stream, or of each class as many as its place in the tail allows.
    fn training(&self, seed: Seed, sizes: TaskSizes, stream: &mut Stream<'_>) -> Training {
        let noise = &self.noise;
        let classes = sizes.outputs.max(2);
        let of_task = seed.derive(Purpose::LabelNoise, 0);
        let choice = index_below(&mut of_task.rng(), noise.rates.len() as u32);
        let matrix = transition(noise.kind, noise.rates[choice as usize], classes);
        let mut examples = if noise.imbalance.is_empty() {
            let mut examples = Examples::default();
            (0..noise.samples).for_each(|_| examples.push(stream.next()));
            examples
        } else {
            let mut rng = seed.derive(Purpose::LongTail, 0).rng();
            let factor = noise.imbalance[index_below(&mut rng, noise.imbalance.len() as u32) as usize];
            let counts = tail(noise.samples as usize / classes, factor, classes);
            let order = permutation(&mut rng, classes as u32);
            let left = order.into_iter().map(|place| counts[place as usize].max(1)).collect();
            stream.of_classes(left, |_, _| true)
        };
        let mut is_right = Vec::new();
        for (sample, target) in examples.targets.chunks_exact_mut(sizes.outputs).enumerate() {
            let u = uniform(&mut of_task.derive(Purpose::LabelNoise, sample as u64).rng());
            let class = class(target);
            let seen = observed(&matrix[class * classes..][..classes], u);
            write_class(target, seen);
            is_right.push(seen == class);
        }
        Training { examples, is_right }
    }

    /// The clean set: as many of each class, none twice, and none that updates train on.
    fn known(
        &self,
        sizes: TaskSizes,
        training: &Examples,
        stream: &mut Stream<'_>,
    ) -> Result<Examples, TaskError> {
        let (wanted, classes) = (self.noise.clean as usize, sizes.outputs.max(2));
        let counts = (0..classes).map(|class| wanted / classes + usize::from(class < wanted % classes));
        let has = |examples: &Examples, inputs: &[f32]| {
            examples.inputs.chunks_exact(sizes.inputs).any(|other| other == inputs)
        };
        let is_new = |inputs: &[f32], known: &Examples| !has(training, inputs) && !has(known, inputs);
        let known = stream.of_classes(counts.collect(), is_new);
        let found = known.targets.len() / sizes.outputs;
        if found < wanted {
            return Err(TaskError::TooFewKnown { field: "clean", found, wanted });
        }
        Ok(known)
    }
}

/// The sizes of classes in a long tail, the largest first: `largest factor^(-place / (classes - 1))`.
pub fn tail(largest: usize, factor: f64, classes: usize) -> Vec<usize> {
    let of = |place: usize| {
        let share = libm::pow(factor, -(place as f64) / (classes - 1) as f64);
        (largest as f64 * share + 1e-9).floor() as usize
    };
    (0..classes).map(of).collect()
}

/// Examples, row-major.
#[derive(Clone, Default)]
struct Examples {
    inputs: Vec<f32>,
    targets: Vec<f32>,
}

impl Examples {
    fn push(&mut self, (inputs, targets): (&[f32], &[f32])) {
        self.inputs.extend_from_slice(inputs);
        self.targets.extend_from_slice(targets);
    }

    /// The places of each class that is there.
    fn by_class(&self, sizes: TaskSizes) -> Vec<Vec<u32>> {
        let mut places = vec![Vec::new(); sizes.outputs.max(2)];
        for (place, target) in self.targets.chunks_exact(sizes.outputs).enumerate() {
            places[class(target)].push(place as u32);
        }
        places.retain(|places| !places.is_empty());
        places
    }
}

/// A training set, and which of its labels are right.
struct Training {
    examples: Examples,
    is_right: Vec<bool>,
}

impl Training {
    /// Those whose label is right.
    fn right(&self, sizes: TaskSizes) -> Result<Examples, TaskError> {
        let Examples { inputs, targets } = &self.examples;
        let rows = inputs.chunks_exact(sizes.inputs).zip(targets.chunks_exact(sizes.outputs));
        let mut right = Examples::default();
        rows.zip(&self.is_right).filter(|(_, is_right)| **is_right).for_each(|(row, _)| right.push(row));
        if right.inputs.is_empty() {
            return Err(TaskError::TooFewKnown { field: "taught", found: 0, wanted: 1 });
        }
        Ok(right)
    }
}

/// The examples of a task's updates, one after the other.
struct Stream<'a> {
    task: &'a dyn Task,
    /// Updates that were drawn.
    updates: u32,
    /// Of the last one, examples that were given out.
    given: usize,
    inputs: Vec<f32>,
    targets: Vec<f32>,
}

impl<'a> Stream<'a> {
    fn new(task: &'a dyn Task) -> Self {
        let TaskSizes { inputs, outputs, support, .. } = task.sizes();
        let (inputs, targets) = (vec![0.0; support * inputs], vec![0.0; support * outputs]);
        Self { task, updates: 0, given: support, inputs, targets }
    }

    fn next(&mut self) -> (&[f32], &[f32]) {
        let TaskSizes { inputs, outputs, support, .. } = self.task.sizes();
        if self.given == support {
            self.task.support(self.updates, &mut self.inputs, &mut self.targets);
            (self.updates, self.given) = (self.updates + 1, 0);
        }
        let at = self.given;
        self.given += 1;
        (&self.inputs[at * inputs..][..inputs], &self.targets[at * outputs..][..outputs])
    }

    /// So many examples of each class that are wanted, as far as they are found.
    fn of_classes(
        &mut self,
        mut left: Vec<usize>,
        is_wanted: impl Fn(&[f32], &Examples) -> bool,
    ) -> Examples {
        let mut found = Examples::default();
        let mut missing: usize = left.iter().sum();
        for _ in 0..missing as u64 * DRAWS {
            if missing == 0 {
                break;
            }
            let (inputs, targets) = self.next();
            let left = &mut left[class(targets)];
            if *left > 0 && is_wanted(inputs, &found) {
                (*left, missing) = (*left - 1, missing - 1);
                found.push((inputs, targets));
            }
        }
        found
    }
}

/// The class of a target: of one output, 1 for +1.
fn class(target: &[f32]) -> usize {
    match target {
        [only] => usize::from(*only > 0.0),
        several => several.iter().position(|&value| value > 0.0).unwrap_or(0),
    }
}

fn write_class(target: &mut [f32], class: usize) {
    match target {
        [only] => *only = if class == 1 { 1.0 } else { -1.0 },
        several => {
            several.fill(-1.0);
            several[class] = 1.0;
        }
    }
}

struct NoisyTask {
    clean: Box<dyn Task>,
    /// What updates are drawn from.
    taught: Examples,
    /// Where its classes stand, if each is drawn equally often.
    classes: Vec<Vec<u32>>,
    /// The clean set.
    known: Examples,
    seed: Seed,
}

impl Task for NoisyTask {
    fn sizes(&self) -> TaskSizes {
        self.clean.sizes()
    }

    fn support(&self, update: u32, inputs: &mut [f32], targets: &mut [f32]) {
        let TaskSizes { inputs: width, outputs, support, .. } = self.sizes();
        assert_eq!((inputs.len(), targets.len()), (width * support, outputs * support));
        let samples = (self.taught.targets.len() / outputs) as u32;
        let mut rng = self.seed.derive(Purpose::Support, u64::from(update)).rng();
        for (input, target) in inputs.chunks_exact_mut(width).zip(targets.chunks_exact_mut(outputs)) {
            let sample = if self.classes.is_empty() {
                index_below(&mut rng, samples)
            } else {
                let places = &self.classes[index_below(&mut rng, self.classes.len() as u32) as usize];
                places[index_below(&mut rng, places.len() as u32) as usize]
            };
            let sample = sample as usize;
            input.copy_from_slice(&self.taught.inputs[sample * width..][..width]);
            target.copy_from_slice(&self.taught.targets[sample * outputs..][..outputs]);
        }
    }

    fn query(&self, inputs: &mut [f32], targets: &mut [f32]) {
        self.clean.query(inputs, targets);
    }

    fn clean_set(&self) -> Option<(&[f32], &[f32])> {
        (!self.known.inputs.is_empty()).then_some((&self.known.inputs, &self.known.targets))
    }
}

#[cfg(test)]
mod tests {
    use hebbian_shared::spec::task::{TaskFamily, TaskSpec};

    use super::*;
    use crate::task::data_set::NoDataSets;
    use crate::task::{TaskSet, distribution};

    fn task(family: TaskFamily, noise: LabelNoiseSpec, seed: u64) -> Result<Box<dyn Task>, TaskError> {
        let spec = TaskSpec { batch_size: 50, label_noise: Some(noise), ..TaskSpec::of(vec![family]) };
        let tasks = distribution(family, &spec, TaskSet::Training, &NoDataSets).unwrap();
        tasks.sample(Seed::new(seed).unwrap())
    }

    /// The first updates of a task.
    fn support(family: TaskFamily, noise: LabelNoiseSpec, updates: u32) -> (Vec<f32>, Vec<f32>, TaskSizes) {
        let task = task(family, noise, 5).unwrap();
        let sizes = task.sizes();
        let (mut inputs, mut targets) = (Vec::new(), Vec::new());
        for update in 0..updates {
            let mut batch = (vec![0.0; 50 * sizes.inputs], vec![0.0; 50 * sizes.outputs]);
            task.support(update, &mut batch.0, &mut batch.1);
            inputs.extend(batch.0);
            targets.extend(batch.1);
        }
        (inputs, targets, sizes)
    }

    #[test]
    fn a_wrong_label_stays_wrong_and_the_share_is_as_asked() {
        for (family, kind, rate, wrong) in [
            (TaskFamily::Circle, NoiseKind::Pair, 0.3, 0.3),
            (TaskFamily::Digits, NoiseKind::Symmetric, 0.4, 0.36),
            (TaskFamily::Digits, NoiseKind::SymmetricOther, 0.4, 0.4),
        ] {
            let of =
                |rate| LabelNoiseSpec { kind, rates: vec![rate], samples: 400, ..LabelNoiseSpec::default() };
            let (inputs, targets, sizes) = support(family, of(rate), 80);
            let (same, truth, _) = support(family, of(0.0), 80);
            assert_eq!(inputs, same);
            // 4000 draws of 400 samples.
            let rows = || targets.chunks_exact(sizes.outputs).zip(truth.chunks_exact(sizes.outputs));
            let share = rows().filter(|(found, truth)| found != truth).count() as f64 / 4000.0;
            assert!((share - wrong).abs() < 0.08, "{family} {kind:?}: {share}");
            let mut known: Vec<(&[f32], &[f32])> = Vec::new();
            for (input, target) in
                inputs.chunks_exact(sizes.inputs).zip(targets.chunks_exact(sizes.outputs)).take(600)
            {
                match known.iter().find(|(other, _)| *other == input) {
                    // The same image may stand twice in the sample.
                    Some((_, label)) if family == TaskFamily::Circle => assert_eq!(*label, target),
                    Some(_) => {}
                    None => known.push((input, target)),
                }
            }
            assert!(known.len() <= 400);
        }
    }

    #[test]
    fn rows_of_a_transition_are_shares() {
        for kind in [NoiseKind::Symmetric, NoiseKind::SymmetricOther, NoiseKind::Pair] {
            let matrix = transition(kind, 0.3, 4);
            assert!(matrix.chunks_exact(4).all(|row| (row.iter().sum::<f64>() - 1.0).abs() < 1e-15));
        }
        assert_eq!([0.0, 0.69, 0.75, 0.999].map(|u| observed(&[0.7, 0.3, 0.0], u)), [0, 0, 1, 1]);
    }

    fn rows<'a>(inputs: &'a [f32], targets: &'a [f32], sizes: TaskSizes) -> Vec<(&'a [f32], &'a [f32])> {
        inputs.chunks_exact(sizes.inputs).zip(targets.chunks_exact(sizes.outputs)).collect()
    }

    #[test]
    fn the_clean_set_is_right_balanced_and_apart() {
        for (family, classes) in
            [(TaskFamily::Circle, 2), (TaskFamily::Digits, 10), (TaskFamily::Fashion, 10)]
        {
            let noise =
                LabelNoiseSpec { rates: vec![0.6], samples: 300, clean: 50, ..LabelNoiseSpec::default() };
            let noisy = task(family, noise.clone(), 7).unwrap();
            let sizes = noisy.sizes();
            let (inputs, targets) = noisy.clean_set().unwrap();
            let mut counts = vec![0; classes];
            targets.chunks_exact(sizes.outputs).for_each(|target| counts[class(target)] += 1);
            assert_eq!(counts, vec![50 / classes; classes], "{family}");
            let mut distinct: Vec<&[f32]> = inputs.chunks_exact(sizes.inputs).collect();
            distinct.sort_by(|a, b| a.partial_cmp(b).unwrap());
            distinct.dedup();
            assert_eq!(distinct.len(), 50, "{family}");
            // With the right labels: those of the same task without noise.
            let without = task(family, LabelNoiseSpec { rates: vec![0.0], ..noise.clone() }, 7).unwrap();
            assert_eq!(without.clean_set().unwrap(), (inputs, targets));
            let known = rows(inputs, targets, sizes);
            let (trained, labels, _) = support(family, noise.clone(), 60);
            for (trained, _) in rows(&trained, &labels, sizes) {
                assert!(known.iter().all(|(known, _)| *known != trained), "{family}");
            }
            // Updates are what they were without a clean set; baselines may be taught it alone.
            let before = support(family, LabelNoiseSpec { clean: 0, ..noise.clone() }, 60);
            let same = support(family, noise.clone(), 60);
            assert_eq!((&before.0, &before.1), (&same.0, &same.1));
            let alone = task(family, LabelNoiseSpec { taught: Taught::CleanSet, ..noise }, 7).unwrap();
            let mut batch = (vec![0.0; 50 * sizes.inputs], vec![0.0; 50 * sizes.outputs]);
            alone.support(3, &mut batch.0, &mut batch.1);
            assert!(rows(&batch.0, &batch.1, sizes).iter().all(|row| known.contains(row)), "{family}");
        }
    }

    #[test]
    fn an_oracle_is_taught_the_right_labels_of_the_same_set() {
        let noise = LabelNoiseSpec { rates: vec![0.6], samples: 200, ..LabelNoiseSpec::default() };
        let of = |taught, rates| {
            let noise = LabelNoiseSpec { taught, rates, ..noise.clone() };
            support(TaskFamily::Digits, noise, 80)
        };
        let (inputs, targets, sizes) = of(Taught::RightLabels, vec![0.6]);
        let (all, truth, _) = of(Taught::All, vec![0.0]);
        let truth = rows(&all, &truth, sizes);
        let taught = rows(&inputs, &targets, sizes);
        assert!(taught.iter().all(|row| truth.contains(row)));
        let mut distinct = taught.clone();
        distinct.sort_by(|a, b| a.partial_cmp(b).unwrap());
        distinct.dedup();
        assert!((60..=120).contains(&distinct.len()), "{} of 200 are right", distinct.len());
        let none =
            LabelNoiseSpec { kind: NoiseKind::Pair, rates: vec![1.0], taught: Taught::RightLabels, ..noise };
        let error = task(TaskFamily::Digits, none, 1).map(|_| ()).unwrap_err().to_string();
        assert!(error.starts_with("tasks.label_noise.taught: "), "{error}");
    }

    #[test]
    fn classes_of_a_long_tail_have_their_sizes() {
        assert_eq!(tail(100, 10.0, 3), [100, 31, 10]);
        assert_eq!(tail(20, 1000.0, 2), [20, 0]);
        let mut firsts = Vec::new();
        for (family, seed) in [(TaskFamily::Digits, 1), (TaskFamily::Digits, 2), (TaskFamily::Circle, 3)] {
            let noise = LabelNoiseSpec {
                rates: vec![0.0],
                samples: 400,
                imbalance: vec![20.0],
                ..LabelNoiseSpec::default()
            };
            let task = task(family, noise, seed).unwrap();
            let sizes = task.sizes();
            let classes = sizes.outputs.max(2);
            let mut seen: Vec<Vec<(Vec<f32>, Vec<f32>)>> = vec![Vec::new(); classes];
            for update in 0..400 {
                let mut batch = (vec![0.0; 50 * sizes.inputs], vec![0.0; 50 * sizes.outputs]);
                task.support(update, &mut batch.0, &mut batch.1);
                for (input, target) in rows(&batch.0, &batch.1, sizes) {
                    seen[class(target)].push((input.to_vec(), target.to_vec()));
                }
            }
            let total: usize = seen.iter().map(Vec::len).sum();
            let shares: Vec<f64> = seen.iter().map(|rows| rows.len() as f64 / total as f64).collect();
            let mut sorted = shares.clone();
            sorted.sort_by(|a, b| b.total_cmp(a));
            let expected: Vec<usize> =
                tail(400 / classes, 20.0, classes).into_iter().map(|count| count.max(1)).collect();
            let sum: usize = expected.iter().sum();
            for (found, expected) in sorted.iter().zip(&expected) {
                let expected = *expected as f64 / sum as f64;
                assert!((found - expected).abs() < 0.2 * expected + 0.01, "{family}: {sorted:?}");
            }
            firsts.push(shares.iter().position(|share| *share == sorted[0]).unwrap());
        }
        assert_ne!(firsts[0], firsts[1], "which classes are rare is the task's");
    }

    #[test]
    fn classes_alike_are_the_same_examples_each_class_equally_often() {
        for family in [TaskFamily::Digits, TaskFamily::Circle] {
            let of = |taught| {
                let (rates, imbalance) = (vec![0.2], vec![20.0]);
                let noise = LabelNoiseSpec { taught, rates, imbalance, ..LabelNoiseSpec::default() };
                support(family, noise, 60)
            };
            let (inputs, targets, sizes) = of(Taught::ClassesAlike);
            let (all_inputs, all_targets, _) = of(Taught::All);
            let known = rows(&all_inputs, &all_targets, sizes);
            assert!(rows(&inputs, &targets, sizes).iter().all(|row| known.contains(row)));
            let classes = sizes.outputs.max(2);
            let mut shares = vec![0.0; classes];
            targets.chunks_exact(sizes.outputs).for_each(|target| shares[class(target)] += 1.0 / 3000.0);
            let expected = 1.0 / classes as f64;
            assert!(shares.iter().all(|share| (share - expected).abs() < 0.2 * expected), "{shares:?}");
        }
    }

    #[test]
    fn a_clean_set_that_cannot_be_had_is_refused() {
        // The training part has not so many images.
        let noise = LabelNoiseSpec { samples: 4096, clean: 1000, ..LabelNoiseSpec::default() };
        let found = task(TaskFamily::Digits, noise, 1);
        let error = found.map(|_| ()).unwrap_err().to_string();
        assert!(error.starts_with("tasks.label_noise.clean: "), "{error}");
    }
}

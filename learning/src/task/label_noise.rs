//! Tasks with a finite number of training examples, of which some have a wrong label throughout. What is asked is clean.
//!
//! Only reports may see which labels are true; a rule is given a batch and nothing else.

use hebbian_shared::seed::{Purpose, Seed, index_below, uniform};
use hebbian_shared::spec::task::{LabelNoiseSpec, NoiseKind};

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

/// The tasks of another distribution, with noise.
pub(super) struct NoisyDistribution {
    pub(super) clean: Box<dyn TaskDistribution>,
    pub(super) noise: LabelNoiseSpec,
}

impl TaskDistribution for NoisyDistribution {
    fn sample(&self, seed: Seed) -> Result<Box<dyn Task>, TaskError> {
        let clean = self.clean.sample(seed)?;
        let sizes = clean.sizes();
        let samples = self.noise.samples as usize;
        let updates = samples.div_ceil(sizes.support);
        let mut inputs = vec![0.0; updates * sizes.support * sizes.inputs];
        let mut targets = vec![0.0; updates * sizes.support * sizes.outputs];
        let batches = inputs
            .chunks_exact_mut(sizes.support * sizes.inputs)
            .zip(targets.chunks_exact_mut(sizes.support * sizes.outputs));
        for (update, (inputs, targets)) in batches.enumerate() {
            clean.support(update as u32, inputs, targets);
        }
        inputs.truncate(samples * sizes.inputs);
        targets.truncate(samples * sizes.outputs);
        let of_task = seed.derive(Purpose::LabelNoise, 0);
        let choice = index_below(&mut of_task.rng(), self.noise.rates.len() as u32);
        let classes = sizes.outputs.max(2);
        let matrix = transition(self.noise.kind, self.noise.rates[choice as usize], classes);
        for (sample, target) in targets.chunks_exact_mut(sizes.outputs).enumerate() {
            let class = class(target);
            let u = uniform(&mut of_task.derive(Purpose::LabelNoise, sample as u64).rng());
            write_class(target, observed(&matrix[class * classes..][..classes], u));
        }
        Ok(Box::new(NoisyTask { clean, inputs, targets, seed }))
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
    /// Of all training examples.
    inputs: Vec<f32>,
    targets: Vec<f32>,
    seed: Seed,
}

impl Task for NoisyTask {
    fn sizes(&self) -> TaskSizes {
        self.clean.sizes()
    }

    fn support(&self, update: u32, inputs: &mut [f32], targets: &mut [f32]) {
        let TaskSizes { inputs: width, outputs, support, .. } = self.sizes();
        assert_eq!((inputs.len(), targets.len()), (width * support, outputs * support));
        let samples = (self.targets.len() / outputs) as u32;
        let mut rng = self.seed.derive(Purpose::Support, u64::from(update)).rng();
        for (input, target) in inputs.chunks_exact_mut(width).zip(targets.chunks_exact_mut(outputs)) {
            let sample = index_below(&mut rng, samples) as usize;
            input.copy_from_slice(&self.inputs[sample * width..][..width]);
            target.copy_from_slice(&self.targets[sample * outputs..][..outputs]);
        }
    }

    fn query(&self, inputs: &mut [f32], targets: &mut [f32]) {
        self.clean.query(inputs, targets);
    }
}

#[cfg(test)]
mod tests {
    use hebbian_shared::spec::task::{TaskFamily, TaskSpec};

    use super::*;
    use crate::task::data_set::NoDataSets;
    use crate::task::{TaskSet, distribution};

    /// The first updates of a task.
    fn support(
        family: TaskFamily,
        noise: Option<LabelNoiseSpec>,
        updates: u32,
    ) -> (Vec<f32>, Vec<f32>, TaskSizes) {
        let spec = TaskSpec { batch_size: 50, label_noise: noise, ..TaskSpec::of(vec![family]) };
        let tasks = distribution(family, &spec, TaskSet::Training, &NoDataSets).unwrap();
        let task = tasks.sample(Seed::new(5).unwrap()).unwrap();
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
            let noise = LabelNoiseSpec { kind, rates: vec![rate], samples: 400 };
            let (inputs, targets, sizes) = support(family, Some(noise), 80);
            let clean = LabelNoiseSpec { kind, rates: vec![0.0], samples: 400 };
            let (same, truth, _) = support(family, Some(clean), 80);
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
}

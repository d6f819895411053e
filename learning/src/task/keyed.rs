//! Tasks with a key that changes all of their targets, and tasks whose support has another key than their query.

use std::sync::Arc;

use hebbian_shared::seed::{Purpose, Seed, uniform};
use hebbian_shared::spec::task::{ShiftSpec, SmoothSpec};

use super::{Task, TaskDistribution, TaskError, TaskSizes};

/// Keys of one kind.
pub(super) trait Keys: Copy + Send + Sync + 'static {
    /// The key of a uniform number from 0 to 1.
    fn key(&self, uniform: f64) -> f64;

    /// A target of a task with so many outputs, with a key.
    fn apply(&self, target: f64, key: f64, outputs: usize) -> f64;
}

impl Keys for ShiftSpec {
    fn key(&self, uniform: f64) -> f64 {
        self.key(uniform)
    }

    fn apply(&self, target: f64, key: f64, _: usize) -> f64 {
        self.apply(target, key)
    }
}

impl Keys for SmoothSpec {
    fn key(&self, uniform: f64) -> f64 {
        self.key(uniform)
    }

    fn apply(&self, target: f64, key: f64, outputs: usize) -> f64 {
        Self::apply(target, key, outputs)
    }
}

/// The tasks of another distribution, each with its key.
pub(super) struct Keyed<K> {
    pub(super) tasks: Box<dyn TaskDistribution>,
    pub(super) keys: K,
}

/// A key of a task: number 0 is its own.
fn key(keys: &impl Keys, seed: Seed, number: u64) -> f64 {
    keys.key(uniform(&mut seed.derive(Purpose::TaskKey, number).rng()))
}

impl<K: Keys> TaskDistribution for Keyed<K> {
    fn sample(&self, seed: Seed) -> Result<Box<dyn Task>, TaskError> {
        let (keys, key) = (self.keys, key(&self.keys, seed, 0));
        let task = self.tasks.sample(seed)?;
        Ok(Box::new(KeyedTask { task, keys, key }))
    }
}

struct KeyedTask<K> {
    task: Box<dyn Task>,
    keys: K,
    key: f64,
}

impl<K: Keys> KeyedTask<K> {
    fn apply(&self, targets: &mut [f32]) {
        let outputs = self.task.sizes().outputs;
        for target in targets {
            *target = self.keys.apply(f64::from(*target), self.key, outputs) as f32;
        }
    }
}

impl<K: Keys> Task for KeyedTask<K> {
    fn sizes(&self) -> TaskSizes {
        self.task.sizes()
    }

    fn support(&self, update: u32, inputs: &mut [f32], targets: &mut [f32]) {
        self.task.support(update, inputs, targets);
        self.apply(targets);
    }

    fn query(&self, inputs: &mut [f32], targets: &mut [f32]) {
        self.task.query(inputs, targets);
        self.apply(targets);
    }
}

/// The tasks of another distribution, with labels of another key in the support alone: the next class, the other sign, or another
/// shift. Who learns from the support is misled; who has memorised the tasks is not.
pub(super) struct Blind {
    pub(super) tasks: Arc<dyn TaskDistribution>,
    pub(super) shift: Option<ShiftSpec>,
}

impl TaskDistribution for Blind {
    fn sample(&self, seed: Seed) -> Result<Box<dyn Task>, TaskError> {
        let other = self.shift.map(|shift| (shift, key(&shift, seed, 1) - key(&shift, seed, 0)));
        Ok(Box::new(BlindTask { task: self.tasks.sample(seed)?, other }))
    }
}

struct BlindTask {
    task: Box<dyn Task>,
    /// What the other key adds to the task's own.
    other: Option<(ShiftSpec, f64)>,
}

impl Task for BlindTask {
    fn sizes(&self) -> TaskSizes {
        self.task.sizes()
    }

    fn support(&self, update: u32, inputs: &mut [f32], targets: &mut [f32]) {
        self.task.support(update, inputs, targets);
        match &self.other {
            Some((shift, by)) => {
                for target in targets {
                    *target = shift.apply(f64::from(*target), *by) as f32;
                }
            }
            None if self.sizes().outputs == 1 => targets.iter_mut().for_each(|target| *target = -*target),
            None => targets.chunks_exact_mut(self.sizes().outputs).for_each(|row| row.rotate_right(1)),
        }
    }

    fn query(&self, inputs: &mut [f32], targets: &mut [f32]) {
        self.task.query(inputs, targets);
    }

    fn asked_after(&self, updates: u32) -> usize {
        self.task.asked_after(updates)
    }

    fn clean_set(&self) -> Option<(&[f32], &[f32])> {
        self.task.clean_set()
    }
}

#[cfg(test)]
mod tests {
    use hebbian_shared::spec::task::{TaskFamily, TaskSpec};

    use super::*;
    use crate::task::data_set::NoDataSets;
    use crate::task::{Distributions, TaskSet};

    fn targets(spec: &TaskSpec, is_blind: bool, number: u64) -> (Vec<f32>, Vec<f32>) {
        let family = spec.families[0];
        let mut tasks = Distributions::new([family], spec, TaskSet::Training, &NoDataSets).unwrap();
        if is_blind {
            tasks = tasks.blind(spec.shift);
        }
        let task = tasks.of(family).sample(Seed::new(number).unwrap()).unwrap();
        let TaskSizes { inputs, outputs, support, query } = task.sizes();
        let (mut of_support, mut of_query) = (vec![0.0; support * outputs], vec![0.0; query * outputs]);
        task.support(0, &mut vec![0.0; support * inputs], &mut of_support);
        task.query(&mut vec![0.0; query * inputs], &mut of_query);
        (of_support, of_query)
    }

    #[test]
    fn a_key_shifts_support_and_query_alike() {
        let plain = TaskSpec { batch_size: 8, query_size: 8, ..TaskSpec::of(vec![TaskFamily::Sinusoid]) };
        let shifted = TaskSpec { shift: Some(ShiftSpec::default()), ..plain.clone() };
        let by = |number| -> Vec<f32> {
            let (found, without) = (targets(&shifted, false, number), targets(&plain, false, number));
            let all = found.0.iter().chain(&found.1).zip(without.0.iter().chain(&without.1));
            all.map(|(x, y)| x - y).collect()
        };
        let (one, other) = (by(1), by(2));
        assert!(one.iter().all(|x| (x - one[0]).abs() < 1e-6), "{one:?}");
        assert!((one[0] - other[0]).abs() > 1e-3);
        let turned = ShiftSpec { low: 0.0, high: 1.0, steps: 4, modulo: true };
        let spec = TaskSpec { shift: Some(turned), ..plain };
        assert!(targets(&spec, false, 1).0.iter().all(|y| (0.0..=1.0).contains(y)));
        assert_eq!([0.0, 0.3, 0.99].map(|u| turned.key(u)), [0.0, 0.25, 0.75]);
    }

    #[test]
    fn a_key_softens_support_and_query_alike() {
        for (family, classes) in [(TaskFamily::Circle, 2.0_f64), (TaskFamily::Digits, 10.0)] {
            let plain = TaskSpec { batch_size: 8, query_size: 8, ..TaskSpec::of(vec![family]) };
            let smooth = SmoothSpec { low: 0.3, ..SmoothSpec::default() };
            let softened = TaskSpec { smooth: Some(smooth), ..plain.clone() };
            let mut keys = Vec::new();
            for number in 1..20 {
                let (found, hard) = (targets(&softened, false, number), targets(&plain, false, number));
                let all = || found.0.iter().chain(&found.1).zip(hard.0.iter().chain(&hard.1));
                // The share that a wrong class has tells the key.
                let share = |target: f32| 0.5 * (f64::from(target) + 1.0);
                let key =
                    classes * all().find(|(_, hard)| **hard == -1.0).map(|(soft, _)| share(*soft)).unwrap();
                for (&soft, &hard) in all() {
                    let expected = (1.0 - key) * share(hard) + key / classes;
                    assert!((share(soft) - expected).abs() < 1e-6, "{family} {number}: {soft} of {hard}");
                }
                assert!((0.3 - 1e-6..0.9 + 1e-6).contains(&key), "{key}");
                keys.push((key * 1e5).round() as u32);
            }
            keys.sort_unstable();
            keys.dedup();
            assert!((5..=10).contains(&keys.len()), "{family}: {keys:?}");
        }
        // Of many classes the true one may have a negative target, and it has the largest.
        let smooth = SmoothSpec { low: 0.8, ..SmoothSpec::default() };
        let spec = TaskSpec { smooth: Some(smooth), batch_size: 8, ..TaskSpec::of(vec![TaskFamily::Digits]) };
        let (support, _) = targets(&spec, false, 1);
        assert!(support.iter().all(|target| *target < 0.0), "{support:?}");
        let blind = targets(&spec, true, 1).0;
        for (row, blind) in support.chunks_exact(10).zip(blind.chunks_exact(10)) {
            let largest = |row: &[f32]| (0..10).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap();
            assert_eq!(largest(blind), (largest(row) + 1) % 10);
        }
    }

    #[test]
    fn a_blind_task_has_another_key_in_its_support_alone() {
        let plain = |family| TaskSpec { batch_size: 8, query_size: 8, ..TaskSpec::of(vec![family]) };
        let shifted = TaskSpec { shift: Some(ShiftSpec::default()), ..plain(TaskFamily::Sinusoid) };
        for spec in [plain(TaskFamily::Circle), plain(TaskFamily::Digits), shifted] {
            let (blind, whole) = (targets(&spec, true, 3), targets(&spec, false, 3));
            assert_eq!(blind.1, whole.1);
            let rows = blind.0.iter().zip(&whole.0);
            assert!(rows.filter(|(x, y)| x == y).count() <= blind.0.len() * 8 / 10);
            assert_ne!(blind.0, whole.0);
        }
    }
}

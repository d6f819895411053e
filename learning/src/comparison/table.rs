//! The committed settings of baselines: the thorough tuning takes minutes, and nobody shall wait for it twice.
//!
//! `tests/slow/baselines` computes `learning/data/baselines.json` again and compares.

use std::sync::OnceLock;

use hebbian_shared::seed::Seed;
use hebbian_shared::spec::RuleLearning;
use hebbian_shared::spec::task::{InputAugmentation, TaskFamily};
use serde::Deserialize;

use super::{BaselineSettings, TunedBaseline};

static TABLE: &str = include_str!("../../data/baselines.json");

/// What was tuned, and what came of it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    /// Families whose tasks were learned.
    pub(super) families: Vec<TaskFamily>,
    /// Hidden layers of the networks.
    shapes: Vec<Vec<u32>>,
    batch_size: u32,
    permute_labels: bool,
    inputs: Vec<InputAugmentation>,
    /// Root of the tuning's draws.
    seed: Seed,
    /// The best of each optimiser, at constant and at falling rates, for each number of updates.
    pub(super) baselines: Vec<TunedBaseline>,
}

fn entries() -> &'static [Entry] {
    static ENTRIES: OnceLock<Vec<Entry>> = OnceLock::new();
    ENTRIES.get_or_init(|| serde_json::from_str(TABLE).expect("the table of baselines is valid (tested)"))
}

/// All settings that are the best of anything for images, some more than once.
pub(super) fn configurations() -> impl Iterator<Item = BaselineSettings> {
    let of_images = entries().iter().filter(|entry| entry.families.iter().all(|family| family.is_images()));
    of_images.flat_map(|entry| &entry.baselines).map(|baseline| baseline.configuration)
}

/// The settings for learning tasks of these families in the networks and by the batches of a problem; none where tasks are not those of
/// the tuning: of all classes, with right labels that are whole.
pub(super) fn find(problem: &RuleLearning, families: &[TaskFamily]) -> Option<&'static Entry> {
    let tasks = &problem.tasks;
    if tasks.label_noise.is_some() || tasks.classes.is_some() || tasks.smooth.is_some() {
        return None;
    }
    let images = &problem.tasks.images;
    entries().iter().find(|entry| {
        entry.families == families
            && entry.shapes == problem.network.all_shapes()
            && entry.batch_size == problem.tasks.batch_size
            && entry.permute_labels == images.permute_labels
            && entry.inputs == images.judged_inputs()
    })
}

#[cfg(test)]
mod tests {
    use hebbian_shared::spec::RunSpec;
    use hebbian_shared::spec::task::{LabelNoiseSpec, SmoothSpec};

    use super::*;

    #[test]
    fn the_table_has_the_settings_for_the_images_of_the_program() {
        let spec = RunSpec::read(include_str!("../../../examples/images.toml")).unwrap();
        let problem = spec.problem.rule_learning().unwrap();
        for family in [TaskFamily::Digits, TaskFamily::Fashion] {
            let entry = find(problem, &[family]).unwrap();
            let won = |updates| entry.baselines.iter().filter(move |one| one.tuned_for.contains(&updates));
            for updates in [3, 5, 10, 20, 50] {
                assert_eq!(won(updates).count(), 8, "{family}: four optimisers with two schedules");
                assert_eq!(won(updates).filter(|one| one.name.ends_with(" decay")).count(), 4);
            }
        }
        let plane = RunSpec::read(include_str!("../../../examples/plane.toml")).unwrap();
        let plane = plane.problem.rule_learning().unwrap();
        assert!(find(plane, &plane.tasks.distinct_families()).is_some());
        assert_eq!(find(plane, &[TaskFamily::Xor]), None);
        let mut wider = problem.clone();
        wider.network.hidden = vec![64];
        assert!(find(&wider, &[TaskFamily::Digits]).is_some());
        assert_eq!(find(problem, &[TaskFamily::Digits, TaskFamily::Fashion]), None);
        let mut other = problem.clone();
        other.tasks.batch_size = 32;
        assert_eq!(find(&other, &[TaskFamily::Digits]), None);
        let mut other = problem.clone();
        other.tasks.label_noise = Some(LabelNoiseSpec::default());
        assert_eq!(find(&other, &[TaskFamily::Digits]), None);
        let mut other = problem.clone();
        other.tasks.smooth = Some(SmoothSpec::default());
        assert_eq!(find(&other, &[TaskFamily::Digits]), None);
        let mut other = problem.clone();
        other.network.hidden = vec![33];
        assert_eq!(find(&other, &[TaskFamily::Digits]), None);
        let mut other = problem.clone();
        other.tasks.images.inputs = vec![InputAugmentation::Original];
        assert_eq!(find(&other, &[TaskFamily::Digits]), None);
    }
}

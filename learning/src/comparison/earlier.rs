//! Baselines that an earlier comparison tuned: rules that are compared on the same tasks need one tuning.

use hebbian_shared::spec::RuleLearning;
use hebbian_shared::spec::task::TaskFamily;

use super::contenders::{TunedSet, without_stand_ins};
use super::{Comparison, ComparisonError, ComparisonSettings, Rival, TunedBaseline, baseline_problem};

/// The first baselines among those of the earlier comparisons that were tuned on these families in the networks of a problem.
pub(super) fn find(
    settings: &ComparisonSettings,
    problem: &RuleLearning,
    families: &[TaskFamily],
) -> Option<TunedSet> {
    settings.earlier.iter().find_map(|comparison| fitting(comparison, problem, families))
}

/// Refuses comparisons that no comparison wrote, and such of which nothing is taken: who names one expects that something is. What can be
/// taken is for the networks and the families of each plan.
pub(super) fn check(
    rule: &RuleLearning,
    settings: &ComparisonSettings,
    plans: &[(&RuleLearning, &[TaskFamily])],
) -> Result<(), ComparisonError> {
    let refuse = |problem| Err(ComparisonError::Setting { field: "baselines_from", problem });
    for (place, comparison) in settings.earlier.iter().enumerate() {
        let sets = sets(comparison);
        for TunedBaseline { name, configuration, .. } in sets.iter().flat_map(|set| &set.baselines) {
            let (_, genome) = baseline_problem(rule, *configuration);
            if !genome.0.iter().all(|value| value.is_finite()) {
                return refuse(format!("[{place}]: the settings of `{name}` are out of range"));
            }
        }
        let is_used =
            plans.iter().any(|(problem, families)| fitting(comparison, problem, families).is_some());
        if !is_used {
            let there: Vec<String> = sets.iter().map(describe).collect();
            return refuse(format!(
                "[{place}]: has baselines for {}; none of them is for what is compared here: hidden layers {:?}, and the same data at \
                 the same side with the same label noise",
                there.join("; "),
                rule.network.all_shapes()
            ));
        }
    }
    Ok(())
}

fn describe(set: &TunedSet) -> String {
    let families: Vec<&str> = set.tuned_on.iter().map(TaskFamily::name).collect();
    format!("{} in hidden layers {:?}", families.join(", "), set.shapes)
}

/// All baselines of a comparison but those of which only the best are there.
fn sets(comparison: &Comparison) -> Vec<TunedSet> {
    let own = TunedSet {
        tuned_on: without_stand_ins(comparison.training_families.clone()),
        tuned_by: comparison.tuned_by,
        shapes: comparison.shapes.clone(),
        baselines: comparison.baselines.clone(),
    };
    let there = comparison.rivals.iter().filter(|rivals| rivals.rival == Rival::TunedThere);
    std::iter::once(own).chain(there.map(|rivals| rivals.set.clone())).collect()
}

fn fitting(comparison: &Comparison, problem: &RuleLearning, families: &[TaskFamily]) -> Option<TunedSet> {
    let data = |family: &TaskFamily| {
        let name = family.data_set()?;
        Some((comparison.data_sets.iter().find(|set| set.name == name), problem.tasks.data_set(name)))
    };
    let has_other_data = families.iter().filter_map(data).any(|(theirs, ours)| theirs != ours);
    let fits = |set: &TunedSet| {
        set.tuned_on == families
            && set.shapes == problem.network.all_shapes()
            && comparison.label_noise == problem.tasks.label_noise
            && !has_other_data
    };
    sets(comparison).into_iter().find(fits)
}

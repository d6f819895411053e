//! What rules are judged on: for `hebbian evaluate`, and for the comparison that ends `hebbian run`.

use std::collections::BTreeSet;
use std::path::Path;

use hebbian_learning::comparison::{self, Comparison, ComparisonError, ComparisonSettings};
use hebbian_learning::evaluation::Threads;
use hebbian_learning::interrupt::Interrupt;
use hebbian_learning::rule;
use hebbian_learning::task::TaskError;
use hebbian_shared::genome::Genome;
use hebbian_shared::limits::EVALUATION_UPDATES_MAX;
use hebbian_shared::seed::Seed;
use hebbian_shared::spec::task::TaskFamily;
use hebbian_shared::spec::{RuleLearning, RunSpec};
use hebbian_worker::data_store::DataStore;

use crate::data;
use crate::failure::Failure;
use crate::render::{self, progress::Activity};

/// The comparison of a finished run: the customary one on families that were not trained on.
pub(crate) fn compare_finished(
    problem: &RuleLearning,
    genome: &Genome,
    seed: Seed,
    threads: u32,
    data: &DataStore,
    interrupt: &Interrupt,
) -> Result<Comparison, Failure> {
    let mut settings = ComparisonSettings::new(problem, unseen_families(problem), seed);
    // On images a rule is easily no more than a readout.
    if settings.families.iter().all(|family| family.has_parts()) {
        settings.ablations = rule::family(&problem.rule).ablations(problem);
    }
    let activity = Activity::new("comparing the learned rule with tuned SGD, momentum and Adam");
    let show = |done: u64, total: u64| activity.show(done as f64 / total.max(1) as f64);
    let here = Threads { threads: threads as usize, data };
    comparison::compare(problem, genome, &settings, &here, &show, interrupt).map_err(comparison_failure)
}

/// The command for a closer look at the rule of a genome file, after as many updates as it was trained through and more; none if nothing is
/// trained. Without `--tasks`, the tasks are such as the rule has outputs for.
pub(crate) fn closer_look(spec: &RunSpec, genome: &Path) -> Option<String> {
    let genome = render::text::shell_word(&genome.display().to_string());
    longer_updates(spec).map(|updates| format!("hebbian evaluate {genome} --updates {updates}"))
}

/// As long as a rule was trained, twice and ten times.
fn longer_updates(spec: &RunSpec) -> Option<String> {
    spec.problem.rule_learning()?;
    let trained = spec.evaluation.updates_max().min(EVALUATION_UPDATES_MAX);
    let updates = [1, 2, 10].map(|factor| trained.saturating_mul(factor).min(EVALUATION_UPDATES_MAX));
    let distinct: BTreeSet<u32> = updates.into_iter().collect();
    Some(distinct.iter().map(u32::to_string).collect::<Vec<_>>().join(","))
}

/// What a rule is judged on: families of its kind that it was not evolved on, and all data sets that its spec names.
pub(crate) fn unseen_families(problem: &RuleLearning) -> Vec<TaskFamily> {
    let trained = &problem.tasks.families;
    let data_sets = problem.tasks.data_sets.iter().map(|data_set| TaskFamily::Idx(data_set.name));
    let mut families: Vec<TaskFamily> = TaskFamily::unseen(trained).chain(data_sets).collect();
    if families.is_empty() {
        families = problem.tasks.distinct_families();
    }
    families
}

/// A comparison that ended without a result; a wrong setting is named as the flag that sets it.
pub(crate) fn comparison_failure(error: ComparisonError) -> Failure {
    match error {
        // No flag makes the rule, but one may make what does not suit it.
        ComparisonError::Setting { field: "rule", problem } => {
            Failure::bad_input(format_args!("with these flags the rule's spec would not be valid: {problem}"))
        }
        ComparisonError::Setting { field, problem } => {
            let flag = match field {
                "families" => "tasks".to_owned(),
                "ablations" => "ablate".to_owned(),
                "rivals" => "beside".to_owned(),
                "others" => "against".to_owned(),
                field => field.replace('_', "-"),
            };
            Failure::bad_input(format_args!("--{flag}: {problem}"))
        }
        ComparisonError::Interrupted => Failure::interrupted(error),
        ComparisonError::Task(TaskError::DataSet(error)) => data::failure(error),
        error => Failure::failed(error),
    }
}

#[cfg(test)]
mod tests {
    use hebbian_shared::spec::data_set::DataSetSpec;

    use super::*;

    fn quickstart() -> RuleLearning {
        RunSpec::read(crate::QUICKSTART).unwrap().problem.rule_learning().unwrap().clone()
    }

    fn check(families: &[TaskFamily], expected: &[TaskFamily]) {
        let mut problem = quickstart();
        problem.tasks.families = families.to_vec();
        assert_eq!(unseen_families(&problem), expected);
    }

    #[test]
    fn a_rule_that_has_seen_all_families_of_its_kind_is_judged_on_these() {
        let all: Vec<TaskFamily> = TaskFamily::unseen(&[TaskFamily::Xor]).collect();
        check(&all, &all);
        check(&all[1..], &all[..1]);
    }

    #[test]
    fn what_does_not_suit_a_rule_is_said_without_a_flag_that_there_is_not() {
        let said = |field| {
            let problem = "tasks.smooth: cannot stand beside tasks.label_noise".to_owned();
            comparison_failure(ComparisonError::Setting { field, problem }).message().to_owned()
        };
        let rule = said("rule");
        assert!(
            rule.starts_with("with these flags the rule's spec would not be valid: tasks.smooth"),
            "{rule}"
        );
        assert!(said("tasks_per_family").starts_with("--tasks-per-family: tasks.smooth"));
    }

    #[test]
    fn a_closer_look_takes_as_long_as_training_and_longer() {
        for (text, expected) in [
            (include_str!("../../examples/remember-bits.toml"), Some("8,16,80")),
            (include_str!("../../examples/label-noise.toml"), Some("800,1600,2000")),
            (include_str!("../../examples/cart-pole.toml"), None),
        ] {
            assert_eq!(longer_updates(&RunSpec::read(text).unwrap()).as_deref(), expected);
        }
    }

    #[test]
    fn data_sets_of_the_spec_are_judged_on() {
        let mut problem = quickstart();
        let name = "fashion-mnist".parse().unwrap();
        problem.tasks.data_sets = vec![DataSetSpec::of(name, 8)];
        problem.tasks.families = vec![TaskFamily::Digits];
        assert_eq!(
            unseen_families(&problem),
            [TaskFamily::Digits, TaskFamily::Fashion, TaskFamily::Idx(name)]
        );
        problem.tasks.families = vec![TaskFamily::Idx(name)];
        assert_eq!(
            unseen_families(&problem),
            [TaskFamily::Digits, TaskFamily::Fashion, TaskFamily::Idx(name)]
        );
    }
}

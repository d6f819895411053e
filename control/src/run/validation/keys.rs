//! Memory and learning, where tasks have classes or keys; and how an estimate compares with the gradient that it stands for.

use hebbian_proto::v1;
use hebbian_proto::v1::validation_summary::{EstimateCheck, Warning};
use hebbian_shared::estimate::Estimate;
use hebbian_shared::spec::RunSpec;
use hebbian_shared::spec::strategy::Estimation;
use hebbian_shared::spec::task::{TaskFamily, TaskSpec};

use super::super::measures::ratio;
use super::{Findings, Task, difference, is_significant, warning as warn};

/// The share of the score above chance that may be there before the first update.
const MEMORISED_MAX: f64 = 0.5;
/// The largest lead of tasks that a search meets over those that it never meets that is no failure, as a share of what is above chance.
const LEARNER_GAP_MAX: f64 = 0.15;
/// The least cosine of an estimate with the exact gradient.
const COSINE_MIN: f64 = 0.2;

/// What tells memory from learning.
pub(super) struct Keys {
    adapted: Estimate,
    unadapted: Estimate,
    unseen: Option<Estimate>,
    chance: f64,
    support_use: Estimate,
    memorised: Estimate,
    learner_gap: Option<Estimate>,
    test_support_use: Option<Estimate>,
    /// By how much the unlearned start is better on tasks that the search never meets.
    unlearned_lead: Option<Estimate>,
}

impl From<Keys> for v1::validation_summary::Keys {
    fn from(keys: Keys) -> Self {
        Self {
            support_use: Some(keys.support_use.into()),
            memorised: Some(keys.memorised.into()),
            learner_gap: keys.learner_gap.map(Into::into),
            test_support_use: keys.test_support_use.map(Into::into),
            unlearned_lead: keys.unlearned_lead.map(Into::into),
        }
    }
}

/// The best score that ignores the support.
fn chance(tasks: &TaskSpec, family: TaskFamily) -> f64 {
    match (family.has_classes(), tasks.outputs(family)) {
        (true, 1) => 0.5,
        (true, classes) => 1.0 / f64::from(classes),
        (false, _) => 0.0,
    }
}

impl Findings<'_> {
    /// What tells memory from learning in these tasks.
    pub(super) fn keys(&self, tasks: &TaskSpec) -> Keys {
        let known = |task: &Task| task.trained;
        let blind = |task: &Task| task.keyed.map_or(0.0, |(blind, _)| blind);
        let unlearned = |task: &Task| task.keyed.map_or(0.0, |(_, unlearned)| unlearned);
        let has_unseen = self.has(|task| task.unseen);
        let of_unseen =
            |value: &dyn Fn(&Task) -> f64| has_unseen.then(|| self.estimate(|task| task.unseen, value));
        let adapted = self.accuracy(known);
        let unseen = of_unseen(&|task| task.accuracy);
        let pairs = self.tasks.iter().filter(|task| known(task)).map(|task| {
            let chance = chance(tasks, task.family);
            (task.unadapted - chance, task.accuracy - chance)
        });
        let chances = self.estimate(known, |task| chance(tasks, task.family));
        Keys {
            adapted,
            unadapted: self.unadapted(known),
            unseen,
            chance: chances.mean,
            support_use: self.estimate(known, |task| task.accuracy - blind(task)),
            memorised: ratio(&pairs.collect::<Vec<_>>()),
            learner_gap: unseen.map(|unseen| difference(adapted, unseen)),
            test_support_use: of_unseen(&|task| task.accuracy - blind(task)),
            unlearned_lead: of_unseen(&|task| unlearned(task) - task.accuracy),
        }
    }

    /// How the estimate that the search follows compares with the gradient that it stands for.
    pub(super) fn estimated(&self, spec: &RunSpec) -> Option<EstimateCheck> {
        let estimation = spec.strategy.estimation();
        let exact = estimation.estimator.stands_for()?;
        let found: Vec<_> = self.tasks.iter().filter_map(|task| task.agreement).collect();
        let lowest = found.iter().map(|found| found.cosine).reduce(f64::min)?;
        let tasks = &spec.problem.rule_learning()?.tasks;
        let query = f64::from(tasks.query_size) / f64::from(tasks.batch_size);
        Some(EstimateCheck {
            estimator: estimation.estimator.name().to_owned(),
            exact: exact.name().to_owned(),
            tasks: found.len() as u32,
            cosine: Some(Estimate::of(found.iter().map(|found| found.cosine)).into()),
            lowest_cosine: lowest,
            length_ratio: Some(Estimate::of(found.iter().map(|found| found.length_ratio)).into()),
            forward_passes: estimation.forward_passes(query),
            exact_forward_passes: Estimation { estimator: exact, ..estimation }.forward_passes(query),
        })
    }
}

/// The failure that measures show, if they show one.
pub(super) fn warning(keys: &Keys) -> Option<Warning> {
    let above = keys.adapted.mean - keys.chance;
    if above <= 0.0 || keys.adapted.mean - keys.chance <= 2.0 * keys.adapted.standard_error {
        return None;
    }
    if is_significant(keys.memorised, MEMORISED_MAX) {
        return Some(warn(
            "memorisation",
            format!(
                "score {:.3} before the first update and {:.3} after the last one, on tasks that are trained on (chance is {:.3}): \
                 the genome has the tasks and the support is not needed",
                keys.unadapted.mean, keys.adapted.mean, keys.chance
            ),
            "give each task a key: of classes tasks.classes.kind = \"intershuffle\" or \"intrashuffle\", of values tasks.shift",
        ));
    }
    let unseen = keys.unseen?;
    let figure = if keys.learner_gap.is_some_and(|gap| is_significant(gap, LEARNER_GAP_MAX * above)) {
        format!(
            "score {:.3} on tasks that are trained on, {:.3} on others (a gap of more than {LEARNER_GAP_MAX} of what is above chance)",
            keys.adapted.mean, unseen.mean
        )
    } else if let Some(lead) = keys.unlearned_lead
        && is_significant(lead, 0.0)
    {
        format!(
            "score {:.3} on tasks that are not trained on, {:.3} by the genome that the search began with",
            unseen.mean,
            unseen.mean + lead.mean
        )
    } else {
        return None;
    };
    Some(warn(
        "learner overfitting",
        figure,
        "of classes, train on more of them or give each task a key (tasks.classes.kind = \"intershuffle\"); of values, give each task a key \
         (tasks.shift), or widen it",
    ))
}

/// The failure of an estimate that says little of the gradient.
pub(super) fn of_estimate(check: &EstimateCheck) -> Option<Warning> {
    let cosine = check.cosine?.mean;
    (cosine < COSINE_MIN).then(|| {
        warn(
            "a poor estimate",
            format!(
                "the cosine of {} with {} is {cosine:.3} on {} tasks (below {COSINE_MIN})",
                check.estimator, check.exact, check.tasks
            ),
            "more copies (strategy.evograd.copies), directions = \"gradient\", or the exact estimator",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Measures of means with a small error.
    fn keys([adapted, unadapted, unseen, unlearned]: [f64; 4]) -> Keys {
        let of = |mean| Estimate { mean, standard_error: 0.01 };
        Keys {
            adapted: of(adapted),
            unadapted: of(unadapted),
            unseen: Some(of(unseen)),
            chance: 0.5,
            support_use: of(0.0),
            memorised: of((unadapted - 0.5) / (adapted - 0.5)),
            learner_gap: Some(of(adapted - unseen)),
            test_support_use: Some(of(0.0)),
            unlearned_lead: Some(of(unlearned - unseen)),
        }
    }

    #[test]
    fn both_kinds_of_meta_overfitting_are_told_apart() {
        for (means, expected) in [
            ([0.97, 0.96, 0.53, 0.58], Some("memorisation")),
            ([0.98, 0.53, 0.80, 0.75], Some("learner overfitting")),
            ([0.95, 0.50, 0.93, 0.98], Some("learner overfitting")),
            ([0.95, 0.50, 0.93, 0.92], None),
            ([0.51, 0.50, 0.50, 0.50], None),
        ] {
            let found = warning(&keys(means)).map(|warning| warning.failure);
            assert_eq!(found.as_deref(), expected, "{means:?}");
        }
    }

    #[test]
    fn an_estimate_at_right_angles_is_warned_of() {
        let check = |cosine| EstimateCheck {
            cosine: Some(v1::Estimate { mean: cosine, standard_error: 0.1 }),
            ..EstimateCheck::default()
        };
        assert_eq!(of_estimate(&check(0.9)), None);
        assert_eq!(of_estimate(&check(0.1)).unwrap().failure, "a poor estimate");
    }
}

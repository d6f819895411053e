//! What a comparison found, as it is written into `report.json`.

use hebbian_shared::estimate::Estimate;
use hebbian_shared::seed::Seed;
use hebbian_shared::spec::RuleLearning;
use hebbian_shared::spec::data_set::DataSetSpec;
use hebbian_shared::spec::task::TaskFamily;
use serde::{Deserialize, Serialize};

use super::trials::Trial;
use super::{ComparisonSettings, Configuration};
use crate::evaluation::{Score, Stage};
use crate::rule::Ablation;

/// Scores (accuracies, but for regression) of a rule and of baselines on the same tasks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Numbers of updates: the columns.
    pub updates: Vec<u32>,
    /// Tasks of each family.
    pub tasks_per_family: u32,
    /// Which tasks: of data sets, queries come from the test part or from what the rule's spec holds back.
    #[serde(default = "usual_stage")]
    pub stage: Stage,
    /// Root of all draws.
    pub seed: Seed,
    /// Families on which the rule was evolved and the baselines were tuned.
    pub training_families: Vec<TaskFamily>,
    /// Hidden layers of the compared networks; of several shapes, each task draws one.
    pub shapes: Vec<Vec<u32>>,
    /// Data sets of the families `idx:NAME`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub data_sets: Vec<DataSetSpec>,
    /// The baselines as they were tuned, up to two of each kind.
    pub baselines: Vec<TunedBaseline>,
    /// Groups of families, in the order of their first family.
    pub groups: Vec<GroupComparison>,
    /// Families, in the order in which they were asked for.
    pub families: Vec<FamilyComparison>,
}

/// The stage of reports that do not name it.
fn usual_stage() -> Stage {
    Stage::Comparison
}

/// A configuration that was the best of its kind on the training families.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TunedBaseline {
    /// The kind, with the number of updates it was tuned for (`adam@5`) if another won at the other number.
    pub name: String,
    /// What won.
    pub configuration: Configuration,
    /// Numbers of updates at which it won.
    pub tuned_for: Vec<u32>,
    /// Mean accuracy at each of them on the tasks of the tuning, slightly flattered by having been selected there.
    pub tuning_accuracy: Vec<f64>,
}

/// A baseline in one column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BaselineEstimate {
    /// As in [`Comparison::baselines`].
    pub name: String,
    /// Its accuracy.
    pub accuracy: Estimate,
}

/// A rule that lacks something, in one column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AblationEstimate {
    /// What it lacks.
    pub ablation: Ablation,
    /// Its accuracy.
    pub accuracy: Estimate,
    /// The whole rule's accuracy minus this; the standard error is of the difference on the same task.
    pub loss: Estimate,
}

/// All accuracies after one number of updates. On families of regression, read explained variance for accuracy: see
/// [`Score`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// The number of updates.
    pub updates: u32,
    /// Accuracy of networks that the rule trained.
    pub rule: Estimate,
    /// What is left of the rule's accuracy without some of its parts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ablations: Vec<AblationEstimate>,
    /// Accuracies of the baselines, in the order of [`Comparison::baselines`].
    pub baselines: Vec<BaselineEstimate>,
    /// Name of the baseline with the highest mean of this column.
    pub best_baseline: String,
    /// Accuracy of that baseline.
    pub best: Estimate,
    /// The rule's accuracy minus that of the best baseline; the standard error is of the difference on the same task.
    pub difference: Estimate,
}

/// One family.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FamilyComparison {
    /// Which.
    pub family: TaskFamily,
    /// What is measured.
    pub score: Score,
    /// Whether the rule was evolved, and the baselines were tuned, on it.
    pub trained_on: bool,
    /// One per number of updates.
    pub columns: Vec<Column>,
}

/// Families that belong together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupComparison {
    /// `boolean` (and, qand, nxor), `random` (angular-slice, two-moons, sine, square, quadric), `regression`, or a
    /// family's name.
    pub name: String,
    /// What is measured.
    pub score: Score,
    /// The group's families that were asked for.
    pub families: Vec<TaskFamily>,
    /// Whether the rule was evolved, and the baselines were tuned, on any of them.
    pub trained_on: bool,
    /// One per number of updates.
    pub columns: Vec<Column>,
    /// The first of the numbers of updates from which on the best baseline is ahead of the rule in every column.
    pub overtaken_from: Option<u32>,
}

pub(super) fn assemble(
    rule: &RuleLearning,
    settings: &ComparisonSettings,
    baselines: Vec<TunedBaseline>,
    trials: &[Trial],
) -> Comparison {
    let training_families = &rule.tasks.distinct_families();
    let columns_of = |families: &[TaskFamily]| -> Vec<Column> {
        let trials: Vec<&Trial> = trials.iter().filter(|trial| families.contains(&trial.family)).collect();
        let columns = settings.updates.iter().enumerate();
        columns
            .map(|(place, &updates)| column(updates, place, &baselines, &settings.ablations, &trials))
            .collect()
    };
    let families = settings.families.iter().map(|&family| FamilyComparison {
        family,
        score: Score::of(family),
        trained_on: training_families.contains(&family),
        columns: columns_of(&[family]),
    });
    let groups = groups_of(&settings.families).into_iter().map(|(name, families)| {
        let columns = columns_of(&families);
        GroupComparison {
            name,
            score: Score::of(families[0]),
            trained_on: families.iter().any(|family| training_families.contains(family)),
            families,
            overtaken_from: overtaken_from(&columns),
            columns,
        }
    });
    Comparison {
        updates: settings.updates.clone(),
        tasks_per_family: settings.tasks_per_family,
        stage: settings.stage,
        seed: settings.seed,
        training_families: training_families.clone(),
        shapes: rule.network.all_shapes().to_vec(),
        data_sets: rule.tasks.data_sets.clone(),
        groups: groups.collect(),
        families: families.collect(),
        baselines,
    }
}

/// The groups of families in the order of their first family, each with those of its families that are asked for.
fn groups_of(families: &[TaskFamily]) -> Vec<(String, Vec<TaskFamily>)> {
    let mut groups: Vec<(String, Vec<TaskFamily>)> = Vec::new();
    for &family in families {
        let name = family.row().comparison.unwrap_or(family.name());
        match groups.iter_mut().find(|(other, _)| other == name) {
            Some((_, members)) => members.push(family),
            None => groups.push((name.to_owned(), vec![family])),
        }
    }
    groups
}

fn column(
    updates: u32,
    place: usize,
    baselines: &[TunedBaseline],
    ablations: &[Ablation],
    trials: &[&Trial],
) -> Column {
    let of_baseline = |baseline: usize| trials.iter().map(move |trial| trial.baselines[baseline][place]);
    let estimates: Vec<BaselineEstimate> = baselines
        .iter()
        .enumerate()
        .map(|(number, baseline)| BaselineEstimate {
            name: baseline.name.clone(),
            accuracy: Estimate::of(of_baseline(number)),
        })
        .collect();
    let mut best = 0;
    for (number, estimate) in estimates.iter().enumerate() {
        if estimate.accuracy.mean > estimates[best].accuracy.mean {
            best = number;
        }
    }
    let of_ablation = |(number, &ablation): (usize, &Ablation)| AblationEstimate {
        ablation,
        accuracy: Estimate::of(trials.iter().map(|trial| trial.ablations[number][place])),
        loss: Estimate::of(trials.iter().map(|trial| trial.rule[place] - trial.ablations[number][place])),
    };
    Column {
        updates,
        rule: Estimate::of(trials.iter().map(|trial| trial.rule[place])),
        ablations: ablations.iter().enumerate().map(of_ablation).collect(),
        best_baseline: estimates[best].name.clone(),
        best: estimates[best].accuracy,
        difference: Estimate::of(trials.iter().map(|trial| trial.rule[place] - trial.baselines[best][place])),
        baselines: estimates,
    }
}

fn overtaken_from(columns: &[Column]) -> Option<u32> {
    let behind = columns.iter().rev().take_while(|column| column.difference.mean < 0.0);
    behind.last().map(|column| column.updates)
}

#[cfg(test)]
mod tests {
    use hebbian_shared::spec::rule::gradient_descent::{HiddenActivation, InitialWeights, Loss, Optimizer};

    use super::*;

    #[test]
    fn groups_keep_only_what_was_asked_for() {
        let asked = [TaskFamily::Stripes, TaskFamily::Qand, TaskFamily::Sine, TaskFamily::And];
        let expected = [
            ("stripes", vec![TaskFamily::Stripes]),
            ("boolean", vec![TaskFamily::Qand, TaskFamily::And]),
            ("random", vec![TaskFamily::Sine]),
        ];
        assert_eq!(groups_of(&asked), expected.map(|(name, families)| (name.to_owned(), families)));
    }

    #[test]
    fn the_best_baseline_is_that_of_the_column_and_overtakes_for_good() {
        let configuration = Configuration {
            kind: Optimizer::Sgd,
            learning_rate: 1.0,
            initial_weights: InitialWeights::He,
            activation: HiddenActivation::Relu,
            loss: Loss::Squared,
        };
        let tuned = ["a", "b"].map(|name| TunedBaseline {
            name: name.to_owned(),
            configuration,
            tuned_for: vec![5],
            tuning_accuracy: vec![0.5],
        });
        let trial = |rule: [f64; 4], a: [f64; 4], b: [f64; 4]| Trial {
            family: TaskFamily::And,
            rule: rule.to_vec(),
            ablations: vec![a.to_vec()],
            baselines: vec![a.to_vec(), b.to_vec()],
        };
        let trials = [
            trial([0.4, 0.8, 0.6, 0.7], [0.5, 0.6, 0.6, 0.8], [0.4, 0.5, 0.9, 0.7]),
            trial([0.6, 0.8, 0.8, 0.7], [0.7, 0.6, 0.6, 0.8], [0.4, 0.5, 0.7, 0.7]),
        ];
        let trials: Vec<&Trial> = trials.iter().collect();
        let ablations = [Ablation::NoBackwardTransform];
        let columns: Vec<Column> =
            (0..4).map(|place| column(10, place, &tuned, &ablations, &trials)).collect();
        let ablated = &columns[1].ablations[0];
        assert!((ablated.accuracy.mean - 0.6).abs() < 1e-12 && (ablated.loss.mean - 0.2).abs() < 1e-12);
        let best: Vec<&str> = columns.iter().map(|column| column.best_baseline.as_str()).collect();
        assert_eq!(best, ["a", "a", "b", "a"]);
        assert!((columns[2].difference.mean + 0.1).abs() < 1e-12);
        assert!((columns[2].difference.standard_error - 0.2).abs() < 1e-12);
        assert!(columns[0].difference.standard_error < 1e-12, "paired: the same difference on both tasks");
        let named = |place: usize, updates| Column { updates, ..columns[place].clone() };
        assert_eq!(overtaken_from(&[named(0, 3), named(1, 5), named(2, 10), named(3, 20)]), Some(10));
        assert_eq!(overtaken_from(&[named(0, 3), named(1, 5)]), None);
    }
}

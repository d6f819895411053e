//! What a comparison found, as it is written into `report.json`.

use hebbian_shared::estimate::Estimate;
use hebbian_shared::seed::Seed;
use hebbian_shared::spec::RuleLearning;
use hebbian_shared::spec::data_set::DataSetSpec;
use hebbian_shared::spec::task::{LabelNoiseSpec, TaskFamily};
use serde::{Deserialize, Serialize};

use super::ceiling::Ceiling;
use super::companions::{CompanionEstimate, CompanionRow, Tried};
use super::contenders::{Contenders, Rival, TunedBy, TunedSet};
use super::trials::{Trial, have_own_pairs};
use super::{BaselineSettings, ComparisonSettings};
use crate::evaluation::{Score, Stage};
use crate::rule::{self, Ablation};

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
    /// Wrong labels, rare classes and clean examples of the tasks, of those that have a training set of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_noise: Option<LabelNoiseSpec>,
    /// Whether the rule's networks tell two classes apart by two neurons where those of baselines have one, whose sign is the class.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub answers_in_pairs: bool,
    /// How the baselines were tuned.
    #[serde(default)]
    pub tuned_by: TunedBy,
    /// The baselines as they were tuned on the training families, several of each kind.
    pub baselines: Vec<TunedBaseline>,
    /// Other baselines that are printed beside them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rivals: Vec<RivalBaselines>,
    /// Other rules on the same tasks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub companions: Vec<CompanionRow>,
    /// What kernel ridge regression knows of families after as many examples.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ceilings: Vec<Ceiling>,
    /// Groups of families, in the order of their first family.
    pub groups: Vec<GroupComparison>,
    /// Families, in the order in which they were asked for.
    pub families: Vec<FamilyComparison>,
}

/// The stage of reports that do not name it.
fn usual_stage() -> Stage {
    Stage::Comparison
}

/// Baselines that are printed beside those that the rule must beat.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RivalBaselines {
    /// What they are.
    pub rival: Rival,
    /// Themselves.
    #[serde(flatten)]
    pub set: TunedSet,
}

/// A configuration that was the best of its kind on the families of the tuning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TunedBaseline {
    /// The kind, with the first number of updates that it won at if others won at others (`adam@5`), and `decay` if its rate falls.
    pub name: String,
    /// What won.
    pub configuration: BaselineSettings,
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

/// The best of some baselines that are printed beside the others, in one column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RivalEstimate {
    /// What they are.
    pub rival: Rival,
    /// Name of the one with the highest mean of this column.
    pub name: String,
    /// Its accuracy.
    pub accuracy: Estimate,
    /// The rule's accuracy minus that; the standard error is of the difference on the same task.
    pub difference: Estimate,
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
    /// What is printed beside them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rivals: Vec<RivalEstimate>,
    /// Other rules, in the order of [`Comparison::companions`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub companions: Vec<CompanionEstimate>,
    /// What the rule recalls of equal parts of the stream that was shown, the first one first; empty where fewer pairs than parts were shown,
    /// and on families where nothing is remembered.
    #[serde(default)]
    pub positions: Vec<Estimate>,
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
    contenders: Vec<Contenders>,
    companions: &[Tried],
    trials: &[Trial],
) -> Comparison {
    let training_families = &rule.tasks.distinct_families();
    let columns_of = |families: &[TaskFamily]| -> Vec<Column> {
        let trials: Vec<&Trial> = trials.iter().filter(|trial| families.contains(&trial.family)).collect();
        let columns = settings.updates.iter().enumerate();
        columns
            .map(|(place, &updates)| {
                let column = column(updates, place, &contenders, &settings.ablations, &trials);
                let has_parts = have_own_pairs(&rule.tasks, updates);
                let positions = if has_parts { column.positions } else { Vec::new() };
                Column { companions: of_companions(companions, place, &trials), positions, ..column }
            })
            .collect()
    };
    let families = settings.families.iter().map(|&family| FamilyComparison {
        family,
        score: settings.score.unwrap_or_else(|| Score::of(family)),
        trained_on: training_families.contains(&family),
        columns: columns_of(&[family]),
    });
    let groups = groups_of(&settings.families).into_iter().map(|(name, families)| {
        let columns = columns_of(&families);
        GroupComparison {
            name,
            score: settings.score.unwrap_or_else(|| Score::of(families[0])),
            trained_on: families.iter().any(|family| training_families.contains(family)),
            families,
            overtaken_from: overtaken_from(&columns),
            columns,
        }
    });
    let (groups, families) = (groups.collect(), families.collect());
    let (mut tuned_by, mut baselines, mut rivals) = (TunedBy::default(), Vec::new(), Vec::new());
    for Contenders { rival, set, .. } in contenders {
        match rival {
            None => (tuned_by, baselines) = (set.tuned_by, set.baselines),
            Some(rival) => rivals.push(RivalBaselines { rival, set }),
        }
    }
    Comparison {
        updates: settings.updates.clone(),
        tasks_per_family: settings.tasks_per_family,
        stage: settings.stage,
        seed: settings.seed,
        training_families: training_families.clone(),
        shapes: rule.network.all_shapes().to_vec(),
        data_sets: rule.tasks.data_sets.clone(),
        label_noise: rule.tasks.label_noise.clone(),
        answers_in_pairs: rule::family(&rule.rule).answers_in_pairs()
            && settings.families.iter().any(|&family| rule.tasks.outputs(family) == 1),
        groups,
        families,
        tuned_by,
        baselines,
        rivals,
        ceilings: Vec::new(),
        companions: companions.iter().map(Tried::row).collect(),
    }
}

/// The groups of families in the order of their first family, each with those of its families that are asked for.
pub(super) fn groups_of(families: &[TaskFamily]) -> Vec<(String, Vec<TaskFamily>)> {
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
    contenders: &[Contenders],
    ablations: &[Ablation],
    trials: &[&Trial],
) -> Column {
    let of_ablation = |(number, &ablation): (usize, &Ablation)| AblationEstimate {
        ablation,
        accuracy: Estimate::of(trials.iter().map(|trial| trial.ablations[number][place])),
        loss: Estimate::of(trials.iter().map(|trial| trial.rule[place] - trial.ablations[number][place])),
    };
    let standing = |number: usize, is_meant: &dyn Fn(&TunedBaseline) -> bool| {
        BaselineStanding::of(&contenders[number].set.baselines, is_meant, number, place, trials)
    };
    let of_rival = |rival, BaselineStanding { best, difference, .. }: BaselineStanding| RivalEstimate {
        rival,
        name: best.name,
        accuracy: best.accuracy,
        difference,
    };
    let mut rivals = Vec::new();
    let stays = |baseline: &TunedBaseline| baseline.configuration.schedule_power.is_none();
    for (number, Contenders { rival, tried_on, set, .. }) in contenders.iter().enumerate() {
        // All families of a group are tried, or none.
        if trials.iter().any(|trial| !tried_on.contains(&trial.family)) {
            continue;
        }
        if let Some(rival) = *rival {
            rivals.extend(standing(number, &|_| true).map(|standing| of_rival(rival, standing)));
        }
        let constant = match rival {
            None => Some(Rival::ConstantRates),
            Some(Rival::TunedThere) => Some(Rival::ConstantThere),
            Some(_) => None,
        };
        if let Some(constant) = constant
            && !set.baselines.iter().all(stays)
        {
            rivals.extend(standing(number, &stays).map(|standing| of_rival(constant, standing)));
        }
    }
    let BaselineStanding { estimates, best, difference } =
        standing(0, &|_| true).expect("a comparison has at least one baseline");
    let parts = trials.first().map_or(0, |trial| trial.positions.len());
    let positions =
        (0..parts).map(|part| Estimate::of(trials.iter().map(|trial| trial.positions[part][place])));
    Column {
        updates,
        rule: Estimate::of(trials.iter().map(|trial| trial.rule[place])),
        ablations: ablations.iter().enumerate().map(of_ablation).collect(),
        baselines: estimates,
        best_baseline: best.name,
        best: best.accuracy,
        difference,
        rivals,
        companions: Vec::new(),
        positions: positions.collect(),
    }
}

fn of_companions(companions: &[Tried], place: usize, trials: &[&Trial]) -> Vec<CompanionEstimate> {
    companions.iter().enumerate().map(|(number, one)| one.estimate(number, place, trials)).collect()
}

/// How some baselines stand in a column.
struct BaselineStanding {
    estimates: Vec<BaselineEstimate>,
    /// The first of those with the highest mean.
    best: BaselineEstimate,
    /// The rule's accuracy minus its.
    difference: Estimate,
}

impl BaselineStanding {
    /// Those of the contenders of a number that are meant; `None` if there are none.
    fn of(
        baselines: &[TunedBaseline],
        is_meant: &dyn Fn(&TunedBaseline) -> bool,
        contenders: usize,
        place: usize,
        trials: &[&Trial],
    ) -> Option<Self> {
        let mut estimates: Vec<BaselineEstimate> = Vec::new();
        let mut best: Option<(usize, BaselineEstimate)> = None;
        for (number, baseline) in baselines.iter().enumerate().filter(|(_, baseline)| is_meant(baseline)) {
            let accuracy =
                Estimate::of(trials.iter().map(|trial| trial.contenders[contenders][number][place]));
            let estimate = BaselineEstimate { name: baseline.name.clone(), accuracy };
            if best.as_ref().is_none_or(|(_, best)| accuracy.mean > best.accuracy.mean) {
                best = Some((number, estimate.clone()));
            }
            estimates.push(estimate);
        }
        let (number, best) = best?;
        let of_trial = |trial: &&Trial| trial.rule[place] - trial.contenders[contenders][number][place];
        Some(Self { estimates, best, difference: Estimate::of(trials.iter().map(of_trial)) })
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
        let configuration = |schedule_power| BaselineSettings {
            kind: Optimizer::Sgd,
            learning_rate: 1.0,
            momentum: None,
            schedule_power,
            initial_weights: InitialWeights::He,
            activation: HiddenActivation::Relu,
            loss: Loss::Squared,
        };
        let tuned = |name: &str, schedule_power| TunedBaseline {
            name: name.to_owned(),
            configuration: configuration(schedule_power),
            tuned_for: vec![5],
            tuning_accuracy: vec![0.5],
        };
        let spec = hebbian_shared::spec::RunSpec::read(include_str!("../../../examples/quickstart.toml"));
        let problem = spec.unwrap().problem.rule_learning().unwrap().clone();
        let contenders = |rival, tried_on: TaskFamily, baselines| Contenders {
            rival,
            problem: problem.clone(),
            tried_on: vec![tried_on],
            set: TunedSet {
                tuned_on: vec![TaskFamily::Xor],
                tuned_by: TunedBy::Customary,
                shapes: vec![vec![20]],
                baselines,
            },
        };
        let contenders = [
            contenders(None, TaskFamily::And, vec![tuned("a", None), tuned("b decay", Some(-0.5))]),
            contenders(Some(Rival::TunedThere), TaskFamily::Or, vec![tuned("c", None)]),
            contenders(Some(Rival::Wider), TaskFamily::And, vec![tuned("d", None)]),
            contenders(
                Some(Rival::TunedThere),
                TaskFamily::And,
                vec![tuned("e", None), tuned("f decay", Some(-0.5))],
            ),
        ];
        let trial = |rule: [f64; 4], a: [f64; 4], b: [f64; 4]| Trial {
            family: TaskFamily::And,
            rule: rule.to_vec(),
            ablations: vec![a.to_vec()],
            contenders: vec![
                vec![a.to_vec(), b.to_vec()],
                Vec::new(),
                vec![b.to_vec()],
                vec![a.to_vec(), b.to_vec()],
            ],
            companions: Vec::new(),
            positions: Vec::new(),
        };
        let trials = [
            trial([0.4, 0.8, 0.6, 0.7], [0.5, 0.6, 0.6, 0.8], [0.4, 0.5, 0.9, 0.7]),
            trial([0.6, 0.8, 0.8, 0.7], [0.7, 0.6, 0.6, 0.8], [0.4, 0.5, 0.7, 0.7]),
        ];
        let trials: Vec<&Trial> = trials.iter().collect();
        let ablations = [Ablation::NoBackwardTransform];
        let columns: Vec<Column> =
            (0..4).map(|place| column(10, place, &contenders, &ablations, &trials)).collect();
        let ablated = &columns[1].ablations[0];
        assert!((ablated.accuracy.mean - 0.6).abs() < 1e-12 && (ablated.loss.mean - 0.2).abs() < 1e-12);
        let best: Vec<&str> = columns.iter().map(|column| column.best_baseline.as_str()).collect();
        assert_eq!(best, ["a", "a", "b decay", "a"]);
        assert!((columns[2].difference.mean + 0.1).abs() < 1e-12);
        assert!((columns[2].difference.standard_error - 0.2).abs() < 1e-12);
        assert!(columns[0].difference.standard_error < 1e-12, "paired: the same difference on both tasks");
        let rivals: Vec<_> =
            columns[2].rivals.iter().map(|of| (of.rival, of.name.as_str(), of.accuracy.mean)).collect();
        let there = [(Rival::TunedThere, "f decay", 0.8), (Rival::ConstantThere, "e", 0.6)];
        assert_eq!(
            rivals,
            [&[(Rival::ConstantRates, "a", 0.6), (Rival::Wider, "d", 0.8)][..], &there].concat()
        );
        assert!((columns[2].rivals[0].difference.mean - 0.1).abs() < 1e-12);
        let named = |place: usize, updates| Column { updates, ..columns[place].clone() };
        assert_eq!(overtaken_from(&[named(0, 3), named(1, 5), named(2, 10), named(3, 20)]), Some(10));
        assert_eq!(overtaken_from(&[named(0, 3), named(1, 5)]), None);
    }
}

//! Other rules on the same tasks: those that a family names, and such as the user names.

use std::collections::BTreeSet;

use hebbian_shared::estimate::Estimate;
use hebbian_shared::limits::{EVALUATION_POINTS_MAX, TASKS_PER_GENERATION_MAX};
use hebbian_shared::spec::RuleLearning;
use hebbian_shared::spec::task::TaskFamily;
use serde::{Deserialize, Serialize};

use super::contenders::tuned_on;
use super::trials::Trial;
use super::{ComparisonError, ComparisonSettings, Laboratory, Rival};
use crate::evaluation::{EvaluationRequest, Scores, Stage};
use crate::rule::{self, Companion};

/// Tasks of each family on which settings are chosen, from round to round.
const TUNING_ROUNDS: [u32; 2] = [4, 12];
/// Of so many settings one goes on to the next round, in each column.
const KEEP: usize = 3;
/// So often, in equal steps, is looked whether somebody who knows the query would have stopped.
const STOPS: u32 = 20;

/// Another rule beside the one that is compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompanionRow {
    /// What tables call it.
    pub name: String,
    /// What it is.
    pub meaning: String,
}

/// Another rule in one column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CompanionEstimate {
    /// As in [`CompanionRow`].
    pub name: String,
    /// The setting that was the best of several on tasks of the families that the rule was evolved on; none if there is only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub setting: Option<String>,
    /// Whether that setting is an end of those that were tried, so that there may be a better one beyond.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_end: bool,
    /// Its accuracy.
    pub accuracy: Estimate,
    /// The rule's accuracy minus that; the standard error is of the difference on the same task.
    pub difference: Estimate,
}

/// Companions with what they were tuned to and what they scored.
pub(super) struct Tried {
    companion: Companion,
    /// Numbers of updates of the columns.
    columns: Vec<u32>,
    /// Numbers of updates after which it was measured, the columns' among them.
    points: Vec<u32>,
    /// Of each column, the place of its setting.
    chosen: Vec<usize>,
    /// The places that any column has: the genomes of `scores`.
    distinct: Vec<usize>,
    scores: Scores,
}

/// All that are wanted, each with tasks as the rule's.
pub(super) fn wanted(
    rule: &RuleLearning,
    settings: &ComparisonSettings,
) -> Result<Vec<Companion>, ComparisonError> {
    let is_own = settings.rivals.as_ref().is_none_or(|rivals| rivals.contains(&Rival::Own));
    let mut wanted = if is_own { rule::family(&rule.rule).companions(rule) } else { Vec::new() };
    for other in &settings.others {
        let mut other = other.clone();
        other.problem.tasks = rule.tasks.clone();
        let mut problem = other.problem.clone();
        problem.tasks.families.clone_from(&settings.families);
        problem.tasks.per_generation = TASKS_PER_GENERATION_MAX;
        problem.validate().map_err(|error| {
            let problem = format!("{} does not suit these tasks: {error}", other.name);
            ComparisonError::Setting { field: "others", problem }
        })?;
        let expected = other.problem.layout().dimension();
        if let Some((_, genome)) = other.settings.iter().find(|(_, genome)| genome.0.len() != expected) {
            let problem =
                format!("{} has {} values; its rule has {expected} here", other.name, genome.0.len());
            return Err(ComparisonError::Setting { field: "others", problem });
        }
        wanted.push(other);
    }
    Ok(wanted)
}

/// Updates of all networks that are trained for them, at most.
pub(super) fn work(wanted: &[Companion], rule: &RuleLearning, settings: &ComparisonSettings) -> u64 {
    let of = |one: &Companion| tuning_work(one, rule, settings) + trial_work(one, settings);
    wanted.iter().map(of).sum()
}

/// Of all rounds.
fn tuning_work(one: &Companion, rule: &RuleLearning, settings: &ComparisonSettings) -> u64 {
    (0..TUNING_ROUNDS.len()).map(|round| round_work(one, round, rule, settings)).sum()
}

fn round_work(one: &Companion, round: usize, rule: &RuleLearning, settings: &ComparisonSettings) -> u64 {
    if one.settings.len() == 1 {
        return 0;
    }
    let kept =
        if round == 0 { one.settings.len() } else { kept(one.settings.len()) * settings.updates.len() };
    let tasks = tuned_on(rule).len() as u64 * u64::from(TUNING_ROUNDS[round]);
    kept.min(one.settings.len()) as u64 * tasks * updates(settings)
}

/// How many of so many settings go on in a column.
fn kept(settings: usize) -> usize {
    settings.div_ceil(KEEP)
}

fn trial_work(one: &Companion, settings: &ComparisonSettings) -> u64 {
    let genomes = one.settings.len().min(settings.updates.len()) as u64;
    let tasks = settings.families.len() as u64 * u64::from(settings.tasks_per_family);
    genomes * tasks * updates(settings)
}

fn updates(settings: &ComparisonSettings) -> u64 {
    u64::from(settings.updates.last().copied().unwrap_or(0))
}

/// After which updates a companion is measured: in the columns, and where it may stop.
fn points(one: &Companion, settings: &ComparisonSettings) -> Vec<u32> {
    let mut points = settings.updates.clone();
    if one.stops_at_best {
        let last = points.last().copied().unwrap_or(0);
        points.extend((1..=STOPS).map(|step| (last * step / STOPS).max(1)));
        points.sort_unstable();
        points.dedup();
        // Columns stay, whatever else has no room.
        let mut surplus = points.len().saturating_sub(EVALUATION_POINTS_MAX);
        points.retain(|point| {
            let goes = surplus > 0 && !settings.updates.contains(point);
            surplus -= usize::from(goes);
            !goes
        });
    }
    points
}

/// Chooses the settings of each for every column, and tries them on the tasks of the comparison.
pub(super) fn run(
    wanted: Vec<Companion>,
    rule: &RuleLearning,
    settings: &ComparisonSettings,
    laboratory: &Laboratory<'_>,
) -> Result<Vec<Tried>, ComparisonError> {
    wanted.into_iter().map(|companion| Tried::run(companion, rule, settings, laboratory)).collect()
}

impl Tried {
    fn run(
        companion: Companion,
        rule: &RuleLearning,
        settings: &ComparisonSettings,
        laboratory: &Laboratory<'_>,
    ) -> Result<Self, ComparisonError> {
        let points = points(&companion, settings);
        let request = |places: &[usize], families: Vec<TaskFamily>, stage, (first_task, tasks_per_family)| {
            EvaluationRequest {
                problem: companion.problem.clone(),
                ablation: None,
                genomes: places.iter().map(|&at| companion.settings[at].1.clone()).collect(),
                families,
                stage,
                first_task,
                tasks_per_family,
                points: points.clone(),
                seed: settings.seed,
                score: settings.score,
                part: None,
            }
        };
        let of_column = |scores: &[f64], column: u32| column_score(&companion, &points, scores, column);
        let all: Vec<usize> = (0..companion.settings.len()).collect();
        let mut in_play = vec![all; settings.updates.len()];
        let mut sums = vec![vec![0.0; settings.updates.len()]; companion.settings.len()];
        let mut tasks_before = 0;
        for (round, tasks) in TUNING_ROUNDS.into_iter().enumerate() {
            if companion.settings.len() == 1 {
                break;
            }
            let places = distinct(in_play.iter().flatten().copied());
            let tuning = request(&places, tuned_on(rule), Stage::Tuning, (tasks_before, tasks));
            let count = tuning.tasks() as usize;
            let work = round_work(&companion, round, rule, settings);
            let scores = laboratory.scores(&[tuning], work)?;
            for (genome, &place) in places.iter().enumerate() {
                for (sum, &column) in sums[place].iter_mut().zip(&settings.updates) {
                    *sum += (0..count).map(|task| of_column(scores[0].of(genome, task), column)).sum::<f64>();
                }
            }
            for (point, in_play) in in_play.iter_mut().enumerate() {
                // Stable: of equals, the first.
                in_play.sort_by(|&a, &b| sums[b][point].total_cmp(&sums[a][point]));
                in_play.truncate(kept(companion.settings.len()));
            }
            tasks_before += tasks;
        }
        let chosen: Vec<usize> = in_play.iter().map(|in_play| in_play[0]).collect();
        let places = distinct(chosen.iter().copied());
        let trial =
            request(&places, settings.families.clone(), settings.stage, (0, settings.tasks_per_family));
        let work = trial_work(&companion, settings);
        let mut scores = laboratory.scores(&[trial], work)?;
        let columns = settings.updates.clone();
        Ok(Self { companion, columns, points, chosen, distinct: places, scores: scores.swap_remove(0) })
    }
}

/// Places, each once.
fn distinct(places: impl Iterator<Item = usize>) -> Vec<usize> {
    places.collect::<BTreeSet<_>>().into_iter().collect()
}

/// What a task's scores at the points are in a column of so many updates.
fn column_score(one: &Companion, points: &[u32], scores: &[f64], column: u32) -> f64 {
    let until = points.iter().zip(scores).take_while(|(point, _)| **point <= column).map(|(_, score)| *score);
    if one.stops_at_best {
        until.fold(f64::NEG_INFINITY, f64::max)
    } else {
        until.last().unwrap_or(f64::NEG_INFINITY)
    }
}

impl Tried {
    /// As it is named in a report.
    pub(super) fn row(&self) -> CompanionRow {
        let Companion { name, meaning, .. } = &self.companion;
        CompanionRow { name: name.clone(), meaning: meaning.clone() }
    }

    /// What it scored on a task, in each column by its setting.
    pub(super) fn of_task(&self, task: usize) -> Vec<f64> {
        let of_column = |(&column, chosen): (&u32, &usize)| {
            let genome = self.distinct.iter().position(|place| place == chosen).unwrap_or(0);
            column_score(&self.companion, &self.points, self.scores.of(genome, task), column)
        };
        self.columns.iter().zip(&self.chosen).map(of_column).collect()
    }

    /// One column of it, which stands at `number` among all companions.
    pub(super) fn estimate(&self, number: usize, place: usize, trials: &[&Trial]) -> CompanionEstimate {
        let Companion { name, settings, ends, .. } = &self.companion;
        let score = |trial: &&Trial| trial.companions[number][place];
        CompanionEstimate {
            name: name.clone(),
            setting: (settings.len() > 1).then(|| settings[self.chosen[place]].0.clone()),
            is_end: ends.contains(&self.chosen[place]),
            accuracy: Estimate::of(trials.iter().map(score)),
            difference: Estimate::of(trials.iter().map(|trial| trial.rule[place] - score(trial))),
        }
    }
}

#[cfg(test)]
mod tests {
    use hebbian_shared::seed::Seed;
    use hebbian_shared::spec::RunSpec;
    use hebbian_shared::spec::rule::gradient_descent::GradientDescentSpec;

    use super::*;
    use crate::evaluation::Threads;
    use crate::interrupt::Interrupt;
    use crate::task::data_set::NoDataSets;

    const THREADS: Threads<'_> = Threads { threads: 1, data: &NoDataSets };

    /// Gradient descent on the quickstart's first task at some rates, of which the first and the last are the ends.
    fn descent(rates: &[f64], stops_at_best: bool) -> Companion {
        let spec = RunSpec::read(include_str!("../../../examples/quickstart.toml")).unwrap();
        let mut problem = spec.problem.rule_learning().unwrap().clone();
        problem.tasks.families = vec![TaskFamily::Xor];
        problem.rule = GradientDescentSpec::default().into();
        let layout = problem.layout();
        let segment = layout.segment("learning_rate").unwrap();
        let setting = |&rate: &f64| {
            let mut genome = layout.initial_mean();
            genome.0[segment.start as usize] = segment.transform.invert(rate);
            (rate.to_string(), genome)
        };
        let settings = rates.iter().map(setting).collect();
        let ends = vec![0, rates.len() - 1];
        Companion { ends, stops_at_best, ..Companion::new(("descent", "at a rate"), problem, settings) }
    }

    fn tried(companion: Companion, updates: &[u32]) -> (Tried, ComparisonSettings) {
        let rule = companion.problem.clone();
        let settings = ComparisonSettings {
            updates: updates.to_vec(),
            tasks_per_family: 4,
            ..ComparisonSettings::new(&rule, vec![TaskFamily::Xor], Seed::new(3).unwrap())
        };
        let (interrupt, report) = (Interrupt::new(), |_: u64, _: u64| ());
        let total = work(std::slice::from_ref(&companion), &rule, &settings);
        let progress = super::super::Progress::new(&report, total);
        let laboratory = Laboratory { evaluate: &THREADS, interrupt: &interrupt, progress };
        let tried = Tried::run(companion, &rule, &settings, &laboratory).unwrap();
        (tried, settings)
    }

    fn estimate(tried: &Tried, column: usize) -> CompanionEstimate {
        let trials: Vec<Trial> = (0..4)
            .map(|task| Trial {
                family: TaskFamily::Xor,
                rule: vec![0.0; tried.columns.len()],
                ablations: Vec::new(),
                contenders: Vec::new(),
                companions: vec![tried.of_task(task)],
                positions: Vec::new(),
            })
            .collect();
        tried.estimate(0, column, &trials.iter().collect::<Vec<_>>())
    }

    #[test]
    fn the_best_setting_is_an_end_only_where_nothing_beyond_it_was_tried() {
        for (rates, best, is_end) in [
            ([1e-4, 1e-3, 1e-2, 1.0], "1", true),
            ([1.0, 300.0, 1000.0, 3000.0], "1", true),
            ([1e-4, 1e-3, 1.0, 1000.0], "1", false),
        ] {
            let (tried, _) = tried(descent(&rates, false), &[30]);
            let found = estimate(&tried, 0);
            assert_eq!((found.setting.as_deref(), found.is_end), (Some(best), is_end), "{rates:?}");
        }
    }

    #[test]
    fn whoever_is_stopped_where_it_is_best_is_never_behind_and_its_columns_rise() {
        let rates = [0.3, 3.0, 30.0];
        let (stopped, settings) = tried(descent(&rates, true), &[5, 30]);
        let (usual, _) = tried(descent(&rates, false), &[5, 30]);
        assert!(stopped.points.len() > 2 && settings.updates.iter().all(|at| stopped.points.contains(at)));
        let at = |tried: &Tried, column| estimate(tried, column).accuracy.mean;
        assert!(at(&stopped, 0) >= at(&usual, 0) && at(&stopped, 1) >= at(&usual, 1));
        for task in 0..4 {
            let columns = stopped.of_task(task);
            assert!(stopped.chosen[0] != stopped.chosen[1] || columns[0] <= columns[1], "{columns:?}");
        }
    }

    #[test]
    fn all_columns_are_measured_however_many_there_are() {
        let updates: Vec<u32> = (1..=EVALUATION_POINTS_MAX as u32).map(|place| place * place).collect();
        let companion = descent(&[1.0], true);
        let settings = |updates: &[u32]| ComparisonSettings {
            updates: updates.to_vec(),
            ..ComparisonSettings::new(&companion.problem, vec![TaskFamily::Xor], Seed::new(3).unwrap())
        };
        assert_eq!(points(&companion, &settings(&updates)), updates);
        assert_eq!(points(&companion, &settings(&updates[..20])).len(), EVALUATION_POINTS_MAX);
        assert_eq!(points(&companion, &settings(&[40])).len(), 20);
        assert_eq!(points(&companion, &settings(&[3])), [1, 2, 3]);
    }
}

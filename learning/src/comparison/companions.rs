//! Other rules on the same tasks: those that a family names, and such as the user names.

use hebbian_shared::estimate::Estimate;
use hebbian_shared::genome::Genome;
use hebbian_shared::limits::TASKS_PER_GENERATION_MAX;
use hebbian_shared::spec::RuleLearning;
use hebbian_shared::spec::task::TaskFamily;
use serde::{Deserialize, Serialize};

use super::contenders::tuned_on;
use super::trials::Trial;
use super::{ComparisonError, ComparisonSettings, Laboratory, Rival};
use crate::evaluation::{EvaluationRequest, Scores, Stage};
use crate::rule::{self, Companion};

/// Tasks of each family on which settings are chosen.
const TUNING_TASKS: u32 = 16;

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
    /// Its accuracy.
    pub accuracy: Estimate,
    /// The rule's accuracy minus that; the standard error is of the difference on the same task.
    pub difference: Estimate,
}

/// Companions with what they were tuned to and what they scored.
pub(super) struct Tried {
    companion: Companion,
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

fn tuning_work(one: &Companion, rule: &RuleLearning, settings: &ComparisonSettings) -> u64 {
    if one.settings.len() == 1 {
        return 0;
    }
    let tasks = tuned_on(rule).len() as u64 * u64::from(TUNING_TASKS);
    one.settings.len() as u64 * tasks * updates(settings)
}

fn trial_work(one: &Companion, settings: &ComparisonSettings) -> u64 {
    let genomes = one.settings.len().min(settings.updates.len()) as u64;
    let tasks = settings.families.len() as u64 * u64::from(settings.tasks_per_family);
    genomes * tasks * updates(settings)
}

fn updates(settings: &ComparisonSettings) -> u64 {
    u64::from(settings.updates.last().copied().unwrap_or(0))
}

/// Chooses the settings of each for every column, and tries them on the tasks of the comparison.
pub(super) fn run(
    wanted: Vec<Companion>,
    rule: &RuleLearning,
    settings: &ComparisonSettings,
    laboratory: &Laboratory<'_>,
) -> Result<Vec<Tried>, ComparisonError> {
    let tried = wanted.into_iter().map(|companion| {
        let request =
            |genomes: Vec<Genome>, families: Vec<TaskFamily>, stage, tasks_per_family| EvaluationRequest {
                problem: companion.problem.clone(),
                ablation: None,
                genomes,
                families,
                stage,
                first_task: 0,
                tasks_per_family,
                points: settings.updates.clone(),
                seed: settings.seed,
                score: settings.score,
                part: None,
            };
        let genomes = |places: &[usize]| places.iter().map(|&at| companion.settings[at].1.clone()).collect();
        let all: Vec<usize> = (0..companion.settings.len()).collect();
        let mut chosen = vec![0; settings.updates.len()];
        if all.len() > 1 {
            let tuning = request(genomes(&all), tuned_on(rule), Stage::Tuning, TUNING_TASKS);
            let tasks = tuning.tasks() as usize;
            let scores = laboratory.scores(&[tuning], tuning_work(&companion, rule, settings))?;
            for (point, chosen) in chosen.iter_mut().enumerate() {
                let sum = |at: usize| (0..tasks).map(|task| scores[0].of(at, task)[point]).sum::<f64>();
                // Of equals, the first.
                *chosen = all.iter().fold(0, |best, &at| if sum(at) > sum(best) { at } else { best });
            }
        }
        let mut distinct = chosen.clone();
        distinct.sort_unstable();
        distinct.dedup();
        let (families, tasks) = (settings.families.clone(), settings.tasks_per_family);
        let trial = request(genomes(&distinct), families, settings.stage, tasks);
        let mut scores = laboratory.scores(&[trial], trial_work(&companion, settings))?;
        Ok(Tried { companion, chosen, distinct, scores: scores.swap_remove(0) })
    });
    tried.collect()
}

impl Tried {
    /// As it is named in a report.
    pub(super) fn row(&self) -> CompanionRow {
        let Companion { name, meaning, .. } = &self.companion;
        CompanionRow { name: name.clone(), meaning: meaning.clone() }
    }

    /// What it scored on a task, in each column by its setting.
    pub(super) fn of_task(&self, task: usize) -> Vec<f64> {
        let of_point = |(point, chosen): (usize, &usize)| {
            let genome = self.distinct.iter().position(|place| place == chosen).unwrap_or(0);
            self.scores.of(genome, task)[point]
        };
        self.chosen.iter().enumerate().map(of_point).collect()
    }

    /// One column of it, which stands at `number` among all companions.
    pub(super) fn estimate(&self, number: usize, place: usize, trials: &[&Trial]) -> CompanionEstimate {
        let Companion { name, settings, .. } = &self.companion;
        let score = |trial: &&Trial| trial.companions[number][place];
        CompanionEstimate {
            name: name.clone(),
            setting: (settings.len() > 1).then(|| settings[self.chosen[place]].0.clone()),
            accuracy: Estimate::of(trials.iter().map(score)),
            difference: Estimate::of(trials.iter().map(|trial| trial.rule[place] - score(trial))),
        }
    }
}

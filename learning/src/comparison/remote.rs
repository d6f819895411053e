//! The rule's part of a comparison in pieces, for whoever computes it elsewhere.

use hebbian_shared::genome::Genome;
use hebbian_shared::limits::{EVALUATION_POINTS_MAX, EVALUATION_TASKS_MAX};
use hebbian_shared::seed::Seed;
use hebbian_shared::spec::RuleLearning;
use hebbian_shared::spec::task::TaskFamily;

use super::{Ablation, Comparison, ComparisonError, ComparisonSettings, check, compare_given, trial, tuning};
use crate::evaluation::Threads;
use crate::interrupt::Interrupt;
use crate::rule::gradient_descent::BaselineKind;
use crate::task::data_set::DataSets;

/// The most tasks of one piece.
pub const PIECE_TASKS_MAX: u32 = 4096;

/// Some tasks of one family, on which a rule and what ablations leave of it are tried. Their scores are a function of this.
#[derive(Clone, Debug, PartialEq)]
pub struct Trials {
    /// The rule, and the tasks and networks that belong to it.
    pub rule: RuleLearning,
    /// The rule's genome.
    pub genome: Genome,
    /// The family.
    pub family: TaskFamily,
    /// The first task.
    pub first: u32,
    /// How many tasks, 1 to [`PIECE_TASKS_MAX`].
    pub tasks: u32,
    /// Numbers of updates after which the score is measured.
    pub updates: Vec<u32>,
    /// What the rule is also tried without.
    pub ablations: Vec<Ablation>,
    /// The comparison's seed.
    pub seed: Seed,
}

impl Trials {
    /// How many numbers [`Trials::scores`] gives.
    pub fn len(&self) -> usize {
        self.tasks as usize * (1 + self.ablations.len()) * self.updates.len()
    }

    /// Whether there is nothing to compute.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// For each task, for the rule and then each ablation, the score after each number of updates. The bits do not depend
    /// on the number of threads.
    pub fn scores(
        &self,
        threads: usize,
        data: &dyn DataSets,
        interrupt: &Interrupt,
    ) -> Result<Vec<f64>, ComparisonError> {
        let settings = ComparisonSettings {
            families: vec![self.family],
            updates: self.updates.clone(),
            baselines: vec![BaselineKind::Sgd],
            ablations: self.ablations.clone(),
            tasks_per_family: EVALUATION_TASKS_MAX,
            seed: self.seed,
            threads,
        };
        check(&self.rule, &self.genome, &settings)?;
        let last = self.first.checked_add(self.tasks).filter(|&last| last <= EVALUATION_TASKS_MAX);
        if last.is_none() || !(1..=PIECE_TASKS_MAX).contains(&self.tasks) {
            let problem =
                format!("must be 1 to {PIECE_TASKS_MAX} of {EVALUATION_TASKS_MAX}, not {}", self.tasks);
            return Err(ComparisonError::Setting { field: "tasks", problem });
        }
        let (range, evaluate) = ((self.first, self.tasks), Threads { threads, data });
        let tasks =
            trial::of_rule(&self.rule, &self.genome, &settings, range, &evaluate, &|_| (), interrupt)?;
        Ok(tasks.into_iter().flat_map(trial::RuleScores::flat).collect())
    }
}

/// All scores of the rule's part of a comparison, gathered from pieces.
#[derive(Clone, Debug)]
pub struct Gathered {
    columns: usize,
    ablations: usize,
    tasks: usize,
    /// By family and task.
    scores: Vec<Option<trial::RuleScores>>,
    missing: usize,
}

impl Gathered {
    /// None yet.
    pub fn new(settings: &ComparisonSettings) -> Self {
        let tasks = settings.tasks_per_family as usize;
        let missing = settings.families.len() * tasks;
        let (columns, ablations) = (settings.updates.len(), settings.ablations.len());
        Self { columns, ablations, tasks, scores: vec![None; missing], missing }
    }

    /// Takes the scores of a piece, as [`Trials::scores`] gives them. An error says what is wrong with them.
    pub fn add(&mut self, family: u32, first: u32, scores: &[f64]) -> Result<(), String> {
        debug_assert!(self.columns <= EVALUATION_POINTS_MAX);
        let of_task = self.columns * (1 + self.ablations);
        let count = scores.len() / of_task;
        let place = (family as usize).saturating_mul(self.tasks).saturating_add(first as usize);
        let fits = scores.len() == count * of_task && first as usize + count <= self.tasks;
        if !fits || place.saturating_add(count) > self.scores.len() {
            return Err(format!("{} scores from task {first} of family {family} on", scores.len()));
        }
        if let Some(score) = scores.iter().find(|score| !(0.0..=1.0).contains(*score)) {
            return Err(format!("a score of {score}"));
        }
        for (slot, scores) in self.scores[place..].iter_mut().zip(scores.chunks(of_task)) {
            self.missing -= usize::from(slot.is_none());
            let mut rows = scores.chunks(self.columns).map(<[f64]>::to_vec);
            let rule = rows.next().expect("there is a row of the rule");
            *slot = Some(trial::RuleScores { rule, ablations: rows.collect() });
        }
        Ok(())
    }

    /// All scores by family and task, if none is missing.
    pub(super) fn scores(self) -> Option<Vec<trial::RuleScores>> {
        self.scores.into_iter().collect()
    }

    /// Tasks that have scores, and all tasks.
    pub fn progress(&self) -> (usize, usize) {
        (self.scores.len() - self.missing, self.scores.len())
    }
}

/// Completes a comparison whose rule's part was computed elsewhere: tunes and tries the baselines here.
pub fn complete(
    rule: &RuleLearning,
    genome: &Genome,
    settings: &ComparisonSettings,
    gathered: Gathered,
    data: &dyn DataSets,
    progress: &(dyn Fn(u64, u64) + Sync),
    interrupt: &Interrupt,
) -> Result<Comparison, ComparisonError> {
    let missing = gathered.missing;
    let Some(scores) = gathered.scores() else {
        let problem = format!("{missing} tasks have no scores");
        return Err(ComparisonError::Setting { field: "tasks_per_family", problem });
    };
    compare_given(rule, genome, settings, tuning::Effort::FULL, Some(&scores), data, progress, interrupt)
}

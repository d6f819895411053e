//! Evaluations: what genomes score on fresh tasks, computed here or on a cluster.
//!
//! An [`EvaluationRequest`] is plain data and determines its [`Scores`], whoever computes them: an [`EvaluationRunner`]
//! computes a genome's scores on one task, an [`Evaluate`] those of whole requests. [`Threads`] is the one that needs
//! nothing but this machine.

use std::borrow::Cow;
use std::sync::Arc;

use hebbian_shared::genome::Genome;
use hebbian_shared::limits::{
    EVALUATION_GENOMES_MAX, EVALUATION_POINTS_MAX, EVALUATION_SCORES_MAX, EVALUATION_TASKS_MAX,
    EVALUATION_UPDATES_MAX, TASKS_PER_GENERATION_MAX,
};
use hebbian_shared::seed::{Purpose, Seed};
use hebbian_shared::spec::evaluation::Objective;
use hebbian_shared::spec::task::{TaskFamily, TaskKind, TaskSpec};
use hebbian_shared::spec::{RuleLearning, SpecError};
use serde::{Deserialize, Serialize};

use crate::interrupt::Interrupt;
use crate::rule::{self, Ablation};
use crate::task::data_set::DataSets;
use crate::task::{Distributions, TaskError, TaskSet};
use crate::training::objective::Quantity;
use crate::training::{Course, SameTasks, Trainer, Unfinished, Workspace};

mod remembering;
mod scores;
mod threads;

pub use remembering::Remembering;
pub use scores::{Gathering, Scores};
pub use threads::Threads;

/// What is measured of a trained network, from 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Score {
    /// Of classes: the share of examples whose class is predicted.
    #[default]
    Accuracy,
    /// Of bits that are remembered: the share that is recalled, by the sign of the prediction; 0 counts half.
    Recall,
    /// Of values: 1 minus the mean squared error over the variance of the targets, or 0 if that is negative.
    ExplainedVariance,
    /// Of anything, where it is asked for: 1 minus the mean squared error, or 0 if that is negative.
    OneMinusError,
}

impl Score {
    /// What is measured on a family.
    pub fn of(family: TaskFamily) -> Self {
        match family.row().kind {
            TaskKind::Labels | TaskKind::Images => Self::Accuracy,
            TaskKind::Values => Self::ExplainedVariance,
            TaskKind::Snippets => Self::Recall,
        }
    }

    pub(crate) fn quantity(self) -> Quantity {
        match self {
            Self::Accuracy => Quantity::Objective(Objective::Accuracy),
            Self::Recall => Quantity::Recall,
            Self::ExplainedVariance => Quantity::ExplainedVariance,
            Self::OneMinusError => Quantity::OneMinusError,
        }
    }
}

/// Which tasks an evaluation meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Those on which something is chosen: of data sets, the training part alone, without what the spec holds back.
    Tuning,
    /// Those on which rules are judged while they are being made: queries of data sets come from what the spec holds back of the
    /// training part.
    HeldBack,
    /// Those on which what was chosen is compared: queries of data sets come from the test part.
    Comparison,
}

impl Stage {
    /// That on which a rule is judged unless somebody says otherwise: as long as its spec holds something back, the test part is
    /// left alone.
    pub fn judging(problem: &RuleLearning) -> Self {
        if problem.tasks.images.held_back > 0.0 { Self::HeldBack } else { Self::Comparison }
    }

    /// The seed of a family's task of this number.
    pub(crate) fn task_seed(self, root: Seed, family: TaskFamily, number: u64) -> Seed {
        root.derive(self.purpose(), family.number()).derive(Purpose::Task, number)
    }

    fn purpose(self) -> Purpose {
        match self {
            Self::Tuning => Purpose::Tuning,
            Self::HeldBack => Purpose::HeldBack,
            Self::Comparison => Purpose::Comparison,
        }
    }

    pub(crate) fn task_set(self) -> TaskSet {
        match self {
            Self::Tuning => TaskSet::Tuning,
            Self::HeldBack => TaskSet::HeldBack,
            Self::Comparison => TaskSet::Evaluation,
        }
    }
}

/// Some genomes of a rule, and tasks on which their networks are trained and measured. The scores are a function of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvaluationRequest {
    /// The rule, its networks, and the sizes of tasks. The families are those of the request instead.
    pub problem: RuleLearning,
    /// What is taken from the rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ablation: Option<Ablation>,
    /// Genomes of the rule, 1 to [`EVALUATION_GENOMES_MAX`].
    pub genomes: Vec<Genome>,
    /// Families of the tasks, each once.
    pub families: Vec<TaskFamily>,
    /// Which tasks of the families.
    pub stage: Stage,
    /// Number of the first task of each family.
    pub first_task: u32,
    /// Tasks of each family, from 1 on; the last number is below [`EVALUATION_TASKS_MAX`].
    pub tasks_per_family: u32,
    /// Numbers of updates after which the score is measured: increasing, from 1 to [`EVALUATION_UPDATES_MAX`], at most
    /// [`EVALUATION_POINTS_MAX`].
    pub points: Vec<u32>,
    /// Root of all draws.
    pub seed: Seed,
    /// What is measured; [`Score::of`] of a family if nothing else is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<Score>,
    /// A part of what is asked, by its place; all of it if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<Part>,
}

/// One of so many equal parts of a query's examples, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Which, from 0 on.
    pub place: u32,
    /// How many there are, at least 1.
    pub of: u32,
}

impl Part {
    /// Its examples among so many; at least one, if there are any.
    pub(crate) fn range(self, examples: usize) -> std::ops::Range<usize> {
        let at = |place: u32| (u64::from(place) * examples as u64 / u64::from(self.of.max(1))) as usize;
        let start = at(self.place).min(examples.saturating_sub(1));
        start..at(self.place.saturating_add(1)).clamp((start + 1).min(examples), examples)
    }
}

impl EvaluationRequest {
    /// Refuses what is out of range, naming the field.
    pub fn validate(&self) -> Result<(), SpecError> {
        let refuse = |field: &str, problem: String| Err(SpecError::field(field, problem));
        let mut problem = self.problem.clone();
        problem.tasks.families.clone_from(&self.families);
        problem.tasks.per_generation = TASKS_PER_GENERATION_MAX;
        problem.validate()?;
        if problem.tasks.distinct_families() != self.families {
            return refuse("families", "must name each family once".to_owned());
        }
        if let Some(ablation) = self.ablation
            && !rule::family(&problem.rule).ablations(&problem).contains(&ablation)
        {
            let problem =
                format!("`{ablation}` cannot be taken from a rule of these options in these networks");
            return refuse("ablation", problem);
        }
        if self.genomes.is_empty() || self.genomes.len() > EVALUATION_GENOMES_MAX {
            return refuse(
                "genomes",
                format!("must be 1 to {EVALUATION_GENOMES_MAX}, not {}", self.genomes.len()),
            );
        }
        let expected = problem.layout().dimension();
        if let Some(genome) = self.genomes.iter().find(|genome| genome.0.len() != expected) {
            let problem =
                format!("the genome has {} values; a rule of these options has {expected}", genome.0.len());
            return refuse("genomes", problem);
        }
        let most = EVALUATION_TASKS_MAX.saturating_sub(self.first_task);
        if !(1..=most).contains(&self.tasks_per_family) {
            let problem =
                format!("must be from 1 to {most} behind the first task, not {}", self.tasks_per_family);
            return refuse("tasks_per_family", problem);
        }
        check_points(&self.points).or_else(|problem| refuse("points", problem))?;
        if let Some(Part { place, of }) = self.part
            && place >= of
        {
            return refuse("part", format!("must be one of {of}, not number {place}"));
        }
        if self.episodes() * self.points.len() as u64 > EVALUATION_SCORES_MAX {
            return refuse("tasks_per_family", format!("makes more than {EVALUATION_SCORES_MAX} scores"));
        }
        Ok(())
    }

    /// Tasks of all families.
    pub fn tasks(&self) -> u32 {
        self.families.len() as u32 * self.tasks_per_family
    }

    /// Genomes times tasks.
    pub fn episodes(&self) -> u64 {
        self.genomes.len() as u64 * u64::from(self.tasks())
    }

    /// Updates of all networks, at most.
    pub fn work(&self) -> u64 {
        self.episodes() * u64::from(self.updates())
    }

    fn updates(&self) -> u32 {
        self.points.last().copied().unwrap_or(0)
    }

    /// The tasks that rules are judged on: where a search meets only some, the others.
    fn judged_tasks(&self) -> Cow<'_, TaskSpec> {
        let tasks = &self.problem.tasks;
        let unseen = if self.stage == Stage::Tuning { None } else { tasks.unseen() };
        unseen.map_or(Cow::Borrowed(tasks), Cow::Owned)
    }

    /// Family and seed of a task: those of the first family come first.
    fn task(&self, task: u32) -> (TaskFamily, Seed) {
        let family = self.families[(task / self.tasks_per_family) as usize];
        let number = u64::from(self.first_task) + u64::from(task % self.tasks_per_family);
        (family, self.stage.task_seed(self.seed, family, number))
    }
}

/// What is wrong with numbers of updates after which scores are measured.
pub(crate) fn check_points(points: &[u32]) -> Result<(), String> {
    if points.is_empty() || points.len() > EVALUATION_POINTS_MAX {
        return Err(format!("must be 1 to {EVALUATION_POINTS_MAX} numbers, not {}", points.len()));
    }
    if let Some(out) = points.iter().find(|&&count| count == 0 || count > EVALUATION_UPDATES_MAX) {
        return Err(format!("must be from 1 to {EVALUATION_UPDATES_MAX}, not {out}"));
    }
    match points.iter().zip(&points[1..]).find(|(before, after)| before >= after) {
        Some((before, after)) => Err(format!("must increase, but {after} follows {before}")),
        None => Ok(()),
    }
}

/// Why an evaluation ended without scores.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvaluationError {
    /// The request is not valid.
    #[error(transparent)]
    Request(#[from] SpecError),
    /// Tasks of a family cannot be had.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// Somebody asked to stop.
    #[error("the evaluation was interrupted")]
    Interrupted,
    /// Whoever should have computed it could not.
    #[error("{0}")]
    Elsewhere(String),
}

/// Computes evaluations.
pub trait Evaluate {
    /// The scores of each request. `advance` is called now and then, maybe from several threads, with the work that was done
    /// since it was last called; together that is the [`EvaluationRequest::work`] of all.
    fn evaluate(
        &self,
        requests: &[EvaluationRequest],
        advance: &(dyn Fn(u64) + Sync),
        interrupt: &Interrupt,
    ) -> Result<Vec<Scores>, EvaluationError>;
}

/// Computes the scores of one request, genome by genome and task by task; shared by threads.
pub struct EvaluationRunner {
    request: Arc<EvaluationRequest>,
    trainer: Arc<Trainer>,
    /// What requests have in common whose tasks are the same and are gone through task by task.
    same: Option<Arc<SameTasks>>,
}

impl EvaluationRunner {
    /// Prepares for a request, with the data sets of `data`.
    pub fn new(request: Arc<EvaluationRequest>, data: &dyn DataSets) -> Result<Self, EvaluationError> {
        request.validate()?;
        let families = request.families.iter().copied();
        let set = request.stage.task_set();
        let distributions = Distributions::new(families, &request.judged_tasks(), set, data)?;
        Ok(Self::with_distributions(request, distributions, None))
    }

    fn with_distributions(
        request: Arc<EvaluationRequest>,
        distributions: Distributions,
        same: Option<Arc<SameTasks>>,
    ) -> Self {
        // Whoever goes through the genomes of a task needs that task alone.
        let tasks_kept = if request.genomes.len() == 1 { 1 } else { request.tasks() };
        let trainer = Trainer::new(request.problem.clone(), request.ablation, distributions, tasks_kept);
        Self { request, trainer: Arc::new(trainer), same }
    }

    /// The request.
    pub fn request(&self) -> &EvaluationRequest {
        &self.request
    }

    /// The scores of a genome, by its place, on a task, by its place among those of all families: one for each point of
    /// measurement. A network that has left the finite numbers scores 0. The workspace only saves time.
    ///
    /// # Panics
    /// If the request has no such genome or task.
    pub fn scores(
        &self,
        workspace: &mut Workspace,
        genome: u32,
        task: u32,
        interrupt: &Interrupt,
    ) -> Result<Vec<f64>, EvaluationError> {
        let EvaluationRequest { genomes, points, .. } = &*self.request;
        let (family, seed) = self.request.task(task);
        let quantity = self.request.score.unwrap_or_else(|| Score::of(family)).quantity();
        let part = self.request.part;
        let updates = self.request.updates();
        let course = Course { updates, points, is_prequential: false, quantity, part };
        let (bench, shared) = workspace.sharing(&self.trainer, self.same.as_ref());
        let genome = &genomes[genome as usize];
        match self.trainer.train((&mut *bench, shared), genome, (family, seed), course, interrupt) {
            Ok(()) | Err(Unfinished::Diverged) => {}
            Err(Unfinished::Interrupted) => return Err(EvaluationError::Interrupted),
            Err(Unfinished::Task(error)) => return Err(error.into()),
            Err(error @ (Unfinished::Genome { .. } | Unfinished::NoGradient)) => {
                return Err(EvaluationError::Elsewhere(error.to_string()));
            }
        }
        let mut scores = Vec::with_capacity(points.len());
        scores.extend_from_slice(&bench.curve.values);
        scores.resize(points.len(), 0.0);
        Ok(scores)
    }
}

#[cfg(test)]
mod tests;

//! The honest evaluation: fresh networks trained by a rule, and perceptrons trained by tuned gradient descent, on the
//! same tasks with the same layer sizes and the same batches.
//!
//! Baselines are tuned on the families that the rule was evolved on, so that neither side has seen the others. Favoured
//! rivals ([`Rival`]) may stand beside them. The result is a function of the arguments; the computing party changes only the time it takes.

use hebbian_shared::genome::Genome;
use hebbian_shared::limits::{EVALUATION_TASKS_MAX, TASKS_PER_GENERATION_MAX};
use hebbian_shared::seed::Seed;
use hebbian_shared::spec::RuleLearning;
use hebbian_shared::spec::rule::gradient_descent::Optimizer;
use hebbian_shared::spec::task::TaskFamily;

use crate::evaluation::{Evaluate, EvaluationError, EvaluationRequest, Scores, Stage, check_points};
use crate::interrupt::Interrupt;
use crate::rule;
use crate::task::TaskError;
use progress::Progress;

mod baseline;
mod ceiling;
mod companions;
mod contenders;
mod earlier;
mod progress;
mod report;
mod table;
mod trials;
mod tuning;

pub use crate::evaluation::Score;
pub use crate::rule::{Ablation, Companion};
pub use baseline::{BaselineSettings, known_adam, shown_adam};
pub use ceiling::Ceiling;
pub use companions::{CompanionEstimate, CompanionRow};
pub use contenders::{Rival, TunedBy, TunedSet, UnknownRivalError};
pub use report::{
    AblationEstimate, BaselineEstimate, Column, Comparison, FamilyComparison, GroupComparison,
    RivalBaselines, RivalEstimate, TunedBaseline,
};

/// What is compared, and how closely.
#[derive(Clone, Debug, PartialEq)]
pub struct ComparisonSettings {
    /// Families whose tasks networks are trained on, each once.
    pub families: Vec<TaskFamily>,
    /// Numbers of updates after which accuracy is measured, increasing, from 1 to `EVALUATION_UPDATES_MAX`.
    pub updates: Vec<u32>,
    /// Baselines, each once. Default: the customary ones where they are tuned over the customary settings, otherwise all.
    pub baselines: Option<Vec<Optimizer>>,
    /// Over which settings baselines are tuned, also where the program has the best. Default: the customary ones where it has none.
    pub tuned_over: Option<TunedOver>,
    /// Comparisons of other rules whose baselines are taken where they fit: tuned on the same families and data, in the same networks.
    pub earlier: Vec<Comparison>,
    /// What is printed beside the baselines, each once. Default: that of which the program has the settings.
    pub rivals: Option<Vec<Rival>>,
    /// What the rule is also tried without, each once; may be empty.
    pub ablations: Vec<Ablation>,
    /// Which tasks: [`Stage::Comparison`], or [`Stage::HeldBack`] where the rule's spec holds something back.
    pub stage: Stage,
    /// Fresh tasks of each family, from 2 to [`EVALUATION_TASKS_MAX`].
    pub tasks_per_family: u32,
    /// Root of all draws of tasks, batches and initial weights.
    pub seed: Seed,
    /// What is measured, if it is not what is customary on a family.
    pub score: Option<Score>,
    /// Other rules that are tried on the same tasks.
    pub others: Vec<Companion>,
}

/// Which settings baselines are tuned over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TunedOver {
    /// All: minutes.
    All,
    /// Those that the program knows as the best for its images, at learning rates from a 32nd of theirs to twice theirs.
    Near,
    /// Those that are tuned over where the program has none: seconds.
    Customary,
}

/// Why a comparison ended without a result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ComparisonError {
    /// A setting is out of range.
    #[error("{field}: {problem}")]
    Setting {
        /// The setting.
        field: &'static str,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// The genome does not belong to the rule.
    #[error("the genome has {found} values; a rule of these options has {expected}")]
    Genome {
        /// Values of the genome.
        found: usize,
        /// Values of the layout.
        expected: usize,
    },
    /// Tasks of a family cannot be had.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// Somebody asked to stop.
    #[error("the comparison was interrupted")]
    Interrupted,
    /// Whoever should have computed a part could not.
    #[error("{0}")]
    Elsewhere(String),
}

impl From<EvaluationError> for ComparisonError {
    fn from(error: EvaluationError) -> Self {
        match error {
            EvaluationError::Request(error) => Self::Setting { field: "rule", problem: error.to_string() },
            EvaluationError::Task(error) => Self::Task(error),
            EvaluationError::Interrupted => Self::Interrupted,
            EvaluationError::Elsewhere(problem) => Self::Elsewhere(problem),
        }
    }
}

/// What a baseline learns by, in the networks of a rule's problem: its problem and its genome.
pub(crate) fn baseline_problem(of: &RuleLearning, configuration: BaselineSettings) -> (RuleLearning, Genome) {
    let problem = baseline::problem(of, configuration.options());
    let genome = configuration.genome(&problem);
    (problem, genome)
}

impl ComparisonSettings {
    /// The customary comparison of a rule: 150 tasks of each family at 3, 5, 10, 20 and 50 updates against the usual baselines.
    pub fn new(rule: &RuleLearning, families: Vec<TaskFamily>, seed: Seed) -> Self {
        Self {
            families,
            updates: vec![3, 5, 10, 20, 50],
            baselines: None,
            tuned_over: None,
            earlier: Vec::new(),
            rivals: None,
            ablations: Vec::new(),
            stage: Stage::judging(rule),
            tasks_per_family: 150,
            seed,
            score: None,
            others: Vec::new(),
        }
    }

    /// Refuses what is out of range, naming the field.
    pub fn validate(&self) -> Result<(), ComparisonError> {
        let refuse = |field, problem| Err(ComparisonError::Setting { field, problem });
        if let Some(family) = missing_or_twice(&self.families) {
            return refuse("families", family);
        }
        if let Some(baseline) = self.baselines.as_deref().and_then(missing_or_twice) {
            return refuse("baselines", baseline);
        }
        if let Some(rival) = self.rivals.as_deref().and_then(twice) {
            return refuse("rivals", rival);
        }
        if let Some(ablation) = twice(&self.ablations) {
            return refuse("ablations", ablation);
        }
        check_points(&self.updates).or_else(|problem| refuse("updates", problem))?;
        if !(2..=EVALUATION_TASKS_MAX).contains(&self.tasks_per_family) {
            let problem = format!("must be from 2 to {EVALUATION_TASKS_MAX}, not {}", self.tasks_per_family);
            return refuse("tasks_per_family", problem);
        }
        Ok(())
    }
}

/// Whether [`compare`] would refuse these: the settings, the rule's options and the genome's dimension.
pub fn check(
    rule: &RuleLearning,
    genome: &Genome,
    settings: &ComparisonSettings,
) -> Result<(), ComparisonError> {
    settings.validate()?;
    check_rule(rule, settings)?;
    companions::wanted(rule, settings)?;
    let (found, expected) = (genome.0.len(), rule.layout().dimension());
    if found == expected { Ok(()) } else { Err(ComparisonError::Genome { found, expected }) }
}

/// Refuses a rule that could not have come from a run, or that lacks what shall be taken from it.
fn check_rule(rule: &RuleLearning, settings: &ComparisonSettings) -> Result<(), ComparisonError> {
    if let Err(error) = rule.validate() {
        return Err(ComparisonError::Setting { field: "rule", problem: error.to_string() });
    }
    if settings.stage == Stage::HeldBack && rule.tasks.images.held_back == 0.0 {
        let problem = "the rule's spec holds nothing back: set tasks.images.held_back".to_owned();
        return Err(ComparisonError::Setting { field: "part", problem });
    }
    let mut compared = rule.clone();
    compared.tasks.families.clone_from(&settings.families);
    compared.tasks.per_generation = TASKS_PER_GENERATION_MAX;
    if let Err(error) = compared.validate() {
        return Err(ComparisonError::Setting { field: "families", problem: error.to_string() });
    }
    let known = rule::family(&rule.rule).ablations(rule);
    if let Some(ablation) = settings.ablations.iter().find(|ablation| !known.contains(ablation)) {
        let family = rule.rule.options().family();
        let names: Vec<&str> = known.iter().map(|known| known.name()).collect();
        let can =
            if names.is_empty() { "nothing can".to_owned() } else { format!("only {}", names.join(", ")) };
        let problem = format!("`{ablation}` cannot be taken from a rule of the family {family} here, {can}");
        return Err(ComparisonError::Setting { field: "ablations", problem });
    }
    Ok(())
}

/// What is wrong with a list of names that must name something and nothing twice.
fn missing_or_twice<T: PartialEq + std::fmt::Display>(names: &[T]) -> Option<String> {
    if names.is_empty() {
        return Some("must name at least one".to_owned());
    }
    twice(names)
}

fn twice<T: PartialEq + std::fmt::Display>(names: &[T]) -> Option<String> {
    let twice = names.iter().enumerate().find(|(place, name)| names[..*place].contains(name));
    twice.map(|(_, name)| format!("names `{name}` twice"))
}

/// Trains networks with the rule and with tuned baselines and measures both.
///
/// All networks are trained by `evaluate`. `progress` is called from several threads with the work done and the total, in updates of
/// one network, not always in order.
pub fn compare(
    rule: &RuleLearning,
    genome: &Genome,
    settings: &ComparisonSettings,
    evaluate: &dyn Evaluate,
    progress: &(dyn Fn(u64, u64) + Sync),
    interrupt: &Interrupt,
) -> Result<Comparison, ComparisonError> {
    let effort = settings.tuned_over.map(|over| match over {
        TunedOver::All => tuning::Effort::THOROUGH,
        TunedOver::Near => tuning::Effort::NEAR,
        TunedOver::Customary => tuning::Effort::CUSTOMARY,
    });
    compare_with(rule, genome, settings, effort, evaluate, progress, interrupt)
}

fn compare_with(
    rule: &RuleLearning,
    genome: &Genome,
    settings: &ComparisonSettings,
    effort: Option<tuning::Effort>,
    evaluate: &dyn Evaluate,
    progress: &(dyn Fn(u64, u64) + Sync),
    interrupt: &Interrupt,
) -> Result<Comparison, ComparisonError> {
    check(rule, genome, settings)?;
    let plans = contenders::plan(rule, settings, effort)?;
    let trials_work = trials::work(&plans, settings);
    let tuning_work: u64 = plans.iter().map(|plan| plan.work(settings)).sum();
    let wanted = companions::wanted(rule, settings)?;
    let companions_work = companions::work(&wanted, rule, settings);
    let total = tuning_work + companions_work + trials_work + ceiling::work(settings);
    let laboratory = Laboratory { evaluate, interrupt, progress: Progress::new(progress, total) };
    let contenders = plans.into_iter().map(|plan| plan.tune(settings, &laboratory));
    let contenders = contenders.collect::<Result<Vec<_>, _>>()?;
    let companions = companions::run(wanted, rule, settings, &laboratory)?;
    let others = (&contenders[..], &companions[..]);
    let trials = trials::run(rule, genome, others, settings, trials_work, &laboratory)?;
    let ceilings = ceiling::ceilings(rule, settings, &laboratory)?;
    Ok(Comparison { ceilings, ..report::assemble(rule, settings, contenders, &companions, &trials) })
}

/// Where evaluations are computed, what stops them and what is told how far they are.
struct Laboratory<'a> {
    evaluate: &'a dyn Evaluate,
    interrupt: &'a Interrupt,
    progress: Progress<'a>,
}

impl Laboratory<'_> {
    /// The scores of each request. They count as `work` of the total.
    fn scores(&self, requests: &[EvaluationRequest], work: u64) -> Result<Vec<Scores>, ComparisonError> {
        let stage = self.progress.stage(work, requests.iter().map(EvaluationRequest::work).sum());
        let scores = self.evaluate.evaluate(requests, &|work| stage.advance(work), self.interrupt)?;
        Ok(scores)
    }
}

#[cfg(test)]
mod tests;

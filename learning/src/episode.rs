//! The episode: a pure function of the run's spec, a genome and a key.
//!
//! A fresh network is trained by the genome's rule on the task of the key and measured on the task's query. Nothing else
//! enters: not the thread, not the episodes before it, not the candidate's number.

use std::sync::Arc;

use hebbian_shared::episode::{EpisodeKey, EpisodePurpose, Evaluation, Outcome, Wants};
use hebbian_shared::fitness::Fitness;
use hebbian_shared::genome::Genome;
use hebbian_shared::seed::Seed;
use hebbian_shared::spec::evaluation::{CurveWord, EvaluationSpec, Measure, Objective, UpdatePoint};
use hebbian_shared::spec::strategy::StrategySpec;
use hebbian_shared::spec::task::TaskFamily;
use hebbian_shared::spec::validation::ValidationSpec;
use hebbian_shared::spec::{RunSpec, SpecError};

use crate::evaluation::Score;
use crate::interrupt::Interrupt;
use crate::task::data_set::{DataSets, NoDataSets};
use crate::task::{Distributions, TaskSet};
use crate::training::objective::Quantity;
use crate::training::{Course, Losses, Trainer, Unfinished, Workspace};

/// Runs the episodes of one run; shared by the threads of a worker.
pub struct EpisodeRunner {
    spec: Arc<RunSpec>,
    trainer: Arc<Trainer>,
    /// Trains the networks of validation: the same trainer where its tasks are no others.
    validator: Arc<Trainer>,
    /// Why episodes have no gradient, if they have none.
    gradient: Result<(), SpecError>,
}

impl EpisodeRunner {
    /// Prepares for a run that needs no data sets, or says what this worker lacks for it.
    pub fn new(spec: Arc<RunSpec>) -> Result<Self, String> {
        Self::with_data(spec, &NoDataSets)
    }

    /// Prepares for a run, with the data sets of `data`, or says what this worker lacks for it.
    pub fn with_data(spec: Arc<RunSpec>, data: &dyn DataSets) -> Result<Self, String> {
        spec.validate().map_err(|error| error.to_string())?;
        let problem =
            spec.problem.rule_learning().ok_or("this worker trains networks and does nothing else")?;
        let trainer = |families: &[TaskFamily], set| {
            // Validation, too, keeps to the training part of a data set: its test part is for the comparison with baselines.
            let distributions = Distributions::new(families.iter().copied(), &problem.tasks, set, data)
                .map_err(|error| error.to_string())?;
            Ok::<_, String>(Trainer::new(problem.clone(), None, distributions, spec.tasks_per_generation()))
        };
        let validated = spec.validation.iter().flat_map(|validation| &validation.families).copied();
        let mut families = problem.tasks.distinct_families();
        // What is judged is neither distorted nor trained on.
        let images = &problem.tasks.images;
        let differs = images.held_back > 0.0 || images.inputs.iter().any(|inputs| inputs.distorts());
        let (trainer, validator) = if differs {
            let validated: Vec<TaskFamily> = validated.collect();
            (
                Arc::new(trainer(&families, TaskSet::Training)?),
                Arc::new(trainer(&validated, TaskSet::HeldBack)?),
            )
        } else {
            families.extend(validated);
            let trainer = Arc::new(trainer(&families, TaskSet::Training)?);
            (Arc::clone(&trainer), trainer)
        };
        Ok(Self { trainer, validator, gradient: spec.check_gradient(), spec })
    }

    /// The run's spec.
    pub fn spec(&self) -> &Arc<RunSpec> {
        &self.spec
    }

    /// Runs an episode; `None` if it was interrupted. The workspace only saves time: any one gives the same outcome.
    ///
    /// The fitness is the weighted mean of the objective over the points of measurement; in validation it is the accuracy
    /// after the training unroll, and after the extended one. An episode whose network or predictions leave the finite
    /// numbers ends at once as diverged. A genome of another length than the layout, or a task that cannot be drawn, is a
    /// worker error.
    pub fn run(
        &self,
        workspace: &mut Workspace,
        genome: &Genome,
        key: &EpisodeKey,
        interrupt: &Interrupt,
    ) -> Option<Outcome> {
        self.run_for(workspace, genome, key, Wants::default(), interrupt)
    }

    /// As [`EpisodeRunner::run`], with what is wanted beside the fitness: the gradient of the fitness with respect to the genome,
    /// shortened where the strategy says so.
    /// Rejected if the spec's episodes have none; an episode whose gradient leaves the finite numbers has diverged.
    pub fn run_for(
        &self,
        workspace: &mut Workspace,
        genome: &Genome,
        key: &EpisodeKey,
        wants: Wants,
        interrupt: &Interrupt,
    ) -> Option<Outcome> {
        if let (true, Err(error)) = (wants.gradient, &self.gradient) {
            return Some(Outcome::Rejected { reason: format!("no gradient can be had: {error}") });
        }
        let outcome = match (key.purpose, &self.spec.validation) {
            (EpisodePurpose::Search | EpisodePurpose::Remeasure, _) if wants.gradient => {
                self.differentiate(workspace, genome, key, interrupt)
            }
            (EpisodePurpose::Search | EpisodePurpose::Remeasure, _) => {
                self.evaluate(workspace, genome, key, interrupt)
            }
            (EpisodePurpose::Validation, Some(validation)) => {
                self.validate(validation, workspace, genome, key, interrupt)
            }
            (EpisodePurpose::Validation, None) => {
                let reason = "the run's spec asks for no validation".to_owned();
                return Some(Outcome::Rejected { reason });
            }
        };
        match outcome {
            Ok(outcome) => Some(outcome),
            Err(Unfinished::Diverged) => Some(Outcome::Diverged),
            Err(Unfinished::Interrupted) => None,
            Err(error @ (Unfinished::Genome { .. } | Unfinished::Task(_) | Unfinished::NoGradient)) => {
                Some(Outcome::WorkerError { reason: error.to_string() })
            }
        }
    }

    /// An episode that is worth what the spec's evaluation says.
    fn evaluate(
        &self,
        workspace: &mut Workspace,
        genome: &Genome,
        key: &EpisodeKey,
        interrupt: &Interrupt,
    ) -> Result<Outcome, Unfinished> {
        let evaluation = &self.spec.evaluation;
        let updates = evaluation.updates(key.generation.0);
        let bench = workspace.of(&self.trainer);
        let mut points = std::mem::take(&mut bench.points);
        points.clear();
        let weight = |&done: &u32| weight_after(evaluation, done, updates);
        points.extend((1..=updates).filter(|done| weight(done) > 0.0));
        let is_prequential = is_prequential(evaluation);
        let quantity = Quantity::Objective(evaluation.objective);
        let course = Course { updates, points: &points, is_prequential, quantity };
        let trained = self.trainer.train(bench, genome, self.task(key), course, interrupt);
        let (mut total, mut weights) = (0.0, 0.0);
        if is_prequential {
            (total, weights) = (bench.curve.values.iter().sum(), bench.curve.values.len() as f64);
        } else {
            for (done, value) in points.iter().zip(&bench.curve.values) {
                total += weight(done) * value;
                weights += weight(done);
            }
        }
        bench.points = points;
        trained?;
        // A sum of finite numbers can still leave them; such a genome is as good as diverged.
        let fitness = Fitness::new(total / weights).map_err(|_| Unfinished::Diverged)?;
        Ok(Outcome::Evaluated(Evaluation::of(fitness)))
    }

    /// An episode of [`EpisodeRunner::evaluate`] with the gradient of its fitness.
    fn differentiate(
        &self,
        workspace: &mut Workspace,
        genome: &Genome,
        key: &EpisodeKey,
        interrupt: &Interrupt,
    ) -> Result<Outcome, Unfinished> {
        let evaluation = &self.spec.evaluation;
        let updates = evaluation.updates(key.generation.0);
        let is_prequential = is_prequential(evaluation);
        let weights: f64 = if is_prequential {
            f64::from(updates)
        } else {
            (1..=updates).map(|done| weight_after(evaluation, done, updates)).sum()
        };
        let losses = Losses {
            updates,
            objective: evaluation.objective,
            of_support: &|update| if is_prequential && update > 0 { 1.0 / weights } else { 0.0 },
            // Before the first update nothing is measured.
            of_query: &|done| {
                if done == 0 { 0.0 } else { weight_after(evaluation, done, updates) / weights }
            },
        };
        let mut gradient = vec![0.0; genome.0.len()];
        let (bench, task) = (workspace.of(&self.trainer), self.task(key));
        let loss = self.trainer.differentiate(bench, genome, task, losses, interrupt, &mut gradient)?;
        let factor = match &self.spec.strategy {
            StrategySpec::Gradient(settings) => shortening(&gradient, settings.task_gradient_max),
            _ => 1.0,
        };
        // The fitness is the negative of the loss.
        for value in &mut gradient {
            *value *= -factor;
        }
        let fitness = Fitness::new(-loss).map_err(|_| Unfinished::Diverged)?;
        Ok(Outcome::Evaluated(Evaluation { gradient: Some(gradient), ..Evaluation::of(fitness) }))
    }

    /// Family and seed of an episode's task.
    fn task(&self, key: &EpisodeKey) -> (TaskFamily, Seed) {
        (self.trainer.problem().tasks.family(key.task.0), key.task_seed(self.spec.seed))
    }

    /// An episode that shows people what the genome is worth after the training unroll and long after it.
    fn validate(
        &self,
        validation: &ValidationSpec,
        workspace: &mut Workspace,
        genome: &Genome,
        key: &EpisodeKey,
        interrupt: &Interrupt,
    ) -> Result<Outcome, Unfinished> {
        let updates = self.spec.evaluation.updates(key.generation.0);
        let extended_updates = updates * validation.unroll_factor;
        let family = validation.family(key.task.0);
        let quantity = match Score::of(family) {
            Score::Recall => Score::Recall.quantity(),
            _ => Quantity::Objective(Objective::Accuracy),
        };
        let points = &[0, updates, extended_updates];
        let course = Course { updates: extended_updates, points, is_prequential: false, quantity };
        let task = (family, key.task_seed(self.spec.seed));
        let bench = workspace.of(&self.validator);
        match self.validator.train(bench, genome, task, course, interrupt) {
            // A network that left the finite numbers later was worth something before.
            Ok(()) | Err(Unfinished::Diverged) => {}
            Err(error) => return Err(error),
        }
        let mut measured = bench.curve.values.iter().map(|&value| Fitness::new(value).ok());
        let unadapted = measured.next().flatten();
        let fitness = measured.next().flatten().ok_or(Unfinished::Diverged)?;
        let extended = measured.next().flatten();
        Ok(Outcome::Evaluated(Evaluation { extended, unadapted, ..Evaluation::of(fitness) }))
    }
}

/// What a gradient must be multiplied by to be no longer than `limit`.
fn shortening(gradient: &[f64], limit: f64) -> f64 {
    let largest = gradient.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
    // Squares of its shares of the largest number stay within the numbers.
    let relative: f64 = gradient.iter().map(|value| (value / largest) * (value / largest)).sum();
    let length = largest * relative.sqrt();
    // Of a gradient of zeros the length is no number.
    if length > limit { limit / largest / relative.sqrt() } else { 1.0 }
}

/// Whether batches are measured before the network learns from them.
fn is_prequential(evaluation: &EvaluationSpec) -> bool {
    evaluation.measure == Measure::Curve(CurveWord::Prequential)
}

/// The weight of a measurement after `done` of `updates` updates; zero where nothing is measured.
fn weight_after(evaluation: &EvaluationSpec, done: u32, updates: u32) -> f64 {
    match &evaluation.measure {
        Measure::Curve(CurveWord::Curve) => 1.0,
        Measure::Curve(CurveWord::Prequential) => f64::from(u8::from(done == updates)),
        Measure::Points(points) => points
            .iter()
            .filter(|point| match point.update {
                UpdatePoint::At(update) => update == done,
                UpdatePoint::Last(_) => done == updates,
            })
            .map(|point| point.weight)
            .sum(),
    }
}

#[cfg(test)]
mod tests;

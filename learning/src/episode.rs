//! The episode: a pure function of the run's spec, a genome and a key.
//!
//! A fresh network is trained by the genome's rule on the task of the key and measured on the task's query. Nothing else
//! enters: not the thread, not the episodes before it, not the candidate's number.

use std::sync::Arc;

use hebbian_shared::episode::{EpisodeKey, EpisodePurpose, Evaluation, Outcome};
use hebbian_shared::fitness::Fitness;
use hebbian_shared::genome::Genome;
use hebbian_shared::spec::RunSpec;
use hebbian_shared::spec::evaluation::{EvaluationSpec, Measure, Objective, UpdatePoint};
use hebbian_shared::spec::validation::ValidationSpec;

use crate::interrupt::Interrupt;
use crate::task::data_set::{DataSets, NoDataSets};
use crate::task::{Distributions, TaskSet};
use crate::training::objective::Quantity;
use crate::training::{Course, Trainer, Unfinished, Workspace};

/// Runs the episodes of one run; shared by the threads of a worker.
pub struct EpisodeRunner {
    spec: Arc<RunSpec>,
    trainer: Arc<Trainer>,
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
        // Validation, too, keeps to the training part of a data set: its test part is for the comparison with baselines.
        let validated = spec.validation.iter().flat_map(|validation| &validation.families);
        let families = problem.tasks.families.iter().chain(validated).copied();
        let distributions = Distributions::new(families, &problem.tasks, TaskSet::Training, data)
            .map_err(|error| error.to_string())?;
        let trainer = Trainer::new(problem.clone(), None, distributions, spec.tasks_per_generation());
        Ok(Self { trainer: Arc::new(trainer), spec })
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
        let outcome = match (key.purpose, &self.spec.validation) {
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
            Err(error @ (Unfinished::Genome { .. } | Unfinished::Task(_))) => {
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
        let course = Course { updates, points: &points, quantity: Quantity::Objective(evaluation.objective) };
        let task = (self.trainer.problem().tasks.family(key.task.0), key.task_seed(self.spec.seed));
        let trained = self.trainer.train(bench, genome, task, course, interrupt);
        let (mut total, mut weights) = (0.0, 0.0);
        for (done, value) in points.iter().zip(&bench.curve.values) {
            total += weight(done) * value;
            weights += weight(done);
        }
        bench.points = points;
        trained?;
        // A sum of finite numbers can still leave them; such a genome is as good as diverged.
        let fitness = Fitness::new(total / weights).map_err(|_| Unfinished::Diverged)?;
        Ok(Outcome::Evaluated(Evaluation::of(fitness)))
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
        let quantity = Quantity::Objective(Objective::Accuracy);
        let course = Course { updates: extended_updates, points: &[updates, extended_updates], quantity };
        let task = (validation.family(key.task.0), key.task_seed(self.spec.seed));
        let bench = workspace.of(&self.trainer);
        match self.trainer.train(bench, genome, task, course, interrupt) {
            // A network that left the finite numbers later was worth something before.
            Ok(()) | Err(Unfinished::Diverged) => {}
            Err(error) => return Err(error),
        }
        let mut measured = bench.curve.values.iter().map(|&value| Fitness::new(value).ok());
        let fitness = measured.next().flatten().ok_or(Unfinished::Diverged)?;
        let extended = measured.next().flatten();
        Ok(Outcome::Evaluated(Evaluation { extended, ..Evaluation::of(fitness) }))
    }
}

/// The weight of a measurement after `done` of `updates` updates; zero where nothing is measured.
fn weight_after(evaluation: &EvaluationSpec, done: u32, updates: u32) -> f64 {
    match &evaluation.measure {
        Measure::Curve(_) => 1.0,
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

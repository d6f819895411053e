//! The episode: a pure function of the run's spec, a genome and a key.
//!
//! A fresh network is trained by the genome's rule on the task of the key and measured on the task's query. Nothing else
//! enters: not the thread, not the episodes before it, not the candidate's number.

use std::sync::Arc;

use hebbian_shared::episode::{Agreement, EpisodeKey, EpisodePurpose, Evaluation, Outcome, Wants};
use hebbian_shared::fitness::Fitness;
use hebbian_shared::genome::Genome;
use hebbian_shared::seed::Seed;
use hebbian_shared::spec::evaluation::{CurveWord, EvaluationSpec, Measure, Objective, UpdatePoint};
use hebbian_shared::spec::strategy::{Estimation, StrategySpec};
use hebbian_shared::spec::task::{TaskFamily, TaskSpec};
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
    /// What tells memory from learning, where tasks have classes or keys.
    keyed: Option<Keyed>,
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
        let validated: Vec<TaskFamily> =
            spec.validation.iter().flat_map(|validation| &validation.families).copied().collect();
        let tasks = spec.tasks_per_generation();
        // Validation, too, keeps to the training part of a data set: its test part is for the comparison with baselines.
        let of = |families: &[TaskFamily], tasks: &TaskSpec, set| {
            Distributions::new(families.iter().copied(), tasks, set, data).map_err(|error| error.to_string())
        };
        let trainer = |distributions| Arc::new(Trainer::new(problem.clone(), None, distributions, tasks));
        let families = problem.tasks.distinct_families();
        // What is judged is neither distorted nor trained on.
        let images = &problem.tasks.images;
        let differs = images.held_back > 0.0 || images.inputs.iter().any(|inputs| inputs.distorts());
        let (judged, set) =
            if differs { (&validated, TaskSet::HeldBack) } else { (&families, TaskSet::Training) };
        let judged = [&judged[..], if differs { &[] } else { &validated }].concat();
        let seen = of(&judged, &problem.tasks, set)?;
        let validator = trainer(seen.clone());
        let is_keyed = spec.validation.is_some() && problem.tasks.has_keys();
        let keyed = if is_keyed {
            let unseen = problem.tasks.unseen().map(|tasks| of(&validated, &tasks, set)).transpose()?;
            let shift = problem.tasks.shift;
            Some(Keyed {
                start: spec.initial_mean(),
                blind: trainer(seen.blind(shift)),
                unseen: unseen.map(|unseen| [trainer(unseen.clone()), trainer(unseen.blind(shift))]),
            })
        } else {
            None
        };
        let trainer = if differs {
            trainer(of(&families, &problem.tasks, TaskSet::Training)?)
        } else {
            Arc::clone(&validator)
        };
        Ok(Self { trainer, validator, keyed, gradient: spec.check_gradient(), spec })
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
        let course = Course { updates, points: &points, is_prequential, quantity, part: None };
        let trained = self.trainer.train((bench, None), genome, self.task(key), course, interrupt);
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
        let asked = Slopes {
            genome,
            task: self.task(key),
            updates: self.spec.evaluation.updates(key.generation.0),
            estimation: self.spec.strategy.estimation(),
        };
        let (loss, mut gradient) = self.slopes(&self.trainer, workspace, &asked, interrupt)?;
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

    /// The loss of an episode, and its slopes by the genome.
    fn slopes(
        &self,
        trainer: &Arc<Trainer>,
        workspace: &mut Workspace,
        asked: &Slopes<'_>,
        interrupt: &Interrupt,
    ) -> Result<(f64, Vec<f64>), Unfinished> {
        let evaluation = &self.spec.evaluation;
        let updates = asked.updates;
        let is_prequential = is_prequential(evaluation);
        let weights: f64 = if is_prequential {
            f64::from(updates)
        } else {
            (1..=updates).map(|done| weight_after(evaluation, done, updates)).sum()
        };
        let losses = Losses {
            updates,
            objective: evaluation.objective,
            estimation: asked.estimation,
            of_support: &|update| if is_prequential && update > 0 { 1.0 / weights } else { 0.0 },
            // Before the first update nothing is measured.
            of_query: &|done| {
                if done == 0 { 0.0 } else { weight_after(evaluation, done, updates) / weights }
            },
        };
        let mut gradient = vec![0.0; asked.genome.0.len()];
        let bench = workspace.of(trainer);
        let loss =
            trainer.differentiate(bench, asked.genome, asked.task, losses, interrupt, &mut gradient)?;
        Ok((loss, gradient))
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
            _ if self.keyed.is_some() => Score::of(family).quantity(),
            _ => Quantity::Objective(Objective::Accuracy),
        };
        let task = (family, key.task_seed(self.spec.seed));
        let (mut validator, mut blinded) =
            (&self.validator, self.keyed.as_ref().map(|keyed| (&keyed.blind, &keyed.start)));
        let is_unseen = validation.is_unseen(&self.validator.problem().tasks, key.task.0);
        if let (true, Some(Keyed { unseen: Some([unseen, blind]), start, .. })) = (is_unseen, &self.keyed) {
            (validator, blinded) = (unseen, Some((blind, start)));
        }
        let mut measure = |trainer: &Arc<Trainer>, genome: &Genome, points: &[u32]| {
            let updates = points.last().copied().unwrap_or(0);
            let course = Course { updates, points, is_prequential: false, quantity, part: None };
            let bench = workspace.of(trainer);
            match trainer.train((bench, None), genome, task, course, interrupt) {
                // A network that left the finite numbers later was worth something before.
                Ok(()) | Err(Unfinished::Diverged) => {}
                Err(error) => return Err(error),
            }
            Ok(bench.curve.values.iter().map(|&value| Fitness::new(value).ok()).collect::<Vec<_>>())
        };
        let measured = measure(validator, genome, &[0, updates, extended_updates])?;
        let at = |measured: &[Option<Fitness>], place: usize| measured.get(place).copied().flatten();
        let unadapted = at(&measured, 0);
        let fitness = at(&measured, 1).ok_or(Unfinished::Diverged)?;
        let extended = at(&measured, 2);
        let (mut blind, mut unlearned) = (None, None);
        if let Some((other, start)) = blinded {
            blind = at(&measure(other, genome, &[updates])?, 0);
            unlearned = at(&measure(validator, start, &[updates])?, 0);
        }
        let agreement =
            if is_unseen { None } else { self.agreement(workspace, genome, task, updates, interrupt)? };
        let beside =
            Evaluation { extended, unadapted, blind, unlearned, agreement, ..Evaluation::of(fitness) };
        Ok(Outcome::Evaluated(beside))
    }

    /// How the estimate that a search follows compares with the exact gradient that it stands for; `None` if it follows that, or if
    /// one of them is zero or leaves the finite numbers.
    fn agreement(
        &self,
        workspace: &mut Workspace,
        genome: &Genome,
        task: (TaskFamily, Seed),
        updates: u32,
        interrupt: &Interrupt,
    ) -> Result<Option<Agreement>, Unfinished> {
        let estimation = self.spec.strategy.estimation();
        let Some(exact) = estimation.estimator.stands_for() else { return Ok(None) };
        let exact = Estimation { estimator: exact, ..Estimation::default() };
        let mut found = [const { Vec::new() }; 2];
        for (found, estimation) in found.iter_mut().zip([estimation, exact]) {
            let asked = Slopes { genome, task, updates, estimation };
            match self.slopes(&self.validator, workspace, &asked, interrupt) {
                Ok((_, gradient)) => *found = gradient,
                Err(Unfinished::Diverged) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        let product = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
        let [length, exact_length] = [&found[0], &found[1]].map(|x| product(x, x).sqrt());
        let cosine = product(&found[0], &found[1]) / (length * exact_length);
        let length_ratio = length / exact_length;
        let is_finite = cosine.is_finite() && length_ratio.is_finite();
        Ok(is_finite.then(|| Agreement { cosine: cosine.clamp(-1.0, 1.0), length_ratio }))
    }
}

/// Networks of the same tasks with labels of another key, and of tasks that a search never meets.
struct Keyed {
    /// The genome that the search began with.
    start: Genome,
    blind: Arc<Trainer>,
    /// With their own labels, and with those of another key.
    unseen: Option<[Arc<Trainer>; 2]>,
}

/// What slopes are wanted of.
struct Slopes<'a> {
    genome: &'a Genome,
    task: (TaskFamily, Seed),
    updates: u32,
    estimation: Estimation,
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

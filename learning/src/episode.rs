//! The episode: a pure function of the run's spec, a genome and a key.
//!
//! A fresh network is trained by the genome's rule on the task of the key and measured on the task's query. Nothing else
//! enters: not the thread, not the episodes before it, not the candidate's number.

use std::collections::BTreeMap;
use std::sync::Arc;

use hebbian_shared::episode::{EpisodeKey, EpisodePurpose, Evaluation, Outcome};
use hebbian_shared::fitness::Fitness;
use hebbian_shared::genome::{Genome, GenomeLayout};
use hebbian_shared::seed::Seed;
use hebbian_shared::spec::evaluation::{EvaluationSpec, Measure, Objective, UpdatePoint};
use hebbian_shared::spec::task::TaskFamily;
use hebbian_shared::spec::validation::ValidationSpec;
use hebbian_shared::spec::{Problem, RunSpec};

use crate::interrupt::Interrupt;
use crate::rule::multi_state::UpdateRule;
use crate::task::data_set::{DataSets, NoDataSets};
use crate::task::{self, TaskDistribution, TaskSet};
use workspace::RunSpace;

pub(crate) mod objective;
mod prepared_task;
mod workspace;

pub use workspace::Workspace;

/// Runs the episodes of one run; shared by the threads of a worker.
pub struct EpisodeRunner {
    spec: Arc<RunSpec>,
    layout: GenomeLayout,
    distributions: BTreeMap<TaskFamily, Box<dyn TaskDistribution>>,
}

/// How training went.
enum Training {
    Finished,
    Diverged,
    Interrupted,
}

impl EpisodeRunner {
    /// Prepares for a run that needs no data sets, or says what this worker lacks for it.
    pub fn new(spec: Arc<RunSpec>) -> Result<Self, String> {
        Self::with_data(spec, &NoDataSets)
    }

    /// Prepares for a run, with the data sets of `data`, or says what this worker lacks for it.
    pub fn with_data(spec: Arc<RunSpec>, data: &dyn DataSets) -> Result<Self, String> {
        spec.validate().map_err(|error| error.to_string())?;
        let Problem::RuleLearning(problem) = &spec.problem;
        let mut distributions = BTreeMap::new();
        // Validation, too, keeps to the training part of a data set: its test part is for the comparison with baselines.
        let validated = spec.validation.iter().flat_map(|validation| &validation.families);
        for &family in problem.tasks.families.iter().chain(validated) {
            let distribution = task::distribution(family, &problem.tasks, TaskSet::Training, data)
                .map_err(|error| error.to_string())?;
            distributions.insert(family, distribution);
        }
        Ok(Self { layout: spec.layout(), spec, distributions })
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
        let Some(rule) = UpdateRule::<f32>::from_genome(&self.layout, genome) else {
            let reason = format!(
                "the genome has {} values; a rule of this run has {}",
                genome.0.len(),
                self.layout.dimension()
            );
            return Some(Outcome::WorkerError { reason });
        };
        let space = workspace.of_run(&self.spec);
        let outcome = match (key.purpose, &self.spec.validation) {
            (EpisodePurpose::Search | EpisodePurpose::Remeasure, _) => {
                self.evaluate(space, &rule, key, interrupt)
            }
            (EpisodePurpose::Validation, Some(validation)) => {
                self.validate(validation, space, &rule, key, interrupt)
            }
            (EpisodePurpose::Validation, None) => {
                let reason = "the run's spec asks for no validation".to_owned();
                return Some(Outcome::Rejected { reason });
            }
        };
        outcome.unwrap_or_else(|reason| Some(Outcome::WorkerError { reason }))
    }

    /// An episode that is worth what the spec's evaluation says.
    fn evaluate(
        &self,
        space: &mut RunSpace,
        rule: &UpdateRule<f32>,
        key: &EpisodeKey,
        interrupt: &Interrupt,
    ) -> Result<Option<Outcome>, String> {
        let Problem::RuleLearning(problem) = &self.spec.problem;
        let evaluation = &self.spec.evaluation;
        let updates = evaluation.updates(key.generation.0);
        let (mut total, mut weights) = (0.0, 0.0);
        let course = Course {
            family: problem.tasks.family(key.task.0),
            seed: key.task_seed(self.spec.seed),
            updates,
            objective: evaluation.objective,
        };
        let weight = |done| weight_after(evaluation, done, updates);
        let training = self.train(
            space,
            rule,
            &course,
            interrupt,
            |done| weight(done) > 0.0,
            |done, value| {
                total += weight(done) * value;
                weights += weight(done);
            },
        )?;
        Ok(match training {
            // A sum of finite numbers can still leave them; such a genome is as good as diverged.
            Training::Finished => Some(
                Fitness::new(total / weights)
                    .map_or(Outcome::Diverged, |fitness| Outcome::Evaluated(Evaluation::of(fitness))),
            ),
            Training::Diverged => Some(Outcome::Diverged),
            Training::Interrupted => None,
        })
    }

    /// An episode that shows people what the genome is worth after the training unroll and long after it.
    fn validate(
        &self,
        validation: &ValidationSpec,
        space: &mut RunSpace,
        rule: &UpdateRule<f32>,
        key: &EpisodeKey,
        interrupt: &Interrupt,
    ) -> Result<Option<Outcome>, String> {
        let updates = self.spec.evaluation.updates(key.generation.0);
        let extended_updates = updates * validation.unroll_factor;
        let course = Course {
            family: validation.family(key.task.0),
            seed: key.task_seed(self.spec.seed),
            updates: extended_updates,
            objective: Objective::Accuracy,
        };
        let (mut fitness, mut extended) = (None, None);
        let measured = |done| done == updates || done == extended_updates;
        let training = self.train(space, rule, &course, interrupt, measured, |done, value| {
            *(if done == updates { &mut fitness } else { &mut extended }) = Fitness::new(value).ok();
        })?;
        if matches!(training, Training::Interrupted) {
            return Ok(None);
        }
        // A network that left the finite numbers later was worth something before.
        Ok(Some(
            fitness.map_or(Outcome::Diverged, |fitness| Outcome::Evaluated(Evaluation { fitness, extended })),
        ))
    }

    /// Trains a fresh network on the course's task. After each number of updates that is `wanted`, the objective on the query
    /// goes to `measured`.
    fn train(
        &self,
        space: &mut RunSpace,
        rule: &UpdateRule<f32>,
        course: &Course,
        interrupt: &Interrupt,
        wanted: impl Fn(u32) -> bool,
        mut measured: impl FnMut(u32, f64),
    ) -> Result<Training, String> {
        let Problem::RuleLearning(problem) = &self.spec.problem;
        let &Course { family, seed, updates, objective } = course;
        let distribution = &self.distributions[&family];
        let (task, network, prediction) =
            space.prepare(problem, family, &**distribution, seed).map_err(|error| error.to_string())?;
        network.reset();
        network.initialise_synapses(&rule.initial_synapses(problem.network.initial_synapses), seed);
        let sizes = task.sizes();
        for update in 0..updates {
            if interrupt.is_raised() {
                return Ok(Training::Interrupted);
            }
            let (inputs, targets) = task.support(update);
            network.update(rule, inputs, targets, sizes.support);
            let done = update + 1;
            // What is measured first is worth nothing once the network has left the finite numbers with this update.
            let mut value = None;
            if wanted(done) {
                let (inputs, targets) = task.query();
                network.predict(rule, inputs, sizes.query, prediction);
                if !prediction.iter().all(|value| value.is_finite()) {
                    return Ok(Training::Diverged);
                }
                value = Some(objective::value(objective, prediction, targets, sizes.outputs));
            }
            if !network.is_finite() {
                return Ok(Training::Diverged);
            }
            if let Some(value) = value {
                measured(done, value);
            }
        }
        Ok(Training::Finished)
    }
}

/// What a network is trained on, for how long, and how it is measured.
struct Course {
    family: TaskFamily,
    seed: Seed,
    updates: u32,
    objective: Objective,
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

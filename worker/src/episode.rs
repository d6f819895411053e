//! The episode: a pure function of the run's spec, a genome and a key.
//!
//! A fresh network is trained by the genome's rule on the task of the key and measured on the task's query. Nothing else
//! enters: not the thread, not the episodes before it, not the candidate's number.

use std::collections::BTreeMap;
use std::sync::Arc;

use hebbian_shared::episode::{EpisodeKey, Evaluation, Outcome};
use hebbian_shared::fitness::Fitness;
use hebbian_shared::genome::{Genome, GenomeLayout};
use hebbian_shared::spec::evaluation::{EvaluationSpec, Measure, UpdatePoint};
use hebbian_shared::spec::task::TaskFamily;
use hebbian_shared::spec::{Problem, RuleLearning, RunSpec};

use crate::interrupt::Interrupt;
use crate::network::UpdateRule;
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
        for &family in &problem.tasks.families {
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
    /// The fitness is the weighted mean of the objective over the points of measurement. An episode whose network or
    /// predictions leave the finite numbers ends at once as diverged. A genome of another length than the layout, or a
    /// task that cannot be drawn, is a worker error.
    pub fn run(
        &self,
        workspace: &mut Workspace,
        genome: &Genome,
        key: &EpisodeKey,
        interrupt: &Interrupt,
    ) -> Option<Outcome> {
        let Problem::RuleLearning(problem) = &self.spec.problem;
        let Some(rule) = UpdateRule::<f32>::from_genome(&self.layout, genome) else {
            let reason = format!(
                "the genome has {} values; a rule of this run has {}",
                genome.0.len(),
                self.layout.dimension()
            );
            return Some(Outcome::WorkerError { reason });
        };
        let space = workspace.of_run(&self.spec);
        match self.train(problem, space, &rule, key, interrupt) {
            Ok(outcome) => outcome,
            Err(reason) => Some(Outcome::WorkerError { reason }),
        }
    }

    fn train(
        &self,
        problem: &RuleLearning,
        space: &mut RunSpace,
        rule: &UpdateRule<f32>,
        key: &EpisodeKey,
        interrupt: &Interrupt,
    ) -> Result<Option<Outcome>, String> {
        let family = problem.tasks.family(key.task.0);
        let distribution = &self.distributions[&family];
        let seed = key.task_seed(self.spec.seed);
        let (task, network, prediction) =
            space.prepare(problem, family, &**distribution, seed).map_err(|error| error.to_string())?;
        network.reset();
        network.initialise_synapses(&rule.initial_synapses(problem.network.initial_synapses), seed);
        let sizes = task.sizes();
        let updates = self.spec.evaluation.updates(key.generation.0);
        let (mut total, mut weights) = (0.0, 0.0);
        for update in 0..updates {
            if interrupt.is_raised() {
                return Ok(None);
            }
            let (inputs, targets) = task.support(update);
            network.update(rule, inputs, targets, sizes.support);
            let weight = weight_after(&self.spec.evaluation, update + 1, updates);
            if weight > 0.0 {
                let (inputs, targets) = task.query();
                network.predict(rule, inputs, sizes.query, prediction);
                if !prediction.iter().all(|value| value.is_finite()) {
                    return Ok(Some(Outcome::Diverged));
                }
                let value =
                    objective::value(self.spec.evaluation.objective, prediction, targets, sizes.outputs);
                total += weight * value;
                weights += weight;
            }
            if !network.is_finite() {
                return Ok(Some(Outcome::Diverged));
            }
        }
        // A sum of finite numbers can still leave them; such a genome is as good as diverged.
        Ok(Some(
            Fitness::new(total / weights)
                .map_or(Outcome::Diverged, |fitness| Outcome::Evaluated(Evaluation { fitness })),
        ))
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

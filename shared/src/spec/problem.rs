//! What genomes of a run stand for.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::data_set::DataSetSpec;
use super::evaluation::Objective;
use super::external::External;
use super::network::NetworkSpec;
use super::rule::RuleSpec;
use super::start::{StartGenome, StartSpec};
use super::task::{TaskFamily, TaskSpec};
use super::{RunSpec, SpecError};
use crate::genome::{Genome, GenomeLayout};
use crate::limits::{EPISODE_MULTIPLICATIONS_MAX, GRADIENT_NUMBERS_MAX, NETWORK_NUMBERS_MAX};

/// What genomes of a run stand for.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "a spec has one")]
pub enum Problem {
    /// A learning rule, shared by the neurons and synapses of multi-state networks.
    RuleLearning(RuleLearning),
    /// What an objective of the user's own depends on.
    External(External),
}

impl Problem {
    /// The rule that is evolved, with its networks and tasks; `None` where genomes stand for something else.
    pub fn rule_learning(&self) -> Option<&RuleLearning> {
        match self {
            Self::RuleLearning(problem) => Some(problem),
            Self::External(_) => None,
        }
    }

    /// As [`Problem::rule_learning`], to be changed.
    pub fn rule_learning_mut(&mut self) -> Option<&mut RuleLearning> {
        match self {
            Self::RuleLearning(problem) => Some(problem),
            Self::External(_) => None,
        }
    }

    /// The user's objective; `None` where a rule is evolved.
    pub fn external(&self) -> Option<&External> {
        match self {
            Self::External(problem) => Some(problem),
            Self::RuleLearning(_) => None,
        }
    }

    /// The layout of genomes.
    pub fn layout(&self) -> GenomeLayout {
        match self {
            Self::RuleLearning(problem) => problem.layout(),
            Self::External(problem) => problem.layout(),
        }
    }

    /// The genome of backpropagation at the numbers of a start; refuses problems that have none, naming the field.
    pub(super) fn backpropagation(&self, start: &StartSpec) -> Result<Genome, SpecError> {
        match self {
            Self::RuleLearning(problem) => problem.rule.options().backpropagation(&problem.network, start),
            Self::External(_) => {
                let problem =
                    "must be \"zeros\" or numbers: backpropagation is a rule, and this problem is external";
                Err(SpecError::field("start.genome", problem))
            }
        }
    }

    /// Tasks in each block of a generation; of an external problem how often each candidate is evaluated.
    pub fn tasks_per_generation(&self) -> u32 {
        match self {
            Self::RuleLearning(problem) => problem.tasks.per_generation,
            Self::External(problem) => problem.evaluations(),
        }
    }

    /// The families that tasks are drawn from.
    pub fn families(&self) -> &[TaskFamily] {
        match self {
            Self::RuleLearning(problem) => &problem.tasks.families,
            Self::External(_) => &[],
        }
    }

    /// The data sets that the spec describes.
    pub fn data_sets(&self) -> &[DataSetSpec] {
        match self {
            Self::RuleLearning(problem) => &problem.tasks.data_sets,
            Self::External(_) => &[],
        }
    }

    /// As [`Problem::data_sets`], to be completed.
    pub fn data_sets_mut(&mut self) -> &mut [DataSetSpec] {
        match self {
            Self::RuleLearning(problem) => &mut problem.tasks.data_sets,
            Self::External(_) => &mut [],
        }
    }

    /// Checks all that does not depend on the rest of the spec.
    pub(super) fn validate(&self) -> Result<(), SpecError> {
        match self {
            Self::RuleLearning(problem) => problem.validate(),
            Self::External(problem) => problem.validate(),
        }
    }

    /// Checks that episodes of the spec have a gradient, naming the field.
    pub(super) fn check_gradient(&self, spec: &RunSpec) -> Result<(), SpecError> {
        match self {
            Self::RuleLearning(problem) => problem.check_gradient(spec),
            Self::External(_) => Err(SpecError::field(
                "strategy.kind",
                "gradient is of rules: an external objective gives none",
            )),
        }
    }

    /// Checks what depends on how and how long networks are trained and measured.
    pub(super) fn validate_in(&self, spec: &RunSpec) -> Result<(), SpecError> {
        match self {
            Self::RuleLearning(_) if spec.strategy.is_asynchronous() => Err(SpecError::field(
                "strategy.asynchronous",
                "is of external problems: rules are compared on the tasks of one generation; leave it out",
            )),
            Self::RuleLearning(problem) => problem.validate_in(spec),
            Self::External(_) => External::validate_in(spec),
        }
    }
}

/// The problem of evolving an update rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleLearning {
    /// The family of update rules.
    pub rule: RuleSpec,
    /// The networks it trains.
    pub network: NetworkSpec,
    /// The tasks it trains them on.
    pub tasks: TaskSpec,
}

impl RuleLearning {
    /// Checks every field and every limit of memory, naming the field.
    pub fn validate(&self) -> Result<(), SpecError> {
        self.rule.options().validate()?;
        self.network.validate()?;
        self.tasks.validate()?;
        self.rule.options().validate_for(&self.network, &self.tasks)?;
        let numbers = self.network_numbers();
        if numbers > NETWORK_NUMBERS_MAX {
            return Err(SpecError::field(
                self.network.field(),
                format!(
                    "the networks of a thread with their batches would hold {numbers:.1e} numbers; at most {NETWORK_NUMBERS_MAX:.1e} are \
                     allowed (fewer neurons or states, or a smaller batch or query)"
                ),
            ));
        }
        Ok(())
    }

    /// Checks what depends on how and how long networks are trained and measured.
    fn validate_in(&self, spec: &RunSpec) -> Result<(), SpecError> {
        if let Some(validation) = &spec.validation {
            validation.problem(self).validate()?;
            if self.tasks.is_split() && validation.tasks_per_family < 2 {
                return Err(SpecError::field(
                    "validation.tasks_per_family",
                    "must be at least 2: every other task is one that the search never meets",
                ));
            }
        }
        let validated = spec.validation.iter().flat_map(|validation| &validation.families);
        let other = self.tasks.families.iter().chain(validated).find(|family| !family.has_classes());
        if let Some(family) = other
            && spec.evaluation.objective != Objective::SquaredError
        {
            return Err(SpecError::field(
                "evaluation.objective",
                format!(
                    "must be squared-error, not {}: `{family}` has {} and no classes",
                    spec.evaluation.objective.name(),
                    family.targets()
                ),
            ));
        }
        let updates = f64::from(spec.evaluation.updates_max());
        let training = ("evaluation.unroll", episode_flops(self, updates));
        let validation = spec.validation.as_ref().map(|validation| {
            let updates = updates * f64::from(validation.unroll_factor);
            ("validation.unroll_factor", episode_flops(&validation.problem(self), updates))
        });
        for (field, flops) in [training].into_iter().chain(validation) {
            if flops > EPISODE_MULTIPLICATIONS_MAX {
                return Err(SpecError::field(
                    field,
                    format!(
                        "the longest episode would take {flops:.1e} multiplications; at most \
                         {EPISODE_MULTIPLICATIONS_MAX:.0e} are allowed (fewer updates, states or neurons, or a smaller batch)"
                    ),
                ));
            }
        }
        Ok(())
    }

    /// Checks that episodes of the spec have a gradient, naming the field.
    fn check_gradient(&self, spec: &RunSpec) -> Result<(), SpecError> {
        let options = self.rule.options();
        options.check_gradient(&self.tasks)?;
        options.check_estimator(spec.strategy.estimation().estimator)?;
        // The numbers of a file are not known yet.
        if !matches!(spec.start.genome, StartGenome::File(_)) {
            options.check_gradient_at(&self.layout(), &spec.initial_mean())?;
        }
        let (batch, updates) = (self.tasks.batch_size as usize, spec.evaluation.updates_max());
        let numbers = |sizes: Vec<usize>| options.gradient_numbers(&sizes, batch, updates)[1];
        let most = self.layer_sizes().into_iter().map(numbers).fold(0.0, f64::max);
        if most > GRADIENT_NUMBERS_MAX as f64 {
            return Err(SpecError::field(
                "evaluation.unroll",
                format!(
                    "the gradient of {updates} updates would keep {most:.1e} synapses; at most {GRADIENT_NUMBERS_MAX} are \
                     allowed (fewer updates, states or neurons)"
                ),
            ));
        }
        Ok(())
    }

    /// The layout of the rule's genomes.
    pub fn layout(&self) -> GenomeLayout {
        self.rule.options().layout_for(&self.network, &self.tasks)
    }

    /// Neurons of every layer, of each different network: those of a thread, which keeps one of every shape for every
    /// kind of task.
    fn layer_sizes(&self) -> BTreeSet<Vec<usize>> {
        let of_family = |&family: &TaskFamily| {
            let (inputs, outputs) = (self.tasks.inputs(family), self.tasks.outputs(family));
            let shapes = 0..self.network.all_shapes().len();
            shapes.map(move |shape| self.network.layer_sizes(shape, inputs, outputs))
        };
        self.tasks.families.iter().flat_map(of_family).collect()
    }

    /// The most numbers that all networks of a thread hold: synapses, the states of a batch, and scratch memory.
    pub fn network_numbers(&self) -> f64 {
        let batch = f64::from(self.tasks.batch_size.max(self.tasks.query_size));
        let of_sizes = |sizes: Vec<usize>| self.rule.options().network_numbers(&sizes, batch);
        self.layer_sizes().into_iter().map(of_sizes).sum()
    }
}

/// Multiplications of the longest episode of `updates` updates, roughly.
fn episode_flops(problem: &RuleLearning, updates: f64) -> f64 {
    let tasks = &problem.tasks;
    let batch = f64::from(tasks.batch_size);
    let projects = tasks.images.inputs.iter().any(|inputs| inputs.projects());
    let examples = batch * updates + f64::from(tasks.query_size);
    let projection = |&family: &TaskFamily| {
        let inputs = f64::from(tasks.inputs(family));
        let projects = projects || family.row().stands_in;
        if projects && family.is_images() { examples * inputs * inputs } else { 0.0 }
    };
    let training = |sizes: Vec<usize>| problem.rule.options().multiplications(&sizes) * batch * updates;
    tasks.families.iter().map(projection).fold(0.0, f64::max)
        + problem.layer_sizes().into_iter().map(training).fold(0.0, f64::max)
}

//! How the mean of the search is watched while a run goes on.

use crate::limits::TASKS_PER_GENERATION_MAX;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::range::Range;
use super::task::{TaskFamily, TaskSpec};
use super::{RuleLearning, SpecError, is_default};

/// Validation: every so many generations the mean of the search distribution is measured on fresh tasks of its own, after
/// the training unroll and after a much longer one. What it finds is told to people and never to the search.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValidationSpec {
    /// Families, taken in turn as those of training. They may be others than those of training, for example another data set.
    #[schemars(length(min = 1), extend("uniqueItems" = true))]
    pub families: Vec<TaskFamily>,
    /// Generations from one validation to the next. The mean that a run ends with is validated in any case.
    #[serde(default = "default_every")]
    #[schemars(transform = EVERY.schema())]
    pub every: u32,
    /// Tasks of each family in one validation.
    #[serde(default = "default_tasks_per_family")]
    #[schemars(transform = TASKS_PER_FAMILY.schema())]
    pub tasks_per_family: u32,
    /// The longer unroll as a multiple of the training unroll of the same generation.
    #[serde(default = "default_unroll_factor")]
    #[schemars(transform = UNROLL_FACTOR.schema())]
    pub unroll_factor: u32,
    /// What validation decides.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(!skip_serializing_if)]
    pub select: Selection,
}

/// What validation decides about a run's result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Selection {
    /// Nothing.
    #[default]
    None,
    /// The means of all restarts are validated when the search has ended, and the one with the highest accuracy is the
    /// result.
    BestRestart,
}

fn default_every() -> u32 {
    25
}

fn default_tasks_per_family() -> u32 {
    8
}

fn default_unroll_factor() -> u32 {
    5
}

const EVERY: Range<u32> = Range::new(1, 1_000_000);
const TASKS_PER_FAMILY: Range<u32> = Range::new(1, TASKS_PER_GENERATION_MAX);
const UNROLL_FACTOR: Range<u32> = Range::new(2, 100);

impl ValidationSpec {
    /// Validation on the given families with default settings.
    pub fn of(families: Vec<TaskFamily>) -> Self {
        Self {
            families,
            every: default_every(),
            tasks_per_family: default_tasks_per_family(),
            unroll_factor: default_unroll_factor(),
            select: Selection::None,
        }
    }

    /// Tasks of one validation.
    pub fn tasks(&self) -> u32 {
        self.families.len() as u32 * self.tasks_per_family
    }

    /// The family of the task at a position.
    pub fn family(&self, task: u32) -> TaskFamily {
        self.families[task as usize % self.families.len()]
    }

    /// Whether the task at a position is one that the search never meets: where there are such, every other of a family is.
    pub fn is_unseen(&self, tasks: &TaskSpec, task: u32) -> bool {
        let place = task / self.families.len() as u32;
        tasks.is_split() && place % 2 == 1
    }

    /// Whether the mean with which a generation opens is validated. The first generation's is where every run begins.
    pub fn is_due(&self, generation: u32) -> bool {
        generation > 0 && generation.is_multiple_of(self.every)
    }

    /// The problem as if validation's tasks were those of training: their families and numbers, training's sizes.
    pub fn problem(&self, training: &RuleLearning) -> RuleLearning {
        let tasks = TaskSpec {
            families: self.families.clone(),
            per_generation: self.tasks(),
            ..training.tasks.clone()
        };
        RuleLearning { tasks, ..training.clone() }
    }

    /// Refuses what is out of range, naming the field.
    pub fn validate(&self) -> Result<(), SpecError> {
        if self.families.is_empty() {
            return Err(SpecError::field("validation.families", "must name at least one family"));
        }
        for (place, family) in self.families.iter().enumerate() {
            if self.families[..place].contains(family) {
                return Err(SpecError::field("validation.families", format!("names `{family}` twice")));
            }
        }
        EVERY.check("validation.every", self.every)?;
        let most = TASKS_PER_GENERATION_MAX / self.families.len() as u32;
        TASKS_PER_FAMILY.up_to(most).check("validation.tasks_per_family", self.tasks_per_family)?;
        UNROLL_FACTOR.check("validation.unroll_factor", self.unroll_factor)
    }
}

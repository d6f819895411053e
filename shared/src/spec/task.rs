//! The tasks that networks are trained on.

mod augmentation;
mod family;
mod keys;
mod label_noise;
mod remember;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::SpecError;
use super::data_set::{DataSetName, DataSetSpec};
use super::range::Range;
use crate::limits::{BATCH_SIZE_MAX, DATA_SETS_MAX, TASKS_PER_GENERATION_MAX};
pub use augmentation::{ImageAugmentation, InputAugmentation};
pub use family::{FamilyRow, TaskFamily, TaskKind, UnknownFamilyError, Variation};
pub use keys::{ClassKind, ClassesSpec, ShiftSpec, SinusoidSpec, SmoothSpec};
pub use label_noise::{LabelNoiseSpec, NoiseKind, Taught};
pub use remember::RememberSpec;

/// Which tasks, how many and how large.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskSpec {
    /// Task families, taken in turn: task i is of family i modulo their number. One that stands there twice is taken twice as
    /// often.
    #[schemars(length(min = 1))]
    pub families: Vec<TaskFamily>,
    /// Tasks in each generation, the same for all of its candidates. Each is one function and one draw of synapses.
    #[serde(default = "default_per_generation")]
    #[schemars(transform = PER_GENERATION.schema())]
    pub per_generation: u32,
    /// Examples of each update's support batch.
    #[serde(default = "default_batch_size")]
    #[schemars(transform = BATCH_SIZE.schema())]
    pub batch_size: u32,
    /// Examples that the fitness is measured on.
    #[serde(default = "default_query_size")]
    #[schemars(transform = BATCH_SIZE.schema())]
    pub query_size: u32,
    /// Whether every update of a task has fresh examples.
    #[serde(default, skip_serializing_if = "super::is_default")]
    #[schemars(!skip_serializing_if)]
    pub support: SupportDraw,
    /// How tasks over images are varied.
    #[serde(default)]
    pub images: ImageAugmentation,
    /// Wrong labels among a finite number of training examples; only of families with classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_noise: Option<LabelNoiseSpec>,
    /// What the families `remember-*` ask to be remembered.
    #[serde(default, skip_serializing_if = "super::is_default")]
    #[schemars(!skip_serializing_if)]
    pub remember: RememberSpec,
    /// Tasks over a few classes of a data set, and classes that are never trained on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<ClassesSpec>,
    /// A key for each task that shifts its targets; only of families with values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shift: Option<ShiftSpec>,
    /// A key for each task that softens its labels; only of families with classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smooth: Option<SmoothSpec>,
    /// Which waves the family `sinusoid` has.
    #[serde(default, skip_serializing_if = "super::is_default")]
    #[schemars(!skip_serializing_if)]
    pub sinusoid: SinusoidSpec,
    /// Data sets that `hebbian data add` keeps: those of the families `idx:NAME`, and others that the rule shall be judged on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = DATA_SETS_MAX))]
    pub data_sets: Vec<DataSetSpec>,
}

/// What the updates of a task learn from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SupportDraw {
    /// Examples of their own.
    #[default]
    Fresh,
    /// All from the same few.
    Fixed,
}

fn default_per_generation() -> u32 {
    24
}

fn default_batch_size() -> u32 {
    64
}

fn default_query_size() -> u32 {
    256
}

const PER_GENERATION: Range<u32> = Range::new(1, TASKS_PER_GENERATION_MAX);
/// Of support and query; a family may have fewer examples for a query.
const BATCH_SIZE: Range<u32> = Range::new(1, BATCH_SIZE_MAX);

impl TaskSpec {
    /// Tasks of the given families with default sizes.
    pub fn of(families: Vec<TaskFamily>) -> Self {
        Self {
            families,
            per_generation: default_per_generation(),
            batch_size: default_batch_size(),
            query_size: default_query_size(),
            support: SupportDraw::default(),
            images: ImageAugmentation::default(),
            label_noise: None,
            remember: RememberSpec::default(),
            classes: None,
            shift: None,
            smooth: None,
            sinusoid: SinusoidSpec::default(),
            data_sets: Vec::new(),
        }
    }

    /// The family of the task at a position.
    pub fn family(&self, task: u32) -> TaskFamily {
        self.families[task as usize % self.families.len()]
    }

    /// The families, each once, in the order of their first task.
    pub fn distinct_families(&self) -> Vec<TaskFamily> {
        let mut families = Vec::new();
        for family in &self.families {
            if !families.contains(family) {
                families.push(*family);
            }
        }
        families
    }

    /// Refuses what is out of range, naming the field.
    pub fn validate(&self) -> Result<(), SpecError> {
        if self.families.is_empty() {
            return Err(SpecError::field("tasks.families", "must name at least one family"));
        }
        PER_GENERATION.check("tasks.per_generation", self.per_generation)?;
        if (self.per_generation as usize) < self.families.len() {
            return Err(SpecError::field(
                "tasks.per_generation",
                format!(
                    "must be at least the number of families ({}), not {}",
                    self.families.len(),
                    self.per_generation
                ),
            ));
        }
        BATCH_SIZE.check("tasks.batch_size", self.batch_size)?;
        let query_size_max = self.families.iter().map(|family| family.row().query_size_max).min();
        BATCH_SIZE
            .up_to(query_size_max.unwrap_or(BATCH_SIZE_MAX))
            .check("tasks.query_size", self.query_size)?;
        self.validate_data_sets()?;
        self.remember.validate()?;
        if let Some(family) = self.families.iter().find(|family| family.row().kind == TaskKind::Snippets)
            && self.support == SupportDraw::Fixed
        {
            let problem = format!(
                "must be \"fresh\" for `{family}`, which asks for all that was shown: each update shows the next snippets"
            );
            return Err(SpecError::field("tasks.support", problem));
        }
        self.validate_keys()?;
        if let Some(noise) = &self.label_noise {
            noise.validate()?;
            if let Some(family) = self.families.iter().find(|family| !family.has_classes()) {
                let problem = format!("is of families with classes; `{family}` has {}", family.targets());
                return Err(SpecError::field("tasks.label_noise", problem));
            }
            let classes = self.families.iter().map(|&family| self.outputs(family).max(2)).max();
            noise.validate_classes(classes.unwrap_or(2))?;
        }
        self.images.validate()
    }

    fn validate_data_sets(&self) -> Result<(), SpecError> {
        if self.data_sets.len() > DATA_SETS_MAX {
            return Err(SpecError::field(
                "tasks.data_sets",
                format!("must be at most {DATA_SETS_MAX}, not {}", self.data_sets.len()),
            ));
        }
        for (place, data_set) in self.data_sets.iter().enumerate() {
            data_set.validate(&format!("tasks.data_sets[{place}]"))?;
            if self.data_sets[..place].iter().any(|other| other.name == data_set.name) {
                return Err(SpecError::field("tasks.data_sets", format!("names `{}` twice", data_set.name)));
            }
        }
        for (place, family) in self.families.iter().enumerate() {
            if let Some(name) = family.data_set()
                && self.data_set(name).is_none()
            {
                return Err(SpecError::field(
                    format!("tasks.families[{place}]"),
                    format!(
                        "`{family}` needs its entry in tasks.data_sets, such as {{ name = \"{name}\", side = 8 }}"
                    ),
                ));
            }
        }
        Ok(())
    }

    /// What is said of a data set.
    pub fn data_set(&self, name: DataSetName) -> Option<&DataSetSpec> {
        self.data_sets.iter().find(|data_set| data_set.name == name)
    }

    /// Input neurons of a family's networks.
    pub fn inputs(&self, family: TaskFamily) -> u32 {
        if family == TaskFamily::RememberBits {
            return self.remember.cue;
        }
        let Some(name) = family.data_set() else { return family.row().inputs };
        self.data_set(name).map_or(DataSetSpec::DEFAULT_SIDE.pow(2), DataSetSpec::inputs)
    }

    /// Output neurons of a family's networks: one of labels +-1 or of values, or one per class. A data set whose
    /// classes are not known yet counts ten.
    pub fn outputs(&self, family: TaskFamily) -> u32 {
        match &self.classes {
            Some(classes) if family.has_parts() => classes.way,
            _ => self.all_outputs(family),
        }
    }

    /// The same for all of a data set's classes.
    fn all_outputs(&self, family: TaskFamily) -> u32 {
        if family == TaskFamily::RememberBits {
            return self.remember.target;
        }
        let named = family.data_set().and_then(|name| self.data_set(name));
        named
            .map(|data_set| data_set.classes.len() as u32)
            .filter(|&classes| classes > 0)
            .unwrap_or(family.row().outputs)
    }
}

//! The tasks that networks are trained on.

use serde::{Deserialize, Serialize};

use super::data_set::{DataSetName, DataSetSpec, NAME_PREFIX};
use super::{SpecError, check_range};
use crate::digest::Digest;

/// The most tasks of a generation.
pub const TASKS_PER_GENERATION_MAX: u32 = 4096;
/// The most examples of a batch.
pub const BATCH_SIZE_MAX: u32 = 16384;
/// The most data sets that a spec names.
pub const DATA_SETS_MAX: usize = 16;

/// Which tasks, how many and how large.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskSpec {
    /// Task families, taken in turn: task i is of family i modulo their number.
    pub families: Vec<TaskFamily>,
    /// Tasks in each generation, the same for all of its candidates. Each is one function and one draw of synapses.
    #[serde(default = "default_per_generation")]
    pub per_generation: u32,
    /// Examples of each update's support batch.
    #[serde(default = "default_batch_size")]
    pub batch_size: u32,
    /// Examples that the fitness is measured on.
    #[serde(default = "default_query_size")]
    pub query_size: u32,
    /// How tasks over images are varied.
    #[serde(default)]
    pub images: ImageAugmentation,
    /// Data sets in the IDX format: those of the families `idx:NAME`, and others that the rule shall be judged on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub data_sets: Vec<DataSetSpec>,
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

impl TaskSpec {
    /// Tasks of the given families with default sizes.
    pub fn of(families: Vec<TaskFamily>) -> Self {
        Self {
            families,
            per_generation: default_per_generation(),
            batch_size: default_batch_size(),
            query_size: default_query_size(),
            images: ImageAugmentation::default(),
            data_sets: Vec::new(),
        }
    }

    /// The family of the task at a position.
    pub fn family(&self, task: u32) -> TaskFamily {
        self.families[task as usize % self.families.len()]
    }

    /// Refuses what is out of range, naming the field.
    pub fn validate(&self) -> Result<(), SpecError> {
        if self.families.is_empty() {
            return Err(SpecError::field("tasks.families", "must name at least one family"));
        }
        for (place, family) in self.families.iter().enumerate() {
            if self.families[..place].contains(family) {
                return Err(SpecError::field("tasks.families", format!("names `{family}` twice")));
            }
        }
        check_range("tasks.per_generation", self.per_generation, 1, TASKS_PER_GENERATION_MAX)?;
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
        check_range("tasks.batch_size", self.batch_size, 1, BATCH_SIZE_MAX)?;
        check_range("tasks.query_size", self.query_size, 1, BATCH_SIZE_MAX)?;
        if self.families.contains(&TaskFamily::Digits) {
            // Support and query share the 1437 training images without overlap.
            check_range("tasks.query_size", self.query_size, 1, 1024)?;
        }
        self.validate_data_sets()?;
        if self.images.inputs.is_empty() {
            return Err(SpecError::field(
                "tasks.images.inputs",
                "must name at least one of original, permuted, projected",
            ));
        }
        Ok(())
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
        match family {
            TaskFamily::Digits => 64,
            TaskFamily::Idx(name) => {
                let side = self.data_set(name).map_or(DataSetSpec::DEFAULT_SIDE, |data_set| data_set.side);
                side * side
            }
            _ => 2,
        }
    }

    /// Output neurons of a family's networks: one of labels +-1 or of values, or one per class. A data set whose
    /// classes are not known yet counts ten.
    pub fn outputs(&self, family: TaskFamily) -> u32 {
        match family {
            TaskFamily::Digits => 10,
            TaskFamily::Idx(name) => match self.data_set(name).map_or(0, |data_set| data_set.classes.len()) {
                0 => 10,
                classes => classes as u32,
            },
            _ => 1,
        }
    }
}

macro_rules! families {
    ($($(#[$doc:meta])* $name:ident = $text:literal),+ $(,)?) => {
        /// A family of tasks. Written in kebab case.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum TaskFamily {
            $($(#[$doc])* $name,)+
            /// Images of a data set in the IDX format, `idx:NAME`; its settings are in [`TaskSpec::data_sets`].
            Idx(DataSetName),
        }

        impl TaskFamily {
            /// All families but those of data sets.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The name as it is written.
            pub fn name(&self) -> &str {
                match self {
                    $(Self::$name => $text,)+
                    Self::Idx(name) => name.as_family(),
                }
            }
        }
    };
}

families! {
    /// Both coordinates positive.
    And = "and",
    /// Either coordinate positive.
    Or = "or",
    /// Coordinates of different sign.
    Xor = "xor",
    /// Coordinates of the same sign.
    Nxor = "nxor",
    /// First coordinate positive and second negative.
    Qand = "qand",
    /// One side of a random line.
    HalfPlane = "half-plane",
    /// Sign of the product of two random projections.
    ProjectedXor = "projected-xor",
    /// Either of two random projections positive, with a random sign.
    OrientedOr = "oriented-or",
    /// Inside or outside of a random circle.
    Circle = "circle",
    /// A random sector around a random centre.
    AngularSlice = "angular-slice",
    /// Two interleaved half circles, rotated, with noise.
    TwoMoons = "two-moons",
    /// One side of a rotated sine wave.
    Sine = "sine",
    /// Inside or outside of a rotated square.
    Square = "square",
    /// Sign of a random quadratic form.
    Quadric = "quadric",
    /// Parallel stripes in a random direction.
    Stripes = "stripes",
    /// 8x8 hand-written digits in ten classes.
    Digits = "digits",
    /// Regression: a linear function of random direction.
    RegressLinear = "regress-linear",
    /// Regression: a sine wave in a random direction.
    RegressWave = "regress-wave",
    /// Regression: the sum of three bumps, up or down.
    RegressBumps = "regress-bumps",
    /// Regression: a random quadratic polynomial.
    RegressQuadric = "regress-quadric",
}

impl Serialize for TaskFamily {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for TaskFamily {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl std::fmt::Display for TaskFamily {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// A text that names no task family.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is not a task family; there are {} and, for a data set, idx:NAME", all_families())]
pub struct UnknownFamilyError {
    name: String,
}

fn all_families() -> String {
    TaskFamily::ALL.iter().map(TaskFamily::name).collect::<Vec<_>>().join(", ")
}

impl std::str::FromStr for TaskFamily {
    type Err = UnknownFamilyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(name) = text.strip_prefix(NAME_PREFIX).and_then(|name| name.parse().ok()) {
            return Ok(Self::Idx(name));
        }
        let found = Self::ALL.iter().copied().find(|family| family.name() == text);
        found.ok_or_else(|| UnknownFamilyError { name: text.chars().take(64).collect() })
    }
}

impl TaskFamily {
    /// The data set of a family `idx:NAME`.
    pub fn data_set(self) -> Option<DataSetName> {
        match self {
            Self::Idx(name) => Some(name),
            _ => None,
        }
    }

    /// Whether inputs are images.
    pub fn is_images(self) -> bool {
        matches!(self, Self::Digits | Self::Idx(_))
    }

    /// Whether targets are values and not classes.
    pub fn is_regression(self) -> bool {
        matches!(self, Self::RegressLinear | Self::RegressWave | Self::RegressBumps | Self::RegressQuadric)
    }

    /// The family's number in the draws of a comparison: never changes, whatever families are added.
    pub fn number(self) -> u64 {
        match self {
            Self::Idx(name) => {
                let digest = Digest::of(name.as_str().as_bytes());
                let (first, _) = digest.0.split_first_chunk().expect("a digest has 32 bytes");
                u64::from_le_bytes(*first) | 1 << 63
            }
            _ => Self::ALL.iter().position(|family| *family == self).expect("all others are listed") as u64,
        }
    }
}

/// How a task over images differs from the data set as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ImageAugmentation {
    /// Whether each task permutes the classes.
    pub permute_labels: bool,
    /// What is done to the inputs; of several, each task draws one.
    pub inputs: Vec<InputAugmentation>,
}

impl Default for ImageAugmentation {
    fn default() -> Self {
        Self { permute_labels: true, inputs: vec![InputAugmentation::Projected, InputAugmentation::Permuted] }
    }
}

/// What a task does to the pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InputAugmentation {
    /// Nothing.
    Original,
    /// A random permutation of the pixels.
    Permuted,
    /// A random linear projection that keeps their number and, on average, their variance.
    Projected,
}

//! The tasks that networks are trained on.

use serde::{Deserialize, Serialize};

use super::{SpecError, check_range};

/// The most tasks of a generation.
pub const TASKS_PER_GENERATION_MAX: u32 = 4096;
/// The most examples of a batch.
pub const BATCH_SIZE_MAX: u32 = 16384;

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
        if self.images.inputs.is_empty() {
            return Err(SpecError::field(
                "tasks.images.inputs",
                "must name at least one of original, permuted, projected",
            ));
        }
        Ok(())
    }
}

macro_rules! families {
    ($($(#[$doc:meta])* $name:ident = $text:literal),+ $(,)?) => {
        /// A family of tasks. Written in kebab case.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum TaskFamily {
            $($(#[$doc])* #[serde(rename = $text)] $name,)+
        }

        impl TaskFamily {
            /// All families.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The name as it is written.
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => $text),+ }
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
}

impl std::fmt::Display for TaskFamily {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// A text that names no task family.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is not a task family; there are {}", all_families())]
pub struct UnknownFamilyError {
    name: String,
}

fn all_families() -> String {
    TaskFamily::ALL.iter().map(|family| family.name()).collect::<Vec<_>>().join(", ")
}

impl std::str::FromStr for TaskFamily {
    type Err = UnknownFamilyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.iter().copied().find(|family| family.name() == text);
        found.ok_or_else(|| UnknownFamilyError { name: text.chars().take(64).collect() })
    }
}

impl TaskFamily {
    /// Input neurons.
    pub fn inputs(self) -> u32 {
        if self == Self::Digits { 64 } else { 2 }
    }

    /// Output neurons: one of labels +-1, or one per class.
    pub fn outputs(self) -> u32 {
        if self == Self::Digits { 10 } else { 1 }
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

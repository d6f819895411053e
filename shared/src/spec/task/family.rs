//! The families of tasks, and all that is known of each apart from its sampler.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::limits::{BATCH_SIZE_MAX, DATA_SET_NAME_MAX};
use crate::spec::data_set::{DataSetName, NAME_PATTERN, NAME_PREFIX};

/// What the examples of a family are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskKind {
    /// Points of the plane with a label of +-1.
    Labels,
    /// Points of the plane with a value: regression.
    Values,
    /// Images in classes, and tables, which are treated as images of one row.
    Images,
    /// Pairs of cue and target, both of bits, that are seen once.
    Snippets,
}

/// How the tasks of a family differ from each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variation {
    /// Not at all: one function, with the origin as its centre.
    Fixed,
    /// By a function that is drawn with a random offset from the origin.
    Offset,
    /// By something else that is drawn.
    Drawn,
}

/// All that is known of a family apart from its sampler, which is in `learning`.
#[derive(Clone, Copy, Debug)]
pub struct FamilyRow {
    /// The name as it is written.
    pub name: &'static str,
    /// The number in the draws of a comparison. It never changes and is never used again.
    number: u64,
    /// What its examples are.
    pub kind: TaskKind,
    /// How its tasks differ.
    pub variation: Variation,
    /// Whether the label depends on the signs of both coordinates, so that no line is a good answer.
    pub xor_like: bool,
    /// The heading under which a comparison reports it among the families that a rule of its kind was not evolved on;
    /// `None`: a comparison has it only if asked.
    pub comparison: Option<&'static str>,
    /// Whether it only stands in for others while a rule learns: it is judged on if asked for, and baselines are tuned on the others.
    pub stands_in: bool,
    /// Input and output neurons of its networks; those of a data set follow from its spec.
    pub(super) inputs: u32,
    pub(super) outputs: u32,
    /// The largest query, in examples.
    pub(super) query_size_max: u32,
    /// What a task is, for people.
    pub about: &'static str,
}

impl FamilyRow {
    /// Whether a rule that was evolved on this family is judged on another: on one of the same kind, and where nothing brings inputs
    /// to one number, of as many.
    fn is_like(&self, other: &Self) -> bool {
        self.kind == other.kind && (self.kind == TaskKind::Images || self.inputs == other.inputs)
    }

    const PLANE: Self = Self {
        name: "",
        number: 0,
        kind: TaskKind::Labels,
        variation: Variation::Offset,
        xor_like: false,
        comparison: None,
        stands_in: false,
        inputs: 2,
        outputs: 1,
        query_size_max: BATCH_SIZE_MAX,
        about: "",
    };
    const FIXED: Self = Self { variation: Variation::Fixed, ..Self::PLANE };
    const VALUES: Self = Self {
        kind: TaskKind::Values,
        variation: Variation::Drawn,
        comparison: Some("regression"),
        ..Self::PLANE
    };
    const SNIPPETS: Self = Self {
        kind: TaskKind::Snippets,
        variation: Variation::Drawn,
        inputs: 16,
        outputs: 16,
        ..Self::PLANE
    };
    /// The row of all families `idx:NAME`.
    const DATA_SET: Self = Self {
        name: "idx:NAME",
        kind: TaskKind::Images,
        variation: Variation::Drawn,
        outputs: 10,
        about: "images or a table of a data set",
        ..Self::PLANE
    };
}

/// `Variant = number, "name", "what a task is", { columns that differ from } BASE`
macro_rules! families {
    ($($variant:ident = $number:literal, $name:literal, $about:literal, $base:ident { $($columns:tt)* })+) => {
        /// A family of tasks. Written in kebab case.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum TaskFamily {
            $(#[doc = $about] $variant,)+
            /// Images or a table of a data set, `idx:NAME`; its settings are in [`super::TaskSpec::data_sets`].
            Idx(DataSetName),
        }

        impl TaskFamily {
            /// All families but those of data sets, in the order of a comparison's table.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// What is known of it.
            pub fn row(self) -> &'static FamilyRow {
                match self {
                    $(Self::$variant => const {
                        &FamilyRow { name: $name, number: $number, about: $about, $($columns)* ..FamilyRow::$base }
                    },)+
                    Self::Idx(_) => &FamilyRow::DATA_SET,
                }
            }
        }
    };
}

families! {
    And = 0, "and", "both coordinates positive", FIXED { comparison: Some("boolean"), }
    Or = 1, "or", "either coordinate positive", FIXED {}
    Xor = 2, "xor", "coordinates of different sign", FIXED { xor_like: true, }
    Qand = 4, "qand", "first coordinate positive and second negative", FIXED { comparison: Some("boolean"), }
    Nxor = 3, "nxor", "coordinates of the same sign", FIXED { xor_like: true, comparison: Some("boolean"), }
    HalfPlane = 5, "half-plane", "one side of a random line", PLANE {}
    ProjectedXor = 6, "projected-xor", "sign of the product of two random projections", PLANE {
        xor_like: true,
    }
    OrientedOr = 7, "oriented-or", "either of two random projections positive, with a random sign", PLANE {}
    Circle = 8, "circle", "inside or outside of a random circle", PLANE {}
    AngularSlice = 9, "angular-slice", "a random sector around a random centre", PLANE {
        comparison: Some("random"),
    }
    TwoMoons = 10, "two-moons", "two interleaved half circles, rotated, with noise", PLANE {
        comparison: Some("random"),
    }
    Sine = 11, "sine", "one side of a rotated sine wave", PLANE { comparison: Some("random"), }
    Square = 12, "square", "inside or outside of a rotated square", PLANE { comparison: Some("random"), }
    Quadric = 13, "quadric", "sign of a random quadratic form", PLANE { comparison: Some("random"), }
    Stripes = 14, "stripes", "parallel stripes in a random direction", PLANE {
        variation: Variation::Drawn,
        comparison: Some("stripes"),
    }
    Checkerboard = 20, "checkerboard", "squares of alternating labels, rotated and shifted", PLANE {
        variation: Variation::Drawn,
    }
    RegressLinear = 16, "regress-linear", "a linear function of random direction", VALUES {}
    RegressWave = 17, "regress-wave", "a sine wave in a random direction", VALUES {}
    RegressBumps = 18, "regress-bumps", "the sum of three bumps, up or down", VALUES {}
    RegressQuadric = 19, "regress-quadric", "a random quadratic polynomial", VALUES {}
    Sinusoid = 26, "sinusoid", "a sine wave over a line, of random amplitude and phase", VALUES {
        inputs: 1,
        comparison: None,
    }
    Digits = 15, "digits", "8x8 hand-written digits in ten classes", DATA_SET {
        comparison: Some("digits"),
        inputs: 64,
        // Support and query share the 1437 training images without overlap.
        query_size_max: 1024,
    }
    Fashion = 21, "fashion", "8x8 pictures of clothes in ten classes (Fashion-MNIST)", DATA_SET {
        comparison: Some("fashion"),
        inputs: 64,
        // Of 6000 training images.
        query_size_max: 4096,
    }
    SyntheticMixture = 22, "synthetic-mixture", "ten classes of one to three Gaussian clusters, half of them clipped like pixels", DATA_SET {
        stands_in: true,
        inputs: 64,
    }
    RememberBits = 23, "remember-bits", "random bits that recall random bits", SNIPPETS {}
    RememberImages = 24, "remember-images", "upper halves of digits that recall the lower ones", SNIPPETS {
        inputs: 32,
        outputs: 32,
    }
    RememberLabels = 25, "remember-labels", "digits that recall their class", SNIPPETS { inputs: 64, outputs: 10, }
}

impl JsonSchema for TaskFamily {
    fn schema_name() -> Cow<'static, str> {
        "TaskFamily".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let FamilyRow { name, about, .. } = FamilyRow::DATA_SET;
        let data_set = json_schema!({
            "description": format!("{about}, {name}; its entry is in `tasks.data_sets`"),
            "type": "string",
            "pattern": format!("^{NAME_PREFIX}{NAME_PATTERN}$"),
            "maxLength": NAME_PREFIX.len() + DATA_SET_NAME_MAX,
        });
        let families = Self::ALL.iter().map(|family| {
            let FamilyRow { name, about, .. } = family.row();
            json_schema!({ "description": about, "type": "string", "const": name })
        });
        let families: Vec<Schema> = families.chain([data_set]).collect();
        json_schema!({ "description": "A family of tasks.", "oneOf": families })
    }
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
    /// The name as it is written.
    pub fn name(&self) -> &str {
        match self {
            Self::Idx(name) => name.as_family(),
            family => family.row().name,
        }
    }

    /// The data set of a family `idx:NAME`.
    pub fn data_set(self) -> Option<DataSetName> {
        match self {
            Self::Idx(name) => Some(name),
            _ => None,
        }
    }

    /// Whether inputs are images, or what stands in for them.
    pub fn is_images(self) -> bool {
        self.row().kind == TaskKind::Images
    }

    /// Whether examples come from a data set, which has a training part and a test part.
    pub fn has_parts(self) -> bool {
        self.is_images() && !self.row().stands_in
    }

    /// Whether examples belong to classes.
    pub fn has_classes(self) -> bool {
        matches!(self.row().kind, TaskKind::Labels | TaskKind::Images)
    }

    /// What targets are, in a word.
    pub fn targets(self) -> &'static str {
        match self.row().kind {
            TaskKind::Values => "values",
            TaskKind::Snippets => "bits",
            TaskKind::Labels | TaskKind::Images => "classes",
        }
    }

    /// Whether targets are values and not classes.
    pub fn is_regression(self) -> bool {
        self.row().kind == TaskKind::Values
    }

    /// The families that a rule is judged on that was evolved on `trained` ones: those of the same kinds that comparisons
    /// report, without the trained ones. Of a family of images, other images and other permutations are drawn, so it is
    /// there even if the rule was evolved on it.
    pub fn unseen(trained: &[Self]) -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(|family| {
            let row = family.row();
            row.comparison.is_some()
                && trained.iter().any(|trained| trained.row().is_like(row))
                && (row.kind == TaskKind::Images || !trained.contains(family))
        })
    }

    /// The family's number in the draws of a comparison: never changes, whatever families are added.
    pub fn number(self) -> u64 {
        match self {
            Self::Idx(name) => {
                let digest = Digest::of(name.as_str().as_bytes());
                let (first, _) = digest.0.split_first_chunk().expect("a digest has 32 bytes");
                u64::from_le_bytes(*first) | 1 << 63
            }
            family => family.row().number,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The families as `docs/TASKS.md` shows them.
    fn table() -> String {
        let row = |family: &TaskFamily| {
            let FamilyRow { name, about, variation, xor_like, comparison, .. } = family.row();
            let variation = match variation {
                Variation::Fixed => "nothing",
                Variation::Offset => "a function with an offset",
                Variation::Drawn => "what is drawn",
            };
            let xor_like = if *xor_like { "yes" } else { "" };
            let comparison = comparison.unwrap_or_default();
            format!("| `{name}` | {about} | {variation} | {xor_like} | {comparison} |\n")
        };
        let heading = "| family | a task | differ by | xor-like | compared under |\n|---|---|---|---|---|\n";
        std::iter::once(heading.to_owned()).chain(TaskFamily::ALL.iter().map(row)).collect()
    }

    #[test]
    fn the_table_of_the_documentation_is_that_of_the_rows() {
        let documentation = include_str!("../../../../docs/TASKS.md");
        assert!(documentation.contains(&table()), "docs/TASKS.md must have this table:\n{}", table());
    }

    #[test]
    fn names_and_numbers_are_never_used_twice() {
        let rows: Vec<&FamilyRow> = TaskFamily::ALL.iter().map(|family| family.row()).collect();
        for (place, row) in rows.iter().enumerate() {
            let others = &rows[..place];
            assert!(
                others.iter().all(|other| other.name != row.name && other.number != row.number),
                "{row:?}"
            );
        }
        let mut numbers: Vec<u64> = rows.iter().map(|row| row.number).collect();
        numbers.sort_unstable();
        assert!(numbers.into_iter().eq(0..rows.len() as u64), "numbers are given out in turn");
    }

    #[test]
    fn unseen_families_are_of_the_kinds_that_were_trained_on() {
        let names = |trained: &[TaskFamily]| {
            TaskFamily::unseen(trained).map(|family| family.row().name).collect::<Vec<_>>()
        };
        let plane =
            ["and", "qand", "nxor", "angular-slice", "two-moons", "sine", "square", "quadric", "stripes"];
        assert_eq!(names(&[TaskFamily::Xor, TaskFamily::Or]), plane);
        assert_eq!(names(&[TaskFamily::And, TaskFamily::Qand]), plane[2..]);
        assert_eq!(names(&[TaskFamily::Digits]), ["digits", "fashion"]);
        assert_eq!(names(&[TaskFamily::SyntheticMixture]), ["digits", "fashion"]);
        assert_eq!(names(&[TaskFamily::Idx("other".parse().unwrap())]), ["digits", "fashion"]);
        assert_eq!(
            names(&[TaskFamily::Digits, TaskFamily::Xor]),
            [&plane[..], &["digits", "fashion"]].concat()
        );
        let regression = [TaskFamily::RegressLinear, TaskFamily::RegressWave];
        assert_eq!(names(&regression), ["regress-bumps", "regress-quadric"]);
    }
}

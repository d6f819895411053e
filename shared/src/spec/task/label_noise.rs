//! A finite training set: some of its labels are wrong, and stay wrong; some classes are rare; a few examples are known to be right.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::limits::LABEL_NOISE_RATES_MAX;
use crate::spec::SpecError;
use crate::spec::range::Range;

/// Wrong labels, and rare classes, among a finite number of training examples. Queries are clean.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LabelNoiseSpec {
    /// What a wrong label is.
    pub kind: NoiseKind,
    /// Shares of noise, of which every task draws one.
    #[schemars(transform = RATE.of_items(), length(min = 1, max = LABEL_NOISE_RATES_MAX))]
    pub rates: Vec<f64>,
    /// Training examples of a task; the batches of its updates draw from them.
    #[schemars(transform = SAMPLES.schema())]
    pub samples: u32,
    /// Long tails: by how much the largest class is larger than the smallest, of which every task draws one; none: all classes are alike.
    /// Which classes are rare is the task's. The largest keeps its part of `samples`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = FACTOR.of_items(), length(max = LABEL_NOISE_RATES_MAX))]
    pub imbalance: Vec<f64>,
    /// Examples with right labels, as many of each class, that no update trains on: what online learners learn from.
    #[serde(skip_serializing_if = "crate::spec::is_default")]
    #[schemars(!skip_serializing_if, transform = CLEAN.schema())]
    pub clean: u32,
    /// What updates are drawn from.
    #[serde(skip_serializing_if = "crate::spec::is_default")]
    #[schemars(!skip_serializing_if)]
    pub taught: Taught,
}

/// What updates are drawn from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Taught {
    /// All of the training set.
    #[default]
    All,
    /// All of it, each class equally often, by the labels as they are: what is rare comes again and again.
    ClassesAlike,
    /// Those examples of it whose label is right: an oracle, which only baselines may ask.
    RightLabels,
    /// The clean set alone.
    CleanSet,
}

/// What a wrong label is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoiseKind {
    /// Any class, the true one among them, all alike: the literature's usual form.
    #[default]
    Symmetric,
    /// Any other class, all alike.
    SymmetricOther,
    /// The next class.
    Pair,
}

impl NoiseKind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Symmetric, Self::SymmetricOther, Self::Pair];

    /// The name in specs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Symmetric => "symmetric",
            Self::SymmetricOther => "symmetric-other",
            Self::Pair => "pair",
        }
    }
}

impl Default for LabelNoiseSpec {
    fn default() -> Self {
        Self {
            kind: NoiseKind::Symmetric,
            rates: vec![0.4],
            samples: 600,
            imbalance: Vec::new(),
            clean: 0,
            taught: Taught::All,
        }
    }
}

const RATE: Range<f64> = Range::new(0.0, 1.0);
const SAMPLES: Range<u32> = Range::new(1, 4096);
const FACTOR: Range<f64> = Range::new(1.0, 1000.0);
const CLEAN: Range<u32> = Range::new(0, 1024);

impl LabelNoiseSpec {
    /// Refuses what is out of range, naming the field.
    pub fn validate(&self) -> Result<(), SpecError> {
        if self.rates.is_empty() || self.rates.len() > LABEL_NOISE_RATES_MAX {
            let problem = format!("must be 1 to {LABEL_NOISE_RATES_MAX} numbers, not {}", self.rates.len());
            return Err(SpecError::field("tasks.label_noise.rates", problem));
        }
        for (place, &rate) in self.rates.iter().enumerate() {
            // Of pairs more than half would make the wrong class the right one.
            let most = if self.kind == NoiseKind::Pair { 0.5 } else { 1.0 };
            RATE.up_to(most).check(&format!("tasks.label_noise.rates[{place}]"), rate)?;
        }
        SAMPLES.check("tasks.label_noise.samples", self.samples)?;
        if self.imbalance.len() > LABEL_NOISE_RATES_MAX {
            let problem =
                format!("must be at most {LABEL_NOISE_RATES_MAX} numbers, not {}", self.imbalance.len());
            return Err(SpecError::field("tasks.label_noise.imbalance", problem));
        }
        for (place, &factor) in self.imbalance.iter().enumerate() {
            FACTOR.check(&format!("tasks.label_noise.imbalance[{place}]"), factor)?;
        }
        CLEAN.check("tasks.label_noise.clean", self.clean)?;
        if self.taught == Taught::CleanSet && self.clean == 0 {
            let problem = "`clean-set` needs examples: set tasks.label_noise.clean";
            return Err(SpecError::field("tasks.label_noise.taught", problem));
        }
        Ok(())
    }

    /// Refuses a clean set without an example of each of so many classes, naming the field.
    pub(super) fn validate_classes(&self, classes: u32) -> Result<(), SpecError> {
        if self.clean > 0 && self.clean < classes {
            let problem =
                format!("must be 0, or at least the number of classes ({classes}), not {}", self.clean);
            return Err(SpecError::field("tasks.label_noise.clean", problem));
        }
        Ok(())
    }

    /// Examples that a task holds, at most.
    pub fn examples(&self) -> u32 {
        self.samples + self.clean
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_out_of_range_is_refused_by_its_name() {
        let spec = LabelNoiseSpec::default();
        assert_eq!(spec.validate(), Ok(()));
        for (wrong, field) in [
            (LabelNoiseSpec { rates: vec![0.2, 1.5], ..spec.clone() }, "tasks.label_noise.rates[1]"),
            (
                LabelNoiseSpec { kind: NoiseKind::Pair, rates: vec![0.5, 0.6], ..spec.clone() },
                "tasks.label_noise.rates[1]",
            ),
            (LabelNoiseSpec { imbalance: vec![0.5], ..spec.clone() }, "tasks.label_noise.imbalance[0]"),
            (LabelNoiseSpec { imbalance: vec![10.0; 17], ..spec.clone() }, "tasks.label_noise.imbalance"),
            (LabelNoiseSpec { clean: 1025, ..spec.clone() }, "tasks.label_noise.clean"),
            (LabelNoiseSpec { taught: Taught::CleanSet, ..spec.clone() }, "tasks.label_noise.taught"),
        ] {
            assert_eq!(wrong.validate().unwrap_err().field, field);
        }
        let few = LabelNoiseSpec { clean: 9, ..spec };
        assert_eq!(few.validate_classes(10).unwrap_err().field, "tasks.label_noise.clean");
        assert_eq!(few.validate_classes(9), Ok(()));
    }

    #[test]
    fn kinds_are_written_by_their_names() {
        for kind in NoiseKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
    }

    #[test]
    fn a_spec_without_tails_and_clean_examples_is_written_as_before() {
        let written = serde_json::to_string(&LabelNoiseSpec::default()).unwrap();
        assert_eq!(written, r#"{"kind":"symmetric","rates":[0.4],"samples":600}"#);
    }
}

//! Label noise: some of a task's training labels are wrong, and stay wrong.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::spec::SpecError;
use crate::spec::range::Range;

/// Wrong labels among a finite number of training examples. Queries are clean.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LabelNoiseSpec {
    /// What a wrong label is.
    pub kind: NoiseKind,
    /// Shares of noise, of which every task draws one.
    #[schemars(transform = RATE.of_items(), length(min = 1, max = RATES_MAX))]
    pub rates: Vec<f64>,
    /// Training examples of a task; the batches of its updates draw from them.
    #[schemars(transform = SAMPLES.schema())]
    pub samples: u32,
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

impl Default for LabelNoiseSpec {
    fn default() -> Self {
        Self { kind: NoiseKind::Symmetric, rates: vec![0.4], samples: 600 }
    }
}

const RATE: Range<f64> = Range::new(0.0, 1.0);
const RATES_MAX: usize = 16;
const SAMPLES: Range<u32> = Range::new(1, 4096);

impl LabelNoiseSpec {
    /// Refuses what is out of range, naming the field.
    pub(super) fn validate(&self) -> Result<(), SpecError> {
        if self.rates.is_empty() || self.rates.len() > RATES_MAX {
            let problem = format!("must be 1 to {RATES_MAX} numbers, not {}", self.rates.len());
            return Err(SpecError::field("tasks.label_noise.rates", problem));
        }
        for (place, &rate) in self.rates.iter().enumerate() {
            RATE.check(&format!("tasks.label_noise.rates[{place}]"), rate)?;
        }
        SAMPLES.check("tasks.label_noise.samples", self.samples)
    }
}

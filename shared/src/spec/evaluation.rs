//! How an episode becomes a fitness.

use crate::limits::{PHASES_MAX, UPDATES_MAX};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::SpecError;
use super::range::Range;

/// What is measured, when, and how long networks are trained.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EvaluationSpec {
    /// What is measured on the query.
    pub objective: Objective,
    /// When it is measured.
    pub measure: Measure,
    /// Updates per episode (the unroll length) as a function of the generation; the last phase goes on for ever.
    #[schemars(length(min = 1, max = PHASES_MAX))]
    pub unroll: Vec<UnrollPhase>,
}

impl Default for EvaluationSpec {
    fn default() -> Self {
        Self {
            objective: Objective::Accuracy,
            measure: Measure::default(),
            unroll: vec![UnrollPhase { generations: 1, updates: 10 }],
        }
    }
}

/// A quantity of predictions and targets, oriented so that higher is better.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Objective {
    /// Share of query examples whose class is predicted.
    #[default]
    Accuracy,
    /// Minus the mean squared error over examples and outputs.
    SquaredError,
    /// Minus the mean logistic loss (one output) or softmax cross-entropy (several).
    Logistic,
}

impl Objective {
    /// The name as it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::SquaredError => "squared-error",
            Self::Logistic => "logistic",
        }
    }

    /// The least and the greatest value that it can have.
    pub fn range(self) -> (f64, f64) {
        match self {
            Self::Accuracy => (0.0, 1.0),
            Self::SquaredError | Self::Logistic => (f64::NEG_INFINITY, 0.0),
        }
    }
}

/// When the objective is measured.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "expected \"curve\", \"prequential\" or a list of { update = N or \"last\", weight = W }"
)]
pub enum Measure {
    /// All along the way, averaged.
    Curve(CurveWord),
    /// At some numbers of updates, with weights.
    Points(#[schemars(length(min = 1, max = PHASES_MAX))] Vec<MeasurePoint>),
}

/// What is measured all along the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CurveWord {
    /// The query after every update.
    Curve,
    /// Each batch but the first before the network learns from it, and the query after the last update. It takes no further
    /// examples, and where a gradient is wanted no further passes.
    Prequential,
}

impl Measure {
    /// At the last update alone.
    pub fn last() -> Self {
        Self::Points(vec![MeasurePoint { update: UpdatePoint::Last(LastWord::Last), weight: 1.0 }])
    }
}

impl Default for Measure {
    /// Half at update 10 and half at the last (science: the most useful single choice).
    fn default() -> Self {
        Self::Points(vec![
            MeasurePoint { update: UpdatePoint::At(10), weight: 0.5 },
            MeasurePoint { update: UpdatePoint::Last(LastWord::Last), weight: 0.5 },
        ])
    }
}

/// One measurement.
#[derive(Clone, Copy, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeasurePoint {
    /// After which update.
    pub update: UpdatePoint,
    /// Its share; shares are divided by their sum.
    #[schemars(transform = WEIGHT.schema())]
    pub weight: f64,
}

/// A number of updates, or the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a number of updates or \"last\"")]
pub enum UpdatePoint {
    /// After that many updates, at most those of the shortest phase.
    At(#[schemars(transform = UPDATES.schema())] u32),
    /// After the last update of the episode.
    Last(LastWord),
}

/// The word `last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LastWord {
    /// The last update of an episode.
    Last,
}

/// Some generations with the same unroll length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnrollPhase {
    /// How many generations.
    #[schemars(transform = GENERATIONS.schema())]
    pub generations: u32,
    /// Updates per episode.
    #[schemars(transform = UPDATES.schema())]
    pub updates: u32,
}

const WEIGHT: Range<f64> = Range::above(0.0, 1e6);
const GENERATIONS: Range<u32> = Range::new(1, u32::MAX);
const UPDATES: Range<u32> = Range::new(1, UPDATES_MAX);

impl EvaluationSpec {
    /// Refuses what is out of range or contradictory, naming the field.
    pub fn validate(&self) -> Result<(), SpecError> {
        if self.unroll.is_empty() || self.unroll.len() > PHASES_MAX {
            return Err(SpecError::field("evaluation.unroll", format!("must have 1 to {PHASES_MAX} phases")));
        }
        for (place, phase) in self.unroll.iter().enumerate() {
            GENERATIONS.check(&format!("evaluation.unroll[{place}].generations"), phase.generations)?;
            UPDATES.check(&format!("evaluation.unroll[{place}].updates"), phase.updates)?;
        }
        let Measure::Points(points) = &self.measure else { return Ok(()) };
        if points.is_empty() || points.len() > PHASES_MAX {
            return Err(SpecError::field(
                "evaluation.measure",
                format!("must have 1 to {PHASES_MAX} points"),
            ));
        }
        let shortest = self.unroll.iter().map(|phase| phase.updates).min().unwrap_or(0);
        for (place, point) in points.iter().enumerate() {
            WEIGHT.check(&format!("evaluation.measure[{place}].weight"), point.weight)?;
            if let UpdatePoint::At(update) = point.update
                && (update == 0 || update > shortest)
            {
                // Whoever left `measure` out has never written the update that does not fit.
                if self.measure == Measure::default() {
                    return Err(SpecError::field(
                        "evaluation.measure",
                        format!(
                            "is by default at updates {update} and last, but the shortest unroll has {shortest} updates: \
                             lengthen it, or write when to measure"
                        ),
                    ));
                }
                return Err(SpecError::field(
                    format!("evaluation.measure[{place}].update"),
                    format!("must be from 1 to the shortest unroll ({shortest} updates), not {update}"),
                ));
            }
        }
        Ok(())
    }

    /// Refuses what has no derivative, naming the field.
    pub(super) fn check_gradient(&self) -> Result<(), SpecError> {
        match self.objective {
            Objective::SquaredError | Objective::Logistic => Ok(()),
            Objective::Accuracy => {
                let problem = "accuracy has no gradient; use \"logistic\" or \"squared-error\"";
                Err(SpecError::field("evaluation.objective", problem))
            }
        }
    }

    /// The unroll length of a generation.
    pub fn updates(&self, generation: u32) -> u32 {
        let mut end = 0u64;
        for phase in &self.unroll {
            end += u64::from(phase.generations);
            if u64::from(generation) < end {
                return phase.updates;
            }
        }
        self.unroll.last().map_or(0, |phase| phase.updates)
    }

    /// The longest unroll length.
    pub fn updates_max(&self) -> u32 {
        self.unroll.iter().map(|phase| phase.updates).max().unwrap_or(0)
    }
}

//! When a search ends, beside the strategy's own criteria.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::SpecError;
use super::range::{Range, SpecNumber};
use crate::limits::RUN_TIME_S_MAX;

/// Limits; the first that is met ends the run. At least one of `generations`, `evaluations` and `time_limit_s` is needed.
#[derive(Clone, Debug, Default, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("anyOf" = [{ "required": ["generations"] }, { "required": ["evaluations"] }, { "required": ["time_limit_s"] }]))]
pub struct StopSpec {
    /// Generations.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = GENERATIONS.schema())]
    pub generations: Option<u32>,
    /// Candidate evaluations; the generation that reaches it is finished.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = EVALUATIONS.schema())]
    pub evaluations: Option<u64>,
    /// A best fitness that is good enough; of an external problem a value of its objective.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_fitness: Option<f64>,
    /// Seconds of running, pauses excluded. The generation at which it is reached is journalled, and replay obeys.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = TIME_LIMIT_S.schema())]
    pub time_limit_s: Option<u64>,
}

const GENERATIONS: Range<u32> = Range::new(1, 100_000_000);
const EVALUATIONS: Range<u64> = Range::new(1, 1 << 53);
const TIME_LIMIT_S: Range<u64> = Range::new(1, RUN_TIME_S_MAX);

impl std::fmt::Display for StopSpec {
    /// The limits in one line, as they are written in a spec.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let limits = [
            self.generations.map(|limit| format!("generations = {limit}")),
            self.evaluations.map(|limit| format!("evaluations = {limit}")),
            self.target_fitness.map(|target| format!("target_fitness = {target}")),
            self.time_limit_s.map(|limit| format!("time_limit_s = {limit}")),
        ];
        f.write_str(&limits.into_iter().flatten().collect::<Vec<_>>().join(", "))
    }
}

impl StopSpec {
    /// These limits, with those that `by` names raised to what it says. A limit that is not there cannot be raised: it
    /// would be a new one. `orient` makes a fitness of a target.
    pub fn extended(&self, by: &Self, orient: impl Fn(f64) -> f64) -> Result<Self, SpecError> {
        if *by == Self::default() {
            return Err(SpecError::field("stop", "must name a limit to raise"));
        }
        let stop = Self {
            generations: raised("stop.generations", self.generations, by.generations)?,
            evaluations: raised("stop.evaluations", self.evaluations, by.evaluations)?,
            target_fitness: match (self.target_fitness, by.target_fitness) {
                (Some(present), Some(wanted)) if orient(1.0) < 0.0 && wanted >= present => {
                    let (present, wanted) = (present.shown(), wanted.shown());
                    let problem = format!("must be below {present}, what it is now, not {wanted}");
                    return Err(SpecError::field("stop.target_fitness", problem));
                }
                (Some(_), Some(wanted)) if orient(1.0) < 0.0 => Some(wanted),
                (present, wanted) => raised("stop.target_fitness", present, wanted)?,
            },
            time_limit_s: raised("stop.time_limit_s", self.time_limit_s, by.time_limit_s)?,
        };
        stop.validate()?;
        Ok(stop)
    }
}

fn raised<T>(field: &str, present: Option<T>, wanted: Option<T>) -> Result<Option<T>, SpecError>
where
    T: SpecNumber,
{
    match (present, wanted) {
        (present, None) => Ok(present),
        (None, Some(_)) => Err(SpecError::field(field, "cannot be raised: the run has no such limit")),
        (Some(present), Some(wanted)) if wanted > present => Ok(Some(wanted)),
        (Some(present), Some(wanted)) => {
            let (present, wanted) = (present.shown(), wanted.shown());
            Err(SpecError::field(field, format!("must be above {present}, what it is now, not {wanted}")))
        }
    }
}

impl StopSpec {
    /// Refuses endless runs and what is out of range, naming the field.
    pub fn validate(&self) -> Result<(), SpecError> {
        if self.generations.is_none() && self.evaluations.is_none() && self.time_limit_s.is_none() {
            return Err(SpecError::field(
                "stop",
                "must set at least one of generations, evaluations, time_limit_s",
            ));
        }
        if let Some(generations) = self.generations {
            GENERATIONS.check("stop.generations", generations)?;
        }
        if let Some(evaluations) = self.evaluations {
            EVALUATIONS.check("stop.evaluations", evaluations)?;
        }
        if let Some(seconds) = self.time_limit_s {
            TIME_LIMIT_S.check("stop.time_limit_s", seconds)?;
        }
        match self.target_fitness {
            Some(target) if !target.is_finite() => {
                Err(SpecError::field("stop.target_fitness", "must be a finite number"))
            }
            _ => Ok(()),
        }
    }
}

//! The search.

use serde::{Deserialize, Serialize};

use super::{SpecError, check_range};

/// The largest population.
pub const POPULATION_SIZE_MAX: u32 = 65_536;

/// Which strategy searches, and its settings. The initial mean is zero: layouts make zero a sane start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "WrittenStrategy", into = "WrittenStrategy")]
pub enum StrategySpec {
    /// CMA-ES with full covariance (Hansen 2016).
    CmaEs(CmaEsSpec),
    /// Independent samples around the initial mean: the control.
    RandomSearch(RandomSearchSpec),
}

/// A strategy as it is written: flat, so that an error is found on its own line.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenStrategy {
    kind: StrategyKind,
    population_size: u32,
    #[serde(default = "default_step_size")]
    step_size: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    active: Option<bool>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum StrategyKind {
    CmaEs,
    RandomSearch,
}

impl TryFrom<WrittenStrategy> for StrategySpec {
    type Error = SpecError;

    fn try_from(written: WrittenStrategy) -> Result<Self, SpecError> {
        let WrittenStrategy { kind, population_size, step_size, active } = written;
        match kind {
            StrategyKind::CmaEs => {
                Ok(Self::CmaEs(CmaEsSpec { population_size, step_size, active: active.unwrap_or(true) }))
            }
            StrategyKind::RandomSearch if active.is_some() => {
                Err(SpecError::field("strategy.active", "is a setting of cma-es, not of random-search"))
            }
            StrategyKind::RandomSearch => {
                Ok(Self::RandomSearch(RandomSearchSpec { population_size, step_size }))
            }
        }
    }
}

impl From<StrategySpec> for WrittenStrategy {
    fn from(spec: StrategySpec) -> Self {
        match spec {
            StrategySpec::CmaEs(CmaEsSpec { population_size, step_size, active }) => {
                Self { kind: StrategyKind::CmaEs, population_size, step_size, active: Some(active) }
            }
            StrategySpec::RandomSearch(RandomSearchSpec { population_size, step_size }) => {
                Self { kind: StrategyKind::RandomSearch, population_size, step_size, active: None }
            }
        }
    }
}

/// Settings of CMA-ES.
#[derive(Clone, Debug, PartialEq)]
pub struct CmaEsSpec {
    /// Candidates per generation (lambda), at least 4.
    pub population_size: u32,
    /// Initial step size (sigma), in (0, 1e6].
    pub step_size: f64,
    /// Whether the worst half shrinks the covariance (active update, negative weights).
    pub active: bool,
}

/// Settings of random search.
#[derive(Clone, Debug, PartialEq)]
pub struct RandomSearchSpec {
    /// Candidates per generation.
    pub population_size: u32,
    /// Standard deviation of the samples, in (0, 1e6].
    pub step_size: f64,
}

fn default_step_size() -> f64 {
    0.5
}

impl CmaEsSpec {
    /// Default settings for a population size.
    pub fn of(population_size: u32) -> Self {
        Self { population_size, step_size: default_step_size(), active: true }
    }
}

impl RandomSearchSpec {
    /// Default settings for a population size.
    pub fn of(population_size: u32) -> Self {
        Self { population_size, step_size: default_step_size() }
    }
}

impl StrategySpec {
    /// Candidates per generation.
    pub fn population_size(&self) -> u32 {
        match self {
            Self::CmaEs(spec) => spec.population_size,
            Self::RandomSearch(spec) => spec.population_size,
        }
    }

    /// The strategy's name as it is written.
    pub fn name(&self) -> &'static str {
        match self {
            Self::CmaEs(_) => "cma-es",
            Self::RandomSearch(_) => "random-search",
        }
    }

    /// Refuses what is out of range, naming the field.
    pub fn validate(&self) -> Result<(), SpecError> {
        let (smallest, step_size) = match self {
            Self::CmaEs(spec) => (4, spec.step_size),
            Self::RandomSearch(spec) => (1, spec.step_size),
        };
        check_range("strategy.population_size", self.population_size(), smallest, POPULATION_SIZE_MAX)?;
        if step_size > 0.0 && step_size <= 1e6 {
            Ok(())
        } else {
            Err(SpecError::field(
                "strategy.step_size",
                format!("must be above 0 and at most 1e6, not {step_size}"),
            ))
        }
    }
}

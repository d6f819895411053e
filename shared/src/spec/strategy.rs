//! The search.

use crate::limits::{
    FULL_COVARIANCE_DIMENSION_MAX, POPULATION_SIZE_MAX, START_NUMBER_MAX, STEP_SIZE_MAX, STEP_SIZE_MIN,
};
use serde::{Deserialize, Serialize};

use super::{SpecError, check_range};

/// Which strategy searches, and its settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "WrittenStrategy", into = "WrittenStrategy")]
pub enum StrategySpec {
    /// CMA-ES with full covariance (Hansen 2016).
    CmaEs(CmaEsSpec),
    /// Independent samples around the initial mean: the control.
    RandomSearch(RandomSearchSpec),
    /// CMA-ES with a diagonal covariance matrix (Ros and Hansen 2008).
    SepCmaEs(SepCmaEsSpec),
    /// Policy gradients with parameter-based exploration (Sehnke et al. 2010).
    Pgpe(PgpeSpec),
    /// Antithetic evolution strategies with Adam (Salimans et al. 2017).
    OpenAiEs(OpenAiEsSpec),
}

/// A strategy as it is written: flat, so that an error is found on its own line.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenStrategy {
    kind: StrategyKind,
    population_size: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    step_size: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    step_size_max: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    learning_rate: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    active: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    noise: Option<NoiseHandling>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    restarts: Option<Restarts>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mirrored: Option<bool>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    initial_mean: Vec<f64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    initial_covariance: Vec<f64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    scales: Vec<f64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    fixed: Vec<u32>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    lower_bounds: Vec<f64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    upper_bounds: Vec<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum StrategyKind {
    CmaEs,
    RandomSearch,
    SepCmaEs,
    Pgpe,
    #[serde(rename = "openai-es")]
    OpenAiEs,
}

impl StrategyKind {
    /// As it is written.
    fn name(self) -> &'static str {
        match self {
            Self::CmaEs => "cma-es",
            Self::RandomSearch => "random-search",
            Self::SepCmaEs => "sep-cma-es",
            Self::Pgpe => "pgpe",
            Self::OpenAiEs => "openai-es",
        }
    }
}

impl WrittenStrategy {
    /// Refuses settings of other strategies.
    fn check_settings(&self) -> Result<(), SpecError> {
        let of_cma_es = [
            ("step_size_max", self.step_size_max.is_some()),
            ("active", self.active.is_some()),
            ("noise", self.noise.is_some()),
            ("restarts", self.restarts.is_some()),
            ("mirrored", self.mirrored.is_some()),
            ("initial_mean", !self.initial_mean.is_empty()),
            ("initial_covariance", !self.initial_covariance.is_empty()),
            ("scales", !self.scales.is_empty()),
            ("fixed", !self.fixed.is_empty()),
            ("lower_bounds", !self.lower_bounds.is_empty()),
            ("upper_bounds", !self.upper_bounds.is_empty()),
        ];
        let refuse = |field: &str, owner: &str| {
            let problem = format!("is a setting of {owner}, not of {}", self.kind.name());
            Err(SpecError::field(format!("strategy.{field}"), problem))
        };
        if self.kind != StrategyKind::CmaEs
            && let Some((field, _)) = of_cma_es.iter().find(|(_, is_written)| *is_written)
        {
            return refuse(field, "cma-es");
        }
        if !matches!(self.kind, StrategyKind::Pgpe | StrategyKind::OpenAiEs) && self.learning_rate.is_some() {
            return refuse("learning_rate", "pgpe and openai-es");
        }
        Ok(())
    }
}

impl TryFrom<WrittenStrategy> for StrategySpec {
    type Error = SpecError;

    fn try_from(written: WrittenStrategy) -> Result<Self, SpecError> {
        written.check_settings()?;
        let WrittenStrategy { population_size, step_size, learning_rate, .. } = written;
        Ok(match written.kind {
            StrategyKind::CmaEs => StrategySpec::CmaEs(CmaEsSpec {
                population_size,
                step_size: step_size.unwrap_or(DEFAULT_STEP_SIZE),
                step_size_max: written.step_size_max.unwrap_or(f64::INFINITY),
                active: written.active.unwrap_or(true),
                noise: written.noise.unwrap_or_default(),
                restarts: written.restarts.unwrap_or_default(),
                mirrored: written.mirrored.unwrap_or(false),
                start: Box::new(SearchStart {
                    mean: written.initial_mean,
                    covariance: written.initial_covariance,
                    scales: written.scales,
                    fixed: written.fixed,
                    lower_bounds: written.lower_bounds,
                    upper_bounds: written.upper_bounds,
                }),
            }),
            StrategyKind::RandomSearch => StrategySpec::RandomSearch(RandomSearchSpec {
                population_size,
                step_size: step_size.unwrap_or(DEFAULT_STEP_SIZE),
            }),
            StrategyKind::SepCmaEs => StrategySpec::SepCmaEs(SepCmaEsSpec {
                population_size,
                step_size: step_size.unwrap_or(DEFAULT_STEP_SIZE),
            }),
            StrategyKind::Pgpe => StrategySpec::Pgpe(PgpeSpec::of(population_size, step_size, learning_rate)),
            StrategyKind::OpenAiEs => {
                StrategySpec::OpenAiEs(OpenAiEsSpec::of(population_size, step_size, learning_rate))
            }
        })
    }
}

impl From<StrategySpec> for WrittenStrategy {
    fn from(spec: StrategySpec) -> Self {
        let bare = |kind, population_size, step_size| Self {
            kind,
            population_size,
            step_size: Some(step_size),
            step_size_max: None,
            learning_rate: None,
            active: None,
            noise: None,
            restarts: None,
            mirrored: None,
            initial_mean: Vec::new(),
            initial_covariance: Vec::new(),
            scales: Vec::new(),
            fixed: Vec::new(),
            lower_bounds: Vec::new(),
            upper_bounds: Vec::new(),
        };
        match spec {
            StrategySpec::CmaEs(spec) => Self {
                step_size_max: spec.step_size_max.is_finite().then_some(spec.step_size_max),
                active: Some(spec.active),
                noise: Some(spec.noise),
                restarts: Some(spec.restarts),
                mirrored: Some(spec.mirrored),
                initial_mean: spec.start.mean,
                initial_covariance: spec.start.covariance,
                scales: spec.start.scales,
                fixed: spec.start.fixed,
                lower_bounds: spec.start.lower_bounds,
                upper_bounds: spec.start.upper_bounds,
                ..bare(StrategyKind::CmaEs, spec.population_size, spec.step_size)
            },
            StrategySpec::RandomSearch(spec) => {
                bare(StrategyKind::RandomSearch, spec.population_size, spec.step_size)
            }
            StrategySpec::SepCmaEs(spec) => {
                bare(StrategyKind::SepCmaEs, spec.population_size, spec.step_size)
            }
            StrategySpec::Pgpe(spec) => Self {
                learning_rate: Some(spec.learning_rate),
                ..bare(StrategyKind::Pgpe, spec.population_size, spec.step_size)
            },
            StrategySpec::OpenAiEs(spec) => Self {
                learning_rate: Some(spec.learning_rate),
                ..bare(StrategyKind::OpenAiEs, spec.population_size, spec.step_size)
            },
        }
    }
}

/// Settings of CMA-ES.
#[derive(Clone, Debug, PartialEq)]
pub struct CmaEsSpec {
    /// Candidates per generation (lambda), at least 4; those that are asked again come on top.
    pub population_size: u32,
    /// Initial step size (sigma), from 1e-100 to 1e6.
    pub step_size: f64,
    /// The largest standard deviation along any axis of the distribution, at least the initial step size; infinity: no
    /// limit. The scale of most rules is free, and without a limit step size and genome grow with each other.
    pub step_size_max: f64,
    /// Whether the worst half shrinks the covariance (active update, negative weights).
    pub active: bool,
    /// What is done about noise in the fitness.
    pub noise: NoiseHandling,
    /// What follows when the search has converged or failed.
    pub restarts: Restarts,
    /// Whether every second candidate is the mirror image, at the mean, of the one before.
    pub mirrored: bool,
    /// Where the search starts, and where it may go.
    pub start: Box<SearchStart>,
}

/// Where a search starts, and where it may go. Lists that are empty stand for their defaults.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SearchStart {
    /// The initial mean, n numbers, for example the genome of another run. Empty: zeros.
    pub mean: Vec<f64>,
    /// The initial covariance matrix up to the step size: its lower triangle by columns, n (n + 1) / 2 numbers, for
    /// example of another run's snapshot. Empty: the identity.
    pub covariance: Vec<f64>,
    /// Initial standard deviations relative to the step size, n positive numbers. Empty: all 1.
    pub scales: Vec<f64>,
    /// Coordinates, counted from 0, that keep the initial mean's value.
    pub fixed: Vec<u32>,
    /// Lower bounds, one for all coordinates or n. Empty: none.
    pub lower_bounds: Vec<f64>,
    /// Upper bounds, one for all coordinates or n. Empty: none.
    pub upper_bounds: Vec<f64>,
}

/// What CMA-ES does about noise in the fitness.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoiseHandling {
    /// Noise is measured by asking a few candidates again; learning rates adapt while there is some.
    #[default]
    Auto,
    /// Nothing.
    None,
    /// Learning rates always adapt (LRA-CMA-ES, Nomura, Akimoto and Ono 2023).
    Lra,
}

/// What follows when a search has stopped by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Restarts {
    /// The end.
    #[default]
    None,
    /// A new search with twice the population (Auger and Hansen 2005).
    Ipop,
    /// A new search, alternately with twice the population and with a small one (Hansen 2009).
    Bipop,
}

/// Settings of random search.
#[derive(Clone, Debug, PartialEq)]
pub struct RandomSearchSpec {
    /// Candidates per generation.
    pub population_size: u32,
    /// Standard deviation of the samples, from 1e-100 to 1e6.
    pub step_size: f64,
}

/// Settings of sep-CMA-ES.
#[derive(Clone, Debug, PartialEq)]
pub struct SepCmaEsSpec {
    /// Candidates per generation (lambda), at least 4.
    pub population_size: u32,
    /// Initial step size (sigma), from 1e-100 to 1e6.
    pub step_size: f64,
}

/// Settings of PGPE.
#[derive(Clone, Debug, PartialEq)]
pub struct PgpeSpec {
    /// Candidates per generation, an even number of at least 4: they come in pairs.
    pub population_size: u32,
    /// Initial standard deviation of the samples, from 1e-100 to 1e6.
    pub step_size: f64,
    /// Adam's learning rate: about how far the mean moves in a generation, in each coordinate. From 1e-100 to 1e6.
    pub learning_rate: f64,
}

/// Settings of antithetic evolution strategies with Adam.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenAiEsSpec {
    /// Candidates per generation, an even number of at least 4: they come in pairs.
    pub population_size: u32,
    /// Standard deviation of the samples, from 1e-100 to 1e6.
    pub step_size: f64,
    /// Adam's learning rate: about how far the mean moves in a generation, in each coordinate. From 1e-100 to 1e6.
    pub learning_rate: f64,
}

/// The step size of a spec that names none.
const DEFAULT_STEP_SIZE: f64 = 0.5;

impl SepCmaEsSpec {
    /// Default settings for a population size.
    pub fn of(population_size: u32) -> Self {
        Self { population_size, step_size: DEFAULT_STEP_SIZE }
    }
}

impl PgpeSpec {
    /// Settings with their defaults, the best of those tried on rules: step size 0.3, learning rate a third of it.
    pub fn of(population_size: u32, step_size: Option<f64>, learning_rate: Option<f64>) -> Self {
        let step_size = step_size.unwrap_or(0.3);
        Self {
            population_size,
            step_size,
            learning_rate: learning_rate.unwrap_or((step_size / 3.0).max(STEP_SIZE_MIN)),
        }
    }
}

impl OpenAiEsSpec {
    /// Settings with their defaults, the best of those tried on rules: step size 0.2, learning rate half of it.
    pub fn of(population_size: u32, step_size: Option<f64>, learning_rate: Option<f64>) -> Self {
        let step_size = step_size.unwrap_or(0.2);
        Self {
            population_size,
            step_size,
            learning_rate: learning_rate.unwrap_or((step_size / 2.0).max(STEP_SIZE_MIN)),
        }
    }
}

impl CmaEsSpec {
    /// Default settings for a population size.
    pub fn of(population_size: u32) -> Self {
        Self {
            population_size,
            step_size: DEFAULT_STEP_SIZE,
            step_size_max: f64::INFINITY,
            active: true,
            noise: NoiseHandling::default(),
            restarts: Restarts::default(),
            mirrored: false,
            start: Box::default(),
        }
    }
}

impl CmaEsSpec {
    /// How many candidates of a population are asked again where noise is measured.
    pub fn reasked(population_size: u32) -> u32 {
        2 + population_size / 20
    }
}

impl SearchStart {
    /// Refuses what does not fit a space of `dimension` coordinates, naming the field.
    pub fn validate(&self, dimension: usize) -> Result<(), SpecError> {
        let refuse =
            |field: &str, problem: String| Err(SpecError::field(format!("strategy.{field}"), problem));
        let triangle = dimension * (dimension + 1) / 2;
        for (field, values, lengths) in [
            ("initial_mean", &self.mean, [dimension, dimension]),
            ("initial_covariance", &self.covariance, [triangle, triangle]),
            ("scales", &self.scales, [dimension, dimension]),
            ("lower_bounds", &self.lower_bounds, [1, dimension]),
            ("upper_bounds", &self.upper_bounds, [1, dimension]),
        ] {
            if !values.is_empty() && !lengths.contains(&values.len()) {
                let [one, all] = lengths;
                let right = if one == all { format!("{all}") } else { format!("{one} or {all}") };
                return refuse(field, format!("must hold {right} numbers, not {}", values.len()));
            }
            if let Some(place) =
                values.iter().position(|value| value.is_nan() || value.abs() > START_NUMBER_MAX)
            {
                let value = values[place];
                return refuse(
                    &format!("{field}[{place}]"),
                    format!("must be a number of at most {START_NUMBER_MAX:e} in size, not {value}"),
                );
            }
        }
        if let Some(place) = self.scales.iter().position(|scale| *scale < 1.0 / START_NUMBER_MAX) {
            let problem =
                format!("must be at least {:e}, not {}", 1.0 / START_NUMBER_MAX, self.scales[place]);
            return refuse(&format!("scales[{place}]"), problem);
        }
        for (place, &fixed) in self.fixed.iter().enumerate() {
            if fixed as usize >= dimension {
                let problem = format!("must be a coordinate below {dimension}, not {fixed}");
                return refuse(&format!("fixed[{place}]"), problem);
            }
            if self.fixed[..place].contains(&fixed) {
                return refuse("fixed", format!("names coordinate {fixed} twice"));
            }
        }
        if self.fixed.len() >= dimension {
            return refuse("fixed", "leaves no coordinate to search".to_owned());
        }
        let of = |values: &[f64], i: usize| values.get(i).or(values.first()).copied();
        for i in 0..dimension {
            let (lower, upper) = (of(&self.lower_bounds, i), of(&self.upper_bounds, i));
            if let (Some(lower), Some(upper)) = (lower, upper)
                && lower >= upper
            {
                return refuse(
                    "lower_bounds",
                    format!("must be below upper_bounds: coordinate {i} has {lower} and {upper}"),
                );
            }
            let mean = self.mean.get(i).copied().unwrap_or(0.0);
            if lower.is_some_and(|lower| mean < lower) || upper.is_some_and(|upper| mean > upper) {
                return refuse(
                    "initial_mean",
                    format!("must be within the bounds: coordinate {i} is {mean}"),
                );
            }
        }
        Ok(())
    }
}

impl RandomSearchSpec {
    /// Default settings for a population size.
    pub fn of(population_size: u32) -> Self {
        Self { population_size, step_size: DEFAULT_STEP_SIZE }
    }
}

impl StrategySpec {
    /// Candidates per generation.
    pub fn population_size(&self) -> u32 {
        match self {
            Self::CmaEs(spec) => spec.population_size,
            Self::RandomSearch(spec) => spec.population_size,
            Self::SepCmaEs(spec) => spec.population_size,
            Self::Pgpe(spec) => spec.population_size,
            Self::OpenAiEs(spec) => spec.population_size,
        }
    }

    /// The most candidates that a generation asks for before any restart: the population, and those asked again.
    pub fn candidates_max(&self) -> u32 {
        match self {
            Self::CmaEs(spec) if spec.noise == NoiseHandling::Auto => {
                spec.population_size + CmaEsSpec::reasked(spec.population_size)
            }
            _ => self.population_size(),
        }
    }

    /// Whether another search may follow one that has stopped by itself.
    pub fn has_restarts(&self) -> bool {
        matches!(self, Self::CmaEs(spec) if spec.restarts != Restarts::None)
    }

    /// The strategy's name as it is written.
    pub fn name(&self) -> &'static str {
        let kind = match self {
            Self::CmaEs(_) => StrategyKind::CmaEs,
            Self::RandomSearch(_) => StrategyKind::RandomSearch,
            Self::SepCmaEs(_) => StrategyKind::SepCmaEs,
            Self::Pgpe(_) => StrategyKind::Pgpe,
            Self::OpenAiEs(_) => StrategyKind::OpenAiEs,
        };
        kind.name()
    }

    /// Refuses what is out of range or does not fit genomes of `dimension` numbers, naming the field.
    pub fn validate(&self, dimension: usize) -> Result<(), SpecError> {
        if let Self::CmaEs(spec) = self {
            if dimension > FULL_COVARIANCE_DIMENSION_MAX {
                return Err(SpecError::field(
                    "strategy.kind",
                    format!(
                        "cma-es keeps full matrices of {dimension} x {dimension} numbers, {:.0} GB each; above \
                         {FULL_COVARIANCE_DIMENSION_MAX} dimensions use sep-cma-es",
                        (dimension as f64).powi(2) * 8e-9
                    ),
                ));
            }
            spec.start.validate(dimension)?;
        }
        let (smallest, step_size) = match self {
            Self::CmaEs(spec) => (4, spec.step_size),
            Self::RandomSearch(spec) => (1, spec.step_size),
            Self::SepCmaEs(spec) => (4, spec.step_size),
            Self::Pgpe(spec) => (4, spec.step_size),
            Self::OpenAiEs(spec) => (4, spec.step_size),
        };
        check_range("strategy.population_size", self.population_size(), smallest, POPULATION_SIZE_MAX)?;
        check_size("strategy.step_size", step_size)?;
        if let Self::CmaEs(spec) = self
            && (spec.step_size_max.is_nan() || spec.step_size_max < step_size)
        {
            let problem = format!(
                "must be at least step_size, which is {step_size:?}, or inf, not {:?}",
                spec.step_size_max
            );
            return Err(SpecError::field("strategy.step_size_max", problem));
        }
        if let Self::Pgpe(PgpeSpec { population_size, learning_rate, .. })
        | Self::OpenAiEs(OpenAiEsSpec { population_size, learning_rate, .. }) = *self
        {
            if population_size % 2 != 0 {
                let problem = format!(
                    "must be even, not {population_size}: candidates of {} come in pairs",
                    self.name()
                );
                return Err(SpecError::field("strategy.population_size", problem));
            }
            check_size("strategy.learning_rate", learning_rate)?;
        }
        Ok(())
    }
}

/// Refuses what is no size of a step.
fn check_size(field: &str, size: f64) -> Result<(), SpecError> {
    if (STEP_SIZE_MIN..=STEP_SIZE_MAX).contains(&size) {
        Ok(())
    } else {
        let problem = format!("must be from {STEP_SIZE_MIN:e} to {STEP_SIZE_MAX:e}, not {size:?}");
        Err(SpecError::field(field, problem))
    }
}

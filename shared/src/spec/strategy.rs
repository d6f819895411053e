//! The search: which strategy, with which settings.
//!
//! A strategy is a row of the table, its settings in the module that the row names here, and the module of the same name in
//! `search`, which has the functions `start` and `resume`.

use schemars::JsonSchema;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};

use super::SpecError;
use super::range::Range;
use crate::limits::{
    GENOME_VALUES_MAX, POPULATION_SIZE_MAX, RUN_COVARIANCE_DIMENSION_MAX, SEARCH_NUMBERS_MAX,
    START_NUMBER_MAX, STEP_SIZE_MAX, STEP_SIZE_MIN,
};

pub mod cma_es;
pub mod gradient;
pub mod one_plus_lambda;
pub mod openai_es;
pub mod pgpe;
pub mod random_search;
pub mod sep_cma_es;

pub use cma_es::{NoiseHandling, Restarts};
pub use gradient::{Directions, Estimation, Estimator, EvogradSpec, WeightsFrom};

/// The table of strategies: calls a macro with all rows. A row is a module, the variant of [`spec::strategy::StrategySpec`], the
/// settings' type and the name in a spec.
///
/// [`spec::strategy::StrategySpec`]: crate::spec::strategy::StrategySpec
#[macro_export]
macro_rules! for_each_strategy {
    ($with:ident) => {
        $with! {
            /// CMA-ES with full covariance (Hansen 2016).
            cma_es: CmaEs(CmaEsSpec) = "cma-es",
            /// Independent samples around the initial mean: the control.
            random_search: RandomSearch(RandomSearchSpec) = "random-search",
            /// CMA-ES with a diagonal covariance matrix (Ros and Hansen 2008).
            sep_cma_es: SepCmaEs(SepCmaEsSpec) = "sep-cma-es",
            /// Policy gradients with parameter-based exploration (Sehnke et al. 2010).
            pgpe: Pgpe(PgpeSpec) = "pgpe",
            /// Antithetic evolution strategies with Adam (Salimans et al. 2017).
            openai_es: OpenAiEs(OpenAiEsSpec) = "openai-es",
            /// A parent and its children with a success rule (Rechenberg 1973).
            one_plus_lambda: OnePlusLambda(OnePlusLambdaSpec) = "one-plus-lambda",
            /// Adam along the gradient of the genome through the training, for rules that know it.
            gradient: Gradient(GradientSpec) = "gradient",
        }
    };
}

macro_rules! declare {
    ($($(#[$doc:meta])* $module:ident: $variant:ident($settings:ident) = $name:literal,)+) => {
        $(pub use $module::$settings;)+

        /// Which strategy searches, and its settings.
        #[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
        #[serde(tag = "kind")]
        pub enum StrategySpec {
            $($(#[$doc])* #[serde(rename = $name)] $variant($settings),)+
        }

        impl StrategySpec {
            /// The strategies' names as a spec writes them.
            pub const NAMES: &[&str] = &[$($name),+];

            /// The strategy's name as it is written.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => $name,)+
                }
            }

            fn settings(&self) -> &dyn Settings {
                match self {
                    $(Self::$variant(settings) => settings,)+
                }
            }

            fn read<E: serde::de::Error>(kind: &str, settings: toml::Table) -> Result<Self, E> {
                match kind {
                    $($name => read_settings(kind, settings).map(Self::$variant),)+
                    _ => Err(E::custom(format!(
                        "strategy.kind: unknown variant `{kind}`, expected one of `{}`",
                        Self::NAMES.join("`, `")
                    ))),
                }
            }
        }
    };
}

for_each_strategy!(declare);

/// What the settings of every strategy tell.
trait Settings {
    /// Candidates per generation.
    fn population_size(&self) -> u32;

    /// The most candidates that a generation asks for before any restart.
    fn candidates_max(&self) -> u32 {
        self.population_size()
    }

    /// Whether candidates come in pairs, so that their number must be even.
    fn comes_in_pairs(&self) -> bool {
        false
    }

    /// Whether another search may follow one that has stopped by itself.
    fn has_restarts(&self) -> bool {
        false
    }

    /// Whether it is told gradients beside fitnesses.
    fn wants_gradient(&self) -> bool {
        false
    }

    /// Refuses what is out of range or does not fit a search from `start`, naming the field.
    fn validate(&self, start: &[f64]) -> Result<(), SpecError>;
}

impl StrategySpec {
    /// Candidates per generation.
    pub fn population_size(&self) -> u32 {
        self.settings().population_size()
    }

    /// The most candidates that a generation asks for before any restart: the population, and those asked again.
    pub fn candidates_max(&self) -> u32 {
        self.settings().candidates_max()
    }

    /// Whether candidates come in pairs, so that the population's size must be even.
    pub fn comes_in_pairs(&self) -> bool {
        self.settings().comes_in_pairs()
    }

    /// Whether another search may follow one that has stopped by itself.
    pub fn has_restarts(&self) -> bool {
        self.settings().has_restarts()
    }

    /// Whether candidates enter as they come, so that the result depends on the order.
    pub fn is_asynchronous(&self) -> bool {
        matches!(self, Self::CmaEs(settings) if settings.asynchronous)
    }

    /// Whether it is told gradients beside fitnesses.
    pub fn wants_gradient(&self) -> bool {
        self.settings().wants_gradient()
    }

    /// How the gradient is had that it is told, or would be.
    pub fn estimation(&self) -> Estimation {
        match self {
            Self::Gradient(settings) => settings.estimation(),
            _ => Estimation::default(),
        }
    }

    /// Refuses what is out of range or does not fit a search from `start`, n numbers, naming the field.
    pub fn validate(&self, start: &[f64]) -> Result<(), SpecError> {
        self.settings().validate(start)?;
        let population_size = self.population_size();
        if self.comes_in_pairs() && !population_size.is_multiple_of(PAIR) {
            let problem =
                format!("must be even, not {population_size}: candidates of {} come in pairs", self.name());
            return Err(SpecError::field("strategy.population_size", problem));
        }
        Ok(())
    }
}

impl StrategySpec {
    /// Refuses what a coordinator has no room for, naming the field: products of what is allowed by itself.
    pub fn validate_of_run(&self, dimension: usize) -> Result<(), SpecError> {
        if dimension > GENOME_VALUES_MAX {
            let problem = format!(
                "would search {dimension} numbers, and a genome has at most {GENOME_VALUES_MAX} (fewer states, or a shared genome)"
            );
            return Err(SpecError::field("strategy.kind", problem));
        }
        if matches!(self, Self::CmaEs(_)) && dimension > RUN_COVARIANCE_DIMENSION_MAX {
            let problem = format!(
                "cma-es would keep full matrices of {dimension} x {dimension} numbers, and the coordinator stores them after each \
                 generation; above {RUN_COVARIANCE_DIMENSION_MAX} dimensions use sep-cma-es"
            );
            return Err(SpecError::field("strategy.kind", problem));
        }
        if let Self::CmaEs(settings) = self
            && !settings.integers.is_empty()
        {
            let problem = "is of points for ask-tell; in a run a parameter of an external problem says so by its kind; leave it out";
            return Err(SpecError::field("strategy.integers", problem));
        }
        let candidates = u64::from(self.candidates_max());
        let most = SEARCH_NUMBERS_MAX / dimension.max(1) as u64;
        if candidates > most {
            let problem = format!(
                "makes {candidates} candidates of {dimension} numbers a generation; at most {SEARCH_NUMBERS_MAX} numbers are \
                 allowed, which is {most} candidates"
            );
            return Err(SpecError::field("strategy.population_size", problem));
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for StrategySpec {
    /// Reads all settings before it looks at their kind, which may stand behind them. Serde's own way to do so forgets which
    /// field an error is of.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut settings = toml::Table::deserialize(deserializer)?;
        match settings.remove("kind") {
            Some(toml::Value::String(kind)) => Self::read(&kind, settings),
            Some(other) => Err(D::Error::custom(format!("strategy.kind: must be a name, not {other}"))),
            None => Err(D::Error::missing_field("kind")),
        }
    }
}

fn read_settings<T: DeserializeOwned, E: serde::de::Error>(
    kind: &str,
    settings: toml::Table,
) -> Result<T, E> {
    serde_path_to_error::deserialize(settings).map_err(|error| {
        let (path, problem) = (error.path().to_string(), error.inner().message());
        let unknown = problem.strip_prefix("unknown field `").and_then(|rest| rest.split_once("`, "));
        E::custom(match unknown {
            Some((field, expected)) => format!("strategy.{field}: is no setting of {kind}, {expected}"),
            None if path == "." => problem.to_owned(),
            None => format!("strategy.{path}: {problem}"),
        })
    })
}

/// What is said of an asynchronous search wherever it is shown.
pub const ORDER_COUNTS: &str =
    "asynchronous: the result depends on the order in which evaluations arrive, which the journal keeps";

/// The step size of a spec that names none.
const DEFAULT_STEP_SIZE: f64 = 0.5;

fn default_step_size() -> f64 {
    DEFAULT_STEP_SIZE
}

/// Candidates of a pair.
const PAIR: u32 = 2;

/// Step sizes, and learning rates of a mean.
const STEP_SIZE: Range<f64> = Range::new(STEP_SIZE_MIN, STEP_SIZE_MAX);

/// Numbers that a search starts from.
const START_NUMBER: Range<f64> = Range::new(-START_NUMBER_MAX, START_NUMBER_MAX);

/// A population of at least `smallest` candidates.
const fn population_size_from(smallest: u32) -> Range<u32> {
    Range::new(smallest, POPULATION_SIZE_MAX)
}

/// Settings of strategies with pairs of candidates and Adam, as they are written: what is left out depends on the kind.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenPairs {
    population_size: u32,
    step_size: Option<f64>,
    learning_rate: Option<f64>,
}

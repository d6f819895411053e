//! The run spec: all that determines a run's result, as data.
//!
//! What must not change the result (leases, ports, paths, thread counts, a run's weight in the fair share) is never in
//! it. The types of this module are its only schema: people write it as TOML, programs as JSON, and it is journalled and
//! announced as the JSON that [`ResolvedSpec`] keeps, with all defaults written out.
//!
//! A field that comes later is left out at its default (`#[serde(skip_serializing_if = "is_default")]`), and its default
//! is what the program did before. So the digest of an old spec stays what it was, and an old worker takes new runs that do
//! not use the field; one that does use it is refused by the old worker, because unknown fields are errors.

pub mod data_set;
pub mod evaluation;
pub mod external;
mod idle;
pub mod network;
mod problem;
pub mod range;
pub mod rule;
mod schema;
pub mod start;
pub mod stop;
pub mod strategy;
pub mod task;
pub mod text;
pub mod validation;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::genome::{Genome, GenomeLayout};
use crate::limits::{
    EPISODES_PER_GENERATION_MAX, FIELD_SHOWN_MAX, PROBLEM_SHOWN_MAX, RUN_NAME_MAX, TASKS_PER_GENERATION_MAX,
    UPDATES_MAX,
};
use crate::seed::Seed;
use data_set::DataSetSpec;
use evaluation::{EvaluationSpec, Objective};
pub use external::External;
use external::WrittenProblem;
use network::NetworkSpec;
pub use problem::{Problem, RuleLearning};
use rule::RuleSpec;
pub use schema::schema;
use start::StartSpec;
use stop::StopSpec;
use strategy::StrategySpec;
use task::TaskSpec;
pub use text::ResolvedSpec;
use validation::{Selection, ValidationSpec};

/// The version of the spec's meaning that this program writes and reads.
pub const SPEC_VERSION: u32 = 1;

/// Everything that determines a run's result. Deserializing does not validate; [`RunSpec::read`] does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "WrittenSpec", into = "WrittenSpec")]
pub struct RunSpec {
    /// Version of the spec's meaning: [`SPEC_VERSION`].
    pub version: u32,
    /// A name for people: 1 to 64 of a-z, 0-9, `-`, `_` and `.`, the first a letter or a digit.
    pub name: String,
    /// Root of all randomness.
    pub seed: Seed,
    /// The search.
    pub strategy: StrategySpec,
    /// Where it starts.
    pub start: StartSpec,
    /// What is searched for.
    pub problem: Problem,
    /// How an episode becomes a fitness; the default where the problem is external, which has none.
    pub evaluation: EvaluationSpec,
    /// How the mean is watched; `None` if it is not.
    pub validation: Option<ValidationSpec>,
    /// When the search ends.
    pub stop: StopSpec,
    /// Whether all of a run's workers must agree on the bits of the canonical episodes.
    pub numerics: Numerics,
}

/// Whether workers with other bits may join a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Numerics {
    /// Only workers with the fingerprint of the worker that settled the run's first episode: the result is exact.
    #[default]
    Uniform,
    /// Any worker: the result may depend on who computed what.
    Any,
}

/// All that determines the result of a run of hebbian, as TOML or JSON.
#[derive(Clone, Debug, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[schemars(
    title = "Run spec of hebbian",
    extend("oneOf" = [{ "required": ["tasks"] }, { "required": ["problem"] }])
)]
struct WrittenSpec {
    /// Version of the spec's meaning.
    #[serde(default = "current_version")]
    #[schemars(extend("const" = SPEC_VERSION))]
    version: u32,
    /// A name for people, of a-z, 0-9, `-`, `_` and `.`, the first a letter or a digit.
    #[schemars(length(min = 1, max = RUN_NAME_MAX), extend("pattern" = "^[a-z0-9][-a-z0-9_.]*$"))]
    name: String,
    /// Root of all randomness: same spec, same bits.
    #[serde(default = "default_seed")]
    seed: Seed,
    /// Whether all of the run's workers must agree on the bits of the canonical episodes.
    #[serde(default)]
    numerics: Numerics,
    /// Which strategy searches, and its settings.
    strategy: StrategySpec,
    /// Where the search starts.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(!skip_serializing_if)]
    start: StartSpec,
    /// What is searched for where it is no rule. It stands in place of `rule`, `network`, `tasks`, `evaluation` and `validation`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    problem: Option<WrittenProblem>,
    /// The rule that is evolved: its family, and the options that its genome's numbers do not hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rule: Option<RuleSpec>,
    /// The networks that the rule trains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    network: Option<NetworkSpec>,
    /// The tasks that it trains them on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tasks: Option<TaskSpec>,
    /// How an episode becomes a fitness.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    evaluation: Option<EvaluationSpec>,
    /// How the mean is watched. Default: not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    validation: Option<ValidationSpec>,
    /// When the search ends.
    stop: StopSpec,
}

fn current_version() -> u32 {
    SPEC_VERSION
}

fn default_seed() -> Seed {
    Seed::new(RunSpec::DEFAULT_SEED).expect("the default is a seed")
}

/// Why a spec was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpecError {
    /// The line of the field, or of the section that it is missing in, counted from 1; `None` where there is no text, or it is one line.
    pub line: Option<usize>,
    /// The field's path as it is written, for example `tasks.per_generation`; empty where it is the text as a whole.
    pub field: String,
    /// What is wrong and what would be right.
    pub problem: String,
}

impl std::error::Error for SpecError {}

impl std::fmt::Display for SpecError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { line, field, problem } = self;
        if let Some(line) = line {
            write!(f, "line {line}: ")?;
        }
        if !field.is_empty() {
            write!(f, "{field}: ")?;
        }
        f.write_str(problem)
    }
}

fn cut(text: String, characters: usize) -> String {
    match text.char_indices().nth(characters) {
        None => text,
        Some((end, _)) => format!("{}...", &text[..end]),
    }
}

impl SpecError {
    /// An error of one field. What somebody wrote at great length is shown in part.
    pub fn field(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            line: None,
            field: cut(field.into(), FIELD_SHOWN_MAX),
            problem: cut(problem.into(), PROBLEM_SHOWN_MAX),
        }
    }
}

/// Whether a field that came after version 0.1.0 is left out when a spec is written.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl RunSpec {
    /// The seed of a spec that names none.
    pub const DEFAULT_SEED: u64 = 1;

    /// Reads and validates a spec written as TOML or JSON.
    pub fn read(text: &str) -> Result<Self, SpecError> {
        let spec = text::read_spec(text)?;
        spec.validate().and_then(|()| idle::refuse(&spec)).map_err(|error| error.located(text))?;
        Ok(spec)
    }

    /// The spec as TOML, all defaults written out.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a spec is plain data")
    }

    /// Checks every field and every limit. Nothing is allocated by a spec before it has passed.
    pub fn validate(&self) -> Result<(), SpecError> {
        if self.version != SPEC_VERSION {
            let problem = format!("this program reads version {SPEC_VERSION}, not {}", self.version);
            return Err(SpecError::field("version", problem));
        }
        external::check_plain_name("name", &self.name)?;
        self.problem.validate()?;
        self.evaluation.validate()?;
        if let Some(validation) = &self.validation {
            validation.validate()?;
            let longest = self.evaluation.updates_max();
            if u64::from(longest) * u64::from(validation.unroll_factor) > u64::from(UPDATES_MAX) {
                return Err(SpecError::field(
                    "validation.unroll_factor",
                    format!(
                        "times the longest unroll ({longest} updates) must be at most {UPDATES_MAX} updates"
                    ),
                ));
            }
        }
        self.start.validate(&self.problem)?;
        self.strategy.validate(&self.initial_mean().0)?;
        self.strategy.validate_of_run(self.layout().dimension())?;
        self.stop.validate()?;
        if self.validation.as_ref().is_some_and(|validation| validation.select == Selection::BestRestart)
            && !self.strategy.has_restarts()
        {
            return Err(SpecError::field(
                "validation.select",
                "\"best-restart\" chooses among restarts: set strategy.restarts of cma-es to \"ipop\" or \"bipop\"",
            ));
        }
        let episodes = u64::from(self.strategy.candidates_max()) * u64::from(self.tasks_per_generation());
        if episodes > EPISODES_PER_GENERATION_MAX {
            let field = match self.problem {
                Problem::RuleLearning(_) => "tasks.per_generation",
                Problem::External(_) => "problem.evaluations_per_candidate",
            };
            return Err(SpecError::field(
                field,
                format!(
                    "times strategy.population_size makes {episodes} episodes a generation; at most \
                     {EPISODES_PER_GENERATION_MAX} are allowed"
                ),
            ));
        }
        self.problem.validate_in(self)?;
        if self.strategy.wants_gradient() { self.check_gradient() } else { Ok(()) }
    }

    /// What a sound spec asks for and gains nothing by, and what would help, for people.
    pub fn notes(&self) -> Vec<String> {
        let Some(problem) = self.problem.rule_learning() else { return Vec::new() };
        let mut notes = problem.rule.options().notes(&problem.tasks);
        if problem.tasks.smooth.is_some() && self.evaluation.objective == Objective::Accuracy {
            notes.push(
                "a task's key in tasks.smooth changes no class, so accuracy does not ask for it; \"logistic\" and \"squared-error\" do"
                    .to_owned(),
            );
        }
        notes
    }

    /// Refuses a spec whose episodes have no gradient of their fitness by the genome, naming the field.
    pub fn check_gradient(&self) -> Result<(), SpecError> {
        if self.problem.rule_learning().is_some() {
            self.evaluation.check_gradient()?;
        }
        self.problem.check_gradient(self)
    }

    /// Whether a run of this spec can be created: all that it depends on is in it.
    pub fn check_complete(&self) -> Result<(), SpecError> {
        self.start.check_complete()?;
        for (place, data_set) in self.problem.data_sets().iter().enumerate() {
            let field = |name: &str| format!("tasks.data_sets[{place}].{name}");
            if data_set.digest.is_none() {
                let problem = format!(
                    "must be the digest of the content of `{}`, which `hebbian data list` prints",
                    data_set.name
                );
                return Err(SpecError::field(field("digest"), problem));
            }
            if data_set.classes.is_empty() {
                return Err(SpecError::field(field("classes"), "must list the labels that are used"));
            }
        }
        Ok(())
    }

    /// The layout of the run's genomes.
    pub fn layout(&self) -> GenomeLayout {
        self.problem.layout()
    }

    /// The mean that the search starts from. While the spec names a genome file it is that of zeros.
    pub fn initial_mean(&self) -> Genome {
        self.start.mean(&self.problem, self.seed)
    }

    /// Tasks in each block of a generation.
    pub fn tasks_per_generation(&self) -> u32 {
        self.problem.tasks_per_generation()
    }

    /// The data sets that episodes need, validation's included.
    pub fn used_data_sets(&self) -> impl Iterator<Item = &DataSetSpec> {
        let validated = self.validation.iter().flat_map(|validation| &validation.families);
        let used: Vec<_> =
            self.problem.families().iter().chain(validated).filter_map(|family| family.data_set()).collect();
        self.problem.data_sets().iter().filter(move |data_set| used.contains(&data_set.name))
    }

    /// Updates of an episode of a generation; 0 where the problem is external.
    pub fn updates(&self, generation: u32) -> u32 {
        self.problem.rule_learning().map_or(0, |_| self.evaluation.updates(generation))
    }

    /// What measures a genome, for people: the name of what is measured on networks, or of the user's objective.
    pub fn objective_name(&self) -> &str {
        match &self.problem {
            Problem::RuleLearning(_) => self.evaluation.objective.name(),
            Problem::External(problem) => &problem.name,
        }
    }

    /// From a target of the spec to a fitness: a target of an external problem is a value of its objective.
    pub fn orient_target(&self, target: f64) -> f64 {
        self.problem.external().map_or(target, |problem| problem.direction.orient(target))
    }

    /// Tasks on which the mean and the best sample are measured again when the search has ended.
    pub fn remeasured_tasks(&self) -> u32 {
        // Seeds that are always the same have told all that they can.
        if let Some(problem) = self.problem.external().filter(|problem| !problem.seeds.is_empty()) {
            return problem.evaluations();
        }
        self.tasks_per_generation().saturating_mul(REMEASURED_BLOCKS).min(TASKS_PER_GENERATION_MAX)
    }

    /// The digest of the spec's text, see [`ResolvedSpec`]: equal specs, equal results.
    pub fn digest(&self) -> Digest {
        ResolvedSpec::from(self.clone()).digest()
    }
}

/// How many generations' worth of fresh tasks the mean and the best sample are measured on when the search has ended: enough
/// to halve the error of a generation's fitness, too few to cost more than a handful of candidates.
const REMEASURED_BLOCKS: u32 = 4;

impl TryFrom<WrittenSpec> for RunSpec {
    type Error = String;

    fn try_from(written: WrittenSpec) -> Result<Self, String> {
        let WrittenSpec {
            version,
            name,
            seed,
            numerics,
            strategy,
            start,
            problem,
            rule,
            network,
            tasks,
            evaluation,
            validation,
            stop,
        } = written;
        let of_rules = [
            ("rule", rule.is_some()),
            ("network", network.is_some()),
            ("tasks", tasks.is_some()),
            ("evaluation", evaluation.is_some()),
            ("validation", validation.is_some()),
        ];
        let problem = match (problem, of_rules.iter().find(|(_, written)| *written), tasks) {
            (Some(WrittenProblem::External(problem)), None, _) => Problem::External(problem),
            (Some(_), Some((section, _)), _) => {
                return Err(format!("{section}: is of rules, and the problem is external; leave it out"));
            }
            (None, _, Some(tasks)) => Problem::RuleLearning(RuleLearning {
                rule: rule.unwrap_or_default(),
                network: network.unwrap_or_default(),
                tasks,
            }),
            (None, ..) => return Err("missing field `tasks`".to_owned()),
        };
        let evaluation = evaluation.unwrap_or_default();
        Ok(Self { version, name, seed, strategy, start, problem, evaluation, validation, stop, numerics })
    }
}

impl From<RunSpec> for WrittenSpec {
    fn from(spec: RunSpec) -> Self {
        let RunSpec { version, name, seed, strategy, start, problem, evaluation, validation, stop, numerics } =
            spec;
        let (problem, rule, network, tasks, evaluation) = match problem {
            Problem::RuleLearning(RuleLearning { rule, network, tasks }) => {
                (None, Some(rule), Some(network), Some(tasks), Some(evaluation))
            }
            Problem::External(problem) => (Some(WrittenProblem::External(problem)), None, None, None, None),
        };
        Self {
            version,
            name,
            seed,
            numerics,
            strategy,
            start,
            problem,
            rule,
            network,
            tasks,
            evaluation,
            validation,
            stop,
        }
    }
}

#[cfg(test)]
mod tests;

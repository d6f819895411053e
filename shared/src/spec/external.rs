//! Problems that are no rules: an objective of the user's own, evaluated by a foreign process.
//!
//! What stands here is all that the search must know: which parameters there are, and what numbers of a genome stand for them
//! (`Transform::{Mirrored, Whole}`). What the objective computes nobody here knows.

mod parameter;
mod tolerance;

use std::collections::BTreeSet;

use schemars::{JsonSchema, Schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::range::Range;
use super::{Numerics, RunSpec, SpecError, is_default};
use crate::episode::{EpisodeKey, Outcome};
use crate::fitness::Fitness;
use crate::genome::{Genome, GenomeLayout};
use crate::limits::{
    EXTERNAL_SCORES_MAX, EXTERNAL_TIME_LIMIT_S_MAX, EXTERNAL_TIME_LIMIT_S_MIN, GENOME_VALUES_MAX,
    PARAMETER_NAME_MAX, PARAMETERS_MAX, RUN_NAME_MAX, TASKS_PER_GENERATION_MAX,
};
use crate::seed::Seed;
use parameter::check_name;
pub use parameter::{FixedValue, Parameter, ParameterKind, ParameterValue, Scale};
pub use tolerance::Tolerance;

/// What is written as the section `problem`: something else than a rule.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(super) enum WrittenProblem {
    /// An objective of the user's own, evaluated by a foreign process.
    External(External),
}

impl<'de> Deserialize<'de> for WrittenProblem {
    /// Reads all fields before it looks at their kind; serde's own way to do so forgets which field an error is of.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut fields = toml::Table::deserialize(deserializer)?;
        match fields.remove("kind") {
            Some(toml::Value::String(kind)) if kind == "external" => {}
            Some(other) => {
                return Err(D::Error::custom(format!(
                    "problem.kind: must be \"external\", not {other}; without the section `problem` a rule is evolved"
                )));
            }
            None => return Err(D::Error::missing_field("kind")),
        }
        let read = serde_path_to_error::deserialize(fields).map_err(|error| {
            let (path, problem) = (error.path().to_string(), error.inner().message());
            // Whoever reads the spec knows where the section stands.
            D::Error::custom(match path.as_str() {
                "." => problem.to_owned(),
                path => format!("problem.{path}: {problem}"),
            })
        });
        read.map(Self::External)
    }
}

/// An objective of the user's own, evaluated by a foreign process: `hebbian worker --exec`, or a worker in any language.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct External {
    /// The objective's name, of a-z, 0-9, `-`, `_` and `.`, the first a letter or a digit: only workers that serve it get
    /// its evaluations.
    #[schemars(length(min = 1, max = RUN_NAME_MAX), extend("pattern" = "^[a-z0-9][-a-z0-9_.]*$"))]
    pub name: String,
    /// Whether a large value of the objective is good or a small one.
    pub direction: Direction,
    /// How often each candidate is evaluated, each time with another seed: its fitness is the mean. Absent: 1, or the number of
    /// `seeds`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = EVALUATIONS.schema())]
    pub evaluations_per_candidate: Option<u32>,
    /// Seeds of the evaluations, the same in all generations. Empty: fresh ones in each generation, the same for all of its
    /// candidates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = TASKS_PER_GENERATION_MAX), transform = SEED.of_items())]
    pub seeds: Vec<u32>,
    /// Seconds that an evaluation may take; one that takes longer is ended and tried elsewhere.
    #[serde(default = "default_time_limit_s")]
    #[schemars(transform = TIME_LIMIT_S.schema())]
    pub time_limit_s: f64,
    /// Names of figures that each evaluation gives beside its value, for people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = EXTERNAL_SCORES_MAX), transform = score_names)]
    pub scores: Vec<String>,
    /// How far apart two honest answers may be: with `cluster.recheck` some evaluations are made twice, and whoever says otherwise than
    /// two others is excluded. Absent: answers are not compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recheck: Option<Tolerance>,
    /// Whether an evaluation that is made again may give anything else, with the same seed, too. Answers are not compared then, and that
    /// two of them differ is no news.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(!skip_serializing_if)]
    pub noisy: bool,
    /// What the objective depends on, in the order of a genome's numbers.
    #[schemars(length(min = 1, max = PARAMETERS_MAX))]
    pub parameters: Vec<Parameter>,
}

/// Whether a large value is good or a small one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// Large values are good: the fitness is the value.
    Maximise,
    /// Small values are good: the fitness is minus the value.
    Minimise,
}

impl Direction {
    /// The name as it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Maximise => "maximise",
            Self::Minimise => "minimise",
        }
    }

    /// From a value of the objective to a fitness, and back.
    pub fn orient(self, value: f64) -> f64 {
        match self {
            Self::Maximise => value,
            // Zero has no sign.
            Self::Minimise => 0.0 - value,
        }
    }
}

/// The schema of a list of names.
fn score_names(schema: &mut Schema) {
    schema.insert("uniqueItems".to_owned(), true.into());
    schema.insert(
        "items".to_owned(),
        serde_json::json!({ "type": "string", "maxLength": PARAMETER_NAME_MAX, "pattern": "^[A-Za-z_][A-Za-z0-9_]*$" }),
    );
}

fn default_time_limit_s() -> f64 {
    3600.0
}

const EVALUATIONS: Range<u32> = Range::new(1, TASKS_PER_GENERATION_MAX);
/// Seeds of evaluations: what every generator takes.
const SEED: Range<u32> = Range::new(0, (1 << SEED_BITS) - 1);
const SEED_BITS: u32 = 31;
const TIME_LIMIT_S: Range<f64> = Range::new(EXTERNAL_TIME_LIMIT_S_MIN, EXTERNAL_TIME_LIMIT_S_MAX);
/// Whether a text can be the name of a run or of an objective: it becomes a part of paths and of command lines, where `..` or `--json`
/// would mean something else.
pub fn is_plain_name(name: &str) -> bool {
    let first = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let of_name = |c: char| first(c) || "-_.".contains(c);
    name.starts_with(first) && name.len() <= RUN_NAME_MAX && name.chars().all(of_name)
}

/// Refuses a name that is not plain, naming the field.
pub(super) fn check_plain_name(field: &str, name: &str) -> Result<(), SpecError> {
    if is_plain_name(name) {
        return Ok(());
    }
    let problem = format!(
        "must be 1 to {RUN_NAME_MAX} characters of a-z, 0-9, `-`, `_` and `.`, the first a letter or a digit"
    );
    Err(SpecError::field(field, problem))
}

impl External {
    /// Checks every field and every limit, naming the field.
    pub fn validate(&self) -> Result<(), SpecError> {
        check_plain_name("problem.name", &self.name)?;
        TIME_LIMIT_S.check("problem.time_limit_s", self.time_limit_s)?;
        if let Some(evaluations) = self.evaluations_per_candidate {
            EVALUATIONS.check("problem.evaluations_per_candidate", evaluations)?;
        }
        if self.seeds.len() > TASKS_PER_GENERATION_MAX as usize {
            let problem =
                format!("must have at most {TASKS_PER_GENERATION_MAX} seeds, not {}", self.seeds.len());
            return Err(SpecError::field("problem.seeds", problem));
        }
        for (place, &seed) in self.seeds.iter().enumerate() {
            SEED.check(&format!("problem.seeds[{place}]"), seed)?;
        }
        if let Some(evaluations) = self.evaluations_per_candidate.map(|evaluations| evaluations as usize)
            && !self.seeds.is_empty()
            && evaluations != self.seeds.len()
        {
            let problem = format!(
                "must be the number of seeds ({}), not {evaluations}; leave it out",
                self.seeds.len()
            );
            return Err(SpecError::field("problem.evaluations_per_candidate", problem));
        }
        if self.scores.len() > EXTERNAL_SCORES_MAX {
            let problem = format!("must name at most {EXTERNAL_SCORES_MAX}, not {}", self.scores.len());
            return Err(SpecError::field("problem.scores", problem));
        }
        for (place, score) in self.scores.iter().enumerate() {
            let field = format!("problem.scores[{place}]");
            check_name(&field, score)?;
            if self.scores[..place].contains(score) {
                return Err(SpecError::field(field, format!("names `{score}` twice")));
            }
        }
        if let Some(tolerance) = &self.recheck {
            tolerance.validate("problem.recheck")?;
            if self.noisy {
                let problem = "compares answers, and those of a noisy objective cannot be compared; leave one of both out";
                return Err(SpecError::field("problem.recheck", problem));
            }
        }
        if self.parameters.len() > PARAMETERS_MAX {
            let problem = format!("must have at most {PARAMETERS_MAX}, not {}", self.parameters.len());
            return Err(SpecError::field("problem.parameters", problem));
        }
        let mut names = BTreeSet::new();
        for (place, parameter) in self.parameters.iter().enumerate() {
            let field = format!("problem.parameters[{place}]");
            parameter.validate(&field)?;
            if !names.insert(&parameter.name) {
                let problem = format!("names `{}` twice", parameter.name);
                return Err(SpecError::field(format!("{field}.name"), problem));
            }
        }
        match self.parameters.iter().map(Parameter::numbers).sum() {
            0 => Err(SpecError::field("problem.parameters", "must have one that is not fixed")),
            1..=GENOME_VALUES_MAX => Ok(()),
            numbers => {
                let problem = format!("must be at most {GENOME_VALUES_MAX} numbers, not {numbers}");
                Err(SpecError::field("problem.parameters", problem))
            }
        }
    }

    /// Refuses what a spec says that has no effect here, naming the field.
    pub(super) fn validate_in(spec: &RunSpec) -> Result<(), SpecError> {
        let refused = |field: &str, problem: &str| Err(SpecError::field(field, problem));
        if spec.numerics != Numerics::default() {
            return refused(
                "numerics",
                "is of rules: nobody knows the bits of an external objective; leave it out",
            );
        }
        Ok(())
    }

    /// How often each candidate is evaluated.
    pub fn evaluations(&self) -> u32 {
        match self.seeds.len() {
            0 => self.evaluations_per_candidate.unwrap_or(1),
            seeds => seeds as u32,
        }
    }

    /// The layout of genomes: a segment for each parameter that is not fixed.
    pub fn layout(&self) -> GenomeLayout {
        let mut layout = GenomeLayout::default();
        for parameter in &self.parameters {
            let Some(transform) = parameter.transform() else { continue };
            let shape: Vec<u32> = parameter.length.into_iter().collect();
            layout.push(&parameter.name, &shape, transform);
        }
        layout
    }

    /// The values of all numbers of a genome, in the order of the parameters that are not fixed.
    pub fn numbers(&self, genome: &Genome) -> Vec<f64> {
        let mut values = Vec::with_capacity(genome.0.len());
        let mut rest = genome.0.as_slice();
        for parameter in &self.parameters {
            let Some(transform) = parameter.transform() else { continue };
            let (of, others) = rest.split_at(parameter.numbers().min(rest.len()));
            values.extend(of.iter().map(|&x| transform.apply(x)));
            rest = others;
        }
        values
    }

    /// All parameters with their values, in order.
    pub fn values(&self, genome: &Genome) -> Vec<(&str, ParameterValue)> {
        let numbers = self.numbers(genome);
        let mut rest = numbers.as_slice();
        let value = |parameter: &Parameter| {
            let (of, others) = rest.split_at(parameter.numbers().min(rest.len()));
            rest = others;
            let one = of.first().copied().unwrap_or_default();
            match (parameter.kind, parameter.length, &parameter.value) {
                (ParameterKind::Real, None, _) => ParameterValue::Number(one),
                (ParameterKind::Real, Some(_), _) => ParameterValue::Numbers(of.to_vec()),
                (ParameterKind::Integer, None, _) => ParameterValue::Whole(one as i64),
                (ParameterKind::Integer, Some(_), _) => {
                    ParameterValue::Wholes(of.iter().map(|&number| number as i64).collect())
                }
                (ParameterKind::Fixed, _, value) => {
                    ParameterValue::Fixed(value.clone().unwrap_or(FixedValue::Flag(false)))
                }
            }
        };
        let values: Vec<ParameterValue> = self.parameters.iter().map(value).collect();
        self.parameters.iter().map(|parameter| parameter.name.as_str()).zip(values).collect()
    }

    /// The seed of an evaluation, below 2^31. All candidates of a block meet the same.
    pub fn seed(&self, key: &EpisodeKey, run_seed: Seed) -> u32 {
        match self.seeds.len() {
            0 => (key.task_seed(run_seed).get() >> (63 - SEED_BITS)) as u32,
            seeds => self.seeds[key.task.as_usize() % seeds],
        }
    }

    /// Makes a fitness of a value: an objective gives its value, and only the coordinator looks at the direction.
    pub fn orient(&self, outcome: &mut Outcome) {
        if let Outcome::Evaluated(found) = outcome {
            let fitness = Fitness::new(self.direction.orient(found.fitness.get()));
            found.fitness = fitness.unwrap_or(found.fitness);
        }
    }
}

#[cfg(test)]
mod tests;

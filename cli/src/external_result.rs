//! What a run with an external objective has found: `parameters.json`, and what `hebbian result` and the report say of it.

use hebbian_proto::v1;
use hebbian_shared::digest::Digest;
use hebbian_shared::genome::Genome;
use hebbian_shared::seed::Seed;
use hebbian_shared::spec::external::{Direction, FixedValue};
use hebbian_shared::spec::range::SpecNumber as _;
use hebbian_shared::spec::{External, ResolvedSpec};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::failure::Failure;
use crate::render::text;

/// What the key `format` must say.
const FORMAT: &str = "hebbian-parameters-1";

/// See the module.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ExternalResult {
    format: String,
    /// The program that wrote it.
    version: String,
    /// Name of the run's spec.
    spec: String,
    /// Digest of the run's spec.
    spec_digest: Digest,
    /// The run's seed.
    seed: Seed,
    /// The objective's name.
    pub(crate) problem: String,
    /// Whether large or small values are good.
    pub(crate) direction: Direction,
    /// Closed generations.
    generations: u32,
    /// Which of the two was better when they were measured again, the mean or the best sample.
    pub(crate) chosen: Chosen,
    /// Its parameters by name.
    pub(crate) parameters: Map<String, Value>,
    /// Its value; absent if it has none.
    pub(crate) value: Option<f64>,
    /// The mean of the search distribution.
    pub(crate) mean: Found,
    /// The best sample; absent if there is none.
    pub(crate) best: Option<Found>,
}

/// One of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Chosen {
    /// The mean of the search distribution.
    Mean,
    /// The best sample.
    Best,
}

/// A genome and what it is worth.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Found {
    /// The parameters by name.
    pub(crate) parameters: Map<String, Value>,
    /// The numbers of the search.
    genome: Genome,
    /// The value on which the search chose it; absent of the mean, which the search does not measure.
    told: Option<f64>,
    /// The mean value when the search had ended and it was measured again; absent before, or where every evaluation failed.
    pub(crate) value: Option<f64>,
    /// Its standard error.
    standard_error: Option<f64>,
    /// Evaluations that failed.
    failed: u32,
    /// Evaluations that were infeasible.
    infeasible: u32,
    /// Means of the scores by name.
    scores: Map<String, Value>,
}

impl Found {
    fn of(
        problem: &External,
        genome: Genome,
        fitness: Option<f64>,
        (measured, tasks): (Option<&v1::remeasurement::Measured>, u32),
    ) -> Self {
        let value = |value| serde_json::to_value(value).expect("plain data");
        let parameters = problem.values(&genome).into_iter().map(|(name, of)| (name.to_owned(), value(of)));
        let parameters = parameters.collect();
        let counts = measured.map_or((0, 0), |measured| (measured.diverged, measured.infeasible));
        // An estimate of nothing is no value.
        let evaluated = measured.filter(|_| counts.0 + counts.1 < tasks);
        let estimate = evaluated.and_then(|measured| measured.fitness);
        let scores = evaluated.map_or(&[][..], |measured| &measured.scores);
        let scores = problem.scores.iter().zip(scores).map(|(name, of)| (name.clone(), of.mean.into()));
        Self {
            parameters,
            genome,
            told: fitness.map(|fitness| problem.direction.orient(fitness)),
            value: estimate.map(|of| problem.direction.orient(of.mean)),
            standard_error: estimate.map(|of| of.standard_error),
            failed: counts.0,
            infeasible: counts.1,
            scores: scores.collect(),
        }
    }

    /// What it is worth for all that is known; what was measured again counts more, and one failure puts it behind all that have none, as
    /// in the search.
    fn worth(&self, direction: Direction) -> Option<(bool, bool, f64)> {
        let value = self.value.or(self.told)?;
        // Where every evaluation of all failed, the told value is all there is.
        Some((self.value.is_some(), self.failed + self.infeasible == 0, direction.orient(value)))
    }
}

impl ExternalResult {
    /// What a run has found; `None` where it evolves a rule.
    pub(crate) fn of_result(result: &v1::RunResult) -> Result<Option<Self>, Failure> {
        let (spec, mean) = result.read().map_err(Failure::failed)?;
        let Some(problem) = spec.problem.external() else { return Ok(None) };
        Ok(Some(Self::new(&spec, problem, mean, result)))
    }

    fn new(spec: &ResolvedSpec, problem: &External, mean: Genome, result: &v1::RunResult) -> Self {
        let figures = result.remeasurement.as_ref();
        let tasks = figures.map_or(0, |figures| figures.tasks);
        let of_mean = figures.and_then(|figures| figures.mean.as_ref());
        let of_best = figures.and_then(|figures| figures.best.as_ref());
        let mean = Found::of(problem, mean, None, (of_mean, tasks));
        let best = result.best.as_ref().map(|best| {
            Found::of(problem, Genome(best.genome.clone()), Some(best.fitness), (of_best, tasks))
        });
        let direction = problem.direction;
        let better = best.as_ref().filter(|best| {
            let (its, other) = (best.worth(direction), mean.worth(direction));
            its.is_some_and(|its| other.is_none_or(|other| its > other))
        });
        let (chosen, of) = better.map_or((Chosen::Mean, &mean), |best| (Chosen::Best, best));
        Self {
            format: FORMAT.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            spec: spec.name.clone(),
            spec_digest: spec.digest(),
            seed: spec.seed,
            problem: problem.name.clone(),
            direction,
            generations: result.generations,
            chosen,
            parameters: of.parameters.clone(),
            value: of.value.or(of.told),
            mean,
            best,
        }
    }

    /// The chosen parameters in one line.
    pub(crate) fn line(&self) -> String {
        let shown = |(name, value): (&String, &Value)| match value {
            Value::Array(numbers) => format!("{name} of {}", text::plural(numbers.len() as u64, "number")),
            value => format!("{name} = {value}"),
        };
        self.parameters.iter().map(shown).collect::<Vec<_>>().join(", ")
    }
}

/// What is searched for, in a line.
pub(crate) fn describe(problem: &External) -> String {
    let numbers = text::plural(problem.layout().dimension() as u64, "number");
    let fixed: Vec<String> = problem
        .parameters
        .iter()
        .filter_map(|parameter| {
            let value = match parameter.value.as_ref()? {
                FixedValue::Text(text) => format!("{text:?}"),
                FixedValue::Flag(flag) => flag.to_string(),
                FixedValue::Whole(number) => number.to_string(),
                FixedValue::Number(number) => number.shown(),
            };
            Some(format!("{} = {value}", parameter.name))
        })
        .collect();
    let fixed = if fixed.is_empty() { String::new() } else { format!("; fixed: {}", fixed.join(", ")) };
    format!("{} `{}`, {numbers}{fixed}", problem.direction.name(), problem.name)
}

#[cfg(test)]
mod tests {
    use hebbian_shared::spec::RunSpec;

    use super::*;

    const SPEC: &str = "name = \"mine\"\nstrategy = { kind = \"cma-es\", population_size = 8 }\nstop = { generations = 1 }\n\
                        [problem]\nkind = \"external\"\nname = \"cart\"\ndirection = \"minimise\"\nscores = [\"steps\"]\n\
                        [[problem.parameters]]\nname = \"x\"\nkind = \"real\"\ninitial = 0\ndeviation = 1\n\
                        [[problem.parameters]]\nname = \"kind\"\nkind = \"fixed\"\nvalue = \"fast\"\n";

    fn result(mean: Option<(f64, u32)>, best: Option<(f64, u32)>) -> ExternalResult {
        let spec = ResolvedSpec::from(RunSpec::read(SPEC).unwrap());
        let measured = |(fitness, diverged): (f64, u32)| v1::remeasurement::Measured {
            fitness: Some(v1::Estimate { mean: fitness, standard_error: 0.5 }),
            diverged,
            infeasible: 0,
            scores: vec![v1::Estimate { mean: 7.0, standard_error: 0.0 }],
        };
        let remeasurement = (mean.is_some() || best.is_some()).then(|| v1::Remeasurement {
            tasks: 4,
            mean: mean.map(measured),
            best: best.map(measured),
            ..Default::default()
        });
        let result = v1::RunResult {
            spec: spec.json().to_owned(),
            mean: vec![1.0],
            best: Some(v1::run_result::Sample { genome: vec![2.0], fitness: -3.0 }),
            layout: Some((&spec.layout()).into()),
            remeasurement,
            ..Default::default()
        };
        ExternalResult::of_result(&result).unwrap().unwrap()
    }

    #[test]
    fn the_better_of_mean_and_best_sample_is_the_result() {
        let check = |mean, best, chosen, value| {
            let found = result(mean, best);
            assert_eq!((found.chosen, found.value), (chosen, value));
        };
        check(Some((-1.0, 0)), Some((-2.0, 0)), Chosen::Mean, Some(1.0));
        check(Some((-2.0, 0)), Some((-1.0, 0)), Chosen::Best, Some(1.0));
        check(Some((-2.0, 0)), Some((-1.0, 1)), Chosen::Mean, Some(2.0));
        check(Some((-2.0, 1)), Some((-1.0, 2)), Chosen::Best, Some(1.0));
        check(Some((0.0, 4)), Some((-9.0, 0)), Chosen::Best, Some(9.0));
        check(None, None, Chosen::Best, Some(3.0));
    }

    #[test]
    fn parameters_have_their_names_and_values_their_sign() {
        let found = result(Some((-1.0, 1)), None);
        assert_eq!(found.line(), "kind = \"fast\", x = 1.0");
        assert_eq!((found.mean.failed, found.mean.scores["steps"].as_f64()), (1, Some(7.0)));
        assert_eq!(found.best.as_ref().unwrap().told, Some(3.0));
        let text = serde_json::to_string(&found).unwrap();
        assert_eq!(serde_json::from_str::<ExternalResult>(&text).unwrap(), found);
        let spec = RunSpec::read(SPEC).unwrap();
        let line = describe(spec.problem.external().unwrap());
        assert_eq!(line, "minimise `cart`, 1 number; fixed: kind = \"fast\"");
    }
}

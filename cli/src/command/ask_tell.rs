//! `hebbian ask-tell`

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, BufRead, Read as _};
use std::path::PathBuf;

use clap::Args;
use clap::builder::PossibleValuesParser;
use hebbian_search::StopReason;
use hebbian_search::ask_tell::{self, AskTell, Settings};
use hebbian_shared::genome::Genome;
use hebbian_shared::limits::ASK_TELL_NUMBERS_MAX;
use hebbian_shared::seed::Seed;
use hebbian_shared::spec::SpecError;
use hebbian_shared::spec::stop::StopSpec;
use hebbian_shared::spec::strategy::StrategySpec;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::fork::parse_setting;
use super::{LogArguments, parse_seed};
use crate::failure::Failure;
use crate::{render, search_file};

/// Matrices of CMA-ES with full covariance at its peak: its own, and those of the eigendecomposition.
const COVARIANCE_MATRICES: usize = 8;

/// Maximise any function, evaluated by you, in any language: candidates out, fitnesses in, one line of JSON each.
///
/// Out, one line a generation: `{"generation": 0, "candidates": [[0.5, -1.25], ..]}`.
/// In, one line in answer: `{"fitness": [1.0, null, ..]}`, one per candidate in the same order; higher is better, null is
/// a failed evaluation, `{"infeasible": 0.5}` a candidate that is not allowed, and by how much. Or `{"partial": {"3": 1.0, "0": null}}`: the fitnesses of some candidates by their places, counted from 0; what
/// is still open is written, and with the last one the generation closes. Or `{"inject": [[..], ..]}`, which puts points of yours among the last candidates (cma-es); the generation is
/// written again. Out, at the end: `{"stop": "tolx", "detail": "..", "mean": [..], "best": [..], "best_fitness": ..}`.
/// The end of the input ends the search, too.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hebbian ask-tell --strategy cma-es --dimension 10 --sigma 0.5
  hebbian ask-tell --strategy cma-es --mean '[1, 2.5]' --sigma 0.5 --max-evaluations 1000 --target -1e-8
  hebbian ask-tell --strategy cma-es --dimension 10 --sigma 0.5 --snapshot search.state    goes on where it was

A program in Python that minimises a function: docs/ASK_TELL.md")]
pub(super) struct Arguments {
    /// The search.
    #[arg(long, value_name = "NAME", default_value = "cma-es", value_parser = PossibleValuesParser::new(told()))]
    strategy: String,
    #[command(flatten)]
    start: Start,
    /// Initial step size: the standard deviation of the first samples in each coordinate, a tenth to a third of the
    /// region where the best point is expected.
    #[arg(long, value_name = "S", allow_hyphen_values = true)]
    sigma: f64,
    /// Candidates per generation [default: 4 + 3 ln n, even where candidates come in pairs].
    #[arg(long, value_name = "L", allow_hyphen_values = true)]
    population_size: Option<u32>,
    /// About how far the mean moves in a generation, in each coordinate; of pgpe and openai-es [default: a third, a half of
    /// sigma].
    #[arg(long, value_name = "R", allow_hyphen_values = true)]
    learning_rate: Option<f64>,
    /// What cma-es does about noise in the fitness: `auto` measures it by asking a few candidates again (evaluate them anew)
    /// and acts while there is some, `lra` always does, `none` never [default: auto].
    #[arg(long, value_name = "HOW", value_parser = ["auto", "none", "lra"])]
    noise: Option<String>,
    /// What follows when cma-es has stopped by itself: the end, or a new search with a larger population (ipop), or with a
    /// larger and a small one in turn (bipop) [default: none].
    #[arg(long, value_name = "HOW", value_parser = ["none", "ipop", "bipop"])]
    restarts: Option<String>,
    /// Sets another setting of the strategy, written as in a run spec's section `[strategy]`; may be given several times. Of cma-es
    /// for example `fixed=[0]`, `integers=[2]`, `scales=[1, 100]`, `lower_bounds=[0, -5]`, `initial_covariance=[..]`, `active=false`.
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_setting)]
    set: Vec<(String, String)>,
    /// Root of all randomness: the same flags, seed and fitnesses give the same candidates, bit for bit.
    #[arg(long, value_name = "S", default_value = "1", value_parser = parse_seed, allow_hyphen_values = true)]
    seed: Seed,
    /// End after this many evaluations; the generation that reaches it is finished.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), allow_hyphen_values = true)]
    max_evaluations: Option<u64>,
    /// End when a candidate has this fitness.
    #[arg(long, value_name = "F", value_parser = parse_target, allow_hyphen_values = true)]
    target: Option<f64>,
    /// Do not end by the strategy's own criteria: only by limits and target.
    #[arg(long)]
    no_stop: bool,
    /// Where to keep the search: read if it is there, replaced as a whole after every generation.
    #[arg(long, value_name = "FILE")]
    snapshot: Option<PathBuf>,
}

/// Where the search starts.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Start {
    /// The initial mean, a JSON list of numbers.
    #[arg(long, value_name = "JSON-ARRAY", value_parser = parse_mean, allow_hyphen_values = true)]
    mean: Option<Mean>,
    /// The number of coordinates (n); the initial mean is zero.
    #[arg(long, value_name = "N", value_parser = parse_dimension, allow_hyphen_values = true)]
    dimension: Option<usize>,
}

/// A list as one argument.
#[derive(Clone, Debug)]
struct Mean(Vec<f64>);

fn parse_mean(text: &str) -> Result<Mean, String> {
    serde_json::from_str(text)
        .map(Mean)
        .map_err(|error| format!("it must be a JSON list of finite numbers, such as [0.5, -1]: {error}"))
}

fn parse_dimension(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(dimension) if (1..=ASK_TELL_NUMBERS_MAX).contains(&dimension) => Ok(dimension),
        _ => Err(format!("a dimension is from 1 to {ASK_TELL_NUMBERS_MAX}")),
    }
}

fn parse_target(text: &str) -> Result<f64, String> {
    let target = text.parse().ok().filter(|target: &f64| target.is_finite());
    target.ok_or_else(|| "a target is a finite number".to_owned())
}

impl Arguments {
    fn limits(&self) -> StopSpec {
        StopSpec {
            evaluations: self.max_evaluations,
            target_fitness: self.target,
            generations: None,
            time_limit_s: None,
        }
    }

    /// What the flags say, checked; an error names the flag.
    fn settings(&self) -> Result<Settings, Failure> {
        let mean = match (&self.start.mean, self.start.dimension) {
            (Some(Mean(mean)), _) => mean.clone(),
            (None, dimension) => vec![0.0; dimension.unwrap_or_default()],
        };
        let default = ask_tell::default_population_size(mean.len(), 0);
        let mut strategy = self.strategy(self.population_size.unwrap_or(default))?;
        if self.population_size.is_none() {
            let integers =
                if let StrategySpec::CmaEs(settings) = &strategy { settings.integers.len() } else { 0 };
            let default = ask_tell::default_population_size(mean.len(), integers);
            let pair = if strategy.comes_in_pairs() { 2 } else { 1 };
            strategy = self.strategy(default.next_multiple_of(pair))?;
        }
        let settings = Settings { strategy, mean, seed: self.seed };
        settings.validate().map_err(|SpecError { field, problem, .. }| {
            let set = field
                .strip_prefix("strategy.")
                .filter(|key| self.set.iter().any(|(set, _)| key.starts_with(set)));
            let flag = set.map_or_else(|| flag(&field).to_owned(), |key| format!("--set {key}"));
            Failure::bad_input(format_args!("{flag}: {problem}"))
        })?;
        if matches!(settings.strategy, StrategySpec::CmaEs(_)) {
            check_memory(settings.mean.len())?;
        }
        Ok(settings)
    }

    /// The strategy of the flags, which are read as the settings of a run spec.
    fn strategy(&self, population_size: u32) -> Result<StrategySpec, Failure> {
        let mut written = toml::Table::new();
        written.insert("kind".to_owned(), self.strategy.clone().into());
        written.insert("population_size".to_owned(), i64::from(population_size).into());
        written.insert("step_size".to_owned(), self.sigma.into());
        for (field, value) in [
            ("learning_rate", self.learning_rate.map(toml::Value::from)),
            ("noise", self.noise.clone().map(toml::Value::from)),
            ("restarts", self.restarts.clone().map(toml::Value::from)),
        ] {
            let Some(value) = value else { continue };
            written.insert(field.to_owned(), value);
            // The flag's parser has looked at the value.
            StrategySpec::deserialize(written.clone()).map_err(|_| {
                let flag = flag(&format!("strategy.{field}"));
                Failure::bad_input(format_args!("{flag}: is no setting of {}", self.strategy))
            })?;
        }
        for (field, text) in &self.set {
            let refuse = |problem: &str| Failure::bad_input(format_args!("--set {field}: {problem}"));
            if ["kind", "population_size", "step_size", "learning_rate", "noise", "restarts", "initial_mean"]
                .contains(&field.as_str())
            {
                return Err(refuse("has a flag of its own"));
            }
            if written.contains_key(field) {
                return Err(refuse("is given twice; write it once"));
            }
            let parsed = toml::from_str::<toml::Table>(&format!("value = {text}"));
            let value = parsed.ok().and_then(|mut table| table.remove("value"));
            written.insert(field.clone(), value.unwrap_or_else(|| toml::Value::String(text.clone())));
            StrategySpec::deserialize(written.clone()).map_err(|error| refuse(&error.to_string()))?;
        }
        StrategySpec::deserialize(written).map_err(Failure::bad_input)
    }

    /// Keeps other searches from the snapshot.
    fn hold(&self) -> Result<Option<search_file::Held>, Failure> {
        // What is wrong with the flags is told first, and leaves nothing behind.
        self.settings()?;
        let Some(path) = &self.snapshot else { return Ok(None) };
        search_file::check(path)?;
        search_file::Held::take(path).map(Some)
    }

    /// The search of the flags, from the snapshot if there is one.
    fn search(&self) -> Result<AskTell, Failure> {
        let settings = self.settings()?;
        let of_settings = |error: SpecError| Failure::bad_input(error);
        let Some(path) = &self.snapshot else { return AskTell::new(settings).map_err(of_settings) };
        let Some(stored) = search_file::read(path)? else {
            let search = AskTell::new(settings).map_err(of_settings)?;
            // Before anything is evaluated: a file that cannot be written must not cost an evaluation.
            search_file::write(path, &search.snapshot())?;
            return Ok(search);
        };
        if let Some(difference) = difference(&stored.settings, &settings) {
            return Err(Failure::bad_input(format_args!("--snapshot: {}: {difference}", path.display()))
                .hint("give the flags that the search was started with, or another file"));
        }
        AskTell::restore(stored)
            .map_err(|error| Failure::bad_input(format_args!("--snapshot: {}: {error}", path.display())))
    }
}

/// Refuses a full covariance for which this process gets no memory, before any of it is used.
fn check_memory(dimension: usize) -> Result<(), Failure> {
    let bytes = COVARIANCE_MATRICES * dimension * dimension * size_of::<f64>();
    // The black box: an allocation that nobody looks at may be left out.
    let mut room = Vec::<u8>::new();
    std::hint::black_box(&mut room).try_reserve_exact(bytes).map_err(|_| {
        Failure::bad_input(format_args!(
            "--strategy: cma-es keeps matrices of {dimension} x {dimension} numbers, for which {:.1} GB of memory are \
             not to be had; use sep-cma-es",
            bytes as f64 * 1e-9
        ))
    })
}

/// The flag that a field of the settings comes from.
fn flag(field: &str) -> &'static str {
    match field {
        "mean" => "--mean",
        "strategy.step_size" => "--sigma",
        "strategy.population_size" => "--population-size",
        "strategy.learning_rate" => "--learning-rate",
        "strategy.noise" => "--noise",
        "strategy.restarts" => "--restarts",
        _ => "--strategy",
    }
}

/// Which flag differs between a stored search and the one that was asked for.
fn difference(stored: &Settings, asked: &Settings) -> Option<String> {
    let differs = |flag: &str, there: &dyn std::fmt::Display, here: &dyn std::fmt::Display| {
        Some(format!("{flag} is {there} there and {here} here"))
    };
    if stored.strategy.name() != asked.strategy.name() {
        return differs("--strategy", &stored.strategy.name(), &asked.strategy.name());
    }
    if stored.mean.len() != asked.mean.len() {
        return differs("the dimension", &stored.mean.len(), &asked.mean.len());
    }
    if stored.mean != asked.mean {
        return Some("--mean is another one there".to_owned());
    }
    if stored.seed != asked.seed {
        return differs("--seed", &stored.seed, &asked.seed);
    }
    let written = |settings: &Settings| serde_json::to_value(&settings.strategy).expect("plain data");
    let (stored, asked) = (written(stored), written(asked));
    // Those first on which the defaults of others depend.
    let fields =
        ["population_size", "step_size"].into_iter().chain(asked.as_object()?.keys().map(String::as_str));
    let (field, there, here) =
        fields.map(|field| (field, &stored[field], &asked[field])).find(|(_, there, here)| there != here)?;
    differs(flag(&format!("strategy.{field}")), there, here)
}

/// One line of input as it is written: one of the three.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    fitness: Option<Vec<ask_tell::Told>>,
    #[serde(default, deserialize_with = "each_once")]
    partial: Option<BTreeMap<u32, ask_tell::Told>>,
    inject: Option<Vec<Genome>>,
}

/// Reads fitnesses by candidate; one that stands there twice is refused, whichever of them was meant.
fn each_once<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<BTreeMap<u32, ask_tell::Told>>, D::Error> {
    struct Candidates;

    impl<'de> Visitor<'de> for Candidates {
        type Value = BTreeMap<u32, ask_tell::Told>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object of candidates and their fitness")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut told = BTreeMap::new();
            while let Some((candidate, fitness)) = map.next_entry()? {
                if told.insert(candidate, fitness).is_some() {
                    return Err(A::Error::custom(format!("partial: candidate {candidate} is told twice")));
                }
            }
            Ok(told)
        }
    }

    deserializer.deserialize_map(Candidates).map(Some)
}

/// What a line of input says.
enum Told {
    /// One per candidate.
    Fitness(Vec<ask_tell::Told>),
    /// Of some candidates, by their places.
    Partial(Vec<(u32, ask_tell::Told)>),
    /// Points that take the place of the last candidates.
    Inject(Vec<Genome>),
}

/// The strategies that are told fitnesses.
fn told() -> Vec<&'static str> {
    let wants_gradient = |name: &str| {
        let settings = toml::Table::from_iter([("kind".to_owned(), name.into())]);
        StrategySpec::deserialize(settings).is_ok_and(|strategy| strategy.wants_gradient())
    };
    StrategySpec::NAMES.iter().copied().filter(|name| !wants_gradient(name)).collect()
}

/// The longest line that is read, in bytes: a number takes 25 at most, and some writers are generous.
fn line_size_max(candidates: usize, dimension: usize) -> u64 {
    4096 + candidates as u64 * (32 * dimension as u64).max(256)
}

/// Reads the next line that is not blank into `line`, all of it unless it is longer than `size_max` bytes; `false` at the
/// end of the input.
fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>, size_max: u64) -> io::Result<bool> {
    loop {
        line.clear();
        input.by_ref().take(size_max + 1).read_until(b'\n', line)?;
        if line.is_empty() {
            return Ok(false);
        }
        if !line.trim_ascii().is_empty() {
            return Ok(true);
        }
    }
}

/// What a line says: fitnesses, one per candidate, or points.
fn parse_line(line: &[u8], candidates: usize, size_max: u64) -> Result<Told, String> {
    if line.len() as u64 > size_max {
        return Err(format!("the line is longer than {size_max} bytes"));
    }
    // Some programs begin what they write with a mark of the order of its bytes.
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    if line.trim_ascii_start().first() == Some(&b'[') {
        return Err(format!("must be {{\"fitness\": [..]}} with {candidates} numbers or null, not a list"));
    }
    let line: Line = serde_json::from_slice(line).map_err(|error| {
        let not_json = ["NaN", "Infinity"]
            .into_iter()
            .find(|word| line.windows(word.len()).any(|w| w == word.as_bytes()));
        match not_json {
            Some(word) => format!("{word} is not JSON; write null for a failed candidate"),
            None => format!("must be {{\"fitness\": [..]}} with {candidates} numbers or null: {error}"),
        }
    })?;
    match (line.fitness, line.partial, line.inject) {
        (Some(fitness), None, None) if fitness.len() == candidates => Ok(Told::Fitness(fitness)),
        (Some(fitness), None, None) => {
            Err(format!("fitness: must hold {candidates} numbers, one per candidate, not {}", fitness.len()))
        }
        (None, Some(some), None) => Ok(Told::Partial(some.into_iter().collect())),
        (None, None, Some(points)) => Ok(Told::Inject(points)),
        _ => Err(format!(
            "must be {{\"fitness\": [..]}} with {candidates} numbers or null, {{\"partial\": {{\"0\": ..}}}} or {{\"inject\": [..]}}"
        )),
    }
}

pub(super) fn execute(arguments: &Arguments, log: &LogArguments) -> Result<(), Failure> {
    log.set_up()?;
    let limits = arguments.limits();
    let held = arguments.hold()?;
    let mut search = arguments.search()?;
    let mut input = io::stdin().lock();
    let mut line = Vec::new();
    let mut next = render::ask_tell::generation(&search);
    loop {
        let own = || if arguments.no_stop { None } else { search.stop_reason() };
        if let Some(reason) = search.limit_reached(&limits).or_else(own) {
            // Whoever reads that it has ended may go on with the file.
            drop(held);
            return render::out(&render::ask_tell::stop(&search, &reason));
        }
        render::out(&next)?;
        let candidates = search.candidates().len();
        let size_max = line_size_max(candidates, search.mean().0.len());
        let read = read_line(&mut input, &mut line, size_max)
            .map_err(|error| Failure::failed(format_args!("standard input cannot be read: {error}")))?;
        if !read {
            let detail = format!("the input ended in generation {}", search.generation());
            let reason = StopReason { criterion: "end-of-input".to_owned(), detail };
            // Whoever reads that it has ended may go on with the file.
            drop(held);
            return render::out(&render::ask_tell::stop(&search, &reason));
        }
        let generation = search.generation();
        let refuse = |problem: String| {
            Failure::bad_input(format_args!("standard input, generation {generation}: {problem}"))
        };
        let told = parse_line(&line, candidates, size_max).map_err(refuse)?;
        let in_parts = matches!(told, Told::Partial(_));
        match told {
            Told::Fitness(fitness) => {
                search.tell(&fitness).map_err(|error| refuse(format!("fitness: {error}")))?;
            }
            Told::Partial(some) => {
                search.tell_some(&some).map_err(|error| refuse(format!("partial: {error}")))?;
            }
            Told::Inject(points) => {
                search.inject(&points).map_err(|error| refuse(format!("inject: {error}")))?;
            }
        }
        if let Some(path) = &arguments.snapshot {
            search_file::write(path, &search.snapshot())?;
        }
        let closed = search.generation() != generation;
        if let Some(restart) = search.restart().filter(|_| closed) {
            render::note(&render::ask_tell::restart(&restart));
        }
        let is_open = in_parts && !closed;
        next = if is_open { render::ask_tell::open(&search) } else { render::ask_tell::generation(&search) };
    }
}

#[cfg(test)]
mod tests;

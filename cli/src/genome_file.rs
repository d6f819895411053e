//! `genome.json`: an evolved rule with all that is needed to use it again.
//!
//! ```json
//! {
//!   "format": "hebbian-genome-1",
//!   "layout": { "segments": [ { "name": "forward_transform", "start": 0, "shape": [4, 4], "transform": {} } ] },
//!   "values": [0.25, -1.5],
//!   "rule": {}, "network": {}, "tasks": {},
//!   "provenance": { "spec": "quickstart", "spec_digest": "...", "seed": 1, "generation": 265, "version": "0.1.0" }
//! }
//! ```
//!
//! `values` are the search values, untransformed, in the order of `layout`; they are written with as many digits as
//! read back to the same bits.

use std::path::Path;

use hebbian_proto::v1;
use hebbian_shared::digest::Digest;
use hebbian_shared::genome::{Genome, GenomeLayout};
use hebbian_shared::limits::GENOME_FILE_BYTES_MAX;
use hebbian_shared::seed::Seed;
use hebbian_shared::spec::network::NetworkSpec;
use hebbian_shared::spec::rule::RuleSpec;
use hebbian_shared::spec::start::StartGenome;
use hebbian_shared::spec::task::TaskSpec;
use hebbian_shared::spec::{ResolvedSpec, RuleLearning, RunSpec, SpecError};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::render::json::Figures;
use crate::shipped::ShippedRule;
use crate::{files, render};

/// What the key `format` must say.
const FORMAT: &str = "hebbian-genome-1";

/// Where a genome comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Provenance {
    /// Name of the run's spec.
    pub(crate) spec: String,
    /// Digest of the run's spec.
    pub(crate) spec_digest: Digest,
    /// The run's seed.
    pub(crate) seed: Seed,
    /// Closed generations.
    pub(crate) generation: u32,
    /// The program that wrote the file.
    pub(crate) version: String,
    /// What the mean and the best sample of the finished run are worth on fresh tasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) remeasurement: Option<Figures<v1::Remeasurement>>,
}

/// A genome file as it is written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GenomeFile {
    format: String,
    layout: GenomeLayout,
    values: Genome,
    rule: RuleSpec,
    network: NetworkSpec,
    tasks: TaskSpec,
    /// Where it comes from.
    pub(crate) provenance: Provenance,
}

impl GenomeFile {
    /// The mean that a run has found.
    pub(crate) fn of_result(result: &v1::RunResult) -> Result<Self, Failure> {
        let (spec, mean) = result.read().map_err(Failure::failed)?;
        let mut file = Self::new(&spec, mean, result.generations)?;
        file.provenance.remeasurement = result.remeasurement.clone().map(Figures);
        Ok(file)
    }

    /// A genome of a spec's layout, after so many generations.
    pub(crate) fn new(spec: &ResolvedSpec, values: Genome, generation: u32) -> Result<Self, Failure> {
        let problem = spec.problem.rule_learning().cloned();
        let RuleLearning { rule, network, tasks } = problem.ok_or_else(|| {
            Failure::failed("a genome file holds a rule; this run has an external objective")
        })?;
        Ok(Self {
            format: FORMAT.to_owned(),
            layout: spec.layout(),
            values,
            rule,
            network,
            tasks,
            provenance: Provenance {
                spec: spec.name.clone(),
                spec_digest: spec.digest(),
                seed: spec.seed,
                generation,
                version: env!("CARGO_PKG_VERSION").to_owned(),
                remeasurement: None,
            },
        })
    }

    /// The genome.
    pub(crate) fn genome(&self) -> &Genome {
        &self.values
    }

    /// Its layout.
    pub(crate) fn layout(&self) -> &GenomeLayout {
        &self.layout
    }

    /// The problem that the genome was evolved for.
    pub(crate) fn problem(&self) -> RuleLearning {
        RuleLearning { rule: self.rule.clone(), network: self.network.clone(), tasks: self.tasks.clone() }
    }

    /// Puts the numbers of the genome that a spec starts from into the spec: those of a rule of the program, or of a file whose name is
    /// one beside the spec, in `directory`.
    pub(crate) fn embed(spec: &mut RunSpec, directory: &Path) -> Result<(), Failure> {
        let StartGenome::File(name) = &spec.start.genome else { return Ok(()) };
        let named = Path::new(name.as_str());
        let path =
            if ShippedRule::of_path(named).is_some() { named.to_owned() } else { directory.join(named) };
        let file = Self::read(&path).map_err(|failure| failure.of("start.genome"))?;
        let (found, expected) = (file.layout.digest(), spec.layout().digest());
        if found != expected {
            return Err(Failure::bad_input(format_args!(
                "start.genome: the layout of {} is {}, but the genome of `rule` has the layout {}",
                path.display(),
                found.short(),
                expected.short()
            ))
            .hint("`hebbian genome show FILE` shows a genome's segments and the options of its rule"));
        }
        spec.start.genome = StartGenome::Values(file.values.0);
        spec.validate().map_err(Failure::bad_input)
    }

    /// The file's text.
    pub(crate) fn to_json(&self) -> String {
        render::json::pretty(self)
    }

    /// Reads and checks a file, or the rule of the program that `rule:NAME` names.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        if let Some(shipped) = ShippedRule::of_path(path) {
            return Ok(shipped?.genome());
        }
        let text = files::read_text(path, GENOME_FILE_BYTES_MAX)?;
        Self::parse(&text).map_err(|problem| {
            Failure::bad_input(format_args!("{}: {problem}", path.display()))
                .hint("`hebbian run` and `hebbian result RUN --out FILE` write genome files")
        })
    }

    /// Reads and checks a file's text.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let json: serde_json::Value = serde_json::from_str(text).map_err(|error| {
            if text.trim().is_empty() {
                "is empty".to_owned()
            } else if error.is_eof() {
                format!("is truncated: the text ends at line {} inside of a value", error.line())
            } else {
                format!("is not JSON: {error}")
            }
        })?;
        match json.get("format").and_then(serde_json::Value::as_str) {
            Some(FORMAT) => {}
            Some(other) => {
                let other: String = other.chars().take(64).collect();
                return Err(format!("format: `{other}` is not `{FORMAT}`, the one that this program reads"));
            }
            None => return Err(format!("is not a genome file: it has no key `format` with `{FORMAT}`")),
        }
        let values = json
            .get("values")
            .and_then(serde_json::Value::as_array)
            .ok_or("values: must be a list of numbers")?;
        // JSON has no NaN; careless writers put null in its place.
        if let Some(place) = values.iter().position(|value| !value.as_f64().is_some_and(f64::is_finite)) {
            return Err(format!("values[{place}]: must be a finite number, not {}", values[place]));
        }
        let file: Self = serde_json::from_value(json).map_err(|error| error.to_string())?;
        file.problem().validate().map_err(|error: SpecError| error.to_string())?;
        let layout = file.problem().layout();
        if file.layout != layout {
            return Err(format!(
                "layout: has digest {}, but `rule` makes the layout {}",
                file.layout.digest().short(),
                layout.digest().short()
            ));
        }
        if file.values.0.len() != layout.dimension() {
            return Err(format!(
                "values: must be {} numbers as `layout` says, not {}",
                layout.dimension(),
                file.values.0.len()
            ));
        }
        Ok(file)
    }
}

#[cfg(test)]
impl GenomeFile {
    /// A genome of the quickstart whose search values are a function of their place.
    pub(crate) fn of_quickstart(value: impl Fn(usize) -> f64) -> Self {
        let spec = hebbian_shared::spec::RunSpec::read(crate::QUICKSTART).unwrap();
        let mean = Genome((0..spec.layout().dimension()).map(value).collect());
        Self::new(&spec.into(), mean, 7).expect("the quickstart evolves a rule")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> GenomeFile {
        GenomeFile::of_quickstart(|place| match place {
            0 => -0.0,
            1 => f64::MIN_POSITIVE,
            2 => 1e300,
            3 => -3.0,
            place => 1.0 / (place as f64 + 3.0),
        })
    }

    fn check(change: impl FnOnce(&mut serde_json::Value), expected: &str) {
        let mut json: serde_json::Value = serde_json::from_str(&file().to_json()).unwrap();
        change(&mut json);
        let error = GenomeFile::parse(&json.to_string()).expect_err(expected);
        assert!(error.contains(expected), "no `{expected}` in: {error}");
    }

    #[test]
    fn values_survive_bit_for_bit() {
        let written = file();
        let read = GenomeFile::parse(&written.to_json()).unwrap();
        assert_eq!(read, written);
        let bits = |file: &GenomeFile| file.genome().0.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&read), bits(&written));
    }

    #[test]
    fn what_is_no_genome_file_is_refused_with_what_is_wrong() {
        check(
            |json| json["format"] = "hebbian-genome-2".into(),
            "`hebbian-genome-2` is not `hebbian-genome-1`",
        );
        check(
            |json| json["values"][3] = serde_json::Value::Null,
            "values[3]: must be a finite number, not null",
        );
        check(|json| json["values"][3] = "x".into(), "values[3]: must be a finite number");
        check(|json| json["values"] = vec![1.0].into(), "values: must be 68 numbers as `layout` says, not 1");
        check(|json| json["layout"]["segments"][0]["start"] = 1.into(), "layout: has digest");
        check(|json| json["rule"]["states"] = 17.into(), "rule.states: must be from 1 to 16, not 17");
        check(|json| json["rule"]["states"] = 2.into(), "layout: has digest");
        check(|json| json["surprise"] = 1.into(), "unknown field `surprise`");
        check(|json| *json = serde_json::json!({ "weights": [1, 2] }), "is not a genome file");
        check(|json| *json = serde_json::json!([1, 2]), "is not a genome file");
        let text = file().to_json();
        assert_eq!(GenomeFile::parse(" \n"), Err("is empty".to_owned()));
        for end in [1, text.len() / 2, text.len() - 3] {
            let error = GenomeFile::parse(&text[..end]).unwrap_err();
            assert!(error.contains("is truncated"), "{end}: {error}");
        }
        assert!(GenomeFile::parse(&text.replace("-3.0", "1e999")).unwrap_err().contains("out of range"));
        assert!(GenomeFile::parse("version = 1").unwrap_err().contains("is not JSON"));
    }

    /// See `tests/tests/fuzz.rs`.
    #[test]
    fn bytes_that_nobody_wrote_are_read_or_refused() {
        let mut file = file();
        // Short enough for most mutations to meet something that is read.
        file.provenance.remeasurement = None;
        let corpus = [file.to_json().into_bytes(), serde_json::to_vec(&file).unwrap()];
        hebbian_tests::fuzz::fuzz("genome file", &corpus, |bytes| {
            let read = GenomeFile::parse(&String::from_utf8_lossy(bytes));
            read.is_ok_and(|file| file.problem().validate().is_ok() && !file.genome().0.is_empty())
        });
    }
}

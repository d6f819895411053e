//! `report.json`: what a finished run cost, how it went, and how the rule compares with baselines.

use std::path::Path;

use hebbian_learning::comparison::Comparison;
use hebbian_proto::figures::duration;
use hebbian_proto::v1;
use hebbian_shared::digest::Digest;
use hebbian_shared::limits::REPORT_FILE_BYTES_MAX;
use hebbian_shared::seed::Seed;
use hebbian_shared::spec::RunSpec;
use serde::{Deserialize, Serialize};

use crate::external_result::ExternalResult;
use crate::failure::Failure;
use crate::render::json::Figures;
use crate::{files, render};

/// What the key `format` must say.
const FORMAT: &str = "hebbian-report-1";

/// The report of a finished run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    format: String,
    /// The program that wrote the report.
    pub(crate) version: String,
    /// Name of the spec.
    pub(crate) spec: String,
    /// Digest of the spec.
    pub(crate) spec_digest: Digest,
    /// The seed.
    pub(crate) seed: Seed,
    /// Why the search ended.
    pub(crate) stop: Figures<v1::StopReason>,
    /// Digest of the mean.
    pub(crate) genome_digest: Digest,
    /// Closed generations.
    pub(crate) generations: u32,
    /// Candidate evaluations.
    pub(crate) evaluations: u64,
    /// Episodes.
    pub(crate) episodes: u64,
    /// Seconds of wall-clock time that the search ran.
    pub(crate) elapsed_s: f64,
    /// Seconds of compute time of all threads.
    pub(crate) compute_s: f64,
    /// Every generation, without its search distribution: the journal has it.
    history: Vec<Figures<v1::GenerationSummary>>,
    /// The mean and the best sample on fresh tasks of the training families.
    pub(crate) remeasurement: Option<Figures<v1::Remeasurement>>,
    /// Every validation; the last is that of the result. Its warnings are those of the run.
    pub(crate) validations: Vec<Figures<v1::ValidationSummary>>,
    /// The rule beside the baselines; absent where the objective is external.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) comparison: Option<Comparison>,
    /// The parameters that were found for an external objective.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) result: Option<ExternalResult>,
}

fn without_distribution(mut of: v1::GenerationSummary) -> v1::GenerationSummary {
    if let Some(search) = &mut of.search {
        search.distribution = None;
    }
    of
}

impl Report {
    /// The report of a run that has ended for `stop`.
    pub(crate) fn new(
        result: &v1::RunResult,
        stop: v1::StopReason,
        generations: Vec<v1::GenerationSummary>,
        validations: Vec<v1::ValidationSummary>,
        comparison: Option<Comparison>,
    ) -> Result<Self, Failure> {
        let (spec, mean) = result.read().map_err(Failure::failed)?;
        let last = generations.last();
        Ok(Self {
            format: FORMAT.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            spec: spec.name.clone(),
            spec_digest: spec.digest(),
            seed: spec.seed,
            stop: Figures(stop),
            genome_digest: mean.digest(),
            generations: result.generations,
            evaluations: last.map_or(0, |last| last.evaluations),
            episodes: last.map_or(0, |last| last.episodes),
            elapsed_s: last.map_or(0.0, |last| duration(last.elapsed).as_secs_f64()),
            compute_s: generations.iter().map(|of| duration(of.compute_time).as_secs_f64()).sum(),
            history: generations.into_iter().map(without_distribution).map(Figures).collect(),
            remeasurement: result.remeasurement.clone().map(Figures),
            validations: validations.into_iter().map(Figures).collect(),
            comparison,
            result: ExternalResult::of_result(result)?,
        })
    }

    /// The file's text.
    pub(crate) fn to_json(&self) -> String {
        render::json::pretty(self)
    }

    /// The report of an earlier, finished run of `spec`, if there is one.
    pub(crate) fn read(path: &Path, spec: &RunSpec) -> Result<Option<Self>, Failure> {
        if !path.exists() {
            return Ok(None);
        }
        let text = files::read_text(path, REPORT_FILE_BYTES_MAX)?;
        let refused = |problem: String| {
            Failure::bad_input(format_args!("{}: {problem}", path.display()))
                .hint("remove the file, and the same command makes it again from the journal")
        };
        let report: Self =
            serde_json::from_str(&text).map_err(|error| refused(format!("is not a report: {error}")))?;
        if report.format != FORMAT {
            return Err(refused(format!("format: `{}` is not `{FORMAT}`", report.format)));
        }
        if report.spec_digest != spec.digest() {
            return Err(refused(format!("spec_digest: is of another spec (`{}`)", report.spec)));
        }
        Ok(Some(report))
    }
}

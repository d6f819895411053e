//! `report.json`: what a finished run cost, how it went, and how the rule compares with baselines.

use std::path::Path;

use hebbian_learning::comparison::Comparison;
use hebbian_shared::digest::Digest;
use hebbian_shared::limits::REPORT_FILE_BYTES_MAX;
use hebbian_shared::progress::{GenerationSummary, Remeasurement, RunResult, StopReason, ValidationSummary};
use hebbian_shared::seed::Seed;
use hebbian_shared::spec::RunSpec;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::files;

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
    pub(crate) stop: StopReason,
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
    /// Every generation in a few numbers.
    pub(crate) history: Vec<HistoryPoint>,
    /// The mean and the best sample on fresh tasks of the training families.
    #[serde(default)]
    pub(crate) remeasurement: Option<Remeasurement>,
    /// Every validation; the last is that of the result. Its warnings are those of the run.
    #[serde(default)]
    pub(crate) validations: Vec<ValidationSummary>,
    /// The rule beside the baselines.
    pub(crate) comparison: Comparison,
}

/// A generation in a few numbers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct HistoryPoint {
    generation: u32,
    updates: u32,
    best: Option<f64>,
    median: Option<f64>,
    diverged: u32,
    step_size: f64,
}

impl Report {
    /// The report of a run that has ended for `stop`.
    pub(crate) fn new(
        result: &RunResult,
        stop: StopReason,
        generations: &[GenerationSummary],
        validations: Vec<ValidationSummary>,
        comparison: Comparison,
    ) -> Self {
        let last = generations.last();
        let history = generations.iter().map(|summary| HistoryPoint {
            generation: summary.generation.0,
            updates: summary.updates,
            best: summary.best.map(f64::from),
            median: summary.median.map(f64::from),
            diverged: summary.diverged,
            step_size: summary.search.step_size,
        });
        Self {
            format: FORMAT.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            spec: result.spec.name.clone(),
            spec_digest: result.spec.digest(),
            seed: result.spec.seed,
            stop,
            genome_digest: result.mean.digest(),
            generations: result.generations,
            evaluations: last.map_or(0, |last| last.evaluations),
            episodes: last.map_or(0, |last| last.episodes),
            elapsed_s: last.map_or(0.0, |last| last.elapsed.as_secs_f64()),
            compute_s: generations.iter().map(|summary| summary.compute_time.as_secs_f64()).sum(),
            history: history.collect(),
            remeasurement: result.remeasurement.clone(),
            validations,
            comparison,
        }
    }

    /// The file's text.
    pub(crate) fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("a report is plain data");
        text.push('\n');
        text
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

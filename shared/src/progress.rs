//! How a run and a cluster stand, for people and programs that ask.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::fitness::Fitness;
use crate::genome::{Genome, GenomeLayout};
use crate::id::{GenerationIndex, RunId, WorkerId};
use crate::seed::Seed;
use crate::spec::ResolvedSpec;

/// Why a search ended, with the figure that met the criterion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopReason {
    /// The criterion's name, for example `generations`, `target`, `tolx`.
    pub criterion: String,
    /// The figure that met it, for people, for example `265 generations (limit 265)`.
    pub detail: String,
}

/// The life of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum RunState {
    /// Episodes are handed out while workers are there.
    Running,
    /// Nothing is handed out until somebody resumes it.
    Paused {
        /// Why, and what would release it.
        reason: String,
    },
    /// The search ended by a criterion.
    Finished {
        /// Which.
        reason: StopReason,
    },
    /// Ended by an operator.
    Cancelled,
    /// The journal holds it, but its records cannot be read, or do not make a run. No record says so: every start tries again.
    Failed {
        /// What is wrong with them.
        reason: String,
    },
}

impl RunState {
    /// The state's name, in one word.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused { .. } => "paused",
            Self::Finished { .. } => "finished",
            Self::Cancelled => "cancelled",
            Self::Failed { .. } => "failed",
        }
    }

    /// Whether the run will never go on.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Finished { .. } | Self::Cancelled | Self::Failed { .. })
    }
}

/// What a strategy says of itself after a generation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SearchSummary {
    /// Global step size (sigma); zero where the strategy has none.
    pub step_size: f64,
    /// Longest over shortest axis of the search distribution; 1 where it has none.
    pub axis_ratio: f64,
    /// Smallest and largest coordinate-wise standard deviation.
    pub deviation_range: (f64, f64),
    /// Euclidean norm of the mean.
    pub mean_norm: f64,
    /// What is known of noise in the fitness; `None` where nothing is done about it.
    #[serde(default)]
    pub noise: Option<NoiseSummary>,
    /// The restart that the generation ended with.
    #[serde(default)]
    pub restart: Option<Box<Restart>>,
}

/// What a strategy knows of noise in the fitness, and how it learns in it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct NoiseSummary {
    /// How far two measurements agree on the order of candidates: 1 in everything, 0 in nothing (Kendall's tau, averaged
    /// over recent generations); `None` where it is not measured.
    pub agreement: Option<f64>,
    /// Learning rate of the mean, in (0, 1]; 1 without adaptation.
    pub mean_rate: f64,
    /// Learning rate of the covariance, in (0, 1]; 1 without adaptation.
    pub covariance_rate: f64,
}

/// A search that ended by a criterion of its own and began anew.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Restart {
    /// Its number, from 1.
    pub number: u32,
    /// Candidates per generation of the new search.
    pub population_size: u32,
    /// Initial step size of the new search.
    pub step_size: f64,
    /// Why the old one ended.
    pub reason: StopReason,
}

/// One closed generation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GenerationSummary {
    /// Which.
    pub generation: GenerationIndex,
    /// Updates in each episode.
    pub updates: u32,
    /// Best fitness; `None` if every candidate diverged.
    pub best: Option<Fitness>,
    /// Median fitness, diverged candidates counted as worst; `None` if at least half diverged.
    pub median: Option<Fitness>,
    /// Candidates that diverged.
    pub diverged: u32,
    /// Candidate evaluations since the run began, this generation included.
    pub evaluations: u64,
    /// Episodes since the run began, this generation included.
    pub episodes: u64,
    /// Compute time of the generation's episodes, summed over threads.
    pub compute_time: Duration,
    /// Wall-clock time the run had been running when the generation closed.
    pub elapsed: Duration,
    /// The strategy's own account, after it was told.
    pub search: SearchSummary,
    /// Digest of the strategy's state after it was told.
    pub digest: Digest,
}

/// A mean over tasks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The mean.
    pub mean: f64,
    /// Its standard error; 0 for a single task.
    pub standard_error: f64,
}

impl Estimate {
    /// Of values in task order; all zero where there are none.
    pub fn of(values: &[f64]) -> Self {
        let count = values.len() as f64;
        if values.is_empty() {
            return Self::default();
        }
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
        let standard_error = if values.len() > 1 { (squares / (count - 1.0) / count).sqrt() } else { 0.0 };
        Self { mean, standard_error }
    }
}

/// What is going wrong with a search, with the figure that says so and what helps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// The failure's name, for example `linear plateau`; see `docs/SCIENCE.md`.
    pub failure: String,
    /// The figure, for people.
    pub figure: String,
    /// What helps against it, for people.
    pub remedy: String,
}

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}; {}", self.failure, self.figure, self.remedy)
    }
}

/// The validation of one family's tasks. A network that has left the finite numbers counts with accuracy 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FamilyValidation {
    /// The family's name.
    pub family: String,
    /// Whether the search trains on it, too.
    pub trained: bool,
    /// Tasks.
    pub tasks: u32,
    /// Tasks whose network left the finite numbers before the end of the extended unroll.
    pub diverged: u32,
    /// Accuracy after the training unroll.
    pub accuracy: Estimate,
    /// Accuracy after the extended unroll.
    pub extended: Estimate,
}

/// The size of a part of the genome.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SegmentNorm {
    /// The segment's name.
    pub segment: String,
    /// Euclidean norm of its parameters, that is of its values after their transform.
    pub norm: f64,
}

/// A validation of the search distribution's mean.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ValidationSummary {
    /// The generation that opened with the mean.
    pub generation: GenerationIndex,
    /// Updates of the training unroll.
    pub updates: u32,
    /// Updates of the extended unroll.
    pub extended_updates: u32,
    /// By family, in the spec's order.
    pub families: Vec<FamilyValidation>,
    /// Accuracy after the training unroll, over all tasks.
    pub accuracy: Estimate,
    /// Accuracy after the extended unroll, over all tasks.
    pub extended: Estimate,
    /// By how much accuracy falls from the training unroll to the extended one, task by task.
    pub drop: Estimate,
    /// By segment of the layout.
    pub norms: Vec<SegmentNorm>,
    /// The failures that the figures show.
    pub warnings: Vec<Warning>,
    /// Compute time of its episodes, summed over threads.
    #[serde(rename = "compute_s", with = "seconds")]
    pub compute_time: Duration,
}

/// What one genome showed on fresh tasks.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Fitness over the tasks whose network stayed finite.
    pub fitness: Estimate,
    /// Tasks whose network left the finite numbers.
    pub diverged: u32,
}

/// The honest figures at the end of a search: the mean and the best sample, measured again on the same fresh tasks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Remeasurement {
    /// Updates in each episode.
    pub updates: u32,
    /// Tasks of each of the two.
    pub tasks: u32,
    /// The mean of the search distribution: the result.
    pub mean: Measured,
    /// The best sample; `None` if there is none or if it is the mean.
    pub best: Option<Measured>,
    /// Compute time of the episodes, summed over threads.
    #[serde(rename = "compute_s", with = "seconds")]
    pub compute_time: Duration,
}

/// Where a forked run began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    /// The run that it was forked from, which may be gone.
    pub run: RunId,
    /// How many generations of that run were closed.
    pub generations: GenerationIndex,
}

/// How a run stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunProgress {
    /// The run.
    pub run: RunId,
    /// Its spec's name.
    pub name: String,
    /// Digest of its spec.
    pub spec_digest: Digest,
    /// Its state.
    #[serde(flatten)]
    pub state: RunState,
    /// Its share of the cluster beside that of other runs.
    pub weight: f64,
    /// The open generation, or the number of closed ones once it ended.
    pub generation: GenerationIndex,
    /// The spec's limit, where there is one.
    pub generations_limit: Option<u32>,
    /// Settled episodes of the open generation.
    pub settled: u32,
    /// Episodes of the open generation.
    pub episodes: u32,
    /// Episodes handed to workers at the moment.
    pub leased: u32,
    /// Workers that may work on it.
    pub eligible_workers: u32,
    /// Best fitness of any generation so far; generations differ in their tasks.
    pub best: Option<Fitness>,
    /// The last closed generation.
    pub last: Option<GenerationSummary>,
    /// When it was created, in milliseconds since 1970 UTC.
    pub created_unix_ms: u64,
    /// The numerics fingerprint that the run took from its first worker.
    pub fingerprint: Option<Digest>,
    /// The last validation.
    pub validation: Option<ValidationSummary>,
    /// Why the search ended, while the result is still being measured and afterwards.
    pub search_ended: Option<StopReason>,
    /// The mean and the best sample on fresh tasks, once the search has ended.
    pub remeasurement: Option<Remeasurement>,
    /// What people should know, newest last: quarantined workers, re-issued episodes, numerics changed, ...
    pub notes: Vec<String>,
    /// Sequence number of the run's last committed record.
    pub sequence: u64,
    /// The spec's seed.
    pub seed: Seed,
    /// The name of the runs that were created together, for example a sweep over seeds; empty for none.
    pub group: String,
    /// Where it began, if it was forked.
    pub parent: Option<Parent>,
    /// When it ended, in milliseconds since 1970 UTC; `None` while it has not, and where the journal does not say.
    pub ended_unix_ms: Option<u64>,
}

/// A committed change of a run, as `watch` streams it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunEvent {
    /// A generation closed.
    Generation(GenerationSummary),
    /// The state changed.
    State(RunState),
    /// Something people should know.
    Note(String),
    /// The mean was validated.
    Validation(ValidationSummary),
    /// The search has ended, and its mean and best sample were measured again.
    Remeasurement(Remeasurement),
}

/// What a run has found.
#[derive(Clone, Debug, PartialEq)]
pub struct RunResult {
    /// The run.
    pub run: RunId,
    /// Its spec.
    pub spec: Arc<ResolvedSpec>,
    /// Its state; a result can be read at any time.
    pub state: RunState,
    /// Closed generations.
    pub generations: u32,
    /// The search distribution's mean: the result.
    pub mean: Genome,
    /// The best sample ever told, whose fitness is biased upwards by selection.
    pub best: Option<(Genome, Fitness)>,
    /// The layout of both.
    pub layout: GenomeLayout,
    /// The last validation.
    pub validation: Option<ValidationSummary>,
    /// Both on fresh tasks, once the search has ended by a criterion.
    pub remeasurement: Option<Remeasurement>,
}

/// Whether and why a worker may not work on a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ineligibility {
    /// The run.
    pub run: RunId,
    /// Why.
    pub reason: String,
}

/// A worker as the coordinator sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkerStatus {
    /// Its id.
    pub worker: WorkerId,
    /// Its name.
    pub name: String,
    /// Compute threads.
    pub threads: u32,
    /// The program's version.
    pub version: String,
    /// Its numerics fingerprint.
    pub fingerprint: Digest,
    /// Episodes it holds.
    pub leased: u32,
    /// Episodes it may hold.
    pub credit: u32,
    /// Episodes it settled since it attached.
    pub settled: u64,
    /// Worker errors it reported since it attached.
    pub errors: u64,
    /// Median compute time of its recent episodes.
    pub episode_time: Option<Duration>,
    /// Time since it attached.
    pub attached: Duration,
    /// Time since it was heard: one that holds nothing speaks every 15 s only.
    pub heard: Duration,
    /// Times in a row that others finished first what it held, without an answer of its own.
    pub overtaken: u32,
    /// Whether it is draining.
    pub draining: bool,
    /// Runs it may not work on.
    pub ineligible: Vec<Ineligibility>,
}

/// The coordinator as a whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CoordinatorStatus {
    /// The program's version.
    pub version: String,
    /// Counts the starts of coordinators on this journal; only the highest may write.
    pub epoch: u64,
    /// Time since the start.
    pub uptime: Duration,
    /// Attached workers.
    pub workers: u32,
    /// Their compute threads.
    pub threads: u32,
    /// Runs that are not final.
    pub active_runs: u32,
    /// Episodes settled since the start.
    pub settled: u64,
    /// What keeps the journal from writing, if anything does.
    pub journal_trouble: Option<String>,
}

/// Durations as programs read them: seconds.
mod seconds {
    use std::time::Duration;

    use serde::{Deserialize as _, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(duration.as_secs_f64())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        Duration::try_from_secs_f64(f64::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimates_are_mean_and_standard_error() {
        assert_eq!(Estimate::of(&[]), Estimate::default());
        assert_eq!(Estimate::of(&[0.5]), Estimate { mean: 0.5, standard_error: 0.0 });
        // Variance 4/3 of four values.
        let estimate = Estimate::of(&[1.0, 3.0, 1.0, 3.0]);
        assert_eq!(estimate.mean, 2.0);
        assert!((estimate.standard_error - (4.0_f64 / 3.0 / 4.0).sqrt()).abs() < 1e-15);
    }
}

//! What passes between a coordinator and a worker, in the domain's own words. `hebbian-proto` puts it on the wire.

use std::sync::Arc;
use std::time::Duration;

use crate::digest::Digest;
use crate::episode::{EpisodePurpose, Outcome};
use crate::genome::Genome;
use crate::id::{BlockIndex, CandidateIndex, GenerationIndex, RunId, TaskIndex, WorkerId};
use crate::spec::RunSpec;

/// A worker's first message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// A name for people, for example the host's name.
    pub name: String,
    /// Compute threads.
    pub threads: u32,
    /// The worker's `EPISODE_SEMANTICS`.
    pub episode_semantics: u32,
    /// Digest of the bits of the worker's canonical episodes.
    pub fingerprint: Digest,
    /// The program's version, for people.
    pub version: String,
}

/// The coordinator's first message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// The worker's id for this session.
    pub worker: WorkerId,
    /// How often the worker must be heard.
    pub heartbeat_interval: Duration,
}

/// A candidate's genome within a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchGenome {
    /// The candidate.
    pub candidate: CandidateIndex,
    /// Its genome.
    pub genome: Arc<Genome>,
}

/// One episode of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Assignment {
    /// Position of the genome in the batch's table.
    pub genome: u32,
    /// The task.
    pub task: TaskIndex,
}

/// Episodes of one block that travel together; a genome that meets 24 tasks travels once.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// The run.
    pub run: RunId,
    /// Digest of the layout of the genomes.
    pub layout: Digest,
    /// The generation.
    pub generation: GenerationIndex,
    /// What for.
    pub purpose: EpisodePurpose,
    /// The set of tasks.
    pub block: BlockIndex,
    /// The genomes.
    pub genomes: Vec<BatchGenome>,
    /// The episodes.
    pub assignments: Vec<Assignment>,
}

/// What became of one episode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// The candidate.
    pub candidate: CandidateIndex,
    /// The task.
    pub task: TaskIndex,
    /// How it ended.
    pub outcome: Outcome,
    /// Time one thread computed on it.
    pub compute_time: Duration,
}

/// Outcomes of episodes of one block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Number of the report within the worker's process, counted from 1; the coordinator acknowledges up to it.
    pub sequence: u64,
    /// The run.
    pub run: RunId,
    /// The generation.
    pub generation: GenerationIndex,
    /// What for.
    pub purpose: EpisodePurpose,
    /// The set of tasks.
    pub block: BlockIndex,
    /// The outcomes.
    pub settlements: Vec<Settlement>,
}

/// From worker to coordinator, after the hello.
#[derive(Clone, Debug, PartialEq)]
pub enum FromWorker {
    /// The worker lives; renews its leases.
    Heartbeat,
    /// Outcomes.
    Report(Report),
    /// The worker cannot work on this run at all.
    Reject {
        /// The run.
        run: RunId,
        /// What it lacks, for people.
        reason: String,
    },
    /// The worker wants to leave: no more batches; it reports what it holds and closes the stream.
    Leaving,
}

/// From coordinator to worker, after the welcome.
#[derive(Clone, Debug, PartialEq)]
pub enum ToWorker {
    /// A run's spec, sent once per stream before its first batch.
    Spec {
        /// The run.
        run: RunId,
        /// Its spec.
        spec: Arc<RunSpec>,
    },
    /// Work.
    Batch(Batch),
    /// Reports up to this sequence number have arrived; the worker may forget them.
    Acknowledge {
        /// The last report's sequence number.
        sequence: u64,
    },
    /// What is still open of this run's generations up to this one is no longer wanted (settled elsewhere, cancelled).
    Withdraw {
        /// The run.
        run: RunId,
        /// The last generation that is not wanted; `None` withdraws the whole run.
        up_to: Option<GenerationIndex>,
    },
    /// Finish what you hold, report it and close the stream.
    Drain,
}

//! What passes between a coordinator and a worker, in the domain's own words. `hebbian-proto` puts it on the wire.

use std::sync::Arc;
use std::time::Duration;

use crate::digest::Digest;
use crate::episode::{EpisodePurpose, Outcome, Wants};
use crate::genome::Genome;
use crate::id::{BlockIndex, CandidateIndex, GenerationIndex, RunId, TaskIndex, WorkerId};
use crate::spec::ResolvedSpec;

/// The smallest and the largest weight of a run in the fair share of the cluster.
pub const WEIGHT_RANGE: (f64, f64) = (0.001, 1000.0);
/// The weight of a run of which nobody said one.
pub const WEIGHT_DEFAULT: f64 = 1.0;

/// Says what is wrong with a weight.
pub fn check_weight(weight: f64) -> Result<(), String> {
    let (least, most) = WEIGHT_RANGE;
    // A NaN is in no range.
    if (least..=most).contains(&weight) {
        return Ok(());
    }
    Err(format!("must be from {least} to {most}, not {weight:?}"))
}

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
    /// Names of the external problems that it evaluates, [`ALL_PROBLEMS`] for all; empty of a worker that trains networks by rules.
    pub serves: Vec<String>,
}

/// What a worker serves that evaluates every external problem.
pub const ALL_PROBLEMS: &str = "*";

impl Hello {
    /// Whether the worker evaluates external problems of this name.
    pub fn serves(&self, problem: &str) -> bool {
        self.serves.iter().any(|name| name == ALL_PROBLEMS || name == problem)
    }
}

/// The coordinator's first message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// The worker's id for this session.
    pub worker: WorkerId,
    /// How often the worker must be heard while it holds episodes.
    pub heartbeat_interval: Duration,
    /// How often while it holds none.
    pub idle_heartbeat_interval: Duration,
}

/// A candidate's genome within a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchGenome {
    /// The candidate.
    pub candidate: CandidateIndex,
    /// Its genome.
    pub genome: Arc<Genome>,
    /// What its numbers stand for, where the problem is external.
    pub parameters: Vec<f64>,
}

/// One episode of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Assignment {
    /// Position of the genome in the batch's table.
    pub genome: u32,
    /// The task.
    pub task: TaskIndex,
    /// The evaluation's seed, where the problem is external; 0 where it is not.
    pub seed: u32,
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
    /// What is asked for of each episode beside its fitness.
    pub wants: Wants,
    /// The genomes.
    pub genomes: Vec<BatchGenome>,
    /// The episodes.
    pub assignments: Vec<Assignment>,
}

/// What became of one episode.
#[derive(Clone, Debug, PartialEq)]
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

impl Settlement {
    /// How large it is, in outcomes that have nothing beside a fitness: what is bounded is bounded in these.
    pub fn size(&self) -> usize {
        let numbers = self.outcome.evaluation().map_or(0, |evaluation| {
            evaluation.scores.len() + evaluation.gradient.as_ref().map_or(0, Vec::len)
        });
        // A fitness with all that stands beside it has about the bytes of eight other numbers.
        1 + numbers / 8
    }
}

/// Outcomes of episodes of one block.
#[derive(Clone, Debug, PartialEq)]
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

/// Episodes of one block: those that a worker gives back, or need not finish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockEpisodes {
    /// The run.
    pub run: RunId,
    /// The generation, as the worker knows it.
    pub generation: GenerationIndex,
    /// What for.
    pub purpose: EpisodePurpose,
    /// The set of tasks.
    pub block: BlockIndex,
    /// Which.
    pub episodes: Vec<(CandidateIndex, TaskIndex)>,
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
    /// The worker wants to leave: no more batches; it reports or gives back what it holds and closes the stream.
    Leaving,
    /// A worker that leaves gives back what it has not begun.
    GiveBack(BlockEpisodes),
}

/// From coordinator to worker, after the welcome.
#[derive(Clone, Debug, PartialEq)]
pub enum ToWorker {
    /// A run's spec, sent once per stream before its first batch.
    Spec {
        /// The run.
        run: RunId,
        /// Its spec.
        spec: Arc<ResolvedSpec>,
    },
    /// An evaluation, sent once per stream before its first batch.
    Evaluation {
        /// Its id: that of a job, like a run's.
        evaluation: RunId,
        /// What is evaluated, as text; batches name its genomes by their places.
        request: Arc<str>,
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
    /// These episodes are no longer wanted; others of their generation are.
    WithdrawEpisodes(BlockEpisodes),
    /// Finish what you have begun, report it, give the rest back and leave for good.
    Drain {
        /// In this time; what is not finished by then is lost.
        within: Duration,
    },
}

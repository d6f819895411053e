//! What goes into the engine and what comes out.

use hebbian_shared::dispatch::{FromWorker, ToWorker};
use hebbian_shared::id::{CandidateIndex, RunId, TaskIndex, WorkerId};

use crate::run::record::Write;
use crate::run::{Advance, Advanced};

/// Names an answer that is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Something that has happened.
#[derive(Debug)]
pub enum Event {
    /// A worker said something.
    FromWorker {
        /// Which.
        worker: WorkerId,
        /// What.
        message: FromWorker,
    },
    /// A worker is gone.
    Detach {
        /// Which.
        worker: WorkerId,
    },
    /// A search has advanced. What it brings to a run that is gone, or was cancelled meanwhile, is dropped.
    Advanced(Box<Advanced>),
    /// The journal has got on: all transactions up to these positions are committed (survive the process), synced
    /// (survive a power loss).
    Journalled {
        /// The last committed position.
        committed: u64,
        /// The last synced position.
        synced: u64,
    },
    /// The journal cannot write for now. It keeps what it was given, tries again, and says so with the next
    /// [`Event::Journalled`].
    JournalFailed {
        /// Why, for people.
        reason: String,
        /// Whether it has no room: then it takes what frees room all the same.
        is_full: bool,
    },
    /// The journal has looked, though nothing was to be written: it cannot be reached for the reason that is told, or can be again.
    JournalReached {
        /// Why not, for people.
        problem: Option<String>,
    },
    /// The deadline has come.
    Tick,
}

/// Something to be done, in order.
#[derive(Debug)]
pub enum Effect {
    /// Hand this to the journal.
    Commit(Transaction),
    /// Say this to a worker.
    Send {
        /// Whom.
        worker: WorkerId,
        /// What.
        message: ToWorker,
    },
    /// Close a worker's stream.
    Close {
        /// Whose.
        worker: WorkerId,
        /// Why.
        reason: String,
    },
    /// Compute this, which may take a while, and bring what comes of it as [`Event::Advanced`]. The order among runs does
    /// not matter.
    Advance(Box<Advance>),
    /// The run's records up to this number are durable: watchers may be told.
    Publish {
        /// Which run.
        run: RunId,
        /// The sequence number.
        sequence: u64,
    },
    /// The run is no more.
    Deleted {
        /// Which.
        run: RunId,
        /// Whether a retention rule wanted it, and not an operator.
        retired: bool,
    },
    /// Episodes of an evaluation have scores.
    Scored {
        /// Which evaluation.
        evaluation: RunId,
        /// The episodes, each once.
        scored: Vec<Scored>,
    },
    /// An evaluation has ended.
    EvaluationEnded {
        /// Which.
        evaluation: RunId,
        /// An error says why not all of its episodes have scores.
        end: Result<(), String>,
    },
    /// An answer that was held may be told.
    Answer(Ticket),
}

/// What a genome scores on a task.
#[derive(Clone, Debug, PartialEq)]
pub struct Scored {
    /// The genome's place in the request.
    pub genome: CandidateIndex,
    /// The task.
    pub task: TaskIndex,
    /// At each point of measurement.
    pub scores: Vec<f64>,
}

/// What is written to the journal together or not at all.
#[derive(Clone, Debug, PartialEq)]
pub struct Transaction {
    /// Counts the transactions of this coordinator process from 1.
    pub position: u64,
    /// What to write, in order.
    pub writes: Vec<Write>,
    /// Whether it has to survive a power loss before others may rely on it.
    pub sync: bool,
}

//! What goes into the engine and what comes out.

use std::time::Duration;

use hebbian_shared::dispatch::{FromWorker, Hello, ToWorker, Welcome};
use hebbian_shared::id::{RunId, WorkerId};
use hebbian_shared::progress::{RunProgress, RunResult, WorkerStatus};
use hebbian_shared::spec::RunSpec;
use hebbian_shared::spec::stop::StopSpec;

use crate::command::{HandleError, RunAction};
use crate::run::record::{Origin, Snapshot, Write};

/// Names a request, so that its reply finds whoever asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Something that has happened.
#[derive(Debug)]
pub enum Event {
    /// Somebody wants a run.
    Create {
        /// Answered with [`Reply::Progress`] once the run is synced.
        ticket: Ticket,
        /// The id of the run, if it comes to be: never used before.
        run: RunId,
        /// The spec; validated again.
        spec: Box<RunSpec>,
        /// The client's name for the creation; empty for none.
        request_id: String,
        /// Share of the cluster beside that of other runs.
        weight: f64,
        /// The time of day, in milliseconds since 1970 UTC.
        unix_ms: u64,
        /// The name of the runs that are created together; empty for none.
        group: String,
        /// Where it begins, if it is a fork.
        origin: Option<Box<(Origin, Snapshot)>>,
    },
    /// Somebody wants a run to go on for longer.
    Extend {
        /// Answered with [`Reply::Progress`] once the limits are synced.
        ticket: Ticket,
        /// The run.
        run: RunId,
        /// The limits to raise, to what they are then.
        limits: StopSpec,
    },
    /// Somebody acts on a run.
    Act {
        /// Answered with [`Reply::Progress`] once the action is synced.
        ticket: Ticket,
        /// The run.
        run: RunId,
        /// What.
        action: RunAction,
    },
    /// Somebody wants to know what a run has found.
    Result {
        /// Answered with [`Reply::Result`] once what it says is synced.
        ticket: Ticket,
        /// The run.
        run: RunId,
    },
    /// A worker has come.
    Attach {
        /// Answered with [`Reply::Welcome`].
        ticket: Ticket,
        /// Its id, never used before.
        worker: WorkerId,
        /// What it said.
        hello: Hello,
    },
    /// Somebody wants a worker to leave.
    Drain {
        /// Answered with [`Reply::Worker`].
        ticket: Ticket,
        /// Which.
        worker: WorkerId,
        /// The time it has.
        within: Duration,
    },
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
    },
    /// The deadline has come.
    Tick,
}

/// Something to be done, in order.
#[derive(Clone, Debug, PartialEq)]
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
    /// Answer a request.
    Reply {
        /// Which.
        ticket: Ticket,
        /// The answer.
        reply: Box<Reply>,
    },
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// To `Create`, `Act` and `Extend`.
    Progress(Result<RunProgress, HandleError>),
    /// To `Result`.
    Result(Result<RunResult, HandleError>),
    /// To `Attach`.
    Welcome(Result<Welcome, HandleError>),
    /// To `Drain`.
    Worker(Result<WorkerStatus, HandleError>),
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

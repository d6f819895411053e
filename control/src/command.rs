//! What operators ask for, and why it is refused.

use hebbian_shared::id::{RunId, WorkerId};
use hebbian_shared::spec::SpecError;

/// Why a request was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandleError {
    /// There is no such run.
    #[error("there is no run `{0}` here")]
    NoSuchRun(RunId),
    /// The spec was refused.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// No such worker is attached.
    #[error("no worker `{0}` is attached")]
    NoSuchWorker(WorkerId),
    /// The same request id came with another spec.
    #[error("request_id: `{0}` was used before for another spec")]
    RequestIdReused(String),
    /// The run's state does not allow it.
    #[error("run {run} {problem}")]
    WrongState {
        /// The run.
        run: RunId,
        /// What stands against it, for example `has finished`.
        problem: String,
    },
    /// A limit of the coordinator.
    #[error("{0}")]
    Limit(String),
    /// The journal cannot be written or read.
    #[error("the journal cannot be used: {0}")]
    Journal(String),
    /// The coordinator is shutting down.
    #[error("the coordinator is shutting down")]
    ShuttingDown,
}

/// An operator's action on a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunAction {
    /// Hand out nothing more until resumed.
    Pause,
    /// Go on; forgets the attempts that exhausted an episode.
    Resume,
    /// End for ever; the journal keeps what was found.
    Cancel,
    /// Remove a run that has ended.
    Delete,
}

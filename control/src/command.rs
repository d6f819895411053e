//! What operators ask for, each with its answer, and why it is refused.
//!
//! A command is a struct that executes itself on the [`Engine`]. To add one, add it to the file of what it is about
//! ([`run`], [`worker`], [`evaluation`], [`coordinator`]); nothing between a service and the engine knows the commands one by one.

pub mod coordinator;
pub mod evaluation;
pub mod page;
pub mod run;
pub mod worker;

use hebbian_shared::id::{RunId, WorkerId};
use hebbian_shared::spec::SpecError;
use hebbian_shared::time::Timestamp;

use crate::engine::Engine;
use crate::engine::effect::Ticket;

/// Refuses one thing more to somebody who has `own` of at most `most`, of which others have `others`: each may have half of what
/// the others leave, so that there is room for newcomers. A caller without a name is this process, and may have all.
pub fn check_share(
    owner: &str,
    (own, others, most): (usize, usize, usize),
    what: &str,
) -> Result<(), Refusal> {
    let share = most.saturating_sub(others) / 2;
    if owner.is_empty() || own < share {
        return Ok(());
    }
    Err(Refusal::Limit(format!(
        "{owner} has {own} {what}; one client may have half of what others leave of {most}, which is {share}"
    )))
}

/// Something that is asked of the engine.
pub trait Command: Send + 'static {
    /// What answers it.
    type Answer: Send + 'static;
    /// Whether the answer is a promise: it then waits until all that was decided before it survives a power loss.
    const PROMISE: bool = false;

    /// The run that it needs whole, be it one that has ended: whoever drives the engine has it read before, if it rests
    /// ([`Engine::is_resting`]).
    fn needs(&self) -> Option<RunId> {
        None
    }

    /// Does what is asked.
    fn execute(self, engine: &mut Engine, now: Timestamp) -> Result<Self::Answer, Refusal>;
}

/// The answer to a command, and what it waits for.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Held<T> {
    /// The answer.
    pub answer: Result<T, Refusal>,
    /// Nobody may see the answer before [`Effect::Answer`](crate::engine::effect::Effect::Answer) names this; `None` if it
    /// may go at once.
    pub until: Option<Ticket>,
}

/// Why a command was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such run.
    #[error("there is no run `{0}` here")]
    NoSuchRun(RunId),
    /// The spec was refused.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// Another field of the command was refused.
    #[error("{field}: {problem}")]
    Field {
        /// Its name.
        field: &'static str,
        /// What is wrong and what would be right.
        problem: String,
    },
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
    /// A leader that is asked to give way has nobody to give way to.
    #[error(
        "nobody would take over: no standby waits for this journal, or none that can lead, whose log says why"
    )]
    NoStandby,
    /// The coordinator is shutting down.
    #[error("the coordinator is shutting down")]
    ShuttingDown,
}

impl Refusal {
    /// A field of a command that was refused.
    pub fn field(field: &'static str, problem: impl Into<String>) -> Self {
        Self::Field { field, problem: problem.into() }
    }
}

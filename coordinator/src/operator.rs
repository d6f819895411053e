//! What operators do to runs and workers, by RPC or on the live page: it is done, and told in the audit log.

use std::time::Duration;

use hebbian_control::command::Refusal;
use hebbian_control::command::run::{Act, AddNote, Create, Creation, Extend, RunAction};
use hebbian_control::command::worker::Drain;
use hebbian_proto::v1;
use hebbian_shared::id::{GenerationIndex, RunId, WorkerId};
use hebbian_shared::limits::DRAIN_WITHIN;
use hebbian_shared::spec::RunSpec;
use hebbian_shared::spec::stop::StopSpec;

use crate::handle::{Asker, Handle};
use crate::service::audit;

/// Somebody who may do what is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operator<'a> {
    pub(crate) handle: &'a Handle,
    /// Who it is, for the log and for runs' notes; empty for this process.
    pub(crate) who: &'a str,
}

impl Operator<'_> {
    /// Creates a run. If `only` one group is there for the caller, a run of that name in another group is not its own.
    pub(crate) async fn create(&self, create: Create, only: Option<&str>) -> Result<v1::Run, Refusal> {
        let name = create.request_id.clone();
        let Creation { run, again } = self.handle.make(create).await?;
        check_group(&run, only, name)?;
        self.has(if again { "asked again for" } else { "created" }, &run);
        Ok(run)
    }

    /// Pauses, resumes, cancels or deletes a run.
    pub(crate) async fn act(&self, run: RunId, action: RunAction) -> Result<v1::Run, Refusal> {
        let run = self.handle.ask(Act { run, action, by: self.who.to_owned() }).await?;
        self.has(action.done(), &run);
        Ok(run)
    }

    /// Raises a run's limits.
    pub(crate) async fn extend(&self, run: RunId, limits: StopSpec) -> Result<v1::Run, Refusal> {
        let run = self.handle.ask(Extend { run, limits, by: self.who.to_owned() }).await?;
        self.has("extended", &run);
        Ok(run)
    }

    /// Adds a note to a run. `by` is whom it names, without an address: the same words again are the same note.
    pub(crate) async fn add_note(&self, run: RunId, text: String, by: String) -> Result<v1::Run, Refusal> {
        let run = self.handle.ask(AddNote { run, text, by }).await?;
        self.has("added a note to", &run);
        Ok(run)
    }

    /// Forks a run after so many generations, or the last one. `only` as in [`Operator::create`]; there the fork will be.
    pub(crate) async fn fork(
        &self,
        (parent, generations): (RunId, Option<u32>),
        spec: RunSpec,
        request_id: String,
        (owner, only): (String, Option<&str>),
    ) -> Result<v1::Run, Refusal> {
        let name = request_id.clone();
        let asker = Asker { by: self.who.to_owned(), owner, group: only.unwrap_or_default().to_owned() };
        let place = (parent, generations.map(GenerationIndex));
        let Creation { run: fork, again } = self.handle.fork(place, spec, request_id, asker).await?;
        check_group(&fork, only, name)?;
        let what = format_args!("run {parent} as {} (`{}`)", fork.id(), fork.display_name);
        audit::done(self.who, if again { "asked again to fork" } else { "forked" }, &what);
        Ok(fork)
    }

    /// Asks a worker to leave, within the usual time if nobody says another one.
    pub(crate) async fn drain(
        &self,
        worker: WorkerId,
        within: Option<Duration>,
    ) -> Result<v1::Worker, Refusal> {
        let within = within.unwrap_or(DRAIN_WITHIN);
        let worker = self.handle.ask(Drain { worker, within }).await?;
        audit::done(self.who, "drained", &format_args!("worker {} (`{}`)", worker.id, worker.display_name));
        Ok(worker)
    }

    fn has(&self, done: &str, run: &v1::Run) {
        audit::done(self.who, done, &format_args!("run {} (`{}`)", run.id(), run.display_name));
    }
}

/// Refuses the run that was created by this name before, if it is of another group than the caller's.
fn check_group(run: &v1::Run, only: Option<&str>, request_id: String) -> Result<(), Refusal> {
    match only {
        Some(group) if run.group != group => Err(Refusal::RequestIdReused(request_id)),
        _ => Ok(()),
    }
}

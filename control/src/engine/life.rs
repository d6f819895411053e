//! Runs that go on beyond their end, and runs that begin in the midst of another.

use hebbian_shared::id::{GenerationIndex, RunId};
use hebbian_shared::progress::{RunProgress, RunState};
use hebbian_shared::spec::SpecError;
use hebbian_shared::spec::stop::StopSpec;
use hebbian_shared::time::Timestamp;

use super::Engine;
use crate::command::HandleError;
use crate::run::record::{Created, Snapshot, Write};
use crate::run::{ExtendError, Run};

impl Engine {
    /// A run that begins with another one's snapshot, if its spec fits to it and leaves it something to do.
    pub(super) fn fork(
        &self,
        now: Timestamp,
        id: RunId,
        created: Created,
        snapshot: Snapshot,
        writes: &mut Vec<Write>,
    ) -> Result<Run, HandleError> {
        let refuse = |problem: String| HandleError::Spec(SpecError::field("strategy", problem));
        let parent = created.origin.as_ref().and_then(|origin| self.runs.get(&origin.parent));
        if parent.is_some_and(|parent| parent.layout_digest() != created.spec.layout().digest()) {
            let problem = "must give the genome the layout that its parent's has";
            return Err(HandleError::Spec(SpecError::field("rule", problem)));
        }
        let run = Run::fork(now, id, created, snapshot, writes).map_err(|error| refuse(error.to_string()))?;
        match run.ends_at_once(now) {
            None => Ok(run),
            Some(met) => Err(HandleError::Spec(SpecError::field(
                "stop",
                format!(
                    "must leave the fork something to do, but it would end at once by {} ({})",
                    met.criterion, met.detail
                ),
            ))),
        }
    }

    /// Raises limits of a run, and opens it again if it had ended.
    pub(super) fn extend(
        &mut self,
        now: Timestamp,
        id: RunId,
        limits: &StopSpec,
    ) -> Result<RunProgress, HandleError> {
        self.check_journal()?;
        let run = self.runs.get_mut(&id).ok_or(HandleError::NoSuchRun(id))?;
        let refuse = |problem: String| HandleError::WrongState { run: id, problem };
        if *run.state() == RunState::Cancelled && run.generation() == GenerationIndex(0) {
            return Err(refuse("was cancelled before a generation had closed; create it anew".into()));
        }
        if *run.state() == RunState::Cancelled {
            return Err(refuse("was cancelled; fork it to go on from where it was".into()));
        }
        let (had_finished, had_ended) = (run.state().is_final(), run.search_ended().is_some());
        let mut writes = Vec::new();
        run.extend(now, limits, &mut writes).map_err(|error| match error {
            ExtendError::Limits(error) => HandleError::Spec(error),
            error => refuse(error.to_string()),
        })?;
        self.outbox.write(now, &mut writes);
        if had_finished {
            self.open(now, id);
        } else if had_ended {
            self.begin_generation(now, id);
            self.close_generation(now, id);
        }
        self.progress(id).ok_or(HandleError::NoSuchRun(id))
    }
}

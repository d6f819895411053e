//! Commands that are about runs.

mod create;

use hebbian_proto::figures::{RunState, unix_ms};
use hebbian_proto::v1;
use hebbian_shared::id::{GenerationIndex, RunId};
use hebbian_shared::limits::REASON_BYTES_MAX;
use hebbian_shared::spec::stop::StopSpec;
use hebbian_shared::time::Timestamp;

use super::page::{Page, PageRequest};
use super::{Command, Refusal};
use crate::engine::Engine;
use crate::run::record::Write;
use crate::run::{ExtendError, Run};
pub use create::{Create, Creation};

/// One run at this moment. It may be ahead of the disk by what is still being written, and it shows what is never
/// written: the pause while the journal cannot be, and the one while no attached worker may work on the run.
#[derive(Clone, Copy, Debug)]
pub struct Get {
    /// Which.
    pub run: RunId,
}

impl Command for Get {
    type Answer = v1::Run;

    fn execute(self, engine: &mut Engine, _: Timestamp) -> Result<v1::Run, Refusal> {
        engine.progress(self.run).ok_or(Refusal::NoSuchRun(self.run))
    }
}

/// All runs as [`Get`] shows them, in order of creation.
#[derive(Clone, Debug, Default)]
pub struct List {
    /// Which page of them.
    pub page: PageRequest,
}

impl Command for List {
    type Answer = Page<v1::Run>;

    fn execute(self, engine: &mut Engine, _: Timestamp) -> Result<Page<v1::Run>, Refusal> {
        let size = self.page.size()?;
        let last = self.page.position(|token| {
            let (created, run) = token.split_once('-')?;
            Some((created.parse::<u64>().ok()?, run.parse::<RunId>().ok()?))
        })?;
        let start = last.map_or(0, |(created, last)| {
            let after = engine.order.iter().position(|run| *run == last).map(|place| place + 1);
            // The last run of the page before was deleted meanwhile; its neighbours by time are still there.
            let created_since =
                |run: &RunId| engine.created_unix_ms(*run).is_some_and(|moment| moment >= created);
            after.or_else(|| engine.order.iter().position(created_since)).unwrap_or(engine.order.len())
        });
        let rest = engine.order[start..].iter().filter_map(|&run| engine.progress(run));
        Ok(Page::of(rest, size, |run| format!("{}-{}", unix_ms(run.create_time), run.id())))
    }
}

/// What a run has found.
#[derive(Clone, Copy, Debug)]
pub struct GetResult {
    /// Which.
    pub run: RunId,
}

impl Command for GetResult {
    type Answer = v1::RunResult;
    const PROMISE: bool = true;

    fn needs(&self) -> Option<RunId> {
        Some(self.run)
    }

    fn execute(self, engine: &mut Engine, _: Timestamp) -> Result<v1::RunResult, Refusal> {
        engine.check_journal()?;
        engine.run(self.run).ok_or_else(|| engine.missing(self.run)).map(Run::result)
    }
}

/// An operator's action on a run. The answer is the run afterwards; its last progress if it was deleted.
#[derive(Clone, Debug)]
pub struct Act {
    /// On which run.
    pub run: RunId,
    /// What.
    pub action: RunAction,
    /// Who wants it, for the run's notes; empty for this process.
    pub by: String,
}

/// What an operator does to a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunAction {
    /// Hand out nothing more until resumed.
    Pause,
    /// Go on; forgets the attempts that exhausted an episode, and numerics that nobody has any more if no generation has closed with
    /// them.
    Resume,
    /// End for ever; the journal keeps what was found.
    Cancel,
    /// Remove a run that has ended.
    Delete,
}

impl RunAction {
    /// What was done, for people.
    pub fn done(self) -> &'static str {
        match self {
            Self::Pause => "paused",
            Self::Resume => "resumed",
            Self::Cancel => "cancelled",
            Self::Delete => "deleted",
        }
    }
}

impl Command for Act {
    type Answer = v1::Run;
    const PROMISE: bool = true;

    fn execute(self, engine: &mut Engine, now: Timestamp) -> Result<v1::Run, Refusal> {
        let Self { run: id, action, by } = self;
        let before = engine.progress(id).ok_or(Refusal::NoSuchRun(id))?;
        if engine.standing(id).is_none() && action != RunAction::Delete {
            // One that cannot be taken up can be deleted, and nothing else.
            return Err(engine.missing(id));
        }
        match action {
            RunAction::Cancel | RunAction::Delete => engine.check_journal_for_room()?,
            RunAction::Pause | RunAction::Resume => engine.check_journal()?,
        }
        let refuse = |problem: &str| Err(Refusal::WrongState { run: id, problem: problem.into() });
        if before.is_final() {
            return match (action, before.state()) {
                (RunAction::Delete, _) => {
                    engine.delete(now, id, false);
                    Ok(before)
                }
                (RunAction::Cancel, Some(RunState::Cancelled(_))) => Ok(before),
                (_, Some(RunState::Finished(_))) => refuse("has finished"),
                (_, Some(RunState::Cancelled(_))) => refuse("was cancelled"),
                _ => refuse("has failed"),
            };
        }
        let run = engine.runs.get_mut(&id).ok_or(Refusal::NoSuchRun(id))?;
        let (mut writes, mut again) = (Vec::new(), false);
        match (action, run.state().clone()) {
            (RunAction::Delete, _) => return refuse("has not ended; cancel it first"),
            (RunAction::Pause, RunState::Paused(_)) => {}
            // It may be stranded on quarantined workers.
            (RunAction::Resume, RunState::Running(_)) => again = true,
            (RunAction::Pause, _) => {
                note_by(run, now, action.done(), &by, &mut writes);
                let paused = RunState::paused("by an operator; resume it to go on");
                run.change_state(now, paused, &mut writes);
                engine.scheduler.pause(id);
            }
            (RunAction::Resume, _) => {
                note_by(run, now, action.done(), &by, &mut writes);
                run.change_state(now, RunState::RUNNING, &mut writes);
                again = true;
            }
            (RunAction::Cancel, _) => {
                note_by(run, now, action.done(), &by, &mut writes);
                run.change_state(now, RunState::CANCELLED, &mut writes);
                engine.end(now, id);
            }
        }
        engine.outbox.write(now, &mut writes);
        if again {
            engine.ask_again(now, id);
            engine.close_generation(now, id);
        }
        engine.progress(id).ok_or(Refusal::NoSuchRun(id))
    }
}

/// Raises limits of a run, and opens it again if it had ended. The answer is the run afterwards.
#[derive(Clone, Debug)]
pub struct Extend {
    /// Which run.
    pub run: RunId,
    /// The limits to raise, to what they are then.
    pub limits: StopSpec,
    /// Who wants it, for the run's notes; empty for this process.
    pub by: String,
}

impl Command for Extend {
    type Answer = v1::Run;
    const PROMISE: bool = true;

    fn needs(&self) -> Option<RunId> {
        Some(self.run)
    }

    fn execute(self, engine: &mut Engine, now: Timestamp) -> Result<v1::Run, Refusal> {
        engine.check_journal()?;
        let id = self.run;
        if engine.run(id).is_none() {
            return Err(engine.missing(id));
        }
        let run = engine.runs.get_mut(&id).ok_or(Refusal::NoSuchRun(id))?;
        let refuse = |problem: String| Refusal::WrongState { run: id, problem };
        if *run.state() == RunState::CANCELLED && run.generation() == GenerationIndex(0) {
            return Err(refuse("was cancelled before a generation had closed; create it anew".into()));
        }
        if *run.state() == RunState::CANCELLED {
            return Err(refuse("was cancelled; fork it to go on from where it was".into()));
        }
        let (had_finished, had_ended) = (run.state().is_final(), run.search_ended().is_some());
        let mut writes = Vec::new();
        run.extend(now, &self.limits, &mut writes).map_err(|error| match error {
            ExtendError::Limits(error) => Refusal::Spec(error),
            error @ ExtendError::Ended(_) => refuse(error.to_string()),
        })?;
        note_by(run, now, "extended", &self.by, &mut writes);
        engine.outbox.write(now, &mut writes);
        if had_finished {
            engine.open(now, id);
        } else if had_ended {
            engine.begin_generation(now, id);
            engine.close_generation(now, id);
        }
        engine.progress(id).ok_or(Refusal::NoSuchRun(id))
    }
}

/// Notes who did something to a run.
fn note_by(run: &mut Run, now: Timestamp, what: &str, by: &str, writes: &mut Vec<Write>) {
    if !by.is_empty() {
        run.note(now, format!("{what} by {by}"), writes);
    }
}

/// Adds an operator's words to a run's notes, whether it has ended or not. The answer is the run afterwards.
#[derive(Clone, Debug)]
pub struct AddNote {
    /// To which run.
    pub run: RunId,
    /// The words: one line.
    pub text: String,
    /// Who says so, by a name; empty for somebody without one.
    pub by: String,
}

impl Command for AddNote {
    type Answer = v1::Run;
    const PROMISE: bool = true;

    fn needs(&self) -> Option<RunId> {
        Some(self.run)
    }

    fn execute(self, engine: &mut Engine, now: Timestamp) -> Result<v1::Run, Refusal> {
        let Self { run: id, text, by } = self;
        engine.check_journal()?;
        if text.trim().is_empty() || text.len() > REASON_BYTES_MAX || text.chars().any(char::is_control) {
            let problem =
                format!("must be one line of 1 to {REASON_BYTES_MAX} bytes without control characters");
            return Err(Refusal::field("text", problem));
        }
        if engine.run(id).is_none() {
            return Err(engine.missing(id));
        }
        let run = engine.runs.get_mut(&id).ok_or(Refusal::NoSuchRun(id))?;
        let mut writes = Vec::new();
        let by = if by.is_empty() { "operator" } else { &by };
        run.note(now, format!("{by}: {}", text.trim()), &mut writes);
        engine.outbox.write(now, &mut writes);
        engine.progress(id).ok_or(Refusal::NoSuchRun(id))
    }
}

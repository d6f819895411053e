//! All runs over one scheduler: events in, effects out, the time as an argument.
//!
//! **Durability.** A record is applied when it is handed to the journal, but nobody is told before it is safe:
//! acknowledgements to workers wait for the commit (which survives the process), replies and watchers wait for the
//! sync (which survives the machine). Only work goes ahead: the next generation is handed out while the last one's
//! close is still on its way to the disk, because losing it costs time, never a result: the same generation would be
//! computed again.
//!
//! **Journal trouble.** While the journal cannot write, nothing new is handed out and every run shows itself paused
//! with the reason. That pause is not a record, since it could not be written; it ends with the trouble.
//!
//! **Searches.** What a generation's outcomes make of a search is computed beside the engine ([`Effect::Advance`]), so that
//! it answers meanwhile. Until it comes back ([`Event::Advanced`]) the generation stays open, with nothing left to hand out: a
//! pause, new limits or a fork's creation take effect at once, and the generation closes in that state. Of a run that was
//! cancelled it is dropped, and the generation never closes.
//!
//! **Ended runs.** Once all of a run that has ended is on the disk, a summary of it rests here and no more
//! ([`Engine::rest`]). A command that needs the whole run says so ([`Command::needs`]), and whoever drives the engine has it read first
//! ([`Engine::wake`]).
//!
//! **Stranded runs.** While workers are attached but none of them may work on a run (other numerics, other semantics,
//! rejected, quarantined), it shows itself paused with the reason. That pause is no record either but a fact about the
//! workers of this moment, and ends when one comes that may: after a restart of a mixed cluster the wrong worker may
//! well be the first to come back. Watchers are told by a note. A run without any workers just waits.

mod batch;
pub mod effect;
mod eligibility;
mod evaluation;
pub(crate) mod events;
mod exclusion;
mod generation;
mod hearing;
mod outbox;
mod resting;
mod retention;
mod story;
mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hebbian_proto::figures::RunState;
use hebbian_proto::v1::Leadership;
use hebbian_shared::dispatch::{Hello, ToWorker};
use hebbian_shared::id::{RunId, WorkerId};
use hebbian_shared::limits::{HEARTBEAT_INTERVAL, IDLE_HEARTBEAT_INTERVAL, RUNS_MAX, WORKERS_MAX};
use hebbian_shared::time::Timestamp;

use crate::command::{Command, Held, Refusal};
use crate::run::Run;
use crate::run::ended::Ended;
use crate::run::record::{LoadedRun, UnreadableRun};
use crate::run::recovery::TakenUp;
use crate::run::strategy::Strategies;
use crate::scheduler::{self, Action, Scheduler};
use batch::batch_max;
use effect::{Effect, Event};
use evaluation::Evaluation;
use events::Happening;
use outbox::Outbox;
pub use retention::Retention;

/// What steers the engine. Nothing here can change a result, unless it has strategies of its own.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What searches.
    pub strategies: Strategies,
    /// How often workers must be heard while they hold episodes.
    pub heartbeat_interval: Duration,
    /// How often while they hold none: a cluster that waits costs little.
    pub idle_heartbeat_interval: Duration,
    /// Leases, batches, hedges.
    pub scheduler: scheduler::Settings,
    /// How long settlements may wait to be committed together.
    pub group_commit: Duration,
    /// The most runs, ended ones included.
    pub runs_max: usize,
    /// The most attached workers.
    pub workers_max: usize,
    /// How long runs that have ended are kept.
    pub retention: Retention,
    /// Who leads, where others could.
    pub leadership: Option<Leadership>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            strategies: Strategies::default(),
            heartbeat_interval: HEARTBEAT_INTERVAL,
            idle_heartbeat_interval: IDLE_HEARTBEAT_INTERVAL,
            scheduler: scheduler::Settings::default(),
            group_commit: Duration::from_millis(20),
            runs_max: RUNS_MAX,
            workers_max: WORKERS_MAX,
            retention: Retention::default(),
            leadership: None,
        }
    }
}

/// Why the journal cannot be written.
struct JournalTrouble {
    /// For people.
    reason: String,
    /// Whether it has no room.
    is_full: bool,
}

pub(crate) struct WorkerEntry {
    pub(crate) hello: Hello,
    /// Runs and evaluations that were announced to it.
    pub(crate) specs: BTreeSet<RunId>,
    /// Whether it has lied: it gets nothing any more.
    pub(crate) excluded: bool,
}

/// See the module.
pub struct Engine {
    pub(crate) settings: Settings,
    epoch: u64,
    started: Timestamp,
    pub(crate) runs: BTreeMap<RunId, Run>,
    /// Runs that have ended and rest.
    ended: BTreeMap<RunId, Ended>,
    /// Runs that the journal holds and nobody can go on with.
    unreadable: BTreeMap<RunId, UnreadableRun>,
    pub(crate) evaluations: BTreeMap<RunId, Evaluation>,
    /// Runs in order of creation.
    pub(crate) order: Vec<RunId>,
    pub(crate) request_ids: BTreeMap<String, RunId>,
    pub(crate) workers: BTreeMap<WorkerId, WorkerEntry>,
    pub(crate) scheduler: Scheduler,
    pub(crate) outbox: Outbox,
    /// Why the journal could not write when it tried last.
    write_trouble: Option<JournalTrouble>,
    /// Why it cannot be reached, as it has said by itself.
    unreached: Option<String>,
    /// When the retention rules are to be looked at again.
    retire_at: Option<Timestamp>,
    /// When each run's notes last told of a lost worker.
    lost_told: BTreeMap<RunId, Timestamp>,
    /// What happened to workers lately.
    events: events::Events,
    /// Scratch: places of candidates in a batch's table of genomes.
    table: Vec<u32>,
}

impl Engine {
    /// The engine over what a journal holds, in order of creation. `epoch` is the journal's.
    pub fn recover(
        now: Timestamp,
        settings: Settings,
        epoch: u64,
        loaded: Vec<LoadedRun>,
    ) -> (Self, Vec<Effect>) {
        let strategies = settings.strategies;
        let taken_up = loaded.into_iter().map(|loaded| TakenUp::whole(now, loaded, strategies)).collect();
        Self::over(now, settings, epoch, taken_up)
    }

    /// The engine over runs that were taken up at the same moment, in order of creation.
    pub fn over(now: Timestamp, settings: Settings, epoch: u64, runs: Vec<TakenUp>) -> (Self, Vec<Effect>) {
        let mut engine = Self {
            scheduler: Scheduler::new(settings.scheduler.clone()),
            outbox: Outbox::new(settings.group_commit),
            settings,
            epoch,
            started: now,
            runs: BTreeMap::new(),
            ended: BTreeMap::new(),
            unreadable: BTreeMap::new(),
            evaluations: BTreeMap::new(),
            order: Vec::new(),
            request_ids: BTreeMap::new(),
            workers: BTreeMap::new(),
            write_trouble: None,
            unreached: None,
            retire_at: Some(now),
            lost_told: BTreeMap::new(),
            events: events::Events::default(),
            table: Vec::new(),
        };
        for run in runs {
            engine.take_up(now, run);
        }
        let mut effects = Vec::new();
        engine.finish(now, &mut effects);
        (engine, effects)
    }

    /// Goes on with a run, or shows it as failed if that is impossible.
    fn take_up(&mut self, now: Timestamp, taken_up: TakenUp) {
        match taken_up {
            TakenUp::Whole(run, mut writes) => {
                let id = run.id();
                self.outbox.already_durable(id, run.sequence() - writes.len() as u64);
                self.insert(*run);
                self.outbox.write(now, &mut writes);
                self.note_taken_up(now, id);
                self.open(now, id);
            }
            TakenUp::Ended(ended) => {
                self.outbox.already_durable(ended.id(), ended.sequence());
                self.insert_ended(*ended);
            }
            TakenUp::Unreadable(unreadable) => {
                self.order.push(unreadable.run);
                self.unreadable.insert(unreadable.run, unreadable);
            }
        }
    }

    /// Executes a command. [`Engine::settle`] gives what follows from it; until that was done, nobody is answered.
    pub fn execute<C: Command>(&mut self, now: Timestamp, command: C) -> Held<C::Answer> {
        let before = self.outbox.taken();
        let answer = command.execute(self, now);
        let until = (C::PROMISE && answer.is_ok()).then(|| self.outbox.hold_answer(before));
        Held { answer, until }
    }

    /// Takes an event; returns what is to be done, in order.
    pub fn handle(&mut self, now: Timestamp, event: Event) -> Vec<Effect> {
        self.take(now, event);
        self.settle(now)
    }

    /// Takes an event. Call [`Engine::settle`] before waiting for anything: several events that are there already are
    /// better taken together, so that what they set free is handed out at once.
    pub fn take(&mut self, now: Timestamp, event: Event) {
        match event {
            Event::FromWorker { worker, message } => self.hear(now, worker, message),
            Event::Detach { worker } => self.detach(now, worker),
            Event::Advanced(advanced) => self.advanced(now, *advanced),
            Event::Journalled { committed, synced } => {
                self.write_trouble = None;
                self.outbox.journalled(now, committed, synced);
            }
            Event::JournalFailed { reason, is_full } => {
                self.write_trouble = Some(JournalTrouble { reason, is_full });
            }
            Event::JournalReached { problem } => self.unreached = problem,
            Event::Tick => {}
        }
    }

    /// A worker is gone. One that fell silent was detached then, and now its stream has ended, too.
    fn detach(&mut self, now: Timestamp, worker: WorkerId) {
        let Some(load) = self.scheduler.load(worker) else { return };
        // A worker that has said good-bye is not lost, if it has given back all that it held.
        if load.draining && load.leased == 0 {
            self.happened(now, worker, Happening::Left, "");
        } else {
            let (how, why) = if load.draining {
                ("left", "it had not finished all that it held")
            } else {
                ("was lost", "its connection ended")
            };
            self.note_gone(now, worker, how, why);
            self.happened(now, worker, Happening::Lost, why);
        }
        self.workers.remove(&worker);
        let mut actions = Vec::new();
        self.scheduler.detach(worker, &mut actions);
        self.carry_out(now, actions);
    }

    /// The name of an attached worker.
    fn name_of(&self, worker: WorkerId) -> &str {
        &self.workers[&worker].hello.name
    }

    /// Says whether events are waiting that were not taken yet: a worker that seems silent may have spoken.
    pub fn set_behind(&mut self, behind: bool) {
        self.scheduler.set_behind(behind);
    }

    /// What is to be done after the events that were taken, in order.
    pub fn settle(&mut self, now: Timestamp) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.finish(now, &mut effects);
        effects
    }

    /// What still has to be written, at once: for the end of the process.
    pub fn flush(&mut self) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.outbox.flush(Timestamp(Duration::MAX), &mut effects);
        effects
    }

    /// When an [`Event::Tick`] is due, unless another event comes first.
    pub fn deadline(&self) -> Option<Timestamp> {
        [self.scheduler.deadline(), self.outbox.deadline(), self.retire_at].into_iter().flatten().min()
    }

    /// What every event ends with: the clock, the queue, the journal.
    fn finish(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        let mut actions = Vec::new();
        self.scheduler.tick(now, &mut actions);
        self.carry_out(now, actions);
        self.end_stranded_evaluations(now);
        if self.journal_trouble().is_none() {
            let mut actions = Vec::new();
            self.scheduler.dispatch(now, &mut actions);
            self.carry_out(now, actions);
        }
        self.retire(now);
        self.outbox.flush(now, effects);
    }

    /// Why nothing can be written at the moment.
    pub fn journal_trouble(&self) -> Option<&str> {
        let failed = self.write_trouble.as_ref().map(|trouble| trouble.reason.as_str());
        failed.or(self.unreached.as_deref())
    }

    /// Refuses what cannot be written at the moment.
    pub fn check_journal(&self) -> Result<(), Refusal> {
        self.journal_trouble().map_or(Ok(()), |reason| Err(Refusal::Journal(reason.to_owned())))
    }

    /// The same of what frees room, which a full disk takes all the same.
    pub(crate) fn check_journal_for_room(&self) -> Result<(), Refusal> {
        if self.write_trouble.as_ref().is_some_and(|trouble| trouble.is_full) {
            Ok(())
        } else {
            self.check_journal()
        }
    }

    pub(crate) fn insert(&mut self, run: Run) {
        self.order.push(run.id());
        let request_id = &run.created().request_id;
        if !request_id.is_empty() {
            self.request_ids.insert(request_id.clone(), run.id());
        }
        self.runs.insert(run.id(), run);
    }

    /// Gives a run to the scheduler, unless it has ended.
    pub(crate) fn open(&mut self, now: Timestamp, id: RunId) {
        let run = &self.runs[&id];
        if run.state().is_final() {
            return;
        }
        self.scheduler.open(
            id,
            run.created().weight,
            batch_max(run.dimension(), run.spec().problem.external().is_some()),
        );
        self.scheduler.set_tolerance(id, run.tolerance());
        if matches!(run.state(), RunState::Paused(_)) {
            self.scheduler.pause(id);
        }
        self.admit_all(now, id);
        self.begin_generation(now, id);
        self.close_generation(now, id);
    }

    /// Notes something of a run; of an evaluation nothing is kept.
    fn note(&mut self, now: Timestamp, id: RunId, text: String) {
        let Some(run) = self.runs.get_mut(&id) else { return };
        let mut writes = Vec::new();
        run.note(now, text, &mut writes);
        self.outbox.write(now, &mut writes);
    }

    pub(super) fn carry_out(&mut self, now: Timestamp, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Dispatch { worker, run, generation, purpose, block, episodes, .. } => {
                    self.send_batch(worker, run, generation, (purpose, block), &episodes);
                }
                Action::Withdraw { worker, run, up_to } => {
                    self.outbox.now(Effect::Send { worker, message: ToWorker::Withdraw { run, up_to } });
                }
                Action::Expired { worker, why } => {
                    self.note_gone(now, worker, "was lost", &why);
                    self.happened(now, worker, Happening::FellSilent, &why);
                    self.workers.remove(&worker);
                    self.outbox.now(Effect::Close { worker, reason: why });
                }
                Action::Overtaken { worker, run, ever } => {
                    self.note_overtaken(now, worker, run, ever);
                    self.happened(now, worker, Happening::Silent, "others finished all that it held");
                }
                Action::Lied { worker, run } => self.exclude(now, worker, run),
                Action::Exhausted { run, reason } if self.runs.contains_key(&run) => {
                    self.pause(now, run, reason);
                }
                Action::Exhausted { run, reason } => self.end_evaluation(now, run, Err(reason)),
                Action::Barred { run, worker, reason } => {
                    let name = self.name_of(worker);
                    let text = format!("worker {name} may no longer work on this run: {reason}");
                    self.note(now, run, text);
                    self.happened(now, worker, Happening::Barred, &reason);
                    self.note_if_stranded(now, run);
                }
            }
        }
    }

    fn pause(&mut self, now: Timestamp, id: RunId, reason: String) {
        let run = self.runs.get_mut(&id).expect("only a run that is there is paused");
        if *run.state() == RunState::RUNNING {
            let mut writes = Vec::new();
            run.change_state(now, RunState::paused(reason), &mut writes);
            self.scheduler.pause(id);
            self.outbox.write(now, &mut writes);
        }
    }

    /// Checks what must hold after every event.
    ///
    /// # Panics
    /// If it does not hold.
    pub fn check_invariants(&self) {
        self.scheduler.check_invariants();
        self.check_evaluations();
        for (&id, run) in &self.runs {
            let progress = run.progress();
            // What nobody has begun of an asynchronous generation is dropped while its search advances.
            let drops = run.is_asynchronous() && run.is_advancing();
            if !run.state().is_final() && !drops {
                let open = progress.generation_episodes - progress.settled_episodes;
                assert_eq!(self.scheduler.unsettled(id), open, "scheduler and run agree on what is open");
            }
        }
    }
}

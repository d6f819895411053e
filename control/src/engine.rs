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
//! **Stranded runs.** While workers are attached but none of them may work on a run (other numerics, other semantics,
//! rejected, quarantined), it shows itself paused with the reason. That pause is no record either but a fact about the
//! workers of this moment, and ends when one comes that may: after a restart of a mixed cluster the wrong worker may
//! well be the first to come back. Watchers are told by a note. A run without any workers just waits.

pub mod effect;
mod eligibility;
mod evaluation;
mod exclusion;
mod hearing;
mod outbox;
mod retention;
mod story;
mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use hebbian_proto::figures::RunState;
use hebbian_shared::dispatch::{Assignment, Batch, BatchGenome, Hello, ToWorker};
use hebbian_shared::episode::{EpisodePurpose, Wants};
use hebbian_shared::id::{BlockIndex, CandidateIndex, GenerationIndex, RunId, TaskIndex, WorkerId};
use hebbian_shared::limits::{
    BATCH_GENOME_BYTES_MAX, HEARTBEAT_INTERVAL, IDLE_HEARTBEAT_INTERVAL, RUNS_MAX, WORKERS_MAX,
};
use hebbian_shared::spec::Numerics;
use hebbian_shared::time::Timestamp;

use crate::command::{Command, Held, Refusal};
use crate::run::record::{LoadedRun, UnreadableRun, Write};
use crate::run::strategy::Strategies;
use crate::run::{Advanced, Run, RunError};
use crate::scheduler::{self, Action, Scheduler};
use effect::{Effect, Event};
use evaluation::Evaluation;
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
        }
    }
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
    /// Runs that the journal holds and nobody can go on with.
    unreadable: BTreeMap<RunId, UnreadableRun>,
    pub(crate) evaluations: BTreeMap<RunId, Evaluation>,
    /// Runs in order of creation.
    pub(crate) order: Vec<RunId>,
    pub(crate) request_ids: BTreeMap<String, RunId>,
    pub(crate) workers: BTreeMap<WorkerId, WorkerEntry>,
    pub(crate) scheduler: Scheduler,
    pub(crate) outbox: Outbox,
    pub(crate) trouble: Option<String>,
    /// When the retention rules are to be looked at again.
    retire_at: Option<Timestamp>,
    /// When each run's notes last told of a lost worker.
    lost_told: BTreeMap<RunId, Timestamp>,
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
        let mut engine = Self {
            scheduler: Scheduler::new(settings.scheduler.clone()),
            outbox: Outbox::new(settings.group_commit),
            settings,
            epoch,
            started: now,
            runs: BTreeMap::new(),
            unreadable: BTreeMap::new(),
            evaluations: BTreeMap::new(),
            order: Vec::new(),
            request_ids: BTreeMap::new(),
            workers: BTreeMap::new(),
            trouble: None,
            retire_at: Some(now),
            lost_told: BTreeMap::new(),
            table: Vec::new(),
        };
        for loaded in loaded {
            engine.take_up(now, loaded);
        }
        let mut effects = Vec::new();
        engine.finish(now, &mut effects);
        (engine, effects)
    }

    /// Goes on with a run, or shows it as failed if that is impossible.
    fn take_up(&mut self, now: Timestamp, loaded: LoadedRun) {
        let mut writes = Vec::new();
        let recovered = loaded.and_then(|stored| {
            let (name, created_unix_ms) = (stored.created.spec.name.clone(), stored.created.created_unix_ms);
            let recovered = Run::recover(now, stored, self.settings.strategies, &mut writes);
            recovered.map_err(|RunError { run, problem }| UnreadableRun {
                run,
                name,
                created_unix_ms,
                problem,
            })
        });
        match recovered {
            Ok(run) => {
                let id = run.id();
                self.outbox.already_durable(id, run.sequence());
                self.insert(run);
                self.outbox.write(now, &mut writes);
                self.note_taken_up(now, id);
                self.open(now, id);
            }
            Err(unreadable) => {
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
            Event::Detach { worker } => {
                // A worker that has said good-bye is not lost, if it has given back all that it held.
                match self.scheduler.load(worker) {
                    Some(load) if load.draining && load.leased > 0 => {
                        self.note_gone(now, worker, "left", "it had not finished all that it held");
                    }
                    Some(load) if !load.draining => {
                        self.note_gone(now, worker, "was lost", "its connection ended");
                    }
                    _ => {}
                }
                self.workers.remove(&worker);
                let mut actions = Vec::new();
                self.scheduler.detach(worker, &mut actions);
                self.carry_out(now, actions);
            }
            Event::Advanced(advanced) => self.advanced(now, *advanced),
            Event::Journalled { committed, synced } => {
                self.trouble = None;
                self.outbox.journalled(now, committed, synced);
            }
            Event::JournalFailed { reason } => self.trouble = Some(reason),
            Event::Tick => {}
        }
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
        if self.trouble.is_none() {
            let mut actions = Vec::new();
            self.scheduler.dispatch(now, &mut actions);
            self.carry_out(now, actions);
        }
        self.retire(now);
        self.outbox.flush(now, effects);
    }

    pub(crate) fn check_journal(&self) -> Result<(), Refusal> {
        self.trouble.clone().map_or(Ok(()), |reason| Err(Refusal::Journal(reason)))
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
        self.scheduler.open(id, run.created().weight, batch_max(run.dimension()));
        let exact = run.spec().numerics == Numerics::Uniform && run.fingerprint().is_some();
        self.scheduler.set_exact(id, exact);
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

    pub(crate) fn delete(&mut self, now: Timestamp, id: RunId, retired: bool) {
        let run = self.runs.remove(&id);
        if run.is_some() || self.unreadable.remove(&id).is_some() {
            self.order.retain(|other| *other != id);
            if let Some(run) = run {
                self.request_ids.remove(&run.created().request_id);
            }
            self.lost_told.remove(&id);
            self.outbox.write(now, &mut vec![Write::Delete { run: id }]);
            self.outbox.after_sync(Effect::Deleted { run: id, retired });
        }
    }

    /// Takes a run from the scheduler.
    pub(crate) fn end(&mut self, now: Timestamp, id: RunId) {
        self.close_job(now, id);
        self.retire_at = Some(now);
    }

    fn close_job(&mut self, now: Timestamp, id: RunId) {
        let mut actions = Vec::new();
        self.scheduler.close(now, id, &mut actions);
        self.carry_out(now, actions);
        for worker in self.workers.values_mut() {
            worker.specs.remove(&id);
        }
    }

    /// Has the search advance if the open generation is complete; ends the run whose result is measured. Of what is no run
    /// (any more), reports close nothing.
    pub(crate) fn close_generation(&mut self, now: Timestamp, id: RunId) {
        let Some(run) = self.runs.get_mut(&id) else { return };
        if !run.is_complete() || run.state().is_final() || run.is_advancing() {
            return;
        }
        if run.search_ended().is_some() {
            let mut writes = Vec::new();
            run.finish(now, &mut writes);
            self.outbox.write(now, &mut writes);
            return self.end(now, id);
        }
        match run.advance() {
            Some(advance) => {
                self.outbox.now(Effect::Advance(Box::new(advance)));
                let mut actions = Vec::new();
                self.scheduler.withdraw(now, id, &mut actions);
                self.carry_out(now, actions);
            }
            None => self.pause(now, id, "its search was lost; start the coordinator again".to_owned()),
        }
    }

    /// Closes the generation with what its outcomes made of the search, and begins the next one. What comes to a run that was
    /// ended or deleted meanwhile is dropped.
    fn advanced(&mut self, now: Timestamp, advanced: Advanced) {
        let (id, generation) = advanced.place();
        let Some(run) = self.runs.get_mut(&id).filter(|run| run.awaits(&advanced)) else { return };
        let mut writes = Vec::new();
        let closed = run.close(now, advanced, &mut writes);
        self.outbox.write(now, &mut writes);
        match closed {
            Ok(()) => self.begin_generation(now, id),
            Err(problem) => {
                self.pause(now, id, format!("generation {generation} could not be closed: {problem}"));
            }
        }
    }

    /// Hands the open generation's episodes to the scheduler: those of the search, or, if a criterion is met, those that
    /// measure its result.
    pub(crate) fn begin_generation(&mut self, now: Timestamp, id: RunId) {
        let run = self.runs.get_mut(&id).expect("a generation is begun of a run that is there");
        let mut writes = Vec::new();
        if run.search_ended().is_none()
            && let Some(reason) = run.stop_reason(now, &mut writes)
        {
            run.end_search(now, reason, &mut writes);
        }
        self.outbox.write(now, &mut writes);
        self.submit(now, id);
    }

    /// Hands what is open of a run's generation to the scheduler.
    pub(super) fn submit(&mut self, now: Timestamp, id: RunId) {
        let run = &self.runs[&id];
        let mut actions = Vec::new();
        let settled = |purpose, candidate, task| run.has_settled(purpose, candidate, task);
        self.scheduler.submit(now, id, run.generation(), &run.portions(), settled, &mut actions);
        self.carry_out(now, actions);
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
                    self.workers.remove(&worker);
                    self.outbox.now(Effect::Close { worker, reason: why });
                }
                Action::Overtaken { worker, run, ever } => self.note_overtaken(now, worker, run, ever),
                Action::Lied { worker, run } => self.exclude(now, worker, run),
                Action::Exhausted { run, reason } if self.runs.contains_key(&run) => {
                    self.pause(now, run, reason);
                }
                Action::Exhausted { run, reason } => self.end_evaluation(now, run, Err(reason)),
                Action::Barred { run, worker, reason } => {
                    let name = self.workers.get(&worker).map_or("?", |entry| entry.hello.name.as_str());
                    let text = format!("worker {name} may no longer work on this run: {reason}");
                    self.note(now, run, text);
                    self.note_if_stranded(now, run);
                }
            }
        }
    }

    fn pause(&mut self, now: Timestamp, id: RunId, reason: String) {
        let Some(run) = self.runs.get_mut(&id) else { return };
        if *run.state() == RunState::RUNNING {
            let mut writes = Vec::new();
            run.change_state(now, RunState::paused(reason), &mut writes);
            self.scheduler.pause(id);
            self.outbox.write(now, &mut writes);
        }
    }

    fn send_batch(
        &mut self,
        worker: WorkerId,
        id: RunId,
        generation: GenerationIndex,
        (purpose, block): (EpisodePurpose, BlockIndex),
        episodes: &[(CandidateIndex, TaskIndex)],
    ) {
        let entry = self.workers.get_mut(&worker).expect("work is given to who is attached");
        let (layout, wants, candidates, announcement) = if let Some(run) = self.runs.get(&id) {
            debug_assert_eq!(run.generation(), generation, "only the open generation is dispatched");
            let announcement = ToWorker::Spec { run: id, spec: Arc::clone(run.spec()) };
            (run.layout_digest(), run.wants(purpose), run.genomes(purpose), announcement)
        } else if let Some(evaluation) = self.evaluations.get(&id) {
            (evaluation.digest, Wants::default(), &evaluation.genomes[..], evaluation.announcement(id))
        } else {
            unreachable!("work is of a run or of an evaluation");
        };
        if entry.specs.insert(id) {
            self.outbox.now(Effect::Send { worker, message: announcement });
        }
        self.table.clear();
        self.table.resize(candidates.len(), u32::MAX);
        let mut genomes = Vec::new();
        let mut assignments = Vec::with_capacity(episodes.len());
        for &(candidate, task) in episodes {
            let place = &mut self.table[candidate.as_usize()];
            if *place == u32::MAX {
                *place = genomes.len() as u32;
                genomes
                    .push(BatchGenome { candidate, genome: Arc::clone(&candidates[candidate.as_usize()]) });
            }
            assignments.push(Assignment { genome: *place, task });
        }
        let batch = Batch { run: id, layout, generation, purpose, block, wants, genomes, assignments };
        self.outbox.now(Effect::Send { worker, message: ToWorker::Batch(batch) });
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
            if !run.state().is_final() {
                let open = progress.generation_episodes - progress.settled_episodes;
                assert_eq!(self.scheduler.unsettled(id), open, "scheduler and run agree on what is open");
            }
        }
    }
}

/// The most episodes of a batch: their genomes, all of them different at worst, are one message.
fn batch_max(dimension: usize) -> u32 {
    (BATCH_GENOME_BYTES_MAX / (8 * dimension.max(1))).max(1) as u32
}

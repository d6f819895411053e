//! The async shell around the engine: one inbox, one clock, one journal thread; effects are carried out in order.
//!
//! Nothing here decides anything. The driver never waits for a disk, a worker or a client: the journal has its own
//! thread, a worker that does not read its outbox is detached, and each watcher is a task of its own that reads
//! committed events from the journal at its own pace.

pub mod evaluating;
mod group;
pub mod handing_over;
mod journal_thread;
mod phases;
pub mod reading;
mod search_threads;
mod traces;
mod waking;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, mpsc as thread_mpsc};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hebbian_control::command::worker::Attach;
use hebbian_control::command::{Command, Held, Refusal};
use hebbian_control::engine::effect::{Effect, Event, Scored, Ticket};
use hebbian_control::engine::{self, Engine};
use hebbian_control::run::recovery::TakenUp;
use hebbian_control::run::{Advance, Advanced};
use hebbian_shared::dispatch::ToWorker;
use hebbian_shared::id::{RunId, WorkerId};
use hebbian_shared::limits::WATCHERS_MAX;
use hebbian_shared::time::Timestamp;
use hebbian_trace::Tracer;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

pub use crate::handle::secret;
use crate::handle::{Handle, Inbox, Outgoing, Reply, Request};
use crate::journal::clock::implausible;
use crate::journal::{Journal, JournalError};
use crate::timing::Timings;
use journal_thread::{JournalRequest, Said};
use phases::Phases;
use traces::Traces;
use waking::Woken;

/// What steers the driver. Nothing here can change a result.
#[derive(Clone, Debug)]
pub struct DriverSettings {
    /// Heartbeats, leases, batches, limits.
    pub engine: engine::Settings,
    /// The most watchers of all runs together.
    pub watchers_max: usize,
    /// Whether somebody says that the clock is right, however far it is from the journal's last change.
    pub clock_confirmed: bool,
    /// Who wants to know what is done when.
    pub tracer: Tracer,
}

impl Default for DriverSettings {
    fn default() -> Self {
        Self {
            engine: engine::Settings::default(),
            watchers_max: WATCHERS_MAX,
            clock_confirmed: false,
            tracer: Tracer::default(),
        }
    }
}

impl DriverSettings {
    /// For workers that are threads of this very process: whatever held it up, a stopped process or a busy machine, has lost none
    /// of them.
    pub fn in_one_process() -> Self {
        let mut settings = Self::default();
        settings.engine.scheduler.detaches_silent = false;
        settings
    }
}

/// Why a driver did not start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// No thread for the journal or the searches.
    #[error("the coordinator's threads could not be started: {0}")]
    Thread(String),
}

/// Reads the journal, takes up its runs and starts the driver. The task ends after [`Handle::shut_down`], when the last
/// handle is dropped, or when the journal can no longer be used (then with an error in the log).
pub async fn start(
    mut settings: DriverSettings,
    mut journal: Box<dyn Journal>,
) -> Result<(Handle, JoinHandle<()>), StartError> {
    let now = SystemTime::now();
    let origin = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let strategies = settings.engine.strategies;
    let read = tokio::task::spawn_blocking(move || {
        let mut runs = Vec::new();
        // One after the other: what is read of a run that has ended is more than what is kept of it.
        let read = journal
            .standing_each(&mut |stored| runs.push(TakenUp::of(Timestamp(origin), stored, strategies)));
        (journal, read.map(|()| runs))
    });
    let (mut journal, runs) = read.await.map_err(|error| StartError::Thread(error.to_string()))?;
    let epoch = journal.epoch();
    let jump = journal.last_written().and_then(|last| implausible(now, last));
    if let Some(jump) = jump.filter(|_| !settings.clock_confirmed) {
        journal.distrust_clock();
        settings.engine.retention.keep_for = None;
        tracing::warn!(
            journal = journal.store(),
            "the clock shows a moment {jump} the journal's last change; no run is deleted by its age until somebody says that \
             the clock is right (--clock-confirmed)"
        );
    }
    let (engine, effects) = Engine::over(Timestamp(origin), settings.engine.clone(), epoch, runs?);
    for (run, problem) in engine.unreadable() {
        tracing::error!(journal = journal.store(), %run, problem, "this run cannot be read; `status` shows it as failed");
    }
    let (said, journal_said) = mpsc::unbounded_channel();
    let thread = |error: std::io::Error| StartError::Thread(error.to_string());
    let (advanced, searched) = mpsc::unbounded_channel();
    let (woken, waking) = mpsc::unbounded_channel();
    let (mut handle, inbox) = Handle::new(settings.engine.strategies);
    handle.tracer = settings.tracer.clone();
    let timings = Arc::clone(&handle.timings);
    let searches = search_threads::spawn(&advanced, &timings).map_err(thread)?;
    let stepping_down = inbox.stepping_down.clone();
    let jobs = journal_thread::spawn(journal, said, Arc::clone(&timings)).map_err(thread)?;
    let driver = Driver {
        watchers: Arc::new(Semaphore::new(settings.watchers_max)),
        watching: reading::Watching::default(),
        traces: Traces::new(settings.tracer.clone()),
        phases: Phases::new(Arc::clone(&timings)),
        settings,
        engine,
        started: Instant::now(),
        origin,
        jobs,
        searches,
        woken,
        outboxes: BTreeMap::new(),
        held: BTreeMap::new(),
        published: BTreeMap::new(),
        evaluations: BTreeMap::new(),
        next_worker: 1,
        timings,
        stepping_down,
        events: VecDeque::new(),
    };
    Ok((handle, tokio::spawn(driver.run(inbox, (journal_said, searched, waking), effects))))
}

/// Requests that are taken together before anything is handed out: those that wait already.
const REQUESTS_AT_ONCE: usize = 64;

/// Something that the driver can be asked: every [`Command`], and what is in [`reading`].
pub trait Ask: Send + 'static {
    /// What answers it.
    type Answer: Send + 'static;

    /// Has the driver answer.
    fn ask(self, driver: &mut Driver, reply: Reply<Self::Answer>);
}

impl<C: Command> Ask for C {
    type Answer = C::Answer;

    fn ask(self, driver: &mut Driver, reply: Reply<C::Answer>) {
        driver.execute(self, reply);
    }
}

/// What the journal's thread says, searches that have advanced, and runs that were read again.
type Heard =
    (mpsc::UnboundedReceiver<Said>, mpsc::UnboundedReceiver<Box<Advanced>>, mpsc::UnboundedReceiver<Woken>);

/// The driver: see the module.
pub struct Driver {
    settings: DriverSettings,
    engine: Engine,
    started: Instant,
    /// The time of day at the start. Later jumps of that clock change nothing.
    origin: Duration,
    jobs: thread_mpsc::Sender<JournalRequest>,
    searches: thread_mpsc::Sender<Box<Advance>>,
    /// What is to be done with runs that were read again.
    woken: mpsc::UnboundedSender<Woken>,
    outboxes: BTreeMap<WorkerId, mpsc::Sender<Outgoing>>,
    /// Answers that wait for the disk.
    held: BTreeMap<Ticket, Box<dyn FnOnce() + Send>>,
    /// The durable sequence number of each run, as its watchers see it.
    published: BTreeMap<RunId, watch::Sender<u64>>,
    watchers: Arc<Semaphore>,
    watching: reading::Watching,
    /// The clients of evaluations.
    evaluations: BTreeMap<RunId, mpsc::UnboundedSender<Result<Vec<Scored>, String>>>,
    next_worker: u64,
    timings: Arc<Timings>,
    traces: Traces,
    phases: Phases,
    /// Whether this coordinator gives way to another one.
    stepping_down: watch::Sender<bool>,
    /// Events that effects gave rise to.
    events: VecDeque<Event>,
}

impl Driver {
    async fn run(
        mut self,
        mut inbox: Inbox,
        (mut journal, mut searched, mut waking): Heard,
        effects: Vec<Effect>,
    ) {
        self.carry_out(effects);
        let mut requests = Vec::with_capacity(REQUESTS_AT_ONCE);
        loop {
            while let Some(event) = self.events.pop_front() {
                self.handle(event);
            }
            inbox.tell_trouble(self.engine.journal_trouble());
            let deadline =
                self.engine.deadline().map(|deadline| self.started + deadline.0.saturating_sub(self.origin));
            let tick = async {
                match deadline {
                    Some(deadline) => tokio::time::sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                said = journal.recv() => match said {
                    Some(Said::Event(event)) => {
                        if matches!(event, Event::JournalReached { problem: None }) {
                            self.job(JournalRequest::TryAgain);
                        }
                        self.handle(event);
                    }
                    Some(Said::Ended(error)) => {
                        tracing::error!(%error, "the journal cannot be used any more; the coordinator ends");
                        return;
                    }
                    None => {
                        tracing::error!("the journal's thread has ended; the coordinator ends");
                        return;
                    }
                },
                Some(advanced) = searched.recv() => self.handle(Event::Advanced(advanced)),
                Some(woken) = waking.recv() => {
                    woken(&mut self);
                    self.settle();
                }
                count = inbox.recv_many(&mut requests, REQUESTS_AT_ONCE) => {
                    if count == 0 {
                        return self.shut_down(None).await;
                    }
                    for request in requests.drain(..) {
                        match request {
                            Request::ShutDown { reply } => return self.shut_down(Some(reply)).await,
                            request => self.request(request),
                        }
                    }
                    self.engine.set_behind(inbox.is_behind());
                    self.settle();
                }
                () = tick => {
                    self.engine.set_behind(inbox.is_behind());
                    self.handle(Event::Tick);
                }
            }
        }
    }

    fn now(&self) -> Timestamp {
        Timestamp(self.origin + self.started.elapsed())
    }

    fn handle(&mut self, event: Event) {
        match &event {
            Event::Advanced(advanced) => {
                self.traces.advanced(advanced.place());
                self.phases.advanced(advanced.place().0, Instant::now());
            }
            Event::Journalled { synced, .. } => {
                self.traces.synced(*synced);
                self.phases.synced(*synced, Instant::now());
            }
            Event::Detach { worker } => self.gone(*worker),
            _ => {}
        }
        self.engine.take(self.now(), event);
        self.settle();
    }

    /// Carries out what follows from the events that the engine has taken.
    fn settle(&mut self) {
        let effects = self.engine.settle(self.now());
        self.carry_out(effects);
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        let mut short = Vec::new();
        for effect in effects {
            match effect {
                Effect::Commit(transaction) => {
                    self.traces.commits(&transaction);
                    self.phases.commits(&transaction, Instant::now());
                    self.job(JournalRequest::Commit(transaction));
                }
                Effect::Send { worker, message } => self.send(worker, message),
                Effect::Close { worker, reason } => {
                    tracing::warn!(%worker, reason, "worker detached");
                    self.outboxes.remove(&worker);
                    self.gone(worker);
                }
                Effect::Advance(advance) => {
                    self.traces.advances(advance.place());
                    self.phases.advances(advance.place().0, Instant::now());
                    if advance.is_short() {
                        short.push(advance);
                    } else {
                        // The threads live as long as this sender.
                        let _ = self.searches.send(advance);
                    }
                }
                Effect::Publish { run, sequence } => {
                    let published = self.published.entry(run).or_insert_with(|| watch::Sender::new(0));
                    published.send_replace(sequence);
                    self.engine.rest(run, sequence);
                }
                Effect::Deleted { run, retired } => {
                    if retired {
                        tracing::info!(%run, "the retention rules deleted this run");
                    }
                    self.published.remove(&run);
                }
                Effect::Scored { evaluation, scored } => self.scored(evaluation, scored),
                Effect::EvaluationEnded { evaluation, end } => self.evaluation_ended(evaluation, end),
                Effect::Answer(ticket) => {
                    if let Some(tell) = self.held.remove(&ticket) {
                        tell();
                    }
                }
            }
        }
        // When everything else is on its way.
        let timings = &self.timings;
        let advanced = short.into_iter().map(|advance| search_threads::compute(advance, timings));
        self.events.extend(advanced.map(Event::Advanced));
    }

    /// What is told of a worker ends with it.
    fn gone(&mut self, worker: WorkerId) {
        self.traces.gone(worker);
        self.phases.gone(worker);
    }

    fn job(&self, job: JournalRequest) {
        // If the thread is gone, what it said last ends the driver.
        let _ = self.jobs.send(job);
    }

    fn send(&mut self, worker: WorkerId, message: ToWorker) {
        // One that has gone, of which the engine hears next.
        let Some(outbox) = self.outboxes.get(&worker) else { return };
        let trace = self.traces.sends(worker, &message);
        if let ToWorker::Batch(batch) = &message {
            self.phases.sends(batch.run, Instant::now());
        }
        if let Err(error) = outbox.try_send(Outgoing { message, trace }) {
            let reason = match error {
                mpsc::error::TrySendError::Full(_) => "the worker does not read its messages",
                mpsc::error::TrySendError::Closed(_) => "the worker's stream is closed",
            };
            tracing::warn!(%worker, reason, "worker detached");
            self.outboxes.remove(&worker);
            self.events.push_back(Event::Detach { worker });
        }
    }

    /// Takes a request; [`Driver::settle`] follows.
    fn request(&mut self, request: Request) {
        match request {
            Request::Ask(ask) => ask(self),
            Request::Attach { hello, peer, outbox, reply } => {
                let worker = WorkerId(self.next_worker);
                self.next_worker += 1;
                tracing::info!(%worker, name = hello.name, threads = hello.threads, peer, "worker attached");
                let threads = hello.threads;
                let attached = self.engine.execute(self.now(), Attach { worker, hello }).answer;
                if attached.is_ok() {
                    self.outboxes.insert(worker, outbox);
                    self.phases.attached(worker, threads);
                }
                // Whoever else asked may have gone; only a worker's absence has consequences.
                if reply.send(attached).is_err() && self.outboxes.remove(&worker).is_some() {
                    self.events.push_back(Event::Detach { worker });
                }
            }
            Request::FromWorker { worker, message } => {
                self.traces.hears(worker, &message);
                self.phases.hears(&message);
                self.engine.take(self.now(), Event::FromWorker { worker, message });
            }
            Request::Detach { worker, reason } => {
                if self.outboxes.remove(&worker).is_some() {
                    tracing::info!(%worker, reason, "worker detached");
                    self.gone(worker);
                    self.engine.take(self.now(), Event::Detach { worker });
                }
            }
            Request::ShutDown { .. } => unreachable!("the loop takes it"),
        }
    }

    /// Executes a command, when what it needs is there.
    fn execute<C: Command>(&mut self, command: C, reply: Reply<C::Answer>) {
        match command.needs().filter(|run| self.engine.is_resting(*run)) {
            Some(run) => self.wake(run, command, reply),
            None => self.execute_now(command, reply),
        }
    }

    /// Executes a command; the answer goes when it may.
    fn execute_now<C: Command>(&mut self, command: C, reply: Reply<C::Answer>) {
        let Held { answer, until } = self.engine.execute(self.now(), command);
        let tell = move || {
            // Whoever asked may have gone.
            let _ = reply.send(answer);
        };
        match until {
            Some(ticket) => drop(self.held.insert(ticket, Box::new(tell))),
            None => tell(),
        }
    }

    /// Reads what is asked about a run from the journal.
    fn read<T: Send + 'static>(
        &self,
        run: RunId,
        reply: Reply<T>,
        read: impl FnOnce(&mut dyn Journal) -> Result<T, Refusal> + Send + 'static,
    ) {
        if self.engine.knows(run) {
            self.job(JournalRequest::Read(Box::new(move |journal| drop(reply.send(read(journal))))));
        } else {
            let _ = reply.send(Err(Refusal::NoSuchRun(run)));
        }
    }

    async fn shut_down(mut self, reply: Option<Reply<()>>) {
        let effects = self.engine.flush();
        self.carry_out(effects);
        self.outboxes.clear();
        let (answer, closed) = oneshot::channel();
        self.job(JournalRequest::Close { answer });
        let closed = closed.await.unwrap_or(Err(Refusal::Journal("its thread has ended".into())));
        if let Err(error) = &closed {
            tracing::error!(%error, "the journal was not closed properly");
        }
        if let Some(reply) = reply {
            let _ = reply.send(closed);
        }
    }
}

//! The async shell around the engine: one inbox, one clock, one journal thread; effects are carried out in order.
//!
//! Nothing here decides anything. The driver never waits for a disk, a worker or a client: the journal has its own
//! thread, a worker that does not read its outbox is detached, and each watcher is a task of its own that reads
//! committed events from the journal at its own pace.

mod journal_thread;

use std::collections::{BTreeMap, VecDeque};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::{Arc, mpsc as thread_mpsc};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hebbian_shared::dispatch::{ToWorker, Welcome};
use hebbian_shared::id::{RunId, WorkerId};
use hebbian_shared::progress::{RunEvent, RunProgress, RunResult, WorkerStatus};
use hebbian_shared::time::Timestamp;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::handle::{Handle, HandleError, Inbox, Request, SequencedEvent, WATCH_LENGTH, Watch};
use crate::journal::{Journal, JournalError};
use hebbian_control::engine::effect::{Effect, Event, Reply, Ticket};
use hebbian_control::engine::{self, Engine};
use hebbian_control::run::RunError;
use journal_thread::{Job, Said};

/// What steers the driver. Nothing here can change a result.
#[derive(Clone, Debug)]
pub struct DriverSettings {
    /// Heartbeats, leases, batches, limits.
    pub engine: engine::Settings,
    /// The most watchers of all runs together.
    pub watchers_max: usize,
    /// The most generations of one answer.
    pub page_max: u32,
}

impl Default for DriverSettings {
    fn default() -> Self {
        Self { engine: engine::Settings::default(), watchers_max: 1024, page_max: 1000 }
    }
}

/// Why a driver did not start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The journal holds a run that this program cannot take up.
    #[error("{store}: this journal holds a run that cannot be taken up: {problem}")]
    Run {
        /// The journal.
        store: String,
        /// The run, and what stands against it.
        problem: RunError,
    },
    /// No thread for the journal.
    #[error("the journal's thread could not be started: {0}")]
    Thread(String),
}

/// Reads the journal, takes up its runs and starts the driver. The task ends after [`Handle::shut_down`], when the last
/// handle is dropped, or when the journal can no longer be used (then with an error in the log).
pub async fn start(
    settings: DriverSettings,
    mut journal: Box<dyn Journal>,
) -> Result<(Handle, JoinHandle<()>), StartError> {
    let read = tokio::task::spawn_blocking(move || {
        let stored = journal.load();
        (journal, stored)
    });
    let (journal, stored) = read.await.map_err(|error| StartError::Thread(error.to_string()))?;
    let epoch = journal.epoch();
    let origin = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let recovered = Engine::recover(Timestamp(origin), settings.engine.clone(), epoch, stored?);
    let (engine, effects) =
        recovered.map_err(|problem| StartError::Run { store: journal.store().to_owned(), problem })?;
    let (said, journal_said) = mpsc::unbounded_channel();
    let jobs = journal_thread::spawn(journal, said).map_err(|error| StartError::Thread(error.to_string()))?;
    let (handle, inbox) = Handle::new();
    let driver = Driver {
        watchers: Arc::new(Semaphore::new(settings.watchers_max)),
        settings,
        engine,
        started: Instant::now(),
        origin,
        jobs,
        outboxes: BTreeMap::new(),
        waiting: BTreeMap::new(),
        published: BTreeMap::new(),
        next_ticket: 0,
        next_worker: 1,
        events: VecDeque::new(),
    };
    Ok((handle, tokio::spawn(driver.run(inbox, journal_said, effects))))
}

type Answer<T> = oneshot::Sender<Result<T, HandleError>>;

/// Requests that are taken together before anything is handed out: those that wait already.
const REQUESTS_AT_ONCE: usize = 64;

/// Who waits for the reply to a ticket.
enum Waiting {
    Progress(Answer<RunProgress>),
    Result(Answer<RunResult>),
    Welcome(WorkerId, Answer<Welcome>),
    Worker(Answer<WorkerStatus>),
}

struct Driver {
    settings: DriverSettings,
    engine: Engine,
    started: Instant,
    /// The time of day at the start. Later jumps of that clock change nothing.
    origin: Duration,
    jobs: thread_mpsc::Sender<Job>,
    outboxes: BTreeMap<WorkerId, mpsc::Sender<Arc<ToWorker>>>,
    waiting: BTreeMap<Ticket, Waiting>,
    /// The durable sequence number of each run, as its watchers see it.
    published: BTreeMap<RunId, watch::Sender<u64>>,
    watchers: Arc<Semaphore>,
    next_ticket: u64,
    next_worker: u64,
    /// Events that effects gave rise to.
    events: VecDeque<Event>,
}

impl Driver {
    async fn run(
        mut self,
        mut inbox: Inbox,
        mut journal: mpsc::UnboundedReceiver<Said>,
        effects: Vec<Effect>,
    ) {
        self.carry_out(effects);
        let mut requests = Vec::with_capacity(REQUESTS_AT_ONCE);
        loop {
            while let Some(event) = self.events.pop_front() {
                self.handle(event);
            }
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
                    Some(Said::Event(event)) => self.handle(event),
                    Some(Said::Ended(error)) => {
                        tracing::error!(%error, "the journal cannot be used any more; the coordinator ends");
                        return;
                    }
                    None => {
                        tracing::error!("the journal's thread has ended; the coordinator ends");
                        return;
                    }
                },
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
        self.engine.take(self.now(), event);
        self.settle();
    }

    /// Carries out what follows from the events that the engine has taken.
    fn settle(&mut self) {
        let effects = self.engine.settle(self.now());
        self.carry_out(effects);
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Commit(transaction) => self.job(Job::Commit(transaction)),
                Effect::Send { worker, message } => self.send(worker, message),
                Effect::Close { worker, reason } => {
                    tracing::warn!(%worker, reason, "worker detached");
                    self.outboxes.remove(&worker);
                }
                Effect::Publish { run, sequence } => {
                    let published = self.published.entry(run).or_insert_with(|| watch::Sender::new(0));
                    published.send_replace(sequence);
                }
                Effect::Deleted { run, retired } => {
                    if retired {
                        tracing::info!(%run, "deleted, as the retention rules want it");
                    }
                    self.published.remove(&run);
                }
                Effect::Reply { ticket, reply } => self.reply(ticket, *reply),
            }
        }
    }

    fn job(&self, job: Job) {
        // If the thread is gone, what it said last ends the driver.
        let _ = self.jobs.send(job);
    }

    fn send(&mut self, worker: WorkerId, message: ToWorker) {
        let Some(outbox) = self.outboxes.get(&worker) else { return };
        if let Err(error) = outbox.try_send(Arc::new(message)) {
            let reason = match error {
                mpsc::error::TrySendError::Full(_) => "it does not read what it is sent",
                mpsc::error::TrySendError::Closed(_) => "its stream is closed",
            };
            tracing::warn!(%worker, reason, "worker detached");
            self.outboxes.remove(&worker);
            self.events.push_back(Event::Detach { worker });
        }
    }

    fn reply(&mut self, ticket: Ticket, reply: Reply) {
        // Whoever asked may have gone; only a worker's absence has consequences.
        match (self.waiting.remove(&ticket), reply) {
            (Some(Waiting::Progress(answer)), Reply::Progress(reply)) => {
                let _ = answer.send(reply);
            }
            (Some(Waiting::Result(answer)), Reply::Result(reply)) => {
                let _ = answer.send(reply);
            }
            (Some(Waiting::Worker(answer)), Reply::Worker(reply)) => {
                let _ = answer.send(reply);
            }
            (Some(Waiting::Welcome(worker, answer)), Reply::Welcome(reply)) => {
                let refused = reply.is_err();
                if answer.send(reply).is_err() || refused {
                    self.outboxes.remove(&worker);
                    self.events.push_back(Event::Detach { worker });
                }
            }
            _ => debug_assert!(false, "replies are of the kind that was asked for"),
        }
    }

    fn ticket(&mut self, waiting: Waiting) -> Ticket {
        self.next_ticket += 1;
        let ticket = Ticket(self.next_ticket);
        self.waiting.insert(ticket, waiting);
        ticket
    }

    /// Takes a request; [`Driver::settle`] follows.
    fn request(&mut self, request: Request) {
        match request {
            Request::Create { spec, request_id, group, origin, weight, reply } => {
                let ticket = self.ticket(Waiting::Progress(reply));
                let run = self.new_run_id();
                let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                let unix_ms = unix.as_millis() as u64;
                let event = Event::Create { ticket, run, spec, request_id, unix_ms, group, origin, weight };
                self.engine.take(self.now(), event);
            }
            Request::Extend { run, limits, reply } => {
                let ticket = self.ticket(Waiting::Progress(reply));
                self.engine.take(self.now(), Event::Extend { ticket, run, limits });
            }
            Request::Origin { run, closed, reply } => {
                if self.engine.run(run).is_none() {
                    let _ = reply.send(Err(HandleError::NoSuchRun(run)));
                } else {
                    self.job(Job::Origin { run, closed, answer: reply });
                }
            }
            Request::Act { run, action, reply } => {
                let ticket = self.ticket(Waiting::Progress(reply));
                self.engine.take(self.now(), Event::Act { ticket, run, action });
            }
            Request::Result { run, reply } => {
                let ticket = self.ticket(Waiting::Result(reply));
                self.engine.take(self.now(), Event::Result { ticket, run });
            }
            Request::Get { run, reply } => {
                let _ = reply.send(self.engine.progress(run).ok_or(HandleError::NoSuchRun(run)));
            }
            Request::List { reply } => {
                let _ = reply.send(Ok(self.engine.list()));
            }
            Request::Workers { reply } => {
                let _ = reply.send(Ok(self.engine.workers(self.now())));
            }
            Request::Drain { worker, within, reply } => {
                let ticket = self.ticket(Waiting::Worker(reply));
                tracing::info!(%worker, ?within, "worker asked to leave");
                self.engine.take(self.now(), Event::Drain { ticket, worker, within });
            }
            Request::Status { reply } => {
                let _ = reply.send(Ok(self.engine.status(self.now())));
            }
            Request::Generations { run, from, limit, reply } => {
                if self.engine.run(run).is_none() {
                    let _ = reply.send(Err(HandleError::NoSuchRun(run)));
                } else {
                    let limit = limit.min(self.settings.page_max);
                    self.job(Job::Generations { run, from, limit, answer: reply });
                }
            }
            Request::Watch { run, after, reply } => {
                let _ = reply.send(self.watch(run, after));
            }
            Request::Attach { hello, peer, outbox, reply } => {
                let worker = WorkerId(self.next_worker);
                self.next_worker += 1;
                tracing::info!(%worker, name = hello.name, threads = hello.threads, peer, "worker attached");
                self.outboxes.insert(worker, outbox);
                let ticket = self.ticket(Waiting::Welcome(worker, reply));
                self.engine.take(self.now(), Event::Attach { ticket, worker, hello });
            }
            Request::FromWorker { worker, message } => {
                self.engine.take(self.now(), Event::FromWorker { worker, message });
            }
            Request::Detach { worker, reason } => {
                if self.outboxes.remove(&worker).is_some() {
                    tracing::info!(%worker, reason, "worker detached");
                    self.engine.take(self.now(), Event::Detach { worker });
                }
            }
            Request::ShutDown { .. } => unreachable!("the loop takes it"),
        }
    }

    /// 40 bits that nobody can foresee, from the keys that the operating system gives to hash maps.
    fn new_run_id(&self) -> RunId {
        loop {
            let run = RunId::new(RandomState::new().build_hasher().finish());
            if self.engine.run(run).is_none() {
                return run;
            }
        }
    }

    fn watch(&mut self, run: RunId, after: u64) -> Result<Watch, HandleError> {
        let known = self.engine.run(run).ok_or(HandleError::NoSuchRun(run))?;
        let (sender, receiver) = mpsc::channel(WATCH_LENGTH);
        if known.state().is_final() && after >= known.sequence() {
            return Ok(receiver);
        }
        let permit = Arc::clone(&self.watchers).try_acquire_owned().map_err(|_| {
            HandleError::Limit(format!(
                "{} runs are being watched, which is the limit",
                self.settings.watchers_max
            ))
        })?;
        let published = self.published.entry(run).or_insert_with(|| watch::Sender::new(0)).subscribe();
        let jobs = self.jobs.clone();
        let (ended, least) = (known.state().is_final(), known.sequence());
        tokio::spawn(async move {
            follow(run, (after, least, ended), published, &jobs, &sender).await;
            drop(permit);
        });
        Ok(receiver)
    }

    async fn shut_down(mut self, reply: Option<Answer<()>>) {
        let effects = self.engine.flush();
        self.carry_out(effects);
        self.outboxes.clear();
        let (answer, closed) = oneshot::channel();
        self.job(Job::Close { answer });
        let closed = closed.await.unwrap_or(Err(HandleError::Journal("its thread has ended".into())));
        if let Err(error) = &closed {
            tracing::error!(%error, "the journal was not closed properly");
        }
        if let Some(reply) = reply {
            let _ = reply.send(closed);
        }
    }
}

/// Events that are read from the journal at once.
const PAGE: u32 = 256;

/// Sends a run's durable events to a watcher, those of the past and those to come, without a gap: both are read from
/// the journal. Ends when all of a run that has ended was sent, or when nobody listens.
async fn follow(
    run: RunId,
    (mut after, least, mut ended): (u64, u64, bool),
    mut published: watch::Receiver<u64>,
    jobs: &thread_mpsc::Sender<Job>,
    watcher: &mpsc::Sender<SequencedEvent>,
) {
    loop {
        let up_to = *published.borrow_and_update();
        while after < up_to {
            let (answer, page) = oneshot::channel();
            if jobs.send(Job::Events { run, after, up_to, limit: PAGE, answer }).is_err() {
                return;
            }
            let Ok(Ok(page)) = page.await else { return };
            let complete = page.len() < PAGE as usize;
            for (sequence, event) in page {
                after = sequence;
                if let RunEvent::State(state) = &event {
                    // A run that was extended has gone on after its first end.
                    ended = state.is_final();
                }
                if watcher.send(SequencedEvent { sequence, event }).await.is_err() {
                    return;
                }
            }
            if complete {
                after = up_to;
            }
        }
        // The last record of a run that has just ended may still be on its way to the disk.
        if ended && after >= least && *published.borrow() <= after {
            return;
        }
        tokio::select! {
            () = watcher.closed() => return,
            changed = published.changed() => if changed.is_err() { return },
        }
    }
}

//! How the rest of the process talks to the driver: an inbox, replies by one-shot channels.

use std::sync::Arc;
use std::time::Duration;

use hebbian_shared::dispatch::{FromWorker, Hello, ToWorker, WEIGHT_DEFAULT, Welcome};
use hebbian_shared::id::{GenerationIndex, RunId, WorkerId};
use hebbian_shared::progress::{
    CoordinatorStatus, GenerationSummary, RunEvent, RunProgress, RunResult, WorkerStatus,
};
use hebbian_shared::spec::RunSpec;
use hebbian_shared::spec::stop::StopSpec;
use tokio::sync::{mpsc, oneshot};

pub use hebbian_control::command::{HandleError, RunAction};
use hebbian_control::run::record::{Origin, Snapshot};

/// Messages of clients, and as many of workers, that may wait in the driver's inbox before senders wait.
pub const INBOX_LENGTH: usize = 4096;
/// Messages that may wait for a worker's stream; a worker that does not read them is detached.
pub const OUTBOX_LENGTH: usize = 1024;
/// Events that may wait for a watcher; one that does not read them is told to resume by sequence number.
pub const WATCH_LENGTH: usize = 256;

/// An event with its sequence number within the run.
#[derive(Clone, Debug, PartialEq)]
pub struct SequencedEvent {
    /// Increases by at least one from event to event; `watch` resumes after it.
    pub sequence: u64,
    /// What was committed.
    pub event: RunEvent,
}

/// The stream of a run's committed events. It ends after the run's final state, when the coordinator shuts down, or
/// when the watcher was too slow; the caller watches again from the last sequence number it has seen.
pub type Watch = mpsc::Receiver<SequencedEvent>;

/// Something for the driver, with where its answer goes.
#[derive(Debug)]
pub enum Request {
    /// Create a run. The same `request_id` with the same spec gives the run that it created before.
    Create {
        /// The spec; the driver validates it again.
        spec: Box<RunSpec>,
        /// The client's name for this creation, 1 to 128 characters; empty for none.
        request_id: String,
        /// The name of the runs that are created together; empty for none.
        group: String,
        /// Where the run begins, if it is a fork.
        origin: Option<Box<(Origin, Snapshot)>>,
        /// Share of the cluster beside that of other runs.
        weight: f64,
        /// Answered when the run is synced to the journal.
        reply: oneshot::Sender<Result<RunProgress, HandleError>>,
    },
    /// One run at this moment. It may be ahead of the disk by what is still being written, and it shows what is never
    /// written: the pause while the journal cannot be, and the one while no attached worker may work on the run. What
    /// is told for good (replies to `Create`, `Act` and `Result`, and what `Watch` sends) is on the disk.
    Get {
        /// Which.
        run: RunId,
        /// The answer.
        reply: oneshot::Sender<Result<RunProgress, HandleError>>,
    },
    /// All runs as `Get` shows them, in order of creation.
    List {
        /// The answer.
        reply: oneshot::Sender<Result<Vec<RunProgress>, HandleError>>,
    },
    /// An operator's action; answered when it is synced to the journal.
    Act {
        /// On which run.
        run: RunId,
        /// What.
        action: RunAction,
        /// The run afterwards; its last progress if it was deleted.
        reply: oneshot::Sender<Result<RunProgress, HandleError>>,
    },
    /// Raise limits of a run; answered when that is synced to the journal.
    Extend {
        /// Of which run.
        run: RunId,
        /// Those to raise, to what they are then.
        limits: StopSpec,
        /// The run afterwards.
        reply: oneshot::Sender<Result<RunProgress, HandleError>>,
    },
    /// What a run can be forked from.
    Origin {
        /// Which run.
        run: RunId,
        /// After how many closed generations; `None` for the last one that is on the disk.
        closed: Option<GenerationIndex>,
        /// The answer.
        reply: oneshot::Sender<Result<Box<(Origin, Snapshot)>, HandleError>>,
    },
    /// What a run has found.
    Result {
        /// Which.
        run: RunId,
        /// The answer.
        reply: oneshot::Sender<Result<RunResult, HandleError>>,
    },
    /// Closed generations in order.
    Generations {
        /// Of which run.
        run: RunId,
        /// From which on.
        from: GenerationIndex,
        /// How many at most.
        limit: u32,
        /// The answer.
        reply: oneshot::Sender<Result<Vec<GenerationSummary>, HandleError>>,
    },
    /// Committed events after a sequence number (0 for all), then live ones. What cannot be committed is none: a pause
    /// while the journal cannot be written is seen with `Get` and `Status` only.
    Watch {
        /// Of which run.
        run: RunId,
        /// The last sequence number that the watcher has seen.
        after: u64,
        /// The answer.
        reply: oneshot::Sender<Result<Watch, HandleError>>,
    },
    /// The attached workers.
    Workers {
        /// The answer.
        reply: oneshot::Sender<Result<Vec<WorkerStatus>, HandleError>>,
    },
    /// Ask a worker to leave for good.
    Drain {
        /// Which.
        worker: WorkerId,
        /// The time it has.
        within: Duration,
        /// The worker, draining.
        reply: oneshot::Sender<Result<WorkerStatus, HandleError>>,
    },
    /// The coordinator.
    Status {
        /// The answer.
        reply: oneshot::Sender<Result<CoordinatorStatus, HandleError>>,
    },
    /// A worker has come.
    Attach {
        /// What it said.
        hello: Hello,
        /// Where it is, for people.
        peer: String,
        /// Its stream; dropping it is the coordinator's good-bye.
        outbox: mpsc::Sender<Arc<ToWorker>>,
        /// The answer.
        reply: oneshot::Sender<Result<Welcome, HandleError>>,
    },
    /// A worker said something.
    FromWorker {
        /// Which.
        worker: WorkerId,
        /// What.
        message: FromWorker,
    },
    /// A worker's stream ended.
    Detach {
        /// Which.
        worker: WorkerId,
        /// Why, for people.
        reason: String,
    },
    /// Close the journal and end; answered when it is closed.
    ShutDown {
        /// The answer.
        reply: oneshot::Sender<Result<(), HandleError>>,
    },
}

/// A way to the driver; cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle {
    clients: mpsc::Sender<Request>,
    /// Also for the end: what workers said before is taken before.
    workers: mpsc::Sender<Request>,
}

/// What waits for the driver. What clients ask does not wait behind what a thousand workers say.
#[derive(Debug)]
pub struct Inbox {
    clients: mpsc::Receiver<Request>,
    workers: mpsc::Receiver<Request>,
}

impl Inbox {
    /// The next request; `None` when all handles are gone.
    pub async fn recv(&mut self) -> Option<Request> {
        tokio::select! {
            biased;
            Some(request) = self.clients.recv() => Some(request),
            Some(request) = self.workers.recv() => Some(request),
            else => None,
        }
    }

    /// Waits for requests, then takes what waits, about `most` of clients and as many of workers; 0 when all handles are gone.
    pub async fn recv_many(&mut self, requests: &mut Vec<Request>, most: usize) -> usize {
        let Some(first) = self.recv().await else { return 0 };
        requests.push(first);
        take_waiting(&mut self.clients, requests, most);
        // Nor does what workers say wait behind clients.
        take_waiting(&mut self.workers, requests, most);
        requests.len()
    }

    /// Whether workers have said more than was taken.
    pub fn is_behind(&self) -> bool {
        !self.workers.is_empty()
    }
}

fn take_waiting(queue: &mut mpsc::Receiver<Request>, requests: &mut Vec<Request>, most: usize) {
    requests.extend(std::iter::from_fn(|| queue.try_recv().ok()).take(most));
}

type Reply<T> = oneshot::Sender<Result<T, HandleError>>;

async fn ask<T>(
    inbox: &mpsc::Sender<Request>,
    request: impl FnOnce(Reply<T>) -> Request,
) -> Result<T, HandleError> {
    let (reply, answer) = oneshot::channel();
    inbox.send(request(reply)).await.map_err(|_| HandleError::ShuttingDown)?;
    answer.await.unwrap_or(Err(HandleError::ShuttingDown))
}

impl Handle {
    /// A handle and the inbox that the driver reads.
    pub fn new() -> (Self, Inbox) {
        let (clients, from_clients) = mpsc::channel(INBOX_LENGTH);
        let (workers, from_workers) = mpsc::channel(INBOX_LENGTH);
        (Self { clients, workers }, Inbox { clients: from_clients, workers: from_workers })
    }

    async fn ask<T>(&self, request: impl FnOnce(Reply<T>) -> Request) -> Result<T, HandleError> {
        ask(&self.clients, request).await
    }

    /// Creates a run of the usual weight; see [`Request::Create`].
    pub async fn create(&self, spec: RunSpec, request_id: String) -> Result<RunProgress, HandleError> {
        self.create_in(spec, request_id, String::new(), WEIGHT_DEFAULT).await
    }

    /// Creates a run of a group with a share of the cluster; see [`Request::Create`].
    pub async fn create_in(
        &self,
        spec: RunSpec,
        request_id: String,
        group: String,
        weight: f64,
    ) -> Result<RunProgress, HandleError> {
        let spec = Box::new(spec);
        self.ask(|reply| Request::Create { spec, request_id, group, origin: None, weight, reply }).await
    }

    /// Creates a run that begins where `parent` was after `closed` generations (`None`: the last one on the disk).
    pub async fn fork(
        &self,
        parent: RunId,
        closed: Option<GenerationIndex>,
        spec: RunSpec,
        request_id: String,
    ) -> Result<RunProgress, HandleError> {
        let origin = Some(self.ask(|reply| Request::Origin { run: parent, closed, reply }).await?);
        let (spec, name, group) = (Box::new(spec), request_id.clone(), String::new());
        let forked = self
            .ask(|reply| Request::Create { spec, request_id, group, origin, weight: WEIGHT_DEFAULT, reply })
            .await?;
        // An earlier fork of this name may have begun elsewhere.
        let begun = forked.parent.map(|parent| parent.generations);
        if closed.is_some() && begun != closed { Err(HandleError::RequestIdReused(name)) } else { Ok(forked) }
    }

    /// Raises limits of a run; returns when that is synced to the journal.
    pub async fn extend(&self, run: RunId, limits: StopSpec) -> Result<RunProgress, HandleError> {
        self.ask(|reply| Request::Extend { run, limits, reply }).await
    }

    /// How a run stands; see [`Request::Get`].
    pub async fn get(&self, run: RunId) -> Result<RunProgress, HandleError> {
        self.ask(|reply| Request::Get { run, reply }).await
    }

    /// How all runs stand, in order of creation.
    pub async fn list(&self) -> Result<Vec<RunProgress>, HandleError> {
        self.ask(|reply| Request::List { reply }).await
    }

    /// Acts on a run; returns when the action is synced to the journal.
    pub async fn act(&self, run: RunId, action: RunAction) -> Result<RunProgress, HandleError> {
        self.ask(|reply| Request::Act { run, action, reply }).await
    }

    /// What a run has found so far.
    pub async fn result(&self, run: RunId) -> Result<RunResult, HandleError> {
        self.ask(|reply| Request::Result { run, reply }).await
    }

    /// At most `limit` closed generations, from `from` on.
    pub async fn generations(
        &self,
        run: RunId,
        from: GenerationIndex,
        limit: u32,
    ) -> Result<Vec<GenerationSummary>, HandleError> {
        self.ask(|reply| Request::Generations { run, from, limit, reply }).await
    }

    /// Committed events after a sequence number, then live ones; without gaps.
    pub async fn watch(&self, run: RunId, after: u64) -> Result<Watch, HandleError> {
        self.ask(|reply| Request::Watch { run, after, reply }).await
    }

    /// The attached workers.
    pub async fn workers(&self) -> Result<Vec<WorkerStatus>, HandleError> {
        self.ask(|reply| Request::Workers { reply }).await
    }

    /// Asks a worker to leave for good.
    pub async fn drain(&self, worker: WorkerId, within: Duration) -> Result<WorkerStatus, HandleError> {
        self.ask(|reply| Request::Drain { worker, within, reply }).await
    }

    /// The coordinator as a whole.
    pub async fn status(&self) -> Result<CoordinatorStatus, HandleError> {
        self.ask(|reply| Request::Status { reply }).await
    }

    /// Attaches a worker whose messages go to `outbox`.
    pub async fn attach(
        &self,
        hello: Hello,
        peer: String,
        outbox: mpsc::Sender<Arc<ToWorker>>,
    ) -> Result<Welcome, HandleError> {
        ask(&self.workers, |reply| Request::Attach { hello, peer, outbox, reply }).await
    }

    /// Passes on what a worker said. Waits while the inbox is full, which slows the worker's stream down.
    pub async fn from_worker(&self, worker: WorkerId, message: FromWorker) -> Result<(), HandleError> {
        let request = Request::FromWorker { worker, message };
        self.workers.send(request).await.map_err(|_| HandleError::ShuttingDown)
    }

    /// A worker's stream has ended.
    pub async fn detach(&self, worker: WorkerId, reason: String) {
        // If the driver is gone, so is the worker's session.
        let _ = self.workers.send(Request::Detach { worker, reason }).await;
    }

    /// Closes the journal and ends the driver.
    pub async fn shut_down(&self) -> Result<(), HandleError> {
        ask(&self.workers, |reply| Request::ShutDown { reply }).await
    }
}

//! How the rest of the process talks to the driver: an inbox, answers by one-shot channels.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::Arc;

use hebbian_control::command::Refusal;
use hebbian_control::command::run::{Create, Creation, GetResult};
use hebbian_control::run::Search;
use hebbian_control::run::strategy::Strategies;
use hebbian_proto::v1;
use hebbian_search::WarmStart;
use hebbian_shared::dispatch::{FromWorker, Hello, ToWorker, Welcome};
use hebbian_shared::id::{GenerationIndex, RunId, WorkerId};
use hebbian_shared::limits::INBOX_LENGTH_MAX;
use hebbian_shared::spec::{ResolvedSpec, RunSpec};
use hebbian_trace::{TraceContext, Tracer};
use tokio::sync::{mpsc, oneshot, watch};

use crate::driver::reading::ForkOrigin;
use crate::driver::{Ask, Driver};
use crate::timing::Timings;
use crate::upkeep::Upkeep;

/// Something for a worker.
#[derive(Debug, PartialEq)]
pub struct Outgoing {
    /// What.
    pub message: ToWorker,
    /// Where it stands, if it is traced.
    pub trace: Option<TraceContext>,
}

/// Something for the driver.
pub(crate) enum Request {
    /// A question or a command, with where its answer goes.
    Ask(Box<dyn FnOnce(&mut Driver) + Send>),
    /// A worker has come.
    Attach {
        /// What it said.
        hello: Hello,
        /// Where it is, for people.
        peer: String,
        /// Its stream; dropping it is the coordinator's good-bye.
        outbox: mpsc::Sender<Outgoing>,
        /// The answer.
        reply: Reply<Welcome>,
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
        reply: Reply<()>,
    },
}

/// A way to the driver; cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle {
    pub(crate) clients: mpsc::Sender<Request>,
    /// Also for the end: what workers said before is taken before.
    workers: mpsc::Sender<Request>,
    strategies: Strategies,
    pub(crate) timings: Arc<Timings>,
    pub(crate) tracer: Tracer,
    upkeep: Arc<Upkeep>,
    writable: watch::Receiver<bool>,
    stepping_down: watch::Receiver<bool>,
}

/// What waits for the driver. What clients ask does not wait behind what a thousand workers say.
pub(crate) struct Inbox {
    clients: mpsc::Receiver<Request>,
    workers: mpsc::Receiver<Request>,
    /// Whether the journal can be written, for all handles.
    pub(crate) writable: watch::Sender<bool>,
    /// Whether the coordinator gives way to another one.
    pub(crate) stepping_down: watch::Sender<bool>,
}

impl Inbox {
    /// The next request; `None` when all handles are gone.
    pub(crate) async fn recv(&mut self) -> Option<Request> {
        tokio::select! {
            biased;
            Some(request) = self.clients.recv() => Some(request),
            Some(request) = self.workers.recv() => Some(request),
            else => None,
        }
    }

    /// Waits for requests, then takes what waits, about `most` of clients and as many of workers; 0 when all handles are gone.
    pub(crate) async fn recv_many(&mut self, requests: &mut Vec<Request>, most: usize) -> usize {
        let Some(first) = self.recv().await else { return 0 };
        requests.push(first);
        take_waiting(&mut self.clients, requests, most);
        // Nor does what workers say wait behind clients.
        take_waiting(&mut self.workers, requests, most);
        requests.len()
    }

    /// Says why the journal cannot be written, if so; whoever waits for a change hears of changes only, and so does the log.
    pub(crate) fn tell_trouble(&self, trouble: Option<&str>) {
        let writable = trouble.is_none();
        if !self.writable.send_if_modified(|told| std::mem::replace(told, writable) != writable) {
            return;
        }
        // Both equally loud: the reader of the first line waits for the second one.
        if let Some(error) = trouble {
            tracing::warn!(error, "the journal cannot be written; the runs pause until it can");
        } else {
            tracing::warn!("the journal can be written again; the runs go on");
        }
    }

    /// Whether workers have said more than was taken.
    pub(crate) fn is_behind(&self) -> bool {
        !self.workers.is_empty()
    }
}

fn take_waiting(queue: &mut mpsc::Receiver<Request>, requests: &mut Vec<Request>, most: usize) {
    requests.extend(std::iter::from_fn(|| queue.try_recv().ok()).take(most));
}

/// Where an answer goes.
pub type Reply<T> = oneshot::Sender<Result<T, Refusal>>;

async fn send<T>(
    inbox: &mpsc::Sender<Request>,
    request: impl FnOnce(Reply<T>) -> Request,
) -> Result<T, Refusal> {
    let (reply, answer) = oneshot::channel();
    inbox.send(request(reply)).await.map_err(|_| Refusal::ShuttingDown)?;
    answer.await.unwrap_or(Err(Refusal::ShuttingDown))
}

/// 40 bits that nobody can foresee, from the keys that the operating system gives to hash maps: where the engine begins to
/// look for a new run's id.
pub fn new_run_id() -> RunId {
    RunId::new(secret())
}

/// 64 bits of the same kind.
pub fn secret() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Who wants a run.
#[derive(Clone, Debug, Default)]
pub struct Asker {
    /// For its notes.
    pub by: String,
    /// For the count.
    pub owner: String,
    /// The group that it is to belong to; empty for none.
    pub group: String,
}

impl Handle {
    /// A handle and the inbox that the driver reads.
    pub(crate) fn new(strategies: Strategies) -> (Self, Inbox) {
        let (clients, from_clients) = mpsc::channel(INBOX_LENGTH_MAX);
        let (workers, from_workers) = mpsc::channel(INBOX_LENGTH_MAX);
        let (timings, tracer, upkeep) = (Arc::default(), Tracer::default(), Arc::default());
        let (tell, writable) = watch::channel(true);
        let (step, stepping_down) = watch::channel(false);
        let inbox =
            Inbox { clients: from_clients, workers: from_workers, writable: tell, stepping_down: step };
        (Self { clients, workers, strategies, timings, tracer, upkeep, writable, stepping_down }, inbox)
    }

    /// Asks the driver something: any [`Command`](hebbian_control::command::Command), or what is read from the journal
    /// ([`reading`](crate::driver::reading)).
    pub async fn ask<A: Ask>(&self, ask: A) -> Result<A::Answer, Refusal> {
        send(&self.clients, |reply| Request::Ask(Box::new(move |driver| ask.ask(driver, reply)))).await
    }

    /// Where the process tells what it does beside the runs.
    pub fn upkeep(&self) -> &Upkeep {
        &self.upkeep
    }

    /// Whether the journal can be written, now and whenever that changes.
    pub fn writable(&self) -> watch::Receiver<bool> {
        self.writable.clone()
    }

    /// Returns when this coordinator is to give way to another one.
    pub async fn stepped_down(&self) {
        let mut stepping_down = self.stepping_down.clone();
        if stepping_down.wait_for(|stepping| *stepping).await.is_err() {
            // The driver has ended by itself.
            std::future::pending::<()>().await;
        }
    }

    /// Creates a run.
    pub async fn create(&self, create: Create) -> Result<v1::Run, Refusal> {
        self.make(create).await.map(|made| made.run)
    }

    /// Creates a run, and says whether it was there already. What takes long about that is not done by the driver.
    pub(crate) async fn make(&self, create: Create) -> Result<Creation, Refusal> {
        let strategies = self.strategies;
        let prepared = tokio::task::spawn_blocking(move || create.prepare(strategies)).await;
        self.ask(prepared.map_err(|_| Refusal::ShuttingDown)?).await
    }

    /// Creates a run that begins where `parent` was after `closed` generations (`None`: the last one on the disk).
    pub async fn fork(
        &self,
        (parent, closed): (RunId, Option<GenerationIndex>),
        spec: RunSpec,
        request_id: String,
        Asker { by, owner, group }: Asker,
    ) -> Result<Creation, Refusal> {
        let origin = Some(self.ask(ForkOrigin { run: parent, closed }).await?);
        let name = request_id.clone();
        let forked = self
            .make(Create { request_id, group, origin, by, owner, ..Create::new(new_run_id(), spec) })
            .await?;
        // An earlier fork of this name may have begun elsewhere.
        let begun = forked.run.parent.as_ref().map(|parent| GenerationIndex(parent.generations));
        if closed.is_some() && begun != closed { Err(Refusal::RequestIdReused(name)) } else { Ok(forked) }
    }

    /// A spec that begins where `run` was after `closed` generations (`None`: the last one on the disk), and how many these were.
    pub async fn warm_start(
        &self,
        (run, closed): (RunId, Option<GenerationIndex>),
    ) -> Result<(RunSpec, GenerationIndex), Refusal> {
        let origin = self.ask(ForkOrigin { run, closed }).await?;
        let result = self.ask(GetResult { run }).await?;
        let strategies = self.strategies;
        let begun = tokio::task::spawn_blocking(move || {
            let refuse = |problem: String| Refusal::WrongState { run, problem };
            let spec = ResolvedSpec::from_json(result.spec)?;
            let search = Search::restore(&spec, strategies, &origin.snapshot);
            let search = search.map_err(|error| refuse(format!("cannot be taken up: {error}")))?;
            let Some(WarmStart { mean, step_size, covariance }) = search.warm_start() else {
                let kind = spec.strategy.name();
                return Err(refuse(format!(
                    "is searched by {kind}, which keeps no covariance to begin from"
                )));
            };
            let begun = spec.started_from(mean, step_size, covariance);
            let begun = begun.map_err(|error| refuse(format!("is no beginning for another one: {error}")))?;
            Ok((begun, origin.snapshot.closed))
        });
        begun.await.map_err(|_| Refusal::ShuttingDown)?
    }

    /// Attaches a worker whose messages go to `outbox`.
    pub async fn attach(
        &self,
        hello: Hello,
        peer: String,
        outbox: mpsc::Sender<Outgoing>,
    ) -> Result<Welcome, Refusal> {
        send(&self.workers, |reply| Request::Attach { hello, peer, outbox, reply }).await
    }

    /// Passes on what a worker said. Waits while the inbox is full, which slows the worker's stream down.
    pub async fn from_worker(&self, worker: WorkerId, message: FromWorker) -> Result<(), Refusal> {
        let request = Request::FromWorker { worker, message };
        self.workers.send(request).await.map_err(|_| Refusal::ShuttingDown)
    }

    /// A worker's stream has ended.
    pub async fn detach(&self, worker: WorkerId, reason: String) {
        // If the driver is gone, so is the worker's session.
        let _ = self.workers.send(Request::Detach { worker, reason }).await;
    }

    /// Closes the journal and ends the driver.
    pub async fn shut_down(&self) -> Result<(), Refusal> {
        send(&self.workers, |reply| Request::ShutDown { reply }).await
    }
}

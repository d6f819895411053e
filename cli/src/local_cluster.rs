//! A worker in this process, connected over memory: what `hebbian run` has instead of a cluster.

use std::sync::Arc;
use std::time::Duration;

use hebbian_coordinator::handle::Handle;
use hebbian_coordinator::service::{self, TransportSettings, connection};
use hebbian_shared::digest::Digest;
use hebbian_shared::dispatch::{ALL_PROBLEMS, Hello};
use hebbian_shared::episode::EPISODE_SEMANTICS;
use hebbian_worker::data_store::DataStore;
use hebbian_worker::evaluator::{Evaluator, ExecEvaluator, LearningEvaluator};
use hebbian_worker::session::{self, Coordinators, SessionError, SessionSettings};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;

/// How long episodes may still compute after an interrupt; what is lost is computed again.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(2);

/// What a worker of this program says of itself that trains networks.
pub(crate) fn hello(name: String, threads: u32) -> Hello {
    Hello {
        name,
        threads,
        episode_semantics: EPISODE_SEMANTICS,
        fingerprint: hebbian_learning::fingerprint::fingerprint(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        serves: Vec::new(),
    }
}

/// What a worker of this program says of itself that evaluates external problems of these names.
pub(crate) fn hello_of_program(name: String, slots: u32, serves: Vec<String>) -> Hello {
    Hello {
        name,
        threads: slots,
        episode_semantics: EPISODE_SEMANTICS,
        // Nobody compares it.
        fingerprint: Digest([0; 32]),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        serves,
    }
}

/// What a worker of this process computes with.
pub(crate) enum Computing {
    /// Networks are trained, with these data sets.
    Rules(Arc<DataStore>),
    /// An external objective is evaluated by a command of the shell.
    Program(ExecEvaluator),
}

/// A refused session as a failure.
pub(crate) fn session_failure(error: &SessionError) -> Failure {
    match error {
        SessionError::Threads(_) => Failure::failed(error),
        SessionError::Alone(_) => Failure::unreachable(error),
        SessionError::NoCoordinator | SessionError::Address { .. } => {
            Failure::bad_input(format_args!("worker.coordinators: {error}"))
        }
    }
}

/// The worker and the server that it talks to.
pub(crate) struct LocalWorker {
    shutdown: CancellationToken,
    serving: CancellationToken,
    session: JoinHandle<Result<session::SessionEnd, SessionError>>,
    program: Option<ExecEvaluator>,
    server: JoinHandle<()>,
}

impl LocalWorker {
    /// Starts computing for the driver behind `handle` on `threads` threads.
    pub(crate) fn start(handle: Handle, threads: u32, computing: Computing) -> Self {
        let (shutdown, serving) = (CancellationToken::new(), CancellationToken::new());
        let (dial, connections) = connection::memory();
        let served = service::serve(handle, connections, TransportSettings::default(), serving.clone());
        let name = "local".to_owned();
        let (hello, evaluator, program): (_, Arc<dyn Evaluator>, _) = match computing {
            Computing::Rules(data) => (hello(name, threads), Arc::new(LearningEvaluator::new(data)), None),
            Computing::Program(program) => {
                let hello = hello_of_program(name, threads, vec![ALL_PROBLEMS.to_owned()]);
                (hello, Arc::new(program.clone()), Some(program))
            }
        };
        let mut settings = SessionSettings::new(Coordinators::Memory(dial), hello);
        settings.shutdown_grace = SHUTDOWN_GRACE;
        let worked = session::run(settings, evaluator, shutdown.clone());
        Self { shutdown, serving, session: tokio::spawn(worked), program, server: tokio::spawn(served) }
    }

    /// Waits until the worker ends by itself, which it does only if it cannot work at all.
    pub(crate) async fn failed(&mut self) -> Failure {
        match (&mut self.session).await {
            Ok(Err(error)) => session_failure(&error),
            Ok(Ok(_)) => Failure::failed("the worker has ended"),
            Err(error) => Failure::failed(format_args!("the worker has failed: {error}")),
        }
    }

    /// Lets the worker report what it holds, and ends it.
    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        // What a worker that broke leaves behind is computed again by the next one.
        if !self.session.is_finished() {
            let _ = self.session.await;
        }
        if let Some(program) = self.program {
            let _ = tokio::task::spawn_blocking(move || program.end()).await;
        }
        self.serving.cancel();
        let _ = self.server.await;
    }
}

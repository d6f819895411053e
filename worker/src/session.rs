//! The async shell of a worker: attach to a coordinator, compute what it sends, report, and come back when it is gone.

mod connect;
mod credentials;
mod prepare;
mod reports;
mod stream;
#[cfg(test)]
mod tests;

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use hebbian_shared::dispatch::Hello;
use hebbian_trace::Tracer;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::evaluator::Evaluator;
use crate::figures::Figures;
use crate::pool::Pool;
pub use connect::{ConnectionSettings, Coordinators, FILE_PREFIX, Security, endpoints, remedy};
pub use credentials::{Authorised, Bearer, Credentials, CredentialsSource};
use reports::Reports;
use stream::{Stream, StreamEnd, Worker};
/// TLS of a worker: which authorities it trusts, and the certificate that it shows.
pub use tonic::transport::ClientTlsConfig;

/// How often a trouble that goes on is told above the debug level.
const REPEAT_WARNING: Duration = Duration::from_secs(60);
/// A stream that lived so long was a good one: the next attempt does not wait.
const GOOD_STREAM: Duration = Duration::from_secs(5);

/// Settings of a worker's session. Nothing in it may change a result.
#[derive(Clone, Debug)]
pub struct SessionSettings {
    /// Where the coordinator is.
    pub coordinators: Coordinators,
    /// What the worker says of itself; its `threads` is the number of compute threads.
    pub hello: Hello,
    /// Settings of connections.
    pub transport: ConnectionSettings,
    /// How long a worker waits after its first failure to attach; it doubles from failure to failure.
    pub back_off_min: Duration,
    /// How long a worker waits at most.
    pub back_off_max: Duration,
    /// How old an outcome may become before it is reported; outcomes that come together travel together.
    pub report_delay: Duration,
    /// How long episodes may still compute after the shutdown.
    pub shutdown_grace: Duration,
    /// How long a worker does without a coordinator before it ends by itself; for ever if absent.
    pub patience: Option<Duration>,
    /// Where the worker counts what it does.
    pub figures: Arc<Figures>,
    /// Who wants to know what is done when.
    pub tracer: Tracer,
}

impl SessionSettings {
    /// Default settings.
    pub fn new(coordinators: Coordinators, hello: Hello) -> Self {
        Self {
            coordinators,
            hello,
            transport: ConnectionSettings::default(),
            back_off_min: Duration::from_millis(50),
            back_off_max: Duration::from_secs(1),
            report_delay: Duration::from_millis(10),
            shutdown_grace: Duration::from_secs(10),
            patience: None,
            figures: Arc::default(),
            tracer: Tracer::default(),
        }
    }
}

/// What a session did, when it was shut down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionEnd {
    /// Streams on which the worker was welcome.
    pub streams: u64,
    /// Episodes that the worker settled.
    pub episodes: u64,
}

/// Why a session could not begin, or went on no longer.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// No coordinator was named.
    #[error("name at least one address, for example http://localhost:7420")]
    NoCoordinator,
    /// An address cannot be used.
    #[error("`{address}` cannot be used: {problem}")]
    Address {
        /// As it was written.
        address: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The compute threads could not be started.
    #[error("threads: the compute threads could not be started: {0}")]
    Threads(#[from] io::Error),
    /// There was no coordinator for as long as the settings allow.
    #[error("it had no coordinator for {} s, which is its patience (worker.patience)", .0.as_secs_f64())]
    Alone(Duration),
}

/// Works for a coordinator until `shutdown` or until it is drained: attaches, computes, reports, and attaches again when a
/// stream ends, for ever or until its patience ends. At the end it finishes what it has begun, within its grace, reports it and gives the rest back.
pub async fn run(
    settings: SessionSettings,
    evaluator: Arc<dyn Evaluator>,
    shutdown: CancellationToken,
) -> Result<SessionEnd, SessionError> {
    let (pool, finished) = Pool::start(settings.hello.threads)?;
    let mut worker = Worker::new(evaluator, pool, finished, Reports::default());
    let mut trouble = Detached::default();
    let mut back_off = settings.back_off_min;
    let mut alone = Instant::now();
    for attempt in 0.. {
        let attached = tokio::select! {
            attached = Stream::attach(&settings, &mut worker, attempt) => attached,
            () = shutdown.cancelled() => break,
        };
        let start = Instant::now();
        let end = match attached {
            Ok(mut stream) => {
                let end = stream.work(&shutdown).await;
                alone = Instant::now();
                end
            }
            Err(problem) => StreamEnd::Lost(problem),
        };
        settings.figures.detached(matches!(end, StreamEnd::Lost(_)));
        match end {
            StreamEnd::Left => break,
            StreamEnd::Drained => {
                tracing::info!("the coordinator has drained this worker");
                break;
            }
            StreamEnd::Lost(problem) => trouble.tell(&problem, settings.coordinators.security(attempt)),
        }
        if start.elapsed() >= GOOD_STREAM {
            back_off = settings.back_off_min;
            trouble = Detached::default();
        }
        if let Some(patience) = settings.patience.filter(|patience| alone.elapsed() >= *patience) {
            return Err(SessionError::Alone(patience));
        }
        tokio::select! {
            () = tokio::time::sleep(jitter(back_off)) => {}
            () = shutdown.cancelled() => break,
        }
        back_off = (back_off * 2).min(settings.back_off_max);
    }
    Ok(worker.end)
}

/// Between half and the whole of a duration, so that workers do not all come back at once.
fn jitter(duration: Duration) -> Duration {
    let random = RandomState::new().build_hasher().finish();
    duration.mul_f64(0.5 + 0.5 * (random as f64 / u64::MAX as f64))
}

/// That no coordinator can be reached, which may go on for hours: told at once, then once per minute.
#[derive(Default)]
struct Detached {
    told: Option<Instant>,
    times: u64,
}

impl Detached {
    fn tell(&mut self, problem: &dyn fmt::Display, security: Security) {
        self.times += 1;
        if self.told.is_none_or(|told| told.elapsed() >= REPEAT_WARNING) {
            self.told = Some(Instant::now());
            let problem = problem.to_string();
            let remedy = remedy(&problem, security).map(|remedy| format!(" ({remedy})")).unwrap_or_default();
            tracing::warn!(
                times = self.times,
                "not attached to a coordinator: {problem}{remedy}; the worker keeps trying"
            );
        } else {
            tracing::debug!(times = self.times, "not attached to a coordinator: {problem}");
        }
    }
}

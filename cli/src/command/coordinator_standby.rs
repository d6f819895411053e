//! A standby: it listens, says that it does not serve, and leads when the leader is gone.

use std::cell::RefCell;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use hebbian_coordinator::access::Access;
use hebbian_coordinator::access::tokens::AccessError;
use hebbian_coordinator::journal::{self, Journal, KeptSnapshots, Leader, Standby};
use hebbian_coordinator::service::TransportSettings;
use hebbian_coordinator::service::connection::{self, ConnectionLimits};
use hebbian_coordinator::service::lane::Lanes;
use hebbian_coordinator::service::standby::serve_standby;
use hebbian_coordinator::service::tls::Tls;
use hebbian_coordinator::web::metrics::of_standby;
use hebbian_coordinator::web::start_metrics;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::coordinator_access::reload_on_hangup;
use super::journal_failure;
use crate::failure::Failure;
use crate::process::supervisor;
use crate::web::Wanted;

/// How long whoever asks a standby may go on when it leads: they are to come back, and find what they want.
const GRACE: Duration = Duration::from_millis(100);

/// The metrics of a standby, where the leader's will be; dropping it frees the place.
pub(super) struct StandbyMetrics {
    shutdown: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl StandbyMetrics {
    pub(super) fn start(wanted: Wanted<'_>) -> Result<Option<Self>, Failure> {
        let Some(listener) = wanted.listener()? else { return Ok(None) };
        let shutdown = CancellationToken::new();
        let text = || of_standby(env!("CARGO_PKG_VERSION"));
        let started = listener
            .local_addr()
            .and_then(|address| Ok((address, start_metrics(listener, text, shutdown.clone())?)));
        let (address, thread) = started.map_err(|error| {
            Failure::failed(format_args!("{}: metrics cannot be served: {error}", wanted.setting))
        })?;
        tracing::info!("metrics at http://{address}/metrics");
        Ok(Some(Self { shutdown, thread: Some(thread) }))
    }
}

impl Drop for StandbyMetrics {
    fn drop(&mut self) {
        self.shutdown.cancel();
        // It ends at once, and with it the listener.
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What a standby does at each look at the lease.
struct Waiting {
    tell: watch::Sender<Option<Leader>>,
    /// Whether it sees the leases and the tokens, so that it could take over.
    ready: watch::Sender<bool>,
    stop: CancellationToken,
    access: Arc<Access>,
    /// Why it could not lead at the last look.
    hindrance: RefCell<Option<AccessError>>,
}

impl Standby for Waiting {
    fn goes_on(&self, leader: Option<&Leader>) -> bool {
        self.tell.send_if_modified(|told| {
            if told.as_ref() == leader {
                return false;
            }
            let who =
                leader.map_or_else(|| "nobody is known to lead".to_owned(), |who| format!("{who} leads"));
            tracing::info!("this coordinator is a standby; {who}");
            *told = leader.cloned();
            true
        });
        let ready = leader.is_some() && self.hindrance.borrow().is_none();
        self.ready.send_if_modified(|told| std::mem::replace(told, ready) != ready);
        !self.stop.is_cancelled()
    }

    /// The leader makes and revokes tokens meanwhile. Who does not know them must not lead: it would let in whom the leader keeps out.
    fn can_lead(&self) -> bool {
        let found = self.access.reload().err();
        let mut before = self.hindrance.borrow_mut();
        if *before != found {
            if let Some(error) = &found {
                tracing::error!("access.tokens: {error}; this standby does not lead until they can be read");
            } else {
                tracing::info!("the tokens can be read again; this standby can lead");
            }
            before.clone_from(&found);
        }
        found.is_none()
    }
}

/// Waits until the journal has no leader, and opens it; none if this process is to end before.
pub(super) async fn stand_by(
    (url, kept, me): (&str, KeptSnapshots, Leader),
    (listener, tls, access): (TcpListener, Option<Arc<Tls>>, Arc<Access>),
    shutdown: &CancellationToken,
) -> Result<Option<Box<dyn Journal>>, Failure> {
    let ((tell, seen), (ready, could_lead)) = (watch::channel(None), watch::channel(false));
    let ended = CancellationToken::new();
    let settings = TransportSettings {
        shutdown_grace: GRACE,
        access: Arc::clone(&access),
        ..TransportSettings::default()
    };
    let connections = connection::accept(listener, ConnectionLimits::default(), tls.clone(), Lanes::one());
    let serving = serve_standby((seen, could_lead), connections, settings, ended.clone());
    let (address, stop) = (url.to_owned(), shutdown.clone());
    let (access_of, hindrance) = (Arc::clone(&access), RefCell::default());
    let standby = Waiting { tell, ready, stop, access: access_of, hindrance };
    let waiting = tokio::task::spawn_blocking(move || journal::await_lead(&address, kept, &me, &standby));
    tokio::pin!(serving);
    let opened = tokio::select! {
        opened = waiting => opened.map_err(Failure::failed)?,
        () = &mut serving => return Err(Failure::failed("the server has stopped")),
        never = reload_on_hangup(tls, &access) => match never {},
        never = supervisor::watched(async || ()) => match never {},
    };
    // Whoever was told that this is a standby asks again.
    ended.cancel();
    serving.await;
    opened.map_err(|error| journal_failure(&error))
}

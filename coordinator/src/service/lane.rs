//! Two lanes: the threads of the driver, where clients are served, and threads of their own for a crowd of workers.
//!
//! A thousand workers may report in the same moment, and a runtime takes its tasks in turn: what a client asks would wait
//! behind all of them. So a connection on which a worker attaches goes to the crowd's lane with all its tasks. The first
//! few stay, since each message then saves the way to another thread.

use std::cell::Cell;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::num::NonZero;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::thread;

use hyper::rt::Executor;
use tokio::runtime::{Handle, Runtime};

use crate::runtime;

/// Workers whose connections stay in the driver's lane, and connections that are opened there at a time.
const BESIDE_DRIVER_MAX: usize = 16;

thread_local! {
    /// The lane of this thread.
    static HERE: Cell<Lane> = const { Cell::new(Lane::Driver) };
}

/// Which threads a task runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// Those of whoever called [`serve`](super::serve), which has the driver.
    Driver,
    /// The crowd's own.
    Crowd,
}

impl Lane {
    /// The lane of the thread that asks.
    pub(super) fn here() -> Self {
        HERE.get()
    }
}

/// The lanes of a service; cheap to clone. The crowd's threads end with the last clone.
#[derive(Clone, Debug, Default)]
pub struct Lanes(Option<Arc<Crowd>>);

struct Crowd {
    /// There until the end.
    runtime: Option<Runtime>,
    beside_max: usize,
    /// Workers' connections in the driver's lane.
    beside: AtomicUsize,
}

impl fmt::Debug for Crowd {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Crowd").field("beside", &self.beside).finish_non_exhaustive()
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        // The last clone may go on a thread that must not wait.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Lanes {
    /// One lane for all, for a coordinator whose workers are few or in its own process.
    pub fn one() -> Self {
        Self::default()
    }

    /// A lane for the crowd beside the driver's: one thread for each core but one, at least one. The driver's is best on a
    /// single thread.
    pub fn for_a_crowd() -> io::Result<Self> {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        Self::two(cores.saturating_sub(1).max(1), BESIDE_DRIVER_MAX)
    }

    /// A lane of so many threads for the crowd, which begins after so many workers.
    pub fn two(threads: usize, beside_max: usize) -> io::Result<Self> {
        let runtime = runtime::of_threads(threads, |builder| {
            builder.thread_name("crowd").on_thread_start(|| HERE.set(Lane::Crowd));
        })?;
        let crowd = Crowd { runtime: Some(runtime), beside_max, beside: AtomicUsize::new(0) };
        Ok(Self(Some(Arc::new(crowd))))
    }

    /// Where a connection is opened while `others` are: handshakes are work, and all workers of a cluster come at once.
    pub(super) fn opening(&self, others: usize) -> Handle {
        let crowd = self.crowd().filter(|_| others >= BESIDE_DRIVER_MAX);
        crowd.cloned().unwrap_or_else(Handle::current)
    }

    pub(super) fn crowd(&self) -> Option<&Handle> {
        self.0.as_ref().and_then(|crowd| crowd.runtime.as_ref()).map(Runtime::handle)
    }

    /// Takes a place beside the driver, if one is left.
    fn stay(&self) -> bool {
        self.0.as_ref().is_none_or(|crowd| {
            let taken = |taken| (taken < crowd.beside_max).then_some(taken + 1);
            crowd.beside.fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken).is_ok()
        })
    }

    fn leave(&self) {
        if let Some(crowd) = &self.0 {
            crowd.beside.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Whose connection it is, and so where it is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seat {
    Client,
    BesideDriver,
    InCrowd,
}

/// Where the tasks of a connection run. It begins in the driver's lane; its first request decides.
#[derive(Debug)]
pub(super) struct Place {
    lanes: Lanes,
    seat: OnceLock<Seat>,
}

impl Place {
    pub(super) fn new(lanes: Lanes) -> Arc<Self> {
        Arc::new(Self { lanes, seat: OnceLock::new() })
    }

    /// Decides with the first request, a worker's or not. Whether the connection has just left for the other lane: then
    /// whoever asks must let its task be polled again before it starts anything.
    pub(super) fn decide(&self, worker: bool) -> bool {
        let mut moved = false;
        self.seat.get_or_init(|| {
            if !worker {
                Seat::Client
            } else if self.lanes.stay() {
                Seat::BesideDriver
            } else {
                moved = true;
                Seat::InCrowd
            }
        });
        moved
    }

    fn lane(&self) -> Lane {
        if self.seat.get() == Some(&Seat::InCrowd) { Lane::Crowd } else { Lane::Driver }
    }

    /// Runs a task of the connection; it goes along when the connection goes to the other lane.
    pub(super) fn spawn(self: &Arc<Self>, mut task: Pin<Box<dyn Future<Output = ()> + Send>>) {
        let (place, lane) = (Arc::clone(self), self.lane());
        let part = async move {
            let to_move = poll_fn(|context| match task.as_mut().poll(context) {
                Poll::Ready(()) => Poll::Ready(false),
                Poll::Pending if place.lane() != lane => Poll::Ready(true),
                Poll::Pending => Poll::Pending,
            });
            if to_move.await {
                place.spawn(task);
            }
        };
        match self.lanes.crowd() {
            Some(crowd) if lane == Lane::Crowd => crowd.spawn(part),
            _ => tokio::spawn(part),
        };
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.seat.get() == Some(&Seat::BesideDriver) {
            self.lanes.leave();
        }
    }
}

/// Starts the tasks of one connection's requests.
#[derive(Clone, Debug)]
pub(super) struct Requests(pub(super) Arc<Place>);

impl<F> Executor<F> for Requests
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, request: F) {
        self.0.spawn(Box::pin(request));
    }
}

//! What a worker counts while it works: for its metrics, and for nothing else.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hebbian_shared::dispatch::Settlement;
use hebbian_shared::episode::Outcome;

/// See the module. Several threads may count and read at once.
#[derive(Debug, Default)]
pub struct Figures {
    attached: AtomicU64,
    streams: AtomicU64,
    troubles: AtomicU64,
    held: AtomicU64,
    evaluated: AtomicU64,
    infeasible: AtomicU64,
    diverged: AtomicU64,
    errors: AtomicU64,
    rejected: AtomicU64,
    compute_ns: AtomicU64,
}

/// The figures of one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Reading {
    /// Whether the worker is attached to a coordinator.
    pub attached: bool,
    /// Streams on which it was welcome.
    pub streams: u64,
    /// Streams that broke, and attempts to attach that failed.
    pub troubles: u64,
    /// Episodes that it holds.
    pub held: u64,
    /// Episodes that it has settled, by outcome.
    pub outcomes: [(&'static str, u64); 5],
    /// Compute time of these, summed over threads.
    pub compute_time: Duration,
}

impl Figures {
    /// As they are.
    pub fn read(&self) -> Reading {
        let of = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
        Reading {
            attached: of(&self.attached) == 1,
            streams: of(&self.streams),
            troubles: of(&self.troubles),
            held: of(&self.held),
            outcomes: [
                ("evaluated", of(&self.evaluated)),
                ("infeasible", of(&self.infeasible)),
                ("diverged", of(&self.diverged)),
                ("error", of(&self.errors)),
                ("rejected", of(&self.rejected)),
            ],
            compute_time: Duration::from_nanos(of(&self.compute_ns)),
        }
    }

    pub(crate) fn attached(&self) {
        self.attached.store(1, Ordering::Relaxed);
        self.streams.fetch_add(1, Ordering::Relaxed);
    }

    /// The stream has ended: by itself, or because of a trouble.
    pub(crate) fn detached(&self, is_trouble: bool) {
        self.attached.store(0, Ordering::Relaxed);
        self.held.store(0, Ordering::Relaxed);
        self.troubles.fetch_add(u64::from(is_trouble), Ordering::Relaxed);
    }

    pub(crate) fn holds(&self, episodes: usize) {
        self.held.store(episodes as u64, Ordering::Relaxed);
    }

    pub(crate) fn settled(&self, settlements: &[Settlement]) {
        for settlement in settlements {
            let counted = match settlement.outcome {
                Outcome::Evaluated(_) => &self.evaluated,
                Outcome::Infeasible(_) => &self.infeasible,
                Outcome::Diverged => &self.diverged,
                Outcome::WorkerError { .. } => &self.errors,
                Outcome::Rejected { .. } => &self.rejected,
            };
            counted.fetch_add(1, Ordering::Relaxed);
            let nanoseconds = u64::try_from(settlement.compute_time.as_nanos()).unwrap_or(u64::MAX);
            self.compute_ns.fetch_add(nanoseconds, Ordering::Relaxed);
        }
    }
}

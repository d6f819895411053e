//! A worker as the scheduler knows it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hebbian_shared::id::RunId;
use hebbian_shared::time::Timestamp;

use super::Settings;
use super::work::LeaseId;

/// The last durations of something.
#[derive(Clone, Debug, Default)]
pub(super) struct Recent {
    durations: Vec<Duration>,
    next: usize,
}

impl Recent {
    const LENGTH: usize = 33;

    pub(super) fn push(&mut self, duration: Duration) {
        if self.durations.len() < Self::LENGTH {
            self.durations.push(duration);
        } else {
            self.durations[self.next] = duration;
        }
        self.next = (self.next + 1) % Self::LENGTH;
    }

    pub(super) fn median(&self) -> Option<Duration> {
        let mut sorted = self.durations.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied()
    }
}

/// A worker's standing with one run.
#[derive(Clone, Debug, Default)]
pub(super) struct Standing {
    /// Why the worker may not work on the run, and whether only until the run is resumed.
    pub(super) barred: Option<(String, Bar)>,
    pub(super) errors_in_row: u32,
    pub(super) compute: Recent,
}

/// How long a worker stays barred from a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bar {
    /// As long as it is attached.
    Session,
    /// Until the run is resumed.
    Quarantine,
}

#[derive(Debug)]
pub(super) struct Worker {
    pub(super) threads: u32,
    pub(super) attached: Timestamp,
    pub(super) heard: Timestamp,
    pub(super) draining: bool,
    /// Episodes that it holds.
    pub(super) held: u32,
    /// How long it will be busy with them, summed over threads.
    pub(super) held_work: Duration,
    pub(super) leases: BTreeSet<(RunId, LeaseId)>,
    pub(super) standings: BTreeMap<RunId, Standing>,
    pub(super) settled: u64,
    pub(super) errors: u64,
    pub(super) compute: Recent,
}

impl Worker {
    pub(super) fn new(now: Timestamp, threads: u32) -> Self {
        Self {
            threads,
            attached: now,
            heard: now,
            draining: false,
            held: 0,
            held_work: Duration::ZERO,
            leases: BTreeSet::new(),
            standings: BTreeMap::new(),
            settled: 0,
            errors: 0,
            compute: Recent::default(),
        }
    }

    pub(super) fn barred(&self, run: RunId) -> bool {
        self.standings.get(&run).is_some_and(|standing| standing.barred.is_some())
    }

    pub(super) fn eligible(&self, run: RunId) -> bool {
        !self.draining && !self.barred(run)
    }

    /// Whether a thread has nothing to do, or will within a round trip.
    pub(super) fn idle(&self, settings: &Settings) -> bool {
        let busy = self.held >= self.threads && self.held_work >= settings.work_min * self.threads;
        !self.draining && !busy && self.held < self.credit_max(settings)
    }

    /// Whether it can take work in advance.
    pub(super) fn ready(&self, settings: &Settings) -> bool {
        let full =
            self.held >= 2 * self.threads && self.held_work >= settings.batch_work * (2 * self.threads);
        !self.draining && !full && self.held < self.credit_max(settings)
    }

    /// The most episodes it may ever hold: two full batches for each thread.
    pub(super) fn credit_max(&self, settings: &Settings) -> u32 {
        2 * self.threads * settings.batch_length_max
    }

    /// Episodes that it may still be given.
    pub(super) fn room(&self, settings: &Settings) -> u32 {
        self.credit_max(settings).saturating_sub(self.held)
    }

    /// Episodes it may hold at its present pace.
    pub(super) fn credit(&self, settings: &Settings) -> u32 {
        2 * self.threads * settings.batch_length(self.compute.median())
    }

    pub(super) fn hand_back(&mut self, episodes: u32, estimate: Duration) {
        self.held -= episodes;
        self.held_work = self.held_work.saturating_sub(estimate * episodes);
    }
}

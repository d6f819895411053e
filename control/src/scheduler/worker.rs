//! A worker as the scheduler knows it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hebbian_shared::id::{GenerationIndex, RunId};
use hebbian_shared::limits::CREDIT_MAX;
use hebbian_shared::time::Timestamp;

use super::Settings;
use super::work::{LeaseId, Released};

/// The last durations of something, with their median.
#[derive(Clone, Debug, Default)]
pub(super) struct Recent {
    /// Nanoseconds in order of their coming, as a ring.
    durations: Vec<u64>,
    next: usize,
    /// The same ones by length: one goes and one comes at a time, which is far less work than to find the median anew.
    sorted: Vec<u64>,
}

impl Recent {
    const LENGTH: usize = 33;

    pub(super) fn push(&mut self, duration: Duration) {
        let duration = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let place = |sorted: &[u64], duration| sorted.partition_point(|other| *other < duration);
        let to = place(&self.sorted, duration);
        if self.durations.len() < Self::LENGTH {
            self.durations.push(duration);
            self.sorted.insert(to, duration);
        } else {
            let oldest = std::mem::replace(&mut self.durations[self.next], duration);
            let from = place(&self.sorted, oldest);
            // Only those between the two places move.
            if to > from {
                self.sorted.copy_within(from + 1..to, from);
                self.sorted[to - 1] = duration;
            } else {
                self.sorted.copy_within(to..from, to + 1);
                self.sorted[to] = duration;
            }
        }
        self.next = (self.next + 1) % Self::LENGTH;
    }

    /// The upper one of the two in the middle, where their number is even.
    pub(super) fn median(&self) -> Option<Duration> {
        self.sorted.get(self.sorted.len() / 2).copied().map(Duration::from_nanos)
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

impl Standing {
    /// Counts an error of a worker of so many threads; how many there are in a row, if they quarantine it.
    pub(super) fn count_error(&mut self, threads: u32, settings: &Settings) -> Option<u32> {
        self.errors_in_row += 1;
        let has_answered = self.compute.median().is_some();
        let least = if has_answered { settings.errors_in_row_min } else { 0 };
        let most = threads.saturating_mul(settings.errors_in_row_per_thread).max(least);
        (self.errors_in_row >= most).then_some(self.errors_in_row)
    }
}

/// How long a worker stays barred from a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bar {
    /// As long as it is attached.
    Session,
    /// Until the run is resumed.
    UntilResumed,
}

#[derive(Debug)]
pub(super) struct Worker {
    pub(super) threads: u32,
    pub(super) attached: Timestamp,
    pub(super) heard: Timestamp,
    pub(super) draining: bool,
    /// Of a worker that leaves: when it has to be gone.
    pub(super) leaves_at: Option<Timestamp>,
    /// Times in a row that others finished first what it held, without an answer of its own.
    pub(super) stalls: u32,
    /// Episodes of it that a second worker was given too.
    pub(super) hedged: u64,
    /// Until then it gets nothing.
    pub(super) rests_until: Option<Timestamp>,
    /// Episodes that it holds.
    pub(super) held: u32,
    /// How long it will be busy with them, summed over threads.
    pub(super) held_work: Duration,
    pub(super) leases: BTreeSet<(RunId, LeaseId)>,
    pub(super) standings: BTreeMap<RunId, Standing>,
    pub(super) settled: u64,
    pub(super) errors: u64,
    /// Episodes it was given and has answered since it last let others finish all that it held; see [`super::trust`].
    pub(super) answered: u64,
    /// Times that it was proven and let others finish all that it held.
    pub(super) lapses: u32,
    /// Of which run and generation it was given something last.
    pub(super) given: Option<(RunId, GenerationIndex)>,
    /// For how long it has held something, beyond the computing time that it told of: of one thread nothing should be left.
    unexplained: Duration,
    /// For how long its threads have, beyond what was believed of it: it cannot have computed for longer.
    unclaimed: Duration,
    /// Until when both are counted.
    counted_until: Timestamp,
    /// What it counts among the scheduler's believed threads.
    pub(super) counted: u32,
    pub(super) compute: Recent,
}

impl Worker {
    pub(super) fn new(now: Timestamp, threads: u32) -> Self {
        Self {
            threads,
            attached: now,
            heard: now,
            draining: false,
            leaves_at: None,
            stalls: 0,
            hedged: 0,
            rests_until: None,
            held: 0,
            held_work: Duration::ZERO,
            leases: BTreeSet::new(),
            standings: BTreeMap::new(),
            settled: 0,
            errors: 0,
            answered: 0,
            lapses: 0,
            given: None,
            unexplained: Duration::ZERO,
            unclaimed: Duration::ZERO,
            counted_until: now,
            counted: 0,
            compute: Recent::default(),
        }
    }

    pub(super) fn barred(&self, run: RunId) -> bool {
        self.standings.get(&run).is_some_and(|standing| standing.barred.is_some())
    }

    pub(super) fn eligible(&self, run: RunId) -> bool {
        !self.draining && !self.barred(run)
    }

    /// Why it must be detached, for people; `None` while it need not: it was silent for too long, or stays for longer than it
    /// said. One that holds nothing may be silent for longer: its silence delays nobody, and its connection's keep-alive
    /// notices if it is gone.
    pub(super) fn lost(&self, now: Timestamp, settings: &Settings) -> Option<String> {
        if self.leaves_at.is_some_and(|time| now > time) {
            return Some("it did not leave in time".to_owned());
        }
        if !settings.detaches_silent {
            return None;
        }
        let patience = if self.held == 0 { settings.idle_lease } else { settings.lease };
        (now.since(self.heard) > patience).then(|| format!("not heard for {patience:?}"))
    }

    /// Whether it may be given anything at all.
    fn takes(&self) -> bool {
        !self.draining && self.rests_until.is_none()
    }

    /// Whether a thread has nothing to do, or will within a round trip.
    pub(super) fn idle(&self, settings: &Settings) -> bool {
        let busy = self.held >= self.threads && self.held_work >= settings.work_min * self.threads;
        self.takes() && !busy && self.held < self.allowance(settings)
    }

    /// Whether it holds two batches for each thread.
    pub(super) fn is_full(&self, batch_work: Duration) -> bool {
        self.held >= 2 * self.threads && self.held_work >= batch_work * (2 * self.threads)
    }

    /// Whether it can take work in advance.
    pub(super) fn ready(&self, settings: &Settings) -> bool {
        self.takes() && !self.is_full(settings.batch_work) && self.held < self.allowance(settings)
    }

    /// The most episodes it may ever hold.
    pub(super) fn credit_max(&self, settings: &Settings) -> u32 {
        self.threads.saturating_mul(settings.credit_per_thread_max).min(CREDIT_MAX)
    }

    /// Episodes that it may still be given.
    pub(super) fn room(&self, settings: &Settings) -> u32 {
        self.allowance(settings).saturating_sub(self.held)
    }

    /// Episodes it may hold at its present pace.
    pub(super) fn credit(&self, settings: &Settings) -> u32 {
        let length = settings.batch_length(self.compute.median());
        (2 * self.threads).saturating_mul(length).min(self.allowance(settings))
    }

    /// It is given episodes, which should take so long together.
    pub(super) fn hand(&mut self, now: Timestamp, episodes: u32, work: Duration) {
        if self.held == 0 {
            // A worker that holds nothing need not be heard often: it counts as heard when it is given something.
            self.heard = self.heard.max(now);
            (self.unexplained, self.unclaimed) = (Duration::ZERO, Duration::ZERO);
            self.counted_until = now;
        }
        self.held += episodes;
        self.held_work += work;
    }

    /// It answers: how long it has held something beyond what it told of.
    pub(super) fn count_time(&mut self, now: Timestamp) -> Duration {
        if self.held > 0 {
            let time = now.since(self.counted_until);
            self.unexplained = self.unexplained.saturating_add(time);
            self.unclaimed = self.unclaimed.saturating_add(time.saturating_mul(self.threads));
        }
        self.counted_until = now;
        self.unexplained
    }

    /// What is believed when it says that it has computed for so long.
    pub(super) fn can_claim(&self, time: Duration) -> Duration {
        time.min(self.unclaimed)
    }

    /// So much is charged for what it has done.
    pub(super) fn explain(&mut self, time: Duration) {
        self.unexplained = self.unexplained.saturating_sub(time);
    }

    /// It holds an episode of a run no more: it has answered, or given it back.
    pub(super) fn take_back(&mut self, run: RunId, released: &Released) {
        self.unclaimed = self.unclaimed.saturating_sub(released.took);
        self.explain(released.took);
        self.hand_back(1, released.estimate);
        if released.last {
            self.leases.remove(&(run, released.lease));
        }
    }

    pub(super) fn hand_back(&mut self, episodes: u32, estimate: Duration) {
        self.held -= episodes;
        self.held_work = self.held_work.saturating_sub(estimate * episodes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_that_of_the_last_durations() {
        let mut recent = Recent::default();
        assert_eq!(recent.median(), None);
        let mut all = Vec::new();
        // Up and down, with many that are equal.
        for number in 0..200_u64 {
            let duration = Duration::from_millis(number * number % 37);
            recent.push(duration);
            all.push(duration);
            let mut last = all[all.len().saturating_sub(Recent::LENGTH)..].to_vec();
            last.sort_unstable();
            assert_eq!(recent.median(), Some(last[last.len() / 2]), "after {}", all.len());
        }
    }
}

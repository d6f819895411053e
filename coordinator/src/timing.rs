//! How long things take that the coordinator waits for, and what it is told: for the metrics, and for nothing else.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hebbian_shared::dispatch::Settlement;
use hebbian_shared::episode::Outcome;

/// Upper ends of the buckets in seconds.
pub(crate) const BOUNDS_S: [f64; 12] =
    [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0];

/// What is timed.
#[derive(Debug, Default)]
pub(crate) struct Timings {
    /// Commits of the journal, with their synchronisation.
    pub(crate) commits: Histogram,
    /// What a generation's outcomes make of a search.
    pub(crate) searches: Histogram,
    /// What workers have reported.
    pub(crate) reported: Reported,
    /// Watches that are open.
    pub(crate) watchers: AtomicU64,
    generations: AtomicU64,
    /// Nanoseconds of these by [`Part`].
    spent: [AtomicU64; Part::NAMES.len()],
}

/// A part of the time of a generation.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part {
    /// Workers compute.
    Compute,
    /// Episodes are on their way, wait for workers, or for the last of them.
    Waiting,
    /// The search advances.
    Search,
    /// The close is on its way to the disk.
    Disk,
}

impl Part {
    const NAMES: [&str; 4] = ["compute", "waiting", "search", "disk"];
}

impl Timings {
    /// Counts time of a generation.
    pub(crate) fn spent(&self, part: Part, time: Duration) {
        add(&self.spent[part as usize], time);
    }

    /// A generation is closed on the disk.
    pub(crate) fn closed(&self) {
        self.generations.fetch_add(1, Ordering::Relaxed);
    }

    /// Seconds of all generations by part, and how many generations have closed.
    pub(crate) fn generations(&self) -> ([(&'static str, f64); Part::NAMES.len()], u64) {
        let seconds = |part: usize| self.spent[part].load(Ordering::Relaxed) as f64 / 1e9;
        let parts = std::array::from_fn(|part| (Part::NAMES[part], seconds(part)));
        (parts, self.generations.load(Ordering::Relaxed))
    }
}

fn add(nanoseconds: &AtomicU64, time: Duration) {
    nanoseconds.fetch_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
}

const OUTCOMES: [&str; 5] = ["evaluated", "infeasible", "diverged", "error", "rejected"];

/// Episodes that workers have reported, by outcome.
#[derive(Debug, Default)]
pub(crate) struct Reported([AtomicU64; OUTCOMES.len()]);

impl Reported {
    /// Counts the outcomes of a report.
    pub(crate) fn count(&self, settlements: &[Settlement]) {
        let mut counts = [0; OUTCOMES.len()];
        for settlement in settlements {
            counts[match settlement.outcome {
                Outcome::Evaluated(_) => 0,
                Outcome::Infeasible(_) => 1,
                Outcome::Diverged => 2,
                Outcome::WorkerError { .. } => 3,
                Outcome::Rejected { .. } => 4,
            }] += 1;
        }
        for (all, count) in self.0.iter().zip(counts).filter(|(_, count)| *count > 0) {
            all.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// How many of each outcome.
    pub(crate) fn read(&self) -> [(&'static str, u64); OUTCOMES.len()] {
        std::array::from_fn(|outcome| (OUTCOMES[outcome], self.0[outcome].load(Ordering::Relaxed)))
    }
}

/// Durations in buckets. Several threads may count at once.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    /// By bucket, the last one without an upper end.
    counts: [AtomicU64; BOUNDS_S.len() + 1],
    nanoseconds: AtomicU64,
}

impl Histogram {
    /// Does something and counts how long that took.
    pub(crate) fn time<T>(&self, done: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = done();
        self.count(start.elapsed());
        result
    }

    fn count(&self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let bucket = BOUNDS_S.partition_point(|bound| *bound < seconds);
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        add(&self.nanoseconds, duration);
    }

    /// How many took at most so long, for each bound and at last without one; and seconds of all together.
    pub(crate) fn read(&self) -> ([u64; BOUNDS_S.len() + 1], f64) {
        let mut below = 0;
        let cumulated = std::array::from_fn(|bucket| {
            below += self.counts[bucket].load(Ordering::Relaxed);
            below
        });
        (cumulated, self.nanoseconds.load(Ordering::Relaxed) as f64 / 1e9)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hebbian_shared::episode::Evaluation;
    use hebbian_shared::fitness::Fitness;
    use hebbian_shared::id::{CandidateIndex, TaskIndex};

    #[test]
    fn durations_are_counted_where_they_belong() {
        let histogram = Histogram::default();
        for millis in [0, 1, 2, 500, 60_000] {
            histogram.count(Duration::from_millis(millis));
        }
        let (counts, seconds) = histogram.read();
        assert_eq!(counts, [1, 1, 2, 3, 3, 3, 3, 3, 4, 4, 4, 4, 5]);
        assert!((seconds - 60.503).abs() < 1e-9);
        assert_eq!(histogram.time(|| 7), 7);
        assert_eq!(histogram.read().0[12], 6);
    }

    #[test]
    fn outcomes_are_counted_by_their_kind() {
        let of = |outcome| Settlement {
            candidate: CandidateIndex(0),
            task: TaskIndex(0),
            outcome,
            compute_time: Duration::ZERO,
        };
        let reason = String::new;
        let outcomes = [
            Outcome::Evaluated(Evaluation::of(Fitness::new(1.0).unwrap())),
            Outcome::Diverged,
            Outcome::Diverged,
            Outcome::WorkerError { reason: reason() },
            Outcome::Rejected { reason: reason() },
        ];
        let reported = Reported::default();
        reported.count(&outcomes.map(of));
        let expected = [("evaluated", 1), ("infeasible", 0), ("diverged", 2), ("error", 1), ("rejected", 1)];
        assert_eq!(reported.read(), expected);
    }
}

//! How long things take that the coordinator waits for, counted in buckets: for the metrics, and for nothing else.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

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
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
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
}

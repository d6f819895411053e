//! What steers the scheduler.

use std::time::Duration;

use super::recheck::Recheck;
use hebbian_shared::limits::{
    BATCH_LENGTH_MAX, CREDIT_PER_THREAD_MAX, IDLE_LEASE, LEASE, REST_MAX, REST_MIN,
};

/// What steers the scheduler. Nothing here can change a result.
#[derive(Clone, Debug)]
pub struct Settings {
    /// A worker that holds episodes and is not heard for so long is detached.
    pub lease: Duration,
    /// One that holds none and is not heard for so long is detached.
    pub idle_lease: Duration,
    /// Whether workers that are not heard are detached at all. Threads of the scheduler's own process are not: what holds them up
    /// holds it up as well, and it loses none of them.
    pub detaches_silent: bool,
    /// No lease younger than this is hedged, whatever the median duration.
    pub hedge_min: Duration,
    /// Work that a batch should hold for one thread.
    pub batch_work: Duration,
    /// Work below which a batch is not split further to balance the end of a generation.
    pub work_min: Duration,
    /// The most episodes of a batch.
    pub batch_length_max: u32,
    /// The most episodes that a worker may hold for each of its threads, however short they are.
    pub credit_per_thread_max: u32,
    /// How long a worker gets nothing after others finished first what it held: at first, and at most; the time doubles
    /// as long as it answers nothing.
    pub rest: (Duration, Duration),
    /// Distinct workers whose errors exhaust an episode.
    pub errors_max: usize,
    /// Lost leases that exhaust an episode.
    pub losses_max: u32,
    /// Errors of one worker on one episode that exhaust it, if nobody better is there.
    pub tries_max: u32,
    /// Errors in a row that quarantine a worker, for each of its threads. Their errors come one after the other, and where errors are quick
    /// and evaluations long, those of all threads come before the first answer.
    pub errors_in_row_per_thread: u32,
    /// At least so many quarantine one that has answered something of the run.
    pub errors_in_row_min: u32,
    /// Which episodes are computed twice.
    pub recheck: Recheck,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            lease: LEASE,
            idle_lease: IDLE_LEASE,
            detaches_silent: true,
            hedge_min: Duration::from_millis(50),
            batch_work: Duration::from_millis(20),
            work_min: Duration::from_millis(1),
            batch_length_max: BATCH_LENGTH_MAX,
            credit_per_thread_max: CREDIT_PER_THREAD_MAX,
            rest: (REST_MIN, REST_MAX),
            errors_max: 3,
            losses_max: 10,
            tries_max: 10,
            errors_in_row_per_thread: 5,
            errors_in_row_min: 10,
            recheck: Recheck::default(),
        }
    }
}

impl Settings {
    /// Episodes of a batch that are about `batch_work` long; one while the duration is unknown.
    pub(super) fn batch_length(&self, episode: Option<Duration>) -> u32 {
        self.episodes_in(self.batch_work, episode)
    }

    /// The least that an episode counts as: a batch is as long as if none took less.
    pub(super) fn least_work(&self) -> Duration {
        self.batch_work / self.batch_length_max.max(1)
    }

    pub(super) fn episodes_in(&self, work: Duration, episode: Option<Duration>) -> u32 {
        let Some(episode) = episode else { return 1 };
        let length = work.as_nanos() / episode.as_nanos().max(1);
        (length as u32).clamp(1, self.batch_length_max)
    }
}

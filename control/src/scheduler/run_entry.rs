//! A run as the scheduler knows it.

use std::time::Duration;

use hebbian_shared::id::GenerationIndex;
use hebbian_shared::spec::external::Tolerance;
use hebbian_shared::time::Timestamp;

use super::Settings;
use super::work::Work;
use super::worker::Recent;

/// How long others wait for a run whose search advances. A short generation loses its share if they do not; a search that
/// takes longer holds nobody up.
const TURN_MAX: Duration = Duration::from_millis(50);

/// What a run has had of the cluster.
#[derive(Debug)]
pub(super) struct Share {
    /// Its share beside that of other runs.
    weight: f64,
    /// Worker time spent on the run and expected to be, since it joined, divided by its weight: the run that has least
    /// of it is next.
    pub(super) used: Duration,
}

impl Share {
    /// Joins those that want worker time, at their level or above it.
    pub(super) fn join(&mut self, level: Duration) {
        self.used = self.used.max(level);
    }

    pub(super) fn charge(&mut self, time: Duration) {
        self.used = self.used.saturating_add(time.div_f64(self.weight));
    }

    pub(super) fn refund(&mut self, time: Duration) {
        self.used = self.used.saturating_sub(time.div_f64(self.weight));
    }
}

#[derive(Debug)]
pub(super) struct RunEntry {
    pub(super) work: Option<Work>,
    pub(super) paused: bool,
    /// How far honest answers may be apart, if they can be compared.
    pub(super) tolerance: Option<Tolerance>,
    /// Since when its search advances, after which its next generation comes.
    pub(super) turning: Option<Timestamp>,
    pub(super) share: Share,
    /// The most episodes of a batch.
    pub(super) batch_max: u32,
    /// Attached workers that may work on it.
    pub(super) eligible: u32,
    /// From a batch's dispatch to the report of its episodes.
    pub(super) turnaround: Recent,
    pub(super) compute: Recent,
}

impl RunEntry {
    pub(super) fn new(weight: f64, batch_max: u32, used: Duration, eligible: u32) -> Self {
        Self {
            work: None,
            paused: false,
            tolerance: Some(Tolerance::NONE),
            turning: None,
            share: Share { weight, used },
            batch_max,
            eligible,
            turnaround: Recent::default(),
            compute: Recent::default(),
        }
    }

    /// Whether episodes of a generation are open, or were and have settled.
    pub(super) fn is_at(&self, generation: GenerationIndex) -> bool {
        self.work.as_ref().is_some_and(|work| work.generation == generation)
    }

    /// Episodes that could be handed out.
    pub(super) fn queued(&self) -> u32 {
        if self.paused || self.eligible == 0 { 0 } else { self.work.as_ref().map_or(0, Work::queued) }
    }

    /// Whether it wants workers now or as soon as its generation turns.
    pub(super) fn is_active(&self, now: Timestamp) -> bool {
        let turns = self.turning.is_some_and(|since| now.since(since) < TURN_MAX);
        let open = self.work.as_ref().is_some_and(|work| work.unsettled() > 0);
        !self.paused && self.eligible > 0 && (turns || open)
    }

    /// How old a lease has to be to be hedged.
    pub(super) fn hedge_age(&self, settings: &Settings) -> Duration {
        let usual = self.turnaround.median().map(|median| 3 * median);
        usual.unwrap_or(settings.lease).max(settings.hedge_min)
    }
}

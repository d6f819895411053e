//! What happened to workers lately, for people: a list in memory that stays short.

use std::collections::VecDeque;

use hebbian_proto::figures::moment;
use hebbian_proto::v1;
use hebbian_shared::id::WorkerId;
use hebbian_shared::limits::{EVENT_REASON_MAX, EVENTS_MAX};
use hebbian_shared::time::Timestamp;

use super::Engine;

/// What may happen to a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Happening {
    Attached,
    AskedToLeave,
    Left,
    Lost,
    FellSilent,
    Silent,
    Barred,
    Excluded,
}

impl Happening {
    /// As it is told.
    fn words(self) -> &'static str {
        match self {
            Self::Attached => "attached",
            Self::AskedToLeave => "asked to leave",
            Self::Left => "left",
            Self::Lost | Self::FellSilent => "lost",
            Self::Silent => "does not answer",
            Self::Barred => "barred",
            Self::Excluded => "excluded",
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Events {
    kept: VecDeque<v1::ClusterEvent>,
    attached: u64,
    lost: u64,
    fell_silent: u64,
}

impl Events {
    /// The last events, oldest first.
    pub(super) fn kept(&self) -> Vec<v1::ClusterEvent> {
        self.kept.iter().cloned().collect()
    }

    /// How many workers have come, how many of them were lost, and how many of these fell silent.
    pub(super) fn counts(&self) -> (u64, u64, u64) {
        (self.attached, self.lost, self.fell_silent)
    }
}

impl Engine {
    /// Keeps what has happened to an attached worker.
    ///
    /// # Panics
    /// If it is no more known.
    pub(crate) fn happened(&mut self, now: Timestamp, worker: WorkerId, what: Happening, why: &str) {
        let name = self.name_of(worker).to_owned();
        self.happened_to(now, (worker, name), what, why);
    }

    /// Keeps what has happened to a worker of this name, which may have gone.
    pub(super) fn happened_to(
        &mut self,
        now: Timestamp,
        (worker, name): (WorkerId, String),
        what: Happening,
        why: &str,
    ) {
        let events = &mut self.events;
        match what {
            Happening::Attached => events.attached += 1,
            Happening::Lost => events.lost += 1,
            Happening::FellSilent => {
                events.lost += 1;
                events.fell_silent += 1;
            }
            _ => {}
        }
        if events.kept.len() >= EVENTS_MAX {
            events.kept.pop_front();
        }
        events.kept.push_back(v1::ClusterEvent {
            time: Some(moment(now.0.as_millis() as u64)),
            worker: worker.0,
            display_name: name,
            what: what.words().to_owned(),
            why: why.chars().take(EVENT_REASON_MAX).collect(),
        });
    }
}

//! Figures of runs and of the cluster: what the messages of `progress.proto` say to those that compute with them.
//!
//! A figure is built once, where it arises, as the message that the journal stores, the wire carries, and `--json` prints.

use std::time::Duration;

use hebbian_shared::estimate::Estimate;
use hebbian_shared::id::RunId;

use crate::convert::{ConvertError, parse_run_name};
use crate::v1;
/// The life of a run. The message `v1::RunState` holds one, or none if a newer program has sent it.
pub use crate::v1::run_state::Kind as RunState;
use crate::v1::run_state::{Cancelled, Failed, Paused, Running};

impl RunState {
    /// Episodes are handed out while workers are there.
    pub const RUNNING: Self = Self::Running(Running {});
    /// An operator has ended the run.
    pub const CANCELLED: Self = Self::Cancelled(Cancelled {});

    /// Nothing is handed out; the reason says what would change that.
    pub fn paused(reason: impl Into<String>) -> Self {
        Self::Paused(Paused { reason: reason.into() })
    }

    /// The run's records cannot be used; the reason says what is wrong with them.
    pub fn failed(reason: impl Into<String>) -> Self {
        Self::Failed(Failed { reason: reason.into() })
    }

    /// The state's name, in one word.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Running(_) => "running",
            Self::Paused(_) => "paused",
            Self::Finished(_) => "finished",
            Self::Cancelled(_) => "cancelled",
            Self::Failed(_) => "failed",
        }
    }

    /// Whether the run will never go on.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Finished(_) | Self::Cancelled(_) | Self::Failed(_))
    }
}

impl From<RunState> for v1::RunState {
    fn from(kind: RunState) -> Self {
        Self { kind: Some(kind) }
    }
}

impl v1::Run {
    /// The id in its resource name, for people.
    pub fn id(&self) -> &str {
        self.name.trim_start_matches("runs/")
    }

    /// The same for programs.
    pub fn run_id(&self) -> Result<RunId, ConvertError> {
        parse_run_name("name", &self.name)
    }

    /// Its state; `None` if it is one of a newer program.
    pub fn state(&self) -> Option<&RunState> {
        self.state.as_ref()?.kind.as_ref()
    }

    /// Whether it will never go on.
    pub fn is_final(&self) -> bool {
        self.state().is_some_and(RunState::is_final)
    }

    /// The part of the open generation that has settled, from 0 to 1.
    pub fn settled(&self) -> f64 {
        f64::from(self.settled_episodes) / f64::from(self.generation_episodes.max(1))
    }
}

impl v1::RunEvent {
    /// An event of what was committed.
    pub fn of(kind: v1::run_event::Kind) -> Self {
        Self { kind: Some(kind) }
    }

    /// The state that the run has from here on, if the event is its change.
    pub fn state(&self) -> Option<&RunState> {
        match self.kind.as_ref()? {
            v1::run_event::Kind::State(state) => state.kind.as_ref(),
            _ => None,
        }
    }
}

impl From<Estimate> for v1::Estimate {
    fn from(Estimate { mean, standard_error }: Estimate) -> Self {
        Self { mean, standard_error }
    }
}

/// Bytes as hexadecimal digits.
pub fn hexadecimal(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from_digit(u32::from(half), 16).expect("half of a byte");
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// The first twelve hexadecimal digits of a digest: enough for people.
pub fn short(digest: &[u8]) -> String {
    hexadecimal(&digest[..digest.len().min(6)])
}

/// A duration of a message; what is absent or below zero is none at all.
pub fn duration(of: Option<prost_types::Duration>) -> Duration {
    of.and_then(|duration| duration.try_into().ok()).unwrap_or_default()
}

/// A moment of a message, to the millisecond.
pub fn moment(unix_ms: u64) -> prost_types::Timestamp {
    let moment = Duration::from_millis(unix_ms);
    prost_types::Timestamp { seconds: moment.as_secs() as i64, nanos: moment.subsec_nanos() as i32 }
}

/// Milliseconds from 1970 UTC to a moment of a message; 0 for what was before or is absent.
pub fn unix_ms(moment: Option<prost_types::Timestamp>) -> u64 {
    let Some(prost_types::Timestamp { seconds, nanos }) = moment else { return 0 };
    let of = |number: i64| u64::try_from(number).unwrap_or(0);
    of(seconds).saturating_mul(1000).saturating_add(of(nanos.into()) / 1_000_000)
}

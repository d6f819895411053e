//! Commands that are about the coordinator as a whole.

use hebbian_proto::v1;
use hebbian_shared::time::Timestamp;

use super::{Command, Refusal};
use crate::engine::Engine;

/// How the coordinator stands.
#[derive(Clone, Copy, Debug)]
pub struct Status;

impl Command for Status {
    type Answer = v1::CoordinatorStatus;

    fn execute(self, engine: &mut Engine, now: Timestamp) -> Result<v1::CoordinatorStatus, Refusal> {
        Ok(engine.status(now))
    }
}

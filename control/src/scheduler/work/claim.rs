//! What of a worker's word for its computing time is believed.

use std::time::Duration;

use hebbian_shared::id::WorkerId;
use hebbian_shared::time::Timestamp;

use super::{LeaseId, Work};

impl Work {
    /// What is believed of the time that a worker of so many threads says it has computed at an episode: no more than has gone by since
    /// it was given it, and of all that it was given together no more than its threads had. Nothing if it does not hold it.
    pub(in super::super) fn believe(
        &mut self,
        now: Timestamp,
        (worker, threads): (WorkerId, u32),
        slot: u32,
        claim: Duration,
    ) -> Duration {
        let held = self.episodes[slot as usize].leases;
        let is_its = |id: &&LeaseId| self.leases.get(*id).is_some_and(|lease| lease.worker == worker);
        let its = held.iter().find(is_its).copied();
        let Some(lease) = its.and_then(|id| self.leases.get_mut(&id)) else { return Duration::ZERO };
        let age = now.since(lease.since);
        let left = age.saturating_mul(threads).saturating_sub(lease.believed);
        let believed = claim.min(age).min(left);
        lease.believed += believed;
        believed
    }
}

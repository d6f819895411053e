//! The end of a worker's hold on an episode, and what is believed of the time that it says it took.

use std::time::Duration;

use hebbian_shared::id::WorkerId;
use hebbian_shared::time::Timestamp;

use super::{LeaseId, NO_LEASE, Work};

/// What a worker gave back.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Released {
    pub(in super::super) estimate: Duration,
    pub(in super::super) since: Timestamp,
    /// The lease holds nothing more.
    pub(in super::super) last: bool,
    pub(in super::super) lease: LeaseId,
    /// What is believed of the computing time that the worker claims.
    pub(in super::super) took: Duration,
}

impl Work {
    /// Ends a worker's hold on an episode, if it has one. Of the computing time that it claims no more is believed than has gone by since it
    /// was given the episode, and of all that it was given together no more than its threads had.
    pub(in super::super) fn release(
        &mut self,
        now: Timestamp,
        (worker, threads): (WorkerId, u32),
        slot: u32,
        claim: Duration,
    ) -> Option<Released> {
        self.heard_of(slot, worker);
        let episode = &mut self.episodes[slot as usize];
        for place in 0..2 {
            let id = episode.leases[place];
            if id == NO_LEASE {
                continue;
            }
            let lease = self.leases.get_mut(&id).expect("an episode's lease exists");
            if lease.worker != worker {
                continue;
            }
            episode.leases[place] = NO_LEASE;
            lease.held -= 1;
            let age = now.since(lease.since);
            let left = age.saturating_mul(threads).saturating_sub(lease.believed);
            let took = claim.min(age).min(left);
            lease.believed += took;
            let (estimate, since, last) = (lease.estimate, lease.since, lease.held == 0);
            let released = Released { estimate, since, last, lease: id, took };
            if released.last {
                self.leases.remove(&id);
            }
            return Some(released);
        }
        None
    }
}

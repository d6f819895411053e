//! What must always hold of a generation's episodes.

use std::collections::{BTreeMap, BTreeSet};

use super::{LeaseId, NO_LEASE, Work};

impl Work {
    /// Checks what must always hold.
    ///
    /// # Panics
    /// If it does not.
    pub(in super::super) fn check_invariants(&self) {
        let (mut queued, mut unsettled) = (0, 0);
        let mut held: BTreeMap<LeaseId, u32> = BTreeMap::new();
        let mut reachable = vec![false; self.episodes.len()];
        let waiting = self.fresh.iter().cloned().flatten();
        for slot in waiting.chain(self.retry.iter().copied()).chain(self.failed.iter().copied()) {
            reachable[slot as usize] = true;
        }
        for (slot, episode) in self.episodes.iter().enumerate() {
            queued += u32::from(episode.queued);
            unsettled += u32::from(!episode.settled);
            assert!(!(episode.settled && episode.queued), "slot {slot} has settled and is queued");
            assert!(!(episode.queued && episode.leased()), "slot {slot} is queued and leased");
            assert!(
                episode.settled || episode.queued || episode.leased(),
                "slot {slot} is open and neither queued nor leased"
            );
            assert!(!episode.queued || reachable[slot], "slot {slot} counts as queued but no queue holds it");
            let mut workers = BTreeSet::new();
            for id in episode.leases.into_iter().filter(|&id| id != NO_LEASE) {
                *held.entry(id).or_default() += 1;
                let lease = self.leases.get(&id).expect("an episode's lease exists");
                assert!(workers.insert(lease.worker), "slot {slot} is leased twice to one worker");
            }
        }
        assert_eq!((queued, unsettled), (self.queued, self.unsettled));
        let counted: BTreeMap<LeaseId, u32> =
            self.leases.iter().map(|(&id, lease)| (id, lease.held)).collect();
        assert_eq!(held, counted, "leases hold what episodes say");
    }
}

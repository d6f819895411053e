//! From one generation of an asynchronous run to the next: workers go on with what they have begun.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hebbian_shared::episode::EpisodePurpose;
use hebbian_shared::id::{CandidateIndex, TaskIndex, WorkerId};

use super::super::work::{Lease, LeaseId, NO_LEASE, Work};

/// What workers hold and nobody wants any more when a generation turns.
#[derive(Debug, Default)]
pub(in super::super) struct Carried {
    pub(in super::super) dropped: Vec<Dropped>,
    /// What workers still compute whose leases were lost, with its place in the generation before.
    pub(in super::super) strayed: Vec<(WorkerId, (CandidateIndex, TaskIndex))>,
}

/// What a lease no longer holds, because its episodes are none of the next generation's, or have settled.
#[derive(Debug)]
pub(in super::super) struct Dropped {
    pub(in super::super) lease: LeaseId,
    pub(in super::super) worker: WorkerId,
    /// Of the generation before, by their places there.
    pub(in super::super) episodes: Vec<(CandidateIndex, TaskIndex)>,
    pub(in super::super) estimate: Duration,
    /// Whether it holds nothing more.
    pub(in super::super) is_over: bool,
}

impl Work {
    /// The candidates of the search that somebody has begun: a worker holds, has settled or has failed on an episode of theirs. The
    /// others are handed out no more.
    pub(in super::super) fn keep_begun(&mut self) -> Vec<CandidateIndex> {
        let mut begun = BTreeSet::new();
        let mut slots: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for slot in 0..self.episodes.len() as u32 {
            let (purpose, _, candidate, _) = self.episode(slot);
            if purpose != EpisodePurpose::Search {
                continue;
            }
            let episode = self.episodes[slot as usize];
            let is_begun = episode.leased()
                || episode.settled
                || self.setbacks.contains_key(&slot)
                || self.checks.contains_key(&slot);
            if is_begun {
                begun.insert(candidate.0);
            }
            slots.entry(candidate.0).or_default().push(slot);
        }
        let dropped: Vec<u32> = slots
            .into_iter()
            .filter(|(candidate, _)| !begun.contains(candidate))
            .flat_map(|(_, slots)| slots)
            .collect();
        for slot in dropped {
            self.settle(slot);
        }
        begun.into_iter().map(CandidateIndex).collect()
    }

    /// Notes that a lease is about to be lost whose worker lives, and may go on with what it holds.
    pub(in super::super) fn stray(&mut self, id: LeaseId) {
        let lease = &self.leases[&id];
        let held = lease.slots.iter().filter(|slot| self.episodes[**slot as usize].leases.contains(&id));
        self.strayed.extend(held.map(|&slot| (slot, lease.worker)));
    }

    /// A worker has said how an episode ended: it does not compute it any more.
    pub(in super::super) fn heard_of(&mut self, slot: u32, worker: WorkerId) {
        if !self.strayed.is_empty() {
            self.strayed.retain(|strayed| *strayed != (slot, worker));
        }
    }

    /// Takes over leases, setbacks and checks of the generation before, of which the search's candidates `kept` are the first of
    /// this one.
    pub(in super::super) fn carry(&mut self, before: Self, kept: &[u32]) -> Carried {
        let place: BTreeMap<u32, u32> =
            kept.iter().zip(0..).map(|(&candidate, place)| (candidate, place)).collect();
        let now = |slot: u32| {
            let (purpose, block, candidate, task) = before.episode(slot);
            let candidate = CandidateIndex(*place.get(&candidate.0)?);
            (purpose == EpisodePurpose::Search).then(|| self.slot(purpose, block, candidate, task))?
        };
        let all = 0..before.episodes.len() as u32;
        let slots: Vec<Option<u32>> = all.clone().map(now).collect();
        let named: Vec<(CandidateIndex, TaskIndex)> = all
            .map(|slot| {
                let (_, _, candidate, task) = before.episode(slot);
                (candidate, task)
            })
            .collect();
        // What has settled is nobody's to compute any more.
        let open = |slot: u32| {
            let slot = slots[slot as usize]?;
            (!self.episodes[slot as usize].settled).then_some(slot)
        };
        let opened: Vec<Option<u32>> = (0..slots.len() as u32).map(open).collect();
        let Self {
            leases, setbacks, checks, failed, next_lease, held_by_newcomers, episodes, strayed, ..
        } = before;
        let mut carried = Carried::default();
        for (slot, worker) in strayed {
            match opened[slot as usize] {
                Some(slot) => self.strayed.push((slot, worker)),
                None => carried.strayed.push((worker, named[slot as usize])),
            }
        }
        (self.next_lease, self.held_by_newcomers) = (next_lease, held_by_newcomers);
        for (id, lease) in leases {
            let (mut goes_on, mut gone) = (Vec::new(), Vec::new());
            for slot in &lease.slots {
                let slot = *slot as usize;
                if episodes[slot].leases.contains(&id) {
                    match opened[slot] {
                        Some(slot) => goes_on.push(slot),
                        None => gone.push(named[slot]),
                    }
                }
            }
            if !gone.is_empty() {
                let Lease { worker, estimate, .. } = lease;
                let is_over = goes_on.is_empty();
                carried.dropped.push(Dropped { lease: id, worker, episodes: gone, estimate, is_over });
            }
            if goes_on.is_empty() {
                continue;
            }
            for &slot in &goes_on {
                let episode = &mut self.episodes[slot as usize];
                self.queued -= u32::from(std::mem::take(&mut episode.queued));
                let free = usize::from(episode.leases[0] != NO_LEASE);
                episode.leases[free] = id;
            }
            let held = goes_on.len() as u32;
            self.leases.insert(id, Lease { slots: goes_on, held, ..lease });
        }
        let of = |slot: u32| slots[slot as usize];
        self.setbacks = setbacks.into_iter().filter_map(|(slot, of_it)| Some((of(slot)?, of_it))).collect();
        self.checks = checks.into_iter().filter_map(|(slot, of_it)| Some((of(slot)?, of_it))).collect();
        // What is not for everybody stays so: the ranges of what is have a gap there.
        let mut reserved: Vec<u32> = failed.into_iter().filter_map(of).collect();
        reserved.retain(|slot| self.episodes[*slot as usize].queued);
        reserved.sort_unstable();
        reserved.dedup();
        let (mut start, end) = (0, self.episodes.len() as u32);
        self.fresh.clear();
        for &slot in &reserved {
            self.fresh.push_back(start..slot);
            start = slot + 1;
        }
        self.fresh.push_back(start..end);
        self.failed = reserved;
        carried
    }
}

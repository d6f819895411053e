//! The episodes of one generation: which are queued, which are leased, which have settled.
//!
//! An episode's *slot* is its place in the order of dispatch: portion by portion, block by block, task by task, candidate
//! by candidate, so that a batch meets few tasks and a worker prepares each of them once.

mod invariants;
mod release;
mod turn;

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::time::Duration;

use hebbian_shared::episode::EpisodePurpose;
use hebbian_shared::id::{BlockIndex, CandidateIndex, GenerationIndex, TaskIndex, WorkerId};
use hebbian_shared::time::Timestamp;

pub(super) use turn::{Carried, Dropped};

use super::recheck::Check;
use super::trust::RESERVED_AFTER;
pub(super) use release::Released;

/// Numbers a lease within its generation; 0 stands for none.
pub(super) type LeaseId = u32;
const NO_LEASE: LeaseId = 0;

/// Episodes of one purpose within a generation: every candidate on every task. Portions are dispatched in the given order.
#[derive(Clone, Copy, Debug)]
pub struct Portion<'a> {
    /// What the episodes are for; each purpose has at most one portion.
    pub purpose: EpisodePurpose,
    /// The block of each candidate.
    pub blocks: &'a [BlockIndex],
    /// Tasks of each block.
    pub tasks: u32,
    /// How many times as long as an episode of the search one of these takes, roughly; at least 1.
    pub length: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct EpisodeState {
    /// The lease and its hedge.
    leases: [LeaseId; 2],
    queued: bool,
    settled: bool,
}

impl EpisodeState {
    fn leased(self) -> bool {
        self.leases != [NO_LEASE; 2]
    }
}

/// What has gone wrong with one episode.
#[derive(Clone, Debug, Default)]
pub(super) struct Setbacks {
    /// Workers that answered with an error, and how often.
    pub(super) failed_on: BTreeMap<WorkerId, u32>,
    /// How many of them were proven.
    pub(super) failed_on_proven: u32,
    /// Leases that ended without an answer.
    pub(super) lost: u32,
    /// How many of them were those of proven workers.
    pub(super) lost_by_proven: u32,
}

impl Setbacks {
    /// How many there were, each worker's errors as one.
    pub(super) fn count(&self) -> u32 {
        self.failed_on.len() as u32 + self.lost
    }

    /// Errors that it was answered with.
    pub(super) fn errors(&self) -> u32 {
        self.failed_on.values().sum()
    }
}

/// Episodes that one worker was given together.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) worker: WorkerId,
    pub(super) since: Timestamp,
    /// What was given; some may be answered.
    slots: Vec<u32>,
    /// How many of them the worker still holds.
    pub(super) held: u32,
    pub(super) hedge: bool,
    /// Time that each episode was expected to take on one thread.
    pub(super) estimate: Duration,
    /// Computing time that was believed of its answers.
    believed: Duration,
}

impl Lease {
    /// Whether nothing of it was answered.
    pub(super) fn is_unanswered(&self) -> bool {
        self.held as usize == self.slots.len()
    }
}

/// Candidates that meet the same tasks.
#[derive(Debug)]
struct Group {
    purpose: EpisodePurpose,
    block: BlockIndex,
    candidates: Vec<u32>,
    tasks: u32,
    length: u32,
    start: u32,
}

/// What became of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settling {
    First,
    Duplicate,
}

#[derive(Debug)]
pub(super) struct Work {
    pub(super) generation: GenerationIndex,
    groups: Vec<Group>,
    /// Of each purpose and candidate: its group and its place there.
    places: BTreeMap<EpisodePurpose, Vec<(u32, u32)>>,
    episodes: Vec<EpisodeState>,
    unsettled: u32,
    queued: u32,
    fresh: VecDeque<Range<u32>>,
    /// Given out before without an answer.
    retry: VecDeque<u32>,
    /// Answered with an error, or lost several times: not for everybody.
    failed: Vec<u32>,
    pub(super) setbacks: BTreeMap<u32, Setbacks>,
    pub(super) leases: BTreeMap<LeaseId, Lease>,
    next_lease: LeaseId,
    /// Leases of workers that were not proven, as they were given out; some may be over.
    pub(super) held_by_newcomers: VecDeque<LeaseId>,
    /// What is computed twice and was answered once.
    pub(super) checks: BTreeMap<u32, Check>,
    /// What workers that live may still compute although their leases were lost.
    pub(super) strayed: Vec<(u32, WorkerId)>,
}

impl Work {
    /// The episodes of the portions, without those that have settled before.
    pub(super) fn new(
        generation: GenerationIndex,
        portions: &[Portion<'_>],
        settled: impl Fn(EpisodePurpose, CandidateIndex, TaskIndex) -> bool,
    ) -> Self {
        let mut places = BTreeMap::new();
        let mut groups = Vec::new();
        let mut start = 0;
        for &Portion { purpose, blocks, tasks, length } in portions {
            let mut by_block: BTreeMap<BlockIndex, Vec<u32>> = BTreeMap::new();
            for (candidate, &block) in blocks.iter().enumerate() {
                by_block.entry(block).or_default().push(candidate as u32);
            }
            let mut of_purpose = vec![(0, 0); blocks.len()];
            for (block, candidates) in by_block {
                for (place, &candidate) in candidates.iter().enumerate() {
                    of_purpose[candidate as usize] = (groups.len() as u32, place as u32);
                }
                let episodes = candidates.len() as u32 * tasks;
                groups.push(Group { purpose, block, candidates, tasks, length, start });
                start += episodes;
            }
            places.insert(purpose, of_purpose);
        }
        let mut work = Self {
            generation,
            groups,
            places,
            episodes: vec![EpisodeState { queued: true, ..EpisodeState::default() }; start as usize],
            unsettled: start,
            queued: start,
            fresh: std::iter::once(0..start).collect(),
            retry: VecDeque::new(),
            failed: Vec::new(),
            setbacks: BTreeMap::new(),
            leases: BTreeMap::new(),
            next_lease: 1,
            held_by_newcomers: VecDeque::new(),
            checks: BTreeMap::new(),
            strayed: Vec::new(),
        };
        for slot in 0..start {
            let (purpose, _, candidate, task) = work.episode(slot);
            if settled(purpose, candidate, task) {
                work.settle(slot);
            }
        }
        work
    }

    pub(super) fn unsettled(&self) -> u32 {
        self.unsettled
    }

    pub(super) fn queued(&self) -> u32 {
        self.queued
    }

    fn group(&self, slot: u32) -> &Group {
        let after = self.groups.partition_point(|group| group.start <= slot);
        &self.groups[after - 1]
    }

    /// Which episode a slot stands for.
    pub(super) fn episode(&self, slot: u32) -> (EpisodePurpose, BlockIndex, CandidateIndex, TaskIndex) {
        let group = self.group(slot);
        let width = group.candidates.len() as u32;
        let within = slot - group.start;
        let candidate = group.candidates[(within % width) as usize];
        (group.purpose, group.block, CandidateIndex(candidate), TaskIndex(within / width))
    }

    /// How many times as long as an episode of the search a slot's takes.
    pub(super) fn length(&self, slot: u32) -> u32 {
        self.group(slot).length.max(1)
    }

    /// The slot of an episode; `None` if there is no such episode here.
    pub(super) fn slot(
        &self,
        purpose: EpisodePurpose,
        block: BlockIndex,
        candidate: CandidateIndex,
        task: TaskIndex,
    ) -> Option<u32> {
        let &(group, place) = self.places.get(&purpose)?.get(candidate.as_usize())?;
        let group = &self.groups[group as usize];
        (group.block == block && task.0 < group.tasks)
            .then(|| group.start + task.0 * group.candidates.len() as u32 + place)
    }

    /// Of which tasks a slot's is, and how many of them fit into the time of `length` episodes of the search.
    fn kind(&self, slot: u32, length: usize) -> (u32, usize) {
        let group = self.group(slot);
        (group.start, length.div_ceil(group.length.max(1) as usize))
    }

    /// Takes queued episodes of one block, as long together as up to `length` episodes of the search. Of those that failed, were
    /// lost several times, or were answered by somebody, it takes what `may` says.
    pub(super) fn take(
        &mut self,
        mut length: usize,
        may: impl Fn(Option<&Setbacks>, Option<&Check>) -> bool,
    ) -> Vec<u32> {
        let mut taken: Vec<u32> = Vec::new();
        let mut block = None;
        let mut place = 0;
        while place < self.failed.len() && taken.len() < length {
            let slot = self.failed[place];
            if !self.episodes[slot as usize].queued {
                self.failed.swap_remove(place);
                continue;
            }
            let for_others = !may(self.setbacks.get(&slot), self.checks.get(&slot));
            let (its_block, its_length) = self.kind(slot, length);
            if for_others || block.is_some_and(|block| block != its_block) {
                place += 1;
                continue;
            }
            if block.replace(its_block).is_none() {
                length = its_length;
            }
            self.failed.swap_remove(place);
            self.episodes[slot as usize].queued = false;
            taken.push(slot);
        }
        while taken.len() < length
            && let Some(&slot) = self.retry.front()
        {
            if self.episodes[slot as usize].queued {
                let (its_block, its_length) = self.kind(slot, length);
                if block.is_some_and(|block| block != its_block) {
                    break;
                }
                if block.replace(its_block).is_none() {
                    length = its_length;
                }
                self.episodes[slot as usize].queued = false;
                taken.push(slot);
            }
            self.retry.pop_front();
        }
        while taken.len() < length
            && let Some(range) = self.fresh.front_mut()
        {
            let Some(slot) = range.next() else {
                self.fresh.pop_front();
                continue;
            };
            if !self.episodes[slot as usize].queued {
                continue;
            }
            let (its_block, its_length) = self.kind(slot, length);
            if block.is_some_and(|block| block != its_block) {
                if let Some(range) = self.fresh.front_mut() {
                    range.start = slot;
                }
                break;
            }
            if block.replace(its_block).is_none() {
                length = its_length;
            }
            self.episodes[slot as usize].queued = false;
            taken.push(slot);
        }
        self.queued -= taken.len() as u32;
        taken
    }

    /// Records that `worker` was given `slots`, which were taken from the queue or hold one lease.
    pub(super) fn lease(
        &mut self,
        now: Timestamp,
        worker: WorkerId,
        slots: Vec<u32>,
        hedge: bool,
        estimate: Duration,
    ) -> LeaseId {
        let id = self.next_lease;
        self.next_lease += 1;
        for &slot in &slots {
            let leases = &mut self.episodes[slot as usize].leases;
            let place = usize::from(leases[0] != NO_LEASE);
            assert_eq!(leases[place], NO_LEASE, "an episode has at most two leases");
            leases[place] = id;
        }
        let held = slots.len() as u32;
        self.leases
            .insert(id, Lease { worker, since: now, slots, held, hedge, estimate, believed: Duration::ZERO });
        id
    }

    /// Whether an episode has settled.
    pub(super) fn has_settled(&self, slot: u32) -> bool {
        self.episodes[slot as usize].settled
    }

    /// Opens an episode again that has settled.
    pub(super) fn reopen(&mut self, slot: u32) {
        self.unsettled += u32::from(std::mem::take(&mut self.episodes[slot as usize].settled));
        self.requeue(slot);
    }

    /// Marks an episode as settled.
    pub(super) fn settle(&mut self, slot: u32) -> Settling {
        let episode = &mut self.episodes[slot as usize];
        if episode.settled {
            return Settling::Duplicate;
        }
        episode.settled = true;
        self.queued -= u32::from(episode.queued);
        episode.queued = false;
        self.unsettled -= 1;
        Settling::First
    }

    /// Whether the episode must be given out again: it is open and nobody holds it.
    fn abandoned(&self, slot: u32) -> bool {
        let episode = self.episodes[slot as usize];
        !episode.settled && !episode.queued && !episode.leased()
    }

    /// Queues an episode again if nobody holds it.
    pub(super) fn requeue(&mut self, slot: u32) {
        if !self.abandoned(slot) {
            return;
        }
        self.episodes[slot as usize].queued = true;
        self.queued += 1;
        let for_anybody =
            |setbacks: &Setbacks| setbacks.failed_on.is_empty() && setbacks.lost < RESERVED_AFTER;
        if self.setbacks.get(&slot).is_none_or(for_anybody) && !self.checks.contains_key(&slot) {
            self.retry.push_back(slot);
        } else {
            self.failed.push(slot);
        }
    }

    /// Queues an episode again that its only worker failed on.
    pub(super) fn requeue_failed(&mut self, slot: u32, worker: WorkerId, proven: bool) {
        let setbacks = self.setbacks.entry(slot).or_default();
        let errors = setbacks.failed_on.entry(worker).or_default();
        *errors += 1;
        setbacks.failed_on_proven += u32::from(*errors == 1 && proven);
        self.requeue(slot);
    }

    /// Ends a lease whose worker does not answer; `counts` says whether that is a loss, and whether the worker was proven. Returns
    /// how many episodes it released, and of those that had to be queued again the one that was lost most often.
    pub(super) fn lose(&mut self, id: LeaseId, counts: Option<bool>) -> (u32, Option<u32>) {
        let lease = self.leases.remove(&id).expect("a lease is lost once");
        let mut most = None;
        for slot in lease.slots {
            let episode = &mut self.episodes[slot as usize];
            // Those that the worker has answered are its no more.
            let Some(place) = episode.leases.iter().position(|&held| held == id) else { continue };
            episode.leases[place] = NO_LEASE;
            if !self.abandoned(slot) {
                continue;
            }
            if let Some(proven) = counts {
                let setbacks = self.setbacks.entry(slot).or_default();
                setbacks.lost += 1;
                setbacks.lost_by_proven += u32::from(proven);
                most = most.max(Some((setbacks.lost_by_proven, setbacks.lost, slot)));
            }
            self.requeue(slot);
        }
        (lease.held, most.map(|(.., slot)| slot))
    }

    /// Open episodes of a lease that nobody else holds and `other` has not answered, those that its worker would come to last first.
    pub(super) fn unhedged(&self, id: LeaseId, length: usize, other: WorkerId) -> Vec<u32> {
        let lease = &self.leases[&id];
        let has_answered =
            |slot: &u32| self.checks.get(slot).is_some_and(|check| check.answered().contains(&other));
        let alone = |slot: &&u32| {
            let episode = self.episodes[**slot as usize];
            !episode.settled
                && !has_answered(slot)
                && (episode.leases == [id, NO_LEASE] || episode.leases == [NO_LEASE, id])
        };
        let mut found: Vec<u32> = lease.slots.iter().rev().filter(alone).copied().collect();
        if let Some(&first) = found.first() {
            let (block, length) = self.kind(first, length);
            found.retain(|&slot| self.kind(slot, 0).0 == block);
            found.truncate(length);
        }
        found
    }

    /// Most leases that any episode of this lease has lost before.
    pub(super) fn lost_before(&self, id: LeaseId) -> u32 {
        if self.setbacks.is_empty() {
            return 0;
        }
        let slots = self.leases.get(&id).map_or(&[][..], |lease| &lease.slots);
        slots
            .iter()
            .filter_map(|slot| self.setbacks.get(slot))
            .map(|setbacks| setbacks.lost)
            .max()
            .unwrap_or(0)
    }

    /// Forgets what went wrong so far.
    pub(super) fn forgive(&mut self) {
        self.setbacks.clear();
        let (checked, failed) = self.failed.drain(..).partition(|slot| self.checks.contains_key(slot));
        self.failed = checked;
        let failed: Vec<u32> = failed;
        self.retry.extend(failed);
    }
}

//! Effects on their way out: what may go now, and what waits for the journal.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use hebbian_shared::dispatch::ToWorker;
use hebbian_shared::id::{RunId, WorkerId};
use hebbian_shared::time::Timestamp;

use super::effect::{Effect, Transaction};
use crate::run::record::{Record, Write};

/// Settlements of one record; a larger group is written as several.
const SETTLED_MAX: usize = 8192;

/// The last report of each worker that is to be acknowledged.
type Acknowledgements = BTreeMap<WorkerId, u64>;

fn acknowledgement(worker: WorkerId, sequence: u64) -> Effect {
    Effect::Send { worker, message: ToWorker::Acknowledge { sequence } }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Outbox {
    group_commit: Duration,
    immediate: Vec<Effect>,
    /// What needs a position to be committed, or synced.
    after_commit: VecDeque<(u64, Acknowledgements)>,
    after_sync: VecDeque<(u64, Effect)>,
    /// The transaction being collected, and since when.
    pending: Vec<Write>,
    pending_since: Timestamp,
    pending_sync: bool,
    /// Position of the last transaction handed to the journal.
    position: u64,
    /// Position of the last one that must be synced.
    sync_position: u64,
    committed: u64,
    synced: u64,
    /// Sequence number up to which each run's watchers may be told, as far as it goes with the pending transaction.
    unpublished: BTreeMap<RunId, u64>,
}

impl Outbox {
    pub(super) fn new(group_commit: Duration) -> Self {
        Self {
            group_commit,
            immediate: Vec::new(),
            after_commit: VecDeque::new(),
            after_sync: VecDeque::new(),
            pending: Vec::new(),
            pending_since: Timestamp::default(),
            pending_sync: false,
            position: 0,
            sync_position: 0,
            committed: 0,
            synced: 0,
            unpublished: BTreeMap::new(),
        }
    }

    /// A recovered run's watchers may be told all that the journal held.
    pub(super) fn already_durable(&mut self, run: RunId, sequence: u64) {
        self.immediate.push(Effect::Publish { run, sequence });
    }

    /// Takes writes for the pending transaction.
    pub(super) fn write(&mut self, now: Timestamp, writes: &mut Vec<Write>) {
        for write in writes.drain(..) {
            if self.pending.is_empty() {
                self.pending_since = now;
            }
            match &write {
                Write::Record { run, sequence, record } => {
                    if record.event().is_some() {
                        self.unpublished.insert(*run, *sequence);
                    }
                    self.pending_sync |= matches!(
                        record,
                        Record::Created(_)
                            | Record::GenerationClosed(_)
                            | Record::StateChanged { .. }
                            | Record::Extended { .. }
                    );
                }
                Write::Snapshot { .. } => {}
                Write::Delete { run } => {
                    self.unpublished.remove(run);
                    self.pending_sync = true;
                }
            }
            if let Some(write) = self.merge(write) {
                self.pending.push(write);
            }
        }
    }

    /// Adds settlements to the record before, where they belong together.
    fn merge(&mut self, write: Write) -> Option<Write> {
        if let (
            Some(Write::Record { run: last_run, sequence: last_sequence, record: Record::Settled(last) }),
            Write::Record { run, sequence, record: Record::Settled(settled) },
        ) = (self.pending.last_mut(), &write)
            && last_run == run
            && (last.generation, last.purpose) == (settled.generation, settled.purpose)
            && last.episodes.len() + settled.episodes.len() <= SETTLED_MAX
        {
            *last_sequence = *sequence;
            last.episodes.extend_from_slice(&settled.episodes);
            last.compute_time = last.compute_time.saturating_add(settled.compute_time);
            return None;
        }
        Some(write)
    }

    /// To be done at once.
    pub(super) fn now(&mut self, effect: Effect) {
        self.immediate.push(effect);
    }

    /// To be said to a worker when all that was written so far survives the process: that its reports up to this one have
    /// arrived. Of those that wait for the same commit it is told the last.
    pub(super) fn acknowledge(&mut self, worker: WorkerId, sequence: u64) {
        let position = self.position + u64::from(!self.pending.is_empty());
        if position <= self.committed {
            return self.immediate.push(acknowledgement(worker, sequence));
        }
        if self.after_commit.back().is_none_or(|(last, _)| *last != position) {
            self.after_commit.push_back((position, Acknowledgements::new()));
        }
        if let Some((_, waiting)) = self.after_commit.back_mut() {
            let last = waiting.entry(worker).or_default();
            *last = sequence.max(*last);
        }
    }

    /// To be done when all that was written so far and has to survive a power loss does so.
    pub(super) fn after_sync(&mut self, effect: Effect) {
        let position = if self.pending_sync { self.position + 1 } else { self.sync_position };
        self.hold_for_sync(position, effect);
    }

    fn hold_for_sync(&mut self, position: u64, effect: Effect) {
        if position <= self.synced {
            self.immediate.push(effect);
        } else {
            let place = self.after_sync.partition_point(|(held, _)| *held <= position);
            self.after_sync.insert(place, (position, effect));
        }
    }

    /// The journal has got on.
    pub(super) fn journalled(&mut self, committed: u64, synced: u64) {
        self.committed = self.committed.max(committed);
        self.synced = self.synced.max(synced);
        while self.after_commit.front().is_some_and(|(position, _)| *position <= self.committed) {
            let told = self.after_commit.pop_front().into_iter().flat_map(|(_, told)| told);
            self.immediate.extend(told.map(|(worker, sequence)| acknowledgement(worker, sequence)));
        }
        while self.after_sync.front().is_some_and(|(position, _)| *position <= self.synced) {
            self.immediate.extend(self.after_sync.pop_front().map(|(_, effect)| effect));
        }
    }

    /// When the pending transaction has to go.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        (!self.pending.is_empty()).then(|| self.pending_since + self.group_commit)
    }

    /// Moves out what can go.
    pub(super) fn flush(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        let due = self.pending_sync || self.pending.len() >= SETTLED_MAX;
        if due || self.deadline().is_some_and(|deadline| now >= deadline) {
            // Notes are worth telling soon but not an fsync of their own: a transaction with something to tell is
            // synced as a whole.
            let sync = self.pending_sync || !self.unpublished.is_empty();
            self.position += 1;
            if sync {
                self.sync_position = self.position;
            }
            for (run, sequence) in std::mem::take(&mut self.unpublished) {
                self.hold_for_sync(self.position, Effect::Publish { run, sequence });
            }
            let writes = std::mem::take(&mut self.pending);
            self.pending_sync = false;
            effects.push(Effect::Commit(Transaction { position: self.position, writes, sync }));
        }
        effects.append(&mut self.immediate);
    }
}

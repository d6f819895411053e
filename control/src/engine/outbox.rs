//! Effects on their way out: what may go now, and what waits for the journal.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use hebbian_shared::dispatch::{Settlement, ToWorker};
use hebbian_shared::id::{RunId, WorkerId};
use hebbian_shared::time::Timestamp;

use super::effect::{Effect, Ticket, Transaction};
use crate::run::record::{Record, Write};

/// The size of one record's settlements; a larger group is written as several.
const SETTLED_MAX: usize = 8192;

/// How long a worker may wait to be told what it is told with the next message to it otherwise.
const ACKNOWLEDGE_WITHIN: Duration = Duration::from_millis(500);

/// The last report of each worker that is to be acknowledged.
type Acknowledgements = BTreeMap<WorkerId, u64>;

fn acknowledgement(worker: WorkerId, sequence: u64) -> Effect {
    Effect::Send { worker, message: ToWorker::Acknowledge { sequence } }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Outbox {
    group_commit: Duration,
    immediate: Vec<Effect>,
    /// What needs a position to be committed, or synced.
    after_commit: VecDeque<(u64, Acknowledgements)>,
    /// What is committed and not told yet, and since when. It goes with the next message to its worker: by itself it would
    /// cost as much as that.
    earned: Acknowledgements,
    earned_since: Timestamp,
    after_sync: VecDeque<(u64, Effect)>,
    /// Answers that were held so far.
    answers: u64,
    /// The transaction being collected, and since when.
    pending: Vec<Write>,
    pending_since: Timestamp,
    pending_sync: bool,
    /// Writes that were ever taken.
    taken: u64,
    /// The size of the last settlements in it.
    settled_size: usize,
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
            earned: Acknowledgements::new(),
            earned_since: Timestamp::default(),
            after_sync: VecDeque::new(),
            answers: 0,
            pending: Vec::new(),
            pending_since: Timestamp::default(),
            pending_sync: false,
            taken: 0,
            settled_size: 0,
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
    pub(crate) fn write(&mut self, now: Timestamp, writes: &mut Vec<Write>) {
        for write in writes.drain(..) {
            self.taken += 1;
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
        let Write::Record { run, sequence, record: Record::Settled(mut settled) } = write else {
            return Some(write);
        };
        let size = settled.settlements.iter().map(Settlement::size).sum::<usize>();
        if let Some(Write::Record { run: of, sequence: last_sequence, record: Record::Settled(last) }) =
            self.pending.last_mut()
            && *of == run
            && (last.generation, last.purpose) == (settled.generation, settled.purpose)
            && self.settled_size + size <= SETTLED_MAX
        {
            *last_sequence = sequence;
            last.settlements.append(&mut settled.settlements);
            last.made_by(settled.makers);
            self.settled_size += size;
            return None;
        }
        self.settled_size = size;
        Some(Write::Record { run, sequence, record: Record::Settled(settled) })
    }

    /// To be done at once.
    pub(crate) fn now(&mut self, effect: Effect) {
        match &effect {
            Effect::Send { worker, .. } => {
                let told = self.earned.remove(worker).map(|sequence| acknowledgement(*worker, sequence));
                self.immediate.extend(told);
            }
            Effect::Close { worker, .. } => drop(self.earned.remove(worker)),
            _ => {}
        }
        self.immediate.push(effect);
    }

    /// To be said to a worker when all that was written so far survives the process: that its reports up to this one have
    /// arrived. Of several it is told the last.
    pub(super) fn acknowledge(&mut self, now: Timestamp, worker: WorkerId, sequence: u64) {
        let position = self.position + u64::from(!self.pending.is_empty());
        if position <= self.committed {
            return self.earn(now, [(worker, sequence)]);
        }
        if self.after_commit.back().is_none_or(|(last, _)| *last != position) {
            self.after_commit.push_back((position, Acknowledgements::new()));
        }
        if let Some((_, waiting)) = self.after_commit.back_mut() {
            let last = waiting.entry(worker).or_default();
            *last = sequence.max(*last);
        }
    }

    fn earn(&mut self, now: Timestamp, told: impl IntoIterator<Item = (WorkerId, u64)>) {
        if self.earned.is_empty() {
            self.earned_since = now;
        }
        for (worker, sequence) in told {
            let last = self.earned.entry(worker).or_default();
            *last = sequence.max(*last);
        }
    }

    /// How many writes were taken.
    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    /// An answer is to be told when all that was written so far and has to survive a power loss does so. What was taken after
    /// `before` has to, for it is what is promised.
    pub(super) fn hold_answer(&mut self, before: u64) -> Ticket {
        self.pending_sync |= self.taken > before;
        self.answers += 1;
        let ticket = Ticket(self.answers);
        self.after_sync(Effect::Answer(ticket));
        ticket
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
    pub(super) fn journalled(&mut self, now: Timestamp, committed: u64, synced: u64) {
        self.committed = self.committed.max(committed);
        self.synced = self.synced.max(synced);
        while self.after_commit.front().is_some_and(|(position, _)| *position <= self.committed) {
            if let Some((_, told)) = self.after_commit.pop_front() {
                self.earn(now, told);
            }
        }
        while self.after_sync.front().is_some_and(|(position, _)| *position <= self.synced) {
            self.immediate.extend(self.after_sync.pop_front().map(|(_, effect)| effect));
        }
    }

    /// When something has to go.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        [self.commit_at(), self.acknowledge_at()].into_iter().flatten().min()
    }

    fn commit_at(&self) -> Option<Timestamp> {
        (!self.pending.is_empty()).then(|| self.pending_since + self.group_commit)
    }

    fn acknowledge_at(&self) -> Option<Timestamp> {
        (!self.earned.is_empty()).then(|| self.earned_since + ACKNOWLEDGE_WITHIN)
    }

    /// Moves out what can go.
    pub(super) fn flush(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        let due = self.pending_sync || self.pending.len() >= SETTLED_MAX;
        if due || self.commit_at().is_some_and(|at| now >= at) {
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
        if self.acknowledge_at().is_some_and(|at| now >= at) {
            let told = std::mem::take(&mut self.earned).into_iter();
            effects.extend(told.map(|(worker, sequence)| acknowledgement(worker, sequence)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> Timestamp {
        Timestamp(Duration::from_millis(milliseconds))
    }

    /// What goes out: to which worker, and which report is acknowledged, if one is.
    fn flushed(outbox: &mut Outbox, now: u64) -> Vec<(u64, Option<u64>)> {
        let mut effects = Vec::new();
        outbox.flush(at(now), &mut effects);
        let told = effects.into_iter().map(|effect| match effect {
            Effect::Send { worker, message: ToWorker::Acknowledge { sequence } } => {
                (worker.0, Some(sequence))
            }
            Effect::Send { worker, .. } | Effect::Close { worker, .. } => (worker.0, None),
            other => panic!("{other:?}"),
        });
        told.collect()
    }

    #[test]
    fn an_acknowledgement_goes_with_the_next_message_or_after_a_while() {
        let mut outbox = Outbox::new(Duration::ZERO);
        let (one, two, three) = (WorkerId(1), WorkerId(2), WorkerId(3));
        // One of them waits for a commit that has not come.
        outbox.position = 1;
        outbox.acknowledge(at(0), one, 4);
        outbox.acknowledge(at(0), one, 5);
        outbox.acknowledge(at(0), two, 7);
        outbox.acknowledge(at(0), three, 9);
        assert_eq!((flushed(&mut outbox, 10_000), outbox.deadline()), (vec![], None));
        outbox.journalled(at(100), 1, 0);
        outbox.acknowledge(at(300), two, 8);
        assert_eq!(flushed(&mut outbox, 300), []);
        let drain = ToWorker::Drain { within: Duration::ZERO };
        outbox.now(Effect::Send { worker: one, message: drain });
        outbox.now(Effect::Close { worker: three, reason: String::new() });
        assert_eq!(flushed(&mut outbox, 300), [(1, Some(5)), (1, None), (3, None)]);
        assert_eq!(outbox.deadline(), Some(at(600)));
        assert_eq!(flushed(&mut outbox, 599), []);
        assert_eq!(flushed(&mut outbox, 600), [(2, Some(8))]);
        assert_eq!(outbox.deadline(), None);
    }
}

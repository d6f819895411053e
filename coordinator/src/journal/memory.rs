//! The journal in maps, forgotten with the process. A clone of it is what a copy of a disk would be, so a test can break off
//! anywhere and look what is left.

use std::collections::BTreeMap;

use hebbian_control::engine::effect::Transaction;
use hebbian_control::run::record::{
    Created, LoadedRun, Record, Snapshot, StoredEnd, StoredRun, StoredStanding, Write,
};
use hebbian_proto::v1::GenerationSummary;
use hebbian_shared::id::{GenerationIndex, RunId};

use super::{Address, Journal, JournalError, KeptSnapshots, Opened, StoredEvent};

/// Opens the journal at `memory:`.
pub(super) fn open(address: &Address<'_>, kept: KeptSnapshots) -> Option<Opened> {
    (address.url == "memory:")
        .then(|| Ok(Box::new(MemoryJournal::default().keeping(kept)) as Box<dyn Journal>))
}

#[derive(Clone, Debug)]
struct Stored {
    created: Created,
    /// By sequence number, without settlements of closed generations.
    records: BTreeMap<u64, Record>,
    snapshots: Vec<Snapshot>,
    sequence: u64,
}

/// See the module. A clone is what a copy of the disk would be.
#[derive(Clone, Debug)]
pub struct MemoryJournal {
    epoch: u64,
    kept: KeptSnapshots,
    runs: BTreeMap<RunId, Stored>,
    /// In order of creation.
    order: Vec<RunId>,
}

impl Default for MemoryJournal {
    fn default() -> Self {
        Self { epoch: 1, kept: KeptSnapshots::LAST, runs: BTreeMap::new(), order: Vec::new() }
    }
}

impl MemoryJournal {
    /// The same journal, which keeps more snapshots from now on.
    #[must_use]
    pub fn keeping(self, kept: KeptSnapshots) -> Self {
        Self { kept, ..self }
    }

    /// The same contents, opened again.
    #[must_use]
    pub fn reopen(&self) -> Self {
        Self { epoch: self.epoch + 1, ..self.clone() }
    }

    /// Forgets snapshots, as if they had been damaged.
    pub fn forget_snapshots(&mut self, forgets: impl Fn(GenerationIndex) -> bool) {
        for stored in self.runs.values_mut() {
            stored.snapshots.retain(|snapshot| !forgets(snapshot.closed));
        }
    }

    fn write(&mut self, write: &Write) {
        match write {
            Write::Record { run, sequence, record } => {
                if let Record::Created(created) = record {
                    self.order.push(*run);
                    let created = created.clone();
                    let (records, snapshots) = (BTreeMap::new(), Vec::new());
                    self.runs.insert(*run, Stored { created, records, snapshots, sequence: 0 });
                }
                let Some(stored) = self.runs.get_mut(run) else { return };
                stored.sequence = *sequence;
                stored.records.insert(*sequence, record.clone());
            }
            Write::Snapshot { run, snapshot } => {
                let Some(stored) = self.runs.get_mut(run) else { return };
                stored.snapshots.push(snapshot.clone());
                let kept = self.kept;
                let came = |closed| {
                    let of = |record: &Record| matches!(record, Record::Contributor { generation, .. } if *generation == closed);
                    stored.records.values().any(of)
                };
                stored.snapshots.retain(|old| {
                    old.closed.next() >= snapshot.closed || kept.keeps(old.closed) || came(old.closed)
                });
                stored.records.retain(|_, record| match record {
                    Record::Settled(settled) => settled.generation >= snapshot.closed,
                    Record::Reopened { generation, .. } => *generation >= snapshot.closed,
                    _ => true,
                });
            }
            Write::Delete { run } => {
                self.runs.remove(run);
                self.order.retain(|other| other != run);
            }
        }
    }
}

impl Stored {
    fn load(&self, run: RunId) -> StoredRun {
        let closes = |record: &Record, snapshot: &Snapshot| match record {
            Record::GenerationClosed(closed) => snapshot.closes(&closed.summary),
            _ => false,
        };
        let whole = |snapshot: &&Snapshot| self.records.values().rev().any(|record| closes(record, snapshot));
        let snapshot = self.snapshots.iter().rev().find(whole);
        let records = self.records.values().filter(|record| StoredRun::needs(snapshot, record));
        StoredRun {
            run,
            created: self.created.clone(),
            snapshot: snapshot.cloned(),
            records: records.cloned().collect(),
            sequence: self.sequence,
        }
    }

    fn standing(&self, run: RunId) -> StoredStanding {
        if !StoredEnd::is_end(self.records.values()) {
            return StoredStanding::Loaded(Ok(self.load(run)));
        }
        let closed = |record: &Record| match record {
            Record::GenerationClosed(closed) => Some(closed.best()),
            _ => None,
        };
        let last =
            self.records.iter().rfind(|(_, record)| closed(record).is_some()).map(|(&sequence, _)| sequence);
        let needed = self.records.iter().filter(|(sequence, record)| {
            StoredEnd::needs(record) && (closed(record).is_none() || Some(**sequence) == last)
        });
        StoredStanding::Ended(StoredEnd {
            run,
            created: self.created.clone(),
            records: needed.map(|(_, record)| record.clone()).collect(),
            best: self.records.values().filter_map(closed).flatten().max(),
            sequence: self.sequence,
        })
    }
}

impl Journal for MemoryJournal {
    fn store(&self) -> &'static str {
        "memory:"
    }

    fn kept(&self) -> KeptSnapshots {
        self.kept
    }

    fn epoch(&self) -> u64 {
        self.epoch
    }

    fn load_each(&mut self, take: &mut dyn FnMut(LoadedRun)) -> Result<(), JournalError> {
        let runs = self.order.iter().filter_map(|run| Some((*run, self.runs.get(run)?)));
        runs.for_each(|(run, stored)| take(Ok(stored.load(run))));
        Ok(())
    }

    fn standing_each(&mut self, take: &mut dyn FnMut(StoredStanding)) -> Result<(), JournalError> {
        let runs = self.order.iter().filter_map(|run| Some((*run, self.runs.get(run)?)));
        runs.for_each(|(run, stored)| take(stored.standing(run)));
        Ok(())
    }

    fn run(&mut self, run: RunId) -> Result<Option<LoadedRun>, JournalError> {
        Ok(self.runs.get(&run).map(|stored| Ok(stored.load(run))))
    }

    fn commit(&mut self, transactions: &[Transaction], _sync: bool) -> Result<(), JournalError> {
        for write in transactions.iter().flat_map(|transaction| &transaction.writes) {
            self.write(write);
        }
        Ok(())
    }

    fn generations(
        &mut self,
        run: RunId,
        from: GenerationIndex,
        limit: u32,
    ) -> Result<Vec<GenerationSummary>, JournalError> {
        let records = self.runs.get(&run).into_iter().flat_map(|stored| stored.records.values());
        let closed = records.filter_map(|record| match record {
            Record::GenerationClosed(closed) if closed.summary.generation >= from.0 => {
                Some(closed.summary.clone())
            }
            _ => None,
        });
        Ok(closed.take(limit as usize).collect())
    }

    fn snapshots(&mut self, run: RunId) -> Result<Vec<GenerationIndex>, JournalError> {
        let stored = self.runs.get(&run).into_iter();
        Ok(stored.flat_map(|stored| stored.snapshots.iter().map(|snapshot| snapshot.closed)).collect())
    }

    fn snapshot(&mut self, run: RunId, closed: GenerationIndex) -> Result<Option<Snapshot>, JournalError> {
        let mut stored = self.runs.get(&run).into_iter().flat_map(|stored| &stored.snapshots);
        Ok(stored.find(|snapshot| snapshot.closed == closed).cloned())
    }

    fn events(
        &mut self,
        run: RunId,
        after: u64,
        up_to: u64,
        limit: u32,
    ) -> Result<Vec<StoredEvent>, JournalError> {
        let Some(stored) = self.runs.get(&run).filter(|_| after < up_to) else { return Ok(Vec::new()) };
        let range = stored.records.range(after + 1..=up_to);
        let events = range.filter_map(|(&sequence, record)| Some((sequence, record.event()?)));
        Ok(events.take(limit as usize).collect())
    }
}

//! A journal that lives as long as the process: for `hebbian run` without a directory, and for simulations.

use std::collections::BTreeMap;

use hebbian_shared::id::{GenerationIndex, RunId};
use hebbian_shared::progress::GenerationSummary;

use super::{Journal, JournalError, KeptSnapshots, StoredEvent};
use hebbian_control::engine::effect::Transaction;
use hebbian_control::run::record::{Created, Record, Settled, Snapshot, StoredRun, Write};

#[derive(Clone, Debug)]
struct Stored {
    created: Created,
    /// By sequence number, without settlements.
    records: BTreeMap<u64, Record>,
    /// Settlements that are still needed.
    settled: Vec<Settled>,
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
        Self { epoch: 0, kept: KeptSnapshots::LAST, runs: BTreeMap::new(), order: Vec::new() }
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

    fn write(&mut self, write: &Write) {
        match write {
            Write::Record { run, sequence, record } => {
                if let Record::Created(created) = record {
                    self.order.push(*run);
                    let created = created.clone();
                    let (records, settled, snapshots) = (BTreeMap::new(), Vec::new(), Vec::new());
                    self.runs.insert(*run, Stored { created, records, settled, snapshots, sequence: 0 });
                }
                let Some(stored) = self.runs.get_mut(run) else { return };
                stored.sequence = *sequence;
                if let Record::Settled(settled) = record {
                    stored.settled.push(settled.clone());
                } else {
                    stored.records.insert(*sequence, record.clone());
                }
            }
            Write::Snapshot { run, snapshot } => {
                let Some(stored) = self.runs.get_mut(run) else { return };
                stored.snapshots.push(snapshot.clone());
                let needed = snapshot.closed.0.saturating_sub(1);
                let kept = self.kept;
                stored.snapshots.retain(|old| old.closed.0 >= needed || kept.keeps(old.closed));
                stored.settled.retain(|settled| settled.generation.0 >= needed);
            }
            Write::Delete { run } => {
                self.runs.remove(run);
                self.order.retain(|other| other != run);
            }
        }
    }
}

impl Journal for MemoryJournal {
    fn store(&self) -> &'static str {
        "memory:"
    }

    fn epoch(&self) -> u64 {
        self.epoch
    }

    fn load(&mut self) -> Result<Vec<StoredRun>, JournalError> {
        let runs = self.order.iter().filter_map(|run| Some((*run, self.runs.get(run)?)));
        Ok(runs
            .map(|(run, stored)| {
                let last = stored.records.values().rev().find_map(|record| match record {
                    Record::GenerationClosed(summary) => Some((**summary).clone()),
                    _ => None,
                });
                let records = stored.records.values();
                let kept = records.filter(|r| !matches!(r, Record::Created(_) | Record::GenerationClosed(_)));
                let settled = stored.settled.iter().cloned().map(Record::Settled);
                StoredRun {
                    run,
                    created: stored.created.clone(),
                    last,
                    snapshots: stored.snapshots[stored.snapshots.len().saturating_sub(2)..].to_vec(),
                    records: kept.cloned().chain(settled).collect(),
                    sequence: stored.sequence,
                }
            })
            .collect())
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
            Record::GenerationClosed(summary) if summary.generation >= from => Some((**summary).clone()),
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

//! A journal with the semantics of crashes: what is handed over, what survives the process, what survives the machine.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use hebbian_control::engine::effect::Transaction;
use hebbian_control::run::record::{LoadedRun, Record, Write};
use hebbian_coordinator::journal::Journal as _;
use hebbian_coordinator::journal::memory::MemoryJournal;
use hebbian_shared::episode::{EpisodePurpose, Evaluation};
use hebbian_shared::id::{CandidateIndex, GenerationIndex, RunId, TaskIndex};

/// What names an episode within its run; its block is the candidate's.
pub(crate) type EpisodePlace = (GenerationIndex, EpisodePurpose, CandidateIndex, TaskIndex);

/// What a run's episodes were worth; `None` where one diverged.
type SettledEpisodes = BTreeMap<EpisodePlace, Option<Evaluation>>;

#[derive(Default)]
pub(crate) struct Disk {
    /// Handed over in this life of the coordinator, not yet written.
    in_flight: VecDeque<Transaction>,
    written: Vec<Transaction>,
    /// How many of the written ones survive a power loss.
    synced: usize,
    /// Settlements among the written.
    settled: BTreeMap<RunId, SettledEpisodes>,
    epoch: u64,
    pub(crate) full: bool,
}

impl Disk {
    pub(crate) fn hand_over(&mut self, transaction: Transaction) {
        self.in_flight.push_back(transaction);
    }

    /// Writes what is in flight, as the journal's thread does: all of it, or the first part. Returns the positions
    /// committed and synced.
    pub(crate) fn write(&mut self, most: usize) -> Option<(u64, Option<u64>)> {
        let count = self.in_flight.len().min(most);
        let last = self.in_flight.get(count.checked_sub(1)?)?.position;
        let mut sync = false;
        for transaction in self.in_flight.drain(..count) {
            sync |= transaction.sync;
            index(&mut self.settled, &transaction);
            self.written.push(transaction);
        }
        if sync {
            self.synced = self.written.len();
        }
        Some((last, sync.then_some(last)))
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.in_flight.is_empty()
    }

    /// The coordinator's process is gone, and with `power_loss` its machine.
    pub(crate) fn crash(&mut self, power_loss: bool) {
        self.in_flight.clear();
        if power_loss {
            self.written.truncate(self.synced);
            self.settled.clear();
            for transaction in &self.written {
                index(&mut self.settled, transaction);
            }
        }
    }

    /// What a new coordinator reads, and its epoch.
    pub(crate) fn load(&mut self) -> (u64, Vec<LoadedRun>) {
        let mut journal = MemoryJournal::default();
        journal.commit(&self.written, true).unwrap();
        // Raising the epoch is a synced commit, and so all before it is synced.
        self.epoch += 1;
        self.synced = self.written.len();
        (self.epoch, journal.load().unwrap())
    }

    pub(crate) fn has_settled(&self, run: RunId, episode: EpisodePlace) -> bool {
        self.settled.get(&run).is_some_and(|settled| settled.contains_key(&episode))
    }

    pub(crate) fn settled(&self, run: RunId) -> &SettledEpisodes {
        &self.settled[&run]
    }

    /// Settled episodes of all runs.
    pub(crate) fn settled_count(&self) -> usize {
        self.settled.values().map(BTreeMap::len).sum()
    }

    /// The highest sequence number of a run among what survives a power loss.
    pub(crate) fn synced_sequence(&self, run: RunId) -> u64 {
        let writes = self.written[..self.synced].iter().rev().flat_map(|t| t.writes.iter().rev());
        let mut sequences = writes.filter_map(|write| match write {
            Write::Record { run: of, sequence, .. } if *of == run => Some(*sequence),
            _ => None,
        });
        sequences.next().unwrap_or(0)
    }

    /// All records of a run that were ever written and survived.
    pub(crate) fn records(&self, run: RunId) -> impl Iterator<Item = (u64, &Record)> {
        self.written.iter().flat_map(|transaction| &transaction.writes).filter_map(move |write| match write {
            Write::Record { run: of, sequence, record } if *of == run => Some((*sequence, record)),
            _ => None,
        })
    }

    /// Each episode settles once, each generation closes once, and sequence numbers increase.
    pub(crate) fn check(&self, run: RunId) {
        let (mut seen, mut next, mut last) = (BTreeSet::new(), 0, 0);
        for (sequence, record) in self.records(run) {
            assert!(sequence > last, "sequence number {sequence} after {last}");
            last = sequence;
            match record {
                Record::Settled(settled) => {
                    assert_eq!(settled.generation.0, next, "only the open generation settles");
                    for episode in &settled.settlements {
                        assert!(
                            seen.insert((next, settled.purpose, episode.candidate, episode.task)),
                            "{episode:?} settled twice"
                        );
                    }
                }
                // What has settled of the first generation is forgotten with its numerics.
                Record::FingerprintReleased => seen.clear(),
                Record::GenerationClosed(closed) => {
                    assert_eq!(closed.summary.generation, next, "generations close in order");
                    next += 1;
                }
                Record::Note { text } => assert!(!text.contains("computed again"), "{text}"),
                _ => {}
            }
        }
    }
}

fn index(settled: &mut BTreeMap<RunId, SettledEpisodes>, transaction: &Transaction) {
    for write in &transaction.writes {
        if let Write::Record { run, record: Record::Settled(record), .. } = write {
            let settled = settled.entry(*run).or_default();
            for episode in &record.settlements {
                let place = (record.generation, record.purpose, episode.candidate, episode.task);
                settled.insert(place, episode.outcome.evaluation().cloned());
            }
        }
    }
}

//! A journal read from beside: without a lock, without an epoch, without writing, also while a coordinator uses it.

use std::path::Path;
use std::time::Duration;

use hebbian_proto::v1::GenerationSummary;
use hebbian_shared::dispatch::Settlement;
use hebbian_shared::episode::EpisodePurpose;
use hebbian_shared::id::{GenerationIndex, RunId};
use hebbian_shared::time::Timestamp;
use rusqlite::{Connection, OpenFlags};

use super::tables::Tables;
use super::{BUSY_TIMEOUT, explain, schema};
use crate::journal::JournalError;
use hebbian_control::run::Run;
use hebbian_control::run::record::{LoadedRun, Record, StoredRun, UnreadableRun, Write};
use hebbian_control::run::strategy::Strategies;

/// Closed generations that are read at once.
const PAGE: u32 = 512;

/// See the module. All that one reader says is of one moment: the one of its opening.
#[derive(Debug)]
pub struct JournalReader {
    store: String,
    connection: Connection,
}

/// What a journal holds of a run, and what is wrong with it.
#[derive(Clone, Debug, PartialEq)]
pub struct RunReport {
    /// The run.
    pub run: RunId,
    /// Its spec's name.
    pub name: String,
    /// Records of settlements.
    pub settled: usize,
    /// The sequence number of its last record; 0 if that cannot be read.
    pub sequence: u64,
    /// Closed generations.
    pub generations: u32,
    /// What makes it impossible, or wrong, to go on from it. None: a coordinator takes it up and lacks nothing.
    pub problems: Vec<String>,
    /// What people should know though it is no damage.
    pub notes: Vec<String>,
}

/// An episode with what its record says of it.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredEpisode {
    /// Of which generation.
    pub generation: GenerationIndex,
    /// What it was for.
    pub purpose: EpisodePurpose,
    /// The episode with its outcome.
    pub settlement: Settlement,
}

impl JournalReader {
    /// Opens the journal at `path` for reading.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        let store = path.display().to_string();
        let explain = |error| explain(&store, &error);
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(explain)?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(explain)?;
        schema::recognise(&connection, &store)?;
        // From here on every query sees the file as it is now, whatever a coordinator appends.
        connection.execute_batch("BEGIN; SELECT count(*) FROM runs;").map_err(explain)?;
        Ok(Self { store, connection })
    }

    fn tables(&self) -> Tables<'_> {
        Tables { store: &self.store, connection: &self.connection }
    }

    /// All runs in order of creation.
    pub fn runs(&self) -> Result<Vec<LoadedRun>, JournalError> {
        self.tables().runs()
    }

    /// All closed generations of a run, in order.
    pub fn generations(&self, run: RunId) -> Result<Vec<GenerationSummary>, JournalError> {
        let mut all = Vec::new();
        loop {
            let from = all.last().map_or(0, |last: &GenerationSummary| last.generation + 1);
            let page = self.tables().generations(run, GenerationIndex(from), PAGE)?;
            let complete = page.len() < PAGE as usize;
            all.extend(page);
            if complete {
                return Ok(all);
            }
        }
    }

    /// The episodes of the run that the journal still has, by generation, purpose, candidate and task: those of the open
    /// generation, and those that measured its result.
    pub fn episodes(stored: &StoredRun) -> Vec<StoredEpisode> {
        let settled = stored.records.iter().filter_map(|record| match record {
            Record::Settled(settled) => Some(settled),
            _ => None,
        });
        let mut episodes: Vec<StoredEpisode> = settled
            .flat_map(|settled| {
                let (generation, purpose) = (settled.generation, settled.purpose);
                let settlements = settled.settlements.iter().cloned();
                settlements.map(move |settlement| StoredEpisode { generation, purpose, settlement })
            })
            .collect();
        episodes.sort_unstable_by_key(|stored| {
            (stored.generation, stored.purpose, stored.settlement.candidate, stored.settlement.task)
        });
        episodes
    }

    /// Reads everything: the file's structure, every record, and each run as a coordinator would take it up.
    ///
    /// An error is damage to the file as a whole; what is wrong with one run is in its report.
    pub fn verify(&self) -> Result<Vec<RunReport>, JournalError> {
        let sql = "PRAGMA integrity_check(1)";
        let health: String = self
            .connection
            .query_row(sql, [], |row| row.get(0))
            .map_err(|error| explain(&self.store, &error))?;
        if health != "ok" {
            let problem =
                format!("the journal is damaged ({}); restore it from a copy", health.replace('\n', " "));
            return Err(self.tables().corrupt(problem));
        }
        self.runs()?.into_iter().map(|loaded| self.verify_run(loaded)).collect()
    }

    /// Takes a run up as a coordinator does, and looks for generations that it would not need.
    fn verify_run(&self, loaded: LoadedRun) -> Result<RunReport, JournalError> {
        let stored = match loaded {
            Ok(stored) => stored,
            Err(UnreadableRun { run, name, problem, .. }) => {
                let (problems, notes) = (vec![problem], Vec::new());
                return Ok(RunReport { run, name, settled: 0, sequence: 0, generations: 0, problems, notes });
            }
        };
        let (generations, mut problems) = match self.generations(stored.run) {
            Ok(generations) => (generations, Vec::new()),
            Err(JournalError::Corrupt { problem, .. }) => (Vec::new(), vec![problem]),
            Err(error) => return Err(error),
        };
        // A fork's first generations are its parent's.
        let first = stored.created.origin.as_ref().map_or(0, |origin| origin.last.generation + 1);
        let gap = generations.iter().zip(first..).find(|(summary, index)| summary.generation != *index);
        problems.extend(gap.map(|(_, missing)| format!("generation {missing} is missing")));
        let mut report = RunReport {
            run: stored.run,
            name: stored.created.spec.name.clone(),
            settled: stored.records.iter().filter(|record| matches!(record, Record::Settled(_))).count(),
            sequence: stored.sequence,
            generations: generations.len() as u32,
            problems,
            notes: Vec::new(),
        };
        let mut writes = Vec::new();
        match Run::recover(Timestamp(Duration::ZERO), stored, Strategies::default(), &mut writes) {
            // It may be what is known already, in other words.
            Err(error) if report.problems.is_empty() => report.problems.push(error.problem),
            Err(_) => {}
            Ok(_) => report.notes.extend(writes.iter().filter_map(|write| match write {
                Write::Record { record, .. } => record.note(),
                _ => None,
            })),
        }
        Ok(report)
    }

    /// Writes a copy of the journal, as of now and compact, to a file that is not there yet. It can be used like the
    /// original. Coordinators go on writing meanwhile.
    pub fn copy_to(&self, path: &Path) -> Result<(), JournalError> {
        let explain = |error| explain(&self.store, &error);
        let Some(name) = path.to_str() else {
            return Err(self.tables().corrupt("the copy's name is not UTF-8"));
        };
        // The copy is a transaction of its own.
        self.connection.execute_batch("COMMIT").map_err(explain)?;
        let copied = self.connection.execute("VACUUM INTO ?1", [name]);
        self.connection.execute_batch("BEGIN").map_err(explain)?;
        copied.map(|_| ()).map_err(explain)
    }
}

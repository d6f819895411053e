//! A journal read from beside: without a lock, without an epoch, without writing, also while a coordinator uses it.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use hebbian_proto::v1::{GenerationSummary, RunEvent};
use hebbian_shared::dispatch::Settlement;
use hebbian_shared::episode::EpisodePurpose;
use hebbian_shared::id::{GenerationIndex, RunId};
use hebbian_shared::time::Timestamp;
use rusqlite::{Connection, OpenFlags};

use super::tables::Tables;
use super::witness::Witness;
use super::{beside, connect, explain, lock, schema};
use crate::journal::JournalError;
use hebbian_control::run::record::{LoadedRun, Record, StoredRun, UnreadableRun, Write};
use hebbian_control::run::strategy::Strategies;
use hebbian_control::run::{Run, RunError};

/// Closed generations that are read at once.
const PAGE: u32 = 512;

/// See the module. All that one reader says is of one moment: the one of its opening.
#[derive(Debug)]
pub struct JournalReader {
    store: String,
    path: PathBuf,
    connection: Connection,
    /// What was acknowledged before the moment of its opening.
    witness: Option<Witness>,
    /// What the file was like, where nobody used it; see [`JournalReader::check_still`].
    quiet: Option<Stamp>,
    /// Dropped after the connection.
    _tidy: Tidy,
}

/// Length and time of the last change.
type Stamp = (u64, Option<SystemTime>);

fn stamp(path: &Path) -> Option<Stamp> {
    fs::metadata(path).ok().map(|file| (file.len(), file.modified().ok()))
}

/// Removes what SQLite has made to read a log that a coordinator has left.
#[derive(Debug)]
struct Tidy {
    made: Option<(PathBuf, PathBuf)>,
}

impl Drop for Tidy {
    fn drop(&mut self) {
        if let Some((journal, made)) = &self.made
            && lock::is_in_use(journal).is_ok_and(|in_use| !in_use)
        {
            // It does no harm where it is.
            let _ = fs::remove_file(made);
        }
    }
}

/// A file that does not change, as SQLite is told so: it then needs nothing beside it.
fn unchanging(path: &Path) -> PathBuf {
    let mut address = String::from("file:");
    for &byte in path.as_os_str().as_bytes() {
        match byte {
            b'/' | b'-' | b'.' | b'_' | b'~' => address.push(byte.into()),
            byte if byte.is_ascii_alphanumeric() => address.push(byte.into()),
            // Memory can be written.
            byte => drop(write!(address, "%{byte:02X}")),
        }
    }
    PathBuf::from(address + "?immutable=1")
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
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        lock::check(&path, &store)?;
        let has_log = fs::metadata(beside(&path, "-wal")).is_ok_and(|log| log.len() > 0);
        let in_use = lock::is_in_use(&path).unwrap_or(false);
        let before = stamp(&path);
        let witness = Witness::beside(&path);
        let read_only = OpenFlags::SQLITE_OPEN_READ_ONLY;
        let (connection, quiet) = if has_log || in_use {
            (connect(&path, read_only), None)
        } else {
            (connect(&unchanging(&path), read_only | OpenFlags::SQLITE_OPEN_URI), before)
        };
        let shared = beside(&path, "-shm");
        let made = (has_log && !in_use && !shared.exists()).then(|| (path.clone(), shared));
        let tidy = Tidy { made };
        let connection = connection.map_err(explain)?;
        schema::recognise(&connection, &store)?;
        // From here on every query sees the file as it is now, whatever a coordinator appends.
        connection.execute_batch("BEGIN; SELECT count(*) FROM runs;").map_err(explain)?;
        Ok(Self { store, path, connection, witness, quiet, _tidy: tidy })
    }

    /// Refuses what was read if a coordinator has begun to use the file meanwhile: it may be of two moments.
    pub fn check_still(&self) -> Result<(), JournalError> {
        match self.quiet {
            Some(before) if stamp(&self.path) != Some(before) || beside(&self.path, "-wal").exists() => {
                let problem = "a coordinator has begun to use it; read it again".to_owned();
                Err(JournalError::Unavailable { store: self.store.clone(), problem })
            }
            _ => Ok(()),
        }
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

    /// Gives all events of a run, in order, to `take`.
    pub fn events(&self, run: RunId, mut take: impl FnMut(&RunEvent)) -> Result<(), JournalError> {
        let mut after = 0;
        loop {
            let page = self.tables().events(run, after, u64::MAX, PAGE)?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = *last;
            for (_, event) in &page {
                take(event);
            }
        }
    }

    /// A run as it stands, taken up as a coordinator does.
    pub fn take_up(stored: StoredRun) -> Result<Run, RunError> {
        Run::recover(Timestamp(Duration::ZERO), stored, Strategies::default(), &mut Vec::new())
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
        schema::check_health(&self.connection, &self.store)?;
        schema::check_progress(&self.connection, self.witness, &self.path, &self.store)?;
        let mut reports = Vec::new();
        self.tables().each_run(&mut |loaded| reports.push(self.verify_run(loaded)))?;
        self.check_still()?;
        reports.into_iter().collect()
    }

    /// Takes a run up as a coordinator does.
    fn verify_run(&self, loaded: LoadedRun) -> Result<RunReport, JournalError> {
        let unreadable = |UnreadableRun { run, name, problem, .. }| {
            let (problems, notes) = (vec![problem], Vec::new());
            RunReport { run, name, settled: 0, sequence: 0, generations: 0, problems, notes }
        };
        let stored = match loaded {
            Ok(stored) => stored,
            Err(unread) => return Ok(unreadable(unread)),
        };
        let generations = match self.generations(stored.run) {
            Ok(generations) => generations,
            Err(JournalError::Corrupt { problem, .. }) => {
                let (run, name) = (stored.run, stored.created.spec.name.clone());
                return Ok(unreadable(UnreadableRun { run, name, created_unix_ms: 0, problem }));
            }
            Err(error) => return Err(error),
        };
        let mut report = RunReport {
            run: stored.run,
            name: stored.created.spec.name.clone(),
            settled: stored.records.iter().filter(|record| matches!(record, Record::Settled(_))).count(),
            sequence: stored.sequence,
            generations: generations.len() as u32,
            problems: Vec::new(),
            notes: Vec::new(),
        };
        let mut writes = Vec::new();
        match Run::recover(Timestamp(Duration::ZERO), stored, Strategies::default(), &mut writes) {
            Err(error) => report.problems.push(error.problem),
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
        copied.map_err(explain)?;
        // What is acknowledged of the original says nothing of the copy.
        let own = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE).and_then(|copy| schema::rename(&copy));
        own.map_err(explain)?;
        self.check_still()
    }
}

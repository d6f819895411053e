//! A journal read from beside: without a lock, without an epoch, without writing, also while a coordinator uses it.

use std::path::Path;
use std::time::Duration;

use hebbian_proto::v1::{GenerationSummary, RunEvent};
use hebbian_shared::dispatch::Settlement;
use hebbian_shared::episode::EpisodePurpose;
use hebbian_shared::id::{GenerationIndex, RunId};
use hebbian_shared::time::Timestamp;

use super::JournalError;
use super::postgres::{self, Beside};
use super::sql::Sql;
use super::sql::tables::Tables;
use super::sqlite::JournalFile;
use hebbian_control::run::record::{LoadedRun, Record, StoredRun, UnreadableRun, Write};
use hebbian_control::run::strategy::Strategies;
use hebbian_control::run::{Run, RunError};

/// Closed generations that are read at once.
const PAGE: u32 = 512;

/// A database that is read from beside. All that it says is of one moment.
pub(super) trait Source: Sql + std::fmt::Debug + Send {
    /// Refuses what was read if it may be of two moments.
    fn check_still(&self) -> Result<(), JournalError> {
        Ok(())
    }

    /// Refuses a database that is damaged as a whole, or lacks something that was acknowledged.
    fn check_whole(&self) -> Result<(), JournalError>;

    /// Writes a copy to a file that is not there yet, or is empty.
    fn copy_to(&self, path: &Path) -> Result<(), JournalError>;
}

/// See the module. All that one reader says is of one moment: the one of its opening.
#[derive(Debug)]
pub struct JournalReader {
    source: Box<dyn Source>,
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
    /// Opens the journal in a file for reading.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        Ok(Self { source: Box::new(JournalFile::open(path)?) })
    }

    /// Opens the journal in a database for reading; none if `address` does not begin with `postgresql://`.
    pub fn of_database(address: &str) -> Option<Result<Self, JournalError>> {
        postgres::is_ours(address).then(|| Ok(Self { source: Box::new(Beside::open(address)?) }))
    }

    /// Refuses what was read if a coordinator has begun to use the file meanwhile: it may be of two moments.
    pub fn check_still(&self) -> Result<(), JournalError> {
        self.source.check_still()
    }

    fn tables(&self) -> Tables<'_> {
        Tables { sql: &*self.source }
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
        self.source.check_whole()?;
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

    /// Writes a copy of the journal, as of now and compact, to a file that is not there yet, or is empty. It can be used like
    /// the original. Coordinators go on writing meanwhile.
    pub fn copy_to(&self, path: &Path) -> Result<(), JournalError> {
        self.source.copy_to(path)
    }
}

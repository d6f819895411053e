//! The journal as one SQLite file: embedded, transactional, and readable with the `sqlite3` tool while it is in use.
//!
//! Write-ahead logging; a plain commit reaches the operating system (it survives SIGKILL), a synced one the disk (it
//! survives a power loss, and so do all before it). A lock on `FILE.lock` keeps a second live coordinator out, and
//! the epoch in `meta` keeps out one that believes to be alive.

mod reader;
mod schema;
mod tables;

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use hebbian_proto::v1::GenerationSummary;
use hebbian_shared::id::{GenerationIndex, RunId};
use rusqlite::{Connection, ErrorCode, TransactionBehavior, params};

use super::codec::{encode_record, encode_snapshot};
use super::{Journal, JournalError, KeptSnapshots, StoredEvent};
use hebbian_control::engine::effect::Transaction;
use hebbian_control::run::record::{LoadedRun, Record, Snapshot, Write};
use tables::Tables;

pub use reader::{JournalReader, RunReport, StoredEpisode};

/// How long a commit waits for somebody else's lock on the file, for example the `sqlite3` tool's.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);

/// See the module.
#[derive(Debug)]
pub struct SqliteJournal {
    store: String,
    connection: Connection,
    epoch: u64,
    /// Whether commits are synced at the moment.
    syncing: bool,
    kept: KeptSnapshots,
    /// Held as long as the journal is open; nobody else can open one in memory.
    _lock: Option<File>,
}

impl SqliteJournal {
    /// Opens or creates the journal at `path`, for this process alone.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        let store = path.display().to_string();
        // One file, one lock, by whichever link it is reached. A file that is not there yet has no links.
        let path = &std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let lock_path = lock_path(path);
        let locked_before = lock_path.exists();
        let lock = lock(path, &lock_path, &store)?;
        let opened = Self::over(Connection::open(path), store, Some(lock));
        if opened.as_ref().is_err_and(|error| !error.is_transient()) && !locked_before {
            // What is no journal of ours is left as it was found; that it could not be tidied up helps nobody.
            let _ = std::fs::remove_file(lock_path);
        }
        opened
    }

    /// A journal that is forgotten with the process.
    pub fn in_memory() -> Result<Self, JournalError> {
        Self::over(Connection::open_in_memory(), "memory:".to_owned(), None)
    }

    fn over(
        opened: rusqlite::Result<Connection>,
        store: String,
        lock: Option<File>,
    ) -> Result<Self, JournalError> {
        let explain = |error: &rusqlite::Error| explain(&store, error);
        let connection = opened.map_err(|error| explain(&error))?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(|error| explain(&error))?;
        schema::prepare(&connection, &store)?;
        let epoch = schema::raise_epoch(&connection).map_err(|error| explain(&error))?;
        Ok(Self { store, connection, epoch, syncing: true, kept: KeptSnapshots::LAST, _lock: lock })
    }

    /// The same journal, which keeps more snapshots from now on.
    #[must_use]
    pub fn keeping(self, kept: KeptSnapshots) -> Self {
        Self { kept, ..self }
    }

    /// Refuses to let the file grow above `bytes`, as if the disk were full. A size below the present one stops growth.
    pub fn limit_size(&mut self, bytes: u64) -> Result<(), JournalError> {
        let explain = |error| explain(&self.store, &error);
        let page: i64 =
            self.connection.pragma_query_value(None, "page_size", |row| row.get(0)).map_err(explain)?;
        let pages = i64::try_from(bytes).unwrap_or(i64::MAX) / page.max(1);
        self.connection
            .pragma_update_and_check(None, "max_page_count", pages.max(1), |_| Ok(()))
            .map_err(explain)
    }

    fn tables(&self) -> Tables<'_> {
        Tables { store: &self.store, connection: &self.connection }
    }
}

/// `FILE.lock`
fn lock_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}

/// Locks `FILE.lock` for the life of the returned file. The journal itself cannot be locked so: closing any other
/// handle on it would drop SQLite's own locks.
fn lock(path: &Path, lock_path: &Path, store: &str) -> Result<File, JournalError> {
    let unavailable = |error: std::io::Error, what: &str| JournalError::Unavailable {
        store: store.to_owned(),
        problem: format!("{what}: {error}"),
    };
    if path.is_dir() {
        let problem = "is a directory; a journal is a file".to_owned();
        return Err(JournalError::Corrupt { store: store.to_owned(), problem });
    }
    if let Some(directory) =
        path.parent().filter(|directory| !directory.as_os_str().is_empty() && !directory.exists())
    {
        let problem = format!("its directory {} does not exist; make it first", directory.display());
        return Err(JournalError::Unavailable { store: store.to_owned(), problem });
    }
    let file = File::options().create(true).truncate(false).write(true).open(lock_path);
    let file = file.map_err(|error| unavailable(error, "its lock file cannot be made"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(JournalError::Locked { store: store.to_owned() }),
        Err(TryLockError::Error(error)) => Err(unavailable(error, "it cannot be locked")),
    }
}

/// What an error of SQLite means to whoever runs the coordinator.
fn explain(store: &str, error: &rusqlite::Error) -> JournalError {
    let store = store.to_owned();
    let unavailable =
        |problem: &str| JournalError::Unavailable { store: store.clone(), problem: problem.into() };
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => unavailable("no space left on the disk"),
        Some(ErrorCode::ReadOnly) => unavailable("the file is read-only"),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            unavailable("another program has locked the file")
        }
        Some(ErrorCode::NotADatabase) => JournalError::Corrupt {
            store,
            problem: "is not a hebbian journal (not an SQLite database, or its beginning is damaged)".into(),
        },
        Some(ErrorCode::DatabaseCorrupt) => JournalError::Corrupt {
            store,
            problem: format!("the journal is damaged ({error}); restore it from a copy"),
        },
        Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            unavailable(&format!("it cannot be read or written ({error})"))
        }
        _ => JournalError::Corrupt { store, problem: error.to_string() },
    }
}

fn write(
    transaction: &rusqlite::Transaction<'_>,
    write: &Write,
    kept: KeptSnapshots,
) -> rusqlite::Result<()> {
    match write {
        Write::Record { run, sequence, record } => {
            write_record(transaction, &run.to_string(), *sequence as i64, record)
        }
        Write::Snapshot { run, snapshot } => {
            let run = run.to_string();
            let before = snapshot.closed.0.saturating_sub(1);
            transaction
                .prepare_cached("INSERT INTO snapshots (run, closed, snapshot) VALUES (?1, ?2, ?3)")?
                .execute(params![run, snapshot.closed.0, encode_snapshot(snapshot)])?;
            transaction
                .prepare_cached(
                    "DELETE FROM snapshots WHERE run = ?1 AND closed < ?2 AND (?3 = 0 OR closed % ?3 <> 0)",
                )?
                .execute(params![run, before, kept.every])?;
            transaction
                .prepare_cached(
                    "DELETE FROM records WHERE run = ?1 AND kind = 'settled' AND generation < ?2",
                )?
                .execute(params![run, snapshot.closed.0])?;
            Ok(())
        }
        Write::Delete { run } => {
            for table in ["records", "generations", "snapshots", "runs"] {
                transaction.execute(&format!("DELETE FROM {table} WHERE run = ?1"), [run.to_string()])?;
            }
            Ok(())
        }
    }
}

fn write_record(
    transaction: &rusqlite::Transaction<'_>,
    run: &str,
    sequence: i64,
    record: &Record,
) -> rusqlite::Result<()> {
    let bytes = encode_record(record);
    if let Record::Created(created) = record {
        transaction
            .prepare_cached(
                "INSERT INTO runs (run, name, state, spec, request_id, created_unix_ms) \
                 VALUES (?1, ?2, 'running', ?3, ?4, ?5)",
            )?
            .execute(params![
                run,
                created.spec.name,
                created.spec.json(),
                created.request_id,
                created.created_unix_ms as i64
            ])?;
    }
    if let Record::StateChanged { state, .. } = record {
        transaction
            .prepare_cached("UPDATE runs SET state = ?2 WHERE run = ?1")?
            .execute(params![run, state.name()])?;
    }
    if let Record::GenerationClosed(closed) = record {
        transaction
            .prepare_cached(
                "INSERT INTO generations (run, generation, sequence, record) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![run, closed.summary.generation, sequence, bytes])?;
        return Ok(());
    }
    let (kind, generation) = match record {
        Record::Created(_) => ("created", None),
        Record::FingerprintTaken { .. } => ("fingerprint_taken", None),
        Record::Settled(settled) => ("settled", Some(settled.generation.0)),
        Record::GenerationClosed(_) => unreachable!("has a table of its own"),
        Record::TimeLimit { generation } => ("time_limit", Some(generation.0)),
        Record::StateChanged { .. } => ("state_changed", None),
        Record::Note { .. } => ("note", None),
        Record::Validated(summary) => ("validated", Some(summary.generation)),
        Record::SearchEnded { .. } => ("search_ended", None),
        Record::Remeasured(_) => ("remeasured", None),
        Record::Selected { .. } => ("selected", None),
        Record::Extended { .. } => ("extended", None),
    };
    transaction
        .prepare_cached(
            "INSERT INTO records (run, sequence, kind, generation, record) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![run, sequence, kind, generation, bytes])?;
    Ok(())
}

impl Journal for SqliteJournal {
    fn store(&self) -> &str {
        &self.store
    }

    fn epoch(&self) -> u64 {
        self.epoch
    }

    fn load(&mut self) -> Result<Vec<LoadedRun>, JournalError> {
        self.tables().runs()
    }

    fn commit(&mut self, transactions: &[Transaction], sync: bool) -> Result<(), JournalError> {
        let store = &self.store;
        let explain = |error| explain(store, &error);
        if sync != self.syncing {
            let level = if sync { "FULL" } else { "NORMAL" };
            self.connection.pragma_update(None, "synchronous", level).map_err(explain)?;
            self.syncing = sync;
        }
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(explain)?;
        let found = schema::epoch(&transaction).map_err(explain)?;
        if found != self.epoch {
            return Err(JournalError::Superseded { store: store.clone(), ours: self.epoch, found });
        }
        for record in transactions.iter().flat_map(|transaction| &transaction.writes) {
            write(&transaction, record, self.kept).map_err(explain)?;
        }
        transaction.commit().map_err(explain)
    }

    fn generations(
        &mut self,
        run: RunId,
        from: GenerationIndex,
        limit: u32,
    ) -> Result<Vec<GenerationSummary>, JournalError> {
        self.tables().generations(run, from, limit)
    }

    fn snapshots(&mut self, run: RunId) -> Result<Vec<GenerationIndex>, JournalError> {
        self.tables().snapshots(run)
    }

    fn snapshot(&mut self, run: RunId, closed: GenerationIndex) -> Result<Option<Snapshot>, JournalError> {
        self.tables().snapshot(run, closed)
    }

    fn events(
        &mut self,
        run: RunId,
        after: u64,
        up_to: u64,
        limit: u32,
    ) -> Result<Vec<StoredEvent>, JournalError> {
        self.tables().events(run, after, up_to, limit)
    }
}

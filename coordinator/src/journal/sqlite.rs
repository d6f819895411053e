//! The journal as one SQLite file: embedded, transactional, and readable with the `sqlite3` tool while it is in use.
//!
//! Write-ahead logging; a plain commit reaches the operating system (it survives SIGKILL), a synced one the disk (it
//! survives a power loss, and so do all before it). Locks on the file and on its name keep a second live coordinator out,
//! and the epoch in `meta` keeps out one that believes to be alive.

mod address;
mod file;
mod files;
mod lock;
mod new_file;
mod repair;
mod reserve;
mod schema;
mod witness;

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use hebbian_proto::v1::GenerationSummary;
use hebbian_shared::id::{GenerationIndex, RunId};
use rusqlite::config::DbConfig;
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction as Begun, TransactionBehavior};

use super::clock::Clock;
use super::sql::counters::{self, Position};
use super::sql::sums::Changes;
use super::sql::tables::Tables;
use super::sql::{Row, Sql, rows};
use super::{Address, Journal, JournalError, KeptSnapshots, Opened, StoredEvent, new_writes};
use hebbian_control::engine::effect::Transaction;
use hebbian_control::run::record::{LoadedRun, Snapshot, StoredStanding};
use lock::{FileLock, Identity, NameLock};
use witness::Witness;

pub use address::COMPANIONS;
pub(super) use file::JournalFile;
pub use files::BEGINNING;
pub(super) use new_file::NewFile;
pub(super) use repair::repair;

/// How long a commit waits for somebody else's lock on the file, for example the `sqlite3` tool's.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);

/// The file of an address `sqlite:PATH`; none if the address is not of this kind.
pub(super) fn file<'a>(address: &'a Address<'_>) -> Option<Result<&'a Path, JournalError>> {
    Some(address::path(address.behind("sqlite")?).map_err(|problem| address.refused(problem)))
}

/// Opens the journal at `sqlite:PATH`.
pub(super) fn open(address: &Address<'_>, kept: KeptSnapshots) -> Option<Opened> {
    Some(
        file(address)?
            .and_then(|path| Ok(Box::new(SqliteJournal::open(path)?.keeping(kept)) as Box<dyn Journal>)),
    )
}

/// See the module.
#[derive(Debug)]
pub struct SqliteJournal {
    database: Database,
    epoch: u64,
    /// Whether commits are synced at the moment.
    syncing: bool,
    kept: KeptSnapshots,
    /// The last transaction that was written to files whose names had gone by then; nobody was told of it.
    out_of_sight: Option<u64>,
    /// Where it is on the disk. Dropped after the connection.
    place: Place,
}

/// An open file with its name for messages.
#[derive(Debug)]
struct Database {
    store: String,
    connection: Connection,
}

impl Database {
    fn explain(&self, error: &rusqlite::Error) -> JournalError {
        explain(&self.store, error)
    }
}

impl Sql for Database {
    fn store(&self) -> &str {
        &self.store
    }

    fn execute(&self, sql: &str, values: &[Value]) -> Result<(), JournalError> {
        let executed = self
            .connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute(rusqlite::params_from_iter(values)));
        executed.map(drop).map_err(|error| self.explain(&error))
    }

    fn query(
        &self,
        sql: &str,
        values: &[Value],
        take: &mut dyn FnMut(&Row<'_>) -> Result<(), JournalError>,
    ) -> Result<(), JournalError> {
        let explain = |error| self.explain(&error);
        let mut statement = self.connection.prepare_cached(sql).map_err(explain)?;
        let columns = statement.column_count();
        let mut rows = statement.query(rusqlite::params_from_iter(values)).map_err(explain)?;
        while let Some(row) = rows.next().map_err(explain)? {
            let values: Vec<ValueRef<'_>> =
                (0..columns).map(|place| row.get_ref(place)).collect::<Result<_, _>>().map_err(explain)?;
            take(&values)?;
        }
        Ok(())
    }
}

/// Where a journal is on the disk.
#[derive(Debug)]
struct Place {
    path: PathBuf,
    /// What its log is; see [`Place::check`].
    log: Identity,
    clock: Clock,
    /// Held as long as the journal is open.
    file: FileLock,
    name: NameLock,
}

impl SqliteJournal {
    /// Opens or creates the journal at `path`, for this process alone.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        let store = path.display().to_string();
        let is_new = is_new(path, &store)?;
        // One file, one name for its companions, by whichever link it is reached.
        let path = &std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let name = NameLock::take(path, &store)?;
        let witness = Witness::beside(path);
        let changed = |path: &Path| std::fs::metadata(path).and_then(|file| file.modified()).ok();
        let last_written = match witness {
            Some(witness) => Some(witness.moment()),
            None => changed(path).max(changed(&beside(path, "-wal"))),
        };
        match Self::open_locked(path, &store, is_new, witness) {
            Ok((database, epoch, log, file)) => {
                // On a full disk there is none, and it is tried again when there is some.
                let _ = reserve::take(name.file());
                let path = path.clone();
                let place = Place { path, log, clock: Clock::new(last_written), file, name };
                Ok(Self {
                    database,
                    epoch,
                    syncing: true,
                    kept: KeptSnapshots::LAST,
                    out_of_sight: None,
                    place,
                })
            }
            Err(error) => {
                if !error.is_transient() {
                    name.leave_no_trace();
                }
                Err(error)
            }
        }
    }

    fn open_locked(
        path: &Path,
        store: &str,
        is_new: bool,
        witness: Option<Witness>,
    ) -> Result<(Database, u64, Identity, FileLock), JournalError> {
        let explain = |error: &rusqlite::Error| explain(store, error);
        if is_new {
            NewFile::begin(path)?.end()?;
        }
        let file = FileLock::take(path, store)?;
        files::check_header(path, store)?;
        let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(|error| explain(&error))?;
        let database = Database { store: store.to_owned(), connection };
        schema::prepare(&database)?;
        check_progress(&database, witness, path)?;
        let epoch = counters::raise_epoch(&database)?;
        // The epoch is in it.
        let log = Identity::of(&beside(path, "-wal")).map_err(|error| JournalError::Unavailable {
            store: store.to_owned(),
            problem: format!("its log cannot be found: {error}"),
        })?;
        Ok((database, epoch, log, file))
    }

    /// The same journal, which keeps more snapshots from now on.
    #[must_use]
    pub fn keeping(self, kept: KeptSnapshots) -> Self {
        Self { kept, ..self }
    }

    /// Refuses to let the file grow above `bytes`, as if the disk were full. A size below the present one stops growth.
    pub fn limit_size(&mut self, bytes: u64) -> Result<(), JournalError> {
        let explain = |error| self.database.explain(&error);
        let connection = &self.database.connection;
        let page: i64 =
            connection.pragma_query_value(None, "page_size", |row| row.get(0)).map_err(explain)?;
        let pages = i64::try_from(bytes).unwrap_or(i64::MAX) / page.max(1);
        connection.pragma_update_and_check(None, "max_page_count", pages.max(1), |_| Ok(())).map_err(explain)
    }

    /// Moves what the log holds into the file.
    fn checkpoint(&self, how: &str) -> rusqlite::Result<()> {
        self.database.connection.query_row(&format!("PRAGMA wal_checkpoint({how})"), [], |_| Ok(()))
    }

    /// The rows.
    pub(super) fn sql(&self) -> &dyn Sql {
        &self.database
    }

    fn tables(&self) -> Tables<'_> {
        Tables { sql: &self.database }
    }
}

/// Refuses a journal whose counters are wrong, or that lacks something that was acknowledged.
fn check_progress(database: &Database, witness: Option<Witness>, path: &Path) -> Result<(), JournalError> {
    counters::check(database)?;
    let found = counters::position(database)?;
    witness.map_or(Ok(()), |witness| witness.check(found, path, &database.store))
}

impl Place {
    /// Whether the names of journal and log still stand for what is written to. What is written to a file that was removed
    /// is gone with this process; so it is looked at with every commit.
    fn check(&self) -> Result<(), String> {
        for (path, expected) in [(&self.path, self.file.identity()), (&beside(&self.path, "-wal"), self.log)]
        {
            let problem = match Identity::of(path) {
                Ok(found) if found == expected => continue,
                Ok(_) => "has been replaced",
                Err(error) if error.kind() == io::ErrorKind::NotFound => "has been removed or moved",
                Err(error) => return Err(format!("{} cannot be looked at: {error}", path.display())),
            };
            return Err(format!("{} {problem} while it is in use; put it back", path.display()));
        }
        Ok(())
    }

    /// Notes that all up to `position` is on the disk. Without it nothing is lost but the knowledge, should it be lost later.
    fn bear_witness(&mut self, position: Position) {
        match self.name.retake() {
            Ok(false) => {}
            // Somebody has tidied up; without it nobody would miss what is lost later.
            Ok(true) => {
                let _ = reserve::take(self.name.file());
                tracing::warn!(journal = %self.path.display(), "the lock file had been removed; there is another one now");
            }
            Err(error) => {
                tracing::warn!(%error, journal = %self.path.display(), "the lock file has been removed, and cannot be made again");
            }
        }
        let unix_s = self.clock.unix_s(self.path.display());
        if let Err(error) = (Witness { position, unix_s }).write(self.name.file()) {
            tracing::warn!(%error, journal = %self.path.display(), "the lock file cannot be written");
        }
    }
}

/// Said of what no journal can be.
const NO_FILE: &str = "is a device or a pipe; a journal is a regular file";

/// Whether there is no journal yet at a path. What cannot become or be one is refused.
fn is_new(path: &Path, store: &str) -> Result<bool, JournalError> {
    let store = || store.to_owned();
    let corrupt = |problem: &str| Err(JournalError::Corrupt { store: store(), problem: problem.to_owned() });
    match std::fs::metadata(path) {
        Ok(file) if file.is_dir() => corrupt("is a directory; a journal is a file"),
        Ok(file) if !file.is_file() => corrupt(NO_FILE),
        Ok(file) if file.len() == 0 => {
            corrupt("is an empty file, not a hebbian journal; remove it, and a new journal begins there")
        }
        Ok(_) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if path.is_symlink() {
                return corrupt("is a link to a file that is not there");
            }
            let log = beside(path, "-wal");
            if std::fs::metadata(&log).is_ok_and(|log| log.len() > 0) {
                return corrupt(&format!(
                    "is missing, but its log {} is there and may hold what was committed last; put the journal back, or move \
                     the log away to begin a new one",
                    log.display()
                ));
            }
            let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty());
            match directory.filter(|directory| !directory.exists()) {
                None => Ok(true),
                Some(missing) => {
                    let problem =
                        format!("its directory {} does not exist; make it first", missing.display());
                    Err(JournalError::Unavailable { store: store(), problem })
                }
            }
        }
        Err(error) => Err(JournalError::Unavailable {
            store: store(),
            problem: format!("it cannot be opened: {error}"),
        }),
    }
}

/// A connection to a file that is there. A path is a path, whatever it looks like, and nothing in the file is executed.
fn connect(path: &Path, access: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // The schema is compared before the first of its tables is read; these hold even if it were not.
    for (setting, value) in [
        (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false),
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
    ] {
        connection.set_db_config(setting, value)?;
    }
    Ok(connection)
}

/// The name of a file that belongs to a journal's.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// What an error of SQLite means to whoever runs the coordinator.
fn explain(store: &str, error: &rusqlite::Error) -> JournalError {
    let store = store.to_owned();
    let unavailable =
        |problem: &str| JournalError::Unavailable { store: store.clone(), problem: problem.into() };
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => JournalError::Full { store },
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

impl Journal for SqliteJournal {
    fn store(&self) -> &str {
        &self.database.store
    }

    fn kept(&self) -> KeptSnapshots {
        self.kept
    }

    fn epoch(&self) -> u64 {
        self.epoch
    }

    fn last_written(&self) -> Option<SystemTime> {
        self.place.clock.last_written()
    }

    fn load_each(&mut self, take: &mut dyn FnMut(LoadedRun)) -> Result<(), JournalError> {
        self.tables().each_run(take)
    }

    fn standing_each(&mut self, take: &mut dyn FnMut(StoredStanding)) -> Result<(), JournalError> {
        self.tables().each_standing(take)
    }

    fn run(&mut self, run: RunId) -> Result<Option<LoadedRun>, JournalError> {
        self.tables().one_run(run)
    }

    fn commit(&mut self, transactions: &[Transaction], sync: bool) -> Result<(), JournalError> {
        let Self { database, place, .. } = self;
        let unavailable = |problem| JournalError::Unavailable { store: database.store.clone(), problem };
        let explain = |error| database.explain(&error);
        place.check().map_err(unavailable)?;
        if sync != self.syncing {
            let level = if sync { "FULL" } else { "NORMAL" };
            database.connection.pragma_update(None, "synchronous", level).map_err(explain)?;
            self.syncing = sync;
        }
        let begun = Begun::new_unchecked(&database.connection, TransactionBehavior::Immediate);
        let begun = begun.map_err(explain)?;
        let found = counters::epoch(database)?;
        if found != self.epoch {
            return Err(JournalError::Superseded { store: database.store.clone(), ours: self.epoch, found });
        }
        let mut sums = Changes::default();
        for record in new_writes(transactions, self.out_of_sight) {
            rows::write(database, record, self.kept, &mut sums)?;
        }
        sums.store(database)?;
        counters::advance(database)?;
        let position = counters::position(database)?;
        begun.commit().map_err(explain)?;
        if let Err(problem) = place.check() {
            // Written, and perhaps lost: nobody may be told that it is on the disk. If the files come back, it is there.
            self.out_of_sight = transactions.last().map(|last| last.position).max(self.out_of_sight);
            return Err(unavailable(problem));
        }
        self.out_of_sight = None;
        if sync {
            self.place.bear_witness(position);
        }
        Ok(())
    }

    fn give_room(&mut self) {
        if let Err(error) = reserve::release(self.place.name.file()) {
            tracing::warn!(%error, journal = self.database.store, "the room that is kept for deletions cannot be given back");
        }
        // What the log holds may fit into the file, in the place of what was deleted, and the log's own is free then.
        let _ = self.checkpoint("TRUNCATE");
    }

    fn keep_room(&mut self) -> bool {
        // First, for it needs room itself and leaves more.
        let checkpoint = self.checkpoint("TRUNCATE");
        let kept = reserve::take(self.place.name.file());
        if checkpoint.is_err() || kept.is_err() {
            tracing::debug!(
                ?checkpoint,
                ?kept,
                journal = self.database.store,
                "there is no room to be kept for deletions"
            );
        }
        kept.is_ok()
    }

    fn look(&mut self) -> Result<(), JournalError> {
        let store = &self.database.store;
        self.place.check().map_err(|problem| JournalError::Unavailable { store: store.clone(), problem })
    }

    fn distrust_clock(&mut self) {
        self.place.clock.distrust();
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

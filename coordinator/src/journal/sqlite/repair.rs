//! A file that is mended.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::OpenFlags;

use super::witness::Witness;
use super::{Database, FileLock, JournalFile, NameLock, beside, connect, explain, lock, schema};
use crate::journal::JournalError;
use crate::journal::clock::plausible;
use crate::journal::repair::{Finding, Mode, check_free};
use crate::journal::sql::counters;
use crate::journal::sql::mend::{Outside, mend};

/// What belongs to a journal beside its file.
const BESIDE: [&str; 2] = ["-wal", ".lock"];

/// Mends the journal in a file, or says what would be done.
pub(in crate::journal) fn repair(path: &Path, mode: &Mode) -> Result<Vec<Finding>, JournalError> {
    let store = path.display().to_string();
    let failed = |what: &str, error: &io::Error| JournalError::Unavailable {
        store: store.clone(),
        problem: format!("{what}: {error}"),
    };
    // What is no journal, or one of a newer program, is told before anything is touched.
    drop(JournalFile::open(path)?);
    let path = &fs::canonicalize(path).map_err(|error| failed("the journal cannot be read", &error))?;
    if lock::is_in_use(path).map_err(|error| failed("the journal cannot be read", &error))? {
        return Err(JournalError::Locked { store });
    }
    let folder = tempfile::tempdir().map_err(|error| failed("a copy to try it on cannot be made", &error))?;
    let tried = folder.path().join("journal.sqlite");
    copy(path, &tried).map_err(|error| failed("a copy to try it on cannot be made", &error))?;
    let found = Held::take(&tried, &store)?.mend()?;
    let Mode::Mend(to) = mode else { return Ok(found) };
    if found.is_empty() {
        return Ok(found);
    }
    check_free(to)?;
    let held = Held::take(path, &store)?;
    copy(path, to)
        .map_err(|error| failed(&format!("the copy {} cannot be written", to.display()), &error))?;
    held.mend()
}

/// Copies a journal byte by byte, with its log and its witness.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::copy(from, to)?;
    let mut written: Vec<PathBuf> = vec![to.to_owned()];
    for ending in BESIDE {
        match fs::copy(beside(from, ending), beside(to, ending)) {
            Ok(_) => written.push(beside(to, ending)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    written.iter().try_for_each(|path| fs::File::open(path)?.sync_all())
}

/// A file that nobody else uses meanwhile.
struct Held<'a> {
    path: &'a Path,
    store: &'a str,
    name: NameLock,
    /// Dropped after the connection.
    file: FileLock,
}

impl<'a> Held<'a> {
    fn take(path: &'a Path, store: &'a str) -> Result<Self, JournalError> {
        let name = NameLock::take(path, store)?;
        let file = FileLock::take(path, store)?;
        Ok(Self { path, store, name, file })
    }

    fn mend(self) -> Result<Vec<Finding>, JournalError> {
        let Self { path, store, name, file: _held } = self;
        let witness = Witness::beside(path);
        let fail = |error: rusqlite::Error| explain(store, &error);
        let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(fail)?;
        schema::recognise(&connection, store)?;
        schema::log(&connection).map_err(fail)?;
        let database = Database { store: store.to_owned(), connection };
        database.connection.execute_batch("BEGIN IMMEDIATE").map_err(fail)?;
        let mut findings = Vec::new();
        if let Err(damage) = schema::check_health(&database) {
            // What is damaged may be an index, which says nothing of its own.
            database.connection.execute_batch("REINDEX").map_err(|_| damage.clone())?;
            schema::check_health(&database).map_err(|_| damage)?;
            findings.push(Finding::of_all("an index is damaged", "it is made again from its table"));
        }
        let acknowledged = witness.map(|witness| (witness.position, witness.unix_s));
        findings.extend(mend(&database, Outside { acknowledged, has_written: false })?);
        if findings.is_empty() {
            return Ok(findings);
        }
        counters::advance(&database)?;
        counters::check(&database)?;
        let position = counters::position(&database)?;
        database.connection.execute_batch("COMMIT").map_err(fail)?;
        // A clock that is wrong now is not to be taken for right later.
        let moment = plausible(SystemTime::now(), witness.map(|witness| witness.moment()));
        let unix_s = moment.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let told = Witness { position, unix_s }.write(name.file());
        told.map_err(|error| JournalError::Unavailable {
            store: store.to_owned(),
            problem: format!("its lock file cannot be written: {error}"),
        })?;
        Ok(findings)
    }
}

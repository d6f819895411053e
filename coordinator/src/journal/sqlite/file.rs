//! A journal's file read from beside.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rusqlite::OpenFlags;
use rusqlite::types::Value;

use super::witness::Witness;
use super::{Database, beside, check_progress, connect, explain, files, lock, schema};
use crate::journal::JournalError;
use crate::journal::reader::Source;
use crate::journal::sql::{Row, Sql, counters};

/// See the module.
#[derive(Debug)]
pub(in crate::journal) struct JournalFile {
    path: PathBuf,
    database: Database,
    /// What was acknowledged before the moment of its opening.
    witness: Option<Witness>,
    /// What the file was like, where nobody used it; see [`Source::check_still`].
    quiet: Option<Stamps>,
    /// Dropped after the connection.
    _tidy: Tidy,
}

/// Length and time of the last change, of a journal and of its log: none of what is not there.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Stamps([Option<(u64, Option<SystemTime>)>; 2]);

impl Stamps {
    fn of(journal: &Path) -> Self {
        let stamp = |path: &Path| fs::metadata(path).ok().map(|file| (file.len(), file.modified().ok()));
        Self([stamp(journal), stamp(&beside(journal, "-wal"))])
    }
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

impl JournalFile {
    /// Opens the journal at `path` for reading.
    pub(in crate::journal) fn open(path: &Path) -> Result<Self, JournalError> {
        let store = path.display().to_string();
        let explain = |error| explain(&store, &error);
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        // Opening a pipe would wait for a writer.
        if fs::metadata(&path).is_ok_and(|file| !file.is_file() && !file.is_dir()) {
            return Err(JournalError::Corrupt { store, problem: super::NO_FILE.to_owned() });
        }
        files::check_parts(&path, &store)?;
        let has_log = fs::metadata(beside(&path, "-wal")).is_ok_and(|log| log.len() > 0);
        let in_use = lock::is_in_use(&path).unwrap_or(false);
        if !in_use {
            files::check_header(&path, &store)?;
        }
        let before = Stamps::of(&path);
        let witness = Witness::beside(&path);
        let read_only = OpenFlags::SQLITE_OPEN_READ_ONLY;
        let (connection, quiet) = if has_log || in_use {
            (connect(&path, read_only), None)
        } else {
            (connect(&unchanging(&path), read_only | OpenFlags::SQLITE_OPEN_URI), Some(before))
        };
        let shared = beside(&path, "-shm");
        let made = (has_log && !in_use && !shared.exists()).then(|| (path.clone(), shared));
        let tidy = Tidy { made };
        let connection = connection.map_err(explain)?;
        schema::recognise(&connection, &store)?;
        // From here on every query sees the file as it is now, whatever a coordinator appends.
        connection.execute_batch("BEGIN; SELECT count(*) FROM runs;").map_err(explain)?;
        let database = Database { store, connection };
        Ok(Self { path, database, witness, quiet, _tidy: tidy })
    }
}

impl Sql for JournalFile {
    fn store(&self) -> &str {
        &self.database.store
    }

    fn execute(&self, sql: &str, values: &[Value]) -> Result<(), JournalError> {
        self.database.execute(sql, values)
    }

    fn query(
        &self,
        sql: &str,
        values: &[Value],
        take: &mut dyn FnMut(&Row<'_>) -> Result<(), JournalError>,
    ) -> Result<(), JournalError> {
        self.database.query(sql, values, take)
    }
}

impl Source for JournalFile {
    fn check_still(&self) -> Result<(), JournalError> {
        match self.quiet {
            Some(before) if Stamps::of(&self.path) != before => {
                let problem = "a coordinator has begun to use it; read it again".to_owned();
                Err(JournalError::Unavailable { store: self.database.store.clone(), problem })
            }
            _ => Ok(()),
        }
    }

    fn check_whole(&self) -> Result<(), JournalError> {
        schema::check_health(&self.database)?;
        check_progress(&self.database, self.witness, &self.path)
    }

    fn copy_to(&self, path: &Path) -> Result<(), JournalError> {
        let Database { store, connection } = &self.database;
        let explain = |error| explain(store, &error);
        let Some(name) = path.to_str() else {
            let problem = "the copy's name is not UTF-8".to_owned();
            return Err(JournalError::Corrupt { store: store.clone(), problem });
        };
        // The copy is a transaction of its own.
        connection.execute_batch("COMMIT").map_err(explain)?;
        let copied = connection.execute("VACUUM INTO ?1", [name]);
        connection.execute_batch("BEGIN").map_err(explain)?;
        copied.map_err(explain)?;
        // What is acknowledged of the original says nothing of the copy.
        let copy = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(explain)?;
        counters::rename(&Database { store: store.clone(), connection: copy })?;
        self.check_still()
    }
}

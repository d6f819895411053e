//! A journal's file that is being made: whatever happens, its name stands for all of it or for nothing.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rusqlite::OpenFlags;
use tempfile::NamedTempFile;

use super::{Database, connect, schema};
use crate::journal::JournalError;
use crate::journal::sql::Sql;

/// See the module. Without its end there is no file, or the one that the caller has made has no name but the caller's.
pub(in crate::journal) struct NewFile {
    path: PathBuf,
    database: Database,
    /// Until it has its name; none if the caller gives it one.
    temporary: Option<NamedTempFile>,
}

impl NewFile {
    /// Begins with a journal without runs, in a transaction.
    pub(in crate::journal) fn begin(path: &Path) -> Result<Self, JournalError> {
        let store = path.display().to_string();
        if fs::symlink_metadata(path).is_ok() {
            return Err(taken(store));
        }
        let temporary = tempfile::Builder::new()
            .prefix(".hebbian-")
            .suffix(".tmp")
            .permissions(Permissions::from_mode(0o644))
            .tempfile_in(directory(path))
            .map_err(|error| failed(&store, &error))?;
        let database = create(temporary.path(), store)?;
        Ok(Self { path: path.to_owned(), database, temporary: Some(temporary) })
    }

    /// The same in an empty file that the caller has made, names and removes. What is not empty stays as it is.
    pub(in crate::journal) fn within(path: &Path) -> Result<Self, JournalError> {
        let store = path.display().to_string();
        match fs::symlink_metadata(path) {
            Ok(there) if there.is_file() && there.len() == 0 => {}
            Ok(_) => return Err(taken(store)),
            Err(error) => return Err(failed(&store, &error)),
        }
        let database = create(path, store)?;
        Ok(Self { path: path.to_owned(), database, temporary: None })
    }

    /// Its tables.
    pub(in crate::journal) fn sql(&self) -> &dyn Sql {
        &self.database
    }

    /// Gives it its name.
    pub(in crate::journal) fn end(self) -> Result<(), JournalError> {
        let Self { path, database: Database { store, connection }, temporary } = self;
        connection.execute_batch("COMMIT").map_err(|error| super::explain(&store, &error))?;
        // Its log goes with the last connection.
        connection.close().map_err(|(_, error)| super::explain(&store, &error))?;
        let Some(temporary) = temporary else {
            return File::open(&path)
                .and_then(|file| file.sync_all())
                .map_err(|error| failed(&store, &error));
        };
        temporary.as_file().sync_all().map_err(|error| failed(&store, &error))?;
        temporary.persist_noclobber(&path).map_err(|error| match error.error.kind() {
            io::ErrorKind::AlreadyExists => taken(store.clone()),
            _ => failed(&store, &error.error),
        })?;
        let synced = File::open(directory(&path)).and_then(|directory| directory.sync_all());
        synced.map_err(|error| failed(&store, &error))
    }
}

/// A journal without runs in an empty file, in a transaction.
fn create(path: &Path, store: String) -> Result<Database, JournalError> {
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE);
    let made = connection.and_then(|connection| {
        schema::create(&connection)?;
        connection.execute_batch("BEGIN")?;
        Ok(connection)
    });
    let connection = made.map_err(|error| super::explain(&store, &error))?;
    Ok(Database { store, connection })
}

fn directory(path: &Path) -> &Path {
    path.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn taken(store: String) -> JournalError {
    JournalError::Unavailable { store, problem: "it cannot be made: there is a file of that name".to_owned() }
}

fn failed(store: &str, error: &io::Error) -> JournalError {
    JournalError::Unavailable { store: store.to_owned(), problem: format!("it cannot be made: {error}") }
}

//! Who uses a journal's file: one process, whichever name it reaches it by.
//!
//! There are two locks. `FILE.lock` is by name: it also keeps out whoever finds another file under the name of one that is
//! in use, for SQLite's log stands beside the name. The other one is on the file itself, by device and inode.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::{beside, files};
use crate::journal::JournalError;

/// What a file is, whatever it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    /// Of the file at a path.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        fs::metadata(path).map(|file| Self::of_file(&file))
    }

    fn of_file(file: &fs::Metadata) -> Self {
        Self { device: file.dev(), inode: file.ino() }
    }
}

/// The journals of this process. To close any handle on one of them would drop SQLite's own locks on it, so nobody may
/// open one to look whether it is in use.
static HELD: Mutex<BTreeSet<Identity>> = Mutex::new(BTreeSet::new());

/// The lock by name.
#[derive(Debug)]
pub(super) struct NameLock {
    path: PathBuf,
    /// Whether the file was there before.
    found: bool,
    file: File,
}

/// The lock on the file itself. Must outlive SQLite's connection.
#[derive(Debug)]
pub(super) struct FileLock {
    identity: Identity,
    _file: File,
}

/// What a failure means that comes with trying to lock.
fn refused(error: TryLockError, store: &str) -> JournalError {
    match error {
        TryLockError::WouldBlock => JournalError::Locked { store: store.to_owned() },
        TryLockError::Error(error) => unavailable(store, "it cannot be locked", &error),
    }
}

fn unavailable(store: &str, what: &str, error: &io::Error) -> JournalError {
    JournalError::Unavailable { store: store.to_owned(), problem: format!("{what}: {error}") }
}

impl NameLock {
    /// Locks the name of a journal.
    pub(super) fn take(journal: &Path, store: &str) -> Result<Self, JournalError> {
        files::check_parts(journal, store)?;
        let path = beside(journal, ".lock");
        let found = path.exists();
        let file = File::options().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(|error| unavailable(store, "its lock file cannot be made", &error))?;
        file.try_lock().map_err(|error| refused(error, store))?;
        Ok(Self { path, found, file })
    }

    /// The file, which also holds the witness.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Takes the name again if somebody has removed or replaced the file. Whether that was so.
    pub(super) fn retake(&mut self) -> io::Result<bool> {
        let held = Identity::of_file(&self.file.metadata()?);
        if Identity::of(&self.path).is_ok_and(|found| found == held) {
            return Ok(false);
        }
        let file = File::options().create(true).truncate(false).write(true).open(&self.path)?;
        file.try_lock()?;
        self.file = file;
        Ok(true)
    }

    /// Leaves the directory as it was found: there is no journal of ours. That it could not be tidied up helps nobody.
    pub(super) fn leave_no_trace(&self) {
        if !self.found {
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl FileLock {
    /// Locks a journal's file.
    pub(super) fn take(journal: &Path, store: &str) -> Result<Self, JournalError> {
        let unreadable = |error: io::Error| unavailable(store, "it cannot be opened", &error);
        let identity = Identity::of(journal).map_err(unreadable)?;
        if !held().insert(identity) {
            return Err(JournalError::Locked { store: store.to_owned() });
        }
        let locked = File::open(journal).map_err(unreadable).and_then(|file| {
            file.try_lock().map_err(|error| refused(error, store))?;
            Ok(file)
        });
        match locked {
            Ok(file) => Ok(Self { identity, _file: file }),
            Err(error) => {
                held().remove(&identity);
                Err(error)
            }
        }
    }

    /// Which file it is.
    pub(super) fn identity(&self) -> Identity {
        self.identity
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        held().remove(&self.identity);
    }
}

fn held() -> std::sync::MutexGuard<'static, BTreeSet<Identity>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether a coordinator uses the file at this moment.
pub(super) fn is_in_use(journal: &Path) -> io::Result<bool> {
    if held().contains(&Identity::of(journal)?) {
        return Ok(true);
    }
    match File::open(journal)?.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

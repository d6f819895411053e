//! A damaged journal mended: what can be computed again is, and what cannot is told. Nothing is written before a copy is there.
//!
//! Whoever asks what would be done has it done to a copy (a file) or in a transaction that is given up (a database): so it is what is done.

use std::path::{Path, PathBuf};

use super::postgres;
pub use super::sql::mend::Finding;
use super::sqlite;
use super::{Address, JournalError, Leader, unknown};

/// What is to be done about damage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Nothing; what would be done is told.
    Look,
    /// It is mended, after a copy was written to a path where there is nothing.
    Mend(PathBuf),
}

/// Mends the journal at an address, which no coordinator may use meanwhile. All that is wrong with it; nothing is written, and no copy is
/// made, where nothing is.
pub fn repair(url: &str, mode: &Mode) -> Result<Vec<Finding>, JournalError> {
    let leader = Leader::default();
    let address = Address { url, leader: &leader };
    if let Some(path) = sqlite::file(&address) {
        return sqlite::repair(path?, mode);
    }
    postgres::repair(&address, mode).unwrap_or_else(|| Err(unknown(url)))
}

/// Refuses to write a copy over something.
pub(super) fn check_free(copy: &Path) -> Result<(), JournalError> {
    if std::fs::symlink_metadata(copy).is_err() {
        return Ok(());
    }
    let problem = "the copy cannot be written: there is a file of that name".to_owned();
    Err(JournalError::Unavailable { store: copy.display().to_string(), problem })
}

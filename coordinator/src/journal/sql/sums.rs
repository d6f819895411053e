//! What all rows of a run come to together, so that one that is missing is missed.
//!
//! A row's checksum tells whether the row is as it was written, and nothing of rows that are gone. So `meta` has, under `rows RUN`, the sum
//! (modulo 2^64) of the checksums of all rows of a run that make it what it is, and under `runs` how many such sums there are. Both are
//! written with the rows.

use std::collections::BTreeMap;

use super::Sql;
use crate::journal::JournalError;

/// How many runs there are.
pub(super) const RUNS: &str = "runs";

/// The key of a run's sum.
pub(super) fn key(run: &str) -> String {
    format!("rows {run}")
}

pub(super) fn read(sql: &dyn Sql, key: &str) -> Result<Option<i64>, JournalError> {
    sql.first("SELECT value FROM meta WHERE key = ?1", &[key.to_owned().into()], |row| row[0].as_i64())
}

pub(in crate::journal) fn store(sql: &dyn Sql, key: &str, value: i64) -> Result<(), JournalError> {
    let write = "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    sql.execute(write, &[key.to_owned().into(), value.into()])
}

/// The changes of one transaction.
#[derive(Debug, Default)]
pub(in crate::journal) struct Changes(BTreeMap<String, i64>);

impl Changes {
    /// A row is written.
    pub(super) fn add(&mut self, run: &str, checksum: i64) {
        let sum = self.0.entry(run.to_owned()).or_default();
        *sum = sum.wrapping_add(checksum);
    }

    /// A row is removed.
    pub(super) fn remove(&mut self, run: &str, checksum: i64) {
        self.add(run, checksum.wrapping_neg());
    }

    /// A run is begun.
    pub(super) fn begin(sql: &dyn Sql, run: &str) -> Result<(), JournalError> {
        store(sql, &key(run), 0)?;
        count(sql, 1)
    }

    /// All of a run is removed.
    pub(super) fn forget(&mut self, sql: &dyn Sql, run: &str) -> Result<(), JournalError> {
        self.0.remove(run);
        let delete = "DELETE FROM meta WHERE key = ?1 RETURNING value";
        let removed = sql.all(delete, &[key(run).into()], |row| row[0].as_i64())?.len();
        count(sql, -(removed as i64))
    }

    /// Writes the new sums. A run without one, of an earlier program, gets none.
    pub(in crate::journal) fn store(self, sql: &dyn Sql) -> Result<(), JournalError> {
        for (run, change) in self.0 {
            let key = key(&run);
            if let Some(before) = read(sql, &key)? {
                store(sql, &key, before.wrapping_add(change))?;
            }
        }
        Ok(())
    }
}

/// A journal of an earlier program has no count, and gets none.
fn count(sql: &dyn Sql, change: i64) -> Result<(), JournalError> {
    match read(sql, RUNS)? {
        Some(count) => store(sql, RUNS, count.saturating_add(change)),
        None => Ok(()),
    }
}

/// Whether rows whose checksums come to `found` are all of a run's. Nobody knows of a run of an earlier program.
pub(super) fn are_all(sql: &dyn Sql, run: &str, found: i64) -> Result<bool, JournalError> {
    let known = read(sql, &key(run))?;
    Ok(known.is_none_or(|known| known == found))
}

/// How many runs are missing with all of their rows, or more than there should be, if it is known.
pub(super) fn missing_runs(sql: &dyn Sql) -> Result<i64, JournalError> {
    let Some(known) = read(sql, RUNS)? else { return Ok(0) };
    let found = sql.number("SELECT count(*) FROM meta WHERE substr(key, 1, 5) = 'rows '", &[])?;
    Ok(known.saturating_sub(found))
}

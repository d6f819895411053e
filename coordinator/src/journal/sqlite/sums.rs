//! What all rows of a run come to together, so that one that is missing is missed.
//!
//! A row's checksum tells whether the row is as it was written, and nothing of rows that are gone. So `meta` has, under `rows RUN`, the sum
//! (modulo 2^64) of the checksums of all rows of a run that make it what it is, and under `runs` how many such sums there are. Both are
//! written with the rows.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension as _, Transaction, params};

/// How many runs there are.
const RUNS: &str = "runs";

/// The key of a run's sum.
pub(super) fn key(run: &str) -> String {
    format!("rows {run}")
}

fn read(connection: &Connection, key: &str) -> rusqlite::Result<Option<i64>> {
    let sql = "SELECT value FROM meta WHERE key = ?1";
    connection.prepare_cached(sql)?.query_row([key], |row| row.get(0)).optional()
}

fn store(connection: &Connection, key: &str, value: i64) -> rusqlite::Result<()> {
    let sql = "INSERT INTO meta VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    connection.prepare_cached(sql)?.execute(params![key, value]).map(|_| ())
}

/// The changes of one transaction.
#[derive(Debug, Default)]
pub(super) struct Changes(BTreeMap<String, i64>);

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
    pub(super) fn begin(transaction: &Transaction<'_>, run: &str) -> rusqlite::Result<()> {
        store(transaction, &key(run), 0)?;
        count(transaction, 1)
    }

    /// All of a run is removed.
    pub(super) fn forget(&mut self, transaction: &Transaction<'_>, run: &str) -> rusqlite::Result<()> {
        self.0.remove(run);
        let removed = transaction.execute("DELETE FROM meta WHERE key = ?1", [key(run)])?;
        count(transaction, -(removed as i64))
    }

    /// Writes the new sums. A run without one, of an earlier program, gets none.
    pub(super) fn store(self, transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        for (run, change) in self.0 {
            let key = key(&run);
            if let Some(before) = read(transaction, &key)? {
                store(transaction, &key, before.wrapping_add(change))?;
            }
        }
        Ok(())
    }
}

/// A journal of an earlier program has no count, and gets none.
fn count(transaction: &Transaction<'_>, change: i64) -> rusqlite::Result<()> {
    match read(transaction, RUNS)? {
        Some(count) => store(transaction, RUNS, count.saturating_add(change)),
        None => Ok(()),
    }
}

/// Whether rows whose checksums come to `found` are all of a run's. Nobody knows of a run of an earlier program.
pub(super) fn are_all(connection: &Connection, run: &str, found: i64) -> rusqlite::Result<bool> {
    let known = read(connection, &key(run))?;
    Ok(known.is_none_or(|known| known == found))
}

/// How many runs are missing with all of their rows, or more than there should be, if it is known.
pub(super) fn missing_runs(connection: &Connection) -> rusqlite::Result<i64> {
    let Some(known) = read(connection, RUNS)? else { return Ok(0) };
    let sql = "SELECT count(*) FROM meta WHERE key GLOB 'rows *'";
    let found: i64 = connection.query_row(sql, [], |row| row.get(0))?;
    Ok(known.saturating_sub(found))
}

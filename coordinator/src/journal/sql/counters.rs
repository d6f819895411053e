//! The numbers in `meta`: the epoch, and how many commits there were.

use super::{Sql, sums};
use crate::handle::secret;
use crate::journal::JournalError;

/// A journal at a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::journal) struct Position {
    /// Whose: a copy for going on from has another one.
    pub(in crate::journal) journal: i64,
    /// How many commits there were.
    pub(in crate::journal) commits: i64,
}

const READ: &str = "SELECT value FROM meta WHERE key = ?1";

fn read(sql: &dyn Sql, key: &str) -> Result<i64, JournalError> {
    sql.number(READ, &[key.to_owned().into()])
}

/// Refuses a journal whose counters are missing or beyond counting, or that lacks runs.
pub(in crate::journal) fn check(sql: &dyn Sql) -> Result<(), JournalError> {
    for key in ["epoch", "commits", "journal"] {
        check_counter(sql, key)?;
    }
    match sums::missing_runs(sql)? {
        0 => Ok(()),
        missing => Err(sql.corrupt(format!(
            "{missing} runs are missing that were acknowledged; restore the journal from a copy"
        ))),
    }
}

/// Refuses a journal that lacks a counter, or whose counter cannot go on counting.
pub(in crate::journal) fn check_counter(sql: &dyn Sql, key: &str) -> Result<(), JournalError> {
    let most = if key == "journal" { i64::MAX } else { i64::MAX / 2 };
    match read(sql, key) {
        Ok(number) if (0..=most).contains(&number) => Ok(()),
        Err(error) if error.is_transient() => Err(error),
        _ => {
            let problem =
                format!("the journal is damaged: its counter `{key}` is wrong; restore it from a copy");
            Err(sql.corrupt(problem))
        }
    }
}

/// Where a journal is.
pub(in crate::journal) fn position(sql: &dyn Sql) -> Result<Position, JournalError> {
    Ok(Position { journal: read(sql, "journal")?, commits: read(sql, "commits")? })
}

/// Counts a commit.
pub(in crate::journal) fn advance(sql: &dyn Sql) -> Result<(), JournalError> {
    sql.execute("UPDATE meta SET value = value + 1 WHERE key = 'commits'", &[])
}

/// Makes a copy a journal of its own.
pub(in crate::journal) fn rename(sql: &dyn Sql) -> Result<(), JournalError> {
    sql.execute("UPDATE meta SET value = ?1 WHERE key = 'journal'", &[((secret() >> 1) as i64).into()])
}

/// The epoch that is stored.
pub(in crate::journal) fn epoch(sql: &dyn Sql) -> Result<u64, JournalError> {
    read(sql, "epoch").map(i64::unsigned_abs)
}

/// Takes the journal over: raises the epoch and returns it.
pub(in crate::journal) fn raise_epoch(sql: &dyn Sql) -> Result<u64, JournalError> {
    let raise = "UPDATE meta SET value = value + 1 WHERE key = 'epoch' RETURNING value";
    sql.number(raise, &[]).map(i64::unsigned_abs)
}

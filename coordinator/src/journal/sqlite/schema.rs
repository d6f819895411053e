//! The tables, their version, and the epoch.

use rusqlite::Connection;

use super::explain;
use crate::journal::JournalError;

/// Version of the tables, stored as SQLite's `user_version`. Raise it with every change and keep reading the old ones.
const FORMAT: i64 = 1;
/// SQLite's `application_id` of hebbian's journals: `hebb`.
const APPLICATION: i64 = 0x6865_6262;

/// People read these with the `sqlite3` tool. The truth is in the columns `record` and `snapshot`, which hold the
/// messages of `hebbian.journal.v1`; the others are for queries and for eyes.
const TABLES: &str = "
CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE runs (
    number INTEGER PRIMARY KEY AUTOINCREMENT, -- in order of creation
    run TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    state TEXT NOT NULL,
    spec TEXT NOT NULL, -- as JSON, as it was created; limits may have been raised since
    request_id TEXT NOT NULL,
    created_unix_ms INTEGER NOT NULL
);
CREATE TABLE records ( -- all but closed generations
    run TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    kind TEXT NOT NULL,
    generation INTEGER,
    record BLOB NOT NULL,
    PRIMARY KEY (run, sequence)
) WITHOUT ROWID;
CREATE INDEX settled_by_generation ON records (run, generation) WHERE kind = 'settled';
CREATE TABLE generations (
    run TEXT NOT NULL,
    generation INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    record BLOB NOT NULL,
    PRIMARY KEY (run, generation)
) WITHOUT ROWID;
CREATE INDEX generation_by_sequence ON generations (run, sequence);
CREATE TABLE snapshots (
    run TEXT NOT NULL,
    closed INTEGER NOT NULL,
    snapshot BLOB NOT NULL,
    PRIMARY KEY (run, closed)
) WITHOUT ROWID;
INSERT INTO meta VALUES ('epoch', 0);
";

fn pragma(connection: &Connection, name: &str) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, name, |row| row.get(0))
}

/// Refuses a file of another program or of a newer version. Says whether there are tables.
fn has_tables(connection: &Connection, store: &str) -> Result<bool, JournalError> {
    let fail = |error: rusqlite::Error| explain(store, &error);
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0)).map_err(fail)?;
    let application = pragma(connection, "application_id").map_err(fail)?;
    let found = pragma(connection, "user_version").map_err(fail)?;
    if tables > 0 && application != APPLICATION {
        return Err(corrupt(store, "is an SQLite database, but not a hebbian journal"));
    }
    if found > FORMAT {
        return Err(JournalError::Newer { store: store.to_owned(), found, known: FORMAT });
    }
    Ok(tables > 0)
}

fn corrupt(store: &str, problem: &str) -> JournalError {
    JournalError::Corrupt { store: store.to_owned(), problem: problem.to_owned() }
}

/// Refuses what is no journal that this program can read.
pub(super) fn recognise(connection: &Connection, store: &str) -> Result<(), JournalError> {
    if has_tables(connection, store)? {
        Ok(())
    } else {
        Err(corrupt(store, "is empty, not a hebbian journal"))
    }
}

/// Makes the tables in an empty file; refuses a file of another program or of a newer version, before writing to it.
pub(super) fn prepare(connection: &Connection, store: &str) -> Result<(), JournalError> {
    let fail = |error: rusqlite::Error| explain(store, &error);
    let is_new = !has_tables(connection, store)?;
    connection.pragma_update(None, "journal_mode", "WAL").map_err(fail)?;
    connection.pragma_update(None, "synchronous", "FULL").map_err(fail)?;
    if is_new {
        let create = format!(
            "BEGIN; {TABLES} PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {FORMAT}; COMMIT;"
        );
        return connection.execute_batch(&create).map_err(fail);
    }
    let health: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(fail)?;
    if health == "ok" {
        Ok(())
    } else {
        let health = health.replace('\n', " ");
        Err(corrupt(store, &format!("the journal is damaged ({health}); restore it from a copy")))
    }
}

/// The epoch that is stored.
pub(super) fn epoch(connection: &Connection) -> rusqlite::Result<u64> {
    let sql = "SELECT value FROM meta WHERE key = 'epoch'";
    connection.prepare_cached(sql)?.query_row([], |row| row.get::<_, i64>(0)).map(|epoch| epoch as u64)
}

/// Takes the journal over: raises the epoch and returns it.
pub(super) fn raise_epoch(connection: &Connection) -> rusqlite::Result<u64> {
    let sql = "UPDATE meta SET value = value + 1 WHERE key = 'epoch' RETURNING value";
    connection.query_row(sql, [], |row| row.get::<_, i64>(0)).map(|epoch| epoch as u64)
}

//! The tables, and their version.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension as _};

use super::{Database, explain};
use crate::journal::JournalError;

/// Version of the tables, stored as SQLite's `user_version`. Raise it with every change and keep reading the old ones.
const FORMAT: i64 = 1;
/// SQLite's `application_id` of hebbian's journals: `hebb`.
const APPLICATION: i64 = 0x6865_6262;
/// The largest number of a run. Nobody creates so many.
const NUMBER_MAX: i64 = 1 << 53;

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
    created_unix_ms INTEGER NOT NULL,
    checksum INTEGER NOT NULL -- of all columns but the number, as in the other tables
);
CREATE TABLE records ( -- all but closed generations
    run TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    kind TEXT NOT NULL,
    generation INTEGER,
    record BLOB NOT NULL,
    checksum INTEGER NOT NULL,
    PRIMARY KEY (run, sequence)
) WITHOUT ROWID;
CREATE INDEX settled_by_generation ON records (run, generation) WHERE kind = 'settled';
CREATE TABLE generations (
    run TEXT NOT NULL,
    generation INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    record BLOB NOT NULL,
    checksum INTEGER NOT NULL,
    PRIMARY KEY (run, generation)
) WITHOUT ROWID;
CREATE INDEX generation_by_sequence ON generations (run, sequence);
CREATE TABLE snapshots (
    run TEXT NOT NULL,
    closed INTEGER NOT NULL,
    snapshot BLOB NOT NULL,
    checksum INTEGER NOT NULL,
    PRIMARY KEY (run, closed)
) WITHOUT ROWID;
INSERT INTO meta VALUES ('epoch', 0), ('commits', 0), ('journal', abs(random())), ('runs', 0);
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

/// Refuses what is no journal that this program can read, or has more in it than a journal: triggers and views would run.
pub(super) fn recognise(connection: &Connection, store: &str) -> Result<(), JournalError> {
    if !has_tables(connection, store)? {
        return Err(corrupt(store, "is empty, not a hebbian journal"));
    }
    let fail = |error: rusqlite::Error| explain(store, &error);
    let found = objects(connection).map_err(fail)?;
    let ours = Connection::open_in_memory().and_then(|memory| {
        memory.execute_batch(TABLES)?;
        objects(&memory)
    });
    let ours = ours.map_err(fail)?;
    for (name, object) in &found {
        let kind = &object.kind;
        match ours.get(name) {
            Some(expected) if expected == object => {}
            Some(_) => {
                return Err(corrupt(store, &format!("its {kind} `{name}` is not as hebbian makes it")));
            }
            None => return Err(corrupt(store, &format!("it has a {kind} `{name}`, which is not hebbian's"))),
        }
    }
    if let Some(missing) = ours.keys().find(|name| !found.contains_key(*name)) {
        return Err(corrupt(store, &format!("it lacks `{missing}`")));
    }
    let wrong = "SELECT number FROM runs WHERE number NOT BETWEEN 1 AND ?1";
    match connection.query_row(wrong, [NUMBER_MAX], |row| row.get::<_, i64>(0)).optional().map_err(fail)? {
        Some(number) => {
            Err(corrupt(store, &format!("a run in it has the number {number}, which none can have")))
        }
        None => Ok(()),
    }
}

/// Counts on from the last run: what the next run's number is taken from has no checksum, and at its end no run could be created.
fn mend_counter(connection: &Connection) -> rusqlite::Result<()> {
    let last = "coalesce((SELECT max(number) FROM runs), 0)";
    connection.execute(
        &format!(
            "UPDATE sqlite_sequence SET seq = {last} \
             WHERE name = 'runs' AND (typeof(seq) <> 'integer' OR seq NOT BETWEEN {last} AND ?1)"
        ),
        [NUMBER_MAX],
    )?;
    Ok(())
}

/// Something in a schema.
#[derive(PartialEq)]
struct Object {
    /// A table, an index, a trigger or a view.
    kind: String,
    table: String,
    sql: Option<String>,
}

/// All that a schema has, by name; statistics that others may have gathered (`ANALYZE`) aside.
fn objects(connection: &Connection) -> rusqlite::Result<BTreeMap<String, Object>> {
    let sql = "SELECT name, type, tbl_name, sql FROM sqlite_master WHERE name NOT GLOB 'sqlite_stat[0-9]'";
    let mut statement = connection.prepare(sql)?;
    let row = |row: &rusqlite::Row<'_>| {
        Ok((row.get(0)?, Object { kind: row.get(1)?, table: row.get(2)?, sql: row.get(3)? }))
    };
    statement.query_map([], row)?.collect()
}

/// Makes the tables in an empty file.
pub(super) fn create(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(&format!(
        "BEGIN; {TABLES} PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {FORMAT}; COMMIT; PRAGMA journal_mode \
         = WAL;"
    ))
}

/// Prepares a journal for writing; refuses a file of another program or of a newer version, before writing to it.
pub(super) fn prepare(database: &Database) -> Result<(), JournalError> {
    let Database { store, connection } = database;
    let fail = |error: rusqlite::Error| explain(store, &error);
    recognise(connection, store)?;
    log(connection).map_err(fail)?;
    check_health(database)?;
    mend_counter(connection).map_err(fail)
}

/// Writes through a log, whose commits are on the disk.
pub(super) fn log(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")
}

/// Refuses a file whose structure is damaged.
pub(super) fn check_health(database: &Database) -> Result<(), JournalError> {
    let Database { store, connection } = database;
    let health: String = connection
        .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
        .map_err(|error| explain(store, &error))?;
    if health == "ok" {
        Ok(())
    } else {
        let health = health.replace('\n', " ");
        Err(corrupt(store, &format!("the journal is damaged ({health}); restore it from a copy")))
    }
}

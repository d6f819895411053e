//! A journal moved from one store into another: every row as it is, with its checksum.

use std::path::Path;

use hebbian_shared::digest::Digest;
use rusqlite::types::{Value, ValueRef};

use super::postgres::{self, Emptied, PostgresJournal};
use super::sql::{Row, Sql, counters};
use super::sqlite::{self, NewFile, SqliteJournal};
use super::{Address, JournalError, Leader, redacted, unknown};

/// All tables with their columns and the order of their rows. Keys of `meta` that only one kind of store has stay behind.
const TABLES: [(&str, &str, &str); 5] = [
    ("meta", "key, value", "WHERE key NOT IN ('written', 'format') ORDER BY key"),
    ("runs", "number, run, name, state, spec, request_id, created_unix_ms, checksum", "ORDER BY number"),
    ("records", "run, sequence, kind, generation, record, checksum", "ORDER BY run, sequence"),
    ("generations", "run, generation, sequence, record, checksum", "ORDER BY run, generation"),
    ("snapshots", "run, closed, snapshot, checksum", "ORDER BY run, closed"),
];

/// What was moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Migrated {
    /// Runs.
    pub runs: u64,
    /// Rows of all tables.
    pub rows: u64,
    /// Of all rows, in order.
    pub digest: Digest,
}

/// The digest of all rows, and how many there are.
fn measure(sql: &dyn Sql) -> Result<Migrated, JournalError> {
    let mut measured = Migrated { runs: 0, rows: 0, digest: Digest::of(&[]) };
    for (table, columns, order) in TABLES {
        let mut chained = measured.digest;
        sql.query(&format!("SELECT {columns} FROM {table} {order}"), &[], &mut |row| {
            measured.rows += 1;
            measured.runs += u64::from(table == "runs");
            chained = chain(chained, table, row);
            Ok(())
        })?;
        measured.digest = chained;
    }
    Ok(measured)
}

/// The digest of some rows and of one more.
fn chain(before: Digest, table: &str, row: &Row<'_>) -> Digest {
    let mut all = before;
    for value in row {
        let (kind, bytes) = match value {
            ValueRef::Null => (0_u8, Vec::new()),
            ValueRef::Integer(number) => (1, number.to_le_bytes().to_vec()),
            ValueRef::Real(number) => (2, number.to_le_bytes().to_vec()),
            ValueRef::Text(bytes) => (3, bytes.to_vec()),
            ValueRef::Blob(bytes) => (4, bytes.to_vec()),
        };
        all = Digest::of_parts([&all.0[..], table.as_bytes(), &[kind], &bytes]);
    }
    all
}

/// Copies all rows into tables that have none but those of a new journal. The caller begins and commits.
fn fill(from: &dyn Sql, to: &dyn Sql) -> Result<(), JournalError> {
    to.execute("DELETE FROM meta WHERE key NOT IN ('written', 'format')", &[])?;
    for (table, columns, order) in TABLES {
        let places: Vec<String> = (1..=columns.split(',').count()).map(|place| format!("?{place}")).collect();
        let insert = format!("INSERT INTO {table} ({columns}) VALUES ({})", places.join(", "));
        from.query(&format!("SELECT {columns} FROM {table} {order}"), &[], &mut |row| {
            let values = row.iter().map(|value| Value::try_from(*value));
            let values: Vec<Value> = values.collect::<Result<_, _>>().map_err(|error| from.corrupt(error))?;
            to.execute(&insert, &values)
        })?;
    }
    Ok(())
}

/// Whether two stores hold the same.
fn check_same(from: &dyn Sql, to: &dyn Sql) -> Result<Migrated, JournalError> {
    let (expected, found) = (measure(from)?, measure(to)?);
    if expected == found {
        return Ok(found);
    }
    Err(to.corrupt("what was written is not what was read; nothing was moved"))
}

/// Writes a journal as it is at this moment to a file that is not there yet, or is empty. The copy is a journal of its own.
pub(super) fn to_file(from: &dyn Sql, path: &Path) -> Result<(), JournalError> {
    // Whoever has made an empty file gives it its name when the copy was read.
    let file = if path.exists() { NewFile::within(path)? } else { NewFile::begin(path)? };
    fill(from, file.sql())?;
    check_same(from, file.sql())?;
    counters::rename(file.sql())?;
    file.end()
}

/// A journal that nobody else uses meanwhile.
enum Held {
    File(Box<SqliteJournal>),
    Database(Box<PostgresJournal>),
}

impl Held {
    fn open(url: &str) -> Result<Self, JournalError> {
        let leader = Leader { name: "hebbian journal migrate".to_owned(), address: String::new() };
        let address = Address { url, leader: &leader };
        check(&address)?;
        if let Some(path) = sqlite::file(&address) {
            let path = path?;
            return match std::fs::metadata(path) {
                Ok(_) => Ok(Self::File(Box::new(SqliteJournal::open(path)?))),
                Err(error) => Err(JournalError::Unavailable {
                    store: path.display().to_string(),
                    problem: format!("the journal cannot be read: {error}"),
                }),
            };
        }
        let found = postgres::existing(&address).unwrap_or_else(|| Err(unknown(url)))?;
        Ok(Self::Database(Box::new(found)))
    }

    fn sql(&mut self) -> Result<&dyn Sql, JournalError> {
        match self {
            Self::File(journal) => Ok(journal.sql()),
            Self::Database(journal) => journal.sql(),
        }
    }
}

/// Refuses a store that forgets.
fn check(address: &Address<'_>) -> Result<(), JournalError> {
    if address.url == "memory:" {
        let problem =
            "forgets everything at its end; name `sqlite:PATH` or `postgresql://USER@HOST/DATABASE`";
        return Err(address.refused(problem.to_owned()));
    }
    Ok(())
}

/// Moves the journal at an address to another one, where there must be none. It stays where it was, too; nobody may use it
/// meanwhile, and whoever goes on with both has two.
pub fn migrate(from: &str, to: &str) -> Result<Migrated, JournalError> {
    let leader = Leader::default();
    let address = Address { url: to, leader: &leader };
    check(&address)?;
    // What is wrong with the goal is told before anything is touched.
    let file = sqlite::file(&address).transpose()?;
    let emptied = match file {
        Some(_) => None,
        None => Some(Emptied::open(&address).unwrap_or_else(|| Err(unknown(to)))?),
    };
    let mut held = Held::open(from)?;
    let from = held.sql()?;
    match (file, emptied) {
        (Some(path), _) => {
            let file = NewFile::begin(path)?;
            fill(from, file.sql())?;
            let migrated = check_same(from, file.sql())?;
            file.end().map(|()| migrated)
        }
        (None, Some(database)) => {
            fill(from, database.sql())?;
            let migrated = check_same(from, database.sql())?;
            database.end().map(|()| migrated)
        }
        (None, None) => Err(JournalError::Url { url: redacted(to), problem: "names no journal".to_owned() }),
    }
}

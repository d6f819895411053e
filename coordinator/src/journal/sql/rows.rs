//! Rows: what is written into the tables, each row with a checksum over all of its values.

use hebbian_shared::digest::Digest;
use rusqlite::types::{FromSqlResult, Value, ValueRef};

use super::sums::Changes;
use super::{Row, Sql};
use crate::journal::codec::{encode_record, encode_snapshot};
use crate::journal::{JournalError, KeptSnapshots};
use hebbian_control::run::record::{Created, Record, Write};

/// A table whose rows belong to a run.
#[derive(Debug)]
pub(super) struct Table {
    name: &'static str,
    /// All columns that a checksum covers, in the order in which it does; the number of a run is the database's.
    columns: &'static str,
}

pub(super) const RUNS: Table =
    Table { name: "runs", columns: "run, name, state, spec, request_id, created_unix_ms" };
pub(super) const RECORDS: Table =
    Table { name: "records", columns: "run, sequence, kind, generation, record" };
pub(super) const GENERATIONS: Table =
    Table { name: "generations", columns: "run, generation, sequence, record" };
pub(super) const SNAPSHOTS: Table = Table { name: "snapshots", columns: "run, closed, snapshot" };

/// The tables without which a run is not what it was. Snapshots are a cache, and checked when they are used.
pub(super) const NEEDED: [&Table; 3] = [&RUNS, &RECORDS, &GENERATIONS];

/// The checksum of a row: of the table's name and of the kinds, lengths and bytes of its values.
fn checksum<'a>(table: &Table, values: impl Iterator<Item = ValueRef<'a>>) -> i64 {
    let digests: Vec<[u8; 32]> = values
        .map(|value| {
            let (kind, bytes): (u8, &[u8]) = match value {
                ValueRef::Null => (0, &[]),
                ValueRef::Integer(number) => return Digest::of_parts([&[1][..], &number.to_le_bytes()]).0,
                ValueRef::Real(number) => return Digest::of_parts([&[2][..], &number.to_le_bytes()]).0,
                ValueRef::Text(bytes) => (3, bytes),
                ValueRef::Blob(bytes) => (4, bytes),
            };
            Digest::of_parts([&[kind][..], bytes]).0
        })
        .collect();
    let parts = std::iter::once(table.name.as_bytes()).chain(digests.iter().map(|digest| &digest[..]));
    let [a, b, c, d, e, f, g, h, ..] = Digest::of_parts(parts).0;
    i64::from_le_bytes([a, b, c, d, e, f, g, h])
}

impl Table {
    /// What reads the rows of a run with their checksums.
    pub(super) fn of_run(&self) -> String {
        format!("SELECT {}, checksum FROM {} WHERE run = ?1", self.columns, self.name)
    }

    /// The checksum of a row of [`Table::of_run`] that is as it was written; none of one that is not.
    pub(super) fn whole(&self, row: &Row<'_>) -> Option<i64> {
        let (last, values) = row.split_last()?;
        let sum = checksum(self, values.iter().copied());
        (*last == ValueRef::Integer(sum)).then_some(sum)
    }

    /// What the checksum of a row of [`Table::of_run`] must be, and what it is.
    pub(super) fn sums(&self, row: &Row<'_>) -> (i64, Option<i64>) {
        let Some((last, values)) = row.split_last() else { return (0, None) };
        (checksum(self, values.iter().copied()), last.as_i64().ok())
    }

    /// Where a column stands in a row of [`Table::of_run`].
    pub(super) fn place(&self, column: &str) -> usize {
        self.columns.split(", ").position(|known| known == column).expect("the table has it")
    }

    /// The table's name, for people.
    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// Writes a row; its checksum.
    pub(super) fn insert(&self, sql: &dyn Sql, mut values: Vec<Value>) -> Result<i64, JournalError> {
        let sum = checksum(self, values.iter().map(ValueRef::from));
        values.push(Value::Integer(sum));
        let places: Vec<String> = (1..=values.len()).map(|place| format!("?{place}")).collect();
        let (table, columns, places) = (self.name, self.columns, places.join(", "));
        let insert = format!("INSERT INTO {table} ({columns}, checksum) VALUES ({places})");
        sql.execute(&insert, &values).map(|()| sum)
    }
}

/// Whether the snapshot of a run after so many generations is as it was written; none if it is not there.
pub(super) fn snapshot_is_whole(sql: &dyn Sql, run: &str, closed: u32) -> Result<Option<bool>, JournalError> {
    let read = SNAPSHOTS.of_run() + " AND closed = ?2";
    sql.first(&read, &[run.to_owned().into(), closed.into()], |row| Ok(SNAPSHOTS.whole(row).is_some()))
}

/// Carries out what a transaction holds.
pub(in crate::journal) fn write(
    sql: &dyn Sql,
    write: &Write,
    kept: KeptSnapshots,
    sums: &mut Changes,
) -> Result<(), JournalError> {
    match write {
        Write::Record { run, sequence, record } => {
            write_record(sql, &run.to_string(), *sequence as i64, record, sums)
        }
        Write::Snapshot { run, snapshot } => {
            let (run, closed) = (run.to_string(), snapshot.closed.0);
            let values = vec![run.clone().into(), closed.into(), encode_snapshot(snapshot).into()];
            SNAPSHOTS.insert(sql, values)?;
            sql.execute(
                // Where a worker came that may turn out to be a liar, whoever forks begins before it.
                "DELETE FROM snapshots WHERE run = ?1 AND closed < ?2 AND (?3 = 0 OR closed % ?3 <> 0) \
                 AND closed NOT IN (SELECT generation FROM records WHERE run = ?1 AND kind = 'contributor')",
                &[run.clone().into(), closed.saturating_sub(1).into(), kept.every.into()],
            )?;
            let delete = "DELETE FROM records WHERE run = ?1 AND kind IN ('settled', 'reopened') AND generation < ?2 \
                          RETURNING checksum";
            for removed in sql.all(delete, &[run.clone().into(), closed.into()], |row| row[0].as_i64())? {
                sums.remove(&run, removed);
            }
            Ok(())
        }
        Write::Delete { run } => {
            for table in ["records", "generations", "snapshots", "runs"] {
                sql.execute(&format!("DELETE FROM {table} WHERE run = ?1"), &[run.to_string().into()])?;
            }
            sums.forget(sql, &run.to_string())
        }
    }
}

fn write_record(
    sql: &dyn Sql,
    run: &str,
    sequence: i64,
    record: &Record,
    sums: &mut Changes,
) -> Result<(), JournalError> {
    let bytes = encode_record(record);
    if let Record::Created(created) = record {
        Changes::begin(sql, run)?;
        sums.add(run, RUNS.insert(sql, of_creation(run, created, "running"))?);
    }
    if let Record::StateChanged { state, .. } = record {
        change_state(sql, run, state.name(), sums)?;
    }
    if let Record::GenerationClosed(closed) = record {
        let values =
            vec![run.to_owned().into(), closed.summary.generation.into(), sequence.into(), bytes.into()];
        sums.add(run, GENERATIONS.insert(sql, values)?);
        return Ok(());
    }
    let (kind, generation) = match record {
        Record::Created(_) => ("created", None),
        Record::FingerprintTaken { .. } => ("fingerprint_taken", None),
        Record::FingerprintReleased => ("fingerprint_released", None),
        Record::Reopened { generation, .. } => ("reopened", Some(generation.0)),
        Record::Contributor { generation, .. } => ("contributor", Some(generation.0)),
        Record::Doubted { generation, .. } => ("doubted", Some(generation.0)),
        Record::Settled(settled) => ("settled", Some(settled.generation.0)),
        Record::GenerationClosed(_) => unreachable!("has a table of its own"),
        Record::TimeLimit { generation } => ("time_limit", Some(generation.0)),
        Record::StateChanged { .. } => ("state_changed", None),
        Record::Note { .. } => ("note", None),
        Record::Validated(summary) => ("validated", Some(summary.generation)),
        Record::SearchEnded { .. } => ("search_ended", None),
        Record::Remeasured(_) => ("remeasured", None),
        Record::Selected { .. } => ("selected", None),
        Record::Extended { .. } => ("extended", None),
    };
    let values =
        vec![run.to_owned().into(), sequence.into(), kind.to_owned().into(), generation.into(), bytes.into()];
    sums.add(run, RECORDS.insert(sql, values)?);
    Ok(())
}

/// The row of a run in `runs`.
pub(super) fn of_creation(run: &str, created: &Created, state: &str) -> Vec<Value> {
    vec![
        run.to_owned().into(),
        created.spec.name.clone().into(),
        state.to_owned().into(),
        created.spec.json().to_owned().into(),
        created.request_id.clone().into(),
        (created.created_unix_ms as i64).into(),
    ]
}

/// Changes the state that the row of a run shows, and its checksum.
fn change_state(sql: &dyn Sql, run: &str, state: &str, sums: &mut Changes) -> Result<(), JournalError> {
    let read =
        |row: &Row<'_>| row.iter().map(|value| Value::try_from(*value)).collect::<FromSqlResult<Vec<_>>>();
    let Some(mut values) = sql.first(&RUNS.of_run(), &[run.to_owned().into()], read)? else { return Ok(()) };
    if let Some(Value::Integer(before)) = values.pop() {
        sums.remove(run, before);
    }
    values[RUNS.place("state")] = state.to_owned().into();
    let sum = checksum(&RUNS, values.iter().map(ValueRef::from));
    sums.add(run, sum);
    let change = "UPDATE runs SET state = ?2, checksum = ?3 WHERE run = ?1";
    sql.execute(change, &[run.to_owned().into(), state.to_owned().into(), sum.into()])
}

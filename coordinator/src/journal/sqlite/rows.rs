//! Rows: what is written into the tables, each row with a checksum over all of its values.

use hebbian_shared::digest::Digest;
use rusqlite::types::{Value, ValueRef};
use rusqlite::{OptionalExtension as _, Row, Transaction, params};

use super::sums::Changes;
use crate::journal::KeptSnapshots;
use crate::journal::codec::{encode_record, encode_snapshot};
use hebbian_control::run::record::{Record, Write};

/// A table whose rows belong to a run.
pub(super) struct Table {
    name: &'static str,
    /// All columns that a checksum covers, in the order in which it does; the number of a run is SQLite's.
    columns: &'static str,
}

const RUNS: Table = Table { name: "runs", columns: "run, name, state, spec, request_id, created_unix_ms" };
const RECORDS: Table = Table { name: "records", columns: "run, sequence, kind, generation, record" };
const GENERATIONS: Table = Table { name: "generations", columns: "run, generation, sequence, record" };
const SNAPSHOTS: Table = Table { name: "snapshots", columns: "run, closed, snapshot" };

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
    pub(super) fn whole(&self, row: &Row<'_>) -> rusqlite::Result<Option<i64>> {
        let last = self.columns.split(',').count();
        let values = (0..last).map(|place| row.get_ref(place)).collect::<Result<Vec<_>, _>>()?;
        let sum = checksum(self, values.into_iter());
        Ok((row.get_ref(last)? == ValueRef::Integer(sum)).then_some(sum))
    }

    /// The table's name, for people.
    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// Writes a row; its checksum.
    fn insert(&self, transaction: &Transaction<'_>, mut values: Vec<Value>) -> rusqlite::Result<i64> {
        let sum = checksum(self, values.iter().map(ValueRef::from));
        values.push(Value::Integer(sum));
        let places = vec!["?"; values.len()].join(", ");
        let sql = format!("INSERT INTO {} ({}, checksum) VALUES ({places})", self.name, self.columns);
        transaction.prepare_cached(&sql)?.execute(rusqlite::params_from_iter(values)).map(|_| sum)
    }
}

/// Whether the snapshot of a run after so many generations is as it was written; none if it is not there.
pub(super) fn snapshot_is_whole(
    connection: &rusqlite::Connection,
    run: &str,
    closed: u32,
) -> rusqlite::Result<Option<bool>> {
    let sql = SNAPSHOTS.of_run() + " AND closed = ?2";
    connection
        .prepare_cached(&sql)?
        .query_row(params![run, closed], |row| Ok(SNAPSHOTS.whole(row)?.is_some()))
        .optional()
}

/// Carries out what a transaction holds.
pub(super) fn write(
    transaction: &Transaction<'_>,
    write: &Write,
    kept: KeptSnapshots,
    sums: &mut Changes,
) -> rusqlite::Result<()> {
    match write {
        Write::Record { run, sequence, record } => {
            write_record(transaction, &run.to_string(), *sequence as i64, record, sums)
        }
        Write::Snapshot { run, snapshot } => {
            let run = run.to_string();
            let before = snapshot.closed.0.saturating_sub(1);
            let values = vec![run.clone().into(), snapshot.closed.0.into(), encode_snapshot(snapshot).into()];
            SNAPSHOTS.insert(transaction, values)?;
            transaction
                .prepare_cached(
                    // Where a worker came that may turn out to be a liar, whoever forks begins before it.
                    "DELETE FROM snapshots WHERE run = ?1 AND closed < ?2 AND (?3 = 0 OR closed % ?3 <> 0) \
                     AND closed NOT IN (SELECT generation FROM records WHERE run = ?1 AND kind = 'contributor')",
                )?
                .execute(params![run, before, kept.every])?;
            let mut settled = transaction.prepare_cached(
                "DELETE FROM records WHERE run = ?1 AND kind IN ('settled', 'reopened') AND generation < ?2 RETURNING checksum",
            )?;
            let mut removed = settled.query(params![run, snapshot.closed.0])?;
            while let Some(row) = removed.next()? {
                sums.remove(&run, row.get(0)?);
            }
            Ok(())
        }
        Write::Delete { run } => {
            for table in ["records", "generations", "snapshots", "runs"] {
                transaction.execute(&format!("DELETE FROM {table} WHERE run = ?1"), [run.to_string()])?;
            }
            sums.forget(transaction, &run.to_string())
        }
    }
}

fn write_record(
    transaction: &Transaction<'_>,
    run: &str,
    sequence: i64,
    record: &Record,
    sums: &mut Changes,
) -> rusqlite::Result<()> {
    let bytes = encode_record(record);
    if let Record::Created(created) = record {
        let values = vec![
            run.to_owned().into(),
            created.spec.name.clone().into(),
            "running".to_owned().into(),
            created.spec.json().to_owned().into(),
            created.request_id.clone().into(),
            (created.created_unix_ms as i64).into(),
        ];
        Changes::begin(transaction, run)?;
        sums.add(run, RUNS.insert(transaction, values)?);
    }
    if let Record::StateChanged { state, .. } = record {
        change_state(transaction, run, state.name(), sums)?;
    }
    if let Record::GenerationClosed(closed) = record {
        let values =
            vec![run.to_owned().into(), closed.summary.generation.into(), sequence.into(), bytes.into()];
        sums.add(run, GENERATIONS.insert(transaction, values)?);
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
    sums.add(run, RECORDS.insert(transaction, values)?);
    Ok(())
}

/// Changes the state that the row of a run shows, and its checksum.
fn change_state(
    transaction: &Transaction<'_>,
    run: &str,
    state: &str,
    sums: &mut Changes,
) -> rusqlite::Result<()> {
    /// Where `state` stands among the columns.
    const STATE: usize = 2;
    let columns = RUNS.columns.split(',').count();
    let read =
        |row: &Row<'_>| (0..=columns).map(|place| row.get::<_, Value>(place)).collect::<Result<Vec<_>, _>>();
    let found = transaction.prepare_cached(&RUNS.of_run())?.query_row([run], read).optional()?;
    let Some(mut values) = found else { return Ok(()) };
    if let Some(Value::Integer(before)) = values.pop() {
        sums.remove(run, before);
    }
    values[STATE] = state.to_owned().into();
    let sum = checksum(&RUNS, values.iter().map(ValueRef::from));
    sums.add(run, sum);
    transaction
        .prepare_cached("UPDATE runs SET state = ?2, checksum = ?3 WHERE run = ?1")?
        .execute(params![run, state, sum])
        .map(|_| ())
}

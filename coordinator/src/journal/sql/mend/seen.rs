//! The rows of a run as they are, damaged or not.

use hebbian_control::run::record::{Closed, Created, Record};
use hebbian_proto::figures::RunState;
use hebbian_shared::spec::ResolvedSpec;
use rusqlite::types::Value;

use crate::journal::JournalError;
use crate::journal::codec::decode_record;
use crate::journal::sql::rows::{NEEDED, Table};
use crate::journal::sql::{Row, Sql};

/// A row, without its record.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) table: &'static Table,
    /// What tells it from the other rows of its run.
    key: Value,
    /// Its place among all records of the run; none if that is not a number.
    pub(super) sequence: Option<i64>,
    pub(super) generation: Option<u32>,
    pub(super) kind: String,
    /// The checksum that its values have.
    pub(super) computed: i64,
    /// The one that it has.
    pub(super) stored: Option<i64>,
}

impl Seen {
    fn of(table: &'static Table, row: &Row<'_>) -> Self {
        let column = |name: &str| row[table.place(name)];
        let number = |name: &str| column(name).as_i64().ok();
        let (computed, stored) = table.sums(row);
        let mut seen = Self {
            table,
            key: Value::Null,
            sequence: None,
            generation: None,
            kind: String::new(),
            computed,
            stored,
        };
        if table.name() == "runs" {
            return seen;
        }
        seen.sequence = number("sequence");
        seen.generation = number("generation").and_then(|generation| u32::try_from(generation).ok());
        let key = if table.name() == "records" { "sequence" } else { "generation" };
        seen.key = Value::try_from(column(key)).unwrap_or(Value::Null);
        if table.name() == "records" {
            column("kind").as_str().unwrap_or_default().clone_into(&mut seen.kind);
        }
        seen
    }

    /// Whether it is as it was written.
    pub(super) fn is_whole(&self) -> bool {
        self.stored == Some(self.computed)
    }

    fn condition(&self) -> &'static str {
        match self.table.name() {
            "runs" => "",
            "records" => " AND sequence = ?2",
            _ => " AND generation = ?2",
        }
    }

    fn values(&self, run: &str) -> Vec<Value> {
        let mut values = vec![run.to_owned().into()];
        if self.table.name() != "runs" {
            values.push(self.key.clone());
        }
        values
    }

    /// Removes it.
    pub(super) fn remove(&self, sql: &dyn Sql, run: &str) -> Result<(), JournalError> {
        let delete = format!("DELETE FROM {} WHERE run = ?1{}", self.table.name(), self.condition());
        sql.execute(&delete, &self.values(run))
    }

    /// Writes the checksum that its values have.
    pub(super) fn seal(&self, sql: &dyn Sql, run: &str) -> Result<(), JournalError> {
        let mut values = self.values(run);
        values.push(self.computed.into());
        let (table, place) = (self.table.name(), values.len());
        let seal = format!("UPDATE {table} SET checksum = ?{place} WHERE run = ?1{}", self.condition());
        sql.execute(&seal, &values)
    }
}

/// All rows of a run but its snapshots, and what of their contents is needed to judge them.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub(super) all: Vec<Seen>,
    /// How the run was created, where that can be read.
    pub(super) created: Option<Created>,
    /// What its row of `runs` says of its creation.
    pub(super) listed: Option<Created>,
    /// The last state of a row that is as it was written.
    pub(super) state: Option<RunState>,
    /// Whether a row that is as it was written cannot be read by this program.
    pub(super) is_foreign: bool,
}

impl Rows {
    pub(super) fn read(sql: &dyn Sql, run: &str) -> Result<Self, JournalError> {
        let mut rows = Self::default();
        for table in NEEDED {
            sql.query(&table.of_run(), &[run.to_owned().into()], &mut |row| {
                let seen = Seen::of(table, row);
                rows.take(&seen, row);
                rows.all.push(seen);
                Ok(())
            })?;
        }
        Ok(rows)
    }

    fn take(&mut self, seen: &Seen, row: &Row<'_>) {
        let column = |name: &str| row[seen.table.place(name)];
        if seen.table.name() == "runs" {
            let text = |name: &str| column(name).as_str().ok().map(str::to_owned);
            let spec = text("spec").and_then(|spec| ResolvedSpec::from_json(spec).ok());
            self.listed = spec.filter(|_| seen.is_whole()).map(|spec| Created {
                spec: std::sync::Arc::new(spec),
                request_id: text("request_id").unwrap_or_default(),
                created_unix_ms: column("created_unix_ms").as_i64().unwrap_or(0).unsigned_abs(),
                group: String::new(),
                origin: None,
                weight: 1.0,
                owner: String::new(),
            });
            return;
        }
        if !seen.is_whole() {
            return;
        }
        match column("record").as_blob().ok().and_then(|bytes| decode_record(bytes).ok()) {
            Some(Record::Created(created)) => self.created = Some(created),
            Some(Record::StateChanged { state, .. }) => self.state = Some(state),
            Some(_) => {}
            None => self.is_foreign = true,
        }
    }

    pub(super) fn of(&self, table: &str) -> impl Iterator<Item = &Seen> {
        self.all.iter().filter(move |seen| seen.table.name() == table)
    }

    pub(super) fn damaged(&self) -> impl Iterator<Item = &Seen> {
        self.all.iter().filter(|seen| !seen.is_whole())
    }

    /// The first generation that the run has itself.
    pub(super) fn first(&self) -> u32 {
        let origin = self.created.as_ref().and_then(|created| created.origin.as_ref());
        origin.map_or(0, |origin| origin.last.generation + 1)
    }

    /// The generations that are there without a gap from the first on, whole and in order, with their sequence numbers.
    pub(super) fn unbroken(&self) -> Vec<(u32, i64)> {
        let mut found: Vec<(u32, i64)> = self
            .of("generations")
            .filter(|seen| seen.is_whole())
            .filter_map(|seen| Some((seen.generation?, seen.sequence?)))
            .collect();
        found.sort_unstable();
        let first = self.first();
        found
            .into_iter()
            .zip(first..)
            .take_while(|((found, _), expected)| found == expected)
            .map(|(of, _)| of)
            .collect()
    }

    /// What the checksums come to that the contents have.
    pub(super) fn computed(&self) -> i64 {
        self.all.iter().fold(0, |sum, seen| sum.wrapping_add(seen.computed))
    }

    /// The highest sequence number.
    pub(super) fn last(&self) -> i64 {
        self.all.iter().filter_map(|seen| seen.sequence).max().unwrap_or(0).clamp(0, i64::MAX / 2)
    }

    /// The sequence numbers behind the last close of which there is no record, in words; settlements of closed generations are gone
    /// before it.
    pub(super) fn gaps(&self) -> Option<String> {
        let from = self.unbroken().last().map_or(0, |(_, sequence)| *sequence);
        let mut there: Vec<i64> =
            self.all.iter().filter_map(|seen| seen.sequence).filter(|of| *of >= from).collect();
        there.sort_unstable();
        let gaps = there.windows(2).filter(|pair| pair[1] > pair[0] + 1);
        let gaps: Vec<String> = gaps.map(|pair| format!("{} to {}", pair[0] + 1, pair[1] - 1)).collect();
        (!gaps.is_empty()).then(|| gaps.join(", "))
    }
}

/// A closed generation of a row.
pub(super) fn closed(bytes: &[u8]) -> Option<Closed> {
    match decode_record(bytes) {
        Ok(Record::GenerationClosed(closed)) => Some(*closed),
        _ => None,
    }
}

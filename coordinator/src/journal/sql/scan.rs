//! One pass over the rows of a run: each is checked as it is read, and what whoever starts needs of a run that has ended is kept.

use hebbian_control::run::record::{Created, Record, StoredEnd};
use hebbian_proto::figures::RunState;
use hebbian_shared::fitness::Fitness;
use hebbian_shared::id::RunId;

use super::rows::{NEEDED, Table};
use super::tables::Tables;
use super::{Row, as_u32, sums};
use crate::journal::JournalError;
use crate::journal::codec::decode_record;

/// What a pass has found. Every row was as it was written, and none is missing.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// How the run was created.
    created: Option<Created>,
    /// The state that its row shows, if there is such a row.
    state: Option<String>,
    /// Numbers of its closed generations.
    generations: Vec<u32>,
    /// The sequence number of the last record.
    sequence: i64,
    /// Whether what follows is wanted; it is kept only of a run that has ended.
    wants_end: bool,
    /// Records with their sequence numbers.
    records: Vec<(i64, Record)>,
    /// The last closed generation.
    last: Option<(i64, Record)>,
    /// The best fitness of all.
    best: Option<Fitness>,
}

impl Scan {
    /// Reads all of a run but its snapshots, with what is wanted of one that has ended if `wants_end`.
    pub(super) fn of(tables: &Tables<'_>, run: RunId, wants_end: bool) -> Result<Self, JournalError> {
        let name = run.to_string();
        let mut scan = Self { wants_end, ..Self::default() };
        let mut sum = 0_i64;
        for table in NEEDED {
            tables.sql.query(&table.of_run(), &[name.clone().into()], &mut |row| {
                let Some(checksum) = table.whole(row) else {
                    return Err(tables.corrupt(format!("a row of `{}` is damaged", table.name())));
                };
                sum = sum.wrapping_add(checksum);
                scan.take(tables, table, row)
            })?;
            if scan.state.is_none() {
                return Err(tables.corrupt("its row of `runs` is missing"));
            }
        }
        scan.generations.sort_unstable();
        let created = scan.created.as_ref().ok_or_else(|| tables.corrupt(HEADLESS))?;
        // A fork's first generations are its parent's.
        let first = created.origin.as_ref().map_or(0, |origin| origin.last.generation + 1);
        if let Some((_, missing)) =
            scan.generations.iter().zip(first..).find(|(found, expected)| *found != expected)
        {
            return Err(tables.corrupt(format!("generation {missing} is missing")));
        }
        if !sums::are_all(tables.sql, &name, sum)? {
            return Err(tables.corrupt("rows of it that were acknowledged are missing"));
        }
        Ok(scan)
    }

    /// Takes what a row says.
    fn take(&mut self, tables: &Tables<'_>, table: &Table, row: &Row<'_>) -> Result<(), JournalError> {
        let corrupt = |error| tables.corrupt(error);
        let value = |column| row[table.place(column)];
        let record = || {
            let bytes = value("record").as_blob().map_err(corrupt)?;
            decode_record(bytes).map_err(|error| tables.corrupt(error))
        };
        if table.name() == "runs" {
            let state = value("state").as_str().map_err(corrupt)?;
            let goes_on = [RunState::RUNNING, RunState::paused("")].map(|state| state.name());
            self.wants_end &= !goes_on.contains(&state);
            self.state = Some(state.to_owned());
            return Ok(());
        }
        let sequence = value("sequence").as_i64().map_err(corrupt)?;
        self.sequence = self.sequence.max(sequence);
        if table.name() == "generations" {
            self.generations.push(as_u32(value("generation")).map_err(corrupt)?);
            if self.wants_end {
                let record = record()?;
                let Record::GenerationClosed(closed) = &record else {
                    return Err(tables.corrupt(NO_GENERATION));
                };
                self.best = self.best.max(closed.best());
                self.last = Some((sequence, record));
            }
            return Ok(());
        }
        if value("kind").as_str() == Ok("created") {
            let Record::Created(created) = record()? else { return Err(tables.corrupt(HEADLESS)) };
            self.created = Some(created);
        } else if self.wants_end {
            let record = record()?;
            if StoredEnd::needs(&record) {
                self.records.push((sequence, record));
            }
        }
        Ok(())
    }

    /// How the run was created, and the sequence number of its last record.
    pub(super) fn created(self) -> (Created, u64) {
        (self.created.expect("it was looked for"), self.sequence.unsigned_abs())
    }

    /// What is kept of a run that has ended, if that was wanted and it has.
    pub(super) fn end(mut self, run: RunId) -> Result<StoredEnd, Box<Self>> {
        if !self.wants_end || !StoredEnd::is_end(self.records.iter().map(|(_, record)| record)) {
            return Err(Box::new(self));
        }
        self.records.extend(self.last.take());
        self.records.sort_by_key(|(sequence, _)| *sequence);
        let records = std::mem::take(&mut self.records).into_iter().map(|(_, record)| record).collect();
        let best = self.best;
        let (created, sequence) = self.created();
        Ok(StoredEnd { run, created, records, best, sequence })
    }
}

const HEADLESS: &str = "it does not begin with its creation";
pub(super) const NO_GENERATION: &str = "a generation's row holds another kind of record";

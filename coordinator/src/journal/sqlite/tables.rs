//! What is read from the tables, whoever has the file open.

use hebbian_proto::v1::GenerationSummary;
use hebbian_shared::id::{GenerationIndex, RunId};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::rows::{NEEDED, snapshot_is_whole};
use super::{explain, sums};
use crate::journal::codec::{decode_record, decode_snapshot};
use crate::journal::{JournalError, StoredEvent};
use hebbian_control::run::record::{Created, LoadedRun, Record, Snapshot, StoredRun, UnreadableRun};

/// A run with its name and the time of its creation.
type Listed = (RunId, String, u64);

/// An open file with its name for messages.
#[derive(Clone, Copy)]
pub(super) struct Tables<'a> {
    pub(super) store: &'a str,
    pub(super) connection: &'a Connection,
}

impl Tables<'_> {
    pub(super) fn explain(&self, error: &rusqlite::Error) -> JournalError {
        explain(self.store, error)
    }

    pub(super) fn corrupt(&self, problem: impl std::fmt::Display) -> JournalError {
        JournalError::Corrupt { store: self.store.to_owned(), problem: problem.to_string() }
    }

    /// All runs in order of creation.
    pub(super) fn runs(&self) -> Result<Vec<LoadedRun>, JournalError> {
        let mut runs = Vec::new();
        self.each_run(&mut |run| runs.push(run))?;
        Ok(runs)
    }

    /// The same, one after the other.
    pub(super) fn each_run(&self, take: &mut dyn FnMut(LoadedRun)) -> Result<(), JournalError> {
        for listed in self.listed()? {
            take(self.load(listed)?);
        }
        Ok(())
    }

    /// One run; none if there is nothing of it.
    pub(super) fn one_run(&self, run: RunId) -> Result<Option<LoadedRun>, JournalError> {
        let listed = self.listed()?.into_iter().find(|(id, ..)| *id == run);
        listed.map(|listed| self.load(listed)).transpose()
    }

    fn load(&self, (run, name, created_unix_ms): Listed) -> Result<LoadedRun, JournalError> {
        match self.whole_run(run) {
            Ok(stored) => Ok(Ok(stored)),
            Err(JournalError::Corrupt { problem, .. }) => {
                Ok(Err(UnreadableRun { run, name, created_unix_ms, problem }))
            }
            Err(error) => Err(error),
        }
    }

    /// All runs of which there is anything, with their names and the times of their creation as far as they can be read.
    fn listed(&self) -> Result<Vec<Listed>, JournalError> {
        // What has lost its row in `runs` comes last.
        let sql = "SELECT run, name, created_unix_ms, number FROM runs UNION ALL \
                   SELECT run, '', 0, 9223372036854775807 FROM \
                   (SELECT run FROM records UNION SELECT run FROM generations \
                   UNION SELECT substr(key, 6) FROM meta WHERE key GLOB 'rows *' EXCEPT SELECT run FROM runs) ORDER BY 4";
        let explain = |error| self.explain(&error);
        let mut statement = self.connection.prepare(sql).map_err(explain)?;
        let mut rows = statement.query([]).map_err(explain)?;
        let mut listed = Vec::new();
        while let Some(row) = rows.next().map_err(explain)? {
            let text = |place| row.get_ref(place).ok()?.as_str().ok().map(str::to_owned);
            // Where the id itself is damaged, the run's records still have it.
            let Some(run) = text(0).and_then(|id| id.parse().ok()) else { continue };
            let created = row.get_ref(2).ok().and_then(|moment| moment.as_i64().ok()).unwrap_or(0);
            listed.push((run, text(1).unwrap_or_default(), created.unsigned_abs()));
        }
        Ok(listed)
    }

    /// A run of which every byte is as it was written.
    fn whole_run(&self, run: RunId) -> Result<StoredRun, JournalError> {
        let explain = |error| self.explain(&error);
        let name = run.to_string();
        let mut sum = 0_i64;
        for table in NEEDED {
            let mut statement = self.connection.prepare_cached(&table.of_run()).map_err(explain)?;
            let mut rows = statement.query([&name]).map_err(explain)?;
            let mut any = false;
            while let Some(row) = rows.next().map_err(explain)? {
                any = true;
                let Some(checksum) = table.whole(row).map_err(explain)? else {
                    return Err(self.corrupt(format!("a row of `{}` is damaged", table.name())));
                };
                sum = sum.wrapping_add(checksum);
            }
            if !any && table.name() == "runs" {
                return Err(self.corrupt("its row of `runs` is missing"));
            }
        }
        let stored = self.run(run)?;
        // A fork's first generations are its parent's.
        let first = stored.created.origin.as_ref().map_or(0, |origin| origin.last.generation + 1);
        if let Some(missing) = self.missing(&name, first)? {
            return Err(self.corrupt(format!("generation {missing} is missing")));
        }
        if !sums::are_all(self.connection, &name, sum).map_err(explain)? {
            return Err(self.corrupt("rows of it that were acknowledged are missing"));
        }
        Ok(stored)
    }

    /// The first generation from `first` on that a run lacks though it has later ones.
    fn missing(&self, run: &str, first: u32) -> Result<Option<u32>, JournalError> {
        let explain = |error| self.explain(&error);
        let sql = "SELECT generation FROM generations WHERE run = ?1 ORDER BY generation";
        let mut statement = self.connection.prepare_cached(sql).map_err(explain)?;
        let found = statement.query_map([run], |row| row.get::<_, u32>(0)).map_err(explain)?;
        for (generation, expected) in found.zip(first..) {
            if generation.map_err(explain)? != expected {
                return Ok(Some(expected));
            }
        }
        Ok(None)
    }

    /// How a run was created, and the sequence number of its last record.
    fn created(&self, run: RunId) -> Result<(Created, u64), JournalError> {
        let headless = || self.corrupt("it does not begin with its creation");
        let name = run.to_string();
        let sql = "SELECT record FROM records WHERE run = ?1 AND kind = 'created'";
        let bytes = self.blobs(sql, [&name], 0)?;
        let record =
            decode_record(bytes.first().ok_or_else(headless)?).map_err(|error| self.corrupt(error))?;
        let Record::Created(created) = record else { return Err(headless()) };
        let sql = "SELECT max(sequence) FROM (SELECT sequence FROM records WHERE run = ?1 \
                   UNION ALL SELECT sequence FROM generations WHERE run = ?1)";
        let sequence: i64 = self
            .connection
            .query_row(sql, [&name], |row| row.get(0))
            .map_err(|error| self.explain(&error))?;
        Ok((created, sequence.unsigned_abs()))
    }

    fn run(&self, run: RunId) -> Result<StoredRun, JournalError> {
        let (created, sequence) = self.created(run)?;
        let snapshot = self.whole_snapshot(run)?;
        let from = snapshot.as_ref().map_or(0, |snapshot| snapshot.closed.0.saturating_sub(1));
        let sql = "SELECT sequence, record FROM records WHERE run = ?1 AND kind <> 'created' \
                   UNION ALL SELECT sequence, record FROM generations WHERE run = ?1 AND generation >= ?2 \
                   ORDER BY sequence";
        let records = self.blobs(sql, params![run.to_string(), from], 1)?;
        let records = records.iter().map(|bytes| decode_record(bytes));
        let mut records: Vec<Record> =
            records.collect::<Result<_, _>>().map_err(|error| self.corrupt(error))?;
        records.retain(|record| StoredRun::needs(snapshot.as_ref(), record));
        Ok(StoredRun { run, created, snapshot, records, sequence })
    }

    /// The last snapshot of a run that can be used. It is a cache, and damage to it is passed over.
    fn whole_snapshot(&self, run: RunId) -> Result<Option<Snapshot>, JournalError> {
        let name = run.to_string();
        let sql = "SELECT snapshot FROM snapshots WHERE run = ?1 ORDER BY closed DESC";
        let explain = |error| self.explain(&error);
        let mut statement = self.connection.prepare_cached(sql).map_err(explain)?;
        let mut rows = statement.query([&name]).map_err(explain)?;
        while let Some(row) = rows.next().map_err(explain)? {
            let bytes: Vec<u8> = row.get(0).map_err(explain)?;
            let Ok(snapshot) = decode_snapshot(&bytes) else { continue };
            let last = GenerationIndex(snapshot.closed.0.saturating_sub(1));
            if self.generations(run, last, 1)?.first().is_some_and(|last| snapshot.closes(last)) {
                return Ok(Some(snapshot));
            }
        }
        Ok(None)
    }

    /// A column of blobs.
    fn blobs(
        &self,
        sql: &str,
        parameters: impl rusqlite::Params,
        column: usize,
    ) -> Result<Vec<Vec<u8>>, JournalError> {
        let explain = |error| self.explain(&error);
        let mut statement = self.connection.prepare_cached(sql).map_err(explain)?;
        let rows = statement.query_map(parameters, |row| row.get(column)).map_err(explain)?;
        rows.collect::<Result<_, _>>().map_err(explain)
    }

    fn summary(&self, bytes: &[u8]) -> Result<GenerationSummary, JournalError> {
        match decode_record(bytes).map_err(|error| self.corrupt(error))? {
            Record::GenerationClosed(closed) => Ok(closed.summary),
            _ => Err(self.corrupt("a generation's row holds another kind of record")),
        }
    }

    /// At most `limit` closed generations of a run, from `from` on.
    pub(super) fn generations(
        &self,
        run: RunId,
        from: GenerationIndex,
        limit: u32,
    ) -> Result<Vec<GenerationSummary>, JournalError> {
        let sql =
            "SELECT record FROM generations WHERE run = ?1 AND generation >= ?2 ORDER BY generation LIMIT ?3";
        let rows = self.blobs(sql, params![run.to_string(), from.0, limit], 0)?;
        rows.iter().map(|bytes| self.summary(bytes)).collect()
    }

    /// The snapshots of a run, by closed generations.
    pub(super) fn snapshots(&self, run: RunId) -> Result<Vec<GenerationIndex>, JournalError> {
        let explain = |error| self.explain(&error);
        let sql = "SELECT closed FROM snapshots WHERE run = ?1 ORDER BY closed";
        let mut statement = self.connection.prepare_cached(sql).map_err(explain)?;
        let rows = statement.query_map([run.to_string()], |row| row.get(0)).map_err(explain)?;
        rows.map(|closed| closed.map(GenerationIndex)).collect::<Result<_, _>>().map_err(explain)
    }

    /// A snapshot of a run.
    pub(super) fn snapshot(
        &self,
        run: RunId,
        closed: GenerationIndex,
    ) -> Result<Option<Snapshot>, JournalError> {
        let sql = "SELECT snapshot FROM snapshots WHERE run = ?1 AND closed = ?2";
        let whole = snapshot_is_whole(self.connection, &run.to_string(), closed.0);
        if whole.map_err(|error| self.explain(&error))? == Some(false) {
            return Err(
                self.corrupt(format!("run {run}: its snapshot after {closed} generations is damaged"))
            );
        }
        let found = self
            .connection
            .query_row(sql, params![run.to_string(), closed.0], |row| row.get::<_, Vec<u8>>(0))
            .optional();
        let found = found.map_err(|error| self.explain(&error))?;
        let decoded = found.map(|bytes| decode_snapshot(&bytes)).transpose();
        decoded.map_err(|error| self.corrupt(format!("run {run}: {error}")))
    }

    /// At most `limit` events of a run with sequence numbers after `after` and up to `up_to`. Fewer are all that there are: what is no
    /// event takes no event's place.
    pub(super) fn events(
        &self,
        run: RunId,
        after: u64,
        up_to: u64,
        limit: u32,
    ) -> Result<Vec<StoredEvent>, JournalError> {
        let explain = |error| self.explain(&error);
        let sql = "SELECT sequence, record FROM records \
                   WHERE run = ?1 AND sequence > ?2 AND sequence <= ?3 \
                   AND kind NOT IN ('settled', 'reopened', 'contributor') \
                   UNION ALL SELECT sequence, record FROM generations \
                   WHERE run = ?1 AND sequence > ?2 AND sequence <= ?3 \
                   ORDER BY sequence LIMIT ?4";
        let mut statement = self.connection.prepare_cached(sql).map_err(explain)?;
        let range = params![
            run.to_string(),
            i64::try_from(after).unwrap_or(i64::MAX),
            i64::try_from(up_to).unwrap_or(i64::MAX),
            limit
        ];
        let rows = statement
            .query_map(range, |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?)))
            .map_err(explain)?;
        let mut events = Vec::new();
        for row in rows {
            let (sequence, bytes) = row.map_err(explain)?;
            let record = decode_record(&bytes).map_err(|error| self.corrupt(error))?;
            events.extend(record.event().map(|event| (sequence as u64, event)));
        }
        Ok(events)
    }
}

//! What is read from the tables, whoever has the file open.

use hebbian_proto::v1::GenerationSummary;
use hebbian_shared::id::{GenerationIndex, RunId};
use rusqlite::types::Value;

use super::rows::snapshot_is_whole;
use super::scan::{NO_GENERATION, Scan};
use super::{Sql, as_u32, sums};
use crate::journal::codec::{decode_record, decode_snapshot};
use crate::journal::{JournalError, StoredEvent};
use hebbian_control::run::record::{LoadedRun, Record, Snapshot, StoredRun, StoredStanding, UnreadableRun};

/// A run with its name and the time of its creation.
type Listed = (RunId, String, u64);

/// All runs; what has lost its row in `runs` comes last.
const LISTED: &str = "SELECT run, name, created_unix_ms, number FROM runs UNION ALL \
                      SELECT run, '', 0, 9223372036854775807 FROM \
                      (SELECT run FROM records UNION SELECT run FROM generations \
                      UNION SELECT substr(key, 6) FROM meta WHERE substr(key, 1, 5) = 'rows ' EXCEPT SELECT run FROM runs) AS lost ORDER BY 4";
/// The same of one run, whose sum has the second parameter as its key.
const LISTED_ONE: &str = "SELECT run, name, created_unix_ms FROM runs WHERE run = ?1 UNION ALL \
                          SELECT ?1, '', 0 WHERE EXISTS (SELECT 1 FROM records WHERE run = ?1) \
                          OR EXISTS (SELECT 1 FROM generations WHERE run = ?1) OR EXISTS (SELECT 1 FROM meta WHERE key = ?2)";

/// What `read` makes of a run, or why it cannot be read.
fn readable<T>(
    (run, name, created_unix_ms): Listed,
    read: impl FnOnce(RunId) -> Result<T, JournalError>,
) -> Result<Result<T, UnreadableRun>, JournalError> {
    match read(run) {
        Ok(whole) => Ok(Ok(whole)),
        Err(JournalError::Corrupt { problem, .. }) => {
            Ok(Err(UnreadableRun { run, name, created_unix_ms, problem }))
        }
        Err(error) => Err(error),
    }
}

/// The tables of an open database.
#[derive(Clone, Copy)]
pub(in crate::journal) struct Tables<'a> {
    pub(in crate::journal) sql: &'a dyn Sql,
}

impl Tables<'_> {
    pub(in crate::journal) fn corrupt(&self, problem: impl std::fmt::Display) -> JournalError {
        self.sql.corrupt(problem)
    }

    /// All runs in order of creation.
    pub(in crate::journal) fn runs(&self) -> Result<Vec<LoadedRun>, JournalError> {
        let mut runs = Vec::new();
        self.each_run(&mut |run| runs.push(run))?;
        Ok(runs)
    }

    /// The same, one after the other.
    pub(in crate::journal) fn each_run(&self, take: &mut dyn FnMut(LoadedRun)) -> Result<(), JournalError> {
        for listed in self.listed()? {
            take(self.load(listed)?);
        }
        Ok(())
    }

    /// The same for whoever starts: without the searches of runs that have ended.
    pub(in crate::journal) fn each_standing(
        &self,
        take: &mut dyn FnMut(StoredStanding),
    ) -> Result<(), JournalError> {
        for listed in self.listed()? {
            let standing = readable(listed, |run| match Scan::of(self, run, true)?.end(run) {
                Ok(ended) => Ok(StoredStanding::Ended(ended)),
                Err(scan) => Ok(StoredStanding::Loaded(Ok(self.run(run, *scan)?))),
            });
            take(standing?.unwrap_or_else(|unreadable| StoredStanding::Loaded(Err(unreadable))));
        }
        Ok(())
    }

    /// One run; none if there is nothing of it.
    pub(in crate::journal) fn one_run(&self, run: RunId) -> Result<Option<LoadedRun>, JournalError> {
        let listed =
            self.listed_of(LISTED_ONE, &[run.to_string().into(), sums::key(&run.to_string()).into()])?;
        listed.into_iter().next().map(|listed| self.load(listed)).transpose()
    }

    fn load(&self, listed: Listed) -> Result<LoadedRun, JournalError> {
        readable(listed, |run| self.run(run, Scan::of(self, run, false)?))
    }

    /// All runs of which there is anything, with their names as far as they can be read.
    pub(in crate::journal) fn names(&self) -> Result<Vec<(RunId, String)>, JournalError> {
        Ok(self.listed()?.into_iter().map(|(run, name, _)| (run, name)).collect())
    }

    /// All runs of which there is anything, with their names and the times of their creation as far as they can be read.
    fn listed(&self) -> Result<Vec<Listed>, JournalError> {
        self.listed_of(LISTED, &[])
    }

    fn listed_of(&self, sql: &str, values: &[Value]) -> Result<Vec<Listed>, JournalError> {
        let listed = self.sql.all(sql, values, |row| {
            let text = |place: usize| row[place].as_str().ok();
            // Where the id itself is damaged, the run's records still have it.
            let Some(run) = text(0).and_then(|id| id.parse().ok()) else { return Ok(None) };
            let created = row[2].as_i64().unwrap_or(0);
            Ok(Some((run, text(1).unwrap_or_default().to_owned(), created.unsigned_abs())))
        })?;
        Ok(listed.into_iter().flatten().collect())
    }

    fn run(&self, run: RunId, scan: Scan) -> Result<StoredRun, JournalError> {
        let (created, sequence) = scan.created();
        let snapshot = self.whole_snapshot(run)?;
        let from = snapshot.as_ref().map_or(0, |snapshot| snapshot.closed.0.saturating_sub(1));
        let sql = "SELECT sequence, record FROM records WHERE run = ?1 AND kind <> 'created' \
                   UNION ALL SELECT sequence, record FROM generations WHERE run = ?1 AND generation >= ?2 \
                   ORDER BY sequence";
        let records = self.blobs(sql, &[run.to_string().into(), from.into()], 1)?;
        let records = records.iter().map(|bytes| decode_record(bytes));
        let mut records: Vec<Record> =
            records.collect::<Result<_, _>>().map_err(|error| self.corrupt(error))?;
        records.retain(|record| StoredRun::needs(snapshot.as_ref(), record));
        Ok(StoredRun { run, created, snapshot, records, sequence })
    }

    /// The last snapshot of a run that can be used. It is a cache, and damage to it is passed over.
    fn whole_snapshot(&self, run: RunId) -> Result<Option<Snapshot>, JournalError> {
        let sql = "SELECT closed FROM snapshots WHERE run = ?1 ORDER BY closed DESC";
        let kept = self.sql.all(sql, &[run.to_string().into()], |row| Ok(as_u32(row[0]).ok()))?;
        for closed in kept.into_iter().flatten() {
            let sql = "SELECT snapshot FROM snapshots WHERE run = ?1 AND closed = ?2";
            let bytes = self.blobs(sql, &[run.to_string().into(), closed.into()], 0)?;
            let Some(Ok(snapshot)) = bytes.first().map(|bytes| decode_snapshot(bytes)) else { continue };
            let last = GenerationIndex(snapshot.closed.0.saturating_sub(1));
            if self.generations(run, last, 1)?.first().is_some_and(|last| snapshot.closes(last)) {
                return Ok(Some(snapshot));
            }
        }
        Ok(None)
    }

    /// A column of blobs.
    fn blobs(&self, sql: &str, values: &[Value], column: usize) -> Result<Vec<Vec<u8>>, JournalError> {
        self.sql.all(sql, values, |row| row[column].as_blob().map(<[u8]>::to_vec))
    }

    fn summary(&self, bytes: &[u8]) -> Result<GenerationSummary, JournalError> {
        match decode_record(bytes).map_err(|error| self.corrupt(error))? {
            Record::GenerationClosed(closed) => Ok(closed.summary),
            _ => Err(self.corrupt(NO_GENERATION)),
        }
    }

    /// At most `limit` closed generations of a run, from `from` on.
    pub(in crate::journal) fn generations(
        &self,
        run: RunId,
        from: GenerationIndex,
        limit: u32,
    ) -> Result<Vec<GenerationSummary>, JournalError> {
        let sql =
            "SELECT record FROM generations WHERE run = ?1 AND generation >= ?2 ORDER BY generation LIMIT ?3";
        let rows = self.blobs(sql, &[run.to_string().into(), from.0.into(), limit.into()], 0)?;
        rows.iter().map(|bytes| self.summary(bytes)).collect()
    }

    /// The snapshots of a run, by closed generations.
    pub(in crate::journal) fn snapshots(&self, run: RunId) -> Result<Vec<GenerationIndex>, JournalError> {
        let sql = "SELECT closed FROM snapshots WHERE run = ?1 ORDER BY closed";
        self.sql.all(sql, &[run.to_string().into()], |row| as_u32(row[0]).map(GenerationIndex))
    }

    /// A snapshot of a run.
    pub(in crate::journal) fn snapshot(
        &self,
        run: RunId,
        closed: GenerationIndex,
    ) -> Result<Option<Snapshot>, JournalError> {
        let sql = "SELECT snapshot FROM snapshots WHERE run = ?1 AND closed = ?2";
        if snapshot_is_whole(self.sql, &run.to_string(), closed.0)? == Some(false) {
            return Err(
                self.corrupt(format!("run {run}: its snapshot after {closed} generations is damaged"))
            );
        }
        let found = self.blobs(sql, &[run.to_string().into(), closed.0.into()], 0)?;
        let decoded = found.first().map(|bytes| decode_snapshot(bytes)).transpose();
        decoded.map_err(|error| self.corrupt(format!("run {run}: {error}")))
    }

    /// At most `limit` events of a run with sequence numbers after `after` and up to `up_to`. Fewer are all that there are: what is no
    /// event takes no event's place.
    pub(in crate::journal) fn events(
        &self,
        run: RunId,
        after: u64,
        up_to: u64,
        limit: u32,
    ) -> Result<Vec<StoredEvent>, JournalError> {
        let sql = "SELECT sequence, record FROM records \
                   WHERE run = ?1 AND sequence > ?2 AND sequence <= ?3 \
                   AND kind NOT IN ('settled', 'reopened', 'contributor') \
                   UNION ALL SELECT sequence, record FROM generations \
                   WHERE run = ?1 AND sequence > ?2 AND sequence <= ?3 \
                   ORDER BY sequence LIMIT ?4";
        let range = [
            run.to_string().into(),
            i64::try_from(after).unwrap_or(i64::MAX).into(),
            i64::try_from(up_to).unwrap_or(i64::MAX).into(),
            limit.into(),
        ];
        let rows = self.sql.all(sql, &range, |row| Ok((row[0].as_i64()?, row[1].as_blob()?.to_vec())))?;
        let mut events = Vec::new();
        for (sequence, bytes) in rows {
            let record = decode_record(&bytes).map_err(|error| self.corrupt(error))?;
            events.extend(record.event().map(|event| (sequence as u64, event)));
        }
        Ok(events)
    }
}

//! Snapshots: whatever of them is damaged or missing follows from the closed generations.

use hebbian_control::run::record::{Created, Record, Snapshot};
use hebbian_control::run::recovery::Recomputation;
use hebbian_control::run::strategy::Strategies;
use hebbian_shared::id::{GenerationIndex, RunId};
use rusqlite::types::Value;

use super::Finding;
use super::seen::closed;
use crate::journal::JournalError;
use crate::journal::codec::{decode_record, decode_snapshot, encode_snapshot};
use crate::journal::sql::rows::{SNAPSHOTS, snapshot_is_whole};
use crate::journal::sql::tables::Tables;

/// Closed generations that are read at once.
const PAGE: i64 = 64;

/// Mends the snapshots of a run that is sound otherwise.
pub(super) fn mend(
    tables: Tables<'_>,
    run: RunId,
    name: &str,
    findings: &mut Vec<Finding>,
) -> Result<(), JournalError> {
    let (sql, id) = (tables.sql, run.to_string());
    let of_run = || vec![id.clone().into()];
    let read = "SELECT record FROM records WHERE run = ?1 AND kind = 'created'";
    let created = sql.first(read, &of_run(), |row| Ok(row[0].as_blob()?.to_vec()))?;
    let Some(Ok(Record::Created(created))) = created.map(|bytes| decode_record(&bytes)) else {
        return Ok(());
    };
    let first = created.origin.as_ref().map_or(0, |origin| origin.last.generation + 1);
    let last =
        sql.number("SELECT coalesce(max(generation), -1) FROM generations WHERE run = ?1", &of_run())?;
    let end = u32::try_from(last + 1).unwrap_or(0).max(first);
    let mut damaged = Vec::new();
    let mut whole = Vec::new();
    for kept in sql.all("SELECT closed FROM snapshots WHERE run = ?1 ORDER BY closed", &of_run(), |row| {
        Ok(Value::try_from(row[0]).unwrap_or(Value::Null))
    })? {
        let number = match kept {
            Value::Integer(number) => u32::try_from(number).ok(),
            _ => None,
        };
        match number.filter(|number| (first + 1..=end).contains(number)) {
            Some(number) if is_sound(tables, run, number)? => whole.push(number),
            number => {
                sql.execute(
                    "DELETE FROM snapshots WHERE run = ?1 AND closed = ?2",
                    &[id.clone().into(), kept],
                )?;
                damaged.push(number);
            }
        }
    }
    let lacks_last = end > first && whole.last() != Some(&end) && !damaged.contains(&Some(end));
    if damaged.is_empty() && !lacks_last {
        return Ok(());
    }
    let mut wanted: Vec<u32> = damaged.iter().flatten().copied().collect();
    if lacks_last {
        wanted.push(end);
    }
    wanted.sort_unstable();
    let told = recompute(tables, run, &created, (&wanted, &whole))?;
    let mut said = Vec::new();
    if !damaged.is_empty() {
        let count = damaged.len();
        said.push(if count == 1 {
            "a snapshot is damaged".to_owned()
        } else {
            format!("{count} snapshots are damaged")
        });
    }
    if lacks_last {
        said.push("the last snapshot is missing".to_owned());
    }
    let remedy = match told {
        None => "computed again from its generations".to_owned(),
        Some(problem) => format!("removed, since a coordinator needs none: {problem}"),
    };
    findings.push(Finding {
        run: Some(run),
        name: name.to_owned(),
        problem: said.join(", "),
        remedy,
        mended: true,
    });
    Ok(())
}

/// Whether a snapshot is as it was written, and the state that its generation was closed with.
fn is_sound(tables: Tables<'_>, run: RunId, number: u32) -> Result<bool, JournalError> {
    if snapshot_is_whole(tables.sql, &run.to_string(), number)? != Some(true) {
        return Ok(false);
    }
    Ok(snapshot(tables, run, number)?.is_some())
}

fn snapshot(tables: Tables<'_>, run: RunId, number: u32) -> Result<Option<Snapshot>, JournalError> {
    let read = "SELECT snapshot FROM snapshots WHERE run = ?1 AND closed = ?2";
    let bytes = tables
        .sql
        .first(read, &[run.to_string().into(), number.into()], |row| Ok(row[0].as_blob()?.to_vec()))?;
    let Some(Ok(snapshot)) = bytes.map(|bytes| decode_snapshot(&bytes)) else { return Ok(None) };
    let closed = match tables.generations(run, GenerationIndex(number.saturating_sub(1)), 1) {
        Ok(closed) => closed,
        Err(JournalError::Corrupt { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok(closed.first().is_some_and(|last| snapshot.closes(last)).then_some(snapshot))
}

/// Computes snapshots again and writes them; why that cannot be done, if it cannot.
fn recompute(
    tables: Tables<'_>,
    run: RunId,
    created: &Created,
    (wanted, whole): (&[u32], &[u32]),
) -> Result<Option<String>, JournalError> {
    let sql = tables.sql;
    let (Some(&lowest), Some(&highest)) = (wanted.first(), wanted.last()) else { return Ok(None) };
    let from = whole.iter().rev().find(|number| **number < lowest);
    let begin = match from {
        Some(&number) => snapshot(tables, run, number)?,
        None => None,
    };
    let mut next = begin.as_ref().map_or_else(
        || created.origin.as_ref().map_or(0, |origin| origin.last.generation + 1),
        |snapshot| snapshot.closed.0,
    );
    let mut search = match Recomputation::begin(created, begin.as_ref(), Strategies::default()) {
        Ok(search) => search,
        Err(problem) => return Ok(Some(problem)),
    };
    while next < highest {
        let read =
            "SELECT record FROM generations WHERE run = ?1 AND generation >= ?2 ORDER BY generation LIMIT ?3";
        let values = [run.to_string().into(), next.into(), PAGE.into()];
        let page = sql.all(read, &values, |row| Ok(row[0].as_blob()?.to_vec()))?;
        if page.is_empty() {
            return Ok(Some(format!("generation {next} is missing")));
        }
        for bytes in &page {
            let Some(closed) = closed(bytes).filter(|closed| closed.summary.generation == next) else {
                return Ok(Some(format!("generation {next} cannot be read")));
            };
            let snapshot = match search.after(&closed) {
                Ok(snapshot) => snapshot,
                Err(problem) => return Ok(Some(problem)),
            };
            next += 1;
            if wanted.contains(&next) {
                let bytes = encode_snapshot(&snapshot);
                SNAPSHOTS.insert(sql, vec![run.to_string().into(), next.into(), bytes.into()])?;
            }
        }
    }
    Ok(None)
}

//! What can be mended of a damaged journal: what follows from something else that is sound. The rest is told, and what is sound stays.
//!
//! All happens in one transaction of whoever calls. What every row of a run comes to together (see [`sums`]) is the judge: contents that
//! fit it are what was written, whatever the checksums beside them say.

mod counters;
mod run;
mod seen;
mod snapshots;

use hebbian_shared::id::RunId;
use hebbian_shared::time::Timestamp;

use super::counters::Position;
use super::tables::Tables;
use super::{Sql, sums};
use crate::journal::JournalError;
use hebbian_control::run::Run;
use hebbian_control::run::record::{LoadedRun, UnreadableRun};
use hebbian_control::run::strategy::Strategies;

/// Something that is wrong with a journal, and what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which run is concerned, if it is one.
    pub run: Option<RunId>,
    /// Its spec's name, as far as it is known.
    pub name: String,
    /// What is wrong.
    pub problem: String,
    /// What is done about it.
    pub remedy: String,
    /// Whether a coordinator can go on from it afterwards.
    pub mended: bool,
}

impl Finding {
    pub(in crate::journal) fn of_all(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        let (problem, remedy) = (problem.into(), remedy.into());
        Self { run: None, name: String::new(), problem, remedy, mended: true }
    }
}

/// What is outside of the tables.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::journal) struct Outside {
    /// What was acknowledged last, if something beside the journal knows it, and when, in seconds since 1970 UTC.
    pub(in crate::journal) acknowledged: Option<(Position, u64)>,
    /// Whether the tables say when something was written last.
    pub(in crate::journal) has_written: bool,
}

/// Mends all that can be mended. What is returned is all that was wrong.
pub(in crate::journal) fn mend(sql: &dyn Sql, outside: Outside) -> Result<Vec<Finding>, JournalError> {
    let mut findings = Vec::new();
    counters::mend(sql, outside, &mut findings)?;
    nameless(sql, &mut findings)?;
    let tables = Tables { sql };
    for (run, name) in tables.names()? {
        run::mend(tables, run, name, &mut findings)?;
    }
    counters::mend_count(sql, &mut findings)?;
    Ok(findings)
}

/// Removes rows whose run has no name that a run can have: nobody can ask for them.
fn nameless(sql: &dyn Sql, findings: &mut Vec<Finding>) -> Result<(), JournalError> {
    for table in ["runs", "records", "generations", "snapshots"] {
        let named = sql.all(&format!("SELECT DISTINCT run FROM {table}"), &[], |row| {
            Ok(String::from_utf8_lossy(row[0].as_bytes().unwrap_or_default()).into_owned())
        })?;
        for name in named.into_iter().filter(|name| name.parse::<RunId>().is_err()) {
            sql.execute(&format!("DELETE FROM {table} WHERE run = ?1"), &[name.clone().into()])?;
            let problem = format!("rows of `{table}` belong to `{name}`, which is no run's id");
            findings.push(Finding::of_all(problem, "they are removed"));
        }
    }
    let keys = sql.all("SELECT key FROM meta WHERE substr(key, 1, 5) = 'rows '", &[], |row| {
        Ok(row[0].as_str()?.to_owned())
    })?;
    for key in keys {
        let named = &key[5..];
        let has_rows = "SELECT count(*) FROM (SELECT run FROM runs WHERE run = ?1 UNION ALL SELECT run FROM records WHERE run = ?1 \
                        UNION ALL SELECT run FROM generations WHERE run = ?1) AS there";
        if named.parse::<RunId>().is_err() || sql.number(has_rows, &[named.to_owned().into()])? == 0 {
            sql.execute("DELETE FROM meta WHERE key = ?1", &[key.clone().into()])?;
            let problem = format!("the sum of the run `{named}` is there, and nothing else of it");
            findings.push(Finding::of_all(problem, "it is removed"));
        }
    }
    Ok(())
}

/// Takes a run up as a coordinator does: what is wrong with it, if something is.
fn problem(tables: Tables<'_>, run: RunId) -> Result<Option<String>, JournalError> {
    let loaded: LoadedRun = match tables.one_run(run)? {
        Some(loaded) => loaded,
        None => return Ok(None),
    };
    let stored = match loaded {
        Ok(stored) => stored,
        Err(UnreadableRun { problem, .. }) => return Ok(Some(problem)),
    };
    let recovered =
        Run::recover(Timestamp(std::time::Duration::ZERO), stored, Strategies::default(), &mut Vec::new());
    Ok(recovered.err().map(|error| error.problem))
}

/// The sum of a run's rows as it is stored.
fn known_sum(sql: &dyn Sql, run: &str) -> Result<Option<i64>, JournalError> {
    sums::read(sql, &sums::key(run))
}

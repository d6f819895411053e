//! The numbers in `meta`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{Finding, Outside};
use crate::handle::secret;
use crate::journal::JournalError;
use crate::journal::sql::counters::{Position, check_counter, position};
use crate::journal::sql::{Sql, sums};

/// Whether a counter cannot be used.
fn is_wrong(sql: &dyn Sql, key: &str) -> Result<bool, JournalError> {
    match check_counter(sql, key) {
        Ok(()) => Ok(false),
        Err(error) if error.is_transient() => Err(error),
        Err(_) => Ok(true),
    }
}

fn unix_s() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() as i64
}

/// Mends the counters, and tells what was acknowledged and is not there.
pub(super) fn mend(
    sql: &dyn Sql,
    Outside { acknowledged, has_written }: Outside,
    findings: &mut Vec<Finding>,
) -> Result<(), JournalError> {
    let wrong = |key: &str| format!("its counter `{key}` is missing or beyond counting");
    if is_wrong(sql, "epoch")? {
        // Above the number of any coordinator that ever had it.
        sums::store(sql, "epoch", unix_s())?;
        findings.push(Finding::of_all(wrong("epoch"), "it goes on from a number above all before"));
    }
    let named = !is_wrong(sql, "journal")?;
    if !named {
        sums::store(sql, "journal", (secret() >> 1) as i64)?;
        findings.push(Finding::of_all(
            wrong("journal"),
            "it gets another one; whether acknowledged commits are missing cannot be told any more",
        ));
    }
    if is_wrong(sql, "commits")? {
        let known = acknowledged.map_or(0, |(position, _)| position.commits);
        sums::store(sql, "commits", known)?;
        findings.push(Finding::of_all(
            wrong("commits"),
            format!("it goes on from {known}; whether acknowledged commits are missing cannot be told"),
        ));
    }
    if has_written && is_wrong(sql, "written")? {
        sums::store(sql, "written", 0)?;
        findings.push(Finding::of_all(wrong("written"), "it begins anew"));
    }
    let found = position(sql)?;
    if let Some((Position { journal, commits }, unix_s)) = acknowledged
        && named
        && journal == found.journal
        && commits > found.commits
    {
        let until = humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(unix_s.min(1 << 40)));
        findings.push(Finding::of_all(
            format!(
                "the commits {} to {commits} were acknowledged (until {until}) and are missing; the journal ends with commit {}: its \
                 log was lost or damaged, or an older copy was put in its place",
                found.commits + 1,
                found.commits
            ),
            "nothing of them can be got back: runs created in them are gone, and all others go on from where the journal has them, which \
             repeats their episodes to the same result; notes, pauses and limits of that time are gone",
        ));
    }
    Ok(())
}

/// Mends the number of runs; those that are left have been mended before.
pub(super) fn mend_count(sql: &dyn Sql, findings: &mut Vec<Finding>) -> Result<(), JournalError> {
    let missing = sums::missing_runs(sql)?;
    if missing == 0 {
        return Ok(());
    }
    let found = sql.number("SELECT count(*) FROM meta WHERE substr(key, 1, 5) = 'rows '", &[])?;
    sums::store(sql, sums::RUNS, found)?;
    let problem = if missing > 0 {
        format!("{missing} runs are missing that were acknowledged; nothing is left of them")
    } else {
        format!("{} runs more are there than its count of runs says", -missing)
    };
    findings.push(Finding::of_all(problem, format!("the count is {found} from now on")));
    Ok(())
}

//! A database that is mended, in one transaction, under the lock that its leader would hold.

use std::thread;
use std::time::Instant;

use super::lease::{self, LEADERS_LEASE, LOOK};
use super::session::Session;
use super::target::{Target, is_ours};
use super::{Beside, schema};
use crate::journal::reader::Source as _;
use crate::journal::repair::{Finding, Mode, check_free};
use crate::journal::sql::mend::{Outside, mend};
use crate::journal::sql::{Sql, counters};
use crate::journal::{Address, JournalError};

/// Mends the journal in a database, or says what would be done; none if the address is of another kind.
pub(in crate::journal) fn repair(
    address: &Address<'_>,
    mode: &Mode,
) -> Option<Result<Vec<Finding>, JournalError>> {
    is_ours(address.url).then(|| {
        let target = Target::parse(address.url).map_err(|problem| address.refused(problem))?;
        let session = Session::open(&target, "hebbian journal repair")?;
        schema::recognise(&session)?;
        // Searches are computed in its transactions.
        session.batch("SET idle_in_transaction_session_timeout TO 0")?;
        hold(&session, &target)?;
        // A look is a transaction that is given up, with its connection.
        let found = mended(&session)?;
        let Mode::Mend(copy) = mode else { return Ok(found) };
        if found.is_empty() {
            return Ok(found);
        }
        session.batch("ROLLBACK")?;
        check_free(copy)?;
        Beside::open(address.url)?.copy_to(copy)?;
        let found = mended(&session)?;
        let sql: &dyn Sql = &session;
        counters::check(sql)?;
        // A coordinator that had it and does not know of this can write nothing any more.
        let epoch = counters::raise_epoch(sql)?;
        counters::advance(sql)?;
        sql.execute(
            "UPDATE leader SET epoch = ?1, beat = beat + 1, released = true",
            &[(epoch as i64).into()],
        )?;
        session.commit()?;
        Ok(found)
    })
}

/// Mends all in a transaction that is left open.
fn mended(session: &Session) -> Result<Vec<Finding>, JournalError> {
    session.batch("BEGIN")?;
    let sql: &dyn Sql = session;
    let mut findings = Vec::new();
    if sql.number("SELECT count(*) FROM leader", &[])? == 0 {
        sql.execute("INSERT INTO leader VALUES (true, 0, 0, true, '', '')", &[])?;
        findings.push(Finding::of_all("its leader's row is missing", "it is made anew"));
    }
    findings.extend(mend(sql, Outside { acknowledged: None, has_written: true })?);
    session.settle()?;
    Ok(findings)
}

/// Refuses a journal that a coordinator has, or waits for.
fn hold(session: &Session, target: &Target) -> Result<(), JournalError> {
    let locked = || JournalError::Locked { store: target.name.clone() };
    let begun = Instant::now();
    let before = lease::beats(session)?;
    // Who leads and has lost its connection has no lock, and beats again within this time.
    while !lease::is_released(session)? && begun.elapsed() < LEADERS_LEASE {
        if lease::beats(session)? != before {
            return Err(locked());
        }
        thread::sleep(LOOK);
    }
    if !lease::standbys(session)?.is_empty() || !lease::try_lock(session)? {
        return Err(locked());
    }
    Ok(())
}

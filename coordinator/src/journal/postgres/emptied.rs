//! A database that receives a journal as a whole.

use super::session::Session;
use super::target::{Target, is_ours};
use super::{lease, schema};
use crate::journal::sql::{Sql, counters};
use crate::journal::{Address, JournalError};

/// A database without a journal, in the transaction that gives it one. Without its end there is none.
pub(in crate::journal) struct Emptied(Session);

impl Emptied {
    /// Begins at an address; none if it is of another kind of store.
    pub(in crate::journal) fn open(address: &Address<'_>) -> Option<Result<Self, JournalError>> {
        is_ours(address.url).then(|| {
            let target = Target::parse(address.url).map_err(|problem| address.refused(problem))?;
            let session = Session::open(&target, "hebbian journal migrate")?;
            schema::prepare(&session)?;
            if !lease::try_lock(&session)? {
                return Err(JournalError::Locked { store: target.name });
            }
            session.batch("BEGIN")?;
            session.batch("LOCK TABLE meta IN EXCLUSIVE MODE")?;
            let sql: &dyn Sql = &session;
            if counters::epoch(sql)? != 0 || sql.number("SELECT count(*) FROM runs", &[])? != 0 {
                return Err(
                    sql.corrupt("a coordinator has used the journal that is there; name an empty database")
                );
            }
            Ok(Self(session))
        })
    }

    /// Its tables.
    pub(in crate::journal) fn sql(&self) -> &dyn Sql {
        &self.0
    }

    /// Makes it the journal of this database.
    pub(in crate::journal) fn end(self) -> Result<(), JournalError> {
        // Runs to come are younger than those that came.
        let sql: &dyn Sql = &self.0;
        sql.execute("SELECT setval('runs_number_seq', max(number)) FROM runs HAVING max(number) > 0", &[])?;
        self.0.commit()
    }
}

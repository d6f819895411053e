//! The journal as rows of a database, whichever it is: what is written into the tables and read from them.
//!
//! [`Sql`] is all that this needs of a database. SQLite and PostgreSQL differ in how they are opened, locked and kept; their rows are the
//! same, byte for byte.

pub(super) mod counters;
pub(super) mod mend;
pub(super) mod rows;
mod scan;
pub(super) mod sums;
pub(super) mod tables;

use rusqlite::types::{FromSqlError, FromSqlResult, Value, ValueRef};

use super::JournalError;

/// A row as it is read: the values of its columns.
pub(super) type Row<'a> = [ValueRef<'a>];

/// A connection to a database with the tables. In its statements `?1`, `?2`, ... stand for values.
pub(super) trait Sql {
    /// The database's name in messages.
    fn store(&self) -> &str;

    /// Changes rows. A later call may be the one that tells what went wrong; nothing of the transaction is committed then.
    fn execute(&self, sql: &str, values: &[Value]) -> Result<(), JournalError>;

    /// Reads rows, one after the other. Nothing may be asked of the connection in `take`.
    fn query(
        &self,
        sql: &str,
        values: &[Value],
        take: &mut dyn FnMut(&Row<'_>) -> Result<(), JournalError>,
    ) -> Result<(), JournalError>;
}

impl dyn Sql + '_ {
    /// Something that is not as it was written.
    pub(super) fn corrupt(&self, problem: impl std::fmt::Display) -> JournalError {
        JournalError::Corrupt { store: self.store().to_owned(), problem: problem.to_string() }
    }

    /// What `read` makes of all rows.
    pub(super) fn all<T>(
        &self,
        sql: &str,
        values: &[Value],
        mut read: impl FnMut(&Row<'_>) -> FromSqlResult<T>,
    ) -> Result<Vec<T>, JournalError> {
        let mut all = Vec::new();
        self.query(sql, values, &mut |row| {
            all.push(read(row).map_err(|error| self.corrupt(error))?);
            Ok(())
        })?;
        Ok(all)
    }

    /// What `read` makes of the first row, if there is one.
    pub(super) fn first<T>(
        &self,
        sql: &str,
        values: &[Value],
        read: impl FnMut(&Row<'_>) -> FromSqlResult<T>,
    ) -> Result<Option<T>, JournalError> {
        Ok(self.all(sql, values, read)?.into_iter().next())
    }

    /// The number that a query gives.
    pub(super) fn number(&self, sql: &str, values: &[Value]) -> Result<i64, JournalError> {
        let number = self.first(sql, values, |row| row[0].as_i64())?;
        number.ok_or_else(|| self.corrupt("a number of it is missing"))
    }
}

/// A number of 32 bits.
pub(super) fn as_u32(value: ValueRef<'_>) -> FromSqlResult<u32> {
    let number = value.as_i64()?;
    u32::try_from(number).map_err(|_| FromSqlError::OutOfRange(number))
}

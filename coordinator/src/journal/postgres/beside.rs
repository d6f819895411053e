//! A journal in PostgreSQL read from beside: in one transaction, which sees it as it was when that began.

use std::path::Path;

use rusqlite::types::Value;

use super::session::Session;
use super::target::Target;
use super::{check, schema};
use crate::journal::reader::Source;
use crate::journal::sql::{Row, Sql};
use crate::journal::{JournalError, migrate};

/// See the module.
#[derive(Debug)]
pub(in crate::journal) struct Beside(Session);

impl Beside {
    /// Reads the journal at an address.
    pub(in crate::journal) fn open(url: &str) -> Result<Self, JournalError> {
        let refused = |problem| JournalError::Url { url: super::redacted(url), problem };
        let session = Session::open(&Target::parse(url).map_err(refused)?, "hebbian reader")?;
        session.batch("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
        schema::recognise(&session)?;
        Ok(Self(session))
    }
}

impl Sql for Beside {
    fn store(&self) -> &str {
        self.0.store()
    }

    fn execute(&self, sql: &str, values: &[Value]) -> Result<(), JournalError> {
        self.0.execute(sql, values)
    }

    fn query(
        &self,
        sql: &str,
        values: &[Value],
        take: &mut dyn FnMut(&Row<'_>) -> Result<(), JournalError>,
    ) -> Result<(), JournalError> {
        self.0.query(sql, values, take)
    }
}

impl Source for Beside {
    fn check_whole(&self) -> Result<(), JournalError> {
        check(&self.0)
    }

    /// To a file of SQLite, which can be used by itself or moved into a database.
    fn copy_to(&self, path: &Path) -> Result<(), JournalError> {
        migrate::to_file(&self.0, path)
    }
}

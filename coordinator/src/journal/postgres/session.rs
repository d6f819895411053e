//! A connection to a server. Whoever asks waits, on a thread of its own, and never for ever.
//!
//! Statements that change rows are sent at once, and their answers are awaited together: by the next question, or before the commit.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::io::ErrorKind;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::StreamExt as _;
use rusqlite::types::{Value, ValueRef};
use tokio::runtime::Runtime;
use tokio::time::timeout;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{FromSql, ToSql, Type};
use tokio_postgres::{Client, Error, NoTls, Statement};

use super::target::{Encryption, Target};
use super::tls::Tls;
use crate::journal::JournalError;
use crate::journal::sql::{Row, Sql};
use crate::runtime;

/// How long a server may take for the next part of an answer, unless a session is less patient.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// So many statements are sent before their answers are awaited.
const PENDING_MAX: usize = 256;

/// What every connection begins with. Nobody's settings change what is written; who waits for a lock is told; and a server
/// notices when this process has gone without a word. A commit that is answered is on the disk, whatever the server's default.
const SETTINGS: &str = "SET search_path TO hebbian; SET client_min_messages TO warning; SET lock_timeout TO '5s'; \
    SET statement_timeout TO 0; SET idle_in_transaction_session_timeout TO '30s'; \
    SET default_transaction_isolation TO 'read committed'; SET default_transaction_read_only TO off; \
    SET tcp_keepalives_idle TO 2; SET tcp_keepalives_interval TO 1; SET tcp_keepalives_count TO 3; \
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'";

/// An answer that is on its way.
type Pending = Pin<Box<dyn Future<Output = Result<u64, Error>> + Send>>;

/// A value as it is sent.
type Sent = Box<dyn ToSql + Sync + Send>;

/// See the module.
pub(super) struct Session {
    store: String,
    /// How long the server may take for the next part of an answer.
    patience: Cell<Duration>,
    /// Taken when it ends: it must not be waited for.
    runtime: Option<Runtime>,
    client: Arc<Client>,
    statements: RefCell<HashMap<String, Statement>>,
    pending: RefCell<VecDeque<Pending>>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Session").field(&self.store).finish()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Session {
    /// Connects. `role` is what the server's tools show.
    pub(super) fn open(target: &Target, role: &str) -> Result<Self, JournalError> {
        Self::open_within(target, role, ANSWER_TIMEOUT)
    }

    /// The same with less patience.
    pub(super) fn open_within(target: &Target, role: &str, patience: Duration) -> Result<Self, JournalError> {
        let store = target.name.clone();
        let failed = |problem: String| JournalError::Unavailable { store: store.clone(), problem };
        let runtime =
            runtime::on_this_thread().map_err(|error| failed(format!("it cannot be reached: {error}")))?;
        let mut config = target.config.clone();
        config.application_name(role);
        let connect = async {
            // The connection is a task that ends with its client.
            if target.encryption == Encryption::Off {
                let connected = config.connect(NoTls).await;
                let (client, connection) = connected.map_err(|error| explain(&store, &error))?;
                tokio::spawn(connection);
                return Ok(client);
            }
            let connected = config.connect(Tls::new(&target.encryption).map_err(failed)?).await;
            let (client, connection) = connected.map_err(|error| explain(&store, &error))?;
            tokio::spawn(connection);
            Ok(client)
        };
        let connected = runtime.block_on(async { timeout(patience, connect).await });
        let client = connected.map_err(|_| failed(slow(patience)))??;
        let session = Self {
            store,
            patience: Cell::new(patience),
            runtime: Some(runtime),
            client: Arc::new(client),
            statements: RefCell::default(),
            pending: RefCell::default(),
        };
        session.batch(SETTINGS)?;
        session.settle()?;
        Ok(session)
    }

    /// The same session with another patience.
    pub(super) fn patient(self, patience: Duration) -> Self {
        self.patience.set(patience);
        self
    }

    /// What is asked of it with another patience.
    pub(super) fn within<T>(&self, patience: Duration, ask: impl FnOnce() -> T) -> T {
        let usual = self.patience.replace(patience);
        let answer = ask();
        self.patience.set(usual);
        answer
    }

    /// Whether nothing can be asked any more.
    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().expect("it is there until the end")
    }

    fn explain(&self, error: &Error) -> JournalError {
        explain(&self.store, error)
    }

    /// Waits for what is asked.
    fn wait<T>(&self, asked: impl Future<Output = Result<T, Error>>) -> Result<T, JournalError> {
        let patience = self.patience.get();
        match self.runtime().block_on(async { timeout(patience, asked).await }) {
            Ok(answer) => answer.map_err(|error| self.explain(&error)),
            Err(_) => Err(JournalError::Unavailable { store: self.store.clone(), problem: slow(patience) }),
        }
    }

    /// Sends something; its answer is settled later.
    fn send(&self, mut asked: Pending) -> Result<(), JournalError> {
        let first = self.runtime().block_on(poll_fn(|context| Poll::Ready(asked.as_mut().poll(context))));
        match first {
            Poll::Ready(answer) => answer.map(drop).map_err(|error| self.explain(&error)),
            Poll::Pending => {
                let mut pending = self.pending.borrow_mut();
                pending.push_back(asked);
                let many = pending.len() >= PENDING_MAX;
                drop(pending);
                if many { self.settle() } else { Ok(()) }
            }
        }
    }

    /// Sends statements without values.
    pub(super) fn batch(&self, sql: &'static str) -> Result<(), JournalError> {
        let client = Arc::clone(&self.client);
        self.send(Box::pin(async move { client.batch_execute(sql).await.map(|()| 0) }))
    }

    /// Waits for all that was sent. The first thing that went wrong is the reason of what followed.
    pub(super) fn settle(&self) -> Result<(), JournalError> {
        let mut settled = Ok(());
        loop {
            let Some(asked) = self.pending.borrow_mut().pop_front() else { return settled };
            let answer = self.wait(asked);
            if settled.is_ok() {
                settled = answer.map(drop);
            }
        }
    }

    /// Waits for all that was sent, then commits.
    pub(super) fn commit(&self) -> Result<(), JournalError> {
        self.settle()?;
        self.wait(self.client.batch_execute("COMMIT"))
    }

    fn statement(&self, sql: &str, values: &[Value]) -> Result<Statement, JournalError> {
        if let Some(known) = self.statements.borrow().get(sql) {
            return Ok(known.clone());
        }
        let types: Vec<Type> = values
            .iter()
            .map(|value| match value {
                Value::Integer(_) => Type::INT8,
                Value::Text(_) => Type::TEXT,
                Value::Blob(_) => Type::BYTEA,
                // The column says it.
                Value::Null | Value::Real(_) => Type::UNKNOWN,
            })
            .collect();
        let prepared = self.wait(self.client.prepare_typed(&sql.replace('?', "$"), &types));
        let prepared = prepared.map_err(|error| self.settle().err().unwrap_or(error))?;
        self.statements.borrow_mut().insert(sql.to_owned(), prepared.clone());
        Ok(prepared)
    }
}

/// Values as they are sent. None of the journal is a real number.
fn sent(values: &[Value]) -> Vec<Sent> {
    let send = |value: &Value| -> Sent {
        match value {
            Value::Integer(number) => Box::new(*number),
            Value::Text(text) => Box::new(text.clone()),
            Value::Blob(bytes) => Box::new(bytes.clone()),
            Value::Null | Value::Real(_) => Box::new(None::<i64>),
        }
    };
    values.iter().map(send).collect()
}

/// A value as it came.
struct Came<'a> {
    kind: Type,
    bytes: &'a [u8],
}

impl<'a> FromSql<'a> for Came<'a> {
    fn from_sql(kind: &Type, bytes: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self { kind: kind.clone(), bytes })
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

impl<'a> Came<'a> {
    /// The value as the journal knows it.
    fn value(&self) -> Option<ValueRef<'a>> {
        match self.kind {
            Type::INT8 => Some(ValueRef::Integer(i64::from_be_bytes(self.bytes.try_into().ok()?))),
            Type::INT4 => Some(ValueRef::Integer(i32::from_be_bytes(self.bytes.try_into().ok()?).into())),
            Type::BOOL => Some(ValueRef::Integer(i64::from(self.bytes == [1]))),
            Type::TEXT | Type::NAME | Type::VARCHAR => Some(ValueRef::Text(self.bytes)),
            Type::BYTEA => Some(ValueRef::Blob(self.bytes)),
            _ => None,
        }
    }
}

impl Sql for Session {
    fn store(&self) -> &str {
        &self.store
    }

    fn execute(&self, sql: &str, values: &[Value]) -> Result<(), JournalError> {
        let statement = self.statement(sql, values)?;
        let (client, values) = (Arc::clone(&self.client), sent(values));
        self.send(Box::pin(async move { client.execute_raw(&statement, values).await }))
    }

    fn query(
        &self,
        sql: &str,
        values: &[Value],
        take: &mut dyn FnMut(&Row<'_>) -> Result<(), JournalError>,
    ) -> Result<(), JournalError> {
        let statement = self.statement(sql, values)?;
        self.settle()?;
        let mut rows = Box::pin(self.wait(self.client.query_raw(&statement, sent(values)))?);
        while let Some(row) = self.wait(async { rows.next().await.transpose() })? {
            let came = (0..row.len()).map(|place| row.try_get::<_, Option<Came<'_>>>(place));
            let came: Vec<Option<Came<'_>>> =
                came.collect::<Result<_, _>>().map_err(|error| self.explain(&error))?;
            let values = came.iter().map(|came| came.as_ref().map_or(Some(ValueRef::Null), Came::value));
            let unknown = || (self as &dyn Sql).corrupt("a column of it holds another kind of value");
            take(&values.collect::<Option<Vec<_>>>().ok_or_else(unknown)?)?;
        }
        Ok(())
    }
}

fn slow(patience: Duration) -> String {
    format!("the server has not answered for {} s", patience.as_secs_f64())
}

/// What an error means to whoever runs the coordinator. What the server says has no password in it.
fn explain(store: &str, error: &Error) -> JournalError {
    let store = store.to_owned();
    let Some(told) = error.as_db_error() else {
        let mut cause: &dyn std::error::Error = error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        let no_socket =
            cause.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == ErrorKind::NotFound);
        let problem = if error.is_closed() {
            "the connection to the server was lost".to_owned()
        } else if no_socket {
            "the server cannot be reached: there is no socket of it; is it running, and is its host or its socket's directory named?"
                .to_owned()
        } else {
            format!("the server cannot be reached: {}", cause.to_string().replace('\n', " "))
        };
        return JournalError::Unavailable { store, problem };
    };
    let (code, message) = (told.code(), told.message().replace('\n', " "));
    match code.code() {
        _ if *code == SqlState::DISK_FULL => JournalError::Full { store },
        _ if *code == SqlState::UNDEFINED_DATABASE => {
            JournalError::Unavailable { store, problem: format!("{message}; make it with `createdb`") }
        }
        _ if *code == SqlState::READ_ONLY_SQL_TRANSACTION => JournalError::Unavailable {
            store,
            problem: "the server is read-only: it is a standby; name the primary".to_owned(),
        },
        _ if *code == SqlState::LOCK_NOT_AVAILABLE => JournalError::Unavailable {
            store,
            problem: "another program has locked the journal's tables for more than 5 s".to_owned(),
        },
        // Data that is damaged, and what this program should not have sent.
        code if ["XX", "22", "23", "42"].contains(&&code[..2])
            && *told.code() != SqlState::INSUFFICIENT_PRIVILEGE =>
        {
            JournalError::Corrupt { store, problem: format!("{message} ({code})") }
        }
        code => JournalError::Unavailable { store, problem: format!("{message} ({code})") },
    }
}

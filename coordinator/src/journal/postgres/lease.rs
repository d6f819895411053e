//! Who may write: one coordinator, which lets everybody see that it lives.
//!
//! Three things keep a second one out. The **lease**: the leader's row in `leader` changes several times a second, and whoever wants to
//! take over has seen it unchanged for [`LEADERS_LEASE`], by its own clock and over a connection that worked. The **lock**: the leader's connection
//! holds an advisory lock, which a successor has before it begins, so nothing of the predecessor is on its way any more. The **epoch**: a
//! successor raises it, and each commit looks at it in its own transaction.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::session::{ANSWER_TIMEOUT, Session};
use super::target::Target;
use crate::journal::sql::{Sql, counters};
use crate::journal::{Attend, JournalError, Leader, Notice};

/// For so long the leader's row does not change before somebody else takes over.
pub(super) const LEADERS_LEASE: Duration = Duration::from_millis(1500);
/// How often it changes.
const BEAT: Duration = Duration::from_millis(300);
/// How often somebody who waits looks at it.
pub(super) const LOOK: Duration = Duration::from_millis(100);

/// The number of the lock among those of the database: `hebb`.
const LOCK: i64 = 0x6865_6262;

/// The leader's row.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    epoch: i64,
    beat: i64,
    released: bool,
    leader: Leader,
}

fn look(sql: &dyn Sql) -> Result<Seen, JournalError> {
    let seen = sql.first("SELECT epoch, beat, released, name, addresses FROM leader", &[], |row| {
        let leader = Leader { name: row[3].as_str()?.to_owned(), address: row[4].as_str()?.to_owned() };
        Ok(Seen { epoch: row[0].as_i64()?, beat: row[1].as_i64()?, released: row[2].as_i64()? != 0, leader })
    })?;
    seen.ok_or_else(|| {
        sql.corrupt("the journal is damaged: its leader's row is missing; restore it from a copy")
    })
}

/// Whoever waits for the lease.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// The row as it was when it changed last, and when that was.
    last: Option<(Seen, Instant)>,
    /// Whether it has changed since the first look.
    alive: bool,
    /// Whether leaders see this one as a standby that could lead.
    offered: bool,
}

/// What a look at the lease comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// It has been taken: with this epoch.
    Taken(u64),
    /// Somebody has it, and was heard of since the first look.
    Held(Leader),
    /// Another coordinator has it, which was not heard of yet.
    Silent(Leader),
}

impl Waiting {
    /// Looks whether the lease is free, and takes it then. After an error it waits anew: nobody knows what it has not seen.
    pub(super) fn look(&mut self, session: &Session, me: &Leader) -> Result<Look, JournalError> {
        self.look_and(session, me, true)
    }

    /// The same as a standby, which leaders know by the name of its connection. Without `can_lead` it takes nothing, and no leader is to step
    /// down for it.
    pub(super) fn stand_by(
        &mut self,
        session: &Session,
        me: &Leader,
        can_lead: bool,
    ) -> Result<Look, JournalError> {
        if self.offered != can_lead {
            name_candidate(session, can_lead.then_some(me.name.as_str()))?;
            self.offered = can_lead;
        }
        self.look_and(session, me, can_lead)
    }

    fn look_and(&mut self, session: &Session, me: &Leader, can_lead: bool) -> Result<Look, JournalError> {
        let looked = self.try_look(session, me, can_lead);
        if looked.is_err() {
            *self = Self::default();
        }
        looked
    }

    fn try_look(&mut self, session: &Session, me: &Leader, can_lead: bool) -> Result<Look, JournalError> {
        // A server that hangs is told as soon as the leader would tell it. Who takes the lease waits for longer.
        let seen = session.within(LEADERS_LEASE, || look(session))?;
        let since = match &self.last {
            Some((last, since)) if *last == seen => *since,
            last => {
                self.alive |= last.is_some();
                let now = Instant::now();
                self.last = Some((seen.clone(), now));
                now
            }
        };
        if can_lead
            && (seen.released || since.elapsed() >= LEADERS_LEASE)
            && let Some(epoch) = take(session, &seen, me)?
        {
            return Ok(Look::Taken(epoch));
        }
        Ok(if self.alive { Look::Held(seen.leader) } else { Look::Silent(seen.leader) })
    }
}

/// Takes the lease, if it is still as it was seen. Its epoch.
fn take(session: &Session, seen: &Seen, me: &Leader) -> Result<Option<u64>, JournalError> {
    let unchanged = [seen.epoch.into(), seen.beat.into()];
    session.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid = 0 \
         AND objid = 1751474786 AND pid <> pg_backend_pid() \
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
         AND EXISTS (SELECT 1 FROM leader WHERE epoch = ?1 AND beat = ?2)",
        &unchanged,
    )?;
    lock(session)?;
    session.batch("BEGIN")?;
    let sql: &dyn Sql = session;
    let raised = counters::raise_epoch(sql)?;
    let ours = sql.all(
        "UPDATE leader SET epoch = ?3, beat = beat + 1, released = false, name = ?4, addresses = ?5 \
         WHERE epoch = ?1 AND beat = ?2 RETURNING epoch",
        &[
            seen.epoch.into(),
            seen.beat.into(),
            (raised as i64).into(),
            me.name.clone().into(),
            me.address.clone().into(),
        ],
        |row| row[0].as_i64(),
    )?;
    if ours.is_empty() {
        session.batch("ROLLBACK")?;
        session.batch("SELECT pg_advisory_unlock_all()")?;
        session.settle()?;
        return Ok(None);
    }
    session.commit()?;
    Ok(Some(raised))
}

/// Calls the connection of a standby so that [`standbys`] knows it, or does not.
fn name_candidate(session: &Session, standby: Option<&str>) -> Result<(), JournalError> {
    let role = standby.map_or_else(|| "hebbian candidate".to_owned(), |name| format!("{STANDBY}{name}"));
    let role: String = role.chars().filter(|c| !c.is_control()).collect();
    session.execute("SELECT set_config('application_name', ?1, false)", &[role.into()])?;
    session.settle()
}

/// How the names of standbys' connections begin.
const STANDBY: &str = "hebbian standby ";

/// Who waits for the lease.
pub(super) fn standbys(sql: &dyn Sql) -> Result<Vec<String>, JournalError> {
    let waiting = "SELECT substr(application_name, length(?1) + 1) FROM pg_stat_activity WHERE datname = current_database() \
                   AND starts_with(application_name, ?1) ORDER BY 1";
    sql.all(waiting, &[STANDBY.to_owned().into()], |row| row[0].as_str().map(str::to_owned))
}

/// Waits for the lock: then nothing is on its way any more that somebody else, or an earlier connection of this process, has begun.
pub(super) fn lock(session: &Session) -> Result<(), JournalError> {
    let sql: &dyn Sql = session;
    sql.all("SELECT 1 FROM (SELECT pg_advisory_lock(?1)) AS locked", &[LOCK.into()], |_| Ok(())).map(drop)
}

/// Takes the lock if nobody has it. Whether it was taken.
pub(super) fn try_lock(session: &Session) -> Result<bool, JournalError> {
    let sql: &dyn Sql = session;
    Ok(sql.number("SELECT pg_try_advisory_lock(?1)::int", &[LOCK.into()])? != 0)
}

/// How often the leader has shown that it lives.
pub(super) fn beats(session: &Session) -> Result<Option<(i64, i64)>, JournalError> {
    let sql: &dyn Sql = session;
    sql.first("SELECT epoch, beat FROM leader", &[], |row| Ok((row[0].as_i64()?, row[1].as_i64()?)))
}

/// Whether nobody leads, as whoever led last has said.
pub(super) fn is_released(session: &Session) -> Result<bool, JournalError> {
    let sql: &dyn Sql = session;
    Ok(sql.first("SELECT released FROM leader", &[], |row| Ok(row[0].as_i64()? != 0))?.unwrap_or(true))
}

/// Calls the connection of a leader so that [`end_former`] knows it.
pub(super) fn name(session: &Session, epoch: u64) -> Result<(), JournalError> {
    session.execute("SELECT set_config('application_name', ?1, false)", &[role(epoch).into()])?;
    session.settle()
}

/// What the server's tools call the leader's connection.
fn role(epoch: u64) -> String {
    format!("hebbian coordinator, epoch {epoch}")
}

/// Ends an earlier connection of the leader whose epoch this is, of which the server may not have noticed that it is gone.
pub(super) fn end_former(session: &Session, epoch: u64) -> Result<(), JournalError> {
    session.execute(
        "SELECT pg_terminate_backend(l.pid) FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid \
         WHERE locktype = 'advisory' AND granted AND classid = 0 AND objid = 1751474786 AND l.pid <> pg_backend_pid() \
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND application_name = ?1",
        &[role(epoch).into()],
    )
}

/// What is to be said, and who hears it.
#[derive(Default)]
struct Told {
    /// Nothing as long as the lease is renewed.
    last: Option<Notice>,
    attend: Option<Attend>,
}

impl Told {
    fn tell(&mut self, notice: Notice) {
        if let Some(attend) = &self.attend {
            attend(notice.clone());
        }
        self.last = Some(notice).filter(|notice| *notice != Notice::Reached(None));
    }
}

/// Keeps the lease alive, on a connection and a thread of its own, and says when that fails. Gives it back when it is dropped.
pub(super) struct Lease {
    told: Arc<Mutex<Told>>,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Lease")
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // It has nothing to say.
            let _ = thread.join();
        }
    }
}

impl Lease {
    /// Keeps the lease of an epoch.
    pub(super) fn keep(target: &Target, epoch: u64) -> Result<Self, JournalError> {
        let told = Arc::<Mutex<Told>>::default();
        let (stop, stopped) = mpsc::channel::<()>();
        let (target, telling) = (target.clone(), Arc::clone(&told));
        let store = target.name.clone();
        let thread = thread::Builder::new().name("lease".into()).spawn(move || {
            let (mut session, mut renewed) = (None, true);
            let tell = |notice| telling.lock().unwrap_or_else(PoisonError::into_inner).tell(notice);
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(BEAT) {
                match beat(&target, &mut session, epoch, renewed) {
                    Ok(()) => {
                        if !std::mem::replace(&mut renewed, true) {
                            tell(Notice::Reached(None));
                        }
                    }
                    Err(error @ JournalError::Superseded { .. }) => return tell(Notice::Ended(error)),
                    Err(error) => {
                        tracing::debug!(%error, "the lease cannot be renewed");
                        session = None;
                        if std::mem::replace(&mut renewed, false) {
                            tell(Notice::Reached(Some(error.to_string())));
                        }
                    }
                }
            }
            let release = "UPDATE leader SET released = true WHERE epoch = ?1";
            if let Some(session) = session {
                let released =
                    session.execute(release, &[(epoch as i64).into()]).and_then(|()| session.settle());
                if let Err(error) = released {
                    tracing::debug!(%error, "the lease cannot be given back; it runs out by itself");
                }
            }
        });
        let thread = thread.map_err(|error| JournalError::Unavailable {
            store,
            problem: format!("a thread cannot be started: {error}"),
        })?;
        Ok(Self { told, stop: Some(stop), thread: Some(thread) })
    }

    /// Who is to be told when the lease cannot be renewed, when it can again, and when another coordinator has taken over.
    pub(super) fn attend(&self, attend: Attend) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(notice) = &told.last {
            attend(notice.clone());
        }
        told.attend = Some(attend);
    }
}

/// Shows that the leader of an epoch lives. As long as that went well, `renewed`, it takes no longer than a lease lasts until somebody knows
/// that it does not any more; and a connection that was merely cut is followed by another one at once.
fn beat(
    target: &Target,
    session: &mut Option<Session>,
    epoch: u64,
    renewed: bool,
) -> Result<(), JournalError> {
    let begun = Instant::now();
    match beat_once(target, session, epoch, renewed) {
        Err(error) if error.is_transient() && renewed && begun.elapsed() < LEADERS_LEASE => {
            *session = None;
            beat_once(target, session, epoch, renewed)
        }
        done => done,
    }
}

fn beat_once(
    target: &Target,
    session: &mut Option<Session>,
    epoch: u64,
    renewed: bool,
) -> Result<(), JournalError> {
    let session = if let Some(session) = session {
        session
    } else {
        // Of several servers the first may be one that does not answer.
        let patience = if renewed { LEADERS_LEASE } else { ANSWER_TIMEOUT };
        let opened = Session::open_within(target, "hebbian lease", patience)?;
        session.insert(opened.patient(LEADERS_LEASE))
    };
    let sql: &dyn Sql = session;
    let renew = "UPDATE leader SET beat = beat + 1 WHERE epoch = ?1 RETURNING beat";
    if !sql.all(renew, &[(epoch as i64).into()], |row| row[0].as_i64())?.is_empty() {
        return Ok(());
    }
    Err(JournalError::Superseded { store: target.name.clone(), ours: epoch, found: counters::epoch(sql)? })
}

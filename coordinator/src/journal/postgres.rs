//! The journal in a PostgreSQL database: the same rows as in a file, and a coordinator that may be replaced by another.
//!
//! Who may write is in [`lease`]. A commit whose answer is lost may have been written: nobody knows. So the next connection first waits
//! until nothing of the former one is on its way any more (the lock), and then reads how many commits there were.

mod beside;
mod emptied;
mod lease;
mod repair;
mod schema;
mod session;
mod target;
mod tls;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hebbian_control::engine::effect::Transaction;
use hebbian_control::run::record::{LoadedRun, Snapshot, StoredStanding};
use hebbian_proto::v1::GenerationSummary;
use hebbian_shared::id::{GenerationIndex, RunId};

use super::clock::Clock;
use super::sql::counters::{self, Position};
use super::sql::sums::Changes;
use super::sql::tables::Tables;
use super::sql::{Sql, rows};
use super::{
    Address, Attend, Journal, JournalError, KeptSnapshots, Leader, Opened, Standby, StoredEvent, new_writes,
};
use lease::{LOOK, Lease, Look, Waiting};
use session::Session;
use target::Target;

pub(super) use beside::Beside;
pub(super) use emptied::Emptied;
pub(super) use repair::repair;
pub(super) use target::{is_ours, redacted};

/// After a server could not be reached, readers are told so for this long without another attempt: they would wait in a row.
const READERS_WAIT: Duration = Duration::from_secs(1);

/// Opens the journal at `postgresql://...`.
pub(super) fn open(address: &Address<'_>, kept: KeptSnapshots) -> Option<Opened> {
    is_ours(address.url).then(|| {
        let target = Target::parse(address.url).map_err(|problem| address.refused(problem))?;
        let journal = PostgresJournal::open(target, address.leader)?;
        Ok(Box::new(PostgresJournal { kept, ..journal }) as Box<dyn Journal>)
    })
}

/// Waits until the journal at `postgresql://...` has no leader, and opens it then; none if the address is of another kind.
pub(super) fn follow(
    address: &Address<'_>,
    kept: KeptSnapshots,
    standby: &dyn Standby,
) -> Option<Result<Option<Box<dyn Journal>>, JournalError>> {
    is_ours(address.url).then(|| {
        let target = Target::parse(address.url).map_err(|problem| address.refused(problem))?;
        let found = PostgresJournal::follow(target, address.leader, standby)?;
        Ok(found.map(|journal| Box::new(PostgresJournal { kept, ..journal }) as Box<dyn Journal>))
    })
}

/// Opens the journal at `postgresql://...` where there is one.
pub(super) fn existing(address: &Address<'_>) -> Option<Result<PostgresJournal, JournalError>> {
    is_ours(address.url).then(|| {
        let target = Target::parse(address.url).map_err(|problem| address.refused(problem))?;
        schema::recognise(&Session::open(&target, "hebbian reader")?)?;
        PostgresJournal::open(target, address.leader)
    })
}

/// See the module.
#[derive(Debug)]
pub(super) struct PostgresJournal {
    target: Target,
    epoch: u64,
    kept: KeptSnapshots,
    /// Where it is, as far as it is known.
    position: Position,
    /// The last transaction of a commit whose answer has not come.
    unknown: Option<u64>,
    /// The last transaction of such a commit that turned out to be written.
    written: Option<u64>,
    session: Option<Session>,
    /// When a connection failed last.
    failed: Option<Instant>,
    clock: Clock,
    lease: Lease,
}

/// What start and verification ask of the counters: besides those of every store, when something was written last.
fn check(session: &Session) -> Result<(), JournalError> {
    counters::check(session)?;
    counters::check_counter(session, "written")
}

impl PostgresJournal {
    /// Opens or creates the journal in a database; waits for the end of the lease of a coordinator that has gone without a word.
    fn open(target: Target, me: &Leader) -> Result<Self, JournalError> {
        let session = Session::open(&target, "hebbian candidate")?;
        schema::prepare(&session)?;
        check(&session)?;
        let mut waiting = Waiting::default();
        let epoch = loop {
            match waiting.look(&session, me)? {
                Look::Taken(epoch) => break epoch,
                Look::Held(_) => return Err(JournalError::Locked { store: target.name }),
                Look::Silent(_) => std::thread::sleep(LOOK),
            }
        };
        Self::lead(target, session, epoch)
    }

    /// Waits until nobody leads, and opens it then.
    fn follow(target: Target, me: &Leader, standby: &dyn Standby) -> Result<Option<Self>, JournalError> {
        let (mut session, mut waiting, mut told) = (None, Waiting::default(), false);
        loop {
            let looked = Self::look(&target, &mut session, &mut waiting, me, standby.can_lead());
            let leader = match looked {
                Ok(Look::Taken(epoch)) => {
                    let session = session.expect("the lease was taken over it");
                    return Self::lead(target, session, epoch).map(Some);
                }
                Ok(Look::Held(leader) | Look::Silent(leader)) => {
                    told = false;
                    Some(leader)
                }
                Err(error) if error.is_transient() => {
                    if !std::mem::replace(&mut told, true) {
                        tracing::warn!(%error, "the standby cannot see whether there is a leader; it tries again");
                    }
                    session = None;
                    None
                }
                Err(error) => return Err(error),
            };
            if !standby.goes_on(leader.as_ref()) {
                return Ok(None);
            }
            std::thread::sleep(LOOK);
        }
    }

    /// One look of a standby at the lease, which it takes if it can lead.
    fn look(
        target: &Target,
        session: &mut Option<Session>,
        waiting: &mut Waiting,
        me: &Leader,
        can_lead: bool,
    ) -> Result<Look, JournalError> {
        let session = if let Some(session) = session {
            session
        } else {
            // What it has not seen meanwhile it does not know.
            *waiting = Waiting::default();
            let opened = Session::open(target, "hebbian candidate")?;
            schema::prepare(&opened)?;
            session.insert(opened)
        };
        waiting.stand_by(session, me, can_lead)
    }

    /// Begins to write, with a lease that was taken.
    fn lead(target: Target, session: Session, epoch: u64) -> Result<Self, JournalError> {
        let lease = Lease::keep(&target, epoch)?;
        lease::name(&session, epoch)?;
        let position = counters::position(&session)?;
        let written = (&session as &dyn Sql).number("SELECT value FROM meta WHERE key = 'written'", &[])?;
        let last_written = (written > 0).then(|| UNIX_EPOCH + Duration::from_secs(written.unsigned_abs()));
        Ok(Self {
            target,
            epoch,
            kept: KeptSnapshots::LAST,
            position,
            unknown: None,
            written: None,
            session: Some(session),
            failed: None,
            clock: Clock::new(last_written),
            lease,
        })
    }

    /// The rows.
    pub(super) fn sql(&mut self) -> Result<&dyn Sql, JournalError> {
        self.connected().map(|session| session as &dyn Sql)
    }

    /// A connection that works: the one there is, or another one, after it is known what has become of the former one's commit.
    fn connected(&mut self) -> Result<&Session, JournalError> {
        if self.session.as_ref().is_none_or(Session::is_closed) {
            self.session = None;
            match self.reconnect() {
                Ok(session) => self.session = Some(session),
                Err(error) => {
                    self.failed = Some(Instant::now());
                    return Err(error);
                }
            }
        }
        Ok(self.session.as_ref().expect("it is there"))
    }

    fn reconnect(&mut self) -> Result<Session, JournalError> {
        let session = Session::open(&self.target, "hebbian candidate")?;
        self.check_epoch(counters::epoch(&session)?)?;
        lease::end_former(&session, self.epoch)?;
        lease::lock(&session)?;
        lease::name(&session, self.epoch)?;
        // Again: somebody may have had the lock, and nobody can have it from now on.
        self.check_epoch(counters::epoch(&session)?)?;
        let found = counters::position(&session)?;
        let more = found.commits - self.position.commits;
        if found.journal != self.position.journal || more < 0 {
            return Err((&session as &dyn Sql).corrupt(format!(
                "it ends with commit {}, but commit {} was acknowledged: the server was set back to an older copy, or another \
                 server without the last commits has taken its place",
                found.commits, self.position.commits
            )));
        }
        match (more, self.unknown.take()) {
            (0, _) => {}
            (1, Some(last)) => self.written = self.written.max(Some(last)),
            _ => {
                return Err((&session as &dyn Sql)
                    .corrupt(format!("somebody else has written commit {} to it", found.commits)));
            }
        }
        self.position = found;
        Ok(session)
    }

    fn check_epoch(&self, found: u64) -> Result<(), JournalError> {
        if found == self.epoch {
            return Ok(());
        }
        Err(JournalError::Superseded { store: self.target.name.clone(), ours: self.epoch, found })
    }

    /// Writes transactions over a connection that works.
    fn write(&mut self, transactions: &[Transaction]) -> Result<(), JournalError> {
        self.connected()?;
        // Not another one from here on, which would not be in the transaction.
        let session = self.session.as_ref().expect("it is connected");
        session.batch("BEGIN")?;
        let sql: &dyn Sql = session;
        // Nobody raises it before the end of this transaction.
        let found = sql.number("SELECT value FROM meta WHERE key = 'epoch' FOR SHARE", &[])?;
        self.check_epoch(found.unsigned_abs())?;
        let mut sums = Changes::default();
        for record in new_writes(transactions, self.written) {
            rows::write(sql, record, self.kept, &mut sums)?;
        }
        sums.store(sql)?;
        counters::advance(sql)?;
        let unix_s = self.clock.unix_s(&self.target.name) as i64;
        sql.execute("UPDATE meta SET value = ?1 WHERE key = 'written'", &[unix_s.into()])?;
        Ok(())
    }

    /// What is read over a connection that works; if it turns out not to, over another one.
    fn read<T>(&mut self, read: impl Fn(Tables<'_>) -> Result<T, JournalError>) -> Result<T, JournalError> {
        let closed = self.session.as_ref().is_none_or(Session::is_closed);
        if closed && self.failed.is_some_and(|failed| failed.elapsed() < READERS_WAIT) {
            let problem = "the connection to the server was lost".to_owned();
            return Err(JournalError::Unavailable { store: self.target.name.clone(), problem });
        }
        self.each(|tables| read(tables).map_err(|error| (error, false)))
    }

    /// The same for what cannot be read twice once something was taken, which an error says.
    fn each<T>(
        &mut self,
        mut read: impl FnMut(Tables<'_>) -> Result<T, (JournalError, bool)>,
    ) -> Result<T, JournalError> {
        match read(Tables { sql: self.connected()? }) {
            Err((error, false)) if error.is_transient() => {
                self.session = None;
                read(Tables { sql: self.connected()? }).map_err(|(error, _)| error)
            }
            answer => answer.map_err(|(error, _)| error),
        }
    }
}

impl Journal for PostgresJournal {
    fn store(&self) -> &str {
        &self.target.name
    }

    fn kept(&self) -> KeptSnapshots {
        self.kept
    }

    fn epoch(&self) -> u64 {
        self.epoch
    }

    fn last_written(&self) -> Option<SystemTime> {
        self.clock.last_written()
    }

    fn distrust_clock(&mut self) {
        self.clock.distrust();
    }

    fn attend(&mut self, attend: Attend) {
        self.lease.attend(attend);
    }

    fn standbys(&mut self) -> Result<Vec<String>, JournalError> {
        self.read(|tables| lease::standbys(tables.sql))
    }

    fn load_each(&mut self, take: &mut dyn FnMut(LoadedRun)) -> Result<(), JournalError> {
        let mut begun = false;
        self.each(|tables| {
            tables
                .each_run(&mut |run| {
                    begun = true;
                    take(run);
                })
                .map_err(|error| (error, begun))
        })
    }

    fn standing_each(&mut self, take: &mut dyn FnMut(StoredStanding)) -> Result<(), JournalError> {
        let mut begun = false;
        self.each(|tables| {
            tables
                .each_standing(&mut |run| {
                    begun = true;
                    take(run);
                })
                .map_err(|error| (error, begun))
        })
    }

    fn run(&mut self, run: RunId) -> Result<Option<LoadedRun>, JournalError> {
        self.read(|tables| tables.one_run(run))
    }

    /// All is on the disk when it is committed: a server that is set back to before what was said would be worse than a slow one.
    fn commit(&mut self, transactions: &[Transaction], _sync: bool) -> Result<(), JournalError> {
        let written = self.write(transactions).and_then(|()| {
            let session = self.session.as_ref().expect("it was written over it");
            session.settle()?;
            // From here on it may be written.
            self.unknown = transactions.last().map(|last| last.position);
            session.commit()
        });
        match written {
            Ok(()) => {
                self.position.commits += 1;
                let last = transactions.last().map(|last| last.position);
                // What frees room is written by itself, and has no position.
                self.written = self.written.filter(|written| last < Some(*written));
                (self.unknown, self.failed) = (None, None);
                Ok(())
            }
            Err(error) => {
                // What is left of the transaction ends with its connection.
                self.session = None;
                Err(error)
            }
        }
    }

    fn generations(
        &mut self,
        run: RunId,
        from: GenerationIndex,
        limit: u32,
    ) -> Result<Vec<GenerationSummary>, JournalError> {
        self.read(|tables| tables.generations(run, from, limit))
    }

    fn snapshots(&mut self, run: RunId) -> Result<Vec<GenerationIndex>, JournalError> {
        self.read(|tables| tables.snapshots(run))
    }

    fn snapshot(&mut self, run: RunId, closed: GenerationIndex) -> Result<Option<Snapshot>, JournalError> {
        self.read(|tables| tables.snapshot(run, closed))
    }

    fn events(
        &mut self,
        run: RunId,
        after: u64,
        up_to: u64,
        limit: u32,
    ) -> Result<Vec<StoredEvent>, JournalError> {
        self.read(|tables| tables.events(run, after, up_to, limit))
    }
}

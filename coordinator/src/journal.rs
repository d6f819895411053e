//! The journal: where records survive. One trait, three stores, one conformance suite (`tests/tests/storage.rs`).
//!
//! **Form.** A run's history is its records. All are kept but settlements, of which only the open generation's are needed; those
//! of a closed one are dropped, for its record has what the search was told. So a journal grows by that record a generation.
//! Snapshots only save the time to compute the search again.
//!
//! **Epochs.** Opening a journal for writing raises its epoch. Every commit says its journal's epoch, and one below
//! the stored epoch is refused: of two coordinators on one journal only the younger can write.

pub(crate) mod clock;
pub mod codec;
pub mod memory;
pub mod migrate;
mod postgres;
pub mod reader;
pub mod repair;
mod sql;
pub mod sqlite;

use std::time::SystemTime;

use hebbian_proto::v1;
use hebbian_shared::id::{GenerationIndex, RunId};

use hebbian_control::engine::effect::Transaction;
use hebbian_control::run::record::{LoadedRun, Snapshot, StoredStanding, Write};

/// Why a journal cannot be used. Each message names the store.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// The address names no store that this program has.
    #[error("storage.url: `{url}` {problem}")]
    Url {
        /// The address.
        url: String,
        /// What is wrong with it, and what would be right.
        problem: String,
    },
    /// Another process has it open.
    #[error("{store}: another hebbian process is using this journal; stop it, or wait for its end")]
    Locked {
        /// The store.
        store: String,
    },
    /// Another coordinator has taken it over.
    #[error(
        "{store}: a younger coordinator (epoch {found}) has taken this journal over from this one (epoch {ours})"
    )]
    Superseded {
        /// The store.
        store: String,
        /// The epoch of this journal.
        ours: u64,
        /// The epoch that is stored.
        found: u64,
    },
    /// Written by a newer program.
    #[error(
        "{store}: this journal was written by a newer hebbian (format {found}, this one reads up to {known})"
    )]
    Newer {
        /// The store.
        store: String,
        /// Its format.
        found: i64,
        /// The newest format that this program knows.
        known: i64,
    },
    /// Not a journal at all, or damaged.
    #[error("{store}: {problem}")]
    Corrupt {
        /// The store.
        store: String,
        /// What is wrong.
        problem: String,
    },
    /// There is no room for more. Worth trying again, and what frees room may be tried at once.
    #[error("{store}: no space left on the disk")]
    Full {
        /// The store.
        store: String,
    },
    /// It cannot be written for now: no permission, an error of the device. Worth trying again.
    #[error("{store}: {problem}")]
    Unavailable {
        /// The store.
        store: String,
        /// What is wrong, for example `the file is read-only`.
        problem: String,
    },
}

impl JournalError {
    /// Whether it may be over later, without anybody touching the coordinator.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Full { .. })
    }
}

/// Which snapshots of a run are kept beside the last two, which save recovery time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptSnapshots {
    /// Those after a multiple of so many generations; 0 for none.
    pub every: u32,
}

impl KeptSnapshots {
    /// Only what saves recovery time.
    pub const LAST: Self = Self { every: 0 };

    /// Whether a snapshot is kept for ever.
    pub fn keeps(self, closed: GenerationIndex) -> bool {
        self.every > 0 && closed.0.is_multiple_of(self.every)
    }
}

/// Whoever leads a cluster, as others are told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leader {
    /// Its name, for people.
    pub name: String,
    /// Where workers and clients reach it.
    pub address: String,
}

impl std::fmt::Display for Leader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, address } = self;
        if address.is_empty() { write!(f, "{name}") } else { write!(f, "{name} at {address}") }
    }
}

/// What a journal says by itself, though nothing is written at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// It cannot be reached for the reason that is told, or can be again.
    Reached(Option<String>),
    /// It can never be written again by this process, for example because another coordinator has taken it over.
    Ended(JournalError),
}

/// Who hears a journal's notices.
pub type Attend = Box<dyn Fn(Notice) + Send>;

/// A committed event with the sequence number of its record.
pub type StoredEvent = (u64, v1::RunEvent);

/// A store of records. Calls may block; the driver makes them on a thread of their own.
pub trait Journal: Send {
    /// The store's name in messages: the path of a file.
    fn store(&self) -> &str;

    /// Which snapshots it keeps beside the last two of each run.
    fn kept(&self) -> KeptSnapshots;

    /// The epoch of this opening, higher than any before.
    fn epoch(&self) -> u64;

    /// When the store was last written before this opening, by its own clock; none if it is new or does not know.
    fn last_written(&self) -> Option<SystemTime> {
        None
    }

    /// Has `attend` be called with what the journal says by itself.
    fn attend(&mut self, _attend: Attend) {}

    /// Looks whether the journal is where it should be. A journal that says so by itself need not look.
    fn look(&mut self) -> Result<(), JournalError> {
        Ok(())
    }

    /// The names of coordinators that wait to take the journal over.
    fn standbys(&mut self) -> Result<Vec<String>, JournalError> {
        Ok(Vec::new())
    }

    /// The clock of this process is not to be remembered as the time of what is written.
    fn distrust_clock(&mut self) {}

    /// Reads all runs in order of creation, one after the other. What is wrong with one of them keeps nobody from the others.
    fn load_each(&mut self, take: &mut dyn FnMut(LoadedRun)) -> Result<(), JournalError>;

    /// The same for whoever starts: of runs that have ended without their searches, which are most of a journal.
    fn standing_each(&mut self, take: &mut dyn FnMut(StoredStanding)) -> Result<(), JournalError> {
        self.load_each(&mut |loaded| take(StoredStanding::Loaded(loaded)))
    }

    /// Gives back the room that is kept for what frees room.
    fn give_room(&mut self) {}

    /// Keeps it again; whether there was any.
    fn keep_room(&mut self) -> bool {
        true
    }

    /// All runs in order of creation, together.
    fn load(&mut self) -> Result<Vec<LoadedRun>, JournalError> {
        let mut runs = Vec::new();
        self.load_each(&mut |run| runs.push(run))?;
        Ok(runs)
    }

    /// One run; none if there is no such run.
    fn run(&mut self, run: RunId) -> Result<Option<LoadedRun>, JournalError>;

    /// Writes transactions, all or nothing. Afterwards they survive the process; with `sync`, they and all before
    /// them survive a power loss. After an error that [`JournalError::is_transient`] nothing has been written, and
    /// the same call may be made again.
    fn commit(&mut self, transactions: &[Transaction], sync: bool) -> Result<(), JournalError>;

    /// At most `limit` closed generations of a run, from `from` on. Empty if there is no such run.
    fn generations(
        &mut self,
        run: RunId,
        from: GenerationIndex,
        limit: u32,
    ) -> Result<Vec<v1::GenerationSummary>, JournalError>;

    /// The snapshots that are kept of a run, by their number of closed generations, in order. Empty if there is no such run.
    fn snapshots(&mut self, run: RunId) -> Result<Vec<GenerationIndex>, JournalError>;

    /// A snapshot of a run, if it is kept.
    fn snapshot(&mut self, run: RunId, closed: GenerationIndex) -> Result<Option<Snapshot>, JournalError>;

    /// At most `limit` events of a run in order, with sequence numbers after `after` and up to `up_to`.
    fn events(
        &mut self,
        run: RunId,
        after: u64,
        up_to: u64,
        limit: u32,
    ) -> Result<Vec<StoredEvent>, JournalError>;
}

/// What is to be written of transactions of which those up to the position `written` have been.
fn new_writes(transactions: &[Transaction], written: Option<u64>) -> impl Iterator<Item = &Write> {
    let is_new =
        move |transaction: &&Transaction| written.is_none_or(|written| transaction.position > written);
    transactions.iter().filter(is_new).flat_map(|transaction| &transaction.writes)
}

/// A journal, or why it cannot be used.
type Opened = Result<Box<dyn Journal>, JournalError>;

/// A kind of store, chosen by how an address begins.
struct Store {
    /// How its addresses look, in messages.
    form: &'static str,
    /// Opens the journal at an address for writing; none if the address is not of this kind.
    open: fn(&Address<'_>, KeptSnapshots) -> Option<Opened>,
}

/// All stores.
const STORES: [Store; 3] = [
    Store { form: "`sqlite:PATH`", open: sqlite::open },
    Store { form: "`postgresql://USER@HOST/DATABASE`", open: postgres::open },
    Store { form: "`memory:`", open: memory::open },
];

/// Where a journal is.
struct Address<'a> {
    url: &'a str,
    /// Who opens it.
    leader: &'a Leader,
}

impl Address<'_> {
    /// What stands behind `scheme:`; none if the address begins otherwise, or ends there.
    fn behind(&self, scheme: &str) -> Option<&str> {
        self.url.strip_prefix(scheme)?.strip_prefix(':').filter(|rest| !rest.is_empty())
    }

    /// What is wrong with it, and what would be right.
    fn refused(&self, problem: String) -> JournalError {
        JournalError::Url { url: redacted(self.url), problem }
    }
}

/// An address without its password: for messages.
pub fn redacted(url: &str) -> String {
    postgres::redacted(url)
}

/// Opens the journal at an address for writing: `sqlite:PATH` or `postgresql://...` (created if it is not there), or `memory:`. May take
/// some seconds, and must not be called by an async task.
pub fn open(url: &str) -> Result<Box<dyn Journal>, JournalError> {
    open_keeping(url, KeptSnapshots::LAST, &Leader::default())
}

/// As [`open`], for a journal that keeps more snapshots, and by somebody with a name.
pub fn open_keeping(
    url: &str,
    kept: KeptSnapshots,
    leader: &Leader,
) -> Result<Box<dyn Journal>, JournalError> {
    let address = Address { url, leader };
    STORES.iter().find_map(|store| (store.open)(&address, kept)).unwrap_or_else(|| Err(unknown(url)))
}

/// Whether several coordinators can have the journal at an address, one after the other.
pub fn can_be_taken_over(url: &str) -> bool {
    postgres::is_ours(url)
}

/// What a standby is asked while it waits, many times a second.
pub trait Standby {
    /// Hears who leads, as far as that is known, and says whether to wait on.
    fn goes_on(&self, leader: Option<&Leader>) -> bool;

    /// Whether it could lead at this moment. Until it can, it takes nothing, and no leader steps down for it.
    fn can_lead(&self) -> bool;
}

/// Waits until the journal at an address has no leader, and opens it then; none if the standby does not wait on.
pub fn await_lead(
    url: &str,
    kept: KeptSnapshots,
    leader: &Leader,
    standby: &dyn Standby,
) -> Result<Option<Box<dyn Journal>>, JournalError> {
    let address = Address { url, leader };
    postgres::follow(&address, kept, standby).unwrap_or_else(|| {
        let problem = "cannot be taken over by a standby: it must be `postgresql://USER@HOST/DATABASE`";
        Err(address.refused(problem.to_owned()))
    })
}

/// An address that names no store.
fn unknown(url: &str) -> JournalError {
    let forms = STORES.map(|store| store.form).join(" or ");
    let problem = format!("names no journal: it must be {forms}");
    JournalError::Url { url: redacted(url), problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_its_store() {
        for url in ["", "journal.sqlite", "sqlite", "sqlite:", "memory:x", "memory", "postgres:x"] {
            let error = open(url).map(|_| ()).expect_err(url).to_string();
            let expected = format!(
                "storage.url: `{url}` names no journal: it must be `sqlite:PATH` or `postgresql://USER@HOST/DATABASE` or `memory:`"
            );
            assert_eq!(error, expected);
        }
        let error = open("sqlite::memory:").map(|_| ()).unwrap_err().to_string();
        assert_eq!(
            error,
            "storage.url: `sqlite::memory:` would forget everything at its end; write `memory:` if that is meant"
        );
        assert_eq!(open("memory:").unwrap().store(), "memory:");
    }
}

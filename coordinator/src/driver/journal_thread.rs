//! The journal's own thread: it groups commits, tries again while the disk is full, and reads for whoever asks.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use hebbian_control::command::Refusal;
use hebbian_control::engine::effect::{Event, Transaction};
use hebbian_control::run::record::Write;
use hebbian_shared::id::RunId;
use tokio::sync::mpsc::UnboundedSender;

use super::group::Group;
use crate::handle::Reply;
use crate::journal::{Journal, JournalError, Notice};
use crate::timing::Timings;

/// The first and the longest wait before a failed commit is tried again.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// How often a journal that is not written is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// How long after there was no room to be kept it is tried again.
const ROOM_INTERVAL: Duration = Duration::from_secs(30);

fn frees_room(transaction: &Transaction) -> bool {
    transaction.writes.iter().any(Write::frees_room)
}

/// The deletions of a group, and the group without all that is about runs that it deletes.
fn apart(transactions: &[Transaction]) -> (Vec<Write>, Vec<Transaction>) {
    let writes = transactions.iter().flat_map(|transaction| &transaction.writes);
    let deleted: Vec<Write> = writes.filter(|write| matches!(write, Write::Delete { .. })).cloned().collect();
    let gone: BTreeSet<RunId> = deleted.iter().map(Write::run).collect();
    let rest = transactions.iter().map(|transaction| {
        let kept = transaction.writes.iter().filter(|write| !gone.contains(&write.run()));
        Transaction { writes: kept.cloned().collect(), ..*transaction }
    });
    (deleted, rest.collect())
}

/// A journal's failure as whoever asks is told it.
#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
pub(super) fn failed(error: JournalError) -> Refusal {
    Refusal::Journal(error.to_string())
}

/// Something to be done with the journal between commits.
pub(super) type Read = Box<dyn FnOnce(&mut dyn Journal) + Send>;

/// Something for the thread.
pub(super) enum JournalRequest {
    Commit(Transaction),
    Read(Read),
    /// It can be reached again: what could not be written may be tried at once.
    TryAgain,
    Close {
        answer: Reply<()>,
    },
}

/// What the thread says.
#[derive(Debug)]
pub(super) enum Said {
    /// For the engine.
    Event(Event),
    /// The journal can never be written again by this process.
    Ended(JournalError),
}

/// Starts the thread; it ends with `Close`, with the last sender, or with an error that will not pass.
pub(super) fn spawn(
    mut journal: Box<dyn Journal>,
    said: UnboundedSender<Said>,
    timings: Arc<Timings>,
) -> std::io::Result<Sender<JournalRequest>> {
    let (sender, jobs) = mpsc::channel();
    let hears = said.clone();
    journal.attend(Box::new(move |notice| {
        let told = match notice {
            Notice::Reached(problem) => Said::Event(Event::JournalReached { problem }),
            Notice::Ended(error) => Said::Ended(error),
        };
        // Without a driver nobody needs to know.
        let _ = hears.send(told);
    }));
    thread::Builder::new().name("journal".into()).spawn(move || {
        let (group, retry, room_given) = (Group::new(journal.kept()), None, None);
        let (committed, synced, missed, looked) = (0, 0, false, Instant::now());
        JournalThread {
            journal,
            jobs,
            said,
            group,
            retry,
            looked,
            room_given,
            committed,
            synced,
            missed,
            timings,
        }
        .run();
    })?;
    Ok(sender)
}

struct JournalThread {
    journal: Box<dyn Journal>,
    jobs: Receiver<JournalRequest>,
    said: UnboundedSender<Said>,
    group: Group,
    /// After a failed attempt: when the next one is due, and how long the wait for it is.
    retry: Option<(Instant, Duration)>,
    /// When it was looked whether the journal is where it should be.
    looked: Instant,
    /// When the room that is kept was given back.
    room_given: Option<Instant>,
    committed: u64,
    synced: u64,
    /// Whether it was said that the journal is not where it should be.
    missed: bool,
    timings: Arc<Timings>,
}

impl JournalThread {
    fn run(mut self) {
        loop {
            let wait = self.retry.map_or(LOOK, |(due, _)| due.saturating_duration_since(Instant::now()));
            let closing = match self.jobs.recv_timeout(wait) {
                Ok(job) => self.gather(job),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            // By the clock and not by the silence: readers may ask all the time.
            if self.retry.is_none() && self.looked.elapsed() >= LOOK {
                self.look();
            }
            let due = self.retry.is_none_or(|(due, _)| Instant::now() >= due);
            if (due || closing.is_some())
                && let Err(error) = self.commit()
            {
                if let Some(answer) = closing {
                    let _ = answer.send(Err(Refusal::Journal(error.to_string())));
                }
                let _ = self.said.send(Said::Ended(error));
                return;
            }
            if let Some(answer) = closing {
                let lost = self.group.transactions().len();
                // The file is closed before anybody hears that it is.
                drop(self);
                let closed = if lost == 0 {
                    Ok(())
                } else {
                    Err(Refusal::Journal("its last records could not be written".into()))
                };
                let _ = answer.send(closed);
                return;
            }
        }
    }

    /// Looks whether the journal is where it should be.
    fn look(&mut self) {
        self.looked = Instant::now();
        let problem = self.journal.look().err().map(|error| error.to_string());
        self.tell_missed(problem);
    }

    fn tell_missed(&mut self, problem: Option<String>) {
        let missed = problem.is_some();
        if std::mem::replace(&mut self.missed, missed) != missed {
            let _ = self.said.send(Said::Event(Event::JournalReached { problem }));
        }
    }

    /// Takes a job and all that wait behind it: one commit serves them together.
    fn gather(&mut self, first: JournalRequest) -> Option<Reply<()>> {
        let mut next = Some(first);
        while let Some(job) = next {
            match job {
                JournalRequest::Commit(transaction) => {
                    if let Some((due, _)) = &mut self.retry
                        && frees_room(&transaction)
                    {
                        *due = Instant::now();
                    }
                    self.group.push(transaction);
                }
                JournalRequest::Read(read) => read(self.journal.as_mut()),
                JournalRequest::TryAgain => {
                    if let Some((due, _)) = &mut self.retry {
                        *due = Instant::now();
                    }
                }
                JournalRequest::Close { answer } => return Some(answer),
            }
            next = self.jobs.try_recv().ok();
        }
        None
    }

    /// Writes a group that frees room on a disk that has none, into the room that is kept for it.
    fn commit_to_free_room(&mut self, sync: bool) -> Result<(), JournalError> {
        self.journal.give_room();
        self.room_given = Some(Instant::now());
        self.journal.commit(self.group.transactions(), sync).or_else(|error| {
            // What is deleted goes first where there is no room for the rest, of which nothing is then written that it takes with it.
            let (deleted, rest) = apart(self.group.transactions());
            if deleted.is_empty() {
                return Err(error);
            }
            self.journal.commit(&[Transaction { position: 0, writes: deleted, sync: true }], true)?;
            self.journal.commit(&rest, sync)
        })?;
        self.keep_room();
        Ok(())
    }

    /// Keeps room for the next time; tries again later if there is none.
    fn keep_room(&mut self) {
        self.room_given = if self.journal.keep_room() { None } else { Some(Instant::now()) };
    }

    /// Writes the group. An error that may pass keeps it for the next attempt.
    fn commit(&mut self) -> Result<(), JournalError> {
        let Some(last) = self.group.transactions().last().map(|transaction| transaction.position) else {
            return Ok(());
        };
        let sync = self.group.transactions().iter().any(|transaction| transaction.sync);
        let committed = self.timings.commits.time(|| self.journal.commit(self.group.transactions(), sync));
        let written = committed.or_else(|error| {
            let frees_room = self.group.transactions().iter().any(frees_room);
            if matches!(error, JournalError::Full { .. }) && frees_room {
                self.commit_to_free_room(sync)
            } else {
                Err(error)
            }
        });
        match written {
            Ok(()) => {
                if self.room_given.is_some_and(|given| given.elapsed() >= ROOM_INTERVAL) {
                    self.keep_room();
                }
                self.retry = None;
                self.tell_missed(None);
                self.group.clear();
                self.committed = last;
                if sync {
                    self.synced = last;
                }
                let event = Event::Journalled { committed: self.committed, synced: self.synced };
                let _ = self.said.send(Said::Event(event));
                Ok(())
            }
            Err(error) if error.is_transient() => {
                let wait = self.retry.map_or(RETRY.0, |(_, wait)| (2 * wait).min(RETRY.1));
                self.retry = Some((Instant::now() + wait, wait));
                let is_full = matches!(error, JournalError::Full { .. });
                let failed = Event::JournalFailed { reason: error.to_string(), is_full };
                let _ = self.said.send(Said::Event(failed));
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use hebbian_control::run::record::Record;

    use super::*;
    use crate::journal;

    #[test]
    fn a_journal_that_is_moved_away_is_missed_though_it_is_read_all_the_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.sqlite");
        let journal = journal::open(&format!("sqlite:{}", path.display())).unwrap();
        let (said, mut heard) = tokio::sync::mpsc::unbounded_channel();
        let jobs = spawn(journal, said, Arc::default()).unwrap();
        std::fs::rename(&path, folder.path().join("elsewhere.sqlite")).unwrap();
        let begun = Instant::now();
        let told = loop {
            let (read, done) = mpsc::channel();
            jobs.send(JournalRequest::Read(Box::new(move |_| read.send(()).unwrap()))).unwrap();
            done.recv().unwrap();
            if let Ok(told) = heard.try_recv() {
                break told;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "nobody is told");
        };
        let told = format!("{told:?}");
        assert!(told.contains("JournalReached") && told.contains("put it back"), "{told}");
    }

    #[test]
    fn what_a_deletion_takes_with_it_needs_no_room() {
        let note = |run: u64| Write::Record {
            run: RunId::new(run),
            sequence: 1,
            record: Record::Note { text: "what was changed".to_owned() },
        };
        let transaction =
            |position, writes: &[Write]| Transaction { position, writes: writes.to_vec(), sync: true };
        let delete = Write::Delete { run: RunId::new(1) };
        let group = [
            transaction(1, &[note(1), note(2)]),
            transaction(2, &[note(1)]),
            transaction(3, std::slice::from_ref(&delete)),
        ];
        let (deleted, rest) = apart(&group);
        assert_eq!(deleted, [delete]);
        // Each position is still committed, in its order.
        assert_eq!(rest, [transaction(1, &[note(2)]), transaction(2, &[]), transaction(3, &[])]);
    }
}

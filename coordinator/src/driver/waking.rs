//! Runs that have ended and rest, for commands that need all of them: they are read from the journal and taken up on another thread,
//! and the driver goes on meanwhile.

use hebbian_control::command::{Command, Refusal};
use hebbian_control::run::record::UnreadableRun;
use hebbian_control::run::recovery::TakenUp;
use hebbian_control::run::{Run, record::Write};
use hebbian_shared::id::RunId;
use tokio::sync::oneshot;

use super::Driver;
use super::journal_thread::{JournalRequest, failed};
use crate::handle::Reply;

/// What the driver does with a run that was read again.
pub(super) type Woken = Box<dyn FnOnce(&mut Driver) + Send>;

/// A run as it was read, with the number of its last record and what there is to write.
type Whole = (Box<Run>, u64, Vec<Write>);

impl Driver {
    /// Reads the run that a command needs, and executes the command then.
    pub(super) fn wake<C: Command>(&self, run: RunId, command: C, reply: Reply<C::Answer>) {
        let (now, strategies) = (self.now(), self.settings.engine.strategies);
        let (jobs, woken) = (self.jobs.clone(), self.woken.clone());
        tokio::spawn(async move {
            let (answer, read) = oneshot::channel();
            let job = JournalRequest::Read(Box::new(move |journal| drop(answer.send(journal.run(run)))));
            let _ = jobs.send(job);
            let loaded = match read.await {
                Ok(loaded) => {
                    loaded.map_err(failed).and_then(|run_read| run_read.ok_or(Refusal::NoSuchRun(run)))
                }
                Err(_) => Err(Refusal::ShuttingDown),
            };
            // Its search may take a while.
            let taken_up = tokio::task::spawn_blocking(move || {
                let loaded = loaded?;
                let read = loaded.as_ref().map_or(0, |stored| stored.sequence);
                match TakenUp::whole(now, loaded, strategies) {
                    TakenUp::Whole(whole, writes) => Ok((whole, read, writes)),
                    TakenUp::Unreadable(UnreadableRun { problem, .. }) => {
                        Err(Refusal::WrongState { run, problem: format!("cannot be taken up: {problem}") })
                    }
                    TakenUp::Ended(_) => unreachable!("it is taken up whole"),
                }
            });
            let taken_up = taken_up.await.unwrap_or(Err(Refusal::ShuttingDown));
            // The driver may have ended.
            let _ = woken.send(Box::new(move |driver| driver.woken(run, taken_up, command, reply)));
        });
    }

    /// Executes a command whose run was read.
    fn woken<C: Command>(
        &mut self,
        run: RunId,
        taken_up: Result<Whole, Refusal>,
        command: C,
        reply: Reply<C::Answer>,
    ) {
        if !self.engine.is_resting(run) {
            // Somebody else has woken or deleted it meanwhile.
            return self.execute_now(command, reply);
        }
        let (whole, read, writes) = match taken_up {
            Ok(whole) => whole,
            Err(refusal) => return drop(reply.send(Err(refusal))),
        };
        if self.engine.wake(self.now(), *whole, read, writes) {
            self.execute_now(command, reply);
            // Unless there is something to be written first.
            self.engine.rest(run, read);
        } else {
            // A record of it is on its way to the disk, and there soon if the disk can be written.
            match self.engine.check_journal() {
                Ok(()) => self.execute(command, reply),
                Err(refusal) => drop(reply.send(Err(refusal))),
            }
        }
    }
}

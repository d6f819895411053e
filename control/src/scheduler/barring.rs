//! Workers that may not work on a run.

use hebbian_shared::id::{RunId, WorkerId};

use super::work::LeaseId;
use super::worker::Bar;
use super::{Action, Scheduler};

impl Scheduler {
    /// Keeps a worker from a run while it is attached.
    ///
    /// # Panics
    /// If it is not.
    pub fn bar(&mut self, run: RunId, worker: WorkerId, reason: String, out: &mut Vec<Action>) {
        self.bar_for(run, worker, reason, Bar::Session, out);
    }

    /// A worker says that it cannot work on a run; it is asked again when the run is resumed.
    ///
    /// # Panics
    /// If it is not attached.
    pub fn rejected(&mut self, run: RunId, worker: WorkerId, reason: String, out: &mut Vec<Action>) {
        self.bar_for(run, worker, reason, Bar::UntilResumed, out);
    }

    pub(super) fn bar_for(
        &mut self,
        run: RunId,
        worker: WorkerId,
        reason: String,
        bar: Bar,
        out: &mut Vec<Action>,
    ) {
        let barred = self.workers.get_mut(&worker).expect("only an attached worker is barred");
        let standing = barred.standings.entry(run).or_default();
        if standing.barred.is_some() {
            return;
        }
        standing.barred = Some((reason.clone(), bar));
        if let Some(entry) = self.runs.get_mut(&run) {
            entry.eligible -= u32::from(!barred.draining);
        }
        let held: Vec<_> = barred.leases.range((run, 0)..=(run, LeaseId::MAX)).copied().collect();
        for key in &held {
            barred.leases.remove(key);
        }
        let why = ("its worker may no longer work on the run", barred.is_proven());
        for &(_, lease) in &held {
            self.lose(run, lease, Some(why), out);
        }
        if !held.is_empty() {
            out.push(Action::Withdraw { worker, run, up_to: None });
        }
        out.push(Action::Barred { run, worker, reason });
        self.refresh(worker);
    }
}

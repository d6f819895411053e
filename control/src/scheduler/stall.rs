//! Workers that are heard but do not answer: a hang of their compute threads, or a peer that never reads.
//!
//! A hedge saves the generation from such a worker, but only after the age of a hedge, in every generation anew. So a
//! worker that was overtaken with all that it held gets nothing for a while, and for twice as long each time until it answers again.

use std::collections::BTreeSet;
use std::time::Duration;

use hebbian_shared::id::{RunId, WorkerId};
use hebbian_shared::time::Timestamp;

use super::work::{Lease, Work};
use super::{Action, Scheduler};

/// The largest multiple of the usual turnaround that a lease may last before it counts as lost; doubles with each loss.
const OVERDUE_TURNAROUNDS: u32 = 20;
/// After so many times in a row it is told: before, the worker may just have been slow.
const TOLD_AFTER: u32 = 3;

/// The holders of leases of a complete generation that have brought no answer at all, and are old enough for a hedge or not proven.
pub(super) fn overtaken(
    now: Timestamp,
    work: &Work,
    hedge_age: Duration,
    is_proven: impl Fn(WorkerId) -> bool,
) -> BTreeSet<WorkerId> {
    if work.unsettled() > 0 {
        return BTreeSet::new();
    }
    let old = |lease: &&Lease| now.since(lease.since) >= hedge_age || !is_proven(lease.worker);
    let unanswered = work.leases.values().filter(|lease| lease.is_unanswered());
    unanswered.filter(old).map(|lease| lease.worker).collect()
}

impl Scheduler {
    /// Lets a worker rest.
    pub(super) fn stalled(&mut self, now: Timestamp, id: WorkerId, run: RunId, out: &mut Vec<Action>) {
        let worker = self.workers.get_mut(&id).expect("only a worker that is attached holds leases");
        let (first, longest) = self.settings.rest;
        let until = now + first.saturating_mul(1 << worker.stalls.min(16)).min(longest);
        worker.stalls += 1;
        worker.lapse();
        if worker.stalls == TOLD_AFTER {
            self.unanswering.insert(id);
            out.push(Action::Overtaken { worker: id, run, ever: worker.settled > 0 });
        }
        if let Some(before) = worker.rests_until.replace(until) {
            self.resting.remove(&(before, id));
        }
        self.resting.insert((until, id));
    }

    /// A worker has answered something that it held: it may be slow, but it works.
    pub(super) fn answered(&mut self, id: WorkerId) {
        let worker = self.workers.get_mut(&id).expect("only a worker that is attached answers");
        worker.stalls = 0;
        self.unanswering.remove(&id);
        if let Some(until) = worker.rests_until.take() {
            self.resting.remove(&(until, id));
        }
    }

    /// Queues again what has been leased for far longer than usual, although its worker lives.
    pub(super) fn lose_overdue(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        let mut overdue = Vec::new();
        for (&run, entry) in &self.runs {
            let Some(work) = &entry.work else { continue };
            // While nothing is known, an episode may well be longer than the time in which a worker must be heard.
            let usual = entry.turnaround.median().unwrap_or(self.settings.lease);
            let threshold = usual.saturating_mul(OVERDUE_TURNAROUNDS).max(self.settings.lease);
            for (&id, lease) in work.leases.iter().take_while(|(_, l)| now.since(l.since) >= threshold) {
                if now.since(lease.since) >= threshold.saturating_mul(1 << work.lost_before(id).min(16)) {
                    overdue.push((run, id, lease.worker));
                }
            }
        }
        for (run, lease, worker) in overdue {
            let holder = self.workers.get_mut(&worker).expect("a lease's worker is attached");
            holder.leases.remove(&(run, lease));
            let why = ("it took far longer than others", holder.is_proven());
            if let Some(work) = self.runs.get_mut(&run).and_then(|entry| entry.work.as_mut()) {
                work.stray(lease);
            }
            self.stalled(now, worker, run, out);
            self.lose(run, lease, Some(why), out);
            self.refresh(worker);
        }
    }

    /// Ends the rests that are over.
    pub(super) fn wake(&mut self, now: Timestamp) {
        while let Some(&(until, id)) = self.resting.first()
            && until <= now
        {
            self.resting.pop_first();
            self.workers.get_mut(&id).expect("only a worker that is attached rests").rests_until = None;
            self.refresh(id);
        }
    }
}

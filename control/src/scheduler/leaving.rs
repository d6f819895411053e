//! Workers that leave in order: they finish what they can, give the rest back, and are gone by a deadline.

use std::time::Duration;

use hebbian_shared::dispatch::BlockEpisodes;
use hebbian_shared::id::WorkerId;
use hebbian_shared::time::Timestamp;

use super::Scheduler;

impl Scheduler {
    /// A worker takes nothing more; it reports or gives back what it holds. With `leaves_at` it is detached if it is
    /// still there then.
    ///
    /// # Panics
    /// If it is not attached.
    pub fn drain(&mut self, worker: WorkerId, leaves_at: Option<Timestamp>) {
        let leaving = self.workers.get_mut(&worker).expect("only an attached worker leaves");
        leaving.leaves_at = [leaving.leaves_at, leaves_at].into_iter().flatten().min();
        if std::mem::replace(&mut leaving.draining, true) {
            return;
        }
        for (&run, entry) in &mut self.runs {
            entry.eligible -= u32::from(!leaving.barred(run));
        }
        self.refresh(worker);
    }

    /// A worker gives episodes back that it has not begun: they are queued again at once, and that counts neither as an
    /// error nor as a loss. What it does not hold any more comes late.
    pub fn give_back(&mut self, now: Timestamp, worker: WorkerId, given: &BlockEpisodes) {
        self.heard(now, worker);
        let about = self.workers.get_mut(&worker).zip(self.runs.get_mut(&given.run));
        let Some((giver, entry)) = about.filter(|(_, entry)| entry.is_at(given.generation)) else {
            self.late += 1;
            return;
        };
        let work = entry.work.as_mut().expect("the run is at a generation");
        let mut refund = Duration::ZERO;
        let mut unheld = false;
        for &(candidate, task) in &given.episodes {
            let slot = work.slot(given.purpose, given.block, candidate, task);
            // It claims no time for what it has not computed.
            let release = |slot| Some((slot, work.release(now, (worker, 0), slot, Duration::ZERO)?));
            let Some((slot, released)) = slot.and_then(release) else {
                unheld = true;
                continue;
            };
            giver.take_back(given.run, &released);
            refund += released.estimate;
            work.requeue(slot);
        }
        entry.share.refund(refund);
        self.late += u64::from(unheld);
        self.refresh(worker);
    }
}

//! Who is given what: batches of the run that has had least, and hedges of old leases.

use std::collections::BTreeSet;
use std::time::Duration;

use hebbian_shared::id::{RunId, WorkerId};
use hebbian_shared::time::Timestamp;

use super::{Action, Scheduler};

impl Scheduler {
    /// Gives queued episodes to workers that have room for them.
    pub fn dispatch(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        loop {
            let (queued, work) = self.runs.values().fold((0u64, Duration::ZERO), |(queued, work), entry| {
                let each = entry.compute.median().unwrap_or(self.settings.batch_work);
                (queued + u64::from(entry.queued()), work + each.saturating_mul(entry.queued()))
            });
            if queued == 0 {
                return;
            }
            // Towards the end of the queue, work goes only where a thread is idle: whatever waits in a busy worker's
            // hands would keep an idle one waiting.
            let ending = queued <= u64::from(self.threads)
                || work <= self.settings.work_min.saturating_mul(self.threads);
            let candidates: Vec<WorkerId> =
                if ending { self.idle.iter() } else { self.ready.iter() }.copied().collect();
            let mut given = false;
            for worker in candidates {
                given |= self.dispatch_to(now, worker, out);
                if self.runs.values().all(|entry| entry.queued() == 0) {
                    return;
                }
            }
            if !given {
                return;
            }
        }
    }

    /// Gives a worker one batch of the run that has had least.
    fn dispatch_to(&mut self, now: Timestamp, id: WorkerId, out: &mut Vec<Action>) -> bool {
        let Some(worker) = self.workers.get(&id) else { return false };
        let mut waiting: Vec<(Duration, RunId)> = self
            .runs
            .iter()
            .filter(|(run, entry)| entry.queued() > 0 && worker.eligible(**run))
            .map(|(&run, entry)| (entry.used, run))
            .collect();
        waiting.sort_unstable();
        let (settings, workers, threads) = (&self.settings, &self.workers, self.threads);
        for (_, run) in waiting {
            let Some(entry) = self.runs.get_mut(&run) else { continue };
            let pace = worker.standings.get(&run).and_then(|standing| standing.compute.median());
            let pace = pace.or(entry.compute.median());
            let queued = entry.queued();
            let Some(work) = entry.work.as_mut() else { continue };
            let share = queued.div_ceil(2 * threads);
            let least = settings.episodes_in(settings.work_min, pace);
            let length = settings.batch_length(pace).min(share.max(least)).min(worker.room(settings));
            let others = |failed_on: &BTreeSet<WorkerId>| {
                workers.iter().any(|(other, worker)| worker.eligible(run) && !failed_on.contains(other))
            };
            let slots = work.take(id, length as usize, others);
            if slots.is_empty() {
                continue;
            }
            let estimate = pace.unwrap_or(settings.batch_work) * work.length(slots[0]);
            self.give(now, id, run, slots, false, estimate, out);
            return true;
        }
        false
    }

    #[expect(clippy::too_many_arguments, reason = "a lease's parts, from two callers")]
    fn give(
        &mut self,
        now: Timestamp,
        id: WorkerId,
        run: RunId,
        slots: Vec<u32>,
        hedge: bool,
        estimate: Duration,
        out: &mut Vec<Action>,
    ) {
        let Some(entry) = self.runs.get_mut(&run) else { return };
        let (Some(work), Some(worker)) = (entry.work.as_mut(), self.workers.get_mut(&id)) else { return };
        let count = slots.len() as u32;
        entry.used += estimate * count;
        worker.held += count;
        worker.held_work += estimate * count;
        // All of a batch are of one purpose and block.
        let Some(&first) = slots.first() else { return };
        let (purpose, block, ..) = work.episode(first);
        let episodes = slots
            .iter()
            .map(|&slot| {
                let (_, _, candidate, task) = work.episode(slot);
                (candidate, task)
            })
            .collect();
        let generation = work.generation;
        let lease = work.lease(now, id, slots, hedge, estimate);
        worker.leases.insert((run, lease));
        self.refresh(id);
        out.push(Action::Dispatch { worker: id, run, generation, purpose, block, episodes, hedge });
    }

    /// Dispatches the oldest leases a second time where a thread is idle and nothing else is to do.
    pub(super) fn hedge(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        let runs: Vec<RunId> = self.runs.keys().copied().collect();
        for run in runs {
            while let Some((worker, slots, estimate)) = self.find_hedge(now, run) {
                self.give(now, worker, run, slots, true, estimate, out);
            }
        }
    }

    /// The oldest lease of a run that is worth a hedge, and an idle worker for it.
    fn find_hedge(&self, now: Timestamp, run: RunId) -> Option<(WorkerId, Vec<u32>, Duration)> {
        let entry = self.runs.get(&run).filter(|entry| !entry.paused && entry.queued() == 0)?;
        let work = entry.work.as_ref()?;
        let usual = entry.turnaround.median().map(|median| 3 * median);
        let threshold = usual.unwrap_or(self.settings.lease).max(self.settings.hedge_min);
        let mut old = work.leases.iter().take_while(|(_, lease)| now.since(lease.since) >= threshold);
        old.find_map(|(&id, lease)| {
            let mut others = self.idle.iter().copied().filter(|other| *other != lease.worker);
            let other = others.find(|other| self.workers[other].eligible(run))?;
            let standing = self.workers[&other].standings.get(&run);
            let pace = standing.and_then(|standing| standing.compute.median()).or(entry.compute.median());
            let length = self.settings.batch_length(pace).min(self.workers[&other].room(&self.settings));
            let slots = work.unhedged(id, length as usize);
            let estimate = pace.unwrap_or(self.settings.batch_work) * work.length(*slots.first()?);
            Some((other, slots, estimate))
        })
    }
}

//! Which worker is given what: batches of the run that has had least, and hedges of old leases.

use std::collections::BTreeSet;
use std::time::Duration;

use hebbian_shared::id::{RunId, WorkerId};
use hebbian_shared::time::Timestamp;

use super::work::LeaseId;
use super::{Action, Scheduler};

/// How many times less work is given in advance while several runs want workers.
const CONTENDED: u32 = 4;

/// The runs as they are when work is handed out. Only what is given changes them, so they are looked at once and not for every batch.
struct Queues {
    /// Those that have something queued, by what they have had.
    waiting: BTreeSet<(Duration, RunId)>,
    /// Those whose turn it would be, but whose open episodes are all with workers: the next ones come at any moment.
    absent: BTreeSet<(Duration, RunId)>,
    /// Episodes that are queued.
    queued: u64,
    /// How long they take.
    work: Duration,
    /// Work that a batch should hold for one thread.
    batch_work: Duration,
}

impl Scheduler {
    /// Gives queued episodes to workers that have room for them, and to proven ones what newcomers hold.
    pub fn dispatch(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        self.hand_out(now, out);
        self.hedge_newcomers(now, out);
    }

    fn hand_out(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        // Which has all that are idle as well.
        if self.ready.is_empty() {
            return;
        }
        let mut queues = self.queues(now);
        while !queues.waiting.is_empty() {
            // Towards the end of the queue, work goes only where a thread is idle: whatever waits in a busy worker's
            // hands would keep an idle one waiting.
            let threads = self.believed.max(1);
            let ending = queues.queued <= u64::from(threads)
                || queues.work <= self.settings.work_min.saturating_mul(threads);
            let ready = |id: &&WorkerId| {
                self.workers.get(id).is_some_and(|worker| !worker.is_full(queues.batch_work))
            };
            let candidates: Vec<WorkerId> = if ending {
                self.idle.iter().copied().collect()
            } else {
                self.ready.iter().filter(ready).copied().collect()
            };
            let mut given = false;
            // Proven workers first. The queue is often empty before anybody looks at the last of thousands.
            for proven in [true, false] {
                for &worker in &candidates {
                    if self.workers[&worker].is_proven() != proven {
                        continue;
                    }
                    given |= self.dispatch_to(now, worker, &mut queues, out);
                    if queues.waiting.is_empty() {
                        return;
                    }
                }
            }
            if !given {
                return;
            }
        }
    }

    /// Work that a batch should hold for one thread. Less while several runs want workers: what a worker holds in advance
    /// of one run, another that is behind has to wait for, and at every turn of a generation somebody is behind.
    fn batch_work(&self, now: Timestamp) -> Duration {
        let contended = self.runs.values().filter(|entry| entry.is_active(now)).nth(1).is_some();
        if contended { self.settings.batch_work / CONTENDED } else { self.settings.batch_work }
    }

    fn queues(&self, now: Timestamp) -> Queues {
        let mut queues = Queues {
            waiting: BTreeSet::new(),
            absent: BTreeSet::new(),
            queued: 0,
            work: Duration::ZERO,
            batch_work: self.batch_work(now),
        };
        for (&run, entry) in &self.runs {
            let place = (entry.share.used, run);
            if entry.queued() > 0 {
                queues.waiting.insert(place);
                queues.queued += u64::from(entry.queued());
                queues.work += self.queued_work(run);
            } else if entry.is_active(now) {
                queues.absent.insert(place);
            }
        }
        queues
    }

    /// How long the queued episodes of a run take.
    fn queued_work(&self, run: RunId) -> Duration {
        let entry = &self.runs[&run];
        entry.compute.median().unwrap_or(self.settings.batch_work).saturating_mul(entry.queued())
    }

    /// Gives a worker one batch of the run that has had least.
    fn dispatch_to(
        &mut self,
        now: Timestamp,
        id: WorkerId,
        queues: &mut Queues,
        out: &mut Vec<Action>,
    ) -> bool {
        let worker = &self.workers[&id];
        let awaited = queues.absent.iter().find(|(_, run)| worker.eligible(*run)).map(|&(used, _)| used);
        let threads = self.believed.max(1);
        let mut found = None;
        for &(used, run) in &queues.waiting {
            if !self.workers[&id].eligible(run) {
                continue;
            }
            // Until then others only fill what would be idle, and with little: a short generation would wait for as long
            // as it takes itself, every time.
            let filling = awaited.is_some_and(|least| least < used);
            let (settings, worker) = (&self.settings, &self.workers[&id]);
            if filling && !worker.idle(settings) {
                // All others have had more.
                break;
            }
            let batch_work = if filling { settings.work_min } else { queues.batch_work };
            let entry = &self.runs[&run];
            let pace = worker.standings.get(&run).and_then(|standing| standing.compute.median());
            let pace = pace.or(entry.compute.median());
            let queued = entry.queued();
            let share = queued.div_ceil(2 * threads);
            let least = settings.episodes_in(settings.work_min, pace);
            let length =
                settings.episodes_in(batch_work, pace).min(share.max(least)).min(worker.room(settings));
            let length = length.min(entry.batch_max);
            let before = (u64::from(queued), self.queued_work(run));
            if let Some((slots, estimate)) = self.take(id, run, length as usize, pace) {
                found = Some(((used, run), before, slots, estimate));
                break;
            }
        }
        let Some((place, (queued, work), slots, estimate)) = found else { return false };
        let run = place.1;
        self.give(now, id, run, slots, false, estimate, out);
        let entry = &self.runs[&run];
        queues.waiting.remove(&place);
        queues.queued = queues.queued - queued + u64::from(entry.queued());
        queues.work = queues.work.saturating_sub(work) + self.queued_work(run);
        let place = (entry.share.used, run);
        if entry.queued() > 0 {
            queues.waiting.insert(place);
        } else if entry.is_active(now) {
            queues.absent.insert(place);
        }
        true
    }

    /// Takes queued episodes of a run for a worker, with the time that each of them should take.
    fn take(
        &mut self,
        id: WorkerId,
        run: RunId,
        length: usize,
        pace: Option<Duration>,
    ) -> Option<(Vec<u32>, Duration)> {
        // Taken out for a moment, so that the scheduler can be asked about it.
        let mut work = self.runs.get_mut(&run)?.work.take()?;
        let slots = work.take(length, |setbacks, check| self.may_take(run, id, setbacks, check));
        let estimate =
            slots.first().map(|&slot| pace.unwrap_or(self.settings.batch_work) * work.length(slot));
        self.runs.get_mut(&run)?.work = Some(work);
        Some((slots, estimate?))
    }

    #[expect(clippy::too_many_arguments, reason = "a lease's parts, from several callers")]
    pub(super) fn give(
        &mut self,
        now: Timestamp,
        id: WorkerId,
        run: RunId,
        slots: Vec<u32>,
        hedge: bool,
        estimate: Duration,
        out: &mut Vec<Action>,
    ) {
        let entry = self.runs.get_mut(&run).expect("episodes are of a run");
        let work = entry.work.as_mut().expect("episodes are of a generation");
        let worker = self.workers.get_mut(&id).expect("episodes are given to attached workers");
        let count = slots.len() as u32;
        entry.share.charge(estimate * count);
        worker.hand(now, count, estimate * count);
        // All of a batch are of one purpose and block.
        let (purpose, block, ..) = work.episode(slots[0]);
        let episodes = slots
            .iter()
            .map(|&slot| {
                let (_, _, candidate, task) = work.episode(slot);
                (candidate, task)
            })
            .collect();
        let generation = work.generation;
        let lease = work.lease(now, id, slots, hedge, estimate);
        worker.given = Some((run, generation));
        if !worker.is_proven() {
            work.held_by_newcomers.push_back(lease);
        }
        worker.leases.insert((run, lease));
        self.refresh(id);
        out.push(Action::Dispatch { worker: id, run, generation, purpose, block, episodes, hedge });
    }

    /// Dispatches the oldest leases a second time where a thread is idle and nothing else is to do: to the idle workers in
    /// turn, so that one of them does not get all.
    pub(super) fn hedge(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        let runs: Vec<RunId> = self.runs.keys().copied().collect();
        for run in runs {
            let (old, idle) = self.find_hedges(now, run);
            if old.is_empty() || idle.is_empty() {
                continue;
            }
            // Proven workers, where there is one beside the holder; two are enough to know.
            let proven: Vec<WorkerId> = self.proven(run).take(2).collect();
            let is_proven = |worker: &WorkerId| self.workers[worker].is_proven();
            let idle_proven: Vec<WorkerId> = idle.iter().copied().filter(is_proven).collect();
            let mut next = 0;
            for (lease, holder) in old {
                let beside = proven.iter().any(|worker| *worker != holder);
                let idle = if beside { &idle_proven } else { &idle };
                while let Some(place) = self.next_idle(idle, next, holder) {
                    let Some((slots, estimate)) = self.hedge_slots(run, lease, idle[place]) else { break };
                    self.count_hedged(holder, slots.len());
                    self.give(now, idle[place], run, slots, true, estimate, out);
                    next = (place + 1) % idle.len();
                }
            }
        }
    }

    /// The leases of a run that are old enough, oldest first, with their holders, and the idle workers that may help.
    fn find_hedges(&self, now: Timestamp, run: RunId) -> (Vec<(LeaseId, WorkerId)>, Vec<WorkerId>) {
        let entry = self.runs.get(&run).filter(|entry| !entry.paused && entry.queued() == 0);
        let Some((entry, work)) = entry.and_then(|entry| Some((entry, entry.work.as_ref()?))) else {
            return (Vec::new(), Vec::new());
        };
        let threshold = entry.hedge_age(&self.settings);
        let old = work.leases.iter().take_while(|(_, lease)| now.since(lease.since) >= threshold);
        let old: Vec<_> = old.map(|(&id, lease)| (id, lease.worker)).collect();
        if old.is_empty() {
            return (old, Vec::new());
        }
        let idle = self.idle.iter().copied().filter(|worker| self.workers[worker].eligible(run)).collect();
        (old, idle)
    }

    /// The place of the next worker that is still idle and not the holder.
    pub(super) fn next_idle(&self, idle: &[WorkerId], from: usize, holder: WorkerId) -> Option<usize> {
        let from = from.min(idle.len());
        let places = (from..idle.len()).chain(0..from);
        places.into_iter().find(|&place| idle[place] != holder && self.idle.contains(&idle[place]))
    }

    /// Counts episodes that another worker is given beside their holder.
    pub(super) fn count_hedged(&mut self, holder: WorkerId, episodes: usize) {
        self.hedged += episodes as u64;
        if let Some(worker) = self.workers.get_mut(&holder) {
            worker.hedged += episodes as u64;
        }
    }

    /// What of a lease another worker is given, and how long an episode of it should take there.
    pub(super) fn hedge_slots(
        &self,
        run: RunId,
        lease: LeaseId,
        other: WorkerId,
    ) -> Option<(Vec<u32>, Duration)> {
        let entry = self.runs.get(&run)?;
        let (work, worker) = (entry.work.as_ref()?, self.workers.get(&other)?);
        let standing = worker.standings.get(&run);
        let pace = standing.and_then(|standing| standing.compute.median()).or(entry.compute.median());
        let length = self.settings.batch_length(pace).min(worker.room(&self.settings)).min(entry.batch_max);
        let slots = work.unhedged(lease, length as usize, other);
        let estimate = pace.unwrap_or(self.settings.batch_work) * work.length(*slots.first()?);
        Some((slots, estimate))
    }
}

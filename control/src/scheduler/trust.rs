//! Trust is earned by answers, worker by worker: whoever has just come may be anything, and behind one address there may be
//! honest and dishonest ones.
//!
//! A worker is *proven* once it has answered an episode that it was given. Until then it holds little, proven workers are served first, and
//! what it holds is given to an idle proven one as well as soon as nothing is queued: nobody waits for it. What it may hold grows
//! with its answers. A worker that lets others finish all that it held has to prove itself again, by twice as many answers each time.
//!
//! An episode that failed or was lost several times goes to the *most proven* worker that has not failed on it. Only what that one
//! cannot do either exhausts an episode, so no run pauses for what newcomers say while somebody serves it.

use std::collections::BTreeSet;

use hebbian_shared::id::{RunId, WorkerId};
use hebbian_shared::limits::NEWCOMER_EPISODES_MAX;
use hebbian_shared::time::Timestamp;

use super::recheck::Check;
use super::work::Setbacks;
use super::worker::Worker;
use super::{Action, Scheduler, Settings};

/// Beyond so many doublings trust gets no harder to earn back.
const LAPSES_MAX: u32 = 10;
/// An episode that failed and was lost so often is for the most proven worker.
pub(super) const RESERVED_AFTER: u32 = 3;

impl Worker {
    /// Whether it has answered since it last let others finish what it held.
    pub(super) fn is_proven(&self) -> bool {
        self.answered >= 1 << self.lapses.min(LAPSES_MAX)
    }

    /// The most episodes that it may hold: few at first, twice as many as it has answered later.
    pub(super) fn allowance(&self, settings: &Settings) -> u32 {
        let earned = u32::try_from(self.answered.saturating_mul(2)).unwrap_or(u32::MAX);
        let first = self.threads.saturating_mul(2).min(NEWCOMER_EPISODES_MAX);
        first.saturating_add(earned).min(self.credit_max(settings))
    }

    /// How many threads it is believed to have.
    pub(super) fn believed_threads(&self) -> u32 {
        if self.is_proven() { self.threads } else { self.threads.min(NEWCOMER_EPISODES_MAX) }
    }

    /// How many threads it is believed to have for the episodes that are divided among all.
    pub(super) fn counting_threads(&self) -> u32 {
        if self.draining || self.rests_until.is_some() { 0 } else { self.believed_threads() }
    }

    /// It let others finish what it held: whatever it has proven before, it has to prove again.
    pub(super) fn lapse(&mut self) {
        if self.is_proven() {
            self.lapses += 1;
            self.answered = 0;
        }
    }
}

impl Scheduler {
    /// The proven workers that may work on a run and do not rest.
    pub(super) fn proven(&self, run: RunId) -> impl Iterator<Item = WorkerId> {
        let able =
            move |worker: &Worker| worker.is_proven() && worker.eligible(run) && worker.rests_until.is_none();
        self.workers.iter().filter(move |(_, worker)| able(worker)).map(|(id, _)| *id)
    }

    /// The one of them that has answered most, beside those `without`.
    pub(super) fn most_proven(&self, run: RunId, without: &BTreeSet<WorkerId>) -> Option<WorkerId> {
        let others = self.proven(run).filter(|id| !without.contains(id));
        others.max_by_key(|id| (self.workers[id].answered, std::cmp::Reverse(*id)))
    }

    /// Whether a worker should do an episode that has failed, was lost, or was answered by somebody before.
    pub(super) fn may_take(
        &self,
        run: RunId,
        worker: WorkerId,
        setbacks: Option<&Setbacks>,
        check: Option<&Check>,
    ) -> bool {
        if setbacks.is_none() && check.is_none() {
            return true;
        }
        let answered = check.map(Check::answered).unwrap_or_default();
        let failed_on = |id| setbacks.is_some_and(|setbacks| setbacks.failed_on.contains_key(id));
        let failed = setbacks.into_iter().flat_map(|setbacks| setbacks.failed_on.keys());
        let known: BTreeSet<WorkerId> = answered.iter().chain(failed).copied().collect();
        // It takes a look at every worker.
        let best = || self.most_proven(run, &known);
        if setbacks.is_some_and(|setbacks| setbacks.count() >= RESERVED_AFTER)
            && let Some(best) = best()
        {
            return best == worker;
        }
        if answered.contains(&worker) {
            // There was somebody to ask, who has gone: its own word will do.
            return answered.len() == 1 && best().is_none();
        }
        if check.is_some() && !self.workers[&worker].is_proven() && best().is_some() {
            return false;
        }
        let others =
            || self.workers.iter().any(|(other, worker)| worker.eligible(run) && !known.contains(other));
        !failed_on(&worker) || !others()
    }

    /// Whether an episode's failures and losses are too many for its run to go on.
    pub(super) fn is_exhausted(&self, run: RunId, setbacks: &Setbacks) -> bool {
        let Settings { errors_max, tries_max, losses_max, .. } = self.settings;
        let Some(best) = self.most_proven(run, &BTreeSet::new()) else {
            // Nobody has proven anything: it is too many if nobody else is left that may be better than those.
            let waits = |(id, worker): (&WorkerId, &Worker)| {
                worker.eligible(run) && worker.rests_until.is_none() && !setbacks.failed_on.contains_key(id)
            };
            let tried = setbacks.failed_on.values().any(|&errors| errors >= tries_max);
            let many = tried || setbacks.failed_on.len() >= errors_max || setbacks.lost >= losses_max;
            return many && !self.workers.iter().any(waits);
        };
        // Where nobody else is left it is asked again and again, for it may have failed by chance.
        let failed = setbacks
            .failed_on
            .get(&best)
            .is_some_and(|&errors| errors >= tries_max || setbacks.failed_on_proven as usize >= errors_max);
        failed || setbacks.lost_by_proven >= losses_max
    }

    /// Gives what newcomers hold to idle proven workers as well, where nothing else is to do.
    pub(super) fn hedge_newcomers(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        if self.idle.is_empty() {
            return;
        }
        let waits = |run: &RunId| {
            let entry = &self.runs[run];
            let held = entry.work.as_ref().is_some_and(|work| !work.held_by_newcomers.is_empty());
            held && !entry.paused && entry.queued() == 0
        };
        let runs: Vec<RunId> = self.runs.keys().copied().filter(waits).collect();
        for run in runs {
            let able = |id: &WorkerId| self.workers[id].is_proven() && self.workers[id].eligible(run);
            let idle: Vec<WorkerId> = self.idle.iter().copied().filter(able).collect();
            let mut next = 0;
            while let Some((lease, holder)) = self.next_of_newcomers(run)
                && let Some(place) = self.next_idle(&idle, next, holder)
            {
                match self.hedge_slots(run, lease, idle[place]) {
                    Some((slots, estimate)) => {
                        self.count_hedged(holder, slots.len());
                        self.give(now, idle[place], run, slots, true, estimate, out);
                        next = (place + 1) % idle.len();
                    }
                    None => self.forget_newcomers_lease(run),
                }
            }
        }
    }

    /// The oldest lease of a newcomer in a run that others have not been given as a whole.
    fn next_of_newcomers(&mut self, run: RunId) -> Option<(super::LeaseId, WorkerId)> {
        let work = self.runs.get_mut(&run)?.work.as_mut()?;
        while let Some(&id) = work.held_by_newcomers.front() {
            match work.leases.get(&id).map(|lease| lease.worker) {
                Some(holder) if !self.workers[&holder].is_proven() => return Some((id, holder)),
                _ => drop(work.held_by_newcomers.pop_front()),
            }
        }
        None
    }

    fn forget_newcomers_lease(&mut self, run: RunId) {
        if let Some(work) = self.runs.get_mut(&run).and_then(|entry| entry.work.as_mut()) {
            work.held_by_newcomers.pop_front();
        }
    }

    /// A worker answers what it was given last, though too late: it lives.
    pub(super) fn answered_late(
        &mut self,
        id: WorkerId,
        about: (RunId, hebbian_shared::id::GenerationIndex),
    ) {
        if let Some(worker) = self.workers.get_mut(&id)
            && worker.given == Some(about)
        {
            // Once for each time that it was given something.
            worker.given = None;
            worker.answered += 1;
            self.refresh(id);
        }
    }
}

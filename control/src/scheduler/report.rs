//! Reports: which of their outcomes settle an episode, and what else they say of a worker.

use std::collections::BTreeSet;
use std::time::Duration;

use hebbian_shared::dispatch::{Report, Settlement};
use hebbian_shared::episode::Outcome;
use hebbian_shared::id::{CandidateIndex, RunId, TaskIndex, WorkerId};
use hebbian_shared::limits::COMPUTE_TIME_MAX;
use hebbian_shared::time::Timestamp;

use super::recheck::Weighed;
use super::work::{Released, Settling};
use super::worker::Bar;
use super::{Action, Scheduler, shorten};

/// Why a worker is quarantined.
fn in_a_row(errors: u32, last: &str) -> String {
    format!("{errors} errors in a row, the last: {}", shorten(last))
}

/// What the answers of a report have cost.
#[derive(Debug, Default)]
struct Spent {
    /// Time that the worker has had and said nothing of, but no more than a lease usually takes: one that is held up does not cost its
    /// run that time.
    most: Duration,
    answers: u32,
    /// When the first of what is answered was handed out.
    given: Option<Timestamp>,
    /// What is charged for them by the worker's word.
    time: Duration,
}

impl Spent {
    fn add(&mut self, released: &Released, settles: bool) {
        self.answers += 1;
        self.given = Some(self.given.map_or(released.since, |given| given.min(released.since)));
        self.time = self.time.saturating_add(if settles { released.took } else { released.estimate });
    }

    /// The least that they count as, whatever the worker says: half of the time that it had for them, as if it had one thread. It is not
    /// all of it, because some was spent on the way.
    fn least(&self, now: Timestamp, each: Duration) -> Duration {
        let Some(given) = self.given else { return Duration::ZERO };
        (now.since(given).min(self.most) / 2).max(each.saturating_mul(self.answers))
    }
}

/// What of a report was news.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reported {
    /// What settles an episode for the first time, in the report's order.
    pub settled: Vec<Settlement>,
    /// What says again how an episode ended, or contradicts it.
    pub again: Vec<Settlement>,
}

impl Scheduler {
    /// Keeps a worker from a run that it has rejected, or on which it has failed too often.
    fn bar_by(
        &mut self,
        (rejected, quarantined): (Option<String>, Option<String>),
        run: RunId,
        worker: WorkerId,
        out: &mut Vec<Action>,
    ) {
        if let Some(reason) = rejected {
            self.bar(run, worker, reason, out);
        } else if let Some(reason) = quarantined {
            self.bar_for(run, worker, reason, Bar::UntilResumed, out);
        }
    }

    /// Takes a report; all that settles nothing (late duplicates, other generations, episodes that never were) is harmless.
    pub fn report(
        &mut self,
        now: Timestamp,
        worker: WorkerId,
        report: Report,
        out: &mut Vec<Action>,
    ) -> Reported {
        let who_checks = self.who_checks(&report);
        let (recheck, tolerance) = self.recheck(report.run);
        self.heard(now, worker);
        let Report { run, generation, purpose, block, settlements, .. } = report;
        let about = self.workers.get_mut(&worker).zip(self.runs.get_mut(&run));
        let open = about.filter(|(reporter, entry)| entry.is_at(generation) && !reporter.barred(run));
        let Some((reporter, entry)) = open else {
            self.late += 1;
            if settlements.iter().any(|settlement| settlement.outcome.settles()) {
                self.answered_late(worker, (run, generation));
            }
            return Reported::default();
        };
        let usual = entry.hedge_age(&self.settings).max(self.settings.lease);
        let mut spent = Spent { most: reporter.count_time(now).min(usual), ..Spent::default() };
        let proven = reporter.is_proven();
        let threads = reporter.believed_threads();
        let work = entry.work.as_mut().expect("the run is at a generation");
        let mut reported = Reported { settled: Vec::with_capacity(settlements.len()), again: Vec::new() };
        let mut lied = BTreeSet::new();
        let mut rejected = None;
        let mut quarantined = None;
        let mut failed = Vec::new();
        for mut settlement in settlements {
            let Some(slot) = work.slot(purpose, block, settlement.candidate, settlement.task) else {
                continue;
            };
            let claim = settlement.compute_time.min(COMPUTE_TIME_MAX);
            let released = work.release(now, (worker, reporter.threads), slot, reporter.can_claim(claim));
            if let Some(released) = released {
                spent.add(&released, settlement.outcome.settles());
                reporter.take_back(run, &released);
                if released.last {
                    entry.turnaround.push(now.since(released.since));
                }
            }
            // What a run tells of its computing is what is believed, too.
            settlement.compute_time = released.map_or_else(|| claim.min(usual), |released| released.took);
            let standing = reporter.standings.entry(run).or_default();
            match &settlement.outcome {
                Outcome::Evaluated(_) | Outcome::Infeasible(_) | Outcome::Diverged => {
                    standing.errors_in_row = 0;
                    if let Some(released) = released {
                        reporter.answered += 1;
                        // What is left for the last of a lease is no pace.
                        let pace = claim.min(now.since(released.since)) / work.length(slot);
                        standing.compute.push(pace);
                        reporter.compute.push(pace);
                        entry.compute.push(pace);
                        entry.share.refund(released.estimate);
                        entry.share.charge(released.took);
                    }
                    let picked = recheck.picks(run, generation, slot);
                    let others = |answered: &BTreeSet<WorkerId>| !who_checks.is_subset(answered);
                    match work.weigh(slot, worker, &settlement.outcome, (picked, tolerance), others) {
                        Weighed::Waits => {
                            work.requeue(slot);
                            continue;
                        }
                        Weighed::Settles(by) => lied.extend(by),
                    }
                    if work.settle(slot) == Settling::First {
                        reporter.settled += 1;
                        self.settled += 1;
                        reported.settled.push(settlement);
                    } else {
                        reported.again.push(settlement);
                    }
                }
                Outcome::WorkerError { reason } => {
                    // An error that answers no lease was counted before, or when the lease was lost.
                    if released.is_none() {
                        continue;
                    }
                    reporter.errors += 1;
                    work.requeue_failed(slot, worker, proven);
                    failed.push((slot, settlement.candidate, settlement.task, shorten(reason)));
                    if let Some(errors) = standing.count_error(threads, &self.settings) {
                        quarantined.get_or_insert_with(|| in_a_row(errors, reason));
                    }
                }
                Outcome::Rejected { reason } => {
                    if released.is_some() {
                        work.requeue_failed(slot, worker, proven);
                    }
                    rejected.get_or_insert_with(|| shorten(reason));
                }
            }
        }
        let has_answered = spent.answers > 0;
        let more = spent.least(now, self.settings.least_work()).saturating_sub(spent.time);
        entry.share.charge(more);
        reporter.explain(more);
        if has_answered {
            self.answered(worker);
        }
        self.refresh(worker);
        if let Some(reason) = self.exhausted_by(run, &failed) {
            out.push(Action::Exhausted { run, reason });
        }
        self.bar_by((rejected, quarantined), run, worker, out);
        out.extend(lied.into_iter().map(|worker| Action::Lied { run, worker }));
        reported
    }

    /// Why a run cannot go on, if one of these episodes has failed too often.
    fn exhausted_by(
        &self,
        run: RunId,
        failed: &[(u32, CandidateIndex, TaskIndex, String)],
    ) -> Option<String> {
        let work = self.runs.get(&run)?.work.as_ref()?;
        failed.iter().find_map(|(slot, candidate, task, reason)| {
            let setbacks = work.setbacks.get(slot).filter(|setbacks| self.is_exhausted(run, setbacks))?;
            let on = match setbacks.failed_on.len() {
                1 => "one worker".to_owned(),
                workers => format!("{workers} workers"),
            };
            Some(format!(
                "candidate {candidate} on task {task} of generation {} failed {} times, on {on}, the last time with: {reason}",
                work.generation,
                setbacks.errors(),
            ))
        })
    }
}

//! Reports: which of their outcomes settle an episode, and what else they say of a worker.

use std::collections::BTreeSet;

use hebbian_shared::dispatch::{Report, Settlement};
use hebbian_shared::episode::Outcome;
use hebbian_shared::id::{CandidateIndex, RunId, TaskIndex, WorkerId};
use hebbian_shared::limits::COMPUTE_TIME_MAX;
use hebbian_shared::time::Timestamp;

use super::recheck::Weighed;
use super::work::Settling;
use super::worker::Bar;
use super::{Action, Scheduler, shorten};

/// Why a worker is quarantined.
fn in_a_row(errors: u32, last: &str) -> String {
    format!("{errors} errors in a row, the last: {}", shorten(last))
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
        let proven = reporter.is_proven();
        let threads = reporter.believed_threads();
        let work = entry.work.as_mut().expect("the run is at a generation");
        let mut reported = Reported { settled: Vec::with_capacity(settlements.len()), again: Vec::new() };
        let mut lied = BTreeSet::new();
        let mut rejected = None;
        let mut quarantined = None;
        let mut failed = Vec::new();
        let mut answered = false;
        for settlement in settlements {
            let Some(slot) = work.slot(purpose, block, settlement.candidate, settlement.task) else {
                continue;
            };
            let released = work.release(worker, slot);
            if let Some(released) = released {
                answered = true;
                reporter.hand_back(1, released.estimate);
                if released.last {
                    reporter.leases.remove(&(run, released.lease));
                    entry.turnaround.push(now.since(released.since));
                }
            }
            let standing = reporter.standings.entry(run).or_default();
            match &settlement.outcome {
                Outcome::Evaluated(_) | Outcome::Infeasible(_) | Outcome::Diverged => {
                    standing.errors_in_row = 0;
                    if let Some(released) = released {
                        reporter.answered += 1;
                        let took = settlement.compute_time.min(COMPUTE_TIME_MAX);
                        let pace = took / work.length(slot);
                        standing.compute.push(pace);
                        reporter.compute.push(pace);
                        entry.compute.push(pace);
                        entry.share.refund(released.estimate);
                        entry.share.charge(took);
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
        if answered {
            self.answered(worker);
        }
        self.refresh(worker);
        if let Some(reason) = self.exhausted_by(run, &failed) {
            out.push(Action::Exhausted { run, reason });
        }
        if let Some(reason) = rejected {
            self.bar(run, worker, reason, out);
        } else if let Some(reason) = quarantined {
            self.bar_for(run, worker, reason, Bar::UntilResumed, out);
        }
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

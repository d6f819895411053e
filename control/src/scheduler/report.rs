//! Reports: which of their outcomes settle an episode, and what else they say of a worker.

use hebbian_shared::dispatch::{Report, Settlement};
use hebbian_shared::episode::Outcome;
use hebbian_shared::id::WorkerId;
use hebbian_shared::limits::COMPUTE_TIME_MAX;
use hebbian_shared::time::Timestamp;

use super::work::Settling;
use super::worker::Bar;
use super::{Action, Scheduler, shorten};

impl Scheduler {
    /// Takes a report. Returns what settles an episode for the first time, in the report's order; all else (late
    /// duplicates, other generations, episodes that never were) is harmless.
    pub fn report(
        &mut self,
        now: Timestamp,
        worker: WorkerId,
        report: Report,
        out: &mut Vec<Action>,
    ) -> Vec<Settlement> {
        self.heard(now, worker);
        let Report { run, generation, purpose, block, settlements, .. } = report;
        let about = self.workers.get_mut(&worker).zip(self.runs.get_mut(&run));
        let open = about.filter(|(reporter, entry)| entry.is_at(generation) && !reporter.barred(run));
        let Some((reporter, entry)) = open else {
            self.late += 1;
            return Vec::new();
        };
        let work = entry.work.as_mut().expect("the run is at a generation");
        let mut accepted = Vec::with_capacity(settlements.len());
        let mut rejected = None;
        let mut quarantined = None;
        let mut exhausted = None;
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
                Outcome::Evaluated(_) | Outcome::Diverged => {
                    standing.errors_in_row = 0;
                    if let Some(released) = released {
                        let took = settlement.compute_time.min(COMPUTE_TIME_MAX);
                        let pace = took / work.length(slot);
                        standing.compute.push(pace);
                        reporter.compute.push(pace);
                        entry.compute.push(pace);
                        entry.share.refund(released.estimate);
                        entry.share.charge(took);
                    }
                    if work.settle(slot) == Settling::First {
                        reporter.settled += 1;
                        self.settled += 1;
                        accepted.push(settlement);
                    }
                }
                Outcome::WorkerError { reason } => {
                    // An error that answers no lease was counted before, or when the lease was lost.
                    if released.is_none() {
                        continue;
                    }
                    reporter.errors += 1;
                    standing.errors_in_row += 1;
                    if work.requeue_failed(slot, worker) >= self.settings.errors_max {
                        exhausted.get_or_insert_with(|| {
                            format!(
                                "candidate {} on task {} of generation {generation} failed on {} workers, the last \
                                 time with: {}",
                                settlement.candidate,
                                settlement.task,
                                self.settings.errors_max,
                                shorten(reason)
                            )
                        });
                    }
                    if standing.errors_in_row >= self.settings.errors_in_row_max {
                        quarantined.get_or_insert_with(|| {
                            format!(
                                "{} errors in a row, the last: {}",
                                standing.errors_in_row,
                                shorten(reason)
                            )
                        });
                    }
                }
                Outcome::Rejected { reason } => {
                    if released.is_some() {
                        work.requeue_failed(slot, worker);
                    }
                    rejected.get_or_insert_with(|| shorten(reason));
                }
            }
        }
        if answered {
            self.answered(worker);
        }
        self.refresh(worker);
        if let Some(reason) = exhausted {
            out.push(Action::Exhausted { run, reason });
        }
        if let Some(reason) = rejected {
            self.bar(run, worker, reason, out);
        } else if let Some(reason) = quarantined {
            self.bar_for(run, worker, reason, Bar::UntilResumed, out);
        }
        accepted
    }
}

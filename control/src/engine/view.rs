//! How runs, workers and the coordinator stand, for whoever asks.

use std::ops::Bound;

use hebbian_shared::id::{RunId, WorkerId};
use hebbian_shared::progress::{CoordinatorStatus, Ineligibility, RunProgress, RunState, WorkerStatus};
use hebbian_shared::time::Timestamp;

use super::Engine;
use crate::run::Run;

impl Engine {
    /// How a run stands at this moment. It may run ahead of the disk by what is still being written; what is told
    /// for good (replies to requests, watch, results) does not.
    pub fn progress(&self, id: RunId) -> Option<RunProgress> {
        let run = self.runs.get(&id)?;
        let mut progress = run.progress();
        progress.leased = self.scheduler.leased(id);
        progress.eligible_workers =
            if run.state().is_final() { 0 } else { self.scheduler.eligible_workers(id) };
        if *run.state() == RunState::Running {
            let trouble = self.trouble.as_ref().map(|trouble| {
                format!("the journal cannot be written: {trouble}; the run goes on by itself when it can")
            });
            if let Some(reason) = trouble.or_else(|| self.stranded(id)) {
                progress.state = RunState::Paused { reason };
            }
        }
        Some(progress)
    }

    /// All runs in order of creation.
    pub fn list(&self) -> Vec<RunProgress> {
        self.order.iter().filter_map(|&run| self.progress(run)).collect()
    }

    /// A run.
    pub fn run(&self, id: RunId) -> Option<&Run> {
        self.runs.get(&id)
    }

    /// The attached workers behind `after` in order of their ids; all of them if it is `None`.
    pub fn workers_after(
        &self,
        now: Timestamp,
        after: Option<WorkerId>,
    ) -> impl Iterator<Item = WorkerStatus> {
        let behind = after.map_or(Bound::Unbounded, Bound::Excluded);
        let workers = self.workers.range((behind, Bound::Unbounded));
        workers.filter_map(move |(&worker, _)| self.worker(now, worker))
    }

    /// An attached worker.
    pub fn worker(&self, now: Timestamp, worker: WorkerId) -> Option<WorkerStatus> {
        let hello = &self.workers.get(&worker)?.hello;
        let load = self.scheduler.load(worker)?;
        let ineligible = load.barred.into_iter().map(|(run, reason)| Ineligibility { run, reason });
        Some(WorkerStatus {
            worker,
            name: hello.name.clone(),
            threads: hello.threads,
            version: hello.version.clone(),
            fingerprint: hello.fingerprint,
            leased: load.leased,
            credit: load.credit,
            settled: load.settled,
            errors: load.errors,
            episode_time: load.episode_time,
            attached: now.since(load.attached),
            heard: now.since(load.heard),
            overtaken: load.overtaken,
            draining: load.draining,
            ineligible: ineligible.collect(),
        })
    }

    /// The coordinator as a whole.
    pub fn status(&self, now: Timestamp) -> CoordinatorStatus {
        CoordinatorStatus {
            version: env!("CARGO_PKG_VERSION").into(),
            epoch: self.epoch,
            uptime: now.since(self.started),
            workers: self.workers.len() as u32,
            threads: self.scheduler.threads(),
            active_runs: self.runs.values().filter(|run| !run.state().is_final()).count() as u32,
            settled: self.scheduler.settled(),
            journal_trouble: self.trouble.clone(),
        }
    }
}

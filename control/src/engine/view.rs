//! How runs, workers and the coordinator stand, for whoever asks.

use std::ops::Bound;

use hebbian_proto::convert::{from_duration, run_name};
use hebbian_proto::figures::{RunState, moment};
use hebbian_proto::v1;
use hebbian_proto::v1::worker::Ineligibility;
use hebbian_shared::dispatch::WEIGHT_DEFAULT;
use hebbian_shared::id::{RunId, WorkerId};
use hebbian_shared::time::Timestamp;

use super::exclusion::LIED;
use super::{Engine, WorkerEntry};
use crate::command::Refusal;
use crate::run::Run;
use crate::run::ended::Ended;
use crate::run::record::UnreadableRun;

/// Workers that do not answer whose names a run's progress has.
const UNANSWERING_NAMED: usize = 8;

impl Engine {
    /// How a run stands at this moment. It may run ahead of the disk by what is still being written; what is told
    /// for good (replies to requests, watch, results) does not.
    pub fn progress(&self, id: RunId) -> Option<v1::Run> {
        let Some(run) = self.runs.get(&id) else {
            let ended = self.ended.get(&id).map(Ended::progress);
            return ended.or_else(|| self.unreadable.get(&id).map(unreadable));
        };
        let mut progress = run.progress();
        progress.leased_episodes = self.scheduler.leased(id);
        progress.eligible_workers =
            if run.state().is_final() { 0 } else { self.scheduler.eligible_workers(id) };
        if !run.state().is_final() {
            let unanswering = self.scheduler.unanswering();
            progress.unanswering_workers = unanswering.len() as u32;
            let names =
                unanswering.iter().filter_map(|worker| Some(self.workers.get(worker)?.hello.name.clone()));
            progress.unanswering = names.take(UNANSWERING_NAMED).collect();
        }
        if *run.state() == RunState::RUNNING {
            let trouble = self.journal_trouble().map(|reason| {
                format!("the journal cannot be written: {reason}; the run goes on by itself when it can")
            });
            if let Some(reason) = trouble.or_else(|| self.stranded(id)) {
                progress.state = Some(RunState::paused(reason).into());
            }
        }
        Some(progress)
    }

    /// All runs in order of creation.
    pub fn list(&self) -> Vec<v1::Run> {
        self.order.iter().filter_map(|&run| self.progress(run)).collect()
    }

    /// The runs that cannot be taken up, each with what is wrong.
    pub fn unreadable(&self) -> impl Iterator<Item = (RunId, &str)> {
        self.unreadable.values().map(|run| (run.run, run.problem.as_str()))
    }

    /// Whether there is such a run, be it one that cannot be taken up.
    pub fn knows(&self, id: RunId) -> bool {
        self.standing(id).is_some() || self.unreadable.contains_key(&id)
    }

    /// Why [`Engine::run`] does not give a run.
    pub fn missing(&self, id: RunId) -> Refusal {
        match self.unreadable.get(&id) {
            Some(UnreadableRun { run, problem, .. }) => {
                Refusal::WrongState { run: *run, problem: format!("cannot be taken up: {problem}") }
            }
            None => Refusal::NoSuchRun(id),
        }
    }

    /// A run; `None` also if it cannot be taken up, or has ended and rests.
    pub fn run(&self, id: RunId) -> Option<&Run> {
        self.runs.get(&id)
    }

    /// The attached workers behind `after` in order of their ids; all of them if it is `None`.
    pub fn workers_after(&self, now: Timestamp, after: Option<WorkerId>) -> impl Iterator<Item = v1::Worker> {
        let behind = after.map_or(Bound::Unbounded, Bound::Excluded);
        let workers = self.workers.range((behind, Bound::Unbounded));
        workers.filter_map(move |(&worker, _)| self.worker(now, worker))
    }

    /// An attached worker.
    pub fn worker(&self, now: Timestamp, worker: WorkerId) -> Option<v1::Worker> {
        let WorkerEntry { hello, excluded, .. } = self.workers.get(&worker)?;
        let load = self.scheduler.load(worker)?;
        let ineligible =
            load.barred.into_iter().map(|(run, reason)| Ineligibility { run: run_name(run), reason });
        Some(v1::Worker {
            id: worker.0,
            display_name: hello.name.clone(),
            threads: hello.threads,
            version: hello.version.clone(),
            fingerprint: hello.fingerprint.0.to_vec(),
            serves: hello.serves.clone(),
            leased_episodes: load.leased,
            credit: load.credit,
            settled_episodes: load.settled,
            errors: load.errors,
            episode_time: load.episode_time.map(from_duration),
            attached: Some(from_duration(now.since(load.attached))),
            heard: Some(from_duration(now.since(load.heard))),
            overtaken: load.overtaken,
            proven: load.proven,
            hedged_episodes: load.hedged,
            excluded: if *excluded { LIED.to_owned() } else { String::new() },
            draining: load.draining,
            ineligible: ineligible.collect(),
        })
    }

    /// The coordinator as a whole.
    pub fn status(&self, now: Timestamp) -> v1::CoordinatorStatus {
        let (attached_workers, lost_workers, silent_workers) = self.events.counts();
        v1::CoordinatorStatus {
            version: env!("CARGO_PKG_VERSION").into(),
            epoch: self.epoch,
            uptime: Some(from_duration(now.since(self.started))),
            workers: self.workers.len() as u32,
            threads: self.scheduler.threads(),
            active_runs: self.runs.values().filter(|run| !run.state().is_final()).count() as u32,
            settled_episodes: self.scheduler.settled(),
            late_messages: self.scheduler.late(),
            hedged_episodes: self.scheduler.hedged(),
            attached_workers,
            lost_workers,
            silent_workers,
            events: self.events.kept(),
            leadership: self.settings.leadership.clone(),
            journal_trouble: self.journal_trouble().map(str::to_owned),
        }
    }
}

/// All that is known of a run that cannot be taken up.
fn unreadable(run: &UnreadableRun) -> v1::Run {
    v1::Run {
        name: run_name(run.run),
        display_name: run.name.clone(),
        state: Some(RunState::failed(&run.problem).into()),
        weight: WEIGHT_DEFAULT,
        create_time: Some(moment(run.created_unix_ms)),
        ..v1::Run::default()
    }
}

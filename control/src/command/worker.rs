//! Commands that are about workers.

use std::collections::BTreeSet;
use std::time::Duration;

use hebbian_proto::v1;
use hebbian_shared::dispatch::{Hello, ToWorker, Welcome};
use hebbian_shared::id::{RunId, WorkerId};
use hebbian_shared::limits::{LEAVING_GRACE, NAME_BYTES_MAX, THREADS_MAX};
use hebbian_shared::time::Timestamp;

use super::page::{Page, PageRequest};
use super::{Command, Refusal};
use crate::engine::effect::Effect;
use crate::engine::events::Happening;
use crate::engine::{Engine, Settings, WorkerEntry};
use crate::run::Run;

/// The attached workers in order of their ids.
#[derive(Clone, Debug, Default)]
pub struct List {
    /// Which page of them. Workers come and go between pages, but their ids only grow.
    pub page: PageRequest,
}

impl Command for List {
    type Answer = Page<v1::Worker>;

    fn execute(self, engine: &mut Engine, now: Timestamp) -> Result<Page<v1::Worker>, Refusal> {
        let size = self.page.size()?;
        let after = self.page.position(|token| token.parse().ok())?;
        Ok(Page::of(engine.workers_after(now, after.map(WorkerId)), size, |worker| worker.id.to_string()))
    }
}

/// Asks a worker to leave for good. The answer is the worker, draining.
#[derive(Clone, Copy, Debug)]
pub struct Drain {
    /// Which.
    pub worker: WorkerId,
    /// The time it has.
    pub within: Duration,
}

impl Command for Drain {
    type Answer = v1::Worker;

    fn execute(self, engine: &mut Engine, now: Timestamp) -> Result<v1::Worker, Refusal> {
        let Self { worker, within } = self;
        let missing = Refusal::NoSuchWorker(worker);
        if !engine.workers.contains_key(&worker) {
            return Err(missing);
        }
        engine.scheduler.drain(worker, Some(now + (within + LEAVING_GRACE)));
        engine.happened(now, worker, Happening::AskedToLeave, "");
        engine.outbox.now(Effect::Send { worker, message: ToWorker::Drain { within } });
        engine.worker(now, worker).ok_or(missing)
    }
}

/// A worker has come.
#[derive(Clone, Debug)]
pub struct Attach {
    /// Its id, never used before.
    pub worker: WorkerId,
    /// What it said.
    pub hello: Hello,
}

impl Command for Attach {
    type Answer = Welcome;

    fn execute(self, engine: &mut Engine, now: Timestamp) -> Result<Welcome, Refusal> {
        let Self { worker, mut hello } = self;
        if engine.workers.len() >= engine.settings.workers_max {
            let limit = engine.settings.workers_max;
            return Err(Refusal::Limit(format!("{limit} workers are attached, which is the limit")));
        }
        let printable = |c: &char| !c.is_control();
        hello.name = hello.name.chars().filter(printable).take(NAME_BYTES_MAX).collect();
        hello.version = hello.version.chars().filter(printable).take(NAME_BYTES_MAX).collect();
        hello.threads = hello.threads.clamp(1, THREADS_MAX);
        engine.scheduler.attach(now, worker, hello.threads);
        engine.workers.insert(worker, WorkerEntry { hello, specs: BTreeSet::new(), excluded: false });
        engine.happened(now, worker, Happening::Attached, "");
        let active = engine.runs.values().filter(|run| !run.state().is_final());
        let jobs: Vec<RunId> = active.map(Run::id).chain(engine.evaluations.keys().copied()).collect();
        for job in jobs {
            engine.admit(now, job, worker);
        }
        let Settings { heartbeat_interval, idle_heartbeat_interval, .. } = engine.settings;
        Ok(Welcome { worker, heartbeat_interval, idle_heartbeat_interval })
    }
}

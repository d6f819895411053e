//! What others may see of the scheduler, and what must hold in it after every event.

use std::collections::{BTreeMap, BTreeSet};

use hebbian_shared::id::{RunId, WorkerId};

use super::work::{LeaseId, Work};
use super::worker::Worker;
use super::{Scheduler, WorkerLoad};

impl Scheduler {
    /// Episodes of a run's generation that have not settled.
    pub fn unsettled(&self, run: RunId) -> u32 {
        self.runs.get(&run).and_then(|entry| entry.work.as_ref()).map_or(0, Work::unsettled)
    }

    /// Episodes of a run that workers hold.
    pub fn leased(&self, run: RunId) -> u32 {
        let work = self.runs.get(&run).and_then(|entry| entry.work.as_ref());
        work.map_or(0, |work| work.leases.values().filter(|lease| !lease.hedge).map(|lease| lease.held).sum())
    }

    /// Attached workers that may work on a run.
    pub fn eligible_workers(&self, run: RunId) -> u32 {
        self.runs.get(&run).map_or(0, |entry| entry.eligible)
    }

    /// Why a run gets nowhere although workers are attached: none of them may work on it. The reason is that of the
    /// last that came. `None` if a worker may work on it, and if all attached workers are leaving.
    pub fn stranded(&self, run: RunId) -> Option<&str> {
        if self.eligible_workers(run) > 0 {
            return None;
        }
        let mut last = None;
        for worker in self.workers.values().filter(|worker| !worker.draining) {
            let (reason, _) = worker.standings.get(&run)?.barred.as_ref()?;
            last = Some(reason.as_str());
        }
        last
    }

    /// The attached workers that let others finish all that they held, time and again.
    pub fn unanswering(&self) -> &BTreeSet<WorkerId> {
        &self.unanswering
    }

    /// Episodes settled since the start.
    pub fn settled(&self) -> u64 {
        self.settled
    }

    /// Messages of workers about what was no longer open: of a run or generation that has ended, of a worker that was
    /// detached or barred meanwhile. They are harmless.
    pub fn late(&self) -> u64 {
        self.late
    }

    /// Counts a message of a worker that was detached meanwhile.
    pub fn count_late(&mut self) {
        self.late += 1;
    }

    /// Episodes that a second worker was given since the start, because the first one took long with them.
    pub fn hedged(&self) -> u64 {
        self.hedged
    }

    /// Compute threads of all attached workers.
    pub fn threads(&self) -> u32 {
        self.threads
    }

    /// A worker's load and pace.
    pub fn load(&self, worker: WorkerId) -> Option<WorkerLoad> {
        let worker = self.workers.get(&worker)?;
        let barred = worker
            .standings
            .iter()
            .filter_map(|(&run, standing)| standing.barred.as_ref().map(|(reason, _)| (run, reason.clone())));
        Some(WorkerLoad {
            leased: worker.held,
            credit: worker.credit(&self.settings).max(worker.held),
            settled: worker.settled,
            errors: worker.errors,
            episode_time: worker.compute.median(),
            attached: worker.attached,
            heard: worker.heard,
            overtaken: worker.stalls,
            hedged: worker.hedged,
            proven: worker.is_proven(),
            draining: worker.draining,
            barred: barred.collect(),
        })
    }

    /// Checks what must hold after every event; see the module.
    ///
    /// # Panics
    /// If it does not hold.
    pub fn check_invariants(&self) {
        let mut held: BTreeMap<WorkerId, (u32, BTreeSet<(RunId, LeaseId)>)> = BTreeMap::new();
        for (&run, entry) in &self.runs {
            assert_eq!(
                entry.eligible,
                self.count_eligible(run),
                "{run} counts the workers that may work on it"
            );
            let Some(work) = &entry.work else { continue };
            work.check_invariants();
            for (&id, lease) in &work.leases {
                assert!(self.workers.contains_key(&lease.worker), "a lease's worker is attached");
                let (count, leases) = held.entry(lease.worker).or_default();
                *count += lease.held;
                leases.insert((run, id));
            }
        }
        assert!(
            self.resting.iter().all(|(_, id)| self.workers.contains_key(id)),
            "a resting worker is attached"
        );
        assert_eq!(self.threads, self.workers.values().map(|worker| worker.threads).sum::<u32>());
        assert_eq!(self.believed, self.workers.values().map(Worker::counting_threads).sum::<u32>());
        assert!(self.unanswering.iter().all(|id| self.workers.contains_key(id)));
        for (id, worker) in &self.workers {
            let (count, leases) = held.remove(id).unwrap_or_default();
            assert_eq!((worker.held, &worker.leases), (count, &leases), "{id} holds what its leases say");
            assert!(worker.held <= worker.credit_max(&self.settings), "{id} holds more than its credit");
            let rests = worker.rests_until.is_some_and(|until| self.resting.contains(&(until, *id)));
            assert_eq!(rests, worker.rests_until.is_some(), "{id} rests until a known time");
            assert_eq!(self.idle.contains(id), worker.idle(&self.settings));
            assert_eq!(self.ready.contains(id), worker.ready(&self.settings));
        }
    }
}

//! Which worker computes which episode: workers, leases, attempts, hedges, credit, and fairness between runs.
//!
//! A run's generation is a job, and so is an evaluation, which has one generation; here both are called runs.
//!
//! Pure: it is given the time and answers with [`Action`]s. It knows nothing of genomes, fitness or journals. After
//! every event holds what [`Scheduler::check_invariants`] checks: an open episode is queued or leased, at most twice
//! and then to two workers; leases are held by attached workers; nobody holds more than its credit; an episode
//! settles exactly once.

mod barring;
mod dispatch;
mod leaving;
mod recheck;
mod report;
mod run_entry;
mod settings;
mod stall;
mod trust;
mod turn;
mod view;
mod work;
mod worker;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hebbian_shared::episode::EpisodePurpose;
use hebbian_shared::id::{BlockIndex, CandidateIndex, GenerationIndex, RunId, TaskIndex, WorkerId};
use hebbian_shared::limits::REASON_BYTES_MAX;
use hebbian_shared::time::Timestamp;

pub use recheck::Recheck;
pub use report::Reported;
use run_entry::RunEntry;
pub use settings::Settings;
pub use work::Portion;
use work::{LeaseId, Work};
use worker::{Bar, Worker};

/// How often leases are compared with the clock while some may be overdue.
const HEDGE_CHECK: Duration = Duration::from_millis(25);

/// What the scheduler wants done or known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Give episodes to a worker.
    Dispatch {
        /// To whom.
        worker: WorkerId,
        /// Of which run.
        run: RunId,
        /// Of which generation.
        generation: GenerationIndex,
        /// What for.
        purpose: EpisodePurpose,
        /// Of which block.
        block: BlockIndex,
        /// Which, task by task.
        episodes: Vec<(CandidateIndex, TaskIndex)>,
        /// Whether others work on the same episodes.
        hedge: bool,
    },
    /// Tell a worker that it need not finish what it holds.
    Withdraw {
        /// Whom.
        worker: WorkerId,
        /// Of which run.
        run: RunId,
        /// Up to which generation; `None` for the whole run.
        up_to: Option<GenerationIndex>,
    },
    /// A worker was not heard of, or did not leave, in time and has been detached.
    Expired {
        /// Which.
        worker: WorkerId,
        /// For people.
        why: String,
    },
    /// An episode's attempts are exhausted: the run cannot go on by itself.
    Exhausted {
        /// The run.
        run: RunId,
        /// Why, for people.
        reason: String,
    },
    /// A worker is heard, or seems to be, but others finished all that it held, time and again.
    Overtaken {
        /// Which.
        worker: WorkerId,
        /// Of which run the last time.
        run: RunId,
        /// Whether it has ever settled an episode.
        ever: bool,
    },
    /// Two other workers agree on how an episode ended, and a worker has said otherwise.
    Lied {
        /// Which.
        worker: WorkerId,
        /// Of which run the episode is.
        run: RunId,
    },
    /// A worker may no longer work on a run.
    Barred {
        /// The run.
        run: RunId,
        /// The worker.
        worker: WorkerId,
        /// Why, for people.
        reason: String,
    },
}

/// A worker's load and pace, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerLoad {
    /// Episodes it holds.
    pub leased: u32,
    /// Episodes it may hold.
    pub credit: u32,
    /// Episodes it settled.
    pub settled: u64,
    /// Errors it reported.
    pub errors: u64,
    /// Median compute time of its recent episodes.
    pub episode_time: Option<Duration>,
    /// When it attached.
    pub attached: Timestamp,
    /// When it was heard last.
    pub heard: Timestamp,
    /// Times in a row that others finished first what it held, without an answer of its own.
    pub overtaken: u32,
    /// Whether it has answered what it was given; see the module `trust`.
    pub proven: bool,
    /// Episodes of it that a second worker was given too.
    pub hedged: u64,
    /// Whether it is leaving.
    pub draining: bool,
    /// Runs it may not work on, with the reason.
    pub barred: Vec<(RunId, String)>,
}

/// See the module.
#[derive(Debug)]
pub struct Scheduler {
    settings: Settings,
    workers: BTreeMap<WorkerId, Worker>,
    runs: BTreeMap<RunId, RunEntry>,
    /// Workers with an idle thread.
    idle: BTreeSet<WorkerId>,
    /// Workers that can take work in advance; contains `idle`.
    ready: BTreeSet<WorkerId>,
    /// Workers that get nothing for a while, by when that ends.
    resting: BTreeSet<(Timestamp, WorkerId)>,
    /// Workers that let others finish all that they held, time and again.
    unanswering: BTreeSet<WorkerId>,
    threads: u32,
    /// Threads that are counted on: all of proven workers, few of newcomers, none of those that rest or leave.
    believed: u32,
    next_expiry_check: Timestamp,
    next_hedge_check: Timestamp,
    settled: u64,
    /// Messages of workers about what was no longer open.
    late: u64,
    /// Episodes that were given to a second worker because the first one took long.
    hedged: u64,
    behind: bool,
}

impl Scheduler {
    /// Without workers and runs.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            workers: BTreeMap::new(),
            runs: BTreeMap::new(),
            idle: BTreeSet::new(),
            ready: BTreeSet::new(),
            resting: BTreeSet::new(),
            unanswering: BTreeSet::new(),
            threads: 0,
            believed: 0,
            next_expiry_check: Timestamp::default(),
            next_hedge_check: Timestamp::default(),
            settled: 0,
            late: 0,
            hedged: 0,
            behind: false,
        }
    }

    /// Says whether messages are waiting to be taken. As long as some are, nobody counts as silent: what a worker said may
    /// be among them.
    pub fn set_behind(&mut self, behind: bool) {
        self.behind = behind;
    }

    /// A worker has come. Bar it from runs before the next [`Scheduler::dispatch`].
    pub fn attach(&mut self, now: Timestamp, worker: WorkerId, threads: u32) {
        self.threads += threads.max(1);
        let before = self.workers.insert(worker, Worker::new(now, threads.max(1)));
        assert!(before.is_none(), "worker ids are never used twice");
        let level = self.level();
        for entry in self.runs.values_mut() {
            // A run that nobody could work on gets no arrears for that time either.
            if entry.eligible == 0 {
                entry.share.join(level);
            }
            entry.eligible += 1;
        }
        self.refresh(worker);
    }

    /// A worker is gone: what it held is queued again at once. Of one that said that it leaves, that counts as no loss.
    ///
    /// # Panics
    /// If it is not attached.
    pub fn detach(&mut self, worker: WorkerId, out: &mut Vec<Action>) {
        let gone = self.workers.remove(&worker).expect("only an attached worker is detached");
        self.threads -= gone.threads;
        self.believed -= gone.counted;
        self.unanswering.remove(&worker);
        if let Some(until) = gone.rests_until {
            self.resting.remove(&(until, worker));
        }
        for (&run, entry) in &mut self.runs {
            entry.eligible -= u32::from(gone.eligible(run));
        }
        self.refresh(worker);
        for &(run, lease) in &gone.leases {
            let why = (!gone.draining).then_some(("its worker was lost", gone.is_proven()));
            self.lose(run, lease, why, out);
        }
    }

    /// A worker lives; renews its leases.
    pub fn heard(&mut self, now: Timestamp, worker: WorkerId) {
        if let Some(worker) = self.workers.get_mut(&worker) {
            worker.heard = worker.heard.max(now);
        }
    }

    /// A run that wants worker time, by its weight in the fair share, and in batches of at most so many episodes. It gets no
    /// arrears for the time before.
    pub fn open(&mut self, run: RunId, weight: f64, batch_max: u32) {
        let (level, eligible) = (self.level(), self.count_eligible(run));
        self.runs.insert(run, RunEntry::new(weight, batch_max, level, eligible));
    }

    /// What those runs have had that have had least of those that want something.
    fn level(&self) -> Duration {
        let waiting = self.runs.values().filter(|entry| entry.queued() > 0);
        waiting.map(|entry| entry.share.used).min().unwrap_or_default()
    }

    fn count_eligible(&self, run: RunId) -> u32 {
        self.workers.values().filter(|worker| worker.eligible(run)).count() as u32
    }

    /// A run that wants none any more.
    ///
    /// # Panics
    /// If the run is not open.
    pub fn close(&mut self, now: Timestamp, run: RunId, out: &mut Vec<Action>) {
        self.drop_work(now, run, None, out);
        self.runs.remove(&run);
        for worker in self.workers.values_mut() {
            worker.standings.remove(&run);
        }
    }

    /// Holds a run's episodes back. What is leased stays leased, and its outcomes are welcome.
    ///
    /// # Panics
    /// If the run is not open.
    pub fn pause(&mut self, run: RunId) {
        self.entry(run).paused = true;
    }

    fn entry(&mut self, run: RunId) -> &mut RunEntry {
        self.runs.get_mut(&run).expect("a run is open until it is closed")
    }

    /// Hands a run's episodes out again, and forgets errors, losses and quarantines.
    ///
    /// # Panics
    /// If the run is not open.
    pub fn resume(&mut self, run: RunId) {
        let level = self.level();
        let entry = self.entry(run);
        entry.paused = false;
        entry.share.join(level);
        if let Some(work) = &mut entry.work {
            work.forgive();
        }
        for worker in self.workers.values_mut() {
            let Some(standing) = worker.standings.get_mut(&run) else { continue };
            standing.errors_in_row = 0;
            if matches!(standing.barred, Some((_, Bar::UntilResumed))) {
                standing.barred = None;
            }
        }
        self.entry(run).eligible = self.count_eligible(run);
    }

    /// The episodes of a run's next generation, without those already settled. What is left of the generation before is
    /// withdrawn.
    ///
    /// # Panics
    /// If the run is not open.
    pub fn submit(
        &mut self,
        now: Timestamp,
        run: RunId,
        generation: GenerationIndex,
        portions: &[Portion<'_>],
        settled: impl Fn(EpisodePurpose, CandidateIndex, TaskIndex) -> bool,
        out: &mut Vec<Action>,
    ) {
        self.withdraw(now, run, out);
        let entry = self.entry(run);
        entry.turning = None;
        entry.work = Some(Work::new(generation, portions, settled));
    }

    /// Withdraws what is left of a run's generation, while its search advances to the next.
    ///
    /// # Panics
    /// If the run is not open.
    pub fn withdraw(&mut self, now: Timestamp, run: RunId, out: &mut Vec<Action>) {
        let entry = self.entry(run);
        entry.turning = Some(now);
        let generation = entry.work.as_ref().map(|work| work.generation);
        self.drop_work(now, run, generation, out);
    }

    /// Looks at the clock: detaches workers not heard of, queues overdue leases again, hedges old ones. Call it when
    /// [`Scheduler::deadline`] has come.
    pub fn tick(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        if now >= self.next_expiry_check && !self.behind {
            self.next_expiry_check = now + self.settings.lease / 8;
            let lost = self.workers.iter();
            let lost = lost.filter_map(|(&id, worker)| Some((id, worker.lost(now, &self.settings)?)));
            for (worker, why) in lost.collect::<Vec<(WorkerId, String)>>() {
                self.detach(worker, out);
                out.push(Action::Expired { worker, why });
            }
            self.lose_overdue(now, out);
        }
        if now >= self.next_hedge_check {
            self.next_hedge_check = now + HEDGE_CHECK;
            self.hedge(now, out);
        }
        self.wake(now);
    }

    /// When [`Scheduler::tick`] has something to look at again.
    pub fn deadline(&self) -> Option<Timestamp> {
        if self.workers.is_empty() {
            return None;
        }
        let leased = |entry: &RunEntry| entry.work.as_ref().is_some_and(|work| !work.leases.is_empty());
        let hedging = !self.idle.is_empty() && self.runs.values().any(|e| e.queued() == 0 && leased(e));
        let hedge = hedging.then_some(self.next_hedge_check);
        let rested = self.resting.first().map(|&(until, _)| until);
        [Some(self.next_expiry_check), hedge, rested].into_iter().flatten().min()
    }

    /// Ends a lease and queues its open episodes again. Without a reason it counts as no loss; with it comes whether its worker
    /// was proven.
    fn lose(&mut self, run: RunId, lease: LeaseId, why: Option<(&str, bool)>, out: &mut Vec<Action>) {
        let entry = self.runs.get_mut(&run).expect("a lease is of a run");
        let work = entry.work.as_mut().expect("a lease is of a generation");
        let held = &work.leases[&lease];
        let (worker, estimate) = (held.worker, held.estimate);
        let (released, most_lost) = work.lose(lease, why.map(|(_, proven)| proven));
        entry.share.refund(estimate * released);
        // One that is being detached is gone already.
        if let Some(worker) = self.workers.get_mut(&worker) {
            worker.hand_back(released, estimate);
        }
        let work = self.runs[&run].work.as_ref();
        let setbacks = work.zip(most_lost).and_then(|(work, slot)| work.setbacks.get(&slot));
        if let Some((why, _)) = why
            && let Some(setbacks) = setbacks.filter(|setbacks| self.is_exhausted(run, setbacks))
        {
            let lost = setbacks.lost;
            let reason =
                format!("{lost} leases of an episode ended without an outcome; the last because {why}");
            out.push(Action::Exhausted { run, reason });
        }
    }

    /// Ends all leases of a run's generation, if one is handed out, telling their workers.
    fn drop_work(
        &mut self,
        now: Timestamp,
        run: RunId,
        up_to: Option<GenerationIndex>,
        out: &mut Vec<Action>,
    ) {
        let entry = self.runs.get_mut(&run).expect("a run is open until it is closed");
        let Some(work) = entry.work.take() else { return };
        let is_proven = |worker| self.workers[&worker].is_proven();
        let overtaken = stall::overtaken(now, &work, entry.hedge_age(&self.settings), is_proven);
        let mut holders = BTreeSet::new();
        for (&id, lease) in &work.leases {
            let worker = self.workers.get_mut(&lease.worker).expect("a lease's worker is attached");
            worker.leases.remove(&(run, id));
            worker.hand_back(lease.held, lease.estimate);
            holders.insert(lease.worker);
        }
        let attached = work.strayed.iter().map(|(_, worker)| *worker);
        holders.extend(attached.filter(|worker| self.workers.contains_key(worker)));
        for worker in overtaken {
            self.stalled(now, worker, run, out);
        }
        for worker in holders {
            self.refresh(worker);
            out.push(Action::Withdraw { worker, run, up_to });
        }
    }

    /// Brings `idle`, `ready` and the believed threads up to date with a worker.
    fn refresh(&mut self, id: WorkerId) {
        if let Some(worker) = self.workers.get_mut(&id) {
            let counts = worker.counting_threads();
            self.believed = self.believed - std::mem::replace(&mut worker.counted, counts) + counts;
        }
        let worker = self.workers.get(&id);
        for (set, belongs) in [
            (&mut self.idle, worker.is_some_and(|worker| worker.idle(&self.settings))),
            (&mut self.ready, worker.is_some_and(|worker| worker.ready(&self.settings))),
        ] {
            if belongs {
                set.insert(id);
            } else {
                set.remove(&id);
            }
        }
    }
}

/// What a peer says goes to people in a bounded form, on one line.
fn shorten(text: &str) -> String {
    text.chars().take(REASON_BYTES_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests;

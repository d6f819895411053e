//! Compute threads apart from tokio, so that computing never starves a heartbeat.
//!
//! Threads are not pinned to cores: several workers on one host would all take the first ones.

use std::any::Any;
use std::borrow::Cow;
use std::collections::{BTreeSet, VecDeque};
use std::ops::Range;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{io, thread};

use hebbian_shared::dispatch::{Assignment, Batch, Settlement};
use hebbian_shared::episode::{Asked, EpisodeKey, Outcome};
use hebbian_shared::genome::Genome;
use tokio::sync::mpsc;

use crate::evaluator::{Episodes, Runner};
use hebbian_learning::interrupt::Interrupt;

/// Runs whose state a thread keeps at hand.
const RUNS_PER_THREAD_MAX: usize = 4;
/// How long a thread holds back finished episodes to hand them over together.
const HOLD: Duration = Duration::from_millis(5);
/// How long what a thread takes from the queue at once should last: where episodes are quick, the queue costs more than they do.
const TAKEN: Duration = Duration::from_micros(100);
/// The most episodes that a thread takes because they are quick.
const TAKEN_MAX: u32 = 64;

/// A batch to compute.
pub struct PoolBatch {
    /// Names the job within its pool's owner.
    pub ticket: u64,
    /// The episodes.
    pub batch: Batch,
    /// What runs them.
    pub runner: Arc<dyn Runner>,
    /// Places of the batch's assignments that are no longer wanted.
    unwanted: Mutex<BTreeSet<usize>>,
}

impl PoolBatch {
    /// All episodes of a batch.
    pub fn new(ticket: u64, batch: Batch, runner: Arc<dyn Runner>) -> Self {
        Self { ticket, batch, runner, unwanted: Mutex::default() }
    }

    fn unwanted(&self) -> MutexGuard<'_, BTreeSet<usize>> {
        self.unwanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those of some episodes that are wanted.
    fn wanted(&self, taken: Range<usize>) -> Cow<'_, [Assignment]> {
        let (unwanted, all) = (self.unwanted(), &self.batch.assignments);
        if unwanted.is_empty() {
            return Cow::Borrowed(&all[taken]);
        }
        Cow::Owned(taken.filter(|place| !unwanted.contains(place)).map(|place| all[place]).collect())
    }

    fn key(&self, assignment: Assignment) -> EpisodeKey {
        EpisodeKey {
            run: self.batch.run,
            generation: self.batch.generation,
            purpose: self.batch.purpose,
            block: self.batch.block,
            candidate: self.batch.genomes[assignment.genome as usize].candidate,
            task: assignment.task,
        }
    }
}

/// Episodes of one job that have ended.
pub struct Finished {
    /// The job.
    pub job: Arc<PoolBatch>,
    /// Those that were not interrupted.
    pub settlements: Vec<Settlement>,
    /// Number of those that were.
    pub interrupted: usize,
}

impl Finished {
    /// Number of episodes.
    pub fn episodes(&self) -> usize {
        self.settlements.len() + self.interrupted
    }
}

/// Compute threads and their queue. Dropping it interrupts everything and ends the threads.
pub struct Pool {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Default)]
struct State {
    /// Jobs and their first episode that no thread has taken.
    queue: VecDeque<(Arc<PoolBatch>, usize)>,
    /// What each thread computes: the places of a job's assignments.
    running: Vec<Option<(Arc<PoolBatch>, Range<usize>)>>,
    /// Raised when nothing of what a thread computes is wanted any more.
    interrupts: Vec<Arc<Interrupt>>,
    closed: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // No code that can panic runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The next episode in order of submission, with those behind it in its job that its share allows: of what waits there, one
    /// thread takes no more than its part.
    fn take(&mut self, most: impl Fn(&PoolBatch) -> usize) -> Option<(Arc<PoolBatch>, Range<usize>)> {
        loop {
            let threads = self.running.len().max(1);
            let (job, next) = self.queue.front_mut()?;
            let rest = job.batch.assignments.len().saturating_sub(*next);
            if rest > 0 {
                let taken = *next..*next + most(job).min(rest.div_ceil(threads)).max(1);
                *next = taken.end;
                return Some((job.clone(), taken));
            }
            self.queue.pop_front();
        }
    }
}

impl Pool {
    /// Starts the threads. What they finish arrives at the receiver, from each thread in order.
    pub fn start(threads: u32) -> io::Result<(Self, mpsc::UnboundedReceiver<Finished>)> {
        // Unbounded, but never longer than what was submitted.
        let (results, receiver) = mpsc::unbounded_channel();
        let pool = Self { shared: Arc::default() };
        pool.shared.state().running = vec![None; threads as usize];
        for number in 0..threads as usize {
            let (shared, results, interrupt) = (pool.shared.clone(), results.clone(), Arc::default());
            pool.shared.state().interrupts.push(Arc::clone(&interrupt));
            thread::Builder::new().name(format!("compute-{number}")).spawn(move || {
                Thread { number, shared, results, interrupt, held: None, known: VecDeque::new() }.work();
            })?;
        }
        Ok((pool, receiver))
    }

    /// Queues a job's episodes.
    pub fn submit(&self, job: Arc<PoolBatch>) {
        self.shared.state().queue.push_back((job, 0));
        self.shared.work.notify_all();
    }

    /// Takes back episodes of a job. Those that have not begun are passed over; what a thread computes is interrupted where nothing of it is
    /// wanted any more. All arrive as interrupted.
    pub fn withdraw(&self, job: &Arc<PoolBatch>, is_unwanted: impl Fn(Assignment) -> bool) {
        let state = self.shared.state();
        let mut unwanted = job.unwanted();
        let all = job.batch.assignments.iter().enumerate();
        unwanted.extend(all.filter(|(_, assignment)| is_unwanted(**assignment)).map(|(place, _)| place));
        for (running, interrupt) in state.running.iter().zip(&state.interrupts) {
            if let Some((running, taken)) = running
                && Arc::ptr_eq(running, job)
                && taken.clone().all(|place| unwanted.contains(&place))
            {
                interrupt.raise();
            }
        }
    }

    /// Forgets the episodes that no thread has taken yet; those being computed will still arrive. Returns the jobs with
    /// the place of the first of their episodes that is forgotten.
    pub fn discard_queued(&self) -> Vec<(Arc<PoolBatch>, usize)> {
        self.shared.state().queue.drain(..).collect()
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.closed = true;
        state.queue.clear();
        state.interrupts.iter().for_each(|interrupt| interrupt.raise());
        drop(state);
        self.shared.work.notify_all();
    }
}

struct Thread {
    number: usize,
    shared: Arc<Shared>,
    results: mpsc::UnboundedSender<Finished>,
    interrupt: Arc<Interrupt>,
    /// Finished episodes of one job that were not handed over yet, and when they began to be held back.
    held: Option<(Finished, Instant)>,
    /// The most recently used last.
    known: VecDeque<Known>,
}

/// A run that a thread has computed episodes of.
struct Known {
    runner: Arc<dyn Runner>,
    episodes: Box<dyn Episodes>,
    /// How long each of the last ones took; longer than any before there was one.
    each: Duration,
}

impl Known {
    fn new(runner: &Arc<dyn Runner>) -> Self {
        Self { runner: runner.clone(), episodes: runner.clone().on_thread(), each: Duration::MAX }
    }

    /// How many episodes are best taken together.
    fn together(&self) -> usize {
        let quick = TAKEN.as_nanos() / self.each.as_nanos().max(1);
        self.episodes.together().max(quick.min(TAKEN_MAX.into()) as usize)
    }
}

impl Thread {
    fn work(mut self) {
        while let Some((job, taken)) = self.next() {
            if self.held.as_ref().is_some_and(|(held, _)| !Arc::ptr_eq(&held.job, &job)) {
                self.hand_over();
            }
            let start = Instant::now();
            let asked = taken.len();
            let assignments = job.wanted(taken);
            let outcomes = if assignments.is_empty() { Vec::new() } else { self.run(&job, &assignments) };
            let compute_time = start.elapsed() / (assignments.len() as u32).max(1);
            let (held, since) = self.held.get_or_insert_with(|| {
                (Finished { job: job.clone(), settlements: Vec::new(), interrupted: 0 }, start)
            });
            held.interrupted += asked - assignments.len();
            for (assignment, outcome) in assignments.iter().zip(outcomes) {
                match outcome {
                    Some(outcome) => held.settlements.push(Settlement {
                        candidate: job.batch.genomes[assignment.genome as usize].candidate,
                        task: assignment.task,
                        outcome,
                        compute_time,
                    }),
                    None => held.interrupted += 1,
                }
            }
            // The next ones will last about as long as these: hold back only what will not wait for long.
            if start.elapsed() >= HOLD / 2 || since.elapsed() >= HOLD {
                self.hand_over();
            }
        }
    }

    /// The next episodes; waits for them, and hands over what is held before it waits. `None` when the pool is closed.
    fn next(&mut self) -> Option<(Arc<PoolBatch>, Range<usize>)> {
        let shared = self.shared.clone();
        let mut state = shared.state();
        loop {
            if state.closed {
                return None;
            }
            if let Some((job, taken)) = state.take(|job| self.together(job)) {
                self.interrupt.clear();
                state.running[self.number] = Some((job.clone(), taken.clone()));
                return Some((job, taken));
            }
            state.running[self.number] = None;
            if self.held.is_some() {
                drop(state);
                self.hand_over();
                state = shared.state();
            } else {
                state = shared.work.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    fn hand_over(&mut self) {
        if let Some((finished, _)) = self.held.take() {
            // Nobody is there to read only while the pool is being dropped.
            let _ = self.results.send(finished);
        }
    }

    /// How many episodes of a job are best run together.
    fn together(&self, job: &PoolBatch) -> usize {
        let known = self.known.iter().find(|known| Arc::ptr_eq(&known.runner, &job.runner));
        known.map_or(1, Known::together)
    }

    fn run(&mut self, job: &PoolBatch, assignments: &[Assignment]) -> Vec<Option<Outcome>> {
        let genome = |assignment: &Assignment| &*job.batch.genomes[assignment.genome as usize].genome;
        let episodes: Vec<(&Genome, EpisodeKey)> =
            assignments.iter().map(|assignment| (genome(assignment), job.key(*assignment))).collect();
        let found = self.known.iter().position(|known| Arc::ptr_eq(&known.runner, &job.runner));
        let mut known = found.and_then(|place| self.known.remove(place));
        let start = Instant::now();
        let outcomes = panic::catch_unwind(AssertUnwindSafe(|| {
            let known = known.get_or_insert_with(|| Known::new(&job.runner));
            known.episodes.run_together(&episodes, job.batch.wants, &self.interrupt)
        }));
        let mut outcomes = match outcomes {
            Ok(outcomes) => {
                if self.known.len() >= RUNS_PER_THREAD_MAX {
                    self.known.pop_front();
                }
                let each = start.elapsed() / episodes.len() as u32;
                self.known.extend(known.map(|known| Known { each, ..known }));
                outcomes
            }
            // One of them has spoiled the others' answers, and only it is to blame: episodes are pure, so each is run again by itself.
            Err(_) if episodes.len() > 1 => {
                return assignments.chunks(1).flat_map(|assignment| self.run(job, assignment)).collect();
            }
            // What the panic left behind is not used again.
            Err(payload) => {
                let reason = format!("panicked: {}", panic_message(payload.as_ref()));
                vec![Some(Outcome::WorkerError { reason }); episodes.len()]
            }
        };
        for (outcome, (genome, _)) in outcomes.iter_mut().zip(&episodes) {
            match outcome {
                None if !self.interrupt.is_raised() => {
                    let reason = "the episode stopped without being asked to".to_owned();
                    *outcome = Some(Outcome::WorkerError { reason });
                }
                None => {}
                Some(outcome) => {
                    let (wants, dimension) = (job.batch.wants, genome.0.len());
                    outcome.check(&Asked { wants, dimension, ..job.runner.asked() });
                }
            }
        }
        outcomes
    }
}

/// What a panic said.
pub(crate) fn panic_message(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

#[cfg(test)]
mod tests;

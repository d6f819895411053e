//! The evaluator of external problems: a foreign program per slot, asked over its standard streams.
//!
//! What a program does wrong (it ends, it takes too long, it answers nonsense) is this worker's error and never a fitness: others are
//! asked. What it says of a candidate is an outcome like any other.

mod process;
mod protocol;
mod shell;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use hebbian_learning::interrupt::Interrupt;
use hebbian_shared::dispatch::ALL_PROBLEMS;
use hebbian_shared::episode::{Asked, EpisodeKey, Outcome, Wants};
use hebbian_shared::genome::Genome;
use hebbian_shared::limits::{PROGRAM_BACK_OFF_MAX, PROGRAM_BACK_OFF_MIN, PROGRAM_TERM_GRACE};
use hebbian_shared::spec::{External, RunSpec};
use rustix::process::{Pid, Signal, kill_process_group};

use super::{Episodes, Evaluator, Runner};
use process::{NoLine, Process};
use protocol::Request;

pub use shell::shell;

/// How long a slot waits for an answer that nobody wants any more, until the program is started anew.
const STALE_WAIT: Duration = Duration::from_secs(2);
/// How often an interrupt is looked at while a program that broke rests.
const REST_GLANCE: Duration = Duration::from_millis(20);
/// Evaluations of which it is remembered that they went wrong here.
const ATTEMPTS_MAX: usize = 4096;

/// Evaluates external problems with a program.
#[derive(Clone)]
pub struct ExecEvaluator {
    programs: Arc<Programs>,
}

impl ExecEvaluator {
    /// Evaluates problems of these names ([`ALL_PROBLEMS`] for all) with a command of the shell. Nothing is started before it is needed.
    pub fn new(command: String, serves: Vec<String>) -> Self {
        Self { programs: Arc::new(Programs { command, serves, state: Mutex::default() }) }
    }

    /// Ends all programs with their children: they are told to, and killed if they do not. Nothing is evaluated any more.
    pub fn end(&self) {
        self.programs.end();
    }
}

impl Evaluator for ExecEvaluator {
    fn prepare(&self, spec: Arc<RunSpec>) -> Result<Arc<dyn Runner>, String> {
        let Some(problem) = spec.problem.external() else {
            return Err("this worker evaluates external problems and trains no networks".to_owned());
        };
        let serves = &self.programs.serves;
        if !serves.iter().any(|name| name == ALL_PROBLEMS || *name == problem.name) {
            return Err(format!("this worker serves {} and not `{}`", serves.join(", "), problem.name));
        }
        let problem = problem.clone();
        Ok(Arc::new(ExecRunner { spec, problem, programs: Arc::clone(&self.programs) }))
    }
}

/// The processes of a worker: as many as threads have evaluated at the same time.
struct Programs {
    command: String,
    serves: Vec<String>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    idle: Vec<Slot>,
    slots: usize,
    /// The groups of all processes that were started and not ended.
    alive: BTreeMap<usize, Pid>,
    closed: bool,
    /// How often an evaluation was asked for here in vain.
    attempts: BTreeMap<EpisodeKey, u32>,
}

/// A place for one process.
struct Slot {
    number: usize,
    process: Option<Running>,
    /// How often in a row it broke.
    broken: u32,
    ids: u64,
}

struct Running {
    process: Process,
    /// Evaluations that it takes at once.
    batch: usize,
    /// It owes an answer that nobody wants any more.
    stale: bool,
}

impl Programs {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place that nobody uses, best one with a process that is free.
    fn take(&self) -> Slot {
        let mut state = self.state();
        let free = |slot: &Slot| slot.process.as_ref().is_some_and(|running| !running.stale);
        let place = state.idle.iter().position(free).or(state.idle.len().checked_sub(1));
        if let Some(place) = place {
            return state.idle.swap_remove(place);
        }
        state.slots += 1;
        Slot { number: state.slots - 1, process: None, broken: 0, ids: 0 }
    }

    fn give_back(&self, slot: Slot) {
        self.state().idle.push(slot);
    }

    fn is_closed(&self) -> bool {
        self.state().closed
    }

    fn end(&self) {
        let (idle, groups) = {
            let mut state = self.state();
            state.closed = true;
            let groups: Vec<Pid> = state.alive.values().copied().collect();
            // All at once, for each may take its time.
            for &group in &groups {
                let _ = kill_process_group(group, Signal::TERM);
            }
            (std::mem::take(&mut state.idle), groups)
        };
        let until = Instant::now() + PROGRAM_TERM_GRACE;
        let threads: Vec<_> = idle.into_iter().map(|slot| thread::spawn(move || drop(slot))).collect();
        for ended in threads {
            let _ = ended.join();
        }
        // Those that threads are still waiting for end with their processes.
        while Instant::now() < until && !self.state().alive.is_empty() {
            thread::sleep(REST_GLANCE);
            let mut state = self.state();
            let idle = std::mem::take(&mut state.idle);
            drop(state);
            drop(idle);
            self.state().alive.retain(|_, group| groups.contains(group) && is_alive(*group));
        }
        for group in self.state().alive.values() {
            let _ = kill_process_group(*group, Signal::KILL);
        }
    }

    /// How often this worker has been asked for an evaluation, this time included.
    fn attempt(&self, key: &EpisodeKey) -> u32 {
        self.state().attempts.get(key).map_or(1, |failed| failed + 1)
    }

    fn note(&self, key: &EpisodeKey, outcome: &Outcome) {
        let mut state = self.state();
        if outcome.settles() {
            state.attempts.remove(key);
        } else {
            if state.attempts.len() >= ATTEMPTS_MAX {
                state.attempts.clear();
            }
            *state.attempts.entry(*key).or_default() += 1;
        }
    }
}

/// Whether a group has a process.
fn is_alive(group: Pid) -> bool {
    rustix::process::test_kill_process_group(group).is_ok()
}

struct ExecRunner {
    spec: Arc<RunSpec>,
    problem: External,
    programs: Arc<Programs>,
}

impl Runner for ExecRunner {
    fn asked(&self) -> Asked {
        Asked { scores: self.problem.scores.len(), bounded: true, ..Asked::FITNESS }
    }

    fn on_thread(self: Arc<Self>) -> Box<dyn Episodes> {
        Box::new(OnThread { runner: self, batch: 1 })
    }
}

struct OnThread {
    runner: Arc<ExecRunner>,
    /// What the last program took at once.
    batch: usize,
}

impl Episodes for OnThread {
    fn run(&mut self, genome: &Genome, key: &EpisodeKey, _: Wants, interrupt: &Interrupt) -> Option<Outcome> {
        self.evaluate(&[(genome, *key)], interrupt).pop().flatten()
    }

    fn together(&self) -> usize {
        self.batch
    }

    fn run_together(
        &mut self,
        episodes: &[(&Genome, EpisodeKey)],
        _: Wants,
        interrupt: &Interrupt,
    ) -> Vec<Option<Outcome>> {
        self.evaluate(episodes, interrupt)
    }
}

/// Why evaluations have no outcomes of their own.
enum Unanswered {
    Interrupted,
    /// The program broke, which may be the doing of any of them.
    Broken(String),
}

impl OnThread {
    fn evaluate(
        &mut self,
        episodes: &[(&Genome, EpisodeKey)],
        interrupt: &Interrupt,
    ) -> Vec<Option<Outcome>> {
        let length = self.runner.spec.layout().dimension();
        if let Some((genome, _)) = episodes.iter().find(|(genome, _)| genome.0.len() != length) {
            let reason = format!("a genome has {} numbers and the problem {length}", genome.0.len());
            return vec![Some(Outcome::WorkerError { reason }); episodes.len()];
        }
        let programs = Arc::clone(&self.runner.programs);
        let mut slot = programs.take();
        let mut outcomes = Vec::with_capacity(episodes.len());
        let mut place = 0;
        while place < episodes.len() {
            let batch = slot.process.as_ref().map_or(1, |running| running.batch);
            let some = &episodes[place..(place + batch).min(episodes.len())];
            place += some.len();
            match self.ask(&mut slot, some, interrupt) {
                Ok(found) => outcomes.extend(found.into_iter().map(Some)),
                Err(Unanswered::Interrupted) => outcomes.extend(some.iter().map(|_| None)),
                // Alone, the others are none the worse for the one that broke it.
                Err(Unanswered::Broken(_)) if some.len() > 1 => {
                    for one in some {
                        let found = self.ask(&mut slot, std::slice::from_ref(one), interrupt);
                        outcomes.push(alone(found));
                    }
                }
                Err(trouble) => outcomes.push(alone(Err(trouble))),
            }
        }
        self.batch = slot.process.as_ref().map_or(self.batch, |running| running.batch);
        programs.give_back(slot);
        for ((_, key), outcome) in episodes.iter().zip(&outcomes) {
            if let Some(outcome) = outcome {
                programs.note(key, outcome);
            }
        }
        outcomes
    }

    /// Asks a program for evaluations; one that breaks is gone.
    fn ask(
        &self,
        slot: &mut Slot,
        episodes: &[(&Genome, EpisodeKey)],
        interrupt: &Interrupt,
    ) -> Result<Vec<Outcome>, Unanswered> {
        let found = self.ask_once(slot, episodes, interrupt);
        match found {
            Ok(outcomes) => {
                slot.broken = 0;
                Ok(outcomes)
            }
            Err(NoLine::Interrupted) => {
                match &mut slot.process {
                    Some(running) if running.process.is_midway() => self.end_process(slot),
                    Some(running) => running.stale = true,
                    None => {}
                }
                Err(Unanswered::Interrupted)
            }
            Err(NoLine::Late) => {
                let limit = self.runner.problem.time_limit_s;
                let problem = format!("it took longer than problem.time_limit_s = {limit}");
                Err(self.broken(slot, problem))
            }
            Err(NoLine::Broken(problem)) => Err(self.broken(slot, problem)),
        }
    }

    fn broken(&self, slot: &mut Slot, problem: String) -> Unanswered {
        slot.broken = slot.broken.saturating_add(1);
        self.end_process(slot);
        if self.runner.programs.is_closed() {
            return Unanswered::Interrupted;
        }
        tracing::warn!(slot = slot.number, "the program of `{}` broke: {problem}", self.runner.problem.name);
        Unanswered::Broken(problem)
    }

    fn end_process(&self, slot: &mut Slot) {
        slot.process = None;
        self.runner.programs.state().alive.remove(&slot.number);
    }

    fn ask_once(
        &self,
        slot: &mut Slot,
        episodes: &[(&Genome, EpisodeKey)],
        interrupt: &Interrupt,
    ) -> Result<Vec<Outcome>, NoLine> {
        let problem = &self.runner.problem;
        self.make_ready(slot, interrupt)?;
        let first = slot.ids + 1;
        slot.ids += episodes.len() as u64;
        let requests: Vec<Request<'_>> = (first..)
            .zip(episodes)
            .map(|(id, (genome, key))| {
                let (attempt, seed) =
                    (self.runner.programs.attempt(key), problem.seed(key, self.runner.spec.seed));
                Request::new(id, problem, key, (attempt, seed), problem.values(genome))
            })
            .collect();
        let Some(running) = &mut slot.process else {
            return Err(NoLine::Broken("there is no program".to_owned()));
        };
        // One that says how many it takes at once is asked in lists from then on.
        let mut in_lists = running.batch > 1;
        let text =
            if in_lists { serde_json::to_string(&requests) } else { serde_json::to_string(&requests[0]) };
        let text = text.map_err(|error| NoLine::Broken(error.to_string()))? + "\n";
        running.process.about(about(&episodes[0].1, episodes.len()));
        let limit = Duration::from_secs_f64(problem.time_limit_s * episodes.len() as f64);
        let until = Instant::now() + limit;
        let mut line = running.process.ask(&text, until, interrupt)?;
        if slot.ids == 1
            && let Some(batch) = protocol::greeting(&line)
        {
            running.batch = batch.map_err(NoLine::Broken)?;
            in_lists = false;
            line = running.process.line(until, interrupt)?;
        }
        let ids: Vec<u64> = (first..).take(episodes.len()).collect();
        let read = |line: &str| protocol::answers(line, &ids, problem, in_lists);
        let outcomes = read(&line).or_else(|problem| {
            let mended = protocol::without_nan(&line);
            if mended == line { Err(problem) } else { read(&mended) }
        });
        let outcomes = outcomes.map_err(NoLine::Broken)?;
        if outcomes.contains(&Outcome::Diverged) {
            for reason in protocol::reasons(&line) {
                tracing::debug!(
                    about = about(&episodes[0].1, episodes.len()),
                    "the objective failed: {reason:?}"
                );
            }
        }
        Ok(outcomes)
    }

    /// Sees to it that a slot has a process that waits to be asked.
    fn make_ready(&self, slot: &mut Slot, interrupt: &Interrupt) -> Result<(), NoLine> {
        while let Some(running) = slot.process.as_mut().filter(|running| running.stale) {
            match running.process.line(Instant::now() + STALE_WAIT, interrupt) {
                Ok(line) => match protocol::greeting(&line).filter(|_| slot.ids == 1) {
                    Some(batch) => running.batch = batch.map_err(NoLine::Broken)?,
                    None => running.stale = false,
                },
                Err(NoLine::Interrupted) => return Err(NoLine::Interrupted),
                // What it computes nobody wants: no fault of its own.
                Err(NoLine::Late | NoLine::Broken(_)) => self.end_process(slot),
            }
        }
        if slot.process.is_some() {
            return Ok(());
        }
        if slot.broken > 0 {
            let doubled = PROGRAM_BACK_OFF_MIN.saturating_mul(1 << (slot.broken - 1).min(16));
            let until = Instant::now() + doubled.min(PROGRAM_BACK_OFF_MAX);
            while Instant::now() < until {
                if interrupt.is_raised() {
                    return Err(NoLine::Interrupted);
                }
                thread::sleep(REST_GLANCE.min(until.saturating_duration_since(Instant::now())));
            }
        }
        let programs = &self.runner.programs;
        let process = Process::start(&programs.command, slot.number).map_err(NoLine::Broken)?;
        {
            let mut state = programs.state();
            if state.closed {
                drop(state);
                return Err(NoLine::Interrupted);
            }
            state.alive.insert(slot.number, process.pid());
        }
        slot.ids = 0;
        slot.process = Some(Running { process, batch: 1, stale: false });
        Ok(())
    }
}

/// What an evaluation that was asked for alone gave.
fn alone(found: Result<Vec<Outcome>, Unanswered>) -> Option<Outcome> {
    match found {
        Ok(mut outcomes) => outcomes.pop(),
        Err(Unanswered::Interrupted) => None,
        Err(Unanswered::Broken(reason)) => Some(Outcome::WorkerError { reason }),
    }
}

/// The name of an evaluation, for people.
fn about(key: &EpisodeKey, count: usize) -> String {
    let EpisodeKey { run, generation, candidate, task, .. } = key;
    let others = if count > 1 { format!(" and {} more", count - 1) } else { String::new() };
    format!("run {run} generation {generation} candidate {candidate} evaluation {task}{others}")
}

#[cfg(test)]
mod tests;

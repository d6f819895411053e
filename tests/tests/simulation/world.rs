//! The simulated world: one coordinator at a time, workers, wires, a disk, operators, and everything that goes wrong.
//!
//! Time is simulated in microseconds. All chance comes from the schedule's seed, so a failing schedule is its seed.

mod evaluations;
pub(crate) mod fault;
mod trouble;
mod worker;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hebbian_control::command::run::{Act, Create, Extend, RunAction};
use hebbian_control::command::{Command, Held};
use hebbian_control::engine::effect::{Effect, Event, Ticket};
use hebbian_control::engine::{Engine, Settings};
use hebbian_control::run::{Advance, Run};
use hebbian_control::scheduler::{self, Recheck};
use hebbian_proto::figures::RunState;
use hebbian_proto::v1;
use hebbian_shared::digest::Digest;
use hebbian_shared::dispatch::{FromWorker, Report, ToWorker};
use hebbian_shared::episode::{EPISODE_SEMANTICS, EpisodePurpose};
use hebbian_shared::id::{RunId, WorkerId};
use hebbian_shared::seed::{ChaCha8Rng, Seed, index_below, uniform};
use hebbian_shared::spec::RunSpec;
use hebbian_shared::spec::stop::StopSpec;
use hebbian_shared::time::Timestamp;
use hebbian_tests::climber;

use super::disk::Disk;
use evaluations::Evaluator;
use fault::{Fault, Faults};
use worker::SimWorker;

/// A worker's connection to one life of the coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Session {
    life: u64,
    worker: WorkerId,
}

#[derive(Debug)]
enum Happening {
    ToCoordinator(Session, FromWorker),
    ToWorker(usize, Session, ToWorker),
    StreamEnds(Session),
    Connect(usize, u64),
    Heartbeat(usize, Session),
    Compute(usize, u64),
    JournalWrites(u64),
    Advanced(u64, Box<Advance>),
    Tick(u64),
    Client,
    Trouble,
}

struct Client {
    spec: RunSpec,
    request_id: String,
    /// The run that was created for it, until the answer may be told.
    held: Option<(Ticket, RunId)>,
    run: Option<RunId>,
    /// Whether the run is to be cancelled and deleted.
    is_victim: bool,
    was_extended: bool,
}

pub(crate) struct World {
    seed: u64,
    rng: ChaCha8Rng,
    now: u64,
    /// By how much the coordinator's clock is ahead of the world's.
    clock_ahead: u64,
    happenings: BTreeMap<(u64, u64), Happening>,
    order: u64,
    engine: Option<Engine>,
    life: u64,
    disk: Disk,
    journal_busy: bool,
    next_worker: u64,
    next_run: u64,
    next_tick: Option<u64>,
    workers: Vec<SimWorker>,
    clients: Vec<Client>,
    evaluators: Vec<Evaluator>,
    /// Answers of this life of the coordinator that were not told yet.
    owed: BTreeSet<Ticket>,
    /// Up to where watchers of each run were told in this life of the coordinator.
    published: BTreeMap<RunId, u64>,
    pub(crate) faults: Faults,
    /// Faults stop here, so that every schedule ends.
    calm: u64,
    rates: Rates,
}

/// How likely things go wrong in this schedule.
struct Rates {
    lose: f64,
    duplicate: f64,
    error: f64,
    kill_between_effects: f64,
    /// The longest time that a search takes to advance, in milliseconds.
    search: u64,
}

const MILLISECOND: u64 = 1000;
/// A schedule that takes longer hangs.
const TIME_MAX: u64 = 600_000 * MILLISECOND;

pub(crate) fn fingerprint(kind: u32) -> Digest {
    Digest::of(&kind.to_le_bytes())
}

impl World {
    pub(crate) fn new(seed: u64, specs: Vec<RunSpec>) -> Self {
        let mut rng = Seed::new(seed).unwrap().rng();
        let pick =
            |rng: &mut ChaCha8Rng, values: &[f64]| values[index_below(rng, values.len() as u32) as usize];
        let rates = Rates {
            lose: pick(&mut rng, &[0.0, 0.02, 0.2]),
            duplicate: pick(&mut rng, &[0.0, 0.05, 0.5]),
            error: pick(&mut rng, &[0.0, 0.02, 0.3]),
            kill_between_effects: pick(&mut rng, &[0.0, 0.002, 0.02]),
            search: u64::from(1 + index_below(&mut rng, 3) * 40),
        };
        let mut workers = Vec::new();
        // One good worker of each kind of arithmetic: whichever fingerprint a run takes, somebody can finish it.
        for kind in 0..2 {
            workers.push(SimWorker::new(format!("steady{kind}"), kind));
        }
        for place in 0..index_below(&mut rng, 5) {
            let mut worker = SimWorker::new(format!("extra{place}"), u32::from(uniform(&mut rng) < 0.3));
            if uniform(&mut rng) < 0.15 {
                worker.semantics = EPISODE_SEMANTICS + 1;
            }
            worker.rejects = uniform(&mut rng) < 0.15;
            if uniform(&mut rng) < 0.25 {
                worker.slowness = 50;
            }
            workers.push(worker);
        }
        let clients = specs.into_iter().enumerate().map(|(place, spec)| Client {
            spec,
            request_id: format!("request {place}"),
            held: None,
            run: None,
            is_victim: place == 0,
            was_extended: false,
        });
        let mut world = Self {
            seed,
            now: 0,
            clock_ahead: 0,
            happenings: BTreeMap::new(),
            order: 0,
            engine: None,
            life: 0,
            disk: Disk::default(),
            journal_busy: false,
            next_worker: 1,
            next_run: 1,
            next_tick: None,
            workers,
            clients: clients.collect(),
            evaluators: Vec::new(),
            owed: BTreeSet::new(),
            published: BTreeMap::new(),
            faults: Faults::new(),
            calm: MILLISECOND * u64::from(200 + index_below(&mut rng, 2000)),
            rates,
            rng,
        };
        if world.clients.len() > 1 {
            world.count(Fault::SeveralRuns);
        }
        for _ in 0..index_below(&mut world.rng, 3) {
            let evaluator = world.new_evaluator();
            world.evaluators.push(evaluator);
        }
        world.start_coordinator();
        for place in 0..world.workers.len() {
            world.after(20, Happening::Connect(place, 0));
        }
        world.after(1, Happening::Client);
        world.after(30, Happening::Trouble);
        world
    }

    fn count(&mut self, fault: Fault) {
        *self.faults.entry(fault).or_default() += 1;
    }

    fn chance(&mut self, rate: f64) -> bool {
        self.now < self.calm && uniform(&mut self.rng) < rate
    }

    /// Up to `most` milliseconds, in microseconds.
    fn delay(&mut self, most: u64) -> u64 {
        u64::from(index_below(&mut self.rng, (most * MILLISECOND) as u32)) + 1
    }

    fn at(&mut self, time: u64, happening: Happening) {
        self.order += 1;
        self.happenings.insert((time, self.order), happening);
    }

    fn after(&mut self, most: u64, happening: Happening) {
        let time = self.now + self.delay(most);
        self.at(time, happening);
    }

    fn timestamp(&self) -> Timestamp {
        Timestamp(Duration::from_micros(self.now + self.clock_ahead))
    }

    /// Runs until every run has finished and every reply has arrived. Returns the finished engine and disk.
    pub(crate) fn run(mut self) -> (Engine, Disk, Vec<RunId>, Faults) {
        while !self.is_over() {
            let Some(((time, _), happening)) = self.happenings.pop_first() else {
                panic!("schedule {}: nothing will ever happen again", self.seed);
            };
            self.now = time;
            assert!(time < TIME_MAX, "schedule {} hangs: {:?}", self.seed, self.engine.map(|e| e.list()));
            self.happen(happening);
        }
        let clients = self.clients.iter().filter(|client| !client.is_victim);
        let runs: Vec<RunId> = clients.map(|client| client.run.expect("the client was answered")).collect();
        assert!(self.owed.is_empty(), "schedule {}: {:?} were never answered", self.seed, self.owed);
        for &run in &runs {
            let events = self.disk.records(run).filter(|(_, record)| record.event().is_some());
            let last = events.map(|(sequence, _)| sequence).last();
            let told = self.published.get(&run).copied();
            assert!(told >= last, "schedule {}: watchers know of {told:?} of {last:?}", self.seed);
        }
        (self.engine.expect("the coordinator is up"), self.disk, runs, self.faults)
    }

    fn is_over(&self) -> bool {
        let Some(engine) = &self.engine else { return false };
        let finished = |run: RunId| engine.run(run).is_some_and(|run| run.state().is_final());
        let quiet = self.workers.iter().all(|worker| worker.unacknowledged.is_empty());
        self.now > self.calm
            && self.disk.is_idle()
            && quiet
            && self.is_evaluated()
            && self.clients.iter().all(|client| {
                client.run.is_some_and(|run| finished(run) || client.is_victim && engine.run(run).is_none())
            })
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::ToCoordinator(session, message) => {
                if session.life == self.life {
                    if let FromWorker::Report(report) = &message {
                        self.notice_time(session, report);
                    }
                    self.handle(Event::FromWorker { worker: session.worker, message });
                }
            }
            Happening::ToWorker(place, session, message) => {
                if self.workers[place].session != Some(session) {
                } else if self.workers[place].reachable {
                    self.worker_hears(place, message);
                } else {
                    // A stream loses nothing in its middle: what is lost ends it.
                    self.disconnect(place);
                }
            }
            Happening::StreamEnds(session) => {
                if session.life == self.life {
                    self.handle(Event::Detach { worker: session.worker });
                }
                for place in 0..self.workers.len() {
                    if self.workers[place].session == Some(session) {
                        self.disconnect(place);
                    }
                }
            }
            Happening::Connect(place, life) => self.connect(place, life),
            Happening::Heartbeat(place, session) => {
                if self.workers[place].session == Some(session) {
                    self.say(place, FromWorker::Heartbeat);
                    let time = self.now + 50 * MILLISECOND;
                    self.at(time, Happening::Heartbeat(place, session));
                }
            }
            Happening::Compute(place, life) => {
                if self.workers[place].life == life {
                    self.compute(place);
                }
            }
            Happening::JournalWrites(life) => self.journal_writes(life),
            Happening::Advanced(life, advance) => {
                if self.life == life {
                    self.notice_advanced(&advance);
                    self.handle(Event::Advanced(Box::new(advance.compute())));
                }
            }
            Happening::Tick(life) => {
                if self.life == life {
                    self.next_tick = None;
                    self.handle(Event::Tick);
                }
            }
            Happening::Client => self.client(),
            Happening::Trouble => self.trouble(),
        }
    }

    fn notice_time(&mut self, session: Session, report: &Report) {
        let run = self.engine.as_ref().and_then(|engine| engine.run(report.run));
        let open = run.map(Run::generation);
        if open.is_some_and(|open| open > report.generation) {
            self.count(Fault::ReportLate);
        }
        if open.is_none_or(|open| open < report.generation)
            && let Some(worker) = self.workers.iter_mut().find(|worker| worker.session == Some(session))
        {
            worker.premature.insert(report.sequence);
        }
    }

    fn notice_advanced(&mut self, advance: &Advance) {
        let (id, _) = advance.place();
        let Some(run) = self.engine.as_ref().and_then(|engine| engine.run(id)) else { return };
        let paused = matches!(run.state(), RunState::Paused(_));
        let others = self
            .happenings
            .values()
            .any(|happening| matches!(happening, Happening::Advanced(life, _) if *life == self.life));
        for (fault, happened) in [(Fault::PausedWhileAdvancing, paused), (Fault::SearchesTogether, others)] {
            if happened {
                self.count(fault);
            }
        }
    }

    // The coordinator.

    fn start_coordinator(&mut self) {
        self.life += 1;
        let settings = Settings {
            strategies: climber::STRATEGIES,
            heartbeat_interval: Duration::from_millis(50),
            group_commit: Duration::from_millis(5),
            scheduler: scheduler::Settings {
                lease: Duration::from_millis(300),
                hedge_min: Duration::from_millis(5),
                batch_work: Duration::from_millis(3),
                rest: (Duration::from_millis(20), Duration::from_millis(500)),
                idle_lease: Duration::from_millis(900),
                // In every third schedule some episodes are computed twice, which changes nothing of honest workers.
                recheck: Recheck { share: if self.rechecks() { 0.3 } else { 0.0 }, secret: self.life },
                ..scheduler::Settings::default()
            },
            ..Settings::default()
        };
        self.owed.clear();
        self.published.clear();
        let (epoch, stored) = self.disk.load();
        let (engine, effects) = Engine::recover(self.timestamp(), settings, epoch, stored);
        assert_eq!(engine.unreadable().next(), None);
        for client in &self.clients {
            if let Some(run) = client.run.filter(|_| !client.is_victim) {
                assert!(engine.run(run).is_some(), "a run that its client was told of is lost");
            }
        }
        engine.check_invariants();
        self.engine = Some(engine);
        self.next_tick = None;
        self.journal_busy = false;
        self.carry_out(effects);
    }

    fn kill_coordinator(&mut self, power_loss: bool) {
        let runs = self.engine.iter().flat_map(Engine::list).map(|progress| progress.run_id().unwrap());
        let measuring = |purpose| {
            let measures = |run: RunId| {
                self.engine.as_ref().and_then(|engine| engine.run(run)).is_some_and(|run| {
                    !run.state().is_final()
                        && !run.genomes(purpose).is_empty()
                        && run.progress().settled_episodes > 0
                })
            };
            runs.clone().any(measures)
        };
        let advancing = runs.clone().any(|run| {
            self.engine.as_ref().and_then(|engine| engine.run(run)).is_some_and(Run::is_advancing)
        });
        let validating = measuring(EpisodePurpose::Validation);
        let remeasuring = measuring(EpisodePurpose::Remeasure);
        for (fault, happened) in [
            (Fault::KilledWhileAdvancing, advancing),
            (Fault::KilledWhileValidating, validating),
            (Fault::KilledWhileRemeasuring, remeasuring),
        ] {
            if happened {
                self.count(fault);
            }
        }
        let before = self.disk.settled_count();
        self.disk.crash(power_loss);
        if self.disk.settled_count() < before {
            self.count(Fault::SettlementsRolledBack);
        }
        self.engine = None;
        self.lose_evaluations();
        for client in &mut self.clients {
            client.held = None;
        }
        for place in 0..self.workers.len() {
            if self.workers[place].session.is_some() {
                self.disconnect(place);
            }
        }
        self.start_coordinator();
    }

    fn handle(&mut self, event: Event) {
        let now = self.timestamp();
        let Some(engine) = &mut self.engine else { return };
        let effects = engine.handle(now, event);
        engine.check_invariants();
        self.carry_out(effects);
    }

    /// Executes a command. What follows from it is not carried out before the caller knows the answer.
    fn begin<C: Command>(&mut self, command: C) -> Option<Held<C::Answer>> {
        let now = self.timestamp();
        let held = self.engine.as_mut()?.execute(now, command);
        self.owed.extend(held.until);
        Some(held)
    }

    /// Carries out what follows from what was begun.
    fn settle(&mut self) {
        let now = self.timestamp();
        let Some(engine) = &mut self.engine else { return };
        let effects = engine.settle(now);
        engine.check_invariants();
        self.carry_out(effects);
    }

    fn execute<C: Command>(&mut self, command: C) {
        self.begin(command);
        self.settle();
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            if self.chance(self.rates.kill_between_effects) {
                self.count(Fault::CoordinatorKilledBetweenEffects);
                let power_loss = self.chance(0.5);
                if power_loss {
                    self.count(Fault::PowerLoss);
                }
                return self.kill_coordinator(power_loss);
            }
            self.carry_out_one(effect);
        }
        let deadline = self.engine.as_ref().and_then(Engine::deadline);
        let in_the_world = |deadline: Timestamp| {
            (deadline.0.as_micros() as u64).saturating_sub(self.clock_ahead).max(self.now + 1)
        };
        if let Some(deadline) = deadline.map(in_the_world)
            && self.next_tick.is_none_or(|tick| deadline < tick)
        {
            self.next_tick = Some(deadline);
            self.at(deadline, Happening::Tick(self.life));
        }
    }

    fn carry_out_one(&mut self, effect: Effect) {
        match effect {
            Effect::Commit(transaction) => {
                self.disk.hand_over(transaction);
                self.wake_journal();
            }
            Effect::Send { worker, message } => {
                let session = Session { life: self.life, worker };
                if let Some(place) = self.workers.iter().position(|w| w.session == Some(session)) {
                    if let ToWorker::Acknowledge { sequence } = message {
                        self.check_acknowledged(place, sequence);
                    }
                    let time = (self.now + self.delay(2)).max(self.workers[place].last_down);
                    self.workers[place].last_down = time;
                    self.at(time, Happening::ToWorker(place, session, message));
                }
            }
            Effect::Advance(advance) => {
                self.after(self.rates.search, Happening::Advanced(self.life, advance));
            }
            Effect::Close { worker, .. } => {
                self.count(Fault::LeaseExpired);
                let session = Session { life: self.life, worker };
                self.after(5, Happening::StreamEnds(session));
            }
            Effect::Publish { run, sequence } => {
                assert!(
                    self.disk.synced_sequence(run) >= sequence,
                    "watchers are told of durable records only"
                );
                let before = self.published.insert(run, sequence);
                assert!(before < Some(sequence), "watchers are told in order");
            }
            Effect::Deleted { run, .. } => {
                let client = self.clients.iter().find(|client| client.run == Some(run));
                assert!(client.is_none_or(|client| client.is_victim), "nobody deletes {run}");
            }
            Effect::Scored { evaluation, scored } => self.scored(evaluation, scored),
            Effect::EvaluationEnded { evaluation, end } => self.evaluation_ended(evaluation, &end),
            Effect::Answer(ticket) => {
                assert!(self.owed.remove(&ticket), "a command is answered once");
                let waits = |client: &&mut Client| client.held.is_some_and(|(held, _)| held == ticket);
                let Some(client) = self.clients.iter_mut().find(waits) else { return };
                let Some((_, run)) = client.held.take() else { return };
                assert!(self.disk.synced_sequence(run) > 0, "a client is told of a durable run only");
                assert!(client.run.is_none_or(|known| known == run), "one request, one run");
                client.run = Some(run);
            }
        }
    }

    /// Whether some episodes of this schedule are computed twice.
    fn rechecks(&self) -> bool {
        self.seed.is_multiple_of(3)
    }

    /// What the coordinator acknowledges survives its process, unless it was not wanted.
    fn check_acknowledged(&self, place: usize, sequence: u64) {
        if self.rechecks() {
            // What waits for a second word is no settlement yet: it is computed again if the process ends before that.
            return;
        }
        let worker = &self.workers[place];
        for report in worker.unacknowledged.iter().filter(|report| report.sequence <= sequence) {
            let run = self.engine.as_ref().and_then(|engine| engine.run(report.run));
            let Some(run) = run else { continue };
            if run.progress().notes.iter().any(|note| note.contains("takes them anew")) {
                // It may have had other numerics when this came.
                continue;
            }
            if run.fingerprint() != Some(worker.fingerprint) || report.sequence < sequence {
                continue;
            }
            for settlement in report.settlements.iter().filter(|s| s.outcome.settles()) {
                let place = (report.generation, report.purpose, settlement.candidate, settlement.task);
                let known = self.disk.has_settled(report.run, place);
                let wanted =
                    !run.state().is_final() && report.generation <= run.generation() && !worker.rejects;
                let barred = format!("worker {} may no longer work", worker.name);
                let wanted = wanted && !worker.premature.contains(&sequence);
                // A run that was extended measures its result again at its new end.
                let wanted =
                    wanted && (report.purpose != EpisodePurpose::Remeasure || run.search_ended().is_some());
                let quarantined = run.progress().notes.iter().any(|note| note.contains(&barred));
                assert!(
                    known || !wanted || quarantined,
                    "{settlement:?} was acknowledged but is not committed"
                );
            }
        }
    }

    fn wake_journal(&mut self) {
        if !self.journal_busy && !self.disk.is_idle() {
            self.journal_busy = true;
            self.after(8, Happening::JournalWrites(self.life));
        }
    }

    fn journal_writes(&mut self, life: u64) {
        if life != self.life {
            return;
        }
        self.journal_busy = false;
        if self.disk.full {
            self.journal_busy = true;
            self.after(30, Happening::JournalWrites(life));
            return self
                .handle(Event::JournalFailed { reason: "no space left on the disk".into(), is_full: true });
        }
        let most = 1 + index_below(&mut self.rng, 4) as usize;
        let wrote = self.disk.write(most);
        self.wake_journal();
        if let Some((committed, synced)) = wrote {
            self.handle(Event::Journalled { committed, synced: synced.unwrap_or(0) });
        }
    }

    // Clients and operators.

    fn client(&mut self) {
        for place in 0..self.clients.len() {
            let client = &mut self.clients[place];
            if client.run.is_none() && client.held.is_none() {
                let run = RunId::new(self.next_run);
                self.next_run += 1;
                let weight = 0.5 + uniform(&mut self.rng);
                let (spec, request_id) = (client.spec.clone(), client.request_id.clone());
                let held = self.begin(Create { request_id, weight, ..Create::new(run, spec) });
                self.clients[place].held =
                    held.and_then(|held| Some((held.until?, held.answer.ok()?.run_id().ok()?)));
                self.settle();
            } else if client.run.is_none() && uniform(&mut self.rng) < 0.1 {
                // The client gives up waiting and asks again, as the same request.
                client.held = None;
            }
        }
        self.evaluate();
        let paused = |run: &v1::Run| matches!(run.state(), Some(RunState::Paused(_)));
        let listed = self.engine.as_ref().map(Engine::list).unwrap_or_default();
        for progress in listed {
            let of_journal = |reason: &str| reason.contains("the journal cannot be written");
            let run = progress.run_id().unwrap();
            let advancing =
                self.engine.as_ref().and_then(|engine| engine.run(run)).is_some_and(Run::is_advancing);
            if self.clients.iter().any(|client| client.is_victim && client.run == Some(run)) {
                if let Some(action) = self.victimise(&progress, advancing) {
                    self.execute(Act { run, action, by: String::new() });
                }
                continue;
            }
            if let Some(limits) = self.raised(&progress, advancing) {
                self.execute(Extend { run, limits, by: String::new() });
                continue;
            }
            if let Some(RunState::Paused(v1::run_state::Paused { reason })) = progress.state()
                && !of_journal(reason)
                && uniform(&mut self.rng) < 0.3
            {
                if !reason.contains("operator") {
                    self.count(Fault::RunPausedItself);
                }
                self.execute(Act { run, action: RunAction::Resume, by: String::new() });
            } else if !paused(&progress) && self.chance(0.02) {
                self.count(Fault::Paused);
                self.execute(Act { run, action: RunAction::Pause, by: String::new() });
            }
        }
        self.after(40, Happening::Client);
    }

    /// What is done to a run that is to be cancelled, preferably while its search advances, and deleted.
    fn victimise(&mut self, progress: &v1::Run, advancing: bool) -> Option<RunAction> {
        if progress.is_final() {
            return (uniform(&mut self.rng) < 0.5).then_some(RunAction::Delete);
        }
        if matches!(progress.state(), Some(RunState::Paused(_))) {
            return Some(RunAction::Resume);
        }
        let likely = advancing || self.now >= self.calm;
        if uniform(&mut self.rng) >= if likely { 0.3 } else { 0.02 } {
            return None;
        }
        if advancing {
            self.count(Fault::CancelledWhileAdvancing);
        }
        Some(RunAction::Cancel)
    }

    /// Higher limits for a run that is still searching, once.
    fn raised(&mut self, progress: &v1::Run, advancing: bool) -> Option<StopSpec> {
        if progress.search_ended.is_some() || !self.chance(if advancing { 0.2 } else { 0.02 }) {
            return None;
        }
        let client = self.clients.iter_mut().find(|client| client.run == progress.run_id().ok())?;
        if std::mem::replace(&mut client.was_extended, true) {
            return None;
        }
        if advancing {
            self.count(Fault::ExtendedWhileAdvancing);
        }
        let generations = Some(progress.generations_limit? + 1 + index_below(&mut self.rng, 3));
        Some(StopSpec { generations, ..StopSpec::default() })
    }
}

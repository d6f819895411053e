//! Runs whose candidates enter the search as they come: what a journal says is all that there is, and late candidates stay
//! what they are.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use hebbian_control::command::run::Create;
use hebbian_control::command::worker::Attach;
use hebbian_control::engine::effect::{Effect, Event};
use hebbian_control::engine::{Engine, Settings};
use hebbian_control::run::record::{Record, StoredRun, Turn};
use hebbian_coordinator::journal::memory::MemoryJournal;
use hebbian_coordinator::journal::{Journal as _, KeptSnapshots};
use hebbian_proto::v1;
use hebbian_shared::digest::Digest;
use hebbian_shared::dispatch::{Batch, BlockEpisodes, FromWorker, Hello, Report, Settlement, ToWorker};
use hebbian_shared::episode::{EPISODE_SEMANTICS, EpisodePurpose, Evaluation, Outcome};
use hebbian_shared::fitness::Fitness;
use hebbian_shared::id::{CandidateIndex, GenerationIndex, RunId, TaskIndex, WorkerId};
use hebbian_shared::seed::{ChaCha8Rng, Seed, uniform};
use hebbian_shared::spec::RunSpec;
use hebbian_shared::time::Timestamp;

const WORKERS: u64 = 5;

fn run() -> RunId {
    RunId::new(1)
}

fn spec(generations: u32) -> RunSpec {
    let text = format!(
        r#"
name = "late"
[strategy]
kind = "cma-es"
population_size = 6
step_size = 1.0
noise = "none"
asynchronous = true
[problem]
kind = "external"
name = "bowl"
direction = "minimise"
evaluations_per_candidate = 2
[[problem.parameters]]
name = "x"
kind = "real"
length = 3
initial = 2.0
deviation = 0.5
[[problem.parameters]]
name = "n"
kind = "integer"
low = 0
high = 9
[stop]
generations = {generations}
"#
    );
    RunSpec::read(&text).unwrap()
}

/// A cluster whose evaluations take times with a heavy tail, and a coordinator that may be killed.
struct World {
    engine: Engine,
    journal: MemoryJournal,
    now: Timestamp,
    rng: ChaCha8Rng,
    /// What workers will say, by time and a number.
    said: BTreeMap<(Duration, u64), (WorkerId, FromWorker)>,
    /// When each worker has done all that it has.
    busy: BTreeMap<WorkerId, Duration>,
    next: u64,
    /// How long the fastest evaluation takes, and whether the next one never ends.
    fastest: f64,
    hangs: bool,
    /// How often each worker has answered.
    answered: BTreeMap<WorkerId, u32>,
    /// What workers were told that nobody wants any more.
    withdrawn: Vec<(WorkerId, BlockEpisodes)>,
    /// The parameters of every evaluation that was ever handed out.
    known: BTreeMap<(EpisodePurpose, GenerationIndex, CandidateIndex), Vec<u64>>,
}

impl World {
    fn new(seed: u64, spec: RunSpec) -> Self {
        Self::taking(1e-3, false, seed, spec)
    }

    fn taking(fastest: f64, hangs: bool, seed: u64, spec: RunSpec) -> Self {
        let journal = MemoryJournal::default().keeping(KeptSnapshots { every: 1 });
        let (engine, _) = Engine::recover(Timestamp::default(), Settings::default(), 1, Vec::new());
        let mut world = Self {
            engine,
            journal,
            now: Timestamp::default(),
            rng: Seed::new(seed).unwrap().rng(),
            said: BTreeMap::new(),
            busy: BTreeMap::new(),
            next: 1,
            fastest,
            hangs,
            answered: BTreeMap::new(),
            withdrawn: Vec::new(),
            known: BTreeMap::new(),
        };
        assert!(world.engine.execute(world.now, Create::new(run(), spec)).answer.is_ok());
        world.attach();
        world
    }

    fn attach(&mut self) {
        for _ in 0..WORKERS {
            let worker = WorkerId(self.next);
            self.next += 1;
            let hello = Hello {
                name: format!("worker-{}", worker.0),
                threads: 1,
                episode_semantics: EPISODE_SEMANTICS,
                fingerprint: Digest::of(b"any"),
                version: "test".into(),
                serves: vec!["bowl".to_owned()],
            };
            assert!(self.engine.execute(self.now, Attach { worker, hello }).answer.is_ok());
        }
        let effects = self.engine.settle(self.now);
        self.carry_out(effects);
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        let mut effects = VecDeque::from(effects);
        while let Some(effect) = effects.pop_front() {
            let event = match effect {
                Effect::Commit(transaction) => {
                    let position = transaction.position;
                    self.journal.commit(&[transaction], true).unwrap();
                    Event::Journalled { committed: position, synced: position }
                }
                Effect::Advance(advance) => Event::Advanced(Box::new(advance.compute())),
                Effect::Send { worker, message: ToWorker::Batch(batch) } => {
                    self.evaluate(worker, &batch);
                    continue;
                }
                Effect::Send { worker, message: ToWorker::WithdrawEpisodes(unwanted) } => {
                    self.take_back(worker, unwanted);
                    continue;
                }
                _ => continue,
            };
            effects.extend(self.engine.handle(self.now, event));
            self.engine.check_invariants();
        }
    }

    /// The worker answers one evaluation after another.
    fn evaluate(&mut self, worker: WorkerId, batch: &Batch) {
        for assignment in &batch.assignments {
            let of = &batch.genomes[assignment.genome as usize];
            let bits: Vec<u64> = of.parameters.iter().map(|x| x.to_bits()).collect();
            let place = (batch.purpose, batch.generation, of.candidate);
            assert_eq!(self.known.entry(place).or_insert_with(|| bits.clone()), &bits, "{place:?}");
            let tail = (1.0 - uniform(&mut self.rng)).powf(-1.0 / 1.5);
            let tail = if std::mem::take(&mut self.hangs) { 1e9 } else { tail };
            let took = Duration::from_secs_f64(self.fastest * tail);
            let busy = self.busy.entry(worker).or_default();
            *busy = (*busy).max(self.now.0) + took;
            let value: f64 = of.parameters.iter().map(|x| (x - 1.0) * (x - 1.0)).sum();
            let settlement = Settlement {
                candidate: of.candidate,
                task: assignment.task,
                outcome: Outcome::Evaluated(Evaluation::of(Fitness::new(value).unwrap())),
                compute_time: took,
            };
            let report = Report {
                sequence: self.next,
                run: batch.run,
                generation: batch.generation,
                purpose: batch.purpose,
                block: batch.block,
                settlements: vec![settlement],
            };
            self.said.insert((*busy, self.next), (worker, FromWorker::Report(report)));
            self.next += 1;
        }
    }

    /// The worker drops what nobody wants any more, and comes sooner to what is behind it.
    fn take_back(&mut self, worker: WorkerId, unwanted: BlockEpisodes) {
        for &(candidate, _) in &unwanted.episodes {
            assert!(self.known.contains_key(&(unwanted.purpose, unwanted.generation, candidate)));
        }
        let (own, others): (BTreeMap<_, _>, BTreeMap<_, _>) =
            std::mem::take(&mut self.said).into_iter().partition(|(_, (of, _))| *of == worker);
        self.said = others;
        let mut busy = self.now.0;
        for ((_, number), (_, message)) in own {
            let FromWorker::Report(report) = &message else { unreachable!("workers only report here") };
            let settlement = &report.settlements[0];
            let is_unwanted = (report.generation, report.purpose) == (unwanted.generation, unwanted.purpose)
                && unwanted.episodes.contains(&(settlement.candidate, settlement.task));
            if !is_unwanted {
                busy += settlement.compute_time;
                self.said.insert((busy, number), (worker, message));
            }
        }
        self.busy.insert(worker, busy);
        self.withdrawn.push((worker, unwanted));
    }

    /// All workers say that they live.
    fn live(&mut self) {
        for worker in 1..=WORKERS {
            let event = Event::FromWorker { worker: WorkerId(worker), message: FromWorker::Heartbeat };
            let effects = self.engine.handle(self.now, event);
            self.carry_out(effects);
        }
    }

    /// Lets the next answer come; false once there is nothing to come.
    fn step(&mut self) -> bool {
        if self.progress().is_final() {
            return false;
        }
        let deadline = self.engine.deadline();
        let next = self.said.first_key_value().map(|((time, _), _)| *time);
        let event = match (next, deadline) {
            (Some(time), deadline) if deadline.is_none_or(|deadline| time <= deadline.0) => {
                let ((time, _), (worker, message)) = self.said.pop_first().unwrap();
                self.now = Timestamp(time.max(self.now.0));
                *self.answered.entry(worker).or_default() += 1;
                Event::FromWorker { worker, message }
            }
            (_, deadline) => {
                self.now = Timestamp(deadline.expect("something is to come").0.max(self.now.0));
                Event::Tick
            }
        };
        let effects = self.engine.handle(self.now, event);
        self.engine.check_invariants();
        self.carry_out(effects);
        true
    }

    fn progress(&self) -> v1::Run {
        self.engine.progress(run()).unwrap()
    }

    fn flush(&mut self) {
        let effects = self.engine.flush();
        self.carry_out(effects);
    }

    fn stored(&self, with_snapshots: bool) -> StoredRun {
        let mut journal = self.journal.clone();
        if !with_snapshots {
            journal.forget_snapshots(|_| true);
        }
        journal.load().unwrap().remove(0).unwrap()
    }

    /// The coordinator is killed and started again, with other workers.
    fn kill(&mut self, with_snapshots: bool) {
        let stored = self.stored(with_snapshots);
        let (engine, effects) = Engine::recover(self.now, Settings::default(), 1, vec![Ok(stored)]);
        assert_eq!(engine.unreadable().next(), None);
        self.engine = engine;
        self.said.clear();
        self.busy.clear();
        self.carry_out(effects);
        self.attach();
    }
}

/// The search's state, and what is open with what has settled of it.
type State = (Vec<u8>, Vec<Vec<u64>>, Vec<bool>, Vec<f64>);

fn state(engine: &Engine) -> State {
    let of = engine.run(run()).unwrap();
    let search = of.search().expect("nothing is being computed");
    let genomes = of.genomes(EpisodePurpose::Search);
    let bits = genomes.iter().map(|genome| genome.0.iter().map(|x| x.to_bits()).collect()).collect();
    let settled = (0..genomes.len() as u32 * 2)
        .map(|place| of.has_settled(EpisodePurpose::Search, CandidateIndex(place / 2), TaskIndex(place % 2)))
        .collect();
    (search.snapshot(of.generation()).strategy, bits, settled, of.result().mean)
}

fn turns(world: &World) -> Vec<Turn> {
    let closed = world.stored(false).records.into_iter().filter_map(|record| match record {
        Record::GenerationClosed(closed) => Some(closed.turn.expect("it is asynchronous")),
        _ => None,
    });
    closed.collect()
}

#[test]
fn whoever_goes_on_from_any_record_has_the_same_bits() {
    let mut world = World::new(1, spec(25));
    let mut checked = 0;
    while world.step() {
        world.flush();
        let live = state(&world.engine);
        for with_snapshots in [true, false] {
            let stored = world.stored(with_snapshots);
            let (again, _) = Engine::recover(world.now, Settings::default(), 1, vec![Ok(stored)]);
            assert_eq!(again.unreadable().next(), None);
            assert!(state(&again) == live, "after {checked} answers, with snapshots: {with_snapshots}");
        }
        checked += 1;
    }
    let turns = turns(&world);
    assert_eq!(turns.len(), 25);
    let late = turns.iter().skip(1).zip(&turns).flat_map(|(turn, before)| {
        turn.arrived.iter().filter(|candidate| **candidate < before.kept.len() as u32)
    });
    assert!(late.count() > 20, "candidates enter late");
    assert!(turns.iter().any(|turn| turn.arrived.windows(2).any(|pair| pair[0] > pair[1])));
    let progress = world.progress();
    assert!(progress.notes[0].starts_with("asynchronous: the result depends on the order"), "{progress:?}");
    assert_eq!(progress.last_generation.unwrap().evaluations, 25 * 6);
}

/// An evaluation that never ends keeps its worker only until another worker has settled it.
#[test]
fn an_evaluation_that_nobody_wants_any_more_is_taken_back() {
    let mut world = World::taking(1.0, true, 3, spec(80));
    let never = Duration::from_secs(100_000_000);
    let hung = world.said.values().find_map(|(worker, message)| match message {
        FromWorker::Report(report) if report.settlements[0].compute_time > never => {
            Some((*worker, report.generation, report.settlements[0].candidate, report.settlements[0].task))
        }
        _ => None,
    });
    let (worker, born, candidate, task) = hung.expect("the first evaluation hangs");
    while world.step() {
        world.live();
    }
    let is_it = |(to, unwanted): &(WorkerId, BlockEpisodes)| {
        *to == worker && unwanted.generation == born && unwanted.episodes.contains(&(candidate, task))
    };
    assert!(world.withdrawn.iter().any(is_it), "{:?}", world.withdrawn);
    assert!(world.answered[&worker] > 10, "it is of use again: {:?}", world.answered);
    assert!(world.now.0 < never);
}

#[test]
fn a_run_that_is_killed_again_and_again_ends_and_its_journal_says_how() {
    for seed in 1..=5 {
        let mut world = World::new(seed, spec(60));
        let mut steps = 0;
        while world.step() {
            steps += 1;
            if steps % 23 == 0 {
                world.kill(steps % 2 == 0);
            }
        }
        let progress = world.progress();
        assert!(progress.is_final() && progress.generation == 60, "{progress:?}");
        let best = progress.best_fitness.unwrap();
        assert!(best > -0.05, "seed {seed}: {best}");
        let (mean, last) = (world.engine.run(run()).unwrap().result().mean, progress.last_generation);
        let (again, _) = Engine::recover(world.now, Settings::default(), 1, vec![Ok(world.stored(false))]);
        assert_eq!(again.unreadable().next(), None);
        let found = again.progress(run()).unwrap();
        assert_eq!((again.run(run()).unwrap().result().mean, found.last_generation), (mean, last));
    }
}

//! An engine with a journal in memory that never fails and a worker that answers at once, one after the other.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use hebbian_control::command::Command;
use hebbian_control::command::run::{Act, Create, RunAction};
use hebbian_control::command::worker::Attach;
use hebbian_control::engine::effect::{Effect, Event, Transaction};
use hebbian_control::engine::{Engine, Settings};
use hebbian_control::run::Advance;
use hebbian_control::run::record::{Record, StoredRun, StoredStanding, Write};
use hebbian_coordinator::journal::memory::MemoryJournal;
use hebbian_coordinator::journal::{Journal, KeptSnapshots};
use hebbian_proto::v1;
use hebbian_shared::digest::Digest;
use hebbian_shared::dispatch::{Batch, FromWorker, Hello, Report, Settlement, ToWorker};
use hebbian_shared::episode::{EPISODE_SEMANTICS, EpisodePurpose, Evaluation, Outcome};
use hebbian_shared::fitness::Fitness;
use hebbian_shared::genome::Genome;
use hebbian_shared::id::{RunId, WorkerId};
use hebbian_shared::spec::RunSpec;
use hebbian_shared::time::Timestamp;
use hebbian_tests::climber;

pub(crate) fn run() -> RunId {
    RunId::new(1)
}

/// The fingerprint of ordinary workers.
pub(crate) const FINGERPRINT: &[u8] = b"ordinary";

pub(crate) fn spec(stop: &str) -> RunSpec {
    let text = format!(
        "name = \"bowl\"\n[strategy]\nkind = \"cma-es\"\npopulation_size = 6\n\
         [rule]\nstates = 1\nfeedback = \"replace-state0\"\n[evaluation]\nobjective = \"squared-error\"\n[tasks]\nfamilies = [\"xor\"]\nper_generation = 2\n\
         [stop]\n{stop}\n"
    );
    RunSpec::read(&text).unwrap()
}

/// The usual ones; runs of the climber's name are searched by it.
pub(crate) fn settings() -> Settings {
    Settings { strategies: climber::STRATEGIES, ..Settings::default() }
}

fn fitness(genome: &Genome) -> Fitness {
    Fitness::new(-genome.0.iter().map(|x| (x - 0.3) * (x - 0.3)).sum::<f64>()).unwrap()
}

/// The creation of a run of the usual weight.
pub(crate) fn creation(run: RunId, spec: RunSpec, request_id: &str) -> Create {
    Create { request_id: request_id.to_owned(), ..Create::new(run, spec) }
}

/// A genome's accuracy in validation: any, but always the same.
pub(crate) fn accuracy(genome: &[f64]) -> f64 {
    let bytes: Vec<u8> = genome.iter().flat_map(|x| x.to_le_bytes()).collect();
    f64::from(Digest::of(&bytes).0[0]) / 256.0
}

/// All runs of a journal, which can be read.
pub(crate) fn load(journal: &mut dyn Journal) -> Vec<StoredRun> {
    journal.load().unwrap().into_iter().map(|loaded| loaded.expect("it can be read")).collect()
}

/// What a start reads of a journal.
pub(crate) fn standing(journal: &mut dyn Journal) -> Vec<StoredStanding> {
    let mut all = Vec::new();
    journal.standing_each(&mut |standing| all.push(standing)).unwrap();
    all
}

/// See the module.
pub(crate) struct Bench {
    pub(crate) engine: Engine,
    pub(crate) journal: MemoryJournal,
    pub(crate) now: Timestamp,
    /// Time that passes with each answer.
    pub(crate) pace: Duration,
    /// How many episodes are still answered.
    pub(crate) answers: usize,
    /// How many effects are still carried out before the process is killed.
    pub(crate) effects: usize,
    /// If there is a place for them, searches are held here while they advance.
    pub(crate) advancing: Option<Vec<Advance>>,
    /// What an episode takes: short ones go to one worker together.
    pub(crate) took: Duration,
    /// Workers that answer plausibly and wrongly.
    pub(crate) lying: BTreeSet<WorkerId>,
    /// Whether every network diverges.
    pub(crate) diverging: bool,
    /// A second journal that is given the same.
    pub(crate) also: Option<Box<dyn Journal>>,
    next_worker: u64,
}

impl Bench {
    /// With a run of the spec; without workers.
    pub(crate) fn new(spec: RunSpec) -> Self {
        Self::keeping(KeptSnapshots::LAST, spec)
    }

    /// With a journal that keeps snapshots.
    pub(crate) fn keeping(kept: KeptSnapshots, spec: RunSpec) -> Self {
        let mut bench = Self::recover(MemoryJournal::default().keeping(kept), Vec::new());
        bench.request(creation(run(), spec, "")).unwrap();
        bench
    }

    /// Over a journal that holds `stored`, when the clock has just begun.
    pub(crate) fn recover(journal: MemoryJournal, stored: Vec<StoredRun>) -> Self {
        Self::recover_with(settings(), journal, stored, Timestamp::default())
    }

    /// Without runs, with other settings.
    pub(crate) fn with_settings(settings: Settings) -> Self {
        Self::recover_with(settings, MemoryJournal::default(), Vec::new(), Timestamp::default())
    }

    /// Over a journal that holds `stored`, with other settings, at a time.
    pub(crate) fn recover_with(
        settings: Settings,
        journal: MemoryJournal,
        stored: Vec<StoredRun>,
        now: Timestamp,
    ) -> Self {
        let loaded = stored.into_iter().map(Ok).collect();
        let (engine, effects) = Engine::recover(now, settings, 1, loaded);
        assert_eq!(engine.unreadable().next(), None);
        let pace = Duration::from_millis(1);
        let (answers, also, next_worker) = (usize::MAX, None, 1);
        let effects_left = usize::MAX;
        let mut bench = Self {
            engine,
            journal,
            now,
            pace,
            answers,
            effects: effects_left,
            advancing: None,
            took: Duration::from_micros(10),
            lying: BTreeSet::new(),
            diverging: false,
            also,
            next_worker,
        };
        let mut events = VecDeque::new();
        bench.carry_out(effects, &mut events);
        bench.handle_all(events);
        bench
    }

    /// Why a stored run cannot be taken up.
    pub(crate) fn refused(stored: StoredRun) -> String {
        let (engine, _) = Engine::recover(Timestamp::default(), settings(), 1, vec![Ok(stored)]);
        let (_, problem) = engine.unreadable().next().expect("it must not be taken up");
        problem.to_owned()
    }

    /// What a restart would read.
    pub(crate) fn stored(&mut self) -> StoredRun {
        let mut stored = load(&mut self.journal);
        assert_eq!(stored.len(), 1);
        stored.remove(0)
    }

    /// Executes a command and all that follows from it; why it was refused, if it was.
    pub(crate) fn request(&mut self, command: impl Command) -> Result<(), String> {
        if self.effects == 0 {
            return Ok(());
        }
        let held = self.engine.execute(self.now, command);
        let mut events = VecDeque::new();
        let effects = self.engine.settle(self.now);
        self.engine.check_invariants();
        self.carry_out(effects, &mut events);
        self.handle_all(events);
        held.answer.map(drop).map_err(|refusal| refusal.to_string())
    }

    /// Writes the run's creation to the second journal.
    pub(crate) fn copy_creation(&mut self) {
        let created = self.stored().created;
        let record = Record::Created(created);
        let writes = vec![Write::Record { run: run(), sequence: 1, record }];
        let transaction = Transaction { position: 1, writes, sync: true };
        self.also.as_mut().expect("there is one").commit(&[transaction], true).unwrap();
    }

    /// Brings what held searches have come to, the last first, and holds the next ones.
    pub(crate) fn bring(&mut self) {
        let held = self.advancing.as_mut().map(std::mem::take).into_iter().flatten().rev();
        self.handle_all(held.map(|advance| Event::Advanced(Box::new(advance.compute()))).collect());
    }

    /// Brings what held searches have come to, and holds no more.
    pub(crate) fn release(&mut self) {
        let held = self.advancing.take().into_iter().flatten().rev();
        self.handle_all(held.map(|advance| Event::Advanced(Box::new(advance.compute()))).collect());
    }

    pub(crate) fn handle(&mut self, event: Event) {
        self.handle_all(VecDeque::from([event]));
    }

    fn handle_all(&mut self, mut events: VecDeque<Event>) {
        while let Some(event) = events.pop_front().filter(|_| self.effects > 0) {
            let effects = self.engine.handle(self.now, event);
            self.engine.check_invariants();
            self.carry_out(effects, &mut events);
        }
    }

    fn carry_out(&mut self, effects: Vec<Effect>, events: &mut VecDeque<Event>) {
        for effect in effects {
            if self.effects == 0 {
                // Dead: nothing more is done or heard.
                return events.clear();
            }
            self.effects -= 1;
            match effect {
                Effect::Commit(transaction) => {
                    let position = transaction.position;
                    if let Some(also) = &mut self.also {
                        also.commit(std::slice::from_ref(&transaction), true).unwrap();
                    }
                    self.journal.commit(&[transaction], true).unwrap();
                    events.push_back(Event::Journalled { committed: position, synced: position });
                }
                Effect::Advance(advance) => match &mut self.advancing {
                    None => events.push_back(Event::Advanced(Box::new(advance.compute()))),
                    Some(held) => held.push(*advance),
                },
                Effect::Send { worker, message: ToWorker::Batch(batch) } if self.answers > 0 => {
                    let mut message = answer(&batch, self.answers, self.took, self.lying.contains(&worker));
                    if let FromWorker::Report(report) = &mut message
                        && self.diverging
                    {
                        let all = report.settlements.iter_mut();
                        all.for_each(|settlement| settlement.outcome = Outcome::Diverged);
                    }
                    self.answers = self.answers.saturating_sub(batch.assignments.len());
                    self.now = self.now + self.pace;
                    events.push_back(Event::FromWorker { worker, message });
                }
                _ => {}
            }
        }
    }

    /// A worker that is called as its fingerprint is.
    pub(crate) fn attach(&mut self, fingerprint: &[u8]) -> WorkerId {
        self.attach_as(std::str::from_utf8(fingerprint).unwrap(), fingerprint)
    }

    pub(crate) fn attach_as(&mut self, name: &str, fingerprint: &[u8]) -> WorkerId {
        let worker = WorkerId(self.next_worker);
        self.next_worker += 1;
        let hello = Hello {
            name: name.to_owned(),
            threads: 1,
            episode_semantics: EPISODE_SEMANTICS,
            fingerprint: Digest::of(fingerprint),
            version: "test".into(),
            serves: Vec::new(),
        };
        self.request(Attach { worker, hello }).unwrap();
        worker
    }

    pub(crate) fn act(&mut self, action: RunAction) {
        self.request(Act { run: run(), action, by: String::new() }).unwrap();
    }

    pub(crate) fn progress(&self) -> v1::Run {
        self.engine.progress(run()).unwrap()
    }

    /// The bits of the run's result.
    pub(crate) fn mean(&self) -> Vec<u64> {
        self.engine.run(run()).unwrap().result().mean.iter().map(|value| value.to_bits()).collect()
    }

    /// What watchers were told.
    pub(crate) fn events(&mut self) -> Vec<v1::RunEvent> {
        let events = self.journal.events(run(), 0, u64::MAX, u32::MAX).unwrap();
        events.into_iter().map(|(_, event)| event).collect()
    }
}

fn answer(batch: &Batch, most: usize, compute_time: Duration, lies: bool) -> FromWorker {
    let settlements = batch.assignments.iter().take(most).map(|assignment| {
        let genome = &batch.genomes[assignment.genome as usize];
        let evaluation = match batch.purpose {
            EpisodePurpose::Validation => {
                let accuracy = Fitness::new(accuracy(&genome.genome.0)).unwrap();
                Evaluation { extended: Some(accuracy), ..Evaluation::of(accuracy) }
            }
            EpisodePurpose::Search | EpisodePurpose::Remeasure => {
                let slope = || genome.genome.0.iter().map(|x| -2.0 * (x - 0.3)).collect();
                let gradient = batch.wants.gradient.then(slope);
                let honest = fitness(&genome.genome);
                let told = if lies { Fitness::new(honest.get() / 2.0).unwrap() } else { honest };
                Evaluation { gradient, ..Evaluation::of(told) }
            }
        };
        Settlement {
            candidate: genome.candidate,
            task: assignment.task,
            outcome: Outcome::Evaluated(evaluation),
            compute_time,
        }
    });
    FromWorker::Report(Report {
        sequence: 1,
        run: batch.run,
        generation: batch.generation,
        purpose: batch.purpose,
        block: batch.block,
        settlements: settlements.collect(),
    })
}

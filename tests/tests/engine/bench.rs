//! An engine with a journal in memory that never fails and a worker that answers at once, one after the other.

use std::collections::VecDeque;
use std::time::Duration;

use hebbian_coordinator::engine::effect::{Effect, Event, Reply, Ticket};
use hebbian_coordinator::engine::{Engine, Settings};
use hebbian_coordinator::handle::RunAction;
use hebbian_coordinator::journal::Journal as _;
use hebbian_coordinator::journal::memory::MemoryJournal;
use hebbian_coordinator::run::record::StoredRun;
use hebbian_shared::digest::Digest;
use hebbian_shared::dispatch::{Batch, FromWorker, Hello, Report, Settlement, ToWorker};
use hebbian_shared::episode::{EPISODE_SEMANTICS, Evaluation, Outcome};
use hebbian_shared::fitness::Fitness;
use hebbian_shared::genome::Genome;
use hebbian_shared::id::{RunId, WorkerId};
use hebbian_shared::progress::{RunEvent, RunProgress};
use hebbian_shared::spec::RunSpec;
use hebbian_shared::time::Timestamp;

pub(crate) fn run() -> RunId {
    RunId::new(1)
}

/// The fingerprint of ordinary workers.
pub(crate) const FINGERPRINT: &[u8] = b"ordinary";

pub(crate) fn spec(stop: &str) -> RunSpec {
    let text = format!(
        "name = \"bowl\"\n[strategy]\nkind = \"cma-es\"\npopulation_size = 6\n\
         [rule]\nstates = 1\nfeedback = \"replace-state0\"\n[tasks]\nfamilies = [\"xor\"]\nper_generation = 2\n\
         [stop]\n{stop}\n"
    );
    RunSpec::from_toml(&text).unwrap()
}

fn fitness(genome: &Genome) -> Fitness {
    Fitness::new(-genome.0.iter().map(|x| (x - 0.3) * (x - 0.3)).sum::<f64>()).unwrap()
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
    next_worker: u64,
}

impl Bench {
    /// With a run of the spec; without workers.
    pub(crate) fn new(spec: RunSpec) -> Self {
        let mut bench = Self::recover(MemoryJournal::default(), Vec::new());
        bench.handle(Event::Create {
            ticket: Ticket(1),
            run: run(),
            spec: Box::new(spec),
            request_id: String::new(),
            weight: 1.0,
            unix_ms: 0,
        });
        bench
    }

    /// Over a journal that holds `stored`, when the clock has just begun.
    pub(crate) fn recover(journal: MemoryJournal, stored: Vec<StoredRun>) -> Self {
        let now = Timestamp::default();
        let (engine, effects) = Engine::recover(now, Settings::default(), 1, stored).unwrap();
        let pace = Duration::from_millis(1);
        let mut bench = Self { engine, journal, now, pace, answers: usize::MAX, next_worker: 1 };
        let mut events = VecDeque::new();
        bench.carry_out(effects, &mut events);
        bench.handle_all(events);
        bench
    }

    /// What a restart would read.
    pub(crate) fn stored(&mut self) -> StoredRun {
        let mut stored = self.journal.load().unwrap();
        assert_eq!(stored.len(), 1);
        stored.remove(0)
    }

    pub(crate) fn handle(&mut self, event: Event) {
        self.handle_all(VecDeque::from([event]));
    }

    fn handle_all(&mut self, mut events: VecDeque<Event>) {
        while let Some(event) = events.pop_front() {
            let effects = self.engine.handle(self.now, event);
            self.engine.check_invariants();
            self.carry_out(effects, &mut events);
        }
    }

    fn carry_out(&mut self, effects: Vec<Effect>, events: &mut VecDeque<Event>) {
        for effect in effects {
            match effect {
                Effect::Commit(transaction) => {
                    let position = transaction.position;
                    self.journal.commit(&[transaction], true).unwrap();
                    events.push_back(Event::Journalled { committed: position, synced: position });
                }
                Effect::Send { worker, message: ToWorker::Batch(batch) } if self.answers > 0 => {
                    let message = answer(&batch, self.answers);
                    self.answers = self.answers.saturating_sub(batch.assignments.len());
                    self.now = self.now + self.pace;
                    events.push_back(Event::FromWorker { worker, message });
                }
                Effect::Reply { reply, .. } => match *reply {
                    Reply::Progress(reply) => drop(reply.unwrap()),
                    Reply::Result(reply) => drop(reply.unwrap()),
                    Reply::Welcome(reply) => drop(reply.unwrap()),
                    Reply::Worker(reply) => drop(reply.unwrap()),
                },
                _ => {}
            }
        }
    }

    pub(crate) fn attach(&mut self, fingerprint: &[u8]) -> WorkerId {
        let worker = WorkerId(self.next_worker);
        self.next_worker += 1;
        let hello = Hello {
            name: String::from_utf8(fingerprint.to_vec()).unwrap(),
            threads: 1,
            episode_semantics: EPISODE_SEMANTICS,
            fingerprint: Digest::of(fingerprint),
            version: "test".into(),
        };
        self.handle(Event::Attach { ticket: Ticket(0), worker, hello });
        worker
    }

    pub(crate) fn act(&mut self, action: RunAction) {
        self.handle(Event::Act { ticket: Ticket(0), run: run(), action });
    }

    pub(crate) fn progress(&self) -> RunProgress {
        self.engine.progress(run()).unwrap()
    }

    /// The bits of the run's result.
    pub(crate) fn mean(&self) -> Vec<u64> {
        self.engine.run(run()).unwrap().result().mean.0.iter().map(|value| value.to_bits()).collect()
    }

    /// What watchers were told.
    pub(crate) fn events(&mut self) -> Vec<RunEvent> {
        let events = self.journal.events(run(), 0, u64::MAX, u32::MAX).unwrap();
        events.into_iter().map(|(_, event)| event).collect()
    }
}

fn answer(batch: &Batch, most: usize) -> FromWorker {
    let settlements = batch.assignments.iter().take(most).map(|assignment| {
        let genome = &batch.genomes[assignment.genome as usize];
        Settlement {
            candidate: genome.candidate,
            task: assignment.task,
            outcome: Outcome::Evaluated(Evaluation::of(fitness(&genome.genome))),
            compute_time: Duration::from_micros(10),
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

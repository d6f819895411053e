//! Simulated workers: they dial, compute, report, and say again what was not acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use hebbian_control::command::worker::Attach;
use hebbian_control::engine::Engine;
use hebbian_shared::digest::Digest;
use hebbian_shared::dispatch::{Batch, BlockEpisodes, FromWorker, Hello, Report, Settlement, ToWorker};
use hebbian_shared::episode::{EPISODE_SEMANTICS, EpisodeKey, Evaluation, Outcome, Wants};
use hebbian_shared::fitness::Fitness;
use hebbian_shared::genome::Genome;
use hebbian_shared::id::{GenerationIndex, RunId, WorkerId};
use hebbian_shared::seed::{Seed, index_below, uniform};
use hebbian_shared::spec::ResolvedSpec;

use super::evaluations::scores;
use super::fault::Fault;
use super::{Happening, Session, World, fingerprint};
use crate::simulation::{objective, wants};

#[expect(clippy::struct_excessive_bools, reason = "what may be wrong with it is independent of the rest")]
pub(super) struct SimWorker {
    pub(super) name: String,
    pub(super) fingerprint: Digest,
    pub(super) semantics: u32,
    /// Multiplies durations.
    pub(super) slowness: u64,
    pub(super) rejects: bool,
    /// Runs that it has rejected.
    pub(super) rejected: BTreeSet<RunId>,
    /// Counts its processes.
    pub(super) life: u64,
    pub(super) session: Option<Session>,
    pub(super) reachable: bool,
    pub(super) hanging: bool,
    pub(super) leaving: bool,
    pub(super) specs: BTreeMap<RunId, Arc<ResolvedSpec>>,
    /// Points of measurement of the evaluations that it knows, also of those of earlier streams.
    pub(super) evaluations: BTreeMap<RunId, u32>,
    /// Evaluations that were announced on this stream.
    pub(super) announced: BTreeSet<RunId>,
    /// Episodes to do, in order.
    pub(super) queue: Vec<(EpisodeKey, Genome, Wants)>,
    pub(super) computing: bool,
    pub(super) sequence: u64,
    pub(super) unacknowledged: Vec<Report>,
    /// Reports of generations that a power loss had undone when they arrived: the coordinator has no use for them yet.
    pub(super) premature: BTreeSet<u64>,
    /// When the last message on each direction of the stream arrives: streams keep their order.
    pub(super) last_up: u64,
    pub(super) last_down: u64,
}

impl World {
    pub(super) fn connect(&mut self, place: usize, life: u64) {
        let worker = &self.workers[place];
        if worker.life != life || worker.session.is_some() {
            return;
        }
        if !worker.reachable || self.engine.is_none() {
            return self.after(40, Happening::Connect(place, life));
        }
        let id = WorkerId(self.next_worker);
        self.next_worker += 1;
        let session = Session { life: self.life, worker: id };
        let worker = &mut self.workers[place];
        worker.session = Some(session);
        worker.leaving = false;
        worker.specs.clear();
        worker.announced.clear();
        worker.last_up = self.now;
        worker.last_down = self.now;
        let hello = Hello {
            name: worker.name.clone(),
            threads: 1 + place as u32 % 3,
            episode_semantics: worker.semantics,
            fingerprint: worker.fingerprint,
            version: "simulated".into(),
            serves: Vec::new(),
        };
        if worker.semantics != EPISODE_SEMANTICS {
            self.count(Fault::WrongSemantics);
        }
        self.execute(Attach { worker: id, hello: hello.clone() });
        if self.workers[place].session != Some(session) {
            return;
        }
        let runs = self.engine.as_ref().map(Engine::list).unwrap_or_default();
        if runs.iter().any(|run| !run.fingerprint.is_empty() && run.fingerprint != hello.fingerprint.0) {
            self.count(Fault::WrongFingerprint);
        }
        for report in self.workers[place].unacknowledged.clone() {
            self.count(Fault::ReportSentAgain);
            self.say(place, FromWorker::Report(report));
        }
        self.after(50, Happening::Heartbeat(place, session));
    }

    /// The worker's stream is gone; it will dial again.
    pub(super) fn disconnect(&mut self, place: usize) {
        let keep = uniform(&mut self.rng) < 0.5;
        let worker = &mut self.workers[place];
        worker.session = None;
        if !keep {
            worker.queue.clear();
        }
        let life = worker.life;
        self.after(60, Happening::Connect(place, life));
    }

    pub(super) fn say(&mut self, place: usize, message: FromWorker) {
        let Some(session) = self.workers[place].session else { return };
        if !self.workers[place].reachable {
            return;
        }
        let is_report = matches!(message, FromWorker::Report(_));
        if is_report && self.chance(self.rates.lose) {
            return self.count(Fault::ReportLost);
        }
        let time = (self.now + self.delay(2)).max(self.workers[place].last_up);
        self.workers[place].last_up = time;
        if is_report && self.chance(self.rates.duplicate) {
            self.count(Fault::ReportDuplicated);
            let later = time + self.delay(30);
            self.at(later, Happening::ToCoordinator(session, message.clone()));
        }
        self.at(time, Happening::ToCoordinator(session, message));
    }

    pub(super) fn worker_hears(&mut self, place: usize, message: ToWorker) {
        let worker = &mut self.workers[place];
        match message {
            ToWorker::Spec { run, spec } => {
                let again = worker.specs.insert(run, spec).is_some();
                assert!(
                    !again || worker.rejected.remove(&run),
                    "a spec is sent once per stream, and again to who has rejected it"
                );
            }
            ToWorker::Evaluation { evaluation, request } => {
                let again = !worker.announced.insert(evaluation);
                assert!(!again || worker.rejected.remove(&evaluation), "an evaluation is announced once");
                worker.evaluations.insert(evaluation, request.parse().unwrap());
            }
            ToWorker::Batch(batch) => {
                assert_eq!(
                    worker.semantics, EPISODE_SEMANTICS,
                    "only workers of our semantics are given work"
                );
                let known = worker.specs.contains_key(&batch.run) || worker.announced.contains(&batch.run);
                assert!(known, "what batches are of comes before them");
                if let Some(spec) = worker.specs.get(&batch.run) {
                    assert_eq!(
                        batch.wants,
                        wants(spec, batch.purpose),
                        "gradients are for those who want them"
                    );
                }
                if worker.rejects {
                    let run = batch.run;
                    self.count(Fault::Rejection);
                    if uniform(&mut self.rng) < 0.5 {
                        self.workers[place].rejected.insert(run);
                        return self
                            .say(place, FromWorker::Reject { run, reason: "no such data set".into() });
                    }
                    let outcome = Outcome::Rejected { reason: "no such family".into() };
                    let done = episodes(&batch).map(|(key, ..)| (key, outcome.clone()));
                    let done: Vec<_> = done.collect();
                    return self.report(place, &done);
                }
                worker.queue.extend(episodes(&batch));
                self.begin_computing(place);
            }
            ToWorker::Acknowledge { sequence } => {
                worker.unacknowledged.retain(|report| report.sequence > sequence);
            }
            ToWorker::Withdraw { run, up_to } => {
                let up_to = up_to.unwrap_or(GenerationIndex(u32::MAX));
                worker.queue.retain(|(key, ..)| key.run != run || key.generation > up_to);
            }
            ToWorker::WithdrawEpisodes(BlockEpisodes { run, generation, purpose, block, episodes }) => {
                let about = (run, generation, purpose, block);
                worker.queue.retain(|(key, ..)| {
                    (key.run, key.generation, key.purpose, key.block) != about
                        || !episodes.contains(&(key.candidate, key.task))
                });
            }
            ToWorker::Drain { .. } => {}
        }
    }

    /// A worker that leaves gives back what it has not begun, block by block.
    pub(super) fn give_back(&mut self, place: usize) {
        let mut given: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (key, ..) in self.workers[place].queue.drain(..) {
            let block = (key.run, key.generation, key.purpose, key.block);
            given.entry(block).or_default().push((key.candidate, key.task));
        }
        for ((run, generation, purpose, block), episodes) in given {
            self.count(Fault::GivenBack);
            self.say(
                place,
                FromWorker::GiveBack(BlockEpisodes { run, generation, purpose, block, episodes }),
            );
        }
    }

    pub(super) fn begin_computing(&mut self, place: usize) {
        let worker = &self.workers[place];
        if worker.computing || worker.hanging || worker.queue.is_empty() {
            return;
        }
        let (life, slowness) = (worker.life, worker.slowness);
        self.workers[place].computing = true;
        let time = self.now + self.delay(2) * slowness;
        self.at(time, Happening::Compute(place, life));
    }

    /// Some episodes at the head of the queue are done.
    pub(super) fn compute(&mut self, place: usize) {
        self.workers[place].computing = false;
        if self.workers[place].hanging || self.workers[place].queue.is_empty() {
            return;
        }
        if self.workers[place].slowness > 1 {
            self.count(Fault::WorkerSlow);
        }
        let first = self.workers[place].queue[0].0;
        let block = |key: &EpisodeKey| (key.run, key.generation, key.purpose, key.block);
        let alike =
            self.workers[place].queue.iter().take_while(|(key, ..)| block(key) == block(&first)).count();
        let count = 1 + index_below(&mut self.rng, alike as u32) as usize;
        let done: Vec<_> = self.workers[place].queue.drain(..count).collect();
        let done: Vec<_> = done
            .into_iter()
            .map(|(key, genome, wants)| {
                if self.chance(self.rates.error) {
                    self.count(Fault::WorkerError);
                    (key, Outcome::WorkerError { reason: "out of memory".into() })
                } else if let Some(&points) = self.workers[place].evaluations.get(&key.run) {
                    let fingerprint = self.workers[place].fingerprint;
                    let scores = scores(fingerprint, key.candidate.0, key.task.0, points);
                    let fitness = Fitness::new(scores[0]).unwrap();
                    (key, Outcome::Evaluated(Evaluation { scores, ..Evaluation::of(fitness) }))
                } else {
                    let seed = self.seed_of(place, key.run);
                    (key, objective(seed, self.workers[place].fingerprint, &genome, key, wants))
                }
            })
            .collect();
        self.report(place, &done);
        self.begin_computing(place);
    }

    /// The seed of a run, whose spec the worker may have heard on an earlier stream.
    fn seed_of(&self, place: usize, run: RunId) -> Seed {
        let spec = self.workers[place].specs.get(&run);
        let engine = || self.engine.as_ref().and_then(|engine| engine.run(run)).map(|run| run.spec().seed);
        spec.map(|spec| spec.seed).or_else(engine).unwrap_or(Seed::new(0).unwrap())
    }

    pub(super) fn report(&mut self, place: usize, done: &[(EpisodeKey, Outcome)]) {
        let Some((first, _)) = done.first() else { return };
        let worker = &mut self.workers[place];
        worker.sequence += 1;
        let settlements = done.iter().map(|(key, outcome)| Settlement {
            candidate: key.candidate,
            task: key.task,
            outcome: outcome.clone(),
            compute_time: Duration::from_micros(500 * worker.slowness),
        });
        let report = Report {
            sequence: worker.sequence,
            run: first.run,
            generation: first.generation,
            purpose: first.purpose,
            block: first.block,
            settlements: settlements.collect(),
        };
        worker.unacknowledged.push(report.clone());
        self.say(place, FromWorker::Report(report));
    }
}

impl SimWorker {
    pub(super) fn new(name: String, kind: u32) -> Self {
        Self {
            name,
            fingerprint: fingerprint(kind),
            semantics: EPISODE_SEMANTICS,
            slowness: 1,
            rejects: false,
            rejected: BTreeSet::new(),
            life: 0,
            session: None,
            reachable: true,
            hanging: false,
            leaving: false,
            specs: BTreeMap::new(),
            evaluations: BTreeMap::new(),
            announced: BTreeSet::new(),
            queue: Vec::new(),
            computing: false,
            sequence: 0,
            unacknowledged: Vec::new(),
            premature: BTreeSet::new(),
            last_up: 0,
            last_down: 0,
        }
    }
}

fn episodes(batch: &Batch) -> impl Iterator<Item = (EpisodeKey, Genome, Wants)> {
    let tasks: BTreeSet<_> = batch.assignments.iter().collect();
    assert_eq!(tasks.len(), batch.assignments.len(), "an episode is in a batch once");
    batch.assignments.iter().map(|assignment| {
        let genome = &batch.genomes[assignment.genome as usize];
        let key = EpisodeKey {
            run: batch.run,
            generation: batch.generation,
            purpose: batch.purpose,
            block: batch.block,
            candidate: genome.candidate,
            task: assignment.task,
        };
        (key, (*genome.genome).clone(), batch.wants)
    })
}

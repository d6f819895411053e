use std::sync::atomic::{AtomicU32, Ordering};

use hebbian_shared::digest::Digest;
use hebbian_shared::dispatch::BatchGenome;
use hebbian_shared::episode::{EpisodePurpose, Evaluation, Wants};
use hebbian_shared::fitness::Fitness;
use hebbian_shared::genome::Genome;
use hebbian_shared::id::{BlockIndex, CandidateIndex, GenerationIndex, RunId, TaskIndex};

use super::*;

/// The fitness is the genome's value plus the task; negative genomes panic, infinite ones wait for their interruption.
struct Fake {
    threads: AtomicU32,
}

struct FakeThread;

impl Runner for Fake {
    fn on_thread(self: Arc<Self>) -> Box<dyn Episodes> {
        self.threads.fetch_add(1, Ordering::Relaxed);
        Box::new(FakeThread)
    }
}

impl Episodes for FakeThread {
    fn run(&mut self, genome: &Genome, key: &EpisodeKey, _: Wants, interrupt: &Interrupt) -> Option<Outcome> {
        let value = genome.0[0];
        assert!(value >= 0.0, "a negative genome");
        while value.is_infinite() {
            if interrupt.is_raised() {
                return None;
            }
            thread::sleep(Duration::from_millis(1));
        }
        let fitness = Fitness::new(value + f64::from(key.task.0)).unwrap();
        Some(Outcome::Evaluated(Evaluation::of(fitness)))
    }
}

fn job(runner: &Arc<Fake>, ticket: u64, genomes: &[f64], tasks: u32) -> Arc<PoolBatch> {
    let genome = |(place, &value): (usize, &f64)| BatchGenome {
        candidate: CandidateIndex(place as u32),
        genome: Arc::new(Genome(vec![value])),
        parameters: Vec::new(),
    };
    let assignments = (0..genomes.len() as u32)
        .flat_map(|genome| (0..tasks).map(move |task| Assignment { genome, task: TaskIndex(task), seed: 0 }))
        .collect();
    let batch = Batch {
        run: RunId::new(1),
        layout: Digest([0; 32]),
        generation: GenerationIndex(0),
        purpose: EpisodePurpose::Search,
        block: BlockIndex(0),
        wants: Wants::default(),
        genomes: genomes.iter().enumerate().map(genome).collect(),
        assignments,
    };
    Arc::new(PoolBatch::new(ticket, batch, runner.clone()))
}

fn fake() -> Arc<Fake> {
    Arc::new(Fake { threads: AtomicU32::new(0) })
}

/// Reads what is finished until so many episodes have arrived.
fn check(finished: &mut mpsc::UnboundedReceiver<Finished>, episodes: usize) -> (Vec<Settlement>, usize) {
    let (mut settlements, mut interrupted) = (Vec::new(), 0);
    while settlements.len() + interrupted < episodes {
        let part = finished.blocking_recv().expect("the pool works");
        settlements.extend(part.settlements);
        interrupted += part.interrupted;
    }
    assert_eq!(settlements.len() + interrupted, episodes);
    settlements.sort_by_key(|settlement| (settlement.candidate, settlement.task));
    (settlements, interrupted)
}

#[test]
fn every_episode_arrives_once_with_its_own_outcome() {
    for threads in [1, 3] {
        let (pool, mut finished) = Pool::start(threads).unwrap();
        let runner = fake();
        pool.submit(job(&runner, 1, &[0.5, 1.5], 50));
        let (settlements, interrupted) = check(&mut finished, 100);
        assert_eq!(interrupted, 0);
        for (place, settlement) in settlements.iter().enumerate() {
            let (candidate, task) = (place / 50, place % 50);
            assert_eq!((settlement.candidate.as_usize(), settlement.task.as_usize()), (candidate, task));
            let fitness = Fitness::new(0.5 + (candidate + task) as f64).unwrap();
            assert_eq!(settlement.outcome, Outcome::Evaluated(Evaluation::of(fitness)));
        }
        assert!(runner.threads.load(Ordering::Relaxed) <= threads);
    }
}

#[test]
fn a_panic_is_a_worker_error_and_the_thread_goes_on() {
    let (pool, mut finished) = Pool::start(1).unwrap();
    let runner = fake();
    pool.submit(job(&runner, 1, &[-1.0, 2.0], 1));
    let (settlements, _) = check(&mut finished, 2);
    let reason = "panicked: a negative genome".to_owned();
    assert_eq!(settlements[0].outcome, Outcome::WorkerError { reason });
    assert!(matches!(settlements[1].outcome, Outcome::Evaluated(_)));
    // What the panic left behind was not used again.
    assert_eq!(runner.threads.load(Ordering::Relaxed), 2);
}

#[test]
fn a_panic_among_quick_episodes_is_only_its_own() {
    let (pool, mut finished) = Pool::start(1).unwrap();
    let runner = fake();
    // Known to be quick, so that the thread takes many of the next job at once.
    pool.submit(job(&runner, 1, &[1.0], 20));
    check(&mut finished, 20);
    let mut genomes = [1.0; 40];
    genomes[3] = -1.0;
    genomes[20] = -1.0;
    pool.submit(job(&runner, 2, &genomes, 1));
    let (settlements, _) = check(&mut finished, 40);
    for (place, settlement) in settlements.iter().enumerate() {
        let expected = matches!(settlement.outcome, Outcome::Evaluated(_));
        assert_eq!(expected, genomes[place] > 0.0, "{place}: {:?}", settlement.outcome);
    }
}

#[test]
fn an_answer_without_what_was_asked_for_is_a_worker_error() {
    let (pool, mut finished) = Pool::start(1).unwrap();
    let mut asked = job(&fake(), 1, &[2.0], 1);
    Arc::get_mut(&mut asked).expect("nobody else has it").batch.wants.gradient = true;
    pool.submit(asked);
    let reason = "a wrong answer: gradient: must have 1 values, not 0".to_owned();
    assert_eq!(check(&mut finished, 1).0[0].outcome, Outcome::WorkerError { reason });
}

#[test]
fn an_interrupt_ends_running_and_queued_episodes() {
    let (pool, mut finished) = Pool::start(2).unwrap();
    let runner = fake();
    let endless = job(&runner, 1, &[f64::INFINITY], 5);
    pool.submit(endless.clone());
    pool.submit(job(&runner, 2, &[1.0], 3));
    thread::sleep(Duration::from_millis(20));
    assert!(finished.try_recv().is_err());
    pool.withdraw(&endless, |_| true);
    let (settlements, interrupted) = check(&mut finished, 8);
    assert_eq!((settlements.len(), interrupted), (3, 5));
}

/// What has arrived when so many episodes have: how many have settled, and how many were interrupted.
fn arrived(finished: &mut mpsc::UnboundedReceiver<Finished>, episodes: usize) -> (usize, usize) {
    let (mut settled, mut interrupted) = (0, 0);
    while settled + interrupted < episodes {
        let part = finished.blocking_recv().expect("threads live");
        settled += part.settlements.len();
        interrupted += part.interrupted;
    }
    (settled, interrupted)
}

#[test]
fn single_episodes_are_taken_back_and_the_others_of_their_job_are_not() {
    let (pool, mut finished) = Pool::start(2).unwrap();
    let endless = f64::INFINITY;
    // Both threads are stuck; behind them waits what is wanted and what is not.
    let mixed = job(&fake(), 1, &[endless, endless, 3.0, endless, 5.0], 1);
    pool.submit(mixed.clone());
    while pool.shared.state().running.iter().flatten().count() < 2 {
        thread::yield_now();
    }
    pool.withdraw(&mixed, |assignment| assignment.genome == 3);
    assert!(finished.try_recv().is_err(), "what is wanted goes on");
    pool.withdraw(&mixed, |assignment| assignment.genome == 1);
    // One thread is free: it passes over the one and computes the others.
    assert_eq!(arrived(&mut finished, 4), (2, 2));
    pool.withdraw(&mixed, |assignment| assignment.genome == 0);
    assert_eq!(arrived(&mut finished, 1), (0, 1));
    pool.submit(job(&fake(), 2, &[1.0], 3));
    assert_eq!(arrived(&mut finished, 3), (3, 0), "what was raised is no more");
}

#[test]
fn what_is_discarded_never_arrives_and_what_runs_does() {
    let (pool, mut finished) = Pool::start(1).unwrap();
    let runner = fake();
    let endless = job(&runner, 1, &[f64::INFINITY], 5);
    pool.submit(endless.clone());
    thread::sleep(Duration::from_millis(20));
    pool.discard_queued();
    pool.withdraw(&endless, |_| true);
    pool.submit(job(&runner, 2, &[1.0], 1));
    assert_eq!(check(&mut finished, 2).1, 1);
}

#[test]
fn dropping_the_pool_ends_its_threads() {
    let (pool, mut finished) = Pool::start(2).unwrap();
    pool.submit(job(&fake(), 1, &[f64::INFINITY], 5));
    thread::sleep(Duration::from_millis(20));
    drop(pool);
    // The channel closes when the last thread has ended.
    while finished.blocking_recv().is_some() {}
}

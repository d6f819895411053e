//! How many episodes a second one coordinator settles: the driver with its journal, two workers that answer at once,
//! no wire. `cargo bench -p hebbian-tests --bench driver`

use std::time::{Duration, Instant};

use hebbian_control::command::run::{Create, Get};
use hebbian_coordinator::driver::reading::Watch;
use hebbian_coordinator::driver::{self, DriverSettings};
use hebbian_coordinator::handle::{Handle, new_run_id};
use hebbian_coordinator::journal;
use hebbian_proto::figures::RunState;
use hebbian_proto::v1;
use hebbian_shared::digest::Digest;
use hebbian_shared::dispatch::{FromWorker, Hello, Report, Settlement, ToWorker};
use hebbian_shared::episode::{EPISODE_SEMANTICS, Evaluation, Outcome};
use hebbian_shared::fitness::Fitness;
use hebbian_shared::spec::RunSpec;
use tokio::sync::mpsc;

const POPULATION_SIZE: u32 = 256;
const TASKS: u32 = 64;
const GENERATIONS: u32 = 100;

/// A worker that answers at once.
async fn work(handle: Handle) {
    let (outbox, mut inbox) = mpsc::channel(1024);
    let hello = Hello {
        name: "bench".into(),
        threads: 1,
        episode_semantics: EPISODE_SEMANTICS,
        fingerprint: Digest::of(b"bench"),
        version: "bench".into(),
        serves: Vec::new(),
    };
    let worker = handle.attach(hello, "here".into(), outbox).await.expect("the driver is up").worker;
    let mut sequence = 0;
    while let Some(message) = inbox.recv().await {
        let ToWorker::Batch(batch) = &message.message else { continue };
        let settlements = batch.assignments.iter().map(|assignment| {
            let genome = &batch.genomes[assignment.genome as usize];
            let fitness = Fitness::new(-genome.genome.0[0] * genome.genome.0[0]).expect("finite");
            Settlement {
                candidate: genome.candidate,
                task: assignment.task,
                outcome: Outcome::Evaluated(Evaluation::of(fitness)),
                compute_time: Duration::from_micros(1),
            }
        });
        sequence += 1;
        let report = Report {
            sequence,
            run: batch.run,
            generation: batch.generation,
            purpose: batch.purpose,
            block: batch.block,
            settlements: settlements.collect(),
        };
        if handle.from_worker(worker, FromWorker::Report(report)).await.is_err() {
            return;
        }
    }
}

/// Random search: its `tell` costs next to nothing, so that what is measured is the coordinator.
fn spec() -> RunSpec {
    let text = format!(
        "name = \"bench\"\n[strategy]\nkind = \"random-search\"\npopulation_size = {POPULATION_SIZE}\n\
         [rule]\nstates = 1\nfeedback = \"replace-state0\"\n[evaluation]\nobjective = \"squared-error\"\n[tasks]\nfamilies = [\"xor\"]\n\
         per_generation = {TASKS}\n[stop]\ngenerations = {GENERATIONS}\n"
    );
    RunSpec::read(&text).expect("a valid spec")
}

async fn measure(url: &str) {
    let journal = journal::open(url).expect("a journal");
    let (handle, driver) = driver::start(DriverSettings::default(), journal).await.expect("it starts");
    for _ in 0..2 {
        tokio::spawn(work(handle.clone()));
    }
    let begun = Instant::now();
    let run = handle.ask(Create::new(new_run_id(), spec())).await.expect("a run").run_id().expect("an id");
    let mut after = 0;
    while !handle.ask(Get { run }).await.expect("the run").is_final() {
        let mut watch = handle.ask(Watch { run, after, owner: String::new() }).await.expect("the run");
        while let Some(event) = watch.recv().await {
            after = event.sequence;
            if event.event.as_ref().and_then(v1::RunEvent::state).is_some_and(RunState::is_final) {
                break;
            }
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    let closed = handle.ask(Get { run }).await.expect("the run").last_generation.expect("closed generations");
    let episodes = closed.episodes as f64;
    assert_eq!(closed.episodes, u64::from(POPULATION_SIZE * TASKS * GENERATIONS));
    println!("{:>12.0} episodes/s with {}", episodes / seconds, url.split(':').next().unwrap_or_default());
    handle.shut_down().await.expect("it closes");
    driver.await.expect("it ends");
}

#[tokio::main]
async fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    measure("memory:").await;
    measure(&format!("sqlite:{}", folder.path().join("journal.db").display())).await;
}

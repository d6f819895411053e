//! What runs that have ended cost a coordinator: memory beside one without runs, and the time to start.
//! `cargo bench -p hebbian-tests --bench ended`

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use hebbian_control::command::run::{Create, Get};
use hebbian_coordinator::driver::{self, DriverSettings};
use hebbian_coordinator::handle::{Handle, new_run_id};
use hebbian_coordinator::journal;
use hebbian_shared::digest::Digest;
use hebbian_shared::dispatch::{FromWorker, Hello, Report, Settlement, ToWorker};
use hebbian_shared::episode::{EPISODE_SEMANTICS, Evaluation, Outcome};
use hebbian_shared::fitness::Fitness;
use hebbian_shared::spec::RunSpec;
use tokio::sync::mpsc;

const RUNS: usize = 3_000;
/// So many at a time.
const TOGETHER: usize = 100;

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
    let mut heartbeat = tokio::time::interval(Duration::from_millis(400));
    loop {
        let message = tokio::select! {
            message = inbox.recv() => message,
            _ = heartbeat.tick() => {
                let _ = handle.from_worker(worker, FromWorker::Heartbeat).await;
                continue;
            }
        };
        let Some(message) = message else { return };
        let ToWorker::Batch(batch) = &message.message else { continue };
        let settlements = batch.assignments.iter().map(|assignment| {
            let genome = &batch.genomes[assignment.genome as usize];
            let fitness = Fitness::new((genome.genome.0[0] * 0.1).clamp(0.0, 1.0)).expect("finite");
            Settlement {
                candidate: genome.candidate,
                task: assignment.task,
                outcome: Outcome::Evaluated(Evaluation::of(fitness)),
                compute_time: Duration::from_micros(1),
            }
        });
        sequence += 1;
        let settlements = settlements.collect();
        let (run, generation, purpose, block) = (batch.run, batch.generation, batch.purpose, batch.block);
        let report = Report { sequence, run, generation, purpose, block, settlements };
        if handle.from_worker(worker, FromWorker::Report(report)).await.is_err() {
            return;
        }
    }
}

/// The quickstart's search (68 numbers, 64 candidates), which ends after two generations.
fn spec() -> RunSpec {
    let text = "name = \"ended\"\n[strategy]\nkind = \"cma-es\"\npopulation_size = 64\n[rule]\nstates = 4\n\
                [evaluation]\nobjective = \"accuracy\"\n[tasks]\nfamilies = [\"xor\", \"or\"]\nper_generation = 2\n[stop]\ngenerations = 2\n";
    RunSpec::read(text).expect("a valid spec")
}

/// Resident memory of this process in MB.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes: f64 =
        line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(f64::NAN);
    kilobytes / 1e3
}

async fn start(path: &Path) -> Handle {
    let journal = journal::open(&format!("sqlite:{}", path.display())).expect("a journal");
    driver::start(DriverSettings::default(), journal).await.expect("it starts").0
}

/// Runs that have ended, and the memory that they take where they ended.
async fn fill(path: &Path) {
    let handle = start(path).await;
    tokio::spawn(work(handle.clone()));
    let before = resident();
    for _ in 0..RUNS / TOGETHER {
        let mut runs = Vec::new();
        for _ in 0..TOGETHER {
            let created = handle.create(Create::new(new_run_id(), spec())).await.expect("a run");
            runs.push(created.run_id().expect("an id"));
        }
        for run in runs {
            while !handle.ask(Get { run }).await.expect("the run").is_final() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
    }
    println!("{:8.1} MB more after {RUNS} runs have ended", resident() - before);
    handle.shut_down().await.expect("it closes");
}

#[tokio::main]
async fn main() {
    if let Some(path) = std::env::args().nth(1).filter(|path| !path.starts_with('-')) {
        let begun = Instant::now();
        let handle = start(Path::new(&path)).await;
        println!("{:8.2} s to start, {:.1} MB then", begun.elapsed().as_secs_f64(), resident());
        return handle.shut_down().await.expect("it closes");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (empty, full) = (folder.path().join("empty.sqlite"), folder.path().join("full.sqlite"));
    start(&empty).await.shut_down().await.expect("it closes");
    fill(&full).await;
    for (what, path) in [("no runs:", &empty), ("3,000 ended runs:", &full), ("the same again:", &full)] {
        println!("{what}");
        let program = std::env::current_exe().expect("this program");
        let status = Command::new(program).arg(path).status().expect("it runs");
        assert!(status.success());
    }
}

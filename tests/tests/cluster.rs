//! Coordinator and workers over a real wire: whatever happens to workers and coordinators, a run's result has the bits
//! of the sequential loop.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hebbian_control::command::run::{Create, Get, GetResult};
use hebbian_coordinator::driver::reading::Watch;
use hebbian_coordinator::driver::{self, DriverSettings};
use hebbian_coordinator::handle::{Handle, new_run_id};
use hebbian_coordinator::journal::sqlite::SqliteJournal;
use hebbian_coordinator::service::connection::{self, ConnectionLimits};
use hebbian_coordinator::service::lane::Lanes;
use hebbian_coordinator::service::{self, TransportSettings};
use hebbian_learning::episode::EpisodeRunner;
use hebbian_learning::fingerprint::fingerprint;
use hebbian_learning::interrupt::Interrupt;
use hebbian_learning::training::Workspace;
use hebbian_proto::figures::RunState;
use hebbian_proto::v1;
use hebbian_proto::v1::run_event::Kind as Event;
use hebbian_search::Measured;
use hebbian_shared::dispatch::Hello;
use hebbian_shared::episode::{EPISODE_SEMANTICS, EpisodeKey, EpisodePurpose};
use hebbian_shared::genome::Genome;
use hebbian_shared::id::{CandidateIndex, GenerationIndex, RunId, TaskIndex};
use hebbian_shared::spec::RunSpec;
use hebbian_worker::evaluator::LearningEvaluator;
use hebbian_worker::session::{self, ClientTlsConfig, Coordinators, SessionSettings};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(120);

/// So many that a restart in the midst of the run does not come after its end.
const GENERATIONS: u32 = 400;

pub(crate) fn spec() -> RunSpec {
    let text = format!(
        r#"
        name = "tiny"
        strategy = {{ kind = "cma-es", population_size = 8 }}
        rule = {{ states = 2 }}
        network = {{ hidden = [8] }}
        tasks = {{ families = ["xor", "circle"], per_generation = 4, batch_size = 16, query_size = 32 }}
        stop = {{ generations = {GENERATIONS} }}
        "#
    );
    RunSpec::read(&text).unwrap()
}

/// The mean after each of the first generations, which one thread computes episode by episode, without scheduler, journal and wire.
pub(crate) fn means(spec: &RunSpec, generations: u32) -> Vec<Genome> {
    let runner = EpisodeRunner::new(Arc::new(spec.clone())).unwrap();
    let mut workspace = Workspace::new();
    let mut strategy = hebbian_control::run::strategy::build(spec);
    let close = |generation| {
        let measure = |(candidate, place): (&hebbian_search::Candidate, u32)| {
            let episodes = (0..spec.tasks_per_generation()).map(|task| {
                let key = EpisodeKey {
                    run: RunId::new(0),
                    generation: GenerationIndex(generation),
                    purpose: EpisodePurpose::Search,
                    block: candidate.block,
                    candidate: CandidateIndex(place),
                    task: TaskIndex(task),
                };
                runner.run(&mut workspace, &candidate.genome, &key, &Interrupt::new()).unwrap()
            });
            Measured::of_outcomes(episodes).expect("outcomes of the genome, not of the worker")
        };
        let measured: Vec<Measured> = strategy.ask().iter().zip(0..).map(measure).collect();
        strategy.tell(&measured).unwrap();
        strategy.mean()
    };
    (0..generations).map(close).collect()
}

pub(crate) fn check(result: &v1::RunResult) {
    let expected = means(&spec(), GENERATIONS).pop().expect("it has generations");
    let bits = |genome: &[f64]| genome.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    assert!(expected.0.iter().any(|&value| value != 0.0), "the search has moved");
    assert_eq!(result.generations, GENERATIONS);
    assert_eq!(bits(&result.mean), bits(&expected.0));
}

/// A worker in this process.
pub(crate) struct Worker {
    shutdown: CancellationToken,
    task: JoinHandle<u64>,
}

impl Worker {
    pub(crate) fn start(coordinators: Coordinators, name: &str, threads: u32) -> Self {
        let hello = Hello {
            name: name.to_owned(),
            threads,
            episode_semantics: EPISODE_SEMANTICS,
            fingerprint: fingerprint(),
            version: "test".to_owned(),
            serves: Vec::new(),
        };
        let settings = SessionSettings::new(coordinators, hello);
        let shutdown = CancellationToken::new();
        let session = session::run(settings, Arc::new(LearningEvaluator::default()), shutdown.clone());
        Self { shutdown, task: tokio::spawn(async { session.await.expect("a session").episodes }) }
    }

    /// Ends as a worker should; the number of episodes it settled.
    pub(crate) async fn leave(self) -> u64 {
        self.shutdown.cancel();
        tokio::time::timeout(PATIENCE, self.task).await.expect("in time").expect("no panic")
    }
}

/// Waits until a generation of the run has closed, or the run has ended.
pub(crate) async fn closed(handle: &Handle, run: RunId, generation: u32) {
    let mut after = 0;
    let watching = async {
        loop {
            let mut watch = handle.ask(Watch { run, after, owner: String::new() }).await.expect("the run");
            while let Some(event) = watch.recv().await {
                after = event.sequence;
                match event.event.and_then(|event| event.kind) {
                    Some(Event::Generation(summary)) if summary.generation >= generation => return,
                    Some(Event::State(state)) if state.kind.as_ref().is_some_and(RunState::is_final) => {
                        return;
                    }
                    _ => {}
                }
            }
        }
    };
    tokio::time::timeout(PATIENCE, watching).await.expect("in time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_workers_over_memory_give_the_bits_of_the_sequential_loop() {
    let directory = tempfile::tempdir().unwrap();
    let journal = SqliteJournal::open(&directory.path().join("journal.sqlite")).unwrap();
    let (handle, driver) = driver::start(DriverSettings::default(), Box::new(journal)).await.unwrap();
    let (dial, connections) = connection::memory();
    let serving = CancellationToken::new();
    let server = tokio::spawn(service::serve(
        handle.clone(),
        connections,
        TransportSettings::default(),
        serving.clone(),
    ));
    let workers = ["one", "two"].map(|name| Worker::start(Coordinators::Memory(dial.clone()), name, 1));

    let once = || Create { request_id: "once".to_owned(), ..Create::new(new_run_id(), spec()) };
    let run = handle.ask(once()).await.unwrap().run_id().unwrap();
    assert_eq!(handle.ask(once()).await.unwrap().run_id(), Ok(run));
    closed(&handle, run, u32::MAX).await;
    check(&handle.ask(GetResult { run }).await.unwrap());

    let mut settled = 0;
    for worker in workers {
        settled += worker.leave().await;
    }
    let episodes = u64::from(GENERATIONS) * 8 * 4;
    assert!(settled >= episodes, "{settled} of {episodes} episodes");
    serving.cancel();
    handle.shut_down().await.unwrap();
    driver.await.unwrap();
    tokio::time::timeout(PATIENCE, server).await.expect("in time").unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_workers_and_a_restarted_coordinator_over_tcp_change_no_bit() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("journal.sqlite");
    // All workers in the crowd's lane.
    let lanes = Lanes::two(1, 0).unwrap();
    let settings = || TransportSettings {
        shutdown_grace: Duration::from_millis(200),
        lanes: lanes.clone(),
        ..Default::default()
    };

    let journal = SqliteJournal::open(&path).unwrap();
    let (handle, driver) = driver::start(DriverSettings::default(), Box::new(journal)).await.unwrap();
    let listener = connection::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    let address = listener.local_addr().unwrap();
    let serving = CancellationToken::new();
    let server = tokio::spawn(service::serve(
        handle.clone(),
        connection::accept(listener, ConnectionLimits::default(), None, lanes.clone()),
        settings(),
        serving.clone(),
    ));
    let coordinators = || Coordinators::parse(&[address.to_string()], &ClientTlsConfig::new()).unwrap();
    let doomed = Worker::start(coordinators(), "doomed", 1);
    let steady = Worker::start(coordinators(), "steady", 1);
    let run = handle.ask(Create::new(new_run_id(), spec())).await.unwrap().run_id().unwrap();

    closed(&handle, run, 2).await;
    // As a kill: nothing is reported or said.
    doomed.task.abort();
    closed(&handle, run, 4).await;
    serving.cancel();
    handle.shut_down().await.unwrap();
    driver.await.unwrap();
    server.await.unwrap();

    let journal = SqliteJournal::open(&path).unwrap();
    let (handle, driver) = driver::start(DriverSettings::default(), Box::new(journal)).await.unwrap();
    let before = handle.ask(Get { run }).await.unwrap();
    assert!(before.generation >= 4, "what was closed is still closed: {}", before.generation);
    assert!(!before.is_final(), "the restart came too late to show anything");
    let listener = connection::bind(address).unwrap();
    let serving = CancellationToken::new();
    let server = tokio::spawn(service::serve(
        handle.clone(),
        connection::accept(listener, ConnectionLimits::default(), None, lanes.clone()),
        settings(),
        serving.clone(),
    ));
    closed(&handle, run, u32::MAX).await;
    check(&handle.ask(GetResult { run }).await.unwrap());
    assert!(steady.leave().await > 0, "the steady worker came back");
    serving.cancel();
    handle.shut_down().await.unwrap();
    driver.await.unwrap();
    server.await.unwrap();
}

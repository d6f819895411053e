//! Several runs on one cluster: real sessions, services and driver over memory; only episodes are played.

use std::sync::Arc;
use std::time::Duration;

use hebbian_control::command::page::PageRequest;
use hebbian_control::command::run::{Create, Get};
use hebbian_coordinator::driver::reading::Generations;
use hebbian_coordinator::driver::{self, DriverSettings};
use hebbian_coordinator::handle::{Handle, new_run_id};
use hebbian_coordinator::journal::memory::MemoryJournal;
use hebbian_coordinator::service::{self, TransportSettings, connection};
use hebbian_learning::interrupt::Interrupt;
use hebbian_proto::figures::{RunState, duration};
use hebbian_shared::digest::Digest;
use hebbian_shared::dispatch::Hello;
use hebbian_shared::episode::{EPISODE_SEMANTICS, EpisodeKey, Evaluation, Outcome, Wants};
use hebbian_shared::fitness::Fitness;
use hebbian_shared::genome::Genome;
use hebbian_shared::id::RunId;
use hebbian_shared::spec::RunSpec;
use hebbian_worker::evaluator::{Episodes, Evaluator, Runner};
use hebbian_worker::session::{self, Coordinators, SessionSettings};
use tokio_util::sync::CancellationToken;

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(120);
/// Worker time of the light run before the comparison.
const SPENT: Duration = Duration::from_secs(2);

fn spec(name: &str) -> RunSpec {
    let text = format!(
        "name = \"{name}\"\n[strategy]\nkind = \"random-search\"\npopulation_size = 64\n\
         [rule]\nstates = 1\nfeedback = \"replace-state0\"\n[tasks]\nfamilies = [\"xor\"]\nper_generation = 1\n\
         [stop]\ngenerations = 1000000\n"
    );
    RunSpec::read(&text).unwrap()
}

/// Sleeps for two milliseconds; cannot do runs of the name `impossible`.
struct Sleepy;

impl Evaluator for Sleepy {
    fn prepare(&self, spec: Arc<RunSpec>) -> Result<Arc<dyn Runner>, String> {
        if spec.name == "impossible" { Err("no such data here".into()) } else { Ok(Arc::new(Self)) }
    }
}

impl Runner for Sleepy {
    fn on_thread(self: Arc<Self>) -> Box<dyn Episodes> {
        Box::new(Self)
    }
}

impl Episodes for Sleepy {
    fn run(&mut self, _: &Genome, _: &EpisodeKey, _: Wants, _: &Interrupt) -> Option<Outcome> {
        std::thread::sleep(Duration::from_millis(2));
        Some(Outcome::Evaluated(Evaluation::of(Fitness::new(1.0).unwrap())))
    }
}

/// Worker time of a run's closed generations.
async fn spent(handle: &Handle, run: RunId) -> Duration {
    let (mut sum, mut token) = (Duration::ZERO, String::new());
    loop {
        let page = handle.ask(Generations { run, page: PageRequest { size: 500, token } }).await.unwrap();
        sum += page.items.iter().map(|summary| duration(summary.compute_time)).sum::<Duration>();
        token = page.next_token;
        if token.is_empty() {
            return sum;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_runs_share_four_workers_by_weight_and_a_third_that_nobody_can_do_says_so() {
    let journal = Box::new(MemoryJournal::default());
    let (handle, _driver) = driver::start(DriverSettings::default(), journal).await.unwrap();
    let (dial, connections) = connection::memory();
    let settings = TransportSettings::default();
    tokio::spawn(service::serve(handle.clone(), connections, settings, CancellationToken::new()));
    let shutdown = CancellationToken::new();
    for place in 0..4 {
        let hello = Hello {
            name: format!("worker{place}"),
            threads: 1,
            episode_semantics: EPISODE_SEMANTICS,
            fingerprint: Digest::of(b"sharing"),
            version: "test".into(),
            serves: Vec::new(),
        };
        let settings = SessionSettings::new(Coordinators::Memory(dial.clone()), hello);
        tokio::spawn(session::run(settings, Arc::new(Sleepy), shutdown.clone()));
    }
    let impossible = handle
        .ask(Create { weight: 1000.0, ..Create::new(new_run_id(), spec("impossible")) })
        .await
        .unwrap()
        .run_id()
        .unwrap();
    let light = handle
        .ask(Create { weight: 1.0, ..Create::new(new_run_id(), spec("light")) })
        .await
        .unwrap()
        .run_id()
        .unwrap();
    let heavy = handle
        .ask(Create { weight: 3.0, ..Create::new(new_run_id(), spec("heavy")) })
        .await
        .unwrap()
        .run_id()
        .unwrap();
    let mut refused = None;
    let watched = async {
        while spent(&handle, light).await < SPENT {
            tokio::time::sleep(Duration::from_millis(20)).await;
            if let Some(RunState::Paused(paused)) = handle.ask(Get { run: impossible }).await.unwrap().state()
            {
                refused = Some(paused.reason.clone());
            }
        }
    };
    tokio::time::timeout(PATIENCE, watched).await.expect("in time");
    let (light, heavy) = (spent(&handle, light).await, spent(&handle, heavy).await);
    let ratio = heavy.as_secs_f64() / light.as_secs_f64();
    assert!((2.6..3.4).contains(&ratio), "{heavy:?} of worker time beside {light:?}");
    let refused = refused.expect("the run that nobody can do says so");
    assert!(
        refused.contains("no attached worker may work on it") && refused.contains("no such data here"),
        "{refused}"
    );
    assert_eq!(handle.ask(Get { run: impossible }).await.unwrap().eligible_workers, 0);
    shutdown.cancel();
}

//! What runs on the simulated hosts: the real programs' parts, with bytes carried to and from the simulated wires.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hebbian_control::engine;
use hebbian_coordinator::driver::{self, DriverSettings};
use hebbian_coordinator::journal::JournalError;
use hebbian_coordinator::journal::sqlite::SqliteJournal;
use hebbian_coordinator::service::{self, TransportSettings, connection};
use hebbian_learning::interrupt::Interrupt;
use hebbian_proto::figures::RunState;
use hebbian_proto::v1;
use hebbian_proto::v1::run_service_client::RunServiceClient;
use hebbian_shared::digest::Digest;
use hebbian_shared::dispatch::Hello;
use hebbian_shared::episode::{EPISODE_SEMANTICS, EpisodeKey, EpisodePurpose, Evaluation, Outcome, Wants};
use hebbian_shared::fitness::Fitness;
use hebbian_shared::genome::Genome;
use hebbian_shared::seed::{Seed, uniform};
use hebbian_shared::spec::RunSpec;
use hebbian_tests::climber;
use hebbian_worker::evaluator::{Episodes, Evaluator, Runner};
use hebbian_worker::session::{self, Coordinators, SessionSettings};
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::transport::{Channel, Endpoint, Uri};
use turmoil::net::{TcpListener, TcpStream};

pub(crate) const COORDINATOR: &str = "coordinator";
const PORT: u16 = 7420;
/// Bytes that may wait between a simulated wire and what speaks over it.
const BUFFER: usize = 1 << 16;

pub(crate) fn worker_name(place: usize) -> String {
    format!("worker{place}")
}

/// What hosts and the test know together.
pub(crate) struct Shared {
    spec: RunSpec,
    journal: PathBuf,
    mean: Mutex<Option<Genome>>,
    under_way: AtomicBool,
    connected: [AtomicBool; 8],
    connections: AtomicU64,
}

impl Shared {
    pub(crate) fn new(spec: RunSpec, journal: PathBuf) -> Self {
        Self {
            spec,
            journal,
            mean: Mutex::new(None),
            under_way: AtomicBool::new(false),
            connected: Default::default(),
            connections: AtomicU64::new(0),
        }
    }

    pub(crate) fn mean(&self) -> Option<Genome> {
        self.mean.lock().unwrap().clone()
    }

    /// Whether the run has been created and has not ended.
    pub(crate) fn under_way(&self) -> bool {
        self.under_way.load(Ordering::Relaxed)
    }

    pub(crate) fn is_connected(&self, place: usize) -> bool {
        self.connected[place].load(Ordering::Relaxed)
    }

    pub(crate) fn disconnected(&self, place: usize) {
        self.connected[place].store(false, Ordering::Relaxed);
    }

    /// How many connections workers have opened.
    pub(crate) fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }
}

/// What workers compute: a bowl whose centre is drawn with the task, and its gradient where it is wanted.
pub(crate) fn bowl(seed: Seed, genome: &Genome, key: &EpisodeKey, wants: Wants) -> Outcome {
    let centre = uniform(&mut key.task_seed(seed).rng()) - 0.5;
    let square: f64 = genome.0.iter().map(|x| (x - centre) * (x - centre)).sum();
    if genome.0[0] - centre > 1.2 {
        return Outcome::Diverged;
    }
    let gradient = wants.gradient.then(|| genome.0.iter().map(|x| -2.0 * (x - centre)).collect());
    Outcome::Evaluated(Evaluation { gradient, ..Evaluation::of(Fitness::new(-square).unwrap()) })
}

/// Bowls of a run's seed, and whether its search is to want their gradients.
struct Bowl(Seed, bool);
struct Bowls;

impl Evaluator for Bowls {
    fn prepare(&self, spec: Arc<RunSpec>) -> Result<Arc<dyn Runner>, String> {
        Ok(Arc::new(Bowl(spec.seed, climber::climbs(&spec) || spec.strategy.wants_gradient())))
    }
}

impl Runner for Bowl {
    fn on_thread(self: Arc<Self>) -> Box<dyn Episodes> {
        Box::new(Bowl(self.0, self.1))
    }
}

impl Episodes for Bowl {
    fn run(&mut self, genome: &Genome, key: &EpisodeKey, wants: Wants, _: &Interrupt) -> Option<Outcome> {
        assert_eq!(wants.gradient, self.1 && key.purpose == EpisodePurpose::Search);
        Some(bowl(self.0, genome, key, wants))
    }
}

/// The coordinator, on the journal that its predecessor left.
pub(crate) async fn coordinator(shared: Arc<Shared>) -> turmoil::Result {
    let journal = loop {
        match SqliteJournal::open(&shared.journal) {
            Ok(journal) => break journal,
            // The predecessor's thread has not closed it yet.
            Err(JournalError::Locked { .. } | JournalError::Unavailable { .. }) => {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Err(error) => return Err(error.into()),
        }
    };
    let engine = engine::Settings { strategies: climber::STRATEGIES, ..engine::Settings::default() };
    let settings = DriverSettings { engine, ..DriverSettings::default() };
    let (handle, _driver) = driver::start(settings, Box::new(journal)).await?;
    let (dial, connections) = connection::memory();
    let settings = TransportSettings {
        keep_alive_interval: Duration::from_millis(500),
        keep_alive_timeout: Duration::from_millis(500),
        ..TransportSettings::default()
    };
    tokio::spawn(service::serve(handle, connections, settings, CancellationToken::new()));
    let listener = TcpListener::bind(("0.0.0.0", PORT)).await?;
    loop {
        let (mut wire, _) = listener.accept().await?;
        let (mut ours, theirs) = tokio::io::duplex(BUFFER);
        dial.send(theirs).await?;
        tokio::spawn(async move {
            // A broken wire is what the test is about.
            let _ = copy_bidirectional(&mut wire, &mut ours).await;
        });
    }
}

/// A worker whose session dials the coordinator over the simulated wire.
pub(crate) async fn worker(name: String, shared: Arc<Shared>) -> turmoil::Result {
    let place: usize = name.trim_start_matches("worker").parse()?;
    let (dial, mut dialled) = mpsc::channel::<tokio::io::DuplexStream>(4);
    tokio::spawn(async move {
        while let Some(mut ours) = dialled.recv().await {
            let shared = Arc::clone(&shared);
            tokio::spawn(async move {
                let Ok(mut wire) = TcpStream::connect((COORDINATOR, PORT)).await else { return };
                shared.connections.fetch_add(1, Ordering::Relaxed);
                shared.connected[place].store(true, Ordering::Relaxed);
                let _ = copy_bidirectional(&mut wire, &mut ours).await;
                shared.disconnected(place);
            });
        }
    });
    let hello = Hello {
        name,
        threads: 1,
        episode_semantics: EPISODE_SEMANTICS,
        fingerprint: Digest::of(b"simulated"),
        version: "test".into(),
        serves: Vec::new(),
    };
    let mut settings = SessionSettings::new(Coordinators::Memory(dial), hello);
    settings.transport.connect_timeout = Duration::from_secs(1);
    settings.transport.keep_alive_interval = Duration::from_millis(500);
    settings.transport.keep_alive_timeout = Duration::from_millis(500);
    session::run(settings, Arc::new(Bowls), CancellationToken::new()).await?;
    Ok(())
}

async fn connect() -> Result<Channel, tonic::transport::Error> {
    let connector =
        tower::service_fn(|_: Uri| async { TcpStream::connect((COORDINATOR, PORT)).await.map(TokioIo::new) });
    Endpoint::from_static("http://coordinator")
        .timeout(Duration::from_secs(1))
        .connect_timeout(Duration::from_secs(1))
        .connect_with_connector(connector)
        .await
}

/// Creates the run, resumes it when it pauses itself, and takes the result; asks again whenever something breaks.
pub(crate) async fn client(shared: Arc<Shared>) -> turmoil::Result {
    loop {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let Ok(channel) = connect().await else { continue };
        match follow(RunServiceClient::new(channel), &shared).await {
            Ok(mean) => {
                *shared.mean.lock().unwrap() = Some(mean);
                return Ok(());
            }
            Err(status) => assert_ne!(status.code(), tonic::Code::InvalidArgument, "{status:?}"),
        }
    }
}

async fn follow(mut runs: RunServiceClient<Channel>, shared: &Shared) -> Result<Genome, Status> {
    let (spec, request_id) = (shared.spec.to_toml(), "once".to_owned());
    let created = runs
        .create_run(v1::CreateRunRequest { spec, request_id, weight: None, group: String::new() })
        .await?;
    let name = created.into_inner().run.unwrap_or_default().name;
    shared.under_way.store(true, Ordering::Relaxed);
    loop {
        let run = runs.get_run(v1::GetRunRequest { name: name.clone() }).await?.into_inner().run;
        match run.unwrap_or_default().state() {
            Some(RunState::Finished(_)) => {
                shared.under_way.store(false, Ordering::Relaxed);
                let result = runs.get_run_result(v1::GetRunResultRequest { name }).await?.into_inner().result;
                return Ok(result.unwrap_or_default().read().expect("ours").1);
            }
            Some(RunState::Paused(_)) => {
                runs.resume_run(v1::ResumeRunRequest { name: name.clone() }).await?;
            }
            _ => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

//! The parent's view of a cluster of child processes: what a client sees, by gRPC, and what the system says.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hebbian_proto::convert::run_name;
use hebbian_proto::figures::duration;
use hebbian_proto::v1;
use hebbian_proto::v1::cluster_service_client::ClusterServiceClient;
use hebbian_proto::v1::run_service_client::RunServiceClient;
use hebbian_shared::id::RunId;
use hebbian_shared::spec::RunSpec;
use tempfile::TempDir;
use tonic::transport::{Channel, Endpoint};

use hebbian_tests::postgres::Server;

use super::process::Child;
use super::role::{Work, make_certificates, peer_tls};

/// How long anything may take that the benchmark waits for.
const PATIENCE: Duration = Duration::from_secs(120);

/// How a cluster is set up.
#[derive(Clone, Copy)]
pub(crate) struct Options {
    /// The most episodes of a message.
    pub(crate) batch: u32,
    pub(crate) tls: bool,
    /// Whether the journal is on a disk: a file, or with `--postgres` a database.
    pub(crate) disk: bool,
    /// The share of episodes that are computed twice.
    pub(crate) recheck: f64,
    /// Whether the live page and the metrics are served.
    pub(crate) web: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { batch: 1024, tls: false, disk: false, recheck: 0.0, web: false }
    }
}

/// A coordinator with its clients and workers.
pub(crate) struct Cluster {
    options: Options,
    pub(crate) coordinator: Child,
    pub(crate) url: String,
    pub(crate) workers: Vec<Child>,
    /// Where the live page is.
    pub(crate) web: Option<String>,
    channel: Channel,
    storage: String,
    directory: TempDir,
}

/// Whether journals on a disk are databases.
pub(crate) static POSTGRES: AtomicBool = AtomicBool::new(false);

/// The server of all of them.
static SERVER: OnceLock<Server> = OnceLock::new();

/// Where a journal goes.
fn storage(directory: &TempDir, options: Options) -> String {
    if !options.disk {
        return "memory:".into();
    }
    if !POSTGRES.load(Ordering::Relaxed) {
        return format!("sqlite:{}", directory.path().join("journal.sqlite").display());
    }
    // As it is shipped: what is committed is on the disk.
    let settings = |_: &Path| "-c fsync=on -c shared_buffers=128MB".to_owned();
    SERVER.get_or_init(|| Server::with(5432, settings).expect("a server")).database()
}

impl Cluster {
    pub(crate) async fn start(options: Options) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        if options.tls {
            make_certificates(directory.path());
        }
        let storage = storage(&directory, options);
        let (mut coordinator, url) = launch(&directory, options, &storage, "127.0.0.1:0");
        let web = options.web.then(|| coordinator.line());
        let channel = connect(&url, options.tls.then(|| directory.path().to_owned())).await;
        Self { options, coordinator, url, workers: Vec::new(), web, channel, storage, directory }
    }

    /// With workers of one thread that are attached.
    pub(crate) async fn with_workers(options: Options, workers: &[Work]) -> Self {
        let mut cluster = Self::start(options).await;
        for &work in workers {
            cluster.add_worker(work);
        }
        cluster.until_attached(workers.len() as u32).await;
        cluster
    }

    pub(crate) fn certificates(&self) -> Option<PathBuf> {
        self.options.tls.then(|| self.directory.path().to_owned())
    }

    fn certificates_argument(&self) -> String {
        self.certificates().map_or_else(|| "-".into(), |path| path.display().to_string())
    }

    pub(crate) fn add_worker(&mut self, work: Work) {
        let arguments = [self.url.clone(), work.argument(), self.certificates_argument()];
        self.workers.push(Child::start("worker", &arguments).0);
    }

    /// A process of many workers that wait for [`Child::tell`] to attach.
    pub(crate) fn holder(&self, workers: u32, at_once: u32, delay: Duration) -> Child {
        let numbers = [workers.to_string(), at_once.to_string(), delay.as_micros().to_string()];
        let mut arguments = vec![self.url.clone()];
        arguments.extend(numbers);
        arguments.push(self.certificates_argument());
        Child::start("holder", &arguments).0
    }

    pub(crate) fn attack(&self, kind: &str, number: u32) -> Child {
        Child::start("hostile", &[self.url.clone(), kind.into(), number.to_string()]).0
    }

    /// SIGKILL; another coordinator on the same journal and port. How long it took until it answered.
    pub(crate) async fn kill_and_restart(&mut self) -> Duration {
        self.coordinator.kill();
        let start = Instant::now();
        let listen = self.url.rsplit('/').next().expect("an address").to_owned();
        (self.coordinator, self.url) = launch(&self.directory, self.options, &self.storage, &listen);
        self.channel = connect(&self.url, self.certificates()).await;
        self.attached().await;
        start.elapsed()
    }

    pub(crate) async fn attached(&self) -> u32 {
        let request = v1::GetCoordinatorStatusRequest {};
        let status = ClusterServiceClient::new(self.channel.clone()).get_coordinator_status(request).await;
        status.expect("it answers").into_inner().status.expect("a status").workers
    }

    pub(crate) async fn until_attached(&self, workers: u32) {
        until("the workers are attached", async || self.attached().await == workers).await;
    }

    pub(crate) async fn create(&self, spec: &RunSpec) -> RunId {
        let request = v1::CreateRunRequest { spec: spec.to_toml(), ..Default::default() };
        let run = self.runs().create_run(request).await.expect("a run").into_inner().run;
        run.expect("a run").run_id().expect("ours")
    }

    pub(crate) fn runs(&self) -> RunServiceClient<Channel> {
        RunServiceClient::new(self.channel.clone())
    }

    pub(crate) async fn get(&self, run: RunId) -> v1::Run {
        let request = v1::GetRunRequest { name: run_name(run) };
        let run = self.runs().get_run(request).await.expect("the run").into_inner().run;
        run.expect("a run")
    }

    /// The bits of a run's result.
    pub(crate) async fn mean(&self, run: RunId) -> Vec<u64> {
        let request = v1::GetRunResultRequest { name: run_name(run) };
        let result = self.runs().get_run_result(request).await.expect("the result").into_inner().result;
        result.expect("a result").mean.iter().map(|value| value.to_bits()).collect()
    }

    /// A fork of a run after some generations.
    pub(crate) async fn fork(&self, run: RunId, generations: u32, spec: &RunSpec) -> RunId {
        let (name, spec) = (run_name(run), spec.to_toml());
        let request =
            v1::ForkRunRequest { name, generations: Some(generations), spec, request_id: String::new() };
        let fork = self.runs().fork_run(request).await.expect("a fork").into_inner().run;
        fork.expect("a run").run_id().expect("ours")
    }

    /// The names of the workers that are excluded.
    pub(crate) async fn excluded(&self) -> Vec<String> {
        let request = v1::ListWorkersRequest::default();
        let workers = ClusterServiceClient::new(self.channel.clone()).list_workers(request).await;
        let workers = workers.expect("it answers").into_inner().workers;
        workers
            .into_iter()
            .filter(|worker| !worker.excluded.is_empty())
            .map(|worker| worker.display_name)
            .collect()
    }

    pub(crate) async fn until_generation(&self, run: RunId, generation: u32) {
        until("the generations are closed", async || self.get(run).await.generation >= generation).await;
    }

    pub(crate) async fn cancel(&self, run: RunId) {
        let request = v1::CancelRunRequest { name: run_name(run) };
        self.runs().cancel_run(request).await.expect("it is cancelled");
    }

    async fn closed(&self, run: RunId) -> Vec<v1::GenerationSummary> {
        let (mut found, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = v1::ListGenerationsRequest { parent: run_name(run), page_size: 500, page_token };
            let page = self.runs().list_generations(request).await.expect("a page").into_inner();
            found.extend(page.generations);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return found;
            }
        }
    }

    /// Runs a spec for some generations after the first ones; how long each took, by the coordinator's clock.
    pub(crate) async fn measure(&self, spec: &RunSpec, skipped: u32, generations: u32) -> Times {
        let run = self.create(spec).await;
        self.until_generation(run, skipped + generations).await;
        self.cancel(run).await;
        self.times(run, skipped).await
    }

    /// How long each generation took, without the first ones.
    pub(crate) async fn times(&self, run: RunId, skipped: u32) -> Times {
        let closed: Vec<Duration> =
            self.closed(run).await.iter().map(|summary| duration(summary.elapsed)).collect();
        let times = closed.windows(2).map(|two| two[1].saturating_sub(two[0]));
        Times::of(times.skip(skipped.saturating_sub(1) as usize).collect())
    }
}

fn launch(directory: &TempDir, options: Options, storage: &str, listen: &str) -> (Child, String) {
    let path = directory.path();
    let certificates = if options.tls { path.display().to_string() } else { "-".into() };
    let (batch, recheck) = (options.batch.to_string(), options.recheck.to_string());
    let web = if options.web { "web" } else { "-" };
    Child::start("coordinator", &[listen.into(), storage.into(), batch, certificates, recheck, web.into()])
}

async fn connect(url: &str, certificates: Option<PathBuf>) -> Channel {
    let mut endpoint = Endpoint::from_shared(url.to_owned()).expect("an address").tcp_nodelay(true);
    if certificates.is_some() {
        endpoint = endpoint.tls_config(peer_tls(certificates.as_deref())).expect("certificates");
    }
    endpoint.connect().await.expect("the coordinator listens")
}

/// Asks again and again, but not so often that it would be seen in the figures or exceed the rate limit.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !holds().await {
        assert!(start.elapsed() < PATIENCE, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Durations, sorted.
#[derive(Clone, Debug)]
pub(crate) struct Times(Vec<Duration>);

impl Times {
    pub(crate) fn of(mut times: Vec<Duration>) -> Self {
        assert!(!times.is_empty(), "nothing was measured");
        times.sort_unstable();
        Self(times)
    }

    /// In milliseconds.
    pub(crate) fn quantile(&self, q: f64) -> f64 {
        let place = (q * (self.0.len() - 1) as f64).round() as usize;
        self.0[place].as_secs_f64() * 1e3
    }

    /// In milliseconds.
    pub(crate) fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// In milliseconds.
    pub(crate) fn mean(&self) -> f64 {
        self.0.iter().sum::<Duration>().as_secs_f64() * 1e3 / self.0.len() as f64
    }
}

/// A run of which only the dispatch costs: random samples of 68 numbers, `population` episodes in a generation.
pub(crate) fn trivial(population: u32) -> RunSpec {
    spec("kind = \"random-search\"", population, "states = 4")
}

/// CMA-ES on 80 numbers.
pub(crate) fn search(population: u32) -> RunSpec {
    spec("kind = \"cma-es\"\nnoise = \"none\"", population, "states = 4\ngates = \"per-state\"")
}

fn spec(strategy: &str, population: u32, rule: &str) -> RunSpec {
    let text = format!(
        "name = \"bench\"\n[strategy]\n{strategy}\npopulation_size = {population}\n[rule]\n{rule}\n\
         [evaluation]\nobjective = \"squared-error\"\n[tasks]\nfamilies = [\"xor\"]\nper_generation = 1\n[stop]\ngenerations = 1000000\n"
    );
    RunSpec::read(&text).expect("a valid spec")
}

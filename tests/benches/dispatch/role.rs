//! What children do: a coordinator with the real service, journal and scheduler; a worker with the real session.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hebbian_control::scheduler::Recheck;
use hebbian_coordinator::access::Access;
use hebbian_coordinator::driver::{self, DriverSettings, secret};
use hebbian_coordinator::journal::{self, KeptSnapshots, Leader};
use hebbian_coordinator::service::connection::{self, ConnectionLimits};
use hebbian_coordinator::service::lane::Lanes;
use hebbian_coordinator::service::tls::{Tls, TlsFiles};
use hebbian_coordinator::service::{self, TransportSettings};
use hebbian_coordinator::web::{self, Acts, Beside, Entrance, Token};
use hebbian_learning::interrupt::Interrupt;
use hebbian_shared::digest::Digest;
use hebbian_shared::dispatch::Hello;
use hebbian_shared::episode::{EPISODE_SEMANTICS, EpisodeKey, Evaluation, Outcome, Wants};
use hebbian_shared::fitness::Fitness;
use hebbian_shared::genome::Genome;
use hebbian_shared::spec::RunSpec;
use hebbian_worker::evaluator::{Episodes, Evaluator, Runner};
use hebbian_worker::session::{self, ClientTlsConfig, Coordinators, SessionSettings};
use tokio_util::sync::CancellationToken;
use tonic::transport::Certificate;

use super::process::{end_with_parent, report};

/// The name in the coordinator's certificate.
const HOST: &str = "localhost";

/// What a worker of the benchmark says of itself.
pub(crate) fn hello(name: String, threads: u32) -> Hello {
    let fingerprint = Digest::of(b"dispatch");
    Hello {
        name,
        threads,
        episode_semantics: EPISODE_SEMANTICS,
        fingerprint,
        version: "bench".into(),
        serves: Vec::new(),
    }
}

/// TLS of a peer that trusts the authority in a directory.
pub(crate) fn peer_tls(certificates: Option<&Path>) -> ClientTlsConfig {
    let Some(directory) = certificates else { return ClientTlsConfig::new() };
    let authority = std::fs::read(directory.join("ca.pem")).expect("the parent wrote it");
    ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authority)).domain_name(HOST)
}

/// Makes an authority and a coordinator's certificate in a directory.
pub(crate) fn make_certificates(directory: &Path) {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    let key = KeyPair::generate().expect("a key");
    let mut parameters = CertificateParams::default();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = parameters.self_signed(&key).expect("an authority").pem();
    let issuer = Issuer::new(parameters, key);
    let key = KeyPair::generate().expect("a key");
    let parameters = CertificateParams::new(vec![HOST.to_owned()]).expect("a name");
    let certificate = parameters.signed_by(&key, &issuer).expect("a certificate").pem();
    for (file, text) in
        [("ca.pem", authority), ("coordinator.pem", certificate), ("key.pem", key.serialize_pem())]
    {
        std::fs::write(directory.join(file), text).expect("a file in a fresh directory");
    }
}

/// Arguments: address, journal, episodes of a batch at most, directory of certificates or `-`, share of episodes that are computed twice,
/// `web` for the live page, whose address is the second line, or `-`.
pub(crate) async fn coordinator(arguments: &[String]) {
    let [listen, storage, batch, certificates, recheck, looked_at] = arguments else {
        panic!("six arguments")
    };
    rlimit::increase_nofile_limit(u64::MAX).expect("the limit on open files can be raised");
    let mut settings = DriverSettings::default();
    settings.engine.scheduler.batch_length_max = batch.parse().expect("a number");
    let share = recheck.parse().expect("a number");
    settings.engine.scheduler.recheck = Recheck { share, secret: secret() };
    // What a fork may begin with is kept.
    let kept = KeptSnapshots { every: 100 };
    let address = storage.clone();
    let open = move || journal::open_keeping(&address, kept, &Leader::default()).expect("a journal");
    let journal = tokio::task::spawn_blocking(open).await.expect("no panic");
    let (handle, driver) = driver::start(settings, journal).await.expect("it starts");
    let tls = directory(certificates).map(|directory| {
        let [certificate, key] = ["coordinator.pem", "key.pem"].map(|file| directory.join(file));
        Arc::new(
            Tls::load(TlsFiles { certificate, key, client_ca: None, revoked: None }).expect("certificates"),
        )
    });
    let listener = connection::bind(listen.parse().expect("an address")).expect("a free port");
    let scheme = if tls.is_some() { "https" } else { "http" };
    report(&format!("{scheme}://{}", listener.local_addr().expect("it listens")));
    if looked_at == "web" {
        let page = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        report(&page.local_addr().expect("it listens").to_string());
        let token = Token::random().expect("random bytes");
        let entrance = Entrance { acts: Acts::All, token, access: Access::open() };
        web::start(handle.clone(), page, (entrance, Beside::default()), CancellationToken::new())
            .expect("a thread");
    }
    let lanes = Lanes::for_a_crowd().expect("threads");
    let connections = connection::accept(listener, ConnectionLimits::default(), tls, lanes.clone());
    let settings = TransportSettings { lanes, ..TransportSettings::default() };
    service::serve(handle, connections, settings, CancellationToken::new()).await;
    panic!("the server ended; the driver: {:?}", driver.await);
}

fn directory(argument: &str) -> Option<PathBuf> {
    (argument != "-").then(|| argument.into())
}

/// How long an episode takes, and whether the processor is busy with it.
#[derive(Clone, Copy)]
pub(crate) enum Work {
    Nothing,
    Spin(Duration),
    Sleep(Duration),
    /// Takes the time, and answers with half of what is measured.
    Lie(Duration),
}

impl Work {
    pub(crate) fn argument(self) -> String {
        match self {
            Self::Nothing => "nothing:0".into(),
            Self::Spin(time) => format!("spin:{}", time.as_micros()),
            Self::Sleep(time) => format!("sleep:{}", time.as_micros()),
            Self::Lie(time) => format!("lie:{}", time.as_micros()),
        }
    }

    fn parse(text: &str) -> Self {
        let (kind, time) = text.split_once(':').expect("a kind and a time");
        let time = Duration::from_micros(time.parse().expect("microseconds"));
        match kind {
            "spin" => Self::Spin(time),
            "sleep" => Self::Sleep(time),
            "lie" => Self::Lie(time),
            _ => Self::Nothing,
        }
    }

    /// Takes its time. Spinning is by the wall clock, as in the peers: who loses the processor meanwhile spins no longer.
    fn take(self) {
        match self {
            Self::Nothing => {}
            Self::Spin(time) => {
                let start = Instant::now();
                while start.elapsed() < time {
                    std::hint::spin_loop();
                }
            }
            Self::Sleep(time) | Self::Lie(time) => std::thread::sleep(time),
        }
    }
}

impl Evaluator for Work {
    fn prepare(&self, _: Arc<RunSpec>) -> Result<Arc<dyn Runner>, String> {
        Ok(Arc::new(*self))
    }
}

impl Runner for Work {
    fn on_thread(self: Arc<Self>) -> Box<dyn Episodes> {
        Box::new(*self)
    }
}

impl Episodes for Work {
    fn run(&mut self, genome: &Genome, _: &EpisodeKey, _: Wants, _: &Interrupt) -> Option<Outcome> {
        self.take();
        let measured = -genome.0.iter().map(|x| x * x).sum::<f64>();
        let told = if matches!(self, Self::Lie(_)) { measured / 2.0 } else { measured };
        let fitness = Fitness::new(told).expect("finite");
        Some(Outcome::Evaluated(Evaluation::of(fitness)))
    }
}

/// Arguments: address, work, directory of certificates or `-`. One thread.
pub(crate) async fn worker(arguments: &[String]) {
    let [url, work, certificates] = arguments else { panic!("three arguments") };
    end_with_parent();
    let tls = peer_tls(directory(certificates).as_deref());
    let coordinators = Coordinators::parse(&[url], &tls).expect("an address");
    report("ready");
    let name = if work.starts_with("lie") { "liar" } else { "worker" };
    let settings = SessionSettings::new(coordinators, hello(name.into(), 1));
    session::run(settings, Arc::new(Work::parse(work)), CancellationToken::new()).await.expect("a session");
}

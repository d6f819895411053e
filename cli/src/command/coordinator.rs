//! `hebbian coordinator`

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use hebbian_control::command::coordinator::Status;
use hebbian_control::engine::Retention;
use hebbian_control::scheduler::Recheck;
use hebbian_coordinator::access::Access;
use hebbian_coordinator::driver::{self, DriverSettings};
use hebbian_coordinator::journal::{self, Journal, KeptSnapshots, Leader};
use hebbian_coordinator::service::connection::{self, ConnectionLimits};
use hebbian_coordinator::service::lane::Lanes;
use hebbian_coordinator::service::tls::Tls;
use hebbian_coordinator::service::{self, TransportSettings};
use hebbian_coordinator::upkeep::Upkeep;
use hebbian_coordinator::web::Acts;
use hebbian_proto::v1::Leadership;
use hebbian_shared::spec::range::SpecNumber as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::coordinator_access::{access, address, reload_on_hangup, tell_access, tls, warn_of_exposure};
use super::coordinator_backup::Backups;
use super::coordinator_standby::{StandbyMetrics, stand_by};
use super::worker::host_name;
use super::{LogArguments, block_on_one_thread_until_signal, journal_failure, set_up_logging};
use crate::configuration::{Configuration, RetentionSettings, ServerSettings};
use crate::data::{self, MissingDirectory};
use crate::failure::Failure;
use crate::files;
use crate::process::signals::Notices;
use crate::process::supervisor;
use crate::traces::Traces;
use crate::web::{Wanted, Web};

/// Start a coordinator: it keeps the runs, searches, and hands episodes to the workers that connect to it.
///
/// SIGTERM and Ctrl-C end it in order; SIGKILL loses nothing that was committed. A coordinator that is started again on
/// the same journal goes on where the last one stopped.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
#[command(after_help = "Examples:
  hebbian coordinator                                       for this machine only
  hebbian coordinator --listen 0.0.0.0:7420 --insecure      for a private network
  hebbian coordinator --listen 0.0.0.0:7420 --tls-certificate coordinator.pem --tls-key coordinator-key.pem \
      --tls-client-ca ca.pem                                for any network; `hebbian certs` makes the files
  hebbian coordinator --storage sqlite:/var/lib/hebbian/journal.sqlite
  hebbian coordinator --storage 'postgresql://hebbian@db.example/hebbian?sslmode=verify-full'
  hebbian coordinator --config coordinator.toml

Configuration, later wins: defaults, the TOML file, the environment (HEBBIAN__SERVER__LISTEN,
HEBBIAN__SERVER__INSECURE, HEBBIAN__SERVER__WEB, HEBBIAN__SERVER__ADDRESS_FILE, HEBBIAN__SERVER__TLS__CERTIFICATE, ...__KEY,
...__CLIENT_CA, ...__REVOKED, HEBBIAN__ACCESS__REQUIRED, HEBBIAN__ACCESS__TOKENS, HEBBIAN__STORAGE__URL, HEBBIAN__STORAGE__STANDBY,
HEBBIAN__STORAGE__DATA, HEBBIAN__RETENTION__KEEP_DAYS, ...__KEEP_RUNS, ...__SNAPSHOTS_EVERY, HEBBIAN__CLUSTER__RECHECK, HEBBIAN__BACKUP__DIRECTORY, ...__URL, ...__EVERY, ...__KEEP, HEBBIAN__TRACES__ENDPOINT,
...__EVERY, HEBBIAN__LOG__FORMAT, HEBBIAN__LOG__FILTER), flags.")]
pub(super) struct Arguments {
    /// A TOML file with the sections `server`, `access`, `storage`, `retention`, `cluster`, `backup`, `traces` and `log`.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address and port to listen on; port 0 takes a free one, which is logged [default: 127.0.0.1:7420].
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Listen on other addresses than loopback although there is no TLS: anybody who reaches the port can use it.
    #[arg(long)]
    insecure: bool,
    /// Where to serve the live page, /api and /metrics over HTTP; `off` for nowhere [default: 127.0.0.1:7421, and another port if that
    /// one is in use]. Whoever reaches it may read everything; to change something takes the token of the address that is logged.
    /// Other addresses than loopback need --insecure.
    #[arg(long, value_name = "ADDRESS")]
    web: Option<String>,
    /// Write the URL that is listened on to a file, for scripts; `-` for standard output.
    #[arg(long, value_name = "FILE")]
    address_file: Option<PathBuf>,
    /// Let in nobody without a token or a certificate that names a role. Without it access is controlled from the first token on
    /// (`hebbian token create`).
    #[arg(long, help_heading = "Access")]
    access_required: bool,
    /// The file that keeps tokens; SIGHUP reads it again [default: beside the journal].
    #[arg(long, value_name = "FILE", help_heading = "Access")]
    tokens: Option<PathBuf>,
    /// Where to keep the journal: sqlite:PATH, `postgresql://USER@HOST/DATABASE`, or memory: to forget [default: sqlite:hebbian.sqlite].
    /// A password is better in PGPASSWORD, or in the file that PGPASSFILE names: others can read the command line.
    #[arg(long, value_name = "URL")]
    storage: Option<String>,
    /// Wait until the coordinator that leads is gone, and lead then; with a journal in PostgreSQL. Name all their addresses to workers
    /// and clients.
    #[arg(long)]
    standby: bool,
    /// The clock is right, although it is far from the moment at which the journal was last written: delete by age what the
    /// retention rules say.
    #[arg(long)]
    clock_confirmed: bool,
    /// The directory of data sets that workers may fetch [default: `hebbian/data` below `XDG_DATA_HOME` or
    /// `~/.local/share`].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The coordinator's certificate (PEM); SIGHUP reads all certificates again.
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    tls_certificate: Option<PathBuf>,
    /// The private key of the certificate (PEM).
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    tls_key: Option<PathBuf>,
    /// Let in only workers and clients with a certificate of this authority (PEM).
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    tls_client_ca: Option<PathBuf>,
    /// With --tls-client-ca: a list of certificates that were revoked (PEM), as `hebbian certs revoke` writes it. Whoever shows one of them is
    /// kept out, and after a SIGHUP open connections with it end.
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    tls_revoked: Option<PathBuf>,
}

pub(super) fn execute(arguments: Arguments, log: &LogArguments) -> Result<(), Failure> {
    let Arguments { config, listen, insecure, web, address_file, storage, data, .. } = arguments;
    let text = |path: Option<PathBuf>| path.map(|path| path.to_string_lossy().into_owned());
    let configuration = log.configuration(config.as_deref(), |layers| {
        layers
            .flag("server.listen", listen)
            .flag("server.insecure", insecure.then_some(true))
            .flag("server.web", web)
            .flag("server.address_file", text(address_file))
            .flag("access.required", arguments.access_required.then_some(true))
            .flag("access.tokens", text(arguments.tokens))
            .flag("storage.url", storage)
            .flag("storage.standby", arguments.standby.then_some(true))
            .flag("retention.clock_confirmed", arguments.clock_confirmed.then_some(true))
            .flag("storage.data", text(data))
            .flag("server.tls.certificate", text(arguments.tls_certificate))
            .flag("server.tls.key", text(arguments.tls_key))
            .flag("server.tls.client_ca", text(arguments.tls_client_ca))
            .flag("server.tls.revoked", text(arguments.tls_revoked))
    })?;
    if configuration.storage.standby && !journal::can_be_taken_over(&configuration.storage.url) {
        return Err(Failure::bad_input("--standby: storage.url must be postgresql://USER@HOST/DATABASE")
            .hint("a file has one coordinator; `hebbian journal migrate` moves a journal into a database"));
    }
    set_up_logging(&configuration.log, "info")?;
    block_on_one_thread_until_signal(Notices::Nothing, |shutdown| serve(configuration, shutdown))
}

async fn serve(configuration: Configuration, shutdown: CancellationToken) -> Result<(), Failure> {
    let server = &configuration.server;
    let url = &configuration.storage.url;
    // Before the journal is touched: a port in use must leave nothing behind.
    let tls = tls(&server.tls)?;
    let wanted = address(server, tls.is_some())?;
    let access = access(&configuration.access, url)?;
    let backups = Backups::new(&configuration.backup, url)?;
    let traces = Traces::start(&configuration.traces, "hebbian-coordinator", &host_name())?;
    let data = data::store("storage.data", configuration.storage.data.clone(), MissingDirectory::Told)?;
    let cannot_listen = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            Failure::failed(format_args!("server.listen: {wanted} is in use by another process"))
                .hint("stop that process, or name another port; `--listen 127.0.0.1:0` takes a free one")
        }
        _ => Failure::failed(format_args!("server.listen: cannot listen on {wanted}: {error}")),
    };
    // Each worker is a connection, and each connection a file.
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        tracing::warn!(%error, "the limit on open files cannot be raised");
    }
    let listener = connection::bind(wanted).map_err(cannot_listen)?;
    let listening = listener.local_addr().map_err(cannot_listen)?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let me = Leader { name: host_name(), address: format!("{scheme}://{}", reachable(listening)) };
    let leadership = Leadership { leads: true, leader: me.name.clone(), address: me.address.clone() };
    let listened = (listener, format!("{scheme}://{listening}"), tls.clone(), Arc::clone(&access));
    let Some((journal, listener)) = open_journal(&configuration, me, listened, &shutdown).await? else {
        return Ok(());
    };
    read_again(tls.as_deref(), &access);
    let mut settings = driver_settings(&configuration, &traces)?;
    settings.engine.leadership = journal::can_be_taken_over(url).then_some(leadership);
    let (handle, mut driver) = driver::start(settings, journal).await.map_err(Failure::failed)?;
    if let Some(tls) = &tls {
        handle.upkeep().uses(Arc::clone(tls));
    }
    let web = Web::start(page_wanted(server), &handle, (Acts::All, Arc::clone(&access)))?;
    if let Some(web) = &web {
        web.tell();
    }
    tracing::info!(
        "coordinator {} listens on {scheme}://{listening}, journal {}",
        env!("CARGO_PKG_VERSION"),
        journal::redacted(url)
    );
    tell_access(&access, tls.as_deref());
    warn_of_exposure(listening, tls.as_deref(), &access);
    if let Some(path) = server.address_file.as_ref().filter(|_| !configuration.storage.standby) {
        tokio::select! {
            written = write_address(path.clone(), format!("{scheme}://{listening}\n")) => written?,
            () = shutdown.cancelled() => {}
        }
    }
    let lanes = Lanes::for_a_crowd()
        .map_err(|error| Failure::failed(format_args!("the workers' threads cannot be started: {error}")))?;
    // Not a child of `shutdown`: the driver must close the streams before the server waits for them.
    let ended = CancellationToken::new();
    let serving = service::serve(
        handle.clone(),
        connection::accept(listener, ConnectionLimits::default(), tls.clone(), lanes.clone()),
        TransportSettings {
            data: Arc::new(data::Served(data)),
            lanes,
            access: Arc::clone(&access),
            ..TransportSettings::default()
        },
        ended.clone(),
    );
    tokio::pin!(serving);
    let copying = make_copies(backups, handle.upkeep(), &ended);
    tokio::pin!(copying);
    supervisor::ready(&format!("listens on {scheme}://{listening}"));
    let unexpected = tokio::select! {
        never = reload_on_hangup(tls, &access) => match never {},
        () = &mut copying => None,
        never = supervisor::watched(async || drop(handle.ask(Status).await)) => match never {},
        () = shutdown.cancelled() => None,
        () = handle.stepped_down() => {
            tracing::info!("a standby takes over");
            None
        }
        () = &mut serving => Some(Failure::failed("the server has stopped")),
        _ = &mut driver => Some(Failure::failed("the driver has stopped; the log says why")),
    };
    tracing::info!("shutting down");
    drop(web);
    // Ends the streams of workers and watchers, which `serving` waits for.
    let closed = handle.shut_down().await;
    ended.cancel();
    copying.await;
    if let Some(failure) = unexpected {
        return Err(failure);
    }
    serving.await;
    closed.map_err(Failure::failed)?;
    tracing::info!("all is on disk; good-bye");
    Ok(())
}

fn driver_settings(configuration: &Configuration, traces: &Traces) -> Result<DriverSettings, Failure> {
    let RetentionSettings { keep_days, keep_runs, clock_confirmed, .. } = configuration.retention;
    let tracer = traces.tracer();
    let mut settings = DriverSettings { clock_confirmed, tracer, ..DriverSettings::default() };
    settings.engine.scheduler.recheck = Recheck { share: recheck(configuration)?, secret: driver::secret() };
    settings.engine.retention = Retention {
        keep_for: (keep_days > 0).then(|| Duration::from_secs(u64::from(keep_days) * 86_400)),
        keep_runs: (keep_runs > 0).then_some(keep_runs as usize),
    };
    Ok(settings)
}

/// Opens the journal, as soon as nobody else leads; none if this process is to end before.
async fn open_journal(
    configuration: &Configuration,
    me: Leader,
    (listener, url, tls, access): (TcpListener, String, Option<Arc<Tls>>, Arc<Access>),
    shutdown: &CancellationToken,
) -> Result<Option<(Box<dyn Journal>, TcpListener)>, Failure> {
    let kept = KeptSnapshots { every: configuration.retention.snapshots_every };
    let address = configuration.storage.url.clone();
    if !configuration.storage.standby {
        // It may have to be waited for.
        let opened = tokio::task::spawn_blocking(move || journal::open_keeping(&address, kept, &me)).await;
        let journal = opened.map_err(Failure::failed)?.map_err(|error| journal_failure(&error))?;
        return Ok(Some((journal, listener)));
    }
    tracing::info!("coordinator {} listens on {url} as a standby", env!("CARGO_PKG_VERSION"));
    supervisor::ready(&format!("listens on {url} as a standby"));
    if let Some(path) = &configuration.server.address_file {
        write_address(path.clone(), format!("{url}\n")).await?;
    }
    let twice = listener.into_std().and_then(|listener| {
        Ok((TcpListener::from_std(listener.try_clone()?)?, TcpListener::from_std(listener)?))
    });
    let (standing, listener) =
        twice.map_err(|error| Failure::failed(format_args!("cannot listen on {url}: {error}")))?;
    let metrics = StandbyMetrics::start(page_wanted(&configuration.server))?;
    let journal = stand_by((&address, kept, me), (standing, tls, access), shutdown).await?;
    // The leader's are to be in the same place.
    drop(metrics);
    Ok(journal.map(|journal| (journal, listener)))
}

/// Reads again what was changed while another coordinator led, and its leader has heard of by SIGHUP.
fn read_again(tls: Option<&Tls>, access: &Access) {
    if let Err(error) = access.reload() {
        tracing::error!("access.tokens: {error}; the tokens that were read before stay in use");
    }
    if let Some(Err(error)) = tls.map(Tls::reload) {
        tracing::error!(%error, "the new certificates are refused; the old ones stay in use");
    }
}

/// Where the live page and the metrics are wanted.
fn page_wanted(server: &ServerSettings) -> Wanted<'_> {
    Wanted { address: &server.web, setting: "server.web", insecure: server.insecure }
}

/// Where others reach what is listened on.
fn reachable(listening: SocketAddr) -> String {
    if listening.ip().is_unspecified() {
        format!("{}:{}", host_name(), listening.port())
    } else {
        listening.to_string()
    }
}

async fn make_copies(backups: Option<Backups>, upkeep: &Upkeep, ended: &CancellationToken) {
    match backups {
        Some(backups) => backups.make(upkeep, ended).await,
        None => ended.cancelled().await,
    }
}

/// The share of episodes that are computed twice.
fn recheck(configuration: &Configuration) -> Result<f64, Failure> {
    let share = configuration.cluster.recheck;
    // A NaN is in no range.
    if (0.0..=1.0).contains(&share) {
        return Ok(share);
    }
    Err(Failure::bad_input(format_args!("cluster.recheck: must be from 0 to 1, not {}", share.shown())))
}

/// Writes the address to a file. A pipe that nobody reads must not keep signals from being heard.
async fn write_address(path: PathBuf, text: String) -> Result<(), Failure> {
    let (written, answer) = tokio::sync::oneshot::channel();
    let write = move || drop(written.send(files::write(&path, text)));
    std::thread::Builder::new()
        .name("address".to_owned())
        .spawn(write)
        .map_err(|error| Failure::failed(format_args!("a thread cannot be started: {error}")))?;
    answer.await.unwrap_or(Ok(()))
}

//! `hebbian worker`

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use hebbian_shared::dispatch::{ALL_PROBLEMS, Hello};
use hebbian_shared::limits::{NAME_BYTES_MAX, SERVED_PROBLEMS_MAX, THREADS_MAX};
use hebbian_shared::spec::external::is_plain_name;
use hebbian_worker::evaluator::{Evaluator, ExecEvaluator, LearningEvaluator};
use hebbian_worker::session::{self, SessionSettings};
use tokio_util::sync::CancellationToken;

use super::{LogArguments, all_cores, block_on_one_thread_until_signal, parse_threads, set_up_logging};
use crate::configuration::Configuration;
use crate::credentials::{ClientCredentials, ClientToken};
use crate::data::{self, DataArguments, MissingDirectory};
use crate::failure::Failure;
use crate::local_cluster::{hello, hello_of_program, session_failure};
use crate::process::signals::Notices;
use crate::process::supervisor;
use crate::time;
use crate::traces::Traces;
use crate::worker_metrics::WorkerMetrics;

/// Start a worker: it connects to a coordinator, computes the episodes that it is given, and keeps nothing.
///
/// It needs one outgoing connection and nothing else. It may be started and killed at any moment; no result depends on
/// it. While no coordinator answers it keeps trying, and says so. SIGTERM, Ctrl-C and `hebbian drain` let it finish what it has
/// begun, within `--grace`, report it and give the rest back.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hebbian worker                                                  for a coordinator on this machine
  hebbian worker --coordinator http://a:7420,http://b:7420        tried in turn until one answers
  hebbian worker --coordinator http://a:7420 --threads 8 --name node-7
  hebbian worker --metrics 127.0.0.1:7422                         figures for Prometheus at /metrics
  hebbian worker --exec 'python3 objective.py' --slots 4 --serves cart-pole       evaluates an external problem
  hebbian worker --coordinator https://a:7420 --tls-ca ca.pem --tls-certificate client.pem --tls-key client-key.pem

Configuration, later wins: defaults, the TOML file, the environment (HEBBIAN__WORKER__COORDINATORS,
HEBBIAN__WORKER__THREADS, HEBBIAN__WORKER__GRACE, HEBBIAN__WORKER__PATIENCE, HEBBIAN__WORKER__NAME, HEBBIAN__WORKER__DATA, HEBBIAN__WORKER__METRICS, HEBBIAN__WORKER__TLS__CA,
...__CERTIFICATE, ...__KEY, HEBBIAN__WORKER__TOKEN_FILE, HEBBIAN__WORKER__INSECURE, HEBBIAN__TRACES__ENDPOINT, HEBBIAN__LOG__FORMAT, HEBBIAN__LOG__FILTER), flags.")]
pub(super) struct Arguments {
    /// A TOML file with the sections `worker`, `traces` and `log`.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Addresses of coordinators, tried in turn, or `file:PATH` of a file that holds them and may change [default: `http://127.0.0.1:7420`].
    #[arg(long, value_name = "URL[,URL]", env = "HEBBIAN_COORDINATOR")]
    coordinator: Option<String>,
    /// Compute threads [default: all cores].
    #[arg(long, value_name = "N", value_parser = parse_threads, allow_negative_numbers = true)]
    threads: Option<u32>,
    /// Evaluate external problems with this command of the shell, and train no networks: a process for each slot, which gets a request
    /// a line on its standard input and answers each with a line on its standard output (docs/WORKERS.md).
    #[arg(long, value_name = "COMMAND", value_parser = clap::builder::NonEmptyStringValueParser::new(), conflicts_with = "directory")]
    exec: Option<String>,
    /// With --exec: its processes [default: all cores].
    #[arg(long, value_name = "N", value_parser = parse_threads, allow_negative_numbers = true, requires = "exec", conflicts_with = "threads")]
    slots: Option<u32>,
    /// With --exec: the names of the problems that it evaluates [default: all].
    #[arg(long, value_name = "NAME[,NAME]")]
    serves: Option<String>,
    /// How long SIGTERM lets it finish what it has begun [default: 10s]; what is not finished by then others do.
    #[arg(long, value_name = "TIME")]
    grace: Option<String>,
    /// How long it does without a coordinator before it ends, with exit code 4 [default: for ever].
    #[arg(long, value_name = "TIME")]
    patience: Option<String>,
    /// A name for people [default: the host's name].
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Serve figures for Prometheus at /metrics of this address and port; `off` does not [default: off]. Other addresses than loopback need
    /// --insecure.
    #[arg(long, value_name = "ADDRESS")]
    metrics: Option<String>,
    #[command(flatten)]
    data: DataArguments,
    #[command(flatten)]
    credentials: ClientCredentials,
}

pub(super) fn execute(arguments: Arguments, log: &LogArguments) -> Result<(), Failure> {
    let Arguments { config, coordinator, threads, exec, slots, serves, grace, name, metrics, .. } = arguments;
    let Arguments { patience, data, credentials, .. } = arguments;
    let ClientCredentials { tls, token } = credentials;
    let text = |path: Option<PathBuf>| path.map(|path| path.to_string_lossy().into_owned());
    let configuration = log.configuration(config.as_deref(), |layers| {
        layers
            .flag("worker.coordinators", coordinator.filter(|text| !text.trim().is_empty()))
            .flag("worker.threads", threads.or(slots))
            .flag("worker.exec", exec)
            .flag("worker.serves", serves)
            .flag("worker.name", name)
            .flag("worker.grace", grace)
            .flag("worker.patience", patience)
            .flag("worker.data", text(data.directory))
            .flag("worker.metrics", metrics)
            .flag("worker.tls.ca", text(tls.ca))
            .flag("worker.tls.certificate", text(tls.certificate))
            .flag("worker.tls.key", text(tls.key))
            .flag("worker.token_file", text(token.file))
            .flag("worker.insecure", token.plaintext.then_some(true))
    })?;
    set_up_logging(&configuration.log, "info")?;
    block_on_one_thread_until_signal(Notices::End, |shutdown| work(configuration, shutdown))
}

async fn work(configuration: Configuration, shutdown: CancellationToken) -> Result<(), Failure> {
    let worker = configuration.worker;
    let threads = worker.threads.unwrap_or_else(all_cores);
    if !(1..=THREADS_MAX).contains(&threads) {
        return Err(Failure::bad_input(format_args!(
            "worker.threads: must be from 1 to {THREADS_MAX}, not {threads}"
        )));
    }
    let grace = time("worker.grace", &worker.grace)?;
    let patience = worker.patience.as_deref().map(|text| time("worker.patience", text)).transpose()?;
    let name = worker.name.unwrap_or_else(host_name);
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
        return Err(Failure::bad_input(format_args!(
            "worker.name: must be 1 to {NAME_BYTES_MAX} bytes without control characters, not {name:?}"
        )));
    }
    let token = ClientToken { file: worker.token_file, plaintext: worker.insecure };
    let credentials = ClientCredentials { tls: worker.tls, token };
    let coordinators = credentials.coordinators("worker.coordinators", &worker.coordinators)?;
    let serves = served(worker.exec.is_some(), worker.serves)?;
    let program = worker.exec.map(|command| ExecEvaluator::new(command, serves.clone()));
    let (hello, evaluator): (Hello, Arc<dyn Evaluator>) = if let Some(program) = &program {
        (hello_of_program(name, threads, serves), Arc::new(program.clone()))
    } else {
        let data = data::store("worker.data", worker.data, MissingDirectory::Told)?;
        (hello(name, threads), Arc::new(LearningEvaluator::new(data)))
    };
    let what = match &program {
        Some(_) => format!("slots for {}", hello.serves.join(", ")),
        None => format!("threads, numerics {}", hello.fingerprint.short()),
    };
    tracing::info!(
        "worker {} `{}` with {threads} {what}, for {}",
        env!("CARGO_PKG_VERSION"),
        hello.name,
        worker.coordinators.join(", ")
    );
    let mut settings = SessionSettings::new(coordinators, hello);
    settings.shutdown_grace = grace;
    settings.patience = patience;
    let traces = Traces::start(&configuration.traces, "hebbian-worker", &settings.hello.name)?;
    settings.tracer = traces.tracer();
    let figures = Arc::clone(&settings.figures);
    let metrics = WorkerMetrics::start(&worker.metrics, worker.insecure, threads, figures)?;
    if let Some(metrics) = &metrics {
        tracing::info!("metrics at {}", metrics.address());
    }
    supervisor::ready(&format!("computes for {}", worker.coordinators.join(", ")));
    let end = tokio::select! {
        end = session::run(settings, evaluator, shutdown) => end,
        never = supervisor::watched(async || ()) => match never {},
    };
    if let Some(program) = program {
        program.end();
    }
    let end = end.map_err(|error| session_failure(&error))?;
    tracing::info!("good-bye after {} episodes", end.episodes);
    Ok(())
}

/// A time that `field` holds.
fn time(field: &str, text: &str) -> Result<Duration, Failure> {
    time::parse(text)
        .map_err(|problem| Failure::bad_input(format_args!("{field}: `{text}` is not a time: {problem}")))
}

/// The names of the external problems that a worker serves.
fn served(has_program: bool, names: Vec<String>) -> Result<Vec<String>, Failure> {
    if !has_program {
        return match names.first() {
            None => Ok(Vec::new()),
            Some(_) => Err(Failure::bad_input("worker.serves: is of workers with a program")
                .hint("name its command with --exec")),
        };
    }
    if names.len() > SERVED_PROBLEMS_MAX {
        return Err(Failure::bad_input(format_args!(
            "worker.serves: must name at most {SERVED_PROBLEMS_MAX} problems, not {}",
            names.len()
        )));
    }
    if let Some(name) = names.iter().find(|name| *name != ALL_PROBLEMS && !is_plain_name(name)) {
        return Err(Failure::bad_input(format_args!(
            "worker.serves: {name:?} is no name of a problem (a-z, 0-9, `-`, `_` and `.`)"
        )));
    }
    Ok(if names.is_empty() { vec![ALL_PROBLEMS.to_owned()] } else { names })
}

/// The host's name, or something to tell workers apart by.
pub(super) fn host_name() -> String {
    let read = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = read.or_else(|| std::env::var("HOSTNAME").ok()).map(|name| name.trim().to_owned());
    name.filter(|name| !name.is_empty()).unwrap_or_else(|| format!("worker-{}", std::process::id()))
}

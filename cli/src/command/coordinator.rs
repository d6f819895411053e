//! `hebbian coordinator`

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;

use clap::Args;
use hebbian_coordinator::driver::{self, DriverSettings};
use hebbian_coordinator::journal;
use hebbian_coordinator::service::{self, TransportSettings};
use tokio_util::sync::CancellationToken;

use super::{LogArguments, block_on_until_signal, journal_failure, set_up_logging};
use crate::configuration::{Configuration, ServerSettings};
use crate::failure::Failure;
use crate::files;

/// Start a coordinator: it keeps the runs, searches, and hands episodes to the workers that connect to it.
///
/// SIGTERM and Ctrl-C end it in order; SIGKILL loses nothing that was committed. A coordinator that is started again on
/// the same journal goes on where the last one stopped.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hebbian coordinator                                       for this machine only
  hebbian coordinator --listen 0.0.0.0:7420 --insecure      for a private network
  hebbian coordinator --storage sqlite:/var/lib/hebbian/journal.sqlite
  hebbian coordinator --config coordinator.toml

Configuration, later wins: defaults, the TOML file, the environment (HEBBIAN__SERVER__LISTEN,
HEBBIAN__SERVER__INSECURE, HEBBIAN__SERVER__ADDRESS_FILE, HEBBIAN__STORAGE__URL, HEBBIAN__LOG__FORMAT,
HEBBIAN__LOG__FILTER), flags.")]
pub(super) struct Arguments {
    /// A TOML file with the sections `server`, `storage` and `log`.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address and port to listen on; port 0 takes a free one, which is logged [default: 127.0.0.1:7420].
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Listen on other addresses than loopback although there is no TLS: anybody who reaches the port can use it.
    #[arg(long)]
    insecure: bool,
    /// Write the address that is listened on to a file, for scripts.
    #[arg(long, value_name = "FILE")]
    address_file: Option<PathBuf>,
    /// Where to keep the journal: sqlite:PATH, or memory: to forget [default: sqlite:hebbian.sqlite].
    #[arg(long, value_name = "URL")]
    storage: Option<String>,
}

pub(super) fn execute(arguments: Arguments, log: &LogArguments) -> Result<(), Failure> {
    let Arguments { config, listen, insecure, address_file, storage } = arguments;
    let configuration = log.configuration(config.as_deref(), |layers| {
        layers
            .flag("server.listen", listen)
            .flag("server.insecure", insecure.then_some(true))
            .flag("server.address_file", address_file.map(|path| path.to_string_lossy().into_owned()))
            .flag("storage.url", storage)
    })?;
    set_up_logging(&configuration.log, "info")?;
    block_on_until_signal(|shutdown| serve(configuration, shutdown))
}

async fn serve(configuration: Configuration, shutdown: CancellationToken) -> Result<(), Failure> {
    let server = &configuration.server;
    let url = &configuration.storage.url;
    // Before the journal is touched: a port in use must leave nothing behind.
    let wanted = address(server)?;
    let cannot_listen = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            Failure::failed(format_args!("server.listen: {wanted} is in use by another process"))
                .hint("stop that process, or name another port; `--listen 127.0.0.1:0` takes a free one")
        }
        _ => Failure::failed(format_args!("server.listen: {wanted} cannot be listened on: {error}")),
    };
    let listener = service::bind(wanted).map_err(cannot_listen)?;
    let listening = listener.local_addr().map_err(cannot_listen)?;
    let journal = journal::open(url).map_err(|error| journal_failure(&error))?;
    let (handle, mut driver) =
        driver::start(DriverSettings::default(), journal).await.map_err(Failure::failed)?;
    tracing::info!("coordinator {} listens on http://{listening}, journal {url}", env!("CARGO_PKG_VERSION"));
    if !listening.ip().is_loopback() {
        tracing::warn!("there is no TLS: anybody who reaches {listening} can use this coordinator");
    }
    if let Some(path) = &server.address_file {
        files::write_atomically(path, &format!("http://{listening}\n"))?;
    }
    // Not a child of `shutdown`: the driver must close the streams before the server waits for them.
    let ended = CancellationToken::new();
    let serving = service::serve(
        handle.clone(),
        service::accept(listener),
        TransportSettings::default(),
        ended.clone(),
    );
    tokio::pin!(serving);
    let unexpected = tokio::select! {
        () = shutdown.cancelled() => None,
        result = &mut serving => {
            Some(Failure::failed(match result {
                Ok(()) => "the server has stopped".to_owned(),
                Err(error) => format!("the server has stopped: {error}"),
            }))
        }
        _ = &mut driver => Some(Failure::failed("the driver has stopped; the log says why")),
    };
    tracing::info!("shutting down");
    // Ends the streams of workers and watchers, which `serving` waits for.
    let closed = handle.shut_down().await;
    ended.cancel();
    if let Some(failure) = unexpected {
        return Err(failure);
    }
    if let Err(error) = serving.await {
        tracing::warn!(%error, "the server did not stop in order");
    }
    closed.map_err(Failure::failed)?;
    tracing::info!("all is on disk; good-bye");
    Ok(())
}

/// The address to listen on, if that is allowed.
fn address(server: &ServerSettings) -> Result<SocketAddr, Failure> {
    let ServerSettings { listen, insecure, .. } = server;
    let not_an_address = || {
        Failure::bad_input(format_args!("server.listen: `{listen}` is not an address and a port"))
            .hint("write for example --listen 127.0.0.1:7420, or :0 at the end for a free port")
    };
    let resolved =
        listen.to_socket_addrs().map_err(|_| not_an_address())?.next().ok_or_else(not_an_address)?;
    if resolved.ip().is_loopback() || *insecure {
        return Ok(resolved);
    }
    Err(Failure::bad_input(format_args!(
        "server.listen: {listen} can be reached by other machines, and there is no TLS"
    ))
    .hint("--insecure allows it, on a private network"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(listen: &str, insecure: bool, expected: Result<&str, &str>) {
        let server = ServerSettings { listen: listen.to_owned(), insecure, address_file: None };
        match (address(&server), expected) {
            (Ok(found), Ok(address)) => assert_eq!(found.to_string(), address),
            (Err(failure), Err(message)) => {
                assert!(failure.message().contains(message), "{}", failure.message());
            }
            (found, _) => panic!("`{listen}` gave {found:?}"),
        }
    }

    #[test]
    fn without_tls_only_loopback_is_listened_on_unless_told_so() {
        check("127.0.0.1:0", false, Ok("127.0.0.1:0"));
        check("[::1]:7420", false, Ok("[::1]:7420"));
        check("0.0.0.0:7420", false, Err("0.0.0.0:7420 can be reached by other machines"));
        check("0.0.0.0:7420", true, Ok("0.0.0.0:7420"));
        check("7420", false, Err("`7420` is not an address and a port"));
        check("127.0.0.1:70000", false, Err("is not an address and a port"));
    }
}

//! The live page of `hebbian coordinator` and `hebbian run --web`.

use std::io::{self, IsTerminal as _};
use std::net::{SocketAddr, TcpListener, ToSocketAddrs as _};
use std::sync::Arc;

use hebbian_coordinator::access::Access;
use hebbian_coordinator::handle::Handle;
use hebbian_coordinator::web::{self, Acts, Beside, Ending, Entrance, Token};
use hebbian_view::comparison::Group;
use tokio_util::sync::CancellationToken;
use tracing::Level;

use crate::failure::Failure;
use crate::{demonstrated, render};

/// Where the page is unless it is told otherwise.
pub(crate) const DEFAULT_ADDRESS: &str = "127.0.0.1:7421";
/// In the place of an address: no page.
pub(crate) const OFF: &str = "off";

/// The page while it is served; dropping it ends that.
pub(crate) struct Web {
    shutdown: CancellationToken,
    listening: SocketAddr,
    entrance: Entrance,
    ending: Ending,
}

impl Drop for Web {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// Where a page is wanted, as the user wrote it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    /// An address and a port; `off` for no page.
    pub(crate) address: &'a str,
    /// How the setting is called.
    pub(crate) setting: &'a str,
    /// Whether other machines may reach it.
    pub(crate) insecure: bool,
}

impl Web {
    /// Serves the page where it is wanted, if it can be had.
    pub(crate) fn start(
        wanted: Wanted<'_>,
        handle: &Handle,
        (acts, access): (Acts, Arc<Access>),
    ) -> Result<Option<Self>, Failure> {
        let Some(listener) = wanted.listener()? else { return Ok(None) };
        let shutdown = CancellationToken::new();
        let token = Token::random().ok_or_else(|| {
            Failure::failed("the operating system gives no random bytes for the page's token")
        })?;
        let entrance = Entrance { acts, token, access };
        let ending = Ending::default();
        let started = listener.local_addr().and_then(|listening| {
            let demonstrate: web::Demonstrate = Arc::new(demonstrated::for_the_page);
            let beside = Beside { demonstrate: Some(demonstrate), ending: ending.clone() };
            web::start(handle.clone(), listener, (entrance.clone(), beside), shutdown.clone())?;
            Ok(listening)
        });
        let listening = started.map_err(|error| {
            Failure::failed(format_args!("{}: the page cannot be served: {error}", wanted.setting))
        })?;
        Ok(Some(Self { shutdown, listening, entrance, ending }))
    }

    /// Where it is; while access is not controlled, with the token that lets whoever opens it act.
    pub(crate) fn address(&self) -> String {
        let Entrance { token, access, .. } = &self.entrance;
        let token = if access.is_on() { String::new() } else { format!("#token={}", token.text()) };
        format!("http://{}/{token}", self.listening)
    }

    /// Says where it is: in the log, and on a terminal also if the log leaves it out, since nothing else tells its token. A filter can let
    /// this line through by its target.
    pub(crate) fn tell(&self) {
        tracing::info!(target: "hebbian::page", "the live page is at {}, metrics at {}", self.address(), self.metrics());
        if !tracing::enabled!(target: "hebbian::page", Level::INFO) && io::stderr().is_terminal() {
            render::note(&format!("the live page is at {}", self.address()));
        }
    }

    /// Says that the search has ended and its rule is being compared.
    pub(crate) fn comparing(&self) {
        self.ending.comparing();
    }

    /// Shows the comparison, if there is one, says that the program ends, and waits a moment until open pages have that.
    pub(crate) async fn end(self, compared: Vec<Group>) {
        self.ending.end(compared).await;
    }

    /// Where the metrics are.
    pub(crate) fn metrics(&self) -> String {
        format!("http://{}/metrics", self.listening)
    }
}

impl Wanted<'_> {
    /// Listens where it is wanted. A port in use is a warning and another port, and the usual place that cannot be had is a warning and
    /// none: the runs are worth more.
    pub(crate) fn listener(self) -> Result<Option<TcpListener>, Failure> {
        let Self { setting, .. } = self;
        let Some(address) = self.resolve()? else { return Ok(None) };
        let bound = TcpListener::bind(address).or_else(|error| {
            if error.kind() != io::ErrorKind::AddrInUse {
                return Err(error);
            }
            tracing::warn!("{setting}: {address} is in use by another process; another port is taken");
            TcpListener::bind(SocketAddr::new(address.ip(), 0))
        });
        match bound {
            Ok(listener) => Ok(Some(listener)),
            Err(error) if self.address == DEFAULT_ADDRESS => {
                tracing::warn!("{setting}: there is no live page: cannot listen on {address}: {error}");
                Ok(None)
            }
            Err(error) => {
                Err(Failure::failed(format_args!("{setting}: cannot listen on {address}: {error}")))
            }
        }
    }

    /// The address, if there is to be one and it is allowed.
    pub(crate) fn resolve(self) -> Result<Option<SocketAddr>, Failure> {
        let Self { address, setting, insecure } = self;
        if address == OFF {
            return Ok(None);
        }
        let not_an_address = || {
            Failure::bad_input(format_args!("{setting}: `{address}` is not an address and a port")).hint(format_args!(
                "write for example {DEFAULT_ADDRESS}, with :0 at the end for a free port, or `{OFF}` for none"
            ))
        };
        let resolved =
            address.to_socket_addrs().map_err(|_| not_an_address())?.next().ok_or_else(not_an_address)?;
        if resolved.ip().is_loopback() || insecure {
            return Ok(Some(resolved));
        }
        Err(Failure::bad_input(format_args!(
            "{setting}: {address} can be reached by other machines, and there is no TLS"
        ))
        .hint("take 127.0.0.1 and a tunnel (ssh -L 7421:127.0.0.1:7421 HOST), or --insecure on a private network"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(address: &str, insecure: bool, expected: Result<Option<&str>, &str>) {
        let found = Wanted { address, setting: "server.web", insecure }.resolve();
        match (found, expected) {
            (Ok(found), Ok(expected)) => {
                assert_eq!(found.map(|found| found.to_string()).as_deref(), expected);
            }
            (Err(failure), Err(message)) => {
                assert!(failure.message().contains(message), "{}", failure.message());
            }
            (found, _) => panic!("`{address}` gave {found:?}"),
        }
    }

    #[test]
    fn the_page_is_for_this_machine_unless_told_otherwise() {
        check(DEFAULT_ADDRESS, false, Ok(Some("127.0.0.1:7421")));
        check("0.0.0.0:7421", true, Ok(Some("0.0.0.0:7421")));
        check("0.0.0.0:7421", false, Err("can be reached by other machines"));
        check("7421", false, Err("is not an address and a port"));
        check(OFF, false, Ok(None));
    }
}

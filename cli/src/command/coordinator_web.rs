//! The live page of `hebbian coordinator --web`.

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs as _};

use hebbian_coordinator::handle::Handle;
use hebbian_coordinator::web;
use tokio_util::sync::CancellationToken;

use crate::configuration::ServerSettings;
use crate::failure::Failure;

/// The page while it is served; dropping it ends that.
pub(super) struct Web(CancellationToken);

impl Drop for Web {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

impl Web {
    /// Serves the page where the settings want it. A port in use is a warning and another port: the runs are worth more.
    pub(super) fn start(server: &ServerSettings, handle: &Handle) -> Result<Option<Self>, Failure> {
        let Some(address) = address(server)? else { return Ok(None) };
        let bound = TcpListener::bind(address).or_else(|error| {
            if error.kind() != io::ErrorKind::AddrInUse {
                return Err(error);
            }
            tracing::warn!("server.web: {address} is in use by another process; another port is taken");
            TcpListener::bind(SocketAddr::new(address.ip(), 0))
        });
        let shutdown = CancellationToken::new();
        let started = bound.and_then(|listener| {
            let listening = listener.local_addr()?;
            web::start(handle.clone(), listener, shutdown.clone())?;
            Ok(listening)
        });
        match started {
            Ok(listening) => {
                tracing::info!(
                    "the live page is at http://{listening}, metrics at http://{listening}/metrics"
                );
                Ok(Some(Self(shutdown)))
            }
            Err(error) => {
                Err(Failure::failed(format_args!("server.web: cannot listen on {address}: {error}")))
            }
        }
    }
}

/// The address of the page, if there is to be one and it is allowed.
fn address(server: &ServerSettings) -> Result<Option<SocketAddr>, Failure> {
    let Some(web) = &server.web else { return Ok(None) };
    let not_an_address = || {
        Failure::bad_input(format_args!("server.web: `{web}` is not an address and a port"))
            .hint("write for example --web 127.0.0.1:7421, or :0 at the end for a free port")
    };
    let resolved = web.to_socket_addrs().map_err(|_| not_an_address())?.next().ok_or_else(not_an_address)?;
    if resolved.ip().is_loopback() || server.insecure {
        return Ok(Some(resolved));
    }
    Err(Failure::bad_input(format_args!("server.web: {web} can be reached by other machines, and the page has no TLS"))
        .hint("take 127.0.0.1 and a tunnel (ssh -L 7421:127.0.0.1:7421 HOST), or give --insecure on a private network"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(web: &str, insecure: bool, expected: Result<&str, &str>) {
        let server = ServerSettings { web: Some(web.to_owned()), insecure, ..ServerSettings::default() };
        match (address(&server), expected) {
            (Ok(found), Ok(address)) => assert_eq!(found.unwrap().to_string(), address),
            (Err(failure), Err(message)) => {
                assert!(failure.message().contains(message), "{}", failure.message());
            }
            (found, _) => panic!("`{web}` gave {found:?}"),
        }
    }

    #[test]
    fn the_page_is_for_this_machine_unless_told_otherwise() {
        check("127.0.0.1:7421", false, Ok("127.0.0.1:7421"));
        check("0.0.0.0:7421", true, Ok("0.0.0.0:7421"));
        check("0.0.0.0:7421", false, Err("can be reached by other machines"));
        check("7421", false, Err("is not an address and a port"));
        assert!(address(&ServerSettings::default()).unwrap().is_none());
    }
}

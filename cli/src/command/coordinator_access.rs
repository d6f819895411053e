//! Who is let in to a coordinator, and by what: the address, certificates, tokens, and what SIGHUP reads again.

use std::convert::Infallible;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hebbian_coordinator::access::{Access, AccessSettings};
use hebbian_coordinator::service::tls::{Tls, TlsFiles};
use tokio::signal::unix::{SignalKind, signal};

use crate::configuration::{AccessSection, ServerSettings, ServerTlsSettings};
use crate::failure::Failure;

/// How often it is looked whether a certificate ends soon.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(86_400);

/// The address to listen on, if that is allowed.
pub(super) fn address(server: &ServerSettings, tls: bool) -> Result<SocketAddr, Failure> {
    let ServerSettings { listen, insecure, .. } = server;
    let not_an_address = || {
        Failure::bad_input(format_args!("server.listen: `{listen}` is not an address and a port"))
            .hint("write for example --listen 127.0.0.1:7420, or :0 at the end for a free port")
    };
    let resolved =
        listen.to_socket_addrs().map_err(|_| not_an_address())?.next().ok_or_else(not_an_address)?;
    if resolved.ip().is_loopback() || *insecure || tls {
        return Ok(resolved);
    }
    Err(Failure::bad_input(format_args!(
        "server.listen: {listen} can be reached by other machines, and there is no TLS"
    ))
    .hint("give --tls-certificate and --tls-key (`hebbian certs` makes both), or --insecure on a private network"))
}

/// The certificates, if there are any.
pub(super) fn tls(settings: &ServerTlsSettings) -> Result<Option<Arc<Tls>>, Failure> {
    let ServerTlsSettings { certificate, key, client_ca, revoked } = settings;
    let missing = |field: &str, other: &str| {
        Err(Failure::bad_input(format_args!("server.tls.{field}: must be set where server.tls.{other} is"))
            .hint("`hebbian certs` makes certificates to start with"))
    };
    if revoked.is_some() && client_ca.is_none() {
        return missing("client_ca", "revoked");
    }
    if revoked.is_some() && revoked == client_ca {
        return Err(Failure::bad_input("server.tls.revoked: names the same file as server.tls.client_ca")
            .hint("it must be a list of revoked certificates, as `hebbian certs revoke` writes it"));
    }
    let files = match (certificate, key, client_ca) {
        (Some(certificate), Some(key), client_ca) => TlsFiles {
            certificate: certificate.clone(),
            key: key.clone(),
            client_ca: client_ca.clone(),
            revoked: revoked.clone(),
        },
        (None, None, None) => return Ok(None),
        (None, Some(_), _) => return missing("certificate", "key"),
        (Some(_), None, _) => return missing("key", "certificate"),
        (None, None, Some(_)) => return missing("certificate", "client_ca"),
    };
    Tls::load(files).map(Arc::new).map(Some).map_err(|error| {
        let fields = [("client_ca", client_ca), ("certificate", certificate), ("revoked", revoked)];
        let is_it = |path: &Option<PathBuf>| {
            path.as_ref().is_some_and(|path| path.display().to_string() == error.path)
        };
        let field = fields.iter().find(|(_, path)| is_it(path)).map_or("key", |(field, _)| field);
        Failure::bad_input(format_args!("server.tls.{field}: {error}"))
    })
}

/// Who is let in. Tokens are kept beside the journal unless another place is named.
pub(super) fn access(settings: &AccessSection, url: &str) -> Result<Arc<Access>, Failure> {
    let beside = || url.strip_prefix("sqlite:").map(|path| PathBuf::from(format!("{path}.tokens")));
    let settings =
        AccessSettings { required: settings.required, file: settings.tokens.clone().or_else(beside) };
    Access::new(settings).map_err(|error| Failure::bad_input(format_args!("access.tokens: {error}")))
}

/// Warns where others can use the coordinator, or read what lets somebody use it.
pub(super) fn warn_of_exposure(listening: SocketAddr, tls: Option<&Tls>, access: &Access) {
    match tls {
        None if !listening.ip().is_loopback() && access.is_on() => {
            tracing::warn!("there is no TLS: whoever is on the way to {listening} can read tokens");
        }
        None if !listening.ip().is_loopback() => {
            tracing::warn!("there is no TLS: anybody who reaches {listening} can use this coordinator");
        }
        Some(tls) if !tls.is_mutual() && !access.is_on() => {
            tracing::warn!(
                "there is neither --tls-client-ca nor a token: anybody who reaches {listening} can use this coordinator"
            );
        }
        _ => {}
    }
}

/// Says whether access is controlled.
pub(super) fn tell_access(access: &Access, tls: Option<&Tls>) {
    match (access.is_on(), access.valid_tokens()) {
        (true, 0) if !tls.is_some_and(Tls::is_mutual) => {
            tracing::warn!(
                "access is controlled, no token is valid, and no certificate is asked for: nobody is let in; `hebbian token create \
                 NAME --role admin --tokens FILE` makes a token in the file that access.tokens names, which SIGHUP has read again"
            );
        }
        (true, 0) => {
            tracing::info!(
                "access is controlled, and no token is valid: certificates with a role are let in"
            );
        }
        (true, tokens) => tracing::info!("access is controlled: {tokens} tokens are valid"),
        (false, _) => {}
    }
}

/// Reads the certificates and the tokens again with every SIGHUP. Without TLS a SIGHUP changes nothing, and ends nothing.
pub(super) async fn reload_on_hangup(tls: Option<Arc<Tls>>, access: &Access) -> Infallible {
    let mut hangup = match signal(SignalKind::hangup()) {
        Ok(hangup) => hangup,
        Err(error) => {
            tracing::warn!(%error, "SIGHUP cannot be listened for; certificates are read at the start only");
            return std::future::pending().await;
        }
    };
    let mut look = tokio::time::interval(EXPIRY_INTERVAL);
    loop {
        tokio::select! {
            _ = hangup.recv() => {}
            _ = look.tick() => {
                warn_of_expiry(tls.as_deref());
                continue;
            }
        }
        match access.reload() {
            Ok(()) => tell_access(access, tls.as_deref()),
            Err(error) => tracing::error!(%error, "SIGHUP: the tokens in use stay in use"),
        }
        match tls.as_deref().map(Tls::reload) {
            Some(Ok(())) => {
                let revoked = tls.as_deref().map_or(0, Tls::revoked);
                tracing::info!(revoked, "SIGHUP: the certificates were read again");
            }
            Some(Err(error)) => {
                tracing::error!(%error, "SIGHUP: the new certificates are refused; the old ones stay in use");
            }
            None => tracing::info!("SIGHUP: there are no certificates to read again"),
        }
    }
}

/// Warns of a certificate that ends soon.
fn warn_of_expiry(tls: Option<&Tls>) {
    if let Some((path, days)) = tls.and_then(Tls::ends_soon) {
        let path = path.display();
        tracing::warn!("{path} expires in {days} days; replace it, and SIGHUP reads it without a restart");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(listen: &str, (insecure, tls): (bool, bool), expected: Result<&str, &str>) {
        let server = ServerSettings { listen: listen.to_owned(), insecure, ..ServerSettings::default() };
        match (address(&server, tls), expected) {
            (Ok(found), Ok(address)) => assert_eq!(found.to_string(), address),
            (Err(failure), Err(message)) => {
                assert!(failure.message().contains(message), "{}", failure.message());
            }
            (found, _) => panic!("`{listen}` gave {found:?}"),
        }
    }

    #[test]
    fn half_of_the_certificates_is_refused() {
        let path = || Some(PathBuf::from("x.pem"));
        let check = |settings: ServerTlsSettings, message: &str| {
            let failure = tls(&settings).unwrap_err();
            assert!(failure.message().starts_with(message), "{}", failure.message());
        };
        assert!(tls(&ServerTlsSettings::default()).unwrap().is_none());
        let none = ServerTlsSettings::default;
        check(ServerTlsSettings { certificate: path(), ..none() }, "server.tls.key: must be set");
        check(ServerTlsSettings { key: path(), ..none() }, "server.tls.certificate: must be set");
        check(ServerTlsSettings { client_ca: path(), ..none() }, "server.tls.certificate: must be set");
        check(ServerTlsSettings { revoked: path(), ..none() }, "server.tls.client_ca: must be set");
        check(
            ServerTlsSettings { certificate: path(), key: path(), ..none() },
            "server.tls.certificate: x.pem: cannot be read",
        );
    }

    #[test]
    fn without_tls_only_loopback_is_listened_on_unless_told_so() {
        check("127.0.0.1:0", (false, false), Ok("127.0.0.1:0"));
        check("[::1]:7420", (false, false), Ok("[::1]:7420"));
        check("0.0.0.0:7420", (false, false), Err("0.0.0.0:7420 can be reached by other machines"));
        check("0.0.0.0:7420", (true, false), Ok("0.0.0.0:7420"));
        check("0.0.0.0:7420", (false, true), Ok("0.0.0.0:7420"));
        check("7420", (false, false), Err("`7420` is not an address and a port"));
        check("127.0.0.1:70000", (false, false), Err("is not an address and a port"));
    }
}

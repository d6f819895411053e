//! Who did what: a log line for every command that changes something, with the peer and whom its certificate names.
//!
//! Its target is `hebbian::audit`, so that it can be kept apart (`RUST_LOG=warn,hebbian::audit=info`); the log adds the time.
//! A run's own notes say it, too, as long as there is the run.

use std::any::Any;
use std::sync::Arc;

use hyper::http::Extensions;
use tokio_util::sync::CancellationToken;
use tonic::Request;
use tonic::transport::server::{Connected, TcpConnectInfo};

use super::rate::peer;
use crate::access::{Caller, Role};

/// What is known of who is at the other end of a connection.
#[derive(Clone, Debug)]
pub struct PeerInfo {
    pub(super) tcp: TcpConnectInfo,
    /// Whom its certificate names, if it has shown one.
    pub(super) subject: Option<Subject>,
    /// The role that the certificate names, or what is wrong with that.
    pub(super) role: Option<Result<Role, String>>,
    /// Cancelled when the certificate is revoked.
    pub(super) revoked: Option<CancellationToken>,
}

/// Whom a certificate names.
#[derive(Clone, Debug)]
pub(super) struct Subject(pub(super) Arc<str>);

/// Tells a request whose it is.
pub(super) fn introduce<IO: Connected>(peer: &IO::ConnectInfo, extensions: &mut Extensions) {
    match (peer as &dyn Any).downcast_ref::<PeerInfo>() {
        None => drop(extensions.insert(peer.clone())),
        Some(PeerInfo { tcp, subject, .. }) => {
            extensions.insert(tcp.clone());
            if let Some(subject) = subject {
                extensions.insert(subject.clone());
            }
        }
    }
}

/// The role that the certificate of a connection's peer names.
pub(super) fn certificate<IO: Connected>(peer: &IO::ConnectInfo) -> Option<Result<Role, String>> {
    (peer as &dyn Any).downcast_ref::<PeerInfo>().and_then(|peer| peer.role.clone())
}

/// Waits until the certificate of a connection's peer is revoked; for ever, if it has shown none.
pub(super) async fn revoked<IO: Connected>(peer: &IO::ConnectInfo) {
    match (peer as &dyn Any).downcast_ref::<PeerInfo>().and_then(|peer| peer.revoked.clone()) {
        Some(revoked) => revoked.cancelled_owned().await,
        None => std::future::pending().await,
    }
}

/// Whom a token or else a certificate names.
pub(super) fn named<T>(request: &Request<T>) -> Option<String> {
    let token = request.extensions().get::<Caller>().and_then(|caller| caller.token.as_ref());
    match (token, request.extensions().get::<Subject>()) {
        (Some(token), _) => Some(format!("token `{token}`")),
        (None, Some(Subject(subject))) => Some(subject.to_string()),
        (None, None) => None,
    }
}

/// Who asks: an address, and whom the token or else the certificate names. Empty for this process.
pub(super) fn who<T>(request: &Request<T>) -> String {
    let Some(peer) = request.remote_addr() else { return named(request).unwrap_or_default() };
    match named(request) {
        Some(named) => format!("{peer} ({named})"),
        None => peer.to_string(),
    }
}

/// The client whose quota counts a request: the name of its token, else the subject of its certificate, else its address (its network if
/// it is IPv6). Empty for this process.
pub(super) fn owner<T>(request: &Request<T>) -> String {
    match (named(request), request.remote_addr()) {
        (Some(named), _) => named,
        (None, Some(address)) => peer(address.ip()).to_string(),
        (None, None) => String::new(),
    }
}

/// The only group of runs that there is for whoever asks; none where there are all.
pub(super) fn group<T>(request: &Request<T>) -> Option<Arc<str>> {
    request.extensions().get::<Caller>().and_then(|caller| caller.group.clone())
}

/// Notes what was done, and to what.
pub(crate) fn done(who: &str, what: &str, to: &dyn std::fmt::Display) {
    let by = if who.is_empty() { "this process" } else { who };
    tracing::info!(target: "hebbian::audit", by, "{what} {to}");
}

//! How connections are opened: over TCP, with TLS or without, and over memory; how many, and in what time.
//!
//! Peers are not trusted. One that connects and says nothing is given up after [`ConnectionLimits::opening_timeout`];
//! until it has spoken HTTP/2 (and, with TLS, shown who it is) it costs a socket and a small task, and there are at most
//! [`ConnectionLimits::opening_max`] of them.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::{Stream, StreamExt as _, stream};
use hebbian_shared::limits::{
    CONNECTIONS_MAX, LISTEN_BACKLOG, OPENING_MAX, OPENING_TIMEOUT, REFUSAL_REASONS_MAX,
};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

use super::audit::{PeerInfo, Subject};
use super::lane::Lanes;
use super::socket::Socket;
use super::tls::{Shown, Tls};

/// Connections over memory that may wait to be accepted.
const MEMORY_BACKLOG: usize = 64;
/// How long accepting pauses when the process has run out of files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How often a peer that has sent a part of its first words is looked at again.
const PREFACE_PAUSE: Duration = Duration::from_millis(20);
/// One line in this time about connections that were refused for the same reason.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(1);
/// What every HTTP/2 client says first (RFC 9113, section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What peers may cost before and after they are known.
#[derive(Clone, Debug)]
pub struct ConnectionLimits {
    /// Open connections; further ones are closed at once.
    pub connections_max: usize,
    /// Connections that are being opened; further ones wait in the listen backlog.
    pub opening_max: usize,
    /// How long opening may take: the TLS handshake, or the first words of HTTP/2.
    pub opening_timeout: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self { connections_max: CONNECTIONS_MAX, opening_max: OPENING_MAX, opening_timeout: OPENING_TIMEOUT }
    }
}

/// Listens on a TCP address. Port 0 takes a free one; ask the listener which.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A coordinator that restarts must not wait for its predecessor's connections to be forgotten.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(LISTEN_BACKLOG)
}

/// The opened connections of a listener. Whatever goes wrong with one of them is logged and ends nothing; dropping the
/// stream closes the listener.
pub fn accept(
    listener: TcpListener,
    limits: ConnectionLimits,
    tls: Option<Arc<Tls>>,
    lanes: Lanes,
) -> impl Stream<Item = io::Result<Connection>> {
    let acceptor = Acceptor {
        listener,
        tls,
        connections: Arc::new(Semaphore::new(limits.connections_max)),
        limits,
        opening: JoinSet::new(),
        lanes,
        complaints: Complaints::default(),
    };
    stream::unfold(acceptor, async |mut acceptor| {
        let connection = acceptor.next().await;
        Some((Ok(connection), acceptor))
    })
}

/// A listener in memory: whoever sends one end of a [`tokio::io::duplex`] into the sender is connected to it.
pub fn memory() -> (mpsc::Sender<DuplexStream>, impl Stream<Item = io::Result<DuplexStream>>) {
    let (dial, connections) = mpsc::channel(MEMORY_BACKLOG);
    (dial, tokio_stream::wrappers::ReceiverStream::new(connections).map(Ok))
}

struct Acceptor {
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    limits: ConnectionLimits,
    connections: Arc<Semaphore>,
    opening: JoinSet<Result<Connection, Refused>>,
    lanes: Lanes,
    complaints: Complaints,
}

/// A connection that was not opened.
struct Refused {
    peer: SocketAddr,
    /// Why, for the log; none if the peer left by itself.
    reason: Option<String>,
}

impl Acceptor {
    async fn next(&mut self) -> Connection {
        loop {
            tokio::select! {
                accepted = self.listener.accept(), if self.opening.len() < self.limits.opening_max => match accepted {
                    Ok((stream, peer)) => self.open(stream, peer),
                    Err(error) => {
                        self.complaints.tell(None, &format!("the connection could not be accepted: {error}"));
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
                Some(opened) = self.opening.join_next() => match opened {
                    Ok(Ok(connection)) => return connection,
                    Ok(Err(Refused { peer, reason: Some(reason) })) => self.complaints.tell(Some(peer), &reason),
                    Ok(Err(Refused { peer, reason: None })) => tracing::debug!(%peer, "a peer closed the connection before it sent anything"),
                    Err(error) => tracing::error!(%error, "opening a connection failed"),
                },
            }
        }
    }

    /// Starts to open a connection, if there is room for one.
    fn open(&mut self, stream: TcpStream, peer: SocketAddr) {
        let Ok(permit) = Arc::clone(&self.connections).try_acquire_owned() else {
            let most = self.limits.connections_max;
            return self
                .complaints
                .tell(Some(peer), &format!("{most} connections are open, which is the limit"));
        };
        // Without it small messages wait for others; a connection that refuses it still works.
        let _ = stream.set_nodelay(true);
        let tls = self.tls.clone();
        let timeout = self.limits.opening_timeout;
        let handle = self.lanes.opening(self.opening.len());
        let mut socket = Socket::new(stream);
        let opening = async move {
            let opening = async {
                match tls {
                    Some(tls) => {
                        let stream = tls.acceptor().accept(socket).await?;
                        let chain = stream.get_ref().1.peer_certificates();
                        let shown = chain.map(|chain| tls.shown(chain));
                        Ok((Transport::Tls(Box::new(stream)), shown))
                    }
                    None => first_words(socket.here()?).await.map(|()| (Transport::Plain(socket), None)),
                }
            };
            match tokio::time::timeout(timeout, opening).await {
                Ok(Ok((transport, shown))) => Ok(Connection { transport, shown, _permit: permit }),
                Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    Err(Refused { peer, reason: None })
                }
                Ok(Err(error)) => Err(Refused { peer, reason: Some(explain(&error)) }),
                Err(_) => Err(Refused {
                    peer,
                    reason: Some(format!(
                        "the peer sent neither a TLS handshake nor HTTP/2 within {timeout:?}"
                    )),
                }),
            }
        };
        self.opening.spawn_on(opening, &handle);
    }
}

/// Why a connection was not opened, in words where the library has only a name.
fn explain(error: &io::Error) -> String {
    use tokio_rustls::rustls::{CertificateError, Error, InvalidMessage};
    match error.get_ref().and_then(|cause| cause.downcast_ref()) {
        Some(Error::NoCertificatesPresented) => {
            "the peer sent no certificate, and this coordinator requires one (--tls-client-ca)".to_owned()
        }
        Some(Error::InvalidMessage(InvalidMessage::InvalidContentType)) => {
            "the peer does not speak TLS, and this port accepts nothing else".to_owned()
        }
        Some(Error::InvalidCertificate(CertificateError::Revoked)) => {
            "the peer's certificate was revoked (--tls-revoked)".to_owned()
        }
        Some(Error::InvalidCertificate(
            problem @ (CertificateError::Expired | CertificateError::ExpiredContext { .. }),
        )) => format!("the peer's certificate has expired, it needs another one: {problem}"),
        Some(Error::InvalidCertificate(
            problem @ (CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. }),
        )) => format!("the peer's certificate is not valid yet, or a clock is wrong: {problem}"),
        Some(Error::InvalidCertificate(
            problem @ (CertificateError::UnknownIssuer | CertificateError::BadSignature),
        )) => format!("the authority of --tls-client-ca did not sign the peer's certificate: {problem}"),
        Some(Error::InvalidCertificate(problem)) => {
            format!("the peer's certificate is not accepted: {problem}")
        }
        _ => error.to_string(),
    }
}

/// Waits until the peer has begun to speak HTTP/2, without taking anything from the stream.
async fn first_words(stream: &TcpStream) -> io::Result<()> {
    let mut words = [0; PREFACE.len()];
    loop {
        let length = stream.peek(&mut words).await?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if words[..length] != PREFACE[..length] {
            let hint = if words[0] == 0x16 {
                "the peer speaks TLS, and this port has none (--tls-certificate, --tls-key)"
            } else {
                "the peer does not speak gRPC"
            };
            return Err(io::Error::new(io::ErrorKind::InvalidData, hint));
        }
        if length == PREFACE.len() {
            return Ok(());
        }
        // What is there already would be peeked at again at once.
        tokio::time::sleep(PREFACE_PAUSE).await;
    }
}

/// Says why connections are refused, but each reason not as often as peers can connect.
#[derive(Default)]
struct Complaints(BTreeMap<String, Complaint>);

struct Complaint {
    last: Instant,
    withheld: u64,
}

impl Complaints {
    fn tell(&mut self, peer: Option<SocketAddr>, reason: &str) {
        let peer = peer.map(tracing::field::display);
        let mut others = 0;
        if let Some(before) = self.0.get_mut(reason) {
            if before.last.elapsed() < COMPLAINT_INTERVAL {
                before.withheld += 1;
                return;
            }
            others = before.withheld;
        } else if self.0.len() >= REFUSAL_REASONS_MAX {
            self.0.retain(|_, complaint| complaint.last.elapsed() < COMPLAINT_INTERVAL);
            if self.0.len() >= REFUSAL_REASONS_MAX {
                return;
            }
        }
        self.0.insert(reason.to_owned(), Complaint { last: Instant::now(), withheld: 0 });
        match others {
            0 => tracing::warn!(peer, reason, "connection refused"),
            others => {
                tracing::warn!(peer, reason, others, "connection refused, and others since the last line");
            }
        }
    }
}

/// An opened connection; counts as open until it is dropped.
#[derive(Debug)]
pub struct Connection {
    transport: Transport,
    /// Cancelled when the certificate that the peer has shown is revoked.
    shown: Option<Shown>,
    _permit: OwnedSemaphorePermit,
}

#[derive(Debug)]
enum Transport {
    Plain(Socket),
    Tls(Box<TlsStream<Socket>>),
}

impl Connected for Connection {
    type ConnectInfo = PeerInfo;

    fn connect_info(&self) -> PeerInfo {
        match &self.transport {
            Transport::Plain(stream) => {
                PeerInfo { tcp: stream.connect_info(), subject: None, role: None, revoked: None }
            }
            Transport::Tls(stream) => {
                let (tcp, session) = stream.get_ref();
                let shown = session.peer_certificates().and_then(|chain| chain.first());
                let tcp = tcp.connect_info();
                let revoked = self.shown.as_deref().cloned();
                match shown.and_then(super::tls::holder) {
                    Some((subject, role)) => {
                        PeerInfo { tcp, subject: Some(Subject(subject.into())), role, revoked }
                    }
                    None => PeerInfo { tcp, subject: None, role: None, revoked },
                }
            }
        }
    }
}

/// Calls a method of whatever stream it is.
macro_rules! delegate {
    ($connection:expr, $stream:ident => $call:expr) => {
        match &mut $connection.get_mut().transport {
            Transport::Plain(stream) => {
                let $stream = Pin::new(stream);
                $call
            }
            Transport::Tls(stream) => {
                let $stream = Pin::new(&mut **stream);
                $call
            }
        }
    };
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        delegate!(self, stream => stream.poll_read(context, buffer))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        delegate!(self, stream => stream.poll_write(context, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self, stream => stream.poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self, stream => stream.poll_shutdown(context))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        delegate!(self, stream => stream.poll_write_vectored(context, slices))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.transport {
            Transport::Plain(stream) => stream.is_write_vectored(),
            Transport::Tls(stream) => stream.is_write_vectored(),
        }
    }
}

#[cfg(test)]
mod tests;

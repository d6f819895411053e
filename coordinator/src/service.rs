//! The gRPC face of the driver: convert, ask the [`Handle`], convert.
//!
//! The same services run over TCP and, for a coordinator and workers in one process, over memory: there are no ports
//! then, but the same engine and the same wire.

mod cluster;
mod dispatch;
mod page;
mod run;
mod status;
#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _, stream};
use hebbian_proto::v1::cluster_service_server::ClusterServiceServer;
use hebbian_proto::v1::dispatch_service_server::DispatchServiceServer;
use hebbian_proto::v1::run_service_server::RunServiceServer;
use hebbian_proto::{FILE_DESCRIPTOR_SET, convert};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::transport::server::{Connected, Router};

use crate::handle::Handle;

/// Connections that may wait to be accepted: a thousand workers reconnect at once when a coordinator restarts.
const LISTEN_BACKLOG: u32 = 4096;
/// Connections over memory that may wait to be accepted.
const MEMORY_BACKLOG: usize = 64;
/// How long accepting pauses when the process has run out of files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Settings of connections. TLS will have its place here.
#[derive(Clone, Debug)]
pub struct TransportSettings {
    /// A connection that was silent for so long is asked for a sign of life (an HTTP/2 ping).
    pub keep_alive_interval: Duration,
    /// A connection that does not answer in this time is closed: it is what notices a silent partition.
    pub keep_alive_timeout: Duration,
    /// How long a worker may take to say who it is.
    pub hello_timeout: Duration,
    /// How long open streams may last after the shutdown.
    pub shutdown_grace: Duration,
}

impl Default for TransportSettings {
    /// A silent partition is noticed within three seconds.
    fn default() -> Self {
        Self {
            keep_alive_interval: Duration::from_secs(1),
            keep_alive_timeout: Duration::from_secs(2),
            hello_timeout: Duration::from_secs(5),
            shutdown_grace: Duration::from_secs(5),
        }
    }
}

/// All services of a coordinator, with health and reflection beside them.
pub async fn router(handle: Handle, settings: &TransportSettings) -> Router {
    let dispatch =
        DispatchServiceServer::new(dispatch::Dispatch::new(handle.clone(), settings.hello_timeout))
            .max_decoding_message_size(convert::COORDINATOR_MESSAGE_BYTES_MAX)
            .max_encoding_message_size(convert::PEER_MESSAGE_BYTES_MAX);
    let run = RunServiceServer::new(run::Runs::new(handle.clone()))
        .max_decoding_message_size(convert::COORDINATOR_MESSAGE_BYTES_MAX)
        .max_encoding_message_size(convert::PEER_MESSAGE_BYTES_MAX);
    let cluster = ClusterServiceServer::new(cluster::Cluster::new(handle))
        .max_encoding_message_size(convert::PEER_MESSAGE_BYTES_MAX);

    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_serving::<DispatchServiceServer<dispatch::Dispatch>>().await;
    reporter.set_serving::<RunServiceServer<run::Runs>>().await;
    reporter.set_serving::<ClusterServiceServer<cluster::Cluster>>().await;

    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let valid = "the descriptors were written by the compiler";
    Server::builder()
        .http2_keepalive_interval(Some(settings.keep_alive_interval))
        .http2_keepalive_timeout(Some(settings.keep_alive_timeout))
        .add_service(dispatch)
        .add_service(run)
        .add_service(cluster)
        .add_service(health)
        .add_service(reflection().build_v1().expect(valid))
        .add_service(reflection().build_v1alpha().expect(valid))
}

/// Serves connections until `shutdown`, then until their streams have ended or the grace is over.
///
/// Shut the driver down too: it is what ends the streams of workers and watchers.
pub async fn serve<IO>(
    handle: Handle,
    incoming: impl Stream<Item = io::Result<IO>>,
    settings: TransportSettings,
    shutdown: CancellationToken,
) -> Result<(), tonic::transport::Error>
where
    IO: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
{
    let router = router(handle, &settings).await;
    let grace = async {
        shutdown.cancelled().await;
        tokio::time::sleep(settings.shutdown_grace).await;
    };
    tokio::select! {
        ended = router.serve_with_incoming_shutdown(incoming, shutdown.cancelled()) => ended,
        () = grace => Ok(()),
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

/// The connections of a listener. A failure to accept (too many open files) pauses accepting and ends nothing.
pub fn accept(listener: TcpListener) -> impl Stream<Item = io::Result<TcpStream>> {
    stream::unfold(listener, async |listener| {
        loop {
            match listener.accept().await {
                Ok((connection, _)) => {
                    // Without it small messages wait for others; a connection that refuses it still works.
                    let _ = connection.set_nodelay(true);
                    return Some((Ok(connection), listener));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    })
}

/// A listener in memory: whoever sends one end of a [`tokio::io::duplex`] into the sender is connected to it.
pub fn memory() -> (mpsc::Sender<DuplexStream>, impl Stream<Item = io::Result<DuplexStream>>) {
    let (dial, connections) = mpsc::channel(MEMORY_BACKLOG);
    (dial, tokio_stream::wrappers::ReceiverStream::new(connections).map(Ok))
}

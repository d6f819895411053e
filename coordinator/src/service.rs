//! The gRPC face of the driver: convert, ask the [`Handle`], convert.
//!
//! The same services run over TCP and, for a coordinator and workers in one process, over memory: there are no ports
//! then, but the same engine and the same wire.

pub(crate) mod access;
pub(crate) mod audit;
pub(crate) mod cluster;
pub mod connection;
pub mod data;
pub(crate) mod dispatch;
pub(crate) mod evaluation;
pub(crate) mod gate;
mod health;
pub mod lane;
pub mod rate;
pub(crate) mod run;
mod socket;
mod spec_text;
pub mod standby;
mod status;
#[cfg(test)]
mod tests;
pub mod tls;

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use hebbian_proto::FILE_DESCRIPTOR_SET;
use hebbian_proto::v1::access_service_server::AccessServiceServer;
use hebbian_proto::v1::cluster_service_server::ClusterServiceServer;
use hebbian_proto::v1::data_service_server::DataServiceServer;
use hebbian_proto::v1::dispatch_service_server::{self, DispatchServiceServer};
use hebbian_proto::v1::evaluation_service_server::EvaluationServiceServer;
use hebbian_proto::v1::run_service_server::RunServiceServer;
use hebbian_shared::limits::{
    COORDINATOR_MESSAGE_BYTES_MAX, HEADERS_BYTES_MAX, HELLO_TIMEOUT, KEEP_ALIVE_INTERVAL, KEEP_ALIVE_TIMEOUT,
    PEER_MESSAGE_BYTES_MAX, STREAMS_PER_CONNECTION_MAX,
};
use hebbian_trace::{Span, TRACEPARENT, Tracer};
use hyper::HeaderMap;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::codegen::Service as _;
use tonic::service::Routes;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::server::Connected;
use tonic::{Code, Status};

use crate::access::Access;
use crate::handle::Handle;
use gate::Gate;
use lane::{Lanes, Place, Requests};
use rate::{RateLimits, Rates};

/// Settings of open connections; how they are opened is in [`connection`].
#[derive(Clone, Debug)]
pub struct TransportSettings {
    /// A connection that was silent for so long is asked for a sign of life (an HTTP/2 ping).
    pub keep_alive_interval: Duration,
    /// A connection that does not answer in this time is closed: it is what notices a silent partition.
    pub keep_alive_timeout: Duration,
    /// How long a worker may take to name itself.
    pub hello_timeout: Duration,
    /// How long open streams may last after the shutdown.
    pub shutdown_grace: Duration,
    /// Where the data sets are that workers may fetch.
    pub data: Arc<dyn data::DataSource>,
    /// How often one peer may ask or attach.
    pub rates: RateLimits,
    /// Which threads serve the workers.
    pub lanes: Lanes,
    /// Who is let in.
    pub access: Arc<Access>,
}

impl Default for TransportSettings {
    /// A worker that vanished without a word is noticed within three seconds if it holds episodes (by its lease), else
    /// within eighteen (by the ping): its idle heartbeats come more often than pings, which are for those that stay away.
    fn default() -> Self {
        Self {
            keep_alive_interval: KEEP_ALIVE_INTERVAL,
            keep_alive_timeout: KEEP_ALIVE_TIMEOUT,
            hello_timeout: HELLO_TIMEOUT,
            shutdown_grace: Duration::from_secs(5),
            data: Arc::new(data::NoData),
            rates: RateLimits::default(),
            lanes: Lanes::one(),
            access: Access::open(),
        }
    }
}

/// All services of a coordinator, with health and reflection beside them.
async fn routes(handle: Handle, settings: &TransportSettings) -> Routes {
    let (attaches, requests) = (Rates::new(settings.rates.attaches), Rates::new(settings.rates.requests));
    // Every worker asks this beside its attachment.
    let sets = Rates::new(settings.rates.attaches);
    let dispatch =
        DispatchServiceServer::new(dispatch::Dispatch::new(handle.clone(), settings.hello_timeout))
            .max_decoding_message_size(COORDINATOR_MESSAGE_BYTES_MAX)
            .max_encoding_message_size(PEER_MESSAGE_BYTES_MAX);
    let run = RunServiceServer::new(run::Runs::new(handle.clone()))
        .max_decoding_message_size(COORDINATOR_MESSAGE_BYTES_MAX)
        .max_encoding_message_size(PEER_MESSAGE_BYTES_MAX);
    let cluster = ClusterServiceServer::new(cluster::Cluster::new(handle.clone()))
        .max_encoding_message_size(PEER_MESSAGE_BYTES_MAX);
    let evaluation = EvaluationServiceServer::new(evaluation::Evaluations::new(handle.clone()))
        .max_decoding_message_size(COORDINATOR_MESSAGE_BYTES_MAX)
        .max_encoding_message_size(PEER_MESSAGE_BYTES_MAX);
    let data = DataServiceServer::new(data::Data::new(Arc::clone(&settings.data)))
        .max_decoding_message_size(1 << 10)
        .max_encoding_message_size(PEER_MESSAGE_BYTES_MAX);

    let access = AccessServiceServer::new(access::Tokens::new(Arc::clone(&settings.access)))
        .max_decoding_message_size(4 << 10)
        .max_encoding_message_size(PEER_MESSAGE_BYTES_MAX);

    let health = health::service(handle.writable()).await;
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let valid = "the descriptors were written by the compiler";
    Routes::default()
        .add_service(InterceptedService::new(dispatch, rate::check(attaches, "attach")))
        .add_service(InterceptedService::new(run, rate::check(Arc::clone(&requests), "ask")))
        .add_service(InterceptedService::new(cluster, rate::check(Arc::clone(&requests), "ask")))
        .add_service(InterceptedService::new(evaluation, rate::check(Arc::clone(&requests), "ask")))
        .add_service(InterceptedService::new(access, rate::check(requests, "ask")))
        .add_service(InterceptedService::new(data, rate::check(sets, "ask")))
        .add_service(health)
        .add_service(reflection().build_v1().expect(valid))
        .add_service(reflection().build_v1alpha().expect(valid))
        .prepare()
}

/// Serves connections until `shutdown`, then until their streams have ended or the grace is over.
///
/// Shut the driver down too: it is what ends the streams of workers and watchers.
pub async fn serve<IO>(
    handle: Handle,
    incoming: impl Stream<Item = io::Result<IO>>,
    settings: TransportSettings,
    shutdown: CancellationToken,
) where
    IO: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
{
    let tracer = handle.tracer.clone();
    let routes = routes(handle, &settings).await;
    serve_routes((routes, tracer), incoming, settings, shutdown).await;
}

/// Serves connections with these services.
async fn serve_routes<IO>(
    routes: (Routes, Tracer),
    incoming: impl Stream<Item = io::Result<IO>>,
    settings: TransportSettings,
    shutdown: CancellationToken,
) where
    IO: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
{
    let connections = TaskTracker::new();
    {
        // It ends here, with its listener: a later connection is refused at once.
        let mut incoming = pin!(incoming);
        loop {
            let next = tokio::select! {
                () = shutdown.cancelled() => break,
                next = incoming.next() => next,
            };
            match next {
                Some(Ok(io)) => serve_connection(io, &routes, &settings, &connections, shutdown.clone()),
                Some(Err(error)) => tracing::warn!(%error, "a connection could not be opened"),
                None => break,
            }
        }
    }
    connections.close();
    let grace = async {
        shutdown.cancelled().await;
        tokio::time::sleep(settings.shutdown_grace).await;
    };
    tokio::select! {
        () = connections.wait() => {}
        () = grace => {}
    }
}

/// Starts to serve a connection.
fn serve_connection<IO>(
    io: IO,
    (routes, tracer): &(Routes, Tracer),
    settings: &TransportSettings,
    connections: &TaskTracker,
    shutdown: CancellationToken,
) where
    IO: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
{
    let place = Place::new(settings.lanes.clone());
    let mut http2 = http2::Builder::new(Requests(Arc::clone(&place)));
    http2
        .timer(TokioTimer::new())
        .keep_alive_interval(settings.keep_alive_interval)
        .keep_alive_timeout(settings.keep_alive_timeout)
        .max_concurrent_streams(STREAMS_PER_CONNECTION_MAX)
        .max_header_list_size(HEADERS_BYTES_MAX);
    let (peer, routes, asked) = (io.connect_info(), routes.clone(), Arc::clone(&place));
    let tracer = tracer.clone();
    let (gate, cut, ended) = Gate::new(Arc::clone(&settings.access), audit::certificate::<IO>(&peer));
    let shown = peer.clone();
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let (mut head, body) = request.into_parts();
        audit::introduce::<IO>(&peer, &mut head.extensions);
        let judged = gate.judge(head.uri.path(), &head.headers, &mut head.extensions);
        let moved = judged.is_ok() && asked.decide(is_workers(head.uri.path()));
        let mut routes = routes.clone();
        let traceparent = head.headers.get(TRACEPARENT).and_then(|header| header.to_str().ok());
        let span = judged.as_ref().ok().and_then(|()| tracer.begin_request(head.uri.path(), traceparent));
        async move {
            if let Err(status) = judged {
                return Ok(status.into_http());
            }
            if moved {
                tokio::task::yield_now().await;
            }
            let answer = routes.call(hyper::Request::from_parts(head, body)).await;
            if let (Some(span), Ok(answer)) = (span, &answer) {
                answered(span, answer.headers());
            }
            answer
        }
    });
    let connection = http2.serve_connection(TokioIo::new(io), service);
    let counted = connections.token();
    place.spawn(Box::pin(async move {
        let _counted = (counted, ended);
        let mut connection = pin!(connection);
        let served = tokio::select! {
            // Whoever may no more gets no further answer.
            biased;
            () = audit::revoked::<IO>(&shown) => {
                tracing::info!("a connection ends, for the certificate of its peer was revoked");
                return;
            }
            () = cut.cancelled() => {
                tracing::info!("a connection ends: its token was revoked or has expired, or it had none and access is controlled now");
                return;
            }
            () = shutdown.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
            served = connection.as_mut() => served,
        };
        if let Err(error) = served {
            tracing::debug!(%error, "a connection broke");
        }
    }));
}

/// A request was answered; of a stream, its answer has begun.
fn answered(mut span: Span, headers: &HeaderMap) {
    match Status::from_header_map(headers) {
        Some(status) if status.code() != Code::Ok => {
            span.set("rpc.grpc.status_code", i32::from(status.code()).unsigned_abs());
            span.fail(status.message());
        }
        _ => span.set("rpc.grpc.status_code", 0_u32),
    }
}

/// Whether a request is what a worker begins with.
fn is_workers(path: &str) -> bool {
    path.strip_prefix('/')
        .and_then(|path| path.strip_prefix(dispatch_service_server::SERVICE_NAME))
        .is_some_and(|method| method.starts_with('/'))
}

//! The coordinator that is played: it takes streams of workers and hands them to the checks, which say all that is said there.
//!
//! It has a runtime of its own. When that is dropped, its connections break as if its machine had gone.

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::mpsc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::{Stream as AsyncStream, stream};
use hebbian_coordinator::runtime;
use hebbian_proto::v1;
use hebbian_proto::v1::attach_request::Kind as RequestKind;
use hebbian_proto::v1::dispatch_service_server::SERVICE_NAME;
use hebbian_shared::dispatch::{FromWorker, Hello};
use hebbian_shared::limits::{COORDINATOR_MESSAGE_BYTES_MAX, HELLO_TIMEOUT, PEER_MESSAGE_BYTES_MAX};
use prost::Message as _;
use prost::bytes::BufMut as _;
use tokio::runtime::Runtime;
use tokio::sync::mpsc as asynchronous;
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::{BoxFuture, Service, http};
use tonic::server::{Grpc, NamedService, StreamingService};
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

/// How long a coordinator that goes away takes at most.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// How long it tries to listen where it did, and how often.
const PORT_TIMEOUT: Duration = Duration::from_secs(10);
const PORT_PAUSE: Duration = Duration::from_millis(50);

/// What came from a worker.
#[derive(Debug)]
pub(super) enum Heard {
    /// A message that a coordinator takes.
    Said(FromWorker),
    /// One that a coordinator refuses, ending the stream, and why.
    Refused(String),
    /// The stream has ended: by the worker, or because it broke, and how.
    Ended(Option<String>),
}

/// A worker that has attached.
#[derive(Debug)]
pub(super) struct Attached {
    /// Its first message, or why that was none.
    pub(super) hello: Result<Hello, String>,
    /// What it says, with the time of arrival.
    pub(super) heard: mpsc::Receiver<(Instant, Heard)>,
    /// What it is sent: messages as bytes, or how the stream ends.
    pub(super) outgoing: asynchronous::UnboundedSender<Result<Vec<u8>, Status>>,
}

/// See the module.
pub(super) struct Played {
    address: SocketAddr,
    runtime: Option<Runtime>,
    attached: mpsc::Receiver<Attached>,
    sender: mpsc::Sender<Attached>,
}

impl Played {
    /// Listens.
    pub(super) fn start(listen: SocketAddr) -> io::Result<Self> {
        let (sender, attached) = mpsc::channel();
        let mut played = Self { address: listen, runtime: None, attached, sender };
        played.start_again()?;
        Ok(played)
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Listens again where it did.
    pub(super) fn start_again(&mut self) -> io::Result<()> {
        let runtime = runtime::of_threads(1, |_| {})?;
        let listener = {
            let _entered = runtime.enter();
            let until = Instant::now() + PORT_TIMEOUT;
            loop {
                // Of tokio, which may take an address that was in use a moment ago.
                match runtime.block_on(tokio::net::TcpListener::bind(self.address)) {
                    // While nobody listened, somebody's connection was given this port; most are short.
                    Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < until => {
                        std::thread::sleep(PORT_PAUSE);
                    }
                    bound => break bound?,
                }
            }
        };
        self.address = listener.local_addr()?;
        let connections = stream::unfold(listener, async |listener| {
            loop {
                if let Ok((connection, _)) = listener.accept().await {
                    let _ = connection.set_nodelay(true);
                    return Some((Ok::<_, io::Error>(connection), listener));
                }
            }
        });
        let dispatch = Dispatch { attached: self.sender.clone() };
        runtime.spawn(Server::builder().add_service(dispatch).serve_with_incoming(connections));
        self.runtime = Some(runtime);
        Ok(())
    }

    /// Goes away without a word: all connections break, and new ones are refused.
    pub(super) fn stop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(STOP_TIMEOUT);
        }
    }

    /// Breaks all connections, and forgets who has attached.
    pub(super) fn forget(&mut self) -> io::Result<()> {
        self.stop();
        while self.attached.try_recv().is_ok() {}
        self.start_again()
    }

    /// The next worker that attaches.
    pub(super) fn attached(&self, within: Duration) -> Option<Attached> {
        self.attached.recv_timeout(within).ok()
    }
}

impl Drop for Played {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Whether an address can be listened at, which is asked before anything is started.
pub(super) fn can_listen(address: SocketAddr) -> io::Result<()> {
    TcpListener::bind(address).map(drop)
}

/// The service, as a coordinator has it, but that it sends whatever bytes it is given: also what no coordinator of today would say.
#[derive(Clone)]
struct Dispatch {
    attached: mpsc::Sender<Attached>,
}

impl NamedService for Dispatch {
    const NAME: &'static str = SERVICE_NAME;
}

impl Service<http::Request<Body>> for Dispatch {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let attach = Attach(self.attached.clone());
        let is_known = request.uri().path().ends_with("/Attach");
        Box::pin(async move {
            if !is_known {
                return Ok(Status::unimplemented("only Attach is played").into_http());
            }
            let mut grpc = Grpc::new(Bytes).apply_max_message_size_config(
                Some(COORDINATOR_MESSAGE_BYTES_MAX),
                Some(PEER_MESSAGE_BYTES_MAX),
            );
            Ok(grpc.streaming(attach, request).await)
        })
    }
}

type Outgoing = Pin<Box<dyn AsyncStream<Item = Result<Vec<u8>, Status>> + Send>>;

struct Attach(mpsc::Sender<Attached>);

impl StreamingService<v1::AttachRequest> for Attach {
    type Response = Vec<u8>;
    type ResponseStream = Outgoing;
    type Future = BoxFuture<Response<Self::ResponseStream>, Status>;

    fn call(&mut self, request: Request<Streaming<v1::AttachRequest>>) -> Self::Future {
        let attached = self.0.clone();
        let mut incoming = request.into_inner();
        Box::pin(async move {
            let first = tokio::time::timeout(HELLO_TIMEOUT, incoming.message()).await;
            let hello = match first {
                Err(_) => Err(format!("it said nothing in {HELLO_TIMEOUT:?}")),
                Ok(Err(status)) => Err(status.message().to_owned()),
                Ok(Ok(first)) => match first.and_then(|first| first.kind) {
                    Some(RequestKind::Hello(hello)) => {
                        Hello::try_from(hello).map_err(|error| error.within("hello").to_string())
                    }
                    _ => Err("its first message was no hello".to_owned()),
                },
            };
            let (heard, hears) = mpsc::channel();
            let (outgoing, sent) = asynchronous::unbounded_channel();
            tokio::spawn(listen(incoming, heard));
            let _ = attached.send(Attached { hello, heard: hears, outgoing });
            let sent = stream::unfold(sent, async |mut sent| sent.recv().await.map(|next| (next, sent)));
            Ok(Response::new(Box::pin(sent) as Outgoing))
        })
    }
}

/// Passes on what a worker says until its stream ends.
async fn listen(mut incoming: Streaming<v1::AttachRequest>, heard: mpsc::Sender<(Instant, Heard)>) {
    loop {
        let next = match incoming.message().await {
            Ok(Some(message)) => match FromWorker::try_from(message) {
                Ok(said) => Heard::Said(said),
                Err(error) => Heard::Refused(error.to_string()),
            },
            Ok(None) => Heard::Ended(None),
            Err(status) => Heard::Ended(Some(format!("{}: {}", status.code(), status.message()))),
        };
        let ends = matches!(next, Heard::Ended(_));
        if heard.send((Instant::now(), next)).is_err() || ends {
            return;
        }
    }
}

/// Bytes as they are in one direction, messages in the other.
#[derive(Clone, Copy)]
struct Bytes;

impl Codec for Bytes {
    type Encode = Vec<u8>;
    type Decode = v1::AttachRequest;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, message: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&message);
        Ok(())
    }
}

impl Decoder for Bytes {
    type Item = v1::AttachRequest;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<v1::AttachRequest>, Status> {
        let read = v1::AttachRequest::decode(buffer);
        read.map(Some).map_err(|error| Status::internal(format!("it is no message: {error}")))
    }
}

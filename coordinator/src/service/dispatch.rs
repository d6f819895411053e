//! Work, for workers: one stream per worker, whose life is the worker's life.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream;
use hebbian_proto::convert::ConvertError;
use hebbian_proto::v1;
use hebbian_proto::v1::attach_request::Kind as RequestKind;
use hebbian_proto::v1::attach_response::Kind as ResponseKind;
use hebbian_proto::v1::dispatch_service_server::DispatchService;
use hebbian_shared::dispatch::{FromWorker, Hello};
use hebbian_shared::id::WorkerId;
use hebbian_shared::limits::OUTBOX_LENGTH_MAX;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{Request, Response, Status, Streaming};

use super::status::{invalid, refused};
use crate::access::table::{Row, WORKS};
use crate::handle::{Handle, Outgoing};

/// What each of its RPCs takes.
pub(crate) const RPCS: &[Row] = &[("/hebbian.v1.DispatchService/Attach", WORKS)];

/// Attaches workers.
#[derive(Debug)]
pub(super) struct Dispatch {
    handle: Handle,
    hello_timeout: Duration,
}

impl Dispatch {
    pub(super) fn new(handle: Handle, hello_timeout: Duration) -> Self {
        Self { handle, hello_timeout }
    }
}

#[tonic::async_trait]
impl DispatchService for Dispatch {
    type AttachStream = WorkerStream;

    async fn attach(
        &self,
        request: Request<Streaming<v1::AttachRequest>>,
    ) -> Result<Response<WorkerStream>, Status> {
        let peer = request.remote_addr().map_or_else(|| "this process".to_owned(), |peer| peer.to_string());
        let mut incoming = request.into_inner();
        let hello = match tokio::time::timeout(self.hello_timeout, incoming.message()).await {
            Ok(message) => hello(message?)?,
            Err(_) => {
                return Err(Status::deadline_exceeded(format!("no hello within {:?}", self.hello_timeout)));
            }
        };
        let (outbox, queue) = mpsc::channel(OUTBOX_LENGTH_MAX);
        let (close, closed) = oneshot::channel();
        let (welcome, welcomed) = oneshot::channel();
        let gone = CancellationToken::new();
        let stream = WorkerStream {
            welcome: None,
            queue,
            closed: Some(closed),
            ended: false,
            _gone: gone.clone().drop_guard(),
        };
        let handle = self.handle.clone();
        // A task of its own: when the connection breaks, this handler's future is dropped, but whatever was attached
        // must be detached.
        tokio::spawn(async move {
            let answer = handle.attach(hello, peer, outbox).await;
            let worker = answer.as_ref().ok().map(|welcome| welcome.worker);
            let heard = welcome.send(answer).is_ok();
            let Some(worker) = worker else { return };
            let end = tokio::select! {
                end = pass_on(&handle, worker, incoming), if heard => end,
                () = gone.cancelled() => End::Gone("the connection ended".to_owned()),
            };
            let (reason, status) = match end {
                End::Gone(reason) => (reason, None),
                End::Fault(status) => (status.message().to_owned(), Some(status)),
            };
            tracing::debug!(%worker, reason, "a worker's stream has ended");
            if let Some(status) = status {
                // Before the driver drops the outbox, so that the worker reads why.
                let _ = close.send(status);
            }
            handle.detach(worker, reason).await;
        });
        let welcome = welcomed.await.map_err(|_| Status::unavailable("the coordinator is shutting down"))?;
        let welcome = welcome.map_err(|error| refused(&error))?;
        let kind = Some(ResponseKind::Welcome((&welcome).into()));
        let welcome = v1::AttachResponse { kind, ..Default::default() };
        Ok(Response::new(WorkerStream { welcome: Some(welcome), ..stream }))
    }
}

/// How a worker's stream ended.
enum End {
    /// The worker closed it or is not there any more.
    Gone(String),
    /// The worker said something that it must not; it is told.
    Fault(Status),
}

/// The worker's first message.
fn hello(message: Option<v1::AttachRequest>) -> Result<Hello, Status> {
    match message.and_then(|message| message.kind) {
        Some(RequestKind::Hello(hello)) => {
            Hello::try_from(hello).map_err(|error| invalid(&error.within("hello")))
        }
        _ => Err(invalid(&ConvertError::new("hello", "must be the first message"))),
    }
}

/// Passes on what a worker says until its stream ends.
async fn pass_on(handle: &Handle, worker: WorkerId, mut incoming: Streaming<v1::AttachRequest>) -> End {
    loop {
        let message = match incoming.message().await {
            Ok(Some(message)) => message,
            Ok(None) => return End::Gone("the worker closed its stream".to_owned()),
            // Broken connections and messages over the size limit alike; the former cannot be told any more.
            Err(status) => return End::Fault(status),
        };
        let message = match FromWorker::try_from(message) {
            Ok(message) => message,
            Err(error) => return End::Fault(invalid(&error)),
        };
        if let Err(error) = handle.from_worker(worker, message).await {
            return End::Fault(refused(&error));
        }
    }
}

/// What a worker is sent: its welcome, then what the driver puts into its outbox.
#[derive(Debug)]
pub(super) struct WorkerStream {
    welcome: Option<v1::AttachResponse>,
    queue: mpsc::Receiver<Outgoing>,
    closed: Option<oneshot::Receiver<Status>>,
    ended: bool,
    /// Dropped with the stream: tells the task that reads the worker's messages that nobody is there.
    _gone: DropGuard,
}

impl Stream for WorkerStream {
    type Item = Result<v1::AttachResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if let Some(welcome) = self.welcome.take() {
            return Poll::Ready(Some(Ok(welcome)));
        }
        if let Some(closed) = &mut self.closed
            && let Poll::Ready(status) = Pin::new(closed).poll(context)
        {
            self.closed = None;
            if let Ok(status) = status {
                self.ended = true;
                return Poll::Ready(Some(Err(status)));
            }
        }
        self.queue.poll_recv(context).map(|next| {
            next.map(|Outgoing { message, trace }| {
                let traceparent = trace.map(|trace| trace.to_string());
                Ok(v1::AttachResponse { traceparent, ..(&message).into() })
            })
        })
    }
}

//! One stream to a coordinator, from the hello to its end.

mod hearing;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use hebbian_proto::v1;
use hebbian_proto::v1::attach_request::Kind as RequestKind;
use hebbian_proto::v1::attach_response::Kind as ResponseKind;
use hebbian_proto::v1::dispatch_service_client::DispatchServiceClient;
use hebbian_shared::digest::Digest;
use hebbian_shared::dispatch::{Assignment, Batch, BlockEpisodes, FromWorker, Welcome};
use hebbian_shared::id::RunId;
use hebbian_shared::limits::{COORDINATOR_MESSAGE_BYTES_MAX, PEER_MESSAGE_BYTES_MAX, PREPARED_RUNS_MAX};
use hebbian_trace::Span;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, Interval, MissedTickBehavior};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use super::connect::chain;
use super::prepare::Announcement;
use super::reports::Reports;
use super::{Authorised, SessionEnd, SessionSettings};
use crate::evaluator::{Evaluator, Runner};
use crate::pool::{Finished, Pool, PoolBatch};

/// Messages that may wait to be sent.
const OUTGOING_LENGTH: usize = 16;
/// How long a worker that leaves waits for the coordinator to close its side.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// How a stream ended.
#[derive(Debug)]
pub(super) enum StreamEnd {
    /// The worker has left, for it was shut down.
    Left,
    /// The worker has left, for the coordinator wanted it to.
    Drained,
    /// It broke, with the reason.
    Lost(String),
}

/// What a worker keeps from stream to stream.
pub(super) struct Worker {
    evaluator: Arc<dyn Evaluator>,
    pool: Pool,
    finished: mpsc::UnboundedReceiver<Finished>,
    reports: Reports,
    /// By the digest of their specs, the most recently used last.
    runners: VecDeque<(Digest, Arc<dyn Runner>)>,
    /// One data set is fetched at a time.
    fetching: Arc<Semaphore>,
    tickets: u64,
    pub(super) end: SessionEnd,
}

impl Worker {
    pub(super) fn new(
        evaluator: Arc<dyn Evaluator>,
        pool: Pool,
        finished: mpsc::UnboundedReceiver<Finished>,
        reports: Reports,
    ) -> Self {
        let (runners, fetching) = (VecDeque::new(), Arc::new(Semaphore::new(1)));
        Self { evaluator, pool, finished, reports, runners, fetching, tickets: 0, end: SessionEnd::default() }
    }

    fn runner(&mut self, spec: Digest) -> Option<Arc<dyn Runner>> {
        let place = self.runners.iter().position(|(digest, _)| *digest == spec)?;
        let found = self.runners.remove(place)?;
        self.runners.push_back(found.clone());
        Some(found.1)
    }

    fn remember(&mut self, spec: Digest, runner: Arc<dyn Runner>) {
        if self.runners.len() >= PREPARED_RUNS_MAX {
            self.runners.pop_front();
        }
        self.runners.push_back((spec, runner));
    }
}

/// A run or an evaluation that was announced on this stream.
struct Announced {
    work: Announcement,
    digest: Digest,
    layout_digest: Digest,
    preparing: bool,
    /// Batches that wait for the preparation.
    waiting: Vec<(Batch, Option<Span>)>,
}

/// A job whose episodes have not all arrived.
struct Open {
    job: Arc<PoolBatch>,
    remaining: usize,
    /// If the batch is traced: from its arrival to its last outcome, and the time that was computed.
    span: Option<Span>,
    compute_time: Duration,
}

type Prepared = (RunId, Result<Arc<dyn Runner>, String>);

/// An attached stream.
pub(super) struct Stream<'a> {
    settings: &'a SessionSettings,
    worker: &'a mut Worker,
    /// The connection, for what is asked beside the stream.
    channel: Authorised,
    incoming: Streaming<v1::AttachResponse>,
    outgoing: mpsc::Sender<v1::AttachRequest>,
    /// What is sent before any report.
    urgent: VecDeque<FromWorker>,
    /// Sequence number of the last report sent on this stream.
    sent: u64,
    heartbeat: Interval,
    /// How often the worker is heard while it holds nothing, and when it last said that it lives.
    idle_heartbeat_interval: Duration,
    said: Instant,
    /// Runs and evaluations; `None` for one that was rejected.
    runs: BTreeMap<RunId, Option<Announced>>,
    preparing: JoinSet<Prepared>,
    open: BTreeMap<u64, Open>,
    /// Episodes of open jobs and waiting batches.
    held: usize,
    /// When what was gathered becomes a report.
    report_at: Option<Instant>,
    /// Set when the stream shall end as soon as all is reported.
    leaving: Option<StreamEnd>,
    /// When it ends even if it is not.
    deadline: Option<Instant>,
}

impl<'a> Stream<'a> {
    /// Connects, says hello and waits for the welcome.
    pub(super) async fn attach(
        settings: &'a SessionSettings,
        worker: &'a mut Worker,
        attempt: usize,
    ) -> Result<Self, String> {
        let channel = settings.coordinators.connect(&settings.transport, attempt).await?;
        let (outgoing, queue) = mpsc::channel(OUTGOING_LENGTH);
        let hello = v1::AttachRequest { kind: Some(RequestKind::Hello((&settings.hello).into())) };
        outgoing.try_send(hello).map_err(|error| error.to_string())?;
        let mut client = DispatchServiceClient::new(channel.clone())
            .max_decoding_message_size(PEER_MESSAGE_BYTES_MAX)
            .max_encoding_message_size(COORDINATOR_MESSAGE_BYTES_MAX);
        let welcome = async {
            let mut incoming = client.attach(ReceiverStream::new(queue)).await?.into_inner();
            let first = incoming.message().await?;
            Ok::<_, Status>((incoming, first))
        };
        let (incoming, first) = tokio::time::timeout(settings.transport.connect_timeout, welcome)
            .await
            .map_err(|_| "the coordinator did not answer the hello in time".to_owned())?
            .map_err(|status| said(&status))?;
        let Some(ResponseKind::Welcome(welcome)) = first.and_then(|message| message.kind) else {
            return Err("the coordinator's first message was not a welcome".to_owned());
        };
        let welcome = Welcome::try_from(welcome).map_err(|error| format!("welcome.{error}"))?;
        tracing::info!(worker = %welcome.worker, "attached");
        worker.end.streams += 1;
        settings.figures.attached();
        let mut heartbeat = tokio::time::interval(welcome.heartbeat_interval);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // What was gathered while no coordinator was there goes first.
        worker.reports.close();
        Ok(Self {
            settings,
            worker,
            channel,
            incoming,
            outgoing,
            urgent: VecDeque::new(),
            sent: 0,
            heartbeat,
            idle_heartbeat_interval: welcome.idle_heartbeat_interval,
            said: Instant::now(),
            runs: BTreeMap::new(),
            preparing: JoinSet::new(),
            open: BTreeMap::new(),
            held: 0,
            report_at: None,
            leaving: None,
            deadline: None,
        })
    }

    /// Works until the stream ends or, after the shutdown, until all that is held is reported.
    pub(super) async fn work(&mut self, shutdown: &CancellationToken) -> StreamEnd {
        let end = loop {
            if self.is_done()
                && let Some(end) = self.leaving.take()
            {
                self.close().await;
                break end;
            }
            let stopping = matches!(self.leaving, Some(StreamEnd::Left));
            let step = tokio::select! {
                message = self.incoming.message() => self.hear(message),
                Some(finished) = self.worker.finished.recv() => {
                    self.gather(finished);
                    Ok(())
                }
                () = until(self.report_at), if self.report_at.is_some() => {
                    self.report();
                    Ok(())
                }
                permit = self.outgoing.clone().reserve_owned(), if self.has_outgoing() => match permit {
                    Ok(permit) => {
                        if let Some(message) = self.next_outgoing() {
                            permit.send(message);
                        }
                        Ok(())
                    }
                    // The answer says why.
                    Err(_) => Err(self.reason().await),
                },
                _ = self.heartbeat.tick() => {
                    self.say_that_it_lives();
                    Ok(())
                }
                Some(prepared) = self.preparing.join_next() => {
                    if let Ok((run, runner)) = prepared {
                        self.prepared(run, runner);
                    }
                    Ok(())
                }
                () = shutdown.cancelled(), if !stopping => {
                    self.leave(StreamEnd::Left, self.settings.shutdown_grace);
                    Ok(())
                }
                () = until(self.deadline), if self.deadline.is_some() => {
                    // What is being computed is given to others when the stream ends.
                    self.close().await;
                    break self.leaving.take().unwrap_or(StreamEnd::Left);
                }
            };
            if let Err(problem) = step {
                break StreamEnd::Lost(problem);
            }
            self.settings.figures.holds(self.held);
        };
        // What was not begun is given to others; what is being computed will be reported on the next stream.
        self.worker.pool.discard_queued();
        end
    }

    /// Says so as often as the coordinator wants to hear it: it waits for workers that hold something.
    fn say_that_it_lives(&mut self) {
        let early = self.heartbeat.period() / 2;
        let due = self.held > 0 || self.said.elapsed() + early >= self.idle_heartbeat_interval;
        // At most one waits: several would say nothing more.
        if due && !self.urgent.contains(&FromWorker::Heartbeat) {
            self.said = Instant::now();
            self.urgent.push_back(FromWorker::Heartbeat);
        }
    }

    /// Takes nothing more, finishes what has been begun, within a time, and gives the rest back.
    fn leave(&mut self, end: StreamEnd, within: Duration) {
        let deadline = Instant::now() + within;
        self.deadline = Some(self.deadline.map_or(deadline, |before| before.min(deadline)));
        if self.leaving.replace(end).is_some() {
            return;
        }
        self.urgent.push_back(FromWorker::Leaving);
        // Comparisons are given to others; the cores are for what is to be finished.
        for (job, first) in self.worker.pool.discard_queued() {
            let rest = &job.batch.assignments[first..];
            // A job of an earlier stream is not held from this one.
            let Some(open) = self.open.get_mut(&job.ticket) else { continue };
            open.remaining -= rest.len();
            if open.remaining == 0 {
                self.open.remove(&job.ticket);
            }
            self.give_back(&job.batch, rest);
        }
        let announced = self.runs.values_mut().flatten();
        let waiting: Vec<_> =
            announced.flat_map(|announced| std::mem::take(&mut announced.waiting)).collect();
        for (batch, _) in waiting {
            self.give_back(&batch, &batch.assignments);
        }
    }

    /// Gives episodes back that are held and will not be begun.
    fn give_back(&mut self, batch: &Batch, rest: &[Assignment]) {
        self.held -= rest.len();
        if rest.is_empty() {
            return;
        }
        let episode =
            |assignment: &Assignment| (batch.genomes[assignment.genome as usize].candidate, assignment.task);
        let Batch { run, generation, purpose, block, .. } = *batch;
        let episodes = rest.iter().map(episode).collect();
        self.urgent.push_back(FromWorker::GiveBack(BlockEpisodes {
            run,
            generation,
            purpose,
            block,
            episodes,
        }));
    }

    /// Whether nothing is held and all is sent.
    fn is_done(&self) -> bool {
        self.held == 0 && self.report_at.is_none() && !self.has_outgoing()
    }

    fn has_outgoing(&self) -> bool {
        !self.urgent.is_empty() || self.worker.reports.after(self.sent).is_some()
    }

    fn next_outgoing(&mut self) -> Option<v1::AttachRequest> {
        if let Some(message) = self.urgent.pop_front() {
            return Some((&message).into());
        }
        let report = self.worker.reports.after(self.sent)?;
        self.sent = report.sequence;
        Some(v1::AttachRequest { kind: Some(RequestKind::Report(report.into())) })
    }

    fn report(&mut self) {
        self.report_at = None;
        self.worker.reports.close();
    }

    /// Closes our side, so that all that was sent arrives, and waits a little for the other.
    async fn close(&mut self) {
        let (unused, _) = mpsc::channel(1);
        self.outgoing = unused;
        let rest = async { while let Ok(Some(_)) = self.incoming.message().await {} };
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, rest).await;
    }

    /// Why the coordinator does not listen any more.
    async fn reason(&mut self) -> String {
        let last = async {
            loop {
                match self.incoming.message().await {
                    Ok(Some(_)) => {}
                    Ok(None) => return "the coordinator closed the stream".to_owned(),
                    Err(status) => return said(&status),
                }
            }
        };
        let silent = |_| "the connection broke".to_owned();
        tokio::time::timeout(CLOSE_TIMEOUT, last).await.unwrap_or_else(silent)
    }

    /// Takes over what the pool has finished; reports it at once where a batch is complete, else soon.
    fn gather(&mut self, finished: Finished) {
        self.worker.end.episodes += finished.settlements.len() as u64;
        self.settings.figures.settled(&finished.settlements);
        let episodes = finished.episodes();
        let ticket = finished.job.ticket;
        let compute_time: Duration = finished.settlements.iter().map(|settled| settled.compute_time).sum();
        self.worker.reports.add(&finished.job.batch, finished.settlements);
        // A job of an earlier stream is not open.
        if let Some(open) = self.open.get_mut(&ticket) {
            open.remaining -= episodes;
            self.held -= episodes;
            open.compute_time += compute_time;
            if open.remaining == 0 {
                if let Some(Open { span: Some(mut span), compute_time, .. }) = self.open.remove(&ticket) {
                    span.set("hebbian.compute_time_s", compute_time.as_secs_f64());
                }
                self.report();
                return;
            }
        }
        self.report_at.get_or_insert_with(|| Instant::now() + self.settings.report_delay);
    }
}

/// What the coordinator said when it ended the stream, or, where the stream broke on the way, why.
fn said(status: &Status) -> String {
    match std::error::Error::source(status) {
        Some(source) => chain(source),
        None => format!("{}: {}", status.code(), status.message()),
    }
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

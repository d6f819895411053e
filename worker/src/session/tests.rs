use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

use futures_util::StreamExt as _;
use hebbian_proto::v1;
use hebbian_proto::v1::attach_request::Kind as RequestKind;
use hebbian_proto::v1::attach_response::Kind as ResponseKind;
use hebbian_proto::v1::dispatch_service_server::{DispatchService, DispatchServiceServer};
use hebbian_shared::digest::Digest;
use hebbian_shared::dispatch::{
    Assignment, Batch, BatchGenome, BlockEpisodes, FromWorker, Report, ToWorker, Welcome,
};
use hebbian_shared::episode::{EpisodeKey, EpisodePurpose, Evaluation, Outcome, Wants};
use hebbian_shared::fitness::Fitness;
use hebbian_shared::genome::Genome;
use hebbian_shared::id::{BlockIndex, CandidateIndex, GenerationIndex, RunId, TaskIndex, WorkerId};
use hebbian_shared::spec::RunSpec;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::*;
use crate::evaluator::{Episodes, Runner};
use hebbian_learning::interrupt::Interrupt;

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// The fitness is the task's index; while the gate is closed, episodes wait or are interrupted.
#[derive(Default)]
struct Fake {
    closed: AtomicBool,
    prepared: AtomicU32,
    begun: AtomicU32,
    interrupted: AtomicU32,
}

impl Fake {
    /// Waits until so many episodes have begun, and so many of them were interrupted.
    async fn until(&self, begun: u32, interrupted: u32) {
        let seen = || (self.begun.load(Ordering::Relaxed), self.interrupted.load(Ordering::Relaxed));
        let poll = async {
            while seen() != (begun, interrupted) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, poll).await;
        waited
            .unwrap_or_else(|_| panic!("{:?} begun and interrupted, not {:?}", seen(), (begun, interrupted)));
    }
}

struct FakeThread(Arc<Fake>);

impl Evaluator for Arc<Fake> {
    fn prepare(&self, spec: Arc<RunSpec>) -> Result<Arc<dyn Runner>, String> {
        self.prepared.fetch_add(1, Ordering::Relaxed);
        match spec.name.as_str() {
            "unknown" => Err("no such data set here".to_owned()),
            "panic" => panic!("while preparing"),
            _ => Ok(Arc::new(self.clone())),
        }
    }

    fn prepare_evaluation(&self, request: &str) -> Result<Arc<dyn Runner>, String> {
        match request {
            "known" => Ok(Arc::new(self.clone())),
            _ => Err("no such evaluation here".to_owned()),
        }
    }
}

impl Runner for Arc<Fake> {
    fn on_thread(self: Arc<Self>) -> Box<dyn Episodes> {
        Box::new(FakeThread(Arc::unwrap_or_clone(self)))
    }
}

impl Episodes for FakeThread {
    fn run(&mut self, _: &Genome, key: &EpisodeKey, _: Wants, interrupt: &Interrupt) -> Option<Outcome> {
        self.0.begun.fetch_add(1, Ordering::Relaxed);
        while self.0.closed.load(Ordering::Relaxed) {
            if interrupt.is_raised() {
                self.0.interrupted.fetch_add(1, Ordering::Relaxed);
                return None;
            }
            thread::sleep(Duration::from_millis(1));
        }
        let fitness = Fitness::new(f64::from(key.task.0)).unwrap();
        Some(Outcome::Evaluated(Evaluation::of(fitness)))
    }
}

/// A coordinator that hands every stream to the test.
struct FakeCoordinator {
    streams: mpsc::Sender<FakeStream>,
}

struct FakeStream {
    incoming: Streaming<v1::AttachRequest>,
    outgoing: mpsc::Sender<Result<v1::AttachResponse, Status>>,
}

#[tonic::async_trait]
impl DispatchService for FakeCoordinator {
    type AttachStream = Pin<Box<ReceiverStream<Result<v1::AttachResponse, Status>>>>;

    async fn attach(
        &self,
        request: Request<Streaming<v1::AttachRequest>>,
    ) -> Result<Response<Self::AttachStream>, Status> {
        let (outgoing, queue) = mpsc::channel(64);
        let stream = FakeStream { incoming: request.into_inner(), outgoing };
        self.streams.send(stream).await.map_err(|_| Status::unavailable("the test has ended"))?;
        Ok(Response::new(Box::pin(ReceiverStream::new(queue))))
    }
}

impl FakeStream {
    /// What the worker says next.
    async fn hear(&mut self) -> Option<RequestKind> {
        let message = tokio::time::timeout(PATIENCE, self.incoming.message()).await.expect("in time");
        message.ok().flatten().map(|message| message.kind.expect("a kind"))
    }

    /// What the worker says next beside heartbeats.
    async fn hear_news(&mut self) -> Option<FromWorker> {
        loop {
            match self.hear().await? {
                RequestKind::Heartbeat(_) => {}
                kind => return Some(v1::AttachRequest { kind: Some(kind) }.try_into().expect("valid")),
            }
        }
    }

    async fn hear_report(&mut self) -> Report {
        match self.hear_news().await {
            Some(FromWorker::Report(report)) => report,
            other => panic!("a report was expected, not {other:?}"),
        }
    }

    async fn say(&self, message: impl Into<v1::AttachResponse>) {
        self.outgoing.send(Ok(message.into())).await.expect("the worker listens");
    }
}

/// A worker attached to a fake coordinator.
struct Setting {
    streams: mpsc::Receiver<FakeStream>,
    evaluator: Arc<Fake>,
    shutdown: CancellationToken,
    worker: JoinHandle<Result<SessionEnd, SessionError>>,
}

impl Setting {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut SessionSettings)) -> Self {
        let (dial, connections) = mpsc::channel(4);
        let (sender, streams) = mpsc::channel(4);
        let service = DispatchServiceServer::new(FakeCoordinator { streams: sender });
        let incoming = ReceiverStream::new(connections).map(Ok::<_, io::Error>);
        tokio::spawn(tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming));
        let hello = Hello {
            name: "worker".to_owned(),
            threads: 2,
            episode_semantics: 1,
            fingerprint: Digest([7; 32]),
            version: "0".to_owned(),
            serves: Vec::new(),
        };
        let mut settings = SessionSettings::new(Coordinators::Memory(dial), hello);
        settings.shutdown_grace = Duration::from_millis(500);
        change(&mut settings);
        let evaluator = Arc::new(Fake::default());
        let shutdown = CancellationToken::new();
        let worker = tokio::spawn(run(settings, Arc::new(evaluator.clone()), shutdown.clone()));
        Self { streams, evaluator, shutdown, worker }
    }

    /// The worker's next stream, before its hello is read.
    async fn stream(&mut self) -> FakeStream {
        tokio::time::timeout(PATIENCE, self.streams.recv()).await.expect("in time").expect("a stream")
    }

    /// The worker's next stream, welcomed.
    async fn attached(&mut self) -> FakeStream {
        let mut stream = self.stream().await;
        assert!(matches!(stream.hear().await, Some(RequestKind::Hello(_))));
        let welcome = Welcome {
            worker: WorkerId(1),
            heartbeat_interval: Duration::from_millis(20),
            idle_heartbeat_interval: Duration::from_millis(60),
        };
        stream
            .say(v1::AttachResponse {
                kind: Some(ResponseKind::Welcome((&welcome).into())),
                traceparent: None,
            })
            .await;
        stream
    }

    async fn end(self) -> SessionEnd {
        self.shutdown.cancel();
        tokio::time::timeout(PATIENCE, self.worker)
            .await
            .expect("in time")
            .expect("no panic")
            .expect("no error")
    }
}

fn spec(name: &str) -> RunSpec {
    let text = r#"
        name = "NAME"
        strategy = { kind = "cma-es", population_size = 16 }
        tasks = { families = ["xor"] }
        stop = { generations = 3 }
    "#;
    RunSpec::read(&text.replace("NAME", name)).unwrap()
}

fn announce(run: u64, name: &str) -> v1::AttachResponse {
    (&ToWorker::Spec { run: RunId::new(run), spec: Arc::new(spec(name).into()) }).into()
}

fn batch(run: u64, generation: u32, tasks: u32) -> Batch {
    let layout = spec("any").layout();
    Batch {
        run: RunId::new(run),
        layout: layout.digest(),
        generation: GenerationIndex(generation),
        purpose: EpisodePurpose::Search,
        block: BlockIndex(0),
        wants: Wants::default(),
        genomes: vec![BatchGenome {
            candidate: CandidateIndex(5),
            genome: Arc::new(Genome(vec![0.0; layout.dimension()])),
            parameters: Vec::new(),
        }],
        assignments: (0..tasks)
            .map(|task| Assignment { genome: 0, task: TaskIndex(task), seed: 0 })
            .collect(),
    }
}

fn work(run: u64, generation: u32, tasks: u32) -> v1::AttachResponse {
    (&ToWorker::Batch(batch(run, generation, tasks))).into()
}

/// Reads reports until so many outcomes of a generation have come; each is the task's index.
async fn check(stream: &mut FakeStream, generation: u32, tasks: u32) {
    let mut found = Vec::new();
    while found.len() < tasks as usize {
        let report = stream.hear_report().await;
        assert_eq!(report.generation.0, generation);
        for settlement in report.settlements {
            assert_eq!(settlement.candidate, CandidateIndex(5));
            let fitness = Fitness::new(f64::from(settlement.task.0)).unwrap();
            assert_eq!(settlement.outcome, Outcome::Evaluated(Evaluation::of(fitness)));
            found.push(settlement.task.0);
        }
    }
    found.sort_unstable();
    assert_eq!(found, (0..tasks).collect::<Vec<_>>());
}

#[tokio::test]
async fn batches_of_several_runs_are_computed_and_reported() {
    let mut setting = Setting::new();
    let mut stream = setting.attached().await;
    stream.say(announce(1, "one")).await;
    stream.say(work(1, 0, 100)).await;
    check(&mut stream, 0, 100).await;
    stream.say(announce(2, "two")).await;
    stream.say(work(2, 4, 3)).await;
    check(&mut stream, 4, 3).await;
    stream.say(work(1, 1, 3)).await;
    check(&mut stream, 1, 3).await;
    assert_eq!(setting.evaluator.prepared.load(Ordering::Relaxed), 2);
    let end = setting.end().await;
    assert_eq!(end, SessionEnd { streams: 1, episodes: 106 });
}

#[tokio::test]
async fn an_evaluation_is_computed_until_it_is_withdrawn_and_rejected_if_it_is_not_understood() {
    let mut setting = Setting::new();
    let mut stream = setting.attached().await;
    let evaluation =
        |request: &str| ToWorker::Evaluation { evaluation: RunId::new(9), request: Arc::from(request) };
    let batch = |tasks| {
        let mut batch = batch(9, 0, tasks);
        batch.layout = Digest::of(b"known");
        ToWorker::Batch(batch)
    };
    stream.say(&evaluation("known")).await;
    stream.say(&batch(5)).await;
    check(&mut stream, 0, 5).await;
    // Of all its reports; they are not sent again.
    stream.say(&ToWorker::Acknowledge { sequence: 1000 }).await;
    stream.say(&ToWorker::Withdraw { run: RunId::new(9), up_to: None }).await;
    // It was forgotten: the same id may name another.
    stream.say(&evaluation("unknown")).await;
    let rejected = FromWorker::Reject { run: RunId::new(9), reason: "no such evaluation here".to_owned() };
    assert_eq!(stream.hear_news().await, Some(rejected));
    drop(stream);

    let mut stream = setting.attached().await;
    stream.say(&evaluation("known")).await;
    stream.say(&ToWorker::Withdraw { run: RunId::new(9), up_to: None }).await;
    stream.say(&batch(1)).await;
    assert_eq!(stream.hear_news().await, None, "a batch of what was withdrawn ends the stream");
}

#[tokio::test]
async fn heartbeats_go_on_while_all_threads_compute() {
    let mut setting = Setting::new();
    let mut stream = setting.attached().await;
    setting.evaluator.closed.store(true, Ordering::Relaxed);
    stream.say(announce(1, "one")).await;
    stream.say(work(1, 0, 8)).await;
    for _ in 0..20 {
        assert!(matches!(stream.hear().await, Some(RequestKind::Heartbeat(_))));
    }
    setting.evaluator.closed.store(false, Ordering::Relaxed);
    check(&mut stream, 0, 8).await;
}

#[tokio::test]
async fn what_was_not_acknowledged_is_sent_again_after_a_reconnect() {
    let mut setting = Setting::new();
    let mut stream = setting.attached().await;
    stream.say(announce(1, "one")).await;
    stream.say(work(1, 0, 1)).await;
    let first = stream.hear_report().await;
    stream.say(work(1, 1, 1)).await;
    let second = stream.hear_report().await;
    assert_eq!((first.sequence, second.sequence), (1, 2));
    stream.say(&ToWorker::Acknowledge { sequence: 1 }).await;
    // The acknowledgement is read before the end of the stream.
    drop(stream);

    let mut stream = setting.attached().await;
    assert_eq!(stream.hear_report().await, second);
    stream.say(announce(1, "one")).await;
    stream.say(work(1, 2, 1)).await;
    let third = stream.hear_report().await;
    assert_eq!(third.sequence, 3);
    stream.say(&ToWorker::Acknowledge { sequence: 3 }).await;
    drop(stream);

    let mut stream = setting.attached().await;
    stream.say(announce(1, "one")).await;
    stream.say(work(1, 3, 1)).await;
    assert_eq!(stream.hear_report().await.sequence, 4);
    assert_eq!(setting.evaluator.prepared.load(Ordering::Relaxed), 1, "runners outlive streams");
    assert_eq!(setting.end().await.streams, 3);
}

#[tokio::test]
async fn what_runs_when_a_stream_breaks_is_reported_on_the_next_and_the_rest_is_dropped() {
    let mut setting = Setting::new();
    let stream = setting.attached().await;
    setting.evaluator.closed.store(true, Ordering::Relaxed);
    stream.say(announce(1, "one")).await;
    stream.say(work(1, 0, 50)).await;
    setting.evaluator.until(2, 0).await;
    drop(stream);
    let mut stream = setting.attached().await;
    setting.evaluator.closed.store(false, Ordering::Relaxed);
    // Two threads had begun two episodes.
    check(&mut stream, 0, 2).await;
    stream.say(announce(1, "one")).await;
    stream.say(work(1, 1, 1)).await;
    check(&mut stream, 1, 1).await;
}

#[tokio::test]
async fn withdrawn_work_is_interrupted_and_not_reported() {
    let mut setting = Setting::new();
    let mut stream = setting.attached().await;
    setting.evaluator.closed.store(true, Ordering::Relaxed);
    stream.say(announce(1, "one")).await;
    stream.say(work(1, 0, 8)).await;
    // Only then the other run: the worker may be ready for either first.
    setting.evaluator.until(2, 0).await;
    stream.say(announce(2, "two")).await;
    stream.say(work(1, 1, 8)).await;
    stream.say(work(2, 7, 8)).await;
    let run = RunId::new(1);
    stream.say(&ToWorker::Withdraw { run, up_to: Some(GenerationIndex(0)) }).await;
    setting.evaluator.until(4, 2).await;
    stream.say(&ToWorker::Withdraw { run, up_to: None }).await;
    setting.evaluator.until(6, 4).await;
    setting.evaluator.closed.store(false, Ordering::Relaxed);
    check(&mut stream, 7, 8).await;
    // The withdrawn run can go on.
    stream.say(work(1, 2, 2)).await;
    check(&mut stream, 2, 2).await;
}

#[tokio::test]
async fn single_episodes_are_withdrawn_and_the_others_reported() {
    let mut setting = Setting::new();
    let mut stream = setting.attached().await;
    setting.evaluator.closed.store(true, Ordering::Relaxed);
    stream.say(announce(1, "one")).await;
    stream.say(work(1, 0, 8)).await;
    stream.say(work(1, 1, 2)).await;
    setting.evaluator.until(2, 0).await;
    let unwanted = |generation, tasks: &[u32]| {
        ToWorker::WithdrawEpisodes(BlockEpisodes {
            run: RunId::new(1),
            generation: GenerationIndex(generation),
            purpose: EpisodePurpose::Search,
            block: BlockIndex(0),
            episodes: tasks.iter().map(|&task| (CandidateIndex(5), TaskIndex(task))).collect(),
        })
    };
    // One that waits, one that is being computed, and some that there are not.
    stream.say(&unwanted(0, &[7, 0, 100])).await;
    stream.say(&unwanted(3, &[1])).await;
    setting.evaluator.until(3, 1).await;
    setting.evaluator.closed.store(false, Ordering::Relaxed);
    let mut found = Vec::new();
    while found.len() < 8 {
        let report = stream.hear_report().await;
        found.extend(report.settlements.iter().map(|of| (report.generation.0, of.task.0)));
    }
    found.sort_unstable();
    assert_eq!(found, [(0, 1), (0, 2), (0, 3), (0, 4), (0, 5), (0, 6), (1, 0), (1, 1)]);
    setting.evaluator.until(9, 1).await;
    let end = setting.end().await;
    assert_eq!(end.episodes, 8);
}

#[tokio::test]
async fn a_run_that_the_worker_cannot_do_is_rejected_with_the_reason() {
    async fn rejected(stream: &mut FakeStream, announcement: v1::AttachResponse, expected: &str) {
        stream.say(announcement).await;
        match stream.hear_news().await {
            Some(FromWorker::Reject { reason, .. }) => assert!(reason.contains(expected), "{reason}"),
            other => panic!("a reject was expected, not {other:?}"),
        }
    }
    let mut setting = Setting::new();
    let mut stream = setting.attached().await;
    rejected(&mut stream, announce(1, "unknown"), "no such data set").await;
    rejected(&mut stream, announce(2, "panic"), "panicked: while preparing").await;

    let mut newer = announce(3, "newer");
    let Some(ResponseKind::Announcement(announcement)) = &mut newer.kind else { unreachable!() };
    announcement.spec = announcement.spec.replace(r#"["xor"]"#, r#"["xor","torus"]"#);
    rejected(&mut stream, newer, "`torus` is not a task family").await;

    stream.say(announce(4, "other")).await;
    let other_layout = Batch { layout: Digest([1; 32]), ..batch(4, 0, 1) };
    rejected(&mut stream, (&ToWorker::Batch(other_layout)).into(), "lays genomes out").await;

    // Batches that crossed the rejection are dropped, and other runs go on, whatever a newer coordinator says in between.
    stream.say(work(1, 0, 1)).await;
    stream.say(v1::AttachResponse::default()).await;
    stream.say(announce(5, "good")).await;
    stream.say(work(5, 1, 1)).await;
    check(&mut stream, 1, 1).await;
}

#[tokio::test]
async fn nonsense_ends_the_stream_and_the_worker_comes_back() {
    let mut setting = Setting::new();
    let mut nonsense = work(1, 0, 1);
    let Some(ResponseKind::Batch(batch)) = &mut nonsense.kind else { unreachable!() };
    batch.assignments[0].genome = 9;
    let again =
        v1::AttachResponse { kind: Some(ResponseKind::Welcome(v1::Welcome::default())), traceparent: None };
    for message in [work(1, 0, 1), nonsense, again] {
        let mut stream = setting.attached().await;
        stream.say(message).await;
        while stream.hear().await.is_some() {}
    }
    // A coordinator that does not say welcome first.
    let mut stream = setting.stream().await;
    stream.say(announce(1, "one")).await;
    while stream.hear().await.is_some() {}
    setting.attached().await;
}

/// Reads what a worker gives back of a generation until it has reported the two episodes that its threads had begun.
async fn check_leaving(stream: &mut FakeStream, tasks: u32) {
    let Some(FromWorker::GiveBack(given)) = stream.hear_news().await else { panic!("nothing is given back") };
    assert_eq!((given.run, given.generation), (RunId::new(1), GenerationIndex(0)));
    let expected: Vec<_> = (2..tasks).map(|task| (CandidateIndex(5), TaskIndex(task))).collect();
    assert_eq!(given.episodes, expected);
}

#[tokio::test]
async fn a_drained_worker_finishes_gives_the_rest_back_and_leaves_for_good() {
    let mut setting = Setting::new();
    let mut stream = setting.attached().await;
    setting.evaluator.closed.store(true, Ordering::Relaxed);
    stream.say(announce(1, "one")).await;
    stream.say(work(1, 0, 4)).await;
    setting.evaluator.until(2, 0).await;
    stream.say(&ToWorker::Drain { within: PATIENCE }).await;
    assert_eq!(stream.hear_news().await, Some(FromWorker::Leaving));
    check_leaving(&mut stream, 4).await;
    // What crosses the message comes back, too.
    stream.say(work(1, 0, 1)).await;
    let Some(FromWorker::GiveBack(given)) = stream.hear_news().await else { panic!("it is kept") };
    assert_eq!(given.episodes, [(CandidateIndex(5), TaskIndex(0))]);
    setting.evaluator.closed.store(false, Ordering::Relaxed);
    check(&mut stream, 0, 2).await;
    assert_eq!(stream.hear_news().await, None, "the stream is closed");
    drop(stream);
    let end = tokio::time::timeout(PATIENCE, setting.worker).await.expect("in time").unwrap().unwrap();
    assert_eq!(end, SessionEnd { streams: 1, episodes: 2 });
}

#[tokio::test]
async fn a_drain_has_a_deadline() {
    let mut setting = Setting::new();
    let mut stream = setting.attached().await;
    setting.evaluator.closed.store(true, Ordering::Relaxed);
    stream.say(announce(1, "one")).await;
    stream.say(work(1, 0, 2)).await;
    setting.evaluator.until(2, 0).await;
    stream.say(&ToWorker::Drain { within: Duration::from_millis(50) }).await;
    assert_eq!(stream.hear_news().await, Some(FromWorker::Leaving));
    assert_eq!(stream.hear_news().await, None, "it does not wait for what it has begun");
    let end = tokio::time::timeout(PATIENCE, setting.worker).await.expect("in time").unwrap().unwrap();
    assert_eq!(end.episodes, 0);
}

#[tokio::test]
async fn a_worker_that_is_shut_down_reports_what_it_has_begun() {
    let mut setting = Setting::new();
    let mut stream = setting.attached().await;
    setting.evaluator.closed.store(true, Ordering::Relaxed);
    stream.say(announce(1, "one")).await;
    stream.say(work(1, 0, 4)).await;
    setting.evaluator.until(2, 0).await;
    setting.shutdown.cancel();
    assert_eq!(stream.hear_news().await, Some(FromWorker::Leaving));
    check_leaving(&mut stream, 4).await;
    setting.evaluator.closed.store(false, Ordering::Relaxed);
    check(&mut stream, 0, 2).await;
    assert_eq!(stream.hear_news().await, None, "the stream is closed");
    drop(stream);
    assert_eq!(setting.end().await, SessionEnd { streams: 1, episodes: 2 });
}

/// Counts heartbeats in twenty intervals of a worker that holds something.
#[tokio::test]
async fn a_worker_that_holds_nothing_is_heard_less_often() {
    let mut setting = Setting::new();
    let mut stream = setting.attached().await;
    let heard = async {
        let start = Instant::now();
        for _ in 0..3 {
            assert!(matches!(stream.hear().await, Some(RequestKind::Heartbeat(_))));
        }
        start.elapsed()
    };
    // Three intervals of 60 ms, the first of which may be short by half an interval of 20 ms.
    assert!(heard.await >= Duration::from_millis(140), "as often as if it were busy");
}

#[tokio::test]
async fn the_grace_of_a_shutdown_is_limited() {
    let mut setting = Setting::new();
    let stream = setting.attached().await;
    setting.evaluator.closed.store(true, Ordering::Relaxed);
    stream.say(announce(1, "one")).await;
    stream.say(work(1, 0, 4)).await;
    assert_eq!(setting.end().await.episodes, 0);
}

/// Settings of a worker whose coordinator is gone.
fn alone() -> SessionSettings {
    let (dial, connections) = mpsc::channel(1);
    drop(connections);
    let hello = Hello {
        name: "worker".to_owned(),
        threads: 1,
        episode_semantics: 1,
        fingerprint: Digest([7; 32]),
        version: "0".to_owned(),
        serves: Vec::new(),
    };
    SessionSettings::new(Coordinators::Memory(dial), hello)
}

/// The clock is the test's: ten minutes of vain attempts pass at once.
#[tokio::test(start_paused = true)]
async fn a_worker_without_coordinator_keeps_trying_until_it_is_shut_down() {
    let shutdown = CancellationToken::new();
    let worker = tokio::spawn(run(alone(), Arc::new(Arc::new(Fake::default())), shutdown.clone()));
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert!(!worker.is_finished());
    shutdown.cancel();
    assert_eq!(worker.await.unwrap().unwrap(), SessionEnd::default());
}

#[tokio::test(start_paused = true)]
async fn a_worker_without_coordinator_ends_when_its_patience_does() {
    let start = Instant::now();
    let settings = SessionSettings { patience: Some(Duration::from_secs(300)), ..alone() };
    let end = run(settings, Arc::new(Arc::new(Fake::default())), CancellationToken::new()).await;
    assert!(matches!(end, Err(SessionError::Alone(_))), "{end:?}");
    let waited = start.elapsed().as_secs_f64();
    assert!((300.0..302.0).contains(&waited), "{waited} s");
}

/// The time with a coordinator does not count.
#[tokio::test]
async fn patience_begins_when_a_coordinator_is_lost() {
    let patience = Duration::from_millis(500);
    let mut setting = Setting::with(|settings| settings.patience = Some(patience));
    let stream = setting.attached().await;
    tokio::time::sleep(patience).await;
    drop(stream);
    setting.attached().await;
}

#[test]
fn addresses_are_checked() {
    fn refused(address: &str, expected: &str) {
        let error = Coordinators::parse(&[address], &ClientTlsConfig::new()).unwrap_err().to_string();
        assert!(error.starts_with(&format!("`{address}`")), "{error}");
        assert!(error.contains(expected), "{error}");
    }
    assert!(matches!(
        Coordinators::parse(&["localhost:1", "http://[::1]:2", "https://a:3"], &ClientTlsConfig::new()),
        Ok(Coordinators::Addresses { addresses, .. }) if addresses.len() == 3
    ));
    refused("ftp://localhost:1", "must be http or https, not ftp");
    refused("https://localhost", "needs a port");
    refused("localhost", "needs a port");
    refused("local host:1", "a host and a port have no ' '");
    refused("http://http://localhost:1", "a host and a port have no '/'");
    refused("localhost:99999", "a port is a number from 1 to 65535, not `99999`");
    refused("http://:1", "it names no host");
    let none: [&str; 0] = [];
    assert!(matches!(Coordinators::parse(&none, &ClientTlsConfig::new()), Err(SessionError::NoCoordinator)));
}

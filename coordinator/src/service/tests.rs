use std::sync::Arc;

use hebbian_control::engine::effect::Transaction;
use hebbian_control::run::record::{LoadedRun, Snapshot};
use hebbian_control::run::strategy::Strategies;
use hebbian_proto::figures::RunState;
use hebbian_proto::v1;
use hebbian_proto::v1::attach_request::Kind as RequestKind;
use hebbian_proto::v1::attach_response::Kind as ResponseKind;
use hebbian_proto::v1::cluster_service_client::ClusterServiceClient;
use hebbian_proto::v1::dispatch_service_client::DispatchServiceClient;
use hebbian_proto::v1::run_service_client::RunServiceClient;
use hebbian_shared::dispatch::{FromWorker, Hello, ToWorker, Welcome};
use hebbian_shared::episode::EPISODE_SEMANTICS;
use hebbian_shared::id::{GenerationIndex, RunId, WorkerId};
use hebbian_shared::limits::{COORDINATOR_MESSAGE_BYTES_MAX, SPEC_BYTES_MAX};
use hyper_util::rt::TokioIo;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Code, Status, Streaming};
use tonic_reflection::pb::v1 as reflection;
use tonic_types::StatusExt as _;

mod access;
mod evaluation;
mod lanes;
mod limits;
mod withdrawal;

use super::connection::memory;
use super::*;
use crate::driver::DriverSettings;
use crate::handle::{Inbox, Outgoing, Request};
use crate::journal::memory::MemoryJournal;
use crate::journal::{Journal, JournalError, KeptSnapshots, StoredEvent};

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// A journal whose runs have five closed generations.
struct FakeJournal(MemoryJournal);

impl Journal for FakeJournal {
    fn store(&self) -> &str {
        self.0.store()
    }

    fn kept(&self) -> KeptSnapshots {
        self.0.kept()
    }

    fn epoch(&self) -> u64 {
        3
    }

    fn load_each(&mut self, take: &mut dyn FnMut(LoadedRun)) -> Result<(), JournalError> {
        self.0.load_each(take)
    }

    fn run(&mut self, run: RunId) -> Result<Option<LoadedRun>, JournalError> {
        self.0.run(run)
    }

    fn commit(&mut self, transactions: &[Transaction], sync: bool) -> Result<(), JournalError> {
        self.0.commit(transactions, sync)
    }

    fn generations(
        &mut self,
        _: RunId,
        from: GenerationIndex,
        limit: u32,
    ) -> Result<Vec<v1::GenerationSummary>, JournalError> {
        Ok((from.0..5.min(from.0.saturating_add(limit))).map(generation).collect())
    }

    fn snapshots(&mut self, run: RunId) -> Result<Vec<GenerationIndex>, JournalError> {
        self.0.snapshots(run)
    }

    fn snapshot(&mut self, run: RunId, closed: GenerationIndex) -> Result<Option<Snapshot>, JournalError> {
        self.0.snapshot(run, closed)
    }

    fn events(
        &mut self,
        run: RunId,
        after: u64,
        up_to: u64,
        limit: u32,
    ) -> Result<Vec<StoredEvent>, JournalError> {
        self.0.events(run, after, up_to, limit)
    }
}

/// A driver with room for eight runs over such a journal.
async fn driver() -> Handle {
    let journal = FakeJournal(MemoryJournal::default());
    let mut settings = DriverSettings::default();
    settings.engine.runs_max = 8;
    crate::driver::start(settings, Box::new(journal)).await.unwrap().0
}

/// Tells the test of workers instead of the driver; passes on what else is asked.
async fn intercept(
    mut inbox: Inbox,
    driver: Handle,
    workers: mpsc::Sender<FakeWorker>,
    said: mpsc::Sender<Said>,
) {
    while let Some(request) = inbox.recv().await {
        match request {
            Request::Attach { hello, outbox, reply, .. } => {
                let interval = Duration::from_millis(500);
                let _ = reply.send(Ok(Welcome {
                    worker: WorkerId(1),
                    heartbeat_interval: interval,
                    idle_heartbeat_interval: interval,
                }));
                workers.send((hello, outbox)).await.unwrap();
            }
            Request::FromWorker { message, .. } => said.send(Said::Message(message)).await.unwrap(),
            Request::Detach { reason, .. } => said.send(Said::Gone(reason)).await.unwrap(),
            request => driver.clients.send(request).await.unwrap(),
        }
    }
}

/// A worker as the driver sees it: its hello and its outbox.
type FakeWorker = (Hello, mpsc::Sender<Outgoing>);

/// What the driver hears of a worker.
#[derive(Debug, PartialEq)]
enum Said {
    Message(FromWorker),
    Gone(String),
}

fn generation(number: u32) -> v1::GenerationSummary {
    v1::GenerationSummary { generation: number, ..Default::default() }
}

pub(super) struct Setting {
    pub(super) channel: Channel,
    workers: mpsc::Receiver<FakeWorker>,
    said: mpsc::Receiver<Said>,
    /// The driver, past the interception.
    driver: Handle,
    /// Whether the journal can be written, as the handle has it.
    writable: tokio::sync::watch::Sender<bool>,
}

impl Setting {
    pub(super) async fn new() -> Self {
        let (handle, inbox) = Handle::new(Strategies::default());
        let writable = inbox.writable.clone();
        let (worker_sender, workers) = mpsc::channel(4);
        let (said_sender, said) = mpsc::channel(64);
        let driver = driver().await;
        tokio::spawn(intercept(inbox, driver.clone(), worker_sender, said_sender));
        let (dial, connections) = memory();
        let settings =
            TransportSettings { hello_timeout: Duration::from_millis(300), ..TransportSettings::default() };
        tokio::spawn(serve(handle, connections, settings, CancellationToken::new()));
        let connector = tower::service_fn(move |_: Uri| {
            let dial = dial.clone();
            async move {
                let (ours, theirs) = tokio::io::duplex(1 << 16);
                dial.send(theirs).await.map_err(io::Error::other)?;
                Ok::<_, io::Error>(TokioIo::new(ours))
            }
        });
        let endpoint = Endpoint::from_static("http://test");
        let channel = endpoint.connect_with_connector(connector).await.unwrap();
        Self { channel, workers, said, driver, writable }
    }

    /// Attaches a worker past the interception; what it is sent.
    async fn attach_to_driver(&self) -> mpsc::Receiver<Outgoing> {
        let (outbox, sent) = mpsc::channel(16);
        let hello = Hello::try_from(match hello().kind {
            Some(RequestKind::Hello(hello)) => hello,
            other => panic!("{other:?}"),
        });
        let hello = Hello { episode_semantics: EPISODE_SEMANTICS, ..hello.unwrap() };
        self.driver.attach(hello, "here".to_owned(), outbox).await.unwrap();
        sent
    }

    fn runs(&self) -> RunServiceClient<Channel> {
        RunServiceClient::new(self.channel.clone())
    }

    async fn create(&self, spec: String, request_id: &str) -> Result<String, Status> {
        let (request_id, group) = (request_id.to_owned(), String::new());
        let request = v1::CreateRunRequest { spec, request_id, group, weight: None };
        Ok(self.runs().create_run(request).await?.into_inner().run.expect("a run").name)
    }

    /// Opens a worker's stream and sends its first messages.
    async fn attach(
        &self,
        first: Vec<v1::AttachRequest>,
    ) -> (mpsc::Sender<v1::AttachRequest>, Result<Streaming<v1::AttachResponse>, Status>) {
        let (sender, queue) = mpsc::channel(16);
        for message in first {
            sender.send(message).await.unwrap();
        }
        let mut client =
            DispatchServiceClient::new(self.channel.clone()).max_encoding_message_size(usize::MAX);
        let answer = client.attach(ReceiverStream::new(queue)).await;
        (sender, answer.map(tonic::Response::into_inner))
    }

    async fn hear(&mut self) -> Said {
        tokio::time::timeout(PATIENCE, self.said.recv()).await.expect("in time").expect("a driver")
    }
}

fn minimal(name: &str) -> String {
    format!(
        r#"
        name = "{name}"
        strategy = {{ kind = "cma-es", population_size = 16 }}
        tasks = {{ families = ["xor"] }}
        stop = {{ generations = 3 }}
        "#
    )
}

fn hello() -> v1::AttachRequest {
    let hello = v1::Hello {
        display_name: "worker".to_owned(),
        threads: 1,
        episode_semantics: 1,
        fingerprint: vec![0; 32],
        version: "0".to_owned(),
        serves: Vec::new(),
    };
    v1::AttachRequest { kind: Some(RequestKind::Hello(hello)) }
}

/// A refusal has its code and names the field.
fn check(status: &Status, code: Code, field: &str) {
    assert_eq!(status.code(), code, "{status:?}");
    let details = status.get_details_bad_request().expect("details");
    assert_eq!(details.field_violations[0].field, field);
    assert!(!details.field_violations[0].description.is_empty());
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_named() {
    let setting = Setting::new().await;
    let status = setting.create(minimal("run").replace("16", "0"), "").await.unwrap_err();
    check(&status, Code::InvalidArgument, "spec.strategy.population_size");
    let status = setting.create(r#"{"name": "run", "seed": "x"}"#.to_owned(), "").await.unwrap_err();
    check(&status, Code::InvalidArgument, "spec.seed");
    let status = setting.create(" ".repeat(SPEC_BYTES_MAX as usize + 1), "").await.unwrap_err();
    check(&status, Code::InvalidArgument, "spec");
    let status = setting.create(minimal("run"), &"x".repeat(129)).await.unwrap_err();
    check(&status, Code::InvalidArgument, "request_id");
    let status = setting.runs().create_run(v1::CreateRunRequest::default()).await.unwrap_err();
    check(&status, Code::InvalidArgument, "spec");
    for weight in [0.0, -1.0, 1001.0, f64::NAN] {
        let request =
            v1::CreateRunRequest { spec: minimal("run"), weight: Some(weight), ..Default::default() };
        check(&setting.runs().create_run(request).await.unwrap_err(), Code::InvalidArgument, "weight");
    }
    let status = setting.runs().get_run(v1::GetRunRequest { name: "1".to_owned() }).await.unwrap_err();
    check(&status, Code::InvalidArgument, "name");
    let request = v1::ListGenerationsRequest { parent: "runs/".to_owned(), ..Default::default() };
    check(&setting.runs().list_generations(request).await.unwrap_err(), Code::InvalidArgument, "parent");
    let request = v1::ListRunsRequest { page_size: 10_000, ..Default::default() };
    check(&setting.runs().list_runs(request).await.unwrap_err(), Code::InvalidArgument, "page_size");
    let request = v1::ListRunsRequest { page_token: "x".to_owned(), ..Default::default() };
    check(&setting.runs().list_runs(request).await.unwrap_err(), Code::InvalidArgument, "page_token");
    for _ in 0..8 {
        setting.create(minimal("run"), "").await.unwrap();
    }
    assert_eq!(setting.create(minimal("run"), "").await.unwrap_err().code(), Code::ResourceExhausted);
}

#[tokio::test]
async fn a_run_that_is_not_there_is_named() {
    let setting = Setting::new().await;
    let name = "runs/0000000z".to_owned();
    let mut client = setting.runs();
    for status in [
        client.get_run(v1::GetRunRequest { name: name.clone() }).await.unwrap_err(),
        client.pause_run(v1::PauseRunRequest { name: name.clone() }).await.unwrap_err(),
        client.get_run_result(v1::GetRunResultRequest { name: name.clone() }).await.unwrap_err(),
        client.watch_run(v1::WatchRunRequest { name: name.clone(), after_sequence: 0 }).await.unwrap_err(),
    ] {
        assert_eq!(status.code(), Code::NotFound, "{status:?}");
        assert_eq!(status.get_details_resource_info().unwrap().resource_name, name);
    }
}

#[tokio::test]
async fn a_request_id_creates_once() {
    let setting = Setting::new().await;
    let first = setting.create(minimal("run"), "a").await.unwrap();
    assert_eq!(setting.create(minimal("run"), "a").await.unwrap(), first);
    assert_ne!(setting.create(minimal("run"), "b").await.unwrap(), first);
    let status = setting.create(minimal("other"), "a").await.unwrap_err();
    check(&status, Code::AlreadyExists, "request_id");
}

#[tokio::test]
async fn operators_act_on_runs() {
    let setting = Setting::new().await;
    let mut client = setting.runs();
    let name = setting.create(minimal("run"), "").await.unwrap();
    let state = |run: Option<v1::Run>| run.unwrap().state().map(RunState::name);
    let paused = client.pause_run(v1::PauseRunRequest { name: name.clone() }).await.unwrap();
    assert_eq!(state(paused.into_inner().run), Some("paused"));
    let resumed = client.resume_run(v1::ResumeRunRequest { name: name.clone() }).await.unwrap();
    assert_eq!(state(resumed.into_inner().run), Some("running"));
    let status = client.delete_run(v1::DeleteRunRequest { name: name.clone() }).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert_eq!(status.get_details_precondition_failure().unwrap().violations[0].subject, name);
    let cancelled = client.cancel_run(v1::CancelRunRequest { name: name.clone() }).await.unwrap();
    assert_eq!(state(cancelled.into_inner().run), Some("cancelled"));
    client.delete_run(v1::DeleteRunRequest { name: name.clone() }).await.unwrap();
    assert_eq!(client.get_run(v1::GetRunRequest { name }).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn pages_follow_one_another_though_runs_are_deleted() {
    let setting = Setting::new().await;
    let mut client = setting.runs();
    let mut names = Vec::new();
    for _ in 0..5 {
        names.push(setting.create(minimal("run"), "").await.unwrap());
    }
    let page = async |client: &mut RunServiceClient<Channel>, page_token: String| {
        let request = v1::ListRunsRequest { page_size: 2, page_token };
        let page = client.list_runs(request).await.unwrap().into_inner();
        (page.runs.into_iter().map(|run| run.name).collect::<Vec<_>>(), page.next_page_token)
    };
    let (first, token) = page(&mut client, String::new()).await;
    assert_eq!(first, names[..2]);
    let (second, token) = page(&mut client, token).await;
    assert_eq!(second, names[2..4]);
    client.cancel_run(v1::CancelRunRequest { name: names[3].clone() }).await.unwrap();
    client.delete_run(v1::DeleteRunRequest { name: names[3].clone() }).await.unwrap();
    let (mut rest, mut token) = page(&mut client, token).await;
    while !token.is_empty() {
        let (more, next) = page(&mut client, token).await;
        rest.extend(more);
        token = next;
    }
    // None is missing; those of the deleted run's millisecond may be told twice.
    assert_eq!(rest.last(), Some(&names[4]));
}

#[tokio::test]
async fn generations_and_workers_come_in_pages() {
    let setting = Setting::new().await;
    let mut client = setting.runs();
    let parent = setting.create(minimal("run"), "").await.unwrap();
    let (mut found, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = v1::ListGenerationsRequest { parent: parent.clone(), page_size: 2, page_token };
        let page = client.list_generations(request).await.unwrap().into_inner();
        found.push(page.generations.iter().map(|summary| summary.generation).collect::<Vec<_>>());
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(found, [vec![0, 1], vec![2, 3], vec![4]]);
    let other = setting.create(minimal("run"), "").await.unwrap();
    let page_token = "00000000-2".to_owned();
    let request = v1::ListGenerationsRequest { parent: other, page_size: 2, page_token };
    check(&client.list_generations(request).await.unwrap_err(), Code::InvalidArgument, "page_token");

    let mut attached = Vec::new();
    for _ in 0..5 {
        attached.push(setting.attach_to_driver().await);
    }
    let mut client = ClusterServiceClient::new(setting.channel.clone());
    let (mut found, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = v1::ListWorkersRequest { page_size: 3, page_token };
        let page = client.list_workers(request).await.unwrap().into_inner();
        found.push(page.workers.iter().map(|worker| worker.id).collect::<Vec<_>>());
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(found, [vec![1, 2, 3], vec![4, 5]]);
    let request = v1::ListWorkersRequest { page_token: "x".to_owned(), ..Default::default() };
    check(&client.list_workers(request).await.unwrap_err(), Code::InvalidArgument, "page_token");
    let answer = client.get_coordinator_status(v1::GetCoordinatorStatusRequest {}).await.unwrap();
    let status = answer.into_inner().status.unwrap();
    assert_eq!((status.epoch, status.workers, status.active_runs), (3, 5, 2));
}

/// Sequence numbers of a watch, and how it ended.
async fn watched(setting: &Setting, name: &str, after_sequence: u64) -> (Vec<u64>, Result<(), Status>) {
    let request = v1::WatchRunRequest { name: name.to_owned(), after_sequence };
    let mut stream = setting.runs().watch_run(request).await.unwrap().into_inner();
    let mut found = Vec::new();
    loop {
        match tokio::time::timeout(PATIENCE, stream.message()).await.expect("in time") {
            Ok(Some(response)) => {
                assert!(response.event.unwrap().kind.is_some());
                found.push(response.sequence);
            }
            Ok(None) => return (found, Ok(())),
            Err(status) => return (found, Err(status)),
        }
    }
}

#[tokio::test]
async fn a_watch_ends_with_the_final_state_and_resumes_after_a_sequence_number() {
    let setting = Setting::new().await;
    let name = setting.create(minimal("run"), "").await.unwrap();
    setting.runs().pause_run(v1::PauseRunRequest { name: name.clone() }).await.unwrap();
    setting.runs().cancel_run(v1::CancelRunRequest { name: name.clone() }).await.unwrap();
    let (all, end) = watched(&setting, &name, 0).await;
    assert_eq!(all.len(), 3, "created, paused, cancelled: {all:?}");
    end.unwrap();
    let (found, end) = watched(&setting, &name, all[0]).await;
    assert_eq!(found, all[1..]);
    end.unwrap();
    // Of a run that has ended nothing is left to tell.
    let (found, end) = watched(&setting, &name, all[2]).await;
    assert!(found.is_empty());
    end.unwrap();
}

#[tokio::test]
async fn a_watch_that_is_cut_says_so() {
    let setting = Setting::new().await;
    let name = setting.create(minimal("run"), "").await.unwrap();
    let request = v1::WatchRunRequest { name, after_sequence: 0 };
    let mut stream = setting.runs().watch_run(request).await.unwrap().into_inner();
    assert_eq!(stream.message().await.unwrap().unwrap().sequence, 1);
    setting.driver.shut_down().await.unwrap();
    let end = tokio::time::timeout(PATIENCE, stream.message()).await.expect("in time");
    assert_eq!(end.unwrap_err().code(), Code::Unavailable);
}

#[tokio::test]
async fn a_worker_is_welcomed_heard_and_detached() {
    let mut setting = Setting::new().await;
    let (sender, answer) = setting.attach(vec![hello()]).await;
    let mut stream = answer.unwrap();
    let first = stream.message().await.unwrap().unwrap();
    assert!(matches!(first.kind, Some(ResponseKind::Welcome(_))));
    let (hello, outbox) = setting.workers.recv().await.unwrap();
    assert_eq!(hello.name, "worker");
    let message = ToWorker::Acknowledge { sequence: 5 };
    outbox.send(Outgoing { message, trace: None }).await.unwrap();
    let message = stream.message().await.unwrap().unwrap();
    assert_eq!(ToWorker::try_from(message), Ok(ToWorker::Acknowledge { sequence: 5 }));
    sender.send((&FromWorker::Heartbeat).into()).await.unwrap();
    assert_eq!(setting.hear().await, Said::Message(FromWorker::Heartbeat));
    // Whatever was said before the stream's end is heard before the worker is gone.
    sender.send((&FromWorker::Leaving).into()).await.unwrap();
    drop(sender);
    assert_eq!(setting.hear().await, Said::Message(FromWorker::Leaving));
    assert_eq!(setting.hear().await, Said::Gone("the worker closed its stream".to_owned()));
    drop(outbox);
    assert!(stream.message().await.unwrap().is_none());
}

#[tokio::test]
async fn a_connection_that_breaks_detaches_its_worker() {
    let mut setting = Setting::new().await;
    let (sender, answer) = setting.attach(vec![hello()]).await;
    let mut stream = answer.unwrap();
    stream.message().await.unwrap().unwrap();
    drop((sender, stream));
    assert!(matches!(setting.hear().await, Said::Gone(_)));
}

#[tokio::test]
async fn the_driver_can_say_good_bye() {
    let mut setting = Setting::new().await;
    let (_sender, answer) = setting.attach(vec![hello()]).await;
    let mut stream = answer.unwrap();
    stream.message().await.unwrap().unwrap();
    drop(setting.workers.recv().await.unwrap());
    assert!(stream.message().await.unwrap().is_none());
    assert!(matches!(setting.hear().await, Said::Gone(_)));
}

#[tokio::test]
async fn who_does_not_say_hello_is_not_attached() {
    let mut setting = Setting::new().await;
    let (_sender, answer) = setting.attach(vec![(&FromWorker::Heartbeat).into()]).await;
    check(&answer.unwrap_err(), Code::InvalidArgument, "hello");
    let (_sender, answer) = setting.attach(vec![v1::AttachRequest::default()]).await;
    check(&answer.unwrap_err(), Code::InvalidArgument, "hello");
    let nameless = v1::AttachRequest { kind: Some(RequestKind::Hello(v1::Hello::default())) };
    let (_sender, answer) = setting.attach(vec![nameless]).await;
    check(&answer.unwrap_err(), Code::InvalidArgument, "hello.display_name");
    let (_sender, answer) = setting.attach(Vec::new()).await;
    assert_eq!(answer.unwrap_err().code(), Code::DeadlineExceeded);
    assert!(setting.workers.try_recv().is_err());
}

#[tokio::test]
async fn a_message_that_breaks_a_rule_ends_the_stream_with_the_reason() {
    let reason = "x".repeat(COORDINATOR_MESSAGE_BYTES_MAX + 1);
    let oversize = v1::Reject { run: "runs/00000001".to_owned(), reason };
    let oversize = v1::AttachRequest { kind: Some(RequestKind::Reject(oversize)) };
    let bad_report = v1::AttachRequest { kind: Some(RequestKind::Report(v1::Report::default())) };
    for (message, code) in [
        (hello(), Code::InvalidArgument),
        (bad_report, Code::InvalidArgument),
        (v1::AttachRequest::default(), Code::InvalidArgument),
        (oversize, Code::OutOfRange),
    ] {
        let mut setting = Setting::new().await;
        let (sender, answer) = setting.attach(vec![hello()]).await;
        let mut stream = answer.unwrap();
        stream.message().await.unwrap().unwrap();
        sender.send(message).await.unwrap();
        let status = tokio::time::timeout(PATIENCE, stream.message()).await.expect("in time").unwrap_err();
        assert_eq!(status.code(), code, "{status:?}");
        assert_eq!(setting.hear().await, Said::Gone(status.message().to_owned()));
    }
}

#[tokio::test]
async fn what_cannot_write_its_journal_does_not_serve() {
    use tonic_health::pb::health_check_response::ServingStatus::{NotServing, Serving};
    let setting = Setting::new().await;
    let mut health = tonic_health::pb::health_client::HealthClient::new(setting.channel.clone());
    let request = |service: &str| tonic_health::pb::HealthCheckRequest { service: service.to_owned() };
    let mut changes = health.watch(request("")).await.unwrap().into_inner();
    for (writable, expected) in [(true, Serving), (false, NotServing), (true, Serving)] {
        setting.writable.send_replace(writable);
        let change = async {
            loop {
                let said = changes.message().await.unwrap().expect("it goes on").status();
                if said == expected {
                    return;
                }
            }
        };
        tokio::time::timeout(PATIENCE, change).await.expect("a change is told");
        // Who looks at workers and at data needs no journal, and no other process would have a better one.
        for service in ["hebbian.v1.ClusterService", "hebbian.v1.DataService", "live"] {
            assert_eq!(health.check(request(service)).await.unwrap().into_inner().status(), Serving);
        }
        let mut ready = health.watch(request("ready")).await.unwrap().into_inner();
        let told =
            async { while ready.message().await.unwrap().expect("it goes on").status() != expected {} };
        tokio::time::timeout(PATIENCE, told).await.expect("it is told");
    }
}

#[tokio::test]
async fn health_and_reflection_know_every_service() {
    let setting = Setting::new().await;
    let services = [
        "hebbian.v1.RunService",
        "hebbian.v1.DispatchService",
        "hebbian.v1.ClusterService",
        "hebbian.v1.DataService",
        "hebbian.v1.EvaluationService",
        "hebbian.v1.AccessService",
    ];
    let mut health = tonic_health::pb::health_client::HealthClient::new(setting.channel.clone());
    for service in services.into_iter().chain([""]) {
        let request = tonic_health::pb::HealthCheckRequest { service: service.to_owned() };
        let answer = health.check(request).await.unwrap().into_inner();
        assert_eq!(answer.status(), tonic_health::pb::health_check_response::ServingStatus::Serving);
    }

    let request = reflection::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(reflection::server_reflection_request::MessageRequest::ListServices(
            String::new(),
        )),
    };
    let mut client =
        reflection::server_reflection_client::ServerReflectionClient::new(setting.channel.clone());
    let mut answers = client.server_reflection_info(tokio_stream::once(request)).await.unwrap().into_inner();
    let answer = answers.message().await.unwrap().unwrap().message_response;
    let Some(reflection::server_reflection_response::MessageResponse::ListServicesResponse(list)) = answer
    else {
        panic!("a list of services was expected, not {answer:?}");
    };
    let names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
    for service in services.into_iter().chain(["grpc.health.v1.Health"]) {
        assert!(names.iter().any(|name| name == service), "{service} of {names:?}");
    }
}

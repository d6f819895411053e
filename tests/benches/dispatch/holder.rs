//! Many workers in one process: each a connection and a stream of its own, with a task in place of compute threads.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use hebbian_proto::convert::from_duration;
use hebbian_proto::v1;
use hebbian_proto::v1::attach_request::Kind as RequestKind;
use hebbian_proto::v1::attach_response::Kind as ResponseKind;
use hebbian_proto::v1::dispatch_service_client::DispatchServiceClient;
use hebbian_shared::limits::PEER_MESSAGE_BYTES_MAX;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::Endpoint;

use super::process::report;
use super::role::{hello, peer_tls};

/// A stream of a worker that was welcomed.
pub(crate) struct Attached {
    pub(crate) outgoing: mpsc::Sender<v1::AttachRequest>,
    pub(crate) incoming: Streaming<v1::AttachResponse>,
    welcome: v1::Welcome,
}

/// Opens a connection of its own and attaches as a worker of one thread.
pub(crate) async fn attach(
    url: &str,
    certificates: Option<PathBuf>,
    name: String,
) -> Result<Attached, String> {
    let mut endpoint = Endpoint::from_shared(url.to_owned()).map_err(|error| error.to_string())?;
    if certificates.is_some() {
        // For each connection anew: workers of other processes know nothing of each other's sessions.
        let tls = peer_tls(certificates.as_deref());
        endpoint = endpoint.tls_config(tls).map_err(|error| error.to_string())?;
    }
    let endpoint = endpoint
        .tcp_nodelay(true)
        .http2_keep_alive_interval(Duration::from_secs(12))
        .keep_alive_timeout(Duration::from_secs(2))
        .keep_alive_while_idle(true);
    let channel = endpoint.connect().await.map_err(|error| format!("{error:?}"))?;
    let (outgoing, queue) = mpsc::channel(16);
    let said = v1::AttachRequest { kind: Some(RequestKind::Hello((&hello(name, 1)).into())) };
    outgoing.try_send(said).map_err(|error| error.to_string())?;
    let mut client = DispatchServiceClient::new(channel)
        .max_decoding_message_size(PEER_MESSAGE_BYTES_MAX)
        .max_encoding_message_size(usize::MAX);
    let attached = client.attach(ReceiverStream::new(queue)).await.map_err(|error| error.to_string())?;
    let mut incoming = attached.into_inner();
    match incoming.message().await.map_err(|error| error.to_string())?.and_then(|message| message.kind) {
        Some(ResponseKind::Welcome(welcome)) => Ok(Attached { outgoing, incoming, welcome }),
        other => Err(format!("{other:?} instead of a welcome")),
    }
}

/// Answers batches, each after a delay, until the stream ends.
async fn answer(attached: Attached, delay: Duration) {
    let Attached { outgoing, mut incoming, welcome } = attached;
    let idle = welcome.idle_heartbeat_interval.unwrap_or_default();
    let mut heartbeat = tokio::time::interval(Duration::new(idle.seconds as u64, idle.nanos as u32));
    heartbeat.tick().await;
    let mut sequence = 0;
    loop {
        let message = tokio::select! {
            message = incoming.message() => message,
            _ = heartbeat.tick() => {
                let said = v1::AttachRequest { kind: Some(RequestKind::Heartbeat(v1::Heartbeat {})) };
                if outgoing.send(said).await.is_err() {
                    return;
                }
                continue;
            }
        };
        let Ok(Some(message)) = message else { return };
        let Some(ResponseKind::Batch(batch)) = message.kind else { continue };
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        sequence += 1;
        let said = v1::AttachRequest { kind: Some(RequestKind::Report(outcomes(&batch, sequence, delay))) };
        if outgoing.send(said).await.is_err() {
            return;
        }
    }
}

fn outcomes(batch: &v1::Batch, sequence: u64, delay: Duration) -> v1::Report {
    let settlement = |assignment: &v1::Assignment| v1::Settlement {
        candidate: batch.genomes[assignment.genome as usize].candidate,
        task: assignment.task,
        compute_time: Some(from_duration(delay.max(Duration::from_micros(1)))),
        outcome: Some(v1::settlement::Outcome::Evaluated(v1::settlement::Evaluated {
            fitness: -f64::from(assignment.genome),
            ..Default::default()
        })),
    };
    v1::Report {
        sequence,
        run: batch.run.clone(),
        generation: batch.generation,
        purpose: batch.purpose,
        block: batch.block,
        settlements: batch.assignments.iter().map(settlement).collect(),
    }
}

/// Arguments: address, workers, how many connect at a time, microseconds of an answer's delay, directory of certificates or
/// `-`. Prints `ready`, waits for a line, attaches all, prints how many attempts failed, and answers from then on.
pub(crate) async fn holder(arguments: &[String]) {
    let [url, workers, at_once, delay, certificates] = arguments else { panic!("five arguments") };
    rlimit::increase_nofile_limit(u64::MAX).expect("the limit on open files can be raised");
    let [workers, at_once]: [usize; 2] = [workers, at_once].map(|text| text.parse().expect("a number"));
    let delay = Duration::from_micros(delay.parse().expect("microseconds"));
    let certificates: Option<PathBuf> = (certificates != "-").then(|| certificates.into());
    report("ready");
    std::io::stdin().read_line(&mut String::new()).expect("the parent says when");
    super::process::end_with_parent();
    let (mut opening, mut answering, mut failures) = (JoinSet::new(), JoinSet::new(), 0);
    let (mut begun, mut attached) = (0, 0);
    while attached < workers {
        while begun < workers && opening.len() < at_once {
            let (url, certificates, name) = (url.clone(), certificates.clone(), format!("held{begun}"));
            opening.spawn(async move { attach(&url, certificates, name).await });
            begun += 1;
        }
        match opening.join_next().await.expect("some are being opened").expect("no panic") {
            Ok(one) => {
                attached += 1;
                answering.spawn(answer(one, delay));
            }
            Err(problem) => {
                if failures == 0 {
                    eprintln!("an attempt to attach failed: {problem}");
                }
                failures += 1;
                begun -= 1;
            }
        }
    }
    report(&failures.to_string());
    while answering.join_next().await.is_some() {}
    // The coordinator has gone: this case is over.
}

/// A peer that means ill. Arguments: address, kind, number. Prints `ready` and goes on for ever.
pub(crate) async fn hostile(arguments: &[String]) {
    let [url, kind, number] = arguments else { panic!("three arguments") };
    rlimit::increase_nofile_limit(u64::MAX).expect("the limit on open files can be raised");
    super::process::end_with_parent();
    let number: usize = number.parse().expect("a number");
    let mut tasks = JoinSet::new();
    // The first attack of each has to be under way before anything is measured.
    let (attacked, mut first) = watch::channel(0usize);
    for place in 0..number {
        let (url, kind, attacked) = (url.clone(), kind.clone(), attacked.clone());
        tasks.spawn(async move {
            loop {
                match kind.as_str() {
                    "half-open" => half_open(&url, &attacked).await,
                    "oversized" => oversized(&url, &attacked).await,
                    "silent" => silent(&url, place, &attacked).await,
                    _ => never_reads(&url, place, &attacked).await,
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
    }
    // Of half-open connections, those beyond the limits wait to be accepted.
    let wanted = number.min(4096);
    first.wait_for(|attacks| *attacks >= wanted).await.expect("attackers live");
    report("ready");
    let end = tasks.join_next().await;
    panic!("an attacker gave up: {end:?}");
}

/// Connects and says nothing until it is closed.
async fn half_open(url: &str, attacked: &watch::Sender<usize>) {
    use tokio::io::AsyncReadExt as _;
    let address = url.rsplit('/').next().expect("an address");
    let Ok(mut stream) = tokio::net::TcpStream::connect(address).await else { return };
    attacked.send_modify(|attacks| *attacks += 1);
    let _ = stream.read(&mut [0]).await;
}

/// Sends a message of 17 MiB.
async fn oversized(url: &str, attacked: &watch::Sender<usize>) {
    let Ok(mut attached) = attach(url, None, "oversized".into()).await else { return };
    let reject = v1::Reject { run: "runs/0000000000".into(), reason: "x".repeat(17 << 20) };
    let _ = attached.outgoing.send(v1::AttachRequest { kind: Some(RequestKind::Reject(reject)) }).await;
    while let Ok(Some(_)) = attached.incoming.message().await {}
    attacked.send_modify(|attacks| *attacks += 1);
}

/// Attaches as a worker, reads what it is given, says that it lives, and answers nothing.
async fn silent(url: &str, place: usize, attacked: &watch::Sender<usize>) {
    let Ok(mut attached) = attach(url, None, format!("silent{place}")).await else { return };
    attacked.send_modify(|attacks| *attacks += 1);
    let mut heartbeat = tokio::time::interval(Duration::from_millis(400));
    loop {
        tokio::select! {
            message = attached.incoming.message() => if !matches!(message, Ok(Some(_))) { return },
            _ = heartbeat.tick() => {
                let said = v1::AttachRequest { kind: Some(RequestKind::Heartbeat(v1::Heartbeat {})) };
                if attached.outgoing.send(said).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// Attaches as a worker, says that it lives, and never reads what it is sent.
async fn never_reads(url: &str, place: usize, attacked: &watch::Sender<usize>) {
    let Ok(attached) = attach(url, None, format!("deaf{place}")).await else { return };
    attacked.send_modify(|attacks| *attacks += 1);
    let begun = Instant::now();
    loop {
        let said = v1::AttachRequest { kind: Some(RequestKind::Heartbeat(v1::Heartbeat {})) };
        if attached.outgoing.send(said).await.is_err() || begun.elapsed() > Duration::from_secs(600) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

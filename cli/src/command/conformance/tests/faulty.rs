//! A small worker that speaks the wire, with a switch for each fault.

use std::collections::{BTreeMap, VecDeque};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use hebbian_proto::figures::duration;
use hebbian_proto::v1;
use hebbian_proto::v1::attach_request::Kind as Says;
use hebbian_proto::v1::attach_response::Kind as Hears;
use hebbian_proto::v1::dispatch_service_client::DispatchServiceClient;
use hebbian_proto::v1::settlement::{self, Outcome};
use hebbian_shared::limits::PEER_MESSAGE_BYTES_MAX;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::super::check::Subject;
use super::super::problem::{LENGTH, VIOLATION};

const SLOTS: usize = 2;

/// What a worker may do wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    NamesNothing,
    RejectsItsOwn,
    EvaluatesWhatItDoesNotServe,
    SettlesTwice,
    SaysPlaces,
    MixesBlocks,
    SwapsTheSign,
    IgnoresTheSeed,
    LeavesScoresOut,
    InfeasibleIsAValue,
    TellsNotANumber,
    ErrorsAreFailures,
    LongReasons,
    RemembersAnswers,
    SkipsNumbers,
    SmallMessages,
    DiesOfTheUnknown,
    SilentWhileItComputes,
    SilentWhileIdle,
    IgnoresWithdraw,
    DropsTheNeighbours,
    IgnoresTheEndOfRuns,
    ForgetsRuns,
    ForgetsReports,
    KeepsReports,
    KeepsOldWork,
    GivesUp,
    IgnoresDrain,
    NeverGivesBack,
    SwallowsLateBatches,
    OverstaysItsDrain,
    IgnoresSigterm,
}

impl Fault {
    /// Each with the checks that find it, the one that is made for it first, and a part of what that says.
    pub(super) const ALL: &[(Self, &[&str], &str)] = &[
        (Self::NamesNothing, &["hello", "serves"], "Hello.serves has no names"),
        (Self::RejectsItsOwn, &["serves"], "it rejected the run: not now"),
        (
            Self::EvaluatesWhatItDoesNotServe,
            &["rejects"],
            "a problem that it does not serve: it gave the value",
        ),
        (Self::SettlesTwice, &["settles-once"], "was settled 2 times"),
        (Self::SaysPlaces, &["ids"], "was settled, which was not assigned"),
        (Self::MixesBlocks, &["ids"], "a report names generation 3, purpose Remeasure and block 7"),
        (Self::SwapsTheSign, &["values"], "gave the value -"),
        (Self::IgnoresTheSeed, &["values"], "gave the value"),
        (Self::LeavesScoresOut, &["scores"], "without scores"),
        (Self::InfeasibleIsAValue, &["infeasible"], "gave the value"),
        (Self::TellsNotANumber, &["failed"], "evaluated.fitness"),
        (Self::ErrorsAreFailures, &["errors"], "gave diverged"),
        (Self::LongReasons, &["errors"], "worker_error.reason"),
        (Self::RemembersAnswers, &["redelivery"], "the same batch once more: 0 of 12 evaluations"),
        (Self::SkipsNumbers, &["report-numbers"], "was followed by report"),
        (Self::SmallMessages, &["large-batch"], "a batch of 33 MB: "),
        (Self::DiesOfTheUnknown, &["unknown-fields"], "one of a kind that is not: "),
        (Self::SilentWhileItComputes, &["heartbeats"], "it was silent for 3.0s while it evaluated"),
        (Self::SilentWhileIdle, &["idle-heartbeats"], "while it held nothing"),
        (Self::IgnoresWithdraw, &["withdraw"], "more of a generation that was withdrawn"),
        (
            Self::DropsTheNeighbours,
            &["withdraw-episodes"],
            "beside those that were withdrawn were never settled",
        ),
        (Self::IgnoresTheEndOfRuns, &["run-end"], "more of a run that had ended"),
        (Self::ForgetsRuns, &["run-again"], "a run was withdrawn and came again: "),
        (Self::ForgetsReports, &["resends"], "never came again"),
        (Self::KeepsReports, &["acknowledged"], "was acknowledged, and came again"),
        (Self::KeepsOldWork, &["old-work"], "of the old stream's before it answered"),
        (Self::IgnoresDrain, &["drains", "drains-in-time"], "it never said Leaving"),
        (Self::NeverGivesBack, &["gives-back", "terminates"], "and gave back 0 before it left"),
        (
            Self::SwallowsLateBatches,
            &["late-batch"],
            "of 2 evaluations that came while it left it gave 0 back",
        ),
        (Self::OverstaysItsDrain, &["drains-in-time"], "its stream was still open after"),
        (Self::GivesUp, &["reconnects"], "its process ended while the coordinator was away"),
        (Self::IgnoresSigterm, &["terminates"], "it was sent SIGTERM, and it never said Leaving"),
    ];
}

/// A worker on a thread of this process.
pub(super) struct InProcess {
    fault: Option<Fault>,
    running: Option<JoinHandle<()>>,
    terminate: CancellationToken,
    kill: CancellationToken,
}

impl InProcess {
    pub(super) fn new(fault: Option<Fault>) -> Self {
        let (terminate, kill) = (CancellationToken::new(), CancellationToken::new());
        Self { fault, running: None, terminate, kill }
    }
}

impl Subject for InProcess {
    fn is_ours(&self) -> bool {
        true
    }

    fn start(&mut self, address: &str) -> Result<(), String> {
        if self.running.as_ref().is_some_and(|running| !running.is_finished()) {
            return Ok(());
        }
        (self.terminate, self.kill) = (CancellationToken::new(), CancellationToken::new());
        let (terminate, kill) = (self.terminate.clone(), self.kill.clone());
        let (fault, address) = (self.fault, address.to_owned());
        self.running = Some(thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut worker = Worker::new(fault, terminate);
                tokio::select! {
                    () = worker.work(&address) => {}
                    () = kill.cancelled() => {}
                }
            });
        }));
        Ok(())
    }

    fn ended(&mut self, within: Duration) -> Option<Result<(), String>> {
        let until = Instant::now() + within;
        while !self.running.as_ref()?.is_finished() {
            if Instant::now() >= until {
                return if within.is_zero() { None } else { Some(Err("it was still there".to_owned())) };
            }
            thread::sleep(Duration::from_millis(5));
        }
        Some(Ok(()))
    }

    fn terminate(&mut self) -> bool {
        self.terminate.cancel();
        true
    }

    fn kill(&mut self) {
        self.kill.cancel();
        if let Some(running) = self.running.take() {
            let _ = running.join();
        }
    }
}

impl Drop for InProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What a report is about: run, generation, purpose and block.
type Block = (String, u32, i32, u32);

/// An evaluation: which, of what, and what it gives after so long.
#[derive(Clone)]
struct Item {
    batch: Block,
    candidate: u32,
    task: u32,
    seed: u32,
    parameters: Vec<f64>,
}

type Running = FuturesUnordered<std::pin::Pin<Box<dyn Future<Output = (Item, Outcome)>>>>;

struct Worker {
    fault: Option<Fault>,
    terminate: CancellationToken,
    queue: VecDeque<Item>,
    running: Running,
    /// Of this stream.
    held: usize,
    kept: VecDeque<v1::Report>,
    last: u64,
    answered: Vec<(Block, u32, u32)>,
    runs: BTreeMap<String, bool>,
}

/// How a stream ended.
enum End {
    Left,
    Lost,
}

impl Worker {
    fn new(fault: Option<Fault>, terminate: CancellationToken) -> Self {
        Self {
            fault,
            terminate,
            queue: VecDeque::new(),
            running: FuturesUnordered::new(),
            held: 0,
            kept: VecDeque::new(),
            last: 0,
            answered: Vec::new(),
            runs: BTreeMap::new(),
        }
    }

    fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    async fn work(&mut self, address: &str) {
        let mut attached = false;
        loop {
            let endpoint = tonic::transport::Endpoint::from_shared(address.to_owned()).unwrap();
            if let Ok(channel) = endpoint.connect().await {
                let mut client = DispatchServiceClient::new(channel);
                if !self.has(Fault::SmallMessages) {
                    client = client.max_decoding_message_size(PEER_MESSAGE_BYTES_MAX);
                }
                attached = true;
                if let End::Left = self.stream(client).await {
                    return;
                }
            } else if attached && self.has(Fault::GivesUp) {
                return;
            }
            if !self.has(Fault::KeepsOldWork) {
                self.queue.clear();
            }
            if self.has(Fault::ForgetsReports) {
                self.kept.clear();
            }
            self.runs.clear();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn stream(&mut self, mut client: DispatchServiceClient<tonic::transport::Channel>) -> End {
        let (outgoing, queue) = mpsc::unbounded_channel();
        let say = move |kind: Says| drop(outgoing.send(v1::AttachRequest { kind: Some(kind) }));
        say(Says::Hello(v1::Hello {
            display_name: "faulty".to_owned(),
            threads: SLOTS as u32,
            version: "1".to_owned(),
            serves: if self.has(Fault::NamesNothing) { vec![] } else { vec!["conformance".to_owned()] },
            fingerprint: if self.has(Fault::NamesNothing) { vec![0; 32] } else { vec![] },
            ..v1::Hello::default()
        }));
        let requests = futures_util::stream::unfold(queue, async |mut queue| {
            queue.recv().await.map(|next| (next, queue))
        });
        let Ok(incoming) = client.attach(requests).await else { return End::Lost };
        let mut incoming = incoming.into_inner();
        let Ok(Some(v1::AttachResponse { kind: Some(Hears::Welcome(welcome)), .. })) =
            incoming.message().await
        else {
            return End::Lost;
        };
        let (busy, idle) = (duration(welcome.heartbeat_interval), duration(welcome.idle_heartbeat_interval));
        self.held = 0;
        for report in &self.kept {
            say(Says::Report(report.clone()));
        }
        let mut said = Instant::now();
        let mut leave_by = None;
        loop {
            while self.running.len() < SLOTS
                && let Some(item) = self.queue.pop_front()
            {
                let outcome = self.outcome(&item);
                let lasts = Duration::from_millis(item.parameters[LENGTH + 1] as u64);
                self.running.push(Box::pin(async move {
                    tokio::time::sleep(lasts).await;
                    (item, outcome)
                }));
            }
            let overstays = self.has(Fault::OverstaysItsDrain);
            if leave_by.is_some_and(|by| self.held == 0 || !overstays && Instant::now() >= by) {
                // What was said arrives before the stream ends.
                drop(say);
                while let Ok(Some(_)) = incoming.message().await {}
                return End::Left;
            }
            let interval = if self.held > 0 { busy } else { idle };
            let beat = (said + interval).min(leave_by.unwrap_or(said + interval));
            tokio::select! {
                message = incoming.message() => match message {
                    Ok(Some(message)) => self.hear(message.kind, &say, &mut leave_by),
                    Ok(None) | Err(_) => return End::Lost,
                },
                Some((item, outcome)) = self.running.next(), if !self.running.is_empty() => {
                    self.held = self.held.saturating_sub(1);
                    self.report(item, outcome, &say);
                }
                () = tokio::time::sleep_until(beat.into()) => {
                    said = Instant::now();
                    let silent = if self.held > 0 { Fault::SilentWhileItComputes } else { Fault::SilentWhileIdle };
                    if !self.has(silent) {
                        say(Says::Heartbeat(v1::Heartbeat {}));
                    }
                }
                () = self.terminate.cancelled(), if leave_by.is_none() && !self.has(Fault::IgnoresSigterm) => {
                    self.leave(Duration::from_secs(30), &say, &mut leave_by);
                }
            }
        }
    }

    fn hear(&mut self, kind: Option<Hears>, say: &impl Fn(Says), leave_by: &mut Option<Instant>) {
        match kind {
            Some(Hears::Announcement(announced)) => {
                let spec: serde_json::Value = serde_json::from_str(&announced.spec).unwrap();
                let takes = if self.has(Fault::EvaluatesWhatItDoesNotServe) {
                    spec["problem"]["kind"] == "external"
                } else {
                    spec["problem"]["name"] == "conformance" && !self.has(Fault::RejectsItsOwn)
                };
                self.runs.insert(announced.run.clone(), takes);
                if !takes {
                    let reason = "not now".to_owned();
                    say(Says::Reject(v1::Reject { run: announced.run, reason }));
                }
            }
            Some(Hears::Batch(batch)) => self.take(&batch, say, leave_by.is_some()),
            Some(Hears::Acknowledge(acknowledged)) if !self.has(Fault::KeepsReports) => {
                self.kept.retain(|report| report.sequence > acknowledged.sequence);
            }
            Some(Hears::Withdraw(withdrawn)) => {
                let fault =
                    withdrawn.up_to_generation.map_or(Fault::IgnoresTheEndOfRuns, |_| Fault::IgnoresWithdraw);
                if !self.has(fault) {
                    let last = withdrawn.up_to_generation.unwrap_or(u32::MAX);
                    let before = self.queue.len();
                    self.queue.retain(|item| item.batch.0 != withdrawn.run || item.batch.1 > last);
                    self.held -= before - self.queue.len();
                }
                if self.has(Fault::ForgetsRuns) && withdrawn.up_to_generation.is_none() {
                    self.runs.remove(&withdrawn.run);
                }
            }
            Some(Hears::WithdrawEpisodes(unwanted)) => {
                let block = (unwanted.run, unwanted.generation, unwanted.purpose, unwanted.block);
                let (all, before) = (self.has(Fault::DropsTheNeighbours), self.queue.len());
                let is_named = |item: &Item| {
                    let named = |of: &v1::block_episodes::Episode| {
                        (of.candidate, of.task) == (item.candidate, item.task)
                    };
                    all || unwanted.episodes.iter().any(named)
                };
                self.queue.retain(|item| item.batch != block || !is_named(item));
                self.held -= before - self.queue.len();
            }
            Some(Hears::Drain(drain)) if !self.has(Fault::IgnoresDrain) => {
                self.leave(duration(drain.within), say, leave_by);
            }
            None if self.has(Fault::DiesOfTheUnknown) => panic!("what is this?"),
            _ => {}
        }
    }

    fn take(&mut self, batch: &v1::Batch, say: &impl Fn(Says), is_leaving: bool) {
        if self.runs.get(&batch.run) != Some(&true) {
            return;
        }
        let items: Vec<Item> = batch
            .assignments
            .iter()
            .map(|assignment| {
                let genome = &batch.genomes[assignment.genome as usize];
                let places = self.has(Fault::SaysPlaces);
                Item {
                    batch: (batch.run.clone(), batch.generation, batch.purpose, batch.block),
                    candidate: if places { assignment.genome } else { genome.candidate },
                    task: assignment.task,
                    seed: assignment.seed,
                    parameters: genome.parameters.clone(),
                }
            })
            .collect();
        if is_leaving {
            if !self.has(Fault::SwallowsLateBatches) {
                give_back(items, say);
            }
            return;
        }
        for item in items {
            let key = (item.batch.clone(), item.candidate, item.task);
            if self.has(Fault::RemembersAnswers) {
                if self.answered.contains(&key) {
                    continue;
                }
                self.answered.push(key);
            }
            self.held += 1;
            self.queue.push_back(item);
        }
    }

    fn leave(&mut self, within: Duration, say: &impl Fn(Says), leave_by: &mut Option<Instant>) {
        *leave_by = Some(Instant::now() + within);
        say(Says::Leaving(v1::Leaving {}));
        let items: Vec<Item> = self.queue.drain(..).collect();
        self.held -= items.len();
        if !self.has(Fault::NeverGivesBack) {
            give_back(items, say);
        }
    }

    fn report(&mut self, item: Item, outcome: Outcome, say: &impl Fn(Says)) {
        let settlement = v1::Settlement {
            candidate: item.candidate,
            task: item.task,
            compute_time: Some(prost_types::Duration::default()),
            outcome: Some(outcome),
        };
        let twice = self.has(Fault::SettlesTwice) && item.candidate == 5;
        self.last += 1 + u64::from(self.has(Fault::SkipsNumbers));
        let (run, generation, purpose, block) = item.batch;
        let mixes = self.has(Fault::MixesBlocks) && block != 0;
        let report = v1::Report {
            sequence: self.last,
            run,
            generation,
            purpose,
            block: if mixes { 7 } else { block },
            settlements: vec![settlement; 1 + usize::from(twice)],
        };
        say(Says::Report(report.clone()));
        self.kept.push_back(report);
    }

    fn outcome(&self, item: &Item) -> Outcome {
        let (x, rest) = item.parameters.split_at(LENGTH);
        let (first, last, level) = (x[0], x[LENGTH - 1], rest[0]);
        let seed = if self.has(Fault::IgnoresTheSeed) { 0 } else { item.seed % 1000 };
        let value = first + 2.0 * last + 10.0 * level + f64::from(seed) + 7.0;
        let evaluated = |fitness| {
            let scores = if self.has(Fault::LeavesScoresOut) { vec![] } else { vec![level, first] };
            Outcome::Evaluated(settlement::Evaluated { fitness, scores, ..Default::default() })
        };
        match rest[2] as u32 {
            1 if !self.has(Fault::InfeasibleIsAValue) => {
                Outcome::Infeasible(settlement::Infeasible { violation: VIOLATION })
            }
            3 if self.has(Fault::ErrorsAreFailures) => Outcome::Diverged(settlement::Diverged {}),
            3 => {
                let length = if self.has(Fault::LongReasons) { 5000 } else { 1024 };
                Outcome::WorkerError(settlement::WorkerError { reason: "x".repeat(length) })
            }
            4 if self.has(Fault::TellsNotANumber) => evaluated(f64::NAN),
            2 | 4 => Outcome::Diverged(settlement::Diverged {}),
            _ => evaluated(if self.has(Fault::SwapsTheSign) { -value } else { value }),
        }
    }
}

fn give_back(items: Vec<Item>, say: &impl Fn(Says)) {
    let mut given: BTreeMap<Block, Vec<v1::block_episodes::Episode>> = BTreeMap::new();
    for item in items {
        let episode = v1::block_episodes::Episode { candidate: item.candidate, task: item.task };
        given.entry(item.batch).or_default().push(episode);
    }
    for ((run, generation, purpose, block), episodes) in given {
        say(Says::GiveBack(v1::BlockEpisodes { run, generation, purpose, block, episodes }));
    }
}

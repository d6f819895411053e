//! A worker's stream from the coordinator's side: what a check says there, and what it hears.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use hebbian_proto::v1;
use hebbian_proto::v1::attach_response::Kind as ResponseKind;
use hebbian_shared::dispatch::{BlockEpisodes, FromWorker, Hello, Report, Settlement, ToWorker, Welcome};
use hebbian_shared::id::{RunId, WorkerId};
use hebbian_shared::limits::{HEARTBEAT_INTERVAL, IDLE_HEARTBEAT_INTERVAL, IDLE_LEASE, LEASE};
use prost::Message as _;
use tonic::Status;

use super::check::Fault;
use super::played::{Attached, Heard};
use super::problem::{Place, Run, Work, place};

/// How often a worker must be heard in most checks: busy, and idle.
pub(super) const INTERVALS: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(15));
/// How long is listened for what must not come any more.
const LINGER: Duration = Duration::from_millis(300);

/// The silence of a busy worker after which a coordinator gives it up, for this interval of heartbeats.
pub(super) fn lease(interval: Duration) -> Duration {
    interval.mul_f64(LEASE.as_secs_f64() / HEARTBEAT_INTERVAL.as_secs_f64())
}

/// The same of an idle one.
pub(super) fn idle_lease(interval: Duration) -> Duration {
    interval.mul_f64(IDLE_LEASE.as_secs_f64() / IDLE_HEARTBEAT_INTERVAL.as_secs_f64())
}

/// What is heard next.
#[derive(Debug)]
pub(super) enum Next {
    /// A message, and when it came.
    Said(FromWorker, Instant),
    /// The stream's end.
    Ended(Option<String>),
    /// Nothing until then.
    Silence,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) hello: Hello,
    attached: Attached,
    patience: Duration,
    /// Whether every report is acknowledged when it is heard.
    pub(super) acknowledges: bool,
    /// The last report's number.
    pub(super) last: Option<u64>,
}

impl Stream {
    /// A stream whose hello was good.
    pub(super) fn new(hello: Hello, attached: Attached, patience: Duration) -> Self {
        Self { hello, attached, patience, acknowledges: true, last: None }
    }

    /// Welcomes the worker, which is to be heard so often while it holds something, and while it holds nothing.
    pub(super) fn welcome(&self, id: u64, (busy, idle): (Duration, Duration)) {
        self.say_bytes(welcome(id, (busy, idle)).encode_to_vec());
    }

    pub(super) fn say(&self, message: &ToWorker) {
        self.say_bytes(v1::AttachResponse::from(message).encode_to_vec());
    }

    pub(super) fn say_bytes(&self, message: Vec<u8>) {
        // A stream that has ended is noticed by whoever listens.
        let _ = self.attached.outgoing.send(Ok(message));
    }

    pub(super) fn announce(&self, run: &Run) {
        self.say(&run.announcement());
    }

    pub(super) fn give(&self, work: &Work) {
        self.say(&ToWorker::Batch(work.batch.clone()));
    }

    pub(super) fn acknowledge(&self, sequence: u64) {
        self.say(&ToWorker::Acknowledge { sequence });
    }

    /// Ends the stream as a coordinator does that restarts.
    pub(super) fn cut(self) {
        let _ = self.attached.outgoing.send(Err(Status::unavailable("the coordinator restarts")));
    }

    /// How long is waited for what must happen.
    pub(super) fn deadline(&self) -> Instant {
        Instant::now() + self.patience
    }

    /// What is heard next, until a time.
    pub(super) fn next(&mut self, until: Instant) -> Result<Next, Fault> {
        let left = until.saturating_duration_since(Instant::now());
        let Ok((at, heard)) = self.attached.heard.recv_timeout(left) else { return Ok(Next::Silence) };
        match heard {
            Heard::Said(said) => {
                if let FromWorker::Report(report) = &said {
                    self.last = Some(report.sequence);
                    if self.acknowledges {
                        self.acknowledge(report.sequence);
                    }
                }
                Ok(Next::Said(said, at))
            }
            Heard::Refused(problem) => {
                self.refuse(&problem);
                Err(Fault::new(
                    format!("it said something that a coordinator refuses: {problem}"),
                    "what the .proto files and their limits allow",
                ))
            }
            Heard::Ended(how) => Ok(Next::Ended(how)),
        }
    }

    /// As a coordinator ends the stream of a peer that breaks the protocol.
    fn refuse(&self, problem: &str) {
        let _ = self.attached.outgoing.send(Err(Status::invalid_argument(problem)));
    }

    /// The next report about a run; a rejection of it, or the stream's end, is a fault.
    pub(super) fn report(&mut self, run: RunId, until: Instant) -> Result<Option<Report>, Fault> {
        loop {
            match self.next(until)? {
                Next::Said(FromWorker::Report(report), _) if report.run == run => return Ok(Some(report)),
                Next::Said(FromWorker::Reject { run: of, reason }, _) if of == run => {
                    return Err(Fault::new(
                        format!("it rejected the run: {reason}"),
                        "it takes runs of what its hello says it serves",
                    ));
                }
                Next::Said(FromWorker::Leaving, _) => {
                    return Err(Fault::new(
                        "it wanted to leave",
                        "it works until it is drained, or told to end",
                    ));
                }
                Next::Said(..) => {}
                Next::Ended(how) => return Err(ended(how)),
                Next::Silence => return Ok(None),
            }
        }
    }

    /// Outcomes of all evaluations of a batch, the first of each; other reports do not matter.
    pub(super) fn outcomes(&mut self, work: &Work) -> Result<BTreeMap<Place, Settlement>, Fault> {
        self.outcomes_counting(work, |_| ())
    }

    /// The same; `others` is told of settlements of other batches.
    pub(super) fn outcomes_counting(
        &mut self,
        work: &Work,
        mut others: impl FnMut(&Report),
    ) -> Result<BTreeMap<Place, Settlement>, Fault> {
        let wanted: BTreeSet<Place> = work.places().into_iter().collect();
        let mut found = BTreeMap::new();
        let mut until = self.deadline();
        while found.len() < wanted.len() {
            match self.next(until)? {
                Next::Said(FromWorker::Report(report), _) => {
                    if !is_about(&report, work) {
                        others(&report);
                        continue;
                    }
                    until = self.deadline();
                    for settlement in report.settlements {
                        let place = place(&settlement);
                        if wanted.contains(&place) {
                            found.entry(place).or_insert(settlement);
                        }
                    }
                }
                Next::Said(FromWorker::Reject { run, reason }, _) if run == work.batch.run => {
                    return Err(Fault::new(
                        format!("it rejected the run: {reason}"),
                        "it takes runs of what its hello says it serves",
                    ));
                }
                Next::Said(..) => {}
                Next::Ended(how) => return Err(ended(how)),
                Next::Silence => return Err(self.unsettled(found.len(), wanted.len())),
            }
        }
        Ok(found)
    }

    pub(super) fn unsettled(&self, found: usize, wanted: usize) -> Fault {
        Fault::new(
            format!(
                "{found} of {wanted} evaluations were settled when nothing had come for {:?}",
                self.patience
            ),
            "each evaluation is settled",
        )
    }

    /// Reports about a run that come in a moment.
    pub(super) fn later(&mut self, run: RunId) -> Result<Vec<Report>, Fault> {
        let until = Instant::now() + LINGER;
        let mut found = Vec::new();
        while let Some(report) = self.report(run, until)? {
            found.push(report);
        }
        Ok(found)
    }

    /// Asks for one evaluation of a run that was announced.
    pub(super) fn works_on(&mut self, work: &Work) -> Result<(), Fault> {
        self.give(work);
        self.outcomes(work).map(drop)
    }

    /// Waits until all slots have answered, so that what is given next begins at once.
    pub(super) fn warm_up(&mut self, run: &Run) -> Result<(), Fault> {
        let asked = vec![super::problem::Asked::lasting(50); 2 * self.slots()];
        self.works_on(&run.batch(0, &asked))
    }

    /// How many evaluations it begins at once.
    pub(super) fn slots(&self) -> usize {
        self.hello.threads as usize
    }

    /// Listens to the end: what was reported and given back of a run, whether it said that it leaves, and when the stream ended.
    pub(super) fn listen(&mut self, run: RunId, until: Instant) -> Result<Farewell, Fault> {
        let mut farewell = Farewell::default();
        loop {
            match self.next(until)? {
                Next::Said(FromWorker::Report(report), _) if report.run == run => {
                    farewell.settled.extend(report.settlements.iter().map(place));
                }
                Next::Said(FromWorker::GiveBack(given), _) if given.run == run => farewell.given.push(given),
                Next::Said(FromWorker::Leaving, _) => {
                    farewell.said = true;
                    return Ok(farewell);
                }
                Next::Said(..) => {}
                Next::Ended(how) => {
                    farewell.end = Some(how.map_or(StreamEnd::Closed, StreamEnd::Broken));
                    return Ok(farewell);
                }
                Next::Silence => return Ok(farewell),
            }
        }
    }
}

/// How a stream ended.
#[derive(Debug)]
pub(super) enum StreamEnd {
    /// The worker closed it.
    Closed,
    /// It broke, and how.
    Broken(String),
}

/// How a worker took its leave.
#[derive(Debug, Default)]
pub(super) struct Farewell {
    pub(super) settled: Vec<Place>,
    pub(super) given: Vec<BlockEpisodes>,
    /// Whether it said that it leaves.
    pub(super) said: bool,
    /// How the stream ended, if it did.
    pub(super) end: Option<StreamEnd>,
}

impl Farewell {
    /// What was heard after this, too.
    pub(super) fn and(mut self, later: Self) -> Self {
        self.settled.extend(later.settled);
        self.given.extend(later.given);
        Self { said: self.said || later.said, end: later.end, ..self }
    }
}

/// Whether a report is about a batch.
pub(super) fn is_about(report: &Report, work: &Work) -> bool {
    let batch = &work.batch;
    (report.run, report.generation, report.purpose, report.block)
        == (batch.run, batch.generation, batch.purpose, batch.block)
}

/// The stream's end where there should be none.
pub(super) fn ended(how: Option<String>) -> Fault {
    let how = how.map_or_else(|| "it closed the stream".to_owned(), |how| format!("the stream broke: {how}"));
    Fault::new(how, "the stream lives as long as the worker, and what is asked is answered on it")
}

/// A welcome as a message.
pub(super) fn welcome(id: u64, (busy, idle): (Duration, Duration)) -> v1::AttachResponse {
    let welcome = Welcome { worker: WorkerId(id), heartbeat_interval: busy, idle_heartbeat_interval: idle };
    v1::AttachResponse { kind: Some(ResponseKind::Welcome((&welcome).into())), traceparent: None }
}

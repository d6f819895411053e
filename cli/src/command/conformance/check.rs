//! What every check has: its name, a bench to try a worker on, and what it may find.

use std::time::{Duration, Instant};

use hebbian_shared::id::RunId;

use super::played::{Attached, Played};
use super::problem::Run;
use super::tried::{INTERVALS, Stream};

/// How often it is looked whether a worker's process has ended while it is waited for.
const GLANCE: Duration = Duration::from_millis(100);

/// What was seen, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) seen: String,
    pub(super) right: String,
}

impl Fault {
    pub(super) fn new(seen: impl Into<String>, right: impl Into<String>) -> Self {
        Self { seen: seen.into(), right: right.into() }
    }
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum CheckOutcome {
    /// Nothing wrong.
    Ok,
    /// A fault.
    Failed(Fault),
    /// It could not be tried, and why.
    Skipped(String),
}

impl From<Result<(), Fault>> for CheckOutcome {
    fn from(result: Result<(), Fault>) -> Self {
        result.map_or_else(Self::Failed, |()| Self::Ok)
    }
}

impl From<Result<Self, Fault>> for CheckOutcome {
    fn from(result: Result<Self, Fault>) -> Self {
        result.unwrap_or_else(Self::Failed)
    }
}

/// A check.
pub(super) struct Check {
    /// Its name, for people and for `--only`.
    pub(super) name: &'static str,
    /// Whether the worker's process ends by it.
    pub(super) ends: bool,
    /// Tries a worker.
    pub(super) run: fn(&mut Bench<'_>) -> CheckOutcome,
}

/// The worker that is tried, apart from what it says.
pub(super) trait Subject {
    /// Whether it can be started again when it has ended.
    fn is_ours(&self) -> bool;

    /// Starts it, unless it lives or somebody else starts it.
    fn start(&mut self, address: &str) -> Result<(), String>;

    /// How it ended, within a time; `None` where that is not known.
    fn ended(&mut self, within: Duration) -> Option<Result<(), String>>;

    /// Tells it to end, as SIGTERM does; whether that could be said.
    fn terminate(&mut self) -> bool;

    /// Ends it by force.
    fn kill(&mut self);
}

/// What checks are made with.
pub(super) struct Bench<'a> {
    pub(super) played: Played,
    pub(super) subject: &'a mut dyn Subject,
    /// The name of the problem.
    pub(super) problem: String,
    /// How long is waited for what must happen.
    pub(super) patience: Duration,
    runs: u64,
    workers: u64,
}

impl<'a> Bench<'a> {
    pub(super) fn new(
        played: Played,
        subject: &'a mut dyn Subject,
        problem: String,
        patience: Duration,
    ) -> Self {
        Self { played, subject, problem, patience, runs: 1000, workers: 0 }
    }

    /// A run of the problem that nobody has heard of.
    pub(super) fn run(&mut self) -> Run {
        let id = self.id();
        Run::new(id, &self.problem)
    }

    /// The id of a new run.
    pub(super) fn id(&mut self) -> RunId {
        self.runs += 1;
        RunId::new(self.runs)
    }

    /// The id of a new session.
    pub(super) fn worker(&mut self) -> u64 {
        self.workers += 1;
        self.workers
    }

    /// The worker's next stream, welcomed.
    pub(super) fn attach(&mut self) -> Result<Stream, Fault> {
        self.attach_with(INTERVALS)
    }

    /// The same, with other intervals of heartbeats.
    pub(super) fn attach_with(&mut self, intervals: (Duration, Duration)) -> Result<Stream, Fault> {
        let stream = self.stream()?;
        let id = self.worker();
        stream.welcome(id, intervals);
        Ok(stream)
    }

    /// The worker's next stream, before its welcome.
    pub(super) fn stream(&mut self) -> Result<Stream, Fault> {
        let attached = self.attached()?;
        match attached.hello.clone() {
            Ok(hello) => Ok(Stream::new(hello, attached, self.patience)),
            Err(problem) => {
                Err(Fault::new(problem, "the first message is a hello as dispatch_service.proto has it"))
            }
        }
    }

    fn attached(&mut self) -> Result<Attached, Fault> {
        let address = format!("http://{}", self.played.address());
        self.subject.start(&address).map_err(|problem| Fault::new(problem, "the worker starts"))?;
        let until = Instant::now() + self.patience;
        loop {
            // Seen before it is listened once more: what it said before its end has come.
            let ended = self.subject.ended(Duration::ZERO);
            match self.played.attached(GLANCE) {
                // One that has gone in the meantime comes again.
                Some(attached) if attached.outgoing.is_closed() => {}
                Some(attached) => return Ok(attached),
                None if ended.is_none() && Instant::now() < until => {}
                None => {
                    let seen = match ended {
                        Some(Err(how)) => format!("no worker attached, and its process has ended: {how}"),
                        Some(Ok(())) => "no worker attached, and its process has ended".to_owned(),
                        None => format!("no worker attached in {:?}", self.patience),
                    };
                    return Err(Fault::new(
                        seen,
                        "a worker attaches, and again whenever its stream has ended",
                    ));
                }
            }
        }
    }
}

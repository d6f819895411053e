//! Comparisons: their trials are shared among the workers that are ready for them.
//!
//! Apart from the engine: nothing here is kept, and nothing of it can change a run. A worker has one piece at a time, and
//! what it does not answer is given to another when its stream ends, or when all else is done and it takes too long
//! (`pieces`). A comparison ends with its client.

mod pieces;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hebbian_proto::convert::ConvertError;
use hebbian_proto::v1;
use hebbian_proto::v1::comparison_service_server::ComparisonService;
use hebbian_proto::v1::compute_trials_request::{Done, Failed, Kind, Ready};
use hebbian_shared::limits::{GENOME_VALUES_MAX, NAME_BYTES_MAX, REASON_BYTES_MAX};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::status::invalid;
use pieces::{Offer, Piece, Pieces};

/// The most comparisons at a time.
const COMPARISONS_MAX: usize = 16;
/// The most families of a comparison.
const FAMILIES_MAX: usize = 64;
/// The most numbers of updates of a comparison.
const UPDATES_MAX: usize = 32;
/// The most ablations of a comparison.
const ABLATIONS_MAX: usize = 3;
/// The most tasks of a family.
const TASKS_MAX: u32 = 100_000;
/// The most tasks of a piece, whatever a worker's threads.
const PIECE_TASKS_MAX: u32 = 256;
/// Answers that may wait for a client; the workers then wait, too.
const ANSWERS_LENGTH: usize = 64;
/// How long they wait; then the comparison ends.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// A piece that a worker has.
#[derive(Clone, Copy, Debug)]
struct Given {
    comparison: u64,
    piece: Piece,
}

type Answers = mpsc::Sender<Result<v1::CompareResponse, Status>>;

/// A comparison that is being computed.
struct Running {
    comparison: v1::RuleComparison,
    fingerprint: Vec<u8>,
    semantics: u32,
    answers: Answers,
    pieces: Pieces,
    /// Workers that said that they cannot, the last one's reason last.
    unable: BTreeMap<u64, String>,
}

impl Running {
    /// How many numbers a piece's answer has.
    fn scores(&self, piece: Piece) -> usize {
        let of_task = (1 + self.comparison.ablations.len()) * self.comparison.updates.len();
        piece.tasks as usize * of_task
    }
}

#[derive(Default)]
struct State {
    workers: BTreeMap<u64, Ready>,
    running: BTreeMap<u64, Running>,
    next: u64,
}

impl State {
    fn fits(running: &Running, id: u64, worker: &Ready) -> bool {
        worker.fingerprint == running.fingerprint
            && worker.episode_semantics == running.semantics
            && !running.unable.contains_key(&id)
    }

    /// Why nobody who is here can compute a comparison; `None` if somebody can.
    fn stranded(&self, running: &Running) -> Option<String> {
        if self.workers.iter().any(|(&id, worker)| Self::fits(running, id, worker)) {
            return None;
        }
        if let Some(reason) = running.unable.values().next_back() {
            return Some(format!("no attached worker can compute it, one of them because {reason}"));
        }
        let mut text = "no worker is attached that has the numerics of the one who asks".to_owned();
        let others: BTreeSet<&str> =
            self.workers.values().take(5).map(|worker| worker.display_name.as_str()).collect();
        if !others.is_empty() {
            let names: Vec<&str> = others.into_iter().collect();
            let _ = write!(text, "; others are: {}", names.join(", "));
        }
        Some(text)
    }
}

/// Shares trials among workers.
#[derive(Clone)]
pub(super) struct Comparisons {
    state: Arc<Mutex<State>>,
    /// Changes whenever there may be a piece for somebody.
    changed: Arc<watch::Sender<u64>>,
    hello_timeout: Duration,
}

impl Comparisons {
    pub(super) fn new(hello_timeout: Duration) -> Self {
        Self { state: Arc::default(), changed: Arc::new(watch::Sender::new(0)), hello_timeout }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that can panic runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self) {
        self.changed.send_modify(|number| *number += 1);
    }

    /// The next piece for a worker, or when to ask again if nothing changes before.
    fn take(&self, worker: u64) -> Result<(Given, v1::RuleComparison), Option<Instant>> {
        let mut state = self.state();
        let Some(ready) = state.workers.get(&worker).cloned() else { return Err(None) };
        let most = ready.threads.saturating_mul(4).clamp(1, PIECE_TASKS_MAX);
        // A client that has gone wants nothing more.
        state.running.retain(|_, running| !running.answers.is_closed());
        let (now, mut later) = (Instant::now(), None);
        // The one that came first.
        for (&comparison, running) in &mut state.running {
            if !State::fits(running, worker, &ready) {
                continue;
            }
            match running.pieces.take(now, most) {
                Offer::Piece(piece) => return Ok((Given { comparison, piece }, running.comparison.clone())),
                Offer::Later(due) => later = Some(later.map_or(due, |earlier: Instant| earlier.min(due))),
                Offer::Nothing => {}
            }
        }
        Err(later)
    }

    /// Gives a piece to others.
    fn give_back(&self, given: Given) {
        if let Some(running) = self.state().running.get_mut(&given.comparison) {
            running.pieces.give_back(given.piece);
        }
        self.change();
    }

    /// Notes that a worker cannot compute a comparison; ends it if nobody can.
    fn cannot(&self, worker: u64, given: Given, reason: String) {
        self.give_back(given);
        let mut state = self.state();
        if let Some(running) = state.running.get_mut(&given.comparison) {
            running.unable.insert(worker, reason);
        }
        let stranded = state.running.get(&given.comparison).and_then(|running| state.stranded(running));
        if let Some(reason) = stranded
            && let Some(running) = state.running.remove(&given.comparison)
        {
            // If the queue is full, the client sees that its stream ended early.
            let _ = running.answers.try_send(Err(Status::failed_precondition(reason)));
        }
    }

    /// Passes a piece's scores to its client, unless another worker was faster.
    async fn done(&self, given: Given, scores: Vec<f64>) -> Result<(), Status> {
        let Given { comparison, piece } = given;
        let answers = match self.state().running.get_mut(&comparison) {
            // Its client has gone.
            None => return Ok(()),
            Some(running) if running.scores(piece) != scores.len() => {
                let problem = format!("must be {} numbers, not {}", running.scores(piece), scores.len());
                return Err(invalid(&ConvertError::new("done.scores", problem)));
            }
            Some(running) => running.answers.clone(),
        };
        // A client that does not read must not hold the workers of all comparisons.
        let place = timeout(ANSWER_TIMEOUT, answers.reserve_owned()).await;
        let mut state = self.state();
        let Some(running) = state.running.get_mut(&comparison) else { return Ok(()) };
        let Ok(Ok(place)) = place else {
            state.running.remove(&comparison);
            return Ok(());
        };
        // Not before there is a place for the answer: a worker that leaves while it waits gives the piece back.
        if running.pieces.answer(Instant::now(), piece) {
            let response = v1::CompareResponse { family: piece.family, first_task: piece.first, scores };
            place.send(Ok(response));
        }
        if running.pieces.are_done() {
            state.running.remove(&comparison);
        }
        Ok(())
    }

    /// Gives pieces to a worker until its stream ends.
    async fn serve(
        &self,
        worker: u64,
        incoming: &mut Streaming<v1::ComputeTrialsRequest>,
        outgoing: &mpsc::Sender<Result<v1::ComputeTrialsResponse, Status>>,
    ) -> Result<(), Status> {
        let mut changed = self.changed.subscribe();
        let early = || invalid(&ConvertError::new("kind", "must not come before trials were sent"));
        for number in 1.. {
            let (given, comparison) = loop {
                changed.borrow_and_update();
                let later = match self.take(worker) {
                    Ok(found) => break found,
                    Err(later) => later,
                };
                tokio::select! {
                    _ = changed.changed() => {}
                    () = sleep_until(later.unwrap_or_else(Instant::now)), if later.is_some() => {}
                    message = incoming.message() => {
                        return message?.map_or(Ok(()), |_| Err(early()));
                    }
                }
            };
            let held = Held { comparisons: self, given: Some(given) };
            let Piece { family, first: first_task, tasks } = given.piece;
            let comparison = Some(comparison);
            let trials = v1::ComputeTrialsResponse { trials: number, comparison, family, first_task, tasks };
            if outgoing.send(Ok(trials)).await.is_err() {
                return Ok(());
            }
            match incoming.message().await?.and_then(|message| message.kind) {
                Some(Kind::Done(Done { trials, scores })) if trials == number => {
                    self.done(given, scores).await?;
                    held.keep();
                }
                Some(Kind::Failed(Failed { trials, reason })) if trials == number => {
                    held.keep();
                    let reason: String =
                        reason.chars().filter(|c| !c.is_control()).take(REASON_BYTES_MAX / 4).collect();
                    self.cannot(worker, given, reason);
                }
                None => return Ok(()),
                _ => {
                    return Err(invalid(&ConvertError::new("kind", "must answer the trials that were sent")));
                }
            }
        }
        Ok(())
    }
}

/// A piece that is given back unless it was answered.
struct Held<'a> {
    comparisons: &'a Comparisons,
    given: Option<Given>,
}

impl Held<'_> {
    /// It was answered.
    fn keep(mut self) {
        self.given = None;
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if let Some(given) = self.given.take() {
            self.comparisons.give_back(given);
        }
    }
}

/// Checks what the limits are of; what it means is the workers' to read. An error names the field.
pub fn check(comparison: &v1::RuleComparison) -> Result<(), ConvertError> {
    let within = |field: &str, found: usize, most: usize| {
        let problem = format!("must be 1 to {most}, not {found}");
        if (1..=most).contains(&found) { Ok(()) } else { Err(ConvertError::new(field, problem)) }
    };
    within("genome", comparison.genome.len() / 8, GENOME_VALUES_MAX)?;
    within("families", comparison.families.len(), FAMILIES_MAX)?;
    within("updates", comparison.updates.len(), UPDATES_MAX)?;
    within("ablations", 1 + comparison.ablations.len(), 1 + ABLATIONS_MAX)?;
    within("tasks_per_family", comparison.tasks_per_family as usize, TASKS_MAX as usize)
}

/// Checks what a worker says of itself. An error names the field.
pub fn check_ready(ready: &Ready) -> Result<(), ConvertError> {
    let name = &ready.display_name;
    if name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) || ready.fingerprint.len() != 32 {
        let problem = format!("must have a name of at most {NAME_BYTES_MAX} bytes and a fingerprint of 32");
        return Err(ConvertError::new("ready", problem));
    }
    Ok(())
}

#[tonic::async_trait]
impl ComparisonService for Comparisons {
    type CompareStream = ReceiverStream<Result<v1::CompareResponse, Status>>;

    async fn compare(
        &self,
        request: Request<v1::CompareRequest>,
    ) -> Result<Response<Self::CompareStream>, Status> {
        let v1::CompareRequest { comparison, fingerprint, episode_semantics: semantics } =
            request.into_inner();
        let comparison =
            comparison.ok_or_else(|| invalid(&ConvertError::new("comparison", "must be set")))?;
        check(&comparison).map_err(|error| invalid(&error.within("comparison")))?;
        let pieces = Pieces::new(comparison.families.len() as u32, comparison.tasks_per_family);
        let (answers, receiver) = mpsc::channel(ANSWERS_LENGTH);
        let unable = BTreeMap::new();
        let running = Running { comparison, fingerprint, semantics, answers, pieces, unable };
        {
            let mut state = self.state();
            state.running.retain(|_, running| !running.answers.is_closed());
            if state.running.len() >= COMPARISONS_MAX {
                let problem = format!("{COMPARISONS_MAX} comparisons are being computed, which is the limit");
                return Err(Status::resource_exhausted(problem));
            }
            if let Some(reason) = state.stranded(&running) {
                return Err(Status::failed_precondition(reason));
            }
            let id = state.next;
            state.next += 1;
            state.running.insert(id, running);
        }
        self.change();
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    type ComputeTrialsStream = ReceiverStream<Result<v1::ComputeTrialsResponse, Status>>;

    async fn compute_trials(
        &self,
        request: Request<Streaming<v1::ComputeTrialsRequest>>,
    ) -> Result<Response<Self::ComputeTrialsStream>, Status> {
        let mut incoming = request.into_inner();
        let first = tokio::time::timeout(self.hello_timeout, incoming.message()).await;
        let first = first
            .map_err(|_| Status::deadline_exceeded(format!("no word within {:?}", self.hello_timeout)))?;
        let Some(Kind::Ready(ready)) = first?.and_then(|message| message.kind) else {
            return Err(invalid(&ConvertError::new("ready", "must be the first message")));
        };
        check_ready(&ready).map_err(|error| invalid(&error))?;
        let worker = {
            let mut state = self.state();
            let worker = state.next;
            state.next += 1;
            state.workers.insert(worker, ready);
            worker
        };
        let (outgoing, queue) = mpsc::channel(1);
        let comparisons = self.clone();
        // A task of its own: the worker is to be forgotten also if the connection breaks.
        tokio::spawn(async move {
            let served = tokio::select! {
                served = comparisons.serve(worker, &mut incoming, &outgoing) => served,
                () = outgoing.closed() => Ok(()),
            };
            comparisons.state().workers.remove(&worker);
            if let Err(status) = served {
                let _ = outgoing.try_send(Err(status));
            }
        });
        Ok(Response::new(ReceiverStream::new(queue)))
    }
}

#[cfg(test)]
mod tests;

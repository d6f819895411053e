//! What the driver is asked that only the journal knows: closed generations, events, where a fork begins.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::mpsc as thread_mpsc;
use std::sync::{Arc, Mutex, PoisonError};

use hebbian_control::command::page::{Page, PageRequest};
use hebbian_control::command::{Refusal, check_share};
use hebbian_control::run::record::Origin;
use hebbian_proto::v1;
use hebbian_shared::id::{GenerationIndex, RunId};
use hebbian_shared::limits::WATCH_LENGTH_MAX;
use tokio::sync::{mpsc, oneshot, watch};

use super::journal_thread::{JournalRequest, failed};
use super::{Ask, Driver};
use crate::handle::Reply;
use crate::journal::Journal;
use crate::timing::Timings;

/// The stream of a run's committed events. It ends after the run's final state, when the coordinator shuts down, or
/// when the watcher was too slow; the caller watches again from the last sequence number it has seen.
pub type RunEvents = mpsc::Receiver<v1::WatchRunResponse>;

/// Closed generations in order.
#[derive(Clone, Debug)]
pub struct Generations {
    /// Of which run.
    pub run: RunId,
    /// Which page of them.
    pub page: PageRequest,
}

impl Ask for Generations {
    type Answer = Page<v1::GenerationSummary>;

    fn ask(self, driver: &mut Driver, reply: Reply<Self::Answer>) {
        let Self { run, page } = self;
        driver.read(run, reply, move |journal| {
            let size = page.size()?;
            let from = page.position(|token| {
                let (parent, from) = token.split_once('-')?;
                (parent.parse() == Ok(run)).then_some(())?;
                from.parse().ok()
            })?;
            let from = GenerationIndex(from.unwrap_or(0));
            // One more than the page, to know whether another follows.
            let found = journal.generations(run, from, size as u32 + 1).map_err(failed)?;
            Ok(Page::of(found, size, |last| format!("{run}-{}", last.generation + 1)))
        });
    }
}

/// What a run can be forked from.
#[derive(Clone, Copy, Debug)]
pub struct ForkOrigin {
    /// Which run.
    pub run: RunId,
    /// After how many closed generations; `None` for the last one that is on the disk.
    pub closed: Option<GenerationIndex>,
}

impl Ask for ForkOrigin {
    type Answer = Box<Origin>;

    fn ask(self, driver: &mut Driver, reply: Reply<Self::Answer>) {
        let Self { run, closed } = self;
        driver.read(run, reply, move |journal| origin(journal, run, closed));
    }
}

fn origin(
    journal: &mut dyn Journal,
    run: RunId,
    closed: Option<GenerationIndex>,
) -> Result<Box<Origin>, Refusal> {
    let refuse = |problem: String| Err(Refusal::WrongState { run, problem });
    let kept = journal.snapshots(run).map_err(failed)?;
    let Some(&last) = kept.last() else {
        return refuse("has closed no generation that it could be forked from".into());
    };
    let closed = closed.unwrap_or(last);
    let Some(snapshot) = journal.snapshot(run, closed).map_err(failed)? else {
        let kept: Vec<String> = kept.iter().map(ToString::to_string).collect();
        return refuse(format!(
            "has no snapshot after {closed} generations; it can be forked after {}",
            kept.join(", ")
        ));
    };
    let before = GenerationIndex(closed.0.saturating_sub(1));
    let found = journal.generations(run, before, 1).map_err(failed)?;
    match found.into_iter().next().filter(|last| snapshot.closes(last)) {
        Some(last) => Ok(Box::new(Origin { parent: run, last, snapshot: Arc::new(snapshot) })),
        None => refuse(format!("has a damaged snapshot after {closed} generations")),
    }
}

/// Committed events after a sequence number (0 for all), then live ones, without gaps. What cannot be committed is none: a
/// pause while the journal cannot be written is seen with `Get` and `Status` only.
#[derive(Clone, Debug)]
pub struct Watch {
    /// Of which run.
    pub run: RunId,
    /// The last sequence number that the watcher has seen.
    pub after: u64,
    /// For whom it is counted: the subject of a certificate, or an address; empty for this process.
    pub owner: String,
}

/// Watches by the client whose quota counts them.
pub(super) type Watching = Arc<Mutex<BTreeMap<String, usize>>>;

/// A watch that is counted until it ends.
struct Counted {
    owner: String,
    watching: Watching,
    timings: Arc<Timings>,
}

impl Counted {
    /// Counts a watch of an owner that may have one more.
    fn new(owner: String, watching: &Watching, timings: &Arc<Timings>, most: usize) -> Result<Self, Refusal> {
        let mut counts = watching.lock().unwrap_or_else(PoisonError::into_inner);
        let own = counts.get(&owner).copied().unwrap_or(0);
        let others = counts.values().sum::<usize>() - own;
        check_share(&owner, (own, others, most), "watches")?;
        *counts.entry(owner.clone()).or_default() += 1;
        timings.watchers.fetch_add(1, Ordering::Relaxed);
        Ok(Self { owner, watching: Arc::clone(watching), timings: Arc::clone(timings) })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.timings.watchers.fetch_sub(1, Ordering::Relaxed);
        let mut counts = self.watching.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.owner) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.owner);
            }
        }
    }
}

impl Ask for Watch {
    type Answer = RunEvents;

    fn ask(self, driver: &mut Driver, reply: Reply<RunEvents>) {
        let _ = reply.send(self.begin(driver));
    }
}

impl Watch {
    fn begin(self, driver: &mut Driver) -> Result<RunEvents, Refusal> {
        let Self { run, after, owner } = self;
        let (ended, least) = driver.engine.standing(run).ok_or_else(|| driver.engine.missing(run))?;
        let (sender, receiver) = mpsc::channel(WATCH_LENGTH_MAX);
        if ended && after >= least {
            return Ok(receiver);
        }
        let permit = Arc::clone(&driver.watchers).try_acquire_owned().map_err(|_| {
            let most = driver.settings.watchers_max;
            Refusal::Limit(format!("{most} runs are being watched, which is the limit"))
        })?;
        let counted = {
            let most = driver.settings.watchers_max;
            Counted::new(owner, &driver.watching, &driver.timings, most)?
        };
        let published = driver.published.entry(run).or_insert_with(|| watch::Sender::new(0)).subscribe();
        let jobs = driver.jobs.clone();
        tokio::spawn(async move {
            follow(run, (after, least, ended), published, &jobs, &sender).await;
            drop((permit, counted));
        });
        Ok(receiver)
    }
}

/// Events that are read from the journal at once.
const PAGE: u32 = WATCH_LENGTH_MAX as u32;

/// Sends a run's durable events to a watcher, those of the past and those to come, without a gap: both are read from
/// the journal. Ends when all of a run that has ended was sent, or when nobody listens.
async fn follow(
    run: RunId,
    (mut after, least, mut ended): (u64, u64, bool),
    mut published: watch::Receiver<u64>,
    jobs: &thread_mpsc::Sender<JournalRequest>,
    watcher: &mpsc::Sender<v1::WatchRunResponse>,
) {
    loop {
        let up_to = *published.borrow_and_update();
        while after < up_to {
            let (answer, page) = oneshot::channel();
            let read = move |journal: &mut dyn Journal| {
                let _ = answer.send(journal.events(run, after, up_to, PAGE));
            };
            if jobs.send(JournalRequest::Read(Box::new(read))).is_err() {
                return;
            }
            let Ok(Ok(page)) = page.await else { return };
            let complete = page.len() < PAGE as usize;
            for (sequence, event) in page {
                after = sequence;
                if let Some(state) = event.state() {
                    // A run that was extended has gone on after its first end.
                    ended = state.is_final();
                }
                if watcher.send(v1::WatchRunResponse { sequence, event: Some(event) }).await.is_err() {
                    return;
                }
            }
            if complete {
                after = up_to;
            }
        }
        // The last record of a run that has just ended may still be on its way to the disk.
        if ended && after >= least && *published.borrow() <= after {
            return;
        }
        tokio::select! {
            () = watcher.closed() => return,
            changed = published.changed() => if changed.is_err() { return },
        }
    }
}

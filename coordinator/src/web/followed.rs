//! What pages show, kept up to date for all of them together: each run that somebody looks at, and the list of runs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hebbian_control::command::coordinator::Status;
use hebbian_control::command::page::PageRequest;
use hebbian_control::command::run::{Get, GetResult};
use hebbian_control::command::{run, worker};
use hebbian_proto::v1;
use hebbian_shared::id::RunId;
use hebbian_shared::spec::ResolvedSpec;
use hebbian_view::document::RunPage;
use hebbian_view::history::History;
use hyper::body::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::body::Content;
use super::pages;
use crate::driver::reading::Watch;
use crate::handle::Handle;

/// A page hears of changes at most once in this time.
const PACE: Duration = Duration::from_secs(1);
/// A page that hears nothing hears a comment, so that it is noticed when it has gone.
const SILENCE: Duration = Duration::from_secs(15);
/// Runs that are followed at a time; the one that nobody has looked at for longest is left.
const FOLLOWED_MAX: usize = 16;
/// Runs and workers of the list.
const LISTED_MAX: u32 = 500;

/// See the module.
pub(super) struct Site {
    pub(super) handle: Handle,
    followed: Mutex<BTreeMap<RunId, Followed>>,
}

struct Followed {
    history: Arc<Mutex<History>>,
    /// The sequence number up to which the history goes.
    changed: watch::Receiver<u64>,
    used: Instant,
    task: JoinHandle<()>,
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A run's page.
pub(super) struct Page {
    pub(super) title: String,
    pub(super) body: String,
    pub(super) body_path: String,
    pub(super) events_path: String,
}

impl Site {
    pub(super) fn new(handle: Handle) -> Arc<Self> {
        Arc::new(Self { handle, followed: Mutex::default() })
    }

    /// The list of runs and workers; what the coordinator refuses is said in its place.
    pub(super) async fn overview(&self) -> String {
        let page = || PageRequest { size: LISTED_MAX, token: String::new() };
        let asked = async {
            let status = self.handle.ask(Status).await?;
            let runs = self.handle.ask(run::List { page: page() }).await?.items;
            let workers = self.handle.ask(worker::List { page: page() }).await?.items;
            Ok::<_, hebbian_control::command::Refusal>(pages::overview(&status, &runs, &workers))
        };
        asked.await.unwrap_or_else(|refusal| {
            format!("<p class=\"warning\">{}</p>", hebbian_view::escape::text(&refusal.to_string()))
        })
    }

    /// An event a second: the list always changes.
    pub(super) fn overview_events() -> Content {
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(PACE).await;
                if sender.send(Bytes::from_static(b"data: list\n\n")).await.is_err() {
                    return;
                }
            }
        });
        Content::Events(receiver)
    }

    /// The page of a run that is named by its id; `None` if there is none.
    pub(super) async fn page(&self, run: &str) -> Option<Page> {
        let run: RunId = run.parse().ok()?;
        let now = self.handle.ask(Get { run }).await.ok()?;
        let result = self.handle.ask(GetResult { run }).await.ok();
        let history = self.follow(run).0;
        let spec = result.as_ref().and_then(|result| ResolvedSpec::from_json(result.spec.clone()).ok());
        let layout = spec.as_ref().map(|spec| spec.layout()).unwrap_or_default();
        let objective = spec.and_then(|spec| serde_json::to_value(spec.evaluation.objective).ok());
        // A copy, which costs less than what is drawn of it while its events wait.
        let history = history.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let page = RunPage {
            run: &now,
            history: &history,
            result: result.as_ref(),
            layout: &layout,
            objective: objective.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default(),
            comparison: &[],
        };
        Some(Page {
            title: format!("{} - hebbian", now.display_name),
            body: page.body(),
            body_path: format!("/runs/{run}/body"),
            events_path: format!("/runs/{run}/events"),
        })
    }

    /// An event whenever a run has changed.
    pub(super) async fn run_events(&self, run: &str) -> Option<Content> {
        let run: RunId = run.parse().ok()?;
        self.handle.ask(Get { run }).await.ok()?;
        let mut changed = self.follow(run).1;
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(async move {
            loop {
                let event = match tokio::time::timeout(SILENCE, changed.changed()).await {
                    Ok(Ok(())) => Bytes::from(format!("data: {}\n\n", *changed.borrow_and_update())),
                    Ok(Err(_)) => return,
                    Err(_) => Bytes::from_static(b": silence\n\n"),
                };
                if sender.send(event).await.is_err() {
                    return;
                }
                tokio::time::sleep(PACE).await;
            }
        });
        Some(Content::Events(receiver))
    }

    fn follow(&self, run: RunId) -> (Arc<Mutex<History>>, watch::Receiver<u64>) {
        let mut followed = self.followed.lock().unwrap_or_else(PoisonError::into_inner);
        if !followed.contains_key(&run) && followed.len() >= FOLLOWED_MAX {
            let oldest = followed.iter().min_by_key(|(_, of)| of.used).map(|(run, _)| *run);
            if let Some(oldest) = oldest {
                followed.remove(&oldest);
            }
        }
        let of = followed.entry(run).or_insert_with(|| {
            let history = Arc::new(Mutex::new(History::default()));
            let (change, changed) = watch::channel(0);
            let task = tokio::spawn(take_events(self.handle.clone(), run, Arc::clone(&history), change));
            Followed { history, changed, used: Instant::now(), task }
        });
        of.used = Instant::now();
        (Arc::clone(&of.history), of.changed.clone())
    }
}

/// Takes a run's events for as long as the task lives: a run that has ended may be extended.
async fn take_events(handle: Handle, run: RunId, history: Arc<Mutex<History>>, change: watch::Sender<u64>) {
    let mut after = 0;
    loop {
        let watch = Watch { run, after, owner: "the live page".to_owned() };
        if let Ok(mut events) = handle.ask(watch).await {
            while let Some(v1::WatchRunResponse { sequence, event }) = events.recv().await {
                after = sequence;
                if let Some(event) = event {
                    history.lock().unwrap_or_else(PoisonError::into_inner).take(&event);
                }
                change.send_replace(after);
            }
        }
        tokio::time::sleep(PACE).await;
    }
}

//! What pages show, kept up to date for all of them together: each run that somebody looks at, and the list of runs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hebbian_control::command::coordinator::Status;
use hebbian_control::command::page::PageRequest;
use hebbian_control::command::run::{Get, GetResult};
use hebbian_control::command::{Refusal, run, worker};
use hebbian_proto::v1;
use hebbian_proto::v1::run_event::Kind;
use hebbian_shared::genome::GenomeLayout;
use hebbian_shared::id::RunId;
use hebbian_shared::limits::{PAGE_ITEMS_MAX, PAGE_RUNS_FOLLOWED_MAX, WATCH_LENGTH_MAX};
use hebbian_shared::spec::ResolvedSpec;
use hebbian_view::cluster::Throughput;
use hebbian_view::document::RunPage;
use hebbian_view::history::History;
use hebbian_view::picture::Picture;
use hebbian_view::runs::{self, Compared};
use hyper::body::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::access::May;
use super::body::{Content, Packed};
use super::demonstrated::{Demonstrate, Demonstrated};
use super::rates::Rates;
use super::{Acts, Entrance, pages};
use crate::driver::reading::Watch;
use crate::handle::Handle;

/// A page hears of changes at most once in this time, so that it shows each within a second.
const PACE: Duration = Duration::from_millis(850);
/// The events of a fast run are taken together at this pace, so that none of them wakes the thread by itself.
const GATHER: Duration = Duration::from_millis(100);
/// A list or a cluster changes all the time; a page of it hears so at this pace.
const LIST_PACE: Duration = Duration::from_secs(1);
/// Pictures are drawn again after so many times what drawing them took, so that drawing is a third of a hundredth of a core at most, but
/// after [`DRAWN_FOR`] in any case. What stands around them is written anew with every change.
const PICTURES_PACE: u32 = 300;
/// A page that hears nothing hears a comment, so that it is noticed when it has gone.
const SILENCE: Duration = Duration::from_secs(15);
/// A page is drawn after this time, whether all of its run's events have come or not; the others follow.
const FIRST_EVENTS: Duration = Duration::from_millis(600);
/// How often the throughput is looked at.
const LOOK: Duration = Duration::from_secs(2);
/// A page that was drawn is drawn again after this time, whether its run has changed or not.
const DRAWN_FOR: Duration = Duration::from_secs(10);

/// See the module.
pub(super) struct Site {
    pub(super) handle: Handle,
    pub(super) entrance: Entrance,
    followed: Mutex<BTreeMap<RunId, Followed>>,
    throughput: Mutex<Throughput>,
    rates: Mutex<Rates>,
    demonstrate: Option<Demonstrate>,
    demonstrated: Demonstrated,
}

struct Followed {
    history: Arc<Mutex<History>>,
    /// The sequence number up to which pages were told of changes.
    told: Arc<watch::Sender<u64>>,
    /// The page as it was drawn last. However many look at it, it is drawn once.
    drawn: Arc<tokio::sync::Mutex<Option<Drawn>>>,
    used: Instant,
    task: JoinHandle<()>,
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A run's page as it was drawn last.
struct Drawn {
    /// Up to which sequence number.
    up_to: u64,
    when: Instant,
    page: Page,
    pictures: Pictures,
    spec: Arc<FromSpec>,
}

/// What a page needs of a run's spec, which never changes but by an extension of its limits.
#[derive(Default)]
struct FromSpec {
    layout: GenomeLayout,
    objective: String,
    /// Whether what is searched for is a learning rule.
    has_rule: bool,
}

impl FromSpec {
    fn of(json: String) -> Option<Self> {
        let spec = ResolvedSpec::from_json(json).ok()?;
        let has_rule = spec.problem.rule_learning().is_some();
        Some(Self { layout: spec.layout(), objective: spec.objective_name().to_owned(), has_rule })
    }
}

/// A run's pictures, which may be older than what stands around them.
struct Pictures {
    up_to: u64,
    html: String,
    /// When they may be drawn again.
    due: Instant,
    /// Whether pages are told then.
    awaited: bool,
}

impl Pictures {
    fn of(stands: &RunNow, history: &History, up_to: u64) -> Self {
        let begun = Instant::now();
        let html = stands.page(history).pictures_html();
        // While its first events come the rest is not waited for. A fast run is always some events ahead.
        let coming = history.closed() < stands.now.generation - stands.now.generation / 10;
        let rest = if coming { PACE } else { Self::rest_after(begun.elapsed()) };
        Self { up_to, html, due: Instant::now() + rest, awaited: false }
    }

    /// How long nothing is drawn after what took so long.
    fn rest_after(drawing: Duration) -> Duration {
        (drawing * PICTURES_PACE).clamp(PACE, DRAWN_FOR)
    }
}

/// How a run stands, beside its history.
struct RunNow {
    now: v1::Run,
    result: Option<v1::RunResult>,
    spec: Arc<FromSpec>,
}

impl RunNow {
    fn page<'a>(&'a self, history: &'a History) -> RunPage<'a> {
        RunPage {
            run: &self.now,
            history,
            result: self.result.as_ref(),
            layout: &self.spec.layout,
            objective: &self.spec.objective,
            comparison: &[],
            learned: None,
        }
    }
}

/// A page, in its frame or without.
#[derive(Clone)]
pub(super) struct Page {
    title: String,
    pub(super) body: Arc<Packed>,
    body_path: String,
    events_path: String,
}

impl Page {
    /// All of it, for somebody who may do so much.
    pub(super) fn content(self, may: May) -> Content {
        let paths = (self.body_path.as_str(), self.events_path.as_str());
        Content::whole(pages::shell(&self.title, paths, may, self.body.text()))
    }

    /// One that changes only when it is loaded again.
    pub(super) fn at_rest(title: String, body: String) -> Self {
        Self { title, body: Packed::new(body), body_path: String::new(), events_path: String::new() }
    }

    /// One that changes all the time.
    fn of_cluster(title: &str, body: String, body_path: String) -> Self {
        Self {
            title: title.to_owned(),
            body: Packed::new(body),
            body_path,
            events_path: "/events".to_owned(),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Site {
    /// To be called where tasks can be started.
    pub(super) fn new(handle: Handle, entrance: Entrance, demonstrate: Option<Demonstrate>) -> Arc<Self> {
        let site = Arc::new(Self {
            handle,
            entrance,
            followed: Mutex::default(),
            throughput: Mutex::default(),
            rates: Mutex::default(),
            demonstrate,
            demonstrated: Demonstrated::default(),
        });
        let looking = Arc::downgrade(&site);
        tokio::spawn(async move {
            while let Some(site) = looking.upgrade() {
                if let Ok(status) = site.handle.ask(Status).await {
                    let uptime = hebbian_proto::figures::duration(status.uptime).as_secs_f64();
                    lock(&site.throughput).take(uptime, status.settled_episodes, status.workers);
                }
                drop(site);
                tokio::time::sleep(LOOK).await;
            }
        });
        site
    }

    /// What can be done here.
    pub(super) fn acts(&self) -> Acts {
        self.entrance.acts
    }

    /// The list of runs; what the coordinator refuses is said in its place.
    pub(super) async fn list(&self) -> Page {
        let asked = async {
            let status = self.handle.ask(Status).await?;
            let page = PageRequest { size: PAGE_ITEMS_MAX, token: String::new() };
            let runs = self.handle.ask(run::List { page }).await?.items;
            Ok(pages::overview(&status, &runs))
        };
        Page::of_cluster(
            "hebbian",
            asked.await.unwrap_or_else(|refusal: Refusal| refused(&refusal)),
            "/body".to_owned(),
        )
    }

    /// Workers, throughput, and what happened to workers.
    pub(super) async fn cluster(&self) -> Page {
        let asked = async {
            let status = self.handle.ask(Status).await?;
            let page = PageRequest { size: PAGE_ITEMS_MAX, token: String::new() };
            let workers = self.handle.ask(worker::List { page }).await?.items;
            let throughput = lock(&self.throughput).clone();
            let mut rates = lock(&self.rates);
            rates.look(Instant::now(), &workers);
            Ok(pages::cluster(&status, &workers, (&throughput, &rates)))
        };
        let body = asked.await.unwrap_or_else(|refusal: Refusal| refused(&refusal));
        Page::of_cluster("Cluster - hebbian", body, "/cluster/body".to_owned())
    }

    /// An event a second: a cluster always changes.
    pub(super) fn every_second() -> Content {
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(LIST_PACE).await;
                if sender.send(Bytes::from_static(b"data: list\n\n")).await.is_err() {
                    return;
                }
            }
        });
        Content::Events(receiver)
    }

    /// Runs beside each other, which are named by their ids with commas between them; `None` if there is none of them.
    pub(super) async fn compared(&self, ids: &str) -> Option<Page> {
        let mut named = Vec::new();
        for id in ids.split(',').take(PAGE_RUNS_FOLLOWED_MAX) {
            let run: RunId = id.parse().ok()?;
            let Ok(now) = self.handle.ask(Get { run }).await else { continue };
            let history = self.follow(run).history;
            wait_for(&history, now.generation).await;
            let history = lock(&history).clone();
            named.push((format!("{} (seed {})", now.display_name, now.seed), now, history));
        }
        if named.is_empty() {
            return None;
        }
        let compared: Vec<Compared<'_>> =
            named.iter().map(|(name, run, history)| Compared { name, group: &run.group, history }).collect();
        let pictures: String = runs::pictures(&compared).iter().map(Picture::html).collect();
        let runs: Vec<&v1::Run> = named.iter().map(|(_, run, _)| run).collect();
        let left_out = ids.split(',').count().saturating_sub(PAGE_RUNS_FOLLOWED_MAX);
        let body = pages::compared(&runs, left_out, &pictures);
        Some(Page::of_cluster("Runs compared - hebbian", body, format!("/compare/{ids}/body")))
    }

    /// What a run's rule does; `None` if there is no such run, or nobody here knows.
    pub(super) async fn demonstrated(&self, id: &str) -> Option<Page> {
        self.demonstrated.page(&self.handle, self.demonstrate.as_ref()?, id).await
    }

    /// The page of a run that is named by its id; `None` if there is none.
    pub(super) async fn page(&self, id: &str) -> Option<Page> {
        let run: RunId = id.parse().ok()?;
        let now = self.handle.ask(Get { run }).await.ok()?;
        let Following { history, told, drawn } = self.follow(run);
        let mut drawn = drawn.lock().await;
        let up_to = *told.borrow();
        if let Some(Drawn { up_to: drawn_to, when, page, pictures, .. }) = &*drawn
            && *drawn_to == up_to
            && when.elapsed() < DRAWN_FOR
            && up_to >= now.sequence
            && (pictures.up_to == up_to || Instant::now() < pictures.due)
        {
            return Some(page.clone());
        }
        if drawn.is_none() {
            wait_for(&history, now.generation).await;
        }
        let result = self.handle.ask(GetResult { run }).await.ok();
        let earlier = drawn.take();
        let spec = match (&earlier, &result) {
            (Some(earlier), _) if !earlier.spec.objective.is_empty() => Arc::clone(&earlier.spec),
            (_, Some(result)) => Arc::new(FromSpec::of(result.spec.clone()).unwrap_or_default()),
            (_, None) => Arc::default(),
        };
        let stands = RunNow { now, result, spec };
        let still_good = |pictures: &Pictures| {
            pictures.up_to == up_to || (!stands.now.is_final() && Instant::now() < pictures.due)
        };
        let earlier = earlier.map(|drawn| drawn.pictures).filter(still_good);
        // A copy, which costs less than what is drawn of it while its events wait.
        let mut pictures = earlier.unwrap_or_else(|| {
            let copy = lock(&history).clone();
            Pictures::of(&stands, &copy, up_to)
        });
        if pictures.up_to != up_to && !pictures.awaited {
            // Whoever has the older ones asks for the others when they are due, also if nothing else changes.
            pictures.awaited = true;
            let (told, due) = (Arc::clone(&told), pictures.due);
            tokio::spawn(async move {
                tokio::time::sleep_until(due).await;
                // Where something else has changed meanwhile, that was told.
                told.send_if_modified(|now| *now == up_to);
            });
        }
        let demonstrated = match (&self.demonstrate, stands.spec.has_rule) {
            (Some(_), true) => format!("<p><a href=\"/runs/{run}/demonstrated\">What the rule does</a></p>"),
            _ => String::new(),
        };
        let around = pages::acts(&stands.now, self.acts()) + &demonstrated;
        let page = Page {
            title: format!("{} - hebbian", stands.now.display_name),
            body: Packed::new(stands.page(&lock(&history)).body_around(&around, &pictures.html)),
            body_path: format!("/runs/{run}/body"),
            events_path: format!("/runs/{run}/events"),
        };
        *drawn = Some(Drawn { up_to, when: Instant::now(), page: page.clone(), pictures, spec: stands.spec });
        Some(page)
    }

    /// An event whenever a run has changed.
    pub(super) async fn run_events(&self, run: &str) -> Option<Content> {
        let run: RunId = run.parse().ok()?;
        self.handle.ask(Get { run }).await.ok()?;
        let mut told = self.follow(run).told.subscribe();
        if *told.borrow() > 0 {
            // Whatever was told before this page listened.
            told.mark_changed();
        }
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(async move {
            loop {
                let event = match tokio::time::timeout(SILENCE, told.changed()).await {
                    Ok(Ok(())) => Bytes::from(format!("data: {}\n\n", *told.borrow_and_update())),
                    Ok(Err(_)) => return,
                    Err(_) => Bytes::from_static(b": silence\n\n"),
                };
                if sender.send(event).await.is_err() {
                    return;
                }
            }
        });
        Some(Content::Events(receiver))
    }

    fn follow(&self, run: RunId) -> Following {
        let mut followed = lock(&self.followed);
        if !followed.contains_key(&run) && followed.len() >= PAGE_RUNS_FOLLOWED_MAX {
            let oldest = followed.iter().min_by_key(|(_, of)| of.used).map(|(run, _)| *run);
            if let Some(oldest) = oldest {
                followed.remove(&oldest);
            }
        }
        let of = followed.entry(run).or_insert_with(|| {
            let history = Arc::new(Mutex::new(History::default()));
            let told = Arc::new(watch::Sender::new(0));
            let taken = take_events(self.handle.clone(), run, Arc::clone(&history), Arc::clone(&told));
            let task = tokio::spawn(taken);
            Followed { history, told, drawn: Arc::default(), used: Instant::now(), task }
        });
        of.used = Instant::now();
        let (history, told, drawn) = (Arc::clone(&of.history), Arc::clone(&of.told), Arc::clone(&of.drawn));
        Following { history, told, drawn }
    }
}

/// Waits a little until so many generations of a run that has just begun to be followed are there.
async fn wait_for(history: &Mutex<History>, generations: u32) {
    let until = Instant::now() + FIRST_EVENTS;
    while lock(history).closed() < generations && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What is known of a run that is followed.
struct Following {
    history: Arc<Mutex<History>>,
    told: Arc<watch::Sender<u64>>,
    drawn: Arc<tokio::sync::Mutex<Option<Drawn>>>,
}

fn refused(refusal: &Refusal) -> String {
    format!("<p class=\"warning\">{}</p>", hebbian_view::escape::text(&refusal.to_string()))
}

/// Takes a run's events for as long as the task lives, since a run that has ended may be extended. All pages hear of changes at the
/// same moments, at most once in [`PACE`]; of notes and states, which are rare and waited for, within [`GATHER`].
async fn take_events(
    handle: Handle,
    run: RunId,
    history: Arc<Mutex<History>>,
    tell: Arc<watch::Sender<u64>>,
) {
    // Pages are told of the first events at once. A moment that is over when the events of a fast run are taken comes before them.
    let begun = Instant::now();
    let (mut after, mut told_at, mut gathered) = (0, begun.checked_sub(PACE).unwrap_or(begun), Vec::new());
    // Whether something is new that does not come with every generation.
    let mut is_rare = false;
    loop {
        let watch = Watch { run, after, owner: "the live page".to_owned() };
        if let Ok(mut events) = handle.ask(watch).await {
            let mut past = newest(&handle, run).await;
            loop {
                let pace = if is_rare { GATHER } else { PACE };
                let has_news = *tell.borrow() != after;
                tokio::select! {
                    biased;
                    () = tokio::time::sleep_until(told_at + pace), if has_news => {
                        tell.send_replace(after);
                        (told_at, is_rare) = (Instant::now(), false);
                        past = newest(&handle, run).await;
                    }
                    got = events.recv_many(&mut gathered, WATCH_LENGTH_MAX) => {
                        if got == 0 {
                            break;
                        }
                        {
                            let mut history = lock(&history);
                            for v1::WatchRunResponse { sequence, event } in gathered.drain(..) {
                                after = sequence;
                                if let Some(event) = event {
                                    is_rare |= matches!(event.kind, Some(Kind::Note(_) | Kind::State(_)));
                                    history.take(&event);
                                }
                            }
                        }
                        if after >= past {
                            tokio::time::sleep(GATHER).await;
                        }
                    }
                }
            }
            tell.send_replace(after);
        }
        tokio::time::sleep(PACE).await;
    }
}

/// The number of a run's newest record: what is before it is past, and is read as fast as it comes.
async fn newest(handle: &Handle, run: RunId) -> u64 {
    handle.ask(Get { run }).await.map_or(0, |now| now.sequence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawing_pictures_takes_little_of_a_core_and_none_is_older_than_ten_seconds() {
        let milliseconds = Duration::from_millis;
        for (drawing, rest) in [(0, 850), (1, 850), (5, 1_500), (20, 6_000), (100, 10_000), (3_000, 10_000)] {
            assert_eq!(Pictures::rest_after(milliseconds(drawing)), milliseconds(rest), "{drawing} ms");
        }
    }
}

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
use hebbian_shared::id::RunId;
use hebbian_shared::limits::{PAGE_ITEMS_MAX, PAGE_RUNS_FOLLOWED_MAX, WATCH_LENGTH_MAX};
use hebbian_view::cluster::Throughput;
use hebbian_view::history::History;
use hebbian_view::picture::Picture;
use hebbian_view::runs::{self, Compared};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::access::Visitor;
use super::body::Content;
use super::demonstrated::Demonstrated;
use super::drawn::{Drawn, FromSpec, Pictures, RunNow};
use super::kept::{Kept, KeptPages};
use super::page::Page;
use super::rates::Rates;
use super::{Acts, Beside, Entrance, pages, told};
use crate::driver::reading::Watch;
use crate::handle::Handle;

/// A page hears of changes at most once in this time, so that it shows each within a second.
pub(super) const PACE: Duration = Duration::from_millis(850);
/// The events of a fast run are taken together at this pace, so that none of them wakes the thread by itself.
const GATHER: Duration = Duration::from_millis(100);
/// A list or a cluster changes all the time; a page of it hears so at this pace.
const LIST_PACE: Duration = Duration::from_secs(1);
/// A page is drawn after this time, whether all of its run's events have come or not; the others follow.
const FIRST_EVENTS: Duration = Duration::from_millis(600);
/// How often the throughput is looked at.
const LOOK: Duration = Duration::from_secs(2);

/// See the module.
pub(super) struct Site {
    pub(super) handle: Handle,
    pub(super) entrance: Entrance,
    followed: Mutex<BTreeMap<RunId, Followed>>,
    throughput: Mutex<Throughput>,
    rates: Mutex<Rates>,
    beside: Beside,
    demonstrated: Demonstrated,
    /// Pages that change all the time are told at the same moments, which have numbers.
    moment: watch::Sender<u64>,
    kept: KeptPages,
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

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Site {
    /// To be called where tasks can be started.
    pub(super) fn new(handle: Handle, entrance: Entrance, beside: Beside) -> Arc<Self> {
        let site = Arc::new(Self {
            handle,
            entrance,
            followed: Mutex::default(),
            throughput: Mutex::default(),
            rates: Mutex::default(),
            beside,
            demonstrated: Demonstrated::default(),
            moment: watch::Sender::new(0),
            kept: KeptPages::default(),
        });
        let telling = Arc::downgrade(&site);
        tokio::spawn(async move {
            while let Some(site) = telling.upgrade() {
                site.moment.send_modify(|moment| *moment += 1);
                drop(site);
                tokio::time::sleep(LIST_PACE).await;
            }
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

    /// The list of runs for whoever was told of a moment; what the coordinator refuses is said in its place.
    pub(super) async fn list(&self, at: Option<u64>) -> Page {
        let draw = async {
            let status = self.handle.ask(Status).await?;
            let page = PageRequest { size: PAGE_ITEMS_MAX, token: String::new() };
            let runs = self.handle.ask(run::List { page }).await?.items;
            Ok(pages::overview(&status, &runs))
        };
        self.kept_page("hebbian", "/body", at, draw).await
    }

    /// Workers, throughput, and what happened to workers.
    pub(super) async fn cluster(&self, at: Option<u64>) -> Page {
        let draw = async {
            let status = self.handle.ask(Status).await?;
            let page = PageRequest { size: PAGE_ITEMS_MAX, token: String::new() };
            let workers = self.handle.ask(worker::List { page }).await?.items;
            let throughput = lock(&self.throughput).clone();
            let mut rates = lock(&self.rates);
            rates.look(Instant::now(), &workers);
            Ok(pages::cluster(&status, &workers, (&throughput, &rates)))
        };
        self.kept_page("Cluster - hebbian", "/cluster/body", at, draw).await
    }

    /// The page as it was drawn for others who were told of the same moment, or drawn now.
    async fn kept_page(
        &self,
        title: &str,
        body_path: &str,
        at: Option<u64>,
        draw: impl Future<Output = Result<String, Refusal>>,
    ) -> Page {
        let place = self.kept.place(body_path);
        let mut kept = place.lock().await;
        if let Some(kept) = kept.as_ref().filter(|kept| kept.is_of(at)) {
            return kept.page.clone();
        }
        let body = draw.await.unwrap_or_else(|refusal: Refusal| refused(&refusal));
        let page = Page::of_cluster(title, (body, None, String::new()), body_path.to_owned());
        *kept = Some(Kept { at, page: page.clone(), pictures: None });
        page
    }

    /// An event a second: a cluster always changes.
    pub(super) fn every_second(&self, visitor: Visitor) -> Content {
        told::events(self.moment.subscribe(), &self.beside.ending, visitor)
    }

    /// Runs beside each other, which are named by their ids with commas between them; `None` if there is none of them.
    pub(super) async fn compared(&self, ids: &str, at: Option<u64>) -> Option<Page> {
        let body_path = format!("/compare/{ids}/body");
        let place = self.kept.place(&body_path);
        let mut kept = place.lock().await;
        if let Some(kept) = kept.as_ref().filter(|kept| kept.is_of(at)) {
            return Some(kept.page.clone());
        }
        let mut found = Vec::new();
        for id in ids.split(',').take(PAGE_RUNS_FOLLOWED_MAX) {
            let run: RunId = id.parse().ok()?;
            let Ok(now) = self.handle.ask(Get { run }).await else { continue };
            let history = self.follow(run).history;
            if kept.is_none() {
                wait_for(&history, now.generation).await;
            }
            found.push((now, history));
        }
        if found.is_empty() {
            return None;
        }
        let earlier = kept.take().and_then(|kept| kept.pictures);
        let earlier = earlier.filter(|pictures| Instant::now() < pictures.due);
        let (is_new, mut pictures) = match earlier {
            Some(pictures) => (false, pictures),
            None => (true, Pictures::of(0, || compared_pictures(&found))),
        };
        let runs: Vec<&v1::Run> = found.iter().map(|(run, _)| run).collect();
        let left_out = ids.split(',').count().saturating_sub(PAGE_RUNS_FOLLOWED_MAX);
        let before = pages::compared(&runs, left_out);
        let parts = (before, Some(Arc::clone(&pictures.drawn)), String::new());
        let page = Page::of_cluster("Runs compared - hebbian", parts, body_path);
        if is_new {
            let taken = found.iter().map(|(_, history)| lock(history).closed()).sum();
            pictures.rest(&page, (taken, runs.iter().map(|run| run.generation).sum()));
        }
        *kept = Some(Kept { at, page: page.clone(), pictures: Some(pictures) });
        Some(page)
    }

    /// What a run's rule does; `None` if there is no such run, or nobody here knows.
    pub(super) async fn demonstrated(&self, id: &str) -> Option<Page> {
        self.demonstrated.page(&self.handle, self.beside.demonstrate.as_ref()?, id).await
    }

    /// The page of a run that is named by its id, for whoever was told of a change, or has asked by themselves and sees all that is known;
    /// `None` if there is none.
    pub(super) async fn page(&self, id: &str, at: Option<u64>) -> Option<Page> {
        let run: RunId = id.parse().ok()?;
        if at.is_some()
            && let Some(page) = self.drawn_since_told(run).await
        {
            return Some(page);
        }
        let now = self.handle.ask(Get { run }).await.ok()?;
        let Following { history, told, drawn } = self.follow(run);
        let mut drawn = drawn.lock().await;
        let (up_to, stage) = (*told.borrow(), self.beside.ending.stage());
        // A fast run is always further than what its pages were told.
        let wanted = if at.is_some() { up_to } else { now.sequence };
        if let Some(drawn) = drawn.as_ref().filter(|drawn| drawn.is_good(up_to, &stage) && up_to >= wanted) {
            return Some(drawn.page.clone());
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
        let stands = RunNow { now, result, spec, stage };
        let earlier = earlier.filter(|drawn| {
            let pictures = &drawn.pictures;
            let are_due = stands.now.is_final() || Instant::now() >= pictures.due;
            drawn.stage == stands.stage && (pictures.up_to == up_to || !are_due)
        });
        let (is_new, mut pictures) = if let Some(drawn) = earlier {
            (false, drawn.pictures)
        } else {
            // A copy, which costs less than what is drawn of it while its events wait.
            let copy = lock(&history).clone();
            (true, Pictures::of(up_to, || stands.page(&copy).pictures_html()))
        };
        let (around, taken) = {
            let history = lock(&history);
            (stands.page(&history).around(&self.below_summary(&stands)), history.closed())
        };
        let page = Page::new(
            format!("{} - hebbian", stands.now.display_name),
            (around.0, Some(Arc::clone(&pictures.drawn)), around.1),
            (format!("/runs/{run}/body"), format!("/runs/{run}/events")),
        );
        if is_new {
            pictures.rest(&page, (taken, stands.now.generation));
        } else if pictures.up_to != up_to && !pictures.awaited {
            // Whoever has the older ones asks for the others when they are due, also if nothing else changes.
            pictures.awaited = true;
            let (told, due) = (Arc::clone(&told), pictures.due);
            tokio::spawn(async move {
                tokio::time::sleep_until(due).await;
                // Where something else has changed meanwhile, that was told.
                told.send_if_modified(|now| *now == up_to);
            });
        }
        let RunNow { spec, stage, .. } = stands;
        *drawn = Some(Drawn { up_to, when: Instant::now(), page: page.clone(), pictures, spec, stage });
        Some(page)
    }

    /// The page of a run if it was drawn since all who look were told of a change. It is drawn for the first of them.
    async fn drawn_since_told(&self, run: RunId) -> Option<Page> {
        let (told, drawn) = {
            let mut followed = lock(&self.followed);
            let of = followed.get_mut(&run)?;
            of.used = Instant::now();
            (Arc::clone(&of.told), Arc::clone(&of.drawn))
        };
        let drawn = drawn.lock().await;
        let up_to = *told.borrow();
        Some(drawn.as_ref().filter(|drawn| drawn.is_good(up_to, &self.beside.ending.stage()))?.page.clone())
    }

    /// What can be done to a run, and what else there is of it.
    fn below_summary(&self, stands: &RunNow) -> String {
        let demonstrated = match (&self.beside.demonstrate, stands.spec.has_rule) {
            (Some(_), true) => {
                format!("<p><a href=\"/runs/{}/demonstrated\">What the rule does</a></p>", stands.now.id())
            }
            _ => String::new(),
        };
        pages::acts(&stands.now, self.acts()) + &demonstrated + stands.stage.html()
    }

    /// An event whenever a run has changed.
    pub(super) async fn run_events(&self, run: &str, visitor: Visitor) -> Option<Content> {
        let run: RunId = run.parse().ok()?;
        self.handle.ask(Get { run }).await.ok()?;
        let mut told = self.follow(run).told.subscribe();
        if *told.borrow() > 0 {
            // Whatever was told before this page listened.
            told.mark_changed();
        }
        Some(told::events(told, &self.beside.ending, visitor))
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

fn compared_pictures(found: &[(v1::Run, Arc<Mutex<History>>)]) -> String {
    let copy = |(run, history): &(v1::Run, Arc<Mutex<History>>)| {
        (format!("{} (seed {})", run.display_name, run.seed), lock(history).clone())
    };
    let copies: Vec<(String, History)> = found.iter().map(copy).collect();
    let pairs = copies.iter().zip(found);
    let compared: Vec<Compared<'_>> =
        pairs.map(|((name, history), (run, _))| Compared { name, group: &run.group, history }).collect();
    runs::pictures(&compared).iter().map(Picture::html).collect()
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

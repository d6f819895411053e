//! What the live page and the metrics cost: ten open pages beside a run as fast as it goes, in turn with nobody looking.

use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use flate2::read::GzDecoder;
use hebbian_shared::id::RunId;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::cluster::{Cluster, Options, trivial};
use super::role::Work;
use super::{Case, Figure, case, figure};

/// How often each side is measured; the sides take turns.
const ROUNDS: usize = 5;
/// How long one measurement takes.
const LONG: Duration = Duration::from_secs(10);
/// Pages of the run that are open.
const PAGES: usize = 10;
/// How often the metrics are read.
const SCRAPE: Duration = Duration::from_secs(5);

pub(super) fn cases() -> Vec<Case> {
    vec![case("page", page)]
}

/// A side of the comparison.
#[derive(Default)]
struct Side {
    /// Thousands of episodes a second, by round.
    rates: Vec<f64>,
    /// What the page's thread took of a core, by round.
    shares: Vec<f64>,
    /// Bodies that pages have fetched.
    bodies: u64,
}

impl Side {
    fn sorted(values: &[f64]) -> Vec<f64> {
        let mut sorted = values.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        sorted
    }

    fn median(&self) -> f64 {
        Self::sorted(&self.rates)[self.rates.len() / 2]
    }

    /// From the lowest to the highest rate.
    fn spread(&self) -> f64 {
        let sorted = Self::sorted(&self.rates);
        sorted[sorted.len() - 1] - sorted[0]
    }
}

async fn page() -> Vec<Figure> {
    let (mut without, mut with) = (Side::default(), Side::default());
    for _ in 0..ROUNDS {
        round(&mut without, false).await;
        round(&mut with, true).await;
    }
    let apart = (without.median() - with.median()).abs() / without.spread().max(with.spread());
    let worst = with.shares.iter().copied().fold(0.0, f64::max);
    let bodies = with.bodies as f64 / (ROUNDS * PAGES) as f64 / LONG.as_secs_f64();
    vec![
        figure("episodes settled without, median", without.median(), "thousand/s", ""),
        figure("spread of that", without.spread(), "thousand/s", ""),
        figure("episodes settled with ten pages, median", with.median(), "thousand/s", ""),
        figure("spread of that", with.spread(), "thousand/s", ""),
        figure("difference of the medians, of the spread", apart, "", "<= 1"),
        figure("the page's thread, of a core, worst round", worst * 100.0, "%", "<= 1"),
        figure("bodies that each page fetched", bodies, "/s", ""),
    ]
}

/// Measures one side once, with a cluster of its own.
async fn round(side: &mut Side, looked_at: bool) {
    let options = Options { web: looked_at, ..Options::default() };
    let cluster = Cluster::with_workers(options, &[Work::Nothing; 2]).await;
    let run = cluster.create(&trivial(1024)).await;
    cluster.until_generation(run, 100).await;
    let bodies = Arc::new(AtomicU64::new(0));
    let mut lookers = JoinSet::new();
    if let Some(address) = &cluster.web {
        for _ in 0..PAGES {
            lookers.spawn(look(address.clone(), run, Arc::clone(&bodies)));
        }
        lookers.spawn(scrape(address.clone()));
        // The first pictures have the whole history before them.
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    let before = (cluster.get(run).await.generation, cluster.coordinator.thread_time("web"));
    let seen = bodies.load(Ordering::Relaxed);
    let start = Instant::now();
    tokio::time::sleep(LONG).await;
    let after = (cluster.get(run).await.generation, cluster.coordinator.thread_time("web"));
    let took = start.elapsed().as_secs_f64();
    side.rates.push(f64::from(after.0 - before.0) * 1024.0 / 1e3 / took);
    side.shares.push((after.1 - before.1) / took);
    side.bodies += bodies.load(Ordering::Relaxed) - seen;
    assert_eq!(
        looked_at,
        bodies.load(Ordering::Relaxed) > seen,
        "pages are open if and only if they are to be"
    );
    lookers.abort_all();
    cluster.cancel(run).await;
}

/// A page in a browser: its text once, then what has changed whenever an event says so.
async fn look(address: String, run: RunId, bodies: Arc<AtomicU64>) {
    let page = get(&address, &format!("/runs/{run}")).await;
    assert!(page.contains("<svg"), "the page has pictures");
    let mut drawn = stamp(&page).to_owned();
    let mut kept = TcpStream::connect(&address).await.expect("the page is served");
    let mut events = ask(&address, &format!("/runs/{run}/events")).await;
    let mut buffer = [0; 4096];
    loop {
        let length = events.read(&mut buffer).await.expect("events");
        assert!(length > 0, "the events have ended");
        let told = String::from_utf8_lossy(&buffer[..length]);
        let Some((_, moment)) = told.rsplit_once("data: ") else { continue };
        let path = format!("/runs/{run}/body?at={}&drawn={drawn}", moment.trim());
        let body = body(&mut kept, &address, &path).await;
        // Pictures that it has already are not sent again.
        assert_eq!(body.contains("<svg"), stamp(&body) != drawn);
        stamp(&body).clone_into(&mut drawn);
        bodies.fetch_add(1, Ordering::Relaxed);
    }
}

/// The name of a page's pictures.
fn stamp(body: &str) -> &str {
    let (_, behind) = body.split_once("data-drawn=\"").expect("a page has pictures");
    behind.split_once('"').expect("the name has an end").0
}

async fn scrape(address: String) {
    loop {
        assert!(get(&address, "/metrics").await.contains("hebbian_episodes_settled_total"));
        tokio::time::sleep(SCRAPE).await;
    }
}

/// What has changed, as browsers ask for it: by a connection that they keep, and compressed.
async fn body(kept: &mut TcpStream, address: &str, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nAccept-Encoding: gzip\r\n\r\n");
    kept.write_all(request.as_bytes()).await.expect("a request");
    let (mut answer, mut piece) = (Vec::new(), vec![0; 1 << 14]);
    loop {
        let length = kept.read(&mut piece).await.expect("an answer");
        assert!(length > 0, "the connection is kept");
        answer.extend_from_slice(&piece[..length]);
        let Some(end) = answer.windows(4).position(|at| at == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&answer[..end]).to_lowercase();
        assert!(head.starts_with("http/1.1 200") && head.contains("content-encoding: gzip"), "{head}");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
        if answer.len() < end + 4 + length.parse::<usize>().expect("a number") {
            continue;
        }
        let mut text = String::new();
        GzDecoder::new(&answer[end + 4..]).read_to_string(&mut text).expect("a text by gzip");
        return text;
    }
}

async fn ask(address: &str, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("the page is served");
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("a request");
    stream
}

async fn get(address: &str, path: &str) -> String {
    let mut answer = String::new();
    ask(address, path).await.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {}", answer.lines().next().unwrap_or_default());
    answer
}

//! From one worker to ten thousand: attaching, waiting, a round of one episode each, memory, and queries meanwhile.

use std::time::{Duration, Instant};

use super::cluster::{Cluster, Options, Times, trivial};
use super::process::Child;
use super::role::Work;
use super::{Case, Figure, case, figure};

/// Processes that hold the workers' ends of the connections.
const HOLDERS: u32 = 4;
/// Connections that each of them opens at a time.
const AT_ONCE: u32 = 512;

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("scale-1", || scale(1, ["", "", ""])),
        case("scale-10", || scale(10, ["", "", ""])),
        case("scale-100", || scale(100, ["", "", ""])),
        case("scale-1000", || scale(1000, ["", "", ""])),
        case("scale-10000", || scale(10_000, ["<= 5", "<= 5", "<= 500"])),
        case("query", query),
        case("memory", memory),
    ]
}

/// Attaches workers, as many in each holder; how long it took and how many attempts failed.
async fn hold(cluster: &Cluster, workers: u32, delay: Duration) -> (Vec<Child>, Duration, f64) {
    let holders = HOLDERS.min(workers);
    let before = cluster.attached().await;
    let mut children: Vec<Child> = (0..holders)
        .map(|place| {
            let part = workers / holders + u32::from(place < workers % holders);
            cluster.holder(part, AT_ONCE, delay)
        })
        .collect();
    let start = Instant::now();
    for child in &mut children {
        child.tell("attach");
    }
    cluster.until_attached(before + workers).await;
    let took = start.elapsed();
    let failures = children.iter_mut().map(|child| child.line().parse::<f64>().expect("a number")).sum();
    (children, took, failures)
}

async fn scale(workers: u32, [attach, idle, round]: [&'static str; 3]) -> Vec<Figure> {
    let each = Options { batch: 1, tls: true, ..Options::default() };
    let cluster = Cluster::start(each).await;
    cluster.attached().await;
    let base = cluster.coordinator.resident();
    let (_holders, took, failures) = hold(&cluster, workers, Duration::ZERO).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let held = cluster.coordinator.resident();
    let load = tokio::task::block_in_place(|| cluster.coordinator.load(Duration::from_secs(10)));
    let generations = (2000 / workers).clamp(8, 200);
    let times = cluster.measure(&trivial(workers.max(2)), 2, generations).await;
    let used = cluster.coordinator.processor_time();
    let small = cluster.measure(&trivial(64), 20, 500).await;
    let used = (cluster.coordinator.processor_time() - used) * 1e6 / (520.0 * 64.0);
    let after = cluster.coordinator.resident();
    vec![
        figure("attached over TLS", took.as_secs_f64(), "s", attach),
        figure("attempts to attach that failed", failures, "", ""),
        figure("coordinator idle, of a core", load * 100.0, "%", idle),
        figure("a round of one episode each, median", times.median(), "ms", round),
        figure("a generation of 64, one a message, median", small.median(), "ms", ""),
        figure("coordinator's time for an episode of it", used, "us", ""),
        figure("coordinator's memory without workers", base / 1e6, "MB", "<= 30"),
        figure("coordinator's memory for each", (held - base) / 1e3 / f64::from(workers), "kB", "<= 45"),
        figure("coordinator's memory after the runs", after / 1e6, "MB", ""),
    ]
}

/// A thousand workers that report five thousand episodes a second, and a client that asks how it goes.
async fn query() -> Vec<Figure> {
    let cluster = Cluster::start(Options { tls: true, ..Options::default() }).await;
    let (_holders, ..) = hold(&cluster, 1000, Duration::from_millis(200)).await;
    let run = cluster.create(&trivial(60_000)).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let settled = cluster.get(run).await.settled_episodes;
    let (start, mut times) = (Instant::now(), Vec::new());
    while start.elapsed() < Duration::from_secs(5) {
        let asked = Instant::now();
        cluster.get(run).await;
        times.push(asked.elapsed());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let reported =
        f64::from(cluster.get(run).await.settled_episodes - settled) / start.elapsed().as_secs_f64();
    let times = Times::of(times);
    vec![
        figure("episodes reported meanwhile", reported, "/s", ""),
        figure("a progress query, median", times.median(), "ms", ""),
        figure("a progress query, p99", times.quantile(0.99), "ms", "<= 5"),
        figure("a progress query, longest", times.quantile(1.0), "ms", ""),
    ]
}

async fn memory() -> Vec<Figure> {
    let cluster = Cluster::with_workers(Options::default(), &[Work::Nothing; 2]).await;
    cluster.measure(&trivial(1024), 100, 500).await;
    vec![
        figure(
            "a worker's memory after 600,000 episodes",
            cluster.workers[0].resident() / 1e6,
            "MB",
            "<= 20",
        ),
        figure("the coordinator's", cluster.coordinator.resident() / 1e6, "MB", "<= 30"),
    ]
}

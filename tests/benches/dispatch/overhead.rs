//! What a generation costs beside its episodes, and how much of two workers' time goes into episodes.

use std::fs::File;
use std::io::Write as _;
use std::time::{Duration, Instant};

use super::cluster::{Cluster, Options, Times, search, trivial};
use super::role::Work;
use super::{Case, Figure, case, figure};

/// One episode in each message.
const EACH: Options = Options { batch: 1, tls: false, disk: false, recheck: 0.0, web: false };
/// As many as the scheduler likes.
const BATCHED: Options = Options { batch: 1024, tls: false, disk: false, recheck: 0.0, web: false };

pub(super) fn cases() -> Vec<Case> {
    let tls = |options: Options| Options { tls: true, ..options };
    vec![
        case("overhead-each", || overhead(EACH, ("<= 0.5", "<= 1.5"))),
        case("overhead-batched", || overhead(BATCHED, ("<= 0.25", ""))),
        case("overhead-each-tls", move || overhead(tls(EACH), ("", ""))),
        case("overhead-batched-tls", move || overhead(tls(BATCHED), ("", ""))),
        case("throughput", || throughput(BATCHED, ">= 400")),
        case("throughput-tls", move || throughput(tls(BATCHED), ">= 300")),
        case("throughput-disk", || throughput(Options { disk: true, ..BATCHED }, "")),
        case("search", with_search),
        case("efficiency-1ms", || efficiency(1, ">= .95")),
        case("efficiency-10ms", || efficiency(10, ">= .975")),
        case("efficiency-100ms", || efficiency(100, ">= .985")),
    ]
}

async fn overhead(options: Options, (median, worst): (&'static str, &'static str)) -> Vec<Figure> {
    let cluster = Cluster::with_workers(options, &[Work::Nothing; 2]).await;
    let times = cluster.measure(&trivial(64), 500, 4000).await;
    vec![
        figure("a generation of 64 episodes, median", times.median(), "ms", median),
        figure("a generation of 64 episodes, p99", times.quantile(0.99), "ms", worst),
    ]
}

async fn throughput(options: Options, aim: &'static str) -> Vec<Figure> {
    let cluster = Cluster::with_workers(options, &[Work::Nothing; 2]).await;
    let times = cluster.measure(&trivial(1024), 100, 1000).await;
    vec![figure("episodes settled, population 1024", 1024.0 / times.mean(), "thousand/s", aim)]
}

async fn with_search() -> Vec<Figure> {
    let disk = Options { disk: true, ..BATCHED };
    let cluster = Cluster::with_workers(disk, &[Work::Nothing; 2]).await;
    // The objective is a bowl: later the search would have found its minimum, and ended.
    let times = cluster.measure(&search(64), 20, 200).await;
    vec![
        figure("a generation of CMA-ES (n = 80), median", times.median(), "ms", "<= 1.5 + fsync"),
        figure("a generation of CMA-ES (n = 80), mean", times.mean(), "ms", ""),
        figure("a generation of CMA-ES (n = 80), p99", times.quantile(0.99), "ms", ""),
        figure("an fsync of this disk, median", fsync().median(), "ms", ""),
    ]
}

/// What the disk takes to keep a page.
fn fsync() -> Times {
    let directory = tempfile::tempdir().expect("a directory");
    let mut file = File::create(directory.path().join("page")).expect("a file");
    let sync = |_| {
        let start = Instant::now();
        file.write_all(&[7; 4096]).expect("room on the disk");
        file.sync_data().expect("a disk");
        start.elapsed()
    };
    Times::of((0..200).map(sync).collect())
}

async fn efficiency(milliseconds: u64, aim: &'static str) -> Vec<Figure> {
    let spin = Duration::from_millis(milliseconds);
    let ideal = spin.as_secs_f64() * 1e3 * 64.0 / 2.0;
    let generations = (4000.0 / ideal).ceil() as u32 + 1;
    let mut found = Vec::new();
    for (what, options, aim) in [
        ("share of two workers' time, one a message", EACH, aim),
        ("share of two workers' time, batched", BATCHED, ""),
    ] {
        let cluster = Cluster::with_workers(options, &[Work::Spin(spin); 2]).await;
        let times = cluster.measure(&trivial(64), 2, generations).await;
        found.push(figure(what, ideal / times.mean(), "", aim));
    }
    found
}

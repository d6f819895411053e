//! What faults cost: killed and stopped workers, slow ones, a killed coordinator, peers that mean ill.

use std::time::{Duration, Instant};

use hebbian_proto::v1::attach_response::Kind;

use super::cluster::{Cluster, Options, trivial, until};
use super::holder::attach;
use super::role::Work;
use super::{Case, Figure, case, figure};

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("kill", || lost_worker("KILL", "until a killed worker's episodes are re-issued", "<= 0.2")),
        case("hang", || lost_worker("STOP", "until a stopped worker's episodes are re-issued", "<= 3")),
        case("straggler", straggler),
        case("restart", restart),
        case("hostile", hostile),
    ]
}

/// The time from a signal to a worker until a third one is given what it held.
async fn lost_worker(signal: &str, what: &'static str, aim: &'static str) -> Vec<Figure> {
    let mut longest: f64 = 0.0;
    for _ in 0..3 {
        let cluster =
            Cluster::with_workers(Options::default(), &[Work::Sleep(Duration::from_secs(60)); 2]).await;
        let run = cluster.create(&trivial(2)).await;
        until("the workers hold one each", async || cluster.get(run).await.leased_episodes == 2).await;
        let mut other = attach(&cluster.url, None, "other".into()).await.expect("another worker");
        let start = Instant::now();
        cluster.workers[0].signal(signal);
        while !matches!(
            other.incoming.message().await.expect("a stream").and_then(|m| m.kind),
            Some(Kind::Batch(_))
        ) {}
        longest = longest.max(start.elapsed().as_secs_f64());
    }
    vec![figure(what, longest, "s", aim)]
}

/// Seven workers and one that is ten times slower. They sleep: eight that spin would need eight cores.
async fn straggler() -> Vec<Figure> {
    let (fast, slow) = (Duration::from_millis(20), Duration::from_millis(200));
    let mut workers = vec![Work::Sleep(fast); 7];
    workers.push(Work::Sleep(slow));
    let cluster = Cluster::with_workers(Options::default(), &workers).await;
    let times = cluster.measure(&trivial(256), 1, 12).await;
    let ideal = 256.0 * 20.0 / (7.0 + 0.1);
    vec![
        figure("a generation with a slow worker, of ideal", times.mean() / ideal, "x", "<= 1.2"),
        figure("the longest of them", times.quantile(1.0) / ideal, "x", ""),
    ]
}

async fn restart() -> Vec<Figure> {
    let disk = Options { disk: true, ..Options::default() };
    let mut cluster = Cluster::with_workers(disk, &[Work::Nothing; 2]).await;
    let run = cluster.create(&trivial(8)).await;
    cluster.until_generation(run, 10_000).await;
    let answered = cluster.kill_and_restart().await;
    let start = Instant::now();
    let before = cluster.get(run).await.generation;
    assert!(before >= 9_990, "generation {before}: what was closed is closed");
    until("it goes on", async || cluster.get(run).await.generation > before).await;
    let resumed = answered + start.elapsed();
    vec![
        figure("until a killed coordinator answers again", answered.as_secs_f64(), "s", ""),
        figure("until its run of 10,000 generations goes on", resumed.as_secs_f64(), "s", "<= 1"),
    ]
}

/// Two honest workers, alone and beside each kind of attack.
async fn hostile() -> Vec<Figure> {
    let mut found = Vec::new();
    let spin = Work::Spin(Duration::from_millis(5));
    for (what, attacks) in [
        ("throughput beside 10,000 half-open connections", &[("half-open", 10_000)][..]),
        ("throughput beside oversized messages", &[("oversized", 1)]),
        ("throughput beside a peer that never reads", &[("never-reads", 1)]),
        ("throughput beside all of them", &[("half-open", 10_000), ("oversized", 1), ("never-reads", 1)]),
    ] {
        let cluster = Cluster::with_workers(Options::default(), &[spin; 2]).await;
        let alone = cluster.measure(&trivial(256), 2, 6).await;
        let attackers: Vec<_> = attacks.iter().map(|(kind, number)| cluster.attack(kind, *number)).collect();
        let beside = cluster.measure(&trivial(256), 0, 12).await;
        found.push(figure(what, alone.mean() / beside.mean(), "x", ">= .9"));
        drop(attackers);
    }
    found
}

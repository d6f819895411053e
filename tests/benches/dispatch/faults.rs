//! What faults cost: killed and stopped workers, slow ones, a killed coordinator, peers that mean ill.

use std::time::{Duration, Instant};

use hebbian_proto::v1::attach_response::Kind;

use super::cluster::{Cluster, Options, search, trivial, until};
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
        case("silent", silent),
        case("liar", liar),
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

/// Two honest workers, alone and beside 200 peers on the same address that say that they live and answer nothing.
async fn silent() -> Vec<Figure> {
    let cluster =
        Cluster::with_workers(Options::default(), &[Work::Sleep(Duration::from_millis(5)); 2]).await;
    let alone = cluster.measure(&trivial(256), 2, 10).await;
    let attackers = cluster.attack("silent", 200);
    cluster.until_attached(202).await;
    let beside = cluster.measure(&trivial(256), 0, 20).await;
    drop(attackers);
    vec![figure("throughput beside 200 silent peers", alone.mean() / beside.mean(), "x", ">= .9")]
}

/// Three honest workers and one that answers with half of what it measures, where a hundredth of the episodes is computed twice.
async fn liar() -> Vec<Figure> {
    let honest = Work::Sleep(Duration::from_millis(1));
    let generations = 150;
    let spec = {
        let mut spec = search(16);
        spec.stop.generations = Some(generations);
        spec
    };
    let expected = {
        let cluster = Cluster::with_workers(Options::default(), &[honest; 2]).await;
        let run = cluster.create(&spec).await;
        until("the honest run ends", async || cluster.get(run).await.is_final()).await;
        cluster.mean(run).await
    };
    let options = Options { recheck: 0.01, ..Options::default() };
    let cluster =
        Cluster::with_workers(options, &[honest, honest, honest, Work::Lie(Duration::from_millis(1))]).await;
    let start = Instant::now();
    let run = cluster.create(&spec).await;
    until("the liar is excluded", async || cluster.excluded().await == ["liar"]).await;
    let found = start.elapsed();
    until("the run ends", async || cluster.get(run).await.is_final()).await;
    let ended = cluster.get(run).await;
    // What it settled of closed generations cannot be taken back; a fork from before it can be made.
    let (honest_run, how) = match ended.doubt.and_then(|doubt| doubt.clean_generations.or(Some(0))) {
        None => (run, "the run itself"),
        Some(0) => (cluster.create(&spec).await, "the run again"),
        Some(clean) => (cluster.fork(run, clean, &spec).await, "a fork"),
    };
    until("it ends", async || cluster.get(honest_run).await.is_final()).await;
    let same = cluster.mean(honest_run).await == expected;
    assert!(same, "{how} has another genome than an honest run");
    vec![
        figure("until a lying worker among four is excluded", found.as_secs_f64(), "s", ""),
        figure("honest genomes afterwards, of 1", f64::from(u8::from(same)), "", "= 1"),
    ]
}

//! What the largest searches that a spec can name cost everybody else: how long a question about another run takes, and memory.

use std::time::{Duration, Instant};

use hebbian_proto::convert::run_name;
use hebbian_proto::v1;
use hebbian_shared::spec::RunSpec;

use super::cluster::{Cluster, Options, Times, trivial, until};
use super::role::Work;
use super::{Case, Figure, case, figure};

/// How long is measured, and how many generations have to close meanwhile.
const TIME: Duration = Duration::from_secs(30);
const GENERATIONS: u32 = 3;

pub(super) fn cases() -> Vec<Case> {
    vec![
        // 2,440 numbers, of 2,500 that are allowed.
        case("large-cma-es", || beside("kind = \"cma-es\"", 11, 4)),
        // 17,476 numbers: more than that no rule has. Other searches may have 131,072.
        case("large-sep-cma-es", || beside("kind = \"sep-cma-es\"", 16, 16)),
        case("large-pgpe", || beside("kind = \"pgpe\"\nlearning_rate = 0.1", 16, 16)),
        case("large-openai-es", || beside("kind = \"openai-es\"\nlearning_rate = 0.1", 16, 16)),
    ]
}

fn spec(strategy: &str, states: u32, hidden: usize) -> RunSpec {
    let hidden = vec!["4"; hidden].join(", ");
    let text = format!(
        "name = \"large\"\n[strategy]\n{strategy}\npopulation_size = 64\n[rule]\nstates = {states}\ngenome = \"per-layer\"\n[network]\n\
         hidden = [{hidden}]\n[evaluation]\nobjective = \"squared-error\"\n[tasks]\nfamilies = [\"xor\"]\nper_generation = 1\n\
         [stop]\ngenerations = 1000000\n"
    );
    RunSpec::read(&text).expect("a valid spec")
}

/// Questions about a run that waits, fifty a second, while another one is searched by workers that answer at once.
async fn beside(strategy: &'static str, states: u32, hidden: usize) -> Vec<Figure> {
    let disk = Options { disk: true, ..Options::default() };
    let cluster = Cluster::with_workers(disk, &[Work::Nothing; 2]).await;
    let other = cluster.create(&trivial(8)).await;
    let pause = v1::PauseRunRequest { name: run_name(other) };
    cluster.runs().pause_run(pause).await.expect("it is paused");
    let run = cluster.create(&spec(strategy, states, hidden)).await;
    until("its first generation closes", async || cluster.get(run).await.generation > 0).await;
    let (begun, first) = (Instant::now(), cluster.get(run).await.generation);
    let (mut took, mut memory, mut last) = (Vec::new(), 0.0_f64, first);
    while begun.elapsed() < TIME || last < first + GENERATIONS {
        let asked = Instant::now();
        cluster.get(other).await;
        took.push(asked.elapsed());
        memory = memory.max(cluster.coordinator.resident());
        if took.len() % 50 == 0 {
            last = cluster.get(run).await.generation;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let seconds = begun.elapsed().as_secs_f64() / f64::from(last - first);
    let times = Times::of(took);
    vec![
        figure("a generation of the large search", seconds, "s", ""),
        figure("a question about another run meanwhile, median", times.median(), "ms", ""),
        figure("the same, 99 % of them", times.quantile(0.99), "ms", "<= 50"),
        figure("the same, the longest", times.quantile(1.0), "ms", ""),
        figure("the coordinator's memory meanwhile", memory / 1e9, "GB", "<= 2"),
    ]
}

//! Strategies on the quickstart's task at equal episodes: what each one's rule is worth on families it never trained on.
//!
//! `cargo bench -p hebbian-tests --bench quickstart [-- SEEDS [STRATEGY ...]]`, five seeds and all strategies by default; a
//! seed and strategy takes about a minute of one core. All have the quickstart's population; CMA-ES has its other settings, too, the
//! others have their defaults. Prints the mean accuracy at 10 updates on `PROBES` tasks of each unseen family, paired by seed with
//! plain CMA-ES.

use std::fmt::Write as _;
use std::sync::Arc;

use hebbian_learning::episode::EpisodeRunner;
use hebbian_learning::interrupt::Interrupt;
use hebbian_learning::training::Workspace;
use hebbian_search::Measured;
use hebbian_shared::episode::{EpisodeKey, EpisodePurpose, Outcome};
use hebbian_shared::fitness::Fitness;
use hebbian_shared::genome::Genome;
use hebbian_shared::id::{BlockIndex, CandidateIndex, GenerationIndex, RunId, TaskIndex};
use hebbian_shared::seed::Seed;
use hebbian_shared::spec::RunSpec;
use hebbian_shared::spec::evaluation::{LastWord, Measure, MeasurePoint, UpdatePoint};
use hebbian_shared::spec::strategy::{
    CmaEsSpec, NoiseHandling, OpenAiEsSpec, PgpeSpec, RandomSearchSpec, SepCmaEsSpec, StrategySpec,
};
use hebbian_shared::spec::task::TaskFamily;

const QUICKSTART: &str = include_str!("../../examples/quickstart.toml");
/// By name; the first three are CMA-ES by its handling of noise.
const STRATEGIES: [&str; 7] = ["none", "auto", "lra", "sep-cma-es", "pgpe", "openai-es", "random-search"];
/// Candidates per generation.
const POPULATION_SIZE: u32 = 64;
const UNSEEN: [TaskFamily; 9] = [
    TaskFamily::And,
    TaskFamily::Qand,
    TaskFamily::Nxor,
    TaskFamily::AngularSlice,
    TaskFamily::TwoMoons,
    TaskFamily::Sine,
    TaskFamily::Square,
    TaskFamily::Quadric,
    TaskFamily::Stripes,
];
/// Tasks of each unseen family.
const PROBES: u32 = 100;

struct Evaluator {
    runner: EpisodeRunner,
    workspace: Workspace,
}

impl Evaluator {
    fn new(spec: RunSpec) -> Self {
        Self { runner: EpisodeRunner::new(Arc::new(spec)).unwrap(), workspace: Workspace::default() }
    }

    fn run(&mut self, genome: &Genome, generation: u32, block: BlockIndex, task: u32) -> Outcome {
        let key = EpisodeKey {
            run: RunId::new(0),
            generation: GenerationIndex(generation),
            purpose: EpisodePurpose::Search,
            block,
            candidate: CandidateIndex(0),
            task: TaskIndex(task),
        };
        let outcome = self.runner.run(&mut self.workspace, genome, &key, &Interrupt::new());
        outcome.expect("nothing interrupts the runner")
    }
}

fn settings(name: &str, quickstart: &StrategySpec) -> StrategySpec {
    let StrategySpec::CmaEs(of_quickstart) = quickstart else { panic!("the quickstart runs CMA-ES") };
    let cma_es = |noise| StrategySpec::CmaEs(CmaEsSpec { noise, ..of_quickstart.clone() });
    match name {
        "none" => cma_es(NoiseHandling::None),
        "auto" => cma_es(NoiseHandling::Auto),
        "lra" => cma_es(NoiseHandling::Lra),
        "sep-cma-es" => StrategySpec::SepCmaEs(SepCmaEsSpec::of(POPULATION_SIZE)),
        "pgpe" => StrategySpec::Pgpe(PgpeSpec::of(POPULATION_SIZE, None, None)),
        "openai-es" => StrategySpec::OpenAiEs(OpenAiEsSpec::of(POPULATION_SIZE, None, None)),
        "random-search" => StrategySpec::RandomSearch(RandomSearchSpec::of(POPULATION_SIZE)),
        other => panic!("{other} is none of {STRATEGIES:?}"),
    }
}

/// The accuracy of the mean that a search finds, and what it says of noise over time.
fn accuracy(name: &str, seed: u64) -> (f64, String) {
    let mut spec = RunSpec::read(QUICKSTART).unwrap();
    spec.seed = Seed::new(seed).unwrap();
    spec.strategy = settings(name, &spec.strategy);
    let budget = POPULATION_SIZE as usize * spec.stop.generations.unwrap() as usize;
    let tasks = spec.tasks_per_generation();
    let mut search = hebbian_control::run::strategy::build(&spec);
    let mut evaluator = Evaluator::new(spec.clone());
    let (mut evaluations, mut told) = (0, String::new());
    for generation in 0.. {
        let candidates = search.ask();
        evaluations += candidates.len();
        if evaluations > budget {
            break;
        }
        // Tasks are drawn once for all candidates of a block.
        let mut outcomes: Vec<Vec<Outcome>> = vec![Vec::new(); candidates.len()];
        for block in [BlockIndex(0), BlockIndex(1)] {
            for task in 0..tasks {
                for (candidate, outcomes) in candidates.iter().zip(&mut outcomes) {
                    if candidate.block == block {
                        outcomes.push(evaluator.run(&candidate.genome, generation, block, task));
                    }
                }
            }
        }
        let measured: Vec<Measured> =
            outcomes.into_iter().map(|outcomes| Measured::of_outcomes(outcomes).unwrap()).collect();
        search.tell(&measured).unwrap();
        if let Some(noise) = search.summary().noise
            && generation % 20 == 19
        {
            let agreement = noise.agreement.unwrap_or(f64::NAN);
            write!(told, " {agreement:.2}/{:.2}", noise.mean_rate).expect("a string takes all");
        }
    }
    let problem = spec.problem.rule_learning_mut().expect("the quickstart evolves a rule");
    problem.tasks.families = UNSEEN.to_vec();
    problem.tasks.per_generation = PROBES * UNSEEN.len() as u32;
    spec.seed = Seed::new(1_000_000 + seed).unwrap();
    spec.evaluation.measure =
        Measure::Points(vec![MeasurePoint { update: UpdatePoint::Last(LastWord::Last), weight: 1.0 }]);
    let mut probe = Evaluator::new(spec);
    let mean = search.mean();
    let fitness = |task| probe.run(&mean, 0, BlockIndex(0), task).fitness().map_or(0.0, Fitness::get);
    let total: f64 = (0..PROBES * UNSEEN.len() as u32).map(fitness).sum();
    (total / f64::from(PROBES * UNSEEN.len() as u32), told)
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let seeds: u64 = arguments.iter().find_map(|argument| argument.parse().ok()).unwrap_or(5);
    let wanted = |name: &str| {
        let named = STRATEGIES.iter().any(|name| arguments.iter().any(|argument| argument == name));
        !named || name == "none" || arguments.iter().any(|argument| argument == name)
    };
    println!("mean unseen accuracy at 10 updates, by seed; agreement/rate every 20 generations");
    let mut plain: Vec<f64> = Vec::new();
    for name in STRATEGIES.into_iter().filter(|name| wanted(name)) {
        let found: Vec<(f64, String)> = std::thread::scope(|scope| {
            let threads: Vec<_> = (1..=seeds).map(|seed| scope.spawn(move || accuracy(name, seed))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        for (seed, (accuracy, told)) in found.iter().enumerate() {
            println!("  {name} seed {}: {accuracy:.4} {told}", seed + 1);
        }
        let values: Vec<f64> = found.iter().map(|(accuracy, _)| *accuracy).collect();
        if name == "none" {
            plain.clone_from(&values);
        }
        let differences: Vec<f64> = values.iter().zip(&plain).map(|(a, b)| a - b).collect();
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let difference = mean(&differences);
        let variance = differences.iter().map(|d| (d - difference).powi(2)).sum::<f64>()
            / (differences.len() as f64 - 1.0).max(1.0);
        println!(
            "{name:<13} {:.4}, against none {difference:+.4} +- {:.4}",
            mean(&values),
            (variance / differences.len() as f64).sqrt()
        );
    }
}

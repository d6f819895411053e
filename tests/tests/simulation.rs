//! The property that defines the system: under any schedule of faults, the cluster's trajectory equals the sequential
//! loop's, bit for bit.
//!
//! Each schedule is a number. To run one again: `HEBBIAN_SCHEDULE=<number> cargo test -p hebbian-tests --test simulation`.

#[path = "simulation/disk.rs"]
mod disk;
#[path = "simulation/world.rs"]
mod world;

use std::panic::AssertUnwindSafe;

use hebbian_coordinator::run::record::Record;
use hebbian_coordinator::strategy::{self, stop};
use hebbian_shared::digest::Digest;
use hebbian_shared::episode::{EpisodeKey, EpisodePurpose, Evaluation, Outcome};
use hebbian_shared::fitness::{Fitness, Verdict};
use hebbian_shared::genome::Genome;
use hebbian_shared::id::{CandidateIndex, GenerationIndex, RunId, TaskIndex};
use hebbian_shared::progress::GenerationSummary;
use hebbian_shared::seed::{Purpose, Seed, index_below, uniform};
use hebbian_shared::spec::RunSpec;
use world::World;
use world::fault::{Fault, Faults};

/// Schedules of the test command.
const SCHEDULES: u64 = 1500;

/// What simulated workers compute instead of training networks: a noisy bowl with cliffs, a little different on each
/// kind of arithmetic.
fn objective(seed: Seed, fingerprint: Digest, genome: &Genome, key: EpisodeKey) -> Outcome {
    let kind = f64::from(fingerprint.0[0]);
    let mut rng = key.task_seed(seed).rng();
    let centre = uniform(&mut rng) - 0.5;
    let square: f64 = genome.0.iter().map(|x| (x - centre) * (x - centre)).sum();
    if genome.0[0] - centre > 0.9 {
        return Outcome::Diverged;
    }
    Outcome::Evaluated(Evaluation { fitness: Fitness::new(-square * (1.0 + kind * 1e-12)).unwrap() })
}

fn spec(seed: u64) -> RunSpec {
    let mut rng = Seed::new(seed).unwrap().derive(Purpose::Split, 0).rng();
    let strategy = if uniform(&mut rng) < 0.85 { "cma-es" } else { "random-search" };
    let text = format!(
        "name = \"simulated\"\nseed = {seed}\n\
         [strategy]\nkind = \"{strategy}\"\npopulation_size = {}\n\
         [rule]\nstates = 1\nfeedback = \"replace-state0\"\n\
         [tasks]\nfamilies = [\"xor\"]\nper_generation = {}\n\
         [stop]\ngenerations = {}\n",
        4 + index_below(&mut rng, 5),
        1 + index_below(&mut rng, 4),
        2 + index_below(&mut rng, 5),
    );
    RunSpec::from_toml(&text).unwrap()
}

/// One generation of the sequential loop.
struct Generation {
    outcomes: Vec<Vec<Option<Fitness>>>,
    verdicts: Vec<Verdict>,
    digest: Digest,
}

/// The whole search, one episode after the other, in twenty lines: what the cluster is compared with.
fn sequential(spec: &RunSpec, fingerprint: Digest) -> (Vec<Generation>, Genome, Option<(Genome, Fitness)>) {
    let mut strategy = strategy::build(spec);
    let (mut generations, mut evaluations, mut best) = (Vec::new(), 0, None::<(Genome, Fitness)>);
    loop {
        let candidates = strategy.ask();
        let outcome = |candidate: usize, task: u32| {
            let key = EpisodeKey {
                run: RunId::new(0),
                generation: GenerationIndex(generations.len() as u32),
                purpose: EpisodePurpose::Search,
                block: candidates[candidate].block,
                candidate: CandidateIndex(candidate as u32),
                task: TaskIndex(task),
            };
            objective(spec.seed, fingerprint, &candidates[candidate].genome, key).settled().unwrap()
        };
        let of = |candidate| (0..spec.tasks_per_generation()).map(|task| outcome(candidate, task)).collect();
        let outcomes: Vec<Vec<Option<Fitness>>> = (0..candidates.len()).map(of).collect();
        let verdicts: Vec<Verdict> =
            outcomes.iter().map(|o| Verdict::of(o.iter().copied()).unwrap()).collect();
        strategy.tell(&verdicts).unwrap();
        evaluations += candidates.len() as u64;
        for (candidate, verdict) in candidates.iter().zip(&verdicts) {
            let fitness = verdict.fitness();
            if fitness > best.as_ref().map(|(_, fitness)| *fitness) {
                best = fitness.map(|fitness| (candidate.genome.clone(), fitness));
            }
        }
        generations.push(Generation { outcomes, verdicts, digest: strategy.snapshot().digest() });
        let limit = stop::limit_reached(
            &spec.stop,
            generations.len() as u32,
            evaluations,
            best.as_ref().map(|(_, fitness)| *fitness),
        );
        if limit.is_some() || strategy.stop_reason().is_some() {
            return (generations, strategy.mean(), best);
        }
    }
}

fn bits(genome: &Genome) -> Vec<u64> {
    genome.0.iter().map(|value| value.to_bits()).collect()
}

/// Runs one schedule and compares each of its runs with the sequential loop.
fn check(schedule: u64) -> Faults {
    let runs = 1 + schedule % 3;
    let specs: Vec<RunSpec> = (0..runs).map(|place| spec(schedule * 3 + place)).collect();
    let (engine, disk, ids, faults) = World::new(schedule, specs.clone()).run();
    for (id, spec) in ids.into_iter().zip(&specs) {
        let run = engine.run(id).unwrap();
        let fingerprint = run.fingerprint().expect("a run that computed took a fingerprint");
        let (generations, mean, best) = sequential(spec, fingerprint);
        disk.check(id);
        let closed: Vec<&GenerationSummary> = disk
            .records(id)
            .filter_map(|(_, record)| match record {
                Record::GenerationClosed(summary) => Some(&**summary),
                _ => None,
            })
            .collect();
        assert_eq!(closed.len(), generations.len());
        for (summary, expected) in closed.iter().zip(&generations) {
            assert_eq!(summary.digest, expected.digest, "generation {}", summary.generation);
            assert_eq!(summary.best, expected.verdicts.iter().max().unwrap().fitness());
            for (candidate, outcomes) in expected.outcomes.iter().enumerate() {
                for (task, outcome) in outcomes.iter().enumerate() {
                    let episode = (id, summary.generation.0, candidate as u32, task as u32);
                    assert_eq!(disk.settled().get(&episode), Some(outcome), "{episode:?}");
                }
            }
        }
        let result = run.result();
        assert_eq!(bits(&result.mean), bits(&mean));
        assert_eq!(result.best, best);
    }
    faults
}

#[test]
fn under_any_schedule_of_faults_the_cluster_equals_the_sequential_loop() {
    if let Some(schedule) = std::env::var("HEBBIAN_SCHEDULE").ok().and_then(|text| text.parse().ok()) {
        check(schedule);
        return;
    }
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let mut faults = Faults::new();
    std::thread::scope(|scope| {
        let part = |first: u64| {
            scope.spawn(move || {
                let mut faults = Faults::new();
                for schedule in (first..SCHEDULES).step_by(threads as usize) {
                    let checked = std::panic::catch_unwind(AssertUnwindSafe(|| check(schedule)));
                    let Ok(found) = checked else {
                        panic!("schedule {schedule} failed; run it again with HEBBIAN_SCHEDULE={schedule}");
                    };
                    for (fault, count) in found {
                        *faults.entry(fault).or_default() += count;
                    }
                }
                faults
            })
        };
        let parts: Vec<_> = (0..threads).map(part).collect();
        for part in parts {
            for (fault, count) in part.join().expect("no schedule fails") {
                *faults.entry(fault).or_default() += count;
            }
        }
    });
    println!("{SCHEDULES} schedules: {faults:?}");
    for fault in Fault::ALL {
        assert!(faults.get(&fault).is_some_and(|&count| count > 0), "{fault:?} never happened");
    }
}

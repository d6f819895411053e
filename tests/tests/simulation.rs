//! The property that defines the system: under any schedule of faults, the cluster's trajectory equals the sequential
//! loop's, bit for bit.
//!
//! Each schedule is a number. To run one again: `HEBBIAN_SCHEDULE=<number> cargo test -p hebbian-tests --test suite simulation::`.

mod disk;
mod world;

use std::collections::BTreeMap;

use disk::{Disk, EpisodePlace};
use hebbian_control::run::record::{Closed, Record};
use hebbian_proto::v1;
use hebbian_proto::v1::remeasurement::Measured;
use hebbian_search::{Candidate, stop};
use hebbian_shared::digest::Digest;
use hebbian_shared::episode::{EpisodeKey, EpisodePurpose, Evaluation, Outcome, Wants};
use hebbian_shared::estimate::Estimate;
use hebbian_shared::fitness::{Fitness, Verdict};
use hebbian_shared::genome::Genome;
use hebbian_shared::id::{BlockIndex, CandidateIndex, GenerationIndex, RunId, TaskIndex};
use hebbian_shared::seed::{Purpose, Seed, index_below, uniform};
use hebbian_shared::spec::RunSpec;
use hebbian_tests::{climber, schedules};
use world::World;
use world::fault::{Fault, Faults};

/// Schedules of the test command.
const SCHEDULES: u64 = 1500;

/// What simulated workers compute instead of training networks: a noisy bowl with cliffs, a little different on each
/// kind of arithmetic. Its gradient costs nothing, and is given only to those who want it.
fn objective(seed: Seed, fingerprint: Digest, genome: &Genome, key: EpisodeKey, wants: Wants) -> Outcome {
    let kind = f64::from(fingerprint.0[0]);
    let mut rng = key.task_seed(seed).rng();
    let centre = uniform(&mut rng) - 0.5;
    let square: f64 = genome.0.iter().map(|x| (x - centre) * (x - centre)).sum();
    if genome.0[0] - centre > 0.9 {
        return Outcome::Diverged;
    }
    let steepness = 1.0 + kind * 1e-12;
    // Validation measures accuracies.
    let value = if key.purpose == EpisodePurpose::Validation {
        (-square * steepness).exp()
    } else {
        -square * steepness
    };
    let fitness = Fitness::new(value).unwrap();
    let slope = |x: &f64| -2.0 * (x - centre) * steepness;
    let gradient = wants.gradient.then(|| genome.0.iter().map(slope).collect());
    // Validation measures twice, and some networks do not live to see the second time.
    let extended = (key.purpose == EpisodePurpose::Validation && uniform(&mut rng) < 0.8)
        .then(|| Fitness::new(fitness.get() * uniform(&mut rng)).unwrap());
    Outcome::Evaluated(Evaluation { extended, gradient, ..Evaluation::of(fitness) })
}

fn spec(seed: u64) -> RunSpec {
    let mut rng = Seed::new(seed).unwrap().derive(Purpose::Split, 0).rng();
    let strategy = if uniform(&mut rng) < 0.85 { "cma-es" } else { "random-search" };
    let name = if uniform(&mut rng) < 0.25 { climber::NAME } else { "simulated" };
    let validation = if uniform(&mut rng) < 0.7 {
        let (every, tasks) = (1 + index_below(&mut rng, 3), 1 + index_below(&mut rng, 3));
        format!(
            "[validation]\nfamilies = [\"xor\", \"circle\"]\nevery = {every}\ntasks_per_family = {tasks}\n"
        )
    } else {
        String::new()
    };
    let text = format!(
        "name = \"{name}\"\nseed = {seed}\n{validation}\
         [strategy]\nkind = \"{strategy}\"\npopulation_size = {}\n\
         [rule]\nstates = 1\nfeedback = \"replace-state0\"\n\
         [evaluation]\nobjective = \"squared-error\"\n\
         [tasks]\nfamilies = [\"xor\"]\nper_generation = {}\n\
         [stop]\ngenerations = {}\n",
        4 + index_below(&mut rng, 5),
        1 + index_below(&mut rng, 4),
        2 + index_below(&mut rng, 5),
    );
    RunSpec::read(&text).unwrap()
}

/// One generation of the sequential loop.
struct Generation {
    measured: Vec<hebbian_search::Measured>,
    digest: Digest,
}

/// What the sequential loop finds.
struct Expected {
    generations: Vec<Generation>,
    /// Every episode, by what names it within its run.
    episodes: BTreeMap<EpisodePlace, Option<Evaluation>>,
    mean: Genome,
    best: Option<(Genome, Fitness)>,
}

/// What episodes of a purpose are asked for: the climber's for gradients, nobody else's.
fn wants(spec: &RunSpec, purpose: EpisodePurpose) -> Wants {
    Wants { gradient: climber::climbs(spec) && purpose == EpisodePurpose::Search }
}

/// What a candidate's episodes, in task order, say together.
fn measured(episodes: &[Option<Evaluation>]) -> hebbian_search::Measured {
    let verdict = |episode: &Option<Evaluation>| match episode {
        Some(episode) => Verdict::Fit(episode.fitness),
        None => Verdict::Diverged { episodes: 1 },
    };
    let verdicts: Vec<Verdict> = episodes.iter().map(verdict).collect();
    let gradients: Option<Vec<&Vec<f64>>> =
        episodes.iter().map(|episode| episode.as_ref()?.gradient.as_ref()).collect();
    let mean = |place: usize, of: &[&Vec<f64>]| {
        let mut sum = of[0][place];
        of[1..].iter().for_each(|gradient| sum += gradient[place]);
        sum / of.len() as f64
    };
    let gradient = gradients.map(|of| (0..of[0].len()).map(|place| mean(place, &of)).collect());
    hebbian_search::Measured { verdict: Verdict::of(&verdicts).unwrap(), gradient }
}

/// The whole search, one episode after the other, in a few lines: what the cluster is compared with.
fn sequential(spec: &RunSpec, fingerprint: Digest) -> Expected {
    let mut strategy = (climber::STRATEGIES.start)(spec);
    let (mut generations, mut evaluations, mut best) = (Vec::new(), 0, None::<(Genome, Fitness)>);
    let mut episodes = BTreeMap::new();
    let mut measure = |generation: usize, purpose, genomes: &[Candidate], tasks: u32| {
        let mut outcome = |candidate: usize, task: u32| {
            let key = EpisodeKey {
                run: RunId::new(0),
                generation: GenerationIndex(generation as u32),
                purpose,
                block: genomes[candidate].block,
                candidate: CandidateIndex(candidate as u32),
                task: TaskIndex(task),
            };
            let evaluation = match objective(
                spec.seed,
                fingerprint,
                &genomes[candidate].genome,
                key,
                wants(spec, purpose),
            ) {
                Outcome::Evaluated(evaluation) => Some(evaluation),
                _ => None,
            };
            episodes.insert((key.generation, purpose, key.candidate, key.task), evaluation.clone());
            evaluation
        };
        let of = |candidate| measured(&(0..tasks).map(|task| outcome(candidate, task)).collect::<Vec<_>>());
        (0..genomes.len()).map(of).collect::<Vec<_>>()
    };
    let alone = |genome| Candidate { genome, block: BlockIndex(0) };
    loop {
        let generation = generations.len();
        if let Some(validation) = &spec.validation
            && generation > 0
            && generation % validation.every as usize == 0
        {
            measure(generation, EpisodePurpose::Validation, &[alone(strategy.mean())], validation.tasks());
        }
        let candidates = strategy.ask();
        let measured = measure(generation, EpisodePurpose::Search, &candidates, spec.tasks_per_generation());
        strategy.tell(&measured).unwrap();
        evaluations += candidates.len() as u64;
        for (candidate, measured) in candidates.iter().zip(&measured) {
            let fitness = measured.verdict.fitness();
            if fitness > best.as_ref().map(|(_, fitness)| *fitness) {
                best = fitness.map(|fitness| (candidate.genome.clone(), fitness));
            }
        }
        generations.push(Generation { measured, digest: strategy.state().digest() });
        let limit = stop::limit_reached(
            &spec.stop,
            generations.len() as u32,
            evaluations,
            best.as_ref().map(|(_, fitness)| *fitness),
        );
        if limit.is_some() || strategy.stop_reason().is_some() {
            let mean = strategy.mean();
            if let Some(validation) = &spec.validation {
                let generation = generations.len();
                measure(generation, EpisodePurpose::Validation, &[alone(mean.clone())], validation.tasks());
            }
            let sample = best.iter().map(|(genome, _)| genome).filter(|genome| **genome != mean);
            let both: Vec<_> = [&mean].into_iter().chain(sample).cloned().map(alone).collect();
            measure(generations.len(), EpisodePurpose::Remeasure, &both, spec.remeasured_tasks());
            return Expected { generations, episodes, mean, best };
        }
    }
}

fn bits(genome: &[f64]) -> Vec<u64> {
    genome.iter().map(|value| value.to_bits()).collect()
}

/// Runs one schedule and compares each of its runs with the sequential loop.
fn check(schedule: u64) -> Faults {
    // One of them is cancelled and deleted on the way.
    let runs = 2 + schedule % 3;
    let specs: Vec<RunSpec> = (0..runs).map(|place| spec(schedule * 4 + place)).collect();
    let (engine, disk, ids, faults) = World::new(schedule, specs.clone()).run();
    for (id, created) in ids.into_iter().zip(&specs[1..]) {
        let run = engine.run(id).unwrap();
        // With the limits that it ended with.
        let spec: &RunSpec = run.spec();
        assert_eq!(RunSpec { stop: created.stop.clone(), ..spec.clone() }, *created);
        let fingerprint = run.fingerprint().expect("a run that computed took a fingerprint");
        let Expected { generations, episodes, mean, best } = sequential(spec, fingerprint);
        disk.check(id);
        let closed: Vec<&Closed> = disk
            .records(id)
            .filter_map(|(_, record)| match record {
                Record::GenerationClosed(closed) => Some(&**closed),
                _ => None,
            })
            .collect();
        assert_eq!(closed.len(), generations.len());
        for (Closed { summary, told, .. }, expected) in closed.into_iter().zip(&generations) {
            assert_eq!(summary.state_digest, expected.digest.0, "generation {}", summary.generation);
            assert_eq!(*told, expected.measured);
            let verdicts = expected.measured.iter().map(|measured| measured.verdict);
            assert_eq!(summary.best_fitness, verdicts.max().unwrap().fitness().map(f64::from));
        }
        for (episode, expected) in &episodes {
            assert_eq!(disk.settled(id).get(episode), Some(expected), "{episode:?}");
        }
        let count = |purpose| episodes.keys().filter(|(_, of, ..)| *of == purpose).count();
        let validated =
            disk.settled(id).keys().filter(|(_, of, ..)| *of == EpisodePurpose::Validation).count();
        assert_eq!(validated, count(EpisodePurpose::Validation), "nothing else is validated");
        let result = run.result();
        check_figures(&disk, id, spec, &episodes, &result);
        assert_eq!(bits(&result.mean), bits(&mean.0));
        let found = result.best.map(|best| (Genome(best.genome), Fitness::new(best.fitness).unwrap()));
        assert_eq!(found, best);
    }
    faults
}

/// Compares what the run says of its validations and of its result with the episodes that they are made of.
fn check_figures(
    disk: &Disk,
    id: RunId,
    spec: &RunSpec,
    episodes: &BTreeMap<EpisodePlace, Option<Evaluation>>,
    result: &v1::RunResult,
) {
    let values = |generation, purpose, candidate, of: fn(&Evaluation) -> Option<Fitness>| {
        let first = (generation, purpose, candidate, TaskIndex(0));
        let last = (generation, purpose, candidate, TaskIndex(u32::MAX));
        let fitness = |evaluation: &Option<Evaluation>| evaluation.as_ref().and_then(of).map(Fitness::get);
        episodes.range(first..=last).map(|(_, evaluation)| fitness(evaluation)).collect::<Vec<Option<f64>>>()
    };
    let validated: Vec<&v1::ValidationSummary> = disk
        .records(id)
        .filter_map(|(_, record)| match record {
            Record::Validated(summary) => Some(&**summary),
            _ => None,
        })
        .collect();
    let validation = EpisodePurpose::Validation;
    let mut expected: Vec<GenerationIndex> =
        episodes.keys().filter(|(_, purpose, ..)| *purpose == validation).map(|(at, ..)| *at).collect();
    expected.dedup();
    assert_eq!(
        validated.iter().map(|summary| GenerationIndex(summary.generation)).collect::<Vec<_>>(),
        expected
    );
    for summary in &validated {
        let of = |of| {
            let values = values(GenerationIndex(summary.generation), validation, CandidateIndex(0), of);
            Some(Estimate::of(values.into_iter().map(|value| value.unwrap_or(0.0))).into())
        };
        assert_eq!(summary.accuracy, of(|evaluation| Some(evaluation.fitness)));
        assert_eq!(summary.extended, of(|evaluation| evaluation.extended));
    }
    assert_eq!(result.validation.as_ref(), validated.last().copied());
    let figures = result.remeasurement.as_ref().expect("a finished run has measured its result");
    let at = GenerationIndex(result.generations);
    for (candidate, measured) in [(0, &figures.mean), (1, &figures.best)] {
        let candidate = CandidateIndex(candidate);
        let values = values(at, EpisodePurpose::Remeasure, candidate, |evaluation| Some(evaluation.fitness));
        let fit: Vec<f64> = values.iter().flatten().copied().collect();
        let diverged = (values.len() - fit.len()) as u32;
        let fitness = (!fit.is_empty()).then(|| Estimate::of(fit.iter().copied()).into());
        let expected = (!values.is_empty()).then_some(Measured { fitness, diverged, ..Measured::default() });
        assert_eq!(*measured, expected);
    }
    assert_eq!(figures.tasks, spec.remeasured_tasks());
}

#[test]
fn under_any_schedule_of_faults_the_cluster_equals_the_sequential_loop() {
    schedules::check_all(SCHEDULES, u64::MAX, &Fault::ALL, 1, check);
}

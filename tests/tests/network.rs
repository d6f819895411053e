//! The whole of coordinator, workers and client over a simulated network: real sessions, services, HTTP/2, journal
//! and compute threads; only the wires and the clock are turmoil's. Whatever breaks, the genome has the bits of the
//! sequential loop.
//!
//! Each schedule of faults is a number. To run one again: `HEBBIAN_SCHEDULE=<number> cargo test -p hebbian-tests --test
//! suite network::`. The faults and their times are the same then; threads and the disk are real, so what they hit may differ.

mod fault;
mod host;

use std::sync::Arc;
use std::time::Duration;

use fault::{Fault, Faults, Schedule};
use hebbian_search::Measured;
use hebbian_shared::episode::{EpisodeKey, EpisodePurpose};
use hebbian_shared::genome::Genome;
use hebbian_shared::id::{CandidateIndex, GenerationIndex, RunId, TaskIndex};
use hebbian_shared::spec::RunSpec;
use hebbian_shared::spec::start::StartGenome;
use hebbian_tests::{climber, schedules};
use host::Shared;

/// Schedules of the test command.
const SCHEDULES: u64 = 120;
const WORKERS: usize = 3;
const GENERATIONS: u32 = 40;
const TASKS: u32 = 3;
/// What a simulated second may take at most of the machine's time is not limited; the simulated time is.
const SIMULATED_MAX: Duration = Duration::from_secs(600);

/// Of every third schedule a run that is searched with gradients of several candidates, and of every third one by gradients alone:
/// from a place where some tasks diverge.
fn spec(seed: u64) -> RunSpec {
    let (name, strategy) = match seed % 3 {
        0 => (climber::NAME, "kind = \"cma-es\"\npopulation_size = 8"),
        1 => ("gradient", "kind = \"gradient\"\nlearning_rate = 0.05"),
        _ => ("simulated", "kind = \"cma-es\"\npopulation_size = 8"),
    };
    let text = format!(
        "name = \"{name}\"\nseed = {seed}\n[strategy]\n{strategy}\n\
         [rule]\nstates = 2\nfeedback = \"softmax-difference\"\nsymmetric_synapses = true\nreadout = true\n\
         last_layer_activation = \"identity\"\n[evaluation]\nobjective = \"logistic\"\n\
         [tasks]\nfamilies = [\"xor\"]\nper_generation = {TASKS}\n[stop]\ngenerations = {GENERATIONS}\n"
    );
    let mut spec = RunSpec::read(&text).unwrap();
    if spec.strategy.wants_gradient() {
        spec.start.genome = StartGenome::Values(vec![1.0; spec.layout().dimension()]);
    }
    spec
}

/// The mean that one thread finds, episode by episode.
fn sequential(spec: &RunSpec) -> Genome {
    let mut strategy = (climber::STRATEGIES.start)(spec);
    for generation in 0..GENERATIONS {
        let candidates = strategy.ask();
        let measure = |(index, candidate): (usize, &hebbian_search::Candidate)| {
            let outcomes = (0..TASKS).map(|task| {
                let key = EpisodeKey {
                    run: RunId::new(0),
                    generation: GenerationIndex(generation),
                    purpose: EpisodePurpose::Search,
                    block: candidate.block,
                    candidate: CandidateIndex(index as u32),
                    task: TaskIndex(task),
                };
                host::bowl(spec.seed, &candidate.genome, &key, strategy.wants())
            });
            Measured::of_outcomes(outcomes).expect("outcomes of the genome")
        };
        let measured: Vec<Measured> = candidates.iter().enumerate().map(measure).collect();
        strategy.tell(&measured).unwrap();
    }
    strategy.mean()
}

/// Runs one schedule; what of its faults met a run that was under way.
fn check(number: u64) -> Faults {
    let mut schedule = Schedule::new(number, WORKERS);
    let spec = spec(number);
    let directory = tempfile::tempdir().unwrap();
    let shared = Arc::new(Shared::new(spec.clone(), directory.path().join("journal.sqlite")));
    let mut sim = turmoil::Builder::new()
        .rng_seed(number)
        .simulation_duration(SIMULATED_MAX)
        .tick_duration(Duration::from_millis(1))
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(schedule.latency())
        .enable_random_order()
        .tcp_capacity(4096)
        .build();
    let coordinator = Arc::clone(&shared);
    sim.host(host::COORDINATOR, move || host::coordinator(Arc::clone(&coordinator)));
    for place in 0..WORKERS {
        let name = host::worker_name(place);
        let (hosted, shared) = (name.clone(), Arc::clone(&shared));
        sim.host(name, move || host::worker(hosted.clone(), Arc::clone(&shared)));
    }
    sim.client("client", host::client(Arc::clone(&shared)));
    loop {
        let over = sim.step().unwrap_or_else(|error| panic!("schedule {number}: {error}"));
        if over {
            break;
        }
        schedule.strike(&mut sim, &shared);
    }
    let bits = |genome: &Genome| genome.0.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    let found = shared.mean().expect("the client has the result");
    let expected = sequential(&spec);
    assert!(expected.0.iter().any(|&value| value != 0.0), "the search has moved");
    assert_eq!(bits(&found), bits(&expected), "schedule {number}");
    schedule.into_faults(&shared)
}

#[test]
fn whatever_the_network_does_the_genome_is_the_sequential_loops() {
    schedules::check_all(SCHEDULES, 4, &Fault::ALL, SCHEDULES / 10, check);
}

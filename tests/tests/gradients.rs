//! Gradients cost only those who want them, and no more than is allowed. That they are right whatever happens is shown where faults
//! are simulated (`simulation.rs`, `network.rs`, `recovery.rs`), with the same strategy.

use std::time::Duration;

use hebbian_control::engine::effect::Event;
use hebbian_control::run::record::Record;
use hebbian_coordinator::journal::KeptSnapshots;
use hebbian_proto::v1;
use hebbian_shared::dispatch::{FromWorker, Report, Settlement};
use hebbian_shared::episode::{EpisodePurpose, Evaluation, Outcome};
use hebbian_shared::fitness::Fitness;
use hebbian_shared::id::{BlockIndex, CandidateIndex, GenerationIndex, RunId, TaskIndex};
use hebbian_shared::limits::{COORDINATOR_MESSAGE_BYTES_MAX, GENOME_VALUES_MAX, REPORT_SIZE_MAX};
use hebbian_shared::spec::RunSpec;
use hebbian_tests::climber;
use prost::Message as _;

use crate::bench::{self, Bench, FINGERPRINT, creation, run, spec};

fn named(name: &str, spec: RunSpec) -> RunSpec {
    RunSpec { name: name.to_owned(), ..spec }
}

#[test]
fn the_climber_finds_the_top_and_its_records_hold_the_sums() {
    let mut bench =
        Bench::keeping(KeptSnapshots { every: 1 }, named(climber::NAME, spec("generations = 60")));
    bench.attach(FINGERPRINT);
    let mean = bench.engine.run(run()).unwrap().result().mean;
    assert!(mean.iter().all(|x| (x - 0.3).abs() < 0.05), "the top is at 0.3: {mean:?}");
    bench.journal.forget_snapshots(|_| true);
    let mut closed = 0;
    for record in bench.stored().records {
        let Record::GenerationClosed(record) = record else { continue };
        closed += 1;
        for told in record.told {
            assert_eq!(told.gradient.map(|gradient| gradient.len()), Some(mean.len()));
        }
    }
    assert_eq!(closed, 60);
}

#[test]
fn who_wants_no_gradients_has_none_stored() {
    let mut bench = Bench::keeping(KeptSnapshots { every: 1 }, spec("generations = 5"));
    // In the midst of a generation, so that there are settlements, too.
    bench.answers = 27;
    bench.attach(FINGERPRINT);
    bench.now = bench.now + Duration::from_secs(1);
    bench.handle(Event::Tick);
    bench.journal.forget_snapshots(|_| true);
    let (mut told, mut settled) = (0, 0);
    for record in bench.stored().records {
        match record {
            Record::GenerationClosed(closed) => {
                assert!(closed.told.iter().all(|told| told.gradient.is_none()));
                told += closed.told.len();
            }
            Record::Settled(of) => {
                let evaluations = of.settlements.iter().filter_map(|of| of.outcome.evaluation());
                assert!(evaluations.clone().all(|evaluation| evaluation.gradient.is_none()));
                settled += evaluations.count();
            }
            _ => {}
        }
    }
    assert!(told > 0 && settled > 0, "{told} told, {settled} settled");
}

#[test]
fn a_run_whose_gradients_fill_the_memory_is_refused() {
    let text = "name = \"large\"\nrule = { states = 16 }\nstrategy = { kind = \"cma-es\", population_size = 64 }\n\
                tasks = { families = [\"xor\"], per_generation = 4096 }\nstop = { generations = 1 }\n";
    let large = RunSpec::read(text).unwrap();
    let mut bench = Bench::with_settings(bench::settings());
    bench.request(creation(run(), large.clone(), "")).unwrap();
    let refused = bench.request(creation(run(), named(climber::NAME, large), "")).unwrap_err();
    assert!(refused.starts_with("tasks.per_generation: makes, with strategy.population_size"), "{refused}");
    assert!(refused.contains("at most 16777216 are allowed"), "{refused}");
}

fn evaluated(gradient: usize) -> Settlement {
    Settlement {
        candidate: CandidateIndex(u32::MAX),
        task: TaskIndex(u32::MAX),
        outcome: Outcome::Evaluated(Evaluation {
            gradient: Some(vec![0.1; gradient]),
            ..Evaluation::of(Fitness::new(-0.1).unwrap())
        }),
        compute_time: Duration::new(3600, 999_999_999),
    }
}

fn message(settlements: Vec<Settlement>) -> v1::AttachRequest {
    let report = Report {
        sequence: u64::MAX,
        run: RunId::new(u64::MAX),
        generation: GenerationIndex(u32::MAX),
        purpose: EpisodePurpose::Search,
        block: BlockIndex(u32::MAX),
        settlements,
    };
    v1::AttachRequest::from(&FromWorker::Report(report))
}

#[test]
fn the_longest_gradient_travels_and_a_longer_one_does_not() {
    let longest = message(vec![evaluated(GENOME_VALUES_MAX)]);
    assert!(FromWorker::try_from(longest).is_ok());
    let error = FromWorker::try_from(message(vec![evaluated(GENOME_VALUES_MAX + 1)])).unwrap_err();
    let expected = format!("gradient: must have at most {GENOME_VALUES_MAX}");
    assert!(error.to_string().contains(&expected), "{error}");
}

/// Workers fill their reports up to a size.
#[test]
fn a_full_report_of_gradients_is_one_message() {
    for numbers in [1, 7, 8, 68, 1000, GENOME_VALUES_MAX] {
        let settlement = evaluated(numbers);
        let count = (REPORT_SIZE_MAX / settlement.size()).max(1);
        let length = message(vec![settlement; count]).encoded_len();
        assert!(length <= COORDINATOR_MESSAGE_BYTES_MAX, "{count} of {numbers} numbers: {length} bytes");
    }
}

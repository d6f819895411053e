use std::fmt::Debug;
use std::sync::Arc;

use hebbian_shared::dispatch::{
    Assignment, Batch, BatchGenome, BlockEpisodes, FromWorker, Hello, Report, Settlement, ToWorker, Welcome,
};
use hebbian_shared::episode::{Agreement, EpisodePurpose, Evaluation, Outcome, Wants};
use hebbian_shared::fitness::Violation;
use hebbian_shared::genome::Genome;
use hebbian_shared::id::{BlockIndex, CandidateIndex, GenerationIndex, TaskIndex, WorkerId};
use hebbian_shared::limits::{BATCH_EPISODES_MAX, BATCH_GENOMES_MAX, GENOME_VALUES_MAX, REASON_BYTES_MAX};
use hebbian_shared::spec::{ResolvedSpec, RunSpec};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::{collection::vec, option};
use prost::Message;

use super::*;
use crate::v1;

/// From the domain to bytes and back is the identity.
fn check<D, M>(domain: &D)
where
    D: Debug + PartialEq + TryFrom<M, Error = ConvertError>,
    M: Message + Default + for<'a> From<&'a D>,
{
    let bytes = M::from(domain).encode_to_vec();
    let message = M::decode(bytes.as_slice()).expect("what was encoded");
    assert_eq!(D::try_from(message).as_ref(), Ok(domain));
}

/// A message with a fault is refused, and the error names the field.
fn check_refused<D, M>(message: M, expected: &str)
where
    D: Debug + TryFrom<M, Error = ConvertError>,
{
    let error = D::try_from(message).expect_err(expected).to_string();
    assert!(error.starts_with(expected), "`{expected}` expected, but: {error}");
}

fn quickstart() -> ResolvedSpec {
    RunSpec::read(include_str!("../../../examples/quickstart.toml")).unwrap().into()
}

fn duration() -> impl Strategy<Value = Duration> {
    (0..=DURATION_S_MAX, 0..1_000_000_000u32).prop_map(|(seconds, nanos)| Duration::new(seconds, nanos))
}

fn fitness() -> impl Strategy<Value = Fitness> {
    any::<f64>().prop_filter_map("finite", |value| Fitness::new(value).ok())
}

fn digest() -> impl Strategy<Value = Digest> {
    any::<[u8; 32]>().prop_map(Digest)
}

fn run_id() -> impl Strategy<Value = RunId> {
    (0..RunId::LIMIT).prop_map(RunId::new)
}

fn finite_values(count: usize) -> impl Strategy<Value = Genome> {
    vec(-1e300..1e300, count).prop_map(Genome)
}

fn purpose() -> impl Strategy<Value = EpisodePurpose> {
    select(vec![EpisodePurpose::Search, EpisodePurpose::Remeasure, EpisodePurpose::Validation])
}

fn batch() -> impl Strategy<Value = Batch> {
    let genome = (any::<u32>(), finite_values(20), vec(-1e300..1e300, 0..3)).prop_map(
        |(candidate, genome, parameters)| BatchGenome {
            candidate: CandidateIndex(candidate),
            genome: Arc::new(genome),
            parameters,
        },
    );
    let assignment = |genomes: usize| {
        (0..genomes as u32, any::<u32>(), any::<u32>()).prop_map(|(genome, task, seed)| Assignment {
            genome,
            task: TaskIndex(task),
            seed,
        })
    };
    let table = vec(genome, 1..5).prop_flat_map(move |genomes| {
        let assignments = vec(assignment(genomes.len()), 0..20);
        (Just(genomes), assignments)
    });
    (run_id(), digest(), any::<u32>(), purpose(), any::<u32>(), any::<bool>(), table).prop_map(
        |(run, layout, generation, purpose, block, gradient, (genomes, assignments))| Batch {
            run,
            layout,
            generation: GenerationIndex(generation),
            purpose,
            block: BlockIndex(block),
            wants: Wants { gradient },
            genomes,
            assignments,
        },
    )
}

fn report() -> impl Strategy<Value = Report> {
    let outcome = prop_oneof![
        (
            fitness(),
            [option::of(fitness()), option::of(fitness()), option::of(fitness()), option::of(fitness())],
            option::of((-1.0..1.0, 0.0..1e9)),
            vec(-1e300..1e300, 0..3),
            option::of(vec(-1e300..1e300, 1..5))
        )
            .prop_map(
                |(fitness, [extended, unadapted, blind, unlearned], agreement, scores, gradient)| {
                    let agreement =
                        agreement.map(|(cosine, length_ratio)| Agreement { cosine, length_ratio });
                    Outcome::Evaluated(Evaluation {
                        fitness,
                        extended,
                        unadapted,
                        blind,
                        unlearned,
                        agreement,
                        scores,
                        gradient,
                    })
                }
            ),
        Just(Outcome::Diverged),
        (0.0..1e300).prop_map(|by| Outcome::Infeasible(Violation::new(by).unwrap())),
        ".{0,40}".prop_map(|reason| Outcome::WorkerError { reason }),
        ".{0,40}".prop_map(|reason| Outcome::Rejected { reason }),
    ];
    let settlement = (any::<u32>(), any::<u32>(), outcome, duration()).prop_map(
        |(candidate, task, outcome, compute_time)| Settlement {
            candidate: CandidateIndex(candidate),
            task: TaskIndex(task),
            outcome,
            compute_time,
        },
    );
    (1..=u64::MAX, run_id(), any::<u32>(), purpose(), any::<u32>(), vec(settlement, 0..20)).prop_map(
        |(sequence, run, generation, purpose, block, settlements)| Report {
            sequence,
            run,
            generation: GenerationIndex(generation),
            purpose,
            block: BlockIndex(block),
            settlements,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_a_coordinator_says_survives(
        batch in batch(),
        episodes in vec((any::<u32>(), any::<u32>()), 0..5),
        run in run_id(),
        up_to in option::of(any::<u32>()),
        sequence in any::<u64>(),
    ) {
        check::<_, v1::Batch>(&batch);
        let (generation, purpose, block) = (batch.generation, batch.purpose, batch.block);
        let episodes =
            episodes.into_iter().map(|(candidate, task)| (CandidateIndex(candidate), TaskIndex(task))).collect();
        let unwanted = BlockEpisodes { run, generation, purpose, block, episodes };
        check::<_, v1::AttachResponse>(&ToWorker::WithdrawEpisodes(unwanted));
        check::<_, v1::AttachResponse>(&ToWorker::Batch(batch));
        check::<_, v1::AttachResponse>(&ToWorker::Acknowledge { sequence });
        check::<_, v1::AttachResponse>(&ToWorker::Withdraw { run, up_to: up_to.map(GenerationIndex) });
        check::<_, v1::AttachResponse>(&ToWorker::Drain { within: Duration::from_millis(1500) });
        let (heartbeat_interval, idle_heartbeat_interval) = (Duration::from_millis(500), Duration::from_secs(5));
        let worker = WorkerId(sequence);
        check::<_, v1::Welcome>(&Welcome { worker, heartbeat_interval, idle_heartbeat_interval });
    }

    #[test]
    fn what_a_worker_says_survives(report in report(), reason in ".{0,40}", fingerprint in digest()) {
        let run = report.run;
        let Report { generation, purpose, block, .. } = report;
        let episodes = report.settlements.iter().map(|settled| (settled.candidate, settled.task)).collect();
        check::<_, v1::AttachRequest>(&FromWorker::GiveBack(BlockEpisodes {
            run,
            generation,
            purpose,
            block,
            episodes,
        }));
        check::<_, v1::Report>(&report);
        check::<_, v1::AttachRequest>(&FromWorker::Report(report));
        check::<_, v1::AttachRequest>(&FromWorker::Reject { run, reason });
        check::<_, v1::AttachRequest>(&FromWorker::Heartbeat);
        check::<_, v1::AttachRequest>(&FromWorker::Leaving);
        let (name, version) = ("host".to_owned(), "0.1.0".to_owned());
        let serves = vec!["*".to_owned(), "cart-pole".to_owned()];
        check::<_, v1::Hello>(&Hello { name, threads: 2, episode_semantics: 1, fingerprint, version, serves });
    }

    #[test]
    fn no_bytes_make_a_conversion_panic(bytes in vec(any::<u8>(), 0..200)) {
        if let Ok(message) = v1::AttachRequest::decode(bytes.as_slice()) {
            let _ = FromWorker::try_from(message);
        }
        if let Ok(message) = v1::AttachResponse::decode(bytes.as_slice()) {
            let _ = ToWorker::try_from(message);
        }
    }
}

#[test]
fn results_are_checked_against_the_layout_of_their_spec() {
    let spec = quickstart();
    let layout = spec.layout();
    let result = v1::RunResult {
        spec: spec.json().to_owned(),
        mean: vec![0.25; layout.dimension()],
        layout: Some((&layout).into()),
        ..Default::default()
    };
    let (read, mean) = result.read().unwrap();
    assert_eq!((read.digest(), mean.0), (spec.digest(), result.mean.clone()));
    let refused = |change: fn(&mut v1::RunResult), expected: &str| {
        let mut result = result.clone();
        change(&mut result);
        let error = result.read().unwrap_err().to_string();
        assert!(error.starts_with(expected), "`{expected}` expected, but: {error}");
    };
    refused(|result| result.spec = "{".to_owned(), "spec: ");
    refused(|result| result.layout = None, "layout: must be set");
    refused(|result| result.layout.as_mut().unwrap().digest[0] ^= 1, "layout.digest: this program lays");
    refused(|result| result.mean.truncate(3), "mean: must have 68 values (layout), not 3");
    refused(|result| result.mean[1] = f64::NAN, "mean: value 1 must be finite");
}

#[test]
fn announced_specs_are_taken_as_they_are_written() {
    let spec = Arc::new(quickstart());
    check::<_, v1::AttachResponse>(&ToWorker::Spec { run: RunId::new(7), spec: Arc::clone(&spec) });
    // A program of another version writes fields in another order; the digest is that of its bytes.
    let json = spec.json().replacen('{', "{\"numerics\":\"uniform\",", 1);
    let last = json.rfind("\"numerics\"").unwrap();
    let rest = &json[last..];
    let json = json[..last].to_owned() + &rest[rest.find(',').unwrap() + 1..];
    assert_ne!(json, spec.json());
    let announce = |spec: String, digest: Digest| v1::RunAnnouncement {
        run: "runs/1".to_owned(),
        spec,
        spec_digest: digest.0.to_vec(),
    };
    let read = announce(json.clone(), Digest::of(json.as_bytes())).into_spec().unwrap();
    assert_eq!((read.json(), read.digest()), (json.as_str(), Digest::of(json.as_bytes())));
    assert_eq!(RunSpec::from(read), RunSpec::from((*spec).clone()));
    let error = announce(json, spec.digest()).into_spec().unwrap_err().to_string();
    assert!(error.starts_with("spec_digest: must be "), "{error}");
    let newer = spec.json().replacen("\"seed\"", "\"sead\"", 1);
    let error = announce(newer, spec.digest()).into_spec().unwrap_err().to_string();
    assert!(error.starts_with("spec.sead: unknown field `sead`"), "{error}");
}

#[test]
fn work_over_the_limits_is_refused() {
    let batch = || v1::Batch {
        run: run_name(RunId::new(1)),
        layout_digest: vec![0; 32],
        purpose: v1::EpisodePurpose::Search.into(),
        genomes: vec![v1::BatchGenome { candidate: 0, values: vec![0; 16], parameters: vec![] }],
        assignments: vec![v1::Assignment { genome: 0, task: 0, seed: 0 }],
        ..Default::default()
    };
    let refused = |expected, change: fn(&mut v1::Batch)| {
        let mut message = batch();
        change(&mut message);
        check_refused::<Batch, _>(message, expected);
    };
    assert!(Batch::try_from(batch()).is_ok());
    refused("run: must be `runs/`", |m| m.run = "00000001".to_owned());
    refused("run: `1` is not a run id", |m| m.run = "runs/1".to_owned());
    refused("layout_digest: must have 32 bytes, not 3", |m| m.layout_digest = vec![0; 3]);
    refused("purpose: must be one of", |m| m.purpose = 0);
    refused("genomes[0].values: must have a multiple of 8", |m| m.genomes[0].values.push(0));
    refused("genomes[0].values: value 1 must be finite", |m| m.genomes[0].values[8..].fill(0xff));
    refused("genomes[0].values: must have at most", |m| {
        m.genomes[0].values = vec![0; 8 * (GENOME_VALUES_MAX + 1)];
    });
    refused("genomes: must have at most", |m| m.genomes = vec![m.genomes[0].clone(); BATCH_GENOMES_MAX + 1]);
    refused("assignments: must have at most", |m| {
        m.assignments = vec![m.assignments[0]; BATCH_EPISODES_MAX + 1];
    });
    refused("assignments[0].genome: must be below 1", |m| m.assignments[0].genome = 1);
}

#[test]
fn reports_over_the_limits_are_refused() {
    use v1::settlement::{Evaluated, Outcome, WorkerError};
    let settlement = |outcome| v1::Settlement {
        compute_time: Some(prost_types::Duration::default()),
        outcome,
        ..Default::default()
    };
    let refused = |expected, settlement: v1::Settlement, count| {
        let report = v1::Report {
            sequence: 1,
            run: run_name(RunId::new(1)),
            purpose: v1::EpisodePurpose::Search.into(),
            settlements: vec![settlement; count],
            ..Default::default()
        };
        check_refused::<Report, _>(report, expected);
    };
    let nan = Some(Outcome::Evaluated(Evaluated { fitness: f64::NAN, ..Default::default() }));
    refused("settlements[0].evaluated.fitness: a fitness must be finite", settlement(nan), 1);
    let infinite =
        Some(Outcome::Evaluated(Evaluated { gradient: vec![0.0, f64::INFINITY], ..Default::default() }));
    refused("settlements[0].evaluated.gradient: value 1 must be finite", settlement(infinite), 1);
    let many = Some(Outcome::Evaluated(Evaluated {
        scores: vec![0.0; GENOME_VALUES_MAX + 1],
        ..Default::default()
    }));
    refused("settlements[0].evaluated.scores: must have at most", settlement(many), 1);
    refused("settlements[0].outcome: must be set", settlement(None), 1);
    let fit = Some(Outcome::Evaluated(Evaluated { fitness: 1.0, ..Default::default() }));
    refused("settlements: must have at most", settlement(fit.clone()), BATCH_EPISODES_MAX + 1);
    let timeless = v1::Settlement { compute_time: None, ..settlement(fit) };
    refused("settlements[0].compute_time: must be set", timeless, 1);
    let long = Some(Outcome::WorkerError(WorkerError { reason: "x".repeat(REASON_BYTES_MAX + 1) }));
    refused("settlements[0].worker_error.reason: must have at most", settlement(long), 1);
    check_refused::<Report, _>(v1::Report::default(), "sequence: must be counted from 1");
    check_refused::<FromWorker, _>(v1::AttachRequest::default(), "kind: must be set");
}

#[test]
fn long_reasons_are_cut_at_a_characters_border() {
    let reason = "é".repeat(REASON_BYTES_MAX);
    let message = v1::AttachRequest::from(&FromWorker::Reject { run: RunId::new(1), reason });
    let Ok(FromWorker::Reject { reason, .. }) = message.try_into() else { panic!("a reject") };
    assert_eq!(reason.len(), REASON_BYTES_MAX);
}

#[test]
fn hellos_that_would_spoil_a_terminal_are_refused() {
    let hello = || v1::Hello {
        display_name: "host".to_owned(),
        threads: 1,
        fingerprint: vec![0; 32],
        version: "0".to_owned(),
        ..Default::default()
    };
    assert!(Hello::try_from(hello()).is_ok());
    check_refused::<Hello, _>(v1::Hello { display_name: "\u{1b}[2J".to_owned(), ..hello() }, "display_name");
    check_refused::<Hello, _>(v1::Hello { display_name: String::new(), ..hello() }, "display_name");
    check_refused::<Hello, _>(v1::Hello { version: "x".repeat(300), ..hello() }, "version");
    check_refused::<Hello, _>(v1::Hello { threads: 0, ..hello() }, "threads: must be from 1");
    check_refused::<Hello, _>(v1::Hello { fingerprint: vec![], ..hello() }, "fingerprint: must have 32");
    let serving = |name: &str| v1::Hello { serves: vec![name.to_owned()], fingerprint: vec![], ..hello() };
    assert!(
        Hello::try_from(serving("cart-pole"))
            .is_ok_and(|hello| hello.serves("cart-pole") && !hello.serves("x"))
    );
    assert!(Hello::try_from(serving("*")).is_ok_and(|hello| hello.serves("anything")));
    check_refused::<Hello, _>(serving("a b"), "serves[0]: must be `*`, or at most 64");
    check_refused::<Hello, _>(
        v1::Hello { serves: vec!["x".to_owned(); 65], ..hello() },
        "serves: must have at most",
    );
    let zero = Some(prost_types::Duration::default());
    let endless = v1::Welcome { worker: 1, heartbeat_interval: zero, ..Default::default() };
    check_refused::<Welcome, _>(endless, "heartbeat_interval: must be above 0");
    let heartbeat_interval = Some(prost_types::Duration { seconds: 1, nanos: 0 });
    let half = v1::Welcome { worker: 1, heartbeat_interval, ..Default::default() };
    check_refused::<Welcome, _>(half, "idle_heartbeat_interval: must be set");
    let eternal = v1::Drain { within: Some(prost_types::Duration { seconds: 3601, nanos: 0 }) };
    let eternal =
        v1::AttachResponse { kind: Some(v1::attach_response::Kind::Drain(eternal)), ..Default::default() };
    check_refused::<ToWorker, _>(eternal, "drain.within: must be above 0 and at most an hour");
}

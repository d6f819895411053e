use std::fmt::Debug;
use std::sync::Arc;

use hebbian_shared::dispatch::{
    Assignment, Batch, BatchGenome, FromWorker, GiveBack, Hello, Report, Settlement, ToWorker, Welcome,
};
use hebbian_shared::episode::{EpisodePurpose, Evaluation, Outcome};
use hebbian_shared::genome::Genome;
use hebbian_shared::id::{BlockIndex, CandidateIndex, GenerationIndex, TaskIndex, WorkerId};
use hebbian_shared::progress::{
    CoordinatorStatus, Estimate, FamilyValidation, GenerationSummary, Ineligibility, Measured, NoiseSummary,
    Parent, Remeasurement, Restart, RunEvent, RunProgress, RunResult, RunState, SearchSummary, SegmentNorm,
    StopReason, ValidationSummary, Warning, WorkerStatus,
};
use hebbian_shared::seed::Seed;
use hebbian_shared::spec::data_set::DataSetSpec;
use hebbian_shared::spec::evaluation::{
    CurveWord, EvaluationSpec, LastWord, Measure, MeasurePoint, Objective, UnrollPhase, UpdatePoint,
};
use hebbian_shared::spec::network::{InitialSynapses, NetworkSpec, SynapseDistribution};
use hebbian_shared::spec::rule::{
    Activation, BackwardUpdate, Feedback, ForwardSynapseUpdate, Gates, GenomeScope, Hebbian, Normalisation,
    Oja, RuleSpec, Saturation, StateActivations,
};
use hebbian_shared::spec::stop::StopSpec;
use hebbian_shared::spec::strategy::{
    CmaEsSpec, NoiseHandling, OpenAiEsSpec, PgpeSpec, RandomSearchSpec, Restarts, SearchStart, SepCmaEsSpec,
    StrategySpec,
};
use hebbian_shared::spec::task::{ImageAugmentation, InputAugmentation, TaskFamily, TaskSpec};
use hebbian_shared::spec::validation::{Selection, ValidationSpec};
use hebbian_shared::spec::{Numerics, Problem, RuleLearning, RunSpec, SPEC_VERSION};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
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

fn activations(states: u8) -> impl Strategy<Value = StateActivations> {
    use Activation::{DIdentity, DRelu, DSigmoid, DTanh, Identity, Relu, ReluTanh, Sigmoid, Tanh};
    let one = || select(vec![Identity, Tanh, Relu, ReluTanh, Sigmoid, DIdentity, DTanh, DRelu, DSigmoid]);
    prop_oneof![
        one().prop_map(StateActivations::All),
        vec(one(), usize::from(states)).prop_map(StateActivations::PerState),
    ]
}

fn rule() -> impl Strategy<Value = RuleSpec> {
    (2..=16u8).prop_flat_map(|states| {
        let options = (
            select(vec![Gates::Scalar, Gates::PerState]),
            select(vec![Hebbian::Mean, Hebbian::Sum]),
            select(vec![
                BackwardUpdate::Additive,
                BackwardUpdate::MultiplicativeSecondState,
                BackwardUpdate::Multiplicative,
                BackwardUpdate::None,
            ]),
            select(vec![
                Feedback::ConcatGroundTruth,
                Feedback::ReplaceState0,
                Feedback::Difference,
                Feedback::DifferenceTimesSecondState,
                Feedback::SoftmaxDifference,
            ]),
            any::<[bool; 5]>(),
        );
        (options, [(); 4].map(|()| activations(states)), later_options()).prop_map(
            move |((gates, hebbian, backward_update, feedback, flags), activations, later)| {
                let (normalisation, oja, saturation, forward_synapse_update, supervised_every) = later;
                let [forward_activation, backward_activation, last_layer_activation, synapse_activation] =
                    activations;
                RuleSpec {
                    states,
                    gates,
                    hebbian,
                    forward_activation,
                    backward_activation,
                    last_layer_activation,
                    synapse_activation,
                    backward_update,
                    feedback,
                    symmetric_synapses: flags[0],
                    symmetric_states: flags[1],
                    zero_out_neurons: flags[2],
                    genome: if flags[3] { GenomeScope::PerLayer } else { GenomeScope::Shared },
                    normalisation,
                    oja,
                    saturation,
                    forward_synapse_update,
                    forward_activations_in_synapse_update: flags[4]
                        && forward_synapse_update == ForwardSynapseUpdate::Off,
                    supervised_every,
                    updatable: None,
                    evolve_initial_scale: flags[4] != flags[0],
                }
            },
        )
    })
}

type LaterOptions = (Option<Normalisation>, Option<Oja>, Option<Saturation>, ForwardSynapseUpdate, u32);

fn later_options() -> impl Strategy<Value = LaterOptions> {
    let normalisation = (any::<bool>(), any::<bool>()).prop_map(|(stored, rescale)| Normalisation {
        stored,
        in_activations: !stored || rescale,
        rescale,
    });
    let oja = (-10.0..10.0, any::<bool>(), any::<bool>())
        .prop_map(|(scale, multiplier, synapse_weights)| Oja { scale, multiplier, synapse_weights });
    let saturation = (0.0..10.0).prop_map(|epsilon| Saturation { epsilon });
    let forward = select(vec![
        ForwardSynapseUpdate::Off,
        ForwardSynapseUpdate::SharedGenome,
        ForwardSynapseUpdate::OwnGenome,
    ]);
    (option::of(normalisation), option::of(oja), option::of(saturation), forward, 1..=100_000u32)
}

fn tasks() -> impl Strategy<Value = TaskSpec> {
    use InputAugmentation::{Original, Permuted, Projected};
    let families = subsequence(TaskFamily::ALL.to_vec(), 1..=TaskFamily::ALL.len());
    let inputs = subsequence(vec![Original, Permuted, Projected], 1..=3);
    let data_set = (2..=32u32, subsequence((0..=255).collect::<Vec<u8>>(), 2..=256), option::of(digest()));
    let data_sets = vec(data_set, 0..=3).prop_map(|data_sets| {
        let data_set = |(place, (side, classes, digest))| {
            let name = format!("set-{place}").parse().unwrap();
            DataSetSpec { name, side, classes, digest }
        };
        data_sets.into_iter().enumerate().map(data_set).collect::<Vec<_>>()
    });
    (families, 24..=4096u32, 1..=512u32, 1..=1024u32, any::<bool>(), inputs, data_sets).prop_map(
        |(mut families, per_generation, batch_size, query_size, permute_labels, inputs, data_sets)| {
            families.extend(data_sets.iter().map(|data_set| TaskFamily::Idx(data_set.name)));
            TaskSpec {
                families,
                per_generation,
                batch_size,
                query_size,
                images: ImageAugmentation { permute_labels, inputs },
                data_sets,
            }
        },
    )
}

fn evaluation() -> impl Strategy<Value = EvaluationSpec> {
    let point = (option::of(1..=5u32), 1e-9..1e6).prop_map(|(update, weight)| MeasurePoint {
        update: update.map_or(UpdatePoint::Last(LastWord::Last), UpdatePoint::At),
        weight,
    });
    let measure =
        prop_oneof![Just(Measure::Curve(CurveWord::Curve)), vec(point, 1..5).prop_map(Measure::Points)];
    let phase =
        (1..=u32::MAX, 5..=100u32).prop_map(|(generations, updates)| UnrollPhase { generations, updates });
    let objective = select(vec![Objective::Accuracy, Objective::SquaredError, Objective::Logistic]);
    (objective, measure, vec(phase, 1..4)).prop_map(|(objective, measure, unroll)| EvaluationSpec {
        objective,
        measure,
        unroll,
    })
}

fn spec() -> impl Strategy<Value = RunSpec> {
    let noise = select(vec![NoiseHandling::Auto, NoiseHandling::None, NoiseHandling::Lra]);
    let restarts = select(vec![Restarts::None, Restarts::Ipop, Restarts::Bipop]);
    // Every rule has more than two numbers to evolve, so these fit all.
    let start = (option::of(-9.0..0.0), option::of(1.0..9.0), vec(0..1u32, 0..=1)).prop_map(
        |(lower, upper, fixed)| {
            Box::new(SearchStart {
                lower_bounds: lower.into_iter().collect(),
                upper_bounds: upper.into_iter().collect(),
                fixed,
                ..SearchStart::default()
            })
        },
    );
    let strategy = prop_oneof![
        (4..=256u32, 1e-9..1e6, option::of(1.0..9.0), any::<[bool; 2]>(), noise, restarts, start).prop_map(
            |(population_size, step_size, room, [active, mirrored], noise, restarts, start)| {
                StrategySpec::CmaEs(CmaEsSpec {
                    population_size,
                    step_size,
                    step_size_max: room.map_or(f64::INFINITY, |room: f64| step_size * room),
                    active,
                    noise,
                    restarts,
                    mirrored,
                    start,
                })
            }
        ),
        (1..=256u32, 1e-9..1e6).prop_map(|(population_size, step_size)| {
            StrategySpec::RandomSearch(RandomSearchSpec { population_size, step_size })
        }),
        (4..=256u32, 1e-9..1e6).prop_map(|(population_size, step_size)| {
            StrategySpec::SepCmaEs(SepCmaEsSpec { population_size, step_size })
        }),
        (2..=128u32, 1e-9..1e6, 1e-9..1e6).prop_map(|(pairs, step_size, learning_rate)| {
            StrategySpec::Pgpe(PgpeSpec::of(2 * pairs, Some(step_size), Some(learning_rate)))
        }),
        (2..=128u32, 1e-9..1e6, 1e-9..1e6).prop_map(|(pairs, step_size, learning_rate)| {
            StrategySpec::OpenAiEs(OpenAiEsSpec::of(2 * pairs, Some(step_size), Some(learning_rate)))
        }),
    ];
    let distribution =
        select(vec![SynapseDistribution::Uniform, SynapseDistribution::Normal, SynapseDistribution::Xavier]);
    let layers = || vec(1..=64u32, 0..=3);
    let shapes = prop_oneof![
        layers().prop_map(|hidden| (hidden, Vec::new())),
        vec(layers(), 1..=4).prop_map(|shapes| (Vec::new(), shapes))
    ];
    let network = (shapes, distribution, 1e-6..100.0).prop_map(|((hidden, shapes), distribution, scale)| {
        NetworkSpec { hidden, shapes, initial_synapses: InitialSynapses { distribution, scale } }
    });
    let stop = (
        1..=100_000_000u32,
        option::of(1..=1u64 << 53),
        option::of(-1e9..1e9),
        option::of(1..=315_360_000u64),
    )
        .prop_map(|(generations, evaluations, target_fitness, time_limit_s)| StopSpec {
            // Sometimes a run is limited by its time alone.
            generations: (generations % 2 == 0 || time_limit_s.is_none()).then_some(generations),
            evaluations,
            target_fitness,
            time_limit_s,
        });
    let numerics = select(vec![Numerics::Uniform, Numerics::Any]);
    let rule_and_network =
        (rule(), network, option::of([any::<bool>(); 5])).prop_map(|(mut rule, network, updatable)| {
            // Flags and genomes per layer are for networks of one depth.
            let layers = network.synapse_layers();
            rule.updatable = updatable.zip(layers).map(|(flags, layers)| flags[..=layers].to_vec());
            rule.genome = if layers.is_some() { rule.genome } else { RuleSpec::default().genome };
            (rule, network)
        });
    let settings = (evaluation(), option::of(validation()), stop);
    ("[a-z0-9._-]{1,64}", 0..Seed::LIMIT, strategy, rule_and_network, tasks(), settings, numerics).prop_map(
        |(name, seed, strategy, (rule, network), tasks, (mut evaluation, validation, stop), numerics)| {
            if tasks.families.iter().any(|family| family.is_regression()) {
                evaluation.objective = Objective::SquaredError;
            }
            RunSpec {
                version: SPEC_VERSION,
                name,
                seed: Seed::new(seed).unwrap(),
                strategy,
                problem: Problem::RuleLearning(RuleLearning { rule, network, tasks }),
                evaluation,
                validation,
                stop,
                numerics,
            }
        },
    )
}

fn validation() -> impl Strategy<Value = ValidationSpec> {
    let families = subsequence(TaskFamily::ALL.to_vec(), 1..=TaskFamily::ALL.len());
    let selection = select(vec![Selection::None, Selection::BestRestart]);
    (families, 1..=1_000_000u32, 1..=64u32, 2..=10u32, selection).prop_map(
        |(families, every, tasks_per_family, unroll_factor, select)| ValidationSpec {
            families,
            every,
            tasks_per_family,
            unroll_factor,
            select,
        },
    )
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

fn seeds() -> impl Strategy<Value = Seed> {
    (0..1u64 << 63).prop_map(|number| Seed::new(number).unwrap())
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
    let genome = (any::<u32>(), finite_values(20)).prop_map(|(candidate, genome)| BatchGenome {
        candidate: CandidateIndex(candidate),
        genome: Arc::new(genome),
    });
    let assignment = |genomes: usize| {
        (0..genomes as u32, any::<u32>())
            .prop_map(|(genome, task)| Assignment { genome, task: TaskIndex(task) })
    };
    let table = vec(genome, 1..5).prop_flat_map(move |genomes| {
        let assignments = vec(assignment(genomes.len()), 0..20);
        (Just(genomes), assignments)
    });
    (run_id(), digest(), any::<u32>(), purpose(), any::<u32>(), table).prop_map(
        |(run, layout, generation, purpose, block, (genomes, assignments))| Batch {
            run,
            layout,
            generation: GenerationIndex(generation),
            purpose,
            block: BlockIndex(block),
            genomes,
            assignments,
        },
    )
}

fn report() -> impl Strategy<Value = Report> {
    let outcome = prop_oneof![
        (fitness(), option::of(fitness()))
            .prop_map(|(fitness, extended)| Outcome::Evaluated(Evaluation { fitness, extended })),
        Just(Outcome::Diverged),
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

fn state() -> impl Strategy<Value = RunState> {
    prop_oneof![
        Just(RunState::Running),
        Just(RunState::Cancelled),
        ".{0,40}".prop_map(|reason| RunState::Paused { reason }),
        ("[a-z]{1,9}", ".{0,40}")
            .prop_map(|(criterion, detail)| RunState::Finished { reason: StopReason { criterion, detail } }),
    ]
}

fn generation() -> impl Strategy<Value = GenerationSummary> {
    let counts = (any::<u32>(), any::<u32>(), any::<u32>(), any::<u64>(), any::<u64>());
    let fitnesses = (option::of(fitness()), option::of(fitness()));
    let figures = [0.0..1e9, 0.0..1e9, 0.0..1e9, 0.0..1e9, 0.0..1e9];
    (counts, fitnesses, duration(), duration(), figures, digest()).prop_map(
        |(
            (generation, updates, diverged, evaluations, episodes),
            (best, median),
            compute_time,
            elapsed,
            [step_size, axis_ratio, low, high, mean_norm],
            digest,
        )| GenerationSummary {
            generation: GenerationIndex(generation),
            updates,
            best,
            median,
            diverged,
            evaluations,
            episodes,
            compute_time,
            elapsed,
            search: SearchSummary {
                step_size,
                axis_ratio,
                deviation_range: (low, high),
                mean_norm,
                noise: (generation % 2 == 0).then_some(NoiseSummary {
                    agreement: (generation % 4 == 0).then_some(0.25),
                    mean_rate: 0.5,
                    covariance_rate: 1.0,
                }),
                restart: (generation % 3 == 0).then(|| {
                    Box::new(Restart {
                        number: updates,
                        population_size: diverged,
                        step_size,
                        reason: StopReason { criterion: "tolx".to_owned(), detail: "small".to_owned() },
                    })
                }),
            },
            digest,
        },
    )
}

fn estimate() -> impl Strategy<Value = Estimate> {
    (-1e9..1e9, 0.0..1e9).prop_map(|(mean, standard_error)| Estimate { mean, standard_error })
}

fn validation_summary() -> impl Strategy<Value = ValidationSummary> {
    let family = ("[a-z-]{1,9}", any::<bool>(), any::<[u32; 2]>(), estimate(), estimate()).prop_map(
        |(family, trained, [tasks, diverged], accuracy, extended)| FamilyValidation {
            family,
            trained,
            tasks,
            diverged,
            accuracy,
            extended,
        },
    );
    let norm = ("[a-z_]{1,9}", 0.0..1e9).prop_map(|(segment, norm)| SegmentNorm { segment, norm });
    let warning = (".{0,9}", ".{0,9}", ".{0,9}").prop_map(|(failure, figure, remedy)| Warning {
        failure,
        figure,
        remedy,
    });
    let lists = (vec(family, 0..3), vec(norm, 0..3), vec(warning, 0..3));
    (any::<[u32; 3]>(), [estimate(), estimate(), estimate()], lists, duration()).prop_map(
        |(
            [generation, updates, extended_updates],
            [accuracy, extended, drop],
            (families, norms, warnings),
            compute_time,
        )| ValidationSummary {
            generation: GenerationIndex(generation),
            updates,
            extended_updates,
            families,
            accuracy,
            extended,
            drop,
            norms,
            warnings,
            compute_time,
        },
    )
}

fn remeasurement() -> impl Strategy<Value = Remeasurement> {
    let measured =
        || (estimate(), any::<u32>()).prop_map(|(fitness, diverged)| Measured { fitness, diverged });
    (any::<[u32; 2]>(), measured(), option::of(measured()), duration()).prop_map(
        |([updates, tasks], mean, best, compute_time)| Remeasurement {
            updates,
            tasks,
            mean,
            best,
            compute_time,
        },
    )
}

fn progress() -> impl Strategy<Value = RunProgress> {
    let counts = any::<[u32; 5]>();
    let optional =
        (option::of(any::<u32>()), option::of(fitness()), option::of(generation()), option::of(digest()));
    let milliseconds = 0..=253_402_300_799_999u64;
    let parent = (run_id(), any::<u32>().prop_map(GenerationIndex))
        .prop_map(|(run, generations)| Parent { run, generations });
    let kin =
        (0.001..=1000.0, seeds(), "[a-z]{0,9}", option::of(parent), option::of(0..=253_402_300_799_999u64));
    let rest = (milliseconds, vec(".{0,20}", 0..3), any::<u64>(), kin);
    let ended = ("[a-z]{1,9}", ".{0,9}").prop_map(|(criterion, detail)| StopReason { criterion, detail });
    let figures = (option::of(validation_summary()), option::of(ended), option::of(remeasurement()));
    (run_id(), "[a-z]{1,9}", digest(), state(), counts, optional, figures, rest).prop_map(
        |(
            run,
            name,
            spec_digest,
            state,
            [generation, settled, episodes, leased, eligible_workers],
            (generations_limit, best, last, fingerprint),
            (validation, search_ended, remeasurement),
            (created_unix_ms, notes, sequence, (weight, seed, group, parent, ended_unix_ms)),
        )| RunProgress {
            weight,
            run,
            name,
            spec_digest,
            state,
            generation: GenerationIndex(generation),
            generations_limit,
            settled,
            episodes,
            leased,
            eligible_workers,
            best,
            last,
            created_unix_ms,
            fingerprint,
            validation,
            search_ended,
            remeasurement,
            notes,
            sequence,
            seed,
            group,
            parent,
            ended_unix_ms,
        },
    )
}

fn worker() -> impl Strategy<Value = WorkerStatus> {
    let ineligible = (run_id(), ".{0,20}").prop_map(|(run, reason)| Ineligibility { run, reason });
    (
        (any::<[u64; 3]>(), any::<[u32; 4]>(), "[a-z]{1,9}", "[0-9.]{1,9}", digest()),
        (option::of(duration()), duration(), duration(), any::<bool>(), vec(ineligible, 0..3)),
    )
        .prop_map(
            |(
                ([id, settled, errors], [threads, leased, credit, overtaken], name, version, fingerprint),
                (episode_time, attached, heard, draining, ineligible),
            )| WorkerStatus {
                worker: WorkerId(id),
                name,
                threads,
                version,
                fingerprint,
                leased,
                credit,
                settled,
                errors,
                episode_time,
                attached,
                heard,
                overtaken,
                draining,
                ineligible,
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn specs_survive(
        spec in spec().prop_filter("too dear", |spec| spec.validate().is_ok()),
        validation in option::of(validation_summary()),
        remeasurement in option::of(remeasurement()),
    ) {
        check::<_, v1::RunSpec>(&spec);
        let run = RunId::new(7);
        check::<_, v1::AttachResponse>(&ToWorker::Spec { run, spec: Arc::new(spec.clone()) });
        let result = RunResult {
            run,
            state: RunState::Running,
            generations: 3,
            mean: Genome(vec![0.25; spec.layout().dimension()]),
            best: Some((Genome(vec![-1.5; spec.layout().dimension()]), Fitness::new(0.5).unwrap())),
            layout: spec.layout(),
            validation,
            remeasurement,
            spec,
        };
        check::<_, v1::RunResult>(&result);
    }

    #[test]
    fn what_a_coordinator_says_survives(
        batch in batch(),
        run in run_id(),
        up_to in option::of(any::<u32>()),
        sequence in any::<u64>(),
    ) {
        check::<_, v1::Batch>(&batch);
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
        check::<_, v1::AttachRequest>(&FromWorker::GiveBack(GiveBack {
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
        check::<_, v1::Hello>(&Hello { name, threads: 2, episode_semantics: 1, fingerprint, version });
    }

    #[test]
    fn progress_survives(progress in progress(), worker in worker(), note in ".{0,40}") {
        check::<_, v1::RunEvent>(&RunEvent::State(progress.state.clone()));
        check::<_, v1::RunEvent>(&RunEvent::Note(note.clone()));
        if let Some(summary) = progress.validation.clone() {
            check::<_, v1::RunEvent>(&RunEvent::Validation(summary));
        }
        if let Some(figures) = progress.remeasurement.clone() {
            check::<_, v1::RunEvent>(&RunEvent::Remeasurement(figures));
        }
        if let Some(last) = progress.last.clone() {
            check::<_, v1::RunEvent>(&RunEvent::Generation(last));
        }
        check::<_, v1::CoordinatorStatus>(&CoordinatorStatus {
            version: worker.version.clone(),
            epoch: worker.settled,
            uptime: worker.attached,
            workers: worker.leased,
            threads: worker.threads,
            active_runs: worker.credit,
            settled: worker.errors,
            journal_trouble: worker.draining.then_some(note),
        });
        check::<_, v1::Run>(&progress);
        check::<_, v1::Worker>(&worker);
    }

    #[test]
    fn no_bytes_make_a_conversion_panic(bytes in vec(any::<u8>(), 0..200)) {
        if let Ok(message) = v1::AttachRequest::decode(bytes.as_slice()) {
            let _ = FromWorker::try_from(message);
        }
        if let Ok(message) = v1::AttachResponse::decode(bytes.as_slice()) {
            let _ = ToWorker::try_from(message);
        }
        if let Ok(message) = v1::RunSpec::decode(bytes.as_slice()) {
            let _ = RunSpec::try_from(message);
        }
    }
}

/// The spec that a client writes with as few fields as possible.
fn minimal() -> v1::RunSpec {
    use v1::run_spec::{Problem, Strategy};
    let tasks = Some(v1::Tasks { families: vec!["xor".to_owned()], ..Default::default() });
    v1::RunSpec {
        name: "minimal".to_owned(),
        strategy: Some(Strategy::CmaEs(v1::CmaEs { population_size: 16, ..Default::default() })),
        problem: Some(Problem::RuleLearning(v1::RuleLearning { tasks, ..Default::default() })),
        stop: Some(v1::Stop { generations: Some(3), ..Default::default() }),
        ..Default::default()
    }
}

#[test]
fn absent_fields_have_the_defaults_of_toml() {
    let toml = r#"
        name = "minimal"
        strategy = { kind = "cma-es", population_size = 16 }
        tasks = { families = ["xor"] }
        stop = { generations = 3 }
    "#;
    assert_eq!(RunSpec::try_from(minimal()), Ok(RunSpec::from_toml(toml).unwrap()));

    let population_size = 16;
    for (kind, strategy) in [
        (
            "random-search",
            v1::run_spec::Strategy::RandomSearch(v1::RandomSearch { population_size, ..Default::default() }),
        ),
        (
            "sep-cma-es",
            v1::run_spec::Strategy::SepCmaEs(v1::SepCmaEs { population_size, ..Default::default() }),
        ),
        ("pgpe", v1::run_spec::Strategy::Pgpe(v1::Pgpe { population_size, ..Default::default() })),
        (
            "openai-es",
            v1::run_spec::Strategy::OpenaiEs(v1::OpenAiEs { population_size, ..Default::default() }),
        ),
    ] {
        let message = v1::RunSpec { strategy: Some(strategy), ..minimal() };
        let toml = toml.replace("cma-es", kind);
        assert_eq!(RunSpec::try_from(message), Ok(RunSpec::from_toml(&toml).unwrap()));
    }
}

fn set_data_set(message: &mut v1::RunSpec, data_set: v1::DataSet) {
    let Some(v1::run_spec::Problem::RuleLearning(problem)) = &mut message.problem else { unreachable!() };
    problem.tasks.as_mut().unwrap().data_sets = vec![data_set];
}

#[test]
fn every_wrong_field_of_a_spec_is_named() {
    fn refused(expected: &str, change: impl FnOnce(&mut v1::RunSpec)) {
        let mut message = minimal();
        change(&mut message);
        check_refused::<RunSpec, _>(message, expected);
    }
    fn rule_learning(message: &mut v1::RunSpec) -> &mut v1::RuleLearning {
        let Some(v1::run_spec::Problem::RuleLearning(problem)) = &mut message.problem else { unreachable!() };
        problem
    }
    refused("version: this program reads", |m| m.version = Some(99));
    refused("name: must be 1 to 64", |m| m.name = String::new());
    refused("seed: a seed must be below", |m| m.seed = Some(u64::MAX));
    refused("numerics: must be one of NUMERICS_UNIFORM, NUMERICS_ANY, not number 0", |m| {
        m.numerics = Some(0);
    });
    refused("numerics: must be one of", |m| m.numerics = Some(77));
    refused("cma_es: must be set", |m| m.strategy = None);
    refused("cma_es.population_size: must be from 4", |m| {
        m.strategy = Some(v1::run_spec::Strategy::CmaEs(v1::CmaEs::default()));
    });
    refused("random_search.step_size: must be from 1e-100", |m| {
        m.strategy = Some(v1::run_spec::Strategy::RandomSearch(v1::RandomSearch {
            population_size: 1,
            step_size: Some(f64::NAN),
        }));
    });
    refused("sep_cma_es.population_size: must be from 4", |m| {
        m.strategy = Some(v1::run_spec::Strategy::SepCmaEs(v1::SepCmaEs::default()));
    });
    refused("pgpe.population_size: must be even", |m| {
        m.strategy =
            Some(v1::run_spec::Strategy::Pgpe(v1::Pgpe { population_size: 5, ..Default::default() }));
    });
    refused("openai_es.learning_rate: must be from 1e-100", |m| {
        m.strategy = Some(v1::run_spec::Strategy::OpenaiEs(v1::OpenAiEs {
            population_size: 4,
            step_size: None,
            learning_rate: Some(0.0),
        }));
    });
    refused("rule_learning: must be set", |m| m.problem = None);
    refused("rule_learning.tasks: must be set", |m| rule_learning(m).tasks = None);
    refused("rule_learning.tasks.families[0]: `xorr` is not a task family", |m| {
        rule_learning(m).tasks.as_mut().unwrap().families = vec!["xorr".to_owned()];
    });
    refused("rule_learning.tasks.families: must name at least one", |m| {
        rule_learning(m).tasks = Some(v1::Tasks::default());
    });
    refused("rule_learning.tasks.families: must have at most", |m| {
        rule_learning(m).tasks.as_mut().unwrap().families = vec!["xor".to_owned(); 5000];
    });
    refused("rule_learning.rule.states: must be from 1 to 16, not 300", |m| {
        rule_learning(m).rule = Some(v1::Rule { states: Some(300), ..Default::default() });
    });
    refused("rule_learning.rule.normalisation: normalises nothing", |m| {
        let rule = v1::Rule { normalisation: Some(v1::Normalisation::default()), ..Default::default() };
        rule_learning(m).rule = Some(rule);
    });
    refused("rule_learning.rule.updatable: must have 3 flags", |m| {
        let updatable = Some(v1::UpdatableLayers { layers: vec![true; 4] });
        rule_learning(m).rule = Some(v1::Rule { updatable, ..Default::default() });
    });
    refused("rule_learning.rule.updatable.layers: must have at most", |m| {
        let updatable = Some(v1::UpdatableLayers { layers: vec![true; 5000] });
        rule_learning(m).rule = Some(v1::Rule { updatable, ..Default::default() });
    });
    refused("rule_learning.rule.genome: must be one of", |m| {
        rule_learning(m).rule = Some(v1::Rule { genome: Some(0), ..Default::default() });
    });
    refused("rule_learning.rule.forward_activation.per_state.activations[1]: must be one of", |m| {
        let list = v1::ActivationList { activations: vec![1, 0] };
        let activations = v1::StateActivations { kind: Some(v1::state_activations::Kind::PerState(list)) };
        let rule = v1::Rule { forward_activation: Some(activations), ..Default::default() };
        rule_learning(m).rule = Some(rule);
    });
    refused("rule_learning.network.hidden.neurons[0]: must be from 1", |m| {
        let hidden = Some(v1::HiddenLayers { neurons: vec![0] });
        rule_learning(m).network = Some(v1::Network { hidden, ..Default::default() });
    });
    refused("rule_learning.network.shapes[1].neurons[0]: must be from 1", |m| {
        let shapes = [4, 0].map(|neurons| v1::HiddenLayers { neurons: vec![neurons] }).to_vec();
        rule_learning(m).network = Some(v1::Network { shapes, ..Default::default() });
    });
    refused("rule_learning.tasks.data_sets[0].name: `A` cannot be the name", |m| {
        set_data_set(m, v1::DataSet { name: "A".to_owned(), ..Default::default() });
    });
    refused("rule_learning.tasks.data_sets[0].side: must be from 2 to 64, not 1", |m| {
        set_data_set(m, v1::DataSet { name: "a".to_owned(), side: Some(1), ..Default::default() });
    });
    refused("rule_learning.tasks.data_sets[0].classes[1]: must be a label from 0 to 255", |m| {
        set_data_set(m, v1::DataSet { name: "a".to_owned(), classes: vec![0, 256], ..Default::default() });
    });
    refused("rule_learning.tasks.data_sets[0].digest: must have 32 bytes", |m| {
        set_data_set(
            m,
            v1::DataSet { name: "a".to_owned(), digest: Some(vec![0; 31]), ..Default::default() },
        );
    });
    refused("evaluation.measure: must be set", |m| {
        let evaluation = v1::Evaluation { measure: Some(v1::Measure::default()), ..Default::default() };
        m.evaluation = Some(evaluation);
    });
    refused("evaluation.measure.points.points[0].weight: must be above 0", |m| {
        let update = Some(v1::measure_point::Update::At(1));
        let points = v1::MeasurePoints { points: vec![v1::MeasurePoint { update, weight: -1.0 }] };
        let measure = v1::Measure { kind: Some(v1::measure::Kind::Points(points)) };
        m.evaluation = Some(v1::Evaluation { measure: Some(measure), ..Default::default() });
    });
    refused("stop: must be set", |m| m.stop = None);
    refused("stop: must set at least one", |m| m.stop = Some(v1::Stop::default()));
    refused("stop.time_limit: must be whole seconds", |m| {
        m.stop.as_mut().unwrap().time_limit = Some(prost_types::Duration { seconds: 1, nanos: 5 });
    });
    refused("stop.time_limit: must be a duration", |m| {
        m.stop.as_mut().unwrap().time_limit = Some(prost_types::Duration { seconds: -1, nanos: 0 });
    });
    refused("stop.time_limit: must be from 1", |m| {
        m.stop.as_mut().unwrap().time_limit = Some(prost_types::Duration { seconds: 0, nanos: 0 });
    });
}

#[test]
fn a_spec_that_is_read_otherwise_is_refused() {
    let spec = RunSpec::try_from(minimal()).unwrap();
    let mut announcement = v1::RunAnnouncement::from(&spec);
    assert_eq!(announcement.clone().into_spec(), Ok(spec));
    // What a newer coordinator's field would do: the digest covers more than this program reads.
    announcement.spec.as_mut().unwrap().seed = Some(2);
    let error = announcement.into_spec().unwrap_err().to_string();
    assert!(error.starts_with("spec_digest: the coordinator announces"), "{error}");
}

#[test]
fn work_over_the_limits_is_refused() {
    let batch = || v1::Batch {
        run: run_name(RunId::new(1)),
        layout_digest: vec![0; 32],
        purpose: v1::EpisodePurpose::Search.into(),
        genomes: vec![v1::BatchGenome { candidate: 0, values: vec![0; 16] }],
        assignments: vec![v1::Assignment { genome: 0, task: 0 }],
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
    let nan = Some(Outcome::Evaluated(Evaluated { fitness: f64::NAN, extended: None }));
    refused("settlements[0].evaluated.fitness: a fitness must be finite", settlement(nan), 1);
    refused("settlements[0].outcome: must be set", settlement(None), 1);
    let fit = Some(Outcome::Evaluated(Evaluated { fitness: 1.0, extended: None }));
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
    let zero = Some(prost_types::Duration::default());
    let endless = v1::Welcome { worker: 1, heartbeat_interval: zero, ..Default::default() };
    check_refused::<Welcome, _>(endless, "heartbeat_interval: must be above 0");
    let heartbeat_interval = Some(prost_types::Duration { seconds: 1, nanos: 0 });
    let older = v1::Welcome { worker: 1, heartbeat_interval, ..Default::default() };
    assert_eq!(Welcome::try_from(older).unwrap().idle_heartbeat_interval, Duration::from_secs(1));
    let eternal = v1::Drain { within: Some(prost_types::Duration { seconds: 3601, nanos: 0 }) };
    let eternal = v1::AttachResponse { kind: Some(v1::attach_response::Kind::Drain(eternal)) };
    check_refused::<ToWorker, _>(eternal, "drain.within: must be above 0 and at most an hour");
    let heavy = v1::Run {
        weight: Some(f64::NAN),
        create_time: Some(prost_types::Timestamp::default()),
        ..Default::default()
    };
    check_refused::<RunProgress, _>(heavy, "weight: must be from 0.001 to 1000");
}

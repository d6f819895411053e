//! Random specs, sound and unsound: each is refused with one line that names a field, or runs within the memory that it
//! says it needs; none panics. A test of its own, because it counts the whole process's memory.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hebbian_learning::episode::EpisodeRunner;
use hebbian_learning::interrupt::Interrupt;
use hebbian_learning::training::Workspace;
use hebbian_shared::episode::{EpisodeKey, EpisodePurpose, Outcome};
use hebbian_shared::genome::Genome;
use hebbian_shared::id::{BlockIndex, CandidateIndex, GenerationIndex, RunId, TaskIndex};
use hebbian_shared::seed::{Purpose, fill_normal};
use hebbian_shared::spec::network::{InitialSynapses, SynapseDistribution};
use hebbian_shared::spec::rule::ablation::Ablation;
use hebbian_shared::spec::rule::multi_state::{
    Activation, BackwardUpdate, FanIn, Feedback, ForwardSynapseUpdate, Gates, GenomeScope, Hebbian,
    InitialScale, MultiStateSpec, Normalisation, Oja, Saturation, StateActivations,
};
use hebbian_shared::spec::task::{TaskFamily, TaskSpec};
use hebbian_shared::spec::{ResolvedSpec, RunSpec, schema};
use jsonschema::Validator;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::test_runner::TestRunner;
use proptest::{collection::vec, option};

static HELD: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: every call is passed on unchanged to the system's allocator, which keeps the contract.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let held = HELD.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        MOST.fetch_max(held, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Mostly a sound value, sometimes any.
fn mostly<T: std::fmt::Debug + Clone + 'static>(
    sound: impl Strategy<Value = T> + 'static,
    any: impl Strategy<Value = T> + 'static,
) -> BoxedStrategy<T> {
    prop_oneof![30 => sound, 1 => any].boxed()
}

fn activations(states: u8) -> impl Strategy<Value = StateActivations> {
    use Activation::{DIdentity, DRelu, DSigmoid, DTanh, Identity, Relu, ReluTanh, Sigmoid, Tanh};
    let one = || select(vec![Identity, Tanh, Relu, ReluTanh, Sigmoid, DIdentity, DTanh, DRelu, DSigmoid]);
    prop_oneof![
        one().prop_map(StateActivations::All),
        mostly(vec(one(), usize::from(states)), vec(one(), 0..20)).prop_map(StateActivations::PerState),
    ]
}

/// Rules that know their gradient, or nearly so.
fn extended(layers: usize) -> impl Strategy<Value = MultiStateSpec> {
    mostly(2..=6_u8, any::<u8>()).prop_flat_map(move |states| {
        let tied = mostly(
            Just((0..states).map(|state| state / 2).collect::<Vec<u8>>()),
            vec(any::<u8>(), usize::from(states)),
        );
        let reference = mostly(vec(1..40_u32, layers - 1), vec(any::<u32>(), 0..9));
        let fan_in = (reference, mostly(-2.0..2.0, any::<f64>()))
            .prop_map(|(reference, exponent)| FanIn { reference, exponent });
        let updates = select(vec![BackwardUpdate::Gated, BackwardUpdate::Gated, BackwardUpdate::Additive]);
        let options = (
            [(); 2].map(|()| activations(states)),
            updates,
            any::<[bool; 9]>(),
            option::weighted(0.3, tied),
            option::weighted(0.3, fan_in),
            mostly(Just(Feedback::SoftmaxDifference), Just(Feedback::Difference)),
            option::weighted(0.3, select(Ablation::OF_MULTI_STATE)),
        );
        options.prop_map(move |(activations, backward_update, flags, tied, fan_in, feedback, ablation)| {
            let [forward_activation, backward_activation] = activations;
            MultiStateSpec {
                states,
                gates: if flags[0] { Gates::PerState } else { Gates::Scalar },
                hebbian: if flags[1] { Hebbian::Sum } else { Hebbian::Mean },
                forward_activation,
                backward_activation,
                last_layer_activation: Activation::Identity.into(),
                backward_update,
                feedback,
                symmetric_synapses: true,
                genome: if flags[2] { GenomeScope::PerLayer } else { GenomeScope::Shared },
                updatable: flags[3].then(|| vec![true; layers]),
                synapse_mixing: flags[4],
                update_normalisation: flags[5],
                update_schedule: flags[6],
                readout: flags[7],
                loss_temperature: flags[8],
                initial_scale: tied.map(|tied_draws| InitialScale { tied_draws }),
                fan_in,
                ablation,
                ..MultiStateSpec::default()
            }
        })
    })
}

fn rule(layers: usize) -> impl Strategy<Value = MultiStateSpec> {
    prop_oneof![3 => of_any_network(layers), 1 => extended(layers)]
}

fn of_any_network(layers: usize) -> impl Strategy<Value = MultiStateSpec> {
    mostly(1..=6_u8, any::<u8>()).prop_flat_map(move |states| {
        let sound = if states == 1 {
            vec![Feedback::ReplaceState0]
        } else {
            vec![Feedback::ConcatGroundTruth, Feedback::Difference, Feedback::DifferenceTimesSecondState]
        };
        let feedback = mostly(
            select(sound),
            select(vec![Feedback::ReplaceState0, Feedback::SoftmaxDifference, Feedback::Difference]),
        );
        let updates = select(vec![
            BackwardUpdate::Additive,
            BackwardUpdate::Multiplicative,
            BackwardUpdate::MultiplicativeSecondState,
            BackwardUpdate::None,
        ]);
        let normalisation = any::<[bool; 3]>().prop_map(|[stored, in_activations, rescale]| Normalisation {
            stored,
            in_activations,
            rescale,
        });
        let oja = (mostly(-2.0..2.0, any::<f64>()), any::<bool>(), any::<bool>())
            .prop_map(|(scale, multiplier, synapse_weights)| Oja { scale, multiplier, synapse_weights });
        let saturation = mostly(0.0..2.0, any::<f64>()).prop_map(|epsilon| Saturation { epsilon });
        let forward = select(vec![
            ForwardSynapseUpdate::Off,
            ForwardSynapseUpdate::Off,
            ForwardSynapseUpdate::SharedGenome,
            ForwardSynapseUpdate::OwnGenome,
        ]);
        let options = (
            [(); 4].map(|()| activations(states)),
            feedback,
            updates,
            any::<[bool; 9]>(),
            option::weighted(0.3, normalisation),
            option::weighted(0.3, oja),
            option::weighted(0.3, saturation),
            forward,
            mostly(1..=3_u32, any::<u32>()),
            option::weighted(0.2, mostly(vec(any::<bool>(), layers), vec(any::<bool>(), 0..9))),
        );
        options.prop_map(
            move |(
                activations,
                feedback,
                backward_update,
                flags,
                normalisation,
                oja,
                saturation,
                forward,
                every,
                updatable,
            )| {
                let [forward_activation, backward_activation, last_layer_activation, synapse_activation] =
                    activations;
                MultiStateSpec {
                    states,
                    gates: if flags[0] { Gates::PerState } else { Gates::Scalar },
                    hebbian: if flags[1] { Hebbian::Sum } else { Hebbian::Mean },
                    forward_activation,
                    backward_activation,
                    last_layer_activation,
                    synapse_activation,
                    backward_update,
                    feedback,
                    symmetric_synapses: flags[2],
                    symmetric_states: flags[3],
                    zero_out_neurons: flags[4],
                    genome: if flags[5] { GenomeScope::PerLayer } else { GenomeScope::Shared },
                    normalisation,
                    oja,
                    saturation,
                    forward_synapse_update: forward,
                    forward_activations_in_synapse_update: flags[6] && flags[7],
                    supervised_every: every,
                    updatable,
                    evolve_initial_scale: flags[8],
                    ..MultiStateSpec::default()
                }
            },
        )
    })
}

fn spec() -> impl Strategy<Value = RunSpec> {
    let hidden = mostly(vec(1..=24_u32, 0..=3), vec(0..=5000_u32, 0..=20));
    hidden.prop_flat_map(|hidden| {
        let distribution = select(vec![
            SynapseDistribution::Uniform,
            SynapseDistribution::Normal,
            SynapseDistribution::Xavier,
        ]);
        (
            rule(hidden.len() + 2),
            Just(hidden),
            distribution,
            mostly(0.01..2.0, any::<f64>()),
            subsequence(TaskFamily::ALL.to_vec(), 1..=3),
            mostly(1..=90_u32, any::<u32>()),
            mostly(1..=200_u32, any::<u32>()),
            mostly(1..=4_u32, any::<u32>()),
        )
            .prop_map(
                |(rule, hidden, distribution, scale, families, batch_size, query_size, updates)| {
                    let mut spec = base();
                    let problem = spec.problem.rule_learning_mut().unwrap();
                    // Those of an evolved scale are drawn in one way.
                    if rule.initial_scale.is_none() {
                        problem.network.initial_synapses = InitialSynapses { distribution, scale };
                    }
                    problem.rule = rule.into();
                    problem.network.hidden = hidden;
                    problem.tasks = TaskSpec { batch_size, query_size, ..TaskSpec::of(families) };
                    spec.evaluation.unroll[0].updates = updates;
                    spec
                },
            )
    })
}

fn base() -> RunSpec {
    RunSpec::read(
        r#"
        name = "random"
        strategy = { kind = "cma-es", population_size = 4 }
        tasks = { families = ["xor"] }
        evaluation = { measure = "curve", unroll = [{ generations = 1, updates = 1 }] }
        stop = { generations = 1 }
        "#,
    )
    .unwrap()
}

/// Whether the spec was sound and its episode was run.
fn check(spec: &RunSpec, schema: &Validator) -> Result<bool, TestCaseError> {
    if let Err(error) = spec.validate() {
        let text = error.to_string();
        prop_assert!(!text.contains('\n') && text.contains(": "), "{}", text);
        return Ok(false);
    }
    prop_assert_eq!(&RunSpec::read(&spec.to_toml()).unwrap(), spec);
    let resolved = ResolvedSpec::from(spec.clone());
    prop_assert_eq!(&RunSpec::read(resolved.json()).unwrap(), spec);
    prop_assert!(schema.is_valid(&serde_json::from_str(resolved.json()).unwrap()), "{}", resolved.json());
    let problem = spec.problem.rule_learning().unwrap();
    let numbers = problem.network_numbers();
    let updates = f64::from(spec.evaluation.updates_max());
    if numbers * updates > 1e7 {
        return Ok(false);
    }
    let mut genome = Genome(vec![0.0; spec.layout().dimension()]);
    fill_normal(&mut spec.seed.derive(Purpose::Fingerprint, 0).rng(), &mut genome.0);
    let before = HELD.load(Ordering::Relaxed);
    MOST.store(before, Ordering::Relaxed);
    let runner = match EpisodeRunner::new(Arc::new(spec.clone())) {
        Ok(runner) => runner,
        Err(reason) => {
            prop_assert!(reason.contains("tasks.query_size"), "{}", reason);
            return Ok(false);
        }
    };
    let mut workspace = Workspace::new();
    for task in 0..problem.tasks.families.len() as u32 {
        let key = EpisodeKey {
            run: RunId::new(0),
            generation: GenerationIndex(0),
            purpose: EpisodePurpose::Search,
            block: BlockIndex(0),
            candidate: CandidateIndex(0),
            task: TaskIndex(task),
        };
        let outcome = runner.run(&mut workspace, &genome, &key, &Interrupt::new()).unwrap();
        prop_assert!(matches!(outcome, Outcome::Evaluated(_) | Outcome::Diverged), "{:?}", outcome);
    }
    // The networks of all families, whose buffers may have doubled, and their tasks' batches.
    let families = problem.tasks.families.len() as f64;
    let batches = f64::from(problem.tasks.batch_size) * updates + f64::from(problem.tasks.query_size);
    let allowed = families * 2.0 * 4.0 * (numbers + 74.0 * batches) + FIXED_BYTES;
    let held = (MOST.load(Ordering::Relaxed) - before) as f64;
    prop_assert!(held <= allowed, "{} bytes were held, {} are allowed", held, allowed);
    Ok(true)
}

/// What an episode needs whatever its spec: the embedded images, unpacked and as numbers, and packed blocks of products.
const FIXED_BYTES: f64 = 4e6;

/// One test function: a second one would allocate beside the first.
#[test]
fn specs_are_refused_with_a_reason_or_run_within_their_memory() {
    let (refused, run) = (Cell::new(0), Cell::new(0));
    let schema = jsonschema::validator_for(&serde_json::from_str(&schema()).unwrap()).unwrap();
    let config = ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() };
    let outcome = TestRunner::new(config).run(&spec(), |spec| {
        let count = if check(&spec, &schema)? { &run } else { &refused };
        count.set(count.get() + 1);
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    println!("{} run, {} refused", run.get(), refused.get());
    assert!(run.get() > 100 && refused.get() > 100, "{} run, {} refused", run.get(), refused.get());
}

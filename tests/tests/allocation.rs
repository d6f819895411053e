//! The inner loop allocates nothing after its first step, whatever the shape. A test program of its own, because its
//! allocator counts.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use hebbian_learning::episode::EpisodeRunner;
use hebbian_learning::interrupt::Interrupt;
use hebbian_learning::rule::multi_state::{Network, UpdateRule};
use hebbian_learning::training::Workspace;
use hebbian_shared::episode::{EpisodeKey, EpisodePurpose, Outcome, Wants};
use hebbian_shared::genome::{Genome, GenomeLayout};
use hebbian_shared::id::{BlockIndex, CandidateIndex, GenerationIndex, RunId, TaskIndex};
use hebbian_shared::seed::Seed;
use hebbian_shared::spec::RunSpec;
use hebbian_shared::spec::network::{InitialSynapses, NetworkSpec};
use hebbian_shared::spec::rule::RuleSpec;
use hebbian_shared::spec::rule::multi_state::{
    BackwardUpdate, Feedback, ForwardSynapseUpdate, MultiStateSpec, Normalisation, Oja, Saturation,
};

thread_local! {
    /// What this thread has allocated. The test harness allocates on its own thread while the test runs, so a count of
    /// the whole process would depend on which of the two is sooner.
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

/// What this thread has allocated so far.
fn allocated() -> usize {
    ALLOCATIONS.get()
}

struct Counting;

// SAFETY: every call is passed on unchanged to the system's allocator, which keeps the contract.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Allocations of a second episode: draw, updates and predictions.
fn check(options: &MultiStateSpec, layers: &[usize], batch: usize) -> usize {
    let layout = GenomeLayout::of_rule(options, &NetworkSpec::default());
    let rule = UpdateRule::<f32>::from_genome(&layout, &Genome(vec![0.0; layout.dimension()])).unwrap();
    let (inputs, outputs) = (layers[0], layers[layers.len() - 1]);
    let (input, target) = (vec![0.5; batch * inputs], vec![0.5; batch * outputs]);
    let query = vec![0.25; 256 * inputs];
    let mut prediction = vec![0.0; 256 * outputs];
    let mut network = Network::<f32>::new(options, layers, batch);
    let mut allocations = 0;
    for _ in 0..2 {
        let before = allocated();
        network.reset();
        network.initialise_synapses(&InitialSynapses::default(), Seed::new(1).unwrap());
        for _ in 0..5 {
            network.update(&rule, &input, &target, batch);
            network.predict(&rule, &query, 256, &mut prediction);
        }
        assert!(network.is_finite(), "{options:?}");
        allocations = allocated() - before;
    }
    allocations
}

/// Rules that take every way through the inner loop.
fn rules() -> Vec<MultiStateSpec> {
    let plain = MultiStateSpec { states: 2, ..MultiStateSpec::default() };
    let normalisation = |stored, in_activations| {
        let normalisation = Normalisation { stored, in_activations, ..Normalisation::default() };
        MultiStateSpec { normalisation: Some(normalisation), ..plain.clone() }
    };
    vec![
        plain.clone(),
        MultiStateSpec { symmetric_synapses: true, symmetric_states: true, ..plain.clone() },
        MultiStateSpec {
            oja: Some(Oja::default()),
            saturation: Some(Saturation::default()),
            ..plain.clone()
        },
        MultiStateSpec { oja: Some(Oja { synapse_weights: true, ..Oja::default() }), ..plain.clone() },
        normalisation(true, false),
        normalisation(false, true),
        MultiStateSpec { backward_update: BackwardUpdate::Multiplicative, ..plain.clone() },
        MultiStateSpec { forward_synapse_update: ForwardSynapseUpdate::OwnGenome, ..plain.clone() },
        MultiStateSpec {
            zero_out_neurons: false,
            forward_activations_in_synapse_update: true,
            feedback: Feedback::SoftmaxDifference,
            ..plain
        },
    ]
}

/// Allocations of the episode of a second candidate on a task, its genome read and its network drawn.
fn of_second_episode(rule: RuleSpec) -> usize {
    let mut spec = RunSpec::read(include_str!("../../examples/quickstart.toml")).unwrap();
    spec.problem.rule_learning_mut().unwrap().rule = rule;
    let mean = spec.layout().initial_mean();
    let genomes = [0.0, 0.125].map(|x| Genome(mean.0.iter().map(|mean| mean + x).collect()));
    let runner = EpisodeRunner::new(Arc::new(spec)).unwrap();
    let (mut workspace, interrupt) = (Workspace::new(), Interrupt::new());
    let mut allocations = 0;
    for (candidate, genome) in genomes.iter().enumerate() {
        let key = EpisodeKey {
            run: RunId::new(1),
            generation: GenerationIndex(0),
            purpose: EpisodePurpose::Search,
            block: BlockIndex(0),
            candidate: CandidateIndex(candidate as u32),
            task: TaskIndex(0),
        };
        let before = allocated();
        let outcome = runner.run(&mut workspace, genome, &key, &interrupt);
        allocations = allocated() - before;
        assert!(matches!(outcome, Some(Outcome::Evaluated(_))), "{outcome:?}");
    }
    allocations
}

/// Allocations of a second episode of a rule that knows its gradient, with or without it.
fn of_second_gradient(gradient: bool) -> usize {
    let spec = RunSpec::read(include_str!("../../examples/differentiable.toml")).unwrap();
    let genome = Genome(vec![0.125; spec.layout().dimension()]);
    let runner = EpisodeRunner::new(Arc::new(spec)).unwrap();
    let (mut workspace, interrupt) = (Workspace::new(), Interrupt::new());
    let mut allocations = 0;
    for _ in 0..2 {
        let key = EpisodeKey {
            run: RunId::new(1),
            generation: GenerationIndex(0),
            purpose: EpisodePurpose::Search,
            block: BlockIndex(0),
            candidate: CandidateIndex(0),
            task: TaskIndex(0),
        };
        let before = allocated();
        let outcome = runner.run_for(&mut workspace, &genome, &key, Wants { gradient }, &interrupt);
        allocations = allocated() - before;
        assert!(matches!(outcome, Some(Outcome::Evaluated(_))), "{outcome:?}");
    }
    allocations
}

#[test]
fn nothing_is_allocated_after_the_first_step() {
    for rule in RuleSpec::of_each_family() {
        let name = format!("{rule:?}");
        assert_eq!(of_second_episode(rule), 0, "{name}");
    }
    assert!(allocated() > 0, "the allocator is not counted");
    assert_eq!(of_second_gradient(false), 0, "a differentiable rule");
    assert_eq!(of_second_gradient(true), 1, "a gradient is what the episode gives away");
    for options in rules() {
        let name = format!("{options:?}");
        assert_eq!(check(&options, &[2, 20, 1], 64), 0, "thin layers: {name}");
        assert_eq!(check(&options, &[2, 10, 10, 1], 33), 0, "two hidden layers: {name}");
        assert_eq!(check(&options, &[64, 64, 10], 128), 0, "wide layers: {name}");
        // Every product of the first layer has more than one part.
        assert_eq!(check(&options, &[150, 140, 70], 140), 0, "large products: {name}");
    }
}

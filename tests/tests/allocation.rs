//! The inner loop allocates nothing after its first step, whatever the shape. A test of its own, because it counts the
//! whole process.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use hebbian_learning::rule::multi_state::{Network, UpdateRule};
use hebbian_shared::genome::{Genome, GenomeLayout};
use hebbian_shared::seed::Seed;
use hebbian_shared::spec::network::{InitialSynapses, NetworkSpec};
use hebbian_shared::spec::rule::{
    BackwardUpdate, Feedback, ForwardSynapseUpdate, Normalisation, Oja, RuleSpec, Saturation,
};

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: every call is passed on unchanged to the system's allocator, which keeps the contract.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
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
fn check(options: &RuleSpec, layers: &[usize], batch: usize) -> usize {
    let layout = GenomeLayout::of_rule(options, &NetworkSpec::default());
    let rule = UpdateRule::<f32>::from_genome(&layout, &Genome(vec![0.0; layout.dimension()])).unwrap();
    let (inputs, outputs) = (layers[0], layers[layers.len() - 1]);
    let (input, target) = (vec![0.5; batch * inputs], vec![0.5; batch * outputs]);
    let query = vec![0.25; 256 * inputs];
    let mut prediction = vec![0.0; 256 * outputs];
    let mut network = Network::<f32>::new(options, layers, batch);
    let mut allocations = 0;
    for _ in 0..2 {
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        network.reset();
        network.initialise_synapses(&InitialSynapses::default(), Seed::new(1).unwrap());
        for _ in 0..5 {
            network.update(&rule, &input, &target, batch);
            network.predict(&rule, &query, 256, &mut prediction);
        }
        assert!(network.is_finite(), "{options:?}");
        allocations = ALLOCATIONS.load(Ordering::Relaxed) - before;
    }
    allocations
}

/// Rules that take every way through the inner loop.
fn rules() -> Vec<RuleSpec> {
    let plain = RuleSpec { states: 2, ..RuleSpec::default() };
    let normalisation = |stored, in_activations| {
        let normalisation = Normalisation { stored, in_activations, ..Normalisation::default() };
        RuleSpec { normalisation: Some(normalisation), ..plain.clone() }
    };
    vec![
        plain.clone(),
        RuleSpec { symmetric_synapses: true, symmetric_states: true, ..plain.clone() },
        RuleSpec { oja: Some(Oja::default()), saturation: Some(Saturation::default()), ..plain.clone() },
        RuleSpec { oja: Some(Oja { synapse_weights: true, ..Oja::default() }), ..plain.clone() },
        normalisation(true, false),
        normalisation(false, true),
        RuleSpec { backward_update: BackwardUpdate::Multiplicative, ..plain.clone() },
        RuleSpec { forward_synapse_update: ForwardSynapseUpdate::OwnGenome, ..plain.clone() },
        RuleSpec {
            zero_out_neurons: false,
            forward_activations_in_synapse_update: true,
            feedback: Feedback::SoftmaxDifference,
            ..plain
        },
    ]
}

/// One test function: a second one would allocate beside the first.
#[test]
fn nothing_is_allocated_after_the_first_step() {
    assert!(ALLOCATIONS.load(Ordering::Relaxed) > 0, "the allocator is not counted");
    for options in rules() {
        let name = format!("{options:?}");
        assert_eq!(check(&options, &[2, 20, 1], 64), 0, "thin layers: {name}");
        assert_eq!(check(&options, &[2, 10, 10, 1], 33), 0, "two hidden layers: {name}");
        assert_eq!(check(&options, &[64, 64, 10], 128), 0, "wide layers: {name}");
        // Every product of the first layer has more than one part.
        assert_eq!(check(&options, &[150, 140, 70], 140), 0, "large products: {name}");
    }
}

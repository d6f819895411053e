//! Networks of random rules, options and shapes against the definition: `f64` to rounding, `f32` within its tolerance.

use std::cell::Cell;
use std::ops::RangeInclusive;

use hebbian_learning::rule::multi_state::{Network, Plan, Real, SynapseRule, UpdateRule};
use hebbian_shared::seed::{Seed, fill_normal, uniform_between};
use hebbian_shared::spec::network::{InitialSynapses, SynapseDistribution};
use hebbian_shared::spec::rule::RuleOptions;
use hebbian_shared::spec::rule::multi_state::{
    Activation, BackwardUpdate, Feedback, ForwardSynapseUpdate, GenomeScope, Hebbian, MultiStateSpec,
    Normalisation, Oja, Saturation, StateActivations,
};
use hebbian_tests::reference::Reference;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use proptest::{collection::vec, option};

/// A network to be checked: options, layer sizes, examples and the seed of everything else.
#[derive(Clone, Debug)]
struct Case {
    options: MultiStateSpec,
    sizes: Vec<usize>,
    batch: usize,
    seed: u64,
}

fn activations(states: usize) -> impl Strategy<Value = StateActivations> {
    use Activation::{DIdentity, DSigmoid, DTanh, Identity, Relu, ReluTanh, Sigmoid, Tanh};
    // The derivative of relu is left out: at an edge, rounding decides.
    let one = || select(vec![Identity, Tanh, Relu, ReluTanh, Sigmoid, DIdentity, DTanh, DSigmoid]);
    prop_oneof![
        one().prop_map(StateActivations::All),
        vec(one(), states).prop_map(StateActivations::PerState),
    ]
}

fn options(states: usize, layers: usize) -> impl Strategy<Value = MultiStateSpec> {
    let feedbacks = if states == 1 {
        vec![Feedback::ReplaceState0]
    } else {
        vec![
            Feedback::ConcatGroundTruth,
            Feedback::ReplaceState0,
            Feedback::Difference,
            Feedback::DifferenceTimesSecondState,
            Feedback::SoftmaxDifference,
        ]
    };
    let first = (
        select(vec![Hebbian::Mean, Hebbian::Sum]),
        [(); 3].map(|()| activations(states)),
        select(vec![Activation::Identity, Activation::Tanh]),
        select(vec![
            BackwardUpdate::Additive,
            BackwardUpdate::Multiplicative,
            BackwardUpdate::MultiplicativeSecondState,
            BackwardUpdate::None,
        ]),
        select(feedbacks),
        any::<[bool; 6]>(),
    );
    let normalisation = (any::<bool>(), any::<bool>(), any::<bool>())
        .prop_map(|(a, b, rescale)| Normalisation { stored: a, in_activations: b || !a, rescale });
    let oja = (-1.0..1.0, any::<bool>(), any::<bool>())
        .prop_map(|(scale, multiplier, synapse_weights)| Oja { scale, multiplier, synapse_weights });
    let saturation = (0.0..2.0).prop_map(|epsilon| Saturation { epsilon });
    let forward = select(vec![
        ForwardSynapseUpdate::Off,
        ForwardSynapseUpdate::SharedGenome,
        ForwardSynapseUpdate::OwnGenome,
    ]);
    let later = (
        option::of(normalisation),
        option::of(oja),
        option::of(saturation),
        forward,
        1..=3_u32,
        option::weighted(0.3, vec(any::<bool>(), layers)),
    );
    (first, later).prop_map(move |(first, later)| {
        let (hebbian, activations, synapse_activation, backward_update, feedback, flags) = first;
        let (normalisation, oja, saturation, forward_synapse_update, supervised_every, updatable) = later;
        let [forward_activation, backward_activation, last_layer_activation] = activations;
        MultiStateSpec {
            states: states as u8,
            hebbian,
            forward_activation,
            backward_activation,
            last_layer_activation,
            synapse_activation: synapse_activation.into(),
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
            updatable,
            ..MultiStateSpec::default()
        }
    })
}

/// Networks whose layers and batches have such sizes.
fn cases(sizes: RangeInclusive<usize>, batches: RangeInclusive<usize>) -> impl Strategy<Value = Case> {
    let shape = (1..=4_usize, vec(sizes, 2..=5), batches, any::<u32>());
    shape.prop_flat_map(|(states, sizes, batch, seed)| {
        options(states, sizes.len()).prop_map(move |options| Case {
            options,
            sizes: sizes.clone(),
            batch,
            seed: u64::from(seed),
        })
    })
}

/// A rule with normal parameters, exact in f32, small enough that most networks stay small.
fn random_rule(case: &Case) -> UpdateRule<f64> {
    let k = usize::from(case.options.states);
    let layers = if case.options.genome == GenomeScope::PerLayer { case.sizes.len() - 1 } else { 1 };
    let mut rng = Seed::new(case.seed).unwrap().rng();
    let mut normal = |length: usize, mean: f64, scale: f64| -> Vec<f64> {
        let mut values = vec![0.0; length];
        fill_normal(&mut rng, &mut values);
        values.into_iter().map(|x| f64::from((mean + x * scale) as f32)).collect()
    };
    let (square, gate) = (layers * k * k, layers * k);
    let mut synapse = || SynapseRule {
        hebbian_pre: normal(square, 0.0, 0.5),
        hebbian_post: normal(square, 0.0, 0.5),
        keep: normal(gate, 0.95, 0.05),
        update: normal(gate, 0.0, 0.05),
        oja_multiplier: normal(gate, 0.0, 1.0),
        saturation: normal(gate, 0.0, 1.0),
    };
    let (first, second) = (synapse(), synapse());
    let own = case.options.forward_synapse_update == ForwardSynapseUpdate::OwnGenome;
    UpdateRule {
        states: k,
        layers,
        forward_transform: normal(square, 0.0, 0.5),
        backward_transform: normal(square, 0.0, 0.5),
        neuron_keep: normal(gate, 0.5, 0.5),
        neuron_update: normal(gate, 0.5, 0.5),
        synapse: first,
        forward_synapse: own.then_some(second),
        rescale_to: normal(k, 1.0, 0.3),
        initial_synapse_scale: 1.0,
    }
}

/// The same rule in another precision.
fn converted<T: Real>(rule: &UpdateRule<f64>) -> UpdateRule<T> {
    let to = |values: &[f64]| values.iter().map(|&x| T::from_f64(x)).collect::<Vec<T>>();
    let synapse = |rule: &SynapseRule<f64>| SynapseRule {
        hebbian_pre: to(&rule.hebbian_pre),
        hebbian_post: to(&rule.hebbian_post),
        keep: to(&rule.keep),
        update: to(&rule.update),
        oja_multiplier: to(&rule.oja_multiplier),
        saturation: to(&rule.saturation),
    };
    UpdateRule {
        states: rule.states,
        layers: rule.layers,
        forward_transform: to(&rule.forward_transform),
        backward_transform: to(&rule.backward_transform),
        neuron_keep: to(&rule.neuron_keep),
        neuron_update: to(&rule.neuron_update),
        synapse: synapse(&rule.synapse),
        forward_synapse: rule.forward_synapse.as_ref().map(synapse),
        rescale_to: to(&rule.rescale_to),
        initial_synapse_scale: rule.initial_synapse_scale,
    }
}

/// Numbers in +-1, exact in f32.
fn batch_of(seed: u64, length: usize) -> Vec<f64> {
    let mut rng = Seed::new(seed).unwrap().rng();
    (0..length).map(|_| f64::from(uniform_between(&mut rng, -1.0, 1.0) as f32)).collect()
}

/// Beyond this size, f32 cannot be expected to follow f64.
const LARGE: f64 = 30.0;

/// Four updates of three networks (everything computed, only what is read, the definition) and predictions between
/// them. False if the numbers grew too large to go on.
fn check<T: Real>(case: &Case, tolerance: f64) -> Result<bool, TestCaseError> {
    let Case { options, sizes, batch, seed } = case;
    prop_assert_eq!(options.validate(), Ok(()));
    let (rule, batch) = (random_rule(case), *batch);
    let own = converted::<T>(&rule);
    let mut whole = Network::<T>::with_plan(options, sizes, batch, Plan::full(options, sizes.len()));
    let mut lean = Network::<T>::new(options, sizes, batch);
    let initial = InitialSynapses { distribution: SynapseDistribution::Uniform, scale: 0.5 };
    for network in [&mut whole, &mut lean] {
        network.initialise_synapses(&initial, Seed::new(*seed).unwrap());
    }
    let mut reference = Reference::of(&whole, options, batch);
    let (inputs, outputs) = (sizes[0], sizes[sizes.len() - 1]);
    let to = |values: &[f64]| values.iter().map(|&x| T::from_f64(x)).collect::<Vec<T>>();
    for update in 0..4 {
        let input = batch_of(seed * 100 + update, inputs * batch);
        let target = batch_of(seed * 100 + 50 + update, outputs * batch);
        reference.update(&rule, &input, &target, batch);
        whole.update(&own, &to(&input), &to(&target), batch);
        lean.update(&own, &to(&input), &to(&target), batch);
        let close = |what: &str, found: &[T], expected: Vec<f64>| {
            prop_assert_eq!(found.len(), expected.len());
            for (place, (found, expected)) in found.iter().zip(&expected).enumerate() {
                let allowed = tolerance * (1.0 + expected.abs());
                prop_assert!(
                    (found.to_f64() - expected).abs() <= allowed,
                    "{} [{}] after update {}: {:?}, not {}",
                    what,
                    place,
                    update,
                    found,
                    expected
                );
            }
            Ok(())
        };
        let mut everything = Vec::new();
        for layer in 0..sizes.len() {
            for state in 0..rule.states {
                everything.extend(reference.neurons(layer, state));
                if layer + 1 < sizes.len() {
                    everything.extend(reference.forward_synapses(layer, state));
                    everything.extend(reference.backward_synapses(layer, state));
                }
            }
        }
        if !everything.iter().all(|x| x.abs() < LARGE) {
            return Ok(false);
        }
        for layer in 0..sizes.len() {
            for state in 0..rule.states {
                let expected: Vec<f64> = reference.neurons(layer, state).collect();
                close("neuron", whole.neurons(layer, state), expected)?;
                if layer + 1 == sizes.len() {
                    continue;
                }
                let expected: Vec<f64> = reference.forward_synapses(layer, state).collect();
                close("forward synapse", whole.forward_synapses(layer, state), expected.clone())?;
                close("lean forward synapse", lean.forward_synapses(layer, state), expected)?;
                let expected: Vec<f64> = reference.backward_synapses(layer, state).collect();
                close("backward synapse", whole.backward_synapses(layer, state).unwrap(), expected)?;
            }
        }
        let query = batch_of(seed * 100 + 80 + update, inputs * 5);
        let expected = reference.predict(&rule, &query, 5);
        for network in [&mut whole, &mut lean] {
            let mut prediction = vec![T::ZERO; 5 * outputs];
            network.predict(&own, &to(&query), 5, &mut prediction);
            close("prediction", &prediction, expected.clone())?;
        }
        prop_assert!(whole.is_finite() && lean.is_finite());
    }
    Ok(true)
}

/// Random cases, of which most must stay small to the end.
fn run<T: Real>(count: u32, cases: impl Strategy<Value = Case>, tolerance: f64) {
    let config = ProptestConfig { cases: count, failure_persistence: None, ..ProptestConfig::default() };
    // The same cases every time: at the edge of a tolerance, luck should not decide.
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let (all, finished) = (Cell::new(0), Cell::new(0));
    let outcome = TestRunner::new_with_rng(config, rng).run(&cases, |case| {
        all.set(all.get() + 1);
        finished.set(finished.get() + u32::from(check::<T>(&case, tolerance)?));
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    println!("{} of {} networks stayed small", finished.get(), all.get());
    assert!(2 * finished.get() > all.get(), "only {} of {} networks stayed small", finished.get(), all.get());
}

#[test]
fn networks_in_f64_equal_the_definition() {
    run::<f64>(400, cases(1..=7, 1..=20), 1e-9);
}

#[test]
fn networks_in_f32_equal_the_definition_within_their_tolerance() {
    run::<f32>(400, cases(1..=7, 1..=20), 1e-3);
}

#[test]
fn networks_that_fill_blocks_equal_the_definition() {
    run::<f64>(12, cases(6..=28, 8..=40), 1e-9);
}

//! Gradient descent against the update rule that is gradient descent: two programs that share no line of arithmetic.

use hebbian_shared::spec::network::{InitialSynapses, SynapseDistribution};
use hebbian_shared::spec::rule::multi_state::MultiStateSpec;
use hebbian_shared::spec::start::{PerLayer, StartSpec};
use hebbian_shared::spec::task::{TaskFamily, TaskSpec};

use super::*;
use crate::rule::multi_state::differentiable::{DifferentiableNetwork, DifferentiableRule};
use crate::rule::multi_state::{self, UpdateRule};
use crate::task::data_set::NoDataSets;
use crate::task::{TaskSet, distribution};

fn start(learning_rate: f64) -> StartSpec {
    StartSpec { learning_rate: Some(PerLayer::All(learning_rate)), ..StartSpec::default() }
}

/// Fifty updates of both on the same batches from the same weights.
fn check(family: TaskFamily, activation: HiddenActivation, hidden: &[u32], learning_rate: f64) {
    let network_spec = NetworkSpec { hidden: hidden.to_vec(), ..NetworkSpec::default() };
    let tasks = TaskSpec::of(vec![family]);
    let seed = Seed::new(11).unwrap();
    let task = distribution(family, &tasks, TaskSet::Training, &NoDataSets).unwrap().sample(seed).unwrap();
    let sizes = task.sizes();
    let layers = network_spec.layer_sizes(0, sizes.inputs as u32, sizes.outputs as u32);
    let shape = Shape { layers: layers.clone(), batch_max: sizes.support.max(sizes.query) };

    let options = MultiStateSpec::backpropagation(activation);
    let layout = options.layout(&network_spec);
    let genome = options.backpropagation_genome(&network_spec, &start(learning_rate)).unwrap();
    let rule = UpdateRule::<f32>::from_genome(&layout, &genome).unwrap();
    let mut network = multi_state::Network::<f32>::new(&options, &layers, shape.batch_max);
    let initial = InitialSynapses { distribution: SynapseDistribution::Xavier, scale: 1.0 };
    network.initialise_synapses(&initial, seed);

    let descent = GradientDescentSpec {
        optimizer: Optimizer::Sgd,
        hidden_activation: activation,
        initial_weights: InitialWeights::Xavier,
        loss: Loss::Squared,
        update_schedule: false,
    };
    let mut learner = learner(descent, learning_rate);
    learner.start(&shape, seed);
    let parameters = learner.networks.current_mut().perceptron.parameters_and_gradient().0;
    for (place, (_, weight)) in weights(&network, &layers).into_iter().enumerate() {
        parameters[place] = weight;
    }
    let before = parameters.to_vec();

    let mut buffers = (vec![0.0; sizes.support * sizes.inputs], vec![0.0; sizes.support * sizes.outputs]);
    for update in 0..50 {
        task.support(update, &mut buffers.0, &mut buffers.1);
        network.update(&rule, &buffers.0, &buffers.1, sizes.support);
        learner.update(&ExampleBatch { inputs: &buffers.0, targets: &buffers.1, examples: sizes.support });
    }
    let parameters = learner.networks.current().perceptron.parameters();
    let mut moved = 0.0_f32;
    for (place, (name, weight)) in weights(&network, &layers).into_iter().enumerate() {
        let difference = (weight - parameters[place]).abs();
        assert!(difference <= 1e-4, "{family} {name}: {weight}, not {}", parameters[place]);
        moved = moved.max((weight - before[place]).abs());
    }
    assert!(moved > 0.05, "{family}: no weight moved by more than {moved}");

    let mut query = (vec![0.0; sizes.query * sizes.inputs], vec![0.0; sizes.query * sizes.outputs]);
    task.query(&mut query.0, &mut query.1);
    let mut prediction = vec![0.0; sizes.query * sizes.outputs];
    network.predict(&rule, &query.0, sizes.query, &mut prediction);
    let of_rule = objective::accuracy(&prediction, &query.1, sizes.outputs);
    learner.predict(&query.0, sizes.query, &mut prediction);
    let of_learner = objective::accuracy(&prediction, &query.1, sizes.outputs);
    let samples = (of_rule - of_learner).abs() * sizes.query as f64;
    assert!(samples <= 1.0 + 1e-9, "{family}: accuracies {of_rule} and {of_learner}");
}

/// Fifty updates of the rule in pairs, of cross-entropy. Each pair has a perceptron: one alone is the baseline's; of several, which
/// learn from the error of their sum, the softmax is the rule's.
fn check_pairs(pairs: u8, activation: HiddenActivation, hidden: &[u32], learning_rate: f64) {
    let network_spec = NetworkSpec { hidden: hidden.to_vec(), ..NetworkSpec::default() };
    let tasks = TaskSpec::of(vec![TaskFamily::Digits]);
    let seed = Seed::new(12).unwrap();
    let distribution = distribution(TaskFamily::Digits, &tasks, TaskSet::Training, &NoDataSets).unwrap();
    let task = distribution.sample(seed).unwrap();
    let sizes = task.sizes();
    let layers = network_spec.layer_sizes(0, sizes.inputs as u32, sizes.outputs as u32);
    let options =
        MultiStateSpec { initial_scale: None, ..MultiStateSpec::backpropagation_in_pairs(pairs, activation) };
    let layout = options.layout(&network_spec);
    let genome = options.backpropagation_genome(&network_spec, &start(learning_rate)).unwrap();
    let mut rule = DifferentiableRule::<f32>::default();
    rule.read(options.backward_update, &layout, &genome).unwrap();
    let mut heads: Vec<Perceptron> = (0..pairs)
        .map(|head| {
            let mut perceptron = Perceptron::new(&layers, sizes.support, activation, Loss::Logistic);
            perceptron.initialise(InitialWeights::Xavier, seed.derive(Purpose::Synapses, u64::from(head)));
            perceptron
        })
        .collect();
    let mut network = DifferentiableNetwork::<f32>::new(&options, &layers, sizes.support);
    network.start_from_synapses(|layer, state| synapses_of(&heads[state / 2], &layers, layer), (0, 0));
    let (mut inputs, mut targets) =
        (vec![0.0; sizes.support * sizes.inputs], vec![0.0; sizes.support * sizes.outputs]);
    for update in 0..50 {
        task.support(update, &mut inputs, &mut targets);
        let mut columns = Columns::default();
        columns.load(sizes.support, &inputs, &targets);
        for head in &mut heads {
            head.forward(&columns);
        }
        let mut sum = vec![0.0; heads[0].outputs().len()];
        for head in &heads {
            sum.iter_mut().zip(head.outputs()).for_each(|(sum, output)| *sum += output);
        }
        for head in &mut heads {
            head.set_outputs(&sum);
            head.backward(&columns);
            let (parameters, gradient) = head.parameters_and_gradient();
            parameters.iter_mut().zip(gradient).for_each(|(w, g)| *w -= learning_rate as f32 * g);
        }
        let shares: Vec<f32> = targets.iter().map(|target| 0.5 * (target + 1.0)).collect();
        network.update(&rule, &inputs, &shares, sizes.support);
    }
    let mut moved = 0.0_f32;
    for layer in 0..layers.len() - 1 {
        for state in 0..usize::from(2 * pairs) {
            let expected = synapses_of(&heads[state / 2], &layers, layer);
            for (found, expected) in network.synapses(layer, state).iter().zip(expected) {
                assert!((found - expected).abs() <= 1e-4, "{layer}, {state}: {found}, not {expected}");
                moved = moved.max(found.abs());
            }
        }
    }
    assert!(moved > 0.5, "the largest weight is {moved}");
}

/// A perceptron's weights as synapses `[n + 1, m]`.
fn synapses_of(perceptron: &Perceptron, layers: &[usize], layer: usize) -> Vec<f32> {
    let of = |pair: &[usize]| (pair[0] + 1) * pair[1];
    let begin: usize = layers.windows(2).take(layer).map(of).sum();
    let (inputs, outputs) = (layers[layer] + 1, layers[layer + 1]);
    let weights = &perceptron.parameters()[begin..begin + inputs * outputs];
    (0..inputs * outputs).map(|place| weights[place % outputs * inputs + place / outputs]).collect()
}

#[test]
fn the_backpropagation_genome_in_pairs_is_descent_of_perceptrons_that_add_up() {
    check_pairs(1, HiddenActivation::Tanh, &[32], 0.1);
    check_pairs(1, HiddenActivation::Relu, &[16, 12], 0.05);
    check_pairs(2, HiddenActivation::Tanh, &[20], 0.1);
    check_pairs(2, HiddenActivation::Relu, &[16, 12], 0.05);
}

/// The forward synapses of state 0 in the order of the perceptron's parameters, each with its place.
fn weights(network: &multi_state::Network<f32>, layers: &[usize]) -> Vec<(String, f32)> {
    let mut weights = Vec::new();
    for (layer, pair) in layers.windows(2).enumerate() {
        let synapses = network.forward_synapses(layer, 0);
        for j in 0..pair[1] {
            for i in 0..=pair[0] {
                weights.push((format!("layer {layer} [{i}, {j}]"), synapses[i * pair[1] + j]));
            }
        }
    }
    weights
}

#[test]
fn the_backpropagation_genome_is_gradient_descent() {
    check(TaskFamily::Circle, HiddenActivation::Tanh, &[20], 0.3);
    check(TaskFamily::Circle, HiddenActivation::Relu, &[12, 8], 0.1);
    check(TaskFamily::Digits, HiddenActivation::Tanh, &[32], 0.1);
    check(TaskFamily::Digits, HiddenActivation::Relu, &[32], 0.05);
}

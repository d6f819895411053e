//! Gradient descent against the update rule that is gradient descent: two programs that share no line of arithmetic.

use hebbian_shared::spec::network::{InitialSynapses, SynapseDistribution};
use hebbian_shared::spec::task::{TaskFamily, TaskSpec};

use super::*;
use crate::rule::multi_state::{self, UpdateRule, backpropagation};
use crate::task::data_set::NoDataSets;
use crate::task::{TaskSet, distribution};

/// Fifty updates of both on the same batches from the same weights.
fn check(family: TaskFamily, activation: HiddenActivation, hidden: &[u32], learning_rate: f64) {
    let network_spec = NetworkSpec { hidden: hidden.to_vec(), ..NetworkSpec::default() };
    let tasks = TaskSpec::of(vec![family]);
    let seed = Seed::new(11).unwrap();
    let task = distribution(family, &tasks, TaskSet::Training, &NoDataSets).unwrap().sample(seed).unwrap();
    let sizes = task.sizes();
    let layers = network_spec.layer_sizes(0, sizes.inputs as u32, sizes.outputs as u32);
    let shape = Shape { layers: layers.clone(), batch_max: sizes.support.max(sizes.query) };

    let options = backpropagation::options(activation);
    let layout = options.layout(&network_spec);
    let genome = backpropagation::genome(learning_rate);
    let rule = UpdateRule::<f32>::from_genome(&layout, &genome).unwrap();
    let mut network = multi_state::Network::<f32>::new(&options, &layers, shape.batch_max);
    let initial = InitialSynapses { distribution: SynapseDistribution::Xavier, scale: 1.0 };
    network.initialise_synapses(&initial, seed);

    let descent = GradientDescentSpec {
        optimizer: Optimizer::Sgd,
        hidden_activation: activation,
        initial_weights: InitialWeights::Xavier,
        loss: Loss::Squared,
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
        learner.update(&Batch { inputs: &buffers.0, targets: &buffers.1, examples: sizes.support });
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

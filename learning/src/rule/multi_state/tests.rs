//! Networks against a reference that follows the definition line by line.

use hebbian_shared::seed::{Purpose, fill_normal, uniform_between};
use hebbian_shared::spec::network::SynapseDistribution;
use hebbian_shared::spec::rule::multi_state::{Feedback, Hebbian};
use proptest::prelude::*;

use super::transpose::transpose;
use super::*;

/// `x[layer][state][neuron][example]` of the definition, in f64, computed without any kernel.
struct Reference {
    options: MultiStateSpec,
    sizes: Vec<usize>,
    /// `[layer][state][source][destination]`, the bias last among the sources.
    forward: Vec<Vec<Vec<Vec<f64>>>>,
    /// `[layer][state][source][destination]`, the bias last among the destinations.
    backward: Vec<Vec<Vec<Vec<f64>>>>,
    neurons: Vec<Vec<Vec<Vec<f64>>>>,
}

fn activation(activation: Activation, x: f64) -> f64 {
    let sigmoid = 1.0 / (1.0 + libm::exp(-x));
    match activation {
        Activation::Identity => x,
        Activation::Tanh => libm::tanh(x),
        Activation::Relu => x.max(0.0),
        Activation::ReluTanh => libm::tanh(x).max(0.0),
        Activation::Sigmoid => sigmoid,
        Activation::DIdentity => 1.0,
        Activation::DTanh => 1.0 - libm::tanh(x) * libm::tanh(x),
        Activation::DRelu => f64::from(u8::from(x > 0.0)),
        Activation::DSigmoid => sigmoid * (1.0 - sigmoid),
    }
}

impl Reference {
    /// A copy of `network`'s synapses; neurons are zero.
    fn of(network: &Network<f32>, batch: usize) -> Self {
        let (sizes, k) = (network.layer_sizes(), network.states());
        let rows = |values: &[f32], columns: usize| -> Vec<Vec<f64>> {
            values.chunks_exact(columns).map(|row| row.iter().map(|&x| f64::from(x)).collect()).collect()
        };
        let pairs = sizes.windows(2).enumerate();
        let forward = pairs
            .clone()
            .map(|(layer, pair)| (0..k).map(|o| rows(network.forward_synapses(layer, o), pair[1])).collect())
            .collect();
        let backward = pairs
            .map(|(layer, pair)| {
                (0..k).map(|o| rows(network.backward_synapses(layer, o).unwrap(), pair[0] + 1)).collect()
            })
            .collect();
        let neurons = sizes.iter().map(|&n| vec![vec![vec![0.0; batch]; n]; k]).collect();
        Self { options: network.options.clone(), sizes, forward, backward, neurons }
    }

    fn forward_pass(&mut self, rule: &UpdateRule<f64>, input: &[f32], batch: usize) {
        let (k, last) = (rule.states, self.sizes.len() - 1);
        for layer in &mut self.neurons {
            if self.options.zero_out_neurons {
                layer.iter_mut().flatten().flatten().for_each(|x| *x = 0.0);
            }
        }
        for o in 0..k {
            for i in 0..self.sizes[0] {
                for b in 0..batch {
                    self.neurons[0][o][i][b] =
                        if o == 0 { f64::from(input[b * self.sizes[0] + i]) } else { 0.0 };
                }
            }
        }
        for layer in 0..last {
            let activations = if layer + 1 == last {
                &self.options.last_layer_activation
            } else {
                &self.options.forward_activation
            };
            for b in 0..batch {
                for o in 0..k {
                    for j in 0..self.sizes[layer + 1] {
                        let mut u = 0.0;
                        for i in 0..=self.sizes[layer] {
                            for d in 0..k {
                                u += self.with_bias(layer, d, i, b)
                                    * rule.forward_transform[d * k + o]
                                    * self.forward[layer][o][i][j];
                            }
                        }
                        let x = self.neurons[layer + 1][o][j][b];
                        let v = x * rule.neuron_keep[o] + u * rule.neuron_update[o];
                        self.neurons[layer + 1][o][j][b] = activation(activations.of_state(o), v);
                    }
                }
            }
        }
    }

    fn with_bias(&self, layer: usize, state: usize, neuron: usize, example: usize) -> f64 {
        if neuron == self.sizes[layer] { 1.0 } else { self.neurons[layer][state][neuron][example] }
    }

    fn backward_pass(&mut self, rule: &UpdateRule<f64>, target: &[f32], batch: usize) {
        let (k, last) = (rule.states, self.sizes.len() - 1);
        let outputs = self.sizes[last];
        assert_eq!(self.options.feedback, Feedback::ConcatGroundTruth);
        for j in 0..outputs {
            for b in 0..batch {
                self.neurons[last][1][j][b] = f64::from(target[b * outputs + j]);
                for o in 2..k {
                    self.neurons[last][o][j][b] = 0.0;
                }
            }
        }
        for layer in (1..last).rev() {
            for b in 0..batch {
                for o in 0..k {
                    for i in 0..self.sizes[layer] {
                        let mut u = 0.0;
                        for j in 0..self.sizes[layer + 1] {
                            for d in 0..k {
                                u += self.neurons[layer + 1][d][j][b]
                                    * rule.backward_transform[d * k + o]
                                    * self.backward[layer][o][j][i];
                            }
                        }
                        let x = self.neurons[layer][o][i][b];
                        let v = x * rule.neuron_keep[o] + u * rule.neuron_update[o];
                        self.neurons[layer][o][i][b] =
                            activation(self.options.backward_activation.of_state(o), v);
                    }
                }
            }
        }
        let weight = if self.options.hebbian == Hebbian::Mean { 1.0 / batch as f64 } else { 1.0 };
        for layer in 0..last {
            let (inputs, outputs) = (self.sizes[layer], self.sizes[layer + 1]);
            let (mut forward, mut backward) = (self.forward[layer].clone(), self.backward[layer].clone());
            for o in 0..k {
                for i in 0..=inputs {
                    for j in 0..outputs {
                        let (mut d_forward, mut d_backward) = (0.0, 0.0);
                        for b in 0..batch {
                            let mix = |of: &dyn Fn(usize) -> f64, factor: &dyn Fn(usize) -> f64| -> f64 {
                                (0..k).map(|d| of(d) * factor(d)).sum()
                            };
                            let pre = |d: usize| rule.synapse.hebbian_pre[d * k + o];
                            let post = |d: usize| rule.synapse.hebbian_post[o * k + d];
                            let below = |d: usize| self.with_bias(layer, d, i, b);
                            let above = |d: usize| self.neurons[layer + 1][d][j][b];
                            d_forward += mix(&below, &pre) * mix(&above, &post);
                            d_backward += mix(&above, &pre) * mix(&below, &post);
                        }
                        let activations = &self.options.synapse_activation;
                        let learn = |w: &mut f64, d: f64| {
                            let new = rule.synapse.keep[o] * *w + rule.synapse.update[o] * weight * d;
                            *w = activation(activations.of_state(o), new);
                        };
                        learn(&mut forward[o][i][j], d_forward);
                        learn(&mut backward[o][j][i], d_backward);
                    }
                }
            }
            (self.forward[layer], self.backward[layer]) = (forward, backward);
        }
    }
}

fn seed(number: u64) -> Seed {
    Seed::new(number).unwrap()
}

/// A rule with normal parameters, small enough that networks stay finite.
fn random_rule(number: u64, k: usize) -> UpdateRule<f64> {
    let mut rng = seed(number).rng();
    let mut normal = |length: usize, scale: f64| -> Vec<f64> {
        let mut values = vec![0.0; length];
        fill_normal(&mut rng, &mut values);
        values.into_iter().map(|x| f64::from((x * scale) as f32)).collect()
    };
    let (forward_transform, backward_transform) = (normal(k * k, 0.5), normal(k * k, 0.5));
    let (hebbian_pre, hebbian_post) = (normal(k * k, 0.5), normal(k * k, 0.5));
    UpdateRule {
        states: k,
        layers: 1,
        forward_transform,
        backward_transform,
        neuron_keep: normal(k, 0.5),
        neuron_update: normal(k, 0.5),
        synapse: SynapseRule {
            hebbian_pre,
            hebbian_post,
            keep: vec![0.984_375; k],
            update: normal(k, 0.05),
            oja_multiplier: vec![1.0; k],
            saturation: vec![1.0; k],
        },
        forward_synapse: None,
        rescale_to: vec![1.0; k],
        initial_synapse_scale: 1.0,
    }
}

fn rounded(rule: &UpdateRule<f64>) -> UpdateRule<f32> {
    let f32s = |values: &[f64]| values.iter().map(|&x| x as f32).collect::<Vec<_>>();
    let synapses = |rule: &SynapseRule<f64>| SynapseRule {
        hebbian_pre: f32s(&rule.hebbian_pre),
        hebbian_post: f32s(&rule.hebbian_post),
        keep: f32s(&rule.keep),
        update: f32s(&rule.update),
        oja_multiplier: f32s(&rule.oja_multiplier),
        saturation: f32s(&rule.saturation),
    };
    UpdateRule {
        states: rule.states,
        layers: rule.layers,
        forward_transform: f32s(&rule.forward_transform),
        backward_transform: f32s(&rule.backward_transform),
        neuron_keep: f32s(&rule.neuron_keep),
        neuron_update: f32s(&rule.neuron_update),
        synapse: synapses(&rule.synapse),
        forward_synapse: rule.forward_synapse.as_ref().map(synapses),
        rescale_to: f32s(&rule.rescale_to),
        initial_synapse_scale: rule.initial_synapse_scale,
    }
}

fn batch_of(number: u64, length: usize) -> Vec<f32> {
    let mut rng = seed(number).rng();
    (0..length).map(|_| uniform_between(&mut rng, -1.0, 1.0) as f32).collect()
}

const UNIFORM: InitialSynapses = InitialSynapses { distribution: SynapseDistribution::Uniform, scale: 0.5 };

/// Three updates and a prediction in f32, with everything computed, against the reference in f64.
fn check(options: &MultiStateSpec, sizes: &[usize], batch: usize, number: u64) {
    let rule = random_rule(number, usize::from(options.states));
    let single = rounded(&rule);
    let plan = Plan::full(options, sizes.len());
    let mut network = Network::<f32>::with_plan(options, sizes, batch, plan);
    network.initialise_synapses(&UNIFORM, seed(number));
    let mut reference = Reference::of(&network, batch);
    let (inputs, outputs) = (sizes[0], sizes[sizes.len() - 1]);
    let close = |what: &str, found: f32, expected: f64| {
        assert!(
            (f64::from(found) - expected).abs() <= 1e-4 * (1.0 + expected.abs()),
            "{what}: {found} {expected}"
        );
    };
    for update in 0..3 {
        let input = batch_of(100 * number + update, inputs * batch);
        let target = batch_of(200 * number + update, outputs * batch);
        network.update(&single, &input, &target, batch);
        reference.forward_pass(&rule, &input, batch);
        reference.backward_pass(&rule, &target, batch);
        for layer in 0..sizes.len() {
            for o in 0..rule.states {
                let expected = reference.neurons[layer][o].iter().flatten();
                network.neurons(layer, o).iter().zip(expected).for_each(|(&x, &y)| close("neuron", x, y));
                if layer + 1 == sizes.len() {
                    continue;
                }
                let forward = network.forward_synapses(layer, o).iter();
                let expected = reference.forward[layer][o].iter().flatten();
                forward.zip(expected).for_each(|(&x, &y)| close("forward synapse", x, y));
                let backward = network.backward_synapses(layer, o).unwrap().iter();
                let expected = reference.backward[layer][o].iter().flatten();
                backward.zip(expected).for_each(|(&x, &y)| close("backward synapse", x, y));
            }
        }
    }
    if options.zero_out_neurons {
        let input = batch_of(number, inputs * batch);
        let mut prediction = vec![0.0; outputs * batch];
        network.predict(&single, &input, batch, &mut prediction);
        reference.forward_pass(&rule, &input, batch);
        for b in 0..batch {
            for j in 0..outputs {
                let expected = reference.neurons[sizes.len() - 1][0][j][b];
                close("prediction", prediction[b * outputs + j], expected);
            }
        }
    }
    assert!(network.is_finite());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn updates_equal_the_definition(
        states in 2_u8..7,
        sizes in proptest::collection::vec(1_usize..24, 2..5),
        batch in 1_usize..70,
        number in 0_u64..1000,
        mean in any::<bool>(),
        zero_out_neurons in any::<bool>(),
        bounded_synapses in any::<bool>(),
    ) {
        let options = MultiStateSpec {
            states,
            zero_out_neurons,
            hebbian: if mean { Hebbian::Mean } else { Hebbian::Sum },
            synapse_activation: if bounded_synapses { Activation::Tanh } else { Activation::Identity }.into(),
            forward_activation: Activation::Tanh.into(),
            ..MultiStateSpec::default()
        };
        check(&options, &sizes, batch, number);
    }
}

#[test]
fn layers_that_fill_blocks_equal_the_definition() {
    check(&MultiStateSpec::default(), &[40, 48, 40], 48, 3);
}

/// An episode's bits: predictions after three updates from a seed.
fn episode(network: &mut Network<f32>, number: u64, batch: usize) -> Vec<u32> {
    let rule = rounded(&random_rule(number, network.states()));
    let sizes = network.layer_sizes();
    let (inputs, outputs) = (sizes[0], sizes[sizes.len() - 1]);
    network.reset();
    network.initialise_synapses(&UNIFORM, seed(number).derive(Purpose::Synapses, 0));
    let query = batch_of(number, 300 * inputs);
    let mut prediction = vec![0.0; 300 * outputs];
    for update in 0..3 {
        let (input, target) = (batch_of(update, batch * inputs), batch_of(update + 9, batch * outputs));
        network.update(&rule, &input, &target, batch);
        network.predict(&rule, &query, 300, &mut prediction);
    }
    prediction.iter().map(|x| x.to_bits()).collect()
}

#[test]
fn an_episode_does_not_depend_on_what_the_network_did_before() {
    for zero_out_neurons in [true, false] {
        let options = MultiStateSpec { zero_out_neurons, ..MultiStateSpec::default() };
        let fresh = |number| episode(&mut Network::new(&options, &[2, 20, 1], 64), number, 64);
        let mut reused = Network::new(&options, &[2, 20, 1], 16);
        assert_eq!(episode(&mut reused, 1, 64), fresh(1));
        assert_eq!(episode(&mut reused, 2, 64), fresh(2));
        episode(&mut reused, 3, 17);
        assert_eq!(episode(&mut reused, 1, 64), fresh(1));
        assert_ne!(fresh(1), fresh(2));
    }
}

#[test]
fn a_prediction_leaves_the_network_as_it_was() {
    let options = MultiStateSpec { zero_out_neurons: false, ..MultiStateSpec::default() };
    let rule = rounded(&random_rule(5, 4));
    let (input, target) = (batch_of(1, 40), batch_of(2, 20));
    let mut network = Network::<f32>::new(&options, &[2, 6, 1], 20);
    network.initialise_synapses(&UNIFORM, seed(1));
    let mut undisturbed = network.clone();
    let mut prediction = vec![0.0; 20];
    for _ in 0..3 {
        network.update(&rule, &input, &target, 20);
        undisturbed.update(&rule, &input, &target, 20);
        network.predict(&rule, &input, 20, &mut prediction);
    }
    assert_eq!(network.neurons(1, 3), undisturbed.neurons(1, 3));
    assert_eq!(network.forward_synapses(0, 2), undisturbed.forward_synapses(0, 2));
    assert_eq!(network.backward_synapses(1, 2), undisturbed.backward_synapses(1, 2));
}

#[test]
fn a_lean_plan_changes_no_bit_of_what_is_read() {
    let options = MultiStateSpec { states: 3, ..MultiStateSpec::default() };
    let full = Plan::full(&options, 4);
    let sizes = [5, 9, 7, 2];
    let mut lean = Network::new(&options, &sizes, 64);
    let mut whole = Network::with_plan(&options, &sizes, 64, full);
    assert_eq!(episode(&mut lean, 4, 30), episode(&mut whole, 4, 30));
    assert_eq!(lean.backward_synapses(0, 0), None);
}

#[test]
fn tied_synapses_stay_tied() {
    let options =
        MultiStateSpec { symmetric_synapses: true, symmetric_states: true, ..MultiStateSpec::default() };
    let mut network = Network::<f32>::new(&options, &[3, 5, 2], 20);
    episode(&mut network, 1, 20);
    let mut transposed = [0.0; 12];
    for state in 0..4 {
        let backward = network.backward_synapses(1, state).unwrap();
        transpose(Arch::new(), network.forward_synapses(1, state), 2, &mut transposed, 6);
        assert_eq!(backward, transposed);
    }
}

#[test]
fn what_is_not_finite_shows_and_never_panics() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for feedback in [Feedback::ConcatGroundTruth, Feedback::SoftmaxDifference, Feedback::ReplaceState0] {
            let options = MultiStateSpec { feedback, ..MultiStateSpec::default() };
            let rule = rounded(&random_rule(5, 4));
            let mut network = Network::<f32>::new(&options, &[2, 6, 1], 20);
            network.initialise_synapses(&UNIFORM, seed(1));
            assert!(network.is_finite());
            let mut input = batch_of(1, 40);
            input[7] = bad;
            network.update(&rule, &input, &batch_of(2, 20), 20);
            assert!(!network.is_finite(), "{bad} {feedback:?}");
            let mut prediction = vec![0.0; 20];
            network.predict(&rule, &input, 20, &mut prediction);
        }
    }
}

#[test]
fn an_overflowing_rule_diverges_visibly() {
    let mut rule = rounded(&random_rule(5, 4));
    rule.synapse.update = vec![f32::INFINITY; 4];
    let mut network = Network::<f32>::new(&MultiStateSpec::default(), &[2, 6, 1], 20);
    network.initialise_synapses(&UNIFORM, seed(1));
    network.update(&rule, &batch_of(1, 40), &batch_of(2, 20), 20);
    assert!(!network.is_finite());
}

#[test]
fn a_diverged_episode_leaves_nothing_behind() {
    use hebbian_shared::spec::rule::multi_state::{Oja, Saturation};
    let bounded = MultiStateSpec { synapse_activation: Activation::Tanh.into(), ..MultiStateSpec::default() };
    // Sums are added at once, or first computed into scratch memory whose layout is another layer's.
    let ways = [
        bounded.clone(),
        MultiStateSpec { symmetric_states: true, ..bounded.clone() },
        MultiStateSpec { oja: Some(Oja::default()), ..bounded.clone() },
        MultiStateSpec { saturation: Some(Saturation::default()), ..bounded },
    ];
    let sizes = [2, 6, 5, 7, 1];
    for options in ways {
        let mut reused = Network::<f32>::new(&options, &sizes, 30);
        reused.initialise_synapses(&UNIFORM, seed(1));
        reused.update(&rounded(&random_rule(5, 4)), &[f32::NAN; 60], &batch_of(2, 30), 30);
        assert!(!reused.is_finite());
        let fresh = episode(&mut Network::new(&options, &sizes, 30), 1, 30);
        assert_eq!(episode(&mut reused, 1, 30), fresh);
        assert!(reused.is_finite(), "the episode before shows: {options:?}");
    }
}

#[test]
fn normalised_synapses_are_stored_by_updates_and_not_by_predictions() {
    use hebbian_shared::spec::rule::multi_state::Normalisation;
    let with = |stored, in_activations| MultiStateSpec {
        normalisation: Some(Normalisation { stored, in_activations, rescale: false }),
        ..MultiStateSpec::default()
    };
    let rule = rounded(&random_rule(5, 4));
    let (input, mut prediction) = (batch_of(1, 40), vec![0.0; 20]);
    for (stored, in_activations) in [(true, false), (false, true), (true, true)] {
        let mut network = Network::<f32>::new(&with(stored, in_activations), &[2, 6, 1], 20);
        network.initialise_synapses(&UNIFORM, seed(1));
        let before = network.forward_synapses(0, 0).to_vec();
        network.predict(&rule, &input, 20, &mut prediction);
        assert_eq!(network.forward_synapses(0, 0), before, "a prediction changes nothing");
        network.forward(&rule, &input, 20);
        assert_eq!(network.forward_synapses(0, 0) != before, stored);
        let carried: Vec<u32> = network.neurons(2, 0).iter().map(|x| x.to_bits()).collect();
        let predicted: Vec<u32> = prediction.iter().map(|x| x.to_bits()).collect();
        assert_eq!(predicted, carried, "a prediction is the forward pass of an update");
    }
}

#[test]
fn updates_count_from_the_reset_on() {
    let options = MultiStateSpec { supervised_every: 2, ..MultiStateSpec::default() };
    let rule = rounded(&random_rule(5, 4));
    let mut network = Network::<f32>::new(&options, &[2, 6, 1], 20);
    network.initialise_synapses(&UNIFORM, seed(1));
    let changes = |network: &mut Network<f32>| {
        let before = network.forward_synapses(0, 0).to_vec();
        network.update(&rule, &batch_of(1, 40), &batch_of(2, 20), 20);
        network.forward_synapses(0, 0) != before
    };
    assert_eq!([(); 4].map(|()| changes(&mut network)), [true, false, true, false]);
    network.update(&rule, &batch_of(1, 40), &batch_of(2, 20), 20);
    network.reset();
    assert_eq!([(); 2].map(|()| changes(&mut network)), [true, false]);
}

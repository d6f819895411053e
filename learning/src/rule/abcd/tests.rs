use hebbian_shared::seed::uniform_between;
use hebbian_shared::spec::network::NetworkSpec;
use hebbian_shared::spec::rule::RuleOptions as _;

use super::*;

const EXAMPLES: usize = 5;

/// A learner for one hidden layer that learns by a genome, changed from the start of a search.
fn learner(teaching: Teaching, change: impl Fn(&GenomeLayout, &mut Genome)) -> Learner {
    let layout = AbcdSpec { teaching }.layout(&NetworkSpec::default());
    let mut genome = layout.initial_mean();
    change(&layout, &mut genome);
    let mut learner = Learner {
        teaching,
        freezes_hidden: false,
        layout,
        plasticity: Vec::new(),
        networks: Networks::new(),
    };
    assert!(learner.load(&genome));
    assert!(!learner.load(&Genome(vec![0.0; 3])), "a genome of another dimension");
    learner.start(&Shape { layers: vec![3, 4, 2], batch_max: 8 }, Seed::new(5).unwrap());
    learner
}

/// Sets a segment in all layers, in the search space.
fn set(name: &'static str, value: f64) -> impl Fn(&GenomeLayout, &mut Genome) {
    move |layout, genome| genome.0[layout.segment(name).unwrap().range()].fill(value)
}

fn examples() -> (Vec<f32>, Vec<f32>) {
    let mut rng = Seed::new(8).unwrap().rng();
    let mut draw = |count: usize| (0..count).map(|_| uniform_between(&mut rng, -1.0, 1.0) as f32).collect();
    (draw(EXAMPLES * 3), draw(EXAMPLES * 2))
}

fn weights(learner: &Learner) -> Vec<Vec<f32>> {
    learner.networks.current().iter().map(|layer| layer.weights.clone()).collect()
}

/// The neurons of each layer by the definition, in f64: `[layer][example][neuron]`.
fn neurons(weights: &[Vec<f32>], inputs: &[f32]) -> Vec<Vec<Vec<f64>>> {
    let of_layer = |weights: &[f32], from: &[Vec<f64>], width: usize, is_last: bool| -> Vec<Vec<f64>> {
        let neuron = |x: &[f64], j: usize| {
            let sum: f64 =
                x.iter().chain([&1.0]).enumerate().map(|(i, x)| x * f64::from(weights[i * width + j])).sum();
            if is_last { sum } else { libm::tanh(sum) }
        };
        from.iter().map(|x| (0..width).map(|j| neuron(x, j)).collect()).collect()
    };
    let inputs: Vec<Vec<f64>> =
        inputs.chunks_exact(3).map(|row| row.iter().map(|&x| f64::from(x)).collect()).collect();
    let hidden = of_layer(&weights[0], &inputs, 4, false);
    let outputs = of_layer(&weights[1], &hidden, 2, true);
    vec![inputs, hidden, outputs]
}

/// One update against the formula of the module's page, term by term.
#[test]
fn an_update_is_the_formula() {
    let numbers = [("correlation", 0.5), ("presynaptic", -0.25), ("postsynaptic", 0.75), ("constant", 0.125)];
    for teaching in [Teaching::Error, Teaching::Target] {
        for (name, value) in numbers {
            let mut learner = learner(teaching, |layout, genome| {
                set("correlation", 0.0)(layout, genome);
                set(name, value)(layout, genome);
            });
            let (inputs, targets) = examples();
            let before = weights(&learner);
            learner.update(&ExampleBatch { inputs: &inputs, targets: &targets, examples: EXAMPLES });
            let neurons = neurons(&before, &inputs);
            for (layer, (before, after)) in before.iter().zip(weights(&learner)).enumerate() {
                let width = neurons[layer + 1][0].len();
                for (place, (before, after)) in before.iter().zip(after).enumerate() {
                    let (i, j) = (place / width, place % width);
                    let of_example = |b: usize| {
                        let x = neurons[layer][b].get(i).copied().unwrap_or(1.0);
                        let own = neurons[layer + 1][b][j];
                        let target = || f64::from(targets[b * 2 + j]);
                        let y = match teaching {
                            _ if layer == 0 => own,
                            Teaching::Error => target() - own,
                            Teaching::Target => target(),
                        };
                        value
                            * match name {
                                "correlation" => x * y,
                                "presynaptic" => x,
                                "postsynaptic" => y,
                                _ => 1.0,
                            }
                    };
                    let expected = 0.1 * (0..EXAMPLES).map(of_example).sum::<f64>() / EXAMPLES as f64;
                    let found = f64::from(after - before);
                    assert!(
                        (found - expected).abs() < 1e-6,
                        "{name}, layer {layer}: {found}, not {expected}"
                    );
                }
            }
        }
    }
}

/// With frozen hidden weights, the start of a search descends the squared error of a readout of random neurons.
#[test]
fn the_start_learns_by_the_delta_rule() {
    let mut learner = learner(Teaching::Error, set("learning_rate", 0.0));
    learner.freezes_hidden = true;
    let hidden = weights(&learner)[0].clone();
    let (inputs, targets) = examples();
    let mut error = || {
        let mut predictions = [0.0; EXAMPLES * 2];
        learner.predict(&inputs, EXAMPLES, &mut predictions);
        let error = predictions.iter().zip(&targets).map(|(y, t)| (y - t) * (y - t)).sum::<f32>();
        learner.update(&ExampleBatch { inputs: &inputs, targets: &targets, examples: EXAMPLES });
        error
    };
    let errors: Vec<f32> = (0..2000).map(|_| error()).collect();
    assert!(errors.is_sorted_by(|a, b| *b <= a + 1e-6), "it only falls");
    assert!(errors[1999] < 1e-3 * errors[0], "five examples, four neurons and a bias: {}", errors[1999]);
    assert_eq!(weights(&learner)[0], hidden);
    assert!(learner.is_finite());
}

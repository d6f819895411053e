use hebbian_shared::seed::{Purpose, uniform_between};
use hebbian_shared::spec::network::NetworkSpec;
use hebbian_shared::spec::rule::RuleOptions;
use hebbian_shared::spec::rule::gradient_descent::Optimizer;
use hebbian_shared::spec::task::SmoothSpec;

use super::*;
use crate::training::objective;

mod equivalence;

/// A learner with the customary constants and this learning rate.
fn learner(options: GradientDescentSpec, learning_rate: f64) -> Learner {
    let layout = options.layout(&NetworkSpec::default());
    let mut genome = layout.initial_mean();
    genome.0[0] = layout.segments()[0].transform.invert(learning_rate);
    let hyperparameters = Hyperparameters::default();
    let mut learner = Learner { options, layout, hyperparameters, networks: Networks::new() };
    assert!(learner.load(&genome));
    assert!(!learner.load(&Genome(vec![0.0; 9])), "a genome of another dimension");
    learner
}

/// A batch, row-major.
struct Examples {
    count: usize,
    inputs: Vec<f32>,
    targets: Vec<f32>,
}

impl Examples {
    fn batch(&self) -> ExampleBatch<'_> {
        ExampleBatch { inputs: &self.inputs, targets: &self.targets, examples: self.count }
    }

    fn columns(&self) -> Columns {
        let mut columns = Columns::default();
        columns.load(self.count, &self.inputs, &self.targets);
        columns
    }
}

/// Random inputs in +-1; the class is the sign of the first input's square minus 0.3, or its tenth.
fn examples(examples: usize, inputs: usize, outputs: usize, seed: u64) -> Examples {
    let mut rng = Seed::new(seed).unwrap().rng();
    let input: Vec<f32> =
        (0..examples * inputs).map(|_| uniform_between(&mut rng, -1.0, 1.0) as f32).collect();
    let mut target = vec![-1.0; examples * outputs];
    for (row, target) in input.chunks_exact(inputs).zip(target.chunks_exact_mut(outputs)) {
        if outputs == 1 {
            target[0] = (row[0] * row[0] - 0.3).signum();
        } else {
            target[((row[0] + 1.0) * 0.5 * outputs as f32) as usize % outputs] = 1.0;
        }
    }
    Examples { count: examples, inputs: input, targets: target }
}

fn loss(kind: Loss, batch: &Columns, outputs: &[f32]) -> f64 {
    let rows = |rows: &[f32], example: usize| -> Vec<f64> {
        rows.chunks_exact(batch.stride).map(|row| f64::from(row[example])).collect()
    };
    let of_example = |example: usize| {
        let (output, target) = (rows(outputs, example), rows(&batch.targets, example));
        match kind {
            Loss::Squared => output.iter().zip(&target).map(|(y, t)| 0.5 * (y - t) * (y - t)).sum::<f64>(),
            Loss::Logistic if output.len() == 1 => {
                let of_sign =
                    |sign: f64| 0.5 * (1.0 + sign * target[0]) * libm::log1p(libm::exp(-sign * output[0]));
                of_sign(1.0) + of_sign(-1.0)
            }
            Loss::Logistic => {
                let total: f64 = output.iter().map(|&y| libm::exp(y)).sum();
                output.iter().zip(&target).map(|(y, t)| 0.5 * (t + 1.0) * (libm::log(total) - y)).sum()
            }
        }
    };
    (0..batch.examples).map(of_example).sum::<f64>() / batch.examples as f64
}

#[test]
fn gradients_are_those_of_finite_differences() {
    check_gradients(0.0);
    // Of four classes the true one has less than half, so that its target is negative.
    check_gradients(0.75);
}

/// Of labels that give up so much to all classes alike.
fn check_gradients(smooth: f64) {
    // A batch that is no multiple of the vector length shows whether the padding stays out of it.
    for (layer_sizes, examples) in [(vec![2, 5, 1], 37), (vec![3, 6, 5, 4], 16), (vec![2, 3], 50)] {
        for &activation in HiddenActivation::ALL {
            for &kind in Loss::ALL {
                let outputs = layer_sizes[layer_sizes.len() - 1];
                let mut examples_of = self::examples(examples, layer_sizes[0], outputs, 3);
                for target in &mut examples_of.targets {
                    *target = SmoothSpec::apply(f64::from(*target), smooth, outputs) as f32;
                }
                let batch = examples_of.columns();
                let mut perceptron = Perceptron::new(&layer_sizes, examples + 20, activation, kind);
                perceptron.initialise(InitialWeights::UniformOne, Seed::new(5).unwrap());
                perceptron.forward(&batch);
                perceptron.backward(&batch);
                let gradient = perceptron.parameters_and_gradient().1.to_vec();
                let mut at = |place: usize, step: f32| {
                    perceptron.parameters_and_gradient().0[place] += step;
                    perceptron.forward(&batch);
                    let loss = loss(kind, &batch, perceptron.outputs());
                    perceptron.parameters_and_gradient().0[place] -= step;
                    loss
                };
                for (place, &slope) in gradient.iter().enumerate() {
                    let step = 1.0 / 256.0;
                    let expected = (at(place, step) - at(place, -step)) / f64::from(2.0 * step);
                    // relu is not smooth: a step may carry an example over its edge.
                    let tolerance = if activation == HiddenActivation::Relu { 5e-3 } else { 2e-4 };
                    assert!(
                        (f64::from(slope) - expected).abs() < tolerance,
                        "{layer_sizes:?} {activation:?} {kind:?}: {slope} and {expected} at {place}"
                    );
                }
            }
        }
    }
}

/// Numbers are those of `-t / (1 + exp(t y))` as it was computed before there were soft targets; only a zero may have another sign.
#[test]
fn slopes_of_whole_labels_keep_their_bits() {
    let count = 4001;
    let mut perceptron = Perceptron::new(&[1, 1], count, HiddenActivation::Tanh, Loss::Logistic);
    for target in [1.0, -1.0] {
        let inputs: Vec<f32> = (0..count).map(|place| (place as f32 - 2000.0) * 0.0123).collect();
        let batch = Examples { count, inputs: inputs.clone(), targets: vec![target; count] }.columns();
        perceptron.forward(&batch);
        let mut outputs = inputs;
        outputs.resize(batch.stride, 0.0);
        perceptron.set_outputs(&outputs);
        perceptron.backward(&batch);
        let share = 1.0 / count as f32;
        for (&y, &found) in outputs[..count].iter().zip(perceptron.deltas()) {
            let expected = share * 0.5 * (perceptron::tanh(0.5 * target * y) - 1.0) * target;
            assert!(found == expected, "{y} {target}: {found}, not {expected}");
        }
    }
}

#[test]
fn tanh_is_the_library_function() {
    for step in -3000..=3000 {
        let x = step as f32 * 0.005;
        let error = f64::from(perceptron::tanh(x)) - libm::tanh(f64::from(x));
        assert!(error.abs() < 4e-7, "tanh {x} is off by {error}");
    }
    assert!(perceptron::tanh(f32::NAN).is_nan());
    assert!((perceptron::tanh(f32::INFINITY) - 1.0).abs() < 4e-7);
}

#[test]
fn optimisers_make_the_textbook_steps() {
    // Two steps along the gradients 1 and -0.5.
    let after_two = |optimizer, update_schedule| {
        let options = GradientDescentSpec { optimizer, update_schedule, ..GradientDescentSpec::default() };
        let hyperparameters = learner(options, 0.1).hyperparameters;
        let mut descent = Descent::new(optimizer, 1);
        let mut run = || {
            let mut parameter = [0.0];
            descent.reset();
            descent.step(&hyperparameters, &mut parameter, &[1.0]);
            descent.step(&hyperparameters, &mut parameter, &[-0.5]);
            parameter[0]
        };
        let first = run();
        assert_eq!(first.to_bits(), run().to_bits(), "{optimizer}: a reset forgets everything");
        f64::from(first)
    };
    assert!((after_two(Optimizer::Sgd, false) + 0.05).abs() < 1e-7);
    // The second step has 2^-0.5 of the rate.
    assert!((after_two(Optimizer::Sgd, true) + 0.1 - 0.05 * 0.5_f64.sqrt()).abs() < 1e-7);
    assert!((after_two(Optimizer::Momentum, false) + 0.1 * (1.0 + 0.9 - 0.5)).abs() < 1e-7);
    // Velocities 1 and 0.4; each step is the gradient plus 0.9 of the velocity.
    assert!((after_two(Optimizer::Nesterov, false) + 0.1 * (1.9 - 0.5 + 0.36)).abs() < 1e-7);
    let mean = (0.9 * 0.1 - 0.1 * 0.5) / (1.0 - 0.81);
    let square: f64 = (0.999 * 0.001 + 0.001 * 0.25) / (1.0 - 0.999 * 0.999);
    let expected = -0.1 - 0.1 * mean / square.sqrt();
    assert!((after_two(Optimizer::Adam, false) - expected).abs() < 1e-5);
}

#[test]
fn every_optimiser_learns_and_is_reproducible() {
    for (&optimizer, rate) in Optimizer::ALL.iter().zip([0.3, 0.1, 0.1, 0.05]) {
        for &loss in Loss::ALL {
            for outputs in [1, 3] {
                let options = GradientDescentSpec { optimizer, loss, ..GradientDescentSpec::default() };
                let mut learner = learner(options, rate);
                let shape = Shape { layers: vec![2, 20, outputs], batch_max: 256 };
                let query = examples(200, 2, outputs, 1);
                let accuracy = |learner: &mut Learner| {
                    let mut predictions = vec![0.0; query.targets.len()];
                    learner.predict(&query.inputs, query.count, &mut predictions);
                    objective::accuracy(&predictions, &query.targets, outputs)
                };
                let mut run = |seed| {
                    learner.start(&shape, Seed::new(seed).unwrap());
                    let before = accuracy(&mut learner);
                    for update in 0..200 {
                        learner.update(&examples(64, 2, outputs, 10 + update).batch());
                    }
                    assert!(learner.is_finite());
                    (before, accuracy(&mut learner))
                };
                let (before, after) = run(1);
                assert!(after > 0.85, "{options:?}: {before} became {after}");
                assert_eq!(run(1), (before, after));
                assert_ne!(run(2), (before, after));
            }
        }
    }
}

#[test]
fn what_overflows_is_not_finite() {
    let options = GradientDescentSpec { optimizer: Optimizer::Sgd, ..GradientDescentSpec::default() };
    let mut learner = learner(options, 1e30);
    learner.start(&Shape { layers: vec![2, 4, 1], batch_max: 16 }, Seed::new(1).unwrap());
    assert!(learner.is_finite());
    for seed in 0..4 {
        learner.update(&examples(16, 2, 1, seed).batch());
    }
    assert!(!learner.is_finite());
}

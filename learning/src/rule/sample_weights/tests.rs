use hebbian_shared::seed::fill_normal;
use hebbian_shared::spec::network::NetworkSpec;
use hebbian_shared::spec::rule::RuleSpec;
use hebbian_shared::spec::rule::gradient_descent::{GradientDescentSpec, InitialWeights, Optimizer};
use hebbian_shared::spec::rule::sample_weights::Normalise;
use hebbian_shared::spec::task::{TaskFamily, TaskSpec};

use super::*;

fn seed(number: u64) -> Seed {
    Seed::new(number).unwrap()
}

fn normal(count: usize, number: u64) -> Vec<f64> {
    let mut values = vec![0.0; count];
    fill_normal(&mut seed(number).rng(), &mut values);
    values
}

fn classes(count: usize) -> Vec<f32> {
    (0..count * 3).map(|place| if place % 3 == place / 3 % 3 { 1.0 } else { -1.0 }).collect()
}

/// What a network of [4, 6, 3] answers after three updates.
fn answers(family: &dyn RuleFamily, rule: RuleSpec, genome: &[f64], ablation: Option<Ablation>) -> Vec<f32> {
    let problem = RuleLearning {
        rule,
        network: NetworkSpec { hidden: vec![6], ..NetworkSpec::default() },
        tasks: TaskSpec::of(vec![TaskFamily::Digits]),
    };
    let mut rule = family.compile(&problem, ablation);
    let mut values = problem.layout().initial_mean().0;
    values.iter_mut().zip(genome).for_each(|(value, given)| *value += given);
    assert!(rule.load(&Genome(values)));
    rule.start(&Shape { layers: vec![4, 6, 3], batch_max: 8 }, seed(2));
    for update in 0..3 {
        let inputs: Vec<f32> = normal(32, update).iter().map(|&x| x as f32).collect();
        rule.update(&Batch { inputs: &inputs, targets: &classes(8), examples: 8 });
    }
    let inputs: Vec<f32> = normal(32, 9).iter().map(|&x| x as f32).collect();
    let mut answers = vec![0.0; 24];
    rule.predict(&inputs, 8, &mut answers);
    answers
}

#[test]
fn a_genome_of_zeros_is_gradient_descent() {
    let plain = GradientDescentSpec {
        optimizer: Optimizer::Sgd,
        loss: Loss::Logistic,
        initial_weights: InitialWeights::Xavier,
        ..GradientDescentSpec::default()
    };
    let weighted = SampleWeightsSpec { learning_rate: 0.3, horizon: 3, ..SampleWeightsSpec::default() };
    let expected = answers(&plain, plain.into(), &[], None);
    let found = answers(&weighted, RuleSpec::SampleWeights(weighted), &[], None);
    assert!(found.iter().zip(&expected).all(|(x, y)| (x - y).abs() < 1e-6), "{found:?} {expected:?}");
    // Half of the weight is left where weights are divided by their number.
    let mean = SampleWeightsSpec { normalise: Normalise::Mean, learning_rate: 0.6, ..weighted };
    let found = answers(&mean, RuleSpec::SampleWeights(mean), &[], None);
    assert!(found.iter().zip(&expected).all(|(x, y)| (x - y).abs() < 1e-6), "{found:?} {expected:?}");
}

#[test]
fn ablations_take_what_the_weights_know() {
    let options = SampleWeightsSpec { horizon: 3, ..SampleWeightsSpec::default() };
    let of = |genome: &[f64], ablation| answers(&options, RuleSpec::SampleWeights(options), genome, ablation);
    let genome = normal(33, 4);
    let (whole, plain) = (of(&genome, None), of(&[], None));
    assert_eq!(of(&genome, Some(Ablation::ConstantWeights)), of(&[], Some(Ablation::ConstantWeights)));
    for &ablation in options.ablations() {
        assert_ne!(of(&genome, Some(ablation)), whole, "{ablation}");
    }
    // Where all losses are alike, so are the weights.
    let left = of(&genome, Some(Ablation::NoLoss));
    assert!(left.iter().zip(&plain).all(|(x, y)| (x - y).abs() < 1e-5), "{left:?} {plain:?}");
}

#[test]
fn the_meta_gradient_is_that_of_central_differences() {
    let options = SampleWeightsSpec::default();
    let form = form(&options, &[4, 6, 3]);
    let weights = normal(form.weight_count(), 1);
    let targets: Vec<f64> = classes(8).into_iter().map(f64::from).collect();
    let (training, clean) = (normal(32, 2), normal(32, 3));
    for how in [Normalise::Sum, Normalise::Mean] {
        let theta = normal(13, 5);
        let run = |theta: &[f64]| {
            let mut network = Network::<f64>::new(form.clone());
            let function = |theta: &[f64]| WeightFunction {
                input: theta[..4].to_vec(),
                bias: theta[4..8].to_vec(),
                output: theta[8..12].to_vec(),
                offset: theta[12],
            };
            let data = ((&training[..], &targets[..]), (&clean[..], &targets[..]));
            meta::step(&mut network, &weights, &function(theta), data, (0.3, how))
        };
        let found = run(&theta);
        let exact = found.gated(&[true, true]);
        for (place, exact) in exact.iter().enumerate() {
            let moved = |by: f64| {
                let mut theta = theta.clone();
                theta[place] += by;
                // Weights at which a step begins are constants, so their losses are.
                run(&theta).clean_loss
            };
            let difference = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            assert!((exact - difference).abs() < 1e-8, "{how:?} {place}: {exact}, not {difference}");
        }
        let parts = [[true, false], [false, true]].map(|gates| found.gated(&gates));
        assert!(exact.iter().zip(&parts[0]).zip(&parts[1]).all(|((all, x), y)| (all - x - y).abs() < 1e-15));
    }
}

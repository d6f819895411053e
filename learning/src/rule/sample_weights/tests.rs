use hebbian_shared::seed::fill_normal;
use hebbian_shared::spec::network::NetworkSpec;
use hebbian_shared::spec::rule::RuleSpec;
use hebbian_shared::spec::rule::gradient_descent::{GradientDescentSpec, InitialWeights, Optimizer};
use hebbian_shared::spec::rule::sample_weights::MetaGradient;
use hebbian_shared::spec::task::{TaskFamily, TaskSpec};

use proptest::prelude::*;

use hebbian_shared::spec::evaluation::Objective;
use hebbian_shared::spec::rule::RuleOptions as _;
use hebbian_shared::spec::rule::gradient_descent::HiddenActivation;
use hebbian_shared::spec::strategy::{Directions, Estimator, EvogradSpec, WeightsFrom};

use super::*;
use crate::rule::lesson::{Examples, slope};

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

fn problem(rule: RuleSpec) -> RuleLearning {
    RuleLearning {
        rule,
        network: NetworkSpec { hidden: vec![6], ..NetworkSpec::default() },
        tasks: TaskSpec::of(vec![TaskFamily::Digits]),
    }
}

/// What a network of [4, 6, 3] answers after three updates.
fn answers(family: &dyn RuleFamily, rule: RuleSpec, genome: &[f64], ablation: Option<Ablation>) -> Vec<f32> {
    let problem = problem(rule);
    let mut rule = family.compile(&problem, ablation);
    let mut values = problem.layout().initial_mean().0;
    values.iter_mut().zip(genome).for_each(|(value, given)| *value += given);
    assert!(rule.load(&Genome(values)));
    rule.start(&Shape { layers: vec![4, 6, 3], batch_max: 8 }, seed(2));
    for update in 0..3 {
        let inputs: Vec<f32> = normal(32, update).iter().map(|&x| x as f32).collect();
        rule.update(&ExampleBatch { inputs: &inputs, targets: &classes(8), examples: 8 });
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
    for ablation in options.ablations(&problem(RuleSpec::SampleWeights(options))) {
        assert_ne!(of(&genome, Some(ablation)), whole, "{ablation}");
    }
    // Where all losses are alike, so are the weights.
    let left = of(&genome, Some(Ablation::NoLoss));
    assert!(left.iter().zip(&plain).all(|(x, y)| (x - y).abs() < 1e-5), "{left:?} {plain:?}");
}

#[test]
fn only_what_the_weights_know_can_be_taken() {
    use Ablation::{ConstantWeights, NoLoss, NoProgress, ShuffledWeights};
    let all = [ConstantWeights, ShuffledWeights, NoProgress, NoLoss];
    let spec = SampleWeightsSpec { horizon: 3, ..SampleWeightsSpec::default() };
    let online = SampleWeightsSpec { online: Some(MetaGradient::All), inputs: WeightInputs::Loss, ..spec };
    for (options, batch_size, expected) in [
        (spec, 64, &all[..]),
        (SampleWeightsSpec { form: WeightForm::Exponential, ..spec }, 64, &all),
        (
            SampleWeightsSpec { form: WeightForm::SmallLoss, ..spec },
            64,
            &[ConstantWeights, ShuffledWeights, NoLoss],
        ),
        (
            SampleWeightsSpec { inputs: WeightInputs::Loss, ..spec },
            64,
            &[ConstantWeights, ShuffledWeights, NoLoss],
        ),
        (online, 64, &[]),
        (spec, 1, &[]),
        (SampleWeightsSpec { normalise: Normalise::Mean, ..spec }, 1, &[ConstantWeights, NoProgress]),
    ] {
        let rule = RuleSpec::SampleWeights(options);
        let mut problem = problem(rule.clone());
        problem.tasks.batch_size = batch_size;
        assert_eq!(options.ablations(&problem), expected, "{options:?}");
        // An ablation that is not there would print a row in which nothing is lost.
        let genome = match options.form {
            WeightForm::Network => normal(33, 4),
            WeightForm::Exponential => vec![0.3, 0.9],
            WeightForm::SmallLoss => vec![-0.5],
        };
        if options.online.is_none() && batch_size > 1 {
            let of = |ablation| answers(&options, rule.clone(), &genome, ablation);
            for ablation in all {
                let changes = of(Some(ablation)) != of(None);
                assert_eq!(expected.contains(&ablation), changes, "{ablation}: {options:?}");
            }
        }
    }
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

/// Loss and gradient of a genome through three updates, as an estimator has it.
fn differentiate(
    (options, estimation): (SampleWeightsSpec, Estimation),
    layers: &[usize],
    genome: &[f64],
    lesson: &mut Examples,
) -> (f64, Vec<f64>) {
    let layout = options.layout(&NetworkSpec::default());
    let mut rule = course::Course::new(options, estimation, layout);
    assert!(rule.load(&Genome(genome.to_vec())));
    rule.record(3);
    rule.start(&Shape { layers: layers.to_vec(), batch_max: 5 }, seed(3));
    for update in 0..3 {
        rule.update(&lesson.batch(update));
    }
    let mut gradient = vec![0.0; genome.len()];
    let loss = rule.walk_back(lesson, &mut gradient).unwrap();
    (loss, gradient)
}

fn random_options() -> impl Strategy<Value = (SampleWeightsSpec, Objective, bool)> {
    let objectives = prop_oneof![Just(Objective::SquaredError), Just(Objective::Logistic)];
    (objectives, any::<[bool; 5]>()).prop_map(
        |(objective, [loss_alone, mean, relu, evolved, prequential])| {
            let options = SampleWeightsSpec {
                units: 3,
                inputs: if loss_alone { WeightInputs::Loss } else { WeightInputs::LossAndProgress },
                normalise: if mean { Normalise::Mean } else { Normalise::Sum },
                horizon: 4,
                hidden_activation: if relu { HiddenActivation::Relu } else { HiddenActivation::Tanh },
                learning_rate: 0.5,
                evolve_learning_rate: evolved,
                ..SampleWeightsSpec::default()
            };
            (options, objective, prequential)
        },
    )
}

const ONE_STEP: Estimation = Estimation {
    estimator: Estimator::OneStep,
    evograd: EvogradSpec {
        copies: 2,
        sigma: 1e-3,
        temperature: 0.05,
        directions: Directions::Gradient,
        weights_from: WeightsFrom::Base,
    },
};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn gradients_are_those_of_central_differences((options, objective, prequential) in random_options(), outputs in 1..4_usize, number in 0..1000_u64) {
        let layers = [3, 4, outputs];
        let dimension = options.layout(&NetworkSpec::default()).dimension();
        let genome = normal(dimension, number);
        let mut lesson = Examples::new((3, outputs), objective, prequential);
        let unrolled = (options, Estimation::default());
        let (_, gradient) = differentiate(unrolled, &layers, &genome, &mut lesson);
        for (place, &found) in gradient.iter().enumerate() {
            let moved = |by: f64| {
                let mut genome = genome.clone();
                genome[place] += by;
                differentiate(unrolled, &layers, &genome, &mut lesson).0
            };
            let (difference, doubt) = slope(moved);
            prop_assert!((found - difference).abs() < 1e-6 * (1.0 + found.abs()) + doubt, "{place}: {found}, not {difference}");
        }
    }

    /// Copies up and down the clean gradient tell the exact gradient through one update, if it is short.
    #[test]
    fn directed_copies_give_the_gradient_through_one_step((options, ..) in random_options(), outputs in 1..4_usize, number in 0..1000_u64) {
        // At a kink copies on both sides of it see another slope.
        let hidden_activation = HiddenActivation::Tanh;
        let options = SampleWeightsSpec {
            evolve_learning_rate: false,
            learning_rate: 1e-6,
            hidden_activation,
            ..options
        };
        let genome = normal(options.layout(&NetworkSpec::default()).dimension(), number);
        let mut lesson = Examples::new((3, outputs), Objective::Logistic, false);
        let mut of = |estimator| {
            let estimation = Estimation { estimator, ..ONE_STEP };
            differentiate((options, estimation), &[3, 4, outputs], &genome, &mut lesson).1
        };
        let (exact, found) = (of(Estimator::OneStep), of(Estimator::Evograd));
        // Shares of examples can cancel almost wholly.
        let largest = exact.iter().fold(1e-2 * options.learning_rate, |largest, x| largest.max(x.abs()));
        for (exact, found) in exact.iter().zip(&found) {
            prop_assert!((exact - found).abs() < 2e-3 * largest, "{exact}, not {found}");
        }
    }
}

#[test]
fn many_copies_agree_with_the_gradient_through_one_step() {
    let options =
        SampleWeightsSpec { units: 3, horizon: 4, learning_rate: 1e-4, ..SampleWeightsSpec::default() };
    let genome = normal(options.layout(&NetworkSpec::default()).dimension(), 8);
    let mut lesson = Examples::new((3, 3), Objective::Logistic, false);
    let mut of = |estimator, directions, copies| {
        let evograd = EvogradSpec { copies, directions, ..ONE_STEP.evograd };
        differentiate((options, Estimation { estimator, evograd }), &[3, 4, 3], &genome, &mut lesson).1
    };
    let exact = of(Estimator::OneStep, Directions::Signs, 2);
    let product = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
    for directions in [Directions::Signs, Directions::Antithetic] {
        let found = of(Estimator::Evograd, directions, 1000);
        let cosine = product(&exact, &found) / (product(&exact, &exact) * product(&found, &found)).sqrt();
        let length = (product(&found, &found) / product(&exact, &exact)).sqrt();
        assert!(cosine > 0.98 && (length - 1.0).abs() < 0.15, "{directions:?}: {cosine}, length {length}");
    }
}

#[test]
fn a_genome_means_its_curves() {
    let options = SampleWeightsSpec { units: 1, ..SampleWeightsSpec::default() };
    let problem = RuleLearning {
        rule: RuleSpec::SampleWeights(options),
        network: NetworkSpec::default(),
        tasks: TaskSpec::of(vec![TaskFamily::Digits]),
    };
    // V = sigmoid(-relu(loss)): it falls from one half on.
    let tables = options.meaning(&problem, &Genome(vec![1.0, 0.0, 0.0, -1.0, 0.0]));
    let [table] = &tables[..] else { panic!("{tables:?}") };
    assert_eq!((table.rows.len(), table.columns.len()), (5, 8));
    for (_, weights) in &table.rows {
        assert_eq!(weights.len(), 8);
        assert!((weights[0] - 0.5).abs() < 1e-12 && weights.windows(2).all(|pair| pair[1] < pair[0]));
    }
}

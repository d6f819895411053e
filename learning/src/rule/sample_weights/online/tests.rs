use hebbian_shared::seed::fill_normal;
use hebbian_shared::spec::network::NetworkSpec;
use hebbian_shared::spec::rule::RuleOptions as _;
use hebbian_shared::spec::rule::sample_weights::{Normalise, WeightInputs};

use super::*;

const LAYERS: [usize; 4] = [4, 7, 5, 3];
const RATE: f64 = 0.7;

fn normal(count: usize, number: u64) -> Vec<f32> {
    let mut values = vec![0.0; count];
    fill_normal(&mut Seed::new(number).unwrap().rng(), &mut values);
    values.into_iter().map(|x| x as f32).collect()
}

fn targets(examples: usize) -> Vec<f32> {
    (0..examples * 3).map(|place| if place % 3 == place / 3 % 3 { 1.0 } else { -1.0 }).collect()
}

fn learner(follows: MetaGradient, normalise: Normalise) -> OnlineLearner {
    let options = SampleWeightsSpec {
        online: Some(follows),
        units: 6,
        inputs: WeightInputs::Loss,
        normalise,
        learning_rate: RATE,
        ..SampleWeightsSpec::default()
    };
    let layout = options.layout(&NetworkSpec::default());
    let genome = Genome(vec![0.0; layout.dimension()]);
    let mut learner = OnlineLearner::new(options, follows, layout);
    assert!(learner.load(&genome) && !learner.load(&Genome(vec![0.0; 3])));
    assert!(learner.load(&genome));
    learner.start(&Shape { layers: LAYERS.to_vec(), batch_max: 12 }, Seed::new(3).unwrap());
    learner
}

/// The clean loss after a virtual update of these weights by this function, which weighs losses that stay as they are.
fn clean_loss(
    (weights, theta): (&[f32], &[f64]),
    how: Normalise,
    (batch, clean): (Examples<'_>, Examples<'_>),
) -> f64 {
    let weights: Vec<f64> = weights.iter().copied().map(f64::from).collect();
    let mut function =
        WeightFunction::<f64> { input: vec![0.0; 6], bias: vec![0.0; 6], output: vec![0.0; 6], offset: 0.0 };
    function.numbers_mut().zip(theta).for_each(|(number, &value)| *number = value);
    let mut network = Network::<f64>::new(form(&SampleWeightsSpec::default(), &LAYERS));
    let (mut losses, mut gradient) = (Vec::new(), vec![0.0; weights.len()]);
    network.forward(&weights, &[], batch.0);
    network.measure_each(Descended::Logistic, batch.1, &mut losses);
    let mut shares: Vec<f64> = losses.iter().map(|&loss| function.weight(loss, None)).collect();
    normalise(how, &mut shares);
    network.weigh(&shares);
    network.backward(&weights, &[], &mut gradient, None);
    let moved: Vec<f64> =
        weights.iter().zip(&gradient).map(|(weight, slope)| weight - RATE * slope).collect();
    network.forward(&moved, &[], clean.0);
    network.measure(Descended::Logistic, clean.1)
}

/// The first step of Adam is as long as the rate in every number, against the sign of its slope.
#[test]
fn the_function_goes_down_the_clean_loss_after_a_virtual_update() {
    for (follows, how) in [
        (MetaGradient::All, Normalise::Sum),
        (MetaGradient::All, Normalise::Mean),
        (MetaGradient::EvogradDirected, Normalise::Sum),
    ] {
        let mut learner = learner(follows, how);
        let (inputs, clean) = (normal(48, 1), normal(36, 2));
        let (labels, clean_labels) = (targets(12), targets(9));
        learner.show_clean_set(&ExampleBatch { inputs: &clean, targets: &clean_labels, examples: 9 });
        let at = learner.networks.current_mut();
        let before: Vec<f64> = at.function.numbers_mut().map(|&mut number| f64::from(number)).collect();
        assert!(before.iter().all(|&number| number != 0.0), "at zeros there is no gradient");
        let weights = at.weights.clone();
        learner.update(&ExampleBatch { inputs: &inputs, targets: &labels, examples: 12 });
        let at = learner.networks.current_mut();
        let after: Vec<f64> = at.function.numbers_mut().map(|&mut number| f64::from(number)).collect();
        let examples = ((&inputs[..], &labels[..]), (&clean[..], &clean_labels[..]));
        let mut checked = 0;
        for place in 0..before.len() {
            let moved = |by: f64| {
                let mut theta = before.clone();
                theta[place] += by;
                clean_loss((&weights, &theta), how, examples)
            };
            let slope = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            if slope.abs() > 1e-5 {
                checked += 1;
                let step = after[place] - before[place];
                assert!((step + 0.01 * slope.signum()).abs() < 1e-3, "{how:?} {place}: {step} for {slope}");
            }
        }
        assert!(checked >= 8, "{checked} of {} numbers matter", before.len());
        // The update itself is weighed by the function as it is then.
        let step = |theta: &[f64]| clean_loss((&weights, theta), how, examples);
        at.network.forward(&at.weights, &[], &clean);
        let found = f64::from(at.network.measure(Descended::Logistic, &clean_labels));
        assert!((found - step(&after)).abs() < 5e-6, "{found}, not {}", step(&after));
        assert!(step(&before) - step(&after) > 5e-5);
    }
}

#[test]
fn every_gradient_is_its_own_and_without_a_clean_set_nothing_is_learned() {
    let theta = |follows, is_clean: bool, updates: u64| {
        let mut learner = learner(follows, Normalise::Sum);
        if is_clean {
            learner.show_clean_set(&ExampleBatch {
                inputs: &normal(36, 2),
                targets: &targets(9),
                examples: 9,
            });
        }
        for update in 0..updates {
            learner.update(&ExampleBatch {
                inputs: &normal(48, 10 + update),
                targets: &targets(12),
                examples: 12,
            });
        }
        assert!(learner.is_finite());
        let at = learner.networks.current_mut();
        at.function.numbers_mut().map(|number| *number).collect::<Vec<f32>>()
    };
    let all = [
        MetaGradient::All,
        MetaGradient::Last,
        MetaGradient::Random,
        MetaGradient::Learned,
        MetaGradient::Evograd2,
        MetaGradient::Evograd16,
        MetaGradient::EvogradDirected,
    ]
    .map(|follows| theta(follows, true, 6));
    for (place, found) in all.iter().enumerate() {
        assert!(all[..place].iter().all(|other| other != found), "{place}");
    }
    assert_eq!(theta(MetaGradient::All, true, 6), all[0], "a start forgets what was learned");
    assert_eq!(theta(MetaGradient::All, false, 6), theta(MetaGradient::All, true, 0));
}

#[test]
fn what_moves_a_sampler_is_the_slope_of_its_gate() {
    let mut rng = Seed::new(7).unwrap().rng();
    let [drawn, _] = sampler(&mut rng, 5);
    let as_f64 = |values: &[f32]| values.iter().copied().map(f64::from).collect::<Vec<f64>>();
    let sampler = Sampler::<f64> {
        input: as_f64(&drawn.input),
        bias: as_f64(&drawn.bias),
        slope: 0.25,
        output: as_f64(&drawn.output),
        offset: drawn.offset.map(f64::from),
    };
    let pooled = as_f64(&normal(5, 8));
    let gumbel = [0.3, -0.2];
    let soft = |sampler: &Sampler<f64>| sampler.gate(&pooled, gumbel, 5.0).soft;
    let at = soft(&sampler);
    let mut slopes = sampler.slopes(&pooled, at * (1.0 - at) / 5.0);
    let mut moved = 0;
    for (place, &mut slope) in slopes.numbers_mut().enumerate() {
        let by = |by: f64| {
            let mut sampler = sampler.clone();
            sampler.numbers_mut().nth(place).into_iter().for_each(|number| *number += by);
            soft(&sampler)
        };
        let difference = (by(1e-6) - by(-1e-6)) / 2e-6;
        assert!((slope - difference).abs() < 1e-8, "{place}: {slope}, not {difference}");
        moved += usize::from(slope != 0.0);
    }
    assert!(moved > 1000, "{moved} numbers move the gate");
}

/// The gradient that a first update follows. The step is long, so that the clean gradient is another after it.
#[test]
fn directed_copies_estimate_the_exact_gradient() {
    let (inputs, clean) = (normal(48, 1), normal(36, 2));
    let (labels, clean_labels) = (targets(12), targets(9));
    let examples = ((&inputs[..], &labels[..]), (&clean[..], &clean_labels[..]));
    let mut learner = learner(MetaGradient::All, Normalise::Sum);
    let at = learner.networks.current_mut();
    let rate = RATE as f32;
    let Learned { network, weights, function, .. } = at;
    let step = meta::step(network, weights, function, examples, (rate, Normalise::Sum));
    let exact = at.gated(MetaGradient::All, &step, rate);
    let settings = MetaGradient::EvogradDirected.evograd().unwrap();
    let found = at.estimated(&settings, examples, (rate, Normalise::Sum));
    let product = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f32>();
    let length = (product(&found, &found) / product(&exact, &exact)).sqrt();
    let cosine = product(&exact, &found) / product(&exact, &exact) / length;
    assert!(cosine > 0.999 && (length - 1.0).abs() < 0.05, "cosine {cosine}, length {length}");
}

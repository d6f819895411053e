use hebbian_shared::seed::fill_normal;
use hebbian_shared::spec::evaluation::Objective;
use hebbian_shared::spec::network::NetworkSpec;
use hebbian_shared::spec::rule::RuleSpec;
use hebbian_shared::spec::rule::gradient_descent::{
    GradientDescentSpec, HiddenActivation, InitialWeights, Loss, Optimizer,
};
use hebbian_shared::spec::rule::warped_descent::{Rates, Warp};
use hebbian_shared::spec::strategy::Estimator;
use hebbian_shared::spec::task::{TaskFamily, TaskSpec};
use proptest::prelude::*;

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

/// Loss and gradient of a genome through three updates.
fn differentiate(
    (options, layers): (WarpedDescentSpec, &[usize]),
    genome: &[f64],
    lesson: &mut Examples,
) -> (f64, Vec<f64>) {
    let sizes: Vec<u32> = layers.iter().map(|&neurons| neurons as u32).collect();
    let mut rule = Course::new(options, Estimator::Unrolled, options.layout_of(&sizes));
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

fn options() -> impl Strategy<Value = (WarpedDescentSpec, Objective, bool)> {
    let warps = prop_oneof![Just(Warp::None), Just(Warp::Diagonal), Just(Warp::Linear), Just(Warp::Residual)];
    let starts = prop_oneof![Just(WeightStart::Fixed), Just(WeightStart::Drawn), Just(WeightStart::Learned)];
    let objectives = prop_oneof![Just(Objective::SquaredError), Just(Objective::Logistic)];
    (warps, starts, objectives, any::<[bool; 5]>()).prop_map(|(warp, start, objective, flags)| {
        let [share_layers, blocks, per_layer, squared, prequential] = flags;
        let options = WarpedDescentSpec {
            warp,
            start,
            rank: 2,
            share_layers,
            block: if blocks { 2 } else { 0 },
            rates: if per_layer { Rates::PerLayer } else { Rates::One },
            loss: if squared { Loss::Squared } else { Loss::Logistic },
            learning_rate: 0.3,
            ..WarpedDescentSpec::default()
        };
        (options, objective, prequential)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn gradients_are_those_of_central_differences((options, objective, prequential) in options(), outputs in 1..3_usize, number in 0..1000_u64) {
        let layers = [3, 4, 4, outputs];
        let dimension = options.layout_of(&layers.map(|neurons| neurons as u32)).dimension();
        let genome: Vec<f64> = normal(dimension, number).iter().map(|x| 0.4 * x).collect();
        let mut lesson = Examples::new((3, outputs), objective, prequential);
        let (_, gradient) = differentiate((options, &layers), &genome, &mut lesson);
        for (place, &found) in gradient.iter().enumerate() {
            let moved = |by: f64| {
                let mut genome = genome.clone();
                genome[place] += by;
                differentiate((options, &layers), &genome, &mut lesson).0
            };
            let (difference, doubt) = slope(moved);
            prop_assert!((found - difference).abs() < 1e-6 * (1.0 + found.abs()) + doubt, "{place}: {found}, not {difference}");
        }
    }
}

fn problem(rule: RuleSpec, hidden: &[u32]) -> RuleLearning {
    RuleLearning {
        rule,
        network: NetworkSpec { hidden: hidden.to_vec(), ..NetworkSpec::default() },
        tasks: TaskSpec::of(vec![TaskFamily::Xor]),
    }
}

/// What a network of [2, 6, 5, 1] answers that learned three updates by the genome of a search's start.
fn answers(family: &dyn RuleFamily, rule: RuleSpec, genome: impl Fn(&GenomeLayout) -> Genome) -> Vec<f32> {
    let problem = problem(rule, &[6, 5]);
    let lesson = Examples::new((2, 1), Objective::SquaredError, false);
    let mut rule = family.compile(&problem, None);
    assert!(rule.load(&genome(&problem.layout())));
    rule.start(&Shape { layers: vec![2, 6, 5, 1], batch_max: 5 }, seed(4));
    for update in 0..3 {
        rule.update(&lesson.batch(update));
    }
    let mut answers = vec![0.0; 5];
    rule.predict(lesson.batch(3).inputs, 5, &mut answers);
    answers
}

#[test]
fn a_genome_of_zeros_is_gradient_descent() {
    for (hidden_activation, loss) in
        [(HiddenActivation::Tanh, Loss::Squared), (HiddenActivation::Relu, Loss::Logistic)]
    {
        let plain = GradientDescentSpec {
            optimizer: Optimizer::Sgd,
            hidden_activation,
            loss,
            initial_weights: InitialWeights::Xavier,
            ..GradientDescentSpec::default()
        };
        // The rate at which a search of plain descent starts.
        let expected = answers(&plain, plain.into(), GenomeLayout::initial_mean);
        for warp in [Warp::None, Warp::Diagonal, Warp::Linear, Warp::Residual] {
            let start = WeightStart::Drawn;
            let warped = WarpedDescentSpec {
                warp,
                hidden_activation,
                loss,
                learning_rate: 0.3,
                start,
                ..Default::default()
            };
            let found = answers(&warped, RuleSpec::WarpedDescent(warped), GenomeLayout::initial_mean);
            assert!(found.iter().zip(&expected).all(|(x, y)| (x - y).abs() < 1e-6), "{found:?} {expected:?}");
        }
    }
}

#[test]
fn only_a_drawn_start_is_the_tasks_own() {
    let network = |start, number| {
        let form = Form { options: WarpedDescentSpec { start, ..Default::default() }, layers: vec![2, 3, 1] };
        let (mut weights, learned) = (Vec::new(), vec![0.5; form.start() + form.weight_count()]);
        super::start(&form, &learned, seed(number), &mut weights);
        weights
    };
    assert_ne!(network(WeightStart::Drawn, 1), network(WeightStart::Drawn, 2));
    assert_eq!(network(WeightStart::Fixed, 1), network(WeightStart::Fixed, 2));
    let (fixed, learned) = (network(WeightStart::Fixed, 1), network(WeightStart::Learned, 2));
    assert!(fixed.iter().zip(&learned).all(|(x, y): (&f64, &f64)| (y - x - 0.5).abs() < 1e-15));
}

#[test]
fn ablations_leave_plain_descent_or_the_first_inputs() {
    let layers = [2, 6, 5, 1].map(|neurons| neurons as u32);
    let options = WarpedDescentSpec { start: WeightStart::Learned, ..WarpedDescentSpec::default() };
    let layout = options.layout_of(&layers);
    let genome = Genome(normal(layout.dimension(), 8));
    let read = |genome: &Genome, ablation| {
        let mut parameters = Parameters::<f64>::default();
        assert!(parameters.read(&layout, genome, ablation));
        parameters.0
    };
    let (whole, zeros) = (read(&genome, None), read(&layout.initial_mean(), None));
    let ablations = options.ablations(&problem(RuleSpec::WarpedDescent(options), &[6, 5]));
    assert_eq!(ablations.len(), 5, "{ablations:?}");
    for ablation in ablations {
        let left = read(&genome, Some(ablation));
        for segment in layout.segments() {
            let taken = match ablation {
                Ablation::IdentityWarp => segment.name.starts_with("warp_"),
                Ablation::FirstWarpAlone => {
                    segment.name.starts_with("warp_") && !segment.name.ends_with("_0")
                }
                Ablation::LastWarpAlone => segment.name.starts_with("warp_") && !segment.name.ends_with("_1"),
                Ablation::UnlearnedWarpInputs => {
                    ["warp_in_", "warp_bias_"].iter().any(|name| segment.name.starts_with(name))
                }
                _ => segment.name.starts_with("start_"),
            };
            let expected = if taken { &zeros } else { &whole };
            assert_eq!(left[segment.range()], expected[segment.range()], "{ablation}: {}", segment.name);
        }
    }
}

#[test]
fn only_what_is_there_can_be_taken() {
    use Ablation::{FirstWarpAlone, IdentityWarp, LastWarpAlone, UnlearnedStart, UnlearnedWarpInputs};
    let spec = WarpedDescentSpec::default();
    let learned = WarpedDescentSpec { start: WeightStart::Learned, ..spec };
    let apart = [IdentityWarp, FirstWarpAlone, LastWarpAlone];
    for (options, hidden, expected) in [
        (spec, &[6, 5][..], &[&apart[..], &[UnlearnedWarpInputs]].concat()[..]),
        (WarpedDescentSpec { warp: Warp::Linear, ..spec }, &[6, 5], &apart),
        (WarpedDescentSpec { warp: Warp::Diagonal, share_layers: true, ..spec }, &[6, 6], &[IdentityWarp]),
        (learned, &[6], &[IdentityWarp, UnlearnedWarpInputs, UnlearnedStart]),
        (WarpedDescentSpec { warp: Warp::None, ..learned }, &[6, 5], &[UnlearnedStart]),
        (WarpedDescentSpec { warp: Warp::None, ..spec }, &[6, 5], &[]),
        (spec, &[], &[]),
    ] {
        let problem = problem(RuleSpec::WarpedDescent(options), hidden);
        let layout = problem.layout();
        let genome = Genome(normal(layout.dimension(), 8));
        let read = |ablation| {
            let mut parameters = Parameters::<f64>::default();
            assert!(parameters.read(&layout, &genome, ablation));
            parameters
        };
        let given = options.ablations(&problem);
        assert_eq!(given, expected, "{options:?} {hidden:?}");
        let whole = read(None);
        assert!(given.iter().all(|&ablation| read(Some(ablation)) != whole), "{options:?} {hidden:?}");
    }
}

#[test]
fn of_three_warps_the_first_or_the_last_stays() {
    let options = WarpedDescentSpec { warp: Warp::Diagonal, ..WarpedDescentSpec::default() };
    let layout = options.layout_of(&[2, 3, 3, 3, 1]);
    let genome = Genome(normal(layout.dimension(), 8));
    let left = |ablation| -> Vec<usize> {
        let (mut whole, mut parameters) = (Parameters::<f64>::default(), Parameters::<f64>::default());
        assert!(whole.read(&layout, &genome, None) && parameters.read(&layout, &genome, Some(ablation)));
        let is_left = |place: &usize| {
            let range = layout.segment(&format!("warp_scale_{place}")).unwrap().range();
            whole.0[range.clone()] == parameters.0[range]
        };
        (0..3).filter(is_left).collect()
    };
    assert_eq!(left(Ablation::FirstWarpAlone), [0]);
    assert_eq!(left(Ablation::LastWarpAlone), [2]);
}

//! Episodes with the gradient of their fitness.

use hebbian_shared::spec::strategy::GradientSpec;

use super::*;

const DIFFERENTIABLE: &str = include_str!("../../../../examples/differentiable.toml");

fn spec(change: impl FnOnce(&mut RunSpec)) -> Arc<RunSpec> {
    let mut spec = RunSpec::read(DIFFERENTIABLE).unwrap();
    change(&mut spec);
    Arc::new(spec)
}

/// A genome by which networks learn something.
fn genome(spec: &RunSpec) -> Genome {
    let layout = spec.layout();
    let mut values = vec![0.0; layout.dimension()];
    fill_normal(&mut Seed::new(4).unwrap().rng(), &mut values);
    let mut genome = Genome(values.into_iter().map(|x| 0.3 * x).collect());
    let readout = layout.segment("readout").unwrap();
    genome.0[readout.range()].fill(1.0);
    genome
}

fn with_gradient(runner: &EpisodeRunner, workspace: &mut Workspace, genome: &Genome, task: u32) -> Outcome {
    let wants = Wants { gradient: true };
    runner.run_for(workspace, genome, &key(0, task), wants, &Interrupt::new()).unwrap()
}

#[test]
fn the_gradient_is_that_of_the_fitness() {
    let points = |update, weight| MeasurePoint { update: UpdatePoint::At(update), weight };
    let measures = [
        Measure::Curve(CurveWord::Prequential),
        Measure::Curve(CurveWord::Curve),
        Measure::Points(vec![points(1, 1.0), points(4, 3.0)]),
    ];
    for (place, measure) in measures.into_iter().enumerate() {
        let families = [TaskFamily::Circle, TaskFamily::Digits, TaskFamily::Xor];
        let spec = spec(|spec| {
            spec.evaluation.unroll = vec![UnrollPhase { generations: 1, updates: 5 }];
            spec.evaluation.objective = [Objective::Logistic, Objective::SquaredError][place % 2];
            spec.evaluation.measure = measure;
            problem(spec).tasks.families = vec![families[place]];
        });
        let genome = genome(&spec);
        let runner = EpisodeRunner::new(Arc::clone(&spec)).unwrap();
        let mut workspace = Workspace::new();
        let outcome = with_gradient(&runner, &mut workspace, &genome, 1);
        let evaluation = outcome.evaluation().unwrap_or_else(|| panic!("{outcome:?}"));
        let gradient = evaluation.gradient.as_ref().unwrap();
        let fitness = run(&runner, &mut workspace, &genome, key(0, 1)).fitness().unwrap().get();
        assert!((evaluation.fitness.get() - fitness).abs() < 1e-6, "{outcome:?} {fitness}");
        // Along the gradient, in single precision.
        let norm = gradient.iter().map(|x| x * x).sum::<f64>().sqrt();
        assert!(norm > 1e-3, "{gradient:?}");
        let mut at = |distance: f64| {
            let moved = genome.0.iter().zip(gradient).map(|(x, along)| x + distance / norm * along);
            run(&runner, &mut workspace, &Genome(moved.collect()), key(0, 1)).fitness().unwrap().get()
        };
        let step = 4e-3;
        let difference = (8.0 * (at(step) - at(-step)) - (at(2.0 * step) - at(-2.0 * step))) / (12.0 * step);
        assert!((difference / norm - 1.0).abs() < 5e-3, "{place}: {norm} {difference}");
    }
}

#[test]
fn an_episode_with_its_gradient_is_the_same_on_every_thread_and_after_any_other() {
    let spec = spec(|_| {});
    let (genome, runner) = (genome(&spec), EpisodeRunner::new(spec).unwrap());
    let alone: Vec<_> =
        (0..3).map(|task| with_gradient(&runner, &mut Workspace::new(), &genome, task)).collect();
    let mut workspace = Workspace::new();
    for task in [2, 0, 1, 1, 0] {
        run(&runner, &mut workspace, &genome, key(0, task + 1));
        assert_eq!(with_gradient(&runner, &mut workspace, &genome, task), alone[task as usize]);
    }
}

#[test]
fn prequential_fitness_is_the_mean_over_batches_and_the_query() {
    let value = |measure: Measure, updates| {
        let spec = spec(|spec| {
            spec.evaluation.unroll = vec![UnrollPhase { generations: 1, updates }];
            spec.evaluation.measure = measure;
        });
        let genome = genome(&spec);
        let runner = EpisodeRunner::new(spec).unwrap();
        run(&runner, &mut Workspace::new(), &genome, key(0, 1)).fitness().unwrap().get()
    };
    let prequential = |updates| value(Measure::Curve(CurveWord::Prequential), updates);
    let last = |updates| {
        value(Measure::Points(vec![MeasurePoint { update: UpdatePoint::At(updates), weight: 1.0 }]), updates)
    };
    assert_eq!(prequential(1), last(1));
    // The second batch is new in both, so the mean without the query is the batch's loss.
    let second = 2.0 * prequential(2) - last(2);
    let third = 3.0 * prequential(3) - last(3) - second;
    assert!(second < 0.0 && third < 0.0 && second != last(1), "{second} {third}");
}

#[test]
fn what_has_no_gradient_is_rejected_with_the_field() {
    let refused = |spec: Arc<RunSpec>, expected: &str| {
        let genome = spec.layout().initial_mean();
        let runner = EpisodeRunner::new(spec).unwrap();
        match with_gradient(&runner, &mut Workspace::new(), &genome, 0) {
            Outcome::Rejected { reason } => assert!(reason.contains(expected), "{reason}"),
            outcome => panic!("{outcome:?}"),
        }
    };
    refused(
        spec(|spec| spec.evaluation.objective = Objective::Accuracy),
        "evaluation.objective: accuracy has",
    );
    let quickstart = |change: &dyn Fn(&mut RunSpec)| {
        super::spec(|spec| {
            spec.evaluation.objective = Objective::Logistic;
            change(spec);
        })
    };
    refused(quickstart(&|_| {}), "rule.symmetric_synapses: must be true together with a gradient");
    let descent = |spec: &mut RunSpec| problem(spec).rule = GradientDescentSpec::default().into();
    refused(quickstart(&descent), "rule.family: `gradient-descent` gives no gradient");
    let long = spec(|spec| {
        spec.evaluation.unroll = vec![UnrollPhase { generations: 1, updates: 20_000 }];
        problem(spec).network.hidden = vec![4096];
    });
    refused(long, "evaluation.unroll: the gradient of 20000 updates would keep");
}

#[test]
fn an_episode_whose_gradient_is_not_finite_has_diverged() {
    let spec = spec(|_| {});
    let mut genome = genome(&spec);
    let update = spec.layout().segment("synapse_update").unwrap().range();
    genome.0[update].fill(60.0);
    let runner = EpisodeRunner::new(spec).unwrap();
    assert_eq!(with_gradient(&runner, &mut Workspace::new(), &genome, 0), Outcome::Diverged);
}

#[test]
fn the_gradient_of_a_task_is_shortened_to_what_the_strategy_allows() {
    let of = |limit: f64| {
        let settings = GradientSpec { task_gradient_max: limit, ..GradientSpec::default() };
        let spec = spec(|spec| spec.strategy = StrategySpec::Gradient(settings));
        let (genome, runner) = (genome(&spec), EpisodeRunner::new(spec).unwrap());
        let outcome = with_gradient(&runner, &mut Workspace::new(), &genome, 0);
        outcome.evaluation().unwrap().gradient.clone().unwrap()
    };
    let norm = |gradient: &[f64]| gradient.iter().map(|x| x * x).sum::<f64>().sqrt();
    let whole = of(1e100);
    assert_eq!(of(2.0 * norm(&whole)), whole);
    let short = of(1e-3);
    assert!((norm(&short) / 1e-3 - 1.0).abs() < 1e-12, "{}", norm(&short));
    assert!(short.iter().zip(&whole).all(|(a, b)| (a / 1e-3 - b / norm(&whole)).abs() < 1e-12));
}

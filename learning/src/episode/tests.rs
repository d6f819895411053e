#![expect(clippy::disallowed_methods, reason = "a test's own arithmetic")]

mod gradient;

use hebbian_shared::id::{BlockIndex, CandidateIndex, GenerationIndex, RunId, TaskIndex};
use hebbian_shared::seed::fill_normal;
use hebbian_shared::spec::RuleLearning;
use hebbian_shared::spec::evaluation::{CurveWord, LastWord, MeasurePoint, UnrollPhase};
use hebbian_shared::spec::rule::gradient_descent::GradientDescentSpec;
use hebbian_shared::spec::rule::multi_state::{Activation, MultiStateSpec};
use hebbian_shared::spec::task::TaskSpec;

use super::*;
use hebbian_shared::seed::Seed;
use hebbian_shared::spec::task::TaskFamily;

const QUICKSTART: &str = include_str!("../../../examples/quickstart.toml");

fn spec(change: impl FnOnce(&mut RunSpec)) -> Arc<RunSpec> {
    let mut spec = RunSpec::read(QUICKSTART).unwrap();
    change(&mut spec);
    Arc::new(spec)
}

fn problem(spec: &mut RunSpec) -> &mut RuleLearning {
    spec.problem.rule_learning_mut().unwrap()
}

fn key(generation: u32, task: u32) -> EpisodeKey {
    EpisodeKey {
        run: RunId::new(1),
        generation: GenerationIndex(generation),
        purpose: EpisodePurpose::Search,
        block: BlockIndex(0),
        candidate: CandidateIndex(0),
        task: TaskIndex(task),
    }
}

fn genome(seed: u64) -> Genome {
    let mut values = vec![0.0; 68];
    fill_normal(&mut Seed::new(seed).unwrap().rng(), &mut values);
    Genome(values.into_iter().map(|value| 0.5 * value).collect())
}

fn run(runner: &EpisodeRunner, workspace: &mut Workspace, genome: &Genome, key: EpisodeKey) -> Outcome {
    runner.run(workspace, genome, &key, &Interrupt::new()).unwrap()
}

#[test]
fn an_episode_depends_on_spec_genome_and_key_alone() {
    // Losses tell episodes apart that accuracies would not.
    let runner =
        EpisodeRunner::new(spec(|spec| spec.evaluation.objective = Objective::SquaredError)).unwrap();
    let episodes: Vec<(u64, EpisodeKey)> =
        (0..3).flat_map(|candidate| (0..30).map(move |task| (candidate, key(task / 24, task)))).collect();
    let alone: Vec<Outcome> = episodes
        .iter()
        .map(|&(candidate, key)| run(&runner, &mut Workspace::new(), &genome(candidate), key))
        .collect();
    let distinct: std::collections::BTreeSet<_> = alone.iter().map(Outcome::fitness).collect();
    assert_eq!(distinct.len(), episodes.len(), "episodes differ");

    // In another order, with more tasks than are kept, other runs in between and from several threads.
    let other = spec(|spec| {
        spec.seed = Seed::new(99).unwrap();
        spec.evaluation.objective = Objective::SquaredError;
    });
    let other = EpisodeRunner::new(other).unwrap();
    std::thread::scope(|scope| {
        for start in 0..2 {
            let (runner, other, episodes, alone) = (&runner, &other, &episodes, &alone);
            scope.spawn(move || {
                let mut workspace = Workspace::new();
                for place in 0..episodes.len() {
                    let place = (start + place * 37) % episodes.len();
                    let (candidate, key) = episodes[place];
                    assert_eq!(run(runner, &mut workspace, &genome(candidate), key), alone[place]);
                    let elsewhere = run(other, &mut workspace, &genome(candidate), key);
                    assert_ne!(elsewhere, alone[place]);
                }
            });
        }
    });
}

#[test]
fn the_candidate_and_the_run_do_not_matter_but_the_block_does() {
    let runner =
        EpisodeRunner::new(spec(|spec| spec.evaluation.objective = Objective::SquaredError)).unwrap();
    let mut workspace = Workspace::new();
    let base = run(&runner, &mut workspace, &genome(1), key(0, 0));
    let mut with = |key| run(&runner, &mut workspace, &genome(1), key);
    assert_eq!(with(EpisodeKey { candidate: CandidateIndex(9), ..key(0, 0) }), base);
    assert_eq!(with(EpisodeKey { run: RunId::new(9), ..key(0, 0) }), base);
    assert_ne!(with(EpisodeKey { block: BlockIndex(1), ..key(0, 0) }), base);
    assert_ne!(with(EpisodeKey { purpose: EpisodePurpose::Validation, ..key(0, 0) }), base);
}

#[test]
fn fitness_is_the_weighted_mean_of_the_measurements() {
    let value = |points: Measure| {
        let spec = spec(|spec| {
            spec.evaluation.objective = Objective::SquaredError;
            spec.evaluation.unroll = vec![UnrollPhase { generations: 1, updates: 4 }];
            spec.evaluation.measure = points;
        });
        let runner = EpisodeRunner::new(spec).unwrap();
        run(&runner, &mut Workspace::new(), &genome(2), key(0, 1)).fitness().unwrap().get()
    };
    let at = |update, weight| MeasurePoint { update: UpdatePoint::At(update), weight };
    let after: Vec<f64> = (1..=4).map(|update| value(Measure::Points(vec![at(update, 7.0)]))).collect();
    let last = MeasurePoint { update: UpdatePoint::Last(LastWord::Last), weight: 3.0 };
    let mixed = value(Measure::Points(vec![at(2, 1.0), last]));
    assert!((mixed - (after[1] + 3.0 * after[3]) / 4.0).abs() < 1e-12);
    let twice = value(Measure::Points(vec![at(4, 1.0), last]));
    assert!((twice - after[3]).abs() < 1e-12);
    let curve = value(Measure::Curve(CurveWord::Curve));
    assert!((curve - after.iter().sum::<f64>() / 4.0).abs() < 1e-12);
    assert!(after.iter().all(|value| *value <= 0.0), "{after:?}");
}

#[test]
fn the_unroll_length_follows_the_generation() {
    let spec = spec(|spec| {
        let phases = [(1, 10), (1, 20)];
        spec.evaluation.unroll =
            phases.map(|(generations, updates)| UnrollPhase { generations, updates }).to_vec();
        spec.evaluation.objective = Objective::SquaredError;
        spec.evaluation.measure =
            Measure::Points(vec![MeasurePoint { update: UpdatePoint::Last(LastWord::Last), weight: 1.0 }]);
    });
    for (generation, updates) in [(0, 10), (1, 20), (2, 20)] {
        let mut fixed = (*spec).clone();
        fixed.evaluation.unroll = vec![UnrollPhase { generations: 1, updates }];
        let outcome = |spec| {
            let runner = EpisodeRunner::new(spec).unwrap();
            run(&runner, &mut Workspace::new(), &genome(3), key(generation, 2))
        };
        assert_eq!(outcome(Arc::clone(&spec)), outcome(Arc::new(fixed)));
    }
}

#[test]
fn a_rule_that_explodes_diverges() {
    let spec = spec(|spec| {
        let identity = Activation::Identity;
        let rule = MultiStateSpec {
            forward_activation: identity.into(),
            backward_activation: identity.into(),
            last_layer_activation: identity.into(),
            ..MultiStateSpec::default()
        };
        problem(spec).rule = rule.into();
    });
    let runner = EpisodeRunner::new(spec).unwrap();
    let mut workspace = Workspace::new();
    assert_eq!(run(&runner, &mut workspace, &Genome(vec![30.0; 68]), key(0, 0)), Outcome::Diverged);
    assert_eq!(run(&runner, &mut workspace, &Genome(vec![f64::NAN; 68]), key(0, 0)), Outcome::Diverged);
    // What it leaves behind is not seen by the next episode.
    let after = run(&runner, &mut workspace, &Genome(vec![0.01; 68]), key(0, 0));
    assert_eq!(after, run(&runner, &mut Workspace::new(), &Genome(vec![0.01; 68]), key(0, 0)));
    assert!(matches!(after, Outcome::Evaluated(_)), "{after:?}");
}

#[test]
fn gradient_descent_is_evolved_by_its_hyperparameters() {
    let spec = spec(|spec| {
        problem(spec).rule = GradientDescentSpec::default().into();
        spec.evaluation.objective = Objective::Accuracy;
        spec.evaluation.unroll = vec![UnrollPhase { generations: 1, updates: 60 }];
    });
    let start = spec.layout().initial_mean();
    let runner = EpisodeRunner::new(spec).unwrap();
    let mut workspace = Workspace::new();
    let mut fitness = |log_rate: f64| {
        let genome = Genome([&[log_rate], &start.0[1..]].concat());
        let outcomes = (0..8).map(|task| run(&runner, &mut workspace, &genome, key(0, task)).fitness());
        outcomes.map(|fitness| fitness.map(Fitness::get)).sum::<Option<f64>>().map(|sum| sum / 8.0)
    };
    let (good, tiny) = (fitness(start.0[0]).unwrap(), fitness(-9.0).unwrap());
    assert!(good > 0.7 && good > tiny + 0.1, "{good} where a search starts, {tiny} without learning");
    assert_eq!(fitness(30.0), None, "steps that leave the finite numbers");
}

#[test]
fn a_genome_of_another_length_is_the_workers_error() {
    let runner = EpisodeRunner::new(spec(|_| ())).unwrap();
    let reason = "the genome has 67 values; a rule of this run has 68".to_owned();
    let outcome = run(&runner, &mut Workspace::new(), &Genome(vec![0.0; 67]), key(0, 0));
    assert_eq!(outcome, Outcome::WorkerError { reason });
}

#[test]
fn an_interrupt_ends_an_episode() {
    let runner = EpisodeRunner::new(spec(|_| ())).unwrap();
    let interrupt = Interrupt::new();
    interrupt.raise();
    let mut workspace = Workspace::new();
    assert_eq!(runner.run(&mut workspace, &genome(1), &key(0, 0), &interrupt), None);
    interrupt.clear();
    let outcome = runner.run(&mut workspace, &genome(1), &key(0, 0), &interrupt);
    assert_eq!(outcome, Some(run(&runner, &mut Workspace::new(), &genome(1), key(0, 0))));
}

#[test]
fn what_a_run_needs_and_is_not_there_is_said() {
    let no_family = spec(|spec| problem(spec).tasks = TaskSpec::of(vec![]));
    let error = EpisodeRunner::new(no_family).err().unwrap();
    assert_eq!(error, "tasks.families: must name at least one family");
}

#[test]
fn digits_and_planes_run_side_by_side() {
    let spec = spec(|spec| {
        problem(spec).tasks.families = vec![TaskFamily::Digits, TaskFamily::Xor];
        spec.evaluation.objective = Objective::Logistic;
    });
    let runner = EpisodeRunner::new(spec).unwrap();
    let mut workspace = Workspace::new();
    for (task, chance) in [(0, -10.0_f64.ln()), (1, -2.0_f64.ln())] {
        let fitness = run(&runner, &mut workspace, &Genome(vec![0.0; 68]), key(0, task)).fitness();
        // A rule of zeros predicts nothing: every class is as likely.
        assert!((fitness.unwrap().get() - chance).abs() < 1e-6, "{fitness:?}");
    }
}

/// A validation episode of a run with this unroll and factor.
fn validate(objective: Objective, updates: u32, unroll_factor: u32, genome: &Genome, task: u32) -> Outcome {
    let spec = spec(|spec| {
        spec.evaluation.objective = objective;
        spec.evaluation.measure = Measure::Curve(CurveWord::Curve);
        spec.evaluation.unroll = vec![UnrollPhase { generations: 1, updates }];
        spec.validation.as_mut().unwrap().unroll_factor = unroll_factor;
    });
    let runner = EpisodeRunner::new(spec).unwrap();
    let key = EpisodeKey { purpose: EpisodePurpose::Validation, ..key(25, task) };
    run(&runner, &mut Workspace::new(), genome, key)
}

#[test]
fn validation_measures_accuracy_before_the_first_update_after_the_training_unroll_and_long_after_it() {
    let (mut changed, mut learned) = (false, false);
    for task in 0..14 {
        let evaluation =
            |objective, updates, factor| match validate(objective, updates, factor, &genome(3), task) {
                Outcome::Evaluated(evaluation) => evaluation,
                other => panic!("{other:?}"),
            };
        // The same numbers of updates are reached by other unrolls, whatever the search's objective is.
        let ten = evaluation(Objective::Logistic, 10, 5);
        assert_eq!(Some(ten.fitness), evaluation(Objective::Accuracy, 5, 2).extended);
        assert_eq!(ten.extended, Some(evaluation(Objective::Accuracy, 50, 2).fitness));
        assert!((0.0..=1.0).contains(&ten.fitness.get()));
        changed |= ten.extended != Some(ten.fitness);
        // How much a network learns does not change what it was worth before.
        let mut eager = genome(3);
        *eager.0.last_mut().unwrap() += 1.0;
        let eager = validate(Objective::Accuracy, 5, 2, &eager, task);
        assert_eq!(eager.evaluation().map(|evaluation| evaluation.unadapted), Some(ten.unadapted));
        learned |= ten.unadapted != Some(ten.fitness);
    }
    assert!(changed, "forty updates make no difference to any task");
    assert!(learned, "ten updates make no difference to any task");
}

#[test]
fn a_network_that_leaves_the_finite_numbers_later_was_worth_something_before() {
    // Synapses that forget nothing and grow by up to a tenth of what a number can hold in each update.
    let growing = |update: f64| {
        let mut genome = genome(3);
        let gates = genome.0.len() - 2;
        genome.0[gates..].copy_from_slice(&[-30.0, update]);
        genome
    };
    let outcomes: Vec<Outcome> = [84.0, 86.0, 88.0, 90.0]
        .iter()
        .flat_map(|&update| {
            (0..6).map(move |task| validate(Objective::Accuracy, 1, 100, &growing(update), task))
        })
        .collect();
    let later = |outcome: &Outcome| matches!(outcome, Outcome::Evaluated(evaluation) if evaluation.extended.is_none());
    assert!(outcomes.iter().any(later), "{outcomes:?}");
}

#[test]
fn a_spec_without_validation_has_no_validation_episodes() {
    let runner = EpisodeRunner::new(spec(|spec| spec.validation = None)).unwrap();
    let key = EpisodeKey { purpose: EpisodePurpose::Validation, ..key(25, 0) };
    let outcome = run(&runner, &mut Workspace::new(), &genome(3), key);
    assert!(matches!(outcome, Outcome::Rejected { .. }), "{outcome:?}");
}

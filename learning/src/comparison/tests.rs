use std::sync::atomic::{AtomicU64, Ordering};

use hebbian_shared::seed::fill_normal;
use hebbian_shared::spec::RunSpec;
use hebbian_shared::spec::data_set::DataSetSpec;
use hebbian_shared::spec::network::NetworkSpec;
use hebbian_shared::spec::rule::RuleSpec;
use hebbian_shared::spec::rule::update_networks::{Associator, UpdateNetworksSpec, associator};
use hebbian_shared::spec::task::{LabelNoiseSpec, TaskSpec};

use super::*;
use crate::evaluation::Threads;
use crate::task::data_set::{DataSet, DataSetError, DataSets, NoDataSets};

fn rule() -> RuleLearning {
    let spec = RunSpec::read(include_str!("../../../examples/quickstart.toml")).unwrap();
    let mut rule = spec.problem.rule_learning().unwrap().clone();
    rule.tasks.families.truncate(3);
    rule
}

fn genome(length: usize) -> Genome {
    let mut values = vec![0.0; length];
    fill_normal(&mut Seed::new(3).unwrap().rng(), &mut values);
    Genome(values.into_iter().map(|value| 0.3 * value).collect())
}

fn settings() -> ComparisonSettings {
    let families = vec![TaskFamily::And, TaskFamily::Xor, TaskFamily::Sine, TaskFamily::Digits];
    ComparisonSettings {
        updates: vec![5, 10, 30],
        tasks_per_family: 4,
        ..ComparisonSettings::new(&rule(), families, Seed::new(1).unwrap())
    }
}

const ALONE: Threads<'_> = Threads { threads: 1, data: &NoDataSets };

fn run(settings: &ComparisonSettings) -> Result<Comparison, ComparisonError> {
    run_rule(&rule(), &genome(68), settings, &ALONE)
}

fn run_rule(
    rule: &RuleLearning,
    genome: &Genome,
    settings: &ComparisonSettings,
    evaluate: &dyn Evaluate,
) -> Result<Comparison, ComparisonError> {
    let effort = Some(tuning::Effort::LEAST);
    compare_with(rule, genome, settings, effort, evaluate, &|_, _| (), &Interrupt::new())
}

fn check(change: impl FnOnce(&mut ComparisonSettings), expected: &str) {
    let mut settings = settings();
    change(&mut settings);
    let error = run(&settings).expect_err(expected).to_string();
    assert!(error.starts_with(expected), "{error}");
}

#[test]
fn the_result_does_not_depend_on_the_threads() {
    let one = run(&settings()).unwrap();
    for threads in [2, 5] {
        let several = Threads { threads, ..ALONE };
        assert_eq!(run_rule(&rule(), &genome(68), &settings(), &several).unwrap(), one);
    }
    let other = run(&ComparisonSettings { seed: Seed::new(2).unwrap(), ..settings() }).unwrap();
    assert_ne!(other.families, one.families);
}

#[test]
fn tasks_do_not_depend_on_the_other_families() {
    let all = run(&settings()).unwrap();
    let alone = run(&ComparisonSettings { families: vec![TaskFamily::Sine], ..settings() }).unwrap();
    assert_eq!(alone.families[0], all.families[2]);
}

#[test]
fn baselines_learn_and_the_report_says_what_was_trained_on() {
    let comparison = run(&settings()).unwrap();
    let trained: Vec<_> = comparison.families.iter().map(|of| (of.family, of.trained_on)).collect();
    let expected = [
        (TaskFamily::And, false),
        (TaskFamily::Xor, true),
        (TaskFamily::Sine, false),
        (TaskFamily::Digits, false),
    ];
    assert_eq!(trained, expected);
    let groups: Vec<_> = comparison.groups.iter().map(|group| group.name.as_str()).collect();
    assert_eq!(groups, ["boolean", "xor", "random", "digits"]);
    for kind in Optimizer::CUSTOMARY {
        let tuned: Vec<_> =
            comparison.baselines.iter().filter(|one| one.configuration.kind == *kind).collect();
        assert_eq!(tuned.iter().map(|one| one.tuned_for.len()).sum::<usize>(), 2, "{tuned:?}");
    }
    for family in &comparison.families {
        let best: Vec<f64> = family.columns.iter().map(|column| column.best.mean).collect();
        assert!(best[2] > 0.8, "{}: {best:?}", family.family);
        for column in &family.columns {
            let difference = column.rule.mean - column.best.mean;
            assert!((column.difference.mean - difference).abs() < 1e-12);
            assert!(column.baselines.iter().all(|baseline| baseline.accuracy.mean <= column.best.mean));
        }
    }
    let json = serde_json::to_value(&comparison).unwrap();
    assert_eq!(json["families"][2]["family"], "sine");
    assert!(json["groups"][0]["columns"][1]["difference"]["standard_error"].is_number());
    assert_eq!(serde_json::from_value::<Comparison>(json).unwrap(), comparison);
}

#[test]
fn progress_grows_to_its_total() {
    let (most, total) = (AtomicU64::new(0), AtomicU64::new(0));
    let progress = |done, of| {
        assert!(most.fetch_max(done, Ordering::Relaxed) <= of);
        total.store(of, Ordering::Relaxed);
    };
    let effort = Some(tuning::Effort::LEAST);
    compare_with(&rule(), &genome(68), &settings(), effort, &ALONE, &progress, &Interrupt::new()).unwrap();
    assert!(total.load(Ordering::Relaxed) > 0);
    assert_eq!(most.into_inner(), total.into_inner());
}

#[test]
fn an_interrupt_ends_a_comparison() {
    let interrupt = Interrupt::new();
    let progress = |done, _| {
        if done > 0 {
            interrupt.raise();
        }
    };
    let two = Threads { threads: 2, ..ALONE };
    let ended = compare(&rule(), &genome(68), &settings(), &two, &progress, &interrupt);
    assert_eq!(ended, Err(ComparisonError::Interrupted));
}

#[test]
fn wrong_settings_are_named() {
    check(|settings| settings.families.clear(), "families: must name at least one");
    check(|settings| settings.families.push(TaskFamily::And), "families: names `and` twice");
    check(|settings| settings.baselines = Some(Vec::new()), "baselines: must name at least one");
    check(|settings| settings.baselines = Some(vec![Optimizer::Adam; 2]), "baselines: names `adam` twice");
    check(
        |settings| settings.ablations = vec![Ablation::ReadoutOnly; 2],
        "ablations: names `readout only` twice",
    );
    check(|settings| settings.updates.clear(), "updates: must be 1 to 32 numbers");
    check(|settings| settings.updates = vec![0, 5], "updates: must be from 1 to 2000, not 0");
    check(|settings| settings.updates = vec![2001], "updates: must be from 1 to 2000, not 2001");
    check(|settings| settings.updates = vec![5, 5], "updates: must increase, but 5 follows 5");
    check(|settings| settings.tasks_per_family = 1, "tasks_per_family: must be from 2 to 100000, not 1");
    let wrong = |rule: &RuleLearning, genome: &Genome, expected: &str| {
        let settings = ComparisonSettings { ablations: Ablation::OF_MULTI_STATE.to_vec(), ..settings() };
        let error = run_rule(rule, genome, &settings, &ALONE).unwrap_err();
        assert!(error.to_string().starts_with(expected), "{error}");
    };
    let mut empty = rule();
    empty.network.hidden = vec![0];
    wrong(&empty, &genome(68), "rule: network.hidden[0]: must be");
    wrong(&rule(), &genome(20), "the genome has 20 values; a rule of these options has 68");
    let descent = RuleLearning { rule: RuleSpec::of_each_family().nth(1).unwrap(), ..rule() };
    wrong(
        &descent,
        &genome(3),
        "ablations: `no backward` cannot be taken from a rule of the family gradient-descent",
    );
}

/// With a test part of its own: what is trained on is not what is tested on.
struct Only(std::sync::Arc<DataSet>);

impl DataSets for Only {
    fn find(
        &self,
        _: hebbian_shared::spec::data_set::DataSetName,
        _: Option<hebbian_shared::digest::Digest>,
    ) -> Result<std::sync::Arc<DataSet>, DataSetError> {
        Ok(std::sync::Arc::clone(&self.0))
    }
}

#[test]
fn ablations_take_from_the_rule_what_they_say() {
    let settings = ComparisonSettings {
        families: vec![TaskFamily::Xor, TaskFamily::Sine],
        baselines: Some(vec![Optimizer::Sgd]),
        ablations: Ablation::OF_MULTI_STATE.to_vec(),
        ..settings()
    };
    let ablated = run(&settings).unwrap();
    let whole = run(&ComparisonSettings { ablations: Vec::new(), ..settings.clone() }).unwrap();
    for (with, without) in ablated.families.iter().zip(&whole.families) {
        for (with, without) in with.columns.iter().zip(&without.columns) {
            assert_eq!(
                (with.rule, &with.baselines),
                (without.rule, &without.baselines),
                "nothing else changes"
            );
            let names: Vec<Ablation> = with.ablations.iter().map(|ablated| ablated.ablation).collect();
            assert_eq!(names, Ablation::OF_MULTI_STATE);
            for ablated in &with.ablations {
                let loss = with.rule.mean - ablated.accuracy.mean;
                assert!((ablated.loss.mean - loss).abs() < 1e-12);
            }
        }
    }
    for place in 0..Ablation::OF_MULTI_STATE.len() {
        let mut columns = ablated.families.iter().flat_map(|family| &family.columns);
        assert!(
            columns.any(|column| column.ablations[place].loss.mean != 0.0),
            "{:?}",
            Ablation::OF_MULTI_STATE[place]
        );
    }
    // A network without hidden layers is nothing but its readout.
    let mut rule = rule();
    rule.network.hidden.clear();
    let error = run_rule(&rule, &genome(68), &settings, &ALONE).unwrap_err().to_string();
    let expected =
        "ablations: `no backward` cannot be taken from a rule of the family multi-state here, nothing can";
    assert_eq!(error, expected);
    // Some networks with hidden layers are enough.
    rule.network.shapes = vec![Vec::new(), vec![5]];
    assert_eq!(rule::family(&rule.rule).ablations(&rule), Ablation::OF_MULTI_STATE);
    // What the rule lacks by its options is gone already.
    for (always, left) in [
        (Ablation::NoBackwardTransform, &[Ablation::HiddenSynapsesFrozen][..]),
        (Ablation::HiddenSynapsesFrozen, &[Ablation::NoBackwardTransform]),
        (Ablation::ReadoutOnly, &[]),
    ] {
        let RuleSpec::MultiState(options) = &mut rule.rule else { panic!("{:?}", rule.rule) };
        options.ablation = Some(always);
        assert_eq!(rule::family(&rule.rule).ablations(&rule), left, "{always}");
    }
}

#[test]
fn regression_is_scored_by_explained_variance_and_baselines_learn_it() {
    let families = vec![TaskFamily::RegressLinear, TaskFamily::And];
    let settings = ComparisonSettings { families, updates: vec![5, 30], ..settings() };
    let comparison = run(&settings).unwrap();
    let scores: Vec<Score> = comparison.families.iter().map(|family| family.score).collect();
    assert_eq!(scores, [Score::ExplainedVariance, Score::Accuracy]);
    assert_eq!(comparison.groups[0].name, "regression");
    let squared = |baseline: &TunedBaseline| {
        baseline.configuration.loss == hebbian_shared::spec::rule::gradient_descent::Loss::Squared
    };
    assert!(comparison.baselines.iter().all(squared), "values have no logistic loss");
    let best = comparison.families[0].columns[1].best.mean;
    assert!(best > 0.8 && best <= 1.0, "{best}");
}

#[test]
fn rules_are_compared_on_data_sets_and_in_mixed_shapes() {
    let data = Only(std::sync::Arc::new(crate::task::data_set::small([300, 40], (4, 4), &[3, 5, 8])));
    let name = "small".parse().unwrap();
    let mut rule = rule();
    rule.network.shapes = vec![vec![3], vec![4, 2]];
    rule.network.hidden.clear();
    rule.tasks.data_sets = vec![hebbian_shared::spec::data_set::DataSetSpec::of(name, 2)];
    let families = vec![TaskFamily::Idx(name), TaskFamily::And];
    let settings = ComparisonSettings { families, updates: vec![1, 2], ..settings() };
    let compare =
        |data: &dyn DataSets| run_rule(&rule, &genome(68), &settings, &Threads { threads: 1, data });
    let comparison = compare(&data).unwrap();
    assert_eq!(comparison.shapes, [vec![3], vec![4, 2]]);
    assert_eq!(comparison.data_sets, rule.tasks.data_sets);
    assert_eq!(comparison.families[0].family, TaskFamily::Idx(name));
    let error = compare(&NoDataSets).unwrap_err().to_string();
    assert!(error.starts_with("data set `small` is missing"), "{error}");
}

#[test]
fn rivals_are_tuned_and_tried_beside_the_baselines() {
    let families = vec![TaskFamily::Sine, TaskFamily::Xor];
    let rivals = Some(vec![Rival::TunedThere, Rival::Wider]);
    let settings = ComparisonSettings { families, rivals, updates: vec![2, 10], ..settings() };
    let with = run(&settings).unwrap();
    let without = run(&ComparisonSettings { rivals: None, ..settings.clone() }).unwrap();
    assert_eq!(with.baselines, without.baselines);
    let sets: Vec<_> =
        with.rivals.iter().map(|of| (of.rival, &of.set.tuned_on[..], &of.set.shapes[0][..])).collect();
    let trained = &rule().tasks.families[..];
    let there = |family| (Rival::TunedThere, family, &[20][..]);
    let expected =
        [there(&[TaskFamily::Sine][..]), there(&[TaskFamily::Xor]), (Rival::Wider, trained, &[40])];
    assert_eq!(sets, expected);
    for (with, without) in with.families.iter().zip(&without.families) {
        for (with, without) in with.columns.iter().zip(&without.columns) {
            assert_eq!((with.rule, &with.baselines), (without.rule, &without.baselines));
            let rivals: Vec<_> = with.rivals.iter().map(|of| of.rival).collect();
            assert_eq!(rivals, [Rival::TunedThere, Rival::Wider]);
            for of in &with.rivals {
                assert!((of.difference.mean - (with.rule.mean - of.accuracy.mean)).abs() < 1e-12);
            }
        }
    }
    // Baselines of a rule have no more features than baselines.
    let descent = RuleLearning { rule: RuleSpec::of_each_family().nth(1).unwrap(), ..rule() };
    let error = run_rule(&descent, &genome(3), &settings, &ALONE).unwrap_err().to_string();
    assert!(error.starts_with("rivals: `wider`: the rule has one feature a neuron"), "{error}");
}

#[test]
fn the_ceiling_is_measured_where_it_is_asked_for() {
    let rivals = Some(vec![Rival::Ceiling]);
    let families = vec![TaskFamily::Circle];
    let settings = ComparisonSettings { families, rivals, updates: vec![1, 20], ..settings() };
    // Twenty updates of few examples are solved fast.
    let mut rule = rule();
    rule.tasks.batch_size = 8;
    let run = |settings: &ComparisonSettings| run_rule(&rule, &genome(68), settings, &ALONE);
    let with = run(&settings).unwrap();
    let [ceiling] = &with.ceilings[..] else { panic!("{:?}", with.ceilings) };
    assert_eq!((ceiling.family, ceiling.tasks, ceiling.after(2)), (TaskFamily::Circle, 4, None));
    let [first, last] = [1, 20].map(|updates| ceiling.after(updates).unwrap().mean);
    assert!(last > first.max(0.8) && last <= 1.0, "{first} {last}");
    let without = run(&ComparisonSettings { rivals: None, ..settings }).unwrap();
    assert_eq!(without, Comparison { ceilings: Vec::new(), ..with });
}

#[test]
fn the_settings_of_the_images_are_known() {
    let spec = RunSpec::read(include_str!("../../../examples/images.toml")).unwrap();
    let rule = spec.problem.rule_learning().unwrap();
    let genome = Genome(vec![0.0; rule.layout().dimension()]);
    let families = vec![TaskFamily::Digits, TaskFamily::Fashion];
    let settings = ComparisonSettings {
        updates: vec![2, 10],
        tasks_per_family: 2,
        ..ComparisonSettings::new(rule, families, Seed::new(1).unwrap())
    };
    let compared = compare(rule, &genome, &settings, &ALONE, &|_, _| (), &Interrupt::new()).unwrap();
    assert_eq!(compared.tuned_by, TunedBy::Table);
    let columns = |family: usize| -> Vec<Rival> {
        compared.families[family].columns[0].rivals.iter().map(|of| of.rival).collect()
    };
    assert_eq!(columns(0), [Rival::ConstantRates, Rival::Wider]);
    let all = [Rival::ConstantRates, Rival::TunedThere, Rival::ConstantThere, Rival::Wider];
    assert_eq!(columns(1), all);
    let only = ComparisonSettings { baselines: Some(vec![Optimizer::Nesterov]), ..settings };
    let compared = compare(rule, &genome, &only, &ALONE, &|_, _| (), &Interrupt::new()).unwrap();
    assert!(compared.baselines.iter().all(|one| one.configuration.kind == Optimizer::Nesterov));
}

#[test]
fn baselines_of_an_earlier_comparison_are_taken_as_they_are() {
    let mut earlier = run(&settings()).unwrap();
    let settings = |earlier: &Comparison| ComparisonSettings { earlier: vec![earlier.clone()], ..settings() };
    let again = run_rule(&rule(), &genome(68), &settings(&earlier), &ALONE).unwrap();
    assert_eq!(again, earlier, "the same baselines, not tuned again");
    // Not what a tuning would find.
    earlier.baselines.truncate(1);
    earlier.baselines[0].configuration.learning_rate = 0.125;
    let with = |rule: &RuleLearning, earlier: &Comparison| {
        compare(rule, &genome(68), &settings(earlier), &ALONE, &|_, _| (), &Interrupt::new())
    };
    assert_eq!(with(&rule(), &earlier).unwrap().baselines, earlier.baselines);

    let mut wider = rule();
    wider.network.hidden = vec![21];
    let error = with(&wider, &earlier).unwrap_err().to_string();
    let expected =
        "baselines_from: [0]: has baselines for xor, or, projected-xor in hidden layers [[20]]; none of them";
    assert!(error.starts_with(expected) && error.contains("hidden layers [[21]]"), "{error}");
    let mut other = rule();
    other.tasks.families.truncate(2);
    assert!(with(&other, &earlier).is_err(), "tuned on other families");
    let nesterov = ComparisonSettings { baselines: Some(vec![Optimizer::Nesterov]), ..settings(&earlier) };
    let error = run(&nesterov).unwrap_err().to_string();
    assert_eq!(error, "baselines: no settings of these are known, or can be tried");
    for wrong in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        earlier.baselines[0].configuration.learning_rate = wrong;
        let error = with(&rule(), &earlier).unwrap_err().to_string();
        assert!(error.starts_with("baselines_from: [0]: the settings of `"), "{wrong}: {error}");
    }
}

#[test]
fn baselines_of_other_data_are_not_taken() {
    let data = |side| DataSetSpec { side, ..DataSetSpec::of("mine".parse().unwrap(), 8) };
    let mut rule = rule();
    rule.tasks.families = vec![TaskFamily::Idx("mine".parse().unwrap())];
    rule.tasks.data_sets = vec![data(28)];
    let mut earlier = run(&settings()).unwrap();
    earlier.training_families.clone_from(&rule.tasks.families);
    earlier.data_sets.clone_from(&rule.tasks.data_sets);
    let find = |earlier: &Comparison| {
        let settings = ComparisonSettings { earlier: vec![earlier.clone()], ..settings() };
        earlier::find(&settings, &rule, &rule.tasks.families)
    };
    assert_eq!(find(&earlier).unwrap().baselines, earlier.baselines);
    earlier.data_sets = vec![data(14)];
    assert_eq!(find(&earlier), None);
    earlier.data_sets.clear();
    assert_eq!(find(&earlier), None);
}

#[test]
fn a_comparison_says_its_label_noise_and_baselines_of_other_noise_are_not_taken() {
    let mut noisy = rule();
    let noise = LabelNoiseSpec { samples: 100, ..LabelNoiseSpec::default() };
    noisy.tasks.label_noise = Some(noise.clone());
    let settings = ComparisonSettings { families: vec![TaskFamily::Sine], updates: vec![2], ..settings() };
    let plain = run(&settings).unwrap();
    let compared = run_rule(&noisy, &genome(68), &settings, &ALONE).unwrap();
    assert_eq!((&plain.label_noise, &compared.label_noise), (&None, &Some(noise.clone())));
    assert_ne!(compared.families, plain.families, "other tasks");
    let json = serde_json::to_value(&compared).unwrap();
    assert_eq!(json["label_noise"], serde_json::to_value(&noise).unwrap());
    assert!(serde_json::to_value(&plain).unwrap().get("label_noise").is_none());
    let with = |rule: &RuleLearning, earlier: &Comparison| {
        let settings = ComparisonSettings { earlier: vec![earlier.clone()], ..settings.clone() };
        run_rule(rule, &genome(68), &settings, &ALONE)
    };
    assert_eq!(with(&noisy, &compared).unwrap().baselines, compared.baselines);
    let error = with(&noisy, &plain).unwrap_err().to_string();
    assert!(error.starts_with("baselines_from: [0]: ") && error.ends_with("the same label noise"), "{error}");
    assert!(with(&rule(), &compared).is_err());
    noisy.tasks.label_noise = Some(LabelNoiseSpec { clean: 4, ..noise });
    assert!(with(&noisy, &compared).is_err(), "another number of clean examples");
}

#[test]
fn settings_near_the_known_ones_are_tried() {
    let mut rule = rule();
    rule.tasks.families = vec![TaskFamily::Xor];
    let settings = ComparisonSettings {
        families: vec![TaskFamily::Xor],
        baselines: Some(vec![Optimizer::Adam]),
        tuned_over: Some(TunedOver::Near),
        updates: vec![3],
        ..settings()
    };
    let compared = compare(&rule, &genome(68), &settings, &ALONE, &|_, _| (), &Interrupt::new()).unwrap();
    assert_eq!(compared.tuned_by, TunedBy::Near);
    let known: Vec<_> = table::configurations().collect();
    assert!(compared.baselines.iter().any(|one| one.name.ends_with(" decay")));
    for TunedBaseline { configuration, .. } in &compared.baselines {
        let is_near = |known: &BaselineSettings| {
            let ratio = configuration.learning_rate / known.learning_rate;
            (1.0 / 32.0..=2.0).contains(&ratio)
                && BaselineSettings { learning_rate: known.learning_rate, ..*configuration } == *known
        };
        assert!(known.iter().any(is_near), "{configuration:?}");
    }
}

#[test]
fn a_rule_that_answers_in_pairs_says_so() {
    let spec = RunSpec::read(include_str!("../../../examples/plane.toml")).unwrap();
    let rule = spec.problem.rule_learning().unwrap();
    let families = vec![TaskFamily::And];
    let settings = ComparisonSettings { families, updates: vec![2], ..settings() };
    let compared = run_rule(rule, &spec.initial_mean(), &settings, &ALONE).unwrap();
    assert!(compared.answers_in_pairs);
    assert!(!run(&settings).unwrap().answers_in_pairs);
}

/// Gradient descent is a rule like any other: with a baseline's hyperparameters it has the baseline's scores.
#[test]
fn a_tuned_baseline_is_a_genome_of_gradient_descent() {
    let whole = run(&settings()).unwrap();
    for (place, tuned) in whole.baselines.iter().enumerate() {
        let problem = baseline::problem(&rule(), tuned.configuration.options());
        let genome = tuned.configuration.genome(&problem);
        let again = run_rule(&problem, &genome, &settings(), &ALONE).unwrap();
        for (again, before) in again.families.iter().zip(&whole.families) {
            for (again, before) in again.columns.iter().zip(&before.columns) {
                assert_eq!(again.rule, before.baselines[place].accuracy);
                assert_eq!(again.baselines, before.baselines);
            }
        }
    }
}

#[test]
fn memories_stand_beside_update_networks_and_recall_is_told_by_position() {
    let delta = associator(Associator::DeltaRule, 0.4);
    let rule = RuleLearning {
        rule: RuleSpec::UpdateNetworks(UpdateNetworksSpec::of_associator()),
        network: NetworkSpec { hidden: Vec::new(), ..NetworkSpec::default() },
        tasks: TaskSpec { batch_size: 1, query_size: 32, ..TaskSpec::of(vec![TaskFamily::RememberBits]) },
    };
    let other = |name: &str, genome: &Genome| {
        Companion::new((name, "the same"), rule.clone(), vec![(String::new(), genome.clone())])
    };
    let settings = ComparisonSettings {
        updates: vec![4, 16],
        tasks_per_family: 8,
        baselines: Some(vec![Optimizer::Sgd]),
        others: vec![other("again", &delta)],
        ..ComparisonSettings::new(&rule, vec![TaskFamily::RememberBits], Seed::new(1).unwrap())
    };
    let comparison = run_rule(&rule, &delta, &settings, &ALONE).unwrap();
    let names: Vec<&str> = comparison.companions.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names, ["outer product", "delta rule", "delta x 10", "least squares", "again"]);
    for column in &comparison.groups[0].columns {
        let of = |place: usize| &column.companions[place];
        assert!(of(0).accuracy.mean < of(1).accuracy.mean && of(1).accuracy.mean < of(2).accuracy.mean);
        assert!(of(3).accuracy.mean > 0.99, "{}: {}", column.updates, of(3).accuracy.mean);
        let is_setting = of(1).setting.as_deref().and_then(|rate| rate.parse::<f64>().ok());
        assert!(is_setting.is_some_and(|rate| (0.2..=0.7).contains(&rate)), "{:?}", of(1).setting);
        assert_eq!((of(4).difference.mean, of(4).setting.clone()), (0.0, None));
    }
    // Eighths of 4 pairs would be pairs that stand there twice.
    let [few, many] = &comparison.groups[0].columns[..] else { panic!("{:?}", comparison.groups) };
    assert_eq!((few.positions.len(), many.positions.len()), (0, 8));
    assert_eq!(serde_json::to_value(few).unwrap()["positions"], serde_json::json!([]));
    let mean = many.positions.iter().map(|part| part.mean).sum::<f64>() / 8.0;
    assert!((mean - many.rule.mean).abs() < 1e-12);
    // The delta rule forgets.
    let parts = &comparison.groups[0].columns[1].positions;
    assert!(parts[0].mean < parts[7].mean - 0.1, "{parts:?}");
    let few = ComparisonSettings { rivals: Some(Vec::new()), others: Vec::new(), ..settings.clone() };
    let mut pairs = rule.clone();
    pairs.tasks.batch_size = 2;
    let compared = run_rule(&pairs, &delta, &few, &ALONE).unwrap();
    assert!(compared.companions.is_empty());
    assert!(compared.families[0].columns.iter().all(|column| column.positions.len() == 8), "8 and 32 pairs");
    let short = ComparisonSettings { others: vec![other("short", &genome(3))], ..settings };
    let error = run_rule(&rule, &delta, &short, &ALONE).unwrap_err().to_string();
    assert!(error.starts_with("others: short has 3 values"), "{error}");
}

use std::sync::atomic::{AtomicU64, Ordering};

use hebbian_shared::seed::fill_normal;
use hebbian_shared::spec::{Problem, RunSpec};

use super::*;

fn rule() -> RuleLearning {
    let spec = RunSpec::from_toml(include_str!("../../../examples/quickstart.toml")).unwrap();
    let Problem::RuleLearning(mut rule) = spec.problem;
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
        ..ComparisonSettings::new(families, Seed::new(1).unwrap(), 1)
    }
}

fn run(settings: &ComparisonSettings) -> Result<Comparison, ComparisonError> {
    compare_with(&rule(), &genome(68), settings, tuning::Effort::LEAST, &|_, _| (), &Interrupt::new())
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
        assert_eq!(run(&ComparisonSettings { threads, ..settings() }).unwrap(), one);
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
    let kinds = BaselineKind::ALL;
    for kind in kinds {
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
    let effort = tuning::Effort::LEAST;
    compare_with(&rule(), &genome(68), &settings(), effort, &progress, &Interrupt::new()).unwrap();
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
    let settings = ComparisonSettings { threads: 2, ..settings() };
    let ended = compare(&rule(), &genome(68), &settings, &progress, &interrupt);
    assert_eq!(ended, Err(ComparisonError::Interrupted));
}

#[test]
fn wrong_settings_are_named() {
    check(|settings| settings.families.clear(), "families: must name at least one");
    check(|settings| settings.families.push(TaskFamily::And), "families: names `and` twice");
    check(|settings| settings.baselines.clear(), "baselines: must name at least one");
    check(|settings| settings.baselines.push(BaselineKind::Adam), "baselines: names `adam` twice");
    check(|settings| settings.updates.clear(), "updates: must be 1 to 32 numbers");
    check(|settings| settings.updates = vec![0, 5], "updates: must be from 1 to 2000, not 0");
    check(|settings| settings.updates = vec![2001], "updates: must be from 1 to 2000, not 2001");
    check(|settings| settings.updates = vec![5, 5], "updates: must increase, but 5 follows 5");
    check(|settings| settings.tasks_per_family = 1, "tasks_per_family: must be from 2 to 100000, not 1");
    check(|settings| settings.threads = 0, "threads: must be from 1 to 1024, not 0");
    let wrong = |change: &dyn Fn(&mut RuleLearning), expected: &str| {
        let mut rule = rule();
        change(&mut rule);
        let settings = ComparisonSettings { updates: vec![2000], ..settings() };
        let error = compare(&rule, &genome(68), &settings, &|_, _| (), &Interrupt::new()).unwrap_err();
        assert!(error.to_string().starts_with(expected), "{error}");
    };
    wrong(&|rule| rule.network.hidden = vec![0], "rule: network.hidden[0]: must be");
    wrong(&|rule| rule.tasks.batch_size = 16384, "updates: 2000 batches of 16384 examples of digits");
    let error = compare(&rule(), &genome(20), &settings(), &|_, _| (), &Interrupt::new()).unwrap_err();
    assert_eq!(error.to_string(), "the genome has 20 values; a rule of these options has 68");
}

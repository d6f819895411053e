use super::*;

const HEALTHY: [(TaskFamily, f64, f64); 6] = [
    (TaskFamily::Xor, 0.96, 0.96),
    (TaskFamily::Circle, 0.93, 0.93),
    (TaskFamily::Nxor, 0.95, 0.95),
    (TaskFamily::And, 0.97, 0.97),
    (TaskFamily::Sine, 0.91, 0.91),
    (TaskFamily::Square, 0.92, 0.92),
];

/// What a validation shows in which each family has eight tasks around an accuracy at the end of the training unroll and
/// of the extended one; xor and circle are trained on.
fn check(accuracies: &[(TaskFamily, f64, f64)], change: impl FnOnce(&mut Findings<'_>), expected: &[&str]) {
    let spread = [-0.03, -0.02, -0.01, 0.0, 0.0, 0.01, 0.02, 0.03];
    let tasks = spread.iter().flat_map(|offset| {
        accuracies.iter().map(move |&(family, accuracy, extended)| Task {
            family,
            trained: matches!(family, TaskFamily::Xor | TaskFamily::Circle),
            unseen: false,
            keyed: None,
            agreement: None,
            diverged: false,
            unadapted: 0.5,
            accuracy: accuracy + offset,
            extended: extended + offset,
        })
    });
    let history = History::default();
    let norms = [("forward_transform", 4.0), ("synapse_update", 0.1)];
    let norms = norms.map(|(segment, norm)| SegmentNorm { segment: segment.to_owned(), norm });
    let mut findings = Findings {
        generation: GenerationIndex(250),
        updates: 10,
        extended_updates: 50,
        longest: true,
        tasks: tasks.collect(),
        norms: &norms,
        history: &history,
    };
    change(&mut findings);
    let warnings = findings.warnings();
    let found: Vec<&str> = warnings.iter().map(|warning| warning.failure.as_str()).collect();
    assert_eq!(found, expected, "{warnings:?}");
}

fn with(changes: &[(TaskFamily, f64, f64)]) -> Vec<(TaskFamily, f64, f64)> {
    let changed = |family| changes.iter().copied().find(|(of, ..)| *of == family);
    HEALTHY.iter().map(|&healthy| changed(healthy.0).unwrap_or(healthy)).collect()
}

#[test]
fn a_healthy_rule_is_not_warned_of() {
    check(&HEALTHY, |_| {}, &[]);
}

#[test]
fn a_linear_plateau_shows_on_xor_like_tasks_after_a_while() {
    let linear = with(&[(TaskFamily::Xor, 0.8, 0.8), (TaskFamily::Nxor, 0.79, 0.79)]);
    check(&linear, |_| {}, &["linear plateau"]);
    check(&linear, |findings| findings.generation = GenerationIndex(199), &[]);
}

#[test]
fn a_rule_that_unlearns_is_overfitted_to_its_unroll_unless_that_will_grow() {
    let falling: Vec<_> = HEALTHY.iter().map(|&(family, a, _)| (family, a, a - 0.04)).collect();
    check(&falling, |_| {}, &["overfitting to the unroll"]);
    check(&falling, |findings| findings.longest = false, &[]);
    let less: Vec<_> = HEALTHY.iter().map(|&(family, a, _)| (family, a, a - 0.02)).collect();
    check(&less, |_| {}, &[]);
    // Two tasks of 48 that fall far make a large mean and a large error.
    let two = |findings: &mut Findings<'_>| {
        for task in &mut findings.tasks[..2] {
            task.extended = 0.0;
        }
    };
    check(&HEALTHY, two, &[]);
}

#[test]
fn a_rule_that_knows_only_the_origin_is_blind_to_offsets() {
    let blind = with(&[
        (TaskFamily::Circle, 0.86, 0.86),
        (TaskFamily::Sine, 0.87, 0.87),
        (TaskFamily::Square, 0.86, 0.86),
    ]);
    check(&blind, |_| {}, &["offset-blind rule"]);
}

#[test]
fn other_families_that_fall_behind_or_off_show_meta_overfitting() {
    let behind = with(&[
        (TaskFamily::Nxor, 0.6, 0.6),
        (TaskFamily::And, 0.6, 0.6),
        (TaskFamily::Sine, 0.6, 0.6),
        (TaskFamily::Square, 0.6, 0.6),
    ]);
    let early = |findings: &mut Findings<'_>| findings.generation = GenerationIndex(50);
    check(&behind, early, &["meta-overfitting"]);
    for (updates, expected) in [(10, &["meta-overfitting"][..]), (30, &[])] {
        let history = History(BTreeMap::from([(updates, 0.99)]));
        check(&with(&[(TaskFamily::And, 0.93, 0.93)]), |findings| findings.history = leak(history), expected);
    }
}

fn leak(history: History) -> &'static History {
    Box::leak(Box::new(history))
}

#[test]
fn large_norms_are_a_drift_of_scale() {
    let norms = [("forward_transform", 112.0), ("synapse_update", 0.015)];
    let norms = norms.map(|(segment, norm)| SegmentNorm { segment: segment.to_owned(), norm });
    let norms: &'static [SegmentNorm] = Box::leak(Box::new(norms));
    check(&HEALTHY, |findings| findings.norms = norms, &["scale drift"]);
}

#[test]
fn a_quarter_of_the_candidates_is_too_much_divergence() {
    let of = |spec: &RunSpec, diverged: usize| {
        let fit = Verdict::Fit(Fitness::new(1.0).unwrap());
        let verdict = |i| if i < diverged { Verdict::Diverged { episodes: 1 } } else { fit };
        divergence(spec, GenerationIndex(3), &(0..16).map(verdict).collect::<Vec<_>>())
    };
    let rules = RunSpec::read(include_str!("../../../../examples/quickstart.toml")).unwrap();
    assert_eq!(of(&rules, 3), None);
    let figure = of(&rules, 4).unwrap().figure;
    assert_eq!(figure, "4 of 16 candidates of generation 3 left the finite numbers");
    let external = "name = \"mine\"\nstrategy = { kind = \"cma-es\", population_size = 8 }\nstop = { generations = 1 }\n\
                    [problem]\nkind = \"external\"\nname = \"mine\"\ndirection = \"maximise\"\n\
                    [[problem.parameters]]\nname = \"x\"\nkind = \"real\"\nlow = 0\nhigh = 1\n";
    let figure = of(&RunSpec::read(external).unwrap(), 4).unwrap().figure;
    assert_eq!(figure, "4 of 16 candidates of generation 3 failed");
}

#[test]
fn norms_are_those_of_the_parameters() {
    let spec = RunSpec::read(include_str!("../../../../examples/quickstart.toml")).unwrap();
    let layout = spec.layout();
    let norms = norms(&layout, &Genome(vec![2.0; layout.dimension()]));
    let of = |name: &str| norms.iter().find(|norm| norm.segment == name).unwrap().norm;
    assert_eq!(of("forward_transform"), 8.0, "sixteen times 2");
    assert!((of("synapse_update") - 0.1 * std::f64::consts::E.powi(2)).abs() < 1e-12, "after the transform");
}

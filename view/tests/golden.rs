//! Pictures of fixed histories as they were when somebody looked at them. `HEBBIAN_UPDATE=1` writes them anew; look at them then.

#![expect(
    clippy::disallowed_methods,
    reason = "the pictures are files, and so is what is compared with them"
)]

use std::fs;
use std::path::Path;

use hebbian_proto::figures::RunState;
use hebbian_proto::v1;
use hebbian_proto::v1::run_event::Kind;
use hebbian_shared::estimate::Estimate;
use hebbian_shared::genome::GenomeLayout;
use hebbian_shared::spec::RunSpec;
use hebbian_view::comparison::{self, Curve, Group};
use hebbian_view::document::RunPage;
use hebbian_view::history::History;
use hebbian_view::panels::{self, FitnessAxis};
use hebbian_view::picture::Picture;

const QUICKSTART: &str = include_str!("../../examples/quickstart.toml");

const ACCURACY: FitnessAxis<'_> = FitnessAxis { measures: "accuracy", is_minus_value: false };

fn layout() -> GenomeLayout {
    RunSpec::read(QUICKSTART).unwrap().layout()
}

/// A wave of one's own for each number, of no library's making.
fn wave(number: u32, generation: u32) -> f64 {
    let phase = (number * 37 + generation * (number % 7 + 1)) % 200;
    f64::from(phase.min(200 - phase)) / 100.0 - 0.5
}

fn generation(generation: u32, n: u32) -> v1::RunEvent {
    let g = f64::from(generation);
    let level = 1.0 - 1.0 / (1.0 + g / 40.0) / 2.0;
    let distribution = v1::Distribution {
        dimension: n,
        mean: (0..n).map(|i| (wave(i, 1) * g / (g + 30.0)) as f32).collect(),
        deviations: (0..n).map(|i| (0.5 / (1.0 + g / f64::from(i + 20))) as f32).collect(),
        axes: (0..n).map(|i| (1.0 + f64::from(i) * g / (g + 500.0)) as f32).collect(),
    };
    v1::RunEvent::of(Kind::Generation(v1::GenerationSummary {
        generation,
        updates: 100,
        best_fitness: Some(level + 0.03),
        median_fitness: Some(level - 0.02 * wave(3, generation)),
        evaluations: u64::from(generation + 1) * 64,
        episodes: u64::from(generation + 1) * 1536,
        compute_time: Some(prost_types::Duration { seconds: 0, nanos: 250_000_000 }),
        elapsed: Some(prost_types::Duration {
            seconds: i64::from(generation / 5),
            nanos: (generation % 5 * 200_000_000) as i32,
        }),
        fitness_quantiles: [-0.3, -0.15, -0.08, 0.0, 0.02, 0.025, 0.03].iter().map(|q| level + q).collect(),
        workers: 2,
        search: Some(v1::SearchSummary {
            step_size: 0.5 / (1.0 + g / 100.0),
            axis_ratio: 1.0 + g / 50.0,
            agreement: Some(0.6),
            mean_rate: Some(1.0),
            covariance_rate: Some(0.8),
            distribution: Some(distribution),
            ..Default::default()
        }),
        ..Default::default()
    }))
}

fn generations(count: u32) -> Vec<v1::RunEvent> {
    (0..count).map(|g| generation(g, layout().dimension() as u32)).collect()
}

fn validation(generation: u32) -> v1::RunEvent {
    let family = |family: &str, trained, mean| v1::validation_summary::Family {
        family: family.to_owned(),
        trained,
        tasks: 8,
        accuracy: Some(v1::Estimate { mean, standard_error: 0.01 }),
        ..Default::default()
    };
    v1::RunEvent::of(Kind::Validation(v1::ValidationSummary {
        generation,
        updates: 100,
        accuracy: Some(v1::Estimate { mean: 0.9, standard_error: 0.02 }),
        families: vec![family("xor", true, 0.95), family("sine", false, 0.85 + wave(1, generation) / 20.0)],
        ..Default::default()
    }))
}

fn state(state: RunState) -> v1::RunEvent {
    v1::RunEvent::of(Kind::State(state.into()))
}

fn check(case: &str, history: &History, picture: &Picture) {
    check_picture(case, picture, &format!("the picture of {} generations", history.closed()));
}

fn check_picture(case: &str, picture: &Picture, what: &str) {
    let svg = picture.svg();
    assert!(svg.len() < 100_000, "{case}: {} bytes", svg.len());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{case}-{}.svg", picture.id));
    if std::env::var_os("HEBBIAN_UPDATE").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &svg).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(svg == expected, "{}: {what} is another", path.display());
}

#[test]
fn every_learner_of_a_comparison_has_a_band_and_a_place_in_the_legend() {
    let names = ["evolved rule", "sgd", "momentum@5", "momentum@10", "adam"];
    let curve = |(place, name): (usize, &&str)| {
        let score = |update: usize| Estimate {
            mean: 0.5 + 0.08 * update as f64 - 0.03 * place as f64,
            standard_error: 0.01,
        };
        Curve { name: (*name).to_owned(), scores: (0..5).map(score).collect() }
    };
    let group = Group {
        name: "and, xor".to_owned(),
        score: "accuracy".to_owned(),
        updates: vec![3, 5, 10, 20, 50],
        curves: names.iter().enumerate().map(curve).collect(),
    };
    let picture = comparison::picture(0, &group);
    for (place, name) in names.iter().enumerate() {
        assert!(picture.svg().contains(&format!("class=\"b f{place}\"")), "{name}");
    }
    check_picture("five", &picture, "the comparison");
}

#[test]
fn pictures_of_fixed_histories_are_as_they_were() {
    let none = History::default();
    check("none", &none, &panels::fitness(&none, ACCURACY));
    let one = History::of(&generations(1));
    check("one", &one, &panels::fitness(&one, ACCURACY));
    let mut diverged = generations(20);
    for event in &mut diverged {
        let Some(Kind::Generation(summary)) = &mut event.kind else { unreachable!() };
        (summary.best_fitness, summary.median_fitness, summary.diverged) = (None, None, 64);
        summary.fitness_quantiles.clear();
    }
    let diverged = History::of(&diverged);
    check("diverged", &diverged, &panels::fitness(&diverged, ACCURACY));
    let mut restarted = generations(60);
    if let Some(Kind::Generation(summary)) = &mut restarted[30].kind {
        summary.search.as_mut().unwrap().restart = Some(v1::Restart {
            number: 1,
            population_size: 128,
            step_size: 0.5,
            criterion: "tolx".to_owned(),
            detail: "<b>below</b>".to_owned(),
        });
    }
    let restarted = History::of(&restarted);
    check("restart", &restarted, &panels::fitness(&restarted, ACCURACY));
    let mut paused = vec![state(RunState::RUNNING)];
    paused.extend(generations(30));
    paused.extend([validation(10), validation(20), state(RunState::paused("three workers failed"))]);
    let paused = History::of(&paused);
    check("paused", &paused, &panels::fitness(&paused, ACCURACY));
    check("paused", &paused, &panels::validation(&paused));
}

#[test]
#[expect(clippy::disallowed_macros, reason = "what was measured is shown to whoever wants to see it")]
fn ten_thousand_generations_are_pictures_below_a_hundred_kilobytes() {
    let history = History::of(&generations(10_000));
    for picture in panels::all(&history, &layout(), ACCURACY) {
        check("long", &history, &picture);
    }
    let picture = hebbian_view::rule::over_generations(&history, &layout(), "The rule").unwrap();
    check("long", &history, &picture);
    let run = v1::Run::default();
    let page = RunPage {
        run: &run,
        history: &history,
        result: None,
        layout: &layout(),
        objective: "accuracy",
        comparison: &[],
        learned: None,
    };
    println!("the report of 10,000 generations has {} bytes", page.report("a test").len());
}

#[test]
fn hostile_names_are_text_everywhere() {
    let hostile = "</title><script>alert(1)</script>\u{202e}\x1b[2J".to_owned() + &"y".repeat(10_000);
    let mut events = generations(3);
    events.push(v1::RunEvent::of(Kind::Note(hostile.clone())));
    events.push(state(RunState::RUNNING));
    events.push(state(RunState::paused(hostile.clone())));
    let mut validated = validation(1);
    if let Some(Kind::Validation(summary)) = &mut validated.kind {
        summary.families[0].family.clone_from(&hostile);
    }
    events.push(validated);
    let history = History::of(&events);
    let run = v1::Run {
        name: format!("runs/{hostile}"),
        display_name: hostile.clone(),
        group: hostile.clone(),
        state: Some(RunState::paused(hostile.clone()).into()),
        ..Default::default()
    };
    let layout = layout();
    let page = RunPage {
        run: &run,
        history: &history,
        result: None,
        layout: &layout,
        objective: &hostile,
        comparison: &[],
        learned: None,
    };
    let report = page.report(&hostile);
    assert!(report.contains("&lt;script&gt;"));
    assert!(!report.contains("<script") && !report.contains('\u{202e}') && !report.contains('\x1b'));
    for picture in page.pictures() {
        assert!(!picture.svg().contains("<script"), "{}", picture.id);
    }
}

#[test]
fn what_is_minimised_is_told_by_its_value() {
    let mean = v1::remeasurement::Measured {
        fitness: Some(v1::Estimate { mean: -2.5, standard_error: 0.25 }),
        ..Default::default()
    };
    let run = v1::Run {
        name: "runs/1".to_owned(),
        objective: Some(v1::Objective { name: "cost".to_owned(), minimise: true, ..Default::default() }),
        best_fitness: Some(-2.0),
        remeasurement: Some(v1::Remeasurement { tasks: 4, mean: Some(mean), ..Default::default() }),
        ..Default::default()
    };
    let (history, layout) = (History::of(&[]), layout());
    let page = RunPage {
        run: &run,
        history: &history,
        result: None,
        layout: &layout,
        objective: "cost",
        comparison: &[],
        learned: None,
    };
    let report = page.report("a test");
    for row in ["best value of any sample</dt><dd>2", "the mean's value, measured again</dt><dd>2.50 +- 0.25"]
    {
        assert!(report.contains(row), "{row}: {report}");
    }
}

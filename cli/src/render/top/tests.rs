use std::path::Path;
use std::time::Duration;

use hebbian_proto::convert::from_duration;
use hebbian_proto::v1::run_event::Kind;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::*;
use crate::top::{Seen, Update};

/// A title, a cleared screen, a reversed name.
const HOSTILE: &str = "x\u{1b}]0;title\u{7}\u{1b}[2J\u{202e}y";

fn run(id: &str, name: &str, state: RunState) -> v1::Run {
    v1::Run {
        name: format!("runs/{id}"),
        display_name: name.to_owned(),
        state: Some(state.into()),
        generation: 12,
        generations_limit: Some(265),
        settled_episodes: 340,
        generation_episodes: 1536,
        leased_episodes: 128,
        eligible_workers: 2,
        best_fitness: Some(0.9712),
        sequence: 90,
        last_generation: Some(v1::GenerationSummary {
            generation: 11,
            best_fitness: Some(0.96),
            median_fitness: Some(0.912),
            fitness_deviation: Some(0.031),
            episodes: 18_432,
            elapsed: Some(from_duration(Duration::from_secs(75))),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn worker(id: u64, name: &str) -> v1::Worker {
    v1::Worker {
        id,
        display_name: name.to_owned(),
        threads: 8,
        leased_episodes: 64,
        credit: 128,
        settled_episodes: 1000 * id,
        proven: true,
        ..Default::default()
    }
}

fn seen(seconds: u64, runs: Vec<v1::Run>, workers: Vec<v1::Worker>) -> Update {
    let status = v1::CoordinatorStatus {
        active_runs: 2,
        workers: workers.len() as u32,
        threads: 8 * workers.len() as u32,
        settled_episodes: seconds * 1234,
        epoch: 1,
        ..Default::default()
    };
    Update::Seen(Box::new(Seen { at: Duration::from_secs(seconds), status, runs, workers }))
}

/// Two runs that go on and one that has ended, of which the first has a history; four workers, of which two are in trouble.
fn busy() -> Top {
    let mut top = Top::new("http://127.0.0.1:7420".into(), None);
    let finished = v1::StopReason { criterion: "target".into(), detail: "fitness 0.99 (target 0.98)".into() };
    let mut first = run("0123abcd", "quickstart", RunState::RUNNING);
    first.notes =
        vec!["an older note".into(), "worker node-2 was lost; its episodes were given to others".into()];
    first.validation = Some(v1::ValidationSummary {
        accuracy: Some(v1::Estimate { mean: 0.931, standard_error: 0.004 }),
        warnings: vec![v1::validation_summary::Warning {
            failure: "linear plateau".into(),
            figure: "accuracy 0.74".into(),
            ..Default::default()
        }],
        ..Default::default()
    });
    let runs = vec![
        run("9999ffff", "done", RunState::Finished(finished)),
        run("4567cdef", "images", RunState::paused("episode 3 failed on three workers")),
        first,
    ];
    let silent = v1::Worker { heard: Some(from_duration(Duration::from_secs(9))), ..worker(2, "node-2") };
    let liar = v1::Worker { excluded: "it lied".into(), ..worker(4, "node-4") };
    let workers = vec![worker(1, "node-1"), silent, worker(3, "node-3"), liar];
    let before: Vec<v1::Worker> =
        workers.iter().map(|of| v1::Worker { settled_episodes: 0, ..of.clone() }).collect();
    top.take(seen(0, runs.clone(), before));
    top.take(seen(1, runs, workers));
    for generation in 0..12 {
        let median = 0.5 + 0.45 * f64::from(generation) / 11.0;
        let summary =
            v1::GenerationSummary { generation, median_fitness: Some(median), ..Default::default() };
        let event = Some(v1::RunEvent::of(Kind::Generation(summary)));
        let response = v1::WatchRunResponse { sequence: u64::from(generation) + 1, event };
        top.take(Update::Event(Box::new(response), "runs/0123abcd".into()));
    }
    top
}

fn drawn(top: &Top, width: u16, height: u16, colours: bool) -> ratatui::buffer::Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, top, colours)).unwrap();
    terminal.backend().buffer().clone()
}

fn text(top: &Top, width: u16, height: u16) -> String {
    let buffer = drawn(top, width, height, false);
    let line = |y| {
        let line: String = (0..width).map(|x| buffer[(x, y)].symbol()).collect();
        format!("{}\n", line.trim_end())
    };
    (0..height).map(line).collect()
}

/// Compares a picture with the one that somebody has looked at; `HEBBIAN_UPDATE=1` writes it anew.
fn check(name: &str, top: &Top, width: u16, height: u16) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/render/top/golden").join(name);
    let text = text(top, width, height);
    if std::env::var_os("HEBBIAN_UPDATE").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, expected, "{name}: look at it, then HEBBIAN_UPDATE=1");
}

fn pressed(mut top: Top, keys: &[KeyCode]) -> Top {
    for key in keys {
        top.key(KeyEvent::new(*key, KeyModifiers::NONE));
    }
    top
}

#[test]
fn pictures_are_those_that_somebody_has_looked_at() {
    check("busy-80x24.txt", &busy(), 80, 24);
    check("busy-120x40.txt", &busy(), 120, 40);
    check("waiting-80x24.txt", &Top::new("http://127.0.0.1:7420".into(), None), 80, 24);
    let mut empty = Top::new("http://127.0.0.1:7420".into(), None);
    empty.take(seen(1, vec![], vec![]));
    check("empty-80x24.txt", &empty, 80, 24);
    check("help-80x24.txt", &pressed(busy(), &[KeyCode::Char('?')]), 80, 24);
    check("cancel-80x24.txt", &pressed(busy(), &[KeyCode::Char('c')]), 80, 24);
    let drain = [KeyCode::Tab, KeyCode::Down, KeyCode::Char('d')];
    check("drain-80x24.txt", &pressed(busy(), &drain), 80, 24);
    let mut lost = busy();
    lost.take(Update::Lost("http://127.0.0.1:7420: no coordinator answers: connection refused".into()));
    check("lost-80x24.txt", &lost, 80, 24);
}

#[test]
fn every_size_can_be_drawn() {
    for top in [busy(), pressed(busy(), &[KeyCode::Char('?')]), pressed(busy(), &[KeyCode::Char('c')])] {
        for (width, height) in [(1, 1), (3, 2), (20, 5), (40, 10), (79, 23), (300, 100)] {
            drawn(&top, width, height, true);
        }
    }
}

#[test]
fn without_colours_there_are_none_and_the_selected_line_is_seen_all_the_same() {
    let is_coloured = |colours| {
        let buffer = drawn(&busy(), 80, 24, colours);
        buffer.content().iter().any(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset)
    };
    assert!(is_coloured(true) && !is_coloured(false));
    let buffer = drawn(&busy(), 80, 24, false);
    let reversed = |y: u16| (0..80).all(|x| buffer[(x, y)].modifier.contains(Modifier::REVERSED));
    assert_eq!((0..24).filter(|y| reversed(*y)).count(), 1);
}

#[test]
fn hostile_names_are_text() {
    let mut top = Top::new("http://h:1".into(), None);
    let mut hostile = run("0123abcd", HOSTILE, RunState::paused(HOSTILE));
    hostile.notes = vec![HOSTILE.to_owned(), HOSTILE.repeat(1000)];
    top.take(seen(
        1,
        vec![hostile, run("4567cdef", &HOSTILE.repeat(500), RunState::RUNNING)],
        vec![v1::Worker { excluded: HOSTILE.into(), ..worker(1, &HOSTILE.repeat(500)) }],
    ));
    top.take(Update::Done(Err(HOSTILE.to_owned())));
    for top in [&top, &asked(&top)] {
        let shown = text(top, 120, 40);
        assert!(shown.contains("x\\u{1b}]0;title"), "{shown}");
        assert!(
            !shown.contains(|c: char| c.is_control() && c != '\n') && !shown.contains('\u{202e}'),
            "{shown}"
        );
    }
}

/// The same with its first run's question open.
fn asked(top: &Top) -> Top {
    let mut same = Top::new(top.url.clone(), None);
    same.seen = top.seen.clone();
    pressed(same, &[KeyCode::Char('c')])
}

//! `hebbian top` in a pseudo-terminal.

use std::process::Command;

use crate::pty::Pty;
use crate::support::{Coordinator, Place, SPEC, until};

fn top(place: &Place, coordinator: &Coordinator<'_>) -> Command {
    place.command(&["top", "--coordinator", &coordinator.url])
}

/// A run that does not end by itself.
fn endless(place: &Place) {
    place.write("tiny.toml", &SPEC.replace("generations = 60", "generations = 1000000"));
}

fn gives_back(pty: &Pty, before: crate::pty::Modes) {
    let screen = pty.screen();
    assert!(pty.written().contains("\x1b[?1049h"), "it had taken the terminal");
    assert!(!screen.alternate_screen() && !screen.hide_cursor(), "{}", screen.contents());
    assert_eq!(pty.modes(), before);
}

#[test]
fn keys_act_another_size_is_drawn_and_the_terminal_is_given_back() {
    let place = Place::new();
    endless(&place);
    let coordinator = Coordinator::start(&place);
    let of = |arguments: &[&str]| {
        let mut all = arguments.to_vec();
        all.extend(["--json", "--coordinator", coordinator.url.as_str()]);
        place.json(&all)
    };
    let state = || of(&["status", "tiny"])["state"]["kind"].as_str().unwrap().to_owned();
    of(&["create", "tiny.toml"]);
    let _worker = place
        .start(&["worker", "--coordinator", &coordinator.url, "--name", "node-1", "--threads", "1"], "w.log");

    let mut pty = Pty::start(&top(&place, &coordinator), 24, 80);
    pty.until("runs and workers are there", |screen| {
        let text = screen.contents();
        ["tiny", "running", "node-1", "median fitness of generations", "q quit"]
            .iter()
            .all(|part| text.contains(part))
    });
    assert!(pty.screen().alternate_screen() && pty.screen().hide_cursor());
    let raw = pty.modes();
    pty.press("p");
    pty.until_shown("paused");
    assert_eq!(state(), "paused");
    pty.press("r");
    pty.until_shown("the run goes on");
    assert_eq!(state(), "running");

    pty.resize(40, 120);
    let last_line = |screen: &vt100::Screen| screen.rows(0, 120).last().unwrap_or_default();
    pty.until("the last line is that of the new size", |screen| {
        last_line(screen).contains("the run goes on")
    });
    pty.press("?");
    pty.until_shown("Any key closes this");
    pty.press("x");
    pty.until("the help is closed", |screen| !screen.contents().contains("Any key closes this"));

    pty.press("\td");
    pty.until_shown("leave for good?");
    pty.press("y");
    until("the worker has left", || of(&["workers"]).as_array().unwrap().is_empty());
    pty.until_shown("no workers are attached");
    pty.press("\tc");
    pty.until_shown("for ever?");
    pty.press("n");
    pty.until_shown("nothing was done");
    assert_eq!(state(), "running");
    pty.press("c");
    pty.until_shown("for ever?");
    pty.press("y");
    pty.until_shown("cancelled");
    assert_eq!(state(), "cancelled");

    pty.press("q");
    assert_eq!(pty.exit_code(), Some(0), "{}", pty.screen().contents());
    assert_ne!(pty.modes(), raw, "keys were read one by one");
    let fresh = Pty::start(&Command::new("true"), 24, 80).modes();
    gives_back(&pty, fresh);
}

#[test]
fn a_signal_ends_it_in_order_and_a_lost_coordinator_is_found_again() {
    let place = Place::new();
    endless(&place);
    let mut coordinator = Coordinator::start(&place);
    place.ok(&["create", "tiny.toml", "--coordinator", &coordinator.url]);
    let mut command = top(&place, &coordinator);
    command.env("NO_COLOR", "1");
    let mut pty = Pty::start(&command, 24, 80);
    pty.until_shown("tiny");
    let has_colour = |screen: &vt100::Screen| {
        let cells = (0..24).flat_map(|row| (0..80).map(move |column| (row, column)));
        cells
            .filter_map(|(row, column)| screen.cell(row, column))
            .any(|cell| cell.fgcolor() != vt100::Color::Default)
    };
    assert!(!has_colour(&pty.screen()), "NO_COLOR is heard");
    coordinator.kill_and_restart();
    place.ok(&["note", "tiny", "written later", "--coordinator", &coordinator.url]);
    pty.until_shown("written later");

    for signal in ["TERM", "INT", "HUP", "QUIT"] {
        let mut pty = Pty::start(&top(&place, &coordinator), 24, 80);
        let fresh = Pty::start(&Command::new("true"), 24, 80).modes();
        pty.until_shown("tiny");
        let kill = format!("kill -{signal} {}", pty.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
        assert_eq!(pty.exit_code(), Some(130), "{signal}: {}", pty.screen().contents());
        assert!(pty.screen().contents().contains("runs go on"), "{}", pty.screen().contents());
        gives_back(&pty, fresh);
    }
}

#[test]
fn without_a_terminal_it_says_what_prints_text() {
    let place = Place::new();
    let coordinator = Coordinator::start(&place);
    let output = place.output(&["top", "--coordinator", &coordinator.url]);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(errors.contains("needs a terminal") && errors.contains("hebbian watch"), "{errors}");
}

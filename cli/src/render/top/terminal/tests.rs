use std::process::Command;

use super::*;

#[path = "../../../../tests/e2e/pty.rs"]
#[expect(dead_code, reason = "the tests of the whole program need the rest of it")]
mod pty;

/// Says that this process is the child of the test below.
const PANICS: &str = "HEBBIAN_TEST_PANICS";

/// No test where nobody asks for it.
#[test]
fn a_picture_that_panics() {
    if std::env::var_os(PANICS).is_none() {
        return;
    }
    let mut screen = Screen::open().unwrap();
    screen.show(&Top::new("http://127.0.0.1:1".to_owned(), None)).unwrap();
    panic!("a planted panic");
}

#[test]
fn a_panic_gives_the_terminal_back_before_it_speaks() {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let name = "render::top::terminal::tests::a_picture_that_panics";
    command.args(["--exact", name, "--nocapture"]).env(PANICS, "yes");
    let mut pty = pty::Pty::start(&command, 24, 80);
    assert_ne!(pty.exit_code(), Some(0));
    let fresh = pty::Pty::start(&Command::new("true"), 24, 80).modes();
    let written = pty.written();
    let place = |text: &str| written.find(text).unwrap_or_else(|| panic!("`{text}` in {written}"));
    let (taken, given, told) = (place("\x1b[?1049h"), place("\x1b[?1049l"), place("a planted panic"));
    assert!(taken < given && given < told, "{written}");
    assert!(!pty.screen().alternate_screen() && !pty.screen().hide_cursor());
    assert_eq!(pty.modes(), fresh);
}

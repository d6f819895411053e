//! What packages and service managers need of the program.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::process::Stdio;
use std::time::Duration;

use crate::support::{Place, Process, until};

#[test]
fn the_service_manager_hears_of_the_start_the_life_and_the_end() {
    for arguments in [
        vec!["coordinator", "--listen", "127.0.0.1:0", "--storage", "memory:"],
        vec!["worker", "--threads", "1"],
    ] {
        let place = Place::new();
        let socket = UnixDatagram::bind(place.path("notify")).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
        let heard = |what: &str| {
            until(what, || {
                let mut message = [0; 1024];
                let length = socket.recv(&mut message).unwrap();
                String::from_utf8_lossy(&message[..length]).lines().any(|line| line == what)
            });
        };
        let mut command = place.command(&arguments);
        command.env("NOTIFY_SOCKET", place.path("notify")).env("WATCHDOG_USEC", "100000");
        let mut process = Process::from(command.stderr(Stdio::null()).spawn().unwrap());
        for what in ["READY=1", "WATCHDOG=1", "WATCHDOG=1"] {
            heard(what);
        }
        process.signal("TERM");
        heard("STOPPING=1");
        assert_eq!(process.exit_code(), Some(0), "{arguments:?}");
    }
}

#[test]
fn the_version_says_what_was_built() {
    let place = Place::new();
    assert_eq!(place.ok(&["-V"]), format!("hebbian {}\n", env!("CARGO_PKG_VERSION")));
    let long = place.ok(&["--version"]);
    let mut lines = long.lines();
    assert_eq!(lines.next(), Some(concat!("hebbian ", env!("CARGO_PKG_VERSION"))));
    for (line, name) in lines.zip(["commit:", "features:", "target:", "episode semantics:"]) {
        assert!(line.strip_prefix(name).is_some_and(|value| !value.trim().is_empty()), "{long}");
    }
    assert_eq!(long.lines().count(), 5);
}

#[test]
fn every_command_has_a_page_and_every_shell_its_completions() {
    let place = Place::new();
    place.ok(&["man", "pages"]);
    for (page, word) in
        [("hebbian", "Exit codes"), ("hebbian-run", "--out"), ("hebbian-journal-backup", "journal")]
    {
        let text = fs::read_to_string(place.path(&format!("pages/{page}.1"))).unwrap();
        assert!(text.replace('\\', "").contains(word) && text.contains(".TH"), "{page}: {text}");
    }
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(place.ok(&["completions", shell]).contains("coordinator"), "{shell}");
    }
}

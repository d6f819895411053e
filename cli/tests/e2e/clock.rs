//! What a wrong clock does to a coordinator: nothing that cannot be undone.

use std::fs;
use std::process::Command;

use crate::support::{Coordinator, Place, Process, SPEC, until};

/// A library that moves the clock of the programs that load it by `CLOCK_OFFSET` seconds, once there is a file `CLOCK_WHEN`; `None`
/// without a C compiler.
fn moved_clock(place: &Place) -> Option<String> {
    let source = "#define _GNU_SOURCE\n#include <stdlib.h>\n#include <sys/syscall.h>\n#include <time.h>\n#include <unistd.h>\n\
                  int clock_gettime(clockid_t id, struct timespec *t) {\n\
                  int failed = syscall(SYS_clock_gettime, id, t);\n\
                  const char *offset = getenv(\"CLOCK_OFFSET\");\n\
                  const char *when = getenv(\"CLOCK_WHEN\");\n\
                  if (!failed && id == CLOCK_REALTIME && offset && !(when && access(when, F_OK))) t->tv_sec += atol(offset);\n\
                  return failed;\n}\n";
    place.write("clock.c", source);
    let library = place.path("clock.so").display().to_string();
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-o", &library]).arg(place.path("clock.c"));
    if compiler.status().is_ok_and(|status| status.success()) {
        return Some(library);
    }
    eprintln!("skipped: there is no C compiler here");
    None
}

/// A coordinator whose clock is wrong by so many days, once there is a file `jumped`, and its address.
fn with_clock(place: &Place, library: &str, days: i64, further: &[&str]) -> (Process, String) {
    let _ = fs::remove_file(place.path("address"));
    let arguments = [
        "coordinator",
        "--listen",
        "127.0.0.1:0",
        "--storage",
        "sqlite:cluster.sqlite",
        "--address-file",
        "address",
        "--config",
        "coordinator.toml",
    ];
    let variables = [
        ("LD_PRELOAD", library.to_owned()),
        ("CLOCK_OFFSET", (days * 86_400).to_string()),
        ("CLOCK_WHEN", place.path("jumped").display().to_string()),
    ];
    let _ = fs::remove_file(place.path("clock.log"));
    let mut process = place.start_with(&variables, &[&arguments, further].concat(), "clock.log");
    until("it listens", || place.path("address").exists() || process.has_ended());
    let url = fs::read_to_string(place.path("address")).unwrap().trim().to_owned();
    (process, url)
}

fn count(place: &Place, url: &str) -> usize {
    place.json(&["list", "--json", "--coordinator", url]).as_array().unwrap().len()
}

#[test]
fn a_clock_that_is_wrong_in_either_direction_deletes_nothing_until_it_is_confirmed() {
    let place = Place::new();
    let Some(library) = moved_clock(&place) else { return };
    place.write("short.toml", &SPEC.replace("generations = 60", "generations = 2"));
    place.write("coordinator.toml", "[retention]\nkeep_days = 20\n");
    let further = ["--config", "coordinator.toml"];
    let coordinator = Coordinator::start_with(&place, &further);
    let worker = coordinator.worker("one");
    let run = coordinator.ok(&["create", "short.toml"]).trim().to_owned();
    coordinator.until_state(&run, "finished");
    drop(worker);
    assert_eq!(coordinator.stop(), Some(0));
    place.write("jumped", "");
    // How many runs a coordinator has whose clock is wrong by so many days, and what it says.
    let runs = |days: i64, further: &[&str]| {
        let (mut process, url) = with_clock(&place, &library, days, further);
        let count = count(&place, &url);
        process.signal("TERM");
        assert_eq!(process.exit_code(), Some(0));
        (count, fs::read_to_string(place.path("clock.log")).unwrap())
    };
    for days in [-400, 400, 400] {
        // Starting again confirms nothing.
        let (count, log) = runs(days, &[]);
        assert_eq!(count, 1, "{days}: {log}");
        let expected = if days > 0 {
            "days after the journal's last change"
        } else {
            "days before the journal's last change"
        };
        assert!(log.contains(expected), "{days}: {log}");
    }
    // A day is no jump, and what a clock says that is right is done.
    assert!(!runs(1, &[]).1.contains("the journal's last change"));
    let (count, log) = runs(400, &["--clock-confirmed"]);
    assert_eq!(count, 0, "{log}");
}

/// What a clock showed that had jumped was once written with the next commit, and the next start took it for right.
#[test]
fn a_clock_that_jumps_under_a_coordinator_deletes_nothing_at_its_next_start() {
    let place = Place::new();
    let Some(library) = moved_clock(&place) else { return };
    place.write("short.toml", SPEC);
    place.write("coordinator.toml", "[retention]\nkeep_days = 20\n");
    let log = || fs::read_to_string(place.path("clock.log")).unwrap();
    for days in [400, -400] {
        let _ = fs::remove_file(place.path("jumped"));
        let (mut coordinator, url) = with_clock(&place, &library, days, &[]);
        let create = || place.ok(&["create", "short.toml", "--coordinator", &url]).trim().to_owned();
        let before = count(&place, &url);
        let ended = create();
        place.ok(&["cancel", &ended, "--coordinator", &url]);
        place.write("jumped", "");
        create();
        assert_eq!(count(&place, &url), before + 2);
        until("it is told", || log().contains("the clock has jumped"));
        coordinator.signal("TERM");
        assert_eq!(coordinator.exit_code(), Some(0));
        let (mut coordinator, url) = with_clock(&place, &library, days, &[]);
        assert_eq!(count(&place, &url), before + 2, "{}", log());
        assert!(log().contains("the journal's last change"), "{}", log());
        coordinator.signal("TERM");
        assert_eq!(coordinator.exit_code(), Some(0));
    }
    let (mut coordinator, url) = with_clock(&place, &library, 400, &["--clock-confirmed"]);
    assert_eq!(count(&place, &url), 2, "both that had ended are gone");
    coordinator.signal("TERM");
    assert_eq!(coordinator.exit_code(), Some(0));
}

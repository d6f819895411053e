//! Where outputs go that are no plain new files: pipes, links, standard output by any name.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _, symlink};
use std::process::Command;

use crate::support::{Place, errors, until};

/// What arrives at a pipe while `write` writes into it.
fn through_a_pipe(place: &Place, name: &str, write: impl FnOnce()) -> Vec<u8> {
    let pipe = place.path(name);
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let reader = std::thread::spawn({
        let pipe = pipe.clone();
        move || fs::read(pipe).unwrap()
    });
    write();
    let read = reader.join().unwrap();
    assert!(fs::metadata(&pipe).unwrap().file_type().is_fifo(), "{name} is a pipe no longer");
    read
}

#[test]
fn genomes_go_into_pipes_through_links_and_to_standard_output_by_any_name() {
    let place = Place::new();
    let backprop = |out: &str| place.ok(&["genome", "backprop", "--out", out]);
    backprop("plain.json");
    let expected = fs::read(place.path("plain.json")).unwrap();
    assert_eq!(through_a_pipe(&place, "pipe", || drop(backprop("pipe"))), expected);
    for standard in ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"] {
        assert_eq!(backprop(standard).into_bytes(), expected, "{standard}");
    }
    assert!(!place.path("-").exists());
    // Redirected into a file, it is that file, which others may have open.
    let output = fs::File::create(place.path("redirected")).unwrap();
    let mut command = place.command(&["genome", "backprop", "--out", "/dev/stdout"]);
    assert!(command.stdout(output.try_clone().unwrap()).status().unwrap().success());
    assert_eq!(output.metadata().unwrap().len(), expected.len() as u64);

    fs::set_permissions(place.path("plain.json"), fs::Permissions::from_mode(0o600)).unwrap();
    symlink("plain.json", place.path("link.json")).unwrap();
    place.ok(&["genome", "backprop", "--learning-rate", "0.2", "--out", "link.json"]);
    assert!(place.path("link.json").is_symlink());
    let replaced = fs::metadata(place.path("plain.json")).unwrap();
    assert_eq!(replaced.permissions().mode() & 0o777, 0o600);
    assert_ne!(fs::read(place.path("plain.json")).unwrap(), expected);

    let export = |out: &str| {
        let arguments = ["genome", "export", "plain.json", "--format", "npz", "--out", out];
        let output = place.output(&arguments);
        assert!(output.status.success(), "{}", errors(&output));
        output.stdout
    };
    let archive = export("-");
    assert_eq!(through_a_pipe(&place, "archive", || drop(export("archive"))), archive);
    // A device that takes nothing says so, and is there afterwards.
    let full = place.output(&["genome", "backprop", "--out", "/dev/full"]);
    assert_eq!(full.status.code(), Some(1));
    assert!(errors(&full).contains("/dev/full: cannot be written: no space left"), "{}", errors(&full));
    assert!(fs::metadata("/dev/full").unwrap().file_type().is_char_device());
}

#[test]
fn a_journals_copy_and_table_go_through_pipes() {
    let place = Place::new();
    place.write("short.toml", &crate::support::SPEC.replace("generations = 60", "generations = 2"));
    place.ok(&["run", "short.toml", "--out", "out"]);
    let backup = |out: &str| place.output(&["journal", "backup", "out", "--out", out]).stdout;
    let piped = through_a_pipe(&place, "pipe", || drop(backup("pipe")));
    // Each copy is a journal of its own.
    for copy in [piped, backup("-")] {
        fs::write(place.path("copy.sqlite"), copy).unwrap();
        assert!(place.ok(&["journal", "verify", "copy.sqlite"]).contains("sound"));
    }
    let export = |out: &str| place.ok(&["journal", "export", "out", "--out", out]);
    assert_eq!(through_a_pipe(&place, "table", || drop(export("table"))), export("-").into_bytes());
    for (arguments, message) in [
        (&["run", "tiny.toml", "--out", "-"][..], "--out: must be a directory"),
        (&["certs", "--out", "-"], "--out: must be a directory"),
        (&["ask-tell", "--dimension", "1", "--sigma", "1", "--snapshot", "-"], "--snapshot: must be a file"),
    ] {
        let refused = place.output(arguments);
        assert_eq!(refused.status.code(), Some(2), "{}", errors(&refused));
        assert!(errors(&refused).contains(message), "{}", errors(&refused));
    }
    assert!(!place.path("-").exists());
}

#[test]
fn a_coordinator_says_its_address_to_a_pipe_and_ends_though_nobody_reads() {
    let place = Place::new();
    let arguments = ["coordinator", "--listen", "127.0.0.1:0", "--storage", "memory:", "--address-file"];
    let with = |file: &'static str| [&arguments[..], &[file]].concat();
    let mut coordinator = None;
    let read = through_a_pipe(&place, "pipe", || coordinator = Some(place.start(&with("pipe"), "one.log")));
    assert!(String::from_utf8(read).unwrap().starts_with("http://127.0.0.1:"));
    coordinator.unwrap().signal("TERM");
    let mut waiting = place.start(&with("pipe"), "two.log");
    until("it listens", || {
        fs::read_to_string(place.path("two.log")).is_ok_and(|log| log.contains("listens on"))
    });
    waiting.signal("TERM");
    assert_eq!(waiting.exit_code(), Some(0));
}

/// A wrong name destroys no runs.
#[test]
fn no_output_takes_the_place_of_a_journal() {
    let place = Place::new();
    let start = ["coordinator", "--listen", "127.0.0.1:0", "--storage", "sqlite:j.sqlite", "--address-file"];
    for name in ["j.sqlite", "j.sqlite-wal", "j.sqlite.lock"] {
        let output = place.output(&[&start[..], &[name]].concat());
        assert_eq!(output.status.code(), Some(2), "{name}: {}", errors(&output));
        assert!(errors(&output).contains("name another file"), "{}", errors(&output));
    }
    let backprop = place.output(&["genome", "backprop", "--out", "j.sqlite"]);
    assert_eq!(backprop.status.code(), Some(2), "{}", errors(&backprop));
    place.ok(&["journal", "verify", "j.sqlite"]);
}

/// What could not be written is an error with one line, whoever writes it.
#[test]
fn standard_output_that_takes_nothing_fails_in_one_line() {
    let place = Place::new();
    place.write("short.toml", &crate::support::SPEC.replace("generations = 60", "generations = 2"));
    place.ok(&["run", "short.toml", "--out", "out"]);
    for arguments in [
        &["--help"][..],
        &["--version"],
        &["run", "--help"],
        &["completions", "bash"],
        &["spec"],
        &["spec", "--schema"],
        &["journal", "verify", "out"],
        &["journal", "export", "out"],
        &["journal", "backup", "out", "--out", "-"],
        &["report", "out", "--out", "-"],
    ] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = place.command(arguments).stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", errors(&output));
        let told = errors(&output);
        assert!(
            told.contains("cannot be written: ") && told.to_lowercase().contains("no space left"),
            "{arguments:?}: {told}"
        );
        assert_eq!(told.lines().filter(|line| line.contains("error:")).count(), 1, "{arguments:?}: {told}");
    }
}

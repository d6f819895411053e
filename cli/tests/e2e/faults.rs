//! What the system refuses, and what signals say: full disks behind the log, limits, closed streams, a scheduler's notice.

use std::fs::{self, File};
use std::io::Read as _;
use std::net::TcpStream;
use std::process::{Command, Stdio};

use crate::support::{Coordinator, Place, Process, SPEC, errors, until};

const COORDINATOR: [&str; 7] =
    ["coordinator", "--listen", "127.0.0.1:0", "--storage", "sqlite:j.sqlite", "--address-file", "address"];

fn address(place: &Place) -> String {
    let path = place.path("address");
    until("the coordinator listens", || fs::read_to_string(&path).is_ok_and(|url| url.ends_with('\n')));
    fs::read_to_string(path).unwrap().trim().to_owned()
}

fn full() -> File {
    File::options().write(true).open("/dev/full").unwrap()
}

#[test]
fn a_log_that_cannot_be_written_ends_nothing() {
    let place = Place::new();
    place.write("short.toml", &SPEC.replace("generations = 60", "generations = 3"));
    // One with a full disk behind it, one with a pipe whose reader has gone.
    let coordinator = place.command(&COORDINATOR).stderr(full()).spawn().unwrap();
    let mut coordinator = Process::from(coordinator);
    let url = address(&place);
    let worker = ["worker", "--threads", "1", "--coordinator", &url, "--log", "debug"];
    let mut child = place.command(&worker).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stderr.take());
    let mut worker = Process::from(child);
    let run = place.ok(&["create", "short.toml", "--coordinator", &url]).trim().to_owned();
    until("the run is finished", || {
        assert!(!coordinator.has_ended() && !worker.has_ended());
        place.json(&["status", &run, "--json", "--coordinator", &url])["state"]["kind"] == "finished"
    });
    worker.signal("TERM");
    assert_eq!(worker.exit_code(), Some(0));
    coordinator.signal("TERM");
    assert_eq!(coordinator.exit_code(), Some(0));
    // Nor does a note of a command that works by itself.
    let mut backprop = place.command(&["genome", "backprop", "--out", "genome.json"]);
    assert!(backprop.stderr(full()).status().unwrap().success());
}

#[test]
fn nobody_waits_for_whoever_should_read_the_log() {
    let place = Place::new();
    let arguments = [&COORDINATOR[..], &["--log", "trace"]].concat();
    // A pipe holds 64 KiB.
    let mut child = place.command(&arguments).stderr(Stdio::piped()).spawn().unwrap();
    let mut log = child.stderr.take().unwrap();
    let mut coordinator = Process::from(child);
    let url = address(&place);
    for _ in 0..40 {
        place.ok(&["list", "--coordinator", &url]);
    }
    coordinator.signal("TERM");
    assert_eq!(coordinator.exit_code(), Some(0));
    let mut text = Vec::new();
    log.read_to_end(&mut text).unwrap();
    // The line that did not fit is gone.
    assert!(text.len() >= 60_000, "the pipe was not full: {} bytes", text.len());
}

#[test]
fn a_notice_lets_a_worker_leave_and_means_nothing_to_a_coordinator() {
    let place = Place::new();
    let coordinator = Coordinator::start(&place);
    for name in ["HUP", "USR1", "USR2", "XCPU"] {
        let mut worker = coordinator.worker(name);
        let attached = || coordinator.json(&["workers"]).as_array().unwrap().len() == 1;
        until("it is attached", attached);
        worker.signal(name);
        assert_eq!(worker.exit_code(), Some(0), "{name}");
        let log = fs::read_to_string(place.path(&format!("{name}.log"))).unwrap();
        assert!(log.contains(&format!("SIG{name}: this process ends")) && log.contains("good-bye"), "{log}");
        until("it has left", || !attached());
    }
    let log = || fs::read_to_string(place.path("coordinator.log")).unwrap();
    for name in ["USR1", "USR2"] {
        coordinator.signal(name);
        until("it says so", || log().contains(&format!("SIG{name} means nothing here")));
    }
    coordinator.ok(&["health"]);
    // As `nohup` starts it.
    let script = "trap '' HUP; exec \"$0\" worker --threads 1 --coordinator \"$1\"";
    let child = Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_hebbian"), &coordinator.url])
        .stderr(File::create(place.path("nohup.log")).unwrap())
        .spawn();
    let mut worker = Process::from(child.unwrap());
    until("it is attached", || coordinator.json(&["workers"]).as_array().unwrap().len() == 1);
    worker.signal("HUP");
    worker.signal("USR1");
    assert_eq!(worker.exit_code(), Some(0));
    let log = fs::read_to_string(place.path("nohup.log")).unwrap();
    assert!(log.contains("SIGUSR1") && !log.contains("SIGHUP"), "{log}");
    assert_eq!(coordinator.stop(), Some(0));
}

/// Runs the program under limits of a shell.
fn limited(place: &Place, script: &str) -> std::process::Output {
    let mut command = Command::new("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_hebbian")]).current_dir(place.path(""));
    command.stdin(Stdio::null()).output().unwrap()
}

#[test]
fn limits_end_in_one_line_and_an_exit_code() {
    let place = Place::new();
    let output = limited(&place, "ulimit -f 1; exec \"$0\" genome backprop --hidden 2 --out genome.json");
    assert_eq!(output.status.code(), Some(1), "{}", errors(&output));
    assert_eq!(errors(&output), "hebbian: error: genome.json: cannot be written: file too large\n");
    assert!(!place.path("genome.json").exists());

    // Root is not limited, and others do not get into the directory of the build.
    let binary = place.path("hebbian");
    fs::copy(env!("CARGO_BIN_EXE_hebbian"), &binary).unwrap();
    let open = "chmod 755 . hebbian && exec setpriv --reuid 64321 --regid 64321 --clear-groups prlimit --nproc=1:1 \
                ./hebbian ";
    for command in
        ["list --coordinator http://localhost:1", "coordinator --storage memory: --listen 127.0.0.1:0"]
    {
        let output = limited(&place, &format!("{open}{command}"));
        let told = errors(&output);
        assert_eq!(output.status.code(), Some(1), "{command}: {told}");
        let lines: Vec<&str> = told.lines().filter(|line| line.contains("error: ")).collect();
        assert_eq!(lines.len(), 1, "{told}");
        assert!(
            lines[0].contains("thread") && lines[0].contains("Resource temporarily unavailable"),
            "{told}"
        );
    }
}

#[test]
fn closed_standard_streams_and_exhausted_descriptors_are_survived() {
    let place = Place::new();
    let output = limited(&place, "exec \"$0\" genome backprop --out genome.json <&- >&- 2>&-");
    assert!(output.status.success());
    assert!(place.path("genome.json").exists());

    // Those that serve, too: the files that they open take the numbers of the closed ones, and nothing is written into them.
    place.write("short.toml", &SPEC.replace("generations = 60", "generations = 3"));
    let start = |arguments: &str| {
        let script = format!("exec \"$0\" {arguments} <&- >&- 2>&-");
        let mut command = Command::new("sh");
        let command =
            command.args(["-c", &script, env!("CARGO_BIN_EXE_hebbian")]).current_dir(place.path(""));
        Process::from(command.spawn().unwrap())
    };
    let mut coordinator = start(&format!("{} --log debug", COORDINATOR.join(" ")));
    let url = address(&place);
    let mut worker = start(&format!("worker --threads 1 --log debug --coordinator {url}"));
    let run = place.ok(&["create", "short.toml", "--coordinator", &url]).trim().to_owned();
    until("the run is finished", || {
        assert!(!coordinator.has_ended() && !worker.has_ended());
        place.json(&["status", &run, "--json", "--coordinator", &url])["state"]["kind"] == "finished"
    });
    for process in [&mut worker, &mut coordinator] {
        process.signal("TERM");
        assert_eq!(process.exit_code(), Some(0));
    }
    place.ok(&["journal", "verify", "j.sqlite"]);
    fs::remove_file(place.path("address")).unwrap();

    let script = format!("ulimit -n 40; exec \"$0\" {}", COORDINATOR.join(" "));
    let mut command = Command::new("sh");
    let command = command.args(["-c", &script, env!("CARGO_BIN_EXE_hebbian")]).current_dir(place.path(""));
    let log = File::create(place.path("log")).unwrap();
    let mut coordinator = Process::from(command.stderr(log).spawn().unwrap());
    let url = address(&place);
    let host = url.strip_prefix("http://").unwrap();
    let connections: Vec<TcpStream> = (0..60).map(|_| TcpStream::connect(host).unwrap()).collect();
    let log = || fs::read_to_string(place.path("log")).unwrap();
    until("it says so", || log().contains("Too many open files"));
    // What said nothing is given up after three seconds, and others get their turn.
    until("it serves again", || place.output(&["health", "--coordinator", &url]).status.success());
    assert!(!coordinator.has_ended());
    let complaints = log().lines().filter(|line| line.contains("Too many open files")).count();
    assert!((1..=20).contains(&complaints), "{complaints} lines: {}", log());
    drop(connections);
    coordinator.signal("TERM");
    assert_eq!(coordinator.exit_code(), Some(0));
}

/// Whatever the system refuses while a program starts: it says so and ends, wherever on the way that is. Nothing panics.
#[test]
fn who_gets_no_descriptors_or_threads_to_start_says_so() {
    let place = Place::new();
    let binary = place.path("hebbian");
    fs::copy(env!("CARGO_BIN_EXE_hebbian"), &binary).unwrap();
    let judge = |limit: &str, said: &str| {
        assert!(!said.contains("internal error"), "{limit}: {said}");
        assert!(said.lines().any(|line| line.starts_with("hebbian: error: ")), "{limit}: {said}");
    };
    let mut refused = 0;
    for most in 6..16 {
        let limit = format!("ulimit -n {most}");
        let output = limited(&place, &format!("{limit}; exec \"$0\" list --coordinator http://127.0.0.1:9"));
        judge(&limit, &errors(&output));
        refused += usize::from(errors(&output).contains("cannot start the runtime: Too many open files"));
    }
    assert!(refused > 1, "some have descriptors for the program and none for its runtime");

    let mut stopped = 0;
    for most in 1..20 {
        let (log, address) = (place.path(&format!("{most}.log")), place.path(&format!("{most}.address")));
        let script = format!(
            "chmod 777 . && chmod 755 hebbian && exec setpriv --reuid 64321 --regid 64321 --clear-groups prlimit \
             --nproc={most}:{most} ./hebbian coordinator --storage memory: --listen 127.0.0.1:0 --web 127.0.0.1:0 \
             --address-file {}",
            address.display()
        );
        let mut command = Command::new("sh");
        command.args(["-c", &script]).current_dir(place.path("")).stdin(Stdio::null());
        let mut process = Process::from(command.stderr(File::create(&log).unwrap()).spawn().unwrap());
        until("it has ended or listens", || process.has_ended() || address.exists());
        if address.exists() {
            process.kill();
            continue;
        }
        judge(&format!("{most} threads"), &fs::read_to_string(&log).unwrap());
        stopped += 1;
    }
    assert!((2..19).contains(&stopped), "some begin and end on the way: {stopped}");
}

/// What others have written does nothing to a terminal, whichever way it comes.
#[test]
fn hostile_text_is_shown_and_not_obeyed() {
    let place = Place::new();
    // Its second line begins as no name of a run does.
    let hostile = "x\u{1b}]0;owned\u{7}\r\u{202e}y\u{9b}2J\n~z";
    let clean = |output: &std::process::Output| {
        for text in [&output.stdout, &output.stderr] {
            let text = String::from_utf8(text.clone()).unwrap();
            let obeyed = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
            assert!(!text.contains(obeyed), "{text:?}");
            assert!(!text.lines().any(|line| line.starts_with('~')), "{text:?}");
        }
        String::from_utf8_lossy(&output.stdout).into_owned() + &errors(output)
    };
    // From a genome's provenance, as a table and as JSON.
    place.ok(&["genome", "backprop", "--out", "genome.json"]);
    let text = fs::read_to_string(place.path("genome.json")).unwrap();
    let mut json: serde_json::Value = serde_json::from_str(&text).unwrap();
    json["provenance"]["spec"] = hostile.into();
    place.write("genome.json", &json.to_string());
    let shown = clean(&place.output(&["genome", "show", "genome.json"]));
    assert!(shown.contains("x\\u{1b}]0;owned\\u{7}\\r\\u{202e}y\\u{9b}2J\\n~z"), "{shown}");
    let exported =
        clean(&place.output(&["genome", "export", "genome.json", "--format", "json", "--out", "-"]));
    let exported: serde_json::Value = serde_json::from_str(&exported).unwrap();
    assert_eq!(exported["provenance"]["spec"], hostile);
    // From an error of TOML, of a path, of an argument.
    place.write("spec.toml", &format!("{}\n\"{hostile}\" = 1\n", SPEC.replace("seed = 7", "")));
    clean(&place.output(&["check", "spec.toml"]));
    clean(&place.output(&["check", hostile]));
    clean(&place.output(&["run", "--seed", hostile]));
    // Over the wire: a group's name, a worker's reason, a run that is not there.
    let coordinator = Coordinator::start(&place);
    let group = "g\u{202e}\u{2066}h";
    coordinator.ok(&["create", "tiny.toml", "--seeds", "1..2", "--group", group]);
    for arguments in [&["list"][..], &["sweep"], &["list", "--json"], &["sweep", group], &["status", hostile]]
    {
        clean(&place.output(&coordinator.arguments(arguments)));
    }
    assert_eq!(coordinator.json(&["sweep"])[0]["group"], group);
    // A worker's name: in tables and in the log. One with controls is refused, and so is one that is longer than names may be.
    hebbian_tests::liar::attach(&coordinator.url, hostile);
    let name = "<script>\u{202e}\u{2066}w";
    hebbian_tests::liar::attach(&coordinator.url, name);
    until("it is attached", || coordinator.json(&["workers"]).as_array().unwrap().len() == 1);
    for arguments in [&["workers"][..], &["workers", "--json"], &["status"], &["drain", name]] {
        let shown = clean(&place.output(&coordinator.arguments(arguments)));
        assert!(shown.contains("<script>\\u") || arguments == ["status"], "{shown}");
    }
    let long = "y".repeat(10_000);
    let refused = place.output(&["worker", "--coordinator", &coordinator.url, "--name", &long]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(clean(&refused).contains("worker.name: must be 1 to 128 bytes"), "{}", errors(&refused));
    let log = fs::read_to_string(place.path("coordinator.log")).unwrap();
    assert!(log.contains("<script>\\u{202e}\\u{2066}w"), "{log}");
    assert!(!log.contains(|c: char| c.is_control() && c != '\n' || c == '\u{202e}'), "{log:?}");
    assert_eq!(coordinator.stop(), Some(0));
}

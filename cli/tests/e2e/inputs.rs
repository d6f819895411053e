//! Wrong inputs: one line that names the culprit, an exit code that is not zero, and nothing written.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::process::Command;

use crate::support::{Place, SPEC, errors};

/// Runs the program in a place where nothing may change; the message must be one line with all of `parts`.
fn check(place: &Place, arguments: &[&str], code: i32, parts: &[&str]) {
    let before = place.listing();
    let output = place.output(arguments);
    let errors = errors(&output);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {errors}");
    let lines: Vec<&str> = errors.lines().filter(|line| line.starts_with("hebbian: error: ")).collect();
    let [line] = lines[..] else { panic!("{arguments:?}: not one line: {errors}") };
    for part in parts {
        assert!(line.contains(part), "{arguments:?}: no `{part}` in: {line}");
    }
    for line in errors.lines() {
        let known = ["hebbian: error: ", "hebbian: hint: "].iter().any(|start| line.starts_with(start));
        assert!(known, "{arguments:?}: {line}");
    }
    assert!(output.stdout.is_empty(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(place.listing(), before, "{arguments:?}");
}

/// A spec with a change.
fn spec(place: &Place, from: &str, to: &str, parts: &[&str]) {
    assert!(SPEC.contains(from), "{from}");
    place.write("wrong.toml", &SPEC.replacen(from, to, 1));
    for arguments in
        [&["run", "wrong.toml", "--out", "out"][..], &["check", "wrong.toml"], &["create", "wrong.toml"]]
    {
        check(place, arguments, 2, &[&["wrong.toml: "], parts].concat());
    }
}

#[test]
fn wrong_specs() {
    let place = Place::new();
    spec(&place, "seed = 7", "sead = 7", &["line 3", "unknown field `sead`"]);
    spec(&place, "per_generation = 4", "per_generation = 4\nbatch = 4", &["unknown field `batch`"]);
    spec(
        &place,
        "population_size = 8",
        "population_size = 3",
        &["strategy.population_size: must be from 4 to"],
    );
    let line = |of: &str| format!("line {}: ", SPEC.lines().position(|line| line.contains(of)).unwrap() + 1);
    let (states, size) = (line("states = 2"), line("population_size = 8"));
    spec(&place, "states = 2", "states = 17", &[&states, "rule.states: must be from 1 to 16, not 17"]);
    spec(
        &place,
        "states = 2",
        "states = \"two\"",
        &[&states, "rule.states: must be a whole number from 1 to 16"],
    );
    spec(
        &place,
        "population_size = 8",
        "population_size = -8",
        &[&size, "strategy.population_size: must be a whole number from 4 to 65536, not -8"],
    );
    spec(&place, "\"xor\"", "\"xnor\"", &["xnor"]);
    spec(&place, "generations = 60", "", &["stop: must set at least one"]);
    spec(&place, "seed = 7", "version = 9", &["version: this program reads version 1, not 9"]);
    spec(&place, "name = \"tiny\"", "name = ", &["line 2"]);
    check(&place, &["run", "no.toml"], 3, &["no.toml: cannot be read: no such file"]);
    check(&place, &["run", "."], 2, &[".: cannot be read"]);
}

#[test]
fn names_that_would_mean_something_else() {
    let place = Place::new();
    for name in [".", "..", "-x", "--json", "_x"] {
        let named = format!("name = \"{name}\"");
        spec(&place, "name = \"tiny\"", &named, &["name: must be 1 to 64 characters", "the first a letter"]);
    }
    place.write("file", "no data sets");
    for (directory, code, problem) in
        [("file", 2, "file is not a directory"), ("gone", 3, "there is no directory gone")]
    {
        for arguments in
            [&["run", "tiny.toml"][..], &["create", "tiny.toml"], &["data", "list"], &["check", "tiny.toml"]]
        {
            check(
                &place,
                &[arguments, &["--data", directory]].concat(),
                code,
                &["worker.data (--data)", problem],
            );
        }
    }
    check(&place, &["coordinator", "--data", "file"], 2, &["storage.data (--data): file is not a directory"]);
    check(&place, &["worker", "--data", "file"], 2, &["worker.data (--data): file is not a directory"]);
}

#[test]
fn a_blank_variable_is_none_and_one_that_names_a_file_is_named() {
    let place = Place::new();
    let told = |variables: &[(&str, &str)]| {
        let mut command = place.command(&["list", "--timeout", "5s"]);
        command.env_remove("HEBBIAN_COORDINATOR");
        errors(&command.envs(variables.iter().copied()).output().unwrap())
    };
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (plain, sealed) = (format!("http://127.0.0.1:{port}"), format!("https://127.0.0.1:{port}"));
    for blank in ["", " ", "\t "] {
        let variables =
            [("HEBBIAN_COORDINATOR", plain.as_str()), ("HEBBIAN_TLS_CA", blank), ("HEBBIAN_TLS_KEY", blank)];
        assert!(told(&variables).contains("no coordinator answers"), "{}", told(&variables));
    }
    for variable in ["HEBBIAN_TLS_CA", "HEBBIAN_TLS_CERTIFICATE"] {
        let variables = [
            ("HEBBIAN_COORDINATOR", sealed.as_str()),
            (variable, "gone.pem"),
            ("HEBBIAN_TLS_KEY", "key.pem"),
        ];
        let expected = format!("{variable}: gone.pem: cannot be read");
        let variables = if variable == "HEBBIAN_TLS_CA" { &variables[..2] } else { &variables[..] };
        assert!(told(variables).contains(&expected), "{}", told(variables));
    }
    // Blank, it is as if there were none.
    let told = told(&[("HEBBIAN_COORDINATOR", " "), ("HEBBIAN_TLS_CA", "gone.pem")]);
    assert!(told.contains("HEBBIAN_TLS_CA: gone.pem"), "{told}");
}

#[test]
fn a_name_that_promises_another_format_is_refused() {
    let place = Place::new();
    for (arguments, right) in [
        (["plot", "runs/mine", "--out", "fitness.gif"], "gif"),
        (["plot", "runs/mine", "--out", "fitness.HTML"], "html"),
        (["report", "runs/mine", "--out", "page.pdf"], "pdf"),
    ] {
        check(&place, &arguments, 2, &["--out: ", &format!("no {right} is written")]);
    }
}

#[test]
fn a_directory_that_is_not_there_is_no_run_of_a_coordinator() {
    let place = Place::new();
    for command in ["report", "plot", "export"] {
        for gone in ["/no/such/dir", "runs/mine", "./mine", "gone/", "/no/such/j.sqlite#mine"] {
            let path = gone.split('#').next().unwrap();
            check(&place, &[command, gone], 3, &[&format!("{path}: there is no such directory or journal")]);
        }
        std::fs::create_dir_all(place.path("empty")).unwrap();
        check(
            &place,
            &[command, "empty"],
            3,
            &["empty: has no journal.sqlite, so it is no directory of `hebbian run`"],
        );
        // What may be the name of a run.
        let nobody = ["--coordinator", "http://127.0.0.1:1"];
        let told =
            ["`mine` is no directory or journal here, and as a run of a coordinator: http://127.0.0.1:1"];
        check(&place, &[&[command, "mine"][..], &nobody].concat(), 4, &told);
    }
}

#[test]
fn wrong_arguments() {
    let place = Place::new();
    check(&place, &["run", "--wokers", "2"], 2, &["unexpected argument '--wokers'"]);
    check(&place, &["run", "--workers", "0"], 2, &["'--workers <N>'", "from 1 to 1024"]);
    check(&place, &["run", "--seed", "x"], 2, &["'--seed <S>'", "a seed is a whole number"]);
    check(&place, &["evolve"], 2, &["unrecognized subcommand 'evolve'"]);
    check(&place, &["status", "x", "--timeout", "soon"], 2, &["'--timeout <TIME>'"]);
    check(
        &place,
        &["list", "--coordinator", "ftp://x"],
        2,
        &["--coordinator: `ftp://x` cannot be used: the scheme must be http or https"],
    );
    check(&place, &["run", "--log", "hebbian=loud"], 2, &["log.filter: `hebbian=loud`"]);
    let gradient = ["ask-tell", "--strategy", "gradient", "--dimension", "2", "--sigma", "1"];
    check(&place, &gradient, 2, &["'gradient'", "'--strategy <NAME>'"]);
    let program = ["worker", "--exec", "true", "--data", "."];
    check(&place, &program, 2, &["'--exec <COMMAND>' cannot be used with '--data <DIR>'"]);
}

/// A shell that was kept from it has not expanded `~`, and a directory of that name is what nobody wants.
#[test]
fn a_home_that_no_shell_has_expanded() {
    let place = Place::new();
    for (arguments, flag) in [
        (&["run", "tiny.toml", "--out", "~/foo"][..], "--out: the shell has not expanded the `~` of ~/foo"),
        (&["run", "~/spec.toml"], "the shell has not expanded the `~` of ~/spec.toml"),
        (&["certs", "--out=~ann/certs"], "--out: the shell has not expanded the `~` of ~ann/certs"),
        (
            &["coordinator", "--storage", "sqlite:~/journal.sqlite"],
            "`sqlite:~/journal.sqlite` begins with `~`",
        ),
        (&["journal", "verify", "~/journal.sqlite"], "JOURNAL: the shell has not expanded the `~`"),
    ] {
        check(&place, arguments, 2, &[flag]);
    }
}

/// Clients and workers read addresses with one function.
#[test]
fn addresses_are_the_same_for_clients_and_workers() {
    let place = Place::new();
    for (address, problem) in [
        ("http://host", "it needs a port"),
        ("host", "it needs a port"),
        ("http://host:99999", "a port is a number from 1 to 65535, not `99999`"),
        ("http://host:0", "a port is a number from 1 to 65535"),
        ("http://http://host:7420", "a host and a port have no '/'"),
        ("http://user@host:7420", "a host and a port have no '@'"),
        ("http://host:7420/path", "a host and a port have no '/'"),
        ("http://:7420", "it names no host"),
        ("http://[::1]", "it needs a port"),
    ] {
        check(&place, &["list", "--coordinator", address], 2, &["--coordinator: ", address, problem]);
        check(&place, &["worker", "--coordinator", address], 2, &["worker.coordinators: ", address, problem]);
    }
    // Of a file the line is named, and the file rather than who named it.
    place.write("addresses", "http://host:7420\nhttp://host:99999\n");
    for command in ["list", "status"] {
        let line = "`file:addresses` cannot be used: its line `http://host:99999` is no address: a port is";
        check(&place, &[command, "--coordinator", "file:addresses"], 4, &[line]);
    }
    // Certificates protect nothing beside an address without TLS.
    place.write("ca.pem", "-----BEGIN CERTIFICATE-----\n");
    for command in ["list", "worker"] {
        let arguments = [command, "--coordinator", "http://host:7420", "--tls-ca", "ca.pem"];
        check(&place, &arguments, 2, &["http://host:7420 is not encrypted, although --tls-ca is given"]);
    }
    // Nor where nobody connects; a variable is there for other commands.
    check(
        &place,
        &["evaluate", "rule:images", "--tls-ca", "ca.pem"],
        2,
        &["--tls-ca: has no effect without --coordinator"],
    );
    fs::create_dir(place.path("directory")).unwrap();
    check(
        &place,
        &["report", "./directory", "--tls-key", "ca.pem"],
        2,
        &["--tls-key: has no effect on a directory"],
    );
    let mut command = place.command(&["report", "./directory"]);
    let output = command.env("HEBBIAN_TLS_CA", "ca.pem").output().unwrap();
    assert!(errors(&output).contains("has no journal.sqlite"), "{}", errors(&output));
    check(&place, &["evaluate", "rule:images", "--timeout", "1s"], 2, &["--coordinator"]);
    let mut command = place.command(&["list"]);
    let output = command.env("HEBBIAN_COORDINATOR", "http://host").output().unwrap();
    assert!(
        errors(&output).contains("HEBBIAN_COORDINATOR: `http://host` cannot be used"),
        "{}",
        errors(&output)
    );
}

/// A device has no length that could be limited, and a pipe would wait for a writer.
#[test]
fn devices_and_pipes_are_no_journals_data_or_certificates() {
    let place = Place::new();
    fs::create_dir(place.path("directory")).unwrap();
    for name in ["pipe", "pipe.csv", "directory/journal.sqlite"] {
        assert!(Command::new("mkfifo").arg(place.path(name)).status().unwrap().success());
    }
    for name in ["zero.csv", "zero.npz"] {
        symlink("/dev/zero", place.path(name)).unwrap();
    }
    let no_journal = "is a device or a pipe; a journal is a regular file";
    for arguments in [
        &["journal", "verify", "./pipe"][..],
        &["journal", "export", "./pipe"],
        &["journal", "verify", "directory"],
        &["report", "./pipe"],
    ] {
        assert!(errors(&place.output(arguments)).contains(no_journal), "{arguments:?}");
    }
    for data in ["pipe.csv", "zero.csv", "zero.npz"] {
        check(&place, &["data", "add", "mine", data], 1, &[data, "it is no regular file"]);
    }
    for certificate in ["pipe", "/dev/zero"] {
        let arguments = [
            "coordinator",
            "--listen",
            "127.0.0.1:0",
            "--storage",
            "memory:",
            "--tls-certificate",
            certificate,
            "--tls-key",
            certificate,
        ];
        check(&place, &arguments, 2, &[certificate, "cannot be read: it is a device, a pipe or a directory"]);
    }
}

#[test]
fn what_is_long_is_shown_in_part() {
    let place = Place::new();
    place.write("long.toml", &format!("{} = 1", "x".repeat(3_000_000)));
    let shown = errors(&place.output(&["check", "long.toml"]));
    assert!(shown.contains("unknown field `xxx") && shown.len() < 4000, "{} bytes", shown.len());
    let value = format!("name = \"{}\"", "y".repeat(1_000_000));
    place.write("long.toml", &value);
    let shown = errors(&place.output(&["check", "long.toml"]));
    assert!(shown.len() < 4000, "{} bytes", shown.len());
}

#[test]
fn without_a_command_the_help_is_shown() {
    let place = Place::new();
    let output = place.output(&[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    let errors = errors(&output);
    assert!(errors.contains("Usage: hebbian") && errors.contains("Start here:"), "{errors}");
    assert!(!errors.contains("hebbian: error"), "{errors}");
}

#[test]
fn wrong_output_directories() {
    let place = Place::new();
    place.write("file", "precious");
    check(&place, &["run", "tiny.toml", "--out", "file"], 2, &["--out: file is a file"]);
    check(
        &place,
        &["run", "tiny.toml", "--out", "file/below"],
        2,
        &["--out: file/below: a part of this path is a file"],
    );
    std::fs::create_dir(place.path("foreign")).unwrap();
    place.write("foreign/genome.json", "{}");
    check(
        &place,
        &["run", "tiny.toml", "--out", "foreign"],
        2,
        &["foreign has a genome.json but no spec.toml"],
    );
}

#[test]
fn wrong_genome_files() {
    let place = Place::new();
    place.write("foreign.json", "{\"weights\": [1, 2]}");
    place.write("truncated.json", "{\"format\": \"hebbian-genome-1\", \"values\": [0.5, ");
    place.write("newer.json", "{\"format\": \"hebbian-genome-2\"}");
    place.write("binary.json", "\0\u{1}");
    check(&place, &["evaluate", "foreign.json"], 2, &["foreign.json: is not a genome file"]);
    check(&place, &["evaluate", "truncated.json"], 2, &["truncated.json: is truncated"]);
    check(&place, &["evaluate", "newer.json"], 2, &["newer.json: format: `hebbian-genome-2`"]);
    check(&place, &["evaluate", "binary.json"], 2, &["binary.json: is not JSON"]);
    check(&place, &["evaluate", "no.json"], 3, &["no.json: cannot be read: no such file"]);
}

#[test]
fn wrong_journals() {
    let place = Place::new();
    place.write("text.sqlite", &"this is not a database, ".repeat(1000));
    let coordinator = ["coordinator", "--listen", "127.0.0.1:0", "--storage"];
    let with = |url: &'static str| [&coordinator[..], &[url]].concat();
    check(&place, &with("sqlite:text.sqlite"), 2, &["text.sqlite"]);
    check(&place, &with("postgres://x"), 2, &["storage.url", "postgres://x"]);
    check(&place, &with("sqlite:no/such/journal.sqlite"), 1, &["no/such/journal.sqlite"]);
    check(&place, &with("sqlite::memory:"), 2, &["storage.url", "write `memory:`"]);
    check(&place, &with("sqlite://j.sqlite"), 2, &["storage.url", "write `sqlite:j.sqlite`"]);
    check(&place, &with("sqlite:file:j.sqlite"), 2, &["storage.url", "write `sqlite:j.sqlite`"]);
    place.write("empty.sqlite", "");
    check(&place, &with("sqlite:empty.sqlite"), 2, &["empty.sqlite: is an empty file"]);
    check(&place, &["journal", "verify", "empty.sqlite"], 2, &["empty.sqlite", "is empty"]);
    check(&place, &with("sqlite:."), 2, &[".: is a directory"]);
}

#[test]
fn a_journal_of_another_spec() {
    let place = Place::new();
    let short = SPEC.replace("generations = 60", "generations = 1");
    place.write("one.toml", &short);
    place.write("two.toml", &short.replace("seed = 7", "seed = 8"));
    for name in ["one", "two"] {
        assert!(place.output(&["run", &format!("{name}.toml"), "--out", name]).status.success());
    }
    // As if somebody had mixed the files up.
    std::fs::copy(place.path("one/journal.sqlite"), place.path("two/journal.sqlite")).unwrap();
    // What is written to a stream is made aside first, in a place that a variable names.
    let mut backup = place.command(&["journal", "backup", "one/journal.sqlite", "--out", "-"]);
    let output = backup.env("TMPDIR", "/no/where").output().unwrap();
    let expected = "-: cannot be written: no temporary file can be made in /no/where (TMPDIR)";
    assert!(errors(&output).contains(expected), "{}", errors(&output));
    assert!(!output.status.success() && output.stdout.is_empty());
    std::fs::remove_file(place.path("two/report.json")).unwrap();
    check(
        &place,
        &["run", "--out", "two"],
        2,
        &["two/journal.sqlite", "another spec: seed is 7 there and 8 here"],
    );
}

#[test]
fn wrong_configurations() {
    let place = Place::new();
    place.write("wrong.toml", "[server]\nlissten = \"127.0.0.1:0\"\n");
    check(
        &place,
        &["coordinator", "--config", "wrong.toml"],
        2,
        &["wrong.toml: line 2", "unknown field `lissten`"],
    );
    check(
        &place,
        &["worker", "--config", "wrong.toml"],
        2,
        &["wrong.toml: line 2", "unknown field `lissten`"],
    );
    check(&place, &["worker", "--config", "no.toml"], 2, &["no.toml: cannot be read"]);
    check(&place, &["worker", "--coordinator", "ftp://x:1"], 2, &["worker.coordinators", "ftp://x:1"]);
    let listen = ["coordinator", "--listen", "0.0.0.0:0"];
    check(
        &place,
        &listen,
        2,
        &["server.listen: 0.0.0.0:0 can be reached by other machines, and there is no TLS"],
    );

    let mut command = place.command(&["coordinator", "--listen", "127.0.0.1:0"]);
    let output = command.env("HEBBIAN__STORAGE__PATH", "x").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let errors = errors(&output);
    assert!(errors.contains("HEBBIAN__STORAGE__PATH: unknown field `path`"), "{errors}");
    assert_eq!(place.listing().len(), 2);
}

#[test]
fn a_port_in_use_and_a_coordinator_that_is_not_there() {
    let place = Place::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap().to_string();
    check(&place, &["coordinator", "--listen", &taken], 1, &[&taken, "is in use by another process"]);
    // It listens, but says nothing.
    let url = format!("http://{taken}");
    let mute = ["list", "--coordinator", &url, "--timeout", "300ms"];
    check(&place, &mute, 4, &[&url]);
    drop(listener);
    // Of several addresses the first one that answers is taken; none does here. Blank variables are none.
    let both = format!("{url},http://127.0.0.1:9");
    let mut command = place.command(&["list", "--timeout", "2s", "--coordinator", &both]);
    let output = command.env("HEBBIAN_TLS_CA", "").env("HEBBIAN__LOG__FORMAT", "").output().unwrap();
    assert_eq!(output.status.code(), Some(4));
    assert!(errors(&output).contains(&format!("{url}: no coordinator answers")), "{}", errors(&output));
    for arguments in [
        &["list"][..],
        &["status", "x"],
        &["watch", "x"],
        &["top"],
        &["health"],
        &["workers"],
        &["create", "tiny.toml"],
    ] {
        let arguments = [arguments, &["--coordinator", &url, "--timeout", "2s"]].concat();
        check(&place, &arguments, 4, &[&url, "no coordinator answers"]);
    }
}

#[test]
fn a_worker_takes_its_coordinator_from_the_same_variable_as_clients() {
    let place = Place::new();
    let mut command = place.command(&["worker"]);
    let output = command.env("HEBBIAN_COORDINATOR", "ftp://a:7420").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(errors(&output).contains("`ftp://a:7420` cannot be used"), "{}", errors(&output));
}

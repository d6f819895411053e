//! Roles: tokens and certificates, as administrators, workers and browsers use them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::support::{Coordinator, Place, errors, until};

#[test]
fn tokens_say_who_may_do_what_from_the_first_one_on() {
    let place = Place::new();
    let mut coordinator = Coordinator::start(&place);
    let refused = |arguments: &[&str], code: i32, message: &str| {
        let output = place.output(&[arguments, &["--coordinator", &coordinator.url]].concat());
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", errors(&output));
        assert!(errors(&output).contains(message), "{arguments:?}: {}", errors(&output));
    };
    // As easy as ever, until there is a token.
    coordinator.ok(&["create", "tiny.toml"]);
    refused(&["token", "create", "w", "--role", "worker"], 1, "the first token must have the role admin");
    refused(&["token", "create", "w", "--role", "root"], 2, "`root` is no role");
    let secret = coordinator.ok(&["token", "create", "boss", "--role", "admin"]);
    assert!(secret.starts_with("hebbian_") && secret.trim().len() == 72, "{secret}");
    place.write("boss.token", &secret);
    let journal = fs::read_to_string(place.path("cluster.sqlite.tokens")).unwrap();
    assert!(!journal.contains(secret.trim()), "{journal}");
    refused(&["list"], 1, "takes a token or a certificate with the role observer");
    refused(&["health"], 0, "");
    let boss = ["--token-file", "boss.token"];
    let with = |arguments: &[&str], token: &[&str]| coordinator.ok(&[arguments, token].concat());
    for (name, role) in [("nodes", "worker"), ("eyes", "observer"), ("hands", "operator")] {
        let file = format!("{name}.token");
        with(&["token", "create", name, "--role", role, "--out", &file], &boss);
        assert_eq!(fs::metadata(place.path(&file)).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let (nodes, eyes, hands) =
        (["--token-file", "nodes.token"], ["--token-file", "eyes.token"], ["--token-file", "hands.token"]);
    assert!(with(&["list"], &eyes).contains("tiny"));
    with(
        &["token", "create", "board", "--role", "operator", "--group", "a b", "--out", "board.token"],
        &boss,
    );
    let board = ["--token-file", "board.token"];
    refused(
        &["create", "tiny.toml", "--seeds", "1..2", "--group", "c", board[0], board[1]],
        2,
        "group: must be `a b` or empty: the token is for the runs of that group only",
    );
    let tokens: serde_json::Value = serde_json::from_str(&with(&["token", "list", "--json"], &boss)).unwrap();
    let roles = tokens.as_array().unwrap().iter().map(|token| token["role"].as_str().unwrap());
    assert_eq!(roles.collect::<Vec<_>>(), ["operator", "admin", "observer", "operator", "worker"]);
    refused(
        &["pause", "tiny", eyes[0], eyes[1]],
        1,
        "`eyes` has the role observer, and PauseRun takes the role operator",
    );
    refused(&["list", nodes[0], nodes[1]], 1, "`nodes` has the role worker");
    refused(&["token", "list", hands[0], hands[1]], 1, "takes the role admin");
    with(&["pause", "tiny"], &hands);
    let status = with(&["status", "tiny"], &eyes);
    assert!(status.contains("token `hands`"), "{status}");
    for _ in 0..2 {
        with(&["note", "tiny", "rack 4 is new"], &hands);
    }
    let status = with(&["status", "tiny"], &eyes);
    assert_eq!(status.matches("token `hands`: rack 4 is new").count(), 1, "{status}");
    let log = || fs::read_to_string(place.path("coordinator.log")).unwrap();
    assert!(
        log().contains("made the token `nodes` with the role worker") && log().contains("(token `boss`)")
    );
    assert!(!log().contains(secret.trim()));
    // A repetition creates nothing, and the audit says so.
    for _ in 0..2 {
        with(&["create", "tiny.toml", "--request-id", "once"], &hands);
    }
    let told = |what: &str| {
        let log = fs::read_to_string(place.path("coordinator.log")).unwrap();
        log.lines().filter(|line| line.contains(what) && line.contains("(token `hands`)")).count()
    };
    assert_eq!((told("created run"), told("asked again for run")), (1, 1));

    // A worker with a token of another role is told so, and attaches as soon as its file holds the right one.
    fs::copy(place.path("eyes.token"), place.path("worker.token")).unwrap();
    let arguments = [
        "worker",
        "--coordinator",
        &coordinator.url,
        "--threads",
        "1",
        "--name",
        "node-7",
        "--token-file",
        "worker.token",
    ];
    let _worker = place.start(&arguments, "one.log");
    let workers = || with(&["workers"], &eyes);
    until("it is told why", || {
        fs::read_to_string(place.path("one.log")).unwrap().contains("Attach takes the role worker")
    });
    fs::copy(place.path("nodes.token"), place.path("worker.token")).unwrap();
    until("it is attached", || workers().contains("node-7"));
    // Who was let in by a token that is revoked has to leave, also after a restart.
    with(&["token", "revoke", "nodes"], &boss);
    until("it is gone", || !workers().contains("node-7"));
    coordinator.kill_and_restart();
    let listed = coordinator.ok(&["token", "list", "--token-file", "boss.token"]);
    let line = |name: &str| listed.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    assert!(line("nodes").contains("revoked") && line("eyes").contains("valid"), "{listed}");
    let output = place.output(&coordinator.arguments(&["list"]));
    assert_eq!(output.status.code(), Some(1), "{}", errors(&output));
    assert_eq!(coordinator.stop(), Some(0));
}

/// A coordinator says it, and without one the program, where there is a file.
#[test]
fn a_token_that_cannot_be_meant_is_told_by_its_argument() {
    let place = Place::new();
    let coordinator = Coordinator::start(&place);
    place.write("boss.token", &coordinator.ok(&["token", "create", "boss", "--role", "admin"]));
    let cluster = ["--coordinator", &coordinator.url, "--token-file", "boss.token"];
    let wrong = |arguments: &[&str], message: &str| {
        for at in [&cluster[..], &["--tokens", "other.json"]] {
            let output = place.output(&[&["token", "create"], arguments, at].concat());
            assert_eq!(output.status.code(), Some(2), "{}", errors(&output));
            assert!(errors(&output).contains(message), "{}", errors(&output));
        }
    };
    wrong(
        &["w", "--role", "worker", "--group", "v"],
        "--group: is for observers and operators; the role worker",
    );
    wrong(&["w", "--role", "observer", "--group", "a/b"], "--group: must have at most");
    wrong(&["w", "--role", "worker", "--expires", "0s"], "--expires: must be from a second to");
    wrong(&["w x", "--role", "worker"], "NAME: must have 1 to");
}

#[test]
fn a_token_is_refused_where_others_could_read_it_and_a_wrong_file_is_named() {
    let place = Place::new();
    place.write("a.token", "hebbian_00\n");
    place.write("none.token", "two words\n");
    let check = |arguments: &[&str], message: &str| {
        let output = place.output(arguments);
        assert_eq!(output.status.code(), Some(2), "{}", errors(&output));
        assert!(errors(&output).contains(message), "{}", errors(&output));
    };
    let elsewhere = ["--coordinator", "http://coordinator.example:1", "--token-file", "a.token"];
    let message = "is not encrypted, and whoever is on the way could read the token";
    check(&[&["list"], &elsewhere[..]].concat(), message);
    check(&[&["worker"], &elsewhere[..]].concat(), message);
    check(&["list", "--token-file", "none.token"], "none.token: holds no token");
    // Whoever opens a pipe waits for a writer.
    let made = std::process::Command::new("mkfifo").arg(place.path("pipe")).status().unwrap();
    assert!(made.success());
    check(&["worker", "--token-file", "pipe"], "--token-file: pipe: is no regular file");
    check(&["worker", "--token-file", "-"], "--token-file: -: is no regular file");
    let waits = place.output(&["worker", "--coordinator", "file:pipe", "--patience", "1s"]);
    assert!(errors(&waits).contains("must be a regular file"), "{}", errors(&waits));
    let missing = place.output(&["worker", "--token-file", "no.token"]);
    assert_eq!(missing.status.code(), Some(3));
    assert!(errors(&missing).contains("no.token: cannot be read"), "{}", errors(&missing));
    place.write("tokens.json", "{");
    check(
        &["coordinator", "--listen", "127.0.0.1:0", "--tokens", "tokens.json"],
        "access.tokens: tokens.json: is no file of tokens",
    );
    check(&["token", "list", "--tokens", "tokens.json"], "--tokens: tokens.json: is no file of tokens");
    // Without a coordinator, for one that is to be started. Whoever has the file may leave out or take away every administrator, and is told
    // what that means.
    let told = |arguments: &[&str]| {
        let output = place.output(&[arguments, &["--tokens", "nobody.json"]].concat());
        assert!(output.status.success(), "{}", errors(&output));
        errors(&output)
            .contains("no valid token in nobody.json has the role admin: only whoever may write this file")
    };
    assert!(told(&["token", "create", "nodes", "--role", "worker"]));
    assert!(!told(&["token", "create", "boss", "--role", "admin"]));
    assert!(!told(&["token", "create", "eyes", "--role", "observer"]));
    assert!(told(&["token", "revoke", "boss"]));
    let secret = place.ok(&["token", "create", "boss", "--role", "admin", "--tokens", "own.json"]);
    assert!(secret.starts_with("hebbian_"));
    assert_eq!(fs::metadata(place.path("own.json")).unwrap().permissions().mode() & 0o777, 0o600);
    place.write("boss.token", &secret);
    let further = ["--tokens", "own.json", "--access-required"];
    let coordinator = Coordinator::start_with(&place, &further);
    coordinator.ok(&["list", "--token-file", "boss.token"]);
    // What is changed beside it is read at SIGHUP.
    place.ok(&["token", "revoke", "boss", "--tokens", "own.json"]);
    coordinator.signal("HUP");
    until("it is refused", || {
        let output = place.output(&coordinator.arguments(&["list", "--token-file", "boss.token"]));
        errors(&output).contains("`boss` was revoked")
    });
    assert_eq!(coordinator.stop(), Some(0));
}

/// A token is shown once. So none is made that has no place, and what cannot be written after all is told.
#[test]
fn a_token_that_cannot_be_kept_is_not_made() {
    let place = Place::new();
    let coordinator = Coordinator::start(&place);
    place.write("full", "something else\n");
    for at in [&["--coordinator", &coordinator.url][..], &["--tokens", "own.json"]] {
        for out in ["secrets/me.token", ".", "full/me.token"] {
            let create = [&["token", "create", "me", "--role", "admin", "--out", out], at].concat();
            let output = place.output(&create);
            assert!(!output.status.success() && errors(&output).contains(out), "{out}: {}", errors(&output));
        }
    }
    let own = place
        .output(&["token", "create", "me", "--role", "admin", "--tokens", "own.json", "--out", "own.json"]);
    assert!(errors(&own).contains("--out: is the file of tokens itself"), "{}", errors(&own));
    let dash = place.output(&["token", "create", "me", "--role", "admin", "--tokens", "-"]);
    assert!(errors(&dash).contains("--tokens: must be a file"), "{}", errors(&dash));
    // Nobody is kept out.
    coordinator.ok(&["list"]);
    assert!(!place.path("own.json").exists());
    let missing = place.output(&["token", "list", "--tokens", "own.json"]);
    assert_eq!(missing.status.code(), Some(3));
    assert!(errors(&missing).contains("--tokens: own.json: cannot be read"), "{}", errors(&missing));
    coordinator.ok(&["token", "create", "me", "--role", "admin", "--out", "me.token"]);
    let again =
        ["token", "create", "you", "--role", "admin", "--out", "me.token", "--token-file", "me.token"];
    let output = place.output(&coordinator.arguments(&again));
    assert_eq!(output.status.code(), Some(2));
    assert!(errors(&output).contains("--out: me.token holds a token already"), "{}", errors(&output));
    let listed = coordinator.ok(&["token", "list", "--token-file", "me.token"]);
    assert!(!listed.contains("you"), "{listed}");
    // No other output takes the place of what a coordinator keeps.
    for out in ["cluster.sqlite.tokens", "elsewhere.json"] {
        fs::copy(place.path("cluster.sqlite.tokens"), place.path("elsewhere.json")).unwrap();
        for arguments in [&["rules", "export", "images"][..], &["journal", "backup", "cluster.sqlite"]] {
            let output = place.output(&[arguments, &["--out", out]].concat());
            assert!(!output.status.success(), "{arguments:?} {out}");
            assert!(errors(&output).contains(out), "{}", errors(&output));
        }
        let kept = fs::read(place.path("cluster.sqlite.tokens")).unwrap();
        assert_eq!(fs::read(place.path(out)).unwrap(), kept, "{out}");
    }
    // Standard output is known to be full when it is written to.
    let create = ["token", "create", "you", "--role", "observer", "--token-file", "me.token"];
    let mut command = place.command(&coordinator.arguments(&create));
    let output =
        command.stdout(fs::OpenOptions::new().write(true).open("/dev/full").unwrap()).output().unwrap();
    let said = errors(&output);
    let secret = said.split_whitespace().find(|word| word.starts_with("hebbian_")).expect("it is shown");
    assert!(!output.status.success() && said.contains("the only time"), "{said}");
    place.write("you.token", secret);
    coordinator.ok(&["list", "--token-file", "you.token"]);
    assert_eq!(coordinator.stop(), Some(0));
}

#[test]
fn a_certificate_is_held_to_the_role_that_it_names() {
    let place = Place::new();
    place.ok(&["certs"]);
    for role in ["worker", "observer", "operator", "admin"] {
        assert!(place.ok(&["certs", "--role", role]).contains(&format!("of the role {role}")));
    }
    place.ok(&["certs", "--role", "operator", "--as", "alice"]);
    for name in ["ca", "revoked", "ca-key", "alice-key"] {
        let output = place.output(&["certs", "--role", "operator", "--as", name, "--renew"]);
        assert_eq!(output.status.code(), Some(2), "{}", errors(&output));
    }
    let further = [
        "--tls-certificate",
        "certs/coordinator.pem",
        "--tls-key",
        "certs/coordinator-key.pem",
        "--tls-client-ca",
        "certs/ca.pem",
    ];
    let coordinator = Coordinator::start_with(&place, &further);
    let output = |url: &str, arguments: &[&str], name: &str| {
        let (certificate, key) = (format!("certs/{name}.pem"), format!("certs/{name}-key.pem"));
        let tls = ["--tls-ca", "certs/ca.pem", "--tls-certificate", &certificate, "--tls-key", &key];
        place.output(&[arguments, &tls, &["--coordinator", url]].concat())
    };
    let url = coordinator.url.clone();
    let may = |arguments: &[&str], name: &str| output(&url, arguments, name).status.success();
    // A certificate without a role is as good as ever.
    assert!(may(&["create", "tiny.toml"], "client") && may(&["list"], "observer"));
    assert!(!may(&["list"], "worker") && !may(&["pause", "tiny"], "observer"));
    assert!(may(&["pause", "tiny"], "alice") && !may(&["token", "list"], "alice"));
    let status = String::from_utf8(output(&url, &["status", "tiny"], "observer").stdout).unwrap();
    assert!(status.contains("CN=alice"), "{status}");
    // An admin's certificate makes tokens of any role, and from then on one without a role is nothing.
    assert!(may(&["token", "create", "eyes", "--role", "observer", "--out", "eyes.token"], "admin"));
    let refused = output(&url, &["list"], "client");
    assert!(
        errors(&refused).contains("takes a token or a certificate with the role observer"),
        "{}",
        errors(&refused)
    );
    assert!(may(&["list", "--token-file", "eyes.token"], "client"));
    assert!(
        !may(&["pause", "tiny", "--token-file", "eyes.token"], "admin"),
        "whoever shows a token is held to it"
    );
    assert_eq!(coordinator.stop(), Some(0));
}

//! TLS: certificates from the program's own hand, which peers are let in, and what the others are told.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::support::{Coordinator, Place, errors, until};

const SERVER: [&str; 6] = [
    "--tls-certificate",
    "certs/coordinator.pem",
    "--tls-key",
    "certs/coordinator-key.pem",
    "--tls-client-ca",
    "certs/ca.pem",
];
const TRUST: [&str; 2] = ["--tls-ca", "certs/ca.pem"];
const IDENTITY: [&str; 4] = ["--tls-certificate", "certs/client.pem", "--tls-key", "certs/client-key.pem"];

#[test]
fn mutual_tls_lets_in_workers_and_clients_with_a_certificate_and_tells_why_it_refuses_others() {
    let place = Place::new();
    assert!(place.ok(&["certs"]).contains("signed by a new authority"));
    let mode = fs::metadata(place.path("certs/ca-key.pem")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let coordinator = Coordinator::start_with(&place, &SERVER);
    assert!(coordinator.url.starts_with("https://"), "{}", coordinator.url);
    let with = |arguments: &[&'static str], tls: &[&[&'static str]]| -> Vec<String> {
        let all = [arguments, &["--coordinator"][..]].concat().into_iter().map(str::to_owned);
        all.chain([coordinator.url.clone()]).chain(tls.concat().into_iter().map(str::to_owned)).collect()
    };
    let output =
        |arguments: Vec<String>| place.output(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let log = || fs::read_to_string(place.path("coordinator.log")).unwrap();

    let known = output(with(&["health"], &[&TRUST, &IDENTITY]));
    assert!(known.status.success(), "{}", errors(&known));
    let unknown = output(with(&["health"], &[&TRUST]));
    assert_eq!(unknown.status.code(), Some(4), "{}", errors(&unknown));
    until("the coordinator says why", || log().contains("the peer sent no certificate"));
    let plain = coordinator.url.replace("https", "http");
    until("it says why, too, where a client does not speak TLS", || {
        assert_eq!(place.output(&["health", "--coordinator", &plain]).status.code(), Some(4));
        log().contains("the peer does not speak TLS")
    });
    let distrustful = output(with(&["health"], &[&IDENTITY]));
    assert_eq!(distrustful.status.code(), Some(4));
    assert!(errors(&distrustful).contains("certificate"), "{}", errors(&distrustful));

    let arguments = with(&["worker", "--threads", "1", "--name", "known"], &[&TRUST, &IDENTITY]);
    let _known = place.start(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), "known.log");
    let arguments = with(&["worker", "--threads", "1", "--name", "unknown"], &[&TRUST]);
    let mut unknown = place.start(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), "unknown.log");
    let workers = || String::from_utf8(output(with(&["workers"], &[&TRUST, &IDENTITY])).stdout).unwrap();
    until("the worker with a certificate is attached", || workers().contains("known"));
    until("the one without has tried", || {
        fs::read_to_string(place.path("unknown.log")).unwrap().contains("not attached")
    });
    assert!(!workers().contains("unknown"));
    assert!(!unknown.has_ended(), "it keeps trying");

    // New certificates of the same authority, without a restart.
    let before = fs::read(place.path("certs/coordinator.pem")).unwrap();
    assert!(
        place
            .ok(&["certs", "--name", "coordinator.example", "--renew"])
            .contains("signed by the authority that was there")
    );
    assert_ne!(fs::read(place.path("certs/coordinator.pem")).unwrap(), before);
    coordinator.signal("HUP");
    until("the certificates are read again", || log().contains("the certificates were read again"));
    let renewed = output(with(&["health"], &[&TRUST, &IDENTITY]));
    assert!(renewed.status.success(), "{}", errors(&renewed));
    // A certificate that lacks a name by which the coordinator may be reached would lock somebody out.
    place.ok(&["certs", "--renew"]);
    coordinator.signal("HUP");
    until("it is refused", || {
        log().contains("lacks the name `coordinator.example` of the certificate in use")
    });
    assert!(output(with(&["health"], &[&TRUST, &IDENTITY])).status.success());

    // Who did something is told by the certificate.
    let created = output(with(&["create", "tiny.toml"], &[&TRUST, &IDENTITY]));
    assert!(created.status.success(), "{}", errors(&created));
    until("it is told who created the run", || {
        log().lines().any(|line| line.contains("created run") && line.contains("(CN=hebbian client)"))
    });
    assert_eq!(coordinator.stop(), Some(0));
}

/// A certificate that got lost is taken back: whoever shows it is kept out, and what was open with it ends. Others go on.
#[test]
fn a_revoked_certificate_lets_nobody_in_and_what_it_opened_ends() {
    let place = Place::new();
    place.ok(&["certs", "--role", "worker", "--as", "lost"]);
    place.ok(&["certs", "--role", "worker", "--as", "kept"]);
    assert!(place.ok(&["certs", "revoke"]).contains("which has 0"));
    let server = [&SERVER[..], &["--tls-revoked", "certs/revoked.pem"]].concat();
    let coordinator = Coordinator::start_with(&place, &server);
    let url = coordinator.url.clone();
    let worker = |name: &str| {
        let (own, key) = (format!("certs/{name}.pem"), format!("certs/{name}-key.pem"));
        let identity = ["--tls-certificate", &own, "--tls-key", &key, "--threads", "1", "--name", name];
        let arguments = [&["worker", "--coordinator", &url][..], &TRUST, &identity].concat();
        place.start(&arguments, &format!("{name}.log"))
    };
    let workers = || place.ok(&[&["workers", "--coordinator", &url][..], &TRUST, &IDENTITY].concat());
    let (_lost, _kept) = (worker("lost"), worker("kept"));
    until("both are attached", || workers().contains("lost") && workers().contains("kept"));
    assert!(place.ok(&["certs", "revoke", "lost.pem"]).contains("1 added to certs/revoked.pem, which has 1"));
    assert!(
        place
            .ok(&["certs", "revoke", "certs/lost.pem", "0a:0B"])
            .contains("(1 were in it before), which has 2")
    );
    coordinator.signal("HUP");
    until("its connection ends", || !workers().contains("lost"));
    let log = || fs::read_to_string(place.path("coordinator.log")).unwrap();
    until("it is told why", || {
        log().contains("the certificate of its peer was revoked")
            && log().contains("the peer's certificate was revoked (--tls-revoked)")
    });
    assert!(workers().contains("kept"));
    // What could have no effect is refused.
    place.ok(&["certs", "--out", "foreign"]);
    for (arguments, expected) in [
        (
            &["certs", "revoke", "foreign/client.pem"][..],
            "foreign/client.pem: was not signed by the authority in certs",
        ),
        (&["certs", "revoke", "ca.pem"], "ca.pem: is an authority itself"),
        (&["certs", "revoke", "nobody"], "`nobody` is neither a file, nor one in certs, nor a serial number"),
        (&["certs", "revoke", "--out", "nowhere", "0a"], "--out: there is no authority in nowhere"),
    ] {
        let refused = place.output(arguments);
        assert_eq!(refused.status.code(), Some(2), "{arguments:?}");
        assert!(errors(&refused).contains(expected), "{}", errors(&refused));
    }
    fs::copy(place.path("foreign/ca.pem"), place.path("certs/revoked.pem")).unwrap();
    coordinator.signal("HUP");
    until("it is refused, and the list before stays", || {
        log().contains("holds no list of revoked certificates")
    });
    assert!(!workers().contains("lost"));
    assert_eq!(coordinator.stop(), Some(0));
}

/// Who has a certificate is let in until it is revoked, and that needs its file: none is replaced unheard.
#[test]
fn a_certificate_is_replaced_when_told_so_and_the_old_one_is_kept_to_be_revoked() {
    let place = Place::new();
    let role = ["certs", "--role", "operator", "--as", "ann"];
    place.ok(&role);
    let read = |name: &str| fs::read(place.path(&format!("certs/{name}"))).unwrap();
    let refused = |arguments: &[&str], file: &str| {
        let before = place.listing().into_iter().map(|path| (fs::read(&path).ok(), path)).collect::<Vec<_>>();
        let output = place.output(arguments);
        assert_eq!(output.status.code(), Some(2), "{}", errors(&output));
        let said = errors(&output);
        assert!(
            said.contains(&format!("certs/{file}: is there already")) && said.contains("--renew"),
            "{said}"
        );
        let after = place.listing().into_iter().map(|path| (fs::read(&path).ok(), path)).collect::<Vec<_>>();
        assert_eq!(after, before, "{arguments:?}");
    };
    refused(&role, "ann.pem");
    refused(&["certs"], "coordinator.pem");
    refused(&["certs", "--name", "a.lan"], "coordinator.pem");
    fs::remove_file(place.path("certs/coordinator.pem")).unwrap();
    refused(&["certs"], "coordinator-key.pem");
    fs::remove_file(place.path("certs/coordinator-key.pem")).unwrap();
    refused(&["certs"], "client.pem");

    let first = read("ann.pem");
    let said = place.ok(&[&role[..], &["--renew"]].concat());
    assert!(
        said.contains("what was there is kept as ann.pem.1") && said.contains("revoke ann.pem.1"),
        "{said}"
    );
    let second = read("ann.pem");
    place.ok(&[&role[..], &["--renew"]].concat());
    assert_eq!((read("ann.pem.1"), read("ann.pem.2")), (first, second));
    let said = place.ok(&["certs", "revoke", "ann.pem.1", "ann.pem.2", "ann.pem"]);
    assert!(said.contains("3 added") && said.contains("which has 3"), "{said}");
    // What is not there is made, and there is nothing to keep of it.
    let said = place.ok(&["certs", "--renew"]);
    assert!(said.contains("what was there is kept as client.pem.1"), "{said}");
    let said = place.ok(&["certs", "--renew"]);
    assert!(said.contains("are kept as coordinator.pem.1 and client.pem.2"), "{said}");
}

#[test]
fn wrong_certificates_are_named_and_nothing_is_started() {
    let place = Place::new();
    let check = |arguments: &[&str], message: &str| {
        let before = place.listing();
        let output = place.output(arguments);
        assert_eq!(output.status.code(), Some(2), "{}", errors(&output));
        assert!(errors(&output).contains(message), "{}", errors(&output));
        assert_eq!(place.listing(), before);
    };
    place.write("empty.pem", "");
    let coordinator = ["coordinator", "--listen", "127.0.0.1:0"];
    let with = |further: &[&'static str]| [&coordinator[..], further].concat();
    check(&with(&["--tls-key", "empty.pem"]), "server.tls.certificate: must be set where server.tls.key is");
    check(
        &with(&["--tls-certificate", "empty.pem", "--tls-key", "empty.pem"]),
        "server.tls.certificate: empty.pem: holds no certificate in PEM form",
    );
    check(
        &with(&["--tls-revoked", "empty.pem"]),
        "server.tls.client_ca: must be set where server.tls.revoked is",
    );
    check(&["worker", "--tls-key", "empty.pem"], "--tls-certificate: must be given with --tls-key");
    check(
        &["worker", "--coordinator", "https://localhost:1", "--tls-ca", "empty.pem"],
        "empty.pem: holds no certificate in PEM form",
    );
    // A key of another certificate is no reason to leave TLS.
    place.ok(&["certs"]);
    place.ok(&["certs", "--role", "operator", "--as", "ann"]);
    let mixed = [
        "--tls-ca",
        "certs/ca.pem",
        "--tls-certificate",
        "certs/client.pem",
        "--tls-key",
        "certs/ann-key.pem",
    ];
    let wrong = "certs/ann-key.pem: does not belong to the certificate in certs/";
    for command in ["health", "list", "worker"] {
        let arguments = [&[command, "--coordinator", "https://localhost:1"], &mixed[..]].concat();
        check(&arguments, &format!("--tls-key: {wrong}client.pem"));
    }
    let own = ["--tls-certificate", "certs/coordinator.pem", "--tls-key", "certs/ann-key.pem"];
    check(&with(&own), &format!("server.tls.key: {wrong}coordinator.pem"));
    check(&["certs", "--name", "https://a:7420"], "--name: `https://a:7420` is not a host's name or address");
    place.write("half/ca.pem", "no authority");
    check(&["certs", "--out", "half"], "ca-key.pem: is missing beside half/ca.pem");
}

//! What monitoring sees: a figure for each thing that may break, and an alert for it.

use std::collections::BTreeSet;
use std::fs;

use crate::support::{Coordinator, Metrics, Place, SPEC, errors, fetched, until};

/// A run that does not end by itself.
fn endless(place: &Place) {
    place.write("endless.toml", &SPEC.replace("generations = 60", "generations = 1000000"));
}

#[test]
fn a_killed_worker_and_one_that_hangs_are_told_apart() {
    let place = Place::new();
    endless(&place);
    let coordinator = Coordinator::start_with(&place, &["--web", "127.0.0.1:0"]);
    let metrics = Metrics::of(&place, "coordinator.log");
    let lost = || {
        ["connection", "silence"]
            .map(|reason| metrics.figure(&format!("hebbian_workers_lost_total{{reason=\"{reason}\"}}")))
    };
    let (mut killed, hangs) = (coordinator.worker("killed"), coordinator.worker("hangs"));
    coordinator.ok(&["create", "endless.toml"]);
    let settled = || metrics.figure("hebbian_episodes_settled_total");
    until("both are there and work", || metrics.figure("hebbian_workers") == 2.0 && settled() > 100.0);
    assert_eq!(lost(), [0.0, 0.0]);
    killed.kill();
    until("the killed one is lost", || lost() == [1.0, 0.0]);
    assert_eq!(metrics.figure("hebbian_workers"), 1.0);
    // The other one has all the work, so it holds some when it stops.
    let before = settled();
    until("it works on", || settled() > before && metrics.figure("hebbian_episodes_leased") > 0.0);
    hangs.signal("STOP");
    until("the one that hangs is lost, too", || lost() == [1.0, 1.0]);
    assert_eq!(metrics.figure("hebbian_workers"), 0.0);
    let stands = settled();
    assert_eq!(metrics.figure("hebbian_runs_without_workers"), 1.0);
    hangs.signal("CONT");
    until("it is back and works", || metrics.figure("hebbian_workers") == 1.0 && settled() > stands);
    assert_eq!((lost(), metrics.figure("hebbian_workers_attached_total")), ([1.0, 1.0], 3.0));
    assert_eq!(coordinator.stop(), Some(0));
}

#[test]
fn a_scheduled_copy_that_fails_is_seen_and_so_is_its_mending() {
    let place = Place::new();
    place.write("coordinator.toml", "backup = { directory = \"copies\", every = \"1s\", keep = 2 }\n");
    let further = ["--web", "127.0.0.1:0", "--config", "coordinator.toml"];
    let coordinator = Coordinator::start_with(&place, &further);
    let metrics = Metrics::of(&place, "coordinator.log");
    let copies =
        |outcome: &str| metrics.figure(&format!("hebbian_journal_copies_total{{outcome=\"{outcome}\"}}"));
    until("a copy is made", || copies("made") >= 1.0);
    assert_eq!((copies("failed"), metrics.figure("hebbian_journal_copy_trouble")), (0.0, 0.0));
    fs::rename(place.path("copies"), place.path("away")).unwrap();
    place.write("copies", "a file where the directory was");
    until("a copy fails", || copies("failed") >= 1.0);
    assert_eq!(metrics.figure("hebbian_journal_copy_trouble"), 1.0);
    fs::remove_file(place.path("copies")).unwrap();
    fs::rename(place.path("away"), place.path("copies")).unwrap();
    until("a copy is made again", || metrics.figure("hebbian_journal_copy_trouble") == 0.0);
    assert_eq!(coordinator.stop(), Some(0));
}

#[test]
fn the_end_of_a_certificate_is_a_figure() {
    let place = Place::new();
    place.ok(&["certs", "--out", "certs", "--name", "localhost"]);
    let further = [
        "--web",
        "127.0.0.1:0",
        "--tls-certificate",
        "certs/coordinator.pem",
        "--tls-key",
        "certs/coordinator-key.pem",
    ];
    let coordinator = Coordinator::start_with(&place, &further);
    let end = Metrics::of(&place, "coordinator.log").figure("hebbian_certificate_expiry_timestamp_seconds");
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
    assert!(end > now + 14.0 * 86_400.0 && end < now + 1e10, "{end}");
    assert_eq!(coordinator.stop(), Some(0));
}

/// Words of a text that begin with one of its letters and signs.
fn words<'a>(text: &'a str, beginning: &str) -> BTreeSet<&'a str> {
    let is_letter = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(|c| !is_letter(c)).filter(|word| word.starts_with(beginning) && *word != beginning).collect()
}

#[test]
fn all_that_breaks_has_an_alert_and_every_figure_that_one_needs_is_served() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let read = |path: &str| fs::read_to_string(format!("{root}/{path}")).unwrap();
    let (alerts, operations) = (read("deploy/monitoring/alerts.yaml"), read("docs/OPERATIONS.md"));
    let rules: BTreeSet<&str> =
        alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    let (_, section) = operations.split_once("\n## When something breaks\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    for row in section.lines().filter(|line| line.starts_with("| ")).skip(1) {
        let named = words(row, "Hebbian");
        assert!(!named.is_empty() && named.is_subset(&rules), "{named:?} of the row {row}");
    }
    let told = words(&operations, "Hebbian");
    assert_eq!(told, rules, "the rules, and what the document tells of them");

    let place = Place::new();
    let coordinator = Coordinator::start_with(&place, &["--web", "127.0.0.1:0"]);
    let arguments = coordinator.arguments(&["worker", "--threads", "1", "--metrics", "127.0.0.1:0"]);
    let _worker = place.start(&arguments, "worker.log");
    let served = Metrics::of(&place, "coordinator.log").text() + &Metrics::of(&place, "worker.log").text();
    let dashboard = read("deploy/monitoring/dashboard.json");
    let needed = &words(&alerts, "hebbian_") | &words(&dashboard, "hebbian_");
    assert!(needed.len() > 20, "{needed:?}");
    for name in needed {
        let is_it = |line: &str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{']));
        assert!(served.lines().any(is_it), "{name} is not served");
    }
    assert_eq!(coordinator.stop(), Some(0));
}

#[test]
fn a_workers_metrics_tell_of_its_episodes_and_of_its_coordinators_end() {
    let place = Place::new();
    let coordinator = Coordinator::start(&place);
    let arguments = coordinator.arguments(&["worker", "--threads", "1", "--metrics", "127.0.0.1:0"]);
    let _worker = place.start(&arguments, "worker.log");
    let metrics = Metrics::of(&place, "worker.log");
    let (address, figure) = (&metrics.0, |name: &str| metrics.figure(name));
    let run = coordinator.ok(&["create", "tiny.toml"]).trim().to_owned();
    coordinator.until_state(&run, "finished");
    let settled = coordinator.json(&["workers"])[0]["settled_episodes"].as_f64().unwrap();
    assert!(settled > 1000.0, "{settled}");
    let of = |outcome: &str| figure(&format!("hebbian_worker_episodes_total{{outcome=\"{outcome}\"}}"));
    assert!(of("evaluated") + of("diverged") >= settled && of("error") == 0.0);
    assert_eq!((figure("hebbian_worker_attached"), figure("hebbian_worker_streams_total")), (1.0, 1.0));
    assert!(figure("hebbian_worker_compute_seconds_total") > 0.0);
    until("it holds nothing", || figure("hebbian_worker_episodes_held") == 0.0);
    // Nothing else is there, and nothing for whoever makes another name lead here.
    assert!(fetched(address, "/", address).starts_with("HTTP/1.1 404"));
    assert!(fetched(address, "/metrics", "evil.example").starts_with("HTTP/1.1 403"));
    assert_eq!(coordinator.stop(), Some(0));
    until("it has lost its coordinator", || figure("hebbian_worker_attached") == 0.0);
    assert!(figure("hebbian_worker_connection_troubles_total") >= 1.0);
}

#[test]
fn metrics_that_other_machines_could_read_are_refused() {
    let place = Place::new();
    for (address, expected) in [
        ("0.0.0.0:0", "worker.metrics: 0.0.0.0:0 can be reached by other machines"),
        ("7422", "worker.metrics: `7422` is not an address and a port"),
    ] {
        let output = place.output(&["worker", "--metrics", address]);
        assert_eq!(output.status.code(), Some(2));
        assert!(errors(&output).contains(expected), "{}", errors(&output));
    }
}

#[test]
fn where_the_time_of_generations_went_and_what_workers_reported_is_told() {
    let place = Place::new();
    endless(&place);
    let coordinator = Coordinator::start_with(&place, &["--web", "127.0.0.1:0"]);
    let metrics = Metrics::of(&place, "coordinator.log");
    let figure = |name: &str| metrics.figure(name);
    let parts = || {
        ["compute", "waiting", "search", "disk"]
            .map(|part| figure(&format!("hebbian_generation_seconds_total{{part=\"{part}\"}}")))
    };
    assert_eq!((parts(), figure("hebbian_generations_total")), ([0.0; 4], 0.0));
    let mut worker = coordinator.worker("one");
    let run = coordinator.ok(&["create", "tiny.toml"]).trim().to_owned();
    coordinator.until_state(&run, "finished");
    until("the last close is on the disk", || figure("hebbian_generations_total") == 60.0);
    let [compute, waiting, search, disk] = parts();
    assert!(compute > search && waiting > 0.0 && search > 0.0 && disk > 0.0, "{:?}", parts());
    assert!(compute + waiting + search < figure("hebbian_uptime_seconds"), "{:?}", parts());
    let reported =
        |outcome: &str| figure(&format!("hebbian_episodes_reported_total{{outcome=\"{outcome}\"}}"));
    assert!(reported("evaluated") + reported("diverged") >= 60.0 * 8.0 * 4.0 && reported("error") == 0.0);
    assert_eq!(figure("hebbian_watchers"), 0.0);
    let run = coordinator.ok(&["create", "endless.toml"]).trim().to_owned();
    let mut watch = place.start(&coordinator.arguments(&["watch", &run]), "watch.log");
    until("somebody watches", || figure("hebbian_watchers") == 1.0);
    watch.kill();
    until("nobody watches any more", || figure("hebbian_watchers") == 0.0);
    worker.kill();
    until("episodes wait for a worker", || figure("hebbian_episodes_queued") > 0.0);
    assert_eq!(coordinator.stop(), Some(0));
}

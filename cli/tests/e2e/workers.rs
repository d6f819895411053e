//! Workers that hang, leave in order, or are shared by runs of different weight.

use std::fs;

use crate::support::{Coordinator, Place, SPEC, bits, errors, until};

fn long(place: &Place) {
    place.write("long.toml", &SPEC.replace("generations = 60", "generations = 300"));
}

fn is_attached(coordinator: &Coordinator<'_>, name: &str) -> bool {
    let workers = coordinator.json(&["workers"]);
    workers.as_array().unwrap().iter().any(|worker| worker["display_name"] == name)
}

#[test]
fn a_worker_that_hangs_changes_nothing_and_may_come_back() {
    let place = Place::new();
    long(&place);
    let mut alone = place.start(&["run", "long.toml", "--workers", "1", "--out", "alone"], "run.log");
    let genome = place.path("alone/genome.json");
    until("the genome is written", || genome.exists() || alone.has_ended());
    let expected = bits(&genome);
    drop(alone);

    let coordinator = Coordinator::start(&place);
    let run = coordinator.ok(&["create", "long.toml"]).trim().to_owned();
    let hangs = coordinator.worker("hangs");
    let _steady = coordinator.worker("steady");
    until("both work", || {
        let workers = coordinator.json(&["workers"]);
        let settled = |worker: &serde_json::Value| worker["settled_episodes"].as_u64().unwrap() > 0;
        workers.as_array().unwrap().iter().filter(|worker| settled(worker)).count() == 2
    });
    hangs.signal("STOP");
    let at_stop = coordinator.json(&["status", &run]);
    assert_eq!(at_stop["state"]["kind"], "running", "it must be stopped before the end: {at_stop}");
    until("the worker that hangs is detached", || !is_attached(&coordinator, "hangs"));
    hangs.signal("CONT");
    until("it is back", || is_attached(&coordinator, "hangs"));
    coordinator.until_state(&run, "finished");
    coordinator.ok(&["result", &run, "--out", "cluster.json"]);
    assert_eq!(bits(&place.path("cluster.json")), expected);
    assert_eq!(coordinator.stop(), Some(0));
}

#[test]
fn a_drained_worker_ends_by_itself_and_others_go_on() {
    let place = Place::new();
    long(&place);
    let coordinator = Coordinator::start(&place);
    let run = coordinator.ok(&["create", "long.toml"]).trim().to_owned();
    let mut first = coordinator.worker("first");
    until("it works", || coordinator.generation(&run) >= 2);
    let missing = place.output(&coordinator.arguments(&["drain", "nobody"]));
    assert_eq!(missing.status.code(), Some(3));
    assert!(errors(&missing).contains("no worker `nobody` is attached"), "{}", errors(&missing));
    let said = coordinator.ok(&["drain", "first", "--within", "30s", "--wait"]);
    assert!(said.contains("first  has left"), "{said}");
    assert!(!is_attached(&coordinator, "first"));
    assert_eq!(first.exit_code(), Some(0), "it does not come back");
    let log = fs::read_to_string(place.path("first.log")).unwrap();
    assert!(log.contains("the coordinator has drained this worker"), "{log}");
    // Nothing it had is missing: another one finishes the run.
    let at_drain = coordinator.generation(&run);
    let _second = coordinator.worker("second");
    until("it goes on", || coordinator.generation(&run) > at_drain);
    assert_eq!(coordinator.json(&["cancel", &run])["state"]["kind"], "cancelled");
    assert_eq!(coordinator.stop(), Some(0));
}

/// Its coordinator ends, and does not come back.
#[test]
fn a_worker_ends_when_its_patience_does() {
    let place = Place::new();
    let coordinator = Coordinator::start(&place);
    let arguments = ["worker", "--threads", "1", "--name", "one", "--patience", "1s"];
    let mut worker = place.start(&coordinator.arguments(&arguments), "one.log");
    until("it is attached", || is_attached(&coordinator, "one"));
    assert_eq!(coordinator.stop(), Some(0));
    assert_eq!(worker.exit_code(), Some(4));
    let log = fs::read_to_string(place.path("one.log")).unwrap();
    assert!(log.contains("it had no coordinator for 1 s, which is its patience (worker.patience)"), "{log}");
}

#[test]
fn a_run_has_a_weight() {
    let place = Place::new();
    let coordinator = Coordinator::start(&place);
    let run = coordinator.ok(&["create", "tiny.toml", "--weight", "2.5"]).trim().to_owned();
    assert_eq!(coordinator.json(&["status", &run])["weight"], 2.5);
    assert!(coordinator.ok(&["status", &run]).contains("2.5 (share of the cluster"));
    assert!(coordinator.ok(&["list"]).contains("2.5"));
    assert_eq!(coordinator.json(&["create", "tiny.toml"])["weight"], 1.0);
    for weight in ["0", "-1", "1001", "nan", "much"] {
        let refused = place.output(&coordinator.arguments(&["create", "tiny.toml", "--weight", weight]));
        assert_eq!(refused.status.code(), Some(2), "{weight}");
        assert!(errors(&refused).contains("--weight"), "{}", errors(&refused));
    }
    for group in ["--group=..", "--group=-x", "--group=--json", "--group=a/b"] {
        let arguments = ["create", "tiny.toml", "--seeds", "1..2", group];
        let refused = place.output(&coordinator.arguments(&arguments));
        assert_eq!(refused.status.code(), Some(2), "{group}");
        assert!(errors(&refused).contains("group: must have at most 64"), "{}", errors(&refused));
    }
    // The weight outlives the coordinator.
    let mut coordinator = coordinator;
    coordinator.kill_and_restart();
    assert_eq!(coordinator.json(&["status", &run])["weight"], 2.5);
    assert_eq!(coordinator.stop(), Some(0));
}

//! A coordinator with workers as separate processes, and the client commands.

use std::fs;

use crate::support::{Coordinator, Place, SPEC, bits, errors, until};

/// Long enough to be killed in the middle on a fast machine.
/// That a search finds the same bits in one process, with each of these numbers of workers, and on a cluster that loses a worker and its
/// coordinator.
pub(crate) fn check_kills(spec: &str, numbers_of_workers: &[&str]) {
    let place = Place::new();
    place.write("long.toml", spec);
    let mut results = Vec::new();
    for workers in numbers_of_workers {
        let out = format!("run-{workers}");
        // The genome is written when the search has finished; the comparison after it is not of interest here.
        let mut process = place.start(&["run", "long.toml", "--workers", workers, "--out", &out], "run.log");
        let genome = place.path(&out).join("genome.json");
        until("the genome is written", || genome.exists() || process.has_ended());
        results.push(bits(&genome));
    }

    let mut coordinator = Coordinator::start(&place);
    let run = coordinator.ok(&["create", "long.toml"]).trim().to_owned();
    let mut workers: Vec<_> = ["one", "two", "three"].iter().map(|name| coordinator.worker(name)).collect();
    until("some generations are closed", || coordinator.generation(&run) >= 3);
    workers[0].kill();
    let at_first_kill = coordinator.generation(&run);
    until("it goes on without the first worker", || coordinator.generation(&run) > at_first_kill);
    // `status` may be ahead of the disk; what is before a note that was acknowledged is on it.
    coordinator.ok(&["note", &run, "the coordinator is killed"]);
    coordinator.kill_and_restart();
    let at_restart = coordinator.json(&["status", &run]);
    assert_eq!(
        at_restart["state"]["kind"], "running",
        "the coordinator must be killed before the end: {at_restart}"
    );
    assert!(at_restart["generation"].as_u64().unwrap() >= at_first_kill);
    coordinator.until_state(&run, "finished");
    coordinator.ok(&["result", &run, "--out", "cluster.json"]);
    results.push(bits(&place.path("cluster.json")));
    assert!(!results[0].is_empty());
    assert!(results.iter().all(|result| *result == results[0]));

    // SIGTERM is an orderly end for all of them.
    for worker in &mut workers[1..] {
        worker.signal("TERM");
        assert_eq!(worker.exit_code(), Some(0));
    }
    assert_eq!(coordinator.stop(), Some(0));
}

#[test]
fn a_run_is_created_watched_paused_resumed_cancelled_and_deleted() {
    let place = Place::new();
    let coordinator = Coordinator::start(&place);
    assert_eq!(coordinator.ok(&["health"]), "serving\n");
    assert!(coordinator.ok(&["list"]).starts_with("no runs yet"));
    assert!(coordinator.ok(&["workers"]).starts_with("no workers are attached"));

    let run = coordinator.ok(&["create", "tiny.toml", "--request-id", "first"]).trim().to_owned();
    assert_eq!(coordinator.ok(&["create", "tiny.toml", "--request-id", "first"]).trim(), run);
    let reused = place.output(&coordinator.arguments(&[
        "create",
        "tiny.toml",
        "--seed",
        "8",
        "--request-id",
        "first",
    ]));
    assert_eq!(reused.status.code(), Some(2), "{}", errors(&reused));
    assert!(errors(&reused).contains("request_id: `first` was used before"), "{}", errors(&reused));

    // A run may be named by its id, the beginning of its id, or its spec's name.
    for name in [&run, &run[..4], "tiny"] {
        assert_eq!(coordinator.json(&["status", name])["name"], format!("runs/{run}"));
    }
    let missing = place.output(&coordinator.arguments(&["status", "missing"]));
    assert_eq!(missing.status.code(), Some(3));
    assert!(errors(&missing).contains("there is no run `missing`"), "{}", errors(&missing));

    assert_eq!(coordinator.json(&["pause", &run])["state"]["kind"], "paused");
    let worker = coordinator.worker("one");
    until("the worker is attached", || coordinator.json(&["workers"])[0]["display_name"] == "one");
    assert_eq!(coordinator.json(&["workers"])[0]["threads"], 1);
    assert_eq!(coordinator.generation(&run), 0, "a paused run does not go on");
    assert!(coordinator.ok(&["resume", &run]).contains("running"));

    // A watcher from the first event and one that comes late see the same, without gaps.
    let whole = coordinator.ok(&["watch", &run, "--json"]);
    let events: Vec<serde_json::Value> =
        whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let generations: Vec<u64> = events
        .iter()
        .filter(|event| event["event"]["kind"] == "generation")
        .map(|event| event["event"]["generation"]["generation"].as_u64().unwrap())
        .collect();
    assert_eq!(generations, (0..60).collect::<Vec<u64>>());
    assert!(events.iter().any(|event| event["event"]["state"]["kind"] == "paused"));
    assert_eq!(events.last().unwrap()["event"]["state"]["kind"], "finished");
    let middle = &events[events.len() / 2];
    let after = middle["sequence"].to_string();
    let tail = coordinator.ok(&["watch", &run, "--json", "--after", &after]);
    assert_eq!(
        whole.lines().skip(events.len() / 2 + 1).collect::<Vec<_>>(),
        tail.lines().collect::<Vec<_>>()
    );
    assert!(coordinator.ok(&["watch", &run]).contains("finished"));

    // A finished run's result; an orderly refusal of what makes no sense.
    coordinator.ok(&["result", &run, "--out", "genome.json"]);
    let printed: serde_json::Value = serde_json::from_str(&coordinator.ok(&["result", "tiny"])).unwrap();
    assert_eq!(
        printed,
        serde_json::from_str::<serde_json::Value>(&fs::read_to_string(place.path("genome.json")).unwrap())
            .unwrap()
    );
    assert_eq!(printed["provenance"]["generation"], 60);
    let refused = place.output(&coordinator.arguments(&["pause", &run]));
    assert_eq!(refused.status.code(), Some(1));
    assert!(errors(&refused).contains(&run) && errors(&refused).lines().count() <= 2, "{}", errors(&refused));

    let second = coordinator.ok(&["create", "tiny.toml", "--seed", "9"]).trim().to_owned();
    let ambiguous = place.output(&coordinator.arguments(&["status", "tiny"]));
    assert_eq!(ambiguous.status.code(), Some(2));
    assert!(errors(&ambiguous).contains("`tiny` may mean any of 2 runs"), "{}", errors(&ambiguous));
    let running = place.output(&coordinator.arguments(&["delete", &second]));
    assert_eq!(running.status.code(), Some(1), "{}", errors(&running));
    assert_eq!(coordinator.json(&["cancel", &second])["state"]["kind"], "cancelled");
    let watched = place.output(&coordinator.arguments(&["watch", &second]));
    assert_eq!(watched.status.code(), Some(1));
    coordinator.ok(&["delete", &second]);
    let listed = coordinator.json(&["list"]);
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!(listed[0]["name"], format!("runs/{run}"));
    assert!(coordinator.ok(&["status"]).contains("1 with 1 thread"), "{}", coordinator.ok(&["status"]));
    drop(worker);
}

#[test]
fn a_watch_outlives_its_coordinator() {
    let place = Place::new();
    // Long enough to be killed in the middle on a fast machine.
    place.write("long.toml", &SPEC.replace("generations = 60", "generations = 300"));
    let mut coordinator = Coordinator::start(&place);
    let run = coordinator.ok(&["create", "long.toml"]).trim().to_owned();
    let url = coordinator.url.clone();
    let watching = std::thread::scope(|scope| {
        let watching =
            scope.spawn(|| place.ok(&["watch", &run, "--json", "--timeout", "60s", "--coordinator", &url]));
        let _worker = coordinator.worker("one");
        until("some generations are closed", || coordinator.generation(&run) >= 3);
        coordinator.kill_and_restart();
        assert_eq!(coordinator.json(&["status", &run])["state"]["kind"], "running", "killed too late");
        coordinator.until_state(&run, "finished");
        watching.join().unwrap()
    });
    // The same events as one undisturbed watcher sees, each once.
    assert_eq!(watching, coordinator.ok(&["watch", &run, "--json"]));
}

#[test]
fn a_watch_says_what_it_waits_for() {
    let place = Place::new();
    let mut coordinator = Coordinator::start(&place);
    let run = coordinator.ok(&["create", "tiny.toml"]).trim().to_owned();
    let url = coordinator.url.clone();
    let file = |name: &str| fs::File::create(place.path(name)).unwrap();
    let mut command = place.command(&["watch", &run, "--timeout", "60s", "--coordinator", &url]);
    let child = command.stdout(file("watch.out")).stderr(file("watch.log")).spawn();
    let mut watch = crate::support::Process::from(child.unwrap());
    let says = |what: &str| {
        until(&format!("the watch says `{what}`"), || {
            fs::read_to_string(place.path("watch.log")).unwrap().contains(what)
        });
    };
    says("waiting: no worker is attached");
    coordinator.kill_and_restart();
    says("; trying again for 1m");
    says("the coordinator answers again");
    let _worker = coordinator.worker("one");
    says("going on");
    assert_eq!(watch.exit_code(), Some(0));
    let output = fs::read_to_string(place.path("watch.out")).unwrap();
    assert!(output.lines().any(|line| line.starts_with("generation 60/60")), "{output}");
}

#[test]
fn a_worker_keeps_trying_and_says_so() {
    let place = Place::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let mut worker = place.start(&["worker", "--coordinator", &url, "--threads", "1"], "worker.log");
    until("the worker says that it keeps trying", || {
        fs::read_to_string(place.path("worker.log")).unwrap().contains("keeps trying")
    });
    assert!(!worker.has_ended());
    worker.signal("TERM");
    assert_eq!(worker.exit_code(), Some(0));
}

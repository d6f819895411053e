//! `hebbian extend`, `hebbian fork`, `hebbian sweep` and the retention rules, with processes.

use std::fs;
use std::path::Path;

use crate::support::{Coordinator, Place, SPEC, bits, errors, until};

/// A place with `short.toml`, of as many generations, and `whole.toml`, of 24, whose genome is in `whole.json`.
fn place(generations: u32) -> Place {
    let place = Place::new();
    let of = |generations: u32| SPEC.replace("generations = 60", &format!("generations = {generations}"));
    place.write("short.toml", &of(generations).replace("updates = 400", "updates = 40"));
    place.write("whole.toml", &of(24).replace("updates = 400", "updates = 40"));
    let mut process = place.start(&["run", "whole.toml", "--out", "whole"], "whole.log");
    // The genome is written when the search has finished; the comparison after it is not of interest here.
    let genome = place.path("whole/genome.json");
    until("the genome is written", || genome.exists() || process.has_ended());
    fs::copy(genome, place.path("whole.json")).unwrap();
    place
}

#[test]
fn a_finished_run_is_extended_and_forked_to_the_genome_of_the_longer_one() {
    let place = place(10);
    place.write("coordinator.toml", "[retention]\nsnapshots_every = 4\n");
    let mut coordinator = Coordinator::start_with(&place, &["--config", "coordinator.toml"]);
    let whole = bits(&place.path("whole.json"));
    let _worker = coordinator.worker("one");
    let run = coordinator.ok(&["create", "short.toml"]).trim().to_owned();
    coordinator.until_state(&run, "finished");

    // A fork begins where a snapshot is: the last two, and every fourth.
    let refused = place.output(&coordinator.arguments(&["fork", &run, "--generation", "5"]));
    assert_eq!(refused.status.code(), Some(1), "{}", errors(&refused));
    assert!(errors(&refused).contains("it can be forked after 4, 8, 9, 10"), "{}", errors(&refused));
    let refused = place.output(&coordinator.arguments(&["fork", &run]));
    assert_eq!(refused.status.code(), Some(2), "{}", errors(&refused));
    assert!(
        errors(&refused).contains("must not end the fork at once, but `generations` is met"),
        "{}",
        errors(&refused)
    );
    let forked = coordinator.json(&["fork", &run, "--generation", "4", "--set", "stop.generations=24"]);
    assert_eq!(forked["parent"], serde_json::json!({ "run": format!("runs/{run}"), "generations": 4 }));
    let fork = forked["name"].as_str().unwrap();
    coordinator.kill_and_restart();
    coordinator.until_state(fork, "finished");
    coordinator.ok(&["result", fork, "--out", "fork.json"]);
    assert_eq!(bits(&place.path("fork.json")), whole);
    let status = coordinator.ok(&["status", fork]);
    assert!(status.contains(&format!("{run} after 4 generations")) && status.contains("ended"), "{status}");

    let extended = coordinator.json(&["extend", &run, "--generations", "24"]);
    assert_eq!((&extended["state"]["kind"], &extended["generations_limit"]), (&"running".into(), &24.into()));
    coordinator.until_state(&run, "finished");
    coordinator.ok(&["result", &run, "--out", "extended.json"]);
    assert_eq!(bits(&place.path("extended.json")), whole);
    assert!(coordinator.ok(&["status", &run]).contains("the limits are now generations = 24"));
    let refused = place.output(&coordinator.arguments(&["extend", &run, "--generations", "20"]));
    assert_eq!(refused.status.code(), Some(2), "{}", errors(&refused));
    assert!(errors(&refused).contains("stop.generations: must be above 24"), "{}", errors(&refused));
    let refused = place.output(&coordinator.arguments(&["extend", &run]));
    assert!(errors(&refused).contains("name a limit to raise"), "{}", errors(&refused));

    // A watch from the first event on goes past the first end.
    let watched = coordinator.ok(&["watch", &run, "--json"]);
    let states: Vec<String> = watched
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .filter(|event| event["event"]["kind"] == "state")
        .map(|event| event["event"]["state"]["kind"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(states, ["running", "finished", "running", "finished"]);

    // An operator's words, said twice, are one note.
    for _ in 0..2 {
        coordinator.ok(&["note", &run, "rack", "4 is new"]);
    }
    assert_eq!(coordinator.ok(&["status", &run]).matches("operator: rack 4 is new").count(), 1);
    let refused = place.output(&coordinator.arguments(&["note", &run, "two\nlines"]));
    assert_eq!(refused.status.code(), Some(2), "{}", errors(&refused));
    assert!(errors(&refused).contains("text: must be one line"), "{}", errors(&refused));
    assert_eq!(coordinator.stop(), Some(0));
    for line in place.ok(&["journal", "verify", "cluster.sqlite"]).lines().skip(1) {
        assert!(line.contains("sound"), "{line}");
    }
}

#[test]
fn a_sweep_over_seeds_is_created_listed_and_summed_up() {
    let place = place(3);
    let coordinator = Coordinator::start(&place);
    let arguments = ["create", "short.toml", "--seeds", "2..4", "--group", "mine", "--request-id", "once"];
    let runs: Vec<String> = coordinator.ok(&arguments).lines().map(str::to_owned).collect();
    assert_eq!(runs.len(), 3);
    let again: Vec<String> = coordinator.ok(&arguments).lines().map(str::to_owned).collect();
    assert_eq!(again, runs, "creating twice under one name is safe");
    let listed = coordinator.ok(&["list"]);
    assert!(listed.contains("mine/2") && listed.contains("mine/4"), "{listed}");
    let unfinished = coordinator.json(&["sweep", "mine"]);
    assert_eq!((&unfinished["finished"], &unfinished["fitness"]), (&0.into(), &serde_json::Value::Null));
    let _worker = coordinator.worker("one");
    for run in &runs {
        coordinator.until_state(run, "finished");
    }
    let found = coordinator.json(&["sweep", "mine"]);
    assert_eq!(found["finished"], 3);
    let values: Vec<f64> = found["runs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|run| run["remeasurement"]["mean"]["fitness"]["mean"].as_f64().unwrap())
        .collect();
    let mean = values.iter().sum::<f64>() / 3.0;
    assert!((found["fitness"]["mean"].as_f64().unwrap() - mean).abs() < 1e-12, "{found}");
    let lowest = values.iter().copied().fold(f64::INFINITY, f64::min);
    assert_eq!(found["lowest"]["fitness"].as_f64().unwrap(), lowest);
    let table = coordinator.ok(&["sweep", "mine"]);
    assert!(table.contains("3 of 3 runs finished; mean on fresh tasks"), "{table}");
    assert_eq!(coordinator.json(&["status", "mine/3"])["seed"], 3);
    assert!(coordinator.ok(&["sweep"]).contains("mine"));
    // A seed twice in a group would count twice; the same creation repeated is none.
    let twice =
        place.output(&coordinator.arguments(&["create", "short.toml", "--seeds", "4..5", "--group", "mine"]));
    assert_eq!(twice.status.code(), Some(2));
    assert!(errors(&twice).contains("--group: `mine` has a run of seed 4 already"), "{}", errors(&twice));
    let missing = place.output(&coordinator.arguments(&["sweep", "yours"]));
    assert_eq!(missing.status.code(), Some(3), "{}", errors(&missing));
    let slash =
        place.output(&coordinator.arguments(&["create", "short.toml", "--seeds", "1..2", "--group", "a/b"]));
    assert!(errors(&slash).contains("group: must have at most 64 characters"), "{}", errors(&slash));
}

#[test]
fn ended_runs_beyond_the_rule_are_deleted() {
    let place = place(2);
    place.write("coordinator.toml", "[retention]\nkeep_runs = 1\n");
    let coordinator = Coordinator::start_with(&place, &["--config", "coordinator.toml"]);
    let _worker = coordinator.worker("one");
    let first = coordinator.ok(&["create", "short.toml"]).trim().to_owned();
    coordinator.until_state(&first, "finished");
    let second = coordinator.ok(&["create", "short.toml", "--seed", "9"]).trim().to_owned();
    until("the first run is deleted", || coordinator.json(&["list"]).as_array().unwrap().len() == 1);
    assert_eq!(coordinator.json(&["list"])[0]["name"], format!("runs/{second}"));
    let log = fs::read_to_string(place.path("coordinator.log")).unwrap();
    assert!(log.contains("the retention rules deleted this run") && log.contains(&first), "{log}");
}

#[test]
fn who_did_what_is_in_the_log_and_in_the_run() {
    let place = place(2);
    let coordinator = Coordinator::start(&place);
    let run = coordinator.ok(&["create", "whole.toml"]).trim().to_owned();
    let log = || fs::read_to_string(place.path("coordinator.log")).unwrap();
    for action in ["pause", "resume", "extend", "cancel"] {
        let limit: &[&str] = if action == "extend" { &["--generations", "30"] } else { &[] };
        coordinator.ok(&[&[action, run.as_str()], limit].concat());
    }
    let notes = coordinator.json(&["status", &run])["notes"].to_string();
    coordinator.ok(&["delete", &run]);
    for done in ["created", "paused", "resumed", "extended", "cancelled", "deleted"] {
        let line = format!("{done} run {run} (`tiny`) by=\"127.0.0.1:");
        until("it is in the log", || log().contains(&line));
        assert!(done == "deleted" || notes.contains(&format!("{done} by 127.0.0.1:")), "{done}: {notes}");
    }
    assert_eq!(coordinator.stop(), Some(0));
}

#[test]
fn a_backup_of_a_running_coordinator_is_restored_to_the_same_genome() {
    let place = place(24);
    let coordinator = Coordinator::start(&place);
    let run = coordinator.ok(&["create", "short.toml"]).trim().to_owned();
    let worker = coordinator.worker("one");
    until("some generations are closed", || coordinator.generation(&run) >= 2);
    place.ok(&["journal", "backup", "cluster.sqlite", "--out", "copy.sqlite"]);
    let copied = &place.json(&["journal", "verify", "copy.sqlite", "--json"])[0];
    drop(worker);
    assert_eq!(coordinator.stop(), Some(0));
    for file in ["cluster.sqlite", "cluster.sqlite-wal", "cluster.sqlite-shm"] {
        // What SQLite had not made, or has removed, need not be.
        let _ = fs::remove_file(place.path(file));
    }
    fs::rename(place.path("copy.sqlite"), place.path("cluster.sqlite")).unwrap();
    let coordinator = Coordinator::start(&place);
    let restored = coordinator.json(&["status", &run]);
    // The copy may hold all episodes of the open generation; then that is closed at once.
    let (restored, copied) =
        (restored["generation"].as_u64().unwrap(), copied["generations"].as_u64().unwrap());
    assert!(restored == copied || restored == copied + 1, "{restored} after {copied}");
    let _worker = coordinator.worker("two");
    coordinator.until_state(&run, "finished");
    coordinator.ok(&["result", &run, "--out", "restored.json"]);
    assert_eq!(bits(&place.path("restored.json")), bits(&place.path("whole.json")));
}

#[test]
fn scheduled_backups_are_kept_in_number_and_restored_to_the_same_genome() {
    let place = place(24);
    place.write("backup.toml", "[backup]\ndirectory = 'copies'\nevery = '1s'\nkeep = 2\n");
    let coordinator = Coordinator::start_with(&place, &["--config", "backup.toml"]);
    let run = coordinator.ok(&["create", "short.toml"]).trim().to_owned();
    let worker = coordinator.worker("one");
    until("some generations are closed", || coordinator.generation(&run) >= 2);
    let copies = || {
        let mut names: Vec<_> = fs::read_dir(place.path("copies"))
            .into_iter()
            .flatten()
            .map(|entry| entry.unwrap().path())
            .collect();
        names.retain(|path| path.extension().is_some_and(|extension| extension == "sqlite"));
        names.sort();
        names
    };
    let has_run = |path: &Path| {
        let reports = place.json(&["journal", "verify", path.to_str().unwrap(), "--json"]);
        reports[0]["generations"].as_u64().is_some_and(|generations| generations >= 1)
    };
    until("a copy has the run", || copies().last().is_some_and(|path| has_run(path)));
    let first = copies()[0].clone();
    until("the oldest copy is gone", || !first.exists());
    assert!(copies().len() <= 3, "{:?}", copies());
    drop(worker);
    assert_eq!(coordinator.stop(), Some(0));
    let copy = copies().pop().unwrap();
    for file in ["cluster.sqlite", "cluster.sqlite-wal", "cluster.sqlite-shm"] {
        // What SQLite had not made, or has removed, need not be.
        let _ = fs::remove_file(place.path(file));
    }
    fs::rename(copy, place.path("cluster.sqlite")).unwrap();
    let coordinator = Coordinator::start(&place);
    let _worker = coordinator.worker("two");
    coordinator.until_state(&run, "finished");
    coordinator.ok(&["result", &run, "--out", "restored.json"]);
    assert_eq!(bits(&place.path("restored.json")), bits(&place.path("whole.json")));
}

#[test]
fn a_comparison_on_the_cluster_has_the_bits_of_the_local_one() {
    let place = place(3);
    let evaluate = [
        "evaluate",
        "whole.json",
        "--tasks",
        "and,stripes,digits",
        "--updates",
        "3,40",
        "--baselines",
        "sgd",
        "--tasks-per-family",
        "40",
        "--ablate",
        "--json",
    ];
    let local = place.ok(&evaluate);
    let coordinator = Coordinator::start(&place);
    let nobody = place.output(&coordinator.arguments(&[&evaluate[..], &["--timeout", "300ms"]].concat()));
    assert_eq!(nobody.status.code(), Some(1), "{}", errors(&nobody));
    assert!(errors(&nobody).contains("no worker is attached, 300ms after"), "{}", errors(&nobody));
    // One of them hangs: it takes episodes and never answers, until it is killed.
    let mut hanging = coordinator.worker("hanging");
    let _others = [coordinator.worker("one"), coordinator.worker("two")];
    until("three workers are attached", || coordinator.json(&["workers"]).as_array().unwrap().len() == 3);
    let url = coordinator.url.clone();
    let remote = std::thread::scope(|scope| {
        hanging.signal("STOP");
        let comparing = scope.spawn(|| place.ok(&[&evaluate[..], &["--coordinator", &url]].concat()));
        hanging.kill();
        comparing.join().unwrap()
    });
    assert_eq!(remote, local);
    let log = fs::read_to_string(place.path("coordinator.log")).unwrap();
    assert!(log.contains("began an evaluation of ") && log.contains("by=\"127.0.0.1:"), "{log}");
}

/// Its generations come faster than anybody waits for the next one.
#[test]
fn a_run_that_goes_on_is_reported_as_it_is() {
    let place = Place::new();
    let endless =
        SPEC.replace("generations = 60", "generations = 1000000").replace("updates = 400", "updates = 5");
    place.write("endless.toml", &endless);
    let coordinator = Coordinator::start(&place);
    let _worker = coordinator.worker("one");
    let run = coordinator.ok(&["create", "endless.toml"]).trim().to_owned();
    until("it gets on", || coordinator.generation(&run) >= 10);
    for command in ["report", "plot", "export"] {
        let arguments = coordinator.arguments(&[command, &run, "--out", "page"]);
        let mut process = place.start(&arguments, "page.log");
        until("it ends", || process.has_ended());
        assert_eq!(process.exit_code(), Some(0), "{}", fs::read_to_string(place.path("page.log")).unwrap());
        assert!(place.path("page").exists());
    }
    coordinator.ok(&["cancel", &run]);
    assert_eq!(coordinator.stop(), Some(0));
}

#[test]
fn a_run_begins_from_what_another_one_has_learnt() {
    let place = Place::new();
    let short = SPEC.replace("generations = 60", "generations = 6").replace("updates = 400", "updates = 20");
    place.write("short.toml", &short);
    let other = "strategy = { kind = \"pgpe\", population_size = 8, learning_rate = 0.1 }";
    let learnt = "strategy = { kind = \"cma-es\", population_size = 8 }";
    place.write("other.toml", &short.replace(learnt, other));
    let coordinator = Coordinator::start(&place);
    let _worker = coordinator.worker("one");
    let run = coordinator.ok(&["create", "short.toml"]).trim().to_owned();
    coordinator.until_state(&run, "finished");
    coordinator.ok(&["result", &run, "--out", "genome.json"]);
    coordinator.ok(&["result", &run, "--warm-start", "--out", "warm.toml"]);
    let warm: toml::Table = fs::read_to_string(place.path("warm.toml")).unwrap().parse().unwrap();
    let start = warm["start"]["genome"].as_array().unwrap();
    let start: Vec<u64> = start.iter().map(|value| value.as_float().unwrap().to_bits()).collect();
    assert_eq!(start, bits(&place.path("genome.json")), "it begins at the mean");
    let covariance = warm["strategy"]["initial_covariance"].as_array().unwrap().len();
    assert_eq!(covariance, start.len() * (start.len() + 1) / 2);
    let last = coordinator.json(&["status", &run])["last_generation"]["search"]["step_size"].as_f64();
    assert_eq!(warm["strategy"]["step_size"].as_float(), last);
    // It is a spec as any other, and a run of it goes on from there.
    place.ok(&["check", "warm.toml"]);
    let begun = coordinator.ok(&["create", "warm.toml"]).trim().to_owned();
    coordinator.until_state(&begun, "finished");
    // Also from an earlier generation of which there is a snapshot.
    let earlier = coordinator.ok(&["result", &run, "--warm-start", "--generation", "5"]);
    assert!(
        earlier.contains("initial_covariance")
            && !earlier.contains(&format!("step_size = {}\n", last.unwrap()))
    );
    let refused = |run: &str, generation: &[&str], expected: &str| {
        let arguments = [&["result", run, "--warm-start"], generation].concat();
        let output = place.output(&coordinator.arguments(&arguments));
        assert!(!output.status.success() && errors(&output).contains(expected), "{}", errors(&output));
    };
    refused(&run, &["--generation", "2"], "has no snapshot after 2 generations");
    let other = coordinator.ok(&["create", "other.toml"]).trim().to_owned();
    coordinator.until_state(&other, "finished");
    refused(&other, &[], "is searched by pgpe, which keeps no covariance");
    assert_eq!(coordinator.stop(), Some(0));
}

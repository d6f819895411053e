//! `hebbian journal`: beside a coordinator that uses it, and on what is damaged.

use std::fs;

use rusqlite::Connection;

use crate::support::{Coordinator, Place, errors, until};

#[test]
fn a_journal_is_checked_exported_and_copied_while_it_is_in_use() {
    let place = Place::new();
    let coordinator = Coordinator::start(&place);
    let _worker = coordinator.worker("one");
    let run = coordinator.ok(&["create", "tiny.toml"]).trim().to_owned();
    until("some generations are closed", || coordinator.generation(&run) >= 5);

    let text = place.ok(&["journal", "verify", "cluster.sqlite"]);
    assert!(text.contains(&run) && text.contains("sound"), "{text}");
    place.ok(&["journal", "backup", "cluster.sqlite", "--out", "copy.sqlite"]);
    coordinator.until_state(&run, "finished");
    assert_eq!(coordinator.stop(), Some(0));

    // The copy is of the moment at which it was made, and as good as the original.
    let copied = &place.json(&["journal", "verify", "copy.sqlite", "--json"])[0];
    let generations = copied["generations"].as_u64().unwrap();
    // `status` shows the coordinator's memory, which is ahead of the disk.
    assert!((1..=60).contains(&generations) && copied["sound"] == true, "{copied}");
    let refused = place.output(&["journal", "backup", "cluster.sqlite", "--out", "copy.sqlite"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        errors(&refused).contains("copy.sqlite: is an SQLite database, perhaps a journal"),
        "{}",
        errors(&refused)
    );

    let csv = place.ok(&["journal", "export", "cluster.sqlite", "--run", "tiny"]);
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines.len(), 61, "a heading and a line per generation");
    assert!(lines[0].starts_with("run,generation,updates,best_fitness,median_fitness,"), "{}", lines[0]);
    assert!(lines[60].starts_with(&format!("{run},59,400,0.")), "{}", lines[60]);
    let arguments = ["journal", "export", "cluster.sqlite", "--what", "episodes", "--format", "json-lines"];
    let episodes = place.ok(&arguments);
    let last: Vec<serde_json::Value> =
        episodes.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    // Of a closed generation the record keeps what it was told; its episodes are gone.
    assert!(last.iter().all(|episode| episode["generation"] == 60), "{episodes}");
    let again = |episode: &serde_json::Value| episode["purpose"] == "remeasure";
    assert!(last.iter().any(again), "the result was measured on fresh tasks: {episodes}");
    let missing = place.output(&["journal", "export", "cluster.sqlite", "--run", "other"]);
    assert_eq!(missing.status.code(), Some(3));
    assert!(errors(&missing).contains("--run: cluster.sqlite has no run `other`"), "{}", errors(&missing));
}

#[test]
fn a_copy_goes_on_to_the_same_genome() {
    let place = Place::new();
    place.ok(&["run", "tiny.toml", "--out", "whole"]);
    let mut process = place.start(&["run", "tiny.toml", "--workers", "1", "--out", "parts"], "parts.log");
    until("the run has begun", || {
        fs::read_to_string(place.path("parts.log"))
            .is_ok_and(|log| log.lines().any(|line| line.starts_with("generation ")))
    });
    place.ok(&["journal", "backup", "parts", "--out", "copy.sqlite"]);
    process.kill();
    for name in ["journal.sqlite", "journal.sqlite-wal", "journal.sqlite-shm"] {
        // What SQLite had not yet made need not be removed.
        let _ = fs::remove_file(place.path("parts").join(name));
    }
    fs::rename(place.path("copy.sqlite"), place.path("parts/journal.sqlite")).unwrap();
    place.ok(&["run", "--out", "parts"]);
    assert_eq!(
        crate::support::bits(&place.path("parts/genome.json")),
        crate::support::bits(&place.path("whole/genome.json"))
    );
}

#[test]
fn damage_is_found_and_named() {
    let place = Place::new();
    place.write("short.toml", &crate::support::SPEC.replace("generations = 60", "generations = 4"));
    place.ok(&["run", "short.toml", "--out", "out"]);
    let journal = place.path("out/journal.sqlite");
    let check = |sql: &str, expected: &str| {
        let whole = fs::read(&journal).unwrap();
        Connection::open(&journal).unwrap().execute_batch(sql).unwrap();
        let output = place.output(&["journal", "verify", "out"]);
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), errors(&output));
        assert_eq!(output.status.code(), Some(1), "{sql}: {text}");
        assert!(text.contains(expected), "{sql}: {text}");
        fs::write(&journal, whole).unwrap();
    };
    check("DELETE FROM generations WHERE generation = 1", "generation 1 is missing");
    check("DELETE FROM generations WHERE generation = 1; DELETE FROM snapshots", "generation 1 is missing");
    check(
        "UPDATE records SET record = x'fa0100' WHERE kind = 'state_changed'",
        "a row of `records` is damaged",
    );
    let names = || place.listing();
    let before = names();
    place.ok(&["journal", "verify", "out"]);
    place.ok(&["journal", "export", "out"]);
    assert_eq!(names(), before, "reading leaves nothing behind");
    let output = place.output(&["journal", "verify", "missing"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(
        errors(&output).contains("missing: the journal cannot be read: no such file"),
        "{}",
        errors(&output)
    );
    let output = place.output(&["journal", "verify", "short.toml"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(errors(&output).contains("is not a hebbian journal"), "{}", errors(&output));
}

/// What is damaged is told before anything is done about it, and the run that is mended comes to the same genome.
#[test]
fn a_damaged_journal_is_mended_and_its_run_comes_to_the_same_genome() {
    let place = Place::new();
    place.ok(&["run", "tiny.toml", "--out", "out"]);
    fs::copy(place.path("out/journal.sqlite"), place.path("cluster.sqlite")).unwrap();
    assert!(place.ok(&["journal", "repair", "cluster.sqlite"]).contains("sound; there is nothing to mend"));
    let damage = "UPDATE generations SET record = substr(record, 2) WHERE generation = 20; \
                  UPDATE snapshots SET snapshot = substr(snapshot, 2); DELETE FROM meta WHERE key = 'epoch'";
    Connection::open(place.path("cluster.sqlite")).unwrap().execute_batch(damage).unwrap();
    let damaged = fs::read(place.path("cluster.sqlite")).unwrap();
    let looked = place.output(&["journal", "repair", "cluster.sqlite"]);
    let told = String::from_utf8_lossy(&looked.stdout).into_owned();
    assert_eq!(looked.status.code(), Some(1), "{told}");
    for expected in
        ["its counter `epoch`", "(tiny): a row of `generations` is damaged", "goes back to generation 20"]
    {
        assert!(told.contains(expected), "{told}");
    }
    assert!(
        errors(&looked).contains("cluster.sqlite: nothing was changed") && errors(&looked).contains("--yes")
    );
    assert_eq!(fs::read(place.path("cluster.sqlite")).unwrap(), damaged);
    let mended = place.output(&["journal", "repair", "cluster.sqlite", "--yes", "--json"]);
    assert_eq!(mended.status.code(), Some(0), "{}", errors(&mended));
    let findings: serde_json::Value = serde_json::from_slice(&mended.stdout).unwrap();
    assert!(findings.as_array().unwrap().iter().all(|finding| finding["mended"] == true), "{findings}");
    assert_eq!(fs::read(place.path("cluster.sqlite.before-repair")).unwrap(), damaged);
    place.ok(&["journal", "verify", "cluster.sqlite"]);

    let coordinator = Coordinator::start(&place);
    let held = place.output(&["journal", "repair", "cluster.sqlite"]);
    assert!(errors(&held).contains("another hebbian process is using this journal"), "{}", errors(&held));
    let run = coordinator.json(&["list"])[0]["name"].as_str().unwrap().replace("runs/", "");
    assert!(coordinator.ok(&["status", &run]).contains("its journal was repaired"));
    assert_eq!(coordinator.generation(&run), 20);
    let _worker = coordinator.worker("one");
    coordinator.ok(&["resume", &run]);
    coordinator.until_state(&run, "finished");
    coordinator.ok(&["result", &run, "--out", "again.json"]);
    assert_eq!(
        crate::support::bits(&place.path("again.json")),
        crate::support::bits(&place.path("out/genome.json"))
    );
    assert_eq!(coordinator.stop(), Some(0));
}

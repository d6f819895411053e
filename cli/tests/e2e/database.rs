//! Copies of a journal in PostgreSQL, as an administrator makes and restores them.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;

use hebbian_tests::postgres::Server;
use serde_json::Value;

use crate::support::{Place, Process, bits, errors, until};

/// A coordinator on a journal at any address.
fn start(place: &Place, storage: &str, further: &[&str]) -> (Process, String) {
    let _ = fs::remove_file(place.path("address"));
    let arguments =
        ["coordinator", "--listen", "127.0.0.1:0", "--storage", storage, "--address-file", "address"];
    let mut process = place.start(&[&arguments, further].concat(), "coordinator.log");
    until("the coordinator listens", || {
        assert!(!process.has_ended(), "{}", fs::read_to_string(place.path("coordinator.log")).unwrap());
        place.path("address").exists()
    });
    (process, fs::read_to_string(place.path("address")).unwrap().trim().to_owned())
}

fn worker(place: &Place, url: &str) -> Process {
    place.start(&["worker", "--coordinator", url, "--threads", "1"], "worker.log")
}

/// The first run of a coordinator.
fn first(place: &Place, url: &str) -> Value {
    place.json(&["list", "--json", "--coordinator", url])[0].clone()
}

fn finish(place: &Place, url: &str) -> Vec<u64> {
    until("the run is finished", || first(place, url)["state"]["kind"] == "finished");
    let _ = fs::remove_file(place.path("found.json"));
    place.ok(&["result", "tiny", "--out", "found.json", "--coordinator", url]);
    bits(&place.path("found.json"))
}

/// The copies in a directory.
fn copies(place: &Place, directory: &str) -> Vec<PathBuf> {
    let there = fs::read_dir(place.path(directory));
    let mut found: Vec<PathBuf> = there.map_or_else(
        |_| Vec::new(),
        |there| {
            there
                .map(|entry| entry.unwrap().path())
                .filter(|path| path.extension().is_some_and(|end| end == "sqlite"))
                .collect()
        },
    );
    found.sort();
    found
}

/// Both kinds of copy of a run in the middle go on elsewhere: one in a file, one in another database.
#[test]
fn copies_of_a_journal_in_a_database_go_on_elsewhere_to_the_same_genome() {
    let Some(server) = Server::shared() else { return };
    let place = Place::new();
    place.ok(&["run", "tiny.toml", "--workers", "1", "--out", "whole"]);
    let expected = bits(&place.path("whole/genome.json"));
    let storage = server.database();
    place.write("backup.toml", "[backup]\ndirectory = 'copies'\nevery = '1s'\nkeep = 2\n");
    let (mut process, url) = start(&place, &storage, &["--config", "backup.toml"]);
    place.ok(&["create", "tiny.toml", "--coordinator", &url]);
    let computing = worker(&place, &url);
    until("some generations are closed", || first(&place, &url)["generation"].as_u64().unwrap() > 2);
    let noted = place.output(&["journal", "backup", &storage, "--out", "asked.sqlite"]);
    assert!(noted.status.success(), "{}", errors(&noted));
    // Nothing is left of its making, and what is there is not replaced. A scheduled copy may be on its way beside it.
    let left = |name: &String| name.contains(".hebbian-") && !name.contains("/copies/");
    assert!(!place.listing().iter().any(left), "{:?}", place.listing());
    let again = place.output(&["journal", "backup", &storage, "--out", "asked.sqlite"]);
    assert_eq!(again.status.code(), Some(2), "{}", errors(&again));
    assert!(
        errors(&again).contains("asked.sqlite: is an SQLite database, perhaps a journal; name another file"),
        "{}",
        errors(&again)
    );
    let piped = place
        .command(&["journal", "backup", &storage, "--out", "-"])
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(piped.status.success() && piped.stdout.starts_with(b"SQLite format 3"));
    let before = copies(&place, "copies");
    until("a scheduled copy is made", || {
        let log = fs::read_to_string(place.path("coordinator.log")).unwrap();
        assert!(!log.contains("could not be copied"), "{log}");
        copies(&place, "copies").last().is_some_and(|last| before.last() < Some(last))
    });
    drop(computing);
    process.kill();
    let scheduled = copies(&place, "copies").pop().unwrap();
    for copy in [place.path("asked.sqlite"), scheduled.clone()] {
        let reports = place.json(&["journal", "verify", copy.to_str().unwrap(), "--json"]);
        assert_eq!(reports[0]["problems"], Value::Array(Vec::new()), "{reports}");
    }
    let elsewhere = server.database();
    place.ok(&["journal", "migrate", scheduled.to_str().unwrap(), &elsewhere]);
    for storage in ["sqlite:asked.sqlite", &elsewhere] {
        let (process, url) = start(&place, storage, &[]);
        let _worker = worker(&place, &url);
        assert_eq!(finish(&place, &url), expected, "{storage}");
        drop(process);
    }
}

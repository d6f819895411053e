//! `cluster.recheck` with real processes and a worker that lies.

use crate::support::{Coordinator, Place, SPEC, bits, until};

#[test]
fn a_lying_worker_is_excluded_and_shown_and_the_run_or_its_fork_has_the_honest_genome() {
    let place = Place::new();
    let spec = SPEC.replace("generations = 60", "generations = 30").replace("updates = 400", "updates = 100");
    place.write("honest.toml", &spec);
    let mut process = place.start(&["run", "honest.toml", "--out", "honest"], "honest.log");
    let genome = place.path("honest/genome.json");
    until("the genome is written", || genome.exists() || process.has_ended());
    let honest = bits(&genome);

    place.write("coordinator.toml", "[cluster]\nrecheck = 0.2\n");
    let coordinator = Coordinator::start_with(&place, &["--config", "coordinator.toml"]);
    let _workers = ["one", "two", "three"].map(|name| coordinator.worker(name));
    until("they are attached", || coordinator.json(&["workers"]).as_array().unwrap().len() == 3);
    hebbian_tests::liar::attach(&coordinator.url, "liar");
    until("so is the liar", || coordinator.json(&["workers"]).as_array().unwrap().len() == 4);
    let run = coordinator.ok(&["create", "honest.toml"]).trim().to_owned();
    coordinator.until_state(&run, "finished");
    // Who it is, and why it gets nothing.
    let workers = coordinator.json(&["workers"]);
    for worker in workers.as_array().unwrap() {
        let excluded = worker["excluded"].as_str().unwrap_or_default();
        assert_eq!(excluded.contains("two others agree"), worker["display_name"] == "liar", "{worker}");
    }
    assert!(coordinator.ok(&["workers"]).contains("two others agree"));
    let status = coordinator.json(&["status", &run]);
    assert!(status["notes"].to_string().contains("worker liar gave a wrong answer"), "{status}");
    let shown = coordinator.ok(&["status", &run]);
    let doubt = &status["doubt"];
    let honest_run = if doubt.is_null() {
        assert!(!shown.contains("in doubt"), "{shown}");
        run
    } else if let Some(clean) = doubt["clean_generations"].as_u64() {
        assert!(
            shown.contains(&format!("`hebbian fork {run} --generation {clean}` begins before that")),
            "{shown}"
        );
        let fork = coordinator.ok(&["fork", &run, "--generation", &clean.to_string()]);
        fork.trim().to_owned()
    } else {
        assert!(shown.contains("create it anew"), "{shown}");
        coordinator.ok(&["create", "honest.toml", "--request-id", "anew"]).trim().to_owned()
    };
    coordinator.until_state(&honest_run, "finished");
    coordinator.ok(&["result", &honest_run, "--out", "found.json"]);
    assert_eq!(bits(&place.path("found.json")), honest);
    assert_eq!(coordinator.stop(), Some(0));
}

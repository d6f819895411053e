//! `hebbian data`, and runs on a data set.

use std::fs;

use crate::support::{Coordinator, Place, SPEC, bits, errors, until};

/// Writes an IDX file.
fn write_idx(place: &Place, name: &str, shape: &[u32], elements: &[u8]) {
    let path = place.path("source").join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let lengths = shape.iter().flat_map(|length| length.to_be_bytes());
    let header = [0, 0, 8, shape.len() as u8].into_iter().chain(lengths);
    fs::write(path, header.chain(elements.iter().copied()).collect::<Vec<u8>>()).unwrap();
}

/// A place with four IDX files in `source` (60 + 20 images of 4x4 with labels 1 and 2) and `idx.toml`.
fn place() -> Place {
    let place = Place::new();
    for (part, count) in [("train", 60), ("t10k", 20)] {
        // Bright on the left for one label, on the right for the other.
        let pixel = |pixel: u32| {
            let (image, column) = (pixel / 16, pixel % 4);
            (if (column < 2) == (image % 2 == 0) { 200 } else { 20 }) + (pixel * 7 % 40) as u8
        };
        let images: Vec<u8> = (0..count * 16).map(pixel).collect();
        write_idx(&place, &format!("{part}-images-idx3-ubyte"), &[count, 4, 4], &images);
        let labels: Vec<u8> = (0..count).map(|image| 1 + (image % 2) as u8).collect();
        write_idx(&place, &format!("{part}-labels-idx1-ubyte"), &[count], &labels);
    }
    let families = "families = [\"idx:sides\"]\ndata_sets = [{ name = \"sides\", side = 2 }]";
    let spec = SPEC
        .replace("families = [\"xor\", \"half-plane\"]", families)
        .replace("generations = 60", "generations = 2")
        .replace("updates = 400", "updates = 5");
    place.write("idx.toml", &spec);
    place
}

/// Arguments with the place's data directory.
fn with_data<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    [arguments, &["--data", "data"]].concat()
}

#[test]
fn a_data_set_is_added_listed_verified_and_learned() {
    let place = place();
    let added = place.ok(&with_data(&["data", "add", "sides", "source"]));
    assert!(added.contains("idx:sides  60 + 20 images of 4x4, 2 classes (1 to 2)"), "{added}");
    let listed = place.json(&with_data(&["data", "list", "--json"]));
    assert_eq!((&listed["name"], &listed["classes"][1]), (&"sides".into(), &2.into()));
    let digest = listed["digest"].as_str().unwrap().to_owned();
    assert!(place.ok(&with_data(&["data", "verify"])).contains(&digest));

    // The spec that is kept names the content.
    let report = place.json(&with_data(&["run", "idx.toml", "--out", "out", "--json"]));
    let kept = fs::read_to_string(place.path("out/spec.toml")).unwrap();
    assert!(kept.contains(&digest) && kept.contains("classes = [1, 2]"), "{kept}");
    let families = report["comparison"]["families"].as_array().unwrap();
    let names: Vec<_> = families.iter().map(|family| family["family"].as_str().unwrap()).collect();
    assert_eq!(names, ["digits", "fashion", "idx:sides"]);
    assert_eq!(report["comparison"]["data_sets"][0]["digest"], digest.as_str());

    let evaluate = [
        "evaluate",
        "out/genome.json",
        "--tasks",
        "idx:sides",
        "--hidden",
        "4,3",
        "--ablate",
        "--updates",
        "1,3",
        "--tasks-per-family",
        "3",
        "--baselines",
        "sgd",
    ];
    let comparison = place.json(&with_data(&[&evaluate[..], &["--json"]].concat()));
    assert_eq!(comparison["shapes"], serde_json::json!([[4, 3]]));
    let ablations = comparison["families"][0]["columns"][1]["ablations"].as_array().unwrap();
    let names: Vec<_> = ablations.iter().map(|ablated| ablated["ablation"].as_str().unwrap()).collect();
    assert_eq!(names, ["no-backward-transform", "hidden-synapses-frozen", "readout-only"]);
    let text = place.ok(&with_data(&evaluate));
    for words in ["hidden layers 4-3", "no backward", "hidden frozen", "readout only", "(test images)"] {
        assert!(text.contains(words), "no `{words}` in {text}");
    }
    let refused = place.output(&with_data(&[&evaluate[..], &["--side", "3"]].concat()));
    assert!(errors(&refused).contains("--side: the rule was evolved"), "{}", errors(&refused));

    // Other label noise than the spec's: a table for each kind and rate.
    let plain =
        ["evaluate", "out/genome.json", "--tasks", "idx:sides", "--updates", "1", "--baselines", "sgd"];
    let noisy =
        [&plain[..], &["--tasks-per-family", "2", "--noise", "symmetric:0.2,pair:0.4", "--samples", "30"]]
            .concat();
    let comparisons = place.json(&with_data(&[&noisy[..], &["--imbalance", "2", "--json"]].concat()));
    let noises: Vec<_> = comparisons.as_array().unwrap().iter().map(|of| of["label_noise"].clone()).collect();
    let noise = |kind: &str, rate: f64| serde_json::json!({ "kind": kind, "rates": [rate], "samples": 30, "imbalance": [2.0] });
    assert_eq!(noises, [noise("symmetric", 0.2), noise("pair", 0.4)]);
    let text = place.ok(&with_data(&noisy));
    for words in [
        "generations, with --noise symmetric:0.2 --samples 30",
        "generations, with --noise pair:0.4 --samples 30",
        "label noise: symmetric .2, 30 examples",
        "label noise: pair .4, 30 examples",
    ] {
        assert!(text.contains(words), "no `{words}` in {text}");
    }
    for (flags, expected) in [
        (["--clean", "1"], "--clean: must be 0, or at least the number of classes (2), not 1"),
        (
            ["--noise", "pair:0.7"],
            "'--noise <KIND:RATE,..>': the rate of pair:0.7 must be from 0 to 0.5, not 0.7",
        ),
        (["--imbalance", "0"], "'--imbalance <FACTOR,..>': must be from 1 to 1000, not 0"),
    ] {
        let refused = place.output(&with_data(&[&plain[..], &flags].concat()));
        assert_eq!(refused.status.code(), Some(2));
        assert!(errors(&refused).contains(expected), "{}", errors(&refused));
    }

    // Without the data, or with other data, nothing is computed, and it is said what to do.
    fs::create_dir(place.path("elsewhere")).unwrap();
    let missing = place.output(&["run", "idx.toml", "--data", "elsewhere", "--out", "other"]);
    assert_eq!(missing.status.code(), Some(3));
    assert!(errors(&missing).contains("searched elsewhere/sides"), "{}", errors(&missing));
    assert!(errors(&missing).contains("`hebbian data add sides DIRECTORY`"), "{}", errors(&missing));
    assert!(!place.path("other").exists());
    let labels = place.path("data/sides/t10k-labels-idx1-ubyte");
    let mut bytes = fs::read(&labels).unwrap();
    bytes[8] = 2;
    fs::write(&labels, bytes).unwrap();
    let verified = place.output(&with_data(&["data", "verify"]));
    assert_eq!(verified.status.code(), Some(1), "{}", errors(&verified));
    let again = place.output(&with_data(&["data", "add", "sides", "source"]));
    assert!(errors(&again).contains("has other content"), "{}", errors(&again));
    fs::write(&labels, [0, 0, 8, 1]).unwrap();
    let listed = place.ok(&with_data(&["data", "list"]));
    assert!(listed.contains("t10k-labels-idx1-ubyte: ends within its header"), "{listed}");
}

#[test]
fn a_worker_without_the_data_fetches_it_from_the_coordinator() {
    let place = place();
    place.ok(&["data", "add", "sides", "source", "--data", "data"]);
    let coordinator = Coordinator::start_with(&place, &["--data", "data"]);
    let run = coordinator.ok(&["create", "idx.toml", "--data", "data"]).trim().to_owned();
    let arguments = ["worker", "--threads", "1", "--name", "bare", "--data", "kept"];
    let _worker = place.start(&coordinator.arguments(&arguments), "bare.log");
    coordinator.until_state(&run, "finished");
    let log = fs::read_to_string(place.path("bare.log")).unwrap();
    assert!(log.contains("fetched a data set from the coordinator"), "{log}");
    let listed = place.json(&with_data(&["data", "list", "--json"]));
    let kept = place.path("kept").join(listed["digest"].as_str().unwrap());
    assert_eq!(fs::read_dir(&kept).unwrap().count(), 5, "four files and their digest");
    assert_eq!(fs::read_dir(place.path("kept")).unwrap().count(), 1, "nothing else");

    // The bits are those of a worker that had the data from the start.
    place.ok(&with_data(&["run", "idx.toml", "--out", "alone"]));
    coordinator.ok(&["result", &run, "--out", "cluster.json"]);
    assert_eq!(bits(&place.path("cluster.json")), bits(&place.path("alone/genome.json")));

    // What the coordinator has under that digest is something else: nothing of it is kept.
    let labels = place.path("data/sides/train-labels-idx1-ubyte");
    let mut bytes = fs::read(&labels).unwrap();
    bytes[8] = 2;
    fs::write(&labels, bytes).unwrap();
    fs::remove_dir_all(&kept).unwrap();
    let spec = fs::read_to_string(place.path("alone/spec.toml")).unwrap();
    place.write("again.toml", &spec.replace("seed = 7", "seed = 8"));
    coordinator.ok(&["create", "again.toml", "--data", "data"]);
    until("the worker is ineligible", || coordinator.ok(&["workers"]).contains("ineligible"));
    let said = coordinator.ok(&["workers"]);
    assert!(said.contains("what arrived has other content"), "{said}");
    assert_eq!(fs::read_dir(place.path("kept")).unwrap().count(), 0);
}

#[test]
fn a_run_that_lacks_data_goes_on_when_the_coordinator_has_it_and_the_run_is_resumed() {
    let place = place();
    place.ok(&["data", "add", "sides", "source", "--data", "data"]);
    let coordinator = Coordinator::start_with(&place, &["--data", "later"]);
    let run = coordinator.ok(&["create", "idx.toml", "--data", "data"]).trim().to_owned();
    let arguments = ["worker", "--threads", "1", "--name", "bare", "--data", "kept"];
    let _worker = place.start(&coordinator.arguments(&arguments), "bare.log");
    until("the worker is ineligible", || coordinator.ok(&["workers"]).contains("ineligible"));
    assert!(coordinator.ok(&["status", &run]).contains("`hebbian resume` asks them all again"));
    place.ok(&["data", "add", "sides", "source", "--data", "later"]);
    coordinator.ok(&["resume", &run]);
    coordinator.until_state(&run, "finished");
}

#[test]
fn a_worker_without_the_data_says_so_and_one_with_it_does_the_run() {
    let place = place();
    place.ok(&["data", "add", "sides", "source", "--data", "data"]);
    let coordinator = Coordinator::start_with(&place, &["--data", "elsewhere"]);
    let run = coordinator.ok(&["create", "idx.toml", "--data", "data"]).trim().to_owned();
    let worker = |name: &str, data: &str| {
        let arguments = ["worker", "--threads", "1", "--name", name, "--data", data];
        place.start(&coordinator.arguments(&arguments), &format!("{name}.log"))
    };
    let _without = worker("without", "nothing");
    let workers = || coordinator.ok(&["workers"]);
    until("the worker is ineligible", || workers().contains("ineligible"));
    let said = workers();
    assert!(said.contains("data set `sides` is missing; searched nothing/sides"), "{said}");
    assert!(said.contains("`hebbian data add sides DIRECTORY`"), "{said}");
    assert!(said.contains("the coordinator has no data set with digest"), "{said}");
    let _with = worker("with", "data");
    coordinator.until_state(&run, "finished");
}

/// A table of 80 lines: the label is the sign of the first column's product with the second.
fn table(place: &Place) {
    let line = |line: i32| {
        let (left, right) = (line * 37 % 80 - 40, 1000 * (line * 23 % 80 - 40));
        let side = if (left >= 0) == (right >= 0) { "same" } else { "other" };
        format!("{left},{right}.5,7,{side}\n")
    };
    let lines: Vec<String> = (0..80).map(line).collect();
    place.write("mine.csv", &format!("left,right,constant,side\n{}", lines.concat()));
}

#[test]
fn a_table_of_ones_own_is_added_learned_and_fetched_by_workers() {
    let place = Place::new();
    table(&place);
    let added = place.ok(&with_data(&["data", "add", "mine", "mine.csv"]));
    assert!(
        added.contains("idx:mine  64 + 16 examples of 3 features, 2 classes (0 to 1: other, same)"),
        "{added}"
    );
    let listed = place.json(&with_data(&["data", "list", "--json"]));
    assert_eq!((&listed["features"], &listed["class_names"][1]), (&3.into(), &"same".into()));
    let again = place.output(&with_data(&["data", "add", "mine", "mine.csv"]));
    assert!(errors(&again).contains("was there already"), "{}", errors(&again));
    let other = place.output(&with_data(&["data", "add", "mine", "mine.csv", "--split-seed", "2"]));
    assert!(errors(&other).contains("has other content"), "{}", errors(&other));
    place.write("wrong.csv", "left,side\n1,a\n2,b\n,a\n");
    let wrong = place.output(&with_data(&["data", "add", "wrong", "wrong.csv"]));
    assert_eq!(wrong.status.code(), Some(2));
    assert!(errors(&wrong).contains("wrong.csv: line 4: column `left`: is empty"), "{}", errors(&wrong));
    assert!(place.ok(&with_data(&["data", "verify"])).contains("as when it was added"));

    let families = "families = [\"idx:mine\"]\ndata_sets = [{ name = \"mine\" }]";
    let spec = SPEC
        .replace("families = [\"xor\", \"half-plane\"]", families)
        .replace("generations = 60", "generations = 2")
        .replace("updates = 400", "updates = 5");
    place.write("mine.toml", &spec);
    place.write("side.toml", &spec.replace("name = \"mine\" }", "name = \"mine\", side = 8 }"));
    let side = place.output(&with_data(&["check", "side.toml"]));
    assert!(
        errors(&side).contains("tasks.data_sets[0].side: is of images, and `mine` is a table: leave it out"),
        "{}",
        errors(&side)
    );
    place.ok(&with_data(&["run", "mine.toml", "--out", "out"]));
    let kept = fs::read_to_string(place.path("out/spec.toml")).unwrap();
    assert!(kept.contains("features = 3") && kept.contains("classes = [0, 1]"), "{kept}");
    let evaluate = ["evaluate", "out/genome.json", "--tasks", "idx:mine,digits", "--updates", "1,3"];
    let few = ["--tasks-per-family", "2", "--baselines", "sgd", "--json"];
    let comparison = place.json(&with_data(&[&evaluate[..], &few].concat()));
    assert_eq!(comparison["data_sets"][0]["features"], 3);

    // A worker that has nothing fetches it like any other set, and the bits are the same.
    let coordinator = Coordinator::start_with(&place, &["--data", "data"]);
    let run = coordinator.ok(&["create", "mine.toml", "--data", "data"]).trim().to_owned();
    let arguments = ["worker", "--threads", "1", "--name", "bare", "--data", "kept"];
    let _worker = place.start(&coordinator.arguments(&arguments), "bare.log");
    coordinator.until_state(&run, "finished");
    coordinator.ok(&["result", &run, "--out", "cluster.json"]);
    assert_eq!(bits(&place.path("cluster.json")), bits(&place.path("out/genome.json")));
}

//! `hebbian run`, `evaluate`, `spec` and `check`: one process.

use std::fs;

use crate::support::{Place, bits, errors, until};

const LIMIT: u32 = 60;

/// Closed generations of a genome file.
fn generation(place: &Place, name: &str) -> u64 {
    let text = fs::read_to_string(place.path(name)).unwrap();
    serde_json::from_str::<serde_json::Value>(&text).unwrap()["provenance"]["generation"].as_u64().unwrap()
}

/// Whether the run's log says that it has closed some generations, of which there are 60.
fn has_begun(place: &Place, log: &str) -> bool {
    let text = fs::read_to_string(place.path(log)).unwrap_or_default();
    text.lines().any(|line| line.starts_with("generation "))
}

#[test]
fn a_run_is_interrupted_resumed_finished_and_told_again() {
    let place = Place::new();
    let whole = place.ok(&["run", "tiny.toml", "--workers", "2", "--out", "whole"]);
    assert!(whole.contains("and, qand, nxor") && whole.contains("stripes"), "{whole}");
    for file in ["spec.toml", "journal.sqlite", "genome.json", "report.json", "report.html"] {
        assert!(place.path("whole").join(file).exists(), "{file}");
    }
    // The page made anew from the journal is the one that the run wrote.
    let page = fs::read_to_string(place.path("whole/report.html")).unwrap();
    for part in
        ["id=\"fitness\"", "id=\"deviations\"", "id=\"comparison-1\"", "id=\"rule\"", "and, qand, nxor"]
    {
        assert!(page.contains(part), "{part}");
    }
    assert_eq!(place.ok(&["report", "whole", "--out", "-"]), page);
    let picture = place.ok(&["plot", "whole", "--what", "step"]);
    let panels = place.ok(&["plot", "whole", "--what", "panels"]);
    assert!(panels.matches("<g transform=\"translate(0 ").count() >= 4, "below each other: {panels}");
    assert!(picture.starts_with("<svg ") && picture.contains("step size"), "{picture}");
    place.ok(&["plot", "whole", "--what", "boundary", "--out", "boundary.PNG"]);
    assert_eq!(fs::read(place.path("boundary.PNG")).unwrap()[..8], *b"\x89PNG\r\n\x1a\n");
    // A generation is a row; what was measured at the end is another one.
    let table = place.ok(&["export", "whole"]);
    assert!(table.starts_with("generation,updates,best_fitness,"), "{table}");
    assert_eq!(table.lines().count(), 1 + LIMIT as usize + 1);
    assert_eq!(place.ok(&["export", "whole", "--out", "table.csv"]), "");
    assert_eq!(fs::read_to_string(place.path("table.csv")).unwrap(), table);
    place.ok(&["export", "whole", "--format", "parquet", "--out", "table.parquet"]);
    assert_eq!(fs::read(place.path("table.parquet")).unwrap()[..4], *b"PAR1");
    for _ in 0..2 {
        place.ok(&["export", "whole", "--format", "tensorboard", "--out", "logs/whole"]);
        assert_eq!(fs::read_dir(place.path("logs/whole")).unwrap().count(), 1, "it replaces what it was");
    }
    for (arguments, expected) in [
        (&["export", "whole", "--format", "parquet"][..], "--out: a Parquet file is no text"),
        (&["export", "whole", "--format", "tensorboard"], "--out: TensorBoard reads directories"),
        (&["export", "whole", "--format", "tensorboard", "--out", "table.csv"], "table.csv: is a file"),
        (&["export", "whole", "--out", "logs"], "logs: is a directory; name a file"),
    ] {
        let output = place.output(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(errors(&output).contains(expected), "{}", errors(&output));
    }

    // SIGINT: saves, says how to go on, exit code 130.
    let mut process = place.start(&["run", "tiny.toml", "--workers", "1", "--out", "parts"], "int.log");
    until("the run has begun", || has_begun(&place, "int.log"));
    process.signal("INT");
    assert_eq!(process.exit_code(), Some(130));
    let log = fs::read_to_string(place.path("int.log")).unwrap();
    assert!(log.contains("everything is saved in parts"), "{log}");
    assert!(log.contains("go on with `hebbian run --out parts --workers 1`"), "{log}");
    let stopped = generation(&place, "parts/genome.json");
    assert!((1..u64::from(LIMIT)).contains(&stopped), "stopped after {stopped} generations");
    assert!(!place.path("parts/report.json").exists());

    // SIGKILL: no last words, and nothing that was committed is lost.
    let mut process = place.start(&["run", "--out", "parts", "--workers", "1"], "kill.log");
    until("the run goes on", || has_begun(&place, "kill.log"));
    process.kill();

    // To the end: the same as without any of it.
    place.ok(&["run", "tiny.toml", "--out", "parts"]);
    assert_eq!(generation(&place, "parts/genome.json"), u64::from(LIMIT));
    assert_eq!(bits(&place.path("parts/genome.json")), bits(&place.path("whole/genome.json")));

    // Once more: its report, without computing.
    let before = fs::read(place.path("whole/report.json")).unwrap();
    let again = place.output(&["run", "--out", "whole"]);
    assert!(again.status.success());
    assert!(errors(&again).contains("whole is finished; this is its report"), "{}", errors(&again));
    assert_eq!(String::from_utf8(again.stdout).unwrap(), whole);
    assert_eq!(fs::read(place.path("whole/report.json")).unwrap(), before);
    let json = place.json(&["run", "--out", "whole", "--json"]);
    assert_eq!(json["history"].as_array().unwrap().len(), LIMIT as usize);

    // Another spec or seed is refused, and nothing changes.
    let listing = place.listing();
    place.write("other.toml", &crate::support::SPEC.replace("population_size = 8", "population_size = 9"));
    for arguments in [&["run", "other.toml", "--out", "whole"][..], &["run", "--seed", "8", "--out", "whole"]]
    {
        let output = place.output(arguments);
        assert_eq!(output.status.code(), Some(2));
        assert!(errors(&output).contains("--out: whole belongs to another spec: "), "{}", errors(&output));
    }
    fs::remove_file(place.path("other.toml")).unwrap();
    assert_eq!(place.listing(), listing);
}

#[test]
fn an_evolved_rule_is_evaluated() {
    let place = Place::new();
    place.write("short.toml", &crate::support::SPEC.replace("generations = 60", "generations = 2"));
    place.ok(&["run", "short.toml", "--out", "out"]);
    let arguments =
        ["evaluate", "out/genome.json", "--tasks", "nxor,stripes", "--updates", "2,6", "--baselines", "sgd"];
    let table = place.ok(&[&arguments[..], &["--tasks-per-family", "5"]].concat());
    assert!(table.contains("nxor") && table.contains("stripes") && table.contains("learned rule"), "{table}");
    let json = [&arguments[..], &["--tasks-per-family", "5", "--json"]].concat();
    let one = place.json(&[&json[..], &["--threads", "1"]].concat());
    assert_eq!(one["updates"], serde_json::json!([2, 6]));
    assert_eq!(one["families"].as_array().unwrap().len(), 2);
    let accuracy = one["families"][0]["columns"][0]["rule"]["mean"].as_f64().unwrap();
    assert!((0.0..=1.0).contains(&accuracy), "{accuracy}");
    // Threads change only the time; another seed draws other tasks.
    assert_eq!(place.json(&[&json[..], &["--threads", "2"]].concat()), one);
    assert_ne!(place.json(&[&json[..], &["--seed", "2"]].concat()), one);
}

#[test]
fn the_printed_spec_is_valid_and_its_cost_is_estimated() {
    let place = Place::new();
    let spec = place.ok(&["spec"]);
    assert!(spec.starts_with("#:schema "), "{spec}");
    let output = place.output_of(&["check", "-"], &spec);
    assert!(output.status.success(), "{}", errors(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("`quickstart` is valid") && text.contains("265 generations"), "{text}");
    let cost = &place.json(&["check", "tiny.toml", "--threads", "3", "--json"])["cost"];
    assert_eq!(cost["generations"], 60);
    // 8 candidates, of which 2 may be asked again, on 4 tasks.
    assert_eq!(cost["episodes_per_generation"], 40);
    let (compute, elapsed) = (cost["compute_s"].as_f64().unwrap(), cost["elapsed_s"].as_f64().unwrap());
    // Between generations nothing of the run is computed.
    let search = cost["search"]["generation_s"].as_f64().unwrap() * 60.0;
    assert!(compute > 0.0 && (elapsed - compute / 3.0 - search).abs() < 1e-9, "{compute} {elapsed} {search}");
}

#[test]
fn what_a_spec_gains_nothing_by_is_noted() {
    let place = Place::new();
    let with =
        |rule: &str| crate::support::SPEC.replace("rule = { states = 2 }", &format!("rule = {{ {rule} }}"));
    for (rule, expected) in [
        (
            "family = \"warped-descent\", start = \"drawn\"",
            "warps gain nothing where every task draws its start",
        ),
        ("family = \"sample-weights\"", "there is nothing to weigh by"),
    ] {
        place.write("noted.toml", &with(rule));
        let text = place.ok(&["check", "noted.toml"]);
        assert!(text.lines().any(|line| line.starts_with("note ") && line.contains(expected)), "{text}");
        let notes = &place.json(&["check", "noted.toml", "--json"])["notes"];
        assert!(notes[0].as_str().unwrap().contains(expected) && notes[1].is_null(), "{notes}");
    }
    assert!(!place.ok(&["check", "tiny.toml"]).contains("note "));
    assert_eq!(place.json(&["check", "tiny.toml", "--json"])["notes"], serde_json::json!([]));
}

#[test]
fn colour_and_progress_bars_stay_out_of_pipes() {
    let place = Place::new();
    for arguments in [&["--help"][..], &["run", "--help"], &["check", "tiny.toml"], &["check", "no.toml"]] {
        let output = place.output(arguments);
        let text = [output.stdout, output.stderr].concat();
        assert!(!text.contains(&0x1b), "{arguments:?}: {}", String::from_utf8_lossy(&text));
    }
}

/// The README promises it to every reader; `tests/slow/cpu` asks other kinds of CPU, and for the whole quickstart.
#[test]
#[cfg(target_arch = "x86_64")]
fn the_quickstarts_first_generations_have_the_digest_that_the_readme_has() {
    let place = Place::new();
    let spec = place.ok(&["spec"]);
    let short = spec.replace("\ngenerations = 265\n", "\ngenerations = 5\n");
    assert_ne!(short, spec);
    place.write("five.toml", &short);
    // The comparison that comes after the genome is not of interest here.
    let mut process = place.start(&["run", "five.toml", "--out", "five"], "run.log");
    let genome = place.path("five/genome.json");
    until("the genome is written", || genome.exists() || process.has_ended());
    let shown = place.ok(&["genome", "show", "five/genome.json"]);
    let readme = include_str!("../../../README.md");
    let (_, rest) =
        readme.split_once("after five generations its digest is `").expect("the README has the digest");
    let (digest, _) = rest.split_once('`').unwrap();
    assert!(shown.contains(&format!("digest {digest}")), "the README has {digest}, found: {shown}");
}

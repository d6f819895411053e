//! External objectives: a foreign program evaluates, here and on a cluster, and its faults change no bit.
//!
//! The program is this test's own binary: `objective` below, when a variable asks for it. It speaks by descriptor 3, because a test
//! binary says things of its own on standard output.

use std::fs;
use std::io::{BufRead as _, Write as _};
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Coordinator, Place, Process, errors, until};

const SPEC: &str = r#"
name = "outside"
seed = 5

[strategy]
kind = "cma-es"
population_size = 8
step_size = 1.0

[problem]
kind = "external"
name = "valley"
direction = "minimise"
evaluations_per_candidate = 2
time_limit_s = 1.5
scores = ["distance"]

[[problem.parameters]]
name = "x"
kind = "real"
low = -5
high = 5
initial = 3.0

[[problem.parameters]]
name = "n"
kind = "integer"
low = 1
high = 9

[[problem.parameters]]
name = "shape"
kind = "fixed"
value = "bowl"

[stop]
generations = 12
"#;

/// Which faults the program has.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Faults {
    /// None.
    None,
    /// At the first attempt some evaluations end it, some hang, some are answered with nonsense, some with an error.
    Some,
    /// Every fifth value is a thousandth off.
    Lies,
    /// None, of values of which the sum of two is none.
    Large,
}

/// The command that starts the program.
fn command(faults: Faults) -> String {
    let program = std::env::current_exe().unwrap();
    let faults = match faults {
        Faults::None => "none",
        Faults::Some => "some",
        Faults::Lies => "lies",
        Faults::Large => "large",
    };
    format!("OBJECTIVE={faults} '{}' --exact external::objective 3>&1 1>&2", program.display())
}

/// The objective. A tenth of the pairs of candidate and seed fail, another tenth are no number.
fn evaluate(request: &Value) -> Value {
    let id = &request["id"];
    let (x, n) = (request["parameters"]["x"].as_f64().unwrap(), request["parameters"]["n"].as_i64().unwrap());
    assert_eq!(request["parameters"]["shape"], "bowl");
    let seed = request["seed"].as_u64().unwrap();
    let fate = (seed as i64 + (x * 1000.0) as i64 + n).rem_euclid(10);
    if fate == 0 {
        return json!({ "id": id, "failed": "it fell" });
    }
    if fate == 1 {
        return json!({ "id": id, "value": null });
    }
    if x > 4.5 {
        return json!({ "id": id, "infeasible": x - 4.5 });
    }
    let noise = (seed % 1000) as f64 / 1e6;
    let distance = (x - 1.0).abs();
    json!({ "id": id, "value": (x - 1.0).powi(2) + (n - 3).pow(2) as f64 + noise, "scores": { "distance": distance } })
}

/// Values and scores near the largest number, the least at x = 1.
fn evaluate_large(request: &Value) -> Value {
    let x = request["parameters"]["x"].as_f64().unwrap();
    json!({ "id": request["id"], "value": 1e308 + 1e306 * (x - 1.0).powi(2), "scores": { "distance": -1.7e308 } })
}

/// No test where nobody asks for it.
#[test]
fn objective() {
    let Ok(faults) = std::env::var("OBJECTIVE") else { return };
    let mut answers = fs::OpenOptions::new().write(true).open("/dev/fd/3").unwrap();
    for (count, line) in std::io::stdin().lock().lines().enumerate() {
        let request: Value = serde_json::from_str(&line.unwrap()).unwrap();
        let place = request["candidate"].as_u64().unwrap() + 3 * request["generation"].as_u64().unwrap();
        if faults == "some" && request["attempt"] == 1 && request["evaluation"] == 0 {
            match place % 9 {
                0 => std::process::exit(3),
                // Only once: each takes the time limit.
                1 if place == 10 => std::thread::sleep(std::time::Duration::from_secs(1000)),
                2 => {
                    writeln!(answers, "nonsense").unwrap();
                    continue;
                }
                3 => {
                    writeln!(answers, "{}", json!({ "id": request["id"], "error": "no disk" })).unwrap();
                    continue;
                }
                _ => {}
            }
        }
        let mut answer = if faults == "large" { evaluate_large(&request) } else { evaluate(&request) };
        if let Some(value) = answer["value"].as_f64().filter(|_| faults == "lies" && count % 5 == 0) {
            answer["value"] = json!(value + 1e-3);
        }
        let text = answer.to_string();
        // As Python writes it.
        writeln!(answers, "{}", text.replace("\"value\":null", "\"value\":NaN")).unwrap();
    }
}

/// The numbers of mean and best sample, by their bits.
fn found(path: &Path) -> Vec<u64> {
    let file: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let of = |which: &str| file[which]["genome"].as_array().unwrap().clone();
    of("mean").iter().chain(&of("best")).map(|value| value.as_f64().unwrap().to_bits()).collect()
}

#[test]
fn a_program_evaluates_and_its_faults_change_no_bit() {
    let place = Place::new();
    place.write("outside.toml", SPEC);
    let calm = command(Faults::None);
    let report = place.ok(&["run", "outside.toml", "--exec", &calm, "--workers", "1", "--out", "calm"]);
    assert!(report.contains("minimise `valley`") && report.contains("n = 3"), "{report}");
    for file in ["spec.toml", "journal.sqlite", "parameters.json", "report.json", "report.html"] {
        assert!(place.path("calm").join(file).exists(), "{file}");
    }
    let calm_bits = found(&place.path("calm/parameters.json"));
    let result: Value =
        serde_json::from_str(&fs::read_to_string(place.path("calm/parameters.json")).unwrap()).unwrap();
    assert_eq!(result["parameters"]["shape"], "bowl");
    assert!(result["value"].as_f64().unwrap() < 0.1, "{result}");
    for workers in ["2", "4"] {
        let broken = command(Faults::Some);
        let arguments = ["run", "outside.toml", "--exec", &broken, "--workers", workers, "--out", workers];
        let output = place.output(&arguments);
        assert!(output.status.success(), "{}", errors(&output));
        assert_eq!(found(&place.path(workers).join("parameters.json")), calm_bits, "{workers} workers");
        // Each trouble by its name.
        let log = errors(&output);
        for trouble in
            ["exited with status 3", "it took longer than problem.time_limit_s", "it wrote `nonsense`"]
        {
            assert!(log.contains(trouble), "{trouble}: {log}");
        }
    }
}

#[test]
fn values_that_sum_beyond_the_numbers_are_values() {
    let place = Place::new();
    place.write("outside.toml", SPEC);
    let report =
        place.json(&["run", "outside.toml", "--exec", &command(Faults::Large), "--out", "large", "--json"]);
    let last = report["history"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["diverged"], &last["best_scores"]), (&json!(0), &json!([-1.7e308])), "{last}");
    let found: Value =
        serde_json::from_str(&fs::read_to_string(place.path("large/parameters.json")).unwrap()).unwrap();
    let value = found["value"].as_f64().unwrap();
    assert!((1e308..1.0001e308).contains(&value), "{found}");
    assert_eq!(
        (&found["mean"]["failed"], &found["mean"]["standard_error"]),
        (&json!(0), &json!(0.0)),
        "{found}"
    );
    let distance = found["mean"]["scores"]["distance"].as_f64().unwrap();
    assert!((distance / -1.7e308 - 1.0).abs() < 1e-15, "{found}");
    assert!(
        (found["parameters"]["x"].as_f64().unwrap() - 1.0).abs() < 0.1,
        "it goes where values are small: {found}"
    );
}

#[test]
fn a_run_with_a_program_is_interrupted_and_resumed() {
    let place = Place::new();
    place.write("outside.toml", &SPEC.replace("generations = 12", "generations = 400"));
    let calm = command(Faults::None);
    let arguments = ["run", "outside.toml", "--exec", &calm, "--workers", "2", "--out", "parts"];
    let mut process = place.start(&arguments, "int.log");
    let begun = || fs::read_to_string(place.path("int.log")).is_ok_and(|log| log.contains("generation "));
    until("the run has begun", begun);
    process.signal("INT");
    assert_eq!(process.exit_code(), Some(130));
    let log = fs::read_to_string(place.path("int.log")).unwrap();
    assert!(log.contains("--workers 2 --exec "), "{log}");
    let refused = place.output(&["run", "--out", "parts"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(errors(&refused).contains("--exec: is missing"), "{}", errors(&refused));
    place.ok(&["run", "--exec", &calm, "--out", "parts"]);
    place.ok(&["run", "outside.toml", "--exec", &calm, "--out", "whole"]);
    assert_eq!(found(&place.path("parts/parameters.json")), found(&place.path("whole/parameters.json")));
}

#[test]
fn a_cluster_gives_a_run_only_to_those_that_serve_it() {
    let place = Place::new();
    place.write("outside.toml", &SPEC.replace("generations = 12", "generations = 60"));
    let coordinator = Coordinator::start(&place);
    let run = coordinator.ok(&["create", "outside.toml"]).trim().to_owned();
    let program = command(Faults::None);
    let worker = |name: &str, serves: &str| {
        let arguments = ["worker", "--coordinator", &coordinator.url, "--name", name, "--exec", &program];
        let arguments = [&arguments[..], &["--slots", "1", "--serves", serves]].concat();
        place.start(&arguments, &format!("{name}.log"))
    };
    let _trains: Process = coordinator.worker("trains");
    let _other = worker("other", "walker");
    until("both are attached", || coordinator.json(&["workers"]).as_array().unwrap().len() == 2);
    let status = coordinator.ok(&["status", &run]);
    assert!(status.contains("no attached worker may work on it"), "{status}");
    assert!(status.contains("minimise valley (a fitness is minus a value)"), "{status}");
    let workers = coordinator.ok(&["workers"]);
    assert!(workers.contains("it trains networks and evaluates no external problem"), "{workers}");
    assert!(workers.contains("it serves walker and not `valley`"), "{workers}");
    let mut lost = worker("lost", "valley");
    until("it goes on", || coordinator.generation(&run) >= 3);
    let _one = worker("one", "walker,valley");
    let _two = worker("two", "*");
    lost.kill();
    coordinator.until_state(&run, "finished");
    let result: Value = serde_json::from_str(&coordinator.ok(&["result", &run])).unwrap();
    assert_eq!((&result["problem"], &result["parameters"]["n"]), (&json!("valley"), &json!(3)));
    place.ok(&["run", "outside.toml", "--exec", &program, "--workers", "2", "--out", "local"]);
    place.write("cluster.json", &result.to_string());
    assert_eq!(found(&place.path("cluster.json")), found(&place.path("local/parameters.json")));
    // Rules go to the one that trains.
    place.write("short.toml", &crate::support::SPEC.replace("generations = 60", "generations = 2"));
    let rule = coordinator.ok(&["create", "short.toml"]).trim().to_owned();
    coordinator.until_state(&rule, "finished");
    let log = fs::read_to_string(place.path("one.log")).unwrap();
    assert!(log.contains("1 slots for walker, valley"), "{log}");
}

#[test]
fn a_program_that_lies_is_found_within_the_tolerance_and_the_run_or_its_fork_is_honest() {
    let place = Place::new();
    let spec = SPEC
        .replace("population_size = 8", "population_size = 64")
        .replace("evaluations_per_candidate = 2", "evaluations_per_candidate = 8")
        .replace("scores = [", "recheck = { absolute = 1e-6 }\nscores = [")
        .replace("generations = 12", "generations = 40");
    place.write("outside.toml", &spec);
    place.write("coordinator.toml", "[cluster]\nrecheck = 0.02\n");
    let coordinator = Coordinator::start_with(&place, &["--config", "coordinator.toml"]);
    let worker = |name: &str, faults: Faults| {
        let program = command(faults);
        let arguments =
            ["worker", "--coordinator", &coordinator.url, "--name", name, "--slots", "1", "--exec", &program];
        place.start(&arguments, &format!("{name}.log"))
    };
    let _honest = ["one", "two", "three"].map(|name| worker(name, Faults::None));
    let _liar = worker("liar", Faults::Lies);
    until("all are attached", || coordinator.json(&["workers"]).as_array().unwrap().len() == 4);
    let run = coordinator.ok(&["create", "outside.toml"]).trim().to_owned();
    coordinator.until_state(&run, "finished");
    for worker in coordinator.json(&["workers"]).as_array().unwrap() {
        let excluded = worker["excluded"].as_str().unwrap_or_default();
        assert_eq!(excluded.contains("two others agree"), worker["display_name"] == "liar", "{worker}");
    }
    let status = coordinator.json(&["status", &run]);
    assert!(status["notes"].to_string().contains("worker liar gave a wrong answer"), "{status}");
    // The run itself, a fork from before the first lie, or, where that was in the first generation, the run made anew.
    let doubt = &status["doubt"];
    let honest = if doubt.is_null() {
        run
    } else if let Some(clean) = doubt["clean_generations"].as_u64() {
        coordinator.ok(&["fork", &run, "--generation", &clean.to_string()]).trim().to_owned()
    } else {
        coordinator.ok(&["create", "outside.toml", "--request-id", "anew"]).trim().to_owned()
    };
    coordinator.until_state(&honest, "finished");
    place.write("found.json", &coordinator.ok(&["result", &honest]));
    let calm = command(Faults::None);
    place.ok(&["run", "outside.toml", "--exec", &calm, "--workers", "2", "--out", "local"]);
    assert_eq!(found(&place.path("found.json")), found(&place.path("local/parameters.json")));
}

#[test]
fn what_belongs_to_rules_is_refused() {
    let place = Place::new();
    place.write("outside.toml", SPEC);
    let refused = |arguments: &[&str], expected: &str| {
        let output = place.output(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", errors(&output));
        assert!(errors(&output).contains(expected), "{arguments:?}: {}", errors(&output));
    };
    refused(&["run", "outside.toml"], "--exec: is missing: the objective `valley` is evaluated by a program");
    refused(&["run", "tiny.toml", "--exec", "cat"], "--exec: is of specs with an external problem");
    refused(&["worker", "--serves", "valley"], "worker.serves: is of workers with a program");
    refused(&["spec", "--program"], "--program: is of presets with an external problem");
    refused(
        &["worker", "--exec", "cat", "--serves", "a b"],
        "worker.serves: \"a b\" is no name of a problem",
    );
    let check = place.ok(&["check", "outside.toml"]);
    assert!(check.contains("minimise `valley`, 2 numbers; fixed: shape = \"bowl\""), "{check}");
    assert!(check.contains("the program that evaluates the objective decides"), "{check}");
    let evaluated =
        place.output(&["run", "outside.toml", "--exec", "exit 7", "--workers", "1", "--out", "broken"]);
    assert_eq!(evaluated.status.code(), Some(1));
    assert!(errors(&evaluated).contains("the program exited with status 7"), "{}", errors(&evaluated));
}

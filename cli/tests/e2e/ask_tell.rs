//! `hebbian ask-tell` over its pipes, as any program would use it.

use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use serde_json::{Value, json};

use crate::support::{Place, errors};

/// The program with both ends of its pipes.
struct Search {
    child: Child,
    input: Option<ChildStdin>,
    output: Lines<BufReader<ChildStdout>>,
}

impl Search {
    fn start(place: &Place, flags: &str) -> Self {
        let arguments: Vec<&str> = std::iter::once("ask-tell").chain(flags.split_whitespace()).collect();
        let mut command = place.command(&arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, input, output }
    }

    fn read(&mut self) -> Value {
        serde_json::from_str(&self.output.next().expect("a line").unwrap()).unwrap()
    }

    fn tell(&mut self, fitness: &Value) {
        writeln!(self.input.as_ref().unwrap(), "{}", json!({ "fitness": fitness })).unwrap();
    }

    /// Evaluates generations until the stop line; each line before it goes to `seen`.
    fn run(&mut self, function: fn(&[f64]) -> Option<f64>, seen: &mut Vec<Value>) -> Value {
        loop {
            let message = self.read();
            if message.get("stop").is_some() {
                assert!(self.output.next().is_none());
                assert!(self.child.wait().unwrap().success());
                return message;
            }
            self.tell(&answer(&message, function));
            seen.push(message);
        }
    }
}

impl Drop for Search {
    fn drop(&mut self) {
        // It may have ended before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn answer(message: &Value, function: fn(&[f64]) -> Option<f64>) -> Value {
    let candidates: Vec<Vec<f64>> = serde_json::from_value(message["candidates"].clone()).unwrap();
    candidates.iter().map(|x| json!(function(x).map(|value| -value))).collect()
}

#[expect(clippy::unnecessary_wraps, reason = "an evaluation can fail")]
fn rosenbrock(x: &[f64]) -> Option<f64> {
    Some(x.windows(2).map(|x| 100.0 * (x[1] - x[0] * x[0]).powi(2) + (1.0 - x[0]).powi(2)).sum())
}

/// Fails in a third of the space.
fn sphere(x: &[f64]) -> Option<f64> {
    let fails = (x[0] * 1e6).rem_euclid(3.0) < 1.0;
    (!fails).then(|| x.iter().map(|x| (x - 0.5).powi(2)).sum())
}

#[test]
fn the_documented_program_minimises_its_function() {
    let document = include_str!("../../../docs/ASK_TELL.md");
    let program = include_str!("../../../examples/ask_tell.py");
    assert!(document.contains(&format!("```python\n{program}```")), "docs/ASK_TELL.md has another program");
    let flags = program.split("hebbian ask-tell ").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    assert_eq!(flags, "--strategy cma-es --dimension 5 --sigma 0.5 --target -1e-10");

    let place = Place::new();
    let mut seen = Vec::new();
    let stop = Search::start(&place, flags).run(rosenbrock, &mut seen);
    assert_eq!(stop["stop"], "target");
    assert!(stop["detail"].as_str().unwrap().ends_with("(target -1e-10)"), "{stop}");
    let best: Vec<f64> = serde_json::from_value(stop["best"].clone()).unwrap();
    assert!(best.iter().all(|x| (x - 1.0).abs() < 1e-4), "{best:?}");
    assert_eq!(stop["best_fitness"].as_f64(), rosenbrock(&best).map(|value| -value));
    assert_eq!(stop["mean"].as_array().unwrap().len(), 5);
    for (generation, message) in seen.iter().enumerate() {
        assert_eq!(message["generation"], generation);
        // Now and then two are asked again.
        let candidates = message["candidates"].as_array().unwrap().len();
        assert!(candidates == 8 || candidates == 10 && generation % 10 == 0, "{candidates} in {generation}");
    }
    assert!(seen.len() < 1000, "{} generations", seen.len());
}

/// Killed after every few generations and started again, the search gives the same lines.
#[test]
fn a_search_continues_from_its_snapshot_bit_for_bit() {
    for strategy in ["cma-es", "sep-cma-es", "pgpe", "openai-es", "random-search"] {
        let place = Place::new();
        let flags = format!("--strategy {strategy} --mean [1,-0.1,3e-5] --sigma 0.3 --seed 5");
        // Of pairs there are eight.
        let population_size = if ["pgpe", "openai-es"].contains(&strategy) { 8 } else { 7 };
        let limit = format!("{flags} --max-evaluations {}", 30 * population_size);
        let mut whole = Vec::new();
        let stop = Search::start(&place, &limit).run(sphere, &mut whole);
        assert_eq!(stop["stop"], "evaluations");
        assert!(whole.len() >= 25, "{} generations", whole.len());

        let mut parts = Vec::new();
        let end = loop {
            let mut search = Search::start(&place, &format!("{limit} --snapshot state"));
            let mut message = search.read();
            for _ in 0..4 {
                if message.get("stop").is_some() {
                    break;
                }
                search.tell(&answer(&message, sphere));
                parts.push(message);
                message = search.read();
            }
            if message.get("stop").is_some() {
                break message;
            }
            // The open generation is asked again by the next one.
            search.child.kill().unwrap();
        };
        assert_eq!(parts, whole, "{strategy}");
        assert_eq!(end, stop, "{strategy}");
        assert_eq!(place.listing().len(), 2, "nothing but the spec and the state: {:?}", place.listing());

        // A larger limit goes on; other flags do not.
        let mut more = Search::start(&place, &format!("{flags} --max-evaluations 400 --snapshot state"));
        assert_eq!(more.read()["generation"], whole.len());
        drop(more);
        for (change, message) in [
            (flags.replace("--seed 5", "--seed 6"), "--seed is 5 there and 6 here"),
            (flags.replace("--sigma 0.3", "--sigma 0.4"), "--sigma is 0.3 there and 0.4 here"),
            (flags.replace("[1,", "[2,"), "--mean is another one there"),
            (flags.replace("[1,", "[1,1,"), "the dimension is 3 there and 4 here"),
            (format!("{flags} --population-size 12"), "there and 12 here"),
            (
                flags.replace(strategy, if strategy == "random-search" { "cma-es" } else { "random-search" }),
                "--strategy is",
            ),
        ] {
            refused(&place, &format!("{change} --snapshot state"), "", message);
        }
    }
}

/// Two searches on one file would take turns to destroy each other's.
#[test]
fn a_snapshot_has_one_search_at_a_time() {
    let place = Place::new();
    let flags = "--dimension 2 --sigma 0.5 --snapshot search.state";
    let mut first = Search::start(&place, flags);
    first.read();
    std::os::unix::fs::symlink("search.state", place.path("link.state")).unwrap();
    let linked = "--dimension 2 --sigma 0.5 --snapshot link.state";
    for flags in [flags, linked] {
        let message = "is used by another `hebbian ask-tell`, which has locked";
        refused(&place, flags, "", message);
    }
    // Killed: nobody tidies up, and nobody is kept out.
    first.child.kill().unwrap();
    first.child.wait().unwrap();
    let mut second = Search::start(&place, linked);
    second.read();
    drop(second.input.take());
    assert_eq!(second.read()["stop"], "end-of-input");
    assert!(second.child.wait().unwrap().success());
    assert!(!place.path("search.state.lock").exists(), "what ends in order leaves nothing");
}

#[test]
fn restarts_are_noted() {
    let place = Place::new();
    let flags = "ask-tell --dimension 2 --sigma 1 --noise none --restarts ipop";
    // Equal fitnesses end a search after ten generations.
    let line = |candidates: usize| format!("{}\n", json!({ "fitness": vec![1.0; candidates] }));
    let input = line(6).repeat(11) + &line(12);
    let output = place.output_of(&flags.split(' ').collect::<Vec<_>>(), &input);
    let errors = errors(&output);
    assert!(output.status.success(), "{errors}");
    assert!(errors.contains("restart 1: ") && errors.contains("population 12"), "{errors}");
}

/// With an address space of 2 GB, eight matrices of 0.8 GB are refused before any is made.
#[cfg(target_os = "linux")]
#[test]
fn a_covariance_that_memory_does_not_hold_is_refused() {
    let command = "ulimit -v 2000000; exec \"$0\" ask-tell --dimension 10000 --sigma 1";
    let output = std::process::Command::new("sh")
        .args(["-c", command, env!("CARGO_BIN_EXE_hebbian")])
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{told}");
    let problem = "--strategy: cma-es keeps matrices of 10000 x 10000 numbers, for which 6.4 GB of memory are not to be had";
    assert!(told.contains(problem), "{told}");
}

/// Where a full covariance matrix is refused, a diagonal one searches.
#[test]
fn many_coordinates_are_searched_separably() {
    let place = Place::new();
    let flags = "--strategy sep-cma-es --dimension 100000 --sigma 1 --population-size 4 --max-evaluations 8";
    let mut seen = Vec::new();
    let stop = Search::start(&place, flags).run(|x| Some(x[0]), &mut seen);
    assert_eq!(stop["mean"].as_array().unwrap().len(), 100_000);
    assert_eq!(seen.len(), 2);
}

#[test]
fn the_end_of_the_input_ends_the_search() {
    let place = Place::new();
    let flags = ["ask-tell", "--dimension", "1", "--sigma", "2", "--population-size", "4", "--noise", "none"];
    let output = place.output_of(&flags, "\u{feff}{\"fitness\": [null, null, null, null]}\n\n");
    assert!(output.status.success(), "{}", errors(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[2]["stop"], "end-of-input");
    assert_eq!(lines[2]["mean"], json!([0.0]), "failures are no direction");
    assert_eq!(lines[2]["best"], Value::Null);
    assert_eq!(lines[2]["best_fitness"], Value::Null);
}

#[test]
fn without_stopping_only_limits_and_target_end_it() {
    let place = Place::new();
    let flags = "--mean [1,1] --sigma 1 --max-evaluations 6000";
    let stop = Search::start(&place, flags).run(sphere, &mut Vec::new());
    assert_ne!(stop["stop"], "evaluations", "{stop}");
    let stop = Search::start(&place, &format!("{flags} --no-stop")).run(sphere, &mut Vec::new());
    assert_eq!(stop["stop"], "evaluations");
}

/// One line on standard error that contains `message`, and exit code 2.
fn refused(place: &Place, flags: &str, input: &str, message: &str) {
    let arguments: Vec<&str> = std::iter::once("ask-tell").chain(flags.split_whitespace()).collect();
    let output = place.output_of(&arguments, input);
    let errors = errors(&output);
    assert_eq!(output.status.code(), Some(2), "{flags}: {errors}");
    let lines: Vec<&str> = errors.lines().filter(|line| !line.starts_with("hebbian: hint: ")).collect();
    let [line] = lines[..] else { panic!("{flags}: not one line: {errors}") };
    assert!(
        line.starts_with("hebbian: error: ") && line.contains(message),
        "{flags}: no `{message}` in: {line}"
    );
}

#[test]
fn flags_that_no_search_can_start_from() {
    let place = Place::new();
    let check = |flags: &str, message: &str| refused(&place, flags, "", message);
    check(
        "--dimension 3 --sigma 1 --set fixed=[0] --set fixed=[1]",
        "--set fixed: is given twice; write it once",
    );
    check("--dimension 3 --sigma 1 --set noise=none", "--set noise: has a flag of its own");
    check("--dimension 3 --sigma 0", "--sigma: must be from 1e-100 to 1e6, not 0");
    check("--dimension 3 --sigma NaN", "--sigma: must be from 1e-100 to 1e6, not NaN");
    check("--dimension 3 --sigma -1", "--sigma: must be from 1e-100 to 1e6, not -1");
    check("--dimension 3 --sigma wide", "'--sigma <S>'");
    check("--dimension 3", "--sigma <S>");
    check("--sigma 1", "--mean <JSON-ARRAY>|--dimension <N>");
    check("--dimension 2 --mean [1,2] --sigma 1", "cannot be used with");
    check("--mean [NaN] --sigma 1", "'--mean <JSON-ARRAY>': it must be a JSON list of finite numbers");
    check("--mean [1e999] --sigma 1", "'--mean <JSON-ARRAY>': it must be a JSON list of finite numbers");
    check("--mean [1e200] --sigma 1", "--mean: number 0 must be within +-1e100, not");
    check("--mean [] --sigma 1", "--mean: must hold at least one number");
    check("--mean 1,2 --sigma 1", "'--mean <JSON-ARRAY>': it must be a JSON list");
    check("--dimension 0 --sigma 1", "'--dimension <N>': a dimension is from 1 to");
    check("--dimension 99999999999999999999 --sigma 1", "'--dimension <N>': a dimension is from 1 to");
    check(
        "--dimension 100000 --sigma 1",
        "--strategy: cma-es keeps full matrices of 100000 x 100000 numbers",
    );
    check("--dimension 3 --sigma 1 --population-size 1", "--population-size: must be from 4 to 65536, not 1");
    check("--dimension 3 --sigma 1 --population-size -4", "'--population-size <L>'");
    check(
        "--dimension 100000000 --sigma 1 --strategy random-search --population-size 9",
        "--population-size: 9 candidates of dimension 100000000 are more than",
    );
    check(
        "--dimension 3 --sigma 1 --strategy pgpe --population-size 5",
        "--population-size: must be even, not 5",
    );
    check("--dimension 3 --sigma 1 --learning-rate 1", "--learning-rate: is no setting of cma-es");
    check(
        "--dimension 3 --sigma 1 --strategy pgpe --learning-rate 0",
        "--learning-rate: must be from 1e-100",
    );
    check("--dimension 3 --sigma 1 --max-evaluations 0", "'--max-evaluations <N>'");
    check("--dimension 3 --sigma 1 --target nan", "'--target <F>': a target is a finite number");
    check("--dimension 3 --sigma 1 --seed -1", "'--seed <S>': a seed is a whole number");
    check("--dimension 3 --sigma 1 --strategy genetic", "'genetic' for '--strategy <NAME>'");
    check("--dimension 3 --sigma 1 --snapshot .", "--snapshot: . is not a regular file");
    place.write("text", "precious\n");
    check("--dimension 3 --sigma 1 --snapshot text", "--snapshot: text: is not a search file");
    assert_eq!(std::fs::read_to_string(place.path("text")).unwrap(), "precious\n");
    check("--dimension 3 --sigma 1 --snapshot no/such/state", "no/such/state: cannot be written");
}

#[test]
fn lines_that_are_no_fitness() {
    let place = Place::new();
    let check = |line: &str, message: &str| {
        let message = format!("standard input, generation 1: {message}");
        let input = format!("{{\"fitness\": [1, 2, null, 4e0]}}\n{line}\n");
        refused(&place, "--dimension 2 --sigma 1 --population-size 4 --noise none", &input, &message);
    };
    check("{\"fitness\": [1, 2, 3]}", "fitness: must hold 4 numbers, one per candidate, not 3");
    check("{\"fitness\": []}", "fitness: must hold 4 numbers, one per candidate, not 0");
    check("{\"fitness\": [1, 2, 3, 4, 5]}", "fitness: must hold 4 numbers, one per candidate, not 5");
    check("{\"fitness\": [1, 2, 3, NaN]}", "NaN is not JSON; write null for a failed candidate");
    check("{\"fitness\": [1, 2, 3, -Infinity]}", "Infinity is not JSON");
    check(
        "{\"fitness\": [1, 2, 3, 1e999]}",
        "must be {\"fitness\": [..]} with 4 numbers or null: number out of",
    );
    check(
        "{\"fitness\": [1, 2, 3, \"4\"]}",
        "must be {\"fitness\": [..]} with 4 numbers or null: expected a number, null for a failed candidate, or {\"infeasible\"",
    );
    check(
        "{\"fitness\": [1, 2, 3, {\"infeasible\": -1}]}",
        "must be {\"fitness\": [..]} with 4 numbers or null: expected a number, null for a failed candidate, or {\"infeasible\"",
    );
    check("{\"fitnes\": [1, 2, 3, 4]}", "must be {\"fitness\": [..]} with 4 numbers or null: unknown field");
    check("[1, 2, 3, 4]", "must be {\"fitness\": [..]}");
    check("[[1, 2, 3, 4]]", "must be {\"fitness\": [..]} with 4 numbers or null, not a list");
    check("{\"fitness\": [1, 2, 3", "must be {\"fitness\": [..]}");
    check("garbage", "must be {\"fitness\": [..]} with 4 numbers or null: expected value");
    check("\u{0}\u{1}\u{2}", "must be {\"fitness\": [..]}");
    check(&"1".repeat(6000), "the line is longer than 5120 bytes");
}

/// Settings of a run's strategy, points from elsewhere, and a search that learns nothing.
#[test]
fn what_a_runs_search_can_an_asked_one_can_too() {
    let place = Place::new();
    let flags = "--mean [0.5,7,1] --sigma 1 --population-size 6 --noise none --set fixed=[1] --set lower_bounds=[0,0,0] \
                 --set upper_bounds=[1,9,9] --set scales=[0.1,1,1]";
    let mut seen = Vec::new();
    let stop = Search::start(&place, flags).run(|x| Some(-x[0] - x[2]), &mut seen);
    let mean: Vec<f64> = serde_json::from_value(stop["mean"].clone()).unwrap();
    assert_eq!(mean[1], 7.0, "what is fixed stays");
    assert!(mean[0] <= 1.0 && mean[0] > 0.99 && mean[2] <= 9.0 && mean[2] > 8.9, "{mean:?}");
    // Whole numbers, the first between 0 and 7.
    let flags = "--mean [0.5,7.25] --sigma 1 --population-size 6 --noise none --max-evaluations 600 --set integers=[0] \
                 --set lower_bounds=[0,-9] --set upper_bounds=[7.5,9]";
    let mut seen = Vec::new();
    let stop = Search::start(&place, flags)
        .run(|x| (x[0].fract() == 0.0 && x[1].fract() != 0.0).then(|| x[1].abs() - x[0]), &mut seen);
    assert_eq!((&stop["mean"][0], &stop["best"][0]), (&json!(7.0), &json!(7.0)), "{stop}");
    refused(&place, "--dimension 2 --sigma 1 --set integers=[2]", "", "--set integers[0]: ");
    refused(
        &place,
        "--dimension 2 --sigma 1 --set step_size=2",
        "",
        "--set step_size: has a flag of its own",
    );
    refused(&place, "--dimension 2 --sigma 1 --set lower_bounds=[0,0,0]", "", "--set lower_bounds: ");
    refused(&place, "--dimension 2 --sigma 1 --strategy pgpe --set fixed=[0]", "", "--set fixed: ");
    // A point of ours is the last candidate of the generation, which is written again.
    let flags = ["ask-tell", "--dimension", "2", "--sigma", "1", "--population-size", "4", "--noise", "none"];
    let output = place.output_of(&flags, "{\"inject\": [[0.25, -0.5]]}\n");
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines.len(), &lines[1]["generation"]), (3, &json!(0)), "{text}");
    assert_eq!(lines[1]["candidates"][3], json!([0.25, -0.5]));
    let failed = "{\"fitness\": [null, null, null, null]}\n".repeat(100);
    let output = place.output_of(&flags, &failed);
    assert!(String::from_utf8(output.stdout).unwrap().contains("\"stop\":\"failed\""));
}

/// Who evaluates in parallel tells as it comes, and may be killed in between.
#[test]
fn fitnesses_may_be_told_as_they_come() {
    let place = Place::new();
    let flags = "--dimension 3 --population-size 4 --sigma 0.5 --noise none --max-evaluations 12";
    let value = |message: &Value, candidate: usize| answer(message, sphere)[candidate].clone();
    let mut whole = Vec::new();
    let expected = Search::start(&place, flags).run(sphere, &mut whole);
    let kept = format!("{flags} --snapshot search.state");
    let mut seen = Vec::new();
    for generation in 0..3 {
        let mut search = Search::start(&place, &kept);
        let message = search.read();
        let line = json!({ "partial": { "2": value(&message, 2), "0": value(&message, 0) } });
        writeln!(search.input.as_ref().unwrap(), "{line}").unwrap();
        assert_eq!(search.read(), json!({ "generation": generation, "open": [1, 3] }));
        drop(search);
        let mut search = Search::start(&place, &kept);
        let mut again = search.read();
        assert_eq!(again["open"], json!([1, 3]));
        again.as_object_mut().unwrap().remove("open");
        assert_eq!(again, message);
        seen.push(message);
        let line = json!({ "partial": { "1": value(&again, 1), "3": value(&again, 3) } });
        writeln!(search.input.as_ref().unwrap(), "{line}").unwrap();
        let next = search.read();
        if generation == 2 {
            assert_eq!(next, expected);
        } else {
            assert_eq!(next["generation"], generation + 1);
        }
    }
    assert_eq!(seen, whole);
    refused(
        &place,
        flags,
        "{\"partial\": {\"4\": 1}}",
        "partial: sample 4: there are 4 candidates, counted from 0",
    );
    refused(&place, flags, "{\"partial\": {\"0\": 1, \"0\": 2}}", "partial: candidate 0 is told twice");
    refused(&place, flags, "{\"inject\": [[1e308, 0, 0]]}", "must be within +-1e140");
    refused(&place, flags, "{\"partial\": {\"x\": 1}}", "must be {\"fitness\": [..]} with 4 numbers or null");
}

/// The line says what a run would: behind every fitness, by the violation, before those that failed.
#[test]
fn infeasible_candidates_are_told_by_their_violation() {
    let place = Place::new();
    let flags = "--dimension 2 --sigma 1 --population-size 4 --noise none --max-evaluations 4 --seed 3";
    let mean = |told: Value| {
        let mut search = Search::start(&place, flags);
        search.read();
        search.tell(&told);
        let last = search.read();
        assert_eq!(last["stop"], "evaluations");
        (last["mean"].clone(), last["best_fitness"].clone())
    };
    let infeasible = |by: f64| json!({ "infeasible": by });
    let (ranked, _) = mean(json!([1.0, -1.0, -2.0, null]));
    let (found, best) = mean(json!([1.0, infeasible(0.5), infeasible(7.0), null]));
    assert_eq!((&found, best), (&ranked, json!(1.0)));
    let (swapped, _) = mean(json!([1.0, infeasible(7.0), infeasible(0.5), null]));
    assert_ne!(swapped, ranked);
    let (_, best) = mean(json!([null, infeasible(0.0), infeasible(7.0), null]));
    assert_eq!(best, Value::Null);
}

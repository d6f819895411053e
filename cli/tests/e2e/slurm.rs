//! `hebbian slurm submit` before a Slurm of scripts: what it refuses, and what it submits in which order. A real Slurm is in
//! `tests/slurm`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output};

use crate::support::{Coordinator, Place, SPEC, errors, until};

/// Keeps each script as submitted-NUMBER and what the directory held then; the submission whose number is in `broken` fails.
const SBATCH: &str = r#"#!/bin/sh
job=$(($(ls "$SLURM/submitted" | wc -l) + 1))
cat >"$SLURM/submitted/$job"
ls hebbian-tiny >"$SLURM/listed-$job" 2>/dev/null
[ "$(cat "$SLURM/broken" 2>/dev/null)" != "$job" ] || { echo "sbatch: error: no such partition" >&2; exit 1; }
echo "$job;cluster"
"#;

/// The queue of an array that is there when it is asked for the first time, and over from then on.
const GONE: &str = r#"#!/bin/sh
echo "$*" >>"$SLURM/asked"
[ "$(grep -c %K "$SLURM/asked")" -gt 1 ] || echo 0
"#;

/// A place with a Slurm.
fn slurm() -> Place {
    let place = Place::new();
    program(&place, "sbatch", SBATCH);
    program(&place, "squeue", "#!/bin/sh\ncat \"$SLURM/queue\" 2>/dev/null\nexit 0\n");
    program(&place, "scancel", "#!/bin/sh\necho \"$*\" >>\"$SLURM/cancelled\"\n");
    program(&place, "scontrol", "#!/bin/sh\necho \"$*\" >>\"$SLURM/controlled\"\n");
    fs::create_dir(place.path("slurm/submitted")).unwrap();
    place
}

fn program(place: &Place, name: &str, text: &str) {
    let name = format!("slurm/{name}");
    place.write(&name, text);
    fs::set_permissions(place.path(&name), fs::Permissions::from_mode(0o755)).unwrap();
}

/// The variables of a machine that has it.
fn variables(place: &Place) -> Vec<(&'static str, String)> {
    let own = place.path("slurm").display().to_string();
    vec![("PATH", format!("{own}:{}", std::env::var("PATH").unwrap())), ("SLURM", own)]
}

fn submit(place: &Place, arguments: &[&str]) -> Output {
    place
        .command(&[&["slurm", "submit", "tiny.toml"], arguments].concat())
        .envs(variables(place))
        .output()
        .unwrap()
}

fn ok(place: &Place, arguments: &[&str]) -> (String, String) {
    let output = submit(place, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", errors(&output));
    (String::from_utf8(output.stdout.clone()).unwrap(), errors(&output))
}

fn read(place: &Place, name: &str) -> String {
    fs::read_to_string(place.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Submitting and printing refuse the same in the same words, and neither does anything.
fn refused(place: &Place, arguments: &[&str], parts: &[&str]) {
    let before = place.listing();
    let said = [&["--print"][..], &[]].map(|print| {
        let output = submit(place, &[print, arguments].concat());
        let errors = errors(&output);
        assert!(!output.status.success() && output.stdout.is_empty(), "{arguments:?}: {errors}");
        let line = errors.lines().next().unwrap_or_default().to_owned();
        for part in parts {
            assert!(line.contains(part), "{arguments:?}: no `{part}` in: {line}");
        }
        line
    });
    assert_eq!(said[0], said[1]);
    assert_eq!(place.listing(), before, "{arguments:?}");
}

#[test]
fn what_is_wrong_is_refused_alike_by_submitting_and_by_printing() {
    let place = slurm();
    place.write("file", "");
    place.write("ca.pem", "nothing");
    place.write("token", "no token");
    refused(&place, &["--time", "abc"], &["abc", "--time", "4:00:00"]);
    refused(&place, &["--time", "1:00"], &["--time", "at least 2 minutes"]);
    refused(&place, &["--time", "-5"], &["--time"]);
    refused(&place, &["--partition", "a b"], &["--partition", "without blanks"]);
    refused(&place, &["--partition", ""], &["--partition"]);
    refused(&place, &["--workers", "0"], &["--workers"]);
    refused(&place, &["--min", "3", "--max", "2"], &["--min: must be at most --max (2), not 3"]);
    refused(&place, &["--threads", "0"], &["--threads"]);
    refused(&place, &["--directory", "a\nb"], &["--directory: must be text"]);
    refused(&place, &["--directory", "a,b"], &["--directory: must have no ','"]);
    refused(&place, &["--directory", "a\\b"], &["--directory: must have no '\\\\'"]);
    refused(&place, &["--directory", "file"], &["--directory: ", "file is not a directory"]);
    refused(&place, &["--directory", "file/in"], &["--directory: ", "file is not a directory"]);
    refused(&place, &["--program", "a\nb"], &["--program: must be text"]);
    refused(&place, &["--program", "."], &["--program: ", "is a directory"]);
    refused(&place, &["--data", "nowhere"], &["there is no directory nowhere"]);
    refused(&place, &["--", "--account", "lab"], &["lab", "in one word"]);
    refused(&place, &["--", "--array=0-9"], &["--array", "--min and --max"]);
    refused(&place, &["--", "--comment=a\nb"], &["in one word"]);
    refused(&place, &["--tls-ca", "ca.pem"], &["--tls-ca: has no effect without --coordinator"]);
    refused(&place, &["--token-file", "token"], &["--token-file: has no effect without --coordinator"]);
    refused(&place, &["--insecure"], &["--insecure: has no effect without --coordinator"]);
    refused(
        &place,
        &["--run", "x", "--coordinator", "http://login1:1"],
        &["--run <RUN>", "cannot be used with"],
    );

    let beside = |more: &[&str], parts: &[&str]| {
        refused(&place, &[&["--coordinator", "https://login1:7420"], more].concat(), parts);
    };
    for (address, part) in [
        ("login1", "it needs a port"),
        ("", "name at least one address"),
        (" , ", "name at least one address"),
        ("ftp://login1:1", "must be http or https"),
        ("file:nowhere", "the file cannot be read"),
        ("file:a,http://login1:1", "cannot stand beside others"),
    ] {
        refused(&place, &["--coordinator", address], &["--coordinator: ", part]);
    }
    beside(&["--tls-ca", "no.pem"], &["no.pem: cannot be read"]);
    beside(&["--tls-ca", "ca.pem"], &["ca.pem: holds no certificate"]);
    beside(&["--tls-key", "ca.pem"], &["--tls-certificate: must be given with --tls-key"]);
    beside(&["--token-file", "token"], &["--worker-token-file: must be given with --token-file"]);
    beside(&["--worker-token-file", "no.token"], &["no.token: cannot be read"]);
    beside(&["--worker-token-file", "token"], &["token: holds no token"]);
    beside(&["--directory", "x"], &["--directory"]);
    place.ok(&["certs"]);
    refused(
        &place,
        &["--coordinator", "http://login1:7420", "--tls-ca", "certs/ca.pem"],
        &["--coordinator: ", "is not encrypted, although --tls-ca is given"],
    );
}

#[test]
fn workers_are_submitted_behind_their_coordinator() {
    let place = slurm();
    place.write("hebbian-tiny/workers", "7\n");
    place.write("hebbian-tiny/coordinator", "https://gone:1\n");
    let more = ["--max", "4", "--threads", "2", "--time", "2:00", "--", "--nice=5", "--comment=it's \"so\""];
    let (printed, _) = ok(&place, &[&["--print"], &more[..]].concat());
    assert_eq!(read(&place, "hebbian-tiny/workers"), "7\n", "printing changes nothing");
    let (jobs, said) = ok(&place, &more);
    assert_eq!(jobs, "1\n2\n");
    assert_eq!(read(&place, "hebbian-tiny/workers"), "2\n");
    assert!(said.contains("scancel 1 2"), "{said}");
    assert!(said.contains("All nodes must share its disk"), "{said}");
    let (coordinator, worker) = (read(&place, "slurm/submitted/1"), read(&place, "slurm/submitted/2"));
    // Neither job finds what those before it have left.
    assert_eq!(read(&place, "slurm/listed-1"), "certs\nspec.toml\n");
    assert!(coordinator.contains("--job-name=hebbian-coordinator"), "{coordinator}");
    let at = |line: &str| {
        let line = format!("#SBATCH {line}\n");
        worker.find(&line).unwrap_or_else(|| panic!("no {line} in {worker}"))
    };
    // Of Slurm's options the last one counts, which is the user's.
    assert!(at("--dependency=after:1") < at("--nice=100") && at("--nice=100") < at("--nice=5"));
    assert!(at("--array=0-3%4") < at("--nice=5") && at("--time=2:00") < at("--nice=5"));
    at(r#""--comment=it's \"so\"""#);
    assert!(worker.contains("export HEBBIAN_JOB=1\n"), "{worker}");
    // What is printed is what is submitted, but for the number that Slurm gives.
    let printed_worker = printed.split("\n# worker.sh\n").nth(1).unwrap().split("\n# coordinator.sh\n");
    let printed_scripts: Vec<&str> = printed_worker.collect();
    assert_eq!(
        printed_scripts,
        [worker.replace("after:1\n", "after:@JOB@\n").replace("JOB=1\n", "JOB=@JOB@\n"), coordinator]
    );
}

#[test]
fn a_submission_that_fails_leaves_no_job() {
    let place = slurm();
    place.write("slurm/broken", "2");
    let output = submit(&place, &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(errors(&output).contains("sbatch: error: no such partition"), "{}", errors(&output));
    assert_eq!(read(&place, "slurm/cancelled"), "1\n");
    assert!(!place.path("hebbian-tiny/workers").exists());
}

#[test]
fn a_directory_has_one_run_and_one_set_of_jobs() {
    let place = slurm();
    ok(&place, &[]);
    let here = place.path("hebbian-tiny").display().to_string();
    place.write("slurm/queue", &format!("2_[0-1%2] {here}\n1 {here}\n5 /elsewhere\n"));
    refused(&place, &[], &["--directory: ", "has a run that goes on: Slurm has its jobs 1 2"]);
    // Its jobs are over: the same again goes on, and another spec would be another run.
    place.write("slurm/queue", "5 /elsewhere\n");
    place.write("hebbian-tiny/journal.sqlite", "");
    assert_eq!(ok(&place, &[]).0, "3\n4\n");
    place.write("tiny.toml", &SPEC.replace("seed = 7", "seed = 8"));
    refused(&place, &[], &["--directory: ", "has the journal of another spec"]);
    place.write("tiny.toml", SPEC);
    fs::remove_file(place.path("hebbian-tiny/certs/ca-key.pem")).unwrap();
    refused(&place, &[], &["--directory: ", "certs/ca-key.pem is missing"]);
}

/// Variables that follow a run are no flags: submitting another one is as it was.
#[test]
fn variables_of_clients_do_not_count_without_a_coordinator() {
    let place = slurm();
    let mut command = place.command(&["slurm", "submit", "tiny.toml"]);
    command.envs(variables(&place)).env("HEBBIAN_TLS_CA", "/gone/ca.pem");
    let output = command.env("HEBBIAN_TOKEN_FILE", "/gone/token").output().unwrap();
    assert!(output.status.success(), "{}", errors(&output));
    for job in ["1", "2"] {
        let script = read(&place, &format!("slurm/submitted/{job}"));
        assert!(script.contains("\nunset HEBBIAN_COORDINATOR HEBBIAN_TLS_CA "), "{script}");
        assert!(!script.contains("/gone"), "{script}");
    }
}

#[test]
fn beside_a_coordinator_the_risk_is_said_and_no_key_is_printed() {
    let place = slurm();
    place.ok(&["certs", "--name", "login1"]);
    let tls = [
        "--tls-ca",
        "certs/ca.pem",
        "--tls-certificate",
        "certs/client.pem",
        "--tls-key",
        "certs/client-key.pem",
    ];
    let (script, said) =
        ok(&place, &[&["--print", "--coordinator", "https://login1:7420"], &tls[..]].concat());
    assert!(said.contains("losing its machine loses what is newer than its last backup"), "{said}");
    assert!(!script.contains("PRIVATE KEY"), "{script}");
    assert!(
        script.contains(&format!("export HEBBIAN_TLS_KEY={}", place.path("certs/client-key.pem").display()))
    );

    // A run that cannot be had takes its workers back.
    let coordinator = Coordinator::start(&place);
    place.write("slurm/broken", "1");
    let output = submit(&place, &["--coordinator", &coordinator.url]);
    assert!(!output.status.success());
    let said = errors(&output);
    assert!(said.contains("losing its machine loses") && said.contains("only workers on this one"), "{said}");
    assert_eq!(coordinator.json(&["list"]).as_array().unwrap().len(), 0, "a run without workers");
    assert_eq!(coordinator.stop(), Some(0));
}

#[test]
fn what_is_no_array_is_not_tended() {
    let place = slurm();
    let coordinator = Coordinator::start(&place);
    let run = coordinator.ok(&["create", "tiny.toml"]).trim().to_owned();
    for (queue, part) in [("N/A\n", "job 7 is no array"), ("", "job 7 is over")] {
        place.write("slurm/queue", queue);
        let mut command = place.command(&coordinator.arguments(&["slurm", "tend", &run, "--array", "7"]));
        let output = command.envs(variables(&place)).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", errors(&output));
        assert!(errors(&output).contains(part), "{}", errors(&output));
    }
    for (out, part) in [("nowhere/genome.json", "there is no directory nowhere"), (".", "is a directory")] {
        let arguments = ["slurm", "tend", &run, "--array", "7", "--out", out];
        let output = place.output(&coordinator.arguments(&arguments));
        assert!(errors(&output).contains(part), "{}", errors(&output));
    }
    assert!(!place.path("slurm/cancelled").exists(), "a job that is not the run's was cancelled");
    assert_eq!(coordinator.stop(), Some(0));
}

/// Other users of the nodes are to find nothing there: Slurm makes the logs for everybody's eyes.
#[test]
fn a_directory_that_is_made_is_for_its_owner_alone() {
    let place = slurm();
    let mode = |name: &str| fs::metadata(place.path(name)).unwrap().permissions().mode() & 0o777;
    ok(&place, &["--directory", "above/own"]);
    assert_eq!(mode("above/own"), 0o700);
    assert_ne!(mode("above"), 0o700, "only the run's own");
    // One that is there is as its owner wants it.
    fs::set_permissions(place.path("above/own"), fs::Permissions::from_mode(0o750)).unwrap();
    ok(&place, &["--directory", "above/own"]);
    assert_eq!(mode("above/own"), 0o750);
    let (printed, _) = ok(&place, &["--print"]);
    assert!(printed.contains("mkdir -p -m 700 "), "{printed}");
}

/// The script of the coordinator's job, as Slurm would run it.
#[test]
fn a_coordinators_job_has_no_page_and_ends_when_its_workers_are_gone() {
    let place = slurm();
    program(&place, "squeue", GONE);
    // A name that every machine has for itself.
    program(&place, "hostname", "#!/bin/sh\necho localhost\n");
    let (jobs, _) = ok(&place, &[]);
    assert_eq!(jobs, "1\n2\n");
    place.write("hebbian-tiny/worker-0.log", "hebbian: command not found\n");
    let mut job = Command::new("bash");
    job.arg(place.path("slurm/submitted/1")).current_dir(place.path("hebbian-tiny")).env_clear();
    job.envs(variables(&place)).env("HOME", place.path("")).env("SLURM_JOB_ID", "1");
    let output = job.output().unwrap();
    let said = errors(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("array 2 is over, and run "), "{said}");
    let directory = place.path("hebbian-tiny").display().to_string();
    assert!(said.contains(&format!("{directory}/worker-*.log")), "{said}");
    assert!(
        said.contains(&format!("hebbian slurm submit {directory}/spec.toml --directory {directory}")),
        "{said}"
    );
    assert!(!said.contains("live page"), "{said}");
    let controlled = fs::read_to_string(place.path("slurm/controlled")).unwrap_or_default();
    assert!(!controlled.contains("requeue"), "{controlled}");
    assert!(read(&place, "slurm/cancelled").contains('2'));
}

/// As empty output, or by Slurm's words for a job that has been over for a while.
#[test]
fn an_array_that_is_over_before_its_run_is_told() {
    let place = slurm();
    let coordinator = Coordinator::start(&place);
    let run = coordinator.ok(&["create", "tiny.toml"]).trim().to_owned();
    let unknown = "; [ \"$(grep -c %K \"$SLURM/asked\")\" -le 1 ] || { echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1; }";
    for (number, gone) in [GONE.to_owned(), format!("{}{unknown}\n", GONE.trim_end())].into_iter().enumerate()
    {
        program(&place, "squeue", &gone);
        let _ = fs::remove_file(place.path("slurm/asked"));
        let mut command = place.command(&coordinator.arguments(&["slurm", "tend", &run, "--array", "7"]));
        let output = command.envs(variables(&place)).output().unwrap();
        let said = errors(&output);
        assert_eq!(output.status.code(), Some(1), "{number}: {said}");
        assert!(said.contains(&format!("array 7 is over, and run {run} is not")), "{number}: {said}");
        assert!(said.contains("slurm-7_*.out"), "{number}: {said}");
        let again = format!("`hebbian slurm submit --run {run} --coordinator {}`", coordinator.url);
        assert!(said.contains(&again), "{number}: {said}");
    }
    assert_eq!(coordinator.stop(), Some(0));
}

#[test]
fn workers_are_given_back_when_their_coordinator_stays_away_and_the_run_gets_others_later() {
    let place = slurm();
    place.write("slurm/queue", "0\n");
    let coordinator = Coordinator::start(&place);
    let run = coordinator.ok(&["create", "tiny.toml"]).trim().to_owned();
    let patient = [variables(&place), vec![("HEBBIAN_PATIENCE", "1".to_owned())]].concat();
    let url = coordinator.url.clone();
    let arguments = ["slurm", "tend", &run, "--array", "7", "--timeout", "1s", "--coordinator", &url];
    let mut tends = place.start_with(&patient, &arguments, "tend.log");
    until("it is tended", || read(&place, "tend.log").contains("workers: up to"));
    assert_eq!(coordinator.stop(), Some(0));
    assert_eq!(tends.exit_code(), Some(4));
    let said = read(&place, "tend.log");
    assert!(said.contains("; array 7 was cancelled"), "{said}");
    assert!(said.contains(&format!("`hebbian slurm submit --run {run} --coordinator {url}`")), "{said}");
    assert_eq!(read(&place, "slurm/cancelled"), "7\n");

    let coordinator = Coordinator::start(&place);
    let arguments = coordinator.arguments(&["slurm", "submit", "--run", &run]);
    let mut submits = place.start_with(&variables(&place), &arguments, "submit.log");
    let begun = format!("found run {run}, and submitted its workers as array 1");
    until("there are workers again", || read(&place, "submit.log").contains(&begun));
    coordinator.ok(&["cancel", &run]);
    assert_eq!(submits.exit_code(), Some(1));
    assert!(read(&place, "submit.log").contains("was cancelled"));
    assert_eq!(read(&place, "slurm/cancelled"), "7\n1\n");
    let output = place.command(&arguments).envs(variables(&place)).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", errors(&output));
    assert!(errors(&output).contains("needs no workers: it is cancelled"), "{}", errors(&output));
    assert!(!place.path("slurm/submitted/2").exists(), "workers for a run that has ended");
    assert_eq!(coordinator.stop(), Some(0));
}

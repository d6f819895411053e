//! A worker that does everything right passes; each fault that it may have is found by the check that is made for it.

mod faulty;

use std::thread;

use super::*;
use faulty::{Fault, InProcess};

/// How long is waited for what a faulty worker never does.
const PATIENCE: Duration = Duration::from_secs(5);

/// The checks that a worker fails, with what was seen.
fn failed_by(fault: Option<Fault>, wanted: &[&str]) -> Vec<Finding> {
    let mut subject = InProcess::new(fault);
    let played = Played::start(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let patience = if fault.is_some() { PATIENCE } else { Duration::from_secs(60) };
    let mut bench = Bench::new(played, &mut subject, problem::NAME.to_owned(), patience);
    let checks: Vec<&Check> = checks::ALL.iter().filter(|check| wanted.contains(&check.name)).collect();
    all(&mut bench, &checks, |_| Ok(())).unwrap()
}

fn names() -> Vec<&'static str> {
    checks::ALL.iter().map(|check| check.name).collect()
}

#[test]
fn a_worker_that_does_everything_right_passes() {
    let found = failed_by(None, &names());
    let wrong: Vec<_> = found.iter().filter(|finding| finding.result != "ok").collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(found.len(), checks::ALL.len());
}

#[test]
fn each_fault_is_found_by_its_check() {
    // The largest batch costs the most by far, and matters to one of them.
    let others: Vec<&str> = names().into_iter().filter(|name| *name != "large-batch").collect();
    let tried: Vec<_> = Fault::ALL
        .iter()
        .map(|&(fault, expected, seen)| {
            let wanted =
                if fault == Fault::SmallMessages { vec!["large-batch", "values"] } else { others.clone() };
            (fault, expected, seen, thread::spawn(move || failed_by(Some(fault), &wanted)))
        })
        .collect();
    let mut wrong = Vec::new();
    for (fault, expected, seen, found) in tried {
        let found = found.join().unwrap();
        let failed: Vec<&str> =
            found.iter().filter(|found| found.is_failed()).map(|found| found.check).collect();
        let first = found.iter().find(|finding| finding.check == expected[0]);
        let told = first.and_then(|finding| finding.seen.clone()).unwrap_or_default();
        if failed != expected || !told.contains(seen) {
            let all: Vec<_> = found.iter().filter(|found| found.result != "ok").collect();
            wrong.push(format!("{fault:?}: {failed:?}, not {expected:?}, with {seen:?}: {all:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn arguments_say_what_is_wrong() {
    assert!(parse_command("./worker").unwrap_err().contains("{address}"));
    assert!(parse_name("No Name").unwrap_err().contains("a-z"));
    assert!(parse_check("heart").unwrap_err().contains("heartbeats"));
    assert_eq!(parse_check("heartbeats").as_deref(), Ok("heartbeats"));
}

#[test]
fn one_that_never_attaches_is_told_of() {
    let mut subject = Program::new("exit 3 # {address}".to_owned(), Living::default());
    let played = Played::start(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let mut bench = Bench::new(played, &mut subject, problem::NAME.to_owned(), Duration::from_millis(500));
    let checks = [&checks::ALL[0]];
    let found = all(&mut bench, &checks, |_| Ok(())).unwrap();
    assert_eq!(
        found[0].seen.as_deref(),
        Some("no worker attached, and its process has ended: it exited with status 3")
    );
}

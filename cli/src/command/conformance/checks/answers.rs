//! Whether what a worker answers is right.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use hebbian_shared::dispatch::Settlement;
use hebbian_shared::episode::{EpisodePurpose, Outcome};
use hebbian_shared::limits::REASON_BYTES_MAX;

use super::super::check::{Bench, Fault};
use super::super::problem::{Asked, Ending, Place, VIOLATION, Work, place, told};
use super::super::tried::{Next, Stream, is_about};
use hebbian_shared::dispatch::FromWorker;

/// What is asked where the answers matter.
fn asked(count: u32) -> Vec<Asked> {
    let asked = |place| Asked {
        first: f64::from(place) / 4.0,
        last: -f64::from(place % 5) / 2.0,
        level: place % 10,
        milliseconds: 5 * (place % 3),
        ending: Ending::Value,
    };
    (0..count).map(asked).collect()
}

const SEARCH: (u32, EpisodePurpose, u32) = (0, EpisodePurpose::Search, 0);

pub(super) fn settles_once(bench: &mut Bench<'_>) -> Result<(), Fault> {
    let (run, mut stream) = (bench.run(), bench.attach()?);
    let work = run.work(SEARCH, &asked(12), 2, 0);
    stream.announce(&run);
    stream.give(&work);
    let mut times: BTreeMap<Place, u32> = work.places().into_iter().map(|place| (place, 0)).collect();
    let until = stream.deadline();
    while times.values().any(|&times| times == 0) {
        let Some(report) = stream.report(run.id, until)? else {
            let missing: Vec<_> =
                times.iter().filter(|(_, times)| **times == 0).map(|(place, _)| place).collect();
            return Err(Fault::new(
                format!(
                    "{} of {} evaluations were never settled, the first: candidate {} on task {}",
                    missing.len(),
                    times.len(),
                    missing[0].0,
                    missing[0].1
                ),
                "each assignment of a batch is settled once",
            ));
        };
        count(&mut times, &report.settlements);
    }
    for report in stream.later(run.id)? {
        count(&mut times, &report.settlements);
    }
    match times.iter().find(|(_, times)| **times > 1) {
        None => Ok(()),
        Some(((candidate, task), times)) => Err(Fault::new(
            format!("candidate {candidate} on task {task} was settled {times} times"),
            "each assignment of a batch is settled once",
        )),
    }
}

fn count(times: &mut BTreeMap<Place, u32>, settlements: &[Settlement]) {
    for settlement in settlements {
        if let Some(times) = times.get_mut(&place(settlement)) {
            *times += 1;
        }
    }
}

/// Two batches at once whose candidates have the same numbers, which are no places in the tables of genomes.
pub(super) fn ids(bench: &mut Bench<'_>) -> Result<(), Fault> {
    let (run, mut stream) = (bench.run(), bench.attach()?);
    let search = run.work((3, EpisodePurpose::Search, 0), &asked(6), 1, 40);
    let remeasure = run.work((3, EpisodePurpose::Remeasure, 2), &asked(6), 3, 40);
    stream.announce(&run);
    stream.give(&search);
    stream.give(&remeasure);
    let mut left: Vec<BTreeSet<Place>> =
        [&search, &remeasure].iter().map(|work| work.places().into_iter().collect()).collect();
    let until = stream.deadline();
    while left.iter().any(|places| !places.is_empty()) {
        let Some(report) = stream.report(run.id, until)? else {
            let missing: usize = left.iter().map(BTreeSet::len).sum();
            let all = search.places().len() + remeasure.places().len();
            return Err(stream.unsettled(all - missing, all));
        };
        let work = [&search, &remeasure].into_iter().position(|work| is_about(&report, work));
        let Some(work) = work else {
            return Err(Fault::new(
                format!(
                    "a report names generation {}, purpose {:?} and block {}",
                    report.generation, report.purpose, report.block.0
                ),
                "a report names run, generation, purpose and block of its batch",
            ));
        };
        let places = [&search, &remeasure][work].places();
        for settlement in &report.settlements {
            let (candidate, task) = place(settlement);
            if !places.contains(&(candidate, task)) {
                return Err(Fault::new(
                    format!("candidate {candidate} on task {task} was settled, which was not assigned"),
                    "a settlement has the candidate of BatchGenome and the task of Assignment, not their places",
                ));
            }
            left[work].remove(&(candidate, task));
        }
    }
    Ok(())
}

/// Asks for some evaluations that end so, and takes what comes.
fn tried(bench: &mut Bench<'_>, asked: &[Asked]) -> Result<(Work, BTreeMap<Place, Settlement>), Fault> {
    let (run, mut stream) = (bench.run(), bench.attach()?);
    let work = run.work(SEARCH, asked, 2, 0);
    stream.announce(&run);
    stream.give(&work);
    let found = stream.outcomes(&work)?;
    Ok((work, found))
}

pub(super) fn values(bench: &mut Bench<'_>) -> Result<(), Fault> {
    let (work, found) = tried(bench, &asked(12))?;
    for (place, settlement) in &found {
        let (expected, _) = work.expected(*place).expect("it was assigned");
        let is_right = settlement
            .outcome
            .evaluation()
            .is_some_and(|found| (found.fitness.get() - expected).abs() <= 1e-9 * expected.abs());
        if !is_right {
            return Err(Fault::new(
                format!("candidate {} on task {} gave {}", place.0, place.1, told(&settlement.outcome)),
                format!(
                    "the objective's value {expected}, of the parameters in the spec's order and the assignment's seed, whatever \
                     the spec's direction"
                ),
            ));
        }
    }
    Ok(())
}

pub(super) fn scores(bench: &mut Bench<'_>) -> Result<(), Fault> {
    let (work, found) = tried(bench, &asked(12))?;
    for (place, settlement) in &found {
        let (_, expected) = work.expected(*place).expect("it was assigned");
        if settlement.outcome.evaluation().is_none_or(|found| found.scores != expected) {
            return Err(Fault::new(
                format!("candidate {} on task {} gave {}", place.0, place.1, told(&settlement.outcome)),
                format!("the scores {expected:?}, in the order of the spec's problem.scores"),
            ));
        }
    }
    Ok(())
}

/// Evaluations that end so have this outcome, and those beside them their values.
fn ends(
    bench: &mut Bench<'_>,
    ending: Ending,
    right: &str,
    is_right: impl Fn(&Outcome) -> bool,
) -> Result<(), Fault> {
    let asked = [Asked::default(), Asked::ending(ending), Asked::default(), Asked::ending(ending)];
    let (_, found) = tried(bench, &asked)?;
    for ((candidate, task), settlement) in &found {
        let outcome = &settlement.outcome;
        let (seen, right) = if asked[*candidate as usize].ending == Ending::Value {
            (
                outcome.evaluation().is_some(),
                "what goes wrong with one evaluation does not touch those beside it",
            )
        } else {
            (is_right(outcome), right)
        };
        if !seen {
            return Err(Fault::new(
                format!("candidate {candidate} on task {task} gave {}", told(outcome)),
                right,
            ));
        }
    }
    Ok(())
}

pub(super) fn infeasible(bench: &mut Bench<'_>) -> Result<(), Fault> {
    let right = format!("`infeasible` with the violation {VIOLATION}");
    ends(
        bench,
        Ending::Infeasible,
        &right,
        |outcome| matches!(outcome, Outcome::Infeasible(by) if by.get() == VIOLATION),
    )
}

pub(super) fn failed(bench: &mut Bench<'_>) -> Result<(), Fault> {
    ends(bench, Ending::Failed, "`diverged`: the candidate cannot be evaluated", |outcome| {
        *outcome == Outcome::Diverged
    })?;
    ends(bench, Ending::NotANumber, "`diverged`: NaN is no value", |outcome| *outcome == Outcome::Diverged)
}

pub(super) fn errors(bench: &mut Bench<'_>) -> Result<(), Fault> {
    let right = format!("`worker_error` with a reason of 1 to {REASON_BYTES_MAX} bytes");
    ends(
        bench,
        Ending::Exception,
        &right,
        |outcome| matches!(outcome, Outcome::WorkerError { reason } if !reason.is_empty()),
    )
}

/// The same evaluations again, as after a lease that ran out.
pub(super) fn redelivery(bench: &mut Bench<'_>) -> Result<(), Fault> {
    let (run, mut stream) = (bench.run(), bench.attach()?);
    let work = run.work(SEARCH, &asked(6), 2, 0);
    stream.announce(&run);
    stream.give(&work);
    let first = stream.outcomes(&work)?;
    stream.later(run.id)?;
    stream.give(&work);
    let second = stream.outcomes(&work).map_err(|fault| Fault {
        seen: format!("the same batch once more: {}", fault.seen),
        right: "evaluations that come again are evaluated again".to_owned(),
    })?;
    let differs = first.iter().find(|(place, settlement)| second[place].outcome != settlement.outcome);
    match differs {
        None => Ok(()),
        Some(((candidate, task), settlement)) => Err(Fault::new(
            format!(
                "candidate {candidate} on task {task} gave {}, and when it came again {}",
                told(&settlement.outcome),
                told(&second[&(*candidate, *task)].outcome)
            ),
            "the same outcome",
        )),
    }
}

pub(super) fn report_numbers(bench: &mut Bench<'_>) -> Result<(), Fault> {
    let (run, mut stream) = (bench.run(), bench.attach()?);
    stream.announce(&run);
    let mut last = None;
    for generation in 0..3 {
        let work = run.batch(generation, &asked(4));
        stream.give(&work);
        let mut left: BTreeSet<Place> = work.places().into_iter().collect();
        let until = stream.deadline();
        while !left.is_empty() {
            let Some(number) = reported(&mut stream, &work, &mut left, until)? else {
                return Err(stream.unsettled(work.places().len() - left.len(), work.places().len()));
            };
            if last.is_some_and(|last| number != last + 1) {
                return Err(Fault::new(
                    format!("report {} was followed by report {number}", last.unwrap_or_default()),
                    "a worker's process numbers its reports from 1, without gaps",
                ));
            }
            last = Some(number);
        }
    }
    Ok(())
}

/// The number of the next report, of whatever run; takes its evaluations off.
fn reported(
    stream: &mut Stream,
    work: &Work,
    left: &mut BTreeSet<Place>,
    until: Instant,
) -> Result<Option<u64>, Fault> {
    loop {
        match stream.next(until)? {
            Next::Said(FromWorker::Report(report), _) => {
                if is_about(&report, work) {
                    for settlement in &report.settlements {
                        left.remove(&place(settlement));
                    }
                }
                return Ok(Some(report.sequence));
            }
            Next::Said(..) => {}
            Next::Ended(how) => return Err(super::super::tried::ended(how)),
            Next::Silence => return Ok(None),
        }
    }
}

/// As many evaluations as a coordinator puts into one message, of 32 MB.
pub(super) fn large_batch(bench: &mut Bench<'_>) -> Result<(), Fault> {
    let (run, mut stream) = (bench.run(), bench.attach()?);
    let work = run.batch(0, &vec![Asked { level: 1, ..Asked::default() }; 1024]);
    stream.announce(&run);
    stream.give(&work);
    stream.outcomes(&work).map(drop).map_err(|fault| Fault {
        seen: format!("a batch of 33 MB: {}", fault.seen),
        right: "messages of up to 64 MiB are taken; gRPC must be told so, its own limit is 4 MiB".to_owned(),
    })
}

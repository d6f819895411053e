//! Whether a worker is heard, and what it does with work that is not wanted any more.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use hebbian_shared::dispatch::{BlockEpisodes, ToWorker};
use hebbian_shared::id::{CandidateIndex, GenerationIndex, TaskIndex};

use super::super::check::{Bench, Fault};
use super::super::problem::{Asked, Place, Run, Work, place};
use super::super::tried::{INTERVALS, Next, Stream, ended, idle_lease, is_about, lease};

/// How long the evaluation takes during which a worker must be heard.
const LONG_MS: u32 = 3000;
const IDLE_INTERVAL: Duration = Duration::from_millis(500);
const IDLE: Duration = Duration::from_secs(3);
/// How long an evaluation takes of those that are not wanted any more.
const UNWANTED_MS: u32 = 300;

pub(super) fn heartbeats(bench: &mut Bench<'_>) -> Result<(), Fault> {
    let (run, mut stream) = (bench.run(), bench.attach()?);
    let (interval, _) = INTERVALS;
    stream.announce(&run);
    stream.warm_up(&run)?;
    let work = run.batch(1, &[Asked::lasting(LONG_MS)]);
    let (mut before, mut longest) = (Instant::now(), Duration::ZERO);
    stream.give(&work);
    let until = Instant::now() + Duration::from_millis(LONG_MS.into()) + bench.patience;
    loop {
        match stream.next(until)? {
            Next::Said(said, at) => {
                longest = longest.max(at.saturating_duration_since(before));
                before = at;
                if matches!(said, hebbian_shared::dispatch::FromWorker::Report(report) if is_about(&report, &work))
                {
                    break;
                }
            }
            Next::Ended(how) => return Err(ended(how)),
            Next::Silence => return Err(stream.unsettled(0, 1)),
        }
    }
    if longest < lease(interval) {
        return Ok(());
    }
    Err(Fault::new(
        format!("it was silent for {longest:.1?} while it evaluated"),
        format!(
            "a heartbeat every Welcome.heartbeat_interval ({interval:?} here) while it holds evaluations; a coordinator gives a worker \
             up after {:?}",
            lease(interval)
        ),
    ))
}

pub(super) fn idle_heartbeats(bench: &mut Bench<'_>) -> Result<(), Fault> {
    let mut stream = bench.attach_with((INTERVALS.0, IDLE_INTERVAL))?;
    let start = Instant::now();
    let (mut before, mut longest) = (start, Duration::ZERO);
    loop {
        match stream.next(start + IDLE)? {
            Next::Said(_, at) => {
                longest = longest.max(at.saturating_duration_since(before));
                before = at;
            }
            Next::Ended(how) => return Err(ended(how)),
            Next::Silence => break,
        }
    }
    longest = longest.max(before.elapsed());
    if longest < idle_lease(IDLE_INTERVAL) {
        return Ok(());
    }
    Err(Fault::new(
        format!("it was silent for {longest:.1?} while it held nothing"),
        format!("a heartbeat every Welcome.idle_heartbeat_interval ({IDLE_INTERVAL:?} here)"),
    ))
}

/// More evaluations than a worker can have begun.
pub(super) fn backlog(stream: &Stream, run: &Run, generation: u32) -> Work {
    run.batch(generation, &vec![Asked::lasting(UNWANTED_MS); 8 * stream.slots() + 16])
}

/// So many of them may have begun when it is told that they are not wanted.
pub(super) fn begun_max(stream: &Stream) -> usize {
    2 * stream.slots() + 2
}

/// Gives a backlog, and waits until some of it has been settled.
pub(super) fn give_backlog(stream: &mut Stream, run: &Run, generation: u32) -> Result<Work, Fault> {
    let work = backlog(stream, run, generation);
    stream.give(&work);
    let until = stream.deadline();
    loop {
        match stream.report(run.id, until)? {
            Some(report) if is_about(&report, &work) => return Ok(work),
            Some(_) => {}
            None => return Err(stream.unsettled(0, work.places().len())),
        }
    }
}

/// Asks for something new, and counts how much of the backlog is settled before that.
pub(super) fn settled_before(stream: &mut Stream, backlog: &Work, new: &Work) -> Result<usize, Fault> {
    let mut settled = 0;
    stream.give(new);
    stream.outcomes_counting(new, |report| {
        if is_about(report, backlog) {
            settled += report.settlements.len();
        }
    })?;
    Ok(settled)
}

pub(super) fn withdraw(bench: &mut Bench<'_>) -> Result<(), Fault> {
    let (run, mut stream) = (bench.run(), bench.attach()?);
    stream.announce(&run);
    let unwanted = give_backlog(&mut stream, &run, 2)?;
    stream.say(&ToWorker::Withdraw { run: run.id, up_to: Some(GenerationIndex(2)) });
    let settled = settled_before(&mut stream, &unwanted, &run.batch(3, &[Asked::default()]))?;
    if settled <= begun_max(&stream) {
        return Ok(());
    }
    Err(Fault::new(
        format!(
            "it evaluated {settled} more of a generation that was withdrawn before it went on with the next one"
        ),
        "evaluations up to Withdraw.up_to_generation that have not begun are dropped, and nothing is said of them",
    ))
}

/// A worker may evaluate what it need not; it may not drop the neighbours.
pub(super) fn withdraw_episodes(bench: &mut Bench<'_>) -> Result<(), Fault> {
    let (run, mut stream) = (bench.run(), bench.attach()?);
    stream.announce(&run);
    let work = give_backlog(&mut stream, &run, 2)?;
    // Of the half that has not begun each second one is not wanted.
    let places = work.places();
    let half = places[places.len() / 2..].iter().enumerate();
    let (unwanted, mut missing): (Vec<_>, Vec<_>) = half.partition(|(number, _)| number % 2 == 0);
    let batch = &work.batch;
    let episodes =
        unwanted.iter().map(|&(_, &(candidate, task))| (CandidateIndex(candidate), TaskIndex(task)));
    stream.say(&ToWorker::WithdrawEpisodes(BlockEpisodes {
        run: run.id,
        generation: batch.generation,
        purpose: batch.purpose,
        block: batch.block,
        episodes: episodes.collect(),
    }));
    let wanted = missing.len();
    let mut until = stream.deadline();
    while !missing.is_empty() {
        let Some(report) = stream.report(run.id, until)? else {
            return Err(Fault::new(
                format!(
                    "{} of {wanted} evaluations beside those that were withdrawn were never settled",
                    missing.len()
                ),
                "withdraw_episodes is about the evaluations that it names; all others of their generation are settled",
            ));
        };
        if is_about(&report, &work) {
            until = stream.deadline();
            let settled: BTreeSet<Place> = report.settlements.iter().map(place).collect();
            missing.retain(|(_, place)| !settled.contains(place));
        }
    }
    Ok(())
}

pub(super) fn run_end(bench: &mut Bench<'_>) -> Result<(), Fault> {
    let (run, next, mut stream) = (bench.run(), bench.run(), bench.attach()?);
    stream.announce(&run);
    let unwanted = give_backlog(&mut stream, &run, 0)?;
    stream.say(&ToWorker::Withdraw { run: run.id, up_to: None });
    stream.announce(&next);
    let settled = settled_before(&mut stream, &unwanted, &next.batch(0, &[Asked::default()]))?;
    if settled <= begun_max(&stream) {
        return Ok(());
    }
    Err(Fault::new(
        format!("it evaluated {settled} more of a run that had ended before it went on with the next run"),
        "a Withdraw without up_to_generation drops all of the run's evaluations that have not begun",
    ))
}

/// A run that was paused comes back without another announcement.
pub(super) fn run_again(bench: &mut Bench<'_>) -> Result<(), Fault> {
    let (run, mut stream) = (bench.run(), bench.attach()?);
    stream.announce(&run);
    stream.works_on(&run.batch(0, &[Asked::default()]))?;
    stream.say(&ToWorker::Withdraw { run: run.id, up_to: None });
    stream.works_on(&run.batch(1, &[Asked::default()])).map_err(|fault| Fault {
        seen: format!("a run was withdrawn and came again: {}", fault.seen),
        right: "a run is announced once on a stream; a run that was withdrawn (it was paused) may come again without that".to_owned(),
    })
}

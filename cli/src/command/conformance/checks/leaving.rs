//! How a worker takes its leave: drained by its coordinator, or told to end.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use hebbian_shared::dispatch::ToWorker;
use hebbian_shared::limits::LEAVING_GRACE;

use super::super::check::{Bench, CheckOutcome, Fault};
use super::super::problem::{Asked, Place, Run, Work};
use super::super::tried::{Farewell, Stream, StreamEnd};

/// How long an evaluation takes of those that have begun when a worker is told to leave.
const BEGUN_MS: u32 = 1000;
/// How long is waited until some have begun.
const BEGIN: Duration = Duration::from_millis(300);
/// How long a worker has to leave where the time is enough.
const AMPLE: Duration = Duration::from_secs(30);
/// And where it is not.
const SCARCE: Duration = Duration::from_secs(1);
/// What a machine that is busy may add.
const SLACK: Duration = Duration::from_secs(3);

/// Gives a warm worker more than it can begin at once, and a moment to begin.
fn begin(stream: &mut Stream, run: &Run, milliseconds: u32) -> Result<(Work, Farewell), Fault> {
    stream.announce(run);
    stream.warm_up(run)?;
    let work = run.batch(1, &vec![Asked::lasting(milliseconds); 3 * stream.slots() + 3]);
    stream.give(&work);
    let heard = stream.listen(run.id, Instant::now() + BEGIN)?;
    Ok((work, heard))
}

/// What has been heard of the worker that leaves, to its stream's end.
fn listen(stream: &mut Stream, run: &Run, heard: Farewell, within: Duration) -> Result<Farewell, Fault> {
    let until = Instant::now() + within;
    let mut heard = heard;
    while heard.end.is_none() && Instant::now() < until {
        heard = heard.and(stream.listen(run.id, until)?);
    }
    Ok(heard)
}

fn drain(stream: &Stream, within: Duration) {
    stream.say(&ToWorker::Drain { within });
}

/// It must have said so, and closed its side of the stream.
fn has_left(heard: &Farewell, what: &str, within: Duration) -> Result<(), Fault> {
    let right =
        "Leaving, then what has begun is reported and the rest given back, then the worker closes the stream";
    if !heard.said {
        return Err(Fault::new(format!("{what}, and it never said Leaving"), right));
    }
    match &heard.end {
        Some(StreamEnd::Closed) => Ok(()),
        Some(StreamEnd::Broken(how)) => {
            Err(Fault::new(format!("{what}, and the stream broke: {how}"), right))
        }
        None => Err(Fault::new(format!("{what}, and the stream was still open after {within:?}"), right)),
    }
}

/// Its process must have ended well, where that is known.
fn has_ended(bench: &mut Bench<'_>, what: &str) -> Result<(), Fault> {
    let patience = bench.patience;
    match bench.subject.ended(patience) {
        Some(Err(how)) => Err(Fault::new(
            format!("{what}, and its process ended: {how}"),
            "its process ends by itself, with status 0",
        )),
        Some(Ok(())) | None => Ok(()),
    }
}

pub(super) fn drains(bench: &mut Bench<'_>) -> Result<(), Fault> {
    let (run, mut stream) = (bench.run(), bench.attach()?);
    let (_, heard) = begin(&mut stream, &run, BEGUN_MS)?;
    drain(&stream, AMPLE);
    let heard = listen(&mut stream, &run, heard, AMPLE.min(bench.patience))?;
    has_left(&heard, "it was drained", AMPLE.min(bench.patience))?;
    drop(stream);
    has_ended(bench, "it was drained")
}

fn places(heard: &Farewell) -> (BTreeSet<Place>, BTreeSet<Place>) {
    let given = heard.given.iter().flat_map(|given| &given.episodes);
    (heard.settled.iter().copied().collect(), given.map(|(candidate, task)| (candidate.0, task.0)).collect())
}

pub(super) fn gives_back(bench: &mut Bench<'_>) -> Result<CheckOutcome, Fault> {
    let (run, mut stream) = (bench.run(), bench.attach()?);
    let (work, heard) = begin(&mut stream, &run, BEGUN_MS)?;
    drain(&stream, AMPLE);
    let heard = listen(&mut stream, &run, heard, AMPLE.min(bench.patience))?;
    if !heard.said {
        return Ok(CheckOutcome::Skipped("it does not leave when it is drained".to_owned()));
    }
    let right =
        "of what it holds, a worker that leaves reports what it has begun and gives all the rest back";
    let all: BTreeSet<Place> = work.places().into_iter().collect();
    let (settled, given) = places(&heard);
    let (settled, given): (BTreeSet<_>, BTreeSet<_>) = (settled.intersection(&all).copied().collect(), given);
    if let Some((candidate, task)) = given.difference(&all).next() {
        let seen = format!("it gave candidate {candidate} on task {task} back, which it did not hold");
        return Err(Fault::new(seen, right));
    }
    if let Some((candidate, task)) = given.intersection(&settled).next() {
        let seen = format!("it settled candidate {candidate} on task {task} and gave it back");
        return Err(Fault::new(seen, right));
    }
    let missing = all.len() - settled.len() - given.len();
    if missing > 0 || given.is_empty() || settled.is_empty() {
        let seen = format!(
            "of {} evaluations it settled {} and gave back {} before it left",
            all.len(),
            settled.len(),
            given.len()
        );
        return Err(Fault::new(seen, right));
    }
    Ok(CheckOutcome::Ok)
}

/// A batch that crosses the message that it leaves.
pub(super) fn late_batch(bench: &mut Bench<'_>) -> Result<CheckOutcome, Fault> {
    let (run, mut stream) = (bench.run(), bench.attach()?);
    let (_, heard) = begin(&mut stream, &run, BEGUN_MS)?;
    let late = run.batch(2, &[Asked::default(), Asked::default()]);
    drain(&stream, AMPLE);
    stream.give(&late);
    let heard = listen(&mut stream, &run, heard, AMPLE.min(bench.patience))?;
    if !heard.said {
        return Ok(CheckOutcome::Skipped("it does not leave when it is drained".to_owned()));
    }
    let given = heard.given.iter().filter(|given| given.generation == late.batch.generation);
    let given: usize = given.map(|given| given.episodes.len()).sum();
    if given == late.places().len() {
        return Ok(CheckOutcome::Ok);
    }
    Err(Fault::new(
        format!("of {} evaluations that came while it left it gave {given} back", late.places().len()),
        "what comes after it was told to leave is given back",
    ))
}

/// What has begun takes longer than it may.
pub(super) fn drains_in_time(bench: &mut Bench<'_>) -> Result<(), Fault> {
    let (run, mut stream) = (bench.run(), bench.attach()?);
    let (_, heard) = begin(&mut stream, &run, 60_000)?;
    let start = Instant::now();
    drain(&stream, SCARCE);
    let heard = listen(&mut stream, &run, heard, SCARCE + LEAVING_GRACE + SLACK)?;
    let took = start.elapsed();
    // Whatever it still computes is nobody's any more.
    bench.subject.kill();
    if heard.end.is_some() {
        return Ok(());
    }
    Err(Fault::new(
        format!("it was drained within {SCARCE:?}, and its stream was still open after {took:.1?}"),
        "after Drain.within a worker closes the stream, whatever it has begun: that is given to others",
    ))
}

pub(super) fn terminates(bench: &mut Bench<'_>) -> Result<CheckOutcome, Fault> {
    let (run, mut stream) = (bench.run(), bench.attach()?);
    let (work, heard) = begin(&mut stream, &run, BEGUN_MS)?;
    if !bench.subject.terminate() {
        return Ok(CheckOutcome::Skipped(
            "only a worker that `--exec` starts can be sent SIGTERM".to_owned(),
        ));
    }
    let within = bench.patience;
    let heard = listen(&mut stream, &run, heard, within)?;
    has_left(&heard, "it was sent SIGTERM", within)?;
    let (settled, given) = places(&heard);
    let all = work.places().len();
    if settled.len() + given.len() < all {
        return Err(Fault::new(
            format!("of {all} evaluations it settled {} and gave back {}", settled.len(), given.len()),
            "what has begun is reported, and the rest given back",
        ));
    }
    drop(stream);
    has_ended(bench, "it was sent SIGTERM")?;
    Ok(CheckOutcome::Ok)
}

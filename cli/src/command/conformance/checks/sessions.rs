//! What a worker says of itself, and what it keeps from one stream to the next.

use std::time::Duration;

use hebbian_proto::v1;
use hebbian_shared::dispatch::{ALL_PROBLEMS, FromWorker, Report};
use hebbian_shared::episode::Outcome;
use hebbian_shared::spec::RunSpec;
use prost::Message as _;
use prost::encoding::{WireType, encode_key, encode_varint};

use super::super::check::{Bench, Fault};
use super::super::problem::{Asked, Run, Work, told};
use super::super::tried::{INTERVALS, Next, Stream, ended, is_about, welcome};
use super::life::{begun_max, give_backlog, settled_before};

/// How long a coordinator is away.
const AWAY: Duration = Duration::from_secs(2);

/// Whatever a coordinator would refuse of it has been refused when it was read.
pub(super) fn hello(bench: &mut Bench<'_>) -> Result<(), Fault> {
    let stream = bench.attach()?;
    if stream.hello.serves.is_empty() {
        return Err(Fault::new(
            "Hello.serves has no names, as that of a worker that trains networks",
            "the names of the problems that it evaluates, or `*`",
        ));
    }
    Ok(())
}

pub(super) fn serves(bench: &mut Bench<'_>) -> Result<(), Fault> {
    let (run, mut stream) = (bench.run(), bench.attach()?);
    if !stream.hello.serves(&bench.problem) {
        let names = stream.hello.serves.join(", ");
        return Err(Fault::new(
            format!("Hello.serves has {names}"),
            format!("it has `{}`, with which this worker is tried (--serves names another)", bench.problem),
        ));
    }
    stream.announce(&run);
    stream.works_on(&run.batch(0, &[Asked::default()]))
}

/// What it does not serve: another problem, if it does not serve all, and learning rules.
pub(super) fn rejects(bench: &mut Bench<'_>) -> Result<(), Fault> {
    let mut stream = bench.attach()?;
    let rules = RunSpec::read(crate::QUICKSTART).expect("the built-in specs are tested to be valid");
    let rules = Run::of(bench.id(), rules);
    stream.announce(&rules);
    let right = "Reject with the run's name and a reason of at most 1024 bytes";
    loop {
        let until = stream.deadline();
        match stream.next(until)? {
            Next::Said(FromWorker::Reject { run, reason }, _) if run == rules.id && !reason.is_empty() => {
                break;
            }
            Next::Said(..) => {}
            Next::Ended(how) => return Err(Fault { right: right.to_owned(), ..ended(how) }),
            Next::Silence => return Err(Fault::new("a run of learning rules was not rejected", right)),
        }
    }
    if !stream.hello.serves.iter().any(|name| name == ALL_PROBLEMS) {
        let other = Run::new(bench.id(), "nobody-serves-this");
        stream.announce(&other);
        let work = other.batch(0, &[Asked::default()]);
        stream.give(&work);
        is_rejected(&mut stream, &work)?;
    }
    // It is none the worse for it.
    let run = bench.run();
    stream.announce(&run);
    stream.works_on(&run.batch(0, &[Asked::default()]))
}

fn is_rejected(stream: &mut Stream, work: &Work) -> Result<(), Fault> {
    let right = "a run of a problem that Hello.serves does not name is rejected";
    loop {
        let until = stream.deadline();
        match stream.next(until)? {
            Next::Said(FromWorker::Reject { run, .. }, _) if run == work.batch.run => return Ok(()),
            Next::Said(FromWorker::Report(report), _) if is_about(&report, work) => {
                let outcome = report.settlements.first().map(|settlement| &settlement.outcome);
                return match outcome {
                    Some(Outcome::Rejected { .. }) | None => Ok(()),
                    Some(outcome) => Err(Fault::new(
                        format!("a problem that it does not serve: it gave {}", told(outcome)),
                        right,
                    )),
                };
            }
            Next::Said(..) => {}
            Next::Ended(how) => return Err(ended(how)),
            Next::Silence => {
                return Err(Fault::new("a run of a problem that it does not serve was not rejected", right));
            }
        }
    }
}

/// A field with bytes in it.
fn field(number: u32, bytes: &[u8], message: &mut Vec<u8>) {
    encode_key(number, WireType::LengthDelimited, message);
    encode_varint(bytes.len() as u64, message);
    message.extend_from_slice(bytes);
}

/// Fields that nobody knows yet, at the end of a message.
fn newer(mut message: Vec<u8>) -> Vec<u8> {
    field(1000, b"of a newer version", &mut message);
    encode_key(1001, WireType::Varint, &mut message);
    encode_varint(7, &mut message);
    message
}

/// A message around what it says.
fn around(kind: u32, said: &[u8]) -> Vec<u8> {
    let mut message = Vec::new();
    field(kind, said, &mut message);
    newer(message)
}

/// A coordinator of a newer version: fields that are not known, in every message, and messages that are not known.
pub(super) fn unknown_fields(bench: &mut Bench<'_>) -> Result<(), Fault> {
    use v1::attach_response::Kind;
    let (run, mut stream) = (bench.run(), bench.stream()?);
    let inner = |message: &v1::AttachResponse| match &message.kind {
        Some(Kind::Welcome(welcome)) => (1, newer(welcome.encode_to_vec())),
        Some(Kind::Announcement(announcement)) => (2, newer(announcement.encode_to_vec())),
        Some(Kind::Batch(batch)) => {
            // Its assignments have some, too.
            let bare = v1::Batch { assignments: Vec::new(), ..batch.clone() };
            let mut bytes = bare.encode_to_vec();
            for assignment in &batch.assignments {
                field(7, &newer(assignment.encode_to_vec()), &mut bytes);
            }
            (3, newer(bytes))
        }
        other => unreachable!("{other:?} is not sent"),
    };
    let send = |stream: &Stream, message: &v1::AttachResponse| {
        let (kind, said) = inner(message);
        stream.say_bytes(around(kind, &said));
    };
    send(&stream, &welcome(bench.worker(), INTERVALS));
    send(&stream, &(&run.announcement()).into());
    // A kind of message that is none yet.
    stream.say_bytes(around(900, b"said by a newer version"));
    let work = run.batch(0, &[Asked::default(), Asked::default()]);
    let batch = v1::AttachResponse { kind: Some(Kind::Batch((&work.batch).into())), traceparent: None };
    send(&stream, &batch);
    stream.outcomes(&work).map(drop).map_err(|fault| Fault {
        seen: format!(
            "messages with fields that are not known, and one of a kind that is not: {}",
            fault.seen
        ),
        right: "what is not known is ignored, and what is known is done".to_owned(),
    })
}

/// Work of two reports: the first is acknowledged, the second is not, and the stream ends.
fn cut_after_two(bench: &mut Bench<'_>) -> Result<(Report, Report), Fault> {
    let (run, mut stream) = (bench.run(), bench.attach()?);
    // What is left of the check before is acknowledged.
    stream.announce(&run);
    stream.works_on(&run.batch(0, &[Asked::default()]))?;
    stream.later(run.id)?;
    stream.acknowledges = false;
    let mut reports = Vec::new();
    for generation in 1..3 {
        let work = run.batch(generation, &[Asked { level: generation, ..Asked::default() }]);
        stream.give(&work);
        let until = stream.deadline();
        let report = stream.report(run.id, until)?;
        reports.push(report.ok_or_else(|| stream.unsettled(0, 1))?);
        if generation == 1 {
            stream.acknowledge(reports[0].sequence);
            // What comes after an acknowledgement comes after it was heard.
            stream.works_on(&run.batch(10, &[Asked::default()]))?;
            stream.acknowledge(stream.last.unwrap_or_default());
        }
    }
    stream.cut();
    let second = reports.pop();
    reports.pop().zip(second).ok_or_else(|| Fault::new("there were no two reports", "one for each batch"))
}

pub(super) fn resends(bench: &mut Bench<'_>) -> Result<(), Fault> {
    let (_, second) = cut_after_two(bench)?;
    let mut stream = bench.attach()?;
    let until = stream.deadline();
    let right = "on the next stream a worker sends again what was not acknowledged: the same reports under the same numbers";
    loop {
        let Some(report) = stream.report(second.run, until)? else {
            let seen = "a report that was not acknowledged before the stream ended never came again";
            return Err(Fault::new(seen, right));
        };
        if report == second {
            return Ok(());
        }
        let same = report.generation == second.generation || report.sequence == second.sequence;
        if same {
            return Err(Fault::new(
                format!(
                    "report {} about generation {} came again as report {} about generation {}, or with other settlements",
                    second.sequence, second.generation, report.sequence, report.generation
                ),
                right,
            ));
        }
    }
}

pub(super) fn acknowledged(bench: &mut Bench<'_>) -> Result<(), Fault> {
    let (first, _) = cut_after_two(bench)?;
    let (run, mut stream) = (bench.run(), bench.attach()?);
    stream.announce(&run);
    let work = run.batch(0, &[Asked::default()]);
    let mut again = false;
    stream.give(&work);
    stream.outcomes_counting(&work, |report| again |= report.sequence <= first.sequence)?;
    if again {
        return Err(Fault::new(
            format!("report {} was acknowledged, and came again on the next stream", first.sequence),
            "what was acknowledged is forgotten",
        ));
    }
    Ok(())
}

pub(super) fn old_work(bench: &mut Bench<'_>) -> Result<(), Fault> {
    let (run, mut stream) = (bench.run(), bench.attach()?);
    stream.announce(&run);
    let old = give_backlog(&mut stream, &run, 0)?;
    stream.cut();
    let mut stream = bench.attach()?;
    let new = bench.run();
    stream.announce(&new);
    let settled = settled_before(&mut stream, &old, &new.batch(0, &[Asked::default()]))?;
    // What came while the stream was down is among them.
    if settled <= 2 * begun_max(&stream) {
        return Ok(());
    }
    Err(Fault::new(
        format!(
            "after the coordinator's restart it evaluated {settled} of the old stream's before it answered"
        ),
        "when a stream ends what was not begun is dropped: a coordinator that restarts gives it out anew",
    ))
}

pub(super) fn reconnects(bench: &mut Bench<'_>) -> Result<(), Fault> {
    let stream = bench.attach()?;
    bench.played.stop();
    drop(stream);
    std::thread::sleep(AWAY);
    if bench.subject.ended(Duration::ZERO).is_some() {
        return Err(Fault::new(
            "its process ended while the coordinator was away",
            "a worker tries to attach again and again, and never gives up",
        ));
    }
    bench.played.start_again().map_err(|error| {
        Fault::new(format!("the address could not be listened at again: {error}"), "it is free")
    })?;
    let (run, mut stream) = (bench.run(), bench.attach()?);
    stream.announce(&run);
    stream.works_on(&run.batch(0, &[Asked::default()]))
}

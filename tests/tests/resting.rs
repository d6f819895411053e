//! Runs that have ended rest as summaries: they look as before, and answer as before when they wake.

use crate::bench::{Bench, FINGERPRINT, creation, load, run, settings, spec, standing};
use crate::lies::watched;
use hebbian_control::command::run::{Act, AddNote, Create, Extend, GetResult, List, RunAction};
use hebbian_control::command::{Command as _, page::PageRequest};
use hebbian_control::engine::effect::Event;
use hebbian_control::run::record::StoredStanding;
use hebbian_control::run::recovery::TakenUp;
use hebbian_coordinator::journal::KeptSnapshots;
use hebbian_coordinator::journal::sqlite::SqliteJournal;
use hebbian_proto::v1;
use hebbian_shared::id::{RunId, WorkerId};
use hebbian_shared::spec::stop::StopSpec;

/// Has the run rest, which must not be seen.
fn rest(bench: &mut Bench) -> v1::Run {
    let before = bench.progress();
    bench.engine.rest(run(), before.sequence - 1);
    assert!(!bench.engine.is_resting(run()), "its last record is not on the disk yet");
    bench.engine.rest(run(), before.sequence);
    assert!(bench.engine.is_resting(run()));
    assert_eq!(bench.progress(), before);
    before
}

/// Reads the run again, as a driver does for a command that needs it.
fn wake(bench: &mut Bench) {
    let stored = bench.stored();
    let read = stored.sequence;
    match TakenUp::whole(bench.now, Ok(stored), settings().strategies) {
        TakenUp::Whole(run, writes) => assert!(bench.engine.wake(bench.now, *run, read, writes)),
        TakenUp::Ended(_) | TakenUp::Unreadable(_) => panic!("it can be taken up"),
    }
}

/// Runs that have ended in each of the ways in which they can.
fn ended() -> Vec<Bench> {
    let mut finished = Bench::new(spec("generations = 4"));
    finished.attach(FINGERPRINT);
    let mut validated = spec("generations = 4");
    validated.validation =
        Some(toml::from_str("every = 2\nfamilies = [\"circle\"]\ntasks_per_family = 2").unwrap());
    let mut validated = Bench::keeping(KeptSnapshots { every: 2 }, validated);
    validated.attach(FINGERPRINT);
    let mut cancelled = Bench::new(spec("generations = 400"));
    cancelled.answers = 100;
    cancelled.attach(FINGERPRINT);
    cancelled.act(RunAction::Cancel);
    let mut at_once = Bench::new(spec("generations = 4"));
    at_once.act(RunAction::Cancel);
    let all = vec![finished, validated, cancelled, at_once];
    assert!(all.iter().all(|bench| bench.progress().is_final()));
    all
}

#[test]
fn a_run_that_rests_looks_as_before_and_wakes_as_what_it_was() {
    for mut bench in ended() {
        let result = bench.engine.run(run()).unwrap().result();
        let before = rest(&mut bench);
        wake(&mut bench);
        assert_eq!(bench.progress(), before);
        assert_eq!(bench.engine.run(run()).unwrap().result(), result);
        rest(&mut bench);
        // What needs no more than the summary.
        assert_eq!(bench.engine.list(), vec![before.clone()]);
        let refused = bench.request(Act { run: run(), action: RunAction::Resume, by: String::new() });
        assert!(refused.unwrap_err().contains("has finished") || before.search_ended.is_none());
        bench.act(RunAction::Delete);
        assert!(!bench.engine.knows(run()) && load(&mut bench.journal).is_empty());
    }
}

/// How the run is taken up by a coordinator that starts.
fn taken_up(bench: &mut Bench) -> TakenUp {
    let standing = standing(&mut bench.journal).into_iter().find(|standing| match standing {
        StoredStanding::Ended(stored) => stored.run == run(),
        StoredStanding::Loaded(loaded) => loaded.as_ref().unwrap().run == run(),
    });
    TakenUp::of(bench.now, standing.unwrap(), settings().strategies)
}

#[test]
fn a_restart_takes_up_no_more_than_summaries_of_what_has_ended() {
    for mut bench in ended() {
        let before = bench.progress();
        // What it has found is known without its search.
        for _ in 0..2 {
            match taken_up(&mut bench) {
                TakenUp::Ended(ended) => assert_eq!(ended.progress(), before),
                TakenUp::Whole(..) | TakenUp::Unreadable(_) => panic!("it has ended: {before:?}"),
            }
            bench.journal.forget_snapshots(|_| true);
        }
    }
    let mut running = Bench::new(spec("generations = 4"));
    assert!(matches!(taken_up(&mut running), TakenUp::Whole(..)));
}

#[test]
fn every_journal_gives_the_same_of_a_run_that_has_ended() {
    let folder = tempfile::tempdir().unwrap();
    let mut validated = spec("generations = 5");
    validated.validation =
        Some(toml::from_str("every = 2\nfamilies = [\"circle\"]\ntasks_per_family = 2").unwrap());
    for (number, spec) in
        [spec("generations = 5"), spec("generations = 400"), validated].into_iter().enumerate()
    {
        let cancels = spec.stop.generations == Some(400);
        let mut bench = Bench::new(spec);
        let file = folder.path().join(format!("{number}.sqlite"));
        bench.also = Some(Box::new(SqliteJournal::open(&file).unwrap()));
        bench.copy_creation();
        bench.answers = if cancels { 100 } else { usize::MAX };
        bench.attach(FINGERPRINT);
        let also = |bench: &mut Bench| standing(&mut **bench.also.as_mut().unwrap());
        if cancels {
            assert!(matches!(also(&mut bench)[..], [StoredStanding::Loaded(Ok(_))]));
            bench.act(RunAction::Cancel);
        }
        assert!(bench.progress().is_final());
        let stored = also(&mut bench);
        assert!(
            matches!(&stored[..], [StoredStanding::Ended(stored)] if stored.best.is_some()),
            "{stored:?}"
        );
        assert_eq!(stored, standing(&mut bench.journal));
    }
}

#[test]
fn a_run_that_woke_is_extended_and_rests_again_when_it_has_ended_again() {
    let mut bench = Bench::new(spec("generations = 4"));
    bench.attach(FINGERPRINT);
    rest(&mut bench);
    let extend = || {
        let limits = StopSpec { generations: Some(9), ..StopSpec::default() };
        Extend { run: run(), limits, by: String::new() }
    };
    assert_eq!((extend().needs(), GetResult { run: run() }.needs()), (Some(run()), Some(run())));
    assert_eq!(AddNote { run: run(), text: String::new(), by: String::new() }.needs(), Some(run()));
    wake(&mut bench);
    bench.request(extend()).unwrap();
    let mut whole = Bench::new(spec("generations = 9"));
    whole.attach(FINGERPRINT);
    assert_eq!(bench.mean(), whole.mean());
    rest(&mut bench);
}

#[test]
fn runs_that_rest_are_counted_listed_and_known_by_their_requests() {
    let mut bench = Bench::with_settings(settings());
    bench.attach(FINGERPRINT);
    for number in 1..4 {
        let named = creation(RunId::new(number), spec("generations = 3"), &format!("request {number}"));
        bench.request(Create { owner: "one".to_owned(), ..named }).unwrap();
    }
    let sequence = bench.engine.standing(run()).unwrap().1;
    rest(&mut bench);
    assert_eq!(bench.engine.standing(run()), Some((true, sequence)));
    // The same request gives the same run, another spec is refused.
    bench.request(creation(RunId::new(9), spec("generations = 3"), "request 1")).unwrap();
    assert!(!bench.engine.knows(RunId::new(9)));
    let other = bench.request(creation(RunId::new(9), spec("generations = 4"), "request 1"));
    assert!(other.unwrap_err().contains("used before"));
    let page = |token: &str| List { page: PageRequest { size: 1, token: token.to_owned() } };
    let first = bench.engine.execute(bench.now, page("")).answer.unwrap();
    assert_eq!(first.items[0].run_id(), Ok(run()));
    let second = bench.engine.execute(bench.now, page(&first.next_token)).answer.unwrap();
    assert_eq!(second.items[0].run_id(), Ok(RunId::new(2)));
    assert_eq!(load(&mut bench.journal).len(), 3);
}

#[test]
fn a_lie_that_is_found_later_marks_also_a_run_that_rests() {
    let mut bench = watched(0.05);
    bench.act(RunAction::Resume);
    for _ in 0..3 {
        bench.bring();
    }
    let stranger = bench.attach_as("stranger", FINGERPRINT);
    bench.release();
    let before = rest(&mut bench);
    assert_eq!(before.doubt, None);
    // It is honest in one run, and lies in the next.
    bench.lying.insert(stranger);
    bench.request(creation(RunId::new(2), spec("generations = 40"), "")).unwrap();
    let progress = bench.progress();
    let doubt = progress.doubt.clone().expect("nobody knows whether it was honest before");
    assert_eq!((doubt.clean_generations, doubt.worker.as_str()), (Some(doubt.generation), "stranger"));
    assert_eq!(progress.sequence, before.sequence + 1);
    bench.handle(Event::Detach { worker: WorkerId(4) });
    // The journal has it, too.
    match taken_up(&mut bench) {
        TakenUp::Ended(ended) => assert_eq!(ended.progress(), progress),
        TakenUp::Whole(..) | TakenUp::Unreadable(_) => panic!("it has ended"),
    }
}

//! The engine by itself: what a restart makes of a journal, what a time limit is, and which workers a run waits for.

use std::time::Duration;

use crate::bench::{self, Bench, FINGERPRINT, run, spec};
use hebbian_control::command::run::{AddNote, Extend, RunAction};
use hebbian_control::engine::effect::Event;
use hebbian_control::run::Advanced;
use hebbian_control::run::record::{Record, StoredRun};
use hebbian_proto::convert::from_duration;
use hebbian_proto::figures::{RunState, duration};
use hebbian_proto::v1;
use hebbian_proto::v1::run_event::Kind;
use hebbian_shared::dispatch::{FromWorker, Report, Settlement};
use hebbian_shared::episode::{EpisodePurpose, Evaluation, Outcome};
use hebbian_shared::fitness::Fitness;
use hebbian_shared::id::{BlockIndex, CandidateIndex, GenerationIndex, RunId, TaskIndex};
use hebbian_shared::limits::REASON_BYTES_MAX;
use hebbian_shared::spec::RunSpec;
use hebbian_shared::spec::stop::StopSpec;

/// The run of a spec, undisturbed.
fn undisturbed(spec: RunSpec) -> Bench {
    let mut bench = Bench::new(spec);
    bench.attach(FINGERPRINT);
    assert!(bench.progress().is_final(), "{:?}", bench.progress());
    bench
}

fn criterion(bench: &Bench) -> String {
    match bench.progress().state().cloned() {
        Some(RunState::Finished(reason)) => reason.criterion,
        other => panic!("{other:?}"),
    }
}

fn pause_reason(bench: &Bench) -> String {
    match bench.progress().state().cloned() {
        Some(RunState::Paused(paused)) => paused.reason,
        other => panic!("{other:?}"),
    }
}

// Restarts and other arithmetic.

/// A run of 8 generations that was interrupted within one of the later ones.
fn interrupted() -> (Bench, StoredRun) {
    let mut bench = Bench::new(spec("generations = 8"));
    bench.answers = 45;
    bench.attach(FINGERPRINT);
    let progress = bench.progress();
    assert!((2..8).contains(&progress.generation) && progress.settled_episodes > 0, "{progress:?}");
    let mut committed = 0;
    for effect in bench.engine.flush() {
        let hebbian_control::engine::effect::Effect::Commit(transaction) = effect else { continue };
        hebbian_coordinator::journal::Journal::commit(&mut bench.journal, &[transaction], true).unwrap();
        committed += 1;
    }
    assert_eq!(committed, 1, "settlements of the open generation wait for their group");
    let stored = bench.stored();
    (bench, stored)
}

#[test]
fn a_recovered_run_does_not_compute_what_has_settled_and_ends_with_the_same_bits() {
    let (before, stored) = interrupted();
    let (generation, settled) = (before.progress().generation, before.progress().settled_episodes);
    let mut bench = Bench::recover(before.journal.clone(), vec![stored]);
    let recovered = bench.progress();
    assert_eq!(
        (recovered.generation, recovered.settled_episodes),
        (generation, settled),
        "settlements are restored"
    );
    bench.attach(FINGERPRINT);
    assert_eq!(criterion(&bench), "generations");
    assert_eq!(bench.mean(), undisturbed(spec("generations = 8")).mean());
}

#[test]
fn a_settlement_that_stands_twice_in_a_journal_counts_once() {
    let (before, mut stored) = interrupted();
    let twice: Vec<Record> =
        stored.records.iter().filter(|record| matches!(record, Record::Settled(_))).cloned().collect();
    stored.records.extend(twice);
    let mut bench = Bench::recover(before.journal.clone(), vec![stored]);
    assert_eq!(bench.progress().settled_episodes, before.progress().settled_episodes);
    bench.attach(FINGERPRINT);
    assert_eq!(bench.mean(), undisturbed(spec("generations = 8")).mean());
}

// What is asked while a search advances.

/// A run whose fourth generation is complete and with the search.
fn advancing() -> Bench {
    let mut bench = Bench::new(spec("generations = 6"));
    bench.advancing = Some(Vec::new());
    bench.attach(FINGERPRINT);
    for _ in 0..3 {
        bench.bring();
    }
    assert_eq!((bench.progress().generation, bench.progress().settled_episodes), (3, 12));
    assert!(bench.engine.run(run()).unwrap().is_advancing());
    bench
}

#[test]
fn a_run_is_paused_and_resumed_while_its_search_advances() {
    for resumed_before in [true, false] {
        let mut bench = advancing();
        bench.act(RunAction::Pause);
        assert!(pause_reason(&bench).contains("by an operator"));
        if resumed_before {
            bench.act(RunAction::Resume);
        }
        bench.release();
        if !resumed_before {
            assert_eq!(
                (bench.progress().generation, bench.progress().leased_episodes),
                (4, 0),
                "it closes in its pause"
            );
            bench.act(RunAction::Resume);
        }
        assert_eq!(criterion(&bench), "generations");
        assert_eq!(bench.mean(), undisturbed(spec("generations = 6")).mean());
    }
}

#[test]
fn an_answer_that_was_not_asked_for_settles_nothing() {
    let mut bench = Bench::new(spec("generations = 8"));
    bench.answers = 0;
    let worker = bench.attach(FINGERPRINT);
    let dimension = bench.engine.run(run()).unwrap().dimension();
    for (gradient, settled) in [(Some(vec![0.5; dimension]), 0), (None, 1)] {
        let evaluation = Evaluation { gradient, ..Evaluation::of(Fitness::new(-1.0).unwrap()) };
        let settlement = Settlement {
            candidate: CandidateIndex(0),
            task: TaskIndex(0),
            outcome: Outcome::Evaluated(evaluation),
            compute_time: Duration::ZERO,
        };
        let report = Report {
            sequence: 1,
            run: run(),
            generation: GenerationIndex(0),
            purpose: EpisodePurpose::Search,
            block: BlockIndex(0),
            settlements: vec![settlement],
        };
        bench.handle(Event::FromWorker { worker, message: FromWorker::Report(report) });
        assert_eq!(bench.progress().settled_episodes, settled);
    }
}

#[test]
fn limits_are_raised_while_a_search_advances() {
    let mut bench = advancing();
    let limits = StopSpec { generations: Some(9), ..StopSpec::default() };
    bench.request(Extend { run: run(), limits, by: String::new() }).unwrap();
    assert_eq!(bench.progress().generations_limit, Some(9));
    bench.release();
    assert_eq!(bench.mean(), undisturbed(spec("generations = 9")).mean());
}

#[test]
fn what_a_search_brings_to_a_run_that_was_cancelled_or_deleted_is_dropped() {
    for delete in [false, true] {
        let mut bench = advancing();
        let before = bench.mean();
        bench.act(RunAction::Cancel);
        if delete {
            bench.act(RunAction::Delete);
        }
        bench.release();
        if delete {
            assert!(bench.engine.list().is_empty());
            continue;
        }
        let progress = bench.progress();
        assert_eq!((progress.state(), progress.generation), (Some(&RunState::CANCELLED), 3));
        let stored = bench.stored();
        let recovered = Bench::recover(bench.journal.clone(), vec![stored]);
        assert_eq!((bench.mean(), recovered.mean()), (before.clone(), before));
    }
}

#[test]
fn a_coordinator_that_dies_while_a_search_advances_has_it_advance_again() {
    let mut bench = advancing();
    let stored = bench.stored();
    let mut bench = Bench::recover(bench.journal.clone(), vec![stored]);
    bench.attach(FINGERPRINT);
    assert_eq!(bench.mean(), undisturbed(spec("generations = 6")).mean());
}

#[test]
fn a_search_that_is_lost_pauses_its_run_until_the_coordinator_starts_again() {
    let mut bench = advancing();
    let place = bench.advancing.take().unwrap().remove(0).place();
    bench.handle(Event::Advanced(Box::new(Advanced::broken_off(place))));
    assert!(pause_reason(&bench).contains("generation 3 could not be closed"), "{}", pause_reason(&bench));
    bench.act(RunAction::Resume);
    assert!(pause_reason(&bench).contains("start the coordinator again"), "{}", pause_reason(&bench));
    let stored = bench.stored();
    let mut bench = Bench::recover(bench.journal.clone(), vec![stored]);
    bench.attach(FINGERPRINT);
    bench.act(RunAction::Resume);
    assert_eq!(bench.mean(), undisturbed(spec("generations = 6")).mean());
}

// Time limits.

/// A run of at most a second that takes 50 ms for each batch.
fn limited() -> Bench {
    let mut bench = Bench::new(spec("time_limit_s = 1"));
    bench.pace = Duration::from_millis(50);
    bench
}

#[test]
fn a_time_limit_ends_the_run_with_the_open_generation_and_is_a_record() {
    let mut bench = limited();
    bench.attach(FINGERPRINT);
    assert_eq!(criterion(&bench), "time_limit");
    let closed = bench.progress().generation;
    assert!(closed > 0);
    let stored = bench.stored();
    let limits = stored.records.iter().filter_map(|record| match record {
        Record::TimeLimit { generation } => Some(generation.0),
        _ => None,
    });
    assert_eq!(limits.collect::<Vec<_>>(), [closed - 1]);
    let last = bench.progress().last_generation.unwrap();
    assert!(duration(last.elapsed) >= Duration::from_secs(1), "{:?}", last.elapsed);
    assert_eq!(bench.mean(), undisturbed(spec(&format!("generations = {closed}"))).mean());
}

#[test]
fn replay_obeys_a_time_limit_whatever_the_clock_says() {
    let mut before = limited();
    before.attach(FINGERPRINT);
    let mut stored = before.stored();
    // As if the process had died after the limit's record and before the end's, on a machine whose clock says that
    // the run has hardly begun.
    stored.records.retain(|record| {
        use Record::{Remeasured, SearchEnded, StateChanged, Validated};
        !matches!(record, StateChanged { .. } | SearchEnded { .. } | Remeasured(_) | Validated(_))
    });
    let closed = stored.records.iter_mut().filter_map(|record| match record {
        Record::GenerationClosed(closed) => Some(closed),
        _ => None,
    });
    closed.for_each(|closed| closed.summary.elapsed = Some(from_duration(Duration::ZERO)));
    let mut bench = Bench::recover(before.journal.clone(), vec![stored.clone()]);
    let ended = bench.progress().search_ended.expect("the search has ended before anybody has worked");
    assert_eq!(ended.criterion, "time_limit");
    bench.attach(FINGERPRINT);
    assert_eq!(criterion(&bench), "time_limit");
    assert_eq!(bench.progress().generation, before.progress().generation);
    assert_eq!(bench.mean(), before.mean());

    // Without the record it goes on: it is the record that replay obeys.
    stored.records.retain(|record| !matches!(record, Record::TimeLimit { .. }));
    let bench = Bench::recover(before.journal.clone(), vec![stored]);
    assert_eq!(bench.progress().state(), Some(&RunState::RUNNING));
}

#[test]
fn time_in_a_pause_does_not_count() {
    let mut bench = limited();
    bench.answers = 5;
    bench.attach(FINGERPRINT);
    bench.act(RunAction::Pause);
    bench.now = bench.now + Duration::from_secs(100);
    // Also not over a restart in the middle of it.
    let stored = bench.stored();
    let mut bench = Bench::recover(bench.journal.clone(), vec![stored]);
    bench.now = bench.now + Duration::from_secs(100);
    bench.pace = Duration::from_millis(50);
    bench.act(RunAction::Resume);
    bench.attach(FINGERPRINT);
    assert_eq!(criterion(&bench), "time_limit");
    let elapsed = duration(bench.progress().last_generation.unwrap().elapsed);
    assert!((Duration::from_secs(1)..Duration::from_secs(2)).contains(&elapsed), "{elapsed:?}");
}

// The choice among restarts.

fn restarted(select: &str) -> RunSpec {
    let text = spec("generations = 1500").to_toml().replace("restarts = \"none\"", "restarts = \"ipop\"");
    let validation =
        format!("[validation]\nfamilies = [\"circle\"]\nevery = 100000\nselect = \"{select}\"\n");
    RunSpec::read(&(text + &validation)).unwrap()
}

fn selection(stored: &StoredRun) -> Option<(u32, Vec<(u32, f64)>)> {
    stored.records.iter().find_map(|record| match record {
        Record::Selected { place, searches } => Some((*place, searches.clone())),
        _ => None,
    })
}

#[test]
fn validation_chooses_among_restarts_where_the_spec_says_so() {
    let mut told = undisturbed(restarted("none"));
    assert_eq!(selection(&told.stored()), None);

    let mut bench = undisturbed(restarted("best-restart"));
    let (place, searches) = selection(&bench.stored()).expect("there were several searches");
    assert!(searches.len() > 2, "{searches:?}");
    let mut numbers: Vec<u32> = searches.iter().map(|(search, _)| *search).collect();
    numbers.sort_unstable();
    assert!(numbers.iter().zip(0..).all(|(number, expected)| *number == expected), "{searches:?}");
    let best = searches.iter().map(|(_, accuracy)| *accuracy).fold(0.0, f64::max);
    assert_eq!(searches[place as usize].1, best, "{searches:?}");
    let mean: Vec<f64> = bench.mean().into_iter().map(f64::from_bits).collect();
    assert_eq!(bench::accuracy(&mean), best, "the result is the mean that was chosen");
    assert_ne!(bench.mean(), told.mean(), "another than the search's own choice");
    let progress = bench.progress();
    assert_eq!(progress.validation.unwrap().accuracy.unwrap().mean, best, "what is shown is the result's");
    assert!(
        progress.notes.iter().any(|note| note.contains("the best in validation")),
        "{:?}",
        progress.notes
    );

    // A coordinator that begins anew knows it from the journal, and one that is interrupted while it measures chooses the same.
    let stored = bench.stored();
    let recovered = Bench::recover(bench.journal.clone(), vec![stored.clone()]);
    assert_eq!(recovered.mean(), bench.mean());
    let mut unfinished = stored;
    unfinished.records.retain(|record| {
        use Record::{Remeasured, Selected, StateChanged, Validated};
        !matches!(record, StateChanged { .. } | Remeasured(_) | Validated(_) | Selected { .. })
    });
    let mut resumed = Bench::recover(bench.journal.clone(), vec![unfinished]);
    resumed.attach(FINGERPRINT);
    assert_eq!(resumed.mean(), bench.mean());
}

// Eligible workers.

#[test]
fn a_run_without_workers_waits_and_one_without_eligible_workers_says_why() {
    let mut bench = Bench::new(spec("generations = 8"));
    bench.answers = 3;
    let first = bench.attach(FINGERPRINT);
    bench.handle(Event::Detach { worker: first });
    assert_eq!(bench.progress().state(), Some(&RunState::RUNNING), "nobody is there: it waits");

    bench.attach(b"other");
    let reason = pause_reason(&bench);
    assert!(reason.contains("no attached worker may work on it"), "{reason}");
    assert!(reason.contains("numerics fingerprint"), "{reason}");
    assert_eq!(bench.progress().eligible_workers, 0);
    let told = |event: &v1::RunEvent| matches!(&event.kind, Some(Kind::Note(text)) if text.contains("no attached worker"));
    bench.handle(Event::Tick);
    bench.now = bench.now + Duration::from_secs(1);
    bench.handle(Event::Tick);
    assert!(bench.events().iter().any(told), "watchers are told");

    bench.answers = usize::MAX;
    bench.attach(FINGERPRINT);
    assert_eq!(criterion(&bench), "generations", "it goes on by itself");
    assert_eq!(bench.mean(), undisturbed(spec("generations = 8")).mean());
}

#[test]
fn after_a_restart_the_wrong_worker_may_come_first() {
    let (before, stored) = interrupted();
    let mut bench = Bench::recover(before.journal.clone(), vec![stored]);
    bench.attach(b"other");
    assert!(pause_reason(&bench).contains("no attached worker"));
    bench.attach(FINGERPRINT);
    assert_eq!(criterion(&bench), "generations");
}

#[test]
fn a_rejection_by_the_only_worker_is_shown_until_another_comes() {
    let mut bench = Bench::new(spec("generations = 8"));
    bench.answers = 0;
    let worker = bench.attach(FINGERPRINT);
    let reason = "no data set `digits`".to_owned();
    bench.handle(Event::FromWorker { worker, message: FromWorker::Reject { run: run(), reason } });
    assert!(pause_reason(&bench).contains("no data set `digits`"));
    bench.handle(Event::Detach { worker });
    assert_eq!(bench.progress().state(), Some(&RunState::RUNNING));
    bench.answers = usize::MAX;
    bench.attach(FINGERPRINT);
    assert_eq!(criterion(&bench), "generations");
}

// The journal's trouble.

#[test]
fn nothing_is_handed_out_while_the_journal_cannot_be_written() {
    let mut bench = Bench::new(spec("generations = 8"));
    bench.handle(Event::JournalFailed { reason: "no space left on the disk".into(), is_full: true });
    bench.attach(FINGERPRINT);
    let reason = pause_reason(&bench);
    assert!(reason.contains("no space left on the disk") && reason.contains("goes on by itself"), "{reason}");
    assert_eq!((bench.progress().leased_episodes, bench.progress().settled_episodes), (0, 0));
    bench.handle(Event::Journalled { committed: 0, synced: 0 });
    assert_eq!(criterion(&bench), "generations");
}

#[test]
fn a_journal_that_is_out_of_reach_is_trouble_until_it_says_that_it_is_back() {
    let mut bench = Bench::new(spec("generations = 8"));
    let trouble = |bench: &Bench| bench.engine.status(bench.now).journal_trouble;
    bench.handle(Event::JournalReached { problem: Some("the server has gone".into()) });
    bench.attach(FINGERPRINT);
    assert!(pause_reason(&bench).contains("the server has gone"), "{}", pause_reason(&bench));
    // What was written before says nothing of now.
    bench.handle(Event::Journalled { committed: 0, synced: 0 });
    assert_eq!(trouble(&bench).as_deref(), Some("the server has gone"));
    // What could not be written is told first, and is not over when the server is back.
    bench.handle(Event::JournalFailed { reason: "no space left on the disk".into(), is_full: true });
    bench.handle(Event::JournalReached { problem: None });
    assert_eq!(trouble(&bench).as_deref(), Some("no space left on the disk"));
    assert_eq!(bench.progress().settled_episodes, 0);
    bench.handle(Event::Journalled { committed: 0, synced: 0 });
    assert_eq!(trouble(&bench), None);
    assert_eq!(criterion(&bench), "generations");
}

#[test]
fn an_operators_words_are_among_the_notes_also_after_a_restart() {
    let mut bench = undisturbed(spec("generations = 2"));
    let note = |text: &str| AddNote { run: run(), text: text.to_owned(), by: String::new() };
    for _ in 0..2 {
        bench.request(note(" rack 4 is new ")).unwrap();
    }
    let named = AddNote { by: "token `me`".to_owned(), ..note("rack 5, too") };
    bench.request(named).unwrap();
    for wrong in ["", " ", "two\nlines", &"x".repeat(REASON_BYTES_MAX + 1)] {
        let refused = bench.request(note(wrong)).unwrap_err();
        assert!(refused.starts_with("text: must be one line of 1 to 1024 bytes"), "{refused}");
    }
    let nobody = AddNote { run: RunId::new(99), text: "x".to_owned(), by: String::new() };
    assert!(bench.request(nobody).unwrap_err().starts_with("there is no run"));
    let stored = bench.stored();
    let again = Bench::recover(bench.journal.clone(), vec![stored]);
    for bench in [bench, again] {
        let notes = bench.progress().notes;
        assert_eq!(notes.iter().filter(|note| *note == "operator: rack 4 is new").count(), 1, "{notes:?}");
        assert!(notes.contains(&"token `me`: rack 5, too".to_owned()), "{notes:?}");
    }
}

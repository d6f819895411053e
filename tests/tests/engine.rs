//! The engine by itself: what a restart makes of a journal, what a time limit is, and which workers a run waits for.

#[path = "engine/bench.rs"]
#[allow(dead_code, reason = "each file of tests uses a part of it")]
mod bench;

use std::time::Duration;

use bench::{Bench, FINGERPRINT, run, spec};
use hebbian_control::command::run::RunAction;
use hebbian_control::engine::effect::Event;
use hebbian_control::engine::{Engine, Settings};
use hebbian_control::run::record::{Record, StoredRun};
use hebbian_shared::digest::Digest;
use hebbian_shared::dispatch::FromWorker;
use hebbian_shared::episode::{Evaluation, Outcome};
use hebbian_shared::fitness::Fitness;
use hebbian_shared::progress::{RunEvent, RunState};
use hebbian_shared::spec::RunSpec;
use hebbian_shared::time::Timestamp;

/// The run of a spec, undisturbed.
fn undisturbed(spec: RunSpec) -> Bench {
    let mut bench = Bench::new(spec);
    bench.attach(FINGERPRINT);
    assert!(bench.progress().state.is_final(), "{:?}", bench.progress());
    bench
}

fn criterion(state: &RunState) -> &str {
    match state {
        RunState::Finished { reason } => &reason.criterion,
        other => panic!("{other:?}"),
    }
}

fn pause_reason(bench: &Bench) -> String {
    match bench.progress().state {
        RunState::Paused { reason } => reason,
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
    assert!((2..8).contains(&progress.generation.0) && progress.settled > 0, "{progress:?}");
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

fn numerics_changed(stored: &StoredRun) -> usize {
    stored.records.iter().filter(|record| matches!(record, Record::NumericsChanged { .. })).count()
}

#[test]
fn a_recovered_run_does_not_compute_what_has_settled_and_ends_with_the_same_bits() {
    let (before, stored) = interrupted();
    let (generation, settled) = (before.progress().generation, before.progress().settled);
    let mut bench = Bench::recover(before.journal.clone(), vec![stored]);
    let recovered = bench.progress();
    assert_eq!((recovered.generation, recovered.settled), (generation, settled), "settlements are restored");
    bench.attach(FINGERPRINT);
    assert_eq!(criterion(&bench.progress().state), "generations");
    assert_eq!(bench.mean(), undisturbed(spec("generations = 8")).mean());
    assert_eq!(numerics_changed(&bench.stored()), 0);
}

#[test]
fn a_settlement_that_stands_twice_in_a_journal_counts_once() {
    let (before, mut stored) = interrupted();
    let twice: Vec<Record> =
        stored.records.iter().filter(|record| matches!(record, Record::Settled(_))).cloned().collect();
    stored.records.extend(twice);
    let mut bench = Bench::recover(before.journal.clone(), vec![stored]);
    assert_eq!(bench.progress().settled, before.progress().settled);
    bench.attach(FINGERPRINT);
    assert_eq!(bench.mean(), undisturbed(spec("generations = 8")).mean());
}

#[test]
fn other_arithmetic_is_journalled_and_the_stored_state_goes_on() {
    let (before, mut stored) = interrupted();
    let closed = before.progress().generation.0 - 1;
    // A fitness of the last closed generation that this machine would have computed otherwise: its replay leads to
    // another state than the one that was stored.
    let altered = stored.records.iter_mut().find_map(|record| match record {
        Record::Settled(settled) if settled.generation.0 == closed => settled.settlements.first_mut(),
        _ => None,
    });
    let evaluation = Evaluation::of(Fitness::new(10.0).unwrap());
    altered.expect("the last closed generation is kept").outcome = Outcome::Evaluated(evaluation);
    let digest = stored.last.as_ref().unwrap().digest;

    let mut bench = Bench::recover(before.journal.clone(), vec![stored]);
    bench.attach(FINGERPRINT);
    assert_eq!(bench.mean(), undisturbed(spec("generations = 8")).mean(), "the stored state went on");
    let stored = bench.stored();
    let records = stored.records.iter().filter_map(|record| match record {
        Record::NumericsChanged { generation, journalled, replayed } => {
            Some((generation.0, *journalled, *replayed))
        }
        _ => None,
    });
    let records: Vec<_> = records.collect();
    assert_eq!(records.len(), 1);
    let (generation, journalled, replayed) = records[0];
    assert_eq!((generation, journalled), (closed, digest));
    assert_ne!(replayed, digest);
    let told = |event: &RunEvent| matches!(event, RunEvent::Note(text) if text.contains("numerics changed"));
    assert_eq!(bench.events().iter().filter(|event| told(event)).count(), 1, "watchers are told");
    assert!(bench.progress().notes.iter().any(|note| note.contains("numerics changed")));
}

#[test]
fn a_damaged_snapshot_is_refused() {
    let (_, stored) = interrupted();
    for place in 0..stored.snapshots.len() {
        let mut damaged = stored.clone();
        // Of the two the digest, so that the state itself can still be read.
        damaged.snapshots[place].digest = Digest::of(b"another");
        let recovered = Engine::recover(Timestamp::default(), Settings::default(), 1, vec![damaged]);
        let problem = recovered.err().expect("it must not be taken up").to_string();
        assert!(problem.contains("is damaged: it has digest"), "{problem}");
    }
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
    assert_eq!(criterion(&bench.progress().state), "time_limit");
    let closed = bench.progress().generation.0;
    assert!(closed > 0);
    let stored = bench.stored();
    let limits = stored.records.iter().filter_map(|record| match record {
        Record::TimeLimit { generation } => Some(generation.0),
        _ => None,
    });
    assert_eq!(limits.collect::<Vec<_>>(), [closed - 1]);
    let last = stored.last.as_ref().unwrap();
    assert!(last.elapsed >= Duration::from_secs(1), "{:?}", last.elapsed);
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
    stored.last.as_mut().unwrap().elapsed = Duration::ZERO;
    let mut bench = Bench::recover(before.journal.clone(), vec![stored.clone()]);
    let ended = bench.progress().search_ended.expect("the search has ended before anybody has worked");
    assert_eq!(ended.criterion, "time_limit");
    bench.attach(FINGERPRINT);
    assert_eq!(criterion(&bench.progress().state), "time_limit");
    assert_eq!(bench.progress().generation, before.progress().generation);
    assert_eq!(bench.mean(), before.mean());

    // Without the record it goes on: it is the record that replay obeys.
    stored.records.retain(|record| !matches!(record, Record::TimeLimit { .. }));
    let bench = Bench::recover(before.journal.clone(), vec![stored]);
    assert_eq!(bench.progress().state, RunState::Running);
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
    assert_eq!(criterion(&bench.progress().state), "time_limit");
    let elapsed = bench.progress().last.unwrap().elapsed;
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
    assert_eq!(progress.validation.unwrap().accuracy.mean, best, "what is shown is the result's");
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
    assert_eq!(bench.progress().state, RunState::Running, "nobody is there: it waits");

    bench.attach(b"other");
    let reason = pause_reason(&bench);
    assert!(reason.contains("no attached worker may work on it"), "{reason}");
    assert!(reason.contains("numerics fingerprint"), "{reason}");
    assert_eq!(bench.progress().eligible_workers, 0);
    let told =
        |event: &RunEvent| matches!(event, RunEvent::Note(text) if text.contains("no attached worker"));
    bench.handle(Event::Tick);
    bench.now = bench.now + Duration::from_secs(1);
    bench.handle(Event::Tick);
    assert!(bench.events().iter().any(told), "watchers are told");

    bench.answers = usize::MAX;
    bench.attach(FINGERPRINT);
    assert_eq!(criterion(&bench.progress().state), "generations", "it goes on by itself");
    assert_eq!(bench.mean(), undisturbed(spec("generations = 8")).mean());
}

#[test]
fn after_a_restart_the_wrong_worker_may_come_first() {
    let (before, stored) = interrupted();
    let mut bench = Bench::recover(before.journal.clone(), vec![stored]);
    bench.attach(b"other");
    assert!(pause_reason(&bench).contains("no attached worker"));
    bench.attach(FINGERPRINT);
    assert_eq!(criterion(&bench.progress().state), "generations");
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
    assert_eq!(bench.progress().state, RunState::Running);
    bench.answers = usize::MAX;
    bench.attach(FINGERPRINT);
    assert_eq!(criterion(&bench.progress().state), "generations");
}

// The journal's trouble.

#[test]
fn nothing_is_handed_out_while_the_journal_cannot_be_written() {
    let mut bench = Bench::new(spec("generations = 8"));
    bench.handle(Event::JournalFailed { reason: "no space left on the disk".into() });
    bench.attach(FINGERPRINT);
    let reason = pause_reason(&bench);
    assert!(reason.contains("no space left on the disk") && reason.contains("goes on by itself"), "{reason}");
    assert_eq!((bench.progress().leased, bench.progress().settled), (0, 0));
    bench.handle(Event::Journalled { committed: 0, synced: 0 });
    assert_eq!(criterion(&bench.progress().state), "generations");
}

//! The life of a run beyond its end: it is extended, forked, and deleted by a rule.

use std::sync::Arc;
use std::time::Duration;

use crate::bench::{self, Bench, FINGERPRINT, creation, run, spec};
use hebbian_control::command::Refusal;
use hebbian_control::command::run::{Act, Create, Extend, RunAction};
use hebbian_control::engine::effect::Event;
use hebbian_control::engine::{Engine, Retention, Settings};
use hebbian_control::run::record::{Origin, Record};
use hebbian_coordinator::journal::memory::MemoryJournal;
use hebbian_coordinator::journal::sqlite::SqliteJournal;
use hebbian_coordinator::journal::{Journal, KeptSnapshots};
use hebbian_proto::convert::run_name;
use hebbian_proto::figures::{RunState, duration};
use hebbian_proto::v1;
use hebbian_proto::v1::run_event::Kind;
use hebbian_shared::id::{GenerationIndex, RunId};
use hebbian_shared::spec::RunSpec;
use hebbian_shared::spec::stop::StopSpec;
use hebbian_shared::time::Timestamp;

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

fn generations(limit: u32) -> StopSpec {
    StopSpec { generations: Some(limit), ..StopSpec::default() }
}

/// With a validation in every third generation.
fn validated(stop: &str) -> RunSpec {
    let text =
        spec(stop).to_toml() + "\n[validation]\nfamilies = [\"circle\"]\nevery = 3\ntasks_per_family = 2\n";
    RunSpec::read(&text).unwrap()
}

fn extend(bench: &mut Bench, limits: StopSpec) -> Result<(), String> {
    bench.request(Extend { run: run(), limits, by: String::new() })
}

/// The digests of all closed generations that a journal holds.
fn digests(bench: &mut Bench, of: RunId) -> Vec<(u32, Vec<u8>)> {
    let summaries = bench.journal.generations(of, GenerationIndex(0), u32::MAX).unwrap();
    summaries.into_iter().map(|summary| (summary.generation, summary.state_digest)).collect()
}

// Runs that lead nowhere.

#[test]
fn a_run_of_which_every_candidate_diverges_ends_and_says_so_whenever_it_was_restarted() {
    for restart_after in [None, Some(30), Some(150)] {
        let mut bench = Bench::new(spec("generations = 400"));
        bench.diverging = true;
        bench.answers = restart_after.unwrap_or(usize::MAX);
        bench.attach(FINGERPRINT);
        if restart_after.is_some() {
            assert!(!bench.progress().is_final());
            let stored = bench.stored();
            bench = Bench::recover(bench.journal.clone(), vec![stored]);
            bench.diverging = true;
            bench.attach(FINGERPRINT);
        }
        let progress = bench.progress();
        assert_eq!(criterion(&bench), "failed");
        assert_eq!(
            (progress.generation, progress.last_generation.unwrap().failed_generations),
            (20, Some(20))
        );
        let refused = extend(&mut bench, generations(500)).unwrap_err();
        assert!(refused.contains("every candidate of the last 20 generations failed"), "{refused}");
    }
    // One candidate that does not diverge is a beginning.
    let mut bench = Bench::new(spec("generations = 400"));
    (bench.diverging, bench.answers) = (true, 180);
    let worker = bench.attach(FINGERPRINT);
    bench.handle(Event::Detach { worker });
    (bench.diverging, bench.answers) = (false, usize::MAX);
    bench.attach(FINGERPRINT);
    assert_ne!(criterion(&bench), "failed");
}

// Extended runs.

#[test]
fn an_extended_run_is_the_one_that_had_the_larger_limit_from_its_start() {
    for make in [spec, validated] {
        // The sixth generation is one that is validated also in the middle of a run.
        let mut bench = undisturbed(make("generations = 6"));
        let short = bench.mean();
        assert!(bench.progress().remeasurement.is_some() && bench.progress().search_ended.is_some());
        extend(&mut bench, generations(14)).unwrap();
        let mut whole = undisturbed(make("generations = 14"));
        assert_eq!(criterion(&bench), "generations");
        assert_eq!(bench.mean(), whole.mean());
        assert_ne!(bench.mean(), short, "it has gone on");
        assert_eq!(digests(&mut bench, run()), digests(&mut whole, run()));
        let (extended, whole) = (bench.progress(), whole.progress());
        assert_eq!(extended.spec_digest, whole.spec_digest);
        assert_eq!(extended.remeasurement, whole.remeasurement);
        assert_eq!(extended.last_generation.unwrap().evaluations, whole.last_generation.unwrap().evaluations);
        assert_eq!(extended.generations_limit, Some(14));
        assert!(extended.notes.iter().any(|note| note.contains("limits are now generations = 14")));
    }
}

#[test]
fn a_restart_anywhere_in_an_extended_run_changes_nothing() {
    let whole = undisturbed(validated("generations = 14")).mean();
    let mut restarts = 0;
    for answers in 0..100 {
        let mut bench = undisturbed(validated("generations = 6"));
        bench.answers = answers;
        extend(&mut bench, generations(14)).unwrap();
        let before = bench.progress();
        restarts += u32::from(!before.is_final());
        let stored = bench.stored();
        let mut bench = Bench::recover(bench.journal.clone(), vec![stored]);
        let after = bench.progress();
        assert_eq!(after.generation, before.generation);
        assert_eq!(after.state, before.state);
        assert_eq!(after.spec_digest, before.spec_digest);
        bench.attach(FINGERPRINT);
        assert_eq!(criterion(&bench), "generations");
        assert_eq!(bench.mean(), whole, "restarted after {answers} answers");
        let again = |note: &String| note.contains("computed again");
        assert!(!bench.progress().notes.iter().any(again), "{:?}", bench.progress().notes);
    }
    assert!(restarts > 50, "the restarts came in the midst of the run");
}

#[test]
fn a_run_can_be_extended_while_it_runs_and_while_its_result_is_measured() {
    let whole = undisturbed(spec("generations = 14")).mean();
    let mut measured = 0;
    for answers in 0..120 {
        let mut bench = Bench::new(spec("generations = 6"));
        bench.answers = answers;
        let worker = bench.attach(FINGERPRINT);
        if bench.progress().is_final() {
            break;
        }
        measured += u32::from(bench.progress().search_ended.is_some());
        extend(&mut bench, generations(14)).unwrap();
        assert_eq!(bench.progress().search_ended, None);
        bench.handle(Event::Detach { worker });
        bench.answers = usize::MAX;
        bench.attach(FINGERPRINT);
        assert_eq!(bench.mean(), whole, "extended after {answers} answers");
    }
    assert!(measured > 0, "some were extended while their result was measured");
}

/// With restarts, of which validation chooses the result.
fn choosing(stop: &str) -> RunSpec {
    let text = validated(stop).to_toml().replace("restarts = \"none\"", "restarts = \"ipop\"");
    RunSpec::read(&text.replace("[validation]", "[validation]\nselect = \"best-restart\"")).unwrap()
}

/// The accuracies of a generation's validation, as they were told.
fn validations(bench: &mut Bench, of: u32) -> Vec<f64> {
    let accuracy = |event: v1::RunEvent| match event.kind {
        Some(Kind::Validation(summary)) if summary.generation == of => summary.accuracy.map(|of| of.mean),
        _ => None,
    };
    bench.events().into_iter().filter_map(accuracy).collect()
}

#[test]
fn an_extended_run_chooses_again_among_its_restarts() {
    let mut whole = undisturbed(choosing("generations = 1500"));
    // The mean of generation 900 is validated in the middle of a run, too.
    let mut short = undisturbed(choosing("generations = 900"));
    let chosen = |note: &&String| note.contains("the best in validation");
    assert_eq!(short.progress().notes.iter().filter(chosen).count(), 1, "{:?}", short.progress().notes);
    let stored = short.stored();
    for answers in [0, 1, 3, 10, 40] {
        let mut bench = Bench::recover(short.journal.clone(), vec![stored.clone()]);
        bench.answers = answers;
        bench.attach(FINGERPRINT);
        extend(&mut bench, generations(1500)).unwrap();
        let stored = bench.stored();
        let mut bench = Bench::recover(bench.journal.clone(), vec![stored]);
        bench.attach(FINGERPRINT);
        assert_eq!(bench.mean(), whole.mean(), "extended, and restarted after {answers} answers");
        assert_eq!(bench.progress().remeasurement, whole.progress().remeasurement);
        assert_eq!(validations(&mut bench, 900).last(), validations(&mut whole, 900).last());
        assert_eq!(validations(&mut bench, 1500), validations(&mut whole, 1500));
    }
}

/// A fork may begin to choose where its parent did not, and cease to.
#[test]
fn a_fork_takes_up_and_leaves_off_choosing_among_restarts() {
    let (without, with) = (choosing("generations = 900"), choosing("generations = 1000"));
    let text = without.to_toml().replace("select = \"best-restart\"", "");
    let without = RunSpec::read(&text).unwrap();
    let mut bench = Bench::keeping(KeptSnapshots::LAST, without.clone());
    bench.attach(FINGERPRINT);
    let forked = fork(&mut bench, 900, with.clone()).unwrap();
    let result = bench.engine.run(forked).unwrap().result();
    let accuracy = result.validation.unwrap().accuracy.unwrap().mean;
    assert_eq!(accuracy, bench::accuracy(&result.mean), "what is shown is the result's");

    let mut bench = undisturbed(with);
    let stop = StopSpec { generations: Some(1100), ..StopSpec::default() };
    assert!(fork(&mut bench, 1000, RunSpec { stop, ..without }).is_ok());
}

#[test]
fn what_would_change_nothing_is_refused_with_the_reason() {
    let mut bench = undisturbed(spec("generations = 6\nevaluations = 30"));
    let mut check = |limits: StopSpec, expected: &str| {
        let refused = extend(&mut bench, limits).unwrap_err();
        assert!(refused.contains(expected), "{refused}");
        assert!(bench.progress().is_final());
    };
    check(StopSpec::default(), "stop: must name a limit to raise");
    check(generations(6), "stop.generations: must be above 6, what it is now, not 6");
    check(generations(9), "would end again at once by evaluations (");
    let time = StopSpec { time_limit_s: Some(9), ..StopSpec::default() };
    check(time, "stop.time_limit_s: cannot be raised: the run has no such limit");
    check(generations(u32::MAX), "stop.generations: must be");
    let both = StopSpec { evaluations: Some(1000), ..generations(9) };
    extend(&mut bench, both).unwrap();
    assert_eq!(bench.progress().generation, 9);

    // A search that has converged does not go on because it may.
    let mut bench = Bench::new(spec("generations = 100000"));
    bench.pace = Duration::ZERO;
    bench.attach(FINGERPRINT);
    assert_ne!(criterion(&bench), "generations");
    let refused = extend(&mut bench, generations(200_000)).unwrap_err();
    assert!(refused.contains(&format!("would end again at once by {}", criterion(&bench))), "{refused}");

    let mut bench = Bench::new(spec("generations = 6"));
    bench.act(RunAction::Cancel);
    let refused = extend(&mut bench, generations(9)).unwrap_err();
    assert!(refused.contains("create it anew"), "{refused}");
    let mut bench = Bench::new(spec("generations = 6"));
    bench.answers = 20;
    bench.attach(FINGERPRINT);
    assert!(bench.progress().generation > 0);
    bench.act(RunAction::Cancel);
    let refused = extend(&mut bench, generations(9)).unwrap_err();
    assert!(refused.contains("was cancelled; fork it"), "{refused}");
}

#[test]
fn a_time_limit_is_extended() {
    let mut bench = Bench::new(spec("time_limit_s = 1"));
    bench.pace = Duration::from_millis(50);
    bench.attach(FINGERPRINT);
    assert_eq!(criterion(&bench), "time_limit");
    let before = bench.progress().generation;
    bench.now = bench.now + Duration::from_secs(1000);
    extend(&mut bench, StopSpec { time_limit_s: Some(2), ..StopSpec::default() }).unwrap();
    // The one before was not heard for too long.
    bench.attach(FINGERPRINT);
    assert_eq!(criterion(&bench), "time_limit");
    assert!(bench.progress().generation > before, "the time after its end does not count");
    let elapsed = duration(bench.progress().last_generation.unwrap().elapsed);
    assert!((Duration::from_secs(2)..Duration::from_secs(3)).contains(&elapsed), "{elapsed:?}");
    let closed = bench.progress().generation;
    assert_eq!(bench.mean(), undisturbed(spec(&format!("generations = {closed}"))).mean());
}

#[test]
fn a_creation_is_known_again_after_its_run_was_extended() {
    let mut bench = undisturbed(spec("generations = 6"));
    extend(&mut bench, generations(9)).unwrap();
    let create = |generations: u32| {
        let spec = spec(&format!("generations = {generations}"));
        creation(RunId::new(u64::from(generations)), spec, "once")
    };
    bench.request(create(7)).unwrap();
    bench.request(Extend { run: RunId::new(7), limits: generations(12), by: String::new() }).unwrap();
    bench.request(create(7)).unwrap();
    assert_eq!(bench.engine.list().len(), 2, "the creation was the same");
    let reused = bench.request(create(8)).unwrap_err();
    assert!(reused.contains("was used before"), "{reused}");
}

// Forks.

/// What a run can be forked from, as the driver reads it from the journal.
fn origin(bench: &mut Bench, of: RunId, closed: u32) -> Box<Origin> {
    let snapshot = bench.journal.snapshot(of, GenerationIndex(closed)).unwrap().expect("it is kept");
    let last = bench.journal.generations(of, GenerationIndex(closed - 1), 1).unwrap().remove(0);
    Box::new(Origin { parent: of, last, snapshot: Arc::new(snapshot) })
}

fn fork(bench: &mut Bench, closed: u32, spec: RunSpec) -> Result<RunId, String> {
    let (begin, fork) = (origin(bench, run(), closed), RunId::new(2));
    bench.request(Create { origin: Some(begin), ..creation(fork, spec, "") })?;
    Ok(fork)
}

/// A finished run of six generations whose every second snapshot is kept.
fn parent() -> Bench {
    let mut bench = Bench::keeping(KeptSnapshots { every: 2 }, validated("generations = 6"));
    bench.attach(FINGERPRINT);
    let kept = bench.journal.snapshots(run()).unwrap();
    assert_eq!(kept.iter().map(|closed| closed.0).collect::<Vec<_>>(), [2, 4, 5, 6]);
    bench
}

fn mean_of(engine: &Engine, run: RunId) -> Vec<u64> {
    engine.run(run).unwrap().result().mean.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn an_unchanged_fork_does_what_its_parent_did_and_a_changed_one_something_else() {
    for closed in [2, 4, 6] {
        let mut bench = parent();
        let fork = fork(&mut bench, closed, validated("generations = 14")).unwrap();
        let mut whole = undisturbed(validated("generations = 14"));
        assert_eq!(mean_of(&bench.engine, fork), whole.mean(), "forked after {closed}");
        assert_eq!(digests(&mut bench, fork), digests(&mut whole, run())[closed as usize..]);
        let progress = bench.engine.progress(fork).unwrap();
        let parent = progress.parent.unwrap();
        assert_eq!((parent.run, parent.generations), (run_name(run()), closed));
        assert_eq!(
            progress.last_generation.unwrap().evaluations,
            whole.progress().last_generation.unwrap().evaluations
        );
        assert_eq!(bench.progress().generation, 6, "the parent stays as it was");

        let mut bench = self::parent();
        let other =
            RunSpec { seed: hebbian_shared::seed::Seed::new(99).unwrap(), ..validated("generations = 14") };
        let fork = self::fork(&mut bench, closed, other).unwrap();
        assert_ne!(mean_of(&bench.engine, fork), whole.mean());
    }
}

#[test]
fn a_fork_survives_restarts_and_its_parents_deletion() {
    let whole = undisturbed(validated("generations = 14")).mean();
    for answers in [0, 1, 5, 20, 40] {
        let mut bench = parent();
        bench.answers = answers;
        let fork = fork(&mut bench, 4, validated("generations = 14")).unwrap();
        bench.act(RunAction::Delete);
        let stored = bench::load(&mut bench.journal);
        assert_eq!(stored.len(), 1);
        let before = bench.engine.progress(fork).unwrap();
        let mut bench = Bench::recover(bench.journal.clone(), stored);
        assert_eq!(bench.engine.progress(fork).unwrap().generation, before.generation);
        bench.attach(FINGERPRINT);
        assert_eq!(mean_of(&bench.engine, fork), whole, "restarted after {answers} answers");
        assert!(
            bench.engine.progress(fork).unwrap().notes.iter().all(|note| !note.contains("numerics changed"))
        );
    }
}

#[test]
fn a_fork_that_does_not_fit_is_refused_with_the_reason() {
    let mut bench = parent();
    let mut check = |spec: RunSpec, expected: &str| {
        let refused = fork(&mut bench, 6, spec).unwrap_err();
        assert!(refused.contains(expected), "{refused}");
        assert_eq!(bench.engine.list().len(), 1, "nothing was created");
        assert_eq!(bench::load(&mut bench.journal).len(), 1, "nothing was written");
    };
    check(validated("generations = 6"), "stop: must not end the fork at once, but");
    let spec = |change: (&str, &str)| {
        let text = validated("generations = 14").to_toml();
        assert!(text.contains(change.0), "{text}");
        RunSpec::read(&text.replace(change.0, change.1)).unwrap()
    };
    check(spec(("states = 1", "states = 2")), "rule: must keep the layout of the parent's genome");
    let sep = "name = \"s\"\nstrategy = { kind = \"sep-cma-es\", population_size = 6 }\n[stop]\ngenerations = 14\n[evaluation]\nobjective = \"squared-error\"\n[tasks]\nfamilies = [\"xor\"]\n";
    let strategy = RunSpec::read(sep).unwrap().strategy;
    check(RunSpec { strategy, ..validated("generations = 14") }, "strategy: ");
}

#[test]
fn journals_keep_the_snapshots_that_forks_need() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let kept = KeptSnapshots { every: 3 };
    let journals: [Box<dyn Journal>; 2] = [
        Box::new(MemoryJournal::default().keeping(kept)),
        Box::new(SqliteJournal::open(&path).unwrap().keeping(kept)),
    ];
    let mut written = Vec::new();
    for mut journal in journals {
        let mut source = Bench::new(spec("generations = 10"));
        source.also = Some(journal);
        // The creation went to the bench's own journal before.
        source.copy_creation();
        source.attach(FINGERPRINT);
        journal = source.also.take().unwrap();
        let found = journal.snapshots(run()).unwrap();
        assert_eq!(found.iter().map(|closed| closed.0).collect::<Vec<_>>(), [3, 6, 9, 10]);
        let stored = bench::load(&mut *journal).remove(0);
        assert_eq!(stored.snapshot.map(|snapshot| snapshot.closed.0), Some(10));
        assert_eq!(journal.snapshot(run(), GenerationIndex(4)).unwrap(), None);
        written.push(journal.snapshot(run(), GenerationIndex(3)).unwrap().expect("it is kept"));
    }
    assert_eq!(written[0], written[1]);
}

// Retention.

/// A bench whose engine has retention rules, with runs that end one after the other at the given seconds.
fn ended_at(retention: Retention, seconds: &[u64]) -> Bench {
    let mut bench = Bench::with_settings(Settings { retention, ..Settings::default() });
    bench.pace = Duration::ZERO;
    for (&second, number) in seconds.iter().zip(1..) {
        bench.now = Timestamp(Duration::from_secs(second));
        bench.attach(FINGERPRINT);
        bench.request(creation(RunId::new(number), spec("generations = 2"), "")).unwrap();
    }
    bench
}

fn runs(bench: &mut Bench) -> Vec<u64> {
    let of_engine: Vec<u64> =
        bench.engine.list().iter().map(|progress| progress.run_id().unwrap().number()).collect();
    let of_journal: Vec<u64> =
        bench::load(&mut bench.journal).iter().map(|stored| stored.run.number()).collect();
    assert_eq!(of_engine, of_journal);
    of_engine
}

#[test]
fn ended_runs_are_deleted_when_their_time_is_over_and_not_before() {
    let retention = Retention { keep_for: Some(Duration::from_secs(100)), keep_runs: None };
    let mut bench = ended_at(retention, &[10, 20, 30]);
    assert_eq!(runs(&mut bench), [1, 2, 3]);
    // Its workers have not been heard for so long that only the rule has anything to wait for.
    bench.now = Timestamp(Duration::from_secs(80));
    bench.handle(Event::Tick);
    assert_eq!(bench.engine.deadline(), Some(Timestamp(Duration::from_secs(110))), "it wakes up for that");
    bench.now = Timestamp(Duration::from_millis(109_999));
    bench.handle(Event::Tick);
    assert_eq!(runs(&mut bench), [1, 2, 3]);
    bench.now = Timestamp(Duration::from_secs(121));
    bench.handle(Event::Tick);
    assert_eq!(runs(&mut bench), [3]);

    // The end is journalled: a restart does not make it younger.
    let stored = bench::load(&mut bench.journal);
    let settings = Settings { retention, ..Settings::default() };
    let mut bench =
        Bench::recover_with(settings, bench.journal.clone(), stored, Timestamp(Duration::from_secs(131)));
    assert!(runs(&mut bench).is_empty());
}

#[test]
fn the_runs_that_ended_last_are_kept_and_running_ones_always() {
    let mut bench = ended_at(Retention { keep_for: None, keep_runs: Some(2) }, &[10, 20, 30, 40]);
    assert_eq!(runs(&mut bench), [3, 4]);
    bench.answers = 0;
    let run = RunId::new(9);
    bench.request(creation(run, spec("generations = 2"), "")).unwrap();
    assert_eq!(runs(&mut bench), [3, 4, 9], "a run that has not ended does not count");
    bench.now = Timestamp(Duration::from_secs(50));
    bench.request(Act { run, action: RunAction::Cancel, by: String::new() }).unwrap();
    assert_eq!(runs(&mut bench), [4, 9]);
}

#[test]
fn without_rules_nothing_is_deleted() {
    let mut bench = ended_at(Retention::default(), &[10, 20]);
    bench.now = Timestamp(Duration::from_secs(1 << 40));
    bench.handle(Event::Tick);
    assert_eq!(runs(&mut bench), [1, 2]);
}

#[test]
fn watchers_of_an_extended_run_are_told_of_both_ends() {
    let mut bench = undisturbed(spec("generations = 3"));
    extend(&mut bench, generations(5)).unwrap();
    let states: Vec<&str> =
        bench.events().iter().filter_map(|event| event.state().map(RunState::name)).collect();
    assert_eq!(states, ["running", "finished", "running", "finished"]);
    let extended = |record: &Record| matches!(record, Record::Extended { .. });
    assert_eq!(bench.stored().records.iter().filter(|record| extended(record)).count(), 1);
    let refused = bench.request(Extend { run: RunId::new(77), limits: generations(9), by: String::new() });
    assert_eq!(refused.unwrap_err(), Refusal::NoSuchRun(RunId::new(77)).to_string());
}

// Kills.

/// What an operator does to the bench until the run has 14 generations: creates it with six, and extends it. Each step is
/// repeated after a kill, as a client does that was not answered.
fn steps(bench: &mut Bench) {
    bench.attach(FINGERPRINT);
    if bench.effects > 0 && bench.engine.list().is_empty() {
        bench.request(creation(run(), validated("generations = 6"), "once")).unwrap();
    }
    let limit = |bench: &Bench| bench.engine.progress(run()).and_then(|progress| progress.generations_limit);
    if bench.effects > 0 && limit(bench) == Some(6) {
        extend(bench, generations(14)).unwrap();
    }
}

#[test]
fn a_kill_after_any_effect_changes_nothing() {
    let whole = undisturbed(validated("generations = 14")).mean();
    let mut kills = 0;
    for effects in 0.. {
        let mut bench = Bench::with_settings(Settings::default());
        bench.effects = effects;
        steps(&mut bench);
        let killed = bench.effects == 0;
        // What the journal was given, and nothing else, is there again.
        let journal = bench.journal.clone();
        let stored = bench::load(&mut journal.clone());
        let mut bench = Bench::recover(journal, stored);
        steps(&mut bench);
        assert_eq!(criterion(&bench), "generations", "killed after {effects} effects");
        assert_eq!(bench.progress().generation, 14);
        assert_eq!(bench.mean(), whole, "killed after {effects} effects");
        let changed = |note: &String| note.contains("numerics changed");
        assert!(!bench.progress().notes.iter().any(changed), "killed after {effects} effects");
        if !killed {
            break;
        }
        kills += 1;
    }
    assert!(kills > 60, "only {kills} effects");
}

#[test]
fn a_runs_notes_tell_of_lost_workers_and_of_restarts() {
    let mut bench = Bench::new(spec("generations = 100000"));
    bench.answers = 20;
    let worker = bench.attach(FINGERPRINT);
    assert!(bench.progress().leased_episodes > 0);
    bench.handle(Event::Detach { worker });
    let told =
        |bench: &Bench, text: &str| bench.progress().notes.iter().filter(|note| note.contains(text)).count();
    let lost = "worker ordinary was lost in generation";
    assert_eq!((told(&bench, lost), told(&bench, "its connection ended")), (1, 1));
    // One that comes and goes is not told of each time.
    bench.answers = 1;
    let worker = bench.attach(FINGERPRINT);
    bench.handle(Event::Detach { worker });
    assert_eq!(told(&bench, lost), 1);
    // A silent one.
    bench.now = bench.now + Duration::from_secs(5);
    bench.attach(FINGERPRINT);
    bench.now = bench.now + Duration::from_secs(100);
    bench.handle(Event::Tick);
    assert_eq!(told(&bench, "not heard for"), 1);
    // Notes are committed together.
    bench.now = bench.now + Duration::from_secs(1);
    bench.handle(Event::Tick);
    let stored = bench.stored();
    let bench = Bench::recover(bench.journal.clone(), vec![stored]);
    assert_eq!(told(&bench, "start 1 of the coordinator took the run up in generation"), 1);
    assert_eq!(told(&bench, lost), 2, "what was told is still there");
}

/// What is due cannot be deleted while the journal cannot be written; the engine once asked to be woken up all the time.
#[test]
fn a_deletion_waits_for_the_journal_without_keeping_the_engine_awake() {
    let mut bench = ended_at(Retention { keep_for: Some(Duration::from_secs(100)), keep_runs: None }, &[10]);
    bench.now = Timestamp(Duration::from_secs(60));
    bench.handle(Event::JournalFailed { reason: "the file is read-only".into(), is_full: false });
    bench.now = Timestamp(Duration::from_secs(120));
    bench.handle(Event::Tick);
    assert_eq!(runs(&mut bench), [1]);
    assert_eq!(bench.engine.deadline(), Some(Timestamp(Duration::from_secs(121))));
    bench.handle(Event::Journalled { committed: 0, synced: 0 });
    bench.now = Timestamp(Duration::from_secs(121));
    bench.handle(Event::Tick);
    assert!(runs(&mut bench).is_empty());
}

#[test]
fn a_full_disk_keeps_nobody_from_deleting_what_is_due() {
    let mut bench = ended_at(Retention { keep_for: Some(Duration::from_secs(100)), keep_runs: None }, &[10]);
    bench.handle(Event::JournalFailed { reason: "no space left on the disk".into(), is_full: true });
    bench.now = Timestamp(Duration::from_secs(120));
    bench.handle(Event::Tick);
    assert!(runs(&mut bench).is_empty());
}

//! Recovery from records alone equals recovery from any snapshot and the records behind it.

use std::sync::Arc;

use crate::bench::{self, Bench, FINGERPRINT, creation, run, spec};
use hebbian_control::command::run::{Create, Extend};
use hebbian_control::run::record::{Origin, Record};
use hebbian_coordinator::journal::memory::MemoryJournal;
use hebbian_coordinator::journal::{Journal as _, KeptSnapshots};
use hebbian_proto::figures::RunState;
use hebbian_proto::v1;
use hebbian_shared::episode::EpisodePurpose;
use hebbian_shared::fitness::{Fitness, Verdict};
use hebbian_shared::id::{CandidateIndex, GenerationIndex, RunId, TaskIndex};
use hebbian_shared::seed::{ChaCha8Rng, Seed, index_below};
use hebbian_shared::spec::RunSpec;
use hebbian_shared::spec::stop::StopSpec;
use hebbian_tests::climber;

/// The fork's id.
const FORK: u64 = 2;

/// All that can be seen of a run, and its search's state.
type State = (v1::Run, v1::RunResult, Vec<u8>, Vec<(EpisodePurpose, Vec<u64>, Vec<bool>)>);

fn state(bench: &Bench, of: RunId) -> State {
    let run = bench.engine.run(of).unwrap();
    let mut progress = bench.engine.progress(of).unwrap();
    // Only these tell that something was computed again.
    progress.notes.retain(|note| !note.contains("computed again"));
    progress.sequence = 0;
    let open = run.portions().into_iter().map(|portion| {
        let genomes = run.genomes(portion.purpose).iter().flat_map(|genome| genome.0.clone());
        let candidates = 0..portion.blocks.len() as u32;
        let settled = candidates.flat_map(|candidate| (0..portion.tasks).map(move |task| (candidate, task)));
        let settled = settled
            .map(|(candidate, task)| {
                run.has_settled(portion.purpose, CandidateIndex(candidate), TaskIndex(task))
            })
            .collect();
        (portion.purpose, genomes.map(f64::to_bits).collect(), settled)
    });
    let open = open.collect();
    let search = run.search().expect("nothing is being computed").snapshot(run.generation());
    (progress, run.result(), search.strategy, open)
}

fn random_spec(rng: &mut ChaCha8Rng, generations: u32) -> RunSpec {
    let mut pick = |texts: &[&str]| texts[index_below(rng, texts.len() as u32) as usize].to_owned();
    let strategy = pick(&[
        "kind = \"cma-es\"\npopulation_size = 6",
        "kind = \"cma-es\"\npopulation_size = 5\nrestarts = \"bipop\"",
        "kind = \"sep-cma-es\"\npopulation_size = 6",
        "kind = \"pgpe\"\npopulation_size = 6",
        "kind = \"openai-es\"\npopulation_size = 6",
        "kind = \"random-search\"\npopulation_size = 4",
    ]);
    let name = pick(&["random", "random", climber::NAME]);
    let tasks = pick(&["1", "3"]);
    let validation = pick(&[
        "",
        "[validation]\nfamilies = [\"circle\"]\nevery = 1\ntasks_per_family = 1",
        "[validation]\nfamilies = [\"circle\", \"xor\"]\nevery = 3\ntasks_per_family = 2",
    ]);
    let text = format!(
        "name = \"{name}\"\n[strategy]\n{strategy}\n[rule]\nstates = 1\nfeedback = \"replace-state0\"\n\
         [evaluation]\nobjective = \"squared-error\"\n[tasks]\nfamilies = [\"xor\"]\nper_generation = {tasks}\n{validation}\n[stop]\ngenerations = {generations}\n"
    );
    RunSpec::read(&text).unwrap()
}

/// With restarts, of which validation chooses the result.
fn restarting(generations: u32) -> RunSpec {
    let text = spec(&format!("generations = {generations}")).to_toml();
    let text = text.replace("restarts = \"none\"", "restarts = \"ipop\"")
        + "\n[validation]\nfamilies = [\"circle\"]\nevery = 100\nselect = \"best-restart\"\n";
    RunSpec::read(&text).unwrap()
}

fn extend(bench: &mut Bench, generations: u32) {
    let limits = StopSpec { generations: Some(generations), ..StopSpec::default() };
    bench.request(Extend { run: run(), limits, by: String::new() }).unwrap();
}

fn fork(bench: &mut Bench, closed: GenerationIndex, spec: RunSpec) {
    let snapshot = bench.journal.snapshot(run(), closed).unwrap().expect("it is kept");
    let last = GenerationIndex(closed.0 - 1);
    let last = bench.journal.generations(run(), last, 1).unwrap().remove(0);
    let origin = Some(Box::new(Origin { parent: run(), last, snapshot: Arc::new(snapshot) }));
    bench.request(Create { origin, ..creation(RunId::new(FORK), spec, "") }).unwrap();
}

/// Recovers a journal with only some of its snapshots.
fn recovered(journal: &MemoryJournal, keeps: impl Fn(GenerationIndex) -> bool) -> Bench {
    let mut journal = journal.clone();
    journal.forget_snapshots(|closed| !keeps(closed));
    let stored = bench::load(&mut journal);
    Bench::recover(journal, stored)
}

/// Compares all recoveries of what the bench has written with the one from the newest snapshots, now and at the runs' ends.
fn check(bench: &Bench, rng: &mut ChaCha8Rng) {
    let runs: Vec<RunId> = bench.engine.list().iter().map(|progress| progress.run_id().unwrap()).collect();
    let newest = recovered(&bench.journal, |_| true);
    let expected: Vec<State> = runs.iter().map(|&run| state(&newest, run)).collect();
    let closed = bench.progress().generation;
    let mut kept: Vec<Option<u32>> = (0..4).map(|_| Some(index_below(rng, closed + 1))).collect();
    kept.push(None);
    for kept in kept {
        let mut bench = recovered(&bench.journal, |closed| kept.is_some_and(|kept| closed.0 <= kept));
        for (&run, expected) in runs.iter().zip(&expected) {
            assert_eq!(state(&bench, run), *expected, "{run} with snapshots up to {kept:?}");
        }
        if kept.is_none() {
            let mut newest = recovered(&bench.journal, |_| true);
            for bench in [&mut bench, &mut newest] {
                bench.attach(FINGERPRINT);
            }
            let finished = |run: &v1::Run| matches!(run.state(), Some(RunState::Finished(_)));
            for &run in &runs {
                assert!(finished(&bench.engine.progress(run).unwrap()));
                assert_eq!(
                    bench.engine.run(run).unwrap().result(),
                    newest.engine.run(run).unwrap().result(),
                    "{run} at its end"
                );
            }
        }
    }
}

/// A run of random strategy, validation and length that may be extended and forked, stopped anywhere.
fn check_random(seed: u64) {
    let mut rng = Seed::new(seed).unwrap().rng();
    let first = 2 + index_below(&mut rng, 6);
    let mut bench = Bench::keeping(KeptSnapshots { every: 1 }, random_spec(&mut rng, first));
    let extended = index_below(&mut rng, 3) == 0;
    bench.answers = if extended { usize::MAX } else { index_below(&mut rng, 120) as usize };
    bench.attach(FINGERPRINT);
    if extended {
        bench.answers = index_below(&mut rng, 120) as usize;
        extend(&mut bench, first + 1 + index_below(&mut rng, 5));
    }
    let closed = bench.progress().generation;
    if closed > 0 && index_below(&mut rng, 2) == 0 {
        bench.answers += index_below(&mut rng, 60) as usize;
        let closed = 1 + index_below(&mut rng, closed);
        let spec = RunSpec::clone(bench.engine.run(run()).unwrap().spec());
        let stop = StopSpec { generations: Some(closed + 4), ..StopSpec::default() };
        fork(&mut bench, GenerationIndex(closed), RunSpec { stop, ..spec });
    }
    check(&bench, &mut rng);
}

#[test]
fn records_alone_give_what_any_snapshot_gives() {
    for seed in 0..150 {
        check_random(seed);
    }
}

#[test]
fn records_alone_give_what_any_snapshot_gives_over_restarts() {
    let mut rng = Seed::new(1).unwrap().rng();
    for (answers, extended) in [(usize::MAX, None), (14_000, None), (usize::MAX, Some(1100))] {
        let mut bench = Bench::keeping(KeptSnapshots { every: 1 }, restarting(900));
        bench.answers = answers;
        bench.attach(FINGERPRINT);
        if let Some(generations) = extended {
            extend(&mut bench, generations);
        }
        let restarts = bench.progress().notes.iter().filter(|note| note.contains(": restart ")).count();
        assert!(restarts > 0, "{:?}", bench.progress().notes);
        check(&bench, &mut rng);
    }
}

/// A run of eight generations in its fifth.
fn interrupted() -> Bench {
    let mut bench = Bench::keeping(KeptSnapshots { every: 1 }, spec("generations = 8"));
    bench.answers = 54;
    bench.attach(FINGERPRINT);
    assert_eq!(bench.progress().generation, 4);
    bench
}

#[test]
fn what_was_computed_again_is_noted() {
    let bench = interrupted();
    let notes = |keeps: fn(u32) -> bool| {
        let bench = recovered(&bench.journal, |closed| keeps(closed.0));
        let notes = bench.progress().notes.into_iter();
        notes.filter(|note| note.contains("computed again")).collect::<Vec<_>>()
    };
    assert_eq!(notes(|_| true), Vec::<String>::new());
    let found = notes(|closed| closed < 3);
    assert!(
        found.len() == 1 && found[0].starts_with("2 closed generations were computed again"),
        "{found:?}"
    );
    let found = notes(|_| false);
    assert!(found.len() == 1 && found[0].starts_with("4 closed generations"), "{found:?}");
}

#[test]
fn a_snapshot_that_is_not_the_state_of_its_generation_is_passed_over() {
    let bench = interrupted();
    let mut stored = bench::load(&mut bench.journal.clone()).remove(0);
    stored.snapshot.as_mut().unwrap().strategy[40] ^= 1;
    let problem = Bench::refused(stored);
    assert!(problem.contains("is not the state that generation 3 was closed with"), "{problem}");
}

#[test]
fn records_that_give_another_state_than_they_say_are_refused() {
    let bench = interrupted();
    let mut journal = bench.journal.clone();
    journal.forget_snapshots(|_| true);
    let mut stored = bench::load(&mut journal).remove(0);
    let closed = stored.records.iter_mut().find_map(|record| match record {
        Record::GenerationClosed(closed) if closed.summary.generation == 2 => Some(closed),
        _ => None,
    });
    closed.unwrap().told[1].verdict = Verdict::Fit(Fitness::new(10.0).unwrap());
    let problem = Bench::refused(stored.clone());
    assert!(problem.contains("computing generation 2 again gives state"), "{problem}");

    let missing = |record: &Record| matches!(record, Record::GenerationClosed(closed) if closed.summary.generation == 1);
    stored.records.retain(|record| !missing(record));
    let problem = Bench::refused(stored);
    assert!(problem.contains("generation 1 is missing"), "{problem}");
}

#[test]
fn a_closed_generation_says_who_computed_it() {
    let mut bench = interrupted();
    let stored = bench.stored();
    let contributions = stored.records.iter().find_map(|record| match record {
        Record::GenerationClosed(closed) => Some(closed.contributions.clone()),
        _ => None,
    });
    let name = String::from_utf8(FINGERPRINT.to_vec()).unwrap();
    assert_eq!(contributions.unwrap().into_iter().collect::<Vec<_>>(), [(name, 12)]);
}

//! Workers that answer plausibly and wrongly: who is found, what is computed again, and what a run says of itself.

use std::time::Duration;

use crate::bench::{Bench, FINGERPRINT, creation, run, settings, spec};
use hebbian_control::command::run::{Create, RunAction};
use hebbian_control::engine::Settings;
use hebbian_control::engine::effect::Event;
use hebbian_control::run::record::Origin;
use hebbian_control::scheduler::Recheck;
use hebbian_coordinator::journal::Journal as _;
use hebbian_shared::dispatch::{FromWorker, Report, Settlement};
use hebbian_shared::episode::{EpisodePurpose, Evaluation, Outcome};
use hebbian_shared::fitness::Fitness;
use hebbian_shared::id::{BlockIndex, CandidateIndex, GenerationIndex, RunId, TaskIndex, WorkerId};

const STOP: &str = "generations = 40";

/// A run whose search waits after each generation, and three honest workers.
pub(crate) fn watched(share: f64) -> Bench {
    let mut settings: Settings = settings();
    settings.scheduler.recheck = Recheck { share, secret: 11 };
    let mut bench = Bench::with_settings(settings);
    bench.advancing = Some(Vec::new());
    bench.took = Duration::from_millis(20);
    bench.request(creation(run(), spec(STOP), "")).unwrap();
    bench.act(RunAction::Pause);
    for _ in 0..3 {
        bench.attach(FINGERPRINT);
    }
    bench
}

fn honest() -> Vec<u64> {
    let mut bench = Bench::new(spec(STOP));
    bench.attach(FINGERPRINT);
    assert!(bench.progress().is_final());
    bench.mean()
}

fn is_excluded(bench: &Bench, worker: WorkerId) -> bool {
    !bench.engine.worker(bench.now, worker).unwrap().excluded.is_empty()
}

#[test]
fn honest_workers_are_not_disturbed_by_being_checked() {
    let mut bench = watched(0.5);
    bench.act(RunAction::Resume);
    bench.release();
    assert_eq!(bench.mean(), honest());
    assert!(
        bench.progress().notes.iter().all(|note| !note.contains("wrong answer")),
        "{:?}",
        bench.progress()
    );
}

#[test]
fn a_lie_that_is_found_before_its_generation_closes_is_repeated_there() {
    let mut bench = watched(1.0);
    let liar = bench.attach(FINGERPRINT);
    bench.lying.insert(liar);
    bench.act(RunAction::Resume);
    bench.release();
    let progress = bench.progress();
    assert!(progress.is_final(), "{progress:?}");
    assert!(is_excluded(&bench, liar), "{:?}", bench.engine.worker(bench.now, liar));
    assert_eq!((bench.mean(), progress.doubt.clone()), (honest(), None));
    assert!(progress.notes.iter().any(|note| note.contains("gave a wrong answer")), "{progress:?}");
}

#[test]
fn a_lie_that_is_found_later_marks_the_run_and_a_fork_from_before_it_is_honest() {
    let mut bench = watched(0.05);
    bench.act(RunAction::Resume);
    for _ in 0..3 {
        bench.bring();
    }
    // It comes while the fourth generation is with the search, under a name of its own.
    let liar = bench.attach_as("stranger", FINGERPRINT);
    bench.lying.insert(liar);
    bench.release();
    let progress = bench.progress();
    assert!(progress.is_final() && is_excluded(&bench, liar), "{progress:?}");
    assert_ne!(bench.mean(), honest(), "it has lied before it was found");
    let doubt = progress.doubt.unwrap();
    assert_eq!((doubt.generation, doubt.clean_generations, doubt.worker.as_str()), (4, Some(4), "stranger"));
    // After a restart the same is known.
    let stored = bench.stored();
    let again = Bench::recover(bench.journal.clone(), vec![stored]);
    assert_eq!(again.progress().doubt, Some(doubt));
    // The snapshot from before it is kept, and a fork that begins there is honest.
    let closed = GenerationIndex(4);
    let snapshot = bench.journal.snapshot(run(), closed).unwrap().expect("it is kept");
    let last = bench.journal.generations(run(), GenerationIndex(3), 1).unwrap().remove(0);
    let origin = Origin { parent: run(), last, snapshot: snapshot.into() };
    let fork = RunId::new(2);
    bench.request(Create { origin: Some(Box::new(origin)), ..creation(fork, spec(STOP), "") }).unwrap();
    let found = bench.engine.run(fork).unwrap().result().mean;
    assert_eq!(found.iter().map(|value| value.to_bits()).collect::<Vec<_>>(), honest());
}

/// What a worker says of the first episode.
fn saying(value: f64) -> FromWorker {
    let settlement = Settlement {
        candidate: CandidateIndex(0),
        task: TaskIndex(0),
        outcome: Outcome::Evaluated(Evaluation::of(Fitness::new(value).unwrap())),
        compute_time: Duration::ZERO,
    };
    FromWorker::Report(Report {
        sequence: 1,
        run: run(),
        generation: GenerationIndex(0),
        purpose: EpisodePurpose::Search,
        block: BlockIndex(0),
        settlements: vec![settlement],
    })
}

#[test]
fn what_contradicts_a_settlement_is_noted_and_judged_where_answers_are_checked() {
    for share in [0.0, 1e-9] {
        let mut bench = watched(share);
        bench.answers = 0;
        bench.act(RunAction::Resume);
        for (worker, value) in [(1, -0.5), (2, -0.5), (3, -0.25)] {
            bench.handle(Event::FromWorker { worker: WorkerId(worker), message: saying(value) });
        }
        let progress = bench.progress();
        assert!(
            progress.notes.iter().any(|note| note.contains("disagree on candidate 0 and task 0")),
            "{progress:?}"
        );
        assert_eq!(progress.settled_episodes, u32::from(share == 0.0));
        // The third word decides.
        bench.handle(Event::FromWorker { worker: WorkerId(2), message: saying(-0.5) });
        assert_eq!(bench.progress().settled_episodes, 1);
        assert_eq!(is_excluded(&bench, WorkerId(3)), share > 0.0);
    }
}

#[test]
fn what_no_measurement_can_be_is_the_workers_error() {
    for wrong in [1e308, 0.5] {
        let mut bench = watched(0.0);
        bench.answers = 0;
        bench.act(RunAction::Resume);
        bench.handle(Event::FromWorker { worker: WorkerId(1), message: saying(wrong) });
        assert_eq!(bench.progress().settled_episodes, 0, "a squared error, negated, is at most 0");
        assert_eq!(bench.progress().best_fitness, None);
    }
}

#[test]
fn the_numerics_are_those_of_the_first_settlement_and_can_be_released() {
    let mut bench = Bench::new(spec(STOP));
    bench.answers = 0;
    let silent = bench.attach_as("silent", b"other");
    assert!(bench.progress().fingerprint.is_empty(), "whoever settles nothing gives nothing");
    // One that settles something and goes away.
    bench.handle(Event::FromWorker { worker: silent, message: saying(-0.5) });
    assert!(!bench.progress().fingerprint.is_empty());
    let honest_worker = bench.attach(FINGERPRINT);
    let ineligible = |bench: &Bench| bench.engine.worker(bench.now, honest_worker).unwrap().ineligible;
    assert!(ineligible(&bench)[0].reason.contains("numerics fingerprint"));
    bench.act(RunAction::Resume);
    assert_eq!(ineligible(&bench).len(), 1, "while somebody has them they stay");
    bench.handle(Event::Detach { worker: silent });
    bench.answers = usize::MAX;
    bench.act(RunAction::Resume);
    assert!(bench.progress().is_final(), "{:?}", bench.progress());
    assert_eq!(bench.mean(), honest());
    let stored = bench.stored();
    assert_eq!(Bench::recover(bench.journal.clone(), vec![stored]).mean(), honest());
}

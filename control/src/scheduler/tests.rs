mod errors;
mod leaving;
mod recheck;
mod share;
mod stall;
mod trust;

use super::*;
use hebbian_shared::dispatch::{BlockEpisodes, Report, Settlement};
use hebbian_shared::episode::{Evaluation, Outcome};
use hebbian_shared::fitness::Fitness;

fn run() -> RunId {
    RunId::new(1)
}

fn ms(milliseconds: u64) -> Timestamp {
    Timestamp::from_millis(milliseconds)
}

/// A scheduler with workers 1 to `workers` of one thread each, and a run of `candidates` x `tasks` episodes.
struct Bench {
    scheduler: Scheduler,
    /// Computing time of what was settled.
    told: Duration,
}

type Given = (WorkerId, Vec<(CandidateIndex, TaskIndex)>);

impl Bench {
    fn new(workers: u64, candidates: usize, tasks: u32) -> Self {
        Self::in_batches_of(u32::MAX, workers, candidates, tasks)
    }

    fn in_batches_of(most: u32, workers: u64, candidates: usize, tasks: u32) -> Self {
        let mut scheduler = Scheduler::new(Settings::default());
        for worker in 1..=workers {
            scheduler.attach(ms(0), WorkerId(worker), 1);
        }
        scheduler.open(run(), 1.0, most);
        let blocks = vec![BlockIndex(0); candidates];
        scheduler.submit(
            ms(0),
            run(),
            GenerationIndex(0),
            &[search(&blocks, tasks)],
            |_, _, _| false,
            &mut Vec::new(),
        );
        Self { scheduler, told: Duration::ZERO }
    }

    /// A worker has answered before.
    fn prove(&mut self, worker: WorkerId) {
        self.scheduler.workers.get_mut(&worker).unwrap().answered = 1;
        self.scheduler.refresh(worker);
    }

    fn dispatch(&mut self, now: Timestamp) -> Vec<Given> {
        let mut actions = Vec::new();
        self.scheduler.tick(now, &mut actions);
        self.scheduler.dispatch(now, &mut actions);
        self.scheduler.check_invariants();
        let given = actions.into_iter().filter_map(|action| match action {
            Action::Dispatch { worker, episodes, .. } => Some((worker, episodes)),
            _ => None,
        });
        given.collect()
    }

    fn report(
        &mut self,
        now: Timestamp,
        worker: WorkerId,
        episodes: &[(CandidateIndex, TaskIndex)],
        outcome: &Outcome,
    ) -> (usize, Vec<Action>) {
        self.report_taking(now, worker, episodes, outcome, Duration::from_millis(1))
    }

    fn report_taking(
        &mut self,
        now: Timestamp,
        worker: WorkerId,
        episodes: &[(CandidateIndex, TaskIndex)],
        outcome: &Outcome,
        compute_time: Duration,
    ) -> (usize, Vec<Action>) {
        let settlements = episodes.iter().map(|&(candidate, task)| Settlement {
            candidate,
            task,
            outcome: outcome.clone(),
            compute_time,
        });
        let report = Report {
            sequence: 1,
            run: run(),
            generation: GenerationIndex(0),
            purpose: EpisodePurpose::Search,
            block: BlockIndex(0),
            settlements: settlements.collect(),
        };
        let mut actions = Vec::new();
        let accepted = self.scheduler.report(now, worker, report, &mut actions);
        self.scheduler.check_invariants();
        self.told += accepted.settled.iter().map(|settlement| settlement.compute_time).sum::<Duration>();
        (accepted.settled.len(), actions)
    }
}

fn search(blocks: &[BlockIndex], tasks: u32) -> Portion<'_> {
    Portion { purpose: EpisodePurpose::Search, blocks, tasks, length: 1 }
}

fn fit() -> Outcome {
    Outcome::Evaluated(Evaluation::of(Fitness::new(1.0).unwrap()))
}

fn error() -> Outcome {
    Outcome::WorkerError { reason: "out of memory".into() }
}

/// Whom the scheduler has detached.
fn expired(actions: &[Action]) -> Vec<WorkerId> {
    let worker = |action: &Action| match action {
        Action::Expired { worker, .. } => Some(*worker),
        _ => None,
    };
    actions.iter().filter_map(worker).collect()
}

#[test]
fn what_a_lost_worker_held_is_given_to_another_at_once() {
    let mut bench = Bench::new(2, 4, 1);
    let given = bench.dispatch(ms(0));
    let held: Vec<_> = given.iter().filter(|(worker, _)| worker.0 == 1).flat_map(|(_, e)| e).collect();
    assert!(!held.is_empty());
    bench.scheduler.detach(WorkerId(1), &mut Vec::new());
    bench.scheduler.check_invariants();
    let mut again = Vec::new();
    for _ in 0..10 {
        for (worker, episodes) in bench.dispatch(ms(1)) {
            assert_eq!(worker, WorkerId(2));
            again.extend(episodes);
        }
        let all: Vec<_> = given.iter().flat_map(|(_, e)| e).chain(&again).copied().collect();
        bench.report(ms(2), WorkerId(2), &all, &fit());
    }
    assert!(held.iter().all(|episode| again.contains(episode)));
    assert_eq!(bench.scheduler.unsettled(run()), 0);
}

#[test]
fn an_episode_settles_once() {
    let mut bench = Bench::new(1, 1, 1);
    let given = bench.dispatch(ms(0));
    assert_eq!(bench.report(ms(1), WorkerId(1), &given[0].1, &fit()).0, 1);
    assert_eq!(bench.report(ms(1), WorkerId(1), &given[0].1, &fit()).0, 0);
    assert_eq!(bench.report(ms(1), WorkerId(1), &[(CandidateIndex(7), TaskIndex(9))], &fit()).0, 0);
}

#[test]
fn a_silent_worker_expires() {
    let mut bench = Bench::new(1, 1, 1);
    bench.dispatch(ms(0));
    let mut actions = Vec::new();
    bench.scheduler.heard(ms(2000), WorkerId(1));
    bench.scheduler.tick(ms(4000), &mut actions);
    assert!(!expired(&actions).contains(&WorkerId(1)));
    bench.scheduler.tick(ms(5500), &mut actions);
    assert!(expired(&actions).contains(&WorkerId(1)));
    bench.scheduler.check_invariants();
}

#[test]
fn the_oldest_lease_is_hedged_when_a_thread_is_idle() {
    let mut bench = Bench::new(2, 3, 1);
    bench.prove(WorkerId(1));
    let given = bench.dispatch(ms(0));
    let slow: Vec<_> =
        given.iter().filter(|(worker, _)| worker.0 == 1).flat_map(|(_, e)| e.clone()).collect();
    let mut now = 1;
    while bench.scheduler.unsettled(run()) > slow.len() as u32 {
        let quick: Vec<_> = (0..3).map(|c| (CandidateIndex(c), TaskIndex(0))).collect();
        let quick: Vec<_> = quick.into_iter().filter(|episode| !slow.contains(episode)).collect();
        bench.report(ms(now), WorkerId(2), &quick, &fit());
        bench.dispatch(ms(now));
        now += 1;
    }
    assert!(bench.dispatch(ms(40)).is_empty(), "younger than 50 ms");
    let hedges = bench.dispatch(ms(100));
    assert!(hedges.iter().all(|(worker, _)| *worker == WorkerId(2)));
    let hedged: Vec<_> = hedges.into_iter().flat_map(|(_, e)| e).collect();
    assert!(!hedged.is_empty() && hedged.iter().all(|episode| slow.contains(episode)));
    assert_eq!(bench.report(ms(101), WorkerId(2), &hedged, &fit()).0, hedged.len());
    assert_eq!(bench.report(ms(102), WorkerId(1), &hedged, &fit()).0, 0);
}

#[test]
fn errors_of_three_workers_exhaust_an_episode() {
    let mut bench = Bench::new(3, 1, 1);
    let mut failed = BTreeSet::new();
    for round in 0..3 {
        let given = bench.dispatch(ms(round));
        assert_eq!(given.len(), 1);
        let (worker, episodes) = &given[0];
        assert!(failed.insert(*worker), "an error is retried elsewhere");
        let (_, actions) = bench.report(ms(round), *worker, episodes, &error());
        let exhausted = actions.iter().any(|action| matches!(action, Action::Exhausted { .. }));
        assert_eq!(exhausted, round == 2);
    }
}

#[test]
fn errors_in_a_row_quarantine_a_worker_until_the_run_is_resumed() {
    let mut bench = Bench::new(1, 64, 1);
    let mut barred = 0;
    for round in 0..5 {
        let given = bench.dispatch(ms(round));
        for (worker, episodes) in given {
            let (_, actions) = bench.report(ms(round), worker, &episodes, &error());
            barred += actions.iter().filter(|action| matches!(action, Action::Barred { .. })).count();
        }
    }
    assert_eq!(barred, 1);
    assert_eq!(bench.scheduler.eligible_workers(run()), 0);
    assert!(bench.scheduler.stranded(run()).unwrap().contains("out of memory"));
    assert!(bench.dispatch(ms(10)).is_empty());
    bench.scheduler.resume(run());
    assert_eq!(bench.scheduler.stranded(run()), None);
    assert!(!bench.dispatch(ms(11)).is_empty());
}

#[test]
fn ten_lost_leases_exhaust_an_episode() {
    let mut bench = Bench::new(0, 1, 1);
    for worker in 1..=10 {
        bench.scheduler.attach(ms(worker), WorkerId(worker), 1);
        assert_eq!(bench.dispatch(ms(worker)).len(), 1);
        let mut actions = Vec::new();
        bench.scheduler.detach(WorkerId(worker), &mut actions);
        bench.scheduler.check_invariants();
        let exhausted = actions.iter().any(|action| matches!(action, Action::Exhausted { .. }));
        assert_eq!(exhausted, worker == 10);
    }
}

#[test]
fn batches_are_task_major_and_grow_with_the_pace() {
    let mut bench = Bench::new(1, 1000, 4);
    let first = bench.dispatch(ms(0));
    assert!(first.iter().all(|(_, episodes)| episodes.len() == 1), "the pace is unknown");
    let mut given = first;
    // What it may hold grows with its answers.
    for now in 1..6 {
        let all: Vec<_> = given.iter().flat_map(|(_, e)| e.clone()).collect();
        bench.report(ms(now), WorkerId(1), &all, &fit());
        given = bench.dispatch(ms(now));
    }
    let (_, episodes) = &given[0];
    assert_eq!(episodes.len(), 20, "20 ms of 1 ms episodes");
    assert!(episodes.windows(2).all(|pair| (pair[0].1, pair[0].0) < (pair[1].1, pair[1].0)));
}

#[test]
fn a_run_is_stranded_while_workers_are_there_but_none_may_work_on_it() {
    let mut bench = Bench::new(2, 4, 1);
    let mut check = |expected: Option<&str>, event: &dyn Fn(&mut Scheduler)| {
        event(&mut bench.scheduler);
        bench.scheduler.check_invariants();
        assert_eq!(bench.scheduler.stranded(run()), expected);
    };
    let bar = |scheduler: &mut Scheduler, worker, reason: &str| {
        scheduler.bar(run(), WorkerId(worker), reason.into(), &mut Vec::new());
    };
    check(None, &|scheduler| bar(scheduler, 1, "one"));
    check(Some("two"), &|scheduler| bar(scheduler, 2, "two"));
    check(None, &|scheduler| scheduler.attach(ms(1), WorkerId(3), 1));
    check(Some("two"), &|scheduler| scheduler.drain(WorkerId(3), None));
    check(Some("one"), &|scheduler| scheduler.detach(WorkerId(2), &mut Vec::new()));
    check(None, &|scheduler| scheduler.detach(WorkerId(1), &mut Vec::new()));
}

#[test]
fn a_hedge_keeps_within_the_credit() {
    let mut bench = Bench::new(0, 4096, 1);
    let settings = Settings { batch_length_max: 4, credit_per_thread_max: 8, ..Settings::default() };
    bench.scheduler.settings = settings;
    bench.scheduler.attach(ms(0), WorkerId(1), 4);
    bench.scheduler.attach(ms(0), WorkerId(2), 1);
    // Episodes that seem to take no time: a worker counts as idle whatever it holds, until its credit is used up.
    for round in 0..2000 {
        for (worker, episodes) in bench.dispatch(ms(round)) {
            if worker == WorkerId(2) || round < 10 {
                let first = &episodes[..1];
                bench.report_taking(ms(round), worker, first, &fit(), Duration::ZERO);
            }
        }
    }
    assert!(bench.scheduler.load(WorkerId(2)).unwrap().leased > 0);
}

#[test]
fn an_episode_longer_than_the_lease_is_not_repeated_while_its_worker_is_heard() {
    let mut bench = Bench::new(1, 1, 1);
    assert_eq!(bench.dispatch(ms(0)).len(), 1);
    for now in (500..30_000).step_by(500) {
        bench.scheduler.heard(ms(now), WorkerId(1));
        assert_eq!(bench.dispatch(ms(now)), [], "at {now} ms");
    }
    // But not for ever: its worker may live and hang.
    let mut again = Vec::new();
    for now in (30_000..120_000).step_by(500) {
        bench.scheduler.heard(ms(now), WorkerId(1));
        again.extend(bench.dispatch(ms(now)));
    }
    assert_eq!(again.len(), 1);
}

#[test]
fn no_batch_has_more_episodes_than_its_run_allows() {
    for most in [3, u32::MAX] {
        let mut bench = Bench::in_batches_of(most, 1, 64, 1);
        let (mut settled, mut longest) = (0, 0);
        for now in 0..1000 {
            for (worker, episodes) in bench.dispatch(ms(now)) {
                longest = longest.max(episodes.len());
                settled += bench.report(ms(now), worker, &episodes, &fit()).0;
            }
        }
        assert_eq!(settled, 64);
        assert!(longest <= most as usize && longest >= 3, "{longest} of at most {most}");
        assert!(most == 3 || longest > 3, "without a bound batches grow: {longest}");
    }
}

#[test]
fn what_comes_late_is_counted() {
    let mut bench = Bench::new(2, 4, 1);
    let given = bench.dispatch(ms(0));
    let (worker, episodes) = &given[0];
    assert_eq!(bench.report(ms(1), *worker, episodes, &fit()).0, episodes.len());
    assert_eq!(bench.scheduler.late(), 0);
    let (run, generation) = (run(), GenerationIndex(7));
    let (purpose, block) = (EpisodePurpose::Search, BlockIndex(0));
    let given = BlockEpisodes { run, generation, purpose, block, episodes: episodes.clone() };
    bench.scheduler.give_back(ms(1), *worker, &given);
    assert_eq!(bench.scheduler.late(), 1, "of another generation");
    bench.scheduler.bar(run, *worker, "it lacks something".to_owned(), &mut Vec::new());
    assert_eq!(bench.report(ms(1), *worker, episodes, &fit()).0, 0);
    assert_eq!(bench.scheduler.late(), 2, "of a worker that was barred meanwhile");
    bench.scheduler.detach(*worker, &mut Vec::new());
    assert_eq!(bench.report(ms(1), *worker, episodes, &fit()).0, 0);
    assert_eq!(bench.scheduler.late(), 3, "of a worker that was detached");
}

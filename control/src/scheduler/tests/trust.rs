use super::*;

/// A cluster in virtual time: honest workers 1 to `honest` with four threads each, a millisecond away, whose episodes take 0.12 ms;
/// all others are heard and answer nothing.
struct Cluster {
    scheduler: Scheduler,
    honest: u64,
    now: Duration,
    generation: GenerationIndex,
    /// Reports on their way, by when they arrive.
    coming: BTreeMap<(Duration, u64), (WorkerId, Report)>,
    free_at: BTreeMap<WorkerId, Duration>,
    order: u64,
}

const AWAY: Duration = Duration::from_millis(1);
const EPISODE: Duration = Duration::from_micros(120);

impl Cluster {
    fn new(honest: u64, silent: u64) -> Self {
        let mut scheduler = Scheduler::new(Settings::default());
        scheduler.open(run(), 1.0, u32::MAX);
        // Those that do not answer come first, with as many threads as can be claimed.
        for worker in (1..=silent).map(|number| WorkerId(honest + number)) {
            scheduler.attach(ms(0), worker, 1024);
        }
        for worker in (1..=honest).map(WorkerId) {
            scheduler.attach(ms(0), worker, 4);
        }
        let (now, generation) = (Duration::ZERO, GenerationIndex(0));
        let (coming, free_at) = (BTreeMap::new(), BTreeMap::new());
        let mut cluster = Self { scheduler, honest, now, generation, coming, free_at, order: 0 };
        cluster.submit();
        cluster
    }

    fn submit(&mut self) {
        let blocks = vec![BlockIndex(0); 384];
        let (at, portion) = (Timestamp(self.now), [search(&blocks, 1)]);
        self.scheduler.submit(at, run(), self.generation, &portion, |_, _, _| false, &mut Vec::new());
    }

    fn step(&mut self) {
        let mut actions = Vec::new();
        self.scheduler.tick(Timestamp(self.now), &mut actions);
        self.scheduler.dispatch(Timestamp(self.now), &mut actions);
        for action in actions {
            let Action::Dispatch { worker, run, generation, purpose, block, episodes, .. } = action else {
                assert!(!matches!(action, Action::Exhausted { .. }), "{action:?}");
                continue;
            };
            if worker.0 > self.honest {
                continue;
            }
            let begins = (self.now + AWAY).max(self.free_at.get(&worker).copied().unwrap_or_default());
            let end = begins + EPISODE * episodes.len() as u32 / 4;
            self.free_at.insert(worker, end);
            let settlement =
                |(candidate, task)| Settlement { candidate, task, outcome: fit(), compute_time: EPISODE };
            let settlements = episodes.into_iter().map(settlement).collect();
            self.order += 1;
            let report = Report { sequence: self.order, run, generation, purpose, block, settlements };
            self.coming.insert((end + AWAY, self.order), (worker, report));
        }
        let next = self.coming.first_key_value().map_or(Duration::MAX, |((at, _), _)| *at);
        let deadline = self.scheduler.deadline().map_or(Duration::MAX, |deadline| deadline.0);
        self.now = self.now.max(next.min(deadline));
        let workers: Vec<WorkerId> = self.scheduler.workers.keys().copied().collect();
        for worker in workers {
            self.scheduler.heard(Timestamp(self.now), worker);
        }
        while let Some(entry) = self.coming.first_entry()
            && entry.key().0 <= self.now
        {
            let (worker, report) = entry.remove();
            self.scheduler.report(Timestamp(self.now), worker, report, &mut Vec::new());
        }
        if self.scheduler.unsettled(run()) == 0 {
            self.generation = self.generation.next();
            self.submit();
        }
    }

    /// Generations closed in ten seconds.
    fn throughput(mut self) -> u32 {
        while self.now < Duration::from_secs(10) {
            self.step();
        }
        self.scheduler.check_invariants();
        self.generation.0
    }
}

#[test]
fn two_hundred_silent_peers_leave_two_honest_workers_nine_tenths_of_their_throughput() {
    let alone = Cluster::new(2, 0).throughput();
    assert!(alone > 500, "{alone} generations in ten seconds");
    for silent in [1, 20, 200] {
        let beside = Cluster::new(2, silent).throughput();
        assert!(
            10 * beside >= 9 * alone,
            "{beside} generations beside {silent} silent peers, {alone} without"
        );
    }
}

#[test]
fn newcomers_get_little_until_they_have_answered_and_more_with_each_answer() {
    let mut scheduler = Scheduler::new(Settings::default());
    scheduler.attach(ms(0), WorkerId(1), 1024);
    let mut bench = Bench { scheduler, told: Duration::ZERO };
    bench.scheduler.open(run(), 1.0, u32::MAX);
    let blocks = vec![BlockIndex(0); 60_000];
    let portion = [search(&blocks, 1)];
    bench.scheduler.submit(ms(0), run(), GenerationIndex(0), &portion, |_, _, _| false, &mut Vec::new());
    let mut held = Vec::new();
    for now in 0..10 {
        let given: Vec<_> = bench.dispatch(ms(now)).into_iter().flat_map(|(_, episodes)| episodes).collect();
        held.push(bench.scheduler.load(WorkerId(1)).unwrap().leased);
        bench.report_taking(ms(now), WorkerId(1), &given, &fit(), Duration::from_micros(1));
    }
    assert_eq!(held[0], NEWCOMER, "whatever it claims");
    assert!(held.windows(2).take(6).all(|pair| pair[1] >= 2 * pair[0]), "{held:?}");
}

const NEWCOMER: u32 = hebbian_shared::limits::NEWCOMER_EPISODES_MAX;

type Episodes = Vec<(CandidateIndex, TaskIndex)>;

/// Two workers: 1 has answered, 2 has not; the episodes that each of them holds.
fn one_proven() -> (Bench, Episodes, Episodes) {
    let mut bench = Bench::new(2, 12, 1);
    let given = bench.dispatch(ms(0));
    let of = |given: &[Given], worker| {
        let its = given.iter().filter(|(of, _)| *of == WorkerId(worker));
        its.flat_map(|(_, episodes)| episodes.clone()).collect::<Vec<_>>()
    };
    let (first, newcomers) = (of(&given, 1), of(&given, 2));
    assert!(!first.is_empty() && !newcomers.is_empty());
    bench.report(ms(1), WorkerId(1), &first, &fit());
    let given = of(&bench.dispatch(ms(1)), 1);
    (bench, given, newcomers)
}

#[test]
fn what_newcomers_hold_is_given_to_proven_workers_as_soon_as_nothing_is_queued() {
    let (mut bench, mut held, newcomers) = one_proven();
    let mut hedged = Vec::new();
    for now in 2..20 {
        bench.report(ms(now), WorkerId(1), &held, &fit());
        held = bench
            .dispatch(ms(now))
            .into_iter()
            .flat_map(|(worker, episodes)| {
                assert_eq!(worker, WorkerId(1), "the other holds what it may");
                episodes
            })
            .collect();
        hedged.extend(held.iter().copied().filter(|episode| newcomers.contains(episode)));
    }
    assert_eq!(hedged.len(), newcomers.len(), "without waiting for the age of a hedge");
    assert_eq!(bench.scheduler.unsettled(run()), 0);
}

#[test]
fn hedges_of_old_leases_go_to_proven_workers_while_there_are_some() {
    let (mut bench, held, newcomers) = one_proven();
    // Worker 1 does not answer any more, and worker 3 comes; 2 answers.
    bench.report(ms(2), WorkerId(2), &newcomers, &fit());
    bench.scheduler.attach(ms(2), WorkerId(3), 1);
    let mut seen = Vec::new();
    for now in 2..400 {
        for (worker, episodes) in bench.dispatch(ms(now)) {
            seen.extend(episodes.iter().filter(|episode| held.contains(episode)).map(|_| worker));
            if worker == WorkerId(2) {
                bench.report(ms(now), worker, &episodes, &fit());
            }
        }
    }
    assert!(!seen.is_empty() && seen.iter().all(|worker| *worker == WorkerId(2)), "{seen:?}");
    assert_eq!(bench.scheduler.unsettled(run()), 0);
}

#[test]
fn who_lets_others_finish_what_it_held_has_to_prove_itself_by_twice_as_much() {
    let mut bench = Bench::new(1, 1, 1);
    let answers = |bench: &mut Bench, count| {
        let worker = bench.scheduler.workers.get_mut(&WorkerId(1)).unwrap();
        worker.answered += count;
        bench.scheduler.answered(WorkerId(1));
        bench.scheduler.load(WorkerId(1)).unwrap().proven
    };
    for needed in [1, 2, 4, 8] {
        assert!(needed == 1 || !answers(&mut bench, needed - 1), "{needed}");
        assert!(answers(&mut bench, 1));
        bench.scheduler.stalled(ms(0), WorkerId(1), run(), &mut Vec::new());
        assert!(!bench.scheduler.load(WorkerId(1)).unwrap().proven);
    }
}

#[test]
fn an_answer_that_comes_too_late_is_an_answer_once() {
    let mut bench = Bench::new(2, 2, 1);
    let given = bench.dispatch(ms(0));
    let (late, episodes) = given[0].clone();
    let mut actions = Vec::new();
    let blocks = vec![BlockIndex(0); 2];
    bench.scheduler.submit(
        ms(1),
        run(),
        GenerationIndex(1),
        &[search(&blocks, 1)],
        |_, _, _| false,
        &mut actions,
    );
    for _ in 0..5 {
        assert_eq!(bench.report(ms(2), late, &episodes, &fit()).0, 0);
    }
    assert_eq!(bench.scheduler.workers[&late].answered, 1, "{actions:?}");
    assert!(bench.scheduler.load(late).unwrap().proven);
}

#[test]
fn newcomers_that_fail_or_vanish_exhaust_nothing_while_a_proven_worker_serves() {
    for vanish in [false, true] {
        let (mut bench, mut held, newcomers) = one_proven();
        bench.report(ms(1), WorkerId(2), &newcomers, &fit());
        let mut exhausted = 0;
        // One after the other comes, takes what is there, and fails or vanishes.
        for number in 3..43 {
            bench.scheduler.attach(ms(number), WorkerId(number), 1);
            for (worker, episodes) in bench.dispatch(ms(number)) {
                if worker.0 < 3 {
                    held.extend(episodes);
                } else if !vanish {
                    let (_, actions) = bench.report(ms(number), worker, &episodes, &error());
                    exhausted += actions.iter().filter(|a| matches!(a, Action::Exhausted { .. })).count();
                }
            }
            let mut actions = Vec::new();
            bench.scheduler.detach(WorkerId(number), &mut actions);
            bench.scheduler.check_invariants();
            exhausted += actions.iter().filter(|a| matches!(a, Action::Exhausted { .. })).count();
        }
        assert_eq!(exhausted, 0, "vanish: {vanish}");
        for now in 50..60 {
            bench.report(ms(now), WorkerId(1), &held, &fit());
            bench.report(ms(now), WorkerId(2), &held, &fit());
            held = bench.dispatch(ms(now)).into_iter().flat_map(|(_, episodes)| episodes).collect();
        }
        assert_eq!(bench.scheduler.unsettled(run()), 0, "vanish: {vanish}");
    }
}

#[test]
fn what_the_most_proven_worker_cannot_do_either_exhausts_an_episode() {
    let mut bench = Bench::new(3, 60, 1);
    let poison = (CandidateIndex(7), TaskIndex(0));
    let mut exhausted = Vec::new();
    for now in 0..200 {
        for (worker, episodes) in bench.dispatch(ms(now)) {
            for episode in episodes {
                let outcome = if episode == poison { error() } else { fit() };
                let (_, actions) = bench.report(ms(now), worker, &[episode], &outcome);
                exhausted.extend(actions.into_iter().filter(|a| matches!(a, Action::Exhausted { .. })));
            }
        }
    }
    assert!(!exhausted.is_empty(), "all three have failed on it");
}

use super::*;

/// Lets worker 2 answer everything at once, whatever worker 1 holds; the episodes that worker 1 was given.
fn generation(bench: &mut Bench, index: u32, now: &mut u64) -> usize {
    generation_telling(bench, index, now).0
}

/// As [`generation`], and how often it was told that a worker does not answer.
fn generation_telling(bench: &mut Bench, index: u32, now: &mut u64) -> (usize, usize) {
    let blocks = vec![BlockIndex(0); 8];
    let portion = [search(&blocks, 1)];
    let mut actions = Vec::new();
    let generation = GenerationIndex(index);
    bench.scheduler.submit(ms(*now), run(), generation, &portion, |_, _, _| false, &mut actions);
    let mut deaf = 0;
    while bench.scheduler.unsettled(run()) > 0 {
        for (worker, episodes) in bench.dispatch(ms(*now)) {
            if worker == WorkerId(1) {
                deaf += episodes.len();
                continue;
            }
            let settlements = episodes.iter().map(|&(candidate, task)| Settlement {
                candidate,
                task,
                outcome: fit(),
                compute_time: Duration::from_millis(1),
            });
            let (purpose, block, settlements) =
                (EpisodePurpose::Search, BlockIndex(0), settlements.collect());
            let report = Report { sequence: 1, run: run(), generation, purpose, block, settlements };
            bench.scheduler.report(ms(*now + 1), worker, report, &mut Vec::new());
        }
        *now += 1;
        for worker in [1, 2] {
            bench.scheduler.heard(ms(*now), WorkerId(worker));
        }
    }
    let told =
        actions.iter().filter(|action| matches!(action, Action::Overtaken { worker: WorkerId(1), .. }));
    (deaf, told.count())
}

/// Whom the scheduler tells that a generation is not wanted any more.
fn withdrawn(actions: &[Action]) -> Vec<WorkerId> {
    let workers = actions.iter().filter_map(|action| match action {
        Action::Withdraw { worker, .. } => Some(*worker),
        _ => None,
    });
    workers.collect()
}

/// Worker 1 lives and computes its only episode for ever, until its lease is lost and worker 2 has it.
fn strayed() -> (Bench, u64) {
    let mut bench = Bench::new(1, 1, 1);
    assert_eq!(bench.dispatch(ms(0)).len(), 1);
    let mut now = 0;
    while bench.scheduler.runs[&run()].work.as_ref().unwrap().strayed.is_empty() {
        now += 1000;
        assert!(now < 1_000_000, "the lease is lost");
        bench.scheduler.heard(ms(now), WorkerId(1));
        let mut actions = Vec::new();
        bench.scheduler.tick(ms(now), &mut actions);
    }
    bench.scheduler.attach(ms(now), WorkerId(2), 1);
    let episode = (CandidateIndex(0), TaskIndex(0));
    assert_eq!(bench.dispatch(ms(now)), [(WorkerId(2), vec![episode])]);
    assert_eq!(bench.report(ms(now), WorkerId(2), &[episode], &fit()).0, 1);
    (bench, now)
}

#[test]
fn what_was_lost_to_a_worker_that_lives_is_withdrawn_when_it_is_settled_elsewhere() {
    let (mut bench, now) = strayed();
    let mut actions = Vec::new();
    bench.scheduler.withdraw(ms(now), run(), &mut actions);
    assert_eq!(withdrawn(&actions), [WorkerId(1)]);
    // Who has said how it ended all the same computes it no more.
    let (mut bench, now) = strayed();
    bench.report(ms(now), WorkerId(1), &[(CandidateIndex(0), TaskIndex(0))], &fit());
    let mut actions = Vec::new();
    bench.scheduler.withdraw(ms(now), run(), &mut actions);
    assert_eq!(withdrawn(&actions), []);
    // Nor does one that is gone.
    let (mut bench, now) = strayed();
    let mut actions = Vec::new();
    bench.scheduler.detach(WorkerId(1), &mut actions);
    bench.scheduler.withdraw(ms(now), run(), &mut actions);
    assert_eq!(withdrawn(&actions), []);
}

#[test]
fn an_asynchronous_run_takes_back_single_episodes() {
    let blocks = vec![BlockIndex(0); 2];
    let (mut bench, _) = strayed();
    // Its candidate is the first of the next generation, or none of it: it has settled either way.
    for kept in [&[0][..], &[]] {
        let (portion, settled) =
            (search(&blocks, 1), |_, candidate: CandidateIndex, _| candidate.0 < kept.len() as u32);
        let unwanted = bench.scheduler.turn(run(), GenerationIndex(1), &[portion], settled, kept);
        assert_eq!(unwanted[&WorkerId(1)], [(CandidateIndex(0), TaskIndex(0))]);
        bench.scheduler.check_invariants();
        (bench, _) = strayed();
    }
    // What goes on is nobody's to take back.
    let mut bench = Bench::new(2, 2, 1);
    let given = bench.dispatch(ms(0));
    assert_eq!(given.len(), 2);
    let unwanted =
        bench.scheduler.turn(run(), GenerationIndex(1), &[search(&blocks, 1)], |_, _, _| false, &[1]);
    let (worker, _) = given.iter().find(|(_, episodes)| episodes[0].0 == CandidateIndex(0)).unwrap();
    assert_eq!(
        unwanted.into_iter().collect::<Vec<_>>(),
        [(*worker, vec![(CandidateIndex(0), TaskIndex(0))])]
    );
    bench.scheduler.check_invariants();
}

#[test]
fn who_lives_but_never_answers_costs_less_and_less() {
    let mut bench = Bench::new(2, 1, 1);
    let (mut now, mut given, mut told) = (0, Vec::new(), 0);
    for index in 0..400 {
        let generation = generation_telling(&mut bench, index, &mut now);
        given.push(generation.0);
        told += generation.1;
        bench.scheduler.check_invariants();
    }
    assert_eq!(told, 1, "it is told once");
    assert!(bench.scheduler.load(WorkerId(1)).unwrap().overtaken >= 3);
    let disturbed = given.iter().filter(|&&episodes| episodes > 0).count();
    assert!(given[0] + given[1] > 0, "it is given something while nothing is known of it");
    // 100, 200, 400 ... ms of rest, in generations of a few milliseconds.
    assert!((3..=12).contains(&disturbed), "{disturbed} of 400 generations waited for it");
}

#[test]
fn an_answer_ends_the_rest() {
    let mut bench = Bench::new(2, 1, 1);
    let mut now = 0;
    let mut index = 0;
    while bench.scheduler.workers[&WorkerId(1)].rests_until.is_none() {
        generation(&mut bench, index, &mut now);
        index += 1;
    }
    assert!(!bench.scheduler.idle.contains(&WorkerId(1)) && !bench.scheduler.ready.contains(&WorkerId(1)));
    // By the clock ...
    let until = bench.scheduler.workers[&WorkerId(1)].rests_until.unwrap();
    assert!(bench.scheduler.deadline().is_some_and(|deadline| deadline <= until));
    bench.scheduler.tick(until, &mut Vec::new());
    assert!(bench.scheduler.idle.contains(&WorkerId(1)));
    assert_eq!(bench.scheduler.workers[&WorkerId(1)].stalls, 1);
    // ... and whoever answers has stalled for nothing.
    bench.scheduler.stalled(until, WorkerId(1), run(), &mut Vec::new());
    bench.scheduler.answered(WorkerId(1));
    bench.scheduler.refresh(WorkerId(1));
    bench.scheduler.check_invariants();
    assert!(bench.scheduler.idle.contains(&WorkerId(1)));
    assert_eq!(bench.scheduler.workers[&WorkerId(1)].stalls, 0);
}

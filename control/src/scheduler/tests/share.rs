use super::*;

/// Thread milliseconds that each of two runs gets of workers, in which episodes of the second take three times as
/// long, while both have some left. `says` is what a worker says of the time that an episode has taken.
fn shares(
    workers: u64,
    weights: [f64; 2],
    says: impl Fn(WorkerId, RunId, Duration) -> Duration,
) -> (f64, f64) {
    let runs = [RunId::new(1), RunId::new(2)];
    let mut scheduler = Scheduler::new(Settings::default());
    for worker in 1..=workers {
        scheduler.attach(ms(0), WorkerId(worker), 1);
    }
    let blocks = vec![BlockIndex(0); 2048];
    for (run, weight) in runs.into_iter().zip(weights) {
        // More than honest workers are given at once.
        scheduler.open(run, weight, 32);
        let portion = [search(&blocks, 1)];
        scheduler.submit(ms(0), run, GenerationIndex(0), &portion, |_, _, _| false, &mut Vec::new());
    }
    let mut spent = [0.0; 2];
    // What each worker is at: when it has finished, and its report.
    let mut busy: BTreeMap<(u64, u64), (WorkerId, Report)> = BTreeMap::new();
    let mut free_at = BTreeMap::new();
    let (mut now, mut order) = (0, 0);
    while runs.iter().all(|&run| scheduler.unsettled(run) > 512) {
        let mut actions = Vec::new();
        scheduler.tick(ms(now), &mut actions);
        scheduler.dispatch(ms(now), &mut actions);
        scheduler.check_invariants();
        for action in actions {
            let Action::Dispatch { worker, run, episodes, .. } = action else { continue };
            let each = if run == runs[0] { 1 } else { 3 };
            let took = each * episodes.len() as u64;
            spent[usize::from(run == runs[1])] += took as f64;
            let settlements = episodes.iter().map(|&(candidate, task)| Settlement {
                candidate,
                task,
                outcome: fit(),
                compute_time: says(worker, run, Duration::from_millis(each)),
            });
            let (generation, purpose, block) = (GenerationIndex(0), EpisodePurpose::Search, BlockIndex(0));
            let settlements = settlements.collect();
            let end: u64 = now.max(*free_at.get(&worker).unwrap_or(&0)) + took;
            free_at.insert(worker, end);
            order += 1;
            busy.insert(
                (end, order),
                (worker, Report { sequence: order, run, generation, purpose, block, settlements }),
            );
        }
        let ((end, _), (worker, report)) = busy.pop_first().expect("somebody works");
        now = end;
        scheduler.report(ms(now), worker, report, &mut Vec::new());
    }
    (spent[0], spent[1])
}

#[test]
fn runs_share_the_cluster_by_worker_time_and_weight() {
    for (weights, expected) in [([1.0, 1.0], 1.0), ([1.0, 3.0], 3.0), ([2.0, 0.5], 0.25)] {
        let (one, two) = shares(4, weights, |_, _, took| took);
        let ratio = two / one / expected;
        assert!((ratio - 1.0).abs() < 0.1, "weights {weights:?}: {one} and {two} thread milliseconds");
    }
}

/// One report of a day once kept a run from the cluster for days, and one of no time gave it all there was.
#[test]
fn a_worker_that_lies_about_its_time_does_not_move_shares() {
    let day = Duration::from_secs(86_400);
    // Alone, and beside honest ones; of one of two equal runs.
    for workers in [1, 2, 4] {
        for (lie, expected) in [(day, 0.5..1.5), (Duration::ZERO, 0.8..2.5)] {
            for liar_of in [1, 2] {
                let says = |worker, run, took| {
                    if (worker, run) == (WorkerId(1), RunId::new(liar_of)) { lie } else { took }
                };
                let (one, two) = shares(workers, [1.0, 1.0], says);
                let favoured = if liar_of == 1 { one / two } else { two / one };
                assert!(
                    expected.contains(&favoured),
                    "{lie:?} of run {liar_of}, {workers} workers: {favoured}"
                );
            }
        }
    }
}

#[test]
fn what_is_believed_of_a_lease_is_no_more_than_has_gone_by() {
    let mut bench = Bench::new(1, 64, 1);
    bench.prove(WorkerId(1));
    let day = Duration::from_secs(86_400);
    let used = |bench: &Bench| bench.scheduler.runs[&run()].share.used;
    let (mut now, mut most) = (0, Duration::ZERO);
    for _ in 0..8 {
        let given = bench.dispatch(ms(now));
        // Each batch in two reports.
        now += 100;
        let halves = |episodes: &[_]| {
            let (one, two) = episodes.split_at(episodes.len() / 2);
            [one.to_vec(), two.to_vec()]
        };
        for episodes in given.iter().flat_map(|(_, episodes)| halves(episodes)) {
            bench.report_taking(ms(now), WorkerId(1), &episodes, &fit(), day);
        }
        most += Duration::from_millis(101) * given.len() as u32;
        // Nor do the run's figures tell more.
        assert!(used(&bench) <= most && bench.told <= most, "{:?} of {most:?}", used(&bench));
    }
    assert!(used(&bench) >= Duration::from_millis(400), "it has worked all the time");
}

#[test]
fn a_worker_that_is_held_up_costs_its_run_little() {
    let mut bench = Bench::new(1, 8, 1);
    for now in 0..4 {
        for (worker, episodes) in bench.dispatch(ms(now)) {
            bench.report(ms(now + 1), worker, &episodes[..1], &fit());
        }
    }
    let before = bench.scheduler.runs[&run()].share.used;
    let held = bench.scheduler.runs[&run()].work.as_ref().unwrap();
    let open: Vec<_> = (0..8).filter(|&slot| !held.has_settled(slot)).collect();
    let open: Vec<_> = open.into_iter().map(|slot| (CandidateIndex(slot), TaskIndex(0))).collect();
    bench.report(ms(600_000), WorkerId(1), &open, &fit());
    assert!(bench.scheduler.runs[&run()].share.used <= before + Duration::from_secs(3));
}

#[test]
fn a_run_that_nobody_may_work_on_neither_holds_up_others_nor_saves_up_arrears() {
    let mut bench = Bench::new(2, 4096, 1);
    let other = RunId::new(2);
    bench.scheduler.open(other, 1.0, u32::MAX);
    for worker in [1, 2] {
        bench.scheduler.bar(other, WorkerId(worker), "no data".into(), &mut Vec::new());
    }
    let blocks = vec![BlockIndex(0); 4096];
    let portion = [search(&blocks, 1)];
    bench.scheduler.submit(ms(0), other, GenerationIndex(0), &portion, |_, _, _| false, &mut Vec::new());
    assert_eq!(bench.scheduler.stranded(other), Some("no data"));
    assert_eq!(bench.scheduler.stranded(run()), None);
    let mut last = 0;
    while bench.scheduler.unsettled(run()) > 2048 {
        last += 1;
        for (worker, episodes) in bench.dispatch(ms(last)) {
            bench.report(ms(last), worker, &episodes, &fit());
        }
    }
    assert_eq!(bench.scheduler.leased(other), 0);
    // When a worker comes that may, the run shares from then on: it does not get all until it has had as much as the other.
    bench.scheduler.attach(ms(last), WorkerId(3), 1);
    assert_eq!(bench.scheduler.stranded(other), None);
    let mut given = BTreeMap::new();
    for round in 0..20 {
        let mut actions = Vec::new();
        bench.scheduler.dispatch(ms(last + round), &mut actions);
        for action in actions {
            let Action::Dispatch { worker, run, episodes, .. } = action else { continue };
            assert!(run != other || worker == WorkerId(3), "others are still barred");
            if worker == WorkerId(3) {
                *given.entry(run).or_insert(0) += 1;
            }
            let settlements = episodes.iter().map(|&(candidate, task)| Settlement {
                candidate,
                task,
                outcome: fit(),
                compute_time: Duration::from_millis(1),
            });
            let (generation, purpose, block) = (GenerationIndex(0), EpisodePurpose::Search, BlockIndex(0));
            let settlements = settlements.collect();
            let report = Report { sequence: 1, run, generation, purpose, block, settlements };
            bench.scheduler.report(ms(last + round), worker, report, &mut Vec::new());
        }
        bench.scheduler.check_invariants();
    }
    assert!(given.get(&other).is_some_and(|&batches| batches > 0), "{given:?}");
}

/// How much more thread time the second of two runs gets, whose generations are short: a worker would finish them in some
/// milliseconds. Four workers report each batch when it is done.
fn shares_of_short_generations(episodes: usize, each: Duration, weights: [f64; 2]) -> f64 {
    let runs = [RunId::new(1), RunId::new(2)];
    let mut scheduler = Scheduler::new(Settings::default());
    for worker in 1..=4 {
        scheduler.attach(ms(0), WorkerId(worker), 1);
    }
    let blocks = vec![BlockIndex(0); episodes];
    let portion = [search(&blocks, 1)];
    let mut generations = [GenerationIndex(0); 2];
    for (run, weight) in runs.into_iter().zip(weights) {
        scheduler.open(run, weight, u32::MAX);
        scheduler.submit(ms(0), run, GenerationIndex(0), &portion, |_, _, _| false, &mut Vec::new());
    }
    let mut spent = [Duration::ZERO; 2];
    let mut busy: BTreeMap<(Duration, u64), (WorkerId, Report)> = BTreeMap::new();
    let mut free_at: BTreeMap<WorkerId, Duration> = BTreeMap::new();
    let (mut now, mut order) = (Duration::ZERO, 0);
    while now < Duration::from_secs(5) {
        let mut actions = Vec::new();
        scheduler.tick(Timestamp(now), &mut actions);
        scheduler.dispatch(Timestamp(now), &mut actions);
        for action in actions {
            let Action::Dispatch { worker, run, generation, episodes, .. } = action else { continue };
            let took = each * episodes.len() as u32;
            spent[usize::from(run == runs[1])] += took;
            let settlements = episodes.iter().map(|&(candidate, task)| Settlement {
                candidate,
                task,
                outcome: fit(),
                compute_time: each,
            });
            let (purpose, block, settlements) =
                (EpisodePurpose::Search, BlockIndex(0), settlements.collect());
            let end = now.max(free_at.get(&worker).copied().unwrap_or_default()) + took;
            free_at.insert(worker, end);
            order += 1;
            let report = Report { sequence: order, run, generation, purpose, block, settlements };
            busy.insert((end, order), (worker, report));
        }
        let ((end, _), (worker, report)) = busy.pop_first().expect("somebody works");
        // All of them live.
        for worker in 1..=4 {
            scheduler.heard(Timestamp(end), WorkerId(worker));
        }
        now = end;
        scheduler.report(Timestamp(now), worker, report, &mut Vec::new());
        for (run, generation) in runs.into_iter().zip(&mut generations) {
            if scheduler.unsettled(run) == 0 {
                *generation = generation.next();
                let mut actions = Vec::new();
                scheduler.submit(Timestamp(now), run, *generation, &portion, |_, _, _| false, &mut actions);
            }
        }
    }
    spent[1].as_secs_f64() / spent[0].as_secs_f64()
}

#[test]
fn short_generations_get_their_share_too() {
    for (episodes, each) in [(384, 120), (1536, 60), (384, 3000)] {
        let each = Duration::from_micros(each);
        let ratio = shares_of_short_generations(episodes, each, [1.0, 3.0]);
        assert!((2.5..3.4).contains(&ratio), "{episodes} episodes of {each:?}: {ratio}");
        let even = shares_of_short_generations(episodes, each, [1.0, 1.0]);
        assert!((0.85..1.18).contains(&even), "{episodes} episodes of {each:?}: {even}");
    }
}

//! Errors that come one after the other: by chance from many slots, or because a worker can do nothing else.

use super::*;

/// A worker of so many threads, alone, with a run of so many candidates.
fn alone(threads: u32, candidates: usize) -> Bench {
    let mut scheduler = Scheduler::new(Settings::default());
    scheduler.attach(ms(0), WorkerId(1), threads);
    scheduler.open(run(), 1.0, u32::MAX);
    let mut bench = Bench { scheduler, told: Duration::ZERO };
    submit(&mut bench, candidates);
    bench
}

fn submit(bench: &mut Bench, candidates: usize) {
    let blocks = vec![BlockIndex(0); candidates];
    let portion = [search(&blocks, 1)];
    bench.scheduler.submit(ms(0), run(), GenerationIndex(0), &portion, |_, _, _| false, &mut Vec::new());
}

/// Reports single episodes of the only worker that take so long that it gets one at a time for each thread.
fn settle(bench: &mut Bench, episodes: &[(CandidateIndex, TaskIndex)], outcome: &Outcome) -> Vec<Action> {
    let second = Duration::from_secs(1);
    let one = |episode| bench.report_taking(ms(1001), WorkerId(1), &[episode], outcome, second).1;
    episodes.iter().copied().flat_map(one).collect()
}

fn ends(actions: &[Action]) -> Option<&str> {
    actions.iter().find_map(|action| match action {
        Action::Barred { reason, .. } | Action::Exhausted { reason, .. } => Some(reason.as_str()),
        _ => None,
    })
}

/// An error is told at once, an answer after a while: so at the beginning of each generation the errors of all slots come in a row.
#[test]
fn errors_of_a_tenth_of_the_evaluations_of_eight_slots_end_nothing() {
    let mut bench = alone(8, 64);
    let mut drawn = 1_u32;
    let (mut row, mut longest) = (0, 0);
    for _ in 0..2000 {
        while bench.scheduler.unsettled(run()) > 0 {
            let given: Vec<_> =
                bench.dispatch(ms(1)).into_iter().flat_map(|(_, episodes)| episodes).collect();
            let (failed, done): (Vec<_>, Vec<_>) = given.into_iter().partition(|_| {
                drawn = drawn.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                drawn >> 16 < 65_536 / 10
            });
            row = if done.is_empty() { row + failed.len() } else { failed.len() };
            longest = longest.max(row);
            let mut actions = settle(&mut bench, &failed, &error());
            actions.extend(settle(&mut bench, &done, &fit()));
            assert_eq!(ends(&actions), None, "after {row} errors in a row");
        }
        submit(&mut bench, 64);
    }
    assert!(longest > 5, "five errors in a row are no rarity: at most {longest}");
}

#[test]
fn whoever_answers_nothing_but_errors_gets_no_more_after_five_for_each_slot() {
    for (threads, proven, expected) in
        [(1, true, 10), (1, false, 5), (8, true, 40), (8, false, 40), (1000, true, 5000), (1000, false, 320)]
    {
        let mut bench = alone(threads, 6000);
        if proven {
            let first = bench.dispatch(ms(1)).swap_remove(0).1;
            settle(&mut bench, &first, &fit());
            bench.scheduler.workers.get_mut(&WorkerId(1)).unwrap().answered = 10_000;
            bench.scheduler.refresh(WorkerId(1));
        }
        let mut errors = 0;
        let reason = loop {
            let given: Vec<_> =
                bench.dispatch(ms(1)).into_iter().flat_map(|(_, episodes)| episodes).collect();
            assert!(!given.is_empty(), "after {errors} errors");
            let ended = given.iter().find_map(|&episode| {
                errors += 1;
                let actions = settle(&mut bench, &[episode], &error());
                // One of a single thread has tried the same episode all the time.
                actions.into_iter().find_map(|action| match action {
                    Action::Barred { reason, .. } => Some(reason),
                    _ => None,
                })
            });
            if let Some(reason) = ended {
                break reason;
            }
        };
        assert_eq!(errors, expected, "{threads} threads");
        assert_eq!(reason, format!("{expected} errors in a row, the last: out of memory"));
        assert_eq!(bench.scheduler.stranded(run()), Some(reason.as_str()));
        assert!(bench.dispatch(ms(2)).is_empty());
    }
}

/// All the other slots have nothing to do meanwhile: it would take them long to come to the end of their row.
#[test]
fn an_episode_that_its_only_worker_cannot_do_is_tried_ten_times() {
    let mut bench = alone(8, 4);
    let bad = (CandidateIndex(3), TaskIndex(0));
    let mut tries = 0;
    let reason = loop {
        let given: Vec<_> = bench.dispatch(ms(1)).into_iter().flat_map(|(_, episodes)| episodes).collect();
        let (failed, done): (Vec<_>, Vec<_>) = given.into_iter().partition(|&episode| episode == bad);
        settle(&mut bench, &done, &fit());
        assert_eq!(failed.len(), 1, "after {tries} tries");
        tries += 1;
        let actions = settle(&mut bench, &failed, &error());
        if let Some(reason) = ends(&actions) {
            break reason.to_owned();
        }
    };
    assert_eq!(tries, 10);
    let expected = "candidate 3 on task 0 of generation 0 failed 10 times, on one worker, the last time with: out of memory";
    assert_eq!(reason, expected);
    bench.scheduler.pause(run());
    bench.scheduler.resume(run());
    assert_eq!(bench.dispatch(ms(2)), [(WorkerId(1), vec![bad])], "it is asked again after a resume");
}

use super::*;
use hebbian_shared::spec::external::Tolerance;

/// Lets all workers answer until nothing happens any more; the answers of each, and who has lied.
fn settle(
    bench: &mut Bench,
    says: impl Fn(WorkerId) -> Option<f64>,
) -> (BTreeMap<WorkerId, usize>, Vec<WorkerId>) {
    let (mut answers, mut lied) = (BTreeMap::new(), Vec::new());
    for now in 0..300 {
        for (worker, episodes) in bench.dispatch(ms(now)) {
            let Some(value) = says(worker) else { continue };
            *answers.entry(worker).or_default() += episodes.len();
            let outcome = Outcome::Evaluated(Evaluation::of(Fitness::new(value).unwrap()));
            let (_, actions) = bench.report(ms(now), worker, &episodes, &outcome);
            lied.extend(actions.into_iter().filter_map(|action| match action {
                Action::Lied { worker, .. } => Some(worker),
                _ => None,
            }));
        }
    }
    (answers, lied)
}

/// Workers that have answered before, and episodes of which this share is computed twice.
fn checked(workers: u64, share: f64) -> Bench {
    let mut bench = Bench::new(workers, 100, 1);
    bench.scheduler.settings.recheck = Recheck { share, secret: 5 };
    (1..=workers).for_each(|worker| bench.prove(WorkerId(worker)));
    bench
}

#[test]
fn what_is_picked_settles_when_two_workers_have_said_the_same() {
    for (share, expected) in [(0.0, 100..=100), (0.2, 110..=135), (1.0, 200..=200)] {
        let mut bench = checked(3, share);
        let (answers, lied) = settle(&mut bench, |_| Some(1.0));
        assert!(expected.contains(&answers.values().sum::<usize>()), "share {share}: {answers:?}");
        assert_eq!((bench.scheduler.unsettled(run()), lied), (0, vec![]));
    }
}

#[test]
fn a_liar_is_found_by_two_others_that_agree() {
    for liar in 1..=4 {
        let mut bench = checked(4, 1.0);
        let (_, lied) = settle(&mut bench, |worker| Some(if worker.0 == liar { 0.5 } else { 1.0 }));
        assert_eq!(bench.scheduler.unsettled(run()), 0);
        assert!(!lied.is_empty() && lied.iter().all(|worker| worker.0 == liar), "{lied:?}");
    }
}

#[test]
fn without_somebody_to_ask_the_first_word_will_do() {
    // One worker alone, another that has never answered, and another that goes away.
    let mut bench = checked(1, 1.0);
    bench.scheduler.attach(ms(0), WorkerId(2), 1);
    let (answers, _) = settle(&mut bench, |worker| (worker == WorkerId(1)).then_some(1.0));
    assert_eq!((bench.scheduler.unsettled(run()), answers[&WorkerId(1)]), (0, 100));
    let mut bench = checked(2, 1.0);
    for (worker, episodes) in bench.dispatch(ms(0)) {
        assert_eq!(bench.report(ms(1), worker, &episodes, &fit()).0, 0, "the other one has to say the same");
    }
    bench.scheduler.detach(WorkerId(2), &mut Vec::new());
    let (_, lied) = settle(&mut bench, |_| Some(1.0));
    assert_eq!((bench.scheduler.unsettled(run()), lied), (0, vec![]));
}

#[test]
fn two_that_disagree_wait_for_a_third() {
    let mut bench = checked(2, 1.0);
    let (_, lied) = settle(&mut bench, |worker| Some(worker.0 as f64));
    assert_eq!((bench.scheduler.unsettled(run()), lied), (100, vec![]));
    bench.scheduler.attach(ms(300), WorkerId(3), 1);
    let (_, lied) = settle(&mut bench, |worker| Some(if worker == WorkerId(1) { 1.0 } else { 2.0 }));
    assert_eq!(bench.scheduler.unsettled(run()), 0);
    assert!(!lied.is_empty() && lied.iter().all(|worker| *worker == WorkerId(1)), "{lied:?}");
}

#[test]
fn where_honest_answers_differ_nothing_is_computed_twice() {
    let mut bench = checked(3, 1.0);
    bench.scheduler.set_tolerance(run(), None);
    let (answers, lied) = settle(&mut bench, |worker| Some(worker.0 as f64));
    assert_eq!((answers.values().sum::<usize>(), lied), (100, vec![]));
}

#[test]
fn honest_answers_may_be_a_tolerance_apart() {
    let tolerance = Tolerance { absolute: 0.25, relative: 0.0 };
    let mut bench = checked(3, 1.0);
    bench.scheduler.set_tolerance(run(), Some(tolerance));
    let (_, lied) = settle(&mut bench, |worker| Some(1.0 + 0.125 * worker.0 as f64));
    assert_eq!((bench.scheduler.unsettled(run()), lied), (0, vec![]));
    // One that is further off than that from both of the others.
    let mut bench = checked(3, 1.0);
    bench.scheduler.set_tolerance(run(), Some(tolerance));
    let (_, lied) =
        settle(&mut bench, |worker| Some(if worker.0 == 3 { 2.0 } else { 0.125 * worker.0 as f64 }));
    assert_eq!(bench.scheduler.unsettled(run()), 0);
    assert!(!lied.is_empty() && lied.iter().all(|worker| worker.0 == 3), "{lied:?}");
}

use super::*;
use hebbian_shared::dispatch::BlockEpisodes;

fn given_back(episodes: Vec<(CandidateIndex, TaskIndex)>, generation: u32) -> BlockEpisodes {
    let (run, generation) = (run(), GenerationIndex(generation));
    BlockEpisodes { run, generation, purpose: EpisodePurpose::Search, block: BlockIndex(0), episodes }
}

#[test]
fn what_is_given_back_goes_to_others_at_once_and_counts_as_nothing() {
    let mut bench = Bench::new(2, 2, 1);
    let given = bench.dispatch(ms(0));
    let (leaver, episodes) = given[0].clone();
    bench.scheduler.drain(leaver, None);
    bench.scheduler.give_back(ms(1), leaver, &given_back(episodes.clone(), 1));
    assert_eq!(bench.scheduler.load(leaver).unwrap().leased as usize, episodes.len(), "another generation's");
    bench.scheduler.give_back(ms(1), leaver, &given_back(episodes.clone(), 0));
    // A second time it is nobody's any more.
    bench.scheduler.give_back(ms(1), leaver, &given_back(episodes.clone(), 0));
    bench.scheduler.check_invariants();
    assert_eq!(bench.scheduler.load(leaver).unwrap().leased, 0);
    // The other is busy until it has answered what it holds itself.
    let (other, own) = given[1].clone();
    bench.report(ms(1), other, &own, &fit());
    let again = bench.dispatch(ms(1));
    assert_eq!(again.len(), 1);
    assert_ne!(again[0].0, leaver);
    assert_eq!(again[0].1, episodes);
    let work = bench.scheduler.runs[&run()].work.as_ref().unwrap();
    assert!(work.setbacks.is_empty(), "no loss is counted");
}

#[test]
fn what_a_leaving_worker_still_holds_at_its_end_counts_as_no_loss() {
    for leaves in [false, true] {
        let mut bench = Bench::new(2, 2, 1);
        let (gone, episodes) = bench.dispatch(ms(0))[0].clone();
        if leaves {
            bench.scheduler.drain(gone, None);
        }
        bench.scheduler.detach(gone, &mut Vec::new());
        bench.scheduler.check_invariants();
        let entry = &bench.scheduler.runs[&run()];
        assert_eq!(entry.queued() as usize, episodes.len(), "it is handed out again");
        assert_eq!(entry.work.as_ref().unwrap().setbacks.is_empty(), leaves);
    }
}

#[test]
fn a_silent_worker_is_detached_unless_it_is_a_thread_of_the_same_process() {
    for detaches_silent in [true, false] {
        let mut bench = Bench::new(2, 2, 1);
        bench.scheduler.settings.detaches_silent = detaches_silent;
        bench.dispatch(ms(0));
        bench.scheduler.tick(ms(3_600_000), &mut Vec::new());
        bench.scheduler.check_invariants();
        assert_eq!(bench.scheduler.load(WorkerId(1)).is_none(), detaches_silent);
        // One that was asked to leave goes in time whatever else.
        bench.scheduler.attach(ms(3_600_000), WorkerId(3), 1);
        bench.scheduler.drain(WorkerId(3), Some(ms(3_600_001)));
        bench.scheduler.tick(ms(3_700_000), &mut Vec::new());
        assert!(bench.scheduler.load(WorkerId(3)).is_none());
    }
}

#[test]
fn a_worker_that_does_not_leave_in_time_is_detached() {
    let mut bench = Bench::new(2, 2, 1);
    bench.dispatch(ms(0));
    bench.scheduler.drain(WorkerId(1), Some(ms(1000)));
    // An earlier time counts, a later one does not.
    bench.scheduler.drain(WorkerId(1), Some(ms(5000)));
    let mut expired = Vec::new();
    for now in (0..2000).step_by(100) {
        for worker in [1, 2] {
            bench.scheduler.heard(ms(now), WorkerId(worker));
        }
        let mut actions = Vec::new();
        bench.scheduler.tick(ms(now), &mut actions);
        bench.scheduler.check_invariants();
        let gone = actions.iter().filter(|action| matches!(action, Action::Expired { .. }));
        expired.extend(gone.map(|_| now));
    }
    assert_eq!(expired.len(), 1);
    assert!((1000..1500).contains(&expired[0]), "{expired:?}");
    assert!(bench.scheduler.load(WorkerId(1)).is_none());
}

#[test]
fn who_holds_nothing_may_be_silent_for_longer() {
    let mut bench = Bench::new(2, 1, 1);
    let holder = bench.dispatch(ms(0))[0].0;
    let idle = WorkerId(3 - holder.0);
    let mut actions = Vec::new();
    bench.scheduler.tick(ms(4000), &mut actions);
    assert!(expired(&actions).contains(&holder), "{actions:?}");
    // What was lost goes to the other, which is believed to live at that moment and has to say so from then on.
    assert_eq!(bench.dispatch(ms(4001))[0].0, idle);
    let mut actions = Vec::new();
    bench.scheduler.tick(ms(6500), &mut actions);
    assert!(!expired(&actions).contains(&idle));
    bench.scheduler.tick(ms(8000), &mut actions);
    assert!(expired(&actions).contains(&idle), "{actions:?}");
    let mut bench = Bench::new(1, 0, 1);
    let mut actions = Vec::new();
    bench.scheduler.tick(ms(39_000), &mut actions);
    assert_eq!(actions, []);
    bench.scheduler.tick(ms(41_000), &mut actions);
    assert_eq!((expired(&actions), actions.len()), (vec![WorkerId(1)], 1));
}

#[test]
fn a_coordinator_that_is_behind_blames_nobody() {
    let mut bench = Bench::new(1, 1, 1);
    bench.dispatch(ms(0));
    bench.scheduler.set_behind(true);
    let mut actions = Vec::new();
    bench.scheduler.tick(ms(10_000), &mut actions);
    assert_eq!(actions, [], "its heartbeat may be waiting");
    bench.scheduler.set_behind(false);
    bench.scheduler.tick(ms(10_001), &mut actions);
    assert_eq!((expired(&actions), actions.len()), (vec![WorkerId(1)], 1));
}

#[test]
fn hedges_go_to_the_idle_in_turn() {
    let mut bench = Bench::new(5, 8, 1);
    (1..=5).for_each(|worker| bench.prove(WorkerId(worker)));
    let given = bench.dispatch(ms(0));
    let slow = given[0].0;
    for (worker, episodes) in given.iter().filter(|(worker, _)| *worker != slow) {
        bench.report_taking(ms(1), *worker, episodes, &fit(), Duration::from_micros(1));
    }
    // The rest of the queue goes to those that answered.
    for (worker, episodes) in bench.dispatch(ms(2)) {
        bench.report_taking(ms(3), worker, &episodes, &fit(), Duration::from_micros(1));
    }
    let held = bench.scheduler.load(slow).unwrap().leased;
    assert!(held > 0);
    let mut actions = Vec::new();
    bench.scheduler.tick(ms(1000), &mut actions);
    bench.scheduler.check_invariants();
    let hedged: Vec<WorkerId> = actions
        .iter()
        .filter_map(|action| match action {
            Action::Dispatch { worker, hedge: true, .. } => Some(*worker),
            _ => None,
        })
        .collect();
    let different: BTreeSet<&WorkerId> = hedged.iter().collect();
    assert!(!hedged.is_empty() && !hedged.contains(&slow), "{hedged:?}");
    assert_eq!(different.len(), hedged.len().min(4), "{hedged:?}");
}

//! Many seeded schedules of faults, on all cores, and what they met.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Checks every schedule, or the one that `HEBBIAN_SCHEDULE` names, at most `threads_max` at a time. Returns how often each
/// fault happened; nothing where one was named.
///
/// # Panics
/// If a check panics, naming the schedule; if one of `faults` happened less than `least` times in all: a test whose faults
/// never happen shows nothing.
pub fn check_all<F: Copy + Debug + Ord + Send>(
    schedules: u64,
    threads_max: u64,
    faults: &[F],
    least: u64,
    check: impl Fn(u64) -> BTreeMap<F, u64> + Sync,
) {
    if let Some(schedule) = std::env::var("HEBBIAN_SCHEDULE").ok().and_then(|text| text.parse().ok()) {
        println!("{:?}", check(schedule));
        return;
    }
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get() as u64).min(threads_max);
    let part = |first: u64| {
        let mut counts = BTreeMap::new();
        for schedule in (first..schedules).step_by(threads as usize) {
            let Ok(found) = catch_unwind(AssertUnwindSafe(|| check(schedule))) else {
                panic!("schedule {schedule} failed; run it again with HEBBIAN_SCHEDULE={schedule}");
            };
            add(&mut counts, found);
        }
        counts
    };
    let mut counts = BTreeMap::new();
    std::thread::scope(|scope| {
        let part = &part;
        let parts: Vec<_> = (0..threads).map(|first| scope.spawn(move || part(first))).collect();
        for part in parts {
            add(&mut counts, part.join().expect("no schedule fails"));
        }
    });
    println!("{schedules} schedules: {counts:?}");
    for fault in faults {
        let count = counts.get(fault).copied().unwrap_or(0);
        assert!(count >= least, "{fault:?} happened {count} times in {schedules} schedules");
    }
}

fn add<F: Ord>(counts: &mut BTreeMap<F, u64>, more: BTreeMap<F, u64>) {
    for (fault, count) in more {
        *counts.entry(fault).or_default() += count;
    }
}

//! Independent jobs on several threads, with results in the order of the jobs.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::ComparisonError;
use crate::interrupt::Interrupt;

/// The results of `job` for 0 .. `count`, computed on `threads` threads, each with its own `state`.
///
/// The first job that fails, in the order of the jobs that were done, fails the whole.
pub(super) fn map<S, T: Send>(
    count: usize,
    threads: usize,
    interrupt: &Interrupt,
    state: impl Fn() -> S + Sync,
    job: impl Fn(&mut S, usize) -> Result<T, ComparisonError> + Sync,
) -> Result<Vec<T>, ComparisonError> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut state = state();
        let mut results = Vec::new();
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            if place >= count {
                return results;
            }
            let result = if interrupt.is_raised() {
                Err(ComparisonError::Interrupted)
            } else {
                job(&mut state, place)
            };
            let failed = result.is_err();
            results.push((place, result));
            if failed {
                // Nobody starts another job.
                next.store(count, Ordering::Relaxed);
                return results;
            }
        }
    };
    let mut results: Vec<_> = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads.min(count)).map(|_| scope.spawn(work)).collect();
        let mut results = work();
        for other in others {
            results.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        results
    });
    results.sort_by_key(|(place, _)| *place);
    results.into_iter().map(|(_, result)| result).collect()
}

//! Which code an input has reached, where the compiler counts it (`tests/slow/run fuzzing` has it do so).
//!
//! With `-C passes=sancov-module` and `-sanitizer-coverage-inline-8bit-counters` every branch has a counter of a byte, and each module of
//! the program tells where its counters are before `main`. Without them, as in the test command, there are none, and nothing is new.

use std::sync::{Mutex, PoisonError};

/// Where the counters of the program's modules are: addresses and lengths.
static COUNTERS: Mutex<Vec<(usize, usize)>> = Mutex::new(Vec::new());

/// Called by each module of a program whose compiler counts.
///
/// # Safety
/// The bytes from `start` to `stop` are counters, and stay so as long as the program runs.
#[cfg(feature = "coverage")]
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __sanitizer_cov_8bit_counters_init(start: *mut u8, stop: *mut u8) {
    let (start, stop) = (start.addr(), stop.addr());
    let mut counters = COUNTERS.lock().unwrap_or_else(PoisonError::into_inner);
    if stop > start && !counters.contains(&(start, stop - start)) {
        counters.push((start, stop - start));
    }
}

/// What was reached so far: of each counter, the powers of two that it has come to.
pub(super) struct Reached {
    seen: Vec<u8>,
}

impl Reached {
    pub(super) fn new() -> Self {
        let counters = COUNTERS.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counters.iter().map(|(_, length)| length).sum();
        Self { seen: vec![0; count] }
    }

    /// Whether anything is counted.
    pub(super) fn is_counted(&self) -> bool {
        !self.seen.is_empty()
    }

    /// Branches that were ever reached.
    pub(super) fn branches(&self) -> usize {
        self.seen.iter().filter(|seen| **seen > 0).count()
    }

    /// Takes what was counted since the last time; whether something was reached that had not been, or more often.
    pub(super) fn take(&mut self) -> bool {
        let counters = COUNTERS.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut place, mut is_new) = (0, false);
        for &(start, length) in counters.iter() {
            let seen = &mut self.seen[place..place + length];
            place += length;
            is_new |= take(start, seen);
        }
        is_new
    }
}

/// Takes the counters at an address, as many as there is room for in `seen`, and sets them to 0.
#[cfg(feature = "coverage")]
#[allow(unsafe_code)]
fn take(start: usize, seen: &mut [u8]) -> bool {
    // SAFETY: the address and the length are those of counters, and only this thread runs code that is measured; a count that
    // another one adds meanwhile may be lost.
    let counters = unsafe { std::slice::from_raw_parts_mut(start as *mut u8, seen.len()) };
    let mut is_new = false;
    let (words, _) = counters.as_chunks_mut::<64>();
    let whole = words.len() * 64;
    for (words, seen) in words.iter_mut().zip(seen.chunks_mut(64)) {
        if words.iter().any(|count| *count != 0) {
            is_new |= take_each(words, seen);
        }
    }
    is_new | take_each(&mut counters[whole..], &mut seen[whole..])
}

#[cfg(feature = "coverage")]
fn take_each(counters: &mut [u8], seen: &mut [u8]) -> bool {
    let mut is_new = false;
    for (count, seen) in counters.iter_mut().zip(seen) {
        if *count > 0 {
            let reached = 1 << count.ilog2();
            is_new |= *seen & reached == 0;
            *seen |= reached;
            *count = 0;
        }
    }
    is_new
}

#[cfg(not(feature = "coverage"))]
fn take(_: usize, _: &mut [u8]) -> bool {
    false
}

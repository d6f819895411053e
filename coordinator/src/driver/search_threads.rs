//! Where searches advance: short ones where they are, all others on threads, so that the driver answers meanwhile and a large search does not
//! hold up the others.

use std::panic::{self, AssertUnwindSafe};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use hebbian_control::run::{Advance, Advanced};
use tokio::sync::mpsc::UnboundedSender;

use crate::timing::Timings;

/// The most threads; searches that come together wait for one another beyond that.
const SEARCH_THREADS_MAX: usize = 4;

/// Starts the threads; what was computed goes to `advanced`. They end with the sender, or when nobody listens.
pub(super) fn spawn(
    advanced: &UnboundedSender<Box<Advanced>>,
    timings: &Arc<Timings>,
) -> std::io::Result<Sender<Box<Advance>>> {
    let (sender, waiting) = mpsc::channel();
    let waiting = Arc::new(Mutex::new(waiting));
    let threads = thread::available_parallelism().map_or(1, |threads| threads.get().min(SEARCH_THREADS_MAX));
    for number in 0..threads {
        let (waiting, advanced, timings) = (Arc::clone(&waiting), advanced.clone(), Arc::clone(timings));
        thread::Builder::new().name(format!("search-{number}")).spawn(move || {
            while let Some(advance) = next(&waiting) {
                if advanced.send(compute(advance, &timings)).is_err() {
                    return;
                }
            }
        })?;
    }
    Ok(sender)
}

/// Computes it here. A search that panics ends neither the others nor the coordinator.
pub(super) fn compute(advance: Box<Advance>, timings: &Timings) -> Box<Advanced> {
    let place = advance.place();
    let computed = timings.searches.time(|| panic::catch_unwind(AssertUnwindSafe(|| advance.compute())));
    Box::new(computed.unwrap_or_else(|_| Advanced::broken_off(place)))
}

/// The next one, in the order of sending. The thread that waits for it holds the lock, and the others wait for the lock.
fn next(waiting: &Mutex<Receiver<Box<Advance>>>) -> Option<Box<Advance>> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

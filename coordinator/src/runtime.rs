//! Runtimes for asynchronous work. Tokio panics where the system has no descriptors or threads left for one, so both are asked for
//! before: what is missing is an error like any other.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::mpsc;
use std::thread;

use tokio::runtime::{Builder, Runtime};

/// Pairs of descriptors that are tried: a runtime polls with one, is woken by one, and hears of signals by four.
const PAIRS: usize = 4;

/// A runtime without threads of its own: whoever waits for its work does it.
pub fn on_this_thread() -> io::Result<Runtime> {
    build(&mut Builder::new_current_thread(), 0)
}

/// A runtime of so many threads; `set` says what else they are.
pub fn of_threads(threads: usize, set: impl FnOnce(&mut Builder)) -> io::Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(threads);
    set(&mut builder);
    build(&mut builder, threads)
}

fn build(builder: &mut Builder, threads: usize) -> io::Result<Runtime> {
    let pairs: Vec<_> = (0..PAIRS).map(|_| UnixStream::pair()).collect::<io::Result<_>>()?;
    let mut waiting = Vec::with_capacity(threads);
    for _ in 0..threads {
        let (end, ended) = mpsc::channel::<()>();
        let started = thread::Builder::new().spawn(move || ended.recv().is_ok());
        started.map_err(|error| {
            io::Error::new(error.kind(), format!("a thread could not be started: {error}"))
        })?;
        waiting.push(end);
    }
    drop((pairs, waiting));
    builder.enable_all().build()
}

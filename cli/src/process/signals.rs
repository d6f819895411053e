//! Signals: orderly ends, notices of schedulers, and the limit on file sizes.

use std::fs;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGHUP, SIGUSR1, SIGUSR2, SIGXCPU, SIGXFSZ};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::supervisor;

/// A process that was ended by signal n exits with this plus n, as shells report it.
const SIGNAL_EXIT_CODE: i32 = 128;

/// What SIGHUP, SIGUSR1, SIGUSR2 and SIGXCPU mean to a process. Unhandled, each ends it without a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notices {
    /// The end is near: a terminal was closed, a scheduler takes the machine away, computing time runs out. As the first
    /// SIGTERM. A SIGHUP that is ignored at the start (`nohup`) stays ignored.
    End,
    /// Nothing, and the process says so. SIGHUP is somebody else's.
    Nothing,
}

/// The token is cancelled by the first SIGINT or SIGTERM; the second one exits at once. To be called in a tokio
/// runtime, once per process, before there is anything to lose.
pub(crate) fn on_signal(notices: Notices) -> io::Result<CancellationToken> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut quit = match notices {
        Notices::End => Some(signal(SignalKind::quit())?),
        Notices::Nothing => None,
    };
    let mut hangup = match notices {
        Notices::End if !is_ignored(SIGHUP) => Some(signal(SignalKind::from_raw(SIGHUP))?),
        _ => None,
    };
    let mut first = signal(SignalKind::from_raw(SIGUSR1))?;
    let mut second = signal(SignalKind::from_raw(SIGUSR2))?;
    let mut time = signal(SignalKind::from_raw(SIGXCPU))?;
    let token = CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move {
        loop {
            let (name, end) = tokio::select! {
                _ = interrupt.recv() => ("SIGINT", Some(SignalKind::interrupt())),
                _ = terminate.recv() => ("SIGTERM", Some(SignalKind::terminate())),
                () = received(quit.as_mut()) => ("SIGQUIT", Some(SignalKind::quit())),
                () = received(hangup.as_mut()) => ("SIGHUP", None),
                _ = first.recv() => ("SIGUSR1", None),
                _ = second.recv() => ("SIGUSR2", None),
                _ = time.recv() => ("SIGXCPU", None),
            };
            match end {
                Some(kind) if cancelled.is_cancelled() => {
                    std::process::exit(SIGNAL_EXIT_CODE + kind.as_raw_value());
                }
                None if notices == Notices::Nothing => tracing::info!("{name} means nothing here"),
                _ if cancelled.is_cancelled() => {}
                _ => {
                    tracing::info!("{name}: this process ends");
                    supervisor::stopping();
                    cancelled.cancel();
                }
            }
        }
    });
    Ok(token)
}

async fn received(signal: Option<&mut Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

/// Whether whoever started this process wants a signal to be ignored, where that can be known.
fn is_ignored(signal: i32) -> bool {
    fs::read_to_string("/proc/self/status").is_ok_and(|status| ignored_mask(&status) >> (signal - 1) & 1 == 1)
}

fn ignored_mask(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

/// A file that may not grow any more (`ulimit -f`) is an error of a write, as a full disk is, and not the end of the process.
pub(crate) fn outlive_the_limit_on_file_sizes() {
    // Where the signal cannot be had, it does what it always did.
    let _ = signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nohup_has_set_is_read() {
        let status = "Name:\thebbian\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\nSigCgt:\t0000000180000000\n";
        let mask = ignored_mask(status);
        assert_eq!([SIGHUP, 2, 13].map(|signal| mask >> (signal - 1) & 1), [1, 0, 1]);
        assert_eq!(ignored_mask("Name: x"), 0);
    }
}

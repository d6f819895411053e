//! Orderly ends: the first SIGINT or SIGTERM asks the process to finish, the second ends it at once.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A process that was ended by signal n exits with this plus n, as shells report it.
const SIGNAL_EXIT_CODE: i32 = 128;

/// The token is cancelled by the first SIGINT or SIGTERM; the second one exits at once. To be called in a tokio
/// runtime, once per process, before there is anything to lose.
pub(crate) fn on_signal() -> io::Result<CancellationToken> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let token = CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move {
        loop {
            let kind = tokio::select! {
                _ = interrupt.recv() => SignalKind::interrupt(),
                _ = terminate.recv() => SignalKind::terminate(),
            };
            if cancelled.is_cancelled() {
                std::process::exit(SIGNAL_EXIT_CODE + kind.as_raw_value());
            }
            cancelled.cancel();
        }
    });
    Ok(token)
}

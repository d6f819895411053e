//! What a process tells the service manager that started it, by systemd's `sd_notify`. Where nobody listens it says nothing.

use std::convert::Infallible;

use sd_notify::NotifyState;

/// The process does now what it was started for.
pub(crate) fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// The process ends, in order.
pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Says again and again that this process is alive, as long as `answers` returns: a process that does so no more is killed and
/// started again. Without a watchdog (`WatchdogSec`) it waits for ever.
pub(crate) async fn watched(answers: impl AsyncFn()) -> Infallible {
    let Some(limit) = sd_notify::watchdog_enabled() else { return std::future::pending().await };
    // A zero limit has no half, and none that could be met.
    let mut turn = tokio::time::interval((limit / 2).max(std::time::Duration::from_millis(1)));
    turn.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        turn.tick().await;
        answers().await;
        tell(&[NotifyState::Watchdog]);
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the service manager cannot be told");
    }
}

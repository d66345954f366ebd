//! What systemd is told when it started us with `Type=notify`. Without it nothing happens here.

use std::convert::Infallible;

use sd_notify::NotifyState;

/// Tells it how we are.
pub(super) fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "systemd cannot be told how we are");
    }
}

/// Tells it, where the unit has `WatchdogSec`, again and again that we run: who hangs is silent, and is started anew.
/// Never resolves.
pub(super) async fn keep_telling() -> Infallible {
    let Some(limit) = sd_notify::watchdog_enabled().filter(|limit| !limit.is_zero()) else { return std::future::pending().await };
    // One that is late does no harm.
    let mut ticks = tokio::time::interval(limit / 3);
    loop {
        ticks.tick().await;
        tell(&[NotifyState::Watchdog]);
    }
}

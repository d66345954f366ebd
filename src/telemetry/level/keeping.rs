//! Takes over the filter that was asked for, on every instance: at its start, when a notice tells of a change, and by
//! looking now and then, because notices may be lost. It ends by itself, also when the database cannot be reached.

use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::{LogFilter, store, switch};
use crate::db::{Notice, within_deadline};
use crate::state::AppState;

/// How often it is looked for changes that no notice told of.
const SWEEP_INTERVAL: Duration = Duration::from_secs(30);
/// How long it waits, at least, between two looks: an end that is due now is due in a moment by another clock.
const LEAST_WAIT: Duration = Duration::from_millis(20);

/// Wakes the one who keeps the log level.
#[derive(Debug, Default)]
pub(crate) struct LogLevel {
    changed: Notify,
}

/// Takes note of what happened on some instance.
pub(crate) fn heed(state: &AppState, notice: Notice) {
    if matches!(notice, Notice::LogLevel | Notice::Missed) {
        state.log_level.changed.notify_one();
    }
}

/// Starts what goes on by itself; it ends with the service.
pub(crate) fn keep(state: &AppState) {
    state.lifecycle.spawn(keep_until(state.clone()));
}

async fn keep_until(state: AppState) {
    let stopping = state.lifecycle.stopping();
    let mut ends: Option<Instant> = None;
    loop {
        let looking =
            within_deadline(state.db.background(), "looking for the log level", async |connection| store::asked(connection).await);
        match looking.await {
            Ok(asked) => {
                ends = asked.as_ref().map(|asked| Instant::now() + Duration::from_secs_f64(asked.left_s.max(0.0)));
                // One that cannot be read is a newer version's, which may know more.
                switch(asked.and_then(|asked| LogFilter::read(&asked.filter).ok()));
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "{}: trying again", error.doing());
                if ends.is_some_and(|ends| ends <= Instant::now()) {
                    ends = None;
                    switch(None);
                }
            }
        }
        let wait = ends.map_or(SWEEP_INTERVAL, |ends| ends.saturating_duration_since(Instant::now()).clamp(LEAST_WAIT, SWEEP_INTERVAL));
        tokio::select! {
            () = stopping.cancelled() => return,
            () = state.log_level.changed.notified() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

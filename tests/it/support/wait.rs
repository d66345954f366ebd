//! Waiting for a state, never for a time.

use std::time::{Duration, Instant};

/// Longest wait for a state before the test fails.
const DEADLINE: Duration = Duration::from_secs(20);

/// Asks until `ask` answers, and fails when that never happens.
pub(crate) async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(state) = ask().await {
            return state;
        }
        assert!(started.elapsed() < DEADLINE, "not within {DEADLINE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

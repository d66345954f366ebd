//! What only the database knows and no other watch of the service has read already: asked now and then by one short
//! statement, so that a scrape finds an answer whether the database is there or not.

use std::time::{Duration, Instant};

use tokio::time::MissedTickBehavior;

use super::catalogue as names;
use super::meters::Work;
use crate::db::{DbError, within_deadline};
use crate::devices;
use crate::state::AppState;

/// Time between two looks whether the database is there.
const ASK_INTERVAL: Duration = Duration::from_secs(5);
/// Least time between two counts of devices, which are a pass over their table.
const COUNT_INTERVAL: Duration = Duration::from_secs(15);
/// They are counted again only after so many times as long as it took.
const COUNT_REST: u32 = 20;

/// Asks until the service stops.
pub(super) async fn watch_until(state: AppState) {
    let stopping = state.lifecycle.stopping();
    let reachable = names::DB_REACHABLE.with(&[]);
    let counting = Work::begin("device_counting", COUNT_INTERVAL);
    let mut ticks = tokio::time::interval(ASK_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut next_count = Instant::now();
    loop {
        let asking = async {
            ticks.tick().await;
            let answer = within_deadline(state.db.background(), "asking the primary whether it is there", async |connection| {
                sqlx::raw_sql("SELECT").execute(connection).await.map(|_| ())
            });
            let is_there = answer.await.is_ok();
            reachable.set(if is_there { 1.0 } else { 0.0 });
            if is_there && Instant::now() >= next_count {
                let started = Instant::now();
                if let Err(error) = counting.note(count(&state).await) {
                    tracing::debug!(error = &error as &dyn std::error::Error, "{}: trying again", error.doing());
                }
                next_count = started + (started.elapsed() * COUNT_REST).max(COUNT_INTERVAL);
            }
        };
        tokio::select! {
            () = stopping.cancelled() => return,
            () = asking => {}
        }
    }
}

async fn count(state: &AppState) -> Result<(), DbError> {
    let counted =
        within_deadline(state.db.background(), "counting devices by status", async |connection| devices::count_by_status(connection).await);
    for (status, count) in counted.await? {
        #[expect(clippy::cast_precision_loss, reason = "no count comes near 2^53")]
        names::FLEET_DEVICES.with(&[("status", status)]).set(count as f64);
    }
    Ok(())
}

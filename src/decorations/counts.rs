//! Keeps `decoration_counts` up with the decorations: writers leave deltas, this folds them in.

use std::time::Duration;

use sqlx::PgPool;
use tracing::Instrument;

use crate::db::{Db, DbError};
use crate::lifecycle::Lifecycle;
use crate::telemetry;
use crate::telemetry::prometheus::Work;

/// How often deltas are folded: well inside the 10 s that clusters may be behind.
const FOLD_INTERVAL: Duration = Duration::from_secs(2);

/// Folds the waiting deltas; returns how many there were. Any number of instances may do it at once; one
/// that comes second folds nothing.
///
/// # Errors
/// When the database fails.
pub async fn fold_counts(pool: &PgPool) -> Result<i64, sqlx::Error> {
    let mut all = 0;
    loop {
        // In pieces, each a transaction of its own.
        match sqlx::query_scalar!(r#"SELECT ar.fold_decoration_counts() AS "folded!""#).fetch_one(pool).await? {
            0 => return Ok(all),
            folded => all += folded,
        }
    }
}

/// Folds until the service stops.
pub async fn keep_counts_folded(db: Db, lifecycle: Lifecycle) {
    let stopping = lifecycle.stopping();
    let work = Work::begin("count_folding", FOLD_INTERVAL);
    let mut ticks = tokio::time::interval(FOLD_INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            _ = ticks.tick() => {}
        }
        match work.note(fold_counts(db.write()).instrument(telemetry::work("folding decoration counts")).await) {
            Ok(0) => {}
            Ok(folded) => tracing::debug!(folded, "decoration counts folded"),
            Err(error) => {
                let error = DbError::new("folding decoration counts", error);
                tracing::warn!(error = &error as &dyn std::error::Error, "decoration counts fall behind");
            }
        }
    }
}

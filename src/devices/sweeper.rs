//! Devices that fell silent are disconnected, and their places are free; exact positions are forgotten after
//! `LOCATION_RETENTION`.
//!
//! It reads the whole table each time: an index on the last sign of life would have to be changed with every
//! position, which costs far more than reading some ten megabytes now and then.

use std::time::Duration;

use sqlx::postgres::types::PgInterval;
use sqlx::{Acquire, PgConnection};
use tokio::time::MissedTickBehavior;
use tracing::Instrument;

use super::in_time;
use super::places::{self, Leaving};
use crate::db::{DbError, Round, begin_round, within_deadline};
use crate::state::AppState;
use crate::telemetry;
use crate::telemetry::prometheus::Work;

/// Devices of one transaction.
const PIECE: i64 = 1000;

/// Sweeps until the service stops.
pub(super) async fn run(state: AppState) {
    let stopping = state.lifecycle.stopping();
    let config = &state.supervision;
    let interval = (config.device_ping_timeout / 6).clamp(Duration::from_secs(1), Duration::from_secs(10));
    let work = Work::begin("device_sweep", interval);
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            _ = ticks.tick() => {}
        }
        match is_due(&state, interval).await {
            Ok(true) => {}
            Ok(false) => {
                work.went_well();
                continue;
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "silent devices stay a while longer");
                continue;
            }
        }
        match work.note(sweep(&state).instrument(telemetry::work("sweeping devices")).await) {
            Ok((0, 0)) => {}
            Ok((silent, forgotten)) => tracing::debug!(silent, forgotten, "silent devices were disconnected, old positions forgotten"),
            Err(error) => {
                let error = DbError::new("sweeping devices", error);
                tracing::warn!(error = &error as &dyn std::error::Error, "silent devices stay a while longer");
            }
        }
    }
}

/// Whether it is time, and no other instance sweeps: it would read the whole table once more.
async fn is_due(state: &AppState, interval: Duration) -> Result<bool, DbError> {
    let asking = within_deadline(state.db.background(), "beginning to sweep devices", async |connection| {
        begin_round(connection, Round::SweepDevices, interval, state.instance.id()).await
    });
    asking.await
}

fn interval_of(duration: Duration) -> PgInterval {
    PgInterval { months: 0, days: 0, microseconds: i64::try_from(duration.as_micros()).unwrap_or(i64::MAX) }
}

/// Disconnects who was silent, and forgets old positions, in pieces; how many of each.
async fn sweep(state: &AppState) -> Result<(usize, usize), sqlx::Error> {
    let config = &state.supervision;
    let (silence, retention) = (interval_of(config.device_ping_timeout), interval_of(config.location_retention));
    let is_last = |piece: usize| i64::try_from(piece).is_ok_and(|piece| piece < PIECE) || state.lifecycle.stopping().is_cancelled();
    let (mut silent, mut forgotten) = (0, 0);
    loop {
        let piece = in_time(disconnect_silent(state, &silence)).await?;
        silent += piece;
        if is_last(piece) {
            break;
        }
    }
    loop {
        let piece = in_time(forget_positions(state, &retention)).await?;
        forgotten += piece;
        if is_last(piece) {
            return Ok((silent, forgotten));
        }
    }
}

/// Disconnects some devices that were not heard of for so long; how many.
async fn disconnect_silent(state: &AppState, silence: &PgInterval) -> Result<usize, sqlx::Error> {
    let mut transaction = state.db.write().begin().await?;
    let connection: &mut PgConnection = transaction.acquire().await?;
    let silent = sqlx::query_as!(
        Leaving,
        // Whoever was not watched cannot have been silent.
        r#"SELECT device_id, edge_server_id FROM ar.device_connections
           WHERE connection_status <> 'disconnected' AND last_ping < now() - $1::interval
             AND (SELECT watched_from FROM ar.supervision) < now() - $1::interval
           ORDER BY device_id COLLATE "C" LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED"#,
        silence,
        PIECE
    )
    .fetch_all(&mut *connection)
    .await?;
    places::disconnect(connection, &silent).await?;
    transaction.commit().await?;
    Ok(silent.len())
}

/// Forgets where some devices are that were not heard of for so long; how many.
async fn forget_positions(state: &AppState, retention: &PgInterval) -> Result<usize, sqlx::Error> {
    let forgotten = sqlx::query!(
        r#"WITH old AS (
               SELECT device_id FROM ar.device_connections WHERE position IS NOT NULL AND positioned_at < now() - $1::interval
               ORDER BY device_id COLLATE "C" LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED
           )
           UPDATE ar.device_connections d SET position = NULL, cell_centre = NULL, h3_r7 = NULL, h3_r9 = NULL, accuracy_meters = NULL,
               recorded_at = NULL, edge_chosen_cell = NULL, positioned_at = NULL
           FROM old WHERE d.device_id = old.device_id"#,
        retention,
        PIECE
    )
    .execute(state.db.write())
    .await?;
    Ok(usize::try_from(forgotten.rows_affected()).unwrap_or(usize::MAX))
}

//! Moves devices off edges that are lost: offline, draining, switched off or deleted. Looked for every second, so
//! that they are elsewhere within 10 s of the edge's fall, also when their phones say nothing meanwhile.

use std::time::Duration;

use sqlx::{Acquire, PgConnection};
use tokio::time::MissedTickBehavior;
use tracing::Instrument;
use uuid::Uuid;

use super::in_time;
use super::places::{self, By, Place};
use crate::db::DbError;
use crate::state::AppState;
use crate::telemetry;
use crate::telemetry::prometheus::Work;

/// How often lost edges are looked for.
const INTERVAL: Duration = Duration::from_secs(1);
/// Devices of one transaction.
const PIECE: i64 = 500;
/// How long looking for lost edges may take. A connection that is half open would let it wait for ever.
const LOOK_TIMEOUT: Duration = Duration::from_secs(3);

/// Moves until the service stops.
pub(super) async fn run(state: AppState) {
    let stopping = state.lifecycle.stopping();
    let work = Work::begin("device_moving", INTERVAL);
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            _ = ticks.tick() => {}
        }
        match work.note(move_all(&state).instrument(telemetry::work("moving devices of lost edges")).await) {
            Ok(0) => {}
            Ok(moved) => tracing::info!(moved, "devices of lost edges were moved"),
            Err(error) => {
                let error = DbError::new("moving devices of lost edges", error);
                tracing::warn!(error = &error as &dyn std::error::Error, "devices of lost edges stay a while longer");
            }
        }
    }
}

/// Moves what there is to move; how many have another edge now, or none.
async fn move_all(state: &AppState) -> Result<usize, sqlx::Error> {
    let lost = lost_edges(state).await?;
    let mut moved = 0;
    let mut after = String::new();
    while !lost.is_empty() && !state.lifecycle.stopping().is_cancelled() {
        let (device_ids, placed) = in_time(move_some(state, &lost, &after)).await?;
        after = device_ids.last().cloned().unwrap_or_default();
        moved += placed.iter().filter(|place| place.settled && place.handover).count();
        let is_last = device_ids.len() < usize::try_from(PIECE).unwrap_or(usize::MAX);
        // Those that are not settled have their turn in a second.
        if is_last || placed.iter().all(|place| !place.settled) {
            break;
        }
    }
    Ok(moved)
}

/// Moves the next devices by id; which they are, and where they went.
async fn move_some(state: &AppState, lost: &[Uuid], after: &str) -> Result<(Vec<String>, Vec<Place>), sqlx::Error> {
    let mut transaction = state.db.write().begin_with(places::BEGIN).await?;
    let connection: &mut PgConnection = transaction.acquire().await?;
    let device_ids = lock_devices(connection, lost, after).await?;
    let placed = places::place(connection, &state.supervision.choice, &device_ids, By::Us).await?;
    transaction.commit().await?;
    places::note(&placed, By::Us);
    Ok((device_ids, placed))
}

/// Edges that have devices and should not.
async fn lost_edges(state: &AppState) -> Result<Vec<Uuid>, sqlx::Error> {
    let mut connection = state.db.background().acquire().await?;
    let lost = sqlx::query_scalar!(
        "SELECT e.id FROM ar.edge_load l JOIN ar.edge_servers e ON e.id = l.edge_server_id
         WHERE l.current_connections > 0 AND (NOT e.is_active OR e.deleted_at IS NOT NULL OR e.draining OR e.health_status = 'offline')"
    );
    let Ok(lost) = tokio::time::timeout(LOOK_TIMEOUT, lost.fetch_all(&mut *connection)).await else {
        connection.close_on_drop();
        return Err(sqlx::Error::PoolTimedOut);
    };
    lost
}

/// Locks some of their devices, in the order of their ids. Those that somebody else has locked are seen to by him, and
/// those that nobody takes off a draining edge (which has a reason, then) are tried again after 5 s.
async fn lock_devices(connection: &mut PgConnection, edge_ids: &[Uuid], after: &str) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT d.device_id FROM ar.device_connections d JOIN ar.edge_servers e ON e.id = d.edge_server_id
           WHERE d.edge_server_id = ANY($1) AND d.device_id COLLATE "C" > $3
             AND (NOT e.is_active OR e.deleted_at IS NOT NULL OR e.health_status = 'offline'
                  OR (e.draining AND (d.edge_reason IS NULL OR d.edge_chosen_at <= now() - interval '5 s')))
           ORDER BY d.device_id COLLATE "C" LIMIT $2 FOR NO KEY UPDATE OF d SKIP LOCKED"#,
        edge_ids,
        PIECE,
        after
    )
    .fetch_all(connection)
    .await
}

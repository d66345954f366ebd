//! Keeping this instance's row, from the start of the service to the end of its last socket.

use std::time::Duration;

use sqlx::PgConnection;
use tokio::time::MissedTickBehavior;

use super::store::{self, Beat};
use crate::db::{sql_layer_digest, within_deadline};
use crate::state::AppState;

/// Time between two beats: a lease outlasts three of them.
const BEAT_INTERVAL: Duration = Duration::from_secs(3);

/// Starts it; it ends with the service.
pub(crate) fn keep(state: &AppState) {
    state.lifecycle.spawn(beat_until(state.clone()));
}

async fn beat_until(state: AppState) {
    let (stopping, sql_layer) = (state.lifecycle.stopping(), sql_layer_digest());
    let ended = ended(&state);
    tokio::pin!(ended);
    let mut ticks = tokio::time::interval(BEAT_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let is_stopping = stopping.is_cancelled();
        tokio::select! {
            () = &mut ended => break,
            () = stopping.cancelled(), if !is_stopping => {}
            _ = ticks.tick() => {}
        }
        let beating = within_deadline(state.db.background(), "renewing this instance's lease", async |connection| {
            beat(&state, &sql_layer, connection).await
        });
        if let Err(error) = beating.await {
            tracing::warn!(error = &error as &dyn std::error::Error, "this instance may seem lost; trying again");
        }
    }
    let id = state.instance.id();
    let leaving = within_deadline(state.db.background(), "taking leave", async |connection| store::leave(connection, id).await);
    if let Err(error) = leaving.await {
        tracing::warn!(error = &error as &dyn std::error::Error, "this instance will seem lost for some minutes");
    }
}

/// Waits for the end of the last request and of the last socket, once the service stops.
async fn ended(state: &AppState) {
    state.lifecycle.drained().cancelled().await;
    state.hub.ended().await;
}

async fn beat(state: &AppState, sql_layer: &str, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let (edge_sockets, address) = (state.hub.edge_sockets(), state.instance.address());
    let beat = Beat {
        id: state.instance.id(),
        host: &state.instance.host,
        address: &address,
        sql_layer,
        is_stopping: state.lifecycle.stopping().is_cancelled(),
        edge_sockets,
        admin_sockets: state.hub.admin_sockets(),
    };
    store::beat(&mut *connection, &beat).await?;
    store::forget_gone(connection, &beat).await
}

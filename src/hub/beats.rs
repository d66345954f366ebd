//! Beats on their way to the database: the newest of each edge, written together once a second.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use uuid::Uuid;

use crate::db::within_deadline;
use crate::edges::{self, Beat};
use crate::metrics::history;
use crate::state::AppState;
use crate::telemetry::prometheus::Work;

/// Time between two writes.
const WRITE_INTERVAL: Duration = Duration::from_secs(1);

/// The newest beat of each edge; as many at most as there are edges with a key.
#[derive(Default)]
pub(super) struct Beats(Mutex<HashMap<Uuid, Beat>>);

impl Beats {
    /// Notes a beat; one that waits already is superseded, unless it is of a newer session.
    pub(super) fn put(&self, beat: Beat) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.get(&beat.edge_id).is_none_or(|known| known.generation <= beat.generation) {
            waiting.insert(beat.edge_id, beat);
        }
    }

    fn take(&self) -> Vec<Beat> {
        let beats = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        beats.into_values().collect()
    }

    /// Puts back what could not be written, unless there are newer ones.
    fn put_back(&self, beats: Vec<Beat>) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for beat in beats {
            waiting.entry(beat.edge_id).or_insert(beat);
        }
    }
}

/// Writes beats until the service stops and the last socket is closed. Whoever closes the sockets writes what waits
/// before: without its session, a beat is void.
pub(super) async fn write_until(state: AppState) {
    let work = Work::begin("beat_writing", WRITE_INTERVAL);
    let mut ticks = tokio::time::interval(WRITE_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = ended(&state) => return,
            _ = ticks.tick() => if write(&state).await {
                work.went_well();
            },
        }
    }
}

/// Waits for the end of the last socket, once the service stops.
async fn ended(state: &AppState) {
    state.lifecycle.stopping().cancelled().await;
    state.hub.ended().await;
}

/// Writes what waits; false when the database failed.
pub(super) async fn write(state: &AppState) -> bool {
    let beats = state.hub.beats.take();
    if beats.is_empty() {
        return true;
    }
    let noting = within_deadline(state.db.write(), "writing beats", async |connection| {
        edges::beat(connection, &beats, state.supervision.health_interval).await
    });
    if let Err(error) = noting.await {
        // One that was cut off may have been written, and would count twice.
        let may_repeat = !error.is_timeout();
        tracing::warn!(error = &error as &dyn std::error::Error, beats = beats.len(), may_repeat, "beats of edges were not written");
        if may_repeat {
            state.hub.beats.put_back(beats);
        }
        return false;
    }
    // After it, and by itself: a beat counts also where its measurements are lost.
    let samples = edges::samples(&beats);
    let keeping = within_deadline(state.db.write(), "keeping the measurements of beats", async |connection| {
        history::record(connection, &samples).await
    });
    if let Err(error) = keeping.await {
        tracing::warn!(error = &error as &dyn std::error::Error, beats = beats.len(), "measurements of edges are lost");
        return false;
    }
    true
}

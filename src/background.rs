//! What goes on by itself in a running service, and where notices from other instances go.

use crate::db::Notice;
use crate::state::AppState;
use crate::{accounts, db, decorations, devices, edges, hub, instances, maps, metrics, sync, telemetry};

/// Starts all of it, once the schema is in place; it ends with the service.
pub fn start(state: &AppState) {
    let lifecycle = &state.lifecycle;
    let heeding = state.clone();
    lifecycle.spawn(db::hear(state.db.clone(), lifecycle.clone(), move |notice| {
        match notice {
            Notice::Wrote(caller) => heeding.own_writes.note(caller),
            Notice::Missed => heeding.own_writes.note_everybody(),
            _ => {}
        }
        accounts::heed(&heeding, notice);
        hub::heed(&heeding, notice);
        sync::heed(&heeding, notice);
        maps::heed(&heeding, notice);
        telemetry::heed(&heeding, notice);
    }));
    lifecycle.spawn(db::watch_replica(state.db.clone(), lifecycle.clone()));
    instances::keep(state);
    lifecycle.spawn(decorations::keep_counts_folded(state.db.clone(), lifecycle.clone()));
    accounts::keep(state);
    edges::keep(state);
    devices::keep(state);
    metrics::keep(state);
    hub::keep(state);
    sync::keep(state);
    telemetry::keep(state);
}

//! What goes on by itself in a running service, and where notices from other instances go.

use crate::state::AppState;
use crate::{accounts, db, decorations, devices, edges, hub, maps, metrics, sync, telemetry};

/// Starts all of it, once the schema is in place; it ends with the service.
pub fn start(state: &AppState) {
    let lifecycle = &state.lifecycle;
    let heeding = state.clone();
    lifecycle.spawn(db::hear(state.db.clone(), lifecycle.clone(), move |notice| {
        accounts::heed(&heeding, notice);
        hub::heed(&heeding, notice);
        sync::heed(&heeding, notice);
        maps::heed(&heeding, notice);
        telemetry::heed(&heeding, notice);
    }));
    lifecycle.spawn(decorations::keep_counts_folded(state.db.clone(), lifecycle.clone()));
    accounts::keep(state);
    edges::keep(state);
    devices::keep(state);
    metrics::keep(state);
    hub::keep(state);
    sync::keep(state);
    telemetry::keep(state);
}

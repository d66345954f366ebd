//! What is looked at when somebody asks: what stands in the memory of a server, and how the process is. No waiting, no
//! database: what that was asked for lately, by `hub` for the live map and by `fleet`, is taken as it was.

use std::sync::{Mutex, PoisonError};

use tokio::runtime::Handle;

use super::catalogue as names;
use super::{RECORDING, meters};
use crate::db::Standing;
use crate::edges::Health;
use crate::hub::{FleetFigures, SocketFigures};
use crate::state::AppState;
use crate::sync::SyncFigures;

/// Several pages may be asked for at once, and what was looked at for one is to be on that one.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// The page of a server.
pub(super) fn text(state: &AppState) -> String {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    process(state);
    http(state);
    database(state);
    sockets(state);
    queues(state);
    fleet(state);
    RECORDING.handle.render()
}

/// A count, or a size, as Prometheus has all numbers.
#[expect(clippy::cast_precision_loss, reason = "no count of ours comes near 2^53")]
fn number(count: usize) -> f64 {
    count as f64
}

fn flag(is_so: bool) -> f64 {
    if is_so { 1.0 } else { 0.0 }
}

fn process(state: &AppState) {
    metrics_process::Collector::default().collect();
    let build = [
        ("version", env!("CARGO_PKG_VERSION")),
        ("commit", env!("AR_BUILD_COMMIT")),
        ("rustc", env!("AR_BUILD_RUSTC")),
        ("features", env!("AR_BUILD_FEATURES")),
    ];
    names::BUILD_INFO.with(&build).set(1.0);
    names::INSTANCE_INFO.with(&[("instance_id", &state.instance.id().to_string())]).set(1.0);
    let lifecycle = &state.lifecycle;
    let is_stopping = lifecycle.stopping().is_cancelled();
    let states = [
        ("starting", !is_stopping && !lifecycle.is_started()),
        ("serving", !is_stopping && lifecycle.is_started()),
        ("stopping", is_stopping),
    ];
    for (name, is_so) in states {
        names::STATE.with(&[("state", name)]).set(flag(is_so));
    }
    names::CLOCK_BEHIND.with(&[]).set(state.clock.ahead_s());
    let runtime = Handle::current().metrics();
    names::TASKS.with(&[]).set(number(runtime.num_alive_tasks()));
    names::TASKS_QUEUED.with(&[]).set(number(runtime.global_queue_depth()));
}

fn http(state: &AppState) {
    names::HTTP_IN_FLIGHT.with(&[]).set(number(state.requests_in_flight()));
    names::HTTP_IN_FLIGHT_MAX.with(&[]).set(number(crate::state::MAX_IN_FLIGHT));
    let (tiles, bytes) = state.tiles.kept();
    names::TILES_KEPT.with(&[]).set(number(tiles));
    names::TILES_KEPT_BYTES.with(&[]).set(number(bytes));
    // They count these themselves, for others too.
    let meters = meters();
    meters.accounts.hashes.absolute(state.accounts.hashes_done());
    meters.devices.reports_ignored.absolute(state.devices.ignored_reports());
}

fn database(state: &AppState) {
    names::DB_READS_REPLICA.with(&[]).set(flag(state.db.replica().is_some_and(|replica| replica.standing() == Standing::InUse)));
    for (pool, figures) in state.db.pools() {
        let of = |state| [("pool", pool), ("state", state)];
        names::DB_CONNECTIONS.with(&of("in_use")).set(number(figures.in_use));
        names::DB_CONNECTIONS.with(&of("idle")).set(number(figures.idle));
        names::DB_CONNECTIONS_MAX.with(&[("pool", pool)]).set(number(figures.max));
        if let Some(waiting) = figures.waiting {
            names::DB_WAITING.with(&[("pool", pool)]).set(number(waiting));
        }
    }
}

fn sockets(state: &AppState) {
    for (kind, figures) in state.hub.socket_figures() {
        let SocketFigures { open, queued, queued_bytes, longest_queue } = figures;
        let of = [("kind", kind)];
        names::SOCKETS_OPEN.with(&of).set(number(open));
        names::SOCKET_QUEUED.with(&of).set(number(queued));
        names::SOCKET_QUEUED_BYTES.with(&of).set(number(queued_bytes));
        names::SOCKET_QUEUE_LONGEST.with(&of).set(number(longest_queue));
    }
    names::SOCKETS_MAX.with(&[]).set(number(crate::hub::MAX_SOCKETS));
}

fn queues(state: &AppState) {
    let [positions, reports] = state.devices.queues();
    let queues = [
        ("positions", positions),
        ("reports", reports),
        ("acks", state.sync.ack_queue()),
        ("password_hashes", state.accounts.hash_queue()),
    ];
    for (queue, (waiting, capacity)) in queues {
        let of = [("queue", queue)];
        names::QUEUE_LENGTH.with(&of).set(number(waiting));
        names::QUEUE_CAPACITY.with(&of).set(number(capacity));
    }
    names::SYNC_IN_FLIGHT_BYTES.with(&[]).set(number(state.sync.bytes_in_flight()));
}

/// The system as this instance last saw it; nothing before it did.
fn fleet(state: &AppState) {
    let Some(figures) = state.hub.fleet_figures() else { return };
    let FleetFigures { by_health, inactive, connected, places, places_taken, fullest_region, clock_skew_s, sync, sync_lag_s } = figures;
    for (health, count) in [Health::Healthy, Health::Degraded, Health::Offline, Health::Unknown].into_iter().zip(by_health) {
        names::FLEET_EDGES.with(&[("health", health.as_str())]).set(number(count));
    }
    names::FLEET_EDGES_INACTIVE.with(&[]).set(number(inactive));
    names::FLEET_EDGES_CONNECTED.with(&[]).set(number(connected));
    names::FLEET_PLACES.with(&[]).set(places);
    names::FLEET_PLACES_TAKEN.with(&[]).set(places_taken);
    names::FLEET_FULLEST.with(&[]).set(fullest_region);
    names::FLEET_EDGE_SKEW.with(&[]).set(clock_skew_s);
    let SyncFigures { pending, outdated, failed, synced, .. } = sync;
    for (status, count) in [("pending", pending), ("outdated", outdated), ("failed", failed), ("synced", synced)] {
        #[expect(clippy::cast_precision_loss, reason = "no count of ours comes near 2^53")]
        names::FLEET_SYNC_PAIRS.with(&[("status", status)]).set(count as f64);
    }
    names::FLEET_SYNC_LAG.with(&[]).set(sync_lag_s);
}

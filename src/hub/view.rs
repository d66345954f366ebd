//! What admins see of the whole system, as read from the database: the same on every instance.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;
use tokio::time::Instant;
use utoipa::ToSchema;
use uuid::Uuid;

use super::alerts::Alert;
use crate::edges::Health;
use crate::geo::round_deg;
use crate::metrics;
use crate::sync::{self, SyncFigures};

/// An edge server as the feed shows it.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct EdgeSummary {
    /// Identity.
    pub(crate) id: Uuid,
    /// Name.
    pub(crate) name: String,
    /// Operator's label.
    pub(crate) region: String,
    /// Latitude in degrees.
    pub(crate) lat: f64,
    /// Longitude in degrees.
    pub(crate) lng: f64,
    /// Radius of its service area in kilometres, when none was drawn.
    pub(crate) service_radius_km: f64,
    /// Most devices it takes.
    pub(crate) max_connections: i32,
    /// Rises at every change by an admin.
    pub(crate) version: i64,
    /// True: it gets no new devices.
    pub(crate) draining: bool,
    /// False: chosen by nobody.
    pub(crate) is_active: bool,
    /// Whether it holds a socket.
    pub(crate) connected: bool,
    /// How it is.
    #[serde(flatten)]
    pub(crate) state: EdgeState,
}

/// What changes about an edge server all the time.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct EdgeState {
    /// How it is.
    pub(crate) health_status: Health,
    /// Why it is so; null when healthy.
    #[schema(required)]
    pub(crate) health_reason: Option<String>,
    /// Devices assigned to it.
    pub(crate) current_connections: i32,
    /// Connections it says it has.
    pub(crate) reported_connections: i32,
    /// CPU in use, per cent.
    #[schema(required)]
    pub(crate) cpu_usage: Option<f64>,
    /// Memory in use, per cent.
    #[schema(required)]
    pub(crate) memory_usage: Option<f64>,
    /// Last beat.
    #[schema(required)]
    pub(crate) last_ping: Option<DateTime<Utc>>,
    /// How far its clock is ahead.
    #[serde(skip)]
    pub(crate) clock_skew_s: Option<f64>,
}

/// Connected devices by edge server and by cell.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub(crate) struct DeviceCounts {
    /// All of them.
    pub(crate) total: i64,
    /// By edge server; null: those that have none.
    pub(crate) by_edge: Vec<EdgeCount>,
    /// By H3 cell at resolution 7, where at least ten different users are.
    pub(crate) by_cell: Vec<CellCount>,
}

/// Devices of an edge server.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct EdgeCount {
    /// The edge server.
    #[schema(required)]
    pub(crate) edge_server_id: Option<Uuid>,
    /// Its devices.
    pub(crate) count: i64,
}

/// Devices in a cell.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct CellCount {
    /// The cell.
    #[schema(example = "872830828ffffff")]
    pub(crate) cell: String,
    /// Devices in it.
    pub(crate) count: i64,
}

impl DeviceCounts {
    /// What is different from before; what is there no more counts 0.
    pub(super) fn since(&self, before: &Self) -> Self {
        let by_edge = changed(&before.by_edge, &self.by_edge, |count| (count.edge_server_id, count.count));
        let by_cell = changed(&before.by_cell, &self.by_cell, |count| (count.cell.clone(), count.count));
        Self {
            total: self.total,
            by_edge: by_edge.into_iter().map(|(edge_server_id, count)| EdgeCount { edge_server_id, count }).collect(),
            by_cell: by_cell.into_iter().map(|(cell, count)| CellCount { cell, count }).collect(),
        }
    }
}

/// The counts that are different now.
fn changed<T, K: Ord + Clone>(before: &[T], after: &[T], pair: impl Fn(&T) -> (K, i64)) -> Vec<(K, i64)> {
    let [before, after] = [before, after].map(|counts| counts.iter().map(&pair).collect::<BTreeMap<_, _>>());
    let keys: BTreeSet<&K> = before.keys().chain(after.keys()).collect();
    let now = |key: &K| after.get(key).copied().unwrap_or(0);
    keys.into_iter().filter(|key| before.get(*key).copied().unwrap_or(0) != now(key)).map(|key| (key.clone(), now(key))).collect()
}

/// Decorations at edges by how far they are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
#[schema(as = SyncTotals)]
pub(crate) struct SyncCounts {
    /// Never delivered.
    pub(crate) pending: i64,
    /// An older state is held.
    pub(crate) outdated: i64,
    /// Refused too often.
    pub(crate) failed: i64,
    /// Acknowledged.
    pub(crate) synced: i64,
    /// True: there are so many that `synced` is an estimate.
    pub(crate) synced_is_estimate: bool,
    /// Age of the oldest undelivered change by edge server that is connected.
    #[serde(skip)]
    pub(crate) lag_s: BTreeMap<Uuid, f64>,
}

impl SyncCounts {
    /// The counts alone.
    pub(super) fn figures(&self) -> SyncFigures {
        let Self { pending, outdated, failed, synced, synced_is_estimate, .. } = *self;
        SyncFigures { pending, outdated, failed, synced, synced_is_estimate }
    }
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub(super) struct View {
    pub(super) edges: BTreeMap<Uuid, EdgeSummary>,
    pub(super) devices: DeviceCounts,
    /// When devices were counted; none: never.
    pub(super) devices_at: Option<Instant>,
    pub(super) sync: SyncCounts,
    pub(super) alerts: BTreeMap<String, Alert>,
    /// Instances of the service that are gone without a word, and where they were.
    pub(super) lost_instances: Vec<(Uuid, String)>,
}

/// All edge servers.
pub(super) async fn edges(connection: &mut PgConnection) -> Result<BTreeMap<Uuid, EdgeSummary>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT e.id, e.name, e.region, e.location, e.service_radius_km, e.max_connections, e.version, e.draining, e.is_active,
               e.health_status AS "health_status: Health", e.health_reason, e.cpu_usage, e.memory_usage, e.last_ping, e.clock_skew_s,
               l.current_connections, l.reported_connections, s.edge_server_id IS NOT NULL AS "connected!"
           FROM ar.edge_servers e JOIN ar.edge_load l ON l.edge_server_id = e.id
           LEFT JOIN ar.edge_sessions s ON s.edge_server_id = e.id AND s.lease_until > now()
           WHERE e.deleted_at IS NULL"#
    );
    let rows = rows.fetch_all(&mut *connection).await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let state = EdgeState {
                health_status: row.health_status,
                health_reason: row.health_reason,
                current_connections: row.current_connections,
                reported_connections: row.reported_connections,
                cpu_usage: row.cpu_usage,
                memory_usage: row.memory_usage,
                last_ping: row.last_ping,
                clock_skew_s: row.clock_skew_s,
            };
            let edge = EdgeSummary {
                id: row.id,
                name: row.name,
                region: row.region,
                lat: round_deg(row.location.0.y()),
                lng: round_deg(row.location.0.x()),
                service_radius_km: row.service_radius_km,
                max_connections: row.max_connections,
                version: row.version,
                draining: row.draining,
                is_active: row.is_active,
                connected: row.connected,
                state,
            };
            (row.id, edge)
        })
        .collect())
}

/// Connected devices, in an order that does not change with their numbers.
pub(super) async fn devices(connection: &mut PgConnection) -> Result<DeviceCounts, sqlx::Error> {
    let counted = metrics::count_active_devices(connection).await?;
    let by_edge = counted.by_edge.into_iter().map(|edge| EdgeCount { edge_server_id: edge.edge_server_id, count: edge.count });
    let by_cell = counted.by_cell.into_iter().map(|cell| CellCount { cell: cell.cell.to_string(), count: cell.count });
    let (mut by_edge, mut by_cell): (Vec<_>, Vec<_>) = (by_edge.collect(), by_cell.collect());
    by_edge.sort_by_key(|edge| edge.edge_server_id);
    by_cell.sort_by(|a, b| a.cell.cmp(&b.cell));
    Ok(DeviceCounts { total: counted.total, by_edge, by_cell })
}

/// Decorations at edges.
pub(super) async fn sync(connection: &mut PgConnection) -> Result<SyncCounts, sqlx::Error> {
    let SyncFigures { pending, outdated, failed, synced, synced_is_estimate } = sync::figures(&mut *connection).await?;
    Ok(SyncCounts { pending, outdated, failed, synced, synced_is_estimate, lag_s: sync::lags(connection).await? })
}

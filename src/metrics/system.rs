//! How the system as a whole is: counts, the database, this process.
//!
//! Nothing here reads a large table that has a cheaper way: decorations are summed from their counts by cell (122 rows
//! at most); what is due and what failed of the synchronisation is counted by partial indexes, up to a million each; what
//! is synchronised is estimated from the planner's statistics once its table is large. Devices are counted, one pass over
//! their table, but every two seconds at most, whoever asks.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use sqlx::PgExecutor;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::db::within_deadline;
use crate::http::{AccessFailures, Admin, ApiError, Nothing, ReadFailures, StrictQuery};
use crate::state::AppState;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(system))
}

/// How the system is.
#[derive(Serialize, ToSchema)]
struct SystemState {
    #[serde(flatten)]
    figures: Figures,
    /// This process.
    process: ProcessFigures,
}

/// What the database tells, at most two seconds old.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct Figures {
    /// Decorations.
    decorations: DecorationFigures,
    /// Edge servers.
    edge_servers: EdgeFigures,
    /// Devices.
    devices: DeviceFigures,
    /// What edges hold of what they should hold.
    sync: SyncFigures,
    /// The database itself.
    database: DatabaseFigures,
}

/// Decorations.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct DecorationFigures {
    /// Those that phones may find; some seconds behind.
    pub(super) active: i64,
}

/// Edge servers that are not deleted. Each active one has one health.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct EdgeFigures {
    /// All, the inactive ones included.
    total: i64,
    /// Active and healthy.
    pub(super) healthy: i64,
    /// Active and degraded.
    pub(super) degraded: i64,
    /// Active and offline.
    pub(super) offline: i64,
    /// Active and never heard.
    unknown: i64,
    /// Active and handing over their devices.
    draining: i64,
    /// Set aside by an admin.
    inactive: i64,
    /// With an open socket to one of our instances.
    connected: i64,
}

/// Devices by status.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct DeviceFigures {
    /// All.
    total: i64,
    /// Heard of late.
    pub(super) connected: i64,
    /// Silent.
    disconnected: i64,
    /// In error.
    error: i64,
}

/// Pairs of edge and decoration by status. The first three are counted up to a million each.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct SyncFigures {
    /// Never delivered.
    pub(super) pending: i64,
    /// An older state is held.
    pub(super) outdated: i64,
    /// Refused too often.
    failed: i64,
    /// Acknowledged.
    synced: i64,
    /// True: there are so many pairs that `synced` is the planner's estimate.
    synced_is_estimate: bool,
}

/// The database.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct DatabaseFigures {
    /// Size on disk in bytes.
    size_bytes: i64,
    /// Connections to it, those of all instances and of others.
    connections: i64,
    /// Changes when it was restored from a backup.
    #[schema(required)]
    epoch: Option<String>,
    /// PostgreSQL's version.
    #[schema(example = "15.18")]
    version: String,
    /// `PostGIS`'s version.
    #[schema(example = "3.3.2")]
    postgis_version: String,
}

/// The process that answers.
#[derive(Serialize, ToSchema)]
struct ProcessFigures {
    /// The program's version.
    #[schema(example = "0.1.0")]
    version: &'static str,
    /// Since it started.
    uptime_seconds: u64,
    /// Memory it holds; null where the system does not tell.
    #[schema(required)]
    resident_bytes: Option<u64>,
    /// Requests under way, this one included.
    requests_in_flight: usize,
}

/// What one pass over the tables tells.
pub(super) struct Counts {
    pub(super) decorations: DecorationFigures,
    pub(super) edge_servers: EdgeFigures,
    pub(super) devices: DeviceFigures,
    pub(super) sync: SyncFigures,
}

/// How the system is
///
/// Counts of decorations, edge servers, devices and synchronisation, and figures of the database and of the process
/// that answers. Counts may be two seconds old.
#[utoipa::path(get, path = "/metrics/system", operation_id = "read_system_metrics", tag = "metrics", security(("bearer" = ["admin"])), responses(
    (status = 200, description = "As of now.", body = SystemState), AccessFailures, ReadFailures,
))]
async fn system(
    State(state): State<AppState>,
    _admin: Admin,
    StrictQuery(Nothing): StrictQuery<Nothing>,
) -> Result<Json<SystemState>, ApiError> {
    let metrics = &state.metrics;
    let ask = within_deadline(state.db.write(), "reading the system's figures", async |connection| {
        let Counts { decorations, edge_servers, devices, sync } = counts(&mut *connection).await?;
        Ok(Figures { decorations, edge_servers, devices, sync, database: database(connection).await? })
    });
    let figures = metrics.figures.read(ask).await?;
    let process = ProcessFigures {
        version: env!("CARGO_PKG_VERSION"),
        uptime_seconds: metrics.started.elapsed().as_secs(),
        resident_bytes: resident_bytes(),
        requests_in_flight: state.requests_in_flight(),
    };
    Ok(Json(SystemState { figures, process }))
}

/// Counts everything; see the head of this file for how.
pub(super) async fn counts(executor: impl PgExecutor<'_>) -> Result<Counts, sqlx::Error> {
    let row = sqlx::query!(
        r#"WITH edges AS (
               SELECT count(*) AS total,
                   count(*) FILTER (WHERE is_active AND health_status = 'healthy') AS healthy,
                   count(*) FILTER (WHERE is_active AND health_status = 'degraded') AS degraded,
                   count(*) FILTER (WHERE is_active AND health_status = 'offline') AS offline,
                   count(*) FILTER (WHERE is_active AND health_status = 'unknown') AS unknown,
                   count(*) FILTER (WHERE is_active AND draining) AS draining,
                   count(*) FILTER (WHERE NOT is_active) AS inactive
               FROM ar.edge_servers WHERE deleted_at IS NULL
           ), devices AS (
               SELECT count(*) AS total,
                   count(*) FILTER (WHERE connection_status = 'connected') AS connected,
                   count(*) FILTER (WHERE connection_status = 'disconnected') AS disconnected,
                   count(*) FILTER (WHERE connection_status = 'error') AS error
               FROM ar.device_connections
           ), due AS (
               SELECT count(*) FILTER (WHERE sync_status = 'pending') AS pending, count(*) FILTER (WHERE sync_status = 'outdated') AS outdated
               FROM (SELECT sync_status FROM ar.decoration_sync WHERE sync_status IN ('pending', 'outdated') LIMIT 1000000) AS s
           ), failed AS (
               SELECT count(*) AS failed FROM (SELECT FROM ar.decoration_sync WHERE sync_status = 'failed' LIMIT 1000000) AS s
           ), pairs AS (
               SELECT pg_relation_size(oid) > 128 * 1024 * 1024 AS many, reltuples::bigint AS estimate FROM pg_class WHERE oid = 'ar.decoration_sync'::regclass
           )
           SELECT edges.total AS "edges!", healthy AS "healthy!", degraded AS "degraded!", offline AS "offline!", unknown AS "unknown!",
               draining AS "draining!", inactive AS "inactive!",
               (SELECT count(*) FROM ar.edge_sessions WHERE lease_until > now()) AS "edges_connected!",
               devices.total AS "devices!", connected AS "connected!", disconnected AS "disconnected!", error AS "error!",
               pending AS "pending!", outdated AS "outdated!", failed AS "failed!", many AS "many!",
               CASE WHEN many THEN greatest(0, estimate - pending - outdated - failed)
                    ELSE (SELECT count(*) FROM ar.decoration_sync WHERE sync_status = 'synced') END AS "synced!",
               (SELECT coalesce(sum(n), 0)::bigint FROM gis.decoration_totals WHERE resolution = 0) AS "decorations!"
           FROM edges, devices, due, failed, pairs"#
    )
    .fetch_one(executor)
    .await?;
    Ok(Counts {
        decorations: DecorationFigures { active: row.decorations },
        edge_servers: EdgeFigures {
            total: row.edges,
            healthy: row.healthy,
            degraded: row.degraded,
            offline: row.offline,
            unknown: row.unknown,
            draining: row.draining,
            inactive: row.inactive,
            connected: row.edges_connected,
        },
        devices: DeviceFigures { total: row.devices, connected: row.connected, disconnected: row.disconnected, error: row.error },
        sync: SyncFigures {
            pending: row.pending,
            outdated: row.outdated,
            failed: row.failed,
            synced: row.synced,
            synced_is_estimate: row.many,
        },
    })
}

async fn database(executor: impl PgExecutor<'_>) -> Result<DatabaseFigures, sqlx::Error> {
    sqlx::query_as!(
        DatabaseFigures,
        r#"SELECT pg_database_size(current_database()) AS "size_bytes!",
               (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()) AS "connections!",
               (SELECT value FROM ar.meta WHERE key = 'epoch') AS epoch,
               split_part(current_setting('server_version'), ' ', 1) AS "version!", postgis_lib_version() AS "postgis_version!""#
    )
    .fetch_one(executor)
    .await
}

/// Memory this process holds, as Linux tells it.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib * 1024)
}

//! How the system as a whole is: counts, the database, this process.
//!
//! Nothing here reads a large table that has a cheaper way: decorations are summed from their counts by cell (122 rows
//! at most), and what edges hold is `sync::figures`. Devices are counted, one pass over their table, but every two
//! seconds at most, whoever asks.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use sqlx::{PgConnection, PgExecutor};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::db::{Replica, within_deadline};
use crate::http::{AccessFailures, Admin, ApiError, Nothing, ReadFailures, StrictQuery};
use crate::instances::{self, InstanceFigures};
use crate::state::AppState;
use crate::sync::{self, SyncFigures};

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
    /// The instances of the service, the oldest first.
    instances: Vec<InstanceFigures>,
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
    /// The run of the process, as in `instances`.
    instance_id: Uuid,
    /// The replica that discovery reads, as this process sees it; null when there is none.
    #[schema(required)]
    replica: Option<ReplicaFigures>,
}

/// The read replica.
#[derive(Serialize, ToSchema)]
struct ReplicaFigures {
    /// `in_use`; otherwise the primary is read instead, because it is `lagging`, `unreachable`, `no_replica` (promoted, or
    /// of another database) or still `unknown`.
    #[schema(example = "in_use")]
    state: &'static str,
    /// For how long it has been so.
    state_for_seconds: u64,
    /// How far it was behind when it was last asked.
    lag_seconds: f64,
}

impl ReplicaFigures {
    fn of(replica: &Replica) -> Self {
        let state = replica.standing().as_str();
        Self { state, state_for_seconds: replica.standing_for().as_secs(), lag_seconds: replica.lag().as_secs_f64() }
    }
}

/// What the tables tell.
pub(super) struct Counts {
    pub(super) decorations: DecorationFigures,
    pub(super) edge_servers: EdgeFigures,
    pub(super) devices: DeviceFigures,
    pub(super) sync: SyncFigures,
}

/// How the system is
///
/// Counts of decorations, edge servers, devices and synchronisation, the instances of the service, and figures of the
/// database and of the process that answers. Counts may be two seconds old.
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
        let database = database(&mut *connection).await?;
        Ok(Figures { decorations, edge_servers, devices, sync, database, instances: instances::all(connection).await? })
    });
    let figures = metrics.figures.read(ask).await?;
    let process = ProcessFigures {
        version: env!("CARGO_PKG_VERSION"),
        uptime_seconds: metrics.started.elapsed().as_secs(),
        resident_bytes: resident_bytes(),
        requests_in_flight: state.requests_in_flight(),
        instance_id: state.instance.id(),
        replica: state.db.replica().map(|replica| ReplicaFigures::of(replica)),
    };
    Ok(Json(SystemState { figures, process }))
}

/// Counts everything; see the head of this file for how.
pub(super) async fn counts(connection: &mut PgConnection) -> Result<Counts, sqlx::Error> {
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
           )
           SELECT edges.total AS "edges!", healthy AS "healthy!", degraded AS "degraded!", offline AS "offline!", unknown AS "unknown!",
               draining AS "draining!", inactive AS "inactive!",
               (SELECT count(*) FROM ar.edge_sessions WHERE lease_until > now()) AS "edges_connected!",
               devices.total AS "devices!", connected AS "connected!", disconnected AS "disconnected!", error AS "error!",
               (SELECT coalesce(sum(n), 0)::bigint FROM gis.decoration_totals WHERE resolution = 0) AS "decorations!"
           FROM edges, devices"#
    )
    .fetch_one(&mut *connection)
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
        sync: sync::figures(connection).await?,
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

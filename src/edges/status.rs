//! How an edge server is, and how it says so when it keeps no socket.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgExecutor;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::admin::unknown_edge;
use super::health::{self, Beat};
use super::keys::EdgeIdentity;
use super::model::Health;
use super::store;
use crate::db::DbError;
use crate::http::{AccessFailures, AdminOrEdge, ApiError, BodyFailures, JsonBody, NotFound, Nothing, PathId, ReadFailures, StrictQuery};
use crate::input::FieldReader;
use crate::metrics::history;
use crate::state::AppState;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(status)).routes(routes!(ping))
}

/// How an edge server is.
#[derive(Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "the names are those of the wire")]
struct Status {
    /// The edge server.
    edge_server_id: Uuid,
    /// How it is.
    health_status: Health,
    /// Why it is so; null when healthy.
    #[schema(required)]
    health_reason: Option<String>,
    /// CPU in use at the last beat, per cent.
    #[schema(required)]
    cpu_usage: Option<f64>,
    /// Memory in use at the last beat, per cent.
    #[schema(required)]
    memory_usage: Option<f64>,
    /// Devices assigned to it.
    current_connections: i32,
    /// Connections it says it has.
    reported_connections: i32,
    /// Most devices it takes.
    max_connections: i32,
    /// The greater of assigned and reported, as a share of the most.
    load: f64,
    /// True: it gets no new devices.
    draining: bool,
    /// Whether it holds a socket to one of our instances.
    connected: bool,
    /// Last beat.
    #[schema(required)]
    last_ping: Option<DateTime<Utc>>,
    /// Last probe.
    #[schema(required)]
    last_health_check: Option<DateTime<Utc>>,
    /// How far its clock was ahead of the database's at the last beat over a socket.
    #[schema(required)]
    clock_skew_seconds: Option<f64>,
    /// What it holds of what it should.
    sync: SyncCounts,
}

/// Decorations of an edge server by how far they are.
#[derive(Serialize, ToSchema)]
#[schema(as = EdgeSyncCounts)]
struct SyncCounts {
    /// Never delivered.
    pending: i64,
    /// An older state is held.
    outdated: i64,
    /// Refused too often.
    failed: i64,
    /// Acknowledged.
    synced: i64,
    /// Age of the oldest change that is not delivered; null when there is none.
    #[schema(required)]
    lag_seconds: Option<f64>,
}

/// The status of an edge server
#[utoipa::path(get, path = "/edge-servers/{id}/status", operation_id = "read_edge_status", tag = "edge servers", security(("bearer" = ["admin"]), ("edge" = [])),
    params(("id" = Uuid, Path, description = "The edge server.", example = "01890000-0000-7000-8000-000000000000")),
    responses((status = 200, description = "How it is.", body = Status), AccessFailures, ReadFailures, NotFound)
)]
async fn status(
    State(state): State<AppState>,
    _caller: AdminOrEdge,
    id: PathId,
    StrictQuery(Nothing): StrictQuery<Nothing>,
) -> Result<Json<Status>, ApiError> {
    let id = id.read().ok_or_else(unknown_edge)?;
    let failed = |error| DbError::new("reading the status of an edge server", error);
    let edge = store::by_id(state.db.write(), id).await.map_err(failed)?.ok_or_else(unknown_edge)?;
    let sync = sync_counts(state.db.write(), id).await.map_err(failed)?;
    let used = edge.current_connections.max(edge.reported_connections);
    Ok(Json(Status {
        edge_server_id: id,
        health_status: edge.health_status,
        health_reason: edge.health_reason,
        cpu_usage: edge.cpu_usage,
        memory_usage: edge.memory_usage,
        current_connections: edge.current_connections,
        reported_connections: edge.reported_connections,
        max_connections: edge.max_connections,
        load: f64::from(used) / f64::from(edge.max_connections),
        draining: edge.draining,
        connected: edge.connected,
        last_ping: edge.last_ping,
        last_health_check: edge.last_health_check,
        clock_skew_seconds: edge.clock_skew_s,
        sync,
    }))
}

async fn sync_counts(executor: impl PgExecutor<'_>, id: Uuid) -> Result<SyncCounts, sqlx::Error> {
    sqlx::query_as!(
        SyncCounts,
        r#"SELECT count(*) FILTER (WHERE sync_status = 'pending') AS "pending!", count(*) FILTER (WHERE sync_status = 'outdated') AS "outdated!",
               count(*) FILTER (WHERE sync_status = 'failed') AS "failed!", count(*) FILTER (WHERE sync_status = 'synced') AS "synced!",
               extract(epoch FROM now() - min(wanted_at) FILTER (WHERE sync_status IN ('pending', 'outdated')))::float8 AS lag_seconds
           FROM ar.decoration_sync WHERE edge_server_id = $1"#,
        id
    )
    .fetch_one(executor)
    .await
}

/// A beat.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents a body")]
struct PingBody {
    /// CPU in use, per cent.
    #[schema(minimum = 0, maximum = 100, example = 45.2)]
    cpu_usage: Option<f64>,
    /// Memory in use, per cent.
    #[schema(minimum = 0, maximum = 100, example = 67.8)]
    memory_usage: Option<f64>,
    /// Connections it has.
    #[schema(minimum = 0, maximum = 100_000_000, example = 23)]
    active_connections: Option<i64>,
}

/// What an edge server learns from its beat.
#[derive(Serialize, ToSchema)]
struct Pong {
    /// The supervisor's time.
    server_time: DateTime<Utc>,
    /// Decorations that wait for it.
    pending: i64,
}

/// Beat without a socket
///
/// For an edge server that keeps no socket: counts as its `health_update` does.
#[utoipa::path(post, path = "/edge-servers/{id}/ping", operation_id = "ping_edge_server", tag = "edge servers", security(("edge" = [])), request_body(content = Option<PingBody>),
    params(("id" = Uuid, Path, description = "The edge server itself.", example = "01890000-0000-7000-8000-000000000000")),
    responses((status = 200, description = "Noted.", body = Pong), AccessFailures, ReadFailures, BodyFailures)
)]
async fn ping(State(state): State<AppState>, edge: EdgeIdentity, body: Option<JsonBody>) -> Result<Json<Pong>, ApiError> {
    let nothing = Beat {
        edge_id: edge.edge_id,
        generation: None,
        cpu_usage: None,
        memory_usage: None,
        connections: None,
        clock_skew_s: None,
        bandwidth_mbps: None,
    };
    let beat = match body {
        None => nothing,
        Some(body) => body.read(|reader| {
            let [cpu_usage, memory_usage] = ["cpu_usage", "memory_usage"].map(|name| percentage(reader, name));
            let connections = reader.integer("active_connections", 0, 100_000_000).and_then(|number| i32::try_from(number).ok());
            Some(Beat { cpu_usage, memory_usage, connections, ..nothing })
        })?,
    };
    let work = state.clone();
    let noted = state.finish(async move {
        let failed = |error| DbError::new("noting a beat", error);
        let interval = work.supervision.health_interval;
        health::beat(work.db.write(), std::slice::from_ref(&beat), interval).await.map_err(failed)?;
        let mut connection = work.db.write().acquire().await.map_err(failed)?;
        history::record(&mut connection, &health::samples(&[beat])).await.map_err(failed)?;
        let pong = sqlx::query_as!(
            Pong,
            r#"SELECT now() AS "server_time!", count(*) AS "pending!" FROM ar.decoration_sync
               WHERE edge_server_id = $1 AND sync_status IN ('pending', 'outdated')"#,
            beat.edge_id
        );
        Ok(pong.fetch_one(&mut *connection).await.map_err(failed)?)
    });
    noted.await.map(Json)
}

fn percentage(reader: &mut FieldReader, name: &str) -> Option<f64> {
    reader.decimal(name, 0.0, 100.0)
}

//! Edge servers in the database.

use chrono::{DateTime, Utc};
use geo_types::{MultiPolygon, Point};
use sqlx::{Connection, PgConnection, PgExecutor};
use uuid::Uuid;

use super::content::Content;
use super::model::{Area, EdgeServer, Health};
use super::reach::{self, Covered, Reach};
use crate::db::DbError;
use crate::geo::{Geog, Geom, LatLng};
use crate::sync::{change_areas, mark_edge};

/// An edge server with a circular service area.
#[derive(Clone, Debug)]
pub struct NewEdge {
    /// Name.
    pub name: String,
    /// Operator's label, such as `eu-central`.
    pub region: String,
    /// Where phones reach it over HTTP.
    pub api_url: String,
    /// Where phones reach it over WebSocket.
    pub websocket_url: String,
    /// Where it stands.
    pub position: LatLng,
    /// Radius of its service area in kilometres, two decimals.
    pub service_radius_km: f64,
    /// Most devices it takes.
    pub max_connections: i32,
}

/// Adds an edge server with its area, the cells that cover it and what it is to hold; returns its id.
///
/// # Errors
/// When the database fails.
pub async fn add(connection: &mut PgConnection, edge: NewEdge) -> Result<Uuid, DbError> {
    let content = Content {
        name: edge.name,
        region: edge.region,
        api_url: edge.api_url,
        websocket_url: edge.websocket_url,
        position: edge.position,
        service_radius_km: edge.service_radius_km,
        service_area: None,
        max_connections: edge.max_connections,
        health_check_url: None,
        is_active: true,
    };
    let adding = async {
        let mut transaction = connection.begin().await?;
        let margin = change_areas(&mut transaction).await?;
        let id = insert(&mut transaction, &content, &Reach::of(&content).cover(margin)).await?;
        transaction.commit().await?;
        Ok(id)
    };
    adding.await.map_err(|error| DbError::new("adding an edge server", error))
}

/// A statement that gives edge servers, from what stands behind its columns. One text of the columns for all, so
/// that they cannot drift apart.
macro_rules! query_edges {
    ($after:literal $(, $argument:expr)* $(,)?) => {
        sqlx::query!(
            r#"SELECT e.id, e.name, e.region, e.api_url, e.websocket_url, e.location, e.service_radius_km,
                   coalesce(e.service_area_drawn, e.service_area::geometry(MultiPolygon, 4326)) AS "area!: Geom<MultiPolygon<f64>>",
                   e.service_area_given, e.max_connections, l.current_connections, l.reported_connections, e.version,
                   e.health_status AS "health_status: Health", e.health_reason, e.draining,
                   EXISTS (SELECT FROM ar.edge_sessions s WHERE s.edge_server_id = e.id AND s.lease_until > now()) AS "connected!",
                   e.health_check_url, e.last_health_check, e.last_ping, e.cpu_usage, e.memory_usage, e.is_active, e.created_at, e.updated_at,
                   e.clock_skew_s
               FROM ar.edge_servers e JOIN ar.edge_load l ON l.edge_server_id = e.id
               WHERE e.deleted_at IS NULL "# + $after
            $(, $argument)*
        )
        .try_map(|row| {
            let position = LatLng::new(row.location.0.y(), row.location.0.x()).map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
            Ok(EdgeServer {
                id: row.id,
                name: row.name,
                region: row.region,
                api_url: row.api_url,
                websocket_url: row.websocket_url,
                position: position.into(),
                service_radius_km: row.service_radius_km,
                service_area: Area { polygons: row.area.0, drawn: row.service_area_given },
                max_connections: row.max_connections,
                current_connections: row.current_connections,
                reported_connections: row.reported_connections,
                version: row.version,
                health_status: row.health_status,
                health_reason: row.health_reason,
                draining: row.draining,
                connected: row.connected,
                health_check_url: row.health_check_url,
                last_health_check: row.last_health_check,
                last_ping: row.last_ping,
                cpu_usage: row.cpu_usage,
                memory_usage: row.memory_usage,
                is_active: row.is_active,
                created_at: row.created_at,
                updated_at: row.updated_at,
                clock_skew_s: row.clock_skew_s,
            })
        })
    };
}

/// What a list shows.
#[derive(Clone, Debug)]
pub(super) struct Filters {
    pub(super) region: Option<String>,
    pub(super) health: Option<Health>,
}

/// Edge servers, newest first.
pub(super) async fn list(
    executor: impl PgExecutor<'_>,
    filters: &Filters,
    after: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> Result<Vec<EdgeServer>, sqlx::Error> {
    let (after_at, after_id) = after.unzip();
    query_edges!(
        r#"AND ($1::text IS NULL OR lower(e.region COLLATE "und-x-icu") = lower($1 COLLATE "und-x-icu"))
           AND ($2::text IS NULL OR e.health_status = $2)
           AND ($3::timestamptz IS NULL OR (e.created_at, e.id) < ($3, $4))
           ORDER BY e.created_at DESC, e.id DESC LIMIT $5"#,
        filters.region,
        filters.health.map(Health::as_str),
        after_at,
        after_id,
        limit
    )
    .fetch_all(executor)
    .await
}

/// One edge server.
pub(super) async fn by_id(executor: impl PgExecutor<'_>, id: Uuid) -> Result<Option<EdgeServer>, sqlx::Error> {
    query_edges!("AND e.id = $1", id).fetch_optional(executor).await
}

/// One edge server, locked against other changes.
pub(super) async fn lock(executor: impl PgExecutor<'_>, id: Uuid) -> Result<Option<EdgeServer>, sqlx::Error> {
    query_edges!("AND e.id = $1 FOR NO KEY UPDATE OF e", id).fetch_optional(executor).await
}

/// Adds an edge server, and marks what it is to hold: nobody else may change areas.
pub(super) async fn insert(connection: &mut PgConnection, content: &Content, covered: &Covered) -> Result<Uuid, sqlx::Error> {
    let id = Uuid::now_v7();
    sqlx::query!(
        "INSERT INTO ar.edge_servers (id, name, region, api_url, websocket_url, location, service_radius_km, max_connections,
             health_check_url, is_active, service_area_drawn, service_area_given, service_area)
         SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11::geometry, $11::geometry IS NOT NULL,
             -- A border's edges are plain latitude/longitude; short ones are as good as the great circles of a geography.
             coalesce(ST_Segmentize($11::geometry, 0.009)::geography, gis.circle_area($6, $12))",
        id,
        content.name,
        content.region,
        content.api_url,
        content.websocket_url,
        Geog(Point::from(content.position)) as _,
        content.service_radius_km,
        content.max_connections,
        content.health_check_url,
        content.is_active,
        content.service_area.clone().map(Geom) as _,
        content.radius().0
    )
    .execute(&mut *connection)
    .await?;
    reach::write(connection, id, covered).await?;
    mark_edge(connection, id).await?;
    Ok(id)
}

/// Replaces what an admin decides, one version higher.
pub(super) async fn update(connection: &mut PgConnection, id: Uuid, content: &Content) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE ar.edge_servers SET name = $2, region = $3, api_url = $4, websocket_url = $5, location = $6, service_radius_km = $7,
             max_connections = $8, health_check_url = $9::varchar, is_active = $10, service_area_drawn = $11::geometry,
             service_area_given = $11::geometry IS NOT NULL,
             service_area = coalesce(ST_Segmentize($11::geometry, 0.009)::geography, gis.circle_area($6, $12)),
             failed_probes = CASE WHEN health_check_url IS DISTINCT FROM $9::varchar THEN 0 ELSE failed_probes END,
             version = version + 1, updated_at = now()
         WHERE id = $1",
        id,
        content.name,
        content.region,
        content.api_url,
        content.websocket_url,
        Geog(Point::from(content.position)) as _,
        content.service_radius_km,
        content.max_connections,
        content.health_check_url,
        content.is_active,
        content.service_area.clone().map(Geom) as _,
        content.radius().0
    )
    .execute(connection)
    .await
    .map(|_| ())
}

/// What follows when an edge reaches elsewhere from now on, or serves again or no more: other cells, and what it is to
/// hold is marked. Nobody else may change areas.
pub(super) async fn reach_anew(connection: &mut PgConnection, id: Uuid, covered: &Covered) -> Result<(), sqlx::Error> {
    reach::write(connection, id, covered).await?;
    mark_edge(connection, id).await.map(|_| ())
}

/// Why a drawn area is not a clean one; none when it is.
pub(super) async fn fault_of(executor: impl PgExecutor<'_>, area: &MultiPolygon<f64>) -> Result<Option<String>, sqlx::Error> {
    let judged = sqlx::query!(
        r#"SELECT ST_IsValid(a.area) AS "valid!", ST_IsValidReason(a.area) AS "reason!" FROM (SELECT $1::geometry AS area) AS a"#,
        Geom(area.clone()) as _
    );
    let judged = judged.fetch_one(executor).await?;
    Ok((!judged.valid).then_some(judged.reason))
}

/// Takes an edge server out of service for good: its keys and what it was to hold go, its history stays. Nobody may
/// mark for it meanwhile.
pub(super) async fn delete(connection: &mut PgConnection, id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!("UPDATE ar.edge_servers SET deleted_at = now(), updated_at = now(), version = version + 1 WHERE id = $1", id)
        .execute(&mut *connection)
        .await?;
    sqlx::query!("DELETE FROM ar.edge_coverage WHERE edge_server_id = $1", id).execute(&mut *connection).await?;
    // In the order in which all take them.
    sqlx::query!(
        "DELETE FROM ar.decoration_sync s USING (
             SELECT decoration_id FROM ar.decoration_sync WHERE edge_server_id = $1 ORDER BY decoration_id FOR UPDATE
         ) AS locked
         WHERE s.edge_server_id = $1 AND s.decoration_id = locked.decoration_id",
        id
    )
    .execute(&mut *connection)
    .await?;
    // Its sessions go with the keys that opened them.
    sqlx::query!("DELETE FROM ar.edge_keys WHERE edge_server_id = $1", id).execute(connection).await.map(|_| ())
}

/// Begins a drain, or ends it; false when it was so already.
pub(super) async fn set_draining(connection: &mut PgConnection, id: Uuid, grace_s: Option<f64>) -> Result<bool, sqlx::Error> {
    let changed = sqlx::query!(
        "UPDATE ar.edge_servers SET draining = $2::float8 IS NOT NULL, drain_deadline = now() + make_interval(secs => $2),
             version = version + 1, updated_at = now()
         WHERE id = $1 AND draining = ($2::float8 IS NULL)",
        id,
        grace_s
    );
    changed.execute(connection).await.map(|done| done.rows_affected() == 1)
}

/// Tells every instance that an edge server changed, once the transaction is committed.
pub(crate) async fn announce(connection: &mut PgConnection, id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!("SELECT pg_notify('ar', 'edge:' || $1::uuid)", id).execute(connection).await.map(|_| ())
}

//! Registering edge servers.

use geo_types::Point;
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use super::coverage::circle_cells;
use crate::db::DbError;
use crate::geo::{Cell, Geog, LatLng, Metres};

/// How far beyond its service area an edge holds decorations, so that it has them before a phone gets there.
pub(crate) const SYNC_MARGIN: Metres = Metres(500.0);

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

/// Adds an edge server with its area and the cells that cover the area grown by `sync_margin`; returns its id.
///
/// # Errors
/// When the database fails.
pub async fn add(connection: &mut PgConnection, edge: &NewEdge, sync_margin: Metres) -> Result<Uuid, DbError> {
    insert(connection, edge, sync_margin).await.map_err(|error| DbError::new("adding an edge server", error))
}

async fn insert(connection: &mut PgConnection, edge: &NewEdge, sync_margin: Metres) -> Result<Uuid, sqlx::Error> {
    let id = Uuid::now_v7();
    let radius = Metres(edge.service_radius_km * 1000.0);
    let cells: Vec<i64> = circle_cells(edge.position, Metres(radius.0 + sync_margin.0)).into_iter().map(Cell::to_db).collect();
    let mut transaction = connection.begin().await?;
    sqlx::query!(
        "INSERT INTO ar.edge_servers (id, name, region, api_url, websocket_url, location, service_radius_km, service_area, max_connections)
         VALUES ($1, $2, $3, $4, $5, $6, $7, gis.circle_area($6, $8), $9)",
        id,
        edge.name,
        edge.region,
        edge.api_url,
        edge.websocket_url,
        Geog(Point::from(edge.position)),
        edge.service_radius_km,
        radius.0,
        edge.max_connections
    )
    .execute(&mut *transaction)
    .await?;
    sqlx::query!("INSERT INTO ar.edge_coverage (h3_cell, edge_server_id) SELECT cell, $2 FROM unnest($1::bigint[]) AS cell", &cells, id)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(id)
}

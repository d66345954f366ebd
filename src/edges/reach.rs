//! How far an edge reaches: its service area, and the cells that cover it with the sync margin around.
//!
//! With every edge stands the margin that its cells were made with. It is never less than the margin in force, so
//! cells may be too many, never too few.

use std::collections::HashSet;

use geo_types::MultiPolygon;
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use super::content::Content;
use super::coverage::{area_cells, circle_cells};
use super::model::EdgeServer;
use crate::geo::{Cell, Geom, LatLng, Metres};

/// What decides where an edge serves.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Reach {
    /// All within `radius` of `centre`.
    Circle { centre: LatLng, radius: Metres },
    /// What an admin drew.
    Drawn(MultiPolygon<f64>),
}

/// Cells that cover a reach with a margin around.
pub(crate) struct Covered {
    cells: Vec<i64>,
    pub(super) margin: Metres,
}

/// An edge whose cells were made with another margin.
pub(crate) struct Uneven {
    pub(crate) id: Uuid,
    /// Its reach is as of this version.
    pub(crate) version: i64,
    pub(crate) reach: Reach,
}

impl Reach {
    /// As an admin says.
    pub(super) fn of(content: &Content) -> Self {
        match &content.service_area {
            Some(area) => Self::Drawn(area.clone()),
            None => Self::Circle { centre: content.position, radius: content.radius() },
        }
    }

    /// Whether an edge reaches so as it is.
    pub(super) fn is_that_of(&self, edge: &EdgeServer) -> bool {
        match self {
            Self::Drawn(area) => edge.service_area.drawn && edge.service_area.polygons == *area,
            Self::Circle { centre, radius } => {
                !edge.service_area.drawn && edge.position == (*centre).into() && Metres(edge.service_radius_km * 1000.0) == *radius
            }
        }
    }

    /// The cells that cover it, each once. It may take a while for a large area.
    pub(crate) fn cover(&self, margin: Metres) -> Covered {
        let cells = match self {
            Self::Drawn(area) => area_cells(area, margin),
            Self::Circle { centre, radius } => circle_cells(*centre, Metres(radius.0 + margin.0)),
        };
        Covered { cells: cells.into_iter().collect::<HashSet<_>>().into_iter().map(Cell::to_db).collect(), margin }
    }
}

/// Writes the cells of an edge whose row is locked, and the margin that they were made with.
pub(super) async fn write(connection: &mut PgConnection, id: Uuid, covered: &Covered) -> Result<(), sqlx::Error> {
    sqlx::query!("UPDATE ar.edge_servers SET covered_margin_m = $2 WHERE id = $1", id, covered.margin.0).execute(&mut *connection).await?;
    sqlx::query!("DELETE FROM ar.edge_coverage WHERE edge_server_id = $1 AND h3_cell <> ALL ($2)", id, &covered.cells)
        .execute(&mut *connection)
        .await?;
    sqlx::query!(
        "INSERT INTO ar.edge_coverage (h3_cell, edge_server_id) SELECT cell, $2 FROM unnest($1::bigint[]) AS cell ON CONFLICT DO NOTHING",
        &covered.cells,
        id
    )
    .execute(connection)
    .await
    .map(|_| ())
}

/// Covers an edge anew, unless an admin changed it since it was read; whether it was.
pub(crate) async fn cover_anew(connection: &mut PgConnection, edge: &Uneven, covered: &Covered) -> Result<bool, sqlx::Error> {
    let lock = sqlx::query!(
        "SELECT FROM ar.edge_servers WHERE id = $1 AND version = $2 AND deleted_at IS NULL FOR NO KEY UPDATE",
        edge.id,
        edge.version
    );
    if lock.fetch_optional(&mut *connection).await?.is_none() {
        return Ok(false);
    }
    write(connection, edge.id, covered).await?;
    Ok(true)
}

/// Some edges whose cells were made with a smaller margin than this, or with a larger one.
pub(crate) async fn uneven(executor: impl PgExecutor<'_>, margin: Metres, smaller: bool, limit: i64) -> Result<Vec<Uneven>, sqlx::Error> {
    sqlx::query!(
        r#"SELECT id, version, location, service_radius_km,
               CASE WHEN service_area_given THEN coalesce(service_area_drawn, service_area::geometry(MultiPolygon, 4326)) END
                   AS "drawn: Geom<MultiPolygon<f64>>"
           FROM ar.edge_servers
           WHERE deleted_at IS NULL AND CASE WHEN $2 THEN covered_margin_m < $1 ELSE covered_margin_m > $1 END ORDER BY id LIMIT $3"#,
        margin.0,
        smaller,
        limit
    )
    .try_map(|row| {
        let centre = LatLng::new(row.location.0.y(), row.location.0.x()).map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
        let circle = Reach::Circle { centre, radius: Metres(row.service_radius_km * 1000.0) };
        Ok(Uneven { id: row.id, version: row.version, reach: row.drawn.map_or(circle, |drawn| Reach::Drawn(drawn.0)) })
    })
    .fetch_all(executor)
    .await
}

/// Some edges that are not removed, by id.
pub(crate) async fn ids(executor: impl PgExecutor<'_>, after: Uuid, limit: i64) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!("SELECT id FROM ar.edge_servers WHERE deleted_at IS NULL AND id > $1 ORDER BY id LIMIT $2", after, limit)
        .fetch_all(executor)
        .await
}

//! Regions and edge servers put in by SQL.

use ar_supervisor::db::DbError;
use ar_supervisor::edges::circle_cells;
use ar_supervisor::geo::{Cell, Geog, LatLng, Metres};
use ar_supervisor::regions::{Kind, NewRegion, put_all};
use geo_types::{LineString, MultiPolygon, Point, Polygon};
use sqlx::PgPool;
use uuid::Uuid;

use super::position;

/// A region to be: a square degree at 0, 0 unless told otherwise.
pub(crate) struct RegionBuilder<'a> {
    sql: &'a PgPool,
    region: NewRegion,
}

impl<'a> RegionBuilder<'a> {
    pub(super) fn new(sql: &'a PgPool, code: &str, name: &str) -> Self {
        let border = MultiPolygon(vec![rectangle([0.0, 0.0, 1.0, 1.0])]);
        Self { sql, region: NewRegion { code: code.to_owned(), name: name.to_owned(), kind: Kind::Country, parent_code: None, border } }
    }

    pub(crate) fn kind(mut self, kind: Kind) -> Self {
        self.region.kind = kind;
        self
    }

    pub(crate) fn within(mut self, parent_code: &str) -> Self {
        self.region.parent_code = Some(parent_code.to_owned());
        self
    }

    /// Boxes: south, west, north, east.
    pub(crate) fn boxes(mut self, boxes: &[[f64; 4]]) -> Self {
        self.region.border = MultiPolygon(boxes.iter().copied().map(rectangle).collect());
        self
    }

    /// One polygon of longitudes and latitudes.
    pub(crate) fn polygon(mut self, lng_lat_deg: &[(f64, f64)]) -> Self {
        self.region.border = MultiPolygon(vec![Polygon::new(LineString::from(lng_lat_deg.to_vec()), Vec::new())]);
        self
    }

    pub(crate) async fn insert(self) {
        self.try_insert().await.expect("the region goes in");
    }

    pub(crate) async fn try_insert(self) -> Result<(), DbError> {
        let mut connection = self.sql.acquire().await.expect("connects");
        put_all(&mut connection, &[self.region]).await
    }
}

fn rectangle([south, west, north, east]: [f64; 4]) -> Polygon<f64> {
    Polygon::new(LineString::from(vec![(west, south), (east, south), (east, north), (west, north)]), Vec::new())
}

/// An edge server to be.
pub(crate) struct EdgeBuilder<'a> {
    sql: &'a PgPool,
    id: Uuid,
    region: String,
    place: LatLng,
    radius_km: f64,
    area: Option<String>,
    is_active: bool,
}

impl<'a> EdgeBuilder<'a> {
    pub(super) fn new(sql: &'a PgPool, region: &str) -> Self {
        Self { sql, id: Uuid::now_v7(), region: region.to_owned(), place: position(0.0, 0.0), radius_km: 5.0, area: None, is_active: true }
    }

    pub(crate) fn at(self, lat_deg: f64, lng_deg: f64) -> Self {
        Self { place: position(lat_deg, lng_deg), ..self }
    }

    pub(crate) fn id(self, id: Uuid) -> Self {
        Self { id, ..self }
    }

    pub(crate) fn radius_km(self, radius_km: f64) -> Self {
        Self { radius_km, ..self }
    }

    /// A service area given as well-known text of a multipolygon.
    pub(crate) fn area(self, wkt: &str) -> Self {
        Self { area: Some(wkt.to_owned()), ..self }
    }

    pub(crate) fn inactive(self) -> Self {
        Self { is_active: false, ..self }
    }

    /// Puts it in, with the cells of its circle grown by the sync margin.
    pub(crate) async fn insert(self) -> Uuid {
        let cells: Vec<i64> = circle_cells(self.place, Metres(self.radius_km * 1000.0 + 500.0)).into_iter().map(Cell::to_db).collect();
        sqlx::query_scalar(
            "WITH edge AS (INSERT INTO ar.edge_servers (id, name, region, api_url, websocket_url, location, service_radius_km, service_area, service_area_given, is_active)
             VALUES ($7, 'edge', $1, 'https://edge.example.org', 'wss://edge.example.org', $2, $3,
                     coalesce(ST_GeogFromText($4), gis.circle_area($2, $3 * 1000)), $4 IS NOT NULL, $5)
             RETURNING id),
             covered AS (INSERT INTO ar.edge_coverage (h3_cell, edge_server_id) SELECT cell, edge.id FROM edge, unnest($6::bigint[]) AS cell)
             SELECT id FROM edge",
        )
        .bind(&self.region)
        .bind(Geog(Point::from(self.place)))
        .bind(self.radius_km)
        .bind(&self.area)
        .bind(self.is_active)
        .bind(cells)
        .bind(self.id)
        .fetch_one(self.sql)
        .await
        .expect("the edge goes in")
    }
}

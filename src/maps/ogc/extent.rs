//! The box that a collection's features lie in.

use sqlx::PgConnection;

use super::collection::Extent;

/// West, south, east and north in degrees; nothing when there are no features.
pub(super) async fn read(connection: &mut PgConnection, extent: Extent) -> Result<Option<[f64; 4]>, sqlx::Error> {
    match extent {
        Extent::World => Ok(Some([-180.0, -90.0, 180.0, 90.0])),
        Extent::Decorations => {
            // A hundred rows, kept by every change; to look at all decorations takes half a second for a million.
            let row = sqlx::query!(
                "SELECT min(min_lng_deg) AS west, min(min_lat_deg) AS south, max(max_lng_deg) AS east, max(max_lat_deg) AS north
                 FROM gis.decoration_totals WHERE resolution = 0"
            );
            let row = row.fetch_one(connection).await?;
            Ok(corners(row.west, row.south, row.east, row.north))
        }
        Extent::Edges => {
            let row = sqlx::query!(
                "SELECT ST_XMin(box) AS west, ST_YMin(box) AS south, ST_XMax(box) AS east, ST_YMax(box) AS north
                 FROM (SELECT ST_Extent(geom) AS box FROM gis.edges) AS e"
            );
            let row = row.fetch_one(connection).await?;
            Ok(corners(row.west, row.south, row.east, row.north))
        }
    }
}

fn corners(west: Option<f64>, south: Option<f64>, east: Option<f64>, north: Option<f64>) -> Option<[f64; 4]> {
    Some([west?, south?, east?, north?])
}

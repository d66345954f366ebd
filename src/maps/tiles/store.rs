//! Asks the database for a tile. What is in it is decided there.

use std::time::Instant;

use chrono::DateTime;

use super::address::{Place, TileId};
use super::layer::Layer;
use crate::db::{Db, DbError};

/// A tile's bytes, with what was committed before a moment; none at all when there is nothing in it.
pub(super) async fn read(db: &Db, id: TileId, as_of: Instant) -> Result<Vec<u8>, DbError> {
    let Place { z, x, y } = id.place;
    let [z, x, y] = [i32::from(z), x.cast_signed(), y.cast_signed()];
    let at = id.at_s.and_then(|at_s| DateTime::from_timestamp(at_s, 0));
    let read = db.shaped().run_as_of("making a map tile", Some(as_of), |connection| {
        Box::pin(async move {
            match id.layer {
                Layer::Decorations => {
                    sqlx::query_scalar!(r#"SELECT mvt AS "mvt!" FROM gis.decorations_tile($1, $2, $3)"#, z, x, y)
                        .fetch_one(connection)
                        .await
                }
                Layer::Edges => {
                    sqlx::query_scalar!(r#"SELECT mvt AS "mvt!" FROM gis.edges_tile($1, $2, $3)"#, z, x, y).fetch_one(connection).await
                }
                Layer::Coverage => {
                    sqlx::query_scalar!(r#"SELECT mvt AS "mvt!" FROM gis.coverage_tile($1, $2, $3)"#, z, x, y).fetch_one(connection).await
                }
                Layer::Regions => {
                    sqlx::query_scalar!(r#"SELECT mvt AS "mvt!" FROM gis.regions_tile($1, $2, $3)"#, z, x, y).fetch_one(connection).await
                }
                Layer::DeviceDensity => {
                    sqlx::query_scalar!(r#"SELECT mvt AS "mvt!" FROM gis.device_density_tile($1, $2, $3, $4)"#, z, x, y, at)
                        .fetch_one(connection)
                        .await
                }
            }
        })
    });
    read.await
}

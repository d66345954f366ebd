//! Outlines of the cells in use, kept in the database so that SQL and QGIS can draw hexagons.

use std::collections::HashSet;

use sqlx::PgConnection;

use super::{Cell, Geom};

/// Stores the outlines of cells that are not stored yet.
pub(crate) async fn ensure_outlines(connection: &mut PgConnection, cells: &HashSet<Cell>) -> Result<(), sqlx::Error> {
    let numbers: Vec<i64> = cells.iter().map(|cell| cell.to_db()).collect();
    let missing = sqlx::query_scalar!(
        r#"SELECT n.cell AS "cell!" FROM unnest($1::bigint[]) AS n(cell) WHERE NOT EXISTS (SELECT FROM ar.h3_cells c WHERE c.cell = n.cell) ORDER BY 1"#,
        &numbers
    );
    let missing = missing.fetch_all(&mut *connection).await?;
    if missing.is_empty() {
        return Ok(());
    }
    let missing: Vec<Cell> = missing.into_iter().filter_map(|number| Cell::from_db(number).ok()).collect();
    sqlx::query!(
        "INSERT INTO ar.h3_cells (cell, resolution, boundary) SELECT * FROM unnest($1::bigint[], $2::smallint[], $3::geometry[]) ON CONFLICT DO NOTHING",
        &missing.iter().map(|cell| cell.to_db()).collect::<Vec<_>>(),
        &missing.iter().map(|cell| i16::from(u8::from(cell.resolution()))).collect::<Vec<_>>(),
        &missing.iter().map(|cell| Geom(cell.outline())).collect::<Vec<_>>() as _
    )
    .execute(connection)
    .await
    .map(|_| ())
}

//! Writing decorations: the new and the changed ones, whole rows at a time, with all that goes with them in
//! one transaction: their cells and outlines. (What edges must learn of them: `sync::mark_for_edges`.)

use geo_types::Point;
use h3o::Resolution;
use sqlx::PgConnection;
use uuid::Uuid;

use super::content::Content;
use super::model::AssetType;
use crate::geo::{Cell, Cells, Geog, LatLng};

/// A decoration that is there already, deleted ones included.
pub(super) struct Present {
    pub(super) id: Uuid,
    pub(super) content: Content,
    pub(super) deleted: bool,
}

/// The decorations with one of these ids or external ids, locked in one order.
pub(super) async fn lock(connection: &mut PgConnection, ids: &[Uuid], external_ids: &[String]) -> Result<Vec<Present>, sqlx::Error> {
    let found = sqlx::query!(
        r#"SELECT id, external_id, name, description, category, location, radius_meters, height_offset, low_res_url, medium_res_url, high_res_url,
               scale_x, scale_y, scale_z, rotation_x, rotation_y, rotation_z, asset_type AS "asset_type: AssetType", file_size_bytes, is_active,
               deleted_at IS NOT NULL AS "deleted!"
           FROM ar.decorations WHERE id = ANY($1) OR external_id = ANY($2) ORDER BY id FOR NO KEY UPDATE"#,
        ids,
        external_ids
    )
    .try_map(|row| {
        let position = LatLng::new(row.location.0.y(), row.location.0.x()).map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
        Ok(Present {
            id: row.id,
            deleted: row.deleted,
            content: Content {
                external_id: row.external_id,
                name: row.name,
                description: row.description,
                category: row.category,
                position,
                radius_meters: row.radius_meters,
                height_offset: row.height_offset,
                low_res_url: row.low_res_url,
                medium_res_url: row.medium_res_url,
                high_res_url: row.high_res_url,
                scale: [row.scale_x, row.scale_y, row.scale_z],
                rotation_deg: [row.rotation_x, row.rotation_y, row.rotation_z],
                asset_type: row.asset_type,
                file_size_bytes: row.file_size_bytes,
                is_active: row.is_active,
            },
        })
    });
    found.fetch_all(connection).await
}

/// Runs a statement over rows given as one array a column. The columns are the same for the new and the
/// changed, in the order of the table.
macro_rules! with_columns {
    ($connection:expr, $rows:expr, $statement:literal $(, $also:expr)?) => {{
        let rows: &[(Uuid, &Content)] = $rows;
        if rows.is_empty() {
            return Ok(());
        }
        let cells: Vec<Cells> = rows.iter().map(|(_, content)| Cells::of(content.position)).collect();
        sqlx::query!(
            $statement,
            &rows.iter().map(|(id, _)| *id).collect::<Vec<_>>(),
            &rows.iter().map(|(_, c)| c.external_id.clone()).collect::<Vec<_>>() as _,
            &rows.iter().map(|(_, c)| c.name.clone()).collect::<Vec<_>>(),
            &rows.iter().map(|(_, c)| c.description.clone()).collect::<Vec<_>>() as _,
            &rows.iter().map(|(_, c)| c.category.clone()).collect::<Vec<_>>(),
            &rows.iter().map(|(_, c)| Geog(Point::from(c.position))).collect::<Vec<_>>() as _,
            &cells.iter().map(|cells| cells.r5.to_db()).collect::<Vec<_>>(),
            &cells.iter().map(|cells| cells.r7.to_db()).collect::<Vec<_>>(),
            &cells.iter().map(|cells| cells.r9.to_db()).collect::<Vec<_>>(),
            &rows.iter().map(|(_, c)| c.radius_meters).collect::<Vec<_>>(),
            &rows.iter().map(|(_, c)| c.height_offset).collect::<Vec<_>>(),
            &rows.iter().map(|(_, c)| c.low_res_url.clone()).collect::<Vec<_>>() as _,
            &rows.iter().map(|(_, c)| c.medium_res_url.clone()).collect::<Vec<_>>() as _,
            &rows.iter().map(|(_, c)| c.high_res_url.clone()).collect::<Vec<_>>() as _,
            &rows.iter().map(|(_, c)| c.scale[0]).collect::<Vec<_>>(),
            &rows.iter().map(|(_, c)| c.scale[1]).collect::<Vec<_>>(),
            &rows.iter().map(|(_, c)| c.scale[2]).collect::<Vec<_>>(),
            &rows.iter().map(|(_, c)| c.rotation_deg[0]).collect::<Vec<_>>(),
            &rows.iter().map(|(_, c)| c.rotation_deg[1]).collect::<Vec<_>>(),
            &rows.iter().map(|(_, c)| c.rotation_deg[2]).collect::<Vec<_>>(),
            &rows.iter().map(|(_, c)| c.asset_type.as_str().to_owned()).collect::<Vec<_>>(),
            &rows.iter().map(|(_, c)| c.file_size_bytes).collect::<Vec<_>>() as _,
            &rows.iter().map(|(_, c)| c.is_active).collect::<Vec<_>>()
            $(, $also)?
        )
        .execute($connection)
        .await
        .map(|_| ())
    }};
}

/// Adds decorations.
pub(super) async fn insert(connection: &mut PgConnection, rows: &[(Uuid, &Content)], created_by: Option<Uuid>) -> Result<(), sqlx::Error> {
    with_columns!(
        connection,
        rows,
        "INSERT INTO ar.decorations (id, external_id, name, description, category, location, h3_r5, h3_r7, h3_r9, radius_meters, height_offset,
             low_res_url, medium_res_url, high_res_url, scale_x, scale_y, scale_z, rotation_x, rotation_y, rotation_z, asset_type, file_size_bytes, is_active, created_by)
         SELECT *, $24::uuid FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::geography[], $7::bigint[], $8::bigint[], $9::bigint[],
             $10::int[], $11::float8[], $12::text[], $13::text[], $14::text[], $15::float8[], $16::float8[], $17::float8[],
             $18::float8[], $19::float8[], $20::float8[], $21::text[], $22::bigint[], $23::bool[])",
        created_by
    )
}

/// Replaces decorations, each one version higher; a deleted one is there again.
pub(super) async fn update(connection: &mut PgConnection, rows: &[(Uuid, &Content)]) -> Result<(), sqlx::Error> {
    with_columns!(
        connection,
        rows,
        "UPDATE ar.decorations d SET external_id = v.external_id, name = v.name, description = v.description,
             category = v.category, location = v.location, h3_r5 = v.h3_r5, h3_r7 = v.h3_r7, h3_r9 = v.h3_r9,
             radius_meters = v.radius_meters, height_offset = v.height_offset,
             low_res_url = v.low_res_url, medium_res_url = v.medium_res_url, high_res_url = v.high_res_url,
             scale_x = v.scale_x, scale_y = v.scale_y, scale_z = v.scale_z,
             rotation_x = v.rotation_x, rotation_y = v.rotation_y, rotation_z = v.rotation_z,
             asset_type = v.asset_type, file_size_bytes = v.file_size_bytes, is_active = v.is_active,
             version = d.version + 1, updated_at = now(), deleted_at = NULL
         FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::geography[], $7::bigint[], $8::bigint[], $9::bigint[],
             $10::int[], $11::float8[], $12::text[], $13::text[], $14::text[], $15::float8[], $16::float8[], $17::float8[],
             $18::float8[], $19::float8[], $20::float8[], $21::text[], $22::bigint[], $23::bool[])
             AS v(id, external_id, name, description, category, location, h3_r5, h3_r7, h3_r9, radius_meters, height_offset,
                 low_res_url, medium_res_url, high_res_url, scale_x, scale_y, scale_z, rotation_x, rotation_y, rotation_z,
                 asset_type, file_size_bytes, is_active)
         WHERE d.id = v.id"
    )
}

/// The cells of a position that maps draw: those it is stored with, and the ancestors it is counted in.
pub(super) fn drawn_cells(position: LatLng) -> impl Iterator<Item = Cell> {
    let cells = Cells::of(position);
    let counted =
        [Resolution::Zero, Resolution::One, Resolution::Two, Resolution::Three, Resolution::Four, Resolution::Five, Resolution::Seven];
    [cells.r5, cells.r7].into_iter().chain(counted.into_iter().filter_map(move |resolution| cells.r9.parent(resolution)))
}

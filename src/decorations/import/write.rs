//! Writing rows: matched with what is there, then one statement for the new and one for the changed ones.

use std::collections::{HashMap, HashSet};

use geo_types::Point;
use h3o::Resolution;
use sqlx::{Connection, PgConnection, PgPool};
use uuid::Uuid;

use super::{Row, RowError};
use crate::db::DbError;
use crate::decorations::content::Content;
use crate::decorations::model::AssetType;
use crate::geo::{Cell, Cells, Geog, Geom, LatLng};

/// Writes batches of one import.
pub(super) struct Writer {
    dry_run: bool,
    /// Cells whose outlines are known to be stored.
    outlined: HashSet<Cell>,
}

/// What became of a batch.
#[derive(Default)]
pub(super) struct Written {
    pub(super) created: u64,
    pub(super) updated: u64,
    pub(super) unchanged: u64,
    pub(super) errors: Vec<RowError>,
}

/// A decoration that is there already.
struct Present {
    id: Uuid,
    content: Content,
    deleted: bool,
}

fn failed(error: sqlx::Error) -> DbError {
    DbError::new("importing decorations", error)
}

impl Writer {
    pub(super) fn new(dry_run: bool) -> Self {
        Self { dry_run, outlined: HashSet::new() }
    }

    /// Writes a batch in one transaction. When a constraint refuses it (somebody else imports the same rows
    /// at the same time), its rows are tried one by one, so that a bad one fails alone.
    pub(super) async fn write(&mut self, pool: &PgPool, rows: &[Row]) -> Result<Written, DbError> {
        let mut connection = pool.acquire().await.map_err(failed)?;
        match self.write_together(&mut connection, rows).await {
            Err(error) if is_refusal(&error) => {
                let mut written = Written::default();
                for row in rows {
                    match self.write_together(&mut connection, std::slice::from_ref(row)).await {
                        Ok(one) => written.add(one),
                        Err(error) if is_refusal(&error) => written.errors.push(RowError {
                            row: row.number,
                            field: String::new(),
                            code: "conflict",
                            detail: "conflicts with a change made at the same time".to_owned(),
                        }),
                        Err(error) => return Err(failed(error)),
                    }
                }
                Ok(written)
            }
            written => written.map_err(failed),
        }
    }

    async fn write_together(&mut self, connection: &mut PgConnection, rows: &[Row]) -> Result<Written, sqlx::Error> {
        let mut transaction = connection.begin().await?;
        let mut written = Written::default();
        let mut rest = rows;
        while !rest.is_empty() {
            let (distinct, later) = rest.split_at(distinct_prefix(rest));
            written.add(write_distinct(&mut transaction, distinct).await?);
            rest = later;
        }
        let cells: HashSet<Cell> =
            rows.iter().flat_map(|row| drawn_cells(row.content.position)).filter(|cell| !self.outlined.contains(cell)).collect();
        ensure_outlines(&mut transaction, &cells).await?;
        if self.dry_run {
            transaction.rollback().await?;
        } else {
            transaction.commit().await?;
            self.outlined.extend(cells);
        }
        Ok(written)
    }
}

impl Written {
    fn add(&mut self, other: Self) {
        self.created += other.created;
        self.updated += other.updated;
        self.unchanged += other.unchanged;
        self.errors.extend(other.errors);
    }
}

fn is_refusal(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.constraint().is_some())
}

/// How many rows from the start on name different decorations: one statement changes a row once.
fn distinct_prefix(rows: &[Row]) -> usize {
    let (mut ids, mut external_ids) = (HashSet::new(), HashSet::new());
    rows.iter()
        .position(|row| {
            let id_again = row.id.is_some_and(|id| !ids.insert(id));
            let external_id_again = row.content.external_id.as_ref().is_some_and(|external_id| !external_ids.insert(external_id));
            id_again || external_id_again
        })
        .unwrap_or(rows.len())
}

async fn write_distinct(connection: &mut PgConnection, rows: &[Row]) -> Result<Written, sqlx::Error> {
    let present = present(connection, rows).await?;
    let by_id: HashMap<Uuid, usize> = present.iter().enumerate().map(|(i, present)| (present.id, i)).collect();
    let by_external_id: HashMap<&str, usize> =
        present.iter().enumerate().filter_map(|(i, present)| Some((present.content.external_id.as_deref()?, i))).collect();
    let mut written = Written::default();
    let (mut new, mut changed): (Vec<(Uuid, &Content)>, Vec<(Uuid, &Content)>) = (Vec::new(), Vec::new());
    let mut matched = HashSet::new();
    for row in rows {
        let with_id = row.id.and_then(|id| by_id.get(&id).copied());
        let with_external_id = row.content.external_id.as_deref().and_then(|external_id| by_external_id.get(external_id).copied());
        let refused = match (with_id, with_external_id) {
            (Some(a), Some(b)) if a != b => Some("another decoration has this external_id"),
            (Some(at), _) | (None, Some(at)) if !matched.insert(at) => Some("an earlier row of the same thousand is the same decoration"),
            _ => None,
        };
        if let Some(detail) = refused {
            written.errors.push(RowError { row: row.number, field: "external_id".to_owned(), code: "conflict", detail: detail.to_owned() });
            continue;
        }
        match with_id.or(with_external_id).map(|at| &present[at]) {
            None => new.push((row.id.unwrap_or_else(Uuid::now_v7), &row.content)),
            Some(present) if present.deleted || keep_external_id(&row.content, present) != present.content => {
                changed.push((present.id, &row.content));
            }
            Some(_) => written.unchanged += 1,
        }
    }
    written.created = new.len() as u64;
    written.updated = changed.len() as u64;
    insert(connection, &new).await?;
    update(connection, &changed).await?;
    Ok(written)
}

/// A row matched by id may leave out the `external_id`: that is not a change.
fn keep_external_id(content: &Content, present: &Present) -> Content {
    let mut content = content.clone();
    content.external_id = content.external_id.or_else(|| present.content.external_id.clone());
    content
}

/// The decorations that rows may mean, locked.
async fn present(connection: &mut PgConnection, rows: &[Row]) -> Result<Vec<Present>, sqlx::Error> {
    let ids: Vec<Uuid> = rows.iter().filter_map(|row| row.id).collect();
    let external_ids: Vec<String> = rows.iter().filter_map(|row| row.content.external_id.clone()).collect();
    let found = sqlx::query!(
        r#"SELECT id, external_id, name, description, category, location, radius_meters, height_offset, low_res_url, medium_res_url, high_res_url,
               scale_x, scale_y, scale_z, rotation_x, rotation_y, rotation_z, asset_type AS "asset_type: AssetType", file_size_bytes, is_active,
               deleted_at IS NOT NULL AS "deleted!"
           FROM ar.decorations WHERE id = ANY($1) OR external_id = ANY($2) ORDER BY id FOR UPDATE"#,
        &ids,
        &external_ids
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
    ($connection:expr, $rows:expr, $statement:literal) => {{
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
        )
        .execute($connection)
        .await
        .map(|_| ())
    }};
}

async fn insert(connection: &mut PgConnection, rows: &[(Uuid, &Content)]) -> Result<(), sqlx::Error> {
    with_columns!(
        connection,
        rows,
        "INSERT INTO ar.decorations (id, external_id, name, description, category, location, h3_r5, h3_r7, h3_r9, radius_meters, height_offset,
             low_res_url, medium_res_url, high_res_url, scale_x, scale_y, scale_z, rotation_x, rotation_y, rotation_z, asset_type, file_size_bytes, is_active)
         SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::geography[], $7::bigint[], $8::bigint[], $9::bigint[],
             $10::int[], $11::float8[], $12::text[], $13::text[], $14::text[], $15::float8[], $16::float8[], $17::float8[],
             $18::float8[], $19::float8[], $20::float8[], $21::text[], $22::bigint[], $23::bool[])"
    )
}

async fn update(connection: &mut PgConnection, rows: &[(Uuid, &Content)]) -> Result<(), sqlx::Error> {
    with_columns!(
        connection,
        rows,
        "UPDATE ar.decorations d SET external_id = coalesce(v.external_id, d.external_id), name = v.name, description = v.description,
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
fn drawn_cells(position: LatLng) -> impl Iterator<Item = Cell> {
    let cells = Cells::of(position);
    let counted =
        [Resolution::Zero, Resolution::One, Resolution::Two, Resolution::Three, Resolution::Four, Resolution::Five, Resolution::Seven];
    [cells.r5, cells.r7].into_iter().chain(counted.into_iter().filter_map(move |resolution| cells.r9.parent(resolution)))
}

/// Stores the outlines of cells that are not stored yet.
async fn ensure_outlines(connection: &mut PgConnection, cells: &HashSet<Cell>) -> Result<(), sqlx::Error> {
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

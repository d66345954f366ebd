//! Keyed and spatial reads of decorations. What the spatial words mean is in `sql/functions`; callers here
//! filter, order and limit.

use chrono::{DateTime, Utc};
use geo_types::Point;
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use super::model::{AdminDecoration, AssetType, Decoration, H3, NearbyDecoration};
use crate::geo::{Bounds, Cell, ClusterResolution, Geog, LatLng, Radius};

/// What a list of decorations is narrowed to.
#[derive(Clone, Debug, Default)]
pub(super) struct Filters {
    pub(super) category: Option<String>,
    pub(super) asset_type: Option<AssetType>,
}

/// Selects the columns of a decoration, and what else a query adds, from a source; gives sqlx's map over
/// `Decoration` made from the record. One text for all lists, so that they cannot drift apart.
macro_rules! select_decorations {
    ($extra:literal, $from:literal, $($argument:expr),* ; $record:ident => $value:expr) => {
        sqlx::query!(
            r#"SELECT id AS "id!", name AS "name!", description, category AS "category!", location AS "location!",
                radius_meters AS "radius_meters!", height_offset AS "height_offset!",
                low_res_url, medium_res_url, high_res_url,
                scale_x AS "scale_x!", scale_y AS "scale_y!", scale_z AS "scale_z!",
                rotation_x AS "rotation_x!", rotation_y AS "rotation_y!", rotation_z AS "rotation_z!",
                asset_type AS "asset_type!: AssetType", file_size_bytes, is_active AS "is_active!", version AS "version!",
                h3_r5 AS "h3_r5!", h3_r7 AS "h3_r7!", h3_r9 AS "h3_r9!",
                created_at AS "created_at!", updated_at AS "updated_at!""# + $extra + " FROM " + $from,
            $($argument),*
        )
        .try_map(|$record| {
            let decoration = Decoration {
                id: $record.id,
                name: $record.name,
                description: $record.description,
                category: $record.category,
                lat: $record.location.0.y(),
                lng: $record.location.0.x(),
                radius_meters: $record.radius_meters,
                height_offset: $record.height_offset,
                low_res_url: $record.low_res_url,
                medium_res_url: $record.medium_res_url,
                high_res_url: $record.high_res_url,
                scale_x: $record.scale_x,
                scale_y: $record.scale_y,
                scale_z: $record.scale_z,
                rotation_x: $record.rotation_x,
                rotation_y: $record.rotation_y,
                rotation_z: $record.rotation_z,
                asset_type: $record.asset_type,
                file_size_bytes: $record.file_size_bytes,
                is_active: $record.is_active,
                version: $record.version,
                h3: H3 { r5: cell($record.h3_r5)?, r7: cell($record.h3_r7)?, r9: cell($record.h3_r9)? },
                created_at: $record.created_at,
                updated_at: $record.updated_at,
            };
            Ok($value(decoration))
        })
    };
}

/// Selects decorations as admins see them, from the table with `$from`'s conditions.
macro_rules! select_for_admins {
    ($from:literal, $($argument:expr),*) => {
        select_decorations!(
            r#", external_id, created_by, deleted_at"#,
            $from,
            $($argument),*;
            row => |decoration| AdminDecoration {
                decoration,
                external_id: row.external_id,
                created_by: row.created_by,
                deleted_at: row.deleted_at,
            }
        )
    };
}

fn cell(number: i64) -> Result<Cell, sqlx::Error> {
    Cell::from_db(number).map_err(|error| sqlx::Error::Decode(Box::new(error)))
}

/// The nearest decorations within a radius, after the given distance (metres) and id.
pub(super) async fn near(
    executor: impl PgExecutor<'_>,
    viewer: LatLng,
    radius: Radius,
    filters: &Filters,
    after: Option<(f64, Uuid)>,
    limit: i64,
) -> Result<Vec<NearbyDecoration>, sqlx::Error> {
    let (after_distance_m, after_id) = after.unzip();
    select_decorations!(
        r#", distance_m AS "distance_m!", bearing_deg AS "bearing_deg!""#,
        "gis.decorations_near($1, $2)
         WHERE ($3::varchar IS NULL OR category = $3) AND ($4::varchar IS NULL OR asset_type = $4)
           AND ($5::float8 IS NULL OR (distance_m, id) > ($5, $6))
         ORDER BY distance_m, id LIMIT $7",
        Geog(Point::from(viewer)), radius.metres().0, filters.category.as_deref() as _, filters.asset_type.map(AssetType::as_str) as _,
        after_distance_m, after_id, limit;
        row => |decoration| NearbyDecoration::seen(decoration, row.distance_m, row.bearing_deg)
    )
    .fetch_all(executor)
    .await
}

/// Those of these decorations that are shown, each made into something as it comes.
pub(crate) async fn shown<T: Send + Unpin>(
    executor: impl PgExecutor<'_>,
    ids: &[Uuid],
    each: impl Fn(Decoration) -> T + Send + Sync,
) -> Result<Vec<T>, sqlx::Error> {
    select_decorations!("", "gis.decorations WHERE id = ANY ($1)", ids; row => |decoration: Decoration| each(decoration))
        .fetch_all(executor)
        .await
}

/// Decorations of a box, by id, after the given one.
pub(super) async fn in_bounds(
    executor: impl PgExecutor<'_>,
    bounds: Bounds,
    filters: &Filters,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Decoration>, sqlx::Error> {
    select_decorations!(
        "",
        "gis.decorations_in_bounds($1, $2, $3, $4)
         WHERE ($5::varchar IS NULL OR category = $5) AND ($6::varchar IS NULL OR asset_type = $6) AND ($7::uuid IS NULL OR id > $7)
         ORDER BY id LIMIT $8",
        bounds.min_lat_deg(), bounds.min_lng_deg(), bounds.max_lat_deg(), bounds.max_lng_deg(),
        filters.category.as_deref() as _, filters.asset_type.map(AssetType::as_str) as _, after, limit;
        row => |decoration| decoration
    )
    .fetch_all(executor)
    .await
}

/// A region that seems to hold this many decorations is paged in the order of the key: gathering all that is
/// inside, to sort it for one page, would take longer than a person waits.
const LARGE_REGION_ROWS: i64 = 20_000;
/// Rows that a page of a large region looks at before it gives up and gathers after all: with ids that follow
/// the place, as one country's import gives them, a region may begin far down the key.
const WINDOW_ROWS: i64 = 10_000;

/// Decorations inside a region, by id, after the given one.
pub(super) async fn in_region(
    connection: &mut PgConnection,
    code: &str,
    filters: &Filters,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Decoration>, sqlx::Error> {
    let estimate = sqlx::query_scalar!(r#"SELECT gis.region_estimate($1) AS "rows!""#, code).fetch_one(&mut *connection).await?;
    if estimate >= LARGE_REGION_ROWS {
        let page = in_region_window(connection, code, filters, after, limit).await?;
        if i64::try_from(page.len()) == Ok(limit) {
            return Ok(page);
        }
    }
    select_decorations!(
        "",
        "gis.decorations_in_region($1)
         WHERE ($2::varchar IS NULL OR category = $2) AND ($3::varchar IS NULL OR asset_type = $3) AND ($4::uuid IS NULL OR id > $4)
         ORDER BY id LIMIT $5",
        code, filters.category.as_deref() as _, filters.asset_type.map(AssetType::as_str) as _, after, limit;
        row => |decoration| decoration
    )
    .fetch_all(connection)
    .await
}

/// The same, but only those among the next rows of the key: a full page of them is the right page.
async fn in_region_window(
    connection: &mut PgConnection,
    code: &str,
    filters: &Filters,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Decoration>, sqlx::Error> {
    select_decorations!(
        "",
        "gis.decorations_in_region_window($1, $4, $6)
         WHERE ($2::varchar IS NULL OR category = $2) AND ($3::varchar IS NULL OR asset_type = $3)
         ORDER BY id LIMIT $5",
        code, filters.category.as_deref() as _, filters.asset_type.map(AssetType::as_str) as _, after, limit, WINDOW_ROWS;
        row => |decoration| decoration
    )
    .fetch_all(connection)
    .await
}

/// Decorations in the service areas of the edges with a region label, by id, after the given one.
pub(super) async fn in_edge_region(
    executor: impl PgExecutor<'_>,
    label: &str,
    filters: &Filters,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Decoration>, sqlx::Error> {
    select_decorations!(
        "",
        "gis.decorations_in_edge_region($1)
         WHERE ($2::varchar IS NULL OR category = $2) AND ($3::varchar IS NULL OR asset_type = $3) AND ($4::uuid IS NULL OR id > $4)
         ORDER BY id LIMIT $5",
        label, filters.category.as_deref() as _, filters.asset_type.map(AssetType::as_str) as _, after, limit;
        row => |decoration| decoration
    )
    .fetch_all(executor)
    .await
}

/// Counts by cell, at most `limit` cells.
pub(super) async fn clusters(
    executor: impl PgExecutor<'_>,
    bounds: Bounds,
    resolution: ClusterResolution,
    filters: &Filters,
    limit: i64,
) -> Result<Vec<(Cell, i64)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT cell AS "cell!", n AS "n!" FROM gis.decoration_clusters($1, $2, $3, $4, $5, $6, $7) ORDER BY n DESC, cell LIMIT $8"#,
        bounds.min_lat_deg(),
        bounds.min_lng_deg(),
        bounds.max_lat_deg(),
        bounds.max_lng_deg(),
        i32::from(resolution.level()),
        filters.category.as_deref(),
        filters.asset_type.map(AssetType::as_str),
        limit
    )
    .fetch_all(executor)
    .await?;
    rows.into_iter().map(|row| Ok((cell(row.cell)?, row.n))).collect()
}

/// What an admin's list is narrowed to, besides the filters of all lists.
#[derive(Clone, Debug)]
pub(super) struct AdminFilters {
    pub(super) filters: Filters,
    pub(super) is_active: Option<bool>,
    /// Part of the name or the description, whatever its case.
    pub(super) text: Option<String>,
    /// The deleted ones, and no others.
    pub(super) deleted: bool,
}

/// Decorations as admins see them, newest first, after the given time and id.
pub(super) async fn list(
    executor: impl PgExecutor<'_>,
    admin_filters: &AdminFilters,
    after: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> Result<Vec<AdminDecoration>, sqlx::Error> {
    let AdminFilters { filters, is_active, text, deleted } = admin_filters;
    let pattern = text.as_deref().map(containing);
    let (after_created_at, after_id) = after.unzip();
    select_for_admins!(
        "ar.decorations
         WHERE (($1 AND deleted_at IS NOT NULL) OR (NOT $1 AND deleted_at IS NULL))
           AND ($2::varchar IS NULL OR category = $2) AND ($3::varchar IS NULL OR asset_type = $3) AND ($4::bool IS NULL OR is_active = $4)
           AND ($5::text IS NULL OR name ILIKE $5 OR description ILIKE $5)
           AND ($6::timestamptz IS NULL OR (created_at, id) < ($6, $7))
         ORDER BY created_at DESC, id DESC LIMIT $8",
        deleted,
        filters.category.as_deref() as _,
        filters.asset_type.map(AssetType::as_str) as _,
        *is_active,
        pattern,
        after_created_at,
        after_id,
        limit
    )
    .fetch_all(executor)
    .await
}

/// The pattern of texts that contain this one.
fn containing(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    format!("%{escaped}%")
}

/// One decoration as admins see it, deleted or not.
pub(super) async fn for_admins(executor: impl PgExecutor<'_>, id: Uuid) -> Result<Option<AdminDecoration>, sqlx::Error> {
    select_for_admins!("ar.decorations WHERE id = $1", id).fetch_optional(executor).await
}

/// The same, locked until the transaction ends.
pub(super) async fn lock_for_admins(connection: &mut PgConnection, id: Uuid) -> Result<Option<AdminDecoration>, sqlx::Error> {
    select_for_admins!("ar.decorations WHERE id = $1 FOR NO KEY UPDATE", id).fetch_optional(connection).await
}

/// Decorations to export, by id, after the given one.
pub(super) async fn to_export(executor: impl PgExecutor<'_>, after: Option<Uuid>, limit: i64) -> Result<Vec<AdminDecoration>, sqlx::Error> {
    select_for_admins!("ar.decorations WHERE deleted_at IS NULL AND ($1::uuid IS NULL OR id > $1) ORDER BY id LIMIT $2", after, limit)
        .fetch_all(executor)
        .await
}

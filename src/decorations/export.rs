//! Exports: every decoration that is not deleted, streamed by the thousand, in the formats that `import` reads.
//! Importing an export into an empty system gives the same decorations, ids included.

use bytes::Bytes;
use futures_util::stream::{self, Stream};
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use super::import::Format;
use super::model::{AdminDecoration, AssetType, Decoration};
use super::store;
use crate::db::DbError;

/// Rows of a page.
const PAGE_ROWS: i64 = 1_000;

/// A row: the columns have the names of the JSON fields. What the service decides itself is left out.
#[derive(Serialize)]
struct Row<'a> {
    id: Uuid,
    external_id: Option<&'a str>,
    name: &'a str,
    description: Option<&'a str>,
    category: &'a str,
    lat: f64,
    lng: f64,
    radius_meters: i32,
    height_offset: f64,
    low_res_url: Option<&'a str>,
    medium_res_url: Option<&'a str>,
    high_res_url: Option<&'a str>,
    scale_x: f64,
    scale_y: f64,
    scale_z: f64,
    rotation_x: f64,
    rotation_y: f64,
    rotation_z: f64,
    asset_type: AssetType,
    file_size_bytes: Option<i64>,
    is_active: bool,
}

impl<'a> From<&'a AdminDecoration> for Row<'a> {
    fn from(AdminDecoration { decoration, external_id, .. }: &'a AdminDecoration) -> Self {
        let Decoration { id, name, description, category, lat, lng, radius_meters, height_offset, .. } = decoration;
        Self {
            id: *id,
            external_id: external_id.as_deref(),
            name,
            description: description.as_deref(),
            category,
            lat: *lat,
            lng: *lng,
            radius_meters: *radius_meters,
            height_offset: *height_offset,
            low_res_url: decoration.low_res_url.as_deref(),
            medium_res_url: decoration.medium_res_url.as_deref(),
            high_res_url: decoration.high_res_url.as_deref(),
            scale_x: decoration.scale_x,
            scale_y: decoration.scale_y,
            scale_z: decoration.scale_z,
            rotation_x: decoration.rotation_x,
            rotation_y: decoration.rotation_y,
            rotation_z: decoration.rotation_z,
            asset_type: decoration.asset_type,
            file_size_bytes: decoration.file_size_bytes,
            is_active: decoration.is_active,
        }
    }
}

/// Why an export ended early.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The database failed.
    #[error("reading decorations")]
    Database(#[from] DbError),
    /// A row could not be written in the format.
    #[error("writing a row")]
    Row(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Where an export goes on.
#[derive(Clone, Copy)]
enum Next {
    First,
    After(Uuid),
    Nothing,
}

/// All decorations by id, some thousand rows a piece. What changes while it runs may be in it or not.
pub fn export(pool: PgPool, format: Format) -> impl Stream<Item = Result<Bytes, ExportError>> + Send {
    stream::try_unfold(Next::First, move |next| {
        let pool = pool.clone();
        async move {
            let after = match next {
                Next::First => None,
                Next::After(id) => Some(id),
                Next::Nothing => return Ok(None),
            };
            let page = store::to_export(&pool, after, PAGE_ROWS).await.map_err(|error| DbError::new("exporting decorations", error))?;
            let is_last = i64::try_from(page.len()).unwrap_or(i64::MAX) < PAGE_ROWS;
            let piece = write(&page, format, after.is_none(), is_last).map_err(ExportError::Row)?;
            let next = match page.last() {
                Some(last) if !is_last => Next::After(last.decoration.id),
                _ => Next::Nothing,
            };
            Ok(Some((Bytes::from(piece), next)))
        }
    })
}

fn write(
    page: &[AdminDecoration],
    format: Format,
    is_first: bool,
    is_last: bool,
) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
    let rows = page.iter().map(Row::from);
    let mut piece = Vec::with_capacity(page.len() * 512);
    match format {
        Format::NdJson => {
            for row in rows {
                serde_json::to_writer(&mut piece, &row)?;
                piece.push(b'\n');
            }
        }
        Format::Csv => {
            let mut writer = csv::WriterBuilder::new().has_headers(is_first).from_writer(piece);
            if is_first && page.is_empty() {
                writer.write_record(COLUMNS)?;
            }
            for row in rows {
                writer.serialize(row)?;
            }
            piece = writer.into_inner().map_err(csv::IntoInnerError::into_error)?;
        }
        Format::GeoJson => {
            if is_first {
                piece.extend_from_slice(b"{\"type\":\"FeatureCollection\",\"features\":[");
            }
            for (i, row) in rows.enumerate() {
                piece.extend_from_slice(if is_first && i == 0 { b"\n" } else { b",\n" });
                serde_json::to_writer(&mut piece, &feature(&row)?)?;
            }
            if is_last {
                piece.extend_from_slice(b"\n]}\n");
            }
        }
    }
    Ok(piece)
}

/// The header of an empty table; otherwise the first row brings it.
const COLUMNS: [&str; 21] = [
    "id",
    "external_id",
    "name",
    "description",
    "category",
    "lat",
    "lng",
    "radius_meters",
    "height_offset",
    "low_res_url",
    "medium_res_url",
    "high_res_url",
    "scale_x",
    "scale_y",
    "scale_z",
    "rotation_x",
    "rotation_y",
    "rotation_z",
    "asset_type",
    "file_size_bytes",
    "is_active",
];

fn feature(row: &Row<'_>) -> serde_json::Result<Value> {
    let mut properties = serde_json::to_value(row)?;
    if let Value::Object(members) = &mut properties {
        for elsewhere in ["id", "lat", "lng"] {
            members.remove(elsewhere);
        }
    }
    let geometry = json!({"type": "Point", "coordinates": [row.lng, row.lat]});
    Ok(json!({"type": "Feature", "id": row.id, "geometry": geometry, "properties": properties}))
}

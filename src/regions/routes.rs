//! Regions over HTTP, as GeoJSON features.

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::store::{self, Kind, Region};
use crate::http::{
    ApiError, Cursor, CursorParam, Format, FromQuery, NotFound, Nothing, Page, PathText, QueryReader, ReadFailures, StrictQuery, TooMany,
    geo_json, json,
};
use crate::state::AppState;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(by_code))
}

/// A region as a GeoJSON feature (RFC 7946).
#[derive(Serialize, ToSchema)]
pub(super) struct RegionFeature {
    /// Always `Feature`.
    #[serde(rename = "type")]
    #[schema(example = "Feature")]
    kind: &'static str,
    /// The region's code.
    id: String,
    /// Its border: a `MultiPolygon`.
    #[schema(value_type = Object)]
    geometry: Box<RawValue>,
    /// What it is.
    properties: RegionProperties,
}

/// What a region is.
#[derive(Serialize, ToSchema)]
struct RegionProperties {
    /// ISO 3166-1 alpha-2, ISO 3166-2, or an admin's own code.
    #[schema(example = "DE-BY")]
    code: String,
    /// Name; not unique.
    name: String,
    /// What sort of region.
    kind: Kind,
    /// The region it is part of.
    #[schema(required)]
    parent_code: Option<String>,
}

/// Regions as GeoJSON, with the cursor as a foreign member.
#[derive(Serialize, ToSchema)]
struct RegionCollection {
    /// Always `FeatureCollection`.
    #[serde(rename = "type")]
    #[schema(example = "FeatureCollection")]
    kind: &'static str,
    /// One feature a region.
    features: Vec<RegionFeature>,
    /// What `cursor` is for the next page; null on the last one.
    #[schema(required)]
    next_cursor: Option<String>,
}

impl From<Region> for RegionFeature {
    fn from(region: Region) -> Self {
        let Region { code, name, kind, parent_code, border } = region;
        Self { kind: "Feature", id: code.clone(), geometry: border, properties: RegionProperties { code, name, kind, parent_code } }
    }
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "documents parameters")]
struct ListParams {
    /// Only regions of this kind.
    #[param(inline)]
    kind: Option<Kind>,
    /// Only parts of this region; case does not matter.
    #[param(min_length = 1, max_length = 20, example = "DE")]
    parent_code: Option<String>,
    /// Most items of a page.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<i64>,
}

struct List {
    kind: Option<Kind>,
    parent_code: Option<String>,
    limit: i64,
    cursor: Option<Cursor>,
}

impl FromQuery for List {
    fn from_query(reader: &mut QueryReader) -> Option<Self> {
        let kind = reader.optional_word("kind", Kind::WORDS, Kind::from_word);
        let parent_code = reader.optional_text("parent_code", 20);
        let limit = reader.limit(50, 200);
        let cursor = reader.cursor();
        Some(Self { kind: kind.ok()?, parent_code: parent_code.ok()?, limit: limit?, cursor: cursor.ok()? })
    }
}

/// All regions
///
/// Regions with their borders, by code: each item is a GeoJSON feature.
#[utoipa::path(get, path = "/regions", operation_id = "list_regions", tag = "regions", security(()), params(ListParams, CursorParam), responses(
    (status = 200, description = "One page, by code.", content(
        (Page<RegionFeature> = "application/json"), (RegionCollection = "application/geo+json"))),
    ReadFailures, TooMany,
))]
async fn list(State(state): State<AppState>, format: Format, StrictQuery(query): StrictQuery<List>) -> Result<Response, ApiError> {
    let List { kind, parent_code, limit, cursor } = query;
    let scope = format!("regions {kind:?} {parent_code:?}");
    let after = state.cursor_key.open_at(&scope, cursor.as_ref(), |position| String::from_utf8(position.to_vec()).ok())?;
    let read = state.db.shaped().run("listing regions", |connection| {
        let (parent_code, after) = (parent_code.clone(), after.clone());
        Box::pin(async move { store::list(connection, kind, parent_code.as_deref(), after.as_deref(), limit + 1).await })
    });
    let mut regions = read.await?;
    let next_cursor = state.cursor_key.cut_page(&scope, &mut regions, limit, |last| last.code.as_bytes().to_vec());
    let features = regions.into_iter().map(RegionFeature::from).collect();
    match format {
        Format::Json => json("application/json", &Page { items: features, next_cursor }),
        Format::GeoJson => geo_json(&RegionCollection { kind: "FeatureCollection", features, next_cursor }),
    }
}

/// One region
///
/// A region with its border as a GeoJSON feature.
#[utoipa::path(get, path = "/regions/{code}", operation_id = "read_region", tag = "regions", security(()),
    params(("code" = String, Path, description = "The region's code; case does not matter.", example = "DE")),
    responses(
        (status = 200, description = "The region.", body = RegionFeature, content_type = "application/geo+json"),
        ReadFailures, NotFound, TooMany,
    )
)]
async fn by_code(State(state): State<AppState>, path: PathText, StrictQuery(Nothing): StrictQuery<Nothing>) -> Result<Response, ApiError> {
    let code = path.read().ok_or_else(store::unknown_region)?;
    let read = state.db.hot().run("reading a region", |connection| {
        let code = code.clone();
        Box::pin(async move { store::by_code(connection, &code).await })
    });
    let region = read.await?.ok_or_else(store::unknown_region)?;
    geo_json(&RegionFeature::from(region))
}

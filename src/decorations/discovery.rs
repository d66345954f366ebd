//! What phones ask without a token: what is near, in a box, in a region, and how much of it by cell.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::model::{AssetType, Cluster, Decoration, NearbyDecoration};
use super::store::{self, Filters};
use crate::geo::{Bounds, ClusterResolution, LatLng, Metres, Radius};
use crate::http::{
    ApiError, ClientAddress, Cursor, CursorParam, FeatureCollection, Format, FromQuery, NotFound, Page, Problem, QueryReader, ReadFailures,
    StrictQuery, TooMany, answer, network_of,
};
use crate::regions::{self, Meaning};
use crate::state::AppState;

/// Most cells in an answer of clusters.
const MAX_CELLS: usize = 5_000;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(nearby)).routes(routes!(bounds)).routes(routes!(clusters)).routes(routes!(region))
}

/// Parameters that every list of decorations takes; only for OpenAPI, `Filters::from_query` reads them.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "documents parameters")]
pub(super) struct FilterParams {
    /// Only decorations of this category.
    #[param(min_length = 1, max_length = 100)]
    category: Option<String>,
    /// Only decorations of this asset type.
    #[param(inline)]
    asset_type: Option<AssetType>,
}

/// A box; only for OpenAPI, `QueryReader::bounds` reads it.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "documents parameters")]
struct BoundsParams {
    /// Southern edge in degrees.
    #[param(minimum = -90, maximum = 90, example = 47.2)]
    min_lat: f64,
    /// Northern edge in degrees; not south of `min_lat`.
    #[param(minimum = -90, maximum = 90, example = 55.1)]
    max_lat: f64,
    /// Western edge in degrees; greater than `max_lng` to cross the antimeridian.
    #[param(minimum = -180, maximum = 180, example = 5.8)]
    min_lng: f64,
    /// Eastern edge in degrees.
    #[param(minimum = -180, maximum = 180, example = 15.1)]
    max_lng: f64,
}

impl FromQuery for Filters {
    fn from_query(reader: &mut QueryReader) -> Option<Self> {
        let category = reader.optional_text("category", 100);
        let asset_type = reader.optional_word("asset_type", AssetType::WORDS, AssetType::from_word);
        Some(Self { category: category.ok()?, asset_type: asset_type.ok()? })
    }
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "documents parameters")]
struct NearbyParams {
    /// Latitude of the viewer in degrees.
    #[param(minimum = -90, maximum = 90, example = 52.52)]
    lat: f64,
    /// Longitude of the viewer in degrees.
    #[param(minimum = -180, maximum = 180, example = 13.405)]
    lng: f64,
    /// How far to look, in metres.
    #[param(minimum = 0, maximum = 50_000, default = 500)]
    radius: Option<f64>,
    /// Most items of a page.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<i64>,
}

struct Nearby {
    viewer: LatLng,
    radius: Radius,
    filters: Filters,
    limit: i64,
    cursor: Option<Cursor>,
}

impl FromQuery for Nearby {
    fn from_query(reader: &mut QueryReader) -> Option<Self> {
        let viewer = reader.position();
        let radius = reader.optional_decimal("radius", |metres| Radius::new(Metres(metres)));
        let filters = Filters::from_query(reader);
        let limit = reader.limit(50, 500);
        let cursor = reader.cursor();
        let radius = radius.ok()?.unwrap_or(Radius::DEFAULT);
        Some(Self { viewer: viewer?, radius, filters: filters?, limit: limit?, cursor: cursor.ok()? })
    }
}

/// What is around a point
///
/// Active decorations within `radius` metres of the viewer on the WGS 84 spheroid, nearest first, ties by id.
#[utoipa::path(get, path = "/decorations/nearby", operation_id = "find_nearby", tag = "discovery", security(()), params(NearbyParams, FilterParams, CursorParam), responses(
    (status = 200, description = "One page, nearest first.", content(
        (Page<NearbyDecoration> = "application/json"), (FeatureCollection<NearbyDecoration> = "application/geo+json"))),
    ReadFailures, TooMany,
))]
async fn nearby(
    State(state): State<AppState>,
    ClientAddress(address): ClientAddress,
    format: Format,
    StrictQuery(query): StrictQuery<Nearby>,
) -> Result<Response, ApiError> {
    let Nearby { viewer, radius, filters, limit, cursor } = query;
    let scope = format!("nearby {viewer:?} {radius:?} {filters:?}");
    let after = state.cursor_key.open_at(&scope, cursor.as_ref(), |position| {
        let (distance, id) = position.split_first_chunk::<8>()?;
        Some((f64::from_be_bytes(*distance), Uuid::from_slice(id).ok()?))
    })?;
    let read = state.db.hot().run("finding decorations near a point", |connection| {
        let filters = filters.clone();
        Box::pin(async move { store::near(connection, viewer, radius, &filters, after, limit + 1).await })
    });
    let mut items = read.await?;
    let next_cursor = state.cursor_key.cut_page(&scope, &mut items, limit, |last| {
        [last.distance_meters.to_be_bytes().as_slice(), last.decoration.id.as_bytes()].concat()
    });
    let answered = items.iter().map(|item| (item.decoration.id, item.decoration.h3.r7));
    state.metrics.usage.answered(state.clock.now_s(), network_of(address), answered);
    answer(format, items, next_cursor)
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "documents parameters")]
struct ListLimitParam {
    /// Most items of a page.
    #[param(minimum = 1, maximum = 1000, default = 200)]
    limit: Option<i64>,
}

struct InBounds {
    bounds: Bounds,
    filters: Filters,
    limit: i64,
    cursor: Option<Cursor>,
}

impl FromQuery for InBounds {
    fn from_query(reader: &mut QueryReader) -> Option<Self> {
        let bounds = reader.bounds();
        let filters = Filters::from_query(reader);
        let limit = reader.limit(200, 1000);
        let cursor = reader.cursor();
        Some(Self { bounds: bounds?, filters: filters?, limit: limit?, cursor: cursor.ok()? })
    }
}

/// What is in a box
///
/// Active decorations in a box of plain latitude and longitude intervals, its edges included, by id.
/// `min_lng` greater than `max_lng` crosses the antimeridian.
#[utoipa::path(get, path = "/decorations/bounds", operation_id = "find_in_bounds", tag = "discovery", security(()), params(BoundsParams, FilterParams, ListLimitParam, CursorParam), responses(
    (status = 200, description = "One page, by id.", content(
        (Page<Decoration> = "application/json"), (FeatureCollection<Decoration> = "application/geo+json"))),
    ReadFailures, TooMany,
))]
async fn bounds(State(state): State<AppState>, format: Format, StrictQuery(query): StrictQuery<InBounds>) -> Result<Response, ApiError> {
    let InBounds { bounds, filters, limit, cursor } = query;
    let scope = format!("bounds {bounds:?} {filters:?}");
    let after = state.cursor_key.open_at(&scope, cursor.as_ref(), |position| Uuid::from_slice(position).ok())?;
    let read = state.db.shaped().run("finding decorations in a box", |connection| {
        let filters = filters.clone();
        Box::pin(async move { store::in_bounds(connection, bounds, &filters, after, limit + 1).await })
    });
    page_by_id(&state, format, &scope, read.await?, limit)
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "documents parameters")]
struct ResolutionParam {
    /// H3 resolution of the cells.
    #[param(minimum = 0, maximum = 9, default = 5)]
    resolution: Option<i64>,
}

struct Clusters {
    bounds: Bounds,
    resolution: ClusterResolution,
    filters: Filters,
}

impl FromQuery for Clusters {
    fn from_query(reader: &mut QueryReader) -> Option<Self> {
        let bounds = reader.bounds();
        let default = i64::from(ClusterResolution::DEFAULT.level());
        let resolution = reader.integer_or("resolution", default, 0, 9).and_then(|level| ClusterResolution::new(level).ok());
        let filters = Filters::from_query(reader);
        Some(Self { bounds: bounds?, resolution: resolution?, filters: filters? })
    }
}

/// How much is in a box, by H3 cell
///
/// The decorations of a box counted by cell (an ancestor of each one's r9 cell), most first; `lat` and `lng`
/// are the cell's centre. May be 10 s behind.
#[utoipa::path(get, path = "/decorations/clusters", operation_id = "count_clusters", tag = "discovery", security(()), params(BoundsParams, ResolutionParam, FilterParams), responses(
    (status = 200, description = "All cells with decorations of the box; `next_cursor` is always null.", content(
        (Page<Cluster> = "application/json"), (FeatureCollection<Cluster> = "application/geo+json"))),
    ReadFailures, TooMany,
))]
async fn clusters(State(state): State<AppState>, format: Format, StrictQuery(query): StrictQuery<Clusters>) -> Result<Response, ApiError> {
    let Clusters { bounds, resolution, filters } = query;
    let most = MAX_CELLS + 1;
    let count_at = async |resolution: ClusterResolution| {
        let read = state.db.shaped().run("counting decorations by cell", |connection| {
            let filters = filters.clone();
            Box::pin(
                async move { store::clusters(connection, bounds, resolution, &filters, i64::try_from(most).unwrap_or(i64::MAX)).await },
            )
        });
        read.await
    };
    // Fine cells are counted one decoration at a time. When there are too many cells at the finest counted
    // resolution, there are too many at a finer one: that is known without touching a decoration.
    if resolution.level() > ClusterResolution::FINEST_COUNTED.level() && count_at(ClusterResolution::FINEST_COUNTED).await?.len() == most {
        return Err(too_many_cells());
    }
    let cells = count_at(resolution).await?;
    if cells.len() == most {
        return Err(too_many_cells());
    }
    answer(format, cells.into_iter().map(|(cell, count)| Cluster::new(cell, count)).collect(), None)
}

fn too_many_cells() -> ApiError {
    let detail = format!("the box has decorations in more than {MAX_CELLS} cells; take a coarser resolution or a smaller box");
    ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "too_many_cells", detail)
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "documents parameters")]
struct RegionParams {
    /// A region's code, a country's name, an unambiguous region's name, or the label of edge servers; case does not matter.
    #[param(min_length = 1, max_length = 255, example = "Germany")]
    region: String,
}

struct InRegion {
    region: String,
    filters: Filters,
    limit: i64,
    cursor: Option<Cursor>,
}

impl FromQuery for InRegion {
    fn from_query(reader: &mut QueryReader) -> Option<Self> {
        let region = reader.required_text("region", 255);
        let filters = Filters::from_query(reader);
        let limit = reader.limit(200, 1000);
        let cursor = reader.cursor();
        Some(Self { region: region?, filters: filters?, limit: limit?, cursor: cursor.ok()? })
    }
}

/// What is in a region
///
/// Active decorations inside a region or on its border, by id. `region` is, whatever its case, a region's
/// code, else a country's name, else an unambiguous region's name, else the label of edge servers, whose
/// service areas are then searched.
#[utoipa::path(get, path = "/decorations/region", operation_id = "find_in_region", tag = "discovery", security(()), params(RegionParams, FilterParams, ListLimitParam, CursorParam), responses(
    (status = 200, description = "One page, by id.", content(
        (Page<Decoration> = "application/json"), (FeatureCollection<Decoration> = "application/geo+json"))),
    ReadFailures, NotFound, TooMany,
    (status = 409, description = "Several regions have that name (`ambiguous_region`); `codes` lists them.", body = Problem, content_type = "application/problem+json"),
))]
async fn region(State(state): State<AppState>, format: Format, StrictQuery(query): StrictQuery<InRegion>) -> Result<Response, ApiError> {
    let InRegion { region, filters, limit, cursor } = query;
    let scope = format!("region {region:?} {filters:?}");
    let after = state.cursor_key.open_at(&scope, cursor.as_ref(), |position| Uuid::from_slice(position).ok())?;
    let meaning = regions::resolve(&state.db, &region).await?;
    let read = state.db.shaped().run("finding decorations in a region", |connection| {
        let (meaning, filters) = (meaning.clone(), filters.clone());
        Box::pin(async move {
            match meaning {
                Meaning::Region(code) => store::in_region(connection, &code, &filters, after, limit + 1).await,
                Meaning::EdgeLabel(label) => store::in_edge_region(connection, &label, &filters, after, limit + 1).await,
            }
        })
    });
    page_by_id(&state, format, &scope, read.await?, limit)
}

fn page_by_id(state: &AppState, format: Format, scope: &str, mut items: Vec<Decoration>, limit: i64) -> Result<Response, ApiError> {
    let next_cursor = state.cursor_key.cut_page(scope, &mut items, limit, |last| last.id.as_bytes().to_vec());
    answer(format, items, next_cursor)
}

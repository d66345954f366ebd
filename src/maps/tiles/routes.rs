//! Tiles and what they say about themselves, below `/tiles`. Device density has routes of its own, because who may use
//! a route is read off the document.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::address::{Address, TileId, unknown_layer, unknown_route};
use super::kept::Tile;
use super::layer::Layer;
use super::tile_json::TileJson;
use crate::http::{
    AccessFailures, ApiError, FromQuery, IfNoneMatch, NotFound, Nothing, Origin, PathText, QueryReader, ReadFailures, StrictQuery, TooMany,
    json,
};
use crate::state::AppState;

const MVT: &str = "application/vnd.mapbox-vector-tile";

/// The routes, at the root.
pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(tile)).routes(routes!(density_tile)).routes(routes!(tile_json)).routes(routes!(density_tile_json))
}

/// A place on the grid; only for OpenAPI, [`Address`] reads it.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "documents parameters")]
struct PlaceParams {
    /// Zoom.
    #[param(minimum = 0, maximum = 22, example = 5)]
    z: i64,
    /// Column, from 0 in the west to 2^`z` − 1.
    #[param(minimum = 0, maximum = 4_194_303, example = 16)]
    x: i64,
    /// Row, from 0 in the north to 2^`z` − 1, and `.mvt`.
    #[param(pattern = r"^[0-9]+\.mvt$", example = "10.mvt")]
    y: String,
}

/// A vector tile
///
/// A tile of the Web Mercator grid as a Mapbox vector tile (version 2, 4,096 units wide) with one layer, named as in the
/// address; its features have whole numbers as ids. `/tiles/{layer}.json` says what properties they have. A tile without
/// features is an empty body. What lies beyond 85.05° is drawn on the map's edge.
///
/// `Cache-Control: no-cache` and an `ETag`: a client that keeps tiles asks whether they changed, and mostly gets 304.
#[utoipa::path(get, path = "/tiles/{layer}/{z}/{x}/{y}", operation_id = "read_tile", tag = "maps", security(()), extensions(("x-rate-class" = json!("tiles"))),
    params(
        ("layer" = String, Path, description = "`decorations`, `edges`, `coverage` or `regions`.", example = "regions"), PlaceParams,
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` of the tile that the client has."),
    ),
    responses(
        (status = 200, description = "The tile.", body = Vec<u8>, content_type = "application/vnd.mapbox-vector-tile", headers(("ETag" = String, description = "A hash of the tile, in quotes."))),
        (status = 304, description = "It is what the client has."),
        ReadFailures, NotFound, TooMany,
    )
)]
async fn tile(
    State(state): State<AppState>,
    address: Address,
    kept: IfNoneMatch,
    headers: HeaderMap,
    StrictQuery(Nothing): StrictQuery<Nothing>,
) -> Result<Response, ApiError> {
    let (name, place) = address.read()?;
    let layer = name.and_then(Layer::open_to_all).ok_or_else(unknown_layer)?;
    let tile = state.tiles.tile(&state.db, TileId { layer, place, at_s: None }).await?;
    answer(&tile, &kept, &headers, "no-cache")
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "documents parameters")]
struct AtParam {
    /// A time in the quarter-hour that is meant; the newest published one when it is left out.
    #[param(example = "2026-11-27T10:20:00Z")]
    at: Option<DateTime<Utc>>,
}

struct At(Option<DateTime<Utc>>);

impl FromQuery for At {
    fn from_query(reader: &mut QueryReader) -> Option<Self> {
        reader.optional_time("at").ok().map(Self)
    }
}

/// A vector tile of device density
///
/// As the other tiles; hexagons of the published counts of one quarter-hour.
#[utoipa::path(get, path = "/tiles/device_density/{z}/{x}/{y}", operation_id = "read_density_tile", tag = "maps", security(("bearer" = ["admin"])), extensions(("x-rate-class" = json!("tiles"))),
    params(PlaceParams, AtParam, ("If-None-Match" = Option<String>, Header, description = "The `ETag` of the tile that the client has.")),
    responses(
        (status = 200, description = "The tile.", body = Vec<u8>, content_type = "application/vnd.mapbox-vector-tile", headers(("ETag" = String, description = "A hash of the tile, in quotes."))),
        (status = 304, description = "It is what the client has."),
        AccessFailures, ReadFailures, NotFound,
    )
)]
async fn density_tile(
    State(state): State<AppState>,
    address: Address,
    kept: IfNoneMatch,
    headers: HeaderMap,
    StrictQuery(At(at)): StrictQuery<At>,
) -> Result<Response, ApiError> {
    let (_, place) = address.read()?;
    // One number for all times of a quarter-hour.
    let at_s = at.map(|at| at.timestamp().div_euclid(QUARTER_HOUR_S) * QUARTER_HOUR_S);
    let tile = state.tiles.tile(&state.db, TileId { layer: Layer::DeviceDensity, place, at_s }).await?;
    answer(&tile, &kept, &headers, "private, no-cache")
}

const QUARTER_HOUR_S: i64 = 15 * 60;

/// What a layer of tiles is
///
/// TileJSON 3.0: where the tiles are, as the client reached us, and what is in them.
#[utoipa::path(get, path = "/tiles/{document}", operation_id = "describe_tiles", tag = "maps", security(()), extensions(("x-rate-class" = json!("tiles"))),
    params(("document" = String, Path, description = "`decorations.json`, `edges.json`, `coverage.json` or `regions.json`.", example = "regions.json")),
    responses((status = 200, description = "The document.", body = TileJson), ReadFailures, NotFound, TooMany)
)]
async fn tile_json(document: PathText, origin: Origin, StrictQuery(Nothing): StrictQuery<Nothing>) -> Result<Response, ApiError> {
    let document = document.read().ok_or_else(unknown_route)?;
    let name = document.strip_suffix(".json").ok_or_else(unknown_route)?;
    let layer = Layer::open_to_all(name).ok_or_else(unknown_layer)?;
    json("application/json", &TileJson::of(layer, &origin))
}

/// What the tiles of device density are
///
/// TileJSON 3.0.
#[utoipa::path(get, path = "/tiles/device_density.json", operation_id = "describe_density_tiles", tag = "maps", security(("bearer" = ["admin"])), extensions(("x-rate-class" = json!("tiles"))),
    responses((status = 200, description = "The document.", body = TileJson), AccessFailures, ReadFailures)
)]
async fn density_tile_json(origin: Origin, StrictQuery(Nothing): StrictQuery<Nothing>) -> Result<Response, ApiError> {
    json("application/json", &TileJson::of(Layer::DeviceDensity, &origin))
}

/// The tile in the form that the client takes, or 304 when it has it. One without features is 200 with nothing in it
/// rather than 204, so that it has a tag and a client that keeps it is told when something comes; MapLibre and QGIS draw
/// nothing then, and GDAL goes on to the next.
fn answer(tile: &Tile, kept: &IfNoneMatch, headers: &HeaderMap, cache_control: &'static str) -> Result<Response, ApiError> {
    let is_gzip = tile.is_compressed() && takes_gzip(headers);
    // Two forms, two tags; whoever has one of them has the tile.
    let (plain_tag, gzip_tag) = (tile.tag().to_owned(), format!("{}-gzip", tile.tag()));
    let has_it = kept.matches_tag(&plain_tag) || kept.matches_tag(&gzip_tag);
    let tag = format!("\"{}\"", if is_gzip { gzip_tag } else { plain_tag });
    let head = [
        (header::ETAG, HeaderValue::try_from(tag).expect("letters, digits and hyphens in quotes")),
        (header::CACHE_CONTROL, HeaderValue::from_static(cache_control)),
        (header::VARY, HeaderValue::from_static("accept-encoding")),
    ];
    if has_it {
        return Ok((StatusCode::NOT_MODIFIED, head).into_response());
    }
    let body = if is_gzip { Ok(tile.body()) } else { tile.plain() };
    let body = body.map_err(|error| {
        tracing::error!(%error, "a map tile in memory is broken");
        ApiError::internal()
    })?;
    let mut response = (head, body).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(MVT));
    if is_gzip {
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Ok(response)
}

/// Whether the client names gzip, or anything, and does not refuse it.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let mut takes = [None, None];
    let codings =
        headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    for coding in codings {
        let (name, quality) = coding.split_once(';').unwrap_or((coding, "q=1"));
        let is_wanted =
            quality.trim().strip_prefix("q=").and_then(|quality| quality.parse().ok()).is_some_and(|quality: f32| quality > 0.0);
        match name.trim().to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => takes[0] = Some(is_wanted),
            "*" => takes[1] = Some(is_wanted),
            _ => {}
        }
    }
    takes[0].or(takes[1]).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("", false)]
    #[case("gzip", true)]
    #[case("deflate, GZIP;q=0.5", true)]
    #[case("gzip;q=0", false)]
    #[case("gzip;q=0.000, *", false)]
    #[case("*", true)]
    #[case("br, *;q=0", false)]
    #[case("identity", false)]
    #[case("gzip;q=x", false)]
    fn gzip_is_for_those_who_take_it(#[case] accepted: &'static str, #[case] expected: bool) {
        let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(accepted))]);
        assert_eq!(takes_gzip(&headers), expected);
    }
}

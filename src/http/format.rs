//! The two forms of an answer: plain JSON, and GeoJSON for those who ask for it.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::ApiError;

const GEO_JSON: &str = "application/geo+json";

/// Extractor: the form the client asked for by `Accept`; JSON unless GeoJSON is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    GeoJson,
}

impl<S: Sync> FromRequestParts<S> for Format {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Self::asked_for(&parts.headers))
    }
}

impl Format {
    fn asked_for(headers: &HeaderMap) -> Self {
        best_liked(headers, &[(GEO_JSON, Self::GeoJson), ("application/json", Self::Json)]).unwrap_or(Self::Json)
    }
}

/// The best liked of the media types offered, by `Accept`; the first named wins a tie, and wildcards name nothing.
pub(crate) fn best_liked<T: Copy>(headers: &HeaderMap, offers: &[(&str, T)]) -> Option<T> {
    let mut best = (0.0, None);
    let ranges = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    for range in ranges {
        let mut parts = range.split(';').map(str::trim);
        let named = parts.next().and_then(|name| offers.iter().find(|(offer, _)| offer.eq_ignore_ascii_case(name)));
        let Some((_, offer)) = named else { continue };
        let quality = parts.find_map(|part| part.strip_prefix("q=")).and_then(|q| q.parse().ok()).unwrap_or(1.0_f64);
        if quality > best.0 {
            best = (quality, Some(*offer));
        }
    }
    best.1
}

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Page<T> {
    /// The items, in the order the route promises.
    pub(crate) items: Vec<T>,
    /// What `cursor` is for the next page; null on the last one.
    #[schema(required)]
    pub(crate) next_cursor: Option<String>,
}

/// A list as GeoJSON (RFC 7946), with the cursor as a foreign member.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FeatureCollection<T> {
    /// Always `FeatureCollection`.
    #[serde(rename = "type")]
    #[schema(example = "FeatureCollection")]
    kind: &'static str,
    /// One feature an item.
    features: Vec<Feature<T>>,
    /// What `cursor` is for the next page; null on the last one.
    #[schema(required)]
    next_cursor: Option<String>,
}

/// One item as a GeoJSON feature.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Feature<T> {
    /// Always `Feature`.
    #[serde(rename = "type")]
    #[schema(example = "Feature")]
    kind: &'static str,
    /// The item's identity.
    id: String,
    /// Its place.
    geometry: PointGeometry,
    /// The item itself.
    properties: T,
}

/// A GeoJSON point.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PointGeometry {
    /// Always `Point`.
    #[serde(rename = "type")]
    #[schema(example = "Point")]
    kind: &'static str,
    /// Longitude and latitude in degrees.
    #[schema(value_type = Vec<f64>, min_items = 2, max_items = 2)]
    coordinates: [f64; 2],
}

/// An item that has a place and a name for it.
pub(crate) trait Placed {
    /// Identity within its list.
    fn feature_id(&self) -> String;
    /// Longitude and latitude in degrees.
    fn lng_lat_deg(&self) -> [f64; 2];
}

/// Writes a list in the form asked for.
///
/// # Errors
/// 500 when an item cannot be written as JSON, which would be a bug.
pub(crate) fn answer<T: Serialize + Placed>(format: Format, items: Vec<T>, next_cursor: Option<String>) -> Result<Response, ApiError> {
    match format {
        Format::Json => json("application/json", &Page { items, next_cursor }),
        Format::GeoJson => {
            let features = items
                .into_iter()
                .map(|item| Feature {
                    kind: "Feature",
                    id: item.feature_id(),
                    geometry: PointGeometry { kind: "Point", coordinates: item.lng_lat_deg() },
                    properties: item,
                })
                .collect();
            json(GEO_JSON, &FeatureCollection { kind: "FeatureCollection", features, next_cursor })
        }
    }
}

/// Writes a value that is GeoJSON already.
///
/// # Errors
/// 500 when it cannot be written as JSON, which would be a bug.
pub(crate) fn geo_json<T: Serialize>(value: &T) -> Result<Response, ApiError> {
    json(GEO_JSON, value)
}

/// Writes a value as JSON of the given media type.
///
/// # Errors
/// 500 when it cannot be written as JSON, which would be a bug.
pub(crate) fn json<T: Serialize>(media_type: &'static str, value: &T) -> Result<Response, ApiError> {
    // Most answers have some tens of rows; a buffer that starts small would be copied again and again.
    let mut body = Vec::with_capacity(32 * 1024);
    serde_json::to_writer(&mut body, value).map_err(|error| {
        tracing::error!(%error, "writing JSON");
        ApiError::internal()
    })?;
    let mut response = (StatusCode::OK, body).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("", Format::Json)]
    #[case("*/*", Format::Json)]
    #[case("application/geo+json", Format::GeoJson)]
    #[case("Application/GEO+json; charset=utf-8", Format::GeoJson)]
    #[case("application/geo+json, */*;q=0.5", Format::GeoJson)]
    #[case("application/json, application/geo+json", Format::Json)]
    #[case("application/json;q=0.5, application/geo+json;q=0.9", Format::GeoJson)]
    #[case("application/geo+json;q=0", Format::Json)]
    #[case("text/html", Format::Json)]
    fn geo_json_is_for_those_who_name_it(#[case] accept: &'static str, #[case] expected: Format) {
        let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]);
        assert_eq!(Format::asked_for(&headers), expected);
    }
}

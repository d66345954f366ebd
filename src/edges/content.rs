//! What an admin says about an edge server: read field by field, every fault named at once.

use std::collections::HashMap;

use geo_types::MultiPolygon;
use serde_json::Value;
use url::Url;
use utoipa::ToSchema;

use super::coverage::across;
use super::egress::Egress;
use crate::geo::{LatLng, Metres};
use crate::input::{FieldReader, read_area};

/// Everything of an edge server that an admin decides.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Content {
    pub(super) name: String,
    pub(super) region: String,
    pub(super) api_url: String,
    pub(super) websocket_url: String,
    pub(super) position: LatLng,
    pub(super) service_radius_km: f64,
    /// The area that was drawn; none: the circle.
    pub(super) service_area: Option<MultiPolygon<f64>>,
    pub(super) max_connections: i32,
    pub(super) health_check_url: Option<String>,
    pub(super) is_active: bool,
}

/// What makes an edge server: the body of a request.
#[derive(ToSchema)]
#[schema(as = EdgeServerContent)]
#[expect(dead_code, reason = "documents a body; `Content::read` reads it")]
pub(super) struct ContentBody {
    /// Name.
    #[schema(min_length = 1, max_length = 255, example = "Berlin Mitte 1")]
    name: String,
    /// Operator's label; `GET /decorations/region?region=` knows it too.
    #[schema(min_length = 1, max_length = 100, example = "eu-central")]
    region: String,
    /// Where phones reach it over HTTP: https.
    #[schema(format = "uri", max_length = 500, example = "https://berlin-1.edge.example.org/api")]
    api_url: String,
    /// Where phones reach it over WebSocket: wss.
    #[schema(format = "uri", max_length = 500, example = "wss://berlin-1.edge.example.org/ws")]
    websocket_url: String,
    /// Latitude in degrees.
    #[schema(minimum = -90, maximum = 90, example = 52.5163)]
    lat: f64,
    /// Longitude in degrees.
    #[schema(minimum = -180, maximum = 180, example = 13.3777)]
    lng: f64,
    /// Radius of its service area in kilometres, two decimals.
    #[schema(minimum = 0.01, maximum = 999.99, multiple_of = 0.01, default = 5, example = 7.5)]
    service_radius_km: Option<f64>,
    /// Its service area when that is no circle: a GeoJSON `Polygon` or `MultiPolygon` of at most 1,000 vertices and at
    /// most 2,000 km across.
    #[schema(value_type = Option<HashMap<String, Value>>, example = json!({"type": "Polygon", "coordinates": [[[13.3, 52.4], [13.5, 52.4], [13.5, 52.6], [13.3, 52.4]]]}))]
    service_area: Option<HashMap<String, Value>>,
    /// Most devices it takes.
    #[schema(minimum = 1, maximum = 1_000_000, default = 100, example = 250)]
    max_connections: Option<i32>,
    /// What is probed, from here, at every interval of health checks.
    #[schema(format = "uri", max_length = 500, example = "https://berlin-1.edge.example.org/health")]
    health_check_url: Option<String>,
    /// False: kept, but chosen by nobody.
    #[schema(default = true, example = true)]
    is_active: Option<bool>,
}

/// Fields that we answer but decide ourselves: accepted and ignored, so that get, edit, put works.
pub(super) const READ_ONLY: [&str; 14] = [
    "id",
    "version",
    "current_connections",
    "reported_connections",
    "health_status",
    "health_reason",
    "draining",
    "connected",
    "last_health_check",
    "last_ping",
    "cpu_usage",
    "memory_usage",
    "created_at",
    "updated_at",
];

/// Most characters of a URL.
const MAX_URL_CHARS: usize = 500;
/// Most vertices of a service area.
const MAX_VERTICES: usize = 1_000;
/// Greatest distance between two corners of a service area.
const MAX_ACROSS: Metres = Metres(2_000_000.0);

impl Content {
    /// Takes an edge server out of a body; `None` when a fault was noted that leaves nothing.
    pub(super) fn read(reader: &mut FieldReader, egress: &Egress) -> Option<Self> {
        let name = reader.required_text("name", 255);
        let region = reader.required_text("region", 100);
        let api_url = reader.required_text("api_url", MAX_URL_CHARS);
        check_url(reader, egress, "api_url", api_url.as_deref(), ["https", "http"]);
        let websocket_url = reader.required_text("websocket_url", MAX_URL_CHARS);
        check_url(reader, egress, "websocket_url", websocket_url.as_deref(), ["wss", "ws"]);
        let position = reader.position();
        let service_radius_km = reader.hundredths("service_radius_km", 0.01, 999.99, 5.0);
        let service_area = service_area(reader);
        let max_connections = reader.integer("max_connections", 1, 1_000_000).unwrap_or(100);
        let health_check_url = reader.text("health_check_url", MAX_URL_CHARS, false);
        check_url(reader, egress, "health_check_url", health_check_url.as_deref(), ["https", "http"]);
        let is_active = reader.boolean("is_active").unwrap_or(true);
        Some(Self {
            name: name?,
            region: region?,
            api_url: api_url?,
            websocket_url: websocket_url?,
            position: position?,
            service_radius_km,
            service_area,
            max_connections: i32::try_from(max_connections).ok()?,
            health_check_url,
            is_active,
        })
    }

    /// Radius of the circle.
    pub(super) fn radius(&self) -> Metres {
        Metres(self.service_radius_km * 1000.0)
    }
}

/// The area, if one was drawn; `None` also when a fault was noted. A border that crosses itself is found by the database.
fn service_area(reader: &mut FieldReader) -> Option<MultiPolygon<f64>> {
    let raw = reader.take("service_area")?;
    let area = read_area(reader, "service_area", &raw, MAX_VERTICES)?;
    let across = across(&area);
    if across > MAX_ACROSS {
        let km = across.0 / 1000.0;
        reader.faults.out_of_domain(
            "service_area",
            "too_large",
            format!("is {km:.0} km across; more than 2000 km is not served by one edge"),
        );
    }
    Some(area)
}

/// Encrypted, unless the host is one that may be dialled otherwise.
fn check_url(reader: &mut FieldReader, egress: &Egress, field: &str, text: Option<&str>, [encrypted, plain]: [&str; 2]) {
    let Some(text) = text else { return };
    let fault = match Url::parse(text) {
        Err(error) => Some(("not_a_url", format!("is not a URL: {error}"))),
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            Some(("has_userinfo", "has a user name or password".to_owned()))
        }
        Ok(url) if url.scheme() == plain && !egress.allows_plain(&url) => {
            Some(("not_encrypted", format!("is not {encrypted}; {plain} is only for hosts that HEALTH_CHECK_ALLOW names")))
        }
        Ok(url) if ![encrypted, plain].contains(&url.scheme()) => Some(("wrong_scheme", format!("is not {encrypted}"))),
        Ok(url) if url.host().is_none() => Some(("not_a_url", "has no host".to_owned())),
        Ok(_) => None,
    };
    if let Some((code, detail)) = fault {
        reader.faults.out_of_domain(field, code, detail);
    }
}

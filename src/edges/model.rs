//! An edge server as admins see it.

use chrono::{DateTime, Utc};
use geo_types::MultiPolygon;
use serde::{Serialize, Serializer};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::geo::{LatLng, round_deg};

/// How an edge server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, ToSchema, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[schema(as = EdgeHealth)]
#[sqlx(type_name = "varchar", rename_all = "snake_case")]
pub enum Health {
    /// Heard in time, and well.
    Healthy,
    /// Late, overloaded, failing its probes, or rising again.
    Degraded,
    /// Silent.
    Offline,
    /// Never heard.
    Unknown,
}

impl Health {
    /// The words, for messages.
    pub(crate) const WORDS: &str = "healthy, degraded, offline, unknown";

    /// The word on the wire and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Offline => "offline",
            Self::Unknown => "unknown",
        }
    }

    /// The health of a word.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        [Self::Healthy, Self::Degraded, Self::Offline, Self::Unknown].into_iter().find(|health| health.as_str() == word)
    }
}

/// An edge server.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct EdgeServer {
    /// Identity.
    pub(crate) id: Uuid,
    /// Name.
    pub(crate) name: String,
    /// Operator's label, such as `eu-central`.
    pub(crate) region: String,
    /// Where phones reach it over HTTP.
    pub(crate) api_url: String,
    /// Where phones reach it over WebSocket.
    pub(crate) websocket_url: String,
    /// Where it stands.
    #[serde(flatten)]
    pub(crate) position: Position,
    /// Radius of its service area in kilometres, when none was drawn.
    pub(crate) service_radius_km: f64,
    /// Its service area: the one drawn, else a polygon around the circle.
    pub(crate) service_area: Area,
    /// Most devices it takes.
    pub(crate) max_connections: i32,
    /// Devices assigned to it.
    pub(crate) current_connections: i32,
    /// Connections it says it has.
    pub(crate) reported_connections: i32,
    /// Rises by one at every change by an admin; the `ETag`.
    pub(crate) version: i64,
    /// How it is.
    pub(crate) health_status: Health,
    /// Why it is so: `never_heard`, `silent`, `late_beat`, `socket_lost`, `cpu_high`, `memory_high`, `probe_failed` or `recovering`; null when healthy.
    #[schema(required)]
    pub(crate) health_reason: Option<String>,
    /// True: it gets no new devices, and hands over those it has.
    pub(crate) draining: bool,
    /// Whether it holds a socket to one of our instances.
    pub(crate) connected: bool,
    /// What is probed.
    #[schema(required)]
    pub(crate) health_check_url: Option<String>,
    /// Last probe.
    #[schema(required)]
    pub(crate) last_health_check: Option<DateTime<Utc>>,
    /// Last beat.
    #[schema(required)]
    pub(crate) last_ping: Option<DateTime<Utc>>,
    /// CPU in use at the last beat, per cent.
    #[schema(required)]
    pub(crate) cpu_usage: Option<f64>,
    /// Memory in use at the last beat, per cent.
    #[schema(required)]
    pub(crate) memory_usage: Option<f64>,
    /// False: kept, but chosen by nobody.
    pub(crate) is_active: bool,
    /// When it was registered.
    pub(crate) created_at: DateTime<Utc>,
    /// When an admin last changed it.
    pub(crate) updated_at: DateTime<Utc>,
    /// How far its clock was ahead of the database's at the last beat that told its time; only its status tells.
    #[serde(skip)]
    pub(crate) clock_skew_s: Option<f64>,
}

/// A position as two members.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Position {
    /// Latitude in degrees.
    #[schema(example = 52.5163)]
    pub(crate) lat: f64,
    /// Longitude in degrees.
    #[schema(example = 13.3777)]
    pub(crate) lng: f64,
}

impl From<LatLng> for Position {
    fn from(position: LatLng) -> Self {
        Self { lat: position.lat_deg(), lng: position.lng_deg() }
    }
}

/// An area, on the wire a GeoJSON `MultiPolygon`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Area {
    /// In plain latitude/longitude degrees.
    pub(crate) polygons: MultiPolygon<f64>,
    /// Whether an admin drew it; else it is the polygon around the circle.
    pub(crate) drawn: bool,
}

impl Area {
    /// The coordinates as they are written: 8 decimals.
    pub(crate) fn coordinates(polygons: &MultiPolygon<f64>) -> Vec<Vec<Vec<[f64; 2]>>> {
        let ring = |ring: &geo_types::LineString<f64>| ring.coords().map(|at| [round_deg(at.x), round_deg(at.y)]).collect();
        polygons.iter().map(|polygon| std::iter::once(polygon.exterior()).chain(polygon.interiors()).map(ring).collect()).collect()
    }
}

impl Serialize for Area {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        AreaJson { kind: "MultiPolygon", coordinates: Self::coordinates(&self.polygons) }.serialize(serializer)
    }
}

/// A GeoJSON `MultiPolygon`.
#[derive(Serialize, ToSchema)]
#[schema(as = ServiceArea)]
pub(crate) struct AreaJson {
    #[serde(rename = "type")]
    #[schema(example = "MultiPolygon")]
    kind: &'static str,
    coordinates: Vec<Vec<Vec<[f64; 2]>>>,
}

impl utoipa::PartialSchema for Area {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        AreaJson::schema()
    }
}

impl ToSchema for Area {
    fn name() -> std::borrow::Cow<'static, str> {
        AreaJson::name()
    }
}

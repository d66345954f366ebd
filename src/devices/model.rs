//! A device as clients see it, and what a phone is told.

use chrono::{DateTime, Utc};
use geo_types::Point;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::geo::{Cell, Geog};

/// Whether a device is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "varchar", rename_all = "snake_case")]
pub(super) enum ConnectionStatus {
    /// It was heard of lately.
    Connected,
    /// It left, or fell silent.
    Disconnected,
    /// Something is wrong with it.
    Error,
}

impl ConnectionStatus {
    /// The words, for messages.
    pub(super) const WORDS: &str = "connected, disconnected, error";

    /// The word on the wire and in the database.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Disconnected => "disconnected",
            Self::Error => "error",
        }
    }

    /// The status of a word.
    pub(super) fn from_word(word: &str) -> Option<Self> {
        [Self::Connected, Self::Disconnected, Self::Error].into_iter().find(|status| status.as_str() == word)
    }
}

/// A device.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "these are the wire's own names")]
pub(super) struct Device {
    /// Its own name.
    #[schema(example = "phone-1")]
    pub(super) device_id: String,
    /// Whose it is.
    #[schema(required)]
    pub(super) user_id: Option<Uuid>,
    /// The edge server that serves it; null when none does.
    #[schema(required)]
    pub(super) edge_server_id: Option<Uuid>,
    /// Latitude in degrees; null once the position was forgotten.
    #[schema(required, example = 52.52)]
    pub(super) lat: Option<f64>,
    /// Longitude in degrees; null once the position was forgotten.
    #[schema(required, example = 13.405)]
    pub(super) lng: Option<f64>,
    /// Radius of uncertainty in metres, as the device said.
    #[schema(required)]
    pub(super) accuracy_meters: Option<f64>,
    /// H3 cell of the position at resolution 9.
    #[schema(required, value_type = Option<String>, example = "891f1d48947ffff")]
    pub(super) h3_r9: Option<Cell>,
    /// Whether it is there.
    pub(super) connection_status: ConnectionStatus,
    /// Start of this connection.
    pub(super) connected_at: DateTime<Utc>,
    /// Last sign of life.
    pub(super) last_ping: DateTime<Utc>,
    /// Version of its app.
    #[schema(required)]
    pub(super) app_version: Option<String>,
    /// What it said about itself.
    #[schema(required, value_type = Option<Object>)]
    pub(super) device_info: Option<Value>,
}

/// A device as it stands in the database.
pub(super) struct DeviceRow {
    pub(super) device_id: String,
    pub(super) user_id: Option<Uuid>,
    pub(super) edge_server_id: Option<Uuid>,
    pub(super) position: Option<Geog<Point<f64>>>,
    pub(super) accuracy_meters: Option<f64>,
    pub(super) h3_r9: Option<i64>,
    pub(super) connection_status: ConnectionStatus,
    pub(super) connected_at: DateTime<Utc>,
    pub(super) last_ping: DateTime<Utc>,
    pub(super) app_version: Option<String>,
    pub(super) device_info: Option<Value>,
}

impl From<DeviceRow> for Device {
    fn from(row: DeviceRow) -> Self {
        Self {
            device_id: row.device_id,
            user_id: row.user_id,
            edge_server_id: row.edge_server_id,
            lat: row.position.as_ref().map(|position| position.0.y()),
            lng: row.position.as_ref().map(|position| position.0.x()),
            accuracy_meters: row.accuracy_meters,
            h3_r9: row.h3_r9.and_then(|number| Cell::from_db(number).ok()),
            connection_status: row.connection_status,
            connected_at: row.connected_at,
            last_ping: row.last_ping,
            app_version: row.app_version,
            device_info: row.device_info,
        }
    }
}

/// Where a phone reaches its edge server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct EdgeLink {
    /// The edge server.
    pub(super) id: Uuid,
    /// Where phones reach it over HTTP.
    #[schema(example = "https://edge.example.org")]
    pub(super) api_url: String,
    /// Where phones reach it over WebSocket.
    #[schema(example = "wss://edge.example.org")]
    pub(super) websocket_url: String,
}

/// What a phone is told that said where it is.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct Located {
    /// The device as it is now.
    pub(super) device: Device,
    /// The edge server that serves it; null when there is none, and `reason` says why.
    #[schema(required)]
    pub(super) edge_server: Option<EdgeLink>,
    /// Why there is no edge server, or only a second choice: `all_full`, `none_healthy`, `outside_service_areas` or
    /// `no_edges`; null when it has the one it should have.
    #[schema(required, example = "all_full")]
    pub(super) reason: Option<String>,
    /// True: its edge server is another one than it was told last time.
    pub(super) handover: bool,
    /// True: a newer position is known, and this one was kept out.
    pub(super) stale: bool,
}

//! What is said over sockets: the messages of contract §8 and §9 as types. `/asyncapi.json` is made from them.

mod content;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use uuid::Uuid;

pub(crate) use content::{
    Bucket, Checkpoint, DigestRequest, Digests, Inventory, InventoryRequest, Numbered, NumberedDecoration, SnapshotPart, SyncAck,
    SyncDecorations, SyncRequest, SyncResult,
};

use crate::geo::LatLng;
use crate::input::read_time;
use crate::sync::{Digest, Sum};

/// The one version of the edge protocol.
pub(crate) const PROTOCOL: u32 = 1;
/// Most positions of one `device_locations`.
pub(crate) const MAX_LOCATIONS: usize = 500;
/// From an edge server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub(crate) enum FromEdge {
    /// The first message, within 10 s.
    Hello(Hello),
    /// A beat: how it is.
    HealthUpdate(HealthUpdate),
    /// A device connected to it.
    DeviceConnected(DeviceAtEdge),
    /// A device left it.
    DeviceDisconnected(DeviceAtEdge),
    /// Where its devices are.
    DeviceLocations(DeviceLocations),
    /// What became of a batch of content.
    SyncAck(SyncAck),
    /// It wants its content anew.
    SyncRequest(SyncRequest),
    /// What it holds, by buckets: the answer to `digest_request`.
    Digests(Digests),
    /// What it holds of one bucket: the answer to `inventory_request`, one for each prefix asked.
    Inventory(Inventory),
}

/// Who connects.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(expecting = "an object")]
pub(crate) struct Hello {
    /// Version of the protocol.
    #[schema(example = 1)]
    pub(crate) protocol: u32,
    /// Name and version of the edge's software.
    #[schema(min_length = 1, max_length = 255, example = "edge/1.4.2")]
    pub(crate) agent: String,
    /// Epoch of the last snapshot that it has to its end; null when it holds nothing.
    #[schema(required, min_length = 1, max_length = 255)]
    pub(crate) epoch: Option<String>,
    /// What it holds.
    pub(crate) held: Held,
}

/// A set of decorations by its size and digest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(expecting = "an object")]
pub(crate) struct Held {
    /// How many.
    #[schema(example = 0)]
    pub(crate) count: u64,
    /// XOR over all of them of the first 8 bytes of SHA-256(id ‖ `sync_version`), as 16 hexadecimal digits.
    #[schema(min_length = 16, max_length = 16, example = "0000000000000000")]
    pub(crate) digest: String,
}

/// How an edge is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(expecting = "an object")]
pub(crate) struct HealthUpdate {
    /// CPU in use, per cent.
    #[schema(minimum = 0, maximum = 100, example = 45.2)]
    pub(crate) cpu_usage: f64,
    /// Memory in use, per cent.
    #[schema(minimum = 0, maximum = 100, example = 67.8)]
    pub(crate) memory_usage: f64,
    /// Connections it has.
    #[schema(minimum = 0, maximum = 100_000_000, example = 23)]
    pub(crate) active_connections: i64,
    /// Its own time; only its distance from ours is of interest.
    #[schema(example = "2026-11-25T12:00:00Z")]
    pub(crate) timestamp: String,
    /// Traffic in Mbit/s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 1_000_000_000_000.0, example = 120.5)]
    pub(crate) bandwidth_mbps: Option<f64>,
}

/// A device that came to an edge, or left it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(expecting = "an object")]
pub(crate) struct DeviceAtEdge {
    /// The device.
    #[schema(min_length = 1, max_length = 255, example = "phone-1")]
    pub(crate) device_id: String,
    /// Latitude in degrees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = -90, maximum = 90, example = 52.5163)]
    pub(crate) lat: Option<f64>,
    /// Longitude in degrees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = -180, maximum = 180, example = 13.3777)]
    pub(crate) lng: Option<f64>,
}

/// Where devices are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(expecting = "an object")]
pub(crate) struct DeviceLocations {
    /// At most 500.
    #[schema(max_items = 500)]
    pub(crate) locations: Vec<DeviceLocation>,
}

/// Where a device was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(expecting = "an object")]
pub(crate) struct DeviceLocation {
    /// The device.
    #[schema(min_length = 1, max_length = 255, example = "phone-1")]
    pub(crate) device_id: String,
    /// Latitude in degrees.
    #[schema(minimum = -90, maximum = 90, example = 52.5163)]
    pub(crate) lat: f64,
    /// Longitude in degrees.
    #[schema(minimum = -180, maximum = 180, example = 13.3777)]
    pub(crate) lng: f64,
    /// When, by the device's own clock.
    #[serde(deserialize_with = "strict_time")]
    pub(crate) recorded_at: DateTime<Utc>,
}

/// To an edge server.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub(crate) enum ToEdge {
    /// The answer to `hello`.
    Welcome(Welcome),
    /// A device is to be served by this edge from now on.
    DeviceAssigned(DeviceNamed),
    /// A device is no longer this edge's.
    DeviceReleased(DeviceNamed),
    /// A part of what the edge is to hold: it applies it, and acknowledges it.
    SyncDecorations(SyncDecorations),
    /// What the edge holds by our books, when nothing is on its way: it compares.
    Checkpoint(Checkpoint),
    /// What the edge holds is asked for, by buckets.
    DigestRequest(DigestRequest),
    /// What the edge holds of these buckets is asked for.
    InventoryRequest(InventoryRequest),
    /// No new devices come, and those that are here are handed over.
    Drain(Drain),
    /// Something was wrong with a message.
    Error(SocketError),
}

/// A session begins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Welcome {
    /// The session; another one of the same edge ends it.
    pub(crate) session_id: Uuid,
    /// Changes when the database was restored from a backup: numbers of another epoch are void.
    pub(crate) epoch: String,
    /// The supervisor's time.
    pub(crate) server_time: DateTime<Utc>,
    /// Time between two `health_update`.
    #[schema(example = 30)]
    pub(crate) heartbeat_seconds: u64,
    /// Whether the edge goes on from what it holds, or gets everything anew.
    pub(crate) mode: Mode,
}

/// How content comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mode {
    /// What changed.
    Delta,
    /// Everything.
    Snapshot,
}

/// A device by its name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct DeviceNamed {
    /// The device.
    #[schema(example = "phone-1")]
    pub(crate) device_id: String,
}

/// A drain began.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Drain {
    /// When the edge may go.
    pub(crate) deadline: DateTime<Utc>,
}

/// What was wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct SocketError {
    /// Stable name, in snake case.
    #[schema(example = "unknown_type")]
    pub(crate) code: String,
    /// For people.
    #[schema(example = "there is no message of type \"ping\"")]
    pub(crate) message: String,
}

impl SocketError {
    pub(super) fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into() }
    }
}

/// The outside of every message.
#[derive(Deserialize)]
#[serde(expecting = "an object with type and data")]
struct Envelope<'m> {
    #[serde(rename = "type")]
    kind: std::borrow::Cow<'m, str>,
    #[serde(borrow, default)]
    data: Option<&'m RawValue>,
}

impl FromEdge {
    /// Reads a message. Members that we do not know are left alone: an edge may be newer than we are.
    ///
    /// # Errors
    /// What the edge is to be told when it is none of ours, or says what cannot be.
    pub(super) fn read(text: &str) -> Result<Self, SocketError> {
        let bad = |error: serde_json::Error| SocketError::new("bad_message", error.to_string());
        let Envelope { kind, data } = serde_json::from_str(text).map_err(bad)?;
        let data = data.map_or("null", RawValue::get);
        let message = match &*kind {
            "hello" => Self::Hello(serde_json::from_str(data).map_err(bad)?),
            "health_update" => Self::HealthUpdate(serde_json::from_str(data).map_err(bad)?),
            "device_connected" => Self::DeviceConnected(serde_json::from_str(data).map_err(bad)?),
            "device_disconnected" => Self::DeviceDisconnected(serde_json::from_str(data).map_err(bad)?),
            "device_locations" => Self::DeviceLocations(serde_json::from_str(data).map_err(bad)?),
            "sync_ack" => Self::SyncAck(serde_json::from_str(data).map_err(bad)?),
            "sync_request" => Self::SyncRequest(serde_json::from_str(data).map_err(bad)?),
            "digests" => Self::Digests(serde_json::from_str(data).map_err(bad)?),
            "inventory" => Self::Inventory(serde_json::from_str(data).map_err(bad)?),
            unknown => return Err(SocketError::new("unknown_type", format!("there is no message of type {unknown:?}"))),
        };
        message.check().map_err(|detail| SocketError::new("out_of_domain", detail))?;
        Ok(message)
    }

    fn check(&self) -> Result<(), String> {
        match self {
            Self::Hello(hello) => hello.check(),
            Self::HealthUpdate(update) => update.check(),
            Self::DeviceConnected(device) | Self::DeviceDisconnected(device) => {
                check_device_id(&device.device_id)?;
                match (device.lat, device.lng) {
                    (Some(lat_deg), Some(lng_deg)) => check_position(lat_deg, lng_deg),
                    (None, None) => Ok(()),
                    _ => Err("lat and lng come together".to_owned()),
                }
            }
            Self::DeviceLocations(DeviceLocations { locations }) => {
                if locations.len() > MAX_LOCATIONS {
                    return Err(format!("locations has more than {MAX_LOCATIONS} items"));
                }
                locations.iter().try_for_each(|location| {
                    check_device_id(&location.device_id)?;
                    check_position(location.lat, location.lng)
                })
            }
            Self::SyncAck(ack) => ack.check(),
            Self::SyncRequest(request) => check_text("reason", &request.reason, 255),
            Self::Digests(digests) => digests.check(),
            Self::Inventory(inventory) => inventory.check(),
        }
    }
}

impl Hello {
    fn check(&self) -> Result<(), String> {
        check_text("agent", &self.agent, 255)?;
        if let Some(epoch) = &self.epoch {
            check_text("epoch", epoch, 255)?;
        }
        self.held.digest("held.digest").map(|_| ())
    }
}

impl Held {
    /// The digest as a number.
    fn digest(&self, name: &str) -> Result<Digest, String> {
        Digest::from_hex(&self.digest).ok_or_else(|| format!("{name} is not 16 hexadecimal digits"))
    }

    /// As a sum; none when the digest is none.
    pub(crate) fn sum(&self) -> Option<Sum> {
        Some(Sum { count: self.count, digest: Digest::from_hex(&self.digest)? })
    }
}

impl HealthUpdate {
    fn check(&self) -> Result<(), String> {
        within("cpu_usage", self.cpu_usage, 100.0)?;
        within("memory_usage", self.memory_usage, 100.0)?;
        within("bandwidth_mbps", self.bandwidth_mbps.unwrap_or(0.0), 1e12)?;
        if (0..=100_000_000).contains(&self.active_connections) {
            Ok(())
        } else {
            Err("active_connections is outside 0 to 100000000".to_owned())
        }
    }

    /// How far the edge's clock is ahead of `now`, in seconds. An edge's time is never an error.
    pub(super) fn skew_s(&self, now: DateTime<Utc>) -> Option<f64> {
        let theirs = read_time(&self.timestamp).ok()?;
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of some thousand years fit")]
        Some((theirs - now).num_milliseconds() as f64 / 1000.0)
    }
}

impl DeviceAtEdge {
    /// Where the device is, if that was said.
    pub(super) fn position(&self) -> Option<LatLng> {
        LatLng::new(self.lat?, self.lng?).ok()
    }
}

impl DeviceLocation {
    pub(super) fn position(&self) -> LatLng {
        LatLng::new(self.lat, self.lng).expect("it was checked when it was read")
    }
}

/// A time of the years 1 to 9999, as in bodies of requests: others are beyond what the database takes.
fn strict_time<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<DateTime<Utc>, D::Error> {
    let text = String::deserialize(deserializer)?;
    read_time(&text).map_err(|_kind| serde::de::Error::custom("recorded_at is not a time such as 2026-11-25T12:00:00Z"))
}

fn check_position(lat_deg: f64, lng_deg: f64) -> Result<(), String> {
    LatLng::new(lat_deg, lng_deg).map(|_| ()).map_err(|error| error.to_string())
}

fn within(name: &str, value: f64, most: f64) -> Result<(), String> {
    if (0.0..=most).contains(&value) { Ok(()) } else { Err(format!("{name} is outside 0 to {most}")) }
}

fn check_device_id(text: &str) -> Result<(), String> {
    check_text("device_id", text, 255)
}

fn check_text(name: &str, text: &str, most: usize) -> Result<(), String> {
    let length = text.chars().count();
    if length == 0 || length > most || text.chars().any(char::is_control) {
        return Err(format!("{name} is to be 1 to {most} characters, and none of them a control character"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(r#"{"type":"hello","data":{"protocol":1,"agent":"a","epoch":null,"held":{"count":0,"digest":"0000000000000000"}}}"#)]
    #[case(r#"{"type":"health_update","data":{"cpu_usage":0,"memory_usage":100,"active_connections":0,"timestamp":"yesterday","new_member":[1]}}"#)]
    #[case(r#"{"data":{"device_id":"d"},"type":"device_connected"}"#)]
    #[case(
        r#"{"type":"device_locations","data":{"locations":[{"device_id":"d","lat":-90,"lng":180,"recorded_at":"2026-11-25T12:00:00Z"}]}}"#
    )]
    fn messages_are_read(#[case] text: &str) {
        assert!(FromEdge::read(text).is_ok(), "{text}: {:?}", FromEdge::read(text));
    }

    #[rstest]
    #[case("", "bad_message")]
    #[case("[]", "bad_message")]
    #[case(r#"{"type":"hello"}"#, "bad_message")]
    #[case(r#"{"type":"moon","data":{}}"#, "unknown_type")]
    #[case(r#"{"type":"health_update","data":{"cpu_usage":101,"memory_usage":0,"active_connections":0,"timestamp":""}}"#, "out_of_domain")]
    #[case(r#"{"type":"health_update","data":{"cpu_usage":1e999,"memory_usage":0,"active_connections":0,"timestamp":""}}"#, "bad_message")]
    #[case(r#"{"type":"health_update","data":{"cpu_usage":1,"memory_usage":0,"active_connections":-1,"timestamp":""}}"#, "out_of_domain")]
    #[case(r#"{"type":"device_connected","data":{"device_id":""}}"#, "out_of_domain")]
    #[case(r#"{"type":"device_connected","data":{"device_id":"a\u0000"}}"#, "out_of_domain")]
    #[case(r#"{"type":"device_connected","data":{"device_id":"a","lat":1}}"#, "out_of_domain")]
    #[case(r#"{"type":"device_connected","data":{"device_id":"a","device_id":"b"}}"#, "bad_message")]
    fn bad_messages_say_why(#[case] text: &str, #[case] code: &str) {
        assert_eq!(FromEdge::read(text).expect_err(text).code, code);
    }

    #[test]
    fn an_edges_clock_is_measured_and_never_an_error() {
        let now = read_time("2026-11-25T12:00:00Z").expect("a time");
        let at = |timestamp: &str| {
            let timestamp = timestamp.to_owned();
            HealthUpdate { cpu_usage: 1.0, memory_usage: 1.0, active_connections: 1, timestamp, bandwidth_mbps: None }.skew_s(now)
        };
        assert_eq!((at("2026-11-25T12:01:30.5Z"), at("2026-11-25T11:59:00Z"), at("noon")), (Some(90.5), Some(-60.0), None));
    }
}

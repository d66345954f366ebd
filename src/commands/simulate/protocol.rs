//! What an edge server and its supervisor say to each other, written as an edge would: from the published
//! protocol alone.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::fingerprint::fingerprint;
use crate::geo::LatLng;

/// Most locations in one message; the supervisor takes 500.
pub(super) const MAX_LOCATIONS: usize = 20;
/// Largest message of the supervisor.
pub(super) const MAX_MESSAGE_BYTES: usize = 256 * 1024;
/// Most buckets in one `digests`.
pub(super) const MAX_BUCKETS: usize = 400;
/// Most decorations and removals in one batch.
const MAX_ENTRIES: usize = 200;
/// Most bits that buckets are told apart by.
const MAX_BITS: u32 = 16;
/// Most buckets that are asked for at once.
const MAX_PREFIXES: usize = 16;

/// What an edge says.
#[derive(Debug, Serialize)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub(super) enum ToSupervisor<'a> {
    /// First of all.
    Hello { protocol: u32, agent: &'a str, epoch: Option<String>, held: Held },
    /// A beat.
    HealthUpdate { cpu_usage: f64, memory_usage: f64, active_connections: usize, bandwidth_mbps: f64, timestamp: DateTime<Utc> },
    /// A phone came.
    DeviceConnected {
        device_id: &'a str,
        #[serde(flatten)]
        position: Option<Position>,
    },
    /// A phone went.
    DeviceDisconnected { device_id: &'a str },
    /// Where some phones are.
    DeviceLocations { locations: Vec<Location> },
    /// What came of a batch.
    SyncAck(&'a SyncAck),
    /// Something is missing, or too much.
    SyncRequest { reason: &'a str },
    /// Buckets of what is held.
    Digests(&'a Digests),
    /// What is held of one bucket.
    Inventory(&'a Inventory),
}

/// Degrees as they go over the wire.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Position {
    lat: f64,
    lng: f64,
}

impl From<LatLng> for Position {
    fn from(place: LatLng) -> Self {
        Self { lat: place.lat_deg(), lng: place.lng_deg() }
    }
}

/// Where a phone was.
#[derive(Debug, Serialize)]
pub(super) struct Location {
    pub(super) device_id: String,
    #[serde(flatten)]
    pub(super) position: Position,
    pub(super) recorded_at: DateTime<Utc>,
}

impl ToSupervisor<'_> {
    /// The greeting, with what is held.
    pub(super) fn hello((epoch, held): (Option<String>, Held)) -> Self {
        let agent = concat!("ar-supervisor-simulate/", env!("CARGO_PKG_VERSION"));
        Self::Hello { protocol: 1, agent, epoch, held }
    }

    pub(super) fn to_text(&self) -> String {
        serde_json::to_string(self).expect("names, numbers and times are JSON")
    }
}

/// What an edge holds: how many, and the digest of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Held {
    pub(crate) count: u64,
    pub(crate) digest: String,
}

/// Some of the content.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Batch {
    #[serde(rename = "batch_id")]
    pub(crate) id: u64,
    /// The highest number in it.
    pub(crate) version: i64,
    pub(crate) decorations: Vec<Put>,
    pub(crate) removed: Vec<Removal>,
    pub(crate) snapshot: Option<SnapshotPart>,
}

impl Batch {
    fn check(&self) -> Result<(), String> {
        let (puts, removals) =
            (self.decorations.iter().map(|put| put.sync_version), self.removed.iter().map(|removal| removal.sync_version));
        let entries = self.decorations.len() + self.removed.len();
        if entries > MAX_ENTRIES {
            return Err(format!("a batch of {entries} entries"));
        }
        match puts.chain(removals).max() {
            Some(highest) if highest != self.version => Err(format!("a batch of version {}, with {highest} in it", self.version)),
            _ => Ok(()),
        }
    }
}

/// A decoration to be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Map<String, Value>")]
pub(crate) struct Put {
    pub(crate) id: Uuid,
    pub(crate) sync_version: i64,
    /// Stands for all that it says.
    pub(crate) fingerprint: u64,
}

impl TryFrom<Map<String, Value>> for Put {
    type Error = String;

    fn try_from(decoration: Map<String, Value>) -> Result<Self, String> {
        let id = decoration.get("id").and_then(Value::as_str).and_then(|text| Uuid::try_parse(text).ok());
        let sync_version = decoration.get("sync_version").and_then(Value::as_i64).filter(|number| *number > 0);
        match (id, sync_version) {
            (Some(id), Some(sync_version)) => Ok(Self { id, sync_version, fingerprint: fingerprint(&decoration) }),
            (None, _) => Err("a decoration without an id".to_owned()),
            (_, None) => Err("a decoration without a sync_version from 1 on".to_owned()),
        }
    }
}

/// A decoration to be held no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Removal {
    pub(crate) id: Uuid,
    pub(crate) sync_version: i64,
}

/// Which part of a snapshot a batch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct SnapshotPart {
    pub(crate) first: bool,
    pub(crate) last: bool,
}

/// What came of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SyncAck {
    pub(crate) batch_id: u64,
    /// One for each of its entries.
    pub(crate) results: Vec<ItemResult>,
}

/// What came of one entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ItemResult {
    pub(crate) id: Uuid,
    pub(crate) sync_version: i64,
    pub(crate) ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
}

/// What the supervisor believes to be held.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Checkpoint {
    pub(crate) version: i64,
    #[serde(flatten)]
    pub(crate) held: Held,
}

/// What is held, by buckets; those that are empty are left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Digests {
    pub(crate) bits: u32,
    pub(crate) buckets: Vec<Bucket>,
    pub(crate) last: bool,
}

/// What is held in one bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Bucket {
    pub(crate) prefix: u32,
    #[serde(flatten)]
    pub(crate) held: Held,
}

/// What is held of one bucket, one by one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Inventory {
    pub(crate) bits: u32,
    pub(crate) prefix: u32,
    pub(crate) items: Vec<ItemNumber>,
}

/// A decoration and the number that is held of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ItemNumber {
    pub(crate) id: Uuid,
    pub(crate) sync_version: i64,
}

/// How content comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mode {
    /// What changed.
    Delta,
    /// Everything.
    Snapshot,
}

/// What the supervisor says.
#[derive(Debug, PartialEq)]
pub(super) enum FromSupervisor {
    /// In answer to the greeting.
    Welcome { heartbeat_s: f64, epoch: String, mode: Mode },
    /// Content.
    SyncDecorations(Batch),
    /// What is believed to be held.
    Checkpoint(Checkpoint),
    /// Digests of buckets are wanted.
    DigestRequest { bits: u32 },
    /// All that is held of some buckets is wanted.
    InventoryRequest { bits: u32, prefixes: Vec<u32> },
    /// A phone is to be served.
    DeviceAssigned(String),
    /// A phone is not to be served any more.
    DeviceReleased(String),
    /// The edge is to go, at the latest then.
    Drain { deadline: Option<DateTime<Utc>> },
    /// Something that the edge said was wrong.
    Error { code: String, message: String },
    /// Something that is not known here, and not to be minded.
    Other,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Welcome {
    #[expect(dead_code, reason = "must be there")]
    session_id: serde::de::IgnoredAny,
    #[expect(dead_code, reason = "must be there")]
    server_time: DateTime<Utc>,
    heartbeat_seconds: f64,
    epoch: String,
    mode: Mode,
}

#[derive(Deserialize)]
struct DigestRequest {
    bits: u32,
}

#[derive(Deserialize)]
struct InventoryRequest {
    bits: u32,
    prefixes: Vec<u32>,
}

#[derive(Deserialize)]
struct Device {
    device_id: String,
}

#[derive(Deserialize)]
struct Drain {
    deadline: Option<DateTime<Utc>>,
}

#[derive(Deserialize)]
struct Complaint {
    code: String,
    message: String,
}

impl FromSupervisor {
    /// Reads a message.
    ///
    /// # Errors
    /// In words, when it is not what the protocol promises.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let Envelope { kind, data } = serde_json::from_str(text).map_err(|error| format!("a message that is none: {error}"))?;
        let data = data.map_or("null", RawValue::get);
        let broken = |error: serde_json::Error| format!("a message `{kind}` that cannot be read: {error}");
        match kind.as_ref() {
            "welcome" => {
                let Welcome { heartbeat_seconds, epoch, mode, .. } = serde_json::from_str(data).map_err(broken)?;
                if !(0.01..=86_400.0).contains(&heartbeat_seconds) {
                    return Err(format!("a welcome with heartbeats every {heartbeat_seconds} s"));
                }
                Ok(Self::Welcome { heartbeat_s: heartbeat_seconds, epoch, mode })
            }
            "sync_decorations" => {
                let batch: Batch = serde_json::from_str(data).map_err(broken)?;
                batch.check().map(|()| Self::SyncDecorations(batch))
            }
            "checkpoint" => Ok(Self::Checkpoint(serde_json::from_str(data).map_err(broken)?)),
            "digest_request" => {
                let DigestRequest { bits } = serde_json::from_str(data).map_err(broken)?;
                check_bits(bits).map(|()| Self::DigestRequest { bits })
            }
            "inventory_request" => {
                let InventoryRequest { bits, prefixes } = serde_json::from_str(data).map_err(broken)?;
                check_bits(bits)?;
                if prefixes.len() > MAX_PREFIXES {
                    return Err(format!("an inventory_request of {} prefixes", prefixes.len()));
                }
                Ok(Self::InventoryRequest { bits, prefixes })
            }
            "device_assigned" => Ok(Self::DeviceAssigned(serde_json::from_str::<Device>(data).map_err(broken)?.device_id)),
            "device_released" => Ok(Self::DeviceReleased(serde_json::from_str::<Device>(data).map_err(broken)?.device_id)),
            "drain" => Ok(Self::Drain { deadline: serde_json::from_str::<Drain>(data).map_err(broken)?.deadline }),
            "error" => {
                let Complaint { code, message } = serde_json::from_str(data).map_err(broken)?;
                Ok(Self::Error { code, message })
            }
            _ => Ok(Self::Other),
        }
    }
}

fn check_bits(bits: u32) -> Result<(), String> {
    if bits <= MAX_BITS { Ok(()) } else { Err(format!("buckets of {bits} bits")) }
}

/// Why the supervisor closed a socket.
#[derive(Debug, PartialEq)]
pub(super) enum Closing {
    /// It stops or restarts, and says when to come back.
    SentAway { retry_after_ms: Option<u64> },
    /// It has no time, or no database.
    Busy,
    /// The edge read too slowly.
    TooSlow,
    /// It ended as it may end at any time.
    Ordinary,
    /// It did not like something.
    Refused { code: u16, reason: String },
}

impl Closing {
    /// Whether the edge is not to come back: another connection took over, or its key is void.
    pub(super) fn is_for_good(&self) -> bool {
        matches!(self, Self::Refused { code: 1008, reason } if matches!(reason.as_str(), "superseded" | "key_revoked"))
    }

    pub(super) fn read(code: u16, reason: &str) -> Self {
        #[derive(Deserialize)]
        struct Reason {
            retry_after_ms: u64,
        }
        match code {
            1001 | 1012 => {
                let retry_after_ms = serde_json::from_str::<Reason>(reason).ok().map(|reason| reason.retry_after_ms);
                Self::SentAway { retry_after_ms }
            }
            1013 if reason == "unavailable" => Self::Busy,
            1013 => Self::TooSlow,
            1000 | 1005 | 1006 => Self::Ordinary,
            code => Self::Refused { code, reason: reason.to_owned() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    fn written(message: &ToSupervisor<'_>) -> Value {
        serde_json::from_str(&message.to_text()).expect("JSON")
    }

    #[test]
    fn messages_are_written_as_the_contract_shows_them() {
        let now = DateTime::UNIX_EPOCH;
        let place = LatLng::new(-17.0, 180.0).expect("on Earth");
        let agent = concat!("ar-supervisor-simulate/", env!("CARGO_PKG_VERSION"));
        assert_eq!(
            written(&ToSupervisor::hello((None, Held { count: 0, digest: "0000000000000000".to_owned() }))),
            json!({"type": "hello", "data": {"protocol": 1, "agent": agent, "epoch": null, "held": {"count": 0, "digest": "0000000000000000"}}})
        );
        assert_eq!(
            written(&ToSupervisor::HealthUpdate {
                cpu_usage: 12.5,
                memory_usage: 40.0,
                active_connections: 3,
                bandwidth_mbps: 1.5,
                timestamp: now
            }),
            json!({"type": "health_update", "data": {"cpu_usage": 12.5, "memory_usage": 40.0, "active_connections": 3, "bandwidth_mbps": 1.5, "timestamp": "1970-01-01T00:00:00Z"}})
        );
        assert_eq!(
            written(&ToSupervisor::DeviceConnected { device_id: "a", position: Some(place.into()) }),
            json!({"type": "device_connected", "data": {"device_id": "a", "lat": -17.0, "lng": 180.0}})
        );
        assert_eq!(
            written(&ToSupervisor::DeviceConnected { device_id: "a", position: None }),
            json!({"type": "device_connected", "data": {"device_id": "a"}})
        );
        assert_eq!(
            written(&ToSupervisor::DeviceLocations {
                locations: vec![Location { device_id: "a".to_owned(), position: place.into(), recorded_at: now }]
            }),
            json!({"type": "device_locations", "data": {"locations": [{"device_id": "a", "lat": -17.0, "lng": 180.0, "recorded_at": "1970-01-01T00:00:00Z"}]}})
        );
    }

    #[rstest]
    #[case(json!({"type": "welcome", "data": {"session_id": "s", "epoch": "e", "server_time": "2026-01-01T00:00:00Z", "heartbeat_seconds": 30, "mode": "snapshot"}}),
        FromSupervisor::Welcome { heartbeat_s: 30.0, epoch: "e".to_owned(), mode: Mode::Snapshot })]
    #[case(json!({"type": "device_assigned", "data": {"device_id": "a \"b\""}}), FromSupervisor::DeviceAssigned("a \"b\"".to_owned()))]
    #[case(json!({"type": "device_released", "data": {"device_id": "a"}}), FromSupervisor::DeviceReleased("a".to_owned()))]
    #[case(json!({"type": "drain", "data": {"deadline": null}}), FromSupervisor::Drain { deadline: None })]
    #[case(json!({"type": "checkpoint", "data": {"version": 3, "count": 1, "digest": "00000000000000ff"}}),
        FromSupervisor::Checkpoint(Checkpoint { version: 3, held: Held { count: 1, digest: "00000000000000ff".to_owned() } }))]
    #[case(json!({"type": "digest_request", "data": {"bits": 16}}), FromSupervisor::DigestRequest { bits: 16 })]
    #[case(json!({"type": "inventory_request", "data": {"bits": 3, "prefixes": [0, 7]}}),
        FromSupervisor::InventoryRequest { bits: 3, prefixes: vec![0, 7] })]
    #[case(json!({"type": "something new"}), FromSupervisor::Other)]
    fn messages_are_read(#[case] message: Value, #[case] meaning: FromSupervisor) {
        assert_eq!(FromSupervisor::read(&message.to_string()), Ok(meaning));
    }

    #[rstest]
    #[case("{}")]
    #[case("[]")]
    #[case(r#"{"type": "welcome", "data": {"session_id": 1, "server_time": "2026-01-01T00:00:00Z"}}"#)]
    #[case(r#"{"type": "welcome", "data": {"session_id": 1, "server_time": "2026-01-01T00:00:00Z", "heartbeat_seconds": 0}}"#)]
    #[case(r#"{"type": "welcome", "data": {"session_id": 1, "server_time": "2026-01-01T00:00:00Z", "heartbeat_seconds": 1, "epoch": "e", "mode": "all"}}"#)]
    #[case(r#"{"type": "sync_decorations", "data": {"batch_id": 1}}"#)]
    #[case(r#"{"type": "sync_decorations", "data": {"batch_id": 1, "version": 1, "decorations": [{"id": "x", "sync_version": 1}], "removed": [], "snapshot": null}}"#)]
    #[case(r#"{"type": "sync_decorations", "data": {"batch_id": 1, "version": 1, "decorations": [], "removed": [{"id": "00000000-0000-0000-0000-000000000001", "sync_version": 2}], "snapshot": null}}"#)]
    #[case(r#"{"type": "digest_request", "data": {"bits": 17}}"#)]
    #[case(r#"{"type": "device_assigned"}"#)]
    #[case(r#"{"type": "drain", "data": {"deadline": "soon"}}"#)]
    fn what_breaks_the_protocol_is_told(#[case] text: &str) {
        assert!(FromSupervisor::read(text).is_err());
    }

    #[rstest]
    #[case(1012, r#"{"retry_after_ms": 1500}"#, Closing::SentAway { retry_after_ms: Some(1500) })]
    #[case(1001, "going away", Closing::SentAway { retry_after_ms: None })]
    #[case(1013, "", Closing::TooSlow)]
    #[case(1013, "unavailable", Closing::Busy)]
    #[case(1000, "", Closing::Ordinary)]
    #[case(1008, "superseded", Closing::Refused { code: 1008, reason: "superseded".to_owned() })]
    fn closings_are_told_apart(#[case] code: u16, #[case] reason: &str, #[case] meaning: Closing) {
        assert_eq!(Closing::read(code, reason), meaning);
    }
}

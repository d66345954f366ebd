//! What a foreign edge says, read as strictly as the protocol is published.

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::super::protocol::{Digests, Held, Inventory, MAX_BUCKETS, SyncAck};

/// Largest message of an edge.
pub(super) const MAX_HEARD_BYTES: usize = 64 * 1024;
/// Most locations in one message.
const MAX_LOCATIONS: usize = 500;

/// A message of an edge.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub(super) enum Heard {
    Hello(Hello),
    HealthUpdate(Beat),
    SyncAck(SyncAck),
    SyncRequest(Request),
    Digests(Digests),
    Inventory(Inventory),
    DeviceConnected(Device),
    DeviceDisconnected(Device),
    DeviceLocations(Locations),
}

/// The greeting.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Hello {
    pub(super) protocol: u32,
    pub(super) agent: String,
    pub(super) epoch: Option<String>,
    pub(super) held: Held,
}

/// How the edge is.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Beat {
    cpu_usage: f64,
    memory_usage: f64,
    active_connections: u32,
    #[expect(dead_code, reason = "must be there, and a time")]
    timestamp: DateTime<Utc>,
}

/// A device came or went.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Device {
    device_id: String,
}

/// Where devices are.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Locations {
    locations: Vec<Device>,
}

/// The edge asks for more.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Request {
    pub(super) reason: String,
}

impl Heard {
    /// Reads a message.
    ///
    /// # Errors
    /// In words, when it is none that an edge may say.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        if text.len() > MAX_HEARD_BYTES {
            return Err(format!("a message of {} bytes, where {MAX_HEARD_BYTES} are the most", text.len()));
        }
        let heard: Self = serde_json::from_str(text).map_err(|error| format!("{error}, in {}", excerpt(text)))?;
        heard.check().map_err(|fault| format!("{fault}, in {}", excerpt(text)))?;
        Ok(heard)
    }

    fn check(&self) -> Result<(), String> {
        match self {
            Self::Hello(Hello { agent, epoch, held, .. }) => {
                check_text("agent", agent)?;
                epoch.iter().try_for_each(|epoch| check_text("epoch", epoch))?;
                check_digest(held)
            }
            Self::HealthUpdate(Beat { cpu_usage, memory_usage, active_connections, .. }) => {
                let is_well =
                    [cpu_usage, memory_usage].iter().all(|pct| (0.0..=100.0).contains(*pct)) && *active_connections <= 100_000_000;
                is_well.then_some(()).ok_or_else(|| "a beat out of its bounds".to_owned())
            }
            Self::SyncRequest(Request { reason }) => check_text("reason", reason),
            Self::DeviceConnected(Device { device_id }) | Self::DeviceDisconnected(Device { device_id }) => {
                check_text("device_id", device_id)
            }
            Self::DeviceLocations(Locations { locations }) if locations.len() > MAX_LOCATIONS => {
                Err(format!("{} locations in one message", locations.len()))
            }
            Self::DeviceLocations(Locations { locations }) => {
                locations.iter().try_for_each(|device| check_text("device_id", &device.device_id))
            }
            Self::Digests(Digests { buckets, .. }) if buckets.len() > MAX_BUCKETS => {
                Err(format!("{} buckets in one message", buckets.len()))
            }
            Self::Digests(Digests { buckets, .. }) => buckets.iter().try_for_each(|bucket| check_digest(&bucket.held)),
            Self::SyncAck(_) | Self::Inventory(_) => Ok(()),
        }
    }

    /// Its `type`.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Hello(_) => "hello",
            Self::HealthUpdate(_) => "health_update",
            Self::SyncAck(_) => "sync_ack",
            Self::SyncRequest(_) => "sync_request",
            Self::Digests(_) => "digests",
            Self::Inventory(_) => "inventory",
            Self::DeviceConnected(_) => "device_connected",
            Self::DeviceDisconnected(_) => "device_disconnected",
            Self::DeviceLocations(_) => "device_locations",
        }
    }
}

fn check_text(name: &str, text: &str) -> Result<(), String> {
    if (1..=255).contains(&text.chars().count()) { Ok(()) } else { Err(format!("{name} has 1 to 255 characters")) }
}

fn check_digest(held: &Held) -> Result<(), String> {
    let is_digest = held.digest.len() == 16 && held.digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_digest.then_some(()).ok_or_else(|| format!("a digest is 16 hexadecimal digits, not {:?}", held.digest))
}

fn excerpt(text: &str) -> String {
    text.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(r#"{"type":"hello","data":{"protocol":1,"agent":"a","epoch":null,"held":{"count":0,"digest":"0000000000000000"},"more":1}}"#)]
    #[case(r#"{"type":"sync_ack","data":{"batch_id":1,"results":[{"id":"00000000-0000-0000-0000-000000000001","sync_version":1,"ok":false,"error":"no"}]}}"#)]
    #[case(r#"{"type":"digests","data":{"bits":3,"buckets":[{"prefix":7,"count":1,"digest":"00000000000000ff"}],"last":true}}"#)]
    #[case(
        r#"{"type":"health_update","data":{"cpu_usage":1,"memory_usage":2.5,"active_connections":0,"timestamp":"2026-01-01T00:00:00Z"}}"#
    )]
    fn what_an_edge_may_say_is_read(#[case] text: &str) {
        assert!(Heard::read(text).is_ok(), "{:?}", Heard::read(text));
    }

    #[rstest]
    #[case("hello")]
    #[case(r#"{"type":"moon","data":{}}"#)]
    #[case(r#"{"type":"hello","data":{"protocol":1,"agent":"","epoch":null,"held":{"count":0,"digest":"0000000000000000"}}}"#)]
    #[case(r#"{"type":"hello","data":{"protocol":1,"agent":"a","epoch":null,"held":{"count":0,"digest":"0"}}}"#)]
    #[case(
        r#"{"type":"health_update","data":{"cpu_usage":101,"memory_usage":2,"active_connections":0,"timestamp":"2026-01-01T00:00:00Z"}}"#
    )]
    #[case(r#"{"type":"sync_request","data":{"reason":""}}"#)]
    #[case(r#"{"type":"sync_ack","data":{"batch_id":1}}"#)]
    fn what_it_may_not_is_told(#[case] text: &str) {
        assert!(Heard::read(text).is_err());
    }
}

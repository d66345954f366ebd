//! A message of every type, as the document shows it: made of the types themselves, so that none can be other than
//! what is sent.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use uuid::Uuid;

use crate::decorations::{AssetType, Decoration, H3};
use crate::edges::Health;
use crate::geo::{Cell, Cells, LatLng};
use crate::hub::alerts::{Alert, AlertKind};
use crate::hub::feed::{AlertChange, Change, DecorationNamed, EdgeChange, EdgeHealthChange, EdgeHealthItem, EdgeNamed, Feed};
use crate::hub::protocol::{
    Bucket, Checkpoint, DeviceAtEdge, DeviceLocation, DeviceLocations, DeviceNamed, DigestRequest, Digests, Drain, FromEdge, HealthUpdate,
    Held, Hello, Inventory, InventoryRequest, Mode, Numbered, NumberedDecoration, PROTOCOL, SnapshotPart, SocketError, SyncAck,
    SyncDecorations, SyncRequest, SyncResult, ToEdge, Welcome,
};
use crate::hub::view::{CellCount, DeviceCounts, EdgeCount, EdgeState, EdgeSummary, SyncCounts, View};
use crate::sync::{Digest, bucket};
use h3o::Resolution;

pub(super) const EDGE: Uuid = Uuid::from_u128(0x0193_6e1c_5a00_7000_8000_0000_0000_00e1);
const SESSION: Uuid = Uuid::from_u128(0x0193_6e1c_5a00_7000_8000_0000_0000_005e);
const DECORATION: Uuid = Uuid::from_u128(0x0193_6e1c_5a00_7000_8000_0000_0000_00de);
const REMOVED: Uuid = Uuid::from_u128(0x0193_6e1c_5a00_7000_8000_0000_0000_00df);
const SYNC_VERSION: i64 = 4711;
const BITS: u8 = 2;
const DEVICE: &str = "phone-1";
const LAT_DEG: f64 = 52.5163;
const LNG_DEG: f64 = 13.3777;
const REGION: &str = "eu-central";

/// Noon of the day that examples are of.
fn noon() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_608_000, 0).expect("a time of the year 2026")
}

/// The example's decoration as all that is held.
fn held() -> Held {
    Held { count: 1, digest: Digest::of(DECORATION, SYNC_VERSION).to_string() }
}

fn prefix() -> u32 {
    bucket(DECORATION, BITS)
}

fn decoration() -> Decoration {
    let cells = Cells::of(LatLng::new(LAT_DEG, LNG_DEG).expect("on Earth"));
    Decoration {
        id: DECORATION,
        name: "Quadriga".to_owned(),
        description: Some("Rides again".to_owned()),
        category: "history".to_owned(),
        lat: LAT_DEG,
        lng: LNG_DEG,
        radius_meters: 100,
        height_offset: 26.0,
        low_res_url: Some("https://cdn.example.com/quadriga-low.glb".to_owned()),
        medium_res_url: None,
        high_res_url: Some("https://cdn.example.com/quadriga.glb".to_owned()),
        scale_x: 1.0,
        scale_y: 1.0,
        scale_z: 1.0,
        rotation_x: 0.0,
        rotation_y: 90.0,
        rotation_z: 0.0,
        asset_type: AssetType::Model3d,
        file_size_bytes: Some(1_048_576),
        is_active: true,
        version: 3,
        h3: H3 { r5: cells.r5, r7: cells.r7, r9: cells.r9 },
        created_at: noon() - TimeDelta::days(1),
        updated_at: noon(),
    }
}

/// What an edge server sends.
pub(super) fn from_edge() -> Vec<FromEdge> {
    let device = DeviceAtEdge { device_id: DEVICE.to_owned(), lat: Some(LAT_DEG), lng: Some(LNG_DEG) };
    let location = DeviceLocation { device_id: DEVICE.to_owned(), lat: LAT_DEG, lng: LNG_DEG, recorded_at: noon() };
    vec![
        FromEdge::Hello(Hello {
            protocol: PROTOCOL,
            agent: "edge/1.4.2".to_owned(),
            epoch: None,
            held: Held { count: 0, digest: "0".repeat(16) },
        }),
        FromEdge::HealthUpdate(HealthUpdate {
            cpu_usage: 45.2,
            memory_usage: 67.8,
            active_connections: 23,
            timestamp: "2026-11-25T12:00:00Z".to_owned(),
            bandwidth_mbps: Some(120.5),
        }),
        FromEdge::DeviceConnected(device.clone()),
        FromEdge::DeviceDisconnected(DeviceAtEdge { lat: None, lng: None, ..device }),
        FromEdge::DeviceLocations(DeviceLocations { locations: vec![location] }),
        FromEdge::SyncAck(SyncAck {
            batch_id: 1,
            results: vec![
                SyncResult { id: DECORATION, sync_version: SYNC_VERSION, ok: true, error: None },
                SyncResult { id: REMOVED, sync_version: SYNC_VERSION + 1, ok: false, error: Some("storage is read-only".to_owned()) },
            ],
        }),
        FromEdge::SyncRequest(SyncRequest { reason: "checkpoint_differs".to_owned() }),
        FromEdge::Digests(Digests { bits: BITS, buckets: vec![Bucket { prefix: prefix(), held: held() }], last: true }),
        FromEdge::Inventory(Inventory {
            bits: BITS,
            prefix: prefix(),
            items: vec![Numbered { id: DECORATION, sync_version: SYNC_VERSION }],
        }),
    ]
}

/// What an edge server is sent.
pub(super) fn to_edge() -> Vec<ToEdge> {
    let device = DeviceNamed { device_id: DEVICE.to_owned() };
    vec![
        ToEdge::Welcome(Welcome {
            session_id: SESSION,
            epoch: "3f0f4a5e-6a0c-4d5b-9d39-0c1b0e7d2f61".to_owned(),
            server_time: noon(),
            heartbeat_seconds: 30,
            mode: Mode::Snapshot,
        }),
        ToEdge::DeviceAssigned(device.clone()),
        ToEdge::DeviceReleased(device),
        ToEdge::SyncDecorations(SyncDecorations {
            batch_id: 1,
            version: SYNC_VERSION + 1,
            decorations: vec![NumberedDecoration { sync_version: SYNC_VERSION, decoration: decoration() }],
            removed: vec![Numbered { id: REMOVED, sync_version: SYNC_VERSION + 1 }],
            snapshot: Some(SnapshotPart { first: true, last: false }),
        }),
        ToEdge::Checkpoint(Checkpoint { version: SYNC_VERSION, held: held() }),
        ToEdge::DigestRequest(DigestRequest { bits: BITS }),
        ToEdge::InventoryRequest(InventoryRequest { bits: BITS, prefixes: vec![prefix()] }),
        ToEdge::Drain(Drain { deadline: noon() + TimeDelta::minutes(5) }),
        ToEdge::Error(SocketError::new("unknown_type", "there is no message of type \"ping\"")),
    ]
}

/// What an admin is sent after the snapshot.
pub(super) fn changes() -> Vec<Change> {
    let View { edges, devices, sync, alerts, .. } = view();
    let edge = edges.into_values().next();
    let state = edge.iter().map(|edge| EdgeHealthItem { id: EDGE, state: edge.state.clone() });
    let alert = alerts.into_values().map(|alert| Change::Alert(AlertChange { state: "raised", alert }));
    let mut changes = vec![
        Change::EdgeHealth(EdgeHealthChange { edge_servers: state.collect() }),
        Change::EdgeConnected(EdgeNamed { id: EDGE }),
        Change::EdgeDisconnected(EdgeNamed { id: EDGE }),
        Change::EdgeChanged(EdgeChange { id: EDGE, edge_server: edge }),
        Change::Devices(devices),
        Change::SyncProgress(sync),
        Change::DecorationChanged(DecorationNamed { decoration_id: Some(DECORATION) }),
    ];
    changes.extend(alert);
    changes
}

/// What an admin is sent, as a feed sends it: the snapshot, then the changes.
pub(super) fn to_admin() -> Vec<Value> {
    let feed = Feed::new();
    feed.publish(view(), &[]);
    let Some(mut subscription) = feed.subscribe() else { return Vec::new() };
    feed.publish(view(), &changes());
    let mut texts = vec![subscription.snapshot];
    texts.extend(std::iter::from_fn(|| subscription.changes.try_recv().ok()));
    texts.iter().map(|text| serde_json::from_str(text).expect("a feed sends JSON")).collect()
}

fn view() -> View {
    let position = LatLng::new(LAT_DEG, LNG_DEG).expect("a place on Earth");
    let cell = Cell::at(position, Resolution::Seven).to_string();
    let edge = EdgeSummary {
        id: EDGE,
        name: "Berlin Mitte".to_owned(),
        region: REGION.to_owned(),
        lat: LAT_DEG,
        lng: LNG_DEG,
        service_radius_km: 5.0,
        max_connections: 100,
        version: 3,
        draining: false,
        is_active: true,
        connected: true,
        state: EdgeState {
            health_status: Health::Degraded,
            health_reason: Some("cpu_high".to_owned()),
            current_connections: 93,
            reported_connections: 91,
            cpu_usage: Some(92.5),
            memory_usage: Some(67.8),
            last_ping: Some(noon()),
            clock_skew_s: None,
        },
    };
    let alert = Alert {
        id: format!("capacity:{REGION}"),
        kind: AlertKind::Capacity,
        subject: REGION.to_owned(),
        message: format!("the edge servers of region {REGION} are at 93 % of their capacity"),
        at: noon(),
    };
    View {
        devices_at: None,
        edges: [(EDGE, edge)].into(),
        devices: DeviceCounts {
            total: 97,
            by_edge: vec![EdgeCount { edge_server_id: Some(EDGE), count: 93 }, EdgeCount { edge_server_id: None, count: 4 }],
            by_cell: vec![CellCount { cell, count: 61 }],
        },
        sync: SyncCounts { pending: 12, outdated: 3, failed: 0, synced: 4_985, ..SyncCounts::default() },
        alerts: [(alert.id.clone(), alert)].into(),
        lost_instances: Vec::new(),
    }
}

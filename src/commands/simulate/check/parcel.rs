//! Batches of decorations that are made up for the check.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::geo::{Cells, LatLng};

const LAT_DEG: f64 = 52.5163;
const LNG_DEG: f64 = 13.3777;

/// What one batch is to have in it.
#[derive(Clone, Debug, Default)]
pub(super) struct Parcel {
    /// Ids and numbers.
    pub(super) puts: Vec<(Uuid, i64)>,
    pub(super) removed: Vec<(Uuid, i64)>,
    /// First, last.
    pub(super) snapshot: Option<(bool, bool)>,
    /// Characters that each decoration is longer by.
    pub(super) padding: usize,
    /// Puts members in that nobody knows yet.
    pub(super) is_of_tomorrow: bool,
}

impl Parcel {
    /// Decorations to be held.
    pub(super) fn puts(puts: impl Into<Vec<(Uuid, i64)>>) -> Self {
        Self { puts: puts.into(), ..Self::default() }
    }

    /// Decorations to be held no more.
    pub(super) fn removed(removed: impl Into<Vec<(Uuid, i64)>>) -> Self {
        Self { removed: removed.into(), ..Self::default() }
    }

    /// The same as a part of a snapshot.
    pub(super) fn of_snapshot(self, first: bool, last: bool) -> Self {
        Self { snapshot: Some((first, last)), ..self }
    }

    /// All ids and numbers in it.
    pub(super) fn entries(&self) -> Vec<(Uuid, i64)> {
        [&self.puts[..], &self.removed].concat()
    }

    /// As it is sent.
    pub(super) fn data(&self, batch_id: u64) -> Value {
        let padding = "x".repeat(self.padding);
        let decorations = self.puts.iter().map(|(id, number)| decoration(*id, *number, &padding));
        let removed: Vec<Value> = self.removed.iter().map(|(id, number)| json!({"id": id, "sync_version": number})).collect();
        let mut data = json!({
            "batch_id": batch_id,
            "version": self.entries().iter().map(|(_, number)| *number).max().unwrap_or(0),
            "decorations": decorations.collect::<Vec<_>>(),
            "removed": removed,
            "snapshot": self.snapshot.map(|(first, last)| json!({"first": first, "last": last})),
        });
        if self.is_of_tomorrow {
            let new = json!({"since": "tomorrow", "list": [1, null, {}]});
            data["new_member"] = new.clone();
            for kind in ["decorations", "removed"] {
                for entry in data[kind].as_array_mut().into_iter().flatten() {
                    entry["new_member"] = new.clone();
                }
            }
        }
        data
    }
}

/// A decoration as it is delivered.
fn decoration(id: Uuid, sync_version: i64, padding: &str) -> Value {
    let Cells { r5, r7, r9 } = Cells::of(LatLng::new(LAT_DEG, LNG_DEG).expect("on Earth"));
    json!({
        "id": id,
        "sync_version": sync_version,
        "name": format!("Decoration of the check, number {sync_version}"),
        "description": padding,
        "category": "check",
        "lat": LAT_DEG,
        "lng": LNG_DEG,
        "radius_meters": 50,
        "height_offset": 0.0,
        "low_res_url": null,
        "medium_res_url": null,
        "high_res_url": "https://cdn.example.com/check.glb",
        "scale_x": 1.0,
        "scale_y": 1.0,
        "scale_z": 1.0,
        "rotation_x": 0.0,
        "rotation_y": 0.0,
        "rotation_z": 0.0,
        "asset_type": "3d_model",
        "file_size_bytes": 1024,
        "is_active": true,
        "version": 1,
        "h3": {"r5": r5, "r7": r7, "r9": r9},
        "created_at": "2026-01-01T00:00:00Z",
        "updated_at": "2026-01-01T00:00:00Z",
    })
}

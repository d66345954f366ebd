//! A decoration for each place: plausible, and the same every time.

use std::io::Read;

use serde::Deserialize;

use crate::decorations::{AssetType, Content};
use crate::geo::LatLng;

#[derive(Deserialize)]
struct Place {
    external_id: String,
    name: String,
    country: String,
    lat: f64,
    lng: f64,
}

/// Category, asset type, radius in metres, and what the description says before the place's name.
const KINDS: [(&str, AssetType, i32, &str); 8] = [
    ("landmark", AssetType::Model3d, 250, "A model of the landmark of"),
    ("art", AssetType::Model3d, 60, "A sculpture for"),
    ("history", AssetType::Image, 120, "A view of the old"),
    ("guide", AssetType::Image, 200, "A signpost in"),
    ("nature", AssetType::Animation, 150, "Birds over"),
    ("game", AssetType::Animation, 40, "A treasure hidden in"),
    ("event", AssetType::Animation, 500, "Fireworks above"),
    ("market", AssetType::Image, 80, "Stalls on the market of"),
];

/// Reads every `step`-th place of a CSV file as a decoration.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn decorations(csv: impl Read, step: usize) -> Result<Vec<Content>, Box<dyn std::error::Error + Send + Sync>> {
    let mut reader = csv::Reader::from_reader(csv);
    reader.deserialize::<Place>().step_by(step).map(|place| decoration(place?)).collect()
}

fn decoration(place: Place) -> Result<Content, Box<dyn std::error::Error + Send + Sync>> {
    let seed = fnv1a(place.external_id.as_bytes());
    let pick = |shift: u32, count: u64| (seed >> shift) % count;
    let (category, asset_type, radius_meters, about) = KINDS[usize::try_from(pick(0, 8)).unwrap_or_default()];
    let extension = match asset_type {
        AssetType::Model3d => "glb",
        AssetType::Image => "webp",
        AssetType::Animation => "usdz",
    };
    let url = |level: &str| Some(format!("https://cdn.example.com/ar-assets/{category}/{seed:016x}-{level}.{extension}"));
    let hundredths = |shift, count: i32| f64::from(i32::try_from(pick(shift, 1 << 20)).unwrap_or_default() % count) / 100.0;
    Ok(Content {
        description: Some(format!("{about} {}, {}", place.name, place.country)),
        position: LatLng::new(place.lat, place.lng)?,
        name: place.name,
        external_id: Some(place.external_id),
        category: category.to_owned(),
        radius_meters,
        height_offset: hundredths(8, 500),
        low_res_url: url("low"),
        medium_res_url: url("medium"),
        high_res_url: url("high"),
        scale: [1.0; 3],
        rotation_deg: [0.0, hundredths(20, 36_000), 0.0],
        asset_type,
        file_size_bytes: Some(100_000 + i64::try_from(pick(32, 5_000_000)).unwrap_or_default()),
        is_active: true,
    })
}

/// FNV-1a, 64 bits: spreads names over kinds, the same on every machine and in every version.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

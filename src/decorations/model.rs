//! A decoration as clients see it.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::geo::{Cell, LatLng};
use crate::http::Placed;

/// What an asset is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, ToSchema, sqlx::Type)]
#[sqlx(type_name = "varchar")]
pub enum AssetType {
    /// A three-dimensional model.
    #[serde(rename = "3d_model")]
    #[sqlx(rename = "3d_model")]
    Model3d,
    /// A flat picture.
    #[serde(rename = "image")]
    #[sqlx(rename = "image")]
    Image,
    /// Something that moves.
    #[serde(rename = "animation")]
    #[sqlx(rename = "animation")]
    Animation,
}

impl AssetType {
    /// The words, for messages.
    pub const WORDS: &str = "3d_model, image, animation";

    /// The word on the wire and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Model3d => "3d_model",
            Self::Image => "image",
            Self::Animation => "animation",
        }
    }

    /// The type of a word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Model3d, Self::Image, Self::Animation].into_iter().find(|kind| kind.as_str() == word)
    }
}

/// Level of detail that suits a distance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Lod {
    /// Closer than 20 m.
    High,
    /// 20 to 50 m.
    Medium,
    /// Farther than 50 m.
    Low,
}

impl Lod {
    /// The level for a distance in metres.
    #[must_use]
    pub fn at(distance_m: f64) -> Self {
        if distance_m < 20.0 {
            Self::High
        } else if distance_m <= 50.0 {
            Self::Medium
        } else {
            Self::Low
        }
    }
}

/// H3 cells of a position: latLngToCell at three resolutions.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct H3 {
    /// Resolution 5.
    #[schema(value_type = String, example = "85283473fffffff")]
    pub r5: Cell,
    /// Resolution 7.
    #[schema(value_type = String, example = "872834703ffffff")]
    pub r7: Cell,
    /// Resolution 9.
    #[schema(value_type = String, example = "8928347001bffff")]
    pub r9: Cell,
}

/// A decoration as everybody may see it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Decoration {
    /// Identity.
    pub id: Uuid,
    /// Title.
    pub name: String,
    /// Longer text.
    #[schema(required)]
    pub description: Option<String>,
    /// Grouping that clients filter by.
    pub category: String,
    /// Latitude in degrees.
    pub lat: f64,
    /// Longitude in degrees.
    pub lng: f64,
    /// Detection radius in metres.
    pub radius_meters: i32,
    /// Height above ground in metres.
    pub height_offset: f64,
    /// Asset for viewing from beyond 50 m.
    #[schema(required)]
    pub low_res_url: Option<String>,
    /// Asset for viewing from 20 to 50 m.
    #[schema(required)]
    pub medium_res_url: Option<String>,
    /// Asset for viewing from under 20 m.
    #[schema(required)]
    pub high_res_url: Option<String>,
    /// Scale along x.
    pub scale_x: f64,
    /// Scale along y.
    pub scale_y: f64,
    /// Scale along z.
    pub scale_z: f64,
    /// Rotation about x in degrees.
    pub rotation_x: f64,
    /// Rotation about y in degrees.
    pub rotation_y: f64,
    /// Rotation about z in degrees.
    pub rotation_z: f64,
    /// What the asset is.
    pub asset_type: AssetType,
    /// Size of the largest asset in bytes.
    #[schema(required)]
    pub file_size_bytes: Option<i64>,
    /// False: kept, but shown to nobody but admins.
    pub is_active: bool,
    /// Rises by one at every change.
    pub version: i64,
    /// Cells of the position.
    pub h3: H3,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

/// A decoration as admins see it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AdminDecoration {
    /// What everybody may see of it.
    #[serde(flatten)]
    pub decoration: Decoration,
    /// Name of the row in the system it was imported from; unique.
    #[schema(required)]
    pub external_id: Option<String>,
    /// Who made it; null when that account is gone, or it came from the command line.
    #[schema(required)]
    pub created_by: Option<Uuid>,
    /// When it was deleted; null when it was not.
    #[schema(required)]
    pub deleted_at: Option<DateTime<Utc>>,
}

/// A decoration as seen by a viewer somewhere near it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct NearbyDecoration {
    /// The decoration.
    #[serde(flatten)]
    pub decoration: Decoration,
    /// Distance from the viewer in metres, on the WGS 84 spheroid.
    pub distance_meters: f64,
    /// Direction from the viewer, clockwise from true north, 0 to 360 degrees; 0 at the viewer itself.
    pub bearing_degrees: f64,
    /// Whether the viewer is within the decoration's own `radius_meters`.
    pub in_range: bool,
    /// Level of detail for this distance.
    pub lod: Lod,
    /// The asset of that level, else of the next coarser, else of the next finer.
    #[schema(required)]
    pub asset_url: Option<String>,
}

impl NearbyDecoration {
    /// Adds what follows from distance (metres) and bearing (degrees).
    #[must_use]
    pub fn seen(decoration: Decoration, distance_m: f64, bearing_deg: f64) -> Self {
        let lod = Lod::at(distance_m);
        let (low, medium, high) = (&decoration.low_res_url, &decoration.medium_res_url, &decoration.high_res_url);
        let in_order = match lod {
            Lod::High => [high, medium, low],
            Lod::Medium => [medium, low, high],
            Lod::Low => [low, medium, high],
        };
        let asset_url = in_order.into_iter().flatten().next().cloned();
        Self {
            distance_meters: distance_m,
            // degrees(azimuth) may round up to a full turn.
            bearing_degrees: if bearing_deg >= 360.0 { 0.0 } else { bearing_deg },
            in_range: distance_m <= f64::from(decoration.radius_meters),
            lod,
            asset_url,
            decoration,
        }
    }
}

/// How many decorations there are in one H3 cell.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Cluster {
    /// H3 cell: an ancestor of its decorations' r9 cells.
    #[schema(value_type = String, example = "85283473fffffff")]
    pub(crate) cell: Cell,
    /// Decorations of the box in it.
    pub(crate) count: i64,
    /// Latitude of the cell's centre in degrees.
    pub(crate) lat: f64,
    /// Longitude of the cell's centre in degrees.
    pub(crate) lng: f64,
}

impl Cluster {
    pub(crate) fn new(cell: Cell, count: i64) -> Self {
        let centre: LatLng = cell.centre();
        Self { cell, count, lat: centre.lat_deg(), lng: centre.lng_deg() }
    }
}

impl Placed for Decoration {
    fn feature_id(&self) -> String {
        self.id.to_string()
    }

    fn lng_lat_deg(&self) -> [f64; 2] {
        [self.lng, self.lat]
    }
}

impl Placed for NearbyDecoration {
    fn feature_id(&self) -> String {
        self.decoration.feature_id()
    }

    fn lng_lat_deg(&self) -> [f64; 2] {
        self.decoration.lng_lat_deg()
    }
}

impl Placed for Cluster {
    fn feature_id(&self) -> String {
        self.cell.to_string()
    }

    fn lng_lat_deg(&self) -> [f64; 2] {
        [self.lng, self.lat]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_of_detail_change_at_20_and_50_metres() {
        let levels = [0.0, 19.999_999, 20.0, 50.0, 50.000_001].map(Lod::at);
        assert_eq!(levels, [Lod::High, Lod::High, Lod::Medium, Lod::Medium, Lod::Low]);
    }
}

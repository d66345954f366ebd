//! H3 cells. Computed here, by h3o, whenever a position is written; SQL only does bit arithmetic on them.

use geo_types::{Coord, MultiPolygon};
use h3o::{CellIndex, Resolution};
use serde::{Serialize, Serializer};

use super::{LatLng, Metres};

/// An H3 cell. On the wire its usual hexadecimal form, in the database a bigint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cell(CellIndex);

/// The cells of a position at the resolutions that are stored with it: latLngToCell at each. (Cells do not
/// nest exactly, so the coarser ones need not be ancestors of the finest.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cells {
    /// Resolution 5, about 250 km².
    pub r5: Cell,
    /// Resolution 7, about 5 km².
    pub r7: Cell,
    /// Resolution 9, about 0.1 km².
    pub r9: Cell,
}

/// Resolution of a cluster answer, 0 to 9.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClusterResolution(u8);

/// A cluster resolution outside 0 to 9.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("resolution {0} is outside 0 to 9")]
pub struct ClusterResolutionError(i64);

impl Cell {
    /// The cell of a position at a resolution (latLngToCell).
    #[must_use]
    pub fn at(position: LatLng, resolution: Resolution) -> Self {
        // A LatLng is always finite, which is all that h3o asks.
        let position = h3o::LatLng::new(position.lat_deg(), position.lng_deg()).expect("a checked position is finite");
        Self(position.to_cell(resolution))
    }

    /// The cell of a number from the database.
    ///
    /// # Errors
    /// When the number is no valid cell.
    pub fn from_db(number: i64) -> Result<Self, h3o::error::InvalidCellIndex> {
        CellIndex::try_from(number.cast_unsigned()).map(Self)
    }

    /// The number stored in the database. Its highest bit is never set.
    #[must_use]
    pub fn to_db(self) -> i64 {
        u64::from(self.0).cast_signed()
    }

    /// Resolution, 0 to 15.
    #[must_use]
    pub fn resolution(self) -> Resolution {
        self.0.resolution()
    }

    /// Ancestor at a coarser resolution; the cell itself at its own, none at a finer one.
    #[must_use]
    pub fn parent(self, resolution: Resolution) -> Option<Self> {
        self.0.parent(resolution).map(Self)
    }

    /// Centre of the cell.
    #[must_use]
    pub fn centre(self) -> LatLng {
        let centre = h3o::LatLng::from(self.0);
        LatLng::new(centre.lat().clamp(-90.0, 90.0), centre.lng().clamp(-180.0, 180.0)).expect("a cell's centre is on Earth")
    }

    /// Distance from its centre in metres on a *sphere*: off by up to 0.56 % from the spheroid's.
    pub(crate) fn sphere_distance(self, position: LatLng) -> Metres {
        let position = h3o::LatLng::new(position.lat_deg(), position.lng_deg()).expect("a checked position is finite");
        Metres(h3o::LatLng::from(self.0).distance_m(position))
    }

    /// The cell and all within `k` steps of it.
    pub(crate) fn disk(self, k: u32) -> impl Iterator<Item = Self> {
        self.0.grid_disk_safe(k).map(Self)
    }

    /// Outline in plain latitude/longitude degrees: split where it crosses the antimeridian, and closed
    /// along ±90 where the cell holds a pole.
    #[must_use]
    pub fn outline(self) -> MultiPolygon<f64> {
        super::outline::of(&self.ring())
    }

    fn ring(self) -> Vec<Coord<f64>> {
        self.0.boundary().iter().map(|corner| Coord { x: corner.lng(), y: corner.lat() }).collect()
    }
}

impl std::fmt::Display for Cell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Cell {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Cells {
    /// The stored cells of a position.
    #[must_use]
    pub fn of(position: LatLng) -> Self {
        Self {
            r5: Cell::at(position, Resolution::Five),
            r7: Cell::at(position, Resolution::Seven),
            r9: Cell::at(position, Resolution::Nine),
        }
    }
}

impl ClusterResolution {
    /// Resolution of a request that names none.
    pub const DEFAULT: Self = Self(5);
    /// Finest resolution that is counted ahead; finer ones are counted from the decorations.
    pub const FINEST_COUNTED: Self = Self(5);

    /// Checks a resolution.
    ///
    /// # Errors
    /// When it is outside 0 to 9.
    pub fn new(resolution: i64) -> Result<Self, ClusterResolutionError> {
        match u8::try_from(resolution) {
            Ok(resolution @ 0..=9) => Ok(Self(resolution)),
            _ => Err(ClusterResolutionError(resolution)),
        }
    }

    /// The number, 0 to 9.
    #[must_use]
    pub fn level(self) -> u8 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wire_and_database_forms_are_the_usual_ones() {
        // h3geo.org's own example, San Francisco.
        let place = LatLng::new(37.775_938_73, -122.417_953_12).expect("on Earth");
        let cell = Cells::of(place).r9;
        assert_eq!(cell.to_string(), "8928308280fffff");
        assert_eq!(cell.to_db(), 0x0892_8308_280f_ffff);
        assert_eq!(Cell::from_db(cell.to_db()), Ok(cell));
        assert!(Cell::from_db(42).is_err());
        assert_eq!(serde_json::to_string(&cell).expect("text"), "\"8928308280fffff\"");
    }
}

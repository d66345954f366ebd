//! Geometry at the edge of the program: every position, length, box and cell that comes in is parsed into
//! one of these types, and nothing past the extractors handles a bare pair of numbers. What a spatial word
//! *means* (near, inside, covered) is not here but in SQL, folder `sql/`.

mod bounds;
mod cell;
mod codec;
mod lat_lng;
mod length;
mod outline;
mod stored_outlines;

pub use bounds::{Bounds, BoundsError};
pub use cell::{Cell, Cells, ClusterResolution, ClusterResolutionError};
pub use codec::{CodecError, Geog, Geom, SRID_WGS84};
pub use lat_lng::{LatLng, LatLngError};
pub use length::{Metres, Radius, RadiusError};
pub(crate) use stored_outlines::ensure_outlines;

/// Rounds degrees to the 8 decimals that are stored and answered (about 1 mm), and makes −0 a plain 0.
pub(crate) fn round_deg(deg: f64) -> f64 {
    // Adding +0.0 turns −0.0 into 0.0 and leaves every other number as it is.
    (deg * 1e8).round() / 1e8 + 0.0
}

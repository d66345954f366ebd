//! The true figure of the Earth, from GeographicLib: what spatial answers are compared with.

use std::sync::OnceLock;

use ar_supervisor::geo::LatLng;
use geographiclib_rs::{Geodesic, InverseGeodesic};

/// A position that is on Earth.
pub(crate) fn position(lat_deg: f64, lng_deg: f64) -> LatLng {
    LatLng::new(lat_deg, lng_deg).expect("on Earth")
}

/// Distance in metres and bearing in degrees (0 to 360 from true north) on the WGS 84 spheroid.
/// Source: Karney's inverse geodesic, error below 15 nm.
pub(crate) fn geodesic(from: LatLng, to: LatLng) -> (f64, f64) {
    static WGS84: OnceLock<Geodesic> = OnceLock::new();
    let (distance_m, azimuth_deg, _, _): (f64, f64, f64, f64) =
        WGS84.get_or_init(Geodesic::wgs84).inverse(from.lat_deg(), from.lng_deg(), to.lat_deg(), to.lng_deg());
    (distance_m, azimuth_deg.rem_euclid(360.0))
}

//! Ways over the Earth: legs along great circles. Reckoned with unit vectors, which know no poles and no
//! antimeridian, on a sphere: within 0.6 % of the spheroid's distances, which no phone's speed is kept to.

use std::f64::consts::FRAC_PI_2;

use crate::geo::LatLng;

/// Mean radius of the Earth.
const EARTH_RADIUS_M: f64 = 6_371_008.8;

type Vector = [f64; 3];

/// The shortest way between two places.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leg {
    start: Vector,
    /// At right angles to `start`, the way the leg sets out.
    ahead: Vector,
    length_m: f64,
}

impl Leg {
    /// From one place to another.
    pub(super) fn between(from: LatLng, to: LatLng) -> Self {
        let (start, end) = (vector(from), vector(to));
        let along = dot(start, end);
        let aside = [0, 1, 2].map(|axis| end[axis] - start[axis] * along);
        let sine = dot(aside, aside).sqrt();
        if sine < 1e-12 {
            // The same place, or the opposite one, to which every direction leads.
            let length_m = if along > 0.0 { 0.0 } else { EARTH_RADIUS_M * std::f64::consts::PI };
            return Self { length_m, ..Self::heading(from, 0.0, 0.0) };
        }
        Self { start, ahead: aside.map(|part| part / sine), length_m: sine.atan2(along) * EARTH_RADIUS_M }
    }

    /// From a place in a direction, in degrees clockwise from north.
    pub(super) fn heading(from: LatLng, bearing_deg: f64, length_m: f64) -> Self {
        let (lat, lng, bearing) = (from.lat_deg().to_radians(), from.lng_deg().to_radians(), bearing_deg.to_radians());
        let north = [-lat.sin() * lng.cos(), -lat.sin() * lng.sin(), lat.cos()];
        let east = [-lng.sin(), lng.cos(), 0.0];
        let ahead = [0, 1, 2].map(|axis| north[axis] * bearing.cos() + east[axis] * bearing.sin());
        Self { start: vector(from), ahead, length_m }
    }

    /// Its length on the sphere.
    pub(super) fn length_m(&self) -> f64 {
        self.length_m
    }

    /// The place so far along, also beyond its end.
    pub(super) fn at(&self, travelled_m: f64) -> LatLng {
        let (sine, cosine) = (travelled_m / EARTH_RADIUS_M).sin_cos();
        let [x, y, z] = [0, 1, 2].map(|axis| self.start[axis] * cosine + self.ahead[axis] * sine);
        let lat_deg = z.atan2(x.hypot(y)).clamp(-FRAC_PI_2, FRAC_PI_2).to_degrees();
        LatLng::new(lat_deg, y.atan2(x).to_degrees()).expect("arctangents are within the degrees of the Earth")
    }

    /// Where it ends.
    pub(super) fn end(&self) -> LatLng {
        self.at(self.length_m)
    }
}

/// How far two places are apart, on the sphere.
pub(super) fn distance_m(a: LatLng, b: LatLng) -> f64 {
    Leg::between(a, b).length_m()
}

fn vector(place: LatLng) -> Vector {
    let ((lat_sin, lat_cos), (lng_sin, lng_cos)) = (place.lat_deg().to_radians().sin_cos(), place.lng_deg().to_radians().sin_cos());
    [lat_cos * lng_cos, lat_cos * lng_sin, lat_sin]
}

fn dot(a: Vector, b: Vector) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

#[cfg(test)]
mod tests {
    use super::*;
    use geographiclib_rs::{Geodesic, InverseGeodesic};
    use rstest::rstest;

    fn place(lat_deg: f64, lng_deg: f64) -> LatLng {
        LatLng::new(lat_deg, lng_deg).expect("on Earth")
    }

    /// On the spheroid, by another library.
    fn true_distance_m(a: LatLng, b: LatLng) -> f64 {
        Geodesic::wgs84().inverse(a.lat_deg(), a.lng_deg(), b.lat_deg(), b.lng_deg())
    }

    #[rstest]
    #[case::in_a_town(place(52.5163, 13.3777), place(52.52, 13.41))]
    #[case::between_towns(place(52.5163, 13.3777), place(48.8566, 2.3522))]
    #[case::across_the_antimeridian(place(-16.8, 179.97), place(-16.7, -179.96))]
    #[case::across_the_north_pole(place(89.99, 10.0), place(89.985, -170.0))]
    #[case::from_the_south_pole(place(-90.0, 0.0), place(-89.9, 77.0))]
    #[case::along_the_equator(place(0.0, -0.02), place(0.0, 0.03))]
    fn speed_is_kept_all_the_way(#[case] from: LatLng, #[case] to: LatLng) {
        let leg = Leg::between(from, to);
        assert!((leg.length_m() / true_distance_m(from, to) - 1.0).abs() < 0.006);
        assert!(true_distance_m(leg.end(), to) < 0.01, "{:?}", leg.end());
        let step_m = leg.length_m() / 250.0;
        let steps: Vec<LatLng> = (0..=250).map(|step| leg.at(f64::from(step) * step_m)).collect();
        for pair in steps.windows(2) {
            let walked_m = true_distance_m(pair[0], pair[1]);
            assert!((walked_m - step_m).abs() < 0.006 * step_m + 0.01, "{walked_m} m in a step of {step_m} m at {:?}", pair[0]);
        }
    }

    #[rstest]
    #[case(place(52.5, 13.4), 0.0)]
    #[case(place(-17.0, 180.0), 90.0)]
    #[case(place(-17.0, -179.9999), 270.0)]
    #[case(place(90.0, 0.0), 33.0)]
    #[case(place(-90.0, 0.0), 250.0)]
    fn a_heading_leads_as_far_as_asked(#[case] from: LatLng, #[case] bearing_deg: f64) {
        let end = Leg::heading(from, bearing_deg, 5_000.0).end();
        assert!((true_distance_m(from, end) - 5_000.0).abs() < 30.0, "{end:?}");
    }

    #[test]
    fn no_way_and_the_longest_one_have_a_length() {
        let here = place(10.0, 20.0);
        assert_eq!(Leg::between(here, here).end(), here);
        let opposite = place(-10.0, -160.0);
        assert!((Leg::between(here, opposite).length_m() / true_distance_m(here, opposite) - 1.0).abs() < 0.006);
    }
}

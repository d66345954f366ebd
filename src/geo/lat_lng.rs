//! A position on Earth.

use geo_types::Point;

use super::round_deg;

/// A position in WGS 84 degrees, in its one canonical spelling: 8 decimals, longitude in (−180, 180], and
/// longitude 0 at a pole.
///
/// ```
/// use ar_supervisor::geo::LatLng;
/// let dateline = LatLng::new(-16.5, -180.0)?;
/// assert_eq!((dateline.lat_deg(), dateline.lng_deg()), (-16.5, 180.0));
/// # Ok::<(), ar_supervisor::geo::LatLngError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LatLng {
    lat_deg: f64,
    lng_deg: f64,
}

/// Why a pair of numbers is no position; carries the offending degrees.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum LatLngError {
    /// Outside −90 to 90, or NaN.
    #[error("latitude {0} is outside -90 to 90 degrees")]
    Latitude(f64),
    /// Outside −180 to 180, or NaN.
    #[error("longitude {0} is outside -180 to 180 degrees")]
    Longitude(f64),
}

impl LatLng {
    /// Checks and canonicalises a position given in degrees.
    ///
    /// # Errors
    /// When either number is out of range or NaN.
    pub fn new(lat_deg: f64, lng_deg: f64) -> Result<Self, LatLngError> {
        if !(-90.0..=90.0).contains(&lat_deg) {
            // NaN fails too
            return Err(LatLngError::Latitude(lat_deg));
        }
        if !(-180.0..=180.0).contains(&lng_deg) {
            return Err(LatLngError::Longitude(lng_deg));
        }
        let lat_deg = round_deg(lat_deg);
        let mut lng_deg = round_deg(lng_deg);
        if lng_deg <= -180.0 {
            lng_deg = 180.0;
        }
        if lat_deg.abs() >= 90.0 {
            lng_deg = 0.0;
        }
        Ok(Self { lat_deg, lng_deg })
    }

    /// Latitude in degrees, −90 to 90.
    #[must_use]
    pub fn lat_deg(self) -> f64 {
        self.lat_deg
    }

    /// Longitude in degrees, above −180 and up to 180.
    #[must_use]
    pub fn lng_deg(self) -> f64 {
        self.lng_deg
    }
}

impl From<LatLng> for Point<f64> {
    /// x is the longitude, y the latitude.
    fn from(position: LatLng) -> Self {
        Self::new(position.lng_deg, position.lat_deg)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn refuses_what_is_not_on_earth() {
        assert_eq!(LatLng::new(95.0, 0.0), Err(LatLngError::Latitude(95.0)));
        assert_eq!(LatLng::new(0.0, -180.000_001), Err(LatLngError::Longitude(-180.000_001)));
        assert!(matches!(LatLng::new(f64::NAN, 0.0), Err(LatLngError::Latitude(_))));
        assert!(matches!(LatLng::new(0.0, f64::INFINITY), Err(LatLngError::Longitude(_))));
    }

    #[test]
    fn poles_and_antimeridian_have_one_spelling() {
        let place = |lat, lng| LatLng::new(lat, lng).expect("on Earth");
        assert_eq!(place(90.0, 123.0), place(90.0, 0.0));
        assert_eq!(place(89.999_999_999, 123.0), place(90.0, 0.0));
        assert_eq!(place(1.0, -180.0), place(1.0, 180.0));
        assert_eq!(place(1.0, -179.999_999_999), place(1.0, 180.0));
        assert!(place(-0.0, -0.0).lat_deg().is_sign_positive());
        assert!(place(0.0, -0.000_000_000_1).lng_deg().is_sign_positive());
    }

    proptest! {
        #[test]
        fn at_most_eight_decimals_are_kept(lat in -90.0..=90.0_f64, lng in -180.0..=180.0_f64) {
            let place = LatLng::new(lat, lng).expect("on Earth");
            prop_assert!((place.lat_deg() - lat).abs() <= 0.5e-8);
            for deg in [place.lat_deg(), place.lng_deg()] {
                let text = deg.to_string();
                prop_assert!(text.split_once('.').is_none_or(|(_, decimals)| decimals.len() <= 8), "{text}");
            }
            prop_assert_eq!(LatLng::new(place.lat_deg(), place.lng_deg()).expect("on Earth"), place);
        }
    }
}

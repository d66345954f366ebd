//! A box of plain latitude and longitude intervals.

use super::round_deg;

/// A box whose edges follow meridians and parallels and belong to it. `min_lng_deg > max_lng_deg` crosses
/// the antimeridian; −180 and 180 are one meridian, and stay as given here because they mean different
/// ends of an interval.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(clippy::struct_field_names, reason = "the unit belongs into the name")]
pub struct Bounds {
    min_lat_deg: f64,
    min_lng_deg: f64,
    max_lat_deg: f64,
    max_lng_deg: f64,
}

/// Why four numbers are no box.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum BoundsError {
    /// A latitude outside −90 to 90, or NaN.
    #[error("latitude {0} is outside -90 to 90 degrees")]
    Latitude(f64),
    /// A longitude outside −180 to 180, or NaN.
    #[error("longitude {0} is outside -180 to 180 degrees")]
    Longitude(f64),
    /// The southern edge lies north of the northern one.
    #[error("min_lat {min_lat_deg} is north of max_lat {max_lat_deg}")]
    UpsideDown {
        /// Southern edge in degrees.
        min_lat_deg: f64,
        /// Northern edge in degrees.
        max_lat_deg: f64,
    },
}

impl Bounds {
    /// Checks a box given in degrees; its edges are rounded to 8 decimals as positions are.
    ///
    /// # Errors
    /// When a number is out of range or NaN, or the latitudes are in the wrong order.
    pub fn new(min_lat_deg: f64, min_lng_deg: f64, max_lat_deg: f64, max_lng_deg: f64) -> Result<Self, BoundsError> {
        for lat_deg in [min_lat_deg, max_lat_deg] {
            if !(-90.0..=90.0).contains(&lat_deg) {
                return Err(BoundsError::Latitude(lat_deg));
            }
        }
        for lng_deg in [min_lng_deg, max_lng_deg] {
            if !(-180.0..=180.0).contains(&lng_deg) {
                return Err(BoundsError::Longitude(lng_deg));
            }
        }
        if min_lat_deg > max_lat_deg {
            return Err(BoundsError::UpsideDown { min_lat_deg, max_lat_deg });
        }
        Ok(Self {
            min_lat_deg: round_deg(min_lat_deg),
            min_lng_deg: round_deg(min_lng_deg),
            max_lat_deg: round_deg(max_lat_deg),
            max_lng_deg: round_deg(max_lng_deg),
        })
    }

    /// Southern edge in degrees.
    #[must_use]
    pub fn min_lat_deg(self) -> f64 {
        self.min_lat_deg
    }

    /// Western edge in degrees.
    #[must_use]
    pub fn min_lng_deg(self) -> f64 {
        self.min_lng_deg
    }

    /// Northern edge in degrees.
    #[must_use]
    pub fn max_lat_deg(self) -> f64 {
        self.max_lat_deg
    }

    /// Eastern edge in degrees.
    #[must_use]
    pub fn max_lng_deg(self) -> f64 {
        self.max_lng_deg
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_latitudes_have_an_order() {
        assert!(Bounds::new(-1.0, 179.0, 1.0, -179.0).is_ok());
        assert!(Bounds::new(1.0, 2.0, 1.0, 2.0).is_ok());
        assert_eq!(Bounds::new(2.0, 0.0, 1.0, 1.0), Err(BoundsError::UpsideDown { min_lat_deg: 2.0, max_lat_deg: 1.0 }));
        assert!(matches!(Bounds::new(f64::NAN, 0.0, 1.0, 1.0), Err(BoundsError::Latitude(_))));
        assert!(matches!(Bounds::new(0.0, 0.0, 1.0, 180.1), Err(BoundsError::Longitude(_))));
    }
}

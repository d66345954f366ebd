//! Lengths in metres.

/// A length in metres on the ground.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Metres(pub f64);

/// The radius of a search around a viewer, 0 to [`Radius::MAX`].
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Radius(Metres);

/// A search radius that is negative, too long or NaN; carries it, in metres.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("radius {0} is outside 0 to 50000 metres")]
pub struct RadiusError(f64);

impl Radius {
    /// Longest search radius, 50 km.
    pub const MAX: Metres = Metres(50_000.0);
    /// Radius of a search that names none, 500 m.
    pub const DEFAULT: Self = Self(Metres(500.0));

    /// Checks a search radius.
    ///
    /// # Errors
    /// When it is outside 0 to 50 km, or NaN.
    pub fn new(radius: Metres) -> Result<Self, RadiusError> {
        if !(0.0..=Self::MAX.0).contains(&radius.0) {
            return Err(RadiusError(radius.0));
        }
        Ok(Self(radius))
    }

    /// The radius as a length.
    #[must_use]
    pub fn metres(self) -> Metres {
        self.0
    }
}

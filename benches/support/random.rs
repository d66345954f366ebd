//! Deterministic pseudo-random numbers and places: the same data and the same questions in every run.

use ar_supervisor::geo::LatLng;

/// `SplitMix64` (Steele, Lea, Flood 2014): small, fast, and good enough for places.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// A sequence of its own for every seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// 64 random bits.
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform in [0, 1).
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit exactly")]
    pub(crate) fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Uniform in [least, most).
    pub(crate) fn between(&mut self, least: f64, most: f64) -> f64 {
        least + (most - least) * self.unit()
    }

    /// One of a list.
    pub(crate) fn one_of<T: Copy>(&mut self, list: &[T]) -> T {
        list[usize::try_from(self.bits() >> 33).unwrap_or(0) % list.len()]
    }
}

/// Where the decorations of a database lie: a box of plain degrees, filled evenly by area.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Area {
    /// Word in the database's name.
    pub(crate) name: &'static str,
    /// Southern and northern edge in degrees.
    pub(crate) lat_deg: (f64, f64),
    /// Western and eastern edge in degrees.
    pub(crate) lng_deg: (f64, f64),
    /// Whether rows lie in the order of their cells, as after `CLUSTER`, or in that of a random import.
    pub(crate) by_cell: bool,
}

/// A million square kilometres: the same area at every size, so that only density grows. It begins at 0°, 0°
/// because redis-benchmark can make random numbers from zero only.
pub(crate) const SQUARE: Area = Area { name: "square", lat_deg: (0.0, 10.0), lng_deg: (0.0, 10.0), by_cell: false };

/// The same with neighbours beside each other in the table: what that is worth.
pub(crate) const SQUARE_BY_CELL: Area = Area { name: "square_by_cell", by_cell: true, ..SQUARE };

/// As much of the Earth as just stays under the 5,000 r3 cells that an answer of clusters may have.
pub(crate) const WIDE: Area = Area { name: "wide", lat_deg: (0.0, 60.0), lng_deg: (-20.0, 70.0), by_cell: false };

/// Radius in km whose square, times the solid angle, gives areas on the sphere.
const EARTH_RADIUS_KM: f64 = 6371.0088;

impl Area {
    /// A place in it; all places are equally likely by area.
    pub(crate) fn place(&self, random: &mut Random) -> LatLng {
        let (south, north) = (self.lat_deg.0.to_radians().sin(), self.lat_deg.1.to_radians().sin());
        let lat_deg = random.between(south, north).asin().to_degrees();
        LatLng::new(lat_deg, random.between(self.lng_deg.0, self.lng_deg.1)).expect("the area is on Earth")
    }

    /// Its size in square kilometres.
    pub(crate) fn square_km(&self) -> f64 {
        let height = self.lat_deg.1.to_radians().sin() - self.lat_deg.0.to_radians().sin();
        EARTH_RADIUS_KM.powi(2) * height * (self.lng_deg.1 - self.lng_deg.0).to_radians()
    }

    /// The radius in metres of a circle that holds `count` of `rows` places on average.
    #[expect(clippy::cast_precision_loss, reason = "row counts are small")]
    pub(crate) fn radius_m_for(&self, count: f64, rows: u64) -> f64 {
        (count * self.square_km() / (rows as f64 * std::f64::consts::PI)).sqrt() * 1000.0
    }
}

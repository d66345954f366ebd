//! Geometries on their way to and from PostGIS: extended WKB with SRID 4326 and two dimensions, nothing
//! else. The bytes themselves are geozero's work.

use geo_types::Point;
use geozero::wkb::Ewkb;
use geozero::{CoordDimensions, ToGeo, ToWkb};
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgHasArrayType, PgTypeInfo, PgValueFormat, PgValueRef};
use sqlx::{Decode, Encode, Postgres, Type};

/// The one spatial reference system stored: WGS 84.
pub const SRID_WGS84: i32 = 4326;

/// A PostGIS `geography` (edges are great circles, lengths are metres on the spheroid).
#[derive(Clone, Debug, PartialEq)]
pub struct Geog<G>(pub G);

/// A PostGIS `geometry` in EPSG:4326 (edges are straight in latitude and longitude).
#[derive(Clone, Debug, PartialEq)]
pub struct Geom<G>(pub G);

/// Why bytes are no geometry of ours.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// Too short for a header, or with a byte order other than 0 and 1.
    #[error("the value is not extended WKB")]
    Header,
    /// Another spatial reference system, or none.
    #[error("expected SRID 4326, got {0:?}")]
    Srid(Option<i32>),
    /// Has z or m.
    #[error("expected two dimensions")]
    Dimensions,
    /// Another kind of geometry than asked for.
    #[error("expected a {expected}")]
    Kind {
        /// The Rust type wanted.
        expected: &'static str,
    },
    /// The body cannot be read.
    #[error("reading extended WKB")]
    Body(#[from] geozero::error::GeozeroError),
}

/// Reads extended WKB; `G` is a geo-types geometry.
///
/// # Errors
/// When the bytes are broken, or are no two-dimensional `G` in SRID 4326.
pub(crate) fn decode_ewkb<G: TryFrom<geo_types::Geometry<f64>>>(bytes: &[u8]) -> Result<G, CodecError> {
    const HAS_SRID: u32 = 0x2000_0000;
    const HAS_Z_OR_M: u32 = 0xC000_0000;
    const POINT: u32 = 1;
    let (order, kind, srid) = match bytes {
        [order, k0, k1, k2, k3, rest @ ..] => (*order, [*k0, *k1, *k2, *k3], rest.first_chunk::<4>()),
        _ => return Err(CodecError::Header),
    };
    let number = match order {
        0 => u32::from_be_bytes,
        1 => u32::from_le_bytes,
        _ => return Err(CodecError::Header),
    };
    let kind = number(kind);
    let srid = srid.filter(|_| kind & HAS_SRID != 0).map(|srid| number(*srid).cast_signed());
    if srid != Some(SRID_WGS84) {
        return Err(CodecError::Srid(srid));
    }
    if kind & HAS_Z_OR_M != 0 {
        return Err(CodecError::Dimensions);
    }
    let point = if kind & !HAS_SRID == POINT { point(bytes, number64(order)) } else { None };
    let geometry = match point {
        Some(point) => point.into(),
        None => Ewkb(bytes).to_geo()?,
    };
    G::try_from(geometry).map_err(|_other_kind| CodecError::Kind { expected: std::any::type_name::<G>() })
}

/// The point in bytes whose header is checked: what nearly every row has, twenty times as fast as by way of
/// geozero's readers. Nothing for another geometry, or an empty point, which is written as NaN.
fn point(bytes: &[u8], number: fn([u8; 8]) -> f64) -> Option<Point<f64>> {
    const HEADER_BYTES: usize = 9;
    const POINT_BYTES: usize = HEADER_BYTES + 16;
    if bytes.len() != POINT_BYTES {
        return None;
    }
    let (x, y) = bytes[HEADER_BYTES..].split_first_chunk::<8>()?;
    let point = Point::new(number(*x), number(*y.first_chunk::<8>()?));
    (!point.x().is_nan() && !point.y().is_nan()).then_some(point)
}

fn number64(order: u8) -> fn([u8; 8]) -> f64 {
    if order == 0 { f64::from_be_bytes } else { f64::from_le_bytes }
}

/// Writes extended WKB with SRID 4326.
///
/// # Errors
/// When geozero cannot write the geometry.
pub(crate) fn encode_ewkb<G: Clone + Into<geo_types::Geometry<f64>>>(geometry: &G) -> Result<Vec<u8>, CodecError> {
    match geometry.clone().into() {
        // What nearly every row has: its bytes are the same each time but for two numbers.
        geo_types::Geometry::Point(point) => Ok(point_ewkb(point).to_vec()),
        geometry => Ok(geometry.to_ewkb(CoordDimensions::xy(), Some(SRID_WGS84))?),
    }
}

/// A point in little-endian extended WKB.
fn point_ewkb(point: Point<f64>) -> [u8; 25] {
    let mut bytes = [0; 25];
    // Byte order; point, with an SRID.
    bytes[..5].copy_from_slice(&[1, 1, 0, 0, 0x20]);
    bytes[5..9].copy_from_slice(&SRID_WGS84.to_le_bytes());
    bytes[9..17].copy_from_slice(&point.x().to_le_bytes());
    bytes[17..].copy_from_slice(&point.y().to_le_bytes());
    bytes
}

/// The same trait impls for both wrappers, which differ in the name of the PostGIS type only.
macro_rules! postgis_type {
    ($wrapper:ident, $name:literal, $array:literal) => {
        impl<G> Type<Postgres> for $wrapper<G> {
            fn type_info() -> PgTypeInfo {
                PgTypeInfo::with_name($name)
            }
        }

        impl<G> PgHasArrayType for $wrapper<G> {
            fn array_type_info() -> PgTypeInfo {
                PgTypeInfo::with_name($array)
            }
        }

        impl<G: Clone + Into<geo_types::Geometry<f64>>> Encode<'_, Postgres> for $wrapper<G> {
            fn encode_by_ref(&self, buf: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
                buf.extend_from_slice(&encode_ewkb(&self.0)?);
                Ok(IsNull::No)
            }
        }

        impl<G: TryFrom<geo_types::Geometry<f64>>> Decode<'_, Postgres> for $wrapper<G> {
            fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
                if value.format() == PgValueFormat::Text {
                    return Err(concat!($name, " is read in binary form only").into());
                }
                Ok(Self(decode_ewkb(value.as_bytes()?)?))
            }
        }
    };
}

postgis_type!(Geog, "geography", "_geography");
postgis_type!(Geom, "geometry", "_geometry");

#[cfg(test)]
mod tests {
    use super::*;
    use geo_types::{Coord, Geometry, LineString, MultiPolygon, Polygon};
    use postgres_types::{FromSql, Type as PgType};
    use proptest::prelude::*;

    /// Reads with the crate `postgis`, which shares no code with geozero.
    fn independent<T: for<'a> FromSql<'a>>(bytes: &[u8]) -> T {
        T::from_sql(&PgType::BYTEA, bytes).expect("the independent decoder reads it")
    }

    fn degree() -> impl Strategy<Value = f64> {
        prop_oneof![-180.0..=180.0_f64, Just(0.0), Just(-180.0), Just(180.0), Just(f64::MIN_POSITIVE)]
    }

    fn ring() -> impl Strategy<Value = LineString<f64>> {
        prop::collection::vec((degree(), degree()), 3..40)
            .prop_map(|corners| LineString(corners.into_iter().map(|(x, y)| Coord { x, y }).collect()))
    }

    fn multi_polygon() -> impl Strategy<Value = MultiPolygon<f64>> {
        let polygon = (ring(), prop::collection::vec(ring(), 0..3)).prop_map(|(outer, holes)| Polygon::new(outer, holes));
        prop::collection::vec(polygon, 0..4).prop_map(MultiPolygon)
    }

    fn ring_matches(ours: &LineString<f64>, theirs: &postgis::ewkb::LineString) -> bool {
        ours.0.len() == theirs.points.len()
            && ours.0.iter().zip(&theirs.points).all(|(a, b)| a.x.to_bits() == b.x.to_bits() && a.y.to_bits() == b.y.to_bits())
    }

    proptest! {
        #[test]
        fn points_agree_with_an_independent_decoder(x in degree(), y in degree()) {
            let bytes = encode_ewkb(&Point::new(x, y)).expect("writes");
            let theirs: postgis::ewkb::Point = independent(&bytes);
            prop_assert_eq!((theirs.x, theirs.y, theirs.srid), (x, y, Some(SRID_WGS84)));
            prop_assert_eq!(decode_ewkb::<Point<f64>>(&bytes).expect("reads"), Point::new(x, y));
        }

        #[test]
        fn multi_polygons_agree_with_an_independent_decoder(shape in multi_polygon()) {
            let bytes = encode_ewkb(&shape).expect("writes");
            let theirs: postgis::ewkb::MultiPolygon = independent(&bytes);
            prop_assert_eq!(theirs.srid, Some(SRID_WGS84));
            prop_assert_eq!(theirs.polygons.len(), shape.0.len());
            for (ours, theirs) in shape.0.iter().zip(&theirs.polygons) {
                let rings: Vec<_> = std::iter::once(ours.exterior()).chain(ours.interiors()).collect();
                prop_assert_eq!(rings.len(), theirs.rings.len());
                prop_assert!(rings.iter().zip(&theirs.rings).all(|(a, b)| ring_matches(a, b)));
            }
            prop_assert_eq!(decode_ewkb::<MultiPolygon<f64>>(&bytes).expect("reads"), shape);
        }

        /// Counts inside a value are believed, because only our own database sends values.
        #[test]
        fn a_value_cut_short_is_an_error(shape in multi_polygon(), cut in any::<prop::sample::Index>()) {
            let bytes = encode_ewkb(&shape).expect("writes");
            let cut = cut.index(bytes.len());
            prop_assert!(decode_ewkb::<MultiPolygon<f64>>(&bytes[..cut]).is_err());
        }
    }

    #[test]
    fn another_reference_system_or_kind_is_refused() {
        let point = Geometry::from(Point::new(1.0, 2.0));
        let mercator = point.to_ewkb(CoordDimensions::xy(), Some(3857)).expect("writes");
        assert!(matches!(decode_ewkb::<Point<f64>>(&mercator), Err(CodecError::Srid(Some(3857)))));
        let bare = point.to_ewkb(CoordDimensions::xy(), None).expect("writes");
        assert!(matches!(decode_ewkb::<Point<f64>>(&bare), Err(CodecError::Srid(None))));
        let high = point.to_ewkb(CoordDimensions::xyz(), Some(SRID_WGS84)).expect("writes");
        assert!(matches!(decode_ewkb::<Point<f64>>(&high), Err(CodecError::Dimensions)));
        let ours = encode_ewkb(&Point::new(1.0, 2.0)).expect("writes");
        assert!(matches!(decode_ewkb::<MultiPolygon<f64>>(&ours), Err(CodecError::Kind { .. })));
        assert!(matches!(decode_ewkb::<Point<f64>>(&ours[..12]), Err(CodecError::Body(_))));
        assert!(matches!(decode_ewkb::<Point<f64>>(&[]), Err(CodecError::Header)));
    }
}

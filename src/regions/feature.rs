//! A region as an admin draws it: a GeoJSON feature (RFC 7946), read strictly. Nothing is repaired: what is not
//! a clean area is refused with the reason.

use geo_types::{Coord, LineString, MultiPolygon, Polygon};
use serde_json::Value;
use utoipa::ToSchema;

use super::store::Kind;
use crate::input::{FieldReader, Fields, Raw};

/// Most vertices of a border, all rings together.
const MAX_VERTICES: usize = 10_000;
/// Most characters of a code.
const MAX_CODE_CHARS: usize = 20;

/// What the body of a `PUT` says.
pub(super) struct Drawn {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) parent_code: Option<String>,
    pub(super) border: MultiPolygon<f64>,
}

/// A region as a GeoJSON feature.
#[derive(ToSchema)]
#[schema(as = RegionContent)]
#[expect(dead_code, reason = "documents a body; `read` reads it")]
pub(super) struct FeatureBody {
    /// Always `Feature`.
    #[schema(example = "Feature")]
    r#type: String,
    /// Its border.
    geometry: GeometryBody,
    /// What it is.
    properties: PropertiesBody,
}

/// An area of at most 10,000 vertices, in plain latitude/longitude degrees.
#[derive(ToSchema)]
#[schema(as = RegionGeometry)]
#[expect(dead_code, reason = "documents a body")]
struct GeometryBody {
    /// `Polygon` or `MultiPolygon`.
    #[schema(example = "Polygon")]
    r#type: String,
    /// Rings of longitudes and latitudes, as RFC 7946 has them.
    #[schema(value_type = Vec<Value>, example = json!([[[13.3, 52.4], [13.5, 52.4], [13.5, 52.6], [13.3, 52.4]]]))]
    coordinates: Value,
}

/// What a region is.
#[derive(ToSchema)]
#[schema(as = RegionContentProperties)]
#[expect(dead_code, reason = "documents a body")]
struct PropertiesBody {
    /// Name; not unique.
    #[schema(min_length = 1, max_length = 255, example = "Our campus")]
    name: String,
    /// What sort of region; `custom` unless said otherwise.
    #[schema(inline, default = "custom")]
    kind: Option<Kind>,
    /// The region it is part of.
    #[schema(min_length = 1, max_length = 20, example = "DE")]
    parent_code: Option<String>,
}

/// Whether a text may be the code of a new region: letters, digits, `-`, `_` and `.` that a path takes as they are.
pub(super) fn is_code(text: &str) -> bool {
    (1..=MAX_CODE_CHARS).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        && text.bytes().any(|b| b.is_ascii_alphanumeric())
}

/// Takes what makes a region out of a feature's members; `None` when a fault was noted that leaves nothing.
pub(super) fn read(reader: &mut FieldReader) -> Option<Drawn> {
    // The identity is in the path; so that get, edit, put works, and as RFC 7946 allows.
    reader.ignore(&["id", "bbox"]);
    reader.required_word("type", "Feature", |word| (word == "Feature").then_some(()));
    let border = reader.require("geometry").and_then(|geometry| border(reader, &geometry));
    let properties = match reader.require("properties") {
        Some(Raw::Json(Value::Object(properties))) => properties,
        Some(_) => {
            reader.faults.unreadable("properties", "not_an_object", "is not an object");
            return None;
        }
        None => return None,
    };
    let mut properties = FieldReader::new(Fields::from(properties));
    properties.ignore(&["code"]);
    let name = properties.required_text("name", 255);
    let kind = properties.word("kind", Kind::WORDS, Kind::from_word).unwrap_or(Kind::Custom);
    let parent_code = properties.text("parent_code", MAX_CODE_CHARS, false);
    let (unknown, faults) = properties.finish();
    reader.faults.append_under("properties", faults);
    for name in unknown {
        reader.faults.unreadable(&format!("properties.{name}"), "unknown", "is not a property that a region has");
    }
    Some(Drawn { name: name?, kind, parent_code, border: border? })
}

fn border(reader: &mut FieldReader, geometry: &Raw) -> Option<MultiPolygon<f64>> {
    let faults = &mut reader.faults;
    let Raw::Json(Value::Object(geometry)) = geometry else {
        faults.unreadable("geometry", "not_an_object", "is not a GeoJSON geometry");
        return None;
    };
    let coordinates = geometry.get("coordinates").and_then(Value::as_array);
    let polygons: Vec<&Value> = match (geometry.get("type").and_then(Value::as_str), coordinates) {
        (None, _) => {
            faults.unreadable("geometry.type", "missing", "is required");
            return None;
        }
        (Some("Polygon"), Some(_)) => geometry.get("coordinates").into_iter().collect(),
        (Some("MultiPolygon"), Some(polygons)) => polygons.iter().collect(),
        (Some("Polygon" | "MultiPolygon"), None) => {
            faults.unreadable("geometry.coordinates", "not_an_array", "is not an array");
            return None;
        }
        (Some(_), _) => {
            faults.out_of_domain("geometry.type", "unknown_value", "is neither Polygon nor MultiPolygon");
            return None;
        }
    };
    if let Some(other) = geometry.keys().find(|name| !["type", "coordinates", "bbox"].contains(&name.as_str())) {
        faults.unreadable(&format!("geometry.{other}"), "unknown", "is not a member of a geometry");
        return None;
    }
    match read_polygons(&polygons) {
        Ok(border) => Some(border),
        Err(NotABorder::Unreadable(detail)) => {
            faults.unreadable("geometry.coordinates", "not_coordinates", detail);
            None
        }
        Err(NotABorder::OutOfDomain(code, detail)) => {
            faults.out_of_domain("geometry.coordinates", code, detail);
            None
        }
    }
}

enum NotABorder {
    Unreadable(String),
    OutOfDomain(&'static str, String),
}

fn read_polygons(polygons: &[&Value]) -> Result<MultiPolygon<f64>, NotABorder> {
    let mut vertices = 0;
    let mut border = Vec::with_capacity(polygons.len());
    for polygon in polygons {
        let rings = array(polygon, "a polygon")?.iter().map(|value| ring(value, &mut vertices)).collect::<Result<Vec<_>, _>>()?;
        let mut rings = rings.into_iter();
        let outer = rings.next().ok_or_else(|| NotABorder::OutOfDomain("empty", "a polygon has no ring".to_owned()))?;
        border.push(Polygon::new(outer, rings.collect()));
    }
    if border.is_empty() {
        return Err(NotABorder::OutOfDomain("empty", "has no polygon".to_owned()));
    }
    Ok(MultiPolygon(border))
}

fn array<'v>(value: &'v Value, what: &str) -> Result<&'v Vec<Value>, NotABorder> {
    value.as_array().ok_or_else(|| NotABorder::Unreadable(format!("{what} is not an array")))
}

fn ring(value: &Value, vertices: &mut usize) -> Result<LineString<f64>, NotABorder> {
    let positions = array(value, "a ring")?;
    *vertices += positions.len();
    if *vertices > MAX_VERTICES {
        return Err(NotABorder::OutOfDomain("too_many_vertices", format!("has more than {MAX_VERTICES} vertices")));
    }
    let ring = positions.iter().map(position).collect::<Result<Vec<_>, _>>()?;
    if ring.len() < 4 {
        return Err(NotABorder::OutOfDomain("too_few_vertices", "a ring has fewer than four positions".to_owned()));
    }
    if ring.first() != ring.last() {
        return Err(NotABorder::OutOfDomain("not_closed", "a ring does not end where it begins".to_owned()));
    }
    Ok(LineString(ring))
}

/// A position, rounded to 8 decimals as all are. A longitude of -180 stays: a border has two sides.
fn position(value: &Value) -> Result<Coord<f64>, NotABorder> {
    let numbers = array(value, "a position")?;
    let numbers: Option<Vec<f64>> = numbers.iter().map(Value::as_f64).collect();
    let numbers = numbers.ok_or_else(|| NotABorder::Unreadable("a position has something that is not a number".to_owned()))?;
    let &[lng_deg, lat_deg] = numbers.as_slice() else {
        return Err(NotABorder::OutOfDomain("not_two_numbers", "a position is not longitude and latitude, and no more".to_owned()));
    };
    if !(-180.0..=180.0).contains(&lng_deg) || !(-90.0..=90.0).contains(&lat_deg) {
        let detail = format!("[{lng_deg}, {lat_deg}] is outside -180 to 180 and -90 to 90 degrees");
        return Err(NotABorder::OutOfDomain("out_of_range", detail));
    }
    let rounded = |deg: f64| (deg * 1e8).round() / 1e8 + 0.0;
    Ok(Coord { x: rounded(lng_deg), y: rounded(lat_deg) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::FaultKind;
    use rstest::rstest;
    use serde_json::json;

    fn faults(geometry: &Value) -> Vec<(String, &'static str, bool)> {
        let feature = json!({"type": "Feature", "geometry": geometry, "properties": {"name": "a"}});
        let Value::Object(members) = feature else { unreachable!() };
        let mut reader = FieldReader::new(Fields::from(members));
        let drawn = read(&mut reader);
        let faults = reader.finish().1.into_vec();
        assert_eq!(drawn.is_some(), faults.is_empty());
        faults.into_iter().map(|fault| (fault.field, fault.code, fault.kind == FaultKind::Unreadable)).collect()
    }

    #[rstest]
    #[case(json!({"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]}))]
    #[case(json!({"type": "Polygon", "coordinates": [[[-180, -90], [180, -90], [180, 90], [-180, 90], [-180, -90]]]}))]
    #[case(json!({"type": "MultiPolygon", "coordinates": [[[[0, 0], [9, 0], [9, 9], [0, 0]], [[3, 1], [4, 1], [4, 2], [3, 1]]]]}))]
    fn an_area_is_read(#[case] geometry: Value) {
        assert_eq!(faults(&geometry), []);
    }

    #[rstest]
    #[case(json!("x"), "geometry", "not_an_object", true)]
    #[case(json!({"coordinates": []}), "geometry.type", "missing", true)]
    #[case(json!({"type": "Point", "coordinates": [0, 0]}), "geometry.type", "unknown_value", false)]
    #[case(json!({"type": "GeometryCollection", "geometries": []}), "geometry.type", "unknown_value", false)]
    #[case(json!({"type": "Polygon"}), "geometry.coordinates", "not_an_array", true)]
    #[case(json!({"type": "Polygon", "coordinates": [], "crs": {}}), "geometry.crs", "unknown", true)]
    #[case(json!({"type": "Polygon", "coordinates": []}), "geometry.coordinates", "empty", false)]
    #[case(json!({"type": "MultiPolygon", "coordinates": []}), "geometry.coordinates", "empty", false)]
    #[case(json!({"type": "MultiPolygon", "coordinates": [[]]}), "geometry.coordinates", "empty", false)]
    #[case(json!({"type": "Polygon", "coordinates": [[]]}), "geometry.coordinates", "too_few_vertices", false)]
    #[case(json!({"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [0, 0]]]}), "geometry.coordinates", "too_few_vertices", false)]
    #[case(json!({"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1]]]}), "geometry.coordinates", "not_closed", false)]
    #[case(json!({"type": "Polygon", "coordinates": [[[0, 0], [181, 0], [1, 1], [0, 0]]]}), "geometry.coordinates", "out_of_range", false)]
    #[case(json!({"type": "Polygon", "coordinates": [[[0, 0], [1, 91], [1, 1], [0, 0]]]}), "geometry.coordinates", "out_of_range", false)]
    #[case(json!({"type": "Polygon", "coordinates": [[[0, 0, 5], [1, 0, 5], [1, 1, 5], [0, 0, 5]]]}), "geometry.coordinates", "not_two_numbers", false)]
    #[case(json!({"type": "Polygon", "coordinates": [[["0", 0], [1, 0], [1, 1], [0, 0]]]}), "geometry.coordinates", "not_coordinates", true)]
    #[case(json!({"type": "Polygon", "coordinates": [[0, 0], [1, 0]]}), "geometry.coordinates", "not_coordinates", true)]
    #[case(json!({"type": "Polygon", "coordinates": [vec![[0, 0]; 10_001]]}), "geometry.coordinates", "too_many_vertices", false)]
    fn what_is_no_area_is_refused(#[case] geometry: Value, #[case] field: &str, #[case] code: &'static str, #[case] unreadable: bool) {
        assert_eq!(faults(&geometry), [(field.to_owned(), code, unreadable)]);
    }

    #[rstest]
    #[case("DE", true)]
    #[case("de-by", true)]
    #[case("campus_2.north", true)]
    #[case("", false)]
    #[case("..", false)]
    #[case("a b", false)]
    #[case("ä", false)]
    #[case("123456789012345678901", false)]
    fn codes_are_plain_words(#[case] text: &str, #[case] good: bool) {
        assert_eq!(is_code(text), good);
    }
}

//! An area as GeoJSON (RFC 7946) draws it, read strictly. Nothing is repaired: what is not a `Polygon` or
//! `MultiPolygon` of closed rings is refused with the reason. Whether the rings cross is for the database to say.

use geo_types::{Coord, LineString, MultiPolygon, Polygon};
use serde_json::Value;

use super::{FieldReader, Raw};
use crate::geo::round_deg;

/// Reads an area of at most `max_vertices` vertices, all rings together; `None` when a fault was noted, under
/// the name of the field.
pub(crate) fn read_area(reader: &mut FieldReader, field: &str, raw: &Raw, max_vertices: usize) -> Option<MultiPolygon<f64>> {
    let faults = &mut reader.faults;
    let Raw::Json(Value::Object(geometry)) = raw else {
        faults.unreadable(field, "not_an_object", "is not a GeoJSON geometry");
        return None;
    };
    let coordinates = geometry.get("coordinates").and_then(Value::as_array);
    let polygons: Vec<&Value> = match (geometry.get("type").and_then(Value::as_str), coordinates) {
        (None, _) => {
            faults.unreadable(&format!("{field}.type"), "missing", "is required");
            return None;
        }
        (Some("Polygon"), Some(_)) => geometry.get("coordinates").into_iter().collect(),
        (Some("MultiPolygon"), Some(polygons)) => polygons.iter().collect(),
        (Some("Polygon" | "MultiPolygon"), None) => {
            faults.unreadable(&format!("{field}.coordinates"), "not_an_array", "is not an array");
            return None;
        }
        (Some(_), _) => {
            faults.out_of_domain(&format!("{field}.type"), "unknown_value", "is neither Polygon nor MultiPolygon");
            return None;
        }
    };
    if let Some(other) = geometry.keys().find(|name| !["type", "coordinates", "bbox"].contains(&name.as_str())) {
        faults.unreadable(&format!("{field}.{other}"), "unknown", "is not a member of a geometry");
        return None;
    }
    match read_polygons(&polygons, max_vertices) {
        Ok(area) => Some(area),
        Err(NotAnArea::Unreadable(detail)) => {
            faults.unreadable(&format!("{field}.coordinates"), "not_coordinates", detail);
            None
        }
        Err(NotAnArea::OutOfDomain(code, detail)) => {
            faults.out_of_domain(&format!("{field}.coordinates"), code, detail);
            None
        }
    }
}

enum NotAnArea {
    Unreadable(String),
    OutOfDomain(&'static str, String),
}

fn read_polygons(polygons: &[&Value], max_vertices: usize) -> Result<MultiPolygon<f64>, NotAnArea> {
    let mut vertices = 0;
    let mut area = Vec::with_capacity(polygons.len());
    for polygon in polygons {
        let rings =
            array(polygon, "a polygon")?.iter().map(|value| ring(value, &mut vertices, max_vertices)).collect::<Result<Vec<_>, _>>()?;
        let mut rings = rings.into_iter();
        let outer = rings.next().ok_or_else(|| NotAnArea::OutOfDomain("empty", "a polygon has no ring".to_owned()))?;
        area.push(Polygon::new(outer, rings.collect()));
    }
    if area.is_empty() {
        return Err(NotAnArea::OutOfDomain("empty", "has no polygon".to_owned()));
    }
    Ok(MultiPolygon(area))
}

fn array<'v>(value: &'v Value, what: &str) -> Result<&'v Vec<Value>, NotAnArea> {
    value.as_array().ok_or_else(|| NotAnArea::Unreadable(format!("{what} is not an array")))
}

fn ring(value: &Value, vertices: &mut usize, max_vertices: usize) -> Result<LineString<f64>, NotAnArea> {
    let positions = array(value, "a ring")?;
    *vertices += positions.len();
    if *vertices > max_vertices {
        return Err(NotAnArea::OutOfDomain("too_many_vertices", format!("has more than {max_vertices} vertices")));
    }
    let ring = positions.iter().map(position).collect::<Result<Vec<_>, _>>()?;
    if ring.len() < 4 {
        return Err(NotAnArea::OutOfDomain("too_few_vertices", "a ring has fewer than four positions".to_owned()));
    }
    if ring.first() != ring.last() {
        return Err(NotAnArea::OutOfDomain("not_closed", "a ring does not end where it begins".to_owned()));
    }
    Ok(LineString(ring))
}

/// A position, rounded to 8 decimals as all are. A longitude of -180 stays: a border has two sides.
fn position(value: &Value) -> Result<Coord<f64>, NotAnArea> {
    let numbers = array(value, "a position")?;
    let numbers: Option<Vec<f64>> = numbers.iter().map(Value::as_f64).collect();
    let numbers = numbers.ok_or_else(|| NotAnArea::Unreadable("a position has something that is not a number".to_owned()))?;
    let &[lng_deg, lat_deg] = numbers.as_slice() else {
        return Err(NotAnArea::OutOfDomain("not_two_numbers", "a position is not longitude and latitude, and no more".to_owned()));
    };
    if !(-180.0..=180.0).contains(&lng_deg) || !(-90.0..=90.0).contains(&lat_deg) {
        let detail = format!("[{lng_deg}, {lat_deg}] is outside -180 to 180 and -90 to 90 degrees");
        return Err(NotAnArea::OutOfDomain("out_of_range", detail));
    }
    Ok(Coord { x: round_deg(lng_deg), y: round_deg(lat_deg) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::{FaultKind, Fields};
    use rstest::rstest;
    use serde_json::json;

    const MAX_VERTICES: usize = 1_000;

    /// The area read from field `service_area`, and the faults noted.
    fn read(geometry: Value) -> (Option<MultiPolygon<f64>>, Vec<(String, &'static str, bool)>) {
        let mut reader = FieldReader::new(Fields::default());
        let area = read_area(&mut reader, "service_area", &Raw::Json(geometry), MAX_VERTICES);
        let faults = reader.finish().1.into_vec();
        assert_eq!(area.is_some(), faults.is_empty());
        (area, faults.into_iter().map(|fault| (fault.field, fault.code, fault.kind == FaultKind::Unreadable)).collect())
    }

    #[rstest]
    #[case(json!({"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]}))]
    #[case(json!({"type": "Polygon", "coordinates": [[[-180, -90], [180, -90], [180, 90], [-180, 90], [-180, -90]]]}))]
    #[case(json!({"type": "MultiPolygon", "coordinates": [[[[0, 0], [9, 0], [9, 9], [0, 0]], [[3, 1], [4, 1], [4, 2], [3, 1]]]]}))]
    #[case(json!({"type": "Polygon", "coordinates": [vec![[0, 0]; MAX_VERTICES]]}))]
    fn an_area_is_read(#[case] geometry: Value) {
        assert_eq!(read(geometry).1, []);
    }

    #[rstest]
    #[case(json!("x"), "service_area", "not_an_object", true)]
    #[case(json!({"coordinates": []}), "service_area.type", "missing", true)]
    #[case(json!({"type": "Point", "coordinates": [0, 0]}), "service_area.type", "unknown_value", false)]
    #[case(json!({"type": "GeometryCollection", "geometries": []}), "service_area.type", "unknown_value", false)]
    #[case(json!({"type": "Polygon"}), "service_area.coordinates", "not_an_array", true)]
    #[case(json!({"type": "Polygon", "coordinates": [], "crs": {}}), "service_area.crs", "unknown", true)]
    #[case(json!({"type": "Polygon", "coordinates": []}), "service_area.coordinates", "empty", false)]
    #[case(json!({"type": "MultiPolygon", "coordinates": []}), "service_area.coordinates", "empty", false)]
    #[case(json!({"type": "MultiPolygon", "coordinates": [[]]}), "service_area.coordinates", "empty", false)]
    #[case(json!({"type": "Polygon", "coordinates": [[]]}), "service_area.coordinates", "too_few_vertices", false)]
    #[case(json!({"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [0, 0]]]}), "service_area.coordinates", "too_few_vertices", false)]
    #[case(json!({"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1]]]}), "service_area.coordinates", "not_closed", false)]
    #[case(json!({"type": "Polygon", "coordinates": [[[0, 0], [181, 0], [1, 1], [0, 0]]]}), "service_area.coordinates", "out_of_range", false)]
    #[case(json!({"type": "Polygon", "coordinates": [[[0, 0], [1, 91], [1, 1], [0, 0]]]}), "service_area.coordinates", "out_of_range", false)]
    #[case(json!({"type": "Polygon", "coordinates": [[[0, 0, 5], [1, 0, 5], [1, 1, 5], [0, 0, 5]]]}), "service_area.coordinates", "not_two_numbers", false)]
    #[case(json!({"type": "Polygon", "coordinates": [[["0", 0], [1, 0], [1, 1], [0, 0]]]}), "service_area.coordinates", "not_coordinates", true)]
    #[case(json!({"type": "Polygon", "coordinates": [[0, 0], [1, 0]]}), "service_area.coordinates", "not_coordinates", true)]
    #[case(json!({"type": "Polygon", "coordinates": [vec![[0, 0]; MAX_VERTICES + 1]]}), "service_area.coordinates", "too_many_vertices", false)]
    fn what_is_no_area_is_refused(#[case] geometry: Value, #[case] field: &str, #[case] code: &'static str, #[case] unreadable: bool) {
        assert_eq!(read(geometry).1, [(field.to_owned(), code, unreadable)]);
    }

    #[test]
    fn positions_keep_eight_decimals_and_the_side_of_the_antimeridian() {
        let ring = json!([[[-180, 0.123_456_784], [-170, -0.0], [-170, 1], [-180, 0.123_456_784]]]);
        let area = read(json!({"type": "Polygon", "coordinates": ring})).0.expect("an area");
        let corners = &area.0[0].exterior().0;
        assert_eq!((corners[0].x, corners[0].y), (-180.0, 0.123_456_78));
        assert!(corners[1].y.is_sign_positive());
    }
}

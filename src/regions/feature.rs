//! A region as an admin draws it: a GeoJSON feature (RFC 7946), read strictly. Nothing is repaired: what is not
//! a clean area is refused with the reason.

use geo_types::MultiPolygon;
use serde_json::Value;
use utoipa::ToSchema;

use super::store::Kind;
use crate::input::{FieldReader, Fields, Raw, read_area};

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
    let border = reader.require("geometry").and_then(|geometry| read_area(reader, "geometry", &geometry, MAX_VERTICES));
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

    #[test]
    fn a_border_is_an_area_of_at_most_ten_thousand_vertices() {
        let border = |vertices: usize| json!({"type": "Polygon", "coordinates": [vec![[0, 0]; vertices]]});
        assert_eq!(faults(&border(10_000)), []);
        assert_eq!(faults(&border(10_001)), [("geometry.coordinates".to_owned(), "too_many_vertices", false)]);
        assert_eq!(faults(&json!({"coordinates": []})), [("geometry.type".to_owned(), "missing", true)]);
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

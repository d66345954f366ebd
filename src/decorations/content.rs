//! What an admin says about a decoration: read field by field from JSON or CSV, every fault named at once.

use serde_json::Value;
use url::Url;
use uuid::Uuid;

use super::model::AssetType;
use crate::geo::LatLng;
use crate::input::{Faults, FieldFault, IntegerText, check_text, decimal, integer};

/// Everything of a decoration that is not ours to decide. Two with equal content are `unchanged`.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the fields are those of the wire's decoration, see `Decoration`")]
pub struct Content {
    pub external_id: Option<String>,
    pub name: String,
    pub description: Option<String>,
    pub category: String,
    pub position: LatLng,
    pub radius_meters: i32,
    pub height_offset: f64,
    pub low_res_url: Option<String>,
    pub medium_res_url: Option<String>,
    pub high_res_url: Option<String>,
    pub scale: [f64; 3],
    pub rotation_deg: [f64; 3],
    pub asset_type: AssetType,
    pub file_size_bytes: Option<i64>,
    pub is_active: bool,
}

/// One field as it came: a JSON value, or a cell of a table.
#[derive(Clone, Debug)]
pub(super) enum Raw {
    Json(Value),
    Cell(String),
}

/// The fields of one decoration. Taken out one by one; what is left over is unknown.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields(pub(super) Vec<(String, Raw)>);

/// Fields that we answer but decide ourselves: accepted and ignored, so that get, edit, put works.
const READ_ONLY: [&str; 5] = ["version", "h3", "created_by", "created_at", "updated_at"];

/// What a reading gives: the id if there was one, the content, and the names nobody knows.
pub(super) struct Reading {
    pub(super) id: Option<Uuid>,
    pub(super) content: Content,
    pub(super) unknown: Vec<String>,
}

/// Reads a decoration's fields; asset URLs must lie under `cdn_base_url` when that is set.
///
/// # Errors
/// All faults of the fields.
pub(super) fn read(fields: Fields, cdn_base_url: Option<&Url>) -> Result<Reading, Vec<FieldFault>> {
    let mut reader = Reader { fields, faults: Faults::default(), cdn_base_url };
    let id = reader.uuid("id");
    let external_id = reader.text("external_id", 255, false);
    let name = reader.required_text("name", 255);
    let description = reader.text("description", 4000, true);
    let category = reader.required_text("category", 100);
    let position = reader.position();
    let radius_meters = reader.required_integer("radius_meters", 1, 10_000);
    let height_offset = reader.hundredths("height_offset", -999.99, 999.99, 0.0);
    let [low_res_url, medium_res_url, high_res_url] =
        ["low_res_url", "medium_res_url", "high_res_url"].map(|field| reader.asset_url(field));
    let scale = ["scale_x", "scale_y", "scale_z"].map(|field| reader.hundredths(field, 0.01, 999.99, 1.0));
    let rotation_deg = ["rotation_x", "rotation_y", "rotation_z"].map(|field| reader.hundredths(field, -360.0, 360.0, 0.0));
    let asset_type = reader.asset_type();
    let file_size_bytes = reader.integer("file_size_bytes", 0, i64::MAX);
    let is_active = reader.boolean("is_active", true);
    let Reader { fields, faults, .. } = reader;
    match (name, category, position, radius_meters, asset_type) {
        (Some(name), Some(category), Some(position), Some(radius_meters), Some(asset_type)) if faults.is_empty() => Ok(Reading {
            id,
            content: Content {
                external_id,
                name,
                description,
                category,
                position,
                radius_meters: i32::try_from(radius_meters).unwrap_or(i32::MAX),
                height_offset,
                low_res_url,
                medium_res_url,
                high_res_url,
                scale,
                rotation_deg,
                asset_type,
                file_size_bytes,
                is_active,
            },
            unknown: fields.0.into_iter().map(|(name, _)| name).filter(|name| !READ_ONLY.contains(&name.as_str())).collect(),
        }),
        _ => Err(faults.into_vec()),
    }
}

struct Reader<'a> {
    fields: Fields,
    faults: Faults,
    cdn_base_url: Option<&'a Url>,
}

impl Reader<'_> {
    /// A field's value; JSON null and an empty cell are none.
    fn take(&mut self, name: &str) -> Option<Raw> {
        let at = self.fields.0.iter().position(|(known, _)| known == name)?;
        match self.fields.0.swap_remove(at).1 {
            Raw::Json(Value::Null) => None,
            Raw::Cell(text) if text.is_empty() => None,
            raw => Some(raw),
        }
    }

    fn require(&mut self, name: &str) -> Option<Raw> {
        let raw = self.take(name);
        if raw.is_none() {
            self.faults.unreadable(name, "missing", "is required");
        }
        raw
    }

    fn read_text(&mut self, name: &str, raw: Raw, max_chars: usize, multi_line: bool) -> Option<String> {
        let (Raw::Cell(text) | Raw::Json(Value::String(text))) = raw else {
            self.faults.unreadable(name, "not_a_text", "is not a text");
            return None;
        };
        check_text(&mut self.faults, name, &text, max_chars, multi_line);
        Some(text)
    }

    fn text(&mut self, name: &str, max_chars: usize, multi_line: bool) -> Option<String> {
        let raw = self.take(name)?;
        self.read_text(name, raw, max_chars, multi_line)
    }

    fn required_text(&mut self, name: &str, max_chars: usize) -> Option<String> {
        let raw = self.require(name)?;
        self.read_text(name, raw, max_chars, false)
    }

    fn uuid(&mut self, name: &str) -> Option<Uuid> {
        let text = self.text(name, 36, false)?;
        let uuid = Uuid::try_parse(&text).ok();
        if uuid.is_none() {
            self.faults.unreadable(name, "not_a_uuid", "is not a UUID");
        }
        uuid
    }

    fn read_decimal(&mut self, name: &str, raw: &Raw) -> Option<f64> {
        let number = match raw {
            Raw::Json(value) => value.as_f64(),
            Raw::Cell(text) => decimal(text),
        };
        if number.is_none() {
            self.faults.unreadable(name, "not_a_number", "is not a finite decimal number such as 12.5");
        }
        number
    }

    /// A number with at most two decimals.
    fn hundredths(&mut self, name: &str, least: f64, most: f64, default: f64) -> f64 {
        let Some(number) = self.take(name).and_then(|raw| self.read_decimal(name, &raw)) else { return default };
        if !(least..=most).contains(&number) {
            self.faults.out_of_domain(name, "out_of_range", format!("{number} is outside {least} to {most}"));
            return default;
        }
        #[expect(clippy::float_cmp, reason = "the nearest double of a number with two decimals is what we want, exactly")]
        if (number * 100.0).round() / 100.0 != number {
            self.faults.out_of_domain(name, "too_many_decimals", "has more than two decimals");
        }
        number + 0.0
    }

    fn read_integer(&mut self, name: &str, raw: &Raw, least: i64, most: i64) -> Option<i64> {
        let number = match raw {
            Raw::Json(Value::Number(number)) => match (number.as_i64(), number.is_u64()) {
                (Some(number), _) => IntegerText::Fits(number),
                (None, true) => IntegerText::TooLong,
                (None, false) => IntegerText::NotAnInteger,
            },
            Raw::Json(_) => IntegerText::NotAnInteger,
            Raw::Cell(text) => integer(text),
        };
        match number {
            IntegerText::Fits(number) if (least..=most).contains(&number) => return Some(number),
            IntegerText::NotAnInteger => self.faults.unreadable(name, "not_an_integer", "is not a whole number"),
            IntegerText::Fits(_) | IntegerText::TooLong => {
                self.faults.out_of_domain(name, "out_of_range", format!("is outside {least} to {most}"));
            }
        }
        None
    }

    fn integer(&mut self, name: &str, least: i64, most: i64) -> Option<i64> {
        let raw = self.take(name)?;
        self.read_integer(name, &raw, least, most)
    }

    fn required_integer(&mut self, name: &str, least: i64, most: i64) -> Option<i64> {
        let raw = self.require(name)?;
        self.read_integer(name, &raw, least, most)
    }

    fn boolean(&mut self, name: &str, default: bool) -> bool {
        match self.take(name) {
            None => default,
            Some(Raw::Json(Value::Bool(value))) => value,
            Some(Raw::Cell(text)) if text == "true" || text == "false" => text == "true",
            Some(_) => {
                self.faults.unreadable(name, "not_a_boolean", "is neither true nor false");
                default
            }
        }
    }

    fn position(&mut self) -> Option<LatLng> {
        let [lat_deg, lng_deg] = ["lat", "lng"].map(|name| self.require(name).and_then(|raw| self.read_decimal(name, &raw)));
        self.faults.check_position(lat_deg, lng_deg)
    }

    fn asset_type(&mut self) -> Option<AssetType> {
        let word = self.required_text("asset_type", 50)?;
        let asset_type = AssetType::from_word(&word);
        if asset_type.is_none() {
            self.faults.out_of_domain("asset_type", "unknown_value", format!("is none of {}", AssetType::WORDS));
        }
        asset_type
    }

    fn asset_url(&mut self, name: &str) -> Option<String> {
        let text = self.text(name, 500, false)?;
        if let Err((code, detail)) = check_asset_url(&text, self.cdn_base_url) {
            self.faults.out_of_domain(name, code, detail);
        }
        Some(text)
    }
}

/// Checks the text of an asset's URL: https, and below the CDN's base if there is one. The text itself is
/// looked at and not only its parsed form, because parsing hides `..` and backslashes.
fn check_asset_url(text: &str, cdn_base_url: Option<&Url>) -> Result<(), (&'static str, String)> {
    let lower = text.to_ascii_lowercase();
    if text.contains('\\') || text.contains("..") || lower.contains("%2e") || text.chars().any(char::is_whitespace) {
        return Err(("unsafe_url", "may not have '..', %2e, a backslash or blanks".to_owned()));
    }
    let url = Url::parse(text).map_err(|error| ("not_a_url", error.to_string()))?;
    if url.scheme() != "https" || url.host().is_none() {
        return Err(("not_https", "must be an https URL".to_owned()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(("unsafe_url", "may not carry a user name".to_owned()));
    }
    let Some(base) = cdn_base_url else { return Ok(()) };
    let folder = base.path().trim_end_matches('/');
    let below = url.path().strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
    if url.host() != base.host() || url.port_or_known_default() != base.port_or_known_default() || !below {
        return Err(("off_cdn", format!("must lie under {base}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    fn fields(mut change: Value) -> Fields {
        let mut all = json!({"name": "a", "category": "art", "lat": 1.5, "lng": -180, "radius_meters": 10, "asset_type": "image"});
        all.as_object_mut().expect("an object").append(change.as_object_mut().expect("an object"));
        let Value::Object(all) = all else { unreachable!() };
        Fields(all.into_iter().map(|(name, value)| (name, Raw::Json(value))).collect())
    }

    #[test]
    fn what_is_left_out_gets_its_default() {
        let reading = read(fields(json!({"version": 7, "colour": "red"})), None).expect("reads");
        assert_eq!(reading.unknown, ["colour"]);
        let content = reading.content;
        assert_eq!((content.scale, content.rotation_deg, content.height_offset, content.is_active), ([1.0; 3], [0.0; 3], 0.0, true));
        assert!(content.position.lng_deg() > 0.0, "-180 is kept as 180");
    }

    #[rstest]
    #[case(json!({"name": null}), "name", "missing")]
    #[case(json!({"name": ""}), "name", "empty")]
    #[case(json!({"name": "\u{0}"}), "name", "control_character")]
    #[case(json!({"name": "x".repeat(256)}), "name", "too_long")]
    #[case(json!({"name": 5}), "name", "not_a_text")]
    #[case(json!({"lat": "1"}), "lat", "not_a_number")]
    #[case(json!({"lat": 95}), "lat", "out_of_range")]
    #[case(json!({"radius_meters": 1.5}), "radius_meters", "not_an_integer")]
    #[case(json!({"radius_meters": 0}), "radius_meters", "out_of_range")]
    #[case(json!({"radius_meters": 18_446_744_073_709_551_615_u64}), "radius_meters", "out_of_range")]
    #[case(json!({"height_offset": 999.995}), "height_offset", "out_of_range")]
    #[case(json!({"scale_x": 1.005}), "scale_x", "too_many_decimals")]
    #[case(json!({"scale_x": 1000.0}), "scale_x", "out_of_range")]
    #[case(json!({"rotation_z": -360.01}), "rotation_z", "out_of_range")]
    #[case(json!({"asset_type": "video"}), "asset_type", "unknown_value")]
    #[case(json!({"file_size_bytes": -1}), "file_size_bytes", "out_of_range")]
    #[case(json!({"is_active": "yes"}), "is_active", "not_a_boolean")]
    #[case(json!({"id": "17"}), "id", "not_a_uuid")]
    #[case(json!({"low_res_url": "http://cdn.example.com/a"}), "low_res_url", "not_https")]
    fn a_bad_field_is_named(#[case] change: Value, #[case] field: &str, #[case] code: &str) {
        let faults = read(fields(change), None).err().expect("a fault");
        assert_eq!(faults.iter().map(|fault| (fault.field.as_str(), fault.code)).collect::<Vec<_>>(), [(field, code)]);
    }

    #[rstest]
    #[case("https://cdn.example.com/ar/a.glb", true)]
    #[case("https://CDN.example.com:443/ar/b/c.glb?v=2", true)]
    #[case("https://cdn.example.com/ar", false)]
    #[case("https://cdn.example.com/arx/a.glb", false)]
    #[case("https://cdn.example.com.evil.com/ar/a.glb", false)]
    #[case("https://cdn.example.com@evil.com/ar/a.glb", false)]
    #[case("https://cdn.example.com/ar/../x", false)]
    #[case("https://cdn.example.com/ar/%2E%2e/x", false)]
    #[case("https://cdn.example.com/ar\\x", false)]
    #[case("https://cdn.example.com:8443/ar/a.glb", false)]
    #[case("//cdn.example.com/ar/a.glb", false)]
    fn assets_lie_on_the_cdn(#[case] text: &str, #[case] allowed: bool) {
        let base = Url::parse("https://cdn.example.com/ar/").expect("a URL");
        assert_eq!(check_asset_url(text, Some(&base)).is_ok(), allowed, "{text}");
    }
}

//! What an admin says about a decoration: read field by field from JSON or CSV, every fault named at once.

use url::Url;
use utoipa::ToSchema;
use uuid::Uuid;

use super::model::AssetType;
use crate::geo::LatLng;
use crate::input::{FieldFault, FieldReader, Fields};

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

/// What makes a decoration: the body of a request.
#[derive(ToSchema)]
#[schema(as = DecorationContent)]
#[expect(dead_code, reason = "documents a body; `Content::read` reads it")]
pub(super) struct ContentBody {
    /// Name of the row in the system it comes from; unique.
    #[schema(min_length = 1, max_length = 255, example = "museum-17")]
    external_id: Option<String>,
    /// Title.
    #[schema(min_length = 1, max_length = 255, example = "Brandenburg Gate, 1791")]
    name: String,
    /// Longer text; of the control characters it may have tabs and line breaks.
    #[schema(min_length = 1, max_length = 4000, example = "As it stood when it was new.")]
    description: Option<String>,
    /// Grouping that clients filter by.
    #[schema(min_length = 1, max_length = 100, example = "history")]
    category: String,
    /// Latitude in degrees.
    #[schema(minimum = -90, maximum = 90, example = 52.5163)]
    lat: f64,
    /// Longitude in degrees.
    #[schema(minimum = -180, maximum = 180, example = 13.3777)]
    lng: f64,
    /// Detection radius in metres.
    #[schema(minimum = 1, maximum = 10000, example = 40)]
    radius_meters: i32,
    /// Height above ground in metres, two decimals.
    #[schema(minimum = -999.99, maximum = 999.99, multiple_of = 0.01, default = 0, example = 1.5)]
    height_offset: Option<f64>,
    /// Asset for viewing from beyond 50 m: https, on the CDN.
    #[schema(format = "uri", max_length = 500, example = "https://cdn.example.com/ar/gate-low.glb")]
    low_res_url: Option<String>,
    /// Asset for viewing from 20 to 50 m.
    #[schema(format = "uri", max_length = 500, example = "https://cdn.example.com/ar/gate-medium.glb")]
    medium_res_url: Option<String>,
    /// Asset for viewing from under 20 m.
    #[schema(format = "uri", max_length = 500, example = "https://cdn.example.com/ar/gate-high.glb")]
    high_res_url: Option<String>,
    /// Scale along x, two decimals.
    #[schema(minimum = 0.01, maximum = 999.99, multiple_of = 0.01, default = 1, example = 2.5)]
    scale_x: Option<f64>,
    /// Scale along y, two decimals.
    #[schema(minimum = 0.01, maximum = 999.99, multiple_of = 0.01, default = 1, example = 2.5)]
    scale_y: Option<f64>,
    /// Scale along z, two decimals.
    #[schema(minimum = 0.01, maximum = 999.99, multiple_of = 0.01, default = 1, example = 2.5)]
    scale_z: Option<f64>,
    /// Rotation about x in degrees, two decimals.
    #[schema(minimum = -360, maximum = 360, multiple_of = 0.01, default = 0, example = 0)]
    rotation_x: Option<f64>,
    /// Rotation about y in degrees, two decimals.
    #[schema(minimum = -360, maximum = 360, multiple_of = 0.01, default = 0, example = 90)]
    rotation_y: Option<f64>,
    /// Rotation about z in degrees, two decimals.
    #[schema(minimum = -360, maximum = 360, multiple_of = 0.01, default = 0, example = 0)]
    rotation_z: Option<f64>,
    /// What the asset is.
    asset_type: AssetType,
    /// Size of the largest asset in bytes.
    #[schema(minimum = 0, example = 1_048_576)]
    file_size_bytes: Option<i64>,
    /// False: kept, but shown to nobody.
    #[schema(default = true, example = true)]
    is_active: Option<bool>,
}

/// Fields that we answer but decide ourselves: accepted and ignored, so that get, edit, put works.
pub(super) const READ_ONLY: [&str; 6] = ["version", "h3", "created_by", "created_at", "updated_at", "deleted_at"];

/// What a reading gives.
pub(super) struct Reading {
    pub(super) id: Option<Uuid>,
    /// The content, or all faults of the fields.
    pub(super) content: Result<Content, Vec<FieldFault>>,
    /// Whether it says what the `external_id` is to be, be it none.
    pub(super) names_external_id: bool,
    /// The names nobody knows.
    pub(super) unknown: Vec<String>,
}

/// Reads a decoration's fields; asset URLs must lie under `cdn_base_url` when that is set.
pub(super) fn read(fields: Fields, cdn_base_url: Option<&Url>) -> Reading {
    let mut reader = FieldReader::new(fields);
    let id = reader.uuid("id");
    let names_external_id = reader.is_given("external_id");
    let content = Content::read(&mut reader, cdn_base_url);
    reader.ignore(&READ_ONLY);
    let (unknown, faults) = reader.finish();
    let content = content.filter(|_| faults.is_empty()).ok_or_else(|| faults.into_vec());
    Reading { id, content, names_external_id, unknown }
}

impl Content {
    /// Takes what makes a decoration out of an object's fields; `None` when a fault was noted that leaves nothing.
    pub(super) fn read(reader: &mut FieldReader, cdn_base_url: Option<&Url>) -> Option<Self> {
        let external_id = reader.text("external_id", 255, false);
        let name = reader.required_text("name", 255);
        let description = reader.text("description", 4000, true);
        let category = reader.required_text("category", 100);
        let position = reader.position();
        let radius_meters = reader.required_integer("radius_meters", 1, 10_000);
        let height_offset = reader.hundredths("height_offset", -999.99, 999.99, 0.0);
        let [low_res_url, medium_res_url, high_res_url] =
            ["low_res_url", "medium_res_url", "high_res_url"].map(|field| asset_url(reader, field, cdn_base_url));
        let scale = ["scale_x", "scale_y", "scale_z"].map(|field| reader.hundredths(field, 0.01, 999.99, 1.0));
        let rotation_deg = ["rotation_x", "rotation_y", "rotation_z"].map(|field| reader.hundredths(field, -360.0, 360.0, 0.0));
        let asset_type = reader.required_word("asset_type", AssetType::WORDS, AssetType::from_word);
        let file_size_bytes = reader.integer("file_size_bytes", 0, i64::MAX);
        let is_active = reader.boolean("is_active").unwrap_or(true);
        Some(Self {
            external_id,
            name: name?,
            description,
            category: category?,
            position: position?,
            radius_meters: i32::try_from(radius_meters?).ok()?,
            height_offset,
            low_res_url,
            medium_res_url,
            high_res_url,
            scale,
            rotation_deg,
            asset_type: asset_type?,
            file_size_bytes,
            is_active,
        })
    }
}

fn asset_url(reader: &mut FieldReader, name: &str, cdn_base_url: Option<&Url>) -> Option<String> {
    let text = reader.text(name, 500, false)?;
    if let Err((code, detail)) = check_asset_url(&text, cdn_base_url) {
        reader.faults.out_of_domain(name, code, detail);
    }
    Some(text)
}

/// Checks the text of an asset's URL: https, and below the CDN's base if there is one. The text itself is
/// looked at and not only its parsed form, because parsing hides `..` and backslashes.
fn check_asset_url(text: &str, cdn_base_url: Option<&Url>) -> Result<(), (&'static str, String)> {
    let lower = text.to_ascii_lowercase();
    if text.contains('\\') || text.contains("..") || lower.contains("%2e") || text.chars().any(char::is_whitespace) {
        return Err(("unsafe_url", "may not have '..', %2e, a backslash or blanks".to_owned()));
    }
    let url = Url::parse(text).map_err(|error| ("not_a_url", error.to_string()))?;
    let Some(rest) = lower.strip_prefix("https://").filter(|rest| !rest.starts_with('/')) else {
        return Err(("not_https", "must be an https URL, with https:// and a host".to_owned()));
    };
    if rest.split(['/', '?', '#']).next().is_some_and(|authority| authority.contains('@')) {
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
    use crate::input::Raw;
    use rstest::rstest;
    use serde_json::{Value, json};

    fn fields(mut change: Value) -> Fields {
        let mut all = json!({"name": "a", "category": "art", "lat": 1.5, "lng": -180, "radius_meters": 10, "asset_type": "image"});
        all.as_object_mut().expect("an object").append(change.as_object_mut().expect("an object"));
        let Value::Object(all) = all else { unreachable!() };
        Fields(all.into_iter().map(|(name, value)| (name, Raw::Json(value))).collect())
    }

    #[test]
    fn what_is_left_out_gets_its_default() {
        let reading = read(fields(json!({"version": 7, "colour": "red"})), None);
        assert_eq!((reading.unknown, reading.names_external_id), (vec!["colour".to_owned()], false));
        let content = reading.content.expect("reads");
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
        let faults = read(fields(change), None).content.expect_err("a fault");
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
    #[case("https:cdn.example.com/ar/a.glb", false)]
    #[case("https:////cdn.example.com/ar/a.glb", false)]
    #[case("https://@cdn.example.com/ar/a.glb", false)]
    #[case("HTTPS://cdn.example.com/ar/a.glb?by=a@b.org", true)]
    fn assets_lie_on_the_cdn(#[case] text: &str, #[case] allowed: bool) {
        let base = Url::parse("https://cdn.example.com/ar/").expect("a URL");
        assert_eq!(check_asset_url(text, Some(&base)).is_ok(), allowed, "{text}");
    }
}

//! Decorations and regions in the hands of admins.

mod at_once;
mod lists;
mod marks;
mod one_by_one;
mod regions;
mod transfer;

use serde_json::{Value, json};

/// What a decoration needs, and no more.
fn content(name: &str) -> Value {
    json!({"name": name, "category": "art", "lat": 52.5163, "lng": 13.3777, "radius_meters": 40, "asset_type": "3d_model"})
}

/// The same with some members set.
pub(crate) fn content_with(name: &str, members: Value) -> Value {
    let mut content = content(name);
    for (member, value) in members.as_object().expect("an object") {
        content[member] = value.clone();
    }
    content
}

pub(crate) fn path_of(decoration: &Value) -> String {
    format!("/api/v1/decorations/{}", decoration["id"].as_str().expect("an id"))
}

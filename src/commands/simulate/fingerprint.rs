//! Stands for what a decoration says, so that an edge need not keep all of it to tell whether it is right.

use std::fmt::Write;

use serde_json::{Map, Value};

use super::digest::first_bytes;

/// Members that belong to the delivery, or that only admins see.
const NOT_CONTENT: [&str; 4] = ["sync_version", "created_by", "external_id", "deleted_at"];

/// The fingerprint of a decoration, however it is written: order and blanks do not count, nor how a number looks.
pub(super) fn fingerprint(decoration: &Map<String, Value>) -> u64 {
    let mut text = String::new();
    members(decoration.iter().filter(|(name, _)| !NOT_CONTENT.contains(&name.as_str())), &mut text);
    first_bytes(text.as_bytes())
}

fn members<'v>(members: impl Iterator<Item = (&'v String, &'v Value)>, text: &mut String) {
    let mut members: Vec<_> = members.collect();
    members.sort_unstable_by_key(|(name, _)| *name);
    text.push('{');
    for (name, member) in members {
        write!(text, "{name:?}:").expect("a text takes all");
        value(member, text);
    }
    text.push('}');
}

fn value(of: &Value, text: &mut String) {
    match of {
        Value::Object(object) => members(object.iter(), text),
        Value::Array(items) => {
            text.push('[');
            for item in items {
                value(item, text);
            }
            text.push(']');
        }
        Value::Number(number) => write!(text, "{:?};", number.as_f64()).expect("a text takes all"),
        Value::String(string) => write!(text, "{string:?};").expect("a text takes all"),
        Value::Bool(_) | Value::Null => write!(text, "{of};").expect("a text takes all"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(value: &Value) -> u64 {
        fingerprint(value.as_object().expect("an object"))
    }

    #[test]
    fn what_is_said_counts_and_not_how() {
        let written = json!({"name": "a", "lat": 1, "h3": {"r5": "x", "r7": null}, "sync_version": 7, "created_by": "b"});
        let same: Value =
            serde_json::from_str(r#"{"h3": {"r7": null, "r5": "x"}, "lat": 1.0, "name": "a", "sync_version": 8}"#).expect("JSON");
        assert_eq!(of(&written), of(&same));
        for other in [
            json!({"name": "a", "lat": 1, "h3": {"r5": "x"}}),
            json!({"name": "a", "lat": 1.5, "h3": {"r5": "x", "r7": null}}),
            json!({"name": "a", "lat": "1", "h3": {"r5": "x", "r7": null}}),
            json!({"name": "b", "lat": 1, "h3": {"r5": "x", "r7": null}}),
        ] {
            assert_ne!(of(&written), of(&other), "{other}");
        }
    }
}

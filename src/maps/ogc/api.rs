//! This part of the interface in OpenAPI 3.0, as the standard wants it: the service's own document is 3.1, and GDAL and
//! QGIS look for paths as they stand below the landing page. Made of that document, so that the two cannot differ.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::ROOT;
use super::collections::COLLECTIONS;

/// The document, as served.
pub(super) fn document() -> &'static Bytes {
    static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| {
        let whole = serde_json::to_value(crate::http::openapi()).expect("the document can be written");
        Bytes::from(serde_json::to_vec(&made_of(&whole)).expect("JSON can be written"))
    });
    &DOCUMENT
}

fn made_of(whole: &Value) -> Value {
    let below = |path: &str| path.strip_prefix(ROOT).map(|rest| if rest.is_empty() { "/".to_owned() } else { rest.to_owned() });
    let paths = whole["paths"].as_object().into_iter().flatten();
    let paths: Map<String, Value> = paths.filter_map(|(path, item)| Some((below(path)?, item.clone()))).collect();
    let mut schemas = Map::new();
    let mut missing = references(&json!(paths));
    while let Some(name) = missing.pop_first() {
        let schema = whole["components"]["schemas"][&name].clone();
        missing.extend(references(&schema).into_iter().filter(|other| *other != name && !schemas.contains_key(other)));
        schemas.insert(name, schema);
    }
    // Where QGIS looks for the size of a page.
    let items = format!("/collections/{}/items", COLLECTIONS[0].id);
    let parameters = paths[&items]["get"]["parameters"].as_array().into_iter().flatten();
    let limit = parameters.into_iter().find(|parameter| parameter["name"] == "limit").cloned();
    let mut document = json!({
        "openapi": "3.0.3",
        "info": {
            "title": "ar-supervisor: OGC API – Features",
            "version": whole["info"]["version"],
            "description": super::page::ABOUT,
            "license": {"name": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": ROOT}],
        "tags": [{"name": "features"}],
        "paths": paths,
        "components": {"schemas": schemas, "parameters": {"limit": limit}},
    });
    to_3_0(&mut document);
    document
}

/// Names of the schemas that something refers to.
fn references(value: &Value) -> BTreeSet<String> {
    match value {
        Value::Object(members) => {
            let own = members.get("$ref").and_then(Value::as_str).and_then(|path| path.strip_prefix("#/components/schemas/"));
            own.map(str::to_owned).into_iter().chain(members.values().flat_map(references)).collect()
        }
        Value::Array(items) => items.iter().flat_map(references).collect(),
        _ => BTreeSet::new(),
    }
}

/// Says in the words of 3.0 what 3.1 has by other words: that something may be null.
fn to_3_0(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.values_mut().for_each(to_3_0);
            let is_null = |kind: &Value| kind == "null" || kind["type"] == "null";
            if let Some(Value::Array(kinds)) = members.get_mut("type") {
                kinds.retain(|kind| !is_null(kind));
                let kind = kinds.pop().unwrap_or_default();
                members.insert("type".to_owned(), kind);
                members.insert("nullable".to_owned(), json!(true));
            }
            // There a reference stands alone.
            if members.contains_key("$ref") && members.len() > 1 {
                let reference = members.remove("$ref").unwrap_or_default();
                members.insert("allOf".to_owned(), json!([{"$ref": reference}]));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(to_3_0),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_null_is_said_in_the_words_of_3_0() {
        let mut schema = json!({"properties": {
            "a": {"type": ["string", "null"], "maxLength": 5},
            "b": {"$ref": "#/components/schemas/B", "description": "b"},
            "c": {"$ref": "#/components/schemas/C"},
        }});
        to_3_0(&mut schema);
        let expected = json!({"properties": {
            "a": {"type": "string", "nullable": true, "maxLength": 5},
            "b": {"allOf": [{"$ref": "#/components/schemas/B"}], "description": "b"},
            "c": {"$ref": "#/components/schemas/C"},
        }});
        assert_eq!(schema, expected);
    }
}

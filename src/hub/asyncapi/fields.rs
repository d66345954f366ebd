//! What a schema says, as rows for a reader: every field by its path, with its type, bounds and meaning.

use serde_json::Value;

use super::page::resolve;

/// A field of a message, however deep.
pub(super) struct Field<'d> {
    /// Such as `locations[].lat`.
    pub(super) path: String,
    pub(super) kind: String,
    pub(super) bounds: String,
    pub(super) description: &'d str,
    pub(super) required: bool,
}

/// The fields of an object's schema, each followed by those inside of it.
pub(super) fn fields<'d>(document: &'d Value, schema: &'d Value) -> Vec<Field<'d>> {
    let mut fields = Vec::new();
    collect(document, schema, "", &mut fields);
    fields
}

fn collect<'d>(document: &'d Value, schema: &'d Value, above: &str, fields: &mut Vec<Field<'d>>) {
    let schema = resolve(document, schema).unwrap_or(schema);
    // What is flattened into an object comes after what is its own.
    let parts = schema["allOf"].as_array().map(Vec::as_slice).unwrap_or_default();
    for part in parts.iter().rev() {
        collect(document, part, above, fields);
    }
    let Some(properties) = schema["properties"].as_object() else { return };
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    // In the order of the code, as far as it is known.
    let optional = properties.keys().map(String::as_str).filter(|name| !required.contains(name));
    for name in required.iter().copied().chain(optional) {
        let Some(property) = properties.get(name) else { continue };
        let shape = shape(document, property);
        let path = format!("{above}{name}{}", if shape.is_list { "[]" } else { "" });
        fields.push(Field {
            path: path.clone(),
            kind: shape.kind,
            bounds: shape.bounds,
            description: description(property),
            required: required.contains(&name),
        });
        collect(document, shape.inside, &format!("{path}."), fields);
    }
}

fn description(schema: &Value) -> &str {
    let own = schema["description"].as_str();
    own.or_else(|| schema["oneOf"].as_array()?.iter().find_map(|one| one["description"].as_str())).unwrap_or_default()
}

/// What a value is.
struct Shape<'d> {
    kind: String,
    bounds: String,
    is_list: bool,
    /// The schema that has its fields, if it has any.
    inside: &'d Value,
}

fn shape<'d>(document: &'d Value, schema: &'d Value) -> Shape<'d> {
    if let Some(target) = resolve(document, schema) {
        return shape(document, target);
    }
    if let Some([only]) = schema["allOf"].as_array().map(Vec::as_slice) {
        return shape(document, only);
    }
    if let Some([one, other]) = schema["oneOf"].as_array().map(Vec::as_slice) {
        let value = if one["type"] == "null" { other } else { one };
        let shape = shape(document, value);
        return Shape { kind: format!("{} or null", shape.kind), ..shape };
    }
    if schema["type"] == "array" {
        let item = shape(document, &schema["items"]);
        return Shape { kind: format!("list of {}", item.kind), bounds: bounds(schema), is_list: true, inside: item.inside };
    }
    Shape { kind: kind(schema), bounds: bounds(schema), is_list: false, inside: schema }
}

fn kind(schema: &Value) -> String {
    let (name, nullable) = match &schema["type"] {
        Value::Array(kinds) => (kinds.iter().find(|kind| *kind != "null").and_then(Value::as_str), kinds.iter().any(|kind| kind == "null")),
        kind => (kind.as_str(), false),
    };
    let name = match (name, schema["format"].as_str()) {
        (Some("string"), Some("uuid")) => "UUID",
        (Some("string"), Some("date-time")) => "time",
        (Some(name), _) => name,
        // Objects that are put together of others.
        (None, _) => "object",
    };
    if nullable { format!("{name} or null") } else { name.to_owned() }
}

fn bounds(schema: &Value) -> String {
    if let Some(values) = schema["enum"].as_array() {
        return values.iter().filter_map(Value::as_str).map(|value| format!("`{value}`")).collect::<Vec<_>>().join(", ");
    }
    let interval = |[least, most]: [&str; 2], unit: &str| match (&schema[least], &schema[most]) {
        (Value::Null, Value::Null) => None,
        (Value::Null, most) => Some(format!("at most {most}{unit}")),
        (least, Value::Null) => Some(format!("at least {least}{unit}")),
        (least, most) if least == most => Some(format!("{least}{unit}")),
        (least, most) => Some(format!("{least} to {most}{unit}")),
    };
    let intervals = [
        interval(["minimum", "maximum"], ""),
        interval(["minLength", "maxLength"], " characters"),
        interval(["minItems", "maxItems"], " items"),
    ];
    let intervals: Vec<_> = intervals.into_iter().flatten().collect();
    intervals.join(", ").replace('-', "−")
}

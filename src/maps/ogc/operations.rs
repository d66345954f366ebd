//! How OpenAPI describes the routes of a collection: made of the collection's description, as its routes are.

use serde_json::{Map, Value, json};
use utoipa::IntoResponses;
use utoipa::openapi::path::Operation;
use utoipa::openapi::{RefOr, Schema};

use super::collection::{Collection, Column, Geometry, Kind};
use super::metadata::{GEO_JSON, HTML, JSON};
use super::query::{DEFAULT_LIMIT, MAX_LIMIT};
use crate::http::{NotFound, Problem, TooMany};

/// What every read here may fail with, for OpenAPI. The standard knows no 422.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "documents responses")]
pub(super) enum Failures {
    /// A parameter is unknown or repeated, or its value cannot be read or is outside its domain; or a bad cursor.
    #[response(status = 400, content_type = "application/problem+json")]
    BadRequest(Problem),
    /// The database cannot be reached or is too busy; `Retry-After` says when to come back.
    #[response(status = 503, content_type = "application/problem+json", headers(("Retry-After" = u64, description = "Seconds to wait.")))]
    Unavailable(Problem),
}

/// Describes a collection.
pub(super) fn about(collection: &Collection) -> Operation {
    let id = collection.id;
    operation(json!({
        "tags": [TAG],
        "summary": format!("About the collection: {}", collection.title),
        "description": collection.description,
        "operationId": format!("read_ogc_collection_{id}"),
        "security": [{}],
        "parameters": [form_parameter()],
        "responses": responses("The collection.", JSON, &reference("OgcCollection"), false),
    }))
}

/// Lists a collection's features.
pub(super) fn items(collection: &Collection) -> Operation {
    let id = collection.id;
    let time = match collection.time_column {
        Some(column) => format!("Only features whose `{column}` is of this time"),
        None => "Features here have no time, so that all of them match any".to_owned(),
    };
    let mut parameters = vec![
        json!({
            "name": "bbox", "in": "query", "required": false, "style": "form", "explode": false,
            "description": "Only features that meet this box: west, south, east, north in degrees, its edges included. West greater than east crosses the antimeridian; -180 and 180 are one meridian. With six numbers the third and the last are heights, which do not matter.",
            "schema": {"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 6},
            "example": [5.8, 47.2, 15.1, 55.1],
        }),
        json!({
            "name": "datetime", "in": "query", "required": false,
            "description": format!("{time}: a moment such as `2026-11-24T12:00:00Z`, or an interval of two, its ends included, such as `2026-11-24T12:00:00Z/2026-11-25T12:00:00Z`; `..` or nothing for an end leaves it open."),
            "schema": {"type": "string", "pattern": "^[^/]+(/[^/]*)?$|^/[^/]+$"},
            "example": "2026-01-01T00:00:00Z/..",
        }),
        json!({
            "name": "limit", "in": "query", "required": false, "x-clamped": true,
            "description": "Most features of a page; a limit that is larger than the largest counts as that.",
            "schema": {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
        }),
        json!({
            "name": "cursor", "in": "query", "required": false,
            "description": "Where a page begins, as the link `next` of the page before has it, with the same filters.",
            "schema": {"type": "string"},
        }),
        json!({
            "name": "resultType", "in": "query", "required": false,
            "description": "With `hits` the answer has no features, only in `numberMatched` how many there are.",
            "schema": {"type": "string", "enum": ["results", "hits"], "default": "results"},
        }),
        form_parameter(),
    ];
    parameters.extend(collection.filters().map(|column| {
        let description = format!("Only features with this `{}`. {}", column.name, column.description);
        json!({"name": column.name, "in": "query", "required": false, "description": description, "schema": value_schema(column)})
    }));
    operation(json!({
        "tags": [TAG],
        "summary": format!("Features: {}", collection.title),
        "description": format!("{} By feature number; the link `next` leads on.", collection.description),
        "operationId": format!("list_ogc_{id}"),
        "security": [{}],
        "parameters": parameters,
        "responses": responses("One page of features.", GEO_JSON, &reference(&page_name(collection)), false),
    }))
}

/// Reads one feature.
pub(super) fn item(collection: &Collection) -> Operation {
    let id = collection.id;
    operation(json!({
        "tags": [TAG],
        "summary": format!("One feature: {}", collection.title),
        "description": collection.description,
        "operationId": format!("read_ogc_{id}"),
        "security": [{}],
        "parameters": [
            {
                "name": "feature_id", "in": "path", "required": true,
                "description": "Number of the feature.",
                "schema": {"type": "integer", "format": "int64", "minimum": 0},
                "example": collection.example_feature,
            },
            form_parameter(),
        ],
        "responses": responses("The feature.", GEO_JSON, &reference(&feature_name(collection)), true),
    }))
}

/// Schemas of a collection's features.
pub(super) fn schemas(collection: &Collection) -> Vec<(String, RefOr<Schema>)> {
    let properties: Map<String, Value> =
        collection.columns.iter().map(|column| (column.name.to_owned(), property_schema(column))).collect();
    let names: Vec<&str> = collection.columns.iter().map(|column| column.name).collect();
    let position =
        json!({"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2, "description": "Longitude and latitude."});
    let (kind, coordinates) = match collection.geometry {
        Geometry::Points(_) => ("Point", position),
        Geometry::Areas(_) => {
            let ring = json!({"type": "array", "items": position, "minItems": 4});
            ("MultiPolygon", json!({"type": "array", "items": {"type": "array", "items": ring}}))
        }
    };
    let links = json!({"type": "array", "items": {"$ref": "#/components/schemas/OgcLink"}});
    let feature = json!({
        "type": "object", "description": collection.description, "required": ["type", "id", "geometry", "properties"],
        "properties": {
            "type": {"type": "string", "enum": ["Feature"]},
            "id": {"type": "integer", "format": "int64", "description": "Number of the feature."},
            "geometry": {
                "type": "object", "required": ["type", "coordinates"],
                "properties": {"type": {"type": "string", "enum": [kind]}, "coordinates": coordinates},
            },
            "properties": {"type": "object", "required": names, "properties": properties},
            "links": links,
        },
    });
    let page = json!({
        "type": "object", "description": format!("A page of features: {}", collection.description),
        "required": ["type", "links", "timeStamp", "numberReturned", "features"],
        "properties": {
            "type": {"type": "string", "enum": ["FeatureCollection"]},
            "links": links,
            "timeStamp": {"type": "string", "format": "date-time", "description": "When it was answered."},
            "numberMatched": {"type": "integer", "minimum": 0, "description": "Features that match: where this page has all of them, and with `resultType=hits`."},
            "numberReturned": {"type": "integer", "minimum": 0, "description": "Features of this page."},
            "features": {"type": "array", "items": reference(&feature_name(collection))},
        },
    });
    vec![(feature_name(collection), schema(feature)), (page_name(collection), schema(page))]
}

const TAG: &str = "features";

fn feature_name(collection: &Collection) -> String {
    format!("OgcFeature_{}", collection.id)
}

fn page_name(collection: &Collection) -> String {
    format!("OgcFeatures_{}", collection.id)
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

fn operation(value: Value) -> Operation {
    serde_json::from_value(value).expect("an operation in the words of OpenAPI")
}

fn schema(value: Value) -> RefOr<Schema> {
    serde_json::from_value(value).expect("a schema in the words of OpenAPI")
}

/// What the parameter `f` takes.
pub(super) fn form_schema() -> Schema {
    serde_json::from_value(json!({"type": "string", "enum": ["json", "html"]})).expect("a schema in the words of OpenAPI")
}

fn form_parameter() -> Value {
    json!({
        "name": "f", "in": "query", "required": false,
        "description": "JSON, or a page for people; without it, what `Accept` likes better. With `html`, a parameter without a value counts as not given.",
        "schema": form_schema(),
    })
}

/// Answers of a route, with its page for people.
fn responses(description: &str, media_type: &str, schema: &Value, may_be_missing: bool) -> Value {
    let mut responses = Map::new();
    responses.insert(
        "200".to_owned(),
        json!({
            "description": description,
            "headers": {"Link": {"description": "The links of the body.", "schema": {"type": "string"}}},
            "content": {media_type: {"schema": schema}, HTML: {"schema": {"type": "string"}}},
        }),
    );
    let missing = may_be_missing.then(NotFound::responses);
    for (status, response) in Failures::responses().into_iter().chain(TooMany::responses()).chain(missing.into_iter().flatten()) {
        responses.insert(status, serde_json::to_value(response).expect("a response can be written"));
    }
    Value::Object(responses)
}

/// What a property of a feature is.
fn property_schema(column: &Column) -> Value {
    let mut schema = value_schema(column);
    schema["description"] = json!(column.description);
    if column.nullable {
        schema["type"] = json!([schema["type"], "null"]);
    }
    schema
}

/// What a value of a column is.
fn value_schema(column: &Column) -> Value {
    match column.kind {
        Kind::Id => json!({"type": "string", "format": "uuid", "example": "01890000-0000-7000-8000-000000000000"}),
        Kind::Text(max_chars) => json!({"type": "string", "minLength": 1, "maxLength": max_chars}),
        Kind::Word(words) => json!({"type": "string", "enum": words}),
        Kind::Integer(least, i64::MAX) => json!({"type": "integer", "format": "int64", "minimum": least}),
        Kind::Integer(least, most) => json!({"type": "integer", "minimum": least, "maximum": most, "example": least}),
        Kind::Decimal => json!({"type": "number"}),
        Kind::Boolean => json!({"type": "boolean"}),
        Kind::Time => json!({"type": "string", "format": "date-time"}),
        Kind::Cell => json!({"type": "string", "example": "801ffffffffffff"}),
    }
}

#[cfg(test)]
mod tests {
    use super::super::collections::COLLECTIONS;
    use super::*;

    /// utoipa's types keep what they know and drop the rest: nothing of what is written here is dropped.
    #[test]
    fn descriptions_come_out_as_they_were_written() {
        for collection in &COLLECTIONS {
            let written = serde_json::to_value(items(collection)).expect("writes");
            let bbox = &written["parameters"][0];
            assert_eq!(bbox["schema"], json!({"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 6}));
            assert_eq!((&bbox["style"], &bbox["explode"]), (&json!("form"), &json!(false)));
            assert_eq!(written["parameters"][2]["schema"], json!({"type": "integer", "minimum": 1, "maximum": 10_000, "default": 100}));
            assert_eq!(written["parameters"][2]["x-clamped"], true);
            assert_eq!(written["security"], json!([{}]));
            let [(_, feature), (_, page)] = schemas(collection).try_into().unwrap_or_else(|_| panic!("two schemas"));
            let (feature, page) = (serde_json::to_value(feature).expect("writes"), serde_json::to_value(page).expect("writes"));
            for column in collection.columns {
                assert_eq!(feature["properties"]["properties"]["properties"][column.name], property_schema(column), "{}", column.name);
            }
            assert_eq!(page["properties"]["features"], json!({"type": "array", "items": reference(&feature_name(collection))}));
        }
    }
}

//! The sockets described: AsyncAPI 3.0, made from the types of `protocol` and `feed` and from the limits that are in
//! force, so that what is published is what is spoken; and a page to read it.
//!
//! Here the document is put together; its words are in `guide` and `content`, its examples in `examples`. The page is made of it in
//! `page`, whose parts are `fields` and `markdown`.

mod content;
mod examples;
mod fields;
mod guide;
mod markdown;
mod page;
#[cfg(test)]
mod tests;

use axum::http::header;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::admin_socket;
use super::feed::{Change, Snapshot};
use super::protocol::{FromEdge, ToEdge};

/// Where the document is served.
const DOCUMENT_PATH: &str = "/asyncapi.json";
/// Where it is shown.
const PAGE_PATH: &str = "/docs/sockets";
/// An edge server's socket.
const EDGE_ADDRESS: &str = "/ws/edge/{edge_id}";

/// `/asyncapi.json` and `/docs/sockets`.
pub(super) fn pages() -> Router {
    let document = document();
    let page = page::page(&document);
    let html = [(header::CONTENT_TYPE, "text/html; charset=utf-8")];
    Router::new().route(DOCUMENT_PATH, get(async move || Json(document))).route(PAGE_PATH, get(async move || (html, page)))
}

/// The whole document, as served and as `ar-supervisor asyncapi` prints it.
pub(super) fn document() -> Value {
    let snapshot = Kind { name: "snapshot".to_owned(), summary: guide::SNAPSHOT.to_owned(), data: schema_ref(&Snapshot::name()) };
    let from_edge = messages(kinds_of::<FromEdge>(), &examples_of(examples::from_edge()), false);
    let to_edge = messages(kinds_of::<ToEdge>(), &examples_of(examples::to_edge()), false);
    let to_admin = messages(std::iter::once(snapshot).chain(kinds_of::<Change>()), &examples::to_admin(), true);
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "ar-supervisor: sockets",
            "version": env!("CARGO_PKG_VERSION"),
            "description": guide::about(),
            "license": {"name": "MIT OR Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "encrypted": server("wss", "ar.example.com", "Behind TLS, as in production: `TLS_CERT_FILE`, or a proxy in front."),
            "plain": server("ws", "127.0.0.1:8080", "Without TLS, as `ar-supervisor dev` serves it; refused where `REQUIRE_HTTPS` is set."),
        },
        "channels": {
            "edge": channel(EDGE_ADDRESS, "An edge server's socket", &guide::edge(), from_edge.iter().chain(&to_edge), &json!({
                "edge_id": {"description": "Id of the edge server whose key opens the socket.", "examples": [examples::EDGE]},
            })),
            "admin": channel(admin_socket::PATH, "The feed of what happens, for admins", &guide::admin(), &to_admin, &json!({})),
        },
        "operations": {
            "receive_from_edge": operation("receive", "edge", ["Edge server → supervisor", guide::FROM_EDGE], &from_edge, &["edge_key"]),
            "send_to_edge": operation("send", "edge", ["Supervisor → edge server", guide::TO_EDGE], &to_edge, &["edge_key"]),
            "send_to_admin": operation("send", "admin", ["Supervisor → admin", guide::TO_ADMIN], &to_admin, &["admin_token", "admin_ticket"]),
        },
        "components": {
            "schemas": schemas(),
            "securitySchemes": {
                "edge_key": {"type": "http", "scheme": "bearer", "bearerFormat": "ek_<id>_<secret>", "description": guide::EDGE_KEY},
                "admin_token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": guide::ADMIN_TOKEN},
                "admin_ticket": {"type": "httpApiKey", "in": "header", "name": "Sec-WebSocket-Protocol", "description": guide::admin_ticket()},
            },
        },
    })
}

/// A type of message.
struct Kind {
    name: String,
    summary: String,
    /// What `data` is.
    data: Value,
}

/// The types of an enum's messages, read off its schema: one of objects, each with a `type` of its own.
fn kinds_of<M: PartialSchema>() -> Vec<Kind> {
    let schema = serde_json::to_value(M::schema()).expect("schemas can be written");
    let variants = schema["oneOf"].as_array().map(Vec::as_slice).unwrap_or_default();
    let kind = |variant: &Value| {
        let properties = &variant["properties"];
        let name = properties["type"]["enum"][0].as_str().unwrap_or_default().to_owned();
        let summary = variant["description"].as_str().unwrap_or_default().to_owned();
        // The summary stands beside the reference too, where it would be read twice.
        let data = properties["data"].get("$ref").map_or_else(|| normal(properties["data"].clone()), |path| json!({"$ref": path}));
        Kind { name, summary, data }
    };
    variants.iter().map(kind).collect()
}

fn examples_of(messages: Vec<impl Serialize>) -> Vec<Value> {
    messages.into_iter().map(|message| serde_json::to_value(message).expect("messages can be written")).collect()
}

/// The messages of one direction, in their order.
fn messages(kinds: impl IntoIterator<Item = Kind>, examples: &[Value], numbered: bool) -> Vec<(String, Value)> {
    let message = |Kind { name, summary, data }: Kind| {
        let mut required = vec!["type", "data"];
        let mut properties = json!({"type": {"const": name}, "data": data});
        if numbered {
            required.push("seq");
            properties["seq"] = json!({"type": "integer", "minimum": 0, "description": guide::SEQ});
        }
        let payload = json!({"type": "object", "required": required, "properties": properties});
        let examples: Vec<_> =
            examples.iter().filter(|example| example["type"] == *name).map(|payload| json!({"payload": payload})).collect();
        let message = json!({"name": name, "title": name, "summary": summary, "payload": payload, "examples": examples});
        (name, message)
    };
    kinds.into_iter().map(message).collect()
}

fn server(protocol: &str, host: &str, description: &str) -> Value {
    json!({
        "host": "{host}",
        "protocol": protocol,
        "description": description,
        "variables": {"host": {"description": "Name of the supervisor's host, and its port when that is not the usual one.", "default": host}},
    })
}

fn channel<'m>(
    address: &str,
    title: &str,
    description: &str,
    messages: impl IntoIterator<Item = &'m (String, Value)>,
    parameters: &Value,
) -> Value {
    let messages: Map<String, Value> = messages.into_iter().cloned().collect();
    let bindings = json!({"ws": {"method": "GET", "bindingVersion": "0.1.0"}});
    json!({"address": address, "title": title, "description": description, "messages": messages, "parameters": parameters, "bindings": bindings})
}

/// What goes one way over a channel. Actions are the supervisor's: it receives, or sends.
fn operation(action: &str, channel: &str, [title, summary]: [&str; 2], messages: &[(String, Value)], security: &[&str]) -> Value {
    let reference = |path: String| json!({"$ref": path});
    let messages: Vec<_> = messages.iter().map(|(name, _)| reference(format!("#/channels/{channel}/messages/{name}"))).collect();
    let security: Vec<_> = security.iter().map(|name| reference(format!("#/components/securitySchemes/{name}"))).collect();
    let channel = reference(format!("#/channels/{channel}"));
    json!({"action": action, "channel": channel, "title": title, "summary": summary, "messages": messages, "security": security})
}

/// All named schemas that messages refer to.
fn schemas() -> Map<String, Value> {
    let mut named: Vec<(String, RefOr<Schema>)> = vec![(Snapshot::name().into_owned(), Snapshot::schema())];
    for collect in [FromEdge::schemas, ToEdge::schemas, Change::schemas, Snapshot::schemas] {
        collect(&mut named);
    }
    let written = |schema| normal(serde_json::to_value(schema).expect("schemas can be written"));
    named.into_iter().map(|(name, schema)| (name, written(schema))).collect()
}

fn schema_ref(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// A schema of OpenAPI 3.1 as one that older JSON Schema, which tools for AsyncAPI know, reads the same way: `examples`
/// and not `example`, and nothing beside a `$ref`.
fn normal(schema: Value) -> Value {
    let Value::Object(members) = schema else { return schema };
    let is_qualified = members.len() > 1;
    let mut normalised = Map::new();
    for (name, value) in members {
        match (name.as_str(), value) {
            ("example", value) => {
                normalised.insert("examples".to_owned(), json!([value]));
            }
            ("$ref", value) if is_qualified => {
                normalised.insert("allOf".to_owned(), json!([{"$ref": value}]));
            }
            ("properties", Value::Object(properties)) => {
                let properties: Map<_, _> = properties.into_iter().map(|(name, schema)| (name, normal(schema))).collect();
                normalised.insert(name, properties.into());
            }
            ("items" | "additionalProperties", value) => {
                normalised.insert(name, normal(value));
            }
            ("oneOf" | "anyOf" | "allOf", Value::Array(schemas)) => {
                normalised.insert(name, schemas.into_iter().map(normal).collect());
            }
            (_, value) => {
                normalised.insert(name, value);
            }
        }
    }
    Value::Object(normalised)
}

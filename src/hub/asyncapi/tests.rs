//! The document against the code: what is sent and read, closed with and limited to is what it says.

use std::collections::BTreeSet;

use rstest::rstest;
use serde_json::{Value, json};

use super::page::{page, resolve};
use super::{document, examples, guide};
use crate::hub::feed::Change;
use crate::hub::protocol::{FromEdge, ToEdge};

/// A new message does not build here before it has a name, and does not pass before it has an example.
fn from_edge_name(message: &FromEdge) -> &'static str {
    match message {
        FromEdge::Hello(_) => "hello",
        FromEdge::HealthUpdate(_) => "health_update",
        FromEdge::DeviceConnected(_) => "device_connected",
        FromEdge::DeviceDisconnected(_) => "device_disconnected",
        FromEdge::DeviceLocations(_) => "device_locations",
        FromEdge::SyncAck(_) => "sync_ack",
        FromEdge::SyncRequest(_) => "sync_request",
        FromEdge::Digests(_) => "digests",
        FromEdge::Inventory(_) => "inventory",
    }
}

fn to_edge_name(message: &ToEdge) -> &'static str {
    match message {
        ToEdge::Welcome(_) => "welcome",
        ToEdge::DeviceAssigned(_) => "device_assigned",
        ToEdge::DeviceReleased(_) => "device_released",
        ToEdge::SyncDecorations(_) => "sync_decorations",
        ToEdge::Checkpoint(_) => "checkpoint",
        ToEdge::DigestRequest(_) => "digest_request",
        ToEdge::InventoryRequest(_) => "inventory_request",
        ToEdge::Drain(_) => "drain",
        ToEdge::Error(_) => "error",
    }
}

fn change_name(change: &Change) -> &'static str {
    match change {
        Change::EdgeHealth(_) => "edge_health",
        Change::EdgeConnected(_) => "edge_connected",
        Change::EdgeDisconnected(_) => "edge_disconnected",
        Change::EdgeChanged(_) => "edge_changed",
        Change::Devices(_) => "devices",
        Change::SyncProgress(_) => "sync_progress",
        Change::DecorationChanged(_) => "decoration_changed",
        Change::Alert(_) => "alert",
    }
}

/// The messages of an operation, by name.
fn messages<'d>(document: &'d Value, operation: &str) -> Vec<(&'d str, &'d Value)> {
    let references = document["operations"][operation]["messages"].as_array().expect("messages");
    let messages = references.iter().map(|reference| resolve(document, reference).expect("a message"));
    messages.map(|message| (message["name"].as_str().expect("a name"), message)).collect()
}

#[rstest]
#[case("receive_from_edge", examples::from_edge().iter().map(from_edge_name).collect())]
#[case("send_to_edge", examples::to_edge().iter().map(to_edge_name).collect())]
#[case("send_to_admin", std::iter::once("snapshot").chain(examples::changes().iter().map(change_name)).collect())]
fn every_message_is_in_the_document_with_an_example(#[case] operation: &str, #[case] expected: Vec<&str>) {
    let document = document();
    let messages = messages(&document, operation);
    assert_eq!(messages.iter().map(|(name, _)| *name).collect::<Vec<_>>(), expected);
    for (name, message) in messages {
        let [example] = message["examples"].as_array().expect("examples").as_slice() else { panic!("{name} has one example") };
        assert_eq!(example["payload"]["type"], name);
        check(&document, &message["payload"], &example["payload"], name);
        assert!(!message["summary"].as_str().expect("a summary").is_empty(), "{name}");
    }
}

#[test]
fn examples_are_read_back_as_what_they_were() {
    let read: Vec<_> = examples::from_edge().iter().map(|message| FromEdge::read(&serde_json::to_string(message).expect("JSON"))).collect();
    assert_eq!(read, examples::from_edge().into_iter().map(Ok).collect::<Vec<_>>());
    let seqs: Vec<_> = examples::to_admin().iter().map(|message| message["seq"].as_u64()).collect();
    assert_eq!(seqs, (0..9).map(Some).collect::<Vec<_>>(), "a snapshot, and every change with the next number");
}

/// Every type goes one way over a channel, so that it can stand there under its name.
#[test]
fn no_two_messages_of_a_channel_have_one_name() {
    let document = document();
    let both = ["receive_from_edge", "send_to_edge"].map(|operation| messages(&document, operation).len());
    assert_eq!(document["channels"]["edge"]["messages"].as_object().map(serde_json::Map::len), Some(both[0] + both[1]));
}

#[test]
fn every_reference_leads_somewhere_and_no_schema_is_left_over() {
    let document = document();
    let (mut references, mut waiting) = (BTreeSet::new(), vec![&document]);
    while let Some(value) = waiting.pop() {
        if value.get("$ref").is_some() {
            assert!(resolve(&document, value).is_some(), "{value}");
            assert_eq!(value.as_object().map(serde_json::Map::len), Some(1), "nothing beside a reference: {value}");
            references.insert(value["$ref"].as_str().expect("a text"));
        }
        waiting.extend(value.as_object().into_iter().flat_map(|members| members.values()));
        waiting.extend(value.as_array().into_iter().flatten());
    }
    for name in document["components"]["schemas"].as_object().expect("schemas").keys() {
        assert!(references.contains(&*format!("#/components/schemas/{name}")), "{name}");
    }
}

/// What is outside the published bounds is refused, and what is on them is taken.
#[test]
fn the_published_bounds_are_those_of_the_edge_protocol() {
    let document = document();
    let mut tried = 0;
    for (name, message) in messages(&document, "receive_from_edge") {
        let example = &message["examples"][0]["payload"];
        for (pointer, schema) in leaves(&document, &message["payload"]["properties"]["data"], "/data") {
            if example.pointer(&pointer).is_none() {
                continue;
            }
            for (value, is_good) in at_bounds(schema) {
                let mut changed = example.clone();
                *changed.pointer_mut(&pointer).expect("is there") = value;
                let read = FromEdge::read(&changed.to_string());
                assert_eq!(read.is_ok(), is_good, "{name}{pointer}: {changed}: {read:?}");
                tried += 1;
            }
        }
    }
    assert!(tried > 40, "{tried}");
}

/// The values on and just outside the bounds of a schema, and whether they are to be taken.
fn at_bounds(schema: &Value) -> Vec<(Value, bool)> {
    let mut values = Vec::new();
    for (bound, step) in [("minimum", -1), ("maximum", 1)] {
        let outside = |bound: &Value| bound.as_i64().map(|bound| json!(bound + step));
        values.extend(outside(&schema[bound]).into_iter().flat_map(|outside| [(schema[bound].clone(), true), (outside, false)]));
    }
    let text = |length: u64| json!("0".repeat(usize::try_from(length).expect("short")));
    if let Some(least) = schema["minLength"].as_u64() {
        values.extend([(text(least), true), (text(least - 1), false)]);
    }
    if let Some(most) = schema["maxLength"].as_u64() {
        values.extend([(text(most), true), (text(most + 1), false)]);
    }
    values
}

/// The values inside a schema that are no objects, with their schemas, by their place in a message; of lists the first.
fn leaves<'d>(document: &'d Value, schema: &'d Value, place: &str) -> Vec<(String, &'d Value)> {
    let schema = resolve(document, schema).unwrap_or(schema);
    if let Some([only]) = schema["allOf"].as_array().map(Vec::as_slice) {
        return leaves(document, only, place);
    }
    if schema["type"] == "array" {
        return leaves(document, &schema["items"], &format!("{place}/0"));
    }
    match schema["properties"].as_object() {
        Some(properties) => properties.iter().flat_map(|(name, schema)| leaves(document, schema, &format!("{place}/{name}"))).collect(),
        None => vec![(place.to_owned(), schema)],
    }
}

#[test]
fn as_many_positions_as_published_are_taken_and_no_more() {
    let document = document();
    let published = &document["components"]["schemas"]["DeviceLocations"]["properties"]["locations"];
    let sent = |count: u64| {
        let message = examples::from_edge().into_iter().find_map(|message| match message {
            FromEdge::DeviceLocations(mut locations) => {
                locations.locations = locations.locations.into_iter().cycle().take(usize::try_from(count).expect("few")).collect();
                Some(FromEdge::DeviceLocations(locations))
            }
            _ => None,
        });
        FromEdge::read(&json!(message).to_string()).is_ok()
    };
    let most = published["maxItems"].as_u64().expect("a bound");
    let least = published["minItems"].as_u64().unwrap_or(0);
    assert_eq!((sent(least), sent(most), sent(most + 1), least > 0 && sent(least - 1)), (true, true, false, false));
}

/// Sources of the hub that close sockets or answer with errors.
const SOURCES: [&str; 7] = [
    include_str!("../admin_socket.rs"),
    include_str!("../edge_socket.rs"),
    include_str!("../keeping.rs"),
    include_str!("../outbox.rs"),
    include_str!("../protocol.rs"),
    include_str!("../registry.rs"),
    include_str!("../socket.rs"),
];

/// The texts that follow a beginning, up to the next quotation mark, in what is no test.
fn texts_after(beginning: &str) -> BTreeSet<&'static str> {
    let sources = SOURCES.iter().filter_map(|source| source.split("#[cfg(test)]").next());
    sources.flat_map(|source| source.split(beginning).skip(1)).filter_map(|rest| rest.split('"').next()).collect()
}

#[test]
fn every_reason_to_close_is_published() {
    let published = |code: u16| guide::CLOSES.iter().filter(move |close| close.0 == code).map(|close| close.1).collect::<BTreeSet<_>>();
    assert_eq!(published(1008), texts_after("Closing::policy(\""));
    for code in [1002, 1003, 1007, 1009, 1013] {
        let found: BTreeSet<_> =
            [format!("code: {code}, reason: \""), format!("({code}, \"")].iter().flat_map(|form| texts_after(form)).collect();
        assert_eq!(published(code), found, "{code}");
    }
    let stopping = crate::hub::outbox::Closing::stopping(7);
    assert_eq!(published(stopping.code), BTreeSet::from([&*stopping.reason.replace('7', "n")]));
    // No other code is in the sources.
    let codes: BTreeSet<_> = guide::CLOSES.iter().map(|close| close.0.to_string()).collect();
    for form in ["code: 1", "(1"] {
        let digits = |rest: &str| rest.chars().take_while(char::is_ascii_digit).collect::<String>();
        let found = SOURCES.iter().flat_map(|source| source.split(form).skip(1)).map(|rest| format!("1{}", digits(rest)));
        assert_eq!(found.filter(|code| code.len() == 4 && !codes.contains(code)).collect::<Vec<_>>(), Vec::<String>::new());
    }
}

#[test]
fn every_code_of_an_error_is_published() {
    assert_eq!(guide::ERRORS.iter().map(|error| error.0).collect::<BTreeSet<_>>(), texts_after("SocketError::new(\""));
}

#[test]
fn limits_are_named_as_they_are() {
    let document = document();
    let about = document["info"]["description"].as_str().expect("a text");
    for limit in ["64 KiB", "`hello` | 10 s", "every 20 s", "60 s, then", "256 messages or 1 MiB", "500", "10: the last"] {
        assert!(about.contains(limit), "{limit}: {about}");
    }
}

/// Whatever stands in the document is text on the page.
#[test]
fn the_page_escapes_what_it_shows() {
    let mut document = document();
    deface(&mut document);
    let page = page(&document);
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    assert!(!page.contains("<script"), "{page}");
}

/// Puts a script behind every text, but those that lead elsewhere.
fn deface(value: &mut Value) {
    match value {
        Value::String(text) if !text.starts_with("#/") => text.push_str("<script>alert(1)</script>"),
        Value::Array(values) => values.iter_mut().for_each(deface),
        Value::Object(members) => members.values_mut().for_each(deface),
        _ => {}
    }
}

#[test]
fn the_page_shows_every_message_and_field_and_loads_nothing() {
    let document = document();
    let page = page(&document);
    for operation in ["receive_from_edge", "send_to_edge", "send_to_admin"] {
        for (name, _) in messages(&document, operation) {
            assert!(page.contains(&format!("<h4><code>{name}</code></h4>")), "{name}");
        }
    }
    for field in ["held.digest", "locations[].lat", "edge_servers[].health_status", "devices.by_cell[].cell", "edge_server.name"] {
        assert!(page.contains(&format!("<code>{field}</code>")), "{field}: {page}");
    }
    assert!(page.contains("<td>−180 to 180</td>") && page.contains("<code>healthy</code>, <code>degraded</code>"), "{page}");
    let linked: Vec<_> = page.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(linked.iter().all(|target| target.starts_with('/') || target.starts_with('#')), "{linked:?}");
    for target in linked.iter().filter_map(|target| target.strip_prefix('#')) {
        assert!(page.contains(&format!("id=\"{target}\"")), "{target}");
    }
    assert!(!page.contains("src=") && !page.contains("url("));
}

/// Whether a value is as a schema says, as far as our schemas go; a schema that says more is not understood.
fn check(document: &Value, schema: &Value, value: &Value, place: &str) {
    if let Some(target) = resolve(document, schema) {
        return check(document, target, value, place);
    }
    let mut known = BTreeSet::new();
    check_part(document, schema, value, place, &mut known);
    if let Some(members) = value.as_object() {
        let unknown: Vec<_> = members.keys().filter(|name| !known.contains(name.as_str())).collect();
        assert!(unknown.is_empty(), "{place} has {unknown:?}, which the schema does not know");
    }
}

/// The same, where a value may have members that another part of its schema describes.
fn check_part<'d>(document: &'d Value, schema: &'d Value, value: &Value, place: &str, known: &mut BTreeSet<&'d str>) {
    let schema = resolve(document, schema).unwrap_or(schema);
    for (keyword, said) in schema.as_object().expect("a schema") {
        match keyword.as_str() {
            "description" | "examples" => {}
            "type" => assert!(is_of(said, value), "{place} is no {said}: {value}"),
            "const" => assert_eq!(said, value, "{place}"),
            "enum" => assert!(said.as_array().expect("values").contains(value), "{place}: {value}"),
            "format" => assert!(value.is_null() || is_in_format(said, value), "{place}: {value} is no {said}"),
            "minimum" => assert!(value.as_f64().is_none_or(|value| value >= said.as_f64().expect("a number")), "{place}: {value}"),
            "maximum" => assert!(value.as_f64().is_none_or(|value| value <= said.as_f64().expect("a number")), "{place}: {value}"),
            "minLength" => assert!(value.as_str().is_none_or(|value| json!(value.len()).as_u64() >= said.as_u64()), "{place}: {value}"),
            "maxLength" => assert!(value.as_str().is_none_or(|value| json!(value.len()).as_u64() <= said.as_u64()), "{place}: {value}"),
            "minItems" => assert!(json!(value.as_array().map_or(0, Vec::len)).as_u64() >= said.as_u64(), "{place}: {value}"),
            "maxItems" => assert!(json!(value.as_array().map_or(0, Vec::len)).as_u64() <= said.as_u64(), "{place}: {value}"),
            "items" => value.as_array().into_iter().flatten().for_each(|item| check(document, said, item, &format!("{place}[]"))),
            "allOf" => said.as_array().into_iter().flatten().for_each(|part| check_part(document, part, value, place, known)),
            "oneOf" => {
                let null = |schema: &&Value| (schema["type"] == "null") == value.is_null();
                check_part(document, said.as_array().into_iter().flatten().find(null).expect("one that fits"), value, place, known);
            }
            "required" => {
                for name in said.as_array().into_iter().flatten().filter_map(Value::as_str) {
                    assert!(value.get(name).is_some(), "{place} has no {name}: {value}");
                }
            }
            "properties" => {
                for (name, schema) in said.as_object().expect("schemas") {
                    known.insert(name);
                    if let Some(member) = value.get(name) {
                        check(document, schema, member, &format!("{place}.{name}"));
                    }
                }
            }
            unknown => panic!("{place}: {unknown} is not understood"),
        }
    }
}

fn is_of(said: &Value, value: &Value) -> bool {
    match said.as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("null") => value.is_null(),
        _ => said.as_array().is_some_and(|kinds| kinds.iter().any(|kind| is_of(kind, value))),
    }
}

fn is_in_format(said: &Value, value: &Value) -> bool {
    match said.as_str() {
        Some("uuid") => value.as_str().is_some_and(|text| uuid::Uuid::try_parse(text).is_ok()),
        Some("date-time") => value.as_str().is_some_and(|text| crate::input::read_time(text).is_ok()),
        Some("int32" | "int64" | "double") => value.is_number(),
        _ => false,
    }
}

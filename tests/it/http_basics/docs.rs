//! The page to browse the API: it needs no network.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::TestServer;

#[tokio::test]
async fn the_root_leads_to_the_docs() {
    let t = TestServer::start().await;
    let answer = t.get("/").await;
    assert_eq!((answer.status, answer.header("location")), (307, Some("/docs/")));
}

#[tokio::test]
async fn the_docs_load_from_here_alone() {
    let t = TestServer::start().await;
    let page = t.get("/docs/").await.ok();
    assert!(page.header("content-type").is_some_and(|kind| kind.starts_with("text/html")));
    let html = page.text();
    let mut loaded = 0;
    for attribute in ["src=\"", "href=\""] {
        for reference in html.split(attribute).skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(!reference.contains("//"), "{reference}");
            let asset = t.get(&format!("/docs/{}", reference.trim_start_matches("./"))).await.ok();
            assert!(!asset.body.is_empty(), "{reference}");
            // What is ours to configure; the library's own text has addresses in its comments.
            if asset.body.len() < 10_000 && !asset.header("content-type").is_some_and(|kind| kind.starts_with("image/")) {
                let text = asset.text();
                assert!(!text.contains("http://") && !text.contains("https://"), "{reference}: {text}");
            }
            loaded += 1;
        }
    }
    assert!(loaded >= 3, "{html}");
    let starter = t.get("/docs/swagger-initializer.js").await.ok().text();
    assert!(starter.contains("/openapi.json"), "{starter}");
    assert!(starter.contains("none"), "the validator of swagger.io is off: {starter}");
}

/// Plain HTML, which needs no more than its own styles.
#[tokio::test]
async fn the_sockets_are_described_beside_the_rest() {
    let t = TestServer::start().await;
    let document = t.get("/asyncapi.json").await.ok();
    assert_eq!(document.header("content-type"), Some("application/json"));
    assert!(document.header("content-security-policy").is_some_and(|policy| policy.starts_with("default-src 'none'")));
    let page = t.get("/docs/sockets").await.ok();
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(policy.contains("default-src 'self'") && !policy.contains("script-src"), "{policy}");
    let html = page.text();
    assert!(!html.contains("<script") && !html.contains("src="), "{html}");
    for (_, channel) in document.json()["channels"].as_object().expect("channels") {
        let address = channel["address"].as_str().expect("an address");
        assert!(html.contains(&format!("<code>{address}</code>")), "{address}");
        for name in channel["messages"].as_object().expect("messages").keys() {
            assert!(html.contains(&format!("<code>{name}</code>")), "{name}");
        }
    }
    for target in html.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()).filter(|target| target.starts_with('/')) {
        t.get(target).await.ok();
    }
    assert!(html.contains("href=\"/docs/\""), "{html}");
    let openapi = t.get("/openapi.json").await.ok().json();
    assert!(openapi["info"]["description"].as_str().is_some_and(|text| text.contains("(/docs/sockets)")));
}

/// Client generators name their functions by them.
#[tokio::test]
async fn every_operation_has_a_name_of_its_own() {
    let t = TestServer::start().await;
    let document = t.get("/openapi.json").await.ok().json();
    let operations = document["paths"].as_object().expect("paths").values().flat_map(|item| item.as_object().expect("operations").values());
    let mut names: Vec<String> = operations.map(|operation| operation["operationId"].as_str().expect("a name").to_owned()).collect();
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), count, "{names:?}");
}

/// The types that a schema allows, by its parts; all of them where it names none.
fn types(document: &Value, schema: &Value) -> BTreeSet<String> {
    const ALL: [&str; 7] = ["array", "boolean", "integer", "null", "number", "object", "string"];
    let of = |parts: &Value| parts.as_array().into_iter().flatten().map(|part| types(document, part)).collect::<Vec<_>>();
    if let Some(reference) = schema["$ref"].as_str() {
        let pointed = document.pointer(reference.trim_start_matches('#')).unwrap_or_else(|| panic!("{reference} is there"));
        return types(document, pointed);
    }
    if schema["oneOf"].is_array() {
        return of(&schema["oneOf"]).into_iter().flatten().collect();
    }
    if schema["allOf"].is_array() {
        let parts = of(&schema["allOf"]);
        return ALL.iter().map(ToString::to_string).filter(|kind| parts.iter().all(|part| part.contains(kind))).collect();
    }
    match &schema["type"] {
        Value::String(kind) => BTreeSet::from([kind.clone()]),
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => ALL.iter().map(ToString::to_string).collect(),
    }
}

/// A description beside an enum that is written out made it an enum and an object at once.
#[tokio::test]
async fn no_schema_asks_for_two_types_at_once() {
    let t = TestServer::start().await;
    let document: Value = t.get("/openapi.json").await.ok().json();
    let (mut waiting, mut looked_at) = (vec![&document], 0);
    while let Some(value) = waiting.pop() {
        if value["allOf"].is_array() {
            looked_at += 1;
            assert!(!types(&document, value).is_empty(), "{value}");
        }
        match value {
            Value::Object(members) => waiting.extend(members.values()),
            Value::Array(items) => waiting.extend(items),
            _ => {}
        }
    }
    assert!(looked_at > 5, "{looked_at}");
    let impossible = serde_json::json!({"allOf": [{"type": "string", "enum": ["a"]}, {"type": "object"}]});
    assert!(types(&document, &impossible).is_empty());
}

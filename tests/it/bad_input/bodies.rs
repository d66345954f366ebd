//! Every field of every JSON body, one value at a time; and bodies that are none.

use reqwest::Method;
use serde_json::{Map, Value, json};

use super::api::{example_edge_key, filled_in, served};
use crate::support::{Answer, Proof, RawConnection, TestServer};

/// A route that takes a JSON body.
struct BodyRoute {
    method: Method,
    path: String,
    content_type: String,
    /// Who may send it, when that is not an admin.
    bearer: Option<String>,
    fields: Vec<Field>,
}

/// A field of a body, by its way from the root.
#[derive(Clone)]
struct Field {
    way: Vec<String>,
    required: bool,
    schema: Value,
}

impl Field {
    fn name(&self) -> String {
        self.way.join(".")
    }

    fn kind(&self) -> &str {
        match &self.schema["type"] {
            Value::String(kind) => kind,
            // One that may be null as well.
            Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null").expect("a type"),
            other => panic!("{} has no type: {other}", self.name()),
        }
    }

    fn limit(&self, which: &str) -> Option<f64> {
        self.schema[which].as_f64()
    }
}

fn resolve<'d>(document: &'d Value, schema: &'d Value) -> &'d Value {
    match schema["$ref"].as_str() {
        Some(reference) => document.pointer(reference.trim_start_matches('#')).expect("a schema"),
        // An optional enum or body stands in a `oneOf` with null.
        None => match schema["oneOf"].as_array().and_then(|kinds| kinds.iter().find(|kind| kind["type"] != "null")) {
            Some(kind) => resolve(document, kind),
            None => schema,
        },
    }
}

fn fields_of(document: &Value, schema: &Value, way: &[String]) -> Vec<Field> {
    let schema = resolve(document, schema);
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    let mut fields = Vec::new();
    for (name, property) in schema["properties"].as_object().expect("properties") {
        let property = resolve(document, property);
        let way = [way, std::slice::from_ref(name)].concat();
        if property.get("properties").is_some() {
            fields.extend(fields_of(document, property, &way));
        } else {
            fields.push(Field { way, required: required.contains(&json!(name)), schema: property.clone() });
        }
    }
    fields
}

async fn with_bodies() -> (TestServer, Vec<BodyRoute>) {
    let (t, _) = served().await;
    let edge_key = example_edge_key(&t).await;
    let document = t.get("/openapi.json").await.ok().json();
    let mut routes = Vec::new();
    for (template, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let Some(content) = operation["requestBody"]["content"].as_object() else { continue };
            // Imports take streams of rows: `transfer` tests them.
            let Some((content_type, media)) = content.iter().find(|(kind, _)| kind.ends_with("json") && *kind != "application/x-ndjson")
            else {
                continue;
            };
            if template.ends_with("/import") {
                continue;
            }
            routes.push(BodyRoute {
                method: Method::from_bytes(method.to_uppercase().as_bytes()).expect("a method"),
                path: filled_in(template, operation),
                content_type: content_type.clone(),
                bearer: (operation["security"] == json!([{"edge": []}])).then(|| edge_key.clone()),
                fields: fields_of(&document, &media["schema"], &[]),
            });
        }
    }
    assert!(routes.len() >= 9, "all that take a body are here");
    assert!(routes.iter().map(|route| route.fields.len()).sum::<usize>() > 50);
    (t, routes)
}

/// The example of a body, with one field changed, or left out.
fn body(route: &BodyRoute, change: Option<(&Field, Option<Value>)>) -> Value {
    let mut root = Map::new();
    for field in &route.fields {
        let changed = change.as_ref().filter(|(changed, _)| changed.way == field.way);
        let given = field.schema.get("example").or_else(|| field.schema["enum"].get(0)).or_else(|| field.schema.get("default"));
        let value = match changed {
            Some((_, value)) => value.clone(),
            None => Some(given.unwrap_or_else(|| panic!("{} {} has no example", route.path, field.name())).clone()),
        };
        let (last, parents) = field.way.split_last().expect("a name");
        let mut object = &mut root;
        for parent in parents {
            object = object.entry(parent).or_insert_with(|| json!({})).as_object_mut().expect("an object");
        }
        if let Some(value) = value {
            object.insert(last.clone(), value);
        }
    }
    Value::Object(root)
}

/// A request to a route, in the name of somebody who may send it.
fn request(t: &TestServer, route: &BodyRoute, query: &str) -> reqwest::RequestBuilder {
    let path = format!("{}{query}", route.path);
    match &route.bearer {
        Some(bearer) => t.client.request(route.method.clone(), t.url(&path)).bearer_auth(bearer),
        None => t.request(route.method.clone(), &path),
    }
}

async fn send(t: &TestServer, route: &BodyRoute, bytes: impl Into<reqwest::Body>) -> Answer {
    let request = request(t, route, "").header("if-match", "*");
    Answer::of(request.header("content-type", &route.content_type).body(bytes)).await
}

fn bad_values(field: &Field) -> Vec<(Value, u16)> {
    let mut bad = Vec::new();
    let mut add = |values: Vec<Value>, status: u16| bad.extend(values.into_iter().map(|value| (value, status)));
    match field.kind() {
        "string" if field.schema.get("enum").is_some() => {
            add(vec![json!(5), json!(true), json!([]), json!({})], 400);
            add(vec![json!(""), json!("nonsense"), json!("ADMIN"), json!("\u{0}"), json!(" user"), json!("x".repeat(10_000))], 422);
        }
        "string" if field.schema["format"] == "date-time" => {
            let texts = ["", "now", "2026-11-24", "2026-02-30T12:00:00Z", "2026-11-24T12:00:00Z\u{0}", "1795521600"];
            add(texts.iter().map(|text| json!(text)).chain([json!(5), json!(true), json!([]), json!({})]).collect(), 400);
            add(vec![json!("2026-11-24T12:00:00"), json!("+10000-01-01T00:00:00Z"), json!("0000-01-01T00:00:00Z")], 422);
        }
        // A geometry.
        "object" if field.schema["example"].get("coordinates").is_some() => {
            add(vec![json!("x"), json!(5), json!([]), json!(true), json!({"a": 1}), json!({})], 400);
            add(vec![json!({"type": "Point", "coordinates": [0, 0]}), json!({"type": "Polygon", "coordinates": [[]]})], 422);
        }
        "object" => {
            add(vec![json!("x"), json!(5), json!([]), json!([{}]), json!(true)], 400);
            add(
                vec![json!({"a": "\u{0}"}), json!({"a\u{0}": 1}), json!({"a": [{"b": "\u{1b}[31m"}]}), json!({"a": "x".repeat(10_000)})],
                422,
            );
        }
        "string" => {
            add(vec![json!(5), json!(1.5), json!(false), json!([]), json!(["a"]), json!({}), json!({"a": 1})], 400);
            add(
                vec![json!(""), json!("\u{0}"), json!("a\u{0}b"), json!("\u{1}"), json!("\u{7f}"), json!("a\u{85}"), json!("\u{1b}[31m")],
                422,
            );
            if let Some(most) = field.schema["maxLength"].as_u64() {
                let most = usize::try_from(most).expect("small");
                add(vec![json!("x".repeat(most + 1)), json!("é".repeat(most + 1)), json!("🎨".repeat(most + 1))], 422);
            }
            if field.schema["format"] == "uri" {
                let urls = ["http://cdn.example.com/a", "//cdn.example.com/a", "javascript:alert(1)", "https://u@cdn.example.com/a", "x"];
                add(urls.iter().map(|url| json!(url)).collect(), 422);
                if field.schema["example"].as_str().is_some_and(|example| example.contains("//cdn.")) {
                    add(vec![json!("https://a/..")], 422);
                }
            }
        }
        "number" => {
            add(vec![json!("1"), json!(true), json!([]), json!({}), json!("NaN")], 400);
            let (least, most) = (field.limit("minimum").expect("a range"), field.limit("maximum").expect("a range"));
            add(vec![json!(least - 0.01), json!(most + 0.01), json!(1e300), json!(-1e300)], 422);
            if field.schema.get("multipleOf").is_some() {
                add(vec![json!(1.005), json!(1.001), json!(1.000_000_1)], 422);
            }
        }
        "integer" => {
            add(vec![json!("1"), json!(true), json!([]), json!(1.5), json!({})], 400);
            let least = field.schema["minimum"].as_i64().expect("a least value");
            add(vec![json!(least - 1), json!(i64::MIN), json!(u64::MAX), json!(1e30)], 422);
            if let Some(most) = field.schema["maximum"].as_i64() {
                add(vec![json!(most + 1), json!(i64::MAX)], 422);
            }
        }
        "boolean" => add(vec![json!("true"), json!(1), json!(0), json!([]), json!(""), json!({})], 400),
        "array" => add(vec![json!("x"), json!(5), json!({})], 400),
        other => panic!("{} is of type {other}: give the corpus its bad values", field.name()),
    }
    if field.required {
        bad.push((Value::Null, 400));
    }
    bad
}

/// Whether the answer says so and names the field, and no other.
fn names(answer: &Answer, status: u16, field: &str) -> bool {
    let problem = answer.json();
    let code_fits = problem["code"] == "invalid_input" || (status == 422 && problem["code"] == "weak_password");
    let faults = problem["errors"].as_array().cloned().unwrap_or_default();
    let is_it = |fault: &Value| fault["field"].as_str().is_some_and(|name| name == field || name.starts_with(&format!("{field}.")));
    answer.status == status && code_fits && !faults.is_empty() && faults.iter().all(is_it)
}

#[tokio::test]
async fn the_examples_of_all_bodies_can_be_read() {
    let (t, routes) = with_bodies().await;
    for route in &routes {
        let answer = send(&t, route, body(route, None).to_string()).await;
        assert!(answer.status < 500 && answer.status != 400, "{} {}: {}", route.method, route.path, answer.text());
        // What the fields alone cannot know: the caller's own password, and accounts that are not there.
        let expected = answer.status < 300 || [401, 404, 409].contains(&answer.status) || answer.text().contains("wrong_password");
        assert!(expected, "{} {}: {}", route.method, route.path, answer.text());
    }
}

#[tokio::test]
async fn every_bad_value_of_every_field_is_refused_and_named() {
    let (t, routes) = with_bodies().await;
    let (mut tries, mut wrong) = (0, Vec::new());
    let mut proof = Proof::of("P13", "bad values in every field of every body");
    for route in &routes {
        for field in &route.fields {
            let missing = if field.required { vec![(None, 400)] } else { Vec::new() };
            for (value, status) in bad_values(field).into_iter().map(|(value, status)| (Some(value), status)).chain(missing) {
                tries += 1;
                let answer = send(&t, route, body(route, Some((field, value.clone()))).to_string()).await;
                if !names(&answer, status, &field.name()) {
                    let value: String = format!("{value:?}").chars().take(60).collect();
                    wrong.push(format!(
                        "{} {} {}={value}: {} instead of {status}: {}",
                        route.method,
                        route.path,
                        field.name(),
                        answer.status,
                        answer.text()
                    ));
                }
            }
        }
    }
    println!("{tries} tries, {} wrong", wrong.len());
    proof.tried(tries);
    proof.failed(wrong.len());
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn the_extremes_of_every_number_are_accepted_and_null_is_as_good_as_left_out() {
    let (t, routes) = with_bodies().await;
    for route in &routes {
        for field in &route.fields {
            let extremes = ["minimum", "maximum"].into_iter().filter_map(|which| field.schema.get(which).cloned());
            let null = (!field.required).then_some(Value::Null);
            for value in extremes.chain(null) {
                let answer = send(&t, route, body(route, Some((field, Some(value.clone())))).to_string()).await;
                // One that another field asks for is another matter.
                let named =
                    answer.text().contains(&format!("\"field\":\"{}\"", field.name())) && !answer.text().contains("required_for_change");
                assert!(answer.status < 500 && !named, "{} {} {value}: {}", route.path, field.name(), answer.text());
            }
        }
    }
}

#[tokio::test]
async fn what_is_no_json_object_is_refused() {
    let (t, routes) = with_bodies().await;
    for route in &routes {
        let example = body(route, None).to_string();
        let first = &route.fields[0].way[0];
        let with = |member: String| {
            format!(
                "{},{member}}}",
                example.trim_end_matches('}').to_owned() + &"}".repeat(example.len() - example.trim_end_matches('}').len() - 1)
            )
        };
        let nested = format!("{}1{}", "[".repeat(100), "]".repeat(100));
        let bad: Vec<Vec<u8>> = [
            String::new(),
            " ".to_owned(),
            "null".to_owned(),
            "5".to_owned(),
            "\"text\"".to_owned(),
            "[]".to_owned(),
            format!("[{example}]"),
            "{".to_owned(),
            example.trim_end_matches('}').to_owned(),
            format!("{example}{example}"),
            format!("{example} x"),
            format!("\u{feff}{example}"),
            with(format!("\"{first}\": 1")),
            with("\"a\": 1, \"a\": 2".to_owned()),
            with("\"a\": 1e400".to_owned()),
            with("\"a\": NaN".to_owned()),
            with("\"a\": \"\\ud800\"".to_owned()),
            with(format!("\"a\": {nested}")),
            with("\"a\": 'x'".to_owned()),
            format!("/* c */ {example}"),
        ]
        .into_iter()
        .map(String::into_bytes)
        .chain([b"\xff".to_vec(), b"{\"a\": \"\xc3\x28\"}".to_vec(), b"{\"a\": \"\xed\xa0\x80\"}".to_vec(), b"\x00".to_vec()])
        .collect();
        for bytes in bad {
            let shown = String::from_utf8_lossy(&bytes).into_owned();
            let answer = send(&t, route, bytes).await;
            assert_eq!(answer.status, 400, "{} {} {shown}: {}", route.method, route.path, answer.text());
            drop(answer.faulty_fields(400));
        }
        let answer = send(&t, route, with("\"surprise\": 1".to_owned())).await;
        assert!(names(&answer, 400, "surprise"), "{} {}: {}", route.method, route.path, answer.text());
    }
}

#[tokio::test]
async fn another_kind_of_body_and_one_too_large_are_refused() {
    let (t, routes) = with_bodies().await;
    for route in &routes {
        let example = body(route, None).to_string();
        for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonx", "json", ""]
        {
            let other = request(&t, route, "").header("content-type", kind).body(example.clone());
            Answer::of(other).await.problem(415, "unsupported_media_type");
        }
        let encoded = request(&t, route, "").header("content-type", &route.content_type).header("content-encoding", "gzip");
        Answer::of(encoded.body(example.clone())).await.problem(415, "unsupported_media_type");
        let bare = request(&t, route, "").body(example.clone());
        Answer::of(bare).await.problem(415, "unsupported_media_type");
        let large = if route.path.contains("/regions/") { 2 * 1024 * 1024 + 1 } else { 64 * 1024 + 1 };
        send(&t, route, format!("{example}{}", " ".repeat(large - example.len()))).await.problem(413, "body_too_large");
        let asked = request(&t, route, "?x=1").header("if-match", "*");
        let answer = Answer::of(asked.header("content-type", &route.content_type).body(example)).await;
        assert!(names(&answer, 400, "x"), "{}", answer.text());
    }
}

#[tokio::test]
async fn a_body_that_says_it_is_too_large_is_refused_at_once_and_a_slow_one_in_time() {
    let t = TestServer::start().await;
    let send = async |length: usize, sent: &str| {
        let mut connection = RawConnection::open(t.address).await;
        let head =
            "POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nExpect: 100-continue";
        connection.send(&format!("{head}\r\nContent-Length: {length}\r\n\r\n{sent}")).await;
        connection.read_to_end().await
    };
    let answer = send(9_999_999, "").await;
    assert!(answer.starts_with("HTTP/1.1 413"), "no byte of it is asked for: {answer}");
    let answer = send(100, "{").await;
    assert!(answer.contains("HTTP/1.1 408") && answer.contains("body_too_slow"), "{answer}");
}

//! The published routes and their parameters, and a database in which their examples find something.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::support::TestServer;

/// A parameter as OpenAPI describes it.
#[derive(Clone, Debug)]
pub(super) struct Parameter {
    pub(super) name: String,
    pub(super) required: bool,
    /// As it stands in a query string.
    pub(super) example: String,
    pub(super) schema: Value,
    /// Whether a value above its largest counts as that.
    pub(super) is_clamped: bool,
}

/// A route that is read with GET.
#[derive(Clone, Debug)]
pub(super) struct Route {
    /// With its path parameters filled in.
    pub(super) path: String,
    /// As published.
    pub(super) template: String,
    pub(super) query: Vec<Parameter>,
    pub(super) in_path: Vec<Parameter>,
    /// Statuses that the document announces.
    pub(super) statuses: Vec<u16>,
}

impl Route {
    /// The route with its required parameters but for those that `other` gives.
    pub(super) fn with(&self, other: &[(&str, &str)]) -> String {
        let base = self.query.iter().filter(|parameter| parameter.required && other.iter().all(|(name, _)| *name != parameter.name));
        // A circle that may be left out is given whole.
        let in_circle = |name: &str| ["lat", "lng", "radius"].contains(&name);
        let circle = self.query.iter().filter(|parameter| {
            let given = |name: &str| other.iter().any(|(other, _)| *other == name);
            let begun = self.has_optional_circle() && ["lat", "lng", "radius"].into_iter().any(given);
            begun && in_circle(&parameter.name) && !given(&parameter.name)
        });
        let pairs = base.chain(circle).map(|parameter| format!("{}={}", parameter.name, parameter.example));
        let pairs: Vec<String> = pairs.chain(other.iter().map(|(name, value)| format!("{name}={value}"))).collect();
        format!("{}?{}", self.path, pairs.join("&"))
    }
}

impl Route {
    /// The status for what deserves this one elsewhere: a route that announces no 422 answers all that is bad with 400.
    pub(super) fn status(&self, status: u16) -> u16 {
        if self.statuses.contains(&status) { status } else { 400 }
    }

    fn has_optional_circle(&self) -> bool {
        self.query.iter().any(|parameter| parameter.name == "lat" && !parameter.required)
    }
}

impl Parameter {
    fn of(value: &Value) -> Self {
        let schema = value["schema"].clone();
        let text = |value: &Value| match value {
            Value::String(text) => text.clone(),
            Value::Array(items) => items.iter().map(Value::to_string).collect::<Vec<_>>().join(","),
            other => other.to_string(),
        };
        let given =
            value.get("example").or_else(|| schema.get("example")).or_else(|| schema.get("default")).or_else(|| schema["enum"].get(0));
        let example = given.map(text);
        let name = value["name"].as_str().expect("a name").to_owned();
        let required = value["required"] == true;
        assert!(!required || example.is_some(), "{name} is required: OpenAPI should give an example, for people and for this test");
        let otherwise = if schema["type"] == "boolean" { "true" } else { "art" };
        Self { name, required, example: example.unwrap_or_else(|| otherwise.to_owned()), schema, is_clamped: value["x-clamped"] == true }
    }

    pub(super) fn kind(&self) -> &str {
        self.schema["type"].as_str().unwrap_or_else(|| panic!("{} has no plain type: {}", self.name, self.schema))
    }

    /// `minimum` or `maximum`.
    pub(super) fn limit(&self, which: &str) -> Option<f64> {
        self.schema[which].as_f64()
    }

    pub(super) fn max_chars(&self) -> Option<usize> {
        self.schema["maxLength"].as_u64().map(|length| usize::try_from(length).expect("small"))
    }
}

/// A path with the examples of its parameters filled in.
pub(super) fn filled_in(template: &str, operation: &Value) -> String {
    let parameters = operation["parameters"].as_array().into_iter().flatten().filter(|parameter| parameter["in"] == "path");
    parameters
        .map(Parameter::of)
        .fold(template.to_owned(), |path, parameter| path.replace(&format!("{{{}}}", parameter.name), &parameter.example))
}

/// The identifier that all examples have.
const EXAMPLE: &str = "01890000-0000-7000-8000-000000000000";

/// A key of the edge server that the examples name.
pub(super) async fn example_edge_key(t: &TestServer) -> String {
    let secret = [7_u8; 32];
    let key = sqlx::query("INSERT INTO ar.edge_keys (id, edge_server_id, key_hash) VALUES ($1::uuid, $1::uuid, sha256($2))");
    key.bind(EXAMPLE).bind(secret.as_slice()).execute(&t.sql).await.expect("the key goes in");
    format!("ek_{EXAMPLE}_{}", URL_SAFE_NO_PAD.encode(secret))
}

/// A service on which the examples of the document find something; an admin asks it.
pub(super) async fn served() -> (TestServer, Vec<Route>) {
    let mut t = TestServer::start().await;
    // Who is asked for a token answers without it before looking at the rest.
    let admin = t.admin().await;
    t.act_as(&admin);
    t.new_region("DE", "Germany").boxes(&[[47.2, 5.8, 55.1, 15.1]]).insert().await;
    t.decoration("here").at(52.52, 13.405).insert().await;
    let example: uuid::Uuid = EXAMPLE.parse().expect("a UUID");
    t.decoration("example").id(example).at(-30.0, 20.0).insert().await;
    t.edge("example").id(example).at(-30.0, 20.0).insert().await;
    let device = sqlx::query("INSERT INTO ar.device_connections (device_id, user_id) VALUES ('phone-1', $1)");
    device.bind(admin.id).execute(&t.sql).await.expect("puts it in");
    t.fold_counts().await;
    t.draw_cells().await;
    let document = t.get("/openapi.json").await.ok().json();
    let mut routes = Vec::new();
    for (template, item) in document["paths"].as_object().expect("paths") {
        let Some(get) = item.get("get") else { continue };
        let parameters = get["parameters"].as_array().cloned().unwrap_or_default();
        let of = |place: &str| parameters.iter().filter(|parameter| parameter["in"] == place).map(Parameter::of).collect::<Vec<_>>();
        let in_path = of("path");
        let path = filled_in(template, get);
        let statuses = get["responses"].as_object().expect("responses").keys().map(|status| status.parse().expect("a status")).collect();
        routes.push(Route { path, template: template.clone(), query: of("query"), in_path, statuses });
    }
    assert!(routes.iter().map(|route| route.query.len()).sum::<usize>() > 20, "{routes:#?}");
    (t, routes)
}

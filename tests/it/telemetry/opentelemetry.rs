//! What is exported, as a collector gets it: by OTLP over HTTP, decoded.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Attribute;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use prost::Message;
use reqwest::Method;
use serde_json::json;
use tokio::net::TcpListener;

use super::Process;
use crate::support::{Answer, TestDb, eventually};

const NEARBY: &str = "/api/v1/decorations/nearby?lat=52.987654&lng=13.123456";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// Takes what is exported.
struct Collector {
    address: SocketAddr,
    taken: Arc<Mutex<Vec<Bytes>>>,
}

impl Collector {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let taken = Arc::<Mutex<Vec<Bytes>>>::default();
        let take = async |State(taken): State<Arc<Mutex<Vec<Bytes>>>>, body: Bytes| taken.lock().expect("whole").push(body);
        let router = Router::new().route("/v1/traces", post(take)).with_state(Arc::clone(&taken));
        tokio::spawn(async move { axum::serve(listener, router).await.expect("serves") });
        Self { address, taken }
    }

    /// Spans so far, each with what is said of the service.
    fn spans(&self) -> Vec<(Vec<KeyValue>, Span)> {
        let mut spans = Vec::new();
        for body in self.taken.lock().expect("whole").iter() {
            for of_resource in ExportTraceServiceRequest::decode(body.clone()).expect("OTLP").resource_spans {
                let resource = of_resource.resource.expect("a resource").attributes;
                let of_scopes = of_resource.scope_spans.into_iter().flat_map(|of_scope| of_scope.spans);
                spans.extend(of_scopes.map(|span| (resource.clone(), span)));
            }
        }
        spans
    }

    fn find(&self, is_it: impl Fn(&Span) -> bool) -> Option<Span> {
        self.spans().into_iter().map(|(_, span)| span).find(is_it)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

fn texts(attributes: &[KeyValue]) -> HashMap<&str, String> {
    let text = |value: &Attribute| match value {
        Attribute::StringValue(text) => text.clone(),
        Attribute::IntValue(number) => number.to_string(),
        other => format!("{other:?}"),
    };
    attributes.iter().filter_map(|one| Some((one.key.as_str(), text(one.value.as_ref()?.value.as_ref()?)))).collect()
}

async fn start(db: &TestDb, endpoint: &str, more: &[(&str, &str)]) -> Process {
    let variables =
        [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint), ("OTEL_BSP_SCHEDULE_DELAY", "50"), ("LOG_LEVEL", "info,ar_supervisor=debug")];
    Process::start(db, &[&variables, more].concat()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_and_its_statements_are_spans_of_the_callers_trace() {
    let (db, collector) = (TestDb::create().await, Collector::start().await);
    let endpoint = format!("http://{}", collector.address);
    let server = start(&db, &endpoint, &[("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")]).await;
    let traced = server.request(Method::GET, NEARBY).header("traceparent", format!("00-{TRACE}-{PARENT}-01"));
    Answer::of(traced.header("tracestate", "vendor=1").header("x-request-id", "it-traced")).await.ok();

    let request = eventually("the request comes", async || {
        collector.find(|span| hex(&span.trace_id) == TRACE && hex(&span.parent_span_id) == PARENT)
    })
    .await;
    assert_eq!(request.name, "GET /api/v1/decorations/nearby");
    assert_eq!((request.kind, request.trace_state.as_str()), (SpanKind::Server as i32, "vendor=1"));
    let said = texts(&request.attributes);
    let expected = [("http.request.method", "GET"), ("http.route", "/api/v1/decorations/nearby"), ("http.response.status_code", "200")];
    for (name, value) in expected.into_iter().chain([("request_id", "it-traced")]) {
        assert_eq!(said.get(name).map(String::as_str), Some(value), "{name} of {said:?}");
    }
    let is_statement = |span: &Span| span.parent_span_id == request.span_id && span.name == "decorations::store::near";
    let statement = eventually("its statement comes", async || collector.find(is_statement)).await;
    assert_eq!((statement.kind, hex(&statement.trace_id).as_str()), (SpanKind::Client as i32, TRACE));
    let said = texts(&statement.attributes);
    let expected = [("db.system.name", "postgresql"), ("db.operation.name", "SELECT"), ("db.query.summary", "decorations::store::near")];
    for (name, value) in expected {
        assert_eq!(said.get(name).map(String::as_str), Some(value), "{name} of {said:?}");
    }
    let within = request.start_time_unix_nano..=request.end_time_unix_nano;
    assert!(
        within.contains(&statement.start_time_unix_nano) && within.contains(&statement.end_time_unix_nano),
        "{statement:?} in {request:?}"
    );
    let (resource, _) = collector.spans().remove(0);
    let said = texts(&resource);
    assert_eq!(said.get("service.name").map(String::as_str), Some("ar-supervisor"));
    assert_eq!(said.get("deployment.environment.name").map(String::as_str), Some("test"));

    // A trace of our own is named in the log; one that the caller does not record, we do not either.
    let lines = server.lines_of(server.request(Method::GET, NEARBY).header("traceparent", "00-0-0-0"), "it-own").await;
    let own = lines[0]["span"]["trace_id"].as_str().expect("a trace").to_owned();
    let unrecorded = format!("00-{}-{PARENT}-00", TRACE.replace('4', "5"));
    server.lines_of(server.request(Method::GET, NEARBY).header("traceparent", &unrecorded), "it-unrecorded").await;
    let root =
        eventually("it comes", async || collector.find(|span| hex(&span.trace_id) == own && span.kind == SpanKind::Server as i32)).await;
    assert!(root.parent_span_id.is_empty(), "{root:?}");

    // Many positions are written as one: that names the requests that it is for.
    let token = server.sign_in(&db, "traced@example.org", "user").await;
    let moving = server.request(Method::PUT, "/api/v1/devices/traced/location").bearer_auth(&token).json(&json!({"lat": 1, "lng": 2}));
    Answer::of(moving.header("x-request-id", "it-moving")).await.ok();
    let moved = eventually("it comes", async || {
        collector.find(|span| texts(&span.attributes).get("request_id").is_some_and(|id| id == "it-moving"))
    })
    .await;
    let writing =
        eventually("the writing comes", async || collector.find(|span| span.links.iter().any(|link| link.span_id == moved.span_id))).await;
    assert_eq!(writing.name, "writing positions of devices");
    let is_below = |span: &Span| span.parent_span_id == writing.span_id && span.name == "devices::store::write_locations";
    eventually("its statement comes", async || collector.find(is_below)).await;

    // What is not exported yet is so at the stop.
    server.stop();
    assert!(collector.find(|span| hex(&span.trace_id) == TRACE.replace('4', "5")).is_none(), "not recorded");
    let bodies = collector.taken.lock().expect("whole").concat();
    assert!(!String::from_utf8_lossy(&bodies).contains("52.98"), "no position is exported");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_a_collector_that_is_away_or_does_not_answer() {
    let db = TestDb::create().await;
    // It takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let endpoint = format!("http://{}", silent.local_addr().expect("an address"));
    let server = start(&db, &endpoint, &[("OTEL_BSP_MAX_QUEUE_SIZE", "16")]).await;
    for _ in 0..200 {
        server.get(NEARBY).await.ok();
    }
    let log = server.events();
    let answered = log.iter().filter(|line| line["message"].as_str().is_some_and(|text| text.contains(" answered ")));
    let slowest_ms = answered.filter_map(|line| line["elapsed_ms"].as_f64()).fold(0.0, f64::max);
    assert!(slowest_ms < 2_000.0, "{slowest_ms} ms");
    let stopping = std::time::Instant::now();
    server.stop();
    assert!(stopping.elapsed() < Duration::from_secs(10), "{:?}", stopping.elapsed());

    let gone = start(&db, "http://127.0.0.1:9", &[]).await;
    gone.get(NEARBY).await.ok();
    gone.stop();
}

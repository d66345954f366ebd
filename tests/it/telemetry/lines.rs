//! The lines of a request, and of slow statements.

use reqwest::Method;
use serde_json::Value;

use super::Process;
use crate::support::{Answer, TestDb, eventually};

const NEARBY: &str = "/api/v1/decorations/nearby?lat=52.5&lng=13.4";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn message(line: &Value) -> &str {
    line["message"].as_str().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_of_a_request_has_its_id_its_trace_and_its_route() {
    let db = TestDb::create().await;
    let server = Process::start(&db, &[("LOG_LEVEL", "info,ar_supervisor=debug")]).await;
    let traced = |parent: &str| server.request(Method::GET, NEARBY).header("traceparent", parent);

    let lines = server.lines_of(traced(&format!("00-{TRACE}-00f067aa0ba902b7-01")), "it-traced").await;
    for line in &lines {
        assert_eq!(line["span"]["trace_id"], TRACE, "{line}");
        assert_eq!(line["span"]["method"], "GET", "{line}");
    }
    let statement = lines.iter().find(|line| line["statement"] == "decorations::store::near").expect("the statement has a line");
    assert_eq!((message(statement), &statement["rows"]), ("statement decorations::store::near", &Value::from(0)), "{statement}");
    assert_eq!(statement["span"]["route"], "/api/v1/decorations/nearby", "{statement}");
    assert!(statement["elapsed_ms"].as_f64().is_some_and(|elapsed_ms| elapsed_ms > 0.0), "{statement}");
    let answered = lines.last().expect("a line");
    assert_eq!((message(answered), &answered["status"]), ("GET /api/v1/decorations/nearby answered 200", &Value::from(200)));

    for (number, malformed) in ["00-xyz-00f067aa0ba902b7-01", &format!("00-{TRACE}-0000000000000000-01"), ""].into_iter().enumerate() {
        let lines = server.lines_of(traced(malformed), &format!("it-malformed-{number}")).await;
        assert!(lines.iter().all(|line| line["span"].get("trace_id").is_none()), "{malformed}: {lines:?}");
    }
    let answer = server.get("/health/live").await;
    assert!(answer.header("x-request-id").is_some_and(|id| id.len() == 36), "one of our own");
    assert!(server.events().iter().all(|line| !line["target"].as_str().is_some_and(|target| target.starts_with("sqlx"))), "no line twice");

    // What goes on by itself has spans, too.
    eventually("a piece of work has a line", async || {
        server.events().into_iter().find(|line| line["span"]["name"] == "work" && line["statement"].is_string())
    })
    .await;
    server.stop();
}

/// Waits until somebody waits for a lock, for this long at least.
async fn somebody_waits(db: &TestDb, for_ms: f64) {
    let mut watching = db.connect().await;
    eventually("a statement waits", async || {
        let waits: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
                 AND query LIKE '%gis.decorations_near%' AND clock_timestamp() - query_start > make_interval(secs => $1 / 1000))",
        )
        .bind(for_ms)
        .fetch_one(&mut watching)
        .await
        .expect("looks");
        waits.then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_statement_is_logged_once_with_its_name_and_its_request() {
    let db = TestDb::create().await;
    // Also where nobody wants to hear of requests, what is heard says of which it is.
    let variables = [("LOG_LEVEL", "info,ar_supervisor=warn,ar_supervisor::commands=info"), ("SLOW_STATEMENT", "300ms")];
    let server = Process::start(&db, &variables).await;
    Answer::of(server.request(Method::GET, NEARBY).header("x-request-id", "it-quick")).await.ok();
    let mut locking = db.connect().await;
    sqlx::raw_sql("BEGIN; LOCK TABLE ar.decorations IN ACCESS EXCLUSIVE MODE").execute(&mut locking).await.expect("locks");
    let asking = Answer::of(server.request(Method::GET, NEARBY).header("x-request-id", "it-slow"));
    let holding = async {
        somebody_waits(&db, 350.0).await;
        sqlx::raw_sql("COMMIT").execute(&mut locking).await.expect("lets go");
    };
    let (answer, ()) = tokio::join!(asking, holding);
    answer.ok();
    let lines = eventually("it has a line", async || Some(server.log_of("it-slow")).filter(|lines| !lines.is_empty())).await;
    let [line] = lines.as_slice() else { panic!("one line: {lines:?}") };
    assert_eq!(message(line), "slow statement decorations::store::near");
    assert_eq!((&line["level"], &line["statement"]), (&Value::from("WARN"), &Value::from("decorations::store::near")));
    assert!(line["elapsed_ms"].as_f64().is_some_and(|elapsed_ms| (300.0..10_000.0).contains(&elapsed_ms)), "{line}");
    assert_eq!((&line["rows"], &line["span"]["route"]), (&Value::from(0), &Value::from("/api/v1/decorations/nearby")));
    assert!(server.log_of("it-quick").is_empty(), "what is quick has none");
    let log = server.stop();
    assert!(!log.contains("52.5") && !log.contains("SELECT"), "neither values nor texts: {log}");
}

#[cfg(not(feature = "otel"))]
#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_an_export_that_is_not_built_in_is_told() {
    let db = TestDb::create().await;
    let server = Process::start(&db, &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")]).await;
    let told = server.events().into_iter().find(|line| message(line).contains("feature `otel`")).expect("a line");
    assert_eq!(told["level"], "WARN");
    server.stop();
}

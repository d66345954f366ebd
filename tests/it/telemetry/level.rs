//! The log level at run time: asked for once, in force on every instance, and over by itself.

use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

use super::Process;
use super::process::command;
use crate::support::{Answer, TestDb, TestServer, eventually};

const PATH: &str = "/api/v1/log-level";

async fn becomes(server: &Process, verbose: bool) {
    eventually(if verbose { "it is verbose" } else { "it is quiet" }, async || (server.is_verbose().await == verbose).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_instances_write_what_one_was_asked_for() {
    let db = TestDb::create().await;
    let (one, other) = tokio::join!(Process::start(&db, &[]), Process::start(&db, &[("LOG_LEVEL", "warn,ar_supervisor::commands=info")]));
    let token = one.sign_in(&db, "operator@example.org", "admin").await;
    let ask = |body: Value| Answer::of(one.request(Method::PUT, PATH).bearer_auth(&token).json(&body));
    let shown = async |server: &Process| Answer::of(server.request(Method::GET, PATH).bearer_auth(&token)).await.ok().json();
    assert!(!one.is_verbose().await && !other.is_verbose().await);
    assert_eq!(shown(&one).await, json!({"filter": "info", "default_filter": "info", "until": null}));

    let asked = ask(json!({"filter": "debug", "for_seconds": 3600})).await.ok().json();
    becomes(&one, true).await;
    becomes(&other, true).await;
    let until = asked["until"].clone();
    assert!(until.is_string(), "{asked}");
    let default = "warn,ar_supervisor::commands=info";
    assert_eq!(shown(&other).await, json!({"filter": "debug", "default_filter": default, "until": until}));
    // One that starts meanwhile does so, too.
    let late = Process::start(&db, &[]).await;
    becomes(&late, true).await;
    late.stop();

    let reset = Answer::of(other.request(Method::DELETE, PATH).bearer_auth(&token)).await;
    assert_eq!(reset.status, 204);
    becomes(&one, false).await;
    becomes(&other, false).await;

    // It ends by itself.
    ask(json!({"filter": "info,ar_supervisor::http=debug", "for_seconds": 2})).await.ok();
    becomes(&other, true).await;
    becomes(&one, false).await;
    becomes(&other, false).await;
    assert_eq!(shown(&one).await["until"], Value::Null);

    // Whoever has a shell needs no token.
    let told = command(&db, &["log-level", "debug", "--for", "10m"]).await;
    assert!(told.starts_with("All instances write debug until 20"), "{told}");
    becomes(&other, true).await;
    command(&db, &["log-level", "--reset"]).await;
    becomes(&other, false).await;

    // A notice that is lost is made good when the one who listens comes back.
    let mut connection = db.connect().await;
    sqlx::raw_sql("INSERT INTO ar.log_level (filter, until) VALUES ('debug', now() + interval '1 hour')")
        .execute(&mut connection)
        .await
        .expect("asks");
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'";
    sqlx::raw_sql(cut).execute(&mut connection).await.expect("cuts");
    becomes(&one, true).await;
    becomes(&other, true).await;

    let acts: Vec<(String, bool)> =
        sqlx::query_as("SELECT action, actor_id IS NOT NULL FROM ar.audit_log WHERE object_kind = 'log_level' ORDER BY at, id")
            .fetch_all(&mut connection)
            .await
            .expect("reads");
    let expected = [("change", true), ("reset", true), ("change", true), ("change", false), ("reset", false)];
    assert_eq!(acts, expected.map(|(act, by_admin)| (format!("log_level.{act}"), by_admin)));
    one.stop();
    other.stop();
}

#[rstest]
#[case(json!({"filter": "hyper=trace"}), 422, "filter")]
#[case(json!({"filter": "info,sqlx=debug"}), 422, "filter")]
#[case(json!({"filter": "loud=very"}), 422, "filter")]
#[case(json!({"filter": "[{token}]=trace"}), 422, "filter")]
#[case(json!({"filter": ""}), 422, "filter")]
#[case(json!({"filter": format!("info{}", ",ar_supervisor=debug".repeat(10))}), 422, "filter")]
#[case(json!({"filter": "debug\u{0}"}), 422, "filter")]
#[case(json!({"filter": "debug", "for_seconds": 0}), 422, "for_seconds")]
#[case(json!({"filter": "debug", "for_seconds": 86_401}), 422, "for_seconds")]
#[case(json!({"filter": "debug", "for_seconds": 1.5}), 400, "for_seconds")]
#[case(json!({"filter": 1}), 400, "filter")]
#[case(json!({"for_seconds": 60}), 400, "filter")]
#[case(json!({"filter": "debug", "until": "2026-11-28T12:00:00Z"}), 400, "until")]
#[tokio::test]
async fn what_cannot_be_in_force_is_refused(#[case] body: Value, #[case] status: u16, #[case] field: &str) {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let answer = admin.send(&server, Method::PUT, PATH, body).await;
    assert_eq!(answer.faulty_fields(status), [field]);
    assert_eq!(admin.get(&server, PATH).await.ok().json()["until"], Value::Null, "nothing is in force");
}

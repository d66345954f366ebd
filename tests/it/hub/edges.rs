//! An edge's socket: contract §8, all but what is synchronised.

use reqwest::Method;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use uuid::Uuid;

use crate::support::{Answer, Config, RegisteredEdge, Socket, TestServer, edge_body, eventually, health_update, hello};

async fn one_edge(t: &TestServer) -> RegisteredEdge {
    RegisteredEdge::create(t, &t.admin().await, edge_body("a", 1.0, 2.0)).await
}

#[tokio::test]
async fn only_the_edge_itself_opens_its_socket() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    let edge = RegisteredEdge::create(&t, &admin, edge_body("a", 1.0, 2.0)).await;
    let other = RegisteredEdge::create(&t, &admin, edge_body("b", 1.0, 2.0)).await;
    let path = format!("/ws/edge/{}", edge.id);
    let status = async |path: &str, headers: &[(&'static str, &str)]| Socket::open(&t, path, headers).await.err();
    let bearer = |key: &str| format!("Bearer {key}");
    assert_eq!(status(&path, &[]).await, Some(401));
    assert_eq!(status(&path, &[("authorization", "Bearer ek_nonsense")]).await, Some(401));
    assert_eq!(status(&path, &[("authorization", "Bearer nonsense")]).await, Some(401));
    assert_eq!(status(&path, &[("authorization", &bearer(&admin.access_token))]).await, Some(403));
    assert_eq!(status(&path, &[("authorization", &bearer(&other.key))]).await, Some(403));
    assert_eq!(status("/ws/edge/nonsense", &[("authorization", &bearer(&edge.key))]).await, Some(403));
    assert_eq!(status(&format!("{path}?key={}", edge.key), &[]).await, Some(401));
    assert_eq!(status(&format!("{path}?a=b"), &[("authorization", &bearer(&edge.key))]).await, Some(400));
    assert_eq!(status(&path, &[("authorization", &bearer(&edge.key))]).await, None);
    let plain = t.client.get(t.url(&path)).bearer_auth(&edge.key);
    let answer = Answer::of(plain).await;
    answer.problem(426, "upgrade_required");
    assert_eq!((answer.header("upgrade"), answer.header("sec-websocket-version")), (Some("websocket"), Some("13")));
    let odd = t.client.get(t.url(&path)).bearer_auth(&edge.key).header("sec-websocket-key", "abc");
    Answer::of(odd).await.problem(400, "invalid_input");
}

#[tokio::test]
async fn a_session_begins_with_hello_and_welcome() {
    let t = TestServer::start().await;
    let edge = one_edge(&t).await;
    let (mut socket, welcome) = edge.connect(&t).await;
    let epoch: String = sqlx::query_scalar("SELECT value FROM ar.meta WHERE key = 'epoch'").fetch_one(&t.sql).await.expect("reads");
    assert_eq!((&welcome["epoch"], &welcome["heartbeat_seconds"], &welcome["mode"]), (&json!(epoch), &json!(30), &json!("snapshot")));
    let session: Uuid = sqlx::query_scalar("SELECT session_id FROM ar.edge_sessions").fetch_one(&t.sql).await.expect("reads");
    assert_eq!(welcome["session_id"], json!(session));
    let all = socket.data("sync_decorations").await;
    assert_eq!(all, json!({"batch_id": 1, "version": 0, "decorations": [], "removed": [], "snapshot": {"first": true, "last": true}}));
    socket.send("sync_ack", json!({"batch_id": 1, "results": []})).await;
    assert_eq!(socket.data("checkpoint").await, json!({"version": 0, "count": 0, "digest": "0000000000000000"}));
    let mut again = edge.open(&t).await;
    let mut known = hello();
    known["epoch"] = json!(epoch);
    again.send("hello", known).await;
    assert_eq!(again.data("welcome").await["mode"], "delta");
}

#[tokio::test]
async fn who_does_not_say_hello_is_sent_away() {
    let t = TestServer::start().await;
    let edge = one_edge(&t).await;
    let mut beats = edge.open(&t).await;
    beats.send("health_update", health_update(1.0)).await;
    assert_eq!(beats.closed().await, (1008, "hello_expected".to_owned()));
    let mut odd = edge.open(&t).await;
    let mut digest = hello();
    digest["held"]["digest"] = json!("zz");
    odd.send("hello", digest).await;
    assert_eq!(odd.data("error").await["code"], "out_of_domain", "what is wrong is said before");
    assert_eq!(odd.closed().await, (1008, "hello_expected".to_owned()));
    let mut newer = edge.open(&t).await;
    let mut two = hello();
    two["protocol"] = json!(2);
    newer.send("hello", two).await;
    assert_eq!(newer.closed().await, (1008, "unsupported_protocol".to_owned()));
    let mut silent = edge.open(&t).await;
    assert_eq!(silent.closed().await, (1008, "no_hello".to_owned()));
}

#[tokio::test]
async fn a_second_connection_takes_over_on_whichever_instance() {
    let t = TestServer::start().await;
    let other = TestServer::on(t.db().options(), Config::default()).await;
    let edge = one_edge(&t).await;
    let (mut first, _) = edge.connect(&t).await;
    let (mut second, _) = edge.connect(&t).await;
    assert_eq!(first.closed().await, (1008, "superseded".to_owned()));
    let (mut third, welcome) = edge.connect(&other).await;
    assert_eq!(second.closed().await, (1008, "superseded".to_owned()));
    third.send("health_update", health_update(33.0)).await;
    eventually("the newest beats", async || {
        let cpu: Option<f64> = sqlx::query_scalar("SELECT cpu_usage FROM ar.edge_servers").fetch_one(&t.sql).await.expect("reads");
        (cpu == Some(33.0)).then_some(())
    })
    .await;
    let session: Uuid = sqlx::query_scalar("SELECT session_id FROM ar.edge_sessions").fetch_one(&t.sql).await.expect("reads");
    assert_eq!(welcome["session_id"], json!(session), "the ends of the others left it alone");
}

#[tokio::test]
async fn a_revoked_key_and_a_removed_edge_close_the_socket() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    let edge = RegisteredEdge::create(&t, &admin, edge_body("a", 1.0, 2.0)).await;
    let (mut socket, _) = edge.connect(&t).await;
    let path = format!("/api/v1/edge-servers/{}", edge.id);
    let rotated = admin.send(&t, Method::POST, &format!("{path}/keys"), json!({"revoke_previous": true})).await.json();
    assert_eq!(socket.closed().await, (1008, "key_revoked".to_owned()));
    let renewed = RegisteredEdge { key: rotated["edge_key"].as_str().expect("a key").to_owned(), ..edge };
    let (mut socket, _) = renewed.connect(&t).await;
    assert_eq!(admin.ask(&t, Method::DELETE, &path).await.status, 204);
    assert_eq!(socket.closed().await, (1008, "key_revoked".to_owned()));
}

#[tokio::test]
async fn a_key_that_runs_out_closes_the_socket_without_a_notice() {
    let t = TestServer::start().await;
    let edge = one_edge(&t).await;
    let (mut socket, _) = edge.connect(&t).await;
    sqlx::query("UPDATE ar.edge_keys SET expires_at = now()").execute(&t.sql).await.expect("expires");
    let started = std::time::Instant::now();
    assert_eq!(socket.closed().await, (1008, "key_revoked".to_owned()));
    assert!(started.elapsed().as_secs_f64() < 6.0, "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_drain_is_told_at_once_and_at_the_next_connection() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    let edge = RegisteredEdge::create(&t, &admin, edge_body("a", 1.0, 2.0)).await;
    let (mut socket, _) = edge.connect(&t).await;
    let path = format!("/api/v1/edge-servers/{}/drain", edge.id);
    assert_eq!(admin.ask(&t, Method::POST, &path).await.status, 202);
    let deadline = socket.data("drain").await["deadline"].clone();
    let (mut again, _) = edge.connect(&t).await;
    assert_eq!(again.data("drain").await["deadline"], deadline);
}

#[tokio::test]
async fn bad_messages_are_answered_and_the_tenth_closes() {
    let t = TestServer::start().await;
    let edge = one_edge(&t).await;
    let (mut socket, _) = edge.connect(&t).await;
    let bad: [(&str, &str); 10] = [
        ("{", "bad_message"),
        ("[]", "bad_message"),
        (r#"{"type":"moon","data":{}}"#, "unknown_type"),
        (r#"{"type":"hello","data":{"protocol":1,"agent":"a","epoch":null,"held":{"count":0,"digest":"0000000000000000"}}}"#, "unexpected"),
        (r#"{"type":"health_update","data":{"cpu_usage":101,"memory_usage":1,"active_connections":1,"timestamp":""}}"#, "out_of_domain"),
        (r#"{"type":"health_update","data":{"cpu_usage":"1","memory_usage":1,"active_connections":1,"timestamp":""}}"#, "bad_message"),
        (
            r#"{"type":"device_locations","data":{"locations":[{"device_id":"d","lat":91,"lng":0,"recorded_at":"2026-01-01T00:00:00Z"}]}}"#,
            "out_of_domain",
        ),
        (r#"{"type":"device_connected","data":{}}"#, "bad_message"),
        (r#"{"type":"device_connected","data":{"device_id":"a","lat":1}}"#, "out_of_domain"),
        (r#"{"data":{}}"#, "bad_message"),
    ];
    for (text, code) in bad {
        socket.send_raw(Message::text(text)).await;
        assert_eq!(socket.data("error").await["code"], code, "{text}");
    }
    assert_eq!(socket.closed().await, (1008, "too_many_bad_messages".to_owned()));
}

#[tokio::test]
async fn frames_that_are_none_of_ours_close_with_their_code() {
    let t = TestServer::start().await;
    let edge = one_edge(&t).await;
    let not_utf8 = Message::Frame(Frame::message(vec![0xff, 0xfe], OpCode::Data(Data::Text), true));
    let cases = [(Message::binary(vec![1, 2, 3]), 1003), (Message::text("x".repeat(65_537)), 1009), (not_utf8, 1007)];
    for (message, code) in cases {
        let (mut socket, _) = edge.connect(&t).await;
        socket.send_raw(message).await;
        assert_eq!(socket.closed().await.0, code);
    }
    // As large as may be.
    let (mut socket, _) = edge.connect(&t).await;
    let mut update = health_update(7.0);
    update["padding"] = Value::from("x".repeat(65_000));
    socket.send("health_update", update).await;
    eventually("it counts", async || {
        let cpu: Option<f64> = sqlx::query_scalar("SELECT cpu_usage FROM ar.edge_servers").fetch_one(&t.sql).await.expect("reads");
        (cpu == Some(7.0)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn only_the_newest_of_many_beats_is_written_and_a_skewed_clock_is_measured() {
    let t = TestServer::start().await;
    let edge = one_edge(&t).await;
    let (mut socket, _) = edge.connect(&t).await;
    for cpu in 1..=50 {
        let mut update = health_update(f64::from(cpu));
        update["timestamp"] = json!("2031-01-01T00:00:00Z");
        update["active_connections"] = json!(cpu);
        socket.send("health_update", update).await;
    }
    let state = eventually("the newest is written", async || {
        let state: (Option<f64>, Option<f64>, String) =
            sqlx::query_as("SELECT cpu_usage, clock_skew_s, health_status FROM ar.edge_servers").fetch_one(&t.sql).await.expect("reads");
        (state.0 == Some(50.0)).then_some(state)
    })
    .await;
    assert!(state.1.is_some_and(|skew_s| skew_s > 1e8), "{state:?}");
    assert_eq!(state.2, "healthy", "an edge's clock is never an error");
    let reported: i32 = sqlx::query_scalar("SELECT reported_connections FROM ar.edge_load").fetch_one(&t.sql).await.expect("reads");
    assert_eq!(reported, 50);
    let written: i64 =
        sqlx::query_scalar("SELECT count(*) FROM ar.system_metrics WHERE metric_type = 'cpu'").fetch_one(&t.sql).await.expect("counts");
    assert!(written <= 5, "{written} samples of 50 beats");
}

#[tokio::test]
async fn edges_are_told_of_their_devices_wherever_their_socket_is() {
    let t = TestServer::start().await;
    let other = TestServer::on(t.db().options(), Config::default()).await;
    let edge = one_edge(&t).await;
    let user = t.user().await;
    let put = async |lat: f64| {
        let path = "/api/v1/devices/phone-1/location";
        user.send(&t, Method::PUT, path, json!({"lat": lat, "lng": 2.0})).await.ok().json()
    };
    let (mut socket, _) = edge.connect(&other).await;
    assert_eq!(put(1.0).await["edge_server"]["id"], json!(edge.id));
    assert_eq!(socket.data("device_assigned").await, json!({"device_id": "phone-1"}));
    assert_eq!(user.ask(&t, Method::DELETE, "/api/v1/devices/phone-1").await.status, 204);
    assert_eq!(socket.data("device_released").await, json!({"device_id": "phone-1"}));
}

#[tokio::test]
async fn edges_report_where_their_devices_are_and_nobody_elses() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    let edge = RegisteredEdge::create(&t, &admin, edge_body("a", 1.0, 2.0)).await;
    let stranger = RegisteredEdge::create(&t, &admin, edge_body("far", 50.0, 50.0)).await;
    let user = t.user().await;
    user.send(&t, Method::PUT, "/api/v1/devices/phone-1/location", json!({"lat": 1.0, "lng": 2.0, "recorded_at": "2025-01-01T00:00:00Z"}))
        .await
        .ok();
    let report = |lat: f64, at: &str| json!({"locations": [{"device_id": "phone-1", "lat": lat, "lng": 2.0, "recorded_at": at}, {"device_id": "unknown", "lat": 0, "lng": 0, "recorded_at": at}]});
    let latitude = async || user.get(&t, "/api/v1/devices/phone-1").await.ok().json()["lat"].clone();
    let (mut foreign, _) = stranger.connect(&t).await;
    foreign.send("device_locations", report(7.0, "2025-07-01T00:00:00Z")).await;
    let (mut socket, _) = edge.connect(&t).await;
    socket.send("device_locations", report(1.001, "2025-06-01T00:00:00Z")).await;
    eventually("the report is written", async || (latitude().await == 1.001).then_some(())).await;
    socket.send("device_locations", report(1.002, "2025-05-01T00:00:00Z")).await;
    socket.send("device_disconnected", json!({"device_id": "phone-1"})).await;
    let device = eventually("it is gone", async || {
        let device = user.get(&t, "/api/v1/devices/phone-1").await.ok().json();
        (device["connection_status"] == "disconnected").then_some(device)
    })
    .await;
    assert_eq!(
        (&device["lat"], &device["edge_server_id"]),
        (&json!(1.001), &Value::Null),
        "an older fix and another edge's change nothing"
    );
}

//! How an edge server is, from what is heard of it: contract §4, "Health".

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Account, Answer, Config, RegisteredEdge, TestServer, edge_body, eventually, health_update};

struct Watched {
    t: TestServer,
    admin: Account,
    edge: RegisteredEdge,
}

impl Watched {
    async fn start() -> Self {
        let t = TestServer::start().await;
        let admin = t.admin().await;
        let edge = RegisteredEdge::create(&t, &admin, edge_body("a", 1.0, 2.0)).await;
        Self { t, admin, edge }
    }

    async fn ping(&self, body: Value) -> [Value; 2] {
        let ping = self.t.client.post(self.t.url(&format!("/api/v1/edge-servers/{}/ping", self.edge.id)));
        Answer::of(ping.bearer_auth(&self.edge.key).json(&body)).await.ok();
        self.health().await
    }

    async fn status(&self) -> Value {
        self.admin.get(&self.t, &format!("/api/v1/edge-servers/{}/status", self.edge.id)).await.ok().json()
    }

    async fn health(&self) -> [Value; 2] {
        let status = self.status().await;
        [status["health_status"].clone(), status["health_reason"].clone()]
    }

    /// As if the last beat had been so many seconds ago.
    async fn silent_for(&self, seconds: f64) {
        self.t.watched_for_long().await;
        let back = sqlx::query("UPDATE ar.edge_servers SET last_ping = now() - make_interval(secs => $1)");
        back.bind(seconds).execute(&self.t.sql).await.expect("moves time");
    }

    async fn becomes(&self, status: &str, reason: Value) {
        let what = format!("{status} {reason}");
        eventually(&what, async || (self.health().await == [json!(status), reason.clone()]).then_some(())).await;
    }
}

fn healthy() -> [Value; 2] {
    [json!("healthy"), Value::Null]
}

fn degraded(reason: &str) -> [Value; 2] {
    [json!("degraded"), json!(reason)]
}

#[tokio::test]
async fn the_rules_are_those_of_the_contract() {
    let t = TestServer::start().await;
    // Age of the last beat, CPU, memory, failed probes, socket lost, good beats, what it was.
    let cases: [(Option<f64>, f64, f64, i32, bool, i32, &str, &str, Option<&str>); 19] = [
        (None, 0.0, 0.0, 0, false, 0, "unknown", "unknown", Some("never_heard")),
        (Some(0.0), 0.0, 0.0, 0, false, 1, "unknown", "healthy", None),
        (Some(45.0), 0.0, 0.0, 0, false, 2, "healthy", "healthy", None),
        (Some(45.1), 0.0, 0.0, 0, false, 2, "healthy", "degraded", Some("late_beat")),
        (Some(105.0), 0.0, 0.0, 0, false, 2, "degraded", "degraded", Some("late_beat")),
        (Some(105.1), 0.0, 0.0, 0, false, 2, "degraded", "offline", Some("silent")),
        (Some(1.0), 89.9, 89.9, 0, false, 2, "healthy", "healthy", None),
        (Some(1.0), 90.0, 0.0, 0, false, 2, "healthy", "degraded", Some("cpu_high")),
        (Some(1.0), 0.0, 90.0, 0, false, 2, "healthy", "degraded", Some("memory_high")),
        (Some(1.0), 0.0, 0.0, 1, false, 2, "healthy", "healthy", None),
        (Some(1.0), 0.0, 0.0, 2, false, 2, "healthy", "degraded", Some("probe_failed")),
        (Some(1.0), 0.0, 0.0, 1, false, 2, "degraded", "degraded", Some("probe_failed")),
        (Some(1.0), 0.0, 0.0, 1, false, 1, "unknown", "degraded", Some("probe_failed")),
        (Some(1.0), 0.0, 0.0, 0, true, 2, "healthy", "degraded", Some("socket_lost")),
        (Some(1.0), 0.0, 0.0, 0, false, 1, "degraded", "degraded", Some("recovering")),
        (Some(1.0), 0.0, 0.0, 0, false, 2, "degraded", "healthy", None),
        (Some(1.0), 0.0, 0.0, 0, false, 1, "offline", "degraded", Some("recovering")),
        (Some(1.0), 0.0, 0.0, 0, false, 2, "offline", "healthy", None),
        (Some(200.0), 99.0, 99.0, 9, true, 0, "offline", "offline", Some("silent")),
    ];
    for case in cases {
        let (age_s, cpu, memory, probes, lost, good, was, status, reason) = case;
        let judged = sqlx::query_as("SELECT health_status, health_reason FROM gis.edge_health($1, 30, $2, $3, $4, $5, $6, $7)");
        let judged = judged.bind(age_s).bind(cpu).bind(memory).bind(probes).bind(lost).bind(good).bind(was);
        let judged: (String, Option<String>) = judged.fetch_one(&t.sql).await.expect("judges");
        assert_eq!((judged.0.as_str(), judged.1.as_deref()), (status, reason), "{case:?}");
    }
}

#[tokio::test]
async fn falling_is_immediate_and_rising_takes_two_good_beats() {
    let w = Watched::start().await;
    assert_eq!(w.health().await, [json!("unknown"), json!("never_heard")]);
    assert_eq!(w.ping(json!({})).await, healthy());
    assert_eq!(w.ping(json!({"cpu_usage": 95})).await, degraded("cpu_high"));
    assert_eq!(w.ping(json!({"cpu_usage": 50})).await, degraded("recovering"));
    assert_eq!(w.ping(json!({"cpu_usage": 50, "memory_usage": 91})).await, degraded("memory_high"), "a bad one begins anew");
    assert_eq!(w.ping(json!({"cpu_usage": 50, "memory_usage": 5})).await, degraded("recovering"));
    assert_eq!(w.ping(json!({"cpu_usage": 50, "memory_usage": 5, "active_connections": 7})).await, healthy());
    let status = w.status().await;
    assert_eq!(
        (&status["cpu_usage"], &status["memory_usage"], &status["reported_connections"], &status["load"]),
        (&json!(50.0), &json!(5.0), &json!(7), &json!(0.07))
    );
}

#[tokio::test]
async fn who_is_silent_is_degraded_and_then_offline_and_comes_back_by_two_beats() {
    let w = Watched::start().await;
    w.ping(json!({})).await;
    w.silent_for(46.0).await;
    w.becomes("degraded", json!("late_beat")).await;
    w.silent_for(106.0).await;
    w.becomes("offline", json!("silent")).await;
    assert_eq!(w.ping(json!({})).await, degraded("recovering"));
    assert_eq!(w.ping(json!({})).await, healthy());
    let samples: i64 = sqlx::query_scalar("SELECT count(*) FROM ar.system_metrics WHERE edge_server_id IS NOT NULL")
        .fetch_one(&w.t.sql)
        .await
        .expect("counts");
    assert_eq!(samples, 0, "pings that tell nothing leave no samples");
}

#[tokio::test]
async fn after_an_outage_silence_counts_from_its_end_and_nobody_rises_by_it() {
    let w = Watched::start().await;
    w.ping(json!({})).await;
    w.silent_for(1_000.0).await;
    w.becomes("offline", json!("silent")).await;
    // As if nobody had watched for an hour: what comes after it counts, and what fell before stays so.
    let gap = sqlx::query("UPDATE ar.supervision SET watched_at = now() - interval '1 hour'");
    gap.execute(&w.t.sql).await.expect("moves time");
    let other = RegisteredEdge::create(&w.t, &w.admin, edge_body("b", 1.0, 2.0)).await;
    let beat = w.t.client.post(w.t.url(&format!("/api/v1/edge-servers/{}/ping", other.id))).bearer_auth(&other.key).json(&json!({}));
    Answer::of(beat).await.ok();
    eventually("the watch begins anew", async || {
        let anew: bool = sqlx::query_scalar("SELECT watched_from > now() - interval '10 seconds' FROM ar.supervision")
            .fetch_one(&w.t.sql)
            .await
            .expect("reads");
        anew.then_some(())
    })
    .await;
    let silent = sqlx::query("UPDATE ar.edge_servers SET last_ping = now() - interval '1 hour' WHERE id = $1");
    silent.bind(other.id).execute(&w.t.sql).await.expect("moves time");
    // Two looks later both are what they were.
    let looked = async || {
        let at: chrono::DateTime<chrono::Utc> =
            sqlx::query_scalar("SELECT watched_at FROM ar.supervision").fetch_one(&w.t.sql).await.expect("reads");
        at
    };
    for _ in 0..2 {
        let before = looked().await;
        eventually("one more look", async || (looked().await > before).then_some(())).await;
    }
    let states: Vec<(String, String)> =
        sqlx::query_as("SELECT name, health_status FROM ar.edge_servers ORDER BY name").fetch_all(&w.t.sql).await.expect("reads");
    assert_eq!(states, [("a".to_owned(), "offline".to_owned()), ("b".to_owned(), "healthy".to_owned())]);
}

#[tokio::test]
async fn a_socket_that_breaks_degrades_at_once_and_one_that_is_renewed_rises_by_two_beats() {
    let w = Watched::start().await;
    let (mut socket, _) = w.edge.connect(&w.t).await;
    socket.send("health_update", health_update(5.0)).await;
    w.becomes("healthy", Value::Null).await;
    drop(socket);
    w.becomes("degraded", json!("socket_lost")).await;
    assert_eq!(w.status().await["connected"], false);
    let (mut socket, _) = w.edge.connect(&w.t).await;
    assert_eq!(w.status().await["connected"], true);
    socket.send("health_update", health_update(5.0)).await;
    w.becomes("degraded", json!("recovering")).await;
    socket.send("health_update", health_update(5.0)).await;
    w.becomes("healthy", Value::Null).await;
}

#[tokio::test]
async fn the_edges_of_a_dead_instance_have_lost_their_sockets() {
    let w = Watched::start().await;
    w.ping(json!({})).await;
    let key: Uuid = sqlx::query_scalar("SELECT id FROM ar.edge_keys").fetch_one(&w.t.sql).await.expect("a key");
    let session = sqlx::query(
        "INSERT INTO ar.edge_sessions (edge_server_id, key_id, session_id, instance_id, generation, lease_until)
         VALUES ($1, $2, gen_random_uuid(), gen_random_uuid(), 0, now() - interval '1 second')",
    );
    session.bind(w.edge.id).bind(key).execute(&w.t.sql).await.expect("goes in");
    w.becomes("degraded", json!("socket_lost")).await;
    let sessions: i64 = sqlx::query_scalar("SELECT count(*) FROM ar.edge_sessions").fetch_one(&w.t.sql).await.expect("counts");
    assert_eq!(sessions, 0);
    // It beats without one.
    w.ping(json!({})).await;
    assert_eq!(w.ping(json!({})).await, healthy());
}

#[tokio::test]
async fn beats_leave_samples_and_a_ping_tells_what_waits() {
    let w = Watched::start().await;
    w.t.decoration("near").at(1.0, 2.0).insert().await;
    let decoration: Uuid = sqlx::query_scalar("SELECT id FROM ar.decorations").fetch_one(&w.t.sql).await.expect("reads");
    let resend = w.admin.ask(&w.t, Method::POST, &format!("/api/v1/decorations/{decoration}/sync")).await;
    assert_eq!(resend.status, 202);
    let ping = w.t.client.post(w.t.url(&format!("/api/v1/edge-servers/{}/ping", w.edge.id))).bearer_auth(&w.edge.key);
    let told = Answer::of(ping.json(&json!({"cpu_usage": 12.5, "active_connections": 3}))).await.ok().json();
    assert_eq!(told["pending"], 1);
    let status = w.status().await;
    assert_eq!((&status["sync"]["pending"], &status["sync"]["synced"]), (&json!(1), &json!(0)));
    assert!(status["sync"]["lag_seconds"].as_f64().is_some_and(|lag| (0.0..60.0).contains(&lag)), "{status}");
    let samples: Vec<(String, f64)> =
        sqlx::query_as("SELECT metric_type, metric_value FROM ar.system_metrics WHERE edge_server_id IS NOT NULL ORDER BY 1")
            .fetch_all(&w.t.sql)
            .await
            .expect("reads");
    assert_eq!(samples, [("connections".to_owned(), 3.0), ("cpu".to_owned(), 12.5)]);
}

#[tokio::test]
async fn an_interval_of_its_own_is_kept() {
    let t = TestServer::start_with(Config::of("EDGE_HEALTH_CHECK_INTERVAL", "1s")).await;
    let admin = t.admin().await;
    let edge = RegisteredEdge::create(&t, &admin, edge_body("a", 1.0, 2.0)).await;
    let (mut socket, welcome) = edge.connect(&t).await;
    assert_eq!(welcome["heartbeat_seconds"], 1);
    socket.send("health_update", health_update(5.0)).await;
    let health = async || admin.get(&t, &format!("/api/v1/edge-servers/{}/status", edge.id)).await.ok().json()["health_status"].clone();
    for status in ["healthy", "degraded", "offline"] {
        eventually(status, async || (health().await == status).then_some(())).await;
    }
}

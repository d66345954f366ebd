//! Devices of lost edges are moved, silent ones disconnected, and positions forgotten.

use futures_util::future::join_all;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

use super::{HERE, check_places, edge, locate, number, put, run, session, set_device, set_edge};
use crate::support::{Account, Config, Proof, TestServer, eventually};

/// Devices of a lost edge are elsewhere within this.
const LATEST: Duration = Duration::from_secs(10);

async fn fill(t: &TestServer, user: &Account, count: usize) {
    join_all((0..count).map(|i| {
        let device_id = format!("p{i:03}");
        async move { put(t, user, &device_id, json!({"lat": HERE.0, "lng": HERE.1})).await.ok() }
    }))
    .await;
}

/// Waits until an edge has so many devices; how long that took.
async fn until(t: &TestServer, edge_id: uuid::Uuid, count: i64) -> Duration {
    let started = Instant::now();
    let query = format!("SELECT count(*) FROM ar.device_connections WHERE edge_server_id = '{edge_id}'");
    eventually("the devices are moved", async || (number(t, &query).await == count).then_some(())).await;
    started.elapsed()
}

#[tokio::test]
async fn devices_of_a_lost_edge_are_elsewhere_within_ten_seconds() {
    let t = TestServer::start().await;
    let user = t.user().await;
    let a = edge(&t, HERE, 100).await;
    fill(&t, &user, 60).await;
    let b = edge(&t, HERE, 100).await;
    session(&t, a, 1).await;
    session(&t, b, 1).await;
    let mut slowest = Duration::ZERO;
    let (mut from, mut to) = (a, b);
    for lost in ["health_status = 'offline'", "deleted_at = now()", "is_active = false", "draining = true"] {
        set_edge(&t, from, lost).await;
        slowest = slowest.max(until(&t, to, 60).await);
        // Told at its next word, once.
        assert_eq!(locate(&t, &user, "p007", HERE).await["handover"], true, "{lost}");
        assert_eq!(locate(&t, &user, "p007", HERE).await["handover"], false, "{lost}");
        set_edge(&t, from, "health_status = 'unknown', deleted_at = NULL, is_active = true, draining = false").await;
        (from, to) = (to, from);
        check_places(&t.sql).await;
    }
    println!("slowest {slowest:?}");
    assert!(slowest < LATEST, "{slowest:?}");
    assert_eq!(number(&t, "SELECT count(*) FROM ar.edge_device_notices WHERE assigned").await, 240);
    assert_eq!(number(&t, "SELECT count(*) FROM ar.edge_device_notices WHERE NOT assigned").await, 240);
}

#[tokio::test]
async fn where_nobody_else_is_a_draining_edge_keeps_them_and_a_lost_one_does_not() {
    let t = TestServer::start().await;
    let user = t.user().await;
    let a = edge(&t, HERE, 100).await;
    fill(&t, &user, 5).await;
    set_edge(&t, a, "draining = true").await;
    run(&t.sql, "UPDATE ar.device_connections SET edge_chosen_at = now() - interval '10 s'").await;
    let tried = "SELECT count(*) FROM ar.device_connections WHERE edge_chosen_at > now() - interval '9 s'";
    eventually("they were tried", async || (number(&t, tried).await == 5).then_some(())).await;
    assert_eq!(number(&t, "SELECT count(*) FROM ar.device_connections WHERE edge_server_id IS NOT NULL AND NOT handed_over").await, 5);
    // Another with room for two.
    let b = edge(&t, HERE, 2).await;
    run(&t.sql, "UPDATE ar.device_connections SET edge_chosen_at = now() - interval '10 s'").await;
    until(&t, b, 2).await;
    set_edge(&t, a, "health_status = 'offline'").await;
    until(&t, a, 0).await;
    check_places(&t.sql).await;
    assert_eq!(
        number(&t, "SELECT count(*) FROM ar.device_connections WHERE edge_server_id IS NULL AND edge_reason = 'all_full' AND handed_over")
            .await,
        3
    );
    set_edge(&t, a, "health_status = 'healthy', draining = false").await;
    let homeless: String = sqlx::query_scalar("SELECT device_id FROM ar.device_connections WHERE edge_server_id IS NULL LIMIT 1")
        .fetch_one(&t.sql)
        .await
        .expect("one");
    let told = locate(&t, &user, &homeless, HERE).await;
    assert_eq!((&told["edge_server"]["id"], &told["handover"]), (&json!(a), &json!(true)), "at once, and told");
    check_places(&t.sql).await;
}

#[tokio::test]
async fn silence_ends_a_connection_and_frees_its_place() {
    let t = TestServer::start_with(Config::of("DEVICE_PING_TIMEOUT", "3s")).await;
    let user = t.user().await;
    let edge_id = edge(&t, HERE, 2).await;
    session(&t, edge_id, 1).await;
    fill(&t, &user, 2).await;
    assert_eq!(locate(&t, &user, "late", HERE).await["reason"], "all_full");
    t.watched_for_long().await;
    set_device(&t, "p000", "last_ping = now() - interval '4 s'").await;
    let gone = eventually("it is disconnected", async || {
        let device = user.get(&t, "/api/v1/devices/p000").await.ok().json();
        (device["connection_status"] == "disconnected").then_some(device)
    })
    .await;
    assert_eq!((&gone["edge_server_id"], &gone["lat"]), (&Value::Null, &json!(52.52)));
    check_places(&t.sql).await;
    assert_eq!(number(&t, "SELECT count(*) FROM ar.edge_device_notices WHERE device_id = 'p000' AND NOT assigned").await, 1);
    set_device(&t, "late", "edge_chosen_at = NULL").await;
    assert_eq!(locate(&t, &user, "late", HERE).await["edge_server"]["id"], json!(edge_id));
    check_places(&t.sql).await;
}

#[tokio::test]
async fn exact_positions_are_forgotten_after_their_time() {
    let t = TestServer::start_with(Config::of("DEVICE_PING_TIMEOUT", "3s").and("LOCATION_RETENTION", "60s")).await;
    let mut proof = Proof::of("P24", "positions after their time");
    let user = t.user().await;
    edge(&t, HERE, 10).await;
    put(&t, &user, "old", json!({"lat": 52.52, "lng": 13.405, "accuracy_meters": 5, "app_version": "1"})).await.ok();
    locate(&t, &user, "new", HERE).await;
    // Signs of life without a position keep none.
    set_device(&t, "old", "positioned_at = now() - interval '61 s'").await;
    let kept = "SELECT count(*) FROM ar.device_connections WHERE coalesce(position::text, cell_centre::text, h3_r7::text, h3_r9::text, accuracy_meters::text, recorded_at::text, edge_chosen_cell::text) IS NOT NULL";
    eventually("the old one is forgotten", async || (number(&t, kept).await == 1).then_some(())).await;
    proof.tried(1);
    let device = user.get(&t, "/api/v1/devices/old").await.ok().json();
    assert_eq!(
        (&device["lat"], &device["lng"], &device["h3_r9"], &device["app_version"]),
        (&Value::Null, &Value::Null, &Value::Null, &json!("1"))
    );
    assert_eq!(user.get(&t, "/api/v1/devices?lat=52.52&lng=13.405").await.ok().texts("device_id"), ["new"]);
    // A position of any time is news then.
    let told = put(&t, &user, "old", json!({"lat": 52.52, "lng": 13.405, "recorded_at": "2020-01-01T00:00:00Z"})).await.ok().json();
    assert_eq!((&told["stale"], &told["device"]["lat"]), (&json!(false), &json!(52.52)));
    check_places(&t.sql).await;
}

//! An edge that dies without a word: seen at once, offline by the contract's times, its phones elsewhere soon after,
//! and back again by two good beats.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Config, RegisteredEdge, Socket, TestServer, edge_body, eventually, health_update};

/// Beats until it is aborted, and then is gone without a word.
async fn beat(mut socket: Socket) {
    loop {
        socket.send("health_update", health_update(5.0)).await;
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
}

#[tokio::test]
async fn an_edge_that_dies_is_degraded_and_then_offline_and_its_phones_are_elsewhere() {
    let t = TestServer::start_with(Config::of("EDGE_HEALTH_CHECK_INTERVAL", "2s")).await;
    let (admin, user) = (t.admin().await, t.user().await);
    // So large that its phones do not make the other one the better choice.
    let mut large = edge_body("near", 1.0, 2.0);
    large["max_connections"] = json!(10_000);
    let near = RegisteredEdge::create(&t, &admin, large).await;
    let dying = tokio::spawn(beat(near.connect(&t).await.0));
    let far = RegisteredEdge::create(&t, &admin, edge_body("far", 1.03, 2.0)).await;
    let living = tokio::spawn(beat(far.connect(&t).await.0));
    let state = async || {
        let edge = admin.get(&t, &format!("/api/v1/edge-servers/{}", near.id)).await.ok().json();
        [edge["health_status"].clone(), edge["health_reason"].clone()]
    };
    eventually("it is healthy", async || (state().await == [json!("healthy"), Value::Null]).then_some(())).await;
    let phones: Vec<String> = (0..20).map(|n| format!("/api/v1/devices/phone-{n}")).collect();
    for phone in &phones {
        let placed = user.send(&t, Method::PUT, &format!("{phone}/location"), json!({"lat": 1.0, "lng": 2.0})).await.ok().json();
        assert_eq!(placed["edge_server"]["id"], json!(near.id));
    }
    // As by kill -9: the connection is gone without a close.
    dying.abort();
    let died = Instant::now();
    eventually("it is degraded", async || (state().await == [json!("degraded"), json!("socket_lost")]).then_some(())).await;
    assert!(died.elapsed() < Duration::from_millis(1_500), "at once, and not when its beat is late: {:?}", died.elapsed());
    eventually("it is offline", async || (state().await[0] == "offline").then_some(())).await;
    let offline = Instant::now();
    for phone in &phones {
        eventually("its phones are elsewhere", async || {
            (user.get(&t, phone).await.ok().json()["edge_server_id"] == json!(far.id)).then_some(())
        })
        .await;
    }
    assert!(offline.elapsed() < Duration::from_secs(10), "{:?}", offline.elapsed());
    let told = user.send(&t, Method::PUT, &format!("{}/location", phones[0]), json!({"lat": 1.0, "lng": 2.0})).await.ok().json();
    assert_eq!((&told["handover"], &told["edge_server"]["id"]), (&json!(true), &json!(far.id)), "the phone is told with its next position");
    let (mut back, _) = near.connect(&t).await;
    back.send("health_update", health_update(5.0)).await;
    eventually("one beat is not enough", async || (state().await == [json!("degraded"), json!("recovering")]).then_some(())).await;
    back.send("health_update", health_update(5.0)).await;
    eventually("two are", async || (state().await == [json!("healthy"), Value::Null]).then_some(())).await;
    living.abort();
}

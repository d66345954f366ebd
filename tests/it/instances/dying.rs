//! A process that is killed: its edges fall by the contract's times or go to the other one, and nothing is missing there.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::Method;
use serde_json::json;
use uuid::Uuid;

use super::Two;
use crate::support::{Held, HoldingEdge, RegisteredEdge, edge_body, eventually, health_update};
use crate::sync::delivering::{create, import, settled};

/// `EDGE_HEALTH_CHECK_INTERVAL`.
const INTERVAL_S: f64 = 2.0;

/// When an edge was found to be so, in seconds after its last beat.
async fn fell_after_s(two: &Two, edge: Uuid, status: &str) -> Option<f64> {
    let found: Option<(DateTime<Utc>, DateTime<Utc>)> = sqlx::query_as(
        "SELECT h.changed_at, e.last_ping FROM ar.edge_health_changes h JOIN ar.edge_servers e ON e.id = h.edge_server_id
         WHERE e.id = $1 AND h.health_status = $2 AND h.changed_at > e.last_ping ORDER BY h.changed_at LIMIT 1",
    )
    .bind(edge)
    .bind(status)
    .fetch_optional(&two.b.sql)
    .await
    .expect("reads");
    found.map(|(changed_at, beat_at)| (changed_at - beat_at).as_seconds_f64())
}

#[tokio::test(flavor = "multi_thread")]
async fn edges_of_a_killed_process_fall_in_time_or_go_on_at_the_other_with_nothing_missing() {
    let mut two = Two::start(&[("EDGE_HEALTH_CHECK_INTERVAL", "2s")]).await;
    let (admin, user) = (two.a.admin().await, two.a.user().await);
    two.a.watched_for_long().await;
    import(&two.a, &admin, 300, "place", "a place").await;
    // One comes back to wherever the service is.
    let place: Arc<Mutex<SocketAddr>> = Arc::new(Mutex::new(two.a.address));
    let registered = RegisteredEdge::create(&two.a, &admin, edge_body("comes back", 10.0, 20.0)).await;
    let address = Arc::clone(&place);
    let living = HoldingEdge::live(registered, move || *address.lock().expect("not poisoned"), Held::default());
    settled(&two.a.sql, &living).await;
    // The other one dies with its instance.
    let silent = RegisteredEdge::create(&two.a, &admin, edge_body("stays away", 11.0, 21.0)).await;
    let (mut socket, _) = silent.connect(&two.a).await;
    let path = "/api/v1/devices/phone/location";
    socket.send("health_update", health_update(5.0)).await;
    eventually("it is healthy", async || {
        let edge = admin.get(&two.b, &format!("/api/v1/edge-servers/{}", silent.id)).await.ok().json();
        (edge["health_status"] == "healthy").then_some(())
    })
    .await;
    let placed = user.send(&two.b, Method::PUT, path, json!({"lat": 11.0, "lng": 21.0})).await.ok().json();
    assert_eq!(placed["edge_server"]["id"], json!(silent.id));

    two.a.kill();
    *place.lock().expect("not poisoned") = two.b.address;
    // Written while nobody holds its socket, perhaps.
    create(&two.b, &admin, "late", 10.0, 20.0).await;
    settled(&two.b.sql, &living).await;
    let held = living.held();
    assert_eq!((held.items.len(), held.falls, held.repeats), (301, 0, 0));

    // A sweep is a tenth of an interval, and the one that is due may have died with its instance.
    let late_s = 2.0;
    let degraded = eventually("it is degraded", async || fell_after_s(&two, silent.id, "degraded").await).await;
    assert!((1.5 * INTERVAL_S..1.5 * INTERVAL_S + late_s).contains(&degraded), "{degraded}");
    let offline = eventually("it is offline", async || fell_after_s(&two, silent.id, "offline").await).await;
    assert!((3.5 * INTERVAL_S..3.5 * INTERVAL_S + late_s).contains(&offline), "{offline}");
    let fallen = std::time::Instant::now();
    eventually("its phone is elsewhere", async || {
        let device = user.get(&two.b, "/api/v1/devices/phone").await.ok().json();
        (device["edge_server_id"] != json!(silent.id)).then_some(())
    })
    .await;
    assert!(fallen.elapsed() < Duration::from_secs(10), "{:?}", fallen.elapsed());
    println!("degraded after {degraded:.1} s, offline after {offline:.1} s");
}

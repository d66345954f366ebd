//! Something of everything: requests, sign-ins, devices, tiles, edge servers and admins at their sockets.

use reqwest::Method;
use serde_json::json;

use super::Page;
use crate::support::{Process, RegisteredEdge, Socket, TestDb, TestServer, eventually, health_update};

/// Has a server do something of all it does, and waits until its page tells of it.
pub(super) async fn some(t: &TestServer) -> Page {
    let admin = t.admin().await;
    t.decoration("lamp").at(52.52, 13.405).insert().await;
    t.nearby(52.52, 13.405, 100.0).await;
    t.bounds([52.0, 13.0, 53.0, 14.0]).await;
    t.get("/api/v1/decorations/nearby").await.problem(400, "invalid_input");
    t.get("/nothing/here").await.problem(404, "unknown_route");
    for _ in 0..2 {
        t.get("/tiles/decorations/5/16/10.mvt").await.ok();
    }
    let wrong = json!({"email": admin.email, "password": "not the password of it"});
    t.post("/api/v1/auth/login", wrong).await.problem(401, "invalid_credentials");
    t.post("/api/v1/auth/refresh", json!({"refresh_token": admin.refresh_token})).await.ok();

    let body = crate::support::edge_body("Alpha", 52.52, 13.405);
    let edge = RegisteredEdge::create(t, &admin, body).await;
    t.get("/api/v1/edge-servers/best?lat=52.52&lng=13.405").await.ok();
    let (mut socket, _) = edge.connect(t).await;
    socket.send("health_update", health_update(12.0)).await;
    admin.send(t, Method::PUT, "/api/v1/devices/phone-1/location", json!({"lat": 52.52, "lng": 13.405})).await.ok();
    let token = format!("Bearer {}", admin.access_token);
    let mut looking = Socket::open(t, "/ws/admin", &[("authorization", &token)]).await.expect("the socket opens");
    looking.data("snapshot").await;
    looking.stream.close(None).await.expect("closes");
    let page = eventually("the page tells of it", async || {
        let page = Page::of(t).await;
        let is_told = page.sum("ar_socket_closed_total", &[("kind", "admin"), ("by", "peer")]) > 0.0
            && page.sum("ar_sync_batches_total", &[]) > 0.0
            && !page.all("ar_fleet_devices", &[]).is_empty()
            && page.sum("ar_fleet_edges", &[]) > 0.0;
        is_told.then_some(page)
    })
    .await;
    socket.stream.close(None).await.expect("closes");
    page
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_is_counted_once() {
    let db = TestDb::create().await;
    // A process of its own: servers of this one count into the same series.
    let t = Process::start(&db.options(), &[]).await;
    let route = [("route", "/api/v1/regions/{code}"), ("method", "DELETE"), ("status", "401")];
    for _ in 0..7 {
        t.request(Method::DELETE, "/api/v1/regions/xx").send().await.expect("answers");
    }
    let page = Page::at(t.metrics()).await;
    assert_eq!(page.sum("ar_http_requests_total", &route), 7.0);
    assert!(page.text.contains(r#"ar_http_request_seconds_bucket{route="/api/v1/regions/{code}",le="+Inf"}"#), "times by route");
    for (name, help) in &page.help {
        assert!(!help.is_empty(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_tells_of_its_own_server() {
    let (one, other) = (TestServer::start_with(super::watched()).await, TestServer::start_with(super::watched()).await);
    let page = some(&one).await;
    assert!(page.one("ar_sockets_open", &[("kind", "edge")]) >= 1.0);
    assert_eq!(page.one("ar_fleet_edges_connected", &[]), 1.0);
    assert_eq!(page.one("ar_fleet_places", &[]), page.one("ar_fleet_places", &[]).max(1.0));
    assert_eq!(page.one("ar_instance_state", &[("state", "serving")]), 1.0);
    assert_eq!(page.one("ar_db_connections_max", &[("pool", "background")]), 7.0);
    let page = Page::of(&other).await;
    assert_eq!(page.one("ar_sockets_open", &[("kind", "edge")]), 0.0);
    assert_eq!(page.one("ar_queue_capacity", &[("queue", "positions")]), 1024.0);
}

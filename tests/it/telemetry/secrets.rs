//! Nothing secret at the most verbose level that can be asked for (P23): tokens, keys and positions pass through requests
//! and sockets, and the log has none of them. `accounts/secrets.rs` has passwords and the rest.

use reqwest::Method;
use serde_json::{Value, json};

use super::Process;
use crate::support::{Answer, Socket, TestDb, edge_body, eventually, health_update, hello};

const PLACE: [f64; 2] = [52.987_654_3, 13.123_456_7];

#[tokio::test(flavor = "multi_thread")]
async fn sockets_and_positions_leave_no_secret_in_the_most_verbose_log() {
    let db = TestDb::create().await;
    let server = Process::start(&db, &[("LOG_LEVEL", "trace")]).await;
    let token = server.sign_in(&db, "canary.operator@example.org", "admin").await;
    let send = |method: Method, path: &str, body: Value| Answer::of(server.request(method, path).bearer_auth(&token).json(&body));
    let [lat, lng] = PLACE;
    send(Method::PUT, "/api/v1/log-level", json!({"filter": "ar_supervisor=trace,info"})).await.ok();

    let edge = send(Method::POST, "/api/v1/edge-servers", edge_body("canary", lat, lng)).await.json();
    let (edge_id, key) = (edge["id"].as_str().expect("an id"), edge["edge_key"].as_str().expect("a key"));
    let bearer = format!("Bearer {key}");
    let path = format!("/ws/edge/{edge_id}");
    let mut socket = Socket::to(server.address, &path, &[("authorization", &bearer)]).await.expect("opens");
    socket.send("hello", hello()).await;
    socket.data("welcome").await;
    socket.send("health_update", health_update(10.0)).await;

    let device = "/api/v1/devices/canary-device/location";
    eventually("the device has the edge", async || {
        let located = send(Method::PUT, device, json!({"lat": lat, "lng": lng})).await.ok().json();
        (located["edge_server"]["id"] == edge_id).then_some(())
    })
    .await;
    let locations = json!([{"device_id": "canary-device", "lat": lat, "lng": lng, "recorded_at": "2026-11-28T12:00:00Z"}]);
    socket.send("device_locations", json!({"locations": locations})).await;
    socket.send("device_locations", json!({"locations": lat})).await;
    let ticket = send(Method::POST, "/api/v1/auth/ws-ticket", json!({"path": "/ws/admin"})).await.json();
    let ticket = ticket["ticket"].as_str().expect("a ticket").to_owned();
    let protocols = format!("arsup.v1, ticket.{ticket}");
    let origin = format!("http://{}", server.address);
    let headers = [("sec-websocket-protocol", protocols.as_str()), ("origin", origin.as_str())];
    let mut page = Socket::to(server.address, "/ws/admin", &headers).await.expect("opens");
    page.data("snapshot").await;
    server.get(&format!("/api/v1/decorations/nearby?lat={lat}&lng={lng}")).await.ok();
    eventually("the reports were read", async || {
        server.events().into_iter().find(|line| line["span"]["name"] == "edge_socket" && line["code"].is_string())
    })
    .await;
    drop((socket, page));

    let log = server.stop();
    assert!(log.lines().count() > 100 && log.contains("\"level\":\"DEBUG\""), "the log was open: {} lines", log.lines().count());
    let signature = token.rsplit('.').next().expect("a signature");
    for canary in [&token, signature, key, &ticket, "canary.operator", "52.98765", "13.12345"] {
        assert!(!log.contains(canary), "the log tells {canary}: {:?}", log.lines().find(|line| line.contains(canary)));
    }
}

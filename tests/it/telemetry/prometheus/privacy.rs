//! Nothing that anybody sends is in a page: no secret, no person, no place (P23); and nobody can make it grow.

use reqwest::Method;
use serde_json::json;

use super::{Page, traffic, watched};
use crate::support::{Account, Answer, RegisteredEdge, Socket, TestServer, edge_body};

/// Paths and methods that somebody makes up.
const ODD_PATHS: usize = 1000;

#[tokio::test(flavor = "multi_thread")]
async fn a_page_tells_of_no_person_and_no_place() {
    let t = TestServer::start_with(watched()).await;
    let email = "canary.person@example.org";
    let password = "canary password seven gears";
    t.post("/api/v1/auth/register", json!({"email": email, "password": password, "full_name": "Canary Person"})).await;
    let user = Account::sign_in(&t, email, password).await;
    t.post("/api/v1/auth/login", json!({"email": email, "password": "canary wrong password"})).await.problem(401, "invalid_credentials");
    let device = "canary-device";
    let path = format!("/api/v1/devices/{device}/location");
    user.send(&t, Method::PUT, &path, json!({"lat": 52.987_654_3, "lng": 13.123_456_7})).await.ok();
    t.get("/api/v1/decorations/nearby?lat=52.9876543&lng=13.1234567").await.ok();
    t.get(&format!("/api/v1/decorations/nearby?access_token={}", user.access_token)).await.problem(400, "invalid_input");
    let strange = t.request(Method::GET, "/canary/path").header("user-agent", "canary-agent").header("x-request-id", "canary-request");
    Answer::of(strange.header("host", "canary.example.org").bearer_auth("canary-token")).await;
    let admin = t.admin().await;
    let edge = RegisteredEdge::create(&t, &admin, edge_body("canary-edge", 52.987_654_3, 13.123_456_7)).await;
    let (mut socket, _) = edge.connect(&t).await;
    socket.send("device_connected", json!({"device_id": "canary-phone", "lat": 52.987_654_3, "lng": 13.123_456_7})).await;
    socket.send("canary_message", json!({"secret": "canary-secret"})).await;
    Socket::open(&t, &format!("/ws/edge/{}", edge.id), &[("authorization", "Bearer ek_canary")]).await.err().expect("refused");

    let page = traffic::some(&t).await;
    let mut canaries =
        ["canary", "Canary", email, password, "52.98765", "13.12345", "52.98", "13.12", "Bearer", "ek_", "@"].map(str::to_owned).to_vec();
    canaries.extend([user.access_token.clone(), user.refresh_token.clone(), edge.key.clone(), edge.id.to_string(), user.id.to_string()]);
    canaries.push(user.access_token.rsplit('.').next().expect("a signature").to_owned());
    for canary in &canaries {
        let told = page.text.lines().find(|line| line.contains(canary.as_str()));
        assert_eq!(told, None, "it tells {canary}");
    }
    // An id of anything but of the instance itself would be one, too.
    let ids = page.text.lines().filter(|line| line.split(['"', '/']).any(|word| uuid::Uuid::try_parse(word).is_ok()));
    assert!(ids.clone().all(|line| line.starts_with("ar_instance_info")), "{:?}", ids.collect::<Vec<_>>());
    println!("{} canaries, {} lines, 0 found", canaries.len(), page.text.lines().count());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_clients_make_up_is_no_label() {
    let t = TestServer::start_with(watched()).await;
    for number in 0..ODD_PATHS {
        let (method, path) = match number % 4 {
            0 => (Method::GET, format!("/odd-{number}/x?y={number}")),
            1 => (Method::GET, format!("/api/v1/decorations/odd-{number}")),
            2 => (Method::from_bytes(format!("ODD{number}").as_bytes()).expect("a method"), "/api/v1/decorations/nearby".to_owned()),
            _ => (Method::PATCH, format!("/tiles/odd-{number}/{number}/{number}/{number}.mvt")),
        };
        t.request(method, &path).send().await.expect("answers");
    }
    let page = Page::of(&t).await;
    let odd: Vec<&str> = page.text.lines().filter(|line| line.to_ascii_lowercase().contains("odd")).collect();
    assert!(odd.is_empty(), "{odd:?}");
    assert!(page.sum("ar_http_requests_total", &[("route", "unmatched")]) >= 250.0);
    // As many as there are answers to a path that is not there, whoever asks.
    assert!(page.all("ar_http_requests_total", &[("route", "unmatched")]).len() <= 10 * 8);
    let openapi: serde_json::Value = t.get("/openapi.json").await.ok().json();
    let documented = openapi["paths"].as_object().expect("paths").len();
    let routes: std::collections::BTreeSet<&String> = page.samples.iter().filter_map(|sample| sample.labels.get("route")).collect();
    assert!(routes.len() <= documented + 20, "{} routes, {documented} documented", routes.len());
    assert!(page.text.lines().count() < 12_000, "{} lines", page.text.lines().count());
}

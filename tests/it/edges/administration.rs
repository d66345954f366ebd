//! What admins do with edge servers.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Account, Answer, Config, RegisteredEdge, TestServer, edge_body, eventually};

const EDGES: &str = "/api/v1/edge-servers";

async fn put(t: &TestServer, admin: &Account, id: impl std::fmt::Display, if_match: &str, body: Value) -> Answer {
    Answer::of(admin.request(t, Method::PUT, &format!("{EDGES}/{id}")).header("if-match", if_match).json(&body)).await
}

fn with(mut body: Value, name: &str, value: Value) -> Value {
    body[name] = value;
    body
}

#[tokio::test]
async fn a_registered_edge_is_there_with_its_defaults_and_its_circle() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    let made = admin.send(&t, Method::POST, EDGES, edge_body("Fiji", -17.0, 179.99)).await;
    assert_eq!((made.status, made.header("etag")), (201, Some("\"1\"")));
    let edge = made.json();
    assert_eq!(made.header("location"), Some(format!("{EDGES}/{}", edge["id"].as_str().expect("an id")).as_str()));
    for (name, value) in [
        ("service_radius_km", json!(5.0)),
        ("max_connections", json!(100)),
        ("current_connections", json!(0)),
        ("health_status", json!("unknown")),
        ("draining", json!(false)),
        ("connected", json!(false)),
        ("is_active", json!(true)),
        ("version", json!(1)),
        ("lat", json!(-17.0)),
        ("lng", json!(179.99)),
    ] {
        assert_eq!(edge[name], value, "{name}");
    }
    assert_eq!(edge["service_area"]["type"], "MultiPolygon");
    assert_eq!(edge["service_area"]["coordinates"].as_array().expect("polygons").len(), 2, "split at the antimeridian");
    assert!(edge["edge_key"].as_str().expect("a key").starts_with("ek_"));
    let read = admin.get(&t, &format!("{EDGES}/{}", edge["id"].as_str().expect("an id"))).await.ok().json();
    assert_eq!(read.get("edge_key"), None, "the key is shown once");
    assert_eq!(read["name"], "Fiji");
}

#[tokio::test]
async fn get_edit_put_keeps_a_circle_a_circle() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    let edge = RegisteredEdge::create(&t, &admin, edge_body("Berlin", 52.5, 13.4)).await;
    let mut body = admin.get(&t, &format!("{EDGES}/{}", edge.id)).await.ok().json();
    body["service_radius_km"] = json!(7.5);
    let changed = put(&t, &admin, edge.id, "\"1\"", body.clone()).await.ok();
    assert_eq!(changed.header("etag"), Some("\"2\""));
    let given: (bool, i64) = sqlx::query_as("SELECT service_area_given, (SELECT count(*) FROM ar.edge_coverage) FROM ar.edge_servers")
        .fetch_one(&t.sql)
        .await
        .expect("reads");
    assert!(!given.0 && given.1 > 50, "{given:?}");
    put(&t, &admin, edge.id, "\"1\"", body.clone()).await.problem(412, "version_mismatch");
    Answer::of(admin.request(&t, Method::PUT, &format!("{EDGES}/{}", edge.id)).json(&body)).await.problem(428, "precondition_required");
}

#[tokio::test]
async fn a_drawn_area_comes_back_as_it_was_drawn() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    let area = json!({"type": "Polygon", "coordinates": [[[13.0, 52.0], [14.0, 52.0], [14.0, 53.0], [13.0, 53.0], [13.0, 52.0]]]});
    let edge = RegisteredEdge::create(&t, &admin, with(edge_body("Berlin", 52.9, 13.4), "service_area", area)).await;
    let body = admin.get(&t, &format!("{EDGES}/{}", edge.id)).await.ok().json();
    assert_eq!(body["service_area"]["coordinates"], json!([[[[13.0, 52.0], [14.0, 52.0], [14.0, 53.0], [13.0, 53.0], [13.0, 52.0]]]]));
    put(&t, &admin, edge.id, "*", body.clone()).await.ok();
    // The northern edge is a parallel, not a great circle: that one runs 300 m further north in the middle.
    let best = t.get(&format!("{EDGES}/best?lat=53.0005&lng=13.5")).await.ok().json();
    assert_eq!(best["reason"], "outside_service_areas");
    let best = t.get(&format!("{EDGES}/best?lat=52.9999&lng=13.5")).await.ok().json();
    assert_eq!((&best["reason"], &best["items"][0]["in_service_area"]), (&Value::Null, &json!(true)));
}

#[tokio::test]
async fn what_is_wrong_with_an_edge_is_all_named() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    let cases = [
        ("name", json!("")),
        ("api_url", json!("http://edge.example.org")),
        ("api_url", json!("https://user:word@edge.example.org")),
        ("api_url", json!("not a url")),
        ("websocket_url", json!("https://edge.example.org")),
        ("health_check_url", json!("ftp://edge.example.org")),
        ("service_radius_km", json!(1000)),
        ("service_radius_km", json!(0.001)),
        ("max_connections", json!(0)),
        ("lat", json!(95)),
    ];
    for (field, value) in cases {
        let answer = admin.send(&t, Method::POST, EDGES, with(edge_body("a", 1.0, 2.0), field, value.clone())).await;
        assert_eq!(answer.faulty_fields(422), [field], "{field} {value}");
    }
    let crossing = json!({"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]});
    let wide = json!({"type": "Polygon", "coordinates": [[[0, 0], [20, 0], [20, 1], [0, 1], [0, 0]]]});
    let ring: Vec<[f64; 2]> =
        (0..=1001).map(|i| f64::from(i % 1001) * std::f64::consts::TAU / 1001.0).map(|at| [at.cos(), at.sin()]).collect();
    for (area, code) in
        [(crossing, "invalid_polygon"), (wide, "too_large"), (json!({"type": "Polygon", "coordinates": [ring]}), "too_many_vertices")]
    {
        let answer = admin.send(&t, Method::POST, EDGES, with(edge_body("a", 1.0, 2.0), "service_area", area)).await;
        assert_eq!(answer.problem(422, "invalid_input")["errors"][0]["code"], code);
    }
    let allowed = TestServer::start_with(Config::of("HEALTH_CHECK_ALLOW", "edge.internal,10.0.0.0/8")).await;
    let admin = allowed.admin().await;
    let mut body = edge_body("a", 1.0, 2.0);
    body["api_url"] = json!("http://edge.internal:8000/api");
    body["websocket_url"] = json!("ws://10.1.2.3/ws");
    assert_eq!(admin.send(&allowed, Method::POST, EDGES, body).await.status, 201);
}

#[tokio::test]
async fn a_list_is_newest_first_and_filtered() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    for (name, region) in [("a", "North"), ("b", "south"), ("c", "north")] {
        RegisteredEdge::create(&t, &admin, with(edge_body(name, 1.0, 2.0), "region", json!(region))).await;
    }
    assert_eq!(admin.get(&t, EDGES).await.ok().names(), ["c", "b", "a"]);
    assert_eq!(admin.get(&t, &format!("{EDGES}?region=NORTH")).await.ok().names(), ["c", "a"]);
    assert_eq!(admin.get(&t, &format!("{EDGES}?health_status=healthy")).await.ok().names(), Vec::<String>::new());
    let first = admin.get(&t, &format!("{EDGES}?limit=2")).await.ok();
    let rest = admin.get(&t, &format!("{EDGES}?limit=2&cursor={}", first.next_cursor().expect("more"))).await.ok();
    assert_eq!((rest.names(), rest.next_cursor()), (vec!["a".to_owned()], None));
}

#[tokio::test]
async fn a_new_key_leaves_the_old_one_a_day_or_nothing() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    let edge = RegisteredEdge::create(&t, &admin, edge_body("a", 1.0, 2.0)).await;
    let status = async |key: &str| {
        let asked = t.client.get(t.url(&format!("{EDGES}/{}/status", edge.id))).bearer_auth(key);
        Answer::of(asked).await.status
    };
    let keys = format!("{EDGES}/{}/keys", edge.id);
    let new_key = |answer: Answer| {
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.json()["edge_key"].as_str().expect("a key").to_owned()
    };
    let second = new_key(admin.ask(&t, Method::POST, &keys).await);
    assert_eq!((status(&edge.key).await, status(&second).await), (200, 200));
    let third = new_key(admin.send(&t, Method::POST, &keys, json!({})).await);
    assert_eq!((status(&edge.key).await, status(&second).await, status(&third).await), (401, 200, 200), "two live ones at most");
    let fourth = new_key(admin.send(&t, Method::POST, &keys, json!({"revoke_previous": true})).await);
    assert_eq!((status(&second).await, status(&third).await, status(&fourth).await), (401, 401, 200));
    sqlx::query("UPDATE ar.edge_keys SET expires_at = now() WHERE expires_at IS NULL").execute(&t.sql).await.expect("expires");
    assert_eq!(status(&fourth).await, 401);
}

#[tokio::test]
async fn a_removed_edge_is_gone_and_its_key_is_void() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    let edge = RegisteredEdge::create(&t, &admin, edge_body("a", 1.0, 2.0)).await;
    let path = format!("{EDGES}/{}", edge.id);
    assert_eq!(admin.ask(&t, Method::DELETE, &path).await.status, 204);
    admin.get(&t, &path).await.problem(404, "unknown_edge_server");
    admin.ask(&t, Method::DELETE, &path).await.problem(404, "unknown_edge_server");
    assert_eq!(Answer::of(t.client.get(t.url(&format!("{path}/status"))).bearer_auth(&edge.key)).await.status, 401);
    assert!(t.get(&format!("{EDGES}/best?lat=1&lng=2")).await.ok().items().is_empty());
    let actions = admin.get(&t, "/api/v1/audit").await.ok().texts("action");
    assert_eq!(actions, ["edge_server.delete", "edge_server.create"]);
}

#[tokio::test]
async fn a_drain_begins_and_ends() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    let edge = RegisteredEdge::create(&t, &admin, edge_body("a", 1.0, 2.0)).await;
    let path = format!("{EDGES}/{}/drain", edge.id);
    let drained = admin.ask(&t, Method::POST, &path).await;
    assert_eq!((drained.status, &drained.json()["draining"]), (202, &json!(true)));
    assert!(t.get(&format!("{EDGES}/best?lat=1&lng=2")).await.ok().items().is_empty());
    assert_eq!(admin.ask(&t, Method::POST, &path).await.status, 202, "twice is once");
    assert_eq!(admin.ask(&t, Method::DELETE, &path).await.status, 204);
    assert_eq!(t.get(&format!("{EDGES}/best?lat=1&lng=2")).await.ok().items().len(), 1);
}

#[tokio::test]
async fn a_probe_goes_only_where_policy_allows() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/health", listener.local_addr().expect("an address"));
    let serving = tokio::spawn(async move {
        let app = axum::Router::new().route("/health", axum::routing::get(|| async { "fine" }));
        axum::serve(listener, app).await.expect("serves");
    });
    let t = TestServer::start_with(Config::of("HEALTH_CHECK_ALLOW", "127.0.0.1")).await;
    let admin = t.admin().await;
    let edge = RegisteredEdge::create(&t, &admin, with(edge_body("a", 1.0, 2.0), "health_check_url", json!(url))).await;
    let checked = admin.ask(&t, Method::POST, &format!("{EDGES}/{}/health-check", edge.id)).await.ok().json();
    assert_eq!((&checked["status_code"], &checked["reason"], &checked["health_status"]), (&json!(200), &Value::Null, &json!("unknown")));
    assert!(checked["latency_ms"].as_f64().is_some_and(|latency| latency > 0.0));
    let strict = TestServer::on(t.db().options(), Config::default()).await;
    let checked = admin.ask(&strict, Method::POST, &format!("{EDGES}/{}/health-check", edge.id)).await.ok().json();
    assert_eq!((&checked["status_code"], &checked["reason"]), (&Value::Null, &json!("forbidden_address")));
    let plain = RegisteredEdge::create(&t, &admin, edge_body("b", 1.0, 2.0)).await;
    admin.ask(&t, Method::POST, &format!("{EDGES}/{}/health-check", plain.id)).await.problem(409, "no_health_check_url");
    serving.abort();
}

#[tokio::test]
async fn probes_go_by_themselves_and_two_failures_degrade() {
    let t = TestServer::start_with(Config::of("EDGE_HEALTH_CHECK_INTERVAL", "1s").and("HEALTH_CHECK_ALLOW", "127.0.0.1")).await;
    let admin = t.admin().await;
    // Nobody listens on the discard port.
    let edge = RegisteredEdge::create(&t, &admin, with(edge_body("a", 1.0, 2.0), "health_check_url", json!("http://127.0.0.1:9/"))).await;
    let beat = async || {
        let ping = t.client.post(t.url(&format!("{EDGES}/{}/ping", edge.id))).bearer_auth(&edge.key).json(&json!({"cpu_usage": 5}));
        Answer::of(ping).await.ok();
        admin.get(&t, &format!("{EDGES}/{}/status", edge.id)).await.ok().json()
    };
    eventually("two probes failed", async || (beat().await["health_reason"] == "probe_failed").then_some(())).await;
    let failed: i32 = sqlx::query_scalar("SELECT failed_probes FROM ar.edge_servers").fetch_one(&t.sql).await.expect("reads");
    assert!(failed >= 1, "{failed}");
}

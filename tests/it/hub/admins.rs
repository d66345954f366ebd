//! An admin's socket: contract §9.

use std::cell::Cell;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Account, Config, RegisteredEdge, Socket, TestServer, edge_body, eventually, health_update};

async fn look(t: &TestServer, admin: &Account) -> (Socket, Value) {
    let mut socket = Socket::open(t, "/ws/admin", &[("authorization", &format!("Bearer {}", admin.access_token))]).await.expect("opens");
    let snapshot = socket.next().await.expect("a snapshot");
    assert_eq!(snapshot["type"], "snapshot");
    (socket, snapshot["data"].clone())
}

async fn ticket(t: &TestServer, account: &Account) -> String {
    let answer = account.send(t, Method::POST, "/api/v1/auth/ws-ticket", json!({"path": "/ws/admin"})).await;
    answer.json()["ticket"].as_str().expect("a ticket").to_owned()
}

#[tokio::test]
async fn only_admins_look() {
    let t = TestServer::start().await;
    let (admin, user) = (t.admin().await, t.user().await);
    let status = async |headers: &[(&'static str, &str)]| Socket::open(&t, "/ws/admin", headers).await.err();
    assert_eq!(status(&[]).await, Some(401));
    assert_eq!(status(&[("authorization", &format!("Bearer {}", user.access_token))]).await, Some(403));
    assert_eq!(status(&[("authorization", &format!("Bearer {}", admin.access_token))]).await, None);
    let edge = RegisteredEdge::create(&t, &admin, edge_body("a", 1.0, 2.0)).await;
    assert_eq!(status(&[("authorization", &format!("Bearer {}", edge.key))]).await, Some(401));
    let users = ticket(&t, &user).await;
    assert_eq!(status(&[("sec-websocket-protocol", &format!("arsup.v1, ticket.{users}"))]).await, Some(403));
}

#[tokio::test]
async fn a_ticket_opens_once_and_for_allowed_origins() {
    let t = TestServer::start_with(Config::of("ALLOWED_ORIGINS", "https://admin.example.org")).await;
    let admin = t.admin().await;
    let own = format!("http://{}", t.address);
    let open = async |ticket: &str, origin: &str| {
        let protocols = format!("arsup.v1, ticket.{ticket}");
        Socket::open(&t, "/ws/admin", &[("sec-websocket-protocol", &protocols), ("origin", origin)]).await.err()
    };
    let first = ticket(&t, &admin).await;
    assert_eq!(open(&first, "https://evil.example.org").await, Some(403));
    assert_eq!(open(&first, "null").await, Some(403));
    assert_eq!(open(&first, &own).await, None, "a foreign page did not spend it");
    assert_eq!(open(&first, &own).await, Some(401), "it is spent");
    assert_eq!(open(&ticket(&t, &admin).await, "https://admin.example.org").await, None);
    assert_eq!(open("nonsense", &own).await, Some(401));
    let other = admin.send(&t, Method::POST, "/api/v1/auth/ws-ticket", json!({"path": "/ws/other"})).await.json();
    assert_eq!(open(other["ticket"].as_str().expect("a ticket"), &own).await, Some(401), "for another path");
    let old = ticket(&t, &admin).await;
    sqlx::query("UPDATE ar.ws_tickets SET expires_at = now()").execute(&t.sql).await.expect("expires");
    assert_eq!(open(&old, &own).await, Some(401));
    let last = ticket(&t, &admin).await;
    assert_eq!(admin.ask(&t, Method::POST, "/api/v1/auth/logout").await.status, 204);
    assert_eq!(open(&last, &own).await, Some(401), "its session has ended");
}

#[tokio::test]
async fn a_snapshot_comes_first_and_then_every_change_with_its_number() {
    let t = TestServer::start().await;
    let other = TestServer::on(t.db().options(), Config::default()).await;
    let admin = t.admin().await;
    let edge = RegisteredEdge::create(&t, &admin, edge_body("Alpha", 1.0, 2.0)).await;
    // Seen through the other instance: all that happens, happens at the first.
    let (mut socket, snapshot) = look(&other, &admin).await;
    let mut seq = snapshot["seq"].as_u64().expect("a number");
    let edges = snapshot["edge_servers"].as_array().expect("edges");
    assert!(edges.iter().all(|known| known["id"] == json!(edge.id) && known["name"] == "Alpha"), "{snapshot}");
    assert_eq!(snapshot["devices"]["total"], 0);
    let (mut at_edge, _) = edge.connect(&t).await;
    let mut hear = async |right: &mut dyn FnMut(&Value) -> bool| loop {
        let message = socket.next().await.expect("a change");
        assert_eq!(message["seq"].as_u64(), Some(seq + 1), "{message}");
        seq += 1;
        if right(&message) {
            return;
        }
    };
    let is = |message: &Value, kind: &str| message["type"] == kind;
    let mut until =
        async |kind: &str, right: &dyn Fn(&Value) -> bool| hear(&mut |message| is(message, kind) && right(&message["data"])).await;
    until("edge_connected", &|data| data["id"] == json!(edge.id)).await;
    at_edge.send("health_update", health_update(12.0)).await;
    until("edge_health", &|data| data["edge_servers"][0]["health_status"] == "healthy" && data["edge_servers"][0]["cpu_usage"] == 12.0)
        .await;
    let user = t.user().await;
    user.send(&t, Method::PUT, "/api/v1/devices/p/location", json!({"lat": 1, "lng": 2})).await.ok();
    until("devices", &|data| data["total"] == 1 && data["by_edge"][0]["edge_server_id"] == json!(edge.id) && data["by_cell"] == json!([]))
        .await;
    let decoration = json!({"name": "a", "category": "art", "lat": 1, "lng": 2, "radius_meters": 5, "asset_type": "image"});
    let made = admin.send(&t, Method::POST, "/api/v1/decorations", decoration).await.json();
    // Both come of one look, or of two, and either may be first.
    let (changed, waits) = (Cell::new(false), Cell::new(false));
    hear(&mut |message| {
        changed.set(changed.get() || is(message, "decoration_changed") && message["data"]["decoration_id"] == made["id"]);
        waits.set(waits.get() || is(message, "sync_progress") && message["data"]["pending"] == 1);
        changed.get() && waits.get()
    })
    .await;
    let mut until =
        async |kind: &str, right: &dyn Fn(&Value) -> bool| hear(&mut |message| is(message, kind) && right(&message["data"])).await;
    drop(at_edge);
    until("edge_disconnected", &|data| data["id"] == json!(edge.id)).await;
    admin.ask(&t, Method::POST, &format!("/api/v1/edge-servers/{}/drain", edge.id)).await;
    until("edge_changed", &|data| data["edge_server"]["draining"] == true).await;
    admin.ask(&t, Method::DELETE, &format!("/api/v1/edge-servers/{}", edge.id)).await;
    until("edge_changed", &|data| data["id"] == json!(edge.id) && data["edge_server"].is_null()).await;
}

#[tokio::test]
async fn an_alert_is_raised_once_and_cleared() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    let edge = RegisteredEdge::create(&t, &admin, edge_body("Alpha", 1.0, 2.0)).await;
    let beat = async || {
        let ping = t.client.post(t.url(&format!("/api/v1/edge-servers/{}/ping", edge.id))).bearer_auth(&edge.key).json(&json!({}));
        crate::support::Answer::of(ping).await.ok();
    };
    beat().await;
    let (mut socket, _) = look(&t, &admin).await;
    let mut alerts = Vec::new();
    let mut wait_for = async |state: &str| loop {
        let alert = socket.data("alert").await;
        alerts.push((alert["id"].clone(), alert["state"].clone()));
        if alert["state"] == state {
            return alerts.clone();
        }
    };
    t.watched_for_long().await;
    sqlx::query("UPDATE ar.edge_servers SET last_ping = now() - interval '1 hour'").execute(&t.sql).await.expect("moves time");
    wait_for("raised").await;
    let (_, snapshot) = look(&t, &admin).await;
    assert_eq!(snapshot["alerts"][0]["kind"], "edge_offline", "who comes later sees it too");
    beat().await;
    let id = json!(format!("edge_offline:{}", edge.id));
    assert_eq!(wait_for("cleared").await, [(id.clone(), json!("raised")), (id, json!("cleared"))]);
}

#[tokio::test]
async fn logout_demotion_and_disabling_close_the_socket_on_other_instances_too() {
    let t = TestServer::start().await;
    let other = TestServer::on(t.db().options(), Config::default()).await;
    let chief = t.admin().await;
    for how in ["logout", "demotion", "disabling"] {
        let admin = t.admin().await;
        let (mut here, _) = look(&t, &admin).await;
        let (mut there, _) = look(&other, &admin).await;
        let started = std::time::Instant::now();
        match how {
            "logout" => assert_eq!(admin.ask(&t, Method::POST, "/api/v1/auth/logout").await.status, 204),
            "demotion" => drop(chief.send(&t, Method::PATCH, &format!("/api/v1/users/{}", admin.id), json!({"role": "user"})).await.ok()),
            _ => drop(chief.send(&t, Method::PATCH, &format!("/api/v1/users/{}", admin.id), json!({"is_active": false})).await.ok()),
        }
        assert_eq!(here.closed().await, (1008, "signed_out".to_owned()), "{how}");
        assert_eq!(there.closed().await, (1008, "signed_out".to_owned()), "{how}");
        assert!(started.elapsed().as_secs_f64() < 5.0, "{how}: {:?}", started.elapsed());
    }
}

#[tokio::test]
async fn who_falls_behind_gets_a_new_snapshot() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    let (mut socket, snapshot) = look(&t, &admin).await;
    let first = snapshot["seq"].as_u64().expect("a number");
    // More changes at once than are kept for anybody.
    let ids: Vec<uuid::Uuid> = (0..450).map(|_| uuid::Uuid::now_v7()).collect();
    for _ in 0..4 {
        let told = sqlx::query("SELECT pg_notify('ar', 'decoration:' || id) FROM unnest($1::uuid[]) AS id");
        told.bind(&ids).execute(&t.sql).await.expect("tells");
        eventually("the notices are taken", async || {
            let waiting: i64 = sqlx::query_scalar("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'NotifyQueue'")
                .fetch_one(&t.sql)
                .await
                .expect("asks");
            (waiting == 0).then_some(())
        })
        .await;
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    }
    let (mut changes, mut snapshots) = (0, 0);
    let mut last = first;
    while last < first + 1800 {
        let message = socket.next().await.expect("a change");
        let seq = message["seq"].as_u64().expect("a number");
        if message["type"] == "snapshot" {
            snapshots += 1;
        } else {
            assert_eq!(seq, last + 1);
            changes += 1;
        }
        last = seq;
    }
    assert!(changes + snapshots > 0, "{changes} {snapshots}");
}

//! What edges should hold comes to them, and what they say is believed, over real sockets.

use std::net::SocketAddr;

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use crate::editing::{content_with, path_of};
use crate::support::{Account, Answer, Held, HoldingEdge, RegisteredEdge, TestServer, digest_of, edge_body, eventually};

/// What an edge should hold, as the rows have it.
async fn wanted(sql: &PgPool, edge_id: Uuid) -> Vec<(Uuid, i64)> {
    sqlx::query_as("SELECT decoration_id, sync_version FROM ar.decoration_sync WHERE edge_server_id = $1 AND wanted = 'put' ORDER BY 1")
        .bind(edge_id)
        .fetch_all(sql)
        .await
        .expect("reads")
}

/// Rows that are not as they should be in the end.
async fn unsettled(sql: &PgPool, edge_id: Uuid) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM ar.decoration_sync WHERE edge_server_id = $1 AND sync_status <> 'synced'")
        .bind(edge_id)
        .fetch_one(sql)
        .await
        .expect("counts")
}

async fn is_snapshot_due(sql: &PgPool, edge_id: Uuid) -> bool {
    sqlx::query_scalar("SELECT snapshot_due FROM ar.edge_servers WHERE id = $1").bind(edge_id).fetch_one(sql).await.expect("reads")
}

/// Waits until an edge holds what it should, and the books say so.
pub(crate) async fn settled(sql: &PgPool, edge: &HoldingEdge) {
    eventually("the edge holds what it should", async || {
        let wanted = wanted(sql, edge.edge.id).await;
        let sum = digest_of(wanted.iter().map(|(id, version)| (id, *version)));
        let unsettled = unsettled(sql, edge.edge.id).await + i64::from(is_snapshot_due(sql, edge.edge.id).await);
        (edge.held().sum() == sum && unsettled == 0).then_some(())
    })
    .await;
}

pub(crate) fn at(address: SocketAddr) -> impl Fn() -> SocketAddr {
    move || address
}

pub(crate) async fn live(t: &TestServer, admin: &Account, name: &str, lat: f64, lng: f64) -> HoldingEdge {
    let edge = RegisteredEdge::create(t, admin, edge_body(name, lat, lng)).await;
    HoldingEdge::live(edge, at(t.address), Held::default())
}

pub(crate) async fn create(t: &TestServer, admin: &Account, name: &str, lat: f64, lng: f64) -> Value {
    let answer = admin.send(t, Method::POST, "/api/v1/decorations", content_with(name, json!({"lat": lat, "lng": lng}))).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()
}

pub(crate) async fn put(t: &TestServer, admin: &Account, decoration: &Value, content: Value) {
    Answer::of(admin.request(t, Method::PUT, &path_of(decoration)).header("if-match", "*").json(&content)).await.ok();
}

/// Many decorations at one place, told apart by their number; again: all of them are edited. Gives their ids.
pub(crate) async fn import(t: &TestServer, admin: &Account, count: usize, name: &str, description: &str) -> Vec<Uuid> {
    let row = |n: usize| {
        let members = json!({"external_id": format!("n{n}"), "lat": 10.0, "lng": 20.0, "description": description});
        content_with(&format!("{name} {n}"), members).to_string()
    };
    let body = (0..count).map(row).collect::<Vec<_>>().join("\n");
    let request = admin.request(t, Method::POST, "/api/v1/decorations/import").header("content-type", "application/x-ndjson");
    let report = Answer::of(request.body(body)).await.ok().json();
    assert_eq!(report["rejected"], 0, "{report}");
    sqlx::query_scalar(
        "SELECT id FROM ar.decorations WHERE external_id IS NOT NULL AND deleted_at IS NULL ORDER BY length(external_id), external_id",
    )
    .fetch_all(&t.sql)
    .await
    .expect("reads")
}

fn name_of(edge: &HoldingEdge, decoration: &Value) -> Option<String> {
    let id: Uuid = decoration["id"].as_str().expect("an id").parse().expect("a UUID");
    Some(edge.held().items.get(&id)?.1["name"].as_str()?.to_owned())
}

#[tokio::test]
async fn a_new_edge_gets_all_and_then_every_change() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    let edge = live(&t, &admin, "a", 10.0, 20.0).await;
    settled(&t.sql, &edge).await;
    let inside = create(&t, &admin, "inside", 10.0, 20.0).await;
    let other = create(&t, &admin, "elsewhere", 50.0, 20.0).await;
    settled(&t.sql, &edge).await;
    assert_eq!((name_of(&edge, &inside).as_deref(), name_of(&edge, &other)), (Some("inside"), None));
    // What it holds of one is what everybody sees, and its number.
    let mut held = edge.held().items.values().next().expect("one").1.clone();
    held.as_object_mut().expect("an object").remove("sync_version");
    assert_eq!(held, t.bounds([9.0, 19.0, 11.0, 21.0]).await.json()["items"][0]);

    put(&t, &admin, &inside, content_with("edited", json!({"lat": 10.0, "lng": 20.0}))).await;
    put(&t, &admin, &other, content_with("moved in", json!({"lat": 10.0, "lng": 20.001}))).await;
    settled(&t.sql, &edge).await;
    assert_eq!((name_of(&edge, &inside).as_deref(), name_of(&edge, &other).as_deref()), (Some("edited"), Some("moved in")));

    assert_eq!(admin.ask(&t, Method::DELETE, &path_of(&inside)).await.status, 204);
    put(&t, &admin, &other, content_with("moved out", json!({"lat": 50.0, "lng": 20.0}))).await;
    settled(&t.sql, &edge).await;
    assert_eq!(edge.held().items.len(), 0);
    // A removal that was acknowledged leaves no row.
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM ar.decoration_sync").fetch_one(&t.sql).await.expect("counts");
    assert_eq!((rows, edge.held().falls, edge.held().snapshots), (0, 0, 1));
    eventually("a checkpoint agrees", async || (edge.held().matching_checkpoints > 0 && edge.held().removed.is_empty()).then_some(()))
        .await;
}

#[tokio::test]
async fn an_edge_that_comes_back_gets_only_what_changed() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    let edge = live(&t, &admin, "a", 10.0, 20.0).await;
    for i in 0..5 {
        create(&t, &admin, &format!("n{i}"), 10.0, 20.0).await;
    }
    settled(&t.sql, &edge).await;
    let (registered, held) = (edge.edge.clone(), edge.kill().await);
    let late = create(&t, &admin, "late", 10.0, 20.0).await;
    let effects = held.effects;
    let edge = HoldingEdge::live(registered, at(t.address), held);
    settled(&t.sql, &edge).await;
    assert_eq!(name_of(&edge, &late).as_deref(), Some("late"));
    assert_eq!((edge.held().effects - effects, edge.held().snapshots, edge.held().inventories), (1, 1, 0));
}

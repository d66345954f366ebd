//! A process that stands still past its lease and then goes on, as a virtual machine that is moved: what it says then is
//! void where somebody else has taken over meanwhile.

use reqwest::Method;
use serde_json::json;
use sqlx::PgPool;
use uuid::Uuid;

use super::{Two, run};
use crate::support::{Account, RegisteredEdge, edge_body, eventually, health_update, hello, rounds};

/// Who holds the socket of an edge, and in which generation.
async fn holder(sql: &PgPool, edge: Uuid) -> Option<(Uuid, i64)> {
    let found = sqlx::query_as("SELECT instance_id, generation FROM ar.edge_sessions WHERE edge_server_id = $1").bind(edge);
    found.fetch_optional(sql).await.expect("reads")
}

async fn cpu_usage(sql: &PgPool, edge: Uuid) -> Option<f64> {
    sqlx::query_scalar("SELECT cpu_usage FROM ar.edge_servers WHERE id = $1").bind(edge).fetch_one(sql).await.expect("reads")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_process_says_after_a_pause_is_void_where_another_has_taken_over() {
    let two = Two::start(&[]).await;
    let (a, b) = (two.a.id().await, two.b.id().await);
    let (admin, user) = (two.b.admin().await, two.b.user().await);
    two.b.watched_for_long().await;
    for round in 0..rounds(1, 20) {
        let mut body = edge_body(&format!("edge {round}"), 1.0, 2.0 + f64::from(u32::try_from(round).expect("small")));
        body["max_connections"] = json!(1);
        let edge = RegisteredEdge::create(&two.b, &admin, body.clone()).await;
        let (mut old, _) = edge.connect(&two.a).await;
        old.send("health_update", health_update(11.0)).await;
        eventually("its beat is written", async || (cpu_usage(&two.b.sql, edge.id).await == Some(11.0)).then_some(())).await;
        let (_, before) = holder(&two.b.sql, edge.id).await.expect("a session");

        two.a.pause();
        // What is said to it now waits at its door, and is read when it goes on.
        let position = json!({"lat": body["lat"], "lng": body["lng"]});
        let [first, second] =
            [format!("first-{round}"), format!("second-{round}")].map(|device| format!("/api/v1/devices/{device}/location"));
        old.send("health_update", health_update(99.0)).await;
        old.send("device_connected", json!({"device_id": format!("first-{round}"), "lat": 1.5, "lng": 2.5})).await;
        let waiting = tokio::spawn(late_request(&two.a, &user, &second, position.clone()));
        lapse(&two, edge.id, round).await;
        let (mut new, _) = edge.connect(&two.b).await;
        new.send("health_update", health_update(7.0)).await;
        eventually("its beat is written", async || (cpu_usage(&two.b.sql, edge.id).await == Some(7.0)).then_some(())).await;
        let placed = user.send(&two.b, Method::PUT, &first, position).await.ok().json();
        assert_eq!(placed["edge_server"]["id"], json!(edge.id), "the only place of the edge is taken");
        let held = holder(&two.b.sql, edge.id).await.expect("a session");
        assert!(held.0 == b && held.1 > before, "{held:?} after {before}");

        two.a.go_on();
        let closed = old.closed().await;
        assert!(closed == (1008, "superseded".to_owned()) || closed.0 == 1006, "{closed:?}");
        let status = waiting.await.expect("no panic");
        assert!([200, 503].contains(&status), "{status}");
        // It serves on, and both know the same.
        two.a.serves().await;
        eventually("it is registered again", async || {
            let state = admin.get(&two.a, "/api/v1/metrics/system").await;
            let all = (state.status == 200).then(|| state.json()["instances"].clone())?;
            let own = all.as_array().expect("a list").iter().find(|one| one["id"] == json!(a))?.clone();
            (own["state"] == "serving").then_some(())
        })
        .await;
        // The new session beats once more: what the old one said would have been written before.
        new.send("health_update", health_update(8.0)).await;
        eventually("its beat is written", async || (cpu_usage(&two.b.sql, edge.id).await == Some(8.0)).then_some(())).await;
        assert_eq!(holder(&two.b.sql, edge.id).await, Some(held), "the old session did not come back");
        let (taken, there, at): (i32, i64, Option<f64>) = sqlx::query_as(
            "SELECT l.current_connections, (SELECT count(*) FROM ar.device_connections d WHERE d.edge_server_id = l.edge_server_id),
                 (SELECT ST_Y(position::geometry) FROM ar.device_connections WHERE device_id = $2)
             FROM ar.edge_load l WHERE l.edge_server_id = $1",
        )
        .bind(edge.id)
        .bind(format!("first-{round}"))
        .fetch_one(&two.b.sql)
        .await
        .expect("reads");
        assert_eq!((taken, there), (1, 1), "one place, given once");
        assert_eq!(at, Some(1.0), "what the old socket told of the phone is void");
        drop(new);
        let everywhere = [&two.a, &two.b].map(|server| admin.get(server, "/api/v1/edge-servers?limit=1"));
        for answer in futures_util::future::join_all(everywhere).await {
            answer.ok();
        }
        assert_eq!(admin.ask(&two.b, Method::DELETE, &format!("/api/v1/edge-servers/{}", edge.id)).await.status, 204);
    }
}

/// Sends a request to a process that stands still; its status, whenever it comes.
fn late_request(
    server: &crate::support::TestServer,
    user: &Account,
    path: &str,
    body: serde_json::Value,
) -> impl Future<Output = u16> + 'static {
    let request = user.request(server, Method::PUT, path).json(&body);
    async move { request.send().await.expect("answers").status().as_u16() }
}

/// Has the lease of an edge's session run out, and waits until the other process has found it: as if the pause were
/// longer; with the full number of rounds it is so long in the first.
async fn lapse(two: &Two, edge: Uuid, round: usize) {
    if round > 0 || rounds(0, 1) == 0 {
        run(&two.b.sql, &format!("UPDATE ar.edge_sessions SET lease_until = now() - interval '1 s' WHERE edge_server_id = '{edge}'")).await;
    }
    eventually("the session has lapsed", async || holder(&two.b.sql, edge).await.is_none().then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edge_that_waited_for_a_paused_process_goes_on_with_it() {
    let two = Two::start(&[]).await;
    let admin = two.b.admin().await;
    two.b.watched_for_long().await;
    let edge = RegisteredEdge::create(&two.b, &admin, edge_body("patient", 1.0, 2.0)).await;
    let mut socket = edge.open(&two.a).await;
    socket.send("hello", hello()).await;
    socket.data("welcome").await;
    let held = holder(&two.b.sql, edge.id).await;
    two.a.pause();
    lapse(&two, edge.id, 1).await;
    two.a.go_on();
    eventually("its session is there again", async || (holder(&two.b.sql, edge.id).await == held).then_some(())).await;
    socket.send("health_update", health_update(3.0)).await;
    eventually("its beats count", async || (cpu_usage(&two.b.sql, edge.id).await == Some(3.0)).then_some(())).await;
}

//! Many sockets at once: all come back when all were lost (P11), and one that reads nothing hurts only itself (P9).

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::Value;
use tokio::io::AsyncWriteExt;

use crate::support::{Proof, RegisteredEdge, Socket, TestServer, eventually, hello, rounds};

/// Edges put in by SQL, with keys made by the API for a few: as many sockets as edges.
async fn edges(t: &TestServer, count: usize) -> Vec<RegisteredEdge> {
    let admin = t.admin().await;
    let mut edges = Vec::new();
    for _ in 0..count {
        let id = t.edge("crowd").at(1.0, 2.0).radius_km(0.1).insert().await;
        let made = admin.ask(t, reqwest::Method::POST, &format!("/api/v1/edge-servers/{id}/keys")).await.json();
        edges.push(RegisteredEdge { id, key: made["edge_key"].as_str().expect("a key").to_owned() });
    }
    edges
}

#[tokio::test]
async fn a_herd_that_lost_its_sockets_is_soon_back() {
    let t = TestServer::start().await;
    let edges = edges(&t, rounds(100, 1_000)).await;
    let mut proof = Proof::of("P11", "sockets dropped at once");
    let connect = async || join_all(edges.iter().map(|edge| async { edge.connect(&t).await.0 })).await;
    let sockets = connect().await;
    assert_eq!(t.state.hub.sockets(), edges.len());
    drop(sockets);
    let started = Instant::now();
    let sockets = connect().await;
    proof.tried(edges.len());
    proof.measured(format!("all back in {:.2?}", started.elapsed()));
    assert!(started.elapsed() < Duration::from_mins(1), "{:?}", started.elapsed());
    eventually("the old sockets have ended", async || (t.state.hub.sockets() == edges.len()).then_some(())).await;
    let sessions: i64 = sqlx::query_scalar("SELECT count(*) FROM ar.edge_sessions").fetch_one(&t.sql).await.expect("counts");
    assert_eq!(usize::try_from(sessions).expect("fits"), edges.len());
    drop(sockets);
}

/// Has an edge told of devices.
async fn tell(t: &TestServer, edge: &RegisteredEdge, names: &[String]) {
    let told = sqlx::query(
        "WITH told AS (INSERT INTO ar.edge_device_notices (edge_server_id, device_id, assigned) SELECT $1, name, true FROM unnest($2::text[]) AS name)
         SELECT pg_notify('ar', 'devices:00000000-0000-0000-0000-000000000000')",
    );
    told.bind(edge.id).bind(names).execute(&t.sql).await.expect("tells");
}

#[tokio::test]
async fn a_socket_that_reads_nothing_hurts_only_itself_and_loses_nothing_but_time() {
    let t = TestServer::start().await;
    let mut edges = edges(&t, rounds(12, 200)).await;
    let stalled = edges.pop().expect("one");
    // A socket of its own, whose messages nobody reads.
    let mut silent = stalled.open(&t).await;
    silent.send("hello", hello()).await;
    silent.data("welcome").await;
    // More than the buffers of two kernels take.
    let long: Vec<String> = (0..rounds(30_000, 60_000)).map(|n| format!("{n:0>255}")).collect();
    tell(&t, &stalled, &long).await;
    let mut sockets = join_all(edges.iter().map(|edge| async { edge.connect(&t).await.0 })).await;
    let began = Instant::now();
    let mut slowest = Duration::ZERO;
    while began.elapsed() < Duration::from_secs(u64::try_from(rounds(3, 60)).expect("fits")) {
        for (edge, socket) in edges.iter().zip(&mut sockets) {
            let sent = Instant::now();
            tell(&t, edge, &["phone".to_owned()]).await;
            assert_eq!(socket.data("device_assigned").await["device_id"], "phone");
            slowest = slowest.max(sent.elapsed());
        }
    }
    println!("slowest of the others: {slowest:?}");
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    eventually("the silent one is let go", async || (t.state.hub.sockets() == edges.len()).then_some(())).await;
    drop(silent);
    let (_again, welcome) = stalled.connect(&t).await;
    assert!(welcome["session_id"].is_string());
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM ar.edge_device_notices").fetch_one(&t.sql).await.expect("counts");
    assert_eq!(left, 0, "it reads the list of its devices now");
}

#[tokio::test]
async fn a_socket_that_says_nothing_at_all_costs_its_place_only_for_a_while() {
    let t = TestServer::start().await;
    let edge = edges(&t, 1).await.remove(0);
    let request = format!(
        "GET /ws/edge/{} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer {}\r\n\r\n",
        edge.id, edge.key
    );
    let mut raw = tokio::net::TcpStream::connect(t.address).await.expect("connects");
    raw.write_all(request.as_bytes()).await.expect("asks");
    eventually("it is open", async || (t.state.hub.sockets() == 1).then_some(())).await;
    eventually("it is let go", async || (t.state.hub.sockets() == 0).then_some(())).await;
    let sessions: Value = sqlx::query_scalar("SELECT to_jsonb(count(*)) FROM ar.edge_sessions").fetch_one(&t.sql).await.expect("counts");
    assert_eq!(sessions, 0);
    drop(raw);
    assert!(Socket::open(&t, "/ws/edge/x", &[]).await.is_err());
}

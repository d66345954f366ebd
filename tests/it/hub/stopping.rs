//! Stopping breaks nobody (P7): requests end, sockets are sent away with a time to come back.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Answer, RegisteredEdge, Socket, TestServer, edge_body, rounds};

#[tokio::test]
async fn a_stop_cuts_no_reply_and_tells_every_socket_when_to_come_back() {
    for _ in 0..rounds(1, 20) {
        let mut t = TestServer::start().await;
        let admin = t.admin().await;
        t.decoration("here").at(0.0, 0.0).insert().await;
        let mut sockets = Vec::new();
        for n in 0..rounds(40, 200) {
            let edge = RegisteredEdge::create(&t, &admin, edge_body(&format!("e{n}"), 1.0, 2.0)).await;
            sockets.push(edge.connect(&t).await.0);
        }
        let bearer = format!("Bearer {}", admin.access_token);
        let mut looking = Socket::open(&t, "/ws/admin", &[("authorization", &bearer)]).await.expect("opens");
        looking.data("snapshot").await;
        sockets.push(looking);
        let requests: Vec<_> =
            (0..50).map(|_| tokio::spawn(Answer::of(t.request(reqwest::Method::GET, "/api/v1/decorations/nearby?lat=0&lng=0")))).collect();
        // One of them was answered, so all of them are on their way.
        tokio::time::sleep(Duration::from_millis(20)).await;
        let started = Instant::now();
        t.lifecycle.stop();
        for mut socket in sockets {
            let (code, reason) = socket.closed().await;
            let reason: Value = serde_json::from_str(&reason).unwrap_or_else(|error| panic!("{code} {reason}: {error}"));
            assert_eq!(code, 1012);
            assert!(reason["retry_after_ms"].as_u64().is_some_and(|ms| (500..=31_500).contains(&ms)), "{reason}");
        }
        for request in requests {
            // One that came too late for the listener was never accepted; none is cut in the middle.
            if let Ok(answer) = request.await {
                assert!(answer.status == 200 || answer.status == 503, "{}", answer.status);
            }
        }
        t.serving.take().expect("it serves").await.expect("serving ends");
        tokio::time::timeout(Duration::from_secs(20), t.lifecycle.tasks_ended()).await.expect("tasks end");
        assert!(started.elapsed() < Duration::from_secs(30));
        let left: (i64, i64) = sqlx::query_as(
            "SELECT (SELECT count(*) FROM ar.edge_sessions), (SELECT count(*) FROM ar.edge_servers WHERE socket_lost OR health_status <> 'unknown')",
        )
        .fetch_one(&t.sql)
        .await
        .expect("reads");
        assert_eq!(left, (0, 0), "sessions end, and nobody counts as lost");
    }
}

#[tokio::test]
async fn beats_that_were_taken_are_written_before_the_end() {
    let mut t = TestServer::start().await;
    let admin = t.admin().await;
    let edge = RegisteredEdge::create(&t, &admin, edge_body("a", 1.0, 2.0)).await;
    let (mut socket, _) = edge.connect(&t).await;
    socket.send("health_update", json!({"cpu_usage": 77, "memory_usage": 1, "active_connections": 1, "timestamp": ""})).await;
    // Its answer says that what came before it was taken.
    socket.send("nothing", json!({})).await;
    socket.data("error").await;
    t.lifecycle.stop();
    assert_eq!(socket.closed().await.0, 1012);
    t.serving.take().expect("it serves").await.expect("serving ends");
    t.lifecycle.tasks_ended().await;
    let cpu: Option<f64> = sqlx::query_scalar("SELECT cpu_usage FROM ar.edge_servers").fetch_one(&t.sql).await.expect("reads");
    assert_eq!(cpu, Some(77.0));
}

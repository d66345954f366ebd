//! The database goes and comes back: sockets stay, nobody falls by it, and what was answered is there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::ConnectOptions;

use crate::support::{Answer, Config, OwnCluster, Proof, RegisteredEdge, TestServer, edge_body, eventually, health_update, rounds};

#[tokio::test]
async fn a_restart_of_the_database_closes_no_socket_and_lets_nobody_fall() {
    let cluster = OwnCluster::start().await;
    let t = TestServer::on(cluster.options(), Config::default()).await;
    let admin = t.admin().await;
    let edge = RegisteredEdge::create(&t, &admin, edge_body("a", 1.0, 2.0)).await;
    let (mut socket, _) = edge.connect(&t).await;
    let healthy = async || {
        let answer = admin.get(&t, &format!("/api/v1/edge-servers/{}", edge.id)).await;
        (answer.status == 200 && answer.json()["health_status"] == "healthy").then_some(())
    };
    socket.send("health_update", health_update(5.0)).await;
    eventually("it is healthy", healthy).await;
    cluster.stop("immediate").await;
    socket.send("health_update", health_update(6.0)).await;
    let away = admin.send(&t, Method::PUT, "/api/v1/devices/p/location", json!({"lat": 1, "lng": 2})).await;
    assert!(away.status == 503 && away.header("retry-after").is_some(), "{}", away.text());
    cluster.start_again().await;
    eventually("its beat is written", async || {
        let answer = admin.get(&t, &format!("/api/v1/edge-servers/{}", edge.id)).await;
        (answer.status == 200 && answer.json()["cpu_usage"] == 6.0).then_some(())
    })
    .await;
    eventually("it is healthy still", healthy).await;
    socket.send("nothing", json!({})).await;
    assert_eq!(socket.data("error").await["code"], "unknown_type", "the socket is the same");
}

#[tokio::test]
async fn a_session_whose_lease_ran_out_meanwhile_is_put_in_again() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    let edge = RegisteredEdge::create(&t, &admin, edge_body("a", 1.0, 2.0)).await;
    let (mut socket, welcome) = edge.connect(&t).await;
    sqlx::query("DELETE FROM ar.edge_sessions").execute(&t.sql).await.expect("deletes");
    eventually("it is there again", async || {
        let session: Option<uuid::Uuid> =
            sqlx::query_scalar("SELECT session_id FROM ar.edge_sessions").fetch_optional(&t.sql).await.expect("reads");
        session.filter(|session| welcome["session_id"] == json!(session))
    })
    .await;
    socket.send("health_update", health_update(9.0)).await;
    eventually("its beats count", async || {
        let cpu: Option<f64> = sqlx::query_scalar("SELECT cpu_usage FROM ar.edge_servers").fetch_one(&t.sql).await.expect("reads");
        (cpu == Some(9.0)).then_some(())
    })
    .await;
}

/// The ledger of the phones against the database (P1): what was answered 200 is there, whatever crashed.
#[tokio::test]
async fn positions_that_were_answered_survive_a_crash_of_the_database() {
    let cluster = OwnCluster::start().await;
    // The tests' clusters do not wait for their log; here that is what is tested.
    let mut connection = cluster.options().connect().await.expect("connects");
    sqlx::raw_sql("ALTER DATABASE postgres SET synchronous_commit = on").execute(&mut connection).await.expect("sets");
    let t = Arc::new(TestServer::on(cluster.options(), Config::default()).await);
    let (admin, user) = (t.admin().await, t.user().await);
    RegisteredEdge::create(&t, &admin, edge_body("a", 1.0, 2.0)).await;
    let mut proof = Proof::of("P1", "crashes of the database under 20 phones");
    for round in 0..rounds(1, 20) {
        proof.tried(1);
        let ended = Arc::new(AtomicBool::new(false));
        let phones: Vec<_> = (0..20)
            .map(|n| {
                let (t, user, ended) = (Arc::clone(&t), user.clone(), Arc::clone(&ended));
                tokio::spawn(async move {
                    let (path, mut acknowledged) = (format!("/api/v1/devices/phone-{n}"), 0);
                    for step in 1.. {
                        if ended.load(Ordering::Relaxed) {
                            break;
                        }
                        let position = json!({"lat": f64::from(step) / 1e6, "lng": 2});
                        let request = user.request(&t, Method::PUT, &format!("{path}/location")).json(&position);
                        match Answer::of(request).await.status {
                            200 => acknowledged = step,
                            503 => tokio::time::sleep(Duration::from_millis(20)).await,
                            other => panic!("{other}"),
                        }
                    }
                    (path, acknowledged)
                })
            })
            .collect();
        eventually("phones move", async || {
            let moved: i64 = sqlx::query_scalar("SELECT count(*) FROM ar.device_connections").fetch_one(&t.sql).await.expect("counts");
            (moved == 20).then_some(())
        })
        .await;
        tokio::time::sleep(Duration::from_millis(50 + 37 * u64::try_from(round).expect("small"))).await;
        cluster.stop("immediate").await;
        ended.store(true, Ordering::Relaxed);
        let ledger = futures_util::future::join_all(phones).await;
        cluster.start_again().await;
        for entry in ledger {
            let (path, acknowledged) = entry.expect("it wrote its ledger");
            let device: Value = eventually("the database answers", async || {
                let answer = user.get(&t, &path).await;
                (answer.status == 200).then(|| answer.json())
            })
            .await;
            let stored = (device["lat"].as_f64().expect("a latitude") * 1e6).round();
            assert!(stored >= f64::from(acknowledged), "{path}: {stored} stored, {acknowledged} answered");
        }
        let sums: (i64, i64) = sqlx::query_as(
            "SELECT (SELECT sum(current_connections) FROM ar.edge_load), (SELECT count(*) FROM ar.device_connections WHERE edge_server_id IS NOT NULL)",
        )
        .fetch_one(&t.sql)
        .await
        .expect("counts");
        assert_eq!(sums.0, sums.1, "places and devices");
    }
}

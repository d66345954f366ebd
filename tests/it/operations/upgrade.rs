//! An upgrade changes the schema under running instances: they go on answering meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use ar_supervisor::db::{Migrated, migrate};
use reqwest::Method;
use serde_json::json;

use crate::editing::content_with;
use crate::support::{Answer, Config, Proof, RegisteredEdge, TestServer, edge_body, eventually, rounds};

/// Reads and writes at an instance until it is told to end. Reads are answered as always; a write that falls into the
/// moment of the change may be told to come again, once.
async fn ask(t: Arc<TestServer>, token: String, ended: Arc<AtomicBool>, rounds: Arc<AtomicU64>) -> u64 {
    let body = content_with("changed under way", json!({"lat": 10.0, "lng": 20.0}));
    let mut again = 0;
    while !ended.load(Ordering::Relaxed) {
        for path in ["/api/v1/decorations/nearby?lat=10&lng=20", "/api/v1/edge-servers/best?lat=10&lng=20", "/tiles/decorations/0/0/0.mvt"]
        {
            let answer = t.get(path).await;
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        }
        let write = async || {
            let request = t.client.request(Method::POST, t.url("/api/v1/decorations")).bearer_auth(&token).json(&body);
            Answer::of(request).await
        };
        let mut answer = write().await;
        if answer.status == 503 {
            let seconds = answer.header("retry-after").and_then(|text| text.parse().ok());
            tokio::time::sleep(Duration::from_secs(seconds.expect("503 says when to try again"))).await;
            again += 1;
            answer = write().await;
        }
        assert_eq!(answer.status, 201, "{}", answer.text());
        rounds.fetch_add(1, Ordering::Relaxed);
    }
    again
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_go_on_answering_while_a_newer_one_makes_the_layer_anew() {
    let t = Arc::new(TestServer::start().await);
    let other = Arc::new(TestServer::on(t.db().options(), Config::default()).await);
    let admin = t.admin().await;
    t.decoration("here").at(10.0, 20.0).insert().await;
    let edge = RegisteredEdge::create(&t, &admin, edge_body("edge", 10.0, 20.0)).await;
    let (mut socket, _) = edge.connect(&t).await;
    let ended = Arc::new(AtomicBool::new(false));
    let asked = [Arc::default(), Arc::default()];
    let asking: Vec<_> = [&t, &other]
        .into_iter()
        .zip(&asked)
        .map(|(server, rounds)| tokio::spawn(ask(Arc::clone(server), admin.access_token.clone(), Arc::clone(&ended), Arc::clone(rounds))))
        .collect();
    let rounds_of = || asked.each_ref().map(|rounds: &Arc<AtomicU64>| rounds.load(Ordering::Relaxed));
    let mut proof = Proof::of("P26", "upgrades of the layer under running instances");
    for _ in 0..rounds(4, 50) {
        proof.tried(1);
        // As an instance with another layer does when it starts.
        sqlx::raw_sql("UPDATE ar.meta SET value = 'older' WHERE key = 'sql_layer'").execute(&t.sql).await.expect("pretends");
        assert_eq!(migrate(&t.db().options()).await.expect("migrates"), Migrated { migrations: 0, sql_layer: true });
        // Each has done a round that began after it, second attempt included: the next one is no part of this.
        let before = rounds_of();
        eventually("requests are answered after it", async || {
            rounds_of().iter().zip(before).all(|(now, before)| *now >= before + 2).then_some(())
        })
        .await;
    }
    ended.store(true, Ordering::Relaxed);
    let mut again = 0;
    for asking in asking {
        again += asking.await.expect("every request was answered");
    }
    // The socket is the same one, and hears of what was written.
    socket.data("sync_decorations").await;
    proof.measured(format!("{} requests, {again} writes at the second attempt", 4 * rounds_of().iter().sum::<u64>()));
}

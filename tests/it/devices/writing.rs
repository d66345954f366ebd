//! How positions are written: cheaply, and whatever happens to those who asked.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;

use super::{HERE, check_places, edge, location_path, number, put, run};
use crate::support::{Config, OwnCluster, Random, TestServer, eventually, rounds};

/// Phones that walk about change no index but when they leave a cell. On a server of its own: what is no longer
/// needed is cleared away when nobody can see it, and the other tests' transactions would be in the way.
#[tokio::test]
async fn nine_of_ten_updates_touch_no_index() {
    let cluster = OwnCluster::start().await;
    let t = TestServer::on(cluster.options(), Config::default()).await;
    let user = t.user().await;
    edge(&t, HERE, 1000).await;
    let mut random = Random::seeded("walking");
    let mut places: Vec<(f64, f64)> =
        (0..50).map(|_| (HERE.0 + random.between(-0.02, 0.02), HERE.1 + random.between(-0.02, 0.02))).collect();
    for _ in 0..rounds(30, 200) {
        // Seconds of a walk, ten metres at most.
        for place in &mut places {
            *place = (place.0 + random.between(-0.0001, 0.0001), place.1 + random.between(-0.0001, 0.0001));
        }
        let sent = places.iter().enumerate().map(|(i, place)| {
            let (t, user, body) = (&t, &user, json!({"lat": place.0, "lng": place.1}));
            async move { put(t, user, &format!("p{i}"), body).await.ok() }
        });
        join_all(sent).await;
    }
    // Each connection tells of its own.
    let share = eventually("the statistics are there", async || {
        run(&t.sql, "SELECT pg_stat_force_next_flush()").await;
        let (updates, hot): (i64, i64) =
            sqlx::query_as("SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'device_connections'")
                .fetch_one(&t.sql)
                .await
                .expect("reads");
        #[expect(clippy::cast_precision_loss, reason = "small")]
        (updates >= i64::try_from(50 * rounds(25, 190)).expect("small")).then_some(hot as f64 / updates as f64)
    })
    .await;
    println!("{share:.3} of the updates touched no index");
    assert!(share >= 0.9, "{share}");
    check_places(&t.sql).await;
}

/// P6: whoever leaves leaves nothing behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn abandoned_requests_leave_nothing_behind() {
    let t = std::sync::Arc::new(TestServer::start().await);
    let user = t.user().await;
    edge(&t, HERE, 20).await;
    let mut random = Random::seeded("abandoned");
    for _ in 0..rounds(60, 500) {
        let asking: Vec<_> = (0..4)
            .map(|_| {
                let (t, user) = (t.clone(), user.clone());
                let (device_id, lat, patience) =
                    (format!("p{}", random.below(40)), HERE.0 + random.between(-0.01, 0.01), random.between(0.0, 12.0));
                tokio::spawn(async move {
                    let asked = put(&t, &user, &device_id, json!({"lat": lat, "lng": HERE.1}));
                    drop(tokio::time::timeout(Duration::from_secs_f64(patience / 1e3), asked).await);
                })
            })
            .collect();
        for asking in asking {
            asking.await.expect("ends");
        }
    }
    let open = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'";
    eventually("no transaction is open", async || (number(&t, open).await == 0).then_some(())).await;
    check_places(&t.sql).await;
    put(&t, &user, "p0", json!({"lat": HERE.0, "lng": HERE.1})).await.ok();
    check_places(&t.sql).await;
}

/// P1, P7: whoever is under way when the service is told to stop is answered, and what was answered is there.
#[tokio::test]
async fn a_stop_answers_whoever_is_under_way() {
    let mut t = TestServer::start().await;
    let user = t.user().await;
    edge(&t, HERE, 100).await;
    put(&t, &user, "first", json!({"lat": HERE.0, "lng": HERE.1})).await.ok();
    // Held up in the database until the stop has begun.
    let mut blocker = t.sql.begin().await.expect("begins");
    sqlx::raw_sql("LOCK TABLE ar.device_connections IN ACCESS EXCLUSIVE MODE").execute(&mut *blocker).await.expect("locks");
    let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted";
    let serving = t.serving.take().expect("serves");
    let sent = (0..20).map(|i| {
        let (t, user) = (&t, &user);
        async move { put(t, user, &format!("p{i}"), json!({"lat": HERE.0, "lng": HERE.1})).await }
    });
    let stop = async {
        eventually("the writer waits", async || (number(&t, waiting).await > 0).then_some(())).await;
        // Whoever has only just connected is not under way.
        eventually("all are under way", async || (t.state.requests_in_flight() == 20).then_some(())).await;
        t.lifecycle.stop();
        blocker.rollback().await.expect("lets go");
    };
    let (answers, ()) = tokio::join!(join_all(sent), stop);
    for answer in answers {
        answer.ok();
    }
    serving.await.expect("drains");
    tokio::time::timeout(Duration::from_secs(5), t.lifecycle.tasks_ended()).await.expect("the writers end once all is answered");
    assert_eq!(number(&t, "SELECT count(*) FROM ar.device_connections").await, 21);
    assert_eq!(number(&t, "SELECT count(DISTINCT user_id) FROM ar.device_presence").await, 1, "written at the end");
    check_places(&t.sql).await;
}

/// Without the database positions are refused in time, and taken again when it is back.
#[tokio::test]
async fn without_the_database_they_are_told_to_come_back() {
    let cluster = OwnCluster::start().await;
    let t = TestServer::on(cluster.options(), Config::default()).await;
    let user = t.user().await;
    edge(&t, HERE, 100).await;
    eventually("the token is known", async || {
        user.get(&t, "/api/v1/auth/profile").await.ok();
        t.state.accounts.seen(&user.access_token)
    })
    .await;
    put(&t, &user, "p", json!({"lat": HERE.0, "lng": HERE.1})).await.ok();
    cluster.stop("immediate").await;
    let refused = put(&t, &user, "p", json!({"lat": HERE.0, "lng": HERE.1})).await;
    refused.problem(503, "database_unavailable");
    assert!(refused.header("retry-after").is_some());
    cluster.start_again().await;
    eventually("positions are taken again", async || {
        (put(&t, &user, "p", json!({"lat": HERE.0, "lng": HERE.1})).await.status == 200).then_some(())
    })
    .await;
    check_places(&t.sql).await;
}

#[tokio::test]
async fn no_place_is_lost_when_the_edges_row_is_locked_for_long() {
    let t = TestServer::start().await;
    let user = t.user().await;
    edge(&t, HERE, 100).await;
    let mut blocker = t.sql.begin().await.expect("begins");
    sqlx::query("SELECT FROM ar.edge_load FOR UPDATE").execute(&mut *blocker).await.expect("locks");
    // Longer than anybody waits for a lock.
    put(&t, &user, "p", json!({"lat": HERE.0, "lng": HERE.1})).await.problem(503, "database_unavailable");
    blocker.rollback().await.expect("lets go");
    assert_eq!(number(&t, "SELECT count(*) FROM ar.device_connections").await, 0);
    put(&t, &user, "p", json!({"lat": HERE.0, "lng": HERE.1})).await.ok();
    check_places(&t.sql).await;
    assert_eq!(user.ask(&t, Method::DELETE, &location_path("p").replace("/location", "")).await.status, 204);
}

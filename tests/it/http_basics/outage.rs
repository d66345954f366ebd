//! The database goes and comes back; the service lives on and says so.

use sqlx::Connection;

use crate::support::{Answer, Config, OwnCluster, TestServer, eventually};

const LISTS: [&str; 5] = [
    "/api/v1/decorations/nearby?lat=0&lng=0",
    "/api/v1/decorations/bounds?min_lat=0&min_lng=0&max_lat=1&max_lng=1",
    "/api/v1/decorations/clusters?min_lat=0&min_lng=0&max_lat=1&max_lng=1",
    "/api/v1/decorations/region?region=none",
    "/api/v1/regions",
];

fn assert_unavailable(answer: &Answer, code: &str) {
    answer.problem(503, code);
    assert!(answer.header("retry-after").is_some_and(|seconds| seconds.parse::<u32>().is_ok_and(|seconds| seconds > 0)), "{answer:?}");
}

async fn recovers(t: &TestServer) {
    for path in LISTS.into_iter().chain(["/health/ready"]) {
        eventually(path, async || {
            let answer = t.get(path).await;
            assert!([200, 404, 503].contains(&answer.status), "{path}: {}", answer.text());
            (answer.status != 503).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn discovery_is_503_while_the_database_is_away_and_recovers_by_itself() {
    let cluster = OwnCluster::start().await;
    let t = TestServer::on(cluster.options(), Config::default()).await;
    recovers(&t).await;
    for mode in ["fast", "immediate"] {
        cluster.stop(mode).await;
        for path in LISTS {
            assert_unavailable(&t.get(path).await, "database_unavailable");
        }
        assert_unavailable(&t.get("/health/ready").await, "database_unavailable");
        t.get("/health/live").await.ok();
        // What is wrong with a request is wrong without a database, too.
        assert_eq!(t.get("/api/v1/decorations/nearby").await.status, 400);
        cluster.start_again().await;
        recovers(&t).await;
    }
}

#[tokio::test]
async fn a_restart_between_two_requests_is_not_noticed() {
    let cluster = OwnCluster::start().await;
    let t = TestServer::on(cluster.options(), Config::default()).await;
    recovers(&t).await;
    cluster.stop("immediate").await;
    cluster.start_again().await;
    for path in LISTS {
        let answer = t.get(path).await;
        assert!([200, 404].contains(&answer.status), "{path}: {}", answer.text());
    }
}

#[tokio::test]
async fn it_starts_without_a_database() {
    let nowhere = sqlx::postgres::PgConnectOptions::new_without_pgpass().socket("/nonexistent").username("nobody").database("none");
    let t = TestServer::on(nowhere, Config { started: false, ..Config::default() }).await;
    t.get("/health/live").await.ok();
    assert_unavailable(&t.get("/health/ready").await, "starting");
    t.lifecycle.mark_started();
    assert_unavailable(&t.get("/health/ready").await, "database_unavailable");
    for path in LISTS {
        assert_unavailable(&t.get(path).await, "database_unavailable");
    }
}

#[tokio::test]
async fn a_table_that_is_locked_is_503_and_no_error_of_ours() {
    let t = TestServer::start().await;
    t.get(LISTS[0]).await.ok();
    let mut connection = t.db().connect().await;
    let mut lock = connection.begin().await.expect("begins");
    sqlx::raw_sql("LOCK TABLE ar.decorations IN ACCESS EXCLUSIVE MODE").execute(&mut *lock).await.expect("locks");
    assert_unavailable(&t.get(LISTS[0]).await, "database_unavailable");
    t.get("/health/ready").await.ok();
    lock.rollback().await.expect("unlocks");
    t.get(LISTS[0]).await.ok();
}

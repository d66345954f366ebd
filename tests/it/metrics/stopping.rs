//! A stop writes what was counted, also by requests that end while it goes on.

use sqlx::Connection;

use super::number;
use crate::support::{Answer, TestServer, eventually};

#[tokio::test]
async fn an_answer_given_during_the_stop_is_counted() {
    let mut t = TestServer::start().await;
    t.decoration("here").at(0.0, 0.0).insert().await;
    let nearby = "/api/v1/decorations/nearby?lat=0&lng=0";
    t.get(nearby).await.ok();
    let mut holder = t.db().connect().await;
    let mut lock = holder.begin().await.expect("begins");
    sqlx::raw_sql("LOCK TABLE ar.decorations IN ACCESS EXCLUSIVE MODE").execute(&mut *lock).await.expect("locks");
    let running = tokio::spawn(Answer::of(t.request(reqwest::Method::GET, nearby)));
    eventually("the request waits", async || {
        let waiting =
            number(&t.sql, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'").await;
        (waiting > 0).then_some(())
    })
    .await;
    t.lifecycle.stop();
    lock.rollback().await.expect("unlocks");
    running.await.expect("is answered").ok();
    t.serving.take().expect("it serves").await.expect("serving ends");
    t.lifecycle.tasks_ended().await;
    assert_eq!(number(&t.sql, "SELECT sum(answers)::bigint FROM ar.decoration_usage").await, 2);
}

//! An ordered stop: nobody new, those inside end what they began, and nobody can hold it up.

use std::time::{Duration, Instant};

use ar_supervisor::http::ConnectionLimits;
use sqlx::Connection;

use crate::support::{Answer, Config, RawConnection, TestServer, eventually};

const SLOW: &str = "/api/v1/decorations/nearby?lat=0&lng=0";

/// Waits until a request of the service waits for a lock.
async fn a_request_waits(t: &TestServer) {
    eventually("a request waits for the lock", async || {
        let waiting: i64 =
            sqlx::query_scalar("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
                .fetch_one(&t.sql)
                .await
                .expect("asks");
        (waiting > 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_stop_lets_a_running_request_end_and_takes_no_new_one() {
    let mut t = TestServer::start().await;
    t.decoration("here").at(0.0, 0.0).insert().await;
    t.get(SLOW).await.ok();
    let mut holder = t.db().connect().await;
    let mut lock = holder.begin().await.expect("begins");
    sqlx::raw_sql("LOCK TABLE ar.decorations IN ACCESS EXCLUSIVE MODE").execute(&mut *lock).await.expect("locks");
    let running = tokio::spawn(Answer::of(t.request(reqwest::Method::GET, SLOW)));
    a_request_waits(&t).await;
    t.lifecycle.stop();
    eventually("new connections are refused", async || tokio::net::TcpStream::connect(t.address).await.is_err().then_some(())).await;
    assert!(!running.is_finished());
    lock.rollback().await.expect("unlocks");
    let answer = running.await.expect("is answered").ok();
    assert_eq!(answer.names(), ["here"]);
    t.serving.take().expect("it serves").await.expect("serving ends");
}

#[tokio::test]
async fn a_stop_closes_idle_connections_at_once() {
    let mut t = TestServer::start().await;
    let mut idle = RawConnection::open(t.address).await;
    idle.send("GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(idle.read_answer().await.starts_with("HTTP/1.1 200"));
    let mut silent = RawConnection::open(t.address).await;
    let started = Instant::now();
    t.lifecycle.stop();
    assert_eq!(idle.read_to_end().await, "");
    silent.read_to_end().await;
    t.serving.take().expect("it serves").await.expect("serving ends");
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_stuck_request_cannot_hold_up_the_stop() {
    let limits = ConnectionLimits { drain: Duration::from_millis(200), ..ConnectionLimits::default() };
    let mut t = TestServer::start_with(Config { limits, ..Config::default() }).await;
    t.get(SLOW).await.ok();
    let mut holder = t.db().connect().await;
    let mut lock = holder.begin().await.expect("begins");
    sqlx::raw_sql("LOCK TABLE ar.decorations IN ACCESS EXCLUSIVE MODE").execute(&mut *lock).await.expect("locks");
    let mut stuck = RawConnection::open(t.address).await;
    stuck.send(&format!("GET {SLOW} HTTP/1.1\r\nHost: x\r\n\r\n")).await;
    a_request_waits(&t).await;
    let started = Instant::now();
    t.lifecycle.stop();
    t.serving.take().expect("it serves").await.expect("serving ends");
    assert!(started.elapsed() < Duration::from_millis(1_500), "{:?}", started.elapsed());
    lock.rollback().await.expect("unlocks");
}

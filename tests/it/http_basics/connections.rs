//! Connections that are slow, idle or too many.

use std::time::{Duration, Instant};

use ar_supervisor::http::ConnectionLimits;

use crate::support::{Config, RawConnection, TestServer, eventually};

const PATIENCE: Duration = Duration::from_millis(400);

async fn with(limits: ConnectionLimits) -> TestServer {
    TestServer::start_with(Config { limits, ..Config::default() }).await
}

#[tokio::test]
async fn slow_headers_end_the_connection() {
    let t = with(ConnectionLimits { header_timeout: PATIENCE, ..ConnectionLimits::default() }).await;
    for begun in ["", "G", "GET /health/live HTTP/1.1\r\n", "GET /health/live HTTP/1.1\r\nHost: x\r\nx: "] {
        let started = Instant::now();
        let mut connection = RawConnection::open(t.address).await;
        connection.send(begun).await;
        let answer = connection.read_to_end().await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{begun:?}: {answer}");
        assert!(started.elapsed() >= PATIENCE / 2, "{begun:?} got its time: {:?}", started.elapsed());
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_its_time() {
    let t = with(ConnectionLimits { header_timeout: PATIENCE, ..ConnectionLimits::default() }).await;
    let mut connection = RawConnection::open(t.address).await;
    for _ in 0..2 {
        connection.send("GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert!(connection.read_answer().await.starts_with("HTTP/1.1 200"));
    }
    assert_eq!(connection.read_to_end().await, "");
}

#[tokio::test]
async fn one_connection_too_many_is_told_so_and_others_go_on() {
    let t = with(ConnectionLimits { max_connections: 2, ..ConnectionLimits::default() }).await;
    let request = "GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut connection = RawConnection::open(t.address).await;
        connection.send(request).await;
        assert!(connection.read_answer().await.starts_with("HTTP/1.1 200"));
        open.push(connection);
    }
    // Reads without having sent: what was sent and not read would reset the connection under the answer.
    let refused = RawConnection::open(t.address).await.read_to_end().await;
    assert!(refused.starts_with("HTTP/1.1 503") && refused.to_ascii_lowercase().contains("retry-after:"), "{refused:?}");
    open[0].send(request).await;
    assert!(open[0].read_answer().await.starts_with("HTTP/1.1 200"), "those inside do not notice");
    drop(open.pop());
    eventually("a place is free again", async || {
        let mut connection = RawConnection::open(t.address).await;
        connection.send(request).await;
        connection.read_answer().await.starts_with("HTTP/1.1 200").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_client_that_takes_nothing_loses_its_place() {
    let t = with(ConnectionLimits { max_connections: 1, write_timeout: PATIENCE, ..ConnectionLimits::default() }).await;
    let mut greedy = RawConnection::open(t.address).await;
    let request = "GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n";
    greedy.send(request).await;
    // More of it than all buffers on the way can hold, and nothing is read.
    let mut sent = 0;
    eventually("the service stops to take requests", async || {
        let taken = greedy.send_what_fits(&request.repeat(200));
        sent += taken;
        (taken == 0 || sent > 200 * request.len()).then_some(())
    })
    .await;
    eventually("the place of the greedy one is free", async || {
        let mut connection = RawConnection::open(t.address).await;
        connection.send("GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n").await;
        connection.read_answer().await.starts_with("HTTP/1.1 200").then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_is_no_http_gets_a_400_and_hurts_nobody() {
    let t = TestServer::start().await;
    for nonsense in [
        "\r\n\r\nHELLO\r\n\r\n",
        "GET /health/live\r\n\r\n",
        "\u{0}\u{1}\u{2}\r\n\r\n",
        "GET  /  HTTP/9.9\r\n\r\n",
        "GET /health/live HTTP/1.1\r\nbad header\r\n\r\n",
    ] {
        let mut connection = RawConnection::open(t.address).await;
        connection.send(nonsense).await;
        let answer = connection.read_to_end().await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{nonsense:?}: {answer}");
    }
    t.get("/health/live").await.ok();
}

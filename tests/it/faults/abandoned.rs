//! P6: a request whose client leaves at any instant leaves nothing behind: no open transaction, no connection that is
//! missing, no half of a write.

use std::net::SocketAddr;
use std::time::Duration;

use ar_supervisor::db::ReadPool;
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::editing::{content_with, path_of};
use crate::support::{Account, Proof, Random, TestServer, eventually, half_applied, rounds};

/// Clients that leave at the same time.
const AT_ONCE: usize = 20;

/// One of the requests that somebody may leave, as its bytes.
fn request(random: &mut Random, admin: &Account, decorations: &[Value], number: usize) -> String {
    let content = |n: usize| {
        let members = json!({"lat": 10.0, "lng": 20.0, "external_id": format!("left {number} {n}"), "description": "x".repeat(1_000)});
        content_with(&format!("left {number}"), members)
    };
    let path = path_of(random.one_of(decorations));
    let edit = content_with("edited", json!({"lat": 10.0, "lng": 20.0})).to_string();
    let (method, path, kind, body) = match random.below(8) {
        0 => ("GET", "/api/v1/decorations/nearby?lat=10&lng=20&radius=5000&limit=500".to_owned(), "", String::new()),
        1 => ("GET", "/api/v1/decorations/bounds?min_lat=0&min_lng=0&max_lat=50&max_lng=50&limit=1000".to_owned(), "", String::new()),
        2 | 3 => ("POST", "/api/v1/decorations".to_owned(), "application/json", content(0).to_string()),
        4 | 5 => ("PUT", path, "application/json", edit),
        6 => {
            let rows: Vec<String> = (0..30).map(|n| content(n).to_string()).collect();
            ("POST", "/api/v1/decorations/import".to_owned(), "application/x-ndjson", rows.join("\n"))
        }
        _ => ("PUT", format!("/api/v1/devices/left-{number}/location"), "application/json", json!({"lat": 10, "lng": 20}).to_string()),
    };
    let kind = if kind.is_empty() { String::new() } else { format!("Content-Type: {kind}\r\nIf-Match: *\r\n") };
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n{kind}Content-Length: {length}\r\n\r\n{body}",
        admin.access_token
    )
}

/// Sends it, or a part of it, and leaves after a while, by a reset or not; whether an answer had begun.
async fn leave(address: SocketAddr, request: &str, sent: usize, after: Duration, by_reset: bool) -> bool {
    let mut connection = TcpStream::connect(address).await.expect("connects");
    connection.write_all(&request.as_bytes()[..sent]).await.expect("it takes what fits its buffers");
    tokio::time::sleep(after).await;
    if by_reset {
        connection.set_zero_linger().expect("a connection can be reset");
    }
    let mut first = [0];
    matches!(tokio::time::timeout(Duration::ZERO, connection.read(&mut first)).await, Ok(Ok(1)))
}

/// Connections of each kind, in the tests' configuration.
const EACH: usize = 3;

/// Uses all connections of each kind at the same time: each waits until all of them are there.
async fn are_whole(t: &TestServer) {
    let wait = "DO $$ BEGIN
        PERFORM pg_advisory_lock_shared(6);
        WHILE (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 6 AND granted
                 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())) < 3 LOOP
            PERFORM pg_sleep(0.01);
        END LOOP;
        PERFORM pg_sleep(0.2);
        PERFORM pg_advisory_unlock_shared(6);
    END $$";
    let read = |pool: ReadPool| async move {
        pool.run("waiting for the others", |connection| Box::pin(async move { sqlx::raw_sql(wait).execute(connection).await.map(|_| ()) }))
            .await
            .expect("every connection for reads is there");
    };
    for pool in [t.state.db.hot(), t.state.db.shaped()] {
        join_all((0..EACH).map(|_| read(pool.clone()))).await;
    }
    let write = t.state.db.write();
    let held = join_all((0..EACH).map(|_| write.acquire())).await;
    assert!(held.iter().all(Result::is_ok), "every connection for writes is there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn abandoned_requests_leave_nothing_behind() {
    let mut random = Random::seeded("abandoned requests");
    let mut proof = Proof::of("P6", "requests abandoned at random instants").seeded(random.seed());
    let t = TestServer::start().await;
    let admin = t.admin().await;
    let mut decorations = Vec::new();
    for n in 0..5 {
        let content = content_with(&format!("stays {n}"), json!({"lat": 10.0, "lng": 20.0}));
        decorations.push(admin.send(&t, Method::POST, "/api/v1/decorations", content).await.json());
    }
    let (tries, mut answered) = (rounds(100, 2_000), 0);
    for round in 0..tries / AT_ONCE {
        let leaving: Vec<_> = (0..AT_ONCE)
            .map(|n| {
                let request = request(&mut random, &admin, &decorations, round * AT_ONCE + n);
                let sent = if random.below(8) == 0 { random.below(request.len()) } else { request.len() };
                let most_us = *random.one_of(&[300, 3_000, 30_000]);
                let after = Duration::from_micros(u64::try_from(random.below(most_us)).expect("small"));
                (request, sent, after, random.below(2) == 0)
            })
            .collect();
        let left =
            join_all(leaving.iter().map(|(request, sent, after, by_reset)| leave(t.address, request, *sent, *after, *by_reset))).await;
        answered += left.into_iter().filter(|had_answer| *had_answer).count();
        proof.tried(AT_ONCE);
    }
    // What was begun ends by itself, and then nobody holds anything.
    let open = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name LIKE 'ar-supervisor%' AND xact_start IS NOT NULL AND state <> 'active'";
    eventually("no transaction is open", async || {
        let open: i64 = sqlx::query_scalar(open).fetch_one(&t.sql).await.expect("counts");
        (open == 0).then_some(())
    })
    .await;
    let write = t.state.db.write();
    eventually("all connections for writes are back", async || (write.num_idle() == write.size() as usize).then_some(())).await;
    are_whole(&t).await;
    let wrong = half_applied(&t.sql).await;
    // An import is one act for many decorations, so versions and acts differ there.
    let wrong: Vec<String> = wrong.into_iter().filter(|what| !what.contains("has version 1 and 0 acts")).collect();
    proof.failed(wrong.len());
    proof.measured(format!("{answered} left an answer that had begun; 0 open transactions, pools whole"));
    assert!(wrong.is_empty(), "{wrong:#?}");
}

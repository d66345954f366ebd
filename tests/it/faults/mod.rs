//! The service while things fail around it: killed, cut off, out of room, or held up by its own clients.

mod abandoned;
mod foreign;
mod full;
mod ledger;
mod restarts;
mod slow;
mod stalled;
mod stopping;

use std::net::SocketAddr;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;

use crate::support::{Account, Config, TestServer};

/// An admin of a database that no service runs on yet: signed in for two hours, by a service that is gone again.
async fn admin_of(database: PgConnectOptions) -> Account {
    let t = TestServer::on(database, Config::of("JWT_EXPIRY", "2h")).await;
    t.admin().await
}

/// The time within which 99 of 100 were answered.
fn p99(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() * 99 / 100]
}

/// GET by a connection that stays, and how long the whole answer took.
async fn timed(client: &reqwest::Client, url: &str) -> (u16, Duration) {
    let began = std::time::Instant::now();
    let answer = client.get(url).send().await.unwrap_or_else(|error| panic!("{url}: {error:?}"));
    let status = answer.status().as_u16();
    answer.bytes().await.unwrap_or_else(|error| panic!("{url}: {error:?}"));
    (status, began.elapsed())
}

/// A client of one address that waits `patience` for an answer.
fn client(patience: Duration) -> reqwest::Client {
    reqwest::Client::builder().no_proxy().timeout(patience).build().expect("a client")
}

/// A connection whose buffer for what comes is so small that a sender soon feels that nobody reads.
async fn narrow(address: SocketAddr) -> tokio::net::TcpStream {
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a small buffer");
    socket.connect(address).await.expect("connects")
}

/// The table of `make soak`.
#[path = "../../soak/promises.rs"]
mod promises;

/// A test that is renamed would prove nothing any more, and nobody would notice before the next soak.
#[test]
fn every_test_that_proves_a_promise_exists() {
    let this = std::env::current_exe().expect("this program");
    let listed = std::process::Command::new(this).args(["--list", "--format", "terse"]).output().expect("lists");
    let listed = String::from_utf8(listed.stdout).expect("text");
    let tests: std::collections::BTreeSet<&str> = listed.lines().filter_map(|line| line.strip_suffix(": test")).collect();
    for (number, promise) in promises::PROMISES.iter().enumerate() {
        assert_eq!(promise.name, format!("P{}", number + 1), "{}", promise.says);
        for part in promise.parts {
            match part {
                promises::Part::It(test) | promises::Part::Pinned(test) => {
                    assert!(tests.contains(test), "{}: no test {test}", promise.name);
                }
                promises::Part::Program(path) => assert!(std::path::Path::new(path).exists(), "{path}"),
                // The library's own tests are another program.
                promises::Part::Unit(test) => assert!(test.contains("::"), "{test}"),
            }
        }
    }
}

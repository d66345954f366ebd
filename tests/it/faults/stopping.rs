//! P7: stopping breaks nobody. SIGTERM while requests are under way and sockets are open: every reply comes whole, every
//! socket is told when to come back, and the process ends well and in time.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::Value;
use sqlx::{ConnectOptions, Connection};

use super::{admin_of, client};
use crate::commands::url_of;
use crate::support::{Config, OwnCluster, Proof, RegisteredEdge, Service, Socket, TestServer, hello, rounds};

const REQUESTS: usize = 50;
/// The promise.
const LONGEST: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_cuts_no_reply_tells_every_socket_and_ends_well() {
    let stops = rounds(1, 100);
    let mut proof = Proof::of("P7", "stops with 50 requests and 200 sockets");
    let cluster = OwnCluster::start().await;
    let admin = admin_of(&cluster).await;
    let edges = {
        let t = TestServer::on(cluster.options(), Config::default()).await;
        t.decoration("here").at(0.0, 0.0).insert().await;
        RegisteredEdge::many(&t, 200).await
    };
    let folder = tempfile::tempdir().expect("a folder");
    // Enough connections for all requests to be at the database at once.
    let mut service = Service::start(&url_of(&cluster.options()), &folder.path().join("log"), &[], &[("DATABASE_MAX_CONNECTIONS", "160")]);
    let mut longest = Duration::ZERO;
    for stop in 0..stops {
        if stop > 0 {
            service.start_again();
        }
        service.ready().await;
        let mut sockets = join_all(edges.iter().map(async |edge| {
            let bearer = format!("Bearer {}", edge.key);
            let path = format!("/ws/edge/{}", edge.id);
            let mut socket = Socket::to(service.address, &path, &[("authorization", &bearer)]).await.expect("opens");
            socket.send("hello", hello()).await;
            socket.data("welcome").await;
            socket
        }))
        .await;
        let bearer = format!("Bearer {}", admin.access_token);
        let mut looking = Socket::to(service.address, "/ws/admin", &[("authorization", &bearer)]).await.expect("opens");
        looking.data("snapshot").await;
        sockets.push(looking);
        // All of them are inside, at the database, when the signal comes.
        let mut connection = cluster.options().connect().await.expect("connects");
        let mut lock = connection.begin().await.expect("begins");
        sqlx::raw_sql("LOCK TABLE ar.decorations IN ACCESS EXCLUSIVE MODE").execute(&mut *lock).await.expect("locks");
        let url = service.at("/api/v1/decorations/nearby?lat=0&lng=0");
        let requests: Vec<_> = (0..REQUESTS)
            .map(|_| {
                let (client, url) = (client(Duration::from_secs(20)), url.clone());
                tokio::spawn(async move { super::timed(&client, &url).await.0 })
            })
            .collect();
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'ar-supervisor hot' AND wait_event_type = 'Lock'";
        let began = Instant::now();
        loop {
            let waiting: i64 = sqlx::query_scalar(waiting).fetch_one(&mut *lock).await.expect("counts");
            if usize::try_from(waiting).expect("few") == REQUESTS {
                break;
            }
            assert!(began.elapsed() < Duration::from_millis(1_900), "only {waiting} requests wait");
        }
        let signalled = Instant::now();
        service.signal("-TERM");
        tokio::time::sleep(Duration::from_millis(u64::try_from(stop * 37 % 200).expect("small"))).await;
        lock.rollback().await.expect("unlocks");
        for request in requests {
            assert_eq!(request.await.expect("a whole reply"), 200);
        }
        for closed in join_all(sockets.iter_mut().map(Socket::closed)).await {
            let (code, reason) = closed;
            let told: Value = serde_json::from_str(&reason).unwrap_or_else(|error| panic!("{code} {reason}: {error}"));
            assert!(code == 1012 && told["retry_after_ms"].as_u64().is_some_and(|ms| (500..=31_500).contains(&ms)), "{code} {reason}");
        }
        let status = tokio::time::timeout(LONGEST, service.ended()).await.expect("it ends in time");
        assert_eq!(status.code(), Some(0));
        longest = longest.max(signalled.elapsed());
        proof.tried(1);
        proof.measured(format!("0 cut replies, all sockets 1012; longest {longest:.2?}"));
    }
    assert_eq!(service.panics(), [""; 0]);
}

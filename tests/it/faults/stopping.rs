//! P7: stopping breaks nobody. SIGTERM while requests are under way and sockets are open: every reply comes whole, every
//! socket is told when to come back, and the process ends well and in time.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};
use sqlx::ConnectOptions;

use super::admin_of;
use crate::commands::url_of;
use crate::editing::content_with;
use crate::support::{Account, Config, Proof, RawConnection, RegisteredEdge, Service, Socket, TestDb, TestServer, hello, rounds};

const REQUESTS: usize = 50;
/// The promise.
const LONGEST: Duration = Duration::from_secs(30);

/// Begins a write; its connection, and the body that is still to be sent.
async fn begin(service: &Service, admin: &Account, name: String) -> (RawConnection, String) {
    let body = content_with(&name, json!({"lat": 10.0, "lng": 20.0})).to_string();
    let mut connection = RawConnection::open(service.address).await;
    let head = format!(
        "POST /api/v1/decorations HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\r\n",
        admin.access_token,
        body.len()
    );
    connection.send(&head).await;
    assert!(connection.read_answer().await.starts_with("HTTP/1.1 100 "), "it is to go on");
    (connection, body)
}

async fn end(connection: &mut RawConnection, body: &str) -> String {
    connection.send(body).await;
    connection.read_answer().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_cuts_no_reply_tells_every_socket_and_ends_well() {
    let stops = rounds(1, 100);
    let mut proof = Proof::of("P7", "stops with 50 requests and 200 sockets");
    let db = TestDb::create().await;
    let admin = admin_of(db.options()).await;
    let edges = {
        let t = TestServer::on(db.options(), Config::default()).await;
        RegisteredEdge::many(&t, 200).await
    };
    let folder = tempfile::tempdir().expect("a folder");
    let mut service = Service::start(&url_of(&db.options()), &folder.path().join("log"), &[], &[]);
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
        // All of them are inside when the signal comes: each was told to go on with its body.
        let mut requests = join_all((0..REQUESTS).map(|n| begin(&service, &admin, format!("stop {stop} request {n}")))).await;
        let signalled = Instant::now();
        service.signal("-TERM");
        tokio::time::sleep(Duration::from_millis(u64::try_from(stop * 37 % 200).expect("small"))).await;
        for answer in join_all(requests.iter_mut().map(|(connection, body)| end(connection, body))).await {
            let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("cut: {answer}"));
            assert!(head.starts_with("HTTP/1.1 201 "), "{answer}");
            let _whole: Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"));
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
    // Whoever was answered 201 finds it there.
    let mut connection = db.options().connect().await.expect("connects");
    let written: i64 = sqlx::query_scalar("SELECT count(*) FROM ar.decorations WHERE name LIKE 'stop %'")
        .fetch_one(&mut connection)
        .await
        .expect("counts");
    assert_eq!(usize::try_from(written).expect("few"), stops * REQUESTS);
    assert_eq!(service.panics(), [""; 0]);
}

//! P9: an edge that reads nothing hurts only itself. The others get every edit in time, the service keeps little for it
//! and lets it go; and when it comes back it is soon as it should be.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tokio_tungstenite::MaybeTlsStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use super::{admin_of, client, narrow, p99};
use crate::commands::url_of;
use crate::editing::{content_with, path_of};
use crate::support::{Config, Held, Proof, RegisteredEdge, Service, Socket, TestDb, TestServer, eventually, is_pinned, rounds};

/// The promise: messages a second to all of them, and what may come of one that reads none of its own.
const MESSAGES_A_SECOND: usize = 500;
const MOST_MEMORY_KIB: usize = 32 * 1024;
const LATEST: Duration = Duration::from_millis(250);
const LET_GO_WITHIN: Duration = Duration::from_secs(15);
/// What is no question of a stalled edge on a machine that runs other tests meanwhile.
const UNNOTICED: Duration = Duration::from_secs(2);

/// When each edit was asked for, by its number, and how long it took to each edge.
#[derive(Default)]
struct Times {
    asked: Mutex<Vec<Instant>>,
    taken: Mutex<Vec<Duration>>,
}

impl Times {
    /// Takes note of the edits in a message.
    fn note(&self, message: &Value) {
        let now = Instant::now();
        for put in message["data"]["decorations"].as_array().into_iter().flatten() {
            let number: Option<usize> = put["name"].as_str().and_then(|name| name.strip_prefix("edit ")?.parse().ok());
            if let Some(asked) = number.and_then(|number| self.asked.lock().expect("not poisoned").get(number).copied()) {
                self.taken.lock().expect("not poisoned").push(now - asked);
            }
        }
    }
}

fn bearer(edge: &RegisteredEdge) -> String {
    format!("Bearer {}", edge.key)
}

/// Takes what comes and answers it, as long as the socket is open; it should not end.
async fn live(address: SocketAddr, edge: RegisteredEdge, times: Arc<Times>) {
    let mut held = Held::default();
    let path = format!("/ws/edge/{}", edge.id);
    let mut socket = Socket::to(address, &path, &[("authorization", &bearer(&edge))]).await.expect("opens");
    assert!(socket.try_send(&json!({"type": "hello", "data": held.hello()})).await);
    while let Some(message) = socket.try_next().await {
        times.note(&message);
        take(&mut held, &mut socket, &message).await;
    }
}

async fn take(held: &mut Held, socket: &mut Socket, message: &Value) {
    if message["type"] == "welcome" {
        held.welcomed(&message["data"]);
    }
    for answer in held.answer(message) {
        assert!(socket.try_send(&answer).await, "the socket is open");
    }
}

/// Comes with what it holds, over a connection with small buffers, and takes all until it holds an edit as new as any;
/// how long that took.
async fn come_back(address: SocketAddr, edge: &RegisteredEdge, held: &mut Held, newest: impl Fn() -> usize) -> (Socket, Duration) {
    let began = Instant::now();
    let stream = MaybeTlsStream::Plain(narrow(address).await);
    let mut request = format!("ws://{address}/ws/edge/{}", edge.id).into_client_request().expect("a request");
    request.headers_mut().insert("authorization", bearer(edge).parse().expect("a header"));
    let (stream, _) = tokio_tungstenite::client_async(request, stream).await.expect("opens");
    let (mut socket, wanted) = (Socket { stream }, newest());
    assert!(socket.try_send(&json!({"type": "hello", "data": held.hello()})).await);
    let holds = |held: &Held| {
        let names = held.items.values().filter_map(|(_, content)| content["name"].as_str()?.strip_prefix("edit ")?.parse::<usize>().ok());
        names.max().is_some_and(|newest| newest >= wanted)
    };
    while !holds(held) {
        let message = socket.try_next().await.expect("the socket is open");
        take(held, &mut socket, &message).await;
    }
    (socket, began.elapsed())
}

async fn has_session(sql: &PgPool, edge: &RegisteredEdge) -> bool {
    let has = sqlx::query_scalar("SELECT EXISTS (SELECT FROM ar.edge_sessions WHERE edge_server_id = $1)");
    has.bind(edge.id).fetch_one(sql).await.expect("asks")
}

/// Bytes between two sockets of this machine, as the kernel has them: those that wait to be sent, and those that wait to
/// be read. None when the first one is closed.
fn queued(from: SocketAddr, to: SocketAddr) -> Option<(String, String)> {
    let table = std::fs::read_to_string("/proc/net/tcp").expect("the kernel's list of sockets");
    let queues = |from: SocketAddr, to: SocketAddr| {
        let (from, to) = (format!(":{:04X}", from.port()), format!(":{:04X}", to.port()));
        let words = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let found = words.into_iter().find(|words| words.len() > 4 && words[1].ends_with(&from) && words[2].ends_with(&to));
        // Established, and not closed with bytes that still wait.
        found.filter(|words| words[3] == "01").and_then(|words| words[4].split_once(':').map(|(tx, rx)| (tx.to_owned(), rx.to_owned())))
    };
    Some((queues(from, to)?.0, queues(to, from)?.1))
}

/// Puts more into the way of an edge than all buffers hold.
async fn flood(sql: &PgPool, edge: &RegisteredEdge) {
    let flood = sqlx::query(
        "WITH told AS (INSERT INTO ar.edge_device_notices (edge_server_id, device_id, assigned)
             SELECT $1, lpad(n::text, 255, '0'), true FROM generate_series(1, 40000) AS n)
         SELECT pg_notify('ar', 'devices:00000000-0000-0000-0000-000000000000')",
    );
    flood.bind(edge.id).execute(sql).await.expect("tells");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_that_reads_nothing_hurts_only_itself() {
    let (count, a_second) = (rounds(20, 200), rounds(50, MESSAGES_A_SECOND));
    let during = Duration::from_secs(u64::try_from(rounds(4, 300)).expect("small"));
    let mut proof = Proof::of("P9", "messages to edges of which one is stalled");
    let db = TestDb::create().await;
    let admin = admin_of(db.options()).await;
    let (mut edges, decoration) = {
        let t = TestServer::on(db.options(), Config::default()).await;
        let edges = RegisteredEdge::many(&t, count).await;
        let content = content_with("edit 0", json!({"lat": 1.0, "lng": 2.0}));
        (edges, admin.send(&t, Method::POST, "/api/v1/decorations", content).await.json())
    };
    let folder = tempfile::tempdir().expect("a folder");
    let service = Service::start(&url_of(&db.options()), &folder.path().join("log"), &[], &[]);
    service.ready().await;
    let sql = PgPoolOptions::new().max_connections(2).connect_lazy_with(db.options());
    let stalled = edges.pop().expect("one");
    let (times, ended) = (Arc::new(Times::default()), Arc::new(AtomicBool::new(false)));
    times.asked.lock().expect("not poisoned").push(Instant::now());
    let others: Vec<_> = edges.into_iter().map(|edge| tokio::spawn(live(service.address, edge, Arc::clone(&times)))).collect();
    let open = async |wanted: usize| {
        eventually("all are open", async || {
            let open: i64 = sqlx::query_scalar("SELECT count(*) FROM ar.edge_sessions").fetch_one(&sql).await.expect("counts");
            (usize::try_from(open).expect("few") == wanted).then_some(())
        })
        .await;
    };
    open(count - 1).await;
    // Edits, each of them a message to every edge.
    let editing = tokio::spawn({
        let (times, ended, url) = (Arc::clone(&times), Arc::clone(&ended), service.at(&path_of(&decoration)));
        let (token, client) = (admin.access_token.clone(), client(Duration::from_secs(10)));
        async move {
            #[expect(clippy::cast_precision_loss, reason = "small")]
            let mut pace = tokio::time::interval(Duration::from_secs_f64(count as f64 / a_second as f64));
            while !ended.load(Ordering::Relaxed) {
                pace.tick().await;
                let number = {
                    let mut asked = times.asked.lock().expect("not poisoned");
                    asked.push(Instant::now());
                    asked.len() - 1
                };
                let members = json!({"lat": 1.0, "lng": 2.0, "description": "x".repeat(2_000)});
                let put =
                    client.put(&url).bearer_auth(&token).header("if-match", "*").json(&content_with(&format!("edit {number}"), members));
                assert_eq!(put.send().await.expect("answers").status(), 200);
            }
        }
    });
    let newest = || times.asked.lock().expect("not poisoned").len().saturating_sub(2);
    let mut held = Held::default();
    let (mut stalls, mut longest, mut slowest_return) = (0, Duration::ZERO, Duration::ZERO);
    let (mut socket, _) = come_back(service.address, &stalled, &mut held, newest).await;
    eventually("edits go on", async || (newest() > 5).then_some(())).await;
    let (before_kib, mut most_kib) = (service.memory_kib(), 0);
    let began = Instant::now();
    while began.elapsed() < during {
        // From here on nobody reads what is written to it. It stalls when the buffers on the way take nothing more.
        let MaybeTlsStream::Plain(stream) = socket.stream.get_ref() else { unreachable!("it was opened without TLS") };
        let here = stream.local_addr().expect("an address");
        flood(&sql, &stalled).await;
        let (mut stopped, mut on_the_way) = (Instant::now(), None);
        while has_session(&sql, &stalled).await {
            most_kib = most_kib.max(service.memory_kib());
            let now = queued(service.address, here);
            if now.is_some() && now != on_the_way {
                (stopped, on_the_way) = (Instant::now(), now);
            }
            assert!(stopped.elapsed() < 2 * LET_GO_WITHIN, "it is not let go");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        (stalls, longest) = (stalls + 1, longest.max(stopped.elapsed()));
        drop(socket);
        let took;
        (socket, took) = come_back(service.address, &stalled, &mut held, newest).await;
        slowest_return = slowest_return.max(took);
    }
    ended.store(true, Ordering::Relaxed);
    editing.await.expect("every edit was answered");
    let last = times.asked.lock().expect("not poisoned").len() - 1;
    // What it missed has come, and nothing twice or out of order.
    drop(socket);
    let (_socket, took) = come_back(service.address, &stalled, &mut held, || last).await;
    assert_eq!((held.falls, held.repeats), (0, 0));
    assert!(others.iter().all(|other| !other.is_finished()), "nobody else was closed");
    let taken = times.taken.lock().expect("not poisoned").clone();
    let (messages, p99, more_kib) = (taken.len(), p99(taken), most_kib.saturating_sub(before_kib));
    proof.tried(messages);
    proof.measured(format!(
        "{count} edges, {stalls} stalls, let go after {longest:.1?} at most; p99 of the others {p99:.1?}; memory +{} MiB; back in {:.1?}",
        more_kib / 1024,
        slowest_return.max(took)
    ));
    println!("{messages} messages, p99 {p99:?}, {stalls} stalls of up to {longest:?}, memory +{more_kib} KiB, back in {slowest_return:?}");
    // An edit that is overtaken by the next one need not go out.
    assert!(2 * messages > last * (count - 1), "{messages} messages of {last} edits");
    assert!(longest <= LET_GO_WITHIN, "{longest:?}");
    assert!(more_kib < MOST_MEMORY_KIB, "{more_kib} KiB");
    assert!(p99 < if is_pinned() { LATEST } else { UNNOTICED }, "{p99:?}");
    assert_eq!(service.panics(), [""; 0]);
    others.iter().for_each(tokio::task::JoinHandle::abort);
}

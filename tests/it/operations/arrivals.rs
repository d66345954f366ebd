//! Callers who arrive at a steady rate, whatever became of those before them: each over a connection of its own, for one
//! request. Nobody can hold them up, as one can who asks again when he is answered.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// Callers of one moment arrive together; so long are moments.
const MOMENT: Duration = Duration::from_millis(1);
/// Nobody waits longer for an answer.
const PATIENCE: Duration = Duration::from_secs(15);

/// Answers a second.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rates {
    pub(super) good: f64,
    pub(super) refused: f64,
}

/// Has so many a second arrive for so long, on a thread of its own; who calls, and how each was answered.
pub(super) async fn arrive(address: SocketAddr, path: &str, per_s: f64, lasting: Duration) -> (f64, Rates) {
    let request: Arc<[u8]> = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").into_bytes().into();
    let all = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(arriving(address, request, per_s, lasting))
    };
    tokio::task::spawn_blocking(all).await.expect("they arrive")
}

async fn arriving(address: SocketAddr, request: Arc<[u8]>, per_s: f64, lasting: Duration) -> (f64, Rates) {
    let (mut calls, mut offered, mut good, mut refused) = (JoinSet::new(), 0.0, 0.0, 0.0);
    let mut count = |is_good: bool| *(if is_good { &mut good } else { &mut refused }) += 1.0;
    let mut moments = interval(MOMENT);
    moments.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let began = Instant::now();
    while began.elapsed() < lasting {
        moments.tick().await;
        while offered < per_s * began.elapsed().as_secs_f64() {
            calls.spawn(timeout(PATIENCE, call(address, Arc::clone(&request))));
            offered += 1.0;
        }
        while let Some(answered) = calls.try_join_next() {
            count(answered.expect("no panic").expect("answered in time"));
        }
    }
    let offered_s = began.elapsed().as_secs_f64();
    while let Some(answered) = calls.join_next().await {
        count(answered.expect("no panic").expect("answered in time"));
    }
    let took_s = began.elapsed().as_secs_f64();
    (offered / offered_s, Rates { good: good / took_s, refused: refused / took_s })
}

/// Whether it was answered 200. Everything else is a refusal that says when to come again.
async fn call(address: SocketAddr, request: Arc<[u8]>) -> bool {
    let mut connection = TcpStream::connect(address).await.expect("it lets in");
    connection.write_all(&request).await.expect("it listens");
    let mut answer = Vec::with_capacity(4 * 1024);
    connection.read_to_end(&mut answer).await.expect("no answer is cut");
    let head = String::from_utf8_lossy(&answer[..answer.len().min(1024)]).to_ascii_lowercase();
    match head.get(..12) {
        Some("http/1.1 200") => true,
        Some("http/1.1 429" | "http/1.1 503") if head.contains("\r\nretry-after: ") => false,
        _ => panic!("every answer is 200, or 429 or 503 with Retry-After: {head}"),
    }
}

//! SIGTERM while requests are under way and sockets are open: whether anybody is cut off, and whether the sockets are told
//! when to come back.

use std::time::{Duration, Instant};

use serde_json::Value;
use sqlx::ConnectOptions;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::edge::Edge;
use super::{Row, start};
use crate::service::Service;
use crate::support::database::BenchCluster;
use crate::support::{Outcome, measure};

/// Stops.
const STOPS: usize = 5;
/// Requests under way, and open sockets.
const REQUESTS: usize = 50;
const SOCKETS: usize = 200;
/// The requests' other half is sent so long after the signal.
const LATE: Duration = Duration::from_millis(500);
/// What is promised.
const MOST_S: f64 = 30.0;

const BODY: &[u8] = br#"{"lat": 52.5163, "lng": 13.3777}"#;

/// Stops the service again and again, beginning with this one.
pub(super) async fn measure(cluster: &BenchCluster, database: &str, first: Service, token: &str, edges: &[Edge]) -> Outcome<Vec<Row>> {
    let (mut cut, mut unwritten, mut told, mut bad_exits, mut seconds) = (0, 0, 0, 0, Vec::new());
    let mut next = Some(first);
    for stop in 0..STOPS {
        let service = match next.take() {
            Some(service) => service,
            None => start(cluster, database).await?,
        };
        let mut sockets = JoinSet::new();
        for edge in &edges[..SOCKETS] {
            let mut socket = edge.connect(service.url(), None).await?;
            sockets.spawn(async move { socket.closed().await });
        }
        let mut requests = JoinSet::new();
        for number in 0..REQUESTS {
            let request = Request::begin(&service, token, &format!("stop-{stop}-{number}")).await?;
            requests.spawn(request.end());
        }
        let signalled = Instant::now();
        let status = tokio::task::spawn_blocking(|| service.stop()).await??;
        seconds.push(signalled.elapsed().as_secs_f64());
        bad_exits += usize::from(!status.success());
        let answers = requests.join_all().await;
        cut += answers.iter().filter(|answer| !answer.as_ref().is_ok_and(|answer| is_whole(answer))).count();
        for answer in answers.iter().filter(|answer| !answer.as_ref().is_ok_and(|answer| is_whole(answer))).take(3) {
            eprintln!("cut off: {answer:?}");
        }
        told += sockets.join_all().await.iter().filter(|(code, reason)| *code == 1012 && says_when(reason)).count();
        let written: i64 = sqlx::query_scalar("SELECT count(*) FROM ar.device_connections WHERE device_id LIKE 'stop-' || $1 || '-%'")
            .bind(stop.to_string())
            .fetch_one(&mut cluster.options(database).connect().await?)
            .await?;
        unwritten += REQUESTS - usize::try_from(written)?.min(REQUESTS);
    }
    let longest_s = seconds.iter().copied().fold(0.0, f64::max);
    let (requests, sockets) = (STOPS * REQUESTS, STOPS * SOCKETS);
    Ok(vec![
        Row::new(
            format!("replies cut off by SIGTERM with {REQUESTS} requests under way"),
            "0".to_owned(),
            cut.to_string(),
            cut + unwritten == 0,
        )
        .with(format!("of {requests} in {STOPS} stops; {unwritten} of them not in the database")),
        Row::new(
            format!("sockets that saw 1012 with retry_after_ms, of {SOCKETS}"),
            "all".to_owned(),
            format!("{told} of {sockets}"),
            told == sockets,
        ),
        Row::new("exits with another status than 0".to_owned(), "0".to_owned(), bad_exits.to_string(), bad_exits == 0),
        Row::new("from SIGTERM to the end, longest".to_owned(), format!("≤ {MOST_S} s"), format!("{longest_s:.1} s"), longest_s <= MOST_S)
            .with(format!("median {:.1} s; the requests went on {} s after the signal", measure::median(&seconds), LATE.as_secs_f64())),
    ])
}

fn says_when(reason: &str) -> bool {
    serde_json::from_str::<Value>(reason).is_ok_and(|reason| reason["retry_after_ms"].as_u64().is_some_and(|ms| ms > 0))
}

/// A request that is under way: the service reads its body, half of which is still to come.
struct Request(TcpStream);

impl Request {
    async fn begin(service: &Service, token: &str, device: &str) -> Outcome<Self> {
        let mut stream = TcpStream::connect(service.url().trim_start_matches("http://")).await?;
        // Whoever is told to go on is under way for certain.
        let head = format!(
            "PUT /api/v1/devices/{device}/location HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\r\n",
            BODY.len()
        );
        stream.write_all(head.as_bytes()).await?;
        let mut answer = [0; 25];
        stream.read_exact(&mut answer).await?;
        if !answer.starts_with(b"HTTP/1.1 100 ") {
            return Err(format!("not told to go on but {}", String::from_utf8_lossy(&answer)).into());
        }
        stream.write_all(&BODY[..BODY.len() / 2]).await?;
        Ok(Self(stream))
    }

    /// Sends the rest after the signal; all that is answered.
    async fn end(mut self) -> Outcome<String> {
        tokio::time::sleep(LATE).await;
        self.0.write_all(&BODY[BODY.len() / 2..]).await?;
        let mut answer = Vec::new();
        self.0.read_to_end(&mut answer).await?;
        Ok(String::from_utf8(answer)?)
    }
}

/// Whether it is a good answer, and as long as it says.
fn is_whole(answer: &str) -> bool {
    let Some((head, body)) = answer.split_once("\r\n\r\n") else { return false };
    let length = head.lines().filter_map(|line| line.split_once(':')).find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length = length.and_then(|(_, length)| length.trim().parse::<usize>().ok());
    head.starts_with("HTTP/1.1 200 ") && length == Some(body.len())
}

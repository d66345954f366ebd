//! P8: clients that are slow cannot hold the service: each is let go in time, and meanwhile others hardly notice.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::{client, narrow, p99, timed};
use crate::commands::url_of;
use crate::support::{Config, Proof, Service, TestDb, TestServer, is_pinned, rounds};

/// The promise.
const CLOSED_WITHIN: Duration = Duration::from_secs(15);
/// The promise, times p99 without slow clients.
const SLOWER: u32 = 2;
/// What is no question of slow clients on a machine that runs other tests meanwhile.
const UNNOTICED: Duration = Duration::from_millis(250);
/// Clients that are not slow, and the time between two requests of one.
const OTHERS: usize = 4;
/// Connections to its database that the service may open meanwhile.
const SLACK: usize = 7;
const PACE: Duration = Duration::from_millis(10);

const HEAD: &str = "GET /health/live HTTP/1.1\r\nHost: x\r\nx-slow: ";
const BODY: &str = "POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n";

/// Begins a request and goes on with a byte a second; how long the service let it.
async fn drips(address: SocketAddr, begins: &'static str) -> Duration {
    let began = Instant::now();
    let mut connection = TcpStream::connect(address).await.expect("connects");
    connection.write_all(begins.as_bytes()).await.expect("it takes the beginning");
    let (mut from, mut to) = connection.split();
    let dripping = async {
        while to.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    let mut answer = Vec::new();
    tokio::select! {
        () = dripping => {}
        // An answer may come first; the end or a reset comes after it.
        _ = from.read_to_end(&mut answer) => {}
        () = tokio::time::sleep(2 * CLOSED_WITHIN) => {}
    }
    began.elapsed()
}

/// Asks for more than all buffers hold and reads nothing, until it is told to stop.
async fn reads_nothing(address: SocketAddr, ended: tokio_util::sync::CancellationToken) {
    let mut connection = narrow(address).await;
    let request = "GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n".repeat(8);
    connection.write_all(request.as_bytes()).await.expect("it takes the requests");
    ended.cancelled().await;
}

/// Times of requests that are made at an even pace by a few clients for a while.
async fn others(service: &Service, during: Duration) -> Vec<Duration> {
    let until = Instant::now() + during;
    let mut clients = JoinSet::new();
    for _ in 0..OTHERS {
        let (client, url) = (client(Duration::from_secs(10)), service.at("/api/v1/decorations/nearby?lat=10&lng=20&radius=1000"));
        clients.spawn(async move {
            let (mut times, mut pace) = (Vec::new(), tokio::time::interval(PACE));
            while Instant::now() < until {
                pace.tick().await;
                let (status, time) = timed(&client, &url).await;
                assert_eq!(status, 200);
                times.push(time);
            }
            times
        });
    }
    clients.join_all().await.into_iter().flatten().collect()
}

/// What a round found: the longest that a slow one was let, and p99 of others without and with them.
struct Round {
    longest: Duration,
    quiet: Duration,
    meanwhile: Duration,
}

async fn round(service: &Service, each: usize, quiet_for: Duration) -> Round {
    let quiet = p99(others(service, quiet_for).await);
    let descriptors = service.descriptors();
    let ended = tokio_util::sync::CancellationToken::new();
    let (mut dripping, mut reading) = (JoinSet::new(), JoinSet::new());
    let began = Instant::now();
    for _ in 0..each {
        dripping.spawn(drips(service.address, HEAD));
        dripping.spawn(drips(service.address, BODY));
        reading.spawn(reads_nothing(service.address, ended.clone()));
        // All are there within a second, and not at once: that is another test.
        tokio::time::sleep(Duration::from_millis(1_000 / u64::try_from(each).expect("few")).max(Duration::from_millis(1))).await;
    }
    let held = async {
        // Who reads nothing does not see the end either: it is the service that has let go.
        while service.descriptors() > descriptors + OTHERS + SLACK && began.elapsed() < 2 * CLOSED_WITHIN {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        began.elapsed()
    };
    let (meanwhile, held) = tokio::join!(others(service, Duration::from_secs(9)), held);
    ended.cancel();
    reading.join_all().await;
    let longest = dripping.join_all().await.into_iter().chain([held]).max().expect("some");
    Round { longest, quiet, meanwhile: p99(meanwhile) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_clients_are_let_go_and_others_hardly_notice() {
    let each = rounds(30, 500);
    let mut proof = Proof::of("P8", "slow heads, bodies and reads");
    let db = TestDb::create().await;
    {
        let t = TestServer::on(db.options(), Config::default()).await;
        for n in 0..20 {
            t.decoration(&format!("near {n}")).at(10.0, 20.0).insert().await;
        }
    }
    let folder = tempfile::tempdir().expect("a folder");
    let service = Service::start(&url_of(&db.options()), &folder.path().join("log"), &[], &[]);
    service.ready().await;
    let mut found = Vec::new();
    for _ in 0..rounds(1, 5) {
        found.push(round(&service, each, Duration::from_secs(u64::try_from(rounds(1, 9)).expect("small"))).await);
        proof.tried(3 * each);
    }
    let median = |of: fn(&Round) -> Duration| {
        let mut times: Vec<Duration> = found.iter().map(of).collect();
        times.sort_unstable();
        times[times.len() / 2]
    };
    let (quiet, meanwhile) = (median(|round| round.quiet), median(|round| round.meanwhile));
    let longest = found.iter().map(|round| round.longest).max().expect("one");
    proof.measured(format!("closed after {longest:.1?} at most; p99 of others {quiet:.1?}, and {meanwhile:.1?} meanwhile"));
    println!("closed after {longest:?} at most; p99 of others {quiet:?}, and {meanwhile:?} meanwhile");
    assert!(longest <= CLOSED_WITHIN, "{longest:?}");
    let most = if is_pinned() { SLOWER * quiet } else { (SLOWER * quiet).max(UNNOTICED) };
    assert!(meanwhile < most, "{meanwhile:?} after {quiet:?}");
    assert_eq!(service.panics(), [""; 0]);
}

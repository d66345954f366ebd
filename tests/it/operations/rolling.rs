//! Two instances behind a proxy, of which one after the other is restarted: no client needs more than one retry, no
//! write is lost, and every edge holds what it should.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ar_supervisor::commands::simulate::{self, Settings, Silent};
use reqwest::header::RETRY_AFTER;
use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::proxy::Proxy;
use crate::commands::url_of;
use crate::editing::content_with;
use crate::support::{PASSWORD, Proof, Service, TestServer, eventually, rounds};

const READERS: usize = 4;
const WRITERS: usize = 4;
const EDGES: usize = 4;
const PHONES: usize = 30;
/// Longest wait that a client takes from a `Retry-After`.
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// What clients met.
#[derive(Default)]
struct Met {
    ended: AtomicBool,
    answered: AtomicU64,
    retried: AtomicU64,
}

/// A client that tries once more, as every client should: after a broken connection over a new one, after 503 when it
/// is told.
#[derive(Clone)]
struct Client {
    /// Keeps connections, and is asked first; the other has none that may have ended meanwhile.
    http: [reqwest::Client; 2],
    base: String,
    token: String,
    met: Arc<Met>,
}

impl Client {
    /// The body of the answer, which must be this status the second time at the latest.
    async fn ask(&self, expected: StatusCode, request: impl Fn(&reqwest::Client) -> RequestBuilder) -> Value {
        let mut faults = Vec::new();
        for (attempt, http) in (0..).zip(&self.http) {
            let pause = match request(http).send().await {
                Ok(answer) => {
                    let (status, headers) = (answer.status(), answer.headers().clone());
                    match answer.bytes().await {
                        Ok(body) if status == expected => {
                            self.met.answered.fetch_add(1, Ordering::Relaxed);
                            self.met.retried.fetch_add(attempt, Ordering::Relaxed);
                            return serde_json::from_slice(&body).unwrap_or_else(|error| panic!("{error}: {body:?}"));
                        }
                        Ok(body) => {
                            assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{}", String::from_utf8_lossy(&body));
                            let seconds = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
                            faults.push(format!("503 {}", String::from_utf8_lossy(&body)));
                            Duration::from_secs(seconds.expect("503 says when to try again")).min(MAX_PAUSE)
                        }
                        Err(error) => {
                            faults.push(format!("the answer breaks off: {error:?}"));
                            Duration::ZERO
                        }
                    }
                }
                Err(error) => {
                    faults.push(format!("{error:?}"));
                    Duration::ZERO
                }
            };
            tokio::time::sleep(pause).await;
        }
        panic!("a retry did not help: {faults:#?}")
    }

    fn goes_on(&self) -> bool {
        !self.met.ended.load(Ordering::Relaxed)
    }
}

async fn read(client: Client) {
    while client.goes_on() {
        let path = "/api/v1/decorations/nearby?lat=52.52&lng=13.4&radius=5000";
        let answer = client.ask(StatusCode::OK, |http| http.get(format!("{}{path}", client.base))).await;
        assert!(!answer["items"].as_array().expect("items").is_empty());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Creates and edits; what was answered last, by identity.
async fn write(client: Client, number: usize) -> BTreeMap<String, (String, i64)> {
    let mut ledger = BTreeMap::new();
    let mut n = 0;
    while client.goes_on() {
        n += 1;
        let name = format!("written {number} {n}");
        let (lat, lng) = (52.5, 13.3 + 0.0001 * f64::from(n % 1000));
        // A lost answer may be asked for again: the same key, the same decoration.
        let key = format!("rolling-{number}-{n}");
        let body = content_with(&name, json!({"lat": lat, "lng": lng}));
        let created = client
            .ask(StatusCode::CREATED, |http| {
                let request = http.post(format!("{}/api/v1/decorations", client.base)).bearer_auth(&client.token);
                request.header("idempotency-key", &key).json(&body)
            })
            .await;
        let id = created["id"].as_str().expect("an id").to_owned();
        // It may be repeated: it says how it should be, whatever it was.
        let name = format!("edited {number} {n}");
        let body = content_with(&name, json!({"lat": lat, "lng": lng}));
        let edited = client
            .ask(StatusCode::OK, |http| {
                let request = http.put(format!("{}/api/v1/decorations/{id}", client.base)).bearer_auth(&client.token);
                request.header("if-match", "*").json(&body)
            })
            .await;
        ledger.insert(id, (name, edited["version"].as_i64().expect("a version")));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    ledger
}

async fn decorations(t: &TestServer) -> BTreeMap<String, (String, i64)> {
    let rows: Vec<(String, String, i64)> =
        sqlx::query_as("SELECT id::text, name, version FROM ar.decorations WHERE name LIKE 'edited%' OR name LIKE 'written%'")
            .fetch_all(&t.sql)
            .await
            .expect("reads");
    rows.into_iter().map(|(id, name, version)| (id, (name, version))).collect()
}

fn simulation(proxy: SocketAddr, email: String) -> Settings {
    Settings {
        url: format!("http://{proxy}"),
        email,
        password: PASSWORD.into(),
        edges: EDGES,
        devices: PHONES,
        duration: None,
        every: Duration::from_millis(500),
        adopt: false,
        churn_pct_per_minute: 0.0,
        seed: 7,
        keep: false,
        content_dir: None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restarts_behind_a_proxy_cost_nobody_more_than_a_retry() {
    let (restarts, every) = (rounds(3, 30), Duration::from_secs(rounds(2, 10) as u64));
    let mut proof = Proof::of("P7", "restarts behind a proxy");
    let t = TestServer::start().await;
    let admin = t.admin().await;
    for (n, (lat, lng)) in [(52.52, 13.40), (52.52, 13.50), (52.45, 13.38), (52.56, 13.30), (52.40, 13.60)].into_iter().enumerate() {
        for m in 0..3 {
            t.decoration(&format!("place {n} {m}")).at(lat + 0.01 * f64::from(m), lng).insert().await;
        }
    }
    let (url, folder) = (url_of(&t.db().options()), tempfile::tempdir().expect("a folder"));
    // Longer than the proxy takes to see that one is not ready any more.
    let mut services = ["a", "b"].map(|name| Service::start(&url, &folder.path().join(name), &[], &[("STOP_DELAY", "1s")]));
    for service in &services {
        service.ready().await;
    }
    let proxy = Proxy::before(services.iter().map(|service| service.address)).await;

    let met = Arc::new(Met::default());
    let client = Client {
        http: [8, 0].map(|idle| {
            let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(15)).pool_max_idle_per_host(idle);
            client.build().expect("a client")
        }),
        base: format!("http://{}", proxy.address),
        token: admin.access_token.clone(),
        met: Arc::clone(&met),
    };
    let stop = CancellationToken::new();
    let simulating = tokio::spawn({
        let (stop, settings) = (stop.clone(), simulation(proxy.address, admin.email.clone()));
        async move { simulate::run(settings, &stop, &mut Silent).await }
    });
    // Registering an account twice, because the first answer was lost, is refused as it should be: all have one by then.
    eventually("its edges are connected and its phones have said where they are", async || {
        let count = "SELECT (SELECT count(*) FROM ar.edge_sessions), (SELECT count(*) FROM ar.device_connections)";
        let (edges, phones): (i64, i64) = sqlx::query_as(count).fetch_one(&t.sql).await.expect("counts");
        assert!(!simulating.is_finished(), "it cannot begin");
        ((usize::try_from(edges), usize::try_from(phones)) == (Ok(EDGES), Ok(PHONES))).then_some(())
    })
    .await;
    let reading: Vec<_> = (0..READERS).map(|_| tokio::spawn(read(client.clone()))).collect();
    let writing: Vec<_> = (0..WRITERS).map(|number| tokio::spawn(write(client.clone(), number))).collect();

    for number in 0..restarts {
        let began = Instant::now();
        let service = &mut services[number % 2];
        service.signal("-TERM");
        let ended = service.ended().await;
        assert_eq!(ended.code(), Some(0), "{}", service.log());
        service.start_again();
        service.ready().await;
        proof.tried(1);
        tokio::time::sleep(every.saturating_sub(began.elapsed())).await;
    }

    met.ended.store(true, Ordering::Relaxed);
    for reader in reading {
        reader.await.expect("every answer came at the second attempt at the latest");
    }
    let mut ledger = BTreeMap::new();
    for writer in writing {
        ledger.extend(writer.await.expect("every write was answered at the second attempt at the latest"));
    }
    assert_eq!(decorations(&t).await, ledger, "what was answered is there, once, and nothing else");
    stop.cancel();
    let summary = simulating.await.expect("ends").expect("began");
    let unexpected: Vec<_> = summary
        .snapshot()
        .unexpected()
        .iter()
        .filter(|(kind, _)| !kind.ends_with("connection lost") && !kind.ends_with("no connection"))
        .collect();
    assert!(unexpected.is_empty(), "{summary}");
    assert!(summary.has_converged(), "{summary}");
    assert!(summary.snapshot().most_edges_connected() >= 4, "{summary}");
    let (answered, retried) = (met.answered.load(Ordering::Relaxed), met.retried.load(Ordering::Relaxed));
    println!("{summary}");
    proof.measured(format!("{answered} requests, {retried} at the second attempt; {} decorations written, 0 lost", ledger.len()));
    assert!(answered > 0 && !ledger.is_empty());
}

//! The page itself: where it is and where not, and that it is there whatever else is not.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::Value;

use super::{Page, watched};
use crate::commands::{Running, program, run, text, url_of};
use crate::support::{Config, RawConnection, SECRET, TestDb, TestServer, eventually, free_address};

/// `serve` as a process of its own, whose numbers are nobody else's.
struct Instance {
    running: Running,
    api: SocketAddr,
    metrics: SocketAddr,
}

impl Instance {
    async fn start(database: &str) -> Self {
        let (api, metrics) = (free_address(), free_address());
        let mut program = program();
        program.arg("serve").stdout(Stdio::null()).stderr(Stdio::null());
        program.envs([
            ("DATABASE_URL", database),
            ("JWT_SECRET", SECRET),
            ("SERVER_HOST", "127.0.0.1"),
            ("SERVER_PORT", &api.port().to_string()),
        ]);
        program.env("METRICS_PORT", metrics.port().to_string());
        let running = Running(program.spawn().expect("the program runs"));
        let instance = Self { running, api, metrics };
        eventually("its metrics can be read", async || tokio::net::TcpStream::connect(instance.metrics).await.ok().map(drop)).await;
        instance
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_have_a_port_of_their_own() {
    let t = TestServer::start_with(watched()).await;
    t.get("/metrics").await.problem(404, "unknown_route");
    let metrics = t.metrics.expect("a port for metrics");
    let status = async |method: Method, path: &str| {
        let request = t.client.request(method, format!("http://{metrics}{path}"));
        request.send().await.expect("answers").status().as_u16()
    };
    assert_eq!(status(Method::GET, "/metrics").await, 200);
    assert_eq!(status(Method::HEAD, "/metrics").await, 200);
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
        assert_eq!(status(method.clone(), "/metrics").await, 405, "{method}");
    }
    for path in ["/", "/metrics/", "/health/live", "/api/v1/decorations/nearby?lat=1&lng=1", "/openapi.json"] {
        assert_eq!(status(Method::GET, path).await, 404, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_there_without_the_database() {
    let nowhere = sqlx::postgres::PgConnectOptions::new_without_pgpass().socket("/nonexistent").username("nobody").database("none");
    let t = TestServer::on(nowhere, Config { started: false, ..watched() }).await;
    let asked = Instant::now();
    Page::of(&t).await;
    assert!(asked.elapsed() < Duration::from_secs(2), "it asks nobody: {:?}", asked.elapsed());

    let alone = Instance::start("postgres://nobody@127.0.0.1:1/nothing").await;
    let page = Page::at(alone.metrics).await;
    assert_eq!(page.one("ar_database_reachable", &[]), 0.0);
    assert_eq!(page.one("ar_instance_state", &[("state", "starting")]), 1.0);
    assert_eq!(page.one("ar_notice_listener_connected", &[]), 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_can_be_watched_to_its_end() {
    let db = TestDb::create().await;
    let mut instance = Instance::start(&url_of(&db.options())).await;
    eventually("it serves", async || {
        let page = Page::at(instance.metrics).await;
        (page.one("ar_instance_state", &[("state", "serving")]) == 1.0 && page.one("ar_database_reachable", &[]) == 1.0).then_some(())
    })
    .await;
    // A request whose body does not come is one that the drain waits for.
    let mut slow = RawConnection::open(instance.api).await;
    let head = "POST /api/v1/auth/refresh HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n";
    slow.send(head).await;
    assert!(slow.read_answer().await.starts_with("HTTP/1.1 100"), "it waits for the body");
    instance.running.signal("-TERM");
    eventually("it takes no new connections", async || tokio::net::TcpStream::connect(instance.api).await.is_err().then_some(())).await;
    let page = Page::at(instance.metrics).await;
    assert_eq!(page.one("ar_instance_state", &[("state", "stopping")]), 1.0);
    slow.send("{}").await;
    assert!(slow.read_to_end().await.starts_with("HTTP/1.1 4"));
    assert_eq!(instance.running.end(), Some(0));
    assert!(tokio::net::TcpStream::connect(instance.metrics).await.is_err(), "it ends with the process");
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_clients_cannot_hold_it() {
    let t = TestServer::start_with(watched()).await;
    let metrics = t.metrics.expect("a port for metrics");
    let mut idle = Vec::new();
    for _ in 0..200 {
        let mut connection = RawConnection::open(metrics).await;
        connection.send("GET /metrics HTTP/1.1\r\n").await;
        idle.push(connection);
    }
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    eventually("it answers others", async || {
        let answer = client.get(format!("http://{metrics}/metrics")).send().await;
        answer.is_ok_and(|answer| answer.status() == 200).then_some(())
    })
    .await;
    for mut connection in idle {
        assert!(!connection.read_to_end().await.starts_with("HTTP/1.1 200"));
    }
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("an address").port().to_string();
    let variables = [("JWT_SECRET", SECRET), ("SERVER_HOST", "127.0.0.1"), ("SERVER_PORT", "0"), ("METRICS_PORT", port.as_str())];
    let output = run(&["serve"], &variables);
    let said = text(&output.stderr);
    assert!(!output.status.success() && said.contains("METRICS_PORT=9091") && said.contains(&port), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_says_what_runs() {
    let t = TestServer::start_with(watched()).await;
    let page = Page::of(&t).await;
    let [build] = page.all("ar_build_info", &[])[..] else { panic!("one build") };
    assert_eq!(build.labels["version"], env!("CARGO_PKG_VERSION"));
    assert!(build.labels["rustc"].starts_with("rustc "), "{build:?}");
    assert!(["commit", "features"].iter().all(|label| build.labels.contains_key(*label)), "{build:?}");
    let sessions = page.all("ar_background_last_success_timestamp_seconds", &[("work", "session_sweep")]);
    assert_eq!(sessions.len(), 1);
    for figure in ["process_resident_memory_bytes", "process_open_fds", "process_max_fds", "process_start_time_seconds"] {
        assert!(page.one(figure, &[]) > 0.0, "{figure}");
    }
    let admin = t.admin().await;
    let system: Value = admin.get(&t, "/api/v1/metrics/system").await.ok().json();
    assert_eq!(system["process"]["version"], env!("CARGO_PKG_VERSION"));
}

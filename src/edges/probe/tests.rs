//! Health checks against real sockets on loopback, and a resolver that says what a test wants it to.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rstest::rstest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_util::task::TaskTracker;

use super::*;
use crate::config::Dialable;
use crate::promise::Proof;

const QUICK: Limits = Limits { connect: Duration::from_millis(300), total: Duration::from_millis(600) };

/// What a server does with a connection.
#[derive(Clone)]
enum Does {
    /// Reads the request and sends this.
    Answers(String),
    /// Reads the request, sends the first and then the second for ever.
    Goes(&'static str, &'static str),
    /// Accepts, and says nothing.
    Stalls,
    /// Speaks TLS and answers 204.
    Secures(TlsAcceptor),
}

/// A server that remembers what came.
#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    open: AtomicUsize,
    bytes_sent: AtomicUsize,
    request: std::sync::Mutex<String>,
}

struct Server {
    port: u16,
    seen: Arc<Seen>,
    _tasks: TaskTracker,
}

impl Server {
    async fn start(does: Does) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let (port, seen, tasks) = (listener.local_addr().expect("bound").port(), Arc::new(Seen::default()), TaskTracker::new());
        let (accepted, connections) = (Arc::clone(&seen), tasks.clone());
        tasks.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (seen, does) = (Arc::clone(&accepted), does.clone());
                connections.spawn(async move {
                    seen.open.fetch_add(1, Ordering::SeqCst);
                    seen.connections.fetch_add(1, Ordering::SeqCst);
                    let ended = serve(stream, does, &seen).await;
                    seen.open.fetch_sub(1, Ordering::SeqCst);
                    ended
                });
            }
        });
        Self { port, seen, _tasks: tasks }
    }

    fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }
}

async fn serve(mut stream: TcpStream, does: Does, seen: &Seen) -> std::io::Result<()> {
    match does {
        Does::Answers(answer) => {
            *seen.request.lock().expect("not poisoned") = heard(&mut stream).await?;
            stream.write_all(answer.as_bytes()).await
        }
        Does::Goes(first, then) => {
            heard(&mut stream).await?;
            stream.write_all(first.as_bytes()).await?;
            loop {
                stream.write_all(then.as_bytes()).await?;
                seen.bytes_sent.fetch_add(then.len(), Ordering::SeqCst);
                if then.len() == 1 {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        }
        Does::Stalls => stream.read_to_end(&mut Vec::new()).await.map(drop),
        Does::Secures(acceptor) => {
            let mut stream = acceptor.accept(stream).await?;
            heard(&mut stream).await?;
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await?;
            stream.shutdown().await
        }
    }
}

/// A request without a body, or the beginning of what is none.
async fn heard(stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<String> {
    let mut request = Vec::new();
    while request.first().is_none_or(|&first| first == b'G') && !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await?);
    }
    Ok(String::from_utf8_lossy(&request).into_owned())
}

async fn answering(answer: &str) -> Server {
    Server::start(Does::Answers(answer.to_owned())).await
}

/// Checks with a list of what may be dialled, and names that resolve to these addresses; all others to none.
fn prober(allow: &[&str], names: &'static [(&str, &[&str])]) -> Prober {
    let dialable = |text: &&str| text.parse().map_or_else(|_| Dialable::Host((*text).to_owned()), Dialable::Network);
    let resolve = move |host: String| -> BoxFuture<'static, std::io::Result<Vec<IpAddr>>> {
        let addresses = names.iter().find(|(name, _)| *name == host).map_or(&[][..], |(_, addresses)| addresses);
        Box::pin(async move { Ok(addresses.iter().map(|text| text.parse().expect("an address")).collect()) })
    };
    Prober::with(Egress::new(&allow.iter().map(dialable).collect::<Vec<_>>()), Box::new(resolve), LIMITS)
}

/// The same, in less time.
fn hasty(prober: Prober) -> Prober {
    Prober { limits: QUICK, ..prober }
}

/// Waits for a state.
async fn until(reached: impl Fn() -> bool) {
    while !reached() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn url(text: &str) -> Url {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Names that lead where no health check may go.
const TREACHEROUS: &[(&str, &[&str])] = &[
    ("localhost", &["127.0.0.1", "::1"]),
    ("metadata.google.internal", &["169.254.169.254"]),
    ("metadata.goog", &["169.254.169.254"]),
    ("instance-data.ec2.internal", &["fd00:ec2::254"]),
    ("loopback.test", &["127.0.0.1"]),
    ("zero.test", &["0.0.0.0"]),
    ("private.test", &["10.1.2.3"]),
    ("mapped.test", &["::ffff:127.0.0.1"]),
    ("nat64.test", &["64:ff9b::7f00:1"]),
    ("mixed.test", &["93.184.215.14", "127.0.0.1"]),
    ("mixed6.test", &["2606:4700::1111", "fe80::1"]),
    ("last-of-many.test", &["1.1.1.1", "1.0.0.1", "8.8.8.8", "8.8.4.4", "9.9.9.9", "127.0.0.1"]),
];

#[tokio::test]
async fn it_dials_nothing_that_policy_forbids() {
    let canary = answering("HTTP/1.1 200 OK\r\n\r\n").await;
    // The canary itself, in all spellings of loopback, and addresses that lead to it or to worse.
    let hosts = "127.0.0.1 127.1 127.0.1 2130706433 0x7f000001 0x7f.0.0.1 0177.0.0.1 017700000001 0x7f.1 127.0.0.1. %31%32%37.0.0.1
        ①②⑦.0.0.1 127。0。0。1 127.8.9.10 0.0.0.0 0 0.1.2.3 [::1] [::] [0:0:0:0:0:0:0:1] [::ffff:127.0.0.1] [::ffff:7f00:1]
        [0:0:0:0:0:ffff:7f00:1] [::127.0.0.1] [::7f00:1] [::ffff:0:127.0.0.1] [64:ff9b::127.0.0.1] [64:ff9b:1::7f00:1]
        [2002:7f00:1::] [2001:0:7f00:1::] 169.254.169.254 0xa9fea9fe 2852039166 [::ffff:169.254.169.254] [fd00:ec2::254]
        168.63.129.16 100.100.100.200 192.0.0.192 10.0.0.1 172.16.0.1 192.168.1.1 100.64.0.1 198.18.0.1 192.0.2.1 192.88.99.1
        224.0.0.1 240.0.0.1 255.255.255.255 [fc00::1] [fd12:3456::1] [fe80::1] [fec0::1] [ff02::1] [2001:db8::1]";
    let hosts: Vec<&str> =
        hosts.split_whitespace().chain(TREACHEROUS.iter().map(|(name, _)| *name)).chain(["LOCALHOST", "Loopback.Test"]).collect();
    assert!(hosts.len() >= 40);
    let mut proof = Proof::of("P22", "URLs that policy forbids, each plain and with TLS, under two lists");
    for allow in [&[][..], &["edge.internal", "10.20.0.0/16", "2001:db8:1::/48"]] {
        let prober = prober(allow, TREACHEROUS);
        for host in &hosts {
            let secure = url(&format!("https://{host}:{}/health", canary.port));
            assert_eq!(prober.probe(&secure).await.outcome, Outcome::ForbiddenAddress, "{secure}");
            // Without TLS a name is not even looked up.
            let plain = url(&format!("http://{host}:{}/health", canary.port));
            let is_name = matches!(plain.host(), Some(Host::Domain(_)));
            let expected = if is_name { Outcome::ForbiddenUrl } else { Outcome::ForbiddenAddress };
            assert_eq!(prober.probe(&plain).await.outcome, expected, "{plain}");
            proof.tried(2);
        }
    }
    proof.failed(canary.connections());
    proof.measured(format!("{} hosts, {} connections to the canary", hosts.len(), canary.connections()));
    assert_eq!(canary.connections(), 0);
}

#[rstest]
#[case("https://user@edge.test/")]
#[case("https://user:secret@edge.test/")]
#[case("https://:secret@edge.test/")]
#[case("http://public.test/")]
#[case("http://8.8.8.8/")]
#[case("ftp://edge.test/")]
#[case("wss://edge.test/")]
#[case("file:///etc/passwd")]
#[case("gopher://edge.test:70/")]
#[case("data:text/plain,x")]
#[tokio::test]
async fn it_asks_by_http_with_tls_and_without_credentials(#[case] url: Url) {
    let prober = prober(&["edge.test"], &[("edge.test", &["127.0.0.1"]), ("public.test", &["93.184.215.14"])]);
    assert_eq!(prober.probe(&url).await.outcome, Outcome::ForbiddenUrl);
}

#[test]
fn what_looks_like_an_address_and_is_none_is_no_url() {
    for text in ["https://[fe80::1%25eth0]/", "https://[fe80::1%eth0]/", "https://1.2.3.4.5/", "https://256.0.0.1/"] {
        assert!(text.parse::<Url>().is_err(), "{text}");
    }
}

#[tokio::test]
async fn a_name_is_looked_up_once_and_judged_each_time() {
    let mut proof = Proof::of("P22", "checks with a name that is bound anew");
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    // Good at first; from then on the same socket by an address that is not listed.
    let resolve = move |_| -> BoxFuture<'static, std::io::Result<Vec<IpAddr>>> {
        let first = count.fetch_add(1, Ordering::SeqCst) == 0;
        Box::pin(async move { Ok(vec![if first { Ipv4Addr::LOCALHOST.into() } else { Ipv4Addr::UNSPECIFIED.into() }]) })
    };
    let allow = [Dialable::Network("127.0.0.1/32".parse().expect("a network"))];
    let mut prober = Prober::with(Egress::new(&allow), Box::new(resolve), LIMITS);
    let (server, certificate) = secure_server("rebinding.test").await;
    prober.tls = OnceLock::from(trusting(certificate));
    let url = url(&format!("https://rebinding.test:{}/", server.port));
    assert_eq!(prober.probe(&url).await.outcome, Outcome::Good);
    assert_eq!(asked.load(Ordering::SeqCst), 1, "between judging and dialling nobody asks again");
    proof.tried(4);
    for tries in 2..5 {
        assert_eq!(prober.probe(&url).await.outcome, Outcome::ForbiddenAddress);
        assert_eq!(asked.load(Ordering::SeqCst), tries, "no connection is kept, and no address");
    }
    assert_eq!(server.connections(), 1);
}

#[rstest]
#[case(301)]
#[case(302)]
#[case(303)]
#[case(307)]
#[case(308)]
#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed(#[case] status: u16) {
    let target = answering("HTTP/1.1 200 OK\r\n\r\n").await;
    let location = format!("http://127.0.0.1:{}/latest/meta-data/", target.port);
    let server = answering(&format!("HTTP/1.1 {status} Moved\r\nLocation: {location}\r\nRefresh: 0; url={location}\r\n\r\n")).await;
    let prober = prober(&["edge.test"], &[("edge.test", &["127.0.0.1"])]);
    let probe = prober.probe(&url(&format!("http://edge.test:{}/", server.port))).await;
    assert_eq!((probe.outcome, probe.status_code), (Outcome::Redirect, Some(status)));
    assert_eq!((server.connections(), target.connections()), (1, 0));
}

#[rstest]
#[case("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", Outcome::Good, Some(200))]
#[case("HTTP/1.1 204 No Content\r\n\r\n", Outcome::Good, Some(204))]
#[case("HTTP/1.0 200 OK\r\n\r\n", Outcome::Good, Some(200))]
#[case("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", Outcome::Good, Some(200))]
#[case("HTTP/1.1 404 Not Found\r\n\r\n", Outcome::BadStatus, Some(404))]
#[case("HTTP/1.1 503 Service Unavailable\r\n\r\n", Outcome::BadStatus, Some(503))]
#[case("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", Outcome::BadStatus, Some(101))]
#[case("HTTP/1.1 999 Odd\r\n\r\n", Outcome::BadStatus, Some(999))]
#[case("HTTP/1.1 200 OK\r\nContent-", Outcome::BadResponse, None)]
#[case("SSH-2.0-OpenSSH_9.2\r\n", Outcome::BadResponse, None)]
#[case("", Outcome::BadResponse, None)]
#[tokio::test]
async fn the_status_decides(#[case] answer: &str, #[case] outcome: Outcome, #[case] status_code: Option<u16>) {
    let server = answering(answer).await;
    let probe = prober(&["127.0.0.1/32"], &[]).probe(&url(&format!("http://127.0.0.1:{}/", server.port))).await;
    assert_eq!((probe.outcome, probe.status_code), (outcome, status_code));
}

#[tokio::test]
async fn the_request_says_who_asks_and_nothing_secret() {
    let server = answering("HTTP/1.1 200 OK\r\n\r\n").await;
    let prober = prober(&["edge.test"], &[("edge.test", &["127.0.0.1"])]);
    let url = url(&format!("http://Edge.test:{}/a%20b/health?full=1#part", server.port));
    assert_eq!(prober.probe(&url).await.outcome, Outcome::Good);
    let request = server.seen.request.lock().expect("not poisoned").clone();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        request,
        format!(
            "GET /a%20b/health?full=1 HTTP/1.1\r\nhost: edge.test:{}\r\nuser-agent: ar-supervisor/{version} health-check\r\naccept: */*\r\nconnection: close\r\n\r\n",
            server.port
        )
    );
}

#[rstest]
#[case::says_nothing("http", Does::Stalls)]
#[case::no_handshake("https", Does::Stalls)]
#[case::drips("http", Does::Goes("HTTP/1.1 200 OK\r\nX: ", "x"))]
#[tokio::test]
async fn a_slow_server_is_given_up(#[case] scheme: &str, #[case] does: Does) {
    let server = Server::start(does).await;
    let probe = hasty(prober(&["127.0.0.1/32"], &[])).probe(&url(&format!("{scheme}://127.0.0.1:{}/", server.port))).await;
    assert_eq!(probe.outcome, Outcome::Timeout);
    assert!(probe.latency >= QUICK.connect && probe.latency < QUICK.total * 5, "{:?}", probe.latency);
    assert_eq!((LIMITS.connect.as_secs(), LIMITS.total.as_secs()), (2, 5));
}

#[tokio::test]
async fn a_name_server_that_does_not_answer_is_given_up() {
    let resolve = |_| -> BoxFuture<'static, std::io::Result<Vec<IpAddr>>> { Box::pin(std::future::pending()) };
    let prober = Prober::with(Egress::new(&[]), Box::new(resolve), QUICK);
    assert_eq!(prober.probe(&url("https://edge.test/")).await.outcome, Outcome::Timeout);
}

/// Some bytes of a header or a body.
const MORE: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

#[rstest]
#[case::header("HTTP/1.1 200 OK\r\nX: ", MORE, Outcome::BadResponse)]
#[case::headers("HTTP/1.1 200 OK\r\n", "Name: value\r\n", Outcome::BadResponse)]
#[case::interim_header("HTTP/1.1 103 Early Hints\r\nX: ", MORE, Outcome::BadResponse)]
#[case::interim_answers("", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", Outcome::BadResponse)]
#[case::body("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", MORE, Outcome::Good)]
#[case::chunk("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n", MORE, Outcome::Good)]
#[tokio::test]
async fn an_endless_answer_is_cut(#[case] first: &'static str, #[case] then: &'static str, #[case] outcome: Outcome) {
    let server = Server::start(Does::Goes(first, then)).await;
    let probe = prober(&["127.0.0.1/32"], &[]).probe(&url(&format!("http://127.0.0.1:{}/", server.port))).await;
    assert_eq!(probe.outcome, outcome);
    // It is our side that ends it, long before the time is over; the kernel's buffers hold some megabytes.
    until(|| server.connections() == 1 && server.seen.open.load(Ordering::SeqCst) == 0).await;
    assert!(server.seen.bytes_sent.load(Ordering::SeqCst) < 16 * 1024 * 1024);
}

#[tokio::test]
async fn an_address_that_takes_no_connection_is_passed_over() {
    let server = answering("HTTP/1.1 200 OK\r\n\r\n").await;
    let names: &[(&str, &[&str])] = &[("edge.test", &["127.0.0.1"]), ("two.test", &["::1", "127.0.0.1"])];
    let prober = prober(&["edge.test", "two.test"], names);
    assert_eq!(prober.probe(&url("http://edge.test:1/")).await.outcome, Outcome::ConnectFailed);
    assert_eq!(prober.probe(&url(&format!("http://two.test:{}/", server.port))).await.outcome, Outcome::Good);
    assert_eq!(prober.probe(&url("https://nowhere.test/")).await.outcome, Outcome::NotResolved);
}

#[tokio::test]
async fn a_network_in_the_list_allows_by_address_whatever_the_name() {
    let (server, certificate) = secure_server("edge.test").await;
    let mut prober = prober(&["127.0.0.0/8"], &[("edge.test", &["127.0.0.1"]), ("both.test", &["127.0.0.1", "10.0.0.1"])]);
    prober.tls = OnceLock::from(trusting(certificate));
    let at = |scheme: &str, host: &str| url(&format!("{scheme}://{host}:{}/", server.port));
    assert_eq!(prober.probe(&at("https", "edge.test")).await.outcome, Outcome::Good);
    assert_eq!(prober.probe(&at("https", "both.test")).await.outcome, Outcome::ForbiddenAddress);
    assert_eq!(prober.probe(&at("http", "edge.test")).await.outcome, Outcome::ForbiddenUrl, "the list has its address, not its name");
    assert!(prober.egress().allows_plain(&at("http", "127.0.0.1")) && !prober.egress().allows_plain(&at("http", "edge.test")));
}

async fn secure_server(name: &str) -> (Server, RootCertStore) {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed([name.to_owned()]).expect("a certificate");
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    let config = config.with_safe_default_protocol_versions().expect("versions").with_no_client_auth();
    let config = config.with_single_cert(vec![cert.der().clone()], key).expect("a pair");
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).expect("a root");
    (Server::start(Does::Secures(TlsAcceptor::from(Arc::new(config)))).await, roots)
}

#[tokio::test]
async fn a_certificate_is_to_be_trusted_and_of_that_name() {
    let (server, certificate) = secure_server("edge.test").await;
    let plain = answering("HTTP/1.1 200 OK\r\n\r\n").await;
    let names: &[(&str, &[&str])] = &[("edge.test", &["127.0.0.1"]), ("other.test", &["127.0.0.1"])];
    let mut prober = prober(&["127.0.0.1/32"], names);
    let edge = url(&format!("https://edge.test:{}/", server.port));
    assert_eq!(prober.probe(&edge).await.outcome, Outcome::TlsFailed, "this machine does not trust it");
    prober.tls = OnceLock::from(trusting(certificate));
    let probe = prober.probe(&edge).await;
    assert_eq!((probe.outcome, probe.status_code), (Outcome::Good, Some(204)));
    assert_eq!(prober.probe(&url(&format!("https://other.test:{}/", server.port))).await.outcome, Outcome::TlsFailed);
    assert_eq!(prober.probe(&url(&format!("https://127.0.0.1:{}/", server.port))).await.outcome, Outcome::TlsFailed);
    assert_eq!(prober.probe(&url(&format!("https://edge.test:{}/", plain.port))).await.outcome, Outcome::TlsFailed);
}

#[tokio::test]
async fn at_most_sixteen_run_at_once() {
    let server = Server::start(Does::Stalls).await;
    let prober = hasty(prober(&["127.0.0.1/32"], &[]));
    let url = url(&format!("http://127.0.0.1:{}/", server.port));
    let mut all = std::pin::pin!(futures_util::future::join_all((0..48).map(|_| prober.probe(&url))));
    tokio::select! {
        _ = &mut all => panic!("the server says nothing"),
        () = until(|| server.connections() == AT_ONCE) => {}
    }
    assert_eq!(prober.places.available_permits(), 0);
    // The others take their turns as these are given up.
    let found = all.await;
    assert!(found.iter().all(|probe| probe.outcome == Outcome::Timeout));
    until(|| server.connections() == 48).await;
}

/// Also run by the test below, in a process whose environment names proxies.
#[tokio::test]
async fn a_check_needs_no_proxy() {
    let server = answering("HTTP/1.1 200 OK\r\n\r\n").await;
    let prober = prober(&["edge.test"], &[("edge.test", &["127.0.0.1"])]);
    assert_eq!(prober.probe(&url(&format!("http://edge.test:{}/", server.port))).await.outcome, Outcome::Good);
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn proxies_of_the_environment_are_not_asked() {
    let proxy = answering("HTTP/1.1 502 Bad Gateway\r\n\r\n").await;
    let mut tests = tokio::process::Command::new(std::env::current_exe().expect("this program"));
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        tests.env(name, format!("http://127.0.0.1:{}", proxy.port));
    }
    tests.env_remove("NO_PROXY").env_remove("no_proxy").args(["--exact", "edges::probe::tests::a_check_needs_no_proxy"]);
    let output = tests.output().await.expect("runs");
    assert!(output.status.success() && String::from_utf8_lossy(&output.stdout).contains("1 passed"), "{output:?}");
    assert_eq!(proxy.connections(), 0);
}

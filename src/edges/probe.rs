//! Health checks: one real GET of an edge's `health_check_url`, dialled by hand, so that nothing can come between the
//! address that was judged and the one that is dialled: no pool, no redirect, no proxy, no second look-up. What may be
//! dialled is decided in `egress`.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::http::{Request, StatusCode, header};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};
use url::{Host, Position, Url};

use super::egress::Egress;
use crate::config::SupervisionConfig;

/// How many health checks run at once; the others wait.
const AT_ONCE: usize = 16;
/// Most bytes of an answer that are read: its status and headers have to fit, and its body is of no interest.
const MAX_RESPONSE_BYTES: usize = 64 * 1024;
/// Most addresses of a host that are tried.
const MAX_ADDRESSES: usize = 4;
/// How we call ourselves.
const USER_AGENT: &str = concat!("ar-supervisor/", env!("CARGO_PKG_VERSION"), " health-check");

/// Finds the addresses of a host's name.
type Resolver = Box<dyn Fn(String) -> BoxFuture<'static, std::io::Result<Vec<IpAddr>>> + Send + Sync>;

/// How long a health check may take.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// To resolve, to connect and to agree on TLS.
    connect: Duration,
    /// In all.
    total: Duration,
}

const LIMITS: Limits = Limits { connect: Duration::from_secs(2), total: Duration::from_secs(5) };

/// What a health check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Probe {
    pub(crate) outcome: Outcome,
    /// What was answered, if anything was.
    pub(crate) status_code: Option<u16>,
    /// From the beginning to the answer, or to where it failed.
    pub(crate) latency: Duration,
}

/// How a health check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Answered with 2xx.
    Good,
    /// Answered with another status.
    BadStatus,
    /// Answered with a redirect, which is not followed.
    Redirect,
    /// Policy forbids the host's address, or one of its addresses.
    ForbiddenAddress,
    /// Policy forbids the URL: it has credentials, or lacks TLS on a host that is not listed, or is not of HTTP.
    ForbiddenUrl,
    /// The host's name has no address.
    NotResolved,
    /// No address takes the connection.
    ConnectFailed,
    /// TLS failed, such as for a certificate that is not trusted.
    TlsFailed,
    /// What was answered is not HTTP, or too long, or broke off.
    BadResponse,
    /// It took too long.
    Timeout,
}

impl Outcome {
    /// The reason in its stable spelling; none when the check is passed.
    pub(crate) fn reason(self) -> Option<&'static str> {
        match self {
            Self::Good => None,
            Self::BadStatus => Some("bad_status"),
            Self::Redirect => Some("redirect"),
            Self::ForbiddenAddress => Some("forbidden_address"),
            Self::ForbiddenUrl => Some("forbidden_url"),
            Self::NotResolved => Some("not_resolved"),
            Self::ConnectFailed => Some("connect_failed"),
            Self::TlsFailed => Some("tls_failed"),
            Self::BadResponse => Some("bad_response"),
            Self::Timeout => Some("timeout"),
        }
    }
}

impl From<StatusCode> for Outcome {
    fn from(status: StatusCode) -> Self {
        match status.as_u16() {
            200..=299 => Self::Good,
            300..=399 => Self::Redirect,
            _ => Self::BadStatus,
        }
    }
}

/// Makes health checks.
pub(crate) struct Prober {
    egress: Egress,
    resolve: Resolver,
    limits: Limits,
    places: Semaphore,
    /// Made at the first check that needs it: reading the system's certificates takes some milliseconds.
    tls: OnceLock<TlsConnector>,
}

impl Prober {
    /// Health checks as the settings allow them, with names resolved as this machine does.
    pub(crate) fn new(config: &SupervisionConfig) -> Self {
        Self::with(Egress::new(&config.health_check_allow), Box::new(|host| Box::pin(look_up(host))), LIMITS)
    }

    fn with(egress: Egress, resolve: Resolver, limits: Limits) -> Self {
        Self { egress, resolve, limits, places: Semaphore::new(AT_ONCE), tls: OnceLock::new() }
    }

    /// What may be dialled.
    pub(super) fn egress(&self) -> &Egress {
        &self.egress
    }

    /// Asks a URL as it is stored; see [`Self::probe`].
    pub(super) async fn probe_stored(&self, url: &str) -> Probe {
        match Url::parse(url) {
            Ok(url) => self.probe(&url).await,
            Err(_not_a_url) => Probe { outcome: Outcome::ForbiddenUrl, status_code: None, latency: Duration::ZERO },
        }
    }

    /// Asks a URL once. The host's name is looked up once, and one forbidden address among those found forbids all.
    pub(crate) async fn probe(&self, url: &Url) -> Probe {
        let _place = self.places.acquire().await.expect("it is never closed");
        let began = Instant::now();
        let answer = timeout(self.limits.total, self.ask(url)).await.unwrap_or(Err(Outcome::Timeout));
        let latency = began.elapsed();
        match answer {
            Ok(status) => Probe { outcome: status.into(), status_code: Some(status.as_u16()), latency },
            Err(outcome) => Probe { outcome, status_code: None, latency },
        }
    }

    async fn ask(&self, url: &Url) -> Result<StatusCode, Outcome> {
        let by = Instant::now() + self.limits.connect;
        let addresses = timeout_at(by, self.addresses(url)).await.unwrap_or(Err(Outcome::Timeout))?;
        let stream = dial(&addresses, by).await?;
        if url.scheme() == "https" {
            let stream = timeout_at(by, self.secure(url, stream)).await.unwrap_or(Err(Outcome::Timeout))?;
            status(stream, url).await
        } else {
            status(stream, url).await
        }
    }

    /// The addresses to dial, all of which policy allows.
    async fn addresses(&self, url: &Url) -> Result<Vec<SocketAddr>, Outcome> {
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else { return Err(Outcome::ForbiddenUrl) };
        let literal = match host {
            Host::Domain(_) => None,
            Host::Ipv4(address) => Some(IpAddr::from(address)),
            Host::Ipv6(address) => Some(IpAddr::from(address)),
        };
        let forbidden = |address: &IpAddr| !self.egress.names_host_of(url) && !self.egress.allows_address(*address);
        if literal.as_ref().is_some_and(forbidden) {
            return Err(Outcome::ForbiddenAddress);
        }
        let scheme_is_good = url.scheme() == "https" || (url.scheme() == "http" && self.egress.allows_plain(url));
        if !scheme_is_good || !url.username().is_empty() || url.password().is_some() {
            return Err(Outcome::ForbiddenUrl);
        }
        let addresses = match (literal, host) {
            (None, Host::Domain(name)) => (self.resolve)(name.to_owned()).await.map_err(because(Outcome::NotResolved))?,
            (literal, _) => Vec::from_iter(literal),
        };
        if addresses.iter().any(forbidden) {
            return Err(Outcome::ForbiddenAddress);
        }
        if addresses.is_empty() {
            return Err(Outcome::NotResolved);
        }
        Ok(addresses.into_iter().take(MAX_ADDRESSES).map(|address| SocketAddr::new(address, port)).collect())
    }

    async fn secure(&self, url: &Url, stream: TcpStream) -> Result<TlsStream<TcpStream>, Outcome> {
        let name = match url.host() {
            Some(Host::Domain(name)) => ServerName::try_from(name.to_owned()).map_err(because(Outcome::TlsFailed))?,
            Some(Host::Ipv4(address)) => ServerName::from(IpAddr::from(address)),
            Some(Host::Ipv6(address)) => ServerName::from(IpAddr::from(address)),
            None => return Err(Outcome::ForbiddenUrl),
        };
        self.tls.get_or_init(trusting_the_system).connect(name, stream).await.map_err(because(Outcome::TlsFailed))
    }
}

/// Makes an outcome of an error. The error is for who looks closely; it never goes to a client.
fn because<E: std::fmt::Display>(outcome: Outcome) -> impl Fn(E) -> Outcome {
    move |error| {
        tracing::debug!(%error, reason = outcome.reason(), "health check failed");
        outcome
    }
}

async fn look_up(host: String) -> std::io::Result<Vec<IpAddr>> {
    Ok(tokio::net::lookup_host((host, 0)).await?.map(|address| address.ip()).collect())
}

/// Connects to the first address that takes it, each within its share of the time that is left.
async fn dial(addresses: &[SocketAddr], by: Instant) -> Result<TcpStream, Outcome> {
    let mut failed = Outcome::ConnectFailed;
    for (address, left) in addresses.iter().zip((1..=MAX_ADDRESSES.min(addresses.len())).rev()) {
        let share = by.saturating_duration_since(Instant::now()) / u32::try_from(left).expect("a few");
        match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => failed = because(Outcome::ConnectFailed)(error),
            Err(_) => failed = Outcome::Timeout,
        }
    }
    Err(failed)
}

/// Asks for the URL's path; the connection ends with the status and the headers, before the body.
async fn status(stream: impl AsyncRead + AsyncWrite + Send + Unpin, url: &Url) -> Result<StatusCode, Outcome> {
    let request = Request::get(&url[Position::BeforePath..Position::AfterQuery])
        .header(header::HOST, &url[Position::BeforeHost..Position::AfterPort])
        .header(header::USER_AGENT, USER_AGENT)
        .header(header::ACCEPT, "*/*")
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(because(Outcome::ForbiddenUrl))?;
    let mut connection = http1::Builder::new();
    connection.max_buf_size(MAX_RESPONSE_BYTES);
    // The buffer bounds one head; this bounds all that is read, were it interim answers without end.
    let (read, write) = tokio::io::split(stream);
    let stream = tokio::io::join(read.take(MAX_RESPONSE_BYTES as u64), write);
    let (mut sender, connection) = connection.handshake(TokioIo::new(stream)).await.map_err(because(Outcome::BadResponse))?;
    let mut answer = std::pin::pin!(sender.send_request(request));
    let answer = tokio::select! {
        biased;
        answer = &mut answer => answer,
        // It moves the bytes. When it ends first, the answer is there, or why there is none.
        _ = connection => answer.await,
    };
    answer.map(|answer| answer.status()).map_err(because(Outcome::BadResponse))
}

/// TLS that trusts whom this machine trusts.
fn trusting_the_system() -> TlsConnector {
    let found = rustls_native_certs::load_native_certs();
    for error in found.errors {
        tracing::warn!(%error, "a trusted certificate cannot be read");
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        tracing::warn!("this machine trusts no certificate, so that no health check by https can be passed; install ca-certificates");
    }
    trusting(roots)
}

fn trusting(roots: RootCertStore) -> TlsConnector {
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    let config = config.with_safe_default_protocol_versions().expect("the provider has what TLS 1.2 and 1.3 need");
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    TlsConnector::from(Arc::new(config))
}

#[cfg(test)]
mod tests;

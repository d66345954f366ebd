//! Requests to the server, as any client makes them: a bounded number at a time, each with its answer or with
//! what went wrong in words.

use std::time::{Duration, Instant};

use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use url::Url;

/// Requests at once: enough to keep a server busy, few enough for one process beside it.
const MAX_OPEN_REQUESTS: usize = 64;
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
/// The server closes connections that are idle for 10 s; ours are given up before, so that no request meets that.
const IDLE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a server that is busy is waited for where nothing goes on without its answer.
const PATIENCE: Duration = Duration::from_mins(1);
/// Longest wait that is taken from a `Retry-After`.
const MAX_RETRY_AFTER: Duration = Duration::from_mins(1);

/// The server's HTTP interface.
pub(super) struct Api {
    client: reqwest::Client,
    /// Without a slash at its end.
    base: String,
    slots: Semaphore,
}

/// An answer as wished.
pub(super) struct Answered<T> {
    pub(super) value: T,
    /// From sending the request to the last byte of the answer.
    pub(super) took: Duration,
    /// Before that, because too many requests of this process were open.
    pub(super) waited: Duration,
}

/// Why there was no answer as wished.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// 429 or 503.
    #[error("{what}: {status}, to be tried again in {} s", retry_after.as_secs())]
    Busy { what: &'static str, status: StatusCode, retry_after: Duration },
    /// Another status.
    #[error("{what}: {status} {code}: {detail} (request {request_id})")]
    Refused { what: &'static str, status: StatusCode, code: String, detail: String, request_id: String },
    /// No answer.
    #[error("{what}: no answer: {}", innermost(source))]
    Lost { what: &'static str, source: reqwest::Error },
    /// An answer that is not what the API promises.
    #[error("{what}: an answer that cannot be read: {reason}")]
    Unreadable { what: &'static str, reason: String },
}

impl Failure {
    /// What failures of the same kind share.
    pub(super) fn kind(&self) -> String {
        match self {
            Self::Busy { what, status, .. } => format!("{what}: {}", status.as_u16()),
            Self::Refused { what, status, code, .. } => format!("{what}: {} {code}", status.as_u16()),
            Self::Lost { what, source } if source.is_timeout() => format!("{what}: no answer in {} s", REQUEST_TIMEOUT.as_secs()),
            Self::Lost { what, source } if source.is_connect() => format!("{what}: no connection"),
            Self::Lost { what, .. } => format!("{what}: connection lost"),
            Self::Unreadable { what, .. } => format!("{what}: unreadable answer"),
        }
    }

    /// The status of a refusal.
    pub(super) fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Busy { status, .. } | Self::Refused { status, .. } => Some(*status),
            Self::Lost { .. } | Self::Unreadable { .. } => None,
        }
    }

    /// Whether the refusal has this code.
    pub(super) fn is(&self, wanted: &str) -> bool {
        matches!(self, Self::Refused { code, .. } if code == wanted)
    }
}

/// reqwest's own words hide what happened behind "error sending request".
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Problem {
    code: String,
    detail: String,
    request_id: String,
    errors: Vec<FieldProblem>,
}

#[derive(Deserialize)]
struct FieldProblem {
    field: String,
    code: String,
}

/// The base of all addresses, and what was wrong with it.
fn base(url: &str) -> Result<String, String> {
    let parsed = Url::parse(url).map_err(|error| format!("--url {url} is no URL ({error}); for example http://127.0.0.1:8080"))?;
    if !matches!(parsed.scheme(), "http" | "https") || parsed.host().is_none() || parsed.query().is_some() {
        return Err(format!("--url {url} is not the address of a server; for example http://127.0.0.1:8080"));
    }
    Ok(parsed.as_str().trim_end_matches('/').to_owned())
}

impl Api {
    /// For a server at this address.
    ///
    /// # Errors
    /// In words, when the address is none.
    pub(super) fn new(url: &str) -> Result<Self, String> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(REQUEST_TIMEOUT)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(MAX_OPEN_REQUESTS)
            .user_agent(concat!("ar-supervisor-simulate/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| format!("no HTTP client can be made: {error}"))?;
        Ok(Self { client, base: base(url)?, slots: Semaphore::new(MAX_OPEN_REQUESTS) })
    }

    /// The server's address.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// The address of a path for sockets.
    pub(super) fn socket_url(&self, path: &str) -> String {
        format!("ws{}{path}", &self.base["http".len()..])
    }

    /// A request below `/api/v1`.
    pub(super) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}/api/v1{path}", self.base))
    }

    /// Sends a request and reads the answer. `what` names it, the same for all of its kind.
    pub(super) async fn ask<T: DeserializeOwned>(&self, what: &'static str, request: RequestBuilder) -> Result<Answered<T>, Failure> {
        let asked = Instant::now();
        let (response, began, _slot) = self.send(what, request).await?;
        let bytes = response.bytes().await.map_err(|source| Failure::Lost { what, source })?;
        let took = began.elapsed();
        let value = serde_json::from_slice(&bytes).map_err(|error| Failure::Unreadable { what, reason: error.to_string() })?;
        Ok(Answered { value, took, waited: began - asked })
    }

    /// Sends a request whose answer says nothing but that it was done.
    pub(super) async fn tell(&self, what: &'static str, request: RequestBuilder) -> Result<(), Failure> {
        let (response, ..) = self.send(what, request).await?;
        // To its end, so that the connection serves again.
        response.bytes().await.map(drop).map_err(|source| Failure::Lost { what, source })
    }

    /// Asks until the server has time, for a minute, or until the end of the simulation.
    pub(super) async fn ask_patiently<T: DeserializeOwned>(
        &self,
        what: &'static str,
        ending: &CancellationToken,
        request: impl Fn() -> RequestBuilder,
    ) -> Result<T, Failure> {
        let began = Instant::now();
        loop {
            match self.ask(what, request()).await {
                Err(Failure::Busy { retry_after, .. }) if began.elapsed() + retry_after < PATIENCE && !ending.is_cancelled() => {
                    tokio::select! {
                        () = ending.cancelled() => {}
                        () = tokio::time::sleep(retry_after) => {}
                    }
                }
                outcome => return outcome.map(|answered| answered.value),
            }
        }
    }

    async fn send(
        &self,
        what: &'static str,
        request: RequestBuilder,
    ) -> Result<(Response, Instant, tokio::sync::SemaphorePermit<'_>), Failure> {
        let slot = self.slots.acquire().await.expect("the slots are never closed");
        let began = Instant::now();
        let response = request.send().await.map_err(|source| Failure::Lost { what, source: source.without_url() })?;
        if response.status().is_success() {
            return Ok((response, began, slot));
        }
        Err(refusal(what, response).await)
    }
}

async fn refusal(what: &'static str, response: Response) -> Failure {
    let status = response.status();
    if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        return Failure::Busy { what, status, retry_after: retry_after(response.headers()) };
    }
    // A problem document, if it is ours.
    let bytes = response.bytes().await.unwrap_or_default();
    let Problem { code, mut detail, request_id, errors } = serde_json::from_slice(&bytes).unwrap_or_default();
    detail.extend(errors.iter().flat_map(|FieldProblem { field, code }| ["; ", field, ": ", code]));
    Failure::Refused { what, status, code, detail, request_id }
}

/// The wait that a busy server asks for, a second when it names none.
pub(super) fn retry_after(headers: &HeaderMap) -> Duration {
    let seconds = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(1)).clamp(Duration::from_millis(200), MAX_RETRY_AFTER)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("http://127.0.0.1:8080", "ws://127.0.0.1:8080/ws/edge/1")]
    #[case("http://localhost:8080/", "ws://localhost:8080/ws/edge/1")]
    #[case("https://ar.example.com/behind/", "wss://ar.example.com/behind/ws/edge/1")]
    fn sockets_are_beside_the_api(#[case] url: &str, #[case] socket: &str) {
        assert_eq!(Api::new(url).expect("an address").socket_url("/ws/edge/1"), socket);
    }

    #[rstest]
    #[case("127.0.0.1:8080")]
    #[case("ftp://127.0.0.1")]
    #[case("http://")]
    #[case("http://a/?token=1")]
    fn what_is_no_address_is_said_with_an_example(#[case] url: &str) {
        let message = Api::new(url).err().expect("refused");
        assert!(message.contains(url) && message.contains("http://127.0.0.1:8080"), "{message}");
    }

    #[rstest]
    #[case(Some("7"), 7_000)]
    #[case(Some("0"), 200)]
    #[case(Some("86400"), 60_000)]
    #[case(Some("soon"), 1_000)]
    #[case(None, 1_000)]
    fn a_busy_server_is_left_alone_as_long_as_it_asks(#[case] header: Option<&str>, #[case] wait_ms: u64) {
        let mut headers = HeaderMap::new();
        if let Some(value) = header {
            headers.insert(RETRY_AFTER, value.parse().expect("a value"));
        }
        assert_eq!(retry_after(&headers), Duration::from_millis(wait_ms));
    }
}

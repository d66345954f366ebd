//! The outermost layer: every request gets an id and a span, every response carries the id, every error a
//! problem document, and the log one line.

use std::panic::AssertUnwindSafe;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use tracing::Instrument;
use uuid::Uuid;

use super::api_error::{ApiError, PendingProblem};
use super::place::Shed;
use crate::telemetry::{self, prometheus};

pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The request's id, for handlers that write it down.
#[derive(Clone)]
pub(super) struct RequestId(HeaderValue);

impl RequestId {
    /// The caller's, when it is a short token: anything else could forge log lines. Else a new one.
    pub(super) fn of(callers: Option<&[u8]>) -> Self {
        let sane = callers.filter(|id| is_sane(id)).and_then(|id| HeaderValue::from_bytes(id).ok());
        Self(sane.unwrap_or_else(new_id))
    }

    /// As text.
    pub(super) fn into_header(self) -> HeaderValue {
        self.0
    }

    pub(super) fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

/// Wraps a request: see the head of this file.
pub(super) async fn around<F: Future<Output = Response>>(mut request: Request, next: impl FnOnce(Request) -> F) -> Response {
    let started = Instant::now();
    let request_id = RequestId::of(request.headers().get(&X_REQUEST_ID).map(HeaderValue::as_bytes));
    let method = request.method().clone();
    let traced = telemetry::Request::begin(&method, request_id.as_str(), request.headers());
    let span = traced.span();
    request.extensions_mut().insert(request_id.clone());
    async move {
        let mut response = next(request).await;
        write_problem(&mut response, request_id.as_str());
        response.headers_mut().insert(X_REQUEST_ID, request_id.0);
        let status = response.status().as_u16();
        // Set by the router, below us: the path's pattern never holds positions or tokens.
        let route = response.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
        let elapsed = started.elapsed();
        prometheus::answered(route, &method, status, elapsed);
        let (route, elapsed_ms) = (route.unwrap_or("unknown"), elapsed.as_secs_f64() * 1e3);
        traced.end(&method, route, status);
        if response.status().is_server_error() && response.extensions().get::<Shed>().is_none() {
            tracing::warn!(status, elapsed_ms, route, "{method} {route} answered {status}");
        } else {
            tracing::debug!(status, elapsed_ms, route, "{method} {route} answered {status}");
        }
        response
    }
    .instrument(span)
    .await
}

/// Inside the router: hands the matched route to the layer outside, and to whatever is logged from here on.
pub(super) async fn note_route<F: Future<Output = Response>>(request: Request, next: impl FnOnce(Request) -> F) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    if let Some(route) = &route {
        telemetry::Request::note_route(route.as_str());
    }
    let mut response = next(request).await;
    if let Some(route) = route {
        response.extensions_mut().insert(route);
    }
    response
}

/// Gives an error response its document, unless it wrote one itself.
fn write_problem(response: &mut Response, request_id: &str) {
    if !response.status().is_client_error() && !response.status().is_server_error() {
        return;
    }
    if response.extensions().get::<PendingProblem>().is_none() {
        let plain = ApiError::of_status(response.status()).into_response();
        if let Some(retry_after) = plain.headers().get(header::RETRY_AFTER) {
            response.headers_mut().insert(header::RETRY_AFTER, retry_after.clone());
        }
        if let Some(problem) = plain.extensions().get::<PendingProblem>() {
            response.extensions_mut().insert(problem.clone());
        }
    }
    let Some(PendingProblem(mut problem)) = response.extensions_mut().remove::<PendingProblem>() else { return };
    let body = problem.write(request_id, response.headers_mut());
    *response.body_mut() = Body::from(body);
}

/// Answers what panics: it is logged with its message, and told to nobody.
pub(super) async fn catch_panic(answering: impl Future<Output = Response>) -> Response {
    // Nothing of the request is used afterwards.
    AssertUnwindSafe(answering).catch_unwind().await.unwrap_or_else(|panic| {
        let message = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        tracing::error!(panic = message.unwrap_or("of another type"), "a handler panicked");
        (StatusCode::INTERNAL_SERVER_ERROR, ApiError::internal()).into_response()
    })
}

fn is_sane(id: &[u8]) -> bool {
    (1..=128).contains(&id.len()) && id.iter().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(b))
}

fn new_id() -> HeaderValue {
    let mut text = Uuid::encode_buffer();
    HeaderValue::from_str(Uuid::now_v7().hyphenated().encode_lower(&mut text)).unwrap_or_else(|_| HeaderValue::from_static("unknown"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_short_tokens_pass_as_request_ids() {
        for good in ["a", "0193-ab_c.d:e"] {
            assert_eq!(RequestId::of(Some(good.as_bytes())).as_str(), good);
        }
        for bad in ["", "a b", "a\tb", "a\"b", "é", &"x".repeat(129)] {
            assert_ne!(RequestId::of(Some(bad.as_bytes())).as_str(), bad);
        }
        assert_ne!(RequestId::of(None).as_str(), RequestId::of(None).as_str());
    }
}

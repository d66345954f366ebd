//! What every response says about itself to browsers, and that secrets do not travel in the clear.

use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::time::Duration;
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::client::{Client, Peer};
use super::{ApiError, Origin};
use crate::state::AppState;

/// Nothing of an API's answer is a page.
const API_POLICY: &str = "default-src 'none'; frame-ancestors 'none'";
/// The documentation's page loads its own parts, and has its styles inline.
const DOCS_POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'";
/// A year.
const HSTS: &str = "max-age=31536000";

/// Finds out who the client is, redirects or refuses plain HTTP where that is wished, and sets the headers.
pub(super) async fn around<F: Future<Output = Response>>(
    state: AppState,
    mut request: Request,
    next: impl FnOnce(Request) -> F,
) -> Response {
    let config = &state.http;
    let client = Client::of(request.extensions().get::<Peer>().copied(), request.headers(), &config.trusted_proxies);
    request.extensions_mut().insert(client);
    let path = request.uri().path();
    let is_docs = path.starts_with("/docs");
    let require_https = config.require_https || config.tls.is_some();
    // Orchestrators ask for health where no certificate is.
    let refused = if require_https && !client.secure && !path.starts_with("/health/") { Some(insecure(&request)) } else { None };
    let mut response = match refused {
        Some(response) => response,
        None => next(request).await,
    };
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(if is_docs { DOCS_POLICY } else { API_POLICY }));
    if require_https && client.secure {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(HSTS));
    }
    response
}

/// Reading without a secret is redirected. Everything else is refused: a redirect would have it sent again,
/// and its sender would not notice that it went in the clear.
fn insecure(request: &Request) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if reads && !request.headers().contains_key(header::AUTHORIZATION) {
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
        let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).filter(|host| host.parse::<Authority>().is_ok());
        if let Some(location) = host.and_then(|host| HeaderValue::from_str(&format!("https://{host}{target}")).ok()) {
            return (StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, location)]).into_response();
        }
    }
    ApiError::new(StatusCode::FORBIDDEN, "https_required", "this service takes keys, tokens and changes over https only").into_response()
}

/// Lets pages of the allowed origins use the API; none when there are none.
pub(super) fn cors(origins: &[HeaderValue]) -> Option<CorsLayer> {
    if origins.is_empty() {
        return None;
    }
    let names = |names: &[&'static str]| names.iter().copied().map(HeaderName::from_static).collect::<Vec<_>>();
    let layer = CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins.iter().cloned()))
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers(names(&[
            "accept",
            "authorization",
            "content-type",
            "idempotency-key",
            "if-match",
            "if-none-match",
            "traceparent",
            "x-request-id",
        ]))
        .expose_headers(names(&[
            "etag",
            "idempotency-replayed",
            "location",
            "ratelimit-limit",
            "ratelimit-policy",
            "ratelimit-remaining",
            "ratelimit-reset",
            "retry-after",
            "x-request-id",
        ]))
        .max_age(Duration::from_hours(1));
    Some(layer)
}

/// Whether a request comes from no page, from one of ours, or from one of an allowed origin. For sockets, which browsers
/// open from anywhere.
pub(crate) fn is_own_origin(request: &Request, allowed: &[HeaderValue]) -> bool {
    let Some(origin) = request.headers().get(header::ORIGIN) else { return true };
    if allowed.iter().any(|allowed| allowed.as_bytes().eq_ignore_ascii_case(origin.as_bytes())) {
        return true;
    }
    Origin::of(request.extensions(), request.headers()).is(origin)
}

/// The token of `Authorization: Bearer`, if there is that one header.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next()?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    (values.next().is_none() && scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

//! Errors as clients see them: `application/problem+json` (RFC 9457). A handler returns an [`ApiError`];
//! the outermost layer (`context`) writes it, because only that knows the request id. Whatever answers with
//! an error status and no problem of its own (axum's rejections, an unknown route) gets one there too.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::{IntoResponses, ToSchema};

use super::throttle::Allowance;
use crate::db::DbError;
use crate::input::{FaultKind, Faults, FieldFault};

/// After which time to try again when the service or its database is not there, or has too much to do.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(2);

/// A problem document.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Problem {
    /// Kind of problem, as a URI.
    #[serde(rename = "type")]
    #[schema(example = "urn:ar-supervisor:problem:invalid_input")]
    pub kind: String,
    /// The status in words.
    pub title: &'static str,
    /// HTTP status.
    pub status: u16,
    /// What went wrong this time, for people.
    pub detail: String,
    /// Stable name of the kind of problem.
    #[schema(example = "invalid_input")]
    pub code: &'static str,
    /// The request's `X-Request-Id`.
    pub request_id: String,
    /// Every fault of the input, when the input is to blame.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub errors: Vec<FieldFault>,
    /// Members that only this kind of problem has.
    #[serde(flatten)]
    #[schema(ignore)]
    pub extra: Map<String, Value>,
}

impl Problem {
    /// The document, for the request of this id; says in the headers what it is.
    pub(super) fn write(&mut self, request_id: &str, headers: &mut HeaderMap) -> Vec<u8> {
        request_id.clone_into(&mut self.request_id);
        let body = serde_json::to_vec(self).unwrap_or_default();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        headers.remove(header::CONTENT_ENCODING);
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        body
    }
}

/// An error on its way to the client.
#[derive(Debug)]
pub struct ApiError(Box<Parts>);

#[derive(Debug)]
struct Parts {
    problem: Problem,
    headers: HeaderMap,
}

/// The problem that the outermost layer is to write.
#[derive(Clone)]
pub(super) struct PendingProblem(pub(super) Box<Problem>);

impl ApiError {
    /// An error with a status, a stable code and a sentence for people.
    #[must_use]
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        let problem = Problem {
            kind: kind_of(code),
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: detail.into(),
            code,
            request_id: String::new(),
            errors: Vec::new(),
            extra: Map::new(),
        };
        Self(Box::new(Parts { problem, headers: HeaderMap::new() }))
    }

    pub(crate) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.0.problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The same error with one more member in its document.
    #[must_use]
    pub fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.0.problem.extra.insert(member.to_owned(), value.into());
        self
    }

    /// The same error under another code, if it is an input error and all its faults are such ones.
    #[must_use]
    pub(crate) fn renamed_if_only(mut self, code: &'static str, is_such: impl Fn(&FieldFault) -> bool) -> Self {
        let problem = &mut self.0.problem;
        if !problem.errors.is_empty() && problem.errors.iter().all(is_such) {
            problem.code = code;
            problem.kind = kind_of(code);
        }
        self
    }

    /// The same error, saying when to come back.
    #[must_use]
    pub(crate) fn retry_after(mut self, seconds: u64) -> Self {
        self.0.headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        self
    }

    /// The same error, saying what is asked for (`WWW-Authenticate`).
    #[must_use]
    fn challenge(mut self, challenge: &'static str) -> Self {
        self.0.headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        self
    }

    /// 401: a credential is missing or not good.
    #[must_use]
    pub(crate) fn unauthorized(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, code, detail).challenge("Bearer realm=\"ar-supervisor\"")
    }

    /// 401: an access token is not good, or no longer.
    #[must_use]
    pub(crate) fn invalid_token(detail: impl Into<String>) -> Self {
        let challenge = "Bearer realm=\"ar-supervisor\", error=\"invalid_token\"";
        Self::new(StatusCode::UNAUTHORIZED, "invalid_token", detail).challenge(challenge)
    }

    /// The same error, saying what the caller's limit is.
    #[must_use]
    pub(super) fn limited(mut self, allowance: Allowance) -> Self {
        allowance.write(&mut self.0.headers);
        self
    }

    /// 503: the service cannot answer now, and says when to come back.
    #[must_use]
    pub fn unavailable(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail).retry_after(RETRY_AFTER.as_secs())
    }

    /// Status, headers and body, for an answer that no layer writes.
    pub(super) fn into_document(self, request_id: &str) -> (StatusCode, HeaderMap, Vec<u8>) {
        let status = self.status();
        let Parts { mut problem, mut headers } = *self.0;
        let body = problem.write(request_id, &mut headers);
        (status, headers, body)
    }

    /// 500: a bug of ours. What happened is for the log, not for the client.
    #[must_use]
    pub fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal_error",
            "something went wrong on our side; the log has it under this request id",
        )
    }

    /// The generic error of a status that came without a document.
    #[must_use]
    pub(super) fn of_status(status: StatusCode) -> Self {
        let (code, detail) = match status {
            StatusCode::NOT_FOUND => ("unknown_route", "there is nothing at this address; GET /openapi.json lists what there is"),
            StatusCode::METHOD_NOT_ALLOWED => {
                ("method_not_allowed", "this address does not take that method; the header Allow lists those it takes")
            }
            StatusCode::REQUEST_TIMEOUT => ("too_slow", "the request came too slowly"),
            StatusCode::PAYLOAD_TOO_LARGE => ("body_too_large", "the body is larger than this route takes"),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => ("unsupported_media_type", "the body's Content-Type is not one this route takes"),
            StatusCode::URI_TOO_LONG => ("uri_too_long", "the address is longer than 16 KiB"),
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => ("headers_too_large", "the headers are larger than 16 KiB"),
            StatusCode::SERVICE_UNAVAILABLE => return Self::unavailable("unavailable", "the service cannot answer now"),
            status if status.is_server_error() => return Self::internal(),
            _ => ("bad_request", "the request cannot be read"),
        };
        Self::new(status, code, detail)
    }
}

fn kind_of(code: &str) -> String {
    format!("urn:ar-supervisor:problem:{code}")
}

impl From<Faults> for ApiError {
    /// 400 when anything could not be read, else 422; all faults are named.
    fn from(faults: Faults) -> Self {
        let errors = faults.into_vec();
        let unreadable = errors.iter().any(|fault| fault.kind == FaultKind::Unreadable);
        let status = if unreadable { StatusCode::BAD_REQUEST } else { StatusCode::UNPROCESSABLE_ENTITY };
        let detail = match errors.as_slice() {
            [one] => format!("{}: {}", one.field, one.detail),
            many => format!("{} faults in the input", many.len()),
        };
        let mut error = Self::new(status, "invalid_input", detail);
        error.0.problem.errors = errors;
        error
    }
}

impl Faults {
    /// What was read, when nothing was wrong with it.
    ///
    /// # Errors
    /// 400 or 422 with all faults.
    pub(crate) fn or<T>(self, value: Option<T>) -> Result<T, ApiError> {
        match value {
            Some(value) if self.is_empty() => Ok(value),
            _ => Err(self.into()),
        }
    }
}

impl From<DbError> for ApiError {
    fn from(error: DbError) -> Self {
        if error.is_unavailable() {
            tracing::warn!(error = &error as &dyn std::error::Error, "database unavailable while {}", error.doing());
            return Self::unavailable("database_unavailable", "the database cannot be reached or is too busy; try again");
        }
        tracing::error!(error = &error as &dyn std::error::Error, "database error while {}", error.doing());
        Self::internal()
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let Parts { problem, headers } = *self.0;
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, headers).into_response();
        response.extensions_mut().insert(PendingProblem(Box::new(problem)));
        response
    }
}

/// What every public read may fail with, for OpenAPI.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "documents responses")]
pub(crate) enum ReadFailures {
    /// A parameter cannot be read: missing, unknown, repeated, not a number, a bad cursor.
    #[response(status = 400, content_type = "application/problem+json")]
    BadRequest(Problem),
    /// A parameter was read, but its value is outside its domain.
    #[response(status = 422, content_type = "application/problem+json")]
    OutOfDomain(Problem),
    /// The database cannot be reached or is too busy; `Retry-After` says when to come back.
    #[response(status = 503, content_type = "application/problem+json", headers(("Retry-After" = u64, description = "Seconds to wait.")))]
    Unavailable(Problem),
}

/// 404, for OpenAPI.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "documents responses")]
pub(crate) enum NotFound {
    /// There is no such thing.
    #[response(status = 404, content_type = "application/problem+json")]
    NotFound(Problem),
}

/// What every route that asks for a token may fail with besides, for OpenAPI.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "documents responses")]
pub(crate) enum AccessFailures {
    /// No token, or none that is good: `WWW-Authenticate` says what is asked for.
    #[response(status = 401, content_type = "application/problem+json", headers(("WWW-Authenticate" = String, description = "What is asked for.")))]
    Unauthorized(Problem),
    /// The role is not enough.
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(Problem),
    /// Too many requests; `Retry-After` says when to come back.
    #[response(status = 429, content_type = "application/problem+json", headers(("Retry-After" = u64, description = "Seconds to wait.")))]
    TooMany(Problem),
}

/// What every route that takes a body may fail with besides, for OpenAPI.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "documents responses")]
pub(crate) enum BodyFailures {
    /// The body took too long to come.
    #[response(status = 408, content_type = "application/problem+json")]
    TooSlow(Problem),
    /// The body is larger than this route takes.
    #[response(status = 413, content_type = "application/problem+json")]
    TooLarge(Problem),
    /// The body's `Content-Type` is not one this route takes.
    #[response(status = 415, content_type = "application/problem+json")]
    MediaType(Problem),
}

/// 429, for OpenAPI.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "documents responses")]
pub(crate) enum TooMany {
    /// Too many requests; `Retry-After` says when to come back.
    #[response(status = 429, content_type = "application/problem+json", headers(("Retry-After" = u64, description = "Seconds to wait.")))]
    TooMany(Problem),
}

//! JSON bodies, read strictly: every fault is named at once, and unknown or repeated names are faults.

use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{FromRequest, OptionalFromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};

use super::place::Place;
use super::query::QueryReader;
use super::{ApiError, FromQuery, Nothing};
use crate::input::{Faults, FieldReader, Fields, StrictObject};

/// Largest body of a route that says nothing else.
const MAX_BODY_BYTES: usize = 64 * 1024;
/// How long a body may take: less than a request, so that its sender is told what was too slow.
const BODY_TIMEOUT: Duration = Duration::from_secs(9);

/// Extractor: the fields of a JSON object of at most `MAX` bytes, of a route whose query takes nothing.
pub(crate) struct JsonBody<const MAX: usize = MAX_BODY_BYTES> {
    fields: Fields,
    faults: Faults,
    /// The body as it came.
    pub(crate) bytes: Bytes,
}

impl<S: Sync, const MAX: usize> FromRequest<S> for JsonBody<MAX> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, ApiError> {
        let headers = request.headers();
        if !is_json(headers) || is_encoded(headers) {
            return Err(ApiError::of_status(StatusCode::UNSUPPORTED_MEDIA_TYPE));
        }
        let mut query = QueryReader::new(request.uri().query().unwrap_or_default());
        Nothing::from_query(&mut query);
        let mut faults = query.into_faults();
        let place = request.extensions().get::<Place>().cloned();
        if let Some(place) = &place {
            place.give_up();
        }
        let bytes = read_bytes(request.into_body(), MAX).await?;
        if let Some(place) = &place {
            place.take_again()?;
        }
        match serde_json::from_slice(&bytes) {
            Ok(StrictObject(members)) => Ok(Self { fields: members.into(), faults, bytes }),
            Err(error) => {
                faults.unreadable("body", "not_json", error.to_string());
                Err(faults.into())
            }
        }
    }
}

/// A body that may be left out: then there is neither a byte nor a media type.
impl<S: Sync, const MAX: usize> OptionalFromRequest<S> for JsonBody<MAX> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Option<Self>, ApiError> {
        if !request.body().is_end_stream() || request.headers().contains_key(header::CONTENT_TYPE) {
            return <Self as FromRequest<S>>::from_request(request, state).await.map(Some);
        }
        let mut query = QueryReader::new(request.uri().query().unwrap_or_default());
        Nothing::from_query(&mut query);
        let faults = query.into_faults();
        if faults.is_empty() { Ok(None) } else { Err(faults.into()) }
    }
}

async fn read_bytes(body: Body, max_bytes: usize) -> Result<Bytes, ApiError> {
    let too_large = || ApiError::of_status(StatusCode::PAYLOAD_TOO_LARGE);
    // One that says so itself is not waited for.
    if body.size_hint().lower() > max_bytes as u64 {
        return Err(too_large());
    }
    match tokio::time::timeout(BODY_TIMEOUT, axum::body::to_bytes(body, max_bytes)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) if is_length_limit(&error) => Err(too_large()),
        Ok(Err(_broken)) => {
            let mut faults = Faults::default();
            faults.unreadable("body", "broken_off", "ended before it was whole");
            Err(faults.into())
        }
        Err(_elapsed) => Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, "body_too_slow", "the body took longer than 9 s")),
    }
}

fn is_length_limit(error: &axum::Error) -> bool {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        if error.is::<http_body_util::LengthLimitError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

impl<const MAX: usize> JsonBody<MAX> {
    /// Reads the body's fields.
    ///
    /// # Errors
    /// 400 or 422 with all faults; a field that `read` did not ask for is one.
    pub(crate) fn read<T>(self, read: impl FnOnce(&mut FieldReader) -> Option<T>) -> Result<T, ApiError> {
        let (value, faults) = self.read_all(read);
        faults.or(value)
    }

    /// Reads the body's fields where more is to be checked: what was read, and the faults so far.
    pub(crate) fn read_all<T>(self, read: impl FnOnce(&mut FieldReader) -> T) -> (T, Faults) {
        let mut reader = FieldReader::new(self.fields);
        let value = read(&mut reader);
        let (unknown, mut faults) = reader.finish();
        faults.append(self.faults);
        for name in unknown {
            faults.unreadable(&name, "unknown", "is not a field that this route takes");
        }
        (value, faults)
    }
}

/// `application/json`, or another type that is JSON by its suffix.
fn is_json(headers: &HeaderMap) -> bool {
    media_type(headers).is_some_and(|kind| kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json")))
}

/// Whether a body is compressed, which no route takes.
pub(crate) fn is_encoded(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity")
}

/// The media type of the body, without its parameters.
pub(crate) fn media_type(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    text.split(';').next().map(|kind| kind.trim().to_ascii_lowercase())
}

//! JSON bodies, read strictly: every fault is named at once, and unknown or repeated names are faults.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};

use super::place::Place;
use super::query::QueryReader;
use super::{ApiError, FromQuery, Nothing};
use crate::input::{Faults, FieldReader, Fields, StrictObject};

/// Extractor: the fields of a JSON object, of a route whose query takes nothing.
pub(crate) struct JsonBody {
    fields: Fields,
    faults: Faults,
    /// The body as it came.
    pub(crate) bytes: Bytes,
}

impl<S: Send + Sync> FromRequest<S> for JsonBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        if !is_json(request.headers()) {
            return Err(ApiError::of_status(StatusCode::UNSUPPORTED_MEDIA_TYPE));
        }
        let mut query = QueryReader::new(request.uri().query().unwrap_or_default());
        Nothing::from_query(&mut query);
        let mut faults = query.into_faults();
        let place = request.extensions().get::<Place>().cloned();
        if let Some(place) = &place {
            place.give_up();
        }
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| unread(&rejection))?;
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

impl JsonBody {
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

fn unread(rejection: &BytesRejection) -> ApiError {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return ApiError::of_status(StatusCode::PAYLOAD_TOO_LARGE);
    }
    let mut faults = Faults::default();
    faults.unreadable("body", "broken_off", "ended before it was whole");
    faults.into()
}

/// `application/json`, or another type that is JSON by its suffix.
fn is_json(headers: &HeaderMap) -> bool {
    media_type(headers).is_some_and(|kind| kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json")))
}

/// The media type of the body, without its parameters.
pub(crate) fn media_type(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    text.split(';').next().map(|kind| kind.trim().to_ascii_lowercase())
}

//! What every request for a socket is held to before it becomes one.

use std::sync::Arc;

use axum::extract::Request;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::sync::OwnedSemaphorePermit;

use crate::http::ApiError;
use crate::input::Faults;
use crate::state::AppState;

/// Length of `Sec-WebSocket-Key` when it is decoded.
const KEY_BYTES: usize = 16;

/// Gives a place for a socket.
///
/// # Errors
/// 400 with a query, because credentials do not belong there; 503 when we stop, or have no room.
pub(super) fn check_upgrade(state: &AppState, request: &Request) -> Result<OwnedSemaphorePermit, ApiError> {
    if request.uri().query().is_some_and(|query| !query.is_empty()) {
        let mut faults = Faults::default();
        faults.unreadable("query", "unknown", "a socket takes no parameters, and credentials never stand in a query");
        return Err(faults.into());
    }
    let key = request.headers().get(header::SEC_WEBSOCKET_KEY);
    if key.is_some_and(|key| STANDARD.decode(key).map_or(0, |key| key.len()) != KEY_BYTES) {
        let mut faults = Faults::default();
        faults.unreadable("Sec-WebSocket-Key", "not_a_key", "is not 16 bytes in base64");
        return Err(faults.into());
    }
    if state.lifecycle.stopping().is_cancelled() {
        return Err(ApiError::unavailable("stopping", "this instance stops; connect again"));
    }
    Arc::clone(&state.hub.places)
        .try_acquire_owned()
        .map_err(|_full| ApiError::unavailable("too_many_sockets", "there is no room for more sockets"))
}

/// Answers an error; one that asks for an upgrade says to what (RFC 9110, RFC 6455).
pub(super) fn refuse(error: ApiError) -> Response {
    let mut response = error.into_response();
    if response.status() == StatusCode::UPGRADE_REQUIRED {
        response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        response.headers_mut().insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    }
    response
}

/// What is no WebSocket request is told what would be one.
pub(super) fn no_upgrade(rejection: &WebSocketUpgradeRejection) -> ApiError {
    ApiError::new(StatusCode::UPGRADE_REQUIRED, "upgrade_required", format!("this is a WebSocket (RFC 6455): {rejection}"))
}

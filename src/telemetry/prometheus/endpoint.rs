//! The page that a Prometheus reads: `GET /metrics`, on a port of its own. It is there from the start of the process to
//! the very end of a stop, so that also a drain can be watched, and it waits for nothing: neither for the database nor
//! for who is slow.

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;

use super::{fleet, scrape};
use crate::http::{self, ConnectionLimits, Entrance};
use crate::lifecycle::Lifecycle;
use crate::state::AppState;

/// A few Prometheus servers, and somebody with a browser.
const LIMITS: ConnectionLimits = ConnectionLimits {
    max_connections: 64,
    header_timeout: Duration::from_secs(5),
    write_timeout: Duration::from_secs(5),
    drain: Duration::from_secs(1),
};

/// Prometheus's text format.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Serves the page of a server until `watching` stops, which is to be the last thing that stops.
pub async fn serve(listener: TcpListener, state: AppState, watching: &Lifecycle) {
    state.lifecycle.spawn(fleet::watch_until(state.clone()));
    let router = Router::new().route("/metrics", get(page)).with_state(state);
    http::serve(listener, router, LIMITS, Entrance::Plain(None), watching).await;
}

async fn page(State(state): State<AppState>) -> Response {
    // It reads files and writes some hundred kilobytes: not where requests are answered.
    match tokio::task::spawn_blocking(move || scrape::text(&state)).await {
        Ok(text) => ([(header::CONTENT_TYPE, TEXT), (header::CACHE_CONTROL, "no-store")], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "a scrape broke off");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

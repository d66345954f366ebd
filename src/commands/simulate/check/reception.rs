//! Where the edge that is checked connects: an address, a key, and its sockets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::ws::WebSocket;
use axum::extract::{Path, State, WebSocketUpgrade};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::examiner::Examiner;
use super::report::{Report, Verdict};
use crate::keys;

/// Sockets that wait for their turn; an edge has one.
const MAX_WAITING: usize = 8;
/// Largest message that is read; ones that are larger than published are told of and not cut off.
const MAX_READ_BYTES: usize = 1024 * 1024;

/// A supervisor that waits for the edge it is to check.
pub struct EdgeCheck {
    listener: TcpListener,
    address: SocketAddr,
    edge: Uuid,
    key: String,
}

/// What all requests share.
struct Door {
    edge: Uuid,
    authorization: String,
    sockets: mpsc::Sender<WebSocket>,
    refused: Arc<AtomicUsize>,
}

impl EdgeCheck {
    /// Listens at an address, such as `127.0.0.1:0`.
    ///
    /// # Errors
    /// When that is not possible.
    pub async fn listen(address: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let key = format!("ek_{}_{}", Uuid::now_v7().simple(), URL_SAFE_NO_PAD.encode(keys::random::<32>()));
        Ok(Self { listener, address, edge: Uuid::now_v7(), key })
    }

    /// Where the edge is to connect.
    #[must_use]
    pub fn url(&self) -> String {
        format!("ws://{}/ws/edge/{}", self.address, self.edge)
    }

    /// The key with which it is to connect.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Checks the edge that connects; `timeout` is what it has for every answer. Every verdict is told at once.
    pub async fn run(self, timeout: Duration, stop: &CancellationToken, mut tell: impl FnMut(&Verdict) + Send) -> Report {
        let (sockets, accepted) = mpsc::channel(MAX_WAITING);
        let refused = Arc::new(AtomicUsize::new(0));
        let door = Door { edge: self.edge, authorization: format!("Bearer {}", self.key), sockets, refused: Arc::clone(&refused) };
        let router =
            Router::new().route("/ws/edge/{id}", get(accept)).route("/api/v1/devices/edge/{id}", get(devices)).with_state(Arc::new(door));
        // Ends with this function.
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(self.listener, router).await });
        let mut examiner = Examiner::new(accepted, refused, timeout);
        let mut report = Report::default();
        examiner
            .examine(stop, |verdict| {
                tell(&verdict);
                report.verdicts.push(verdict);
            })
            .await;
        report
    }
}

async fn accept(State(door): State<Arc<Door>>, Path(id): Path<Uuid>, headers: HeaderMap, upgrade: WebSocketUpgrade) -> Response {
    let is_known = headers.get(AUTHORIZATION).is_some_and(|value| value.as_bytes() == door.authorization.as_bytes());
    if !is_known || id != door.edge {
        door.refused.fetch_add(1, Ordering::Relaxed);
        let status = if is_known { StatusCode::FORBIDDEN } else { StatusCode::UNAUTHORIZED };
        return (status, "Authorization is not the key of this edge server").into_response();
    }
    upgrade.max_message_size(MAX_READ_BYTES).max_frame_size(MAX_READ_BYTES).on_upgrade(async move |socket| {
        // More than wait are closed at once.
        if door.sockets.try_send(socket).is_err() {
            tracing::debug!("a socket too many");
        }
    })
}

/// Edges ask which devices they serve: none.
async fn devices() -> Response {
    axum::Json(json!({"items": [], "next_cursor": null})).into_response()
}

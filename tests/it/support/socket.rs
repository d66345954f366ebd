//! A WebSocket as an edge or an admin's page holds it, and edges that are registered for it.

use std::net::SocketAddr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use uuid::Uuid;

use super::{Account, TestServer};

/// Longest wait for a message.
const DEADLINE: std::time::Duration = std::time::Duration::from_secs(20);

/// A socket that is open.
pub(crate) struct Socket {
    pub(crate) stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

/// An edge server that is registered, with its key.
#[derive(Clone, Debug)]
pub(crate) struct RegisteredEdge {
    pub(crate) id: Uuid,
    pub(crate) key: String,
}

/// The body that registers an edge server.
pub(crate) fn edge_body(name: &str, lat: f64, lng: f64) -> Value {
    json!({"name": name, "region": "test", "api_url": "https://edge.example.org", "websocket_url": "wss://edge.example.org/ws", "lat": lat, "lng": lng})
}

impl RegisteredEdge {
    /// Registers an edge server by the API.
    pub(crate) async fn create(server: &TestServer, admin: &Account, body: Value) -> Self {
        let answer = admin.send(server, reqwest::Method::POST, "/api/v1/edge-servers", body).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        let edge = answer.json();
        let text = |name: &str| edge[name].as_str().expect("a text").to_owned();
        Self { id: text("id").parse().expect("a UUID"), key: text("edge_key") }
    }

    /// Registers many by SQL, each with a key and a small area at one place.
    pub(crate) async fn many(server: &TestServer, count: usize) -> Vec<Self> {
        let mut edges = Vec::new();
        for _ in 0..count {
            let id = server.edge("many").at(1.0, 2.0).radius_km(0.1).insert().await;
            let secret = id.simple().to_string().into_bytes();
            let insert = sqlx::query("INSERT INTO ar.edge_keys (id, edge_server_id, key_hash) VALUES ($1, $1, sha256($2))");
            insert.bind(id).bind(&secret).execute(&server.sql).await.expect("the key goes in");
            edges.push(Self { id, key: format!("ek_{id}_{}", URL_SAFE_NO_PAD.encode(secret)) });
        }
        edges
    }

    /// Opens its socket.
    pub(crate) async fn open(&self, server: &TestServer) -> Socket {
        let path = format!("/ws/edge/{}", self.id);
        Socket::open(server, &path, &[("authorization", &format!("Bearer {}", self.key))]).await.expect("the socket opens")
    }

    /// Opens its socket and says hello; the welcome.
    pub(crate) async fn connect(&self, server: &TestServer) -> (Socket, Value) {
        let mut socket = self.open(server).await;
        socket.send("hello", hello()).await;
        let welcome = socket.data("welcome").await;
        (socket, welcome)
    }
}

/// What an edge that holds nothing says first.
pub(crate) fn hello() -> Value {
    json!({"protocol": 1, "agent": "test/1", "epoch": null, "held": {"count": 0, "digest": "0000000000000000"}})
}

/// A beat.
pub(crate) fn health_update(cpu_usage: f64) -> Value {
    json!({"cpu_usage": cpu_usage, "memory_usage": 10.0, "active_connections": 0, "timestamp": "2026-11-25T12:00:00Z"})
}

impl Socket {
    /// Opens a socket, or says with which status it was refused.
    pub(crate) async fn open(server: &TestServer, path: &str, headers: &[(&'static str, &str)]) -> Result<Self, u16> {
        Self::to(server.address, path, headers).await.map_err(|error| match error {
            Error::Http(response) => response.status().as_u16(),
            error => panic!("{path}: {error:?}"),
        })
    }

    /// Opens a socket wherever somebody may listen.
    pub(crate) async fn to(address: SocketAddr, path: &str, headers: &[(&'static str, &str)]) -> Result<Self, Error> {
        let mut request = format!("ws://{address}{path}").into_client_request().expect("a request");
        for (name, value) in headers {
            request.headers_mut().insert(*name, HeaderValue::from_str(value).expect("a header"));
        }
        tokio_tungstenite::connect_async(request).await.map(|(stream, _)| Self { stream })
    }

    /// Sends a message, if the socket is open still.
    pub(crate) async fn try_send(&mut self, message: &Value) -> bool {
        self.stream.send(Message::text(message.to_string())).await.is_ok()
    }

    /// The next message, however long it takes; none: the socket is at its end.
    pub(crate) async fn try_next(&mut self) -> Option<Value> {
        loop {
            match self.stream.next().await {
                Some(Ok(Message::Text(text))) => return Some(serde_json::from_str(&text).expect("JSON")),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(_)) => {}
            }
        }
    }

    /// Sends a message of the protocol.
    pub(crate) async fn send(&mut self, kind: &str, data: Value) {
        self.send_raw(Message::text(json!({"type": kind, "data": data}).to_string())).await;
    }

    /// Sends anything.
    pub(crate) async fn send_raw(&mut self, message: Message) {
        self.stream.send(message).await.expect("sends");
    }

    /// The next message, or how the socket was closed.
    pub(crate) async fn next(&mut self) -> Result<Value, (u16, String)> {
        loop {
            let message = tokio::time::timeout(DEADLINE, self.stream.next()).await.expect("something comes");
            match message {
                Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).expect("JSON")),
                Some(Ok(Message::Close(Some(frame)))) => return Err((frame.code.into(), frame.reason.as_str().to_owned())),
                Some(Ok(Message::Close(None))) => return Err((1005, String::new())),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err((1006, String::new())),
            }
        }
    }

    /// The data of the next message of a type; others are passed over.
    pub(crate) async fn data(&mut self, kind: &str) -> Value {
        loop {
            let message = self.next().await.unwrap_or_else(|closed| panic!("closed with {closed:?} before {kind}"));
            if message["type"] == kind {
                return message["data"].clone();
            }
        }
    }

    /// How the socket is closed, whatever comes before.
    pub(crate) async fn closed(&mut self) -> (u16, String) {
        loop {
            if let Err(closed) = self.next().await {
                return closed;
            }
        }
    }
}

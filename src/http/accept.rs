//! The accept loop. Our own, because `axum::serve` sets no header timeout and no limit on connections:
//! slow clients could hold all of it.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_http::add_extension::AddExtension;

use super::client::Peer;
use super::door::{Door, Welcome};
use super::place::Standing;
use super::tls::Tls;
use crate::lifecycle::Lifecycle;
use crate::state::AppState;
use crate::telemetry::meters;

/// What a connection may cost.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// Connections at once; one more is told 503 and closed.
    pub max_connections: usize,
    /// Time for the headers of a request, and for the next request on an open connection.
    pub header_timeout: Duration,
    /// Time a client may take nothing of an answer that waits for it.
    pub write_timeout: Duration,
    /// Time that running requests get when the service stops.
    pub drain: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            max_connections: 8192,
            header_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(10),
            drain: Duration::from_secs(20),
        }
    }
}

/// Bytes that hyper buffers of a request's head. Twice what the layers allow, so that what is too large is
/// still read and answered with a problem document.
const HEAD_BUFFER_BYTES: usize = 64 * 1024;

/// First byte of a TLS connection; no method of HTTP begins with it.
const TLS_HANDSHAKE: u8 = 0x16;

/// Answer to a connection too many.
const TOO_MANY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 2\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// How one comes in by a port.
#[derive(Clone)]
pub enum Entrance {
    /// Plain HTTP; with a door, some are refused there.
    Plain(Option<Door>),
    /// HTTPS.
    Tls(Tls),
}

impl Entrance {
    /// That of a service: with a certificate HTTPS, else plain HTTP with a door.
    #[must_use]
    pub fn of(state: &AppState, tls: Option<Tls>) -> Self {
        tls.map_or_else(|| Self::Plain(Some(Door::of(state))), Self::Tls)
    }

    fn welcome(&self, stream: &TcpStream) -> Welcome {
        match self {
            Self::Plain(Some(door)) => door.welcome(stream),
            Self::Plain(None) | Self::Tls(_) => Welcome::LetIn(Standing::default()),
        }
    }
}

/// Serves until the lifecycle stops, then lets running requests end, within the limits' `drain`.
pub async fn serve(listener: TcpListener, router: Router, limits: ConnectionLimits, entrance: Entrance, lifecycle: &Lifecycle) {
    let places = Arc::new(Semaphore::new(limits.max_connections));
    let connections = TaskTracker::new();
    let stopping = lifecycle.stopping();
    let port = Port { router, limits, entrance, stopping: stopping.clone() };
    loop {
        let accepted = tokio::select! {
            () = stopping.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok((stream, peer)) => (stream, peer.ip()),
            Err(error) => {
                // Out of descriptors, mostly: what is open goes on, and some of it will close.
                meters().http.accept_failures.increment(1);
                tracing::warn!(%error, "accepting a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let standing = match port.entrance.welcome(&stream) {
            Welcome::LetIn(standing) => Some(standing),
            Welcome::Silent => None,
            Welcome::Refused => continue,
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            meters().http.connections_refused.increment(1);
            tracing::warn!(limit = limits.max_connections, "connection refused: too many");
            // Best effort: a client that does not take it at once gets nothing.
            if let Err(error) = stream.try_write(TOO_MANY) {
                tracing::debug!(%error, "telling a connection too many");
            }
            continue;
        };
        let port = port.clone();
        let open = OpenConnection::counted();
        connections.spawn(async move {
            port.connection(stream, peer, standing).await;
            drop((place, open));
        });
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(limits.drain, connections.wait()).await.is_err() {
        tracing::warn!(open = connections.len(), "connections cut off at the end of the drain");
    }
    lifecycle.mark_drained();
}

/// A connection, counted as long as it is open, however it ends.
struct OpenConnection;

impl OpenConnection {
    fn counted() -> Self {
        meters().http.connections.increment(1.0);
        Self
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        meters().http.connections.decrement(1.0);
    }
}

/// A connection over which HTTP can be spoken.
enum Opened {
    Plain(Pin<Box<TimeoutStream<TcpStream>>>, Standing),
    Tls(Box<TlsStream<Pin<Box<TimeoutStream<TcpStream>>>>>),
    /// Refused at the door.
    Refused,
}

/// What all connections of a port have in common.
#[derive(Clone)]
struct Port {
    router: Router,
    limits: ConnectionLimits,
    entrance: Entrance,
    stopping: CancellationToken,
}

impl Port {
    async fn connection(self, stream: TcpStream, address: IpAddr, standing: Option<Standing>) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "setting TCP_NODELAY");
        }
        let opening = tokio::time::timeout(self.limits.header_timeout, self.open(stream, standing));
        let opened = tokio::select! {
            opened = opening => opened,
            () = self.stopping.cancelled() => return,
        };
        match opened {
            Ok(Ok(Opened::Plain(stream, standing))) => self.speak(stream, Peer { address, tls: false }, standing).await,
            Ok(Ok(Opened::Tls(stream))) => self.speak(stream, Peer { address, tls: true }, Standing::default()).await,
            Ok(Ok(Opened::Refused)) => {}
            Ok(Err(error)) => tracing::debug!(%error, "opening a connection"),
            Err(_elapsed) => tracing::debug!("a connection said nothing in time"),
        }
    }

    async fn open(&self, stream: TcpStream, mut standing: Option<Standing>) -> std::io::Result<Opened> {
        let mut tls = None;
        match &self.entrance {
            Entrance::Plain(Some(door)) if standing.is_none() => {
                stream.readable().await?;
                match door.welcome(&stream) {
                    Welcome::LetIn(with) => standing = Some(with),
                    Welcome::Silent => {}
                    Welcome::Refused => return Ok(Opened::Refused),
                }
            }
            Entrance::Plain(_) => {}
            Entrance::Tls(speaking) => {
                // Plain HTTP on a port for TLS is let in to be redirected: a client that types http:// is told what to do.
                let mut first = [0];
                tls = (stream.peek(&mut first).await? == 1 && first == [TLS_HANDSHAKE]).then_some(speaking);
            }
        }
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(self.limits.write_timeout));
        let stream = Box::pin(stream);
        match tls {
            Some(tls) => Ok(Opened::Tls(Box::new(tls.accept(stream).await?))),
            None => Ok(Opened::Plain(stream, standing.unwrap_or_default())),
        }
    }

    async fn speak(self, stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, peer: Peer, standing: Standing) {
        // Of each request over it.
        let service = AddExtension::new(AddExtension::new(self.router, peer), standing);
        let serving = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.header_timeout)
            .max_buf_size(HEAD_BUFFER_BYTES)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
            .with_upgrades();
        tokio::pin!(serving);
        let ended = tokio::select! {
            ended = serving.as_mut() => ended,
            () = self.stopping.cancelled() => {
                serving.as_mut().graceful_shutdown();
                serving.await
            }
        };
        if let Err(error) = ended {
            // A client's doing, nearly always: it left, or was too slow.
            tracing::debug!(%error, "connection ended");
        }
    }
}

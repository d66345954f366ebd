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
use super::place::FoundNone;
use super::tls::Tls;
use crate::lifecycle::Lifecycle;
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

/// Serves until the lifecycle stops, then lets running requests end, within the limits' `drain`.
pub async fn serve(listener: TcpListener, router: Router, limits: ConnectionLimits, tls: Option<Tls>, lifecycle: &Lifecycle) {
    let places = Arc::new(Semaphore::new(limits.max_connections));
    let connections = TaskTracker::new();
    let stopping = lifecycle.stopping();
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
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            meters().http.connections_refused.increment(1);
            tracing::warn!(limit = limits.max_connections, "connection refused: too many");
            // Best effort: a client that does not take it at once gets nothing.
            if let Err(error) = stream.try_write(TOO_MANY) {
                tracing::debug!(%error, "telling a connection too many");
            }
            continue;
        };
        let (router, tls, stopping) = (router.clone(), tls.clone(), stopping.clone());
        let open = OpenConnection::counted();
        connections.spawn(async move {
            connection(stream, peer, router, limits, tls, stopping).await;
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

async fn connection(
    stream: TcpStream,
    address: IpAddr,
    router: Router,
    limits: ConnectionLimits,
    tls: Option<Tls>,
    stopping: CancellationToken,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "setting TCP_NODELAY");
    }
    let opening = tokio::time::timeout(limits.header_timeout, open(stream, limits, tls));
    let opened = tokio::select! {
        opened = opening => opened,
        () = stopping.cancelled() => return,
    };
    match opened {
        Ok(Ok(Opened::Plain(stream))) => speak(stream, Peer { address, tls: false }, router, limits, stopping).await,
        Ok(Ok(Opened::Tls(stream))) => speak(stream, Peer { address, tls: true }, router, limits, stopping).await,
        Ok(Err(error)) => tracing::debug!(%error, "opening a connection"),
        Err(_elapsed) => tracing::debug!("a connection said nothing in time"),
    }
}

/// A connection over which HTTP can be spoken.
enum Opened {
    Plain(Pin<Box<TimeoutStream<TcpStream>>>),
    Tls(Box<TlsStream<Pin<Box<TimeoutStream<TcpStream>>>>>),
}

async fn open(stream: TcpStream, limits: ConnectionLimits, tls: Option<Tls>) -> std::io::Result<Opened> {
    // Plain HTTP on a port for TLS is let in to be redirected: a client that types http:// is told what to do.
    let mut first = [0];
    let speaks_tls = tls.is_some() && stream.peek(&mut first).await? == 1 && first == [TLS_HANDSHAKE];
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(limits.write_timeout));
    let stream = Box::pin(stream);
    match tls.filter(|_| speaks_tls) {
        Some(tls) => Ok(Opened::Tls(Box::new(tls.accept(stream).await?))),
        None => Ok(Opened::Plain(stream)),
    }
}

async fn speak(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    peer: Peer,
    router: Router,
    limits: ConnectionLimits,
    stopping: CancellationToken,
) {
    // Of each request over it.
    let service = AddExtension::new(AddExtension::new(router, peer), FoundNone::default());
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(HEAD_BUFFER_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
        .with_upgrades();
    tokio::pin!(serving);
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = stopping.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        // A client's doing, nearly always: it left, or was too slow.
        tracing::debug!(%error, "connection ended");
    }
}

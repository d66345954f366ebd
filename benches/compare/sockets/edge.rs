//! Edge servers from outside: registered by SQL with keys that we know, each with its socket.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::{SinkExt, StreamExt};
use sqlx::{Connection, PgConnection};
use tokio::net::TcpSocket;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderValue, header};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};
use uuid::Uuid;

use crate::support::random::SQUARE;
use crate::support::{Outcome, fleet};

/// Longest wait for a socket to be there.
const PATIENCE: Duration = Duration::from_secs(20);
/// Bytes of a socket's buffer here: thousands of them are held in one process.
pub(crate) const BUFFER_BYTES: usize = 4 * 1024;

const HELLO: &str =
    r#"{"type":"hello","data":{"protocol":1,"agent":"bench/1","epoch":null,"held":{"count":0,"digest":"0000000000000000"}}}"#;
const BEAT: &str = r#"{"type":"health_update","data":{"cpu_usage":12.5,"memory_usage":40,"active_connections":0,"timestamp":""}}"#;

/// A registered edge server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Edge {
    pub(crate) id: Uuid,
}

/// Puts in so many edge servers, each with a key whose identity is its own.
pub(super) async fn register(connection: &mut PgConnection, count: u64) -> Outcome<Vec<Edge>> {
    let mut transaction = connection.begin().await?;
    let edges = fleet::add_edges(&mut transaction, &SQUARE, count).await?;
    give_keys(&mut transaction).await?;
    transaction.commit().await?;
    sqlx::raw_sql("VACUUM ANALYZE").execute(connection).await?;
    Ok(edges.into_iter().map(|(id, _)| Edge { id }).collect())
}

/// Gives a key to each edge server that has none.
pub(crate) async fn give_keys(connection: &mut PgConnection) -> Outcome<()> {
    sqlx::raw_sql(
        "INSERT INTO ar.edge_keys (id, edge_server_id, key_hash)
         SELECT id, id, sha256(uuid_send(id) || uuid_send(id)) FROM ar.edge_servers ON CONFLICT DO NOTHING",
    )
    .execute(connection)
    .await?;
    Ok(())
}

impl Edge {
    fn key(self) -> String {
        format!("ek_{}_{}", self.id, URL_SAFE_NO_PAD.encode([*self.id.as_bytes(); 2].concat()))
    }

    /// Opens its socket, says hello and waits for the welcome. `receive_bytes` makes the kernel's buffer small.
    pub(crate) async fn connect(self, service: &str, receive_bytes: Option<u32>) -> Outcome<Socket> {
        self.connect_with(service, receive_bytes, BUFFER_BYTES).await
    }

    /// The same with a buffer of so many bytes here.
    pub(crate) async fn connect_with(self, service: &str, receive_bytes: Option<u32>, buffer_bytes: usize) -> Outcome<Socket> {
        tokio::time::timeout(PATIENCE, self.try_connect(service, receive_bytes, buffer_bytes))
            .await
            .map_err(|_elapsed| "a socket is not there in time")?
    }

    async fn try_connect(self, service: &str, receive_bytes: Option<u32>, buffer_bytes: usize) -> Outcome<Socket> {
        let mut socket = Socket::open(service, &format!("/ws/edge/{}", self.id), &self.key(), receive_bytes, buffer_bytes).await?;
        socket.say(HELLO).await?;
        match socket.next().await {
            Ok(text) if text.contains(r#""welcome""#) => Ok(socket),
            other => Err(format!("no welcome but {other:?}").into()),
        }
    }

    /// The same, again and again until it is there; how often it was not.
    pub(super) async fn connect_again(self, service: &str, until: Instant) -> Outcome<(Socket, u32)> {
        let mut refused = 0;
        loop {
            match self.connect(service, None).await {
                Ok(socket) => return Ok((socket, refused)),
                Err(error) if Instant::now() > until => return Err(error),
                Err(_) => refused += 1,
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

/// An edge server's open socket.
pub(crate) struct Socket {
    stream: WebSocketStream<tokio::net::TcpStream>,
}

/// How a socket ended: code and reason.
pub(crate) type Closed = (u16, String);

impl Socket {
    /// Opens a socket, with a key or a token.
    pub(crate) async fn open(service: &str, path: &str, bearer: &str, receive_bytes: Option<u32>, buffer_bytes: usize) -> Outcome<Self> {
        let address = service.trim_start_matches("http://");
        let tcp = TcpSocket::new_v4()?;
        if let Some(bytes) = receive_bytes {
            tcp.set_recv_buffer_size(bytes)?;
        }
        let stream = tcp.connect(address.parse()?).await?;
        let mut request = format!("ws://{address}{path}").into_client_request()?;
        request.headers_mut().insert(header::AUTHORIZATION, HeaderValue::try_from(format!("Bearer {bearer}"))?);
        let config = WebSocketConfig::default().read_buffer_size(buffer_bytes).write_buffer_size(0);
        let (stream, _response) = tokio_tungstenite::client_async_with_config(request, stream, Some(config)).await?;
        Ok(Self { stream })
    }

    /// Sends a text.
    pub(crate) async fn say(&mut self, text: impl Into<tungstenite::Utf8Bytes>) -> Outcome<()> {
        Ok(self.stream.send(Message::text(text)).await?)
    }

    /// The next text; pings are answered meanwhile.
    pub(crate) async fn next(&mut self) -> Result<tungstenite::Utf8Bytes, Closed> {
        loop {
            match self.stream.next().await {
                Some(Ok(Message::Text(text))) => return Ok(text),
                Some(Ok(Message::Close(Some(frame)))) => {
                    // The answer to the close goes out with the next read.
                    while let Some(Ok(_)) = self.stream.next().await {}
                    return Err((frame.code.into(), frame.reason.as_str().to_owned()));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err((1006, String::new())),
            }
        }
    }

    /// Beats once.
    pub(crate) async fn beat(&mut self) -> Outcome<()> {
        self.say(BEAT).await
    }

    /// Reads on; how it ended.
    pub(super) async fn closed(&mut self) -> Closed {
        loop {
            if let Err(closed) = self.next().await {
                return closed;
            }
        }
    }
}

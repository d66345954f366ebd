//! The life of one simulated edge server: it connects, comes back when its socket ends, and now and then fails
//! on purpose. What is said over an open socket is in `session`.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderValue};
use secrecy::ExposeSecret;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::Error as SocketError;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};
use uuid::Uuid;

use super::World;
use super::api::retry_after;
use super::content::Content;
use super::content_file::ContentFile;
use super::fleet::EdgeServer;
use super::protocol::{Closing, MAX_MESSAGE_BYTES};
use super::random::Random;
use super::tally::Count;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// An edge that cannot come back for this long is told.
const OUTAGE: Duration = Duration::from_mins(1);
/// Pauses between attempts, before chance is added.
const FIRST_BACKOFF: Duration = Duration::from_millis(500);
const LONGEST_BACKOFF: Duration = Duration::from_secs(10);
/// A session of this length was a good one: the next pause is short again.
const GOOD_SESSION: Duration = Duration::from_secs(10);
/// Time that a drained edge is away.
const MAINTENANCE: Duration = Duration::from_secs(30);
/// Bytes of a socket's buffer: thousands of edges in one process should fit.
const BUFFER_BYTES: usize = 8 * 1024;

pub(super) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// How a session ended.
pub(super) enum End {
    /// With the simulation.
    Over,
    /// The edge closed it, to come back.
    Restart,
    /// The edge stopped reading and writing, and leaves the socket open this long.
    Silence(Duration),
    /// It was drained.
    Drained,
    /// The supervisor closed it.
    Closed(Closing),
    /// It broke.
    Lost(String),
    /// The supervisor broke the protocol.
    Faulty(String),
}

/// The content of an edge, and the file in which it is kept, if it is.
#[derive(Default)]
pub(super) struct Kept {
    pub(super) content: Arc<Mutex<Content>>,
    pub(super) file: Option<ContentFile>,
}

/// One simulated edge server.
pub(super) struct Edge {
    pub(super) world: Arc<World>,
    pub(super) id: Uuid,
    pub(super) name: String,
    pub(super) bearer: HeaderValue,
    pub(super) random: Random,
    /// Devices that it was told to serve.
    pub(super) devices: HashSet<String>,
    pub(super) cpu_pct: f64,
    pub(super) memory_pct: f64,
    /// Until when it reads slowly.
    pub(super) slow_until: Option<Instant>,
    /// Whether it was slow since it connected: it may be closed for that.
    pub(super) was_slow: bool,
    pub(super) content: Arc<Mutex<Content>>,
    /// Where the content is kept, if on a disk.
    pub(super) file: Option<ContentFile>,
    /// An earlier content.
    pub(super) old_copy: Content,
    /// Until when it has no room for more content.
    pub(super) full_until: Option<Instant>,
}

impl Edge {
    /// An edge with what it kept.
    pub(super) fn new(world: Arc<World>, server: &EdgeServer, mut random: Random, kept: Kept) -> Self {
        let mut bearer = HeaderValue::try_from(format!("Bearer {}", server.key.expose_secret())).expect("keys are ASCII");
        bearer.set_sensitive(true);
        Self {
            world,
            id: server.id,
            name: server.name.clone(),
            bearer,
            devices: HashSet::new(),
            cpu_pct: random.between(10.0, 50.0),
            memory_pct: random.between(20.0, 60.0),
            random,
            slow_until: None,
            was_slow: false,
            content: kept.content,
            file: kept.file,
            old_copy: Content::default(),
            full_until: None,
        }
    }

    /// What it holds of the decorations.
    pub(super) fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lives until the simulation ends, or the edge is not known to the supervisor any more.
    pub(super) async fn live(mut self) {
        let mut backoff = FIRST_BACKOFF;
        while let Some(mut socket) = self.connect(&mut backoff).await {
            let began = Instant::now();
            (self.slow_until, self.was_slow) = (None, false);
            let end = self.session(&mut socket).await;
            if began.elapsed() >= GOOD_SESSION {
                backoff = FIRST_BACKOFF;
            }
            // Pauses of its own choice end when all are to be there once more.
            let (pause, chosen) = match end {
                End::Over => return,
                End::Restart => {
                    self.world.tally.add(Count::Reconnects, 1);
                    (self.random.time_between(Duration::ZERO, Duration::from_secs(3)), true)
                }
                End::Silence(time) => {
                    self.world.tally.add(Count::SilentDeaths, 1);
                    (time, true)
                }
                End::Drained => {
                    self.world.tally.add(Count::Drained, 1);
                    (MAINTENANCE, true)
                }
                // Coming back would not help, or harm.
                End::Closed(closing) if closing.is_for_good() => {
                    self.closed(closing);
                    return;
                }
                End::Closed(closing) => (self.closed(closing).unwrap_or_else(|| self.next_backoff(&mut backoff)), false),
                End::Lost(reason) => {
                    tracing::debug!("edge {}: {reason}", self.name);
                    self.world.tally.add(Count::SocketsLost, 1);
                    (self.next_backoff(&mut backoff), false)
                }
                End::Faulty(what) => {
                    self.world.tally.unexpected("socket of an edge: protocol".to_owned(), format_args!("{}: {what}", self.name));
                    (self.next_backoff(&mut backoff), false)
                }
            };
            // Until here the socket of a silent edge stays open.
            if chosen {
                self.world.sleep(pause).await;
            } else if !self.pause(pause).await {
                return;
            }
            drop(socket);
        }
    }

    /// Waits; false when all leave before.
    async fn pause(&self, time: Duration) -> bool {
        tokio::select! {
            biased;
            () = self.world.leaving.cancelled() => false,
            () = tokio::time::sleep(time) => true,
        }
    }

    /// Connects, however long that takes; `None` when there is nothing to connect to any more.
    async fn connect(&mut self, backoff: &mut Duration) -> Option<Socket> {
        let began = Instant::now();
        let mut told = false;
        loop {
            let attempt = tokio::select! {
                () = self.world.leaving.cancelled() => return None,
                attempt = tokio::time::timeout(CONNECT_TIMEOUT, self.open()) => attempt,
            };
            let (pause, problem) = match attempt {
                Ok(Ok(socket)) => return Some(socket),
                Ok(Err(SocketError::Http(response))) => match response.status().as_u16() {
                    status @ (429 | 503) => {
                        let count = if status == 429 { Count::Limited } else { Count::Unavailable };
                        self.world.tally.add(count, 1);
                        (retry_after(response.headers()).mul_f64(self.random.between(1.0, 1.5)), format!("status {status}"))
                    }
                    status => {
                        let body = String::from_utf8_lossy(response.body().as_deref().unwrap_or_default()).into_owned();
                        self.world.tally.unexpected(format!("socket of an edge: status {status}"), format_args!("{}: {body}", self.name));
                        if matches!(status, 401 | 403 | 404) {
                            return None;
                        }
                        (self.next_backoff(backoff), format!("status {status}"))
                    }
                },
                Ok(Err(error)) => (self.next_backoff(backoff), error.to_string()),
                Err(_) => (self.next_backoff(backoff), format!("no answer in {} s", CONNECT_TIMEOUT.as_secs())),
            };
            if began.elapsed() >= OUTAGE && !told {
                let kind = format!("socket of an edge: not back within {} s", OUTAGE.as_secs());
                self.world.tally.unexpected(kind, format_args!("{}: {problem}", self.name));
                told = true;
            }
            if !self.pause(pause).await {
                return None;
            }
        }
    }

    async fn open(&self) -> Result<Socket, SocketError> {
        let mut request = self.world.api.socket_url(&format!("/ws/edge/{}", self.id)).into_client_request()?;
        request.headers_mut().insert(AUTHORIZATION, self.bearer.clone());
        let limits = WebSocketConfig::default()
            .read_buffer_size(BUFFER_BYTES)
            .write_buffer_size(0)
            .max_message_size(Some(MAX_MESSAGE_BYTES))
            .max_frame_size(Some(MAX_MESSAGE_BYTES));
        connect_async_with_config(request, Some(limits), true).await.map(|(socket, _)| socket)
    }

    /// What a close by the supervisor means; the pause it asked for, if it did.
    fn closed(&self, closing: Closing) -> Option<Duration> {
        let tally = &self.world.tally;
        match closing {
            Closing::SentAway { retry_after_ms } => {
                tally.add(Count::SentAway, 1);
                return retry_after_ms.map(Duration::from_millis);
            }
            Closing::Busy => tally.add(Count::Unavailable, 1),
            Closing::TooSlow if self.was_slow => tally.add(Count::SocketsLost, 1),
            Closing::TooSlow => tally.unexpected("socket of an edge: closed 1013".to_owned(), format_args!("{} was not slow", self.name)),
            Closing::Ordinary => tally.add(Count::SocketsLost, 1),
            Closing::Refused { code, reason } => {
                tally.unexpected(format!("socket of an edge: closed {code}"), format_args!("{}: {reason}", self.name));
            }
        }
        None
    }

    fn next_backoff(&mut self, backoff: &mut Duration) -> Duration {
        let pause = backoff.mul_f64(self.random.between(0.5, 1.5));
        *backoff = (*backoff * 2).min(LONGEST_BACKOFF);
        pause
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::Mutex;

    use axum::Router;
    use axum::extract::ws::{self, WebSocket};
    use axum::extract::{Path, State, WebSocketUpgrade};
    use axum::http::HeaderMap;
    use axum::response::Response;
    use axum::routing::get;
    use dashmap::DashMap;
    use secrecy::SecretString;
    use serde_json::{Value, json};
    use tokio::net::TcpListener;
    use tokio::sync::{mpsc, watch};
    use tokio::task::JoinSet;
    use tokio_util::sync::CancellationToken;

    use super::super::api::Api;
    use super::super::check::EdgeCheck;
    use super::super::tally::{Snapshot, Tally};
    use super::super::{Settings, wall_clock};
    use super::*;

    const KEY: &str = "ek_test";
    const PATIENCE: Duration = Duration::from_secs(10);

    /// A supervisor that does what a test says, over real sockets.
    struct Supervisor {
        world: Arc<World>,
        sockets: mpsc::Receiver<WebSocket>,
        tasks: JoinSet<()>,
    }

    impl Supervisor {
        /// With an edge that wants to connect.
        async fn start() -> Self {
            let (accepted, sockets) = mpsc::channel(8);
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            let address = listener.local_addr().expect("an address");
            let devices = || async { axum::Json(json!({"items": [{"device_id": "was-here"}], "next_cursor": null})) };
            let router =
                Router::new().route("/ws/edge/{id}", get(accept)).route("/api/v1/devices/edge/{id}", get(devices)).with_state(accepted);
            let mut tasks = JoinSet::new();
            tasks.spawn(async move { axum::serve(listener, router).await.expect("serves") });
            let world = Arc::new(world(address));
            let server = EdgeServer { id: Uuid::nil(), name: "sim-7-1".to_owned(), key: SecretString::from(KEY) };
            tasks.spawn(Edge::new(Arc::clone(&world), &server, Random::new(7, 1), Kept::default()).live());
            Self { world, sockets, tasks }
        }

        /// The edge's next socket.
        async fn socket(&mut self) -> WebSocket {
            tokio::time::timeout(PATIENCE, self.sockets.recv()).await.expect("connects in time").expect("connects")
        }

        /// Its next socket, greeted.
        async fn greeted(&mut self) -> WebSocket {
            let mut socket = self.socket().await;
            assert_eq!(heard(&mut socket).await["type"], "hello");
            let welcome =
                json!({"session_id": "s", "epoch": "e", "server_time": "2026-01-01T00:00:00Z", "heartbeat_seconds": 0.05, "mode": "delta"});
            say(&mut socket, "welcome", welcome).await;
            socket
        }

        /// Ends it all; what was counted.
        async fn end(mut self) -> Snapshot {
            self.world.ending.cancel();
            self.world.leaving.cancel();
            self.tasks.join_next().await.expect("the edge ends").expect("without a panic");
            self.world.tally.snapshot()
        }
    }

    async fn accept(
        State(accepted): State<mpsc::Sender<WebSocket>>,
        Path(id): Path<Uuid>,
        headers: HeaderMap,
        upgrade: WebSocketUpgrade,
    ) -> Response {
        assert_eq!((id, headers["authorization"].as_bytes()), (Uuid::nil(), b"Bearer ek_test".as_slice()));
        upgrade.on_upgrade(async move |socket| accepted.send(socket).await.expect("the test listens"))
    }

    fn world(address: SocketAddr) -> World {
        let settings = Settings {
            url: format!("http://{address}"),
            email: String::new(),
            password: SecretString::default(),
            edges: 1,
            devices: 1,
            duration: None,
            every: Duration::from_secs(5),
            adopt: false,
            churn_pct_per_minute: 0.0,
            seed: 7,
            keep: false,
            content_dir: None,
        };
        World {
            api: Arc::new(Api::new(&settings.url).expect("an address")),
            settings: Arc::new(settings),
            tally: Arc::new(Tally::new()),
            ending: CancellationToken::new(),
            leaving: CancellationToken::new(),
            prefix: "sim-7".to_owned(),
            sites: Vec::new(),
            board: DashMap::new(),
            owners: watch::channel(Vec::new()).1,
            devices: Mutex::new(Vec::new()),
        }
    }

    async fn say(socket: &mut WebSocket, kind: &str, data: Value) {
        socket.send(ws::Message::text(json!({"type": kind, "data": data}).to_string())).await.expect("is sent");
    }

    /// The edge's next message; with nothing in it at a close.
    async fn heard(socket: &mut WebSocket) -> Value {
        let next = tokio::time::timeout(PATIENCE, socket.recv()).await.expect("says something in time");
        match next.expect("goes on").expect("is whole") {
            ws::Message::Text(text) => serde_json::from_str(&text).expect("JSON"),
            ws::Message::Close(frame) => json!({"closed": frame.expect("a reason").code}),
            other => panic!("{other:?}"),
        }
    }

    /// The edge's next message of a kind.
    async fn heard_of(socket: &mut WebSocket, kind: &str) -> Value {
        loop {
            let message = heard(socket).await;
            if message["type"] == kind {
                return message["data"].clone();
            }
        }
    }

    #[tokio::test]
    async fn an_edge_greets_beats_and_serves_who_it_is_told_to() {
        let mut supervisor = Supervisor::start().await;
        let mut socket = supervisor.greeted().await;
        assert_eq!(heard(&mut socket).await["data"]["active_connections"], 1, "who was there before, at once");
        supervisor.world.board.insert(
            "sim-7-1".to_owned(),
            super::super::Fix { place: crate::geo::LatLng::new(1.0, 2.0).expect("on Earth"), answered: Some(wall_clock()) },
        );
        say(&mut socket, "device_assigned", json!({"device_id": "sim-7-1"})).await;
        assert_eq!(heard_of(&mut socket, "device_connected").await, json!({"device_id": "sim-7-1", "lat": 1.0, "lng": 2.0}));
        say(&mut socket, "something_new", json!({"batch_id": 1})).await;
        assert_eq!(heard_of(&mut socket, "health_update").await["active_connections"], 2);
        // The phone is switched off.
        supervisor.world.board.remove("sim-7-1");
        assert_eq!(heard_of(&mut socket, "device_disconnected").await, json!({"device_id": "sim-7-1"}));
        supervisor.world.leaving.cancel();
        while heard(&mut socket).await != json!({"closed": 1001}) {}
        drop(socket);
        let snapshot = supervisor.end().await;
        assert!(snapshot.unexpected().is_empty(), "{:?}", snapshot.unexpected());
        assert_eq!([Count::Assigned, Count::OtherMessages, Count::Connections].map(|count| snapshot.count(count)), [1, 1, 1]);
    }

    #[tokio::test]
    async fn an_edge_that_is_sent_away_comes_back_and_a_drained_one_goes() {
        let mut supervisor = Supervisor::start().await;
        let mut socket = supervisor.greeted().await;
        let frame = ws::CloseFrame { code: 1012, reason: r#"{"retry_after_ms": 300}"#.into() };
        let closed = Instant::now();
        socket.send(ws::Message::Close(Some(frame))).await.expect("is sent");
        drop(socket);
        let mut socket = supervisor.greeted().await;
        assert!(closed.elapsed() >= Duration::from_millis(300), "{:?}", closed.elapsed());
        say(&mut socket, "drain", json!({"deadline": wall_clock() + chrono::TimeDelta::minutes(5)})).await;
        say(&mut socket, "device_released", json!({"device_id": "was-here"})).await;
        while heard(&mut socket).await != json!({"closed": 1000}) {}
        drop(socket);
        let snapshot = supervisor.end().await;
        assert!(snapshot.unexpected().is_empty(), "{:?}", snapshot.unexpected());
        assert_eq!([Count::SentAway, Count::Drained, Count::Connections].map(|count| snapshot.count(count)), [1, 1, 2]);
    }

    #[tokio::test]
    async fn an_edge_passes_the_check_of_edges() {
        let check = EdgeCheck::listen(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("listens");
        let url = url::Url::parse(&check.url()).expect("a URL");
        let id = url.path_segments().and_then(|mut segments| segments.next_back()?.parse().ok()).expect("the edge's id");
        let address = url.socket_addrs(|| None).expect("an address")[0];
        let server = EdgeServer { id, name: "sim-7-1".to_owned(), key: SecretString::from(check.key()) };
        let folder = tempfile::tempdir().expect("a folder");
        let (content, file) = ContentFile::open(folder.path(), id).await.expect("opens");
        let kept = Kept { content: Arc::new(Mutex::new(content)), file: Some(file) };
        let held = Arc::clone(&kept.content);
        let edge = Edge::new(Arc::new(world(address)), &server, Random::new(7, 1), kept);
        let stop = CancellationToken::new();
        let (report, ()) = tokio::join!(check.run(PATIENCE, &stop, |_| ()), edge.live());
        assert!(report.is_good(), "{report}: {:#?}", report.verdicts);
        // What is on the disk is what is held.
        let (content, _) = ContentFile::open(folder.path(), id).await.expect("opens");
        assert_eq!(content.hello(), held.lock().expect("nobody panicked").hello());
        assert!(content.held().count > 0);
    }

    #[tokio::test]
    async fn a_supervisor_that_breaks_the_protocol_is_told_of() {
        let mut supervisor = Supervisor::start().await;
        let mut socket = supervisor.socket().await;
        say(&mut socket, "device_assigned", json!({"device_id": "a"})).await;
        while heard(&mut socket).await != json!({"closed": 1002}) {}
        drop(socket);
        let mut socket = supervisor.greeted().await;
        say(&mut socket, "error", json!({"code": "bad_message", "message": "what?"})).await;
        while supervisor.world.tally.snapshot().unexpected().len() < 2 {
            heard(&mut socket).await;
        }
        drop(socket);
        let snapshot = supervisor.end().await;
        let kinds: Vec<&String> = snapshot.unexpected().keys().collect();
        assert_eq!(kinds, ["socket of an edge: error bad_message", "socket of an edge: protocol"]);
    }
}

//! A network that fails on purpose: a proxy that delays, splits, stalls, cuts, closes by halves and refuses, from a seed.
//!
//! It stands between edges or phones and the service, or between the service and PostgreSQL, which it reaches over its
//! Unix socket. It does not change what goes through it: TCP would not, either. (What changes messages is in
//! `sync::mangled`.)

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;

use super::Random;

/// Who is reached through the proxy.
#[derive(Clone, Debug)]
pub(crate) enum Beyond {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// What goes on between the two sides, until it is changed.
#[derive(Clone, Copy, Debug, Default)]
struct Weather {
    /// What comes waits up to so long.
    delay_ms: usize,
    /// Most bytes that go on at once; 0: all that came.
    piece_bytes: usize,
    /// Nothing goes on, and nobody is told.
    stalled: bool,
    /// New connections are ended at once.
    refusing: bool,
}

/// What happens once, to all connections there are.
#[derive(Clone, Copy, Debug)]
enum Break {
    /// Both directions end.
    Cut,
    /// One direction ends: nothing more comes from there.
    Half { from_client: bool },
}

/// The faults of such a network.
const FAULTS: [&str; 7] = ["is slow", "splits", "stalls", "is cut", "loses one direction", "loses the other direction", "refuses"];

/// A proxy that listens as long as this value lives.
pub(crate) struct FaultProxy {
    pub(crate) address: SocketAddr,
    weather: watch::Sender<Weather>,
    breaks: broadcast::Sender<Break>,
    listening: JoinHandle<()>,
}

/// What each connection knows.
#[derive(Clone)]
struct Network {
    random: Arc<Mutex<Random>>,
    weather: watch::Receiver<Weather>,
    breaks: broadcast::Sender<Break>,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl FaultProxy {
    /// Begins to listen; the weather is fine.
    pub(crate) async fn before(beyond: Beyond, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (weather, receiver) = watch::channel(Weather::default());
        let (breaks, _) = broadcast::channel(16);
        let network = Network { random: Arc::new(Mutex::new(Random::of(seed))), weather: receiver, breaks: breaks.clone() };
        let listening = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if !network.weather.borrow().refusing {
                    tokio::spawn(relay(client, beyond.clone(), network.clone()));
                }
            }
        });
        Self { address, weather, breaks, listening }
    }

    /// One fault, for a while of up to `most_ms`; then all is well again. Which it was.
    pub(crate) async fn fail(&self, random: &mut Random, most_ms: usize) -> &'static str {
        let kind = random.below(FAULTS.len());
        let while_ms = u64::try_from(random.below(most_ms)).expect("small");
        match kind {
            0 => self.set(Weather { delay_ms: 1 + random.below(150), ..Weather::default() }),
            1 => self.set(Weather { piece_bytes: 1 + random.below(9), ..Weather::default() }),
            2 => self.set(Weather { stalled: true, ..Weather::default() }),
            3 => self.all(Break::Cut),
            4 => self.all(Break::Half { from_client: true }),
            5 => self.all(Break::Half { from_client: false }),
            _ => {
                self.set(Weather { refusing: true, ..Weather::default() });
                self.all(Break::Cut);
            }
        }
        tokio::time::sleep(Duration::from_millis(while_ms)).await;
        self.set(Weather::default());
        FAULTS[kind]
    }

    fn set(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }

    fn all(&self, what: Break) {
        // Without connections there is nobody to tell.
        let _nobody = self.breaks.send(what);
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.listening.abort();
        self.all(Break::Cut);
    }
}

async fn relay(client: TcpStream, beyond: Beyond, network: Network) {
    let mut breaks = network.breaks.subscribe();
    let _may_stay = client.set_nodelay(true);
    let server: Box<dyn Stream> = match beyond {
        Beyond::Tcp(address) => match TcpStream::connect(address).await {
            Ok(stream) => {
                let _may_stay = stream.set_nodelay(true);
                Box::new(stream)
            }
            Err(_away) => return,
        },
        Beyond::Unix(path) => match UnixStream::connect(path).await {
            Ok(stream) => Box::new(stream),
            Err(_away) => return,
        },
    };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = tokio::io::split(server);
    let cut = async {
        // One that missed some, because many came at once, is cut as well.
        while let Ok(what) = breaks.recv().await {
            if matches!(what, Break::Cut) {
                return;
            }
        }
    };
    let both = async { tokio::join!(carry(from_client, to_server, true, &network), carry(from_server, to_client, false, &network)) };
    tokio::select! {
        _ = both => {}
        () = cut => {}
    }
}

/// One direction, until it ends by itself or is ended.
async fn carry(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, from_client: bool, network: &Network) {
    let (mut weather, mut breaks, mut buffer) = (network.weather.clone(), network.breaks.subscribe(), vec![0; 16 * 1024]);
    loop {
        let read = tokio::select! {
            read = from.read(&mut buffer) => read.unwrap_or(0),
            what = breaks.recv() => match what {
                Ok(Break::Half { from_client: which }) if which == from_client => 0,
                _ => continue,
            },
        };
        if weather.wait_for(|weather| !weather.stalled).await.is_err() {
            return;
        }
        if read == 0 {
            // The other side is told, and may go on speaking.
            let _gone = to.shutdown().await;
            return;
        }
        let now = *weather.borrow();
        let below = |count: usize| network.random.lock().expect("not poisoned").below(count);
        if now.delay_ms > 0 {
            tokio::time::sleep(Duration::from_millis(u64::try_from(below(now.delay_ms)).expect("small"))).await;
        }
        let mut rest = &buffer[..read];
        while !rest.is_empty() {
            // A long message is not to take for ever: only its beginning goes in small pieces.
            let is_beginning = read - rest.len() < 200;
            let most = if now.piece_bytes > 0 && is_beginning { 1 + below(now.piece_bytes) } else { rest.len() };
            let (piece, others) = rest.split_at(most.min(rest.len()));
            if to.write_all(piece).await.is_err() || to.flush().await.is_err() {
                return;
            }
            if now.piece_bytes > 0 {
                tokio::task::yield_now().await;
            }
            rest = others;
        }
    }
}

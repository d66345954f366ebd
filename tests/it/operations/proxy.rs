//! A proxy as operators put before several instances: connections go in turn to those that say they are ready.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// How often an instance is asked whether it is ready.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// Ends with this value.
pub(super) struct Proxy {
    pub(super) address: SocketAddr,
    tasks: Vec<JoinHandle<()>>,
}

struct Backend {
    address: SocketAddr,
    is_ready: AtomicBool,
}

impl Proxy {
    pub(super) async fn before(addresses: impl IntoIterator<Item = SocketAddr>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let backends: Arc<[Backend]> = addresses.into_iter().map(|address| Backend { address, is_ready: AtomicBool::new(true) }).collect();
        let checking = tokio::spawn(check(Arc::clone(&backends)));
        let accepting = tokio::spawn(accept(listener, backends));
        Self { address, tasks: vec![checking, accepting] }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

async fn check(backends: Arc<[Backend]>) {
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(2)).build().expect("a client");
    loop {
        for backend in &*backends {
            let answer = client.get(format!("http://{}/health/ready", backend.address)).send().await;
            backend.is_ready.store(answer.is_ok_and(|answer| answer.status() == 200), Ordering::Relaxed);
        }
        tokio::time::sleep(CHECK_INTERVAL).await;
    }
}

async fn accept(listener: TcpListener, backends: Arc<[Backend]>) {
    let turn = AtomicUsize::new(0);
    loop {
        let (mut client, _) = listener.accept().await.expect("accepts");
        let first = turn.fetch_add(1, Ordering::Relaxed);
        let backends = Arc::clone(&backends);
        tokio::spawn(async move {
            // Nobody has been sent a byte before a connection stands, so the next may be tried.
            for number in first..first + 2 * backends.len() {
                let backend = &backends[number % backends.len()];
                let is_last_hope = number >= first + backends.len();
                if (backend.is_ready.load(Ordering::Relaxed) || is_last_hope)
                    && let Ok(mut server) = TcpStream::connect(backend.address).await
                {
                    // Either end may leave as it likes.
                    let _ended = copy_bidirectional(&mut client, &mut server).await;
                    return;
                }
            }
        });
    }
}

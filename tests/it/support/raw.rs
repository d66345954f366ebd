//! A connection that behaves as no proper client does.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longest wait for bytes or for the end of the connection.
const DEADLINE: Duration = Duration::from_secs(20);

/// A bare TCP connection to the service.
pub(crate) struct RawConnection(TcpStream);

impl RawConnection {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.expect("connects"))
    }

    /// Sends bytes; what the other side thinks of them is seen by reading.
    pub(crate) async fn send(&mut self, bytes: &str) {
        let sending = tokio::time::timeout(DEADLINE, self.0.write_all(bytes.as_bytes()));
        // A service that has hung up already is one of the right answers.
        let _may_be_closed = sending.await.expect("takes the bytes in time");
    }

    /// Sends as much as the buffers take, without waiting.
    pub(crate) fn send_what_fits(&mut self, bytes: &str) -> usize {
        self.0.try_write(bytes.as_bytes()).unwrap_or(0)
    }

    /// Everything up to the end of the connection; a reset is an end, too.
    pub(crate) async fn read_to_end(&mut self) -> String {
        let mut bytes = Vec::new();
        let reading = tokio::time::timeout(DEADLINE, self.0.read_to_end(&mut bytes));
        let _end_or_reset =
            reading.await.unwrap_or_else(|_| panic!("still open after {DEADLINE:?}, with {}", String::from_utf8_lossy(&bytes)));
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// One answer with a `Content-Length`, or only a head.
    pub(crate) async fn read_answer(&mut self) -> String {
        let mut bytes = Vec::new();
        loop {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ").map(str::to_owned));
                if body.len() >= length.and_then(|length| length.parse().ok()).unwrap_or(0) {
                    return text;
                }
            }
            let mut part = [0; 4096];
            let read = tokio::time::timeout(DEADLINE, self.0.read(&mut part)).await.expect("answers in time").unwrap_or(0);
            if read == 0 {
                return text;
            }
            bytes.extend_from_slice(&part[..read]);
        }
    }
}

//! One socket, whoever is at its other end: what waits is written together, a peer that does not read or answer is
//! let go, and every end has a reason.

use std::pin::Pin;
use std::time::Duration;

use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use futures_util::SinkExt;
use tokio::time::{Instant, MissedTickBehavior, Sleep};
use tokio_tungstenite::tungstenite;

use super::outbox::{Batch, Closing, Outbox};
use crate::telemetry::prometheus::TalkMeters;

/// Largest message that is taken.
pub(super) const MAX_IN_BYTES: usize = 64 * 1024;
/// How long a peer may take to read what is written, however little it is.
pub(super) const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// And how much it must take in a second of what is more.
const LEAST_BYTES_A_SECOND: usize = 32 * 1024;
/// How long a peer may take to answer a close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Time between two pings.
pub(super) const PING_INTERVAL: Duration = Duration::from_secs(20);
/// Codes, for counting, of a close that has none, and of an end without a close.
const NO_CODE: u16 = 1005;
const BROKEN: u16 = 1006;
/// A peer that says nothing for so long is gone.
pub(super) const SILENCE: Duration = Duration::from_mins(1);

/// Sets the sizes of a socket's buffers: small ones to begin with, and bounds to all. `max_out_bytes` is more than the
/// largest batch that is written at once.
pub(super) fn bounded(upgrade: WebSocketUpgrade, [read, write]: [usize; 2], max_out_bytes: usize) -> WebSocketUpgrade {
    upgrade
        .read_buffer_size(read)
        .write_buffer_size(write)
        .max_write_buffer_size(max_out_bytes.max(2 * write))
        .max_message_size(MAX_IN_BYTES)
        .max_frame_size(MAX_IN_BYTES)
}

/// How a socket ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The peer closed it, or it broke.
    ByPeer,
    /// We closed it.
    ByUs,
}

/// What came in, beside what a socket answers by itself.
pub(super) enum Incoming {
    /// A text message.
    Text(axum::extract::ws::Utf8Bytes),
    /// The socket is at its end.
    Ended(End),
}

/// A socket with its outbox.
pub(super) struct Talk<'o> {
    socket: WebSocket,
    outbox: &'o Outbox,
    meters: &'static TalkMeters,
    pings: tokio::time::Interval,
    heard: Instant,
    /// When to look whether it was silent for too long; not moved with each message, which would cost more than a look.
    silence: Pin<Box<Sleep>>,
}

impl<'o> Talk<'o> {
    pub(super) fn new(socket: WebSocket, outbox: &'o Outbox, meters: &'static TalkMeters) -> Self {
        let mut pings = tokio::time::interval_at(Instant::now() + PING_INTERVAL, PING_INTERVAL);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let heard = Instant::now();
        Self { socket, outbox, meters, pings, heard, silence: Box::pin(tokio::time::sleep_until(heard + SILENCE)) }
    }

    /// Writes what is put into the outbox, pings, and waits for the next message.
    pub(super) async fn next(&mut self) -> Incoming {
        // What came while nobody listened here is still to be read.
        self.heard = Instant::now();
        loop {
            tokio::select! {
                batch = self.outbox.next() => {
                    if let Some(end) = self.write(batch).await {
                        return Incoming::Ended(end);
                    }
                }
                message = self.socket.recv() => {
                    self.heard = Instant::now();
                    match message {
                        Some(Ok(Message::Text(text))) => {
                            self.meters.received.increment(1);
                            self.meters.received_bytes.increment(text.len() as u64);
                            return Incoming::Text(text);
                        }
                        Some(Ok(Message::Binary(_))) => self.outbox.close(Closing { code: 1003, reason: "text_only".to_owned() }),
                        Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                        // The close is answered by the next read.
                        Some(Ok(Message::Close(frame))) => {
                            self.meters.closed(false, frame.map_or(NO_CODE, |frame| frame.code));
                            while let Some(Ok(_)) = self.socket.recv().await {}
                            return Incoming::Ended(End::ByPeer);
                        }
                        Some(Err(error)) => {
                            let Some(closing) = fault_of(error) else { return self.broke() };
                            self.close(&closing).await;
                            return Incoming::Ended(End::ByUs);
                        }
                        None => return self.broke(),
                    }
                }
                () = &mut self.silence => {
                    if self.heard.elapsed() >= SILENCE {
                        return self.broke();
                    }
                    self.silence.as_mut().reset(self.heard + SILENCE);
                }
                _ = self.pings.tick() => {
                    if !self.send(Message::Ping(Vec::new().into())).await {
                        return self.broke();
                    }
                }
            }
        }
    }

    /// It ended without a word.
    fn broke(&self) -> Incoming {
        self.meters.closed(false, BROKEN);
        Incoming::Ended(End::ByPeer)
    }

    /// Writes all that waits with one flush; how it ended, if it did.
    async fn write(&mut self, Batch { messages, closing }: Batch) -> Option<End> {
        let (socket, meters) = (&mut self.socket, self.meters);
        let count = messages.len() as u64;
        let bytes: usize = messages.iter().map(|message| message.len()).sum();
        let patience = WRITE_TIMEOUT + Duration::from_secs((bytes / LEAST_BYTES_A_SECOND) as u64);
        let writing = async {
            for message in messages {
                socket.feed(Message::Text(message)).await?;
            }
            socket.flush().await
        };
        match tokio::time::timeout(patience, writing).await {
            Ok(Ok(())) => {
                meters.sent.increment(count);
                meters.sent_bytes.increment(bytes as u64);
            }
            Ok(Err(_broken)) => {
                meters.closed(false, BROKEN);
                return Some(End::ByPeer);
            }
            Err(_elapsed) => {
                meters.slow.increment(1);
                meters.closed(true, BROKEN);
                // It takes nothing, so no close frame either.
                tracing::info!(bytes, "a socket took too long to read and is let go");
                return Some(End::ByUs);
            }
        }
        let closing = closing?;
        self.close(&closing).await;
        Some(End::ByUs)
    }

    async fn send(&mut self, message: Message) -> bool {
        matches!(tokio::time::timeout(WRITE_TIMEOUT, self.socket.send(message)).await, Ok(Ok(())))
    }

    /// Says why, and waits a little for the peer to agree.
    pub(super) async fn close(&mut self, closing: &Closing) {
        if closing.is_too_slow() {
            self.meters.slow.increment(1);
        }
        self.meters.closed(true, closing.code);
        let socket = &mut self.socket;
        let closing = async {
            if socket.send(Message::Close(Some(closing.frame()))).await.is_ok() {
                while let Some(Ok(_)) = socket.recv().await {}
            }
        };
        // One that does not answer is closed all the same.
        if tokio::time::timeout(CLOSE_TIMEOUT, closing).await.is_err() {
            tracing::debug!("a socket did not answer its close");
        }
    }
}

/// What a peer did wrong, when it was that and not a broken connection.
fn fault_of(error: axum::Error) -> Option<Closing> {
    let error = error.into_inner().downcast::<tungstenite::Error>().ok()?;
    let (code, reason) = match *error {
        tungstenite::Error::Capacity(_) => (1009, "too_large"),
        tungstenite::Error::Utf8(_) => (1007, "not_utf8"),
        tungstenite::Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake) => return None,
        tungstenite::Error::Protocol(_) => (1002, "protocol_error"),
        _ => return None,
    };
    Some(Closing { code, reason: reason.to_owned() })
}

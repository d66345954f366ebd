//! What waits to be sent over a socket: bounded in messages and in bytes, and with its end. Whoever fills it is
//! never made to wait; a socket that cannot keep up is closed.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use axum::extract::ws::{CloseFrame, Utf8Bytes};
use tokio::sync::Notify;

use crate::telemetry::meters;

/// Most messages that wait.
pub(super) const MAX_MESSAGES: usize = 256;
/// Most bytes that wait.
pub(super) const MAX_BYTES: usize = 1024 * 1024;

/// Why a socket is closed by us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Closing {
    pub(super) code: u16,
    pub(super) reason: String,
}

impl Closing {
    /// It broke a rule, or may not be here any more.
    pub(super) fn policy(reason: &str) -> Self {
        Self { code: 1008, reason: reason.to_owned() }
    }

    /// It reads too slowly.
    pub(super) fn too_slow() -> Self {
        Self { code: 1013, reason: "too_slow".to_owned() }
    }

    /// Whether that is why.
    pub(super) fn is_too_slow(&self) -> bool {
        *self == Self::too_slow()
    }

    /// We stop; it may come back after so long.
    pub(crate) fn stopping(retry_after_ms: u64) -> Self {
        Self { code: 1012, reason: format!("{{\"retry_after_ms\": {retry_after_ms}}}") }
    }

    pub(super) fn frame(&self) -> CloseFrame {
        CloseFrame { code: self.code, reason: self.reason.as_str().into() }
    }
}

/// The queue of one socket. Empty ones hold no memory.
#[derive(Default)]
pub(crate) struct Outbox {
    state: Mutex<Waiting>,
    filled: Notify,
    written: Notify,
}

#[derive(Default)]
struct Waiting {
    messages: VecDeque<Utf8Bytes>,
    bytes: usize,
    closing: Option<Closing>,
    /// Whoever writes has written all that was put in, and waits for more.
    idle: bool,
}

impl Waiting {
    /// Whether there is room for a message; a single one may be as large as it is.
    fn fits(&self, message: &Utf8Bytes) -> bool {
        self.messages.is_empty() || (self.messages.len() < MAX_MESSAGES && self.bytes + message.len() <= MAX_BYTES)
    }

    fn push(&mut self, message: Utf8Bytes) {
        self.idle = false;
        self.bytes += message.len();
        self.messages.push_back(message);
    }
}

/// What there is to send now.
pub(super) struct Batch {
    pub(super) messages: VecDeque<Utf8Bytes>,
    pub(super) closing: Option<Closing>,
}

impl Outbox {
    /// Puts a message in; when there is no room, the socket is to be closed as too slow.
    pub(crate) fn put(&self, message: Utf8Bytes) {
        let mut waiting = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.closing.is_some() {
            return;
        }
        if waiting.fits(&message) {
            waiting.push(message);
        } else {
            // What waits is not read in time either.
            meters().sockets.dropped.increment(waiting.messages.len() as u64 + 1);
            *waiting = Waiting { closing: Some(Closing::too_slow()), ..Waiting::default() };
        }
        drop(waiting);
        self.filled.notify_one();
    }

    /// Puts a message in if there is room; whether there was.
    pub(super) fn try_put(&self, message: Utf8Bytes) -> bool {
        let mut waiting = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = waiting.fits(&message);
        if fits && waiting.closing.is_none() {
            waiting.push(message);
        }
        drop(waiting);
        self.filled.notify_one();
        fits
    }

    /// How many messages wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting_and_bytes().0
    }

    /// How many messages wait, and bytes.
    pub(super) fn waiting_and_bytes(&self) -> (usize, usize) {
        let waiting = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        (waiting.messages.len(), waiting.bytes)
    }

    /// Has the socket closed, after what waits was sent. The first reason stands.
    pub(crate) fn close(&self, closing: Closing) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).closing.get_or_insert(closing);
        self.filled.notify_one();
    }

    /// Waits until all that was put in is written.
    pub(super) async fn written(&self) {
        loop {
            let written = self.written.notified();
            if self.state.lock().unwrap_or_else(PoisonError::into_inner).idle {
                return;
            }
            written.await;
        }
    }

    /// Waits until there is something to send, or the socket is to be closed.
    pub(super) async fn next(&self) -> Batch {
        loop {
            let filled = self.filled.notified();
            {
                let mut waiting = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                if !waiting.messages.is_empty() || waiting.closing.is_some() {
                    waiting.bytes = 0;
                    return Batch { messages: std::mem::take(&mut waiting.messages), closing: waiting.closing.clone() };
                }
                waiting.idle = true;
            }
            self.written.notify_one();
            filled.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_that_waits_is_taken_at_once_and_in_order() {
        let outbox = Outbox::default();
        outbox.put("a".into());
        outbox.put("b".into());
        outbox.close(Closing::policy("superseded"));
        outbox.close(Closing::stopping(7));
        outbox.put("c".into());
        let batch = outbox.next().await;
        assert_eq!(batch.messages, ["a", "b"].map(Utf8Bytes::from));
        assert_eq!(batch.closing, Some(Closing::policy("superseded")), "the first reason stands, and nothing follows it");
    }

    #[tokio::test]
    async fn what_was_put_in_is_written_when_more_is_asked_for() {
        let outbox = Outbox::default();
        outbox.put("a".into());
        let written = async {
            outbox.written().await;
            "written"
        };
        let writer = async {
            assert_eq!(outbox.next().await.messages, ["a"].map(Utf8Bytes::from));
            outbox.next().await;
            "never"
        };
        assert_eq!(tokio::select! { end = written => end, end = writer => end }, "written");
    }

    #[tokio::test]
    async fn who_does_not_keep_up_is_closed_and_costs_no_more_memory() {
        for (size, fits) in [(1, MAX_MESSAGES), (100_000, MAX_BYTES / 100_000)] {
            let outbox = Outbox::default();
            for _ in 0..fits {
                outbox.put("x".repeat(size).into());
            }
            assert_eq!(outbox.state.lock().expect("not poisoned").closing, None);
            outbox.put("x".repeat(size).into());
            let batch = outbox.next().await;
            assert_eq!((batch.messages.len(), batch.closing), (0, Some(Closing::too_slow())));
        }
    }
}

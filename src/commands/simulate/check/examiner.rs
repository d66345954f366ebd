//! Goes through the checks with one edge. When one fails, what the edge says that it holds is taken for granted, so
//! that the next ones are not blamed for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::extract::ws::WebSocket;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::super::protocol::Held;
use super::dialogue::{Dialogue, Found, fault};
use super::heard::{Heard, Hello};
use super::parcel::Parcel;
use super::report::Verdict;
use super::supposed::Supposed;
use super::trials::{TRIALS, Trial};

/// Shortest time for coming back after something went wrong: longer than the first pauses of an edge that backs off.
const COME_BACK: Duration = Duration::from_secs(5);
/// Time that an edge is asked to be away.
const AWAY_MS: u64 = 400;
/// Numbers begin behind this one, so that those of another epoch can be lower.
const FIRST_EPOCH: i64 = 1_000;

/// Checks an edge.
pub(super) struct Examiner {
    sockets: mpsc::Receiver<WebSocket>,
    refused: Arc<AtomicUsize>,
    patience: Duration,
    pub(super) dialogue: Option<Dialogue>,
    pub(super) supposed: Supposed,
    pub(super) epoch: String,
    /// The last number that was given.
    pub(super) number: i64,
}

impl Examiner {
    pub(super) fn new(sockets: mpsc::Receiver<WebSocket>, refused: Arc<AtomicUsize>, patience: Duration) -> Self {
        let (supposed, epoch) = (Supposed::default(), Uuid::now_v7().to_string());
        Self { sockets, refused, patience, dialogue: None, supposed, epoch, number: FIRST_EPOCH }
    }

    /// Makes all checks, until `stop`.
    pub(super) async fn examine(&mut self, stop: &CancellationToken, mut tell: impl FnMut(Verdict) + Send) {
        let mut gone = None;
        for Trial { name, expected, run } in TRIALS {
            if let Some(why) = &gone {
                tell(Verdict { name, expected, found: Some(format!("not tried: {why}")) });
                continue;
            }
            let tried = tokio::select! {
                () = stop.cancelled() => fault("not tried: stopped"),
                tried = run(self) => tried,
            };
            let found = tried.err().map(|fault| fault.0);
            let has_failed = found.is_some();
            tell(Verdict { name, expected, found });
            if has_failed {
                let recovered = tokio::select! {
                    () = stop.cancelled() => fault("stopped"),
                    recovered = self.recover() => recovered,
                };
                gone = recovered.err().map(|fault| fault.0);
            }
        }
    }

    /// Goes on after a failure, from what the edge says.
    async fn recover(&mut self) -> Found<()> {
        if self.dialogue.as_ref().is_none_or(|dialogue| !dialogue.is_open) {
            self.dialogue = None;
            self.connect(self.patience.max(COME_BACK)).await?;
            self.dialogue()?.hello().await?;
        }
        let epoch = self.epoch.clone();
        let dialogue = self.dialogue()?;
        if !dialogue.is_welcomed {
            dialogue.welcome(&epoch, "delta").await?;
        }
        let told = self.dialogue()?.all().await;
        self.dialogue()?.aside.clear();
        if let Ok(told) = told {
            self.supposed = told;
        }
        Ok(())
    }

    pub(super) fn dialogue(&mut self) -> Found<&mut Dialogue> {
        match &mut self.dialogue {
            Some(dialogue) => Ok(dialogue),
            None => fault("there is no socket"),
        }
    }

    /// Waits for the edge's next socket.
    pub(super) async fn connect(&mut self, within: Duration) -> Found<()> {
        let Ok(Some(socket)) = tokio::time::timeout(within, self.sockets.recv()).await else {
            return match self.refused.load(Ordering::Relaxed) {
                0 => fault(format!("it did not connect within {within:?}")),
                refused => fault(format!("{refused} tries to connect without its key, or to another path; none with it within {within:?}")),
            };
        };
        self.dialogue = Some(Dialogue::new(socket, self.patience));
        Ok(())
    }

    /// The next numbers, with an id each.
    pub(super) fn new_puts(&mut self, count: usize) -> Vec<(Uuid, i64)> {
        (0..count).map(|_| (Uuid::now_v7(), self.next_number())).collect()
    }

    pub(super) fn next_number(&mut self) -> i64 {
        self.number += 1;
        self.number
    }

    /// Delivers puts that are to be held.
    pub(super) async fn put(&mut self, puts: Vec<(Uuid, i64)>) -> Found<()> {
        self.supposed.0.extend(puts.iter().copied());
        self.dialogue()?.deliver(&Parcel::puts(puts)).await.map(drop)
    }

    /// Compares what the edge holds with what it should.
    pub(super) async fn compare(&mut self) -> Found<()> {
        let told = self.dialogue()?.all().await?;
        match self.supposed.difference(&told) {
            Some(difference) => fault(format!("by its inventory {difference}")),
            None => Ok(()),
        }
    }

    pub(super) async fn say_checkpoint(&mut self, Held { count, digest }: Held) -> Found<()> {
        let version = self.supposed.0.values().max().copied().unwrap_or(0);
        self.dialogue()?.say("checkpoint", &json!({"version": version, "count": count, "digest": digest})).await
    }

    /// Whether the edge asked for more since the last check.
    pub(super) fn has_asked(&mut self) -> Found<bool> {
        Ok(self.dialogue()?.aside.iter().any(|heard| matches!(heard, Heard::SyncRequest(_))))
    }

    /// Sends the edge away and waits for its return; what it says then.
    pub(super) async fn send_away(&mut self) -> Found<Hello> {
        let closed = Instant::now();
        self.dialogue()?.close(1012, &json!({"retry_after_ms": AWAY_MS}).to_string()).await;
        self.dialogue = None;
        let away = Duration::from_millis(AWAY_MS);
        self.connect(away.mul_f64(1.5) + self.patience.max(Duration::from_secs(1))).await?;
        if closed.elapsed() < away / 2 {
            return fault(format!("it came back after {:.1?}, and was asked for {away:?}", closed.elapsed()));
        }
        self.dialogue()?.hello().await
    }
}

//! One socket of the edge that is checked: what is said to it, and what it says.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::time::Instant;
use uuid::Uuid;

use super::super::protocol::{Bucket, Digests, Held, Inventory, ItemResult, SyncAck};
use super::super::wall_clock;
use super::heard::{Heard, Hello};
use super::parcel::Parcel;
use super::supposed::Supposed;

/// Time for `hello`, as published.
const HELLO: Duration = Duration::from_secs(10);
/// Time between two beats, as it is told here: the shortest that can be.
pub(super) const HEARTBEAT_S: u64 = 1;
/// Messages that may come while another one is waited for; more are a flood.
const MAX_ASIDE: usize = 1_000;

/// What came instead of what was expected.
#[derive(Debug)]
pub(super) struct Fault(pub(super) String);

pub(super) type Found<T> = Result<T, Fault>;

/// Fails in these words.
pub(super) fn fault<T>(words: impl Into<String>) -> Found<T> {
    Err(Fault(words.into()))
}

/// Something that came.
enum Event {
    Said(Heard),
    Pong(Bytes),
}

/// An open socket.
pub(super) struct Dialogue {
    socket: WebSocket,
    /// Time for an answer.
    patience: Duration,
    /// Batches so far.
    batches: u64,
    pub(super) is_open: bool,
    pub(super) is_welcomed: bool,
    /// When beats came.
    pub(super) beats: Vec<Instant>,
    /// What came while something else was waited for.
    pub(super) aside: Vec<Heard>,
}

impl Dialogue {
    pub(super) fn new(socket: WebSocket, patience: Duration) -> Self {
        Self { socket, patience, batches: 0, is_open: true, is_welcomed: false, beats: Vec::new(), aside: Vec::new() }
    }

    /// Waits for the greeting, which comes first.
    pub(super) async fn hello(&mut self) -> Found<Hello> {
        match self.next(Instant::now() + HELLO).await? {
            Some(Event::Said(Heard::Hello(hello))) => Ok(hello),
            Some(Event::Said(other)) => fault(format!("{} came first", other.kind())),
            Some(Event::Pong(_)) => fault("a pong came first"),
            None => fault(format!("no hello came in {} s", HELLO.as_secs())),
        }
    }

    pub(super) async fn welcome(&mut self, epoch: &str, mode: &str) -> Found<()> {
        let welcome = json!({
            "session_id": Uuid::now_v7(), "epoch": epoch, "server_time": wall_clock(), "heartbeat_seconds": HEARTBEAT_S, "mode": mode,
        });
        self.is_welcomed = true;
        self.say("welcome", &welcome).await
    }

    pub(super) async fn say(&mut self, kind: &str, data: &Value) -> Found<()> {
        self.send(Message::text(json!({"type": kind, "data": data}).to_string())).await
    }

    async fn send(&mut self, message: Message) -> Found<()> {
        match tokio::time::timeout(self.patience, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => self.ended(format!("the socket broke: {error}")),
            Err(_) => self.ended(format!("it read nothing for {:?}", self.patience)),
        }
    }

    fn ended<T>(&mut self, words: String) -> Found<T> {
        self.is_open = false;
        fault(words)
    }

    /// What comes next; none when nothing comes until then.
    async fn next(&mut self, until: Instant) -> Found<Option<Event>> {
        loop {
            let Ok(received) = tokio::time::timeout_at(until, self.socket.recv()).await else { return Ok(None) };
            match received {
                Some(Ok(Message::Text(text))) => {
                    let heard = Heard::read(&text).map_err(Fault)?;
                    if let Heard::HealthUpdate(_) = heard {
                        self.beats.push(Instant::now());
                    }
                    return Ok(Some(Event::Said(heard)));
                }
                Some(Ok(Message::Pong(bytes))) => return Ok(Some(Event::Pong(bytes))),
                Some(Ok(Message::Ping(_))) => {}
                Some(Ok(Message::Binary(_))) => return fault("a binary message"),
                Some(Ok(Message::Close(frame))) => {
                    let words = frame.map_or_else(String::new, |frame| format!(", with {} {}", frame.code, frame.reason.as_str()));
                    return self.ended(format!("it closed the socket{words}"));
                }
                Some(Err(error)) => return self.ended(format!("the socket broke: {error}")),
                None => return self.ended("the socket ended".to_owned()),
            }
        }
    }

    /// Waits for a message that fits; others are put aside.
    pub(super) async fn wait<T>(&mut self, what: &str, mut fits: impl FnMut(&Heard) -> Option<T>) -> Found<T> {
        let until = Instant::now() + self.patience;
        while let Some(event) = self.next(until).await? {
            let Event::Said(heard) = event else { continue };
            if let Some(found) = fits(&heard) {
                return Ok(found);
            }
            if self.aside.len() == MAX_ASIDE {
                return fault(format!("{MAX_ASIDE} messages that nobody asked for, instead of {what}"));
            }
            self.aside.push(heard);
        }
        fault(format!("no {what} in {:?}", self.patience))
    }

    /// Hears beats until there are so many, or until then.
    pub(super) async fn hear_beats(&mut self, wanted: usize, until: Instant) -> Found<()> {
        while self.beats.len() < wanted && self.next(until).await?.is_some() {}
        Ok(())
    }

    /// Sends a ping and waits for its pong.
    pub(super) async fn ping(&mut self) -> Found<()> {
        let bytes = Bytes::copy_from_slice(Uuid::now_v7().as_bytes());
        self.send(Message::Ping(bytes.clone())).await?;
        let until = Instant::now() + self.patience;
        while let Some(event) = self.next(until).await? {
            match event {
                Event::Pong(pong) if pong == bytes => return Ok(()),
                Event::Pong(_) => return fault("a pong with other bytes than the ping"),
                Event::Said(heard) => self.aside.push(heard),
            }
        }
        fault(format!("no pong in {:?}", self.patience))
    }

    /// Closes the socket, and waits until the edge has as well.
    pub(super) async fn close(&mut self, code: u16, reason: &str) {
        let until = Instant::now() + self.patience;
        if self.send(Message::Close(Some(CloseFrame { code, reason: reason.into() }))).await.is_ok() {
            while self.is_open && !matches!(self.next(until).await, Ok(None)) {}
        }
        self.is_open = false;
    }

    /// Sends a batch; its number in the session.
    pub(super) async fn send_batch(&mut self, batch: &Parcel) -> Found<u64> {
        self.batches += 1;
        self.send_batch_as(self.batches, batch).await?;
        Ok(self.batches)
    }

    /// Sends a batch under this number.
    pub(super) async fn send_batch_as(&mut self, batch_id: u64, batch: &Parcel) -> Found<()> {
        self.say("sync_decorations", &batch.data(batch_id)).await
    }

    /// Waits for the acknowledgement of a batch, and that it says yes to all of it.
    pub(super) async fn acknowledged(&mut self, batch_id: u64, batch: &Parcel) -> Found<()> {
        let ack = |heard: &Heard| match heard {
            Heard::SyncAck(ack) if ack.batch_id == batch_id => Some(ack.clone()),
            _ => None,
        };
        let what = format!("sync_ack of batch {batch_id}");
        let SyncAck { results, .. } = self.wait(&what, ack).await?;
        if let Some(ItemResult { id, error, .. }) = results.iter().find(|result| !result.ok) {
            return fault(format!("{id} in batch {batch_id} was refused: {}", error.as_deref().unwrap_or("without a reason")));
        }
        let mut acknowledged: Vec<(Uuid, i64)> = results.iter().map(|result| (result.id, result.sync_version)).collect();
        let mut sent = batch.entries();
        acknowledged.sort_unstable();
        sent.sort_unstable();
        if acknowledged != sent {
            return fault(format!(
                "{} results for the {} entries of batch {batch_id}, or others than were sent",
                results.len(),
                sent.len()
            ));
        }
        Ok(())
    }

    /// Sends a batch and waits until it is acknowledged.
    pub(super) async fn deliver(&mut self, batch: &Parcel) -> Found<u64> {
        let batch_id = self.send_batch(batch).await?;
        self.acknowledged(batch_id, batch).await?;
        Ok(batch_id)
    }

    /// Asks for digests; all buckets, and how many messages they came in.
    pub(super) async fn digests(&mut self, bits: u32) -> Found<(BTreeMap<u32, Held>, usize)> {
        self.say("digest_request", &json!({"bits": bits})).await?;
        let (mut buckets, mut parts) = (BTreeMap::new(), 0);
        loop {
            let part = |heard: &Heard| match heard {
                Heard::Digests(part) if part.bits == bits => Some(part.clone()),
                _ => None,
            };
            let Digests { buckets: some, last, .. } = self.wait(&format!("digests of {bits} bits"), part).await?;
            parts += 1;
            for Bucket { prefix, held } in some {
                if buckets.insert(prefix, held).is_some() {
                    return fault(format!("bucket {prefix} came twice"));
                }
            }
            if last {
                return Ok((buckets.into_iter().filter(|(_, held)| held.count > 0).collect(), parts));
            }
        }
    }

    /// Asks what is held in some buckets.
    pub(super) async fn inventory(&mut self, bits: u32, prefixes: &[u32]) -> Found<Vec<Inventory>> {
        self.say("inventory_request", &json!({"bits": bits, "prefixes": prefixes})).await?;
        let mut inventories: Vec<Inventory> = Vec::with_capacity(prefixes.len());
        while inventories.len() < prefixes.len() {
            let inventory = |heard: &Heard| match heard {
                Heard::Inventory(inventory) if inventory.bits == bits => Some(inventory.clone()),
                _ => None,
            };
            let what = format!("inventory of bucket {} of {bits} bits", prefixes[inventories.len()]);
            let inventory = self.wait(&what, inventory).await?;
            if !prefixes.contains(&inventory.prefix) || inventories.iter().any(|other| other.prefix == inventory.prefix) {
                return fault(format!("an inventory of bucket {}, which was not asked for or came twice", inventory.prefix));
            }
            inventories.push(inventory);
        }
        Ok(inventories)
    }

    /// All that is held.
    pub(super) async fn all(&mut self) -> Found<Supposed> {
        Ok(Supposed::told(&self.inventory(0, &[0]).await?))
    }
}

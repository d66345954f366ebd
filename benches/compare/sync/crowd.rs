//! Edge servers that acknowledge whatever comes, and tell when it came.

use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use serde::Deserialize;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::editor::Editor;
use crate::sockets::edge::{Edge, Socket};
use crate::support::Outcome;

/// Sockets that are opened at once.
const OPENING: usize = 32;
/// Longest wait for all of them.
const PATIENCE: Duration = Duration::from_mins(1);
/// Time between two beats.
const BEAT: Duration = Duration::from_secs(20);

/// What is read of a batch: no more than is needed to acknowledge it.
#[derive(Deserialize)]
#[expect(clippy::struct_field_names, reason = "the message's own names")]
pub(super) struct Batch<'t> {
    batch_id: u64,
    #[serde(borrow)]
    decorations: Vec<Entry<'t>>,
    #[serde(borrow)]
    removed: Vec<Entry<'t>>,
}

#[derive(Deserialize)]
struct Entry<'t> {
    id: &'t str,
    sync_version: i64,
}

#[derive(Deserialize)]
struct Message<T> {
    data: T,
}

#[derive(Deserialize)]
pub(super) struct Checkpoint {
    pub(super) count: u64,
}

/// What came.
pub(super) enum Content<'t> {
    Batch(Batch<'t>),
    Checkpoint(Checkpoint),
    Other,
}

impl<'t> Content<'t> {
    pub(super) fn read(text: &'t str) -> Outcome<Self> {
        if text.starts_with(r#"{"type":"sync_decorations""#) {
            Ok(Self::Batch(serde_json::from_str::<Message<_>>(text)?.data))
        } else if text.starts_with(r#"{"type":"checkpoint""#) {
            Ok(Self::Checkpoint(serde_json::from_str::<Message<_>>(text)?.data))
        } else {
            Ok(Self::Other)
        }
    }
}

impl Batch<'_> {
    pub(super) fn entries(&self) -> usize {
        self.decorations.len() + self.removed.len()
    }

    /// The answer to it.
    pub(super) fn acknowledgement(&self) -> String {
        let results: Vec<String> = self
            .decorations
            .iter()
            .chain(&self.removed)
            .map(|entry| format!(r#"{{"id":"{}","sync_version":{},"ok":true}}"#, entry.id, entry.sync_version))
            .collect();
        format!(r#"{{"type":"sync_ack","data":{{"batch_id":{},"results":[{}]}}}}"#, self.batch_id, results.join(","))
    }
}

/// What an edge server saw, or did.
struct Saw {
    edge: usize,
    at: Instant,
    what: What,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    /// A batch, of a message of so many bytes.
    Batch(usize),
    Acknowledged,
    Checkpoint,
}

/// When an edit had come how far, in milliseconds since its request was sent.
#[expect(clippy::struct_field_names, reason = "they are all times")]
pub(super) struct Edit {
    pub(super) answered_ms: f64,
    /// The last edge server has it.
    pub(super) reached_ms: f64,
    /// The last one has acknowledged it.
    pub(super) acknowledged_ms: f64,
    /// And has heard that it is in the books.
    pub(super) booked_ms: f64,
}

pub(super) struct Crowd {
    count: usize,
    saw: mpsc::UnboundedReceiver<Saw>,
    /// While this is true, nothing is acknowledged.
    holding_back: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Crowd {
    /// Opens their sockets, and waits until each has all that is due.
    pub(super) async fn connect(service: &str, edges: &[Edge]) -> Outcome<Self> {
        let (tell, saw) = mpsc::unbounded_channel();
        let mut crowd = Self { count: edges.len(), saw, holding_back: watch::Sender::new(false), tasks: JoinSet::new() };
        let mut opening = stream::iter(edges.iter().map(|edge| edge.connect(service, None))).buffered(OPENING).enumerate();
        while let Some((number, socket)) = opening.next().await {
            let (tell, holding_back) = (tell.clone(), crowd.holding_back.subscribe());
            let mut socket = socket?;
            crowd.tasks.spawn(async move {
                if let Err(error) = keep(&mut socket, number, &tell, holding_back).await {
                    eprintln!("edge server {number} has gone: {error}");
                }
            });
        }
        drop(opening);
        crowd.all_until(What::Checkpoint).await?;
        Ok(crowd)
    }

    /// Waits until all have seen this, after a batch and its acknowledgement; when the last one saw what.
    async fn all_until(&mut self, end: What) -> Outcome<[Option<Instant>; 3]> {
        let mut progress = vec![0; self.count];
        let mut last: [Option<Instant>; 3] = [None; 3];
        let wanted = place(end) + 1;
        let mut to_come = self.count;
        let seeing = async {
            while to_come > 0 {
                let Some(Saw { edge, at, what }) = self.saw.recv().await else { return Err("the edge servers have gone".into()) };
                // A checkpoint that comes by itself is none.
                if place(what) == progress[edge] && progress[edge] < wanted {
                    progress[edge] += 1;
                    let last = &mut last[place(what)];
                    *last = Some(last.map_or(at, |last| last.max(at)));
                    to_come -= usize::from(progress[edge] == wanted);
                }
            }
            Outcome::Ok(())
        };
        match tokio::time::timeout(PATIENCE, seeing).await {
            Ok(outcome) => outcome?,
            Err(_elapsed) => return Err(format!("{to_come} edge servers are not told").into()),
        }
        Ok(last)
    }

    /// Edits, and looks on until all is done.
    pub(super) async fn edit(&mut self, editor: &mut Editor) -> Outcome<Edit> {
        self.forget();
        let began = Instant::now();
        let answering = async {
            editor.edit().await?;
            Outcome::Ok(Instant::now())
        };
        let (answered, seen) = tokio::join!(answering, self.all_until(What::Checkpoint));
        let ms = |at: Option<Instant>| at.map_or(f64::NAN, |at| at.duration_since(began).as_secs_f64() * 1000.0);
        let [reached, acknowledged, booked] = seen?;
        Ok(Edit { answered_ms: ms(Some(answered?)), reached_ms: ms(reached), acknowledged_ms: ms(acknowledged), booked_ms: ms(booked) })
    }

    /// Edits, and looks on until all have it; none acknowledges it before [`Self::acknowledge`]. Gives the bytes of a message.
    pub(super) async fn edit_only(&mut self, editor: &mut Editor) -> Outcome<usize> {
        self.forget();
        self.holding_back.send_replace(true);
        let mut bytes = 0;
        let seeing = async {
            let (mut seen, mut saw) = (0, &mut self.saw);
            while seen < self.count {
                let Some(Saw { what: What::Batch(length), .. }) = saw.recv().await else { continue };
                (seen, bytes) = (seen + 1, length);
                saw = &mut *saw;
            }
        };
        let (edited, seen) = tokio::join!(editor.edit(), tokio::time::timeout(PATIENCE, seeing));
        edited?;
        seen.map_err(|_elapsed| "edge servers are not told")?;
        Ok(bytes)
    }

    /// Acknowledges what was held back, and waits until all is in the books.
    pub(super) async fn acknowledge(&mut self) -> Outcome<()> {
        self.holding_back.send_replace(false);
        let (mut booked, mut to_come) = (vec![false; self.count], self.count);
        let seeing = async {
            while to_come > 0 {
                let Some(Saw { edge, what, .. }) = self.saw.recv().await else { return };
                if what == What::Checkpoint && !std::mem::replace(&mut booked[edge], true) {
                    to_come -= 1;
                }
            }
        };
        Ok(tokio::time::timeout(PATIENCE, seeing).await.map_err(|_elapsed| "the books are not written")?)
    }

    fn forget(&mut self) {
        while self.saw.try_recv().is_ok() {}
    }

    /// Lets all go.
    pub(super) async fn end(mut self) {
        self.tasks.shutdown().await;
    }
}

fn place(what: What) -> usize {
    match what {
        What::Batch(_) => 0,
        What::Acknowledged => 1,
        What::Checkpoint => 2,
    }
}

/// An edge server's life.
async fn keep(socket: &mut Socket, edge: usize, tell: &mpsc::UnboundedSender<Saw>, mut holding_back: watch::Receiver<bool>) -> Outcome<()> {
    let mut beats = tokio::time::interval(BEAT);
    loop {
        let text = tokio::select! {
            text = socket.next() => text.map_err(|(code, reason)| format!("closed with {code} {reason}"))?,
            _ = beats.tick() => {
                socket.beat().await?;
                continue;
            }
        };
        let at = Instant::now();
        match Content::read(&text)? {
            Content::Batch(batch) => {
                tell.send(Saw { edge, at, what: What::Batch(text.len()) })?;
                holding_back.wait_for(|holding_back| !holding_back).await?;
                socket.say(batch.acknowledgement()).await?;
                tell.send(Saw { edge, at: Instant::now(), what: What::Acknowledged })?;
            }
            Content::Checkpoint(_) => tell.send(Saw { edge, at, what: What::Checkpoint })?,
            Content::Other => {}
        }
    }
}

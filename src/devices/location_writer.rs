//! The writer of positions that phones send: one task an instance. It collects what is there, writes it in one
//! transaction and answers everybody after the commit. So a thousand phones cost the database some ten commits. While
//! one batch waits for its commit, which is the disk's time, the next is written already; it holds its rows by then, so
//! what a phone said first is written first.
//!
//! Queue: bounded; who finds it full is told 503 at once. When the service stops, it goes on until the last request
//! was answered.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{Acquire, PgConnection};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tracing::{Instrument, Span};
use uuid::Uuid;

use super::batch::{Batch, Slot};
use super::in_time;
use super::model::{Device, Located};
use super::places::{self, By, Place};
use super::{Devices, next, store};
use crate::db::DbError;
use crate::geo::LatLng;
use crate::http::ApiError;
use crate::state::AppState;
use crate::telemetry::prometheus::{Update, elapsed};
use crate::telemetry::{self, meters};

/// Updates that may wait. As many requests as can be under way at once find room.
const QUEUE: usize = 1024;
/// Most devices of a batch.
const MAX_DEVICES: usize = 500;
/// How long a batch waits for half as many requests as the one before it had. They come back once they are answered;
/// but half of all that are under way are to be answered and read while the database writes the other half.
const LINGER: Duration = Duration::from_millis(2);
/// How often a device is tried again whose candidates were all taken by others meanwhile. Each time somebody else got
/// a place, so this many times means that the whole fleet is filling up.
const MAX_ROUNDS: usize = 100;

/// A phone says where it is.
#[derive(Clone, Debug)]
pub struct LocationUpdate {
    /// The device's own name, 1 to 255 characters.
    pub device_id: String,
    /// Whose it is.
    pub user_id: Uuid,
    /// Where it is.
    pub position: LatLng,
    /// Radius of uncertainty in metres.
    pub accuracy_meters: Option<f64>,
    /// When it took the fix, by its own clock; none: now.
    pub recorded_at: Option<DateTime<Utc>>,
    /// Version of its app; none: what is known stays.
    pub app_version: Option<String>,
    /// What it says about itself; none: what is known stays.
    pub device_info: Option<Value>,
}

impl LocationUpdate {
    /// Takes over what an older one told and this one leaves out.
    pub(super) fn inherit(&mut self, older: Self) {
        self.app_version = self.app_version.take().or(older.app_version);
        self.device_info = self.device_info.take().or(older.device_info);
    }
}

/// Where the answer goes.
pub(super) type Reply = oneshot::Sender<Result<Located, Refused>>;

/// An update on its way.
pub(super) struct Asked {
    pub(super) update: LocationUpdate,
    pub(super) reply: Reply,
    /// The span of the request.
    pub(super) asker: Option<tracing::Id>,
}

/// Why an update was not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// The device is another user's, who is connected.
    InUse,
    /// The account is gone.
    NoAccount,
    /// The database is away or too busy.
    Unavailable,
    /// A bug of ours; the log has it.
    Failed,
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::InUse => {
                let detail = "another user is connected with this device_id; it can be taken over once that one is disconnected";
                Self::new(StatusCode::CONFLICT, "device_in_use", detail)
            }
            Refused::NoAccount => Self::invalid_token("the account of this access token is gone"),
            Refused::Unavailable => Self::unavailable("database_unavailable", "the database cannot be reached or is too busy; try again"),
            Refused::Failed => Self::internal(),
        }
    }
}

/// Updates of one device that wait for a batch after this one.
const MAX_WAITING: usize = 32;

/// The queue, whose reading end the writer takes.
pub(super) struct Queue {
    sender: mpsc::Sender<Asked>,
    reader: Mutex<Option<mpsc::Receiver<Asked>>>,
}

impl Queue {
    pub(super) fn new() -> Self {
        let (sender, reader) = mpsc::channel(QUEUE);
        Self { sender, reader: Mutex::new(Some(reader)) }
    }

    /// How many updates wait, and how many may.
    pub(super) fn waiting(&self) -> (usize, usize) {
        (QUEUE.saturating_sub(self.sender.capacity()), QUEUE)
    }

    /// The reading end, once.
    pub(super) fn reader(&self) -> Option<mpsc::Receiver<Asked>> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Devices {
    /// Has an update written; what the phone is told, after the commit.
    ///
    /// # Errors
    /// 409 when another user is connected with the device; 503 when too many wait, or without the database.
    pub(super) async fn locate(&self, update: LocationUpdate) -> Result<Located, ApiError> {
        let (reply, answer) = oneshot::channel();
        let overloaded = |_full_or_closed| {
            meters().devices.update(Update::Unavailable);
            ApiError::unavailable("overloaded", "too many positions are waiting to be written; try again")
        };
        self.locations.sender.try_send(Asked { update, reply, asker: Span::current().id() }).map_err(overloaded)?;
        // Without an answer, the task that wrote it has panicked.
        answer.await.unwrap_or(Err(Refused::Failed)).map_err(ApiError::from)
    }
}

/// Writes until the last request was answered.
pub(super) async fn run(state: AppState, mut queue: mpsc::Receiver<Asked>) {
    let mut waiting = VecDeque::new();
    let mut expected = 1;
    let mut committing = None;
    loop {
        let mut batch = Batch::default();
        waiting = waiting.into_iter().filter_map(|asked| batch.take(asked)).collect::<VecDeque<_>>();
        if batch.devices() == 0 {
            let Some(first) = next(&mut queue, &state.lifecycle).await else { break };
            wait(&mut waiting, batch.take(first));
        }
        let until = Instant::now() + LINGER;
        while batch.devices() + waiting.len() < MAX_DEVICES {
            let asked = match queue.try_recv() {
                Ok(asked) => asked,
                Err(_) if batch.requests() >= expected => break,
                Err(_) => match timeout_at(until, queue.recv()).await {
                    Ok(Some(asked)) => asked,
                    Ok(None) | Err(_) => break,
                },
            };
            wait(&mut waiting, batch.take(asked));
        }
        expected = batch.requests().div_ceil(2);
        let (holding, holds_its_rows) = oneshot::channel();
        // Many requests are written as one: its span names those that it comes from.
        let span = telemetry::work("writing positions of devices");
        for asker in batch.take_askers() {
            span.follows_from(asker);
        }
        // In a task of its own: should it panic, the next batch is written all the same.
        let written = state.lifecycle.spawn_answering(write(state.clone(), batch.into_slots(), holding).instrument(span));
        // It is dropped, never sent.
        drop(holds_its_rows.await);
        ended(committing.replace(written)).await;
    }
    ended(committing).await;
}

/// Waits for a batch, if there is one.
async fn ended(batch: Option<JoinHandle<()>>) {
    let Some(batch) = batch else { return };
    if let Err(error) = batch.await {
        tracing::error!(%error, "writing positions broke off");
    }
}

/// Dropped when a batch holds its rows and only the commit is left, or when it has ended.
type Holding = oneshot::Sender<()>;

/// Has an update wait for the next batch. A device that many users ask for at once keeps nobody else waiting.
fn wait(waiting: &mut VecDeque<Asked>, asked: Option<Asked>) {
    let Some(asked) = asked else { return };
    let others = waiting.iter().filter(|other| other.update.device_id == asked.update.device_id).count();
    if others < MAX_WAITING {
        waiting.push_back(asked);
    } else {
        meters().devices.update(Update::Unavailable);
        // Whoever left does not mind.
        drop(asked.reply.send(Err(Refused::Unavailable)));
    }
}

/// Writes a batch and answers everybody.
async fn write(state: AppState, slots: Vec<Slot>, holding: Holding) {
    let mut holding = Some(holding);
    let (updates, replies): (Vec<_>, Vec<_>) = slots.into_iter().map(|slot| (slot.update, (slot.reply, slot.superseded))).unzip();
    let (meters, began) = (&meters().devices, std::time::Instant::now());
    #[expect(clippy::cast_precision_loss, reason = "some hundred")]
    meters.batch_devices.record(updates.len() as f64);
    let answers = match in_time(write_together(&state, &updates, &mut holding)).await {
        Err(error) if updates.len() > 1 && !DbError::means_unavailable(&error) => {
            tracing::info!(error = &error as &dyn std::error::Error, "a batch of positions failed; writing them one by one");
            one_by_one(&state, &updates).await
        }
        Err(error) => vec![Err(refused(error)); updates.len()],
        Ok(answers) => answers,
    };
    elapsed(&meters.batch_seconds, began);
    for (answer, (reply, superseded)) in answers.into_iter().zip(replies) {
        meters.update(became(&answer));
        for older in superseded {
            meters.update(if answer.is_ok() { Update::Stale } else { became(&answer) });
            let answer = answer.clone().map(|located| Located { stale: true, ..located });
            // Whoever left does not mind.
            drop(older.send(answer));
        }
        drop(reply.send(answer));
    }
}

/// What became of an update, for counting.
fn became(answer: &Result<Located, Refused>) -> Update {
    match answer {
        Ok(located) if located.stale => Update::Stale,
        Ok(_) => Update::Written,
        Err(Refused::InUse) => Update::InUse,
        Err(Refused::Unavailable) => Update::Unavailable,
        Err(Refused::NoAccount | Refused::Failed) => Update::Failed,
    }
}

/// So a row that cannot be written fails alone.
async fn one_by_one(state: &AppState, updates: &[LocationUpdate]) -> Vec<Result<Located, Refused>> {
    let mut answers = Vec::with_capacity(updates.len());
    for update in updates {
        // Once the database is away, it is so for the rest, too.
        if matches!(answers.last(), Some(Err(Refused::Unavailable))) {
            answers.push(Err(Refused::Unavailable));
            continue;
        }
        let answer = in_time(write_together(state, std::slice::from_ref(update), &mut None)).await;
        answers.push(answer.map_err(refused).and_then(|mut one| one.pop().unwrap_or(Err(Refused::Failed))));
    }
    answers
}

fn refused(error: sqlx::Error) -> Refused {
    if error.as_database_error().is_some_and(|error| error.constraint() == Some("device_connections_user_id_fkey")) {
        return Refused::NoAccount;
    }
    let error = DbError::new("writing positions of devices", error);
    if error.is_unavailable() {
        tracing::warn!(error = &error as &dyn std::error::Error, "database unavailable while {}", error.doing());
        return Refused::Unavailable;
    }
    tracing::error!(error = &error as &dyn std::error::Error, "database error while {}", error.doing());
    Refused::Failed
}

/// Writes updates of different devices, in the order of the devices, and places those that need an edge; the answers
/// in the same order.
async fn write_together(
    state: &AppState,
    updates: &[LocationUpdate],
    holding: &mut Option<Holding>,
) -> Result<Vec<Result<Located, Refused>>, sqlx::Error> {
    let mut transaction = state.db.write().begin_with(places::BEGIN).await?;
    let connection: &mut PgConnection = transaction.acquire().await?;
    let written = store::write_locations(connection, updates).await?;
    let choosing: Vec<String> =
        updates.iter().map(|update| &update.device_id).filter(|id| written.get(*id).is_some_and(|row| row.choose)).cloned().collect();
    let placed = places::place(connection, &state.supervision.choice, &choosing, By::Phone).await?;
    drop(holding.take());
    transaction.commit().await?;
    places::note(&placed, By::Phone);
    let placed = settle(state, placed).await;
    state.devices.presence.note(written.values().filter_map(store::WrittenRow::presence));
    Ok(answer(updates, written, placed))
}

/// Tries again those whose candidates others took meanwhile, each time on what is there now, until each has a place
/// or the choice itself says that there is none.
async fn settle(state: &AppState, placed: Vec<Place>) -> HashMap<String, Place> {
    let mut settled = HashMap::new();
    let mut placed = placed;
    for _ in 0..MAX_ROUNDS {
        let (done, open): (Vec<_>, Vec<_>) = placed.into_iter().partition(|place| place.settled);
        settled.extend(done.into_iter().map(|place| (place.device_id.clone(), place)));
        if open.is_empty() {
            return settled;
        }
        let ids: Vec<String> = open.iter().map(|place| place.device_id.clone()).collect();
        match again(state, &ids).await {
            Ok(next) => placed = next,
            Err(error) => {
                // Their positions are written; the edge follows with the next one.
                let error = DbError::new("placing devices", error);
                tracing::warn!(error = &error as &dyn std::error::Error, "some devices wait for an edge");
                settled.extend(open.into_iter().map(|place| (place.device_id.clone(), place)));
                return settled;
            }
        }
    }
    tracing::warn!(devices = placed.len(), "the candidates of some devices were taken by others again and again");
    settled.extend(placed.into_iter().map(|place| (place.device_id.clone(), place)));
    settled
}

async fn again(state: &AppState, device_ids: &[String]) -> Result<Vec<Place>, sqlx::Error> {
    let mut transaction = state.db.write().begin_with(places::BEGIN).await?;
    let connection: &mut PgConnection = transaction.acquire().await?;
    let there = store::lock_connected(connection, device_ids).await?;
    let placed = places::place(connection, &state.supervision.choice, &there, By::Phone).await?;
    transaction.commit().await?;
    places::note(&placed, By::Phone);
    Ok(placed)
}

fn answer(
    updates: &[LocationUpdate],
    mut written: HashMap<String, store::WrittenRow>,
    mut placed: HashMap<String, Place>,
) -> Vec<Result<Located, Refused>> {
    let answer = |update: &LocationUpdate| {
        let row = written.remove(&update.device_id).ok_or(Refused::InUse)?;
        let stale = row.is_newer_than(update.recorded_at);
        let mut device = Device::from(row.device);
        let place = placed.remove(&update.device_id);
        let (edge_server, reason, handover) = match place {
            Some(place) => (place.edge, place.reason, place.handover),
            None => (row.edge, row.edge_reason, false),
        };
        device.edge_server_id = edge_server.as_ref().map(|edge| edge.id);
        Ok(Located { device, edge_server, reason, handover, stale })
    };
    updates.iter().map(answer).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::response::IntoResponse;
    use futures_util::FutureExt;

    #[tokio::test]
    async fn who_finds_the_queue_full_is_told_at_once() {
        let devices = Devices::new();
        let update = |number: usize| LocationUpdate {
            device_id: number.to_string(),
            user_id: Uuid::nil(),
            position: LatLng::new(0.0, 0.0).expect("on Earth"),
            accuracy_meters: None,
            recorded_at: None,
            app_version: None,
            device_info: None,
        };
        for number in 0..QUEUE {
            assert!(devices.locate(update(number)).now_or_never().is_none(), "waits for the writer");
        }
        let refused = devices.locate(update(QUEUE)).now_or_never().expect("at once").expect_err("full");
        let response = refused.into_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(response.headers().contains_key("retry-after"));
    }
}

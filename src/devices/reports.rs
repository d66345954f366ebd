//! What edges report of the phones that are connected to them: signs of life, positions, and that one left. Two
//! writers an instance group what is there, whichever edge it came from; an edge is always the same one's, so that
//! its reports stay in order.
//!
//! Queues: bounded in frames; who finds one full waits, and so does the edge at the other end of the socket. A report
//! counts only while its edge's session is the newest one and the device is assigned to that edge; all others are
//! counted and forgotten. Nobody waits for the outcome: a phone that is still there is reported again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};
use geo_types::Point;
use h3o::Resolution;
use sqlx::{Acquire, PgConnection};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tracing::Instrument;
use uuid::Uuid;

use super::places::{self, Leaving};
use super::presence::Seen;
use super::{in_time, next};
use crate::db::DbError;
use crate::geo::{Cell, Geog, LatLng};
use crate::state::AppState;
use crate::telemetry::{self, meters};

/// Writers.
const LANES: usize = 2;
/// Frames that may wait for each.
const QUEUE: usize = 32;
/// Most devices of a batch; a single frame may have as many.
const MAX_DEVICES: usize = 500;

/// What an edge says of a device.
#[derive(Clone, Debug)]
pub struct Report {
    device_id: String,
    what: What,
}

#[derive(Clone, Copy, Debug)]
enum What {
    /// It is there, at this position perhaps.
    Seen(Option<Fix>),
    /// It left.
    Left,
}

#[derive(Clone, Copy, Debug)]
struct Fix {
    position: LatLng,
    /// By the device's own clock; none: now.
    recorded_at: Option<DateTime<Utc>>,
}

impl Report {
    /// It is there, at this position perhaps, where it was at a time by its own clock.
    #[must_use]
    pub fn seen(device_id: String, position: Option<LatLng>, recorded_at: Option<DateTime<Utc>>) -> Self {
        Self { device_id, what: What::Seen(position.map(|position| Fix { position, recorded_at })) }
    }

    pub(super) fn left(device_id: String) -> Self {
        Self { device_id, what: What::Left }
    }
}

/// Reports that came together over a session.
pub(super) struct Frame {
    pub(super) edge_id: Uuid,
    /// Of the edge's session.
    pub(super) generation: i64,
    pub(super) reports: Vec<Report>,
}

/// How many reports counted for nothing.
#[derive(Default)]
pub(super) struct Ignored(AtomicU64);

impl Ignored {
    pub(super) fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn add(&self, reports: usize) {
        self.0.fetch_add(reports as u64, Ordering::Relaxed);
    }
}

/// The queues, whose reading ends the writers take.
pub(super) struct Queues {
    senders: [mpsc::Sender<Frame>; LANES],
    readers: Mutex<Vec<mpsc::Receiver<Frame>>>,
}

impl Queues {
    pub(super) fn new() -> Self {
        let mut readers = Vec::with_capacity(LANES);
        let senders = std::array::from_fn(|_| {
            let (sender, reader) = mpsc::channel(QUEUE);
            readers.push(reader);
            sender
        });
        Self { senders, readers: Mutex::new(readers) }
    }

    /// How many frames wait, and how many may.
    pub(super) fn waiting(&self) -> (usize, usize) {
        let room: usize = self.senders.iter().map(mpsc::Sender::capacity).sum();
        (LANES * QUEUE - room.min(LANES * QUEUE), LANES * QUEUE)
    }

    /// The reading ends, once.
    pub(super) fn readers(&self) -> Vec<mpsc::Receiver<Frame>> {
        std::mem::take(&mut *self.readers.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts a frame in, once there is room.
    pub(super) async fn push(&self, frame: Frame) {
        let lane = usize::from(frame.edge_id.as_bytes()[15]) % LANES;
        if self.senders[lane].send(frame).await.is_err() {
            tracing::debug!("a report came after the end");
        }
    }
}

/// A device as an edge names it over a session.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Named {
    device_id: String,
    edge_id: Uuid,
    generation: i64,
}

/// What is written together: the newest of each device, in the order of their ids.
#[derive(Default)]
struct Batch {
    seen: BTreeMap<Named, Option<Fix>>,
    left: BTreeSet<Named>,
}

impl Batch {
    /// Takes a frame in; gives back what must wait for the next batch: whatever comes after a device left.
    fn take(&mut self, frame: Frame) -> Option<Frame> {
        let Frame { edge_id, generation, reports } = frame;
        let mut reports = reports.into_iter();
        while let Some(report) = reports.next() {
            let named = Named { device_id: report.device_id, edge_id, generation };
            if self.left.contains(&named) {
                let rest = std::iter::once(Report { device_id: named.device_id, what: report.what }).chain(reports);
                return Some(Frame { edge_id, generation, reports: rest.collect() });
            }
            match report.what {
                What::Left => {
                    self.left.insert(named);
                }
                What::Seen(fix) => match self.seen.get_mut(&named) {
                    Some(known) => *known = newer(*known, fix),
                    None => {
                        self.seen.insert(named, fix);
                    }
                },
            }
        }
        None
    }

    fn devices(&self) -> usize {
        self.seen.len() + self.left.len()
    }
}

fn newer(known: Option<Fix>, came: Option<Fix>) -> Option<Fix> {
    match (known, came) {
        (Some(known), Some(came)) => {
            let is_newer = came.recorded_at.zip(known.recorded_at).is_none_or(|(came, known)| came >= known);
            Some(if is_newer { came } else { known })
        }
        (known, came) => came.or(known),
    }
}

/// A batch in the form in which it is written.
struct Rows {
    seen: Vec<(Named, Option<Fix>)>,
    columns: Columns,
    left: Vec<Named>,
}

/// What was seen, one array a column.
#[derive(Default)]
struct Columns {
    device_ids: Vec<String>,
    edge_ids: Vec<Uuid>,
    generations: Vec<i64>,
    positions: Vec<Option<Geog<Point<f64>>>>,
    recorded_at: Vec<Option<DateTime<Utc>>>,
    cell_centres: Vec<Option<Geog<Point<f64>>>>,
    h3_r7: Vec<Option<i64>>,
    h3_r9: Vec<Option<i64>>,
}

impl From<Batch> for Rows {
    fn from(batch: Batch) -> Self {
        let seen: Vec<_> = batch.seen.into_iter().collect();
        Self { columns: Columns::of(&seen), seen, left: batch.left.into_iter().collect() }
    }
}

impl Columns {
    fn of(seen: &[(Named, Option<Fix>)]) -> Self {
        let mut columns = Self::default();
        for (named, fix) in seen {
            columns.device_ids.push(named.device_id.clone());
            columns.edge_ids.push(named.edge_id);
            columns.generations.push(named.generation);
            let cell = fix.map(|fix| Cell::at(fix.position, Resolution::Nine));
            columns.positions.push(fix.map(|fix| Geog(fix.position.into())));
            columns.recorded_at.push(fix.and_then(|fix| fix.recorded_at));
            columns.cell_centres.push(cell.map(|cell| Geog(cell.centre().into())));
            columns.h3_r7.push(fix.map(|fix| Cell::at(fix.position, Resolution::Seven).to_db()));
            columns.h3_r9.push(cell.map(Cell::to_db));
        }
        columns
    }
}

/// Writes until the last request was answered. While one batch is written, the next is made ready.
pub(super) async fn run(state: AppState, mut queue: mpsc::Receiver<Frame>) {
    let mut held_over = None;
    let mut written: Option<JoinHandle<()>> = None;
    loop {
        let first = match held_over.take() {
            Some(frame) => Some(frame),
            None => next(&mut queue, &state.lifecycle).await,
        };
        let Some(first) = first else { break };
        let mut batch = Batch::default();
        held_over = batch.take(first);
        while held_over.is_none() && batch.devices() < MAX_DEVICES {
            let Ok(frame) = queue.try_recv() else { break };
            held_over = if batch.devices() + frame.reports.len() > MAX_DEVICES { Some(frame) } else { batch.take(frame) };
        }
        let rows = Rows::from(batch);
        end(written.take()).await;
        // In a task of its own: should it panic, the next batch is written all the same.
        let writing = write(state.clone(), rows).instrument(telemetry::work("writing reports of edges"));
        written = Some(state.lifecycle.spawn_answering(writing));
    }
    end(written).await;
}

async fn end(written: Option<JoinHandle<()>>) {
    if let Some(written) = written
        && let Err(error) = written.await
    {
        tracing::error!(%error, "writing reports of edges broke off");
    }
}

async fn write(state: AppState, rows: Rows) {
    let Rows { seen, columns, left } = rows;
    let failed = |error| {
        let error = DbError::new("writing reports of edges", error);
        tracing::warn!(error = &error as &dyn std::error::Error, "reports of edges are lost");
    };
    match in_time(write_seen(&state, &columns)).await {
        Ok(()) => {}
        Err(error) if DbError::means_unavailable(&error) => failed(error),
        // One by one, so that one that cannot be written fails alone.
        Err(_) => {
            for one in &seen {
                if let Err(error) = in_time(write_seen(&state, &Columns::of(std::slice::from_ref(one)))).await {
                    failed(error);
                }
            }
        }
    }
    if let Err(error) = in_time(write_left(&state, &left)).await {
        failed(error);
    }
}

async fn write_seen(state: &AppState, columns: &Columns) -> Result<(), sqlx::Error> {
    if columns.device_ids.is_empty() {
        return Ok(());
    }
    let mut transaction = state.db.write().begin_with(places::BEGIN).await?;
    let connection: &mut PgConnection = transaction.acquire().await?;
    let written = update_seen(connection, columns).await?;
    transaction.commit().await?;
    meters().devices.reports.increment(written.len() as u64);
    state.devices.ignored.add(columns.device_ids.len() - written.len());
    state.devices.presence.note(written.into_iter().flatten());
    Ok(())
}

/// Notes signs of life, and positions that are newer than those known; one entry for each device that counted. An
/// edge's clock may be wrong: what it says of the future happens now.
async fn update_seen(connection: &mut PgConnection, columns: &Columns) -> Result<Vec<Option<Seen>>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"UPDATE ar.device_connections d SET last_ping = now(),
               position = CASE WHEN r.position IS NULL OR d.recorded_at > r.recorded_at THEN d.position ELSE r.position END,
               positioned_at = CASE WHEN r.position IS NULL OR d.recorded_at > r.recorded_at THEN d.positioned_at ELSE now() END,
               accuracy_meters = CASE WHEN r.position IS NULL OR d.recorded_at > r.recorded_at THEN d.accuracy_meters END,
               recorded_at = CASE WHEN r.position IS NULL OR d.recorded_at > r.recorded_at THEN d.recorded_at ELSE least(r.recorded_at, now()) END,
               cell_centre = CASE WHEN r.position IS NULL OR d.recorded_at > r.recorded_at THEN d.cell_centre ELSE r.cell_centre END,
               h3_r7 = CASE WHEN r.position IS NULL OR d.recorded_at > r.recorded_at THEN d.h3_r7 ELSE r.h3_r7 END,
               h3_r9 = CASE WHEN r.position IS NULL OR d.recorded_at > r.recorded_at THEN d.h3_r9 ELSE r.h3_r9 END
           FROM unnest($1::text[], $2::uuid[], $3::bigint[], $4::geography[], $5::timestamptz[], $6::geography[], $7::bigint[], $8::bigint[])
               AS r(device_id, edge_server_id, generation, position, recorded_at, cell_centre, h3_r7, h3_r9)
           WHERE d.device_id = r.device_id AND d.edge_server_id = r.edge_server_id AND d.connection_status <> 'disconnected'
             AND r.generation = (SELECT s.generation FROM ar.edge_sessions s WHERE s.edge_server_id = r.edge_server_id)
           RETURNING d.user_id, d.h3_r7, d.last_ping"#,
        &columns.device_ids,
        &columns.edge_ids,
        &columns.generations,
        &columns.positions as _,
        &columns.recorded_at as _,
        &columns.cell_centres as _,
        &columns.h3_r7 as _,
        &columns.h3_r9 as _
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| Some(Seen::at(row.last_ping, row.h3_r7?, row.user_id?))).collect())
}

async fn write_left(state: &AppState, left: &[Named]) -> Result<(), sqlx::Error> {
    if left.is_empty() {
        return Ok(());
    }
    let mut transaction = state.db.write().begin_with(places::BEGIN).await?;
    let connection: &mut PgConnection = transaction.acquire().await?;
    let leaving = lock_left(connection, left).await?;
    places::disconnect(connection, &leaving).await?;
    transaction.commit().await?;
    meters().devices.reports.increment(leaving.len() as u64);
    state.devices.ignored.add(left.len() - leaving.len());
    Ok(())
}

async fn lock_left(connection: &mut PgConnection, left: &[Named]) -> Result<Vec<Leaving>, sqlx::Error> {
    sqlx::query_as!(
        Leaving,
        r#"SELECT d.device_id, d.edge_server_id
           FROM unnest($1::text[], $2::uuid[], $3::bigint[]) AS r(device_id, edge_server_id, generation)
           JOIN ar.device_connections d ON d.device_id = r.device_id
           WHERE d.edge_server_id = r.edge_server_id
             AND r.generation = (SELECT s.generation FROM ar.edge_sessions s WHERE s.edge_server_id = r.edge_server_id)
           ORDER BY d.device_id COLLATE "C" FOR NO KEY UPDATE OF d"#,
        &left.iter().map(|named| named.device_id.clone()).collect::<Vec<_>>(),
        &left.iter().map(|named| named.edge_id).collect::<Vec<_>>(),
        &left.iter().map(|named| named.generation).collect::<Vec<_>>()
    )
    .fetch_all(connection)
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    const EDGE: Uuid = Uuid::from_u128(1);

    fn fix(lat_deg: f64, second: Option<i64>) -> Fix {
        let position = LatLng::new(lat_deg, 0.0).expect("on Earth");
        Fix { position, recorded_at: second.and_then(|second| DateTime::from_timestamp(second, 0)) }
    }

    fn seen(device_id: &str, fix: Option<Fix>) -> Report {
        Report { device_id: device_id.to_owned(), what: What::Seen(fix) }
    }

    fn frame(reports: Vec<Report>) -> Frame {
        Frame { edge_id: EDGE, generation: 1, reports }
    }

    #[test]
    fn the_newest_position_of_each_device_counts() {
        let mut batch = Batch::default();
        let first = [seen("b", Some(fix(1.0, Some(9)))), seen("a", None), seen("b", Some(fix(2.0, Some(8))))];
        assert!(batch.take(frame(first.to_vec())).is_none());
        assert!(batch.take(frame(vec![seen("a", Some(fix(3.0, None))), seen("a", None)])).is_none());
        let found = batch.seen.iter().map(|(named, fix)| (named.device_id.as_str(), fix.map(|fix| fix.position.lat_deg())));
        assert_eq!(found.collect::<Vec<_>>(), [("a", Some(3.0)), ("b", Some(1.0))]);
        assert_eq!(batch.devices(), 2);
    }

    #[test]
    fn what_comes_after_a_device_left_waits() {
        let mut batch = Batch::default();
        let reports = vec![seen("a", None), Report::left("a".to_owned()), seen("b", None), seen("a", None), seen("c", None)];
        let rest = batch.take(frame(reports)).expect("waits");
        assert_eq!(rest.reports.iter().map(|report| report.device_id.as_str()).collect::<Vec<_>>(), ["a", "c"]);
        assert_eq!((batch.seen.len(), batch.left.len()), (2, 1));
    }
}

//! Writing into the books what edges acknowledge: of all sockets together, as fast as the database takes it.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError};

use tokio::sync::mpsc;
use uuid::Uuid;

use super::machine::Answer;
use super::session::Session;
use super::store::{self, MAX_ERROR_CHARS, Said};
use crate::db::within_deadline;
use crate::hub::protocol::{SyncAck, SyncResult};
use crate::state::AppState;
use crate::telemetry::meters;

/// Acknowledgements that wait for the books.
pub(super) const MAX_WAITING: usize = 256;
/// Acknowledgements that are written together.
const MAX_TOGETHER: usize = 64;

/// What an edge said of a batch.
pub(super) struct Acknowledged {
    session: Arc<Session>,
    batch_id: u64,
    said: Vec<Said>,
}

impl Acknowledged {
    /// An acknowledgement, and whether it was waited for. What was taken counts even when nobody did, because it was said
    /// before or came late: the books know what they wait for.
    pub(super) fn by(session: &Arc<Session>, SyncAck { batch_id, results }: SyncAck) -> (Self, bool) {
        let answer = session.machine().acknowledged(batch_id, results.len());
        let said = |SyncResult { id, sync_version, ok, error }: SyncResult| Said {
            edge_id: session.edge_id,
            session_id: session.session_id,
            decoration_id: id,
            number: sync_version,
            refused: (!ok).then(|| error.map_or_else(|| "refused without a word".to_owned(), |error| shown(&error))),
        };
        let said: Vec<Said> = results.into_iter().filter(|result| answer.counts(result.ok)).map(said).collect();
        (Self { session: Arc::clone(session), batch_id, said }, answer == Answer::Whole)
    }

    /// For an edge that gives no answer to what it was sent alone, again and again.
    pub(super) fn missing(session: &Arc<Session>, items: Vec<(Uuid, i64)>) -> Self {
        let said = |(decoration_id, number)| Said {
            edge_id: session.edge_id,
            session_id: session.session_id,
            decoration_id,
            number,
            refused: Some("the edge server gives no answer to it".to_owned()),
        };
        // No batch has this number.
        Self { session: Arc::clone(session), batch_id: 0, said: items.into_iter().map(said).collect() }
    }
}

/// What an edge says, as it is kept: the beginning, and nothing that a terminal would take for orders.
fn shown(error: &str) -> String {
    error.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_ERROR_CHARS).collect()
}

pub(super) async fn write_until(state: AppState) {
    let taken = state.sync.acks_taken.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some(mut waiting) = taken else { return };
    let stopping = state.lifecycle.stopping();
    loop {
        let mut acks = Vec::new();
        tokio::select! {
            () = stopping.cancelled() => return write_rest(&state, waiting).await,
            _ = waiting.recv_many(&mut acks, MAX_TOGETHER) => write(&state, acks).await,
        }
    }
}

/// What came before the stop is written: else it would be sent again.
async fn write_rest(state: &AppState, mut waiting: mpsc::Receiver<Acknowledged>) {
    let mut acks = Vec::new();
    while let Ok(ack) = waiting.try_recv() {
        acks.push(ack);
    }
    write(state, acks).await;
}

async fn write(state: &AppState, acks: Vec<Acknowledged>) {
    let said: Vec<Said> = acks.iter().flat_map(|ack| ack.said.iter().cloned()).collect();
    meters().sync.refusals.increment(said.iter().filter(|said| said.refused.is_some()).count() as u64);
    let max_attempts = state.supervision.sync_max_attempts;
    let writing = within_deadline(state.db.background(), "writing acknowledgements", async |connection| {
        store::record(connection, &said, max_attempts).await
    });
    let mut changes = match writing.await {
        Ok(changes) => changes,
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "acknowledgements are lost: what they were for is sent again");
            meters().sync.resends.increment(acks.len() as u64);
            for ack in &acks {
                ack.session.machine().not_recorded(ack.batch_id);
            }
            return state.sync.wake(acks.iter().map(|ack| ack.session.edge_id));
        }
    };
    // What the edge has, by edge, as far as it did not count.
    let mut uncounted: HashMap<Uuid, usize> = HashMap::new();
    for said in said.iter().filter(|said| said.refused.is_none()) {
        *uncounted.entry(said.edge_id).or_default() += 1;
    }
    uncounted.retain(|edge_id, said| *said > changes.get(edge_id).map_or(0, Vec::len));
    let mut edge_ids: HashSet<Uuid> = HashSet::new();
    for ack in acks {
        let edge_id = ack.session.edge_id;
        if uncounted.contains_key(&edge_id) {
            // It is getting another number, or has it: that is delivered before any checkpoint, which would differ. Whoever
            // gives the number tells of it; not at once, or it would come again and again until then.
            ack.session.machine().wake();
        } else {
            edge_ids.insert(edge_id);
        }
        // All changes of an edge at once: the first of its batches takes them.
        let changes = changes.remove(&edge_id).unwrap_or_default();
        ack.session.machine().recorded(ack.batch_id, &changes);
    }
    state.sync.wake(edge_ids);
}

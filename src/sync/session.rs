//! The sync of one edge's socket: its state machine, and the way out.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dashmap::DashMap;
use uuid::Uuid;

use super::machine::{Act, Batch, Entry, Machine, Weight};
use crate::decorations::Decoration;
use crate::hub::protocol::{
    Checkpoint, DigestRequest, Held, InventoryRequest, Numbered, NumberedDecoration, SnapshotPart, SyncDecorations, ToEdge,
};
use crate::hub::{Closing, Outbox, text};

impl Weight for Decoration {
    fn bytes(&self) -> usize {
        /// Names of members, numbers, times and cells.
        const FRAME_BYTES: usize = 900;
        let optional = [&self.description, &self.low_res_url, &self.medium_res_url, &self.high_res_url];
        let text_bytes = self.name.len() + self.category.len() + optional.into_iter().flatten().map(String::len).sum::<usize>();
        // A quote, a line break or a tab takes two; other control characters there are none.
        FRAME_BYTES + 2 * text_bytes
    }
}

/// One socket's sync.
#[expect(clippy::struct_field_names, reason = "it is the socket's session, as everywhere")]
pub(crate) struct Session {
    pub(super) edge_id: Uuid,
    pub(super) session_id: Uuid,
    /// Rises with every session of an edge.
    generation: i64,
    /// Numbers are of this epoch.
    pub(super) epoch: String,
    outbox: Arc<Outbox>,
    machine: Mutex<Machine>,
    /// When the edge was last told to compare, in milliseconds since the service began.
    pub(super) checked_ms: AtomicU64,
}

impl Session {
    pub(crate) fn new(
        edge_id: Uuid,
        (session_id, generation): (Uuid, i64),
        epoch: String,
        outbox: Arc<Outbox>,
        machine: Machine,
        now_ms: u64,
    ) -> Self {
        Self { edge_id, session_id, generation, epoch, outbox, machine: Mutex::new(machine), checked_ms: AtomicU64::new(now_ms) }
    }

    pub(super) fn machine(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is time to compare again; from now on it is not.
    pub(super) fn is_to_check(&self, now_ms: u64, interval_ms: u64) -> bool {
        let is_time = now_ms.saturating_sub(self.checked_ms.load(Ordering::Relaxed)) >= interval_ms;
        if is_time {
            self.checked_ms.store(now_ms, Ordering::Relaxed);
        }
        is_time
    }

    pub(super) fn close(&self, closing: Closing) {
        self.outbox.close(closing);
    }

    /// Sends what is due.
    pub(super) fn send(&self, batch: Batch<Decoration>) {
        let Batch { id: batch_id, entries, snapshot } = batch;
        let version = entries.iter().map(|entry| entry.number).max().unwrap_or(0);
        let (mut decorations, mut removed) = (Vec::with_capacity(entries.len()), Vec::new());
        for Entry { id, number, content } in entries {
            match content {
                Some(decoration) => decorations.push(NumberedDecoration { sync_version: number, decoration }),
                None => removed.push(Numbered { id, sync_version: number }),
            }
        }
        let snapshot = snapshot.map(|(first, last)| SnapshotPart { first, last });
        self.put(&ToEdge::SyncDecorations(SyncDecorations { batch_id, version, decorations, removed, snapshot }));
    }

    /// Says what the state machine wants said; gives back what is to be done otherwise.
    pub(super) fn say(&self, act: Act) -> Option<Act> {
        let message = match act {
            Act::SendLast { batch_id, first } => {
                self.send(Batch { id: batch_id, entries: Vec::new(), snapshot: Some((first, true)) });
                return None;
            }
            Act::SendCheckpoint { number, held } => {
                let held = Held { count: held.count, digest: held.digest.to_string() };
                ToEdge::Checkpoint(Checkpoint { version: number, held })
            }
            Act::AskDigests { bits } => ToEdge::DigestRequest(DigestRequest { bits }),
            Act::AskInventory { bits, prefixes } => ToEdge::InventoryRequest(InventoryRequest { bits, prefixes }),
            other => return Some(other),
        };
        self.put(&message);
        None
    }

    fn put(&self, message: &ToEdge) {
        self.outbox.put(text(message));
    }
}

/// The sessions of this instance, by edge.
#[derive(Default)]
pub(super) struct Sessions(DashMap<Uuid, Arc<Session>>);

impl Sessions {
    /// Puts a session in, unless a newer one of its edge came before.
    pub(super) fn enter(&self, session: Arc<Session>) {
        let mut known = self.0.entry(session.edge_id).or_insert_with(|| Arc::clone(&session));
        if known.generation < session.generation {
            *known = session;
        }
    }

    /// Takes a session out, if it is still the one of its edge.
    pub(super) fn leave(&self, session: &Session) {
        self.0.remove_if(&session.edge_id, |_, known| known.session_id == session.session_id);
    }

    pub(super) fn find(&self, edge_id: Uuid) -> Option<Arc<Session>> {
        self.0.get(&edge_id).map(|session| Arc::clone(&session))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn all(&self) -> Vec<Arc<Session>> {
        self.0.iter().map(|session| Arc::clone(&session)).collect()
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::*;
    use crate::decorations::{AssetType, H3};
    use crate::geo::{Cells, LatLng};

    #[test]
    fn the_newest_session_of_an_edge_stays_whoever_enters_first() {
        let (sessions, edge_id) = (Sessions::default(), Uuid::now_v7());
        let session = |generation: i64| {
            let machine = Machine::begin(true, crate::sync::Sum::default(), crate::sync::Books::default());
            Arc::new(Session::new(edge_id, (Uuid::now_v7(), generation), String::new(), Arc::default(), machine, 0))
        };
        let generation = || sessions.find(edge_id).map(|session| session.generation);
        let (older, newer) = (session(1), session(2));
        sessions.enter(Arc::clone(&newer));
        sessions.enter(Arc::clone(&older));
        assert_eq!(generation(), Some(2));
        sessions.leave(&older);
        assert_eq!(generation(), Some(2));
        sessions.enter(session(3));
        sessions.leave(&newer);
        assert_eq!(generation(), Some(3));
    }

    /// What takes the most room that there may be.
    #[test]
    fn no_decoration_takes_more_than_is_reckoned_with() {
        let cells = Cells::of(LatLng::new(-12.345_678_901_234_567, -123.456_789_012_345_67).expect("on Earth"));
        let text = |length: usize| "\"".repeat(length);
        let decoration = Decoration {
            id: Uuid::max(),
            name: text(255),
            description: Some("\n".repeat(2_000)),
            category: text(100),
            lat: -12.345_678_901_234_567,
            lng: -123.456_789_012_345_67,
            radius_meters: i32::MIN,
            height_offset: -1.234_567_890_123_456_7e-300,
            low_res_url: Some(text(500)),
            medium_res_url: Some(text(500)),
            high_res_url: None,
            scale_x: -1.234_567_890_123_456_7e-300,
            scale_y: -1.234_567_890_123_456_7e-300,
            scale_z: -1.234_567_890_123_456_7e-300,
            rotation_x: -1.234_567_890_123_456_7e-300,
            rotation_y: -1.234_567_890_123_456_7e-300,
            rotation_z: -1.234_567_890_123_456_7e-300,
            asset_type: AssetType::Animation,
            file_size_bytes: Some(i64::MIN),
            is_active: false,
            version: i64::MIN,
            h3: H3 { r5: cells.r5, r7: cells.r7, r9: cells.r9 },
            created_at: DateTime::<Utc>::MIN_UTC,
            updated_at: DateTime::<Utc>::MIN_UTC,
        };
        let reckoned = decoration.bytes();
        let written = text_of(decoration);
        assert!(written <= reckoned, "{written} {reckoned}");
    }

    fn text_of(decoration: Decoration) -> usize {
        serde_json::to_string(&NumberedDecoration { sync_version: i64::MIN, decoration }).expect("JSON").len()
    }
}

//! The sync of one edge's socket: its state machine, and the way out.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dashmap::DashMap;
use uuid::Uuid;

use super::machine::{Act, Batch, Entry, Machine, Weight};
use crate::decorations::Decoration;
use crate::hub::protocol::{Checkpoint, DigestRequest, Held, InventoryRequest, Numbered, SnapshotPart, ToEdge};
use crate::hub::{Closing, Outbox, text};
use crate::telemetry::meters;

/// A decoration as it is written, but for its number: an edge's entry is this after the number. Made once, however many
/// edges get it.
#[derive(Clone)]
pub(super) struct Written(Arc<str>);

/// What stands before it: `{"sync_version":` and up to 20 digits, `,`; and behind it, `,`.
const NUMBER_BYTES: usize = 38;

impl Written {
    pub(super) fn of(decoration: &Decoration) -> Self {
        let object = text(decoration);
        Self(Arc::from(object.strip_prefix('{').expect("a struct is an object")))
    }
}

impl Weight for Written {
    fn bytes(&self) -> usize {
        NUMBER_BYTES + self.0.len()
    }
}

/// A batch as `SyncDecorations` would be written. In one piece of memory that is large enough, because such pieces are
/// large, and there are many of them.
fn written(batch: &Batch<Written>) -> String {
    /// Names of members, three numbers and what begins and ends.
    const FRAME_BYTES: usize = 192;
    let version = batch.entries.iter().map(|entry| entry.number).max().unwrap_or(0);
    let (puts, removals): (Vec<_>, Vec<_>) = batch.entries.iter().partition(|entry| entry.content.is_some());
    let removed: Vec<_> = removals.iter().map(|entry| Numbered { id: entry.id, sync_version: entry.number }).collect();
    let (removed, snapshot) = (text(&removed), text(&batch.snapshot.map(|(first, last)| SnapshotPart { first, last })));
    let bytes = puts.iter().filter_map(|entry| entry.content.as_ref()).map(Weight::bytes).sum::<usize>();
    let mut message = String::with_capacity(FRAME_BYTES + bytes + removed.len());
    let number = batch.id.to_string();
    let version = version.to_string();
    message.extend([r#"{"type":"sync_decorations","data":{"batch_id":"#, &number, r#","version":"#, &version, r#","decorations":["#]);
    for (place, Entry { number, content, .. }) in puts.into_iter().enumerate() {
        let Some(Written(content)) = content else { continue };
        let before = if place == 0 { r#"{"sync_version":"# } else { r#",{"sync_version":"# };
        message.extend([before, &number.to_string(), ",", content]);
    }
    message.extend([r#"],"removed":"#, &removed, r#","snapshot":"#, &snapshot, "}}"]);
    message
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
    checked_ms: AtomicU64,
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

    /// Whether it is time to compare again.
    pub(super) fn is_to_check(&self, now_ms: u64, interval_ms: u64) -> bool {
        now_ms.saturating_sub(self.checked_ms.load(Ordering::Relaxed)) >= interval_ms
    }

    pub(super) fn was_checked(&self, now_ms: u64) {
        self.checked_ms.store(now_ms, Ordering::Relaxed);
    }

    pub(super) fn close(&self, closing: Closing) {
        self.outbox.close(closing);
    }

    /// Sends what is due.
    pub(super) fn send(&self, batch: &Batch<Written>) {
        meters().sync.batches.increment(1);
        meters().sync.items.increment(batch.entries.len() as u64);
        self.outbox.put(written(batch).into());
    }

    /// Says what the state machine wants said; gives back what is to be done otherwise.
    pub(super) fn say(&self, act: Act) -> Option<Act> {
        let message = match act {
            Act::SendLast { batch_id, first } => {
                self.send(&Batch { id: batch_id, entries: Vec::new(), snapshot: Some((first, true)) });
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
    use crate::hub::protocol::{NumberedDecoration, SyncDecorations};

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

    fn decoration(name: &str) -> Decoration {
        let cells = Cells::of(LatLng::new(-12.345_678_901_234_567, -123.456_789_012_345_67).expect("on Earth"));
        Decoration {
            id: Uuid::max(),
            name: name.to_owned(),
            description: Some("\n\"\u{1F3EE}".to_owned()),
            category: "night".to_owned(),
            lat: -12.345_678_901_234_567,
            lng: -123.456_789_012_345_67,
            radius_meters: 40,
            height_offset: 1.5,
            low_res_url: None,
            medium_res_url: None,
            high_res_url: None,
            scale_x: 1.0,
            scale_y: 1.0,
            scale_z: 1.0,
            rotation_x: 0.0,
            rotation_y: 0.0,
            rotation_z: 0.0,
            asset_type: AssetType::Animation,
            file_size_bytes: Some(i64::MAX),
            is_active: true,
            version: i64::MAX,
            h3: H3 { r5: cells.r5, r7: cells.r7, r9: cells.r9 },
            created_at: DateTime::<Utc>::MIN_UTC,
            updated_at: DateTime::<Utc>::MIN_UTC,
        }
    }

    fn batch(decorations: &[Decoration], removed: &[i64], snapshot: Option<(bool, bool)>) -> Batch<Written> {
        let puts = decorations.iter().map(|one| Entry { id: one.id, number: i64::MAX, content: Some(Written::of(one)) });
        let removals = removed.iter().map(|number| Entry { id: Uuid::nil(), number: *number, content: None });
        Batch { id: 7, entries: removals.chain(puts).collect(), snapshot }
    }

    /// The documents are made from the type, so what is written is to be as if the type were.
    #[test]
    fn a_batch_is_written_as_its_type_says() {
        let two = [decoration("a"), decoration("b")];
        for (decorations, removed, snapshot) in
            [(&two[..], &[1, 2][..], None), (&two[..1], &[], Some((true, false))), (&[], &[], Some((false, true))), (&[], &[3], None)]
        {
            let numbered = |decoration: &Decoration| NumberedDecoration { sync_version: i64::MAX, decoration: decoration.clone() };
            let version = if decorations.is_empty() { removed.iter().max().copied().unwrap_or(0) } else { i64::MAX };
            let message = ToEdge::SyncDecorations(SyncDecorations {
                batch_id: 7,
                version,
                decorations: decorations.iter().map(numbered).collect(),
                removed: removed.iter().map(|number| Numbered { id: Uuid::nil(), sync_version: *number }).collect(),
                snapshot: snapshot.map(|(first, last)| SnapshotPart { first, last }),
            });
            assert_eq!(written(&batch(decorations, removed, snapshot)), text(&message).as_str());
        }
    }

    #[test]
    fn no_entry_takes_more_than_is_reckoned_with() {
        let all = [decoration("a"), decoration("b"), decoration("c")];
        for count in 1..all.len() {
            let (less, more) = (batch(&all[..count], &[], Some((false, false))), batch(&all[..=count], &[], Some((false, false))));
            let written = [&less, &more].map(written);
            assert!(written[1].len() - written[0].len() <= more.entries[count].bytes());
            assert!(written[1].len() <= written[1].capacity() && written[1].capacity() <= written[1].len() + 192, "it is in one piece");
        }
    }
}

//! What a simulated edge keeps of the decorations, and how it heeds what the supervisor says about them: written
//! from the published protocol alone, and without clock, socket or disk, so that tests can drive it as well.
//!
//! Every change of it is one [`Change`]; whoever keeps it on a disk writes those in their order (`content_file`).

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::digest::{bucket, hex, mark, place, places};
use super::protocol::{
    Batch, Bucket, Checkpoint, Digests, Held, Inventory, ItemNumber, ItemResult, MAX_BUCKETS, Mode, Put, Removal, SyncAck,
};

/// Number of what was held before the epoch changed: every number of the new epoch is higher.
const VOID: i64 = 0;
/// Most characters of why a decoration was refused: an ack of 200 of them has to fit into a message.
const MAX_ERROR_CHARS: usize = 200;

/// One step from one state to the next.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Change {
    /// A decoration is held from now on, in this version.
    Put { id: Uuid, sync_version: i64, fingerprint: u64 },
    /// A decoration is held no more; nothing up to this number brings it back.
    Removed { id: Uuid, sync_version: i64 },
    /// A decoration was not in a snapshot.
    Dropped { id: Uuid },
    /// Numbers of what is removed need not be known any more.
    Forgot,
    /// Numbers have no meaning any more; what they belong to is still served.
    Voided,
    /// Numbers are those of this epoch from now on.
    Entered { epoch: String },
}

/// One decoration that is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    /// Number of the version that is held.
    pub(crate) sync_version: i64,
    /// Stands for what the decoration says.
    pub(crate) fingerprint: u64,
}

/// What a batch did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Applied {
    /// What the supervisor is to be answered.
    pub(crate) ack: SyncAck,
    /// It was applied before over the same socket.
    pub(crate) again: bool,
    /// Decorations that are new, or newer.
    pub(crate) put: u64,
    /// Decorations that were held and are not any more.
    pub(crate) removed: u64,
    /// Decorations that were refused.
    pub(crate) refused: u64,
    /// It was the last one of a snapshot.
    pub(crate) ends_snapshot: bool,
}

/// The content of one edge.
#[derive(Clone, Debug, Default)]
pub(crate) struct Content {
    /// Epoch of the numbers; none before anything was ever held completely.
    epoch: Option<String>,
    /// In the order of buckets.
    items: BTreeMap<(u64, Uuid), Item>,
    /// Numbers of what was removed, until a checkpoint agrees.
    removed: BTreeMap<Uuid, i64>,
    /// XOR of the marks of all items.
    digest: u64,
    session: Session,
    /// What it will not take, and why not.
    refusals: BTreeMap<Uuid, String>,
    /// Changes since they were taken, if anybody takes them.
    changes: Option<Vec<Change>>,
}

/// What is known of a session, and forgotten with it.
#[derive(Clone, Debug, Default)]
struct Session {
    /// The supervisor's epoch.
    epoch: Option<String>,
    /// Batches that came.
    batches: BTreeSet<u64>,
    /// What a snapshot has named that has begun and not ended.
    named: Option<BTreeSet<Uuid>>,
}

impl Content {
    /// What changes made, in their order.
    pub(crate) fn replayed(changes: impl IntoIterator<Item = Change>) -> Self {
        let mut content = Self::default();
        changes.into_iter().for_each(|change| content.make(change));
        content
    }

    /// Changes that make the same of nothing.
    pub(crate) fn dump(&self) -> impl Iterator<Item = Change> {
        let items = self.items.iter().map(|((_, id), Item { sync_version, fingerprint })| {
            let (id, sync_version, fingerprint) = (*id, *sync_version, *fingerprint);
            Change::Put { id, sync_version, fingerprint }
        });
        let removed = self.removed.iter().map(|(id, sync_version)| Change::Removed { id: *id, sync_version: *sync_version });
        let epoch = self.epoch.clone().map(|epoch| Change::Entered { epoch });
        items.chain(removed).chain(epoch)
    }

    /// Keeps changes from now on, for [`Content::take_changes`].
    pub(crate) fn keep_changes(&mut self) {
        self.changes.get_or_insert_default();
    }

    /// The changes since they were taken last.
    pub(crate) fn take_changes(&mut self) -> Vec<Change> {
        self.changes.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Refuses a decoration from now on, in these words; `None`: takes it again.
    pub(crate) fn refuse(&mut self, id: Uuid, why: Option<String>) {
        match why {
            Some(why) => drop(self.refusals.insert(id, why.chars().take(MAX_ERROR_CHARS).collect())),
            None => drop(self.refusals.remove(&id)),
        }
    }

    /// What it says in `hello`: the epoch, null when it holds nothing, and what it holds.
    pub(crate) fn hello(&self) -> (Option<String>, Held) {
        (self.epoch.clone().filter(|_| !self.items.is_empty()), self.held())
    }

    /// How much it holds, and the digest.
    pub(crate) fn held(&self) -> Held {
        Held { count: self.items.len() as u64, digest: hex(self.digest) }
    }

    /// What it holds of a decoration.
    pub(crate) fn item(&self, id: Uuid) -> Option<Item> {
        self.items.get(&(place(id), id)).copied()
    }

    /// All that it holds.
    pub(crate) fn items(&self) -> impl ExactSizeIterator<Item = (Uuid, Item)> {
        self.items.iter().map(|((_, id), item)| (*id, *item))
    }

    /// A session begins.
    pub(crate) fn welcome(&mut self, epoch: &str, mode: Mode) {
        self.session = Session { epoch: Some(epoch.to_owned()), ..Session::default() };
        if self.epoch.as_deref() == Some(epoch) {
            return;
        }
        if !self.items.is_empty() || !self.removed.is_empty() {
            self.record(Change::Voided);
        }
        if self.items.is_empty() && mode == Mode::Delta {
            self.record(Change::Entered { epoch: epoch.to_owned() });
        }
    }

    /// Applies a batch. One that came before over the same socket begins and ends no snapshot; otherwise the numbers see
    /// to it that nothing is done twice.
    pub(crate) fn apply(&mut self, batch: &Batch) -> Applied {
        let again = !self.session.batches.insert(batch.id);
        let snapshot = batch.snapshot.filter(|_| !again);
        if snapshot.is_some_and(|snapshot| snapshot.first) {
            self.session.named = Some(BTreeSet::new());
        }
        let ack = SyncAck { batch_id: batch.id, results: Vec::with_capacity(batch.decorations.len() + batch.removed.len()) };
        let mut applied = Applied { ack, again, put: 0, removed: 0, refused: 0, ends_snapshot: false };
        for put in &batch.decorations {
            self.put(put, &mut applied);
        }
        for removal in &batch.removed {
            self.remove(*removal, &mut applied);
        }
        if snapshot.is_some_and(|snapshot| snapshot.last) {
            applied.ends_snapshot = self.end_snapshot(&mut applied);
        }
        applied
    }

    fn put(&mut self, &Put { id, sync_version, fingerprint }: &Put, applied: &mut Applied) {
        if let Some(named) = &mut self.session.named {
            named.insert(id);
        }
        let mut result = ItemResult { id, sync_version, ok: true, error: None };
        if self.is_news(id, sync_version) {
            if let Some(why) = self.refusals.get(&id) {
                (result.ok, result.error) = (false, Some(why.clone()));
                applied.refused += 1;
            } else {
                self.record(Change::Put { id, sync_version, fingerprint });
                applied.put += 1;
            }
        }
        applied.ack.results.push(result);
    }

    fn remove(&mut self, Removal { id, sync_version }: Removal, applied: &mut Applied) {
        if self.is_news(id, sync_version) {
            applied.removed += u64::from(self.item(id).is_some());
            self.record(Change::Removed { id, sync_version });
        }
        applied.ack.results.push(ItemResult { id, sync_version, ok: true, error: None });
    }

    /// Whether a number is higher than the last one that was seen for a decoration.
    fn is_news(&self, id: Uuid, sync_version: i64) -> bool {
        let held = self.item(id).map(|item| item.sync_version);
        held.max(self.removed.get(&id).copied()).is_none_or(|last| sync_version > last)
    }

    /// Drops what a snapshot did not name; false when it had not begun.
    fn end_snapshot(&mut self, applied: &mut Applied) -> bool {
        let Some(named) = self.session.named.take() else { return false };
        let unnamed: Vec<Uuid> = self.items.keys().map(|(_, id)| *id).filter(|id| !named.contains(id)).collect();
        applied.removed += unnamed.len() as u64;
        for id in unnamed {
            self.record(Change::Dropped { id });
        }
        if let Some(epoch) = self.session.epoch.clone().filter(|epoch| self.epoch.as_ref() != Some(epoch)) {
            self.record(Change::Entered { epoch });
        }
        true
    }

    /// Compares a checkpoint with what is held; the reason to ask for more when it differs.
    pub(crate) fn checkpoint(&mut self, checkpoint: &Checkpoint) -> Option<&'static str> {
        if checkpoint.held != self.held() {
            return Some("checkpoint_differs");
        }
        if !self.removed.is_empty() {
            self.record(Change::Forgot);
        }
        None
    }

    /// The answer to a `digest_request`, in parts.
    pub(crate) fn digests(&self, bits: u32) -> Vec<Digests> {
        let mut buckets: BTreeMap<u32, (u64, u64)> = BTreeMap::new();
        for ((place, id), item) in &self.items {
            let (count, digest) = buckets.entry(bucket(*place, bits)).or_default();
            *count += 1;
            *digest ^= mark(*id, item.sync_version);
        }
        let buckets: Vec<Bucket> =
            buckets.into_iter().map(|(prefix, (count, digest))| Bucket { prefix, held: Held { count, digest: hex(digest) } }).collect();
        let mut parts: Vec<Digests> =
            buckets.chunks(MAX_BUCKETS).map(|buckets| Digests { bits, buckets: buckets.to_vec(), last: false }).collect();
        match parts.last_mut() {
            Some(part) => part.last = true,
            None => parts.push(Digests { bits, buckets: Vec::new(), last: true }),
        }
        parts
    }

    /// The answer to one prefix of an `inventory_request`.
    pub(crate) fn inventory(&self, bits: u32, prefix: u32) -> Inventory {
        let (first, last) = places(prefix, bits).into_inner();
        let items = self.items.range((first, Uuid::nil())..=(last, Uuid::max()));
        let items = items.map(|((_, id), item)| ItemNumber { id: *id, sync_version: item.sync_version }).collect();
        Inventory { bits, prefix, items }
    }

    fn record(&mut self, change: Change) {
        if let Some(changes) = &mut self.changes {
            changes.push(change.clone());
        }
        self.make(change);
    }

    fn make(&mut self, change: Change) {
        match change {
            Change::Put { id, sync_version, fingerprint } => {
                self.removed.remove(&id);
                self.take_out(id);
                self.digest ^= mark(id, sync_version);
                self.items.insert((place(id), id), Item { sync_version, fingerprint });
            }
            Change::Removed { id, sync_version } => {
                self.take_out(id);
                self.removed.insert(id, sync_version);
            }
            Change::Dropped { id } => self.take_out(id),
            Change::Forgot => self.removed.clear(),
            Change::Voided => {
                self.removed.clear();
                self.digest = 0;
                for ((_, id), item) in &mut self.items {
                    item.sync_version = VOID;
                    self.digest ^= mark(*id, VOID);
                }
            }
            Change::Entered { epoch } => self.epoch = Some(epoch),
        }
    }

    fn take_out(&mut self, id: Uuid) {
        if let Some(item) = self.items.remove(&(place(id), id)) {
            self.digest ^= mark(id, item.sync_version);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::protocol::SnapshotPart;
    use super::super::random::Random;
    use super::*;

    const EPOCH: &str = "one";

    fn id(n: u128) -> Uuid {
        Uuid::from_u128(n)
    }

    /// A batch with these decorations, (id, number), and removals.
    fn batch(batch_id: u64, puts: &[(u128, i64)], removed: &[(u128, i64)], snapshot: Option<(bool, bool)>) -> Batch {
        let put = |(n, sync_version): &(u128, i64)| Put { id: id(*n), sync_version: *sync_version, fingerprint: 0 };
        let removal = |(n, sync_version): &(u128, i64)| Removal { id: id(*n), sync_version: *sync_version };
        Batch {
            id: batch_id,
            version: puts.iter().chain(removed).map(|(_, number)| *number).max().unwrap_or(0),
            decorations: puts.iter().map(put).collect(),
            removed: removed.iter().map(removal).collect(),
            snapshot: snapshot.map(|(first, last)| SnapshotPart { first, last }),
        }
    }

    fn numbers(content: &Content) -> Vec<(u128, i64)> {
        let mut numbers: Vec<_> = content.items().map(|(id, item)| (id.as_u128(), item.sync_version)).collect();
        numbers.sort_unstable();
        numbers
    }

    fn digest_of(numbers: &[(u128, i64)]) -> String {
        hex(numbers.iter().fold(0, |digest, (n, number)| digest ^ mark(id(*n), *number)))
    }

    fn checkpoint(numbers: &[(u128, i64)]) -> Checkpoint {
        Checkpoint { version: 0, held: Held { count: numbers.len() as u64, digest: digest_of(numbers) } }
    }

    /// An edge in a session, with a decoration 1 that has number 10.
    fn edge() -> Content {
        let mut content = Content::default();
        content.welcome(EPOCH, Mode::Delta);
        content.apply(&batch(1, &[(1, 10)], &[], None));
        content
    }

    #[test]
    fn a_new_edge_says_null_and_zeros_and_takes_the_epoch_on() {
        let mut content = Content::default();
        assert_eq!(content.hello(), (None, Held { count: 0, digest: "0000000000000000".to_owned() }));
        content.welcome(EPOCH, Mode::Delta);
        assert_eq!(content.hello().0, None, "it holds nothing");
        content.apply(&batch(1, &[(1, 10)], &[], None));
        assert_eq!(content.hello(), (Some(EPOCH.to_owned()), Held { count: 1, digest: digest_of(&[(1, 10)]) }));
    }

    #[test]
    fn only_higher_numbers_change_anything_and_every_entry_is_acknowledged() {
        let mut content = edge();
        for (n, (puts, removed, left)) in [
            (vec![(1, 10)], vec![], vec![(1, 10)]),
            (vec![(1, 9)], vec![], vec![(1, 10)]),
            (vec![], vec![(1, 10)], vec![(1, 10)]),
            (vec![(1, 11)], vec![(2, 12)], vec![(1, 11)]),
            (vec![], vec![(1, 13)], vec![]),
            (vec![(1, 12), (2, 12)], vec![], vec![]),
            (vec![(1, 14)], vec![(1, 13)], vec![(1, 14)]),
        ]
        .into_iter()
        .enumerate()
        {
            let applied = content.apply(&batch(2 + n as u64, &puts, &removed, None));
            assert_eq!(numbers(&content), left, "{n}");
            assert_eq!((applied.ack.results.len(), applied.ack.results.iter().all(|result| result.ok)), (puts.len() + removed.len(), true));
        }
    }

    #[test]
    fn removed_numbers_are_remembered_until_a_checkpoint_agrees() {
        let mut content = edge();
        content.apply(&batch(2, &[], &[(1, 20)], None));
        assert_eq!(content.checkpoint(&checkpoint(&[(1, 10)])), Some("checkpoint_differs"));
        content.apply(&batch(3, &[(1, 15)], &[], None));
        assert_eq!(numbers(&content), []);
        assert_eq!(content.checkpoint(&checkpoint(&[])), None);
        content.apply(&batch(4, &[(1, 15)], &[], None));
        assert_eq!(numbers(&content), [(1, 15)]);
    }

    #[test]
    fn a_snapshot_drops_what_it_did_not_name_and_not_before_its_end() {
        let mut content = edge();
        content.apply(&batch(2, &[(2, 11), (3, 12)], &[], None));
        content.apply(&batch(3, &[(2, 11)], &[], Some((true, false))));
        content.apply(&batch(4, &[(4, 13)], &[], Some((false, false))));
        assert_eq!(numbers(&content), [(1, 10), (2, 11), (3, 12), (4, 13)]);
        // What comes twice begins and ends nothing.
        assert!(content.apply(&batch(3, &[(2, 11)], &[], Some((true, true)))).again);
        let applied = content.apply(&batch(5, &[], &[], Some((false, true))));
        assert_eq!((applied.removed, applied.ends_snapshot, applied.ack.results.len()), (2, true, 0));
        assert_eq!(numbers(&content), [(2, 11), (4, 13)]);
        // One that began in another session, or never, ends nothing.
        content.apply(&batch(6, &[], &[], Some((true, false))));
        content.welcome(EPOCH, Mode::Delta);
        assert!(!content.apply(&batch(1, &[], &[], Some((false, true)))).ends_snapshot);
        assert_eq!(numbers(&content), [(2, 11), (4, 13)]);
    }

    #[test]
    fn numbers_of_another_epoch_are_void_and_content_is_served_on() {
        let mut content = edge();
        content.apply(&batch(2, &[(2, 900)], &[(3, 901)], None));
        content.welcome("two", Mode::Snapshot);
        assert_eq!(numbers(&content), [(1, 0), (2, 0)]);
        assert_eq!(content.hello().0.as_deref(), Some(EPOCH), "until the snapshot is complete");
        content.apply(&batch(1, &[(2, 5), (3, 6)], &[], Some((true, false))));
        assert_eq!(numbers(&content), [(1, 0), (2, 5), (3, 6)]);
        // The session ends in the middle: it begins anew.
        content.welcome("two", Mode::Snapshot);
        assert_eq!(numbers(&content), [(1, 0), (2, 0), (3, 0)]);
        content.apply(&batch(1, &[(2, 5)], &[], Some((true, true))));
        assert_eq!((content.hello().0.as_deref(), numbers(&content)), (Some("two"), vec![(2, 5)]));
        content.welcome("two", Mode::Delta);
        assert_eq!(numbers(&content), [(2, 5)]);
    }

    #[test]
    fn what_is_refused_stays_as_it_was_and_is_taken_later() {
        let mut content = edge();
        content.refuse(id(1), Some("no room".repeat(100)));
        let applied = content.apply(&batch(2, &[(1, 11), (2, 12)], &[], Some((true, true))));
        assert_eq!((applied.refused, applied.put, numbers(&content)), (1, 1, vec![(1, 10), (2, 12)]));
        let result = &applied.ack.results[0];
        assert_eq!((result.ok, result.error.as_ref().map(|why| why.chars().count())), (false, Some(MAX_ERROR_CHARS)));
        content.refuse(id(1), None);
        content.apply(&batch(3, &[(1, 11)], &[], None));
        assert_eq!(numbers(&content), [(1, 11), (2, 12)]);
    }

    #[test]
    fn buckets_add_up_and_inventories_are_theirs() {
        let mut content = edge();
        for n in 0..60 {
            content.apply(&batch(2 + n, &(0..20).map(|m| (u128::from(n) * 20 + m, 100)).collect::<Vec<_>>(), &[], None));
        }
        for (bits, parts) in [(0, 1), (3, 1), (11, 3)] {
            let digests = content.digests(bits);
            let lasts: Vec<bool> = digests.iter().map(|part| part.last).collect();
            assert_eq!((lasts.len(), lasts.iter().filter(|last| **last).count(), lasts.last()), (parts, 1, Some(&true)));
            let buckets: Vec<&Bucket> = digests.iter().flat_map(|part| &part.buckets).collect();
            assert!(digests.iter().all(|part| part.buckets.len() <= MAX_BUCKETS));
            assert_eq!(buckets.iter().map(|bucket| bucket.held.count).sum::<u64>(), 1200);
            for found in buckets {
                let Inventory { items, .. } = content.inventory(bits, found.prefix);
                let digest = items.iter().fold(0, |digest, item| digest ^ mark(item.id, item.sync_version));
                assert_eq!(found.held, Held { count: items.len() as u64, digest: hex(digest) });
            }
        }
        assert_eq!(Content::default().digests(5), [Digests { bits: 5, buckets: vec![], last: true }]);
    }

    /// Whatever came, its changes and its dump make the same again, and the digest is right.
    #[test]
    fn changes_and_dumps_make_the_same_again() {
        for seed in 0..50 {
            let mut random = Random::new(seed, 0);
            let mut content = Content::default();
            content.keep_changes();
            let mut changes = Vec::new();
            for n in 0..100 {
                let mut some = |most: u64| -> Vec<(u128, i64)> {
                    (0..random.bits() % most).map(|_| (u128::from(random.bits() % 12), 1 + (random.bits() % 90).cast_signed())).collect()
                };
                let (puts, removed) = (some(5), some(3));
                let snapshot = random.chance(0.2).then(|| (random.chance(0.5), random.chance(0.5)));
                content.apply(&batch(n, &puts, &removed, snapshot));
                if random.chance(0.1) {
                    content.welcome(if random.chance(0.3) { "two" } else { EPOCH }, Mode::Snapshot);
                }
                changes.extend(content.take_changes());
                assert_eq!(content.held().digest, digest_of(&numbers(&content)), "seed {seed}");
            }
            let state = |content: &Content| (content.epoch.clone(), content.items.clone(), content.removed.clone(), content.digest);
            assert_eq!(state(&Content::replayed(changes)), state(&content), "seed {seed}");
            assert_eq!(state(&Content::replayed(content.dump())), state(&content), "seed {seed}");
        }
    }
}
